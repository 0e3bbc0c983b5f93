// SPDX-License-Identifier: MIT OR Apache-2.0
//! From a table to what one server has to know of it.

use std::collections::HashMap;

use tables::announce::announce;
use tables::source::{Owner, Ownership, PlanId, ServerId};
use tables::{Fault, Faults, Ports, Prefix, Source};

use crate::nest::Nest;
use crate::view::{Held, Keeper, Run, View};

/// A table as one server sees it, and what of it the table does not make the server hold.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Owned {
    /// All that is held.
    pub view: View,
    /// Prefixes among those held that this server neither owns nor owned before, as the table has it. They are held as
    /// long as there are sockets with addresses of theirs.
    pub lingering: Vec<Prefix>,
}

/// What `server` has to know of `source`, while it has the addresses of `put`. An error if the table has no such server.
pub fn owned(source: &Source, server: &str, put: &[Prefix]) -> Result<Owned, Faults> {
    let own = source.find_server(server).ok_or_else(|| unknown(source, server))?;
    let mut reader = Reader { source, own, plans: HashMap::new() };
    let mut held = Vec::new();
    let mut lingering = Vec::new();
    let nest: Nest<()> = put.iter().map(|put| (*put, ())).collect();
    for (prefix, index, entry) in tables::disjoint(source) {
        let (concerned, runs, portless) = reader.read(entry.ownership);
        let tags = || source.tags(index).map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        if concerned {
            held.push(Held { prefix, runs: runs.to_vec(), portless, tags: tags() });
            continue;
        }
        let whole = nest.around(prefix).map(|()| prefix);
        let parts = nest.inside(prefix).filter(|_| whole.is_none());
        for prefix in whole.into_iter().chain(parts) {
            lingering.push(prefix);
            held.push(Held { prefix, runs: runs.to_vec(), portless, tags: tags() });
        }
    }
    let in_table: Nest<()> = held.iter().map(|held| (held.prefix, ())).collect();
    for prefix in put.iter().flat_map(|put| without(*put, &in_table)) {
        lingering.push(prefix);
        held.push(Held { prefix, runs: Vec::new(), portless: Keeper::default(), tags: Vec::new() });
    }
    held.sort_by_key(|held| (u8::MAX - held.prefix.length(), held.prefix));
    let address = source.server(own).address;
    let servers = source.servers().iter().map(|other| other.address).filter(|other| *other != address);
    let view = View {
        generation: source.generation().unwrap_or_default(),
        held,
        egress: announce(source),
        forwarders: source.datacenters().iter().flat_map(|datacenter| datacenter.forwarders.clone()).collect(),
        servers: servers.collect(),
        peers: Vec::new(),
    };
    Ok(Owned { view, lingering })
}

/// Without the server that it runs on, a table says nothing to an agent.
fn unknown(source: &Source, server: &str) -> Faults {
    let names = source.servers().iter().map(|server| &*server.name);
    let nearest = names.min_by_key(|name| strsim::damerau_levenshtein(name, server));
    let hint = nearest.map(|name| format!("; the nearest name is {name:?}")).unwrap_or_default();
    let message = format!("has no {server:?}, which this agent is{hint}; see server in its configuration");
    Faults(vec![Fault { path: "servers".to_owned(), message }])
}

struct Reader<'s> {
    source: &'s Source,
    own: ServerId,
    /// Plans read so far: many entries share one.
    plans: HashMap<PlanId, (bool, Vec<Run>)>,
}

impl Reader<'_> {
    /// Whether the own server owns anything, or owned it before; and who keeps what.
    fn read(&mut self, ownership: Ownership) -> (bool, Box<[Run]>, Keeper) {
        match ownership {
            Ownership::Unassigned => (false, Box::default(), Keeper::default()),
            Ownership::Whole(owner) => {
                let keeper = self.keeper(owner);
                (self.concerns(owner), Box::new([Run { ports: Ports::ALL, keeper }]), keeper)
            }
            Ownership::Sliced { plan, portless } => {
                let keeper = portless.map(|server| self.keeper(Owner { server, previous: None })).unwrap_or_default();
                let (concerned, runs) = self.plan(plan);
                (concerned || keeper.own, runs.into(), keeper)
            }
        }
    }

    fn plan(&mut self, plan: PlanId) -> (bool, &[Run]) {
        if !self.plans.contains_key(&plan) {
            let runs = self.source.runs(plan);
            let concerned = runs.clone().any(|run| self.concerns(run.owner));
            let run = |run: tables::source::Run| {
                Ports::new(run.first, run.last).map(|ports| Run { ports, keeper: self.keeper(run.owner) })
            };
            let runs = runs.filter_map(run).collect();
            self.plans.insert(plan, (concerned, runs));
        }
        self.plans.get(&plan).map_or((false, &[]), |(concerned, runs)| (*concerned, runs.as_slice()))
    }

    fn concerns(&self, owner: Owner) -> bool {
        owner.server == self.own || owner.previous == Some(self.own)
    }

    fn keeper(&self, owner: Owner) -> Keeper {
        let own = owner.server == self.own;
        let other = if own { owner.previous } else { Some(owner.server) };
        let address = |server| self.source.server(server).address;
        // Not itself under another name, as while it is given a new one.
        let other = other.map(address).filter(|other| *other != address(self.own));
        Keeper { own, other }
    }
}

/// The prefixes that are `prefix` without those of `inside` that overlap it.
fn without(prefix: Prefix, inside: &Nest<()>) -> Vec<Prefix> {
    if inside.around(prefix).is_some() {
        return Vec::new();
    }
    if inside.inside(prefix).next().is_none() {
        return vec![prefix];
    }
    prefix.halves().into_iter().flatten().flat_map(|half| without(half, inside)).collect()
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    const DOCUMENT: &str = r#"{
      "version": 1, "generation": 7,
      "datacenters": { "LHR": { "forwarders": ["10.0.0.1", "2001:db8:a::1"] }, "CDG": { "forwarders": ["10.1.0.1"] } },
      "servers": {
        "a": { "datacenter": "LHR", "address": "10.0.1.1" },
        "b": { "datacenter": "LHR", "address": "10.0.1.2" },
        "c": { "datacenter": "CDG", "address": "10.1.1.1" }
      },
      "egress": [
        { "prefix": "192.0.2.1/32", "datacenter": "LHR", "portless": "b",
          "slices": { "ports": 16384, "owners": [null, "a", "b", "a"], "previous": [null, "b", "a"] },
          "tags": { "country": "GB" } },
        { "prefix": "192.0.2.2/32", "datacenter": "CDG", "server": "c", "previous": "a" },
        { "prefix": "192.0.2.3/32", "datacenter": "CDG", "server": "c" },
        { "prefix": "192.0.2.4/32", "unassigned": true },
        { "prefix": "198.51.100.0/24", "datacenter": "LHR", "server": "a" },
        { "prefix": "198.51.100.128/25", "datacenter": "LHR", "server": "b" },
        { "prefix": "203.0.113.0/32", "datacenter": "LHR", "ranges": [], "portless": "a" }
      ]
    }"#;

    fn prefix(text: &str) -> Prefix {
        text.parse().unwrap()
    }

    fn keeper(own: bool, other: Option<&str>) -> Keeper {
        Keeper { own, other: other.map(|address| address.parse().unwrap()) }
    }

    fn run(ports: &str, own: bool, other: Option<&str>) -> Run {
        Run { ports: ports.parse().unwrap(), keeper: keeper(own, other) }
    }

    fn held(text: &str, runs: Vec<Run>, portless: Keeper) -> Held {
        Held { prefix: prefix(text), runs, portless, tags: Vec::new() }
    }

    fn owned_by(server: &str, put: &[&str]) -> Owned {
        let source = Source::from_slice(DOCUMENT.as_bytes()).unwrap();
        let put: Vec<Prefix> = put.iter().map(|text| prefix(text)).collect();
        owned(&source, server, &put).unwrap()
    }

    #[test]
    fn a_server_holds_what_it_owns_and_what_it_owned() {
        let Owned { view, lingering } = owned_by("a", &[]);
        let first = Held {
            tags: vec![("country".to_owned(), "GB".to_owned())],
            ..held(
                "192.0.2.1/32",
                vec![
                    run("16384-32767", true, Some("10.0.1.2")),
                    run("32768-49151", false, Some("10.0.1.2")),
                    run("49152-65535", true, None),
                ],
                keeper(false, Some("10.0.1.2")),
            )
        };
        let moved = keeper(false, Some("10.1.1.1"));
        let whole = keeper(true, None);
        let all = [
            first,
            held("192.0.2.2/32", vec![run("0-65535", false, Some("10.1.1.1"))], moved),
            held("203.0.113.0/32", vec![], whole),
            held("198.51.100.0/25", vec![run("0-65535", true, None)], whole),
        ];
        assert_eq!(view.held, all);
        assert_eq!((view.generation, lingering), (7, vec![]));
        let addresses = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<IpAddr>>();
        assert_eq!(view.forwarders, addresses(&["10.0.0.1", "2001:db8:a::1", "10.1.0.1"]));
        assert_eq!(view.servers, addresses(&["10.0.1.2", "10.1.1.1"]));
        let egress = ["192.0.2.1/32", "192.0.2.2/31", "192.0.2.4/32", "198.51.100.0/24", "203.0.113.0/32"].map(prefix);
        assert_eq!(view.egress, egress);
    }

    #[test]
    fn what_was_put_stays_for_its_sockets_with_its_owner_as_the_other() {
        let put = ["192.0.2.3/32", "192.0.2.4/32", "198.51.100.0/24", "203.0.113.0/31", "192.0.2.1/32"];
        let Owned { view, lingering } = owned_by("a", &put);
        let texts = ["192.0.2.3/32", "192.0.2.4/32", "198.51.100.128/25", "203.0.113.1/32"];
        assert_eq!(lingering, texts.map(prefix));
        let find = |text| view.held.iter().find(|held| held.prefix == prefix(text)).unwrap().clone();
        let other = |address| (vec![run("0-65535", false, Some(address))], keeper(false, Some(address)));
        let (runs, portless) = other("10.1.1.1");
        assert_eq!(find("192.0.2.3/32"), held("192.0.2.3/32", runs, portless));
        let (runs, portless) = other("10.0.1.2");
        assert_eq!(find("198.51.100.128/25"), held("198.51.100.128/25", runs, portless));
        for nobodys in ["192.0.2.4/32", "203.0.113.1/32"] {
            assert_eq!(find(nobodys), held(nobodys, vec![], keeper(false, None)));
        }
        assert!(view.held.is_sorted_by_key(|held| u8::MAX - held.prefix.length()));
        // A narrower one than the table has now stays as narrow as it is.
        assert_eq!(owned_by("a", &["198.51.100.200/32"]).lingering, [prefix("198.51.100.200/32")]);
    }

    #[test]
    fn another_name_of_the_same_address_is_no_other_server() {
        let document = DOCUMENT.replace("10.0.1.2", "10.0.1.1");
        let source = Source::from_slice(document.as_bytes()).unwrap();
        let view = owned(&source, "a", &[]).unwrap().view;
        assert_eq!(view.servers, ["10.1.1.1".parse::<IpAddr>().unwrap()]);
        let ports = [run("16384-32767", true, None), run("32768-49151", false, None), run("49152-65535", true, None)];
        assert_eq!(view.held[0].runs, ports);
    }

    #[test]
    fn a_server_that_the_table_does_not_have_is_told_the_nearest_name() {
        let document = DOCUMENT.replace("\"b\"", "\"lhr-2\"");
        let source = Source::from_slice(document.as_bytes()).unwrap();
        let faults = owned(&source, "lhr-3", &[]).unwrap_err();
        assert_eq!(
            faults.0.iter().map(Fault::to_string).collect::<Vec<_>>(),
            [
                "servers: has no \"lhr-3\", which this agent is; the nearest name is \"lhr-2\"; see server in its configuration"
            ]
        );
    }
}
