//! The two listeners: [`signing`] speaks Octez' remote signer protocol, [`admin`] answers probes, Prometheus and the operator.

pub mod admin;
pub mod signing;
