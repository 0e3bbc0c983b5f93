// SPDX-License-Identifier: MIT OR Apache-2.0
//! DPDK with one device that brings frames without end.

use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::path::Path;
use std::time::Duration;

use forwarder::io::Nanos;
use forwarder::io::dpdk::{DeviceAddress, DeviceSpec, Dpdk, Error};
use forwarder::io::offload::Offloads;
use forwarder::io::pcap::{Resolution, Writer};
use forwarder::settings::FragmentLimits;
use forwarder::worker::handoff;

use crate::frames::Image;

/// Megabytes that DPDK has beside the frames of captures: buffers in use, and the drivers' own.
const BASE_MEGABYTES: u64 = 512;

/// Where frames come from.
#[derive(Debug, Clone, Copy)]
pub enum Source<'a> {
    /// A capture, again and again; what is sent is dropped by the driver, which has no file to write to.
    Pcap(&'a Path),
    /// Buffers with zeros in them, so that nothing is forwarded: what is left is the worker's own cost, and the driver's.
    Null,
    /// What was sent.
    Ring,
}

/// Starts DPDK with `queues` queues that bring frames of `frame` bytes, and says whether it has huge pages.
pub fn start(source: Source<'_>, queues: usize, burst: usize, frame: usize) -> Result<(Dpdk, bool), Error> {
    let vdev = match source {
        Source::Pcap(file) => {
            let file = file.display().to_string();
            format!("net_pcap0,{}infinite_rx=1", format!("rx_pcap={file},").repeat(queues))
        }
        Source::Null => format!("net_null0,size={frame}"),
        Source::Ring => "net_ring0".to_owned(),
    };
    let address = DeviceAddress::Vdev(vdev);
    let spec = DeviceSpec {
        name: "wan0".into(),
        address,
        mtu: 1600,
        link_wait: Duration::ZERO,
        offloads: Offloads::default(),
    };
    let kept = handoff::kept(queues, FragmentLimits::default().packets);
    let megabytes = megabytes(source, queues);
    let huge_pages = free_huge_megabytes() >= megabytes;
    let mut arguments = vec!["--no-pci".to_owned(), "-m".to_owned(), megabytes.to_string()];
    if !huge_pages {
        arguments.push("--no-huge".to_owned());
    }
    Ok((Dpdk::start(&arguments, &[spec], queues, burst, kept)?, huge_pages))
}

/// Megabytes that DPDK needs.
fn megabytes(source: Source<'_>, queues: usize) -> u64 {
    let captured = match source {
        Source::Pcap(file) => fs::metadata(file).map_or(0, |file| file.len()),
        _ => 0,
    };
    // The forwarder's pool counts on records of 50 bytes. Without huge pages DPDK lets no buffer cross a page: each has 4 KiB.
    BASE_MEGABYTES + queues as u64 * captured / 50 * 4_200 / 1_000_000
}

/// Megabytes of huge pages that nobody uses.
fn free_huge_megabytes() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let number = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim_start_matches(':').split_whitespace().next()?.parse::<u64>().ok()
    };
    number("HugePages_Free").unwrap_or_default() * number("Hugepagesize").unwrap_or_default() / 1024
}

/// Writes a capture of these frames.
pub fn capture(path: &Path, images: &[Image]) -> io::Result<()> {
    let mut writer = Writer::new(BufWriter::new(File::create(path)?), Resolution::Micro)?;
    let mut frame = Vec::new();
    for image in images {
        frame.clear();
        frame.extend_from_slice(&image.bytes);
        frame.resize(usize::from(image.len), 0);
        writer.write(Nanos(0), &frame)?;
    }
    writer.flush()
}
