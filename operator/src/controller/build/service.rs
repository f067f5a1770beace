//! What is in front of the signers of the Service form, and around them: their address, who reaches which port, and how many of
//! them a drain may take at once.

use super::{names, owned};
use crate::controller::validate::{Identity, ServiceForm};
use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::api::networking::v1::{
    NetworkPolicy, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec,
};
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use tezos_signer_core::config::{ADMIN_PORT, PEER_PORT, SIGNING_PORT};

/// What only the Service form has.
#[derive(Debug, Clone, PartialEq)]
pub struct Front {
    /// Where clients find the signers.
    pub service: Service,
    /// Who reaches which of their ports.
    pub network_policy: NetworkPolicy,
    /// How many may be taken away at once; `None` where there is only one, which a drain must be able to move.
    pub disruption_budget: Option<PodDisruptionBudget>,
}

pub(super) fn front(signer: &Identity, form: &ServiceForm) -> Front {
    Front {
        service: service(signer, form.port),
        network_policy: network_policy(signer),
        disruption_budget: (form.replicas > 1).then(|| disruption_budget(signer)),
    }
}

fn service(signer: &Identity, port: u16) -> Service {
    Service {
        metadata: owned(signer, names::service(signer)),
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

/// Whoever may ask for signatures, probes and metrics is nobody that this could name. The peer port is the signers' own.
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
        metadata: owned(signer, names::network_policy(signer)),
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
        metadata: owned(signer, names::disruption_budget(signer)),
        spec: Some(PodDisruptionBudgetSpec {
            max_unavailable: Some(IntOrString::Int(1)),
            selector: Some(LabelSelector { match_labels: Some(names::selector(signer)), ..LabelSelector::default() }),
            // A pod that does not sign anyway keeps no node from being drained.
            unhealthy_pod_eviction_policy: Some("AlwaysAllow".to_owned()),
            ..PodDisruptionBudgetSpec::default()
        }),
        status: None,
    }
}
