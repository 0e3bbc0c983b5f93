// SPDX-License-Identifier: MIT OR Apache-2.0
//! What holds for every frame: none is lost or doubled, none brings the pipeline down, and what leaves carries the inner
//! packet byte for byte behind headers that are right, is a piece of it, or tells its sender why not.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may stop at the first surprise"
)]

mod decode;
mod sound;
mod world;

use std::net::IpAddr;

use decode::{Encapsulated, Message, Sent, reassembled};
use forwarder::counters::DropReason;
use proptest::collection::vec;
use proptest::prelude::*;
use sound::{Sound, damaged, sound};
use world::{Fate, World};

/// What the contract says of the headers in front of `packet`, or of a piece of it.
fn check_headers(packet: &Sound, sent: &Encapsulated<'_>, key: &[u8; 16], is_piece: bool) -> Result<(), TestCaseError> {
    prop_assert_eq!(sent.protocol, if packet.destination.is_ipv4() { 4 } else { 41 });
    prop_assert_eq!((sent.vlan, sent.gue_port), (None, 6080));
    prop_assert_eq!(sent.traffic_class, packet.traffic_class);
    prop_assert!(sent.len <= 1600);

    let hash = packet.flow_hash(key, is_piece);
    prop_assert_eq!(sent.source_port, 49152 + (hash % (1 << 14)) as u16);
    prop_assert_eq!(sent.flow_label, sent.destination.is_ipv6().then_some((hash >> 14) as u32 % (1 << 20)));
    let own: IpAddr = match sent.destination {
        IpAddr::V4(_) => [10, 0, 0, 1].into(),
        IpAddr::V6(_) => "2001:db8:a::1".parse().unwrap(),
    };
    prop_assert_eq!(sent.source, own);

    let is_remote = ["198.51.100.3", "2001:db8:e:2::1"].contains(&&*packet.destination.to_string());
    if is_remote {
        prop_assert_eq!(sent.private, &[0x53, 0x01, 1, 0, 0, 0, 0, 42][..]);
        let forwarders = ["10.1.0.1", "2001:db8:b::1", "10.1.0.2"];
        // pieces go where the packet would
        let chosen = forwarders[(((packet.flow_hash(key, false) >> 32) * 3) >> 32) as usize];
        prop_assert_eq!(sent.destination, chosen.parse::<IpAddr>().unwrap());
    } else if !sent.private.is_empty() {
        prop_assert!(matches!(packet.protocol, 6 | 17) && !is_piece);
        prop_assert_eq!(&sent.private[..4], &[0, 0, 0, 1][..]);
        prop_assert_eq!(sent.private.len(), 8);
    }
    Ok(())
}

/// What the contract says of the error about `packet`.
fn check_error(packet: &Sound, sent: &Message<'_>) -> Result<(), TestCaseError> {
    let inner = packet.packet();
    prop_assert_eq!((sent.source, sent.destination), (packet.destination, packet.source));
    prop_assert_eq!(sent.traffic_class, 0);
    let (kind, header_len, longest) = match packet.destination {
        IpAddr::V4(_) => ((3, 4), 28, 576),
        IpAddr::V6(_) => ((2, 0), 48, 1280),
    };
    prop_assert_eq!((sent.kind, sent.code), kind);
    prop_assert_eq!(sent.body, &inner[..inner.len().min(longest - header_len)]);
    let mtu = sent.second_word as usize;
    prop_assert!([1600 - 32, 1600 - 40, 1600 - 52, 1600 - 60].contains(&mtu), "{}", mtu);
    prop_assert!(inner.len() > mtu, "it would have fitted");
    prop_assert!(packet.dont_fragment || packet.destination.is_ipv6());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// [`World::process`] checks that every frame comes out once and that every drop is counted.
    #[test]
    fn any_bytes_have_one_fate(frames in vec(vec(any::<u8>(), 0..120), 0..20)) {
        World::load("plain").process(&frames);
    }

    #[test]
    fn damaged_frames_have_one_fate_and_travel_unchanged(frames in vec(damaged(), 1..20)) {
        let mut world = World::load("plain");
        for (frame, fate) in frames.iter().zip(world.process(&frames)) {
            let Fate::Transmit(sent) = fate else { continue };
            let holds = |bytes: &[u8]| bytes.is_empty() || frame.windows(bytes.len()).any(|part| part == bytes);
            match &sent.iter().map(|(_, frame)| Sent::read(frame)).collect::<Vec<_>>()[..] {
                [Sent::Encapsulated(sent)] => prop_assert!(sent.len <= 1600 && holds(sent.inner)),
                [Sent::Message(sent)] => prop_assert!(holds(sent.body)),
                pieces => {
                    let pieces: Vec<_> = pieces.iter().filter_map(Sent::encapsulated).collect();
                    prop_assert_eq!(pieces.len(), sent.len());
                    prop_assert!(pieces.iter().all(|piece| piece.len <= 1600));
                    prop_assert!(holds(&reassembled(pieces.iter().map(|piece| piece.inner))));
                }
            }
        }
    }

    #[test]
    fn sound_packets_travel_behind_right_headers(packets in vec(sound(), 1..20)) {
        let mut world = World::load("plain");
        let frames: Vec<_> = packets.iter().map(Sound::frame).collect();
        for (packet, fate) in packets.iter().zip(world.process(&frames)) {
            let Fate::Transmit(sent) = fate else { continue };
            let key = &world.settings.flow_key;
            match &sent.iter().map(|(_, frame)| Sent::read(frame)).collect::<Vec<_>>()[..] {
                [Sent::Encapsulated(sent)] => {
                    prop_assert_eq!(sent.inner, &packet.packet()[..]);
                    check_headers(packet, sent, key, false)?;
                }
                [Sent::Message(sent)] => check_error(packet, sent)?,
                pieces => {
                    prop_assert!(!packet.dont_fragment && packet.destination.is_ipv4());
                    let pieces: Vec<_> = pieces.iter().filter_map(Sent::encapsulated).collect();
                    prop_assert_eq!(pieces.len(), sent.len());
                    for piece in &pieces {
                        check_headers(packet, piece, key, true)?;
                    }
                    let header_len = 20 + 4 * packet.extras;
                    let whole = packet.packet();
                    prop_assert_eq!(reassembled(pieces.iter().map(|piece| piece.inner)), &whole[header_len..]);
                }
            }
        }
    }

    /// An error about what a server sent goes where the answers to it go, and looks the same from outside.
    #[test]
    fn errors_go_the_way_of_their_flow(answer in sound(), kind in 0..4usize, length in 0..100usize, right in any::<bool>()) {
        let mut world = World::load("plain");
        prop_assume!(matches!(answer.protocol, 6 | 17 | 33 | 132 | 136));
        let question = Sound { payload: vec![0xab; 8], ..answer.turned_round() }.packet();
        let headers = question.len() - 12;
        let quote = &question[..(headers + 4 + length).min(question.len())];
        let error = sound::error([[3, 11, 12, 3], [1, 2, 3, 4]][usize::from(answer.destination.is_ipv6())][kind], &answer, quote, right);
        let answer = Sound { payload: vec![0; 20], ..answer };
        let is_whole = ["198.51.100.3", "198.51.100.4", "198.51.100.5", "198.51.100.6", "2001:db8:e::1", "2001:db8:e:2::1"]
            .contains(&&*answer.destination.to_string());

        let answered = world.process(&[answer.frame()]).remove(0);
        let told = world.process(&[error]).remove(0);
        if !right && !is_whole {
            prop_assert_eq!(&told, &Fate::Drop);
            prop_assert_eq!(world.counters.dropped(DropReason::Malformed), 1);
        } else if let (Fate::Transmit(answered), Fate::Transmit(told)) = (&answered, &told) {
            let (answered, told) = (Encapsulated::read(&answered[0].1), Encapsulated::read(&told[0].1));
            prop_assert_eq!((told.destination, told.source_port), (answered.destination, answered.source_port));
            prop_assert_eq!(told.flow_label, answered.flow_label);
            prop_assert!(told.private.is_empty() || told.private == answered.private && told.private[0] == 0x53);
        } else {
            prop_assert_eq!((&answered, &told), (&Fate::Drop, &Fate::Drop));
            prop_assert_eq!(world.counters.dropped(DropReason::UnallocatedPort), 2);
        }
    }
}
