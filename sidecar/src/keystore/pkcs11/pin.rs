//! The PIN file: the PIN in it, and what is wrong with it. No text has a part of what the file holds.

use crate::file_permissions;
use crate::keystore::pkcs11::HsmError;
use crate::keystore::pkcs11::unsent_pin::PinProblem;
use cryptoki::types::AuthPin;
use std::hash::{BuildHasher, RandomState};
use std::io::Read as _;
use std::sync::Arc;
use tezos_signer_core::config::HsmConfig;

/// Tells contents of the PIN file apart, within this process. A keyed hash: the PIN cannot be found from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Credential {
    /// The file as it is, and when it was written: who writes the same PIN anew wants it to be tried.
    pub(super) file: u64,
    /// The PIN in it, without line ends.
    pub(super) pin: u64,
}

impl Credential {
    /// What a person enters at the token.
    pub(super) const KEYPAD: Self = Self { file: 0, pin: 0 };

    /// Whether both are of the same PIN, whenever the file was written.
    pub(super) fn has_same_pin(self, other: Self) -> bool {
        self.pin == other.pin
    }
}

/// What the file holds.
pub(super) struct Pin {
    pub(super) credential: Credential,
    pub(super) secret: AuthPin,
    /// What looks like a mistake, and is sent nevertheless.
    pub(super) remark: Option<&'static str>,
}

/// Reads the file that `config` names.
pub(super) fn read(config: &HsmConfig, hasher: &RandomState) -> Result<Pin, HsmError> {
    let unreadable =
        |error: std::io::Error| HsmError::PinFile { path: config.pin_file.clone(), source: Arc::new(error) };
    let mut bytes = Vec::new();
    let mut file = file_permissions::open_pin_file(config).map_err(unreadable)?;
    let written = file.metadata().map_err(unreadable)?.modified().ok();
    file.read_to_end(&mut bytes).map_err(unreadable)?;
    let text =
        parse(&bytes).map_err(|problem| HsmError::PinContent { path: config.pin_file.clone(), source: problem })?;
    Ok(Pin {
        credential: Credential { file: hasher.hash_one((&bytes, written)), pin: hasher.hash_one(text) },
        remark: remark(text),
        secret: AuthPin::new(text.into()),
    })
}

/// The PIN: the text without the line ends after it.
fn parse(bytes: &[u8]) -> Result<&str, PinProblem> {
    if [&[0xef, 0xbb, 0xbf][..], &[0xff, 0xfe], &[0xfe, 0xff]].iter().any(|mark| bytes.starts_with(mark)) {
        return Err(PinProblem::ByteOrderMark);
    }
    if bytes.contains(&0) {
        return Err(PinProblem::Nul);
    }
    let text = std::str::from_utf8(bytes).map_err(|_| PinProblem::NotUtf8)?.trim_end_matches(['\r', '\n']);
    match text {
        "" => Err(PinProblem::Empty),
        _ if text.contains(['\r', '\n']) => Err(PinProblem::Lines),
        _ if text.trim().is_empty() => Err(PinProblem::Blank),
        pin => Ok(pin),
    }
}

/// A blank may be a part of a password.
fn remark(pin: &str) -> Option<&'static str> {
    if pin.ends_with(char::is_whitespace) {
        Some("the PIN file ends with a blank, which is sent as a part of the PIN")
    } else if pin.starts_with(char::is_whitespace) {
        Some("the PIN file begins with a blank, which is sent as a part of the PIN")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_ends_are_no_part_of_the_pin_and_what_no_pin_has_is_named() {
        for (bytes, pin) in [
            (&b"user:secret"[..], Ok("user:secret")),
            (b"user:secret\r\n\n", Ok("user:secret")),
            (b" 1234 \n", Ok(" 1234 ")),
            ("geheimnis-ö\n".as_bytes(), Ok("geheimnis-ö")),
            (b"", Err(PinProblem::Empty)),
            (b"\r\n", Err(PinProblem::Empty)),
            (b" \t\n", Err(PinProblem::Blank)),
            (b"\xef\xbb\xbf1234", Err(PinProblem::ByteOrderMark)),
            (b"\xff\xfe1\x002\x00", Err(PinProblem::ByteOrderMark)),
            (b"1\x002\x00", Err(PinProblem::Nul)),
            (b"1234\0", Err(PinProblem::Nul)),
            (b"caf\xe9", Err(PinProblem::NotUtf8)),
            (b"1234\nuser", Err(PinProblem::Lines)),
        ] {
            assert_eq!(parse(bytes), pin, "{bytes:?}");
        }
        assert!(remark("1234 ").is_some_and(|remark| remark.contains("ends with a blank")));
        assert!(remark("\t1234").is_some_and(|remark| remark.contains("begins with a blank")));
        assert_eq!(remark("12 34"), None);
    }
}
