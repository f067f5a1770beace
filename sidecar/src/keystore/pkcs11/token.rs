//! The PKCS#11 library and its token: loading, finding the slot, opening sessions, initialising again. These are
//! serialised by one lock. A call of the library is made either under that lock or on an [`OpenSession`], which is counted:
//! if the lock is held and no session is open, no call is in the library.

use crate::keystore::pkcs11::HsmError;
use crate::keystore::pkcs11::login::{At, Logins};
use crate::keystore::pkcs11::recovery::Recovery;
use crate::keystore::pkcs11::slot::{self, TokenSlot};
use crate::keystore::pkcs11::worker_slot::{CallClock, OneCallAtATime};
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Function, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::MechanismType;
use cryptoki::session::{Session, SessionState, UserType};
use parking_lot::Mutex;
use std::ops::Deref;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tezos_signer_core::config::{HsmConfig, MechanismNumber};

/// How long one thread waits for another that is opening a session.
const TURN: Duration = Duration::from_secs(1);

/// How long sessions that are about to be closed are waited for before the library is finalized.
const DRAIN: Duration = Duration::from_millis(500);

/// A token, whether it can be reached or not.
pub(super) struct Token {
    config: HsmConfig,
    state: Mutex<State>,
    logins: Arc<Logins>,
    /// In force for a library that cannot lock.
    one_call: Arc<OneCallAtATime>,
    /// Counts the open sessions, except the anchor.
    sessions: Arc<()>,
}

#[derive(Default)]
struct State {
    /// Loaded once: unloading a library that has threads of its own crashes.
    library: Option<Pkcs11>,
    initialised: bool,
    /// The token's slot, which stays the same while the library is initialised. It is not searched again, because CloudHSM asks its HSMs
    /// for it, and SoftHSM2 on a read-only file system loses the label after the first login.
    slot: Option<TokenSlot>,
    /// A session that nothing is done on. It keeps the login, which ends with the last session, and CloudHSM's connections. A token
    /// with few sessions has none for it.
    anchor: Option<Session>,
    /// The HSM reports that the user is not logged in, whatever the library reports.
    login_lost: bool,
    /// When the library was last finalized.
    finalized: Option<Instant>,
}

/// A logged-in session, closed when dropped. It is a read-write one, because CloudHSM knows no others; a token that is write-protected has
/// only read-only ones.
///
/// An error of closing is ignored: the cause was reported when the session failed, and a session that stays open ends with the library.
pub(super) struct OpenSession {
    session: Session,
    library: Pkcs11,
    slot: TokenSlot,
    logins: Arc<Logins>,
    eddsa_mechanism: Option<MechanismNumber>,
    /// Dropped after the session, so that it is closed when it counts no more.
    _counted: Arc<()>,
}

impl Deref for OpenSession {
    type Target = Session;
    fn deref(&self) -> &Session {
        &self.session
    }
}

impl OpenSession {
    /// The mechanism for Ed25519 that the configuration names.
    pub(super) fn eddsa_mechanism(&self) -> Option<MechanismNumber> {
        self.eddsa_mechanism
    }

    /// What the token lists as its mechanisms.
    pub(super) fn mechanisms(&self, clock: &CallClock) -> Result<Vec<MechanismType>, HsmError> {
        Ok(clock.call(|| self.library.get_mechanism_list(self.slot.slot))?)
    }

    /// Shows the PIN for the one signature that `C_SignInit` has begun.
    pub(super) fn log_in_for_signature(&self, clock: &CallClock) -> Result<(), HsmError> {
        self.log_in(UserType::ContextSpecific, clock)
    }

    fn log_in(&self, user: UserType, clock: &CallClock) -> Result<(), HsmError> {
        self.logins.log_in(user, &At { library: &self.library, slot: self.slot, session: &self.session }, clock)
    }
}

impl Token {
    /// For a command, which a person has called. Nothing is loaded before the first session is opened.
    pub(super) fn new(config: HsmConfig) -> Self {
        Self::with_start_pause(config, Duration::ZERO)
    }

    /// For a process where the first login waits so long if the token says that the last one was wrong.
    pub(super) fn with_start_pause(config: HsmConfig, start_pause: Duration) -> Self {
        let logins = Arc::new(Logins::new(config.clone(), start_pause));
        Self::with_logins(config, logins)
    }

    /// Whose sessions are never logged in.
    pub(super) fn without_login(config: HsmConfig) -> Self {
        let logins = Arc::new(Logins::held(config.clone()));
        Self::with_logins(config, logins)
    }

    /// With the logins of this process.
    pub(super) fn with_logins(config: HsmConfig, logins: Arc<Logins>) -> Self {
        Self { config, state: Mutex::default(), logins, one_call: Arc::default(), sessions: Arc::new(()) }
    }

    /// What each [`CallClock`] of this token's threads must have.
    pub(super) fn one_call_at_a_time(&self) -> Arc<OneCallAtATime> {
        self.one_call.clone()
    }

    /// Opens a session, and logs in if the user is not logged in. Each call of the library restarts `clock`.
    pub(super) fn open(&self, clock: &CallClock) -> Result<OpenSession, HsmError> {
        let mut state = self.state.try_lock_for(TURN).ok_or(HsmError::OpeningElsewhere)?;
        // Another thread has learned it while this one waited.
        if self.one_call.is_required() && !clock.has_turn() {
            return Err(HsmError::OpeningElsewhere);
        }
        let opened = self.open_in(&mut state, clock);
        if opened.as_ref().is_err_and(shows_absence) {
            self.logins.saw_absence();
        }
        opened
    }

    fn open_in(&self, state: &mut State, clock: &CallClock) -> Result<OpenSession, HsmError> {
        let library = self.library(state, clock)?;
        let slot = match state.slot {
            Some(slot) => slot,
            None => *state.slot.insert(slot::find(&library, &self.config.token, clock)?),
        };
        let session = match open_session(&library, slot, clock) {
            // The login may end with the anchor; without a session nothing is signed.
            Err(HsmError::Call { code: RvError::SessionCount, .. }) if state.anchor.is_some() => {
                state.anchor = None;
                open_session(&library, slot, clock)?
            }
            opened => opened?,
        };
        let logins = self.logins.clone();
        let eddsa_mechanism = self.config.eddsa_mechanism;
        let session = OpenSession { session, library, slot, logins, eddsa_mechanism, _counted: self.sessions.clone() };
        let is_logged_in = matches!(
            clock.call(|| session.get_session_info())?.session_state(),
            SessionState::RwUser | SessionState::RoUser
        );
        if state.login_lost || !is_logged_in {
            session.log_in(UserType::User, clock)?;
            state.login_lost = false;
            // One that was there has lost its login, and so is good for nothing.
            state.anchor = None;
        }
        if state.anchor.is_none() {
            state.anchor = open_session(&session.library, slot, clock).ok();
        }
        Ok(session)
    }

    /// The HSM does not know of the login: the next session logs in again.
    pub(super) fn login_lost(&self) {
        if let Some(mut state) = self.state.try_lock_for(TURN) {
            state.login_lost = true;
        }
    }

    /// Finalizes the library, so that [`Self::open`] initialises it again: many libraries search for tokens and reconnect only then. This is
    /// not done while a session is open or a call is in the library, because finalizing it under a call crashes the process, and at most
    /// once in each `period`. `None` if it was not tried. A library that could not be finalized is initialised again anyway.
    pub(super) fn finalize(&self, period: Duration) -> Option<Result<(), HsmError>> {
        let mut state = self.state.try_lock_for(TURN)?;
        let too_soon = state.finalized.is_some_and(|at| at.elapsed() < period);
        if !state.initialised || too_soon || !self.is_drained() {
            return None;
        }
        let library = state.library.clone()?;
        *state = State { library: state.library.take(), finalized: Some(Instant::now()), ..State::default() };
        Some(library.finalize().map_err(HsmError::from))
    }

    /// Waits for sessions that are about to be closed. The lock is held: none is opened meanwhile.
    fn is_drained(&self) -> bool {
        let begin = Instant::now();
        while Arc::strong_count(&self.sessions) > 1 {
            if begin.elapsed() >= DRAIN {
                return false;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        true
    }

    fn library(&self, state: &mut State, clock: &CallClock) -> Result<Pkcs11, HsmError> {
        let library = match state.library.take() {
            Some(library) => library,
            None => clock.call(|| self.load())?,
        };
        state.library = Some(library.clone());
        if !state.initialised {
            let initialise = |flags| clock.call(|| library.initialize(CInitializeArgs::new(flags)));
            let mut initialised = initialise(CInitializeFlags::OS_LOCKING_OK);
            if matches!(initialised, Err(Error::Pkcs11(RvError::CantLock, _))) {
                self.one_call.require();
                initialised = initialise(CInitializeFlags::empty());
            }
            match initialised {
                Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => state.initialised = true,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(library)
    }

    fn load(&self) -> Result<Pkcs11, HsmError> {
        let library = Pkcs11::new(&self.config.module)
            .map_err(|error| HsmError::Library { module: self.config.module.clone(), source: Arc::new(error) })?;
        // Kept for the life of the process, whatever becomes of this token.
        std::mem::forget(library.clone());
        Ok(library)
    }
}

/// A read-write session, or a read-only one where the token has no others.
fn open_session(library: &Pkcs11, slot: TokenSlot, clock: &CallClock) -> Result<Session, HsmError> {
    let error = match clock.call(|| library.open_rw_session(slot.slot)) {
        Ok(session) => return Ok(session),
        Err(error) => error,
    };
    let is_refused =
        matches!(error, Error::Pkcs11(RvError::TokenWriteProtected | RvError::SessionReadOnly, Function::OpenSession));
    let is_protected = slot.is_write_protected || is_refused;
    let read_only = is_protected.then(|| clock.call(|| library.open_ro_session(slot.slot)).ok()).flatten();
    read_only.ok_or_else(|| error.into())
}

/// Whether an error of opening a session means that the HSM cannot be reached, whatever the PIN.
fn shows_absence(error: &HsmError) -> bool {
    match error {
        HsmError::Call { function: Function::Login, .. } => false,
        HsmError::Call { .. } | HsmError::NoToken { .. } => error.recovery() == Recovery::Library,
        _ => false,
    }
}
