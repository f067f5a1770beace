//! A session that signs, with the keys that it has found. Handles belong to their session, so each session finds its keys
//! itself: one after the other between requests, and at once the key of a waiting request.

use crate::keystore::pkcs11::keys::TokenKey;
use crate::keystore::pkcs11::signing::PrivateKey;
use crate::keystore::pkcs11::token::OpenSession;
use crate::keystore::pkcs11::worker_slot::{CallClock, LibraryCall, WorkerSlot};
use crate::keystore::pkcs11::{HsmError, TRIAL, objects};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tezos_signer_core::key::{Message, PublicKeyHash, VerifiedSignature};

/// The interval at which a missing key is searched again, and the age at which a session that signs with some keys only is replaced by one
/// that searches the others again. The first value is for searches without requests, which are rare because CloudHSM asks every HSM; the
/// second is for keys with requests.
pub(super) const RENEW_PERIOD: Duration = Duration::from_secs(5);
pub(super) const RENEW_PERIOD_ON_REQUEST: Duration = Duration::from_millis(500);

/// The minimum pause between two searches, as a multiple of the duration of a search, so that repeated searches take only a part of the
/// HSM's time.
pub(super) const RENEW_FACTOR: u32 = 4;

pub(super) struct Ready {
    pub(super) session: OpenSession,
    /// Those that `keys` are of.
    pub(super) configured: Arc<[TokenKey]>,
    pub(super) keys: BTreeMap<PublicKeyHash, Found>,
    pub(super) opened: Instant,
    /// When the last round of trial signatures began.
    pub(super) probed: Instant,
    /// How long the first round took, in which the keys are found; `None` until it is over.
    pub(super) found_in: Option<Duration>,
    /// Whether it signs with some keys only, as far as they were tried.
    pub(super) is_partial: bool,
    pub(super) round: Round,
    /// The number of the next key whose turn it is to be tried while nobody asks.
    turn: usize,
}

/// A key in a session.
pub(super) struct Found {
    pub(super) config: TokenKey,
    /// `None`: it was not searched yet. An error: why only this key was not found.
    pub(super) handle: Option<Result<PrivateKey, HsmError>>,
    /// When the last search for it ended, and how long it took.
    searched: (Instant, Duration),
    /// Whether it has signed a trial in this session.
    pub(super) has_signed: bool,
    /// Whether its last signature in this session failed.
    fails: bool,
}

/// Trial signatures, one key at a time: with each key, or with those that fail and one of the others.
#[derive(Default)]
pub(super) struct Round {
    pub(super) left: VecDeque<PublicKeyHash>,
    /// Whether keys that were well are left out.
    pub(super) is_sample: bool,
    pub(super) any_signed: bool,
    /// Of several errors, the one against which most is done.
    pub(super) error: Option<HsmError>,
}

impl Round {
    pub(super) fn failed(&mut self, error: HsmError) {
        if self.error.as_ref().is_none_or(|known| error.recovery() >= known.recovery()) {
            self.error = Some(error);
        }
    }
}

impl Found {
    pub(super) fn new(config: &TokenKey) -> Self {
        let searched = (Instant::now(), Duration::ZERO);
        Self { config: config.clone(), handle: None, searched, has_signed: false, fails: false }
    }

    fn is_missing(&self) -> bool {
        matches!(self.handle, Some(Err(_)))
    }

    fn is_well(&self) -> bool {
        self.has_signed && !self.fails && !self.is_missing()
    }

    /// One of `missing` keys: searched for again with the next try, if the last search is longer ago than `period`.
    fn search_again_after(&mut self, period: Duration, missing: u32) {
        let (ended, took) = self.searched;
        if self.is_missing() && ended.elapsed() >= period.max(took.saturating_mul(RENEW_FACTOR * missing)) {
            self.handle = None;
        }
    }

    fn sign(
        &mut self,
        session: &OpenSession,
        message: &Message,
        clock: &CallClock,
    ) -> Result<VerifiedSignature, HsmError> {
        let signed = self.sign_once(session, message, clock);
        self.fails = signed.is_err();
        signed
    }

    fn sign_once(
        &mut self,
        session: &OpenSession,
        message: &Message,
        clock: &CallClock,
    ) -> Result<VerifiedSignature, HsmError> {
        let Some(key) = &mut self.handle else {
            return Err(HsmError::NoKey { key: self.config.hash(), selector: "not looked for yet".to_owned() });
        };
        let raw = key.as_mut().map_err(|error| error.clone())?.sign(session, message.digest(), clock)?;
        Ok(self.config.public_key.accept_signature(message, &raw)?)
    }

    /// Finds the key where that was not done, and has it sign a trial. Where `handle` is still `None` after an error, the error
    /// is one of the session and not of this key.
    pub(super) fn try_in(&mut self, session: &OpenSession, slot: &WorkerSlot) -> Result<VerifiedSignature, HsmError> {
        if self.handle.is_none() {
            let find = || objects::find(session, &self.config, &slot.clock);
            let began = Instant::now();
            let found = slot.clock.during(LibraryCall::Finding, find);
            self.searched = (Instant::now(), began.elapsed());
            self.handle = match found {
                Err(error) if !error.may_concern_one_key() => return Err(error),
                found => Some(found),
            };
        }
        let sign = || self.sign(session, &Message::new(TRIAL), &slot.clock);
        let signed = slot.clock.during(LibraryCall::Signing, sign);
        match signed {
            Ok(signature) => {
                self.has_signed = true;
                Ok(signature)
            }
            Err(error @ HsmError::BadSignature(_)) if !self.has_signed => {
                let Some(Ok(PrivateKey { handle, .. })) = self.handle else { return Err(error) };
                // The original error is more specific than an error of this check.
                let other = slot.clock.during(LibraryCall::Finding, || {
                    objects::check_public_key(session, &self.config, handle, &slot.clock)
                });
                match other {
                    Err(wrong @ HsmError::WrongKey { .. }) => {
                        self.handle = Some(Err(wrong.clone()));
                        Err(wrong)
                    }
                    _ => Err(error),
                }
            }
            Err(error) => Err(error),
        }
    }
}

impl Ready {
    /// With keys that are still to be found, beginning at the `start`-th: so several sessions, each with a start of its own, find
    /// all keys sooner than each of them would.
    pub(super) fn new(session: OpenSession, configured: Arc<[TokenKey]>, start: usize) -> Self {
        let mut left: VecDeque<_> = configured.iter().map(TokenKey::hash).collect();
        left.rotate_left(start.min(left.len()));
        let now = Instant::now();
        Self {
            session,
            keys: configured.iter().map(|config| (config.hash(), Found::new(config))).collect(),
            configured,
            opened: now,
            probed: now,
            found_in: None,
            is_partial: false,
            round: Round { left, ..Round::default() },
            turn: start,
        }
    }

    /// Whether this key alone has no handle here.
    pub(super) fn lacks(&self, key: &PublicKeyHash) -> bool {
        self.keys.get(key).is_some_and(Found::is_missing)
    }

    /// The next key of the round, if it has to be searched for.
    pub(super) fn searches_next(&self) -> Option<PublicKeyHash> {
        let next = *self.round.left.front()?;
        self.keys.get(&next).filter(|found| found.handle.is_none()).map(|_| next)
    }

    /// Makes the first key of the round that is `wanted` its next one.
    pub(super) fn bring_forward(&mut self, wanted: impl Fn(&PublicKeyHash) -> bool) {
        let found = self.round.left.iter().position(wanted);
        if let Some(key) = found.and_then(|at| self.round.left.remove(at)) {
            self.round.left.push_front(key);
        }
    }

    /// A trial signature of `key`.
    pub(super) fn try_key(&mut self, key: &PublicKeyHash, slot: &WorkerSlot) -> Result<(), HsmError> {
        match self.keys.get_mut(key) {
            Some(found) => found.try_in(&self.session, slot).map(|_| ()),
            // It was taken out of the configuration.
            None => Ok(()),
        }
    }

    /// Signs `message` with `key`, which has signed a trial in this session before.
    pub(super) fn sign(
        &mut self,
        key: &PublicKeyHash,
        message: &Message,
        slot: &WorkerSlot,
    ) -> Result<VerifiedSignature, HsmError> {
        let Some(found) = self.keys.get_mut(key) else {
            return Err(HsmError::NoKey { key: *key, selector: "not configured".to_owned() });
        };
        found.search_again_after(RENEW_PERIOD_ON_REQUEST, 1);
        if !found.has_signed {
            found.try_in(&self.session, slot)?;
        }
        slot.clock.during(LibraryCall::Signing, || found.sign(&self.session, message, &slot.clock))
    }

    /// Begins another round, unless one is under way: the keys that fail here or are `disputed`, and one of the others, which take turns.
    /// So an idle session makes one signature a second, however many keys there are.
    pub(super) fn begin_round(&mut self, disputed: &BTreeSet<PublicKeyHash>) {
        if !self.round.left.is_empty() {
            return;
        }
        self.probed = Instant::now();
        let missing = self.keys.values().filter(|found| found.is_missing()).count();
        let missing = u32::try_from(missing).unwrap_or(u32::MAX / RENEW_FACTOR);
        self.keys.values_mut().for_each(|found| found.search_again_after(RENEW_PERIOD, missing));
        let (well, failing): (Vec<_>, Vec<_>) =
            self.keys.iter().partition(|(key, found)| found.is_well() && !disputed.contains(*key));
        let sample = well.get(self.turn % well.len().max(1));
        let left: VecDeque<_> = sample.into_iter().chain(&failing).map(|(key, _)| **key).collect();
        let is_sample = left.len() < self.keys.len();
        self.turn = self.turn.wrapping_add(1);
        self.round = Round { left, is_sample, ..Round::default() };
    }

    /// Begins a round with each key, in place of one that is over.
    pub(super) fn begin_full_round(&mut self) {
        self.round = Round { left: self.keys.keys().copied().collect(), ..Round::default() };
    }

    /// Signs with `configured` from now on. Keys that were found are kept; new ones come first in the round.
    pub(super) fn follow(&mut self, configured: Arc<[TokenKey]>) {
        let mut known = std::mem::take(&mut self.keys);
        for config in configured.iter() {
            let found = match known.remove(&config.hash()) {
                Some(found) if found.config.selector == config.selector && !found.is_missing() => {
                    Found { config: config.clone(), ..found }
                }
                _ => Found::new(config),
            };
            if found.handle.is_none() && !self.round.left.contains(&config.hash()) {
                self.round.left.push_front(config.hash());
            }
            self.keys.insert(config.hash(), found);
        }
        self.round.left.retain(|key| self.keys.contains_key(key));
        self.configured = configured;
    }
}
