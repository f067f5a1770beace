//! How long to wait until a TezosSigner is looked at again that is not well: longer each time, each on its own count.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(30);

/// Counts by key.
#[derive(Debug)]
pub(super) struct Backoff<K>(Mutex<HashMap<K, u32>>);

impl<K: Eq + Hash> Backoff<K> {
    /// How long to wait now: 1 s, 2 s, 4 s, … 30 s.
    pub(super) fn next(&self, key: K) -> Duration {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(key).or_insert(0);
        let wait = FIRST.saturating_mul(1 << (*count).min(16)).min(LONGEST);
        *count += 1;
        wait
    }

    /// How often it was not well in a row.
    pub(super) fn count(&self, key: &K) -> u32 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(key).copied().unwrap_or_default()
    }

    /// It is well, or gone.
    pub(super) fn reset(&self, key: &K) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}

impl<K> Default for Backoff<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_waits_longer_by_itself() {
        let backoff = Backoff::default();
        let waits: Vec<u64> = (0..7).map(|_| backoff.next("a").as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 30, 30]);
        assert_eq!((backoff.count(&"a"), backoff.count(&"b")), (7, 0));
        assert_eq!(backoff.next("b").as_secs(), 1);
        backoff.reset(&"a");
        assert_eq!(backoff.next("a").as_secs(), 1);
    }
}
