// SPDX-License-Identifier: MIT OR Apache-2.0
//! Another table held against live packets before it is published: what would become of them by it, and what does become of
//! them.
//!
//! ```text
//!  worker ── Scout ── one packet in so many, by both tables ──► counts, and a ring of what differs ──► control
//! ```
//!
//! Without a scout a worker pays one branch a burst. With one it looks at a sample, gathers it until the two tables can be asked
//! for several packets at once, and never waits.

mod fate;
mod scout;
#[cfg(test)]
mod tests;

pub use fate::Kind;
pub use scout::{Change, End, Scout, Tallies};
