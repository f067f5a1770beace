//! The Python signer's `keys.json` (tacoinfra/remote-signer, `tezos_signer/config.py`).

use super::{Draft, DraftKey, MigrateError, START_ANEW, address, everybody_may_ask};
use serde_json::{Map, Value};
use tezos_signer_core::key::{PublicKey, PublicKeyHash};
use tezos_signer_core::payload::operation::{OperationKind, Vote};
use tezos_signer_core::policy::PayloadKind;

/// The signers that are a token: the second name came later.
const HSM_SIGNERS: [&str; 2] = ["amazon_hsm", "pkcs11_hsm"];

pub(super) fn read(text: &str) -> Result<Draft, MigrateError> {
    let wrong = |reason: &str| MigrateError(reason.into());
    let Ok(Value::Object(config)) = serde_json::from_str::<Value>(text) else {
        return Err(wrong("it is not a JSON object: expected the Python signer's keys.json"));
    };
    let mut draft = Draft::default();
    let policy = Policy::read(&mut draft, config.get("policy"));
    match config.get("keys") {
        Some(Value::Object(keys)) => {
            for (name, key) in keys {
                let fields = key.as_object().ok_or_else(|| wrong("keys: an entry is not an object"))?;
                read_key(&mut draft, name, fields, &policy)?;
            }
        }
        Some(Value::Array(keys)) => {
            for key in keys {
                let name = key.as_str().ok_or_else(|| wrong("keys: an entry is not a string"))?;
                read_key(&mut draft, name, &Map::new(), &policy)?;
            }
        }
        _ => return Err(wrong("keys is missing: expected the Python signer's keys.json")),
    }
    read_rest(&mut draft, &config)?;
    everybody_may_ask(&mut draft);
    Ok(draft)
}

/// What is allowed, for all keys.
struct Policy {
    allow: Vec<PayloadKind>,
    ballot: Vec<Vote>,
}

impl Policy {
    fn read(draft: &mut Draft, policy: Option<&Value>) -> Self {
        let mut all = Self { allow: Vec::new(), ballot: Vec::new() };
        let Some(Value::Object(policy)) = policy else { return all };
        for (field, value) in policy {
            match field.as_str() {
                "baking" => {
                    if is_true(value) {
                        all.allow.splice(0..0, PayloadKind::CONSENSUS);
                    }
                }
                "voting" => {
                    for vote in value.as_array().into_iter().flatten() {
                        // What its own README called a yay.
                        let word = vote.as_str().map(|word| if word == "aye" { "yay" } else { word });
                        let known = [Vote::Yay, Vote::Nay, Vote::Pass].into_iter().find(|vote| word == Some(&vote.to_string()));
                        match known {
                            Some(vote) => all.ballot.push(vote),
                            None => draft.lose("policy.voting", "it has a vote other than yay, nay and pass"),
                        }
                    }
                }
                "allow_all" if is_true(value) => draft.lose(
                    "policy.allow_all",
                    "it allowed all operations. This signer needs each kind of operation in allow: add the kinds that you need, see \
                     docs/keys.md",
                ),
                "allow_all" => {}
                _ => draft.lose(format!("policy.{field}"), "unknown setting"),
            }
        }
        if !all.ballot.is_empty() {
            all.allow.push(PayloadKind::Operation(OperationKind::Ballot));
        }
        all
    }
}

/// As Python sees it.
fn is_true(value: &Value) -> bool {
    match value {
        Value::Bool(value) => *value,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::Null => false,
        _ => true,
    }
}

/// `name` is `KEY`, or `KEY:SIGNER:ARGUMENTS`, where the key is an address, a public or a secret key.
fn read_key(draft: &mut Draft, name: &str, fields: &Map<String, Value>, policy: &Policy) -> Result<(), MigrateError> {
    let text = |field: &str| fields.get(field).and_then(Value::as_str);
    let mut words = name.split(':');
    let word = words.next().unwrap_or_default();
    let hash: Option<PublicKeyHash> = word.parse().ok();
    let public_key: Option<PublicKey> = word.parse().ok().or_else(|| text("public_key")?.parse().ok());
    let Some(address) = public_key.as_ref().map(PublicKey::hash).or(hash) else {
        let number = draft.keys.len() + 1;
        draft.lose(
            format!("a key after {} others", number - 1),
            "it has neither an address nor a public key, so it is a secret key in the file: keys outside an HSM are not supported",
        );
        return Ok(());
    };
    if hash.is_some_and(|hash| hash != address) {
        return Err(MigrateError(format!("keys: the public_key of {address} does not match the address").into()));
    }
    let signer = words.next().or_else(|| text("signer")).unwrap_or(HSM_SIGNERS[0]);
    let arguments: Vec<&str> = words.collect();
    if !HSM_SIGNERS.contains(&signer) {
        let why = "its signer is not the HSM: keys outside a PKCS#11 token are not supported";
        draft.lose(address.to_string(), why);
        return Ok(());
    }
    let given = arguments.first().copied().or_else(|| fields.get("signer_args")?.as_array()?.first()?.as_str());
    // A number is the handle of an object, which in Client SDK 5 changes with each session.
    let label = given.filter(|label| !label.bytes().all(|digit| digit.is_ascii_digit()));
    if label.is_none() {
        let why = "it selected the key by an object handle, which is valid for one session only: select it by its label or id";
        draft.lose(format!("{address}: private_handle"), why);
    }
    for field in fields.keys() {
        match field.as_str() {
            "public_key" | "signer" | "signer_args" | "private_handle" | "public_handle" | "pkh" => {}
            "secret_key" | "private_key" => draft.lose(
                format!("{address}: {field}"),
                "a secret key in the file was not converted, because this signer signs only with keys in an HSM. Remove it from the file",
            ),
            _ => draft.lose(format!("{address}: {field}"), "unknown setting"),
        }
    }
    draft.add(DraftKey {
        hash: Some(address),
        public_key,
        label: label.map(str::to_owned),
        allow: policy.allow.clone(),
        ballot: policy.ballot.clone(),
        ..DraftKey::default()
    });
    Ok(())
}

fn read_rest(draft: &mut Draft, config: &Map<String, Value>) -> Result<(), MigrateError> {
    let text = |field: &str| config.get(field).and_then(Value::as_str);
    let port = match config.get("bind_port") {
        None => 5000,
        Some(port) => {
            let port = port.as_str().map_or_else(|| port.to_string(), str::to_owned);
            port.parse().map_err(|_| MigrateError("bind_port is not a port".into()))?
        }
    };
    let host = text("bind_addr").unwrap_or("127.0.0.1");
    let listen = address(host, port).ok_or_else(|| MigrateError("bind_addr is not an IP address".into()))?;
    draft.listen = Some(listen);
    draft.module = text("hsm_lib").map(str::to_owned);
    for field in config.keys() {
        match field.as_str() {
            "keys" | "policy" | "bind_addr" | "bind_port" | "hsm_lib" => {}
            "hsm_slot" => draft.lose("hsm_slot", "this signer finds a token by its label, not by its slot number"),
            "hsm_username" => draft.lose(
                "hsm_username",
                "user and password form one PIN, USER:PASSWORD, in the file of pinFile; the password is in hsm_passwd",
            ),
            "chain_ratchet" if text("chain_ratchet") == Some("dynamodb") => draft.lose(
                "chain_ratchet: dynamodb",
                "replaced by the watermark record of this signer. Import the table with tezos-signer watermarks import, see \
                 docs/moving/python-signer.md",
            ),
            "chain_ratchet" => draft.lose(
                "chain_ratchet",
                format!("its watermarks were lost at each restart, so there are none to import: {START_ANEW}"),
            ),
            "ddb_table" | "aws_region" | "boto3_endpoint" => {
                draft.lose(field, "this signer keeps its records in files or in Kubernetes; the table is needed only for the export");
            }
            _ => draft.lose(field, "unknown setting"),
        }
    }
    Ok(())
}
