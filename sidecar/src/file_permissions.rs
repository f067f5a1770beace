//! Checks whether other users of this host can read or change the files of the signer. Nothing is repaired.

use rustix::fs::{OFlags, StatFs, statfs};
use rustix::process::geteuid;
use std::fs::{Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use tezos_signer_core::cause::Cause;
use tezos_signer_core::config::{HsmConfig, KeystoreConfig, SignerConfig, WatermarkConfig};

/// What a path of the configuration begins with that is in the directory where systemd puts the credentials of a unit.
const CREDENTIALS: &str = "$CREDENTIALS_DIRECTORY";

/// The file with the PIN. Its path, but not the PIN, may depend on the environment: systemd provides the credentials of a unit in a
/// directory of its own.
pub fn pin_file(config: &HsmConfig) -> std::io::Result<PathBuf> {
    let Ok(name) = config.pin_file.strip_prefix(CREDENTIALS) else { return Ok(config.pin_file.clone()) };
    let directory = std::env::var_os("CREDENTIALS_DIRECTORY").ok_or_else(|| {
        std::io::Error::other(
            "there are no credentials: only a systemd unit with LoadCredential has them, see docs/standalone.md",
        )
    })?;
    Ok(Path::new(&directory).join(name))
}

/// The open PIN file, so that its permissions and its contents are those of the same file. It must be a regular file: a FIFO could block
/// the login.
pub fn open_pin_file(config: &HsmConfig) -> std::io::Result<std::fs::File> {
    let path = pin_file(config)?;
    let no_wait = OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(no_wait).open(&path)?;
    let found = file.metadata()?;
    if !found.is_file() {
        return Err(std::io::Error::other("it is a directory, FIFO or device, not a file"));
    }
    let exposed = inspect_metadata("hsm.pinFile", &path, &found, Rules::PIN).exposure.filter(|_| !are_of_a_pod());
    if let Some(exposure) = exposed {
        // The next start refuses it. Now it would not take back what others may have read.
        tracing::warn!(reason = %exposure, "the PIN file has unsafe permissions");
    }
    Ok(file)
}

/// Whether this process runs in a pod, from the API server's address that the kubelet sets in every container. There, files are mounts of
/// the kubelet and world-readable, but no other users exist.
pub fn are_of_a_pod() -> bool {
    std::env::var_os("KUBERNETES_SERVICE_HOST").is_some()
}

/// A file or directory that signing depends on.
#[derive(Debug, Clone)]
pub struct File {
    /// The field of the configuration that names it.
    pub field: &'static str,
    /// The path of the file, from the configuration.
    pub path: PathBuf,
    /// What is wrong with it.
    pub exposure: Option<Exposure>,
}

/// What is wrong with a file, and what to do. It helps once that is done.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{} ({field}) {reason}", path.display())]
pub struct Exposure {
    /// Whether others could sign past the watermarks by it.
    pub is_dangerous: bool,
    field: &'static str,
    path: PathBuf,
    #[source]
    reason: Cause,
}

/// The configuration file at `path`, with the metadata of the handle that it was read from.
pub(crate) fn config_file(path: &Path, found: &Metadata) -> File {
    inspect_metadata("--config", path, found, Rules::CONFIG)
}

/// Looks at all files of `config`, which was read from `file`.
pub fn examine(config: &SignerConfig, file: &File) -> Vec<File> {
    let mut files = vec![file.clone()];
    match &config.keystore {
        KeystoreConfig::Pkcs11(hsm) => files.extend(pin_files(hsm, file)),
        KeystoreConfig::AwsKms(kms) => {
            files.extend(kms.credentials_file.iter().map(|path| inspect("awsKms.credentialsFile", path, Rules::PIN)));
        }
    }
    if let Some(tls) = &config.tls {
        files.push(inspect("tls.privateKeyFile", &tls.private_key_file, Rules::PRIVATE_KEY));
    }
    if let Some(tls) = config.peer.as_ref().and_then(|peer| peer.tls.as_ref()) {
        files.push(inspect("peer.tls.privateKeyFile", &tls.private_key_file, Rules::PRIVATE_KEY));
    }
    if let Some(path) = config.audit.file.as_ref().filter(|path| path.is_file()) {
        files.push(inspect("audit.file", path, Rules::AUDIT));
    }
    match &config.watermarks {
        Some(WatermarkConfig::File(directory)) => files.push(look_at_watermarks(directory)),
        Some(WatermarkConfig::ConfigMap(_)) => {
            if let Some(path) = std::env::var_os("KUBECONFIG").map(PathBuf::from).filter(|path| path.is_file()) {
                files.push(inspect("KUBECONFIG", &path, Rules::PRIVATE_KEY));
            }
        }
        None => {}
    }
    files
}

/// The PIN file. A credential of systemd is a copy: what the unit makes it of lies beside the configuration, which is `file`.
fn pin_files(hsm: &HsmConfig, file: &File) -> Vec<File> {
    let mut files = vec![match pin_file(hsm) {
        Ok(path) => inspect("hsm.pinFile", &path, Rules::PIN),
        Err(error) => wrong("hsm.pinFile", &hsm.pin_file, false, Cause::of(error)),
    }];
    if let Ok(name) = hsm.pin_file.strip_prefix(CREDENTIALS) {
        let source = file.path.with_file_name(name);
        if source.exists() {
            files.push(inspect("LoadCredential", &source, Rules::PIN));
        }
    }
    files
}

/// Who beside the signer and root may read a file.
#[derive(Clone, Copy, PartialEq)]
enum Readers {
    Nobody,
    Group,
    Everybody,
}

/// What others may do with a file. To change it, they never may.
#[derive(Clone, Copy)]
struct Rules {
    readers: Readers,
    /// Whether a user who can read or change it can sign without the watermarks.
    reading_is_dangerous: bool,
    changing_is_dangerous: bool,
}

impl Rules {
    const CONFIG: Self = Self { readers: Readers::Everybody, reading_is_dangerous: false, changing_is_dangerous: true };
    const PIN: Self = Self { readers: Readers::Nobody, reading_is_dangerous: true, changing_is_dangerous: true };
    /// A group may have them, as Debian's `ssl-cert` has.
    const PRIVATE_KEY: Self =
        Self { readers: Readers::Group, reading_is_dangerous: false, changing_is_dangerous: false };
    const AUDIT: Self = Self { readers: Readers::Everybody, reading_is_dangerous: false, changing_is_dangerous: false };
    const WATERMARKS: Self =
        Self { readers: Readers::Nobody, reading_is_dangerous: false, changing_is_dangerous: true };
}

fn inspect(field: &'static str, path: &Path, rules: Rules) -> File {
    match std::fs::metadata(path) {
        Ok(found) => inspect_metadata(field, path, &found, rules),
        Err(error) => wrong(field, path, false, cannot_be_checked(error)),
    }
}

fn inspect_metadata(field: &'static str, path: &Path, metadata: &Metadata, rules: Rules) -> File {
    let (mode, owner, group, me) = (metadata.mode(), metadata.uid(), metadata.gid(), geteuid().as_raw());
    // What root's group may do, root may do anyway. And where an access control list names a user, as for a credential of
    // systemd, the group's bits are its mask.
    let group_counts = group != 0;
    let is_readable = mode & 0o004 != 0 && rules.readers != Readers::Everybody
        || mode & 0o040 != 0 && group_counts && rules.readers == Readers::Nobody;
    let is_writable = mode & 0o002 != 0 || mode & 0o020 != 0 && group_counts;
    // A command that runs as root does not know the user of the signer.
    let is_anothers = ![0, me].contains(&owner) && me != 0;
    let may = match (is_readable, is_writable) {
        (true, true) => Some("be read and changed"),
        (true, false) => Some("be read"),
        (false, true) => Some("be changed"),
        (false, false) => None,
    };
    let right = if metadata.is_dir() { "0700" } else { "0600" };
    let open = may.map(|may| format!("can {may} by other users (mode {:04o}): chmod {right} it", mode & 0o7777));
    let anothers =
        is_anothers.then(|| format!("belongs to user {owner}, which is neither the signer's user nor root: chown it"));
    let reasons: Vec<String> = open.into_iter().chain(anothers).collect();
    if reasons.is_empty() {
        return File { field, path: path.to_owned(), exposure: None };
    }
    let is_dangerous = is_readable && rules.reading_is_dangerous
        || is_writable && rules.changing_is_dangerous
        || is_anothers && (rules.reading_is_dangerous || rules.changing_is_dangerous);
    wrong(field, path, is_dangerous, reasons.join("; "))
}

fn cannot_be_checked(error: io::Error) -> Cause {
    Cause::of(error).map_text(|error| format!("cannot be checked: {error}"))
}

fn wrong(field: &'static str, path: &Path, is_dangerous: bool, reason: impl Into<Cause>) -> File {
    let exposure = Exposure { is_dangerous, field, path: path.to_owned(), reason: reason.into() };
    File { field, path: path.to_owned(), exposure: Some(exposure) }
}

/// A user who can write there can set a watermark back; reading only reveals what is public on the chain.
fn look_at_watermarks(directory: &Path) -> File {
    let field = "watermarks.file";
    let file = inspect(field, directory, Rules::WATERMARKS);
    if file.exposure.is_some() {
        return file;
    }
    match statfs(directory).map(|found| forgets(&found)) {
        Ok(None) => file,
        Ok(Some(reason)) => wrong(field, directory, false, reason),
        Err(error) => wrong(field, directory, false, cannot_be_checked(error.into())),
    }
}

/// Why records on such a file system may be lost, or used by another host at the same time.
fn forgets(found: &StatFs) -> Option<String> {
    // The numbers are of statfs(2).
    let (name, why) = match u64::try_from(found.f_type).ok()? & 0xffff_ffff {
        0x0102_1994 => ("tmpfs", FORGETFUL),
        0x8584_58f6 => ("ramfs", FORGETFUL),
        0x794c_7630 => ("overlayfs", FORGETFUL),
        0x6969 => ("NFS", SHARED),
        0xff53_4d42 => ("CIFS", SHARED),
        0xfe53_4d42 => ("SMB", SHARED),
        0x00c3_6400 => ("Ceph", SHARED),
        0x0102_1997 => ("9P", SHARED),
        0x6573_5546 => ("FUSE", SHARED),
        _ => return None,
    };
    Some(format!("is on {name}, {why}: use a directory on a local disk"))
}

const FORGETFUL: &str = "which is lost at a restart or with its container, and a key does not sign without its record";
const SHARED: &str = "where neither the lock nor fsync is as reliable as on a local disk";
