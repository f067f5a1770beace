//! `spec.pod`, `spec.serviceAccount` and `spec.env`: what users add to objects that are the operator's. Refused is what the operator sets
//! itself, what selects pods, and what would weaken the protection of the signer.

use super::Invalid;
use crate::api::{EnvSpec, PodMetadataSpec, TezosSignerSpec};
use crate::names;
use std::collections::BTreeMap;

/// How long a pod may take to end, at least. The signer needs 1.5 s for requests in flight, 2 s for the lease and 10 s in which it forwards
/// late requests, and then writes the last lines of the audit log.
const LEAST_GRACE_SECONDS: i64 = 20;
const MOST_GRACE_SECONDS: i64 = 3600;

/// The prefix of the project's labels and annotations.
const OWN_PREFIX: &str = "signer.tezos.io/";

/// Annotations by which others would change the operator's containers, and why that is not allowed.
const WEAKENING: [(&str, &str); 3] = [
    (names::SKIP_AWS_ANNOTATION, "the operator sets it, so that only the signer's container gets AWS credentials"),
    (
        "container.apparmor.security.beta.kubernetes.io/",
        "it would replace the AppArmor profile of the signer's container",
    ),
    (
        "container.seccomp.security.alpha.kubernetes.io/",
        "it would replace the seccomp profile of the signer's container",
    ),
];

/// Beginnings of variables that the signer's container must not have, and why.
const RESERVED_ENV: [(&str, &str); 6] = [
    ("KUBECONFIG", "with it the signer would use the records of another cluster"),
    ("KUBERNETES_", "with it the signer would use the records of another cluster"),
    ("LD_", "it would load code into the signer's process, which has the PIN"),
    ("LISTEN_", "systemd sets it, for a signer without Kubernetes"),
    ("NOTIFY_SOCKET", "systemd sets it, for a signer without Kubernetes"),
    ("CREDENTIALS_DIRECTORY", "systemd sets it, for a signer without Kubernetes"),
];

/// What users add to the pods and their ServiceAccount.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PodAdditions {
    /// Labels of the pods.
    pub labels: BTreeMap<String, String>,
    /// Annotations of the pods.
    pub annotations: BTreeMap<String, String>,
    /// How long the pods may take to end.
    pub termination_grace_seconds: Option<i64>,
    /// Annotations of their ServiceAccount.
    pub service_account_annotations: BTreeMap<String, String>,
    /// Environment of the signer's container.
    pub env: Vec<EnvSpec>,
}

pub(super) fn validate(spec: &TezosSignerSpec) -> Result<PodAdditions, Invalid> {
    if spec.pod.is_some() && spec.baker.as_ref().is_some_and(|baker| baker.template.is_some()) {
        let reason = "only with service or baker.octez; with baker.template, set labels, annotations and \
                      terminationGracePeriodSeconds in the template";
        return Err(Invalid::new("spec.pod", reason));
    }
    let PodMetadataSpec { labels, annotations, termination_grace_period_seconds } =
        spec.pod.clone().unwrap_or_default();
    for label in labels.keys() {
        let field = format!("spec.pod.labels[{label}]");
        check_name(&field, label)?;
        if names::OWN_LABELS.contains(&label.as_str()) || label == "pod-template-hash" {
            let reason =
                "the operator and Kubernetes set this label and select the pods by it: remove it, or use another label";
            return Err(Invalid::new(field, reason));
        }
    }
    for annotation in annotations.keys() {
        let field = format!("spec.pod.annotations[{annotation}]");
        check_name(&field, annotation)?;
        if let Some((_, why)) = WEAKENING.into_iter().find(|(name, _)| annotation.starts_with(name)) {
            return Err(Invalid::new(field, format!("not allowed: {why}")));
        }
    }
    if let Some(seconds) = termination_grace_period_seconds
        && !(LEAST_GRACE_SECONDS..=MOST_GRACE_SECONDS).contains(&seconds)
    {
        let reason = format!(
            "{seconds} is not from {LEAST_GRACE_SECONDS} to {MOST_GRACE_SECONDS}: the signer needs the time to finish requests and to \
             release its records"
        );
        return Err(Invalid::new("spec.pod.terminationGracePeriodSeconds", reason));
    }
    let service_account_annotations = spec.service_account.clone().unwrap_or_default().annotations;
    for annotation in service_account_annotations.keys() {
        check_name(&format!("spec.serviceAccount.annotations[{annotation}]"), annotation)?;
    }
    check_env(spec)?;
    Ok(PodAdditions {
        labels,
        annotations,
        termination_grace_seconds: termination_grace_period_seconds,
        service_account_annotations,
        env: spec.env.clone(),
    })
}

fn check_env(spec: &TezosSignerSpec) -> Result<(), Invalid> {
    let of_library = spec.hsm.iter().filter_map(|hsm| hsm.pkcs11.as_ref()).flat_map(|pkcs11| &pkcs11.env);
    let mut taken: Vec<&str> = of_library.filter_map(|variable| variable["name"].as_str()).collect();
    for (i, EnvSpec { name, .. }) in spec.env.iter().enumerate() {
        let wrong = |reason: String| Err(Invalid::new(format!("spec.env[{i}].name"), reason));
        let mut letters = name.chars();
        let begins = letters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_');
        if !begins || !letters.all(|letter| letter.is_ascii_alphanumeric() || letter == '_') {
            return wrong(format!(
                "{name:?} is not the name of a variable: letters, digits and _, not beginning with a digit"
            ));
        }
        if names::OWN_ENV.contains(&name.as_str()) {
            return wrong(format!("the operator sets {name}: remove it"));
        }
        if let Some((_, why)) = RESERVED_ENV.into_iter().find(|(begin, _)| name.starts_with(begin)) {
            return wrong(format!("{name} is not allowed: {why}"));
        }
        if taken.contains(&name.as_str()) {
            return wrong(format!("{name} is set twice, here or in spec.hsm.pkcs11.env"));
        }
        taken.push(name);
    }
    Ok(())
}

/// Checks the name of a label or an annotation: `[DNS name/]name`.
fn check_name(field: &str, name: &str) -> Result<(), Invalid> {
    if name.starts_with(OWN_PREFIX) {
        return Err(Invalid::new(field, format!("names with {OWN_PREFIX} are the operator's: use another name")));
    }
    let (prefix, local) = name.split_once('/').map_or((None, name), |(prefix, local)| (Some(prefix), local));
    let is_name = |text: &str, most: usize, more: &[char]| {
        let is_inner = |letter: char| letter.is_ascii_alphanumeric() || letter == '-' || more.contains(&letter);
        (1..=most).contains(&text.len())
            && text.starts_with(|first: char| first.is_ascii_alphanumeric())
            && text.ends_with(|last: char| last.is_ascii_alphanumeric())
            && text.chars().all(is_inner)
    };
    if prefix.is_some_and(|prefix| !is_name(prefix, 253, &['.'])) || !is_name(local, 63, &['.', '_']) {
        let reason = "not a name of Kubernetes: letters, digits, -, _ and . (at most 63), after a DNS name and a slash where there is one";
        return Err(Invalid::new(field, reason));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
