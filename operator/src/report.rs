//! Writes the status of a TezosSigner, and publishes events about it.

use crate::api::{TezosSigner, TezosSignerStatus, signer_ref};
use crate::api_message::api_message;
use crate::context::Context;
use crate::{message, names};
use futures::future::join_all;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::api::{Patch, PatchParams};
use kube::core::PartialObjectMeta;
use kube::runtime::events::{Event, EventType, Recorder};
use kube::{Api, Resource as _, ResourceExt as _};
use serde_json::json;

/// In bytes. Nobody else truncates the note of an event: the API server refuses one of more than 1 kB.
const MAX_NOTE: usize = 1000;

/// The API server did not read or write a TezosSigner or its status. A retry may help.
#[derive(Debug, thiserror::Error)]
#[error("cannot {0} the TezosSigner: {message}", message = api_message(.1))]
pub struct SignerError(pub(crate) &'static str, #[source] pub(crate) kube::Error);

/// Where the result of a reconcile goes.
pub(crate) struct Report<'a> {
    /// The TezosSigner as it was read.
    pub(crate) signer: &'a TezosSigner,
    /// The context of the reconcile.
    pub(crate) context: &'a Context,
}

impl Report<'_> {
    /// Writes the status unless it is the one that was read.
    pub(crate) async fn write_status(&self, status: &TezosSignerStatus) -> Result<(), SignerError> {
        if self.signer.status.as_ref() == Some(status) {
            return Ok(());
        }
        let patch = json!({
            "apiVersion": TezosSigner::api_version(&()),
            "kind": TezosSigner::kind(&()),
            "metadata": {"name": self.signer.name_any(), "uid": self.signer.uid()},
            "status": status,
        });
        let signers: Api<PartialObjectMeta<TezosSigner>> =
            Api::namespaced(self.context.client.clone(), &self.signer.namespace().unwrap_or_default());
        let parameters = PatchParams::apply(names::OPERATOR).force();
        let written = signers.patch_status(&self.signer.name_any(), &parameters, &Patch::Apply(&patch)).await;
        let written = written.map_err(|error| SignerError("write the status of", error))?;
        self.context.caches.reconciles.written(&signer_ref(self.signer), written.metadata.resource_version);
        Ok(())
    }

    /// Writes the status, then publishes the `events` of the change from the status that was read to this one.
    pub(crate) async fn write_status_and_events(
        &self,
        status: &TezosSignerStatus,
        events: impl Fn(&TezosSignerStatus, &TezosSignerStatus) -> Vec<Event>,
    ) -> Result<(), SignerError> {
        self.write_status(status).await?;
        let default = TezosSignerStatus::default();
        self.publish_events(events(self.signer.status.as_ref().unwrap_or(&default), status)).await;
        Ok(())
    }

    /// Publishes a warning that no condition reports.
    pub(crate) async fn warn(&self, reason: &str, note: &str) {
        let event = Event {
            type_: EventType::Warning,
            reason: reason.to_owned(),
            note: Some(note.to_owned()),
            action: "Reconcile".to_owned(),
            secondary: None,
        };
        self.publish_events(vec![event]).await;
    }

    /// Publishes events, and logs each: who reads the log sees the field and the remedy too.
    async fn publish_events(&self, events: Vec<Event>) {
        let regarding = self.signer.object_ref(&());
        let published = events.into_iter().map(|event| {
            let (signer, note) = (signer_ref(self.signer), event.note.as_deref().unwrap_or_default());
            match event.type_ {
                EventType::Warning => tracing::warn!(%signer, reason = event.reason, "{note}"),
                EventType::Normal => tracing::info!(%signer, reason = event.reason, "{note}"),
            }
            publish_event(&self.context.recorder, event, &regarding)
        });
        join_all(published).await;
    }
}

/// Publishes an event. Events are a courtesy: an error is logged, and fails nothing.
pub(crate) async fn publish_event(recorder: &Recorder, mut event: Event, object: &ObjectReference) {
    event.note = event.note.map(|note| message::cut(&note, MAX_NOTE));
    if let Err(error) = recorder.publish(&event, object).await {
        tracing::warn!(%error, "cannot publish an event");
    }
}
