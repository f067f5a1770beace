//! `tezos-signer`: a remote signer for Tezos bakers, with keys in an HSM. It never signs two different payloads for one level and round.
//!
//! The signing path is [`signing::Signer::sign`], from top to bottom. What may be signed is decided in `tezos-signer-core`.
//!
//! | module | what it does |
//! |---|---|
//! | [`serve`] | puts a process together, from its start to its orderly end |
//! | [`signing`] | the signing path: who serves the key; decide, sign, commit; the answer |
//! | [`keyring`] | the configured keys, each with its record |
//! | [`keystore`] | where private keys are. Knows no HTTP and no record |
//! | [`records`] | one watermark record in this process: its session under lock and lease |
//! | [`lease`] | when a lease is taken, renewed and released |
//! | [`store`] | where records are stored: ConfigMaps or files |
//! | [`net`] | listeners, TLS, connections and their limits. Knows nothing of signing |
//! | [`http`], [`peer`] | the signing API, the admin API; another replica as client and as server |
//! | `attestations`, [`audit`], [`metrics`], `systemd`, [`exit`] | what the process reports, and how it ends |
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod attestations;
pub mod audit;
pub mod chain_check;
pub mod config_file;
mod excerpt;
pub mod exit;
pub mod file_permissions;
pub mod http;
pub mod keyring;
pub mod keystore;
pub mod lease;
pub mod metrics;
pub mod net;
pub mod own_stdout;
pub mod peer;
pub mod process_memory;
mod readiness;
pub mod records;
mod reload;
pub mod request;
pub mod serve;
pub mod signing;
pub mod stage;
pub mod store;
mod systemd;
mod user_agent;
