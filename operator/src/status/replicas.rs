//! The conditions of signers behind a Service. With one that signs the TezosSigner is Ready; a missing one is reported as Degraded.

use super::{
    ConditionDraft, DEGRADED, HSM, READY, SIGNING, STARTING, WATERMARK, WENT_BACK, answer_of, bounds, draft, holds,
    reasons, sealed, unknown, usable, went_back,
};
use crate::claim::ClaimedRecord;
use crate::message;
use crate::observation::{NotReady, PodObservation, Progress, Replica, SignerObservation};

/// The pods of a TezosSigner's signers, as the status counts them.
pub(super) struct Replicas<'a> {
    /// The desired number of pods.
    pub(super) wanted: u8,
    /// The pods, terminating ones among them.
    pub(super) pods: &'a [Replica],
    /// Why the Deployment cannot make more pods, if it cannot.
    pub(super) failure: Option<&'a str>,
}

impl Replicas<'_> {
    /// The signers that answer, without those in terminating pods.
    fn answers(&self) -> impl Iterator<Item = (&str, &SignerObservation)> {
        self.pods.iter().filter(|replica| !replica.ending).filter_map(answer)
    }

    fn holder(&self, claim: &ClaimedRecord) -> Option<(&str, &SignerObservation)> {
        self.pods.iter().filter_map(answer).find(|(_, status)| holds(status, claim))
    }

    pub(super) fn watermark(&self, claims: &[ClaimedRecord]) -> ConditionDraft {
        if self.answers().next().is_none() {
            return unknown(WATERMARK);
        }
        if let Some(back) = went_back(self.answers(), claims) {
            return draft(WATERMARK, "False", WENT_BACK, back);
        }
        let mut held = Vec::new();
        for claim in claims {
            let record = &claim.key.record;
            let Some((pod, _)) = self.holder(claim) else {
                let mut keys = self.answers().flat_map(|(pod, status)| status.keys.iter().map(move |key| (pod, key)));
                let reason = keys.find(|(_, key)| key.record == *record).map(|(pod, key)| match &key.reason {
                    Some(reason) => format!("pod {pod}: {reason}"),
                    None => "its holder has released it or is gone, and another pod will take it".to_owned(),
                });
                let reason =
                    reason.unwrap_or_else(|| "the pods run with an older configuration, without it".to_owned());
                let key = &claim.key.public_key_hash;
                return draft(WATERMARK, "False", "NotHeld", format!("no pod holds {record} of {key}: {reason}"));
            };
            held.push((pod, record.as_str()));
        }
        draft(WATERMARK, "True", "Held", by_pod(&held))
    }

    pub(super) fn hsm(&self) -> ConditionDraft {
        let mut answers = self.answers().peekable();
        if answers.peek().is_none() {
            return unknown(HSM);
        }
        if let Some(refused) = sealed::refused(self.answers()) {
            return refused;
        }
        match answers.find(|(_, status)| !status.hsm.ready) {
            None => usable(self.answers()),
            Some((pod, status)) => {
                let reason = status.hsm.reason.as_deref().unwrap_or("the signer has not logged in yet");
                draft(HSM, "False", "NotUsable", format!("pod {pod} cannot use the HSM or AWS KMS: {reason}"))
            }
        }
    }

    pub(super) fn ready(&self, claims: &[ClaimedRecord]) -> ConditionDraft {
        if let Some(forbidden) = bounds::nothing_left(claims) {
            return forbidden;
        }
        // Even if another one signs: it may have been restarted since, and not know.
        if let Some(back) = went_back(self.answers(), claims) {
            return draft(READY, "False", WENT_BACK, back);
        }
        let held: Option<Vec<_>> = claims.iter().map(|claim| Some((claim, self.holder(claim)?))).collect();
        let Some(held) = held else { return self.not_held(claims) };
        // Each reason that is about one key names it.
        if let Some((_, (pod, status))) = held.iter().find(|(_, (_, status))| !status.ready) {
            return draft(READY, "False", "NotReady", format!("pod {pod} does not sign: {}", reasons(pod, status)));
        }
        let bounded = |claim: &ClaimedRecord| format!("{}{}", claim.key.public_key_hash, bounds::of(claim));
        let keys: Vec<_> = held.iter().map(|(claim, (pod, _))| (*pod, bounded(claim))).collect();
        let ready = self.pods.iter().filter(|replica| replica.ready.is_ok()).count();
        if ready == 0 {
            return self.no_endpoint();
        }
        let wanted = usize::from(self.wanted);
        let verb = if ready == 1 { "is" } else { "are" };
        // During a rolling update there is one more.
        let count = format!("{} of {wanted} replicas {verb} ready", ready.min(wanted));
        if ready >= wanted {
            let ready = draft(READY, "True", SIGNING, format!("{count}; {}", by_pod(&keys)));
            return sealed::signing_on(ready, self.answers());
        }
        let trouble = self.trouble().map_or_else(String::new, |trouble| format!("{trouble}; "));
        let ready = draft(READY, "True", DEGRADED, format!("{count}; {trouble}{}", by_pod(&keys)));
        sealed::signing_on(ready, self.answers())
    }

    /// The signers could sign, but the Service sends no requests to any of them.
    fn no_endpoint(&self) -> ConditionDraft {
        let unready = |replica: &Replica| {
            let NotReady { progress, reason } = replica.ready.clone().err()?;
            let (starting, reason) = match &replica.observation {
                PodObservation::Unreachable { reason, starting, .. } => (*starting, reason.clone()),
                _ => (progress == Progress::Starting, reason),
            };
            Some((replica.ending, starting, replica.observation.pod().to_owned(), reason))
        };
        // Terminating pods come last, and starting ones after broken ones.
        let mut all: Vec<_> = self.pods.iter().filter_map(unready).collect();
        all.sort_by_key(|(ending, starting, ..)| (*ending, *starting));
        let Some((_, starting, pod, reason)) = all.into_iter().next() else {
            return draft(READY, "False", STARTING, "the pods are being created");
        };
        let message = format!("no pod is Ready, so the Service has no endpoints; pod {pod}: {reason}");
        draft(READY, "False", if starting { STARTING } else { "NoEndpoint" }, message)
    }

    /// Why fewer replicas are ready than desired, as far as it is known.
    fn trouble(&self) -> Option<String> {
        let staying = || self.pods.iter().filter(|replica| !replica.ending);
        if let Some(failure) = self.failure.filter(|_| staying().count() < usize::from(self.wanted)) {
            return Some(format!("further pods cannot be created: {failure}"));
        }
        staying().find_map(|replica| match (&replica.ready, &replica.observation) {
            (Ok(()), _) | (_, PodObservation::NoPod(_) | PodObservation::NotInjected(_)) => None,
            (Err(_), PodObservation::Unreachable { pod, reason, .. }) => Some(format!("pod {pod}: {reason}")),
            (Err(_), PodObservation::Answer { pod, status }) if !status.ready => {
                Some(format!("pod {pod}: {}", reasons(pod, status)))
            }
            (Err(not_ready), PodObservation::Answer { pod, .. }) => Some(format!("pod {pod}: {}", not_ready.reason)),
        })
    }

    /// At least one key is not held by any signer.
    fn not_held(&self, claims: &[ClaimedRecord]) -> ConditionDraft {
        let staying = || self.pods.iter().filter(|replica| !replica.ending);
        if self.answers().next().is_none() {
            // Starting pods come after broken ones.
            let mut reasons = staying().filter_map(|replica| answer_of(&replica.observation).err()).collect::<Vec<_>>();
            reasons.sort_by_key(|(reason, _)| *reason == STARTING);
            let none = || answer_of(&PodObservation::NoPod(self.failure.map(str::to_owned))).err();
            if let Some((reason, message)) = reasons.into_iter().next().or_else(none) {
                return draft(READY, "False", reason, message);
            }
        }
        let hsm = self.hsm();
        let no_hsm = self.answers().all(|(_, status)| !status.hsm.ready);
        let bad = if no_hsm { hsm } else { self.watermark(claims) };
        draft(READY, "False", &bad.reason, bad.message)
    }
}

fn answer(replica: &Replica) -> Option<(&str, &SignerObservation)> {
    answer_of(&replica.observation).ok()
}

/// `a holds x, y; b holds z`.
fn by_pod<T: AsRef<str>>(held: &[(&str, T)]) -> String {
    let mut pods: Vec<&str> = held.iter().map(|(pod, _)| *pod).collect();
    pods.sort_unstable();
    pods.dedup();
    let of = |pod: &str| {
        let of_pod = held.iter().filter(|(holder, _)| *holder == pod);
        message::list(of_pod.map(|(_, what)| what.as_ref()))
    };
    message::list_by("; ", pods.iter().map(|pod| format!("{pod} holds {}", of(pod))))
}
