//! `tezos` in Signatory's configuration: the keys, and what each may sign.

use super::super::object::{Object, shown, texts};
use super::super::{Draft, DraftKey, MigrateError, consensus_kind};
use super::public_keys;
use super::vaults::VaultKeys;
use serde_yaml::Value;
use std::collections::BTreeMap;
use tezos_signer_core::authentication::ClientKey;
use tezos_signer_core::cause::Cause;
use tezos_signer_core::key::{ChainId, KeyError, PublicKeyHash};
use tezos_signer_core::payload::operation::{OperationKind, Vote};
use tezos_signer_core::policy::PayloadKind;
use tezos_signer_core::position::ConsensusKind;

/// The requests of Signatory that are one kind here, by their names since Octez 18 and before.
const ATTESTATIONS: [(&str, &str); 2] =
    [("attestation", "attestation_with_dal"), ("endorsement", "endorsement_with_dal")];

pub(super) fn read(draft: &mut Draft, tezos: Option<&Value>, keys: &mut VaultKeys) -> Result<(), MigrateError> {
    Object::read(draft, "tezos", tezos, |draft, tezos| {
        let policies = tezos.rest();
        let is_only_key = policies.len() == 1;
        for (number, (name, policy)) in policies.into_iter().enumerate() {
            let located =
                |error: KeyError| Cause::of(error).map_text(|error| format!("tezos, entry {}: {error}", number + 1));
            let hash: PublicKeyHash = name.parse().map_err(|error| MigrateError(located(error)))?;
            let mut key = read_policy(draft, hash, policy)?;
            keys.select(&mut key, hash, is_only_key);
            draft.add(DraftKey { hash: Some(hash), ..key });
        }
        Ok(())
    })
}

fn read_policy(draft: &mut Draft, hash: PublicKeyHash, policy: &Value) -> Result<DraftKey, MigrateError> {
    let mut key = DraftKey::default();
    if policy.is_null() {
        draft.lose(
            hash.to_string(),
            "it has no policy there, which is Signatory's default, and was taken over: block, preattestation and attestation",
        );
        key.allow = PayloadKind::CONSENSUS.to_vec();
        return Ok(key);
    }
    Object::read(draft, &format!("{hash}:"), Some(policy), |draft, policy| {
        let requests = read_requests(draft, policy)?;
        for name in requests.keys().filter(|name| *name != "generic") {
            match consensus_kind(name) {
                Some(kind) => key.allow(kind),
                None => draft.change(policy.at(name), "this signer has no such kind of request"),
            }
        }
        key.allow.sort_by_key(|kind| PayloadKind::CONSENSUS.iter().position(|known| known == kind));
        report_dal(draft, policy, &requests, &key);
        for name in requests.get("generic").into_iter().flatten() {
            allow_operation(draft, &mut key, hash, name);
        }
        key.ballot.sort_unstable_by_key(ToString::to_string);
        key.ballot.dedup();
        match policy.texts("allowed_chains")?.as_deref() {
            None => {}
            Some([chain]) if chain.parse::<ChainId>().is_ok() => key.chain = chain.parse().ok(),
            Some(_) => draft.lose(policy.at("allowed_chains"), "a key signs for one chain: set chain"),
        }
        if let Some(keys) = policy.take("authorized_keys").filter(|keys| !keys.is_null()) {
            key.authorized_keys = clients_of_key(draft, &policy.at("authorized_keys"), keys);
        }
        policy.lose(
            draft,
            "log_payloads",
            "every request has a line in the audit log, with its digest; payloads are not logged",
        );
        if policy.take("jwt_users").is_some() {
            draft.change(
                policy.at("jwt_users"),
                "clients are not asked for tokens: they sign their requests instead (authorizedKeys)",
            );
        }
        key.allow_proof_of_possession =
            policy.take("allow_proof_of_possession").and_then(serde_yaml::Value::as_bool) == Some(true);
        Ok(())
    })?;
    Ok(key)
}

/// What may be asked for, by Signatory's names, with the operations of `generic`. `allow` replaces the two older fields.
fn read_requests(draft: &mut Draft, policy: &mut Object<'_>) -> Result<BTreeMap<String, Vec<String>>, MigrateError> {
    let mut requests = BTreeMap::new();
    if policy.has("allow") {
        let path = policy.at("allow");
        Object::read(draft, &path, policy.take("allow"), |draft, allow| {
            for (request, listed) in allow.rest() {
                let listed = texts(&format!("{path}.{}", shown(&request)), listed)?;
                if request != "generic" && !listed.is_empty() {
                    draft.lose(allow.at(&request), "its list has no meaning in Signatory, where only generic has one");
                }
                requests.insert(request, listed);
            }
            Ok(())
        })?;
        for field in ["allowed_operations", "allowed_kinds"] {
            policy.lose(draft, field, "Signatory ignores it where allow is set");
        }
        return Ok(requests);
    }
    policy.take("allow");
    let kinds = policy.texts("allowed_kinds")?.unwrap_or_default();
    for request in policy.texts("allowed_operations")?.unwrap_or_default() {
        requests.insert(request, Vec::new());
    }
    match requests.get_mut("generic") {
        Some(listed) => *listed = kinds,
        None if kinds.is_empty() => {}
        None => {
            draft
                .lose(policy.at("allowed_kinds"), "it has no effect, because allowed_operations does not have generic");
        }
    }
    Ok(requests)
}

/// Signatory asks for attestations with and without their DAL part by two names.
fn report_dal(draft: &mut Draft, policy: &Object<'_>, requests: &BTreeMap<String, Vec<String>>, key: &DraftKey) {
    let has = |name: &str| requests.contains_key(name);
    let with = ATTESTATIONS.iter().any(|(_, with)| has(with));
    let without = ATTESTATIONS.iter().any(|(without, _)| has(without));
    if key.allow.contains(&PayloadKind::Consensus(ConsensusKind::Attestation)) && with != without {
        let (allowed, other) = if with { ("with", "without") } else { ("without", "with") };
        draft.change(
            policy.at("attestation"),
            format!("allowed there only {allowed} its DAL part; here attestation allows those {other} it too, because both are one kind"),
        );
    }
}

/// Signatory asks a client to be in both lists.
fn clients_of_key(draft: &mut Draft, path: &str, keys: &Value) -> Vec<ClientKey> {
    let clients = public_keys(draft, path, keys);
    let others = clients.iter().filter(|client| !draft.authorized_keys.contains(client)).count();
    if draft.require_authentication && others > 0 {
        draft.change(
            path,
            format!(
                "{others} of its clients are not in server.authorized_keys, so Signatory has refused them; here the list of a key \
                 replaces that of the signer. Remove them if they must not ask"
            ),
        );
    }
    if clients.is_empty() {
        draft.change(
            path,
            "it names no client that was taken over, so Signatory has refused all; here the list of the signer holds",
        );
    }
    clients
}

fn allow_operation(draft: &mut Draft, key: &mut DraftKey, hash: PublicKeyHash, name: &str) {
    if consensus_kind(name).is_some() {
        draft.lose(format!("{hash}: generic: {name}"), "it has no effect: blocks and votes are requests of their own");
        return;
    }
    let (name, vote) = name.split_once(':').map_or((name, None), |(name, vote)| (name, Some(vote)));
    let votes: Vec<_> = [Vote::Yay, Vote::Nay, Vote::Pass]
        .into_iter()
        .filter(|known| vote.is_none_or(|vote| vote == known.to_string()))
        .collect();
    match (name.parse::<OperationKind>(), vote) {
        (Ok(OperationKind::DrainDelegate), _) => draft.change(
            format!("{hash}: drain_delegate"),
            "it transfers the whole balance of a baker and was not converted: set drainDelegate to allow it",
        ),
        (Ok(OperationKind::Ballot), _) if !votes.is_empty() => {
            key.ballot.extend(votes);
            key.allow(PayloadKind::Operation(OperationKind::Ballot));
        }
        (Ok(OperationKind::Ballot), _) => {
            draft.change(format!("{hash}: generic: ballot"), "its vote is none of yay, nay and pass, and was left out");
        }
        (Ok(kind), None) => key.allow(PayloadKind::Operation(kind)),
        _ => draft.change(
            format!("{hash}: generic: {}", shown(name)),
            "this signer has no operation of this name: see allow in docs/keys.md",
        ),
    }
}
