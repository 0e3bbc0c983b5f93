// SPDX-License-Identifier: MIT OR Apache-2.0
//! Classic pcap files as `pcap-savefile(5)` has them, in this machine's byte order.

use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read};
use std::path::Path;

/// Times in microseconds, as we write them, and in nanoseconds, as DPDK does.
const MAGIC: [u32; 2] = [0xa1b2_c3d4, 0xa1b2_3c4d];
const LINKTYPE_ETHERNET: u32 = 1;
const LONGEST_FRAME: u32 = 65_535;

/// The header of a file of Ethernet frames.
pub(crate) fn file_header() -> Vec<u8> {
    let mut bytes = MAGIC[0].to_ne_bytes().to_vec();
    bytes.extend([2_u16, 4].iter().flat_map(|version| version.to_ne_bytes()));
    bytes.extend([0, 0, LONGEST_FRAME, LINKTYPE_ETHERNET].iter().flat_map(|word| word.to_ne_bytes()));
    bytes
}

/// One frame with its record header, received `micros` after the start of the epoch.
pub(crate) fn record(micros: u32, frame: &[u8]) -> Vec<u8> {
    let length = frame.len() as u32;
    let header = [micros / 1_000_000, micros % 1_000_000, length, length];
    header.iter().flat_map(|word| word.to_ne_bytes()).chain(frame.iter().copied()).collect()
}

/// Reads a capture frame by frame.
pub(crate) struct Reader {
    file: BufReader<File>,
    frame: Vec<u8>,
}

impl Reader {
    /// Opens a capture of Ethernet frames.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let mut file = BufReader::with_capacity(1 << 20, File::open(path)?);
        let [magic, .., link_type] = words::<6>(&mut file)?.ok_or(ErrorKind::UnexpectedEof)?;
        if !MAGIC.contains(&magic) || link_type != LINKTYPE_ETHERNET {
            return Err(io::Error::new(ErrorKind::InvalidData, "not a pcap file of Ethernet frames"));
        }
        Ok(Self { file, frame: Vec::new() })
    }

    /// The next frame; `None` at the end of the file, an error if that is in the middle of a frame.
    pub(crate) fn next(&mut self) -> io::Result<Option<&[u8]>> {
        let Some([_, _, captured, _]) = words::<4>(&mut self.file)? else { return Ok(None) };
        if captured > LONGEST_FRAME {
            return Err(io::Error::new(ErrorKind::InvalidData, "a record longer than any frame"));
        }
        self.frame.resize(captured as usize, 0);
        self.file.read_exact(&mut self.frame)?;
        Ok(Some(&self.frame))
    }
}

/// `N` words, or `None` at the end of the file.
fn words<const N: usize>(file: &mut impl Read) -> io::Result<Option<[u32; N]>> {
    let mut bytes = Vec::with_capacity(4 * N);
    file.take(4 * N as u64).read_to_end(&mut bytes)?;
    if bytes.is_empty() {
        return Ok(None);
    }
    let mut words = [0; N];
    for (index, word) in words.iter_mut().enumerate() {
        let four = bytes.get(4 * index..).and_then(|rest| rest.first_chunk()).ok_or(ErrorKind::UnexpectedEof)?;
        *word = u32::from_ne_bytes(*four);
    }
    Ok(Some(words))
}
