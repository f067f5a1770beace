//! What every reconcile needs: clients, and what the operator keeps in memory. No logic.

use crate::metrics::Metrics;
use crate::watch::Caches;
use kube::Client;
use kube::runtime::events::Recorder;
use std::sync::Arc;

/// The context of all reconciles in one scope.
pub(crate) struct Context {
    /// The client of the API server.
    pub(crate) client: Client,
    /// The client of signers and nodes.
    pub(crate) http: reqwest::Client,
    /// The recorder that publishes Kubernetes events.
    pub(crate) recorder: Recorder,
    /// The image of signers whose TezosSigner names none.
    pub(crate) default_image: String,
    /// The metrics of this process.
    pub(crate) metrics: Metrics,
    /// What the watches have seen, and what reconciles have found.
    pub(crate) caches: Arc<Caches>,
}
