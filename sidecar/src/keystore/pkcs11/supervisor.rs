//! Supervises the threads of the sessions. A PKCS#11 call cannot be interrupted: a thread whose call does not return is
//! abandoned and replaced, up to a limit. If no other step helps, the process exits, because a new one may recover.

use crate::keystore::pkcs11::HsmError;
use crate::keystore::pkcs11::login_policy::{is_of_the_pin, needs_accepted_pin};
use crate::keystore::pkcs11::worker::{Shared, Worker};
use crate::keystore::pkcs11::worker_slot::{LibraryCall, WorkerSlot};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tezos_signer_core::cause::Cause;
use tezos_signer_core::config::HsmConfig;
use tokio::sync::watch;

/// How often it looks.
const LOOK: Duration = Duration::from_millis(100);

/// When a session that does not return from a signature no longer counts as one that signs.
const SUSPECT: Duration = Duration::from_secs(1);

/// When a thread is given up: after so long in a signature, and in one call of anything else. Opening a session may rightly take
/// long, and so may a search.
const GIVE_UP_SIGNING: Duration = Duration::from_secs(2);
const GIVE_UP_ELSE: Duration = Duration::from_secs(10);

/// How many times more patient a process is with calls that hang before its first signature.
const PATIENCE_AT_START: u32 = 5;

/// The same with a login that fails, where this process knows that the PIN is right. Another one would not, and stops after two tries.
const PATIENCE_WITH_ACCEPTED_PIN: u32 = 5;

pub(super) struct Supervisor {
    shared: Shared,
    /// How many threads may hang, beside those that work.
    limit: usize,
    exit_after: Duration,
    exit_after_hang: Duration,
    threads: Vec<Thread>,
    last_number: u64,
    given_up: watch::Sender<Option<Cause>>,
}

struct Thread {
    slot: Arc<WorkerSlot>,
    handle: JoinHandle<()>,
}

impl Supervisor {
    /// Starts one thread for each session of `config`. `given_up` gets the reason why the process should exit.
    pub(super) fn start(
        config: &HsmConfig,
        shared: Shared,
        given_up: watch::Sender<Option<Cause>>,
    ) -> std::io::Result<Self> {
        let sessions = usize::from(config.sessions);
        let mut supervisor = Self {
            shared,
            limit: 2 * sessions,
            exit_after: config.exit_after,
            exit_after_hang: config.exit_after_hang,
            threads: Vec::new(),
            last_number: 0,
            given_up,
        };
        for _ in 0..sessions {
            supervisor.spawn()?;
        }
        Ok(supervisor)
    }

    fn spawn(&mut self) -> std::io::Result<()> {
        self.last_number += 1;
        let slot = Arc::new(WorkerSlot::new(self.last_number, self.shared.token.one_call_at_a_time()));
        self.shared.health.joins(slot.number);
        let worker = Worker::new(self.shared.clone(), slot.clone());
        let thread = std::thread::Builder::new().name(format!("hsm-session-{}", slot.number));
        self.threads.push(Thread { slot, handle: thread.spawn(move || worker.run())? });
        Ok(())
    }

    /// Until the threads are to end, and have; those that hang are not waited for.
    pub(super) fn run(mut self) {
        while self.shared.stop.recv_timeout(LOOK).is_err_and(|error| error.is_timeout()) {
            self.check_calls();
        }
        for thread in self.threads {
            while !thread.handle.is_finished() {
                std::thread::sleep(Duration::from_millis(2));
            }
        }
    }

    fn check_calls(&mut self) {
        self.threads.retain(|thread| !thread.handle.is_finished());
        let mut hangs = Vec::new();
        let give_up_else = GIVE_UP_ELSE.min(self.exit_after_hang);
        for Thread { slot, .. } in &self.threads {
            let Some((call, since)) = slot.clock.now() else { continue };
            let (suspect, give_up) = match call {
                LibraryCall::Signing => (SUSPECT, GIVE_UP_SIGNING),
                LibraryCall::Waiting | LibraryCall::Opening | LibraryCall::Finding | LibraryCall::Closing => {
                    (give_up_else, give_up_else)
                }
            };
            if since.elapsed() >= suspect {
                self.shared.health.lost(slot.number, &HsmError::Hangs(call.name()), since);
            }
            if since.elapsed() >= give_up {
                hangs.push((slot.clone(), call, since));
            }
        }
        self.shared.metrics.hang(hangs.len());
        let (abandoned, new): (Vec<_>, Vec<_>) = hangs.iter().partition(|(slot, ..)| slot.is_abandoned());
        let allowed = self.limit.saturating_sub(abandoned.len());
        for (slot, call, _) in new.iter().take(allowed) {
            self.replace(slot, *call);
        }
        let is_patience_over = hangs.iter().any(|(.., since)| since.elapsed() >= self.exit_after_hang);
        self.consider_the_end(hangs.len(), new.len() > allowed && is_patience_over);
    }

    fn replace(&mut self, slot: &WorkerSlot, call: LibraryCall) {
        slot.abandon();
        self.shared.health.leaves(slot.number);
        self.shared.searches.end(slot.number);
        self.shared.metrics.replaced();
        tracing::warn!(
            session = slot.number,
            call = call.name(),
            "a call of the PKCS#11 library does not return: its thread is replaced"
        );
        if let Err(error) = self.spawn() {
            self.give_up(Cause::of(error).map_text(|error| format!("a thread could not be started: {error}")));
        }
    }

    fn consider_the_end(&self, hanging: usize, are_too_many: bool) {
        if are_too_many && self.shared.health.has_signed() {
            return self.give_up(format!("{hanging} calls of the PKCS#11 library do not return").into());
        }
        let Some((time, error)) = self.shared.health.nothing_signs() else { return };
        let seconds = time.as_secs();
        if hanging > 0 {
            // One that has never signed would only be followed by another such.
            let patience = self.exit_after_hang * if self.shared.health.has_signed() { 1 } else { PATIENCE_AT_START };
            if time >= patience {
                self.give_up(Cause::of(error).map_text(|error| {
                    format!(
                        "nothing has signed for {seconds} s, and {hanging} calls of the PKCS#11 library do not return: {error}"
                    )
                }));
            }
        } else if self.shared.health.has_signed()
            && time >= self.exit_after * patience_factor(&error)
            && !is_of_the_pin(&error)
        {
            self.give_up(Cause::of(error).map_text(|error| format!("nothing has signed for {seconds} s: {error}")));
        }
    }

    fn give_up(&self, reason: Cause) {
        self.given_up.send_if_modified(|reason_slot| {
            if reason_slot.is_none() {
                tracing::error!(step = "exit", %reason, "the process exits, because a new one may reach the HSM");
                *reason_slot = Some(reason);
                return true;
            }
            false
        });
    }
}

fn patience_factor(error: &HsmError) -> u32 {
    if needs_accepted_pin(error) { PATIENCE_WITH_ACCEPTED_PIN } else { 1 }
}
