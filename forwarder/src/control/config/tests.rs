// SPDX-License-Identifier: MIT OR Apache-2.0
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::*;
use crate::control::log::{Destination, Format};
use crate::kernel::police::Budget;
use crate::settings::Echo;

/// The example of contract section 2, whole.
const FULL: &str = r#"
datacenter = "LHR"
table      = "table.json"

[underlay]
ipv4 = "10.0.0.1"
ipv6 = "2001:db8:a::1"
gue_port = 6080
flow_key = "000102030405060708090a0b0c0d0e0f"
dscp = 46

[[device]]
name = "wan0"
vdev = "net_pcap0,rx_pcap=in.pcap,tx_pcap=out.pcap"
mtu = 1600
next_hop_mac = "02:00:00:00:00:02"
mac = "02:00:00:00:00:01"
kernel = "wan0-k"
queues = 1
vlan = 100
gue = false
link_wait = 3
offload = "off"

[workers]
cores = [1]
burst = 32
idle = "sleep"

[eal]
args = ["--no-huge", "-m", "512", "--no-pci"]

[icmp]
echo = "drop"
rate = 0
source4 = "192.0.2.1"
source6 = "2001:db8::1"

[fragments]
contexts = 1024
packets = 0
bytes = 65536

[kernel]
to = { routing = 1, neighbours = 2, unicast = 3, other = 4 }
from = { routing = 5, neighbours = 6, unicast = 7, other = 0 }

[control]
socket = "control.sock"
change_uids = [1000]
change_gids = [27]
look_uids = []
look_gids = [30]

[guards]
min_addresses = 10
max_removed_percent = 1
max_moved_percent = 2
allow_empty_datacenter = true

[state]
folder = "kept"
generations = 3

[metrics]
listen = "127.0.0.1:9465"
targets = 500
[daemon]
user = "sluice"
[readiness]
file = "run/ready"
interface = "sluice-ready"
settle = 0
linger = 5
[log]
to = "stderr"
format = "json"
"#;

const SMALL: &str = r#"
datacenter = "LHR"
table = "/srv/table.json"
[underlay]
ipv4 = "10.0.0.1"
[[device]]
name = "wan0"
vdev = "net_null0"
[workers]
cores = [0]
"#;

fn parse(text: &str, purpose: Purpose) -> Result<Config, ConfigError> {
    Config::parse(text.as_bytes(), Path::new("/etc/sluice/sluice.toml"), purpose)
}

/// The problems of [`SMALL`] with `from` replaced by `to`, one line each.
fn problems(from: &str, to: &str) -> Vec<String> {
    assert!(SMALL.contains(from), "{from}");
    match parse(&SMALL.replace(from, to), Purpose::Daemon) {
        Ok(_) => Vec::new(),
        Err(error) => error.lines(),
    }
}

#[test]
fn every_key_is_read() {
    let config = parse(FULL, Purpose::Daemon).unwrap();
    let expected = Config {
        file: PathBuf::from("/etc/sluice/sluice.toml"),
        datacenter: "LHR".to_owned(),
        table: PathBuf::from("/etc/sluice/table.json"),
        underlay: Underlay {
            ipv4: Some("10.0.0.1".parse().unwrap()),
            ipv6: Some("2001:db8:a::1".parse().unwrap()),
            gue_port: 6080,
        },
        flow_key: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
        process: Process { user: Some("sluice".to_owned()) },
        readiness: Readiness {
            file: Some(PathBuf::from("/etc/sluice/run/ready")),
            interface: Some("sluice-ready".to_owned()),
            settle: Duration::ZERO,
            linger: Duration::from_secs(5),
        },
        dscp: Dscp::Fixed(46),
        devices: vec![Device {
            name: "wan0".to_owned(),
            address: Some(Address::Vdev("net_pcap0,rx_pcap=in.pcap,tx_pcap=out.pcap".to_owned())),
            mtu: 1600,
            next_hop: Some(MacAddr([2, 0, 0, 0, 0, 2])),
            mac: Some(MacAddr([2, 0, 0, 0, 0, 1])),
            kernel: Some("wan0-k".to_owned()),
            vlan: Some(100),
            gue: false,
            link_wait: Duration::from_secs(3),
            offload: false,
        }],
        workers: Workers { cores: vec![1], burst: 32, idle: Idle::Sleep },
        eal_args: ["--no-huge", "-m", "512", "--no-pci"].map(str::to_owned).to_vec(),
        icmp: Icmp {
            echo: Echo::Drop,
            rate: 0,
            source4: Some("192.0.2.1".parse().unwrap()),
            source6: Some("2001:db8::1".parse().unwrap()),
        },
        fragments: FragmentLimits { contexts: 1024, packets: 0, bytes: 65_536 },
        kernel: Budgets {
            to: Budget { routing: 1, neighbours: 2, unicast: 3, other: 4 },
            from: Budget { routing: 5, neighbours: 6, unicast: 7, other: 0 },
        },
        control: Control {
            socket: PathBuf::from("/etc/sluice/control.sock"),
            change_uids: vec![1000],
            change_gids: vec![27],
            look_uids: Some(vec![]),
            look_gids: Some(vec![30]),
        },
        guards: Guards {
            min_addresses: 10,
            max_removed_percent: 1,
            max_moved_percent: 2,
            allow_empty_datacenter: true,
        },
        state: State { folder: PathBuf::from("/etc/sluice/kept"), generations: 3 },
        metrics: Metrics { listen: Some("127.0.0.1:9465".parse().unwrap()), targets: 500 },
        log: Log { to: Destination::Stderr, format: Format::Json },
    };
    assert_eq!(config, expected);
}

#[test]
fn what_is_left_out_has_a_default() {
    let config = parse(SMALL, Purpose::Daemon).unwrap();
    assert_eq!(config.table, Path::new("/srv/table.json"));
    assert_eq!(config.underlay.gue_port, 6080);
    assert_eq!(config.flow_key, DEFAULT_FLOW_KEY);
    assert_eq!(config.dscp, Dscp::Copy);
    assert_eq!((config.devices[0].mtu, config.devices[0].gue), (1500, true));
    assert_eq!((config.workers.burst, config.workers.idle), (64, Idle::Poll));
    assert_eq!(config.devices[0].link_wait, Duration::ZERO, "a virtual device may wait for its peer");
    let pci = parse(&SMALL.replace("vdev = \"net_null0\"", "pci = \"0000:3b:00.0\""), Purpose::Daemon).unwrap();
    assert_eq!(pci.devices[0].link_wait, Duration::from_secs(10));
    assert_eq!(config.icmp, Icmp { echo: Echo::Answer, rate: 1000, source4: None, source6: None });
    assert_eq!(config.fragments, FragmentLimits { contexts: 65_536, packets: 4_096, bytes: 8 << 20 });
    assert_eq!(config.kernel, Budgets::default());
    assert_eq!(config.control.socket, Path::new(DEFAULT_SOCKET));
    assert_eq!(config.process, Process { user: None });
    let settle = Duration::from_secs(3);
    assert_eq!(config.readiness, Readiness { file: None, interface: None, settle, linger: Duration::ZERO });
    let linger = |kernel: &str, more: &str| {
        let text = SMALL.replace("\"net_null0\"", &format!("\"net_null0\"\n{kernel}"));
        parse(&format!("{text}[readiness]\n{more}"), Purpose::Daemon).unwrap().readiness.linger.as_secs()
    };
    let (shared, file) = ("kernel = \"wan0-k\"", "file = \"ready\"\n");
    assert_eq!((linger(shared, file), linger(shared, "interface = \"up0\"")), (5, 5), "BGP passes by the daemon");
    assert_eq!((linger("", file), linger(shared, ""), linger(shared, &format!("{file}linger = 0"))), (0, 0, 0));
    assert_eq!(config.guards, Guards::default());
    assert_eq!(config.state, State { folder: PathBuf::from("/etc/sluice/sluice.state"), generations: 8 });
    assert_eq!(config.metrics, Metrics { listen: None, targets: 10_000 });
}

/// A device is asked for what its forwarder can use: checksums of IPv4 headers, and the tag that it is to have.
#[test]
fn a_device_is_asked_to_do_by_itself_what_it_is_needed_for() {
    let wanted = |from: &str, to: &str| {
        let config = parse(&SMALL.replace(from, to), Purpose::Daemon).unwrap();
        let Offloads { checksum, tag } = config.devices[0].wanted_offloads(&config.underlay);
        (checksum, tag)
    };
    assert_eq!(wanted("name =", "name ="), (true, false));
    assert_eq!(wanted("name =", "vlan = 100\noffload = \"auto\"\nname ="), (true, true));
    assert_eq!(wanted("name =", "vlan = 100\noffload = \"off\"\nname ="), (false, false));
    assert_eq!(wanted("ipv4 = \"10.0.0.1\"", "ipv6 = \"2001:db8:a::1\""), (false, false));
}

#[test]
fn a_replay_needs_neither_workers_nor_device_addresses() {
    let text = SMALL.replace("vdev = \"net_null0\"\n", "").replace("[workers]\ncores = [0]\n", "");
    assert_eq!(parse(&text, Purpose::Replay).unwrap().devices[0].address, None);
    assert_eq!(parse(&text, Purpose::Daemon).unwrap_err().lines().len(), 2);
}

#[test]
fn an_unknown_key_is_named_with_place_line_and_neighbour() {
    let lines = problems("ipv4 =", "gue_prot = 1\nipv4 =");
    let expected = "/etc/sluice/sluice.toml:5: underlay.gue_prot: unknown key; the nearest known one is gue_port";
    assert_eq!(lines, [expected]);
    let lines = problems("name =", "\"mt u\" = 1\nname =");
    assert!(lines[0].contains(":7: device[0].\"mt u\": unknown key; the nearest known one is mtu"), "{lines:?}");
    assert!(problems("[workers]", "[worker]")[0].contains("unknown key; the nearest known one is workers"));
    for section in ["eal", "icmp", "kernel", "control", "log", "metrics", "workers"] {
        let text = FULL.replace(&format!("[{section}]"), &format!("[{section}]\nnonsense = 1"));
        let lines = parse(&text, Purpose::Daemon).unwrap_err().lines();
        assert!(
            lines.len() == 1 && lines[0].contains(&format!("{section}.nonsense: unknown key; the nearest")),
            "{lines:?}"
        );
    }
}

#[test]
fn every_problem_is_found_in_the_order_of_the_file() {
    let lines = problems("ipv4 = \"10.0.0.1\"", "ipv4 = 1\ngue_port = 0\nflow_key = \"xyz\"\ndscp = 64");
    let places: Vec<_> = lines.iter().map(|line| line.split(": ").nth(1).unwrap()).collect();
    assert_eq!(places, ["underlay.ipv4", "underlay.gue_port", "underlay.flow_key", "underlay.dscp"]);
    let error = parse(&SMALL.replace("cores = [0]", "cores = []\nburst = 0"), Purpose::Daemon).unwrap_err();
    assert!(error.to_string().ends_with("(and 1 more problem)"), "{error}");
    assert_eq!(error.to_string().lines().count(), 1);
}

/// Replacement in [`SMALL`], and what the only complaint about it says.
#[test]
fn wrong_values_are_refused() {
    let cases = [
        ("datacenter = \"LHR\"", "", "datacenter: missing"),
        ("datacenter = \"LHR\"", "datacenter = \"\"", "datacenter: is empty"),
        ("table = \"/srv/table.json\"", "", "table: missing"),
        ("table = \"/srv/table.json\"", "table = 1", "table: is an integer; expected a string"),
        ("ipv4 = \"10.0.0.1\"", "", "underlay.ipv4: missing"),
        ("[underlay]\nipv4 = \"10.0.0.1\"", "", "underlay.ipv4: missing"),
        ("10.0.0.1", "10.0.0", "underlay.ipv4: \"10.0.0\" is not an IPv4 address"),
        ("10.0.0.1", "224.0.0.1", "not a unicast address"),
        ("10.0.0.1", "0.0.0.0", "not a unicast address"),
        ("ipv4 =", "ipv6 = \"fe80::1\"\nipv4 =", "underlay.ipv6: fe80::1 can't be routed"),
        ("ipv4 =", "gue_port = 65536\nipv4 =", "underlay.gue_port: 65536 is not from 1 to 65535"),
        ("ipv4 =", "gue_port = 99999999999999999999\nipv4 =", "is not from 1 to 65535"),
        ("ipv4 =", "gue_port = \"6080\"\nipv4 =", "is a string; expected an integer from 1 to 65535"),
        ("ipv4 =", "flow_key = \"00\"\nipv4 =", "exactly 32 hexadecimal digits"),
        ("ipv4 =", "flow_key = \"+0112233445566778899aabbccddeeff\"\nipv4 =", "exactly 32 hexadecimal digits"),
        ("ipv4 =", "dscp = \"ef\"\nipv4 =", "neither \"copy\" nor a number from 0 to 63"),
        ("ipv4 =", "dscp = -1\nipv4 =", "-1 is not from 0 to 63"),
        ("name = \"wan0\"\n", "", "device[0].name: missing"),
        ("name = \"wan0\"", "name = \"w 0\"", "no device name"),
        ("vdev = \"net_null0\"", "", "device[0].vdev: missing; give the device's vdev or pci"),
        ("vdev = \"net_null0\"", "vdev = \",x\"", "is not a virtual device"),
        ("vdev = ", "pci = \"3b:00.0\"\nvdev = ", "device[0].pci: give either vdev or pci"),
        ("vdev = \"net_null0\"", "pci = \"3b:00.8\"", "is not a PCI address"),
        ("vdev =", "mtu = 67\nvdev =", "device[0].mtu: 67 is not from 68 to 65535"),
        ("vdev =", "vlan = 4095\nvdev =", "device[0].vlan: 4095 is not from 1 to 4094"),
        ("vdev =", "vlan = 0\nvdev =", "device[0].vlan: 0 is not"),
        ("vdev =", "mac = \"01:00:00:00:00:01\"\nvdev =", "is a group address"),
        ("vdev =", "mac = \"00:00:00:00:00:00\"\nvdev =", "zero address"),
        ("vdev =", "next_hop_mac = \"ff:ff:ff:ff:ff:ff\"\nvdev =", "is a group address"),
        ("vdev =", "next_hop_mac = \"2:0:0:0:0:2\"\nvdev =", "is not a MAC address"),
        ("vdev =", "kernel = \"a-name-too-long-for-linux\"\nvdev =", "is not an interface name"),
        (
            "[workers]",
            "kernel = \"k\"\n[[device]]\nname = \"b\"\nvdev = \"net_null1\"\nkernel = \"k\"\n[workers]",
            "device[1].kernel: another device has this interface",
        ),
        ("[workers]", "[kernel]\nto = { arp = 1 }\n[workers]", "kernel.to.arp: unknown key"),
        ("[workers]", "[kernel.from]\nother = -1\n[workers]", "kernel.from.other: -1 is not from 0"),
        ("vdev =", "queues = 2\nvdev =", "device[0].queues: 2 is not the number of workers, 1"),
        ("vdev =", "gue = 1\nvdev =", "device[0].gue: is an integer; expected true or false"),
        ("[workers]", "[[device]]\nname = \"wan0\"\nvdev = \"net_null1\"\n[workers]", "device[1].name: another device"),
        ("[workers]", "[[device]]\nname = \"b\"\nvdev = \"net_null0,copy=1\"\n[workers]", "device[1].vdev: another"),
        ("[[device]]", "[device]", "device: expected an array of tables: [[device]]"),
        ("[[device]]\nname = \"wan0\"\nvdev = \"net_null0\"\n", "", "device: missing"),
        ("cores = [0]", "", "workers.cores: missing"),
        ("cores = [0]", "cores = []", "workers.cores: name at least one core"),
        ("cores = [0]", "cores = [0, 1, 0]", "workers.cores: core 0 is named twice"),
        ("cores = [0]", "cores = [-1]", "workers.cores: -1 is not from 0 to 1023"),
        ("cores = [0]", "cores = 0", "workers.cores: is an integer; expected a list of integers"),
        ("cores = [0]", "cores = [0]\nburst = 257", "workers.burst: 257 is not from 1 to 256"),
        ("[workers]", "[eal]\nargs = \"-m\"\n[workers]", "eal.args: expected a list of strings"),
        ("[workers]", "[eal]\nargs = [1]\n[workers]", "eal.args: expected strings only"),
        ("name =", "offload = \"on\"\nname =", "device[0].offload: \"on\" is neither \"auto\" nor \"off\""),
        ("name =", "offload = false\nname =", "device[0].offload: is a boolean; expected \"auto\" or \"off\""),
        ("[workers]", "[icmp]\necho = \"yes\"\n[workers]", "icmp.echo: \"yes\" is neither"),
        ("[workers]", "[icmp]\nrate = -1\n[workers]", "icmp.rate: -1 is not from 0"),
        ("[workers]", "[icmp]\nsource6 = \"192.0.2.1\"\n[workers]", "icmp.source6: \"192.0.2.1\" is not an IPv6"),
        (
            "[workers]",
            "[control]\nchange_uids = [\"root\"]\n[workers]",
            "control.change_uids: is a string; expected an",
        ),
        ("[workers]", "[metrics]\nlisten = \"9465\"\n[workers]", "metrics.listen: \"9465\" is not ADDRESS:PORT"),
        ("[workers]", "[log]\nto = \"syslog\"\n[workers]", "log.to: \"syslog\" is neither"),
        ("[workers]", "[log]\nformat = 1\n[workers]", "log.format: is an integer; expected \"text\" or"),
        ("[workers]", "metrics = 1\n[workers]", "device[0].metrics: unknown key"),
        ("datacenter =", "icmp = 1\ndatacenter =", "icmp: is an integer; expected a table: [icmp]"),
        ("[workers]", "[workers]\n[workers]", "duplicate key"),
        ("datacenter = \"LHR\"", "datacenter = \"LHR", "invalid basic string"),
    ];
    for (from, to, expected) in cases {
        let lines = problems(from, to);
        assert!(lines.len() == 1 && lines[0].contains(expected), "{to:?}: {lines:#?}");
        assert!(!lines[0].contains('\n'));
    }
}

#[test]
fn long_socket_paths_and_bytes_that_are_no_text_are_refused() {
    let long = format!("[control]\nsocket = \"/{}\"\n[workers]", "x".repeat(107));
    assert!(problems("[workers]", &long)[0].contains("control.socket: "));
    let error = Config::parse(b"datacenter = \"\xff\"", Path::new("c.toml"), Purpose::Daemon).unwrap_err();
    assert_eq!(error.lines(), ["c.toml:1: is not UTF-8 text"]);
    let error = Config::load(Path::new("/nonexistent/c.toml"), Purpose::Daemon).unwrap_err();
    assert!(error.to_string().starts_with("cannot read the configuration /nonexistent/c.toml: "), "{error}");
}

#[test]
fn settings_take_the_devices_own_mac_unless_one_is_configured() {
    let own = MacAddr([2, 0, 0, 0, 0, 9]);
    assert_eq!(parse(SMALL, Purpose::Daemon).unwrap().settings(&[own]).devices[0].mac, own);
    assert_eq!(parse(FULL, Purpose::Daemon).unwrap().settings(&[own]).devices[0].mac, MacAddr([2, 0, 0, 0, 0, 1]));
    assert_eq!(parse(SMALL, Purpose::Daemon).unwrap().settings(&[]).devices[0].mac, MacAddr::default());
}

#[test]
fn warnings_name_what_will_surprise() {
    let small = parse(SMALL, Purpose::Daemon).unwrap().warnings().join("\n");
    assert!(small.contains("underlay.flow_key") && small.contains("next_hop_mac"), "{small}");
    assert_eq!(parse(FULL, Purpose::Daemon).unwrap().warnings(), Vec::<String>::new());
}

#[test]
fn the_kernel_is_followed_where_no_device_has_a_next_hop_and_some_has_an_interface() {
    let follows = |first: &str, second: &str| {
        let other =
            format!("vdev = \"net_null0\"\n{first}\n[[device]]\nname = \"wan1\"\nvdev = \"net_null1\"\n{second}");
        let config = parse(&SMALL.replace("vdev = \"net_null0\"", &other), Purpose::Daemon).unwrap();
        (config.follows_kernel(), config.warnings().iter().any(|warning| warning.contains("next_hop_unresolved")))
    };
    let (hop, kernel) = ("next_hop_mac = \"02:00:00:00:00:02\"", "kernel = \"wan1-k\"");
    assert_eq!(follows("", kernel), (true, false));
    assert_eq!(follows(hop, kernel), (false, false), "what is configured counts");
    assert_eq!(follows(hop, ""), (false, false));
    assert_eq!(follows("", ""), (false, true), "nothing says where to go");
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(bytes: Vec<u8>, cut in 0..FULL.len(), line in "[\\[\\]a-z_\"= 0-9,.{}]{0,40}") {
        let _ = Config::parse(&bytes, Path::new("c.toml"), Purpose::Daemon);
        let text = format!("{}\n{line}", &FULL[..cut]);
        let _ = parse(&text, Purpose::Replay);
    }
}
