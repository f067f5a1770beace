//! A change of consensus key from its beginning to its end, each stage as it is printed.

use super::*;
use crate::rotate::chain::Pending;
use std::fmt::Write as _;

const OLD: &str = "tz3OLD";
const NEW: &str = "tz3NEW";

fn now() -> Timestamp {
    "2026-11-30T12:00:00Z".parse().unwrap()
}

fn key(address: &str, signed: Option<i64>) -> KeyState {
    let public_key = address.replace("tz3", "p2pk").replace("tz4", "BLpk");
    KeyState { address: address.to_owned(), public_key, ready: true, why_not: None, signed }
}

fn octez(delegates: &[&str]) -> BakerForm {
    BakerForm::Octez { delegates: delegates.iter().map(|delegate| (*delegate).to_owned()).collect() }
}

fn situation(keys: Vec<KeyState>) -> Situation {
    Situation {
        namespace: "bakers".to_owned(),
        name: "baker-one".to_owned(),
        baker: "tz1BAKER".to_owned(),
        keys,
        given: None,
        baker_form: octez(&[OLD]),
        chain: Chain { level: 10_000, cycle: 10, cycle_position: 100, blocks_per_cycle: 1000, block_seconds: 6 },
        consensus: Consensus { active: OLD.to_owned(), pending: vec![], two_cycles_ago: Some(OLD.to_owned()) },
    }
}

fn both(new_signed: Option<i64>) -> Situation {
    let keys = vec![key(OLD, Some(9_999)), key(NEW, new_signed)];
    Situation { baker_form: octez(&[OLD, NEW]), ..situation(keys) }
}

/// The step that is to be done or waited for.
fn at(situation: &Situation) -> (usize, State) {
    let plan = Plan::of(situation, now());
    let position =
        plan.steps.iter().position(|step| matches!(step.state, State::Now | State::Wait)).unwrap_or(plan.steps.len());
    (position, plan.steps.get(position).map_or(State::Done, |step| step.state))
}

#[test]
fn a_change_goes_from_stage_to_stage() {
    let mut now_at = situation(vec![key(OLD, Some(9_999))]);
    assert_eq!(at(&now_at), (1, State::Now), "no new key");
    now_at.given = Some((NEW.to_owned(), "p2pkNEW".to_owned()));
    assert_eq!(at(&now_at), (1, State::Now), "not in spec.keys");

    let mut now_at = both(None);
    now_at.keys[1].ready = false;
    now_at.keys[1].why_not = Some("the key is not in the token".to_owned());
    assert_eq!(at(&now_at), (2, State::Wait));
    assert!(Plan::of(&now_at, now()).next.contains("the key is not in the token"));
    now_at.keys[1].ready = true;
    assert_eq!(at(&now_at), (3, State::Now), "not registered");

    now_at.consensus.pending = vec![Pending { cycle: 13, address: NEW.to_owned() }];
    assert_eq!(at(&now_at), (4, State::Wait), "pending");

    now_at.consensus = Consensus { active: NEW.to_owned(), pending: vec![], two_cycles_ago: Some(OLD.to_owned()) };
    now_at.chain.level = 12_905;
    assert_eq!(at(&now_at), (5, State::Wait), "it has not signed");
    now_at.keys[1].signed = Some(12_900);
    assert_eq!(at(&now_at), (6, State::Wait), "two cycles");
    now_at.consensus.two_cycles_ago = Some(NEW.to_owned());
    assert_eq!(at(&now_at), (7, State::Now), "the old key may go");
    now_at.keys.remove(0);
    now_at.baker_form = octez(&[NEW]);
    now_at.keys[0].signed = Some(12_900);
    now_at.given = Some((NEW.to_owned(), "p2pkNEW".to_owned()));
    assert_eq!(at(&now_at), (8, State::Done));
}

#[test]
fn the_old_key_is_never_told_to_go_before_its_time() {
    for (active, pending, ago) in [
        (OLD, vec![], Some(OLD)),
        (OLD, vec![Pending { cycle: 13, address: NEW.to_owned() }], Some(OLD)),
        (NEW, vec![], Some(OLD)),
    ] {
        let mut now_at = both((active == NEW).then_some(9_999));
        now_at.baker_form = octez(&[OLD, NEW]);
        now_at.consensus = Consensus { active: active.to_owned(), pending, two_cycles_ago: ago.map(str::to_owned) };
        let plan = Plan::of(&now_at, now());
        assert_ne!(plan.steps[7].state, State::Now, "{plan}");
        assert!(!plan.next.starts_with("remove"), "{plan}");
    }
    // A node that does not know: the sentence says so first.
    let mut now_at = both(Some(9_999));
    now_at.baker_form = BakerForm::Other;
    now_at.consensus = Consensus { active: NEW.to_owned(), pending: vec![], two_cycles_ago: None };
    let plan = Plan::of(&now_at, now());
    assert!(plan.next.starts_with("The node does not know"), "{plan}");
}

#[test]
fn a_key_of_another_signer_is_noticed() {
    let mut elsewhere = situation(vec![key("tz3OTHER", Some(1))]);
    let plan = Plan::of(&elsewhere, now());
    assert_eq!(plan.steps[0].state, State::Now);
    assert!(plan.next.contains("no key of the TezosSigner bakers/baker-one"), "{plan}");
    // A pending key that nobody has added.
    elsewhere = situation(vec![key(OLD, Some(9_999))]);
    elsewhere.consensus.pending = vec![Pending { cycle: 13, address: NEW.to_owned() }];
    assert!(Plan::of(&elsewhere, now()).next.contains("add it before it"));
}

/// Both keys are named before the new one is registered, so that no pod is replaced when it becomes active.
#[test]
fn baker_octez_bakes_with_both_keys_during_the_change() {
    // Without a name, it bakes with the only key.
    let keys = [key(OLD, Some(9_999))];
    assert_eq!(BakerForm::of_octez(vec![], &keys), octez(&[OLD]));
    assert_eq!(BakerForm::of_octez(vec![NEW.to_owned()], &keys), octez(&[NEW]));
    let patch = |delegates: &str| {
        format!(r#"{{"spec":{{"baker":{{"octez":{{"delegate":null,"delegates":[{delegates}]}}}}}}}}"#)
    };
    // Another key before them stays.
    for (named, patched) in [
        (&[OLD][..], r#""tz3OLD","tz3NEW""#),
        (&[NEW], r#""tz3NEW","tz3OLD""#),
        (&[], r#""tz3OLD","tz3NEW""#),
        (&["tz3X", OLD], r#""tz3X","tz3OLD","tz3NEW""#),
    ] {
        let mut now_at = both(None);
        now_at.baker_form = octez(named);
        for pending in [vec![], vec![Pending { cycle: 13, address: NEW.to_owned() }]] {
            now_at.consensus.pending = pending;
            assert_eq!(at(&now_at), (1, State::Now), "{named:?}");
            let plan = Plan::of(&now_at, now());
            assert!(plan.apply.as_ref().unwrap().contains(&patch(patched)), "{plan}");
        }
    }
    let mut too_late = both(None);
    too_late.baker_form = octez(&[OLD]);
    too_late.consensus = Consensus { active: NEW.to_owned(), pending: vec![], two_cycles_ago: Some(OLD.to_owned()) };
    assert_eq!(at(&too_late), (5, State::Now));
    let plan = Plan::of(&too_late, now());
    assert!(plan.apply.as_ref().unwrap().contains(&patch(r#""tz3OLD","tz3NEW""#)), "{plan}");
    // A baker of the user's own is not told.
    let mut other = both(None);
    other.baker_form = BakerForm::Other;
    assert_eq!(at(&other), (3, State::Now));
    assert!(!Plan::of(&other, now()).to_string().contains("delegates"));
}

#[test]
fn each_stage_reads_well() {
    let mut text = String::new();
    let mut show = |situation: &Situation| writeln!(text, "{}\n----", Plan::of(situation, now())).unwrap();
    let mut now_at = situation(vec![key(OLD, Some(9_999))]);
    now_at.given = Some((NEW.to_owned(), "p2pkNEW".to_owned()));
    show(&now_at);
    now_at = both(None);
    now_at.baker_form = octez(&[OLD]);
    show(&now_at);
    let mut now_at = both(None);
    show(&now_at);
    now_at.consensus.pending = vec![Pending { cycle: 13, address: NEW.to_owned() }];
    show(&now_at);
    now_at.consensus = Consensus { active: NEW.to_owned(), pending: vec![], two_cycles_ago: Some(OLD.to_owned()) };
    now_at.baker_form = octez(&[OLD]);
    show(&now_at);
    now_at.baker_form = octez(&[OLD, NEW]);
    now_at.keys[1].signed = Some(10_000);
    now_at.consensus.two_cycles_ago = Some(NEW.to_owned());
    show(&now_at);
    insta::assert_snapshot!("stages", text);
}
