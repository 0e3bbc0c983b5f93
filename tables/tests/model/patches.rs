// SPDX-License-Identifier: MIT OR Apache-2.0
//! Generations that follow from one another by patches: each answers like a table compiled afresh from the same source,
//! and goes on to do so while later ones are made.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;
use serde_json::{Value, json};
use tables::patch::Patch;
use tables::table::{Address, Compiler, Reclaim, TargetId, Viewpoint};
use tables::{Prefix, Source, Table};

use crate::network::{DATACENTERS, Fate, Network, offset};
use crate::random::network;
use crate::table_fate;

/// A patch in the making: which entries of a network it sets, and what else it does.
#[derive(Debug, Clone)]
struct Step {
    network: usize,
    set: u64,
    remove: u64,
    extra: Extra,
}

/// What a step does beside setting and removing entries of networks.
#[derive(Debug, Clone)]
enum Extra {
    Nothing,
    /// Gives all servers the addresses that they have in the step's network.
    Servers,
    /// A server of its own with an address of its own comes.
    Come(u8),
    /// It goes.
    Go(u8),
    /// A data centre comes.
    Datacenter(u8),
}

fn step() -> impl Strategy<Value = Step> {
    let extra = prop_oneof![
        6 => Just(Extra::Nothing),
        2 => Just(Extra::Servers),
        3 => (0..4_u8).prop_map(Extra::Come),
        3 => (0..4_u8).prop_map(Extra::Go),
        1 => (0..2_u8).prop_map(Extra::Datacenter),
    ];
    let few = prop_oneof![any::<u64>(), (any::<u64>(), any::<u64>(), any::<u64>()).prop_map(|(a, b, c)| a & b & c)];
    (0..NETWORKS, few.clone(), few, extra).prop_map(|(network, set, remove, extra)| Step {
        network,
        set,
        remove,
        extra,
    })
}

const NETWORKS: usize = 3;

fn chosen(mask: u64, index: usize) -> bool {
    mask >> (index % 64) & 1 == 1
}

impl Step {
    /// The patch, given what the source is now.
    fn patch(&self, networks: &[Network], source: &Source) -> Value {
        let document = networks[self.network].document();
        let egress = document["egress"].as_array().unwrap();
        let set =
            egress.iter().enumerate().filter(|(index, _)| chosen(self.set, *index)).map(|(_, entry)| entry.clone());
        let mut set: Vec<Value> = set.collect();
        let removed = source.entries().iter().map(|entry| entry.prefix.to_string()).enumerate();
        let removed =
            removed.filter(|(index, prefix)| chosen(self.remove, *index) && !prefix.starts_with("203.0.113."));
        let mut removed: Vec<String> = removed.map(|(_, prefix)| prefix).collect();
        removed.retain(|prefix| set.iter().all(|entry| entry["prefix"] != **prefix));
        let (mut servers, mut datacenters, mut gone) = (json!({}), json!({}), Vec::new());
        match self.extra {
            Extra::Nothing => {}
            Extra::Servers => servers = document["servers"].clone(),
            Extra::Come(number) => {
                let (name, prefix) = (format!("extra-{number}"), format!("203.0.113.{number}/32"));
                let datacenter = DATACENTERS[usize::from(number) % 2];
                servers[&name] = json!({ "datacenter": datacenter, "address": format!("10.99.{}.1", self.set % 200) });
                set.push(json!({ "prefix": prefix, "datacenter": datacenter, "server": name }));
            }
            Extra::Go(number) => {
                let (name, prefix) = (format!("extra-{number}"), format!("203.0.113.{number}/32"));
                if source.find_server(&name).is_some() {
                    gone.push(name);
                    removed.push(prefix);
                }
            }
            Extra::Datacenter(number) => {
                datacenters[format!("NEW-{number}")] = json!({ "forwarders": [format!("10.98.0.{}", self.set % 200)] });
            }
        }
        json!({
            "set": { "servers": servers, "datacenters": datacenters, "egress": set },
            "remove": { "servers": gone, "egress": removed },
        })
    }
}

/// Addresses around the bounds of all prefixes, each once.
fn addresses(networks: &[Network]) -> Vec<IpAddr> {
    let mut addresses: Vec<IpAddr> = (0..4).map(|low| Ipv4Addr::new(203, 0, 113, low).into()).collect();
    for entry in networks.iter().flat_map(|network| &network.entries) {
        let (first, last) = (entry.network, entry.last());
        addresses.extend([first, last, offset(first, -1), offset(last, 1)]);
    }
    addresses.sort();
    addresses.dedup();
    addresses
}

/// All that a table says, by name, since ids are its own: of each address, of protocols without ports, and of ports.
fn answers(table: &Table, keys: &[(IpAddr, Vec<u16>)]) -> Vec<(Fate, Vec<Fate>)> {
    let answer = |(address, ports): &(IpAddr, Vec<u16>)| {
        let found = table.address(*address);
        let ports = if matches!(found, Address::Sliced(_)) { ports.as_slice() } else { &[] };
        (table_fate(table, found, None), ports.iter().map(|&port| table_fate(table, found, Some(port))).collect())
    };
    keys.iter().map(answer).collect()
}

/// The addresses, with the ports around all bounds of the plan that each has in the source.
fn keys(source: &Source, addresses: &[IpAddr]) -> Vec<(IpAddr, Vec<u16>)> {
    let ports = |address: IpAddr| {
        let entry = source.prefix_around(address).and_then(|prefix| source.entry(prefix));
        let runs = entry.and_then(|(_, entry)| entry.plan()).map(|plan| source.runs(plan));
        let bounds = runs.into_iter().flatten().flat_map(|run| [run.first, run.last]);
        let around = bounds.flat_map(|port| [port.wrapping_sub(1), port, port.wrapping_add(1)]);
        let mut ports: Vec<u16> = around.chain([0, 1, 30_000, u16::MAX]).collect();
        ports.sort_unstable();
        ports.dedup();
        ports
    };
    addresses.iter().map(|&address| (address, ports(address))).collect()
}

/// A generation that readers still have, what it must say, and what may be reclaimed once all before it are gone.
struct Held {
    table: Table,
    keys: Vec<(IpAddr, Vec<u16>)>,
    answers: Vec<(Fate, Vec<Fate>)>,
    reclaim: Option<Reclaim>,
}

fn viewpoint(datacenter: usize) -> Viewpoint {
    Viewpoint {
        datacenter: DATACENTERS[datacenter].into(),
        ipv4: Some(Ipv4Addr::new(10, datacenter as u8, 0, 1)),
        ipv6: Some(Ipv6Addr::new(0x2001, 0xdb8, datacenter as u16, 0, 0, 0, 0, 1)),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn generations_answer_like_tables_compiled_afresh(
        networks in prop::collection::vec(network(), NETWORKS),
        steps in prop::collection::vec((step(), 0..4_usize), 1..16),
        datacenter in 0..DATACENTERS.len(),
    ) {
        let addresses = addresses(&networks);
        let mut source = Source::from_slice(networks[0].document().to_string().as_bytes()).unwrap();
        let (mut compiler, table) = Compiler::new(&source, &viewpoint(datacenter)).unwrap();
        let keys_of_first = keys(&source, &addresses);
        let answers_of_first = answers(&table, &keys_of_first);
        let mut held =
            VecDeque::from([Held { table, keys: keys_of_first, answers: answers_of_first, reclaim: None }]);
        for (step, keep) in steps {
            let patch = step.patch(&networks, &source);
            let patch = Patch::from_slice(patch.to_string().as_bytes()).unwrap();
            let changes = source.apply(&patch).unwrap();
            let (table, reclaim) = compiler.patch(&source, &changes).unwrap();

            let keys = keys(&source, &addresses);
            let fresh = Table::compile(&source, &viewpoint(datacenter)).unwrap();
            let expected = answers(&fresh, &keys);
            held.push_back(Held { table, keys, answers: expected, reclaim: Some(reclaim) });
            for held in &held {
                prop_assert_eq!(&answers(&held.table, &held.keys), &held.answers);
            }
            let newest = &held.back().unwrap().table;
            for datacenter in 0..DATACENTERS.len() {
                let forwarders = Network::forwarders(datacenter);
                prop_assert!(forwarders.into_iter().all(|address| newest.is_forwarder(address)));
            }
            prop_assert!(fresh.remotes().iter().all(|remote| newest.remotes().contains(remote)));
            while held.len() > keep + 1 {
                held.pop_front();
                let reclaim = held.front_mut().and_then(|next| next.reclaim.take());
                reclaim.into_iter().for_each(|reclaim| compiler.reclaim(reclaim));
            }
        }
    }
}

fn patched(compiler: &mut Compiler, source: &mut Source, patch: &Value) -> (Table, Reclaim) {
    let patch = Patch::from_slice(patch.to_string().as_bytes()).unwrap();
    let changes = source.apply(&patch).unwrap();
    compiler.patch(source, &changes).unwrap()
}

/// 64 addresses of 198.51.100.0/24 that share 20 plans.
fn small_source() -> Source {
    let servers: serde_json::Map<String, Value> =
        (0..20).map(|n| (format!("s{n}"), json!({ "datacenter": "LHR", "address": format!("10.0.1.{n}") }))).collect();
    let plan = |n: usize| (0..32).map(|slice| format!("s{}", (n * 7 + slice * 3) % 20)).collect::<Vec<_>>();
    let entry = |n| json!({ "prefix": format!("198.51.100.{n}/32"), "datacenter": "LHR", "slices": { "ports": 2048, "owners": plan(n) } });
    let document = json!({
        "version": 1, "datacenters": { "LHR": { "forwarders": ["10.0.0.1"] } }, "servers": servers,
        "egress": (0..64).map(entry).collect::<Vec<_>>(),
    });
    Source::from_slice(document.to_string().as_bytes()).unwrap()
}

#[test]
fn a_server_that_a_patch_takes_away_is_gone_until_one_brings_it_back() {
    let mut source = small_source();
    let (mut compiler, _) = Compiler::new(&source, &viewpoint(0)).unwrap();
    let mut gone = |patch: Value| {
        let (table, reclaim) = patched(&mut compiler, &mut source, &patch);
        compiler.reclaim(reclaim);
        let targets = table.targets().iter().filter(|target| target.is_gone);
        targets.map(|target| target.name.to_string()).collect::<Vec<_>>()
    };
    let s20 = json!({ "s20": { "datacenter": "LHR", "address": "10.0.1.20" } });
    let entry = json!({ "prefix": "192.0.2.1/32", "datacenter": "LHR", "server": "s20" });
    let set = json!({ "set": { "servers": s20, "egress": [entry] } });
    assert!(gone(set.clone()).is_empty());
    let remove = json!({ "remove": { "servers": ["s20"], "egress": ["192.0.2.1/32"] } });
    assert_eq!(gone(remove), ["s20"]);
    assert!(gone(set).is_empty(), "its target serves again");
}

#[test]
fn ten_thousand_patches_take_no_more_memory_than_a_few() {
    let mut source = small_source();
    let (mut compiler, table) = Compiler::new(&source, &viewpoint(0)).unwrap();
    let mut random = 1_u64;
    let mut next = |below: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (random >> 33) % below
    };
    let (first, mut largest) = (table.size(), 0);
    for _ in 0..10_000 {
        let (address, slice, server) = (next(64), next(31) + 1, next(20));
        let elsewhere = Prefix::around(Ipv4Addr::from_bits(next(1 << 31) as u32).into(), 17 + next(16) as u8).unwrap();
        let patch = match next(6) {
            // A prefix anywhere comes, with a plan of odd bounds and an owner of protocols without ports.
            0 => {
                json!({ "set": { "egress": [{ "prefix": elsewhere.to_string(), "datacenter": "LHR", "portless": format!("s{server}"),
                "ranges": [{ "ports": format!("{}-60000", next(30_000)), "server": format!("s{server}") }] }] } })
            }
            // All of those go.
            1 => {
                let prefixes = source.entries().iter().map(|entry| entry.prefix.to_string());
                json!({ "remove": { "egress": prefixes.filter(|it| !it.starts_with("198.51")).collect::<Vec<_>>() } })
            }
            _ => json!({ "ports": [{ "prefix": format!("198.51.100.{address}/32"), "server": format!("s{server}"),
                "ports": format!("{}-{}", slice * 2048, slice * 2048 + 2047) }] }),
        };
        let (table, reclaim) = patched(&mut compiler, &mut source, &patch);
        compiler.reclaim(reclaim);
        largest = largest.max(table.size());
    }
    assert!(largest < first + (128 << 10), "{largest} bytes after {first}");
}

#[test]
fn a_patch_of_one_slice_takes_one_line_and_two_nodes() {
    let mut source = small_source();
    let (mut compiler, first) = Compiler::new(&source, &viewpoint(0)).unwrap();
    let patch = json!({ "ports": [{ "prefix": "198.51.100.7/32", "ports": "2048-4095", "server": "s19" }] });
    let (second, _reclaim) = patched(&mut compiler, &mut source, &patch);
    assert_eq!(second.size() - first.size(), 64 + 2 * 1024);
    assert!(second.targets().continues(first.targets()), "nothing has to be made anew for the targets");
}

#[test]
fn what_was_reclaimed_for_another_table_is_ignored() {
    let (mut source, mut other) = (small_source(), small_source());
    let (mut compiler, _first) = Compiler::new(&source, &viewpoint(0)).unwrap();
    let (mut stranger, _) = Compiler::new(&other, &viewpoint(0)).unwrap();
    let patch = json!({ "ports": [{ "prefix": "198.51.100.7/32", "ports": "2048-4095", "server": "s19" }] });
    let (second, _reclaim) = patched(&mut compiler, &mut source, &patch);
    let (_, reclaim) = patched(&mut stranger, &mut other, &patch);
    compiler.reclaim(reclaim);
    let patch = json!({ "ports": [{ "prefix": "198.51.100.7/32", "ports": "2048-4095", "server": "s18" }] });
    let (third, _reclaim) = patched(&mut compiler, &mut source, &patch);
    assert_eq!(third.size() - second.size(), 64 + 2 * 1024, "no memory of the first generation was used again");
}

#[test]
fn a_patch_has_the_faults_of_one_forwarder_and_is_survived() {
    let document = json!({
        "version": 1,
        "datacenters": { "LHR": { "forwarders": ["10.0.0.1"] }, "CDG": { "forwarders": ["2001:db8::1"] } },
        "servers": { "a": { "datacenter": "LHR", "address": "10.0.1.1" }, "c": { "datacenter": "CDG", "address": "10.1.1.1" } },
        "egress": [{ "prefix": "198.51.100.0/24", "datacenter": "LHR", "server": "a" }],
    });
    let mut source = Source::from_slice(document.to_string().as_bytes()).unwrap();
    let v4_only = Viewpoint { ipv6: None, ..viewpoint(0) };
    let (mut compiler, first) = Compiler::new(&source, &v4_only).unwrap();
    let refused = [
        (
            json!({ "set": { "egress": [{ "prefix": "198.51.100.1/32", "datacenter": "CDG", "server": "c" }] } }),
            "datacenters.CDG.forwarders",
        ),
        (
            json!({ "set": { "servers": { "b": { "datacenter": "LHR", "address": "2001:db8::5" } } } }),
            "servers.b.address",
        ),
        (json!({ "set": { "datacenters": { "LHR": { "forwarders": ["10.0.0.2"] } } } }), "datacenters.LHR.forwarders"),
    ];
    for (patch, path) in refused {
        let mut changed = source.clone();
        let changes = changed.apply(&Patch::from_slice(patch.to_string().as_bytes()).unwrap()).unwrap();
        let faults = compiler.patch(&changed, &changes).unwrap_err();
        assert_eq!(faults.0.iter().map(|fault| fault.path.as_str()).collect::<Vec<_>>(), [path]);
        assert_eq!(first.address([198, 51, 100, 1].into()), first.address([198, 51, 100, 2].into()));
        // The old source is gone on from, however the caller got it back.
        let patch = json!({ "set": { "egress": [{ "prefix": "198.51.100.2/32", "unassigned": true }] } });
        let (next, _reclaim) = patched(&mut compiler, &mut source, &patch);
        assert_eq!(next.address([198, 51, 100, 2].into()), Address::Unassigned);
        assert!(matches!(next.address([198, 51, 100, 1].into()), Address::Whole(_)));
    }
}

#[test]
fn patches_that_reclaim_nothing_end_in_tables_compiled_anew() {
    let mut source = small_source();
    let (mut compiler, mut table) = Compiler::new(&source, &viewpoint(0)).unwrap();
    let first = table.size();
    let (mut anew, mut largest) = (0, 0);
    for round in 0..3_000_u32 {
        let (address, server) = (round % 64, round % 19);
        let patch = json!({ "ports": [{ "prefix": format!("198.51.100.{address}/32"), "ports": "2048-4095",
            "server": format!("s{server}") }] });
        let (newer, _never_reclaimed) = patched(&mut compiler, &mut source, &patch);
        anew += u32::from(newer.size() < table.size());
        largest = largest.max(newer.size());
        table = newer;
        let Address::Sliced(plan) = table.address([198, 51, 100, address as u8].into()) else { panic!("it is sliced") };
        let owner = table.port(plan, 2048).and_then(|id| table.targets().get(id.0.into())).unwrap();
        assert_eq!(*owner.name, *format!("s{server}"));
    }
    assert!((2..30).contains(&anew), "compiled anew {anew} times");
    assert!(largest < first + (2 << 20), "{largest} bytes after {first}");
}

#[test]
fn more_pairs_of_owners_than_a_table_holds_may_come_one_after_the_other() {
    const SERVERS: usize = 300;
    let servers: serde_json::Map<String, Value> = (0..SERVERS)
        .map(|n| (format!("s{n}"), json!({ "datacenter": "LHR", "address": format!("10.0.{}.{}", n / 200, n % 200) })))
        .collect();
    let document = json!({
        "version": 1, "datacenters": { "LHR": { "forwarders": ["10.0.0.1"] } }, "servers": servers,
        "egress": [{ "prefix": "198.51.100.0/24", "datacenter": "LHR", "server": "s0" }],
    });
    let mut source = Source::from_slice(document.to_string().as_bytes()).unwrap();
    let (mut compiler, _) = Compiler::new(&source, &viewpoint(0)).unwrap();
    // 1,024 pairs a patch, none of them twice.
    let pairs: Vec<(usize, usize)> =
        (0..SERVERS).flat_map(|a| (0..SERVERS).filter(move |b| a != *b).map(move |b| (a, b))).collect();
    for pairs in pairs.chunks_exact(1024) {
        let name = |server: usize| format!("s{server}");
        let owners: Vec<String> = pairs.iter().map(|pair| name(pair.0)).collect();
        let previous: Vec<String> = pairs.iter().map(|pair| name(pair.1)).collect();
        let patch = json!({ "set": { "egress": [{ "prefix": "198.51.100.7/32", "datacenter": "LHR",
            "slices": { "ports": 64, "owners": owners, "previous": previous } }] } });
        let (table, reclaim) = patched(&mut compiler, &mut source, &patch);
        compiler.reclaim(reclaim);
        let Address::Sliced(plan) = table.address([198, 51, 100, 7].into()) else { panic!("it is sliced") };
        for (slice, &(owner, previous)) in pairs.iter().enumerate().skip(1) {
            let target = table.port(plan, (slice * 64) as u16).and_then(|id| table.targets().get(id.0.into())).unwrap();
            let expected = (name(owner), Some(name(previous)));
            assert_eq!((target.name.to_string(), target.previous.as_ref().map(|it| it.0.to_string())), expected);
        }
        assert!(table.targets().len() <= 65_535);
    }
}

#[test]
fn plans_whose_portless_owner_has_changed_are_found_and_let_go() {
    let mut source = small_source();
    let (mut compiler, first) = Compiler::new(&source, &viewpoint(0)).unwrap();
    let owners = |n: u8| (0..32).map(|slice| format!("s{}", (usize::from(n) * 7 + slice * 3) % 20)).collect::<Vec<_>>();
    let entry = |network: u8, n: u8, portless: String| {
        json!({ "prefix": format!("198.51.{network}.{n}/32"), "datacenter": "LHR", "portless": portless,
            "slices": { "ports": 2048, "owners": owners(n) } })
    };
    let mut largest = 0;
    for round in 0..200_u8 {
        let name = format!("p{round}");
        let address = json!({ "datacenter": "LHR", "address": format!("10.0.2.{round}") });
        // The addresses of small_source keep the plans; those of 198.51.101.0/24 have them with portless owners.
        let first = if round == 0 { 0 } else { 1 };
        let entries: Vec<Value> = (first..64).map(|n| entry(101, n, name.clone())).collect();
        let patch = json!({ "set": { "servers": { &name: address }, "egress": entries } });
        let (table, reclaim) = patched(&mut compiler, &mut source, &patch);
        compiler.reclaim(reclaim);
        largest = largest.max(table.size());
        for n in 0..64 {
            let Address::Sliced(plan) = table.address([198, 51, 101, n].into()) else { panic!("it is sliced") };
            let target = |id: Option<TargetId>| table.targets().get(id.unwrap().0.into()).unwrap().name.to_string();
            assert_eq!(target(table.portless(plan)), if n == 0 { "p0" } else { &name });
            assert_eq!(&target(table.port(plan, 5 * 2048)), owners(n).get(5).unwrap());
        }
    }
    assert!(largest < first.size() + (128 << 10), "{largest} bytes after {}: 4,000 plans were stored", first.size());
}

#[test]
fn after_a_refused_patch_the_source_may_be_anything() {
    let mut source = small_source();
    let (mut compiler, _first) = Compiler::new(&source, &Viewpoint { ipv6: None, ..viewpoint(0) }).unwrap();
    let apply = |source: &mut Source, patch: Value| {
        source.apply(&Patch::from_slice(patch.to_string().as_bytes()).unwrap()).unwrap()
    };
    let slice = |server| json!([{ "prefix": "198.51.100.7/32", "ports": "2048-4095", "server": server }]);
    let unreachable = json!({ "servers": { "b": { "datacenter": "LHR", "address": "2001:db8::5" } } });
    let changes = apply(&mut source, json!({ "ports": slice("s18"), "set": unreachable }));
    assert!(compiler.patch(&source, &changes).is_err());
    // The compiler is not told of this one.
    apply(&mut source, json!({ "ports": slice("s19"), "remove": { "servers": ["b"] } }));
    let changes = apply(&mut source, json!({ "remove": { "egress": ["198.51.100.8/32"] } }));
    let (table, _reclaim) = compiler.patch(&source, &changes).unwrap();
    let Address::Sliced(plan) = table.address([198, 51, 100, 7].into()) else { panic!("it is sliced") };
    let owner = table.port(plan, 2048).and_then(|id| table.targets().get(id.0.into()));
    assert_eq!(owner.map(|owner| &*owner.name), Some("s19"));
    assert_eq!(table.address([198, 51, 100, 8].into()), Address::Absent);
}
