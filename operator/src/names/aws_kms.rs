//! The names of what AWS KMS adds to the pod.

pub(crate) const CREDENTIALS_VOLUME: &str = "signer-aws-credentials";

/// Where the signer finds the shared credentials file, if it comes from a Secret.
pub const CREDENTIALS_FILE: &str = "/run/secrets/aws/credentials";
