//! The way back of a TezosSigner that is being deleted: no pod, then no rights on the records, then nobody's records. It must end
//! from every state, and says what it waits for.

use super::apply::{ApplyError, Cluster};
use super::claim::{ClaimError, Claims};
use super::validate::{self, Identity};
use super::{Context, Error, Guarded, Report, status};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Resource as _;
use kube::runtime::controller::Action;
use kube::runtime::reflector::ObjectRef;
use std::time::Duration;

/// How long a deletion waits for the pods to end in peace, so that they let go of their records by themselves. Safety does
/// not need it: after it their rights are taken away.
const PEACEFUL_END: SignedDuration = SignedDuration::from_mins(1);

/// What the finalizer waits for. The TezosSigner may be one that cannot be read.
pub(super) async fn let_go(object: &Guarded, context: &Context, key: &ObjectRef<Guarded>) -> Result<Action, Error> {
    let metadata = object.meta();
    let identity = Identity::of(metadata)?;
    let cluster = Cluster::new(&context.client, &context.owned, &identity);
    cluster.delete_deployment().await?;
    let pods: Vec<String> = cluster.pods().await?.iter().map(kube::ResourceExt::name_any).collect();
    let deleted = metadata.deletion_timestamp.as_ref().map_or_else(Timestamp::now, |time| time.0);
    let until = deleted.saturating_add(PEACEFUL_END).unwrap_or(deleted);
    if !pods.is_empty() && Timestamp::now() < until {
        return Err(Error::PodsEnding { pods, until });
    }
    // Its rights may not be there any more, with the namespace of the records. It is tried for a while: they may come back.
    let may_give_up = Timestamp::now() >= until;
    let claims = Claims::new(context.client.clone(), identity.clone());
    let done = async {
        cluster.delete_access().await?;
        let mut records = claims.all().await?;
        records.extend(object.0.iter().flat_map(validate::records));
        for record in records {
            match claims.release(&record).await {
                // A claim whose owner is gone is free: letting go is a courtesy, which the guard may not let us do to a record
                // that somebody has damaged.
                Err(ClaimError::Api(_, _, kube::Error::Api(refused))) if refused.is_invalid() => {
                    tracing::warn!(signer = %key, record, message = refused.message, "its record is left with its name in it");
                }
                result => result?,
            }
        }
        Ok(())
    };
    match done.await {
        Err(error) if may_give_up && is_forbidden(&error) => {
            tracing::warn!(signer = %key, %error, "it is let go without letting go of its records");
        }
        result => result?,
    }
    context.backoff.reset(key);
    tracing::info!(signer = %key, "its records are let go");
    Ok(Action::await_change())
}

fn is_forbidden(error: &Error) -> bool {
    match error {
        Error::Apply(ApplyError::Api { source, .. }) => matches!(&**source, kube::Error::Api(s) if s.is_forbidden()),
        Error::Claim(ClaimError::Api(_, _, kube::Error::Api(status))) => status.is_forbidden(),
        _ => false,
    }
}

/// Says in the status what the deletion waits for, and when to try again.
pub(super) async fn tell(object: &Guarded, error: Error, context: &Context) -> Result<Action, Error> {
    if let Ok(signer) = &object.0 {
        let old = signer.status.clone().unwrap_or_default();
        let next = status::deleting(&old, &error.to_string(), signer.metadata.generation, &Time(Timestamp::now()));
        // It may be gone, or its namespace not take it: the deletion does not depend on it.
        if let Err(error) = (Report { signer, context }).write_and_tell(&next).await {
            tracing::debug!(%error, "reconcile");
        }
    }
    match error {
        // Their end is told by the watch.
        Error::PodsEnding { until, .. } => {
            let left = Timestamp::now().duration_until(until);
            Ok(Action::requeue(Duration::try_from(left).unwrap_or_default() + Duration::from_millis(100)))
        }
        error => Err(error),
    }
}
