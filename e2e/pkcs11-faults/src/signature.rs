//! Signatures that are wrong or in another form, made of right ones.

use crate::control::WrongSignature;

const SECP256K1: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe, 0xba, 0xae, 0xdc,
    0xe6, 0xaf, 0x48, 0xa0, 0x3b, 0xbf, 0xd2, 0x5e, 0x8c, 0xd0, 0x36, 0x41, 0x41,
];
const P256: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa,
    0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

/// Changes `signature` (r ‖ s); returns its new length.
pub(crate) fn spoil(signature: &mut [u8], how: WrongSignature, is_secp256k1: bool) -> usize {
    match how {
        WrongSignature::BitFlip => signature[40] ^= 1,
        WrongSignature::HighS => {
            let order = if is_secp256k1 { SECP256K1 } else { P256 };
            if signature[32] < 0x80 {
                negate(&mut signature[32..64], &order);
            }
        }
        WrongSignature::Short => return signature.len() - 1,
        WrongSignature::Zero => signature.fill(0),
        WrongSignature::OtherKey => {}
    }
    signature.len()
}

/// The same as `SEQUENCE { r INTEGER, s INTEGER }`.
#[allow(clippy::cast_possible_truncation)] // of lengths that are small
pub(crate) fn der(raw: &[u8]) -> Vec<u8> {
    let mut numbers = Vec::new();
    for half in raw.chunks(32) {
        let digits = &half[half.iter().take_while(|digit| **digit == 0).count()..];
        let is_negative = digits.first().is_some_and(|digit| *digit >= 0x80);
        let sign: &[u8] = if is_negative { &[0] } else { &[] };
        numbers.extend([0x02, (sign.len() + digits.len()) as u8]);
        numbers.extend(sign.iter().chain(digits));
    }
    [&[0x30, numbers.len() as u8], &numbers[..]].concat()
}

/// order − s.
fn negate(s: &mut [u8], order: &[u8; 32]) {
    let mut borrow = false;
    for (digit, order) in s.iter_mut().zip(order).rev() {
        let (first, one) = order.overflowing_sub(*digit);
        let (second, two) = first.overflowing_sub(borrow.into());
        (*digit, borrow) = (second, one || two);
    }
}
