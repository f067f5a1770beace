//! Which cluster is asked, and in whose name: the options that kubectl has for it, and its kubeconfig.

use super::Cluster;
use crate::error::PluginError;
use crate::user_agent::USER_AGENT;
use clap::Args;
use hyper::header::{HeaderValue, USER_AGENT as USER_AGENT_HEADER};
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};
use std::path::PathBuf;

/// The group that may change what admission policies guard. Nobody is a member of it.
const BREAK_GLASS: &str = "tezos-signer:break-glass";

/// The options by which kubectl finds a cluster.
#[derive(Args)]
#[command(next_help_heading = "Cluster")]
pub(crate) struct ConnectionArguments {
    /// The kubeconfig. Default: the variable KUBECONFIG, else ~/.kube/config.
    #[arg(long, global = true, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig. Default: its current context.
    #[arg(long, global = true, value_name = "NAME")]
    context: Option<String>,
    /// The namespace of the TezosSigners. Default: that of the context.
    #[arg(short, long, global = true, value_name = "NAME")]
    namespace: Option<String>,
    /// Ask in the name of this user.
    #[arg(long = "as", global = true, value_name = "USER")]
    impersonate: Option<String>,
    /// Ask as a member of this group too. May be repeated.
    #[arg(long = "as-group", global = true, value_name = "GROUP", requires = "impersonate")]
    impersonate_groups: Vec<String>,
}

impl ConnectionArguments {
    /// A client for that cluster. Nothing is asked yet.
    pub(crate) async fn connect(&self) -> Result<Cluster, PluginError> {
        let mut config = self.config().await.map_err(PluginError::Kubeconfig)?;
        config.headers.push((USER_AGENT_HEADER, HeaderValue::from_static(USER_AGENT)));
        if let Some(user) = &self.impersonate {
            config.auth_info.impersonate = Some(user.clone());
            config.auth_info.impersonate_groups =
                (!self.impersonate_groups.is_empty()).then(|| self.impersonate_groups.clone());
        }
        let namespace = self.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
        let client = Client::try_from(config).map_err(|error| PluginError::Client(Box::new(error)))?;
        Ok(Cluster { client, namespace })
    }

    /// The same cluster, in the name of the same user as a member of the group that may change what admission policies guard.
    pub(crate) async fn connect_with_break_glass(&self, cluster: &Cluster) -> Result<Cluster, PluginError> {
        let mut config = self.config().await.map_err(PluginError::Kubeconfig)?;
        config.headers.push((USER_AGENT_HEADER, HeaderValue::from_static(USER_AGENT)));
        let user = match &self.impersonate {
            Some(user) => user.clone(),
            None => cluster.user().await?,
        };
        config.auth_info.impersonate = Some(user);
        let groups = self.impersonate_groups.iter().cloned().chain([BREAK_GLASS.to_owned()]);
        config.auth_info.impersonate_groups = Some(groups.collect());
        let client = Client::try_from(config).map_err(|error| PluginError::Client(Box::new(error)))?;
        Ok(Cluster { client, namespace: cluster.namespace.clone() })
    }

    async fn config(&self) -> Result<Config, KubeconfigError> {
        let options = KubeConfigOptions { context: self.context.clone(), ..KubeConfigOptions::default() };
        let kubeconfig = match &self.kubeconfig {
            Some(file) => Kubeconfig::read_from(file)?,
            None => match Kubeconfig::read() {
                // In a pod, as kubectl does.
                Err(error) if self.context.is_none() => return Config::incluster().map_err(|_| error),
                read => read?,
            },
        };
        Config::from_custom_kubeconfig(kubeconfig, &options).await
    }
}
