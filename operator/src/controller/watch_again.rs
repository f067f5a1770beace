//! How long to wait until the API server is asked again after a watch of it has failed.

use kube::runtime::utils::Backoff;
use std::time::Duration;

/// The same time each time. ◆ All watches of the controller share it: whichever fails, all wait. With waits that grow, each of
/// them failing once or twice is minutes in which nothing is noticed, after an API server that was away for seconds.
#[derive(Debug)]
pub(super) struct WatchAgain;

const WAIT: Duration = Duration::from_millis(500);

impl Iterator for WatchAgain {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        Some(WAIT)
    }
}

impl Backoff for WatchAgain {
    fn reset(&mut self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_makes_no_wait_longer() {
        assert!(WatchAgain.take(1000).all(|wait| wait == WAIT));
    }
}
