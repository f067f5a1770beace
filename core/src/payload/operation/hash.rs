//! Hashes and addresses in operations, with their base58check text. Keys and key hashes are in [`crate::key`].

use crate::base58::{self, Base58Error};
use crate::key::{KeyError, PublicKeyHash};
use crate::serde_as_text;
use std::fmt;
use std::str::FromStr;

macro_rules! hashes {
    ($($(#[$doc:meta])* $name:ident $length:literal $what:literal [$($prefix:literal),+];)+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name([u8; $length]);

        impl $name {
            /// From its bare bytes.
            pub fn from_bytes(bytes: [u8; $length]) -> Self {
                Self(bytes)
            }

            /// The bytes without their base58check prefix.
            pub fn as_bytes(&self) -> &[u8; $length] {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = KeyError;
            fn from_str(text: &str) -> Result<Self, KeyError> {
                let error = |source| KeyError::Text { what: $what, source };
                let bytes = base58::decode(text).map_err(error)?;
                base58::strip(&bytes, &[$($prefix),+]).map(Self).ok_or_else(|| error(Base58Error::Prefix($what)))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&base58::encode(&[$($prefix),+], &self.0))
            }
        }

        serde_as_text!($name);
    )+};
}

hashes! {
    /// The hash of a block: the branch of an operation.
    BlockHash 32 "a block hash (B…)" [0x01, 0x34];
    /// The hash of a protocol: what is voted on.
    ProtocolHash 32 "a protocol hash (P…)" [0x02, 0xaa];
    /// The address of a smart contract.
    ContractHash 20 "a contract address (KT1…)" [0x02, 0x5a, 0x79];
    /// The hash of an ML-DSA-44 public key: an address of Ushuaia that neither bakes nor signs here.
    MlDsa44Hash 20 "an ML-DSA-44 public key hash (tz5…)" [0x06, 0xa1, 0xa9];
    /// The address of a smart rollup.
    SmartRollupAddress 20 "a smart rollup address (sr1…)" [0x06, 0x7c, 0x75];
    /// The hash of what a rollup operator says that a rollup has done.
    CommitmentHash 32 "a smart rollup commitment hash (src1…)" [0x11, 0xa5, 0x86, 0x8a];
    /// The hash of a state of a rollup's machine.
    RollupStateHash 32 "a smart rollup state hash (srs1…)" [0x11, 0xa5, 0xeb, 0xf0];
    /// A commitment to the data of a DAL slot.
    SlotCommitment 48 "a DAL slot commitment (sh…)" [0x02, 0x74, 0xb4];
}

/// Where a transaction can go.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Address {
    /// The account of a key: tz1 to tz4.
    Implicit(PublicKeyHash),
    /// The account of an ML-DSA-44 key: tz5.
    MlDsa44(MlDsa44Hash),
    /// A smart contract: KT1.
    Originated(ContractHash),
}

impl FromStr for Address {
    type Err = KeyError;
    fn from_str(text: &str) -> Result<Self, KeyError> {
        const ADDRESS: &str = "an address (tz1… to tz5…, KT1…)";
        base58::decode(text).map_err(|source| KeyError::Text { what: ADDRESS, source })?;
        None.or_else(|| text.parse().ok().map(Self::Implicit))
            .or_else(|| text.parse().ok().map(Self::Originated))
            .or_else(|| text.parse().ok().map(Self::MlDsa44))
            .ok_or(KeyError::Text { what: ADDRESS, source: Base58Error::Prefix(ADDRESS) })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Implicit(hash) => hash.fmt(f),
            Self::MlDsa44(hash) => hash.fmt(f),
            Self::Originated(hash) => hash.fmt(f),
        }
    }
}

serde_as_text!(Address);
