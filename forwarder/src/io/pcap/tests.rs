// SPDX-License-Identifier: MIT OR Apache-2.0
//! Captures written by hand from the format's drafts, whole, cut, and bent.

use proptest::prelude::*;

use super::*;

const FRAME: &[u8] = b"fourteen bytes";

/// Seconds 1, fraction 2, 14 of 1514 bytes captured, snap length 0.
const CLASSIC_LE_MICRO: &[u8] = b"\xd4\xc3\xb2\xa1\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\0\
    \x01\0\0\0\x02\0\0\0\x0e\0\0\0\xea\x05\0\0fourteen bytes";
const CLASSIC_BE_NANO: &[u8] = b"\xa1\xb2\x3c\x4d\0\x02\0\x04\0\0\0\0\0\0\0\0\0\x04\0\0\0\0\0\x01\
    \0\0\0\x01\0\0\0\x02\0\0\0\x0e\0\0\0\x0efourteen bytes";

/// A section, a block of an unknown type, an interface with a name and nanoseconds, a packet at 2³² + 5 ns with a comment.
const PCAPNG_LE: &[u8] =
    b"\x0a\x0d\x0d\x0a\x1c\0\0\0\x4d\x3c\x2b\x1a\x01\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\x1c\0\0\0\
    \xad\x0b\0\0\x10\0\0\0junk\x10\0\0\0\
    \x01\0\0\0\x2c\0\0\0\x01\0\0\0\0\0\x04\0\x02\0\x05\0eth00\0\0\0\x09\0\x01\0\x09\0\0\0\0\0\0\0\x2c\0\0\0\
    \x06\0\0\0\x38\0\0\0\0\0\0\0\x01\0\0\0\x05\0\0\0\x0e\0\0\0\xea\x05\0\0fourteen bytes\0\0\
    \x01\0\x02\0\xff\xfe\0\0\x38\0\0\0";

/// The same in big-endian, the interface without options, the packet at 3 µs.
const PCAPNG_BE: &[u8] =
    b"\x0a\x0d\x0d\x0a\0\0\0\x1c\x1a\x2b\x3c\x4d\0\x01\0\0\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\x1c\
    \0\0\0\x01\0\0\0\x14\0\x01\0\0\0\0\0\x0a\0\0\0\x14\
    \0\0\0\x06\0\0\0\x30\0\0\0\0\0\0\0\0\0\0\0\x03\0\0\0\x0e\0\0\0\x0efourteen bytes\0\0\0\0\0\x30";

/// Nanoseconds and bytes.
type Packets = Vec<(u64, Vec<u8>)>;

/// Everything that a capture holds, and how reading it ended.
fn read(file: &[u8]) -> (Packets, Result<(), Error>) {
    let mut packets = Vec::new();
    let mut reader = match Reader::new(file) {
        Ok(reader) => reader,
        Err(error) => return (packets, Err(error)),
    };
    loop {
        let mut frame = Vec::new();
        match reader.next(&mut frame) {
            Ok(Some(time)) => packets.push((time.0, frame)),
            Ok(None) => return (packets, Ok(())),
            Err(error) => return (packets, Err(error)),
        }
    }
}

fn whole(file: &[u8]) -> Packets {
    let (packets, end) = read(file);
    end.unwrap();
    packets
}

fn error(file: &[u8]) -> String {
    read(file).1.unwrap_err().to_string()
}

#[test]
fn classic_in_both_orders_and_resolutions() {
    assert_eq!(whole(CLASSIC_LE_MICRO), [(1_000_002_000, FRAME.to_vec())]);
    assert_eq!(whole(CLASSIC_BE_NANO), [(1_000_000_002, FRAME.to_vec())]);
    assert_eq!(Reader::new(CLASSIC_LE_MICRO).unwrap().resolution(), Resolution::Micro);
    assert_eq!(Reader::new(CLASSIC_BE_NANO).unwrap().resolution(), Resolution::Nano);
    assert_eq!(whole(&CLASSIC_LE_MICRO[..24]), []);
}

#[test]
fn pcapng_in_both_orders_one_section_after_the_other() {
    assert_eq!(whole(PCAPNG_LE), [(0x1_0000_0005, FRAME.to_vec())]);
    assert_eq!(whole(PCAPNG_BE), [(3_000, FRAME.to_vec())]);
    let both = [PCAPNG_LE, PCAPNG_BE].concat();
    assert_eq!(whole(&both), [(0x1_0000_0005, FRAME.to_vec()), (3_000, FRAME.to_vec())]);
    assert_eq!(Reader::new(PCAPNG_BE).unwrap().resolution(), Resolution::Nano);
}

const SECTION: &[u8] = PCAPNG_LE.split_at(28).0;

/// A little-endian block.
fn block(kind: u32, body: &[u8]) -> Vec<u8> {
    let length = (body.len() as u32 + 12).to_le_bytes();
    [&kind.to_le_bytes(), &length[..], body, &length].concat()
}

#[test]
fn pcapng_clocks_count_as_their_interface_says() {
    let time = |options: &[u8], stamp: u64| {
        let stamp = [((stamp >> 32) as u32).to_le_bytes(), (stamp as u32).to_le_bytes()].concat();
        let interface = block(1, &[b"\x01\0\0\0\0\0\0\0", options].concat());
        let packet = block(6, &[&[0; 4], &stamp[..], &[0; 8]].concat());
        whole(&[SECTION, &interface, &packet].concat())[0].0
    };
    assert_eq!(time(b"", 7), 7_000);
    assert_eq!(time(b"\x09\0\x01\0\x03\0\0\0", 7), 7_000_000);
    assert_eq!(time(b"\x09\0\x01\0\x0c\0\0\0", 7_999), 7, "picoseconds");
    assert_eq!(time(b"\x09\0\x01\0\x7f\0\0\0", u64::MAX), 0, "10⁻¹²⁷ s");
    assert_eq!(time(b"\x09\0\x01\0\x80\0\0\0", 7), 7_000_000_000, "2⁰ s");
    assert_eq!(time(b"\x09\0\x01\0\x8a\0\0\0", 512), 500_000_000, "2⁻¹⁰ s");
    assert_eq!(time(b"\x09\0\x01\0\xff\0\0\0", u64::MAX), 0, "2⁻¹²⁷ s");
    assert_eq!(time(b"\x0e\0\x08\0\x02\0\0\0\0\0\0\0", 7), 2_000_007_000, "two seconds on");
    assert_eq!(time(b"\x0e\0\x08\0\xff\xff\xff\xff\xff\xff\xff\xff", 1_000_007), 7_000, "a second back");
    assert_eq!(time(b"\x0e\0\x08\0\xff\xff\xff\xff\xff\xff\xff\xff", 7), 0, "before 1970");
    assert_eq!(time(b"\x09\0\x01\0\0\0\0\0", u64::MAX), u64::MAX, "after 2554");
    assert_eq!(time(b"\0\0\0\0\x09\0\x01\0\x03\0\0\0", 7), 7_000, "behind the end of options");
}

#[test]
fn pcapng_packets_of_the_other_kinds() {
    let interface = block(1, b"\x01\0\0\0\x04\0\0\0");
    let enhanced = block(6, b"\0\0\0\0\0\0\0\0\x05\0\0\0\x01\0\0\0\x01\0\0\0e\0\0\0");
    let obsolete = block(2, b"\0\0\xff\xff\0\0\0\0\x09\0\0\0\x02\0\0\0\x02\0\0\0ol\0\0");
    let simple = block(3, b"\x64\0\0\0simp");
    let file = [SECTION, &interface, &enhanced, &obsolete, &simple].concat();
    let expected = [(5_000, b"e".to_vec()), (9_000, b"ol".to_vec()), (9_000, b"simp".to_vec())];
    assert_eq!(whole(&file), expected, "a simple packet is cut at the snap length, and has the last time");
}

#[test]
fn only_ethernet() {
    let mut cooked = CLASSIC_LE_MICRO.to_vec();
    cooked[20] = 113;
    assert!(error(&cooked).starts_with("file header: link type 113 is not Ethernet"));
    let mut with_fcs = CLASSIC_LE_MICRO.to_vec();
    with_fcs[23] = 0x44;
    assert_eq!(whole(&with_fcs).len(), 1, "the length of the FCS is not part of the link type");
    let interfaces = [block(1, b"\x71\0\0\0\0\0\0\0"), block(1, b"\x01\0\0\0\0\0\0\0")].concat();
    let from = |id: u8| block(6, &[&[id][..], &[0; 19]].concat());
    assert_eq!(whole(&[SECTION, &interfaces, &from(1)].concat()).len(), 1, "others may be there, but not be used");
    assert!(error(&[SECTION, &interfaces, &from(1), &from(0)].concat()).starts_with("packet 2: link type 113"));
    assert!(error(&[SECTION, &interfaces, &from(2)].concat()).contains("does not describe"));
}

#[test]
fn no_capture_at_all() {
    assert!(error(b"").contains("file is empty"));
    assert!(error(b"\x1f\x8b\x08\x00rest").contains("starts with 1f 8b 08 00"));
    assert!(error(b"\xd4\xc3").starts_with("file header: the file ends in the middle"));
    assert!(error(b"\x0a\x0d\x0d\x0a\x1c\0\0\0abcd").contains("byte-order magic"));
}

#[test]
fn a_claimed_length_buys_no_memory() {
    let mut huge = CLASSIC_LE_MICRO.to_vec();
    huge[32..36].copy_from_slice(b"\xff\xff\xff\x7f");
    assert!(error(&huge).starts_with("packet 1: it claims 2147483647 bytes"));
    let mut block = PCAPNG_LE.to_vec();
    block[28 + 4..28 + 8].copy_from_slice(b"\xf0\xff\xff\xff");
    assert!(error(&block).starts_with("packet 1: the file ends in the middle"));
    let mut frame = PCAPNG_BE.to_vec();
    frame[28 + 20 + 20..28 + 20 + 24].copy_from_slice(b"\0\0\x10\0");
    assert!(error(&frame).contains("a block shorter than what it should hold"));
}

#[test]
fn blocks_that_contradict_themselves() {
    let with = |offset: usize, byte: u8| {
        let mut file = PCAPNG_LE.to_vec();
        file[offset] = byte;
        error(&file)
    };
    assert!(with(32, 0x0f).contains("no multiple of 4"));
    assert!(with(32, 0x08).contains("below 12"));
    assert!(with(40, 0x14).contains("two lengths differ"));
}

#[test]
fn cut_anywhere_it_says_so() {
    for (file, header) in [(CLASSIC_LE_MICRO, 24), (CLASSIC_BE_NANO, 24)] {
        for cut in (1..file.len()).filter(|cut| *cut != header) {
            let (packets, end) = read(&file[..cut]);
            assert_eq!(packets, [], "cut at {cut}");
            let end = end.unwrap_err();
            assert!(matches!(end.fault, Fault::Truncated), "cut at {cut}: {end}");
            assert_eq!(end.packet, u64::from(cut > header), "cut at {cut}");
        }
    }
    let ends = [28, 44, 88];
    for cut in (1..PCAPNG_LE.len()).filter(|cut| !ends.contains(cut)) {
        let (packets, end) = read(&PCAPNG_LE[..cut]);
        assert_eq!(packets, [], "cut at {cut}");
        assert!(matches!(end.unwrap_err().fault, Fault::Truncated), "cut at {cut}");
    }
    for cut in ends {
        assert_eq!(whole(&PCAPNG_LE[..cut]), [], "cut at {cut}");
    }
}

#[test]
fn what_is_written() {
    let mut file = Vec::new();
    let mut writer = Writer::new(&mut file, Resolution::Micro).unwrap();
    writer.write(Nanos(1_000_002_999), FRAME).unwrap();
    writer.flush().unwrap();
    let expected = b"\xd4\xc3\xb2\xa1\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\x04\0\x01\0\0\0\
        \x01\0\0\0\x02\0\0\0\x0e\0\0\0\x0e\0\0\0fourteen bytes";
    assert_eq!(file, expected);

    let mut file = Vec::new();
    Writer::new(&mut file, Resolution::Nano).unwrap().write(Nanos(u64::MAX), b"").unwrap();
    assert_eq!(file[..4], [0x4d, 0x3c, 0xb2, 0xa1]);
    assert_eq!(file[24..], *b"\xff\xff\xff\xff\xff\xe5\x4a\x2a\0\0\0\0\0\0\0\0", "709 551 615 ns; no such seconds");
}

proptest! {
    #[test]
    fn bytes_of_any_kind_end_in_an_error_or_not_at_all(
        magic in 0..5_usize,
        rest in proptest::collection::vec(any::<u8>(), 0..400),
    ) {
        let heads = [&b""[..], &CLASSIC_LE_MICRO[..24], &CLASSIC_BE_NANO[..24], SECTION, &PCAPNG_BE[..48]];
        let _ = read(&[heads[magic], &rest].concat());
    }

    #[test]
    fn bent_captures_end_in_an_error_or_not_at_all(
        which in 0..4_usize,
        bends in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut file = [CLASSIC_LE_MICRO, CLASSIC_BE_NANO, PCAPNG_LE, PCAPNG_BE][which].to_vec();
        for (place, byte) in bends {
            let place = place.index(file.len());
            file[place] = byte;
        }
        let (packets, _) = read(&file);
        prop_assert!(packets.iter().map(|(_, frame)| frame.len()).sum::<usize>() <= file.len());
    }

    #[test]
    fn what_is_written_is_read(
        frames in proptest::collection::vec((0..u64::from(u32::MAX) * 1_000_000_000, proptest::collection::vec(any::<u8>(), 0..100)), 0..10),
    ) {
        let mut file = Vec::new();
        let mut writer = Writer::new(&mut file, Resolution::Nano).unwrap();
        for (time, frame) in &frames {
            writer.write(Nanos(*time), frame).unwrap();
        }
        prop_assert_eq!(whole(&file), frames);
    }
}
