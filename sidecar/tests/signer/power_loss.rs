//! Power loss at every moment of a commit. The system calls of a real signer are written down while it signs; a model of a file
//! system says what the disk may hold when the power goes after each of them; and on each such disk a real signer is started and
//! asked for what must not be signed any more.
//!
//! The model allows all that POSIX does: of what was not brought to disk by fsync, any part may be there and any part not, file by
//! file and entry by entry of a directory, in any order; a file may be torn, empty or full of zeros. What was written over synced data, at a
//! place that the file had already, is there or not sector by sector. It knows no more of the signer than the directory it writes to, and a
//! call that it does not know ends the test.

use crate::crash::Strace;
use crate::payload::{attestation, block};
use crate::process::Signer;
use crate::test_env::{FLOOR, TestEnv};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// What a traced process did, in its order.
#[derive(Debug, Clone, PartialEq)]
enum Event {
    /// An entry for a new, empty file.
    Created(String, Inode),
    /// An old file is empty now.
    Emptied(Inode),
    Wrote(Inode, Vec<u8>),
    /// The same at an offset in bytes, over what is there.
    WroteOver(Inode, usize, Vec<u8>),
    SyncedFile(Inode),
    SyncedDirectory,
    Renamed(String, String),
    Removed(String),
    /// These bytes have left the process.
    Sent(Vec<u8>),
}

type Inode = usize;

/// The files of a directory, by name.
type Disk = BTreeMap<String, Vec<u8>>;

#[derive(Clone, Default)]
struct File {
    /// What fsync has brought to disk.
    synced: Vec<u8>,
    now: Vec<u8>,
}

impl File {
    /// What may be found of it after a power loss.
    fn remains(&self) -> Vec<Vec<u8>> {
        if self.synced == self.now {
            return vec![self.now.clone()];
        }
        if self.synced.len() == self.now.len() {
            return self.mixtures();
        }
        let torn = self.now[..self.now.len() / 2].to_vec();
        vec![self.synced.clone(), Vec::new(), torn, vec![0; self.now.len()], self.now.clone()]
    }
}

/// The smallest piece that a disk writes whole, in bytes.
const SECTOR: usize = 512;

impl File {
    /// Of the sectors that were written over: none, each alone, all but each, the first few, the last few, and all.
    fn mixtures(&self) -> Vec<Vec<u8>> {
        let sectors: Vec<usize> = (0..self.now.len()).step_by(SECTOR).collect();
        let sector = |bytes: &[u8], begin: usize| bytes[begin..bytes.len().min(begin + SECTOR)].to_vec();
        let is_changed = |begin: &usize| sector(&self.synced, *begin) != sector(&self.now, *begin);
        let changed: Vec<usize> = sectors.iter().copied().filter(is_changed).collect();
        let mixture = |is_written: &dyn Fn(usize) -> bool| {
            let written = |begin: usize| changed.iter().position(|other| *other == begin).is_some_and(is_written);
            let found = |&begin: &usize| sector(if written(begin) { &self.now } else { &self.synced }, begin);
            sectors.iter().flat_map(found).collect::<Vec<u8>>()
        };
        (0..=changed.len())
            .flat_map(|at| [mixture(&|i| i < at), mixture(&|i| i >= at), mixture(&|i| i == at), mixture(&|i| i != at)])
            .collect()
    }
}

/// A directory as processes see it, and what is certainly on disk of it.
#[derive(Clone, Default)]
struct Directory {
    files: Vec<File>,
    now: BTreeMap<String, Inode>,
    synced: BTreeMap<String, Inode>,
    /// Changes of entries since the directory was synced.
    pending: Vec<Change>,
}

#[derive(Clone)]
enum Change {
    Set(String, Inode),
    Unset(String),
}

impl Directory {
    fn holding(disk: &Disk) -> Self {
        let mut directory = Self::default();
        for (name, text) in disk {
            directory.now.insert(name.clone(), directory.files.len());
            directory.files.push(File { synced: text.clone(), now: text.clone() });
        }
        directory.synced = directory.now.clone();
        directory
    }

    fn apply(&mut self, event: &Event) {
        match event {
            Event::Created(name, inode) => {
                assert_eq!(*inode, self.files.len());
                self.files.push(File::default());
                self.change(Change::Set(name.clone(), *inode));
            }
            Event::Emptied(inode) => self.files[*inode].now.clear(),
            Event::Wrote(inode, bytes) => self.files[*inode].now.extend(bytes),
            Event::WroteOver(inode, offset, bytes) => {
                self.files[*inode].now[*offset..offset + bytes.len()].copy_from_slice(bytes);
            }
            Event::SyncedFile(inode) => self.files[*inode].synced = self.files[*inode].now.clone(),
            Event::SyncedDirectory => {
                self.synced = self.now.clone();
                self.pending.clear();
            }
            Event::Renamed(from, to) => {
                let inode = self.now[from];
                self.change(Change::Set(to.clone(), inode));
                self.change(Change::Unset(from.clone()));
            }
            Event::Removed(name) => self.change(Change::Unset(name.clone())),
            Event::Sent(_) => {}
        }
    }

    fn change(&mut self, change: Change) {
        change.clone().apply(&mut self.now);
        self.pending.push(change);
    }

    /// All that may be found after a power loss now.
    fn remains(&self) -> BTreeSet<Disk> {
        assert!(self.pending.len() < 12, "too many changes at once");
        let mut all = BTreeSet::new();
        for some in 0..1_u32 << self.pending.len() {
            let mut entries = self.synced.clone();
            for (i, change) in self.pending.iter().enumerate() {
                if some & (1 << i) != 0 {
                    change.clone().apply(&mut entries);
                }
            }
            let mut disks = vec![Disk::new()];
            for (name, inode) in entries {
                let remains = self.files[inode].remains();
                let with = |disk: &Disk, text: &Vec<u8>| {
                    let mut disk = disk.clone();
                    disk.insert(name.clone(), text.clone());
                    disk
                };
                disks = disks
                    .iter()
                    .flat_map(|disk| remains.iter().map(|text| with(disk, text)).collect::<Vec<_>>())
                    .collect();
            }
            all.extend(disks);
        }
        all
    }
}

impl Change {
    fn apply(self, entries: &mut BTreeMap<String, Inode>) {
        match self {
            Self::Set(name, inode) => drop(entries.insert(name, inode)),
            Self::Unset(name) => drop(entries.remove(&name)),
        }
    }
}

/// What strace wrote down, as far as it concerns `directory` or leaves the process.
fn read_trace(text: &str, directory: &Path, disk: &Disk) -> Vec<Event> {
    let directory = directory.to_str().unwrap();
    let mut inodes: BTreeMap<String, Inode> = disk.keys().cloned().enumerate().map(|(i, name)| (name, i)).collect();
    let mut next = inodes.len();
    let mut begun: BTreeMap<&str, String> = BTreeMap::new();
    let mut events = Vec::new();
    for line in text.lines() {
        let (thread, call) = line.split_once(' ').expect(line);
        let call = call.trim_start();
        let (call, has_ended) = if let Some(call) = call.strip_suffix(" <unfinished ...>") {
            begun.insert(thread, call.to_owned());
            (call.to_owned(), false)
        } else if let Some(rest) = call.strip_prefix("<... ") {
            let rest = rest.split_once("resumed>").expect(line).1;
            (begun.remove(thread).unwrap_or_default() + rest, true)
        } else {
            (call.to_owned(), true)
        };
        let Some((name, arguments)) = call.split_once('(') else { continue };
        let strings = strings_of(arguments);
        let is_here = |path: &str| path.strip_prefix(directory).map(|name| name.trim_start_matches('/').to_owned());
        // Of the calls with a descriptor, what it stands for.
        let on = arguments.split_once('<').and_then(|(_, rest)| rest.split_once('>'));
        let on = on.map(|(path, _)| String::from_utf8_lossy(&bytes_of(path)).into_owned());
        // A name is relative to the directory whose descriptor comes first.
        let named = |string: &[u8]| {
            let name = String::from_utf8_lossy(string);
            let directory = on.as_deref().filter(|_| !name.starts_with('/')).map(|on| format!("{on}/"));
            is_here(&(directory.unwrap_or_default() + &name))
        };
        let concerns =
            on.iter().any(|on| is_here(on).is_some()) || strings.iter().any(|string| named(string).is_some());
        assert!(!(concerns && call.contains(" = -1 ")), "failed: {line}");
        // What a call that lasts does to the disk is there once it has returned, and what it sends may be gone at once.
        let is_socket = on.as_deref().is_some_and(|on| !on.starts_with('/'));
        let sends = ["sendto", "sendmsg", "writev", "write"].contains(&name) && is_socket;
        match name {
            _ if sends => events.push(Event::Sent(strings.concat())),
            _ if !has_ended || !concerns => {}
            "write" => {
                let file = on.and_then(|on| is_here(&on)).expect(line);
                events.push(Event::Wrote(inodes[&file], strings.concat()));
            }
            "pwrite64" => {
                let file = on.and_then(|on| is_here(&on)).expect(line);
                let offset = arguments.rsplit_once(", ").unwrap().1.split_once(')').unwrap().0.parse().expect(line);
                events.push(Event::WroteOver(inodes[&file], offset, strings.concat()));
            }
            "openat" => {
                let file = named(&strings[0]).expect(line);
                if arguments.contains("O_CREAT") && !inodes.contains_key(&file) {
                    inodes.insert(file.clone(), next);
                    events.push(Event::Created(file, next));
                    next += 1;
                } else if arguments.contains("O_TRUNC") {
                    events.push(Event::Emptied(inodes[&file]));
                }
            }
            "fsync" | "fdatasync" => match on.and_then(|on| is_here(&on)) {
                Some(file) if file.is_empty() => events.push(Event::SyncedDirectory),
                file => events.push(Event::SyncedFile(inodes[&file.expect(line)])),
            },
            "rename" | "renameat" | "renameat2" => {
                let [from, to] = &strings[..] else { panic!("{line}") };
                let [from, to] = [from, to].map(|path| named(path).expect(line));
                let inode = inodes.remove(&from).unwrap();
                inodes.insert(to.clone(), inode);
                events.push(Event::Renamed(from, to));
            }
            "unlink" | "unlinkat" => {
                let file = named(&strings[0]).expect(line);
                inodes.remove(&file);
                events.push(Event::Removed(file));
            }
            _ => panic!("the model does not know {line}"),
        }
    }
    events
}

/// The quoted texts of a traced call, each written as `"\x7b…"`.
fn strings_of(arguments: &str) -> Vec<Vec<u8>> {
    let quoted = arguments.split('"').skip(1).step_by(2);
    quoted.map(bytes_of).collect()
}

fn bytes_of(text: &str) -> Vec<u8> {
    hex::decode(text.replace("\\x", "")).unwrap_or_else(|_| text.as_bytes().to_vec())
}

/// Whether a lazy signer leaves out a call, which is the first number of all, where the second is that of the rename.
type IsLeftOut = fn(usize, usize, &Event) -> bool;

/// One signature that was given out.
struct Released {
    kind: &'static str,
    payload: fn(u32, u32, u8) -> Vec<u8>,
    level: u32,
    signature: String,
}

/// A disk that may be found, and how many of the signatures had left the process by then.
fn disks_of(events: &[Event], begin: &Disk, released: &[Released]) -> BTreeMap<Disk, usize> {
    let mut directory = Directory::holding(begin);
    let mut sent = Vec::new();
    let mut disks = BTreeMap::new();
    for event in events {
        if let Event::Sent(bytes) = event {
            sent.extend(bytes);
        }
        directory.apply(event);
        let text = String::from_utf8_lossy(&sent);
        let count = released.iter().filter(|released| text.contains(&released.signature)).count();
        for disk in directory.remains() {
            disks.insert(disk, count);
        }
    }
    disks
}

/// Starts a signer on a disk, and asks for what must not be. Says what it should not have done.
fn check_disk(env: &TestEnv, disk: &Disk, released: &[Released]) -> Result<(), String> {
    for entry in std::fs::read_dir(env.records()).unwrap() {
        std::fs::remove_file(entry.unwrap().path()).unwrap();
    }
    for (name, text) in disk {
        std::fs::write(env.records().join(name), text).unwrap();
    }
    let key = env.tz3();
    let signer = Signer::start_unready(env);
    crate::process::wait_for("the HSM", || {
        signer.admin("/status").json()["hsm"]["ready"].as_bool().filter(|ready| *ready)
    });
    let mut newest = BTreeMap::new();
    for Released { kind, payload, level, signature } in released {
        let other = signer.sign(&key, &payload(*level, 0, 2));
        if other.status == 200 {
            return Err(format!("a second signature at level {level}"));
        }
        let again = signer.sign(&key, &payload(*level, 0, 1));
        if again.status == 200 && !again.body.contains(signature) {
            return Err(format!("another signature of the same at level {level}"));
        }
        newest.insert(*kind, (*level, again.status));
    }
    // One that was on disk already, and had not left yet, may have taken its place.
    let status = signer.admin("/status").json();
    let keys = status["keys"].as_array().unwrap();
    let rows = &keys.iter().find(|shown| shown["publicKeyHash"] == key.hash().to_string()).unwrap()["rows"];
    let is_lost = |(kind, (level, status)): &(&&str, &(u32, u16))| {
        *status != 200 && rows[**kind]["level"].as_u64().is_none_or(|newer| newer <= u64::from(*level))
    };
    match newest.iter().find(is_lost) {
        Some((kind, (level, status))) => Err(format!("the {kind} at level {level} is not given again: {status}")),
        None => Ok(()),
    }
}

fn disk_of(env: &TestEnv) -> Disk {
    let entries = std::fs::read_dir(env.records()).unwrap().map(|entry| entry.unwrap());
    entries.map(|entry| (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap())).collect()
}

#[test]
fn on_no_disk_that_a_power_loss_may_leave_is_anything_signed_a_second_time() {
    let env = TestEnv::new();
    let key = env.tz3();
    // The first write is of a whole file, and the others are of a slot.
    env.make_plain(&key);
    let signer = Signer::start(&env);
    let begin = disk_of(&env);
    let trace = env.path.join("trace");
    let calls = "openat,open,creat,write,writev,pwrite64,pwritev,sendto,sendmsg,fsync,fdatasync,sync_file_range,rename,renameat,renameat2,\
                 unlink,unlinkat,link,linkat,symlink,ftruncate,truncate,fallocate,copy_file_range,sendfile,mkdir,chmod,fchmod";
    let arguments = ["-y", "-xx", "-s", "1000000", "-e", &format!("trace={calls}"), "-o", trace.to_str().unwrap()];
    let strace = Strace::attach_with(&signer, &arguments);
    let mut released: Vec<Released> = Vec::new();
    for level in [FLOOR + 1, FLOOR + 2] {
        for (kind, payload) in [("block", block as fn(u32, u32, u8) -> Vec<u8>), ("attestation", attestation)] {
            let signature = signer.signature(&key, &payload(level, 0, 1));
            released.push(Released { kind, payload, level, signature });
        }
    }
    drop(signer);
    drop(strace);

    let events = read_trace(&std::fs::read_to_string(&trace).unwrap(), &env.records(), &begin);
    let of_directory = events.iter().filter(|event| **event == Event::SyncedDirectory).count();
    let of_files = events.iter().filter(|event| matches!(event, Event::SyncedFile(_))).count();
    assert!(of_directory >= 1 && of_files >= released.len(), "{of_directory} and {of_files} fsyncs");
    let disks = disks_of(&events, &begin, &released);
    assert!(disks.len() > 4 * released.len(), "{} disks", disks.len());
    assert_eq!(disks.values().max(), Some(&released.len()), "all were seen to leave");
    let beside = env.with_same_token();
    for (disk, count) in &disks {
        if let Err(reason) = check_disk(&beside, disk, &released[..*count]) {
            let disk: BTreeMap<_, _> = disk.iter().map(|(name, text)| (name, String::from_utf8_lossy(text))).collect();
            panic!("{reason}, after {count} signatures, on {disk:#?}");
        }
    }

    // It can fail: of a signer that leaves one of them out, a disk is found on which a promise is broken.
    let renamed = events.iter().position(|event| matches!(event, Event::Renamed(..))).unwrap();
    let lazy_signers: [(&str, usize, IsLeftOut); 3] = [
        ("fsync of the directory", 1, |_, _, event| *event == Event::SyncedDirectory),
        ("fsync of the whole file", 1, |i, renamed, event| i < renamed && matches!(event, Event::SyncedFile(_))),
        ("fdatasync of a slot", 2, |i, renamed, event| i > renamed && matches!(event, Event::SyncedFile(_))),
    ];
    for (without, given, is_left_out) in lazy_signers {
        let lazy = events.iter().enumerate().take_while(|(_, event)| !is_sent(event, &released[given]));
        let lazy = lazy.filter(|(i, event)| !is_left_out(*i, renamed, event)).map(|(_, event)| event.clone());
        let disks = disks_of(&lazy.collect::<Vec<_>>(), &begin, &released);
        let is_caught =
            disks.iter().any(|(disk, count)| *count > 0 && check_disk(&beside, disk, &released[..*count]).is_err());
        assert!(is_caught, "without {without} nothing was found on {} disks", disks.len());
    }
}

/// Whether this signature leaves the process.
fn is_sent(event: &Event, released: &Released) -> bool {
    matches!(event, Event::Sent(bytes) if String::from_utf8_lossy(bytes).contains(&released.signature))
}
