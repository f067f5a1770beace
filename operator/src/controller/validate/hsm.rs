//! `spec.hsm`: how the token is reached, as the signer's configuration says it, and what that needs of the pod.

use super::cloud_hsm::{self, CloudHsmClient};
use super::template::{self, Reserved};
use super::{Invalid, placement, read};
use crate::api::{HsmSpec, PinSource, Pkcs11Spec, TokenSpec};
use crate::controller::build::names;
use serde::Deserialize;
use serde_json::Value;
use std::path::PathBuf;
use std::time::Duration;
use tezos_signer_core::config::{
    DEFAULT_EXIT_AFTER_HANG_SECONDS, DEFAULT_EXIT_AFTER_SECONDS, DEFAULT_SESSIONS, HsmConfig, TokenSelector,
};

/// What the PKCS#11 library needs of the pod.
#[derive(Debug, Clone, PartialEq)]
pub enum HsmAccess {
    /// What the user says.
    Pkcs11(Pkcs11Access),
    /// AWS's client, its configuration and certificates.
    CloudHsm(CloudHsmClient),
}

/// What the user says that a PKCS#11 library needs, as the user wrote it. Each has a name; the API server knows the rest.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Pkcs11Access {
    /// Volumes of the pod.
    pub volumes: Vec<Value>,
    /// Their mounts in the signer's container.
    pub volume_mounts: Vec<Value>,
    /// Environment of the signer's container.
    pub env: Vec<Value>,
}

impl HsmAccess {
    /// What the baker may not have: the user's volumes for the library, and what it takes to log in.
    pub(super) fn reserved<'a>(&'a self, pin: &'a PinSource) -> Reserved<'a> {
        let mut secrets = vec![pin.secret.as_str()];
        let volumes = match self {
            Self::Pkcs11(access) => access.volumes.iter().filter_map(|volume| volume["name"].as_str()).collect(),
            Self::CloudHsm(client) => {
                secrets.extend(client.mutual_tls_secret.as_deref());
                Vec::new() // they have names of our own
            }
        };
        Reserved { volumes, secrets }
    }
}

pub(super) fn validate(spec: &HsmSpec) -> Result<(HsmConfig, PinSource, HsmAccess), Invalid> {
    match (&spec.cloud_hsm, &spec.pkcs11) {
        (Some(cloud_hsm), None) => {
            let (config, client) = cloud_hsm::validate(cloud_hsm)?;
            Ok((config, cloud_hsm.token.pin.clone(), HsmAccess::CloudHsm(client)))
        }
        (None, Some(pkcs11)) => {
            let config = pkcs11_config(pkcs11)?;
            Ok((config, pkcs11.token.pin.clone(), HsmAccess::Pkcs11(pkcs11_access(pkcs11)?)))
        }
        _ => Err(Invalid::new("spec.hsm", "exactly one of cloudHsm and pkcs11 is needed")),
    }
}

fn pkcs11_config(spec: &Pkcs11Spec) -> Result<HsmConfig, Invalid> {
    let token = match (&spec.token.token, &spec.token.serial) {
        (Some(label), None) => TokenSelector::Label(label.clone()),
        (None, Some(serial)) => TokenSelector::Serial(serial.clone()),
        _ => {
            let reason = "exactly one of token (the token's label) and serial (its serial number) is needed";
            return Err(Invalid::new("spec.hsm.pkcs11", reason));
        }
    };
    config("spec.hsm.pkcs11", spec.module.clone().into(), token, &spec.token)
}

/// The signer's configuration of the token; `field` is where in the spec it comes from.
pub(super) fn config(
    field: &str,
    module: PathBuf,
    token: TokenSelector,
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
    Ok(HsmConfig {
        module,
        token,
        pin_file: names::PIN_FILE.into(),
        sessions: u8::try_from(sessions).unwrap_or(DEFAULT_SESSIONS),
        exit_after: Duration::from_secs(exit_after.into()),
        exit_after_hang: Duration::from_secs(exit_after_hang.into()),
    })
}

/// All that is read of a volume, a mount or a variable.
#[derive(Deserialize)]
struct Named {
    name: String,
}

fn names_of(field: &str, values: &[Value]) -> Result<Vec<String>, Invalid> {
    let name = |(i, value)| read(&format!("{field}[{i}]"), value).map(|named: Named| named.name);
    values.iter().enumerate().map(name).collect()
}

fn pkcs11_access(pkcs11: &Pkcs11Spec) -> Result<Pkcs11Access, Invalid> {
    let volumes = names_of("spec.hsm.pkcs11.volumes", &pkcs11.volumes)?;
    for (i, volume) in volumes.iter().enumerate() {
        template::refuse_own_name(&format!("spec.hsm.pkcs11.volumes[{i}].name"), volume)?;
    }
    let env = names_of("spec.hsm.pkcs11.env", &pkcs11.env)?;
    if let Some(i) = env.iter().position(|name| names::OWN_ENV.contains(&name.as_str())) {
        return Err(Invalid::new(format!("spec.hsm.pkcs11.env[{i}].name"), "the operator sets this one"));
    }
    let mounts = names_of("spec.hsm.pkcs11.volumeMounts", &pkcs11.volume_mounts)?;
    if let Some(i) = mounts.iter().position(|mount| !volumes.contains(mount)) {
        let reason = format!("there is no volume {:?} in spec.hsm.pkcs11.volumes", mounts[i]);
        return Err(Invalid::new(format!("spec.hsm.pkcs11.volumeMounts[{i}].name"), reason));
    }
    let as_written = |values: &[Value]| values.iter().map(placement::without_nulls).collect();
    Ok(Pkcs11Access {
        volumes: as_written(&pkcs11.volumes),
        volume_mounts: as_written(&pkcs11.volume_mounts),
        env: as_written(&pkcs11.env),
    })
}
