// SPDX-License-Identifier: MIT OR Apache-2.0
//! Frames through devices: all of them, unchanged, and no buffer lost.

use std::path::Path;
use std::thread;

use forwarder::io::dpdk::{DeviceSpec, Dpdk, DpdkIo, Mbuf};
use forwarder::io::{DeviceIndex, PacketBuf, PacketIo, Received};
use tempfile::tempdir;

use crate::isolated::{isolated, path, run_as_nobody, run_beside};
use crate::{EAL, capture, device, start, strings};

const FIRST: DeviceIndex = DeviceIndex(0);
const SECOND: DeviceIndex = DeviceIndex(1);

fn pcap(folder: &Path) -> String {
    let folder = folder.display();
    format!("net_pcap0,rx_pcap={folder}/in.pcap,tx_pcap={folder}/out.pcap")
}

/// Polls the first device in bursts until it gives no more.
fn receive_all(io: &mut DpdkIo) -> Vec<Mbuf> {
    let mut frames = Vec::new();
    while {
        let before = frames.len();
        assert_eq!(io.receive(FIRST, &mut frames, 64), Received::default());
        frames.len() > before
    } {}
    frames
}

fn contents(frames: &[Mbuf]) -> Vec<Vec<u8>> {
    frames.iter().map(|frame| frame.data().to_vec()).collect()
}

/// What a net_pcap device reads leaves by it byte for byte, and every buffer comes back.
fn through_pcap(eal: &[&str]) {
    let folder = tempdir().unwrap();
    let sent = capture::frames(5000);
    capture::write(&folder.path().join("in.pcap"), &sent);
    let mut dpdk = Dpdk::start(&strings(eal), &[device("wan0", &pcap(folder.path()))], 1, 64, 0).unwrap();
    let mut queues = dpdk.queues();
    assert!(dpdk.queues().is_empty(), "queues are handed out once");
    let io = queues.first_mut().unwrap();
    io.attach_thread();
    let mut frames = Vec::new();
    loop {
        assert_eq!(io.receive(FIRST, &mut frames, 64), Received::default());
        if frames.is_empty() {
            break;
        }
        assert!(frames.len() <= 64);
        io.transmit(FIRST, &mut frames);
        assert!(frames.is_empty(), "net_pcap takes everything");
    }
    assert_eq!(dpdk.buffers_in_use(), 0);
    drop((queues, dpdk));
    assert!(capture::read(&folder.path().join("out.pcap")) == sent, "frames differ");
}

isolated! {
    fn what_pcap_reads_is_what_pcap_writes() {
        through_pcap(&EAL);
    }

    /// The very arguments of the contract's sample.
    fn the_sample_arguments_suffice() {
        through_pcap(&["--no-huge", "-m", "512", "--no-pci"]);
    }

    /// Neither daemon sees the other.
    fn two_processes_run_at_once() {
        let folder = tempdir().unwrap();
        capture::write(&folder.path().join("in.pcap"), &capture::frames(10));
        let mut dpdk = start(&pcap(folder.path())).unwrap();
        run_beside(&path(module_path!(), "what_pcap_reads_is_what_pcap_writes"), &[]);
        for io in &mut dpdk.queues() {
            assert_eq!(receive_all(io).len(), 10);
        }
    }

    /// Without privileges. (With none to give up, the other tests are that already.)
    fn an_ordinary_user_may() {
        if rustix::process::geteuid().is_root() {
            let folder = tempdir().unwrap();
            let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            std::fs::set_permissions(folder.path(), open).unwrap();
            run_as_nobody(&path(module_path!(), "what_pcap_reads_is_what_pcap_writes"), folder.path());
        }
    }

    /// Growing, shrinking and cutting change the frame on the wire and nothing else.
    fn a_frame_changes_its_length_at_both_ends() {
        let folder = tempdir().unwrap();
        let sent = capture::frames(4);
        capture::write(&folder.path().join("in.pcap"), &sent);
        let mut dpdk = start(&pcap(folder.path())).unwrap();
        let mut io = dpdk.queues().remove(0);
        let mut frames = receive_all(&mut io);
        assert_eq!(contents(&frames), sent);

        assert!(frames[0].prepend(129).is_none(), "the headroom has 128 bytes");
        assert_eq!(frames[0].data(), sent[0]);
        let grown = frames[0].prepend(128).unwrap();
        grown[..128].fill(0xee);
        assert!(frames[0].prepend(1).is_none());
        assert!(frames[0].prepend(usize::MAX).is_none());
        frames[1].trim_front(14);
        frames[1].data_mut()[0] = 0x45;
        frames[2].truncate(20);
        frames[2].truncate(usize::MAX);
        frames[3].trim_front(usize::MAX);
        frames[3].prepend(3).unwrap().copy_from_slice(b"abc");

        io.transmit(FIRST, &mut frames);
        drop((io, dpdk));
        let mut cut = sent[1][14..].to_vec();
        cut[0] = 0x45;
        let expected = [[&[0xee; 128], &sent[0][..]].concat(), cut, sent[2][..20].to_vec(), b"abc".to_vec()];
        assert_eq!(capture::read(&folder.path().join("out.pcap")), expected);
    }

    /// Frames that the driver delivers in several buffers come as one piece, in their place and with headroom.
    fn jumbo_frames_come_in_one_piece() {
        let folder = tempdir().unwrap();
        let sizes = [60, 2049, 9014, 64, 65_000];
        let sent: Vec<_> = sizes.into_iter().enumerate().map(|(number, size)| capture::frame(number, size)).collect();
        capture::write(&folder.path().join("in.pcap"), &sent);
        let mut dpdk = start(&pcap(folder.path())).unwrap();
        let mut io = dpdk.queues().remove(0);
        let mut frames = receive_all(&mut io);
        assert_eq!(contents(&frames), sent);
        for frame in &mut frames {
            assert!(frame.prepend(100).is_some());
            frame.trim_front(100);
        }
        io.transmit(FIRST, &mut frames);
        assert_eq!(dpdk.buffers_in_use(), 0);
        drop((io, dpdk));
        assert!(capture::read(&folder.path().join("out.pcap")) == sent, "frames differ");
    }

    /// More jumbo frames than there are large buffers: the rest is freed, counted, and no other frame suffers.
    fn jumbo_frames_beyond_the_large_buffers_are_counted() {
        let folder = tempdir().unwrap();
        let mut sent: Vec<_> = (0..70).map(|number| capture::frame(number, 4000)).collect();
        sent.push(capture::frame(70, 60));
        capture::write(&folder.path().join("in.pcap"), &sent);
        let mut dpdk = start(&pcap(folder.path())).unwrap();
        let mut io = dpdk.queues().remove(0);
        let mut frames = Vec::new();
        assert_eq!(io.receive(FIRST, &mut frames, 100), Received { segmented: 6 });
        sent.drain(64..70);
        assert_eq!(contents(&frames), sent);
        assert_eq!(dpdk.buffers_in_use(), sent.len());
        io.free(&mut frames);
        assert!(frames.is_empty());
        assert_eq!(dpdk.buffers_in_use(), 0);
    }

    /// What a full queue does not take stays with the caller, in order; what it took comes back once.
    fn a_full_ring_leaves_the_rest() {
        let folder = tempdir().unwrap();
        let sent: Vec<_> = (0..1100).map(|number| capture::frame(number, 60)).collect();
        capture::write(&folder.path().join("in.pcap"), &sent);
        let devices = [device("wan0", &pcap(folder.path())), device("loop", "net_ring0")];
        let mut dpdk = Dpdk::start(&strings(&EAL), &devices, 1, 64, 0).unwrap();
        let mut io = dpdk.queues().remove(0);
        let mut frames = receive_all(&mut io);
        assert_eq!(frames.len(), sent.len());

        io.transmit(SECOND, &mut frames);
        assert_eq!(contents(&frames), sent[1023..], "net_ring holds 1023");
        io.transmit(SECOND, &mut frames);
        assert_eq!(frames.len(), 77, "still full");
        assert_eq!(dpdk.buffers_in_use(), 1100);

        let mut looped = Vec::new();
        io.receive(SECOND, &mut looped, 2000);
        assert_eq!(contents(&looped), sent[..1023]);
        io.transmit(SECOND, &mut frames);
        assert!(frames.is_empty());
        io.receive(SECOND, &mut looped, 2000);
        assert_eq!(contents(&looped), sent);
        drop(looped);
        assert_eq!(dpdk.buffers_in_use(), 0);
    }

    fn a_null_device_gives_and_takes_without_end() {
        let mut dpdk = start("net_null0").unwrap();
        let mut io = dpdk.queues().remove(0);
        let mut frames = Vec::new();
        for _ in 0..2000 {
            io.receive(FIRST, &mut frames, 64);
            assert_eq!(frames.len(), 64);
            io.transmit(FIRST, &mut frames);
            assert!(frames.is_empty());
        }
        assert_eq!(dpdk.buffers_in_use(), 0);
    }

    /// One more loop than the pool would have buffers for by itself.
    fn a_looped_capture_of_any_size_repeats() {
        let folder = tempdir().unwrap();
        let sent: Vec<_> = (0..70_000).map(|number| capture::frame(number, 60)).collect();
        capture::write(&folder.path().join("in.pcap"), &sent);
        let vdev = format!("net_pcap0,rx_pcap={}/in.pcap,infinite_rx=1", folder.path().display());
        let mut dpdk = Dpdk::start(&strings(&["--no-huge", "-m", "512"]), &[device("wan0", &vdev)], 1, 64, 0).unwrap();
        let mut io = dpdk.queues().remove(0);
        let mut frames = Vec::new();
        for expected in sent.iter().cycle().take(140_000) {
            if frames.is_empty() {
                io.receive(FIRST, &mut frames, 64);
            }
            assert_eq!(frames.remove(0).data(), expected);
        }
        io.transmit(FIRST, &mut frames);
        assert_eq!(dpdk.buffers_in_use(), 70_000);
    }

    /// Every worker has its own queue of every device, on its own thread.
    fn two_workers_have_a_queue_each() {
        let folder = tempdir().unwrap();
        let file = |name: &str| folder.path().join(name);
        let sent = [capture::frames(3000), capture::frames(4000)];
        capture::write(&file("in0.pcap"), &sent[0]);
        capture::write(&file("in1.pcap"), &sent[1]);
        let at = folder.path().display();
        let rx = format!("rx_pcap={at}/in0.pcap,rx_pcap={at}/in1.pcap");
        let tx = format!("tx_pcap={at}/out0.pcap,tx_pcap={at}/out1.pcap");
        let devices: [DeviceSpec; 1] = [device("wan0", &format!("net_pcap0,{rx},{tx}"))];
        let mut dpdk = Dpdk::start(&strings(&EAL), &devices, 2, 64, 0).unwrap();
        let workers: Vec<_> = dpdk.queues().into_iter().map(|mut io| {
            thread::spawn(move || {
                io.attach_thread();
                let mut frames = receive_all(&mut io);
                io.transmit(FIRST, &mut frames);
                frames.len()
            })
        }).collect();
        assert_eq!(workers.len(), 2);
        for worker in workers {
            assert_eq!(worker.join().unwrap(), 0);
        }
        assert_eq!(dpdk.buffers_in_use(), 0);
        drop(dpdk);
        assert!(capture::read(&file("out0.pcap")) == sent[0], "first queue");
        assert!(capture::read(&file("out1.pcap")) == sent[1], "second queue");
    }

    fn a_device_tells_its_address_and_link() {
        let folder = tempdir().unwrap();
        capture::write(&folder.path().join("in.pcap"), &[]);
        let devices = [device("wan0", &pcap(folder.path())), device("null", "net_null0")];
        let dpdk = Dpdk::start(&strings(&EAL), &devices, 1, 64, 0).unwrap();
        // "pcap" and a running number, says the driver's documentation.
        assert_eq!(dpdk.mac(FIRST).to_string(), "02:70:63:61:70:00");
        assert!(dpdk.link_up(FIRST));
        assert_eq!(dpdk.mac(DeviceIndex(2)).to_string(), "00:00:00:00:00:00");
        assert!(!dpdk.link_up(DeviceIndex(2)));
    }

    /// A device that is not there gives nothing and takes nothing, and neither does the kernel yet.
    fn frames_for_nowhere_stay() {
        let mut dpdk = start("net_null0").unwrap();
        let mut io = dpdk.queues().remove(0);
        let mut frames = Vec::new();
        io.receive(FIRST, &mut frames, 8);
        io.transmit(SECOND, &mut frames);
        io.to_kernel(FIRST, &mut frames);
        assert_eq!(frames.len(), 8);
        assert_eq!(io.receive(SECOND, &mut frames, 8), Received::default());
        assert_eq!(frames.len(), 8);
        let earlier = io.now();
        assert!(earlier.0 > 0 && io.now() >= earlier);
    }
}
