//! The operator: turns TezosSigners into pods that sign, and says of each how it is.
//!
//! * [`api`] is what users write: the TezosSigner and its schema;
//! * [`controller`] makes it true;
//! * [`health`] answers the probes of the operator's own pod, and whoever asks for its [`metrics`].
//! * [`uninstall`] says whether it may go.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod api;
pub mod controller;
pub mod health;
pub mod metrics;
pub mod uninstall;
