//! Names of Secrets, ConfigMaps and ServiceAccounts, and of keys in them, as the API server takes them. Refused here, because its dry run would name a volume.

use crate::validate::Invalid;

/// A name that the API server takes for ConfigMaps, Secrets and ServiceAccounts: a DNS subdomain.
pub(in crate::validate) fn name(field: &str, name: &str) -> Result<(), Invalid> {
    let end = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let label = |label: &str| {
        label.bytes().all(|byte| end(byte) || byte == b'-')
            && label.bytes().next().is_some_and(end)
            && label.bytes().last().is_some_and(end)
    };
    if name.len() <= 253 && name.split('.').all(label) {
        return Ok(());
    }
    let reason = format!("{name:?} is not a valid object name: expected lower-case letters, digits, - and .");
    Err(Invalid::new(field, reason))
}

/// A key of a ConfigMap or a Secret.
pub(in crate::validate) fn key(field: &str, key: &str) -> Result<(), Invalid> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if (1..=253).contains(&key.len()) && key.bytes().all(allowed) && key != "." && !key.starts_with("..") {
        return Ok(());
    }
    let reason = format!("{key:?} is not a valid key of a ConfigMap or Secret: expected letters, digits, -, _ and .");
    Err(Invalid::new(field, reason))
}
