// SPDX-License-Identifier: MIT OR Apache-2.0
//! NICs: found, given to DPDK, isolated by the IOMMU, near the workers, in a slot that is wide enough.

use super::{Findings, memory};
use crate::control::config::{Address, Config};
use crate::control::machine::{Machine, list};

/// Kernel drivers that DPDK works beside: nothing is bound to another one.
const BIFURCATED: [&str; 3] = ["mlx4_core", "mlx5_core", "mana"];
const UNSAFE_VFIO: &str = "sys/module/vfio/parameters/enable_unsafe_noiommu_mode";

pub(super) fn examine(machine: &Machine, config: Option<&Config>, findings: &mut Findings) {
    let Some(config) = config else { return iommu(machine, false, findings) };
    let mut wants_iommu = false;
    for device in &config.devices {
        match &device.address {
            Some(Address::Pci(address)) => {
                let nic = Nic::new(machine, &device.name, address);
                wants_iommu |= nic.driver(findings);
                nic.node(&config.workers.cores, findings);
                nic.slot(findings);
                nic.firmware(findings);
            }
            _ => findings.ok("driver", format!("{} is virtual: nothing to bind", device.name)),
        }
    }
    iommu(machine, wants_iommu, findings);
}

fn iommu(machine: &Machine, is_needed: bool, findings: &mut Findings) {
    const CHECK: &str = "iommu";
    if !machine.names("sys/kernel/iommu_groups").is_empty() {
        return findings.ok(CHECK, "on");
    }
    if !is_needed {
        return findings.ok(CHECK, "off, and no device here needs it");
    }
    let fix = "add intel_iommu=on iommu=pt (AMD: iommu=pt) to GRUB_CMDLINE_LINUX; update-grub; reboot";
    if matches!(machine.text(UNSAFE_VFIO).as_deref(), Some("Y" | "1")) {
        let why = "vfio works without, but a NIC may then write to any memory";
        findings.warn(CHECK, "off; vfio is told to do without", why, fix);
    } else {
        findings.fail(CHECK, "off", "vfio-pci gives no device to a program without it", fix);
    }
}

/// A NIC of the configuration.
struct Nic<'a> {
    machine: &'a Machine,
    name: &'a str,
    address: String,
}

impl<'a> Nic<'a> {
    fn new(machine: &'a Machine, name: &'a str, address: &str) -> Self {
        let address = address.split(',').next().unwrap_or_default().to_ascii_lowercase();
        let domain = if address.matches(':').count() == 1 { "0000:" } else { "" };
        Self { machine, name, address: format!("{domain}{address}") }
    }

    fn file(&self, name: &str) -> String {
        format!("sys/bus/pci/devices/{}/{name}", self.address)
    }

    fn text(&self, name: &str) -> Option<String> {
        self.machine.text(&self.file(name))
    }

    /// Whether it needs an IOMMU.
    fn driver(&self, findings: &mut Findings) -> bool {
        const CHECK: &str = "driver";
        let Self { machine, name, address } = self;
        if !machine.has(&self.file("")) {
            let what = format!("{name}: there is no PCI device {address}");
            findings.fail(CHECK, what, "sluiced does not start without its devices", "lspci -D   # lists them");
            return false;
        }
        let driver = machine.link(&self.file("driver"));
        let bind = format!("modprobe vfio-pci; dpdk-devbind.py --bind=vfio-pci {address}   # takes it from the kernel");
        match driver.as_deref() {
            Some("vfio-pci") => findings.ok(CHECK, format!("{name} is bound to vfio-pci")),
            Some(driver) if BIFURCATED.contains(&driver) => {
                findings.ok(CHECK, format!("{name} is with {driver}, which DPDK works beside"));
                return false;
            }
            Some(driver @ ("igb_uio" | "uio_pci_generic")) => {
                let why = "with UIO a NIC may write to any memory, and there are no interrupts a queue";
                findings.warn(CHECK, format!("{name} is bound to {driver}"), why, bind);
                return false;
            }
            driver => {
                let what = match driver {
                    Some(driver) => format!("{name} ({address}) is with the kernel's driver {driver}"),
                    None => format!("{name} ({address}) is bound to no driver"),
                };
                findings.fail(CHECK, what, "DPDK can't take it", bind);
            }
        }
        true
    }

    fn node(&self, cores: &[usize], findings: &mut Findings) {
        const CHECK: &str = "numa";
        let machine = self.machine;
        // The kernel says -1 where it does not know.
        let Some(node) = self.text("numa_node").and_then(|node| node.parse::<u32>().ok()) else { return };
        if machine.nodes().len() < 2 {
            return findings.ok(CHECK, "all memory is on one node");
        }
        memory::on_node(machine, self.name, node, findings);
        let elsewhere = machine.elsewhere(node, cores);
        if elsewhere.is_empty() {
            return findings.ok(CHECK, format!("{} and the workers are on node {node}", self.name));
        }
        let what = format!("{} is on node {node}, and cores {} are not", self.name, list(&elsewhere));
        let fix = format!("workers.cores = cores of {}", list(&machine.cpus_of_node(node)));
        findings.warn(CHECK, what, "every packet crosses the link between processors", fix);
    }

    /// Whether its link to the processor is what it could be.
    fn slot(&self, findings: &mut Findings) {
        let link = |which: &str| {
            Some((self.text(&format!("{which}_link_width"))?, self.text(&format!("{which}_link_speed"))?))
        };
        let (Some(current), Some(most)) = (link("current"), link("max")) else { return };
        let what = format!("{} has {} lanes of {}", self.name, current.0, current.1);
        if current == most {
            return findings.ok("pcie", what);
        }
        let what = format!("{what}; it can use {} of {}", most.0, most.1);
        let fix = format!("lspci -vv -s {}   # LnkCap and LnkSta; then another slot", self.address);
        findings.warn("pcie", what, "the slot may carry less than the network does", fix);
    }

    fn firmware(&self, findings: &mut Findings) {
        if !self.machine.has(&self.file("")) {
            return;
        }
        let ports = self.machine.names(&self.file("infiniband"));
        let version = ports.iter().find_map(|port| self.text(&format!("infiniband/{port}/fw_ver")));
        let what = match version {
            Some(version) => format!("{}: {version}", self.name),
            None => format!("{}: the kernel does not say; sluiced logs it when it starts", self.name),
        };
        findings.ok("firmware", what);
    }
}
