// SPDX-License-Identifier: MIT OR Apache-2.0
//! A patched source is the source of the patched document, and a patch is refused when that document would be.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may stop at the first surprise"
)]

#[path = "../documents/mod.rs"]
mod documents;
mod model;
mod random;

use std::collections::{BTreeMap, BTreeSet};

use documents::document;
use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;
use serde_json::Value;
use tables::patch::{Changes, Patch};
use tables::source::{Owner, Ownership, PlanId, Source};
use tables::{Faults, Prefix};

fn apply(source: &mut Source, patch: &str) -> Result<Changes, Faults> {
    source.apply(&Patch::from_slice(patch.as_bytes())?)
}

/// An entry in words that don't depend on ids.
type Meaning = (Option<String>, String, Vec<(String, String)>);

fn meanings(source: &Source) -> BTreeMap<Prefix, Meaning> {
    let owner = |owner: Owner| {
        let previous = owner.previous.map(|id| &source.server(id).name);
        format!("{:?} after {previous:?}", source.server(owner.server).name)
    };
    let meaning = |(index, entry): (usize, &tables::source::Entry)| {
        let datacenter = entry.datacenter.map(|id| source.datacenter(id).name.to_string());
        let ownership = match entry.ownership {
            Ownership::Unassigned => "nobody's".into(),
            Ownership::Whole(whole) => owner(whole),
            Ownership::Sliced { plan, portless } => {
                let runs = source.runs(plan).map(|run| format!("{}-{} {}", run.first, run.last, owner(run.owner)));
                let portless = portless.map(|id| &source.server(id).name);
                format!("{:?}, {portless:?}", runs.collect::<Vec<_>>())
            }
        };
        let tags = source.tags(index).map(|(key, value)| (key.into(), value.into())).collect();
        (entry.prefix, (datacenter, ownership, tags))
    };
    source.entries().iter().enumerate().map(meaning).collect()
}

fn directory(source: &Source) -> BTreeSet<String> {
    let servers = source.servers().iter().map(|server| {
        let datacenter = &source.datacenter(server.datacenter).name;
        format!("{:?} in {datacenter:?} at {:?} with {:?}", server.name, server.address, server.mtu)
    });
    servers.chain(source.datacenters().iter().map(|datacenter| format!("{datacenter:?}"))).collect()
}

/// Lookups agree with the list of entries, names with ids, equal plans with each other.
fn check_integrity(source: &Source) -> TestCaseResult {
    let mut sorted: Vec<(Prefix, usize)> =
        source.entries().iter().enumerate().map(|(index, entry)| (entry.prefix, index)).collect();
    sorted.sort_unstable();
    let by_prefix: Vec<(Prefix, usize)> =
        source.entries_by_prefix().map(|(index, entry)| (entry.prefix, index)).collect();
    prop_assert_eq!(&by_prefix, &sorted);
    let others = ["192.0.2.0/28", "192.0.2.9/32", "2001:db8::/120", "::/0"].map(|prefix| prefix.parse().unwrap());
    for prefix in sorted.iter().map(|(prefix, _)| *prefix).chain(others) {
        let wanted = sorted.iter().find(|(other, _)| *other == prefix).map(|(_, index)| *index);
        prop_assert_eq!(source.entry(prefix).map(|(found, _)| found), wanted);
        for prefix in [prefix, prefix.parent().unwrap_or(prefix)] {
            let inside: Vec<Prefix> = source.entries_inside(prefix).map(|(_, entry)| entry.prefix).collect();
            let wanted = sorted.iter().map(|(other, _)| *other).filter(|other| prefix.covers(*other));
            prop_assert_eq!(inside, wanted.collect::<Vec<_>>());
            let longest = source.longest_around(prefix).map(|(_, entry)| entry.prefix);
            let around =
                sorted.iter().map(|(other, _)| *other).filter(|other| *other != prefix && other.covers(prefix));
            prop_assert_eq!(longest, around.max_by_key(Prefix::length));
        }
    }
    for (id, server) in source.servers().iter().enumerate() {
        prop_assert_eq!(source.find_server(&server.name).map(|id| id.0 as usize), Some(id));
    }
    for (id, datacenter) in source.datacenters().iter().enumerate() {
        prop_assert_eq!(source.find_datacenter(&datacenter.name).map(|id| id.0 as usize), Some(id));
    }
    let mut plans: Vec<PlanId> = source.entries().iter().filter_map(|entry| entry.plan()).collect();
    plans.sort_unstable();
    plans.dedup();
    let runs: Vec<Vec<_>> = plans.iter().map(|plan| source.runs(*plan).collect()).collect();
    prop_assert!(runs.iter().enumerate().all(|(at, plan)| !runs[..at].contains(plan)));
    Ok(())
}

/// What the source says of a patch is what happened.
fn check_changes(before: &Source, after: &Source, changes: &Changes) -> TestCaseResult {
    let (old, new) = (meanings(before), meanings(after));
    let prefixes: BTreeSet<Prefix> = old.keys().chain(new.keys()).copied().collect();
    let changed: Vec<Prefix> = prefixes.into_iter().filter(|prefix| old.get(prefix) != new.get(prefix)).collect();
    prop_assert_eq!(&changes.prefixes, &changed);
    prop_assert_eq!(changes.directory, directory(before) != directory(after));
    let used = |source: &Source| source.entries().iter().filter_map(|entry| entry.plan()).collect::<BTreeSet<_>>();
    let freed: Vec<PlanId> = used(before).difference(&used(after)).copied().collect();
    prop_assert_eq!(&changes.freed_plans, &freed);
    let ids = |source: &Source| source.servers().iter().map(|server| server.name.clone()).collect::<Vec<_>>();
    prop_assert!(changes.renumbered || ids(after).starts_with(&ids(before)));
    // Plans keep their meaning with their id.
    for entry in after.entries() {
        let same = |(_, old): (usize, &tables::source::Entry)| old.plan().is_some() && old.plan() == entry.plan();
        if before.entry(entry.prefix).is_some_and(same) && !changes.prefixes.contains(&entry.prefix) {
            prop_assert_eq!(old.get(&entry.prefix), new.get(&entry.prefix));
        }
    }
    Ok(())
}

/// A patch that touches entries only can be taken back, and then applied again.
fn check_put_back(source: &Source, text: &str) -> TestCaseResult {
    let patch = Patch::from_slice(text.as_bytes()).unwrap();
    let Some(before) = source.before(&patch) else { return Ok(()) };
    let mut other = source.clone();
    let changes = other.apply(&patch).unwrap();
    let after = other.digest();
    other.put_back(before);
    prop_assert_eq!(other.digest(), source.digest());
    check_integrity(&other)?;
    prop_assert_eq!(other.apply(&patch).unwrap().prefixes, changes.prefixes);
    prop_assert_eq!(other.digest(), after);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_patched_source_is_the_source_of_the_patched_document(
        document in document(),
        ideas in prop::collection::vec(random::idea(), 1..8),
    ) {
        let mut document: Value = serde_json::from_str(&document.json()).unwrap();
        let mut source = Source::from_slice(document.to_string().as_bytes()).unwrap();
        for idea in ideas {
            let patch = idea.patch(&document);
            let text = patch.to_string();
            let before = source.clone();
            let outcome = apply(&mut source, &text);
            let wanted = model::apply(&document, &patch).ok_or("the patch itself is wrong".to_owned()).and_then(|wanted| {
                let source = Source::from_slice(wanted.to_string().as_bytes());
                source.map(|source| (source, wanted)).map_err(|faults| format!("{:?}", faults.0))
            });
            match (outcome, wanted) {
                (Ok(changes), Ok((wanted, new))) => {
                    prop_assert_eq!(source.digest(), wanted.digest(), "{}\n{}", document, text);
                    let mut written = Vec::new();
                    source.write(1, &mut written).unwrap();
                    prop_assert_eq!(Source::from_slice(&written).unwrap().digest(), wanted.digest());
                    check_changes(&before, &source, &changes)?;
                    check_integrity(&source)?;
                    check_put_back(&before, &text)?;
                    let mut other = before.clone();
                    apply(&mut other, &random::reverse(&patch)).unwrap();
                    prop_assert_eq!(other.digest(), source.digest(), "in another order: {}\n{}", document, text);
                    document = new;
                    model::forget(&mut document);
                }
                (Err(faults), Err(_)) => {
                    prop_assert!(!faults.0.is_empty());
                    prop_assert!(faults.0.iter().all(|fault| !fault.path.is_empty() || !fault.message.is_empty()));
                    prop_assert_eq!(source.digest(), before.digest());
                    prop_assert!(apply(&mut source, &random::reverse(&patch)).is_err());
                }
                (outcome, wanted) => {
                    prop_assert!(false, "{:?}, but {:?}\n{}\n{}", outcome, wanted.map(|(_, it)| it), document, text)
                }
            }
        }
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(Patch::from_slice(&bytes).is_err());
    }

    /// A patch with a few bytes changed, put in or cut out.
    #[test]
    fn broken_patches_are_applied_without_a_panic(
        document in document(),
        idea in random::idea(),
        wounds in prop::collection::vec((any::<prop::sample::Index>(), 0..4_usize, "[\\[\\]{}\",:0-9a-z\\\\ -]{0,4}"), 1..6),
    ) {
        let document: Value = serde_json::from_str(&document.json()).unwrap();
        let mut source = Source::from_slice(document.to_string().as_bytes()).unwrap();
        let mut patch = idea.patch(&document).to_string().into_bytes();
        for (at, cut, put) in wounds {
            let at = at.index(patch.len() + 1);
            let end = (at + cut).min(patch.len());
            patch.splice(at..end, put.into_bytes());
        }
        let before = source.digest();
        match Patch::from_slice(&patch).and_then(|patch| source.apply(&patch)) {
            Ok(_) => check_integrity(&source)?,
            Err(faults) => {
                prop_assert!(!faults.0.is_empty());
                prop_assert_eq!(source.digest(), before);
            }
        }
    }
}
