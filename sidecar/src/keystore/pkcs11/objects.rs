//! The configured keys in a token: finding them, and trying whether they sign.

use crate::keystore::pkcs11::key_attributes::KeyObject;
use crate::keystore::pkcs11::keys::{TokenKey, in_token};
use crate::keystore::pkcs11::signing::PrivateKey;
use crate::keystore::pkcs11::token::{OpenSession, Token};
use crate::keystore::pkcs11::worker_slot::{CallClock, LibraryCall};
use crate::keystore::pkcs11::{HsmError, TRIAL};
use cryptoki::object::{Attribute, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tezos_signer_core::config::{HsmConfig, KeyConfig, KeySelector};
use tezos_signer_core::key::{Message, PublicKeyHash};

/// The private key that `key` selects. It makes only one search, because searches are slow. The first signature shows whether
/// it is the configured key; if not, [`check_public_key`] finds the reason.
pub(super) fn find(session: &OpenSession, key: &TokenKey, clock: &CallClock) -> Result<PrivateKey, HsmError> {
    match search(session, key, ObjectClass::PRIVATE_KEY, clock)?[..] {
        [handle] => PrivateKey::new(session, handle, key.public_key.curve(), clock),
        [] => Err(HsmError::NoKey { key: key.hash(), selector: key.selector.to_string() }),
        _ => Err(HsmError::AmbiguousKey(key.selector.to_string())),
    }
}

/// [`HsmError::WrongKey`] where the token shows that `private`, or the public key beside it, is another key than `key`.
pub(super) fn check_public_key(
    session: &Session,
    key: &TokenKey,
    private: ObjectHandle,
    clock: &CallClock,
) -> Result<(), HsmError> {
    // CloudHSM shows the point on the private object, other tokens on the public one.
    for object in search(session, key, ObjectClass::PUBLIC_KEY, clock)?.into_iter().chain([private]) {
        if let Some(found) = (KeyObject { session, handle: object, clock }).public_key()? {
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
    key: &TokenKey,
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
    /// Those that are in the token, in the order of the configuration; an error where the token could not be used.
    pub keys: Result<Vec<Examined>, HsmError>,
    /// A thread is still in the library: the process can end by [`crate::exit::end`] only.
    pub hangs: bool,
}

/// How often [`examine`] checks whether a call of the library lasts too long.
const CHECK_PERIOD: Duration = Duration::from_millis(100);

/// Logs in to the token, and tries each of `keys` that is in it; where none is, nothing is done. Where one call of the library does not return for `exitAfterHangSeconds`, what
/// was not tried before is [`HsmError::Hangs`].
pub fn examine(config: &HsmConfig, keys: &[KeyConfig]) -> std::io::Result<Examination> {
    let (sender, results) = crossbeam_channel::unbounded();
    let keys = in_token(keys);
    if keys.is_empty() {
        return Ok(Examination { keys: Ok(Vec::new()), hangs: false });
    }
    let (token, to_try) = (Token::new(config.clone()), keys.clone());
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

fn time_to_sign(session: &OpenSession, key: &TokenKey, clock: &CallClock) -> Result<Duration, HsmError> {
    let mut private = clock.during(LibraryCall::Finding, || find(session, key, clock))?;
    let message = Message::new(TRIAL);
    let mut times = Vec::new();
    for _ in 0..TRIALS {
        let begin = Instant::now();
        let raw = clock.during(LibraryCall::Signing, || private.sign(session, message.digest(), clock))?;
        let accepted = key.public_key.accept_signature(&message, &raw);
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
