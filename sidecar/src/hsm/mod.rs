//! Signing with keys in a PKCS#11 token.
//!
//! A PKCS#11 call can block for as long as the network between the library and the HSM likes. So each session has an
//! operating system thread of its own ([`worker`]), and the asynchronous side waits for an answer no longer than its deadline.
//! What the token returns is verified here before anybody else sees it.

mod inventory;
mod token;
mod worker;

pub use inventory::{Examined, KeyEntry, examine, generate, list};
pub use token::Token;

use crossbeam_channel::{Sender, TrySendError};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tezos_signer_core::config::{HsmConfig, KeyConfig, TokenSelector};
use tezos_signer_core::key::{Digest, PublicKeyHash, Signature, TokenSignatureError};
use tokio::sync::oneshot;

/// Why the token did not sign, or cannot.
#[derive(Debug, Clone, thiserror::Error)]
pub enum HsmError {
    /// The PKCS#11 library cannot be loaded.
    #[error(
        "the PKCS#11 library {module} cannot be loaded ({reason}): check hsm.module, and what the library itself links"
    )]
    Library {
        /// The path of the configuration.
        module: PathBuf,
        /// What the dynamic linker says.
        reason: String,
    },
    /// A PKCS#11 function failed.
    #[error("{function} returned {code}")]
    Call {
        /// Its name, `C_…`.
        function: String,
        /// `CKR_…`.
        code: String,
    },
    /// There is no such token, or it is not reachable now.
    #[error(
        "no token with {token}; the library shows {seen}: is the HSM reachable, and hsm.token or hsm.serial right?"
    )]
    NoToken {
        /// The configured one.
        token: TokenSelector,
        /// Those that are there.
        seen: String,
    },
    /// More than one token has the label.
    #[error("more than one token has {0}: give hsm.serial, its serial number, in place of hsm.token")]
    AmbiguousToken(TokenSelector),
    /// The PIN file cannot be read.
    #[error("the PIN file {path} cannot be read ({reason}): check hsm.pinFile and its permissions")]
    PinFile {
        /// The path of the configuration.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// The token refused the PIN; it is not tried again, so that the user is not locked.
    #[error(
        "the token refused the PIN ({0}); it is not tried again until the PIN file changes, so that the user is not locked"
    )]
    PinRefused(String),
    /// A key of the configuration is not in the token.
    #[error("key {key} ({selector}) is not in the token, or the user may not see it")]
    NoKey {
        /// Its address.
        key: PublicKeyHash,
        /// How it was looked for.
        selector: String,
    },
    /// More than one key of the token fits.
    #[error("more than one key of the token has {0}: which one would sign is chance, so none does")]
    AmbiguousKey(String),
    /// The token's key is another one than configured.
    #[error("the key with {selector} in the token is {found}, the configuration says {expected}")]
    WrongKey {
        /// How it was looked for.
        selector: String,
        /// The configured address.
        expected: PublicKeyHash,
        /// The token's.
        found: String,
    },
    /// There is such a key already.
    #[error("the token already has a key with label {0:?}: choose another label; nothing was generated")]
    LabelTaken(String),
    /// The token signed, but not what it was asked to.
    #[error("{0}; it was not released")]
    BadSignature(#[from] TokenSignatureError),
    /// There is no session that could be asked.
    #[error("the HSM cannot be used: {0}")]
    Unusable(String),
    /// No answer in time.
    #[error("the token has not answered in time")]
    Timeout,
    /// All sessions are busy, and the queue is full.
    #[error("all sessions of the token are busy")]
    Busy,
    /// The threads of the sessions are gone.
    #[error("the signing threads have ended: a bug, restart the signer")]
    Gone,
}

/// What is signed where nobody asks for a signature. No node accepts a signature over it as anything: what Tezos signs begins
/// with a magic byte (0x03, 0x05, 0x11 to 0x13), this with `t`, so the digests differ unless `BLAKE2b` is broken. The
/// signature is verified and forgotten.
const TRIAL: &[u8] = b"tezos-signer: does the HSM sign? This is no Tezos payload.";

/// One signature to make.
struct Job {
    key: PublicKeyHash,
    digest: Digest,
    deadline: Instant,
    reply: oneshot::Sender<Result<Signature, HsmError>>,
}

/// The sessions of one token.
#[derive(Clone)]
pub struct Hsm {
    jobs: Sender<Job>,
    health: Arc<Health>,
    threads: Arc<Mutex<Threads>>,
}

/// The threads of the sessions, and what keeps them going.
struct Threads {
    go_on: Option<Sender<()>>,
    running: Vec<JoinHandle<()>>,
}

/// How many signatures may wait for a session, before requests are turned away with 502.
const QUEUE: usize = 64;

impl Hsm {
    /// Starts the threads, one for each session. They reach for the token by themselves, and go on trying: a signer waits
    /// for its HSM, it does not crash for it.
    pub fn start(config: &HsmConfig, keys: &[KeyConfig]) -> std::io::Result<Self> {
        let (jobs, queue) = crossbeam_channel::bounded(QUEUE);
        let health = Arc::new(Health::default());
        let token = Arc::new(Token::new(config.clone()));
        let (go_on, stop) = crossbeam_channel::bounded(0);
        let mut running = Vec::new();
        for number in 0..config.sessions {
            let worker = worker::Worker::new(token.clone(), keys.to_vec(), queue.clone(), health.clone(), stop.clone());
            let thread = std::thread::Builder::new().name(format!("hsm-session-{number}"));
            running.push(thread.spawn(move || worker.run())?);
        }
        Ok(Self { jobs, health, threads: Arc::new(Mutex::new(Threads { go_on: Some(go_on), running })) })
    }

    /// Ends the threads, and waits until none is in a call of the library: a process that ended under one would crash. One
    /// that hangs is waited for no longer than `patience`.
    pub async fn stop(&self, patience: Duration) {
        let deadline = Instant::now() + patience;
        let is_running = || {
            let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
            threads.go_on = None;
            threads.running.iter().any(|thread| !thread.is_finished())
        };
        while is_running() && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Signs `digest` with the key of `key`, within `deadline`. The signature is low-S and verified. One that comes later
    /// is dropped unseen.
    pub async fn sign(&self, key: PublicKeyHash, digest: Digest, deadline: Instant) -> Result<Signature, HsmError> {
        let (reply, answer) = oneshot::channel();
        self.jobs.try_send(Job { key, digest, deadline, reply }).map_err(|error| match error {
            TrySendError::Full(_) => HsmError::Busy,
            TrySendError::Disconnected(_) => HsmError::Gone,
        })?;
        match tokio::time::timeout_at(deadline.into(), answer).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(HsmError::Gone),
            Err(_) => {
                if let Some(reason) = self.health.without_sessions() {
                    return Err(HsmError::Unusable(reason));
                }
                self.health.failed(&HsmError::Timeout);
                Err(HsmError::Timeout)
            }
        }
    }

    /// Whether the token can be used, and since when and why not.
    pub fn health(&self) -> &Health {
        &self.health
    }
}

/// What is known of the token's usability, from the signatures that are asked for and trial signatures on each idle session.
#[derive(Default)]
pub struct Health(Mutex<HealthState>);

#[derive(Default)]
struct HealthState {
    /// How many sessions are open, with all keys found.
    sessions: u32,
    /// Since when nothing has worked.
    failing_since: Option<Instant>,
    /// Why.
    reason: Option<String>,
}

impl Health {
    fn state(&self) -> MutexGuard<'_, HealthState> {
        // The state is three plain fields; a panic elsewhere cannot have left them inconsistent.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A session on which a trial signature has succeeded.
    fn session_opened(&self) {
        self.state().sessions += 1;
        self.works();
    }

    fn works(&self) {
        let mut state = self.state();
        if state.failing_since.take().is_some() {
            state.reason = None;
            tracing::info!("the HSM can be used again");
        }
    }

    fn session_lost(&self, error: &HsmError) {
        let left = {
            let mut state = self.state();
            state.sessions = state.sessions.saturating_sub(1);
            state.sessions
        };
        if left == 0 {
            self.failed(error);
        }
    }

    /// No session could be opened. That matters only while there is no other.
    fn unreachable(&self, error: &HsmError) {
        if self.state().sessions == 0 {
            self.failed(error);
        }
    }

    fn failed(&self, error: &HsmError) {
        let mut state = self.state();
        let reason = error.to_string();
        if state.reason.as_ref() != Some(&reason) {
            tracing::warn!(%reason, "the HSM cannot be used");
        }
        state.failing_since.get_or_insert_with(Instant::now);
        state.reason = Some(reason);
    }

    /// Why the token cannot be used now; `None` when it can.
    pub fn reason(&self) -> Option<String> {
        let state = self.state();
        let none = (state.sessions == 0).then(|| "the HSM has not been reached yet".to_owned());
        state.reason.clone().or(none)
    }

    /// Why there is not even a session; `None` when there is one.
    fn without_sessions(&self) -> Option<String> {
        if self.state().sessions == 0 { self.reason() } else { None }
    }

    /// For how long it could not be used; `None` when it can, or could not be reached yet.
    pub fn failing_for(&self) -> Option<Duration> {
        self.state().failing_since.map(|since| since.elapsed())
    }
}
