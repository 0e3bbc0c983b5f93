// SPDX-License-Identifier: MIT OR Apache-2.0
//! IPv4 packets that may be fragmented and have to be: cut before they are encapsulated, each piece a packet of its own
//! (RFC 791, section 3.2, "An Example Fragmentation Procedure").

use std::iter;

use super::exit::Exit;
use super::packet::Packet;
use super::upper::{Selector, Upper};
use super::work::Work;
use super::{Sender, encap, options};
use crate::counters::DropReason;
use crate::io::{Allocator, PacketBuf};
use crate::state::Destination;
use crate::wire::ipv4;

/// No packet has more pieces: each but the last takes eight or more of its at most 65,535 bytes.
pub(super) const MAX_PIECES: usize = 1 << 13;

/// What a datagram has at most.
const MAX_DATAGRAM: usize = 1 << 16;

/// How a packet is cut.
struct Cuts<'a> {
    whole: ipv4::Header<'a>,
    payload: &'a [u8],
    /// The header of the first piece and that of the others, but for what [`ipv4::refit`] writes.
    first: Header,
    next: Header,
    /// What a piece has at most.
    room: usize,
}

/// An IPv4 header with options.
struct Header {
    bytes: [u8; ipv4::MAX_HEADER_LEN],
    len: usize,
}

/// One piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Piece {
    /// Bytes of its header.
    header_len: usize,
    /// Where its payload starts in that of the packet, and how long it is.
    offset: usize,
    len: usize,
    /// Flags and offset.
    fragmentation: u16,
}

impl Sender {
    /// Sends `packet`, for which the way to its destination is too narrow, in pieces: all of them, or none. The first takes the
    /// place of the packet, and is made last, since the others are copied from it.
    #[cold]
    #[inline(never)]
    pub(super) fn cut<B: PacketBuf, A: Allocator<B>>(
        &self,
        work: &mut Work<'_, B, A>,
        (destination, exit): (Destination, &Exit),
        packet: &Packet,
        mut frame: B,
    ) -> Result<(), DropReason> {
        let Some(transmit) = work.output.queue(exit.device) else {
            work.drop(DropReason::NextHopUnresolved, frame);
            return Err(DropReason::NextHopUnresolved);
        };
        let start = transmit.len();
        let first = self
            .later_pieces(exit, packet, frame.data(), transmit, work.buffers)
            .and_then(|first| self.first_piece(exit, packet, first, &mut frame));
        match first {
            Ok(()) => {
                work.counters.originated += (transmit.len() - start) as u64;
                transmit.insert(start, frame);
                for piece in transmit.iter().skip(start) {
                    work.tallies.count(destination, piece.sent_len());
                }
            }
            Err(reason) => {
                transmit.truncate(start);
                work.drop(reason, frame);
            }
        }
        first
    }

    /// Appends all pieces but the first to `transmit`, ready to leave; the first, which is still to be made.
    fn later_pieces<B: PacketBuf>(
        &self,
        exit: &Exit,
        packet: &Packet,
        frame: &[u8],
        transmit: &mut Vec<B>,
        buffers: &mut impl Allocator<B>,
    ) -> Result<Piece, DropReason> {
        let headers = &exit.headers;
        let room = headers.mtu().saturating_sub(headers.len(encap::private(&as_piece(packet, 0, 0), headers)));
        let cuts = packet.bytes(frame).and_then(|bytes| Cuts::plan(bytes, room)).ok_or(DropReason::TooBig)?;
        // The queue is as long as it is, and must not grow here.
        if transmit.capacity() - transmit.len() < cuts.pieces().count() {
            return Err(DropReason::TxFull);
        }
        let mut pieces = cuts.pieces();
        let first = pieces.next().ok_or(DropReason::TooBig)?;
        for piece in pieces {
            let len = piece.header_len + piece.len;
            let mut buffer = buffers.allocate(len).ok_or(DropReason::NoBuffer)?;
            cuts.write(piece, buffer.data_mut()).ok_or(DropReason::NoBuffer)?;
            self.wrap(exit, &as_piece(packet, 0, len), &mut buffer)?;
            transmit.push(buffer);
        }
        Ok(first)
    }

    /// Makes `frame`, which holds `packet`, the first piece of it, ready to leave.
    fn first_piece<B: PacketBuf>(
        &self,
        exit: &Exit,
        packet: &Packet,
        piece: Piece,
        frame: &mut B,
    ) -> Result<(), DropReason> {
        let header = frame.data_mut().get_mut(usize::from(packet.offset)..);
        let header = header.and_then(|bytes| bytes.get_mut(..piece.header_len)).ok_or(DropReason::Malformed)?;
        let len = piece.header_len + piece.len;
        ipv4::refit(header, len as u16, piece.fragmentation).ok_or(DropReason::Malformed)?;
        self.wrap(exit, &as_piece(packet, packet.offset, len), frame)
    }

    fn wrap<B: PacketBuf>(&self, exit: &Exit, piece: &Packet, frame: &mut B) -> Result<(), DropReason> {
        self.encapsulate(exit, piece, self.flow_hash.of_packet(piece), frame)
    }
}

/// What is to be known of a piece of `packet`, so many bytes long and starting at `offset` of its frame: it is a fragment.
fn as_piece(packet: &Packet, offset: u16, len: usize) -> Packet {
    let upper = Upper { ports: None, selector: Selector::Fragment, ..packet.upper };
    Packet { offset, len, upper, ..*packet }
}

impl<'a> Cuts<'a> {
    /// The fewest pieces of `packet` that have at most `room` bytes each; `None` if there is no room for any payload, or
    /// the packet is a fragment that ends where no datagram can.
    fn plan(packet: &'a [u8], room: usize) -> Option<Self> {
        let (whole, _) = ipv4::Header::split(packet)?;
        let (options, payload) = whole.split_options(packet)?;
        let fixed = packet.first_chunk()?;
        let first = Header::new(fixed, options)?;
        let next = Header::new(fixed, options::copied(options).as_slice())?;
        if first.len + 8 > room || whole.fragment_offset() + payload.len() > MAX_DATAGRAM {
            return None;
        }
        Some(Self { whole, payload, first, next, room })
    }

    fn pieces(&self) -> impl Iterator<Item = Piece> {
        let mut offset = 0;
        iter::from_fn(move || {
            let rest = self.payload.len().checked_sub(offset).filter(|&rest| rest > 0)?;
            let header_len = self.header(offset).len;
            let room = self.room - header_len;
            let is_last = rest <= room;
            // only the last may end between two multiples of 8
            let len = if is_last { rest } else { room & !7 };
            let fragmentation = self.whole.fragmentation_of_piece(offset, is_last);
            let piece = Piece { header_len, offset, len, fragmentation };
            offset += len;
            Some(piece)
        })
    }

    fn header(&self, offset: usize) -> &Header {
        if offset == 0 { &self.first } else { &self.next }
    }

    /// Fills `out` with a piece.
    fn write(&self, piece: Piece, out: &mut [u8]) -> Option<()> {
        let (header, payload) = out.split_at_mut_checked(piece.header_len)?;
        header.copy_from_slice(self.header(piece.offset).bytes.get(..piece.header_len)?);
        ipv4::refit(header, (piece.header_len + piece.len) as u16, piece.fragmentation)?;
        let from = self.payload.get(piece.offset..)?.get(..piece.len)?;
        payload.get_mut(..piece.len)?.copy_from_slice(from);
        Some(())
    }
}

impl Header {
    /// The fixed part, then `options`: whole words.
    fn new(fixed: &[u8; ipv4::HEADER_LEN], options: &[u8]) -> Option<Self> {
        let mut bytes = [0; ipv4::MAX_HEADER_LEN];
        let len = fixed.len() + options.len();
        for (to, from) in bytes.iter_mut().zip(fixed.iter().chain(options)) {
            *to = *from;
        }
        (len <= bytes.len()).then_some(Self { bytes, len })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header of `options` behind `fragmentation`, in front of `payload` bytes that count up.
    fn packet(fragmentation: u16, options: &[u8], payload: usize) -> Vec<u8> {
        let header_len = 20 + options.len();
        let mut packet = vec![0x40 | (header_len / 4) as u8, 0xb9];
        packet.extend(((header_len + payload) as u16).to_be_bytes());
        packet.extend([0x12, 0x34]);
        packet.extend(fragmentation.to_be_bytes());
        packet.extend([57, 17, 0, 0, 203, 0, 113, 9, 198, 51, 100, 1]);
        packet.extend(options);
        packet.extend((0..payload).map(|i| (i / 8) as u8));
        packet
    }

    /// Offset and length of each piece, and its fragmentation word.
    fn cut(packet: &[u8], room: usize) -> Option<Vec<(usize, usize, u16)>> {
        let cuts = Cuts::plan(packet, room)?;
        Some(cuts.pieces().map(|piece| (piece.offset, piece.len, piece.fragmentation)).collect())
    }

    #[test]
    fn pieces_are_as_few_as_can_be() {
        assert_eq!(cut(&packet(0, &[], 1600), 1568), Some(vec![(0, 1544, 0x2000), (1544, 56, 193)]));
        // the last may fill the room to the byte; the others end at multiples of 8
        assert_eq!(cut(&packet(0, &[], 16 + 23), 43), Some(vec![(0, 16, 0x2000), (16, 23, 2)]));
        assert_eq!(cut(&packet(0, &[], 16 + 24), 43), Some(vec![(0, 16, 0x2000), (16, 16, 0x2002), (32, 8, 4)]));
    }

    #[test]
    fn a_fragment_keeps_its_offset_and_flags() {
        assert_eq!(cut(&packet(100, &[], 24), 36), Some(vec![(0, 16, 0x2000 | 100), (16, 8, 102)]));
        let more = packet(0x2000 | 100, &[], 24);
        assert_eq!(cut(&more, 36), Some(vec![(0, 16, 0x2000 | 100), (16, 8, 0x2000 | 102)]));
        let reserved = packet(0x8000, &[], 24);
        assert_eq!(cut(&reserved, 36), Some(vec![(0, 16, 0xa000), (16, 8, 0x8002)]), "not ours to clear");
    }

    #[test]
    fn there_must_be_room_for_eight_bytes() {
        assert_eq!(cut(&packet(0, &[], 17), 28), Some(vec![(0, 8, 0x2000), (8, 8, 0x2001), (16, 1, 2)]));
        assert_eq!(cut(&packet(0, &[], 17), 27), None);
        assert_eq!(cut(&packet(0, &[1; 40], 17), 67), None);
        assert_eq!(cut(&packet(0, &[], 17), 0), None);
    }

    #[test]
    fn no_offset_leaves_its_field() {
        assert_eq!(cut(&packet(0x1fff, &[], 8), 28), Some(vec![(0, 8, 0x1fff)]));
        assert_eq!(cut(&packet(0x1fff, &[], 9), 28), None);
        let longest = packet(0, &[], 65_515);
        assert!(Cuts::plan(&longest, 28).unwrap().pieces().count() <= MAX_PIECES);
    }

    #[test]
    fn later_pieces_carry_the_options_with_the_copy_bit() {
        let options = [7, 7, 4, 0, 0, 0, 0, 148, 4, 0, 0, 0]; // record route: once; router alert: always
        let packet = packet(0, &options, 40);
        let cuts = Cuts::plan(&packet, 56).unwrap();
        let pieces: Vec<_> = cuts.pieces().collect();
        assert_eq!(pieces.iter().map(|piece| (piece.header_len, piece.len)).collect::<Vec<_>>(), [(32, 24), (24, 16)]);
        let mut out = [0xee; 40];
        cuts.write(pieces[1], &mut out).unwrap();
        assert_eq!(out[..10], [0x46, 0xb9, 0, 40, 0x12, 0x34, 0, 3, 57, 17]);
        assert_eq!(out[12..], [&packet[12..20], &[148, 4, 0, 0], &packet[32 + 24..]].concat());
        let (header, _) = ipv4::Header::split(&out).unwrap();
        assert!(header.is_checksum_right(&out[20..24]));
    }
}
