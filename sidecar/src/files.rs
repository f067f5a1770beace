//! The files that signing stands on, and whether others on this host could read or change them. Nothing is repaired here.

use rustix::fs::{StatFs, statfs};
use rustix::process::geteuid;
use std::fmt;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use tezos_signer_core::config::{HsmConfig, SignerConfig, WatermarkConfig};

/// What a path of the configuration begins with that is in the directory where systemd puts the credentials of a unit.
const CREDENTIALS: &str = "$CREDENTIALS_DIRECTORY";

/// The file that holds the PIN. Where it is, and not what is in it, may come from the environment: systemd gives a unit its
/// credentials in a directory of its own.
pub fn pin_file(config: &HsmConfig) -> std::io::Result<PathBuf> {
    let Ok(name) = config.pin_file.strip_prefix(CREDENTIALS) else { return Ok(config.pin_file.clone()) };
    let directory = std::env::var_os("CREDENTIALS_DIRECTORY").ok_or_else(|| {
        std::io::Error::other(
            "there are no credentials: only a unit of systemd with LoadCredential has them, see docs/standalone.md",
        )
    })?;
    Ok(Path::new(&directory).join(name))
}

/// Whether this process runs in a pod: the kubelet tells every container where the API server is. Its files are mounts of the kubelet
/// then, readable, and nobody else is there.
pub fn are_of_a_pod() -> bool {
    std::env::var_os("KUBERNETES_SERVICE_HOST").is_some()
}

/// A file or directory that signing stands on.
#[derive(Debug, Clone)]
pub struct File {
    /// The field of the configuration that names it.
    pub field: &'static str,
    /// Where it is.
    pub path: PathBuf,
    /// What is wrong with it.
    pub exposure: Option<Exposure>,
}

/// What is wrong with a file, and what to do.
#[derive(Debug, Clone)]
pub struct Exposure {
    /// Whether others could sign past the watermarks by it.
    pub is_dangerous: bool,
    field: &'static str,
    path: PathBuf,
    reason: String,
}

impl fmt::Display for Exposure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}) {}", self.path.display(), self.field, self.reason)
    }
}

/// Looks at all files of `config`, which was read from `path`.
pub fn examine(config: &SignerConfig, path: &Path) -> Vec<File> {
    let mut files = vec![look("--config", path, Rules::CONFIG)];
    files.push(match pin_file(&config.hsm) {
        Ok(path) => look("hsm.pinFile", &path, Rules::PIN),
        Err(error) => wrong("hsm.pinFile", &config.hsm.pin_file, false, error.to_string()),
    });
    // A credential is a copy. What the unit makes it of lies beside the configuration.
    if let Ok(name) = config.hsm.pin_file.strip_prefix(CREDENTIALS) {
        let source = path.with_file_name(name);
        if source.exists() {
            files.push(look("LoadCredential", &source, Rules::PIN));
        }
    }
    if let Some(tls) = &config.tls {
        files.push(look("tls.privateKeyFile", &tls.private_key_file, Rules::PRIVATE_KEY));
    }
    if let Some(tls) = config.peer.as_ref().and_then(|peer| peer.tls.as_ref()) {
        files.push(look("peer.tls.privateKeyFile", &tls.private_key_file, Rules::PRIVATE_KEY));
    }
    if let Some(path) = config.audit.file.as_ref().filter(|path| path.is_file()) {
        files.push(look("audit.file", path, Rules::AUDIT));
    }
    match &config.watermarks {
        Some(WatermarkConfig::File(directory)) => files.push(look_at_watermarks(directory)),
        Some(WatermarkConfig::ConfigMap(_)) => {
            if let Some(path) = std::env::var_os("KUBECONFIG").map(PathBuf::from).filter(|path| path.is_file()) {
                files.push(look("KUBECONFIG", &path, Rules::PRIVATE_KEY));
            }
        }
        None => {}
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
    /// Whether who reads it, or changes it, can sign past the watermarks.
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

fn look(field: &'static str, path: &Path, rules: Rules) -> File {
    let metadata = match std::fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) => return wrong(field, path, false, format!("cannot be looked at: {error}")),
    };
    let (mode, owner, group, me) = (metadata.mode(), metadata.uid(), metadata.gid(), geteuid().as_raw());
    // What root's group may do, root may do anyway. And where an access control list names a user, as for a credential of
    // systemd, the group's bits are its mask.
    let group_counts = group != 0;
    let is_readable = mode & 0o004 != 0 && rules.readers != Readers::Everybody
        || mode & 0o040 != 0 && group_counts && rules.readers == Readers::Nobody;
    let is_writable = mode & 0o002 != 0 || mode & 0o020 != 0 && group_counts;
    // Root, who looks, does not know for which user.
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
        is_anothers.then(|| format!("belongs to user {owner}, who is neither the signer's nor root: chown it"));
    let reasons: Vec<String> = open.into_iter().chain(anothers).collect();
    if reasons.is_empty() {
        return File { field, path: path.to_owned(), exposure: None };
    }
    let is_dangerous = is_readable && rules.reading_is_dangerous
        || is_writable && rules.changing_is_dangerous
        || is_anothers && (rules.reading_is_dangerous || rules.changing_is_dangerous);
    wrong(field, path, is_dangerous, reasons.join("; "))
}

fn wrong(field: &'static str, path: &Path, is_dangerous: bool, reason: String) -> File {
    let exposure = Exposure { is_dangerous, field, path: path.to_owned(), reason };
    File { field, path: path.to_owned(), exposure: Some(exposure) }
}

/// Who can write there can set a watermark back; who can read learns only what the chain shows as well.
fn look_at_watermarks(directory: &Path) -> File {
    let field = "watermarks.file";
    let file = look(field, directory, Rules::WATERMARKS);
    if file.exposure.is_some() {
        return file;
    }
    match statfs(directory).map(|found| forgets(&found)) {
        Ok(None) => file,
        Ok(Some(reason)) => wrong(field, directory, false, reason),
        Err(error) => wrong(field, directory, false, format!("cannot be looked at: {error}")),
    }
}

/// Why what is written to such a file system may be gone tomorrow, or seen by another host.
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

const FORGETFUL: &str =
    "which forgets at a restart or with its container, and without its watermarks a key signs nothing";
const SHARED: &str = "where neither the lock nor fsync is certain to mean what it does on a local disk";
