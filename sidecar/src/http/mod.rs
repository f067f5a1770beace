//! The two ports. [`listener`] accepts connections of each. [`admin`] answers probes, Prometheus and the operator. The signing port speaks
//! Octez' remote signer protocol: `connection` carries requests, [`port`] has the routes, and [`signing`] what they do.

pub mod admin;
pub mod body;
pub mod client;
mod connection;
pub mod fault;
pub mod listener;
mod open_connections;
mod phase;
pub mod port;
pub mod port_metrics;
pub(crate) mod refusal;
mod replica_name;
pub mod signing;
pub mod slots;
pub mod tls;
mod unix_socket;
