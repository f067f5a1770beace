//! How the steps of a change are printed.

use super::{Plan, State};
use std::fmt;

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { namespace, name, chain, .. } = self;
        writeln!(f, "Change of the consensus key of {}, by {namespace}/{name}", self.baker)?;
        writeln!(f, "Level {}, cycle {}. Active: {}", chain.level, chain.cycle, self.active)?;
        for pending in &self.consensus.pending {
            writeln!(f, "Pending: {}, from cycle {}", pending.address, pending.cycle)?;
        }
        writeln!(f)?;
        for step in &self.steps {
            let mark = match step.state {
                State::Done => "done",
                State::Now => "NOW ",
                State::Wait => "wait",
                State::Later => "    ",
            };
            writeln!(f, "  {mark}  {}", step.what)?;
        }
        writeln!(f, "\nNext: {}", self.next)?;
        if let Some(apply) = &self.apply {
            writeln!(f)?;
            apply.lines().try_for_each(|line| writeln!(f, "    {line}"))?;
        }
        Ok(())
    }
}
