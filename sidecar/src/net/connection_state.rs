//! What a connection waits for, and until when. The connection's own task writes it; [`crate::net::connection_limit`] reads
//! it to find a connection to close for a new client.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// How long a TLS handshake may take: some lost packets sent again, and a slow client's arithmetic.
pub(crate) const HANDSHAKE: Duration = Duration::from_secs(10);

/// How long a request's head may take from its first byte, and then its body. Both fit into one packet; ten seconds are several
/// lost ones sent again, and longer than a signature is of use for.
pub(crate) const HEAD: Duration = Duration::from_secs(10);

/// How long a request's body may take after its head, as [`HEAD`].
pub(crate) const BODY: Duration = Duration::from_secs(10);

/// How long a new connection may stay silent. Clients with a pool open connections ahead of need, and keep them for a minute
/// or two.
const FIRST_REQUEST: Duration = Duration::from_mins(10);

/// How long a connection may stay idle after a response. A client that sends a request while the connection is being closed loses a
/// signature, so closing early costs more than it saves: TCP keep-alive detects dead peers, and the limit handles too many connections. It is
/// longer than a cycle (14400 blocks of 6 s are 24 h), in which every baker with rights sends requests.
const BETWEEN_REQUESTS: Duration = Duration::from_hours(25);

/// How long a client may continue to send after its response, which is read and discarded so that the response is not lost in a reset.
pub(crate) const LINGER: Duration = Duration::from_secs(2);

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ConnectionState {
    /// The end of the TLS handshake, which has a time-out of its own.
    Handshake,
    /// The first byte of a request.
    Idle,
    /// The rest of its head.
    Head,
    /// Its body, which has a time-out of its own.
    Body,
    /// The response is being produced or written.
    Answer,
    /// That the client closes too, for [`LINGER`].
    Closing,
}

/// The phase of one connection.
#[derive(Debug, Clone)]
pub(crate) struct Progress(Arc<Mutex<State>>);

#[derive(Debug, Clone, Copy)]
struct State {
    phase: ConnectionState,
    since: Instant,
    /// When it was accepted or last answered: since when it has been of no use.
    useless_since: Instant,
    carried: Carried,
    first_signature: Option<Instant>,
}

/// The best response that a connection has carried so far. Every client gets responses; only an authorized one gets a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Carried {
    /// No request was completed.
    Nothing,
    /// Something else than a signature, or a refusal.
    Answer,
    /// A response with a signature.
    Signature,
}

/// What decides which connection is closed for a new one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usefulness {
    /// Whether an answer is owed.
    pub(crate) busy: bool,
    /// The most useful response so far.
    pub(crate) carried: Carried,
    /// When it was accepted or last answered.
    pub(crate) since: Instant,
    /// When it first carried a signature, if it has.
    pub(crate) first_signature: Option<Instant>,
}

impl Progress {
    /// Of a connection that was accepted now.
    pub(crate) fn new(phase: ConnectionState) -> Self {
        let now = Instant::now();
        let (carried, first_signature) = (Carried::Nothing, None);
        Self(Arc::new(Mutex::new(State { phase, since: now, useless_since: now, carried, first_signature })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on it waits for something else.
    pub(crate) fn enter(&self, phase: ConnectionState) {
        let mut state = self.state();
        state.phase = phase;
        state.since = Instant::now();
    }

    /// Bytes of a request have come in.
    pub(crate) fn received(&self) {
        let mut state = self.state();
        if state.phase == ConnectionState::Idle {
            state.phase = ConnectionState::Head;
            state.since = Instant::now();
        }
    }

    /// A request was answered, with a signature or with something else.
    pub(crate) fn answered(&self, is_signature: bool) {
        let now = Instant::now();
        let mut state = self.state();
        let carried = if is_signature { Carried::Signature } else { Carried::Answer };
        let (carried, first) = (carried.max(state.carried), is_signature.then_some(now));
        let first_signature = state.first_signature.or(first);
        *state = State { phase: ConnectionState::Idle, since: now, useless_since: now, carried, first_signature };
    }

    pub(crate) fn phase(&self) -> ConnectionState {
        self.state().phase
    }

    /// The deadline for the client, which nothing else enforces.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let state = self.state();
        let patience = match state.phase {
            ConnectionState::Idle if state.carried > Carried::Nothing => BETWEEN_REQUESTS,
            ConnectionState::Idle => FIRST_REQUEST,
            ConnectionState::Head => HEAD,
            ConnectionState::Handshake | ConnectionState::Body | ConnectionState::Answer | ConnectionState::Closing => {
                return None;
            }
        };
        Some(state.since + patience)
    }

    pub(crate) fn usefulness(&self) -> Usefulness {
        let state = self.state();
        let State { phase, useless_since: since, carried, first_signature, .. } = *state;
        Usefulness { busy: phase == ConnectionState::Answer, carried, since, first_signature }
    }
}
