//! The Service of signers without a baker, the `NetworkPolicy` that says who reaches which port, and the `PodDisruptionBudget`.

use super::owned_metadata;
use crate::identity::Identity;
use crate::names;
use crate::validate::ServiceWorkload;
use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::api::networking::v1::{
    NetworkPolicy, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec,
};
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use tezos_signer_core::config::{ADMIN_PORT, PEER_PORT, SIGNING_PORT};

/// The objects that only signers behind a Service have.
#[derive(Debug, Clone, PartialEq)]
pub struct ServiceObjects {
    /// The address at which clients find the signers.
    pub service: Service,
    /// Which pods reach which of their ports.
    pub network_policy: NetworkPolicy,
    /// How many a drain may evict at once; `None` where there is only one replica, which a drain must be able to evict.
    pub disruption_budget: Option<PodDisruptionBudget>,
}

pub(super) fn objects(signer: &Identity, workload: &ServiceWorkload) -> ServiceObjects {
    ServiceObjects {
        service: service(signer, workload.port),
        network_policy: network_policy(signer),
        disruption_budget: (workload.replicas > 1).then(|| disruption_budget(signer)),
    }
}

fn service(signer: &Identity, port: u16) -> Service {
    Service {
        metadata: owned_metadata(signer, names::service(signer)),
        spec: Some(ServiceSpec {
            type_: Some("ClusterIP".to_owned()),
            selector: Some(names::selector(signer)),
            ports: Some(vec![ServicePort {
                name: Some(names::SIGNING_PORT_NAME.to_owned()),
                port: port.into(),
                target_port: Some(IntOrString::Int(SIGNING_PORT.into())),
                protocol: Some("TCP".to_owned()),
                ..ServicePort::default()
            }]),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}

/// The clients of signatures, probes and metrics are not known here, so that everybody reaches those ports. Only the signers reach the
/// peer port.
fn network_policy(signer: &Identity) -> NetworkPolicy {
    let ours = LabelSelector { match_labels: Some(names::selector(signer)), ..LabelSelector::default() };
    let ports = |ports: &[u16]| {
        let port = |port: &u16| NetworkPolicyPort {
            port: Some(IntOrString::Int((*port).into())),
            protocol: Some("TCP".to_owned()),
            end_port: None,
        };
        Some(ports.iter().map(port).collect())
    };
    NetworkPolicy {
        metadata: owned_metadata(signer, names::network_policy(signer)),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(ours.clone()),
            policy_types: Some(vec!["Ingress".to_owned()]),
            ingress: Some(vec![
                NetworkPolicyIngressRule { ports: ports(&[SIGNING_PORT, ADMIN_PORT]), from: None },
                NetworkPolicyIngressRule {
                    ports: ports(&[PEER_PORT]),
                    from: Some(vec![NetworkPolicyPeer { pod_selector: Some(ours), ..NetworkPolicyPeer::default() }]),
                },
            ]),
            egress: None,
        }),
    }
}

fn disruption_budget(signer: &Identity) -> PodDisruptionBudget {
    PodDisruptionBudget {
        metadata: owned_metadata(signer, names::disruption_budget(signer)),
        spec: Some(PodDisruptionBudgetSpec {
            max_unavailable: Some(IntOrString::Int(1)),
            selector: Some(LabelSelector { match_labels: Some(names::selector(signer)), ..LabelSelector::default() }),
            // A pod that does not sign anyway must not block a drain.
            unhealthy_pod_eviction_policy: Some("AlwaysAllow".to_owned()),
            ..PodDisruptionBudgetSpec::default()
        }),
        status: None,
    }
}
