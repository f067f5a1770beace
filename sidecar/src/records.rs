//! The watermark records that this process uses. [`session`] is one record under its lock and lease.

pub mod session;
