//! The check that the chart runs before it is uninstalled (`templates/uninstall-check.yaml`).
//!
//! Signers sign without the operator, however long it is absent. But a TezosSigner that is deleted meanwhile waits for the operator,
//! because of its finalizer, and reports nothing.

use crate::api::TezosSigner;
use crate::message;
use crate::scope::Scope;
use kube::api::ListParams;
use kube::{Client, ResourceExt as _};
use std::collections::BTreeSet;

/// Why the operator may not be uninstalled.
#[derive(Debug, thiserror::Error)]
pub enum UninstallRefused {
    /// There are TezosSigners, whose finalizers only the operator removes.
    #[error(
        "nothing was uninstalled, because TezosSigners exist: {}. Delete them first, and wait until they are gone: without the \
         operator, their deletion and that of their namespaces would never finish. To remove only the operator and let the signers \
         continue to sign, use helm uninstall --no-hooks. To keep everything, use helm rollback to the last revision in helm \
         history; until then helm refuses to upgrade. See docs/installing.md, uninstalling",
        message::list(.0)
    )]
    Needed(Vec<String>),
    /// The TezosSigners could not be listed. A retry may help.
    #[error(
        "nothing was uninstalled, because the TezosSigners of {0} cannot be listed: {1}. To skip this check, use helm uninstall \
         --no-hooks"
    )]
    Unknown(Scope, #[source] kube::Error),
}

/// Refuses while there is a TezosSigner in `scopes`.
pub async fn check(client: &Client, scopes: &BTreeSet<Scope>) -> Result<(), UninstallRefused> {
    let mut all = Vec::new();
    for scope in scopes {
        match scope.api::<TezosSigner>(client).list_metadata(&ListParams::default()).await {
            Ok(signers) => all.extend(
                signers
                    .iter()
                    .map(|signer| format!("{}/{}", signer.namespace().unwrap_or_default(), signer.name_any())),
            ),
            // Without the CRD there are no TezosSigners.
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            Err(error) => return Err(UninstallRefused::Unknown(scope.clone(), error)),
        }
    }
    if all.is_empty() { Ok(()) } else { Err(UninstallRefused::Needed(all)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_the_first_few_and_both_ways_out() {
        let all: Vec<String> = (0..12).map(|n| format!("bakers/baker-{n}")).collect();
        let text = UninstallRefused::Needed(all).to_string();
        for part in ["bakers/baker-0, ", "bakers/baker-2 and 9 more.", "Delete them first", "helm uninstall --no-hooks"]
        {
            assert!(text.contains(part), "{part:?} is missing in: {text}");
        }
        assert!(!text.contains("baker-3"), "{text}");
    }
}
