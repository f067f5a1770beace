//! Breadth first through every state that can be reached, so that the first counterexample is a shortest one.

use crate::promises::{Broken, Promise};
use std::collections::HashSet;
use std::fmt::Write as _;
use std::hash::Hash;
use std::rc::Rc;

/// One thing that may happen next.
pub(crate) struct Step<S> {
    /// In words, for the trace.
    pub(crate) what: String,
    pub(crate) next: S,
    pub(crate) broken: Vec<Broken>,
}

/// What can be searched.
pub(crate) trait Model {
    type State: Clone + Eq + Hash;
    fn start(&self) -> Self::State;
    /// Everything that may happen next, always in the same order.
    fn steps(&self, state: &Self::State) -> Vec<Step<Self::State>>;
}

/// What was found.
pub(crate) struct Found {
    pub(crate) states: usize,
    pub(crate) transitions: usize,
    pub(crate) depth: usize,
    pub(crate) counterexample: Option<String>,
}

/// The limit is a mistake in a scenario's bounds, not a result.
const TOO_MANY: usize = 2_000_000;

/// Looks for a state in which one of `promises` is broken.
pub(crate) fn search<M: Model>(model: &M, promises: &[Promise]) -> Found {
    let is_asked = |broken: &&Broken| promises.contains(&broken.promise);
    search_until(model, |step| step.broken.iter().find(is_asked).map(ToString::to_string))
}

/// Whether `model` can come to a state like that.
pub(crate) fn reaches<M: Model>(model: &M, is_goal: impl Fn(&M::State) -> bool) -> bool {
    search_until(model, |step| is_goal(&step.next).then(String::new)).counterexample.is_some()
}

/// Goes on until a step is one that `ends` has a word for.
fn search_until<M: Model>(model: &M, ends: impl Fn(&Step<M::State>) -> Option<String>) -> Found {
    let start = Rc::new(model.start());
    let mut known = HashSet::from([start.clone()]);
    // Each with the place of the one before it, and its depth.
    let mut queue: Vec<(Rc<M::State>, usize, usize)> = vec![(start, usize::MAX, 0)];
    let (mut transitions, mut depth, mut at) = (0, 0, 0);
    while at < queue.len() {
        let (state, _, steps_before) = queue[at].clone();
        depth = depth.max(steps_before);
        for step in model.steps(&state) {
            transitions += 1;
            if let Some(why) = ends(&step) {
                let counterexample = Some(trace(model, &queue, at, &step.what, &why));
                return Found { states: queue.len(), transitions, depth: steps_before + 1, counterexample };
            }
            let next = Rc::new(step.next);
            if known.insert(next.clone()) {
                queue.push((next, at, steps_before + 1));
            }
        }
        assert!(queue.len() < TOO_MANY, "more than {TOO_MANY} states: the bounds of the scenario are too wide");
        at += 1;
    }
    Found { states: queue.len(), transitions, depth, counterexample: None }
}

/// The way to `queue[last]`, and the step that broke a promise.
fn trace<M: Model>(model: &M, queue: &[(Rc<M::State>, usize, usize)], last: usize, what: &str, why: &str) -> String {
    let mut way = vec![last];
    while let Some(&at) = way.last()
        && queue[at].1 != usize::MAX
    {
        way.push(queue[at].1);
    }
    way.reverse();
    let mut text = String::new();
    for (number, pair) in way.windows(2).enumerate() {
        let (before, after) = (&queue[pair[0]].0, &queue[pair[1]].0);
        let step = model.steps(before).into_iter().find(|step| step.next == **after).expect("it was taken");
        let _ = writeln!(text, "  {:>2}. {}", number + 1, step.what);
    }
    let _ = writeln!(text, "  {:>2}. {what}", way.len());
    let _ = writeln!(text, "      {why}");
    text
}
