// SPDX-License-Identifier: MIT OR Apache-2.0
//! `sluice capture` from a daemon on plain memory, and what tshark reads in its file.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test may stop at the first surprise"
)]

mod cli_support;
mod control_support;
mod feed;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use cli_support::{Run, sluice};
use control_support::{Client, Place, Running, frame, frame_to};
use feed::{Feed, Feeder};
use forwarder::control::methods::capture::CapturePart;
use forwarder::control::peer::{Peer, Right};
use forwarder::control::{methods, rpc};
use serde_json::{Value, json};

const OWNED: u16 = 3_000;
const FREE: u16 = 100;

fn daemon() -> (Running, Feeder) {
    let (io, feeder) = Feed::new();
    (Running::with(Place::new(), io), feeder)
}

/// Runs `sluice capture` while frames come.
fn capture(running: &Running, feeder: &Feeder, frames: &[Vec<u8>], more: &[&str]) -> Run {
    let socket = running.place.socket();
    let arguments = [&["capture", "--socket", socket.to_str().unwrap()], more].concat();
    thread::scope(|scope| {
        let run = scope.spawn(move || sluice(&arguments));
        while !run.is_finished() {
            frames.iter().for_each(|frame| feeder.feed(frame.clone()));
            thread::sleep(Duration::from_millis(1));
        }
        run.join().unwrap()
    })
}

/// A captured frame as tshark shows it.
#[derive(Debug)]
struct Seen {
    comment: String,
    interface: String,
    direction: String,
    /// Outer and inner destination address.
    destinations: String,
    length: usize,
}

/// What tshark reads; `None` where there is none.
fn dissect(file: &Path) -> Option<Vec<Seen>> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/wireshark/gue.lua");
    let mut tshark = Command::new("tshark");
    tshark.arg("-X").arg(format!("lua_script:{}", script.display())).arg("-r").arg(file);
    tshark.args(["-T", "fields", "-E", "separator=|"]);
    for field in ["frame.comment", "frame.interface_name", "frame.packet_flags_direction", "ip.dst", "frame.len"] {
        tshark.args(["-e", field]);
    }
    let output = match tshark.output() {
        Ok(output) => output,
        Err(error) => {
            eprintln!("skipped: tshark: {error}");
            return None;
        }
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let seen = text.lines().map(|line| {
        let [comment, interface, direction, destinations, length] =
            <[&str; 5]>::try_from(line.split('|').collect::<Vec<_>>()).unwrap().map(str::to_owned);
        Seen { comment, interface, direction, destinations, length: length.parse().unwrap() }
    });
    Some(seen.collect())
}

fn file(running: &Running) -> PathBuf {
    running.place.path("out.pcapng")
}

#[test]
fn tshark_reads_every_packet_twice_with_its_fate() {
    let (running, feeder) = daemon();
    let frames = [frame(OWNED), frame(FREE), frame_to([198, 51, 100, 3], 1)];
    let out = file(&running);
    let run = capture(&running, &feeder, &frames, &["--out", out.to_str().unwrap(), "--count", "30", "--json"]);
    assert_eq!(run.good_json(), json!({"file": out, "packets": 30, "lost": 0}));
    let Some(seen) = dissect(&out) else { return };
    assert_eq!(seen.len(), 50, "ten each: in and out, in, in and out");
    let of = |verdict: &str| -> Vec<&Seen> { seen.iter().filter(|seen| seen.comment.starts_with(verdict)).collect() };
    let server = of("verdict=server target=lhr-1 outer=10.0.1.1 generation=42 revision=0 packet=0.");
    let remote = of("verdict=datacenter target=CDG outer=");
    let dropped = of("verdict=drop reason=unallocated_port generation=42 revision=0 packet=0.");
    assert_eq!([server.len(), remote.len(), dropped.len()], [20, 20, 10]);
    for pair in server.chunks(2) {
        assert_eq!(pair[0].comment, pair[1].comment);
        assert_eq!([&pair[0].destinations, &pair[1].destinations], ["198.51.100.1", "10.0.1.1,198.51.100.1"]);
        assert_eq!([pair[0].length, pair[1].length], [frames[0].len(), frames[0].len() + 32]);
        assert_ne!(pair[0].direction, pair[1].direction);
    }
    assert!(seen.iter().all(|seen| seen.interface == "wan0"));
}

#[test]
fn filters_drops_and_samples_leave_the_rest_out() {
    let (running, feeder) = daemon();
    let frames = [frame(OWNED), frame(FREE), frame_to([198, 51, 100, 77], OWNED)];
    let out = file(&running);
    let captured = |more: &[&str]| {
        let run =
            capture(&running, &feeder, &frames, &[&["--out", out.to_str().unwrap(), "--count", "8"], more].concat());
        assert!(run.good().ends_with("out.pcapng: 8 packets; none was lost\n"), "{run:?}");
        dissect(&out)
    };
    let Some(seen) = captured(&["--filter", "dst port 100"]) else { return };
    assert!(seen.len() == 8 && seen.iter().all(|seen| seen.comment.contains("reason=unallocated_port")), "{seen:?}");
    let seen = captured(&["--drops", "unassigned_address,no_port"]).unwrap();
    assert!(seen.len() == 8 && seen.iter().all(|seen| seen.comment.contains("reason=unassigned_address")), "{seen:?}");
    let seen = captured(&["--drops", "any", "--sample", "1/2"]).unwrap();
    assert_eq!(seen.len(), 8);
    let number = |seen: &Seen| seen.comment.rsplit_once("packet=0.").unwrap().1.parse::<u64>().unwrap();
    assert!(seen.windows(2).all(|pair| number(&pair[1]) == number(&pair[0]) + 1), "{seen:?}");
}

#[test]
fn a_signal_ends_a_capture_in_order_and_a_pipe_will_do() {
    let (running, feeder) = daemon();
    let socket = running.place.socket();
    let script = format!(
        "{} capture --out - --socket {} & pid=$!; sleep 1; kill -INT $pid; wait $pid",
        env!("CARGO_BIN_EXE_sluice"),
        socket.display()
    );
    let mut child = Command::new("bash").args(["-c", &script]).stdout(Stdio::piped()).spawn().unwrap();
    let frame = frame(OWNED);
    let mut stdout = child.stdout.take().unwrap();
    let reader = thread::spawn(move || {
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut stdout, &mut bytes).map(|_| bytes).unwrap()
    });
    while child.try_wait().unwrap().is_none() {
        feeder.feed(frame.clone());
        thread::sleep(Duration::from_millis(5));
    }
    assert!(child.wait().unwrap().success());
    let bytes = reader.join().unwrap();
    let path = running.place.path("piped.pcapng");
    std::fs::write(&path, &bytes).unwrap();
    assert!(dissect(&path).is_none_or(|seen| seen.len() > 10));
    // An interface statistics block with two options is the last.
    let length = u32::from_le_bytes(*bytes.last_chunk().unwrap()) as usize;
    assert_eq!(bytes[bytes.len() - length..][..4], [5, 0, 0, 0]);
}

#[test]
fn what_a_user_gets_wrong_is_told() {
    let (running, feeder) = daemon();
    let out = file(&running);
    let out = out.to_str().unwrap();
    let wrong = |more: &[&str]| capture(&running, &feeder, &[], more);
    assert!(wrong(&["--out", out, "--filter", "port http and and"]).failed(1).contains("pcap-filter(7)"));
    assert!(
        wrong(&["--out", out, "--drops", "unalocated_port"]).failed(1).contains("the nearest is \"unallocated_port\"")
    );
    for usage in [&["--sample", "2"][..], &["--sample", "1/0"], &["--count", "0"], &["--snap-length", "95"]] {
        wrong(&[&["--out", out], usage].concat()).failed(2);
    }
    assert!(!Path::new(out).exists(), "nothing was captured");
    assert!(wrong(&["--out", "/nonexistent/x"]).failed(1).contains("/nonexistent/x"));
    // It was stopped at once, so that the next one is not refused.
    let started = Instant::now();
    let run = capture(&running, &feeder, &[frame(OWNED)], &["--out", out, "--count", "1"]);
    assert!(run.status == 0 && started.elapsed() < Duration::from_secs(4), "{run:?}");
}

fn read(client: &mut Client, number: &Value) -> CapturePart {
    serde_json::from_value(client.result("capture_read", json!({ "capture": number }))).unwrap()
}

/// Begins a capture, and lets frames come until the worker sees them.
fn begin(client: &mut Client, feeder: &Feeder, params: Value) -> (Value, u64) {
    let number = client.result("capture", params)["capture"].clone();
    let mut packets = 0;
    while packets == 0 {
        feeder.feed(frame(OWNED));
        packets = read(client, &number).packets;
    }
    // What came last may still be on its way.
    feeder.drain();
    thread::sleep(Duration::from_millis(50));
    (number.clone(), read(client, &number).packets.max(packets))
}

#[test]
fn a_reader_that_does_not_keep_up_loses_packets_and_knows_how_many() {
    const FED: u64 = 20_000;
    let (running, feeder) = daemon();
    let mut client = running.client();
    let (number, before) = begin(&mut client, &feeder, json!({ "snap_length": 1024 }));
    let received = |running: &Running| running.forwarder.stats().counters.rx;
    let start = received(&running);
    let mut frame = frame(OWNED);
    frame.resize(800, 0);
    let started = Instant::now();
    (0..FED).for_each(|_| feeder.feed(frame.clone()));
    while received(&running) < start + FED {
        assert!(
            started.elapsed() < Duration::from_secs(4),
            "the worker has to be done before the client counts as gone"
        );
        thread::sleep(Duration::from_millis(5));
    }
    client.result("capture_stop", json!({ "capture": number }));
    let mut part = read(&mut client, &number);
    while part.running {
        part = read(&mut client, &number);
    }
    assert!(part.lost > FED / 10, "{} lost", part.lost);
    assert_eq!(part.packets - before + part.lost, FED);
    assert_eq!(running.forwarder.stats().counters.tx, start + FED, "forwarding has lost nothing");
}

#[test]
fn a_client_that_does_not_read_ends_its_capture_and_others_wait_until_then() {
    let (running, feeder) = daemon();
    let (mut gone, mut other) = (running.client(), running.client());
    let (number, _) = begin(&mut gone, &feeder, json!({}));
    assert_eq!(other.error("capture", json!({})).0, -32006);
    let started = Instant::now();
    while other.ask("capture", json!({})).get("error").is_some() {
        assert!(started.elapsed() < Duration::from_secs(15));
        thread::sleep(Duration::from_millis(100));
    }
    assert!(started.elapsed() > Duration::from_secs(3), "a slow client is not a dead one");
    assert_eq!(gone.error("capture_read", json!({ "capture": number })).0, -32602);
}

#[test]
fn parameters_are_checked() {
    let (running, _feeder) = daemon();
    let mut client = running.client();
    for params in [
        json!({"filter": []}),
        json!({"filter": [[5, 0, 0, 9]]}),
        json!({"filter": "ip"}),
        json!({"drops": ["x"]}),
        json!({"sample": 0}),
        json!({"count": 0}),
        json!({"snap_length": 95}),
        json!({"out": "/etc/passwd"}),
    ] {
        assert_eq!(client.error("capture", params.clone()).0, -32602, "{params}");
    }
    for method in ["capture_read", "capture_stop"] {
        assert_eq!(client.error(method, json!({})).0, -32602);
        assert_eq!(client.error(method, json!({"capture": 1})).0, -32602);
    }
}

#[test]
fn looking_is_no_right_to_look_into_packets() {
    let (running, _feeder) = daemon();
    let peer = Peer::Process { uid: 4242, gid: 4242, pid: 1 };
    for method in ["capture", "capture_read", "capture_stop"] {
        let request = rpc::request(method, &json!({}));
        let call = |method: &str, params: rpc::Params<'_>| {
            methods::call(&running.forwarder, peer, Right::Look, method, params)
        };
        let answer: Value = serde_json::from_slice(&rpc::answer(request.as_bytes(), call).unwrap()).unwrap();
        assert_eq!(answer["error"]["code"], -32003, "{method}");
    }
}
