//! The name that the certificates of all replicas share. Replicas connect by address, which no certificate contains, so this
//! name distinguishes them from others with a certificate of the same CA.

use rustls::client::danger::HandshakeSignatureValid;
use rustls::client::verify_server_name;
use rustls::pki_types::{CertificateDer, IpAddr, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use std::sync::Arc;
use tezos_signer_core::cause::Cause;
use x509_cert::Certificate;
use x509_cert::der::{self, Decode as _};
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

/// The first name of a certificate.
pub(crate) fn of(certificate: &CertificateDer<'_>) -> Result<ServerName<'static>, Cause> {
    let wrong = |error: der::Error| Cause::of(error).map_text(|error| format!("not an X.509 certificate: {error}"));
    let parsed = Certificate::from_der(certificate).map_err(wrong)?;
    let names = parsed.tbs_certificate().get_extension::<SubjectAltName>().map_err(wrong)?;
    let names = names.map(|(_, names)| names.0).unwrap_or_default();
    let name = names.iter().find_map(|name| match name {
        // For a wildcard, one of the names that it matches.
        GeneralName::DnsName(name) => ServerName::try_from(name.as_str().replacen('*', "replica", 1)).ok(),
        GeneralName::IpAddress(bytes) => {
            let bytes = bytes.as_bytes();
            let v4 = <[u8; 4]>::try_from(bytes).map(std::net::IpAddr::from);
            let address = v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(std::net::IpAddr::from)).ok()?;
            Some(ServerName::IpAddress(IpAddr::from(address)))
        }
        _ => None,
    });
    name.ok_or_else(|| "it has no name (subjectAltName), which replicas verify".into())
}

/// Like `inner`, of certificates with `name` only.
pub(crate) fn required(name: ServerName<'static>, inner: Arc<dyn ClientCertVerifier>) -> Arc<dyn ClientCertVerifier> {
    Arc::new(Required { name, inner })
}

#[derive(Debug)]
struct Required {
    name: ServerName<'static>,
    inner: Arc<dyn ClientCertVerifier>,
}

impl ClientCertVerifier for Required {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.inner.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.inner.verify_client_cert(end_entity, intermediates, now)?;
        verify_server_name(&ParsedCertificate::try_from(end_entity)?, &self.name)?;
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}
