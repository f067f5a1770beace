//! The standard output of this process, kept from foreign code. A PKCS#11 library may print to file descriptor 1, as CloudHSM's does with
//! `log_type: term`. Its lines would be mixed with JSON that a program reads, and with the audit log.

use std::fmt::Arguments;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::OnceLock;

/// The private copy, once there is one.
static KEPT: OnceLock<File> = OnceLock::new();

/// Keeps a private copy of the standard output, and points file descriptor 1 at standard error, where the lines of libraries belong.
/// To be called before a PKCS#11 library is loaded.
///
/// # Errors
///
/// The operating system does not duplicate the file descriptor.
pub fn keep_from_libraries() -> io::Result<()> {
    if KEPT.get().is_none() {
        let copy = duplicate()?;
        rustix::stdio::dup2_stdout(io::stderr())?;
        let _ = KEPT.set(copy.into());
    }
    Ok(())
}

/// Another file descriptor of our standard output.
///
/// # Errors
///
/// The operating system does not duplicate the file descriptor.
pub fn duplicate() -> io::Result<OwnedFd> {
    match KEPT.get() {
        Some(kept) => kept.as_fd().try_clone_to_owned(),
        None => io::stdout().as_fd().try_clone_to_owned(),
    }
}

/// Writes bytes to our standard output, without keeping a copy.
///
/// # Errors
///
/// They cannot be written, such as to a pipe whose reader has ended.
pub fn write_bytes(bytes: &[u8]) -> io::Result<()> {
    match KEPT.get() {
        Some(mut kept) => kept.write_all(bytes),
        None => io::stdout().write_all(bytes),
    }
}

/// Writes a line to our standard output.
///
/// # Errors
///
/// The line cannot be written, such as to a pipe whose reader has ended.
pub fn write_line(line: Arguments<'_>) -> io::Result<()> {
    let line = format!("{line}\n");
    match KEPT.get() {
        Some(mut kept) => kept.write_all(line.as_bytes()),
        None => io::stdout().write_all(line.as_bytes()),
    }
}
