//! The API server, asked in the caller's name. Each question says which right it needs, so that a refusal becomes a sentence.

mod connection;
mod process;

pub(crate) use connection::ConnectionArguments;

use crate::error::{PluginError, Right};
use crate::http;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::{ListParams, LogParams, PostParams};
use kube::core::DeserializeGuard;
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use std::time::Duration;
use tezos_signer_core::config::ADMIN_PORT;
use tezos_signer_core::record::RECORDS_NAMESPACE;
use tezos_signer_operator::api::{Guarded, TezosSigner};
use tezos_signer_operator::identity::Identity;
use tezos_signer_operator::names;

/// How long one question may take.
const PATIENCE: Duration = Duration::from_secs(15);

/// How long a signer or node may take to answer. It answers from memory.
const SHORT_PATIENCE: Duration = Duration::from_secs(5);

/// The verbs for a connection to a pod. It is a GET, and API servers since Kubernetes 1.35 want the right to create too.
const CONNECT: &str = "get,create";

/// The resource of TezosSigners, as RBAC names it.
pub(crate) const TEZOS_SIGNERS: &str = "tezossigners.signer.tezos.io";

/// One cluster, in the caller's name.
#[derive(Clone)]
pub(crate) struct Cluster {
    client: Client,
    /// The namespace of the kubeconfig's context, or of --namespace.
    pub(crate) namespace: String,
}

/// Which TezosSigners are meant.
pub(crate) enum Scope {
    /// Those of all namespaces.
    Everywhere,
    /// All of one namespace.
    Namespace(String),
    /// Those with these names in one namespace.
    Named(String, Vec<String>),
}

impl Cluster {
    /// Objects of one kind in `namespace`, or in all.
    pub(crate) fn api<K>(&self, namespace: Option<&str>) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        match namespace {
            Some(namespace) => Api::namespaced(self.client.clone(), namespace),
            None => Api::all(self.client.clone()),
        }
    }

    /// The answer to a question that needs `right`; `object` names what a 404 is about.
    pub(crate) async fn ask<T>(
        &self,
        right: Right,
        object: &str,
        question: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<T, PluginError> {
        within(PATIENCE, &right.asked(), async {
            question.await.map_err(|error| PluginError::of(error, right.clone(), object))
        })
        .await
    }

    /// Who asks, by the API server.
    pub(crate) async fn user(&self) -> Result<String, PluginError> {
        let right = Right::new("create", "selfsubjectreviews.authentication.k8s.io", None);
        let api: Api<SelfSubjectReview> = Api::all(self.client.clone());
        let (parameters, question) = (PostParams::default(), SelfSubjectReview::default());
        let answer = self.ask(right, "", api.create(&parameters, &question)).await?;
        let user = answer.status.and_then(|status| status.user_info).and_then(|user| user.username);
        user.ok_or_else(|| PluginError::Argument("the API server does not say who you are: add --as USER".to_owned()))
    }

    /// The version of the API server.
    pub(crate) async fn version(&self) -> Result<impl serde::Serialize + use<>, PluginError> {
        let right = Right::new("get", "/version", None);
        let version = self.ask(right, "/version", self.client.apiserver_version()).await?;
        Ok(serde_json::json!({ "gitVersion": version.git_version, "platform": version.platform }))
    }

    /// Lists objects. A kind that the cluster does not have is an empty list, but for the TezosSigner.
    pub(crate) async fn list<K>(
        &self,
        resource: &str,
        namespace: Option<&str>,
        by: &ListParams,
    ) -> Result<Vec<K>, PluginError>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug,
    {
        let api: Api<K> = self.api(namespace);
        Ok(self.ask(Right::new("list", resource, namespace), "", api.list(by)).await?.items)
    }

    /// The TezosSigners of `scope`, by namespace and name.
    pub(crate) async fn signers(&self, scope: &Scope) -> Result<Vec<Guarded>, PluginError> {
        let mut signers: Vec<Guarded> = match scope {
            Scope::Everywhere => self.list(TEZOS_SIGNERS, None, &ListParams::default()).await?,
            Scope::Namespace(namespace) => self.list(TEZOS_SIGNERS, Some(namespace), &ListParams::default()).await?,
            Scope::Named(namespace, names) => {
                let mut each = Vec::new();
                for name in names {
                    each.push(self.signer(namespace, name).await?);
                }
                each
            }
        };
        signers.sort_by(|DeserializeGuard(a), DeserializeGuard(b)| {
            let name = |signer: &Result<TezosSigner, kube::core::error_boundary::InvalidObject>| {
                let metadata = match signer {
                    Ok(signer) => &signer.metadata,
                    Err(invalid) => &invalid.metadata,
                };
                (metadata.namespace.clone(), metadata.name.clone())
            };
            name(a).cmp(&name(b))
        });
        Ok(signers)
    }

    /// One TezosSigner.
    pub(crate) async fn signer(&self, namespace: &str, name: &str) -> Result<Guarded, PluginError> {
        let right = Right::inside("get", TEZOS_SIGNERS, namespace);
        let object = format!("TezosSigner {name} in the namespace {namespace}");
        self.ask(right, &object, self.api::<Guarded>(Some(namespace)).get(name)).await
    }

    /// One TezosSigner that this release can read.
    pub(crate) async fn known_signer(&self, namespace: &str, name: &str) -> Result<TezosSigner, PluginError> {
        self.signer(namespace, name).await?.0.map_err(|invalid| {
            PluginError::Argument(format!(
                "this release of the plugin cannot read the TezosSigner {namespace}/{name}: {}. Update the plugin",
                invalid.error
            ))
        })
    }

    /// The pods of a TezosSigner.
    pub(crate) async fn pods(&self, signer: &Identity) -> Result<Vec<Pod>, PluginError> {
        let mut all = Vec::new();
        for selector in names::pod_selectors(signer) {
            let by = ListParams::default().labels(&selector);
            all.extend(self.list::<Pod>("pods", Some(&signer.namespace), &by).await?);
        }
        Ok(all)
    }

    /// The watermark record of that name.
    pub(crate) async fn record(&self, name: &str) -> Result<ConfigMap, PluginError> {
        self.config_map(RECORDS_NAMESPACE, name).await
    }

    /// A ConfigMap.
    pub(crate) async fn config_map(&self, namespace: &str, name: &str) -> Result<ConfigMap, PluginError> {
        let right = Right::inside("get", "configmaps", namespace);
        let object = format!("ConfigMap {name} in the namespace {namespace}");
        self.ask(right, &object, self.api::<ConfigMap>(Some(namespace)).get(name)).await
    }

    /// The end of a container's log. `previous`: of the container before the last restart.
    pub(crate) async fn log(
        &self,
        namespace: &str,
        pod: &str,
        container: &str,
        lines: i64,
        previous: bool,
    ) -> Result<String, PluginError> {
        let right = Right::inside("get", "pods/log", namespace);
        let what = LogParams {
            container: Some(container.to_owned()),
            tail_lines: Some(lines),
            previous,
            ..LogParams::default()
        };
        self.ask(
            right,
            &format!("pod {pod} in the namespace {namespace}"),
            self.api::<Pod>(Some(namespace)).logs(pod, &what),
        )
        .await
    }

    /// The answer of a signer's admin port. No `NetworkPolicy` and no security group keeps it from the kubelet of its node.
    pub(crate) async fn ask_signer(&self, namespace: &str, pod: &str, path: &str) -> Result<Vec<u8>, PluginError> {
        self.get_from_pod(namespace, pod, ADMIN_PORT, path).await
    }

    /// The answer to `GET path` at a port of a pod, by a connection that the API server and the kubelet forward.
    pub(crate) async fn get_from_pod(
        &self,
        namespace: &str,
        pod: &str,
        port: u16,
        path: &str,
    ) -> Result<Vec<u8>, PluginError> {
        let right = Right::inside(CONNECT, "pods/portforward", namespace);
        let what = format!("GET {path} from the pod {pod}");
        let failed = |reason: String| PluginError::Request { what: what.clone(), reason };
        within(SHORT_PATIENCE, &what, async {
            let api: Api<Pod> = self.api(Some(namespace));
            let object = format!("pod {pod} in the namespace {namespace}");
            let mut forwarder =
                api.portforward(pod, &[port]).await.map_err(|error| PluginError::of(error, right, &object))?;
            let stream = forwarder.take_stream(port).ok_or_else(|| failed("the port is not forwarded".to_owned()))?;
            let refused = forwarder.take_error(port);
            match http::get(stream, &format!("localhost:{port}"), path).await {
                Ok(body) => Ok(body),
                Err(error) => {
                    let words = match refused {
                        Some(refused) => tokio::time::timeout(Duration::from_millis(200), refused).await.ok().flatten(),
                        None => None,
                    };
                    Err(failed(words.unwrap_or_else(|| error.to_string())))
                }
            }
        })
        .await
    }
}

/// `question`, or an error after `patience`.
async fn within<T>(
    patience: Duration,
    what: &str,
    question: impl Future<Output = Result<T, PluginError>>,
) -> Result<T, PluginError> {
    let timeout = |_| PluginError::Timeout { what: what.to_owned(), seconds: patience.as_secs() };
    tokio::time::timeout(patience, question).await.map_err(timeout)?
}
