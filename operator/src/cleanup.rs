//! The cleanup of a TezosSigner that is being deleted: its pods end, then its rights on the records are taken away, then the records are
//! released. Pods of the user's with an injected sidecar do not end by it, but cannot sign any more without the rights. It must end from every state, and reports what it waits for.

use crate::api::{Guarded, SignerRef};
use crate::apply::{ApplyError, Cluster};
use crate::claim::{ClaimError, Claims};
use crate::context::Context;
use crate::error::Error;
use crate::identity::Identity;
use crate::observation::injection;
use crate::report::Report;
use crate::status;
use crate::validate;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Resource as _;
use kube::runtime::controller::Action;
use std::time::Duration;

/// How long the cleanup waits for the pods to end by themselves, so that they release their leases. Safety does not depend on it:
/// afterwards the pods have no rights on the records.
const GRACE_PERIOD: SignedDuration = SignedDuration::from_mins(1);

/// Does what the finalizer waits for. The TezosSigner may be one that cannot be decoded.
pub(crate) async fn cleanup(object: &Guarded, context: &Context, key: &SignerRef) -> Result<Action, Error> {
    let metadata = object.meta();
    let identity = Identity::of(metadata)?;
    let cluster = Cluster::new(&context.client, &context.caches.objects, &identity);
    cluster.delete_deployment().await?;
    // Pods of the user's do not end because of this, and must not sign any longer.
    let pods = cluster.pods().await?;
    let pods = pods.iter().filter(|pod| !injection::is_injected(pod)).map(kube::ResourceExt::name_any);
    let pods: Vec<String> = pods.collect();
    let deleted = metadata.deletion_timestamp.as_ref().map_or_else(Timestamp::now, |time| time.0);
    let until = deleted.saturating_add(GRACE_PERIOD).unwrap_or(deleted);
    if !pods.is_empty() && Timestamp::now() < until {
        return Err(Error::PodsEnding { pods, until });
    }
    // The operator loses its rights together with the namespace of the records. It tries for a while: they may come back.
    let may_give_up = Timestamp::now() >= until;
    let claims = Claims::new(context.client.clone(), identity.clone());
    let done = async {
        cluster.delete_sidecar().await?;
        cluster.delete_access().await?;
        let mut records = claims.all().await?;
        records.extend(object.0.iter().flat_map(validate::records));
        for record in records {
            match claims.release(&record).await {
                // The claim of a deleted owner is free in any case. The admission policy may not let the operator change a damaged
                // record.
                Err(ClaimError::Api(_, _, kube::Error::Api(refused))) if refused.is_invalid() => {
                    tracing::warn!(signer = %key, record, message = refused.message, "the record cannot be released and keeps its owner");
                }
                result => result?,
            }
        }
        Ok(())
    };
    match done.await {
        Err(error) if may_give_up && is_forbidden(&error) => {
            tracing::warn!(signer = %key, %error, "removing the finalizer without releasing the records");
        }
        result => result?,
    }
    context.caches.backoff.reset(key);
    tracing::info!(signer = %key, "records released");
    Ok(Action::await_change())
}

fn is_forbidden(error: &Error) -> bool {
    match error {
        Error::Apply(ApplyError::Api { source, .. }) => matches!(&**source, kube::Error::Api(s) if s.is_forbidden()),
        Error::Claim(ClaimError::Api(_, _, kube::Error::Api(status))) => status.is_forbidden(),
        _ => false,
    }
}

/// Reports in the status what the cleanup waits for, and returns when to try again.
pub(crate) async fn report(object: &Guarded, error: Error, context: &Context) -> Result<Action, Error> {
    if let Ok(signer) = &object.0 {
        let old = signer.status.clone().unwrap_or_default();
        let next = status::deleting(&old, &error.to_string(), signer.metadata.generation, &Time(Timestamp::now()));
        // The cleanup does not depend on the status: the TezosSigner may be gone, or its namespace be terminating.
        if let Err(error) = (Report { signer, context }).write_status_and_events(&next, status::events).await {
            tracing::debug!(%error, "reconcile");
        }
    }
    match error {
        // The watch reports the end of the pods before that.
        Error::PodsEnding { until, .. } => {
            let left = Timestamp::now().duration_until(until);
            Ok(Action::requeue(Duration::try_from(left).unwrap_or_default() + Duration::from_millis(100)))
        }
        error => Err(error),
    }
}
