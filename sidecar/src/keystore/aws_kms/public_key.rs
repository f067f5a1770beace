//! A public key as KMS returns it: `SubjectPublicKeyInfo` in DER (RFC 5280).

use tezos_signer_core::cause::Cause;
use tezos_signer_core::key::{Curve, SigningPublicKey};
use x509_cert::der::Decode as _;
use x509_cert::der::oid::ObjectIdentifier;
use x509_cert::spki::SubjectPublicKeyInfoRef;

const ID_EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const PRIME256V1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const SECP256K1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.10");
const ID_ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

/// The key in `der`, if it is one of a scheme that Tezos has.
pub(super) fn from_spki(der: &[u8]) -> Result<SigningPublicKey, Cause> {
    let info = SubjectPublicKeyInfoRef::from_der(der).map_err(Cause::of)?;
    let parameters = || info.algorithm.parameters_oid().map_err(Cause::of);
    let curve = match info.algorithm.oid {
        ID_ED25519 => Curve::Ed25519,
        ID_EC_PUBLIC_KEY => match parameters()? {
            PRIME256V1 => Curve::P256,
            SECP256K1 => Curve::Secp256k1,
            other => {
                return Err(format!("its curve has the object identifier {other}, which Tezos does not use").into());
            }
        },
        other => {
            return Err(format!("its algorithm has the object identifier {other}, which Tezos does not use").into());
        }
    };
    let bytes = info.subject_public_key.as_bytes().ok_or("its bits are no whole bytes")?;
    SigningPublicKey::from_bytes(curve, bytes).map_err(Cause::of)
}
