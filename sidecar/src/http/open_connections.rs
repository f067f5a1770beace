//! The connections of one listener, and which of them is closed when there are too many. A new client is never refused.

use super::client::{Client, Peer};
use super::fault::{Fault, FaultObserver};
use super::phase::{Progress, Usefulness};
use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::task::AbortHandle;

/// How long a new connection may take to its first answer before that counts against it.
const GRACE: Duration = Duration::from_secs(2);

/// All open connections of one listener.
pub(crate) struct OpenConnections {
    max: usize,
    observer: FaultObserver,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    next: u64,
    entries: HashMap<u64, Entry>,
}

struct Entry {
    client: Client,
    progress: Progress,
    task: AbortHandle,
}

impl OpenConnections {
    /// At most `max`, which is more than can be [busy](Usefulness::busy) at once.
    pub(crate) fn new(max: usize, observer: FaultObserver) -> Arc<Self> {
        Arc::new(Self { max, observer, table: Mutex::default() })
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds the connection whose task `spawn` starts; the task keeps its [`Seat`] to its end. If all places are taken, the least
    /// useful connection is closed first.
    pub(crate) fn seat(self: &Arc<Self>, client: Client, progress: Progress, spawn: impl FnOnce(Seat) -> AbortHandle) {
        let displaced = {
            let mut table = self.table();
            let displaced = if table.entries.len() >= self.max { table.take_least_useful() } else { None };
            let id = table.next;
            table.next += 1;
            // Under the lock: a task that ends at once waits in its seat's drop for the entry that it removes.
            let task = spawn(Seat { connections: self.clone(), id });
            table.entries.insert(id, Entry { client, progress, task });
            displaced
        };
        self.close(displaced);
    }

    /// Closes the least useful connection, because the system has no more files for a new one.
    pub(crate) fn make_room(&self) {
        let displaced = self.table().take_least_useful();
        self.close(displaced);
    }

    fn close(&self, displaced: Option<Entry>) {
        if let Some(entry) = displaced {
            entry.task.abort();
            (self.observer)(&entry.client, &Fault::Displaced);
        }
    }
}

impl Table {
    fn take_least_useful(&mut self) -> Option<Entry> {
        let mut crowd: HashMap<Option<IpAddr>, usize> = HashMap::new();
        for entry in self.entries.values() {
            *crowd.entry(host(&entry.client)).or_default() += 1;
        }
        let now = Instant::now();
        let candidates = self.entries.iter().filter_map(|(id, entry)| {
            let connections = crowd.get(&host(&entry.client)).copied().unwrap_or_default();
            Some((rank(entry.progress.usefulness(), connections, now)?, *id))
        });
        let (_, id) = candidates.min()?;
        self.entries.remove(&id)
    }
}

/// The lowest is closed first: of the host with most connections, so that a flood pushes out itself; there what has never
/// completed a request, and of these what has been silent longest. Nothing that is owed an answer.
fn rank(usefulness: Usefulness, connections: usize, now: Instant) -> Option<(Reverse<usize>, bool, Instant)> {
    let new = now.saturating_duration_since(usefulness.since) < GRACE;
    (!usefulness.busy).then_some((Reverse(connections), usefulness.answered || new, usefulness.since))
}

fn host(client: &Client) -> Option<IpAddr> {
    match client.peer {
        Peer::Tcp(address) => Some(address.ip()),
        Peer::Unix => None,
    }
}

/// The place of one connection, given back when dropped.
pub(crate) struct Seat {
    connections: Arc<OpenConnections>,
    id: u64,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.connections.table().entries.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_crowd_goes_first_then_who_never_asked_then_the_longest_silent() {
        let now = Instant::now();
        let ago = |seconds| now.checked_sub(Duration::from_secs(seconds)).unwrap();
        let of = |busy, answered, seconds| Usefulness { busy, answered, since: ago(seconds) };
        let in_order = [
            (of(false, false, 50), 9),
            (of(false, false, 40), 9),
            (of(false, true, 90), 9),
            (of(false, true, 80), 9),
            (of(false, false, 1), 9), // new: it may still ask
            (of(false, false, 99), 1),
            (of(false, true, 99), 1),
        ];
        let ranks: Vec<_> =
            in_order.iter().map(|(usefulness, crowd)| rank(*usefulness, *crowd, now).unwrap()).collect();
        assert!(ranks.is_sorted(), "{ranks:?}");
        assert!(rank(of(true, false, 99), 99, now).is_none(), "an answer is owed");
    }
}
