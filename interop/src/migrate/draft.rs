//! What is known of the configuration to write, and its text: a field that the other configuration does not say is left open.

use super::{Loss, Migrated};
use std::fmt::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use tezos_signer_core::authentication::ClientKey;
use tezos_signer_core::key::{ChainId, Curve, PublicKey, PublicKeyHash};
use tezos_signer_core::payload::operation::{OperationKind, Vote};
use tezos_signer_core::policy::PayloadKind;

/// What is known of the configuration to write.
#[derive(Default)]
pub(super) struct Draft {
    pub(super) listen: Address,
    pub(super) admin: Address,
    pub(super) tls: Option<(String, String)>,
    /// Whether TLS is used with files that are not known.
    pub(super) open_tls: bool,
    pub(super) require_authentication: bool,
    pub(super) authorized_keys: Vec<ClientKey>,
    pub(super) place: DraftPlace,
    pub(super) keys: Vec<DraftKey>,
    lost: Vec<Loss>,
}

/// Where the keys are.
pub(super) enum DraftPlace {
    /// In a token of this PKCS#11 library.
    Token {
        module: Option<String>,
    },
    AwsKms {
        region: Option<String>,
    },
}

impl Default for DraftPlace {
    fn default() -> Self {
        Self::Token { module: None }
    }
}

impl DraftPlace {
    fn render(&self, out: &mut Lines) {
        match self {
            Self::Token { module } => {
                out.line(0, "hsm:");
                let module = module.as_deref();
                let sentence = "the PKCS#11 library of the HSM";
                out.field(2, "module", module, "/opt/cloudhsm/lib/libcloudhsm_pkcs11.so", sentence);
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
            }
            Self::AwsKms { region } => {
                out.line(0, "awsKms:");
                out.field(2, "region", region.as_deref(), "eu-west-1", "the AWS region of the keys");
            }
        }
    }
}

/// Where a port is.
#[derive(Default)]
pub(super) enum Address {
    /// As by default.
    #[default]
    Default,
    Known(SocketAddr),
    /// Not an IP address with a port: what is known of it, which our parser rejects, and the sentence that says what is missing.
    Open {
        known: String,
        sentence: String,
    },
}

impl Address {
    /// Of a host and a port as they are written: without a host it is every one, and `None` is a part that cannot be read.
    pub(super) fn of(host: Option<&str>, port: Option<&str>) -> Self {
        let ip = host.and_then(ip);
        let number = port.and_then(|port| port.parse::<u16>().ok());
        if let (Some(ip), Some(port)) = (ip, number) {
            return Self::Known(SocketAddr::new(ip, port));
        }
        let is_name = |name: &&str| {
            name.len() <= 253 && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte))
        };
        let (name, missing) = match (ip, host.filter(is_name)) {
            (Some(IpAddr::V6(ip)), _) => (format!("[{ip}]"), None),
            (Some(ip), _) => (ip.to_string(), None),
            (None, Some(name)) => {
                (name.to_owned(), Some(format!("the IP address of {name}, because names are not resolved")))
            }
            (None, None) => ("ADDRESS".to_owned(), Some("the IP address".to_owned())),
        };
        let known = format!("{name}:{}", number.map_or("PORT".to_owned(), |port| port.to_string()));
        let port_missing = number.is_none().then(|| "the port number".to_owned());
        let sentence = missing.into_iter().chain(port_missing).collect::<Vec<_>>().join(", and ");
        Self::Open { known, sentence }
    }

    /// Of `HOST:PORT`.
    pub(super) fn of_text(text: &str) -> Self {
        let (host, port) = text.rsplit_once(':').map_or((None, None), |(host, port)| (Some(host), Some(port)));
        Self::of(host, port)
    }

    fn is_open_to_others(&self) -> bool {
        match self {
            Self::Default => false,
            Self::Known(address) => !address.ip().is_loopback(),
            Self::Open { .. } => true,
        }
    }

    fn render(&self, field: &str, out: &mut Lines) {
        match self {
            Self::Default => {}
            Self::Known(address) => out.line(0, format_args!("{field}: {}", quoted(&address.to_string()))),
            // Not a comment: without the field the signer would start, and listen elsewhere.
            Self::Open { known, sentence } => out.placeholder(0, field, &quoted(known), sentence),
        }
    }
}

/// An address as Go, Python and OCaml write it.
fn ip(host: &str) -> Option<IpAddr> {
    match host.trim_start_matches('[').trim_end_matches(']') {
        "" => Some(IpAddr::V6(Ipv6Addr::UNSPECIFIED)),
        "localhost" => Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        host => host.parse().ok(),
    }
}

/// What is known of a key.
#[derive(Default)]
pub(super) struct DraftKey {
    pub(super) hash: Option<PublicKeyHash>,
    pub(super) public_key: Option<PublicKey>,
    pub(super) label: Option<String>,
    pub(super) id: Option<String>,
    /// What else is known of its label, as the end of a sentence.
    pub(super) label_hint: Option<String>,
    pub(super) chain: Option<ChainId>,
    pub(super) allow: Vec<PayloadKind>,
    /// Why nobody knows what it may sign: then `allow` is left open.
    pub(super) allow_unknown: Option<String>,
    pub(super) ballot: Vec<Vote>,
    pub(super) authorized_keys: Vec<ClientKey>,
    pub(super) allow_proof_of_possession: bool,
}

impl DraftKey {
    fn is_tz4(&self) -> bool {
        self.address().is_some_and(|hash| hash.curve() == Curve::Bls12381)
    }

    fn address(&self) -> Option<PublicKeyHash> {
        self.public_key.as_ref().map(PublicKey::hash).or(self.hash)
    }

    pub(super) fn allow(&mut self, kind: PayloadKind) {
        if !self.allow.contains(&kind) {
            self.allow.push(kind);
        }
    }

    fn name(&self) -> String {
        self.address().map_or("a key".to_owned(), |hash| hash.to_string())
    }
}

impl Draft {
    /// Something without a counterpart, which changes neither what is signed nor for whom.
    pub(super) fn lose(&mut self, what: impl Into<String>, why: impl Into<String>) {
        self.lost.push(Loss { what: what.into(), why: why.into(), changes_signing: false });
    }

    /// Something that changes what is signed, or for whom. These are reported first.
    pub(super) fn change(&mut self, what: impl Into<String>, why: impl Into<String>) {
        self.lost.push(Loss { what: what.into(), why: why.into(), changes_signing: true });
    }

    /// Takes a key, where one can be signed with here.
    pub(super) fn add(&mut self, key: DraftKey) {
        match key.address() {
            Some(hash) if key.allow.is_empty() && key.allow_unknown.is_none() => {
                self.change(hash.to_string(), "it may not sign anything there, so it was left out");
            }
            _ => {
                self.point_at_missing_kinds(&key);
                self.keys.push(key);
            }
        }
    }

    /// A policy from before Tenderbake has no preattestations, and a baker without them does not bake.
    fn point_at_missing_kinds(&mut self, key: &DraftKey) {
        let (missing, allowed): (Vec<_>, Vec<_>) =
            PayloadKind::CONSENSUS.into_iter().partition(|kind| !key.allow.contains(kind));
        if !missing.is_empty() && !allowed.is_empty() {
            let (missing, allowed) = (words(&missing), words(&allowed));
            self.change(
                format!("{}: {missing}", key.name()),
                format!(
                    "the policy has {allowed}, and not {missing}, which was not added. Since Tenderbake a baker needs block, \
                     preattestation and attestation: add {missing} to allow if this key bakes"
                ),
            );
        }
    }

    /// That many keys are one sentence, not many.
    pub(super) fn report_open_listener(&mut self) {
        let named = self.require_authentication || !self.authorized_keys.is_empty();
        if self.listen.is_open_to_others() && !named && self.keys.iter().any(|key| key.authorized_keys.is_empty()) {
            self.lose(
                "who may ask",
                "all clients that can connect may request signatures, as before. List the clients in authorizedKeys, or set listen to a \
                 loopback address",
            );
        }
    }

    pub(super) fn rendered(self, chain: Option<ChainId>) -> Migrated {
        let mut lines = Lines::default();
        let out = &mut lines;
        self.listen.render("listen", out);
        self.admin.render("admin", out);
        if let Some((certificate, key)) = &self.tls {
            let files =
                format_args!("certificateFile: {}, privateKeyFile: {}", quoted(certificate), quoted(key)).to_string();
            out.line(0, format_args!("tls: {{{files}}}"));
        } else if self.open_tls {
            // Not a comment: without the field the signer would start without TLS.
            out.placeholder(
                0,
                "tls",
                "{}",
                "certificateFile and privateKeyFile, as in {certificateFile: /tls.crt, privateKeyFile: /tls.key}",
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
        self.place.render(out);
        if self.keys.is_empty() {
            out.line(0, "keys: []");
            out.fill_in.push("keys: what `tezos-signer keys list` shows of the token".to_owned());
        } else {
            out.line(0, "keys:");
        }
        for key in &self.keys {
            key.render(out, &self.place, chain);
        }
        out.line(0, "watermarks: {file: /var/lib/tezos-signer/watermarks}   # on a cluster: {configMap: {}}");
        let (first, then): (Vec<_>, Vec<_>) = self.lost.into_iter().partition(|loss| loss.changes_signing);
        let lost = first.into_iter().chain(then).collect();
        Migrated { config: lines.text, fill_in: lines.fill_in, lost }
    }
}

impl DraftKey {
    fn render(&self, out: &mut Lines, place: &DraftPlace, chain: Option<ChainId>) {
        out.line(0, format_args!("- # {}", self.name()));
        let public_key = self.public_key.as_ref().map(ToString::to_string);
        if self.is_tz4() {
            out.field(
                2,
                "publicKey",
                public_key.as_deref(),
                "BLpk…",
                "what `tezos-signer keys seal` prints of this key",
            );
            let sentence = "what `tezos-signer keys seal --seal-with LABEL --secret-key FILE` makes of the BLsk… of this key (docs/tz4.md)";
            let example = match place {
                DraftPlace::Token { .. } => "v1.pkcs11.…",
                DraftPlace::AwsKms { .. } => "v1.awskms.…",
            };
            out.open(2, "sealed", example, sentence);
            if self.allow_proof_of_possession {
                out.line(2, "allowProofOfPossession: true");
            }
        } else {
            let sentence = match place {
                DraftPlace::Token { .. } => "what `tezos-signer keys list` shows of this key",
                DraftPlace::AwsKms { .. } => "what `tezos-signer keys list --kms-key` shows of this key",
            };
            out.field(2, "publicKey", public_key.as_deref(), "p2pk…", sentence);
            self.render_selector(out, place);
        }
        let chain = self.chain.or(chain).map(|chain| chain.to_string());
        out.field(
            2,
            "chain",
            chain.as_deref(),
            "NetXdQprcVkpaWU",
            "the chain that it signs for, here mainnet; or use --chain",
        );
        match &self.allow_unknown {
            // Not a comment: without the field the key would sign blocks and votes.
            Some(sentence) => out.placeholder(2, "allow", &list(&self.allow), sentence),
            None => out.line(2, format_args!("allow: {}", list(&self.allow))),
        }
        if self.allow.contains(&PayloadKind::Operation(OperationKind::Ballot)) {
            out.line(2, format_args!("ballot: {}", list(&self.ballot)));
        }
        if !self.authorized_keys.is_empty() {
            out.line(2, format_args!("authorizedKeys: {}", list(&self.authorized_keys)));
        }
    }
}

impl DraftKey {
    /// How the key is found in the token.
    fn render_selector(&self, out: &mut Lines, place: &DraftPlace) {
        let hint = self.label_hint.as_ref().map_or_else(String::new, |hint| format!("; {hint}"));
        match (place, &self.label, &self.id) {
            (DraftPlace::AwsKms { .. }, ..) => {
                let sentence = format!("the ARN of the key in AWS KMS, or alias/NAME{hint}");
                out.open(2, "kmsKey", "alias/baker-one", &sentence);
            }
            (DraftPlace::Token { .. }, None, Some(id)) => out.line(2, format_args!("id: {}", quoted(id))),
            (DraftPlace::Token { .. }, label, _) => {
                let sentence = format!("its CKA_LABEL in the token; or id, its CKA_ID in hexadecimal{hint}");
                out.field(2, "label", label.as_deref(), "baker-one", &sentence);
            }
        }
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
        self.placeholder(indent, &format!("# {field}"), example, sentence);
    }

    /// A field that the user has to fill in, with a value that our parser rejects.
    fn placeholder(&mut self, indent: usize, field: &str, value: &str, sentence: &str) {
        self.line(indent, format_args!("{field}: {value}   # FILL IN: {sentence}"));
        self.fill_in.push(format!("{}: {sentence}", field.trim_start_matches("# ")));
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
    format!("[{}]", items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
}

fn words<T: fmt::Display>(items: &[T]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ")
}
