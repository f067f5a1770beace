//! Keeps the memory of this process from others: secret keys and the PIN are in it. Root of the host can read it all the same.

use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit};

/// From now on no other process of this user can read or trace this one, and it leaves no core dump. The limit of locked memory becomes
/// what the system allows at most.
pub fn keep_private() {
    if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        tracing::warn!(%error, "other processes of this user can read the memory of this one");
    }
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    if getrlimit(Resource::Core) != none
        && let Err(error) = setrlimit(Resource::Core, none)
    {
        tracing::warn!(%error, "the limit of core dumps could not be set to zero");
    }
    let limit = getrlimit(Resource::Memlock);
    // Whether it was enough shows when memory is locked.
    let _ = setrlimit(Resource::Memlock, Rlimit { current: limit.maximum, ..limit });
}
