//! The Python signer's `keys.json` (tacoinfra/remote-signer: `tezos_signer/config.py`, and `signer.py` with `src/` of its older releases
//! and of their fork for IBM's GREP11).

use super::object::{Object, json_value};
use super::{Address, Draft, DraftKey, DraftPlace, MigrateError, START_ANEW};
use serde_yaml::Value;
use tezos_signer_core::key::{PublicKey, PublicKeyHash};
use tezos_signer_core::payload::operation::{OperationKind, Vote};
use tezos_signer_core::policy::PayloadKind;

/// The signers that are a token: the second name came later.
const HSM_SIGNERS: [&str; 2] = ["amazon_hsm", "pkcs11_hsm"];

/// The fields of a key with which it can be signed without a token.
const SECRETS: [&str; 3] = ["secret_key", "private_key", "secret_blob"];

pub(super) fn read(text: &str) -> Result<Draft, MigrateError> {
    let value = json_value(text)?;
    if !value.is_mapping() {
        return Err(MigrateError("it is not a JSON object: expected the Python signer's keys.json".into()));
    }
    let mut draft = Draft::default();
    Object::read(&mut draft, "", Some(&value), |draft, config| {
        let policy = Policy::read(draft, config.take("policy"))?;
        let signer = config.text("signer")?;
        match config.take("keys") {
            Some(Value::Mapping(keys)) => {
                for (name, fields) in keys {
                    read_key(draft, name.as_str().unwrap_or_default(), Some(fields), signer.as_deref(), &policy)?;
                }
            }
            Some(Value::Sequence(keys)) => {
                for name in keys {
                    let name = name.as_str().ok_or(MigrateError("keys has an entry that is not a text".into()))?;
                    read_key(draft, name, None, signer.as_deref(), &policy)?;
                }
            }
            _ => return Err(MigrateError("keys is missing: expected the Python signer's keys.json".into())),
        }
        read_rest(draft, config)
    })?;
    draft.report_open_listener();
    Ok(draft)
}

/// What is allowed, for all keys.
#[derive(Default)]
struct Policy {
    allow: Vec<PayloadKind>,
    ballot: Vec<Vote>,
}

impl Policy {
    fn read(draft: &mut Draft, policy: Option<&Value>) -> Result<Self, MigrateError> {
        Object::read(draft, "policy", policy, |draft, policy| {
            let mut all = Self::default();
            if policy.take("baking").is_some_and(is_true) {
                all.allow.extend(PayloadKind::CONSENSUS);
            }
            let mut unknown = 0;
            for word in policy.texts("voting")?.into_iter().flatten() {
                // What its own README called a yay.
                if word == "aye" {
                    draft.change(
                        "policy.voting: aye",
                        "taken over as yay. Releases whose word is yay have refused it: remove yay from ballot",
                    );
                }
                let word = if word == "aye" { "yay" } else { &word };
                match [Vote::Yay, Vote::Nay, Vote::Pass].into_iter().find(|vote| word == vote.to_string()) {
                    Some(vote) if all.ballot.contains(&vote) => {}
                    Some(vote) => all.ballot.push(vote),
                    None => unknown += 1,
                }
            }
            if unknown > 0 {
                draft.change(
                    "policy.voting",
                    format!("{unknown} of its entries are none of yay, nay and pass, and were left out"),
                );
            }
            if policy.take("allow_all").is_some_and(is_true) {
                draft.change(
                    "policy.allow_all",
                    "it allowed all operations. This signer needs each kind of operation in allow: add the kinds that you need, see \
                     docs/keys.md",
                );
            }
            if !all.ballot.is_empty() {
                all.allow.push(PayloadKind::Operation(OperationKind::Ballot));
            }
            Ok(all)
        })
    }
}

/// As Python sees it.
fn is_true(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(value) => *value,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Sequence(list) => !list.is_empty(),
        Value::Mapping(fields) => !fields.is_empty(),
        Value::Tagged(_) => true,
    }
}

/// `name` is `KEY`, or `KEY:SIGNER:ARGUMENTS`, where the key is an address, a public or a secret key. `default_signer` is that of the file.
fn read_key(
    draft: &mut Draft,
    name: &str,
    fields: Option<&Value>,
    default_signer: Option<&str>,
    policy: &Policy,
) -> Result<(), MigrateError> {
    let mut words = name.split(':');
    let word = words.next().unwrap_or_default();
    let hash: Option<PublicKeyHash> = word.parse().ok();
    let of_name: Option<PublicKey> = word.parse().ok();
    let path =
        of_name.as_ref().map(PublicKey::hash).or(hash).map_or_else(|| "keys".to_owned(), |hash| format!("{hash}:"));
    Object::read(draft, &path, fields, |draft, key| {
        let given = key.text("public_key")?;
        let public_key = of_name.or_else(|| given.as_deref()?.parse().ok());
        let signer = key.text("signer")?;
        let arguments = key.texts("signer_args")?.unwrap_or_default();
        let secret = SECRETS.into_iter().find(|secret| key.take(secret).is_some());
        let has_handle = key.take("private_handle").is_some();
        key.take("public_handle");
        key.take("pkh");
        let Some(address) = public_key.as_ref().map(PublicKey::hash).or(hash) else {
            draft.change(
                "a key without an address",
                "it has neither an address nor a public key, so it is a secret key in the file: keys outside an HSM are not supported",
            );
            return Ok(());
        };
        if hash.is_some_and(|hash| hash != address) {
            return Err(MigrateError(format!("keys: the public_key of {address} does not match the address").into()));
        }
        if given.is_some() && public_key.is_none() {
            draft.lose(key.at("public_key"), "not a public key, and was left out");
        }
        let mut words = words.map(str::to_owned);
        let signer = words.next().or(signer).or_else(|| default_signer.map(str::to_owned));
        let is_hsm = signer.as_deref().map_or(secret.is_none(), |signer| HSM_SIGNERS.contains(&signer));
        if !is_hsm {
            draft.change(address.to_string(), without_token(signer.as_deref(), secret));
            return Ok(());
        }
        if let Some(secret) = secret {
            draft.lose(
                key.at(secret),
                "not used by its signer, which is the HSM. Delete it from keys.json if the key is in the HSM",
            );
        }
        let given = words.next().or_else(|| arguments.first().cloned());
        // A number is the handle of an object, which in Client SDK 5 changes with each session.
        let (handle, label): (Vec<_>, Vec<_>) =
            given.into_iter().partition(|label| label.bytes().all(|digit| digit.is_ascii_digit()));
        let why = "it selected the key by an object handle, which is valid for one session only: select it by its label or id";
        if has_handle {
            draft.lose(key.at("private_handle"), why);
        } else if !handle.is_empty() {
            draft.lose(key.at("the argument of its signer"), why);
        }
        draft.add(DraftKey {
            hash: Some(address),
            public_key,
            label: label.into_iter().next(),
            allow: policy.allow.clone(),
            ballot: policy.ballot.clone(),
            ..DraftKey::default()
        });
        Ok(())
    })
}

/// Why a key of such a signer cannot be used. The name of a signer is repeated where it is one of those that exist.
fn without_token(signer: Option<&str>, secret: Option<&str>) -> String {
    let file = secret.map_or_else(String::new, |secret| format!(" Its {secret} is in the file."));
    match signer {
        Some("grep11") => format!(
            "left out: it is signed with by IBM's GREP11 server (signer: grep11), with a key that only that server's HSM can unwrap, \
             and not in a PKCS#11 token.{file} Make a new key in the HSM, and make it the consensus key of the baker"
        ),
        Some(signer @ ("local" | "mockery")) => {
            format!("left out: its signer is {signer}, and keys outside a PKCS#11 token are not supported.{file}")
        }
        Some(_) => {
            format!("left out: its signer is none that is known here, and not the HSM (amazon_hsm, pkcs11_hsm).{file}")
        }
        None => format!("left out: keys outside a PKCS#11 token are not supported.{file}"),
    }
}

fn read_rest(draft: &mut Draft, config: &mut Object<'_>) -> Result<(), MigrateError> {
    let host = config.text("bind_addr")?.unwrap_or_else(|| "127.0.0.1".to_owned());
    let port = config.text("bind_port")?.unwrap_or_else(|| "5000".to_owned());
    draft.listen = Address::of(Some(&host), Some(&port));
    draft.place = DraftPlace::Token { module: config.text("hsm_lib")? };
    config.lose(draft, "hsm_slot", "this signer finds a token by its label, not by its slot number");
    config.lose(
        draft,
        "hsm_username",
        "user and password form one PIN, USER:PASSWORD, in the file of pinFile; the password is in hsm_passwd",
    );
    read_ratchet(draft, config)?;
    for field in ["ddb_table", "aws_region", "boto3_endpoint"] {
        let why = "this signer keeps its records in files or in Kubernetes; the table is needed only for the export";
        config.lose(draft, field, why);
    }
    config.lose(draft, "db", "the file of the SQLite database; needed only for the export");
    for field in ["url", "cert_path", "key_path", "cacert_path"] {
        config.lose(draft, field, "of the connection to IBM's GREP11 server, which this signer does not use");
    }
    config.lose(
        draft,
        "node_addr",
        "the node that older releases asked for the head of the chain: nodeEndpoint is asked about signatures",
    );
    config.lose(
        draft,
        "ratchet",
        "no setting of the Python signer, although its README has it: the name is chain_ratchet",
    );
    Ok(())
}

fn read_ratchet(draft: &mut Draft, config: &mut Object<'_>) -> Result<(), MigrateError> {
    let instead = "replaced by the watermark record of this signer";
    let (what, why) = match config.text("chain_ratchet")?.as_deref() {
        Some("dynamodb") => (
            "chain_ratchet: dynamodb",
            format!(
                "{instead}. Import the table with tezos-signer watermarks import, see docs/moving/python-signer.md"
            ),
        ),
        Some("sqlitedb") => (
            "chain_ratchet: sqlitedb",
            format!(
                "{instead}. Its watermarks are in the database that the field db names: export them with sqlite3 -json FILE \
                 'SELECT * FROM signature' > table.json, and import table.json, see docs/moving/python-signer.md"
            ),
        ),
        Some("mockery") => (
            "chain_ratchet: mockery",
            format!("its watermarks were lost at each restart, so there are none to import: {START_ANEW}"),
        ),
        Some(_) => (
            "chain_ratchet",
            format!(
                "it is none of dynamodb, sqlitedb and mockery, so it is not known where its watermarks are. If they cannot be \
                 imported, {START_ANEW}"
            ),
        ),
        None => (
            "no chain_ratchet",
            format!(
                "releases without this setting kept their watermarks in the DynamoDB table that the environment named (REGION, \
                 DDB_TABLE): import it, see docs/moving/python-signer.md. If there is no table, {START_ANEW}"
            ),
        ),
    };
    draft.lose(what, why);
    Ok(())
}
