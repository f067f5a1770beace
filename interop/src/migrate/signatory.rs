//! Signatory's configuration file (ecadlabs/signatory, `pkg/config/config.go`, and `docs/pkcs11.md` for the vault).

use super::{Draft, DraftKey, MigrateError, START_ANEW, address, consensus_kind, everybody_may_ask};
use serde_yaml::{Mapping, Value};
use tezos_signer_core::authentication::ClientKey;
use tezos_signer_core::cause::Cause;
use tezos_signer_core::key::{KeyError, PublicKey, PublicKeyHash};
use tezos_signer_core::payload::operation::{OperationKind, Vote};
use tezos_signer_core::policy::PayloadKind;

pub(super) fn read(text: &str) -> Result<Draft, MigrateError> {
    let wrong = |reason: &str| MigrateError(reason.into());
    // Without the parser's own words: they may quote a secret.
    let Ok(Value::Mapping(config)) = serde_yaml::from_str::<Value>(text) else {
        return Err(wrong("it is not a YAML mapping: expected Signatory's configuration file"));
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
                let instead = "replaced by the watermark record of this signer. Import the";
                let why = match driver {
                    "file" => format!("{instead} files: docs/moving/signatory.md"),
                    "aws" => format!("{instead} table: docs/moving/signatory.md"),
                    "mem" => format!("its watermarks were lost at each restart: {START_ANEW}"),
                    _ => format!("its watermarks cannot be imported: {START_ANEW}"),
                };
                draft.lose(format!("watermark.driver: {driver}"), why);
            }
            "base_dir" => {
                draft.lose("base_dir", "this signer keeps its records in the directory of watermarks.file");
            }
            "policy_hook" => {
                draft.lose("policy_hook", "not supported: allow and its limits are the only policy of a key");
            }
            _ => draft.lose(field, "unknown setting"),
        }
    }
    let only_one = tezos.len() == 1;
    for (number, (name, policy)) in fields(tezos).enumerate() {
        let located =
            |error: KeyError| Cause::of(error).map_text(|error| format!("tezos, entry {}: {error}", number + 1));
        let hash: PublicKeyHash = name.parse().map_err(|error| MigrateError(located(error)))?;
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
    parsed.map(Some).ok_or_else(|| MigrateError(format!("server.{field} is not an IP address with a port").into()))
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
                "passwords and tokens are not supported: clients sign their requests (authorizedKeys)",
            ),
            _ => draft.lose(format!("server.{field}"), "unknown setting"),
        }
    }
    Ok(())
}

/// One, or a list, or a list of lists.
fn public_keys(draft: &mut Draft, field: &str, value: &Value) -> Vec<ClientKey> {
    match value {
        Value::Sequence(all) => all.iter().flat_map(|value| public_keys(draft, field, value)).collect(),
        value => {
            let key = value.as_str().and_then(|text| text.parse().ok());
            if key.is_none() {
                draft.lose(field, "an entry is not a public key, and was left out");
            }
            key.into_iter().collect()
        }
    }
}

/// A key of a vault.
struct VaultKey {
    label: Option<String>,
    id: Option<String>,
    public_key: Option<PublicKey>,
}

fn read_vaults(draft: &mut Draft, vaults: &Value, keys: &mut Vec<VaultKey>) {
    for (name, vault) in vaults.as_mapping().into_iter().flat_map(fields) {
        let driver = vault.get("driver").and_then(Value::as_str).unwrap_or_default();
        if driver != "pkcs11" {
            let why = "this signer supports only PKCS#11 tokens: the keys of this vault cannot be used";
            draft.lose(format!("vaults.{name} ({driver})"), why);
            continue;
        }
        if draft.module.is_some() {
            draft.lose(
                format!("vaults.{name}"),
                "a signer has one token: run another signer for the keys of this vault",
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
                    "the configuration of this signer has no PIN: put it into the file of pinFile, and remove it from Signatory's \
                     configuration",
                ),
                "slot" => draft.lose(format!("vaults.{name}.slot"), "this signer finds a token by its label, not by its slot number"),
                "public_keys_search_options" => draft.lose(
                    format!("vaults.{name}.public_keys_search_options"),
                    "this signer selects each key by its label or id, and compares its public key with the key in the token",
                ),
                "keys" => keys.extend(value.as_sequence().into_iter().flatten().map(|key| {
                    let private = |field: &str| Some(key.get("private")?.get(field)?.as_str()?.to_owned());
                    let public = key.get("public_value").and_then(Value::as_str).and_then(|text| text.parse().ok());
                    VaultKey { label: private("label"), id: private("id"), public_key: public }
                })),
                _ => draft.lose(format!("vaults.{name}.{field}"), "unknown setting"),
            }
        }
    }
}

/// The policy of a key; `None` if the key is only listed.
fn read_key(draft: &mut Draft, hash: PublicKeyHash, policy: &Value) -> Option<DraftKey> {
    let Value::Mapping(policy) = policy else {
        draft.lose(hash.to_string(), "it has no policy there, so nothing is signed with it, and it was left out");
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
                    _ => draft.lose(format!("{hash}: allowed_chains"), "a key signs for one chain: set chain"),
                }
            }
            "authorized_keys" => key.authorized_keys = public_keys(draft, &format!("{hash}: authorized_keys"), value),
            "log_payloads" => draft.lose(
                format!("{hash}: log_payloads"),
                "every request has a line in the audit log, with its digest; payloads are not logged",
            ),
            "jwt_users" => {
                draft.lose(format!("{hash}: jwt_users"), "clients sign their requests instead (authorizedKeys)");
            }
            "allow_proof_of_possession" => {
                draft.lose(
                    format!("{hash}: allow_proof_of_possession"),
                    "only tz4 keys have one, and this signer does not support them",
                );
            }
            _ => draft.lose(format!("{hash}: {field}"), "unknown setting"),
        }
    }
    for request in operations {
        match consensus_kind(request) {
            Some(kind) => key.allow(kind),
            None if request == "generic" => {}
            None => draft.lose(format!("{hash}: {request}"), "this signer has no such kind of request"),
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
            "it transfers the whole balance of a baker and was not converted: set drainDelegate to allow it",
        ),
        (Ok(OperationKind::Ballot), vote) => {
            let meant = votes.into_iter().filter(|known| vote.is_none_or(|vote| vote == known.to_string()));
            key.ballot.extend(meant);
            key.allow(PayloadKind::Operation(OperationKind::Ballot));
        }
        (Ok(kind), None) => key.allow(PayloadKind::Operation(kind)),
        _ => {
            draft.lose(
                format!("{hash}: generic: {name}"),
                "this signer has no operation of this name: see allow in docs/keys.md",
            );
        }
    }
}
