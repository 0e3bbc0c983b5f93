// SPDX-License-Identifier: MIT OR Apache-2.0
//! What one server owns: prefixes and port ranges.

use serde::Serialize;

use crate::flatten::flatten;
use crate::ports::Ports;
use crate::prefix::Prefix;
use crate::source::{Ownership, ServerId, Source};

/// All that a server owns. As JSON, what `sluice table slices` prints.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Holdings<'a> {
    /// Its name.
    pub server: &'a str,
    /// Its ports, by prefix and then by port. Every address is in one prefix only: what a longer prefix overrides is
    /// cut out of the shorter one.
    pub slices: Vec<Holding>,
    /// The sliced addresses for which it gets the protocols that carry no ports.
    pub portless: Vec<Prefix>,
}

/// Ports on each address of a prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Holding {
    /// The addresses.
    pub prefix: Prefix,
    /// The ports, as wide as they go; all of them where it owns the whole address.
    pub ports: Ports,
}

/// What `server` owns in `source`.
pub fn holdings(source: &Source, server: ServerId) -> Holdings<'_> {
    let mut holdings = Holdings { server: &source.server(server).name, slices: Vec::new(), portless: Vec::new() };
    let mut owned = Vec::new();
    for (addresses, (_, entry)) in flatten(source) {
        owned.clear();
        let mut portless = false;
        match entry.ownership {
            Ownership::Unassigned => {}
            Ownership::Whole(owner) => owned.extend((owner.server == server).then_some(Ports::ALL)),
            Ownership::Sliced { plan, portless: by } => {
                portless = by == Some(server);
                let own = source.runs(plan).filter(|run| run.owner.server == server);
                own.for_each(|run| extend(&mut owned, run.first, run.last));
            }
        }
        if owned.is_empty() && !portless {
            continue;
        }
        for prefix in addresses.prefixes() {
            holdings.slices.extend(owned.iter().map(|&ports| Holding { prefix, ports }));
            holdings.portless.extend(portless.then_some(prefix));
        }
    }
    holdings
}

/// Adds ports behind those so far; runs that differ only in their previous owner become one.
fn extend(owned: &mut Vec<Ports>, first: u16, last: u16) {
    let touching = owned.last().filter(|before| before.last().checked_add(1) == Some(first)).copied();
    if touching.is_some() {
        owned.pop();
    }
    owned.extend(Ports::new(touching.map_or(first, Ports::first), last));
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = r#"{
      "version": 1,
      "datacenters": { "LHR": { "forwarders": ["10.0.0.1"] }, "CDG": { "forwarders": ["10.1.0.1"] } },
      "servers": {
        "a": { "datacenter": "LHR", "address": "10.0.1.1" },
        "b": { "datacenter": "LHR", "address": "10.0.1.2" },
        "c": { "datacenter": "CDG", "address": "10.1.1.1" }
      },
      "egress": [
        { "prefix": "2001:db8::/64", "datacenter": "LHR", "server": "a" },
        { "prefix": "192.0.2.0/30", "datacenter": "LHR",
          "slices": { "ports": 16384, "owners": ["b", "a", "a", "a"], "previous": [null, null, "b"] } },
        { "prefix": "192.0.2.1/32", "unassigned": true },
        { "prefix": "192.0.2.2/32", "datacenter": "LHR", "portless": "a",
          "ranges": [ { "ports": "9-9", "server": "a" }, { "ports": "1-7", "server": "a" },
                      { "ports": "8-8", "server": "b" } ] },
        { "prefix": "198.51.100.0/32", "datacenter": "CDG", "server": "c", "previous": "a" },
        { "prefix": "198.51.100.1/32", "datacenter": "LHR", "ranges": [], "portless": "a" }
      ]
    }"#;

    fn rows(server: &str) -> (Vec<String>, Vec<String>) {
        let source = Source::from_slice(DOCUMENT.as_bytes()).unwrap();
        let holdings = holdings(&source, source.find_server(server).unwrap());
        assert_eq!(holdings.server, server);
        let rows = holdings.slices.iter().map(|row| format!("{} {}", row.prefix, row.ports)).collect();
        (rows, holdings.portless.iter().map(Prefix::to_string).collect())
    }

    #[test]
    fn a_server_owns_what_no_longer_prefix_takes_away() {
        let rows_of_a = [
            "192.0.2.0/32 16384-65535",
            "192.0.2.2/32 1-7",
            "192.0.2.2/32 9-9",
            "192.0.2.3/32 16384-65535",
            "2001:db8::/64 0-65535",
        ];
        let portless_of_a = ["192.0.2.2/32", "198.51.100.1/32"];
        assert_eq!(rows("a"), (rows_of_a.map(String::from).to_vec(), portless_of_a.map(String::from).to_vec()));
        assert_eq!(rows("b").0, ["192.0.2.0/32 0-16383", "192.0.2.2/32 8-8", "192.0.2.3/32 0-16383"]);
        assert_eq!(rows("c"), (vec!["198.51.100.0/32 0-65535".into()], vec![]));
    }

    #[test]
    fn as_json_it_is_what_the_contract_says() {
        let source = Source::from_slice(DOCUMENT.as_bytes()).unwrap();
        let json = serde_json::to_value(holdings(&source, source.find_server("c").unwrap())).unwrap();
        let slices = serde_json::json!([{ "prefix": "198.51.100.0/32", "ports": "0-65535" }]);
        assert_eq!((&json["server"], &json["slices"]), (&"c".into(), &slices));
    }
}
