//! The leases of records: `keeper` takes, renews and releases them, `watch` determines when a standby reads. The rules are in
//! [`tezos_signer_core::lease`].

mod keeper;
mod watch;

pub use keeper::{keep, release};
