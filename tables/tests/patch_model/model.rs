// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a patch does, told as simply as possible: on the JSON of the whole document.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};
use tables::{Ports, Prefix};

/// The document with the patch applied; none if the patch must be refused for what it is. What comes out may still be
/// no right document.
pub(crate) fn apply(document: &Value, patch: &Value) -> Option<Value> {
    let empty = json!({});
    let patch = members(patch, &["base", "set", "remove", "ports"])?;
    if let Some(base) = patch.get("base") {
        let numbers = base.as_array()?;
        let fine = |number: &Value| number.as_u64().is_some_and(|number| number < 1 << 63);
        (numbers.len() == 2 && numbers.iter().all(fine)).then_some(())?;
    }
    let kinds = ["servers", "datacenters", "egress"];
    let set = members(patch.get("set").unwrap_or(&empty), &kinds)?;
    let remove = members(patch.get("remove").unwrap_or(&empty), &kinds)?;
    let mut document = document.clone();
    for kind in ["servers", "datacenters"] {
        let things = document[kind].as_object_mut()?;
        let removed = list(remove, kind)?;
        let set = set.get(kind).unwrap_or(&empty).as_object()?;
        for name in &removed {
            let name = name.as_str()?;
            things.remove(name)?;
            (!set.contains_key(name)).then_some(())?;
        }
        things.extend(set.clone());
    }
    let touched = change_entries(&mut document, &list(set, "egress")?, &list(remove, "egress")?)?;
    let ports = list(patch, "ports")?;
    change_ports(&mut document, &ports, &touched)?;
    Some(document)
}

/// A list that need not be there.
fn list(object: &Map<String, Value>, key: &str) -> Option<Vec<Value>> {
    object.get(key).map_or(Some(Vec::new()), |list| list.as_array().cloned())
}

fn members<'a>(object: &'a Value, keys: &[&str]) -> Option<&'a Map<String, Value>> {
    object.as_object().filter(|object| object.keys().all(|key| keys.contains(&key.as_str())))
}

pub(crate) fn prefix(entry: &Value) -> Option<Prefix> {
    entry.get("prefix")?.as_str()?.parse().ok()
}

/// Returns the prefixes that are set or removed.
fn change_entries(document: &mut Value, set: &[Value], removed: &[Value]) -> Option<BTreeSet<Prefix>> {
    let entries = document["egress"].as_array_mut()?;
    let mut touched = BTreeSet::new();
    for removed in removed {
        let removed: Prefix = removed.as_str()?.parse().ok()?;
        let at = entries.iter().position(|entry| prefix(entry) == Some(removed))?;
        entries.remove(at);
        touched.insert(removed);
    }
    for new in set {
        let Some(prefix_of_new) = prefix(new) else {
            // Let the document be refused for it.
            entries.push(new.clone());
            continue;
        };
        touched.insert(prefix_of_new).then_some(())?;
        entries.retain(|entry| prefix(entry) != Some(prefix_of_new));
        entries.push(new.clone());
    }
    Some(touched)
}

fn change_ports(document: &mut Value, changes: &[Value], touched: &BTreeSet<Prefix>) -> Option<()> {
    let mut changed: Vec<(Prefix, Ports)> = Vec::new();
    for change in changes {
        let change = members(change, &["prefix", "ports", "server", "previous"])?;
        let at: Prefix = change.get("prefix")?.as_str()?.parse().ok()?;
        let ports: Ports = change.get("ports")?.as_str()?.parse().ok()?;
        let name = |value: &Value| value.is_null() || value.is_string();
        let (server, previous) = (change.get("server")?, change.get("previous").unwrap_or(&Value::Null));
        (name(server) && name(previous) && !touched.contains(&at)).then_some(())?;
        let known = previous.as_str().is_none_or(|name| document["servers"].get(name).is_some());
        known.then_some(())?;
        let entry = document["egress"].as_array_mut()?.iter_mut().find(|entry| prefix(entry) == Some(at))?;
        let overlaps = |&(other, taken): &(Prefix, Ports)| {
            other == at && taken.first() <= ports.last() && ports.first() <= taken.last()
        };
        (!changed.iter().any(overlaps)).then_some(())?;
        changed.push((at, ports));
        let mut owners = owners(entry)?;
        let owner = (!server.is_null()).then(|| (server.clone(), previous.clone()));
        owners[usize::from(ports.first())..=usize::from(ports.last())].fill(owner);
        let entry = entry.as_object_mut()?;
        entry.remove("slices");
        entry.insert("ranges".into(), ranges(&owners));
    }
    Some(())
}

/// Owner and previous owner.
type Owner = Option<(Value, Value)>;

/// Who has each port; none if that is nothing that the entry says.
fn owners(entry: &Value) -> Option<Vec<Owner>> {
    let mut owners = vec![None; 65_536];
    if let Some(slices) = entry.get("slices") {
        let size = slices["ports"].as_u64()? as usize;
        for (slice, owner) in slices["owners"].as_array()?.iter().enumerate() {
            let previous = slices.get("previous").and_then(|previous| previous.get(slice)).unwrap_or(&Value::Null);
            let owner = (!owner.is_null()).then(|| (owner.clone(), previous.clone()));
            owners[slice * size..(slice + 1) * size].fill(owner);
        }
    } else {
        for range in entry.get("ranges")?.as_array()? {
            let ports: Ports = range["ports"].as_str()?.parse().ok()?;
            let previous = range.get("previous").unwrap_or(&Value::Null);
            let owner = Some((range["server"].clone(), previous.clone()));
            owners[usize::from(ports.first())..=usize::from(ports.last())].fill(owner);
        }
    }
    Some(owners)
}

fn ranges(owners: &[Owner]) -> Value {
    let mut ranges = Vec::new();
    let mut first = 0;
    for run in owners.chunk_by(|a, b| a == b) {
        let last = first + run.len() - 1;
        if let Some((server, previous)) = &run[0] {
            ranges.push(json!({ "ports": format!("{first}-{last}"), "server": server, "previous": previous }));
        }
        first = last + 1;
    }
    Value::Array(ranges)
}

/// Forgets what a source does not keep: previous owners of slices that nobody has.
pub(crate) fn forget(document: &mut Value) {
    for entry in document["egress"].as_array_mut().into_iter().flatten() {
        let Some(slices) = entry.get_mut("slices") else { continue };
        let owners = slices["owners"].as_array().cloned().unwrap_or_default();
        if let Some(previous) = slices.get_mut("previous").and_then(Value::as_array_mut) {
            previous.truncate(owners.len());
            for (previous, owner) in previous.iter_mut().zip(owners).filter(|(_, owner)| owner.is_null()) {
                *previous = owner;
            }
        }
    }
}
