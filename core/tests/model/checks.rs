//! What is checked when the store takes a write, and when a signature leaves a process. The checks read the record's words and the
//! bytes that clients sent. They do not ask what `core` decides.

use crate::promises::{Broken, Promise};
use crate::scenario::Start;
use crate::symbols::{MAX_JUMP, RecordId, SignatureId};
use crate::world::{Cluster, Object, World, insert};

impl Cluster {
    /// The store has taken `signature`, in place of the record `before`.
    pub(crate) fn check_committed(
        &self,
        world: &mut World,
        store: usize,
        before: RecordId,
        signature: SignatureId,
        broken: &mut Vec<Broken>,
    ) {
        let orders = self.symbols.orders(before);
        let mut not_obeyed = |how: String| broken.push(Broken::new(Promise::OperatorObeyed, how));
        if orders.suspend {
            not_obeyed(format!("{signature} was committed to a record that says suspend"));
        }
        let Some(place) = self.symbols.place(signature.request) else { return };
        if let Some(ceiling) = orders.ceiling
            && place.level > ceiling
        {
            not_obeyed(format!("{signature} was committed above the ceiling {ceiling}"));
        }
        let higher = world.committed.iter().find(|(other, its_store)| {
            let its_place = self.symbols.place(other.request).filter(|its_place| its_place.magic == place.magic);
            *its_store == store && *other != signature && its_place.is_some_and(|its_place| its_place >= place)
        });
        if let Some((higher, _)) = higher.filter(|_| !world.damaged) {
            broken.push(Broken::new(Promise::Rising, format!("{signature} was committed after {higher}")));
        }
        insert(&mut world.committed, (signature, store));
        Self::check_explained(world, broken);
    }

    /// What is committed was announced, in a line that is still there.
    pub(crate) fn check_explained(world: &World, broken: &mut Vec<Broken>) {
        let lost =
            world.unexplained.iter().find(|lost| world.committed.iter().any(|(signature, _)| signature == *lost));
        if let Some(lost) = lost {
            let how = format!("{lost} is in the record, anchored to a line that no audit log has");
            broken.push(Broken::new(Promise::Explained, how));
        }
    }

    /// What a signer may not do to a record, whatever it decided.
    pub(crate) fn check_replaced(&self, before: RecordId, after: RecordId, broken: &mut Vec<Broken>) {
        let (old, new) = (self.symbols.orders(before), self.symbols.orders(after));
        if (old.suspend, old.ceiling) != (new.suspend, new.ceiling) || self.symbols.forgets(after, before) {
            let (old, new) = (self.symbols.show(before), self.symbols.show(after));
            broken.push(Broken::new(Promise::OperatorObeyed, format!("a signer replaced [{old}] by [{new}]")));
        }
        let (old, new) = (old.highest_level, new.highest_level);
        if new.saturating_sub(old) > MAX_JUMP && self.scenario.start != Start::Fresh {
            broken.push(Broken::new(Promise::NotBricked, format!("from level {old} to {new}: no real block is above")));
        }
    }

    /// Whether another has the lease, or nobody, whatever the process makes of that.
    pub(crate) fn is_of_another(&self, process: usize, object: &Object) -> bool {
        self.scenario.lease && object.holder != Some(process)
    }

    /// A signer shows a signature to the API server.
    pub(crate) fn check_shown(&self, world: &World, process: usize, signature: SignatureId, broken: &mut Vec<Broken>) {
        // Who was named takes the lease from one that is busy: that is what naming is for.
        let lost = |object: Object| self.is_of_another(process, &object) && !object.named;
        if world.stores[self.store_of(process)].is_some_and(lost) {
            let how = format!("{signature} is shown to the API server by a signer that has lost the lease");
            broken.push(Broken::new(Promise::NotShown, how));
        }
    }

    /// A signature leaves the process.
    pub(crate) fn releases(&self, world: &mut World, process: usize, signature: SignatureId, broken: &mut Vec<Broken>) {
        let me = &mut world.processes[process];
        let suspended = me.copy.is_some_and(|copy| self.symbols.orders(copy.record).suspend);
        let Some(task) = me.task.take() else { return };
        if task.client_gone {
            return;
        }
        if !self.symbols.verifies(signature) {
            broken.push(Broken::new(Promise::Verifies, format!("{signature} was released")));
        }
        if suspended {
            let how = format!("{signature} was released by a signer that had read suspend");
            broken.push(Broken::new(Promise::OperatorObeyed, how));
        }
        let Some(place) = self.symbols.place(signature.request) else {
            if task.unfit {
                let how = "an operation was signed by a signer that was suspended or displaced before it was asked";
                broken.push(Broken::new(Promise::OperatorObeyed, how));
            }
            return;
        };
        if !world.committed.iter().any(|(committed, _)| *committed == signature) {
            let how = format!("{signature} was released, and no record ever held it");
            broken.push(Broken::new(Promise::Committed, how));
        }
        let other = world
            .released
            .iter()
            .find(|(other, _)| *other != signature && self.symbols.place(other.request) == Some(place));
        if let Some((other, _)) = other {
            broken.push(Broken::new(Promise::OneSignature, format!("{other}, and {signature}")));
        }
        insert(&mut world.released, (signature, self.store_of(process)));
        self.check_replayable(world, broken);
    }

    /// Every signature that was released is still the answer, or a higher one of its kind stands there.
    pub(crate) fn check_replayable(&self, world: &World, broken: &mut Vec<Broken>) {
        if world.damaged {
            return;
        }
        for &(signature, store) in &world.released {
            if world.stores[store].is_some_and(|object| !self.symbols.answers(object.record, signature)) {
                let how = format!("{signature} was released, and the record does not hold it any more");
                broken.push(Broken::new(Promise::Replayable, how));
            }
        }
    }
}
