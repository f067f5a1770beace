//! Several signer processes with one token, and with records in a namespace of the real API server: what the pods of one
//! TezosSigner are.

use crate::api_server::{self, ApiServer};
use crate::faulty_module::FaultyModule;
use crate::process::{Answer, Signer, wait_for};
use crate::test_env::{CommandResult, FLOOR, TestEnv};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::Duration;
use tezos_signer_core::config::KeyConfig;
use tezos_signer_core::record::{HOLDER_ADDRESS_ANNOTATION, LEASE_ANNOTATION, Lease};
use tokio::runtime::{Builder, Runtime};

/// The shortest that there is.
pub(crate) const LEASE: Duration = Duration::from_secs(3);

pub(crate) struct Replicas {
    pub(crate) env: TestEnv,
    runtime: Runtime,
    server: ApiServer,
}

/// One of them. Its name is its pod's UID.
pub(crate) struct Replica {
    pub(crate) name: String,
    pub(crate) env: TestEnv,
    pub(crate) signer: Signer,
}

impl Replicas {
    /// Their records start above [`FLOOR`].
    pub(crate) fn new() -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let server = runtime.block_on(ApiServer::with_namespace(api_server::named()));
        let env = TestEnv::without_records();
        server.offer(&env);
        env.set_config(json!({
            "watermarks": {"configMap": {"namespace": server.namespace, "leaseDurationSeconds": LEASE.as_secs()}},
            "peer": {"listen": "127.0.0.1:0"},
        }));
        let replicas = Self { env, runtime, server };
        let initialise = ["watermarks", "initialise", "--level", &FLOOR.to_string()];
        replicas.run(&replicas.env, &initialise).succeeded();
        replicas
    }

    /// The directory of a replica, with a configuration like that of all now.
    pub(crate) fn env_of(&self, name: &str) -> TestEnv {
        let env = TestEnv::from_parent(self.env.path.join(name));
        std::fs::create_dir_all(&env.path).unwrap();
        std::fs::copy(self.env.softhsm_conf(), env.softhsm_conf()).unwrap();
        std::fs::copy(self.env.config_file(), env.config_file()).unwrap();
        env.set_config(json!({"audit": {"file": env.path.join("audit.log")}}));
        env
    }

    /// Starts one, and waits until it is ready.
    pub(crate) fn start(&self, name: &str) -> Replica {
        let replica = self.start_unready(self.env_of(name), name, None);
        wait_for("/readyz", || (replica.signer.admin("/readyz").status == 200).then_some(()));
        replica
    }

    /// Starts one in `env`, and waits until it listens.
    pub(crate) fn start_unready(&self, env: TestEnv, name: &str, module: Option<&FaultyModule>) -> Replica {
        let kubeconfig = self.kubeconfig();
        let mut environment =
            vec![("POD_UID", name), ("POD_IP", "127.0.0.1"), ("KUBECONFIG", kubeconfig.to_str().unwrap())];
        let faults = module.map(FaultyModule::environment);
        environment.extend(faults.as_ref().map(|(name, value)| (*name, value.as_str())));
        let signer = Signer::start_with(&env, &environment);
        Replica { name: name.to_owned(), env, signer }
    }

    fn kubeconfig(&self) -> PathBuf {
        self.env.path.join("kubeconfig")
    }

    /// Runs a command with the configuration in `env` to its end.
    pub(crate) fn run(&self, env: &TestEnv, arguments: &[&str]) -> CommandResult {
        let mut command = env.command();
        command.env("KUBECONFIG", self.kubeconfig()).args(arguments);
        command.arg("--config").arg(env.config_file()).output().unwrap().into()
    }

    fn records(&self) -> Api<ConfigMap> {
        self.runtime.block_on(self.server.config_maps())
    }

    pub(crate) fn record(&self, key: &KeyConfig) -> ConfigMap {
        self.runtime.block_on(self.records().get(key.record_name().as_str())).unwrap()
    }

    pub(crate) fn row(&self, key: &KeyConfig, row: &str) -> String {
        self.record(key).data.unwrap()[row].clone()
    }

    pub(crate) fn lease(&self, key: &KeyConfig) -> Lease {
        Lease::from_annotations(&self.record(key).metadata.annotations.unwrap_or_default()).unwrap()
    }

    /// Who serves the key; empty when nobody does.
    pub(crate) fn holder(&self, key: &KeyConfig) -> String {
        self.lease(key).holder_identity
    }

    /// Makes somebody the holder by hand.
    pub(crate) fn name_holder(&self, key: &KeyConfig, holder: &str, address: Option<&str>) {
        let lease =
            json!({"holderIdentity": holder, "leaseDurationSeconds": 60, "acquireTime": null, "renewTime": null,
            "leaderTransitions": 1})
            .to_string();
        let patch = json!({"metadata": {"annotations": {LEASE_ANNOTATION: lease, HOLDER_ADDRESS_ANNOTATION: address}}});
        let (api, name) = (self.records(), key.record_name());
        let parameters = PatchParams::default();
        self.runtime.block_on(api.patch(name.as_str(), &parameters, &Patch::Merge(patch))).unwrap();
    }
}

impl Replica {
    /// The lines of its audit log that say what became of a request.
    pub(crate) fn outcomes(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.env.path.join("audit.log")).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.filter(|line| line["event"] == "outcome").collect()
    }

    pub(crate) fn forwarded(&self, outcome: &str) -> u64 {
        self.signer.metric(&format!("tezos_signer_forwarded_total{{outcome=\"{outcome}\"}}")).unwrap()
    }

    /// Asks as Octez' client does: again after 502, ten times in all, and after nothing else. Nothing where the connection broke,
    /// which is a lost signature.
    pub(crate) fn ask_as_octez(&self, key: &KeyConfig, payload: &[u8]) -> Option<Answer> {
        for attempt in 0.. {
            let answer = self.signer.try_sign(key, payload)?;
            if answer.status != 502 || attempt == 9 {
                return Some(answer);
            }
            std::thread::sleep(Duration::from_millis(100 * attempt));
        }
        None
    }
}
