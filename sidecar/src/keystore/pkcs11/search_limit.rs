//! Limits how many sessions search the token for keys at once: half of them, so that the others can sign meanwhile, and a
//! slow HSM does not have to serve all searches at once. While there are keys that no session has found yet, all sessions but one.

use crate::keystore::pkcs11::health::SlotNumber;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tezos_signer_core::key::PublicKeyHash;

pub(super) struct SearchLimit {
    sessions: usize,
    searching: Mutex<HashMap<SlotNumber, PublicKeyHash>>,
}

impl SearchLimit {
    pub(super) fn of(sessions: u8) -> Self {
        Self { sessions: usize::from(sessions), searching: Mutex::default() }
    }

    fn searching(&self) -> MutexGuard<'_, HashMap<SlotNumber, PublicKeyHash>> {
        self.searching.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this thread may search for `key` now; if so, until [`Self::end`]. `is_untried`: no session has tried the key yet.
    pub(super) fn begin(&self, slot: SlotNumber, key: PublicKeyHash, is_untried: bool) -> bool {
        let most = if is_untried { self.sessions.saturating_sub(1) } else { self.sessions / 2 };
        let mut searching = self.searching();
        searching.len() < most.max(1) && searching.insert(slot, key).is_none()
    }

    /// Also for a thread that another replaces, because its search does not return.
    pub(super) fn end(&self, slot: SlotNumber) {
        self.searching().remove(&slot);
    }

    /// Whether a session searches for `key` now.
    pub(super) fn searches(&self, key: &PublicKeyHash) -> bool {
        self.searching().values().any(|searched| searched == key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tezos_signer_core::key::Curve;

    #[test]
    fn half_of_the_sessions_search_or_all_but_one_and_one_that_hangs_makes_room_when_it_is_replaced() {
        let [one, other] = [1, 2].map(|byte| PublicKeyHash::from_bytes(Curve::P256, [byte; 20]));
        let limit = SearchLimit::of(4);
        assert_eq!([1, 2, 3].map(|slot| limit.begin(slot, one, false)), [true, true, false]);
        assert!(limit.searches(&one) && !limit.searches(&other));
        assert_eq!([3, 4].map(|slot| limit.begin(slot, other, true)), [true, false]);
        limit.end(1);
        limit.end(2);
        assert!(!limit.searches(&one));
        assert_eq!([4, 1].map(|slot| limit.begin(slot, one, false)), [true, false]);
        assert!(SearchLimit::of(1).begin(1, one, false) && SearchLimit::of(1).begin(1, one, true), "the only session");
    }
}
