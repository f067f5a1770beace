//! ECDSA signatures in DER, `SEQUENCE { r INTEGER, s INTEGER }`. PKCS#11 has r ‖ s, but some tokens return what their device does.

/// r ‖ s of 32 bytes each; `None` if it is no DER of such a signature.
pub(super) fn raw_from_der(bytes: &[u8]) -> Option<[u8; 64]> {
    let (sequence, []) = value(0x30, bytes)? else { return None };
    let (r, rest) = value(0x02, sequence)?;
    let (s, []) = value(0x02, rest)? else { return None };
    let mut raw = [0; 64];
    for (number, place) in [r, s].into_iter().zip(raw.chunks_exact_mut(32)) {
        // A zero keeps the number from being negative.
        let digits = &number[number.iter().take_while(|digit| **digit == 0).count()..];
        place[32_usize.checked_sub(digits.len())?..].copy_from_slice(digits);
    }
    Some(raw)
}

/// The value with this tag at the beginning, and what follows. A signature on a curve of 256 bits is short: its lengths are one byte.
fn value(tag: u8, bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let [found, length @ ..0x80, rest @ ..] = bytes else { return None };
    (*found == tag).then_some(())?;
    rest.split_at_checked(usize::from(*length))
}

#[cfg(test)]
mod tests {
    use super::raw_from_der;

    #[test]
    fn two_numbers_become_64_bytes_and_anything_else_nothing() {
        let mut long = vec![0x30, 69, 0x02, 33, 0];
        long.extend([0xff; 32]);
        long.extend([0x02, 32]);
        long.extend([0x11; 32]);
        assert_eq!(raw_from_der(&long).unwrap(), <[u8; 64]>::try_from([[0xff; 32], [0x11; 32]].concat()).unwrap());
        let short = [0x30, 6, 0x02, 1, 5, 0x02, 1, 6];
        let raw = raw_from_der(&short).unwrap();
        assert_eq!((raw[31], raw[63], raw.iter().filter(|byte| **byte != 0).count()), (5, 6, 2));
        for wrong in [
            &short[..7],
            &[&short[..], &[0]].concat(),
            &[0x31, 6, 0x02, 1, 5, 0x02, 1, 6],
            &[0x30, 3, 0x02, 1, 5],
            &[0x30, 9, 0x02, 1, 5, 0x02, 1, 6, 0x02, 1, 7],
            &[0x30, 0x81, 6, 0x02, 1, 5, 0x02, 1, 6],
            &[],
        ] {
            assert_eq!(raw_from_der(wrong), None, "{wrong:?}");
        }
        let mut too_long = vec![0x30, 38, 0x02, 33, 1];
        too_long.extend([0; 32]);
        too_long.extend([0x02, 1, 6]);
        assert_eq!(raw_from_der(&too_long), None);
    }
}
