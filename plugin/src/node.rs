//! An Octez node: how it is reached from here, and what it is asked.
//!
//! A TezosSigner names its node as pods of the cluster do. A name of a Service is reached through a pod behind it, by a port that the API server
//! forwards; any other address directly.

use crate::cluster::Cluster;
use crate::error::{PluginError, Right};
use crate::http;
use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::ResourceExt as _;
use kube::api::ListParams;
use serde_json::Value;
use std::time::Duration;
use tokio::net::TcpStream;

/// How long a node may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// A node that can be asked.
pub(crate) struct Node {
    endpoint: String,
    /// What stands before each path, without a slash at its end.
    prefix: String,
    route: Route,
}

enum Route {
    /// A connection from here.
    Direct { host: String, port: u16 },
    /// A port of a pod.
    Pod { cluster: Cluster, namespace: String, pod: String, port: u16 },
}

/// The parts of `http://HOST:PORT/PREFIX`.
#[derive(Debug, PartialEq, Eq)]
struct Endpoint {
    host: String,
    port: u16,
    prefix: String,
}

impl Endpoint {
    fn parse(text: &str) -> Result<Self, PluginError> {
        let wrong = |why: &str| {
            PluginError::Argument(format!(
                "the node {text} cannot be asked: {why}. Give another address with --node-endpoint http://HOST:PORT, for example of kubectl port-forward"
            ))
        };
        if text.starts_with("https:") {
            return Err(wrong("https is not supported here"));
        }
        let uri: hyper::Uri = text.parse().map_err(|_| wrong("it is not http://HOST:PORT"))?;
        let host = uri
            .host()
            .filter(|_| uri.scheme_str() == Some("http"))
            .ok_or_else(|| wrong("it is not http://HOST:PORT"))?;
        Ok(Self {
            host: host.trim_matches(['[', ']']).to_owned(),
            port: uri.port_u16().unwrap_or(80),
            prefix: uri.path().trim_end_matches('/').to_owned(),
        })
    }

    /// The Service that the host names, for a pod in `namespace`: its namespace and name.
    fn service(&self, namespace: &str) -> Option<(String, String)> {
        let parts: Vec<&str> = self.host.split('.').collect();
        let of = |namespace: &str, name: &str| Some((namespace.to_owned(), name.to_owned()));
        match parts[..] {
            ["localhost"] => None,
            [name] if !name.contains(':') => of(namespace, name),
            [name, namespace, "svc", ..] => of(namespace, name),
            // NAME.NAMESPACE; the host of a URL on the internet has no shorter form than this, and is not a Service then.
            [name, namespace] if self.host.parse::<std::net::IpAddr>().is_err() => of(namespace, name),
            _ => None,
        }
    }
}

impl Node {
    /// The node at `endpoint`, as a pod in `namespace` would reach it.
    pub(crate) async fn of_cluster(cluster: &Cluster, endpoint: &str, namespace: &str) -> Result<Self, PluginError> {
        let parts = Endpoint::parse(endpoint)?;
        let Some((namespace, service)) = parts.service(namespace) else { return Self::direct(endpoint) };
        let (pod, port) = pod_behind(cluster, &namespace, &service, parts.port).await?;
        let route = Route::Pod { cluster: cluster.clone(), namespace, pod, port };
        Ok(Self { endpoint: endpoint.to_owned(), prefix: parts.prefix, route })
    }

    /// The node at `endpoint`, from here.
    pub(crate) fn direct(endpoint: &str) -> Result<Self, PluginError> {
        let Endpoint { host, port, prefix } = Endpoint::parse(endpoint)?;
        Ok(Self { endpoint: endpoint.to_owned(), prefix, route: Route::Direct { host, port } })
    }

    /// The JSON at `path`.
    pub(crate) async fn get(&self, path: &str) -> Result<Value, PluginError> {
        let failed =
            |reason: String| PluginError::Request { what: format!("asking the node {}", self.endpoint), reason };
        let path = format!("{}{path}", self.prefix);
        let body = match &self.route {
            Route::Pod { cluster, namespace, pod, port } => cluster.get_from_pod(namespace, pod, *port, &path).await?,
            Route::Direct { host, port } => {
                let asked = async {
                    let stream =
                        TcpStream::connect((host.as_str(), *port)).await.map_err(|error| failed(error.to_string()))?;
                    http::get(stream, host, &path).await.map_err(|error| failed(error.to_string()))
                };
                let late = |_| failed(format!("no answer within {} s", PATIENCE.as_secs()));
                tokio::time::timeout(PATIENCE, asked).await.map_err(late)??
            }
        };
        serde_json::from_slice(&body).map_err(|error| failed(format!("unexpected JSON: {error}")))
    }

    /// The header of the newest block.
    pub(crate) async fn head(&self) -> Result<Value, PluginError> {
        self.get("/chains/main/blocks/head/header").await
    }

    /// Its address, as it was given.
    pub(crate) fn endpoint(&self) -> &str {
        &self.endpoint
    }
}

/// A ready pod behind a Service, and its port for that port of the Service.
async fn pod_behind(
    cluster: &Cluster,
    namespace: &str,
    service: &str,
    port: u16,
) -> Result<(String, u16), PluginError> {
    let object = format!("Service {service} in the namespace {namespace}");
    let right = Right::inside("get", "services", namespace);
    let found: Service = cluster.ask(right, &object, cluster.api::<Service>(Some(namespace)).get(service)).await?;
    let spec = found.spec.unwrap_or_default();
    let Some(selector) = spec.selector.filter(|selector| !selector.is_empty()) else {
        return Err(PluginError::Argument(format!(
            "the {object} selects no pods, so the node behind it cannot be reached from here: give its address with --node-endpoint http://HOST:PORT"
        )));
    };
    let labels: Vec<String> = selector.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let pods: Vec<Pod> =
        cluster.list("pods", Some(namespace), &ListParams::default().labels(&labels.join(","))).await?;
    let is_ready = |pod: &&Pod| {
        let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
        conditions.into_iter().flatten().any(|condition| condition.type_ == "Ready" && condition.status == "True")
    };
    let pod = pods
        .iter()
        .find(is_ready)
        .ok_or_else(|| PluginError::Argument(format!("no pod behind the {object} is ready")))?;
    let target =
        spec.ports.iter().flatten().find(|of| of.port == i32::from(port)).and_then(|of| of.target_port.clone());
    Ok((pod.name_any(), target_port(pod, target.as_ref(), port)))
}

fn target_port(pod: &Pod, target: Option<&IntOrString>, port: u16) -> u16 {
    let number = match target {
        Some(IntOrString::Int(number)) => Some(*number),
        Some(IntOrString::String(name)) => {
            let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
            let mut ports = containers.flat_map(|container| container.ports.iter().flatten());
            ports.find(|port| port.name.as_ref() == Some(name)).map(|port| port.container_port)
        }
        None => None,
    };
    number.and_then(|number| number.try_into().ok()).unwrap_or(port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_service_is_told_from_a_host() {
        let service = |endpoint: &str| Endpoint::parse(endpoint).unwrap().service("bakers");
        let of = |namespace: &str, name: &str| Some((namespace.to_owned(), name.to_owned()));
        assert_eq!(service("http://octez-node:8732"), of("bakers", "octez-node"));
        assert_eq!(service("http://octez-node.nodes:8732/"), of("nodes", "octez-node"));
        assert_eq!(service("http://octez-node.nodes.svc.cluster.local"), of("nodes", "octez-node"));
        for direct in
            ["http://localhost:8732", "http://10.0.0.7:8732", "http://[fd00::7]:8732", "http://node.example.org"]
        {
            assert_eq!(service(direct), None, "{direct}");
        }
    }

    #[test]
    fn what_cannot_be_asked_is_refused_with_the_remedy() {
        for wrong in ["https://node:8732", "node:8732", "http://", "ftp://node"] {
            let said = Endpoint::parse(wrong).unwrap_err().to_string();
            assert!(said.contains("--node-endpoint http://HOST:PORT"), "{said}");
        }
        let endpoint = Endpoint::parse("http://node/rpc/").unwrap();
        assert_eq!((endpoint.port, endpoint.prefix.as_str()), (80, "/rpc"));
    }
}
