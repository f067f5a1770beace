//! The keys of a token: finding a configured key, listing keys, generating keys.

use crate::keystore::pkcs11::signing::PrivateKey;
use crate::keystore::pkcs11::token::{OpenSession, Token};
use crate::keystore::pkcs11::worker_slot::{CallClock, LibraryCall};
use crate::keystore::pkcs11::{HsmError, TRIAL};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tezos_signer_core::config::{HsmConfig, KeyConfig, KeySelector};
use tezos_signer_core::key::{Digest, PublicKeyHash, SigningCurve, SigningPublicKey};

/// A key of the token that this signer can sign with.
#[derive(Debug, Clone, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyEntry {
    /// The public key in base58check, `sppk…` or `p2pk…`.
    pub public_key: SigningPublicKey,
    /// The hash of the public key in base58check, `tz2…` or `tz3…`.
    pub public_key_hash: PublicKeyHash,
    /// The `CKA_LABEL` of the key objects.
    pub label: String,
    /// The curve of the key.
    pub curve: SigningCurve,
}

impl KeyEntry {
    fn new(public_key: SigningPublicKey, label: String) -> Self {
        Self { public_key_hash: public_key.hash(), curve: public_key.curve(), public_key, label }
    }
}

/// The private key that `key` selects. It makes only one search, because searches are slow. The first signature shows whether
/// it is the configured key; if not, [`check_public_key`] finds the reason.
pub(super) fn find(session: &Session, key: &KeyConfig, clock: &CallClock) -> Result<PrivateKey, HsmError> {
    match search(session, key, ObjectClass::PRIVATE_KEY, clock)?[..] {
        [handle] => Ok(PrivateKey::new(handle)),
        [] => Err(HsmError::NoKey { key: key.hash(), selector: key.selector.to_string() }),
        _ => Err(HsmError::AmbiguousKey(key.selector.to_string())),
    }
}

/// [`HsmError::WrongKey`] where the token shows that `private`, or the public key beside it, is another key than `key`.
pub(super) fn check_public_key(
    session: &Session,
    key: &KeyConfig,
    private: ObjectHandle,
    clock: &CallClock,
) -> Result<(), HsmError> {
    // CloudHSM shows the point on the private object, other tokens on the public one.
    for object in search(session, key, ObjectClass::PUBLIC_KEY, clock)?.into_iter().chain([private]) {
        if let Some(found) = clock.call(|| public_key_of(session, object))? {
            if found == key.public_key {
                break;
            }
            return Err(HsmError::WrongKey {
                selector: key.selector.to_string(),
                expected: key.hash(),
                found: found.hash().to_string(),
            });
        }
    }
    Ok(())
}

/// The objects of a class that `key` names. Whoever searches wants one, so no more than two are returned.
fn search(
    session: &Session,
    key: &KeyConfig,
    class: ObjectClass,
    clock: &CallClock,
) -> Result<Vec<ObjectHandle>, HsmError> {
    let selector = match &key.selector {
        KeySelector::Label(label) => Attribute::Label(label.clone().into_bytes()),
        KeySelector::Id(id) => Attribute::Id(id.clone()),
    };
    let template = [Attribute::Class(class), selector];
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

/// What was found of one configured key.
#[derive(Debug)]
pub struct Examined {
    /// The hash of the configured public key.
    pub key: PublicKeyHash,
    /// How long a signature took: the middle of several trial ones, each verified; or why there was none.
    pub time_to_sign: Result<Duration, HsmError>,
}

/// How many trial signatures [`examine`] makes with each key.
const TRIALS: usize = 5;

/// What was found of all.
#[derive(Debug)]
pub struct Examination {
    /// In the order of the configuration; an error where the token could not be used.
    pub keys: Result<Vec<Examined>, HsmError>,
    /// A thread is still in the library: the process can end by [`crate::exit::end`] only.
    pub hangs: bool,
}

/// How often [`examine`] checks whether a call of the library lasts too long.
const CHECK_PERIOD: Duration = Duration::from_millis(100);

/// Logs in to the token, and tries each of `keys`. Where one call of the library does not return for `exitAfterHangSeconds`, what
/// was not tried before is [`HsmError::Hangs`].
pub fn examine(config: &HsmConfig, keys: &[KeyConfig]) -> std::io::Result<Examination> {
    let (sender, results) = crossbeam_channel::unbounded();
    let (token, to_try) = (Token::new(config.clone()), keys.to_vec());
    let clock = Arc::new(CallClock::default());
    let of_thread = clock.clone();
    let thread = std::thread::Builder::new().name("hsm-check".to_owned()).spawn(move || {
        let clock = of_thread;
        match clock.during(LibraryCall::Opening, || token.open(&clock)) {
            Err(error) => drop(sender.send(Err(error))),
            Ok(session) => {
                for key in to_try {
                    let _ = sender.send(Ok(time_to_sign(&session, &key, &clock)));
                }
                clock.during(LibraryCall::Closing, || drop(session));
            }
        }
    })?;
    let hanging = || clock.now().filter(|(_, since)| since.elapsed() >= config.exit_after_hang).map(|(call, _)| call);
    let next = || loop {
        match results.recv_timeout(CHECK_PERIOD) {
            Ok(result) => return result,
            Err(error) => match hanging() {
                Some(call) => return Ok(Err(HsmError::Hangs(call.name()))),
                None if error.is_disconnected() => return Ok(Err(HsmError::Gone)),
                None => {}
            },
        }
    };
    let keys = keys.iter().map(|key| Ok(Examined { key: key.hash(), time_to_sign: next()? })).collect();
    // After the last answer it still closes the session, which can hang as well.
    while !thread.is_finished() && hanging().is_none() {
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(Examination { keys, hangs: !thread.is_finished() })
}

fn time_to_sign(session: &OpenSession, key: &KeyConfig, clock: &CallClock) -> Result<Duration, HsmError> {
    let mut private = clock.during(LibraryCall::Finding, || find(session, key, clock))?;
    let digest = Digest::of(TRIAL);
    let mut times = Vec::new();
    for _ in 0..TRIALS {
        let begin = Instant::now();
        let raw = clock.during(LibraryCall::Signing, || private.sign(session, &digest, clock))?;
        let accepted = key.public_key.accept_token_signature(&digest, &raw);
        let took = begin.elapsed();
        if let Err(error) = accepted {
            clock.during(LibraryCall::Finding, || check_public_key(session, key, private.handle, clock))?;
            return Err(error.into());
        }
        times.push(took);
    }
    times.sort_unstable();
    Ok(times[TRIALS / 2])
}

/// Every secp256k1 and P-256 key of the token whose public half it shows, on the public or the private object, by label.
pub fn list(config: &HsmConfig) -> Result<Vec<KeyEntry>, HsmError> {
    let session = Token::new(config.clone()).open(&CallClock::default())?;
    let mut keys: Vec<KeyEntry> = Vec::new();
    for class in [ObjectClass::PUBLIC_KEY, ObjectClass::PRIVATE_KEY] {
        for object in session.find_objects(&[Attribute::Class(class)])? {
            let Some(public_key) = public_key_of(&session, object)? else { continue };
            let attributes = session.get_attributes(object, &[AttributeType::Label])?;
            let label = attributes.into_iter().find_map(|attribute| match attribute {
                Attribute::Label(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
                _ => None,
            });
            let key = KeyEntry::new(public_key, label.unwrap_or_default());
            // If both objects have the public key, it is one key; with two labels, it is listed twice.
            if !keys.iter().any(|other| (&other.label, other.public_key_hash) == (&key.label, key.public_key_hash)) {
                keys.push(key);
            }
        }
    }
    keys.sort_by(|a, b| a.label.cmp(&b.label));
    Ok(keys)
}

/// Makes a key pair in the token: for signing only, never to leave it. Refuses a label that is taken.
pub fn generate(config: &HsmConfig, label: &str, curve: SigningCurve) -> Result<KeyEntry, HsmError> {
    let session = Token::new(config.clone()).open(&CallClock::default())?;
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
        Attribute::EcParams(oid(curve).to_vec()),
        name.clone(),
        id.clone(),
    ];
    let private = [
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Sign(true),
        name,
        id,
    ];
    let (public, _) = session.generate_key_pair(&Mechanism::EccKeyPairGen, &public, &private)?;
    let public_key = public_key_of(&session, public)?
        .ok_or_else(|| HsmError::Nonsense("the new public key has no CKA_EC_POINT".into()))?;
    Ok(KeyEntry::new(public_key, label.to_owned()))
}

/// The DER encoding of the curve's object identifier, as in `CKA_EC_PARAMS`.
fn oid(curve: SigningCurve) -> &'static [u8] {
    match curve {
        SigningCurve::Secp256k1 => &[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x0a],
        SigningCurve::P256 => &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07],
    }
}

/// The public key of an object; `None` if it has none, or one of another curve.
fn public_key_of(session: &Session, object: ObjectHandle) -> Result<Option<SigningPublicKey>, HsmError> {
    let wanted = [AttributeType::KeyType, AttributeType::EcParams, AttributeType::EcPoint];
    let attributes = session.get_attributes(object, &wanted)?;
    let (mut is_ec, mut curve, mut point) = (false, None, Vec::new());
    for attribute in attributes {
        match attribute {
            Attribute::KeyType(key_type) => is_ec = key_type == KeyType::EC,
            Attribute::EcParams(params) => {
                curve = [SigningCurve::Secp256k1, SigningCurve::P256].into_iter().find(|curve| oid(*curve) == params);
            }
            Attribute::EcPoint(bytes) => point = bytes,
            _ => {}
        }
    }
    let sec1 = unwrap_point(&point);
    Ok(curve.filter(|_| is_ec).and_then(|curve| SigningPublicKey::from_sec1(curve, sec1).ok()))
}

/// The point without the DER OCTET STRING that most tokens put around it (`04 41 04 …`), and some do not (`04 …`).
fn unwrap_point(bytes: &[u8]) -> &[u8] {
    match bytes {
        [0x04, length, point @ ..] if usize::from(*length) == point.len() => point,
        bare => bare,
    }
}

#[cfg(test)]
mod tests {
    use super::unwrap_point;

    #[test]
    fn a_point_is_read_wrapped_and_bare() {
        let mut bare = vec![0x04];
        bare.extend([0x41; 64]); // a bare point whose x begins like a length byte
        let wrapped = [&[0x04, 0x41][..], &bare].concat();
        assert_eq!(unwrap_point(&wrapped), bare);
        assert_eq!(unwrap_point(&bare), bare);
        assert_eq!(unwrap_point(&[]), &[] as &[u8]);
    }
}
