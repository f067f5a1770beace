//! The signer's configuration, and the keystore's files beside it: immutable, and named by the hash of what is in it, so
//! that a pod always runs with the one it was made for.

use super::{keystore, owned_metadata};
use crate::names;
use crate::validate::Valid;
use k8s_openapi::api::core::v1::ConfigMap;
use std::collections::BTreeMap;
use tezos_signer_core::key::Digest;

pub(super) const FILE: &str = "config.yaml";

pub(super) fn config_map(signer: &Valid) -> ConfigMap {
    let mut data = BTreeMap::from([(FILE.to_owned(), signer.config.clone())]);
    let mut hashed = signer.config.clone();
    for (name, text) in keystore::objects(&signer.keystore).config_files() {
        hashed.push_str(&text);
        data.insert(name.to_owned(), text);
    }
    let hash = Digest::of(hashed.as_bytes()).to_string();
    ConfigMap {
        metadata: owned_metadata(&signer.identity, names::config_map(&signer.identity, &hash[..10])),
        data: Some(data),
        immutable: Some(true),
        ..ConfigMap::default()
    }
}
