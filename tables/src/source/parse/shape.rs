// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a parser of JSON must hold in memory at once: bounded, whatever comes.

use std::io::{self, ErrorKind, Read};

/// Arrays and objects inside one another; a table has six.
const DEPTH: u32 = 128;
/// Bytes of a text. A name is some tens of them; but whatever fits the control socket is read.
const TEXT: u32 = 64 << 20;

/// Where in a document a parser is that sees all of its bytes: how deep, and how far in a text.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Shape {
    depth: u32,
    /// Bytes since the quote that began a text, and whether the next one is escaped; none outside of texts.
    text: Option<(u32, bool)>,
}

impl Shape {
    /// Goes on behind `bytes`; an error if they make a parser hold too much.
    pub(super) fn pass(&mut self, bytes: &[u8]) -> io::Result<()> {
        bytes.iter().try_for_each(|&byte| self.step(byte))
    }

    fn step(&mut self, byte: u8) -> io::Result<()> {
        match (self.text, byte) {
            (Some((_, false)), b'"') => self.text = None,
            (Some((length, _)), _) if length == TEXT => return Err(too("a text is longer than 64 MiB")),
            (Some((length, is_escaped)), _) => self.text = Some((length + 1, byte == b'\\' && !is_escaped)),
            (None, b'"') => self.text = Some((0, false)),
            (None, b'[' | b'{') if self.depth == DEPTH => {
                return Err(too("arrays and objects are nested more than 128 deep"));
            }
            (None, b'[' | b'{') => self.depth += 1,
            // A parser will say what is wrong with one too many.
            (None, b']' | b'}') => self.depth = self.depth.saturating_sub(1),
            (None, _) => {}
        }
        Ok(())
    }
}

fn too(what: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what)
}

/// A stream of JSON that ends with an error before it makes its parser hold much: a text of 64 MiB, 128 arrays and objects
/// inside one another.
#[derive(Debug)]
pub struct Bounded<R> {
    reader: R,
    shape: Shape,
}

impl<R: Read> Bounded<R> {
    /// What comes from `reader`.
    pub fn new(reader: R) -> Self {
        Self { reader, shape: Shape::default() }
    }
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        self.shape.pass(buffer.get(..count).unwrap_or_default())?;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::iter::Cycle;
    use std::slice::Iter;

    use super::*;
    use crate::Source;
    use crate::patch::Patch;

    /// Goes on for ever.
    struct Endless<'a>(Cycle<Iter<'a, u8>>);

    impl Read for Endless<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            buffer.iter_mut().zip(&mut self.0).for_each(|(to, from)| *to = *from);
            Ok(buffer.len())
        }
    }

    /// The last fault of a document that begins with `start` and goes on for ever with `more`; it is found within 4 MiB.
    fn endless(start: &str, more: &str) -> String {
        let reader = start.as_bytes().chain(Endless(more.as_bytes().iter().cycle())).take(4 << 20);
        let faults = Source::from_reader(reader).unwrap_err();
        faults.0.iter().map(|fault| fault.message.as_str()).filter(|message| !message.contains("missing")).collect()
    }

    #[test]
    fn what_never_ends_is_given_up() {
        for (start, more) in [
            ("", "["),
            ("", "{\"a\":"),
            ("{\"version\": ", "[{\"b\":"),
            ("{\"unknown\": ", "["),
            ("{\"egress\": [{\"prefix\": ", "["),
        ] {
            let told = endless(start, more);
            assert!(told.contains("nested more than 128 deep"), "{start}{more}…: {told}");
        }
    }

    #[test]
    fn what_is_wrong_without_end_is_given_up_as_well() {
        for (start, more, at_most) in [
            ("{\"egress\": [", "1,", 2 << 20),
            ("{\"egress\": [", "{},", 2 << 20),
            ("{\"egress\": [{\"ranges\": [", "1,", 2 << 20),
            ("{\"egress\": [{\"slices\": {\"owners\": [", "1,", 2 << 20),
            ("{\"servers\": {", "\"a\":1,", 2 << 20),
            ("{\"datacenters\": {\"a\": {\"forwarders\": [", "1,", 2 << 20),
            ("{", "\"a\":1,", 2 << 20),
        ] {
            let taken = std::cell::Cell::new(0);
            let endless = Endless(more.as_bytes().iter().cycle());
            let counted = Counted(start.as_bytes().chain(endless), &taken);
            let faults = Source::from_reader(counted).unwrap_err();
            assert!(faults.0.last().unwrap().message.contains("and at least"), "{start}");
            assert!(taken.get() < at_most, "{start}: {} bytes", taken.get());
        }
    }

    /// Counts what is read.
    struct Counted<'c, R>(R, &'c std::cell::Cell<u64>);

    impl<R: Read> Read for Counted<'_, R> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = self.0.read(buffer)?;
            self.1.set(self.1.get() + count as u64);
            Ok(count)
        }
    }

    #[test]
    fn as_many_slices_and_ranges_as_there_are_ports_are_kept() {
        let entry = |what: &str| {
            format!(
                r#"{{"version": 1, "datacenters": {{"A": {{"forwarders": ["10.0.0.1"]}}}},
                    "servers": {{"a": {{"datacenter": "A", "address": "10.0.0.2"}}}},
                    "egress": [{{"prefix": "198.51.100.1/32", "datacenter": "A", {what}}}]}}"#
            )
        };
        let told = |what: &str| {
            let read = Source::from_slice(entry(what).as_bytes());
            read.map_err(|faults| faults.0.into_iter().map(|fault| fault.message).collect::<Vec<_>>())
        };
        let owners =
            |count: usize| format!(r#""slices": {{"ports": 64, "owners": [{}null]}}"#, "null,".repeat(count - 1));
        told(&owners(1_024)).unwrap();
        assert_eq!(told(&owners(1_500)).unwrap_err(), ["has 1500 elements; there are at most 1024 slices"]);
        let range = |port: u32| format!(r#"{{"ports": "{0}-{0}", "server": "a"}}"#, port % 65_536);
        let ranges = |count: u32| format!(r#""ranges": [{}]"#, (0..count).map(range).collect::<Vec<_>>().join(","));
        told(&ranges(65_536)).unwrap();
        assert_eq!(told(&ranges(65_540)).unwrap_err(), ["has more than 65536 ranges, which is one for each port"]);
    }

    #[test]
    fn patches_are_bounded_like_documents() {
        let faults = Patch::from_slice("[".repeat(129).as_bytes()).unwrap_err();
        assert_eq!(faults.0[0].message, "cannot be read: arrays and objects are nested more than 128 deep");
    }

    #[test]
    fn bounds_are_exact_and_what_is_in_texts_has_no_depth() {
        let shape = |text: &str| Shape::default().pass(text.as_bytes()).is_ok();
        assert!(shape(&"[".repeat(128)) && !shape(&"[".repeat(129)));
        assert!(shape(&"[]".repeat(129)) && shape(&"{}".repeat(129)));
        assert!(
            shape(&format!("\"{}\"", "[".repeat(64 << 20))) && !shape(&format!("\"{}\"", "[".repeat((64 << 20) + 1)))
        );
        assert!(shape(&format!("\"{}\"{}", r#"\""#.repeat(9), "[".repeat(128))));
        assert!(!shape(&format!(r#""\\"{}"#, "[".repeat(129))), "an escaped backslash escapes no quote");
    }

    #[test]
    fn whoever_reads_by_other_means_is_bounded_as_well() {
        let mut text = String::new();
        let error = Bounded::new(Endless(b"[".iter().cycle())).read_to_string(&mut text).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData);
        assert_eq!(Bounded::new(&b"[1, \"a\"]"[..]).read_to_string(&mut text).unwrap(), 8);
    }
}
