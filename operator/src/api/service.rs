//! `spec.service` of a TezosSigner: several signers behind a Service, one of which signs with each key at a time.

// The derive of KubeSchema generates a public copy of each type inside a function.
#![allow(unreachable_pub)]

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Signers behind a Service, for bakers that run elsewhere. Each replica answers every request: it signs, or forwards the request to the
/// replica that holds the key's record.
#[derive(Debug, Clone, Default, PartialEq, KubeSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.authorizedKeys) != (has(self.unauthenticated) && self.unauthenticated)")
        .message("spec.service: exactly one of authorizedKeys (the clients that may request signatures) and unauthenticated: true (all clients may) is required"),
    validation = Rule::new("!has(self.clientCa) || has(self.tls)")
        .message("spec.service.clientCa: requires tls, because client certificates are a part of TLS")
)]
pub struct ServiceSpec {
    /// The port of the Service, which has the name of the TezosSigner. Default: 6732.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<i32>,

    /// The number of signers. One at a time signs with a key; the others forward requests to it and take over when it fails. With 1, a
    /// failure lasts until another pod has started. Default: 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 5))]
    pub replicas: Option<i32>,

    /// The public keys of the clients that may request signatures: `edpk…`, `sppk…`, `p2pk…` or `BLpk…`. A client signs each request with
    /// its own key (`octez-client` does so automatically, with a key that is listed in the signer's `GET /authorized_keys`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    // An ML-DSA-44 key, of 1802 characters, is to be refused by its name, and not for its length.
    #[schemars(length(min = 1, max = 16), inner(length(min = 1, max = 2048)), extend("x-kubernetes-list-type" = "set"))]
    #[x_kube(
        validation = Rule::new("self.all(key, !key.matches('^(mdpk|tz5)'))")
            .message("authorizedKeys: an ML-DSA-44 key (mdpk…, tz5…) cannot be used: this signer does not support the post-quantum scheme; use a client key of another one (edpk…, sppk…, p2pk… or BLpk…)"),
        validation = Rule::new("self.all(key, key.matches('^(mdpk|tz5|(edpk|sppk|p2pk|BLpk)[1-9A-HJ-NP-Za-km-z]+$)'))")
            .message("authorizedKeys: expected public keys (edpk…, sppk…, p2pk… or BLpk…), not addresses (tz…); octez-client show address NAME prints them")
    )]
    pub authorized_keys: Option<Vec<String>>,

    /// Allow every client that can connect to the Service to request signatures. Only the network, or `clientCa`, then restricts access.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unauthenticated: Option<bool>,

    /// TLS, for clients and between the replicas. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<ServiceTls>,

    /// The CAs of client certificates. Clients without a certificate of these CAs cannot connect. Default: no client certificates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_ca: Option<ClientCa>,
}

/// TLS, for clients and between the replicas.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceTls {
    /// The name of a Secret in the TezosSigner's namespace, as cert-manager writes it: `tls.crt`, `tls.key` and `ca.crt`. All replicas
    /// present this certificate, also to each other, and verify each other's certificate against `ca.crt`. A new certificate is loaded
    /// without a restart.
    #[schemars(length(min = 1, max = 253))]
    pub secret: String,
}

/// The CAs of client certificates, in PEM.
#[derive(Debug, Clone, PartialEq, KubeSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.configMap) != has(self.secret)")
        .message("spec.service.clientCa: exactly one of configMap and secret is required")
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
