//! `hsm` in the configuration file: how to reach the token, and when to give up.

use crate::json::quoted;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;

/// How many sessions are open by default.
pub const DEFAULT_SESSIONS: u8 = 4;

/// [`HsmConfig::exit_after`] by default, in seconds.
pub const DEFAULT_EXIT_AFTER_SECONDS: u32 = 60;

/// [`HsmConfig::exit_after_hang`] by default, in seconds.
pub const DEFAULT_EXIT_AFTER_HANG_SECONDS: u32 = 10;

/// How to reach the token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "HsmFields", into = "HsmFields")]
pub struct HsmConfig {
    /// The PKCS#11 library, an absolute path.
    pub module: PathBuf,
    /// Which of the library's tokens.
    pub token: TokenSelector,
    /// The file that holds the PIN (for CloudHSM: `<crypto user>:<password>`). Read at each login; line ends at its end are
    /// not part of the PIN. It may be empty where a person enters the PIN at the token. `$CREDENTIALS_DIRECTORY/NAME` is the
    /// credential of that name which systemd gave to the unit.
    pub pin_file: PathBuf,
    /// How many sessions are open, each with a thread of its own: 1 to 16. Default: 4.
    pub sessions: u8,
    /// When the process ends itself, because the token has given nothing but errors for so long and nothing less has helped:
    /// a new process may. 10 seconds to an hour, written in seconds. Default: 60.
    pub exit_after: Duration,
    /// The same where a call of the library does not return, and no other session signs: then nothing but a new process can
    /// help. 3 seconds to an hour, written in seconds. Default: 10.
    pub exit_after_hang: Duration,
}

/// How a token is found among those that the library shows.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum TokenSelector {
    /// The token's label, `CK_TOKEN_INFO.label`.
    Label(String),
    /// By its serial number, where labels are not unique.
    Serial(String),
}

impl std::fmt::Display for TokenSelector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Label(label) => write!(f, "label {}", quoted(label)),
            Self::Serial(serial) => write!(f, "serial number {}", quoted(serial)),
        }
    }
}

/// [`HsmConfig`] as it is written.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct HsmFields {
    module: PathBuf,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    serial: Option<String>,
    pin_file: PathBuf,
    #[serde(default = "default_sessions")]
    sessions: u8,
    // What is as by default is not written: a signer of an earlier release would not know the field.
    #[serde(default = "default_exit_after", skip_serializing_if = "is_default_exit_after")]
    exit_after_seconds: u32,
    #[serde(default = "default_exit_after_hang", skip_serializing_if = "is_default_exit_after_hang")]
    exit_after_hang_seconds: u32,
}

fn default_sessions() -> u8 {
    DEFAULT_SESSIONS
}

fn default_exit_after() -> u32 {
    DEFAULT_EXIT_AFTER_SECONDS
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_default_exit_after(seconds: &u32) -> bool {
    *seconds == DEFAULT_EXIT_AFTER_SECONDS
}

fn default_exit_after_hang() -> u32 {
    DEFAULT_EXIT_AFTER_HANG_SECONDS
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_default_exit_after_hang(seconds: &u32) -> bool {
    *seconds == DEFAULT_EXIT_AFTER_HANG_SECONDS
}

fn duration(field: &str, least: u32, seconds: u32) -> Result<Duration, String> {
    if (least..=3600).contains(&seconds) {
        return Ok(Duration::from_secs(seconds.into()));
    }
    Err(format!("hsm.{field}: {seconds} is not from {least} to 3600"))
}

impl TryFrom<HsmFields> for HsmConfig {
    type Error = String;
    fn try_from(fields: HsmFields) -> Result<Self, String> {
        let token = match (fields.token, fields.serial) {
            (Some(label), None) if !label.is_empty() => TokenSelector::Label(label),
            (None, Some(serial)) if !serial.is_empty() => TokenSelector::Serial(serial),
            _ => return Err("hsm needs either token, the label of the token, or serial, its serial number".to_owned()),
        };
        if !(1..=16).contains(&fields.sessions) {
            return Err(format!("hsm.sessions: {} is not from 1 to 16", fields.sessions));
        }
        Ok(Self {
            module: fields.module,
            token,
            pin_file: fields.pin_file,
            sessions: fields.sessions,
            exit_after: duration("exitAfterSeconds", 10, fields.exit_after_seconds)?,
            exit_after_hang: duration("exitAfterHangSeconds", 3, fields.exit_after_hang_seconds)?,
        })
    }
}

impl From<HsmConfig> for HsmFields {
    fn from(config: HsmConfig) -> Self {
        let (token, serial) = match config.token {
            TokenSelector::Label(label) => (Some(label), None),
            TokenSelector::Serial(serial) => (None, Some(serial)),
        };
        Self {
            module: config.module,
            token,
            serial,
            pin_file: config.pin_file,
            sessions: config.sessions,
            exit_after_seconds: u32::try_from(config.exit_after.as_secs()).unwrap_or(u32::MAX),
            exit_after_hang_seconds: u32::try_from(config.exit_after_hang.as_secs()).unwrap_or(u32::MAX),
        }
    }
}
