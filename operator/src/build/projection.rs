//! Files of a volume that come from keys of ConfigMaps and Secrets.

use k8s_openapi::api::core::v1::KeyToPath;

/// The mode of the files. Files of Secrets are readable by whoever has the mount, and only the signer's container has it. The alternative, a
/// pod wide fsGroup, would have the kubelet change the group of the baker's own data as well.
pub(super) const READABLE: i32 = 0o444;

/// One key of a ConfigMap or a Secret, as a file.
pub(super) fn item(key: &str, path: &str) -> KeyToPath {
    KeyToPath { key: key.to_owned(), path: path.to_owned(), mode: None }
}
