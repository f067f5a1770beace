//! `signer.tezos.io/paused: "true"` on a TezosSigner: the operator changes nothing of what belongs to it, until the annotation is
//! gone. Deletion works all the same.

use kube::ResourceExt;

/// The annotation.
pub const PAUSED_ANNOTATION: &str = "signer.tezos.io/paused";

/// Whether it is there, and says so.
pub fn is_paused(signer: &impl ResourceExt) -> bool {
    signer.annotations().get(PAUSED_ANNOTATION).is_some_and(|value| value == "true")
}
