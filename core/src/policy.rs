//! Whether a key may sign a payload, independent of the watermark.

use crate::key::ChainId;
use crate::payload::operation::{Action, Address, Content, Manager, Mutez, Operation, OperationKind, Vote};
use crate::payload::{self, Consensus, Payload};
use crate::position::ConsensusKind;
use std::fmt;
use std::str::FromStr;

/// What one key may sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// The chain it signs for. A generic operation names none: its branch is a block of one.
    pub chain: ChainId,
    /// The kinds it signs. [`OperationKind::DrainDelegate`] is not among them, whatever this says: see [`Self::drain_delegate`].
    pub allow: Vec<PayloadKind>,
    /// The votes it signs, where ballots are allowed.
    pub ballot: Vec<Vote>,
    /// The most that one payload may pay in fees, in all its contents.
    pub max_fee: Mutez,
    /// The most that one payload may send away, in all its contents: the amounts of transactions, and what new contracts get.
    /// `None`: no limit. What is staked stays with its owner, and does not count.
    pub max_amount: Option<Mutez>,
    /// To whom tez and tickets may go. `None`: to anybody.
    pub destinations: Option<Vec<Address>>,
    /// Whether it signs `drain_delegate`, by which a consensus key sends the whole balance of its baker away.
    pub drain_delegate: bool,
    /// Whether it signs nothing for now.
    pub suspend: bool,
}

/// What [`Policy::max_fee`] is where nothing else is said: 1 tez.
pub const DEFAULT_MAX_FEE: u32 = 1_000_000;

/// A word of `allow`: something that a key can be allowed to sign.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PayloadKind {
    /// A block or vote.
    Consensus(ConsensusKind),
    /// A content of a generic operation.
    Operation(OperationKind),
}

crate::serde_as_text!(PayloadKind);

impl PayloadKind {
    /// Blocks and votes: what a baker needs.
    pub const CONSENSUS: [Self; 3] = [
        Self::Consensus(ConsensusKind::Block),
        Self::Consensus(ConsensusKind::Preattestation),
        Self::Consensus(ConsensusKind::Attestation),
    ];

    /// The word behind its article: `a block`, `an attestation`.
    fn with_article(self) -> String {
        let word = self.to_string();
        let article = if word.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
        format!("{article} {word}")
    }
}

impl fmt::Display for PayloadKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Consensus(kind) => kind.fmt(f),
            Self::Operation(kind) => kind.fmt(f),
        }
    }
}

/// A word in `allow` that is no kind of payload. A retry does not help: the message lists the words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a kind of payload: expected block, preattestation, attestation, or one of {all}", all = all_operations())]
pub struct UnknownPayloadKind(String);

fn all_operations() -> String {
    OperationKind::ALL.map(OperationKind::as_str).join(", ")
}

impl FromStr for PayloadKind {
    type Err = UnknownPayloadKind;
    fn from_str(text: &str) -> Result<Self, UnknownPayloadKind> {
        let consensus = ConsensusKind::ALL.into_iter().find(|kind| kind.as_str() == text).map(Self::Consensus);
        let operation = || text.parse().ok().map(Self::Operation);
        consensus.or_else(operation).ok_or_else(|| UnknownPayloadKind(text.to_owned()))
    }
}

/// A payload that a key may sign, as far as its watermark allows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permitted {
    /// A block or vote.
    Consensus(Consensus),
    /// A generic operation: no position, no watermark row.
    Operation,
}

/// Why a key may not sign a payload. A retry helps once the key's configuration is changed, where the reason is one of it: fields are named
/// in the messages.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Forbidden {
    /// Signing is suspended in the key's configuration: set `suspend` to false there.
    #[error("signing is suspended for this key (suspend, in its configuration)")]
    Suspended,
    /// The payload is of another chain: the client asks the wrong key, or its node follows the wrong chain.
    #[error("the payload is for chain {payload}, this key signs for {key} only")]
    Chain {
        /// The chain of the payload.
        payload: ChainId,
        /// The chain of the key's configuration.
        key: ChainId,
    },
    /// The payload's kind is not in `allow`.
    #[error("this key is not allowed to sign {} (allow, in its configuration)", .0.with_article())]
    Kind(PayloadKind),
    /// The payload is a generic operation, and `allow` has none.
    #[error("this key is not allowed to sign generic operations (magic byte 0x03; allow, in its configuration)")]
    Operation,
    /// The operation would empty the baker's account: `drainDelegate` allows that.
    #[error(
        "this key is not allowed to drain its delegate, which transfers the whole balance (drainDelegate, in its configuration)"
    )]
    DrainDelegate,
    /// The ballot is another one than `ballot` has.
    #[error("this key is not allowed to vote {0} (ballot, in its configuration)")]
    Ballot(Vote),
    /// The fees are above `maxFee`.
    #[error("the total fee is {fees} mutez, and maxFee of this key is {limit}")]
    Fee {
        /// The sum of the fees of all contents, in mutez.
        fees: u128,
        /// The value of `maxFee`.
        limit: Mutez,
    },
    /// The amounts are above `maxAmount`.
    #[error("the total amount is {amount} mutez, and maxAmount of this key is {limit}")]
    Amount {
        /// The sum of the amounts of all contents, in mutez.
        amount: u128,
        /// The value of `maxAmount`.
        limit: Mutez,
    },
    /// The destination is not in `destinations`.
    #[error("{0} is not in destinations of this key")]
    Destination(Address),
    /// The operation makes a contract, which has no address yet that `destinations` could have.
    #[error("a new contract is not in the destinations of this key (destinations, in its configuration)")]
    NewContract,
    /// The first byte is that of nothing that a baker signs.
    #[error("magic byte 0x{0:02x} not allowed")]
    Magic(u8),
}

impl Policy {
    /// Blocks and votes of `chain`, and nothing else.
    pub fn baking(chain: ChainId) -> Self {
        Self {
            chain,
            allow: PayloadKind::CONSENSUS.to_vec(),
            ballot: vec![Vote::Yay, Vote::Nay, Vote::Pass],
            max_fee: Mutez::from(DEFAULT_MAX_FEE),
            max_amount: None,
            destinations: None,
            drain_delegate: false,
            suspend: false,
        }
    }

    /// Refuses what no content could make allowed, by the first byte. So a key that signs no generic operation decodes none: a
    /// crowd of long ones would make votes wait.
    pub fn check_magic(&self, payload: &[u8]) -> Result<(), Forbidden> {
        let operations = self.drain_delegate || self.allow.iter().any(|kind| matches!(kind, PayloadKind::Operation(_)));
        match payload.first() {
            Some(&payload::OPERATION) if !operations => Err(Forbidden::Operation),
            _ => Ok(()),
        }
    }

    /// What the key may sign of `payload`, or why it may not.
    pub fn check(&self, payload: &Payload) -> Result<Permitted, Forbidden> {
        if self.suspend {
            return Err(Forbidden::Suspended);
        }
        match payload {
            Payload::Consensus(consensus) => self.check_consensus(consensus).map(|()| Permitted::Consensus(*consensus)),
            Payload::Operation(operation) => self.check_operation(operation).map(|()| Permitted::Operation),
            Payload::Other { magic } => Err(Forbidden::Magic(*magic)),
        }
    }

    fn check_consensus(&self, consensus: &Consensus) -> Result<(), Forbidden> {
        if consensus.chain != self.chain {
            return Err(Forbidden::Chain { payload: consensus.chain, key: self.chain });
        }
        let kind = PayloadKind::Consensus(consensus.kind);
        if self.allow.contains(&kind) { Ok(()) } else { Err(Forbidden::Kind(kind)) }
    }

    /// Every content has to pass by itself; what they pay and send, all together.
    fn check_operation(&self, operation: &Operation) -> Result<(), Forbidden> {
        let (mut fees, mut amount) = (0_u128, 0_u128);
        for content in operation.contents() {
            self.check_kind(content.kind())?;
            fees += u128::from(content.fee().map_or(0, Mutez::get));
            amount += u128::from(self.check_content(content)?);
        }
        if fees > u128::from(self.max_fee.get()) {
            return Err(Forbidden::Fee { fees, limit: self.max_fee });
        }
        match self.max_amount {
            Some(limit) if amount > u128::from(limit.get()) => Err(Forbidden::Amount { amount, limit }),
            _ => Ok(()),
        }
    }

    fn check_kind(&self, kind: OperationKind) -> Result<(), Forbidden> {
        if kind == OperationKind::DrainDelegate {
            return if self.drain_delegate { Ok(()) } else { Err(Forbidden::DrainDelegate) };
        }
        let kind = PayloadKind::Operation(kind);
        if self.allow.contains(&kind) { Ok(()) } else { Err(Forbidden::Kind(kind)) }
    }

    /// Checks to whom a content sends, and how it votes; returns how many mutez leave the account.
    fn check_content(&self, content: &Content) -> Result<u64, Forbidden> {
        match content {
            Content::Ballot { ballot, .. } if !self.ballot.contains(ballot) => Err(Forbidden::Ballot(*ballot)),
            Content::DrainDelegate { destination, .. } => {
                self.check_destination(&Address::Implicit(*destination)).map(|()| 0)
            }
            Content::Manager(manager) => self.check_action(manager),
            _ => Ok(0),
        }
    }

    fn check_action(&self, Manager { source, action, .. }: &Manager) -> Result<u64, Forbidden> {
        match action {
            Action::Transaction { amount, destination, .. } if *destination != Address::Implicit(*source) => {
                self.check_destination(destination).map(|()| amount.get())
            }
            Action::TransferTicket { destination, .. } => self.check_destination(destination).map(|()| 0),
            Action::Origination { .. } if self.destinations.is_some() => Err(Forbidden::NewContract),
            Action::Origination { balance, .. } => Ok(balance.get()),
            _ => Ok(0),
        }
    }

    fn check_destination(&self, destination: &Address) -> Result<(), Forbidden> {
        match &self.destinations {
            Some(allowed) if !allowed.contains(destination) => Err(Forbidden::Destination(*destination)),
            _ => Ok(()),
        }
    }
}
