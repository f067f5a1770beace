//! What a key may sign beside blocks and votes, and what it may not: the configuration's switches, tried on the process.

use crate::payload::{attestation, ballot, block, delegation, drain_delegate, operation, to_itself, transaction};
use crate::process::Signer;
use crate::test_env::{FLOOR, TestEnv};

#[test]
fn by_default_no_generic_operation_is_signed() {
    let env = TestEnv::new();
    let signer = Signer::start(&env);
    let key = env.tz3();
    for content in
        [transaction(&key, 1, 7), delegation(&key, 7), ballot(&key, 0), drain_delegate(&key), to_itself(&key, 1, 6)]
    {
        let message = signer.sign(&key, &operation(&[content])).refused(403);
        assert!(message.contains("not allowed"), "{message}");
    }
}

#[test]
fn each_content_of_a_batch_has_to_be_allowed() {
    let env = TestEnv::new();
    env.add_to_tz3("\"allow\": [\"attestation\", \"delegation\", \"stake\"]");
    let signer = Signer::start(&env);
    let key = env.tz3();
    let good = [delegation(&key, 7), to_itself(&key, 5, 6)];
    signer.signature(&key, &operation(&good));
    for (bad, word) in [(transaction(&key, 1, 7), "transaction"), (to_itself(&key, 1, 7), "unstake")] {
        let message = signer.sign(&key, &operation(&[good[0].clone(), good[1].clone(), bad])).refused(403);
        assert!(message.contains(word), "{message}");
    }
    assert!(signer.sign(&key, &block(FLOOR + 1, 0, 0)).refused(403).contains("block"));
    signer.signature(&key, &attestation(FLOOR + 1, 0, 0));
    assert_eq!(signer.sign(&key, &[operation(&good), vec![0]].concat()).status, 400, "a byte that is left over");
}

#[test]
fn fees_amounts_and_destinations_are_limited_over_the_whole_batch() {
    let env = TestEnv::new();
    let destination = "tz1LbSsDSmekew3prdDGx1nS22ie6jjBN6B3"; // 0x07 twenty times is checked below
    env.add_to_tz3("\"allow\": [\"transaction\", \"stake\"], \"maxFee\": 250, \"maxAmount\": \"100\"");
    let signer = Signer::start(&env);
    let key = env.tz3();
    let pay =
        |amounts: &[u8]| operation(&amounts.iter().map(|amount| transaction(&key, *amount, 7)).collect::<Vec<_>>());
    signer.signature(&key, &pay(&[60, 40]));
    assert!(signer.sign(&key, &pay(&[60, 41])).refused(403).contains("maxAmount"));
    assert!(signer.sign(&key, &pay(&[1, 1, 1])).refused(403).contains("maxFee"));
    // What is staked stays with its owner.
    signer.signature(&key, &operation(&[to_itself(&key, 120, 6)]));
    drop(signer);

    env.edit_config("\"maxFee\"", &format!("\"destinations\": [\"{destination}\"], \"maxFee\""));
    let signer = Signer::start(&env);
    let message = signer.sign(&key, &pay(&[1])).refused(403);
    let address = message.split(' ').next().unwrap().to_owned();
    assert!(message.contains("destinations"), "{message}");
    drop(signer);
    env.edit_config(destination, &address);
    let signer = Signer::start(&env);
    signer.signature(&key, &pay(&[1]));
    assert!(signer.sign(&key, &operation(&[transaction(&key, 1, 8)])).refused(403).contains("destinations"));
}

#[test]
fn ballots_are_limited_to_the_votes_that_are_named() {
    let env = TestEnv::new();
    env.add_to_tz3("\"allow\": [\"ballot\"], \"ballot\": [\"yay\", \"pass\"]");
    let signer = Signer::start(&env);
    let key = env.tz3();
    signer.signature(&key, &operation(&[ballot(&key, 0)]));
    signer.signature(&key, &operation(&[ballot(&key, 2)]));
    assert!(signer.sign(&key, &operation(&[ballot(&key, 1)])).refused(403).contains("vote nay"));
}

#[test]
fn a_delegate_is_drained_by_a_switch_of_its_own_only() {
    let env = TestEnv::new();
    env.add_to_tz3("\"drainDelegate\": true");
    let signer = Signer::start(&env);
    let (key, other) = (env.tz3(), env.tz2());
    signer.signature(&key, &operation(&[drain_delegate(&key)]));
    assert!(signer.sign(&other, &operation(&[drain_delegate(&other)])).refused(403).contains("generic operations"));
    drop(signer);
    env.edit_config("\"drainDelegate\": true", "\"allow\": [\"transaction\"]");
    let signer = Signer::start(&env);
    assert!(signer.sign(&key, &operation(&[drain_delegate(&key)])).refused(403).contains("drainDelegate"));
}

#[test]
fn a_suspended_key_signs_nothing_and_the_others_do() {
    let env = TestEnv::new();
    env.add_to_tz3("\"suspend\": true");
    let signer = Signer::start(&env);
    assert!(signer.sign(&env.tz3(), &attestation(FLOOR + 1, 0, 0)).refused(403).contains("suspended"));
    signer.signature(&env.tz2(), &attestation(FLOOR + 1, 0, 0));
}

/// A record that is suspended stops operations too, though no row of it speaks of them.
#[test]
fn operations_ask_the_record_as_votes_do() {
    let env = TestEnv::new();
    env.add_to_tz3("\"allow\": [\"attestation\", \"delegation\"]");
    let signer = Signer::start(&env);
    let key = env.tz3();
    let delegation = operation(&[delegation(&key, 7)]);
    signer.signature(&key, &delegation);
    let anchor = env.row(&key, "audit");
    signer.signature(&key, &delegation);
    assert_ne!(env.row(&key, "audit"), anchor, "each moves the anchor");
    env.set_row(&key, "suspend", "true");
    assert!(signer.sign(&key, &delegation).refused(403).contains("suspended"));
    drop(signer);
    std::fs::remove_file(env.record_file(&key)).unwrap();
    let signer = Signer::start_unready(&env);
    assert_ne!(signer.sign(&key, &delegation).status, 200, "nor without a record");
}

#[test]
fn a_newer_vote_is_refused_with_a_word_and_counted_or_signed_if_that_is_wanted() {
    let env = TestEnv::new();
    env.add_to_tz3("\"unknownConsensusSuffix\": \"octezCompatible\"");
    let signer = Signer::start(&env);
    let (liberal, strict) = (env.tz3(), env.tz2());
    let newer = [attestation(FLOOR + 1, 0, 1), vec![0xca, 0xfe]].concat();
    let refused = signer.sign(&strict, &newer);
    assert_eq!(refused.status, 400, "{refused:?}");
    assert!(refused.body.contains("unknownConsensusSuffix"), "{refused:?}");
    signer.signature(&liberal, &newer);
    let counted = || {
        let of = |answer| signer.metric(&format!("tezos_signer_unknown_payload_shapes_total{{answer=\"{answer}\"}}"));
        (of("refused"), of("accepted"))
    };
    assert_eq!(counted(), (Some(1), Some(1)));
    // The same watermark as ever, and a shape that is known.
    signer.sign(&liberal, &attestation(FLOOR + 1, 0, 1)).refused(409);
    assert_eq!(counted(), (Some(1), Some(1)));
    assert!(signer.log().contains("unknown to this release"), "{}", signer.log());
}
