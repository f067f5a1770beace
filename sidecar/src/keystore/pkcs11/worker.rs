//! The thread of one session: it opens the session, finds the keys, and signs requests from the queue. Errors are handled in
//! steps: a retry on the same session, a new session with keys found again (handles belong to their session), and, if no
//! session signs, the library initialised again. Without a session, the thread takes no requests, because other threads may
//! be able to sign. A session takes requests after its first trial signature. It finds its other keys one at a time between
//! requests, and at once the key of a waiting request.

use crate::keystore::pkcs11::health::Health;
use crate::keystore::pkcs11::keys::{Keys, TokenKey};
use crate::keystore::pkcs11::metrics::{HsmMetrics, Step};
use crate::keystore::pkcs11::recovery::Recovery;
use crate::keystore::pkcs11::search_limit::SearchLimit;
use crate::keystore::pkcs11::session::{Found, RENEW_FACTOR, RENEW_PERIOD, RENEW_PERIOD_ON_REQUEST, Ready};
use crate::keystore::pkcs11::token::Token;
use crate::keystore::pkcs11::worker_slot::{LibraryCall, WorkerSlot};
use crate::keystore::pkcs11::{HsmError, Job};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TryRecvError};
use cryptoki::error::RvError;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tezos_signer_core::key::{PublicKeyHash, VerifiedSignature};

/// How often an idle session is probed.
const PROBE_PERIOD: Duration = Duration::from_secs(1);

/// How long after a failed attempt to open a session the next one is made.
const REOPEN_PERIOD: Duration = Duration::from_millis(250);

/// How long a session waits for a request while others search, before its next attempt to search.
const SEARCH_AGAIN: Duration = Duration::from_millis(20);

/// How long a busy HSM is given before each further try on the same session.
const WAITS: [Duration; 3] = [Duration::from_millis(5), Duration::from_millis(20), Duration::from_millis(80)];

/// The maximum number of attempts of one job before its error is returned. Between them, it returns to the queue for another session.
const TRIES: u8 = 4;

/// For how long nothing has signed before the library is initialised again, and the minimum interval: for errors that this may help against,
/// and for others.
const RESTART_SOON: (Duration, Duration) = (Duration::from_millis(300), Duration::from_secs(1));
const RESTART_LATE: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(5));

/// The same thing is not logged more often.
const LOG_PERIOD: Duration = Duration::from_secs(10);

/// What all threads share.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) token: Arc<Token>,
    pub(super) keys: Arc<Keys>,
    pub(super) queue: Receiver<Job>,
    /// The other end of the queue, for jobs that another session may do better.
    pub(super) back: Sender<Job>,
    pub(super) health: Arc<Health>,
    pub(super) metrics: HsmMetrics,
    /// Disconnected when the threads are to end.
    pub(super) stop: Receiver<()>,
    /// How many sessions there are to be.
    pub(super) sessions: u8,
    pub(super) searches: Arc<SearchLimit>,
    /// When a thread last could not open a session that signs, and why. While none signs one of them tries at a time, for
    /// all: an HSM that is in trouble is not asked by every thread.
    pub(super) unopened: Arc<Mutex<Option<(Instant, HsmError)>>>,
}

pub(super) struct Worker {
    shared: Shared,
    slot: Arc<WorkerSlot>,
    session: Option<Ready>,
    /// Since when this thread could not open a session that signs.
    failing_since: Option<Instant>,
    /// Whether the HSM was too busy for the last trial signature.
    was_busy: bool,
    /// The key that the last session could not be searched for: the next one begins with it, so that a key before it whose
    /// signature fails and spoils each session does not hide it.
    start_with: Option<PublicKeyHash>,
    logged: Option<(Instant, String)>,
}

impl Worker {
    pub(super) fn new(shared: Shared, slot: Arc<WorkerSlot>) -> Self {
        Self { shared, slot, session: None, failing_since: None, was_busy: false, start_with: None, logged: None }
    }

    /// Works until it is to stop, or was abandoned.
    pub(super) fn run(mut self) {
        while !self.slot.is_abandoned() {
            if self.session.is_none() && !self.open() {
                if self.shared.stop.recv_timeout(REOPEN_PERIOD) == Err(RecvTimeoutError::Disconnected) {
                    break;
                }
                continue;
            }
            let goes_on = if self.is_in_round() { self.work_in_round() } else { self.work_or_probe() };
            if !goes_on {
                break;
            }
        }
        self.close();
    }

    /// Serves the next request, or begins a round of trial signatures if there is none. Returns whether to continue.
    fn work_or_probe(&mut self) -> bool {
        crossbeam_channel::select! {
            recv(self.shared.stop) -> _ => false,
            recv(self.shared.queue) -> job => {
                let Ok(job) = job else { return false };
                self.serve(&job);
                self.probe_partial();
                true
            }
            default(PROBE_PERIOD) => {
                self.follow_configuration();
                self.probe();
                true
            }
        }
    }

    /// Serves a request if there is one, and tries the next key of the round. Returns whether to continue.
    fn work_in_round(&mut self) -> bool {
        if self.shared.stop.try_recv() == Err(TryRecvError::Disconnected) {
            return false;
        }
        self.follow_configuration();
        if let Ok(job) = self.shared.queue.try_recv() {
            self.serve(&job);
        }
        let Some((key, is_untried)) = self.next_search() else {
            self.try_next();
            return true;
        };
        if self.shared.searches.begin(self.slot.number, key, is_untried) {
            self.try_next();
            self.shared.searches.end(self.slot.number);
            return true;
        }
        // Others search: requests come first.
        crossbeam_channel::select! {
            recv(self.shared.stop) -> _ => false,
            recv(self.shared.queue) -> job => {
                let Ok(job) = job else { return false };
                self.serve(&job);
                true
            }
            default(SEARCH_AGAIN) => true,
        }
    }

    /// The key to search for next, and whether no session has tried it yet: such keys come first, each in one session.
    fn next_search(&mut self) -> Option<(PublicKeyHash, bool)> {
        let ready = self.session.as_mut()?;
        ready.searches_next()?;
        let untried = self.shared.health.untried();
        ready.bring_forward(|key| untried.contains(key) && !self.shared.searches.searches(key));
        let key = ready.searches_next()?;
        Some((key, untried.contains(&key)))
    }

    /// Signs, or answers why not, or lets another session try.
    fn serve(&mut self, job: &Job) {
        if job.is_over() {
            return;
        }
        // The job may be for a key that has come in since.
        self.follow_configuration();
        let tries = job.begin();
        if let Some(candidate) = &job.candidate {
            return self.try_candidate(job, candidate, tries);
        }
        let mut waits = WAITS.iter();
        let mut is_new = false;
        while !job.is_over() && !self.slot.is_abandoned() {
            let Some((signed, lacks)) = self.sign(job) else { break };
            let error = match signed {
                // If the request no longer waits, the signature is dropped, and therefore needs no watermark.
                Ok(signature) => {
                    self.shared.health.signs(self.slot.number, &job.key);
                    return job.answer(Ok(signature));
                }
                Err(error) => error,
            };
            self.failed(&error);
            match (error.recovery(), waits.next()) {
                (Recovery::Nothing, _) if !lacks => {
                    self.shared.health.fails(self.slot.number, &job.key, &error);
                    return job.answer(Err(error));
                }
                (Recovery::Wait, Some(wait)) => {
                    self.step(Step::Retry, &error);
                    // Each session a little later than the one before, so that they do not come all at once.
                    std::thread::sleep(*wait + *wait / 8 * (self.slot.number % 8) as u32);
                }
                _ => {
                    // A session that is good for another key stays until there is one that is good for both.
                    let is_partial = self.signs_with_another(&job.key);
                    if is_partial {
                        self.shared.health.fails(self.slot.number, &job.key, &error);
                    } else {
                        self.give_up_session(&error);
                    }
                    let soon = if error.recovery() == Recovery::Wait { RENEW_PERIOD } else { RENEW_PERIOD_ON_REQUEST };
                    let has_new = !is_new && if is_partial { self.renew(soon, &error) } else { self.open() };
                    if !has_new {
                        return if tries < TRIES { self.give_back(job) } else { job.answer(Err(error)) };
                    }
                    is_new = true;
                }
            }
        }
    }

    /// What becomes of a request on the session that is open, and whether the session lacks its key.
    fn sign(&mut self, job: &Job) -> Option<(Result<VerifiedSignature, HsmError>, bool)> {
        let mut ready = self.session.take()?;
        let signed = ready.sign(&job.key, &job.message, &self.slot);
        let lacks = ready.lacks(&job.key);
        self.session = Some(ready);
        Some((signed, lacks))
    }

    /// Whether the token signs with a key that is not configured. What is wrong with the session is another's matter to try.
    fn try_candidate(&mut self, job: &Job, candidate: &TokenKey, tries: u8) {
        let Some(ready) = &self.session else { return self.give_back(job) };
        match Found::new(candidate).try_in(&ready.session, &self.slot) {
            Err(error) if tries < TRIES && error.recovery() > Recovery::Wait => {
                self.failed(&error);
                self.give_up_session(&error);
                self.give_back(job);
            }
            signed => job.answer(signed),
        }
    }

    /// Goes on with the keys that the configuration has now.
    fn follow_configuration(&mut self) {
        let configured = self.shared.keys.now();
        if let Some(ready) = &mut self.session
            && !Arc::ptr_eq(&ready.configured, &configured)
        {
            ready.follow(configured);
        }
    }

    /// For another session; and where none signs, until one does or the job is over.
    fn give_back(&self, job: &Job) {
        if self.shared.back.send(job.clone()).is_err() {
            job.answer(Err(HsmError::Busy));
        }
    }

    /// Begins a round of trial signatures.
    fn probe(&mut self) {
        if let Some(ready) = &mut self.session {
            ready.begin_round(&self.shared.health.disputed());
        }
    }

    /// Where requests for other keys never leave the session idle, a key that fails would not be tried again.
    fn probe_partial(&mut self) {
        if let Some(ready) = &mut self.session
            && ready.is_partial
            && ready.probed.elapsed() >= PROBE_PERIOD
        {
            ready.begin_round(&self.shared.health.disputed());
        }
    }

    fn is_in_round(&self) -> bool {
        self.session.as_ref().is_some_and(|ready| !ready.round.left.is_empty())
    }

    /// Tries the next key of the round, and at its end handles the keys that do not sign. Only a signature proves that the HSM signs: opening
    /// sessions and reading attributes can succeed when it cannot sign.
    fn try_next(&mut self) {
        let Some(mut ready) = self.session.take() else { return };
        let tried = self.try_next_of(&mut ready);
        let is_over = ready.round.left.is_empty();
        self.session = Some(ready);
        match tried {
            Err(error) => self.give_up_session(&error),
            Ok(()) if is_over => self.finish_round(),
            Ok(()) => {}
        }
    }

    /// Returns an error only if it does not concern the key: the session cannot search.
    fn try_next_of(&mut self, ready: &mut Ready) -> Result<(), HsmError> {
        let Some(key) = ready.round.left.pop_front() else { return Ok(()) };
        match ready.try_key(&key, &self.slot) {
            Ok(()) => {
                ready.round.any_signed = true;
                self.shared.health.signs(self.slot.number, &key);
            }
            Err(error) => {
                self.failed(&error);
                if ready.keys.get(&key).is_some_and(|found| found.handle.is_none()) {
                    // An earlier signature that failed may have left its operation open; its error is more specific than this one.
                    ready.round.failed(error.clone());
                    self.start_with = Some(key);
                    return Err(ready.round.error.take().unwrap_or(error));
                }
                self.shared.health.fails(self.slot.number, &key, &error);
                ready.round.failed(error);
            }
        }
        Ok(())
    }

    /// If no key signs, the session is given up. If some keys do not sign, a new session may find them, whatever the errors are, because it
    /// is not documented which codes concern a single key.
    fn finish_round(&mut self) {
        let Some(ready) = &mut self.session else { return };
        ready.found_in.get_or_insert_with(|| ready.opened.elapsed());
        let round = std::mem::take(&mut ready.round);
        // The session is to be judged by all of its keys.
        if round.is_sample && !round.any_signed {
            return ready.begin_full_round();
        }
        ready.is_partial = round.error.is_some();
        match (round.any_signed, round.error) {
            (_, None) => self.was_busy = false,
            (true, Some(error)) => {
                self.was_busy = false;
                self.renew(RENEW_PERIOD, &error);
            }
            (false, Some(error)) if error.recovery() == Recovery::Wait && !self.was_busy => {
                self.was_busy = true;
                self.step(Step::Retry, &error);
            }
            (false, Some(error)) => self.give_up_session(&error),
        }
    }

    /// Whether the session is good for another key than this one, which failed. A trial now, because it may just have died.
    fn signs_with_another(&mut self, key: &PublicKeyHash) -> bool {
        let Some(mut ready) = self.session.take() else { return false };
        let others = ready.keys.iter().filter(|(other, found)| *other != key && found.has_signed);
        let others: Vec<_> = others.map(|(other, _)| *other).collect();
        ready.is_partial = others.iter().any(|other| {
            let signs = ready.try_key(other, &self.slot).is_ok();
            if signs {
                self.shared.health.signs(self.slot.number, other);
            }
            signs
        });
        let signs = ready.is_partial;
        self.session = Some(ready);
        signs
    }

    /// Replaces a session that is older than `period` and signs with some keys only. The old session is kept until there is a new one.
    fn renew(&mut self, period: Duration, error: &HsmError) -> bool {
        // While it finds its keys, a new one would begin that from the start.
        let is_due = |ready: &mut Ready| {
            ready.found_in.is_some_and(|time| ready.opened.elapsed() >= period.max(time * RENEW_FACTOR))
        };
        let Some(old) = self.session.take_if(is_due) else { return false };
        self.step(Step::Session, error);
        let is_renewed = self.try_to_open().is_ok();
        if is_renewed {
            self.slot.clock.during(LibraryCall::Closing, || drop(old));
        } else {
            self.session = Some(old);
        }
        is_renewed
    }

    /// Opens a session that signs. If that has failed for a while, initialises the library again and retries.
    fn open(&mut self) -> bool {
        let failing_for = self.failing_since.get_or_insert_with(Instant::now).elapsed();
        let mut tried = self.another_has_tried().map_or_else(|| self.try_to_open(), Err);
        if let Err(error) = &tried {
            let (patience, period) = if error.recovery() == Recovery::Library { RESTART_SOON } else { RESTART_LATE };
            let may_help = failing_for >= patience
                && !matches!(
                    error,
                    HsmError::PinRefused { .. }
                        | HsmError::PinGuarded(_)
                        | HsmError::PinFile { .. }
                        | HsmError::PinContent { .. }
                        | HsmError::OpeningElsewhere
                )
                && !self.shared.health.any_session_signs();
            if may_help
                && let Some(finalized) =
                    self.slot.clock.during(LibraryCall::Opening, || self.shared.token.finalize(period))
            {
                self.step(Step::Library, error);
                if let Err(error) = finalized {
                    self.failed(&error);
                }
                tried = self.try_to_open();
            }
        }
        match tried {
            Ok(()) => {
                self.failing_since = None;
                self.was_busy = false;
                true
            }
            Err(error) => {
                self.shared.health.lost(self.slot.number, &error, Instant::now());
                self.log("no session can sign", None, &error);
                false
            }
        }
    }

    /// The error that another thread got just now, if no session signs.
    fn another_has_tried(&self) -> Option<HsmError> {
        let unopened = self.shared.unopened.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, error) = unopened.as_ref()?;
        (at.elapsed() < REOPEN_PERIOD && !self.shared.health.any_session_signs()).then(|| error.clone())
    }

    fn try_to_open(&mut self) -> Result<(), HsmError> {
        let opened = self.slot.clock.during(LibraryCall::Opening, || self.shared.token.open(&self.slot.clock));
        let tried = match opened {
            Ok(session) => {
                self.shared.health.reached();
                let configured = self.shared.keys.now();
                let start = self.start_of(&configured);
                let mut ready = Ready::new(session, configured, start);
                let tried = self.try_until_one_signs(&mut ready);
                self.session = Some(ready);
                tried
            }
            Err(error) => {
                self.failed(&error);
                Err(error)
            }
        };
        match &tried {
            Err(error) => {
                self.close();
                let failure = (Instant::now(), error.clone());
                *self.shared.unopened.lock().unwrap_or_else(PoisonError::into_inner) = Some(failure);
            }
            Ok(()) if !self.is_in_round() => self.finish_round(),
            Ok(()) => {}
        }
        tried
    }

    /// With which key a new session begins: each of the sessions with another.
    fn start_of(&mut self, configured: &[TokenKey]) -> usize {
        let spoilt = self.start_with.take();
        let after = configured.iter().position(|key| Some(key.hash()) == spoilt);
        let sessions = usize::from(self.shared.sessions.max(1));
        let slot = usize::try_from(self.slot.number % sessions as u64).unwrap_or_default();
        after.unwrap_or(slot * (configured.len() / sessions))
    }

    /// Fails where no key signs.
    fn try_until_one_signs(&mut self, ready: &mut Ready) -> Result<(), HsmError> {
        while !ready.round.any_signed && !ready.round.left.is_empty() {
            self.try_next_of(ready)?;
        }
        match &ready.round.error {
            Some(error) if !ready.round.any_signed => Err(error.clone()),
            _ => Ok(()),
        }
    }

    fn give_up_session(&mut self, error: &HsmError) {
        self.step(Step::Session, error);
        self.close();
        self.shared.health.lost(self.slot.number, error, Instant::now());
    }

    /// Once for each error of the token.
    fn failed(&self, error: &HsmError) {
        self.shared.metrics.failed(error);
        if matches!(error, HsmError::Call { code: RvError::UserNotLoggedIn, .. }) {
            self.shared.token.login_lost();
        }
    }

    fn close(&mut self) {
        if let Some(ready) = self.session.take() {
            self.slot.clock.during(LibraryCall::Closing, || drop(ready));
        }
    }

    fn step(&mut self, step: Step, error: &HsmError) {
        self.shared.metrics.stepped(step);
        self.log("the HSM did not sign", Some(step), error);
    }

    fn log(&mut self, what: &str, step: Option<Step>, error: &HsmError) {
        let reason = error.to_string();
        let again = matches!(&self.logged, Some((at, known)) if *known == reason && at.elapsed() < LOG_PERIOD);
        if again {
            return;
        }
        let (function, code) = error.call().unzip();
        tracing::warn!(session = self.slot.number, step = step.map(Step::name), function, code, %reason, "{what}");
        self.logged = Some((Instant::now(), reason));
    }
}
