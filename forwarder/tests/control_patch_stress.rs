// SPDX-License-Identifier: MIT OR Apache-2.0
//! Ten thousand patches under traffic, and garbage between them: what runs then is what a freshly compiled document says, in
//! no more memory than before. Random, from a fixed seed; port bounds are those of slices, the finer ones are in the tests of
//! `tables`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may stop at the first surprise"
)]

mod control_support;
mod patch_traffic;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use control_support::{Client, Place, Running};
use forwarder::explain::{self, Explanation, Protocol, Query, Question, Subject};
use forwarder::state::ForwardingState;
use patch_traffic::{FIXED_ADDRESS, FIXED_SERVER, Seen, Traffic};
use serde_json::{Value, json};
use tables::Source;

const ADDRESSES: u64 = 256;
const SLICES: u64 = 32;
const ROUNDS: usize = 5;
/// In a round.
const PATCHES: usize = 2_000;
/// After so many of them there is a reload.
const BETWEEN: usize = 20;
/// Ports of an address that are asked for after a round.
const ASKED: u64 = 4;
/// What the process may grow by after the first round, in KiB: the noise of an allocator. A state that were kept for each
/// patch would be a hundred times as much.
const NOISE: u64 = 16 << 10;

/// xorshift64*.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % bound
    }
}

fn prefix(address: u64) -> String {
    format!("198.51.{}.{}/32", 100 + address / 256, address % 256)
}

fn server(number: u64) -> Value {
    json!({"datacenter": "LHR", "address": format!("10.0.2.{number}")})
}

/// The document as it should be.
struct Model {
    servers: BTreeMap<String, Value>,
    /// By address: what is beside the prefix.
    entries: BTreeMap<u64, Value>,
    generation: u64,
    random: Random,
}

impl Model {
    fn new() -> Self {
        let mut servers: BTreeMap<_, _> = (0..20).map(|number| (format!("lhr-{number}"), server(number))).collect();
        servers.insert("fixed".to_owned(), json!({"datacenter": "LHR", "address": FIXED_SERVER}));
        servers.insert("cdg-1".to_owned(), json!({"datacenter": "CDG", "address": "10.1.1.1"}));
        let mut model = Self { servers, entries: BTreeMap::new(), generation: 42, random: Random(7) };
        for address in 0..ADDRESSES {
            let entry = model.entry(address);
            model.entries.insert(address, entry);
        }
        let owners = vec!["fixed"; SLICES as usize];
        let slices = json!({"ports": 2048, "owners": owners});
        let fixed = json!({"prefix": format!("{FIXED_ADDRESS}/32"), "datacenter": "LHR", "slices": slices});
        model.entries.insert(u64::MAX, fixed);
        model
    }

    fn document(&self) -> Value {
        let egress: Vec<&Value> = self.entries.values().collect();
        json!({
            "version": 1, "generation": self.generation,
            "datacenters": {
                "LHR": {"forwarders": ["10.0.0.1"]}, "CDG": {"forwarders": ["2001:db8:b::1"]}
            },
            "servers": self.servers, "egress": egress,
        })
    }

    /// The next document, which is whole, or none at all.
    fn reload(&mut self) -> (Value, bool) {
        let before = self.generation;
        self.generation += 1;
        let whole = self.document();
        match self.random.below(4) {
            0..2 => (whole, true),
            2 => {
                self.generation = before - 1;
                let old = self.document();
                self.generation = before;
                (old, false)
            }
            _ => {
                self.generation = before;
                let mut broken = whole;
                broken["egress"][3] = json!({"prefix": "198.51.100.1/32", "unassigned": false});
                (broken, false)
            }
        }
    }

    fn any_server(&mut self) -> String {
        let number = self.random.below(20);
        format!("lhr-{number}")
    }

    fn entry(&mut self, address: u64) -> Value {
        let prefix = prefix(address);
        match self.random.below(8) {
            0 => json!({"prefix": prefix, "unassigned": true}),
            1 => json!({"prefix": prefix, "datacenter": "LHR", "server": self.any_server()}),
            _ => {
                let owners: Vec<Value> = (0..SLICES).map(|_| self.owner()).collect();
                json!({"prefix": prefix, "datacenter": "LHR", "slices": {"ports": 2048, "owners": owners}})
            }
        }
    }

    fn owner(&mut self) -> Value {
        if self.random.below(5) == 0 { Value::Null } else { self.any_server().into() }
    }

    /// A patch, which is taken down here.
    fn patch(&mut self) -> Value {
        let address = self.random.below(ADDRESSES);
        match self.random.below(10) {
            0 => {
                let entry = self.entry(address);
                self.entries.insert(address, entry.clone());
                json!({"set": {"egress": [entry]}})
            }
            1 if self.entries.remove(&address).is_some() => json!({"remove": {"egress": [prefix(address)]}}),
            2 => {
                let (name, server) = (self.any_server(), server(self.random.below(250)));
                self.servers.insert(name.clone(), server.clone());
                json!({"set": {"servers": {name: server}}})
            }
            3 => {
                let name = format!("temporary-{}", self.random.below(4));
                if self.servers.remove(&name).is_some() {
                    return json!({"remove": {"servers": [name]}});
                }
                self.servers.insert(name.clone(), server(9));
                json!({"set": {"servers": {name: server(9)}}})
            }
            _ => self.ports(address),
        }
    }

    fn ports(&mut self, address: u64) -> Value {
        let (slice, owner) = (self.random.below(SLICES), self.owner());
        let owners = self.entries.get_mut(&address).and_then(|entry| entry.pointer_mut("/slices/owners"));
        let Some(owners) = owners else { return json!({}) };
        owners[slice as usize] = owner.clone();
        let ports = format!("{}-{}", slice * 2048, slice * 2048 + 2047);
        json!({"ports": [{"prefix": prefix(address), "ports": ports, "server": owner}]})
    }

    /// A patch that is refused, at one stage or another; often after some of it would have been fine.
    fn garbage(&mut self) -> Value {
        let fine = json!({"prefix": prefix(self.random.below(ADDRESSES)), "datacenter": "LHR", "server": "lhr-1"});
        match self.random.below(7) {
            0 => json!({"set": {"egress": [fine, {"prefix": "203.0.113.1/32", "datacenter": "LHR", "server": "?"}]}}),
            1 => json!({"base": [self.generation, 1_000_000], "set": {"egress": [fine]}}),
            2 => json!({"set": {"egress": [fine]}, "remove": {"servers": ["nobody"]}}),
            // This forwarder can't reach CDG, which is found after the source was changed in place.
            6 => {
                json!({"set": {"egress": [fine, {"prefix": "203.0.113.1/32", "datacenter": "CDG", "server": "cdg-1"}]}})
            }
            // Nor would it be known to its peers, which is found after a copy of the source was changed.
            3 => json!({"set": {"egress": [fine], "datacenters": {"LHR": {"forwarders": ["10.0.0.99"]}}}}),
            4 => json!({"remove": {"datacenters": ["LHR"]}}),
            _ => json!({"ports": [{"prefix": "203.0.113.0/24", "ports": "9-8", "server": null}]}),
        }
    }
}

fn compare(running: &Running, model: &mut Model) {
    let source = Source::from_slice(model.document().to_string().as_bytes()).unwrap();
    let settings = running.forwarder.settings();
    let state =
        ForwardingState::build(&source, model.generation, &running.place.config().viewpoint(), settings).unwrap();
    let subject = Subject { state: &state, settings, source: &source };
    for address in (0..ADDRESSES).map(|address| IpAddr::from(Ipv4Addr::new(198, 51, 100, address as u8))) {
        for _ in 0..ASKED {
            let port = Some(model.random.below(1 << 16) as u16);
            let query = Query { address, port, protocol: Protocol::Number(17) };
            let fresh = explain::explain(subject, query).unwrap();
            let online = running.forwarder.explain(Question::Flow(query), None).unwrap();
            // What was patched has no place in a document.
            let online = Explanation { path: fresh.path.clone(), revision: 0, ..online };
            assert_eq!(json!(online), json!(fresh), "{query:?}");
        }
    }
}

fn refuse(client: &mut Client, garbage: Value) {
    let answer = client.ask("patch", garbage.clone());
    let code = answer["error"]["code"].as_i64();
    assert!(code == Some(-32000) || code == Some(-32001), "{garbage}: {answer}");
}

/// Memory of this process, in KiB, counted page by page.
fn resident() -> u64 {
    let rollup = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap();
    let line = rollup.lines().find_map(|line| line.strip_prefix("Rss:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Patches, garbage and a look at the outcome; the memory of the process and of the table then.
fn round(running: &Running, client: &mut Client, model: &mut Model) -> (u64, u64) {
    for patch in 0..PATCHES {
        if patch % BETWEEN == 0 {
            let (document, is_whole) = model.reload();
            let answer = client.ask("reload", json!({"table": document}));
            let expected = if is_whole { json!(model.generation) } else { Value::Null };
            assert_eq!(answer["result"]["generation"], expected, "{answer}");
            assert!(is_whole || answer["error"]["code"] == -32000, "{answer}");
        }
        if model.random.below(10) == 0 {
            refuse(client, model.garbage());
        }
        client.result("patch", model.patch());
    }
    compare(running, model);
    let status = client.result("status", json!({}));
    (resident(), status["table"]["bytes"].as_u64().unwrap())
}

#[test]
fn ten_thousand_patches_and_reloads_lead_to_the_document_that_they_say() {
    let mut model = Model::new();
    let place = Place::new();
    let config = std::fs::read_to_string(place.path("sluice.toml")).unwrap();
    place.write("sluice.toml", &config.replace("ipv6 = \"2001:db8:a::1\"", ""));
    place.write("table.json", &model.document().to_string());
    let seen = Arc::new(Seen::default());
    let address = |number| Ipv4Addr::new(198, 51, 100, (number >> 24) as u8);
    let mut running = Running::with(place, Traffic::new(Arc::clone(&seen), address));
    let mut client = running.client();
    let (resident, bytes) = round(&running, &mut client, &mut model);
    for _ in 1..ROUNDS {
        let now = round(&running, &mut client, &mut model);
        assert!(now.0 < resident + NOISE, "{} KiB after {resident} KiB", now.0);
        assert!(now.1 < 2 * bytes, "a table of {} bytes after one of {bytes}", now.1);
    }
    let generation = running.forwarder.generations().running().generation;
    assert!((42 + 150..42 + 350).contains(&generation), "{generation}");
    // The same by content, too.
    let document = model.document();
    assert_eq!(client.result("reload", json!({"table": document}))["changed"], false);
    let conservation = client.result("stats", json!({}))["conservation"].clone();
    assert_eq!(conservation, json!({"imbalance": 0, "ok": true}));
    running.stop().unwrap();
    seen.check(&running.forwarder.stats().counters);
}
