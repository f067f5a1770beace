//! SIGHUP: the configuration file is read and validated again, and applied completely or not at all. Keys, their policies and
//! their authorized clients change without a restart; other changes are reported as needing a restart, and nothing is
//! changed.
//!
//! No request is dropped: earlier requests are answered with the previous configuration, and a new key must make a trial
//! signature before it is served.

use crate::chain_check;
use crate::config_file::{self, ConfigFile, ConfigFileError};
use crate::file_permissions;
use crate::file_permissions::Exposure;
use crate::keyring::registry::Records;
use crate::keystore::KeystoreError;
use crate::records::session::RecordSessionError;
use crate::signing::Signer;
use crate::systemd;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tezos_signer_core::config::{KeyConfig, SignerConfig};
use tezos_signer_core::key::PublicKeyHash;
use tokio::signal::unix::Signal;
use tokio::sync::watch;
use tokio::time::Instant;

/// How long the record of a new key may take to be read, or the token to sign with it.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why the configuration stays as it was. A reload helps once the file is changed, or the record or the HSM can be used.
#[derive(Debug, thiserror::Error)]
enum ReloadError {
    #[error(transparent)]
    File(#[from] ConfigFileError),
    /// Checked as at the start: whoever can change the file decides what is signed.
    #[error("{0}")]
    Exposed(#[source] Exposure),
    #[error("{} cannot change while the signer runs: restart the signer, or revert the change", .0.join(", "))]
    NeedsRestart(Vec<&'static str>),
    #[error("keys is empty in the configuration: there is nothing to sign with")]
    NoKeys,
    #[error("cannot add key {key}: {source}")]
    Record { key: PublicKeyHash, source: RecordSessionError },
    #[error("cannot add key {key}: the trial signature failed: {source}")]
    Keystore { key: PublicKeyHash, source: KeystoreError },
}

/// The configuration of this process, and where its next one is read.
pub(crate) struct Reload {
    path: PathBuf,
    config: SignerConfig,
    records: Records,
    signer: Arc<Signer>,
    refusal: watch::Sender<Option<String>>,
    /// Keys that were taken out a moment ago.
    leaving: Vec<KeyConfig>,
}

impl Reload {
    /// Of a process that serves by `config`, which was read from `path`.
    pub(crate) fn new(path: PathBuf, config: SignerConfig, records: Records, signer: Arc<Signer>) -> Self {
        Self { path, config, records, signer, refusal: watch::Sender::new(None), leaving: Vec::new() }
    }

    /// Why the file was rejected at the last reload, if it was.
    pub(crate) fn refusal(&self) -> watch::Receiver<Option<String>> {
        self.refusal.subscribe()
    }

    /// Reloads the file at each `hangup`. Never returns.
    pub(crate) async fn at_each(mut self, mut hangup: Signal) {
        // When nothing is in flight any more for keys that were taken out.
        let mut settled: Option<Instant> = None;
        loop {
            tokio::select! {
                _ = hangup.recv() => {
                    systemd::reloading();
                    let reloaded = self.reload().await;
                    if matches!(reloaded, Ok(true)) {
                        settled = Some(Instant::now() + self.signer.request_deadline());
                    }
                    self.report(&reloaded);
                }
                () = async { tokio::time::sleep_until(settled.unwrap_or_else(Instant::now)).await }, if settled.is_some() => {
                    self.settle();
                    settled = None;
                }
            }
        }
    }

    /// Whether anything has changed.
    async fn reload(&mut self) -> Result<bool, ReloadError> {
        let ConfigFile { config: new, file } = config_file::read(&self.path)?;
        if let Some(exposure) =
            file.exposure.filter(|exposure| exposure.is_dangerous && !file_permissions::are_of_a_pod())
        {
            return Err(ReloadError::Exposed(exposure));
        }
        let needs_restart = needs_restart(&self.config, &new);
        if !needs_restart.is_empty() {
            return Err(ReloadError::NeedsRestart(needs_restart));
        }
        if new.keys.is_empty() {
            return Err(ReloadError::NoKeys);
        }
        if new == self.config {
            return Ok(false);
        }
        for key in &new.keys {
            self.try_key(key).await?;
        }

        let comes = |key: &&KeyConfig| !self.config.keys.iter().any(|old| old.record_name() == key.record_name());
        let coming: BTreeSet<_> = new.keys.iter().filter(comes).map(KeyConfig::hash).collect();
        let stays = |old: &KeyConfig| new.keys.iter().any(|new| new.hash() == old.hash());
        self.leaving.extend(self.config.keys.iter().cloned());
        self.leaving.retain(|old| !stays(old));
        tracing::info!(
            keys = new.keys.len(),
            taken_in = ?coming.iter().map(ToString::to_string).collect::<Vec<_>>(),
            taken_out = ?self.leaving.iter().map(|key| key.hash().to_string()).collect::<Vec<_>>(),
            "the configuration was reloaded"
        );
        // What is in flight for a key that leaves may still have to be signed.
        self.signer.keystore().configure(&[&new.keys[..], &self.leaving].concat());
        self.signer.configure(self.records.keys_of(&new));
        self.config = new;
        if let Some(endpoint) = &self.config.node_endpoint {
            let coming = self.signer.keys().filter(|key| coming.contains(&key.config.hash())).collect();
            tokio::spawn(chain_check::compare_all(self.signer.clone(), coming, endpoint.clone()));
        }
        Ok(true)
    }

    /// Whether a key can be signed with that is not so configured yet: its record is there, and the token signs.
    async fn try_key(&mut self, key: &KeyConfig) -> Result<(), ReloadError> {
        let hash = key.hash();
        let deadline = Instant::now() + PATIENCE;
        if !self.config.keys.iter().any(|old| old.record_name() == key.record_name()) {
            let session = self.records.session(&key.record_name());
            let read = async { session.lock(deadline).await?.observe(deadline).await.map(|_| ()) };
            read.await.map_err(|source| ReloadError::Record { key: hash, source })?;
        }
        if !self.config.keys.iter().any(|old| old.hash() == hash && old.source == key.source) {
            let tried = self.signer.keystore().try_candidate(key, deadline).await;
            tried.map_err(|source| ReloadError::Keystore { key: hash, source })?;
        }
        Ok(())
    }

    /// Nothing is in flight any more for keys that were taken out.
    fn settle(&mut self) {
        self.signer.keystore().configure(&self.config.keys);
        for key in std::mem::take(&mut self.leaving) {
            if self.signer.key(&key.hash()).is_none() {
                self.signer.metrics().forget_key(&key.hash());
            }
        }
    }

    fn report(&self, reloaded: &Result<bool, ReloadError>) {
        let result = match reloaded {
            Ok(true) => "applied",
            Ok(false) => {
                tracing::info!("the configuration was reloaded and is unchanged");
                "unchanged"
            }
            Err(error) => {
                tracing::error!(reason = %error, "the changed configuration was rejected; the previous one stays in use");
                "refused"
            }
        };
        self.signer.metrics().reloaded(result);
        systemd::reloaded();
        self.refusal.send_replace(reloaded.as_ref().err().map(ToString::to_string));
    }
}

/// The fields that have changed and cannot while the process runs. Each field is named, so that a new one is not forgotten.
fn needs_restart(old: &SignerConfig, new: &SignerConfig) -> Vec<&'static str> {
    let SignerConfig {
        keys: _,
        authorized_keys: _,
        listen,
        admin,
        request_deadline_milliseconds,
        unix_socket,
        tls,
        peer,
        path_prefix,
        allow_known_keys,
        max_concurrent_requests,
        max_connections,
        keystore,
        sealed,
        node_endpoint,
        audit,
        watermarks,
    } = new;
    let changes = [
        ("listen", *listen != old.listen),
        ("admin", *admin != old.admin),
        ("requestDeadlineMilliseconds", *request_deadline_milliseconds != old.request_deadline_milliseconds),
        ("unixSocket", *unix_socket != old.unix_socket),
        ("tls", *tls != old.tls),
        ("peer", *peer != old.peer),
        ("pathPrefix", *path_prefix != old.path_prefix),
        ("allowKnownKeys", *allow_known_keys != old.allow_known_keys),
        ("maxConcurrentRequests", *max_concurrent_requests != old.max_concurrent_requests),
        ("maxConnections", *max_connections != old.max_connections),
        (old.keystore.field(), *keystore != old.keystore),
        ("sealedGraceSeconds", sealed.grace != old.sealed.grace),
        ("sealedCheckSeconds", sealed.check_period != old.sealed.check_period),
        ("nodeEndpoint", *node_endpoint != old.node_endpoint),
        ("audit", *audit != old.audit),
        ("watermarks", *watermarks != old.watermarks),
    ];
    changes.into_iter().filter_map(|(field, has_changed)| has_changed.then_some(field)).collect()
}
