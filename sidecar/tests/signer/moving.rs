//! Moving from another signer and back, as docs/moving/ says, command by command: an old signer and this one at the same address with the
//! same key, a client that asks whoever is there, and a checker that knows only the promise.

use crate::doc_runner::DocRunner;
use crate::node::Node;
use crate::old_signer::{OldSigner, OldSignerKind};
use crate::payload::{attestation, block, preattestation};
use crate::process::Signer;
use crate::test_env::{SOFTHSM, TestEnv};
use reqwest::blocking::Client;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use tezos_signer_core::config::KeyConfig;

type Kind = (&'static str, fn(u32, u32, u8) -> Vec<u8>);
const KINDS: [Kind; 3] = [("block", block), ("preattestation", preattestation), ("attestation", attestation)];

/// Where the old signer begins; the node's chain has some blocks above it.
const FIRST: u32 = 1001;

/// While this file is there, nothing is exported.
const NO_EXPORT: &str = "no-export";

/// Whatever runs at the address.
struct Host {
    env: TestEnv,
    old: OldSigner,
    /// The old one's unit.
    unit: &'static str,
    new: Option<Signer>,
    /// Nobody stops it, whatever they are told.
    stuck: bool,
}

impl Host {
    /// What `systemctl` is asked, and whether it says yes.
    fn systemctl(&mut self, words: &[&str]) -> bool {
        let (&[verb, option, unit], old) = (words, self.unit) else { panic!("{words:?}") };
        match (verb, option) {
            ("disable", "--now") if self.stuck => {}
            ("disable", "--now") if unit == old => self.old.stop(),
            ("disable", "--now") if unit == "tezos-signer" => self.new = None,
            ("enable", "--now") if unit == old => self.old.start(),
            ("enable", "--now") if unit == "tezos-signer" => self.new = Some(Signer::start(&self.env)),
            ("is-active", "--quiet") if unit == old => return self.old.is_running(),
            ("is-active", "--quiet") if unit == "tezos-signer" => return self.new.is_some(),
            _ => panic!("{words:?}"),
        }
        true
    }
}

/// What the host's commands `systemctl` and `aws` ask. Lives as long as the test program.
fn answer_commands(host: Arc<Mutex<Host>>) -> SocketAddr {
    let listener = crate::ports::listener();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            answer_command(&host, &mut stream.unwrap());
        }
    });
    address
}

fn answer_command(host: &Mutex<Host>, stream: &mut TcpStream) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let (mut first, mut line, mut length) = (String::new(), String::new(), 0);
    reader.read_line(&mut first).unwrap();
    while reader.read_line(&mut line).is_ok_and(|read| read > 2) {
        if let Some(text) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = text.trim().parse().unwrap();
        }
        line.clear();
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let words: Vec<_> = first.split(' ').nth(1).unwrap().split('/').skip(1).collect();
    let mut host = host.lock().unwrap();
    let (status, text) = match words[..] {
        ["systemctl", "cat", unit] => {
            let path = format!("etc/systemd/system/{unit}.service");
            (200, format!("# /{path}\n{}", std::fs::read_to_string(host.env.path.join(&path)).unwrap()))
        }
        ["systemctl", ref words @ ..] => (if host.systemctl(words) { 200 } else { 404 }, String::new()),
        ["scan"] => (200, host.old.scan()),
        ["put-item"] => {
            host.old.put_item(&serde_json::from_slice(&body).unwrap());
            (200, String::new())
        }
        _ => panic!("{words:?}"),
    };
    let _ = write!(stream, "HTTP/1.1 {status} x\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{text}", text.len());
}

/// Kind, level and round.
type Place = (&'static str, u32, u32);

/// The baker: it knows an address and a key, and keeps what it is given.
struct Baker {
    client: Client,
    url: String,
    key: KeyConfig,
    /// What was signed where.
    given: HashMap<Place, Vec<(u8, String)>>,
}

impl Baker {
    /// The status of the answer; nothing where nobody answers.
    fn ask(&mut self, (name, payload): Kind, level: u32, round: u32, salt: u8) -> Option<u16> {
        let body = format!("\"{}\"", hex::encode(payload(level, round, salt)));
        let answer = self.client.post(&self.url).body(body).send().ok()?;
        let status = answer.status().as_u16();
        if status == 200 {
            let text = answer.json::<Value>().unwrap()["signature"].as_str().unwrap().to_owned();
            let message = tezos_signer_core::key::Message::new(&payload(level, round, salt));
            let good = self.key.public_key.verify(&message, &text.parse().unwrap());
            assert!(good, "{name} {level} {round} {salt} {message:?} {}: {text}", self.key.public_key);
            self.given.entry((name, level, round)).or_default().push((salt, text));
        }
        Some(status)
    }

    fn ask_all(&mut self, level: u32, round: u32, salt: u8) -> [Option<u16>; 3] {
        KINDS.map(|kind| self.ask(kind, level, round, salt))
    }

    /// The promise: one signature for a kind, a level and a round.
    fn check(&self) {
        for (place, given) in &self.given {
            assert!(given.iter().all(|one| *one == given[0]), "two signatures at {place:?}: {given:?}");
        }
    }
}

/// Does what the comments of a configuration say, which `migrate` has written.
fn fill_in(env: &TestEnv, key: &KeyConfig) {
    let text = std::fs::read_to_string(env.config_file()).unwrap();
    let fill = |line: &str| {
        let Some((field, _)) = line.split_once("# FILL IN: ") else { return line.to_owned() };
        let indent = line.len() - line.trim_start().len();
        let field = field.trim().trim_start_matches("# ").split(':').next().unwrap();
        let value = match field {
            "module" => SOFTHSM.to_owned(),
            "token" => "test".to_owned(),
            "pinFile" => env.path.join("pin").display().to_string(),
            "publicKey" => key.public_key.to_string(),
            "label" => "tz3".to_owned(),
            field => panic!("{field}"),
        };
        format!("{:indent$}{field}: {value}", "")
    };
    let text = text.lines().map(fill).collect::<Vec<_>>().join("\n");
    let text = text.replace("/var/lib/tezos-signer/watermarks", &env.records().display().to_string());
    let admin = if text.contains("\nadmin:") { "" } else { "admin: 127.0.0.1:0\n" };
    std::fs::write(env.config_file(), admin.to_owned() + &text + "\n").unwrap();
}

/// What stands in the old signer's configuration.
fn configuration(old: OldSignerKind, key: &KeyConfig, address: SocketAddr) -> String {
    match old {
        OldSignerKind::Octez => format!(
            "ExecStart=/usr/bin/octez-signer --base-dir /var/lib/octez-signer launch http signer --port {} --check-high-watermark \
             --magic-bytes 0x11,0x12,0x13\n",
            address.port()
        ),
        OldSignerKind::Signatory => json!({
            "base_dir": "/var/lib/signatory",
            "server": {"address": address.to_string(), "utility_address": "127.0.0.1:0"},
            "vaults": {"hsm": {"driver": "pkcs11", "config": {
                "library_path": SOFTHSM, "pin": "not this one",
                "keys": [{"private": {"label": "tz3"}, "public_value": key.public_key.to_string()}],
            }}},
            "tezos": {key.hash().to_string(): {"allow": {"block": null, "preattestation": null, "attestation": null}}},
        })
        .to_string(),
        OldSignerKind::Python => json!({
            "hsm_lib": SOFTHSM, "hsm_slot": 1, "hsm_username": "resigner", "chain_ratchet": "dynamodb", "ddb_table": "x",
            "bind_port": address.port().to_string(),
            "keys": {key.hash().to_string(): {"public_key": key.public_key.to_string(), "signer": "amazon_hsm", "private_handle": 7}},
            "policy": {"baking": 1},
        })
        .to_string(),
    }
}

/// A host with an old signer that has signed, a guide to move from it, and the baker.
fn host(old: OldSignerKind) -> (Arc<Mutex<Host>>, DocRunner, Baker) {
    let (page, unit, file, port) = match old {
        OldSignerKind::Octez => ("octez-signer", "octez-signer", "etc/systemd/system/octez-signer.service", 6732),
        OldSignerKind::Signatory => ("signatory", "signatory", "etc/signatory.yaml", 6732),
        OldSignerKind::Python => ("python-signer", "remote-signer", "etc/remote-signer/keys.json", 5000),
    };
    // One key only: pkcs11-tool, by which the old signer signs, looks for no label.
    let env = TestEnv::with_keys(&[("tz3", "p256")]);
    let key = env.tz3();
    let mut signer = OldSigner::new(old, &env, &env.path.join("var/lib").join(unit));
    signer.start();
    let address = signer.address();
    let file = env.path.join(file);
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(file, configuration(old, &key, address)).unwrap();
    std::fs::remove_file(env.config_file()).unwrap();

    let mut doc = DocRunner::read(&format!("moving/{page}.md"), &env.path);
    let node = Node::start("NetXdQprcVkpaWU");
    let root = env.path.display();
    doc.replaced = vec![
        ("/etc/tezos-signer/config.yaml".to_owned(), env.config_file().display().to_string()),
        (" /etc/".to_owned(), format!(" {root}/etc/")),
        (" /var/lib/".to_owned(), format!(" {root}/var/lib/")),
        (format!("127.0.0.1:{port}"), address.to_string()),
        ("127.0.0.1:8732".to_owned(), node.address.to_string()),
    ];
    doc.set("SOFTHSM2_CONF", &env.softhsm_conf());
    let (signer_program, no_export) = (env!("CARGO_BIN_EXE_tezos-signer"), env.path.join(NO_EXPORT));
    doc.install(
        "tezos-signer",
        &format!(
            "#!/bin/sh\ncase \"$2\" in export) [ ! -e {} ] || exit 1 ;; esac\nexec {signer_program} \"$@\"\n",
            no_export.display()
        ),
    );
    let config = env.config_file();
    doc.install(
        "tezos-signer-run",
        &format!("#!/bin/sh\nexec {signer_program} \"$@\" --config {}\n", config.display()),
    );
    let client = Client::builder().pool_max_idle_per_host(0).build().unwrap();
    let baker = Baker { client, url: format!("http://{address}/keys/{}", key.hash()), key, given: HashMap::new() };
    let host = Arc::new(Mutex::new(Host { env, old: signer, unit, new: None, stuck: false }));
    let commands = answer_commands(host.clone());
    let curl = format!("curl --silent --fail http://{commands}");
    doc.install("systemctl", &format!("#!/bin/sh\nIFS=/\nexec {curl}/systemctl/\"$*\"\n"));
    doc.install(
        "aws",
        &format!(
            "#!/bin/sh\ncase $2 in\nscan) exec {curl}/scan ;;\nput-item) exec {curl}/put-item --data-binary @\"${{6#file://}}\" ;;\nesac\nexit 1\n"
        ),
    );
    (host, doc, baker)
}

fn there_and_back(old: OldSignerKind) {
    let (host, doc, mut baker) = host(old);
    for level in FIRST..FIRST + 4 {
        assert_eq!(baker.ask_all(level, 0, 1), [Some(200); 3]);
    }
    // The last thing in a later round: the old signer's mark.
    let mark = FIRST + 3;
    assert_eq!(
        baker.ask_all(mark, 2, 1),
        if old == OldSignerKind::Signatory { [Some(409), Some(200), Some(200)] } else { [Some(200); 3] }
    );

    let output = doc.run("Before").unwrap();
    assert!(output.contains("To fill in") && output.contains("Without an equivalent"), "{output}");
    fill_in(&host.lock().unwrap().env, &baker.key);

    // A signer that is still there is noticed.
    host.lock().unwrap().stuck = true;
    doc.run("Stop the old signer, and be sure").unwrap_err();
    host.lock().unwrap().stuck = false;
    doc.run("Stop the old signer, and be sure").unwrap();
    assert_eq!(baker.ask_all(mark + 1, 0, 1), [None; 3]);

    let table = doc.run("Import").unwrap();
    assert!(table.contains("no record"), "{table}");
    let output = doc.run("Check").unwrap();
    assert!(output.contains(" ms ") && output.contains("no block or vote of the key above it"), "{output}");
    assert_eq!(baker.ask_all(mark + 1, 0, 1), [None; 3]);
    doc.run("Start").unwrap();

    // Nothing at or below the mark, whatever it is; but the very same again, where the old signer has kept its signature.
    for (level, round) in [(mark, 2), (mark, 1), (mark, 0), (FIRST, 0)] {
        assert_eq!(baker.ask_all(level, round, 2), [Some(409); 3], "{level} {round}");
    }
    let again = if old == OldSignerKind::Octez { 200 } else { 409 };
    assert_eq!(baker.ask_all(mark, 2, 1), [Some(again); 3]);
    // The first signature above it, for votes in the very next round.
    let next_round = baker.ask_all(mark, 3, 2);
    assert_eq!(next_round, [Some(if old == OldSignerKind::Signatory { 409 } else { 200 }), Some(200), Some(200)]);
    for level in mark + 1..mark + 4 {
        assert_eq!(baker.ask_all(level, 1, 2), [Some(200); 3]);
    }

    // And back. One that does not stop, or rows that are not written: the old signer must not be started.
    let mark = mark + 3;
    host.lock().unwrap().stuck = true;
    doc.run("The way back").unwrap_err();
    assert!(!host.lock().unwrap().old.is_running());
    host.lock().unwrap().stuck = false;
    let no_export = host.lock().unwrap().env.path.join(NO_EXPORT);
    std::fs::write(&no_export, "").unwrap();
    doc.run("The way back").unwrap_err();
    assert!(!host.lock().unwrap().old.is_running());
    std::fs::remove_file(no_export).unwrap();
    doc.run("The way back").unwrap();
    assert!(host.lock().unwrap().new.is_none());
    for (level, round) in [(mark, 1), (mark, 0), (mark - 1, 7)] {
        let refused = baker.ask_all(level, round, 3);
        assert_eq!(refused, [Some(409); 3], "{level} {round}");
    }
    assert_eq!(baker.ask_all(mark + 1, 0, 3), [Some(200); 3]);
    baker.check();
    assert_eq!(baker.given.len(), if old == OldSignerKind::Signatory { 28 } else { 30 });
}

#[test]
fn from_octez_signer_and_back() {
    there_and_back(OldSignerKind::Octez);
}

#[test]
fn from_signatory_and_back() {
    there_and_back(OldSignerKind::Signatory);
}

#[test]
fn from_the_python_signer_and_back() {
    there_and_back(OldSignerKind::Python);
}
