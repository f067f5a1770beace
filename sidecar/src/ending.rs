//! How the process ends where it cannot end as others do: a thread may be in the PKCS#11 library for ever, and running the
//! library's destructors, as an ordinary end does, would then block or crash.

use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// The command that ends with a status at once. Users have no use for it, and `--help` does not show it.
pub const COMMAND: &str = "end";

/// A watermark or an audit line could not be written: `EX_IOERR` of sysexits.h.
pub const WRITE_FAILED: u8 = 74;

/// Nothing helps any more that this process could do, a new one may: `EX_TEMPFAIL` of sysexits.h.
pub const TRY_AGAIN: u8 = 75;

/// Ends with `status`, at once, whatever other threads do.
pub fn end(status: u8) -> ! {
    // Another program in the place of this one: that ends all threads, and runs nothing of what they are in. The system
    // call that would do as much is not safe to Rust.
    let error = Command::new("/proc/self/exe").arg(COMMAND).arg(status.to_string()).exec();
    tracing::error!(%error, "the process could not be ended in order");
    std::process::abort()
}
