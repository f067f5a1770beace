//! The time that a request spends in each stage, so that the response to a late request names the stage that took the time. A
//! stage that began when the earlier ones had left no time is not named.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// A stage that a request waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Earlier requests for the same key, which have its record locked.
    Turn,
    /// A read of the record, and after a silence a renewal of its lease.
    Record,
    /// The signature of the token.
    Token,
    /// The intent's way to the disk.
    Audit,
    /// The write of the record.
    Commit,
    /// Another signer that serves the key, or is about to.
    Holder,
}

impl Stage {
    const ALL: [Self; 6] = [Self::Turn, Self::Record, Self::Token, Self::Audit, Self::Commit, Self::Holder];

    fn index(self) -> usize {
        self as usize
    }
}

/// The kind of store that has the records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Medium {
    /// Files in a directory.
    Disk,
    /// The same, while another process has the file locked.
    LockedFile,
    /// ConfigMaps behind the API server.
    ApiServer,
}

/// A stage, named for people: the place that takes the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StageAt {
    /// The stage of the request.
    pub stage: Stage,
    /// Where the record is.
    pub medium: Medium,
}

impl fmt::Display for StageAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (self.stage, self.medium) {
            (Stage::Turn, Medium::Disk | Medium::LockedFile) => "waiting for earlier requests for this key",
            (Stage::Turn, Medium::ApiServer) => "waiting for earlier requests for this key or the renewal of its lease",
            (Stage::Record, Medium::Disk) => "reading the watermark record from the disk",
            (Stage::Record, Medium::ApiServer) => "reading the watermark record from the API server",
            (Stage::Record | Stage::Commit, Medium::LockedFile) => {
                "waiting for another process that has the file of the watermark record locked"
            }
            (Stage::Token, _) => "the token's signature",
            (Stage::Audit, _) => "writing the audit log",
            (Stage::Commit, Medium::Disk) => "the commit to the disk of the watermark records",
            (Stage::Commit, Medium::ApiServer) => "the commit to the API server",
            (Stage::Holder, _) => "the request to the holder",
        })
    }
}

/// How long the stages of one request took. Clones count together.
#[derive(Debug, Clone, Default)]
pub(crate) struct StageTimes(Arc<[AtomicU64; Stage::ALL.len()]>);

impl StageTimes {
    /// The stage that took the most time, and how much.
    pub(crate) fn slowest(&self) -> (Stage, Duration) {
        let times = Stage::ALL.map(|stage| (self.0[stage.index()].load(Ordering::Relaxed), stage));
        let (micros, stage) = times.into_iter().max_by_key(|(micros, _)| *micros).unwrap_or((0, Stage::Turn));
        (stage, Duration::from_micros(micros))
    }

    /// Runs `work`. Its time counts for `stage`, even if it is cancelled. Meanwhile `pace` shows that the key waits for it.
    pub(crate) async fn during<T>(&self, stage: Stage, pace: &Pace, work: impl Future<Output = T>) -> T {
        let _running = Running::begin(self, stage, pace);
        work.await
    }
}

/// A stage under way, until this is dropped.
struct Running<'a> {
    times: &'a StageTimes,
    pace: &'a Pace,
    stage: Stage,
    began: Instant,
}

impl<'a> Running<'a> {
    fn begin(times: &'a StageTimes, stage: Stage, pace: &'a Pace) -> Self {
        let began = Instant::now();
        // Requests that wait for the one that has its turn say nothing that this one does not.
        if stage != Stage::Turn {
            pace.state().running[stage.index()] = Some(began);
        }
        Self { times, pace, stage, began }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let micros = u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.times.0[self.stage.index()].fetch_add(micros, Ordering::Relaxed);
        let running = &mut self.pace.state().running[self.stage.index()];
        if *running == Some(self.began) {
            *running = None;
        }
    }
}

/// A stage that takes longer is reported in `/status` and by the probes.
const SLOW: Duration = Duration::from_secs(1);

/// How long a late request is reported there, unless a later one was in time.
const REMEMBERED: Duration = Duration::from_mins(1);

/// How fast the requests for one key are answered now.
#[derive(Default)]
pub struct Pace(Mutex<PaceState>);

#[derive(Default)]
struct PaceState {
    /// Since when each stage has been under way.
    running: [Option<Instant>; Stage::ALL.len()],
    /// When a request was late the last time, and why.
    late: Option<(Instant, String)>,
}

impl Pace {
    fn state(&self) -> MutexGuard<'_, PaceState> {
        // Each change is whole before anything could panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the requests for the key wait for now, and for how long already.
    pub fn slowest_running(&self) -> Option<(Stage, Duration)> {
        let state = self.state();
        let running = Stage::ALL.into_iter().filter_map(|stage| Some((stage, state.running[stage.index()]?)));
        running.min_by_key(|(_, began)| *began).map(|(stage, began)| (stage, began.elapsed()))
    }

    /// The newest request was not answered in time: why.
    pub(crate) fn late(&self, why: String) {
        self.state().late = Some((Instant::now(), why));
    }

    /// A new signature was given in time.
    pub(crate) fn in_time(&self) {
        self.state().late = None;
    }

    /// Why requests for the key are not answered in time; `None` while they are.
    pub fn reason(&self, medium: Medium) -> Option<String> {
        if let Some((stage, _)) = self.slowest_running().filter(|(_, time)| *time >= SLOW) {
            let seconds = SLOW.as_secs();
            return Some(format!("{} has taken more than {seconds} s so far", StageAt { stage, medium }));
        }
        let state = self.state();
        let (_, why) = state.late.as_ref().filter(|(when, _)| when.elapsed() < REMEMBERED)?;
        Some(format!("the last request for a new signature was late: {why}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_stage_counts_for_as_long_as_it_runs_and_also_when_it_is_given_up() {
        let (times, pace) = (StageTimes::default(), Pace::default());
        times.during(Stage::Commit, &pace, tokio::time::sleep(Duration::from_millis(20))).await;
        let hangs = times.during(Stage::Audit, &pace, std::future::pending::<()>());
        assert!(tokio::time::timeout(Duration::from_millis(60), hangs).await.is_err());
        let (stage, took) = times.clone().slowest();
        assert_eq!(stage, Stage::Audit);
        assert!(took >= Duration::from_millis(50), "{took:?}");
        assert_eq!(pace.slowest_running(), None);
    }

    #[test]
    fn a_stage_that_runs_for_long_is_named_and_a_late_request_until_one_is_in_time() {
        let (times, pace) = (StageTimes::default(), Pace::default());
        let running = Running::begin(&times, Stage::Commit, &pace);
        assert_eq!(pace.reason(Medium::Disk), None);
        pace.state().running[Stage::Commit.index()] = Instant::now().checked_sub(SLOW);
        assert!(pace.reason(Medium::Disk).unwrap().starts_with("the commit to the disk"));
        pace.state().running[Stage::Commit.index()] = Some(running.began);
        drop(running);
        pace.late("the disk".to_owned());
        assert!(pace.reason(Medium::Disk).unwrap().ends_with("was late: the disk"));
        pace.in_time();
        assert_eq!(pace.reason(Medium::Disk), None);
        pace.late("the disk".to_owned());
        pace.state().late.as_mut().unwrap().0 -= REMEMBERED;
        assert_eq!(pace.reason(Medium::Disk), None, "long ago");
    }
}
