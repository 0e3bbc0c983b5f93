// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which member of the document decides, for those who ask why.

use std::net::IpAddr;

use super::draft::Spelling;
use super::{Entry, Ownership, PlanId, Source};
use crate::prefix::Prefix;

/// What of an entry decides over a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// Nothing yet: what would decide is not known.
    Entry,
    /// Where the address is.
    Datacenter,
    /// Whose this port is, or the whole address.
    Port(u16),
    /// Whose protocols without ports are, or the whole address.
    Portless,
}

/// The rule that decides over a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// The longest prefix around the address.
    pub prefix: Prefix,
    /// The place in the document, as precisely as it is known: `egress[0].slices.owners[3]`. None since a patch has added or
    /// removed entries, which no document numbers.
    pub path: Option<String>,
}

impl Source {
    /// The rule that decides what is `asked` of `address`; none if no entry speaks of it.
    pub fn rule(&self, address: IpAddr, asked: Asked) -> Option<Rule> {
        let host = Prefix::host(address);
        let (index, entry) = self.entry(host).or_else(|| self.longest_around(host))?;
        let path = self.spellings.get(index).map(|spelling| {
            let member = self.member(entry, *spelling, asked);
            format!("egress[{index}]{member}")
        });
        Some(Rule { prefix: entry.prefix, path })
    }

    /// The deciding member of an entry, as it goes on behind the entry's own place.
    fn member(&self, entry: &Entry, spelling: Spelling, asked: Asked) -> String {
        match (spelling, entry.ownership, asked) {
            // What the entry says is not what the document said, or too odd to be found again.
            (Spelling::Kept, ..) => String::new(),
            (_, Ownership::Unassigned, _) => ".unassigned".to_owned(),
            (_, _, Asked::Entry) => String::new(),
            (_, _, Asked::Datacenter) => ".datacenter".to_owned(),
            (_, Ownership::Whole(_), _) => ".server".to_owned(),
            (_, Ownership::Sliced { portless: Some(_), .. }, Asked::Portless) => ".portless".to_owned(),
            (_, Ownership::Sliced { .. }, Asked::Portless) | (Spelling::Plain, ..) => String::new(),
            (Spelling::Slices(log), Ownership::Sliced { plan, .. }, Asked::Port(port)) => {
                match self.run_of(plan, port) {
                    Some(_) => format!(".slices.owners[{}]", u32::from(port) >> log),
                    None => ".slices".to_owned(),
                }
            }
            (Spelling::Ranges, Ownership::Sliced { plan, .. }, Asked::Port(port)) => match self.run_of(plan, port) {
                Some(run) => format!(".ranges[{run}]"),
                None => ".ranges".to_owned(),
            },
        }
    }

    /// The rank of the run that holds a port.
    fn run_of(&self, plan: PlanId, port: u16) -> Option<usize> {
        self.runs(plan).position(|run| (run.first..=run.last).contains(&port))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::patch::Patch;

    const TABLE: &str = r#"{
        "version": 1,
        "datacenters": {"LHR": {"forwarders": ["10.0.0.1"]}},
        "servers": {"a": {"datacenter": "LHR", "address": "10.0.1.1"}, "b": {"datacenter": "LHR", "address": "10.0.1.2"}},
        "egress": [
            {"prefix": "198.51.100.0/24", "unassigned": true},
            {"prefix": "198.51.100.1/32", "datacenter": "LHR", "slices": {"ports": 2048, "owners": [null, "a", "a", "b"]}},
            {"prefix": "198.51.100.2/32", "datacenter": "LHR", "portless": "b",
             "ranges": [{"ports": "100-199", "server": "a"}, {"ports": "300-399", "server": "b"}]},
            {"prefix": "198.51.100.3/32", "datacenter": "LHR", "server": "a"},
            {"prefix": "198.51.100.4/32", "datacenter": "LHR",
             "ranges": [{"ports": "300-399", "server": "b"}, {"ports": "100-199", "server": "a"}]}
        ]}"#;

    fn path(source: &Source, last: u8, asked: Asked) -> Option<String> {
        source.rule(IpAddr::from([198, 51, 100, last]), asked).unwrap().path
    }

    #[test]
    fn rules_name_their_place_in_the_document() {
        let source = Source::from_slice(TABLE.as_bytes()).unwrap();
        for (last, asked, expected) in [
            (0, Asked::Port(1), "egress[0].unassigned"),
            (1, Asked::Port(4_096), "egress[1].slices.owners[2]"),
            (1, Asked::Port(6_144), "egress[1].slices.owners[3]"),
            (1, Asked::Port(0), "egress[1].slices"),
            (1, Asked::Portless, "egress[1]"),
            (1, Asked::Datacenter, "egress[1].datacenter"),
            (2, Asked::Entry, "egress[2]"),
            (2, Asked::Port(399), "egress[2].ranges[1]"),
            (2, Asked::Port(200), "egress[2].ranges"),
            (2, Asked::Portless, "egress[2].portless"),
            (3, Asked::Port(9), "egress[3].server"),
            (3, Asked::Portless, "egress[3].server"),
            (4, Asked::Port(300), "egress[4]"),
        ] {
            assert_eq!(path(&source, last, asked).as_deref(), Some(expected), "{last}: {asked:?}");
        }
        assert_eq!(source.rule(IpAddr::from([192, 0, 2, 1]), Asked::Portless), None);
    }

    #[test]
    fn what_was_patched_has_no_finer_place_than_is_true() {
        let mut source = Source::from_slice(TABLE.as_bytes()).unwrap();
        let mut patch = |text: &str| {
            source.apply(&Patch::from_slice(text.as_bytes()).unwrap()).unwrap();
            [1, 2].map(|last| path(&source, last, Asked::Port(4_096)))
        };
        let moved = patch(r#"{"ports": [{"prefix": "198.51.100.1/32", "ports": "4096-6143", "server": "b"}]}"#);
        assert_eq!(moved, [Some("egress[1]".to_owned()), Some("egress[2].ranges".to_owned())]);
        let removed = patch(r#"{"remove": {"egress": ["198.51.100.0/24"]}}"#);
        assert_eq!(removed, [None, None]);
    }
}
