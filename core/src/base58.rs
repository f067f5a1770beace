//! Base58check with Tezos' prefixes: encoding and decoding. The prefixes are defined in [`crate::key`].

/// Longest text that is looked at. The longest one in use, a BLS signature, has 142 characters; the limit keeps the
/// quadratic decoder from being fed a megabyte.
const MAX_TEXT: usize = 160;

/// Why a text is not the base58check value that was expected. A retry does not help: the text has to be another one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Base58Error {
    /// It is longer than any Tezos value.
    #[error("it has {0} characters, more than any key, hash or signature of Tezos")]
    TooLong(usize),
    /// It is not base58, or the last four bytes are not the checksum: a typing error.
    #[error("its checksum is wrong or it has a character outside base58: a typing error?")]
    Checksum,
    /// It is another kind of value, such as an address where a public key is expected.
    #[error("it does not start as expected ({0})")]
    Prefix(&'static str),
}

/// The bytes of `text`, with its prefix still in front.
pub fn decode(text: &str) -> Result<Vec<u8>, Base58Error> {
    if text.len() > MAX_TEXT {
        return Err(Base58Error::TooLong(text.len()));
    }
    bs58::decode(text).with_check(None).into_vec().map_err(|_| Base58Error::Checksum)
}

/// The bytes behind `prefix`, exactly `N` of them; `None` where the value is of another kind.
pub fn strip<const N: usize>(bytes: &[u8], prefix: &[u8]) -> Option<[u8; N]> {
    bytes.strip_prefix(prefix)?.try_into().ok()
}

/// `prefix ‖ bytes` with checksum, as text.
pub fn encode(prefix: &[u8], bytes: &[u8]) -> String {
    bs58::encode([prefix, bytes].concat()).with_check().into_string()
}
