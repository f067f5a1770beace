//! The connections of one listener, and which of them is closed if there are too many. New clients are never refused.

use crate::net::client::{Client, Peer};
use crate::net::connection_error::{ConnectionError, ConnectionErrorObserver};
use crate::net::connection_state::{Carried, Progress, Usefulness};
use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::task::AbortHandle;
use tokio::time::Instant;

/// How long a new connection may take to its first answer before that counts against it.
const GRACE: Duration = Duration::from_secs(2);

/// All open connections of one listener.
pub(crate) struct ConnectionLimit {
    max: usize,
    observer: ConnectionErrorObserver,
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

impl ConnectionLimit {
    /// At most `max`, which is more than can be [busy](Usefulness::busy) at once.
    pub(crate) fn new(max: usize, observer: ConnectionErrorObserver) -> Arc<Self> {
        Arc::new(Self { max, observer, table: Mutex::default() })
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds the connection whose task `spawn` starts; the task keeps its [`ConnectionPermit`] to its end. If all places are taken, the least
    /// useful connection is closed first.
    pub(crate) fn admit(
        self: &Arc<Self>,
        client: Client,
        progress: Progress,
        spawn: impl FnOnce(ConnectionPermit) -> AbortHandle,
    ) {
        let displaced = {
            let mut table = self.table();
            let displaced = if table.entries.len() >= self.max { table.take_least_useful() } else { None };
            let id = table.next;
            table.next += 1;
            // Under the lock: a task that ends at once waits in its permit's drop for the entry that it removes.
            let task = spawn(ConnectionPermit { connections: self.clone(), id });
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
            (self.observer)(&entry.client, &ConnectionError::Displaced);
        }
    }
}

impl Table {
    fn take_least_useful(&mut self) -> Option<Entry> {
        let now = Instant::now();
        let mut crowds: HashMap<Option<IpAddr>, usize> = HashMap::new();
        let open: Vec<_> = self
            .entries
            .iter()
            .map(|(id, entry)| {
                let usefulness = entry.progress.usefulness();
                let host = host(&entry.client);
                if usefulness.first_signature.is_none() {
                    *crowds.entry(host).or_default() += 1;
                }
                (*id, usefulness, host)
            })
            .collect();
        let candidates = open.into_iter().filter_map(|(id, usefulness, host)| {
            Some((rank(usefulness, crowds.get(&host).copied().unwrap_or_default(), now)?, id))
        });
        let (_, id) = candidates.min()?;
        self.entries.remove(&id)
    }
}

/// Orders the connections that may be closed; the lowest is closed first.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// One that has carried no signature: of the host with most of them first, so that a flood pushes out itself; there what has never
    /// completed a request, unless it is new, and of these what has been silent longest.
    Stranger(Reverse<usize>, bool, Instant),
    /// A connection that has carried a signature. It is closed only if there is no other, from any address. Without authentication, an
    /// attacker can have a stored signature repeated, so the connection with the oldest first signature is closed last.
    Carrier(Reverse<Instant>),
}

/// `None` for a connection that waits for a response.
///
/// `connections`: how many the host has that have carried no signature.
fn rank(usefulness: Usefulness, connections: usize, now: Instant) -> Option<Rank> {
    let Usefulness { busy, carried, since, first_signature } = usefulness;
    let new = now.saturating_duration_since(since) < GRACE;
    let rank = match first_signature {
        Some(first) => Rank::Carrier(Reverse(first)),
        None => Rank::Stranger(Reverse(connections), carried == Carried::Answer || new, since),
    };
    (!busy).then_some(rank)
}

fn host(client: &Client) -> Option<IpAddr> {
    match client.peer {
        Peer::Tcp(address) => Some(address.ip()),
        Peer::Unix => None,
    }
}

/// The place of one connection, given back when dropped.
pub(crate) struct ConnectionPermit {
    connections: Arc<ConnectionLimit>,
    id: u64,
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        self.connections.table().entries.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_go_first_by_crowd_use_and_silence_and_the_oldest_carrier_of_a_signature_last() {
        let now = Instant::now();
        let ago = |seconds| now.checked_sub(Duration::from_secs(seconds)).unwrap();
        let of = |carried, seconds| Usefulness { busy: false, carried, since: ago(seconds), first_signature: None };
        let carrier =
            |first, seconds| Usefulness { first_signature: Some(ago(first)), ..of(Carried::Signature, seconds) };
        let in_order = [
            (of(Carried::Nothing, 50), 9),
            (of(Carried::Nothing, 40), 9),
            (of(Carried::Answer, 90), 9),
            (of(Carried::Answer, 80), 9),
            (of(Carried::Nothing, 1), 9), // new: it may still ask
            (of(Carried::Nothing, 99), 1),
            (of(Carried::Answer, 99), 1),
            (carrier(1, 1), 1), // after all others, whoever has opened those
            (carrier(2, 0), 9), // it has had a signature given again and again
            (carrier(99, 99), 9),
            (carrier(100, 50), 9),
        ];
        let ranks: Vec<_> =
            in_order.iter().map(|(usefulness, crowd)| rank(*usefulness, *crowd, now).unwrap()).collect();
        assert!(ranks.is_sorted(), "{ranks:?}");
        assert!(rank(Usefulness { busy: true, ..of(Carried::Nothing, 99) }, 99, now).is_none(), "an answer is owed");
    }
}
