//! `keys` in the configuration file: how a key is found in the token, what it may sign, and which clients may use it.

use crate::admit::AdmissionRules;
use crate::authentication::AuthorizedKeys;
use crate::json::quoted;
use crate::key::{ChainId, PublicKeyHash, SigningPublicKey};
use crate::payload::UnknownSuffix;
use crate::payload::operation::{Address, Mutez, OperationKind, Vote};
use crate::policy::{DEFAULT_MAX_FEE, PayloadKind, Policy};
use crate::record::RecordName;
use crate::watermark::DEFAULT_MAX_LEVEL_JUMP;
use serde::{Deserialize, Serialize};

/// A key, and what may be signed with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "KeyFields", into = "KeyFields")]
pub struct KeyConfig {
    /// The public key. Signatures that it does not verify are never released.
    pub public_key: SigningPublicKey,
    /// Which key of the token it is.
    pub selector: KeySelector,
    /// What may be signed with it.
    pub policy: Policy,
    /// How many levels above the record's highest row a request may be.
    pub max_level_jump: u32,
    /// What becomes of blocks and votes with bytes that this release does not know.
    pub unknown_consensus_suffix: UnknownSuffix,
    /// Who may ask. Empty: those of the whole signer.
    pub authorized_keys: AuthorizedKeys,
}

impl KeyConfig {
    /// A key that signs what a baker needs, by the defaults.
    pub fn new(public_key: SigningPublicKey, selector: KeySelector, chain: ChainId) -> Self {
        Self {
            public_key,
            selector,
            policy: Policy::baking(chain),
            max_level_jump: DEFAULT_MAX_LEVEL_JUMP,
            unknown_consensus_suffix: UnknownSuffix::default(),
            authorized_keys: AuthorizedKeys::default(),
        }
    }

    /// The address of the key.
    pub fn hash(&self) -> PublicKeyHash {
        self.public_key.hash()
    }

    /// What the key admits, from the clients in `authorized_keys`.
    pub fn admission_rules<'a>(&'a self, authorized_keys: &'a AuthorizedKeys) -> AdmissionRules<'a> {
        AdmissionRules { authorized_keys, policy: &self.policy, unknown_suffix: self.unknown_consensus_suffix }
    }

    /// The name of the key's record.
    pub fn record_name(&self) -> RecordName {
        RecordName::new(&self.hash(), &self.policy.chain)
    }
}

/// How a key is found in the token.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum KeySelector {
    /// The attribute `CKA_LABEL` of the key objects.
    Label(String),
    /// The attribute `CKA_ID` of the key objects.
    Id(Vec<u8>),
}

impl std::fmt::Display for KeySelector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Label(label) => write!(f, "label {}", quoted(label)),
            Self::Id(id) => write!(f, "id {}", hex::encode(id)),
        }
    }
}

/// [`KeyConfig`] as it is written.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct KeyFields {
    public_key: SigningPublicKey,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    label: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    chain: ChainId,
    #[serde(default = "baking_kinds")]
    allow: Vec<PayloadKind>,
    // What is as by default is not written: a signer of an earlier release would not know the field.
    #[serde(default = "every_vote", skip_serializing_if = "is_every_vote")]
    ballot: Vec<Vote>,
    #[serde(default = "default_max_fee", skip_serializing_if = "is_default_max_fee")]
    max_fee: Mutez,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_amount: Option<Mutez>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    destinations: Option<Vec<Address>>,
    #[serde(default, skip_serializing_if = "is_default")]
    drain_delegate: bool,
    #[serde(default, skip_serializing_if = "is_default")]
    unknown_consensus_suffix: UnknownSuffix,
    #[serde(default)]
    authorized_keys: AuthorizedKeys,
    #[serde(default = "default_max_level_jump")]
    max_level_jump: u32,
    #[serde(default, skip_serializing_if = "is_default")]
    suspend: bool,
}

fn baking_kinds() -> Vec<PayloadKind> {
    PayloadKind::CONSENSUS.to_vec()
}

fn every_vote() -> Vec<Vote> {
    vec![Vote::Yay, Vote::Nay, Vote::Pass]
}

fn default_max_fee() -> Mutez {
    Mutez::from(DEFAULT_MAX_FEE)
}

fn is_every_vote(votes: &[Vote]) -> bool {
    votes == every_vote()
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_default_max_fee(fee: &Mutez) -> bool {
    *fee == default_max_fee()
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

fn default_max_level_jump() -> u32 {
    DEFAULT_MAX_LEVEL_JUMP
}

impl TryFrom<KeyFields> for KeyConfig {
    type Error = String;
    fn try_from(fields: KeyFields) -> Result<Self, String> {
        let key = fields.public_key.hash();
        let selector = match (fields.label, fields.id) {
            (Some(label), None) if !label.is_empty() => KeySelector::Label(label),
            (None, Some(id)) => match hex::decode(&id) {
                Ok(bytes) if !bytes.is_empty() => KeySelector::Id(bytes),
                _ => return Err(format!("id of key {key} is {id:?}, expected hex digits, two for each byte")),
            },
            _ => return Err(format!("key {key} needs either label or id, by which it is found in the token")),
        };
        let allows = |kind| fields.allow.contains(&PayloadKind::Operation(kind));
        if fields.allow.is_empty() && !fields.drain_delegate {
            return Err(format!("allow of key {key} is empty: the key would sign nothing"));
        }
        if allows(OperationKind::DrainDelegate) {
            return Err(format!(
                "allow of key {key} has drain_delegate, which transfers the whole balance of a baker: set drainDelegate: true instead"
            ));
        }
        if fields.ballot.is_empty() && allows(OperationKind::Ballot) {
            return Err(format!("ballot of key {key} is empty, but allow has ballot: list yay, nay or pass"));
        }
        Ok(Self {
            public_key: fields.public_key,
            selector,
            policy: Policy {
                chain: fields.chain,
                allow: fields.allow,
                ballot: fields.ballot,
                max_fee: fields.max_fee,
                max_amount: fields.max_amount,
                destinations: fields.destinations,
                drain_delegate: fields.drain_delegate,
                suspend: fields.suspend,
            },
            max_level_jump: fields.max_level_jump,
            unknown_consensus_suffix: fields.unknown_consensus_suffix,
            authorized_keys: fields.authorized_keys,
        })
    }
}

impl From<KeyConfig> for KeyFields {
    fn from(key: KeyConfig) -> Self {
        let (label, id) = match key.selector {
            KeySelector::Label(label) => (Some(label), None),
            KeySelector::Id(id) => (None, Some(hex::encode(id))),
        };
        Self {
            public_key: key.public_key,
            label,
            id,
            chain: key.policy.chain,
            allow: key.policy.allow,
            ballot: key.policy.ballot,
            max_fee: key.policy.max_fee,
            max_amount: key.policy.max_amount,
            destinations: key.policy.destinations,
            drain_delegate: key.policy.drain_delegate,
            unknown_consensus_suffix: key.unknown_consensus_suffix,
            authorized_keys: key.authorized_keys,
            max_level_jump: key.max_level_jump,
            suspend: key.policy.suspend,
        }
    }
}
