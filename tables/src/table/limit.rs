// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a table can't hold.

use super::PlanRef;
use super::plans::Line;
use super::targets::MOST_TARGETS;
use crate::fault::{Fault, Faults};
use crate::pages::NoMemory;

/// Why a table can't be compiled, or not within the arenas that there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Limit {
    /// The ids of targets are used up.
    Targets,
    /// The lines of plans are.
    Plans,
    /// The trie's nodes are.
    Nodes,
    /// The system has no memory for an array of that many bytes.
    Memory(usize),
}

impl From<NoMemory> for Limit {
    fn from(none: NoMemory) -> Self {
        Self::Memory(none.bytes)
    }
}

impl From<Limit> for Faults {
    fn from(limit: Limit) -> Self {
        const GIBIBYTES: usize = (PlanRef::INDICES * size_of::<Line>()) >> 30;
        let message = match limit {
            Limit::Targets => format!(
                "this data centre's entries name more than {MOST_TARGETS} distinct pairs of a server and its previous \
                 owner, which is the most that a table holds; use fewer servers or let drained `previous` owners go"
            ),
            Limit::Plans => format!(
                "the distinct port plans of this data centre need more than {GIBIBYTES} GiB; use larger slices or \
                 fewer plans"
            ),
            Limit::Nodes => "the IPv4 prefixes need more room than was counted; this is a bug, please report it".into(),
            Limit::Memory(bytes) => format!("the system has no memory for {bytes} bytes more of the compiled table"),
        };
        Self(vec![Fault { path: "egress".into(), message }])
    }
}
