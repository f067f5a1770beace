//! `spec.service`: signers without a baker, their Service, and the part of the signer's configuration that follows from it.

use super::{Invalid, Ports};
use crate::api::{ClientCa, ServiceSpec};
use crate::identity::Identity;
use crate::names;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use tezos_signer_core::authentication::{AuthorizedKeys, ClientKey};
use tezos_signer_core::config::{PEER_PORT, PeerConfig, PeerTlsConfig, SIGNING_PORT, TlsConfig};

const FIELD: &str = "spec.service";
/// The number of signers if the spec does not say it.
pub const DEFAULT_REPLICAS: u8 = 2;
const MOST_REPLICAS: u8 = 5;
const DEFAULT_CLIENT_CA_KEY: &str = "ca.crt";

/// Signers behind a Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceWorkload {
    /// The port of the Service.
    pub port: u16,
    /// How many signers run.
    pub replicas: u8,
    /// Their certificate.
    pub tls: Option<ServiceCertificate>,
}

/// The certificate of the signers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceCertificate {
    /// The Secret with `tls.crt`, `tls.key` and `ca.crt`.
    pub secret: String,
    /// The authorities of the clients' certificates, if they need one.
    pub client_ca: Option<Authorities>,
}

/// Where certificates of authorities are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authorities {
    /// The Secret or ConfigMap that has the certificates.
    pub source: AuthoritiesSource,
    /// The key in it.
    pub key: String,
}

/// The object that certificates of authorities are in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuthoritiesSource {
    /// A ConfigMap of that name.
    ConfigMap(String),
    /// A Secret of that name.
    Secret(String),
}

/// The signers, and how their ports are configured.
pub(super) fn validate(identity: &Identity, spec: &ServiceSpec) -> Result<(ServiceWorkload, Ports), Invalid> {
    // Pods and Deployments may begin with a digit, Services may not.
    if !identity.name.starts_with(|first: char| first.is_ascii_lowercase()) {
        let reason = "it must begin with a letter, because the Service of spec.service has this name";
        return Err(Invalid::new("metadata.name", reason));
    }
    let port = number("port", spec.port, SIGNING_PORT, u16::MAX)?;
    let replicas = number("replicas", spec.replicas, DEFAULT_REPLICAS, MOST_REPLICAS)?;
    let tls = match (&spec.tls, &spec.client_ca) {
        (None, None) => None,
        (None, Some(_)) => {
            let reason = "requires tls, because client certificates are a part of TLS";
            return Err(Invalid::new(format!("{FIELD}.clientCa"), reason));
        }
        (Some(tls), _) if tls.secret.is_empty() => return Err(Invalid::new(format!("{FIELD}.tls.secret"), "empty")),
        (Some(tls), client_ca) => {
            let client_ca = client_ca.as_ref().map(authorities).transpose()?;
            Some(ServiceCertificate { secret: tls.secret.clone(), client_ca })
        }
    };
    let ports = Ports {
        listen: everywhere(SIGNING_PORT),
        authorized_keys: authorized_keys(spec)?,
        tls: tls.as_ref().map(|tls| TlsConfig {
            certificate_file: names::TLS_CERTIFICATE_FILE.into(),
            private_key_file: names::TLS_KEY_FILE.into(),
            client_ca_file: tls.client_ca.as_ref().map(|_| names::CLIENT_CA_FILE.into()),
        }),
        peer: Some(PeerConfig {
            listen: everywhere(PEER_PORT),
            tls: tls.as_ref().map(|_| PeerTlsConfig {
                certificate_file: names::TLS_CERTIFICATE_FILE.into(),
                private_key_file: names::TLS_KEY_FILE.into(),
                ca_file: names::TLS_CA_FILE.into(),
            }),
        }),
    };
    Ok((ServiceWorkload { port, replicas, tls }, ports))
}

fn everywhere(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), port)
}

/// From 1 to `most`.
fn number<T: TryFrom<i32> + PartialOrd + Into<u32>>(
    name: &str,
    given: Option<i32>,
    default: T,
    most: T,
) -> Result<T, Invalid> {
    let Some(given) = given else { return Ok(default) };
    match T::try_from(given) {
        Ok(number) if given >= 1 && number <= most => Ok(number),
        _ => Err(Invalid::new(format!("{FIELD}.{name}"), format!("{given} is not from 1 to {}", most.into()))),
    }
}

/// The keys of the clients that may ask for signatures.
///
/// INVARIANT O14: An empty list is an error and does not allow everybody: only `unauthenticated: true` does.
fn authorized_keys(spec: &ServiceSpec) -> Result<AuthorizedKeys, Invalid> {
    let field = || format!("{FIELD}.authorizedKeys");
    match (&spec.authorized_keys, spec.unauthenticated.unwrap_or(false)) {
        (None, true) => Ok(AuthorizedKeys::default()),
        (Some(keys), false) if keys.is_empty() => {
            let reason = "empty: no client could request signatures; list the clients' public keys, or remove it and set \
                 unauthenticated: true to allow all clients";
            Err(Invalid::new(field(), reason))
        }
        (Some(keys), false) => public_keys(&field(), keys),
        _ => {
            let reason = "exactly one of authorizedKeys (the clients that may request signatures) and unauthenticated: true (all \
                 clients may) is required";
            Err(Invalid::new(FIELD, reason))
        }
    }
}

/// The public keys of clients, without duplicates.
pub(super) fn public_keys(field: &str, keys: &[String]) -> Result<AuthorizedKeys, Invalid> {
    let mut parsed: Vec<ClientKey> = Vec::new();
    for (i, text) in keys.iter().enumerate() {
        let key: ClientKey = text.parse().map_err(|error| Invalid::of(format!("{field}[{i}]"), error))?;
        if parsed.contains(&key) {
            return Err(Invalid::new(format!("{field}[{i}]"), format!("{text} is listed twice")));
        }
        parsed.push(key);
    }
    Ok(AuthorizedKeys::new(parsed))
}

fn authorities(spec: &ClientCa) -> Result<Authorities, Invalid> {
    let field = format!("{FIELD}.clientCa");
    let source = match (&spec.config_map, &spec.secret) {
        (Some(name), None) => AuthoritiesSource::ConfigMap(name.clone()),
        (None, Some(name)) => AuthoritiesSource::Secret(name.clone()),
        _ => return Err(Invalid::new(field, "exactly one of configMap and secret is required")),
    };
    let key = spec.key.clone().unwrap_or_else(|| DEFAULT_CLIENT_CA_KEY.to_owned());
    Ok(Authorities { source, key })
}

#[cfg(test)]
mod tests;
