//! Which check fails first, and what is known then.

use super::*;
use crate::authentication::ClientKey;
use crate::key::{ChainId, PublicKey};
use crate::policy::PayloadKind;

const CLIENT: &str = "edpkufnz668CdgnVC4X5KRvJoXCMgicr29Tjmr5vxGzvMdipwkTZmM";

fn key() -> PublicKeyHash {
    PublicKeyHash::from_bytes(crate::key::Curve::P256, [7; 20])
}

fn attestation(chain: ChainId) -> Vec<u8> {
    let head = [&[0x13][..], chain.as_bytes(), &[0x11; 32], &[21, 0, 7]].concat();
    [&head[..], &101_u32.to_be_bytes(), &0_u32.to_be_bytes(), &[0x22; 32]].concat()
}

fn result_of(rules: &AdmissionRules<'_>, payload: &[u8]) -> (Result<Admitted, Rejection>, RequestFacts) {
    let mut facts = RequestFacts::default();
    let request = SigningRequest { key: key(), payload, authentication: None, version: None };
    (admit(rules, &request, &mut facts), facts)
}

#[test]
fn each_check_comes_before_the_next_and_what_was_found_out_stays() {
    let (anybody, policy) = (AuthorizedKeys::default(), Policy::baking(ChainId::MAINNET));
    let rules = AdmissionRules { authorized_keys: &anybody, policy: &policy, unknown_suffix: UnknownSuffix::Refuse };
    let vote = attestation(ChainId::MAINNET);
    let decoded = |payload: &[u8]| {
        Some(PayloadFacts::Decoded(payload::decode(payload, Curve::P256, UnknownSuffix::Refuse).unwrap()))
    };

    let (admitted, facts) = result_of(&rules, &vote);
    let admitted = admitted.unwrap();
    assert_eq!((admitted.message().bytes(), admitted.digest()), (&vote[..], Digest::of(&vote)));
    assert!(matches!(admitted.permitted(), Permitted::Consensus(consensus) if consensus.position.level.get() == 101));
    assert_eq!((facts.digest, facts.payload), (Some(Digest::of(&vote)), decoded(&vote)));

    // A client that is not authorized learns nothing of the payload, however wrong that is.
    let client: ClientKey = CLIENT.parse::<PublicKey>().unwrap().try_into().unwrap();
    let clients = AuthorizedKeys::new(vec![client]);
    let (rejected, facts) = result_of(&AdmissionRules { authorized_keys: &clients, ..rules }, &[]);
    assert_eq!(rejected, Err(Rejection::Unauthenticated(Unauthenticated::Missing)));
    assert_eq!(facts, RequestFacts::default());

    // An operation is not decoded by a key that signs none, so a malformed one is forbidden and not malformed.
    let (rejected, facts) = result_of(&rules, &[0x03, 0xff]);
    assert_eq!(rejected, Err(Rejection::Forbidden(Forbidden::Operation)));
    assert_eq!(facts.payload, Some(PayloadFacts::UndecodedOperation));
    assert_eq!(facts.digest, Some(Digest::of(&[0x03, 0xff])));

    // A malformed payload is no question of the policy, not even of one that suspends the key.
    let suspended = Policy { suspend: true, ..policy.clone() };
    let (rejected, facts) = result_of(&AdmissionRules { policy: &suspended, ..rules }, &vote[..40]);
    assert!(matches!(rejected, Err(Rejection::Malformed(DecodeError::Truncated(_)))), "{rejected:?}");
    assert_eq!((facts.digest, facts.payload), (Some(Digest::of(&vote[..40])), None));
    let (rejected, facts) = result_of(&AdmissionRules { policy: &suspended, ..rules }, &vote);
    assert_eq!(rejected, Err(Rejection::Forbidden(Forbidden::Suspended)));
    assert_eq!(facts.payload, decoded(&vote));

    let blocks_only = Policy { allow: vec![PayloadKind::CONSENSUS[0]], ..policy.clone() };
    let (rejected, _) = result_of(&AdmissionRules { policy: &blocks_only, ..rules }, &vote);
    assert!(matches!(rejected, Err(Rejection::Forbidden(Forbidden::Kind(_)))), "{rejected:?}");
    let elsewhere = attestation(ChainId::from_bytes([1, 2, 3, 4]));
    let (rejected, facts) = result_of(&rules, &elsewhere);
    assert!(matches!(rejected, Err(Rejection::Forbidden(Forbidden::Chain { .. }))), "{rejected:?}");
    assert_eq!(facts.payload, decoded(&elsewhere));
}
