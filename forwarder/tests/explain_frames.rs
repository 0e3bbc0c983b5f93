// SPDX-License-Identifier: MIT OR Apache-2.0
//! What `explain` says of whole frames is what becomes of them: held against every golden vector.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may stop at the first surprise"
)]

mod world;

use std::path::Path;

use forwarder::control::config::{Config, Purpose};
use forwarder::explain::{self, Explanation, MtuVerdict, PrivateKind, Subject, Verdict};
use forwarder::io::DeviceIndex;
use tables::Source;
use world::vectors::{Case, cases_of};
use world::{Fate, World};

/// The document of a world.
fn source(name: &str) -> Source {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(name);
    let config = Config::load(&folder.join("config.toml"), Purpose::Daemon).unwrap();
    Source::from_slice(&std::fs::read(config.table).unwrap()).unwrap()
}

fn explain(world: &World, source: &Source, frame: &[u8]) -> Explanation {
    let subject = Subject { state: &world.state, settings: &world.settings, source };
    explain::explain_frame(subject, frame, DeviceIndex(0))
}

/// False of a later fragment, which meets what its first met in another case.
fn check(case: &Case, explained: &Explanation, source: &Source) -> bool {
    let name = &case.name;
    if explained.verdict == Verdict::Hold {
        assert!(name.contains("later"), "{name}: {explained}");
        return false;
    }
    assert_eq!(explained.reason.as_deref(), case.reason.map(|reason| reason.name()), "{name}");
    let sent: Vec<_> = explained.sent.iter().map(|sent| (sent.device.clone(), sent.frame.clone())).collect();
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let expected: Vec<_> = match &case.fate {
        Fate::Transmit(sent) => sent.iter().map(|(device, frame)| (device.clone(), hex(frame))).collect(),
        Fate::Kernel | Fate::Drop | Fate::Held => Vec::new(),
    };
    assert_eq!(sent, expected, "{name}");
    let verdicts: &[Verdict] = match (&case.fate, case.reason) {
        (_, Some(_)) => &[Verdict::Drop],
        (Fate::Transmit(_), None) => &[Verdict::Server, Verdict::Datacenter, Verdict::Answer],
        (Fate::Kernel, None) => &[Verdict::Kernel],
        (Fate::Drop | Fate::Held, None) => &[],
    };
    assert!(verdicts.contains(&explained.verdict), "{name}: {explained}");
    if explained.verdict == Verdict::Server {
        let server = source.server(source.find_server(explained.target.as_ref().unwrap()).unwrap());
        assert_eq!(explained.outer_destination, Some(server.address), "{name}: {explained}");
        let outer = explained.outer.as_ref().unwrap();
        assert_eq!(
            outer.private == PrivateKind::PreviousOwner,
            explained.previous_hop.is_some(),
            "{name}: {explained}"
        );
        // Pieces are fragments, which no header names a previous owner of.
        let hop = explained.previous_hop.map_or_else(String::new, |hop| format!("{hop}"));
        let hop = hop.split('.').filter_map(|byte| byte.parse::<u8>().ok()).collect::<Vec<_>>();
        assert!(sent[0].1.contains(&hex(&hop)), "{name}: {explained}");
    }
    if let (Some(mtu), Verdict::Server | Verdict::Datacenter) = (&explained.mtu, explained.verdict) {
        let fits = mtu.packet.unwrap() + mtu.overhead <= usize::from(mtu.limit.unwrap());
        assert_eq!(mtu.verdict == Some(MtuVerdict::Fits), fits, "{name}: {explained}");
        assert_eq!(fits, sent.len() == 1, "{name}: {explained}");
    }
    assert_eq!(explained.path.is_some(), explained.prefix.is_some(), "{name}: {explained}");
    assert_eq!(explained.steps.last().map(|step| &step.found), Some(&explained.why), "{name}");
    true
}

#[test]
fn every_golden_vector_is_explained_as_it_fares() {
    for (name, at_least) in [("plain", 250), ("tagged", 15)] {
        let (world, source, cases) = (World::load(name), source(name), cases_of(name));
        assert!(cases.len() >= at_least);
        let checked = cases.iter().filter(|case| check(case, &explain(&world, &source, &case.frame), &source));
        assert!(checked.count() * 20 > cases.len() * 19);
    }
}

#[test]
fn any_bytes_can_be_explained() {
    let (world, source) = (World::load("plain"), source("plain"));
    for case in cases_of("plain").iter().step_by(7) {
        for end in 0..case.frame.len().min(80) {
            let mut frame = case.frame.clone();
            explain(&world, &source, &frame[..end]);
            frame[end] ^= 0x55;
            explain(&world, &source, &frame);
        }
    }
}

#[test]
fn hexadecimal_digits_are_read_as_people_paste_them() {
    assert_eq!(explain::read_hex("02:00 00\n0a").unwrap(), [2, 0, 0, 10]);
    for wrong in ["", " ", "0", "0g", "0x00", &"00".repeat(explain::FRAME_MAX + 1)] {
        explain::read_hex(wrong).unwrap_err();
    }
}
