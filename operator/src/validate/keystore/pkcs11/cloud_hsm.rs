//! `spec.hsm.cloudHsm`: from what a user wrote to a CloudHSM client whose every setting is usable.

use super::token;
use crate::api::{CloudHsmSpec, LogLevel, RetryMode};
use crate::names;
use crate::validate::Invalid;
use crate::validate::keystore::object;
use std::net::IpAddr;
use std::path::PathBuf;
use tezos_signer_core::cause::Cause;
use tezos_signer_core::config::{HsmConfig, TokenSelector};

const FIELD: &str = "spec.hsm.cloudHsm";

/// The label of the token that AWS's client shows.
const DEFAULT_TOKEN: &str = "hsm1";
/// The name of the file in AWS's instructions.
const DEFAULT_CUSTOMER_CA_KEY: &str = "customerCA.crt";
/// AWS's limit of HSMs in a cluster.
const MOST_ADDRESSES: usize = 28;

/// AWS's client in the pod: where it comes from, and how it is set up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloudHsmClient {
    /// The image that holds it; `None`: the signer's own.
    pub image: Option<String>,
    /// How it finds the HSMs.
    pub cluster: ClusterAddress,
    /// The ConfigMap with the customer's certificate, and the key in it.
    pub customer_ca: (String, String),
    /// The Secret with the client's own certificate.
    pub mutual_tls_secret: Option<String>,
    /// Whether a key on one HSM only may be used.
    pub disable_key_availability_check: bool,
    /// Whether the HSM is not asked about the key before each signature.
    pub disable_validate_key_at_init: bool,
    /// What it does when an HSM is too busy.
    pub retry_mode: RetryMode,
    /// How much it logs.
    pub log_level: LogLevel,
}

/// How the client finds the HSMs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClusterAddress {
    /// IP addresses or names.
    Hosts(Vec<String>),
    /// The id of the cluster, for which AWS is asked when the pod starts.
    Id {
        /// The id of the cluster.
        id: String,
        /// The AWS region of the cluster.
        region: String,
    },
}

pub(super) fn validate(spec: &CloudHsmSpec, pin_file: PathBuf) -> Result<(HsmConfig, CloudHsmClient), Invalid> {
    let selector = match (&spec.token.token, &spec.token.serial) {
        (None, None) => TokenSelector::Label(DEFAULT_TOKEN.to_owned()),
        (Some(label), None) => TokenSelector::Label(label.clone()),
        (None, Some(serial)) => TokenSelector::Serial(serial.clone()),
        _ => {
            let reason = "at most one of token (the token's label) and serial (its serial number), to find the token";
            return Err(Invalid::new(FIELD, reason));
        }
    };
    let config = token::config(FIELD, names::pkcs11::CLOUD_HSM_MODULE.into(), selector, pin_file, &spec.token)?;
    let ca = &spec.customer_ca;
    object::name(&field(".customerCa.configMap"), &ca.config_map)?;
    let ca_key = ca.key.as_deref().unwrap_or(DEFAULT_CUSTOMER_CA_KEY);
    object::key(&field(".customerCa.key"), ca_key)?;
    if let Some(tls) = &spec.mutual_tls {
        object::name(&field(".mutualTls.secret"), &tls.secret)?;
    }
    if let Some(image) = &spec.client_image
        && (image.is_empty() || image.contains(char::is_whitespace))
    {
        return Err(wrong(".clientImage", format!("{image:?} is not an image reference")));
    }
    let client = CloudHsmClient {
        image: spec.client_image.clone(),
        cluster: cluster(spec)?,
        customer_ca: (ca.config_map.clone(), ca_key.to_owned()),
        mutual_tls_secret: spec.mutual_tls.as_ref().map(|tls| tls.secret.clone()),
        disable_key_availability_check: spec.disable_key_availability_check,
        disable_validate_key_at_init: spec.disable_validate_key_at_init,
        retry_mode: spec.retry_mode.unwrap_or_default(),
        log_level: spec.log_level.unwrap_or_default(),
    };
    Ok((config, client))
}

fn field(name: &str) -> String {
    format!("{FIELD}{name}")
}

fn wrong(name: &str, reason: impl Into<Cause>) -> Invalid {
    Invalid::new(field(name), reason)
}

fn cluster(spec: &CloudHsmSpec) -> Result<ClusterAddress, Invalid> {
    match (&spec.addresses, &spec.cluster_id) {
        (Some(addresses), None) => {
            if spec.region.is_some() {
                return Err(wrong(".region", "only with clusterId; it is not used with addresses"));
            }
            hosts(addresses)?;
            Ok(ClusterAddress::Hosts(addresses.clone()))
        }
        (None, Some(id)) => {
            let Some(region) = &spec.region else { return Err(wrong(".region", "missing; required with clusterId")) };
            if !is_cluster_id(id) {
                let reason = format!("{id:?} is not a cluster id such as cluster-abcdefghijk");
                return Err(wrong(".clusterId", reason));
            }
            if !is_region(region) {
                return Err(wrong(".region", format!("{region:?} is not a region such as eu-central-1")));
            }
            Ok(ClusterAddress::Id { id: id.clone(), region: region.clone() })
        }
        _ => Err(Invalid::new(FIELD, "exactly one of addresses and clusterId is required")),
    }
}

fn hosts(addresses: &[String]) -> Result<(), Invalid> {
    if addresses.is_empty() {
        return Err(wrong(".addresses", "empty; list the addresses of the HSMs"));
    }
    if addresses.len() > MOST_ADDRESSES {
        let reason = format!("{} addresses; a cluster has at most {MOST_ADDRESSES} HSMs", addresses.len());
        return Err(wrong(".addresses", reason));
    }
    let mut seen = Vec::new();
    for (i, address) in addresses.iter().enumerate() {
        let field = format!(".addresses[{i}]");
        let host = match address.parse::<IpAddr>() {
            Ok(ip) if ip.is_unspecified() || ip.is_multicast() => {
                return Err(wrong(&field, format!("{address} is not the address of one host")));
            }
            Ok(ip) => ip.to_string(),
            Err(_) if is_host_name(address) => address.to_ascii_lowercase(),
            Err(_) => {
                let reason = format!("{address:?} is neither an IP address nor a host name, without port and scheme");
                return Err(wrong(&field, reason));
            }
        };
        if seen.contains(&host) {
            return Err(wrong(&field, format!("{address} is listed twice")));
        }
        seen.push(host);
    }
    Ok(())
}

/// RFC 1123. A last label of digits only would be a mistyped IP address.
fn is_host_name(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let is_number = |label: &str| label.bytes().all(|byte| byte.is_ascii_digit());
    text.len() <= 253 && text.split('.').all(label) && !text.rsplit('.').next().is_some_and(is_number)
}

/// The pattern of AWS's API: `cluster-[2-7a-zA-Z]{11,16}`.
fn is_cluster_id(text: &str) -> bool {
    text.strip_prefix("cluster-").is_some_and(|id| {
        (11..=16).contains(&id.len())
            && id.bytes().all(|byte| byte.is_ascii_alphabetic() || (b'2'..=b'7').contains(&byte))
    })
}

fn is_region(text: &str) -> bool {
    let mut parts = text.split('-');
    let first = parts.next().is_some_and(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase()));
    let word =
        |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let rest: Vec<&str> = parts.collect();
    first && !rest.is_empty() && rest.into_iter().all(word)
}

#[cfg(test)]
mod tests;
