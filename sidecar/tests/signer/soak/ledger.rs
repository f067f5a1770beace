//! What was asked of one signer, what it answered, and when its HSM was disturbed. This file checks what is particular to the soak:
//! that no signature is missed but where a fault excuses it, and that no answer is late. That signatures verify, that there is one for
//! a position and that positions rise is checked by `e2e/history`, which reads the same ledger (`history-checker`).

use crate::payload::{attestation, block, preattestation};
use serde_json::{Value, json};
use std::cmp::Ordering;
use std::collections::HashMap;
use std::time::Duration;
use tezos_signer_core::config::KeyConfig;
use tezos_signer_core::key::PublicKeyHash;

/// The deadline of a request, and a second for a machine that does other things too.
pub(super) const ANSWERED: Duration = Duration::from_millis(1500 + 1000);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Block,
    Preattestation,
    Attestation,
}

/// One thing to sign. Two that differ in `salt` only must not both be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) kind: Kind,
    pub(super) level: u32,
    pub(super) round: u32,
    pub(super) salt: u8,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Block => "block",
            Self::Preattestation => "preattestation",
            Self::Attestation => "attestation",
        }
    }
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
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) key: PublicKeyHash,
    pub(super) request: Request,
    pub(super) sent: Duration,
    pub(super) answered: Duration,
    /// `None`: the connection was refused, or broke.
    pub(super) status: Option<u16>,
    /// The signature, or why there is none.
    pub(super) output: String,
}

/// A moment as `e2e/history` reads it.
fn moment(since_begin: Duration) -> String {
    format!("{}us", since_begin.as_micros())
}

/// The first line of a ledger: whose signatures are in it.
pub(super) fn begin_event(keys: &[KeyConfig]) -> Value {
    let keys: Vec<String> = keys.iter().map(|key| key.public_key.to_string()).collect();
    json!({ "begin": { "keys": keys } })
}

impl Entry {
    /// As a line of the ledger: an event of `e2e/history`.
    pub(super) fn event(&self, signer: &str) -> Value {
        let Request { kind, level, round, .. } = self.request;
        let (signature, error) =
            if self.status == Some(200) { (self.output.as_str(), "") } else { ("", self.output.as_str()) };
        json!({ "request": {
            "asked": moment(self.sent), "answered": moment(self.answered), "replica": signer, "key": self.key.to_string(),
            "kind": kind.name(), "level": level, "round": round, "payload": hex::encode(self.request.payload()),
            "status": self.status.unwrap_or(0),
            "signature": signature, "error": error,
        } })
    }

    pub(super) fn took(&self) -> Duration {
        self.answered.saturating_sub(self.sent)
    }
}

/// When the HSM was disturbed. Times are since the beginning.
#[derive(Debug, Clone)]
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
    /// As a line of the ledger: an event of `e2e/history`, for the reader.
    pub(super) fn event(&self) -> Value {
        let what = format!("{}: {}", self.sort, self.what);
        json!({ "fault": { "begin": moment(self.begin), "end": moment(self.end), "what": what } })
    }

    /// Whether a request was sent early enough, and answered late enough, to suffer from it.
    fn touches(&self, entry: &Entry) -> bool {
        entry.answered >= self.begin && entry.sent < self.end + self.grace
    }
}

pub(super) fn is_healthy(entry: &Entry, faults: &[Fault]) -> bool {
    !faults.iter().any(|fault| fault.touches(entry))
}

/// What was not as promised, one sentence each.
pub(super) fn violations(entries: &[Entry], faults: &[Fault]) -> Vec<String> {
    let mut found = Vec::new();
    for entry in entries {
        let Request { kind, level, round, salt } = entry.request;
        let mut wrong = |what: &str| {
            let (key, output) = (entry.key, &entry.output);
            let at = format!(
                "{kind:?} {level} round {round} salt {salt} of {key}, sent at {:.3} s",
                entry.sent.as_secs_f64()
            );
            found.push(format!("{what}: {at}, answered after {:?} with {:?} {output}", entry.took(), entry.status));
        };
        match entry.status {
            Some(200 | 409 | 502) => {}
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
    found.extend(refusals_without_a_rival(entries));
    found
}

/// Of each key and kind: no refusal where nothing else was asked for.
fn refusals_without_a_rival(entries: &[Entry]) -> Vec<String> {
    let mut rows = HashMap::<_, Vec<&Entry>>::new();
    for entry in entries {
        rows.entry((entry.key, entry.request.kind)).or_default().push(entry);
    }
    let mut found = Vec::new();
    for mut row in rows.into_values() {
        row.sort_by_key(|entry| entry.answered);
        let mut by_sending = row.clone();
        by_sending.sort_by_key(|entry| entry.sent);
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

    fn seconds(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    /// A ledger that is filled by hand.
    struct LedgerTest {
        entries: Vec<Entry>,
        faults: Vec<Fault>,
    }

    impl LedgerTest {
        /// Two levels signed at 1 s and 2 s, and a fault from 10 to 12 s.
        fn new() -> Self {
            let (begin, end, grace) = (seconds(10.0), seconds(12.0), seconds(1.0));
            let fault = Fault { sort: "a fault", what: String::new(), begin, end, grace, ended_process: false };
            let mut book = Self { entries: Vec::new(), faults: vec![fault] };
            book.signed(1.0, 101, 0);
            book.signed(2.0, 102, 0);
            book
        }

        fn signed(&mut self, at: f64, level: u32, salt: u8) {
            self.answered(at, level, salt, Some(200), "a signature");
        }

        fn answered(&mut self, at: f64, level: u32, salt: u8, status: Option<u16>, output: &str) -> &mut Entry {
            let request = Request { kind: Kind::Block, level, round: 0, salt };
            let key = "tz3ZxowXGSjiVq227GQcwKdz87rKhq62rY4t".parse().unwrap();
            let (sent, answered) = (seconds(at), seconds(at + 0.01));
            self.entries.push(Entry { key, request, sent, answered, status, output: output.to_owned() });
            self.entries.last_mut().unwrap()
        }

        fn found(&self) -> Vec<String> {
            violations(&self.entries, &self.faults)
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
        let mut book = LedgerTest::new();
        book.answered(2.1, 102, 1, Some(409), "another was signed");
        book.answered(2.2, 101, 0, Some(409), "below");
        book.signed(2.3, 102, 0);
        book.answered(10.5, 103, 0, Some(502), "the HSM");
        book.signed(11.0, 103, 1);
        book.answered(11.1, 103, 0, Some(409), "another was signed");
        book.answered(12.9, 104, 0, Some(502), "the HSM, a little later");
        book.signed(14.0, 104, 0);
        book.finds_nothing();
    }

    #[test]
    fn a_miss_counts_before_a_fault_and_after_its_grace_and_not_between() {
        for (at, missed) in [(9.0, true), (9.995, false), (10.0, false), (12.0, false), (12.99, false), (13.0, true)] {
            let mut book = LedgerTest::new();
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
        let mut book = LedgerTest::new();
        book.answered(3.0, 103, 0, Some(409), "why?");
        book.signed(4.0, 104, 0);
        book.finds("a refusal where nothing else was asked for");
    }

    #[test]
    fn a_late_answer_is_found_also_during_a_fault() {
        let mut book = LedgerTest::new();
        book.answered(10.5, 103, 0, Some(502), "the HSM").answered =
            seconds(10.5) + ANSWERED + Duration::from_millis(1);
        book.finds("an answer that came too late");
    }

    #[test]
    fn no_answer_is_found_unless_the_process_ended() {
        let mut book = LedgerTest::new();
        book.answered(10.5, 103, 0, None, "connection refused");
        book.finds("an answer that no fault explains");
        book.faults[0].ended_process = true;
        book.finds_nothing();
        book.answered(11.0, 103, 0, Some(500), "a bug");
        book.finds("an answer that no fault explains");
    }
}
