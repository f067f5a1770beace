//! Handles of our own in place of the module's below: a session's is never given twice, so that a stale one is known, and an
//! object's belongs to its session where that is wanted.

use cryptoki_sys::{CK_OBJECT_HANDLE, CK_SESSION_HANDLE};
use std::collections::HashMap;

/// How far an object's session is above its handle. SoftHSM2's handles are small.
const SHIFT: u32 = 32;

#[derive(Default)]
pub(crate) struct Handles {
    sessions: HashMap<CK_SESSION_HANDLE, Open>,
    last: CK_SESSION_HANDLE,
}

/// One session.
#[derive(Default)]
#[allow(clippy::struct_excessive_bools)] // each independent of the others
pub(crate) struct Open {
    /// The handle below.
    pub(crate) real: CK_SESSION_HANDLE,
    /// Whether a call is in it now.
    pub(crate) busy: bool,
    /// Whether the caller could not close it.
    pub(crate) unclosed: bool,
    /// The label of the key that it last searched or signs with, where a rule asks for it.
    pub(crate) key: Option<String>,
    /// Whether the key that it signs with is a secp256k1 one.
    pub(crate) is_secp256k1: bool,
    /// Whether there was a login since `C_SignInit`.
    pub(crate) has_shown_pin: bool,
}

impl Handles {
    pub(crate) fn open(&mut self, real: CK_SESSION_HANDLE) -> CK_SESSION_HANDLE {
        self.last += 1;
        self.sessions.insert(self.last, Open { real, ..Open::default() });
        self.last
    }

    pub(crate) fn get(&mut self, session: CK_SESSION_HANDLE) -> Option<&mut Open> {
        self.sessions.get_mut(&session)
    }

    pub(crate) fn close(&mut self, session: CK_SESSION_HANDLE) {
        self.sessions.remove(&session);
    }

    pub(crate) fn close_all(&mut self) {
        self.sessions.clear();
    }

    pub(crate) fn len(&self) -> u64 {
        self.sessions.len() as u64
    }

    pub(crate) fn unclosed(&self) -> u64 {
        self.sessions.values().filter(|open| open.unclosed).count() as u64
    }

    pub(crate) fn list(&self) -> Vec<CK_SESSION_HANDLE> {
        let mut list: Vec<_> = self.sessions.keys().copied().collect();
        list.sort_unstable();
        list
    }
}

/// The handle that the caller gets for `real`.
pub(crate) fn give(session: CK_SESSION_HANDLE, real: CK_OBJECT_HANDLE) -> CK_OBJECT_HANDLE {
    session << SHIFT | real
}

/// The handle below; `None` if it is another session's, where that matters.
pub(crate) fn take(session: CK_SESSION_HANDLE, given: CK_OBJECT_HANDLE, per_session: bool) -> Option<CK_OBJECT_HANDLE> {
    (!per_session || given >> SHIFT == session).then_some(given & ((1 << SHIFT) - 1))
}
