//! The private keys of a token: listing and generating them.

use crate::keystore::pkcs11::ec_forms::{self, ECDSA_CURVES, ShownCurve};
use crate::keystore::pkcs11::key_attributes::KeyObject;
use crate::keystore::pkcs11::signing::PrivateKey;
use crate::keystore::pkcs11::token::{OpenSession, Token};
use crate::keystore::pkcs11::worker_slot::CallClock;
use crate::keystore::pkcs11::{HsmError, TRIAL};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, KeyType, ObjectClass, ObjectHandle};
use tezos_signer_core::config::HsmConfig;
use tezos_signer_core::key::{Curve, Message, PublicKeyHash, SigningPublicKey};

/// The second payload of two that are signed to learn a public key, as harmless as [`TRIAL`].
const SECOND_TRIAL: &[u8] = b"tezos-signer: which key signs? This is no Tezos payload.";

/// A private key of the token that this signer can sign with.
#[derive(Debug, Clone, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyEntry {
    /// The public key in base58check, `edpk…`, `sppk…` or `p2pk…`.
    pub public_key: SigningPublicKey,
    /// The hash of the public key in base58check, `tz1…` to `tz3…`.
    pub public_key_hash: PublicKeyHash,
    /// The `CKA_LABEL` of the private key, empty if it has none.
    pub label: String,
    /// The curve of the key.
    pub curve: Curve,
    /// The `CKA_ID` of the private key in hex.
    pub id: Option<String>,
}

/// A private key of the token that the signer cannot sign with, or whose public key the token does not show.
#[derive(Debug, Clone)]
pub struct UnusableKey {
    /// The `CKA_LABEL` of the private key, empty if it has none.
    pub label: String,
    /// The `CKA_ID` of the private key in hex.
    pub id: Option<String>,
    /// Why the signer cannot use the key, as a sentence.
    pub problem: String,
}

/// The private keys that the token shows to the user.
#[derive(Debug, Clone, Default)]
pub struct KeyList {
    /// Those that sign, by label.
    pub keys: Vec<KeyEntry>,
    /// The others, by label.
    pub unusable: Vec<UnusableKey>,
}

/// What `serve` finds a key by.
#[derive(Clone, PartialEq, Eq)]
struct Names {
    label: String,
    id: Vec<u8>,
}

impl Names {
    fn of(object: KeyObject<'_>) -> Result<Self, HsmError> {
        Ok(Self { label: object.label()?, id: object.id()? })
    }

    fn has_same_id(&self, other: &Self) -> bool {
        !self.id.is_empty() && self.id == other.id
    }

    fn has_same_label(&self, other: &Self) -> bool {
        let ids_differ = !self.id.is_empty() && !other.id.is_empty() && self.id != other.id;
        !self.label.is_empty() && self.label == other.label && !ids_differ
    }

    fn hex_id(&self) -> Option<String> {
        (!self.id.is_empty()).then(|| hex::encode(&self.id))
    }

    fn entry(&self, public_key: SigningPublicKey) -> KeyEntry {
        KeyEntry {
            public_key_hash: public_key.hash(),
            curve: public_key.curve(),
            public_key,
            label: self.label.clone(),
            id: self.hex_id(),
        }
    }
}

/// Each private key of the token that could sign, as `serve` finds it, and why the others cannot. Keys of other types, such as RSA, are left
/// out. An error of one key is said of that key, unless no other key could be read either.
pub fn list(config: &HsmConfig) -> Result<KeyList, HsmError> {
    let clock = CallClock::default();
    let session = Token::new(config.clone()).open(&clock)?;
    let object = |handle| KeyObject { session: &session, handle, clock: &clock };
    let handles = |class| session.find_objects(&[Attribute::Class(class)]);
    let mut list = KeyList::default();
    let mut error = None;
    let mut private = Vec::new();
    for handle in handles(ObjectClass::PRIVATE_KEY)? {
        match Names::of(object(handle)) {
            Ok(names) => private.push((names, handle)),
            Err(unreadable) => {
                let problem = format!("its attributes cannot be read: {unreadable}");
                list.unusable.push(UnusableKey { label: String::new(), id: None, problem });
                error = Some(unreadable);
            }
        }
    }
    if private.is_empty()
        && let Some(error) = error
    {
        return Err(error);
    }
    let public: Vec<_> = handles(ObjectClass::PUBLIC_KEY)?
        .into_iter()
        .filter_map(|handle| Some((Names::of(object(handle)).ok()?, object(handle).public_key().ok()??)))
        .collect();
    let all: Vec<_> = private.iter().map(|(names, _)| names).collect();
    for (names, handle) in &private {
        let beside = || public_key_beside(names, &all, &public);
        match usable_key(&session, object(*handle), names, beside) {
            Ok(Some(key)) => list.keys.push(names.entry(key)),
            Ok(None) => {}
            Err(problem) => {
                list.unusable.push(UnusableKey { label: names.label.clone(), id: names.hex_id(), problem });
            }
        }
    }
    list.keys.sort_by(|a, b| natural(&a.label).cmp(&natural(&b.label)).then_with(|| a.id.cmp(&b.id)));
    list.unusable.sort_by(|a, b| natural(&a.label).cmp(&natural(&b.label)).then_with(|| a.id.cmp(&b.id)));
    Ok(list)
}

/// The key of the public object that belongs to the private key `names`: by label and id, by id, or by label, whichever tells which one.
fn public_key_beside(
    names: &Names,
    private: &[&Names],
    public: &[(Names, SigningPublicKey)],
) -> Option<SigningPublicKey> {
    let by_both = |other: &Names| names.has_same_id(other) && names.label == other.label;
    let by_id = |other: &Names| names.has_same_id(other);
    let by_label = |other: &Names| names.has_same_label(other);
    [&by_both as &dyn Fn(&Names) -> bool, &by_id, &by_label].into_iter().find_map(|belongs| {
        let is_only = private.iter().filter(|other| belongs(other)).count() == 1;
        let mut keys = public.iter().filter(|(other, _)| belongs(other)).map(|(_, key)| key);
        let key = keys.next()?;
        (is_only && keys.all(|other| other == key)).then(|| key.clone())
    })
}

/// The public key of a private one: from its own attributes, `beside` it, or by two trial signatures. `None` if it is of a type that cannot
/// sign for Tezos, or why it cannot be used.
fn usable_key(
    session: &OpenSession,
    object: KeyObject<'_>,
    names: &Names,
    beside: impl FnOnce() -> Option<SigningPublicKey>,
) -> Result<Option<SigningPublicKey>, String> {
    let of_attribute = |error: HsmError| format!("its attributes cannot be read: {error}");
    match object.key_type().map_err(of_attribute)? {
        None | Some(KeyType::EC | KeyType::EC_EDWARDS) => {}
        Some(_) => return Ok(None),
    }
    if object.never_signs().map_err(of_attribute)? {
        return Err("its CKA_SIGN is false: the token does not sign with it".to_owned());
    }
    if names.label.is_empty() && names.id.is_empty() {
        return Err("it has neither CKA_LABEL nor CKA_ID, by which the signer finds a key: set one of them".to_owned());
    }
    // A token that does not let its attributes be read may let it sign.
    if let Some(key) = object.public_key().ok().flatten().or_else(beside) {
        if key.curve() == Curve::Ed25519 {
            PrivateKey::new(session, object.handle, Curve::Ed25519, object.clock).map_err(|error| error.to_string())?;
        }
        return Ok(Some(key));
    }
    let curves = match object.curve() {
        Ok(ShownCurve::Supported(Curve::Ed25519)) => {
            return Err(
                "its public key cannot be read from the token, and an Ed25519 signature does not show it: store the public key in the token too"
                    .to_owned(),
            );
        }
        Ok(ShownCurve::Supported(curve)) => vec![curve],
        Ok(ShownCurve::Unknown) | Err(_) => ECDSA_CURVES.to_vec(),
        Ok(ShownCurve::Other(curve)) => {
            return Err(format!("its curve is {curve}: the signer signs with Ed25519, secp256k1 and P-256 keys"));
        }
    };
    let (first, second) = (Message::new(TRIAL), Message::new(SECOND_TRIAL));
    let mut private =
        PrivateKey::new(session, object.handle, curves[0], object.clock).map_err(|error| error.to_string())?;
    let mut sign = |message: &Message| {
        let signed = private.sign(session, message.digest(), object.clock);
        signed.map_err(|error| {
            format!("its public key cannot be read from the token, nor learned by a trial signature: {error}")
        })
    };
    let signatures = (sign(&first)?, sign(&second)?);
    let recovered = curves
        .into_iter()
        .find_map(|curve| SigningPublicKey::recover(curve, (&first, &signatures.0), (&second, &signatures.1)));
    recovered.map(Some).ok_or_else(|| {
        "its public key cannot be read from the token, and no secp256k1 or P-256 key verifies its trial signatures"
            .to_owned()
    })
}

/// Makes a key pair in the token: for signing only, never to leave it. Refuses a label that is taken. Returns what the token made, which may
/// differ from what was asked for.
pub fn generate(config: &HsmConfig, label: &str, curve: Curve) -> Result<KeyEntry, HsmError> {
    let clock = CallClock::default();
    let session = Token::new(config.clone()).open(&clock)?;
    let name = Attribute::Label(label.as_bytes().to_vec());
    for class in [ObjectClass::PRIVATE_KEY, ObjectClass::PUBLIC_KEY] {
        if !session.find_objects(&[Attribute::Class(class), name.clone()])?.is_empty() {
            return Err(HsmError::LabelTaken(label.to_owned()));
        }
    }
    let id = Attribute::Id(uuid::Uuid::new_v4().as_bytes().to_vec());
    // CloudHSM takes CKA_PRIVATE and CKA_SENSITIVE only at their defaults, so they are not in the public template.
    let public = [
        Attribute::Token(true),
        Attribute::Verify(true),
        Attribute::EcParams(ec_forms::oid(curve).to_vec()),
        name.clone(),
        id.clone(),
    ];
    let mechanisms = if curve == Curve::Ed25519 { session.mechanisms(&clock)? } else { Vec::new() };
    let mechanism = if mechanisms.contains(&MechanismType::ECC_EDWARDS_KEY_PAIR_GEN) {
        Mechanism::EccEdwardsKeyPairGen
    } else {
        Mechanism::EccKeyPairGen
    };
    let private = [
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Sign(true),
        name,
        id,
    ];
    let (public, private) = session.generate_key_pair(&mechanism, &public, &private)?;
    read_back(&session, public, private, curve, &clock)
        .map_err(|problem| HsmError::Generated { label: label.to_owned(), problem })
}

/// What the token made of the key pair that it was asked for; or why that cannot be used.
fn read_back(
    session: &OpenSession,
    public: ObjectHandle,
    private: ObjectHandle,
    curve: Curve,
    clock: &CallClock,
) -> Result<KeyEntry, String> {
    let object = |handle| KeyObject { session, handle, clock };
    let names = Names::of(object(private)).map_err(|error| format!("its attributes cannot be read: {error}"))?;
    let beside = || object(public).public_key().ok().flatten();
    match usable_key(session, object(private), &names, beside)? {
        Some(key) if key.curve() == curve => Ok(names.entry(key)),
        Some(key) => Err(format!("it is on the curve {}, not {curve}", key.curve())),
        None => Err("its CKA_KEY_TYPE is neither CKK_EC nor CKK_EC_EDWARDS".to_owned()),
    }
}

/// Orders `k2` before `k10`: numbers by their value, in front of anything else.
fn natural(label: &str) -> (Vec<Part<'_>>, &str) {
    let parts = label.as_bytes().chunk_by(|a, b| a.is_ascii_digit() == b.is_ascii_digit()).map(|part| {
        if !part[0].is_ascii_digit() {
            return Part::Text(part);
        }
        let digits = &part[part.iter().take_while(|digit| **digit == b'0').count()..];
        Part::Number(digits.len(), digits)
    });
    (parts.collect(), label)
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Part<'a> {
    /// How many digits, and which, without leading zeros.
    Number(usize, &'a [u8]),
    Text(&'a [u8]),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_in_natural_order() {
        let ordered =
            ["", "1", "2", "10", "a", "k", "k1", "k01", "k2", "k2-b1", "k2-b10", "k10", "k99999999999999999999", "k-1"];
        let mut labels = ordered;
        labels.reverse();
        labels.sort_by(|a, b| natural(a).cmp(&natural(b)));
        assert_eq!(
            labels,
            ["", "1", "2", "10", "a", "k", "k01", "k1", "k2", "k2-b1", "k2-b10", "k10", ordered[12], "k-1"]
        );
    }

    #[test]
    fn a_public_object_belongs_to_a_private_key_only_where_that_is_certain() {
        let names = |label: &str, id: &[u8]| Names { label: label.to_owned(), id: id.to_vec() };
        let [one, two] = [1, 2].map(|secret| {
            let secret = secp256k1::SecretKey::from_secret_bytes([secret; 32]).unwrap();
            SigningPublicKey::from_bytes(Curve::Secp256k1, &secret.public_key().serialize()).unwrap()
        });
        let beside = |own: usize, private: &[Names], public: &[(Names, &SigningPublicKey)]| {
            let public: Vec<_> = public.iter().map(|(names, key)| (names.clone(), (*key).clone())).collect();
            public_key_beside(&private[own], &private.iter().collect::<Vec<_>>(), &public)
        };
        let (a, b) = (names("a", &[1]), names("b", &[2]));
        let only_a = [a.clone()];
        assert_eq!(beside(0, &[a.clone(), b.clone()], &[(b.clone(), &two), (a.clone(), &one)]), Some(one.clone()));
        // By the id, whatever the label; by the label, where one of the two has no id.
        assert_eq!(beside(0, &only_a, &[(names("other", &[1]), &one)]), Some(one.clone()));
        assert_eq!(beside(0, &only_a, &[(names("a", &[]), &one)]), Some(one.clone()));
        assert_eq!(beside(0, &[names("a", &[])], &[(names("a", &[9]), &one)]), Some(one.clone()));
        assert_eq!(beside(0, &only_a, &[(names("a", &[9]), &one)]), None);
        assert_eq!(beside(0, &[names("", &[])], &[(names("", &[]), &one)]), None);
        // All have one id.
        let (a1, b1) = (names("a", &[0]), names("b", &[0]));
        let public = [(a1.clone(), &one), (b1.clone(), &two)];
        assert_eq!(beside(1, &[a1.clone(), b1.clone()], &public), Some(two.clone()));
        assert_eq!(beside(1, &[a1.clone(), b1.clone()], &public[..1]), None);
        assert_eq!(beside(0, &[names("c", &[0])], &public), None);
        // Two copies of one key.
        assert_eq!(beside(0, &only_a, &[(a.clone(), &one), (a.clone(), &one)]), Some(one));
    }
}
