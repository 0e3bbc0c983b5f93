// SPDX-License-Identifier: MIT OR Apache-2.0
//! Random table documents and what they mean, told as simply as possible: the model that tests compare with.
#![allow(dead_code, reason = "each test program uses its own part")]

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;
use tables::Prefix;

/// Data centres, and servers with theirs.
pub(crate) const DATACENTERS: [&str; 3] = ["LHR", "CDG", "MAN"];
pub(crate) const SERVERS: [(&str, &str); 6] =
    [("lhr-1", "LHR"), ("lhr-2", "LHR"), ("lhr 3", "LHR"), ("cdg-1", "CDG"), ("cdg-2", "CDG"), ("man-1", "MAN")];

/// An owner and the one before.
pub(crate) type Owner = (&'static str, Option<&'static str>);

/// A document.
#[derive(Debug, Clone)]
pub(crate) struct Document {
    pub(crate) entries: Vec<Entry>,
    pub(crate) egress_first: bool,
}

/// An entry: its data centre, none if unassigned, and who owns its ports.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) prefix: Prefix,
    pub(crate) datacenter: Option<&'static str>,
    pub(crate) ports: PortMap,
    pub(crate) portless: Option<&'static str>,
    pub(crate) tags: BTreeMap<String, String>,
}

#[derive(Debug, Clone)]
pub(crate) enum PortMap {
    None,
    Whole(Owner),
    Slices(u32, Vec<Option<Owner>>),
    /// First and last port, in any order.
    Ranges(Vec<(u16, u16, Owner)>),
}

impl Entry {
    /// Who owns a port, as the contract says it.
    pub(crate) fn owner(&self, port: u16) -> Option<Owner> {
        match &self.ports {
            PortMap::None => None,
            PortMap::Whole(owner) => Some(*owner),
            PortMap::Slices(size, owners) => owners.get((u32::from(port) / size) as usize).copied().flatten(),
            PortMap::Ranges(ranges) => {
                ranges.iter().find(|(first, last, _)| (*first..=*last).contains(&port)).map(|(.., owner)| *owner)
            }
        }
    }

    /// The first port of everything, and the last one before.
    pub(crate) fn bounds(&self) -> Vec<u16> {
        let mut bounds = vec![0, 1, 65_535];
        match &self.ports {
            PortMap::Slices(size, owners) => {
                let firsts = (0..=owners.len() as u32).map(|slice| (slice * size).min(65_535) as u16);
                bounds.extend(firsts.flat_map(|first| [first.saturating_sub(1), first]));
            }
            PortMap::Ranges(ranges) => bounds.extend(
                ranges
                    .iter()
                    .flat_map(|&(first, last, _)| [first.saturating_sub(1), first, last, last.saturating_add(1)]),
            ),
            _ => {}
        }
        bounds
    }

    fn json(&self) -> String {
        let mut members = vec![format!(r#""prefix":"{}""#, self.prefix)];
        members.extend(self.datacenter.map(|datacenter| format!(r#""datacenter":"{datacenter}""#)));
        let quoted = |name: &str| format!("{name:?}");
        match &self.ports {
            PortMap::None => members.push(r#""unassigned":true"#.into()),
            PortMap::Whole((server, previous)) => {
                members.push(format!(r#""server":{server:?}"#));
                members.extend(previous.map(|previous| format!(r#""previous":{previous:?}"#)));
            }
            PortMap::Slices(size, owners) => {
                let names = |of: &dyn Fn(Owner) -> Option<&'static str>| {
                    let name = |owner: &Option<Owner>| owner.and_then(of).map_or("null".into(), quoted);
                    owners.iter().map(name).collect::<Vec<_>>().join(",")
                };
                let (now, before) = (names(&|owner| Some(owner.0)), names(&|owner| owner.1));
                members.push(format!(r#""slices":{{"previous":[{before}],"owners":[{now}],"ports":{size}}}"#));
            }
            PortMap::Ranges(ranges) => {
                let range = |(first, last, (server, previous)): &(u16, u16, Owner)| {
                    let previous = previous.map(|name| format!(r#","previous":{name:?}"#)).unwrap_or_default();
                    format!(r#"{{"ports":"{first}-{last}","server":{server:?}{previous}}}"#)
                };
                members.push(format!(r#""ranges":[{}]"#, ranges.iter().map(range).collect::<Vec<_>>().join(",")));
            }
        }
        members.extend(self.portless.map(|portless| format!(r#""portless":{portless:?}"#)));
        if !self.tags.is_empty() {
            members.push(format!(r#""tags":{}"#, serde_json::to_string(&self.tags).unwrap()));
        }
        format!("{{{}}}", members.join(","))
    }
}

impl Document {
    /// The entry of the longest prefix around an address.
    pub(crate) fn find(&self, address: IpAddr) -> Option<&Entry> {
        let around = self.entries.iter().filter(|entry| entry.prefix.contains(address));
        around.max_by_key(|entry| entry.prefix.length())
    }

    pub(crate) fn json(&self) -> String {
        let datacenters = DATACENTERS.iter().enumerate();
        let datacenters = datacenters.map(|(n, name)| format!(r#"{name:?}:{{"forwarders":["10.{n}.0.1"]}}"#));
        let servers = SERVERS.iter().enumerate();
        let servers = servers.map(|(n, (name, datacenter))| {
            format!(r#"{name:?}:{{"datacenter":{datacenter:?},"address":"10.9.0.{n}"}}"#)
        });
        let entries: Vec<String> = self.entries.iter().map(Entry::json).collect();
        let mut members = [
            format!(r#""datacenters":{{{}}}"#, datacenters.collect::<Vec<_>>().join(",")),
            format!(r#""servers":{{{}}}"#, servers.collect::<Vec<_>>().join(",")),
            format!(r#""egress":[{}]"#, entries.join(",")),
            r#""version":1"#.into(),
        ];
        if self.egress_first {
            members.reverse();
        }
        format!("{{{}}}", members.join(","))
    }
}

/// All addresses that [`document`] speaks of, and some that it doesn't.
pub(crate) fn addresses() -> impl Iterator<Item = IpAddr> {
    let v4 = (0..16_u32).map(|low| Ipv4Addr::from_bits(0xc000_0200 | low).into());
    let v6 = (0..16_u128).map(|low| Ipv6Addr::from_bits(0x2001_0db8 << 96 | low).into());
    v4.chain(v6)
}

/// Any right document over a few addresses.
pub(crate) fn document() -> impl Strategy<Value = Document> {
    let entries = prop::collection::hash_map(prefix(), entry(), 0..10);
    let entries =
        entries.prop_map(|entries| entries.into_iter().map(|(prefix, entry)| Entry { prefix, ..entry }).collect());
    (entries, any::<bool>()).prop_map(|(entries, egress_first)| Document { entries, egress_first })
}

/// A document and one that was made from it by changing some entries.
pub(crate) fn two_documents() -> impl Strategy<Value = (Document, Document)> {
    (document(), document(), any::<u16>()).prop_map(|(a, mut b, keep)| {
        let kept: Vec<Entry> =
            a.entries.iter().enumerate().filter(|(n, _)| keep >> n & 1 == 1).map(|(_, e)| e.clone()).collect();
        b.entries.retain(|entry| kept.iter().all(|kept| kept.prefix != entry.prefix));
        b.entries.extend(kept);
        (a, b)
    })
}

fn prefix() -> impl Strategy<Value = Prefix> {
    (any::<bool>(), 0..16_u32, 0..=4_u32).prop_map(|(v6, low, host)| {
        let low = low >> host << host;
        if v6 {
            let address = Ipv6Addr::from_bits(0x2001_0db8 << 96 | u128::from(low));
            Prefix::new(address.into(), (128 - host) as u8).unwrap()
        } else {
            Prefix::new(Ipv4Addr::from_bits(0xc000_0200 | low).into(), (32 - host) as u8).unwrap()
        }
    })
}

fn entry() -> impl Strategy<Value = Entry> {
    let assigned = (0..DATACENTERS.len()).prop_flat_map(|datacenter| {
        let datacenter = DATACENTERS[datacenter];
        (Just(datacenter), port_map(datacenter), prop::option::of(server_of(datacenter)), tags())
    });
    let any_prefix: Prefix = "0.0.0.0/0".parse().unwrap();
    prop_oneof![
        1 => Just(Entry {
            prefix: any_prefix, datacenter: None, ports: PortMap::None, portless: None, tags: BTreeMap::new()
        }),
        5 => assigned.prop_map(move |(datacenter, ports, portless, tags)| {
            let portless = portless.filter(|_| !matches!(ports, PortMap::Whole(_)));
            Entry { prefix: any_prefix, datacenter: Some(datacenter), ports, portless, tags }
        }),
    ]
}

fn server_of(datacenter: &'static str) -> impl Strategy<Value = &'static str> {
    let servers: Vec<_> = SERVERS.iter().filter(|(_, of)| *of == datacenter).map(|(name, _)| *name).collect();
    prop::sample::select(servers)
}

fn owner(datacenter: &'static str) -> impl Strategy<Value = Owner> {
    (server_of(datacenter), prop::option::weighted(0.3, 0..SERVERS.len())).prop_map(|(server, previous)| {
        (server, previous.map(|previous| SERVERS[previous].0).filter(|previous| *previous != server))
    })
}

fn port_map(datacenter: &'static str) -> impl Strategy<Value = PortMap> {
    let slices = (6..=16_u32).prop_flat_map(move |log| {
        let owners = prop::collection::vec(prop::option::of(owner(datacenter)), 0..=(65_536 >> log).min(12));
        owners.prop_map(move |owners| PortMap::Slices(1 << log, owners))
    });
    let cuts = prop::collection::btree_set(prop_oneof![any::<u16>(), 0..8_u16, Just(65_535), 2040..2060_u16], 0..12);
    let ranges = (cuts, prop::collection::vec((any::<bool>(), owner(datacenter)), 12)).prop_map(|(cuts, owners)| {
        let cuts: Vec<u16> = cuts.into_iter().collect();
        let mut ranges = Vec::new();
        for (pair, (used, owner)) in cuts.windows(2).zip(owners) {
            if used {
                ranges.push((pair[0], pair[1] - 1, owner));
            }
        }
        ranges
    });
    let shuffle = prop_oneof![Just(false), Just(true)];
    let ranges = (ranges, shuffle).prop_flat_map(|(ranges, shuffle)| {
        let in_order = ranges.clone();
        Just(ranges).prop_shuffle().prop_map(move |any| PortMap::Ranges(if shuffle { any } else { in_order.clone() }))
    });
    prop_oneof![owner(datacenter).prop_map(PortMap::Whole), slices, ranges]
}

fn tags() -> impl Strategy<Value = BTreeMap<String, String>> {
    let country = prop::option::of(prop::sample::select(vec!["GB", "FR", "DE"]));
    (country, prop::collection::btree_map("[a-z\"]{0,3}", any::<String>(), 0..2)).prop_map(|(country, mut tags)| {
        tags.extend(country.map(|country| ("country".into(), country.into())));
        tags
    })
}

/// Every value of a document with its JSON pointer.
pub(crate) fn collect(
    value: &serde_json::Value,
    pointer: String,
    pointers: &mut Vec<String>,
    values: &mut Vec<serde_json::Value>,
) {
    match value {
        serde_json::Value::Array(array) => {
            for (index, element) in array.iter().enumerate() {
                collect(element, format!("{pointer}/{index}"), pointers, values);
            }
        }
        serde_json::Value::Object(object) => {
            for (key, member) in object {
                let key = key.replace('~', "~0").replace('/', "~1");
                collect(member, format!("{pointer}/{key}"), pointers, values);
            }
        }
        _ => {}
    }
    pointers.push(pointer);
    values.push(value.clone());
}
