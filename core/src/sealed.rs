//! Sealed keys: the secret of a tz4 key as a text that only an HSM or AWS KMS can open. The text is no secret itself: it may stand in a
//! manifest or in git. Nothing here encrypts or decrypts.
//!
//! A text is one line, of pieces with a dot between them: the version `v1`, the kind of the keystore that opens it, what that keystore
//! needs, and a check that finds typing errors. Each piece but the first two and the last is in base64url without padding.
//!
//! * `v1.pkcs11.LABEL.NONCE.CIPHERTEXT.CHECK`: AES-256-GCM with the token's AES key of this label, with [`associated_data`].
//! * `v1.awskms.KEY.BLOB.CHECK`: what KMS returned for `Encrypt` with this key, and [`encryption_context`].
//!
//! CHECK is the first four bytes of SHA-256 of everything before its dot, in hex. The plaintext is the secret scalar, 32 bytes in
//! little-endian, as in `BLsk…`.

use crate::aws::KmsKey;
use crate::key::SigningPublicKey;
use crate::serde_as_text;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::str::FromStr;

/// What a plaintext is for: part of what the ciphertext is bound to, so that it opens as nothing else.
pub const PURPOSE: &str = "tezos-signer sealed key v1";

/// Length of a nonce of AES-GCM, in bytes.
pub const NONCE_BYTES: usize = 12;

/// Length of a sealed secret with its tag, in bytes.
pub const CIPHERTEXT_BYTES: usize = 32 + 16;

/// The longest text that is read: KMS' ciphertexts of 32 bytes have less than 250.
const MAX_TEXT: usize = 1024;

/// The longest label of a sealing key, in bytes.
const MAX_LABEL: usize = 255;

/// A sealed secret, as the text of `sealed` in a key's configuration.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum SealedKey {
    /// Sealed by an AES key of a PKCS#11 token.
    Pkcs11 {
        /// The label of the sealing key, `CKA_LABEL`, 1 to 255 bytes.
        label: String,
        /// The nonce that the ciphertext was made with.
        nonce: [u8; NONCE_BYTES],
        /// The ciphertext, followed by the tag.
        ciphertext: [u8; CIPHERTEXT_BYTES],
    },
    /// Sealed by a symmetric key of AWS KMS.
    AwsKms {
        /// The sealing key.
        key: KmsKey,
        /// `CiphertextBlob`, as KMS returned it.
        blob: Vec<u8>,
    },
}

serde_as_text!(SealedKey);

/// What an AES-GCM ciphertext is bound to: the purpose, a zero byte, and the bytes of the public key.
pub fn associated_data(key: &SigningPublicKey) -> Vec<u8> {
    [PURPOSE.as_bytes(), &[0], &key.to_bytes()].concat()
}

/// What a ciphertext of KMS is bound to, its encryption context: names and values.
pub fn encryption_context(key: &SigningPublicKey) -> [(&'static str, String); 2] {
    [("purpose", PURPOSE.to_owned()), ("publicKey", key.to_string())]
}

impl SealedKey {
    /// The sealing key, for people: `label "sealing"`, or the KMS key.
    pub fn sealing_key(&self) -> String {
        match self {
            Self::Pkcs11 { label, .. } => format!("label {}", crate::json::quoted(label)),
            Self::AwsKms { key, .. } => key.to_string(),
        }
    }

    fn body(&self) -> String {
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        match self {
            Self::Pkcs11 { label, nonce, ciphertext } => {
                format!("v1.pkcs11.{}.{}.{}", encode(label.as_bytes()), encode(nonce), encode(ciphertext))
            }
            Self::AwsKms { key, blob } => format!("v1.awskms.{}.{}", encode(key.as_str().as_bytes()), encode(blob)),
        }
    }
}

fn check_of(body: &str) -> String {
    hex::encode(&Sha256::digest(body.as_bytes())[..4])
}

/// Why a text is not a sealed key. A retry does not help: copy the text again from where it was made (`tezos-signer keys generate` or
/// `keys seal`). The text is not repeated in the message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealedKeyError {
    /// It is not a text of `keys generate` or `keys seal` at all.
    #[error(
        "not a sealed key: expected the one line, v1.pkcs11.… or v1.awskms.…, that `tezos-signer keys generate --seal-with` or `keys seal` \
         prints"
    )]
    Form,
    /// A secret key stands where its sealed form belongs.
    #[error(
        "this is a secret key in the clear, and must not stand in a configuration: seal it with `tezos-signer keys seal`, and consider it \
         known to whoever can read this file"
    )]
    Secret,
    /// It is a version that a later release writes.
    #[error(
        "the sealed key has version {0:?}, and this release reads v1 only: upgrade tezos-signer, or seal the key again"
    )]
    Version(String),
    /// It was altered or cut since it was made.
    #[error("the sealed key was altered or is incomplete (its check is wrong): copy the whole line again")]
    Check,
    /// A piece cannot be what it should be, though the check is right: it was not made by this program.
    #[error("the sealed key has a wrong {0}: seal the key again with `tezos-signer keys seal`")]
    Piece(&'static str),
}

impl FromStr for SealedKey {
    type Err = SealedKeyError;
    fn from_str(text: &str) -> Result<Self, SealedKeyError> {
        if ["BLsk", "BLesk", "edsk", "edesk", "spsk", "spesk", "p2sk", "p2esk"].iter().any(|secret| {
            let text = text.strip_prefix("unencrypted:").or_else(|| text.strip_prefix("encrypted:")).unwrap_or(text);
            text.starts_with(secret)
        }) {
            return Err(SealedKeyError::Secret);
        }
        if text.len() > MAX_TEXT || !text.is_ascii() {
            return Err(SealedKeyError::Form);
        }
        let (body, check) = text.rsplit_once('.').ok_or(SealedKeyError::Form)?;
        let pieces: Vec<_> = body.split('.').collect();
        let [version, kind, pieces @ ..] = &pieces[..] else { return Err(SealedKeyError::Form) };
        let is_version = |word: &str| word.strip_prefix('v').is_some_and(|rest| rest.parse::<u16>().is_ok());
        match *version {
            "v1" => {}
            later if is_version(later) => return Err(SealedKeyError::Version(later.to_owned())),
            _ => return Err(SealedKeyError::Form),
        }
        if !["pkcs11", "awskms"].contains(kind) {
            return Err(SealedKeyError::Form);
        }
        if check != check_of(body) {
            return Err(SealedKeyError::Check);
        }
        let decode = |piece: &str, name| URL_SAFE_NO_PAD.decode(piece).map_err(|_| SealedKeyError::Piece(name));
        let text_of = |piece, name| String::from_utf8(decode(piece, name)?).map_err(|_| SealedKeyError::Piece(name));
        match (*kind, pieces) {
            ("pkcs11", [label, nonce, ciphertext]) => {
                let label = text_of(label, "label")?;
                if label.is_empty() || label.len() > MAX_LABEL {
                    return Err(SealedKeyError::Piece("label"));
                }
                Ok(Self::Pkcs11 {
                    label,
                    nonce: decode(nonce, "nonce")?.try_into().map_err(|_| SealedKeyError::Piece("nonce"))?,
                    ciphertext: decode(ciphertext, "ciphertext")?
                        .try_into()
                        .map_err(|_| SealedKeyError::Piece("ciphertext"))?,
                })
            }
            ("awskms", [key, blob]) => {
                let key = text_of(key, "KMS key")?.parse().map_err(|_| SealedKeyError::Piece("KMS key"))?;
                let blob = decode(blob, "ciphertext")?;
                if blob.is_empty() {
                    return Err(SealedKeyError::Piece("ciphertext"));
                }
                Ok(Self::AwsKms { key, blob })
            }
            _ => Err(SealedKeyError::Form),
        }
    }
}

impl fmt::Display for SealedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let body = self.body();
        write!(f, "{body}.{}", check_of(&body))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by_token() -> SealedKey {
        SealedKey::Pkcs11 { label: "sealing key №1".to_owned(), nonce: [3; 12], ciphertext: [0xfe; 48] }
    }

    fn by_kms() -> SealedKey {
        let key = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab".parse().unwrap();
        SealedKey::AwsKms { key, blob: (0..184).collect() }
    }

    #[test]
    fn a_text_is_one_line_and_reads_back() {
        for sealed in [by_token(), by_kms()] {
            let text = sealed.to_string();
            assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte)), "{text}");
            assert_eq!(text.parse::<SealedKey>(), Ok(sealed));
        }
        assert!(by_token().to_string().starts_with("v1.pkcs11.") && by_kms().to_string().starts_with("v1.awskms."));
        assert_eq!(by_token().sealing_key(), "label \"sealing key №1\"");
    }

    #[test]
    fn a_text_that_was_altered_anywhere_is_refused() {
        for sealed in [by_token(), by_kms()] {
            let text = sealed.to_string();
            for at in 0..text.len() {
                for other in ["A", "b", "7", ".", "-", "é", " "] {
                    let mut altered = text.clone();
                    altered.replace_range(at..=at, other);
                    assert!(altered == text || altered.parse::<SealedKey>().is_err(), "{altered}");
                }
                assert!(text[..at].parse::<SealedKey>().is_err(), "{at}");
                assert!(format!("{}{}", &text[..at], &text[at + 1..]).parse::<SealedKey>().is_err(), "{at}");
            }
            for longer in
                [format!("{text} "), format!("{text}."), format!("{text}0"), format!("{text}\n"), format!(" {text}")]
            {
                assert!(longer.parse::<SealedKey>().is_err(), "{longer:?}");
            }
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        let error = |text: &str| text.parse::<SealedKey>().unwrap_err();
        let checked = |body: &str| error(&format!("{body}.{}", check_of(body)));
        assert_eq!(error(""), SealedKeyError::Form);
        assert_eq!(error("BLsk39cUjtfFXrG1fWPGdkdPZFCgKfrsnswowy61QFbHrKKzXC7WSw"), SealedKeyError::Secret);
        assert_eq!(error("unencrypted:BLsk39cUjtfFXrG1fWPGdkdPZFCgKfrsnswowy61QFbHrKKzXC7WSw"), SealedKeyError::Secret);
        assert_eq!(checked("v2.pkcs11.YQ"), SealedKeyError::Version("v2".to_owned()));
        assert_eq!(checked("v1.gcpkms.YQ"), SealedKeyError::Form);
        assert_eq!(checked("v1.pkcs11.YQ"), SealedKeyError::Form);
        let (nonce, ciphertext) = (URL_SAFE_NO_PAD.encode([0; 12]), URL_SAFE_NO_PAD.encode([0; 48]));
        assert_eq!(checked(&format!("v1.pkcs11..{nonce}.{ciphertext}")), SealedKeyError::Piece("label"));
        assert_eq!(checked(&format!("v1.pkcs11.YR.{nonce}.{ciphertext}")), SealedKeyError::Piece("label"));
        assert_eq!(checked(&format!("v1.pkcs11.YQ.YQ.{ciphertext}")), SealedKeyError::Piece("nonce"));
        assert_eq!(checked(&format!("v1.pkcs11.YQ.{nonce}.{nonce}")), SealedKeyError::Piece("ciphertext"));
        assert_eq!(checked("v1.awskms.YQ.YQ"), SealedKeyError::Piece("KMS key"));
        let no_blob = format!("v1.awskms.{}.", URL_SAFE_NO_PAD.encode("alias/sealing"));
        assert_eq!(checked(&no_blob), SealedKeyError::Piece("ciphertext"));
        assert_eq!(error(&"v1.".repeat(1000)), SealedKeyError::Form);
    }
}
