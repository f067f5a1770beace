//! When a standby looks at a record: as soon as the store tells of a change, and as often as it polls where the store cannot tell, or
//! has told nothing for longer than a holder may be silent. What is told only says when to look.

use crate::custody::{Custody, LeaseTerms};
use crate::lease::may_take;
use crate::store::{Hints, Snapshot};
use futures::StreamExt as _;
use std::future::pending;
use std::time::{Duration, Instant};
use tezos_signer_core::record::Lease;

/// After how long a watch that ended is opened again, at the soonest.
const OPEN_AGAIN: Duration = Duration::from_secs(2);

/// The watch of one record.
#[derive(Default)]
pub(crate) struct Lookout {
    hints: Option<Hints>,
    opened: Option<Instant>,
    /// When the last change was told.
    heard: Option<Instant>,
}

impl Lookout {
    /// Watches what comes after the state `seen`, unless it is watched already.
    pub(crate) fn follow(&mut self, custody: &Custody, seen: &Snapshot) {
        if self.hints.is_none() && self.opened.is_none_or(|opened| opened.elapsed() >= OPEN_AGAIN) {
            self.hints = custody.watch(seen);
            self.opened = Some(Instant::now());
        }
    }

    /// Forgets the watch.
    pub(crate) fn end(&mut self) {
        (self.hints, self.heard) = (None, None);
    }

    /// Waits for the next look of a standby that otherwise looks every `look`: until a change is told, but then not more often than
    /// that, unless the lease may now be taken.
    pub(crate) async fn wait(&mut self, terms: &LeaseTerms, look: Duration) {
        let next = Instant::now() + look;
        let mut changed = false;
        loop {
            let renewal = self.heard.filter(|_| !changed).map(|heard| heard + terms.duration / 3 + look);
            tokio::select! {
                () = tokio::time::sleep_until(renewal.map_or(next, |renewal| renewal.max(next)).into()) => {
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
                    if may_take(&lease, terms, Duration::ZERO) {
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
