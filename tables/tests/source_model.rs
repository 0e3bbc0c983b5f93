// SPDX-License-Identifier: MIT OR Apache-2.0
//! Right documents mean what a simple model says; wrong ones never do more than fail.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may stop at the first surprise"
)]

mod documents;

use documents::{Document, Owner, PortMap, SERVERS, addresses, collect, document};
use proptest::prelude::*;
use tables::Source;
use tables::holdings::holdings;
use tables::source::{Ownership, ServerId};

fn read(document: &Document) -> Source {
    let json = document.json();
    let source = Source::from_slice(json.as_bytes()).unwrap_or_else(|faults| panic!("{faults:?}\n{json}"));
    let streamed = Source::from_reader(json.as_bytes()).unwrap();
    assert_eq!(streamed.digest(), source.digest());
    source
}

fn name(source: &Source, id: ServerId) -> &str {
    &source.server(id).name
}

proptest! {
    /// A source is written as a document that leads to it: the same ids, the same meaning.
    #[test]
    fn what_is_written_is_what_was_read(document in document(), generation in 0..=i64::MAX as u64) {
        let source = read(&document);
        let mut written = Vec::new();
        source.write(generation, &mut written).unwrap();
        let again = Source::from_slice(&written).unwrap();
        prop_assert_eq!(again.digest(), source.digest());
        prop_assert_eq!(again.generation(), Some(generation));
        prop_assert_eq!((again.servers(), again.datacenters()), (source.servers(), source.datacenters()));
        prop_assert!(again.entries().iter().map(|entry| entry.prefix).eq(source.entries().iter().map(|entry| entry.prefix)));
    }

    #[test]
    fn documents_mean_what_they_say(document in document()) {
        let source = read(&document);
        prop_assert_eq!(source.entries().len(), document.entries.len());
        for (index, (entry, model)) in source.entries().iter().zip(&document.entries).enumerate() {
            prop_assert_eq!(entry.prefix, model.prefix);
            let datacenter = entry.datacenter.map(|id| &*source.datacenter(id).name);
            prop_assert_eq!(datacenter, model.datacenter);
            let tags: Vec<(&str, &str)> = source.tags(index).collect();
            let wanted: Vec<_> = model.tags.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
            prop_assert_eq!(tags, wanted);

            match entry.ownership {
                Ownership::Unassigned => prop_assert!(matches!(model.ports, PortMap::None)),
                Ownership::Whole(owner) => {
                    let owner = (name(&source, owner.server), owner.previous.map(|id| name(&source, id)));
                    prop_assert_eq!(Some(owner), model.owner(0));
                    prop_assert!(matches!(model.ports, PortMap::Whole(_)));
                }
                Ownership::Sliced { plan, portless } => {
                    prop_assert!(matches!(model.ports, PortMap::Slices(..) | PortMap::Ranges(_)));
                    prop_assert_eq!(portless.map(|id| name(&source, id)), model.portless);
                    let runs: Vec<_> = source.runs(plan).collect();
                    for two in runs.windows(2) {
                        let touching = two[0].last + 1 == two[1].first && two[0].owner == two[1].owner;
                        prop_assert!(two[0].last < two[1].first && !touching, "{:?}", runs);
                    }
                    for port in model.bounds() {
                        let run = runs.iter().find(|run| (run.first..=run.last).contains(&port));
                        let owner: Option<(&str, Option<&str>)> = run.map(|run| {
                            (name(&source, run.owner.server), run.owner.previous.map(|id| name(&source, id)))
                        });
                        prop_assert_eq!(owner, model.owner(port), "port {}", port);
                    }
                }
            }
        }
        for (name, datacenter) in SERVERS {
            let server = source.server(source.find_server(name).unwrap());
            prop_assert_eq!((&*server.name, &*source.datacenter(server.datacenter).name), (name, datacenter));
        }
        prop_assert!(source.entries_by_prefix().map(|(_, entry)| entry.prefix).is_sorted());
        prop_assert_eq!(source.entries_by_prefix().count(), document.entries.len());
    }

    #[test]
    fn equal_plans_are_one_plan(document in document()) {
        let source = read(&document);
        let mut plans: Vec<Vec<_>> = Vec::new();
        for entry in source.entries() {
            if let Ownership::Sliced { plan, .. } = entry.ownership {
                prop_assert!((plan.0 as usize) < source.plans());
                plans.push(source.runs(plan).collect());
            }
        }
        let distinct = plans.iter().enumerate().filter(|(at, plan)| !plans[..*at].contains(plan)).count();
        prop_assert_eq!(distinct, source.plans());
    }

    /// The same table in other words has the same digest, and one that differs in anything has another.
    #[test]
    fn the_digest_is_of_the_meaning(document in document(), seed in any::<u64>(), shift in 0..20_usize) {
        let digest = read(&document).digest();
        let mut other = document.clone();
        other.egress_first = !other.egress_first;
        if !other.entries.is_empty() {
            let shift = shift % other.entries.len();
            other.entries.rotate_left(shift);
        }
        for entry in &mut other.entries {
            if let PortMap::Slices(size, owners) = &entry.ports {
                let slices = (0..).zip(owners).filter_map(|(slice, owner)| Some((slice, (*owner)?)));
                let mut ranges: Vec<(u16, u16, Owner)> = slices
                    .map(|(slice, owner)| ((slice * size) as u16, (slice * size + size - 1) as u16, owner))
                    .collect();
                ranges.reverse();
                entry.ports = PortMap::Ranges(ranges);
            }
        }
        prop_assert_eq!(read(&other).digest(), digest);

        if let Some(entry) = other.entries.first_mut() {
            match (&mut entry.ports, seed % 3) {
                (PortMap::Ranges(ranges), 0) if !ranges.is_empty() => drop(ranges.pop()),
                (PortMap::Whole((_, previous)), 0) if previous.is_some() => *previous = None,
                (PortMap::None, _) => drop(other.entries.remove(0)),
                (_, 1) => drop(entry.tags.insert("new".into(), "tag".into())),
                _ => drop(other.entries.remove(0)),
            }
            prop_assert_ne!(read(&other).digest(), digest);
        }
    }

    #[test]
    fn servers_own_what_a_lookup_would_give_them(document in document()) {
        let source = read(&document);
        for (name, _) in SERVERS {
            let holdings = holdings(&source, source.find_server(name).unwrap());
            prop_assert!(holdings.slices.is_sorted_by_key(|row| (row.prefix, row.ports)));
            for address in addresses() {
                let entry = document.find(address);
                let rows: Vec<_> = holdings.slices.iter().filter(|row| row.prefix.contains(address)).collect();
                for two in rows.windows(2) {
                    prop_assert!(two[0].ports.last() + 1 < two[1].ports.first(), "not merged: {:?}", rows);
                }
                for port in entry.map(|entry| entry.bounds()).unwrap_or_default() {
                    let owner = entry.and_then(|entry| entry.owner(port)).map(|(server, _)| server);
                    let owned = rows.iter().any(|row| (row.ports.first()..=row.ports.last()).contains(&port));
                    prop_assert_eq!(owned, owner == Some(name), "{} {}", address, port);
                }
                let portless = holdings.portless.iter().any(|prefix| prefix.contains(address));
                prop_assert_eq!(portless, entry.and_then(|entry| entry.portless) == Some(name));
            }
        }
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(Source::from_slice(&bytes).is_err());
        prop_assert!(Source::from_reader(bytes.as_slice()).is_err());
    }

    /// A right document with a few bytes changed, put in or cut out.
    #[test]
    fn broken_documents_are_read_without_a_panic(
        document in document(),
        wounds in prop::collection::vec((any::<prop::sample::Index>(), 0..4_usize, "[\\[\\]{}\",:0-9a-z\\\\ -]{0,4}"), 1..6),
    ) {
        let mut json = document.json().into_bytes();
        for (at, cut, put) in wounds {
            let at = at.index(json.len());
            let end = (at + cut).min(json.len());
            json.splice(at..end, put.into_bytes());
        }
        let both = (Source::from_slice(&json), Source::from_reader(json.as_slice()));
        match both {
            (Ok(a), Ok(b)) => prop_assert_eq!(a.digest(), b.digest()),
            (Err(a), Err(b)) => {
                prop_assert!(!a.0.is_empty());
                let syntax = |path: &str| path.is_empty();
                let paths = |faults: &tables::Faults| {
                    faults.0.iter().map(|fault| fault.path.clone()).filter(|path| !syntax(path)).collect::<Vec<_>>()
                };
                prop_assert_eq!(paths(&a), paths(&b));
            }
            (a, b) => prop_assert!(false, "{:?} but streamed {:?}", a.err(), b.err()),
        }
    }

    /// A right document with one value put in the place of another.
    #[test]
    fn misplaced_values_are_faults_or_harmless(
        document in document(),
        places in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 1..4),
    ) {
        let mut value: serde_json::Value = serde_json::from_str(&document.json()).unwrap();
        for (from, to) in places {
            let (mut pointers, mut values) = (Vec::new(), Vec::new());
            collect(&value, String::new(), &mut pointers, &mut values);
            let put = values[from.index(values.len())].clone();
            *value.pointer_mut(&pointers[to.index(pointers.len())]).unwrap() = put;
        }
        let json = value.to_string();
        if let Err(faults) = Source::from_slice(json.as_bytes()) {
            prop_assert!(!faults.0.is_empty());
            prop_assert!(faults.0.iter().all(|fault| !fault.message.contains("not defined")), "{:?}", faults);
        }
    }
}
