//! Payloads as a key of any scheme admits them that signs what a baker needs, and delegations.

use tezos_signer_core::admit::{AdmissionRules, Admitted, RequestFacts, SigningRequest, admit};
use tezos_signer_core::authentication::AuthorizedKeys;
use tezos_signer_core::key::{ChainId, PublicKeyHash};
use tezos_signer_core::payload::UnknownSuffix;
use tezos_signer_core::payload::operation::OperationKind;
use tezos_signer_core::policy::{PayloadKind, Policy};

pub(crate) fn admitted(key: PublicKeyHash, payload: &[u8]) -> Admitted {
    let mut policy = Policy::baking(ChainId::MAINNET);
    policy.allow.push(PayloadKind::Operation(OperationKind::Delegation));
    let (authorized_keys, unknown_suffix) = (&AuthorizedKeys::default(), UnknownSuffix::Refuse);
    let rules = AdmissionRules { authorized_keys, policy: &policy, unknown_suffix };
    admit(&rules, &SigningRequest { key, payload, authentication: None, version: None }, &mut RequestFacts::default())
        .unwrap()
}
