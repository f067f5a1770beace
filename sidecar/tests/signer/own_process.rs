//! A process of its own for a test of the library. A PKCS#11 library exists once in a process, and it and the Kubernetes client
//! read the environment: tests that share a process could not have a token and an API server each.

use crate::test_env::TestEnv;
use std::any::type_name_of_val;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

const TEST_ENV: &str = "TEZOS_SIGNER_TEST_ENV";

/// Nothing that is tested takes half as long.
const LIMIT: Duration = Duration::from_secs(30);

/// Runs `test`, a closure in a `#[test]` function, in a process where `SOFTHSM2_CONF` names the token of a [`TestEnv`], and
/// `KUBECONFIG` a file `kubeconfig` in it that the test may write. A `FaultyModule` may be put in front of the token.
pub(crate) fn in_own_process<F: Future<Output = ()>>(test: impl FnOnce(TestEnv) -> F) {
    if let Some(path) = std::env::var_os(TEST_ENV) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let test = test(TestEnv::from_parent(PathBuf::from(path)));
        return runtime.block_on(async { tokio::time::timeout(LIMIT, test).await.expect("the test took too long") });
    }
    let env = TestEnv::new();
    let name = type_name_of_val(&test);
    let name = name.strip_prefix("signer::").and_then(|name| name.strip_suffix("::{{closure}}")).expect(name);
    let ended = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--include-ignored", "--nocapture"])
        .env(TEST_ENV, &env.path)
        .env("SOFTHSM2_CONF", env.softhsm_conf())
        .env("KUBECONFIG", env.path.join("kubeconfig"))
        .env("PKCS11_FAULTS_CONTROL", env.path.join("faults.json"))
        .output()
        .unwrap();
    let output = String::from_utf8_lossy(&ended.stdout) + String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success() && output.contains("1 passed"), "{output}");
}
