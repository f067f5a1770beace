//! Votes on protocols.

use serde::Serialize;
use std::fmt;
use std::str::FromStr;

/// A vote on a protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Vote {
    /// Votes for the proposal.
    Yay,
    /// Votes against the proposal.
    Nay,
    /// Abstains; counts for the quorum only.
    Pass,
}

impl Vote {
    /// `yay`, `nay` or `pass`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Yay => "yay",
            Self::Nay => "nay",
            Self::Pass => "pass",
        }
    }
}

impl fmt::Display for Vote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that is no vote. A retry does not help.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a vote: expected yay, nay or pass")]
pub struct UnknownVote(String);

impl FromStr for Vote {
    type Err = UnknownVote;
    fn from_str(text: &str) -> Result<Self, UnknownVote> {
        let all = [Self::Yay, Self::Nay, Self::Pass];
        all.into_iter().find(|vote| vote.as_str() == text).ok_or_else(|| UnknownVote(text.to_owned()))
    }
}
