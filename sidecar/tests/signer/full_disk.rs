//! A disk without space under the watermarks. The next state of a record has its place already, so signing goes on. Where it has none, for a
//! record that an earlier release has left, nothing is signed that cannot be written, nothing of what was is lost, and signing begins
//! with the first byte of space, without a restart.

use crate::payload::{attestation, block};
use crate::process::Signer;
use crate::small_disk::SmallDisk;
use crate::test_env::{FLOOR, TestEnv};

fn on_a_small_disk() -> (TestEnv, SmallDisk) {
    let env = TestEnv::without_records();
    let disk = SmallDisk::mount(&env.records());
    env.run(&["watermarks", "initialise", "--level", &FLOOR.to_string()]).succeeded();
    (env, disk)
}

#[test]
fn without_space_signing_goes_on() {
    let (env, disk) = on_a_small_disk();
    let key = env.tz3();
    let signer = Signer::start(&env);
    disk.fill();
    let votes = [block(FLOOR + 1, 0, 0), attestation(FLOOR + 1, 0, 0), block(FLOOR + 2, 0, 0)];
    for vote in &votes {
        signer.signature(&key, vote);
    }
    signer.sign(&key, &block(FLOOR + 2, 0, 1)).refused(409);
    env.run(&["watermarks", "raise", "--level", &(FLOOR + 5).to_string()]).succeeded();
    drop(signer);

    let signer = Signer::start(&env);
    for vote in &votes {
        signer.sign(&key, vote).refused(409);
    }
    signer.signature(&key, &block(FLOOR + 6, 0, 0));
}

#[test]
fn without_space_for_a_whole_file_nothing_is_signed_or_lost_and_with_space_again_signing_goes_on() {
    let (env, disk) = on_a_small_disk();
    let key = env.tz3();
    let signer = Signer::start(&env);
    let before = signer.signature(&key, &block(FLOOR + 1, 0, 0));
    env.make_plain(&key);
    env.make_plain(&env.tz2());
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
    let (env, disk) = on_a_small_disk();
    let key = env.tz3();
    let signature = Signer::start(&env).signature(&key, &block(FLOOR + 1, 0, 0));
    env.make_plain(&key);
    disk.fill();
    let signer = Signer::start(&env);
    assert_eq!(signer.signature(&key, &block(FLOOR + 1, 0, 0)), signature);
    signer.sign(&key, &block(FLOOR + 2, 0, 0)).refused(502);
    disk.clear();
    signer.signature(&key, &block(FLOOR + 2, 0, 0));
}
