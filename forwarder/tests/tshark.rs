// SPDX-License-Identifier: MIT OR Apache-2.0
//! What others make of what leaves: Wireshark with the dissector of `docs/wireshark`, and scapy. Skips what is not installed;
//! `make deps` installs both.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test may stop at the first surprise"
)]

#[path = "e2e/capture.rs"]
mod capture;
mod cli_support;
mod decode;
mod world;

use std::path::{Path, PathBuf};
use std::process::Command;

use cli_support::{sluice, tool};
use decode::Encapsulated;
use serde_json::{Value, json};
use tempfile::TempDir;
use world::Fate;
use world::vectors::{Case, cases_of};

fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The cases of the plain world in which one frame arrives and one leaves, in GUE.
fn forwarded() -> Vec<Case> {
    let mut cases = cases_of("plain");
    cases.retain(|case| match &case.fate {
        Fate::Transmit(sent) if sent.len() == 1 && case.reason.is_none() => {
            let frame = &sent[0].1;
            frame[14..].starts_with(&[0x45]) && frame[26..30] == [10, 0, 0, 1]
                || frame[22..38] == [0x20, 1, 0x0d, 0xb8, 0, 0x0a, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]
        }
        _ => false,
    });
    assert!(cases.len() > 300, "only {} cases", cases.len());
    cases
}

/// A folder with `in.pcap`, of the frames of `cases`, and `out.pcap`, of what `sluice replay` makes of them.
fn replayed(cases: &[Case]) -> TempDir {
    let folder = TempDir::new().unwrap();
    let [input, output] = ["in.pcap", "out.pcap"].map(|name| folder.path().join(name));
    capture::write(&input, cases.iter().map(|case| case.frame.clone()));
    let config = project("tests/vectors/plain/config.toml");
    let [config, input, out] = [&config, &input, &output].map(|path| path.to_str().unwrap());
    sluice(&["replay", "--config", config, "--in", input, "--out", out]).good();
    assert_eq!(capture::read(&output).len(), cases.len());
    folder
}

/// What tshark says of a frame.
#[derive(Debug)]
struct Dissection {
    /// Outermost first.
    protocols: Vec<String>,
    is_malformed: bool,
    has_bad_checksum: bool,
    /// Named columns of [`FIELDS`] from the third on.
    values: Vec<String>,
}

const CHECKSUMS: [&str; 5] = ["ip", "udp", "tcp", "icmp", "icmpv6"];
const FIELDS: [&str; 6] = [
    "gue.proto",
    "gue.hlen",
    "gue.previous.address",
    "gue.datacenter.hops",
    "gue.datacenter.generation",
    "gue.private",
];

/// Dissects a capture, every frame by itself; `None` where there is no tshark.
fn dissect(capture: &Path) -> Option<Vec<Dissection>> {
    let script = project("../docs/wireshark/gue.lua");
    let mut tshark = Command::new("tshark");
    tshark.arg("-X").arg(format!("lua_script:{}", script.display())).arg("-r").arg(capture);
    tshark.args(["-T", "fields", "-E", "separator=|", "-e", "frame.protocols", "-e", "_ws.malformed"]);
    for option in ["ip.check_checksum", "udp.check_checksum", "tcp.check_checksum", "udp.ignore_ipv6_zero_checksum"] {
        tshark.args(["-o", &format!("{option}:TRUE")]);
    }
    for option in ["ip.defragment", "ipv6.defragment", "tcp.desegment_tcp_streams"] {
        tshark.args(["-o", &format!("{option}:FALSE")]);
    }
    for protocol in CHECKSUMS {
        tshark.args(["-e", &format!("{protocol}.checksum.status")]);
    }
    FIELDS.iter().for_each(|field| {
        tshark.args(["-e", field]);
    });
    let output = tool(&mut tshark)?;
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && !said.contains("Lua"), "{said}");
    let lines = String::from_utf8(output.stdout).unwrap();
    Some(lines.lines().map(Dissection::read).collect())
}

impl Dissection {
    fn read(line: &str) -> Self {
        let columns: Vec<_> = line.split('|').collect();
        let (checksums, values) = columns[2..].split_at(CHECKSUMS.len());
        Self {
            protocols: columns[0].split(':').map(str::to_owned).collect(),
            is_malformed: !columns[1].is_empty(),
            has_bad_checksum: checksums.iter().any(|statuses| statuses.split(',').any(|status| status == "0")),
            values: values.iter().map(|value| (*value).to_owned()).collect(),
        }
    }

    fn is_sound(&self) -> bool {
        !self.is_malformed && !self.has_bad_checksum
    }

    /// What is behind the last layer of that name.
    fn behind(&self, layer: &str) -> &[String] {
        let at = self.protocols.iter().rposition(|protocol| protocol == layer);
        at.map_or(&[], |at| &self.protocols[at + 1..])
    }
}

/// Whatever arrives, tshark finds it behind GUE as it found it before; and what arrives without a fault has none then.
#[test]
fn wireshark_finds_every_packet_inside() {
    let cases = forwarded();
    let folder = replayed(&cases);
    let [arrived, sent] = ["in.pcap", "out.pcap"].map(|name| folder.path().join(name));
    let (Some(before), Some(after)) = (dissect(&arrived), dissect(&sent)) else { return };
    assert_eq!((before.len(), after.len()), (cases.len(), cases.len()));

    let mut sound = 0;
    for (case, (before, after)) in cases.iter().zip(before.iter().zip(&after)) {
        let outer = if before.protocols.iter().any(|protocol| protocol == "gue") { "gue" } else { "ethertype" };
        assert_eq!(after.protocols.iter().filter(|protocol| *protocol == "gue").count(), 1, "{}: {after:?}", case.name);
        assert_eq!(after.behind("gue"), before.behind(outer), "{}", case.name);
        assert!(matches!(after.behind("gue")[0].as_str(), "ip" | "ipv6"), "{}", case.name);
        assert!(after.is_sound() || !before.is_sound(), "{}: {after:?}", case.name);
        sound += usize::from(after.is_sound());
    }
    assert!(sound > 200, "only {sound} of {} without a fault", cases.len());
}

#[test]
fn wireshark_reads_the_private_data() {
    let cases = forwarded();
    let folder = replayed(&cases);
    let output = folder.path().join("out.pcap");
    let Some(dissections) = dissect(&output) else { return };
    for (case, (frame, dissection)) in cases.iter().zip(capture::read(&output).iter().zip(&dissections)) {
        let sent = Encapsulated::read(frame);
        let number = |bytes: &[u8]| bytes.iter().fold(0u32, |number, byte| number << 8 | u32::from(*byte)).to_string();
        let (previous, hops, generation) = match sent.private {
            [0, 0, 0, 1, address @ ..] => {
                (address.iter().map(u8::to_string).collect::<Vec<_>>().join("."), String::new(), String::new())
            }
            [0x53, 0x01, hops, 0, generation @ ..] => (String::new(), number(&[*hops]), number(generation)),
            _ => Default::default(),
        };
        let words = (sent.private.len() / 4).to_string();
        let expected = [sent.protocol.to_string(), words, previous, hops, generation, String::new()];
        assert_eq!(dissection.values, expected, "{}", case.name);
    }
}

#[test]
fn scapy_finds_every_packet_inside() {
    let cases = forwarded();
    let folder = replayed(&cases);
    let output = folder.path().join("out.pcap");
    // Debian's scapy belongs to Debian's Python
    let python = || Command::new("/usr/bin/python3");
    if !python().args(["-c", "import scapy.all"]).output().is_ok_and(|output| output.status.success()) {
        return eprintln!("skipped: there is no scapy");
    }
    let run = python().arg(project("tests/dissect/decode.py")).arg(&output).output().unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let lines = String::from_utf8(run.stdout).unwrap();
    assert_eq!(lines.lines().count(), cases.len());
    for (case, (frame, line)) in cases.iter().zip(capture::read(&output).iter().zip(lines.lines())) {
        let sent = Encapsulated::read(frame);
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let ip = |is_v4: bool| if is_v4 { "IP" } else { "IPv6" };
        let decoded: Value = serde_json::from_str(line).unwrap();
        let expected = json!({
            "outer": ip(sent.source.is_ipv4()),
            "source": sent.source,
            "destination": sent.destination,
            "ports": [sent.source_port, sent.gue_port],
            "udp_checksum": 0,
            "header": [0, 0, sent.private.len() / 4, 0],
            "private": hex(sent.private),
            "inner": ip(sent.protocol == 4),
            "bytes": hex(sent.inner),
            "checksum_is_right": true,
        });
        assert_eq!(decoded, expected, "{}", case.name);
    }
}
