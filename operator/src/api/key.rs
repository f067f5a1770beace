//! `spec.keys` of a TezosSigner: a key, how it is found in the keystore, and what may be signed with it. The fields have the same names as
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
    validation = Rule::new("[has(self.label), has(self.id), has(self.kmsKey), has(self.sealed)].filter(given, given).size() == 1")
        .message("exactly one of label (CKA_LABEL), id (CKA_ID), kmsKey (a key of AWS KMS) and sealed (a tz4 key) is required, to find the key"),
    validation = Rule::new("!self.publicKey.startsWith('BLpk') || has(self.sealed)")
        .message("sealed: required for a tz4 key (BLpk…), because neither an HSM nor AWS KMS can sign with one. In place of label, id or kmsKey, set the text that tezos-signer keys generate --curve bls12-381 --seal-with NAME prints"),
    validation = Rule::new("!has(self.sealed) || !self.publicKey.matches('^(edpk|sppk|p2pk)')")
        .message("sealed: only for a tz4 key (BLpk…). A key of another scheme stays in the HSM (label or id) or in AWS KMS (kmsKey)"),
    validation = Rule::new("!has(self.companion) || !self.companion || self.publicKey.startsWith('BLpk')")
        .message("companion: only for a tz4 key (BLpk…); bakers of other schemes have no companion key"),
    validation = Rule::new("!has(self.companion) || !self.companion || !has(self.allow) || self.allow.all(kind, kind == 'attestation')")
        .message("allow: a companion key signs attestations only: remove allow, or remove companion if this is a consensus key"),
    validation = Rule::new("!has(self.companion) || !self.companion || !has(self.drainDelegate) || !self.drainDelegate")
        .message("drainDelegate: a companion key signs attestations only: remove drainDelegate"),
    validation = Rule::new("!has(self.allowProofOfPossession) || !self.allowProofOfPossession || self.publicKey.startsWith('BLpk')")
        .message("allowProofOfPossession: only for a tz4 key (BLpk…); keys of other schemes have no proof of possession"),
    validation = Rule::new("!has(self.ballot) || (has(self.allow) && 'ballot' in self.allow)")
        .message("ballot: only if allow has ballot; it restricts the votes that are signed")
)]
pub struct KeySpec {
    /// The public key: `edpk…` (tz1, Ed25519), `sppk…` (tz2, secp256k1), `p2pk…` (tz3, P-256) or `BLpk…` (tz4, BLS12-381, with `sealed`). The
    /// signer compares it with the key in the keystore. CloudHSM signs with tz1 keys only in non-FIPS clusters of hsm2m.medium.
    // An ML-DSA-44 key, of 1802 characters, is to be refused by its name, and not for its length.
    #[schemars(length(min = 1, max = 2048))]
    #[x_kube(
        validation = Rule::new("!self.matches('^(mdpk|tz5)')")
            .message("publicKey: an ML-DSA-44 key (mdpk…, tz5…) cannot be used: no baker signs with one, and this signer does not support the post-quantum scheme; use a tz1, tz2, tz3 or tz4 key"),
        validation = Rule::new("!self.matches('^tz[1-4]')")
            .message("publicKey: this is an address (tz…), expected the public key (edpk…, sppk…, p2pk… or BLpk…); octez-client show address NAME prints it"),
        validation = Rule::new("self.matches('^(mdpk|tz[1-5]|edpk[1-9A-HJ-NP-Za-km-z]{50}$|(sppk|p2pk)[1-9A-HJ-NP-Za-km-z]{51}$|BLpk[1-9A-HJ-NP-Za-km-z]{72}$)')")
            .message("publicKey: expected edpk… (tz1, 54 characters), sppk… (tz2, 55), p2pk… (tz3, 55) or BLpk… (tz4, 76), in base58")
    )]
    pub public_key: String,

    /// The key's `CKA_LABEL` in the token. Only with `spec.hsm`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 127))]
    pub label: Option<String>,

    /// The key's `CKA_ID` in the token, in hexadecimal. Only with `spec.hsm`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 256))]
    #[x_kube(validation = Rule::new("self.matches('^([0-9a-fA-F]{2})+$')").message("id: expected hexadecimal digits, two for each byte"))]
    pub id: Option<String>,

    /// The key in AWS KMS: `alias/NAME`, or the ARN of a key or alias in the region of `spec.awsKms`. For tz1, tz2 and tz3 keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    #[x_kube(
        validation = Rule::new("self.matches('^(arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:)?alias/[A-Za-z0-9/_-]+$') || self.matches('^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$')")
            .message("kmsKey: expected alias/NAME or an ARN such as arn:aws:kms:REGION:ACCOUNT:key/ID, not the id alone; aws kms describe-key --key-id ID shows the ARN")
    )]
    pub kms_key: Option<String>,

    /// A tz4 key that an AES key of the HSM or a symmetric key of AWS KMS has sealed: the line that `tezos-signer keys generate --curve bls12-381
    /// --seal-with NAME` or `tezos-signer keys seal` prints. It is no secret: only the HSM, or KMS, opens it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    #[x_kube(
        validation = Rule::new("!self.matches('^((un)?encrypted:)?(BL|ed|sp|p2)e?sk')")
            .message("sealed: this is a secret key, which must not stand in a manifest: anyone who has read it can sign with the key. Make another key with tezos-signer keys generate --curve bls12-381"),
        validation = Rule::new("self.matches('^((un)?encrypted:)?(BL|ed|sp|p2)e?sk') || self.matches('^v1[.](pkcs11[.][A-Za-z0-9_-]+[.][A-Za-z0-9_-]+[.][A-Za-z0-9_-]+|awskms[.][A-Za-z0-9_-]+[.][A-Za-z0-9_-]+)[.][0-9a-f]{8}$')")
            .message("sealed: expected the whole line that tezos-signer keys generate --curve bls12-381 --seal-with NAME or tezos-signer keys seal prints: v1.pkcs11.… or v1.awskms.…, ending with 8 hexadecimal digits")
    )]
    pub sealed: Option<String>,

    /// This is the companion key of a baker with a tz4 consensus key: it signs attestations only, for DAL. Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub companion: bool,

    /// Answer requests for the proof of possession of this tz4 key, which registering it as a consensus or companion key needs. Each answer is in
    /// the audit log. Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allow_proof_of_possession: bool,

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
