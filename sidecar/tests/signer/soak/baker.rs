//! Asks for the votes and blocks of one key as Octez does: level by level, in some a round or two more, and again where the
//! answer is 502. And as nobody should: a request again, another one for the same position, before or after the first.

use super::dice::Dice;
use super::ledger::{Kind, Request};
use super::subject::Subject;
use crate::test_env::FLOOR;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tezos_signer_core::config::KeyConfig;

/// Some six times as fast as mainnet.
const LEVEL: Duration = Duration::from_secs(1);

pub(super) struct Baker<'a> {
    pub(super) subject: &'a Subject,
    pub(super) key: &'a KeyConfig,
    pub(super) dice: Dice,
    pub(super) stop: &'a AtomicBool,
}

impl Baker<'_> {
    pub(super) fn bake(mut self) {
        let mut level = FLOOR + 1;
        let mut next = Instant::now() + self.dice.milliseconds(0, 500);
        while !self.stop.load(Ordering::SeqCst) {
            std::thread::sleep(next.saturating_duration_since(Instant::now()));
            next = Instant::now() + LEVEL;
            let rounds = if self.dice.one_in(5) { 2 + self.dice.below(2) } else { 1 };
            for round in 0..u32::try_from(rounds).unwrap() {
                for kind in [Kind::Preattestation, Kind::Attestation, Kind::Block] {
                    if kind != Kind::Block || self.dice.one_in(3) {
                        self.want(Request { kind, level, round, salt: 1 }, next);
                    }
                }
            }
            level += 1;
        }
    }

    /// Asks until it is signed or the level is over.
    fn want(&mut self, mut request: Request, end: Instant) {
        if self.dice.one_in(16) {
            std::thread::scope(|scope| {
                scope.spawn(|| self.subject.ask(self.key, Request { salt: 2, ..request }));
                self.subject.ask(self.key, request);
            });
        }
        while !matches!(self.subject.ask(self.key, request), Some(200 | 409)) {
            if Instant::now() > end || self.stop.load(Ordering::SeqCst) {
                return;
            }
            std::thread::sleep(self.dice.milliseconds(20, 150));
            // A baker that has seen another proposal in the meantime.
            request.salt = if self.dice.one_in(8) { 3 } else { request.salt };
        }
        if self.dice.one_in(4) {
            self.subject.ask(self.key, request);
        }
        if self.dice.one_in(4) {
            self.subject.ask(self.key, Request { salt: 4, ..request });
        }
        if self.dice.one_in(16) {
            self.subject.ask(self.key, Request { level: request.level - 1, ..request });
        }
    }
}
