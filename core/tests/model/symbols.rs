//! Small numbers for what is real: payloads, digests, signatures of a key, and records. A state of the model holds the
//! numbers; whatever is decided, is decided here by the code of `core`, once for each pair of numbers.

use crate::admitted::admitted;
use crate::requests::{Place, Request};
use crate::rules::Rules;
use crate::secret::{Secret, returned};
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use tezos_signer_core::admit::Admitted;
use tezos_signer_core::anchor::{AuditAnchor, LogId};
use tezos_signer_core::audit::evidence::{EvidenceSet, EvidenceSource, SigningEvidence};
use tezos_signer_core::key::{ChainId, Curve, Digest, Message, Signature, SigningPublicKey};
use tezos_signer_core::policy::Permitted;
use tezos_signer_core::position::{ConsensusKind, Level, Position};
use tezos_signer_core::record::{Record, Stored};
use tezos_signer_core::watermark::{Advance, Decision, Refusal, decide};
use tezos_signer_interop::interchange::ExportedRecord;

/// `maxLevelJump` of the model's key.
pub(crate) const MAX_JUMP: u32 = 100;

/// Of which request, and which of the signatures that an HSM can make of it: see [`Symbols::made`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct SignatureId {
    pub(crate) request: Request,
    pub(crate) nonce: u8,
}

impl SignatureId {
    /// A signature that does not verify.
    pub(crate) fn wrong(request: Request) -> Self {
        Self { request, nonce: u8::MAX }
    }
}

impl fmt::Display for SignatureId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.nonce {
            u8::MAX => write!(f, "a wrong signature of {}", self.request),
            nonce => write!(f, "signature #{} of {}", nonce + 1, self.request),
        }
    }
}

/// The number of a record, in the order in which they came up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct RecordId(u16);

/// What `core` says to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The HSM may be asked.
    Sign,
    /// The stored one.
    Replay(SignatureId),
    /// Why not, in one word, and whether people can lift that by a change of the record.
    Refuse(&'static str, bool),
}

/// What the operator says in a record, by its words; and the highest level of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Orders {
    pub(crate) suspend: bool,
    pub(crate) ceiling: Option<u32>,
    pub(crate) highest_level: u32,
}

/// The tables.
pub(crate) struct Symbols {
    rules: Rules,
    scheme: Curve,
    secret: Secret,
    key: SigningPublicKey,
    /// Requests as the model's key has admitted them.
    requests: RefCell<HashMap<Request, Admitted>>,
    places: RefCell<HashMap<Request, Option<Place>>>,
    signatures: RefCell<HashMap<SignatureId, Signature>>,
    verified: RefCell<HashMap<SignatureId, bool>>,
    accepted: RefCell<HashMap<SignatureId, bool>>,
    records: RefCell<Vec<Record>>,
    numbers: RefCell<HashMap<BTreeMap<String, String>, RecordId>>,
    verdicts: RefCell<HashMap<(RecordId, Request), Verdict>>,
    advances: RefCell<HashMap<(RecordId, SignatureId), RecordId>>,
    forgotten: RefCell<HashMap<(RecordId, RecordId), bool>>,
    unproved: RefCell<HashMap<(RecordId, SignatureId), bool>>,
    answering: RefCell<HashMap<(RecordId, SignatureId), bool>>,
    orders: RefCell<HashMap<RecordId, Orders>>,
    shown: RefCell<HashMap<RecordId, String>>,
}

impl Symbols {
    pub(crate) fn new(rules: Rules, scheme: Curve) -> Self {
        let secret = Secret::new(scheme, 7);
        Self {
            rules,
            scheme,
            key: secret.public_key(),
            secret,
            requests: RefCell::default(),
            places: RefCell::default(),
            signatures: RefCell::default(),
            verified: RefCell::default(),
            accepted: RefCell::default(),
            records: RefCell::default(),
            numbers: RefCell::default(),
            verdicts: RefCell::default(),
            advances: RefCell::default(),
            forgotten: RefCell::default(),
            unproved: RefCell::default(),
            answering: RefCell::default(),
            orders: RefCell::default(),
            shown: RefCell::default(),
        }
    }

    /// The number of `record`. Every record goes through its text here, as it does on its way to the store and back.
    pub(crate) fn number(&self, record: &Record) -> RecordId {
        let data = record.to_data();
        if let Some(&id) = self.numbers.borrow().get(&data) {
            return id;
        }
        let read = Record::from_data(&data).unwrap();
        assert_eq!(&read, record, "a record is what its text says");
        let mut records = self.records.borrow_mut();
        let id = RecordId(u16::try_from(records.len()).unwrap());
        records.push(read);
        self.numbers.borrow_mut().insert(data, id);
        id
    }

    pub(crate) fn record(&self, id: RecordId) -> Record {
        self.records.borrow()[usize::from(id.0)].clone()
    }

    /// [`Request::place`].
    pub(crate) fn place(&self, request: Request) -> Option<Place> {
        *self.places.borrow_mut().entry(request).or_insert_with(|| request.place(self.scheme))
    }

    /// What stands in a record beside its rows.
    pub(crate) fn orders(&self, id: RecordId) -> Orders {
        *self.orders.borrow_mut().entry(id).or_insert_with(|| {
            let words = self.record(id).to_data();
            let level = |row: &str| words.get(row)?.split(' ').next()?.parse().ok();
            Orders {
                suspend: words.get("suspend").is_some_and(|word| word == "true"),
                ceiling: words.get("ceiling").map(|word| word.parse().unwrap()),
                highest_level: ["block", "preattestation", "attestation"]
                    .into_iter()
                    .filter_map(level)
                    .max()
                    .unwrap_or(0),
            }
        })
    }

    fn known(&self, request: Request) -> Admitted {
        let mut requests = self.requests.borrow_mut();
        let known = requests
            .entry(request)
            .or_insert_with(|| admitted(self.key.hash(), &self.read_as(request).payload(self.scheme)));
        known.clone()
    }

    /// What a signer without some rule takes `request` for. What it signs are the bytes of the request all the same.
    fn read_as(&self, request: Request) -> Request {
        match request {
            // A row of its own for each tag. The other kind, which such a scenario does not use, is taken for it.
            Request::AttestationWithDal(level, round, letter) if !self.rules.one_row_for_attestations => {
                Request::of(ConsensusKind::Preattestation, level, round, letter)
            }
            // A vote without a slot, read as if it had one: two bytes too late.
            Request::Attestation(.., letter) if !self.rules.layout_of_scheme => {
                let payload = request.payload(self.scheme);
                let number = |at: usize| u32::from_be_bytes(payload[at..at + 4].try_into().unwrap());
                Request::Attestation(number(40), number(44), letter)
            }
            request => request,
        }
    }

    /// What a client sent.
    fn message(&self, request: Request) -> Message {
        Message::new(&request.payload(self.scheme))
    }

    /// Whether the key makes one signature only of each payload.
    pub(crate) fn is_deterministic(&self) -> bool {
        self.secret.is_deterministic()
    }

    /// The signature that the HSM makes of `request` when it has made `number` others of it.
    ///
    /// Of ECDSA each is another one. Two signatures of one block are then two blocks of one position, because the hash of a block covers its
    /// signature: that is what one signature for each position is promised for, also where the payload is the same. Of Ed25519 and BLS two
    /// signatures of one payload are the same bytes, and have the same number: there, only two payloads can break the promise.
    pub(crate) fn made(&self, request: Request, number: u8) -> SignatureId {
        SignatureId { request, nonce: if self.is_deterministic() { 0 } else { number } }
    }

    /// A real signature.
    pub(crate) fn signature(&self, id: SignatureId) -> Signature {
        let mut signatures = self.signatures.borrow_mut();
        *signatures.entry(id).or_insert_with(|| {
            let message = self.message(id.request);
            if id.nonce == u8::MAX {
                let other = Message::new(&[message.bytes(), b"something else"].concat());
                return self.secret.sign(&other, 0);
            }
            self.secret.sign(&message, id.nonce)
        })
    }

    fn signature_id(&self, signature: &Signature) -> SignatureId {
        let signatures = self.signatures.borrow();
        let found = signatures.iter().find(|(_, known)| *known == signature);
        *found.expect("every signature of a record is from here").0
    }

    /// Whether it verifies, over what it is said to be of.
    pub(crate) fn verifies(&self, id: SignatureId) -> bool {
        let mut verified = self.verified.borrow_mut();
        *verified.entry(id).or_insert_with(|| self.key.verify(&self.message(id.request), &self.signature(id)))
    }

    /// What the signing path makes of what the HSM returned.
    pub(crate) fn accepts(&self, id: SignatureId) -> bool {
        let mut accepted = self.accepted.borrow_mut();
        *accepted.entry(id).or_insert_with(|| {
            let signature = self.signature(id);
            let accepted = self.key.accept_signature(&self.message(id.request), &returned(&signature));
            accepted.is_ok_and(|accepted| accepted.signature() == signature)
        })
    }

    /// What `core` decides, by the rules that hold.
    pub(crate) fn decide(&self, record: RecordId, request: Request) -> Verdict {
        if let Some(&verdict) = self.verdicts.borrow().get(&(record, request)) {
            return verdict;
        }
        let verdict = match self.decided(&self.record(record), &self.known(request)) {
            Ok(Decision::Advance(_)) => Verdict::Sign,
            Ok(Decision::Replay(signature)) => Verdict::Replay(self.signature_id(&signature)),
            Err(refusal) => Verdict::Refuse(refusal.reason(), refusal.may_be_lifted()),
        };
        self.verdicts.borrow_mut().insert((record, request), verdict);
        verdict
    }

    fn decided(&self, record: &Record, request: &Admitted) -> Result<Decision, Refusal> {
        let max_jump = if self.rules.limit_jump { MAX_JUMP } else { u32::MAX };
        decide(&self.weakened(record, request), request, max_jump)
    }

    /// The record as a signer without some rule would read it: where the rule refused or replayed, there is an older row.
    fn weakened(&self, record: &Record, request: &Admitted) -> Record {
        let mut record = record.clone();
        record.suspend &= self.rules.obey_suspend;
        let digest = request.digest();
        let Permitted::Consensus(request) = request.permitted() else {
            record.suspend &= self.rules.obey_suspend_for_operations;
            return record;
        };
        if let Some(ceiling) = record.ceiling.filter(|_| !self.rules.obey_ceiling_exactly) {
            record.ceiling = Level::try_from(i64::from(ceiling.get()) + 1).ok();
        }
        let forgotten = match record.rows.get(request.kind) {
            None => !self.rules.refuse_missing_row,
            Some(row) if request.position.level < row.position.level => !self.rules.refuse_lower,
            Some(row) if request.position < row.position => !self.rules.refuse_lower_round,
            Some(row) if request.position == row.position => {
                let words = row.to_string();
                let mut words = words.split(' ').skip(2);
                let same = words.next() == Some(digest.to_string().as_str());
                let signed = words.next() != Some("-");
                match (same, signed) {
                    (true, true) => !self.rules.replay_stored,
                    (true, false) => !self.rules.refuse_digest_without_signature,
                    (false, _) => !self.rules.refuse_conflict,
                }
            }
            Some(_) => false,
        };
        let mut data = record.to_data();
        if forgotten {
            data.insert(request.kind.to_string(), format!("{} 0 - -", request.position.level.get() - 1));
        }
        Record::from_data(&data).unwrap()
    }

    /// The record that is sent to the store, with `signature` in it.
    pub(crate) fn advanced(&self, record: RecordId, signature: SignatureId) -> RecordId {
        if let Some(&next) = self.advances.borrow().get(&(record, signature)) {
            return next;
        }
        let known = self.known(signature.request);
        let before = self.record(record);
        let Ok(Decision::Advance(step)) = self.decided(&before, &known) else {
            panic!("{signature} was made without being allowed");
        };
        let next = if let Permitted::Consensus(consensus) = known.permitted() {
            self.with_step(&before, &step, consensus.kind, self.signature(signature))
        } else {
            let sequence = before.audit.map_or(0, |anchor| anchor.sequence) + 1;
            step.apply_to(&before, self.signature(signature), anchor(sequence))
        };
        let next = self.number(&next);
        self.advances.borrow_mut().insert((record, signature), next);
        next
    }

    /// [`Advance::apply_to`] for a vote.
    fn with_step(&self, before: &Record, step: &Advance, kind: ConsensusKind, signature: Signature) -> Record {
        // That the anchor moves matters for operations only, where nothing else does: fewer states.
        let anchor = before.audit.unwrap_or_else(|| anchor(0));
        let next = Record { audit: before.audit, ..step.apply_to(before, signature, anchor) };
        if self.rules.commit_signature {
            return next;
        }
        edited(&next, kind, |words| "-".clone_into(&mut words[3]))
    }

    /// `record` with `signature` in its row, whatever that row said: what a signer writes that does not decide again.
    pub(crate) fn put(&self, record: RecordId, signature: SignatureId) -> RecordId {
        let known = self.known(signature.request);
        let Permitted::Consensus(consensus) = known.permitted() else { return record };
        let Position { level, round } = consensus.position;
        let (digest, signature) = (known.digest().to_string(), self.signature(signature).to_string());
        self.number(&edited(&self.record(record), consensus.kind, |words| {
            *words = vec![level.to_string(), round.to_string(), digest, signature];
        }))
    }

    /// `record` with another signature in its attestation row; nothing where there is none.
    pub(crate) fn forge(&self, record: RecordId) -> Option<RecordId> {
        let before = self.record(record);
        let row = before.rows.get(ConsensusKind::Attestation)?.to_string();
        let signature = row.split(' ').nth(3)?.parse().ok()?;
        let wrong = self.signature(SignatureId::wrong(self.signature_id(&signature).request));
        Some(self.number(&edited(&before, ConsensusKind::Attestation, |words| words[3] = wrong.to_string())))
    }

    /// `record` without its attestation row.
    pub(crate) fn without_row(&self, record: RecordId) -> RecordId {
        let mut data = self.record(record).to_data();
        data.remove("attestation");
        self.number(&Record::from_data(&data).unwrap())
    }

    /// A record whose attestation row came from another signer: signed, and its signature is not known.
    pub(crate) fn imported(&self, request: Request) -> RecordId {
        let level = request.place(self.scheme).expect("a vote").level;
        let digest = self.known(request).digest().to_string();
        let floor = Record::starting_above(Level::try_from(i64::from(level) - 1).unwrap());
        self.number(&edited(&floor, ConsensusKind::Attestation, |words| {
            *words = vec![level.to_string(), "0".to_owned(), digest, "-".to_owned()];
        }))
    }

    /// Whether `now` forgets what `before` knew, as `core` sees it.
    pub(crate) fn forgets(&self, now: RecordId, before: RecordId) -> bool {
        let mut forgotten = self.forgotten.borrow_mut();
        *forgotten.entry((now, before)).or_insert_with(|| self.record(now).forgets(&self.record(before)).is_some())
    }

    /// Whether the record still holds `signature`, or something higher of its kind.
    pub(crate) fn answers(&self, record: RecordId, signature: SignatureId) -> bool {
        let mut answering = self.answering.borrow_mut();
        *answering.entry((record, signature)).or_insert_with(|| {
            let known = self.known(signature.request);
            let Permitted::Consensus(consensus) = known.permitted() else { return true };
            let record = self.record(record);
            record.rows.get(consensus.kind).is_some_and(|row| {
                let held = Stored::Signature { digest: known.digest(), signature: self.signature(signature) };
                row.position > consensus.position || (row.position == consensus.position && row.stored == held)
            })
        })
    }

    /// Whether `record` does not know `signature`, which an audit log proves, as `core` sees it.
    pub(crate) fn forgets_proved(&self, record: RecordId, signature: SignatureId) -> bool {
        let mut unproved = self.unproved.borrow_mut();
        *unproved.entry((record, signature)).or_insert_with(|| {
            let known = self.known(signature.request);
            let Permitted::Consensus(consensus) = known.permitted() else { return false };
            let source = EvidenceSource::Line { log: LogId::from_bytes([0; 16]), sequence: 1 };
            let proof = SigningEvidence {
                kind: consensus.kind,
                position: consensus.position,
                digest: Some(known.digest()),
                source,
            };
            EvidenceSet::from_iter([proof]).forgotten_by(&self.record(record)).is_some()
        })
    }

    /// The record that a second cluster makes of an export of the first; nothing without a ceiling.
    pub(crate) fn imported_elsewhere(&self, record: RecordId) -> Option<RecordId> {
        let record = self.record(record);
        let ceiling = record.ceiling.filter(|_| self.rules.import_above_ceiling);
        record.ceiling?;
        let export = ExportedRecord { ceiling, ..ExportedRecord::of(self.key.hash(), ChainId::MAINNET, &record) };
        Some(self.number(&export.to_record()))
    }

    /// Rows, ceiling and suspension, for a trace.
    pub(crate) fn show(&self, id: RecordId) -> String {
        self.shown.borrow_mut().entry(id).or_insert_with(|| self.in_words(id)).clone()
    }

    fn in_words(&self, id: RecordId) -> String {
        let record = self.record(id);
        let mut words = Vec::new();
        for kind in ConsensusKind::ALL {
            let row = record.rows.get(kind).map_or("missing".to_owned(), |row| {
                let text = row.to_string();
                let word = |n| text.split(' ').nth(n).unwrap_or_default();
                match word(3).parse() {
                    Ok(signature) => self.signature_id(&signature).to_string(),
                    Err(_) if word(2) == "-" => format!("floor {}", word(0)),
                    Err(_) => format!("{} signed elsewhere", word(0)),
                }
            });
            words.push(format!("{kind}: {row}"));
        }
        words.extend(record.ceiling.map(|ceiling| format!("ceiling {ceiling}")));
        words.extend(record.suspend.then(|| "suspended".to_owned()));
        words.join(", ")
    }
}

fn anchor(sequence: u64) -> AuditAnchor {
    AuditAnchor { log: LogId::from_bytes([0; 16]), sequence, hash: Digest::of(b"") }
}

fn edited(record: &Record, kind: ConsensusKind, edit: impl FnOnce(&mut Vec<String>)) -> Record {
    let mut data = record.to_data();
    let mut words: Vec<String> = data[kind.as_str()].split(' ').map(str::to_owned).collect();
    edit(&mut words);
    data.insert(kind.to_string(), words.join(" "));
    Record::from_data(&data).unwrap()
}
