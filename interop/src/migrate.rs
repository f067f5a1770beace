//! The configuration of another signer, turned into ours. Here is what comes out: a text with comments, in which whatever the other
//! configuration does not say is left open, and a list of what has no counterpart. How each is read: [`python`], [`signatory`],
//! [`octez`].
//!
//! INVARIANT M1: The signer does not start with a text in which a field is left open: a missing field is an error, a guess would not be.
//!
//! INVARIANT M2: No value of the other configuration that might be a secret is repeated, neither in the text nor in an error.

mod octez;
mod python;
mod signatory;

use std::fmt::{self, Write as _};
use std::net::SocketAddr;
use std::str::FromStr;
use tezos_signer_core::authentication::ClientKey;
use tezos_signer_core::cause::Cause;
use tezos_signer_core::key::{ChainId, Curve, PublicKey, PublicKeyHash};
use tezos_signer_core::payload::operation::{OperationKind, Vote};
use tezos_signer_core::policy::PayloadKind;
use tezos_signer_core::position::ConsensusKind;

/// A signer whose configuration can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The Python signer's `keys.json`.
    Python,
    /// The YAML configuration of Signatory.
    Signatory,
    /// The command line of octez-signer, in a file: a line of a script, or a systemd unit.
    Octez,
}

impl FromStr for Source {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "python" => Ok(Self::Python),
            "signatory" => Ok(Self::Signatory),
            "octez" => Ok(Self::Octez),
            _ => Err("unknown signer: expected python, signatory or octez".to_owned()),
        }
    }
}

/// Why a configuration was not read. A retry does not help before the file is the one that the message asks for. No value of it is repeated
/// here, and the error of a parser is not kept: it may quote a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct MigrateError(#[source] Cause);

/// Something in the other configuration that is not in ours, and what that means.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Loss {
    /// The name of the field, or what it concerns.
    pub what: String,
    /// Why it has no counterpart, as a sentence.
    pub why: String,
}

/// What became of a configuration.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Migrated {
    /// The text of the configuration file of this signer.
    pub config: String,
    /// The values to fill in before it can be used: the texts after `FILL IN`, line by line.
    pub fill_in: Vec<String>,
    /// The parts of the other configuration that have no counterpart.
    pub lost: Vec<Loss>,
}

/// Converts the text of a configuration of `source`. `chain` is the chain of the keys, if the configuration does not name it.
pub fn migrate(source: Source, text: &str, chain: Option<ChainId>) -> Result<Migrated, MigrateError> {
    let draft = match source {
        Source::Python => python::read(text)?,
        Source::Signatory => signatory::read(text)?,
        Source::Octez => octez::read(text)?,
    };
    Ok(draft.rendered(chain))
}

/// What is known of the configuration to write.
#[derive(Default)]
struct Draft {
    listen: Option<SocketAddr>,
    admin: Option<SocketAddr>,
    tls: Option<(String, String)>,
    require_authentication: bool,
    authorized_keys: Vec<ClientKey>,
    module: Option<String>,
    keys: Vec<DraftKey>,
    lost: Vec<Loss>,
}

/// What is known of a key.
struct DraftKey {
    hash: Option<PublicKeyHash>,
    public_key: Option<PublicKey>,
    label: Option<String>,
    id: Option<String>,
    chain: Option<ChainId>,
    allow: Vec<PayloadKind>,
    ballot: Vec<Vote>,
    authorized_keys: Vec<ClientKey>,
}

impl Default for DraftKey {
    fn default() -> Self {
        Self {
            hash: None,
            public_key: None,
            label: None,
            id: None,
            chain: None,
            allow: PayloadKind::CONSENSUS.to_vec(),
            ballot: Vec::new(),
            authorized_keys: Vec::new(),
        }
    }
}

impl DraftKey {
    fn address(&self) -> Option<PublicKeyHash> {
        self.public_key.as_ref().map(PublicKey::hash).or(self.hash)
    }
}

/// The lines of the file, and what of them is open.
#[derive(Default)]
struct Lines {
    text: String,
    fill_in: Vec<String>,
}

impl Lines {
    fn line(&mut self, indent: usize, line: impl fmt::Display) {
        let _ = writeln!(self.text, "{:indent$}{line}", "");
    }

    /// A field that the user has to fill in. The line is a comment until then.
    fn open(&mut self, indent: usize, field: &str, example: &str, sentence: &str) {
        let _ = writeln!(self.text, "{:indent$}# {field}: {example}   # FILL IN: {sentence}", "");
        self.fill_in.push(format!("{field}: {sentence}"));
    }

    fn field(&mut self, indent: usize, field: &str, value: Option<&str>, example: &str, sentence: &str) {
        match value {
            Some(value) => self.line(indent, format_args!("{field}: {}", quoted(value))),
            None => self.open(indent, field, example, sentence),
        }
    }
}

/// A text of JSON is one of YAML.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn list<T: fmt::Display>(items: &[T]) -> String {
    let items: Vec<_> = items.iter().map(ToString::to_string).collect();
    format!("[{}]", items.join(", "))
}

/// The remedy if a signer's watermarks cannot be imported. The key may have signed above the head already.
const START_ANEW: &str = "start ten levels above the head of the chain, watermarks initialise --level";

impl Draft {
    fn lose(&mut self, what: impl Into<String>, why: impl Into<String>) {
        self.lost.push(Loss { what: what.into(), why: why.into() });
    }

    /// Takes a key, where one can be signed with here.
    fn add(&mut self, key: DraftKey) {
        match key.address() {
            Some(hash) if matches!(hash.curve(), Curve::Ed25519 | Curve::Bls12381) => self.lose(
                hash.to_string(),
                "this signer signs with tz2 and tz3 keys only: this key has no equivalent and needs another signer",
            ),
            Some(hash) if key.allow.is_empty() => {
                self.lose(hash.to_string(), "it may not sign anything there, so it was left out");
            }
            _ => self.keys.push(key),
        }
    }

    fn rendered(self, chain: Option<ChainId>) -> Migrated {
        let mut lines = Lines::default();
        let out = &mut lines;
        if let Some(listen) = self.listen {
            out.line(0, format_args!("listen: {}", quoted(&listen.to_string())));
        }
        if let Some(admin) = self.admin {
            out.line(0, format_args!("admin: {}", quoted(&admin.to_string())));
        }
        if let Some((certificate, key)) = &self.tls {
            out.line(
                0,
                format_args!("tls: {{certificateFile: {}, privateKeyFile: {}}}", quoted(certificate), quoted(key)),
            );
        }
        if !self.authorized_keys.is_empty() {
            out.line(0, format_args!("authorizedKeys: {}", list(&self.authorized_keys)));
        } else if self.require_authentication {
            out.open(
                0,
                "authorizedKeys",
                "[edpk…]",
                "the public keys of the clients that may request signatures; without this field, all clients may",
            );
        }
        out.line(0, "hsm:");
        let module = self.module.as_deref();
        out.field(2, "module", module, "/opt/cloudhsm/lib/libcloudhsm_pkcs11.so", "the PKCS#11 library of the HSM");
        out.open(
            2,
            "token",
            "hsm1",
            "the label of the token; for CloudHSM see docs/cloudhsm.md. A slot number is not supported, because it may change",
        );
        out.open(
            2,
            "pinFile",
            "$CREDENTIALS_DIRECTORY/pin",
            "this is for the service of the Debian package, whose PIN is in /etc/tezos-signer/pin; otherwise, a file with the PIN \
             that only the signer can read",
        );
        if self.keys.is_empty() {
            out.line(0, "keys: []");
            out.fill_in.push("keys: what `tezos-signer keys list` shows of the token".to_owned());
        } else {
            out.line(0, "keys:");
        }
        for key in &self.keys {
            key.render(out, chain);
        }
        out.line(0, "watermarks: {file: /var/lib/tezos-signer/watermarks}   # on a cluster: {configMap: {}}");
        Migrated { config: lines.text, fill_in: lines.fill_in, lost: self.lost }
    }
}

impl DraftKey {
    fn render(&self, out: &mut Lines, chain: Option<ChainId>) {
        out.line(0, format_args!("- # {}", self.address().map_or("a key".to_owned(), |hash| hash.to_string())));
        let public_key = self.public_key.as_ref().map(ToString::to_string);
        out.field(2, "publicKey", public_key.as_deref(), "p2pk…", "what `tezos-signer keys list` shows of this key");
        match (&self.label, &self.id) {
            (None, Some(id)) => out.line(2, format_args!("id: {}", quoted(id))),
            (label, _) => out.field(
                2,
                "label",
                label.as_deref(),
                "baker-one",
                "its CKA_LABEL in the token; or id, its CKA_ID in hexadecimal",
            ),
        }
        let chain = self.chain.or(chain).map(|chain| chain.to_string());
        out.field(
            2,
            "chain",
            chain.as_deref(),
            "NetXdQprcVkpaWU",
            "the chain that it signs for, here mainnet; or use --chain",
        );
        out.line(2, format_args!("allow: {}", list(&self.allow)));
        if self.allow.contains(&PayloadKind::Operation(OperationKind::Ballot)) {
            out.line(2, format_args!("ballot: {}", list(&self.ballot)));
        }
        if !self.authorized_keys.is_empty() {
            out.line(2, format_args!("authorizedKeys: {}", list(&self.authorized_keys)));
        }
    }

    fn allow(&mut self, kind: PayloadKind) {
        if !self.allow.contains(&kind) {
            self.allow.push(kind);
        }
    }
}

/// An address as Go and Python write it: without a host it is every one.
fn address(host: &str, port: u16) -> Option<SocketAddr> {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let host = match host {
        "" => "::",
        "localhost" => "127.0.0.1",
        host => host,
    };
    Some(SocketAddr::new(host.parse().ok()?, port))
}

/// That many keys are one sentence, not many.
fn everybody_may_ask(draft: &mut Draft) {
    let open = draft.listen.is_some_and(|listen| !listen.ip().is_loopback());
    let named = draft.require_authentication || !draft.authorized_keys.is_empty();
    if open && !named && draft.keys.iter().any(|key| key.authorized_keys.is_empty()) {
        draft.lose(
            "who may ask",
            "all clients that can connect may request signatures, as before. List the clients in authorizedKeys, or set listen to a \
             loopback address",
        );
    }
}

const CONSENSUS_NAMES: [(&str, ConsensusKind); 7] = [
    ("block", ConsensusKind::Block),
    ("preattestation", ConsensusKind::Preattestation),
    ("preendorsement", ConsensusKind::Preattestation),
    ("attestation", ConsensusKind::Attestation),
    ("attestation_with_dal", ConsensusKind::Attestation),
    ("endorsement", ConsensusKind::Attestation),
    ("endorsement_with_dal", ConsensusKind::Attestation),
];

/// By any of the names that signers have had for it.
fn consensus_kind(name: &str) -> Option<PayloadKind> {
    CONSENSUS_NAMES.into_iter().find_map(|(known, kind)| (known == name).then_some(PayloadKind::Consensus(kind)))
}
