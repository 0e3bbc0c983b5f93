// SPDX-License-Identifier: MIT OR Apache-2.0
//! Our reading of filters is libpcap's own: both are asked about the same packets. And no program, whoever sent it, does harm.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may stop at the first surprise"
)]

mod world;

use forwarder::capture::filter::{Filter, Instruction, LENGTH_MAX, Refused};
use pcap::{BpfProgram, Capture, Linktype};
use proptest::prelude::*;
use world::vectors::cases_of;

const EXPRESSIONS: [&str; 23] = [
    "ip",
    "ip6",
    "arp or rarp",
    "tcp port 443",
    "udp and not port 53",
    "host 198.51.100.1",
    "src net 203.0.113.0/24 and dst portrange 2048-4095",
    "net 2001:db8:e::/48",
    "icmp[icmptype] == icmp-unreach",
    "icmp6",
    "ip proto 47",
    "vlan",
    "vlan 100 and ip",
    "ether host 02:00:00:00:00:01",
    "ether multicast",
    "less 100",
    "greater 300 and ip",
    "len % 7 == 3",
    "ip[0] & 0xf > 5",
    "ip[6:2] & 0x3fff != 0",
    "tcp[tcpflags] & (tcp-syn|tcp-ack) == tcp-syn|tcp-ack",
    "ether[len - 1] / 3 * 2 ^ 5 << 3 >> 1 | 1 > 40",
    "ip[2:2] - ip[8] > udp[4:2] + 10",
];

fn compiled(expression: &str, optimize: bool) -> (BpfProgram, Result<Filter, Refused>) {
    let program = Capture::dead(Linktype::ETHERNET).unwrap().compile(expression, optimize).unwrap();
    let instructions: Vec<Instruction> = program
        .get_instructions()
        .iter()
        .map(|instruction| {
            let text = instruction.to_string();
            let numbers: Vec<u32> = text.split(' ').map(|number| number.parse().unwrap()).collect();
            (numbers[0] as u16, numbers[1] as u8, numbers[2] as u8, numbers[3])
        })
        .collect();
    (program, Filter::new(&instructions))
}

#[test]
fn filters_mean_what_libpcap_means() {
    let mut frames: Vec<_> = cases_of("plain").into_iter().chain(cases_of("tagged")).map(|case| case.frame).collect();
    let cut: Vec<_> =
        frames.iter().enumerate().map(|(n, frame)| frame[..frame.len().min(10 + n % 60)].to_vec()).collect();
    frames.extend(cut);
    for (index, expression) in EXPRESSIONS.iter().enumerate() {
        for optimize in [false, true] {
            let (program, filter) = compiled(expression, optimize);
            let filter = filter.unwrap();
            let passed: Vec<_> = frames.iter().map(|frame| program.filter(frame)).collect();
            for (frame, &passed) in frames.iter().zip(&passed) {
                assert_eq!(filter.passes(frame, frame.len() as u32), passed, "{expression}: {frame:02x?}");
            }
            let count = passed.iter().filter(|passed| **passed).count();
            assert!(count < frames.len() && (count > 0 || index > 12), "{expression}: {count} of {}", frames.len());
        }
    }
}

#[test]
fn what_could_run_on_or_out_of_bounds_is_refused() {
    const RETURN: Instruction = (6, 0, 0, 1);
    let refused = |program: &[Instruction]| Filter::new(program).unwrap_err();
    assert_eq!(refused(&[]), Refused::Length(0));
    assert_eq!(refused(&vec![RETURN; LENGTH_MAX + 1]), Refused::Length(LENGTH_MAX + 1));
    Filter::new(&[RETURN; LENGTH_MAX]).unwrap();
    for (what, wrong) in [
        ("no such instruction", (0xff, 0, 0, 0)),
        ("a jump over the end", (5, 0, 0, 1)),
        ("a jump that wraps", (5, 0, 0, u32::MAX)),
        ("a branch over the end", (0x15, 0, 1, 0)),
        ("no such word of memory", (2, 0, 0, 16)),
        ("no such word to load", (0x60, 0, 0, 16)),
        ("a division by zero", (0x34, 0, 0, 0)),
    ] {
        assert_eq!(refused(&[wrong, RETURN]), Refused::Instruction(0), "{what}");
    }
    assert_eq!(refused(&[(0x80, 0, 0, 0)]), Refused::End);
    // It walks a chain of headers by jumping back, which no kernel takes either.
    assert!(matches!(compiled("ip6 protochain 17", false).1, Err(Refused::Instruction(_))));
    assert!(Filter::new(&[(5, 0, 0, 0), RETURN]).unwrap().passes(&[], 0));
    // By X, which is 0.
    assert!(!Filter::new(&[(0x3c, 0, 0, 0), RETURN]).unwrap().passes(&[], 0));
}

proptest! {
    #[test]
    fn any_program_ends(
        program in prop::collection::vec((0_u16..0xb8, 0_u8..20, 0_u8..20, prop_oneof![0_u32..40, any::<u32>()]), 1..60),
        packet in prop::collection::vec(any::<u8>(), 0..80),
    ) {
        let mut program = program;
        program.push((0x16, 0, 0, 0));
        if let Ok(filter) = Filter::new(&program) {
            filter.passes(&packet, packet.len() as u32);
        }
    }
}
