//! `spec.keys` of a TezosSigner: a key, how it is found in the token, and what may be signed with it. The fields are those of the
//! signer's configuration file, by the same names.

// The derive of KubeSchema makes a public twin of each type inside a function.
#![allow(unreachable_pub)]

use super::schema::{allowed_kinds, votes};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tezos_signer_core::payload::UnknownSuffix;
use tezos_signer_core::payload::operation::Vote;
use tezos_signer_core::policy::PayloadKind;

/// A key, and what it may sign.
#[derive(Debug, Clone, PartialEq, KubeSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.label) != has(self.id)")
        .message("exactly one of label (CKA_LABEL) and id (CKA_ID) is needed, to find the key in the token"),
    validation = Rule::new("!has(self.ballot) || (has(self.allow) && 'ballot' in self.allow)")
        .message("ballot: says which votes are signed, where allow has the word ballot")
)]
pub struct KeySpec {
    /// The public key: `sppk…` (tz2, secp256k1) or `p2pk…` (tz3, P-256), 55 characters. The token's key is compared with it.
    #[schemars(length(min = 1, max = 128))]
    #[x_kube(
        validation = Rule::new("!self.startsWith('BLpk')")
            .message("publicKey: a tz4 (BLpk…) key cannot be used: CloudHSM has no mechanism for BLS signatures; use a tz2 or tz3 key"),
        validation = Rule::new("!self.startsWith('edpk')")
            .message("publicKey: a tz1 (edpk…) key cannot be used: only some CloudHSM clusters can sign with Ed25519; use a tz2 or tz3 key"),
        validation = Rule::new("!self.matches('^tz[1-4]')")
            .message("publicKey: this is an address (tz…), expected the public key (sppk… or p2pk…); octez-client show address NAME prints it"),
        validation = Rule::new("self.matches('^(BLpk|edpk|tz[1-4])') || self.matches('^(sppk|p2pk)[1-9A-HJ-NP-Za-km-z]{51}$')")
            .message("publicKey: expected sppk… (tz2) or p2pk… (tz3), 55 characters of base58")
    )]
    pub public_key: String,

    /// The key's `CKA_LABEL` in the token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 127))]
    pub label: Option<String>,

    /// The key's `CKA_ID` in the token, in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 256))]
    #[x_kube(validation = Rule::new("self.matches('^([0-9a-fA-F]{2})+$')").message("id: expected hexadecimal digits, two for each byte"))]
    pub id: Option<String>,

    /// What is signed with it: blocks and votes, and the kinds of generic operations by Octez' names, such as ballot, reveal,
    /// delegation, transaction, stake, unstake, `finalize_unstake`, `set_delegate_parameters` or `update_consensus_key`. Each content of a
    /// batch must be allowed. Default: block, preattestation, attestation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "allowed_kinds")]
    pub allow: Option<Vec<PayloadKind>>,

    /// Which votes on protocols are signed, where `allow` has `ballot`. Default: all three.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "votes")]
    pub ballot: Option<Vec<Vote>>,

    /// The most that one generic operation may pay in fees, all its contents together, in mutez. Default: 1000000, one tez.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub max_fee: Option<i64>,

    /// The most that one generic operation may send away, all its contents together, in mutez: transactions to others, and what new
    /// contracts get. What is staked does not count. Default: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub max_amount: Option<i64>,

    /// To whom tez and tickets may go: addresses, `tz1…` to `tz4…` or `KT1…`. Default: to anybody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32), inner(length(min = 36, max = 36)), extend("x-kubernetes-list-type" = "set"))]
    pub destinations: Option<Vec<String>>,

    /// Sign `drain_delegate`, by which a consensus key sends the whole balance of its baker away. Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub drain_delegate: bool,

    /// How many levels above the highest that was signed a request may be. Default: 100000, about a week: one absurd level
    /// would make every real block too low.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_level_jump: Option<i32>,

    /// What becomes of blocks and votes with bytes that this release does not know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unknown_consensus_suffix: Option<UnknownConsensusSuffix>,

    /// The public keys of the clients that may ask for signatures with this key: `edpk…`, `sppk…`, `p2pk…` or `BLpk…`. Only with
    /// `spec.service`. Default: those of `spec.service.authorizedKeys`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16), inner(length(min = 1, max = 128)), extend("x-kubernetes-list-type" = "set"))]
    #[x_kube(
        validation = Rule::new("self.all(key, key.matches('^(edpk|sppk|p2pk|BLpk)[1-9A-HJ-NP-Za-km-z]+$'))")
            .message("authorizedKeys: expected public keys (edpk…, sppk…, p2pk… or BLpk…), not addresses (tz…); octez-client show address NAME prints them")
    )]
    pub authorized_keys: Option<Vec<String>>,
}

// The definition shows the text of a field's type here, and not that of the field.

/// What becomes of blocks and votes with bytes that this release does not know, as a newer protocol may add them: `refuse`, or
/// `octezCompatible`, to read level and round where `octez-signer` reads them and sign the rest unread. Default: refuse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum UnknownConsensusSuffix {
    /// Refuse them.
    Refuse,
    /// As `octez-signer` does.
    OctezCompatible,
}

impl From<UnknownConsensusSuffix> for UnknownSuffix {
    fn from(suffix: UnknownConsensusSuffix) -> Self {
        match suffix {
            UnknownConsensusSuffix::Refuse => Self::Refuse,
            UnknownConsensusSuffix::OctezCompatible => Self::OctezCompatible,
        }
    }
}
