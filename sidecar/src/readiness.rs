//! Reports to the service manager that signing works, that the process is alive, and its status in one sentence. Without a
//! service manager it does nothing.

use crate::http::admin::Admin;
use crate::systemd::notify;
use sd_notify::NotifyState;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// The interval of checks, before signing works and after that.
const LOOK_AT_START: Duration = Duration::from_millis(100);
const LOOK: Duration = Duration::from_secs(2);

/// How often the process shows that it lives, within the time after which it would be ended.
const SIGNS_OF_LIFE: u32 = 3;

/// Tells of the start, and of all that follows, for as long as the process lives. In `refusal` is why the configuration file, as it is
/// now, does not apply.
pub(crate) async fn report(admin: Arc<Admin>, mut refusal: watch::Receiver<Option<String>>) {
    if std::env::var_os("NOTIFY_SOCKET").is_none() {
        return;
    }
    let watchdog = sd_notify::watchdog_enabled().map(|time| time / SIGNS_OF_LIFE);
    let mut reported = String::new();
    let mut is_ready = false;
    loop {
        let reasons = admin.reasons();
        let mut status = if reasons.is_empty() { "signs".to_owned() } else { reasons.join("; ") };
        if let Some(reason) = &*refusal.borrow_and_update() {
            status = format!("{status}; the changed configuration was rejected: {reason}");
        }
        if status != reported {
            reported = status;
            // A line end would begin another message.
            notify(&[NotifyState::Status(&reported.replace('\n', " "))]);
        }
        // A standby has started: other units that wait for this service must not wait until the other host fails.
        if !is_ready && (admin.started(&reasons) || admin.stands_by()) {
            is_ready = true;
            notify(&[NotifyState::Ready]);
        }
        if watchdog.is_some() {
            notify(&[NotifyState::Watchdog]);
        }
        let look = if is_ready { LOOK } else { LOOK_AT_START };
        tokio::select! {
            () = tokio::time::sleep(watchdog.map_or(look, |watchdog| watchdog.min(look))) => {}
            Ok(()) = refusal.changed() => {}
        }
    }
}
