//! The state of the model: what the API server has, what every process believes, what is on its way between them, and what
//! clients were given. What may happen to it is in `signing` (a process by itself) and `surroundings` (all that happens to it).

use crate::leases::Leases;
use crate::promises::Broken;
use crate::requests::Request;
use crate::rules::Rules;
use crate::scenario::{Edit, Scenario, Start};
use crate::search::{Model, Step};
use crate::symbols::{RecordId, SignatureId, Symbols};
use tezos_signer_core::position::Level;
use tezos_signer_core::record::Record;

/// How many ticks of the clock a lease lasts. Longer times are not told apart.
pub(crate) const LEASE: u8 = 1;

/// `MAX_ATTEMPTS` of the signing path.
pub(crate) const MAX_ATTEMPTS: u8 = 3;

/// A record as the API server had it at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Object {
    /// `None`: an answer whose resourceVersion was `""` or `"0"`.
    pub(crate) version: Option<u8>,
    pub(crate) record: RecordId,
    /// Which process has the lease.
    pub(crate) holder: Option<usize>,
    /// Whether signer 1 is the preferred holder, who may take it at once.
    pub(crate) named: bool,
}

/// A PUT.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Write {
    pub(crate) store: usize,
    pub(crate) object: Object,
    /// The one that it carries.
    pub(crate) signature: Option<SignatureId>,
}

/// What a process does with the record in its hands: one thing at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Errand {
    Sign(Request),
    Renew,
    Take,
    Release,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Phase {
    /// About to get the state to decide on.
    Look,
    /// Has it.
    Ready,
    /// The HSM has answered.
    Signed(SignatureId),
    /// Only without the rule to decide again: a write has failed, and the same signature is to be sent again.
    Insist(SignatureId),
    /// The write is on its way.
    Sent(Write),
    /// The API server has answered, with the new state or a refusal.
    Answered(Write, Option<Object>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(clippy::struct_excessive_bools)]
pub(crate) struct Task {
    pub(crate) errand: Errand,
    pub(crate) phase: Phase,
    pub(crate) attempts: u8,
    /// How long ago the write was sent.
    pub(crate) age: u8,
    pub(crate) client_gone: bool,
    /// Whether anything went wrong since it began that may cost its answer.
    pub(crate) disturbed: bool,
    /// When it began, the key was suspended or another process had the lease; and nothing of its own was committed since.
    pub(crate) unfit: bool,
    /// The store was read after a refusal that people can lift.
    pub(crate) read_anew: bool,
    /// The key was not suspended when it began, nor since. Only where that may be lifted.
    pub(crate) resumed: bool,
}

impl Task {
    pub(crate) fn new(errand: Errand, phase: Phase) -> Self {
        Self {
            errand,
            phase,
            attempts: 0,
            age: 0,
            client_gone: false,
            disturbed: false,
            unfit: false,
            read_anew: false,
            resumed: false,
        }
    }
}

/// The connection of a process to the API server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Connection {
    Works,
    /// Dead, and nobody has noticed.
    Dead,
    /// Dead, and used again in spite of a call that has failed.
    KnownDead,
}

/// A signer. What it has in memory is gone when it crashes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Process {
    pub(crate) copy: Option<Object>,
    pub(crate) newest: Option<Object>,
    pub(crate) unchanged: u8,
    pub(crate) silence: u8,
    pub(crate) seen: Option<RecordId>,
    pub(crate) went_back: bool,
    /// What its audit log proved when it started.
    pub(crate) proofs: Vec<SignatureId>,
    pub(crate) connection: Connection,
    /// What it has announced in its audit log, and not brought to disk; only without the rule to do that first.
    pub(crate) unsynced: Option<SignatureId>,
    pub(crate) task: Option<Task>,
}

impl Process {
    pub(crate) fn started() -> Self {
        Self {
            copy: None,
            newest: None,
            unchanged: 0,
            silence: LEASE,
            seen: None,
            went_back: false,
            proofs: Vec::new(),
            connection: Connection::Works,
            unsynced: None,
            task: None,
        }
    }
}

/// How much may still happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Left {
    pub(crate) faults: u8,
    pub(crate) crashes: u8,
    pub(crate) disconnects: u8,
    pub(crate) releases_of_lease: u8,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct World {
    /// One for each cluster.
    pub(crate) stores: Vec<Option<Object>>,
    /// What a watch cache may still show; only without the rule against it.
    pub(crate) cached: Option<Object>,
    pub(crate) processes: Vec<Process>,
    /// Writes that their senders have given up, and that may arrive at any time, or never.
    pub(crate) adrift: Vec<Write>,
    /// What clients got, and the store that it stood in.
    pub(crate) released: Vec<(SignatureId, usize)>,
    /// Every signature that ever stood in a store, and in which.
    pub(crate) committed: Vec<(SignatureId, usize)>,
    /// What was announced in lines that were lost.
    pub(crate) unexplained: Vec<SignatureId>,
    /// Of each request of the scenario, how often it may still be asked for.
    pub(crate) asks: Vec<u8>,
    pub(crate) edits: Vec<Edit>,
    pub(crate) left: Left,
    /// Somebody has damaged the record: it need not remember any more.
    pub(crate) damaged: bool,
}

/// The model of one scenario, with the rules that hold.
pub(crate) struct Cluster {
    pub(crate) scenario: Scenario,
    pub(crate) rules: Rules,
    pub(crate) symbols: Symbols,
    pub(crate) leases: Leases,
    pub(crate) begin: RecordId,
}

impl Cluster {
    pub(crate) fn new(scenario: Scenario, rules: Rules) -> Self {
        let symbols = Symbols::new(rules, scenario.scheme);
        let begin = match scenario.start {
            Start::Above(level) => symbols.number(&Record::starting_above(Level::try_from(i64::from(level)).unwrap())),
            Start::Fresh => symbols.number(&Record::fresh()),
            Start::Imported(request) => symbols.imported(request),
        };
        let leases = Leases::new(scenario.processes + usize::from(scenario.second_cluster));
        Self { scenario, rules, symbols, leases, begin }
    }

    pub(crate) fn store_of(&self, process: usize) -> usize {
        usize::from(process >= self.scenario.processes)
    }

    /// A number that no state has which anybody still knows.
    pub(crate) fn next_version(world: &World) -> u8 {
        let own = world.processes.iter().flat_map(|process| {
            let task = process.task.and_then(|task| match task.phase {
                Phase::Sent(write) => Some(write.object),
                Phase::Answered(_, answer) => answer,
                _ => None,
            });
            [process.copy, process.newest, task]
        });
        let adrift = world.adrift.iter().map(|write| Some(write.object));
        let all = world.stores.iter().copied().chain([world.cached]).chain(own).chain(adrift);
        let used: Vec<u8> = all.flatten().filter_map(|object| object.version).collect();
        (1..=u8::MAX).find(|version| !used.contains(version)).expect("few versions are known at once")
    }

    /// What becomes of a write at the API server.
    pub(crate) fn arrives(&self, world: &mut World, write: Write, broken: &mut Vec<Broken>) -> Option<Object> {
        let before = world.stores[write.store]?;
        let unconditional = write.object.version.is_none() || !self.rules.conditional_writes;
        if !unconditional && write.object.version != before.version {
            return None;
        }
        let version = Some(Self::next_version(world));
        let after = Object { version, ..write.object };
        world.stores[write.store] = Some(after);
        if self.rules.conditional_writes {
            // The others that were decided on that state can change nothing any more.
            world.adrift.retain(|late| late.object.version.is_none() || late.object.version == version);
        }
        if !self.rules.quorum_reads {
            world.cached = Some(before);
        }
        if let Some(signature) = write.signature {
            self.check_committed(world, write.store, before.record, signature, broken);
        }
        if before.record != after.record {
            self.check_replaced(before.record, after.record, broken);
        }
        self.check_replayable(world, broken);
        Some(after)
    }
}

impl World {
    /// The same state always looks the same: versions only tell states apart, and what nobody asks for is left out.
    fn settle(&mut self, cluster: &Cluster) {
        for (number, process) in self.processes.iter_mut().enumerate() {
            if !cluster.scenario.lease {
                (process.newest, process.unchanged, process.silence) = (None, 0, LEASE);
            }
            if let Some(newest) = &mut process.newest {
                newest.record = cluster.begin;
                if newest.holder == Some(number) {
                    process.unchanged = 0;
                }
            }
            if process.task.is_none() {
                // What becomes of the request is announced too, and both lines are on disk then.
                process.unsynced = None;
            }
            if let Some(task) = &mut process.task {
                if !matches!(task.phase, Phase::Sent(_) | Phase::Answered(..)) {
                    task.age = 0;
                }
                task.disturbed &= matches!(task.errand, Errand::Sign(_));
                task.unfit &= task.errand == Errand::Sign(Request::Operation);
                task.resumed &= cluster.scenario.edits.contains(&Edit::Resume);
            }
        }
        let mut numbers = Vec::new();
        let mut renumber = |object: &mut Object| {
            if let Some(version) = &mut object.version {
                let known = numbers.iter().position(|known| known == version).unwrap_or(numbers.len());
                if known == numbers.len() {
                    numbers.push(*version);
                }
                *version = u8::try_from(known + 1).expect("few versions are known at once");
            }
        };
        self.stores.iter_mut().flatten().for_each(&mut renumber);
        self.cached.iter_mut().for_each(&mut renumber);
        for process in &mut self.processes {
            process.copy.iter_mut().chain(&mut process.newest).for_each(&mut renumber);
            match process.task.as_mut().map(|task| &mut task.phase) {
                Some(Phase::Sent(write)) => renumber(&mut write.object),
                Some(Phase::Answered(write, answer)) => {
                    // It has arrived: what it was conditional on is of no more use.
                    write.object.version = None;
                    answer.iter_mut().for_each(&mut renumber);
                }
                _ => {}
            }
        }
        self.adrift.iter_mut().for_each(|write| renumber(&mut write.object));
        self.adrift.sort_unstable();
    }
}

/// Keeps the list in order, so that two states that are the same look the same.
pub(crate) fn insert<T: Ord>(list: &mut Vec<T>, item: T) {
    if let Err(at) = list.binary_search(&item) {
        list.insert(at, item);
    }
}

impl Model for Cluster {
    type State = World;

    fn start(&self) -> World {
        let first =
            Object { version: Some(1), record: self.begin, holder: self.scenario.lease.then_some(0), named: false };
        let second_cluster = usize::from(self.scenario.second_cluster);
        let scenario = &self.scenario;
        // What another signer answered is known here by its digest only.
        let elsewhere = match scenario.start {
            Start::Imported(request) => Some((self.symbols.made(request, u8::MAX - 1), 0)),
            Start::Above(_) | Start::Fresh => None,
        };
        World {
            stores: std::iter::once(Some(first)).chain((0..second_cluster).map(|_| None)).collect(),
            cached: None,
            processes: vec![Process::started(); scenario.processes + second_cluster],
            adrift: Vec::new(),
            released: elsewhere.into_iter().collect(),
            committed: Vec::new(),
            unexplained: Vec::new(),
            asks: scenario.asks.iter().map(|(_, times)| *times).collect(),
            edits: scenario.edits.to_vec(),
            left: scenario.left,
            damaged: elsewhere.is_some(),
        }
    }

    fn steps(&self, world: &World) -> Vec<Step<World>> {
        let mut steps = Vec::new();
        for process in 0..world.processes.len() {
            self.own_steps(world, process, &mut steps);
            self.faults_of(world, process, &mut steps);
        }
        self.surroundings(world, &mut steps);
        for step in &mut steps {
            step.next.settle(self);
        }
        steps
    }
}
