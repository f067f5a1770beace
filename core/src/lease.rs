//! The rules of a record's lease: when a signer takes, renews and releases it, and when a holder must write to the store
//! before it uses the HSM again.
//!
//! Pure functions. Durations are parameters, which the caller measures with its own monotonic clock. No decision uses the
//! times in a [`Lease`].
//!
//! Safety does not depend on these rules, because every write is conditional on the state that it was decided on. The lease
//! prevents a second signer from attempting a write, because even a rejected write has shown its signature to the store.
//!
//! Two clocks are involved, and they are never compared with each other. The holder measures its *silence*, the time since it
//! sent its last write that the store accepted ([`LastWrite`]). A standby measures for how long it has seen the record
//! *unchanged*. A standby cannot see a write before it was sent, so the holder's silence is never the shorter of the two. The
//! holder stops signing when its silence reaches [`LeaseTerms::duration`]; the standby takes over no earlier than that
//! ([`LeaseTerms::expires_after`]).

use crate::record::Lease;
use jiff::Timestamp;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

/// INVARIANT L1: A holder whose HSM has failed for this long releases the lease, so that a signer with a working HSM can take over.
pub const HSM_PATIENCE: Duration = Duration::from_secs(2);

/// What one signer brings to the lease of a record: who it is, and for how long it may be silent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseTerms {
    /// Who this process is: the pod's UID, or the host's name. Never empty.
    pub identity: String,
    /// Where other replicas can forward requests to; the lease publishes it.
    pub address: Option<SocketAddr>,
    /// How long the record may stay unchanged before another signer takes over: whole seconds, at least 3 s.
    pub duration: Duration,
}

/// What a holder does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HolderAction {
    /// Release the lease, so that another signer can take the record at once.
    Release(ReleaseReason),
    /// Write the record unchanged, to show that the holder is alive.
    Renew,
    /// Nothing for this long: then a renewal is due.
    Wait(Duration),
}

/// Why a holder releases the lease of its own accord.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReleaseReason {
    /// Its HSM has failed for [`HSM_PATIENCE`].
    HsmFailed,
    /// The record names another signer as its preferred holder.
    AnotherIsPreferred,
}

impl fmt::Display for ReleaseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::HsmFailed => "the HSM has failed for too long",
            Self::AnotherIsPreferred => "the record prefers another holder",
        })
    }
}

/// What a signer does next that is not the holder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StandbyAction {
    /// Take the lease, by a write on the state that was just read.
    Take,
    /// Nothing for this long: if the record is still unchanged then, the lease may be taken.
    Wait(Duration),
    /// INVARIANT L1: Nothing until its own HSM works: it could not sign.
    AwaitHsm,
}

impl LeaseTerms {
    /// Whether `lease` is held by this signer.
    pub fn holds(&self, lease: &Lease) -> bool {
        lease.holder_identity == self.identity
    }

    /// Whether `lease` names another signer as the preferred holder.
    pub fn prefers_another(&self, lease: &Lease) -> bool {
        !lease.preferred_holder.is_empty() && lease.preferred_holder != self.identity
    }

    /// For how long a standby must see the record unchanged before it may take the lease over: what the holder announced, and at
    /// least what this signer is configured with.
    pub fn expires_after(&self, lease: &Lease) -> Duration {
        Duration::from_secs(lease.lease_duration_seconds.into()).max(self.duration)
    }

    /// Whether this signer may take `lease`, which it has seen `unchanged` for so long: at once if nobody holds it and nobody else
    /// is preferred, or if this signer is preferred; otherwise when the lease has expired.
    pub fn may_take(&self, lease: &Lease, unchanged: Duration) -> bool {
        let is_free = lease.holder_identity.is_empty() && !self.prefers_another(lease);
        let is_preferred = lease.preferred_holder == self.identity;
        is_free || is_preferred || unchanged >= self.expires_after(lease)
    }

    /// The longest time between two renewals by a holder that signs nothing: a third of the duration, so that two may fail.
    pub fn renewal_interval(&self) -> Duration {
        self.duration / 3
    }

    /// Whether a holder has been silent for so long that another signer may have taken over, or may be about to.
    ///
    /// INVARIANT S1: Such a holder must write to the store, unchanged, before it asks the HSM for a signature: after a pause, its write of a
    /// signature could be refused, and would show it all the same. INVARIANT S2: The same question comes once more between the HSM and that
    /// write, because the HSM may have taken long; a signature that has become too old then is dropped.
    pub fn is_silent(&self, silence: Duration) -> bool {
        silence >= self.duration
    }

    /// What the holder of `lease` does after a `silence`, with an HSM that has failed for `hsm_failing`; `None` while it works.
    pub fn holder_action(&self, lease: &Lease, silence: Duration, hsm_failing: Option<Duration>) -> HolderAction {
        if hsm_failing.is_some_and(|time| time >= HSM_PATIENCE) {
            HolderAction::Release(ReleaseReason::HsmFailed)
        } else if self.prefers_another(lease) {
            HolderAction::Release(ReleaseReason::AnotherIsPreferred)
        } else {
            match self.renewal_interval().saturating_sub(silence) {
                Duration::ZERO => HolderAction::Renew,
                remaining => HolderAction::Wait(remaining),
            }
        }
    }

    /// What a standby does that has seen `lease` `unchanged` for so long.
    pub fn standby_action(&self, lease: &Lease, unchanged: Duration, hsm_works: bool) -> StandbyAction {
        if !hsm_works {
            StandbyAction::AwaitHsm
        } else if self.may_take(lease, unchanged) {
            StandbyAction::Take
        } else {
            StandbyAction::Wait(self.expires_after(lease).saturating_sub(unchanged))
        }
    }

    /// The lease after this signer has taken `seen`. The name of another preferred holder is removed: that signer did not come, and
    /// with its name there this one would have to release the lease again.
    #[must_use]
    pub fn taken(&self, seen: &Lease, now: Timestamp) -> Lease {
        Lease {
            holder_identity: self.identity.clone(),
            lease_duration_seconds: self.duration_in_seconds(),
            acquire_time: Some(now),
            renew_time: Some(now),
            leader_transitions: seen.leader_transitions + 1,
            preferred_holder: if self.prefers_another(seen) { String::new() } else { seen.preferred_holder.clone() },
            holder_address: self.address,
        }
    }

    /// The lease after its holder, which is this signer, has renewed `held`. It announces the duration that this process is
    /// configured with, which an earlier process of the same pod may not have been.
    #[must_use]
    pub fn renewed(&self, held: &Lease, now: Timestamp) -> Lease {
        Lease {
            lease_duration_seconds: self.duration_in_seconds(),
            renew_time: Some(now),
            holder_address: self.address,
            ..held.clone()
        }
    }

    /// Rounded up: nobody may take over before the holder is silent by its own count.
    fn duration_in_seconds(&self) -> u32 {
        u32::try_from(self.duration.as_nanos().div_ceil(1_000_000_000)).unwrap_or(u32::MAX)
    }
}

/// A write to the store, by the clock of the process that sent it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WriteTimes<T> {
    /// Just before it was sent.
    pub sent: T,
    /// When its answer arrived.
    pub answered: T,
}

/// The newest write of this process that the store accepted: the start of its silence. `T` is a point in time of a monotonic clock.
///
/// INVARIANT S4: Reads do not count. Nobody else sees a read, and a standby measures from what it sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastWrite<T>(Option<T>);

impl<T> Default for LastWrite<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T: Copy> LastWrite<T> {
    /// The store has accepted a write. INVARIANT S3: The silence starts with the sending and not with the answer: the store may have taken the
    /// write at any moment between the two, and a standby measures from that moment.
    pub fn accepted(&mut self, write: WriteTimes<T>) {
        self.0 = Some(write.sent);
    }

    /// A release of the lease is being sent. INVARIANT S4: If its answer is lost, it may still be carried out while the next signature is made:
    /// from now on the holder counts as silent, until the store accepts a write.
    pub fn release_sent(&mut self) {
        self.0 = None;
    }

    /// The silence, where `age` says how long ago a point in time was; [`Duration::MAX`] without any such write.
    pub fn silence(&self, age: impl FnOnce(T) -> Duration) -> Duration {
        self.0.map_or(Duration::MAX, age)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DURATION: Duration = Duration::from_secs(6);
    const INSTANT: Duration = Duration::from_nanos(1);

    fn just_before(limit: Duration) -> Duration {
        limit.saturating_sub(INSTANT)
    }

    fn terms(identity: &str) -> LeaseTerms {
        LeaseTerms { identity: identity.to_owned(), address: None, duration: DURATION }
    }

    fn lease(holder: &str, preferred: &str) -> Lease {
        Lease {
            holder_identity: holder.to_owned(),
            preferred_holder: preferred.to_owned(),
            lease_duration_seconds: 6,
            leader_transitions: 4,
            ..Lease::default()
        }
    }

    fn now() -> Timestamp {
        Timestamp::from_second(1_000).unwrap()
    }

    #[test]
    fn a_lease_is_taken_at_once_if_it_is_free_or_this_signer_is_preferred_and_otherwise_when_it_expires() {
        let me = terms("me");
        for (holder, preferred, at_once) in [
            ("", "", true),
            ("", "me", true),
            ("", "other", false),
            ("other", "", false),
            ("other", "me", true),
            ("other", "other", false),
            ("other", "third", false),
        ] {
            let lease = lease(holder, preferred);
            let may_take = |unchanged| me.may_take(&lease, unchanged);
            assert_eq!(may_take(Duration::ZERO), at_once, "{holder:?} {preferred:?}");
            assert_eq!(may_take(just_before(DURATION)), at_once, "{holder:?} {preferred:?}");
            assert!(may_take(DURATION), "{holder:?} {preferred:?}");
        }
    }

    #[test]
    fn a_lease_expires_after_the_longer_of_what_its_holder_announced_and_what_the_standby_is_configured_with() {
        let me = terms("me");
        let announced = |lease_duration_seconds| Lease { lease_duration_seconds, ..lease("other", "") };
        assert_eq!(me.expires_after(&announced(5)), DURATION);
        assert_eq!(me.expires_after(&announced(7)), Duration::from_secs(7));
        assert!(!me.may_take(&announced(7), DURATION));
        assert!(me.may_take(&announced(5), DURATION));
    }

    #[test]
    fn a_standby_takes_waits_for_the_rest_of_the_lease_or_abstains_while_its_hsm_does_not_work() {
        let me = terms("me");
        let held = lease("other", "");
        assert_eq!(me.standby_action(&lease("", ""), Duration::ZERO, true), StandbyAction::Take);
        assert_eq!(me.standby_action(&held, DURATION, true), StandbyAction::Take);
        let unchanged = Duration::from_secs(2);
        assert_eq!(me.standby_action(&held, unchanged, true), StandbyAction::Wait(Duration::from_secs(4)));
        for lease in [lease("", ""), lease("", "me"), held] {
            assert_eq!(me.standby_action(&lease, DURATION, false), StandbyAction::AwaitHsm);
        }
    }

    #[test]
    fn a_holder_renews_after_a_third_of_the_duration() {
        let me = terms("me");
        for preferred in ["", "me"] {
            let lease = lease("me", preferred);
            let action = |silence| me.holder_action(&lease, silence, None);
            assert_eq!(action(Duration::ZERO), HolderAction::Wait(Duration::from_secs(2)));
            assert_eq!(action(just_before(Duration::from_secs(2))), HolderAction::Wait(INSTANT));
            assert_eq!(action(Duration::from_secs(2)), HolderAction::Renew);
            assert_eq!(action(Duration::MAX), HolderAction::Renew);
        }
    }

    #[test]
    fn a_holder_releases_for_another_preferred_one_and_when_its_hsm_has_failed_for_long() {
        let me = terms("me");
        let action = |lease, hsm_failing| me.holder_action(&lease, Duration::ZERO, hsm_failing);
        let wait = HolderAction::Wait(Duration::from_secs(2));
        assert_eq!(action(lease("me", "other"), None), HolderAction::Release(ReleaseReason::AnotherIsPreferred));
        assert_eq!(action(lease("me", ""), Some(just_before(HSM_PATIENCE))), wait);
        assert_eq!(action(lease("me", ""), Some(HSM_PATIENCE)), HolderAction::Release(ReleaseReason::HsmFailed));
        assert_eq!(action(lease("me", "me"), Some(HSM_PATIENCE)), HolderAction::Release(ReleaseReason::HsmFailed));
    }

    /// INVARIANT L6: Whatever the two are configured with, at the moment at which a standby may take over, the holder is silent by its own
    /// count: also where it has another duration now than when it took the lease.
    #[test]
    fn a_holder_is_silent_before_a_standby_may_take_over() {
        let seconds = Duration::from_secs;
        for holders in [seconds(3), Duration::from_millis(3_500), seconds(6), seconds(60)] {
            let holder = LeaseTerms { duration: holders, ..terms("holder") };
            assert!(!holder.is_silent(just_before(holders)));
            assert!(holder.is_silent(holders));
            for earlier in [seconds(3), seconds(60)] {
                let before = LeaseTerms { duration: earlier, ..terms("holder") };
                let taken = before.taken(&lease("", ""), now());
                for standbys in [seconds(3), seconds(6), seconds(60)] {
                    let standby = LeaseTerms { duration: standbys, ..terms("standby") };
                    for (lease, holder) in [(taken.clone(), &before), (holder.renewed(&taken, now()), &holder)] {
                        let unchanged = (0..=600).map(|tenths| Duration::from_millis(tenths * 100));
                        let takes_over = unchanged.clone().find(|time| standby.may_take(&lease, *time)).unwrap();
                        assert!(holder.is_silent(takes_over), "{holders:?} {earlier:?} {standbys:?}");
                        assert!(holder.renewal_interval() < takes_over);
                    }
                }
            }
        }
    }

    /// INVARIANT S3: A slow answer does not make the silence shorter.
    #[test]
    fn silence_is_counted_from_the_sending_of_the_newest_accepted_write() {
        let age = |at: u64| Duration::from_secs(20 - at);
        let mut last = LastWrite::default();
        assert_eq!(last.silence(age), Duration::MAX);
        last.accepted(WriteTimes { sent: 11, answered: 15 });
        assert_eq!(last.silence(age), Duration::from_secs(9));
        last.accepted(WriteTimes { sent: 16, answered: 19 });
        assert_eq!(last.silence(age), Duration::from_secs(4));
    }

    /// INVARIANT S4: A release whose answer is lost may still be carried out.
    #[test]
    fn who_has_sent_a_release_is_silent_until_its_next_write_is_accepted() {
        let age = |at: u64| Duration::from_secs(20 - at);
        let mut last = LastWrite::default();
        last.accepted(WriteTimes { sent: 18, answered: 18 });
        last.release_sent();
        assert!(terms("me").is_silent(last.silence(age)));
        last.accepted(WriteTimes { sent: 19, answered: 20 });
        assert!(!terms("me").is_silent(last.silence(age)));
    }

    #[test]
    fn taking_and_renewing_write_who_holds_the_lease_since_when_and_for_how_long() {
        let address = "10.0.3.7:6733".parse().ok();
        let me = LeaseTerms { address, ..terms("me") };
        let seen = Lease { holder_address: "10.0.3.8:6733".parse().ok(), ..lease("other", "third") };
        let taken = me.taken(&seen, now());
        let expected = Lease {
            holder_identity: "me".to_owned(),
            lease_duration_seconds: 6,
            acquire_time: Some(now()),
            renew_time: Some(now()),
            leader_transitions: 5,
            preferred_holder: String::new(),
            holder_address: address,
        };
        assert_eq!(taken, expected);
        assert!(me.holds(&taken) && !terms("other").holds(&taken));
        // Its own name stays: a holder that is preferred need not release.
        let preferred = me.taken(&lease("other", "me"), now());
        assert_eq!(preferred.preferred_holder, "me");
        assert!(!me.prefers_another(&preferred) && terms("other").prefers_another(&preferred));

        let later = Timestamp::from_second(1_001).unwrap();
        let moved = LeaseTerms { address: None, duration: Duration::from_millis(3_001), ..me.clone() };
        let renewed = moved.renewed(&Lease { preferred_holder: "other".to_owned(), ..taken.clone() }, later);
        let expected = Lease {
            lease_duration_seconds: 4,
            renew_time: Some(later),
            preferred_holder: "other".to_owned(),
            holder_address: None,
            ..taken
        };
        assert_eq!(renewed, expected);
    }
}
