// SPDX-License-Identifier: MIT OR Apache-2.0
//! The story, a step a file. A step says what it does, and checks what came of it.

mod downloads;
mod errors;
mod failure;
mod guard;
mod moves;
mod reloads;

use anyhow::Result;

use crate::lab::Lab;
use crate::report::Report;

/// A step of the story.
pub(crate) struct Step {
    pub(crate) name: &'static str,
    title: &'static str,
    tell: fn(&mut Lab, &mut Report) -> Result<()>,
}

/// All steps, in the order in which they are told.
pub(crate) const STEPS: [Step; 6] = [
    Step {
        name: "downloads",
        title: "six servers share two addresses, and download at the same time",
        tell: downloads::tell,
    },
    Step { name: "errors", title: "what is no plain answer finds its server, too", tell: errors::tell },
    Step { name: "reloads", title: "tables change fifty times a second meanwhile", tell: reloads::tell },
    Step { name: "moves", title: "slices and addresses change hands under open connections", tell: moves::tell },
    Step { name: "failure", title: "a forwarder dies while it carries downloads", tell: failure::tell },
    Step { name: "guard", title: "who sends from a port of another's is stopped and named", tell: guard::tell },
];

impl Step {
    /// Tells it. One that can't go on has failed.
    pub(crate) fn run(&self, lab: &mut Lab, report: &mut Report) {
        report.step(self.name, self.title);
        if let Err(error) = (self.tell)(lab, report) {
            report.check(false, "the step comes to its end", format_args!("{error:#}"));
        }
    }
}
