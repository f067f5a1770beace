//! The PKCS#11 library and its token: loading, finding the slot, opening sessions, logging in, initialising again. These are
//! serialised by one lock. A call of the library is made either under that lock or on an [`OpenSession`], which is counted:
//! if the lock is held and no session is open, no call is in the library.

use crate::file_permissions;
use crate::keystore::pkcs11::HsmError;
use crate::keystore::pkcs11::worker_slot::CallClock;
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::session::{Session, SessionState, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;
use parking_lot::Mutex;
use std::ops::Deref;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use tezos_signer_core::config::{HsmConfig, TokenSelector};

/// How long one thread waits for another that is opening a session.
const TURN: Duration = Duration::from_secs(1);

/// The minimum pause after a failed login, for all sessions.
const LOGIN_PERIOD: Duration = Duration::from_millis(250);

/// How long sessions that are about to be closed are waited for before the library is finalized.
const DRAIN: Duration = Duration::from_millis(500);

/// A token, whether it can be reached or not.
pub(super) struct Token {
    config: HsmConfig,
    state: Mutex<State>,
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
    slot: Option<Slot>,
    /// A session that nothing is done on. It keeps the login, which ends with the last session, and CloudHSM's connections.
    anchor: Option<Session>,
    /// When the PIN file that the token refused was last written, and what the token said.
    refused_pin: Option<(Option<SystemTime>, HsmError)>,
    /// When a login last failed for another reason, and why.
    failed_login: Option<(Instant, HsmError)>,
    /// The HSM reports that the user is not logged in, whatever the library reports.
    login_lost: bool,
    /// When the library was last finalized.
    finalized: Option<Instant>,
}

/// A logged-in read-write session, closed when dropped. CloudHSM knows no read-only ones.
///
/// An error of closing is ignored: the cause was reported when the session failed, and a session that stays open ends with the library.
pub(super) struct OpenSession {
    session: Session,
    /// Dropped after the session, so that it is closed when it counts no more.
    _counted: Arc<()>,
}

impl Deref for OpenSession {
    type Target = Session;
    fn deref(&self) -> &Session {
        &self.session
    }
}

impl Token {
    /// Nothing is loaded before the first session is opened.
    pub(super) fn new(config: HsmConfig) -> Self {
        Self { config, state: Mutex::default(), sessions: Arc::new(()) }
    }

    /// Opens a session, and logs in if the user is not logged in. Each call of the library restarts `clock`.
    pub(super) fn open(&self, clock: &CallClock) -> Result<OpenSession, HsmError> {
        let mut state = self.state.try_lock_for(TURN).ok_or(HsmError::OpeningElsewhere)?;
        let state = &mut *state;
        let library = self.library(state, clock)?;
        let slot = match state.slot {
            Some(slot) => slot,
            None => *state.slot.insert(self.find_slot(&library, clock)?),
        };
        let session = clock.call(|| library.open_rw_session(slot))?;
        let session = OpenSession { session, _counted: self.sessions.clone() };
        if state.login_lost || clock.call(|| session.get_session_info())?.session_state() != SessionState::RwUser {
            self.log_in(state, &session, clock)?;
            state.login_lost = false;
            // One that was there has lost its login, and so is good for nothing.
            state.anchor = Some(clock.call(|| library.open_rw_session(slot))?);
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
        *state = State {
            library: state.library.take(),
            finalized: Some(Instant::now()),
            refused_pin: state.refused_pin.take(),
            failed_login: state.failed_login.take(),
            ..State::default()
        };
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
            match clock.call(|| library.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK))) {
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

    fn find_slot(&self, library: &Pkcs11, clock: &CallClock) -> Result<Slot, HsmError> {
        let mut seen = Vec::new();
        let mut found = Vec::new();
        for slot in clock.call(|| library.get_slots_with_initialized_token())? {
            let token = clock.call(|| library.get_token_info(slot))?;
            if match &self.config.token {
                TokenSelector::Label(label) => token.label() == label,
                TokenSelector::Serial(serial) => token.serial_number() == serial,
            } {
                found.push(slot);
            }
            seen.push(format!("{:?} (serial number {:?})", token.label(), token.serial_number()));
        }
        match found[..] {
            [slot] => Ok(slot),
            [] => {
                let seen = if seen.is_empty() { "none".to_owned() } else { seen.join(", ") };
                Err(HsmError::NoToken { token: self.config.token.clone(), seen })
            }
            _ => Err(HsmError::AmbiguousToken(self.config.token.clone())),
        }
    }

    /// One login serves all sessions of the process. A refused PIN is not tried again before its file changes.
    fn log_in(&self, state: &mut State, session: &Session, clock: &CallClock) -> Result<(), HsmError> {
        let unreadable =
            |error: std::io::Error| HsmError::PinFile { path: self.config.pin_file.clone(), source: Arc::new(error) };
        let file = file_permissions::open_pin_file(&self.config).map_err(unreadable)?;
        let written = file.metadata().map_err(unreadable)?.modified().ok();
        if let Some((refused, error)) = &state.refused_pin
            && *refused == written
        {
            return Err(error.clone());
        }
        if let Some((at, error)) = &state.failed_login
            && at.elapsed() < LOGIN_PERIOD
        {
            return Err(error.clone());
        }
        let text = std::io::read_to_string(file).map_err(unreadable)?;
        let pin = AuthPin::new(text.trim_end_matches(['\r', '\n']).into());
        state.refused_pin = None;
        state.failed_login = None;
        match clock.call(|| session.login(UserType::User, Some(&pin))) {
            Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(()),
            Err(Error::Pkcs11(
                code @ (RvError::PinIncorrect
                | RvError::PinLocked
                | RvError::PinExpired
                | RvError::PinInvalid
                | RvError::PinLenRange
                | RvError::UserPinNotInitialized),
                _,
            )) => {
                let error = HsmError::PinRefused(code);
                state.refused_pin = Some((written, error.clone()));
                Err(error)
            }
            Err(error) => {
                let error = HsmError::from(error);
                state.failed_login = Some((Instant::now(), error.clone()));
                Err(error)
            }
        }
    }
}
