//! The thread of one session: it opens the session, finds the keys, and signs what comes off the queue. A session on which
//! anything failed is dropped, and the next one is opened with keys found anew, because handles belong to their session.
//! While it has none it takes nothing off the queue: another thread's session may work.

use super::token::{OpenSession, Token, call_error};
use super::{Health, HsmError, Job, inventory};
use crossbeam_channel::{Receiver, RecvTimeoutError};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::ObjectHandle;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tezos_signer_core::config::KeyConfig;
use tezos_signer_core::key::{Digest, PublicKeyHash, Signature, SigningPublicKey};

/// How often an idle session is probed.
const PROBE_PERIOD: Duration = Duration::from_secs(1);

/// How long after a failed attempt to open a session the next one is made.
const REOPEN_PERIOD: Duration = Duration::from_millis(250);

pub(super) struct Worker {
    token: Arc<Token>,
    keys: Vec<KeyConfig>,
    queue: Receiver<Job>,
    health: Arc<Health>,
    /// Disconnected when the thread is to end.
    stop: Receiver<()>,
    session: Option<Ready>,
}

/// A session in which every configured key was found and compared.
struct Ready {
    session: OpenSession,
    keys: HashMap<PublicKeyHash, (ObjectHandle, SigningPublicKey)>,
}

impl Ready {
    /// A trial signature with each key. Only a signature proves that the HSM signs: sessions open and attributes are read
    /// also where it cannot.
    fn probe(&self) -> Result<(), HsmError> {
        self.keys.keys().try_for_each(|key| self.sign(key, &Digest::of(super::TRIAL)).map(|_| ()))
    }

    fn sign(&self, key: &PublicKeyHash, digest: &Digest) -> Result<Signature, HsmError> {
        let Some((handle, public_key)) = self.keys.get(key) else {
            return Err(HsmError::NoKey { key: *key, selector: "not configured".to_owned() });
        };
        // CKM_ECDSA signs the 32 bytes as they are; the variants that hash would hash the digest again.
        let raw = self.session.sign(&Mechanism::Ecdsa, *handle, digest.as_bytes()).map_err(call_error)?;
        Ok(public_key.accept_token_signature(digest, &raw)?)
    }
}

impl Worker {
    pub(super) fn new(
        token: Arc<Token>,
        keys: Vec<KeyConfig>,
        queue: Receiver<Job>,
        health: Arc<Health>,
        stop: Receiver<()>,
    ) -> Self {
        Self { token, keys, queue, health, stop, session: None }
    }

    /// Works until it is to stop.
    pub(super) fn run(mut self) {
        loop {
            if self.session.is_none() {
                match self.open() {
                    Ok(ready) => self.session = Some(ready),
                    Err(error) => {
                        self.health.unreachable(&error);
                        if self.stop.recv_timeout(REOPEN_PERIOD) == Err(RecvTimeoutError::Disconnected) {
                            return;
                        }
                        continue;
                    }
                }
            }
            crossbeam_channel::select! {
                recv(self.stop) -> _ => return,
                recv(self.queue) -> job => match job {
                    Ok(job) => self.serve(job),
                    Err(_) => return,
                },
                default(PROBE_PERIOD) => {
                    if let Err(error) = self.on_session(Ready::probe) {
                        tracing::warn!(%error, "an idle HSM session was lost");
                    }
                }
            }
        }
    }

    fn serve(&mut self, job: Job) {
        // The second attempt is on a session of its own: the first one's may just have been old.
        let mut result = Err(HsmError::Timeout);
        for _ in 0..2 {
            if job.reply.is_closed() || Instant::now() >= job.deadline {
                break;
            }
            result = self.on_session(|ready| ready.sign(&job.key, &job.digest));
            if let Err(error) = &result {
                tracing::warn!(%error, "the HSM did not sign");
            } else {
                break;
            }
        }
        // If nobody waits any more, the signature is dropped unseen, and so needs no watermark.
        let _ = job.reply.send(result);
    }

    /// Does something on the session, opened if there is none; drops it if that fails.
    fn on_session<T>(&mut self, act: impl Fn(&Ready) -> Result<T, HsmError>) -> Result<T, HsmError> {
        let ready = match self.session.take() {
            Some(ready) => ready,
            None => self.open()?,
        };
        match act(&ready) {
            Ok(done) => {
                self.session = Some(ready);
                self.health.works();
                Ok(done)
            }
            Err(error) => {
                self.health.session_lost(&error);
                Err(error)
            }
        }
    }

    fn open(&self) -> Result<Ready, HsmError> {
        let session = self.token.open()?;
        let mut keys = HashMap::new();
        for key in &self.keys {
            keys.insert(key.hash(), (inventory::find(&session, key)?, key.public_key.clone()));
        }
        let ready = Ready { session, keys };
        ready.probe()?;
        self.health.session_opened();
        Ok(ready)
    }
}
