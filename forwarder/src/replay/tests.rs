// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whole replays, from file to file.

use std::fs;

use tempfile::TempDir;

use super::*;
use crate::io::Nanos;
use crate::testing::{self, ELSEWHERE, FIRST_OWNER, FREE_PORT, OWNED_PORT, SLICED};

type Packets = Vec<(u64, Vec<u8>)>;

/// A folder with captures.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes `in.pcap`.
    fn with(packets: &[(u64, Vec<u8>)], resolution: Resolution) -> Self {
        let folder = Self::new();
        let mut writer = pcap::Writer::new(File::create(folder.path("in.pcap")).unwrap(), resolution).unwrap();
        for (time, frame) in packets {
            writer.write(Nanos(*time), frame).unwrap();
        }
        folder
    }

    fn read(&self, name: &str) -> Packets {
        let mut reader = pcap::Reader::new(File::open(self.path(name)).unwrap()).unwrap();
        let mut packets = Vec::new();
        loop {
            let mut frame = Vec::new();
            match reader.next(&mut frame).unwrap() {
                Some(time) => packets.push((time.0, frame)),
                None => return packets,
            }
        }
    }

    /// `in.pcap` to `output` and `exceptions`.
    fn replay_to(&self, output: &str, exceptions: Option<&str>) -> Result<Report, Error> {
        self.replay_with(testing::settings(), output, exceptions)
    }

    fn replay_with(&self, settings: Settings, output: &str, exceptions: Option<&str>) -> Result<Report, Error> {
        let exceptions = exceptions.map(|name| self.path(name));
        replay(Replay {
            settings,
            source: &testing::table("lhr-1"),
            generation: 7,
            viewpoint: &testing::viewpoint(),
            read: Arc::default(),
            input: &self.path("in.pcap"),
            output: &self.path(output),
            exceptions: exceptions.as_deref(),
        })
    }
}

/// One of each fate; the third comes from before the second.
fn mixed() -> Packets {
    vec![
        (5_000_000_000, testing::udp(SLICED, OWNED_PORT, 1)),
        (5_000_001_000, testing::arp()),
        (4_000_000_000, testing::udp(SLICED, OWNED_PORT, 2)),
        (6_000_000_000, testing::udp(SLICED, FREE_PORT, 3)),
        (6_000_000_000, testing::udp(ELSEWHERE, OWNED_PORT, 4)),
        (6_000_000_000, testing::udp(SLICED, OWNED_PORT, 5)),
    ]
}

#[test]
fn frames_go_where_they_belong_at_their_time() {
    let packets = mixed();
    let folder = Folder::with(&packets, Resolution::Micro);
    let report = folder.replay_to("out.pcap", Some("exc.pcap")).unwrap();

    let out = folder.read("out.pcap");
    assert_eq!(out.iter().map(|(time, _)| *time).collect::<Vec<_>>(), [5_000_000_000, 4_000_000_000, 6_000_000_000]);
    for ((_, frame), index) in out.iter().zip([0, 2, 5]) {
        assert_eq!(frame[..12], *b"\x02\0\0\0\0\x02\x02\0\0\0\0\x01", "to the next hop, from the device");
        assert_eq!(testing::forwarded(frame).0, FIRST_OWNER);
        assert_eq!(frame[testing::OUTER_LEN..], packets[index].1[14..], "the packet as it came");
    }
    assert_eq!(folder.read("exc.pcap"), [packets[1].clone(), packets[4].clone()]);

    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["generation"], 7);
    assert_eq!(json["counters"]["rx"], 6);
    assert_eq!(json["counters"]["tx"], 3);
    assert_eq!(json["counters"]["exception"], 2);
    assert_eq!(json["counters"]["drops"]["unallocated_port"], 1);
}

#[test]
fn there_is_always_a_kernel_path_and_a_next_hop() {
    let folder = Folder::with(&mixed(), Resolution::Micro);
    let mut settings = testing::settings();
    for device in &mut settings.devices {
        device.kernel_path = false;
        device.next_hop = None;
    }
    let report = folder.replay_with(settings, "out.pcap", None).unwrap();
    assert_eq!((report.counters.tx, report.counters.exception), (3, 2));
    assert_eq!(folder.read("out.pcap")[0].1[..6], [0; 6]);

    let mut settings = testing::settings();
    settings.devices.reverse();
    folder.replay_with(settings, "out.pcap", None).unwrap();
    assert_eq!(folder.read("out.pcap")[0].1[..6], [2, 0, 0, 0, 0, 2], "the first device that has a next hop");
}

/// The bytes are scapy's.
#[test]
fn an_answer_to_a_peer_leaves_by_its_device_though_that_has_no_next_hop() {
    const REQUEST: &[u8] = b"\x02\0\0\0\0\x01\x02\0\0\0\0\x09\x08\0\
        \x45\0\0\x42\0\0\x40\0\x3d\x11\x29\xaa\x0a\0\0\x01\x0a\0\0\x01\xc3\x50\x17\xc0\0\x2e\0\0\0\x04\0\0\
        \x45\0\0\x22\0\x07\0\0\x39\x01\x95\x9e\xc0\0\x02\x01\xc6\x33\x64\x01\x08\0\x99\x8f\x12\x34\0\x01sluice";
    const REPLY: &[u8] = b"\0\0\0\0\0\0\x02\0\0\0\0\x01\x08\0\
        \x45\0\0\x22\0\0\x40\0\x40\x01\x4e\xa5\xc6\x33\x64\x01\xc0\0\x02\x01\0\0\xa1\x8f\x12\x34\0\x01sluice";
    let folder = Folder::with(&[(0, REQUEST.into()), (1_000, testing::udp(SLICED, OWNED_PORT, 1))], Resolution::Micro);
    let mut settings = testing::settings();
    settings.devices.reverse();
    let report = folder.replay_with(settings, "out.pcap", None).unwrap();
    assert_eq!((report.counters.tx, report.counters.drops.values().sum::<u64>()), (2, 0));
    let out = folder.read("out.pcap");
    assert_eq!(out[0].1, REPLY);
    assert_eq!(out[1].1[..6], [2, 0, 0, 0, 0, 2], "what is forwarded still leaves by the other device");
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let folder = Folder::with(&mixed(), Resolution::Nano);
    folder.replay_to("a.pcap", Some("a-exc.pcap")).unwrap();
    // What a longer file held before is gone.
    fs::write(folder.path("b.pcap"), [7; 5_000]).unwrap();
    folder.replay_to("b.pcap", Some("b-exc.pcap")).unwrap();
    assert_eq!(fs::read(folder.path("a.pcap")).unwrap(), fs::read(folder.path("b.pcap")).unwrap());
    assert_eq!(fs::read(folder.path("a-exc.pcap")).unwrap(), fs::read(folder.path("b-exc.pcap")).unwrap());
}

#[test]
fn the_output_has_the_resolution_of_the_input() {
    for (resolution, time) in [(Resolution::Micro, 1_000), (Resolution::Nano, 1_001)] {
        let folder = Folder::with(&[(1_001, testing::udp(SLICED, OWNED_PORT, 1))], resolution);
        folder.replay_to("out.pcap", None).unwrap();
        assert_eq!(folder.read("out.pcap")[0].0, time);
        assert_eq!(fs::read(folder.path("out.pcap")).unwrap()[..4], fs::read(folder.path("in.pcap")).unwrap()[..4]);
    }
}

#[test]
fn a_capture_without_packets_gives_one_without() {
    let folder = Folder::with(&[], Resolution::Micro);
    let report = folder.replay_to("out.pcap", Some("exc.pcap")).unwrap();
    assert_eq!((report.counters.rx, report.counters.tx), (0, 0));
    assert_eq!(folder.read("out.pcap"), []);
    assert_eq!(folder.read("exc.pcap"), []);
}

#[test]
fn a_cut_capture_is_replayed_as_far_as_it_goes() {
    let folder = Folder::with(&mixed(), Resolution::Micro);
    let whole = fs::read(folder.path("in.pcap")).unwrap();
    fs::write(folder.path("in.pcap"), &whole[..whole.len() - 1]).unwrap();
    let error = folder.replay_to("out.pcap", None).unwrap_err().to_string();
    assert!(error.contains("in.pcap: packet 6: the file ends in the middle of it"), "{error}");
    assert!(error.contains("out.pcap has what comes before it"), "{error}");
    assert_eq!(folder.read("out.pcap").len(), 2);
}

#[test]
fn what_is_no_capture_costs_no_output() {
    let folder = Folder::new();
    fs::write(folder.path("in.pcap"), "not a capture").unwrap();
    let error = folder.replay_to("out.pcap", None).unwrap_err().to_string();
    assert!(error.contains("in.pcap: file header: neither pcap nor pcapng"), "{error}");
    assert!(!folder.path("out.pcap").exists());

    fs::remove_file(folder.path("in.pcap")).unwrap();
    let error = folder.replay_to("out.pcap", None).unwrap_err().to_string();
    assert!(error.contains("in.pcap: can't be read: No such file"), "{error}");
    assert!(!folder.path("out.pcap").exists());

    fs::create_dir(folder.path("in.pcap")).unwrap();
    let error = folder.replay_to("out.pcap", None).unwrap_err().to_string();
    assert!(error.contains("in.pcap: can't be read: Is a directory"), "{error}");
}

#[test]
fn no_capture_overwrites_another() {
    let folder = Folder::with(&mixed(), Resolution::Micro);
    let whole = fs::read(folder.path("in.pcap")).unwrap();
    fs::hard_link(folder.path("in.pcap"), folder.path("linked.pcap")).unwrap();
    std::os::unix::fs::symlink(folder.path("in.pcap"), folder.path("symlink.pcap")).unwrap();
    for output in ["in.pcap", "linked.pcap", "symlink.pcap"] {
        let to_output = folder.replay_to(output, None).unwrap_err();
        let to_exceptions = folder.replay_to("out.pcap", Some(output)).unwrap_err();
        for error in [to_output, to_exceptions] {
            assert!(matches!(error, Error::SameFile { .. }), "{output}: {error}");
        }
        assert_eq!(fs::read(folder.path("in.pcap")).unwrap(), whole, "{output}");
    }
    let error = folder.replay_to("out.pcap", Some("out.pcap")).unwrap_err();
    assert!(matches!(error, Error::SameFile { .. }), "{error}");
    folder.replay_to("/dev/null", Some("/dev/null")).unwrap();
}

#[test]
fn what_can_not_be_written_is_said() {
    let folder = Folder::with(&mixed(), Resolution::Micro);
    let error = folder.replay_to("nowhere/out.pcap", None).unwrap_err().to_string();
    assert!(error.contains("nowhere/out.pcap: can't be written: No such file"), "{error}");
    let error = folder.replay_to("out.pcap", Some("/dev/full")).unwrap_err().to_string();
    assert!(error.contains("/dev/full: can't be written: No space left"), "{error}");
}

#[test]
fn a_configuration_without_devices_replays_nothing() {
    let folder = Folder::with(&mixed(), Resolution::Micro);
    let settings = Settings { devices: Vec::new(), ..testing::settings() };
    assert!(matches!(folder.replay_with(settings, "out.pcap", None), Err(Error::NoDevice)));
}

#[test]
fn a_table_that_does_not_suit_is_said_before_anything_is_written() {
    let folder = Folder::with(&mixed(), Resolution::Micro);
    let viewpoint = Viewpoint { ipv4: None, ipv6: Some("2001:db8::1".parse().unwrap()), ..testing::viewpoint() };
    let error = replay(Replay {
        settings: testing::settings(),
        source: &testing::table("lhr-1"),
        generation: 1,
        viewpoint: &viewpoint,
        read: Arc::default(),
        input: &folder.path("in.pcap"),
        output: &folder.path("out.pcap"),
        exceptions: None,
    });
    assert!(matches!(error, Err(Error::Table(_))));
    assert!(!folder.path("out.pcap").exists());
}
