// SPDX-License-Identifier: MIT OR Apache-2.0
//! What this process may do. It is not the daemon: run it as the daemon is run.

use super::{Findings, memory};
use crate::control::config::{Address, Config};
use crate::control::machine::Machine;

/// Files that a daemon has open beside huge pages: sockets, clients, logs.
const FILES: u64 = 256;

/// A capability by its number and name (`capabilities(7)`).
type Capability = (u32, &'static str);
const NET_ADMIN: Capability = (12, "CAP_NET_ADMIN");
const NET_RAW: Capability = (13, "CAP_NET_RAW");
const IPC_LOCK: Capability = (14, "CAP_IPC_LOCK");
const BPF: Capability = (39, "CAP_BPF");

pub(super) fn examine(machine: &Machine, config: Option<&Config>, findings: &mut Findings) {
    let held = capabilities(machine);
    locked(machine, config, held, findings);
    files(machine, config, findings);
    let Some(config) = config else { return };
    let missing: Vec<_> = needed(config).into_iter().filter(|(number, _)| held >> number & 1 == 0).collect();
    if missing.is_empty() {
        return findings.ok("capabilities", "this process has what its devices take");
    }
    let names = missing.iter().map(|(_, name)| *name).collect::<Vec<_>>().join(" ");
    let fix =
        format!("start sluiced as root, which daemon.user gives up; add {names} to CapabilityBoundingSet in its unit");
    findings.warn(
        "capabilities",
        format!("this process lacks {names}"),
        "its devices and TAP interfaces take them",
        fix,
    );
}

/// Bits of the capabilities in effect.
fn capabilities(machine: &Machine) -> u64 {
    let status = machine.text("proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    line.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok()).unwrap_or(0)
}

/// What the configured devices take.
fn needed(config: &Config) -> Vec<Capability> {
    let mut needed = Vec::new();
    for device in &config.devices {
        let driver = match &device.address {
            Some(Address::Vdev(vdev)) => vdev.as_str(),
            _ => "",
        };
        let drivers: [(&str, &[Capability]); 3] =
            [("net_af_packet", &[NET_RAW]), ("net_af_xdp", &[NET_RAW, NET_ADMIN, BPF]), ("net_tap", &[NET_ADMIN])];
        needed.extend(drivers.iter().filter(|(name, _)| driver.starts_with(name)).flat_map(|(_, take)| *take));
        needed.extend(device.kernel.is_some().then_some(NET_ADMIN));
    }
    needed.sort_unstable();
    needed.dedup();
    needed
}

/// The soft limit of that name in `proc/self/limits`; none if there is no limit.
fn limit(machine: &Machine, name: &str) -> Option<u64> {
    let limits = machine.text("proc/self/limits").unwrap_or_default();
    let line = limits.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok())
}

/// A NIC's memory stays where it is.
fn locked(machine: &Machine, config: Option<&Config>, held: u64, findings: &mut Findings) {
    const CHECK: &str = "memlock";
    let Some(bytes) = limit(machine, "Max locked memory") else { return findings.ok(CHECK, "unlimited") };
    let what = format!("{} KiB", bytes >> 10);
    let has_nic =
        |config: &&Config| config.devices.iter().any(|device| matches!(device.address, Some(Address::Pci(_))));
    let needed = config.filter(has_nic).map_or(0, |config| memory::needed(config).1);
    if bytes >= needed {
        findings.ok(CHECK, what);
    } else if held >> IPC_LOCK.0 & 1 == 1 {
        findings.ok(CHECK, format!("{what}, which does not bind this process: it has {}", IPC_LOCK.1));
    } else {
        let why = "vfio locks all packet buffers; over the limit no NIC starts";
        findings.fail(
            CHECK,
            what,
            why,
            "LimitMEMLOCK=infinity in the unit of sluiced; in a shell, as root: ulimit -l unlimited",
        );
    }
}

/// DPDK has a file for each huge page.
fn files(machine: &Machine, config: Option<&Config>, findings: &mut Findings) {
    const CHECK: &str = "nofile";
    let Some(files) = limit(machine, "Max open files") else { return findings.ok(CHECK, "unlimited") };
    let pages = config.map_or(0, |config| memory::needed(config).1 / (2 << 20));
    if files >= pages + FILES {
        findings.ok(CHECK, files.to_string());
    } else {
        let (what, why) = (format!("{files}, for {pages} huge pages"), "DPDK has a file open for each huge page");
        findings.warn(CHECK, what, why, "LimitNOFILE=65536 in the unit of sluiced; in a shell: ulimit -n 65536");
    }
}
