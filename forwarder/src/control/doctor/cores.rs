// SPDX-License-Identifier: MIT OR Apache-2.0
//! The workers' processors: theirs alone, awake, and with a cheap clock.

use super::Findings;
use crate::control::config::Config;
use crate::control::machine::{Machine, list};

const CPU: &str = "sys/devices/system/cpu";

pub(super) fn examine(machine: &Machine, config: Option<&Config>, findings: &mut Findings) {
    clocksource(machine, findings);
    let Some(config) = config else { return };
    let workers = &config.workers.cores;
    let online = machine.cpus(&format!("{CPU}/online")).unwrap_or_default();
    if presence(workers, &online, findings) {
        if !without(&online, workers).is_empty() {
            // With all cores isolated nothing would be left to run the system on.
            isolation(machine, workers, findings);
            ticks(machine, workers, findings);
        }
        governor(machine, workers, findings);
        siblings(machine, workers, &online, findings);
        interrupts(machine, workers, &online, findings);
    }
}

fn clocksource(machine: &Machine, findings: &mut Findings) {
    const CHECK: &str = "clocksource";
    let folder = "sys/devices/system/clocksource/clocksource0";
    let current = machine.text(&format!("{folder}/current_clocksource")).unwrap_or_default();
    if matches!(current.as_str(), "tsc" | "kvm-clock" | "hyperv_clocksource_tsc_page" | "arch_sys_counter") {
        return findings.ok(CHECK, current);
    }
    let available = machine.text(&format!("{folder}/available_clocksource")).unwrap_or_default();
    let fix = if available.split_whitespace().any(|source| source == "tsc") {
        format!("echo tsc > /{folder}/current_clocksource")
    } else {
        "dmesg | grep -i tsc   # says why the kernel does not trust it; tsc=reliable on its command line overrides"
            .into()
    };
    let why = "workers read the clock twice a burst; with this one each time is a system call";
    findings.warn(CHECK, format!("{current:?}"), why, fix);
}

/// Whether there is any use in looking at the rest.
fn presence(workers: &[usize], online: &[usize], findings: &mut Findings) -> bool {
    const CHECK: &str = "cores";
    let missing = without(workers, online);
    if !missing.is_empty() {
        let what = format!("workers.cores names {}; online are {}", list(&missing), list(online));
        let fix = format!("put cores of {} into workers.cores", list(online));
        findings.fail(CHECK, what, "sluiced does not start without its workers' cores", fix);
        return false;
    }
    if without(online, workers).is_empty() {
        let what = format!("the workers have all cores, {}", list(online));
        let why = "the kernel, sluiced's own control and everything else take time from workers";
        findings.warn(CHECK, what, why, "leave a core out of workers.cores");
    } else {
        findings.ok(CHECK, format!("workers on {}, of {} that are online", list(workers), online.len()));
    }
    true
}

/// Those of `cores` that are not among `others`.
fn without(cores: &[usize], others: &[usize]) -> Vec<usize> {
    cores.iter().copied().filter(|core| !others.contains(core)).collect()
}

fn kernel_line(workers: &[usize]) -> String {
    let cores = list(workers);
    format!("add isolcpus={cores} nohz_full={cores} rcu_nocbs={cores} to GRUB_CMDLINE_LINUX; update-grub; reboot")
}

/// By the kernel's command line, or by a cpuset partition.
fn isolation(machine: &Machine, workers: &[usize], findings: &mut Findings) {
    const CHECK: &str = "isolcpus";
    let sources = ["sys/devices/system/cpu/isolated", "sys/fs/cgroup/cpuset.cpus.isolated"];
    let isolated: Vec<_> = sources.into_iter().filter_map(|path| machine.cpus(path)).flatten().collect();
    let shared = without(workers, &isolated);
    if shared.is_empty() {
        findings.ok(CHECK, format!("{} are isolated", list(workers)));
    } else {
        let what = format!("the scheduler puts other threads on {}", list(&shared));
        let why = "whenever it does, the worker stands still for milliseconds, and its queues overflow";
        findings.warn(CHECK, what, why, kernel_line(workers));
    }
}

fn ticks(machine: &Machine, workers: &[usize], findings: &mut Findings) {
    const CHECK: &str = "nohz_full";
    let full = machine.cpus(&format!("{CPU}/nohz_full")).unwrap_or_default();
    let ticking = without(workers, &full);
    if ticking.is_empty() {
        findings.ok(CHECK, format!("no tick on {}", list(workers)));
    } else {
        let what = format!("the timer ticks on {}", list(&ticking));
        let why = "each tick takes some microseconds from the worker, hundreds of times a second";
        findings.warn(CHECK, what, why, kernel_line(workers));
    }
}

fn governor(machine: &Machine, workers: &[usize], findings: &mut Findings) {
    const CHECK: &str = "governor";
    let of = |core: &usize| machine.text(&format!("{CPU}/cpu{core}/cpufreq/scaling_governor"));
    let scaled: Vec<_> = workers.iter().filter_map(|core| Some((*core, of(core)?))).collect();
    let slow: Vec<_> = scaled.iter().filter(|(_, governor)| governor != "performance").collect();
    if let Some((_, governor)) = slow.first() {
        let cores = list(&slow.iter().map(|(core, _)| *core).collect::<Vec<_>>());
        let why = "the clock of a core that just woke up is low, and bursts take longer";
        findings.warn(
            CHECK,
            format!("{governor} on {cores}"),
            why,
            format!("cpupower -c {cores} frequency-set -g performance"),
        );
    } else if scaled.is_empty() {
        findings.ok(CHECK, "the kernel does not scale the clock here");
    } else {
        findings.ok(CHECK, "performance");
    }
}

/// Hardware threads of one core.
fn siblings(machine: &Machine, workers: &[usize], online: &[usize], findings: &mut Findings) {
    const CHECK: &str = "smt";
    let mut shared = Vec::new();
    for worker in workers {
        let path = format!("{CPU}/cpu{worker}/topology/thread_siblings_list");
        let siblings = machine.cpus(&path).unwrap_or_default();
        shared.extend(siblings.into_iter().filter(|other| other != worker && online.contains(other)));
    }
    shared.sort_unstable();
    shared.dedup();
    if shared.is_empty() {
        return findings.ok(CHECK, "no worker shares its core with another hardware thread");
    }
    let why = "two hardware threads of a core share its caches and units; each is about half as fast";
    let fix = if shared.iter().any(|sibling| workers.contains(sibling)) {
        "name one thread of each core in workers.cores; lscpu -e shows which belong together".to_owned()
    } else {
        format!("for c in {}; do echo 0 > /{CPU}/cpu$c/online; done", words(&shared))
    };
    findings.warn(CHECK, format!("workers share their cores with {}", list(&shared)), why, fix);
}

fn interrupts(machine: &Machine, workers: &[usize], online: &[usize], findings: &mut Findings) {
    const CHECK: &str = "interrupts";
    let goes_to_worker = |irq: &usize| {
        let of = |file| machine.cpus(&format!("proc/irq/{irq}/{file}"));
        let cpus = of("effective_affinity_list").filter(|cpus| !cpus.is_empty()).or_else(|| of("smp_affinity_list"));
        cpus.unwrap_or_default().iter().any(|cpu| workers.contains(cpu))
    };
    let numbers = machine.names("proc/irq");
    let mut irqs: Vec<usize> = numbers.iter().filter_map(|name| name.parse().ok()).filter(goes_to_worker).collect();
    irqs.sort_unstable();
    if irqs.is_empty() {
        return findings.ok(CHECK, "none goes to a worker's core");
    }
    let others = without(online, workers);
    let fix = if others.is_empty() {
        "leave a core out of workers.cores, and send interrupts there".to_owned()
    } else {
        let (irqs, others) = (words(&irqs), list(&others));
        format!("systemctl stop irqbalance; for i in {irqs}; do echo {others} > /proc/irq/$i/smp_affinity_list; done")
    };
    let what = format!("{} go to workers' cores: {}", irqs.len(), list(&irqs));
    findings.warn(CHECK, what, "each takes some microseconds from the worker", fix);
}

fn words(numbers: &[usize]) -> String {
    numbers.iter().map(usize::to_string).collect::<Vec<_>>().join(" ")
}
