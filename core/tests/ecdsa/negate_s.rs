//! The second valid form of an ECDSA signature, for tests of low and high s.

/// r ‖ (order − s): the other valid signature, which anybody can make of a given one. All numbers are big-endian.
pub(crate) fn negate_s(mut signature: [u8; 64], order: [u8; 32]) -> [u8; 64] {
    let mut borrow = 0_i16;
    for i in (0..32).rev() {
        let difference = i16::from(order[i]) - i16::from(signature[32 + i]) - borrow;
        borrow = i16::from(difference < 0);
        signature[32 + i] = u8::try_from(difference.rem_euclid(256)).unwrap();
    }
    signature
}
