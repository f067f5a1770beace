//! The process that opens sealed texts: a child of the signer, for one login. A PIN that was changed or a user who was locked is seen only
//! by a new login, and all sessions of a process share one. What the library does (hang, crash, leave copies of a secret in its memory)
//! ends with the process.
//!
//! It reads one [`Request`] from its standard input, and writes one answer to its standard output: the length of the [`Answer`] in four
//! bytes, big-endian, the answer as JSON, and, if the secrets were asked for, the 32 bytes of each that was opened, in the order of the keys.

use crate::keystore::pkcs11::HsmError;
use crate::keystore::pkcs11::sealing;
use crate::keystore::pkcs11::token::{OpenSession, Token};
use crate::keystore::pkcs11::unsent_pin::PinGuard;
use crate::keystore::pkcs11::worker_slot::CallClock;
use crate::keystore::sealed::secret::{SECRET_BYTES, Secret};
use crate::{own_stdout, process_memory};
use rustix::process::{Signal, set_parent_process_death_signal};
use serde::{Deserialize, Serialize};
use std::io::{self, Read as _};
use std::time::Duration;
use tezos_signer_core::config::HsmConfig;
use tezos_signer_core::key::SigningPublicKey;
use tezos_signer_core::sealed::SealedKey;
use zeroize::Zeroizing;

/// The command of the process. Users have no use for it, and `--help` does not show it.
pub const COMMAND: &str = "unseal";

/// What is to be opened.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Request {
    /// The process ID of the signer.
    pub(super) signer: u32,
    pub(super) hsm: HsmConfig,
    pub(super) keys: Vec<Wanted>,
    /// Whether the secrets are wanted, or only whether they can be opened.
    pub(super) reveal: bool,
    /// Whether the PIN may be sent.
    pub(super) log_in: bool,
    /// How long the login waits where the token says that the last one was wrong.
    pub(super) start_pause_milliseconds: u64,
}

/// One text, and the key that it is of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Wanted {
    pub(super) public_key: SigningPublicKey,
    pub(super) sealed: SealedKey,
}

/// What came of it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Answer {
    pub(super) login: Login,
    /// In the order of the request.
    pub(super) keys: Vec<Outcome>,
}

/// What the token said of the PIN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Login {
    /// It was not sent: the token was not reached, or the PIN file cannot be used, or a guard forbids it.
    NotSent,
    /// Sent, and accepted.
    Accepted,
    /// Sent, and refused: it is not sent again before the file changes.
    Refused,
    /// Sent, and the answer may mean the PIN or the device.
    Unclear,
}

/// What came of one text.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "result", content = "reason")]
pub(super) enum Outcome {
    Opened,
    Refused(String),
    Unreachable(String),
}

/// The whole process.
///
/// # Errors
///
/// The request cannot be read, or the answer not be written: the signer has ended.
pub fn run() -> io::Result<()> {
    process_memory::keep_private();
    set_parent_process_death_signal(Some(Signal::KILL))?;
    own_stdout::keep_from_libraries()?;
    let mut request = Vec::new();
    io::stdin().read_to_end(&mut request)?;
    let request: Request = serde_json::from_slice(&request)?;
    // A signer that had ended before it was asked for its death's signal sends none.
    if std::os::unix::process::parent_id() != request.signer {
        return Err(io::Error::other("the signer has ended"));
    }
    let clock = CallClock::default();
    let pause = Duration::from_millis(request.start_pause_milliseconds);
    let token =
        if request.log_in { Token::with_start_pause(request.hsm, pause) } else { Token::without_login(request.hsm) };
    let session = token.open(&clock);
    let login = login_of(&session);
    let opened: Vec<_> = match &session {
        Ok(session) => request.keys.iter().map(|wanted| open(session, wanted, &clock)).collect(),
        Err(error) => request.keys.iter().map(|_| Err(outcome_of(error))).collect(),
    };
    let mut secrets = Zeroizing::new(Vec::with_capacity(SECRET_BYTES * opened.len()));
    let keys = opened.into_iter().map(|opened| match opened {
        Ok(secret) => {
            if request.reveal {
                secrets.extend_from_slice(&secret.to_little_endian()[..]);
            }
            Outcome::Opened
        }
        Err(outcome) => outcome,
    });
    let answer = serde_json::to_vec(&Answer { login, keys: keys.collect() })?;
    let length = u32::try_from(answer.len()).map_err(io::Error::other)?;
    own_stdout::write_bytes(&length.to_be_bytes())?;
    own_stdout::write_bytes(&answer)?;
    own_stdout::write_bytes(&secrets)?;
    drop(secrets);
    drop(session);
    Ok(())
}

fn open(session: &OpenSession, wanted: &Wanted, clock: &CallClock) -> Result<Secret, Outcome> {
    let plaintext =
        sealing::open(session, &wanted.sealed, &wanted.public_key, clock).map_err(|error| outcome_of(&error))?;
    let secret = Secret::from_little_endian(&plaintext).and_then(|secret| secret.of(&wanted.public_key));
    secret.map_err(|error| Outcome::Refused(error.to_string()))
}

/// What was refused by a token that was reached; everything else may pass.
fn outcome_of(error: &HsmError) -> Outcome {
    match error {
        HsmError::PinRefused { .. }
        | HsmError::PinGuarded(PinGuard::Locked)
        | HsmError::NoSealingKey { .. }
        | HsmError::NotAuthentic { .. } => Outcome::Refused(error.to_string()),
        _ => Outcome::Unreachable(error.to_string()),
    }
}

fn login_of(session: &Result<OpenSession, HsmError>) -> Login {
    match session {
        Ok(_) => Login::Accepted,
        Err(HsmError::PinRefused { .. }) => Login::Refused,
        Err(HsmError::PinUnclear { .. }) => Login::Unclear,
        Err(_) => Login::NotSent,
    }
}
