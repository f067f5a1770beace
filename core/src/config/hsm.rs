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
    /// The number of the mechanism by which the token makes Ed25519 signatures, where it is not found in the token's list: `CKM_EDDSA`
    /// (0x1057), or a vendor's own. A number, or its text in hex with `0x`. Default: looked for in the token's list.
    pub eddsa_mechanism: Option<MechanismNumber>,
}

/// The number of a PKCS#11 mechanism, `CK_MECHANISM_TYPE`: 32 bits wherever it is a number of the standard or of a vendor. Text: hex, with
/// `0x` in front.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MechanismNumber(u32);

impl MechanismNumber {
    /// The number.
    pub fn get(self) -> u32 {
        self.0
    }
}

impl From<u32> for MechanismNumber {
    fn from(number: u32) -> Self {
        Self(number)
    }
}

impl std::fmt::Display for MechanismNumber {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:#010x}", self.0)
    }
}

/// A value is not the number of a PKCS#11 mechanism. A retry does not help.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not the number of a PKCS#11 mechanism: expected one from 0 to 0xffffffff, such as 0x1057")]
pub struct MechanismNumberError(String);

impl std::str::FromStr for MechanismNumber {
    type Err = MechanismNumberError;
    /// Hex with `0x` in front, or decimal.
    fn from_str(text: &str) -> Result<Self, MechanismNumberError> {
        let hex = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
        let digits = hex.unwrap_or(text);
        let is_bare = digits.chars().all(|digit| digit.is_ascii_hexdigit());
        let number = u32::from_str_radix(digits, if hex.is_some() { 16 } else { 10 });
        number.ok().filter(|_| is_bare).map(Self).ok_or_else(|| MechanismNumberError(quoted(text)))
    }
}

impl Serialize for MechanismNumber {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for MechanismNumber {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NumberOrText;
        impl serde::de::Visitor<'_> for NumberOrText {
            type Value = MechanismNumber;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("the number of a PKCS#11 mechanism, such as 0x1057")
            }
            fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<MechanismNumber, E> {
                number.try_into().map(MechanismNumber).map_err(|_| E::custom(MechanismNumberError(number.to_string())))
            }
            fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<MechanismNumber, E> {
                number.try_into().map(MechanismNumber).map_err(|_| E::custom(MechanismNumberError(number.to_string())))
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<MechanismNumber, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_any(NumberOrText)
    }
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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    eddsa_mechanism: Option<MechanismNumber>,
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
            eddsa_mechanism: fields.eddsa_mechanism,
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
            eddsa_mechanism: config.eddsa_mechanism,
        }
    }
}
