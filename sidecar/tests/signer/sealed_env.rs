//! A test environment whose keys are the two tz4 keys of `core/tests/vectors/tz4.json`, sealed by its token through the faulty module. Octez'
//! own signer has made the signatures there.

use crate::faulty_module::FaultyModule;
use crate::process::Signer;
use crate::test_env::TestEnv;
use pkcs11_faults::control::Control;
use serde_json::{Value, json};
use std::io::Write as _;
use std::process::{Command, Stdio};
use tezos_signer_core::config::KeyConfig;

/// Below the levels of the vectors, which begin at 15181990.
pub(crate) const LEVEL: &str = "15181000";

pub(crate) const SEALING: &str = "sealing";

pub(crate) struct SealedEnv {
    pub(crate) env: TestEnv,
    pub(crate) module: FaultyModule,
}

pub(crate) fn vectors() -> Value {
    serde_json::from_str(include_str!("../../../core/tests/vectors/tz4.json")).unwrap()
}

/// `secretKey`, `publicKey` and so on of a key of the vectors.
pub(crate) fn key_of(name: &str) -> Value {
    vectors()["keys"].as_array().unwrap().iter().find(|key| key["name"] == name).unwrap().clone()
}

/// The payload, and what Octez' signer has answered.
pub(crate) fn signed(key: &str, what: &str) -> (Vec<u8>, String) {
    let vectors = vectors();
    let all = vectors["signatures"].as_array().unwrap();
    let found = all.iter().find(|signed| signed["key"] == key && signed["what"] == what).unwrap();
    let payload = hex::decode(found["payload"].as_str().unwrap()).unwrap();
    (payload, found["signatures"]["absent"].as_str().unwrap().to_owned())
}

impl SealedEnv {
    /// With keys that were sealed under `control`, and records.
    pub(crate) fn new(control: &Control) -> Self {
        let sealed = Self::without_keys(control);
        let keys = ["consensus", "companion"].map(|name| {
            let made = sealed.seal(key_of(name)["secretKey"].as_str().unwrap());
            assert_eq!(made["publicKeyHash"], key_of(name)["publicKeyHash"]);
            json!({
                "publicKey": made["publicKey"], "sealed": made["sealed"], "chain": "NetXdQprcVkpaWU",
                "companion": name == "companion", "allowProofOfPossession": name == "consensus",
            })
        });
        sealed.env.set_config(json!({"keys": keys, "sealedCheckSeconds": 1, "sealedGraceSeconds": 60}));
        sealed.run(&["watermarks", "initialise", "--level", LEVEL]).succeeded();
        sealed
    }

    /// With a sealing key only.
    pub(crate) fn without_keys(control: &Control) -> Self {
        let env = TestEnv::without_keys();
        let module = FaultyModule::install(&env);
        module.set(control);
        let sealed = Self { env, module };
        sealed.run(&["keys", "generate-sealing-key", "--label", SEALING]).succeeded();
        sealed
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> crate::test_env::CommandResult {
        self.module.run(&self.env, arguments)
    }

    /// Seals a secret that comes by standard input.
    pub(crate) fn seal(&self, secret: &str) -> Value {
        serde_json::from_str(&self.try_seal(SEALING, secret).succeeded()).unwrap()
    }

    pub(crate) fn try_seal(&self, with: &str, secret: &str) -> crate::test_env::CommandResult {
        let (name, value) = self.module.environment();
        let mut command = self.env.command();
        command.env(name, value).args(["keys", "seal", "--seal-with", with, "--secret-key", "-", "--output", "json"]);
        command.arg("--config").arg(self.env.config_file());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(format!("{secret}\n").as_bytes()).unwrap();
        child.wait_with_output().unwrap().into()
    }

    /// Starts, and waits until it can sign.
    pub(crate) fn start(&self) -> Signer {
        let signer = self.module.start(&self.env);
        crate::process::wait_for("/startupz", || (signer.admin("/startupz").status == 200).then_some(()));
        signer
    }

    pub(crate) fn consensus(&self) -> KeyConfig {
        self.env.config().keys[0].clone()
    }

    /// Gives the token's user another PIN.
    pub(crate) fn change_pin(&self, from: &str, to: &str) {
        let changed = Command::new("pkcs11-tool")
            .args(["--module", crate::test_env::SOFTHSM, "--token-label", "test", "--login", "--pin", from])
            .args(["--change-pin", "--new-pin", to])
            .env("SOFTHSM2_CONF", self.env.softhsm_conf())
            .output()
            .unwrap();
        assert!(changed.status.success(), "{}", String::from_utf8_lossy(&changed.stderr));
    }
}
