//! The PKCS#11 module of `e2e/pkcs11-faults` between a test environment's signer and its SoftHSM2 token, and its control file.

use crate::process::Signer;
use crate::test_env::{CommandResult, TestEnv};
use pkcs11_faults::control::{Control, State};
use std::path::PathBuf;

pub(crate) struct FaultyModule {
    control: PathBuf,
}

impl FaultyModule {
    /// Puts it in front of the token of `env`; nothing goes wrong yet.
    pub(crate) fn install(env: &TestEnv) -> Self {
        // Cargo builds it for the tests, and puts it beside their program.
        let module = std::env::current_exe().unwrap().with_file_name("libpkcs11_faults.so");
        assert!(module.exists(), "{} is not there", module.display());
        env.edit_config("/usr/lib/softhsm/libsofthsm2.so", module.to_str().unwrap());
        let faulty = Self { control: env.path.join("faults.json") };
        faulty.set(&Control::default());
        faulty
    }

    /// The signer of `env` with it.
    pub(crate) fn start(&self, env: &TestEnv) -> Signer {
        let (name, value) = self.environment();
        Signer::start_with(env, &[(name, &value)])
    }

    /// What tells it of its control file.
    pub(crate) fn environment(&self) -> (&'static str, String) {
        ("PKCS11_FAULTS_CONTROL", self.control.to_str().unwrap().to_owned())
    }

    /// Runs a command of `env` with it.
    pub(crate) fn run(&self, env: &TestEnv, arguments: &[&str]) -> CommandResult {
        let mut command = env.command();
        command.env("PKCS11_FAULTS_CONTROL", &self.control);
        command.args(arguments).arg("--config").arg(env.config_file()).output().unwrap().into()
    }

    /// From now on this goes wrong, and nothing else.
    pub(crate) fn set(&self, control: &Control) {
        control.write(&self.control).unwrap();
    }

    /// What it has seen.
    pub(crate) fn state(&self) -> State {
        State::read(&self.control)
    }
}
