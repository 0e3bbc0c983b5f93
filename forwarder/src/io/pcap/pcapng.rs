// SPDX-License-Identifier: MIT OR Apache-2.0
//! pcapng: blocks of a type, a length, a body and the length again. A section starts with a header that tells the byte
//! order, then come interfaces, and packets that name theirs. Every other block is read over.

use std::io::Read;

use super::input::{Input, Order};
use super::{ETHERNET, Fault, Nanos};

/// The type of a section header block, the same in either byte order.
pub(super) const SECTION_HEADER: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];

const INTERFACE_DESCRIPTION: u32 = 1;
/// Obsolete, and still written by old programs.
const PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const ENHANCED_PACKET: u32 = 6;

const OPTION_END: u16 = 0;
const OPTION_TIME_RESOLUTION: u16 = 9;
const OPTION_TIME_OFFSET: u16 = 14;

/// Where packets were captured.
#[derive(Debug, Clone, Copy)]
struct Interface {
    link_type: u16,
    snap_length: u32,
    clock: Clock,
}

/// What a time stamp of an interface means.
#[derive(Debug, Clone, Copy)]
struct Clock {
    /// The exponent of a unit's length in seconds: the high bit clear, 10⁻ⁿ; set, 2⁻ⁿ.
    resolution: u8,
    /// Seconds to add.
    offset: i64,
}

impl Clock {
    /// The time in nanoseconds; the nearest that can be told if it is before 1970 or after 2554.
    fn nanos(self, stamp: u64) -> Nanos {
        const NANOS: u128 = 1_000_000_000;
        let scaled = u128::from(stamp) * NANOS;
        let exponent = u32::from(self.resolution & 0x7f);
        let nanos = if self.resolution & 0x80 == 0 {
            10_u128.checked_pow(exponent).map_or(0, |units| scaled / units)
        } else {
            scaled >> exponent
        };
        // Below 2⁹⁴ and 2⁹³: neither the conversion nor the sum overflows.
        let nanos = nanos.cast_signed() + i128::from(self.offset) * NANOS.cast_signed();
        Nanos(u64::try_from(nanos.max(0)).unwrap_or(u64::MAX))
    }
}

/// The section that is being read.
#[derive(Debug)]
pub(super) struct Pcapng {
    order: Order,
    interfaces: Vec<Interface>,
    /// The last time seen: that of simple packets, which have none of their own.
    last: Nanos,
}

impl Pcapng {
    /// Reads the first section header behind its block type.
    pub(super) fn open<R: Read>(input: &mut Input<R>) -> Result<Self, Fault> {
        let mut section = Self { order: Order::Big, interfaces: Vec::new(), last: Nanos(0) };
        section.start(input)?;
        Ok(section)
    }

    /// Reads blocks up to and including the next packet.
    pub(super) fn next<R: Read>(&mut self, input: &mut Input<R>, frame: &mut Vec<u8>) -> Result<Option<Nanos>, Fault> {
        while let Some(kind) = input.array_or_end()? {
            if kind == SECTION_HEADER {
                self.start(input)?;
                continue;
            }
            let mut block = Block::open(input, self.order)?;
            let time = match self.order.u32(kind) {
                INTERFACE_DESCRIPTION => {
                    self.interfaces.push(interface(&mut block)?);
                    None
                }
                ENHANCED_PACKET => {
                    let interface = block.u32()?;
                    Some(self.packet(&mut block, interface, frame)?)
                }
                PACKET => {
                    let interface = block.u16()?;
                    let _drops = block.u16()?;
                    Some(self.packet(&mut block, u32::from(interface), frame)?)
                }
                SIMPLE_PACKET => Some(self.simple_packet(&mut block, frame)?),
                _ => None,
            };
            block.close()?;
            if let Some(time) = time {
                self.last = time;
                return Ok(Some(time));
            }
        }
        Ok(None)
    }

    /// Begins a section: the length comes before the magic number that tells how to read it.
    fn start<R: Read>(&mut self, input: &mut Input<R>) -> Result<(), Fault> {
        let length = input.array()?;
        self.order = match input.array()? {
            [0x1a, 0x2b, 0x3c, 0x4d] => Order::Big,
            [0x4d, 0x3c, 0x2b, 0x1a] => Order::Little,
            _ => return Err(Fault::Malformed("a section header without the byte-order magic")),
        };
        self.interfaces.clear();
        let mut block = Block::with_length(input, self.order, self.order.u32(length))?;
        block.claim(4)?;
        block.close()
    }

    fn interface(&self, id: u32) -> Result<Interface, Fault> {
        let interface = usize::try_from(id).ok().and_then(|id| self.interfaces.get(id));
        let interface =
            interface.ok_or(Fault::Malformed("it names an interface that the section does not describe"))?;
        match u32::from(interface.link_type) {
            ETHERNET => Ok(*interface),
            other => Err(Fault::LinkType(other)),
        }
    }

    /// Time stamp (high and low half), captured length, original length, bytes; options follow.
    fn packet<R: Read>(&self, block: &mut Block<'_, R>, id: u32, frame: &mut Vec<u8>) -> Result<Nanos, Fault> {
        let interface = self.interface(id)?;
        let stamp = u64::from(block.u32()?) << 32 | u64::from(block.u32()?);
        let captured = block.u32()?;
        let _original = block.u32()?;
        block.frame(captured, frame)?;
        Ok(interface.clock.nanos(stamp))
    }

    /// Original length, bytes; of the first interface, without a time.
    fn simple_packet<R: Read>(&self, block: &mut Block<'_, R>, frame: &mut Vec<u8>) -> Result<Nanos, Fault> {
        let interface = self.interface(0)?;
        let original = block.u32()?;
        let captured = if interface.snap_length == 0 { original } else { original.min(interface.snap_length) };
        block.frame(captured, frame)?;
        Ok(self.last)
    }
}

/// Link type, two reserved bytes, snap length, options.
fn interface<R: Read>(block: &mut Block<'_, R>) -> Result<Interface, Fault> {
    let link_type = block.u16()?;
    let _reserved = block.u16()?;
    let snap_length = block.u32()?;
    let mut clock = Clock { resolution: 6, offset: 0 };
    while block.left >= 4 {
        let (code, length) = (block.u16()?, block.u16()?);
        match (code, length) {
            (OPTION_END, _) => break,
            (OPTION_TIME_RESOLUTION, 1) => {
                let [resolution, _, _, _] = block.array()?;
                clock.resolution = resolution;
            }
            (OPTION_TIME_OFFSET, 8) => clock.offset = block.order.u64(block.array()?).cast_signed(),
            _ => block.skip(u32::from(length).next_multiple_of(4))?,
        }
    }
    Ok(Interface { link_type, snap_length, clock })
}

/// The rest of a block's body: nothing is read beyond it.
struct Block<'a, R> {
    input: &'a mut Input<R>,
    order: Order,
    length: u32,
    /// Bytes of the body not read yet.
    left: u32,
}

impl<'a, R: Read> Block<'a, R> {
    /// Begins behind the block type.
    fn open(input: &'a mut Input<R>, order: Order) -> Result<Self, Fault> {
        let length = order.u32(input.array()?);
        Self::with_length(input, order, length)
    }

    fn with_length(input: &'a mut Input<R>, order: Order, length: u32) -> Result<Self, Fault> {
        // Type, and the length twice, are counted.
        let body = length.checked_sub(12).filter(|body| body.is_multiple_of(4));
        let left = body.ok_or(Fault::Malformed("a block length that is below 12 or no multiple of 4"))?;
        Ok(Self { input, order, length, left })
    }

    fn claim(&mut self, bytes: u32) -> Result<(), Fault> {
        let left = self.left.checked_sub(bytes);
        self.left = left.ok_or(Fault::Malformed("a block shorter than what it should hold"))?;
        Ok(())
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        self.claim(u32::try_from(N).unwrap_or(u32::MAX))?;
        self.input.array()
    }

    fn u16(&mut self) -> Result<u16, Fault> {
        Ok(self.order.u16(self.array()?))
    }

    fn u32(&mut self) -> Result<u32, Fault> {
        Ok(self.order.u32(self.array()?))
    }

    fn skip(&mut self, bytes: u32) -> Result<(), Fault> {
        self.claim(bytes)?;
        self.input.skip(bytes)
    }

    fn frame(&mut self, bytes: u32, frame: &mut Vec<u8>) -> Result<(), Fault> {
        self.claim(bytes)?;
        self.input.frame(bytes, frame)
    }

    /// Reads over the rest and the length behind it.
    fn close(mut self) -> Result<(), Fault> {
        self.skip(self.left)?;
        if self.order.u32(self.input.array()?) == self.length {
            Ok(())
        } else {
            Err(Fault::Malformed("a block whose two lengths differ"))
        }
    }
}
