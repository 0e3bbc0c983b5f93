// SPDX-License-Identifier: MIT OR Apache-2.0
//! What does wrong on purpose, so that the story's checks have something to notice: at least one for each step. `sluiced`
//! itself is what it is: it gets a wrong table, or something beside it does wrong.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::lab::Lab;
use crate::plan::{EGRESS, LHR, Place, SITES, forwarders};
use crate::run::{FOLDER, run};

/// A way to be broken: its name, what it does, and the step that has to notice.
pub(crate) struct Breakage {
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    pub(crate) noticed_by: &'static str,
    /// What there is to do when everything runs.
    pub(crate) apply: fn(&Lab) -> Result<()>,
}

/// Some that the steps themselves, or the start, have to know.
pub(crate) const RELOAD: &str = "reload";
pub(crate) const DRAIN: &str = "drain";
pub(crate) const GUARD: &str = "guard";

#[rustfmt::skip]
pub(crate) const BREAKAGES: [Breakage; 7] = [
    Breakage { name: "slices", what: "lhr-f1 takes each slice for a neighbour's", noticed_by: "downloads", apply: mix_slices },
    Breakage { name: "datacenter", what: "lhr-f1 takes each data centre for the other", noticed_by: "downloads", apply: swap_datacenters },
    Breakage { name: "icmp", what: "all forwarders drop ICMP errors", noticed_by: "errors", apply: drop_icmp },
    Breakage { name: RELOAD, what: "every second table mixes up slices", noticed_by: "reloads", apply: |_| Ok(()) },
    Breakage { name: DRAIN, what: "tables do not name the old owner", noticed_by: "moves", apply: |_| Ok(()) },
    Breakage { name: "router", what: "LHR's router sends to lhr-f1, dead or alive", noticed_by: "failure", apply: cling },
    Breakage { name: GUARD, what: "guards only count", noticed_by: "guard", apply: |_| Ok(()) },
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
        let file = Path::new(FOLDER).join("broken.nft");
        fs::write(&file, text)?;
        run(lab.network.named(site.short)?.command("nft").arg("-f").arg(file))?;
    }
    Ok(())
}

fn mix_slices(lab: &Lab) -> Result<()> {
    wrong_table(lab, rotate)
}

/// Each slice is its neighbour's.
pub(crate) fn rotate(entries: &mut [Value]) -> Result<()> {
    for entry in entries.iter_mut().filter(|entry| entry["slices"].is_object()) {
        // The first is nobody's.
        let owners = entry["slices"]["owners"].as_array_mut().context("owners")?;
        owners.get_mut(1..).context("owners")?.rotate_left(1);
    }
    Ok(())
}

/// Better than what BGP says, and not withdrawn by anybody.
fn cling(lab: &Lab) -> Result<()> {
    let (router, wire) = (lab.network.named(LHR.short)?, Place { site: LHR, number: 1 }.forwarder_wire());
    router.ip(&format!("route add {} via {} metric 1", EGRESS[0], wire.v4[1]))?;
    router.ip(&format!("-6 route add {} via {} metric 1", EGRESS[1], wire.v6[1])).map(drop)
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
fn wrong_table(lab: &Lab, change: impl FnOnce(&mut [Value]) -> Result<()>) -> Result<()> {
    let mut table = lab.table.clone();
    change(table["egress"].as_array_mut().context("entries")?)?;
    table["generation"] = json!(table["generation"].as_u64().context("a generation")? + 1);
    lab.forwarders.first().context("forwarders")?.reload(&table)
}
