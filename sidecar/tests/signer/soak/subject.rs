//! One signer of the soak: its test environment and process, the HSM that is disturbed, and the ledger of what it was asked and answered.

use super::disturbance::Disturbance;
use super::ledger::{Entry, Fault, Request, begin_event};
use super::vitals::Vitals;
use crate::faulty_module::FaultyModule;
use crate::process::{Signer, wait_for};
use crate::remote_token::RemoteToken;
use crate::test_env::TestEnv;
use serde_json::Value;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, RwLock};
use std::time::{Duration, Instant};
use tezos_signer_core::config::KeyConfig;

/// `hsm.exitAfterHangSeconds`: half of the default, to lose less time.
const EXIT_AFTER_HANG: u32 = 5;

const SESSIONS: u8 = 4;

/// How long after a fault signatures may be missed: usually, and where the library was initialised again.
const GRACE: Duration = Duration::from_secs(1);
const GRACE_OF_LIBRARY: Duration = Duration::from_secs(3);

/// What is in the way between the signer and its token.
pub(super) enum Hsm {
    Module(FaultyModule),
    Network(RemoteToken),
}

pub(super) struct Subject {
    pub(super) name: &'static str,
    pub(super) env: TestEnv,
    pub(super) hsm: Hsm,
    pub(super) keys: Vec<KeyConfig>,
    /// The file.
    pub(super) ledger: PathBuf,
    signer: RwLock<Signer>,
    begin: Instant,
    book: Mutex<Book>,
}

pub(super) struct Book {
    file: BufWriter<File>,
    pub(super) entries: Vec<Entry>,
    pub(super) faults: Vec<Fault>,
    /// Of each process: when it was well for the first time, and the last time.
    pub(super) vitals: Vec<(Vitals, Vitals)>,
    /// What went wrong beside the answers.
    pub(super) wrong: Vec<String>,
    pub(super) exits: u32,
    /// Sessions that stay open because the module failed to close them.
    unclosed: u64,
}

impl Subject {
    /// A signer with four keys that signs; its ledger goes to `directory` too.
    pub(super) fn new(name: &'static str, directory: &Path, begin: Instant, put: impl FnOnce(&TestEnv) -> Hsm) -> Self {
        let env = TestEnv::with_keys(&[("a", "p256"), ("b", "secp256k1"), ("c", "p256"), ("d", "secp256k1")]);
        env.run(&["watermarks", "initialise", "--level", &crate::test_env::FLOOR.to_string()]).succeeded();
        env.set_hsm("sessions", SESSIONS);
        env.set_hsm("exitAfterHangSeconds", EXIT_AFTER_HANG);
        let hsm = put(&env);
        let keys = env.config().keys;
        let ledger = directory.join(format!("{name}.jsonl"));
        let mut book = Book {
            file: BufWriter::new(File::create(&ledger).unwrap()),
            entries: Vec::new(),
            faults: Vec::new(),
            vitals: Vec::new(),
            wrong: Vec::new(),
            exits: 0,
            unclosed: 0,
        };
        book.write(&begin_event(&keys));
        let signer = RwLock::new(start(&env, &hsm));
        Self { name, env, hsm, keys, ledger, signer, begin, book: Mutex::new(book) }
    }

    pub(super) fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap()
    }

    /// Asks for a signature, and writes down what is answered. The status.
    pub(super) fn ask(&self, key: &KeyConfig, request: Request) -> Option<u16> {
        let payload = request.payload();
        let (sent, answer) = {
            let signer = self.signer.read().unwrap();
            (self.begin.elapsed(), signer.try_sign(key, &payload))
        };
        let answered = self.begin.elapsed();
        let (status, output) = match answer {
            Some(answer) if answer.status == 200 => {
                (Some(200), answer.json()["signature"].as_str().unwrap_or_default().to_owned())
            }
            Some(answer) => (Some(answer.status), answer.body),
            None => (None, String::new()),
        };
        let entry = Entry { key: key.hash(), request, sent, answered, status, output };
        let mut book = self.book();
        book.write(&entry.event(self.name));
        book.entries.push(entry);
        status
    }

    /// Whether the process has ended, and the HSM threads, descriptors and memory of one that has not.
    fn vitals(&self) -> Option<Vitals> {
        let signer = self.signer.read().unwrap();
        (!signer.has_ended()).then(|| Vitals::of(&signer))
    }

    /// How often the library was initialised again.
    fn libraries(&self) -> Option<u64> {
        let signer = self.signer.read().unwrap();
        if signer.has_ended() { None } else { signer.metric(r#"tezos_signer_hsm_recoveries_total{step="library"}"#) }
    }

    /// Is disturbed for a while, and given back well; the fault is in the book.
    pub(super) fn disturb(&self, disturbance: &Disturbance) {
        let libraries = self.libraries();
        let number = {
            let mut book = self.book();
            let (sort, what, begin) = (disturbance.sort, disturbance.what.clone(), self.begin.elapsed());
            book.faults.push(Fault { sort, what, begin, end: Duration::MAX / 4, grace: GRACE, ended_process: false });
            book.faults.len() - 1
        };
        disturbance.begin(&self.hsm);
        let lasts = disturbance.lasts.unwrap_or(Duration::from_secs(u64::from(EXIT_AFTER_HANG) + 6));
        let until = Instant::now() + lasts;
        while Instant::now() < until && !self.signer.read().unwrap().has_ended() {
            std::thread::sleep(Duration::from_millis(5).min(until.saturating_duration_since(Instant::now())));
        }
        if let Hsm::Module(module) = &self.hsm
            && disturbance.strikes_closing()
        {
            self.book().unclosed += module.state().struck;
        }
        disturbance.end(&self.hsm, &self.env);
        let ended_process = self.signer.read().unwrap().has_ended();
        if ended_process {
            self.restart(disturbance);
        } else if disturbance.lasts.is_none() {
            self.book().wrong.push(format!("{} {}: no end in {lasts:?}", disturbance.sort, disturbance.what));
        }
        let end = self.begin.elapsed();
        {
            let fault = &mut self.book().faults[number];
            (fault.end, fault.grace, fault.ended_process) = (end, GRACE_OF_LIBRARY, ended_process);
        }
        std::thread::sleep(GRACE_OF_LIBRARY);
        if !ended_process && !disturbance.heals_slowly && self.libraries() == libraries {
            self.book().faults[number].grace = GRACE;
        }
        let mut book = self.book();
        let fault = book.faults[number].event();
        book.write(&fault);
    }

    /// As a supervisor does it. Only a hang without end may end the process, and only with 75.
    fn restart(&self, disturbance: &Disturbance) {
        let mut signer = self.signer.write().unwrap();
        let status = signer.ended();
        if status.code() != Some(75) || disturbance.lasts.is_some() {
            self.book().wrong.push(format!("{} {}: ended with {status}", disturbance.sort, disturbance.what));
        }
        *signer = start(&self.env, &self.hsm);
        let mut book = self.book();
        book.exits += 1;
    }

    /// Writes down how the process is while nothing disturbs it.
    pub(super) fn record_vitals(&self) {
        let Some(now) = self.vitals() else { return };
        let mut book = self.book();
        if let Hsm::Module(module) = &self.hsm {
            let (open, most) = (module.state().sessions, u64::from(SESSIONS) + 1 + book.unclosed);
            if open > most {
                book.wrong.push(format!("{open} sessions are open in the library, and {SESSIONS} are wanted"));
            }
        }
        match book.vitals.last_mut() {
            Some((first, last)) if first.process == now.process => *last = now,
            _ => book.vitals.push((now.clone(), now)),
        }
    }

    /// Keeps what the processes have logged.
    pub(super) fn keep_logs(&self, directory: &Path) {
        let logs = std::fs::read_dir(&self.env.path).unwrap().map(|file| file.unwrap().path());
        for (number, log) in logs.filter(|path| path.extension().is_some_and(|end| end == "log")).enumerate() {
            std::fs::copy(log, directory.join(format!("{}-{number}.log", self.name))).unwrap();
        }
        self.book().file.flush().unwrap();
    }
}

impl Book {
    fn write(&mut self, line: &Value) {
        serde_json::to_writer(&mut self.file, line).unwrap();
        self.file.write_all(b"\n").unwrap();
    }
}

fn start(env: &TestEnv, hsm: &Hsm) -> Signer {
    let signer = match hsm {
        Hsm::Module(module) => module.start(env),
        Hsm::Network(token) => token.start(env),
    };
    wait_for("/startupz", || (signer.admin("/startupz").status == 200).then_some(()));
    signer
}
