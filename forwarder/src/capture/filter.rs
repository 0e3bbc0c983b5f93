// SPDX-License-Identifier: MIT OR Apache-2.0
//! Filters as libpcap compiles them: classic BPF (McCanne and Jacobson, 1993). A program is checked once; then it ends, since
//! it only jumps forward, and reads nothing but the packet, whatever a client sent.

/// Instructions of the longest program: what the BSD and Linux kernels take.
pub const LENGTH_MAX: usize = 4_096;
/// Words of scratch memory.
const MEMORY: usize = 16;

/// An instruction as it is sent: operation, jumps if true and if false, operand.
pub type Instruction = (u16, u8, u8, u32);

/// Why a program is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Its length.
    #[error("a filter has 1 to {LENGTH_MAX} instructions, and this one has {0}")]
    Length(usize),
    /// One of its instructions, by number from 0.
    #[error("instruction {0} of the filter is none of classic BPF's, or jumps or reads out of bounds")]
    Instruction(usize),
    /// Its end.
    #[error("the filter does not end with a return")]
    End,
}

/// A program that was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter(Vec<Step>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// Loads into A.
    Load(Source),
    /// Loads into X.
    LoadX(Source),
    Store(u8),
    StoreX(u8),
    Compute(Operation, Operand),
    Negate,
    Jump(u32),
    Branch {
        test: Test,
        operand: Operand,
        yes: u8,
        no: u8,
    },
    Return(u32),
    ReturnA,
    ToX,
    FromX,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Value(u32),
    Memory(u8),
    Length,
    /// So many bytes at this offset, and X if that is added.
    Packet {
        bytes: u8,
        offset: u32,
        indexed: bool,
    },
    /// Four times the low four bits of the byte there: the length of an IPv4 header.
    HeaderLength(u32),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operand {
    Value(u32),
    X,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
    Or,
    And,
    Xor,
    Left,
    Right,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Test {
    Equal,
    Greater,
    GreaterOrEqual,
    Set,
}

impl Filter {
    /// Checks a program.
    pub fn new(instructions: &[Instruction]) -> Result<Self, Refused> {
        let count = instructions.len();
        if !(1..=LENGTH_MAX).contains(&count) {
            return Err(Refused::Length(count));
        }
        let steps = instructions.iter().enumerate().map(|(index, &instruction)| {
            let step = Step::decode(instruction).filter(|step| step.furthest() < (count - index) as u64);
            step.ok_or(Refused::Instruction(index))
        });
        let steps: Vec<_> = steps.collect::<Result<_, _>>()?;
        match steps.last() {
            Some(Step::Return(_) | Step::ReturnA) => Ok(Self(steps)),
            _ => Err(Refused::End),
        }
    }

    /// Whether it lets a packet pass of which these are the first bytes, and `length` all.
    pub fn passes(&self, packet: &[u8], length: u32) -> bool {
        self.run(packet, length).is_some_and(|kept| kept > 0)
    }

    /// What it returns; none if it reads beyond the packet, or divides by zero.
    fn run(&self, packet: &[u8], length: u32) -> Option<u32> {
        let (mut a, mut x, mut memory) = (0_u32, 0_u32, [0_u32; MEMORY]);
        let mut at = 0_usize;
        loop {
            let step = *self.0.get(at)?;
            at += 1;
            match step {
                Step::Load(source) => a = source.read(packet, length, x, &memory)?,
                Step::LoadX(source) => x = source.read(packet, length, x, &memory)?,
                Step::Store(index) => *memory.get_mut(usize::from(index))? = a,
                Step::StoreX(index) => *memory.get_mut(usize::from(index))? = x,
                Step::Compute(operation, operand) => a = operation.of(a, operand.value(x))?,
                Step::Negate => a = a.wrapping_neg(),
                Step::Jump(over) => at += over as usize,
                Step::Branch { test, operand, yes, no } => {
                    at += usize::from(if test.holds(a, operand.value(x)) { yes } else { no });
                }
                Step::Return(value) => return Some(value),
                Step::ReturnA => return Some(a),
                Step::ToX => x = a,
                Step::FromX => a = x,
            }
        }
    }
}

impl Step {
    fn decode((code, yes, no, k): Instruction) -> Option<Self> {
        let operand = if code & 0x08 == 0 { Operand::Value(k) } else { Operand::X };
        let memory = || u8::try_from(k).ok().filter(|index| usize::from(*index) < MEMORY);
        let packet = |bytes, indexed| Source::Packet { bytes, offset: k, indexed };
        Some(match code {
            0x00 => Self::Load(Source::Value(k)),
            0x20 => Self::Load(packet(4, false)),
            0x28 => Self::Load(packet(2, false)),
            0x30 => Self::Load(packet(1, false)),
            0x40 => Self::Load(packet(4, true)),
            0x48 => Self::Load(packet(2, true)),
            0x50 => Self::Load(packet(1, true)),
            0x60 => Self::Load(Source::Memory(memory()?)),
            0x80 => Self::Load(Source::Length),
            0x01 => Self::LoadX(Source::Value(k)),
            0x61 => Self::LoadX(Source::Memory(memory()?)),
            0x81 => Self::LoadX(Source::Length),
            0xb1 => Self::LoadX(Source::HeaderLength(k)),
            0x02 => Self::Store(memory()?),
            0x03 => Self::StoreX(memory()?),
            0x84 => Self::Negate,
            0x05 => Self::Jump(k),
            0x06 => Self::Return(k),
            0x16 => Self::ReturnA,
            0x07 => Self::ToX,
            0x87 => Self::FromX,
            _ if code & 0x07 == 4 => {
                let operation = Operation::decode(code & !0x0f)?;
                let by_zero =
                    matches!(operation, Operation::Divide | Operation::Modulo) && operand == Operand::Value(0);
                (!by_zero).then_some(Self::Compute(operation, operand))?
            }
            _ if code & 0x07 == 5 => Self::Branch { test: Test::decode(code & !0x0f)?, operand, yes, no },
            _ => return None,
        })
    }

    /// How many steps further on the furthest is that may follow.
    fn furthest(self) -> u64 {
        match self {
            Self::Jump(over) => u64::from(over) + 1,
            Self::Branch { yes, no, .. } => u64::from(yes.max(no)) + 1,
            _ => 0,
        }
    }
}

impl Source {
    fn read(self, packet: &[u8], length: u32, x: u32, memory: &[u32; MEMORY]) -> Option<u32> {
        match self {
            Self::Value(value) => Some(value),
            Self::Memory(index) => memory.get(usize::from(index)).copied(),
            Self::Length => Some(length),
            Self::Packet { bytes, offset, indexed } => {
                let start = if indexed { offset.checked_add(x)? } else { offset } as usize;
                let read = packet.get(start..start.checked_add(bytes.into())?)?;
                Some(read.iter().fold(0, |value, byte| value << 8 | u32::from(*byte)))
            }
            Self::HeaderLength(offset) => packet.get(offset as usize).map(|byte| u32::from(byte & 0x0f) << 2),
        }
    }
}

impl Operand {
    fn value(self, x: u32) -> u32 {
        match self {
            Self::Value(value) => value,
            Self::X => x,
        }
    }
}

impl Operation {
    fn decode(code: u16) -> Option<Self> {
        Some(match code {
            0x00 => Self::Add,
            0x10 => Self::Subtract,
            0x20 => Self::Multiply,
            0x30 => Self::Divide,
            0x40 => Self::Or,
            0x50 => Self::And,
            0x60 => Self::Left,
            0x70 => Self::Right,
            0x90 => Self::Modulo,
            0xa0 => Self::Xor,
            _ => return None,
        })
    }

    fn of(self, a: u32, b: u32) -> Option<u32> {
        match self {
            Self::Add => Some(a.wrapping_add(b)),
            Self::Subtract => Some(a.wrapping_sub(b)),
            Self::Multiply => Some(a.wrapping_mul(b)),
            Self::Divide => a.checked_div(b),
            Self::Modulo => a.checked_rem(b),
            Self::Or => Some(a | b),
            Self::And => Some(a & b),
            Self::Xor => Some(a ^ b),
            Self::Left => Some(a.checked_shl(b).unwrap_or(0)),
            Self::Right => Some(a.checked_shr(b).unwrap_or(0)),
        }
    }
}

impl Test {
    fn decode(code: u16) -> Option<Self> {
        Some(match code {
            0x10 => Self::Equal,
            0x20 => Self::Greater,
            0x30 => Self::GreaterOrEqual,
            0x40 => Self::Set,
            _ => return None,
        })
    }

    fn holds(self, a: u32, b: u32) -> bool {
        match self {
            Self::Equal => a == b,
            Self::Greater => a > b,
            Self::GreaterOrEqual => a >= b,
            Self::Set => a & b != 0,
        }
    }
}
