//! `keys` in the configuration file: where a key is, what it may sign, and which clients may use it.

use crate::admit::AdmissionRules;
use crate::authentication::AuthorizedKeys;
use crate::aws::KmsKey;
use crate::json::quoted;
use crate::key::{ChainId, Curve, PublicKeyHash, SigningPublicKey};
use crate::payload::UnknownSuffix;
use crate::payload::operation::{Address, Mutez, OperationKind, Vote};
use crate::policy::{DEFAULT_MAX_FEE, PayloadKind, Policy};
use crate::position::ConsensusKind;
use crate::record::RecordName;
use crate::sealed::SealedKey;
use crate::watermark::DEFAULT_MAX_LEVEL_JUMP;
use serde::{Deserialize, Serialize};

/// A key, and what may be signed with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "KeyFields", into = "KeyFields")]
pub struct KeyConfig {
    /// The public key. Signatures that it does not verify are never released.
    pub public_key: SigningPublicKey,
    /// Where its private key is.
    pub source: KeySource,
    /// What may be signed with it.
    pub policy: Policy,
    /// How many levels above the record's highest row a request may be.
    pub max_level_jump: u32,
    /// What becomes of blocks and votes with bytes that this release does not know.
    pub unknown_consensus_suffix: UnknownSuffix,
    /// Who may ask. Empty: those of the whole signer.
    pub authorized_keys: AuthorizedKeys,
    /// Whether it is a companion key, which signs attestations only: the second signature of a tz4 baker with DAL. Of tz4 keys only.
    pub companion: bool,
    /// Whether it proves to whoever asks that it has its secret key, as a change of the consensus key wants it. Of tz4 keys only.
    pub allow_proof_of_possession: bool,
}

impl KeyConfig {
    /// A key that signs what a baker needs, by the defaults.
    pub fn new(public_key: SigningPublicKey, source: KeySource, chain: ChainId) -> Self {
        Self {
            public_key,
            source,
            policy: Policy::baking(chain),
            max_level_jump: DEFAULT_MAX_LEVEL_JUMP,
            unknown_consensus_suffix: UnknownSuffix::default(),
            authorized_keys: AuthorizedKeys::default(),
            companion: false,
            allow_proof_of_possession: false,
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

/// Where a private key is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum KeySource {
    /// In the token of `hsm`. Of tz1, tz2 and tz3.
    Pkcs11(KeySelector),
    /// In AWS KMS, under this name. Of tz1, tz2 and tz3.
    AwsKms(KmsKey),
    /// Here, and opened by the token or by KMS. Of tz4.
    Sealed(SealedKey),
}

impl std::fmt::Display for KeySource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Pkcs11(selector) => selector.fmt(f),
            Self::AwsKms(key) => key.fmt(f),
            Self::Sealed(sealed) => write!(f, "sealed by {}", sealed.sealing_key()),
        }
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

impl KeySelector {
    /// The field of a key's configuration that it stands in.
    pub fn field(&self) -> &'static str {
        match self {
            Self::Label(_) => "label",
            Self::Id(_) => "id",
        }
    }
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
#[allow(clippy::struct_excessive_bools, reason = "each is a field of the file, and says one thing")]
struct KeyFields {
    public_key: SigningPublicKey,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    label: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kms_key: Option<KmsKey>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sealed: Option<SealedKey>,
    chain: ChainId,
    #[serde(default)]
    allow: Option<Vec<PayloadKind>>,
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
    #[serde(default, skip_serializing_if = "is_default")]
    companion: bool,
    #[serde(default, skip_serializing_if = "is_default")]
    allow_proof_of_possession: bool,
}

/// What a companion key signs, and nothing else.
const COMPANION_KINDS: [PayloadKind; 1] = [PayloadKind::Consensus(ConsensusKind::Attestation)];

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

impl KeyFields {
    /// Where the key is, if exactly one field says so, and it has keys of this scheme.
    fn source(&self) -> Result<KeySource, String> {
        let (key, curve) = (self.public_key.hash(), self.public_key.curve());
        let fields = [
            ("label", self.label.is_some()),
            ("id", self.id.is_some()),
            ("kmsKey", self.kms_key.is_some()),
            ("sealed", self.sealed.is_some()),
        ];
        let given: Vec<_> = fields.into_iter().filter_map(|(field, is_given)| is_given.then_some(field)).collect();
        let [field] = given[..] else {
            return Err(match curve {
                Curve::Bls12381 => format!(
                    "key {key} needs sealed, and no other of label, id and kmsKey: no HSM signs with tz4 (BLS) keys"
                ),
                _ => format!(
                    "key {key} needs either label or id, by which it is found in the token, or kmsKey, its name in AWS KMS"
                ),
            });
        };
        match (curve == Curve::Bls12381, field) {
            (true, "sealed") | (false, "label" | "id" | "kmsKey") => {}
            (true, _) => {
                return Err(format!(
                    "{field} of key {key}: no HSM signs with tz4 (BLS) keys. Give sealed, which `tezos-signer keys generate --curve bls12-381 \
                     --seal-with …` prints"
                ));
            }
            (false, _) => {
                return Err(format!(
                    "sealed of key {key}: only tz4 (BLS) keys are sealed. Give label or id, or kmsKey: an HSM signs with this key itself"
                ));
            }
        }
        if let Some(label) = self.label.as_ref().filter(|label| !label.is_empty()) {
            return Ok(KeySource::Pkcs11(KeySelector::Label(label.clone())));
        }
        if let Some(id) = &self.id {
            return match hex::decode(id) {
                Ok(bytes) if !bytes.is_empty() => Ok(KeySource::Pkcs11(KeySelector::Id(bytes))),
                _ => Err(format!("id of key {key} is {id:?}, expected hex digits, two for each byte")),
            };
        }
        let kms_key = self.kms_key.clone().map(KeySource::AwsKms);
        let sealed = self.sealed.clone().map(KeySource::Sealed);
        kms_key
            .or(sealed)
            .ok_or_else(|| format!("label of key {key} is empty: give the CKA_LABEL of the key, or its id"))
    }

    /// What the key signs.
    fn allowed(&self) -> Result<Vec<PayloadKind>, String> {
        let key = self.public_key.hash();
        if self.companion {
            if self.allow.as_ref().is_some_and(|allow| allow[..] != COMPANION_KINDS) || self.drain_delegate {
                return Err(format!(
                    "allow of key {key}: a companion key signs attestations and nothing else. Take allow out, or companion if it is none"
                ));
            }
            return Ok(COMPANION_KINDS.to_vec());
        }
        let allow = self.allow.clone().unwrap_or_else(|| PayloadKind::CONSENSUS.to_vec());
        let allows = |kind| allow.contains(&PayloadKind::Operation(kind));
        if allow.is_empty() && !self.drain_delegate {
            return Err(format!("allow of key {key} is empty: the key would sign nothing"));
        }
        if allows(OperationKind::DrainDelegate) {
            return Err(format!(
                "allow of key {key} has drain_delegate, which transfers the whole balance of a baker: set drainDelegate: true instead"
            ));
        }
        if self.ballot.is_empty() && allows(OperationKind::Ballot) {
            return Err(format!("ballot of key {key} is empty, but allow has ballot: list yay, nay or pass"));
        }
        Ok(allow)
    }
}

impl TryFrom<KeyFields> for KeyConfig {
    type Error = String;
    fn try_from(fields: KeyFields) -> Result<Self, String> {
        if fields.public_key.curve() != Curve::Bls12381 {
            for (field, is_set) in
                [("companion", fields.companion), ("allowProofOfPossession", fields.allow_proof_of_possession)]
            {
                if is_set {
                    let key = fields.public_key.hash();
                    return Err(format!("{field} of key {key}: only tz4 (BLS) keys have this. Take it out"));
                }
            }
        }
        Ok(Self {
            source: fields.source()?,
            policy: Policy {
                chain: fields.chain,
                allow: fields.allowed()?,
                ballot: fields.ballot,
                max_fee: fields.max_fee,
                max_amount: fields.max_amount,
                destinations: fields.destinations,
                drain_delegate: fields.drain_delegate,
                suspend: fields.suspend,
            },
            public_key: fields.public_key,
            max_level_jump: fields.max_level_jump,
            unknown_consensus_suffix: fields.unknown_consensus_suffix,
            authorized_keys: fields.authorized_keys,
            companion: fields.companion,
            allow_proof_of_possession: fields.allow_proof_of_possession,
        })
    }
}

impl From<KeyConfig> for KeyFields {
    fn from(key: KeyConfig) -> Self {
        let (mut label, mut id, mut kms_key, mut sealed) = (None, None, None, None);
        match key.source {
            KeySource::Pkcs11(KeySelector::Label(text)) => label = Some(text),
            KeySource::Pkcs11(KeySelector::Id(bytes)) => id = Some(hex::encode(bytes)),
            KeySource::AwsKms(key) => kms_key = Some(key),
            KeySource::Sealed(key) => sealed = Some(key),
        }
        Self {
            public_key: key.public_key,
            label,
            id,
            kms_key,
            sealed,
            chain: key.policy.chain,
            allow: Some(key.policy.allow),
            ballot: key.policy.ballot,
            max_fee: key.policy.max_fee,
            max_amount: key.policy.max_amount,
            destinations: key.policy.destinations,
            drain_delegate: key.policy.drain_delegate,
            unknown_consensus_suffix: key.unknown_consensus_suffix,
            authorized_keys: key.authorized_keys,
            max_level_jump: key.max_level_jump,
            suspend: key.policy.suspend,
            companion: key.companion,
            allow_proof_of_possession: key.allow_proof_of_possession,
        }
    }
}
