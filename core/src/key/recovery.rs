//! Public keys from signatures, of tokens that show no public key.

use super::curve::Curve;
use super::ecdsa_der::raw_from_der;
use super::message::Message;
use super::public::PublicKey;
use super::signing::SigningPublicKey;

impl SigningPublicKey {
    /// The ECDSA key on `curve` that made both of these token signatures, each r ‖ s or the same in DER. `None` if no key on `curve` did,
    /// and for the curves of other schemes, whose signatures do not give the key. A signature alone is one of up to four keys, so the two
    /// messages must differ.
    pub fn recover(curve: Curve, first: (&Message, &[u8]), second: (&Message, &[u8])) -> Option<Self> {
        let (message, returned) = first;
        let raws = [returned.try_into().ok(), raw_from_der(returned)];
        raws.into_iter()
            .flatten()
            .flat_map(|raw| (0..4).filter_map(move |id| candidate(curve, message, &raw, id)))
            .filter_map(|key| Self::try_from(key).ok())
            .find(|key| key.accept_signature(second.0, second.1).is_ok())
    }
}

/// The key number `id` of those that may have made the signature `raw`.
fn candidate(curve: Curve, message: &Message, raw: &[u8; 64], id: u8) -> Option<PublicKey> {
    let digest = message.digest();
    match curve {
        Curve::Ed25519 | Curve::Bls12381 => None,
        Curve::Secp256k1 => {
            let id = secp256k1::ecdsa::RecoveryId::from_u8_masked(id);
            let signature = secp256k1::ecdsa::RecoverableSignature::from_compact(raw, id).ok()?;
            let key = signature.recover(secp256k1::Message::from_digest(*digest.as_bytes())).ok()?;
            Some(PublicKey::Secp256k1(key))
        }
        Curve::P256 => {
            let signature = p256::ecdsa::Signature::from_slice(raw).ok()?;
            let id = p256::ecdsa::RecoveryId::from_byte(id)?;
            let key = p256::ecdsa::VerifyingKey::recover_from_prehash(digest.as_bytes(), &signature, id).ok()?;
            key.try_into().ok().map(PublicKey::P256)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use p256::ecdsa::signature::hazmat::PrehashSigner as _;

    fn messages() -> [Message; 2] {
        [Message::new(b"one"), Message::new(b"two")]
    }

    #[test]
    fn two_signatures_give_the_key_that_made_both() {
        let [one, two] = messages();
        let k1 = secp256k1::SecretKey::from_secret_bytes([7; 32]).unwrap();
        let by_k1 = |message: &Message| {
            secp256k1::ecdsa::sign(secp256k1::Message::from_digest(*message.digest().as_bytes()), &k1)
                .serialize_compact()
        };
        let expected = PublicKey::Secp256k1(k1.public_key());
        let recovered = |curve| SigningPublicKey::recover(curve, (&one, &by_k1(&one)), (&two, &by_k1(&two)));
        assert_eq!(recovered(Curve::Secp256k1), SigningPublicKey::try_from(expected).ok());
        assert_eq!(recovered(Curve::P256), None);

        for secret in 1..8 {
            let p256 = p256::ecdsa::SigningKey::from_slice(&[secret; 32]).unwrap();
            let by_p256 = |message: &Message| -> p256::ecdsa::Signature {
                p256.sign_prehash(message.digest().as_bytes()).unwrap()
            };
            let raw = by_p256(&one).to_bytes();
            let der = by_p256(&two).to_der();
            let expected = PublicKey::P256((*p256.verifying_key()).try_into().unwrap());
            let recovered = |curve| SigningPublicKey::recover(curve, (&one, &raw), (&two, der.as_bytes()));
            assert_eq!(recovered(Curve::P256), SigningPublicKey::try_from(expected).ok());
            assert_eq!(recovered(Curve::Secp256k1), None);
            // Of two keys.
            assert_eq!(SigningPublicKey::recover(Curve::P256, (&one, &raw), (&two, &by_k1(&two))), None);
        }
    }
}
