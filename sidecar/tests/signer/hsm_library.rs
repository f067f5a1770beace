//! PKCS#11 libraries that cannot be used at all: each is a sentence with what to do, and the process lives.

use crate::faulty_module::FaultyModule;
use crate::process::{Signer, wait_for};
use crate::test_env::{SOFTHSM, TestEnv};
use pkcs11_faults::control::{Control, Habits};

/// What `check` says where the library is `module`.
fn check_with(env: &TestEnv, module: &[u8]) -> String {
    let path = env.path.join("library.so");
    std::fs::write(&path, module).unwrap();
    env.set_hsm("module", path.to_str().unwrap());
    env.run(&["check"]).failed()
}

#[test]
fn a_library_that_is_missing_or_none_is_named() {
    let env = TestEnv::new();
    env.set_hsm("module", "/usr/lib/none.so");
    let said = env.run(&["check"]).failed();
    assert!(said.contains("/usr/lib/none.so cannot be loaded") && said.contains("check hsm.module"), "{said}");
    let said = check_with(&env, b"<html>404</html>");
    assert!(said.contains("library.so cannot be loaded") && said.contains("check hsm.module"), "{said}");
    // The C library is no PKCS#11 library.
    env.set_hsm("module", "libc.so.6");
    let said = env.run(&["check"]).failed();
    assert!(said.contains("hsm.module is no PKCS#11 library"), "{said}");
}

#[test]
fn a_library_for_a_newer_c_library_is_told_apart() {
    let env = TestEnv::new();
    let mut library = std::fs::read(SOFTHSM).unwrap();
    let at = library.windows(8).position(|bytes| bytes == b"GLIBC_2.").unwrap();
    library[at + 6] = b'9';
    let said = check_with(&env, &library);
    assert!(
        said.contains("GLIBC_9.") && said.contains("it was built for a newer C library than this system has"),
        "{said}"
    );
}

#[test]
fn a_library_without_its_configuration_gets_advice() {
    let env = TestEnv::new();
    let mut command = env.command();
    command.env("SOFTHSM2_CONF", "/nowhere/softhsm2.conf");
    let said = command.arg("check").arg("--config").arg(env.config_file()).output().unwrap();
    let said = String::from_utf8(said.stdout).unwrap();
    assert!(said.contains("C_Initialize returned CKR_GENERAL_ERROR: check that the HSM is reachable"), "{said}");
    assert!(said.contains("SOFTHSM2_CONF"), "{said}");
}

/// It ended the process with SIGSEGV.
#[test]
fn a_library_without_a_function_list_ends_no_process() {
    let env = TestEnv::new();
    let module = FaultyModule::install(&env);
    let habits = Habits { no_function_list: true, ..Habits::default() };
    module.set(&Control { habits, ..Control::default() });
    let said = module.run(&env, &["check"]).failed();
    assert!(said.contains("cannot be loaded") && said.contains("it may lack its configuration file"), "{said}");

    let (name, value) = module.environment();
    let signer = Signer::start_with(&env, &[(name, &value)]);
    wait_for("the reason", || {
        signer.admin("/status").body.contains("it may lack its configuration file").then_some(())
    });
    assert_eq!(signer.admin("/livez").status, 200);
    // It is there now, and the signer goes on by itself.
    module.set(&Control::default());
    wait_for("/startupz", || (signer.admin("/startupz").status == 200).then_some(()));
}
