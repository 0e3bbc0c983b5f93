// SPDX-License-Identifier: MIT OR Apache-2.0
//! Forwarders that do wrong on purpose, so that the story's checks have something to catch. `sluiced` itself is what it is: it
//! gets a wrong table, or something beside it takes packets away.

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::lab::Lab;
use crate::plan::{SITES, forwarders};

/// A way to be broken: its name, what it does, and the step that has to catch it.
pub(crate) struct Breakage {
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    pub(crate) caught_by: &'static str,
    pub(crate) apply: fn(&Lab) -> Result<()>,
}

pub(crate) const BREAKAGES: [Breakage; 3] = [
    Breakage { name: "icmp", what: "all forwarders drop ICMP errors", caught_by: "errors", apply: drop_icmp },
    Breakage { name: "slices", what: "lhr-f1 takes slices for another's", caught_by: "downloads", apply: mix_slices },
    Breakage {
        name: "datacenter",
        what: "lhr-f1 takes each data centre for the other",
        caught_by: "downloads",
        apply: swap_datacenters,
    },
];

/// Neither does an error come to a forwarder, nor one of its own leave it.
fn drop_icmp(lab: &Lab) -> Result<()> {
    for site in SITES {
        let names: Vec<_> = forwarders().filter(|place| place.site == site).map(|place| place.forwarder()).collect();
        let rules: String = ["iifname", "oifname"]
            .iter()
            .flat_map(|end| names.iter().map(move |name| (end, name)))
            .map(|(end, name)| {
                format!(
                    "{end} {name} icmp type {{ destination-unreachable, time-exceeded, parameter-problem }} drop\n\
                     {end} {name} icmpv6 type {{ destination-unreachable, packet-too-big, time-exceeded, parameter-problem }} drop\n"
                )
            })
            .collect();
        let text =
            format!("table inet broken {{ chain forward {{ type filter hook forward priority 0;\n{rules}}}\n}}\n");
        let file = std::path::Path::new(crate::run::FOLDER).join("broken.nft");
        std::fs::write(&file, text)?;
        crate::run::run(lab.network.named(site.short)?.command("nft").arg("-f").arg(file))?;
    }
    Ok(())
}

/// Each slice is its neighbour's.
fn mix_slices(lab: &Lab) -> Result<()> {
    wrong_table(lab, |entries| {
        for entry in entries.iter_mut().filter(|entry| entry["slices"].is_object()) {
            // The first is nobody's.
            let owners = entry["slices"]["owners"].as_array_mut().context("owners")?;
            owners.get_mut(1..).context("owners")?.rotate_left(1);
        }
        Ok(())
    })
}

/// What LHR shares is CDG's, and the other way about.
fn swap_datacenters(lab: &Lab) -> Result<()> {
    wrong_table(lab, |entries| {
        let shared = entries.iter_mut().filter(|entry| entry["slices"].is_object());
        let (lhr, cdg): (Vec<_>, Vec<_>) = shared.partition(|entry| entry["datacenter"] == "LHR");
        for (one, other) in lhr.into_iter().zip(cdg) {
            for key in ["datacenter", "slices"] {
                std::mem::swap(&mut one[key], &mut other[key]);
            }
        }
        Ok(())
    })
}

/// Gives one forwarder a table that nobody else has.
fn wrong_table(lab: &Lab, change: impl FnOnce(&mut Vec<Value>) -> Result<()>) -> Result<()> {
    let mut table = lab.table.clone();
    change(table["egress"].as_array_mut().context("entries")?)?;
    table["generation"] = json!(table["generation"].as_u64().context("a generation")? + 1);
    lab.forwarders.first().context("forwarders")?.reload(&table)
}
