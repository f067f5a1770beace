//! What one signature costs by the keystore: a SoftHSM2 token, its threads, and the verification of what it returned. `make bench-rust` runs it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a benchmark ends where a test would")]

use divan::Bencher;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use tezos_signer::keystore::Keystore as _;
use tezos_signer::keystore::pkcs11::{Hsm, HsmMetrics, generate};
use tezos_signer_core::config::{
    DEFAULT_EXIT_AFTER_HANG_SECONDS, DEFAULT_EXIT_AFTER_SECONDS, HsmConfig, KeyConfig, KeySelector, KeySource,
    TokenSelector,
};
use tezos_signer_core::key::{ChainId, Curve, Message};
use tokio::time::Instant;

/// The directory of the token. SoftHSM2 reads its own variable before it is asked anything, so the benchmark runs in a child process.
const DIRECTORY: &str = "BENCH_TOKEN_DIRECTORY";
const PIN: &str = "12345678";
const DEADLINE: Duration = Duration::from_secs(10);

fn main() {
    if std::env::var_os(DIRECTORY).is_some() {
        return divan::main();
    }
    let directory = tempfile::tempdir().unwrap();
    let conf = directory.path().join("softhsm2.conf");
    std::fs::write(&conf, format!("directories.tokendir = {}\nlog.level = ERROR\n", directory.path().display()))
        .unwrap();
    std::fs::write(directory.path().join("pin"), PIN).unwrap();
    let made = Command::new("softhsm2-util")
        .args(["--init-token", "--free", "--label", "bench", "--so-pin", PIN, "--pin", PIN])
        .env("SOFTHSM2_CONF", &conf)
        .output()
        .expect("softhsm2-util of the Debian package softhsm2");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let benchmark = Command::new(std::env::current_exe().unwrap())
        .args(std::env::args_os().skip(1))
        .env("SOFTHSM2_CONF", &conf)
        .env(DIRECTORY, directory.path())
        .status();
    assert!(benchmark.unwrap().success());
}

fn config() -> HsmConfig {
    let directory = std::env::var_os(DIRECTORY).unwrap();
    HsmConfig {
        module: "/usr/lib/softhsm/libsofthsm2.so".into(),
        token: TokenSelector::Label("bench".to_owned()),
        pin_file: Path::new(&directory).join("pin"),
        sessions: 2,
        exit_after: Duration::from_secs(DEFAULT_EXIT_AFTER_SECONDS.into()),
        exit_after_hang: Duration::from_secs(DEFAULT_EXIT_AFTER_HANG_SECONDS.into()),
        eddsa_mechanism: None,
    }
}

/// From the request to the verified signature.
#[divan::bench(args = [Curve::P256, Curve::Secp256k1], sample_count = 50)]
fn sign(bencher: Bencher<'_, '_>, curve: Curve) {
    let (config, label) = (config(), format!("{curve:?}"));
    let entry = generate(&config, &label, curve).unwrap();
    let key = KeyConfig::new(entry.public_key, KeySource::Pkcs11(KeySelector::Label(label)), ChainId::MAINNET);
    let hsm = Hsm::start(&config, std::slice::from_ref(&key), HsmMetrics::new().unwrap()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let message = Message::new(b"a payload");
    let sign = || runtime.block_on(hsm.sign(key.hash(), &message, Instant::now() + DEADLINE)).unwrap();
    // The threads have opened their sessions when the first signature is there.
    sign();
    bencher.bench_local(sign);
    assert!(runtime.block_on(hsm.stop(DEADLINE)), "a thread of the token has not ended");
}
