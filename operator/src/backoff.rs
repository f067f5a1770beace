//! Exponential back-off, with a counter for each TezosSigner.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(30);

/// Failures in a row, by key.
#[derive(Debug)]
pub(crate) struct Backoff<K>(Mutex<HashMap<K, u32>>);

impl<K: Eq + Hash> Backoff<K> {
    /// Counts a failure, and returns how long to wait: 1 s, 2 s, 4 s, … 30 s.
    pub(crate) fn next(&self, key: K) -> Duration {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(key).or_insert(0);
        let wait = FIRST.saturating_mul(1 << (*count).min(16)).min(LONGEST);
        *count += 1;
        wait
    }

    /// The number of failures in a row.
    pub(crate) fn count(&self, key: &K) -> u32 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(key).copied().unwrap_or_default()
    }

    /// Sets the counter of `key` back to 0.
    pub(crate) fn reset(&self, key: &K) {
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
