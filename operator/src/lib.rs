//! The operator: reconciles TezosSigners into pods that sign, and reports the state of each in its status.
//!
//! * [`api`] is what users write: the TezosSigner and its schema. [`names`] and [`identity`] are what everything made for it is called.
//! * [`controller`] is the order of the stages, each with a type that the next one takes: [`validate`] → [`build`] → [`dry_run`] →
//!   [`claim`] → [`apply`] → [`observe`] → [`status`].
//! * Beside it stand the ways of a TezosSigner that is paused, deleted or cannot be decoded, and the hand-over of a record whose holder
//!   is lost.
//! * [`watch`] wakes reconciles, and keeps in memory what the watches have seen.
//! * [`health`] serves the probes and the [`metrics`] of the operator's own pod; [`uninstall`] is the check before `helm uninstall`.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod api;
mod api_message;
pub mod apply;
mod backoff;
pub mod build;
pub mod claim;
mod cleanup;
pub mod client;
mod context;
pub mod controller;
pub mod dry_run;
pub mod error;
mod former;
pub mod health;
pub mod http;
pub mod identity;
pub mod image;
mod invalid_object;
mod lease_handover;
mod message;
pub mod metrics;
pub mod names;
pub mod observation;
pub mod observe;
pub mod open_deployment;
mod paused;
pub mod report;
mod requeue;
pub mod scope;
pub mod status;
mod take_in;
pub mod uninstall;
pub mod validate;
pub mod watch;
