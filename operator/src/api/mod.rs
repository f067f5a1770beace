//! The Kubernetes API of this project, `signer.tezos.io`: types and their schema, no behaviour. `crds/` is generated from here.
//!
//! What the schema cannot say (checksums, curves, the shape of a pod) is checked by
//! [`validate`](crate::controller::validate).

mod cloud_hsm;
mod crd;
mod service;
mod status;
mod tezos_signer;

pub use cloud_hsm::*;
pub use crd::{CrdError, crd_yaml, helm_template};
pub use service::*;
pub use status::{HolderStatus, KeyStatus, RowStatus, RowsStatus, TezosSignerStatus};
pub use tezos_signer::*;
