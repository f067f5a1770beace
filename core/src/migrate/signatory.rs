//! Signatory's configuration file (ecadlabs/signatory, `pkg/config/config.go`, and `docs/pkcs11.md` for the vault).

use super::{Draft, DraftKey, MigrateError, START_ANEW, address, consensus_kind, everybody_may_ask};
use crate::key::{PublicKey, PublicKeyHash};
use crate::payload::operation::{OperationKind, Vote};
use crate::policy::PayloadKind;
use serde_yaml::{Mapping, Value};

pub(super) fn read(text: &str) -> Result<Draft, MigrateError> {
    let wrong = |reason: &str| MigrateError(reason.to_owned());
    // Without the parser's own words: they may quote a secret.
    let Ok(Value::Mapping(config)) = serde_yaml::from_str::<Value>(text) else {
        return Err(wrong("it is no YAML with fields: expected Signatory's configuration file"));
    };
    let Some(Value::Mapping(tezos)) = config.get("tezos") else {
        return Err(wrong("tezos is missing: expected Signatory's configuration file"));
    };
    let mut draft = Draft { listen: address("", 6732), admin: address("", 9583), ..Draft::default() };
    let mut vault_keys = Vec::new();
    for (field, value) in fields(&config) {
        match field {
            "tezos" => {}
            "server" => read_server(&mut draft, value)?,
            "vaults" => read_vaults(&mut draft, value, &mut vault_keys),
            "watermark" => {
                let driver = value.get("driver").and_then(Value::as_str).unwrap_or("file");
                let instead = "the record of this signer takes its place. Import the";
                let why = match driver {
                    "file" => format!("{instead} files: docs/moving/signatory.md"),
                    "aws" => format!("{instead} table: docs/moving/signatory.md"),
                    "mem" => format!("it forgot all marks at each restart: {START_ANEW}"),
                    _ => format!("its marks cannot be imported: {START_ANEW}"),
                };
                draft.lose(format!("watermark.driver: {driver}"), why);
            }
            "base_dir" => {
                draft.lose("base_dir", "this signer keeps its records in the directory that watermarks.file names");
            }
            "policy_hook" => draft.lose(
                "policy_hook",
                "there is no second opinion here: what may be signed stands in allow and its limits",
            ),
            _ => draft.lose(field, "it is not known here"),
        }
    }
    let only_one = tezos.len() == 1;
    for (number, (name, policy)) in fields(tezos).enumerate() {
        let hash: PublicKeyHash =
            name.parse().map_err(|error| MigrateError(format!("tezos, entry {}: {error}", number + 1)))?;
        let key = read_key(&mut draft, hash, policy);
        let found =
            vault_keys.iter().find(|key: &&VaultKey| key.public_key.as_ref().is_some_and(|key| key.hash() == hash));
        let found = found
            .or_else(|| vault_keys.first().filter(|key| only_one && vault_keys.len() == 1 && key.public_key.is_none()));
        let (public_key, label, id) =
            found.map_or((None, None, None), |key| (key.public_key.clone(), key.label.clone(), key.id.clone()));
        if let Some(key) = key {
            draft.add(DraftKey { hash: Some(hash), public_key, label, id, ..key });
        }
    }
    everybody_may_ask(&mut draft);
    Ok(draft)
}

fn fields(mapping: &Mapping) -> impl Iterator<Item = (&str, &Value)> {
    mapping.iter().filter_map(|(name, value)| Some((name.as_str()?, value)))
}

fn texts(value: &Value) -> impl Iterator<Item = &str> {
    value.as_sequence().into_iter().flatten().filter_map(Value::as_str)
}

fn go_address(field: &str, value: &Value) -> Result<Option<std::net::SocketAddr>, MigrateError> {
    let parsed = value
        .as_str()
        .and_then(|text| text.rsplit_once(':'))
        .and_then(|(host, port)| address(host, port.parse().ok()?));
    parsed.map(Some).ok_or_else(|| MigrateError(format!("server.{field} is no IP address and port")))
}

fn read_server(draft: &mut Draft, server: &Value) -> Result<(), MigrateError> {
    for (field, value) in server.as_mapping().into_iter().flat_map(fields) {
        match field {
            "address" => draft.listen = go_address(field, value)?,
            "utility_address" => draft.admin = go_address(field, value)?,
            "authorized_keys" => {
                draft.require_authentication = true;
                draft.authorized_keys = public_keys(draft, "server.authorized_keys", value);
            }
            "jwt" => draft.lose(
                "server.jwt",
                "clients have no passwords and tokens here: they sign their requests, authorizedKeys",
            ),
            _ => draft.lose(format!("server.{field}"), "it is not known here"),
        }
    }
    Ok(())
}

/// One, or a list, or a list of lists.
fn public_keys(draft: &mut Draft, field: &str, value: &Value) -> Vec<PublicKey> {
    match value {
        Value::Sequence(all) => all.iter().flat_map(|value| public_keys(draft, field, value)).collect(),
        value => {
            let key = value.as_str().and_then(|text| text.parse().ok());
            if key.is_none() {
                draft.lose(field, "an entry of it is no public key, and was left out");
            }
            key.into_iter().collect()
        }
    }
}

/// What a vault says of one of its keys.
struct VaultKey {
    label: Option<String>,
    id: Option<String>,
    public_key: Option<PublicKey>,
}

fn read_vaults(draft: &mut Draft, vaults: &Value, keys: &mut Vec<VaultKey>) {
    for (name, vault) in vaults.as_mapping().into_iter().flat_map(fields) {
        let driver = vault.get("driver").and_then(Value::as_str).unwrap_or_default();
        if driver != "pkcs11" {
            let why = "this signer signs with a PKCS#11 token only: the keys of this vault cannot be used here";
            draft.lose(format!("vaults.{name} ({driver})"), why);
            continue;
        }
        if draft.module.is_some() {
            draft.lose(
                format!("vaults.{name}"),
                "a signer has one token here: run another one for the keys of this vault",
            );
            continue;
        }
        // The reference has them in `config`, the examples beside `driver`.
        let config = vault.get("config").and_then(Value::as_mapping).or_else(|| vault.as_mapping());
        for (field, value) in config.into_iter().flat_map(fields) {
            match field {
                "driver" => {}
                "library_path" => draft.module = value.as_str().map(str::to_owned),
                "pin" => draft.lose(
                    format!("vaults.{name}.pin"),
                    "the PIN is not in the configuration here: put it into the file that pinFile names, and remove it from Signatory's",
                ),
                "slot" => draft.lose(format!("vaults.{name}.slot"), "a token is found by its label here, not by the number of its slot"),
                "public_keys_search_options" => draft.lose(
                    format!("vaults.{name}.public_keys_search_options"),
                    "each key is named here by its label or id, and its public key is compared with the token's",
                ),
                "keys" => keys.extend(value.as_sequence().into_iter().flatten().map(|key| {
                    let private = |field: &str| Some(key.get("private")?.get(field)?.as_str()?.to_owned());
                    let public = key.get("public_value").and_then(Value::as_str).and_then(|text| text.parse().ok());
                    VaultKey { label: private("label"), id: private("id"), public_key: public }
                })),
                _ => draft.lose(format!("vaults.{name}.{field}"), "it is not known here"),
            }
        }
    }
}

/// The policy of a key; `None` where it only lists the key.
fn read_key(draft: &mut Draft, hash: PublicKeyHash, policy: &Value) -> Option<DraftKey> {
    let Value::Mapping(policy) = policy else {
        draft.lose(hash.to_string(), "it has no policy there, so nothing is signed with it: it is no key here");
        return None;
    };
    let mut key = DraftKey { allow: Vec::new(), ..DraftKey::default() };
    let (mut operations, mut kinds) = (Vec::new(), Vec::new());
    for (field, value) in fields(policy) {
        match field {
            "allow" => {
                for (request, allowed) in value.as_mapping().into_iter().flat_map(fields) {
                    operations.push(request);
                    kinds.extend(texts(allowed).filter(|_| request == "generic"));
                }
            }
            "allowed_operations" => operations.extend(texts(value)),
            "allowed_kinds" => kinds.extend(texts(value)),
            "allowed_chains" => {
                let chains: Vec<_> = texts(value).filter_map(|chain| chain.parse().ok()).collect();
                match chains[..] {
                    [chain] => key.chain = Some(chain),
                    _ => draft.lose(format!("{hash}: allowed_chains"), "a key is for one chain here: say which"),
                }
            }
            "authorized_keys" => key.authorized_keys = public_keys(draft, &format!("{hash}: authorized_keys"), value),
            "log_payloads" => draft.lose(
                format!("{hash}: log_payloads"),
                "every request has a line in the audit log, with its digest; a payload itself is not written down",
            ),
            "jwt_users" => draft.lose(format!("{hash}: jwt_users"), "clients sign their requests here: authorizedKeys"),
            "allow_proof_of_possession" => {
                draft.lose(
                    format!("{hash}: allow_proof_of_possession"),
                    "only tz4 keys have one, and those cannot be used here",
                );
            }
            _ => draft.lose(format!("{hash}: {field}"), "it is not known here"),
        }
    }
    for request in operations {
        match consensus_kind(request) {
            Some(kind) => key.allow(kind),
            None if request == "generic" => {}
            None => draft.lose(format!("{hash}: {request}"), "it is no kind of request here"),
        }
    }
    // Blocks and votes of blocks are requests of their own, and no generic operation.
    for kind in kinds.into_iter().filter(|kind| consensus_kind(kind).is_none()) {
        allow_operation(draft, &mut key, hash, kind);
    }
    key.ballot.sort_unstable_by_key(ToString::to_string);
    key.ballot.dedup();
    Some(key)
}

fn allow_operation(draft: &mut Draft, key: &mut DraftKey, hash: PublicKeyHash, name: &str) {
    let (name, vote) = name.split_once(':').map_or((name, None), |(name, vote)| (name, Some(vote)));
    let votes = [Vote::Yay, Vote::Nay, Vote::Pass];
    match (name.parse::<OperationKind>(), vote) {
        (Ok(OperationKind::DrainDelegate), _) => draft.lose(
            format!("{hash}: drain_delegate"),
            "it sends a baker's whole balance away, and is not taken over: it has a switch of its own, drainDelegate",
        ),
        (Ok(OperationKind::Ballot), vote) => {
            let meant = votes.into_iter().filter(|known| vote.is_none_or(|vote| vote == known.to_string()));
            key.ballot.extend(meant);
            key.allow(PayloadKind::Operation(OperationKind::Ballot));
        }
        (Ok(kind), None) => key.allow(PayloadKind::Operation(kind)),
        _ => {
            draft
                .lose(format!("{hash}: generic: {name}"), "no operation has this name here: see allow in docs/keys.md");
        }
    }
}
