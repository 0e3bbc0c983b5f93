// SPDX-License-Identifier: MIT OR Apache-2.0
use serde_json::de::IoRead;

use super::super::document::Document;
use super::super::parse_members;
use super::Window;
use crate::fault::Fault;
use crate::source::Entry;

/// What came of a document.
type Outcome = (Vec<Entry>, Vec<Fault>, bool);

const HEAD: &str = r#"{"version": 1, "datacenters": {"LHR": {"forwarders": []}},
 "servers": {"s": {"datacenter": "LHR", "address": "10.0.0.1"}},
 "egress": ["#;

/// The document through a window of `size` bytes into which the stream comes by `chunk` bytes, and how many bytes of it
/// the parser of the stream did not see.
fn through(json: &[u8], size: usize, chunk: usize) -> (Outcome, usize) {
    let mut chunks = Chunks { json, chunk };
    let window = Window::new(&mut chunks, size);
    let (draft, complete) = parse_members(IoRead::new(&window), &mut Document::new(&window), Some(&window));
    let faults = draft.faults.finish().err().map_or_else(Vec::new, |faults| faults.0);
    let state = window.0.borrow();
    ((draft.egress.entries, faults, complete), state.skipped.bytes)
}

/// The document byte by byte, as serde_json takes streams.
fn plainly(json: &[u8]) -> Outcome {
    let (draft, complete) = parse_members(IoRead::new(json), &mut Document::default(), None);
    let faults = draft.faults.finish().err().map_or_else(Vec::new, |faults| faults.0);
    (draft.egress.entries, faults, complete)
}

struct Chunks<'a> {
    json: &'a [u8],
    chunk: usize,
}

impl std::io::Read for Chunks<'_> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let count = out.len().min(self.chunk);
        self.json.read(&mut out[..count])
    }
}

fn entry(index: u32) -> String {
    let address = std::net::Ipv4Addr::from_bits(0x6440_0000 + index);
    let line = if index.is_multiple_of(3) { "\n" } else { " " };
    format!(
        r#"{{"prefix": "{address}/32",{line}"datacenter": "LHR", "slices": {{"ports": 2048,{line}"owners": [null, "s"]}}}}"#
    )
}

fn document(entries: &[String]) -> String {
    format!("{HEAD}{}\n]}}\n", entries.join(","))
}

#[test]
fn the_parser_of_the_stream_sees_only_the_braces() {
    let entries: Vec<String> = (0..100).map(entry).collect();
    let inside: usize = entries.iter().map(|entry| entry.len() - 2).sum();
    let json = document(&entries);
    for (size, chunk) in [(1 << 12, usize::MAX), (1 << 12, 7), (200, 1)] {
        let (outcome, skipped) = through(json.as_bytes(), size, chunk);
        assert_eq!(outcome, plainly(json.as_bytes()));
        assert_eq!((outcome.0.len(), outcome.2, skipped), (100, true, inside), "{size} {chunk}");
    }
    // Too small for any of them.
    let (outcome, skipped) = through(json.as_bytes(), 64, usize::MAX);
    assert_eq!((outcome, skipped), (plainly(json.as_bytes()), 0));
}

#[test]
fn faults_are_told_once_and_in_their_places() {
    let odd = [
        r#"{"prefix": "198.51.100.1/32", "datacenter": "\ud800", "server": "s"}"#,
        r#"{"prefix": "nonsense", "server": 1e999}"#,
        r#"{"prefix": "nonsense", "servr": "s", "datacenter": [[[1]]]}"#,
        r#"{"prefix": "198.51.100.1/32",, "server": "s"}"#,
        "{\"prefix\": \"198.51.100.1/32\", \"tags\": {\"a\": \"\u{1}\"}}",
        r#"{"prefix": "nonsense""#,
        r#"null"#,
        r#"[{"prefix": "nonsense"}]"#,
        r#"{}"#,
        r#"{"prefix": "nonsense"} {"#,
        "{\"prefix\":\n\"nonsense\"}\n}",
    ];
    for odd in odd {
        let json = document(&[entry(0), entry(1), odd.into(), entry(2), entry(3)]);
        let plain = plainly(json.as_bytes());
        assert!(!plain.1.is_empty(), "{odd}");
        for size in [64, 150, 1 << 12] {
            assert_eq!(through(json.as_bytes(), size, usize::MAX).0, plain, "{odd} {size}");
        }
    }
}

#[test]
fn broken_json_is_told_as_without_a_window() {
    let json = document(&[entry(0), entry(1), entry(2), entry(3)]).into_bytes();
    for end in 0..json.len() {
        assert_eq!(through(&json[..end], 200, 50).0, plainly(&json[..end]), "cut at {end}");
    }
    for at in 0..json.len() {
        for byte in *b"\"\\{}[],\n 0x\xff" {
            let mut json = json.clone();
            json[at] = byte;
            assert_eq!(through(&json, 200, 50).0, plainly(&json), "{byte:#x} at {at}");
        }
    }
}

#[test]
fn a_failing_stream_is_told() {
    struct Failing<'a>(&'a [u8]);
    impl std::io::Read for Failing<'_> {
        fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
            match self.0.read(out)? {
                0 => Err(std::io::Error::other("the disk is on fire")),
                count => Ok(count),
            }
        }
    }
    let json = document(&[entry(0), entry(1)]);
    for end in 0..json.len() {
        let mut failing = Failing(&json.as_bytes()[..end]);
        let window = Window::new(&mut failing, 200);
        let (draft, complete) = parse_members(IoRead::new(&window), &mut Document::new(&window), Some(&window));
        let faults = draft.faults.finish().unwrap_err().0;
        assert!(!complete && faults.iter().any(|fault| fault.message.contains("the disk is on fire")), "{end}");
    }
}
