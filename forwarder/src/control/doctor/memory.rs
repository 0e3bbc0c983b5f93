// SPDX-License-Identifier: MIT OR Apache-2.0
//! Huge pages: DPDK's for packets, the kernel's transparent ones for the table.

use super::Findings;
use crate::control::config::Config;
use crate::control::machine::Machine;
use crate::io::buffers::{self, Demand};
use crate::worker::handoff;

const HUGE: &str = "sys/kernel/mm/hugepages";
const MEBIBYTE: u64 = 1 << 20;
/// What DPDK and its drivers take for themselves, about.
const DRIVERS: u64 = 64 * MEBIBYTE;
/// The usual size of a huge page, in bytes.
const USUAL: u64 = 2 * MEBIBYTE;

pub(super) fn examine(machine: &Machine, config: Option<&Config>, findings: &mut Findings) {
    hugepages(machine, config, findings);
    transparent(machine, findings);
}

/// Bytes of memory that a forwarder of this configuration can't do without, and that suit it.
pub(super) fn needed(config: &Config) -> (u64, u64) {
    let number = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let workers = config.workers.cores.len();
    let kept = number(handoff::kept(workers, config.fragments.packets));
    let demand = Demand { workers: number(workers), burst: number(config.workers.burst), kept };
    let devices = number(config.devices.len());
    let mtu = config.devices.iter().map(|device| device.mtu).max().unwrap_or_default();
    let (frames, large) = (buffers::frames(mtu, devices, devices, demand), buffers::large(demand));
    let others = DRIVERS + large.bytes(large.needed);
    let asked = megabytes(&config.eal_args).unwrap_or(0) * MEBIBYTE;
    let [needed, wanted] = [frames.needed, frames.wanted].map(|count| (frames.bytes(count) + others).max(asked));
    (needed, wanted)
}

/// The value of `-m`.
fn megabytes(arguments: &[String]) -> Option<u64> {
    let at = arguments.iter().position(|argument| argument.starts_with("-m"))?;
    match arguments.get(at)?.strip_prefix("-m")? {
        "" => arguments.get(at + 1)?.parse().ok(),
        attached => attached.parse().ok(),
    }
}

/// Bytes of huge pages below `folder` that are free, and of all.
fn pages(machine: &Machine, folder: &str) -> (u64, u64) {
    let sizes = machine.names(folder).into_iter().filter_map(|name| {
        let kibibytes: u64 = name.strip_prefix("hugepages-")?.strip_suffix("kB")?.parse().ok()?;
        let count = |what| machine.number(&format!("{folder}/{name}/{what}")).unwrap_or(0);
        let bytes = |count: u64| count.saturating_mul(kibibytes << 10);
        Some((bytes(count("free_hugepages")), bytes(count("nr_hugepages"))))
    });
    sizes.fold((0, 0), |(free, all), (f, a)| (free.saturating_add(f), all.saturating_add(a)))
}

fn hugepages(machine: &Machine, config: Option<&Config>, findings: &mut Findings) {
    const CHECK: &str = "hugepages";
    const WHY: &str = "packet buffers lie in huge pages; without enough of them sluiced does not start";
    let (free, all) = pages(machine, HUGE);
    let has = format!("{} MiB of huge pages are free, of {} MiB", free / MEBIBYTE, all / MEBIBYTE);
    let Some(config) = config else { return findings.ok(CHECK, has) };
    if config.eal_args.iter().any(|argument| argument == "--no-huge") {
        let why = "each buffer in small pages costs the processor more, and NICs need huge pages";
        let fix = "take --no-huge out of eal.args, and run sluice doctor again";
        return findings.warn(CHECK, "eal.args has --no-huge", why, fix);
    }
    let (needed, wanted) = needed(config);
    let what = format!("{has}; this configuration needs {} MiB, {} MiB suit it", up(needed), up(wanted));
    // Beside those that somebody has already.
    let usual = machine.number(&format!("{HUGE}/hugepages-2048kB/nr_hugepages")).unwrap_or(0);
    let pages = usual + wanted.saturating_sub(free).div_ceil(USUAL);
    let fix = format!("sysctl -w vm.nr_hugepages={pages}   # and in /etc/sysctl.d, for the next boot");
    if free >= wanted {
        findings.ok(CHECK, what);
    } else if free >= needed {
        findings.warn(CHECK, what, "with fewer buffers a burst sooner finds none", fix);
    } else if all >= needed {
        findings.warn(CHECK, what, "other programs have them; it may be the sluiced that runs", fix);
    } else {
        findings.fail(CHECK, what, WHY, fix);
    }
}

/// Mebibytes, rounded up.
fn up(bytes: u64) -> u64 {
    bytes.div_ceil(MEBIBYTE)
}

/// Whether a memory node has huge pages for the device there.
pub(super) fn on_node(machine: &Machine, device: &str, node: u32, findings: &mut Findings) {
    let folder = format!("sys/devices/system/node/node{node}/hugepages");
    let (free, all) = pages(machine, &folder);
    let what = format!("node {node}, where {device} is, has {} MiB of huge pages free", free / MEBIBYTE);
    if free > 0 || all > 0 {
        findings.ok("hugepages-node", what);
    } else {
        let why = "a NIC that writes to another node's memory crosses the link between processors twice a packet";
        let fix = format!("echo 256 > /{folder}/hugepages-2048kB/nr_hugepages");
        findings.warn("hugepages-node", what, why, fix);
    }
}

fn transparent(machine: &Machine, findings: &mut Findings) {
    const CHECK: &str = "transparent-hugepages";
    let path = "sys/kernel/mm/transparent_hugepage/enabled";
    let text = machine.text(path).unwrap_or_default();
    let chosen = text.split_once('[').and_then(|(_, rest)| rest.split_once(']')).map_or("", |(chosen, _)| chosen);
    if matches!(chosen, "madvise" | "always") {
        findings.ok(CHECK, format!("{chosen}: the table lies in huge pages"));
    } else {
        let what = if chosen.is_empty() { "this kernel has none" } else { "never" };
        let why = "the table asks for huge pages; in small ones a lookup among a million addresses costs twice as much";
        findings.warn(CHECK, what, why, format!("echo madvise > /{path}"));
    }
}
