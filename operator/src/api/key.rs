//! `spec.keys` of a TezosSigner: a key, how it is found in the token, and what may be signed with it. The fields have the same names as
//! in the signer's configuration file.

// The derive of KubeSchema generates a public copy of each type inside a function.
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
        .message("exactly one of label (CKA_LABEL) and id (CKA_ID) is required, to find the key in the token"),
    validation = Rule::new("!has(self.ballot) || (has(self.allow) && 'ballot' in self.allow)")
        .message("ballot: only if allow has ballot; it restricts the votes that are signed")
)]
pub struct KeySpec {
    /// The public key: `sppk…` (tz2, secp256k1) or `p2pk…` (tz3, P-256), 55 characters. The signer compares it with the key in the token.
    // An ML-DSA-44 key, of 1802 characters, is to be refused by its name, and not for its length.
    #[schemars(length(min = 1, max = 2048))]
    #[x_kube(
        validation = Rule::new("!self.matches('^(mdpk|tz5)')")
            .message("publicKey: an ML-DSA-44 key (mdpk…, tz5…) cannot be used: no baker signs with one, and this signer does not support the post-quantum scheme; use a tz2 or tz3 key"),
        validation = Rule::new("!self.startsWith('BLpk')")
            .message("publicKey: a tz4 (BLpk…) key cannot be used: CloudHSM has no mechanism for BLS signatures; use a tz2 or tz3 key"),
        validation = Rule::new("!self.startsWith('edpk')")
            .message("publicKey: a tz1 (edpk…) key cannot be used: only some CloudHSM clusters can sign with Ed25519; use a tz2 or tz3 key"),
        validation = Rule::new("!self.matches('^tz[1-4]')")
            .message("publicKey: this is an address (tz…), expected the public key (sppk… or p2pk…); octez-client show address NAME prints it"),
        validation = Rule::new("self.matches('^(BLpk|edpk|mdpk|tz[1-5])') || self.matches('^(sppk|p2pk)[1-9A-HJ-NP-Za-km-z]{51}$')")
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

    /// The payloads that may be signed: blocks and votes, and kinds of generic operations with Octez' names, such as ballot, reveal,
    /// delegation, transaction, stake, unstake, `finalize_unstake`, `set_delegate_parameters` or `update_consensus_key`. All contents of a
    /// batch must be allowed. Default: block, preattestation, attestation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "allowed_kinds")]
    pub allow: Option<Vec<PayloadKind>>,

    /// The votes on protocols that may be signed, if `allow` has `ballot`. Default: all three.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "votes")]
    pub ballot: Option<Vec<Vote>>,

    /// The maximum total fee of one generic operation, in mutez. Default: 1000000, one tez.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub max_fee: Option<i64>,

    /// The maximum total amount that one generic operation may send, in mutez: transactions to other accounts, and balances of new
    /// contracts. Staked amounts do not count. Default: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub max_amount: Option<i64>,

    /// The addresses that may receive tez and tickets: `tz1…` to `tz4…` or `KT1…`. Default: any address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32), inner(length(min = 36, max = 36)), extend("x-kubernetes-list-type" = "set"))]
    pub destinations: Option<Vec<String>>,

    /// Allow `drain_delegate`, with which a consensus key transfers the whole balance of its baker. Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub drain_delegate: bool,

    /// The maximum number of levels that a request may be above the highest signed level. It prevents a single wrong level from blocking
    /// all real ones. Default: 100000, about a week.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_level_jump: Option<i32>,

    /// How blocks and votes with bytes that this release does not know are handled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unknown_consensus_suffix: Option<UnknownConsensusSuffix>,

    /// The public keys of the clients that may request signatures with this key: `edpk…`, `sppk…`, `p2pk…` or `BLpk…`. Only with
    /// `spec.service`. Default: `spec.service.authorizedKeys`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    // An ML-DSA-44 key, of 1802 characters, is to be refused by its name, and not for its length.
    #[schemars(length(min = 1, max = 16), inner(length(min = 1, max = 2048)), extend("x-kubernetes-list-type" = "set"))]
    #[x_kube(
        validation = Rule::new("self.all(key, !key.matches('^(mdpk|tz5)'))")
            .message("authorizedKeys: an ML-DSA-44 key (mdpk…, tz5…) cannot be used: this signer does not support the post-quantum scheme; use a client key of another one (edpk…, sppk…, p2pk… or BLpk…)"),
        validation = Rule::new("self.all(key, key.matches('^(mdpk|tz5|(edpk|sppk|p2pk|BLpk)[1-9A-HJ-NP-Za-km-z]+$)'))")
            .message("authorizedKeys: expected public keys (edpk…, sppk…, p2pk… or BLpk…), not addresses (tz…); octez-client show address NAME prints them")
    )]
    pub authorized_keys: Option<Vec<String>>,
}

// The CRD shows the description of this type here, instead of that of the field.

/// How blocks and votes with bytes that this release does not know, such as those of a newer protocol, are handled: `refuse`, or
/// `octezCompatible` to read only level and round, as `octez-signer` does, and sign without decoding the rest. Default: refuse.
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
