//! The numbers in operations: amounts, counters and limits. Text and JSON are decimal digits, as in Octez.

use std::fmt;
use std::str::FromStr;

/// A text is not a decimal number of the range. A retry does not help.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a valid {1}: expected a whole number from 0 to {2}")]
pub struct AmountError(String, &'static str, u64);

macro_rules! amounts {
    ($($(#[$doc:meta])* $name:ident $what:literal $max:expr;)+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(u64);

        impl $name {
            /// The highest that there can be.
            pub const MAX: Self = Self($max);

            /// Returns `None` if `value` is above [`Self::MAX`].
            pub fn new(value: u64) -> Option<Self> {
                (value <= Self::MAX.0).then_some(Self(value))
            }

            /// The amount as an integer.
            pub fn get(self) -> u64 {
                self.0
            }
        }

        impl FromStr for $name {
            type Err = AmountError;
            /// Decimal digits only: no sign, no space, no leading zero.
            fn from_str(text: &str) -> Result<Self, AmountError> {
                let canonical = text == "0" || text.starts_with(|c: char| ('1'..='9').contains(&c));
                let value = text.parse().ok().filter(|_| canonical).and_then(Self::new);
                value.ok_or_else(|| AmountError(text.to_owned(), $what, $max))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Visitor;
                impl serde::de::Visitor<'_> for Visitor {
                    type Value = $name;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($what)
                    }
                    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<$name, E> {
                        $name::new(value).ok_or_else(|| E::custom(AmountError(value.to_string(), $what, $max)))
                    }
                    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<$name, E> {
                        text.parse().map_err(E::custom)
                    }
                }
                deserializer.deserialize_any(Visitor)
            }
        }
    )+};
}

amounts! {
    /// An amount of tez, in millionths of one. Octez keeps it in an `int64`.
    Mutez "amount in mutez" i64::MAX as u64;
    /// The running number of an account's operations.
    Counter "counter" u64::MAX;
    /// A limit, in units of gas.
    Gas "amount of gas" u64::MAX;
    /// A limit or amount of contract storage, in bytes.
    Storage "number of bytes" u64::MAX;
    /// An amount of tickets.
    Tickets "amount of tickets" u64::MAX;
    /// A number of steps of a rollup's machine.
    Ticks "number of ticks" u64::MAX;
}

impl From<u32> for Mutez {
    fn from(value: u32) -> Self {
        Self(value.into())
    }
}
