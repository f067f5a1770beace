//! What happens to a process: the network, the clock, clients that go away, crashes, and people who edit the record.

use crate::promises::{Broken, Promise};
use crate::scenario::Edit;
use crate::search::Step;
use crate::symbols::RecordId;
use crate::world::{Cluster, Connection, Errand, LEASE, Object, Phase, Process, World, insert};
use tezos_signer_core::position::Level;
use tezos_signer_core::record::Record;

impl Cluster {
    /// What may go wrong for one process.
    pub(crate) fn faults_of(&self, world: &World, process: usize, steps: &mut Vec<Step<World>>) {
        self.crash(world, process, steps);
        self.client_goes(world, process, steps);
        if world.left.faults == 0 {
            return;
        }
        let mut add = |did: &str, change: &mut dyn FnMut(&mut World, &mut Vec<Broken>)| {
            let (mut next, mut broken) = (world.clone(), Vec::new());
            next.left.faults -= 1;
            if let Some(task) = &mut next.processes[process].task {
                task.disturbed = true;
            }
            change(&mut next, &mut broken);
            steps.push(Step { what: format!("signer {process}: {did}"), next, broken });
        };
        let me = &world.processes[process];
        if self.scenario.connections_die && me.connection == Connection::Works {
            let mut dies = world.clone();
            dies.left.faults -= 1;
            dies.processes[process].connection = Connection::Dead;
            let what = format!("signer {process}: its connection dies, unnoticed");
            return steps.push(Step { what, next: dies, broken: Vec::new() });
        }
        match me.task.map(|task| task.phase) {
            Some(Phase::Look) if me.copy.is_none() => {
                add("cannot reach the API server, answers 502", &mut |next, _| next.processes[process].task = None);
                let store = world.stores[self.store_of(process)];
                if let Some(object) = store.filter(|_| self.scenario.empty_versions) {
                    add("the record that it reads has an empty resourceVersion", &mut |next, _| {
                        let me = &mut next.processes[process];
                        if self.rules.reject_empty_version {
                            me.task = None;
                        } else {
                            self.saw(me, Object { version: None, ..object });
                            if let Some(task) = &mut me.task {
                                task.phase = Phase::Ready;
                            }
                        }
                    });
                }
                if let Some(cached) = world.cached {
                    add("reads an older state from a cache", &mut |next, _| {
                        let me = &mut next.processes[process];
                        self.saw(me, cached);
                        if let Some(task) = &mut me.task {
                            task.phase = Phase::Ready;
                        }
                    });
                }
            }
            Some(Phase::Sent(write)) => {
                add("gives its write up, which is still on its way or lost", &mut |next, broken| {
                    insert(&mut next.adrift, write);
                    self.write_failed(next, process, write, broken);
                });
                add("its write arrives, and will arrive once more", &mut |next, broken| {
                    insert(&mut next.adrift, write);
                    let answer = self.arrives(next, write, broken);
                    if let Some(task) = &mut next.processes[process].task {
                        task.phase = Phase::Answered(write, answer);
                        task.unfit &= answer.is_none();
                    }
                });
            }
            Some(Phase::Answered(write, _)) => {
                add("the answer to its write is lost", &mut |next, broken| {
                    self.write_failed(next, process, write, broken);
                });
            }
            _ => {}
        }
    }

    /// At any step; and it starts again at once: a process that is down is one that does nothing for a while.
    fn crash(&self, world: &World, process: usize, steps: &mut Vec<Step<World>>) {
        let me = &world.processes[process];
        if world.left.crashes == 0 || *me == Process::started() {
            return;
        }
        let (mut next, mut broken) = (world.clone(), Vec::new());
        if let Some(lost) = me.unsynced {
            // The host may be lost with the process.
            insert(&mut next.unexplained, lost);
            Self::check_explained(&next, &mut broken);
        }
        next.left.crashes -= 1;
        if let Some(Phase::Sent(write)) = me.task.map(|task| task.phase) {
            insert(&mut next.adrift, write);
        }
        next.processes[process] = Process::started();
        if self.scenario.audit_log {
            // In these scenarios there is one signer: all that was released is in its log.
            next.processes[process].proofs = world.released.iter().map(|(signature, _)| *signature).collect();
        }
        steps.push(Step { what: format!("signer {process} is killed, and starts again"), next, broken });
    }

    fn client_goes(&self, world: &World, process: usize, steps: &mut Vec<Step<World>>) {
        let Some(task) = world.processes[process].task.filter(|task| !task.client_gone) else { return };
        if world.left.disconnects == 0 || !matches!(task.errand, Errand::Sign(_)) {
            return;
        }
        let (mut next, mut broken) = (world.clone(), Vec::new());
        next.left.disconnects -= 1;
        let me = &mut next.processes[process];
        if self.rules.detached {
            me.task.as_mut().expect("it has one").client_gone = true;
        } else {
            me.task = None;
            if let Phase::Sent(write) = task.phase {
                insert(&mut next.adrift, write);
            }
            if matches!(task.phase, Phase::Signed(_) | Phase::Sent(_) | Phase::Answered(..)) {
                let how = "a signature was made, and the process stopped caring what became of it";
                broken.push(Broken::new(Promise::Explained, how));
            }
        }
        steps.push(Step { what: format!("the client of signer {process} goes away"), next, broken });
    }

    /// What belongs to no process.
    pub(crate) fn surroundings(&self, world: &World, steps: &mut Vec<Step<World>>) {
        for (number, write) in world.adrift.iter().enumerate() {
            let (mut next, mut broken) = (world.clone(), Vec::new());
            next.adrift.remove(number);
            if let Some(object) = self.arrives(&mut next, *write, &mut broken) {
                let what = format!("a write that was given up is done after all: {}", self.symbols.show(object.record));
                steps.push(Step { what, next, broken });
            }
        }
        if self.scenario.lease {
            steps.push(Step { what: "the time of a lease passes".to_owned(), next: later(world), broken: Vec::new() });
        }
        for (number, edit) in world.edits.iter().enumerate() {
            let mut next = world.clone();
            next.edits.remove(number);
            if let Some(what) = self.edit(&mut next, *edit) {
                let mut broken = Vec::new();
                self.check_replayable(&next, &mut broken);
                steps.push(Step { what, next, broken });
            }
        }
    }

    fn edit(&self, world: &mut World, edit: Edit) -> Option<String> {
        let symbols = &self.symbols;
        let object = world.stores[0]?;
        let record = symbols.record(object.record);
        let changed = |record: Record| Some(symbols.number(&record));
        let edited: Option<RecordId> = match edit {
            Edit::Suspend => changed(Record { suspend: true, ..record }),
            Edit::Resume if !record.suspend => return None,
            Edit::Resume => changed(Record { suspend: false, ..record }),
            Edit::Ceiling(at) => changed(Record { ceiling: Some(level(at)), ..record }),
            Edit::Raise(to) => changed(record.raised_to(level(to))),
            Edit::Forge => Some(symbols.forge(object.record)?),
            Edit::DeleteRow => Some(symbols.without_row(object.record)),
            Edit::DeleteRecord => None,
            Edit::Name => Some(object.record),
            Edit::Restore => {
                // Who starts later has not seen it either.
                let all_know = |process: &Process| process.seen.is_some_and(|seen| symbols.forgets(self.begin, seen));
                if !world.processes.iter().all(all_know) {
                    return None;
                }
                world.left.crashes = 0;
                Some(self.begin)
            }
            Edit::Create if self.rules.create_by_post => return None,
            Edit::Create | Edit::RestoreUnseen => Some(self.begin),
            Edit::Import => return self.import(world, object.record),
        };
        if edit == Edit::Suspend {
            world
                .processes
                .iter_mut()
                .filter_map(|process| process.task.as_mut())
                .for_each(|task| task.resumed = false);
        }
        world.damaged |=
            matches!(edit, Edit::Forge | Edit::DeleteRow | Edit::DeleteRecord | Edit::Restore | Edit::RestoreUnseen);
        let version = Some(Self::next_version(world));
        let named = object.named || edit == Edit::Name;
        world.stores[0] = edited.map(|record| Object { version, record, named, ..object });
        let now = edited.map_or("there is no record".to_owned(), |record| symbols.show(record));
        Some(format!("{edit:?}, by somebody else: {now}"))
    }

    /// A hand-over: the first cluster signs up to the ceiling, the second above it.
    fn import(&self, world: &mut World, export: RecordId) -> Option<String> {
        if world.stores.get(1)?.is_some() {
            return None;
        }
        let record = self.symbols.imported_elsewhere(export)?;
        world.stores[1] = Some(Object { version: Some(Self::next_version(world)), record, holder: None, named: false });
        Some(format!("the record is imported into the second cluster: {}", self.symbols.show(record)))
    }
}

fn level(number: u32) -> Level {
    Level::try_from(i64::from(number)).unwrap()
}

fn later(world: &World) -> World {
    let mut next = world.clone();
    for process in &mut next.processes {
        process.silence = LEASE.min(process.silence + 1);
        process.unchanged = LEASE.min(process.unchanged + 1);
        if let Some(task) = &mut process.task {
            task.age = LEASE.min(task.age + 1);
            task.disturbed = true;
        }
    }
    next
}
