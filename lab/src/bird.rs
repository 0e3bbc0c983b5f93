// SPDX-License-Identifier: MIT OR Apache-2.0
//! BIRD: on each forwarder, on each data centre's router and on the Internet's. It alone says where packets go.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::netns::Netns;
use crate::plan::{self, BACKBONE, EGRESS, Place, SITES, Site, Wire};
use crate::run::{self, FOLDER, daemon, run, wait_for, words};

/// Starts one in a namespace and waits until it can be asked. It runs as long as the lab does.
pub(crate) fn start(netns: &Netns, config: &str) -> Result<()> {
    let path = |kind: &str| Path::new(FOLDER).join(format!("{}.bird.{kind}", netns.name));
    fs::write(path("conf"), config).context("BIRD's configuration")?;
    let mut command = netns.first("bird");
    command.arg("-f").arg("-c").arg(path("conf")).arg("-s").arg(path("ctl")).arg("-P").arg(path("pid"));
    let log = format!("{}.bird.log", netns.name);
    daemon(&mut command, &log)?;
    wait_for("BIRD answers", || run(words("birdc -s").arg(path("ctl")).args(["show", "status"])).is_ok())
        .with_context(|| format!("BIRD of {} has said:{}", netns.name, run::log(&log)))?;
    Ok(())
}

/// What all of them have in common. A session ends after two and a half seconds without
/// BFD's packets: less is possible where routers do not share two cores with all of an Internet.
const COMMON: &str = r#"
log stderr all;
timeformat protocol iso long ms;
protocol device { scan time 10; }
protocol bfd { interface "*" { interval 500 ms; multiplier 5; }; }
template bgp peer {
    hold time 9; connect delay time 1; connect retry time 1; error wait time 1, 2; graceful restart off;
}
"#;

/// Of a forwarder: announces what `sluice table announce` says while it is in service; gives the kernel what BGP says.
pub(crate) fn forwarder(place: Place, announced: &str) -> String {
    let Wire { v4: [router, own], v6: [_, own6] } = place.forwarder_wire();
    let (site, number) = (place.site.autonomous_system(), 64512 + 10 * u32::from(place.site.number));
    let number = number + u32::from(place.number);
    format!(
        r#"router id {own};
{COMMON}
{announced}
# Every prefix that is announced is a black hole to the kernel: packets for it belong to the dataplane.
filter to_kernel {{
    if proto ~ "sluice?_underlay" then reject;
    if proto ~ "sluice*" then dest = RTD_BLACKHOLE;
    accept;
}}
protocol kernel {{ ipv4 {{ export filter to_kernel; }}; }}
protocol kernel {{ ipv6 {{ export filter to_kernel; }}; }}
protocol bgp upstream from peer {{
    local {own} as {number};
    neighbor {router} as {site};
    bfd on;
    ipv4 {{ import all; export where ifname = "sluice-ready"; next hop self; }};
    ipv6 {{ import all; export where ifname = "sluice-ready"; next hop address {own6}; }};
}}
"#
    )
}

/// Of a data centre's router: several forwarders that announce one prefix share its packets. The Internet hears of egress
/// prefixes alone, forwarders hear of the other data centre's forwarders, and the other router of servers as well.
pub(crate) fn router(site: Site) -> String {
    let mut text = format!("router id 10.{}.0.254;\n{COMMON}", site.number);
    let own = format!("10.{}.0.0/24{{32,32}}", site.number);
    let own6 = format!("2001:db8:{:x}::/64{{128,128}}", 0xa + site.number);
    let [egress, egress6] = EGRESS.map(|prefix| format!("{prefix}+"));
    text += &format!(
        r#"
protocol direct {{ ipv4; ipv6; interface "{short}-?"; }}
protocol kernel {{ merge paths on; ipv4 {{ export where source = RTS_BGP; }}; }}
protocol kernel {{ merge paths on; ipv6 {{ export where source = RTS_BGP; }}; }}
"#,
        short = site.short
    );
    for place in plan::forwarders().filter(|place| place.site == site) {
        let wire = place.forwarder_wire();
        text += &peer(
            &place.forwarder().replace('-', "_"),
            (site.autonomous_system(), wire.v4[0], wire.v6[0]),
            (64512 + 10 * u32::from(site.number) + u32::from(place.number), wire.v4[1]),
            [&format!("{egress}, {own}"), &format!("{egress6}, {own6}")],
            ["10.0.0.0/8{32,32}", "2001:db8::/32{128,128}"],
            "bfd on;",
        );
    }
    let end = usize::from(site.number);
    let (other, transit) = (site.other(), site.transit());
    let servers = format!("10.{}.0.0/16{{31,31}}", site.number);
    let servers6 = format!("2001:db8:{:x}::/48{{127,127}}", 0xa + site.number);
    text += &peer(
        "backbone",
        (site.autonomous_system(), BACKBONE.v4[end], BACKBONE.v6[end]),
        (other.autonomous_system(), BACKBONE.v4[1 - end]),
        ["10.0.0.0/8+", "2001:db8::/32+"],
        [&format!("{own}, {servers}"), &format!("{own6}, {servers6}")],
        "",
    );
    text += &peer(
        "internet",
        (site.autonomous_system(), transit.v4[1], transit.v6[1]),
        (65000, transit.v4[0]),
        ["0.0.0.0/32", "::/128"],
        [&egress, &egress6],
        "",
    );
    text
}

/// Of the Internet's router: both data centres share the packets.
pub(crate) fn internet() -> String {
    let mut text = format!(
        r#"router id 203.0.113.1;
{COMMON}
protocol kernel {{ merge paths on; ipv4 {{ export where source = RTS_BGP; }}; }}
protocol kernel {{ merge paths on; ipv6 {{ export where source = RTS_BGP; }}; }}
"#
    );
    let [egress, egress6] = EGRESS.map(|prefix| format!("{prefix}+"));
    for site in SITES {
        let transit = site.transit();
        let own = (65000, transit.v4[0], transit.v6[0]);
        let nothing = ["0.0.0.0/32", "::/128"];
        text += &peer(site.short, own, (site.autonomous_system(), transit.v4[1]), [&egress, &egress6], nothing, "");
    }
    text
}

/// A session: own number and addresses, the neighbour's, sets of prefixes that are taken and given.
fn peer(
    name: &str,
    (number, own, own6): (u32, std::net::Ipv4Addr, std::net::Ipv6Addr),
    (other, neighbour): (u32, std::net::Ipv4Addr),
    [take, take6]: [&str; 2],
    [give, give6]: [&str; 2],
    more: &str,
) -> String {
    format!(
        r#"
protocol bgp {name} from peer {{
    local {own} as {number};
    neighbor {neighbour} as {other};
    {more}
    ipv4 {{ import where net ~ [ {take} ]; export where net ~ [ {give} ]; next hop self; }};
    ipv6 {{ import where net ~ [ {take6} ]; export where net ~ [ {give6} ]; next hop address {own6}; }};
}}
"#
    )
}
