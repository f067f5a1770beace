//! Keys, addresses and signatures, beside what Octez says of the same ones.

#[path = "../../tests/ecdsa/negate_s.rs"]
mod negate_s;

use super::*;
use crate::base58;
use negate_s::negate_s;
use p256::ecdsa::signature::hazmat::PrehashSigner as _;

/// Octez `src/lib_crypto/test/key_encoding_vectors.ml`.
#[test]
fn public_keys_hash_to_the_addresses_that_octez_gives() {
    for (key, address) in [
        ("edpkufnz668CdgnVC4X5KRvJoXCMgicr29Tjmr5vxGzvMdipwkTZmM", "tz1SodoUsWVe1Yey9eMFbqRUtNpBWfir5NRr"),
        ("sppk7aFpmJLm3ZxMd3F4osvGBq77R1NeSpiJVnof3Wiv4mt84EBE9aX", "tz2SSuN7FRcAurZPSAQS1swNWE8xxf71MTjt"),
        ("sppk7cNMvaoPostzGxnKFNkqx2QKUKs2YHjokroHEGq1S2hUvRJa89X", "tz2EoucBgYrBemSsLszAZP86cEfsz13idBaT"),
        ("p2pk66Y3178eHvgWFA4CDsgGPhbkWtwrYCVUKJnsAi41eGP7MbHKv24", "tz3ZxowXGSjiVq227GQcwKdz87rKhq62rY4t"),
        ("p2pk64ie1DPcsWgEazYYWkFWNVwqs7jCdKeVwF8NVZRu5yr757vWaTM", "tz3e8QcfwZce1z5YmgZjgAdd7aNr8yBnYbv8"),
    ] {
        let parsed: PublicKey = key.parse().unwrap();
        assert_eq!(parsed.to_string(), key);
        assert_eq!(parsed.hash().to_string(), address);
        assert_eq!(address.parse::<PublicKeyHash>().unwrap(), parsed.hash());
    }
}

/// `sdk/rust/crypto/src/public_key.rs` of Octez: right and wrong signatures over plain messages.
#[test]
fn signatures_verify_as_in_octez() {
    let check = |key: &str, message: &[u8], signature: &str| {
        key.parse::<PublicKey>().unwrap().verify(&Digest::of(message), &signature.parse().unwrap())
    };
    assert!(check(
        "p2pk65p7HKSGvkMdeK5yckM2nmi59oGNw4ksqdcvwxxF3AV3hopkfGS",
        b"hello, message",
        "sigfMaQ3pkpywf3q5ZqfNzJuKd6apUa1gRpoGb4hK25dBuiTY5u2vVCJcPGdpUqDT1RwfeGy6gvnHuhbTgfKhn2EZVYMatnN"
    ));
    assert!(check(
        "sppk7a2WEfU54QzcQZ2EMjihtcxLeRtNTVxHw4FW2e8W5kEJ8ZargSb",
        b"hello, test",
        "siggWynZ1jzFuv67FWSAvhX8948jgL5szpwT2fZAL5brmU9egqoXd3fDXCLQJ2EBcYVLBkev3HvkQ6xnFxSBjthdonajN8JX"
    ));
    assert!(check(
        "edpkurrsBe7UjF59ciHHmBRnS76WHx3YNL9m7owYta6ticPrdP9DG4",
        b"hello, world",
        "edsigtoeXp3xFtGugwCTDSDuifQ9Ka81X4gXFoxRQ6Xao2Ryc3yioptrKMfNy5c9pHhbA9Xn3sYZdx2SPiCGTFXjjXx9xKCPDoq"
    ));
    let message = hex::decode("5538e2cc90c9b053a12e2d2f3a985aff1809eac59501db4d644e4bb381b06b4b").unwrap();
    assert!(!check(
        "sppk7Zik17H7AxECMggqD1FyXUQdrGRFtz9X7aR8W2BhaJoWwSnPEGA",
        &message,
        "sigrJ2jqanLupARzKGvzWgL1Lv6NGUqDovHKQg9MX4PtNtHXgcvG6131MRVzujJEXfvgbuRtfdGbXTFaYJJjuUVLNNZTf5q1"
    ));
    assert!(!check(
        "p2pk67VpBjWwoPULwXCpayec6rFxaAKv8VjJ8cVMHmLDCYARu31zx5Z",
        &message,
        "sigNCaj9CnmD94eZH9C7aPPqBbVCJF72fYmCFAXqEbWfqE633WNFWYQJFnDUFgRUQXR8fQ5tKSfJeTe6UAi75eTzzQf7AEc1"
    ));
}

#[test]
fn a_key_with_which_anybody_could_sign_is_refused() {
    // The identity of Ed25519, and infinity of BLS.
    let identity = base58::encode(&[0x0d, 0x0f, 0x25, 0xd9], &[&[1][..], &[0; 31]].concat());
    let infinity = base58::encode(&[0x06, 0x95, 0x87, 0xcc], &[&[0xc0][..], &[0; 47]].concat());
    for key in [identity, infinity] {
        assert!(matches!(key.parse::<SigningPublicKey>(), Err(KeyError::Weak(_))), "{key}");
    }
}

#[test]
fn wrong_texts_are_refused_with_what_was_expected() {
    let address = "tz3ZxowXGSjiVq227GQcwKdz87rKhq62rY4t";
    assert!(address.parse::<PublicKey>().is_err(), "an address is not a key");
    assert!(address.replace("rY4t", "rY4u").parse::<PublicKeyHash>().is_err(), "a wrong checksum");
    assert!("".parse::<ChainId>().is_err());
    assert!("NetXdQprcVkpaW".parse::<ChainId>().is_err());
    assert!("1".repeat(5000).parse::<Signature>().is_err());
    // A point with x ≥ p: well-formed base58, no point.
    let no_point = base58::encode(&public::P2PK, &[&[2_u8][..], &[0xff; 32]].concat());
    assert_eq!(no_point.parse::<PublicKey>(), Err(KeyError::NotOnCurve));
}

#[test]
fn mainnet_has_a_name() {
    assert_eq!(ChainId::MAINNET.to_string(), "NetXdQprcVkpaWU");
    assert_eq!("mainnet".parse::<ChainId>().unwrap(), "NetXdQprcVkpaWU".parse().unwrap());
}

/// Tokens return high-S half of the time; what is released is low-S, for both curves, and verifies.
#[test]
fn token_signatures_are_brought_to_low_s_and_verified() {
    let message = Message::new(b"a vote");
    let digest = *message.digest();
    let length = |length| ReturnedSignatureError::Length { length, expected: "64 or DER" };
    let secret = secp256k1::SecretKey::from_secret_bytes([7; 32]).unwrap();
    let key = SigningPublicKey::try_from(PublicKey::Secp256k1(secret.public_key())).unwrap();
    let low = secp256k1::ecdsa::sign(secp256k1::Message::from_digest(*digest.as_bytes()), &secret).serialize_compact();
    let high = negate_s(low, secp256k1::constants::CURVE_ORDER);
    let verified = key.accept_signature(&message, &high).unwrap();
    let accepted = verified.signature();
    assert_eq!(accepted, Signature::Secp256k1(low));
    assert!(accepted.to_string().starts_with("spsig1"));
    assert_eq!(verified.of(&key.hash(), &digest), Some(accepted));
    assert_eq!(verified.of(&key.hash(), &Digest::of(b"another vote")), None);

    let secret = p256::ecdsa::SigningKey::from_slice(&[7; 32]).unwrap();
    let key = SigningPublicKey::try_from(PublicKey::P256((*secret.verifying_key()).try_into().unwrap())).unwrap();
    let signature: p256::ecdsa::Signature = secret.sign_prehash(digest.as_bytes()).unwrap();
    let low: [u8; 64] = signature.normalize_s().to_bytes().into();
    let order = hex::decode("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551").unwrap();
    let high = negate_s(low, order.try_into().unwrap());
    let other_key = key.hash();
    assert_eq!(verified.of(&other_key, &digest), None);
    assert_eq!(key.accept_signature(&message, &high).unwrap().signature(), Signature::P256(low));
    // Some tokens return DER.
    let der = |raw: [u8; 64]| {
        let number = |half: &[u8]| [&[0x02, 33, 0], half].concat();
        [&[0x30, 70][..], &number(&raw[..32]), &number(&raw[32..])].concat()
    };
    assert_eq!(key.accept_signature(&message, &der(high)).unwrap().signature(), Signature::P256(low));
    assert_eq!(key.accept_signature(&message, &der([0; 64])), Err(ReturnedSignatureError::Range));
    assert_eq!(key.accept_signature(&message, &der(high)[..71]), Err(length(71)));

    let mut wrong = low;
    wrong[40] ^= 1;
    assert_eq!(key.accept_signature(&message, &wrong), Err(ReturnedSignatureError::Unverified));
    let other = Message::new(b"another vote");
    assert_eq!(key.accept_signature(&other, &low), Err(ReturnedSignatureError::Unverified));
    assert_eq!(key.accept_signature(&message, &low[..63]), Err(length(63)));
    assert_eq!(key.accept_signature(&message, &[0; 64]), Err(ReturnedSignatureError::Range));
    assert_eq!(key.accept_signature(&message, &[0xff; 64]), Err(ReturnedSignatureError::Range));
}
