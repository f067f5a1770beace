//! What `/metrics` says of the records and of the way of a request: what alerts and dashboards stand on.

use crate::payload::{attestation, block};
use crate::process::{Signer, wait_for};
use crate::test_env::{FLOOR, TestEnv};

const NEXT: u32 = FLOOR + 1;

fn becomes(signer: &Signer, metric: &str, value: u64) {
    wait_for(metric, || (signer.metric(metric) == Some(value)).then_some(()));
}

#[test]
fn what_the_record_refuses_is_counted_by_its_reason_and_begins_at_zero() {
    let env = TestEnv::new();
    let signer = Signer::start(&env);
    let key = env.tz3();
    let refusals = |kind: &str, reason: &str| {
        let labels = format!("key=\"{}\",kind=\"{kind}\",reason=\"{reason}\"", key.hash());
        signer.metric(&format!("tezos_signer_watermark_refusals_total{{{labels}}}"))
    };
    assert_eq!(refusals("block", "conflict"), Some(0));
    signer.signature(&key, &block(NEXT, 3, 1));
    signer.sign(&key, &block(NEXT, 3, 2)).refused(409);
    signer.sign(&key, &block(NEXT, 2, 1)).refused(409);
    signer.sign(&key, &attestation(NEXT + 200_000, 0, 1)).refused(409);
    assert_eq!((refusals("block", "conflict"), refusals("block", "below")), (Some(1), Some(1)));
    assert_eq!((refusals("attestation", "jump"), refusals("attestation", "conflict")), (Some(1), Some(0)));
    for phase in ["signature", "commit"] {
        let count = format!("tezos_signer_phase_duration_seconds_count{{phase=\"{phase}\"}}");
        assert_eq!(signer.metric(&count), Some(1), "{phase}: only one was signed");
    }
}

#[test]
fn a_record_is_suspended_or_has_a_problem_by_name_as_long_as_it_has() {
    let env = TestEnv::new();
    let signer = Signer::start(&env);
    let key = env.tz3();
    let suspended = format!("tezos_signer_suspended{{key=\"{}\"}}", key.hash());
    let problem = |reason: &str| format!("tezos_signer_record_problem{{key=\"{}\",reason=\"{reason}\"}}", key.hash());
    assert_eq!(signer.metric(&suspended), Some(0));
    env.set_row(&key, "suspend", "true");
    becomes(&signer, &suspended, 1);

    let before = std::fs::read(env.record_file(&key)).unwrap();
    env.set_row(&key, "version", "2");
    becomes(&signer, &problem("invalid"), 1);
    std::fs::remove_file(env.record_file(&key)).unwrap();
    becomes(&signer, &problem("missing"), 1);
    assert_eq!(signer.metric(&problem("invalid")), Some(0), "one reason at a time");
    std::fs::write(env.record_file(&key), &before).unwrap();
    becomes(&signer, &problem("missing"), 0);

    env.make_plain(&key);
    let floor = std::fs::read_to_string(env.record_file(&key)).unwrap();
    std::fs::write(env.record_file(&key), floor.replace(&FLOOR.to_string(), &(FLOOR - 1).to_string())).unwrap();
    becomes(&signer, &problem("went_back"), 1);
}
