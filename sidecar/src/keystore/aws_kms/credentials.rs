//! AWS credentials, kept fresh beside the signing path: a request finds them loaded, and an outage of whoever issues them costs nothing
//! while the last ones are valid.

use super::error::{KmsError, cause_chain};
use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, future};
use aws_runtime::env_config::file::{EnvConfigFileKind, EnvConfigFiles};
use aws_sdk_kms::config::{Region, SharedHttpClient};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tezos_signer_core::cause::Cause;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

/// The longest that loading may take. An instance's metadata service that is not there is given up by then.
const LOAD: Duration = Duration::from_secs(10);

/// How long before their end credentials are replaced; those that are short-lived at half of their time.
const MARGIN: Duration = Duration::from_mins(5);

/// How often credentials without an end are looked at again: a person may have replaced the file.
const LOOK: Duration = Duration::from_mins(1);

/// Between two attempts, at least and at most.
const PAUSE: Duration = Duration::from_millis(500);
const LONG_PAUSE: Duration = Duration::from_secs(5);

/// Where credentials come from.
pub(super) struct Source {
    pub(super) region: Region,
    pub(super) file: Option<PathBuf>,
    pub(super) http_client: SharedHttpClient,
}

impl Source {
    /// Loads anew: the providers of the SDK remember what they have read of files.
    async fn load(&self) -> Result<Credentials, Cause> {
        let config = ProviderConfig::without_region()
            .with_region(Some(self.region.clone()))
            .with_http_client(self.http_client.clone());
        let loading = async {
            let Some(file) = &self.file else {
                let chain = DefaultCredentialsChain::builder().configure(config).region(self.region.clone());
                return chain.build().await.provide_credentials().await;
            };
            let files = EnvConfigFiles::builder().with_file(EnvConfigFileKind::Credentials, file).build();
            let provider = ProfileFileCredentialsProvider::builder()
                .configure(&config)
                .profile_files(files)
                .profile_name("default")
                .build();
            provider.provide_credentials().await
        };
        match tokio::time::timeout(LOAD, loading).await {
            Ok(Ok(credentials)) if is_over(&credentials) => Err("those that were loaded have expired".into()),
            Ok(Ok(credentials)) => Ok(credentials),
            Ok(Err(error)) => Err(self.explained(error)),
            Err(_) => Err(format!("they could not be loaded within {} s", LOAD.as_secs()).into()),
        }
    }

    fn explained(&self, error: CredentialsError) -> Cause {
        let file = self.file.clone();
        cause_chain(error).map_text(|text| match file {
            Some(file) => format!("{}: {text}", file.display()),
            None => text.to_owned(),
        })
    }
}

fn is_over(credentials: &Credentials) -> bool {
    credentials.expiry().is_some_and(|expiry| expiry <= SystemTime::now())
}

/// After how long these credentials are to be replaced.
fn lifetime(credentials: &Credentials) -> Duration {
    let Some(expiry) = credentials.expiry() else { return LOOK };
    let left = expiry.duration_since(SystemTime::now()).unwrap_or_default();
    left.saturating_sub(MARGIN.min(left / 2)).max(PAUSE)
}

/// What is known now.
#[derive(Default)]
struct State {
    credentials: Option<Credentials>,
    /// Why the last attempt to load them failed.
    problem: Option<Cause>,
}

impl State {
    fn valid(&self) -> Option<&Credentials> {
        self.credentials.as_ref().filter(|credentials| !is_over(credentials))
    }
}

/// The credentials of this process, which a task of its own replaces in time. Dropped, the task ends.
pub(super) struct KeptCredentials {
    state: watch::Receiver<State>,
    renew: Arc<Notify>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for KeptCredentials {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Without the credentials.
impl std::fmt::Debug for KeptCredentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeptCredentials")
    }
}

impl KeptCredentials {
    /// Begins to load them.
    pub(super) fn start(source: Source) -> Self {
        let (sender, state) = watch::channel(State::default());
        let renew = Arc::new(Notify::new());
        let task = tokio::spawn(keep(source, sender, renew.clone()));
        Self { state, renew, task }
    }

    /// Waits until there are valid ones, or it is known why not.
    pub(super) async fn ready(&self, deadline: Instant) -> Result<(), KmsError> {
        let mut state = self.state.clone();
        let known = state.wait_for(|state| state.valid().is_some() || state.problem.is_some());
        match tokio::time::timeout_at(deadline, known).await {
            Ok(Ok(state)) if state.valid().is_some() => Ok(()),
            Ok(Ok(state)) => Err(KmsError::NoCredentials(state.problem.clone().unwrap_or_else(|| "none".into()))),
            Ok(Err(_)) => Err(KmsError::Ending),
            Err(_) => Err(KmsError::NoCredentials("they are still being loaded".into())),
        }
    }

    /// AWS does not accept these any more: loads new ones soon.
    pub(super) fn renew(&self) {
        self.renew.notify_one();
    }
}

/// A newtype, because the SDK's trait is not implemented for what is shared.
#[derive(Debug, Clone)]
pub(super) struct Provider(pub(super) Arc<KeptCredentials>);

impl ProvideCredentials for Provider {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        let valid = self.0.state.borrow().valid().cloned();
        future::ProvideCredentials::ready(valid.ok_or_else(|| CredentialsError::not_loaded("there are none")))
    }
}

/// Loads, and loads again in time, for ever.
async fn keep(source: Source, state: watch::Sender<State>, renew: Arc<Notify>) {
    let mut pause = PAUSE;
    loop {
        let wait = match source.load().await {
            Ok(credentials) => {
                if state.borrow().problem.is_some() {
                    tracing::info!("the AWS credentials are loaded again");
                }
                pause = PAUSE;
                let wait = lifetime(&credentials);
                state.send_replace(State { credentials: Some(credentials), problem: None });
                wait
            }
            Err(problem) => {
                if state.borrow().problem.as_ref() != Some(&problem) {
                    tracing::warn!(reason = %problem, "the AWS credentials could not be loaded");
                }
                state.send_modify(|state| state.problem = Some(problem));
                let wait = pause;
                pause = (pause * 2).min(LONG_PAUSE);
                wait
            }
        };
        tokio::time::sleep(wait.min(PAUSE)).await;
        tokio::select! {
            () = tokio::time::sleep(wait.saturating_sub(PAUSE)) => {}
            () = renew.notified() => {}
        }
    }
}
