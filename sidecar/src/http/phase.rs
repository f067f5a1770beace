//! What a connection waits for, and until when. Written by the connection's own task; read by [`super::open_connections`] to
//! find the one that may be closed for a new client.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a TLS handshake may take: some lost packets sent again, and a slow client's arithmetic.
pub(crate) const HANDSHAKE: Duration = Duration::from_secs(10);

/// How long a request's head may take from its first byte, and then its body. Both fit into one packet; ten seconds are several
/// lost ones sent again, and longer than a signature is of use for.
pub(crate) const HEAD: Duration = Duration::from_secs(10);

/// Like [`HEAD`].
pub(crate) const BODY: Duration = Duration::from_secs(10);

/// How long a new connection may stay silent. Clients with a pool open connections ahead of need, and keep them for a minute
/// or two.
const FIRST_REQUEST: Duration = Duration::from_mins(10);

/// How long a connection may stay silent after an answer. A client that writes on a connection which is just being closed loses
/// its signature, so closing early costs more than it saves: dead peers are found by TCP keep-alive, and a crowd by the cap.
/// Longer than a cycle (14400 blocks of 6 s are 24 h): who has any rights asks more often.
const BETWEEN_REQUESTS: Duration = Duration::from_hours(25);

/// How long a client may go on sending, unread, after its answer, so that the answer is not lost in a reset.
pub(crate) const LINGER: Duration = Duration::from_secs(2);

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The end of the TLS handshake, which has a time-out of its own.
    Handshake,
    /// The first byte of a request.
    Idle,
    /// The rest of its head.
    Head,
    /// Its body, which has a time-out of its own.
    Body,
    /// Our answer.
    Answer,
    /// That the client closes too, for [`LINGER`].
    Closing,
}

/// The phase of one connection.
#[derive(Debug, Clone)]
pub(crate) struct Progress(Arc<Mutex<State>>);

#[derive(Debug, Clone, Copy)]
struct State {
    phase: Phase,
    since: Instant,
    /// When it was accepted or last answered: since when it has been of no use.
    useless_since: Instant,
    answered: bool,
}

/// What decides which connection is closed for a new one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usefulness {
    /// Whether an answer is owed.
    pub(crate) busy: bool,
    /// Whether it ever completed a request.
    pub(crate) answered: bool,
    /// When it was accepted or last answered.
    pub(crate) since: Instant,
}

impl Progress {
    /// Of a connection that was accepted now.
    pub(crate) fn new(phase: Phase) -> Self {
        let now = Instant::now();
        Self(Arc::new(Mutex::new(State { phase, since: now, useless_since: now, answered: false })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on it waits for something else.
    pub(crate) fn enter(&self, phase: Phase) {
        let mut state = self.state();
        state.phase = phase;
        state.since = Instant::now();
    }

    /// Bytes of a request have come in.
    pub(crate) fn received(&self) {
        let mut state = self.state();
        if state.phase == Phase::Idle {
            state.phase = Phase::Head;
            state.since = Instant::now();
        }
    }

    /// A request was answered.
    pub(crate) fn answered(&self) {
        let now = Instant::now();
        *self.state() = State { phase: Phase::Idle, since: now, useless_since: now, answered: true };
    }

    pub(crate) fn phase(&self) -> Phase {
        self.state().phase
    }

    /// Until when HTTP may wait for the client, where nobody else watches.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let state = self.state();
        let patience = match state.phase {
            Phase::Idle if state.answered => BETWEEN_REQUESTS,
            Phase::Idle => FIRST_REQUEST,
            Phase::Head => HEAD,
            Phase::Handshake | Phase::Body | Phase::Answer | Phase::Closing => return None,
        };
        Some(state.since + patience)
    }

    pub(crate) fn usefulness(&self) -> Usefulness {
        let state = self.state();
        Usefulness { busy: state.phase == Phase::Answer, answered: state.answered, since: state.useless_since }
    }
}
