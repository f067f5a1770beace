//! A process of its own for a test of the library. A PKCS#11 library exists once in a process, and it and the Kubernetes client
//! read the environment: tests that share a process could not have a token and an API server each.

use crate::home::Home;
use std::any::type_name_of_val;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

const HOME: &str = "TEZOS_SIGNER_TEST_HOME";

/// Nothing that is tested takes half as long.
const LIMIT: Duration = Duration::from_secs(30);

/// Runs `test`, a closure in a `#[test]` function, in a process where `SOFTHSM2_CONF` names the token of a [`Home`], and
/// `KUBECONFIG` a file `kubeconfig` in it that the test may write.
pub(crate) fn in_own_process<F: Future<Output = ()>>(test: impl FnOnce(Home) -> F) {
    if let Some(path) = std::env::var_os(HOME) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let test = test(Home::of_parent(PathBuf::from(path)));
        return runtime.block_on(async { tokio::time::timeout(LIMIT, test).await.expect("the test took too long") });
    }
    let home = Home::new();
    let name = type_name_of_val(&test);
    let name = name.strip_prefix("signer::").and_then(|name| name.strip_suffix("::{{closure}}")).expect(name);
    let ended = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--include-ignored", "--nocapture"])
        .env(HOME, &home.path)
        .env("SOFTHSM2_CONF", home.softhsm_conf())
        .env("KUBECONFIG", home.path.join("kubeconfig"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ended.stdout) + String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success() && said.contains("1 passed"), "{said}");
    for skipped in said.lines().filter(|line| line.starts_with("SKIPPED")) {
        // Past the capture of the test's output.
        let _ = writeln!(std::io::stderr(), "{skipped}");
    }
}
