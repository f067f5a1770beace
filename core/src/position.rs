//! The position of a block or vote in the chain: level, round and kind.

use std::fmt;
use std::str::FromStr;

/// A text or number is not a whole number of the range that the protocol allows (it encodes levels and rounds as non-negative `int32`). A
/// retry does not help.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a valid {1}: expected a whole number from 0 to 2147483647")]
pub struct OutOfRange(String, &'static str);

macro_rules! int31 {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, serde::Serialize, serde::Deserialize)]
        #[serde(try_from = "i64", into = "u32")]
        pub struct $name(u32);

        impl $name {
            /// The highest that the protocol can encode: 2147483647.
            pub const MAX: Self = Self(i32::MAX as u32);

            /// From the `int32` that stands in a payload; `None` when negative.
            pub fn from_i32(value: i32) -> Option<Self> {
                u32::try_from(value).ok().map(Self)
            }

            /// The number, 0 to [`Self::MAX`].
            pub fn get(self) -> u32 {
                self.0
            }
        }

        impl TryFrom<i64> for $name {
            type Error = OutOfRange;
            fn try_from(value: i64) -> Result<Self, OutOfRange> {
                let inside = i32::try_from(value).ok().and_then(Self::from_i32);
                inside.ok_or_else(|| OutOfRange(value.to_string(), $what))
            }
        }

        impl From<$name> for u32 {
            fn from(value: $name) -> u32 {
                value.0
            }
        }

        impl FromStr for $name {
            type Err = OutOfRange;
            /// Decimal digits without sign or leading zero: one number has one text.
            fn from_str(text: &str) -> Result<Self, OutOfRange> {
                let canonical = text == "0" || text.starts_with(|c: char| ('1'..='9').contains(&c));
                let value = text.parse::<i32>().ok().filter(|_| canonical).and_then(Self::from_i32);
                value.ok_or_else(|| OutOfRange(text.to_owned(), $what))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

int31!(
    /// The height of a block: 0 (genesis) to 2147483647.
    Level,
    "level"
);
int31!(
    /// The round within a level: 0 to 2147483647. For a block it is the round of its fitness, not `payload_round`.
    Round,
    "round"
);

/// A level that somebody sets a watermark record to: nothing at or below it is signed. At most [`FloorLevel::MAX`], because rows never
/// fall: above the chain's levels they would refuse every signature until the chain gets there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FloorLevel(Level);

/// Not a level that a record may be set to. A retry does not help: give another level.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FloorLevelError {
    /// It is not a level at all.
    #[error(transparent)]
    OutOfRange(#[from] OutOfRange),
    /// It is above what any chain has reached, by a typing error most likely.
    #[error(
        "level {0} is above {max}, which no chain has reached. Nothing would be signed below it, and a record is never lowered. \
         Check the number of digits",
        max = FloorLevel::MAX.get()
    )]
    TooHigh(Level),
}

impl FloorLevel {
    /// 100 000 000 levels: more than six times mainnet's level of November 2026 (15.2 million), and 16 years more at 6 seconds a level.
    pub const MAX: Level = Level(100_000_000);

    /// The floor as a level.
    pub fn get(self) -> Level {
        self.0
    }
}

impl TryFrom<Level> for FloorLevel {
    type Error = FloorLevelError;
    fn try_from(level: Level) -> Result<Self, FloorLevelError> {
        if level > Self::MAX { Err(FloorLevelError::TooHigh(level)) } else { Ok(Self(level)) }
    }
}

impl FromStr for FloorLevel {
    type Err = FloorLevelError;
    fn from_str(text: &str) -> Result<Self, FloorLevelError> {
        text.parse::<Level>()?.try_into()
    }
}

/// A level and a round in it. Ordered by level first, as the protocol does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct Position {
    /// The level of the block, or of the block that the vote is for.
    pub level: Level,
    /// The round in it.
    pub round: Round,
}

impl Position {
    /// Level 0, round 0: below everything that can be signed.
    pub const GENESIS: Self = Self { level: Level(0), round: Round(0) };

    /// The last position of `level`.
    pub fn end_of(level: Level) -> Self {
        Self { level, round: Round::MAX }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "level {} round {}", self.level, self.round)
    }
}

/// The three things a baker signs with a position. Each has a watermark of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ConsensusKind {
    /// A block header (magic byte 0x11).
    Block,
    /// A preattestation (0x12, tag 20, or 40 of a tz4 key).
    Preattestation,
    /// An attestation (0x13), with or without its DAL part (tags 21 and 23), or of a tz4 key (tag 41): one kind, because two of them at
    /// one position are slashed whatever their tags are.
    Attestation,
}

impl ConsensusKind {
    /// All three, in the order in which they stand in a record.
    pub const ALL: [Self; 3] = [Self::Block, Self::Preattestation, Self::Attestation];

    /// The word for it in records, metrics and messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Block => "block",
            Self::Preattestation => "preattestation",
            Self::Attestation => "attestation",
        }
    }
}

impl fmt::Display for ConsensusKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
