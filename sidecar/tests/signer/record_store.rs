//! The records of one signing process, where operators of both kinds have them: a directory of a host, or a namespace of an API
//! server, which stands for a cluster of its own. Edited there as a person edits it.

use crate::api_server::{self, ApiServer};
use crate::test_env::TestEnv;
use serde_json::{Value, json};
use tezos_signer_core::config::KeyConfig;
use tokio::runtime::Runtime;

pub(crate) enum RecordStore {
    Directory,
    Namespace(Box<ApiServer>, Runtime),
}

/// Runs a test with directories, and with namespaces where there is an API server.
pub(crate) fn on_each_kind(test: impl Fn(&dyn Fn(&TestEnv) -> RecordStore)) {
    test(&|_| RecordStore::Directory);
    test(&RecordStore::namespace);
}

impl RecordStore {
    /// A namespace of its own, which becomes the store of `env`.
    fn namespace(env: &TestEnv) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let server = runtime.block_on(ApiServer::with_namespace(api_server::named()));
        server.offer(env);
        env.set_config(json!({"watermarks": {"configMap": {"namespace": server.namespace}}}));
        Self::Namespace(Box::new(server), runtime)
    }

    /// Sets rows by hand, past the signer's own commands; `null` takes one out.
    pub(crate) fn edit(&self, env: &TestEnv, key: &KeyConfig, data: Value) {
        match self {
            Self::Directory => {
                let path = env.record_file(key);
                let mut rows = env.rows(key);
                for (row, text) in data.as_object().unwrap() {
                    rows.insert(row.clone(), text.clone());
                }
                rows.retain(|_, text| !text.is_null());
                // As an editor does that replaces the file.
                let new = path.with_extension("edited");
                std::fs::write(&new, Value::Object(rows).to_string()).unwrap();
                std::fs::rename(new, path).unwrap();
            }
            Self::Namespace(server, runtime) => {
                runtime.block_on(server.patch_data(key.record_name().as_str(), data));
            }
        }
    }
}
