//! Where the keys are, and what that needs of the signer's configuration and of the pod: one module for each kind of keystore, and one variant
//! of [`Keystore`].

mod pkcs11;

pub use pkcs11::{CloudHsmClient, ClusterAddress, Library, MountedLibrary, Pkcs11};

use super::Invalid;
use super::template::Reserved;
use crate::api::{KeySpec, TezosSignerSpec};
use tezos_signer_core::config::{KeySource, KeystoreConfig};

/// A keystore that can be used.
#[derive(Debug, Clone, PartialEq)]
pub enum Keystore {
    /// A token, by a PKCS#11 library.
    Pkcs11(Pkcs11),
}

/// The keystore that the spec names.
pub(super) fn validate(spec: &TezosSignerSpec) -> Result<Keystore, Invalid> {
    pkcs11::validate(&spec.hsm).map(Keystore::Pkcs11)
}

/// Where the key of `spec` is. Fields are relative to the key.
pub(super) fn source(spec: &KeySpec) -> Result<KeySource, Invalid> {
    pkcs11::selector(spec).map(KeySource::Pkcs11)
}

impl Keystore {
    /// Its section of the signer's configuration.
    pub(super) fn config(&self) -> KeystoreConfig {
        match self {
            Self::Pkcs11(pkcs11) => KeystoreConfig::Pkcs11(pkcs11.config.clone()),
        }
    }

    /// What the baker may not use.
    pub(super) fn reserved(&self) -> Reserved<'_> {
        match self {
            Self::Pkcs11(pkcs11) => pkcs11.reserved(),
        }
    }
}
