//! The fields of the configuration file about the signing port: its address, limits, path prefix, TLS and the Unix socket.

use serde::de::{Deserializer, Error, Visitor};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

/// How many requests are signed at once, unless `maxConcurrentRequests` says otherwise. An HSM session signs one at a time,
/// and a baker asks for one after the other: what waits behind 64 has no chance within its deadline.
pub const DEFAULT_MAX_CONCURRENT_REQUESTS: u16 = 64;

/// How many connections are open at once, unless `maxConnections` says otherwise. Half of the 1024 files that a process may
/// open where nobody has set another limit.
pub const DEFAULT_MAX_CONNECTIONS: u16 = 512;

/// The longest path of a Unix socket, in bytes: Linux' `sun_path` without its final zero.
const MAX_SOCKET_PATH: usize = 107;

/// The address of a port. What other programs take, such as Go's `:6732`, is named with what to write here.
pub(super) fn socket_address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    // Rejected while it is read, so that the error has the field and the line.
    struct Address;
    impl Visitor<'_> for Address {
        type Value = SocketAddr;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an IP address and a port")
        }
        fn visit_str<E: Error>(self, text: &str) -> Result<SocketAddr, E> {
            text.parse().map_err(|_| E::custom(not_an_address(text)))
        }
    }
    deserializer.deserialize_str(Address)
}

fn not_an_address(text: &str) -> String {
    let (host, port) = text.rsplit_once(':').unwrap_or((text, ""));
    let is_port = port.parse::<u16>().is_ok();
    let is_ip = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>().is_ok();
    let remedy = if host.is_empty() && is_port {
        format!("it has no IP address: write \"[::]:{port}\" for all addresses of the host, or 127.0.0.1:{port}")
    } else if text.parse::<u16>().is_ok() {
        format!(
            "it is a port without an IP address: write \"[::]:{text}\" for all addresses of the host, or 127.0.0.1:{text}"
        )
    } else if is_port && host.contains(':') {
        format!("an IPv6 address stands in brackets: write \"[{host}]:{port}\"")
    } else if is_port && !is_ip {
        format!(
            "{host:?} is not an IP address, and names are not resolved: write the IP address, such as 127.0.0.1:{port}"
        )
    } else {
        "expected an IP address and a port, such as 127.0.0.1:6732 or \"[::]:6732\"".to_owned()
    };
    format!("{text:?} is not an address to listen on: {remedy}")
}

/// What stands before every path of the protocol, such as `/base`: begins with a slash, does not end with one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PathPrefix(String);

impl PathPrefix {
    /// The prefix as it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for PathPrefix {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let plain = |segment: &str| {
            !matches!(segment, "" | "." | "..")
                && segment.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
        };
        match text.strip_prefix('/') {
            Some(rest) if rest.split('/').all(plain) => Ok(Self(text)),
            _ => Err(format!(
                "pathPrefix: {text:?} is not a path prefix: expected a path such as \"/base\", of letters, digits and -._~, without \
                 a slash at its end"
            )),
        }
    }
}

impl From<PathPrefix> for String {
    fn from(prefix: PathPrefix) -> Self {
        prefix.0
    }
}

/// Where a Unix socket is: an absolute path of at most 107 bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "PathBuf", into = "PathBuf")]
pub struct SocketPath(PathBuf);

impl SocketPath {
    /// The path of the socket file.
    pub fn as_path(&self) -> &Path {
        &self.0
    }
}

impl TryFrom<PathBuf> for SocketPath {
    type Error = String;
    fn try_from(path: PathBuf) -> Result<Self, String> {
        let length = path.as_os_str().as_bytes().len();
        if !path.is_absolute() {
            return Err(format!("unixSocket: {} is not an absolute path", path.display()));
        }
        if length > MAX_SOCKET_PATH {
            return Err(format!(
                "unixSocket: {} has {length} bytes, but the path of a Unix socket may have at most {MAX_SOCKET_PATH}",
                path.display()
            ));
        }
        Ok(Self(path))
    }
}

impl From<SocketPath> for PathBuf {
    fn from(path: SocketPath) -> Self {
        path.0
    }
}

/// TLS for the signing port. The files are PEM, and are read again when they change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TlsConfig {
    /// The server's certificate, followed by those between it and the authority that clients trust.
    pub certificate_file: PathBuf,
    /// Its private key: PKCS#8, PKCS#1 or SEC1.
    pub private_key_file: PathBuf,
    /// The authorities of client certificates. When it is given, a client without such a certificate is not talked to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_ca_file: Option<PathBuf>,
}
