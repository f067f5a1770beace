//! Opens sealed keys with the token, in a process of its own for each login ([`unseal_process`](super::unseal_process)). What waits while
//! one runs is done by the next one, so many keys cost one login.
//!
//! The PIN is sent by the child; whether it may be is decided here, together with the sessions of this process: a PIN that was refused
//! is not sent again before its file changes.

use crate::keystore::pkcs11::HsmError;
use crate::keystore::pkcs11::login::Logins;
use crate::keystore::pkcs11::pin::Credential;
use crate::keystore::pkcs11::unseal_process::{Answer, COMMAND, Login, Outcome, Request, Wanted};
use crate::keystore::pkcs11::unsent_pin::START_PAUSE;
use crate::keystore::sealed::secret::SECRET_BYTES;
use crate::keystore::sealed::unsealer::{UnsealError, Unsealer};
use async_trait::async_trait;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tezos_signer_core::cause::Cause;
use tezos_signer_core::config::HsmConfig;
use tezos_signer_core::key::SigningPublicKey;
use tezos_signer_core::sealed::SealedKey;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};
use tokio::sync::oneshot;
use tokio::time::Instant;
use zeroize::Zeroizing;

/// What others ask meanwhile is asked together.
const GATHER: Duration = Duration::from_millis(5);

/// How long the child may take to end after its answer.
const END: Duration = Duration::from_secs(1);

/// Room for what is said of one key, in bytes. A sentence has less.
const ROOM: usize = 8 * 1024;

/// The pauses where a PIN was sent and the answer may mean the PIN or the device: the first, which doubles, and the longest.
const AFTER_UNCLEAR: (Duration, Duration) = (Duration::from_mins(1), Duration::from_hours(1));

/// A PIN that was never accepted is sent so often, where it may be wrong.
const UNPROVED_TRIES: u32 = 2;

/// What the child inherits from a service manager and is not for it.
const NOT_FOR_CHILDREN: [&str; 7] =
    ["NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "WATCHDOG_PID", "WATCHDOG_USEC", "FDSTORE"];

pub(crate) struct TokenUnsealer {
    config: HsmConfig,
    logins: Arc<Logins>,
    /// How long the first login waits where the token says that the last one was wrong.
    start_pause: Duration,
    began: Instant,
    waiting: Mutex<Vec<Waiting>>,
    /// One child at a time.
    turn: tokio::sync::Mutex<Memory>,
}

/// What was learned from children before.
#[derive(Default)]
struct Memory {
    /// The PIN that was accepted last.
    accepted: Option<Credential>,
    /// The PIN that was refused last, and what was said of it.
    refused: Option<(Credential, Cause)>,
    unclear: Option<Unclear>,
}

/// A PIN whose answer may mean the PIN or the device.
struct Unclear {
    credential: Credential,
    times: u32,
    last: Instant,
}

struct Waiting {
    wanted: Wanted,
    reveal: bool,
    deadline: Instant,
    reply: oneshot::Sender<Result<Zeroizing<Vec<u8>>, UnsealError>>,
}

impl TokenUnsealer {
    /// Of a process whose own sessions, where it has any, log in by `logins` too.
    pub(crate) fn of_service(config: HsmConfig, logins: Arc<Logins>) -> Self {
        Self::with_start_pause(config, logins, START_PAUSE)
    }

    /// Of a process that a person has called.
    pub(crate) fn for_command(config: HsmConfig) -> Self {
        let logins = Arc::new(Logins::for_command(config.clone()));
        Self::with_start_pause(config, logins, Duration::ZERO)
    }

    fn with_start_pause(config: HsmConfig, logins: Arc<Logins>, start_pause: Duration) -> Self {
        let (waiting, turn) = (Mutex::default(), tokio::sync::Mutex::default());
        Self { config, logins, start_pause, began: Instant::now(), waiting, turn }
    }

    async fn ask(&self, wanted: Wanted, reveal: bool, deadline: Instant) -> Result<Zeroizing<Vec<u8>>, UnsealError> {
        let late = || UnsealError::Unreachable("the token did not answer in time".into());
        let (reply, mut answer) = oneshot::channel();
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push(Waiting { wanted, reveal, deadline, reply });
        tokio::select! {
            biased;
            answered = &mut answer => return answered.unwrap_or_else(|_| Err(late())),
            turn = self.turn.lock() => self.work(turn).await,
            () = tokio::time::sleep_until(deadline) => return Err(late()),
        }
        match tokio::time::timeout_at(deadline, answer).await {
            Ok(Ok(answered)) => answered,
            _ => Err(late()),
        }
    }

    /// Asks for all that waits.
    async fn work(&self, mut memory: tokio::sync::MutexGuard<'_, Memory>) {
        tokio::time::sleep(GATHER).await;
        let waiting = std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        let (reveal, check): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|waiting| waiting.reveal);
        for batch in [reveal, check] {
            let Some(deadline) = batch.iter().map(|waiting| waiting.deadline).max() else { continue };
            let keys: Vec<_> = batch.iter().map(|waiting| waiting.wanted.clone()).collect();
            let reveal = batch[0].reveal;
            let opened = self.open(&mut memory, keys, reveal, deadline).await;
            for (i, waiting) in batch.into_iter().enumerate() {
                // Nobody may wait any more.
                let _ = waiting.reply.send(match &opened {
                    Ok(opened) => opened[i].clone(),
                    Err(error) => Err(error.clone()),
                });
            }
        }
    }

    /// One child, unless the PIN must not be sent.
    async fn open(
        &self,
        memory: &mut Memory,
        keys: Vec<Wanted>,
        reveal: bool,
        deadline: Instant,
    ) -> Result<Vec<Result<Zeroizing<Vec<u8>>, UnsealError>>, UnsealError> {
        let credential = self.logins.may_log_in_elsewhere().map_err(|error| match error {
            HsmError::PinRefused { .. } | HsmError::PinRefusedElsewhere(_) => UnsealError::Refused(Cause::of(error)),
            error => UnsealError::Unreachable(Cause::of(error)),
        })?;
        if let Some((_, cause)) = memory.refused.as_ref().filter(|(refused, _)| *refused == credential) {
            return Err(UnsealError::Refused(cause.clone()));
        }
        let log_in = memory.may_send(credential);
        let start_pause = self.start_pause.saturating_sub(self.began.elapsed());
        let start_pause_milliseconds = start_pause.as_millis().try_into().unwrap_or(u64::MAX);
        let signer = std::process::id();
        let request = Request { signer, hsm: self.config.clone(), keys, reveal, log_in, start_pause_milliseconds };
        let ran = tokio::time::timeout_at(deadline, run(&request)).await;
        let (answer, secrets) = ran
            .unwrap_or_else(|_| Err("the process that unseals did not answer in time, and was ended".into()))
            .map_err(UnsealError::Unreachable)?;
        match answer.login {
            Login::Accepted => memory.accepted(credential),
            Login::Unclear => memory.is_unclear(credential),
            Login::Refused => {
                let reason = answer.keys.iter().find_map(|outcome| match outcome {
                    Outcome::Refused(reason) => Some(reason.as_str()),
                    _ => None,
                });
                let cause = Cause::from(reason.unwrap_or_default());
                memory.refused = Some((credential, cause.clone()));
                self.logins.refused_elsewhere(credential, cause);
            }
            // The device was away, not the PIN wrong.
            Login::NotSent => memory.unclear = memory.unclear.take().filter(|_| log_in_was_held(&answer)),
        }
        let mut secrets = secrets.chunks_exact(SECRET_BYTES);
        answer
            .keys
            .into_iter()
            .map(|outcome| match outcome {
                Outcome::Opened if reveal => match secrets.next() {
                    Some(secret) => Ok(Ok(Zeroizing::new(secret.to_vec()))),
                    None => Err(UnsealError::Unreachable("the process that unseals left out a secret".into())),
                },
                Outcome::Opened => Ok(Ok(Zeroizing::default())),
                Outcome::Refused(reason) => Ok(Err(UnsealError::Refused(reason.into()))),
                Outcome::Unreachable(reason) => Ok(Err(UnsealError::Unreachable(reason.into()))),
            })
            .collect()
    }
}

/// Whether the child has reached the token, and only did not send the PIN.
fn log_in_was_held(answer: &Answer) -> bool {
    let held = HsmError::LoginHeld.to_string();
    answer.keys.iter().any(|outcome| matches!(outcome, Outcome::Unreachable(reason) if *reason == held))
}

impl Memory {
    fn accepted(&mut self, credential: Credential) {
        *self = Self { accepted: Some(credential), ..Self::default() };
    }

    fn is_unclear(&mut self, credential: Credential) {
        let times =
            self.unclear.take().filter(|unclear| unclear.credential == credential).map_or(0, |unclear| unclear.times);
        self.unclear = Some(Unclear { credential, times: times.saturating_add(1), last: Instant::now() });
    }

    fn may_send(&self, credential: Credential) -> bool {
        let Some(unclear) = self.unclear.as_ref().filter(|unclear| unclear.credential == credential) else {
            return true;
        };
        let (shortest, longest) = AFTER_UNCLEAR;
        let pause = longest.min(shortest * (1 << (unclear.times - 1).min(10)));
        let is_proved = self.accepted.is_some_and(|accepted| accepted.has_same_pin(credential));
        (is_proved || unclear.times < UNPROVED_TRIES) && unclear.last.elapsed() >= pause
    }
}

/// What the child has answered, and the secrets after it; or why there is no answer.
type Answered = Result<(Answer, Zeroizing<Vec<u8>>), Cause>;

/// Runs the child to its answer. It is ended where this future is dropped.
async fn run(request: &Request) -> Answered {
    let failed = |what: &str, error: std::io::Error| Cause::of(error).map_text(|error| format!("{what}: {error}"));
    let mut command = Command::new("/proc/self/exe");
    command.arg(COMMAND).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
    for name in NOT_FOR_CHILDREN {
        command.env_remove(name);
    }
    let mut child = command.spawn().map_err(|error| failed("the process that unseals cannot be started", error))?;
    let text = serde_json::to_vec(request).map_err(Cause::of)?;
    let (Some(mut input), Some(mut output)) = (child.stdin.take(), child.stdout.take()) else {
        return Err("the process that unseals has no input or output".into());
    };
    // A child that has ended says more by its status.
    let _ = input.write_all(&text).await;
    drop(input);
    // It never grows: what it grew out of would not be overwritten.
    let most = 4 + request.keys.len() * (ROOM + SECRET_BYTES);
    let mut bytes = Zeroizing::new(Vec::with_capacity(most));
    while bytes.len() < most {
        let read = (&mut output).take((most - bytes.len()) as u64).read_buf(&mut *bytes).await;
        if read.map_err(|error| failed("the answer of the process that unseals cannot be read", error))? == 0 {
            break;
        }
        if let Some(parsed) = parse(&bytes, request) {
            let _ = tokio::time::timeout(END, child.wait()).await;
            return parsed;
        }
    }
    Err(ended_without_answer(child).await)
}

async fn ended_without_answer(mut child: Child) -> Cause {
    match child.wait().await {
        Ok(status) => format!("the process that unseals ended without an answer: {status}").into(),
        Err(error) => Cause::of(error),
    }
}

/// The answer, once it is complete.
fn parse(bytes: &[u8], request: &Request) -> Option<Answered> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (json, secrets) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
    let answer: Answer = match serde_json::from_slice(json) {
        Ok(answer) => answer,
        Err(error) => return Some(Err(Cause::of(error))),
    };
    if answer.keys.len() != request.keys.len() {
        return Some(Err("the process that unseals answered for other keys".into()));
    }
    let opened = answer.keys.iter().filter(|outcome| **outcome == Outcome::Opened).count();
    let wanted = if request.reveal { opened * SECRET_BYTES } else { 0 };
    (secrets.len() >= wanted).then(|| Ok((answer, Zeroizing::new(secrets[..wanted].to_vec()))))
}

#[async_trait]
impl Unsealer for TokenUnsealer {
    async fn unseal(
        &self,
        sealed: &SealedKey,
        key: &SigningPublicKey,
        deadline: Instant,
    ) -> Result<Zeroizing<Vec<u8>>, UnsealError> {
        self.ask(Wanted { public_key: key.clone(), sealed: sealed.clone() }, true, deadline).await
    }

    async fn check(&self, sealed: &SealedKey, key: &SigningPublicKey, deadline: Instant) -> Result<(), UnsealError> {
        self.ask(Wanted { public_key: key.clone(), sealed: sealed.clone() }, false, deadline).await.map(|_| ())
    }
}
