//! A certificate authority of a test's own, and TLS clients that trust it.

use crate::raw_http::{RawConnection, TIMEOUT};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;

/// An authority.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, in PEM.
#[derive(Clone)]
pub(crate) struct Certificate {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

pub(crate) type TlsStream = StreamOwned<ClientConnection, TcpStream>;

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, "an authority");
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// For 127.0.0.1 as a server, or `name` as a client; valid until the beginning of `year`.
    pub(crate) fn issue_until(&self, name: &str, year: i32) -> Certificate {
        self.issue_for("127.0.0.1", name, year)
    }

    /// For `host`.
    pub(crate) fn issue_for(&self, host: &str, name: &str, year: i32) -> Certificate {
        let mut params = CertificateParams::new([host.to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2000, 1, 1);
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        Certificate { certificate: certificate.pem(), key: key.serialize_pem() }
    }

    pub(crate) fn issue(&self, name: &str) -> Certificate {
        self.issue_until(name, 2090)
    }

    /// Connects as who trusts this authority only, with a certificate of its own or none. An error where the handshake fails.
    pub(crate) fn connect(
        &self,
        address: SocketAddr,
        own: Option<&Certificate>,
    ) -> std::io::Result<RawConnection<TlsStream>> {
        self.connect_to("127.0.0.1", address, own)
    }

    /// The same with a server that is for `host`.
    pub(crate) fn connect_to(
        &self,
        host: &'static str,
        address: SocketAddr,
        own: Option<&Certificate>,
    ) -> std::io::Result<RawConnection<TlsStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.pem().as_bytes()).unwrap()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let config = match own {
            None => builder.with_no_client_auth(),
            Some(own) => {
                let chain = vec![CertificateDer::from_pem_slice(own.certificate.as_bytes()).unwrap()];
                builder
                    .with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(own.key.as_bytes()).unwrap())
                    .unwrap()
            }
        };
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        let server = ServerName::try_from(host).unwrap();
        let mut connection = ClientConnection::new(Arc::new(config), server).unwrap();
        while connection.is_handshaking() {
            connection.complete_io(&mut stream)?;
        }
        Ok(RawConnection::over(StreamOwned::new(connection, stream)))
    }
}

impl Certificate {
    /// As `tls.crt` and `tls.key`, the names in a Secret of Kubernetes.
    pub(crate) fn write(&self, directory: &Path) {
        std::fs::create_dir_all(directory).unwrap();
        std::fs::write(directory.join("tls.crt"), &self.certificate).unwrap();
        std::fs::write(directory.join("tls.key"), &self.key).unwrap();
    }

    /// What [`shown`] returns for it.
    pub(crate) fn der(&self) -> Vec<u8> {
        CertificateDer::from_pem_slice(self.certificate.as_bytes()).unwrap().to_vec()
    }
}

/// The certificate that a server has shown.
pub(crate) fn shown(connection: &RawConnection<TlsStream>) -> Vec<u8> {
    connection.stream.conn.peer_certificates().unwrap()[0].to_vec()
}
