//! What the status remembers of claimed records: a record that was seen once is never created again.

use crate::api::{KeyStatus, TezosSignerStatus};

/// `status`, with `claimed` among the records that it remembers.
pub fn remember(status: &TezosSignerStatus, claimed: KeyStatus) -> TezosSignerStatus {
    let mut status = status.clone();
    match status.keys.iter_mut().find(|key| key.record == claimed.record) {
        Some(key) => {
            let KeyStatus { chain, public_key_hash, record, record_uid, .. } = claimed;
            *key = KeyStatus { chain, public_key_hash, record, record_uid, ..key.clone() };
        }
        None => status.keys.push(claimed),
    }
    status
}

/// `status`, without the record of that name.
pub fn forget(status: &TezosSignerStatus, record: &str) -> TezosSignerStatus {
    let mut status = status.clone();
    status.keys.retain(|key| key.record != record);
    status
}
