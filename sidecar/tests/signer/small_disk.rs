//! A file system of 64 KiB, to run out of space on.

use crate::test_env::permit;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// It goes when this is dropped.
pub(crate) struct SmallDisk(PathBuf);

impl SmallDisk {
    /// At a directory, which is made if it is not there.
    pub(crate) fn mount(at: &Path) -> Self {
        std::fs::create_dir_all(at).unwrap();
        let done = Command::new("mount").args(["-t", "tmpfs", "-o", "size=64k", "tmpfs"]).arg(at).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        permit(at, 0o700);
        Self(at.to_owned())
    }

    /// Fills it to its last byte.
    pub(crate) fn fill(&self) {
        for size in [4096, 1] {
            let mut file = std::fs::OpenOptions::new().create(true).append(true).open(self.ballast()).unwrap();
            while file.write_all(&vec![b'x'; size]).is_ok() {}
        }
    }

    /// Has space again.
    pub(crate) fn clear(&self) {
        std::fs::remove_file(self.ballast()).unwrap();
    }

    fn ballast(&self) -> PathBuf {
        self.0.join("ballast")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: the signer that a failed test left may still have a file there.
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).output();
    }
}
