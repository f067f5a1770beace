//! What wakes a reconcile: watches of the API server, and what the operator keeps in memory of what they and reconciles have shown.

pub(crate) mod changes;
pub(crate) mod events;
pub mod object_cache;
pub(crate) mod pod_cache;
pub(crate) mod reconcile_cache;
pub(crate) mod record_index;
mod streams;

pub(crate) use streams::{record_changes, requests, stopped};

use crate::api::SignerRef;
use crate::backoff::Backoff;
use changes::PendingChanges;
use object_cache::ObjectCache;
use pod_cache::PodCache;
use reconcile_cache::ReconcileCache;
use record_index::RecordIndex;
use std::sync::Arc;

/// What the operator keeps in memory of the TezosSigners in one scope.
#[derive(Debug)]
pub(crate) struct Caches {
    /// How often in a row each was reconciled and not Ready.
    pub(crate) backoff: Backoff<SignerRef>,
    /// How often in a row the reconcile of each has failed.
    pub(crate) failures: Backoff<SignerRef>,
    /// What the last reconcile of each has found.
    pub(crate) reconciles: ReconcileCache,
    /// The objects that were applied for them.
    pub(crate) objects: ObjectCache,
    /// The pods of the signers.
    pub(crate) pods: PodCache,
    /// The changes that the next reconcile of each is for.
    changes: PendingChanges,
    /// The watermark records. All scopes share the index.
    pub(crate) records: Arc<RecordIndex>,
}

impl Caches {
    /// Nothing is known, but for what other scopes know of `records`.
    pub(crate) fn new(records: Arc<RecordIndex>) -> Self {
        Self {
            backoff: Backoff::default(),
            failures: Backoff::default(),
            reconciles: ReconcileCache::default(),
            objects: ObjectCache::default(),
            pods: PodCache::default(),
            changes: PendingChanges::default(),
            records,
        }
    }

    /// Drops what is known of a TezosSigner that does not exist any more. Its pods go with their own watch.
    pub(crate) fn forget(&self, signer: &SignerRef) {
        self.backoff.reset(signer);
        self.failures.reset(signer);
        self.reconciles.forget(signer);
        self.objects.forget(signer);
        self.changes.take(signer);
        self.records.forget(signer);
    }
}
