//! What the conditions say of several signers behind a Service. One that signs is enough; that another is missing is said.

use super::{
    Finding, HSM, READY, STARTING, WATERMARK, WENT_BACK, finding, heard, holds, suspended, unknown, went_back,
};
use crate::controller::claim::Claimed;
use crate::controller::observe::{Replica, Sight, SignerStatus};

/// The signers.
pub(super) struct Replicas<'a> {
    /// How many there should be.
    pub(super) wanted: u8,
    /// Those that there are, ending ones among them.
    pub(super) pods: &'a [Replica],
    /// Why no more can be made, if they cannot.
    pub(super) failure: Option<&'a str>,
}

impl Replicas<'_> {
    /// Those that stay, and answer.
    fn answers(&self) -> impl Iterator<Item = (&str, &SignerStatus)> {
        self.pods.iter().filter(|replica| !replica.ending).filter_map(answer)
    }

    fn holder(&self, claim: &Claimed) -> Option<(&str, &SignerStatus)> {
        self.pods.iter().filter_map(answer).find(|(_, status)| holds(status, claim))
    }

    pub(super) fn watermark(&self, claims: &[Claimed]) -> Finding {
        if self.answers().next().is_none() {
            return unknown(WATERMARK);
        }
        if let Some(back) = went_back(self.answers(), claims) {
            return finding(WATERMARK, "False", WENT_BACK, back);
        }
        let mut held = Vec::new();
        for claim in claims {
            let record = &claim.key.record;
            let Some((pod, _)) = self.holder(claim) else {
                let mut keys = self.answers().flat_map(|(pod, status)| status.keys.iter().map(move |key| (pod, key)));
                let reason = keys.find(|(_, key)| key.record == *record).map(|(pod, key)| match &key.reason {
                    Some(reason) => format!("pod {pod}: {reason}"),
                    None => "its holder has let it go or is gone, and another will take it".to_owned(),
                });
                let reason =
                    reason.unwrap_or_else(|| "the pods run with an older configuration, without it".to_owned());
                return finding(WATERMARK, "False", "NotHeld", format!("no pod holds {record}: {reason}"));
            };
            held.push((pod, record.as_str()));
        }
        finding(WATERMARK, "True", "Held", by_pod(&held))
    }

    pub(super) fn hsm(&self) -> Finding {
        let mut answers = self.answers().peekable();
        if answers.peek().is_none() {
            return unknown(HSM);
        }
        match answers.find(|(_, status)| !status.hsm.ready) {
            None => finding(HSM, "True", "LoggedIn", "logged in, and all keys found with the public keys of the spec"),
            Some((pod, status)) => {
                let reason = status.hsm.reason.as_deref().unwrap_or("the signer has not logged in yet");
                finding(HSM, "False", "NotUsable", format!("pod {pod} cannot use the HSM: {reason}"))
            }
        }
    }

    pub(super) fn ready(&self, claims: &[Claimed]) -> Finding {
        if let Some(suspended) = suspended(claims) {
            return suspended;
        }
        // Even if another one signs: it may not know what it has forgotten.
        if let Some(back) = went_back(self.answers(), claims) {
            return finding(READY, "False", WENT_BACK, back);
        }
        let held: Option<Vec<_>> = claims.iter().map(|claim| Some((claim, self.holder(claim)?))).collect();
        let Some(held) = held else { return self.not_held(claims) };
        if let Some((claim, (pod, status))) = held.iter().find(|(_, (_, status))| !status.ready) {
            let message = format!("pod {pod} does not sign for {}: {}", claim.key.public_key_hash, reasons(status));
            return finding(READY, "False", "NotReady", message);
        }
        let keys: Vec<_> = held.iter().map(|(claim, (pod, _))| (*pod, claim.key.public_key_hash.as_str())).collect();
        let ready = self.pods.iter().filter(|replica| replica.ready).count();
        let wanted = usize::from(self.wanted);
        let verb = if ready == 1 { "is" } else { "are" };
        // While they are replaced there is one more.
        let mut message = format!("{} of {wanted} replicas {verb} ready; {}", ready.min(wanted), by_pod(&keys));
        if ready >= wanted {
            return finding(READY, "True", "Signing", message);
        }
        if let Some(trouble) = self.trouble() {
            message = format!("{message}; {trouble}");
        }
        finding(READY, "True", "Degraded", message)
    }

    /// Why there are not as many as there should be, as far as it is known.
    fn trouble(&self) -> Option<String> {
        let staying = || self.pods.iter().filter(|replica| !replica.ending);
        if let Some(failure) = self.failure.filter(|_| staying().count() < usize::from(self.wanted)) {
            return Some(format!("no more pods can be made: {failure}"));
        }
        staying().filter(|replica| !replica.ready).find_map(|replica| match &replica.sight {
            Sight::Silent { pod, reason, .. } => Some(format!("pod {pod}: {reason}")),
            Sight::Answer { pod, status } if !status.ready => Some(format!("pod {pod}: {}", reasons(status))),
            _ => None,
        })
    }

    /// Nobody signs with every key.
    fn not_held(&self, claims: &[Claimed]) -> Finding {
        let staying = || self.pods.iter().filter(|replica| !replica.ending);
        if self.answers().next().is_none() {
            // What is broken tells more than what is only a matter of time.
            let mut said = staying().filter_map(|replica| heard(&replica.sight).err()).collect::<Vec<_>>();
            said.sort_by_key(|(reason, _)| *reason == STARTING);
            let none = || heard(&Sight::NoPod(self.failure.map(str::to_owned))).err();
            if let Some((reason, message)) = said.into_iter().next().or_else(none) {
                return finding(READY, "False", reason, message);
            }
        }
        let hsm = self.hsm();
        let no_hsm = self.answers().all(|(_, status)| !status.hsm.ready);
        let bad = if no_hsm { hsm } else { self.watermark(claims) };
        finding(READY, "False", &bad.reason, bad.message)
    }
}

fn answer(replica: &Replica) -> Option<(&str, &SignerStatus)> {
    heard(&replica.sight).ok()
}

fn reasons(status: &SignerStatus) -> String {
    if status.reasons.is_empty() { "it gives no reason".to_owned() } else { status.reasons.join("; ") }
}

/// `a holds x, y; b holds z`.
fn by_pod(held: &[(&str, &str)]) -> String {
    let mut pods: Vec<&str> = held.iter().map(|(pod, _)| *pod).collect();
    pods.sort_unstable();
    pods.dedup();
    let of = |pod: &str| held.iter().filter(|(holder, _)| *holder == pod).map(|(_, what)| *what).collect::<Vec<_>>();
    pods.iter().map(|pod| format!("{pod} holds {}", of(pod).join(", "))).collect::<Vec<_>>().join("; ")
}
