// SPDX-License-Identifier: MIT OR Apache-2.0
//! A source as a document again, patches and all. Data centres, servers and entries come in the order of their ids, so
//! that they have the same ids when it is read.

use std::io::{self, Write};

use serde_json::{Value, json};

use super::{Entry, Owner, Ownership, PlanId, Run, ServerId, Source};

/// Of a plan that is written as slices, an owner has at most so many slots on average: one with a few wide runs of
/// odd bounds is shorter as ranges.
const SLOTS_A_RUN: usize = 4;

/// Binary logarithm of the smallest slice.
const SMALLEST_SLICE: u32 = 6;

impl Source {
    /// Writes a document that means the same, of this generation.
    pub fn write(&self, generation: u64, out: &mut impl Write) -> io::Result<()> {
        write!(out, r#"{{"version":1,"generation":{generation},"datacenters":{{"#)?;
        members(
            out,
            self.datacenters.iter().map(|datacenter| {
                let mut value = json!({ "forwarders": datacenter.forwarders });
                put(&mut value, "mtu", datacenter.mtu);
                (&*datacenter.name, value)
            }),
        )?;
        out.write_all(br#"},"servers":{"#)?;
        members(
            out,
            self.servers.iter().map(|server| {
                let mut value =
                    json!({ "datacenter": self.datacenter(server.datacenter).name, "address": server.address });
                put(&mut value, "mtu", server.mtu);
                (&*server.name, value)
            }),
        )?;
        out.write_all(br#"},"egress":["#)?;
        for (index, entry) in self.entries.iter().enumerate() {
            out.write_all(if index == 0 { b"\n" } else { b",\n" })?;
            self.write_entry(index, entry, out)?;
        }
        out.write_all(b"\n]}\n")
    }

    /// Written by hand, since there may be a million, with dozens of ports each.
    fn write_entry(&self, index: usize, entry: &Entry, out: &mut impl Write) -> io::Result<()> {
        write!(out, r#"{{"prefix":"{}""#, entry.prefix)?;
        if let Some(id) = entry.datacenter {
            out.write_all(br#","datacenter":"#)?;
            string(&self.datacenter(id).name, out)?;
        }
        match entry.ownership {
            Ownership::Unassigned => out.write_all(br#","unassigned":true"#)?,
            Ownership::Whole(Owner { server, previous }) => {
                self.write_server(r#","server":"#, Some(server), out)?;
                self.write_server(r#","previous":"#, previous, out)?;
            }
            Ownership::Sliced { plan, portless } => {
                self.write_plan(plan, out)?;
                self.write_server(r#","portless":"#, portless, out)?;
            }
        }
        let tags: serde_json::Map<String, Value> =
            self.tags(index).map(|(key, value)| (key.to_owned(), value.into())).collect();
        if !tags.is_empty() {
            out.write_all(br#","tags":"#)?;
            serde_json::to_writer(&mut *out, &tags)?;
        }
        out.write_all(b"}")
    }

    fn write_plan(&self, plan: PlanId, out: &mut impl Write) -> io::Result<()> {
        let log = self.plan_unit_log(plan);
        let slots = (1_usize << 16) >> log;
        if log >= SMALLEST_SLICE && slots <= SLOTS_A_RUN * self.runs(plan).count() {
            return self.write_slices(plan, log, out);
        }
        out.write_all(br#","ranges":["#)?;
        for (index, Run { first, last, owner }) in self.runs(plan).enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(out, r#"{comma}{{"ports":"{first}-{last}""#)?;
            self.write_server(r#","server":"#, Some(owner.server), out)?;
            self.write_server(r#","previous":"#, owner.previous, out)?;
            out.write_all(b"}")?;
        }
        out.write_all(b"]")
    }

    fn write_slices(&self, plan: PlanId, log: u32, out: &mut impl Write) -> io::Result<()> {
        write!(out, r#","slices":{{"ports":{},"owners":["#, 1_u32 << log)?;
        self.write_slots(plan, log, |owner| Some(owner.server), out)?;
        if self.runs(plan).any(|run| run.owner.previous.is_some()) {
            out.write_all(br#"],"previous":["#)?;
            self.write_slots(plan, log, |owner| owner.previous, out)?;
        }
        out.write_all(b"]}")
    }

    /// One element a slice, as far as there are owners.
    fn write_slots(
        &self,
        plan: PlanId,
        log: u32,
        who: impl Fn(Owner) -> Option<ServerId>,
        out: &mut impl Write,
    ) -> io::Result<()> {
        let mut next = 0;
        for run in self.runs(plan) {
            for slot in next..=u32::from(run.last) >> log {
                let owner = if slot < u32::from(run.first) >> log { None } else { who(run.owner) };
                let comma = if slot == 0 { "" } else { "," };
                match owner {
                    Some(_) => self.write_server(comma, owner, out)?,
                    None => write!(out, "{comma}null")?,
                }
            }
            next = (u32::from(run.last) >> log) + 1;
        }
        Ok(())
    }

    /// `before` and the server's name, if there is a server.
    fn write_server(&self, before: &str, server: Option<ServerId>, out: &mut impl Write) -> io::Result<()> {
        let Some(server) = server else { return Ok(()) };
        out.write_all(before.as_bytes())?;
        string(&self.server(server).name, out)
    }
}

fn string(text: &str, out: &mut impl Write) -> io::Result<()> {
    Ok(serde_json::to_writer(out, text)?)
}

fn put(value: &mut Value, key: &str, number: Option<u16>) {
    if let (Some(object), Some(number)) = (value.as_object_mut(), number) {
        object.insert(key.to_owned(), number.into());
    }
}

/// Members of an object that is open, a line each.
fn members<'a>(out: &mut impl Write, members: impl Iterator<Item = (&'a str, Value)>) -> io::Result<()> {
    for (index, (name, value)) in members.enumerate() {
        out.write_all(if index == 0 { b"\n" } else { b",\n" })?;
        string(name, out)?;
        write!(out, ":{value}")?;
    }
    Ok(())
}
