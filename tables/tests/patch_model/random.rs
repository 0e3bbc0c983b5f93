// SPDX-License-Identifier: MIT OR Apache-2.0
//! Random patches: most of them right for the document that they are made for.

use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Map, Value, json};

use crate::documents::{DATACENTERS, SERVERS, collect, document};

/// Entry, two bounds, server and previous one.
type PortsIdea = (Index, u16, u16, Option<Index>, Option<Index>);

/// What a patch does; where to is decided by the document that it is for.
#[derive(Debug, Clone)]
pub(crate) struct Idea {
    servers: Vec<(Index, Index, u8, bool)>,
    datacenters: Vec<(Index, u8)>,
    entries: Vec<Value>,
    removed_servers: Vec<Index>,
    removed_datacenters: Vec<Index>,
    removed_entries: Vec<Index>,
    ports: Vec<PortsIdea>,
    misplaced: Vec<(Index, Index)>,
    /// Makes some more things wrong, too.
    careless: bool,
}

/// Nothing as a rule, in `weight` of ten cases some.
fn few<T>(of: T, most: usize, weight: u32) -> impl Strategy<Value = Vec<T::Value>>
where
    T: Strategy + Clone + 'static,
    T::Value: 'static,
{
    prop_oneof![10 - weight => Just(()).prop_map(|()| Vec::new()), weight => prop::collection::vec(of, 1..=most)]
}

pub(crate) fn idea() -> impl Strategy<Value = Idea> {
    let index = any::<Index>;
    let entries = prop_oneof![
        Just(Vec::new()),
        (document(), 1..4_usize).prop_map(|(document, count)| {
            let document: Value = serde_json::from_str(&document.json()).unwrap();
            document["egress"].as_array().unwrap().iter().take(count).cloned().collect()
        })
    ];
    let bound = || prop_oneof![any::<u16>(), 0..8_u16, Just(65_535), (0..32_u16).prop_map(|n| n * 2048)];
    let owner = || prop::option::weighted(0.8, any::<Index>());
    let ports = (index(), bound(), bound(), owner(), owner());
    let set = (few((index(), index(), any::<u8>(), any::<bool>()), 2, 3), few((index(), any::<u8>()), 2, 2), entries);
    let removed = (few(index(), 2, 2), few(index(), 1, 2), few(index(), 3, 4));
    let misplaced = prop_oneof![6 => Just(Vec::new()), 1 => prop::collection::vec((index(), index()), 1..3)];
    (set, removed, few(ports, 4, 6), misplaced, any::<bool>()).prop_map(
        |((servers, datacenters, entries), removed, ports, misplaced, careless)| {
            let (removed_servers, removed_datacenters, removed_entries) = removed;
            Idea {
                servers,
                datacenters,
                entries,
                removed_servers,
                removed_datacenters,
                removed_entries,
                ports,
                misplaced,
                careless,
            }
        },
    )
}

impl Idea {
    /// The patch.
    pub(crate) fn patch(&self, document: &Value) -> Value {
        let mut patch = json!({ "set": {}, "remove": {} });
        self.set(&mut patch["set"]);
        self.remove(document, &mut patch["remove"]);
        patch["ports"] = self.ports(document, &patch);
        if self.careless {
            patch["base"] = json!([3, 4]);
        }
        for (from, to) in &self.misplaced {
            let (mut pointers, mut values) = (Vec::new(), Vec::new());
            collect(&patch, String::new(), &mut pointers, &mut values);
            let put = values[from.index(values.len())].clone();
            *patch.pointer_mut(&pointers[to.index(pointers.len())]).unwrap() = put;
        }
        patch
    }

    fn set(&self, set: &mut Value) {
        let mut names: Vec<&str> = SERVERS.iter().map(|(name, _)| *name).collect();
        names.extend(["new-1", "new-2"]);
        let servers = self.servers.iter().map(|(name, datacenter, seed, stay)| {
            let name = *name.get(&names);
            let home = SERVERS.iter().find(|(server, _)| *server == name && *stay).map(|(_, home)| *home);
            let datacenter = home.unwrap_or_else(|| any_datacenter(datacenter));
            let address = format!("10.9.{}.{}", seed % 2, seed % 3);
            let server = if seed % 5 == 0 {
                json!({ "datacenter": datacenter, "address": address, "mtu": 1400 })
            } else {
                json!({ "datacenter": datacenter, "address": address })
            };
            (name.to_owned(), server)
        });
        let servers: Map<String, Value> = servers.collect();
        let datacenters = self.datacenters.iter().map(|(name, seed)| {
            let forwarders: &[&str] = if seed % 3 == 0 { &[] } else { &["10.8.0.1"] };
            (any_datacenter(name).to_owned(), json!({ "forwarders": forwarders }))
        });
        let datacenters: Map<String, Value> = datacenters.collect();
        for (key, value) in [("servers", servers), ("datacenters", datacenters)] {
            if !value.is_empty() {
                set[key] = Value::Object(value);
            }
        }
        if !self.entries.is_empty() {
            set["egress"] = Value::Array(self.entries.clone());
        }
    }

    fn remove(&self, document: &Value, remove: &mut Value) {
        let names = |kind: &str, extra: &str| {
            let names = document[kind].as_object().unwrap().keys().cloned();
            names.chain([extra.to_owned()]).collect::<Vec<_>>()
        };
        let pick = |names: &[String], picks: &[Index]| {
            let mut picked: Vec<&String> = picks.iter().map(|pick| pick.get(names)).collect();
            if !self.careless {
                picked.sort_unstable();
                picked.dedup();
            }
            json!(picked)
        };
        let entries = document["egress"].as_array().unwrap().iter();
        let mut entries: Vec<String> = entries.map(|entry| entry["prefix"].as_str().unwrap().into()).collect();
        if self.careless || entries.is_empty() {
            entries.push("192.0.2.77/32".into());
        }
        remove["servers"] = pick(&names("servers", "nobody"), &self.removed_servers);
        remove["datacenters"] = pick(&names("datacenters", "nowhere"), &self.removed_datacenters);
        remove["egress"] = pick(&entries, &self.removed_entries);
    }

    fn ports(&self, document: &Value, patch: &Value) -> Value {
        let entries: Vec<&Value> = document["egress"].as_array().unwrap().iter().collect();
        let touched = [&patch["remove"]["egress"], &patch["set"]["egress"]].map(Value::to_string);
        let fit = |entry: &&Value| {
            let sliced = entry.get("slices").or(entry.get("ranges")).is_some();
            sliced && touched.iter().all(|touched| !touched.contains(&entry["prefix"].to_string()))
        };
        let fitting: Vec<&Value> = entries.iter().copied().filter(fit).collect();
        let mut taken: Vec<(Value, u16, u16)> = Vec::new();
        let changes = self.ports.iter().filter_map(|(at, a, b, server, previous)| {
            // One in sixteen may be of any kind.
            let among = if a % 16 == 1 { &entries } else { &fitting };
            let entry = (!among.is_empty()).then(|| at.get(among))?;
            let all: Vec<&String> = document["servers"].as_object().unwrap().keys().collect();
            let home = |name: &&&String| document["servers"][name.as_str()]["datacenter"] == entry["datacenter"];
            let near: Vec<&String> = all.iter().filter(home).copied().collect();
            let near = if b % 16 == 1 || near.is_empty() { &all } else { &near };
            let pick = |pick: &Option<Index>, names: &[&String]| {
                pick.filter(|_| !names.is_empty()).map_or(Value::Null, |pick| json!(pick.get(names)))
            };
            let (server, mut previous) = (pick(server, near), pick(previous, &all));
            if previous == server && b % 16 != 2 {
                previous = Value::Null;
            }
            let (first, last) = (*a.min(b), *a.max(b));
            let overlap = taken.iter().any(|(at, from, to)| *at == entry["prefix"] && *from <= last && first <= *to);
            if overlap && a % 16 != 4 {
                return None;
            }
            taken.push((entry["prefix"].clone(), first, last));
            let ports = format!("{first}-{last}");
            Some(json!({ "prefix": entry["prefix"], "ports": ports, "server": server, "previous": previous }))
        });
        Value::Array(changes.collect())
    }
}

fn any_datacenter(index: &Index) -> &'static str {
    DATACENTERS.into_iter().chain(["AMS"]).nth(index.index(4)).unwrap()
}

/// The patch in other words: lists that order means nothing in, and members, the other way round.
pub(crate) fn reverse(patch: &Value) -> String {
    let parts = |key: &str, value: &Value| match (key, value) {
        ("set" | "remove", Value::Object(_)) => reverse_members(value, |_, value| reverse_list(value)),
        ("ports", value) => reverse_list(value),
        (_, value) => value.to_string(),
    };
    reverse_members(patch, parts)
}

fn reverse_members(object: &Value, write: impl Fn(&str, &Value) -> String) -> String {
    let Value::Object(members) = object else { return object.to_string() };
    let members = members.iter().rev().map(|(key, value)| format!("{}:{}", json!(key), write(key, value)));
    format!("{{{}}}", members.collect::<Vec<_>>().join(","))
}

/// A list, or an object whose keys are names.
fn reverse_list(list: &Value) -> String {
    match list {
        Value::Array(elements) => {
            format!("[{}]", elements.iter().rev().map(Value::to_string).collect::<Vec<_>>().join(","))
        }
        other => reverse_members(other, |_, value| value.to_string()),
    }
}
