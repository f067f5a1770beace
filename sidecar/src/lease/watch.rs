//! When a standby reads a record: after each change that the store reports, and at intervals if the store cannot report
//! changes, or has reported none for longer than a holder may be silent. A report is only a reason to read.

use crate::records::session::{LeaseTerms, RecordSession};
use crate::store::{Hints, Snapshot};
use futures::StreamExt as _;
use std::future::pending;
use std::time::Duration;
use tezos_signer_core::record::Lease;
use tokio::time::Instant;

/// After how long a watch that ended is opened again, at the soonest.
const OPEN_AGAIN: Duration = Duration::from_secs(2);

/// The watch of one record.
#[derive(Default)]
pub(crate) struct LeaseWatch {
    hints: Option<Hints>,
    opened: Option<Instant>,
    /// When the last change was reported.
    heard: Option<Instant>,
}

impl LeaseWatch {
    /// Watches what comes after the state `seen`, unless it is watched already.
    pub(crate) fn follow(&mut self, session: &RecordSession, seen: &Snapshot) {
        if self.hints.is_none() && self.opened.is_none_or(|opened| opened.elapsed() >= OPEN_AGAIN) {
            self.hints = session.watch(seen);
            self.opened = Some(Instant::now());
        }
    }

    /// Drops the watch; the record is read by the clock alone until a new one begins.
    pub(crate) fn end(&mut self) {
        (self.hints, self.heard) = (None, None);
    }

    /// Waits for the next read of a standby, which polls every `look` without a watch. With a watch it waits until a change is reported, but
    /// reads at most every `look`, unless the lease may be taken now.
    pub(crate) async fn wait(&mut self, terms: &LeaseTerms, look: Duration) {
        let next = Instant::now() + look;
        let mut changed = false;
        loop {
            let renewal = self.heard.filter(|_| !changed).map(|heard| heard + terms.renewal_interval() + look);
            tokio::select! {
                () = tokio::time::sleep_until(renewal.map_or(next, |renewal| renewal.max(next))) => {
                    // A renewal is missing: the holder's, or its news.
                    if renewal.is_some() {
                        self.end();
                    }
                    return;
                }
                hint = Self::next(&mut self.hints) => {
                    let Some(lease) = hint else {
                        self.end();
                        continue;
                    };
                    self.heard = Some(Instant::now());
                    if terms.may_take(&lease, Duration::ZERO) {
                        return;
                    }
                    changed = true;
                }
            }
        }
    }

    async fn next(hints: &mut Option<Hints>) -> Option<Lease> {
        match hints {
            Some(hints) => hints.next().await,
            None => pending().await,
        }
    }
}
