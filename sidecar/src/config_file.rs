//! Reads the configuration file, at the start and on a reload.

use crate::file_permissions;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use tezos_signer_core::config::{ConfigError, SignerConfig};
use tezos_signer_core::text::{self, TextError};

/// Why the configuration file cannot be used. It helps to change the file, and to start or reload again.
#[derive(Debug, thiserror::Error)]
pub enum ConfigFileError {
    /// The file cannot be read: check its path and its permissions.
    #[error("the configuration {path} cannot be read: {source}")]
    Read {
        /// Where it should be.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The file is not UTF-8.
    #[error("the configuration {path} is invalid: {source}")]
    Text {
        /// The path of the configuration file.
        path: PathBuf,
        /// What it is instead.
        source: TextError,
    },
    /// The file is no configuration: the message has the field, and where there is one, the line.
    #[error("the configuration {path} is invalid: {source}")]
    Config {
        /// The path of the configuration file.
        path: PathBuf,
        /// The field, the line, and what is wrong.
        source: ConfigError,
    },
}

/// A configuration, and the file that it was read from.
#[derive(Debug, Clone)]
pub struct ConfigFile {
    /// The parsed configuration.
    pub config: SignerConfig,
    /// Where it is, and whether others can change it.
    pub file: file_permissions::File,
}

/// Reads and checks it. Whether others can change it is asked of the handle that is read: its path may name another file a moment later.
pub fn read(path: &Path) -> Result<ConfigFile, ConfigFileError> {
    let failed = |source| ConfigFileError::Read { path: path.to_owned(), source };
    let mut handle = File::open(path).map_err(failed)?;
    let file = file_permissions::config_file(path, &handle.metadata().map_err(failed)?);
    let mut bytes = Vec::new();
    handle.read_to_end(&mut bytes).map_err(failed)?;
    let text = text::of_bytes(bytes).map_err(|source| ConfigFileError::Text { path: path.to_owned(), source })?;
    let config =
        SignerConfig::from_yaml(&text).map_err(|source| ConfigFileError::Config { path: path.to_owned(), source })?;
    Ok(ConfigFile { config, file })
}
