//! Where the keys of a TezosSigner are: one module for each kind of keystore, with the section of the spec that is of that kind. The spec has
//! a field for each section.

mod aws_kms;
mod pkcs11;

pub use aws_kms::*;
pub use pkcs11::*;
