//! One key that the HSM does not sign with, beside one that it does.

use crate::faulty_module::FaultyModule;
use crate::payload::attestation;
use crate::process::wait_for;
use crate::test_env::{FLOOR, TestEnv};
use pkcs11_faults::control::{Control, Rule};
use std::time::Duration;

const KEY_HANDLE_INVALID: u64 = 0x60;

/// As when a key was removed and imported again: only a session that finds it anew has a handle that is good.
#[test]
fn a_key_whose_handles_are_no_good_any_more_is_found_anew_though_nobody_asks_and_another_is_busy() {
    let env = TestEnv::new();
    let module = FaultyModule::install(&env);
    let signer = module.start(&env);
    let (busy, lost) = (env.tz3(), env.tz2());
    let key_up = format!("tezos_signer_hsm_key_up{{key=\"{}\"}}", lost.hash());
    wait_for("the sessions", || (signer.metric("tezos_signer_hsm_sessions") == Some(2)).then_some(()));
    wait_for("/readyz", || (signer.admin("/readyz").status == 200).then_some(()));
    let stale = |session| Rule::new("C_SignInit", KEY_HANDLE_INVALID).of_key("tz2").in_session(session);
    let rules = module.state().open.into_iter().map(stale).collect();
    module.set(&Control { rules, ..Control::default() });
    // Its trial signatures tell.
    wait_for("the failure", || (signer.metric(&key_up) == Some(0)).then_some(()));
    let mut level = FLOOR;
    wait_for("the recovery", || {
        for _ in 0..10 {
            level += 1;
            signer.signature(&busy, &attestation(level, 0, 1));
            std::thread::sleep(Duration::from_millis(1));
        }
        (signer.metric(&key_up) == Some(1)).then_some(())
    });
    wait_for("its signature", || (signer.sign(&lost, &attestation(FLOOR + 1, 0, 1)).status == 200).then_some(()));
    assert_eq!(module.state().violations, Vec::<String>::new());
}
