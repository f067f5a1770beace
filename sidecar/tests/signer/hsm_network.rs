//! A network to the HSM that fails: cut, aborted, stalled, slow, unplugged, its other end restarted or not there at the start.
//! What is answered meanwhile, what is never answered, and that the signer signs again by itself once the network is well.

use crate::payload::attestation;
use crate::process::{Signer, wait_for};
use crate::remote_token::RemoteToken;
use crate::test_env::{FLOOR, TestEnv};
use std::time::{Duration, Instant};
use tezos_signer_core::config::KeyConfig;

/// The deadline of a request, and a second for a machine that does other things too.
const ANSWERED: Duration = Duration::from_millis(1500 + 1000);

/// Once the network is well: the next signature, where the library goes on as it was.
const RECOVERED: Duration = Duration::from_secs(1);

/// And where it had to be initialised again.
const REINITIALISED: Duration = Duration::from_secs(3);

/// Asks for votes of both keys as Octez does: for a vote that was answered 502, again.
struct Baker<'a> {
    signer: &'a Signer,
    keys: [KeyConfig; 2],
    asked: u32,
}

impl<'a> Baker<'a> {
    fn new(env: &TestEnv, signer: &'a Signer) -> Self {
        Self { signer, keys: [env.tz3(), env.tz2()], asked: 0 }
    }

    /// One request: whether it was signed, and if not, why. What was signed is signed only once.
    fn ask(&mut self) -> Result<(), String> {
        let (key, level) = (&self.keys[self.asked as usize % 2], FLOOR + 1 + self.asked / 2);
        let vote = attestation(level, 0, 1);
        let begin = Instant::now();
        let answer = self.signer.sign(key, &vote);
        assert!(begin.elapsed() < ANSWERED, "{answer:?} after {:?}", begin.elapsed());
        if answer.status != 200 {
            return Err(answer.refused(502));
        }
        let signature = answer.signature(key, &vote);
        assert_eq!(self.signer.signature(key, &vote), signature);
        self.signer.sign(key, &attestation(level, 0, 2)).refused(409);
        self.asked += 1;
        Ok(())
    }

    /// Asks for so long, and returns what was answered.
    fn ask_for(&mut self, duration: Duration) -> Vec<Result<(), String>> {
        let begin = Instant::now();
        let mut answers = Vec::new();
        while begin.elapsed() < duration {
            answers.push(self.ask());
            std::thread::sleep(Duration::from_millis(20));
        }
        answers
    }

    /// Asks until a signature of each key comes, which must be soon.
    fn recovers_within(&mut self, limit: Duration) {
        let begin = Instant::now();
        for _ in 0..2 {
            while let Err(reason) = self.ask() {
                let status = self.signer.admin("/status").body;
                assert!(
                    begin.elapsed() < limit,
                    "{reason} {:?} after the fault: {status} {}",
                    begin.elapsed(),
                    self.signer.log()
                );
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        let log = self.signer.log();
        assert!(begin.elapsed() < limit, "signed {:?} after the fault: {log}", begin.elapsed());
    }
}

/// A signer that signs, and asks for votes; then `fault`, which leaves the network well; then it signs again in time.
fn signs_again_after(limit: Duration, fault: impl FnOnce(&RemoteToken, &mut Baker<'_>)) {
    let env = TestEnv::new();
    let token = RemoteToken::install(&env);
    let signer = token.start_ready(&env);
    let mut baker = Baker::new(&env, &signer);
    baker.recovers_within(REINITIALISED);
    fault(&token, &mut baker);
    baker.recovers_within(limit);
    let all = baker.ask_for(Duration::from_millis(500));
    assert!(all.iter().all(Result::is_ok), "{all:?}: {}", signer.log());
    // As many threads as sessions: one whose call came back at last has ended.
    wait_for("the threads of two sessions", || (signer.session_threads() == 2).then_some(()));
    assert_eq!(signer.metric("tezos_signer_hsm_sessions"), Some(2));
    assert_eq!(signer.metric("tezos_signer_hsm_hung_calls"), Some(0));
}

fn all_failed(answers: &[Result<(), String>]) {
    assert!(!answers.is_empty() && answers.iter().all(Result::is_err), "{answers:?}");
}

#[test]
fn a_connection_that_is_cut_again_and_again() {
    signs_again_after(REINITIALISED, |token, baker| {
        let library = r#"tezos_signer_hsm_recoveries_total{step="library"}"#;
        token.proxy().cut();
        baker.recovers_within(REINITIALISED);
        assert!(baker.signer.metric(library) > Some(0));
        token.proxy().cut();
    });
}

#[test]
fn a_connection_that_is_aborted_under_a_call() {
    signs_again_after(REINITIALISED, |token, baker| {
        token.proxy().hold();
        let _ = baker.ask();
        token.proxy().reset();
        token.proxy().release();
    });
}

#[test]
fn an_answer_that_breaks_off_in_the_middle() {
    signs_again_after(REINITIALISED, |token, baker| {
        token.proxy().truncate();
        while token.proxy().truncates() {
            let _ = baker.ask();
        }
    });
}

#[test]
fn a_server_that_is_away_for_two_seconds_and_starts_again() {
    signs_again_after(REINITIALISED, |token, baker| {
        token.stop_server();
        all_failed(&baker.ask_for(Duration::from_secs(2)));
        let hsm = baker.signer.admin("/status").json()["hsm"].to_string();
        assert!(hsm.contains("C_") && hsm.contains("CKR_"), "{hsm}");
        token.start_server();
    });
}

#[test]
fn a_cable_that_is_out_for_two_seconds() {
    signs_again_after(REINITIALISED, |token, baker| {
        token.network.unplug();
        all_failed(&baker.ask_for(Duration::from_secs(2)));
        token.network.plug();
    });
}

#[test]
fn a_stall_of_three_seconds() {
    signs_again_after(RECOVERED, |token, baker| {
        token.proxy().hold();
        all_failed(&baker.ask_for(Duration::from_secs(3)));
        assert_eq!(baker.signer.metric("tezos_signer_hsm_up"), Some(0));
        assert!(baker.signer.metric("tezos_signer_hsm_hung_calls") > Some(0));
        token.proxy().release();
    });
}

#[test]
fn a_network_that_takes_30_ms_a_message() {
    signs_again_after(RECOVERED, |token, baker| {
        token.proxy().delay(Duration::from_millis(30));
        let answers = baker.ask_for(Duration::from_secs(5));
        assert!(answers.iter().filter(|answer| answer.is_ok()).count() > answers.len() / 2, "{answers:?}");
        token.proxy().delay(Duration::ZERO);
    });
}

/// The library blocks for ever in a connection that nothing comes through any more; a new process makes a new one.
#[test]
fn a_stall_without_end_ends_the_process_with_75_and_the_next_one_signs() {
    let env = TestEnv::new();
    env.set_hsm("exitAfterHangSeconds", 5);
    let token = RemoteToken::install(&env);
    let mut signer = token.start_ready(&env);
    Baker::new(&env, &signer).recovers_within(REINITIALISED);
    token.proxy().freeze();
    let begin = Instant::now();
    let mut baker = Baker::new(&env, &signer);
    baker.asked = 10;
    all_failed(&baker.ask_for(Duration::from_secs(3)));
    assert_eq!(signer.ended().code(), Some(75), "{}", signer.log());
    assert!(signer.log().contains(r#""step":"exit""#), "{}", signer.log());
    let took = begin.elapsed();
    assert!((4..10).contains(&took.as_secs()), "ended after {took:?}: {}", signer.log());

    let signer = token.start_ready(&env);
    let mut baker = Baker::new(&env, &signer);
    baker.asked = 10;
    baker.recovers_within(RECOVERED);
}

/// Waits, says why, and signs once the HSM is there.
fn starts_without_hsm(env: &TestEnv, mut token: RemoteToken, bring: impl FnOnce(&mut RemoteToken)) {
    let signer = token.start(env);
    wait_for("a reason that names a function or the token", || {
        let startupz = signer.admin("/startupz");
        assert_eq!(startupz.status, 503, "{startupz:?}");
        (startupz.body.contains("C_") || startupz.body.contains("test")).then_some(())
    });
    let mut baker = Baker::new(env, &signer);
    all_failed(&baker.ask_for(Duration::from_secs(2)));
    bring(&mut token);
    baker.recovers_within(REINITIALISED);
    wait_for("/startupz", || (signer.admin("/startupz").status == 200).then_some(()));
}

#[test]
fn at_the_start_nobody_listens() {
    let env = TestEnv::new();
    let token = RemoteToken::install(&env);
    token.stop_server();
    starts_without_hsm(&env, token, |token| token.start_server());
}

#[test]
fn at_the_start_the_cable_is_out() {
    let env = TestEnv::new();
    let token = RemoteToken::install(&env);
    token.network.unplug();
    starts_without_hsm(&env, token, |token| token.network.plug());
}

/// Even to initialise the library never returns: a new process would only wait for the same.
#[test]
fn at_the_start_the_network_stalls() {
    let env = TestEnv::new();
    let token = RemoteToken::install(&env);
    token.proxy().hold();
    let signer = token.start(&env);
    wait_for("a reason", || {
        let startupz = signer.admin("/startupz");
        assert_eq!(startupz.status, 503, "{startupz:?}");
        startupz.body.contains("the PKCS#11 library does not return").then_some(())
    });
    let mut baker = Baker::new(&env, &signer);
    all_failed(&baker.ask_for(Duration::from_secs(2)));
    token.proxy().release();
    baker.recovers_within(REINITIALISED);
}

/// p11-kit-client.so initialises well then, and has no slots.
#[test]
fn at_the_start_the_library_has_no_slots() {
    let env = TestEnv::new();
    let token = RemoteToken::install_without_proxy(&env);
    starts_without_hsm(&env, token, RemoteToken::connect);
}
