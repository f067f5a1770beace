//! A disk without space under the watermarks: nothing is signed that cannot be written, nothing of what was is lost, and signing goes
//! on with the first byte of space, without a restart.

use crate::payload::{attestation, block};
use crate::process::Signer;
use crate::small_disk::SmallDisk;
use crate::test_env::{FLOOR, TestEnv};

#[test]
fn without_space_nothing_is_signed_or_lost_and_with_space_again_signing_goes_on() {
    let env = TestEnv::without_records();
    let disk = SmallDisk::mount(&env.records());
    env.run(&["watermarks", "initialise", "--level", &FLOOR.to_string()]).succeeded();
    let key = env.tz3();
    let signer = Signer::start(&env);
    let before = signer.signature(&key, &block(FLOOR + 1, 0, 0));
    let row = env.row(&key, "block");

    disk.fill();
    for payload in [block(FLOOR + 2, 0, 0), attestation(FLOOR + 2, 0, 0), block(FLOOR + 2, 0, 1)] {
        let reason = signer.sign(&key, &payload).refused(502);
        assert!(reason.contains("cannot be written: No space left on device"), "{reason}");
    }
    assert_eq!(env.row(&key, "block"), row);
    assert_eq!(signer.signature(&key, &block(FLOOR + 1, 0, 0)), before, "what is stored is given again");
    signer.sign(&key, &block(FLOOR + 1, 0, 1)).refused(409);
    let refused = env.run(&["watermarks", "raise", "--level", &(FLOOR + 5).to_string()]).failed();
    assert!(refused.contains("No space left on device"), "{refused}");

    disk.clear();
    // Nothing was signed there, so it is free for either.
    signer.signature(&key, &block(FLOOR + 2, 0, 1));
    signer.sign(&key, &block(FLOOR + 2, 0, 0)).refused(409);
    assert!(env.row(&key, "block").starts_with(&format!("{} 0 ", FLOOR + 2)));
}

#[test]
fn a_signer_starts_on_a_full_disk_and_refuses_until_there_is_space() {
    let env = TestEnv::without_records();
    let disk = SmallDisk::mount(&env.records());
    env.run(&["watermarks", "initialise", "--level", &FLOOR.to_string()]).succeeded();
    let key = env.tz3();
    let signature = Signer::start(&env).signature(&key, &block(FLOOR + 1, 0, 0));
    disk.fill();
    let signer = Signer::start(&env);
    assert_eq!(signer.signature(&key, &block(FLOOR + 1, 0, 0)), signature);
    signer.sign(&key, &block(FLOOR + 2, 0, 0)).refused(502);
    disk.clear();
    signer.signature(&key, &block(FLOOR + 2, 0, 0));
}
