//! When a PIN may be sent to the token. `C_Login` is the one call whose repetition costs something: a few wrong PINs lock the
//! user, at smart cards the third, and then nobody signs before a person has unlocked it. But tokens differ in what they answer
//! to a wrong PIN, and CloudHSM answers the same `CKR_GENERAL_ERROR` or `CKR_FUNCTION_FAILED` when it cannot be reached, after
//! which the signer must recover without a person. So:
//!
//! * A PIN that the token has accepted in this process is right. An error after that is one of the device: it is sent again
//!   after pauses that grow with the outage, without an end.
//! * A PIN that was refused (a code that is about the PIN, or the token's flags show that it has counted a wrong one) is not sent
//!   again before the file changes.
//! * Between the two, where the code may mean the PIN and it was never accepted, it is sent a second time after a minute, which no token
//!   locks for. After that it is sent again only if another call has shown meanwhile that the HSM was away, because only that
//!   makes it likely that the HSM was the reason before.
//! * A code that cannot mean the PIN is followed by further tries, with pauses that double.
//! * Nothing is sent while the token says that the next wrong PIN locks the user, or that it is locked. While it says that one
//!   was wrong since the last right one, a PIN that was not accepted yet is sent once. That is the one thing that a process knows of
//!   those before it: the first login of `serve` then waits, so that a process that is started again and again sends few.
//!
//! It counts for the life of the process, for all sessions, and whether the library was initialised again meanwhile.

use crate::keystore::pkcs11::HsmError;
use crate::keystore::pkcs11::pin::Credential;
use crate::keystore::pkcs11::unsent_pin::PinGuard;
use cryptoki::context::Function;
use cryptoki::error::RvError;
use cryptoki::slot::TokenInfo;
use std::time::{Duration, Instant};
use tezos_signer_core::cause::Cause;

/// When a PIN is sent a second time whose first answer may mean that it is wrong.
const SECOND_TRY: Duration = Duration::from_mins(1);

/// The pauses where another call has shown that the HSM was away: the first, which doubles, and the longest.
const AFTER_ABSENCE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(10));

/// The same where the code cannot mean the PIN.
const AFTER_DEVICE_ERROR: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(15));

/// The same for a PIN that was accepted before: at once for short outages, then after a part of the time since the first error,
/// so that the recovery takes that much longer than the outage.
const WITH_ACCEPTED_PIN: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));
const SHORT_OUTAGE: Duration = Duration::from_secs(5);
const PART_OF_OUTAGE: u32 = 4;

/// What the token says of wrong PINs, `CK_TOKEN_INFO.flags`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct PinFlags {
    pub(super) count_low: bool,
    pub(super) final_try: bool,
    pub(super) locked: bool,
}

impl From<&TokenInfo> for PinFlags {
    fn from(token: &TokenInfo) -> Self {
        Self {
            count_low: token.user_pin_count_low(),
            final_try: token.user_pin_final_try(),
            locked: token.user_pin_locked(),
        }
    }
}

/// What an answer of `C_Login` says of the PIN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    Refused,
    MayBeWrong,
    OfTheDevice,
}

/// The PIN that was not accepted last.
struct Failed {
    credential: Credential,
    meaning: Meaning,
    error: HsmError,
    first: Instant,
    last: Instant,
    times: u32,
    /// Whether another call has shown since the last try that the HSM was away.
    was_away: bool,
}

pub(super) struct LoginPolicy {
    began: Instant,
    start_pause: Duration,
    /// The PIN that was accepted last.
    accepted: Option<u64>,
    failed: Option<Failed>,
}

impl LoginPolicy {
    /// `start_pause`: how long the first login waits where the token says that the last one was wrong.
    pub(super) fn new(start_pause: Duration, now: Instant) -> Self {
        Self { began: now, start_pause, accepted: None, failed: None }
    }

    pub(super) fn is_accepted(&self, credential: Credential) -> bool {
        self.accepted == Some(credential.pin)
    }

    /// Whether the last login was well, and with this PIN.
    pub(super) fn is_well(&self, credential: Credential) -> bool {
        self.failed.is_none() && self.is_accepted(credential)
    }

    fn failed_with(&self, credential: Credential) -> Option<&Failed> {
        self.failed.as_ref().filter(|failed| failed.credential == credential)
    }

    /// Whether it is time to send the PIN: as far as the token need not be asked for its flags.
    pub(super) fn check(&self, credential: Credential, now: Instant) -> Result<(), HsmError> {
        let Some(failed) = self.failed_with(credential) else { return Ok(()) };
        let pause = match failed.meaning {
            Meaning::Refused => None,
            _ if self.is_accepted(credential) => {
                let (shortest, longest) = WITH_ACCEPTED_PIN;
                let outage = failed.last.duration_since(failed.first);
                Some(if outage < SHORT_OUTAGE { shortest } else { longest.min(outage / PART_OF_OUTAGE) })
            }
            Meaning::OfTheDevice => Some(doubled(AFTER_DEVICE_ERROR, failed.times)),
            Meaning::MayBeWrong if failed.was_away => Some(doubled(AFTER_ABSENCE, failed.times)),
            Meaning::MayBeWrong => (failed.times == 1).then_some(SECOND_TRY),
        };
        if pause.is_some_and(|pause| now.duration_since(failed.last) >= pause) {
            return Ok(());
        }
        Err(failed.error.clone())
    }

    /// Whether the token's flags allow it.
    pub(super) fn check_flags(&self, credential: Credential, flags: PinFlags, now: Instant) -> Result<(), HsmError> {
        let guard = match flags {
            PinFlags { locked: true, .. } => PinGuard::Locked,
            PinFlags { final_try: true, .. } => PinGuard::FinalTry,
            PinFlags { count_low: false, .. } => return Ok(()),
            _ if self.is_accepted(credential) => return Ok(()),
            _ if self.failed_with(credential).is_some() => PinGuard::CountLow,
            // Another PIN than the one before, in this process: a person has changed the file.
            _ if self.failed.is_some() || self.accepted.is_some() => return Ok(()),
            _ if now.duration_since(self.began) < self.start_pause => PinGuard::CountLowAtStart,
            _ => return Ok(()),
        };
        Err(HsmError::PinGuarded(guard))
    }

    /// The token has accepted the PIN.
    pub(super) fn accepted(&mut self, credential: Credential) {
        self.accepted = Some(credential.pin);
        self.failed = None;
    }

    /// `C_Login` returned `code`. `counted`: since then, the token's flags say that the PIN was wrong.
    pub(super) fn failed(
        &mut self,
        credential: Credential,
        code: RvError,
        counted: bool,
        remark: Option<&'static str>,
        now: Instant,
    ) -> HsmError {
        let before = self.failed_with(credential).map(|failed| (failed.first, failed.times));
        let (first, times) = before.unwrap_or((now, 0));
        let times = times.saturating_add(1);
        let is_accepted = self.is_accepted(credential);
        let meaning = if counted { Meaning::Refused } else { meaning(code) };
        let error = match meaning {
            Meaning::Refused => HsmError::PinRefused { code, counted, remark },
            Meaning::MayBeWrong if !is_accepted => HsmError::PinUnclear { code, times, remark },
            _ => HsmError::Call { function: Function::Login, code },
        };
        let failed = Failed { credential, meaning, error: error.clone(), first, last: now, times, was_away: false };
        self.failed = Some(failed);
        error
    }

    /// Another process of ours has sent the PIN, and the token has refused it.
    pub(super) fn refused_elsewhere(&mut self, credential: Credential, cause: Cause, now: Instant) {
        let error = HsmError::PinRefusedElsewhere(cause);
        let meaning = Meaning::Refused;
        self.failed = Some(Failed { credential, meaning, error, first: now, last: now, times: 1, was_away: false });
    }

    /// Whether the token has ever said anything of a PIN.
    pub(super) fn has_answer(&self) -> bool {
        self.accepted.is_some() || self.failed.is_some()
    }

    /// The last failure had nothing to do with the PIN.
    pub(super) fn forget_failure(&mut self) {
        self.failed = None;
    }

    /// Another call than `C_Login` has shown that the HSM is away.
    pub(super) fn saw_absence(&mut self) {
        if let Some(failed) = &mut self.failed {
            failed.was_away = true;
        }
    }
}

/// Whether the PIN is the reason of an error: another process could only send it once more.
pub(super) fn is_of_the_pin(error: &HsmError) -> bool {
    matches!(
        error,
        HsmError::PinRefused { .. }
            | HsmError::PinRefusedElsewhere(_)
            | HsmError::PinUnclear { .. }
            | HsmError::PinGuarded(_)
            | HsmError::PinContent { .. }
    )
}

/// Whether it is an error of a login with a PIN that was accepted before, which in another process may mean the PIN.
pub(super) fn needs_accepted_pin(error: &HsmError) -> bool {
    matches!(error, HsmError::Call { function: Function::Login, code } if meaning(*code) == Meaning::MayBeWrong)
}

fn doubled((shortest, longest): (Duration, Duration), times: u32) -> Duration {
    shortest.saturating_mul(1 << (times - 1).min(16)).min(longest)
}

fn meaning(code: RvError) -> Meaning {
    match code {
        RvError::PinIncorrect
        | RvError::PinInvalid
        | RvError::PinLenRange
        | RvError::PinExpired
        | RvError::PinLocked
        | RvError::UserPinNotInitialized => Meaning::Refused,
        // They name the device, the library, or the session.
        RvError::DeviceError
        | RvError::DeviceMemory
        | RvError::DeviceRemoved
        | RvError::HostMemory
        | RvError::TokenNotPresent
        | RvError::TokenNotRecognized
        | RvError::SlotIdInvalid
        | RvError::SessionHandleInvalid
        | RvError::SessionClosed
        | RvError::SessionCount
        | RvError::OperationActive
        | RvError::OperationNotInitialized
        | RvError::UserAnotherAlreadyLoggedIn
        | RvError::UserTooManyTypes
        | RvError::UserNotLoggedIn
        | RvError::FunctionCanceled
        | RvError::FunctionNotSupported
        | RvError::CryptokiNotInitialized => Meaning::OfTheDevice,
        // CKR_GENERAL_ERROR, CKR_FUNCTION_FAILED, CKR_ARGUMENTS_BAD, CKR_USER_TYPE_INVALID, and what a vendor or a later
        // specification defines.
        _ => Meaning::MayBeWrong,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keystore::pkcs11::unsent_pin::START_PAUSE;

    const PIN: Credential = Credential { file: 1, pin: 1 };
    const OTHER: Credential = Credential { file: 2, pin: 2 };
    const NONE: PinFlags = PinFlags { count_low: false, final_try: false, locked: false };
    const LOW: PinFlags = PinFlags { count_low: true, ..NONE };

    /// A policy, and the seconds since its process began.
    struct Bench {
        policy: LoginPolicy,
        began: Instant,
    }

    impl Bench {
        fn new(start_pause: Duration) -> Self {
            let began = Instant::now();
            Self { policy: LoginPolicy::new(start_pause, began), began }
        }

        fn at(&self, seconds: f64) -> Instant {
            self.began + Duration::from_secs_f64(seconds)
        }

        fn may(&self, credential: Credential, flags: PinFlags, seconds: f64) -> bool {
            let now = self.at(seconds);
            self.policy.check(credential, now).and_then(|()| self.policy.check_flags(credential, flags, now)).is_ok()
        }

        fn fails(&mut self, credential: Credential, code: RvError, seconds: f64) -> HsmError {
            let now = self.at(seconds);
            self.policy.failed(credential, code, false, None, now)
        }

        /// How often the PIN is sent until then, where each answer is this.
        fn logins(&mut self, code: RvError, from: u32, until: u32) -> usize {
            let quarters = (4 * from..4 * until).map(|quarter| f64::from(quarter) / 4.0);
            let mut logins = 0;
            for seconds in quarters {
                if self.may(PIN, NONE, seconds) {
                    self.fails(PIN, code, seconds);
                    logins += 1;
                }
            }
            logins
        }
    }

    const AMBIGUOUS: [RvError; 6] = [
        RvError::GeneralError,
        RvError::FunctionFailed,
        RvError::ArgumentsBad,
        RvError::UserTypeInvalid,
        RvError::VendorDefined(0x8000_0001),
        RvError::UnknownErrorCode(0x7fff),
    ];

    #[test]
    fn a_pin_that_may_be_wrong_is_sent_twice_and_a_third_time_only_after_an_absence_or_a_change() {
        for code in AMBIGUOUS {
            let mut bench = Bench::new(Duration::ZERO);
            assert!(is_of_the_pin(&bench.fails(PIN, code, 0.0)));
            assert_eq!(bench.logins(code, 0, 59), 0, "{code:?}");
            assert_eq!(bench.logins(code, 59, 86_400), 1, "{code:?}");
            bench.policy.saw_absence();
            assert_eq!(bench.logins(code, 86_400, 90_000), 1, "{code:?}");
            assert!(bench.may(OTHER, LOW, 90_000.0));
        }
        let mut bench = Bench::new(Duration::ZERO);
        bench.fails(PIN, RvError::GeneralError, 0.0);
        bench.policy.saw_absence();
        assert!(bench.may(PIN, NONE, 1.0) && !bench.may(PIN, LOW, 1.0));
        bench.policy.accepted(PIN);
        assert!(bench.may(PIN, LOW, 1.0));
    }

    #[test]
    fn a_pin_that_was_accepted_is_sent_again_whatever_the_code_ever_more_slowly() {
        for code in AMBIGUOUS.into_iter().chain([RvError::DeviceError]) {
            let mut bench = Bench::new(Duration::ZERO);
            bench.policy.accepted(PIN);
            let error = bench.fails(PIN, code, 0.0);
            assert!(matches!(error, HsmError::Call { .. }) && !is_of_the_pin(&error));
            assert_eq!(needs_accepted_pin(&error), code != RvError::DeviceError);
            let first_minute = bench.logins(code, 0, 60);
            assert!((25..=36).contains(&first_minute), "{code:?}: {first_minute}");
            assert_eq!(bench.logins(code, 60, 120), 12, "{code:?}");
        }
    }

    #[test]
    fn an_error_of_the_device_is_followed_by_tries_with_growing_pauses() {
        let mut bench = Bench::new(Duration::ZERO);
        assert_eq!(bench.logins(RvError::DeviceError, 0, 10), 5);
        assert_eq!(bench.logins(RvError::DeviceError, 10, 60), 3);
        assert_eq!(bench.logins(RvError::DeviceError, 60, 120), 4);
    }

    #[test]
    fn a_refused_pin_is_not_sent_again_also_one_that_was_accepted_before() {
        for code in [RvError::PinIncorrect, RvError::PinInvalid, RvError::PinLenRange, RvError::PinExpired] {
            let mut bench = Bench::new(Duration::ZERO);
            bench.policy.accepted(PIN);
            assert!(matches!(bench.fails(PIN, code, 0.0), HsmError::PinRefused { .. }));
            bench.policy.saw_absence();
            assert_eq!(bench.logins(code, 0, 86_400), 0);
        }
        // The token has counted it, whatever it answered.
        let mut bench = Bench::new(Duration::ZERO);
        bench.policy.accepted(PIN);
        let now = bench.began;
        let refused = bench.policy.failed(PIN, RvError::GeneralError, true, None, now);
        assert!(matches!(refused, HsmError::PinRefused { .. }));
        assert_eq!(bench.logins(RvError::GeneralError, 0, 86_400), 0);
        // The same PIN in another file: a person has changed something.
        assert!(bench.may(Credential { file: 3, ..PIN }, LOW, 1.0));
    }

    #[test]
    fn nothing_is_sent_where_the_next_wrong_pin_locks_the_user() {
        let mut bench = Bench::new(Duration::ZERO);
        bench.policy.accepted(PIN);
        for flags in [PinFlags { final_try: true, ..LOW }, PinFlags { locked: true, ..LOW }] {
            assert!(!bench.may(PIN, flags, 0.0) && !bench.may(OTHER, flags, 0.0));
        }
    }

    #[test]
    fn the_first_login_of_a_service_waits_where_the_last_one_was_wrong_and_is_not_repeated() {
        let mut bench = Bench::new(START_PAUSE);
        assert!(bench.may(PIN, NONE, 0.0));
        assert!(!bench.may(PIN, LOW, 9.9) && bench.may(PIN, LOW, 10.0));
        bench.fails(PIN, RvError::DeviceError, 10.0);
        assert!(!bench.may(PIN, LOW, 3600.0) && bench.may(PIN, NONE, 3600.0) && bench.may(OTHER, LOW, 11.0));
    }
}
