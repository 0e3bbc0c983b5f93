// SPDX-License-Identifier: MIT OR Apache-2.0
//! Sets of tags as bytes, so that the many entries with the same tags share them.
//!
//! A set is its pairs sorted by key; a pair is two texts; a text is its length (32 bits, little-endian) and its bytes.

/// Writes pairs, which are sorted by key.
pub(super) fn encode<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>, out: &mut Vec<u8>) {
    for text in pairs.flat_map(|(key, value)| [key, value]) {
        // No text is longer: the reader would need more than 4 GiB for it alone. If one were, it would be cut.
        out.extend_from_slice(&(text.len() as u32).to_le_bytes());
        out.extend_from_slice(text.as_bytes());
    }
}

/// The pairs of a set.
pub(super) struct Pairs<'a>(pub(super) &'a [u8]);

impl<'a> Pairs<'a> {
    fn text(&mut self) -> Option<&'a str> {
        let (length, rest) = self.0.split_first_chunk()?;
        let (text, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        self.0 = rest;
        std::str::from_utf8(text).ok()
    }
}

impl<'a> Iterator for Pairs<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        Some((self.text()?, self.text()?))
    }
}
