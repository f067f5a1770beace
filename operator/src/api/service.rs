//! `spec.service` of a TezosSigner: signers without a baker, behind a Service, of which one at a time signs with a key.

// The derive of KubeSchema makes a public twin of each type inside a function.
#![allow(unreachable_pub)]

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A signer only, for bakers elsewhere: several replicas behind a Service. Each answers every request: it signs, or asks the
/// replica that does.
#[derive(Debug, Clone, Default, PartialEq, KubeSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.authorizedKeys) != (has(self.unauthenticated) && self.unauthenticated)")
        .message("spec.service: exactly one of authorizedKeys (the clients that may ask for signatures) and unauthenticated: true (whoever reaches the Service may) is needed"),
    validation = Rule::new("!has(self.clientCa) || has(self.tls)")
        .message("spec.service.clientCa: needs tls, because client certificates are part of it")
)]
pub struct ServiceSpec {
    /// The port of the Service, which has the name of the TezosSigner. Default: 6732.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<i32>,

    /// How many signers run. One at a time signs with a key; the others forward to it and take over when it fails. With 1, a
    /// failure lasts until another pod has started. Default: 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 5))]
    pub replicas: Option<i32>,

    /// The public keys of the clients that may ask for signatures: `edpk…`, `sppk…`, `p2pk…` or `BLpk…`. A client signs each
    /// request with its own (`octez-client` does so by itself with a key that it finds in the signer's `GET /authorized_keys`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16), inner(length(min = 1, max = 128)), extend("x-kubernetes-list-type" = "set"))]
    #[x_kube(
        validation = Rule::new("self.all(key, key.matches('^(edpk|sppk|p2pk|BLpk)[1-9A-HJ-NP-Za-km-z]+$'))")
            .message("authorizedKeys: expected public keys (edpk…, sppk…, p2pk… or BLpk…), not addresses (tz…); octez-client show address NAME prints them")
    )]
    pub authorized_keys: Option<Vec<String>>,

    /// Whoever reaches the Service may ask for signatures. Then the network, or `clientCa`, is all that decides who does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unauthenticated: Option<bool>,

    /// TLS, for clients and between the replicas. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<ServiceTls>,

    /// The authorities of client certificates: a client without such a certificate is not talked to. Default: clients need none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_ca: Option<ClientCa>,
}

/// The certificate of the signers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceTls {
    /// The name of a Secret in the TezosSigner's namespace as cert-manager writes it: `tls.crt`, `tls.key` and `ca.crt`. All
    /// replicas show this certificate, also to each other, and verify each other's against `ca.crt`. A new certificate in it is
    /// taken up without a restart.
    #[schemars(length(min = 1, max = 253))]
    pub secret: String,
}

/// Where the authorities of client certificates are, in PEM.
#[derive(Debug, Clone, PartialEq, KubeSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.configMap) != has(self.secret)")
        .message("spec.service.clientCa: exactly one of configMap and secret is needed")
)]
pub struct ClientCa {
    /// The name of a ConfigMap in the TezosSigner's namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub config_map: Option<String>,
    /// The name of a Secret in the TezosSigner's namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub secret: Option<String>,
    /// The key in it. Default: `ca.crt`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub key: Option<String>,
}
