//! The first stage: from what a user wrote to types that cannot be wrong. Pure: no cluster, no clock.
//!
//! Every error names the field as the user wrote it, and says what to do.

mod baker;
mod cloud_hsm;
mod hsm;
mod placement;
mod service;
mod template;

pub use baker::{Baker, OctezBaker};
pub use cloud_hsm::{CloudHsmClient, ClusterAddress};
pub use hsm::{HsmAccess, Pkcs11Access};
pub use placement::Placement;
pub use service::{Authorities, AuthoritiesSource, ServiceCertificate, ServiceForm};
pub use template::Template;

use crate::api::{InitialWatermarkSpec, KeySpec, PinSource, ResourcesSpec, TezosSigner};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use tezos_signer_core::authentication::AuthorizedKeys;
use tezos_signer_core::config::{
    ADMIN_PORT, AuditConfig, ConfigMapConfig, DEFAULT_MAX_CONCURRENT_REQUESTS, DEFAULT_MAX_CONNECTIONS, HsmConfig,
    KeyConfig, KeySelector, NodeEndpoint, NodeEndpointError, PeerConfig, SIGNING_PORT, SignerConfig, TlsConfig,
    WatermarkConfig,
};
use tezos_signer_core::key::{ChainId, SigningPublicKey};
use tezos_signer_core::payload::operation::{Mutez, OperationKind};
use tezos_signer_core::policy::PayloadKind;
use tezos_signer_core::position::Level;
use tezos_signer_core::record::{RECORDS_NAMESPACE, Record, RecordName};

/// How long one request may take, in milliseconds. The Octez client asks again on a 502.
pub const REQUEST_DEADLINE_MILLISECONDS: u32 = 1500;

/// What is wrong with a TezosSigner.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {reason}")]
pub struct Invalid {
    /// The field, as a path from the root of the object.
    pub field: String,
    /// What is wrong with it, and what is expected.
    pub reason: String,
}

impl Invalid {
    /// `field` is wrong because of `reason`.
    #[allow(clippy::needless_pass_by_value, reason = "errors are handed over as they come")]
    pub fn new(field: impl Into<String>, reason: impl ToString) -> Self {
        Self { field: field.into(), reason: reason.to_string() }
    }
}

/// Who a TezosSigner is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Its namespace.
    pub namespace: String,
    /// Its name, at most 40 characters without dots.
    pub name: String,
    /// Its UID.
    pub uid: String,
}

impl Identity {
    /// Of the TezosSigner with this metadata.
    pub fn of(metadata: &ObjectMeta) -> Result<Self, Invalid> {
        let (Some(namespace), Some(name), Some(uid)) = (&metadata.namespace, &metadata.name, &metadata.uid) else {
            return Err(Invalid::new("metadata", "namespace, name or uid is missing"));
        };
        Ok(Self { namespace: namespace.clone(), name: name.clone(), uid: uid.clone() })
    }
}

/// A TezosSigner whose every value is usable.
#[derive(Debug, Clone, PartialEq)]
pub struct ValidSigner {
    /// Who it is.
    pub identity: Identity,
    /// The keys, each with its record's name.
    pub keys: Vec<KeyConfig>,
    /// Where a key starts that has no record.
    pub initial: Option<InitialWatermark>,
    /// The signer's configuration file.
    pub config: String,
    /// Where the PIN is.
    pub pin: PinSource,
    /// What the PKCS#11 library needs of the pod.
    pub hsm: HsmAccess,
    /// What runs.
    pub form: Form,
    /// What its pods need of nodes and registries.
    pub placement: Placement,
    /// What the signer's container asks for and may use, where that is not as usual.
    pub resources: ResourcesSpec,
    /// The image, if it is named.
    pub image: Option<String>,
    /// Whether nothing is to be signed.
    pub suspend: bool,
}

/// What runs: a baker with the signer as its sidecar, or signers only.
#[derive(Debug, Clone, PartialEq)]
pub enum Form {
    /// A baker, with the signer in its pod.
    Baker(Baker),
    /// Signers behind a Service.
    Service(ServiceForm),
}

/// How clients and other replicas reach the signer, as its configuration says it.
struct Ports {
    listen: SocketAddr,
    authorized_keys: AuthorizedKeys,
    tls: Option<TlsConfig>,
    peer: Option<PeerConfig>,
}

impl Ports {
    /// Nobody outside the pod may ask.
    fn of_sidecar() -> Self {
        let listen = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), SIGNING_PORT);
        Self { listen, authorized_keys: AuthorizedKeys::default(), tls: None, peer: None }
    }
}

/// The record that a key without one starts with.
#[derive(Debug, Clone, PartialEq)]
pub struct InitialWatermark {
    /// What it says.
    pub record: Record,
    /// No record is made after this.
    pub not_after: jiff::Timestamp,
}

/// Checks `signer`, and stops at the first thing that is wrong.
pub fn validate(signer: &TezosSigner) -> Result<ValidSigner, Invalid> {
    let identity = identity(signer)?;
    let spec = &signer.spec;
    let chain: ChainId = spec.chain.parse().map_err(|error| Invalid::new("spec.chain", error))?;
    if let (None, Some(i)) = (&spec.service, spec.keys.iter().position(|key| key.authorized_keys.is_some())) {
        let reason = "only with service; beside a baker nobody else reaches the signer";
        return Err(Invalid::new(format!("spec.keys[{i}].authorizedKeys"), reason));
    }
    let keys = keys(&spec.keys, chain)?;
    let placement = placement::validate(spec)?;
    let initial = spec.initial_watermark.as_ref().map(initial_watermark).transpose()?;
    let (hsm, pin, access) = hsm::validate(&spec.hsm)?;
    let (form, ports) = match (&spec.baker, &spec.service) {
        (Some(baker), None) => {
            let baker = baker::validate(baker, &keys, &access.reserved(&pin))?;
            (Form::Baker(baker), Ports::of_sidecar())
        }
        (None, Some(service)) => {
            let (form, ports) = service::validate(&identity, service)?;
            (Form::Service(form), ports)
        }
        _ => {
            let reason =
                "exactly one of baker (a pod with the signer as its sidecar) and service (a signer only) is needed";
            return Err(Invalid::new("spec", reason));
        }
    };
    let node = spec.node_endpoint.as_deref().map(str::parse).transpose();
    let node = node.map_err(|error: NodeEndpointError| Invalid::new("spec.nodeEndpoint", error))?;
    let config = config(keys.clone(), hsm, ports, node, spec.lease_duration_seconds)?;
    Ok(ValidSigner {
        identity,
        keys,
        initial,
        config,
        pin,
        hsm: access,
        form,
        placement,
        resources: spec.resources.clone().unwrap_or_default(),
        image: spec.image.clone(),
        suspend: spec.suspend,
    })
}

/// Who `signer` is; its name was checked by the API server too, unless the CRD is an older one.
fn identity(signer: &TezosSigner) -> Result<Identity, Invalid> {
    let identity = Identity::of(&signer.metadata)?;
    if identity.name.len() > 40 || identity.name.contains('.') {
        let reason = "at most 40 characters and no dots, because the names of pods and roles are made of it";
        return Err(Invalid::new("metadata.name", reason));
    }
    Ok(identity)
}

/// The names of the records that `signer` may own: those that it remembers, and those of the keys in its spec, whatever else is
/// wrong with it.
pub fn records(signer: &TezosSigner) -> BTreeSet<String> {
    let remembered = signer.status.iter().flat_map(|status| &status.keys).map(|key| key.record.clone());
    let chain = signer.spec.chain.parse::<ChainId>().ok();
    let in_spec = signer.spec.keys.iter().filter_map(|key| {
        let key: SigningPublicKey = key.public_key.parse().ok()?;
        Some(RecordName::new(&key.hash(), &chain?).to_string())
    });
    remembered.chain(in_spec).collect()
}

fn keys(specs: &[KeySpec], chain: ChainId) -> Result<Vec<KeyConfig>, Invalid> {
    if specs.is_empty() {
        return Err(Invalid::new("spec.keys", "at least one key is needed"));
    }
    let mut keys: Vec<KeyConfig> = Vec::new();
    for (i, spec) in specs.iter().enumerate() {
        let key = key(spec, chain)
            .map_err(|Invalid { field, reason }| Invalid::new(format!("spec.keys[{i}]{field}"), reason))?;
        if keys.iter().any(|other| other.hash() == key.hash()) {
            let reason = format!("{} stands there twice", key.hash());
            return Err(Invalid::new(format!("spec.keys[{i}].publicKey"), reason));
        }
        keys.push(key);
    }
    Ok(keys)
}

fn key(spec: &KeySpec, chain: ChainId) -> Result<KeyConfig, Invalid> {
    let public_key: SigningPublicKey = spec.public_key.parse().map_err(|error| Invalid::new(".publicKey", error))?;
    let selector = match (&spec.label, &spec.id) {
        (Some(label), None) if !label.is_empty() => KeySelector::Label(label.clone()),
        (None, Some(id)) => KeySelector::Id(
            hex::decode(id).map_err(|_| Invalid::new(".id", "expected hexadecimal digits, two for each byte"))?,
        ),
        _ => return Err(Invalid::new("", "exactly one of label and id is needed, to find the key in the token")),
    };
    let allow = match &spec.allow {
        None => PayloadKind::CONSENSUS.to_vec(),
        Some(allow) if allow.is_empty() => return Err(Invalid::new(".allow", "empty: the key would sign nothing")),
        Some(allow) if allow.contains(&PayloadKind::Operation(OperationKind::DrainDelegate)) => {
            let reason =
                "drain_delegate sends a baker's whole balance away: it has a switch of its own, drainDelegate: true";
            return Err(Invalid::new(".allow", reason));
        }
        // One order, whatever the user's: the configuration's name comes from its text.
        Some(allow) => {
            let named = |kind: &PayloadKind| allow.contains(kind);
            let operations = OperationKind::ALL.map(PayloadKind::Operation);
            PayloadKind::CONSENSUS.into_iter().chain(operations).filter(named).collect()
        }
    };
    let mut key = KeyConfig::new(public_key, selector, chain);
    key.policy.allow = allow;
    if let Some(jump) = spec.max_level_jump {
        key.max_level_jump = u32::try_from(jump).map_err(|_| Invalid::new(".maxLevelJump", "negative"))?;
    }
    limits(spec, &mut key)?;
    Ok(key)
}

/// What is allowed of generic operations, and who may ask.
fn limits(spec: &KeySpec, key: &mut KeyConfig) -> Result<(), Invalid> {
    let mutez = |name: &str, given: i64| -> Result<Mutez, Invalid> {
        given.to_string().parse().map_err(|error| Invalid::new(name, error))
    };
    if let Some(votes) = &spec.ballot {
        key.policy.ballot.retain(|vote| votes.contains(vote));
        if key.policy.ballot.is_empty() {
            return Err(Invalid::new(".ballot", "empty: name yay, nay or pass"));
        }
    }
    if let Some(fee) = spec.max_fee {
        key.policy.max_fee = mutez(".maxFee", fee)?;
    }
    key.policy.max_amount = spec.max_amount.map(|amount| mutez(".maxAmount", amount)).transpose()?;
    if let Some(destinations) = &spec.destinations {
        let address = |(i, text): (usize, &String)| {
            text.parse().map_err(|error| Invalid::new(format!(".destinations[{i}]"), error))
        };
        key.policy.destinations = Some(destinations.iter().enumerate().map(address).collect::<Result<_, _>>()?);
    }
    key.policy.drain_delegate = spec.drain_delegate;
    if let Some(suffix) = spec.unknown_consensus_suffix {
        key.unknown_consensus_suffix = suffix.into();
    }
    if let Some(clients) = &spec.authorized_keys {
        key.authorized_keys = service::public_keys(".authorizedKeys", clients)?;
    }
    Ok(())
}

fn initial_watermark(spec: &InitialWatermarkSpec) -> Result<InitialWatermark, Invalid> {
    let record = match (spec.level, spec.fresh.unwrap_or(false)) {
        (Some(level), false) => {
            let level =
                Level::from_i32(level).ok_or_else(|| Invalid::new("spec.initialWatermark.level", "negative"))?;
            Record::starting_above(level)
        }
        (None, true) => Record::fresh(),
        _ => return Err(Invalid::new("spec.initialWatermark", "exactly one of level and fresh: true is needed")),
    };
    Ok(InitialWatermark { record, not_after: spec.not_after.0 })
}

/// The text of the configuration, read back with the signer's own eyes.
fn config(
    keys: Vec<KeyConfig>,
    hsm: HsmConfig,
    ports: Ports,
    node_endpoint: Option<NodeEndpoint>,
    lease_duration_seconds: Option<i32>,
) -> Result<String, Invalid> {
    let default = ConfigMapConfig::default();
    let lease_duration_seconds = match lease_duration_seconds {
        None => default.lease_duration_seconds,
        Some(seconds) => u32::try_from(seconds).map_err(|_| Invalid::new("spec.leaseDurationSeconds", "negative"))?,
    };
    let config = SignerConfig {
        listen: ports.listen,
        admin: SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), ADMIN_PORT),
        request_deadline_milliseconds: REQUEST_DEADLINE_MILLISECONDS,
        authorized_keys: ports.authorized_keys,
        node_endpoint,
        audit: AuditConfig::default(),
        unix_socket: None,
        tls: ports.tls,
        peer: ports.peer,
        path_prefix: None,
        allow_known_keys: false,
        max_concurrent_requests: DEFAULT_MAX_CONCURRENT_REQUESTS,
        max_connections: DEFAULT_MAX_CONNECTIONS,
        hsm,
        keys,
        watermarks: Some(WatermarkConfig::ConfigMap(ConfigMapConfig {
            namespace: RECORDS_NAMESPACE.to_owned(),
            lease_duration_seconds,
        })),
    };
    let text = config.to_yaml().map_err(|error| Invalid::new("spec", error))?;
    SignerConfig::from_yaml(&text).map_err(|error| Invalid::new("spec", error))?;
    Ok(text)
}

/// What this program reads of `value`, an object of Kubernetes: a `T`, which leaves out the rest.
fn read<T: DeserializeOwned>(field: &str, value: &Value) -> Result<T, Invalid> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        let field = if path == "." { field.to_owned() } else { format!("{field}.{path}") };
        Invalid::new(field, error.into_inner())
    })
}

#[cfg(test)]
pub(crate) mod tests;
