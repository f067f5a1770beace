//! What the token shows of one key object. An attribute that it does not have, or whose value makes no sense, is as one that is empty.

use crate::keystore::pkcs11::HsmError;
use crate::keystore::pkcs11::ec_forms::{self, ShownCurve};
use crate::keystore::pkcs11::worker_slot::CallClock;
use cryptoki::error::{Error, RvError};
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectHandle};
use cryptoki::session::Session;
use tezos_signer_core::key::SigningPublicKey;

/// A key object, in the session that has found it.
#[derive(Clone, Copy)]
pub(super) struct KeyObject<'a> {
    pub(super) session: &'a Session,
    pub(super) handle: ObjectHandle,
    pub(super) clock: &'a CallClock,
}

impl KeyObject<'_> {
    /// By a call of its own: some tokens answer none of several attributes where they do not know one.
    fn attribute(self, kind: AttributeType) -> Result<Option<Attribute>, HsmError> {
        match self.clock.call(|| self.session.get_attributes(self.handle, &[kind])) {
            Ok(attributes) => Ok(attributes.into_iter().next()),
            Err(error @ Error::Pkcs11(..)) => match error {
                Error::Pkcs11(RvError::AttributeTypeInvalid | RvError::AttributeSensitive, _) => Ok(None),
                error => Err(error.into()),
            },
            Err(_) => Ok(None),
        }
    }

    fn bytes(self, kind: AttributeType) -> Result<Vec<u8>, HsmError> {
        Ok(match self.attribute(kind)? {
            Some(
                Attribute::Label(bytes)
                | Attribute::Id(bytes)
                | Attribute::EcParams(bytes)
                | Attribute::EcPoint(bytes)
                | Attribute::PublicKeyInfo(bytes),
            ) => bytes,
            _ => Vec::new(),
        })
    }

    pub(super) fn label(self) -> Result<String, HsmError> {
        Ok(String::from_utf8_lossy(&self.bytes(AttributeType::Label)?).into_owned())
    }

    pub(super) fn id(self) -> Result<Vec<u8>, HsmError> {
        self.bytes(AttributeType::Id)
    }

    /// `None` if it is not known.
    pub(super) fn key_type(self) -> Result<Option<KeyType>, HsmError> {
        Ok(match self.attribute(AttributeType::KeyType)? {
            Some(Attribute::KeyType(key_type)) => Some(key_type),
            _ => None,
        })
    }

    /// Whether `CKA_SIGN` is false.
    pub(super) fn never_signs(self) -> Result<bool, HsmError> {
        Ok(self.attribute(AttributeType::Sign)? == Some(Attribute::Sign(false)))
    }

    /// Whether the token says that the key can leave it.
    pub(super) fn is_extractable(self) -> Result<bool, HsmError> {
        Ok(self.attribute(AttributeType::Extractable)? == Some(Attribute::Extractable(true)))
    }

    /// Whether the token says that it shows the key's value.
    pub(super) fn is_readable(self) -> Result<bool, HsmError> {
        Ok(self.attribute(AttributeType::Sensitive)? == Some(Attribute::Sensitive(false)))
    }

    pub(super) fn curve(self) -> Result<ShownCurve, HsmError> {
        Ok(ec_forms::curve(&self.bytes(AttributeType::EcParams)?))
    }

    /// `None` if the object does not show it, or one of another curve.
    pub(super) fn public_key(self) -> Result<Option<SigningPublicKey>, HsmError> {
        let point = self.bytes(AttributeType::EcPoint)?;
        let curve = self.curve()?;
        if let Some(key) = ec_forms::public_key(&curve, &point) {
            return Ok(Some(key));
        }
        // Of PKCS#11 3.0, so a token may answer anything.
        let info = self.bytes(AttributeType::PublicKeyInfo).unwrap_or_default();
        Ok(ec_forms::public_key(&curve, &info))
    }
}
