//! The health of the token: with which keys it signs, on how many sessions, and if not, since when and why. Only signatures
//! count as evidence: those of requests, and trial signatures of each idle session.

use crate::keystore::causes_of;
use crate::keystore::pkcs11::HsmError;
use crate::keystore::pkcs11::metrics::HsmMetrics;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tezos_signer_core::cause::Cause;
use tezos_signer_core::key::PublicKeyHash;

/// One thread with its session. A thread that takes another's place has another number.
pub(super) type SlotNumber = u64;

/// Another reason is not logged more often: threads may fail in turns, each in its own way.
const LOG_PERIOD: Duration = Duration::from_secs(1);

/// What is known of the token.
pub(super) struct Health {
    state: Mutex<State>,
    metrics: HsmMetrics,
}

struct State {
    /// The keys whose last signature succeeded, for each thread's session. Reports of threads that were replaced are ignored.
    slots: HashMap<SlotNumber, BTreeSet<PublicKeyHash>>,
    keys: BTreeMap<PublicKeyHash, KeyHealth>,
    /// Whether a session was opened since the start.
    was_reached: bool,
    has_signed: bool,
    /// When it was last logged how many keys were found.
    progress_logged: Option<Instant>,
}

enum KeyHealth {
    NotTriedYet,
    Signs,
    /// No session of the token signs with the key.
    Fails {
        since: Instant,
        error: HsmError,
        logged: Instant,
    },
}

impl State {
    /// How many sessions sign.
    fn sessions(&self) -> usize {
        self.slots.values().filter(|keys| !keys.is_empty()).count()
    }

    /// How many keys were tried: each has signed, or it is known why not.
    fn tried(&self) -> usize {
        self.keys.values().filter(|health| !matches!(health, KeyHealth::NotTriedYet)).count()
    }

    /// How far it is with keys that were not tried yet.
    fn progress(&self) -> String {
        if self.was_reached {
            format!("finding the keys: {} of {}", self.tried(), self.keys.len())
        } else {
            "the HSM has not been reached yet".to_owned()
        }
    }

    /// Logs how far it is, from time to time and at the end.
    fn log_progress(&mut self) {
        let (tried, keys) = (self.tried(), self.keys.len());
        let is_due = self.progress_logged.is_none_or(|at| at.elapsed() >= LOG_PERIOD);
        if is_due || tried == keys {
            tracing::info!(tried, keys, "finding the keys");
            self.progress_logged = Some(Instant::now());
        }
    }
}

impl Health {
    pub(super) fn new(keys: impl IntoIterator<Item = PublicKeyHash>, metrics: HsmMetrics) -> Self {
        let keys: BTreeMap<_, _> = keys.into_iter().map(|key| (key, KeyHealth::NotTriedYet)).collect();
        for key in keys.keys() {
            metrics.key(key, false);
        }
        let state = State { slots: HashMap::new(), keys, was_reached: false, has_signed: false, progress_logged: None };
        Self { state: Mutex::new(state), metrics }
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
        for slot in state.slots.values_mut() {
            slot.retain(|key| keys.contains(key));
        }
        for key in &keys {
            state.keys.entry(*key).or_insert_with(|| {
                self.metrics.key(key, false);
                KeyHealth::NotTriedYet
            });
        }
    }

    /// The keys that no session has tried yet.
    pub(super) fn untried(&self) -> BTreeSet<PublicKeyHash> {
        let state = self.state();
        let untried = state.keys.iter().filter(|(_, health)| matches!(health, KeyHealth::NotTriedYet));
        untried.map(|(key, _)| *key).collect()
    }

    /// Registers a worker thread, which has no session yet.
    pub(super) fn joins(&self, slot: SlotNumber) {
        self.state().slots.insert(slot, BTreeSet::new());
    }

    /// A session was opened.
    pub(super) fn reached(&self) {
        self.state().was_reached = true;
    }

    /// A thread's session has signed with `key`.
    pub(super) fn signs(&self, slot: SlotNumber, key: &PublicKeyHash) {
        let mut state = self.state();
        // One that was taken out of the configuration meanwhile counts for nothing either.
        let is_configured = state.keys.contains_key(key);
        let Some(keys) = state.slots.get_mut(&slot).filter(|_| is_configured) else { return };
        keys.insert(*key);
        state.has_signed = true;
        self.metrics.sessions(state.sessions());
        let before = state.keys.insert(*key, KeyHealth::Signs);
        if !matches!(before, Some(KeyHealth::Signs)) {
            self.metrics.key(key, true);
            tracing::info!(%key, "the HSM signs");
        }
        if matches!(before, Some(KeyHealth::NotTriedYet)) {
            state.log_progress();
        }
    }

    /// A thread's session could not sign with `key`, and was not given up for that.
    pub(super) fn fails(&self, slot: SlotNumber, key: &PublicKeyHash, error: &HsmError) {
        let mut state = self.state();
        let Some(keys) = state.slots.get_mut(&slot) else { return };
        keys.remove(key);
        self.fell_silent(&mut state, |failing| failing == key, error, Instant::now());
    }

    /// A thread has no session, or one that does not return since `since`.
    pub(super) fn lost(&self, slot: SlotNumber, error: &HsmError, since: Instant) {
        let mut state = self.state();
        let Some(keys) = state.slots.get_mut(&slot) else { return };
        keys.clear();
        // What is wrong with a key was said of that key already.
        let concerned = !error.is_of_one_key();
        // Another session may still be about to find it.
        let others = state.sessions() > 0;
        let untried: BTreeSet<_> = state
            .keys
            .iter()
            .filter(|(_, health)| others && matches!(health, KeyHealth::NotTriedYet))
            .map(|(key, _)| *key)
            .collect();
        self.fell_silent(&mut state, |key| concerned && !untried.contains(key), error, since);
    }

    /// Another thread takes this one's place.
    pub(super) fn leaves(&self, slot: SlotNumber) {
        self.state().slots.remove(&slot);
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
            if !concerned(key) || state.slots.values().any(|keys| keys.contains(key)) {
                continue;
            }
            match health {
                // The error of the other thread is more specific than the wait for it.
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

    /// Why it does not sign with `key`; `None` if it does.
    pub(super) fn cause(&self, key: &PublicKeyHash) -> Option<Cause> {
        let state = self.state();
        match state.keys.get(key)? {
            KeyHealth::Signs => None,
            KeyHealth::NotTriedYet => Some(state.progress().into()),
            KeyHealth::Fails { error, .. } => Some(Cause::of(error.clone())),
        }
    }

    /// Why it does not sign with some keys, one sentence for each reason. Empty if it signs with all keys.
    pub(super) fn causes(&self) -> Vec<Cause> {
        let state = self.state();
        let mut causes = Vec::new();
        if state.tried() < state.keys.len() {
            causes.push(state.progress().into());
        }
        let failing: Vec<(&PublicKeyHash, Cause)> = state
            .keys
            .iter()
            .filter_map(|(key, health)| match health {
                KeyHealth::Fails { error, .. } => Some((key, Cause::of(error.clone()))),
                KeyHealth::NotTriedYet | KeyHealth::Signs => None,
            })
            .collect();
        causes.extend(causes_of(&failing, state.keys.len()));
        causes
    }

    /// For how long it has not signed with `key`; `None` if it does, or has not been tried yet.
    pub(super) fn failing_for(&self, key: &PublicKeyHash) -> Option<Duration> {
        match self.state().keys.get(key)? {
            KeyHealth::Fails { since, .. } => Some(since.elapsed()),
            KeyHealth::NotTriedYet | KeyHealth::Signs => None,
        }
    }

    /// The keys that one session signs with and another does not: those that all sessions should try.
    pub(super) fn disputed(&self) -> BTreeSet<PublicKeyHash> {
        let state = self.state();
        let signing: Vec<_> = state.slots.values().filter(|keys| !keys.is_empty()).collect();
        state.keys.keys().filter(|key| signing.iter().any(|keys| !keys.contains(*key))).copied().collect()
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
        assert_eq!(health.causes(), [Cause::from("the HSM has not been reached yet")]);
        assert_eq!(health.failing_for(&keys[0]), None);
        for slot in [1, 2] {
            health.joins(slot);
            for key in &keys {
                health.signs(slot, key);
            }
        }
        assert!(health.causes().is_empty() && health.has_signed());
        (health, keys)
    }

    #[test]
    fn a_key_fails_when_no_session_signs_with_it() {
        let (health, [a, b]) = two_keys_on_two_seats();
        health.lost(1, &HsmError::Timeout, Instant::now());
        assert!(health.causes().is_empty(), "another session signs");
        let no_key = HsmError::NoKey { key: b, selector: "label \"b\"".to_owned() };
        health.fails(2, &b, &no_key);
        assert_eq!(health.causes(), [Cause::from(format!("{b}: {no_key}"))]);
        assert_eq!((health.cause(&a), health.failing_for(&a)), (None, None));
        assert!(health.nothing_signs().is_none() && health.any_session_signs());
        health.lost(2, &HsmError::Timeout, Instant::now());
        assert!(health.nothing_signs().is_some() && !health.any_session_signs());
        health.signs(1, &b);
        assert_eq!(health.cause(&b), None);
        assert!(health.cause(&a).is_some());
    }

    #[test]
    fn a_key_is_disputed_while_one_session_signs_with_it_and_another_with_others_only() {
        let (health, [_, b]) = two_keys_on_two_seats();
        assert!(health.disputed().is_empty());
        health.fails(2, &b, &HsmError::Timeout);
        assert_eq!(health.disputed(), BTreeSet::from([b]));
        health.lost(2, &HsmError::Timeout, Instant::now());
        assert!(health.disputed().is_empty(), "a session that signs with no key disputes none");
    }

    #[test]
    fn what_is_wrong_with_all_keys_is_said_once() {
        let (health, _) = two_keys_on_two_seats();
        for slot in [1, 2] {
            health.lost(slot, &HsmError::Timeout, Instant::now());
        }
        assert_eq!(health.causes(), [Cause::of(HsmError::Timeout)]);
    }

    #[test]
    fn a_thread_that_was_given_up_counts_for_nothing() {
        let (health, [a, _]) = two_keys_on_two_seats();
        health.lost(1, &HsmError::Timeout, Instant::now());
        health.leaves(2);
        health.lost(1, &HsmError::Timeout, Instant::now());
        health.signs(2, &a);
        assert!(health.cause(&a).is_some());
    }
}
