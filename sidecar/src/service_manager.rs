//! What a service manager is told that started this process, such as systemd: that signing works, that the configuration is read
//! again, that the process lives, and in one sentence how it is. Nothing where there is none (`NOTIFY_SOCKET`).

use crate::http::admin::Admin;
use sd_notify::NotifyState;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// How often it is looked, before signing works and from then on.
const LOOK_AT_START: Duration = Duration::from_millis(100);
const LOOK: Duration = Duration::from_secs(2);

/// How often the process shows that it lives, within the time after which it would be ended.
const SIGNS_OF_LIFE: u32 = 3;

/// Tells of the start, and of all that follows, for as long as the process lives. In `refusal` is why the configuration file, as it is
/// now, does not apply.
pub(crate) async fn accompany(admin: Arc<Admin>, mut refusal: watch::Receiver<Option<String>>) {
    if std::env::var_os("NOTIFY_SOCKET").is_none() {
        return;
    }
    let watchdog = sd_notify::watchdog_enabled().map(|time| time / SIGNS_OF_LIFE);
    let mut told = String::new();
    let mut is_ready = false;
    loop {
        let reasons = admin.reasons();
        let mut status = if reasons.is_empty() { "signs".to_owned() } else { reasons.join("; ") };
        if let Some(reason) = &*refusal.borrow_and_update() {
            status = format!("{status}; the changed configuration was refused: {reason}");
        }
        if status != told {
            told = status;
            // A line end would begin another message.
            tell(&[NotifyState::Status(&told.replace('\n', " "))]);
        }
        // A standby has started: who waits for this service must not wait for the other host to fail.
        if !is_ready && (admin.started(&reasons) || admin.stands_by()) {
            is_ready = true;
            tell(&[NotifyState::Ready]);
        }
        if watchdog.is_some() {
            tell(&[NotifyState::Watchdog]);
        }
        let look = if is_ready { LOOK } else { LOOK_AT_START };
        tokio::select! {
            () = tokio::time::sleep(watchdog.map_or(look, |watchdog| watchdog.min(look))) => {}
            Ok(()) = refusal.changed() => {}
        }
    }
}

/// The configuration is being read again.
pub(crate) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => tracing::debug!(%error, "the clock cannot be read"),
    }
}

/// It was.
pub(crate) fn reloaded() {
    tell(&[NotifyState::Ready]);
}

/// The process ends.
pub(crate) fn stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("ending")]);
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "the service manager cannot be told");
    }
}
