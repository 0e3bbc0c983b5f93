// SPDX-License-Identifier: MIT OR Apache-2.0
//! Ethernet II header and VLAN tag (IEEE 802.3, 802.1Q).
//!
//! ```text
//!  0                   6                  12        14
//! +-------------------+-------------------+---------+
//! |    destination    |      source       |  type   |
//! +-------------------+-------------------+---------+
//!  a tag sits between source and type: its TPID is what reads as the type, then 12 bits of VLAN
//!  behind 4 of priority, then the next type
//! ```

use super::MacAddr;

/// Ethertype of IPv4.
pub const IPV4: u16 = 0x0800;
/// Ethertype of IPv6.
pub const IPV6: u16 = 0x86dd;
/// TPID of a customer tag (802.1Q).
pub const CUSTOMER_TAG: u16 = 0x8100;
/// TPID of a service tag (802.1ad).
pub const SERVICE_TAG: u16 = 0x88a8;

/// Bytes of a header without tags.
pub const HEADER_LEN: usize = 14;
/// Bytes of both addresses, behind which tags come.
pub const ADDRESSES_LEN: usize = 12;
/// Bytes that one tag adds.
pub const TAG_LEN: usize = 4;

/// An Ethernet header.
#[derive(Debug, Clone, Copy)]
pub struct Header<'a>(&'a [u8; HEADER_LEN]);

impl<'a> Header<'a> {
    /// Takes the header off the front of a frame; `None` if the frame is shorter.
    #[inline]
    pub fn split(frame: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (header, rest) = frame.split_first_chunk()?;
        Some((Self(header), rest))
    }

    /// Who the frame is for.
    #[inline]
    pub fn destination(self) -> MacAddr {
        let [a, b, c, d, e, f, ..] = *self.0;
        MacAddr([a, b, c, d, e, f])
    }

    /// The type, or the TPID of the first tag.
    #[inline]
    pub fn ethertype(self) -> u16 {
        u16::from_be_bytes([self.0[12], self.0[13]])
    }
}

/// What follows the TPID of a tag: the VLAN and the next type.
#[derive(Debug, Clone, Copy)]
pub struct Tag<'a>(&'a [u8; TAG_LEN]);

impl<'a> Tag<'a> {
    /// Takes the rest of a tag off the front of what follows its TPID; `None` if it is cut.
    #[inline]
    pub fn split(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (tag, rest) = bytes.split_first_chunk()?;
        Some((Self(tag), rest))
    }

    /// The type behind this tag, or the TPID of the next tag.
    #[inline]
    pub fn ethertype(self) -> u16 {
        u16::from_be_bytes([self.0[2], self.0[3]])
    }
}

/// Whether this type is the TPID of a tag that the forwarder looks through.
#[inline]
pub const fn is_tag(ethertype: u16) -> bool {
    matches!(ethertype, CUSTOMER_TAG | SERVICE_TAG)
}

/// The tag, TPID first, of a frame of `vlan` (12 bits), at priority 0.
pub const fn customer_tag(vlan: u16) -> [u8; TAG_LEN] {
    let [tpid_high, tpid_low] = CUSTOMER_TAG.to_be_bytes();
    let [high, low] = (vlan & 0x0fff).to_be_bytes();
    [tpid_high, tpid_low, high, low]
}

/// The header of frames that leave a device, all but the type: addresses and the device's own tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Template {
    addresses: [u8; ADDRESSES_LEN],
    tag: Option<[u8; TAG_LEN]>,
}

impl Template {
    /// A header from `source` to `destination`, tagged for `vlan` (12 bits) if there is one.
    pub fn new(destination: MacAddr, source: MacAddr, vlan: Option<u16>) -> Self {
        let mut addresses = [0; ADDRESSES_LEN];
        for (to, from) in addresses.iter_mut().zip(destination.0.into_iter().chain(source.0)) {
            *to = from;
        }
        Self { addresses, tag: vlan.map(customer_tag) }
    }

    /// The same without a tag.
    #[inline(always)]
    #[must_use]
    pub fn without_tag(&self) -> Self {
        Self { tag: None, ..*self }
    }

    /// The VLAN that it tags frames for.
    #[inline(always)]
    pub fn vlan(&self) -> Option<u16> {
        self.tag.map(|[_, _, high, low]| u16::from_be_bytes([high, low]))
    }

    /// Who the frame is for.
    pub fn destination(&self) -> MacAddr {
        let [a, b, c, d, e, f, ..] = self.addresses;
        MacAddr([a, b, c, d, e, f])
    }

    /// Bytes that [`Self::write`] fills.
    #[inline]
    #[expect(clippy::len_without_is_empty, reason = "a header is never empty")]
    pub fn len(&self) -> usize {
        if self.tag.is_some() { HEADER_LEN + TAG_LEN } else { HEADER_LEN }
    }

    /// Writes the header with `ethertype` at the front of `out` and gives back what follows; `None` if `out` is shorter.
    #[inline]
    pub fn write<'a>(&self, out: &'a mut [u8], ethertype: u16) -> Option<&'a mut [u8]> {
        let ethertype = ethertype.to_be_bytes();
        let payload = if let Some(tag) = self.tag {
            let (place, payload) = out.split_first_chunk_mut::<{ HEADER_LEN + TAG_LEN }>()?;
            *place.first_chunk_mut()? = self.addresses;
            *place.get_mut(self.addresses.len()..)?.first_chunk_mut()? = tag;
            *place.last_chunk_mut()? = ethertype;
            payload
        } else {
            let (place, payload) = out.split_first_chunk_mut::<HEADER_LEN>()?;
            *place.first_chunk_mut()? = self.addresses;
            *place.last_chunk_mut()? = ethertype;
            payload
        };
        Some(payload)
    }
}

/// The longest header that is written: with two tags.
const MAX_LEN: usize = HEADER_LEN + 2 * TAG_LEN;

/// A whole header, type and tags included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owned {
    bytes: [u8; MAX_LEN],
    len: usize,
}

impl Owned {
    /// What `template` writes.
    pub fn new(template: &Template, ethertype: u16) -> Option<Self> {
        let mut bytes = [0; MAX_LEN];
        template.write(&mut bytes, ethertype)?;
        Some(Self { bytes, len: template.len() })
    }

    /// The answer to a frame with this `header`: to where it came from, in the same tags and of the same type. `None` if it
    /// is no whole header, or has more than two tags.
    pub fn answer(header: &[u8], source: MacAddr) -> Option<Self> {
        let mut bytes = [0; MAX_LEN];
        bytes.get_mut(..header.len())?.copy_from_slice(header);
        let (_, rest) = header.split_first_chunk::<6>()?;
        let (destination, _) = rest.split_first_chunk::<6>()?;
        let addresses = bytes.first_chunk_mut::<12>()?;
        for (to, from) in addresses.iter_mut().zip(destination.iter().chain(&source.0)) {
            *to = *from;
        }
        Some(Self { bytes, len: header.len() })
    }

    /// Bytes that [`Self::write`] fills.
    #[expect(clippy::len_without_is_empty, reason = "a header is never empty")]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Writes the header at the front of `out` and gives back what follows; `None` if `out` is shorter.
    pub fn write<'a>(&self, out: &'a mut [u8]) -> Option<&'a mut [u8]> {
        let (front, rest) = out.split_at_mut_checked(self.len)?;
        front.copy_from_slice(self.bytes.get(..self.len)?);
        Some(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
    const THERE: MacAddr = MacAddr([2, 0, 0, 0, 0, 2]);

    #[test]
    fn reads_a_tagged_frame() {
        let frame = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x81, 0x00, 0x20, 0x64, 0x08, 0x00, 0x45];
        let (header, rest) = Header::split(&frame).unwrap();
        assert_eq!((header.destination(), header.ethertype()), (HERE, CUSTOMER_TAG));
        let (tag, rest) = Tag::split(rest).unwrap();
        assert_eq!((tag.ethertype(), rest), (IPV4, &[0x45][..]));
    }

    #[test]
    fn short_input_is_refused() {
        assert!(Header::split(&[0; 13]).is_none());
        assert!(Tag::split(&[0; 3]).is_none());
    }

    #[test]
    fn writes_with_and_without_a_tag() {
        let mut out = [0xee; 20];
        let plain = Template::new(THERE, HERE, None);
        assert_eq!(plain.write(&mut out, IPV4).unwrap().len(), 6);
        assert_eq!(out[..plain.len()], [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0]);
        let tagged = Template::new(THERE, HERE, Some(100));
        assert_eq!(tagged.write(&mut out, IPV6).unwrap().len(), 2);
        assert_eq!(out[..tagged.len()], [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x81, 0, 0, 100, 0x86, 0xdd]);
        assert!(tagged.write(&mut out[..17], IPV6).is_none());
    }

    #[test]
    fn an_answer_goes_back_in_the_same_tags() {
        let header = [2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 2, 0x88, 0xa8, 0, 5, 0x81, 0, 0x20, 0x64, 8, 0];
        let answer = Owned::answer(&header, HERE).unwrap();
        let mut out = [0xee; 24];
        assert_eq!(answer.write(&mut out).unwrap().len(), 2);
        assert_eq!(out[..12], [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1]);
        assert_eq!(out[12..answer.len()], header[12..]);
        assert!(answer.write(&mut out[..21]).is_none());
        assert_eq!(Owned::answer(&[0; 23], HERE), None, "three tags");
        assert_eq!(Owned::answer(&header[..11], HERE), None);
    }

    #[test]
    fn a_template_can_be_owned() {
        let owned = Owned::new(&Template::new(THERE, HERE, Some(100)), IPV6).unwrap();
        let mut out = [0xee; 18];
        assert!(owned.write(&mut out).unwrap().is_empty());
        assert_eq!(out, [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x81, 0, 0, 100, 0x86, 0xdd]);
    }
}
