// SPDX-License-Identifier: MIT OR Apache-2.0
//! IPv4 options (RFC 791, section 3.1): the two that no packet may carry, lengths that make no sense, and those that every
//! piece of a packet carries.

use std::iter;

use crate::counters::DropReason;

const END: u8 = 0;
const NO_OPERATION: u8 = 1;
const LOOSE_SOURCE_ROUTE: u8 = 131;
const STRICT_SOURCE_ROUTE: u8 = 137;

/// Set in the kind of an option that is to be in every piece.
const COPIED: u8 = 0x80;
/// Bytes of a header's options at most.
const MAX_LEN: usize = 40;

/// A length that makes no sense.
struct BadLength;

/// The options of a header from the left until the end of the list, or the first that is bad.
fn each(options: &[u8]) -> impl Iterator<Item = Result<&[u8], BadLength>> {
    let mut rest = options;
    iter::from_fn(move || {
        // kind, then for all but the two of one byte: length with both, then data
        let len = match *rest {
            [] | [END, ..] => return None,
            [NO_OPERATION, ..] => Some(1),
            [_, len, ..] if len >= 2 => Some(usize::from(len)),
            _ => None,
        };
        let split = len.and_then(|len| rest.split_at_checked(len));
        rest = split.map_or(&[], |(_, behind)| behind);
        Some(split.map(|(option, _)| option).ok_or(BadLength))
    })
}

/// The first thing wrong with the options of a header.
pub(super) fn fault(options: &[u8]) -> Option<DropReason> {
    each(options).find_map(|option| match option {
        Err(BadLength) => Some(DropReason::Malformed),
        Ok([LOOSE_SOURCE_ROUTE | STRICT_SOURCE_ROUTE, ..]) => Some(DropReason::IpOptions),
        Ok(_) => None,
    })
}

/// Options that every piece of a packet carries, in whole words.
pub(super) struct Copied {
    bytes: [u8; MAX_LEN],
    len: usize,
}

impl Copied {
    /// Their bytes.
    pub(super) fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

/// Those of a header's `options` that are to be in every piece.
pub(super) fn copied(options: &[u8]) -> Copied {
    let mut bytes = [END; MAX_LEN];
    let kept = each(options).flatten().filter(|option| option.first().is_some_and(|kind| kind & COPIED != 0));
    let mut len = 0_usize;
    for (to, from) in bytes.iter_mut().zip(kept.flatten()) {
        *to = *from;
        len += 1;
    }
    Copied { bytes, len: len.next_multiple_of(4) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn harmless_options_pass() {
        for options in [
            &[][..],
            &[1, 1, 1, 1],
            &[7, 7, 4, 0, 0, 0, 0, 0],    // record route
            &[148, 4, 0, 0],              // router alert
            &[0, 131, 3, 4],              // nothing counts behind the end
            &[1, 0x44, 4, 5, 1, 1, 1, 1], // timestamp between no-operations
        ] {
            assert_eq!(fault(options), None, "{options:?}");
        }
    }

    #[test]
    fn source_routes_are_found_wherever_they_stand() {
        for options in [&[131, 7, 4, 10, 0, 0, 1, 0][..], &[1, 137, 3, 4], &[148, 4, 0, 0, 137, 3, 4, 0]] {
            assert_eq!(fault(options), Some(DropReason::IpOptions), "{options:?}");
        }
    }

    #[test]
    fn the_copy_bit_says_what_every_piece_carries() {
        for (options, expected) in [
            (&[][..], &[][..]),
            (&[1, 1, 1, 1], &[]),
            (&[7, 4, 4, 0, 148, 4, 0, 0], &[148, 4, 0, 0]),
            (&[1, 130, 3, 9, 1, 148, 4, 0, 0, 0], &[130, 3, 9, 148, 4, 0, 0, 0]),
            (&[0, 148, 4, 0, 0], &[]),
            (&[0x88; 8], &[]), // a length beyond the header
        ] {
            assert_eq!(copied(options).as_slice(), expected, "{options:?}");
        }
        let mut longest = [0xaa; 40];
        longest[..2].copy_from_slice(&[134, 40]);
        assert_eq!(copied(&longest).as_slice(), longest);
    }

    #[test]
    fn bad_lengths_are_malformed() {
        for options in [&[7, 0, 0, 0][..], &[7, 1, 0, 0], &[7, 5, 0, 0], &[1, 1, 1, 7], &[131, 9, 4, 0]] {
            assert_eq!(fault(options), Some(DropReason::Malformed), "{options:?}");
        }
    }
}
