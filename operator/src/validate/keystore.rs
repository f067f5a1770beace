//! Where the keys are, and what that needs of the signer's configuration and of the pod: one module for each kind of keystore, and one variant
//! of [`Keystore`].

mod aws_kms;
pub(super) mod object;
mod pkcs11;

pub use aws_kms::AwsKms;
pub use pkcs11::{CloudHsmClient, ClusterAddress, Library, MountedLibrary, Pin, PinVolume, Pkcs11};

use super::Invalid;
use super::template::Reserved;
use crate::api::{KeySpec, TezosSignerSpec};
use tezos_signer_core::config::{KeySource, KeystoreConfig};
use tezos_signer_core::key::{Curve, SigningPublicKey};
use tezos_signer_core::sealed::SealedKey;

/// A keystore that can be used.
#[derive(Debug, Clone, PartialEq)]
pub enum Keystore {
    /// A token, by a PKCS#11 library.
    Pkcs11(Box<Pkcs11>),
    /// AWS KMS.
    AwsKms(AwsKms),
}

/// The keystore that the spec names.
pub(super) fn validate(spec: &TezosSignerSpec) -> Result<Keystore, Invalid> {
    match (&spec.hsm, &spec.aws_kms) {
        (Some(hsm), None) => pkcs11::validate(hsm).map(|pkcs11| Keystore::Pkcs11(Box::new(pkcs11))),
        (None, Some(kms)) => aws_kms::validate(kms).map(Keystore::AwsKms),
        _ => {
            let reason = "exactly one of hsm (a token with a PKCS#11 library, such as AWS CloudHSM) and awsKms (AWS KMS) is required";
            Err(Invalid::new("spec", reason))
        }
    }
}

/// Where the private key of `key` is. Fields are relative to the key. Whether this keystore has such keys, the signer's configuration says.
pub(super) fn source(spec: &KeySpec, key: &SigningPublicKey) -> Result<KeySource, Invalid> {
    let sealed = spec.sealed.as_deref().map(str::parse::<SealedKey>).transpose();
    let sealed = sealed.map_err(|error| Invalid::of(".sealed", error))?;
    let of_tz4 = key.curve() == Curve::Bls12381;
    match (pkcs11::selector(spec)?, aws_kms::key(spec)?, sealed) {
        (None, None, Some(sealed)) if of_tz4 => Ok(KeySource::Sealed(sealed)),
        (None, None, Some(_)) => {
            let reason = "only for a tz4 key (BLpk…): a key of another scheme stays in the HSM (label or id) or in AWS KMS (kmsKey)";
            Err(Invalid::new(".sealed", reason))
        }
        (_, _, None) if of_tz4 => {
            let reason = "required for a tz4 key (BLpk…), because neither an HSM nor AWS KMS can sign with one: in place of label, id or \
                          kmsKey, set the text that tezos-signer keys generate --curve bls12-381 --seal-with NAME prints";
            Err(Invalid::new(".sealed", reason))
        }
        (Some(selector), None, None) => Ok(KeySource::Pkcs11(selector)),
        (None, Some(key), None) => Ok(KeySource::AwsKms(key)),
        _ => Err(Invalid::new("", ONE_PLACE)),
    }
}

/// What is wrong with a key that is in no place, or in several.
const ONE_PLACE: &str = "exactly one of label (CKA_LABEL), id (CKA_ID), kmsKey (a key of AWS KMS) and sealed (a tz4 key) is required, to find the key";

impl Keystore {
    /// Its section of the signer's configuration.
    pub(super) fn config(&self) -> KeystoreConfig {
        match self {
            Self::Pkcs11(pkcs11) => KeystoreConfig::Pkcs11(pkcs11.config.clone()),
            Self::AwsKms(kms) => KeystoreConfig::AwsKms(kms.config.clone()),
        }
    }

    /// What the baker may not use.
    pub(super) fn reserved(&self) -> Reserved<'_> {
        match self {
            Self::Pkcs11(pkcs11) => pkcs11.reserved(),
            Self::AwsKms(kms) => kms.reserved(),
        }
    }
}

#[cfg(test)]
mod tests;
