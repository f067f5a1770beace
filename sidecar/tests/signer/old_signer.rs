//! A stand-in for the signer that a baker comes from: octez-signer, Signatory or the Python signer. It signs with the same token, over HTTP,
//! decides by their rules, and keeps its marks in their files as they do, so that those can be carried over.

use crate::ports;
use crate::process::wait_for;
use crate::test_env::{PIN, SOFTHSM, TestEnv};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use tezos_signer_core::key::{Digest, Signature};

/// Whose stand-in it is.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum OldSignerKind {
    Octez,
    Signatory,
    Python,
}

/// One that is stopped, or runs.
pub(crate) struct OldSigner {
    signs: Signs,
    address: SocketAddr,
    running: Option<(Arc<AtomicBool>, JoinHandle<()>)>,
}

/// What it needs to answer.
#[derive(Clone)]
struct Signs {
    old: OldSignerKind,
    /// Its base directory, or where its table is.
    directory: PathBuf,
    key: String,
    softhsm_conf: PathBuf,
}

const CHAIN: &str = "NetXdQprcVkpaWU";

impl OldSigner {
    /// Of the token and the only key of `env`, P-256; its files are in `directory`.
    pub(crate) fn new(old: OldSignerKind, env: &TestEnv, directory: &Path) -> Self {
        std::fs::create_dir_all(directory).unwrap();
        let signs = Signs {
            old,
            directory: directory.to_owned(),
            key: env.tz3().hash().to_string(),
            softhsm_conf: env.softhsm_conf(),
        };
        // For this one and for the signer that takes its place.
        let [port] = ports::reserve();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        Self { signs, address, running: None }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn is_running(&self) -> bool {
        self.running.is_some()
    }

    pub(crate) fn start(&mut self) {
        // A process that another test is about to start may have the port for a moment.
        let listener = wait_for("the port", || TcpListener::bind(self.address).ok());
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, signs) = (stop.clone(), self.signs.clone());
        let serve = move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                signs.answer(&mut stream.unwrap());
            }
        };
        self.running = Some((stop, std::thread::spawn(serve)));
    }

    pub(crate) fn stop(&mut self) {
        let Some((stop, thread)) = self.running.take() else { return };
        stop.store(true, Ordering::SeqCst);
        // It waits for a connection: this is one.
        drop(TcpStream::connect(self.address).unwrap());
        thread.join().unwrap();
    }

    /// The table as `aws dynamodb scan --output json` prints it.
    pub(crate) fn scan(&self) -> String {
        let items = self.signs.marks("table");
        let items: Vec<_> = items.as_object().into_iter().flatten().map(|(_, item)| item).collect();
        json!({"Items": items, "Count": items.len(), "ScannedCount": items.len(), "ConsumedCapacity": null}).to_string()
    }

    /// Puts an item into the table, whatever is there.
    pub(crate) fn put_item(&self, item: &Value) {
        let mut items = self.signs.marks("table");
        items[item["sig_type"]["S"].as_str().unwrap()] = item.clone();
        self.signs.write("table", &items);
    }
}

impl Drop for OldSigner {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Signs {
    fn answer(&self, stream: &mut TcpStream) {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut length = 0;
        let mut first = String::new();
        let _ = reader.read_line(&mut first);
        let mut line = String::new();
        while reader.read_line(&mut line).is_ok_and(|read| read > 2) {
            if let Some(text) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = text.trim().parse().unwrap();
            }
            line.clear();
        }
        let mut body = vec![0; length];
        let _ = reader.read_exact(&mut body);
        let (status, body) = if first.starts_with("POST ") {
            let text: String = serde_json::from_slice(&body).unwrap();
            match self.sign(&hex::decode(text).unwrap()) {
                Some(signature) => ("200 OK", json!({"signature": signature}).to_string()),
                None => ("409 Conflict", "not above the watermark".to_owned()),
            }
        } else {
            ("200 OK", "{}".to_owned())
        };
        let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
        let _ = stream.write_all((head + &body).as_bytes());
    }

    /// Decides, signs and remembers, as the real one does. `None` where it refuses.
    fn sign(&self, payload: &[u8]) -> Option<String> {
        let number = |at: usize| u32::from_be_bytes(payload[at..at + 4].try_into().unwrap());
        let kind = usize::from(payload[0] - 0x11);
        let (level, round, payload_round) = match kind {
            // The round of the fitness is at its end; that of the payload behind the context and the payload's hash.
            0 => {
                let fitness_end = 87 + number(83) as usize;
                (number(5), number(fitness_end - 4), number(fitness_end + 64))
            }
            _ => (number(40), number(44), number(44)),
        };
        let digest = Digest::of(payload);
        let old = |mark: &Value, level_of: &str, round_of: &str| {
            let number = |name: &str| mark[name].as_i64().or_else(|| mark[name]["N"].as_str()?.parse().ok()).unwrap();
            (number(level_of), number(round_of))
        };
        match self.old {
            OldSignerKind::Octez => {
                let file = ["block", "preattestation", "attestation"][kind].to_owned() + "_high_watermarks";
                let mut marks = self.marks(&file);
                let mark = &marks[CHAIN][&self.key];
                if !mark.is_null() {
                    match old(mark, "level", "round").cmp(&(level.into(), round.into())) {
                        std::cmp::Ordering::Greater => return None,
                        std::cmp::Ordering::Equal => {
                            let same = mark["hash"] == digest.to_string();
                            return mark["signature"].as_str().filter(|_| same).map(str::to_owned);
                        }
                        std::cmp::Ordering::Less => {}
                    }
                }
                let signature = self.token_signature(&digest);
                marks[CHAIN][&self.key] =
                    json!({"level": level, "round": round, "hash": digest, "signature": signature});
                self.write(&file, &marks);
                Some(signature)
            }
            OldSignerKind::Signatory => {
                std::fs::create_dir_all(self.directory.join("watermark_v2")).unwrap();
                let file = format!("watermark_v2/{CHAIN}.json");
                let mut marks = self.marks(&file);
                let kind = ["block", "preattestation", "attestation"][kind];
                let mark = &marks[&self.key][kind];
                if !mark.is_null() && old(mark, "level", "round") >= (level.into(), payload_round.into()) {
                    return None;
                }
                // Of a vote's digest, as base58.
                marks[&self.key][kind] = json!({"level": level, "round": payload_round, "hash": null});
                self.write(&file, &marks);
                Some(self.token_signature(&digest))
            }
            OldSignerKind::Python => {
                let mut marks = self.marks("table");
                let name = ["Baking", "Preendorsement", "Endorsement"][kind];
                let name = format!("{name}_{CHAIN}_{}", self.key);
                let mark = &marks[&name];
                if !mark.is_null() && old(mark, "lastblock", "lastround") >= (level.into(), round.into()) {
                    return None;
                }
                marks[&name] = json!({
                    "sig_type": {"S": name}, "lastblock": {"N": level.to_string()}, "lastround": {"N": round.to_string()},
                });
                self.write("table", &marks);
                Some(self.token_signature(&digest))
            }
        }
    }

    fn marks(&self, file: &str) -> Value {
        let text = std::fs::read_to_string(self.directory.join(file)).unwrap_or_else(|_| "{}".to_owned());
        serde_json::from_str(&text).unwrap()
    }

    fn write(&self, file: &str, marks: &Value) {
        std::fs::write(self.directory.join(file), format!("{marks:#}")).unwrap();
    }

    /// By the Debian package opensc, which is none of our code.
    fn token_signature(&self, digest: &Digest) -> String {
        let (input, output) = (self.directory.join(".digest"), self.directory.join(".signature"));
        std::fs::write(&input, digest.as_bytes()).unwrap();
        let made = Command::new("pkcs11-tool")
            .args(["--module", SOFTHSM, "--token-label", "test", "--login", "--pin", PIN])
            .args(["--sign", "--mechanism", "ECDSA", "--input-file"])
            .arg(&input)
            .arg("--output-file")
            .arg(&output)
            .env("SOFTHSM2_CONF", &self.softhsm_conf)
            .output()
            .expect("pkcs11-tool of the Debian package opensc");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        Signature::P256(std::fs::read(output).unwrap().try_into().unwrap()).to_string()
    }
}
