//! The HTTP APIs. [`routes`] has the paths of Octez' remote signer protocol, [`signing`] their handlers, and [`error_body`]
//! the bodies of refusals. [`peer`] is the API for other replicas. [`admin`] serves probes, metrics and status.

pub mod admin;
pub(crate) mod error_body;
pub mod peer;
pub(crate) mod request_id;
pub mod routes;
pub mod signing;
