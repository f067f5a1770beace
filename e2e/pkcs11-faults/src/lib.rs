//! A PKCS#11 module between the signer and SoftHSM2 that fails when a test tells it to, and behaves like CloudHSM's where a
//! test wants that. It also watches: what no caller may do (finalize under a call, a session in two threads) is written down.
//!
//! `PKCS11_FAULTS_CONTROL` names the control file, which tests replace by renaming; beside it the module writes
//! `<control>.state`. `PKCS11_FAULTS_MODULE` names the module below, by default SoftHSM2.

pub mod control;
mod handles;
mod module;
mod signature;
