//! Detects that the path of a directory changed between two checks. A directory that was moved away and back looks unchanged,
//! but another process may have signed with a copy of it.

use rustix::fs::inotify::{CreateFlags, WatchFlags, add_watch, init};
use rustix::io::{Errno, read};
use std::collections::BTreeSet;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// Watches a path for moves, removals and unmounts. The kernel records them, also while this process is stopped.
pub(super) struct Moves {
    events: Option<OwnedFd>,
}

impl Moves {
    /// Watches the directory at the absolute `path`, each directory above it, and the symbolic links in the path. Directories that cannot
    /// be watched are logged: a move and a move back of them are not detected.
    pub(super) fn of(path: &Path) -> Self {
        let unwatched = |path: &Path, error: Errno| {
            let error = io::Error::from(error);
            tracing::warn!(path = %path.display(), %error, "cannot be watched: a move and a move back between two requests are not \
                 detected");
        };
        let events = match init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC) {
            Ok(events) => events,
            Err(error) => {
                unwatched(path, error);
                return Self { events: None };
            }
        };
        // Each name separately: the target of a link is in the other path.
        let flags = WatchFlags::MOVE_SELF | WatchFlags::DELETE_SELF | WatchFlags::DONT_FOLLOW;
        let real = std::fs::canonicalize(path).ok();
        let places: BTreeSet<PathBuf> =
            [Some(path), real.as_deref()].into_iter().flatten().flat_map(Path::ancestors).map(Path::to_owned).collect();
        for place in places {
            if let Err(error) = add_watch(&events, &place, flags) {
                unwatched(&place, error);
            }
        }
        Self { events: Some(events) }
    }

    /// Whether there was one since the last look. Where more came than the kernel keeps, that is one too.
    pub(super) fn any(&self) -> Result<bool, Errno> {
        let Some(events) = &self.events else { return Ok(false) };
        match read(events, &mut [0u8; 4096]) {
            Ok(length) => Ok(length > 0),
            Err(Errno::AGAIN | Errno::INTR) => Ok(false),
            Err(error) => Err(error),
        }
    }
}
