//! Properties of what real keys of every scheme sign, from the client's bytes to the text of the record and back: admitted, decided, signed,
//! verified, applied, written, read, and answered again.

use crate::properties::{any_kind, any_scheme, any_variant};
use crate::requests::Request;
use crate::secret::{Secret, returned};
use crate::{admitted::admitted, anchor, place, record};
use proptest::prelude::*;
use std::collections::BTreeMap;
use tezos_signer_core::admit::Admitted;
use tezos_signer_core::key::{ChainId, Curve, Signature, SigningPublicKey};
use tezos_signer_core::position::{ConsensusKind, Position};
use tezos_signer_core::record::{Record, RecordName, Stored};
use tezos_signer_core::watermark::{DEFAULT_MAX_LEVEL_JUMP, Decision, Refusal, decide};

/// A key with its record.
struct Baker {
    secret: Secret,
    key: SigningPublicKey,
    record: Record,
    /// How many signatures it has made.
    made: u8,
}

impl Baker {
    fn new(scheme: Curve, seed: u8) -> Self {
        let secret = Secret::new(scheme, seed);
        Self { key: secret.public_key(), secret, record: record(&[]), made: 0 }
    }

    fn admitted(&self, request: Request) -> Admitted {
        admitted(self.key.hash(), &request.payload(self.key.curve()))
    }

    /// The answer to `request`, as the signing path comes to it; and whether it was signed for that.
    fn asked(&mut self, request: &Admitted) -> Result<(Signature, bool), Refusal> {
        match decide(&self.record, request, DEFAULT_MAX_LEVEL_JUMP)? {
            Decision::Replay(signature) => Ok((signature, false)),
            Decision::Advance(step) => {
                self.made += 1;
                let made = returned(&self.secret.sign(request.message(), self.made));
                let verified = self.key.accept_signature(request.message(), &made).unwrap();
                let signature = verified.of(&self.key.hash(), &request.digest()).unwrap();
                let next = step.apply_to(&self.record, signature, anchor(self.made.into()));
                self.record = Record::from_data(&next.to_data()).unwrap();
                assert_eq!(self.record, next);
                Ok((signature, true))
            }
        }
    }
}

type Ask = (ConsensusKind, u32, u32, char);

fn any_asks() -> impl Strategy<Value = Vec<Ask>> {
    prop::collection::vec((any_kind(), 101_u32..104, 0_u32..2, any_variant()), 1..8)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn what_leaves_verifies_and_is_the_same_for_ever(scheme in any_scheme(), asks in any_asks()) {
        let mut baker = Baker::new(scheme, 7);
        let mut given: BTreeMap<(ConsensusKind, Position), Signature> = BTreeMap::new();
        for (kind, level, round, variant) in asks {
            let request = baker.admitted(Request::of(kind, level, round, variant));
            prop_assert_eq!((place(&request).1.level.get(), place(&request).1.round.get()), (level, round));
            let before = baker.record.clone();
            let Ok((signature, is_new)) = baker.asked(&request) else {
                prop_assert_eq!(&baker.record, &before);
                continue;
            };
            prop_assert!(baker.key.verify(request.message(), &signature));
            let other = baker.admitted(Request::of(kind, level, round, 'z'));
            prop_assert!(!baker.key.verify(other.message(), &signature));
            prop_assert_eq!(given.insert(place(&request), signature).is_none_or(|first| first == signature), true);
            prop_assert_eq!(baker.record != before, is_new);
            let (again, is_new) = baker.asked(&request).unwrap();
            prop_assert!(again == signature && !is_new);
        }
    }

    /// The consensus key and the companion key of a tz4 baker sign the same bytes, each by a record of its own: what one has signed neither
    /// forbids nor answers what the other is asked for.
    #[test]
    fn two_keys_of_a_tz4_baker_sign_the_same_bytes_each_by_its_own_record(asks in any_asks()) {
        let mut keys = [Baker::new(Curve::Bls12381, 7), Baker::new(Curve::Bls12381, 8)];
        let names = keys.each_ref().map(|baker| RecordName::new(&baker.key.hash(), &ChainId::MAINNET));
        prop_assert_ne!(&names[0], &names[1]);
        // A companion key signs attestations only.
        for (_, level, round, variant) in asks {
            let request = Request::Attestation(level, round, variant);
            let requests = keys.each_ref().map(|baker| baker.admitted(request));
            prop_assert_eq!(requests[0].message(), requests[1].message());
            // One after the other: the second one has not seen what the first one signed.
            let [consensus, companion] = &mut keys;
            match (consensus.asked(&requests[0]), companion.asked(&requests[1])) {
                (Ok((first, is_new)), Ok((second, is_also_new))) => {
                    prop_assert_eq!(is_new, is_also_new);
                    prop_assert_ne!(first, second);
                    let message = requests[0].message();
                    prop_assert!(consensus.key.verify(message, &first) && companion.key.verify(message, &second));
                    prop_assert!(!consensus.key.verify(message, &second) && !companion.key.verify(message, &first));
                }
                (Err(first), Err(second)) => prop_assert_eq!(first, second),
                (first, second) => prop_assert!(false, "{first:?} and {second:?}"),
            }
            let [first, second] = keys.each_ref().map(|baker| *baker.record.rows.get(ConsensusKind::Attestation).unwrap());
            prop_assert_eq!(first.position, second.position);
            if let (Stored::Signature { digest, .. }, Stored::Signature { digest: other, .. }) = (first.stored, second.stored) {
                prop_assert_eq!(digest, other);
            }
        }
    }
}
