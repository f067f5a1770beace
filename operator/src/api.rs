//! The Kubernetes API of this project, `signer.tezos.io`: types and their schema, no behaviour. `crds/` is generated from here.
//!
//! What the schema cannot say (checksums, curves, whose address it is) is checked by [`validate`](crate::validate), and
//! the parts of pods by the API server, which the operator asks before it writes anything.
//!
//! Defaults stand in the descriptions, and not in the schema, but for `suspend`: a stored TezosSigner says what its user wrote, and a
//! later release may choose better.

pub mod annotations;
mod baker;
mod crd;
mod guarded;
mod inject;
mod key;
mod keystore;
mod pod;
mod schema;
mod service;
mod sidecar;
mod status;
mod tezos_signer;

pub use baker::*;
pub use crd::{CrdError, Definition, crd_yaml, helm_template};
pub use guarded::{Guarded, SignerRef, signer_ref};
pub use inject::InjectSpec;
pub use key::*;
pub use keystore::*;
pub use pod::*;
pub use service::*;
pub use sidecar::{Sidecar, TezosSignerSidecar, TezosSignerSidecarSpec};
pub use status::{HolderStatus, KeyStatus, RowStatus, RowsStatus, TezosSignerStatus};
pub use tezos_signer::*;
