//! How many requests are signed at once. Reading a request, and what is answered from memory, takes no slot.

use super::refusal::refusal;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// All slots; an extension of each request. One is taken once the request is whole: a slow client has none.
#[derive(Debug, Clone)]
pub struct Slots {
    free: Arc<Semaphore>,
    all: u16,
}

/// One slot, free again when dropped.
#[derive(Debug)]
pub struct Slot {
    _permit: OwnedSemaphorePermit,
}

/// All slots are taken: 502, at once.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("{all} requests are being signed already (maxConcurrentRequests): try again")]
pub struct Overloaded {
    all: u16,
}

impl IntoResponse for Overloaded {
    fn into_response(self) -> Response {
        refusal(StatusCode::BAD_GATEWAY, &self.to_string())
    }
}

impl Slots {
    /// `all` of them, free.
    pub fn new(all: u16) -> Self {
        Self { free: Arc::new(Semaphore::new(all.into())), all }
    }

    /// One of them, if there is one now.
    pub fn take(&self) -> Result<Slot, Overloaded> {
        let permit = self.free.clone().try_acquire_owned();
        permit.map(|permit| Slot { _permit: permit }).map_err(|_| Overloaded { all: self.all })
    }
}
