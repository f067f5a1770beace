//! Notifies a service manager such as systemd that signing works, that the configuration is being reloaded, that the process
//! is alive, and of its status in one sentence. Without a service manager (`NOTIFY_SOCKET`) it does nothing.

use sd_notify::NotifyState;
use std::os::fd::BorrowedFd;

/// The configuration is being read again.
pub(crate) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => notify(&[NotifyState::Reloading, now]),
        Err(error) => tracing::debug!(%error, "the clock cannot be read"),
    }
}

/// Reports that the reload has ended.
pub(crate) fn reloaded() {
    notify(&[NotifyState::Ready]);
}

/// Reports that the process is ending.
pub(crate) fn stopping() {
    notify(&[NotifyState::Stopping, NotifyState::Status("ending")]);
}

/// Whether the service manager stores sockets of this service: systemd sets `FDSTORE` where the unit has `FileDescriptorStoreMax=`, from
/// version 254 on; the unit of the package sets it for older ones.
fn stores_sockets() -> bool {
    let capacity = std::env::var("FDSTORE").ok().and_then(|text| text.parse::<u32>().ok());
    std::env::var_os("NOTIFY_SOCKET").is_some() && capacity.is_some_and(|capacity| capacity > 0)
}

/// Stores `socket` under `name` with the service manager, which passes it to the next process of the service and closes it when the
/// service is stopped. Returns false if there is no store. A socket that is already stored is not stored again.
pub(crate) fn store_socket(name: &str, socket: BorrowedFd<'_>) -> bool {
    if !stores_sockets() {
        return false;
    }
    // A listening socket never hangs up: the manager need not poll it.
    let states = [NotifyState::FdStore, NotifyState::FdName(name), NotifyState::Custom("FDPOLL=0")];
    let stored = sd_notify::notify_with_fds(&states, &[socket]);
    if let Err(error) = &stored {
        tracing::warn!(name, %error, "the service manager cannot keep the socket: connections will be refused during a restart");
    }
    stored.is_ok()
}

/// Has the service manager close all sockets that are stored under `name`.
pub(crate) fn discard_sockets(name: &str) {
    notify(&[NotifyState::FdStoreRemove, NotifyState::FdName(name)]);
}

pub(crate) fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "the service manager cannot be notified");
    }
}
