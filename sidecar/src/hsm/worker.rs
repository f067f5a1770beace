//! The thread of one session: it opens the session, finds the keys, and signs what comes off the queue. What fails is tried
//! again up the ladder: on the same session a little later, on a new session with keys found anew, because handles belong to
//! their session, and where no session signs with the library initialised anew. While it has no session it takes nothing off
//! the queue: another thread's may work.

use super::health::{Health, SeatNumber};
use super::keys::Keys;
use super::metrics::{HsmMetrics, Step};
use super::remedy::Remedy;
use super::token::{OpenSession, Token};
use super::{HsmError, Job, TRIAL, inventory};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use cryptoki::error::RvError;
use cryptoki::mechanism::Mechanism;
use cryptoki::object::ObjectHandle;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tezos_signer_core::config::KeyConfig;
use tezos_signer_core::key::{Digest, PublicKeyHash, Signature};

/// How often an idle session is probed.
const PROBE_PERIOD: Duration = Duration::from_secs(1);

/// How long after a failed attempt to open a session the next one is made.
const REOPEN_PERIOD: Duration = Duration::from_millis(250);

/// How old a session gets that signs with some keys only, before a new one finds the others anew: by itself, because
/// CloudHSM asks every HSM for them; and while they are asked for.
const RENEW_PERIOD: Duration = Duration::from_secs(5);
const RENEW_PERIOD_ON_REQUEST: Duration = Duration::from_millis(500);

/// How long a busy HSM is given before each further try on the same session.
const WAITS: [Duration; 3] = [Duration::from_millis(5), Duration::from_millis(20), Duration::from_millis(80)];

/// How often one job is begun before its error is answered: it goes back to the queue for another session to try.
const TRIES: u8 = 4;

/// For how long nothing signs before the library is initialised anew, and how often: where an error says that this may help,
/// and else.
const RESTART_SOON: (Duration, Duration) = (Duration::from_millis(300), Duration::from_secs(1));
const RESTART_LATE: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(5));

/// The same thing is not logged more often.
const LOG_PERIOD: Duration = Duration::from_secs(10);

/// What a thread is in the library for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doing {
    Opening,
    Signing,
    Closing,
}

impl Doing {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Opening => "opening a session",
            Self::Signing => "signing",
            Self::Closing => "closing a session",
        }
    }
}

/// A thread's place, as others see it.
pub(super) struct Seat {
    pub(super) number: SeatNumber,
    doing: Mutex<Option<(Doing, Instant)>>,
    abandoned: AtomicBool,
}

impl Seat {
    pub(super) fn new(number: SeatNumber) -> Self {
        Self { number, doing: Mutex::default(), abandoned: AtomicBool::new(false) }
    }

    /// What it is in the library for, and since when; `None` where it is not in it.
    pub(super) fn doing(&self) -> Option<(Doing, Instant)> {
        *self.doing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Another thread takes its place: this one ends when it comes back.
    pub(super) fn abandon(&self) {
        self.abandoned.store(true, Ordering::SeqCst);
    }

    pub(super) fn is_abandoned(&self) -> bool {
        self.abandoned.load(Ordering::SeqCst)
    }

    fn during<T>(&self, doing: Doing, act: impl FnOnce() -> T) -> T {
        let set = |value| *self.doing.lock().unwrap_or_else(PoisonError::into_inner) = value;
        set(Some((doing, Instant::now())));
        let done = act();
        set(None);
        done
    }
}

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
    /// When a thread last could not open a session that signs, and why. While none signs one of them tries at a time, for
    /// all: an HSM that is in trouble is not asked by every thread.
    pub(super) unopened: Arc<Mutex<Option<(Instant, HsmError)>>>,
}

pub(super) struct Worker {
    shared: Shared,
    seat: Arc<Seat>,
    session: Option<Ready>,
    /// Since when this thread could not open a session that signs.
    failing_since: Option<Instant>,
    /// Whether the HSM was too busy for the last trial signature.
    was_busy: bool,
    logged: Option<(Instant, String)>,
}

/// A session that has signed.
struct Ready {
    session: OpenSession,
    /// Those that `keys` were found for.
    configured: Arc<[KeyConfig]>,
    keys: BTreeMap<PublicKeyHash, Found>,
    opened: Instant,
    /// When the last trial signatures were made.
    probed: Instant,
    /// Whether it signs with some keys only.
    is_partial: bool,
}

struct Found {
    config: KeyConfig,
    /// Or why there is none.
    handle: Result<ObjectHandle, HsmError>,
}

impl Found {
    fn sign(&self, session: &OpenSession, digest: &Digest) -> Result<Signature, HsmError> {
        // CKM_ECDSA signs the 32 bytes as they are; the variants that hash would hash the digest again.
        let raw = session.sign(&Mechanism::Ecdsa, self.handle.clone()?, digest.as_bytes())?;
        Ok(self.config.public_key.accept_token_signature(digest, &raw)?)
    }
}

impl Ready {
    fn lacks(&self, key: &PublicKeyHash) -> bool {
        self.keys.get(key).is_some_and(|found| found.handle.is_err())
    }

    fn sign(&self, key: &PublicKeyHash, digest: &Digest) -> Result<Signature, HsmError> {
        let Some(found) = self.keys.get(key) else {
            return Err(HsmError::NoKey { key: *key, selector: "not configured".to_owned() });
        };
        found.sign(&self.session, digest)
    }
}

impl Worker {
    pub(super) fn new(shared: Shared, seat: Arc<Seat>) -> Self {
        Self { shared, seat, session: None, failing_since: None, was_busy: false, logged: None }
    }

    /// Works until it is to stop, or was abandoned.
    pub(super) fn run(mut self) {
        while !self.seat.is_abandoned() {
            if self.session.is_none() && !self.open() {
                if self.shared.stop.recv_timeout(REOPEN_PERIOD) == Err(RecvTimeoutError::Disconnected) {
                    break;
                }
                continue;
            }
            crossbeam_channel::select! {
                recv(self.shared.stop) -> _ => break,
                recv(self.shared.queue) -> job => match job {
                    Ok(job) => {
                        self.follow_configuration();
                        self.serve(&job);
                        self.probe_partial();
                    }
                    Err(_) => break,
                },
                default(PROBE_PERIOD) => {
                    self.follow_configuration();
                    self.probe();
                }
            }
        }
        self.close();
    }

    /// Signs, or answers why not, or lets another session try.
    fn serve(&mut self, job: &Job) {
        if job.is_over() {
            return;
        }
        let tries = job.begin();
        if let Some(candidate) = &job.candidate {
            return self.try_candidate(job, candidate, tries);
        }
        let mut waits = WAITS.iter();
        let mut is_new = false;
        while !job.is_over() && !self.seat.is_abandoned() {
            let Some(ready) = &self.session else { break };
            let error = match self.seat.during(Doing::Signing, || ready.sign(&job.key, &job.digest)) {
                // If nobody waits any more, the signature is dropped unseen, and so needs no watermark.
                Ok(signature) => {
                    self.shared.health.signs(self.seat.number, &job.key);
                    return job.answer(Ok(signature));
                }
                Err(error) => error,
            };
            self.failed(&error);
            match (error.remedy(), waits.next()) {
                (Remedy::Nothing, _) if !ready.lacks(&job.key) => {
                    self.shared.health.fails(self.seat.number, &job.key, &error);
                    return job.answer(Err(error));
                }
                (Remedy::Wait, Some(wait)) => {
                    self.step(Step::Retry, &error);
                    // Each session a little later than the one before, so that they do not come all at once.
                    std::thread::sleep(*wait + *wait / 8 * (self.seat.number % 8) as u32);
                }
                _ => {
                    // A session that is good for another key stays until there is one that is good for both.
                    let is_partial = self.signs_with_another(&job.key);
                    if is_partial {
                        self.shared.health.fails(self.seat.number, &job.key, &error);
                    } else {
                        self.give_up_session(&error);
                    }
                    let soon = if error.remedy() == Remedy::Wait { RENEW_PERIOD } else { RENEW_PERIOD_ON_REQUEST };
                    let has_new = !is_new && if is_partial { self.renew(soon, &error) } else { self.open() };
                    if !has_new {
                        return if tries < TRIES { self.give_back(job) } else { job.answer(Err(error)) };
                    }
                    is_new = true;
                }
            }
        }
    }

    /// Whether the token signs with a key that is not configured. What is wrong with the session is another's matter to try.
    fn try_candidate(&mut self, job: &Job, candidate: &KeyConfig, tries: u8) {
        let Some(ready) = &self.session else { return self.give_back(job) };
        let signed = self.seat.during(Doing::Signing, || {
            let handle = inventory::find(&ready.session, candidate)?;
            Found { config: candidate.clone(), handle: Ok(handle) }.sign(&ready.session, &job.digest)
        });
        match signed {
            Err(error) if tries < TRIES && error.remedy() > Remedy::Wait => {
                self.failed(&error);
                self.give_up_session(&error);
                self.give_back(job);
            }
            signed => job.answer(signed),
        }
    }

    /// Finds the keys that the configuration has and this session has not; what it has found stays. A session that cannot find
    /// one is given up, as one that cannot sign with it would be.
    fn follow_configuration(&mut self) {
        let Some(ready) = &mut self.session else { return };
        let configured = self.shared.keys.now();
        if Arc::ptr_eq(&ready.configured, &configured) {
            return;
        }
        let mut known = std::mem::take(&mut ready.keys);
        let (seat, session) = (&self.seat, &ready.session);
        let found: Result<_, HsmError> = seat.during(Doing::Opening, || {
            find_all(&configured, |config| match known.remove(&config.hash()) {
                Some(found) if found.config.selector == config.selector && found.handle.is_ok() => found.handle,
                _ => inventory::find(session, config),
            })
        });
        match found {
            Ok(keys) => {
                let is_new = |key: &PublicKeyHash| !ready.configured.iter().any(|config| config.hash() == *key);
                let new: Vec<_> = keys.keys().copied().filter(is_new).collect();
                (ready.keys, ready.configured) = (keys, configured);
                // What is not tried is not known to sign.
                if !new.is_empty() {
                    self.probe();
                }
            }
            Err(error) => {
                self.failed(&error);
                self.give_up_session(&error);
            }
        }
    }

    /// For another session; and where none signs, until one does or the job is over.
    fn give_back(&self, job: &Job) {
        if self.shared.back.try_send(job.clone()).is_err() {
            job.answer(Err(HsmError::Busy));
        }
    }

    /// A trial signature with each key.
    fn probe(&mut self) {
        let Some(mut ready) = self.session.take() else { return };
        ready.probed = Instant::now();
        let tried = self.try_each_key(&ready);
        ready.is_partial = !matches!(tried, Ok(None));
        self.session = Some(ready);
        match tried {
            Err(error) if error.remedy() == Remedy::Wait && !self.was_busy => {
                self.was_busy = true;
                self.step(Step::Retry, &error);
            }
            Err(error) => self.give_up_session(&error),
            Ok(failing) => {
                self.was_busy = false;
                if let Some(error) = failing {
                    self.renew(RENEW_PERIOD, &error);
                }
            }
        }
    }

    /// Where requests for other keys never leave the session idle, a key that fails would not be tried again.
    fn probe_partial(&mut self) {
        if self.session.as_ref().is_some_and(|ready| ready.is_partial && ready.probed.elapsed() >= PROBE_PERIOD) {
            self.probe();
        }
    }

    /// Signs a trial with each key. Only a signature proves that the HSM signs: sessions open and attributes are read also
    /// where it cannot. Fails where no key signs; returns an error also where some do not, whatever it says: which codes
    /// concern one key only, nobody has published.
    fn try_each_key(&self, ready: &Ready) -> Result<Option<HsmError>, HsmError> {
        let (mut any, mut errors) = (false, Vec::new());
        for key in ready.keys.keys() {
            match self.try_key(ready, key) {
                Ok(()) => any = true,
                Err(error) => {
                    self.failed(&error);
                    self.shared.health.fails(self.seat.number, key, &error);
                    errors.push(error);
                }
            }
        }
        // Of several the one that most is done about.
        let error = errors.into_iter().max_by_key(HsmError::remedy);
        if any { Ok(error) } else { error.map_or(Ok(None), Err) }
    }

    fn try_key(&self, ready: &Ready, key: &PublicKeyHash) -> Result<(), HsmError> {
        self.seat.during(Doing::Signing, || ready.sign(key, &Digest::of(TRIAL)))?;
        self.shared.health.signs(self.seat.number, key);
        Ok(())
    }

    /// Whether the session is good for another key than this one, which failed. A trial now, because it may just have died.
    fn signs_with_another(&mut self, key: &PublicKeyHash) -> bool {
        let Some(mut ready) = self.session.take() else { return false };
        ready.is_partial =
            ready.keys.keys().filter(|other| *other != key).any(|other| self.try_key(&ready, other).is_ok());
        let signs = ready.is_partial;
        self.session = Some(ready);
        signs
    }

    /// A new session in place of one that is older than `period` and signs with some keys only; that one is kept meanwhile,
    /// and where there is no new one.
    fn renew(&mut self, period: Duration, error: &HsmError) -> bool {
        let Some(old) = self.session.take_if(|ready| ready.opened.elapsed() >= period) else { return false };
        self.step(Step::Session, error);
        let is_renewed = self.try_to_open().is_ok();
        if is_renewed {
            self.seat.during(Doing::Closing, || drop(old));
        } else {
            self.session = Some(old);
        }
        is_renewed
    }

    /// Opens a session that signs. Where there is none, and there has been none for a while, it is tried with the library
    /// initialised anew.
    fn open(&mut self) -> bool {
        let failing_for = self.failing_since.get_or_insert_with(Instant::now).elapsed();
        let mut tried = self.another_has_tried().map_or_else(|| self.try_to_open(), Err);
        if let Err(error) = &tried {
            let (patience, period) = if error.remedy() == Remedy::Library { RESTART_SOON } else { RESTART_LATE };
            let may_help = failing_for >= patience
                && !matches!(error, HsmError::PinRefused(_) | HsmError::PinFile { .. } | HsmError::OpeningElsewhere)
                && !self.shared.health.any_session_signs();
            if may_help && let Some(finalized) = self.seat.during(Doing::Opening, || self.shared.token.finalize(period))
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
                self.shared.health.lost(self.seat.number, &error, Instant::now());
                self.log("no session that signs can be opened", None, &error);
                false
            }
        }
    }

    /// What another thread was told a moment ago, if no session signs.
    fn another_has_tried(&self) -> Option<HsmError> {
        let unopened = self.shared.unopened.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, error) = unopened.as_ref()?;
        (at.elapsed() < REOPEN_PERIOD && !self.shared.health.any_session_signs()).then(|| error.clone())
    }

    fn try_to_open(&mut self) -> Result<(), HsmError> {
        let opened = self.seat.during(Doing::Opening, || {
            let session = self.shared.token.open()?;
            let configured = self.shared.keys.now();
            let keys = find_all(&configured, |config| inventory::find(&session, config))?;
            let now = Instant::now();
            Ok(Ready { session, configured, keys, opened: now, probed: now, is_partial: false })
        });
        let tried = match opened {
            Ok(mut ready) => {
                let tried = self.try_each_key(&ready);
                ready.is_partial = matches!(tried, Ok(Some(_)));
                self.session = Some(ready);
                tried.map(|_| ())
            }
            Err(error) => {
                self.failed(&error);
                Err(error)
            }
        };
        if let Err(error) = &tried {
            self.close();
            let failure = (Instant::now(), error.clone());
            *self.shared.unopened.lock().unwrap_or_else(PoisonError::into_inner) = Some(failure);
        }
        tried
    }

    fn give_up_session(&mut self, error: &HsmError) {
        self.step(Step::Session, error);
        self.close();
        self.shared.health.lost(self.seat.number, error, Instant::now());
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
            self.seat.during(Doing::Closing, || drop(ready));
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
        tracing::warn!(session = self.seat.number, step = step.map(Step::name), function, code, %reason, "{what}");
        self.logged = Some((Instant::now(), reason));
    }
}

/// Each key with its handle, or with why it alone has none.
fn find_all(
    configured: &[KeyConfig],
    mut find: impl FnMut(&KeyConfig) -> Result<ObjectHandle, HsmError>,
) -> Result<BTreeMap<PublicKeyHash, Found>, HsmError> {
    let found = configured.iter().map(|config| match find(config) {
        Err(error) if !error.may_concern_one_key() => Err(error),
        handle => Ok((config.hash(), Found { config: config.clone(), handle })),
    });
    found.collect()
}
