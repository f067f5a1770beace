//! The evidence that a starting signer reads in its audit log: what its former processes have signed, to compare the
//! watermark records with it.
//!
//! INVARIANT R14: Lines that other clients can cause hide no evidence. The log is read backwards to its last evidence line,
//! which summarises all lines before it, and from there forwards. A file without an evidence line, written by an earlier
//! release or rotated just now, is read completely, and so are the rotated files beside it.

use super::AuditError;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, ErrorKind, Read};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use tezos_signer_core::audit::evidence::{EVIDENCE, EvidenceIndex};
use tezos_signer_core::audit::{Event, Line};
use tezos_signer_core::config::AuditConfig;

/// How many bytes are searched at once.
const CHUNK: usize = 1024 * 1024;

/// The longest line that is read whole, in bytes: a line of evidence of tens of thousands of keys.
const LONGEST_LINE: u64 = 64 * 1024 * 1024;

/// The maximum number of bytes of a line before the name of its event: log, sequence, previous and time.
const HEAD: u64 = 1024;

/// The interval at which a long read logs its progress.
const PROGRESS: Duration = Duration::from_secs(5);

/// How the names of compressed files end, which are not read.
const COMPRESSED: [&str; 6] = ["gz", "xz", "zst", "bz2", "lz4", "Z"];

/// The evidence of the configured log, for a command that does not write to it. Empty if it goes to standard output.
///
/// # Errors
///
/// [`AuditError::Open`] where a file that may have evidence cannot be read.
pub fn read(config: &AuditConfig) -> Result<EvidenceIndex, AuditError> {
    let Some(path) = &config.file else { return Ok(EvidenceIndex::default()) };
    match File::open(path) {
        Ok(file) => of_log(path, Some(&file)),
        Err(error) if error.kind() == ErrorKind::NotFound => of_log(path, None),
        Err(error) => Err(AuditError::open(path, error)),
    }
}

/// The evidence of the log at `path`, whose newest lines are in the open `file`, which may have another name by now.
pub(super) fn of_log(path: &Path, file: Option<&File>) -> Result<EvidenceIndex, AuditError> {
    let failed = |error: io::Error| AuditError::open(path, error);
    let mut witness = EvidenceIndex::default();
    let newest = file.map_or(Ok(None), newest_evidence).map_err(failed)?;
    if newest.is_none() {
        for rotated in rotated(path, file)? {
            let failed = |error: io::Error| AuditError::Older { path: rotated.clone(), source: Arc::new(error) };
            let file = File::open(&rotated).map_err(failed)?;
            let from = newest_evidence(&file).map_err(failed)?.unwrap_or(0);
            read_on(&rotated, &file, from, &mut witness).map_err(failed)?;
        }
    }
    if let Some(file) = file {
        read_on(path, file, newest.unwrap_or(0), &mut witness).map_err(failed)?;
    }
    Ok(witness)
}

/// The older files of the log at `path`, the oldest first: `audit.log.1`, `audit.log-20261129`, `audit-20261129.log` beside
/// `audit.log`, and beside the file that a symbolic link of that name leads to.
fn rotated(path: &Path, newest: Option<&File>) -> Result<Vec<PathBuf>, AuditError> {
    let own = newest.and_then(|file| file.metadata().ok()).map(|metadata| (metadata.dev(), metadata.ino()));
    let mut names = vec![path.to_owned()];
    names.extend(std::fs::canonicalize(path).ok().filter(|real| real != path));
    let mut found: Vec<(SystemTime, (u64, u64), PathBuf)> = Vec::new();
    for name in names {
        let directory = directory_of(&name);
        let stem = name.file_stem().unwrap_or_default().as_encoded_bytes();
        let entries = match std::fs::read_dir(directory) {
            Ok(entries) => entries,
            // Before the first start of a service: systemd makes its directory of logs then.
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err(AuditError::open(directory, error)),
        };
        for entry in entries {
            let other = entry.map_err(|error| AuditError::open(directory, error))?.path();
            let rest = other.file_name().and_then(|other| other.as_encoded_bytes().strip_prefix(stem));
            if !rest.is_some_and(|rest| matches!(rest.first(), Some(b'.' | b'-' | b'_'))) {
                continue;
            }
            // A missing file was renamed or removed meanwhile; a directory or a socket is not a log.
            let Ok(metadata) = std::fs::metadata(&other) else { continue };
            let identity = (metadata.dev(), metadata.ino());
            if !metadata.is_file() || Some(identity) == own || found.iter().any(|(_, known, _)| *known == identity) {
                continue;
            }
            if other.extension().is_some_and(|extension| COMPRESSED.iter().any(|known| extension == *known)) {
                tracing::warn!(
                    path = %other.display(),
                    "a compressed audit log is not read: evidence that only this file has is ignored"
                );
                continue;
            }
            found.push((metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH), identity, other));
        }
    }
    found.sort();
    Ok(found.into_iter().map(|(.., path)| path).collect())
}

/// Where the newest line of evidence begins.
fn newest_evidence(file: &File) -> io::Result<Option<u64>> {
    let length = file.metadata()?.len();
    let mut end = length;
    while end > 0 {
        let start = end.saturating_sub(CHUNK as u64);
        // A match may begin before `end` and go beyond it, and its line may begin before `start`.
        let (from, to) = (start.saturating_sub(HEAD), (end + EVIDENCE.len() as u64).min(length));
        let mut bytes = vec![0; usize::try_from(to - from).unwrap_or(CHUNK)];
        file.read_exact_at(&mut bytes, from)?;
        for at in matches(&bytes).into_iter().rev() {
            let line = match bytes[..at].iter().rposition(|byte| *byte == b'\n') {
                Some(end_of_other) => from + end_of_other as u64 + 1,
                None if from == 0 => 0,
                None => continue,
            };
            if is_evidence(file, line)? {
                return Ok(Some(line));
            }
        }
        end = start;
    }
    Ok(None)
}

/// The position of [`EVIDENCE`] in `bytes`.
fn matches(bytes: &[u8]) -> Vec<usize> {
    let mut found = Vec::new();
    let mut offset = 0;
    for part in bytes.utf8_chunks() {
        found.extend(part.valid().match_indices(EVIDENCE).map(|(at, _)| offset + at));
        offset += part.valid().len() + part.invalid().len();
    }
    found
}

/// Whether a whole line of evidence begins at `at`. One that was torn is none.
fn is_evidence(file: &File, at: u64) -> io::Result<bool> {
    let mut line = Vec::new();
    BufReader::new(ReadFrom { file, at }).take(LONGEST_LINE).read_until(b'\n', &mut line)?;
    let parsed = line.strip_suffix(b"\n").and_then(|line| serde_json::from_slice::<Line>(line).ok());
    Ok(parsed.is_some_and(|line| matches!(line.event, Event::Evidence { .. })))
}

/// Reads the lines from the offset `from` to the end.
fn read_on(path: &Path, file: &File, from: u64, witness: &mut EvidenceIndex) -> io::Result<()> {
    let length = file.metadata()?.len();
    let mut reader = BufReader::with_capacity(CHUNK, ReadFrom { file, at: from });
    let (mut line, mut at, mut logged) = (Vec::new(), from, Instant::now());
    loop {
        line.clear();
        // The rest of a line that is longer counts as another one: neither is a line of an audit log.
        let read = reader.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line)?;
        if read == 0 {
            return Ok(());
        }
        if let Ok(text) = std::str::from_utf8(line.strip_suffix(b"\n").unwrap_or(&line)) {
            witness.read(text);
        }
        at += read as u64;
        if logged.elapsed() >= PROGRESS {
            logged = Instant::now();
            tracing::info!(path = %path.display(), at, of = length, "reading the evidence in the audit log: bytes");
        }
    }
}

/// A file from an offset on, whatever its own offset is.
struct ReadFrom<'a> {
    file: &'a File,
    at: u64,
}

impl Read for ReadFrom<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

/// The directory of a file.
pub(super) fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tezos_signer_core::anchor::LogId;
    use tezos_signer_core::audit::{LogHead, Outcome, Request};

    /// A line of evidence, and one of a refused request.
    fn lines() -> (String, String) {
        let mut head = LogHead::new(LogId::from_bytes([7; 16]));
        let mut line = |event| head.append(jiff::Timestamp::UNIX_EPOCH, event).0 + "\n";
        let evidence = line(EvidenceIndex::default().evidence());
        let (request, reason) = (Request::default(), Some(format!("quoted {EVIDENCE}")));
        let (status, outcome, intent) = (404, Outcome::NotFound, None);
        let microseconds = tezos_signer_core::audit::Microseconds::default();
        (evidence, line(Event::Outcome { request, status, outcome, reason, intent, microseconds }))
    }

    fn newest(text: &[u8]) -> Option<u64> {
        let path = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(path.path(), text).unwrap();
        newest_evidence(&File::open(path.path()).unwrap()).unwrap()
    }

    #[test]
    fn the_newest_line_of_evidence_is_found_wherever_it_stands_to_the_border_of_a_chunk() {
        let (evidence, refusal) = lines();
        assert_eq!(newest(b""), None);
        assert_eq!(newest(refusal.as_bytes()), None);
        assert_eq!(newest(evidence.as_bytes()), Some(0));
        let before = refusal.repeat(20);
        let fill = refusal.repeat(2 * CHUNK / refusal.len());
        for behind in (CHUNK - 2 * evidence.len()..CHUNK + evidence.len()).step_by(7).chain([0, 1, 2 * CHUNK]) {
            let text = format!("{before}{evidence}{}", &fill[fill.len() - behind.min(fill.len())..]);
            assert_eq!(newest(text.as_bytes()), Some(before.len() as u64), "{behind} bytes behind");
        }
    }

    #[test]
    fn a_line_that_is_torn_or_no_line_of_a_log_is_passed_over() {
        let (evidence, refusal) = lines();
        for false_one in [&evidence[..evidence.len() - 1], &evidence[5..], &format!("{EVIDENCE}\n")] {
            let text = format!("{evidence}{refusal}{false_one}");
            assert_eq!(newest(text.as_bytes()), Some(0), "{false_one}");
        }
        let mut text = evidence.clone().into_bytes();
        text.extend([0xff; 3000]);
        assert_eq!(newest(&text), Some(0), "bytes that are no text, behind it");
        let mut text = vec![0xff; 3000];
        text.extend(format!("\n{evidence}").into_bytes());
        assert_eq!(newest(&text), Some(3001));
    }
}
