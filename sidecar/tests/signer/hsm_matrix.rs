//! Every error code of PKCS#11 that is treated in its own way, from every function that the signer calls, once, five times,
//! and until it ends: what is answered meanwhile, that the signer is itself again in time, and that nothing is left behind.
//!
//! The table is printed and written to `target/hsm-matrix.txt`, and beside it the log of the signer in each cell that failed.
//! `HSM_MATRIX="C_Login CKR_PIN"` tries only the cells whose function and code begin so.

mod axes;
mod table;

use crate::faulty_module::FaultyModule;
use crate::payload::attestation;
use crate::process::{Answer, Signer, wait_for};
use crate::test_env::{FLOOR, PIN, TestEnv};
use axes::{BURST, CODES, FUNCTIONS, LENGTHS, Length, NOTHING_FOUND, Trigger};
use pkcs11_faults::control::{Control, Rule, State};
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime};
use table::{Failure, Recovery, Results, table};
use tezos_signer_core::config::KeyConfig;
use tezos_signer_core::key::{Message, Signature};

/// Many wait most of their time. More than the machine has cores.
const SIGNERS: usize = 40;

/// The deadline of a request in these test environments.
const DEADLINE: Duration = Duration::from_millis(500);

/// How much later than its deadline an answer may come on a busy machine.
const SLACK: Duration = Duration::from_millis(1500);

/// From the end of a fault to the next signature.
const RECOVERY: Duration = Duration::from_secs(1);
const RECOVERY_OF_LIBRARY: Duration = Duration::from_secs(3);

/// In which a fault must be met, and after which a signer is given up that does not recover.
const LIMIT: Duration = Duration::from_secs(15);

/// The same where it meets one key.
const HOLD_OF_ONE_KEY: Duration = Duration::from_secs(3);

/// For how long a signer is well that no fault meets any more.
const AROUND: Duration = Duration::from_secs(1);

/// How long a fault lasts that lasts until it is cleared: longer than a holder keeps its lease.
const HOLD: Duration = Duration::from_millis(2200);

/// How long it is watched that a refused PIN is not tried again.
const WATCH: Duration = Duration::from_millis(300);

/// How long sessions and threads may take to be as they were.
const SETTLING: Duration = Duration::from_secs(5);

/// A signer that goes from cell to cell.
struct FaultySigner {
    signer: Signer,
    module: FaultyModule,
    env: TestEnv,
    key: KeyConfig,
    /// The next to sign.
    level: u32,
    /// The last that the other key was asked for.
    other_level: u32,
    /// The last that was signed, and its signature.
    last: (Vec<u8>, String),
    serial: u64,
    /// How many sessions are open when nothing is wrong.
    sessions: u64,
}

impl FaultySigner {
    fn new() -> Self {
        let env = TestEnv::new();
        env.set_config(serde_json::json!({"requestDeadlineMilliseconds": DEADLINE.as_millis()}));
        let module = FaultyModule::install(&env);
        let signer = Self::start(&env, &module);
        let key = env.tz3();
        let sessions = module.state().sessions;
        let (level, last) = (FLOOR + 1, <_>::default());
        Self { signer, module, env, key, level, other_level: FLOOR, last, serial: 0, sessions }
    }

    fn start(env: &TestEnv, module: &FaultyModule) -> Signer {
        let signer = module.start(env);
        wait_for("the sessions", || (signer.metric("tezos_signer_hsm_sessions") == Some(2)).then_some(()));
        wait_for("/readyz", || (signer.admin("/readyz").status == 200).then_some(()));
        signer
    }

    /// Another signer, after one that a cell has left in disorder.
    fn restart(&mut self) {
        self.set(Vec::new(), false);
        self.signer.kill();
        self.signer.ended();
        self.signer = Self::start(&self.env, &self.module);
    }

    fn set(&mut self, rules: Vec<Rule>, needs_reinitialising: bool) {
        self.serial += 1;
        self.module.set(&Control { serial: self.serial, rules, needs_reinitialising, ..Control::default() });
    }

    /// What the module has seen of the present control; nothing before it has read it.
    fn state(&self) -> Option<State> {
        Some(self.module.state()).filter(|state| state.serial == self.serial)
    }

    /// How often the first rule struck.
    fn struck(&self) -> u64 {
        self.state().and_then(|state| state.struck_by_rule.first().copied()).unwrap_or_default()
    }

    fn calls(&self, function: &str) -> u64 {
        self.module.state().calls.get(function).copied().unwrap_or_default()
    }

    /// The names of the signer's threads, but the runtime's, which come and go.
    fn threads(&self) -> Vec<String> {
        let tasks = Path::new("/proc").join(self.signer.id().to_string()).join("task");
        let mut names: Vec<_> = std::fs::read_dir(tasks)
            .into_iter()
            .flatten()
            .filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok())
            .filter(|name| !name.starts_with("tokio-"))
            .collect();
        names.sort();
        names
    }

    /// Asks for the next signature: whether it was given.
    fn ask(&mut self) -> Result<bool, String> {
        let payload = attestation(self.level, 0, 1);
        let Some(signature) = self.ask_with(&self.key, &payload)? else { return Ok(false) };
        self.last = (payload, signature);
        self.level += 1;
        Ok(true)
    }

    /// The signature, or none now; in time.
    fn ask_with(&self, key: &KeyConfig, payload: &[u8]) -> Result<Option<String>, String> {
        let begin = Instant::now();
        let answer = self.signer.try_sign(key, payload).ok_or("the connection broke")?;
        if begin.elapsed() > DEADLINE + SLACK {
            return Err(format!("{} after {} ms", answer.status, begin.elapsed().as_millis()));
        }
        match answer.status {
            200 => right_signature(key, payload, &answer).map(Some),
            502 => Ok(None),
            status => Err(format!("{status}: {}", answer.body)),
        }
    }

    fn is_ready(&self) -> bool {
        self.signer.admin("/readyz").status == 200 && self.signer.metric("tezos_signer_hsm_sessions") == Some(2)
    }

    /// Asks until the fault has struck so often, or until the signer has found a way on which it does not meet the fault.
    fn ask_until_struck(&mut self, count: u64) -> Result<(), String> {
        let mut well_since = Instant::now();
        let mut struck = 0;
        self.ask_until(
            |faulty| {
                if faulty.struck() != struck || !faulty.is_ready() {
                    (struck, well_since) = (faulty.struck(), Instant::now());
                }
                struck >= count || struck > 0 && well_since.elapsed() > AROUND
            },
            "the fault",
        )
    }

    /// Asks until it is so.
    fn ask_until(&mut self, mut is_so: impl FnMut(&Self) -> bool, what: &str) -> Result<(), String> {
        let begin = Instant::now();
        loop {
            self.ask()?;
            if is_so(self) {
                return Ok(());
            }
            if begin.elapsed() > LIMIT {
                return Err(format!("{what}: not in {LIMIT:?}; struck {} times", self.struck()));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// The signature after a fault that ended at `end`: how long it took.
    fn recovers(&mut self, end: Instant, initialised: u64) -> Result<Duration, Failure> {
        while !self.ask()? {
            if end.elapsed() > LIMIT {
                return Err(format!("no signature within {LIMIT:?} after the end").into());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let took = end.elapsed();
        let limit = if self.calls("C_Initialize") > initialised { RECOVERY_OF_LIBRARY } else { RECOVERY };
        if took > limit {
            return Err(Failure::Late(took));
        }
        Ok(took)
    }

    /// Nothing that was signed is signed again or lost, and nothing is left behind.
    fn is_as_before(&mut self, threads: &[String]) -> Result<(), String> {
        let (payload, signature) = self.last.clone();
        let level = self.level - 1;
        let again = self.signer.try_sign(&self.key, &payload).ok_or("the connection broke")?;
        if right_signature(&self.key, &payload, &again)? != signature {
            return Err("a second signature".to_owned());
        }
        let other = self.signer.try_sign(&self.key, &attestation(level, 0, 2)).ok_or("the connection broke")?;
        if other.status != 409 {
            return Err(format!("another payload at the same position: {other:?}"));
        }
        let row = self.env.row(&self.key, "attestation");
        if !row.starts_with(&format!("{level} 0 ")) {
            return Err(format!("signed {level}, but the record says {row}"));
        }
        self.settle(threads)?;
        match &self.module.state().violations[..] {
            [] => Ok(()),
            violations => Err(violations.join("; ")),
        }
    }

    /// Waits until sessions and threads are as many as they were.
    fn settle(&mut self, threads: &[String]) -> Result<(), String> {
        let begin = Instant::now();
        loop {
            let (state, now) = (self.module.state(), self.threads());
            // What the library did not close stays open, in it, until it is initialised anew.
            let sessions = state.sessions - state.unclosed;
            let ready = self.is_ready();
            if ready && sessions == self.sessions && now == threads {
                return Ok(());
            }
            if begin.elapsed() > SETTLING {
                let wanted = self.sessions;
                return Err(format!("{sessions} sessions of {wanted}, ready: {ready}, threads {now:?} of {threads:?}"));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn cell(&mut self, code: u64, function: &str, trigger: Trigger, length: Length) -> Result<Recovery, Failure> {
        let (threads, initialised) = (self.threads(), self.calls("C_Initialize"));
        let count = match length {
            Length::Once => Some(1),
            Length::Burst => Some(BURST),
            Length::Until => None,
        };
        let mut rules = vec![Rule { count, empty: code == NOTHING_FOUND, ..Rule::new(function, code) }];
        let invalid = Rule::new("C_SignInit", if trigger == Trigger::Login { 0x101 } else { 0xb3 });
        match trigger {
            Trigger::Request => {}
            Trigger::Session | Trigger::Login => {
                let mut sessions = self.module.state().open;
                if function == "C_CloseSession" && length == Length::Burst {
                    // Two of them are closed, and each of the next ones.
                    let next = sessions.last().map_or(1, |last| last + 1);
                    sessions.extend(next..next + BURST - 2);
                }
                rules.extend(sessions.into_iter().map(|session| invalid.clone().in_session(session)));
            }
            Trigger::Library => rules.push(Rule::new("C_SignInit", 0x30).times(1)),
        }
        let is_library = trigger == Trigger::Library;
        let mut in_full = true;
        self.set(rules.clone(), is_library);
        let took = if function == "C_Login" && is_of_the_pin(code) {
            self.refused_pins(count, initialised)?
        } else if let Some(count) = count {
            self.ask_until_struck(count)?;
            let struck_at = self.module.state().struck_at_us;
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_micros();
            let ago = Duration::from_micros((now - u128::from(struck_at)).try_into().unwrap());
            // One that was met less often is over for as long as nothing was wrong.
            in_full = self.struck() >= count;
            let ago = if in_full { ago } else { Duration::ZERO };
            self.recovers(Instant::now().checked_sub(ago).unwrap(), initialised)?
        } else {
            self.ask_until(|faulty| faulty.struck() > 0, "the fault")?;
            let begin = Instant::now();
            while begin.elapsed() < HOLD {
                if self.ask()? && trigger == Trigger::Request {
                    return Err("signed during the fault".to_owned().into());
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            // What began it does not get well.
            self.set(rules.split_off(1), is_library);
            self.recovers(Instant::now(), initialised)?
        };
        self.set(Vec::new(), false);
        self.is_as_before(&threads)?;
        Ok(Recovery { took, in_full })
    }

    /// A PIN that is refused is not tried again before its file changes.
    fn refused_pins(&mut self, count: Option<u64>, initialised: u64) -> Result<Duration, Failure> {
        for refusal in 1..=count.unwrap_or(2) {
            self.ask_until(|faulty| faulty.struck() >= refusal, "the refusal")?;
            let begin = Instant::now();
            while begin.elapsed() < WATCH {
                self.ask()?;
                std::thread::sleep(Duration::from_millis(10));
            }
            if self.struck() != refusal {
                return Err(format!("C_Login {} times with {refusal} PIN files", self.struck()).into());
            }
            if count.unwrap_or(2) == refusal && count.is_none() {
                self.set(Vec::new(), false);
            }
            // The same PIN in a file of another length.
            self.env.write_pin(&format!("{PIN}{}", "\n".repeat(usize::try_from(refusal % 2).unwrap())));
        }
        self.recovers(Instant::now(), initialised)
    }

    /// While the HSM refuses one key, the other signs; and so does the one soon afterwards.
    fn cell_of_one_key(&mut self, code: u64) -> Result<(), Failure> {
        let (refused, threads) = (self.env.tz2(), self.threads());
        self.other_level += 1;
        let payload = attestation(self.other_level, 0, 1);
        self.set(vec![Rule::new("C_SignInit", code).of_key("tz2")], false);
        let begin = Instant::now();
        let mut asked = 0;
        while begin.elapsed() < HOLD_OF_ONE_KEY {
            asked += 1;
            if self.ask_with(&refused, &payload)?.is_some() {
                return Err("signed during the fault".to_owned().into());
            }
            if !self.ask()? {
                return Err(format!("the other key did not sign, at the {asked}. time").into());
            }
            // Some trial signatures are made meanwhile.
            std::thread::sleep(Duration::from_millis(if asked % 3 == 0 { 1200 } else { 20 }));
        }
        if self.struck() == 0 {
            return Err("the fault was not met".to_owned().into());
        }
        self.set(Vec::new(), false);
        let end = Instant::now();
        while self.ask_with(&refused, &payload)?.is_none() {
            if end.elapsed() > LIMIT {
                return Err(format!("no signature within {LIMIT:?} after the end").into());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let took = end.elapsed();
        self.is_as_before(&threads)?;
        if took > RECOVERY { Err(Failure::Late(took)) } else { Ok(()) }
    }
}

fn is_of_the_pin(code: u64) -> bool {
    matches!(code, 0xa0 | 0xa3 | 0xa4 | 0x102)
}

/// The signature of an answer, where it is one.
fn right_signature(key: &KeyConfig, payload: &[u8], answer: &Answer) -> Result<String, String> {
    let text = answer.json()["signature"].as_str().unwrap_or_default().to_owned();
    let signature: Signature = text.parse().map_err(|_| format!("no signature: {answer:?}"))?;
    if !key.public_key.verify(&Message::new(payload), &signature) {
        return Err(format!("a wrong signature: {answer:?}"));
    }
    Ok(text)
}

/// Cargo's.
fn target() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_tezos-signer")).ancestors().nth(2).unwrap()
}

/// Cells that were late in company: function, code, length.
type Late = Mutex<Vec<(usize, usize, Length)>>;

impl FaultySigner {
    /// As [`Self::cell`]; one that is late in company is tried once more when it is alone.
    fn cell_or_why_not(
        &mut self,
        (function, code): (usize, usize),
        length: Length,
        late: Option<&Late>,
    ) -> Result<Recovery, String> {
        let ((name, trigger), code_value) = (FUNCTIONS[function], CODES[code].1);
        let failure = match self.cell(code_value, name, trigger, length) {
            Ok(recovery) => return Ok(recovery),
            Err(failure) => failure,
        };
        let log = target().join(format!("hsm-matrix-{name}-{code_value:#x}-{length:?}.log"));
        std::fs::write(&log, self.signer.log()).unwrap();
        self.restart();
        if let (Failure::Late(_), Some(late)) = (&failure, late) {
            late.lock().unwrap().push((function, code, length));
        }
        Err(format!("{failure}; {}", log.display()))
    }
}

#[test]
#[ignore = "measures times, and so needs the machine for itself: make hsm-matrix runs it alone"]
fn whatever_a_function_returns_and_however_often_the_signer_is_itself_again_in_time() {
    let only = std::env::var("HSM_MATRIX").unwrap_or_default();
    let (only_function, only_code) = only.split_once(' ').unwrap_or((&only, ""));
    let jobs = (0..FUNCTIONS.len()).flat_map(|function| (0..CODES.len()).map(move |code| (function, code)));
    let jobs: Vec<_> = jobs
        .filter(|(function, code)| {
            let (function, (name, code)) = (FUNCTIONS[*function].0, CODES[*code]);
            let exists = code != NOTHING_FOUND || matches!(function, "C_GetSlotList" | "C_FindObjects");
            exists && function.starts_with(only_function) && name.starts_with(only_code)
        })
        .collect();
    assert!(!jobs.is_empty(), "HSM_MATRIX={only:?} fits no cell");
    let signers = SIGNERS.min(jobs.len());
    let begin = Instant::now();
    let (queue, results) = (Mutex::new(jobs.into_iter()), Mutex::new(Results::new()));
    let late = Late::default();
    std::thread::scope(|scope| {
        for _ in 0..signers {
            scope.spawn(|| {
                let mut faulty = FaultySigner::new();
                loop {
                    let Some(job) = queue.lock().unwrap().next() else { return };
                    let cells = LENGTHS.map(|length| faulty.cell_or_why_not(job, length, Some(&late)));
                    results.lock().unwrap().insert((job.1, job.0), cells.into());
                }
            });
        }
    });
    let mut results = results.into_inner().unwrap();
    let late = late.into_inner().unwrap();
    if !late.is_empty() {
        println!("{} cells were late beside all others: once more, one by one", late.len());
        let mut faulty = FaultySigner::new();
        for (function, code, length) in late {
            let again = faulty.cell_or_why_not((function, code), length, None);
            let cells = results.get_mut(&(code, function)).unwrap();
            cells[LENGTHS.iter().position(|one| *one == length).unwrap()] = again;
        }
    }
    let table = table(&results, begin.elapsed());
    println!("{table}");
    std::fs::write(target().join("hsm-matrix.txt"), &table).unwrap();
    let failed = results.values().flatten().filter(|cell| cell.is_err()).count();
    assert_eq!(failed, 0, "cells that failed; see the table");
}

#[test]
#[ignore = "measures times, and so needs the machine for itself: make hsm-matrix runs it alone"]
fn whatever_the_hsm_says_of_one_key_the_other_signs() {
    let codes = CODES.into_iter().filter(|(_, code)| *code != NOTHING_FOUND);
    let (queue, failures) = (Mutex::new(codes), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..SIGNERS / 2 {
            scope.spawn(|| {
                let mut faulty = FaultySigner::new();
                loop {
                    let Some((name, code)) = queue.lock().unwrap().next() else { return };
                    if let Err(failure) = faulty.cell_of_one_key(code) {
                        failures.lock().unwrap().push((name, code, failure));
                        faulty.restart();
                    }
                }
            });
        }
    });
    let mut faulty = FaultySigner::new();
    let failures = failures.into_inner().unwrap().into_iter().filter_map(|(name, code, failure)| {
        let failure = match failure {
            // Once more, alone.
            Failure::Late(_) => faulty.cell_of_one_key(code).err()?,
            broken @ Failure::Broken(_) => broken,
        };
        Some(format!("{name}: {failure}"))
    });
    let failures: Vec<_> = failures.collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
