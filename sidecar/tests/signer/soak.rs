//! The soak: Octez-like load on two signers with four keys each, whose HSM, or the network to it, goes wrong again and again at
//! random; afterwards the ledger of all answers is checked. `make soak`; a short form is part of `make test`.
//!
//! `SOAK_SECONDS` and `SEED` in the environment say how long, and repeat what was thrown. Writes to `target/soak`.

mod baker;
mod dice;
mod disturbance;
mod ledger;
mod subject;
mod vitals;

use baker::Baker;
use dice::Dice;
use disturbance::{Disturbance, well};
use ledger::{Entry, Fault, is_healthy, violations};
use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use subject::{Hsm, Subject};

use crate::faulty_module::FaultyModule;
use crate::remote_token::RemoteToken;

#[test]
#[ignore = "takes as long as SOAK_SECONDS says: make soak"]
fn soak() {
    let from_environment = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos();
    let seed = from_environment("SEED").unwrap_or(u64::from(now));
    let lasts = Duration::from_secs(from_environment("SOAK_SECONDS").unwrap_or(30));
    // target/debug/deps/signer-…
    let directory = std::env::current_exe().unwrap().ancestors().nth(3).unwrap().join("soak");
    let _ = std::fs::remove_dir_all(&directory);
    std::fs::create_dir_all(&directory).unwrap();
    println!("\n   {} s, SEED={seed}, ledgers and logs in {}", lasts.as_secs(), directory.display());

    let begin = Instant::now();
    let subjects = [
        Subject::new("module", &directory, begin, |env| {
            let module = FaultyModule::install(env);
            module.set(&well());
            Hsm::Module(module)
        }),
        Subject::new("network", &directory, begin, |env| Hsm::Network(RemoteToken::install(env))),
    ];
    let dice = Dice::new(seed);
    let until = Instant::now() + lasts;
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let mut disturbing = Vec::new();
        for (number, subject) in (0..).zip(&subjects) {
            for (key, number) in subject.keys.iter().zip(10 * (number + 1)..) {
                let baker = Baker { subject, key, dice: dice.of_their_own(number), stop: &stop };
                scope.spawn(|| baker.bake());
            }
            let dice = dice.of_their_own(number);
            disturbing.push(scope.spawn(move || disturb(subject, dice, until)));
        }
        let mut next = Instant::now();
        while disturbing.iter().any(|thread| !thread.is_finished()) {
            if Instant::now() >= next {
                next += Duration::from_secs(10);
                for subject in &subjects {
                    println!("   {}", progress(subject, begin.elapsed()));
                }
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        stop.store(true, Ordering::SeqCst);
    });

    let mut wrong = Vec::new();
    for subject in &subjects {
        subject.keep_logs(&directory);
        summary(subject);
        wrong.extend(all_that_is_wrong(subject).into_iter().map(|what| format!("{}: {what}", subject.name)));
    }
    for what in wrong.iter().take(20) {
        println!("   WRONG  {what}");
    }
    assert!(wrong.is_empty(), "{} times not as promised, with SEED={seed}: see {}", wrong.len(), directory.display());
    println!("   All as promised.");
}

/// One fault after another, with time between to recover and to be well.
fn disturb(subject: &Subject, mut dice: Dice, until: Instant) {
    std::thread::sleep(Duration::from_secs(2));
    loop {
        std::thread::sleep(dice.milliseconds(500, 2000));
        subject.record_vitals();
        // The longest fault, and the time to recover.
        if Instant::now() + Duration::from_secs(6) > until {
            return;
        }
        subject.disturb(&Disturbance::of(&subject.hsm, &mut dice));
    }
}

fn all_that_is_wrong(subject: &Subject) -> Vec<String> {
    let book = subject.book();
    let mut wrong = book.wrong.clone();
    wrong.extend(violations(&book.entries, &book.faults));
    wrong.extend(broken_promises(&subject.ledger));
    for (first, last) in &book.vitals {
        wrong.extend(last.grown_since(first).iter().map(|what| format!("process {} has grown: {what}", first.process)));
    }
    if let Hsm::Module(module) = &subject.hsm {
        wrong.extend(module.state().violations.iter().map(|what| format!("PKCS#11: {what}")));
    }
    if !book.entries.iter().any(|entry| entry.status == Some(200)) {
        wrong.push("nothing was signed at all".to_owned());
    }
    wrong
}

/// What `e2e/history` finds in a ledger.
fn broken_promises(ledger: &Path) -> Vec<String> {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tools/history-checker");
    let checked = Command::new(&program).arg(ledger).output();
    let checked = checked.unwrap_or_else(|error| panic!("{}: {error}: `make soak` builds it", program.display()));
    let lines = String::from_utf8(checked.stdout).unwrap();
    match checked.status.code() {
        Some(0) => Vec::new(),
        Some(1) => lines.lines().skip(1).map(str::to_owned).collect(),
        _ => vec![format!("{}: {}", program.display(), String::from_utf8_lossy(&checked.stderr))],
    }
}

fn count(entries: &[Entry], status: Option<u16>) -> usize {
    entries.iter().filter(|entry| entry.status == status).count()
}

/// The slowest signature that no fault excuses.
fn slowest_healthy(entries: &[Entry], faults: &[Fault]) -> Duration {
    let healthy = entries.iter().filter(|entry| entry.status == Some(200) && is_healthy(entry, faults));
    healthy.map(Entry::took).max().unwrap_or_default()
}

fn progress(subject: &Subject, now: Duration) -> String {
    let book = subject.book();
    let entries = &book.entries;
    format!(
        "{:4} s  {:8} {:6} signed, {:5} refused (409), {:5} not now (502), {:4} faults, {} exits, slowest healthy {:?}",
        now.as_secs(),
        subject.name,
        count(entries, Some(200)),
        count(entries, Some(409)),
        count(entries, Some(502)),
        book.faults.len(),
        book.exits,
        slowest_healthy(entries, &book.faults),
    )
}

fn summary(subject: &Subject) {
    /// How often, the requests that were answered 502, and the slowest next signature after an end.
    #[derive(Default)]
    struct FaultSummary {
        faults: usize,
        missed: usize,
        slowest: Duration,
    }
    let book = subject.book();
    let mut seen = HashSet::new();
    let first_of_position = |entry: &&Entry| {
        let request = entry.request;
        entry.status == Some(200) && seen.insert((entry.key, request.kind, request.level, request.round))
    };
    let signed: Vec<&Entry> = book.entries.iter().filter(first_of_position).collect();
    let mut sorts = BTreeMap::<&str, FaultSummary>::new();
    for fault in &book.faults {
        let sort = sorts.entry(fault.sort).or_default();
        let missed = |entry: &&Entry| {
            entry.status == Some(502) && entry.answered >= fault.begin && entry.sent <= fault.end + fault.grace
        };
        sort.faults += 1;
        sort.missed += book.entries.iter().filter(missed).count();
        let next = signed.iter().find(|entry| entry.answered >= fault.end);
        sort.slowest = sort.slowest.max(next.map_or(Duration::ZERO, |entry| entry.answered.saturating_sub(fault.end)));
    }
    println!(
        "\n   {}\n   {:32} {:>6} {:>6} {:>28}",
        subject.name, "FAULT", "TIMES", "502", "NEXT SIGNATURE AFTER, AT MOST"
    );
    for (sort, FaultSummary { faults, missed, slowest }) in sorts {
        println!("   {sort:32} {faults:>6} {missed:>6} {:>25} ms", slowest.as_millis());
    }
    let slowest = book.entries.iter().map(Entry::took).max().unwrap_or_default();
    println!(
        "   {} requests: {} signed, {} refused (409), {} not now (502), {} without an answer; {} exits with 75",
        book.entries.len(),
        count(&book.entries, Some(200)),
        count(&book.entries, Some(409)),
        count(&book.entries, Some(502)),
        count(&book.entries, None),
        book.exits,
    );
    let healthy = slowest_healthy(&book.entries, &book.faults);
    println!("   slowest answer {slowest:?}, slowest signature while healthy {healthy:?}");
    if let (Some((first, _)), Some((_, last))) = (book.vitals.first(), book.vitals.last()) {
        println!("   at first {first:?}\n   at last  {last:?}");
    }
}
