//! Limits how many sessions search the token for keys at once: half of them, so that the others can sign meanwhile, and a
//! slow HSM does not have to serve all searches at once.

use crate::keystore::pkcs11::health::SlotNumber;
use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

pub(super) struct SearchLimit {
    most: usize,
    searching: Mutex<HashSet<SlotNumber>>,
}

impl SearchLimit {
    pub(super) fn of(sessions: u8) -> Self {
        Self { most: usize::from(sessions / 2).max(1), searching: Mutex::default() }
    }

    /// Whether this thread may search now; if so, until [`Self::end`].
    pub(super) fn begin(&self, slot: SlotNumber) -> bool {
        let mut searching = self.searching.lock().unwrap_or_else(PoisonError::into_inner);
        searching.len() < self.most && searching.insert(slot)
    }

    /// Also for a thread that another replaces, because its search does not return.
    pub(super) fn end(&self, slot: SlotNumber) {
        self.searching.lock().unwrap_or_else(PoisonError::into_inner).remove(&slot);
    }
}

#[cfg(test)]
mod tests {
    use super::SearchLimit;

    #[test]
    fn half_of_the_sessions_search_and_one_that_hangs_makes_room_when_it_is_replaced() {
        let limit = SearchLimit::of(4);
        assert_eq!([1, 2, 3].map(|slot| limit.begin(slot)), [true, true, false]);
        limit.end(2);
        assert_eq!([3, 4].map(|slot| limit.begin(slot)), [true, false]);
        assert!(SearchLimit::of(1).begin(1), "the only session");
    }
}
