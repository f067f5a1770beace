//! The first write to a new TezosSigner: the finalizer, before anything exists that it protects.

use crate::api::{Guarded, SignerRef, annotations};
use crate::context::Context;
use crate::names;
use crate::report::SignerError;
use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt as _};
use serde_json::json;

/// Reads the TezosSigner of which the watch has seen `seen`. One that is new gets the finalizer with the same request, if it is still as the
/// watch has seen it.
pub(crate) async fn read(
    signers: &Api<Guarded>,
    seen: &Guarded,
    context: &Context,
    key: &SignerRef,
) -> Result<Option<Guarded>, SignerError> {
    if let Some(patch) = patch(seen) {
        let parameters = PatchParams { field_manager: Some(names::OPERATOR.to_owned()), ..PatchParams::default() };
        match signers.patch(&seen.name_any(), &parameters, &Patch::Merge(&patch)).await {
            Ok(signer) => {
                context.caches.reconciles.written(key, signer.resource_version());
                return Ok(Some(signer));
            }
            // It is not as the watch has seen it, or does not exist any more.
            Err(kube::Error::Api(status)) if status.is_conflict() || status.is_not_found() => {}
            Err(error) => return Err(SignerError("add a finalizer to", error)),
        }
    }
    signers.get_opt(&seen.name_any()).await.map_err(|error| SignerError("read", error))
}

/// Adds the finalizer to this version of a TezosSigner, if it is to be reconciled and has none.
fn patch(seen: &Guarded) -> Option<serde_json::Value> {
    let signer = seen.0.as_ref().ok()?;
    let is_taken_in = signer.finalizers().iter().any(|finalizer| finalizer == names::FINALIZER);
    if is_taken_in || signer.metadata.deletion_timestamp.is_some() || annotations::is_paused(signer) {
        return None;
    }
    let mut finalizers = signer.finalizers().to_vec();
    finalizers.push(names::FINALIZER.to_owned());
    let version = signer.resource_version()?;
    Some(json!({"metadata": {"uid": signer.uid()?, "resourceVersion": version, "finalizers": finalizers}}))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::annotations::PAUSED_ANNOTATION;
    use crate::validate::tests::example;
    use jiff::Timestamp;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use kube::core::DeserializeGuard;

    #[test]
    fn only_a_new_one_that_is_to_be_reconciled_gets_the_finalizer_and_only_in_the_version_that_was_seen() {
        let mut new = example();
        (new.metadata.resource_version, new.metadata.uid) = (Some("7".to_owned()), Some("uid".to_owned()));
        new.metadata.finalizers = Some(vec!["another/one".to_owned()]);
        let patch = |signer| patch(&DeserializeGuard(Ok(signer)));
        let metadata = json!({"uid": "uid", "resourceVersion": "7", "finalizers": ["another/one", names::FINALIZER]});
        assert_eq!(patch(new.clone()), Some(json!({"metadata": metadata})));

        let mut taken_in = new.clone();
        taken_in.finalizers_mut().push(names::FINALIZER.to_owned());
        let mut deleted = new.clone();
        deleted.metadata.deletion_timestamp = Some(Time(Timestamp::UNIX_EPOCH));
        let mut paused = new.clone();
        paused.annotations_mut().insert(PAUSED_ANNOTATION.to_owned(), "true".to_owned());
        let mut without_version = new;
        without_version.metadata.resource_version = None;
        for signer in [taken_in, deleted, paused, without_version] {
            assert_eq!(patch(signer), None);
        }
    }
}
