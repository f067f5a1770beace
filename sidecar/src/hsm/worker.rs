//! The thread of one session: it opens the session, finds the keys, and signs what comes off the queue. A session on which
//! anything failed is dropped, and the next one is opened with keys found anew, because handles belong to their session.

use super::token::{OpenSession, Token, call_error};
use super::{Health, HsmError, Job, inventory};
use crossbeam_channel::{Receiver, RecvTimeoutError};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::ObjectHandle;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tezos_signer_core::config::KeyConfig;
use tezos_signer_core::key::{PublicKeyHash, Signature};

/// How often an idle session is probed, and a lost one opened again.
const PROBE_PERIOD: Duration = Duration::from_secs(1);

pub(super) struct Worker {
    token: Arc<Token>,
    keys: Vec<KeyConfig>,
    queue: Receiver<Job>,
    health: Arc<Health>,
    session: Option<Ready>,
}

/// A session in which every configured key was found and compared.
struct Ready {
    session: OpenSession,
    handles: HashMap<PublicKeyHash, (ObjectHandle, usize)>,
}

impl Worker {
    pub(super) fn new(token: Arc<Token>, keys: Vec<KeyConfig>, queue: Receiver<Job>, health: Arc<Health>) -> Self {
        Self { token, keys, queue, health, session: None }
    }

    /// Works until the other end of the queue is gone.
    pub(super) fn run(mut self) {
        self.probe();
        loop {
            match self.queue.recv_timeout(PROBE_PERIOD) {
                Ok(job) => self.serve(job),
                Err(RecvTimeoutError::Timeout) => self.probe(),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn serve(&mut self, job: Job) {
        if job.reply.is_closed() || Instant::now() >= job.deadline {
            return;
        }
        let result = self.sign(&job);
        self.note(result.as_ref().map(|_| ()));
        // Nobody waits any more: the signature is dropped unseen, and so needs no watermark.
        let _ = job.reply.send(result);
    }

    fn sign(&mut self, job: &Job) -> Result<Signature, HsmError> {
        let ready = self.ready()?;
        let Some(&(handle, index)) = ready.handles.get(&job.key) else {
            return Err(HsmError::NoKey { key: job.key, selector: "not configured".to_owned() });
        };
        // CKM_ECDSA signs the 32 bytes as they are; the variants that hash would hash the digest again.
        let raw = ready.session.sign(&Mechanism::Ecdsa, handle, job.digest.as_bytes()).map_err(call_error)?;
        Ok(self.keys[index].public_key.accept_token_signature(&job.digest, &raw)?)
    }

    fn probe(&mut self) {
        let result = self.ready().and_then(|ready| ready.session.get_session_info().map_err(call_error));
        self.note(result.as_ref().map(|_| ()));
    }

    fn note(&mut self, result: Result<(), &HsmError>) {
        match result {
            Ok(()) => self.health.works(),
            Err(error) => {
                self.session = None;
                self.health.failed(error);
            }
        }
    }

    /// The session, opened if there is none.
    fn ready(&mut self) -> Result<&Ready, HsmError> {
        let ready = if let Some(ready) = self.session.take() {
            ready
        } else {
            let session = self.token.open()?;
            let mut handles = HashMap::new();
            for (index, key) in self.keys.iter().enumerate() {
                handles.insert(key.hash(), (inventory::find(&session, key)?, index));
            }
            Ready { session, handles }
        };
        Ok(self.session.insert(ready))
    }
}
