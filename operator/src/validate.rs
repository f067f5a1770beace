//! The first stage: from the spec as a user wrote it to types whose every value can be used. Pure: no cluster, no clock.
//!
//! Every error names the field as the user wrote it, and says what to do.

mod baker;
mod inject;
mod keystore;
mod placement;
mod pod;
mod service;
mod template;

pub use baker::{Baker, OctezBaker};
pub use inject::Inject;
pub use keystore::{AwsKms, CloudHsmClient, ClusterAddress, Keystore, Library, MountedLibrary, Pin, PinVolume, Pkcs11};
pub use placement::Placement;
pub use pod::PodAdditions;
pub use service::{Authorities, AuthoritiesSource, DEFAULT_REPLICAS, ServiceCertificate, ServiceWorkload};
pub use template::Template;

use crate::api::{InitialWatermarkSpec, KeySpec, ResourcesSpec, TezosSigner, TezosSignerSpec};
use crate::identity::Identity;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::BTreeSet;
use std::error::Error;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use tezos_signer_core::authentication::AuthorizedKeys;
use tezos_signer_core::cause::Cause;
use tezos_signer_core::config::{
    ADMIN_PORT, AuditConfig, ConfigError, ConfigMapConfig, DEFAULT_MAX_CONCURRENT_REQUESTS, DEFAULT_MAX_CONNECTIONS,
    DEFAULT_SEALED_CHECK_SECONDS, DEFAULT_SEALED_GRACE_SECONDS, KeyConfig, KeySource, KeystoreConfig, NodeEndpoint,
    NodeEndpointError, PeerConfig, SIGNING_PORT, SealedTerms, SignerConfig, TlsConfig, WatermarkConfig,
};
use tezos_signer_core::key::{ChainId, Curve, SigningPublicKey};
use tezos_signer_core::payload::operation::{Mutez, OperationKind};
use tezos_signer_core::policy::PayloadKind;
use tezos_signer_core::position::{ConsensusKind, Level};
use tezos_signer_core::record::{RECORDS_NAMESPACE, RecordName};

/// How long one request may take, in milliseconds. The Octez client asks again on a 502.
pub const REQUEST_DEADLINE_MILLISECONDS: u32 = 1500;

/// A field of a TezosSigner is invalid. A retry helps once the spec is changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {reason}")]
pub struct Invalid {
    /// The field, as a path from the root of the object.
    pub field: String,
    /// What is wrong with it, and what is expected.
    #[source]
    pub reason: Cause,
}

impl Invalid {
    /// `field` is wrong because of `reason`.
    pub fn new(field: impl Into<String>, reason: impl Into<Cause>) -> Self {
        Self { field: field.into(), reason: reason.into() }
    }

    /// The value of `field` cannot be parsed.
    pub(crate) fn of(field: impl Into<String>, error: impl Error + Send + Sync + 'static) -> Self {
        Self::new(field, Cause::of(error))
    }
}

/// A TezosSigner whose every value is usable.
#[derive(Debug, Clone, PartialEq)]
pub struct Valid {
    /// Its namespace, name and UID.
    pub identity: Identity,
    /// The keys, each with its record's name.
    pub keys: Vec<KeyConfig>,
    /// What a record is created with that does not exist yet.
    pub initial: Option<InitialWatermark>,
    /// The Octez nodes that are named, by their RPC addresses: `http://HOST:PORT`, `https://HOST:PORT/PATH`.
    pub nodes: Vec<String>,
    /// The signer's configuration file.
    pub config: String,
    /// Where the keys are, and what that needs of the pod.
    pub keystore: Keystore,
    /// The baker or the signers that run.
    pub workload: Workload,
    /// Scheduling and image pull secrets of the pods.
    pub placement: Placement,
    /// What users add to the pods and their ServiceAccount.
    pub additions: PodAdditions,
    /// Requests and limits of the signer's container that differ from the defaults.
    pub resources: ResourcesSpec,
    /// The image, if it is named.
    pub image: Option<String>,
    /// Whether signing is suspended.
    pub suspend: bool,
}

/// What runs: a baker with the signer as its sidecar, signers only, or pods of the user's that get the sidecar.
#[derive(Debug, Clone, PartialEq)]
pub enum Workload {
    /// A baker, with the signer in its pod.
    Baker(Baker),
    /// Signers behind a Service.
    Service(ServiceWorkload),
    /// A sidecar for pods that something else makes.
    Inject(Inject),
}

/// How clients and other replicas reach the signer, as its configuration says it.
struct Ports {
    listen: SocketAddr,
    authorized_keys: AuthorizedKeys,
    tls: Option<TlsConfig>,
    peer: Option<PeerConfig>,
}

impl Ports {
    /// The ports of a sidecar: only the pod itself may ask for signatures.
    fn of_sidecar() -> Self {
        let listen = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), SIGNING_PORT);
        Self { listen, authorized_keys: AuthorizedKeys::default(), tls: None, peer: None }
    }
}

/// What a record is created with.
#[derive(Debug, Clone, PartialEq)]
pub struct InitialWatermark {
    /// Where the rows of a new record start.
    pub start: Start,
    /// No record is made after this.
    pub not_after: jiff::Timestamp,
}

/// Where a new record starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// The first thing signed is above this level.
    Above(Level),
    /// The key has never signed anything on this chain.
    Fresh,
}

/// The HTTP addresses of the nodes that a spec names, each once, without a trailing slash: the signer's, then an Octez baker's in their order.
fn nodes(endpoint: Option<&NodeEndpoint>, workload: &Workload) -> Vec<String> {
    let bakers = match workload {
        Workload::Baker(Baker::Octez(baker)) => [&baker.node_endpoint].into_iter().chain(&baker.extra_nodes).collect(),
        _ => Vec::new(),
    };
    let mut nodes: Vec<String> = endpoint.map(NodeEndpoint::to_string).into_iter().collect();
    for node in bakers {
        let node = node.trim_end_matches('/');
        if nodes.iter().all(|other| other != node) {
            nodes.push(node.to_owned());
        }
    }
    nodes
}

/// Checks `signer`, and stops at the first thing that is wrong.
pub fn validate(signer: &TezosSigner) -> Result<Valid, Invalid> {
    let identity = identity(signer)?;
    let spec = &signer.spec;
    let chain: ChainId = spec.chain.parse().map_err(|error| Invalid::of("spec.chain", error))?;
    if let (None, Some(i)) = (&spec.service, spec.keys.iter().position(|key| key.authorized_keys.is_some())) {
        let reason = "only with service; with baker or inject, only the baker's pod can reach the signer";
        return Err(Invalid::new(format!("spec.keys[{i}].authorizedKeys"), reason));
    }
    let keystore = keystore::validate(spec)?;
    let keys = keys(&spec.keys, chain)?;
    let placement = placement::validate(spec)?;
    let additions = pod::validate(spec)?;
    let initial = spec.initial_watermark.as_ref().map(initial_watermark).transpose()?;
    let (workload, ports) = match (&spec.baker, &spec.service, &spec.inject) {
        (Some(baker), None, None) => {
            let baker = baker::validate(baker, &keys, &keystore.reserved())?;
            (Workload::Baker(baker), Ports::of_sidecar())
        }
        (None, Some(service), None) => {
            let (workload, ports) = service::validate(&identity, service)?;
            (Workload::Service(workload), ports)
        }
        (None, None, Some(inject)) => {
            let inject = inject::validate(spec, inject, &keystore.reserved())?;
            (Workload::Inject(inject), Ports::of_sidecar())
        }
        _ => {
            let reason = "exactly one of baker (a pod with the signer as its sidecar), service (signers only) and inject (a sidecar for pods \
                          of your own) is required";
            return Err(Invalid::new("spec", reason));
        }
    };
    let node = spec.node_endpoint.as_deref().map(str::parse).transpose();
    let node = node.map_err(|error: NodeEndpointError| Invalid::of("spec.nodeEndpoint", error))?;
    let nodes = nodes(node.as_ref(), &workload);
    let config = config(spec, keys.clone(), keystore.config(), ports, node)?;
    Ok(Valid {
        identity,
        keys,
        initial,
        nodes,
        config,
        keystore,
        workload,
        placement,
        additions,
        resources: spec.resources.clone().unwrap_or_default(),
        image: spec.image.clone(),
        suspend: spec.suspend,
    })
}

/// The identity of `signer`. The API server checks the name too, unless its CRD is older.
fn identity(signer: &TezosSigner) -> Result<Identity, Invalid> {
    let identity = Identity::of(&signer.metadata).map_err(|error| Invalid::of("metadata", error))?;
    if identity.name.len() > 40 || identity.name.contains('.') {
        let reason = "at most 40 characters and no dots, because the names of pods and roles are derived from it";
        return Err(Invalid::new("metadata.name", reason));
    }
    Ok(identity)
}

/// The names of the records that `signer` may own: those that its status remembers, and those of the keys in its spec that can be
/// parsed.
pub fn records(signer: &TezosSigner) -> BTreeSet<String> {
    let remembered = signer.status.iter().flat_map(|status| &status.keys).map(|key| key.record.clone());
    let chain = signer.spec.chain.parse::<ChainId>().ok();
    let in_spec = signer.spec.keys.iter().filter_map(|key| {
        let key: SigningPublicKey = key.public_key.parse().ok()?;
        Some(RecordName::new(&key.hash(), &chain?).to_string())
    });
    remembered.chain(in_spec).collect()
}

/// The names of the records of keys that were removed from the spec of `signer`. Empty if a key or the chain of the spec cannot be parsed,
/// because it is not known then which key was removed.
pub fn former_records(signer: &TezosSigner) -> BTreeSet<String> {
    let Ok(chain) = signer.spec.chain.parse::<ChainId>() else { return BTreeSet::new() };
    let keys = signer.spec.keys.iter().map(|key| key.public_key.parse::<SigningPublicKey>().ok());
    let Some(keys) = keys.collect::<Option<Vec<_>>>() else { return BTreeSet::new() };
    let in_spec: BTreeSet<_> = keys.iter().map(|key| RecordName::new(&key.hash(), &chain).to_string()).collect();
    records(signer).difference(&in_spec).cloned().collect()
}

fn keys(specs: &[KeySpec], chain: ChainId) -> Result<Vec<KeyConfig>, Invalid> {
    if specs.is_empty() {
        return Err(Invalid::new("spec.keys", "at least one key is required"));
    }
    let mut keys: Vec<KeyConfig> = Vec::new();
    for (i, spec) in specs.iter().enumerate() {
        let key = key(spec, chain)
            .map_err(|Invalid { field, reason }| Invalid::new(format!("spec.keys[{i}]{field}"), reason))?;
        if keys.iter().any(|other| other.hash() == key.hash()) {
            let reason = format!("{} is listed twice", key.hash());
            return Err(Invalid::new(format!("spec.keys[{i}].publicKey"), reason));
        }
        let same = |other: &KeyConfig| matches!(key.source, KeySource::Sealed(_)) && other.source == key.source;
        if let Some(first) = keys.iter().position(same) {
            let reason =
                format!("the text of spec.keys[{first}], and it opens for one key only: set the text of this key");
            return Err(Invalid::new(format!("spec.keys[{i}].sealed"), reason));
        }
        keys.push(key);
    }
    Ok(keys)
}

fn key(spec: &KeySpec, chain: ChainId) -> Result<KeyConfig, Invalid> {
    let public_key: SigningPublicKey = spec.public_key.parse().map_err(|error| Invalid::of(".publicKey", error))?;
    let source = keystore::source(spec, &public_key)?;
    let allow = match &spec.allow {
        None => PayloadKind::CONSENSUS.to_vec(),
        Some(allow) if allow.is_empty() => return Err(Invalid::new(".allow", "empty: the key would sign nothing")),
        Some(allow) if allow.contains(&PayloadKind::Operation(OperationKind::DrainDelegate)) => {
            let reason = "drain_delegate transfers the whole balance of a baker: set drainDelegate: true to allow it";
            return Err(Invalid::new(".allow", reason));
        }
        // One order, whatever the user's: the configuration's name comes from its text.
        Some(allow) => {
            let named = |kind: &PayloadKind| allow.contains(kind);
            let operations = OperationKind::ALL.map(PayloadKind::Operation);
            PayloadKind::CONSENSUS.into_iter().chain(operations).filter(named).collect()
        }
    };
    let mut key = KeyConfig::new(public_key, source, chain);
    key.policy.allow = allow;
    if let Some(jump) = spec.max_level_jump {
        key.max_level_jump = u32::try_from(jump).map_err(|_| Invalid::new(".maxLevelJump", "negative"))?;
    }
    limits(spec, &mut key)?;
    tz4(spec, &mut key)?;
    Ok(key)
}

/// The limits of generic operations, and the clients of the key.
fn limits(spec: &KeySpec, key: &mut KeyConfig) -> Result<(), Invalid> {
    let mutez = |name: &str, given: i64| -> Result<Mutez, Invalid> {
        given.to_string().parse().map_err(|error| Invalid::of(name, error))
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
            text.parse().map_err(|error| Invalid::of(format!(".destinations[{i}]"), error))
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

/// What only tz4 keys have: companion keys and proofs of possession.
fn tz4(spec: &KeySpec, key: &mut KeyConfig) -> Result<(), Invalid> {
    let switches = [("companion", spec.companion), ("allowProofOfPossession", spec.allow_proof_of_possession)];
    if key.public_key.curve() != Curve::Bls12381
        && let Some((switch, _)) = switches.into_iter().find(|(_, is_on)| *is_on)
    {
        return Err(Invalid::new(format!(".{switch}"), "only for a tz4 key (BLpk…): remove it"));
    }
    key.allow_proof_of_possession = spec.allow_proof_of_possession;
    key.companion = spec.companion;
    if spec.companion {
        if spec.drain_delegate {
            return Err(Invalid::new(".drainDelegate", "a companion key signs attestations only: remove it"));
        }
        let attestations = vec![PayloadKind::Consensus(ConsensusKind::Attestation)];
        if spec.allow.as_ref().is_some_and(|allow| *allow != attestations) {
            let reason =
                "a companion key signs attestations only: remove allow, or remove companion if this is a consensus key";
            return Err(Invalid::new(".allow", reason));
        }
        key.policy.allow = attestations;
    }
    Ok(())
}

fn initial_watermark(spec: &InitialWatermarkSpec) -> Result<InitialWatermark, Invalid> {
    let start = match (spec.level, spec.fresh.unwrap_or(false)) {
        (Some(level), false) => {
            let level =
                Level::from_i32(level).ok_or_else(|| Invalid::new("spec.initialWatermark.level", "negative"))?;
            Start::Above(level)
        }
        (None, true) => Start::Fresh,
        _ => return Err(Invalid::new("spec.initialWatermark", "exactly one of level and fresh: true is required")),
    };
    Ok(InitialWatermark { start, not_after: spec.not_after.0 })
}

/// The text of the configuration, parsed once with the signer's own parser.
fn config(
    spec: &TezosSignerSpec,
    keys: Vec<KeyConfig>,
    keystore: KeystoreConfig,
    ports: Ports,
    node_endpoint: Option<NodeEndpoint>,
) -> Result<String, Invalid> {
    let seconds = |field: &str, given: Option<i32>, default: u32| match given {
        None => Ok(default),
        Some(seconds) => u32::try_from(seconds).map_err(|_| Invalid::new(format!("spec.{field}"), "negative")),
    };
    let default = ConfigMapConfig::default().lease_duration_seconds;
    let lease_duration_seconds = seconds("leaseDurationSeconds", spec.lease_duration_seconds, default)?;
    let grace = seconds("sealedGraceSeconds", spec.sealed_grace_seconds, DEFAULT_SEALED_GRACE_SECONDS)?;
    let check = seconds("sealedCheckSeconds", spec.sealed_check_seconds, DEFAULT_SEALED_CHECK_SECONDS)?;
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
        keystore,
        sealed: SealedTerms {
            grace: Duration::from_secs(grace.into()),
            check_period: Duration::from_secs(check.into()),
        },
        keys,
        watermarks: Some(WatermarkConfig::ConfigMap(ConfigMapConfig {
            namespace: RECORDS_NAMESPACE.to_owned(),
            lease_duration_seconds,
        })),
    };
    let text = config.to_yaml().map_err(invalid_config)?;
    SignerConfig::from_yaml(&text).map_err(invalid_config)?;
    Ok(text)
}

/// What the signer says of its configuration. Keys, and what is said of sealed ones, have the same fields in the spec.
fn invalid_config(error: ConfigError) -> Invalid {
    match error {
        ConfigError::Value { field, reason } if field.starts_with("keys[") || field.starts_with("sealed") => {
            Invalid::new(format!("spec.{field}"), reason)
        }
        error => Invalid::of("spec", error),
    }
}

/// The fields of `value`, an object of Kubernetes, that `T` has. The rest is ignored.
fn read<T: DeserializeOwned>(field: &str, value: &Value) -> Result<T, Invalid> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        let field = if path == "." { field.to_owned() } else { format!("{field}.{path}") };
        Invalid::of(field, error.into_inner())
    })
}

#[cfg(test)]
pub(crate) mod tests;
