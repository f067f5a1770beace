//! The slot of one session's thread, and the clock that detects a hanging call of the PKCS#11 library. Each call restarts the
//! clock: opening a session and finding its keys take hundreds of calls, and slow calls that return are not a hang.

use crate::keystore::pkcs11::health::SlotNumber;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// What a thread calls the library for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LibraryCall {
    /// Until another thread has left a library that cannot lock.
    Waiting,
    Opening,
    Finding,
    Signing,
    Closing,
}

impl LibraryCall {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Waiting => "a call of another thread",
            Self::Opening => "opening a session",
            Self::Finding => "finding a key",
            Self::Signing => "signing",
            Self::Closing => "closing a session",
        }
    }
}

/// One thread at a time in the library, from when that is required: some libraries cannot lock (`CKR_CANT_LOCK`).
#[derive(Default)]
pub(super) struct OneCallAtATime {
    is_required: AtomicBool,
    turn: Mutex<()>,
}

impl OneCallAtATime {
    /// Called by a thread that no other is in the library beside.
    pub(super) fn require(&self) {
        if !self.is_required.swap(true, Ordering::SeqCst) {
            tracing::warn!("the PKCS#11 library cannot lock (CKR_CANT_LOCK): its sessions sign one after the other");
        }
    }

    pub(super) fn is_required(&self) -> bool {
        self.is_required.load(Ordering::SeqCst)
    }

    fn begin(&self) -> Option<MutexGuard<'_, ()>> {
        self.is_required().then(|| self.turn.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What one thread calls the library for, and since when the present call lasts.
#[derive(Default)]
pub(super) struct CallClock {
    now: Mutex<Option<(LibraryCall, Instant)>>,
    one_call: Arc<OneCallAtATime>,
    has_turn: AtomicBool,
}

impl CallClock {
    /// Runs `act`, which calls the library for `call`: by one call, or by several that each go through [`Self::call`].
    pub(super) fn during<T>(&self, call: LibraryCall, act: impl FnOnce() -> T) -> T {
        self.set(Some((LibraryCall::Waiting, Instant::now())));
        let turn = self.one_call.begin();
        self.has_turn.store(turn.is_some(), Ordering::SeqCst);
        self.set(Some((call, Instant::now())));
        let done = act();
        self.set(None);
        done
    }

    /// Whether no other thread is in the library, because it cannot lock.
    pub(super) fn has_turn(&self) -> bool {
        self.has_turn.load(Ordering::SeqCst)
    }

    /// Runs one call of several.
    pub(super) fn call<T>(&self, act: impl FnOnce() -> T) -> T {
        let restart = || {
            if let Some((_, since)) = &mut *self.now.lock().unwrap_or_else(PoisonError::into_inner) {
                *since = Instant::now();
            }
        };
        restart();
        let done = act();
        restart();
        done
    }

    /// `None` where the thread is not in the library.
    pub(super) fn now(&self) -> Option<(LibraryCall, Instant)> {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, value: Option<(LibraryCall, Instant)>) {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner) = value;
    }
}

/// A thread's place, as others see it.
pub(super) struct WorkerSlot {
    pub(super) number: SlotNumber,
    pub(super) clock: CallClock,
    abandoned: AtomicBool,
}

impl WorkerSlot {
    pub(super) fn new(number: SlotNumber, one_call: Arc<OneCallAtATime>) -> Self {
        let clock = CallClock { one_call, ..CallClock::default() };
        Self { number, clock, abandoned: AtomicBool::new(false) }
    }

    /// Another thread takes its place: this one ends when it comes back.
    pub(super) fn abandon(&self) {
        self.abandoned.store(true, Ordering::SeqCst);
    }

    pub(super) fn is_abandoned(&self) -> bool {
        self.abandoned.load(Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn each_call_restarts_the_clock_and_one_that_lasts_does_not() {
        let clock = CallClock::default();
        let age = || clock.now().map(|(_, since)| since.elapsed());
        let pause = Duration::from_millis(20);
        clock.during(LibraryCall::Finding, || {
            for _ in 0..3 {
                clock.call(|| {
                    std::thread::sleep(pause);
                    assert!(age().unwrap() >= pause);
                });
                assert!(age().unwrap() < pause, "the next call has not begun");
            }
        });
        assert_eq!(age(), None);
        clock.call(|| assert_eq!(age(), None, "of nobody who is watched"));
    }
}
