//! What proves that something was signed, and what does not; and which records have forgotten it.

use super::*;
use crate::audit::{LogHead, Microseconds, Outcome};
use crate::key::{ChainId, PublicKeyHash};
use crate::position::{Level, Round};
use jiff::Timestamp;
use std::collections::BTreeMap;

/// A log that a test writes, as the signer of one key does.
struct Log {
    head: LogHead,
    witness: EvidenceIndex,
}

fn key() -> PublicKeyHash {
    "tz3gESPNt663Tvy1Ped6bpsJh9xBemwjVqaG".parse().unwrap()
}

fn chain() -> ChainId {
    "NetXdQprcVkpaWU".parse().unwrap()
}

fn name() -> RecordName {
    RecordName::new(&key(), &chain())
}

fn position(level: i32, round: i32) -> Position {
    Position { level: Level::from_i32(level).unwrap(), round: Round::from_i32(round).unwrap() }
}

fn request(kind: &'static str, level: i32, salt: u8) -> Request {
    Request {
        key: Some(key()),
        kind: Some(kind.into()),
        chain: Some(chain()),
        position: Some(position(level, 0)),
        digest: Some(Digest::of(&[salt])),
        ..Request::default()
    }
}

impl Log {
    fn new() -> Self {
        Self { head: LogHead::new(LogId::from_bytes([7; 16])), witness: EvidenceIndex::default() }
    }

    fn write(&mut self, event: Event) -> AuditAnchor {
        let (text, anchor) = self.head.append(Timestamp::UNIX_EPOCH, event);
        self.witness.read(&text);
        anchor
    }

    fn intent(&mut self, request: Request, replaces: Option<AuditAnchor>) -> AuditAnchor {
        self.write(Event::Intent { request, record: name(), replaces })
    }

    fn answered(&mut self, request: Request, status: u16, outcome: Outcome) {
        let microseconds = Microseconds::default();
        self.write(Event::Outcome { request, status, outcome, reason: None, intent: None, microseconds });
    }

    fn forgotten_by(&self, rows: &[(&str, &str)]) -> Option<SigningEvidence> {
        let mut data: BTreeMap<String, String> =
            rows.iter().map(|(row, text)| ((*row).to_owned(), (*text).to_owned())).collect();
        data.insert("version".to_owned(), "1".to_owned());
        self.witness.of(&name()).forgotten_by(&Record::from_data(&data).unwrap())
    }
}

#[test]
fn every_signature_that_was_given_is_proof_whoever_made_it() {
    for outcome in [Outcome::Signed, Outcome::Replayed, Outcome::Forwarded] {
        let mut log = Log::new();
        log.answered(request("attestation", 100, 1), 200, outcome);
        let proof = log.forgotten_by(&[("attestation", "99 5 - -")]).unwrap();
        assert_eq!((proof.kind, proof.position), (ConsensusKind::Attestation, position(100, 0)));
        assert_eq!(
            proof.to_string(),
            "line 0 of log 07070707070707070707070707070707 proves that the attestation at level 100 round 0 was signed"
        );
        assert_eq!(log.forgotten_by(&[("attestation", "101 0 - -")]), None);
    }
}

#[test]
fn what_was_refused_or_failed_is_none() {
    let mut log = Log::new();
    log.answered(request("block", 100, 1), 409, Outcome::Refused);
    log.answered(request("block", 101, 1), 502, Outcome::Unavailable);
    log.answered(request("block", 102, 1), 502, Outcome::Forwarded);
    log.answered(request("operation", 103, 1), 200, Outcome::Signed);
    log.intent(request("block", 104, 1), None);
    assert_eq!(log.forgotten_by(&[]), None);
}

#[test]
fn an_intent_is_proof_once_a_later_one_names_it() {
    let mut log = Log::new();
    // The process was killed before it could say what became of it.
    let first = log.intent(request("block", 100, 1), None);
    assert_eq!(log.forgotten_by(&[]), None, "perhaps it was never committed");
    // The next one writes into the same file.
    log.head = LogHead::new(LogId::from_bytes([8; 16]));
    log.intent(request("attestation", 100, 2), Some(first));
    assert_eq!(log.forgotten_by(&[]).unwrap().position, position(100, 0));

    let mut log = Log::new();
    let first = log.intent(request("block", 100, 1), None);
    let edited = AuditAnchor { hash: Digest::of(b"another line"), ..first };
    log.intent(request("attestation", 100, 2), Some(edited));
    log.intent(request("attestation", 101, 2), None);
    assert_eq!(log.forgotten_by(&[]), None, "the record held another anchor");
}

#[test]
fn a_record_remembers_by_a_higher_row_a_floor_or_the_same_digest() {
    let mut log = Log::new();
    log.answered(request("block", 100, 1), 200, Outcome::Signed);
    log.answered(request("block", 90, 2), 200, Outcome::Replayed);
    let (same, other) = (format!("100 0 {} -", Digest::of(&[1])), format!("100 0 {} -", Digest::of(&[2])));
    for remembers in [same.as_str(), "100 0 - -", "100 2147483647 - -", "100 1 - -", "2000 0 - -"] {
        assert_eq!(log.forgotten_by(&[("block", remembers)]), None, "{remembers}");
    }
    for forgets in [other.as_str(), "99 2147483647 - -", "0 0 - -"] {
        assert_eq!(log.forgotten_by(&[("block", forgets)]).unwrap().position, position(100, 0), "{forgets}");
    }
    let without_the_row = log.forgotten_by(&[("attestation", "2000 0 - -")]);
    assert!(without_the_row.is_some());
}

#[test]
fn other_keys_chains_and_texts_say_nothing_of_a_record() {
    let mut log = Log::new();
    let stranger = "tz3ZxowXGSjiVq227GQcwKdz87rKhq62rY4t".parse().unwrap();
    log.answered(Request { key: Some(stranger), ..request("block", 100, 1) }, 200, Outcome::Signed);
    let other: ChainId = "NetXnHfVqm9iesp".parse().unwrap();
    log.answered(Request { chain: Some(other), ..request("block", 100, 1) }, 200, Outcome::Signed);
    for text in ["", "{}", "{\"log\":\"0707", "listening on 127.0.0.1", "\u{0}"] {
        log.witness.read(text);
    }
    assert_eq!(log.forgotten_by(&[]), None);
    assert_eq!(EvidenceIndex::default().of(&name()), EvidenceSet::default());
}

#[test]
fn a_line_of_evidence_says_all_that_the_lines_before_it_prove() {
    let mut log = Log::new();
    log.answered(request("attestation", 100, 1), 200, Outcome::Signed);
    let first = log.intent(request("block", 100, 2), None);
    log.answered(request("preattestation", 101, 3), 409, Outcome::Refused);
    let (text, _) = log.head.append(Timestamp::UNIX_EPOCH, log.witness.evidence());
    assert!(text.contains(EVIDENCE));
    let mut later = Log::new();
    later.head = LogHead::new(LogId::from_bytes([8; 16]));
    later.witness.read(&text);
    assert_eq!(later.witness.of(&name()), log.witness.of(&name()));
    assert_eq!(later.witness.evidence(), log.witness.evidence());
    let proof = later.forgotten_by(&[("attestation", "99 5 - -")]).unwrap();
    assert_eq!(proof.position, position(100, 0));
    // Also what was announced, and is proved by what comes behind it.
    later.intent(request("attestation", 101, 4), Some(first));
    assert_eq!(later.forgotten_by(&[("attestation", "101 0 - -")]).unwrap().kind, ConsensusKind::Block);
}

/// A line is passed over without being parsed where it has none of the texts that tell. Every line that proves something has one,
/// and no value of a line can have one.
#[test]
fn what_strangers_can_put_into_a_line_is_no_evidence() {
    let mut log = Log::new();
    let reason = format!("{EVIDENCE} \"status\":200, \"event\":\"intent\"");
    let microseconds = Microseconds::default();
    let outcome = Outcome::Malformed;
    let event = Event::Outcome {
        request: Request::default(),
        status: 400,
        outcome,
        reason: Some(reason),
        intent: None,
        microseconds,
    };
    let (text, _) = log.head.append(Timestamp::UNIX_EPOCH, event);
    assert!(TELLING.iter().all(|telling| !text.contains(telling)), "{text}");
}
