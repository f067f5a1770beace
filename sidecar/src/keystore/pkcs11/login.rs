//! `C_Login`: of the user, which serves all sessions of the process, and for one signature where a key asks for it. One login at
//! a time, whichever thread needs it. When the PIN may be sent says [`login_policy`](super::login_policy).

use crate::keystore::pkcs11::HsmError;
use crate::keystore::pkcs11::login_policy::{LoginPolicy, PinFlags};
use crate::keystore::pkcs11::pin::{self, Credential};
use crate::keystore::pkcs11::slot::TokenSlot;
use crate::keystore::pkcs11::unsent_pin::START_PAUSE;
use crate::keystore::pkcs11::worker_slot::CallClock;
use cryptoki::context::Pkcs11;
use cryptoki::error::{Error, RvError};
use cryptoki::session::{Session, UserType};
use parking_lot::Mutex;
use std::hash::RandomState;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tezos_signer_core::cause::Cause;
use tezos_signer_core::config::HsmConfig;

/// How long one thread waits for the login of another.
const TURN: Duration = Duration::from_secs(1);

/// The same where a thread waits that has other things to do.
const SHORT_TURN: Duration = Duration::from_millis(100);

/// When this process, and those that it starts, may send the PIN.
pub(crate) struct Logins {
    config: HsmConfig,
    /// The PIN is never sent.
    held: bool,
    /// Sessions of this process log in too.
    with_sessions: AtomicBool,
    hasher: RandomState,
    state: Mutex<State>,
}

struct State {
    policy: LoginPolicy,
    /// The token has a keypad, and takes the PIN from the file nevertheless.
    wants_pin: bool,
    /// The content of the PIN file that was last remarked on.
    remarked: Option<Credential>,
}

/// Where to log in.
pub(super) struct At<'a> {
    pub(super) library: &'a Pkcs11,
    pub(super) slot: TokenSlot,
    pub(super) session: &'a Session,
}

impl Logins {
    pub(super) fn new(config: HsmConfig, start_pause: Duration) -> Self {
        let policy = LoginPolicy::new(start_pause, Instant::now());
        let state = State { policy, wants_pin: false, remarked: None };
        let with_sessions = AtomicBool::new(false);
        Self { config, held: false, with_sessions, hasher: RandomState::new(), state: Mutex::new(state) }
    }

    /// Of a process that signs, which may have been started by a program, again and again.
    pub(crate) fn of_service(config: HsmConfig) -> Self {
        Self::new(config, START_PAUSE)
    }

    /// Of a process that a person has called.
    pub(crate) fn for_command(config: HsmConfig) -> Self {
        Self::new(config, Duration::ZERO)
    }

    /// Each login fails before anything is sent.
    pub(super) fn held(config: HsmConfig) -> Self {
        Self { held: true, ..Self::new(config, Duration::ZERO) }
    }

    /// From now on sessions of this process log in.
    pub(super) fn has_sessions(&self) {
        self.with_sessions.store(true, Ordering::SeqCst);
    }

    /// The PIN that another process of ours may send now. Where sessions of this process log in too, they do so first: so a wrong PIN is
    /// sent once.
    pub(super) fn may_log_in_elsewhere(&self) -> Result<Credential, HsmError> {
        let state = self.state.try_lock_for(SHORT_TURN).ok_or(HsmError::OpeningElsewhere)?;
        let credential = pin::read(&self.config, &self.hasher)?.credential;
        if self.with_sessions.load(Ordering::SeqCst) && !state.policy.has_answer() {
            return Err(HsmError::Unusable("no session of this signer has reached it yet".into()));
        }
        state.policy.check(credential, Instant::now())?;
        Ok(credential)
    }

    /// The PIN was sent by another process of ours, and refused.
    pub(super) fn refused_elsewhere(&self, credential: Credential, cause: Cause) {
        // A session that holds it has just sent the PIN, and learns the same.
        if let Some(mut state) = self.state.try_lock_for(SHORT_TURN) {
            state.policy.refused_elsewhere(credential, cause, Instant::now());
        }
    }

    /// Another call than `C_Login` has shown that the HSM is away.
    pub(super) fn saw_absence(&self) {
        if let Some(mut state) = self.state.try_lock_for(TURN) {
            state.policy.saw_absence();
        }
    }

    /// Logs in the user, or for one signature ([`UserType::ContextSpecific`]).
    pub(super) fn log_in(&self, user: UserType, at: &At<'_>, clock: &CallClock) -> Result<(), HsmError> {
        if self.held {
            return Err(HsmError::LoginHeld);
        }
        let mut state = self.state.try_lock_for(TURN).ok_or(HsmError::OpeningElsewhere)?;
        let state = &mut *state;
        if at.slot.has_keypad && !state.wants_pin {
            match Self::send(state, user, None, at, clock) {
                // Nothing was compared with a PIN, so this costs no try.
                Err(HsmError::PinUnclear { code: RvError::ArgumentsBad, .. }) => {
                    state.wants_pin = true;
                    state.policy.forget_failure();
                }
                done => return done,
            }
        }
        let pin = pin::read(&self.config, &self.hasher)?;
        Self::send(state, user, Some(&pin), at, clock)
    }

    /// `pin`: none where a person enters it at the token.
    fn send(
        state: &mut State,
        user: UserType,
        pin: Option<&pin::Pin>,
        at: &At<'_>,
        clock: &CallClock,
    ) -> Result<(), HsmError> {
        let credential = pin.map_or(Credential::KEYPAD, |pin| pin.credential);
        let remark = pin.and_then(|pin| pin.remark);
        let policy = &mut state.policy;
        policy.check(credential, Instant::now())?;
        // A key that asks for a login with each signature would ask for the flags as often.
        let is_routine = matches!(user, UserType::ContextSpecific) && policy.is_well(credential);
        let before = match (!is_routine).then(|| flags(at, clock)).transpose() {
            Ok(flags) => flags,
            Err(_) if policy.is_accepted(credential) => None,
            Err(error) => return Err(error),
        };
        if let Some(flags) = before {
            policy.check_flags(credential, flags, Instant::now())?;
        }
        if let Some(remark) = remark
            && state.remarked.replace(credential) != Some(credential)
        {
            tracing::warn!("{remark}");
        }
        match clock.call(|| at.session.login(user, pin.map(|pin| &pin.secret))) {
            Ok(()) => {
                policy.accepted(credential);
                Ok(())
            }
            // Which says nothing of the PIN.
            Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => {
                policy.forget_failure();
                Ok(())
            }
            Err(Error::Pkcs11(code, _)) => {
                let after = flags(at, clock).ok();
                let counted = before.zip(after).is_some_and(|(before, after)| counts_more(before, after));
                Err(policy.failed(credential, code, counted, remark, Instant::now()))
            }
            Err(other) => Err(other.into()),
        }
    }
}

fn flags(at: &At<'_>, clock: &CallClock) -> Result<PinFlags, HsmError> {
    Ok(PinFlags::from(&clock.call(|| at.library.get_token_info(at.slot.slot))?))
}

fn counts_more(before: PinFlags, after: PinFlags) -> bool {
    after.count_low && !before.count_low || after.final_try && !before.final_try || after.locked && !before.locked
}
