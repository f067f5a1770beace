//! What a process does by itself: the signing path and the record in its hands, step by step as in
//! `sidecar/src/{signer,custody}.rs`. Between any two steps everything else may happen.

use crate::promises::{Broken, Promise};
use crate::requests::Request;
use crate::search::Step;
use crate::symbols::{SignatureId, Verdict};
use crate::world::{Cluster, Connection, Errand, MAX_ATTEMPTS, Object, Phase, Process, Task, World, Write};

/// Why a read gives nothing.
pub(crate) enum NoRead {
    Missing,
    Failed,
}

impl Cluster {
    /// Whatever `process` may do next.
    pub(crate) fn own_steps(&self, world: &World, process: usize, steps: &mut Vec<Step<World>>) {
        let Some(task) = world.processes[process].task else {
            self.begin(world, process, steps);
            return;
        };
        let mut next = world.clone();
        let mut broken = Vec::new();
        let did = match task.phase {
            Phase::Look => self.look(&mut next, process, &mut broken),
            Phase::Ready => return self.decide(world, process, steps),
            Phase::Signed(signature) => self.send_signed(&mut next, process, signature, &mut broken),
            Phase::Insist(signature) => self.send_again(&mut next, process, signature, &mut broken),
            Phase::Sent(write) => self.arrive(&mut next, process, write, &mut broken),
            Phase::Answered(write, answer) => self.receive(&mut next, process, write, answer, &mut broken),
        };
        steps.push(Step { what: format!("signer {process}: {did}"), next, broken });
    }

    /// A client asks, or the lease wants something.
    fn begin(&self, world: &World, process: usize, steps: &mut Vec<Step<World>>) {
        for (number, (request, _)) in self.scenario.asks.iter().enumerate() {
            if world.asks[number] > 0 {
                let mut next = world.clone();
                next.asks[number] -= 1;
                let object = world.stores[self.store_of(process)];
                let suspended = object.is_some_and(|object| self.symbols.orders(object.record).suspend);
                let unfit = suspended || object.is_some_and(|object| self.is_of_another(process, &object));
                let task = Task::new(Errand::Sign(*request), Phase::Look);
                next.processes[process].task = Some(Task { unfit, resumed: !suspended, ..task });
                steps.push(Step { what: format!("signer {process} is asked for {request}"), next, broken: Vec::new() });
            }
        }
        if self.scenario.lease {
            self.tend_lease(world, process, steps);
        }
    }

    /// GET, as the API server has it at this moment.
    pub(crate) fn read(&self, world: &mut World, process: usize) -> Result<(), NoRead> {
        let store = self.store_of(process);
        if self.connection_fails(&mut world.processes[process]) {
            return Err(NoRead::Failed);
        }
        if world.stores[store].is_none() && !self.rules.refuse_missing_record {
            let version = Some(Self::next_version(world));
            world.stores[store] = Some(Object { version, record: self.begin, holder: None, named: false });
        }
        let object = world.stores[store].ok_or(NoRead::Missing)?;
        let me = &mut world.processes[process];
        self.saw(me, object);
        if !self.rules.only_writes_end_silence {
            me.silence = 0;
        }
        Ok(())
    }

    /// Whether a call on this connection fails; what is known of it then.
    pub(crate) fn connection_fails(&self, me: &mut Process) -> bool {
        let before = me.connection;
        if before == Connection::Works {
            return false;
        }
        if let Some(task) = &mut me.task {
            task.disturbed |= before == Connection::Dead;
        }
        me.connection = if self.rules.discard_connection { Connection::Works } else { Connection::KnownDead };
        true
    }

    pub(crate) fn saw(&self, me: &mut Process, object: Object) {
        if me.seen.is_some_and(|seen| self.symbols.forgets(object.record, seen)) {
            me.went_back = true;
        } else {
            me.seen = Some(object.record);
        }
        if me.newest.is_none_or(|newest| newest.version != object.version) {
            me.unchanged = 0;
        }
        me.newest = Some(object);
        me.copy = Some(object);
    }

    fn look(&self, world: &mut World, process: usize, broken: &mut Vec<Broken>) -> String {
        let me = &mut world.processes[process];
        let silent = self.is_silent(me) && self.rules.ask_after_silence;
        if silent && !self.rules.only_writes_end_silence {
            me.copy = None;
        }
        if me.copy.is_some() {
            set_phase(me, Phase::Ready);
            return "has the record in memory".to_owned();
        }
        match self.read(world, process) {
            Ok(()) => {
                let me = &mut world.processes[process];
                set_phase(me, Phase::Ready);
                format!("reads the record: {}", me.copy.map_or(String::new(), |copy| self.symbols.show(copy.record)))
            }
            Err(NoRead::Missing) => {
                world.processes[process].task = None;
                "finds no record, and refuses".to_owned()
            }
            Err(NoRead::Failed) => {
                self.gives_502(world, process, broken);
                "cannot read the record, answers 502".to_owned()
            }
        }
    }

    /// 502, which costs an answer.
    fn gives_502(&self, world: &mut World, process: usize, broken: &mut Vec<Broken>) {
        let store = world.stores[self.store_of(process)];
        let Some(task) = world.processes[process].task.take() else { return };
        let serves = store.is_some_and(|object| !self.is_of_another(process, &object));
        if matches!(task.errand, Errand::Sign(_)) && !task.disturbed && serves {
            let how = "502, and nothing had gone wrong since the request came";
            broken.push(Broken::new(Promise::FaultPaidOnce, how));
        }
    }

    /// The state is there: latch, lease, silence, decision; and the HSM.
    fn decide(&self, world: &World, process: usize, steps: &mut Vec<Step<World>>) {
        let me = &world.processes[process];
        let (Some(task), Some(copy)) = (me.task, me.copy) else { return };
        let Errand::Sign(request) = task.errand else { return };
        let mut add = |did: String, change: &mut dyn FnMut(&mut World, &mut Vec<Broken>)| {
            let (mut next, mut broken) = (world.clone(), Vec::new());
            change(&mut next, &mut broken);
            steps.push(Step { what: format!("signer {process}: {did}"), next, broken });
        };
        let forgotten = me.proofs.iter().any(|proof| self.symbols.forgets_proved(copy.record, *proof));
        if me.went_back && self.rules.latch || forgotten && self.rules.compare_audit_log {
            return add("the record went back, refuses".to_owned(), &mut |next, broken| {
                if !world.damaged {
                    broken.push(Broken::new(Promise::NoFalseAlarm, "the record never went back"));
                }
                next.processes[process].task = None;
            });
        }
        if self.displaced(process, &copy) {
            add("another has the lease, answers 502".to_owned(), &mut |next, _| {
                next.processes[process].task = None;
            });
            // It has the other asked, or waits for another holder, if only itself. Either is as if the client asked again: the request
            // begins anew, of whichever signer, and nothing that was known of the record is kept for it.
            let number = self.scenario.asks.iter().position(|(ask, _)| *ask == request);
            return add("another has the lease, forwards or waits".to_owned(), &mut |next, _| {
                next.processes[process].task = None;
                next.asks[number.expect("it was asked for")] += 1;
            });
        }
        if self.is_silent(me) && self.rules.ask_after_silence && self.rules.only_writes_end_silence {
            return add("renews the lease first, after a silence".to_owned(), &mut |next, broken| {
                let me = &mut next.processes[process];
                let attempts = me.task.map_or(0, |task| task.attempts);
                if attempts == MAX_ATTEMPTS {
                    return self.gives_502(next, process, broken);
                }
                self.send(me, process, self.renewed(process, copy), None);
            });
        }
        match self.symbols.decide(copy.record, request) {
            Verdict::Refuse(why, true) if self.rules.read_before_refusing && !task.read_anew => {
                add(format!("reads the record again, before it refuses {request} ({why})"), &mut |next, _| {
                    let me = &mut next.processes[process];
                    me.copy = None;
                    me.task = Some(Task { phase: Phase::Look, read_anew: true, ..task });
                });
            }
            Verdict::Refuse(why, _) => add(format!("refuses {request} ({why})"), &mut |next, broken| {
                if why == "suspended" && task.resumed {
                    let how = "refused for a suspension that was lifted before";
                    broken.push(Broken::new(Promise::NotRefusedForThePast, how));
                }
                next.processes[process].task = None;
            }),
            Verdict::Replay(stored) if self.rules.verify_stored && !self.symbols.verifies(stored) => {
                add("the stored signature does not verify, refuses".to_owned(), &mut |next, _| {
                    next.processes[process].task = None;
                });
            }
            Verdict::Replay(stored) => {
                add(format!("answers {stored}"), &mut |next, broken| self.releases(next, process, stored, broken));
            }
            Verdict::Sign => {
                let made = self.fresh(world, request);
                let lies = self.scenario.hsm_lies.then(|| SignatureId::wrong(request));
                for signature in std::iter::once(made).chain(lies) {
                    let how = if signature == made { "the HSM makes" } else { "the HSM makes of something else" };
                    add(format!("{how} {signature}"), &mut |next, broken| {
                        if self.rules.verify_signed && !self.symbols.accepts(signature) {
                            next.processes[process].task = None;
                        } else if request == Request::Operation && !self.rules.commit_operations {
                            self.releases(next, process, signature, broken);
                        } else {
                            let me = &mut next.processes[process];
                            me.unsynced = (!self.rules.sync_intent).then_some(signature);
                            let attempts = task.attempts + 1;
                            me.task = Some(Task { attempts, phase: Phase::Signed(signature), ..task });
                        }
                    });
                }
            }
        }
    }

    /// A signature that the HSM has never made, where there is another one: ECDSA is randomised there. Those that nobody knows any more
    /// come again.
    fn fresh(&self, world: &World, request: Request) -> SignatureId {
        let known = |id: SignatureId| {
            world.committed.iter().any(|(committed, _)| *committed == id)
                || world.unexplained.contains(&id)
                || world.released.iter().any(|(released, _)| *released == id)
                || world.adrift.iter().any(|write| write.signature == Some(id))
                || world.processes.iter().any(|process| {
                    let in_copy = process.copy.is_some_and(|copy| {
                        !self.rules.copy_from_store && self.symbols.decide(copy.record, request) == Verdict::Replay(id)
                    });
                    in_copy
                        || process.task.is_some_and(|task| match task.phase {
                            Phase::Signed(signature) | Phase::Insist(signature) => signature == id,
                            Phase::Sent(write) | Phase::Answered(write, _) => write.signature == Some(id),
                            Phase::Look | Phase::Ready => false,
                        })
                })
        };
        if self.symbols.is_deterministic() {
            return self.symbols.made(request, 0);
        }
        (0..u8::MAX).map(|number| self.symbols.made(request, number)).find(|id| !known(*id)).expect("there are enough")
    }

    fn send_signed(
        &self,
        world: &mut World,
        process: usize,
        signature: SignatureId,
        broken: &mut Vec<Broken>,
    ) -> String {
        let me = &mut world.processes[process];
        if self.rules.ask_before_sending && self.is_silent(me) {
            set_phase(me, Phase::Look);
            if me.task.is_some_and(|task| task.attempts == MAX_ATTEMPTS) {
                self.gives_502(world, process, broken);
            }
            return "the HSM took as long as the lease: its signature is dropped".to_owned();
        }
        let Some(copy) = me.copy else { return "lost its copy".to_owned() };
        let record = self.symbols.advanced(copy.record, signature);
        self.send(me, process, Object { record, ..self.renewed(process, copy) }, Some(signature));
        self.check_shown(world, process, signature, broken);
        format!("sends {signature} to the API server")
    }

    /// The copy is forgotten when a write is sent: nobody knows what the store will have.
    fn send(&self, me: &mut Process, process: usize, object: Object, signature: Option<SignatureId>) {
        me.copy = (!self.rules.copy_from_store && signature.is_some()).then_some(object);
        if let Some(task) = &mut me.task {
            task.phase = Phase::Sent(Write { store: self.store_of(process), object, signature });
            task.age = 0;
        }
    }

    fn send_again(
        &self,
        world: &mut World,
        process: usize,
        signature: SignatureId,
        broken: &mut Vec<Broken>,
    ) -> String {
        if self.read(world, process).is_err() {
            self.gives_502(world, process, broken);
            return "cannot read the record, answers 502".to_owned();
        }
        let me = &mut world.processes[process];
        let Some(copy) = me.copy else { return "lost its copy".to_owned() };
        if let Some(task) = &mut me.task {
            task.attempts += 1;
        }
        let record = self.symbols.put(copy.record, signature);
        self.send(me, process, Object { record, ..copy }, Some(signature));
        format!("sends {signature} again, with the newest version")
    }

    fn arrive(&self, world: &mut World, process: usize, write: Write, broken: &mut Vec<Broken>) -> String {
        if self.connection_fails(&mut world.processes[process]) {
            self.write_failed(world, process, write, broken);
            return "the connection is dead, the write fails".to_owned();
        }
        let answer = self.arrives(world, write, broken);
        let me = &mut world.processes[process];
        set_phase(me, Phase::Answered(write, answer));
        if let Some(task) = &mut me.task {
            task.unfit &= answer.is_none();
        }
        match answer {
            Some(object) => format!("its write is done: {}", self.symbols.show(object.record)),
            None => "its write is refused: the record has changed".to_owned(),
        }
    }

    fn receive(
        &self,
        world: &mut World,
        process: usize,
        write: Write,
        answer: Option<Object>,
        broken: &mut Vec<Broken>,
    ) -> String {
        let Some(object) = answer else {
            if let Some(task) = &mut world.processes[process].task {
                task.disturbed = true;
            }
            self.write_failed(world, process, write, broken);
            return "gets the refusal of its write".to_owned();
        };
        let me = &mut world.processes[process];
        let Some(task) = me.task else { return String::new() };
        self.saw(me, object);
        self.accepted(me, task.age);
        match (task.errand, write.signature) {
            // Of an operation the record holds the anchor only: what leaves is what the 2xx stands for.
            (Errand::Sign(Request::Operation), Some(signature)) => self.releases(world, process, signature, broken),
            (Errand::Sign(_), Some(signature)) if !self.rules.release_committed_only => {
                self.releases(world, process, signature, broken);
            }
            (Errand::Sign(_), _) => set_phase(me, Phase::Look),
            _ => me.task = None,
        }
        "gets 200 for its write".to_owned()
    }

    /// Anything but a 2xx.
    pub(crate) fn write_failed(&self, world: &mut World, process: usize, write: Write, broken: &mut Vec<Broken>) {
        let me = &mut world.processes[process];
        let Some(task) = me.task else { return };
        match (task.errand, write.signature) {
            (Errand::Sign(request), Some(signature))
                if !self.rules.release_committed_only && request != Request::Operation =>
            {
                self.releases(world, process, signature, broken);
            }
            (Errand::Sign(_), _) if task.attempts == MAX_ATTEMPTS => self.gives_502(world, process, broken),
            (Errand::Sign(_), Some(signature)) if !self.rules.decide_again => {
                set_phase(me, Phase::Insist(signature));
            }
            (Errand::Sign(_), signature) => {
                set_phase(me, Phase::Look);
                // A renewal is an attempt too, or it would be tried for ever.
                if let (Some(task), None) = (&mut me.task, signature) {
                    task.attempts += 1;
                }
            }
            _ => me.task = None,
        }
    }
}

fn set_phase(me: &mut Process, phase: Phase) {
    if let Some(task) = &mut me.task {
        task.phase = phase;
    }
}
