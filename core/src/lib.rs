//! What may be signed with a Tezos baking key.
//!
//! Pure rules: no I/O, no clock, no async, no Kubernetes. The whole decision is here, so that it can be read, fuzzed and
//! model-checked by itself:
//!
//! * [`payload`] says what the bytes of a request are;
//! * [`policy`] says whether a key may sign such a thing at all;
//! * [`authentication`] says whether a request is one of a client that may ask;
//! * [`admit`] is the order of these checks, and what passes them all;
//! * [`watermark`] says whether it would be a second signature for one level and round;
//! * [`record`] is what must be remembered between two signatures, and its text;
//! * [`lease`] says which of several signers serves a record, and when another may take over;
//! * [`audit`] is the log of every request, chained so that an edit of it is found; a record holds an [`anchor`] of it;
//! * [`chain_evidence`] is what blocks prove of the signatures that are in them;
//! * [`config`] is the signer's configuration file, which the operator writes with the type that the signer reads;
//! * [`status`] is what a signer reports of itself, which the operator reads with the type that the signer writes;
//! * [`key`] holds the keys, hashes and signatures of Tezos, and their [`base58`] text;
//! * [`sealed`] is the text of a key that only an HSM or AWS KMS can open, and [`aws`] has the names of regions and KMS keys;
//! * [`position`] is where in the chain a block or vote stands: level, round and kind;
//! * [`explain`] says what a payload is, to people and programs;
//! * [`cause`] is what an error keeps of the error that caused it.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod admit;
pub mod anchor;
pub mod audit;
pub mod authentication;
pub mod aws;
pub mod base58;
pub mod cause;
pub mod chain_evidence;
pub mod config;
pub mod explain;
pub mod json;
pub mod key;
pub mod lease;
mod lower_hex;
pub mod payload;
pub mod policy;
pub mod position;
pub mod record;
pub mod sealed;
pub mod serde_text;
pub mod status;
pub mod text;
pub mod watermark;
pub mod yaml;
