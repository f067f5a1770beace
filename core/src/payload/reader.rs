//! Reads fields from the front of a payload. Their meaning is up to the caller.

use super::DecodeError;
use crate::key::ChainId;

/// What is left to read. Every read names its field for the error. All integers are big-endian.
#[derive(Clone)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// How many bytes are left.
    pub(super) fn left(&self) -> usize {
        self.rest.len()
    }

    /// The next byte, without taking it.
    pub(super) fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    pub(super) fn take<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], DecodeError> {
        let (head, rest) = self.rest.split_first_chunk().ok_or(DecodeError::Truncated(field))?;
        self.rest = rest;
        Ok(*head)
    }

    /// The next `length` bytes.
    pub(super) fn bytes(&mut self, field: &'static str, length: usize) -> Result<&'a [u8], DecodeError> {
        let (head, rest) = self.rest.split_at_checked(length).ok_or(DecodeError::Truncated(field))?;
        self.rest = rest;
        Ok(head)
    }

    pub(super) fn skip<const N: usize>(&mut self, field: &'static str) -> Result<(), DecodeError> {
        self.take::<N>(field).map(|_| ())
    }

    pub(super) fn u8(&mut self, field: &'static str) -> Result<u8, DecodeError> {
        self.take::<1>(field).map(|[byte]| byte)
    }

    pub(super) fn u16(&mut self, field: &'static str) -> Result<u16, DecodeError> {
        self.take(field).map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self, field: &'static str) -> Result<u32, DecodeError> {
        self.take(field).map(u32::from_be_bytes)
    }

    pub(super) fn i32(&mut self, field: &'static str) -> Result<i32, DecodeError> {
        self.take(field).map(i32::from_be_bytes)
    }

    pub(super) fn i64(&mut self, field: &'static str) -> Result<i64, DecodeError> {
        self.take(field).map(i64::from_be_bytes)
    }

    pub(super) fn chain_id(&mut self) -> Result<ChainId, DecodeError> {
        self.take("the chain id").map(ChainId::from_bytes)
    }
}

/// `value`, or the error that names `field`.
pub(super) fn non_negative<T>(field: &'static str, value: i32, make: fn(i32) -> Option<T>) -> Result<T, DecodeError> {
    make(value).ok_or(DecodeError::Field { field, got: value.into(), expected: "0 to 2147483647" })
}
