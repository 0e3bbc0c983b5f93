// SPDX-License-Identifier: MIT OR Apache-2.0
//! Frames that no socket makes: sent as they are, and judged.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use agent::config::GuardAction;
use agent::guard::GuardCounters;

use super::{Rig, SLICE, sharing};

const UDP: u8 = 17;
const GRE: u8 = 47;

fn ethernet(tags: &[u16], payload: &[u8]) -> Vec<u8> {
    let kind: u16 = if payload[0] >> 4 == 4 { 0x0800 } else { 0x86dd };
    let tags = tags.iter().flat_map(|tag| [tag.to_be_bytes(), [0, 7]].concat());
    [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1]
        .into_iter()
        .chain(tags)
        .chain(kind.to_be_bytes())
        .chain(payload.to_vec())
        .collect()
}

fn ipv4(source: &str, protocol: u8, offset: u16, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(20 + payload.len()).unwrap().to_be_bytes();
    let source: Ipv4Addr = source.parse().unwrap();
    let head =
        [0x45, 0, length[0], length[1], 0, 1, offset.to_be_bytes()[0], offset.to_be_bytes()[1], 64, protocol, 0, 0];
    [&head[..], &source.octets(), &[203, 0, 113, 1], payload].concat()
}

fn ipv6(source: &str, next: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).unwrap().to_be_bytes();
    let addresses = [source, "2001:db8:f::1"].map(|text| text.parse::<Ipv6Addr>().unwrap().octets());
    [&[0x60, 0, 0, 0, length[0], length[1], next, 64][..], &addresses[0], &addresses[1], payload].concat()
}

fn ports(source: u16) -> Vec<u8> {
    [&source.to_be_bytes()[..], &53_u16.to_be_bytes(), &[0, 8, 0, 0]].concat()
}

/// What an ICMP error from an egress address says of a packet to it.
fn error(quoted: &[u8]) -> Vec<u8> {
    [&[3, 3, 0, 0, 0, 0, 0, 0][..], quoted].concat()
}

fn quote(source: &str, port: u16) -> Vec<u8> {
    let IpAddr::V4(own) = source.parse().unwrap() else { panic!("IPv4 only") };
    let mut packet =
        ipv4("203.0.113.1", UDP, 0, &[&53_u16.to_be_bytes()[..], &port.to_be_bytes(), &[0, 8, 0, 0]].concat());
    packet[16..20].copy_from_slice(&own.octets());
    packet
}

type Counter = fn(&mut GuardCounters) -> &mut u64;

#[test]
fn each_frame_has_its_verdict() {
    let mut view = sharing(&[SLICE[0], SLICE[1], ("198.51.100.3/32", "0-65535")]);
    view.held[2].portless.own = true;
    let Some(rig) = Rig::new(GuardAction::Drop, &view) else { return };
    let mut client = rig.client();
    let own: Counter = |counters| &mut counters.own;
    let port: Counter = |counters| &mut counters.foreign_port;
    let address: Counter = |counters| &mut counters.foreign_address;
    let portless: Counter = |counters| &mut counters.foreign_portless;
    let unreadable: Counter = |counters| &mut counters.unreadable;
    let shared = "198.51.100.1";
    let options = |count: u8, next: u8| {
        let mut headers: Vec<u8> = (0..count).flat_map(|_| [60, 0, 1, 4, 0, 0, 0, 0]).collect();
        let last = headers.len() - 8;
        headers[last] = next;
        headers
    };
    let first = [UDP, 0, 0, 1, 0, 0, 0, 1];
    let later = [UDP, 0, 1, 0, 0, 0, 0, 1];
    let six = "2001:db8:e::1";
    for (what, frame, expected) in [
        ("plain", ethernet(&[], &ipv4(shared, UDP, 0, &ports(2048))), Some(own)),
        ("one tag", ethernet(&[0x8100], &ipv4(shared, UDP, 0, &ports(5000))), Some(port)),
        ("two tags", ethernet(&[0x88a8, 0x8100], &ipv4(shared, UDP, 0, &ports(5000))), Some(port)),
        ("port 0", ethernet(&[], &ipv4("198.51.100.3", UDP, 0, &ports(0))), Some(port)),
        ("a whole address", ethernet(&[], &ipv4("198.51.100.3", UDP, 0, &ports(1))), Some(own)),
        ("a whole address, portless", ethernet(&[], &ipv4("198.51.100.3", GRE, 0, &[0; 8])), Some(own)),
        ("portless", ethernet(&[], &ipv4(shared, GRE, 0, &[0; 8])), Some(portless)),
        ("foreign address", ethernet(&[], &ipv4("198.51.100.9", UDP, 0, &ports(2048))), Some(address)),
        ("not egress", ethernet(&[], &ipv4("192.0.2.1", UDP, 0, &ports(5000))), None),
        ("cut", ethernet(&[], &ipv4(shared, UDP, 0, &[20])), Some(unreadable)),
        ("first fragment", ethernet(&[], &ipv4(shared, UDP, 0x2000, &ports(5000))), Some(port)),
        ("later fragment", ethernet(&[], &ipv4(shared, UDP, 100, &ports(5000))), Some(own)),
        ("later fragment, foreign", ethernet(&[], &ipv4("198.51.100.9", UDP, 100, &ports(5000))), Some(address)),
        ("error", ethernet(&[], &ipv4(shared, 1, 0, &error(&quote(shared, 2048)))), Some(own)),
        ("error, foreign", ethernet(&[], &ipv4(shared, 1, 0, &error(&quote(shared, 5000)))), Some(port)),
        (
            "error, of another",
            ethernet(&[], &ipv4(shared, 1, 0, &error(&quote("198.51.100.9", 2048)))),
            Some(unreadable),
        ),
        ("echo reply", ethernet(&[], &ipv4(shared, 1, 0, &[0; 8])), Some(portless)),
        ("IPv6", ethernet(&[], &ipv6(six, UDP, &ports(2048))), Some(own)),
        ("IPv6 options", ethernet(&[], &ipv6(six, 60, &[options(3, UDP), ports(5000)].concat())), Some(port)),
        ("IPv6 first", ethernet(&[0x8100], &ipv6(six, 44, &[&first[..], &ports(5000)].concat())), Some(port)),
        ("IPv6 later", ethernet(&[], &ipv6(six, 44, &[&later[..], &ports(5000)].concat())), Some(own)),
        ("IPv6 too many", ethernet(&[], &ipv6(six, 60, &[options(9, UDP), ports(2048)].concat())), Some(portless)),
        ("neighbour discovery", ethernet(&[], &ipv6(six, 58, &[135, 0, 0, 0, 0, 0, 0, 0])), Some(own)),
    ] {
        let mut before = rig.counters();
        let hex: String = frame.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(client.ask(&format!("frame {hex}")), "sent", "{what}");
        if let Some(counter) = expected {
            *counter(&mut before) += 1;
        }
        let after = rig.counters();
        assert_eq!(GuardCounters { untold: 0, ..after }, GuardCounters { untold: 0, ..before }, "{what}");
    }
}
