//! Why a PIN is not sent to the token: what the file holds, or what the token says.

use std::time::Duration;

/// How long the first login of a process that serves waits, where the token says that a wrong PIN was the last one.
pub(super) const START_PAUSE: Duration = Duration::from_secs(10);

/// What no PIN has, so that it is not sent: each wrong PIN brings the user closer to being locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PinProblem {
    /// Nothing, or line ends only.
    #[error("is empty: write the PIN into it")]
    Empty,
    /// Blanks only.
    #[error("has only blanks: write the PIN into it")]
    Blank,
    /// U+FEFF at the beginning, as some editors write it.
    #[error("begins with a byte order mark (BOM): save it as UTF-8 without one")]
    ByteOrderMark,
    /// A NUL, as in UTF-16, or in a copy of a fixed-length field.
    #[error("has a NUL byte in it: save it as UTF-8 text with the PIN only")]
    Nul,
    /// Bytes that are no UTF-8.
    #[error("is not UTF-8 text: save it as UTF-8")]
    NotUtf8,
    /// A line end before its end.
    #[error("has more than one line: leave the line with the PIN only")]
    Lines,
}

/// Why no PIN is sent, though none was refused in this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PinGuard {
    /// The token has locked the user. A retry helps once it is unlocked.
    #[error(
        "the token says that the user is locked (CKF_USER_PIN_LOCKED), so no PIN is sent: unlock the user; the signer then logs in by itself"
    )]
    Locked,
    /// The last try before that. A retry helps once somebody has logged in.
    #[error(
        "the token says that the next wrong PIN locks the user (CKF_USER_PIN_FINAL_TRY), so no PIN is sent: check the PIN, and log in once with \
         another program, such as pkcs11-tool --login, which resets the token's count; the signer then logs in by itself"
    )]
    FinalTry,
    /// A wrong PIN was sent before, by whomever, and this process has sent its own since.
    #[error(
        "the token says that a wrong PIN was sent to it (CKF_USER_PIN_COUNT_LOW), so this PIN is not sent again: correct the PIN file, or log in once \
         with another program, such as pkcs11-tool --login, which resets the token's count; the signer then logs in by itself"
    )]
    CountLow,
    /// The same, before the first login of the process.
    #[error(
        "the token says that a wrong PIN was sent to it before this start (CKF_USER_PIN_COUNT_LOW): this PIN is sent once, {} s after the start",
        START_PAUSE.as_secs()
    )]
    CountLowAtStart,
}
