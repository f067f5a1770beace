//! A PKCS#11 library that does not return: what is answered meanwhile and how soon, which threads take over, that nothing is
//! left when it returns after all, and when the process gives up.

use crate::faulty_module::FaultyModule;
use crate::payload::attestation;
use crate::process::{Signer, wait_for};
use crate::test_env::{FLOOR, TestEnv};
use pkcs11_faults::control::{Control, Rule};
use std::path::Path;
use std::time::{Duration, Instant};

/// The default deadline of a request, and how much later an answer may come on a busy machine.
const DEADLINE: Duration = Duration::from_millis(1500);
const SLACK: Duration = Duration::from_secs(1);

/// From the end of a hang to the next signature.
const RECOVERY: Duration = Duration::from_secs(3);

const SESSION_HANDLE_INVALID: u64 = 0xb3;
const USER_NOT_LOGGED_IN: u64 = 0x101;
const DEVICE_ERROR: u64 = 0x30;

/// A signer with two sessions that is well.
struct FaultySigner {
    signer: Signer,
    module: FaultyModule,
    env: TestEnv,
    level: u32,
    /// How many there are when nothing is wrong.
    sessions: u64,
    threads: usize,
}

impl FaultySigner {
    fn new(exit_after_hang_seconds: u32) -> Self {
        let env = TestEnv::new();
        let exit = format!("\"sessions\": 2, \"exitAfterHangSeconds\": {exit_after_hang_seconds}");
        env.edit_config("\"sessions\": 2", &exit);
        let module = FaultyModule::install(&env);
        let signer = module.start(&env);
        wait_for("the sessions", || (signer.metric("tezos_signer_hsm_sessions") == Some(2)).then_some(()));
        wait_for("/readyz", || (signer.admin("/readyz").status == 200).then_some(()));
        let sessions = module.state().sessions;
        let mut faulty = Self { signer, module, env, level: FLOOR + 1, sessions, threads: 0 };
        faulty.threads = faulty.threads_now();
        assert!(faulty.asks());
        faulty
    }

    /// How many threads the signer has, but the runtime's, which come and go.
    fn threads_now(&self) -> usize {
        let tasks = Path::new("/proc").join(self.signer.id().to_string()).join("task");
        let names = std::fs::read_dir(tasks)
            .unwrap()
            .filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
        names.filter(|name| !name.starts_with("tokio-")).count()
    }

    fn set(&self, rules: Vec<Rule>, needs_reinitialising: bool) {
        self.module.set(&Control { rules, needs_reinitialising, ..Control::default() });
    }

    /// Asks for the next signature, which is given or not, in time.
    fn asks(&mut self) -> bool {
        let (begin, key) = (Instant::now(), self.env.tz3());
        let payload = attestation(self.level, 0, 1);
        let answer = self.signer.sign(&key, &payload);
        assert!(begin.elapsed() < DEADLINE + SLACK, "{answer:?} after {:?}", begin.elapsed());
        if answer.status == 502 {
            return false;
        }
        let signature = answer.signature(&key, &payload);
        // What was signed late and was not released is not signed again either.
        assert_eq!(self.signer.signature(&key, &payload), signature);
        self.signer.sign(&key, &attestation(self.level, 0, 2)).refused(409);
        self.level += 1;
        true
    }

    /// The signature after a hang that is over.
    fn recovers(&mut self) {
        let end = Instant::now();
        while !self.asks() {
            assert!(end.elapsed() < RECOVERY, "no signature within {RECOVERY:?} after the end");
        }
        assert!(end.elapsed() < RECOVERY, "a signature {:?} after the end", end.elapsed());
        wait_for("sessions, threads and readiness as before", || {
            let as_before = self.module.state().sessions == self.sessions
                && self.threads_now() == self.threads
                && self.hung_calls() == 0
                && self.signer.admin("/readyz").status == 200;
            as_before.then_some(())
        });
        assert_eq!(self.module.state().violations, Vec::<String>::new());
    }

    fn hung_calls(&self) -> u64 {
        self.signer.metric("tezos_signer_hsm_hung_calls").unwrap_or_default()
    }

    fn replaced(&self) -> u64 {
        self.signer.metric("tezos_signer_hsm_threads_replaced_total").unwrap_or_default()
    }

    fn ends_with_75(&mut self, begin: Instant, within: Duration) {
        let status = self.signer.ended();
        assert_eq!(status.code(), Some(75), "{}", self.signer.log());
        assert!(begin.elapsed() < within, "it ended after {:?}", begin.elapsed());
        assert_eq!(self.module.state().violations, Vec::<String>::new());
    }
}

#[test]
fn a_call_that_hangs_costs_one_request_and_another_thread_takes_over_until_it_returns() {
    for function in ["C_SignInit", "C_Sign"] {
        let mut faulty = FaultySigner::new(10);
        faulty.set(vec![Rule::hang(function).times(1)], false);
        // One waits in vain, or none where it met a trial signature; then the other session signs, and soon a new one too.
        let mut refused = 0;
        wait_for("the new thread", || {
            refused += u32::from(!faulty.asks());
            (faulty.hung_calls() == 1 && faulty.replaced() == 1).then_some(())
        });
        assert!(refused <= 1, "{function}: {refused} requests were not signed");
        assert_eq!(faulty.module.state().hanging, 1);
        wait_for("two sessions that sign", || {
            assert!(faulty.asks());
            (faulty.signer.metric("tezos_signer_hsm_sessions") == Some(2)).then_some(())
        });
        // Of the hanging thread, too.
        assert_eq!((faulty.module.state().sessions, faulty.threads_now()), (faulty.sessions + 1, faulty.threads + 1));
        faulty.set(Vec::new(), false);
        faulty.recovers();
        assert_eq!(faulty.replaced(), 1);
    }
}

/// Tries a hang of a function in the sessions, or of the whole library, until it ends.
fn hangs_until_it_ends(rules: Vec<Rule>, needs_reinitialising: bool) {
    let mut faulty = FaultySigner::new(30);
    let function = rules[0].function.clone();
    faulty.set(rules, needs_reinitialising);
    wait_for(&format!("a hang of {function}"), || {
        faulty.asks();
        (faulty.module.state().hanging > 0).then_some(())
    });
    let begin = Instant::now();
    let mut refused = 0;
    while begin.elapsed() < Duration::from_secs(3) {
        refused += u32::from(!faulty.asks());
    }
    assert!(refused > 0, "{function}: a signature without it");
    assert!(faulty.module.state().hanging > 0);
    faulty.set(Vec::new(), needs_reinitialising);
    faulty.recovers();
}

/// Whoever signs next is told that the session is no good, whichever it is.
fn after(code: u64, function: &str) -> Vec<Rule> {
    let in_session = |session| Rule::new("C_SignInit", code).in_session(session);
    let mut rules = vec![Rule::hang(function)];
    rules.extend((1..10).map(in_session));
    rules
}

fn with_the_library(function: &str) -> Vec<Rule> {
    vec![Rule::hang(function), Rule::new("C_SignInit", DEVICE_ERROR).times(1)]
}

#[test]
fn while_c_sign_hangs_requests_are_answered_in_time() {
    hangs_until_it_ends(vec![Rule::hang("C_Sign")], false);
}

#[test]
fn while_c_signinit_hangs_requests_are_answered_in_time() {
    hangs_until_it_ends(vec![Rule::hang("C_SignInit")], false);
}

#[test]
fn while_c_opensession_hangs_requests_are_answered_in_time() {
    hangs_until_it_ends(after(SESSION_HANDLE_INVALID, "C_OpenSession"), false);
}

#[test]
fn while_c_login_hangs_requests_are_answered_in_time() {
    hangs_until_it_ends(after(USER_NOT_LOGGED_IN, "C_Login"), false);
}

#[test]
fn while_c_initialize_hangs_requests_are_answered_in_time() {
    hangs_until_it_ends(with_the_library("C_Initialize"), true);
}

#[test]
fn while_c_finalize_hangs_requests_are_answered_in_time() {
    hangs_until_it_ends(with_the_library("C_Finalize"), true);
}

#[test]
fn while_c_closesession_hangs_on_one_session_the_other_signs() {
    let mut faulty = FaultySigner::new(30);
    // For the trial signatures of both sessions, of which one hangs.
    let invalid = Rule::new("C_SignInit", SESSION_HANDLE_INVALID).times(4);
    faulty.set(vec![Rule::hang("C_CloseSession").times(1), invalid], false);
    wait_for("the hang", || {
        faulty.asks();
        (faulty.module.state().hanging == 1).then_some(())
    });
    wait_for("a signature", || faulty.asks().then_some(()));
    for _ in 0..20 {
        assert!(faulty.asks());
    }
    faulty.set(Vec::new(), false);
    faulty.recovers();
}

#[test]
fn a_token_that_signs_later_than_the_deadline_is_no_use_and_what_it_signs_late_is_dropped() {
    let mut faulty = FaultySigner::new(30);
    faulty.set(vec![Rule::slow("C_Sign", 1700)], false);
    // What is under way is from before.
    faulty.asks();
    for _ in 0..3 {
        assert!(!faulty.asks(), "signed in spite of the deadline");
    }
    let row = faulty.env.row(&faulty.env.tz3(), "attestation");
    assert!(row.starts_with(&(faulty.level - 1).to_string()), "the record says {row}");
    faulty.set(Vec::new(), false);
    faulty.recovers();
}

#[test]
fn where_all_sessions_hang_the_process_ends_with_75() {
    let mut faulty = FaultySigner::new(3);
    faulty.set(vec![Rule::hang("C_Sign")], false);
    let begin = Instant::now();
    assert!(!faulty.asks());
    faulty.ends_with_75(begin, Duration::from_secs(3 + 5));
}

#[test]
fn where_the_library_hangs_while_it_is_initialised_the_process_ends_with_75() {
    let mut faulty = FaultySigner::new(3);
    faulty.set(with_the_library("C_Initialize"), true);
    let begin = Instant::now();
    wait_for("the hang", || {
        faulty.asks();
        (faulty.module.state().hanging == 1).then_some(())
    });
    // It took a while until the library was given up.
    faulty.ends_with_75(begin, Duration::from_secs(3 + 8));
}

/// Each thread is replaced, until there are too many that hang.
#[test]
fn where_ever_more_calls_hang_the_process_ends_with_75_though_others_sign() {
    let mut faulty = FaultySigner::new(3);
    faulty.set(vec![Rule::hang("C_Sign").each(9)], false);
    let key = faulty.env.tz3();
    let mut signed = 0;
    wait_for("the end", || {
        let payload = attestation(faulty.level, 0, 1);
        let answer = faulty.signer.try_sign(&key, &payload);
        let Some(answer) = answer else { return Some(()) };
        if answer.status == 200 {
            answer.signature(&key, &payload);
            (faulty.level, signed) = (faulty.level + 1, signed + 1);
        }
        None
    });
    assert!(signed > 0);
    assert!(faulty.module.state().hanging > 4, "{:?}", faulty.module.state());
    faulty.ends_with_75(Instant::now(), Duration::from_secs(5));
}
