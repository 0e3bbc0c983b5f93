// SPDX-License-Identifier: MIT OR Apache-2.0
//! From the TOML document to a [`Config`], table by table. Every table is read to its end whatever is wrong with it, so
//! that one run shows every problem.

use std::path::Path;

use super::common::{DEFAULT_GUE_PORT, control, document, log};
use super::section::Section;
use super::{
    Config, DEFAULT_FLOW_KEY, DEFAULT_SOCKET, Idle, Metrics, Problem, Purpose, State, Workers, device, service, values,
};
use crate::control::guards::Guards;
use crate::kernel::police::{Budget, Budgets};
use crate::settings::{Dscp, Echo, FragmentLimits, Icmp, Underlay};

const DEFAULT_BURST: usize = 64;
const MAX_BURST: i64 = 256;
const DEFAULT_GENERATIONS: usize = 8;
const DEFAULT_ICMP_RATE: u32 = 1000;
/// About 2 GB a worker.
const MAX_FRAGMENT_CONTEXTS: i64 = 1 << 24;
/// About 2 GB of DPDK's memory a worker.
const MAX_FRAGMENT_PACKETS: i64 = 1 << 20;
/// Two series each: more than most tables need, and what a Prometheus of usual size takes from each of many forwarders.
const DEFAULT_METRIC_TARGETS: usize = 10_000;
/// More than a table can have.
const MAX_METRIC_TARGETS: i64 = 1 << 20;
/// As many as the kernel's usual CPU mask holds.
pub(super) const MAX_CORE: i64 = 1023;

/// Reads a whole document.
pub(super) fn config(content: &[u8], file: &Path, purpose: Purpose) -> Result<Config, Vec<Problem>> {
    document(content, |section| top(section, file, purpose))
}

fn top(mut top: Section<'_>, file: &Path, purpose: Purpose) -> Option<Config> {
    let directory = file.parent().unwrap_or(Path::new(""));
    let datacenter = top.text("datacenter");
    if !top.has("datacenter") {
        top.missing("datacenter", "name the data centre this forwarder stands in");
    }
    let table = top.text("table").map(|path| directory.join(path));
    if !top.has("table") {
        top.missing("table", "name the table to load at start");
    }
    let (underlay, flow_key, dscp) = underlay(top.section("underlay"));
    let sections = top.sections("device");
    let workers = workers(top.section("workers"), purpose);
    let devices = device::devices(&top, sections, workers.cores.len(), purpose);
    let mut eal = top.section("eal");
    let eal_args = eal.texts("args").unwrap_or_default();
    eal.finish();
    let icmp = icmp(top.section("icmp"));
    let fragments = fragments(top.section("fragments"));
    let kernel = kernel(top.section("kernel"));
    let control = control(top.section("control"), directory, DEFAULT_SOCKET);
    let process = service::process(top.section("daemon"));
    let shared = devices.iter().any(|device| device.kernel.is_some());
    let readiness = service::readiness(top.section("readiness"), directory, shared);
    let guards = guards(top.section("guards"));
    let state = state(top.section("state"), file);
    let metrics = metrics(top.section("metrics"));
    let log = log(top.section("log"));
    top.finish();
    Some(Config {
        file: file.to_owned(),
        datacenter: datacenter?,
        table: table?,
        underlay,
        flow_key,
        process,
        readiness,
        dscp,
        devices,
        workers,
        eal_args,
        icmp,
        fragments,
        kernel,
        control,
        guards,
        state,
        metrics,
        log,
    })
}

fn underlay(mut section: Section<'_>) -> (Underlay, [u8; 16], Dscp) {
    let ipv4 = section.parse("ipv4", "an IPv4 address", values::ipv4);
    let ipv6 = section.parse("ipv6", "an IPv6 address", values::ipv6);
    if !section.has("ipv4") && !section.has("ipv6") {
        section.missing("ipv4", "give the forwarder's own underlay address, ipv4 or ipv6 or both");
    }
    let gue_port = section.integer("gue_port", 1..=65_535).unwrap_or(DEFAULT_GUE_PORT);
    let flow_key = section.parse("flow_key", "32 hexadecimal digits", values::flow_key).unwrap_or(DEFAULT_FLOW_KEY);
    let dscp = section.text_or_integer("dscp", 0..=63, Dscp::Fixed, values::dscp).unwrap_or(Dscp::Copy);
    section.finish();
    (Underlay { ipv4, ipv6, gue_port }, flow_key, dscp)
}

fn workers(mut section: Section<'_>, purpose: Purpose) -> Workers {
    let cores: Option<Vec<usize>> = section.integers("cores", 0..=MAX_CORE);
    match (section.has("cores"), &cores) {
        (false, _) if purpose == Purpose::Daemon => {
            section.missing("cores", "name the cores to poll on, such as cores = [1]");
        }
        (true, Some(cores)) if purpose == Purpose::Daemon && cores.is_empty() => {
            section.complain("cores", "name at least one core, such as cores = [1]");
        }
        _ => {}
    }
    let cores = cores.unwrap_or_default();
    if let Some(core) = cores.iter().enumerate().find(|(i, core)| cores.iter().take(*i).any(|c| c == *core)) {
        section.complain("cores", format!("core {} is named twice; a worker has a core to itself", core.1));
    }
    let burst = section.integer("burst", 1..=MAX_BURST).unwrap_or(DEFAULT_BURST);
    let idle = section.parse("idle", "\"poll\" or \"sleep\"", |text| match text {
        "poll" => Ok(Idle::Poll),
        "sleep" => Ok(Idle::Sleep),
        _ => Err(format!("{text:?} is neither \"poll\" nor \"sleep\"")),
    });
    section.finish();
    Workers { cores, burst, idle: idle.unwrap_or_default() }
}

fn icmp(mut section: Section<'_>) -> Icmp {
    let echo = section.parse("echo", "\"answer\" or \"drop\"", |text| match text {
        "answer" => Ok(Echo::Answer),
        "drop" => Ok(Echo::Drop),
        _ => Err(format!("{text:?} is neither \"answer\" nor \"drop\"")),
    });
    let icmp = Icmp {
        echo: echo.unwrap_or(Echo::Answer),
        rate: section.integer("rate", 0..=i64::from(u32::MAX)).unwrap_or(DEFAULT_ICMP_RATE),
        source4: section.parse("source4", "an IPv4 address", values::ipv4),
        source6: section.parse("source6", "an IPv6 address", values::ipv6),
    };
    section.finish();
    icmp
}

fn fragments(mut section: Section<'_>) -> FragmentLimits {
    let usual = FragmentLimits::default();
    let limits = FragmentLimits {
        contexts: section.integer("contexts", 1..=MAX_FRAGMENT_CONTEXTS).unwrap_or(usual.contexts),
        packets: section.integer("packets", 0..=MAX_FRAGMENT_PACKETS).unwrap_or(usual.packets),
        bytes: section.integer("bytes", 0..=i64::from(u32::MAX)).unwrap_or(usual.bytes),
    };
    section.finish();
    limits
}

fn kernel(mut section: Section<'_>) -> Budgets {
    let budgets = Budgets { to: budget(section.section("to")), from: budget(section.section("from")) };
    section.finish();
    budgets
}

fn budget(mut section: Section<'_>) -> Budget {
    let usual = Budget::default();
    let mut rate = |key, usual| section.integer(key, 0..=i64::from(u32::MAX)).unwrap_or(usual);
    let budget = Budget {
        routing: rate("routing", usual.routing),
        neighbours: rate("neighbours", usual.neighbours),
        unicast: rate("unicast", usual.unicast),
        other: rate("other", usual.other),
    };
    section.finish();
    budget
}

fn metrics(mut section: Section<'_>) -> Metrics {
    let metrics = Metrics {
        listen: section.parse("listen", "ADDRESS:PORT", values::listen),
        targets: section.integer("targets", 0..=MAX_METRIC_TARGETS).unwrap_or(DEFAULT_METRIC_TARGETS),
    };
    section.finish();
    metrics
}

fn guards(mut section: Section<'_>) -> Guards {
    let usual = Guards::default();
    let guards = Guards {
        min_addresses: section.integer("min_addresses", 0..=i64::MAX).unwrap_or(usual.min_addresses),
        max_removed_percent: section.integer("max_removed_percent", 0..=100).unwrap_or(usual.max_removed_percent),
        max_moved_percent: section.integer("max_moved_percent", 0..=100).unwrap_or(usual.max_moved_percent),
        allow_empty_datacenter: section.boolean("allow_empty_datacenter").unwrap_or(usual.allow_empty_datacenter),
    };
    section.finish();
    guards
}

/// The folder is beside the configuration unless that says otherwise, and of its name: two forwarders may share a folder
/// of configurations.
fn state(mut section: Section<'_>, file: &Path) -> State {
    let folder = section.text("folder").map(|path| file.parent().unwrap_or(Path::new("")).join(path));
    let state = State {
        folder: folder.unwrap_or_else(|| file.with_extension("state")),
        generations: section.integer("generations", 0..=1000).unwrap_or(DEFAULT_GENERATIONS),
    };
    section.finish();
    state
}
