//! From the state of chain and cluster to the steps of a change of consensus key: which are done, which is next, and what to do in it. Pure.

mod show;

use super::chain::{Chain, Consensus};
use jiff::{SignedDuration, Timestamp, Unit};
use serde::Serialize;
use serde_json::json;

/// What is known.
pub(super) struct Situation {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) baker: String,
    /// The keys of the TezosSigner that are no companion keys.
    pub(super) keys: Vec<KeyState>,
    /// The new key of the command line: address and public key.
    pub(super) given: Option<(String, String)>,
    pub(super) baker_form: BakerForm,
    pub(super) chain: Chain,
    pub(super) consensus: Consensus,
}

/// Who bakes with the signer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum BakerForm {
    /// `baker.octez`, which is told its keys by the operator.
    Octez {
        /// The keys that it bakes with.
        delegates: Vec<String>,
    },
    /// A baker that is told its keys by its user.
    Other,
}

impl BakerForm {
    /// `baker.octez`, of which `delegate` or `delegates` name some of `keys`. Without a name, it bakes with the only key.
    pub(super) fn of_octez(named: Vec<String>, keys: &[KeyState]) -> Self {
        match keys {
            [only] if named.is_empty() => Self::Octez { delegates: vec![only.address.clone()] },
            _ => Self::Octez { delegates: named },
        }
    }

    fn bakes_with(&self, address: &str) -> bool {
        match self {
            Self::Octez { delegates } => delegates.iter().any(|delegate| delegate == address),
            Self::Other => true,
        }
    }
}

/// A key of the TezosSigner.
#[derive(Debug, Clone)]
pub(super) struct KeyState {
    pub(super) address: String,
    pub(super) public_key: String,
    /// Whether it could sign now.
    pub(super) ready: bool,
    pub(super) why_not: Option<String>,
    /// The highest level that it has signed at; `None` if it never has.
    pub(super) signed: Option<i64>,
}

/// Whether a step is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum State {
    Done,
    /// To be done now, by a person.
    Now,
    /// To be waited for.
    Wait,
    Later,
}

/// One step of the change.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Step {
    pub(super) state: State,
    pub(super) what: String,
}

/// All steps, and what is next.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Plan {
    namespace: String,
    name: String,
    baker: String,
    active: String,
    new: Option<String>,
    chain: Chain,
    consensus: Consensus,
    pub(super) steps: Vec<Step>,
    /// What to do now, or what is waited for.
    pub(super) next: String,
    /// Commands or a manifest for it.
    pub(super) apply: Option<String>,
}

/// The stage of a change, in its order.
enum Stage<'a> {
    /// The TezosSigner does not have the key that signs now.
    WrongSigner,
    NoNewKey,
    NotInSpec {
        address: &'a str,
        public_key: &'a str,
    },
    /// The key that is pending, or was asked for, is unknown to the TezosSigner, and its public key is not known here.
    UnknownPending {
        address: &'a str,
    },
    /// `baker.octez` does not bake with the key that signs now, or the next one, which the TezosSigner has.
    NotNamed {
        address: &'a str,
        missing: Vec<&'a str>,
    },
    NotReady(&'a KeyState),
    NotRegistered(&'a KeyState),
    Pending {
        key: &'a KeyState,
        cycle: i64,
    },
    /// Active, but the baker does not sign with it.
    NotUsed {
        key: &'a KeyState,
        wrong_delegate: bool,
    },
    /// Active and used; the old ones stay for two cycles.
    OldStay {
        old: Vec<&'a KeyState>,
    },
    OldMayGo {
        old: Vec<&'a KeyState>,
        known: bool,
    },
    Over,
}

impl Situation {
    fn key(&self, address: &str) -> Option<&KeyState> {
        self.keys.iter().find(|key| key.address == address)
    }

    /// The address of the new key, which may be active already.
    fn new_address(&self) -> Option<&str> {
        let given = self.given.as_ref().map(|(address, _)| address.as_str());
        let pending = || self.consensus.pending.last().map(|pending| pending.address.as_str());
        // The key of before has signed, and the next one has not.
        let unused = || {
            let mut unused =
                self.keys.iter().filter(|key| key.address != self.consensus.active && key.signed.is_none());
            unused.next().filter(|_| unused.next().is_none()).map(|key| key.address.as_str())
        };
        let replaced = || {
            let has_former = self.keys.iter().any(|key| key.address != self.consensus.active && key.signed.is_some());
            has_former.then_some(self.consensus.active.as_str())
        };
        given.or_else(pending).or_else(unused).or_else(replaced)
    }

    fn stage(&self) -> Stage<'_> {
        let active = self.consensus.active.as_str();
        let Some(new) = self.new_address() else {
            return if self.key(active).is_some() { Stage::NoNewKey } else { Stage::WrongSigner };
        };
        if self.key(active).is_none() && self.key(new).is_none() {
            return Stage::WrongSigner;
        }
        let Some(key) = self.key(new) else {
            return match &self.given {
                Some((address, public_key)) if address == new => Stage::NotInSpec { address, public_key },
                _ => Stage::UnknownPending { address: new },
            };
        };
        if new != active {
            let is_missing = |address: &&str| self.key(address).is_some() && !self.baker_form.bakes_with(address);
            let missing: Vec<&str> = [active, new].into_iter().filter(is_missing).collect();
            if !missing.is_empty() {
                return Stage::NotNamed { address: new, missing };
            }
            if let Some(pending) = self.consensus.pending.iter().find(|pending| pending.address == new) {
                return if key.ready { Stage::Pending { key, cycle: pending.cycle } } else { Stage::NotReady(key) };
            }
            return if key.ready { Stage::NotRegistered(key) } else { Stage::NotReady(key) };
        }
        let wrong_delegate = !self.baker_form.bakes_with(new);
        if wrong_delegate || !self.signs_now(key) {
            return Stage::NotUsed { key, wrong_delegate };
        }
        let old: Vec<&KeyState> = self.keys.iter().filter(|other| other.address != new).collect();
        match (&self.consensus.two_cycles_ago, old.is_empty()) {
            (_, true) => Stage::Over,
            (Some(then), false) if then != new => Stage::OldStay { old },
            (then, false) => Stage::OldMayGo { old, known: then.is_some() },
        }
    }

    /// Whether the last signature with `key` is of the last quarter of an hour.
    fn signs_now(&self, key: &KeyState) -> bool {
        key.signed.is_some_and(|level| level + 900 / self.chain.block_seconds.max(1) >= self.chain.level)
    }
}

impl Plan {
    /// The steps in this situation.
    pub(super) fn of(situation: &Situation, now: Timestamp) -> Self {
        let reached = situation.stage();
        let (at, state_there) = match &reached {
            Stage::WrongSigner => (0, State::Now),
            Stage::NoNewKey | Stage::NotInSpec { .. } | Stage::UnknownPending { .. } | Stage::NotNamed { .. } => {
                (1, State::Now)
            }
            Stage::NotReady(_) => (2, State::Wait),
            Stage::NotRegistered(_) => (3, State::Now),
            Stage::Pending { .. } => (4, State::Wait),
            Stage::NotUsed { wrong_delegate, .. } => (5, if *wrong_delegate { State::Now } else { State::Wait }),
            Stage::OldStay { .. } => (6, State::Wait),
            Stage::OldMayGo { .. } => (7, State::Now),
            Stage::Over => (8, State::Done),
        };
        let new = situation.new_address();
        let (next, apply) = situation.next(&reached, now);
        let all = situation.steps(new).into_iter().enumerate().map(|(i, what)| {
            let state = match i.cmp(&at) {
                std::cmp::Ordering::Less => State::Done,
                std::cmp::Ordering::Equal => state_there,
                std::cmp::Ordering::Greater => State::Later,
            };
            Step { state, what }
        });
        Self {
            namespace: situation.namespace.clone(),
            name: situation.name.clone(),
            baker: situation.baker.clone(),
            active: situation.consensus.active.clone(),
            new: new.map(str::to_owned),
            chain: situation.chain.clone(),
            consensus: situation.consensus.clone(),
            steps: all.collect(),
            next,
            apply,
        }
    }
}

impl Situation {
    fn steps(&self, new: Option<&str>) -> [String; 8] {
        let new = new.unwrap_or("the new key");
        let named = if self.baker_form == BakerForm::Other { "" } else { ", and baker.octez.delegates has it" };
        let cycle = self.consensus.pending.iter().find(|pending| pending.address == new).map(|pending| pending.cycle);
        [
            format!("the TezosSigner {} has the consensus key of {}", self.name, self.baker),
            format!("{new} is in spec.keys{named}"),
            format!("the signer can sign with {new}"),
            format!("{new} is registered as the consensus key of {}", self.baker),
            match cycle {
                Some(cycle) => {
                    format!("{new} is active: at level {}, where cycle {cycle} begins", self.chain.first_level(cycle))
                }
                None => format!("{new} is active"),
            },
            format!("the baker signs with {new}"),
            "two cycles have passed, in which the old key may still be needed".to_owned(),
            "the old key is removed from spec.keys".to_owned(),
        ]
    }

    fn next(&self, stage: &Stage<'_>, now: Timestamp) -> (String, Option<String>) {
        let Self { namespace, name, baker, consensus, .. } = self;
        let active = &consensus.active;
        match stage {
            Stage::WrongSigner => (
                format!(
                    "the chain says that {baker} signs with {active}, which is no key of the TezosSigner {namespace}/{name}. Name the TezosSigner \
                     that has this key, or the right --baker"
                ),
                None,
            ),
            Stage::NoNewKey => (
                "make a new key, and run this again with --new-key PUBLICKEY".to_owned(),
                Some("tezos-signer keys generate --config signer.yaml --label NEW-LABEL --curve p256".to_owned()),
            ),
            Stage::NotInSpec { address, public_key } => self.not_in_spec(address, public_key, now),
            Stage::UnknownPending { address } => (
                format!(
                    "{address} is registered on the chain as the next consensus key of {baker}, and it is no key of {namespace}/{name}: add it before it \
                     is active, or register a key that is there. --new-key with its public key prints what to apply"
                ),
                None,
            ),
            Stage::NotNamed { address, missing } => (
                format!(
                    "baker.octez does not bake with {}. Apply this: it then signs with {active} now, and with {address} when that is active. The pod is \
                     replaced once: do it between two of the baker's rights",
                    missing.join(", ")
                ),
                Some(self.delegates_patch(address)),
            ),
            Stage::NotReady(key) => (
                format!(
                    "the signer cannot sign with {} yet: {}",
                    key.address,
                    key.why_not.as_deref().unwrap_or("no reason is reported")
                ),
                None,
            ),
            Stage::NotRegistered(key) => (self.registration(key), Some(self.registration_commands(key))),
            Stage::Pending { key, cycle } => (self.pending(key, *cycle, now), None),
            Stage::NotUsed { key, wrong_delegate: true } => (
                format!(
                    "{} is active, but baker.octez bakes with another key. Apply this now, since the baker misses its rights until then. Its pod is \
                     replaced once",
                    key.address
                ),
                Some(self.delegates_patch(&key.address)),
            ),
            Stage::NotUsed { key, wrong_delegate: false } => (
                format!(
                    "{} is active, and has not signed within the last quarter of an hour (last level: {}). If the baker had rights since, its wallet or \
                     its arguments lack the key: octez-baker run … {} needs an alias of it",
                    key.address,
                    key.signed.map_or_else(|| "none".to_owned(), |level| level.to_string()),
                    active
                ),
                None,
            ),
            Stage::OldStay { old } => (
                format!(
                    "wait: {active} is active since less than two cycles. Keep {} in spec.keys until then",
                    addresses(old)
                ),
                None,
            ),
            Stage::OldMayGo { old, known } => {
                let unknown = "The node does not know which key was active two cycles ago. Wait for two cycles after the change. Then ";
                (
                    format!(
                        "{}remove {} from spec.keys{}, between two of the baker's rights: the pods are replaced. The records stay. Delete the key in the \
                         HSM only after that",
                        if *known { "" } else { unknown },
                        addresses(old),
                        if self.bakes_with_any(old) { " and from baker.octez.delegates, in one change" } else { "" }
                    ),
                    Some(self.removal(old)),
                )
            }
            Stage::Over => (
                format!(
                    "nothing: {baker} signs with {active}, and the TezosSigner has no other key. For another change, --new-key PUBLICKEY"
                ),
                None,
            ),
        }
    }

    fn not_in_spec(&self, address: &str, public_key: &str, now: Timestamp) -> (String, Option<String>) {
        let delegates = match self.baker_form {
            BakerForm::Octez { .. } => ", and both keys to baker.octez.delegates, in one change",
            BakerForm::Other => "",
        };
        let next = format!(
            "add {address} to spec.keys, beside the others{delegates}. The pods are replaced: do it between two of the baker's rights. The record of the \
             new key starts at {}, ten levels above the head",
            self.chain.level + 10
        );
        (next, Some(self.addition(address, public_key, now)))
    }

    fn pending(&self, key: &KeyState, cycle: i64, now: Timestamp) -> String {
        let Self { chain, consensus, .. } = self;
        let level = chain.first_level(cycle);
        let wait = SignedDuration::from_secs((level - chain.level).max(0) * chain.block_seconds);
        let at = (now + wait).round(Unit::Minute).unwrap_or(now);
        let no_rollout = match self.baker_form {
            BakerForm::Octez { .. } => ". baker.octez signs with whichever is active: no pod is replaced at that level",
            BakerForm::Other => "",
        };
        format!(
            "wait: {} is active at level {level}, where cycle {cycle} begins, in {} levels, about {at}. Until then {} signs. Both keys stay{no_rollout}",
            key.address,
            level - chain.level,
            consensus.active
        )
    }

    /// The keys that `baker.octez` should bake with: those that it bakes with, the one that signs now, and `new`.
    fn delegates<'a>(&'a self, new: &'a str) -> Vec<&'a str> {
        let BakerForm::Octez { delegates } = &self.baker_form else { return Vec::new() };
        let mut all: Vec<&str> = delegates.iter().map(String::as_str).collect();
        let active = self.key(&self.consensus.active).map(|key| key.address.as_str());
        for key in active.into_iter().chain([new]) {
            if !all.contains(&key) {
                all.push(key);
            }
        }
        all
    }

    /// `delegate` excludes `delegates`, so it goes.
    fn delegates_patch(&self, new: &str) -> String {
        let patch = json!({"spec": {"baker": {"octez": {"delegate": null, "delegates": self.delegates(new)}}}});
        format!("kubectl patch tezossigner {} --namespace {} --type merge --patch '{patch}'", self.name, self.namespace)
    }

    fn bakes_with_any(&self, keys: &[&KeyState]) -> bool {
        self.baker_form != BakerForm::Other && keys.iter().any(|key| self.baker_form.bakes_with(&key.address))
    }

    /// The fields to add to the manifest. How the keystore names the key is not known here.
    fn addition(&self, address: &str, public_key: &str, now: Timestamp) -> String {
        let not_after = (now + SignedDuration::from_hours(1)).round(Unit::Minute).unwrap_or(now);
        let source = if public_key.starts_with("BLpk") {
            "sealed: v1.…          # as keys generate --seal-with printed it\n    allowProofOfPossession: true"
        } else {
            "label: NEW-LABEL      # as in the HSM; for AWS KMS kmsKey: …"
        };
        let delegates = match &self.baker_form {
            BakerForm::Octez { .. } => {
                let delegates = self.delegates(address).join(", ");
                format!(
                    "\n  baker:\n    octez:\n      delegates: [{delegates}]   # in place of delegate: it signs with whichever is active"
                )
            }
            BakerForm::Other => String::new(),
        };
        format!(
            "spec:\n  keys:\n  - …                     # the keys that are there\n  - publicKey: {public_key}\n    {source}\n  initialWatermark: {{level: {}, \
             notAfter: \"{not_after}\"}}{delegates}",
            self.chain.level + 10
        )
    }

    /// The entries of `spec.keys` that go, and the keys that `baker.octez` keeps.
    fn removal(&self, old: &[&KeyState]) -> String {
        let lines = old.iter().map(|key| format!("  - publicKey: {}      # remove this entry", key.public_key));
        let keys = format!("spec:\n  keys:\n{}", lines.collect::<Vec<_>>().join("\n"));
        if !self.bakes_with_any(old) {
            return keys;
        }
        let mut kept = self.delegates(&self.consensus.active);
        kept.retain(|address| old.iter().all(|key| key.address != *address));
        format!("{keys}\n  baker:\n    octez:\n      delegates: [{}]", kept.join(", "))
    }

    fn registration(&self, key: &KeyState) -> String {
        let proof = if key.address.starts_with("tz4") {
            ". A tz4 key needs its proof of possession (docs/tz4.md): allowProofOfPossession must be true for it, until it is registered"
        } else {
            ""
        };
        format!(
            "register {} with the manager key of {}. Before that, the baker's wallet must have it: with baker.octez the operator imports it{proof}",
            key.address, self.baker
        )
    }

    fn registration_commands(&self, key: &KeyState) -> String {
        if key.address.starts_with("tz4") {
            return format!(
                "tezos-signer keys prove-possession --config signer.yaml --public-key {0}\n\
                 octez-client set consensus key for {1} to unencrypted:{0} --consensus-key-pop BLsig…",
                key.public_key, self.baker
            );
        }
        format!(
            "octez-client import public key new-consensus unencrypted:{}\noctez-client set consensus key for {} to new-consensus",
            key.public_key, self.baker
        )
    }
}

fn addresses(keys: &[&KeyState]) -> String {
    keys.iter().map(|key| key.address.as_str()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;
