//! The configuration file as a file: read at the start, and again when the process is asked to.

use std::path::{Path, PathBuf};
use tezos_signer_core::config::{ConfigError, SignerConfig};

/// Why it cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigFileError {
    /// It cannot be read.
    #[error("the configuration {path} cannot be read: {source}")]
    Read {
        /// Where it should be.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// It is wrong.
    #[error("the configuration {path} is wrong: {source}")]
    Config {
        /// Where it is.
        path: PathBuf,
        /// The field, the line, and what is wrong.
        source: ConfigError,
    },
}

/// Reads and checks it.
pub fn read(path: &Path) -> Result<SignerConfig, ConfigFileError> {
    let owned = || path.to_owned();
    let text = std::fs::read_to_string(path).map_err(|source| ConfigFileError::Read { path: owned(), source })?;
    SignerConfig::from_yaml(&text).map_err(|source| ConfigFileError::Config { path: owned(), source })
}
