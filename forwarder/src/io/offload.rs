// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a device does by itself to the frames that it sends, and what of a frame is left to it.

use crate::wire::outer::Checksum;
use crate::wire::{ethernet, ipv4};

/// What a device does by itself to frames that it sends, where it is asked to: chosen once at the start. Nothing by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Offloads {
    /// Fills in the checksum of the outer IPv4 header.
    pub checksum: bool,
    /// Puts the device's own 802.1Q tag in.
    pub tag: bool,
}

impl Offloads {
    /// Whether there is anything.
    #[inline(always)]
    pub fn any(self) -> bool {
        self.checksum || self.tag
    }

    /// What is in both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self { checksum: self.checksum && other.checksum, tag: self.tag && other.tag }
    }

    /// Their names, for people and programs.
    pub fn names(self) -> Vec<String> {
        let all = [(self.checksum, "ipv4_checksum"), (self.tag, "vlan")];
        all.into_iter().filter(|(is_done, _)| *is_done).map(|(_, name)| name.to_owned()).collect()
    }
}

/// What of one frame is left to the device that sends it. Nothing by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Unfinished {
    /// Where in the frame the IPv4 header starts whose checksum is to be filled in; it has no options, and zero for a checksum.
    pub checksum: Option<u8>,
    /// The 802.1Q tag that is to be put behind the addresses: the VLAN.
    pub tag: Option<u16>,
}

impl Unfinished {
    /// Whether there is nothing.
    #[inline(always)]
    pub fn is_nothing(self) -> bool {
        self.checksum.is_none() && self.tag.is_none()
    }

    /// Who writes the checksum.
    #[inline(always)]
    pub fn writer(self) -> Checksum {
        if self.checksum.is_some() { Checksum::Left } else { Checksum::Written }
    }

    /// Bytes that the frame is longer when it leaves.
    #[inline(always)]
    pub fn growth(self) -> usize {
        if self.tag.is_some() { ethernet::TAG_LEN } else { 0 }
    }

    /// Does to `frame`, or the beginning of one, what is left to the device. What the beginning does not show stays undone.
    pub fn finish(self, frame: &mut Vec<u8>) {
        let header = self.checksum.and_then(|at| frame.get_mut(usize::from(at)..)?.first_chunk_mut());
        if let Some(header) = header {
            ipv4::fill_in_checksum(header);
        }
        if let Some(vlan) = self.tag
            && frame.len() >= ethernet::ADDRESSES_LEN
        {
            frame.splice(ethernet::ADDRESSES_LEN..ethernet::ADDRESSES_LEN, ethernet::customer_tag(vlan));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{OWNED_PORT, SLICED, udp};

    #[test]
    fn a_frame_is_finished_as_software_would_have_done_it() {
        let whole = udp(SLICED, OWNED_PORT, 1);
        let mut frame = whole.clone();
        frame[24..26].fill(0);
        Unfinished { checksum: Some(14), tag: None }.finish(&mut frame);
        assert_eq!(frame, whole);
        let both = Unfinished { checksum: Some(14), tag: Some(100) };
        frame[24..26].fill(0);
        both.finish(&mut frame);
        assert_eq!(frame, [&whole[..12], &[0x81, 0, 0, 100], &whole[12..]].concat());
        assert_eq!((both.growth(), frame.len() - whole.len()), (4, 4));
    }

    #[test]
    fn a_frame_that_is_cut_stays_unfinished() {
        let both = Unfinished { checksum: Some(14), tag: Some(100) };
        for len in [0, 11] {
            let mut frame = vec![1; len];
            both.finish(&mut frame);
            assert_eq!(frame, vec![1; len]);
        }
        let mut frame = vec![1; 33];
        both.finish(&mut frame);
        assert_eq!((frame.len(), &frame[12..16], &frame[28..30]), (37, &[0x81, 0, 0, 100][..], &[1, 1][..]));
    }

    #[test]
    fn offloads_have_names() {
        let both = Offloads { checksum: true, tag: true };
        assert_eq!(both.names(), ["ipv4_checksum", "vlan"]);
        let one = both.and(Offloads { tag: true, ..Offloads::default() });
        assert_eq!((one.names(), one.any()), (vec!["vlan".to_owned()], true));
        assert!(!one.and(Offloads { checksum: true, tag: false }).any());
    }
}
