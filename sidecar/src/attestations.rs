//! When this process last gave out an attestation with each key, with a DAL part and without. `/status` reports it, so that the operator
//! notices a baker that never attests with DAL. It is not stored: after a restart nothing is known.

use jiff::Timestamp;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use tezos_signer_core::key::{Curve, PublicKeyHash};
use tezos_signer_core::status::AttestationTimes;

/// The times of all keys that this process has attested with.
#[derive(Debug)]
pub(crate) struct Attestations {
    since: Timestamp,
    last: Mutex<BTreeMap<PublicKeyHash, Last>>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Last {
    without_dal: Option<Timestamp>,
    with_dal: Option<Timestamp>,
}

impl Attestations {
    /// Nothing is known from before `since`.
    pub(crate) fn new(since: Timestamp) -> Self {
        Self { since: whole_second(since), last: Mutex::default() }
    }

    /// An attestation by `key` leaves at `now`.
    pub(crate) fn signed(&self, key: PublicKeyHash, with_dal: bool, now: Timestamp) {
        let mut all = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let last = all.entry(key).or_default();
        let last = if with_dal { &mut last.with_dal } else { &mut last.without_dal };
        *last = Some(whole_second(now));
    }

    /// The times of `key`, which is no companion key. A tz4 key attests with DAL by its companion keys, which sign nothing else;
    /// `companions` are those of the configuration.
    pub(crate) fn of(&self, key: PublicKeyHash, companions: impl Iterator<Item = PublicKeyHash>) -> AttestationTimes {
        let all = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let last = |key: &PublicKeyHash| all.get(key).copied().unwrap_or_default();
        let with_dal = match key.curve() {
            Curve::Bls12381 => companions.filter_map(|companion| last(&companion).without_dal).max(),
            _ => last(&key).with_dal,
        };
        AttestationTimes { since: self.since, without_dal: last(&key).without_dal, with_dal }
    }
}

fn whole_second(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + second).unwrap()
    }

    #[test]
    fn a_tz3_key_attests_with_dal_itself_and_a_tz4_key_by_its_companion() {
        let [tz3, tz4, companion]: [PublicKeyHash; 3] = [
            "tz3ZxowXGSjiVq227GQcwKdz87rKhq62rY4t",
            "tz4MWSKxK1nGvoSb2RYdWBqHiA1SAvVJnjpy",
            "tz4VnwAwMUpNfMgzc7dvqF951CteFHBKowv4",
        ]
        .map(|hash| hash.parse().unwrap());
        let times = Attestations::new(at(0));
        let of = |key| times.of(key, [companion].into_iter());
        let expected = |without: Option<i64>, with: Option<i64>| AttestationTimes {
            since: at(0),
            without_dal: without.map(at),
            with_dal: with.map(at),
        };
        assert_eq!(of(tz3), expected(None, None));
        times.signed(tz3, false, at(1));
        assert_eq!(of(tz3), expected(Some(1), None));
        times.signed(tz3, true, at(2));
        assert_eq!(of(tz3), expected(Some(1), Some(2)));
        times.signed(tz4, false, at(3));
        assert_eq!(of(tz4), expected(Some(3), None));
        times.signed(companion, false, at(4));
        assert_eq!(of(tz4), expected(Some(3), Some(4)));
        assert_eq!(times.of(tz4, std::iter::empty()), expected(Some(3), None), "without a companion key");
        assert_eq!(of(tz3), expected(Some(1), Some(2)), "of another key");
    }
}
