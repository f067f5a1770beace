//! The stage after build for a TezosSigner with `spec.inject`: what the user's pods still use of its earlier versions. The operator cannot replace
//! these pods, so they keep their rights until their user does.

use crate::api::{TezosSigner, TezosSignerSidecar};
use crate::apply::Cluster;
use crate::build::{Built, Former};
use crate::claim::{self, Claims};
use crate::error::Error;
use crate::observation::injection;
use crate::validate;

/// What pods with the sidecar that is `published`, or an earlier one, still use. The records of removed keys are suspended.
pub(crate) async fn former(
    signer: &TezosSigner,
    built: &Built,
    cluster: &Cluster<'_>,
    claims: &Claims,
    published: Option<TezosSignerSidecar>,
) -> Result<Former, Error> {
    // An account that has the right already keeps it: none gets it by a label.
    let mut accounts = cluster.former_accounts(&built.objects.role_binding).await?;
    if !accounts.is_empty() {
        let used = injection::accounts(&cluster.pods().await?);
        accounts.retain(|account| used.contains(account));
    }
    let Some(published) = published else { return Ok(Former { accounts, ..Former::default() }) };
    // INVARIANT O8: A pod with the sidecar from before has the keys that were removed from the spec.
    let records = validate::former_records(signer);
    claim::suspend(claims, records.clone()).await?;
    Ok(Former { published: Some(published), records, accounts })
}
