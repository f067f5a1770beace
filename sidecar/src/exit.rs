//! Ends the process without running destructors of the PKCS#11 library. A thread may be blocked in the library, and an
//! ordinary exit would then block or crash.

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
    // Replaces this program by another one, which ends all threads and runs no destructors. The system call for that is unsafe in Rust.
    let error = Command::new("/proc/self/exe").arg(COMMAND).arg(status.to_string()).exec();
    tracing::error!(%error, "the process could not exit in an orderly way");
    std::process::abort()
}
