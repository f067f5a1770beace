//! What has become of one TezosSigner that was to be suspended or resumed, and what to do if it is not. Pure.

use kube::ResourceExt as _;
use serde::Serialize;
use std::fmt;
use tezos_signer_operator::api::TezosSigner;
use tezos_signer_operator::api::annotations::is_paused;

/// What has become of it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Outcome {
    pub(super) namespace: String,
    pub(super) name: String,
    /// What was wanted.
    pub(super) suspend: bool,
    /// Whether every record says so.
    pub(super) done: bool,
    pub(super) records: Vec<RecordOutcome>,
    pub(super) notes: Vec<String>,
    #[serde(skip)]
    refused: Option<String>,
    #[serde(skip)]
    paused: bool,
}

/// What a record says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RecordOutcome {
    pub(super) record: String,
    pub(super) public_key_hash: String,
    pub(super) suspended: bool,
    /// Whether a person has suspended it, and not `spec.suspend`; `null` if the record cannot be read.
    pub(super) by_hand: Option<bool>,
}

impl Outcome {
    pub(super) fn new(namespace: &str, name: &str, suspend: bool) -> Self {
        Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            suspend,
            done: false,
            records: Vec::new(),
            notes: Vec::new(),
            refused: None,
            paused: false,
        }
    }

    /// Takes in what the cluster says now.
    pub(super) fn observe(&mut self, signer: Option<&TezosSigner>, records: Vec<RecordOutcome>) {
        self.done = records.iter().all(|record| record.suspended == self.suspend);
        self.records = records;
        self.refused = signer.and_then(refusal);
        self.paused = signer.is_some_and(is_paused);
        if let Some(manager) = signer.and_then(manager) {
            let note = format!(
                "{manager} manages this TezosSigner: it sets spec.suspend back if its source has that field (docs/gitops.md)"
            );
            if !self.notes.contains(&note) {
                self.notes.push(note);
            }
        }
    }

    /// Whether no time changes it: a person has suspended the record, or the spec is not in use.
    pub(super) fn is_hopeless(&self) -> bool {
        let left: Vec<_> = self.records.iter().filter(|record| record.suspended).collect();
        let by_hand = !left.is_empty() && left.iter().all(|record| record.by_hand == Some(true));
        !self.suspend && (by_hand || self.refused.is_some() || self.paused)
    }

    /// Adds what to do, if it is not done.
    pub(super) fn conclude(&mut self, waited: u64) {
        if self.done {
            if self.records.is_empty() {
                self.notes.push("it has no watermark record yet, so there is nothing that could sign".to_owned());
            }
            return;
        }
        let keys: Vec<&str> = self
            .records
            .iter()
            .filter(|record| record.suspended != self.suspend)
            .map(|record| record.public_key_hash.as_str())
            .collect();
        let (keys, name) = (keys.join(", "), &self.name);
        let by_hand = self.records.iter().any(|record| record.suspended && record.by_hand == Some(true));
        let note = match (self.suspend, &self.refused) {
            (true, _) => format!(
                "spec.suspend is true, but after {waited} s the record of {keys} is not suspended: the signer still signs. Is the operator running? \
                 kubectl get deployments --all-namespaces --selector app.kubernetes.io/name=tezos-signer-operator. To write it to the record \
                 yourself: kubectl tezos-signer suspend {name} --namespace {} --break-glass",
                self.namespace
            ),
            (false, Some(reason)) => {
                format!("{keys} stays suspended until the spec is accepted, which it is not: {reason}")
            }
            (false, None) if by_hand => format!(
                "{keys} stays suspended, because a person has suspended its record. If that is over: kubectl tezos-signer resume {name} --namespace {} \
                 --break-glass",
                self.namespace
            ),
            (false, None) if self.paused => format!(
                "{keys} stays suspended while the TezosSigner is paused: kubectl annotate tezossigner {name} --namespace {} signer.tezos.io/paused-",
                self.namespace
            ),
            (false, None) => format!(
                "spec.suspend is removed, but after {waited} s the record of {keys} is still suspended: is the operator running? A record that a person \
                 has suspended is lifted by --break-glass only"
            ),
        };
        self.notes.push(note);
    }
}

/// Why the spec is not in use, if it is not.
fn refusal(signer: &TezosSigner) -> Option<String> {
    let conditions = signer.status.iter().flat_map(|status| &status.conditions);
    let mut accepted = conditions.filter(|condition| condition.type_ == "Accepted" && condition.status == "False");
    accepted.next().map(|condition| condition.message.clone())
}

/// The tool that writes this TezosSigner from a source of its own, by the marks that it leaves.
fn manager(signer: &TezosSigner) -> Option<&'static str> {
    let labels = signer.labels();
    let marks = |prefix: &str| labels.keys().chain(signer.annotations().keys()).any(|name| name.starts_with(prefix));
    if marks("argocd.argoproj.io/") {
        Some("Argo CD")
    } else if marks("kustomize.toolkit.fluxcd.io/") || marks("helm.toolkit.fluxcd.io/") {
        Some("Flux")
    } else if labels.get("app.kubernetes.io/managed-by").is_some_and(|by| by == "Helm") {
        Some("Helm")
    } else {
        None
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match (self.done, self.suspend) {
            (true, true) => "suspended: nothing is signed",
            (true, false) => "resumed: its keys may sign",
            (false, true) => "NOT suspended",
            (false, false) => "NOT resumed",
        };
        writeln!(f, "{}/{}: {state}", self.namespace, self.name)?;
        for record in &self.records {
            let state = if record.suspended { "suspended" } else { "not suspended" };
            let by = if record.by_hand == Some(true) { ", by hand" } else { "" };
            writeln!(f, "  {}  {state}{by}", record.public_key_hash)?;
        }
        self.notes.iter().try_for_each(|note| writeln!(f, "  Note: {note}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(suspended: bool, by_hand: Option<bool>) -> RecordOutcome {
        RecordOutcome { record: "watermark-x".to_owned(), public_key_hash: "tz3one".to_owned(), suspended, by_hand }
    }

    fn concluded(suspend: bool, records: Vec<RecordOutcome>) -> Outcome {
        let mut outcome = Outcome::new("bakers", "a", suspend);
        outcome.observe(None, records);
        outcome.conclude(30);
        outcome
    }

    #[test]
    fn a_suspension_that_is_not_written_says_that_the_signer_still_signs_and_how_to_stop_it() {
        let outcome = concluded(true, vec![record(false, Some(false))]);
        assert!(!outcome.done && !outcome.is_hopeless());
        let text = outcome.to_string();
        for part in [
            "bakers/a: NOT suspended",
            "tz3one",
            "still signs",
            "Is the operator running?",
            "suspend a --namespace bakers --break-glass",
        ] {
            assert!(text.contains(part), "{part} is missing in: {text}");
        }
    }

    #[test]
    fn what_a_person_has_suspended_is_not_waited_for() {
        let outcome = concluded(false, vec![record(true, Some(true))]);
        assert!(outcome.is_hopeless() && !outcome.done);
        assert!(outcome.to_string().contains("resume a --namespace bakers --break-glass"), "{outcome}");
        // Not known: it is waited for.
        assert!(!concluded(false, vec![record(true, None)]).is_hopeless());
    }

    #[test]
    fn what_is_done_is_said_in_one_line_and_a_signer_without_records_is_mentioned() {
        let outcome = concluded(true, vec![record(true, Some(false))]);
        assert_eq!(outcome.to_string(), "bakers/a: suspended: nothing is signed\n  tz3one  suspended\n");
        assert!(concluded(true, vec![]).to_string().contains("no watermark record yet"));
    }

    #[test]
    fn a_tool_that_would_set_it_back_is_named() {
        let mut signer = crate::status::example_signer();
        assert_eq!(manager(&signer), None);
        signer.annotations_mut().insert("argocd.argoproj.io/tracking-id".to_owned(), "x".to_owned());
        assert_eq!(manager(&signer), Some("Argo CD"));
    }
}
