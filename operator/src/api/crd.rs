//! The definitions of the project's resources (the CRDs) as text: for `kubectl apply`, and as a template of the Helm chart.

use super::{TezosSigner, TezosSignerSidecar};
use clap::ValueEnum;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt as _;
use serde_json::Value;

const GENERATED: &str = "# Generated from operator/src/api by `make crds`. Do not edit.\n";

/// A resource that has a definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Definition {
    /// The TezosSigner, which users write.
    Tezossigners,
    /// The TezosSignerSidecar, which the operator writes for the admission policies.
    Tezossignersidecars,
}

impl Definition {
    /// All, in the order in which they are installed.
    pub const ALL: [Self; 2] = [Self::Tezossigners, Self::Tezossignersidecars];
}

fn definition(of: Definition) -> Result<CustomResourceDefinition, serde_json::Error> {
    let mut crd = match of {
        Definition::Tezossigners => TezosSigner::crd(),
        Definition::Tezossignersidecars => TezosSignerSidecar::crd(),
    };
    // `kubectl get tezos` finds what users write. Not `all`: `kubectl delete all --all` would delete signers with their claims on keys, and
    // `kubectl get all` complain to who may not read them.
    if of == Definition::Tezossigners {
        crd.spec.names.categories = Some(vec!["tezos".to_owned()]);
    }
    let mut value = serde_json::to_value(crd)?;
    not_nullable(&mut value);
    serde_json::from_value(value)
}

/// An optional field is left out or has a value. Without `nullable` the API server takes a `null` away before the rules
/// see it; with it, `has(self.field)` would be true of a `null`.
fn not_nullable(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            if fields.get("nullable") == Some(&Value::Bool(true)) {
                fields.remove("nullable");
            }
            fields.values_mut().for_each(not_nullable);
        }
        Value::Array(items) => items.iter_mut().for_each(not_nullable),
        _ => {}
    }
}

/// Why the definition cannot be printed. A bug: it does not depend on any input.
#[derive(Debug, thiserror::Error)]
pub enum CrdError {
    /// No definition.
    #[error("the schema derived from the types is no CustomResourceDefinition: {0}")]
    Schema(#[from] serde_json::Error),
    /// No text.
    #[error("the CustomResourceDefinition has no YAML form: {0}")]
    Text(#[from] serde_yaml::Error),
}

/// The definitions of `resources`, for `kubectl apply`.
pub fn crd_yaml(resources: &[Definition]) -> Result<String, CrdError> {
    Ok(format!("{GENERATED}{}", documents(resources, |_| {})?))
}

fn documents(resources: &[Definition], edit: fn(&mut CustomResourceDefinition)) -> Result<String, CrdError> {
    let mut documents = Vec::new();
    for resource in resources {
        let mut crd = definition(*resource)?;
        edit(&mut crd);
        documents.push(yaml(&crd)?);
    }
    Ok(documents.join("---\n"))
}

/// YAML that Helm and kubectl read as it is meant: to them `on` and `off` without quotes are booleans (YAML 1.1), and no value of an
/// enumeration of texts.
fn yaml(crd: &CustomResourceDefinition) -> Result<String, serde_yaml::Error> {
    let quoted = |line: &str| match line.trim_start().strip_prefix("- ") {
        Some(word) if BOOLEANS_OF_YAML_1_1.contains(&word) => {
            format!("{}- '{word}'\n", &line[..line.len() - line.trim_start().len()])
        }
        _ => format!("{line}\n"),
    };
    Ok(serde_yaml::to_string(crd)?.lines().map(quoted).collect())
}

const BOOLEANS_OF_YAML_1_1: [&str; 6] = ["on", "off", "yes", "no", "y", "n"];

/// The definitions as a template of the chart: uninstalling the chart keeps them, because deleting that of the TezosSigner would delete every
/// TezosSigner, and without the other no pod of `spec.inject` could be created.
pub fn helm_template() -> Result<String, CrdError> {
    let kept = |crd: &mut CustomResourceDefinition| {
        let annotations = crd.metadata.annotations.get_or_insert_default();
        annotations.insert("helm.sh/resource-policy".to_owned(), "keep".to_owned());
    };
    let documents = documents(&Definition::ALL, kept)?;
    Ok(format!("{GENERATED}{{{{- if .Values.crds.enabled }}}}\n{documents}{{{{- end }}}}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn walk<'a>(value: &'a Value, path: &str, visit: &mut dyn FnMut(&str, &'a Value)) {
        visit(path, value);
        match value {
            Value::Object(fields) => fields.iter().for_each(|(name, v)| walk(v, &format!("{path}.{name}"), visit)),
            Value::Array(items) => items.iter().for_each(|v| walk(v, path, visit)),
            _ => {}
        }
    }

    /// `kubectl explain` must answer for everything, and the API server knows no unsigned formats.
    #[test]
    fn every_field_is_documented_and_every_format_known() {
        for resource in Definition::ALL {
            documented(&serde_json::to_value(definition(resource).unwrap()).unwrap());
        }
        let crd = serde_json::to_value(definition(Definition::Tezossigners).unwrap()).unwrap();
        let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        assert_eq!(schema["properties"]["spec"]["required"], json!(["chain", "keys"]));
    }

    fn documented(crd: &Value) {
        let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        walk(schema, "", &mut |path, value| {
            if let (Some("properties"), Some(properties)) = (path.rsplit('.').next(), value.as_object()) {
                for (name, field) in properties {
                    assert!(
                        field.get("description").is_some() || path == ".properties",
                        "{path}.{name} has no description"
                    );
                }
            }
            assert!(value.get("nullable").is_none(), "{path} is nullable");
            if let Some(format) = value.get("format").and_then(Value::as_str) {
                assert!(["int32", "int64", "date-time"].contains(&format), "{path} has format {format}");
            }
        });
        walk(&schema["properties"]["spec"], "spec", &mut |path, value| {
            // Where a field of the API itself is called `type`, it is no schema.
            let has = |name: &str| value.get(name).is_some();
            match value.get("type").and_then(Value::as_str) {
                Some("string") => assert!(has("maxLength") || has("enum") || has("format"), "{path} has no bound"),
                Some("array") => assert!(has("maxItems"), "{path} has no bound"),
                Some("integer") => assert!(has("minimum"), "{path} has no bound"),
                Some("object") if has("additionalProperties") => assert!(has("maxProperties"), "{path} has no bound"),
                _ => {}
            }
        });
    }

    #[test]
    fn the_files_of_the_definition_are_what_the_types_say() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        for (file, text) in [
            ("crds/tezossigners.signer.tezos.io.yaml", crd_yaml(&[Definition::Tezossigners]).unwrap()),
            ("crds/tezossignersidecars.signer.tezos.io.yaml", crd_yaml(&[Definition::Tezossignersidecars]).unwrap()),
            ("charts/tezos-signer-operator/templates/crd.yaml", helm_template().unwrap()),
        ] {
            let is = std::fs::read_to_string(root.join(file)).unwrap();
            assert!(is == text, "{file} is not what the types say: commit the result of `make crds`");
        }
    }

    /// What Helm and kubectl read as a boolean is no value of a text.
    #[test]
    fn no_value_of_an_enumeration_is_a_boolean_to_kubectl() {
        let text = crd_yaml(&Definition::ALL).unwrap();
        assert!(text.contains("- 'on'\n") && text.contains("- 'off'\n"), "{text}");
        for word in BOOLEANS_OF_YAML_1_1 {
            assert!(!text.lines().any(|line| line.trim() == format!("- {word}")), "{word} is not quoted");
        }
    }

    /// `kubectl apply` keeps the whole object, as JSON, in an annotation of at most 256 KiB.
    #[test]
    fn the_definition_fits_into_kubectl_apply() {
        assert!(serde_json::to_vec(&definition(Definition::Tezossigners).unwrap()).unwrap().len() < 64 * 1024);
        assert_eq!(helm_template().unwrap().matches("{{").count(), 2, "a description must not look like a template");
    }
}
