//! Whether the operator may go: what the chart asks before it is uninstalled (`templates/uninstall-check.yaml`).
//!
//! Signers sign without it, so it may be missing for as long as one likes. But a TezosSigner that is deleted then waits for
//! it, because of its finalizer, and says nothing.

use crate::api::TezosSigner;
use crate::controller::scope::Scope;
use kube::api::ListParams;
use kube::{Client, ResourceExt as _};
use std::collections::BTreeSet;

/// How many are named.
const NAMED: usize = 10;

/// Why it may not.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// There is work that only it can do.
    #[error(
        "nothing is uninstalled, because there are TezosSigners: {}. Their signers would sign on; but deleted later, they \
         would wait for an operator that is not there, and so would their namespaces. Delete them first, and wait until they \
         are gone. Or, to take the operator away and leave the signers, helm uninstall --no-hooks. To keep it all, helm \
         rollback to the last revision of helm history: until then helm upgrades nothing. docs/installing.md, uninstalling",
        named(.0)
    )]
    Needed(Vec<String>),
    /// It could not be found out.
    #[error(
        "nothing is uninstalled, because the TezosSigners of {0} cannot be listed: {1}. Without this check: helm uninstall --no-hooks"
    )]
    Unknown(Scope, #[source] kube::Error),
}

fn named(all: &[String]) -> String {
    let (first, rest) = all.split_at(all.len().min(NAMED));
    let more = if rest.is_empty() { String::new() } else { format!(" and {} more", rest.len()) };
    first.join(", ") + &more
}

/// Refuses while there is a TezosSigner in `scopes`.
pub async fn check(client: &Client, scopes: &BTreeSet<Scope>) -> Result<(), Refusal> {
    let mut all = Vec::new();
    for scope in scopes {
        match scope.api::<TezosSigner>(client).list_metadata(&ListParams::default()).await {
            Ok(signers) => all.extend(
                signers
                    .iter()
                    .map(|signer| format!("{}/{}", signer.namespace().unwrap_or_default(), signer.name_any())),
            ),
            // Without the definition there are none.
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            Err(error) => return Err(Refusal::Unknown(scope.clone(), error)),
        }
    }
    if all.is_empty() { Ok(()) } else { Err(Refusal::Needed(all)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_the_first_few_and_both_ways_out() {
        let all: Vec<String> = (0..12).map(|n| format!("bakers/baker-{n}")).collect();
        let text = Refusal::Needed(all).to_string();
        for part in ["bakers/baker-0, ", "bakers/baker-9 and 2 more.", "Delete them first", "helm uninstall --no-hooks"]
        {
            assert!(text.contains(part), "{part:?} is missing in: {text}");
        }
        assert!(!text.contains("baker-10"), "{text}");
        assert!(!named(&["bakers/one".to_owned()]).contains("more"));
    }
}
