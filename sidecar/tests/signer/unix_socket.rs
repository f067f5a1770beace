//! The signing port as a Unix socket, beside the one in TCP.

use crate::home::{FLOOR, Home};
use crate::payload::attestation;
use crate::process::{Signer, wait_for};
use crate::wire::{PATIENCE, Wire};
use serde_json::json;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

fn home_with_socket() -> (Home, PathBuf) {
    let home = Home::new();
    let path = home.path.join("signer.sock");
    home.set_config(json!({ "unixSocket": path }));
    (home, path)
}

fn connect(path: &Path) -> Wire<UnixStream> {
    let stream = UnixStream::connect(path).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    Wire::over(stream)
}

#[test]
fn both_sockets_sign_and_the_file_is_for_owner_and_group_and_gone_at_the_end() {
    let (home, path) = home_with_socket();
    let mut signer = Signer::start(&home);
    let (key, vote) = (home.tz3(), attestation(FLOOR + 1, 0, 1));
    let mut wire = connect(&path);
    let signature = wire.sign(&key, &vote).signature(&key, &vote);
    assert_eq!(wire.get("/authorized_keys").json(), json!({}));
    assert_eq!(signer.signature(&key, &vote), signature);
    wire.get("/nothing").refused(404);
    wait_for("the client in the log", || signer.log().contains("\"client\":\"unix\"").then_some(()));
    let metadata = std::fs::metadata(&path).unwrap();
    assert!(metadata.file_type().is_socket());
    assert_eq!(metadata.permissions().mode() & 0o777, 0o660);
    signer.terminate();
    assert!(signer.ended().success());
    assert!(!path.exists());
}

#[test]
fn the_socket_of_a_killed_process_is_replaced() {
    let (home, path) = home_with_socket();
    let mut signer = Signer::start(&home);
    signer.kill();
    signer.ended();
    assert!(path.exists(), "nobody could remove it");
    let _signer = Signer::start(&home);
    assert_eq!(connect(&path).get("/authorized_keys").status, 200);
}

#[test]
fn a_living_process_keeps_its_socket_and_what_is_no_socket_is_not_touched() {
    let (home, path) = home_with_socket();
    let living = UnixListener::bind(&path).unwrap();
    let said = Signer::start_in_vain(&home, &[]);
    assert!(said.contains("unixSocket") && said.contains("another process"), "{said}");
    assert!(UnixStream::connect(&path).is_ok());
    drop(living);
    std::fs::remove_file(&path).unwrap();

    std::fs::write(&path, "precious").unwrap();
    let said = Signer::start_in_vain(&home, &[]);
    assert!(said.contains("unixSocket") && said.contains("no socket"), "{said}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
}
