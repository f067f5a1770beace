//! Signs with keys in a PKCS#11 token.
//!
//! A PKCS#11 call can block for as long as the network between the library and the HSM does. Each session therefore has an
//! operating system thread of its own ([`worker`]), and the asynchronous side waits for a response only until its deadline.
//! Signatures of the token are verified here before they are passed on.
//!
//! Errors are handled in steps: [`worker`] retries, opens a new session, and initialises the library again; [`supervisor`]
//! replaces the thread, and finally ends the process.

mod ec_forms;
mod error;
mod health;
mod key_attributes;
mod key_list;
mod keys;
mod login;
mod login_policy;
mod metrics;
mod objects;
mod pin;
mod recovery;
mod sealing;
mod search_limit;
mod session;
mod sessions;
mod signing;
mod slot;
mod supervisor;
mod token;
pub mod unseal_process;
mod unsealer;
mod unsent_pin;
mod worker;
mod worker_slot;

pub use error::HsmError;
pub use key_list::{KeyEntry, KeyList, UnusableKey, generate, list};
pub(crate) use login::Logins;
pub use metrics::HsmMetrics;
pub use objects::{Examination, Examined, examine};
pub(crate) use sealing::TokenSealer;
pub use sealing::generate_sealing_key;
pub(crate) use sessions::Sessions;
pub(crate) use unsealer::TokenUnsealer;
pub use unsent_pin::{PinGuard, PinProblem};

use crate::keystore::{Keystore, KeystoreError, TRIAL};
use async_trait::async_trait;
use crossbeam_channel::Sender;
use health::Health;
use keys::{Keys, TokenKey, in_token};
use search_limit::SearchLimit;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use supervisor::Supervisor;
use tezos_signer_core::cause::Cause;
use tezos_signer_core::config::{HsmConfig, KeyConfig};
use tezos_signer_core::key::{Message, PublicKeyHash, VerifiedSignature};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use worker::Shared;

/// One signature to make. Clones are the same job.
#[derive(Clone)]
struct Job {
    key: PublicKeyHash,
    message: Message,
    /// Of the clock of the threads.
    deadline: std::time::Instant,
    /// The first answer counts.
    reply: mpsc::Sender<Result<VerifiedSignature, HsmError>>,
    tries: Arc<AtomicU8>,
    /// A key that is not configured yet, to sign with in place of the configured one.
    candidate: Option<Arc<TokenKey>>,
}

impl Job {
    /// A thread takes it; says how often that has happened.
    fn begin(&self) -> u8 {
        self.tries.fetch_add(1, Ordering::SeqCst).saturating_add(1)
    }

    fn has_begun(&self) -> bool {
        self.tries.load(Ordering::SeqCst) > 0
    }

    /// Nobody waits for it any more.
    fn is_over(&self) -> bool {
        self.reply.is_closed() || std::time::Instant::now() >= self.deadline
    }

    fn answer(&self, result: Result<VerifiedSignature, HsmError>) {
        // If nobody waits any more it is dropped unseen.
        let _ = self.reply.try_send(result);
    }
}

/// The sessions of one token.
#[derive(Clone)]
pub struct Hsm {
    jobs: Sender<Job>,
    keys: Arc<Keys>,
    health: Arc<Health>,
    given_up: watch::Receiver<Option<Cause>>,
    supervisor: Arc<Mutex<SupervisorThread>>,
}

struct SupervisorThread {
    /// Dropped to end it, and the threads that it looks after.
    go_on: Option<Sender<()>>,
    handle: JoinHandle<()>,
}

/// How many signatures may wait for a session: those of as many requests as `maxConcurrentRequests` allows at most, for a second session too.
const QUEUE: usize = 2048;

/// When a second session is asked for a signature that the first has not given.
const SECOND_SESSION_AFTER: Duration = Duration::from_millis(500);

impl Hsm {
    /// Starts the threads, one for each session. They reach for the token by themselves, and go on trying: a signer waits
    /// for its HSM, it does not crash for it.
    pub fn start(config: &HsmConfig, keys: &[KeyConfig], metrics: HsmMetrics) -> std::io::Result<Self> {
        Self::start_with(config, keys, metrics, Arc::new(Logins::of_service(config.clone())))
    }

    /// The same, in a process that logs in elsewhere too.
    pub(crate) fn start_with(
        config: &HsmConfig,
        keys: &[KeyConfig],
        metrics: HsmMetrics,
        logins: Arc<Logins>,
    ) -> std::io::Result<Self> {
        logins.has_sessions();
        let (jobs, queue) = crossbeam_channel::unbounded();
        let (go_on, stop) = crossbeam_channel::bounded(0);
        let (exit_reason, given_up) = watch::channel(None);
        let keys = in_token(keys);
        let health = Arc::new(Health::new(keys.iter().map(TokenKey::hash), metrics.clone()));
        let keys = Arc::new(Keys::new(&keys));
        let shared = Shared {
            token: Arc::new(token::Token::with_logins(config.clone(), logins)),
            keys: keys.clone(),
            queue,
            back: jobs.clone(),
            health: health.clone(),
            metrics,
            stop,
            sessions: config.sessions,
            searches: Arc::new(SearchLimit::of(config.sessions)),
            unopened: Arc::default(),
        };
        let supervisor = Supervisor::start(config, shared, exit_reason)?;
        let handle = std::thread::Builder::new().name("hsm-supervisor".to_owned()).spawn(|| supervisor.run())?;
        let supervisor = Arc::new(Mutex::new(SupervisorThread { go_on: Some(go_on), handle }));
        Ok(Self { jobs, keys, health, given_up, supervisor })
    }

    fn enqueue(&self, job: &Job) -> Result<(), HsmError> {
        // While no session works, nobody takes out what is over. A bounded channel would hold the memory for all of it from the start.
        if self.jobs.len() >= QUEUE {
            return Err(self.health.cause(&job.key).map_or(HsmError::Busy, HsmError::Unusable));
        }
        self.jobs.send(job.clone()).map_err(|_| HsmError::Gone)
    }
}

impl From<HsmError> for KeystoreError {
    fn from(error: HsmError) -> Self {
        let is_late = matches!(error, HsmError::Timeout | HsmError::Unusable(_));
        Self::new(error, is_late)
    }
}

#[async_trait]
impl Keystore for Hsm {
    /// Ends the threads, and says whether none is in a call of the library any more: a process that ends under one by
    /// running the library's destructors crashes. One that hangs is waited for no longer than `patience`.
    async fn stop(&self, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        let has_ended = || {
            let mut supervisor = self.supervisor.lock().unwrap_or_else(PoisonError::into_inner);
            supervisor.go_on = None;
            supervisor.handle.is_finished()
        };
        while !has_ended() {
            if Instant::now() >= deadline {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        true
    }

    /// Signs `message` with the configured key `key`, within `deadline`. The signature is low-S and verified. One that comes later
    /// is dropped unseen.
    async fn sign(
        &self,
        key: PublicKeyHash,
        message: &Message,
        deadline: Instant,
    ) -> Result<VerifiedSignature, KeystoreError> {
        let (reply, mut answers) = mpsc::channel(1);
        let job = Job {
            key,
            message: message.clone(),
            deadline: deadline.into_std(),
            reply,
            tries: Arc::default(),
            candidate: None,
        };
        self.enqueue(&job)?;
        let second = deadline.min(Instant::now() + SECOND_SESSION_AFTER);
        if let Ok(Some(answer)) = tokio::time::timeout_at(second, answers.recv()).await {
            return answer.map_err(KeystoreError::from);
        }
        // The call may never return. Of two signatures only one is ever seen by anybody; and where there is no room for a
        // second, the first may come yet.
        if job.has_begun() {
            let _ = self.enqueue(&job);
        }
        match tokio::time::timeout_at(deadline, answers.recv()).await {
            Ok(Some(answer)) => answer.map_err(KeystoreError::from),
            _ => Err(self.health.cause(&key).map_or(HsmError::Timeout, HsmError::Unusable).into()),
        }
    }

    /// Whether the token signs with `candidate`, which need not be configured: by a trial signature on a session that is open.
    async fn try_candidate(&self, candidate: &KeyConfig, deadline: Instant) -> Result<(), KeystoreError> {
        let (reply, mut answers) = mpsc::channel(1);
        let (key, message) = (candidate.hash(), Message::new(TRIAL));
        let Some(candidate) = TokenKey::of(candidate) else {
            return Err(HsmError::NoKey { key, selector: candidate.source.to_string() }.into());
        };
        let candidate = Some(Arc::new(candidate));
        self.enqueue(&Job { key, message, deadline: deadline.into_std(), reply, tries: Arc::default(), candidate })?;
        match tokio::time::timeout_at(deadline, answers.recv()).await {
            Ok(Some(answer)) => Ok(answer.map(|_| ())?),
            _ => Err(self.health.causes().pop().map_or(HsmError::Timeout, HsmError::Unusable).into()),
        }
    }

    /// From now on signs with `keys`, and no others. Each session finds them before the next thing that it does.
    fn configure(&self, keys: &[KeyConfig]) {
        let keys = in_token(keys);
        self.health.configure(keys.iter().map(TokenKey::hash));
        self.keys.replace(&keys);
    }

    fn reason(&self, key: &PublicKeyHash) -> Option<String> {
        self.health.cause(key).map(|cause| cause.to_string())
    }

    fn reasons(&self) -> Vec<String> {
        self.health.causes().iter().map(Cause::to_string).collect()
    }

    fn failing_for(&self, key: &PublicKeyHash) -> Option<Duration> {
        self.health.failing_for(key)
    }

    /// Waits until nothing helps any more that this process could do, and says why: it should end, so that another begins.
    async fn given_up(&self) -> Cause {
        let mut given_up = self.given_up.clone();
        let told = given_up.wait_for(Option::is_some).await.ok().and_then(|reason| reason.clone());
        match told {
            Some(reason) => reason,
            // The threads have ended because they were to.
            None => std::future::pending().await,
        }
    }
}
