//! The signer's configuration: immutable, and named by the hash of what is in it, so that a pod always runs with the one it
//! was made for.

use super::{names, owned};
use crate::controller::validate::ValidSigner;
use k8s_openapi::api::core::v1::ConfigMap;
use tezos_signer_core::key::Digest;

pub(super) const FILE: &str = "config.yaml";

pub(super) fn config_map(signer: &ValidSigner) -> ConfigMap {
    let hash = Digest::of(signer.config.as_bytes()).to_string();
    ConfigMap {
        metadata: owned(&signer.identity, names::config_map(&signer.identity, &hash[..10])),
        data: Some([(FILE.to_owned(), signer.config.clone())].into()),
        immutable: Some(true),
        ..ConfigMap::default()
    }
}
