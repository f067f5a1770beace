//! A record's file of slots, on a host of its own: the page cache above the disk, killed processes, power losses, failed writes and damage, after
//! `core/src/record/slots.rs` and `sidecar/src/store/file.rs`. The whole file that comes before it is in `disk.rs`.
//!
//! What is assumed of the kernel and the disk: what was not synced is there or not after a power loss, or a part of it is, sector by sector;
//! data whose fsync failed is dropped, still shown, and a later fsync says that all is well, unless it is written again.

use crate::promises::Broken;
use crate::released::{ASKS, check_held, release};
use crate::requests::Request;
use crate::rules::Rules;
use crate::search::{Model, Step};
use crate::symbols::{RecordId, SignatureId, Symbols, Verdict};
use tezos_signer_core::key::Curve;
use tezos_signer_core::position::Level;
use tezos_signer_core::record::Record;

/// What is in a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Content {
    State {
        write: u8,
        record: RecordId,
    },
    /// Sectors of two writes.
    Cut,
    /// Anything else.
    Damaged,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Slot {
    /// What a read shows.
    shown: Content,
    on_disk: Content,
    /// Its fsync has failed: the next one says that what is shown is on disk, and it is not.
    dropped: bool,
}

impl Slot {
    fn new(content: Content) -> Self {
        Self { shown: content, on_disk: content, dropped: false }
    }

    fn write(&mut self, content: Content) {
        (self.shown, self.dropped) = (content, false);
    }

    fn sync(&mut self) {
        if !self.dropped {
            self.on_disk = self.shown;
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Phase {
    Down,
    Idle,
    Look(Request),
    Ready(Request),
    Signed(SignatureId),
    /// The slot is written.
    Written(Request),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Host {
    slots: [Slot; 2],
    phase: Phase,
    copy: Option<RecordId>,
    released: Vec<SignatureId>,
    asks: [u8; 3],
    /// How many signatures the HSM has made: none comes twice.
    made: u8,
    kills: u8,
    power_losses: u8,
    failures: u8,
    damages: u8,
}

/// The model, with the rules that hold.
pub(crate) struct Slots {
    rules: Rules,
    symbols: Symbols,
}

impl Slots {
    pub(crate) fn new(rules: Rules, scheme: Curve) -> Self {
        Self { rules, symbols: Symbols::new(rules, scheme) }
    }

    /// The number of the slot whose state counts, with its number of the write and the record.
    fn newest(&self, contents: [Content; 2]) -> Option<(usize, u8, RecordId)> {
        let states = [0, 1].map(|slot| match contents[slot] {
            Content::State { write, record } => Some((slot, write, record)),
            Content::Cut | Content::Damaged => None,
        });
        let is_damaged = contents.contains(&Content::Damaged);
        match states {
            _ if is_damaged && self.rules.refuse_damage => None,
            [Some(first), Some(second)] => Some(if first.1 > second.1 { first } else { second }),
            [one, other] => one.or(other),
        }
    }

    fn shown(&self, host: &Host) -> Option<(usize, u8, RecordId)> {
        self.newest(host.slots.map(|slot| slot.shown))
    }

    fn opens(&self, host: &mut Host) -> String {
        for slot in &mut host.slots {
            if self.rules.write_again_on_opening {
                slot.write(slot.shown);
            }
            if self.rules.sync_on_opening {
                slot.sync();
            }
        }
        (host.phase, host.copy) = (Phase::Idle, None);
        "starts, and opens the directory".to_owned()
    }

    /// The next step of the process, without failures.
    fn proceed(&self, host: &mut Host, broken: &mut Vec<Broken>) -> Option<String> {
        Some(match host.phase {
            Phase::Down => self.opens(host),
            Phase::Idle => return None,
            Phase::Look(request) => {
                host.copy = host.copy.or(self.shown(host).map(|(_, _, record)| record));
                host.phase = host.copy.map_or(Phase::Idle, |_| Phase::Ready(request));
                host.copy.map_or("finds a damaged file, and refuses".to_owned(), |copy| {
                    format!("looks at the record: {}", self.symbols.show(copy))
                })
            }
            Phase::Ready(request) => match self.symbols.decide(host.copy?, request) {
                Verdict::Refuse(why, _) => {
                    host.phase = Phase::Idle;
                    format!("refuses {request} ({why})")
                }
                Verdict::Replay(signature) => {
                    host.phase = Phase::Idle;
                    release(&self.symbols, &mut host.released, signature, broken);
                    self.check_held(host, broken);
                    format!("answers {signature}")
                }
                Verdict::Sign => {
                    let signature = self.symbols.made(request, host.made);
                    host.made += 1;
                    host.phase = Phase::Signed(signature);
                    format!("the HSM makes {signature}")
                }
            },
            Phase::Signed(signature) => {
                let unchanged = self.shown(host).filter(|(_, _, record)| Some(*record) == host.copy);
                host.copy = None;
                let Some((newest, write, record)) = unchanged else {
                    host.phase = Phase::Look(signature.request);
                    return Some("the file has changed, decides again".to_owned());
                };
                let slot = if self.rules.write_older_slot { 1 - newest } else { newest };
                let record = self.symbols.advanced(record, signature);
                host.slots[slot].write(Content::State { write: write + 1, record });
                host.phase = Phase::Written(signature.request);
                format!("writes {signature} into slot {slot}")
            }
            Phase::Written(request) => {
                if self.rules.sync_slot {
                    host.slots.iter_mut().for_each(Slot::sync);
                }
                host.phase = Phase::Look(request);
                "brings the slot to disk: committed".to_owned()
            }
        })
    }

    /// What may fail at that step, and what the process does then.
    fn fail(&self, host: &mut Host) -> Option<&'static str> {
        let Phase::Written(request) = host.phase else { return None };
        if !self.rules.sync_slot {
            return None;
        }
        for slot in host.slots.iter_mut().filter(|slot| slot.shown != slot.on_disk) {
            slot.dropped = true;
        }
        host.phase = if self.rules.end_after_failed_sync { Phase::Down } else { Phase::Look(request) };
        Some("the fdatasync of the slot fails")
    }

    /// Of damage, nothing but a refusal is promised.
    fn check_held(&self, host: &Host, broken: &mut Vec<Broken>) {
        if host.slots.iter().all(|slot| slot.shown != Content::Damaged) {
            check_held(&self.symbols, &host.released, self.shown(host).map(|(_, _, record)| record), broken);
        }
    }

    /// What a slot may have on the disk after a power loss.
    fn survivors(slot: &Slot) -> Vec<Content> {
        match slot {
            Slot { shown, on_disk, .. } if shown == on_disk => vec![*shown],
            Slot { shown, on_disk, .. } => vec![*shown, *on_disk, Content::Cut],
        }
    }
}

impl Model for Slots {
    type State = Host;

    fn start(&self) -> Host {
        let record = self.symbols.number(&Record::starting_above(Level::try_from(10).unwrap()));
        Host {
            slots: [1, 2].map(|write| Slot::new(Content::State { write, record })),
            phase: Phase::Down,
            copy: None,
            released: Vec::new(),
            asks: ASKS.map(|(_, times)| times),
            made: 0,
            kills: 2,
            power_losses: 2,
            failures: 2,
            damages: 1,
        }
    }

    fn steps(&self, host: &Host) -> Vec<Step<Host>> {
        let mut steps = Vec::new();
        let mut add = |what: String, next: Host, broken| steps.push(Step { what, next, broken });
        let (mut next, mut broken) = (host.clone(), Vec::new());
        if let Some(did) = self.proceed(&mut next, &mut broken) {
            add(format!("the process {did}"), next, broken);
        }
        let mut next = host.clone();
        if host.failures > 0
            && let Some(what) = self.fail(&mut next)
        {
            next.failures -= 1;
            add(what.to_owned(), next, Vec::new());
        }
        if host.phase == Phase::Idle {
            for (number, (request, _)) in ASKS.iter().enumerate().filter(|(number, _)| host.asks[*number] > 0) {
                let mut next = host.clone();
                next.asks[number] -= 1;
                next.phase = Phase::Look(*request);
                add(format!("the process is asked for {request}"), next, Vec::new());
            }
        }
        if host.kills > 0 && host.phase != Phase::Down {
            let mut next = host.clone();
            next.kills -= 1;
            (next.phase, next.copy) = (Phase::Down, None);
            add("the process is killed".to_owned(), next, Vec::new());
        }
        if host.power_losses > 0 {
            for first in Self::survivors(&host.slots[0]) {
                for second in Self::survivors(&host.slots[1]) {
                    let (mut next, mut broken) = (host.clone(), Vec::new());
                    next.power_losses -= 1;
                    next.slots = [first, second].map(Slot::new);
                    (next.phase, next.copy) = (Phase::Down, None);
                    self.check_held(&next, &mut broken);
                    add(format!("the power is lost, and on the disk are {first:?} and {second:?}"), next, broken);
                }
            }
        }
        if host.damages > 0 && host.phase == Phase::Down {
            for slot in 0..2 {
                let mut next = host.clone();
                next.damages -= 1;
                next.slots[slot] = Slot::new(Content::Damaged);
                add(format!("slot {slot} is damaged while no process runs"), next, Vec::new());
            }
        }
        steps
    }
}
