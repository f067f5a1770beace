//! Limits how many requests are signed at once. Reading a request takes no slot, and neither does a refusal that needs no
//! record, so requests of unauthorized clients and forbidden payloads do not take slots from requests that may be signed.

use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// All slots. One is taken once the request is whole, authenticated and allowed by the policy.
#[derive(Debug, Clone)]
pub struct ConcurrencyLimit {
    free: Arc<Semaphore>,
    all: u16,
}

/// One slot, free again when dropped.
#[derive(Debug)]
pub struct SigningPermit {
    _permit: OwnedSemaphorePermit,
}

/// All slots are taken: 502, at once. A retry helps once one is free.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("{all} requests are being processed already (maxConcurrentRequests): retry")]
pub struct Overloaded {
    all: u16,
}

impl ConcurrencyLimit {
    /// `all` of them, free.
    pub fn new(all: u16) -> Self {
        Self { free: Arc::new(Semaphore::new(all.into())), all }
    }

    /// One of them, if there is one now.
    pub fn take(&self) -> Result<SigningPermit, Overloaded> {
        let permit = self.free.clone().try_acquire_owned();
        permit.map(|permit| SigningPermit { _permit: permit }).map_err(|_| Overloaded { all: self.all })
    }
}
