//! What is wrong with the bytes of a text file before its format is looked at: editors of Windows write UTF-16, or a byte order mark.

/// Bytes are not the UTF-8 text that is read here. A retry does not help before the file is saved as the message says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// The first bytes are those of UTF-16.
    #[error("it is UTF-16: save it as UTF-8, without a byte order mark")]
    Utf16,
    /// A byte is part of no character.
    #[error("it is not UTF-8: byte {0} is part of no character. Save it as UTF-8")]
    NotUtf8(usize),
    /// The first character is U+FEFF.
    #[error("it begins with a byte order mark (U+FEFF): save it as UTF-8 without one")]
    ByteOrderMark,
}

const BYTE_ORDER_MARK: char = '\u{feff}';

/// The text of a file, which may begin with a byte order mark.
pub fn of_bytes(bytes: Vec<u8>) -> Result<String, TextError> {
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err(TextError::Utf16);
    }
    String::from_utf8(bytes).map_err(|error| TextError::NotUtf8(error.utf8_error().valid_up_to() + 1))
}

/// Rejects a text that begins with a byte order mark, which parsers report as something else.
pub fn check_mark(text: &str) -> Result<(), TextError> {
    if text.starts_with(BYTE_ORDER_MARK) { Err(TextError::ByteOrderMark) } else { Ok(()) }
}

/// `text` as a parser sees it that ignores a byte order mark.
pub fn without_mark(text: &str) -> &str {
    text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_utf_8_is_named() {
        assert_eq!(of_bytes("häuser".into()).unwrap(), "häuser");
        assert_eq!(of_bytes(vec![0xff, 0xfe, b'a', 0]), Err(TextError::Utf16));
        assert_eq!(of_bytes(vec![0xfe, 0xff, 0, b'a']), Err(TextError::Utf16));
        assert_eq!(of_bytes(b"ab\xe4c".to_vec()), Err(TextError::NotUtf8(3)));
        assert_eq!(check_mark("\u{feff}{}"), Err(TextError::ByteOrderMark));
        assert_eq!((check_mark("{}"), without_mark("\u{feff}{}")), (Ok(()), "{}"));
    }
}
