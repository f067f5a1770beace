//! A TezosSigner as the operator reads and watches it, and how the operator refers to it.

use super::TezosSigner;
use kube::ResourceExt as _;
use kube::core::DeserializeGuard;
use kube::runtime::reflector::ObjectRef;

/// A TezosSigner, or why it cannot be decoded. One that cannot be decoded must not stop the watch of the others.
pub type Guarded = DeserializeGuard<TezosSigner>;

/// A reference to a TezosSigner, whether it can be decoded or not.
pub type SignerRef = ObjectRef<Guarded>;

/// The reference to `signer`.
pub fn signer_ref(signer: &TezosSigner) -> SignerRef {
    ObjectRef::new(&signer.name_any()).within(&signer.namespace().unwrap_or_default())
}
