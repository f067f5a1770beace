//! The entrypoint of a contract call.

use super::super::DecodeError;
use super::super::reader::Reader;
use super::kind::OperationKind;
use std::fmt;

/// The longest name, in bytes.
const MAX_LENGTH: usize = 31;

/// Those that have a tag of their own, in the order of their tags.
const BUILTIN: [&str; 10] = [
    "default",
    "root",
    "do",
    "set_delegate",
    "remove_delegate",
    "deposit",
    "stake",
    "unstake",
    "finalize_unstake",
    "set_delegate_parameters",
];
const NAMED: u8 = 255;

const FIELD: &str = "the entrypoint";

/// Which entrypoint of a contract is called: 1 to 31 of the characters that Michelson allows in an annotation.
#[derive(Debug, Clone, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(transparent)]
pub struct Entrypoint(String);

impl Entrypoint {
    /// The name, such as `default` or `stake`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The one that is called when none is named.
    pub(super) fn default() -> Self {
        Self(BUILTIN[0].to_owned())
    }

    pub(super) fn is_default(&self) -> bool {
        self.0 == BUILTIN[0]
    }

    /// What a transaction of an implicit account to itself is, by its entrypoint.
    pub(super) fn pseudo_operation(&self) -> Option<OperationKind> {
        match self.0.as_str() {
            "stake" => Some(OperationKind::Stake),
            "unstake" => Some(OperationKind::Unstake),
            "finalize_unstake" => Some(OperationKind::FinalizeUnstake),
            "set_delegate_parameters" => Some(OperationKind::SetDelegateParameters),
            _ => None,
        }
    }

    /// As it stands in a transaction: a tag, or 255 and a name.
    ///
    /// Octez reads a name that has a tag of its own as if the tag stood there. But it checks a signature over the bytes that
    /// it would itself write, with the tag, so that a signature over the name is never valid. Refused: nobody asks for it who
    /// means well.
    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let tag = reader.u8(FIELD)?;
        if let Some(name) = BUILTIN.get(usize::from(tag)) {
            return Ok(Self((*name).to_owned()));
        }
        if tag != NAMED {
            return Err(DecodeError::Field { field: FIELD, got: tag.into(), expected: "a tag from 0 to 9, or 255" });
        }
        let length = reader.u8("the length of the entrypoint")?;
        let name = Self::name(reader, length.into())?;
        if BUILTIN.contains(&name.as_str()) {
            return Err(DecodeError::Form { field: FIELD, rule: "has a tag of its own, but is encoded as a name" });
        }
        Ok(name)
    }

    /// As it stands in a ticket transfer: always a name, behind its length.
    pub(super) fn decode_name(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let length = reader.u32("the length of the entrypoint")?;
        Self::name(reader, usize::try_from(length).unwrap_or(usize::MAX))
    }

    fn name(reader: &mut Reader<'_>, length: usize) -> Result<Self, DecodeError> {
        if !(1..=MAX_LENGTH).contains(&length) {
            let got = i64::try_from(length).unwrap_or(i64::MAX);
            return Err(DecodeError::Field { field: "the length of the entrypoint", got, expected: "1 to 31" });
        }
        let name = reader.bytes(FIELD, length)?;
        let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"_.%@".contains(byte);
        match std::str::from_utf8(name) {
            Ok(text) if name.iter().all(allowed) => Ok(Self(text.to_owned())),
            _ => Err(DecodeError::Form { field: FIELD, rule: "has a character other than letters, digits, _ . % @" }),
        }
    }
}

impl fmt::Display for Entrypoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
