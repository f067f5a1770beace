//! What is known of the token: with which keys it signs, on how many sessions, and since when and why not. Only a signature
//! counts as proof; it comes from requests, and from trial signatures on each idle session.

use super::HsmError;
use super::metrics::HsmMetrics;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tezos_signer_core::key::PublicKeyHash;

/// One thread with its session. A thread that takes another's place has another number.
pub(super) type SeatNumber = u64;

/// Another reason is not logged more often: threads may fail in turns, each in its own way.
const LOG_PERIOD: Duration = Duration::from_secs(1);

/// What is known of the token.
pub struct Health {
    state: Mutex<State>,
    metrics: HsmMetrics,
}

struct State {
    /// With which keys the newest signature on each thread's session succeeded. What a thread tells that is not here, because
    /// another has taken its place, counts for nothing.
    seats: HashMap<SeatNumber, BTreeSet<PublicKeyHash>>,
    keys: BTreeMap<PublicKeyHash, KeyHealth>,
    has_signed: bool,
}

enum KeyHealth {
    NotTriedYet,
    Signs,
    /// On no session.
    Fails {
        since: Instant,
        error: HsmError,
        logged: Instant,
    },
}

impl State {
    /// How many sessions sign.
    fn sessions(&self) -> usize {
        self.seats.values().filter(|keys| !keys.is_empty()).count()
    }
}

impl Health {
    pub(super) fn new(keys: impl IntoIterator<Item = PublicKeyHash>, metrics: HsmMetrics) -> Self {
        let keys: BTreeMap<_, _> = keys.into_iter().map(|key| (key, KeyHealth::NotTriedYet)).collect();
        for key in keys.keys() {
            metrics.key(key, false);
        }
        Self { state: Mutex::new(State { seats: HashMap::new(), keys, has_signed: false }), metrics }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each change is whole before anything could panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on there are these keys, and no others. A new one was not tried yet.
    pub(super) fn configure(&self, keys: impl IntoIterator<Item = PublicKeyHash>) {
        let keys: BTreeSet<_> = keys.into_iter().collect();
        let mut state = self.state();
        state.keys.retain(|key, _| {
            let stays = keys.contains(key);
            if !stays {
                self.metrics.forget_key(key);
            }
            stays
        });
        for seat in state.seats.values_mut() {
            seat.retain(|key| keys.contains(key));
        }
        for key in &keys {
            state.keys.entry(*key).or_insert_with(|| {
                self.metrics.key(key, false);
                KeyHealth::NotTriedYet
            });
        }
    }

    /// A thread begins.
    pub(super) fn joins(&self, seat: SeatNumber) {
        self.state().seats.insert(seat, BTreeSet::new());
    }

    /// A thread's session has signed with `key`.
    pub(super) fn signs(&self, seat: SeatNumber, key: &PublicKeyHash) {
        let mut state = self.state();
        // One that was taken out of the configuration meanwhile counts for nothing either.
        let is_configured = state.keys.contains_key(key);
        let Some(keys) = state.seats.get_mut(&seat).filter(|_| is_configured) else { return };
        keys.insert(*key);
        state.has_signed = true;
        self.metrics.sessions(state.sessions());
        let before = state.keys.insert(*key, KeyHealth::Signs);
        if !matches!(before, Some(KeyHealth::Signs)) {
            self.metrics.key(key, true);
            tracing::info!(%key, "the HSM signs");
        }
    }

    /// A thread's session could not sign with `key`, and was not given up for that.
    pub(super) fn fails(&self, seat: SeatNumber, key: &PublicKeyHash, error: &HsmError) {
        let mut state = self.state();
        let Some(keys) = state.seats.get_mut(&seat) else { return };
        keys.remove(key);
        self.fell_silent(&mut state, |failing| failing == key, error, Instant::now());
    }

    /// A thread has no session, or one that does not return since `since`.
    pub(super) fn lost(&self, seat: SeatNumber, error: &HsmError, since: Instant) {
        let mut state = self.state();
        let Some(keys) = state.seats.get_mut(&seat) else { return };
        keys.clear();
        // What is wrong with a key was said of that key already.
        let concerned = !error.is_of_one_key();
        self.fell_silent(&mut state, |_| concerned, error, since);
    }

    /// Another thread takes this one's place.
    pub(super) fn leaves(&self, seat: SeatNumber) {
        self.state().seats.remove(&seat);
    }

    /// Of the keys that are concerned, those that no session signs with any more fail.
    fn fell_silent(
        &self,
        state: &mut State,
        concerned: impl Fn(&PublicKeyHash) -> bool,
        error: &HsmError,
        since: Instant,
    ) {
        self.metrics.sessions(state.sessions());
        for (key, health) in &mut state.keys {
            if !concerned(key) || state.seats.values().any(|keys| keys.contains(key)) {
                continue;
            }
            match health {
                // What another thread waits for says less than what that one met.
                KeyHealth::Fails { .. } if matches!(error, HsmError::OpeningElsewhere) => {}
                KeyHealth::Fails { error: known, logged, .. } => {
                    if logged.elapsed() >= LOG_PERIOD && known.to_string() != error.to_string() {
                        tracing::warn!(%key, reason = %error, "the HSM does not sign");
                        *logged = Instant::now();
                    }
                    *known = error.clone();
                }
                KeyHealth::NotTriedYet | KeyHealth::Signs => {
                    self.metrics.key(key, false);
                    tracing::warn!(%key, reason = %error, "the HSM does not sign");
                    *health = KeyHealth::Fails { since, error: error.clone(), logged: Instant::now() };
                }
            }
        }
    }

    /// Why it does not sign with `key`; `None` where it does.
    pub fn reason(&self, key: &PublicKeyHash) -> Option<String> {
        match self.state().keys.get(key)? {
            KeyHealth::Signs => None,
            KeyHealth::NotTriedYet => Some("the HSM has not been reached yet".to_owned()),
            KeyHealth::Fails { error, .. } => Some(error.to_string()),
        }
    }

    /// Why it does not sign with some key, one sentence for each reason; empty where it signs with all.
    pub fn reasons(&self) -> Vec<String> {
        let keys: Vec<PublicKeyHash> = self.state().keys.keys().copied().collect();
        let failing: Vec<(PublicKeyHash, String)> =
            keys.iter().filter_map(|key| Some((*key, self.reason(key)?))).collect();
        match &failing[..] {
            [] => Vec::new(),
            // What is wrong with all is not said of each.
            [(_, reason), others @ ..]
                if failing.len() == keys.len() && others.iter().all(|(_, other)| other == reason) =>
            {
                vec![reason.clone()]
            }
            some => some.iter().map(|(key, reason)| format!("{key}: {reason}")).collect(),
        }
    }

    /// For how long it has not signed with `key`; `None` where it does, or was not tried yet.
    pub fn failing_for(&self, key: &PublicKeyHash) -> Option<Duration> {
        match self.state().keys.get(key)? {
            KeyHealth::Fails { since, .. } => Some(since.elapsed()),
            KeyHealth::NotTriedYet | KeyHealth::Signs => None,
        }
    }

    /// Whether some session signs.
    pub(super) fn any_session_signs(&self) -> bool {
        self.state().sessions() > 0
    }

    /// Whether there was a signature since the start.
    pub(super) fn has_signed(&self) -> bool {
        self.state().has_signed
    }

    /// For how long nothing has signed, and why; `None` where something does, or was not tried yet.
    pub(super) fn nothing_signs(&self) -> Option<(Duration, HsmError)> {
        let state = self.state();
        let mut last: Option<(Instant, &HsmError)> = None;
        for health in state.keys.values() {
            let KeyHealth::Fails { since, error, .. } = health else { return None };
            if last.is_none_or(|(last, _)| *since > last) {
                last = Some((*since, error));
            }
        }
        last.map(|(since, error)| (since.elapsed(), error.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tezos_signer_core::key::SigningPublicKey;

    const KEYS: [&str; 2] = [
        "p2pk66Y3178eHvgWFA4CDsgGPhbkWtwrYCVUKJnsAi41eGP7MbHKv24",
        "p2pk688cprNqHHt5iodkEVD1NaCNRMKxk3VTDRrkB1KmmFLnnGw9Gpk",
    ];

    fn two_keys_on_two_seats() -> (Health, [PublicKeyHash; 2]) {
        let keys = KEYS.map(|key| key.parse::<SigningPublicKey>().unwrap().hash());
        let health = Health::new(keys, HsmMetrics::new().unwrap());
        assert_eq!(health.reasons(), ["the HSM has not been reached yet"]);
        assert_eq!(health.failing_for(&keys[0]), None);
        for seat in [1, 2] {
            health.joins(seat);
            for key in &keys {
                health.signs(seat, key);
            }
        }
        assert!(health.reasons().is_empty() && health.has_signed());
        (health, keys)
    }

    #[test]
    fn a_key_fails_when_no_session_signs_with_it() {
        let (health, [a, b]) = two_keys_on_two_seats();
        health.lost(1, &HsmError::Timeout, Instant::now());
        assert!(health.reasons().is_empty(), "another session signs");
        let no_key = HsmError::NoKey { key: b, selector: "label \"b\"".to_owned() };
        health.fails(2, &b, &no_key);
        assert_eq!(health.reasons(), [format!("{b}: {no_key}")]);
        assert_eq!((health.reason(&a), health.failing_for(&a)), (None, None));
        assert!(health.nothing_signs().is_none() && health.any_session_signs());
        health.lost(2, &HsmError::Timeout, Instant::now());
        assert!(health.nothing_signs().is_some() && !health.any_session_signs());
        health.signs(1, &b);
        assert_eq!(health.reason(&b), None);
        assert!(health.reason(&a).is_some());
    }

    #[test]
    fn what_is_wrong_with_all_keys_is_said_once() {
        let (health, _) = two_keys_on_two_seats();
        for seat in [1, 2] {
            health.lost(seat, &HsmError::Timeout, Instant::now());
        }
        assert_eq!(health.reasons(), [HsmError::Timeout.to_string()]);
    }

    #[test]
    fn a_thread_that_was_given_up_counts_for_nothing() {
        let (health, [a, _]) = two_keys_on_two_seats();
        health.lost(1, &HsmError::Timeout, Instant::now());
        health.leaves(2);
        health.lost(1, &HsmError::Timeout, Instant::now());
        health.signs(2, &a);
        assert!(health.reason(&a).is_some());
    }
}
