//! The signer's configuration, and that of the HSM's client beside it: immutable, and named by the hash of what is in it, so
//! that a pod always runs with the one it was made for.

use super::{cloud_hsm, names, owned};
use crate::controller::validate::{HsmAccess, ValidSigner};
use k8s_openapi::api::core::v1::ConfigMap;
use std::collections::BTreeMap;
use tezos_signer_core::key::Digest;

pub(super) const FILE: &str = "config.yaml";

pub(super) fn config_map(signer: &ValidSigner) -> ConfigMap {
    let mut data = BTreeMap::from([(FILE.to_owned(), signer.config.clone())]);
    let mut hashed = signer.config.clone();
    if let HsmAccess::CloudHsm(client) = &signer.hsm
        && let Some(text) = cloud_hsm::config_file(client)
    {
        hashed.push_str(&text);
        data.insert(cloud_hsm::CONFIG_FILE.to_owned(), text);
    }
    let hash = Digest::of(hashed.as_bytes()).to_string();
    ConfigMap {
        metadata: owned(&signer.identity, names::config_map(&signer.identity, &hash[..10])),
        data: Some(data),
        immutable: Some(true),
        ..ConfigMap::default()
    }
}
