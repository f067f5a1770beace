//! The lease in the model: who has it, in small numbers, and what `core::lease` says about that. The rules are asked once for each
//! pair of a process and a state of the lease.

use crate::search::Step;
use crate::world::{Cluster, Errand, LEASE, Object, Phase, Process, Task, World, Write};
use std::time::Duration;
use tezos_signer_core::lease::{HSM_PATIENCE, HolderAction, LastWrite, LeaseTerms, StandbyAction, WriteTimes};
use tezos_signer_core::record::Lease;

/// Who holds a record, and whether signer 1 is the preferred holder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Held {
    by: Option<usize>,
    named: bool,
}

/// What `core` says to one process about one state of the lease.
#[derive(Debug, Clone, Copy)]
struct Answers {
    is_holder: bool,
    /// By the ticks of the silence.
    as_holder: [HolderAction; TICKS],
    with_failed_hsm: HolderAction,
    /// By the ticks for which the record was unchanged.
    as_standby: [StandbyAction; TICKS],
    taken: Held,
    renewed: Held,
    released: Held,
}

const TICKS: usize = LEASE as usize + 1;

/// The answers, in a table.
pub(crate) struct Leases {
    /// For each process, one for each state of the lease.
    answers: Vec<Vec<Answers>>,
    /// By the ticks of the silence.
    silent: [bool; TICKS],
}

impl Leases {
    pub(crate) fn new(processes: usize) -> Self {
        let holders = std::iter::once(None).chain((0..processes).map(Some));
        let states: Vec<Held> = holders.flat_map(|by| [false, true].map(|named| Held { by, named })).collect();
        let answers = |process| states.iter().map(|held| answers(process, *held)).collect();
        Self {
            answers: (0..processes).map(answers).collect(),
            silent: ticks().map(|silence| terms(0).is_silent(silence)),
        }
    }

    fn ask(&self, process: usize, object: &Object) -> &Answers {
        let holder = object.holder.map_or(0, |holder| holder + 1);
        &self.answers[process][2 * holder + usize::from(object.named)]
    }
}

fn ticks() -> [Duration; TICKS] {
    std::array::from_fn(|ticks| Duration::from_secs(ticks as u64))
}

fn identity(process: usize) -> String {
    format!("signer-{process}")
}

fn terms(process: usize) -> LeaseTerms {
    LeaseTerms { identity: identity(process), address: None, duration: Duration::from_secs(LEASE.into()) }
}

fn answers(process: usize, held: Held) -> Answers {
    let terms = terms(process);
    let lease = Lease {
        holder_identity: held.by.map_or(String::new(), identity),
        lease_duration_seconds: LEASE.into(),
        preferred_holder: if held.named { identity(1) } else { String::new() },
        ..Lease::default()
    };
    let now = jiff::Timestamp::UNIX_EPOCH;
    let back = |lease: &Lease| {
        let by = [held.by, Some(process), None].into_iter();
        let mut by = by.filter(|by| lease.holder_identity == by.map_or(String::new(), identity));
        assert!(lease.preferred_holder.is_empty() || lease.preferred_holder == identity(1));
        Held { by: by.next().expect("nobody else"), named: !lease.preferred_holder.is_empty() }
    };
    Answers {
        is_holder: terms.holds(&lease),
        as_holder: ticks().map(|silence| terms.holder_action(&lease, silence, None)),
        with_failed_hsm: terms.holder_action(&lease, Duration::ZERO, Some(HSM_PATIENCE)),
        as_standby: ticks().map(|unchanged| terms.standby_action(&lease, unchanged, true)),
        taken: back(&terms.taken(&lease, now)),
        renewed: back(&terms.renewed(&lease, now)),
        released: back(&lease.let_go()),
    }
}

/// The ticks of a silence; longer ones than [`LEASE`] are not told apart.
fn in_ticks(last: LastWrite<u8>) -> u8 {
    let silence = last.silence(|ago| Duration::from_secs(ago.into()));
    u8::try_from(silence.as_secs()).map_or(LEASE, |ticks| ticks.min(LEASE))
}

impl Cluster {
    /// Whether the lease, as `object` has it, is another's.
    pub(crate) fn displaced(&self, process: usize, object: &Object) -> bool {
        self.scenario.lease && !self.leases.ask(process, object).is_holder
    }

    /// Whether the holder must write before it uses the HSM, and before it shows a signature.
    pub(crate) fn is_silent(&self, me: &Process) -> bool {
        self.scenario.lease && self.leases.silent[usize::from(me.silence)]
    }

    /// The store has accepted a write that was sent so many ticks ago.
    pub(crate) fn accepted(&self, me: &mut Process, age: u8) {
        let mut last = LastWrite::default();
        last.accepted(WriteTimes { sent: if self.rules.silence_from_sending { age } else { 0 }, answered: 0 });
        me.silence = in_ticks(last);
    }

    /// A holder that renews while it signs.
    pub(crate) fn renewed(&self, process: usize, object: Object) -> Object {
        with(object, self.leases.ask(process, &object).renewed)
    }

    /// What a process does about the lease on its own.
    pub(crate) fn tend_lease(&self, world: &World, process: usize, steps: &mut Vec<Step<World>>) {
        let me = &world.processes[process];
        let held = me.newest.is_some_and(|newest| !self.displaced(process, &newest));
        let mut next = world.clone();
        if !held || me.copy.is_none() || self.is_silent(me) {
            next.processes[process].copy = None;
            if self.read(&mut next, process).is_err() {
                return;
            }
        }
        let me = &next.processes[process];
        let Some(copy) = me.copy else { return };
        // Who refuses everything neither renews nor competes.
        if !(me.went_back && self.rules.latch) {
            if self.displaced(process, &copy) {
                self.as_standby(&next, process, copy, steps);
            } else {
                self.as_holder(&next, process, copy, steps);
            }
        }
        if next != *world {
            steps.push(Step { what: format!("signer {process} looks at the lease"), next, broken: Vec::new() });
        }
    }

    fn as_holder(&self, world: &World, process: usize, copy: Object, steps: &mut Vec<Step<World>>) {
        let answers = self.leases.ask(process, &copy);
        let silence = usize::from(world.processes[process].silence);
        match answers.as_holder[silence] {
            HolderAction::Renew => {
                let renewed = with(copy, answers.renewed);
                steps.push(self.sends_lease(world, process, renewed, Errand::Renew, "asks to renew the lease"));
            }
            HolderAction::Release(reason) => {
                let released = self.releases_lease(world, process, with(copy, answers.released), &reason.to_string());
                steps.push(released);
            }
            HolderAction::Wait(_) => {}
        }
        // An HSM that fails is a matter of chance.
        if let HolderAction::Release(reason) = answers.with_failed_hsm
            && world.left.releases_of_lease > 0
        {
            let mut step = self.releases_lease(world, process, with(copy, answers.released), &reason.to_string());
            step.next.left.releases_of_lease -= 1;
            steps.push(step);
        }
    }

    fn as_standby(&self, world: &World, process: usize, copy: Object, steps: &mut Vec<Step<World>>) {
        let answers = self.leases.ask(process, &copy);
        let unchanged = usize::from(world.processes[process].unchanged);
        if answers.as_standby[unchanged] == StandbyAction::Take {
            let taken = with(copy, answers.taken);
            steps.push(self.sends_lease(world, process, taken, Errand::Take, "asks for the lease"));
        }
    }

    fn releases_lease(&self, world: &World, process: usize, object: Object, why: &str) -> Step<World> {
        let what = format!("asks to release the lease: {why}");
        let mut step = self.sends_lease(world, process, object, Errand::Release, &what);
        if self.rules.release_is_silence {
            let mut last = LastWrite::default();
            last.accepted(WriteTimes { sent: step.next.processes[process].silence, answered: 0 });
            last.release_sent();
            step.next.processes[process].silence = in_ticks(last);
        }
        step
    }

    fn sends_lease(&self, world: &World, process: usize, object: Object, errand: Errand, what: &str) -> Step<World> {
        let mut next = world.clone();
        let write = Write { store: self.store_of(process), object, signature: None };
        next.processes[process].copy = None;
        next.processes[process].task = Some(Task::new(errand, Phase::Sent(write)));
        Step { what: format!("signer {process} {what}"), next, broken: Vec::new() }
    }
}

fn with(object: Object, held: Held) -> Object {
    Object { holder: held.by, named: held.named, ..object }
}
