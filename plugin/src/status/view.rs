//! From a TezosSigner and what is known now to one line for each key. Pure.

use super::live::{Live, LivePod};
use crate::error::PluginError;
use crate::output;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt as _;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use tezos_signer_core::audit::{Event, Line, Outcome, Request};
use tezos_signer_core::key::SigningPublicKey;
use tezos_signer_core::position::{Level, Position, Round};
use tezos_signer_core::status::{self, SignedRows};
use tezos_signer_operator::api::annotations::is_paused;
use tezos_signer_operator::api::{self, RowStatus, TezosSigner};

/// The operator reports the rows of a key that signs every ten minutes.
const OPERATOR_REPORTS_WITHIN: SignedDuration = SignedDuration::from_mins(11);

/// A TezosSigner, as it is shown.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SignerView {
    pub(crate) namespace: String,
    pub(crate) name: String,
    /// The condition `Ready`: True, False or Unknown.
    pub(crate) ready: String,
    /// Its reason, in one word.
    pub(crate) reason: String,
    /// Its sentence.
    pub(crate) message: String,
    pub(crate) paused: bool,
    pub(crate) keys: Vec<KeyView>,
    /// What is not known, and why; and what is odd.
    pub(crate) notes: Vec<String>,
}

impl SignerView {
    /// The key whose record has that name.
    pub(crate) fn key(&self, record: &str) -> Option<&KeyView> {
        self.keys.iter().find(|key| key.record.as_deref() == Some(record))
    }
}

/// A key, as it is shown.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct KeyView {
    pub(crate) public_key_hash: String,
    pub(crate) record: Option<String>,
    /// Whether it signs now, as far as is known.
    pub(crate) ready: Option<bool>,
    /// The pod, or the signer outside the cluster, that signs with it.
    pub(crate) holder: Option<String>,
    pub(crate) block: Option<PositionView>,
    pub(crate) preattestation: Option<PositionView>,
    pub(crate) attestation: Option<PositionView>,
    pub(crate) ceiling: Option<i64>,
    pub(crate) suspended: bool,
    /// The level of the node's head.
    pub(crate) head: Option<u32>,
    /// How many levels the last signature is below it.
    pub(crate) behind: Option<i64>,
    /// Whether the HSM, AWS KMS or the sealing key signs with it.
    pub(crate) hsm: Option<bool>,
    pub(crate) last_signature: Option<Timestamp>,
    pub(crate) last_signature_age_seconds: Option<i64>,
    /// Why it does not sign.
    pub(crate) why_not: Option<String>,
    /// Where the positions are from: the signer, its log, or the status of the TezosSigner, which may be ten minutes old.
    pub(crate) source: Option<&'static str>,
    /// When the operator has read the positions, if they are from it.
    pub(crate) read_at: Option<Timestamp>,
}

/// A row of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct PositionView {
    pub(crate) level: i64,
    pub(crate) round: i64,
    /// False for a floor: nothing was signed there, and nothing at or below it will be.
    pub(crate) signed: bool,
}

impl PositionView {
    fn of(level: i64, round: i64) -> Self {
        // A fresh record is at the beginning of the chain.
        let is_floor = round == i64::from(Round::MAX.get()) || (level, round) == (0, 0);
        Self { level, round, signed: !is_floor }
    }
}

impl From<Position> for PositionView {
    fn from(position: Position) -> Self {
        Self::of(position.level.get().into(), position.round.get().into())
    }
}

impl From<RowStatus> for PositionView {
    fn from(row: RowStatus) -> Self {
        Self::of(row.level, row.round)
    }
}

/// A TezosSigner that this release cannot read.
pub(super) fn of_unreadable(metadata: &ObjectMeta, error: &str) -> SignerView {
    SignerView {
        namespace: metadata.namespace.clone().unwrap_or_default(),
        name: metadata.name.clone().unwrap_or_default(),
        ready: "Unknown".to_owned(),
        reason: "Unreadable".to_owned(),
        message: format!("this release of the plugin cannot read it: {error}. Update the plugin"),
        paused: false,
        keys: Vec::new(),
        notes: Vec::new(),
    }
}

/// `signer` with what is known `now`.
pub(super) fn of_signer(signer: &TezosSigner, live: &Live, now: Timestamp) -> SignerView {
    let status = signer.status.clone().unwrap_or_default();
    let ready = status.conditions.iter().find(|condition| condition.type_ == "Ready");
    let hsm = status.conditions.iter().find(|condition| condition.type_ == "HsmReady");
    let mut notes = BTreeSet::new();
    let pods = match &live.pods {
        Ok(pods) => pods.as_slice(),
        Err(error) => {
            notes.insert(unknown("the pods", error));
            &[]
        }
    };
    for pod in pods {
        if let Err(error) = &pod.status {
            notes.insert(unknown(&format!("the answer of {}", subject(error, pod)), error));
        }
        if let Err(error) = &pod.audit {
            notes.insert(unknown(&format!("the log of {}", subject(error, pod)), error));
        }
    }
    let head = match &live.head {
        Some(Ok(head)) => Some(*head),
        Some(Err(error)) => {
            notes.insert(unknown("the head of the chain", error));
            None
        }
        None => None,
    };
    let is_ready = |text: &str| match text {
        "True" => Some(true),
        "False" => Some(false),
        _ => None,
    };
    let of_operator = OfOperator {
        ready: ready.and_then(|condition| is_ready(&condition.status)),
        hsm: hsm.and_then(|condition| is_ready(&condition.status)),
        message: ready.map(|condition| condition.message.clone()),
    };
    let mut keys: Vec<KeyView> = status.keys.iter().map(|key| key_view(key, &of_operator, pods, head, now)).collect();
    for hash in unclaimed(signer, &status.keys) {
        keys.push(without_record(hash, &of_operator));
    }
    if let Some(age) = silence(&status.keys, &keys, now) {
        notes.insert(format!(
            "the operator reported last {} ago, although the signer has signed since: is it running? kubectl get deployments \
             --all-namespaces --selector app.kubernetes.io/name=tezos-signer-operator",
            output::age(age)
        ));
    }
    if status.observed_generation != signer.metadata.generation {
        notes.insert("the operator has not reported on the newest spec yet".to_owned());
    }
    // It signs, and somebody should do something all the same.
    if let Some(warned) = ready.filter(|condition| condition.status == "True" && condition.reason != SIGNING) {
        notes.insert(format!("{}: {}", signer.name_any(), warned.message));
    }
    SignerView {
        namespace: signer.namespace().unwrap_or_default(),
        name: signer.name_any(),
        ready: ready.map_or("Unknown", |condition| &condition.status).to_owned(),
        reason: ready.map_or("NoStatus", |condition| &condition.reason).to_owned(),
        message: of_operator.message.unwrap_or_else(|| NO_STATUS.to_owned()),
        paused: is_paused(signer),
        keys,
        notes: notes.into_iter().collect(),
    }
}

/// The reason of the condition `Ready` while there is nothing to do.
const SIGNING: &str = "Signing";

/// A TezosSigner that nobody has looked at.
const NO_STATUS: &str = "the operator has not reported on it: is it running, and does it watch this namespace?";

/// What the conditions say.
struct OfOperator {
    ready: Option<bool>,
    hsm: Option<bool>,
    message: Option<String>,
}

fn unknown(what: &str, error: &PluginError) -> String {
    match error.denied() {
        // Once for each right, in few words: the rest is there.
        Some(right) => format!("without {what}: you have no right to {}", right.asked()),
        None => format!("without {what}: {error}"),
    }
}

/// One note for all pods if a right is missing.
fn subject(error: &PluginError, pod: &LivePod) -> String {
    if error.denied().is_some() { "the signers".to_owned() } else { pod.name.clone() }
}

/// The addresses of `spec.keys` that have no record yet.
fn unclaimed(signer: &TezosSigner, claimed: &[api::KeyStatus]) -> Vec<String> {
    let addresses = signer.spec.keys.iter().map(|key| {
        let parsed = key.public_key.parse::<SigningPublicKey>();
        parsed.map_or_else(|_| key.public_key.clone(), |key| key.hash().to_string())
    });
    addresses.filter(|hash| claimed.iter().all(|key| key.public_key_hash != *hash)).collect()
}

fn without_record(public_key_hash: String, of_operator: &OfOperator) -> KeyView {
    KeyView {
        public_key_hash,
        record: None,
        ready: Some(false),
        holder: None,
        block: None,
        preattestation: None,
        attestation: None,
        ceiling: None,
        suspended: false,
        head: None,
        behind: None,
        hsm: of_operator.hsm,
        last_signature: None,
        last_signature_age_seconds: None,
        why_not: Some(of_operator.message.clone().unwrap_or_else(|| NO_STATUS.to_owned())),
        source: None,
        read_at: None,
    }
}

/// The rows of a key with the place that they are from.
struct Rows {
    block: Option<PositionView>,
    preattestation: Option<PositionView>,
    attestation: Option<PositionView>,
    source: &'static str,
}

fn key_view(
    key: &api::KeyStatus,
    of_operator: &OfOperator,
    pods: &[LivePod],
    chain_head: Option<Level>,
    now: Timestamp,
) -> KeyView {
    let answers = pods.iter().filter_map(|pod| Some((pod, pod.status.as_ref().ok()?)));
    let answers: Vec<(&LivePod, bool, &status::KeyStatus, &[String])> = answers
        .filter_map(|(pod, status)| {
            let of_key = status.keys.iter().find(|one| one.record.as_str() == key.record)?;
            Some((pod, status.ready, of_key, status.reasons.as_slice()))
        })
        .collect();
    // The holder knows best. A standby has seen the record too.
    let best = answers.iter().find(|(_, _, key, _)| key.held).or_else(|| answers.first());
    let held = answers.iter().find(|(_, _, key, _)| key.held);
    let logged = last_signatures(pods, &key.public_key_hash, &key.chain);
    let last = logged.values().map(|(_, time)| *time).max();
    let reported_at = key.rows.as_ref().map(|rows| rows.read_at.0);
    let Rows { block, preattestation, attestation, source } = rows(key, best.map(|(_, _, key, _)| &key.rows), &logged);
    let highest =
        [block, preattestation, attestation].into_iter().flatten().filter(|row| row.signed).map(|row| row.level).max();
    let behind = chain_head.zip(highest).map(|(head, level)| i64::from(head.get()) - level);
    let ready = match best {
        Some((_, ready, live, reasons)) => {
            let is_well =
                held.is_some() && live.hsm.is_none() && !live.suspended && !live.went_back && !live.is_at_ceiling();
            Some(is_well && (*ready || are_of_other_keys(reasons, &key.public_key_hash)))
        }
        None => of_operator.ready.map(|ready| ready && !key.suspended),
    };
    let suspended = best.map_or(key.suspended, |(_, _, live, _)| live.suspended);
    KeyView {
        public_key_hash: key.public_key_hash.clone(),
        record: Some(key.record.clone()),
        ready,
        holder: held.map(|(pod, ..)| pod.name.clone()).or_else(|| {
            let holder = key.holder.as_ref()?;
            Some(holder.pod.clone().unwrap_or_else(|| holder.identity.clone()))
        }),
        block,
        preattestation,
        attestation,
        ceiling: best.map_or(key.ceiling, |(_, _, live, _)| live.ceiling.map(|level| level.get().into())),
        suspended,
        head: chain_head.map(Level::get),
        behind,
        hsm: best.map_or(of_operator.hsm, |(_, _, live, _)| Some(live.hsm.is_none())),
        last_signature: last,
        last_signature_age_seconds: last.map(|last| now.duration_since(last).as_secs()),
        why_not: if ready == Some(true) {
            None
        } else {
            why_not(of_operator, best.map(|(_, _, key, reasons)| (*key, *reasons)))
        },
        source: Some(source),
        read_at: reported_at.filter(|_| source == "status"),
    }
}

/// Whether a signer is not ready because of other keys only: reasons about one key begin with its address.
fn are_of_other_keys(reasons: &[String], key: &str) -> bool {
    !reasons.is_empty() && reasons.iter().all(|reason| reason.starts_with("tz") && !reason.starts_with(key))
}

/// Why a key does not sign. The operator's sentence says what to do; where it says that all is well, the signer's own is newer.
fn why_not(of_operator: &OfOperator, live: Option<(&status::KeyStatus, &[String])>) -> Option<String> {
    let of_signer = live.and_then(|(key, reasons)| {
        let own = key.hsm.clone().or_else(|| key.reason.clone());
        let suspended = || key.suspended.then(|| "the record is suspended".to_owned());
        let ceiling = || key.is_at_ceiling().then(|| "a row has reached the ceiling of the record".to_owned());
        let of_process = || (!reasons.is_empty()).then(|| reasons.join("; "));
        own.or_else(suspended).or_else(ceiling).or_else(of_process)
    });
    let sentence = of_operator.message.clone();
    if of_operator.ready == Some(true) { of_signer.or(sentence) } else { sentence.or(of_signer) }
}

/// The highest known position of each kind: rows only rise.
fn rows(key: &api::KeyStatus, live: Option<&SignedRows>, signed: &BTreeMap<String, (Position, Timestamp)>) -> Rows {
    let reported = key.rows.as_ref();
    let highest = |kind: &str, reported: Option<RowStatus>, live: Option<Position>| {
        let logged = signed.get(kind).map(|(position, _)| PositionView::from(*position));
        let all = [reported.map(PositionView::from), live.map(PositionView::from), logged];
        all.into_iter().flatten().max_by_key(|row| (row.level, row.round))
    };
    Rows {
        block: highest("block", reported.and_then(|rows| rows.block), live.and_then(|rows| rows.block)),
        preattestation: highest(
            "preattestation",
            reported.and_then(|rows| rows.preattestation),
            live.and_then(|rows| rows.preattestation),
        ),
        attestation: highest(
            "attestation",
            reported.and_then(|rows| rows.attestation),
            live.and_then(|rows| rows.attestation),
        ),
        source: match (live, signed.is_empty()) {
            (Some(_), _) => "signer",
            (None, false) => "log",
            (None, true) => "status",
        },
    }
}

/// The last signature of each kind with the key, by the logs of `pods`.
fn last_signatures(pods: &[LivePod], key: &str, chain: &str) -> BTreeMap<String, (Position, Timestamp)> {
    let lines = pods.iter().filter_map(|pod| pod.audit.as_ref().ok()).flatten();
    let mut last = BTreeMap::new();
    for Line { time, event, .. } in lines {
        let Event::Outcome { request, outcome: Outcome::Signed, .. } = event else { continue };
        let Request { key: Some(of), chain: Some(on), kind: Some(kind), position: Some(position), .. } = request else {
            continue;
        };
        if of.to_string() == key && on.to_string() == chain {
            let entry = last.entry(kind.to_string()).or_insert((*position, *time));
            if (entry.0, entry.1) < (*position, *time) {
                *entry = (*position, *time);
            }
        }
    }
    last
}

/// How long the operator has not reported, if a key has signed above what it has reported.
fn silence(reported: &[api::KeyStatus], shown: &[KeyView], now: Timestamp) -> Option<SignedDuration> {
    let silent = reported.iter().filter_map(|key| {
        let rows = key.rows.as_ref()?;
        let view = shown.iter().find(|view| view.record.as_deref() == Some(&key.record))?;
        let newest =
            [view.block, view.preattestation, view.attestation].into_iter().flatten().map(|row| row.level).max();
        let known =
            [rows.block, rows.preattestation, rows.attestation].into_iter().flatten().map(|row| row.level).max();
        let age = now.duration_since(rows.read_at.0);
        (newest > known && age > OPERATOR_REPORTS_WITHIN).then_some(age)
    });
    silent.max()
}

#[cfg(test)]
pub(super) mod tests;
