//! The slot of the configured token. Slots of other tokens are none of its business: what is wrong with one of them is told
//! only where ours is not found.

use crate::keystore::pkcs11::HsmError;
use crate::keystore::pkcs11::worker_slot::CallClock;
use cryptoki::context::Pkcs11;
use cryptoki::slot::Slot;
use std::sync::Arc;
use tezos_signer_core::config::TokenSelector;
use tezos_signer_core::json::quoted;

/// What does not change while the library is initialised.
#[derive(Debug, Clone, Copy)]
pub(super) struct TokenSlot {
    pub(super) slot: Slot,
    /// A person enters the PIN at the token, `CKF_PROTECTED_AUTHENTICATION_PATH`.
    pub(super) has_keypad: bool,
    pub(super) is_write_protected: bool,
}

pub(super) fn find(library: &Pkcs11, token: &TokenSelector, clock: &CallClock) -> Result<TokenSlot, HsmError> {
    let (mut found, mut seen, mut unreadable) = (Vec::new(), Vec::new(), None);
    for slot in clock.call(|| library.get_slots_with_token())? {
        let info = match clock.call(|| library.get_token_info(slot)) {
            Ok(info) => info,
            Err(error) => {
                let error = HsmError::from(error);
                seen.push(format!("slot {slot}, which cannot be read ({error})"));
                unreadable.get_or_insert(Arc::new(error));
                continue;
            }
        };
        let (label, serial) = (text(info.label()), text(info.serial_number()));
        let is_ours = match token {
            TokenSelector::Label(wanted) => label == text(wanted),
            TokenSelector::Serial(wanted) => serial == text(wanted),
        };
        if is_ours {
            let (has_keypad, is_write_protected) = (info.protected_authentication_path(), info.write_protected());
            found.push(TokenSlot { slot, has_keypad, is_write_protected });
        }
        if info.token_initialized() {
            seen.push(format!("{} (serial number {})", quoted(label), quoted(serial)));
        }
    }
    match found[..] {
        [slot] => Ok(slot),
        [] => {
            let seen = if seen.is_empty() { "none".to_owned() } else { seen.join(", ") };
            Err(HsmError::NoToken { token: token.clone(), seen, unreadable })
        }
        _ => Err(HsmError::AmbiguousToken(token.clone())),
    }
}

/// The text of a field of fixed length: padded with blanks, as PKCS#11 has it, or with NULs, or ended by one.
fn text(field: &str) -> &str {
    field.split('\0').next().unwrap_or_default().trim_matches(' ')
}

#[cfg(test)]
mod tests {
    use super::text;

    #[test]
    fn a_field_is_padded_with_blanks_or_with_nuls_or_ended_by_one() {
        for field in ["hsm 1", "hsm 1   ", "hsm 1\0\0\0", "hsm 1\0rubbish", "hsm 1   \0", "hsm 1\0   ", "  hsm 1"] {
            assert_eq!(text(field), "hsm 1", "{field:?}");
        }
        assert_eq!(text("\0\0"), "");
    }
}
