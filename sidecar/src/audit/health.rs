//! Whether the audit log can be written, and how many lines were lost. Only failures of the log itself count; a request that
//! had no time left for its line does not.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// If a write takes longer, the log counts as one that cannot be written.
const STALLED: Duration = Duration::from_secs(1);

/// The state that the writer and its callers share.
#[derive(Default)]
pub(super) struct Health(Mutex<State>);

#[derive(Default)]
struct State {
    /// How many lines were lost since the newest one that was written, and why the first of them was.
    lost: Option<(u64, String)>,
    lost_since_start: u64,
    /// What the system said to the newest write, if that failed.
    problem: Option<String>,
    /// Since when the writer has been writing, or waiting for the disk.
    busy_since: Option<Instant>,
    /// Whether the stall of the audit log was logged.
    stall_is_logged: bool,
}

impl State {
    fn stalled_for(&self) -> Option<Duration> {
        self.busy_since.map(|since| since.elapsed()).filter(|time| *time >= STALLED)
    }
}

/// The writer is writing, until this is dropped.
pub(super) struct Busy<'a>(&'a Health);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        if let Some(time) = state.stalled_for() {
            tracing::warn!(seconds = time.as_secs_f64(), "the audit log accepts lines again");
        }
        (state.busy_since, state.stall_is_logged) = (None, false);
    }
}

impl Health {
    fn state(&self) -> MutexGuard<'_, State> {
        // Each change is whole before anything could panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The writer begins to write, or to wait for the disk.
    pub(super) fn busy(&self) -> Busy<'_> {
        self.state().busy_since.get_or_insert_with(Instant::now);
        Busy(self)
    }

    /// Why the log cannot be written now; `None` when it can.
    pub(super) fn problem(&self) -> Option<String> {
        let state = self.state();
        let stalled = || {
            let seconds = STALLED.as_secs();
            state.stalled_for().map(|_| format!("a write has not finished for more than {seconds} s"))
        };
        state.problem.clone().or_else(stalled)
    }

    /// Writes to the log for people that the audit log stalls, if it does: once.
    pub(super) fn log_stall(&self) {
        let mut state = self.state();
        if let Some(time) = state.stalled_for()
            && !std::mem::replace(&mut state.stall_is_logged, true)
        {
            let seconds = time.as_secs_f64();
            tracing::error!(seconds, "the audit log accepts no lines: new signatures are refused until it does");
        }
    }

    /// A write has failed.
    pub(super) fn fail(&self, reason: &str) {
        let mut state = self.state();
        if state.problem.as_deref() != Some(reason) {
            tracing::error!(reason, "the audit log cannot be written: new signatures are refused");
            state.problem = Some(reason.to_owned());
        }
    }

    /// A write has succeeded.
    pub(super) fn recovered(&self) {
        if self.state().problem.take().is_some() {
            tracing::info!("the audit log can be written again");
        }
    }

    /// These lines will never be written.
    pub(super) fn lose(&self, lines: u64, reason: &str) {
        if lines == 0 {
            return;
        }
        let mut state = self.state();
        state.lost_since_start += lines;
        if state.lost.is_none() {
            tracing::warn!(reason, "lines of the audit log were lost");
        }
        state.lost.get_or_insert_with(|| (0, reason.to_owned())).0 += lines;
    }

    /// The number of lost lines that are not recorded as a gap yet, and the reason.
    pub(super) fn lost_lines(&self) -> Option<(u64, String)> {
        self.state().lost.clone()
    }

    /// A gap line has recorded this number of lost lines.
    pub(super) fn wrote(&self, lines: u64) {
        let mut state = self.state();
        state.lost = state.lost.take().filter(|(lost, _)| *lost > lines).map(|(lost, reason)| (lost - lines, reason));
    }

    /// How many lines were lost since the process started.
    pub(super) fn lost_since_start(&self) -> u64 {
        self.state().lost_since_start
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_write_of_its_own_that_takes_long_is_a_problem() {
        let health = Health::default();
        assert_eq!(health.problem(), None);
        let busy = health.busy();
        assert_eq!(health.problem(), None, "it has just begun");
        health.state().busy_since = Instant::now().checked_sub(STALLED);
        assert_eq!(health.problem().unwrap(), "a write has not finished for more than 1 s");
        drop(busy);
        assert_eq!(health.problem(), None);
    }

    #[test]
    fn lines_that_are_lost_while_others_are_written_are_counted_once() {
        let health = Health::default();
        health.lose(0, "nothing");
        assert_eq!(health.lost_lines(), None);
        health.lose(3, "full");
        health.lose(2, "later");
        assert_eq!(health.lost_lines(), Some((5, "full".to_owned())));
        health.lose(1, "meanwhile");
        health.wrote(5);
        assert_eq!((health.lost_lines(), health.lost_since_start()), (Some((1, "full".to_owned())), 6));
        health.wrote(1);
        assert_eq!((health.lost_lines(), health.problem()), (None, None));
    }
}
