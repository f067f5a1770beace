//! The same for a signer on a host of its own: files, the page cache above the disk, killed processes and power losses, after
//! `sidecar/src/store/file.rs`.
//!
//! What is assumed of the kernel: what was not synced may or may not be there after a power loss; a page whose fsync failed
//! is dropped, still shown, and a later fsync says that all is well; a directory whose fsync failed belongs to a file system
//! that takes no more writes until it is mounted again (ext4 and XFS end their journal then).

use crate::promises::Broken;
use crate::released::{ASKS, check_held, release};
use crate::requests::Request;
use crate::rules::Rules;
use crate::search::{Model, Step};
use crate::symbols::{RecordId, SignatureId, Symbols, Verdict};
use tezos_signer_core::key::Curve;
use tezos_signer_core::position::Level;
use tezos_signer_core::record::Record;

/// A file's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct File {
    /// `None`: cut off or empty, after a power loss.
    record: Option<RecordId>,
    on_disk: bool,
    /// Its fsync has failed: the next one says that it is on disk, and it is not.
    dropped: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Phase {
    Down,
    Idle,
    Look(Request),
    Ready(Request),
    Signed(SignatureId),
    /// The file is still what was decided on; nothing is written yet.
    Compared(SignatureId, RecordId),
    /// The new file is written.
    Written(Request, File),
    /// The new file is on disk, under its own name.
    Synced(Request, File),
    /// It has the name of the record.
    Renamed(Request),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Process {
    phase: Phase,
    copy: Option<RecordId>,
}

impl Process {
    const DOWN: Self = Self { phase: Phase::Down, copy: None };
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Host {
    /// What a read shows.
    shown: File,
    /// What has the name on the disk, while a rename is not on it yet.
    below: Option<File>,
    /// The file system takes no more writes.
    ended: bool,
    processes: [Process; 2],
    released: Vec<SignatureId>,
    asks: [u8; 3],
    /// How many signatures the HSM has made: none comes twice.
    made: u8,
    kills: u8,
    power_losses: u8,
    failures: u8,
}

/// The model, with the rules that hold.
pub(crate) struct Disk {
    rules: Rules,
    symbols: Symbols,
}

impl Disk {
    pub(crate) fn new(rules: Rules, scheme: Curve) -> Self {
        Self { rules, symbols: Symbols::new(rules, scheme) }
    }

    fn opens(&self, host: &mut Host, process: usize) -> Option<String> {
        let other = host.processes[1 - process].phase;
        if self.rules.lock_directory && other != Phase::Down {
            return None;
        }
        if self.rules.sync_on_opening {
            if host.ended {
                return None;
            }
            host.shown.on_disk |= !host.shown.dropped;
            host.below = None;
        }
        host.processes[process] = Process { phase: Phase::Idle, copy: None };
        Some("starts, and opens the directory".to_owned())
    }

    /// After a failure: the end, or a new look.
    fn failed(host: &mut Host, process: usize, request: Request, ends: bool) {
        let again = Process { phase: Phase::Look(request), copy: None };
        host.processes[process] = if ends { Process::DOWN } else { again };
    }

    /// The next step of a process, without failures.
    fn proceed(&self, host: &mut Host, process: usize, broken: &mut Vec<Broken>) -> Option<String> {
        let me = host.processes[process];
        let mut phase = |phase| host.processes[process].phase = phase;
        Some(match me.phase {
            Phase::Down => return self.opens(host, process),
            Phase::Idle => return None,
            Phase::Look(request) => {
                let copy = me.copy.or(host.shown.record);
                host.processes[process].copy = copy;
                host.processes[process].phase = copy.map_or(Phase::Idle, |_| Phase::Ready(request));
                copy.map_or("finds a file that is no record, and refuses".to_owned(), |copy| {
                    format!("looks at the record: {}", self.symbols.show(copy))
                })
            }
            Phase::Ready(request) => match self.symbols.decide(me.copy?, request) {
                Verdict::Refuse(why, _) => {
                    phase(Phase::Idle);
                    format!("refuses {request} ({why})")
                }
                Verdict::Replay(signature) => {
                    phase(Phase::Idle);
                    release(&self.symbols, &mut host.released, signature, broken);
                    self.check_held(host, broken);
                    format!("answers {signature}")
                }
                Verdict::Sign => {
                    let signature = self.symbols.made(request, host.made);
                    host.made += 1;
                    host.processes[process].phase = Phase::Signed(signature);
                    format!("the HSM makes {signature}")
                }
            },
            Phase::Signed(signature) if host.shown.record == me.copy => {
                phase(Phase::Compared(signature, self.symbols.advanced(me.copy?, signature)));
                "the file is still what was decided on".to_owned()
            }
            Phase::Signed(signature) => {
                Self::failed(host, process, signature.request, false);
                "the file has changed, decides again".to_owned()
            }
            Phase::Compared(signature, record) => {
                let file = File { record: Some(record), on_disk: false, dropped: false };
                phase(Phase::Written(signature.request, file));
                host.processes[process].copy = None;
                if self.rules.whole_file {
                    return Some(format!("writes {signature} into a new file"));
                }
                host.shown = file;
                format!("writes {signature} over the old text")
            }
            Phase::Written(request, mut file) => {
                file.on_disk |= self.rules.sync_file && !file.dropped;
                phase(Phase::Synced(request, file));
                if !self.rules.whole_file {
                    host.shown = file;
                }
                "brings the new text to disk".to_owned()
            }
            Phase::Synced(request, file) => {
                Self::rename(host, file, self.rules.whole_file);
                host.processes[process].phase = Phase::Renamed(request);
                "gives the new file the name of the old one".to_owned()
            }
            Phase::Renamed(request) => {
                phase(Phase::Look(request));
                host.processes[process].copy = host.shown.record;
                if self.rules.sync_directory {
                    host.below = None;
                }
                "brings the directory to disk: committed".to_owned()
            }
        })
    }

    fn rename(host: &mut Host, file: File, whole_file: bool) {
        if whole_file {
            host.below = host.below.or(Some(host.shown));
            host.shown = file;
        }
    }

    /// What may fail at that step, and what the process does then.
    fn fail(&self, host: &mut Host, process: usize) -> Option<&'static str> {
        let ends = self.rules.end_after_failed_sync;
        match host.processes[process].phase {
            Phase::Written(request, file) if self.rules.sync_file => {
                if !self.rules.whole_file {
                    host.shown = File { dropped: true, ..file };
                }
                Self::failed(host, process, request, ends);
                Some("the fsync of the new text fails")
            }
            Phase::Synced(request, file) => {
                Self::rename(host, file, self.rules.whole_file);
                Self::failed(host, process, request, self.rules.end_after_failed_rename);
                Some("the rename fails, and has happened all the same")
            }
            Phase::Renamed(request) if self.rules.sync_directory => {
                host.ended = true;
                Self::failed(host, process, request, ends);
                Some("the fsync of the directory fails")
            }
            _ => None,
        }
    }

    fn check_held(&self, host: &Host, broken: &mut Vec<Broken>) {
        check_held(&self.symbols, &host.released, host.shown.record, broken);
    }

    /// What the disk may have after a power loss.
    fn survivors(host: &Host) -> Vec<File> {
        let mut survivors = Vec::new();
        for file in [Some(host.shown), host.below].into_iter().flatten() {
            let file_on_disk = |record| File { record, on_disk: true, dropped: false };
            survivors.push(file_on_disk(file.record));
            if !file.on_disk {
                survivors.push(file_on_disk(None));
            }
        }
        survivors
    }
}

impl Model for Disk {
    type State = Host;

    fn start(&self) -> Host {
        let floor = self.symbols.number(&Record::starting_above(Level::try_from(10).unwrap()));
        Host {
            shown: File { record: Some(floor), on_disk: true, dropped: false },
            below: None,
            ended: false,
            processes: [Process::DOWN; 2],
            released: Vec::new(),
            asks: ASKS.map(|(_, times)| times),
            made: 0,
            kills: 2,
            power_losses: 2,
            failures: 2,
        }
    }

    fn steps(&self, host: &Host) -> Vec<Step<Host>> {
        let mut steps = Vec::new();
        let mut add = |what: String, next: Host, broken| steps.push(Step { what, next, broken });
        for process in 0..2 {
            let (mut next, mut broken) = (host.clone(), Vec::new());
            if let Some(did) = self.proceed(&mut next, process, &mut broken) {
                add(format!("process {process}: {did}"), next, broken);
            }
            let mut next = host.clone();
            if host.failures > 0
                && let Some(what) = self.fail(&mut next, process)
            {
                next.failures -= 1;
                add(format!("process {process}: {what}"), next, Vec::new());
            }
            match host.processes[process].phase {
                Phase::Down => continue,
                Phase::Idle => {
                    for (number, (request, _)) in ASKS.iter().enumerate().filter(|(number, _)| host.asks[*number] > 0) {
                        let mut next = host.clone();
                        next.asks[number] -= 1;
                        next.processes[process].phase = Phase::Look(*request);
                        add(format!("process {process} is asked for {request}"), next, Vec::new());
                    }
                }
                _ => {}
            }
            if host.kills > 0 {
                let mut next = host.clone();
                next.kills -= 1;
                next.processes[process] = Process::DOWN;
                add(format!("process {process} is killed"), next, Vec::new());
            }
        }
        if host.power_losses > 0 {
            for file in Self::survivors(host) {
                let (mut next, mut broken) = (host.clone(), Vec::new());
                next.power_losses -= 1;
                (next.shown, next.below, next.ended, next.processes) = (file, None, false, [Process::DOWN; 2]);
                self.check_held(&next, &mut broken);
                let left =
                    file.record.map_or("a file that is no record".to_owned(), |record| self.symbols.show(record));
                add(format!("the power is lost, and on the disk is {left}"), next, broken);
            }
        }
        steps
    }
}
