//! The names of a record's annotations.

/// The annotation that holds the [`Lease`](super::Lease): the one that Kubernetes' own ConfigMap locks used.
pub const LEASE_ANNOTATION: &str = "control-plane.alpha.kubernetes.io/leader";

/// The annotation that holds where the other replicas reach the holder, `10.0.3.7:6733` or `[fd00::7]:6733`. Part of the [`Lease`](super::Lease).
pub const HOLDER_ADDRESS_ANNOTATION: &str = "signer.tezos.io/holder-address";

/// The annotation that holds whose record it is, an [`Owner`](super::Owner): `<namespace>/<name>/<uid>` of the TezosSigner.
pub const OWNER_ANNOTATION: &str = "signer.tezos.io/owner";

/// The annotation of a record that `spec.suspend` of its TezosSigner has suspended, and no person.
pub const SUSPENDED_BY_SPEC_ANNOTATION: &str = "signer.tezos.io/suspended-by-spec";

/// The annotation that holds who may sign with a record that is no pod: docs/record.md.
pub const EXTERNAL_SIGNER_ANNOTATION: &str = "signer.tezos.io/external-signer";

/// The annotation that holds the address of the key, for people.
pub const PUBLIC_KEY_HASH_ANNOTATION: &str = "signer.tezos.io/public-key-hash";

/// The annotation that holds the chain, for people.
pub const CHAIN_ANNOTATION: &str = "signer.tezos.io/chain";
