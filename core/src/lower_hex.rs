//! Bytes as lower-case hexadecimal digits.

/// The `N` bytes that `text` says. `None` for digits in upper case too: the same bytes have one text.
pub(crate) fn decode<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    hex::decode_to_slice(text, &mut bytes).ok()?;
    (!text.bytes().any(|digit| digit.is_ascii_uppercase())).then_some(bytes)
}
