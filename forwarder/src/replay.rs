// SPDX-License-Identifier: MIT OR Apache-2.0
//! The worker's own loop over a capture (contract section 8, "Replay"): no DPDK, no root, no daemon.

#[cfg(test)]
mod tests;

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, BufWriter};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use serde::Serialize;
use tables::source::Source;
use tables::table::Viewpoint;
use tables::{Faults, Publisher};

use crate::counters::CountersReport;
use crate::io::capture::{CaptureIo, Fault};
use crate::io::counted::Counted;
use crate::io::pcap::{self, Resolution};
use crate::settings::Settings;
use crate::state::ForwardingState;
use crate::wire::MacAddr;
use crate::worker::handoff::Handoff;
use crate::worker::{Shared, Worker};

/// Bytes read or written at a time.
const FILE_BUFFER: usize = 1 << 18;

/// What to replay, and by what table.
#[derive(Debug)]
pub struct Replay<'a> {
    /// The configuration's settings. In a replay every device has a kernel path, and one without a next hop sends to the
    /// zero MAC.
    pub settings: Settings,
    /// The table.
    pub source: &'a Source,
    /// Its generation.
    pub generation: u64,
    /// The data centre that the table is seen from.
    pub viewpoint: &'a Viewpoint,
    /// The capture, pcap or pcapng; all of it arrives at the first device.
    pub input: &'a Path,
    /// Counts the bytes that were read of it, for whoever wants to know how far it is.
    pub read: Arc<AtomicU64>,
    /// Where transmitted frames go, in order, as pcap.
    pub output: &'a Path,
    /// Where frames for the kernel go; nowhere if this is not given.
    pub exceptions: Option<&'a Path>,
}

/// What `sluice replay --json` prints.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The generation that decided every packet.
    pub generation: u64,
    /// What became of them.
    pub counters: CountersReport,
}

/// Why a replay failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The table does not suit this forwarder.
    #[error(transparent)]
    Table(#[from] Faults),
    /// There is no device for the packets to arrive at.
    #[error("the configuration has no [[device]], and a replay needs one for the packets to arrive at: add one")]
    NoDevice,
    /// The input can't be opened, or it is no capture. Nothing was written.
    #[error("{}: {source}", path.display())]
    Input {
        /// The input.
        path: PathBuf,
        /// What is wrong with it.
        source: pcap::Error,
    },
    /// The input can't be read to its end. What comes before is replayed.
    #[error("{}: {source} ({} has what comes before it)", path.display(), output.display())]
    InputCut {
        /// The input.
        path: PathBuf,
        /// What is wrong with it, and where.
        source: pcap::Error,
        /// Where the frames of the part before that are.
        output: PathBuf,
        /// What became of that part.
        report: Box<Report>,
    },
    /// A capture can't be written.
    #[error("{}: can't be written: {source}; choose a place that can", path.display())]
    Output {
        /// The capture.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file that is to be written is also another one of the three.
    #[error("{} and {} are the same file: give each capture one of its own", first.display(), second.display())]
    SameFile {
        /// One.
        first: PathBuf,
        /// The other.
        second: PathBuf,
    },
}

/// Replays a capture. The same input gives the same output, byte for byte.
///
/// Nothing is written before the table has been compiled and the input's header read. A capture that breaks off is
/// replayed as far as it goes, and then is an error all the same.
pub fn replay(replay: Replay<'_>) -> Result<Report, Error> {
    let settings = Arc::new(for_replay(replay.settings.clone())?);
    let state = ForwardingState::build(replay.source, replay.generation, replay.viewpoint, &settings)?;
    let io = open(&replay)?;

    let (_publisher, mut readers) = Publisher::new(Box::new(state), 1);
    let Some(reader) = readers.pop() else { unreachable!("a publisher has the readers it was asked for") };
    let shared = Arc::new(Shared::default());
    let mut worker = Worker::new(io, settings, 1, reader, Arc::clone(&shared), Handoff::alone());
    while !worker.io_mut().is_finished() {
        worker.poll();
    }
    worker.finish();
    let ended = worker.into_io().finish();
    let report = Report { generation: replay.generation, counters: CountersReport::from(&shared.counters.read()) };
    match ended {
        Ok(()) => Ok(report),
        Err(fault) => Err(replay.error(fault, report)),
    }
}

/// What a configuration means in a replay.
fn for_replay(mut settings: Settings) -> Result<Settings, Error> {
    for device in &mut settings.devices {
        device.kernel_path = true;
    }
    settings.unknown_next_hop = Some(MacAddr::default());
    if settings.devices.is_empty() { Err(Error::NoDevice) } else { Ok(settings) }
}

type FileIo = CaptureIo<BufReader<Counted<File>>, BufWriter<File>>;

/// Opens the captures: first the one to read, so that a wrong name there costs no output.
fn open(replay: &Replay<'_>) -> Result<FileIo, Error> {
    let unreadable = |source: pcap::Error| Error::Input { path: replay.input.to_owned(), source };
    let (source, file) = Opened::read(replay.input).map_err(|error| unreadable(error.into()))?;
    let file = Counted(file, Arc::clone(&replay.read));
    let input = pcap::Reader::new(BufReader::with_capacity(FILE_BUFFER, file)).map_err(unreadable)?;
    let sink = Opened::write(replay.output)?;
    let exceptions = replay.exceptions.map(Opened::write).transpose()?;

    sink.0.differs_from(&source)?;
    if let Some((kernel, _)) = &exceptions {
        kernel.differs_from(&source)?;
        kernel.differs_from(&sink.0)?;
    }
    let begin = |(opened, file): (Opened<'_>, File)| opened.begin(file, input.resolution());
    let (output, exceptions) = (begin(sink)?, exceptions.map(begin).transpose()?);
    Ok(CaptureIo::new(input, output, exceptions))
}

/// A file that has been opened, and which one it is.
struct Opened<'a> {
    path: &'a Path,
    /// Device and inode of a regular file; two pipes or terminals are no conflict.
    identity: Option<(u64, u64)>,
}

impl<'a> Opened<'a> {
    fn new(path: &'a Path, file: File) -> io::Result<(Self, File)> {
        let metadata = file.metadata()?;
        let identity = metadata.is_file().then(|| (metadata.dev(), metadata.ino()));
        Ok((Self { path, identity }, file))
    }

    fn read(path: &'a Path) -> io::Result<(Self, File)> {
        Self::new(path, File::open(path)?)
    }

    /// Opens a file to write. Leaves what it holds: that may still turn out to be the input.
    fn write(path: &'a Path) -> Result<(Self, File), Error> {
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(path);
        file.and_then(|file| Self::new(path, file)).map_err(|source| unwritable(path, source))
    }

    fn differs_from(&self, other: &Opened<'_>) -> Result<(), Error> {
        if self.identity.is_some() && self.identity == other.identity {
            return Err(Error::SameFile { first: self.path.to_owned(), second: other.path.to_owned() });
        }
        Ok(())
    }

    /// Empties the file and begins a capture.
    fn begin(self, file: File, resolution: Resolution) -> Result<pcap::Writer<BufWriter<File>>, Error> {
        let emptied = if self.identity.is_some() { file.set_len(0) } else { Ok(()) };
        emptied
            .and_then(|()| pcap::Writer::new(BufWriter::with_capacity(FILE_BUFFER, file), resolution))
            .map_err(|source| unwritable(self.path, source))
    }
}

fn unwritable(path: &Path, source: io::Error) -> Error {
    Error::Output { path: path.to_owned(), source }
}

impl Replay<'_> {
    /// What went wrong on the way, with the names that the user knows.
    fn error(&self, fault: Fault, report: Report) -> Error {
        match fault {
            Fault::Input(source) => Error::InputCut {
                path: self.input.to_owned(),
                source,
                output: self.output.to_owned(),
                report: Box::new(report),
            },
            Fault::Output(source) => unwritable(self.output, source),
            Fault::Exceptions(source) => unwritable(self.exceptions.unwrap_or(self.output), source),
        }
    }
}
