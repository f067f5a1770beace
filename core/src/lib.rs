//! What may be signed with a Tezos baking key.
//!
//! Pure rules: no I/O, no clock, no async, no Kubernetes. The whole decision is here, so that it can be read, fuzzed and
//! model-checked by itself:
//!
//! * [`payload`] says what the bytes of a request are;
//! * [`policy`] says whether a key may sign such a thing at all;
//! * [`watermark`] says whether it would be a second signature for one level and round;
//! * [`record`] is the text form of what must be remembered between two signatures;
//! * [`interchange`] is the file by which records move from one signer to another;
//! * [`migrate`] turns other signers' configurations into ours;
//! * [`authentication`] says whether a request is one of a client that may ask;
//! * [`audit`] is the log of every request, chained so that an edit of it is found;
//! * [`chain`] is what blocks prove of the signatures that are in them;
//! * [`config`] is the signer's configuration file, which the operator writes with the type that the signer reads;
//! * [`key`] holds the keys, hashes and signatures of Tezos, and their base58check text.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod audit;
pub mod authentication;
mod base58;
pub mod chain;
pub mod config;
pub mod interchange;
pub mod key;
mod listener;
pub mod migrate;
pub mod payload;
pub mod policy;
pub mod position;
pub mod record;
pub mod watermark;
