//! Everything that can be wrong with KMS or the way to it, met by keys of each scheme, once and for a while: never a wrong or a second
//! signature, the right status in time, and a signature soon after the end.

use crate::kms_env::{start, three_keys};
use crate::kms_stand_in::{Fault, KmsStandIn};
use crate::payload::attestation;
use crate::process::{Signer, wait_for};
use crate::test_env::{FLOOR, TestEnv};
use serde_json::json;
use std::time::{Duration, Instant};
use tezos_signer_core::config::KeyConfig;

/// Of each request.
const DEADLINE: Duration = Duration::from_millis(900);

/// How much later than its deadline an answer may come on a busy machine.
const SLACK: Duration = Duration::from_millis(1500);

/// From the end of a fault to the next signature.
const RECOVERY: Duration = Duration::from_secs(2);

/// A fault, and whether the signature comes all the same.
const FAULTS: [(Fault, bool); 24] = [
    (Fault::Throttled, false),
    (Fault::Denied("Sign"), false),
    (Fault::NotFound, false),
    (Fault::Internal, false),
    (Fault::Unavailable, false),
    (Fault::KeyUnavailable, false),
    (Fault::DependencyTimeout, false),
    (Fault::Page(502), false),
    (Fault::Page(403), false),
    (Fault::Page(200), false),
    (Fault::Half, false),
    (Fault::Cut, false),
    (Fault::Silent, false),
    (Fault::Slow(Duration::from_millis(600)), true),
    (Fault::Slow(Duration::from_secs(3)), false),
    (Fault::Expired("AKIATEST"), false),
    (Fault::UnknownClient, false),
    (Fault::InvalidSignature, false),
    (Fault::Unheard, false),
    (Fault::WrongSignature, false),
    (Fault::SignatureOfAnotherKey, false),
    (Fault::HighS, true),
    (Fault::BadDer, false),
    (Fault::NoSignature, false),
];

struct Subject {
    kms: KmsStandIn,
    _env: TestEnv,
    signer: Signer,
    keys: Vec<KeyConfig>,
    level: u32,
}

impl Subject {
    fn new() -> Self {
        let (kms, env) = three_keys();
        env.set_config(json!({"requestDeadlineMilliseconds": DEADLINE.as_millis()}));
        let signer = start(&env);
        let keys = env.config().keys;
        Self { kms, _env: env, signer, keys, level: FLOOR }
    }

    /// Asks for a vote of this level: the signature, or none now. Both in time.
    fn ask(&self, key: &KeyConfig, salt: u8) -> Option<String> {
        let payload = attestation(self.level, 0, salt);
        let begin = Instant::now();
        let answer = self.signer.sign(key, &payload);
        let took = begin.elapsed();
        assert!(took < DEADLINE + SLACK, "{answer:?} after {took:?}");
        if answer.status == 200 {
            return Some(answer.signature(key, &payload));
        }
        answer.refused(502);
        None
    }

    /// The fault lasts for a request of each key.
    fn cell_until_cleared(&mut self, fault: &Fault, signs: bool) {
        self.level += 1;
        self.kms.set_fault(Some(fault.clone()));
        let met = self.kms.met();
        let during: Vec<_> = std::thread::scope(|scope| {
            let asked: Vec<_> = self.keys.iter().map(|key| scope.spawn(|| self.ask(key, 1))).collect();
            asked.into_iter().map(|asked| asked.join().unwrap()).collect()
        });
        assert!(self.kms.met() > met, "{fault:?} was not met");
        self.kms.set_fault(None);
        let end = Instant::now();
        for (key, during) in self.keys.iter().zip(during) {
            assert_eq!(during.is_some(), signs, "{fault:?}, {}", key.public_key.curve());
            let after = wait_for("a signature", || self.ask(key, 1));
            assert!(end.elapsed() < RECOVERY + SLACK, "{fault:?}: {:?}", end.elapsed());
            assert!(during.is_none_or(|during| during == after), "{fault:?}: two signatures");
            let conflict = self.signer.sign(key, &attestation(self.level, 0, 2));
            assert_eq!(conflict.status, 409, "{fault:?}: {conflict:?}");
        }
        let status = wait_for("/readyz", || (self.signer.admin("/readyz").status == 200).then(|| self.signer.status()));
        assert!(status.hsm.reason.is_none(), "{fault:?}: {status:?}");
    }

    /// The fault is over before the deadline: what may pass by itself costs no signature.
    fn cell_of_a_moment(&mut self, fault: &Fault) {
        self.level += 1;
        let key = &self.keys[usize::try_from(self.level).unwrap() % 3];
        self.kms.set_fault(Some(fault.clone()));
        let met = self.kms.met();
        let signed = std::thread::scope(|scope| {
            let asked = scope.spawn(|| self.ask(key, 1));
            wait_for("the fault", || (self.kms.met() > met).then_some(()));
            self.kms.set_fault(None);
            asked.join().unwrap()
        });
        assert!(signed.is_some(), "{fault:?} of a moment");
    }
}

#[test]
fn whatever_kms_does_nothing_wrong_is_signed_and_the_signer_is_itself_again_in_time() {
    let mut subject = Subject::new();
    for (fault, signs) in &FAULTS {
        subject.cell_until_cleared(fault, *signs);
    }
    for fault in [
        Fault::Throttled,
        Fault::Internal,
        Fault::Unavailable,
        Fault::KeyUnavailable,
        Fault::DependencyTimeout,
        Fault::Page(502),
        Fault::Half,
        Fault::Cut,
        Fault::Silent,
        Fault::WrongSignature,
    ] {
        subject.cell_of_a_moment(&fault);
    }
}

/// A whole outage, from before the start: nothing to connect to, then KMS.
#[test]
fn a_signer_that_starts_before_kms_can_be_reached_begins_to_sign_by_itself() {
    let (kms, env) = three_keys();
    let endpoint = kms.endpoint();
    let [port] = crate::ports::reserve();
    let text = std::fs::read_to_string(env.config_file()).unwrap();
    std::fs::write(env.config_file(), text.replace(&endpoint, &format!("http://127.0.0.1:{port}"))).unwrap();
    let signer = crate::kms_env::start_unready(&env);
    let key = &env.config().keys[0];
    let reason =
        wait_for("the reason", || signer.key_status(key).hsm.filter(|reason| reason.contains("cannot be reached")));
    assert!(reason.contains("refused"), "{reason}");
    assert!(signer.sign(key, &attestation(FLOOR + 1, 0, 1)).refused(502).contains("cannot be reached"));
    assert_eq!(signer.admin("/startupz").status, 503);
    kms.also_on(port);
    wait_for("/startupz", || (signer.admin("/startupz").status == 200).then_some(()));
    signer.signature(key, &attestation(FLOOR + 1, 0, 1));
}
