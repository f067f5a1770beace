//! `tezos-signer`: signs Tezos blocks and votes with a key in an HSM, and never two for one level and round.
//!
//! The signing path is [`signer::Signer::sign`], from top to bottom. What it decides by is in `tezos-signer-core`; what it
//! asks is in [`hsm`] (the token) and [`store`] (the watermark records), the latter through [`custody`]. What another replica
//! serves, that one is asked for: [`peer`]. [`serve`] puts a process together.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod audit;
pub mod config_file;
pub mod custody;
pub mod ending;
pub mod files;
pub mod hsm;
pub mod http;
pub mod lease;
mod lookout;
pub mod metrics;
pub mod node;
pub mod peer;
pub mod record_metrics;
mod records;
mod reload;
pub mod serve;
mod service_manager;
pub mod signer;
pub mod store;
mod trail;
