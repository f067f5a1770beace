//! TLS on the signing port: who may talk to whom, and certificates that change while it runs.

use crate::certificates::{Authority, Certificate, shown};
use crate::payload::attestation;
use crate::process::{Signer, wait_for};
use crate::raw_http::RawConnection;
use crate::test_env::{FLOOR, TestEnv};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, Instant};

/// A test environment whose certificate is mounted as Kubernetes mounts a Secret: the files are links into `..data`, a link to a directory
/// that is never changed.
fn mounted(certificate: &Certificate) -> TestEnv {
    let env = TestEnv::new();
    let mount = env.path.join("tls");
    certificate.write(&mount.join("..first"));
    symlink("..first", mount.join("..data")).unwrap();
    for name in ["tls.crt", "tls.key"] {
        symlink(Path::new("..data").join(name), mount.join(name)).unwrap();
    }
    env.set_config(json!({"tls": {"certificateFile": mount.join("tls.crt"), "privateKeyFile": mount.join("tls.key")}}));
    env
}

/// Puts a new directory in the place of the mounted one, in one step, as the kubelet does.
fn remount(env: &TestEnv, directory: &str, certificate: &Certificate) {
    let mount = env.path.join("tls");
    certificate.write(&mount.join(directory));
    symlink(directory, mount.join("..data_tmp")).unwrap();
    std::fs::rename(mount.join("..data_tmp"), mount.join("..data")).unwrap();
}

const FAILURES: &str = "tezos_signer_tls_reload_failures_total";
const EXPIRY: &str = "tezos_signer_tls_certificate_expiry_timestamp_seconds";
/// 2090-01-01.
const IN_2090: u64 = 3_786_912_000;

#[test]
fn a_client_that_trusts_the_authority_signs_and_another_does_not() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let env = mounted(&authority.issue("signer"));
    let signer = Signer::start(&env);
    let (key, vote) = (env.tz3(), attestation(FLOOR + 1, 0, 1));
    let mut connection = authority.connect(signer.signing_address(), None).unwrap();
    for _ in 0..3 {
        assert_eq!(connection.get("/authorized_keys").json(), json!({}));
        connection.sign(&key, &vote).signature(&key, &vote);
    }
    let error = stranger.connect(signer.signing_address(), None).err().expect("an unknown authority").to_string();
    assert!(error.contains("invalid peer certificate"), "{error}");
    assert_eq!(signer.metric(EXPIRY), Some(IN_2090));
    assert_eq!(signer.metric(FAILURES), Some(0));
    wait_for("the count", || {
        (signer.metric("tezos_signer_connection_faults_total{fault=\"handshake\"}")? >= 1).then_some(())
    });
}

#[test]
fn with_a_client_authority_only_its_certificates_get_an_answer() {
    let (servers, clients) = (Authority::new(), Authority::new());
    let env = mounted(&servers.issue("signer"));
    let authority = env.path.join("clients.pem");
    std::fs::write(&authority, clients.pem()).unwrap();
    let mut config = serde_json::to_value(env.config().tls).unwrap();
    config["clientCaFile"] = json!(authority);
    env.set_config(json!({ "tls": config }));
    let signer = Signer::start(&env);
    let (key, vote) = (env.tz3(), attestation(FLOOR + 1, 0, 1));

    let baker = clients.issue("baker-one");
    let mut connection = servers.connect(signer.signing_address(), Some(&baker)).unwrap();
    connection.sign(&key, &vote).signature(&key, &vote);
    // Who it was is known to handlers, and so to the log.
    connection.get("/nothing").refused(404);
    let who = format!("(CN=baker-one, SHA-256 {})", hex::encode(Sha256::digest(baker.der())));
    wait_for("the client's name in the log", || signer.log().contains(&who).then_some(()));

    for (what, certificate) in [
        ("none", None),
        ("of another authority", Some(servers.issue("baker-one"))),
        ("expired", Some(clients.issue_until("baker-one", 2020))),
    ] {
        // In TLS 1.3 the client hears of it with the first answer.
        let answer = servers.connect(signer.signing_address(), certificate.as_ref()).and_then(|mut connection| {
            connection.try_send("GET /authorized_keys HTTP/1.1\r\nhost: x\r\n\r\n")?;
            connection.try_answer()
        });
        assert!(answer.is_err(), "{what}: {answer:?}");
    }
}

#[test]
fn a_new_certificate_is_seen_by_new_connections_and_cuts_no_old_one() {
    let authority = Authority::new();
    let (first, second) = (authority.issue("first"), authority.issue_until("second", 2080));
    let env = mounted(&first);
    let signer = Signer::start(&env);
    let mut old = authority.connect(signer.signing_address(), None).unwrap();
    assert_eq!(old.get("/authorized_keys").status, 200);
    assert_eq!(shown(&old), first.der());

    remount(&env, "..second", &second);
    wait_for("the second certificate", || {
        let connection = authority.connect(signer.signing_address(), None).unwrap();
        (shown(&connection) == second.der()).then_some(())
    });
    let (key, vote) = (env.tz3(), attestation(FLOOR + 1, 0, 1));
    old.sign(&key, &vote).signature(&key, &vote);
    assert!(signer.metric(EXPIRY).unwrap() < IN_2090);
    assert_eq!(signer.metric(FAILURES), Some(0));
}

#[test]
fn a_new_certificate_that_is_broken_leaves_the_old_one_and_a_reason() {
    let authority = Authority::new();
    let (first, other) = (authority.issue("first"), authority.issue("other"));
    let env = mounted(&first);
    let signer = Signer::start(&env);
    let mut failures = 0;
    let broken = |certificate: &str, key: &str| Certificate { certificate: certificate.into(), key: key.into() };
    for (directory, certificate, reason) in [
        ("..empty", broken("", &first.key), "no PEM certificate"),
        ("..nokey", broken(&first.certificate, "nonsense"), "tls.privateKeyFile"),
        ("..mixed", broken(&first.certificate, &other.key), "it is not the key of the certificate"),
        ("..expired", authority.issue_until("expired", 2020), "it expired at 2020-01-01"),
    ] {
        remount(&env, directory, &certificate);
        failures += 1;
        wait_for(reason, || (signer.metric(FAILURES)? >= failures).then_some(()));
        assert_eq!(signer.metric(FAILURES), Some(failures), "each change is counted once");
        let tls = signer.status().tls.unwrap();
        assert!(tls.reason.as_ref().is_some_and(|found| found.contains(reason)), "{reason}: {tls:?}");
        assert_eq!(signer.admin("/readyz").status, 200, "it still signs");
        assert_eq!(shown(&authority.connect(signer.signing_address(), None).unwrap()), first.der());
    }
    remount(&env, "..other", &other);
    wait_for("the other certificate", || {
        let connection = authority.connect(signer.signing_address(), None).unwrap();
        (shown(&connection) == other.der()).then_some(())
    });
    assert_eq!(signer.status().tls.unwrap().reason, None);
    assert!(!signer.log().contains("BEGIN"), "no key in the log");
}

#[test]
fn a_signer_does_not_start_with_files_that_cannot_be_used_and_names_the_field() {
    let authority = Authority::new();
    let (good, other) = (authority.issue("good"), authority.issue("other"));
    let env = mounted(&good);
    let good_config = serde_json::to_value(env.config().tls).unwrap();
    let (nothing, key_of_other) = (env.path.join("nothing"), env.path.join("other.key"));
    let empty = env.path.join("empty");
    std::fs::write(&key_of_other, &other.key).unwrap();
    std::fs::write(&empty, "").unwrap();
    for (field, path) in [
        ("certificateFile", &nothing),
        ("certificateFile", &key_of_other),
        ("privateKeyFile", &nothing),
        ("privateKeyFile", &empty),
        ("privateKeyFile", &key_of_other),
        ("clientCaFile", &nothing),
        ("clientCaFile", &empty),
    ] {
        let mut config = good_config.clone();
        config[field] = json!(path);
        env.set_config(json!({ "tls": config }));
        let output = Signer::start_failing(&env, &[]);
        let path = path.to_str().unwrap();
        assert!(output.contains(&format!("tls.{field}: {path}")), "{field} {path}: {output}");
    }
}

#[test]
fn an_expired_certificate_is_served_all_the_same_with_a_reason_and_can_be_renewed() {
    let authority = Authority::new();
    let env = mounted(&authority.issue_until("expired", 2020));
    let signer = Signer::start(&env);
    let error = authority.connect(signer.signing_address(), None).err().expect("expired").to_string();
    assert!(error.contains("certificate expired"), "{error}");
    let reasons = signer.admin("/readyz").json()["reasons"].to_string();
    assert!(reasons.contains("expired at 2020-01-01T00:00:00Z"), "{reasons}");
    remount(&env, "..new", &authority.issue("new"));
    wait_for("the new certificate", || authority.connect(signer.signing_address(), None).ok().map(drop));
    assert_eq!(signer.admin("/readyz").json()["reasons"], json!([]));
}

#[test]
fn each_of_plain_http_and_tls_on_the_others_port_is_told_at_once() {
    let authority = Authority::new();
    let env = mounted(&authority.issue("signer"));
    let signer = Signer::start(&env);
    let mut connection = RawConnection::tcp(signer.signing_address());
    let answer = connection.get("/authorized_keys");
    assert_eq!((answer.status, answer.body.as_str()), (400, "this port speaks TLS: use https"));
    assert!(connection.is_closed());
    drop(signer);

    env.set_config(json!({"tls": null}));
    let signer = Signer::start(&env);
    assert!(authority.connect(signer.signing_address(), None).is_err());
    wait_for("the count", || {
        (signer.metric("tezos_signer_connection_faults_total{fault=\"malformed\"}")? >= 1).then_some(())
    });
    assert_eq!(RawConnection::tcp(signer.signing_address()).get("/authorized_keys").status, 200);
}

#[test]
fn a_handshake_that_is_not_made_holds_up_nobody_and_ends() {
    let authority = Authority::new();
    let env = mounted(&authority.issue("signer"));
    let signer = Signer::start(&env);
    let mut slow: Vec<_> = (0..100)
        .map(|number| {
            let mut connection = RawConnection::tcp(signer.signing_address());
            // Half of them begin: a record that promises more.
            connection.send(if number % 2 == 0 { &b""[..] } else { b"\x16\x03\x01\x02\x00\x01" });
            connection
        })
        .collect();
    let key = env.tz3();
    for round in 0..20 {
        let started = Instant::now();
        let vote = attestation(FLOOR + 1, round, 1);
        authority.connect(signer.signing_address(), None).unwrap().sign(&key, &vote).signature(&key, &vote);
        assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    }
    assert!(slow.iter_mut().all(RawConnection::is_closed));
    wait_for("the count", || {
        (signer.metric("tezos_signer_connection_faults_total{fault=\"handshake_timeout\"}")? == 100).then_some(())
    });
}
