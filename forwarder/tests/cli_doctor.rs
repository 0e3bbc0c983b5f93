// SPDX-License-Identifier: MIT OR Apache-2.0
//! `sluice doctor` on machines made of files: every finding, good and bad, and what it says to do.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may stop at the first surprise"
)]

mod cli_support;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use cli_support::{Run, sluice};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A NIC for two workers and a virtual device.
const CONFIG: &str = r#"
datacenter = "LHR"
table = "table.json"
[underlay]
ipv4 = "10.0.0.1"
[[device]]
name = "wan0"
pci = "3B:00.0"
kernel = "wan0-k"
[[device]]
name = "lan0"
vdev = "net_af_packet0,iface=eth1"
[workers]
cores = [2, 3]
"#;

const NIC: &str = "sys/bus/pci/devices/0000:3b:00.0";
const HUGE: &str = "sys/kernel/mm/hugepages/hugepages-2048kB";

/// Below the folder of a test, /sys and /proc of a machine.
struct Fake(TempDir);

impl Fake {
    /// A machine with two nodes of two cores each, and nothing wrong.
    fn well() -> Self {
        let fake = Self(TempDir::new().unwrap());
        fake.write("sluice.toml", CONFIG);
        for (path, text) in [
            ("sys/devices/system/cpu/online", "0-3"),
            ("sys/devices/system/cpu/isolated", "2-3"),
            ("sys/devices/system/cpu/nohz_full", "2-3"),
            ("sys/devices/system/node/node0/cpulist", "0-1"),
            ("sys/devices/system/node/node1/cpulist", "2-3"),
            ("sys/devices/system/node/node1/hugepages/hugepages-2048kB/free_hugepages", "512"),
            ("sys/devices/system/node/node1/hugepages/hugepages-2048kB/nr_hugepages", "512"),
            ("sys/devices/system/clocksource/clocksource0/current_clocksource", "tsc"),
            ("sys/devices/system/clocksource/clocksource0/available_clocksource", "tsc hpet acpi_pm"),
            ("sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never"),
            ("sys/kernel/mm/hugepages/hugepages-1048576kB/free_hugepages", "0"),
            ("sys/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages", "0"),
            ("sys/kernel/iommu_groups/0/devices/0000:3b:00.0", ""),
            ("proc/irq/24/effective_affinity_list", "0"),
            ("proc/irq/25/smp_affinity_list", "0-1"),
            ("proc/irq/default_smp_affinity", "f"),
            ("proc/self/status", "Name:\tsluice\nCapEff:\t000001ffffffffff\n"),
            (
                "proc/self/limits",
                "Limit  Soft Limit  Hard Limit  Units\nMax open files  65536  65536  files\n\
              Max locked memory         unlimited            unlimited            bytes\n",
            ),
        ] {
            fake.write(path, text);
        }
        fake.write(&format!("{HUGE}/free_hugepages"), "1024");
        fake.write(&format!("{HUGE}/nr_hugepages"), "1024");
        for cpu in 0..4 {
            let folder = format!("sys/devices/system/cpu/cpu{cpu}");
            fake.write(&format!("{folder}/cpufreq/scaling_governor"), "performance");
            fake.write(&format!("{folder}/topology/thread_siblings_list"), &cpu.to_string());
            fake.write(&format!("{folder}/node{}/cpulist", cpu / 2), "");
        }
        for (file, text) in [
            ("numa_node", "1"),
            ("current_link_width", "8"),
            ("max_link_width", "8"),
            ("current_link_speed", "8.0 GT/s PCIe"),
            ("max_link_speed", "8.0 GT/s PCIe"),
        ] {
            fake.write(&format!("{NIC}/{file}"), text);
        }
        fake.bind(Some("vfio-pci"));
        fake
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn write(&self, path: &str, text: &str) {
        fs::create_dir_all(self.path(path).parent().unwrap()).unwrap();
        fs::write(self.path(path), format!("{text}\n")).unwrap();
    }

    fn remove(&self, path: &str) {
        let path = self.path(path);
        if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }.unwrap();
    }

    /// Gives the NIC to a driver of the kernel.
    fn bind(&self, driver: Option<&str>) {
        let link = self.path(NIC).join("driver");
        let _ = fs::remove_file(&link);
        if let Some(driver) = driver {
            symlink(Path::new("../../../bus/pci/drivers").join(driver), link).unwrap();
        }
    }

    fn run(&self, more: &[&str]) -> Run {
        let (root, config) = (self.0.path().to_str().unwrap(), self.path("sluice.toml"));
        sluice(&[&["doctor", "--root", root, "--config", config.to_str().unwrap()], more].concat())
    }

    /// What is said of `check`, and whether the exit status and `ok` agree with it all.
    fn finds(&self, check: &str) -> Vec<Value> {
        let run = self.run(&["--json"]);
        let report = run.json();
        let findings = report["findings"].as_array().unwrap().clone();
        let is_bad = findings.iter().any(|finding| finding["level"] == "fail");
        assert_eq!((run.status, &report["ok"]), (i32::from(is_bad), &json!(!is_bad)), "{report}");
        for finding in &findings {
            let is_ok = finding["level"] == "ok";
            assert!(finding["why"].is_null() == is_ok && finding["fix"].is_null() == is_ok, "{finding}");
        }
        findings.into_iter().filter(|finding| finding["check"] == check).collect()
    }

    /// The one thing that is said of `check` is of this `level`, and its text has each of `parts`.
    fn expect(&self, check: &str, level: &str, parts: &[&str]) {
        let found = self.finds(check);
        let [finding] = &found[..] else { panic!("{check}: {found:?}") };
        assert_eq!(finding["level"], level, "{finding}");
        for part in parts {
            assert!(finding.to_string().contains(part), "no {part:?} in {finding}");
        }
    }
}

#[test]
fn nothing_is_wrong() {
    let fake = Fake::well();
    let report = fake.run(&["--json"]).good_json();
    let findings = report["findings"].as_array().unwrap();
    let checks: Vec<_> = findings.iter().map(|finding| finding["check"].as_str().unwrap()).collect();
    let expected = [
        "hugepages",
        "transparent-hugepages",
        "clocksource",
        "cores",
        "isolcpus",
        "nohz_full",
        "governor",
        "smt",
        "interrupts",
        "driver",
        "hugepages-node",
        "numa",
        "pcie",
        "firmware",
        "driver",
        "iommu",
        "memlock",
        "nofile",
        "capabilities",
        "nexthop-objects",
    ];
    assert_eq!(checks, expected);
    assert!(findings.iter().all(|finding| finding["level"] == "ok"), "{report}");
    let text = fake.run(&[]);
    let text = text.good();
    assert_eq!(text.lines().count(), expected.len() + 1, "{text}");
    assert!(text.ends_with("0 failures, 0 warnings\n"), "{text}");
}

#[test]
fn without_a_configuration_it_looks_at_what_matters_to_any() {
    let fake = Fake::well();
    let report = sluice(&["doctor", "--json", "--root", fake.0.path().to_str().unwrap()]).good_json();
    let checks: Vec<_> = report["findings"].as_array().unwrap().iter().map(|finding| &finding["check"]).collect();
    assert_eq!(checks, ["hugepages", "transparent-hugepages", "clocksource", "iommu", "memlock", "nofile"]);
    // And on whatever machine this is, it comes to an end.
    let here = sluice(&["doctor", "--json"]);
    assert!(here.json()["findings"].as_array().unwrap().len() >= 6);
}

#[test]
fn for_people_each_trouble_has_its_reason_and_its_command() {
    let fake = Fake::well();
    fake.bind(Some("ixgbe"));
    fake.write("sys/devices/system/cpu/cpu3/cpufreq/scaling_governor", "powersave");
    let run = fake.run(&[]);
    assert_eq!((run.status, run.stderr.as_str()), (1, ""));
    let after = |start: &str| run.stdout.lines().skip_while(|line| !line.starts_with(start)).collect::<Vec<_>>();
    let governor = after("warn  governor");
    assert!(governor[0].ends_with("powersave on 3") && governor[1].starts_with("      why: "), "{run:?}");
    assert_eq!(governor[2], "      fix: cpupower -c 3 frequency-set -g performance");
    let driver = after("fail  driver");
    assert!(driver[0].ends_with("wan0 (0000:3b:00.0) is with the kernel's driver ixgbe"), "{run:?}");
    assert!(driver[2].contains("dpdk-devbind.py --bind=vfio-pci 0000:3b:00.0"), "{run:?}");
    assert!(run.stdout.ends_with("1 failure, 1 warning\n"), "{run:?}");
}

#[test]
fn huge_pages() {
    let fake = Fake::well();
    let pages = |free: &str, all: &str| {
        fake.write(&format!("{HUGE}/free_hugepages"), free);
        fake.write(&format!("{HUGE}/nr_hugepages"), all);
    };
    pages("100", "100");
    fake.expect("hugepages", "warn", &["200 MiB", "fewer buffers", "sysctl -w vm.nr_hugepages=1"]);
    pages("0", "1024");
    fake.expect("hugepages", "warn", &["0 MiB of huge pages are free, of 2048 MiB", "sluiced that runs"]);
    pages("0", "8");
    fake.expect("hugepages", "fail", &["does not start"]);
    fake.write("sys/kernel/mm/hugepages/hugepages-1048576kB/free_hugepages", "1");
    fake.expect("hugepages", "ok", &["1024 MiB"]);

    fake.write("sluice.toml", &format!("{CONFIG}[eal]\nargs = [\"-m\", \"4096\"]\n"));
    fake.expect("hugepages", "fail", &["needs 4096 MiB"]);
    fake.write("sluice.toml", &format!("{CONFIG}[eal]\nargs = [\"--no-huge\", \"-m4096\"]\n"));
    fake.expect("hugepages", "warn", &["--no-huge"]);
}

#[test]
fn a_node_without_huge_pages() {
    let fake = Fake::well();
    for file in ["free_hugepages", "nr_hugepages"] {
        fake.write(&format!("sys/devices/system/node/node1/hugepages/hugepages-2048kB/{file}"), "0");
    }
    fake.expect("hugepages-node", "warn", &["node 1", "/sys/devices/system/node/node1/hugepages/hugepages-2048kB"]);
}

#[test]
fn transparent_huge_pages_and_the_clock() {
    let fake = Fake::well();
    fake.write("sys/kernel/mm/transparent_hugepage/enabled", "always madvise [never]");
    fake.expect(
        "transparent-hugepages",
        "warn",
        &["never", "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled"],
    );
    fake.remove("sys/kernel/mm/transparent_hugepage");
    fake.expect("transparent-hugepages", "warn", &["none"]);
    let clock = "sys/devices/system/clocksource/clocksource0";
    fake.write(&format!("{clock}/current_clocksource"), "hpet");
    fake.expect("clocksource", "warn", &["hpet", "echo tsc > /sys/devices"]);
    fake.write(&format!("{clock}/available_clocksource"), "hpet acpi_pm");
    fake.expect("clocksource", "warn", &["dmesg"]);
}

#[test]
fn the_workers_cores() {
    let fake = Fake::well();
    let cpu = "sys/devices/system/cpu";
    fake.write(&format!("{cpu}/isolated"), "2");
    fake.expect("isolcpus", "warn", &["other threads on 3", "isolcpus=2,3 nohz_full=2,3 rcu_nocbs=2,3"]);
    fake.write("sys/fs/cgroup/cpuset.cpus.isolated", "3");
    fake.expect("isolcpus", "ok", &["2,3"]);
    fake.write(&format!("{cpu}/nohz_full"), "(null)");
    fake.expect("nohz_full", "warn", &["ticks on 2,3"]);
    fake.remove(&format!("{cpu}/cpu2/cpufreq"));
    fake.remove(&format!("{cpu}/cpu3/cpufreq"));
    fake.expect("governor", "ok", &["does not scale"]);

    fake.write(&format!("{cpu}/cpu3/topology/thread_siblings_list"), "1,3");
    fake.expect("smt", "warn", &["with 1", "for c in 1; do echo 0 > /sys/devices/system/cpu/cpu$c/online; done"]);
    fake.write(&format!("{cpu}/cpu3/topology/thread_siblings_list"), "2-3");
    fake.expect("smt", "warn", &["with 2", "one thread of each core"]);

    fake.write("proc/irq/24/effective_affinity_list", "3");
    fake.write("proc/irq/25/effective_affinity_list", "");
    fake.write("proc/irq/25/smp_affinity_list", "0-3");
    fake.expect(
        "interrupts",
        "warn",
        &["2 go to", "for i in 24 25; do echo 0,1 > /proc/irq/$i/smp_affinity_list; done"],
    );
}

#[test]
fn cores_that_are_not_there_or_are_all_taken() {
    let fake = Fake::well();
    fake.write("sys/devices/system/cpu/online", "2-3");
    fake.expect("cores", "warn", &["all cores, 2,3", "leave a core out"]);
    fake.write("sys/devices/system/cpu/isolated", "");
    assert!(fake.finds("isolcpus").is_empty(), "nobody should isolate all cores");
    fake.write("proc/irq/24/effective_affinity_list", "3");
    fake.expect("interrupts", "warn", &["leave a core out"]);
    fake.write("sys/devices/system/cpu/online", "0-2");
    fake.expect("cores", "fail", &["names 3; online are 0,1,2"]);
    assert!(fake.finds("isolcpus").is_empty(), "what is said of cores that are not there misleads");
}

#[test]
fn drivers_and_the_iommu() {
    let fake = Fake::well();
    let driver = |driver, level: &str, parts: &[&str]| {
        fake.bind(driver);
        let found = fake.finds("driver");
        assert_eq!((found.len(), &found[1]["level"]), (2, &json!("ok")), "the virtual device is well");
        assert_eq!(found[0]["level"], level, "{found:?}");
        parts.iter().for_each(|part| assert!(found[0].to_string().contains(part), "{found:?}"));
    };
    driver(None, "fail", &["bound to no driver", "dpdk-devbind.py"]);
    driver(Some("igb_uio"), "warn", &["any memory"]);
    driver(Some("mlx5_core"), "ok", &["works beside"]);
    fake.remove("sys/kernel/iommu_groups");
    fake.expect("iommu", "ok", &["off"]);
    driver(Some("vfio-pci"), "ok", &[]);
    fake.expect("iommu", "fail", &["iommu=pt"]);
    fake.write("sys/module/vfio/parameters/enable_unsafe_noiommu_mode", "Y");
    fake.expect("iommu", "warn", &["any memory"]);
    fake.remove(NIC);
    let found = fake.finds("driver");
    assert!(found[0].to_string().contains("no PCI device 0000:3b:00.0") && found[0]["level"] == "fail", "{found:?}");
    assert!(fake.finds("firmware").is_empty());
}

#[test]
fn where_the_nic_is() {
    let fake = Fake::well();
    fake.write(&format!("{NIC}/numa_node"), "0");
    fake.expect("numa", "warn", &["wan0 is on node 0, and cores 2,3 are not", "cores of 0,1"]);
    fake.write(&format!("{NIC}/numa_node"), "-1");
    assert!(fake.finds("numa").is_empty());
    fake.write(&format!("{NIC}/numa_node"), "0");
    fake.remove("sys/devices/system/node/node1");
    fake.expect("numa", "ok", &["one node"]);
    fake.write(&format!("{NIC}/current_link_width"), "4");
    fake.expect("pcie", "warn", &["4 lanes of 8.0 GT/s PCIe; it can use 8", "lspci -vv -s 0000:3b:00.0"]);
    fake.write(&format!("{NIC}/infiniband/mlx5_0/fw_ver"), "16.35.1012");
    fake.expect("firmware", "ok", &["16.35.1012"]);
}

#[test]
fn limits_and_capabilities() {
    let fake = Fake::well();
    let process = |capabilities: &str, memory: &str, files: &str| {
        fake.write("proc/self/status", &format!("CapEff:\t{capabilities}"));
        let limits =
            format!("Max locked memory   {memory}   unlimited   bytes\nMax open files   {files}   65536   files");
        fake.write("proc/self/limits", &limits);
    };
    process("0000000000000000", "8388608", "128");
    fake.expect("memlock", "fail", &["8192 KiB", "LimitMEMLOCK=infinity"]);
    fake.expect("nofile", "warn", &["128", "LimitNOFILE=65536"]);
    fake.expect(
        "capabilities",
        "warn",
        &["lacks CAP_NET_ADMIN CAP_NET_RAW", "as root", "CAP_NET_ADMIN CAP_NET_RAW to CapabilityBoundingSet"],
    );
    process("0000000000005000", "8388608", "unlimited");
    fake.expect("memlock", "ok", &["CAP_IPC_LOCK"]);
    fake.expect("nofile", "ok", &["unlimited"]);
    fake.expect("capabilities", "warn", &["lacks CAP_NET_RAW\""]);
    process("0000000000003000", "1000000000", "1024");
    for check in ["memlock", "nofile", "capabilities"] {
        fake.expect(check, "ok", &[]);
    }
}

#[test]
fn routes_that_do_not_tell_their_gateways() {
    let fake = Fake::well();
    fake.write("proc/sys/net/ipv4/nexthop_compat_mode", "0");
    fake.expect("nexthop-objects", "warn", &["sysctl -w net.ipv4.nexthop_compat_mode=1"]);
    fake.write("proc/sys/net/ipv4/nexthop_compat_mode", "1");
    fake.expect("nexthop-objects", "ok", &[]);
    fake.write(
        "sluice.toml",
        &CONFIG.replace("name = \"wan0\"", "name = \"wan0\"\nnext_hop_mac = \"02:00:00:00:00:02\""),
    );
    assert!(fake.finds("nexthop-objects").is_empty(), "no route matters then");
}

#[test]
fn a_configuration_that_cannot_be_used_is_told() {
    let fake = Fake::well();
    fake.write("sluice.toml", "datacentre = 1");
    let run = fake.run(&[]);
    assert!(run.status == 1 && run.stderr.contains("sluice.toml"), "{run:?}");
}

/// What the page shows is what is printed.
#[test]
fn the_documentation_shows_what_is_printed() {
    let fake = Fake::well();
    fake.bind(Some("ixgbe"));
    fake.write("sys/devices/system/cpu/isolated", "");
    fake.write("sys/devices/system/cpu/cpu3/cpufreq/scaling_governor", "powersave");
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/doctor.md");
    let page = fs::read_to_string(page).unwrap();
    let (_, rest) = page.split_once("```console doctor\n$ sluice doctor --config sluice.toml\n").unwrap();
    let (shown, _) = rest.split_once("```").unwrap();
    assert_eq!(fake.run(&[]).stdout, shown);
}

/// Everything that is looked at has a line in the page, and nothing else has one.
#[test]
fn every_check_is_documented() {
    let report = Fake::well().run(&["--json"]).good_json();
    let mut checks: Vec<_> =
        report["findings"].as_array().unwrap().iter().map(|finding| finding["check"].as_str().unwrap()).collect();
    checks.sort_unstable();
    checks.dedup();
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/doctor.md")).unwrap();
    let (_, page) = page.split_once("## What it looks at").unwrap();
    let mut documented: Vec<_> =
        page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`')).map(|(check, _)| check).collect();
    documented.sort_unstable();
    assert_eq!(documented, checks);
}
