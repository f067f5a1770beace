//! The TLS side of the signing port: certificates from files, read again when the files change, and what is known of a client's.
//!
//! Connections keep the certificate with which they began; only new ones see another.

use super::client::ClientCertificate;
use super::port_metrics::TlsMetrics;
use jiff::Timestamp;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use sha2::{Digest as _, Sha256};
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tezos_signer_core::config::TlsConfig;
use tokio::time::MissedTickBehavior;
use tokio_rustls::TlsAcceptor;
use x509_cert::Certificate;
use x509_cert::der::Decode as _;

/// How often the files are looked at: by their contents, since a Secret's mount changes by symbolic links, and a copy may keep
/// its times.
const LOOK: Duration = Duration::from_secs(2);

/// Why TLS files cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {path}: {reason}")]
pub struct TlsError {
    field: &'static str,
    path: PathBuf,
    reason: String,
}

/// The files' contents.
#[derive(PartialEq, Eq)]
struct Files {
    certificate: Vec<u8>,
    private_key: Vec<u8>,
    client_ca: Option<Vec<u8>>,
}

/// What new connections are served with.
struct Served {
    server: Arc<ServerConfig>,
    not_after: Timestamp,
    /// Why a later change of the files is not used.
    rejected: Option<TlsError>,
}

/// TLS, with the newest certificate that could be used.
pub struct Tls {
    config: TlsConfig,
    served: RwLock<Served>,
    /// What the files were when they were last looked at.
    seen: std::sync::Mutex<Result<Files, TlsError>>,
    metrics: TlsMetrics,
}

impl Tls {
    /// Reads the files; the error names the field of the configuration.
    pub fn load(config: &TlsConfig, metrics: TlsMetrics) -> Result<Self, TlsError> {
        let files = Files::read(config)?;
        let served = files.usable(config)?;
        metrics.serving(served.not_after);
        if served.not_after <= Timestamp::now() {
            // Not an end: it can be replaced while the process runs, and its clients say best what is wrong.
            tracing::error!(file = %config.certificate_file.display(), not_after = %served.not_after, "the TLS certificate has expired");
        }
        let seen = std::sync::Mutex::new(Ok(files));
        Ok(Self { config: config.clone(), served: RwLock::new(served), seen, metrics })
    }

    /// For one new connection.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.served().server.clone())
    }

    fn served(&self) -> std::sync::RwLockReadGuard<'_, Served> {
        self.served.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// When the served certificate expires.
    pub fn not_after(&self) -> Timestamp {
        self.served().not_after
    }

    /// What somebody should do something about.
    pub fn reason(&self) -> Option<String> {
        let served = self.served();
        let file = self.config.certificate_file.display();
        if served.not_after <= Timestamp::now() {
            return Some(format!(
                "the TLS certificate expired at {}: renew {file} (tls.certificateFile)",
                served.not_after
            ));
        }
        let rejected = served.rejected.as_ref()?;
        Some(format!(
            "the changed TLS files are not used: {rejected}; the certificate before is served, until {}",
            served.not_after
        ))
    }

    /// Looks at the files for ever.
    pub async fn keep_fresh(self: Arc<Self>) {
        let mut ticks = tokio::time::interval(LOOK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let tls = self.clone();
            // A file system may hang; that must not stop a worker.
            let _ = tokio::task::spawn_blocking(move || tls.look()).await;
        }
    }

    fn look(&self) {
        let files = Files::read(&self.config);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if *seen == files {
            return;
        }
        let usable = match &files {
            Ok(files) => files.usable(&self.config),
            Err(error) => Err(error.clone()),
        };
        *seen = files;
        drop(seen);
        let usable = usable.and_then(|usable| self.not_worse(usable));
        let mut served = self.served.write().unwrap_or_else(PoisonError::into_inner);
        match usable {
            Ok(usable) => {
                tracing::info!(not_after = %usable.not_after, "the TLS files have changed: new connections see the new certificate");
                self.metrics.serving(usable.not_after);
                *served = usable;
            }
            Err(error) => {
                tracing::error!(%error, "the changed TLS files cannot be used: the certificate before is still served");
                self.metrics.reload_failed();
                served.rejected = Some(error);
            }
        }
    }

    /// An expired certificate does not take the place of one that is still valid.
    fn not_worse(&self, usable: Served) -> Result<Served, TlsError> {
        let now = Timestamp::now();
        if usable.not_after <= now && self.not_after() > now {
            return Err(TlsError::certificate(&self.config, format!("it expired at {}", usable.not_after)));
        }
        Ok(usable)
    }
}

impl TlsError {
    fn new(field: &'static str, path: &Path, reason: impl Display) -> Self {
        Self { field, path: path.to_owned(), reason: format!("{reason}") }
    }

    fn certificate(config: &TlsConfig, reason: impl Display) -> Self {
        Self::new("tls.certificateFile", &config.certificate_file, reason)
    }

    fn private_key(config: &TlsConfig, reason: impl Display) -> Self {
        Self::new("tls.privateKeyFile", &config.private_key_file, reason)
    }
}

impl Files {
    fn read(config: &TlsConfig) -> Result<Self, TlsError> {
        let read = |field, path: &Path| std::fs::read(path).map_err(|error| TlsError::new(field, path, error));
        Ok(Self {
            certificate: read("tls.certificateFile", &config.certificate_file)?,
            private_key: read("tls.privateKeyFile", &config.private_key_file)?,
            client_ca: config.client_ca_file.as_deref().map(|path| read("tls.clientCaFile", path)).transpose()?,
        })
    }

    /// What could be served with them.
    fn usable(&self, config: &TlsConfig) -> Result<Served, TlsError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let chain = certificates(&self.certificate).map_err(|reason| TlsError::certificate(config, reason))?;
        let not_after = not_after(&chain[0]).map_err(|reason| TlsError::certificate(config, reason))?;
        let key = PrivateKeyDer::from_pem_slice(&self.private_key)
            .map_err(|error| TlsError::private_key(config, format!("no PEM private key: {error}")))?;
        provider
            .key_provider
            .load_private_key(key.clone_key())
            .map_err(|error| TlsError::private_key(config, error))?;

        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsError::certificate(config, error))?;
        let builder = match (&self.client_ca, &config.client_ca_file) {
            (Some(pem), Some(path)) => {
                let wrong = |reason: String| TlsError::new("tls.clientCaFile", path, reason);
                let mut roots = RootCertStore::empty();
                for authority in certificates(pem).map_err(wrong)? {
                    roots.add(authority).map_err(|error| wrong(error.to_string()))?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                    .build()
                    .map_err(|error| wrong(error.to_string()))?;
                builder.with_client_cert_verifier(verifier)
            }
            _ => builder.with_no_client_auth(),
        };
        let mut server = builder.with_single_cert(chain, key).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => {
                TlsError::private_key(config, "it is not the key of the certificate in tls.certificateFile")
            }
            error => TlsError::certificate(config, error),
        })?;
        server.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Served { server: Arc::new(server), not_after, rejected: None })
    }
}

/// At least one.
fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match certificates {
        Ok(certificates) if certificates.is_empty() => Err("no PEM certificate".to_owned()),
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(format!("no PEM certificate: {error}")),
    }
}

fn not_after(certificate: &CertificateDer<'_>) -> Result<Timestamp, String> {
    let wrong = |error: &dyn Display| format!("no X.509 certificate: {error}");
    let parsed = Certificate::from_der(certificate).map_err(|error| wrong(&error))?;
    let since_1970 = parsed.tbs_certificate().validity().not_after.to_unix_duration();
    let seconds = i64::try_from(since_1970.as_secs()).map_err(|error| wrong(&error))?;
    Timestamp::from_second(seconds).map_err(|error| wrong(&error))
}

/// What a client's certificate says.
pub(crate) fn describe(certificate: &CertificateDer<'_>) -> ClientCertificate {
    let subject = Certificate::from_der(certificate).map(|parsed| parsed.tbs_certificate().subject().to_string());
    ClientCertificate { subject: subject.unwrap_or_default(), fingerprint: hex::encode(Sha256::digest(certificate)) }
}
