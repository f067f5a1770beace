//! The configuration of the client: the file `cloudhsm-pkcs11.cfg`, whose format is known for the common settings, or the arguments of
//! AWS's `configure-pkcs11`, which writes that file. AWS documents the other settings only as arguments, and a wrong guess of a field
//! would be a setting that is silently not in force.

use super::{CLIENT_CERTIFICATE_FILE, CLIENT_KEY_FILE, CUSTOMER_CA_FILE};
use crate::api::{LogLevel, RetryMode};
use crate::validate::{CloudHsmClient, ClusterAddress};
use serde::Serialize;

/// The port of the HSMs for clients. (2224 and 2225 are for administration.)
const PORT: u16 = 2223;

pub(super) enum ClientConfig {
    /// The text of the file.
    File(String),
    /// The arguments of AWS's program.
    Arguments(Vec<String>),
}

pub(super) fn of(client: &CloudHsmClient) -> ClientConfig {
    match &client.cluster {
        ClusterAddress::Hosts(hosts)
            if client.mutual_tls_secret.is_none()
                && client.retry_mode == RetryMode::Standard
                && !client.disable_validate_key_at_init =>
        {
            ClientConfig::File(file(client, hosts))
        }
        cluster => ClientConfig::Arguments(arguments(client, cluster)),
    }
}

/// The JSON of the CloudHSM client's configuration file.
#[derive(Serialize)]
struct File<'a> {
    clusters: [ClusterEntry<'a>; 1],
    logging: Logging,
}

/// A cluster. The library shows it as a slot.
#[derive(Serialize)]
struct ClusterEntry<'a> {
    /// The type of the protocol and not of the machine: `hsm1` for hsm2m.medium too.
    r#type: &'static str,
    cluster: Cluster<'a>,
}

#[derive(Serialize)]
struct Cluster<'a> {
    hsm_ca_file: &'static str,
    servers: Vec<Server<'a>>,
    options: Options,
}

#[derive(Serialize)]
struct Server<'a> {
    hostname: &'a str,
    port: u16,
    enable: bool,
}

#[derive(Serialize)]
struct Options {
    disable_key_availability_check: bool,
}

#[derive(Serialize)]
#[allow(clippy::struct_field_names, reason = "AWS's names")]
struct Logging {
    log_type: &'static str,
    /// Unused, because `log_type` is `term`. AWS's own file always has it, and the next field.
    log_file: &'static str,
    log_level: LogLevel,
    log_interval: &'static str,
}

fn file(client: &CloudHsmClient, hosts: &[String]) -> String {
    let file = File {
        clusters: [ClusterEntry {
            r#type: "hsm1",
            cluster: Cluster {
                hsm_ca_file: CUSTOMER_CA_FILE,
                servers: hosts.iter().map(|host| Server { hostname: host, port: PORT, enable: true }).collect(),
                options: Options { disable_key_availability_check: client.disable_key_availability_check },
            },
        }],
        logging: Logging {
            log_type: "term",
            log_file: "/opt/cloudhsm/run/cloudhsm-pkcs11.log",
            log_level: client.log_level,
            log_interval: "daily",
        },
    };
    // Serialisation cannot fail: there is no map whose keys are not strings.
    serde_json::to_string_pretty(&file).unwrap_or_default() + "\n"
}

fn arguments(client: &CloudHsmClient, cluster: &ClusterAddress) -> Vec<String> {
    let mut words: Vec<&str> = match cluster {
        ClusterAddress::Hosts(hosts) => [&["-a"][..], &hosts.iter().map(String::as_str).collect::<Vec<_>>()].concat(),
        ClusterAddress::Id { id, region } => vec!["--cluster-id", id, "--region", region],
    };
    words.extend(["--hsm-ca-cert", CUSTOMER_CA_FILE, "--log-type", "term", "--log-level", client.log_level.as_str()]);
    if client.mutual_tls_secret.is_some() {
        words.extend(["--client-cert-hsm-tls-file", CLIENT_CERTIFICATE_FILE]);
        words.extend(["--client-key-hsm-tls-file", CLIENT_KEY_FILE]);
    }
    // Both settings are always given, because the package's own configuration may have either value.
    words.push(if client.disable_key_availability_check {
        "--disable-key-availability-check"
    } else {
        "--enable-key-availability-check"
    });
    words.push(if client.disable_validate_key_at_init {
        "--disable-validate-key-at-init"
    } else {
        "--enable-validate-key-at-init"
    });
    words.extend([
        "--default-retry-mode",
        match client.retry_mode {
            RetryMode::Standard => "standard",
            RetryMode::None => "off",
        },
    ]);
    words.into_iter().map(str::to_owned).collect()
}
