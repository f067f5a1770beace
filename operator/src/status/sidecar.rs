//! The condition `SidecarCurrent`: whether the user's pods have the sidecar that the TezosSigner describes. Only with `spec.inject`.

use super::{ConditionDraft, draft};
use crate::message;
use crate::observation::injection::SidecarVersions;

const SIDECAR: &str = "SidecarCurrent";

/// The reason of a workload without pods.
pub(super) const NO_POD: &str = "NoPod";

/// The condition for pods with these sidecars.
pub(super) fn current(versions: &SidecarVersions) -> ConditionDraft {
    let SidecarVersions { current, old, of_another_account } = versions;
    if !of_another_account.is_empty() {
        let message = format!(
            "pod {} has another ServiceAccount than spec.inject.serviceAccountName, and signs on until it ends: set it in the pod template of \
             the workload first. A new pod with another one is rejected",
            message::list(of_another_account)
        );
        return draft(SIDECAR, "False", "AnotherAccount", message);
    }
    if !old.is_empty() {
        let message = format!(
            "pod {} has an older sidecar, which signs as the TezosSigner said before: delete the pod (kubectl delete pod {}), and its \
             workload recreates it with the present one. If the sidecar stands in the workload's own template, apply the present one first \
             (kubectl tezos-signer sidecar)",
            message::list(old),
            old.join(" ")
        );
        return draft(SIDECAR, "False", "OldSidecar", message);
    }
    if current.is_empty() {
        return draft(SIDECAR, "Unknown", NO_POD, "no pod has the sidecar, see Ready");
    }
    draft(SIDECAR, "True", "Current", format!("pod {} has the present sidecar", message::list(current)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_with_an_older_sidecar_are_named() {
        let versions = |current: &[&str], old: &[&str]| SidecarVersions {
            current: current.iter().map(|&name| name.to_owned()).collect(),
            old: old.iter().map(|&name| name.to_owned()).collect(),
            of_another_account: Vec::new(),
        };
        let none = current(&versions(&[], &[]));
        assert_eq!((none.status, none.reason.as_str()), ("Unknown", "NoPod"));
        assert_eq!(current(&versions(&["a"], &[])).status, "True");
        let old = current(&versions(&["a"], &["b", "c"]));
        assert_eq!((old.status, old.reason.as_str()), ("False", "OldSidecar"));
        assert!(old.message.contains("kubectl delete pod b c"), "{}", old.message);
        let another = SidecarVersions { of_another_account: vec!["d".to_owned()], ..versions(&["a"], &["b"]) };
        assert_eq!(current(&another).reason, "AnotherAccount");
    }
}
