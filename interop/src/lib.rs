//! Watermarks and configurations of other Tezos signers.
//!
//! Pure, like `tezos-signer-core`: text in, text out. The command line uses it (`watermarks import`, `watermarks export`, `migrate`); the
//! process that signs does not.
//!
//! * [`interchange`] is the file by which watermark records move from one signer to another, and the files of other signers;
//! * [`migrate`] turns the configuration of another signer into ours.

pub mod interchange;
pub mod migrate;
