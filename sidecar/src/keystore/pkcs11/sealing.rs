//! Sealing keys: AES-256 keys of the token that encrypt the secrets of sealed keys by AES-GCM, and decrypt them. They never leave the token.

use crate::keystore::pkcs11::HsmError;
use crate::keystore::pkcs11::key_attributes::KeyObject;
use crate::keystore::pkcs11::token::{OpenSession, Token};
use crate::keystore::pkcs11::worker_slot::CallClock;
use crate::keystore::sealed::sealer::{SealError, Sealer};
use cryptoki::context::Function;
use cryptoki::error::RvError;
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::aead::GcmParams;
use cryptoki::object::{Attribute, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use rustix::rand::{GetRandomFlags, getrandom};
use tezos_signer_core::cause::Cause;
use tezos_signer_core::config::HsmConfig;
use tezos_signer_core::key::SigningPublicKey;
use tezos_signer_core::sealed::{CIPHERTEXT_BYTES, NONCE_BYTES, SealedKey, associated_data};
use zeroize::Zeroizing;

/// Length of the tag of AES-GCM, in bits.
const TAG_BITS: u64 = 128;

/// Length of a sealing key, in bytes.
const KEY_BYTES: u64 = 32;

/// What is sealed and opened where nobody's secret is at stake.
const TRIAL: &[u8; 32] = b"tezos-signer: no secret, a trial";

type Nonce = [u8; NONCE_BYTES];

/// A sealing key, in the session that has found it.
pub(super) struct SealingKey<'a> {
    session: &'a Session,
    clock: &'a CallClock,
    handle: ObjectHandle,
    label: String,
}

impl<'a> SealingKey<'a> {
    /// The one AES key with this label.
    pub(super) fn find(session: &'a Session, label: &str, clock: &'a CallClock) -> Result<Self, HsmError> {
        let found = search(session, label, Some(ObjectClass::SECRET_KEY), clock)?;
        let handle = match found[..] {
            [handle] => handle,
            [] => {
                let others = search(session, label, None, clock)?;
                let other = others.first().map(|handle| KeyObject { session, handle: *handle, clock });
                let other = other.map(KeyObject::key_type).transpose()?.flatten();
                return Err(HsmError::NoSealingKey {
                    label: label.to_owned(),
                    other: other.map(|kind| kind.to_string()),
                });
            }
            _ => return Err(HsmError::AmbiguousSealingKey(label.to_owned())),
        };
        match (KeyObject { session, handle, clock }).key_type()? {
            None | Some(KeyType::AES) => Ok(Self { session, clock, handle, label: label.to_owned() }),
            Some(other) => Err(HsmError::NoSealingKey { label: label.to_owned(), other: Some(other.to_string()) }),
        }
    }

    /// What was sealed by this key with `nonce` for the same `associated_data`. Tokens differ in the code for a ciphertext that is not
    /// authentic, and some have the same one for a device that fails: then a trial shows which of the two it is.
    pub(super) fn open(
        &self,
        nonce: &Nonce,
        ciphertext: &[u8],
        associated_data: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, HsmError> {
        let decrypted = self.decrypt(nonce, ciphertext, associated_data);
        let Err(error @ HsmError::Call { function: Function::Decrypt, .. }) = decrypted else { return decrypted };
        let works = self.seal(TRIAL, &[]).and_then(|(nonce, ciphertext)| self.decrypt(&nonce, &ciphertext, &[]));
        if !works.is_ok_and(|opened| opened[..] == TRIAL[..]) {
            return Err(error);
        }
        match self.decrypt(nonce, ciphertext, associated_data) {
            Err(HsmError::Call { function: Function::Decrypt, code }) => {
                Err(HsmError::NotAuthentic { label: self.label.clone(), code })
            }
            again => again,
        }
    }

    fn decrypt(
        &self,
        nonce: &Nonce,
        ciphertext: &[u8],
        associated_data: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, HsmError> {
        let mut iv = *nonce;
        let mechanism = Mechanism::AesGcm(GcmParams::new(&mut iv, associated_data, TAG_BITS.into())?);
        Ok(Zeroizing::new(self.clock.call(|| self.session.decrypt(&mechanism, self.handle, ciphertext))?))
    }

    /// Encrypts 32 bytes with a nonce that was never used: one of ours, or one of the token's where it takes no others (CloudHSM).
    fn seal(&self, plaintext: &[u8; 32], associated_data: &[u8]) -> Result<(Nonce, [u8; CIPHERTEXT_BYTES]), HsmError> {
        let sealed = self.encrypt(random()?, plaintext, associated_data);
        let Err(HsmError::Call { function: Function::EncryptInit | Function::Encrypt, code }) = sealed else {
            return sealed;
        };
        if !matches!(code, RvError::MechanismParamInvalid | RvError::ArgumentsBad | RvError::MechanismInvalid) {
            return sealed;
        }
        // Nobody's secret is encrypted with a nonce of zeros.
        match self.encrypt([0; NONCE_BYTES], TRIAL, &[]) {
            Ok(_) => self.encrypt([0; NONCE_BYTES], plaintext, associated_data),
            Err(HsmError::ZeroNonce) => Err(HsmError::ZeroNonce),
            Err(_) => sealed,
        }
    }

    fn encrypt(
        &self,
        mut nonce: Nonce,
        plaintext: &[u8; 32],
        associated_data: &[u8],
    ) -> Result<(Nonce, [u8; CIPHERTEXT_BYTES]), HsmError> {
        let mechanism = Mechanism::AesGcm(GcmParams::new(&mut nonce, associated_data, TAG_BITS.into())?);
        let ciphertext = self.clock.call(|| self.session.encrypt(&mechanism, self.handle, plaintext))?;
        drop(mechanism);
        // The token may have written its own.
        if nonce == [0; NONCE_BYTES] {
            return Err(HsmError::ZeroNonce);
        }
        let length = ciphertext.len();
        let ciphertext = ciphertext.try_into().map_err(|_| {
            HsmError::Nonsense(format!("AES-GCM made {length} bytes of 32, not {CIPHERTEXT_BYTES}").into())
        })?;
        Ok((nonce, ciphertext))
    }

    /// What is strange about a sealing key, as sentences.
    fn remarks(&self) -> Result<Vec<String>, HsmError> {
        let object = KeyObject { session: self.session, handle: self.handle, clock: self.clock };
        let label = tezos_signer_core::json::quoted(&self.label);
        let mut remarks = Vec::new();
        if object.is_extractable()? {
            remarks.push(format!(
                "the sealing key {label} can be taken out of the token (CKA_EXTRACTABLE): whoever is its user can open the sealed \
                 text elsewhere. `tezos-signer keys generate-sealing-key` makes one that cannot"
            ));
        }
        if object.is_readable()? {
            remarks.push(format!(
                "the value of the sealing key {label} can be read from the token (CKA_SENSITIVE is false)"
            ));
        }
        Ok(remarks)
    }
}

/// The objects with this label, of a class or of any. Whoever searches wants one, so no more than two are returned.
fn search(
    session: &Session,
    label: &str,
    class: Option<ObjectClass>,
    clock: &CallClock,
) -> Result<Vec<ObjectHandle>, HsmError> {
    let mut template = vec![Attribute::Label(label.as_bytes().to_vec())];
    template.extend(class.map(Attribute::Class));
    let mut objects = clock.call(|| session.iter_objects(&template))?;
    let mut found = Vec::new();
    while found.len() < 2
        && let Some(object) = clock.call(|| objects.next())
    {
        found.push(object?);
    }
    clock.call(|| drop(objects));
    Ok(found)
}

fn random<const N: usize>() -> Result<[u8; N], HsmError> {
    let mut bytes = [0; N];
    let mut filled = 0;
    while filled < N {
        filled += getrandom(&mut bytes[filled..], GetRandomFlags::empty())
            .map_err(|error| HsmError::Nonsense(Cause::of(std::io::Error::from(error))))?;
    }
    Ok(bytes)
}

/// Makes an AES-256 key in the token that only encrypts and decrypts there. Refuses a label that is taken.
pub fn generate_sealing_key(config: &HsmConfig, label: &str) -> Result<(), HsmError> {
    let clock = CallClock::default();
    let session = Token::new(config.clone()).open(&clock)?;
    if !search(&session, label, None, &clock)?.is_empty() {
        return Err(HsmError::LabelTaken(label.to_owned()));
    }
    let template = [
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(KeyType::AES),
        Attribute::ValueLen(KEY_BYTES.into()),
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Encrypt(true),
        Attribute::Decrypt(true),
        Attribute::Label(label.as_bytes().to_vec()),
        Attribute::Id(uuid::Uuid::new_v4().as_bytes().to_vec()),
    ];
    session.generate_key(&Mechanism::AesKeyGen, &template)?;
    let unfit = |problem: String| HsmError::Generated { label: label.to_owned(), problem };
    let key =
        SealingKey::find(&session, label, &clock).map_err(|error| unfit(format!("it cannot be used: {error}")))?;
    let opened = key.seal(TRIAL, &[]).and_then(|(nonce, ciphertext)| key.open(&nonce, &ciphertext, &[]));
    match opened {
        Ok(opened) if opened[..] == TRIAL[..] => match &key.remarks()?[..] {
            [] => Ok(()),
            remarks => Err(unfit(remarks.join("; "))),
        },
        Ok(_) => Err(unfit("what it opens is not what it has sealed".to_owned())),
        Err(error) => Err(unfit(format!("it does not seal and open: {error}"))),
    }
}

/// A token that seals with one of its keys, for a command.
pub(crate) struct TokenSealer {
    session: OpenSession,
    clock: CallClock,
    label: String,
}

impl TokenSealer {
    /// Logs in.
    pub(crate) fn open(config: &HsmConfig, label: &str) -> Result<Self, HsmError> {
        let clock = CallClock::default();
        let session = Token::new(config.clone()).open(&clock)?;
        Ok(Self { session, clock, label: label.to_owned() })
    }

    fn key(&self) -> Result<SealingKey<'_>, HsmError> {
        SealingKey::find(&self.session, &self.label, &self.clock)
    }
}

#[async_trait::async_trait(?Send)]
impl Sealer for TokenSealer {
    async fn remarks(&self) -> Result<Vec<String>, SealError> {
        Ok(self.key()?.remarks()?)
    }

    async fn random(&self) -> Result<Zeroizing<[u8; 32]>, SealError> {
        let mut bytes = Zeroizing::new([0; 32]);
        self.clock.call(|| self.session.generate_random_slice(&mut bytes[..])).map_err(HsmError::from)?;
        Ok(bytes)
    }

    async fn seal(&self, secret: &[u8; 32], key: &SigningPublicKey) -> Result<SealedKey, SealError> {
        let (nonce, ciphertext) = self.key()?.seal(secret, &associated_data(key))?;
        Ok(SealedKey::Pkcs11 { label: self.label.clone(), nonce, ciphertext })
    }

    async fn open(&self, sealed: &SealedKey, key: &SigningPublicKey) -> Result<Zeroizing<Vec<u8>>, SealError> {
        Ok(open(&self.session, sealed, key, &self.clock)?)
    }
}

/// Opens a sealed text in a session. The plaintext is not compared with the key.
pub(super) fn open(
    session: &Session,
    sealed: &SealedKey,
    key: &SigningPublicKey,
    clock: &CallClock,
) -> Result<Zeroizing<Vec<u8>>, HsmError> {
    match sealed {
        SealedKey::Pkcs11 { label, nonce, ciphertext } => {
            SealingKey::find(session, label, clock)?.open(nonce, ciphertext, &associated_data(key))
        }
        SealedKey::AwsKms { key, .. } => {
            Err(HsmError::NoSealingKey { label: key.to_string(), other: Some("a key of AWS KMS".to_owned()) })
        }
    }
}

impl From<HsmError> for SealError {
    fn from(error: HsmError) -> Self {
        Self::Keystore(Cause::of(error))
    }
}
