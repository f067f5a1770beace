//! What is known of one sealed key: whether its secret is here, and what the last answers of the place of its sealing key were. Nothing
//! here waits or asks.

use crate::keystore::sealed::secret::Secret;
use crate::keystore::sealed::unsealer::UnsealError;
use jiff::Timestamp;
use std::sync::Arc;
use std::time::Duration;
use tezos_signer_core::cause::Cause;
use tezos_signer_core::config::SealedTerms;
use tezos_signer_core::key::SigningPublicKey;
use tezos_signer_core::sealed::SealedKey;
use tezos_signer_core::status::SealedStatus;
use tokio::time::Instant;

/// The pauses between tries to open a key that cannot be: the first, which doubles, and the longest.
const AGAIN: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(15));

/// The longest between checks after one that got no answer or a refusal, so that a recovery is soon seen.
const CHECK_AGAIN: Duration = Duration::from_secs(30);

pub(super) struct Entry {
    pub(super) key: SigningPublicKey,
    pub(super) sealed: SealedKey,
    state: State,
    /// When it was last opened or found that it can be.
    opened: Option<Timestamp>,
    /// When to ask again.
    pub(super) next: Instant,
}

enum State {
    /// There is no secret.
    Closed {
        since: Instant,
        cause: Option<Cause>,
        refused: bool,
        tries: u32,
    },
    Open {
        secret: Arc<Secret>,
        outage: Option<Outage>,
    },
}

/// Checks get no answer.
struct Outage {
    since: Instant,
    at: Timestamp,
    cause: Cause,
}

/// What came of asking: the secret where it was asked for.
pub(super) type Asked = Result<Option<Secret>, UnsealError>;

/// What has changed, for the log and the metrics.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Change {
    Opened,
    Refused(String),
    /// The first check without an answer.
    Outage(String),
    OutageEnded,
    /// The grace is over.
    GraceOver(String),
    None,
}

impl Entry {
    pub(super) fn new(key: SigningPublicKey, sealed: SealedKey, now: Instant) -> Self {
        let state = State::Closed { since: now, cause: None, refused: false, tries: 0 };
        Self { key, sealed, state, opened: None, next: now }
    }

    /// One whose secret is here already.
    pub(super) fn open(
        key: SigningPublicKey,
        sealed: SealedKey,
        secret: Secret,
        terms: SealedTerms,
        now: Instant,
    ) -> Self {
        let mut entry = Self::new(key, sealed, now);
        entry.apply(Ok(Some(secret)), terms, now, now);
        entry
    }

    /// Whether there is a secret, which is to be checked and not to be fetched.
    pub(super) fn is_open(&self) -> bool {
        matches!(self.state, State::Open { .. })
    }

    /// The secret, to sign with; or why not. An outage that has lasted for the grace ends the use, whatever is being waited for.
    pub(super) fn secret(&self, terms: SealedTerms, now: Instant) -> Result<Arc<Secret>, Cause> {
        match &self.state {
            State::Open { secret, outage } => match outage {
                Some(outage) if now.duration_since(outage.since) >= terms.grace => Err(over(outage, terms)),
                _ => Ok(secret.clone()),
            },
            State::Closed { cause, .. } => {
                Err(cause.clone().unwrap_or_else(|| "its sealed text has not been opened yet".into()))
            }
        }
    }

    /// Since when it has not been signed with; `None` while it can be, and before the first answer.
    pub(super) fn closed_since(&self) -> Option<Instant> {
        match &self.state {
            State::Closed { since, cause: Some(_), .. } => Some(*since),
            _ => None,
        }
    }

    /// For how long checks have got no answer.
    pub(super) fn unreachable_for(&self, now: Instant) -> Duration {
        match &self.state {
            State::Open { outage: Some(outage), .. } => now.duration_since(outage.since),
            State::Closed { since, refused: false, .. } => now.duration_since(*since),
            _ => Duration::ZERO,
        }
    }

    pub(super) fn status(&self) -> SealedStatus {
        let (unreachable_since, refused, reason) = match &self.state {
            State::Open { outage, .. } => {
                (outage.as_ref().map(|outage| outage.at), false, outage.as_ref().map(|outage| outage.cause.to_string()))
            }
            State::Closed { cause, refused, .. } => (None, *refused, cause.as_ref().map(Cause::to_string)),
        };
        SealedStatus { opened: self.opened, unreachable_since, refused, reason }
    }

    /// Takes the answer to what was asked at `asked`.
    pub(super) fn apply(&mut self, answer: Asked, terms: SealedTerms, asked: Instant, now: Instant) -> Change {
        let soon = terms.check_period.min(CHECK_AGAIN);
        match answer {
            Ok(fetched) => {
                let change = match (&mut self.state, fetched) {
                    (state, Some(secret)) => {
                        *state = State::Open { secret: Arc::new(secret), outage: None };
                        Change::Opened
                    }
                    (State::Open { outage, .. }, None) => match outage.take() {
                        Some(_) => Change::OutageEnded,
                        None => Change::None,
                    },
                    (State::Closed { .. }, None) => Change::None,
                };
                self.opened = Some(Timestamp::now());
                self.next = asked + terms.check_period;
                change
            }
            Err(UnsealError::Refused(cause)) => {
                let text = cause.to_string();
                let (since, known) = match &self.state {
                    State::Closed { since, cause, refused: true, .. } => {
                        (*since, cause.as_ref() == Some(&cause_of(&text)))
                    }
                    State::Closed { since, .. } => (*since, false),
                    State::Open { .. } => (now, false),
                };
                self.state = State::Closed { since, cause: Some(cause), refused: true, tries: 0 };
                self.next = now + soon;
                if known { Change::None } else { Change::Refused(text) }
            }
            Err(UnsealError::Unreachable(cause)) => self.without_answer(cause, terms, now, soon),
        }
    }

    fn without_answer(&mut self, cause: Cause, terms: SealedTerms, now: Instant, soon: Duration) -> Change {
        match &mut self.state {
            State::Open { outage, .. } => {
                let is_new = outage.is_none();
                let text = cause.to_string();
                let outage = match outage {
                    Some(outage) => {
                        outage.cause = cause;
                        outage
                    }
                    None => outage.insert(Outage { since: now, at: Timestamp::now(), cause }),
                };
                let end = outage.since + terms.grace;
                if now < end {
                    self.next = (now + soon).min(end);
                    return if is_new { Change::Outage(text) } else { Change::None };
                }
                let over = over(outage, terms);
                let text = over.to_string();
                self.state = State::Closed { since: now, cause: Some(over), refused: false, tries: 0 };
                self.next = now + AGAIN.0;
                Change::GraceOver(text)
            }
            State::Closed { cause: known, tries, .. } => {
                let (shortest, longest) = AGAIN;
                self.next = now + longest.min(shortest * (1 << (*tries).min(10)));
                *tries = tries.saturating_add(1);
                let text = cause.to_string();
                let is_new = known.as_ref() != Some(&cause);
                *known = Some(cause);
                if is_new { Change::Outage(text) } else { Change::None }
            }
        }
    }
}

fn cause_of(text: &str) -> Cause {
    text.into()
}

fn over(outage: &Outage, terms: SealedTerms) -> Cause {
    let grace = terms.grace.as_secs();
    outage.cause.clone().map_text(|text| {
        format!(
            "whether it may still be used could not be checked for more than sealedGraceSeconds ({grace} s): {text}"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERMS: SealedTerms = SealedTerms { grace: Duration::from_secs(100), check_period: Duration::from_mins(10) };

    struct Bench {
        entry: Entry,
        began: Instant,
    }

    fn secret() -> Secret {
        Secret::from_little_endian(&[1; 32]).unwrap()
    }

    fn refused() -> Asked {
        Err(UnsealError::Refused("the PIN was refused".into()))
    }

    fn unreachable() -> Asked {
        Err(UnsealError::Unreachable("the HSM is away".into()))
    }

    impl Bench {
        fn new() -> Self {
            let began = Instant::now();
            let sealed = SealedKey::Pkcs11 { label: "sealing".to_owned(), nonce: [1; 12], ciphertext: [2; 48] };
            Self { entry: Entry::new(secret().public_key().clone(), sealed, began), began }
        }

        fn open() -> Self {
            let mut bench = Self::new();
            assert_eq!(bench.answer(0.0, Ok(Some(secret()))), Change::Opened);
            bench
        }

        fn at(&self, seconds: f64) -> Instant {
            self.began + Duration::from_secs_f64(seconds)
        }

        fn answer(&mut self, seconds: f64, answer: Asked) -> Change {
            let now = self.at(seconds);
            self.entry.apply(answer, TERMS, now, now)
        }

        fn signs(&self, seconds: f64) -> bool {
            self.entry.secret(TERMS, self.at(seconds)).is_ok()
        }

        fn next(&self) -> Duration {
            self.entry.next.duration_since(self.began)
        }
    }

    #[test]
    fn a_refusal_ends_the_use_at_once_and_it_goes_on_when_it_is_over() {
        let mut bench = Bench::open();
        assert_eq!(bench.next(), TERMS.check_period);
        assert_eq!(bench.answer(600.0, refused()), Change::Refused("the PIN was refused".to_owned()));
        assert!(!bench.signs(600.0) && !bench.entry.is_open() && bench.entry.status().refused);
        assert_eq!(bench.next(), Duration::from_secs(630));
        assert_eq!(bench.answer(630.0, refused()), Change::None);
        // No answer is no better one.
        bench.answer(660.0, unreachable());
        assert!(!bench.signs(660.0) && bench.entry.status().refused);
        assert_eq!(bench.answer(690.0, Ok(Some(secret()))), Change::Opened);
        assert!(bench.signs(690.0) && bench.entry.status().reason.is_none());
    }

    #[test]
    fn an_outage_ends_the_use_after_the_grace_and_no_later_whoever_waits_for_what() {
        let mut bench = Bench::open();
        assert_eq!(bench.answer(600.0, unreachable()), Change::Outage("the HSM is away".to_owned()));
        assert_eq!(bench.next(), Duration::from_secs(630));
        assert!(bench.signs(600.0) && bench.signs(699.9) && !bench.signs(700.0));
        assert_eq!(bench.entry.unreachable_for(bench.at(660.0)), Duration::from_mins(1));
        let status = bench.entry.status();
        assert!(status.unreachable_since.is_some() && !status.refused && status.reason.is_some());
        assert_eq!(bench.answer(690.0, unreachable()), Change::None);
        assert_eq!(bench.next(), Duration::from_secs(700), "the end of the grace");
        assert!(
            matches!(bench.answer(700.0, unreachable()), Change::GraceOver(reason) if reason.contains("sealedGraceSeconds (100 s)"))
        );
        assert!(!bench.entry.is_open() && !bench.entry.status().refused);
        assert_eq!(bench.answer(701.0, Ok(Some(secret()))), Change::Opened);
        assert!(bench.signs(2000.0));
    }

    #[test]
    fn an_outage_that_ends_in_time_changes_nothing() {
        let mut bench = Bench::open();
        bench.answer(600.0, unreachable());
        assert_eq!(bench.answer(630.0, Ok(None)), Change::OutageEnded);
        assert!(bench.signs(900.0));
        assert_eq!(bench.next(), Duration::from_secs(1230));
        assert_eq!(bench.entry.unreachable_for(bench.at(900.0)), Duration::ZERO);
        bench.answer(1230.0, unreachable());
        assert!(bench.signs(1329.0), "the grace begins anew");
    }

    #[test]
    fn before_the_first_answer_it_is_tried_again_ever_more_slowly() {
        let mut bench = Bench::new();
        assert!(!bench.signs(0.0) && bench.entry.closed_since().is_none());
        let mut at = 0.0;
        let mut pauses = Vec::new();
        for _ in 0..9 {
            bench.answer(at, unreachable());
            pauses.push(bench.next().as_secs_f64() - at);
            at = bench.next().as_secs_f64();
        }
        assert_eq!(pauses[..3], [0.25, 0.5, 1.0]);
        assert!((pauses[8] - 15.0).abs() < 1e-9);
        assert!(bench.entry.closed_since().is_some());
    }
}
