//! The forms in which tokens show a curve (`CKA_EC_PARAMS`) and a public key (`CKA_EC_POINT`, `CKA_PUBLIC_KEY_INFO`).

use tezos_signer_core::key::{Curve, SigningPublicKey};
use x509_cert::der::Decode as _;
use x509_cert::der::asn1::ObjectIdentifier;

/// The curves of the keys that a token signs with.
const CURVES: [Curve; 3] = [Curve::Secp256k1, Curve::P256, Curve::Ed25519];

/// Those of them whose keys can be recovered from signatures, and whose points are recognised by their coordinates.
pub(super) const ECDSA_CURVES: [Curve; 2] = [Curve::Secp256k1, Curve::P256];

/// A longer attribute shows no point.
const LONGEST: usize = 1024;

/// What `CKA_EC_PARAMS` says of the curve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ShownCurve {
    /// One that the signer signs on.
    Supported(Curve),
    /// Another one: its object identifier, or its name.
    Other(String),
    /// Nothing that is understood here.
    Unknown,
}

/// The DER encoding of the curve's object identifier, as in `CKA_EC_PARAMS`.
pub(super) fn oid(curve: Curve) -> &'static [u8] {
    match curve {
        Curve::Secp256k1 => &[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x0a],
        Curve::P256 => &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07],
        Curve::Ed25519 => &[0x06, 0x03, 0x2b, 0x65, 0x70],
        // No token has keys on it.
        Curve::Bls12381 => &[],
    }
}

/// Names of the curve, without what is neither letter nor digit.
fn names(curve: Curve) -> &'static [&'static str] {
    match curve {
        Curve::Secp256k1 => &["secp256k1", "ansip256k1", "ansix9p256k1", "k256", "p256k", "p256k1"],
        Curve::P256 => {
            &["secp256r1", "p256", "nistp256", "prime256v1", "x962prime256v1", "ansip256r1", "ansix9p256r1", "p256r1"]
        }
        Curve::Ed25519 => &["edwards25519", "ed25519", "ided25519"],
        Curve::Bls12381 => &[],
    }
}

/// The curve of `CKA_EC_PARAMS`: the curve's object identifier, with any tag or none, or its name.
pub(super) fn curve(params: &[u8]) -> ShownCurve {
    let has = |curve: &Curve| {
        let bare = &oid(*curve)[2..];
        params.windows(bare.len()).any(|part| part == bare)
    };
    if let Some(curve) = CURVES.into_iter().find(has) {
        return ShownCurve::Supported(curve);
    }
    if let Ok(oid) = <ObjectIdentifier>::from_der(params) {
        return ShownCurve::Other(oid.to_string());
    }
    let Some(text) = text(params) else { return ShownCurve::Unknown };
    let letters: String = text.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    match CURVES.into_iter().find(|curve| names(*curve).contains(&letters.as_str())) {
        Some(curve) => ShownCurve::Supported(curve),
        None => ShownCurve::Other(text.to_owned()),
    }
}

/// A text, as a string of DER (`UTF8String`, `PrintableString`, `IA5String`) or as it is, perhaps ended by a NUL.
fn text(bytes: &[u8]) -> Option<&str> {
    let content = match bytes {
        [0x0c | 0x13 | 0x16, length, content @ ..] if usize::from(*length) == content.len() => content,
        bare => bare,
    };
    let text = std::str::from_utf8(content).ok()?.trim_end_matches('\0');
    (!text.is_empty() && text.chars().all(|c| c.is_ascii_graphic() || c == ' ')).then_some(text)
}

/// The public key in `CKA_EC_POINT` or `CKA_PUBLIC_KEY_INFO`. An uncompressed point is recognised by its coordinates, which are those of a
/// point of its curve: so it does not matter what is around them (OCTET STRING, BIT STRING, nothing), how lengths are written, whether
/// bytes follow, and whether the `04` is there. By accident, other bytes are a point once in 2^256. The last one is taken, because in
/// explicit parameters the generator of the curve comes first.
pub(super) fn public_key(curve: &ShownCurve, shown: &[u8]) -> Option<SigningPublicKey> {
    if shown.len() > LONGEST {
        return None;
    }
    let uncompressed = |xy: &[u8]| {
        let sec1 = [&[0x04], xy].concat();
        ECDSA_CURVES.into_iter().find_map(|curve| SigningPublicKey::from_bytes(curve, &sec1).ok())
    };
    if *curve == ShownCurve::Supported(Curve::Ed25519) {
        return edwards(shown);
    }
    shown.windows(64).rev().find_map(uncompressed).or_else(|| compressed(curve, shown))
}

/// What stands in front of the 32 bytes of an Ed25519 key: nothing, or the head of an OCTET STRING, of a BIT STRING, or of a
/// `SubjectPublicKeyInfo`.
const EDWARDS_HEADS: [&[u8]; 4] =
    [&[], &[0x04, 0x20], &[0x03, 0x21, 0], &[0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0]];

fn edwards(shown: &[u8]) -> Option<SigningPublicKey> {
    let bytes = |head: &&[u8]| shown.strip_prefix(*head).filter(|bytes| bytes.len() == 32);
    SigningPublicKey::from_bytes(Curve::Ed25519, EDWARDS_HEADS.iter().find_map(bytes)?).ok()
}

/// Half of all x are those of a point, on any curve: so the form must be right, and the curve known.
fn compressed(curve: &ShownCurve, shown: &[u8]) -> Option<SigningPublicKey> {
    let ShownCurve::Supported(curve) = curve else { return None };
    let sec1 = match shown {
        [0x02 | 0x03, x @ ..] if x.len() == 32 => shown,
        [0x04, 0x21, sec1 @ ..]
        | [0x04, 0x81, 0x21, sec1 @ ..]
        | [0x03, 0x22, 0, sec1 @ ..]
        | [0x03, 0x81, 0x22, 0, sec1 @ ..] => sec1.get(..33)?,
        _ => return None,
    };
    SigningPublicKey::from_bytes(*curve, sec1).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> [(Curve, Vec<u8>, Vec<u8>); 2] {
        let secret = secp256k1::SecretKey::from_secret_bytes([7; 32]).unwrap().public_key();
        let p256 = *p256::ecdsa::SigningKey::from_slice(&[7; 32]).unwrap().verifying_key();
        let sec1 = |compress| p256.to_sec1_point(compress).as_bytes().to_vec();
        [
            (Curve::Secp256k1, secret.serialize_uncompressed().to_vec(), secret.serialize().to_vec()),
            (Curve::P256, sec1(false), sec1(true)),
        ]
    }

    #[test]
    fn a_point_is_read_in_whatever_form() {
        for (curve, point, short) in keys() {
            let expected = SigningPublicKey::from_bytes(curve, &point).unwrap();
            let (xy, named) = (&point[1..], ShownCurve::Supported(curve));
            let of = |parts: &[&[u8]]| parts.concat();
            for shown in [
                of(&[&[4, 0x41], &point]),
                of(&[&point]),
                of(&[&[4, 0x81, 0x41], &point]),
                of(&[&[4, 0x82, 0, 0x41], &point]),
                of(&[&[4, 0x84, 0, 0, 0, 0x41], &point]),
                of(&[&[3, 0x42, 0], &point]),
                of(&[&[3, 0x81, 0x42, 0], &point]),
                of(&[&[4, 0x44, 3, 0x42, 0], &point]),
                of(&[&[4, 0x43, 4, 0x41], &point]),
                of(&[&[0x80, 0x41], &point]),
                of(&[&[4, 0x41], &point, &[0]]),
                of(&[&[4, 0x41], &point, &[0; 37]]),
                of(&[&point, &[0xff, 0]]),
                of(&[&[4, 0x40], xy]),
                of(&[&[3, 0x41, 0], xy]),
                of(&[xy]),
                of(&[&[6 + (point[64] & 1)], xy]),
            ] {
                for curve in [&named, &ShownCurve::Unknown, &ShownCurve::Other("P-384".to_owned())] {
                    assert_eq!(public_key(curve, &shown).as_ref(), Some(&expected), "{}", hex::encode(&shown));
                }
            }
            for head in [&[][..], &[4, 0x21], &[4, 0x81, 0x21], &[3, 0x22, 0]] {
                let shown = of(&[head, &short]);
                assert_eq!(public_key(&named, &shown).as_ref(), Some(&expected));
                assert_eq!(public_key(&ShownCurve::Unknown, &shown), None);
            }
            let mut wrong = of(&[&[4, 0x41], &point]);
            wrong[20] ^= 1;
            for nothing in [&wrong[..], &[], &point[..64], &[4; 64], &[0; 67], &[0; 2000]] {
                assert_eq!(public_key(&named, nothing), None);
            }
        }
    }

    #[test]
    fn an_ed25519_key_is_read_in_its_forms_where_the_curve_is_known() {
        let key: SigningPublicKey = "edpkufnz668CdgnVC4X5KRvJoXCMgicr29Tjmr5vxGzvMdipwkTZmM".parse().unwrap();
        let (bytes, named) = (key.to_bytes(), ShownCurve::Supported(Curve::Ed25519));
        let info = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0];
        for head in [&[][..], &[4, 0x20], &[3, 0x21, 0], &info] {
            let shown = [head, &bytes].concat();
            assert_eq!(public_key(&named, &shown).as_ref(), Some(&key), "{}", hex::encode(&shown));
            assert_eq!(public_key(&ShownCurve::Unknown, &shown), None);
            assert_eq!(public_key(&named, &shown[..shown.len() - 1]), None);
            assert_eq!(public_key(&named, &[&shown[..], &[0]].concat()), None);
        }
    }

    #[test]
    fn a_curve_is_read_as_an_object_identifier_with_any_tag_and_as_a_name() {
        for curve_of in CURVES {
            let der = oid(curve_of);
            let length = u8::try_from(der.len()).unwrap();
            let mut implicit = der.to_vec();
            implicit[0] = 0x80;
            for params in [
                der.to_vec(),
                implicit,
                der[2..].to_vec(),
                [&[0xa0, length], der].concat(),
                [&[0x30, length], der].concat(),
                [der, &[0]].concat(),
            ] {
                assert_eq!(curve(&params), ShownCurve::Supported(curve_of), "{params:02x?}");
            }
        }
        let named = |name: &str| {
            let length = u8::try_from(name.len()).unwrap();
            let strings = [0x0c, 0x13, 0x16].map(|tag| [&[tag, length], name.as_bytes()].concat());
            let found: Vec<_> = strings.iter().map(|params| curve(params)).collect();
            assert!(found.iter().all(|shown| *shown == found[0]) && curve(name.as_bytes()) == found[0], "{found:?}");
            found[0].clone()
        };
        for name in ["secp256k1", "SECP256K1", "ansip256k1"] {
            assert_eq!(named(name), ShownCurve::Supported(Curve::Secp256k1));
        }
        for name in ["prime256v1", "secp256r1", "P-256", "NIST P-256"] {
            assert_eq!(named(name), ShownCurve::Supported(Curve::P256));
        }
        for name in ["edwards25519", "Ed25519", "id-Ed25519"] {
            assert_eq!(named(name), ShownCurve::Supported(Curve::Ed25519));
        }
        for name in ["brainpoolP256r1", "secp384r1", "edwards448"] {
            assert_eq!(named(name), ShownCurve::Other(name.to_owned()));
        }
        assert_eq!(curve(&[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22]), ShownCurve::Other("1.3.132.0.34".to_owned()));
        for unknown in [&[][..], &[5, 0], &[0x30, 0x03, 2, 1, 1]] {
            assert_eq!(curve(unknown), ShownCurve::Unknown);
        }
    }
}
