// SPDX-License-Identifier: MIT OR Apache-2.0
//! The namespaces and what connects them: the box with `sluiced`, the router before it, two servers and another data
//! centre's forwarder behind that router.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use crate::lab::netns::Netns;
use crate::lab::sluiced::{Place, USER};
use crate::lab::{self, run};

/// Seconds without a word of BGP after which a session is over; the least that leaves three keepalives.
pub(crate) const HOLD_TIME: u32 = 6;
/// The same of BFD, which notices sooner.
pub(crate) const BFD: &str = "interval 300 ms; multiplier 3;";
/// The box's addresses: on the wire to the router, and of the underlay.
pub(crate) const BOX: &str = "192.0.2.1";
pub(crate) const UNDERLAY: &str = "10.0.0.1";
pub(crate) const BOX_MAC: &str = "02:00:00:00:00:01";
/// The router's address on that wire.
pub(crate) const ROUTER: &str = "192.0.2.2";
/// What is to be announced.
pub(crate) const PREFIX: &str = "198.51.100.0/24";
/// Who gets packets: name, underlay address, the router's address on the wire to it.
pub(crate) const PLACES: [(&str, &str, &str); 3] =
    [("lhr-1", "10.0.1.1", "10.0.1.2"), ("lhr-2", "10.0.1.5", "10.0.1.6"), ("CDG", "10.1.0.1", "10.1.0.2")];

pub(crate) fn table() -> Value {
    json!({
        "version": 1, "generation": 1,
        "datacenters": {"LHR": {"forwarders": [UNDERLAY]}, "CDG": {"forwarders": ["10.1.0.1"]}},
        "servers": {
            "lhr-1": {"datacenter": "LHR", "address": "10.0.1.1"},
            "lhr-2": {"datacenter": "LHR", "address": "10.0.1.5"},
            "cdg-1": {"datacenter": "CDG", "address": "10.1.1.1"}
        },
        "egress": [
            {"prefix": "198.51.100.1/32", "datacenter": "LHR",
             "slices": {"ports": 2048, "owners": [null, "lhr-1", "lhr-2"]}},
            {"prefix": "198.51.100.3/32", "datacenter": "CDG", "server": "cdg-1"},
            {"prefix": PREFIX, "unassigned": true}
        ]
    })
}

/// All namespaces.
pub(crate) struct Network {
    /// The router; whoever sends from the Internet is in here, too.
    pub(crate) internet: Netns,
    pub(crate) forwarder: Netns,
    /// In the order of [`PLACES`].
    pub(crate) places: [Netns; 3],
}

impl Network {
    pub(crate) fn new() -> Self {
        let network = Self { internet: Netns::new(), forwarder: Netns::new(), places: [(); 3].map(|()| Netns::new()) };
        let Self { internet, forwarder, places } = &network;
        internet.wire(forwarder, ["wan", "wan0"], [&[&format!("{ROUTER}/30")], &[]]);
        for (netns, interface) in [(internet, "wan"), (forwarder, "wan0")] {
            // A device that knows nothing of offloads must get frames with checksums.
            run(netns
                .command("ethtool")
                .args(["-K", interface])
                .args("tx off rx off tso off gso off gro off".split(' ')));
        }
        network.make_box();
        set(internet, "net/ipv4/ip_forward", "1");
        for (place, (name, address, gateway)) in places.iter().zip(PLACES) {
            let interface = name.to_lowercase();
            let addresses: [&[&str]; 2] = [&[&format!("{gateway}/30")], &[&format!("{address}/30")]];
            internet.wire(place, [&interface, "eth0"], addresses);
            place.ip(&format!("route add default via {gateway}"));
        }
        internet.ip(&format!("route add {UNDERLAY} via {BOX}"));
        // Where packets still come from when the prefix is withdrawn: BGP's route is better while it is there.
        internet.ip(&format!("route add {PREFIX} via {BOX} metric 4000"));
        network
    }

    fn make_box(&self) {
        let Self { forwarder, .. } = self;
        // The kernel sees frames here as well as on the TAP interface, and is to look at those of the latter alone.
        forwarder.ip("link set wan0 arp off");
        forwarder.ip("-6 address flush dev wan0");
        set(forwarder, "net/ipv4/conf/wan0/rp_filter", "1");
        // One that lasts keeps its address, and BIRD its interface, while no sluiced runs. The router is to hear of no MAC address
        // but the device's.
        forwarder.ip("tuntap add dev wan0-k mode tap");
        forwarder.ip(&format!("link set wan0-k address {BOX_MAC}"));
        forwarder.ip(&format!("address add {BOX}/30 dev wan0-k"));
        forwarder.ip(&format!("address add {UNDERLAY}/32 dev lo"));
        forwarder.ip("link set wan0-k up");
        forwarder.ip(&format!("tuntap add dev sluice-ready mode tun user {USER}"));
        forwarder.ip("link set sluice-ready up");
    }

    /// Frames that have come to the box by the wire, as its kernel counts them.
    pub(crate) fn arrived(&self) -> u64 {
        let links: Value = serde_json::from_str(&self.forwarder.ip("-s -j link show wan0")).unwrap();
        links[0]["stats64"]["rx"]["packets"].as_u64().unwrap()
    }
}

/// Writes a setting of the kernel.
fn set(netns: &Netns, name: &str, value: &str) {
    run(netns.command("sh").args(["-c", &format!("echo {value} >/proc/sys/{name}")]));
}

/// Writes the configuration of `sluiced`.
pub(crate) fn configure(place: &Place) {
    let core = core_affinity::get_core_ids().unwrap().last().unwrap().id;
    let config = format!(
        r#"
datacenter = "LHR"
table = "table.json"
[underlay]
ipv4 = "{UNDERLAY}"
flow_key = "5eed5eed5eed5eed5eed5eed5eed5eed"
[[device]]
name = "wan0"
vdev = "net_af_packet0,iface=wan0,framecnt=4096"
mac = "{BOX_MAC}"
mtu = 1500
kernel = "wan0-k"
[workers]
cores = [{core}]
idle = "sleep"
[eal]
args = ["--no-huge", "-m", "512", "--no-pci", "--no-shconf", "--no-telemetry"]
[daemon]
user = "{USER}"
[control]
socket = "run/control.sock"
[state]
folder = "state"
[readiness]
interface = "sluice-ready"
settle = 0
"#
    );
    fs::write(place.path("sluice.toml"), config).unwrap();
}

/// The box's BIRD: announces what is ready, and gives the kernel what the router says of the underlay.
pub(crate) fn box_bird(place: &Place) -> String {
    let announce = ["table", "announce", "--daemon", "bird"];
    let snippet = run(Command::new(lab::program("sluice")).args(announce).arg(place.path("table.json")));
    format!(
        r#"
log stderr all;
router id {BOX};
protocol device {{ }}
{snippet}
protocol kernel {{
    ipv4 {{ export filter {{
        if source = RTS_BGP then accept;
        if source != RTS_STATIC then reject;
        dest = RTD_BLACKHOLE;
        accept;
    }}; }};
}}
protocol bfd {{ interface "wan0-k" {{ {BFD} }}; }}
protocol bgp upstream {{
    local {BOX} as 65001;
    neighbor {ROUTER} as 65002;
    hold time {HOLD_TIME};
    bfd yes;
    connect delay time 1;
    connect retry time 1;
    error wait time 1, 2;
    ipv4 {{ import all; export where ifname = "sluice-ready"; next hop self; }};
}}
"#
    )
}

/// The router's BIRD. It does not tell the way to the underlay before it is asked to.
pub(crate) fn router_bird() -> String {
    let [_, _, (_, remote, _)] = PLACES;
    format!(
        r#"
log stderr all;
router id {ROUTER};
protocol device {{ }}
protocol kernel {{ ipv4 {{ export where source = RTS_BGP; }}; }}
protocol static underlay {{
    disabled;
    ipv4;
    route 10.0.1.0/24 blackhole;
    route {remote}/32 blackhole;
}}
protocol bfd {{ interface "wan" {{ {BFD} }}; }}
protocol bgp sluice {{
    local {ROUTER} as 65002;
    neighbor {BOX} as 65001;
    passive;
    hold time {HOLD_TIME};
    bfd yes;
    error wait time 1, 2;
    ipv4 {{ import all; export where proto = "underlay"; next hop self; }};
}}
"#
    )
}
