//! Each rule, taken out: which promise is broken then, and the shortest way there.

use crate::disk::Disk;
use crate::promises::Promise;
use crate::requests::Request;
use crate::rules::Rules;
use crate::scenario::Scenario;
use crate::scenarios as in_;
use crate::search::{Found, search};
use crate::slots::Slots;
use crate::symbols::{SignatureId, Symbols};
use crate::world::Cluster;
use tezos_signer_core::key::Curve;

/// A trace of `scenario` in which `promise` is broken, without the rules that `without` takes out. Printed.
fn counterexample(what: &str, scenario: Scenario, promise: Promise, without: impl FnOnce(&mut Rules)) {
    let mut rules = Rules::ALL;
    without(&mut rules);
    let found = search(&Cluster::new(scenario, rules), &[promise]);
    print(what, scenario.name, promise, found);
}

/// The same on a disk.
fn on_disk(what: &str, promise: Promise, without: impl FnOnce(&mut Rules)) {
    let mut rules = Rules::ALL;
    without(&mut rules);
    print(what, "files on a disk", promise, search(&Disk::new(rules, Curve::Secp256k1), &[promise]));
}

/// The same of the slots of one file.
fn in_slots(what: &str, promise: Promise, without: impl FnOnce(&mut Rules)) {
    let mut rules = Rules::ALL;
    without(&mut rules);
    print(what, "slots on a disk", promise, search(&Slots::new(rules, Curve::Secp256k1), &[promise]));
}

fn print(what: &str, scenario: &str, promise: Promise, found: Found) {
    let Found { states, counterexample, .. } = found;
    let trace = counterexample.unwrap_or_else(|| {
        panic!("without the rule \"{what}\" {promise:?} is kept in \"{scenario}\", {states} states")
    });
    println!("\nwithout the rule: {what}\n  in: {scenario} ({states} states)\n{trace}");
}

/// One test for each rule, named after it.
macro_rules! without {
    ($($(#[$doc:meta])* $test:ident: $what:literal, $scenario:ident, $promise:ident, $rules:ident => $off:expr;)+) => {$(
        $(#[$doc])*
        #[test]
        fn $test() {
            counterexample($what, in_::$scenario, Promise::$promise, |$rules| $off);
        }
    )+};
}

without! {
    // The decision.
    /// Alone it costs every answer: nothing leaves but what the record holds, and that is never found good.
    replay: "the same request gets the stored signature", CALM, OneSignature,
        rules => { rules.replay_stored = false; rules.release_committed_only = false };
    conflict: "another payload at the same place is refused", FAULTS, OneSignature, rules => rules.refuse_conflict = false;
    lower: "what is below the watermark is refused", FAULTS, OneSignature, rules => rules.refuse_lower = false;
    lower_falls: "what is below the watermark is refused", FAULTS, Rising, rules => rules.refuse_lower = false;
    lower_round: "a lower round is refused", ROUNDS, OneSignature, rules => rules.refuse_lower_round = false;
    lower_round_of_blocks: "a lower round is refused", BLOCKS, Rising, rules => rules.refuse_lower_round = false;
    conflict_of_blocks: "another payload at the same place is refused", BLOCKS, Rising,
        rules => rules.refuse_conflict = false;
    missing_row: "INVARIANT D1: a missing row is refused", DAMAGE, OneSignature, rules => rules.refuse_missing_row = false;
    digest_without_signature: "INVARIANT D2: a digest without a signature is refused", IMPORTED, OneSignature,
        rules => rules.refuse_digest_without_signature = false;
    jump: "INVARIANT D4: an absurd level is refused", ABSURD, NotBricked, rules => rules.limit_jump = false;
    suspend: "a suspended record signs nothing", SUSPENDED, OperatorObeyed, rules => rules.obey_suspend = false;
    /// What a person has stopped moves no money either.
    suspend_operations: "INVARIANT S8: a suspended record signs no operation", SUSPENDED, OperatorObeyed,
        rules => rules.obey_suspend_for_operations = false;
    ceiling: "not one level above the ceiling is signed", OPERATOR, OperatorObeyed,
        rules => rules.obey_ceiling_exactly = false;
    /// And what it costs: the other cluster signs there too.
    ceiling_after_a_hand_over: "not one level above the ceiling is signed", HAND_OVER, OneSignature,
        rules => rules.obey_ceiling_exactly = false;
    /// Both votes are of level 11 and round 0. Read two bytes too late, the second one is of a higher round, which is its block's hash.
    layout: "INVARIANT D8: the layout of votes follows the scheme of the key", TZ4, OneSignature,
        rules => rules.layout_of_scheme = false;
    conflict_of_tz4: "another payload at the same place is refused", TZ4, OneSignature, rules => rules.refuse_conflict = false;
    one_row: "tags 21 and 23 have one row", TAGS, OneSignature, rules => rules.one_row_for_attestations = false;

    // The signing path.
    verify_signed: "what the HSM returns is verified", LYING_HSM, Verifies,
        rules => rules.verify_signed = false;
    verify_stored: "INVARIANT D3: a stored signature is verified before it is replayed", DAMAGE, Verifies,
        rules => rules.verify_stored = false;
    /// Alone it costs every answer, as above.
    commit_signature: "the commit holds the signature", CALM, Replayable,
        rules => { rules.commit_signature = false; rules.release_committed_only = false };
    release_committed: "only what the store holds is released", RIVALS, OneSignature,
        rules => rules.release_committed_only = false;
    decide_again: "INVARIANT S5: after anything but a 2xx the request is decided again", RIVALS, OneSignature,
        rules => rules.decide_again = false;
    /// The conditional write alone keeps the other promises: what is lost is the word about what became of it.
    detached: "INVARIANT S7: a client that goes away stops nothing", CLIENTS_GO, Explained, rules => rules.detached = false;
    commit_operations: "INVARIANT S8: operations are committed too", SUSPENDED, OperatorObeyed,
        rules => rules.commit_operations = false;
    commit_operations_displaced: "INVARIANT S8: operations are committed too", DISPLACED, OperatorObeyed,
        rules => rules.commit_operations = false;

    resumed: "INVARIANT D7: what can be lifted is refused after a read only", RESUMED, NotRefusedForThePast,
        rules => rules.read_before_refusing = false;
    sync_intent: "the intent is on disk before the commit is sent", FAULTS, Explained,
        rules => rules.sync_intent = false;

    // The record in a process's hands.
    copy: "INVARIANT S6: the copy comes from the store, never from what was sent", RIVALS, OneSignature,
        rules => rules.copy_from_store = false;
    silence: "INVARIANT S1: after a silence the store is asked before the HSM", PAUSES, NotShown,
        rules => { rules.ask_after_silence = false; rules.ask_before_sending = false };
    /// The look before the sending alone keeps the promise; but a signer that asks the HSM in vain, three times, answers 502.
    silence_before_the_hsm: "INVARIANT S1: after a silence the store is asked before the HSM", PAUSES, FaultPaidOnce,
        rules => rules.ask_after_silence = false;
    /// This and the next three were holes of the signer until the model showed them. Another read instead would be no better: what
    /// it says may be old when the HSM has answered.
    reads: "only an own write ends a silence", PAUSES, NotShown, rules => rules.only_writes_end_silence = false;
    sending: "INVARIANT S3: a silence begins with the sending, not with the answer", PAUSES, NotShown, rules => rules.silence_from_sending = false;
    slow_hsm: "INVARIANT S2: the silence is checked again between the HSM and the commit", PAUSES, NotShown, rules => rules.ask_before_sending = false;
    /// The lost release lands after the read that showed its sender as the holder still.
    release: "INVARIANT S4: who asked to release the lease renews before it signs", LEASE_FAULTS, NotShown,
        rules => rules.release_is_silence = false;
    latch: "INVARIANT R6: a record that went back is refused", RESTORE, OneSignature, rules => rules.latch = false;
    audit_log: "INVARIANT R7: a record that has forgotten what the audit log proves is refused", RESTORE_LOGGED, OneSignature,
        rules => rules.compare_audit_log = false;

    // The store in the cluster.
    conditional: "a write is conditional on what it was decided on", RIVALS, OneSignature,
        rules => rules.conditional_writes = false;
    conditional_suspend: "a write is conditional on what it was decided on", SUSPENDED, OperatorObeyed,
        rules => rules.conditional_writes = false;
    empty_version: "INVARIANT R1: an empty resourceVersion is none", EMPTY_VERSION, OneSignature,
        rules => rules.reject_empty_version = false;
    quorum: "reads are quorum reads", FAULTS, NoFalseAlarm, rules => rules.quorum_reads = false;
    connection: "INVARIANT R3: a failed call discards its connection", DEAD_CONNECTION, FaultPaidOnce,
        rules => rules.discard_connection = false;
    missing_record: "a missing record is refused", DAMAGE, OneSignature, rules => rules.refuse_missing_record = false;
    create: "INVARIANT R2: a record is created by POST only", AGAIN, OneSignature, rules => rules.create_by_post = false;
    import: "INVARIANT R11: an import raises every row to the ceiling", HAND_OVER, OneSignature,
        rules => rules.import_above_ceiling = false;
}

/// No rule can tell a restored copy from the past where nobody lives who has seen more, and no audit log says it: the documentation
/// says so, and this says that it is so.
#[test]
fn limit_a_restore_that_nobody_has_seen_more_than() {
    counterexample("(none: a limit)", in_::RESTORE_UNSEEN, Promise::OneSignature, |_| {});
}

/// Two rules keep the same payload from being signed twice. Keys of the other schemes obey them too, and their promise would be kept without.
#[test]
fn only_ecdsa_makes_two_signatures_of_one_payload() {
    for scheme in Curve::ALL {
        let is_broken = |scenario: Scenario, rules| {
            search(&Cluster::new(scenario.of(scheme), rules), &[Promise::OneSignature]).counterexample.is_some()
        };
        let is_ecdsa = matches!(scheme, Curve::Secp256k1 | Curve::P256);
        let signs_again = Rules { replay_stored: false, release_committed_only: false, ..Rules::ALL };
        assert_eq!(is_broken(in_::CALM, signs_again), is_ecdsa, "{scheme}");
        let signs_what_another_has_signed = Rules { refuse_digest_without_signature: false, ..Rules::ALL };
        assert_eq!(is_broken(in_::IMPORTED, signs_what_another_has_signed), is_ecdsa, "{scheme}");

        let symbols = Symbols::new(Rules::ALL, scheme);
        let (request, other) = (Request::Attestation(11, 0, 'a'), Request::Attestation(11, 0, 'b'));
        let [first, second] = [0, 1].map(|number| symbols.signature(SignatureId { request, nonce: number }));
        assert_eq!((symbols.is_deterministic(), first == second), (!is_ecdsa, !is_ecdsa), "{scheme}");
        assert!(first != symbols.signature(symbols.made(other, 0)) && symbols.verifies(symbols.made(request, 1)));
        assert!(!symbols.verifies(SignatureId::wrong(request)) && !symbols.accepts(SignatureId::wrong(request)));
    }
}

/// The rules of the files. `failed_rename` was a hole until the model showed it: a rename that reported an error may have happened,
/// and what the file then showed was released before the directory was synced.
macro_rules! without {
    ($store:ident: $($test:ident: $what:literal, $promise:ident, $rules:ident => $off:expr;)+) => {$(
        #[test]
        fn $test() {
            $store($what, Promise::$promise, |$rules| $off);
        }
    )+};
}

without! { on_disk:
    sync_file: "a new file is on disk before it takes its place", Replayable, rules => rules.sync_file = false;
    sync_directory: "the directory is on disk before the commit is one", OneSignature,
        rules => rules.sync_directory = false;
    failed_sync: "INVARIANT R8: a failed fsync ends the process", OneSignature, rules => rules.end_after_failed_sync = false;
    failed_rename: "a failed rename ends the process", OneSignature, rules => rules.end_after_failed_rename = false;
    sync_on_opening: "INVARIANT R9: opening syncs first", OneSignature, rules => rules.sync_on_opening = false;
    whole_file: "a file is written beside the old one", Replayable, rules => rules.whole_file = false;
    lock_directory: "one process at a time has the directory", OneSignature, rules => rules.lock_directory = false;
}

// `write_again_on_opening` was a hole until the model was asked: a write whose fsync had failed was shown to the next process, and released.
without! { in_slots:
    write_older_slot: "a write replaces the older state", Replayable, rules => rules.write_older_slot = false;
    sync_slot: "a slot is on disk before its write is a commit", OneSignature, rules => rules.sync_slot = false;
    failed_sync_of_slot: "INVARIANT R8: a failed fdatasync ends the process", OneSignature,
        rules => rules.end_after_failed_sync = false;
    sync_slots_on_opening: "INVARIANT R9: opening syncs first", OneSignature, rules => rules.sync_on_opening = false;
    write_again_on_opening: "INVARIANT R9: opening writes the slots again", OneSignature,
        rules => rules.write_again_on_opening = false;
    refuse_damage: "INVARIANT R16: damage is refused", OneSignature, rules => rules.refuse_damage = false;
}
