//! What a signer that starts reads in its audit log: what its former processes have signed, to compare the watermark records with.

use super::AuditError;
use std::fs::File;
use std::io::{BufRead as _, BufReader, ErrorKind, Seek as _, SeekFrom};
use tezos_signer_core::audit::witness::Witness;
use tezos_signer_core::config::AuditConfig;

/// How much of the end of the log is read: hours of a busy baker, in less than a second. What a restored record has forgotten was
/// signed last.
const MOST: u64 = 16 * 1024 * 1024;

/// What the end of the log proves. Nothing, where it goes to standard output, which cannot be read again, or was not begun yet.
pub fn read(config: &AuditConfig) -> Result<Witness, AuditError> {
    let mut witness = Witness::default();
    let Some(path) = &config.file else { return Ok(witness) };
    let failed = |error: std::io::Error| AuditError::Open { path: path.clone(), reason: error.to_string() };
    let length = match std::fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => metadata.len(),
        // A pipe or a terminal forgets.
        Ok(_) => return Ok(witness),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(witness),
        Err(error) => return Err(failed(error)),
    };
    let mut file = File::open(path).map_err(failed)?;
    file.seek(SeekFrom::Start(length.saturating_sub(MOST))).map_err(failed)?;
    // The first one may be half a line: it says nothing then.
    for line in BufReader::new(file).split(b'\n') {
        if let Ok(text) = std::str::from_utf8(&line.map_err(failed)?) {
            witness.read(text);
        }
    }
    Ok(witness)
}
