//! The fields that both ways to a token share: how it is found, and how long it may fail.

use crate::api::TokenSpec;
use crate::validate::Invalid;
use std::path::PathBuf;
use std::time::Duration;
use tezos_signer_core::config::{
    DEFAULT_EXIT_AFTER_HANG_SECONDS, DEFAULT_EXIT_AFTER_SECONDS, DEFAULT_SESSIONS, HsmConfig, TokenSelector,
};

/// The signer's configuration of the token; `field` is where in the spec it comes from.
pub(super) fn config(
    field: &str,
    module: PathBuf,
    token: TokenSelector,
    pin_file: PathBuf,
    numbers: &TokenSpec,
) -> Result<HsmConfig, Invalid> {
    match &token {
        TokenSelector::Label(text) if text.is_empty() => return Err(Invalid::new(format!("{field}.token"), "empty")),
        TokenSelector::Serial(text) if text.is_empty() => return Err(Invalid::new(format!("{field}.serial"), "empty")),
        _ => {}
    }
    let number = |name: &str, given: Option<i32>, default: u32, least: u32, most: u32| match given {
        None => Ok(default),
        Some(given) => match u32::try_from(given) {
            Ok(number) if (least..=most).contains(&number) => Ok(number),
            _ => Err(Invalid::new(format!("{field}.{name}"), format!("{given} is not from {least} to {most}"))),
        },
    };
    let sessions = number("sessions", numbers.sessions, DEFAULT_SESSIONS.into(), 1, 16)?;
    let exit_after = number("exitAfterSeconds", numbers.exit_after_seconds, DEFAULT_EXIT_AFTER_SECONDS, 10, 3600)?;
    let hang = numbers.exit_after_hang_seconds;
    let exit_after_hang = number("exitAfterHangSeconds", hang, DEFAULT_EXIT_AFTER_HANG_SECONDS, 3, 3600)?;
    let eddsa_mechanism = numbers.eddsa_mechanism.as_ref().map(|given| given.to_string().parse()).transpose();
    let eddsa_mechanism = eddsa_mechanism.map_err(|error| Invalid::of(format!("{field}.eddsaMechanism"), error))?;
    Ok(HsmConfig {
        module,
        token,
        pin_file,
        sessions: u8::try_from(sessions).unwrap_or(DEFAULT_SESSIONS),
        exit_after: Duration::from_secs(exit_after.into()),
        exit_after_hang: Duration::from_secs(exit_after_hang.into()),
        eddsa_mechanism,
    })
}
