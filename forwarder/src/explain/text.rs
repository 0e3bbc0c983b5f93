// SPDX-License-Identifier: MIT OR Apache-2.0
//! Explanations for people: one aligned line for each fact, and of frames for each step.

use std::fmt;
use std::net::IpAddr;

use super::{Explanation, Mtu, MtuVerdict, NextHop, Outer, PrivateKind, ShadowAnswer, Verdict};

impl Explanation {
    /// Tells of outer headers and MTU, if the packet has a way.
    pub(super) fn tell_outer(&mut self) {
        if let Some(found) = self.outer.as_ref().map(Outer::to_string) {
            self.step("outer", found);
        }
        if let Some(found) = self.mtu.as_ref().map(Mtu::to_string) {
            self.step("mtu", found);
        }
    }
}

impl fmt::Display for Outer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { source, destination, source_port, gue_port, overhead, private, next_hop } = self;
        match (source, source_port) {
            (Some(source), Some(port)) => write!(f, "from {source} port {port}")?,
            (Some(source), None) => write!(f, "from {source}, a port by flow,")?,
            _ => f.write_str("from the forwarder, a port by flow,")?,
        }
        write!(f, " to {destination} port {gue_port}: {overhead} bytes")?;
        f.write_str(match private {
            PrivateKind::None => "",
            PrivateKind::PreviousOwner => ", with the previous owner's hop",
            PrivateKind::Datacenter => ", with the word between data centres",
        })?;
        next_hop.as_ref().map_or(Ok(()), |NextHop { device, mac }| write!(f, ", by {device} to {mac}"))
    }
}

impl fmt::Display for Mtu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { limit, overhead, largest, packet, verdict } = self;
        let (Some(limit), Some(largest)) = (limit, largest) else {
            return f.write_str("not known: a table has no devices; ask a daemon, or by --config");
        };
        write!(f, "at most {largest} bytes travel whole: {limit} less {overhead} of outer headers")?;
        match (packet, verdict) {
            (Some(packet), Some(MtuVerdict::Fits)) => write!(f, "; {packet} fit"),
            (Some(packet), Some(MtuVerdict::Cut)) => write!(f, "; {packet} are cut"),
            (Some(packet), Some(MtuVerdict::TooBig)) => write!(f, "; {packet} are too many"),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match self.verdict {
            Verdict::Server => "server",
            Verdict::Datacenter => "data centre",
            Verdict::Kernel => "kernel",
            Verdict::Drop => "drop",
            Verdict::Answer => "answer",
            Verdict::Hold => "hold",
        };
        let name = self.reason.as_deref().or(self.target.as_deref()).unwrap_or_default();
        writeln!(f, "{:<11} {}", verdict, name)?;
        if self.forwarders.len() > 1 {
            let all: Vec<_> = self.forwarders.iter().map(IpAddr::to_string).collect();
            writeln!(f, "{:<11} one of {}, by flow", "outer to", all.join(", "))?;
        } else if let Some(outer) = self.outer_destination {
            writeln!(f, "{:<11} {outer}", "outer to")?;
        }
        if let Some(previous) = &self.previous {
            let hop =
                self.previous_hop.map_or_else(|| "not in the header".to_owned(), |hop| format!("{hop} in the header"));
            writeln!(f, "{:<11} {previous}, {hop}", "previous")?;
        }
        if let Some(prefix) = &self.prefix {
            writeln!(f, "{:<11} {prefix}, ports {}", "prefix", self.ports)?;
        }
        if let Some(path) = &self.path {
            writeln!(f, "{:<11} {path}", "rule")?;
        }
        match self.revision {
            0 => writeln!(f, "{:<11} {}", "generation", self.generation)?,
            revision => writeln!(f, "{:<11} {}, revision {revision}", "generation", self.generation)?,
        }
        // Of a frame there is more to tell than the facts.
        if self.steps.first().is_some_and(|step| step.step == "frame") {
            for step in self.steps.iter().filter(|step| step.step != "fate") {
                writeln!(f, "{:<11} {}", step.step, step.found)?;
            }
        } else {
            let mut facts = self.steps.iter().filter(|step| matches!(step.step.as_str(), "outer" | "mtu"));
            facts.try_for_each(|step| writeln!(f, "{:<11} {}", step.step, step.found))?;
        }
        write!(f, "{:<11} {}", "why", self.why)?;
        match &self.shadow {
            Some(ShadowAnswer { generation, why, .. }) => {
                write!(f, "\n{:<11} generation {generation} would say: {why}", "shadow")
            }
            None => Ok(()),
        }
    }
}
