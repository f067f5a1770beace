//! Secret keys as Octez writes them: `BLsk…`, and `BLesk…`, which a password opens. Also those of `octez-client`'s files, with
//! `unencrypted:` or `encrypted:` in front. No error repeats a part of the text.

use crypto_secretbox::aead::Aead as _;
use crypto_secretbox::{KeyInit as _, XSalsa20Poly1305};
use sha2::Sha512;
use zeroize::Zeroizing;

const BLSK: [u8; 4] = [3, 150, 192, 40];
const BLESK: [u8; 5] = [2, 5, 30, 53, 25];

/// Length of the salt before the encrypted secret, in bytes.
const SALT: usize = 8;

/// How often PBKDF2 hashes.
const ROUNDS: u32 = 32_768;

/// Octez' own nonce: each password makes another key with each salt.
const NONCE: [u8; 24] = [0; 24];

/// Why a text is no secret that can be sealed. A retry does not help, but for a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretTextError {
    /// Nothing of the kind.
    #[error("it is no secret key of a tz4 key: expected one line with BLsk…, or BLesk…, which is encrypted")]
    Form,
    /// Base58check does not fit.
    #[error("it begins as a secret key of a tz4 key, and was altered or cut (its checksum is wrong): copy it again")]
    Checksum,
    /// A secret of another scheme.
    #[error("it is the secret key of a {0} key, which is not sealed: an HSM or AWS KMS signs with {0} keys itself")]
    OtherScheme(&'static str),
    /// A public key.
    #[error("it is a public key or an address, and not a secret key (BLsk…, BLesk…)")]
    Public,
    /// Not the password that it was encrypted with.
    #[error(
        "the password does not open it: check the password, and that nothing follows it in the file but a line end"
    )]
    Password,
}

/// A text that was read.
pub enum SecretText {
    /// The scalar in little-endian order.
    Plain(Zeroizing<Vec<u8>>),
    /// A password is needed.
    Encrypted(EncryptedSecret),
}

/// `BLesk…`.
pub struct EncryptedSecret(Vec<u8>);

/// Reads a text, around which there may be blanks and line ends.
pub fn read(text: &str) -> Result<SecretText, SecretTextError> {
    let text = text.trim();
    let text = text.strip_prefix("unencrypted:").or_else(|| text.strip_prefix("encrypted:")).unwrap_or(text);
    for (prefixes, scheme) in [(["edsk", "edesk"], "tz1"), (["spsk", "spesk"], "tz2"), (["p2sk", "p2esk"], "tz3")] {
        if prefixes.iter().any(|prefix| text.starts_with(prefix)) {
            return Err(SecretTextError::OtherScheme(scheme));
        }
    }
    if ["BLpk", "edpk", "sppk", "p2pk", "tz1", "tz2", "tz3", "tz4"].iter().any(|prefix| text.starts_with(prefix)) {
        return Err(SecretTextError::Public);
    }
    if !text.starts_with("BLsk") && !text.starts_with("BLesk") {
        return Err(SecretTextError::Form);
    }
    let bytes = Zeroizing::new(bs58::decode(text).with_check(None).into_vec().map_err(|_| SecretTextError::Checksum)?);
    if let Some(secret) = bytes.strip_prefix(&BLSK).filter(|secret| secret.len() == 32) {
        return Ok(SecretText::Plain(Zeroizing::new(secret.to_vec())));
    }
    let encrypted = bytes.strip_prefix(&BLESK).filter(|rest| rest.len() == SALT + 16 + 32);
    Ok(SecretText::Encrypted(EncryptedSecret(encrypted.ok_or(SecretTextError::Checksum)?.to_vec())))
}

impl EncryptedSecret {
    /// The scalar in little-endian order.
    pub fn open(&self, password: &str) -> Result<Zeroizing<Vec<u8>>, SecretTextError> {
        let (salt, sealed) = self.0.split_at(SALT);
        let mut key = Zeroizing::new([0; 32]);
        pbkdf2::pbkdf2_hmac::<Sha512>(password.as_bytes(), salt, ROUNDS, &mut key[..]);
        let opened = XSalsa20Poly1305::new((&*key).into()).decrypt(&NONCE.into(), sealed);
        opened.map(Zeroizing::new).map_err(|_| SecretTextError::Password)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BARE: &str = "BLsk39cUjtfFXrG1fWPGdkdPZFCgKfrsnswowy61QFbHrKKzXC7WSw";

    fn plain(text: &str) -> Vec<u8> {
        match read(text).unwrap() {
            SecretText::Plain(secret) => secret.to_vec(),
            SecretText::Encrypted(_) => panic!("encrypted"),
        }
    }

    fn encrypted(secret: &[u8], password: &str, salt: [u8; SALT]) -> String {
        let mut key = [0; 32];
        pbkdf2::pbkdf2_hmac::<Sha512>(password.as_bytes(), &salt, ROUNDS, &mut key);
        let sealed = XSalsa20Poly1305::new((&key).into()).encrypt(&NONCE.into(), secret).unwrap();
        bs58::encode([&BLESK[..], &salt, &sealed].concat()).with_check().into_string()
    }

    #[test]
    fn a_secret_is_read_as_octez_writes_it() {
        let secret = plain(BARE);
        assert_eq!(secret.len(), 32);
        for text in [format!("{BARE}\n"), format!("  {BARE}\r\n"), format!("unencrypted:{BARE}")] {
            assert_eq!(plain(&text), secret);
        }
        let text = encrypted(&secret, "pass word", [7; SALT]);
        assert!(text.starts_with("BLesk") && text.len() == 88, "{text}");
        for text in [text.clone(), format!("encrypted:{text}\n")] {
            let Ok(SecretText::Encrypted(encrypted)) = read(&text) else { panic!("{text}") };
            assert_eq!(encrypted.open("pass word").unwrap()[..], secret[..]);
            for wrong in ["", "pass word ", "Pass word"] {
                assert_eq!(encrypted.open(wrong).err(), Some(SecretTextError::Password));
            }
        }
    }

    #[test]
    fn what_is_no_secret_of_a_tz4_key_is_said_without_repeating_it() {
        let error = |text: &str| read(text).err().unwrap();
        assert_eq!(
            error("edsk4NkqCHcoDpGzqkaxgeBBwEoWR38MNA3zQRvsGi2GCKZde73aGn"),
            SecretTextError::OtherScheme("tz1")
        );
        assert_eq!(error("unencrypted:spsk1"), SecretTextError::OtherScheme("tz2"));
        assert_eq!(error("encrypted:p2esk1"), SecretTextError::OtherScheme("tz3"));
        assert_eq!(
            error("BLpk1vGHLpusxfNbqgvNyaTYv77eSbyooVBgM2jbhFgKMm5tNfAuRDbwJ2EbVHQFi6NNBAFvMDB9"),
            SecretTextError::Public
        );
        for text in ["", "\n", "{}", "0x1234", "v1.pkcs11.YQ"] {
            assert_eq!(error(text), SecretTextError::Form);
        }
        for at in 5..BARE.len() {
            let mut altered = BARE.to_owned();
            let other = if &BARE[at..=at] == "2" { "3" } else { "2" };
            altered.replace_range(at..=at, other);
            assert_eq!(error(&altered), SecretTextError::Checksum, "{altered}");
            assert_eq!(error(&BARE[..at]), SecretTextError::Checksum);
        }
    }
}
