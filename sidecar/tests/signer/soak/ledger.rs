//! What was asked of one signer, what it answered, and when its HSM was disturbed; and whether that is what was promised.
//! Knows the promise, and nothing of how it is kept.

use crate::payload::{attestation, block, preattestation};
use serde::Serialize;
use std::cmp::Ordering;
use std::collections::HashMap;
use std::time::Duration;
use tezos_signer_core::config::KeyConfig;
use tezos_signer_core::key::{Digest, PublicKeyHash, Signature};

/// The deadline of a request, and a second for a machine that does other things too.
pub(super) const ANSWERED: Duration = Duration::from_millis(1500 + 1000);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    Block,
    Preattestation,
    Attestation,
}

/// One thing to sign. Two that differ in `salt` only must not both be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct Request {
    pub(super) kind: Kind,
    pub(super) level: u32,
    pub(super) round: u32,
    pub(super) salt: u8,
}

impl Request {
    pub(super) fn payload(&self) -> Vec<u8> {
        let payload = match self.kind {
            Kind::Block => block,
            Kind::Preattestation => preattestation,
            Kind::Attestation => attestation,
        };
        payload(self.level, self.round, self.salt)
    }

    fn position(&self) -> (u32, u32) {
        (self.level, self.round)
    }
}

/// A request and its answer. Times are since the beginning.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Entry {
    #[serde(serialize_with = "text")]
    pub(super) key: PublicKeyHash,
    #[serde(flatten)]
    pub(super) request: Request,
    pub(super) sent: Duration,
    pub(super) answered: Duration,
    /// `None`: the connection was refused, or broke.
    pub(super) status: Option<u16>,
    /// The signature, or why there is none.
    pub(super) said: String,
}

fn text<S: serde::Serializer>(value: &PublicKeyHash, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

impl Entry {
    pub(super) fn took(&self) -> Duration {
        self.answered.saturating_sub(self.sent)
    }
}

/// When the HSM was disturbed. Times are since the beginning.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Fault {
    /// What sort it was, and precisely.
    pub(super) sort: &'static str,
    pub(super) what: String,
    pub(super) begin: Duration,
    pub(super) end: Duration,
    /// How long after the end a signature may still be missed.
    pub(super) grace: Duration,
    /// It ended the process, as it must; `end` is when the next one was ready.
    pub(super) ended_process: bool,
}

impl Fault {
    /// Whether a request was sent early enough, and answered late enough, to suffer from it.
    fn touches(&self, entry: &Entry) -> bool {
        entry.answered >= self.begin && entry.sent < self.end + self.grace
    }
}

pub(super) fn is_healthy(entry: &Entry, faults: &[Fault]) -> bool {
    !faults.iter().any(|fault| fault.touches(entry))
}

/// What was not as promised, one sentence each.
pub(super) fn violations(keys: &[KeyConfig], entries: &[Entry], faults: &[Fault]) -> Vec<String> {
    let mut found = Vec::new();
    let mut signed = HashMap::new();
    for entry in entries {
        let Request { kind, level, round, salt } = entry.request;
        let mut wrong = |what: &str| {
            let (key, said) = (entry.key, &entry.said);
            let at = format!(
                "{kind:?} {level} round {round} salt {salt} of {key}, sent at {:.3} s",
                entry.sent.as_secs_f64()
            );
            found.push(format!("{what}: {at}, answered after {:?} with {:?} {said}", entry.took(), entry.status));
        };
        match entry.status {
            Some(200) => {
                if !verifies(keys, entry) {
                    wrong("a signature that does not verify");
                }
                let first = signed.entry((entry.key, kind, level, round)).or_insert(&entry.said);
                if **first != entry.said {
                    wrong("a second signature for one position");
                }
            }
            Some(409 | 502) => {}
            None if faults.iter().any(|fault| fault.ended_process && fault.touches(entry)) => {}
            _ => wrong("an answer that no fault explains"),
        }
        if entry.status.is_some() && entry.took() > ANSWERED {
            wrong("an answer that came too late");
        }
        if !matches!(entry.status, Some(200 | 409)) && is_healthy(entry, faults) {
            wrong("a signature missed while the HSM was healthy");
        }
    }
    found.extend(against_the_order(entries));
    found
}

fn verifies(keys: &[KeyConfig], entry: &Entry) -> bool {
    let key = keys.iter().find(|key| key.hash() == entry.key);
    let signature: Option<Signature> = entry.said.parse().ok();
    key.zip(signature)
        .is_some_and(|(key, signature)| key.public_key.verify(&Digest::of(&entry.request.payload()), &signature))
}

/// Of each key and kind: nothing below what was signed, and no refusal where nothing else was asked for.
fn against_the_order(entries: &[Entry]) -> Vec<String> {
    let mut rows = HashMap::<_, Vec<&Entry>>::new();
    for entry in entries {
        rows.entry((entry.key, entry.request.kind)).or_default().push(entry);
    }
    let mut found = Vec::new();
    for mut row in rows.into_values() {
        row.sort_by_key(|entry| entry.answered);
        let mut by_sending = row.clone();
        by_sending.sort_by_key(|entry| entry.sent);

        // What was signed before each was sent.
        let mut signed = row.iter().filter(|entry| entry.status == Some(200)).peekable();
        let mut highest = None;
        for entry in &by_sending {
            while let Some(earlier) = signed.next_if(|earlier| earlier.answered < entry.sent) {
                highest = highest.max(Some(earlier.request.position()));
            }
            if entry.status == Some(200) && highest > Some(entry.request.position()) {
                found.push(format!("a signature below {highest:?}, which was signed before: {entry:?}"));
            }
        }
        // What was asked for before each was answered. Only the highest position, and what was asked for there, can matter.
        let mut sent = by_sending.iter().peekable();
        let mut rivals = Vec::<Request>::new();
        for entry in &row {
            while let Some(other) = sent.next_if(|other| other.sent <= entry.answered) {
                match rivals.last().map(|rival| other.request.position().cmp(&rival.position())) {
                    None | Some(Ordering::Greater) => rivals = vec![other.request],
                    Some(Ordering::Equal) => rivals.push(other.request),
                    Some(Ordering::Less) => {}
                }
            }
            let own = entry.request;
            let refuses = |rival: &Request| rival.position() >= own.position() && *rival != own;
            if entry.status == Some(409) && !rivals.iter().any(refuses) {
                found.push(format!("a refusal where nothing else was asked for: {entry:?}"));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use p256::ecdsa::SigningKey;
    use p256::ecdsa::signature::hazmat::PrehashSigner as _;

    fn seconds(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    /// A key that this test can sign with, and a ledger that is filled by hand.
    struct Book {
        secret: SigningKey,
        key: KeyConfig,
        entries: Vec<Entry>,
        faults: Vec<Fault>,
    }

    impl Book {
        /// Two levels signed at 1 s and 2 s, and a fault from 10 to 12 s.
        fn new() -> Self {
            let secret = SigningKey::from_slice(&[7; 32]).unwrap();
            let point = secret.verifying_key().to_sec1_point(false);
            let public_key = tezos_signer_core::key::SigningPublicKey::from_sec1(
                tezos_signer_core::key::SigningCurve::P256,
                point.as_bytes(),
            )
            .unwrap();
            let key =
                serde_json::json!({"publicKey": public_key.to_string(), "label": "a", "chain": "NetXdQprcVkpaWU"});
            let key: KeyConfig = serde_json::from_value(key).unwrap();
            let mut book = Self { secret, key, entries: Vec::new(), faults: Vec::new() };
            book.signed(1.0, 101, 0);
            book.signed(2.0, 102, 0);
            let (begin, end, grace) = (seconds(10.0), seconds(12.0), seconds(1.0));
            book.faults.push(Fault { sort: "a fault", what: String::new(), begin, end, grace, ended_process: false });
            book
        }

        fn signed(&mut self, at: f64, level: u32, salt: u8) -> &mut Entry {
            let request = Request { kind: Kind::Block, level, round: 0, salt };
            let raw: p256::ecdsa::Signature =
                self.secret.sign_prehash(Digest::of(&request.payload()).as_bytes()).unwrap();
            let digest = Digest::of(&request.payload());
            let said = self.key.public_key.accept_token_signature(&digest, &raw.to_bytes()).unwrap().to_string();
            self.answered(at, level, salt, Some(200), &said)
        }

        fn answered(&mut self, at: f64, level: u32, salt: u8, status: Option<u16>, said: &str) -> &mut Entry {
            let request = Request { kind: Kind::Block, level, round: 0, salt };
            let (sent, answered) = (seconds(at), seconds(at + 0.01));
            let entry = Entry { key: self.key.hash(), request, sent, answered, status, said: said.to_owned() };
            self.entries.push(entry);
            self.entries.last_mut().unwrap()
        }

        fn found(&self) -> Vec<String> {
            violations(std::slice::from_ref(&self.key), &self.entries, &self.faults)
        }

        fn finds(&self, what: &str) {
            let found = self.found();
            assert!(found.len() == 1 && found[0].starts_with(what), "{found:?}");
        }

        fn finds_nothing(&self) {
            assert_eq!(self.found(), Vec::<String>::new());
        }
    }

    #[test]
    fn what_was_promised_is_no_violation() {
        let mut book = Book::new();
        book.answered(2.1, 102, 1, Some(409), "another was signed");
        book.answered(2.2, 101, 0, Some(409), "below");
        let again = book.entries[1].said.clone();
        book.answered(2.3, 102, 0, Some(200), &again);
        book.answered(10.5, 103, 0, Some(502), "the HSM");
        book.signed(11.0, 103, 1);
        book.answered(11.1, 103, 0, Some(409), "another was signed");
        book.answered(12.9, 104, 0, Some(502), "the HSM, a little later");
        book.signed(14.0, 104, 0);
        book.finds_nothing();
    }

    #[test]
    fn a_second_signature_is_found() {
        let mut book = Book::new();
        book.signed(2.1, 102, 1);
        book.finds("a second signature");
    }

    #[test]
    fn other_bytes_for_the_same_request_are_found() {
        let mut book = Book::new();
        let other = book.entries[0].said.clone();
        book.answered(2.1, 102, 0, Some(200), &other);
        assert!(book.found().iter().any(|found| found.starts_with("a second signature")), "{:?}", book.found());
    }

    #[test]
    fn a_wrong_signature_is_found() {
        let mut book = Book::new();
        let of_another = book.entries[0].said.clone();
        book.answered(3.0, 103, 0, Some(200), &of_another);
        book.finds("a signature that does not verify");
        book.entries.last_mut().unwrap().said = "no signature".to_owned();
        book.finds("a signature that does not verify");
    }

    #[test]
    fn a_miss_counts_before_a_fault_and_after_its_grace_and_not_between() {
        for (at, missed) in [(9.0, true), (9.995, false), (10.0, false), (12.0, false), (12.99, false), (13.0, true)] {
            let mut book = Book::new();
            book.answered(at, 103, 0, Some(502), "the HSM");
            if missed {
                book.finds("a signature missed while the HSM was healthy");
            } else {
                book.finds_nothing();
            }
        }
    }

    #[test]
    fn a_refusal_without_a_rival_is_found() {
        let mut book = Book::new();
        book.answered(3.0, 103, 0, Some(409), "why?");
        book.signed(4.0, 104, 0);
        book.finds("a refusal where nothing else was asked for");
    }

    #[test]
    fn a_signature_below_another_is_found() {
        let mut book = Book::new();
        book.signed(3.0, 100, 0);
        book.finds("a signature below");
    }

    #[test]
    fn a_late_answer_is_found_also_during_a_fault() {
        let mut book = Book::new();
        book.answered(10.5, 103, 0, Some(502), "the HSM").answered =
            seconds(10.5) + ANSWERED + Duration::from_millis(1);
        book.finds("an answer that came too late");
    }

    #[test]
    fn no_answer_is_found_unless_the_process_ended() {
        let mut book = Book::new();
        book.answered(10.5, 103, 0, None, "connection refused");
        book.finds("an answer that no fault explains");
        book.faults[0].ended_process = true;
        book.finds_nothing();
        book.answered(11.0, 103, 0, Some(500), "a bug");
        book.finds("an answer that no fault explains");
    }
}
