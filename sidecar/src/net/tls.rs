//! TLS of the signing port and between replicas: certificates from files, which are reloaded when the files change, and the
//! identity of a client's certificate.
//!
//! A connection keeps the certificate with which it began; only new connections get another one.

use crate::metrics::connections::TlsMetrics;
use crate::net::client::ClientCertificate;
use crate::net::peer_identity;
use jiff::Timestamp;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use sha2::{Digest as _, Sha256};
use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tezos_signer_core::cause::Cause;
use tezos_signer_core::config::{PeerTlsConfig, TlsConfig};
use tokio::time::MissedTickBehavior;
use tokio_rustls::TlsAcceptor;
use x509_cert::Certificate;
use x509_cert::der::Decode as _;

/// How often the files are checked. Their contents are compared, because a Secret's mount changes symbolic links, and a copy may keep its
/// times.
const LOOK: Duration = Duration::from_secs(2);

/// Why TLS files cannot be used. They are read again every two seconds, so that it helps to write good ones; at the start the process ends.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {path}: {reason}")]
pub struct TlsError {
    field: String,
    path: PathBuf,
    #[source]
    reason: Cause,
}

/// A file, and the field of the configuration that names it.
#[derive(Debug, Clone)]
struct Source {
    field: String,
    path: PathBuf,
}

impl Source {
    fn new(section: &str, field: &str, path: &Path) -> Self {
        Self { field: format!("{section}.{field}"), path: path.to_owned() }
    }

    fn read(&self) -> Result<Vec<u8>, TlsError> {
        std::fs::read(&self.path).map_err(|error| self.wrong(Cause::of(error)))
    }

    fn wrong(&self, reason: impl Into<Cause>) -> TlsError {
        TlsError { field: self.field.clone(), path: self.path.clone(), reason: reason.into() }
    }
}

/// Who is on the other side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Others {
    Clients,
    /// Replicas: both sides verify each other's certificate, and that it has the same name as their own.
    Peers,
}

/// The TLS files of the configuration.
#[derive(Debug, Clone)]
struct Sources {
    others: Others,
    certificate: Source,
    private_key: Source,
    authorities: Option<Source>,
}

/// The contents of the TLS files, to detect a change.
#[derive(PartialEq, Eq)]
struct Files {
    certificate: Vec<u8>,
    private_key: Vec<u8>,
    authorities: Option<Vec<u8>>,
}

/// What new connections are served with.
struct Served {
    server: Arc<ServerConfig>,
    /// To ask other replicas with, and the name that their certificates must have.
    client: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    not_after: Timestamp,
    /// Why a later change of the files is not used.
    rejected: Option<TlsError>,
}

/// TLS, with the newest certificate that could be used.
pub struct Tls {
    sources: Sources,
    served: RwLock<Served>,
    /// The contents of the files at the last check.
    seen: std::sync::Mutex<Result<Files, TlsError>>,
    metrics: TlsMetrics,
}

impl Tls {
    /// Reads the files; the error names the field of the configuration.
    pub fn load(config: &TlsConfig, metrics: TlsMetrics) -> Result<Self, TlsError> {
        let source = |field, path| Source::new("tls", field, path);
        let sources = Sources {
            others: Others::Clients,
            certificate: source("certificateFile", &config.certificate_file),
            private_key: source("privateKeyFile", &config.private_key_file),
            authorities: config.client_ca_file.as_ref().map(|path| source("clientCaFile", path)),
        };
        Self::of(sources, metrics)
    }

    /// The same for connections between replicas.
    pub fn load_of_peers(config: &PeerTlsConfig, metrics: TlsMetrics) -> Result<Self, TlsError> {
        let source = |field, path| Source::new("peer.tls", field, path);
        let sources = Sources {
            others: Others::Peers,
            certificate: source("certificateFile", &config.certificate_file),
            private_key: source("privateKeyFile", &config.private_key_file),
            authorities: Some(source("caFile", &config.ca_file)),
        };
        Self::of(sources, metrics)
    }

    fn of(sources: Sources, metrics: TlsMetrics) -> Result<Self, TlsError> {
        let files = Files::read(&sources)?;
        let served = files.usable(&sources)?;
        metrics.serving(served.not_after);
        if served.not_after <= Timestamp::now() {
            // Not fatal: the certificate can be replaced while the process runs, and clients report the problem.
            tracing::error!(file = %sources.certificate.path.display(), not_after = %served.not_after, "the TLS certificate has expired");
        }
        let seen = std::sync::Mutex::new(Ok(files));
        Ok(Self { sources, served: RwLock::new(served), seen, metrics })
    }

    /// For one new connection.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.served().server.clone())
    }

    /// For one new connection to another replica, and the name that it must have.
    pub(crate) fn connector(&self) -> Option<(Arc<ClientConfig>, ServerName<'static>)> {
        self.served().client.clone()
    }

    fn served(&self) -> std::sync::RwLockReadGuard<'_, Served> {
        self.served.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// When the served certificate expires.
    pub fn not_after(&self) -> Timestamp {
        self.served().not_after
    }

    /// A problem that needs attention.
    pub fn reason(&self) -> Option<String> {
        let served = self.served();
        let (field, file) = (&self.sources.certificate.field, self.sources.certificate.path.display());
        if served.not_after <= Timestamp::now() {
            return Some(format!("the TLS certificate expired at {}: renew {file} ({field})", served.not_after));
        }
        let rejected = served.rejected.as_ref()?;
        Some(format!(
            "the changed TLS files are not used: {rejected}; the previous certificate is served until {}",
            served.not_after
        ))
    }

    /// Checks the files without end.
    pub async fn keep_fresh(self: Arc<Self>) {
        let mut ticks = tokio::time::interval(LOOK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let tls = self.clone();
            // A file system may hang; that must not stop a worker.
            let _ = tokio::task::spawn_blocking(move || tls.reload_if_changed()).await;
        }
    }

    fn reload_if_changed(&self) {
        let files = Files::read(&self.sources);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if *seen == files {
            return;
        }
        let usable = match &files {
            Ok(files) => files.usable(&self.sources),
            Err(error) => Err(error.clone()),
        };
        *seen = files;
        drop(seen);
        let usable = usable.and_then(|usable| self.not_worse(usable));
        let mut served = self.served.write().unwrap_or_else(PoisonError::into_inner);
        match usable {
            Ok(usable) => {
                tracing::info!(not_after = %usable.not_after, "the TLS files were reloaded: new connections get the new certificate");
                self.metrics.serving(usable.not_after);
                *served = usable;
            }
            Err(error) => {
                tracing::error!(%error, "the changed TLS files cannot be used: the previous certificate is still served");
                self.metrics.reload_failed();
                served.rejected = Some(error);
            }
        }
    }

    /// An expired certificate does not take the place of one that is still valid.
    fn not_worse(&self, usable: Served) -> Result<Served, TlsError> {
        let now = Timestamp::now();
        if usable.not_after <= now && self.not_after() > now {
            return Err(self.sources.certificate.wrong(format!("it expired at {}", usable.not_after)));
        }
        Ok(usable)
    }
}

impl Files {
    fn read(sources: &Sources) -> Result<Self, TlsError> {
        Ok(Self {
            certificate: sources.certificate.read()?,
            private_key: sources.private_key.read()?,
            authorities: sources.authorities.as_ref().map(Source::read).transpose()?,
        })
    }

    /// What could be served with them.
    fn usable(&self, sources: &Sources) -> Result<Served, TlsError> {
        let Sources { certificate, private_key, .. } = sources;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let chain = certificates(&self.certificate).map_err(|reason| certificate.wrong(reason))?;
        let not_after = not_after(&chain[0]).map_err(|reason| certificate.wrong(reason))?;
        let key = PrivateKeyDer::from_pem_slice(&self.private_key)
            .map_err(|error| private_key.wrong(prefixed("not a PEM private key", error)))?;
        provider.key_provider.load_private_key(key.clone_key()).map_err(|error| private_key.wrong(Cause::of(error)))?;
        let mismatched = |error| match error {
            rustls::Error::InconsistentKeys(_) => {
                private_key.wrong(format!("it is not the key of the certificate in {}", certificate.field))
            }
            error => certificate.wrong(Cause::of(error)),
        };

        let mut client = None;
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| certificate.wrong(Cause::of(error)))?;
        let builder = match (&self.authorities, &sources.authorities) {
            (Some(pem), Some(source)) => {
                let mut roots = RootCertStore::empty();
                for authority in certificates(pem).map_err(|reason| source.wrong(reason))? {
                    roots.add(authority).map_err(|error| source.wrong(Cause::of(error)))?;
                }
                let roots = Arc::new(roots);
                let verifier = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone())
                    .build()
                    .map_err(|error| source.wrong(Cause::of(error)))?;
                if sources.others == Others::Peers {
                    let name = peer_identity::of(&chain[0]).map_err(|reason| certificate.wrong(reason))?;
                    let config = ClientConfig::builder_with_provider(provider)
                        .with_safe_default_protocol_versions()
                        .map_err(|error| certificate.wrong(Cause::of(error)))?
                        .with_root_certificates(roots)
                        .with_client_auth_cert(chain.clone(), key.clone_key())
                        .map_err(mismatched)?;
                    client = Some((Arc::new(config), name.clone()));
                    builder.with_client_cert_verifier(peer_identity::required(name, verifier))
                } else {
                    builder.with_client_cert_verifier(verifier)
                }
            }
            _ => builder.with_no_client_auth(),
        };
        let mut server = builder.with_single_cert(chain, key).map_err(mismatched)?;
        server.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Served { server: Arc::new(server), client, not_after, rejected: None })
    }
}

/// Parses PEM certificates; an error if there is none.
fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Cause> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match certificates {
        Ok(certificates) if certificates.is_empty() => Err("no PEM certificate".into()),
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(prefixed("not a PEM certificate", error)),
    }
}

/// `error`, after `what` was expected and not found.
fn prefixed(what: &str, error: impl Error + Send + Sync + 'static) -> Cause {
    Cause::of(error).map_text(|error| format!("{what}: {error}"))
}

fn not_after(certificate: &CertificateDer<'_>) -> Result<Timestamp, Cause> {
    const WHAT: &str = "not an X.509 certificate";
    let parsed = Certificate::from_der(certificate).map_err(|error| prefixed(WHAT, error))?;
    let since_1970 = parsed.tbs_certificate().validity().not_after.to_unix_duration();
    let seconds = i64::try_from(since_1970.as_secs()).map_err(|error| prefixed(WHAT, error))?;
    Timestamp::from_second(seconds).map_err(|error| prefixed(WHAT, error))
}

/// The identity of a client's certificate.
pub(crate) fn describe(certificate: &CertificateDer<'_>) -> ClientCertificate {
    let subject = Certificate::from_der(certificate).map(|parsed| parsed.tbs_certificate().subject().to_string());
    ClientCertificate { subject: subject.unwrap_or_default(), fingerprint: hex::encode(Sha256::digest(certificate)) }
}
