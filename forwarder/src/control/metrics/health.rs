// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whether a forwarder does what it should, and if not, why: from what is the case now, without a memory.

use super::snapshot::WorkerSnapshot;
use crate::control::config::Config;
use crate::control::report::{Health, Reason, ReloadStatus};
use crate::counters;
use crate::io::DeviceIndex;
use crate::io::hardware::Hardware;
use crate::kernel::tally::KernelTallies;

/// A pool is short when less than one buffer in so many is free: bursts then find none.
const FREE_SHARE: u64 = 16;

/// Of these reasons each one keeps a forwarder out of service: packets that come would be lost, or somebody wants none to
/// come. All others leave it in service, above all what a bad table causes: it comes to all forwarders at a time.
const OUT_OF_SERVICE: [&str; 3] = ["draining", "worker_stalled", "no_next_hop"];

/// What came of changes.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Changes<'a> {
    /// On whose behalf it drains.
    pub(super) draining: Option<&'a str>,
    /// Why the signals of readiness can't be given.
    pub(super) not_announced: Option<&'a str>,
    /// The newest reload.
    pub(super) last_reload: Option<&'a ReloadStatus>,
    /// Why something could not be kept at last.
    pub(super) not_kept: Option<&'a str>,
    /// Why what ran before goes on since the start, and not the configured table.
    pub(super) instead: Option<&'a str>,
    /// Which servers and data centres the kernel has no next hops for.
    pub(super) unresolved: Option<&'a str>,
    /// Whether it has next hops for nobody at all.
    pub(super) is_cut_off: bool,
}

/// Judges.
pub(super) fn judge(
    config: &Config,
    workers: &[WorkerSnapshot],
    hardware: &Hardware,
    kernel: &KernelTallies,
    changes: Changes<'_>,
) -> Health {
    let mut reasons = Vec::new();
    let mut reason = |code: &str, message: String| reasons.push(Reason { code: code.to_owned(), message });
    if let Some(by) = changes.draining {
        reason("draining", format!("drained by {by}; sluice undrain puts it back into service"));
    }
    for (number, worker) in workers.iter().enumerate().filter(|(_, worker)| worker.measured.stalled) {
        let core = worker.core;
        reason("worker_stalled", format!("worker {number} does not poll; check what else runs on core {core}"));
    }
    if config.devices.iter().all(|device| device.next_hop.is_none() && device.kernel.is_none()) {
        let text = "no device has a next hop, so nothing is forwarded; set next_hop_mac, or kernel";
        reason("no_next_hop", text.to_owned());
    }
    if changes.is_cut_off {
        let text = "the kernel has no next hop for anybody, so nothing is forwarded; see sluice status";
        reason("no_next_hop", text.to_owned());
    }
    if let Some(unresolved) = changes.unresolved {
        reason("next_hops_unresolved", unresolved.to_owned());
    }
    // The first one with a next hop is the one that forwarded packets leave by.
    let egress = config.devices.iter().zip(&hardware.devices).find(|(device, _)| device.next_hop.is_some());
    if let Some((device, _)) = egress.filter(|(_, health)| !health.link_up) {
        let text = "forwarded packets leave by, has no link, so they are lost";
        reason("no_next_hop", format!("device {}, which {text}", device.name));
    }
    for (device, _) in config.devices.iter().zip(&hardware.devices).filter(|(_, health)| !health.link_up) {
        reason("link_down", format!("device {} has no link; check its cable and its peer", device.name));
    }
    // What is for servers passes without it. A session over it has ended by itself, and with that what it announces.
    for (device, index) in config.devices.iter().zip((0..=u8::MAX).map(DeviceIndex)) {
        let Some(interface) = device.kernel.as_ref().filter(|_| !kernel.is_open(index)) else { continue };
        let name = &device.name;
        reason("kernel_path_gone", format!("the interface {interface} of device {name} is gone; the log says why"));
    }
    for pool in hardware.pools.iter().filter(|pool| pool.size.saturating_sub(pool.in_use) < pool.size / FREE_SHARE) {
        let (name, size, free) = (&pool.name, pool.size, pool.size.saturating_sub(pool.in_use));
        reason("buffers_short", format!("pool {name} has {free} of {size} buffers free; give DPDK more memory"));
    }
    if let Some(error) = changes.last_reload.and_then(|last| last.error.as_ref()) {
        reason("reload_failed", format!("the last reload failed: {error}"));
    }
    if let Some(problem) = changes.not_kept {
        reason("not_kept", format!("what runs would not survive a restart: {problem}"));
    }
    if let Some(instead) = changes.instead {
        reason("not_configured", instead.to_owned());
    }
    if let Some(problem) = changes.not_announced {
        reason("not_announced", problem.to_owned());
    }
    let imbalance = counters::total(workers.iter().map(|worker| &worker.counters)).imbalance();
    if imbalance != 0 {
        reason("imbalance", format!("{imbalance} packets are not accounted for; please report this"));
    }
    let state = match changes.draining {
        Some(_) => Health::DRAINING,
        None if reasons.is_empty() => Health::READY,
        None => Health::DEGRADED,
    };
    let in_service = !reasons.iter().any(|reason| OUT_OF_SERVICE.contains(&reason.code.as_str()));
    Health { state: state.to_owned(), in_service, reasons }
}

/// Every code of a reason, so that a metric exists before it is needed.
pub(super) const CODES: [&str; 12] = [
    "draining",
    "worker_stalled",
    "no_next_hop",
    "next_hops_unresolved",
    "link_down",
    "kernel_path_gone",
    "buffers_short",
    "reload_failed",
    "not_kept",
    "not_configured",
    "not_announced",
    "imbalance",
];

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::control::config::Purpose;
    use crate::control::metrics::Measured;
    use crate::counters::Counters;
    use crate::io::hardware::{DeviceHealth, PoolReport};
    use crate::worker::meter::Readings;

    fn config(next_hop: &str) -> Config {
        let text = format!(
            "datacenter = \"LHR\"\ntable = \"t\"\n[underlay]\nipv4 = \"10.0.0.1\"\n\
             [[device]]\nname = \"wan0\"\nvdev = \"net_null0\"\n{next_hop}\n[workers]\ncores = [0]\n"
        );
        Config::parse(text.as_bytes(), Path::new("c.toml"), Purpose::Daemon).unwrap()
    }

    fn worker(stalled: bool, rx: u64) -> WorkerSnapshot {
        let mut counters = Counters::default();
        (counters.rx, counters.tx) = (rx, 5);
        let measured = Measured { readings: Readings::new(), stalled };
        WorkerSnapshot { core: 3, counters, measured, stalls: 0, fragment_datagrams: 0, fragment_bytes: 0 }
    }

    fn hardware(link_up: bool, in_use: u64) -> Hardware {
        let devices = vec![DeviceHealth { link_up, ..DeviceHealth::default() }];
        Hardware { devices, pools: vec![PoolReport { name: "frames".to_owned(), size: 1600, in_use }] }
    }

    /// No interface is open.
    fn none() -> KernelTallies {
        KernelTallies::new(1, 1)
    }

    fn codes(health: &Health) -> Vec<&str> {
        health.reasons.iter().map(|reason| reason.code.as_str()).collect()
    }

    #[test]
    fn all_is_well() {
        let hop = "next_hop_mac = \"02:00:00:00:00:02\"";
        let health = judge(&config(hop), &[worker(false, 5)], &hardware(true, 1500), &none(), Changes::default());
        assert_eq!((health.state.as_str(), codes(&health)), (Health::READY, vec![]));
        // A backend without hardware has nothing to say against it.
        assert!(
            judge(&config(hop), &[worker(false, 5)], &Hardware::default(), &none(), Changes::default())
                .reasons
                .is_empty()
        );
    }

    #[test]
    fn every_reason_shows() {
        let failed = ReloadStatus {
            at: 1,
            by: "uid 0".to_owned(),
            from: "t".to_owned(),
            generation: 1,
            ok: false,
            error: Some("it was refused".to_owned()),
        };
        let changes = Changes {
            last_reload: Some(&failed),
            not_kept: Some("the disk is full"),
            instead: Some("it is older"),
            unresolved: Some("nobody answers"),
            is_cut_off: true,
            not_announced: Some("the file is gone"),
            draining: Some("uid 7"),
        };
        let health =
            judge(&config("kernel = \"wan0-k\""), &[worker(true, 6)], &hardware(false, 1501), &none(), changes);
        assert_eq!((health.state.as_str(), codes(&health)), (Health::DRAINING, CODES.to_vec()));
        let text: String = health.reasons.iter().map(|reason| format!("{}\n", reason.message)).collect();
        for word in [
            "core 3",
            "for anybody",
            "device wan0 has no link",
            "wan0-k",
            "99 of 1600",
            "it was refused",
            "disk is full",
            "it is older",
            "nobody answers",
            "the file is gone",
            "uid 7",
            "1 packets",
        ] {
            assert!(text.contains(word), "{word}: {text}");
        }
    }

    #[test]
    fn what_does_not_keep_it_from_forwarding_leaves_it_in_service() {
        let hop = "next_hop_mac = \"02:00:00:00:00:02\"";
        let well = || [worker(false, 5)];
        let judged = |hop, workers: &[_], changes| judge(&config(hop), workers, &Hardware::default(), &none(), changes);
        let changes =
            Changes { not_kept: Some("the disk is full"), instead: Some("it is older"), ..Changes::default() };
        let degraded = judged(hop, &well(), changes);
        assert_eq!((degraded.state.as_str(), degraded.in_service), (Health::DEGRADED, true));
        let drained = judged(hop, &well(), Changes { draining: Some("uid 0"), ..Changes::default() });
        assert_eq!((drained.state.as_str(), drained.in_service), (Health::DRAINING, false));
        let stalled = judged(hop, &[worker(true, 5)], Changes::default());
        assert_eq!((stalled.state.as_str(), stalled.in_service), (Health::DEGRADED, false));
        assert!(!judged("", &well(), Changes::default()).in_service, "without a next hop");
        let gone = judged("kernel = \"wan0-k\"", &well(), Changes::default());
        assert_eq!(
            (gone.state.as_str(), codes(&gone), gone.in_service),
            (Health::DEGRADED, vec!["kernel_path_gone"], true)
        );
        let unplugged = judge(&config(hop), &well(), &hardware(false, 0), &none(), Changes::default());
        assert_eq!((codes(&unplugged), unplugged.in_service), (vec!["no_next_hop", "link_down"], false));
        // Next hops that the kernel has follow the links by themselves.
        let unplugged = judge(&config("kernel = \"k\""), &well(), &hardware(false, 0), &none(), Changes::default());
        assert_eq!((codes(&unplugged), unplugged.in_service), (vec!["link_down", "kernel_path_gone"], true));
        assert!(OUT_OF_SERVICE.iter().all(|code| CODES.contains(code)));
    }
}
