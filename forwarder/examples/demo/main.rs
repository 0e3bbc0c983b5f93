// SPDX-License-Identifier: MIT OR Apache-2.0
//! The main job, end to end: return traffic goes in, GUE comes out, and the table is swapped in between.
//!
//! Starts `sluiced` on a DPDK pcap device, plays a capture to it without a pause, reloads a changed table through the
//! control socket, stops it, and holds every packet that came out against what went in. `make demo` runs it. An argument
//! names an empty folder to work in.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "the report is the point")]

mod analysis;
mod capture;
mod daemon;
mod feeder;
mod network;
mod packet;
mod paper;
mod pcap;
mod replay;
mod report;
mod traffic;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde_json::Value;

use analysis::Analysis;
use daemon::{Daemon, Places};
use feeder::Feeder;
use network::{Network, UNDERLAY4, UNDERLAY6};
use paper::{Paper, grouped};
use traffic::{PACKETS, Traffic};

/// Packets before the reload, and again after it.
const PHASE: u64 = 200_000;

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            println!("\nThe demo FAILED: see the checks above.");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("demo: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What the run itself shows; the capture shows the rest.
struct Run {
    counters: Value,
    fed: u64,
    fed_before: u64,
    fed_meanwhile: u64,
    reload: Duration,
    reloaded: Value,
    explained: String,
}

fn run() -> Result<bool, String> {
    let paper = Paper::new();
    let places = places()?;
    let network = Network::new();
    let traffic = Traffic::new(&network)?;
    let core = core_affinity::get_core_ids().and_then(|cores| cores.last().copied()).map_or(0, |core| core.id);
    prepare(&places, &network, &traffic, core)?;

    paper.heading("Sluice demo: return traffic in, GUE out, the table swapped in between");
    let shape = "LHR, with CDG and MAN far away; 4 shared addresses in slices of 2,048 ports among 31 servers";
    paper.line("network", shape);
    let packets = format!(
        "{} packets over and over, from {} Internet addresses",
        grouped(PACKETS as u64),
        grouped(traffic.sources as u64)
    );
    paper.line("traffic", format_args!("{packets}; {} of them are noise", traffic.noise()));
    paper.line("forwarder", format_args!("sluiced on DPDK net_pcap, one worker on core {core}, no NIC, no huge pages"));

    let asked = network.moves.get(1).and_then(|m| Some((network.egress().get(m.egress)?.address, m.ports.0 + 20)));
    let asked = asked.map(|(address, port)| format!("{address}:{port}")).unwrap_or_default();
    let run = drive(&places, &traffic, &asked)?;
    paper.line("before", format_args!("{} packets fed", grouped(run.fed_before)));
    let swap = run.reloaded.get("swap_us").and_then(Value::as_f64).unwrap_or(f64::NAN) / 1e3;
    let took = format!("generation 2 after {:.1} ms, the swap itself {swap:.1} ms", run.reload.as_secs_f64() * 1e3);
    paper.line("reload", format_args!("{took}; {} packets fed meanwhile", grouped(run.fed_meanwhile)));
    paper.line("after", format_args!("{} packets fed", grouped(run.fed - run.fed_before - run.fed_meanwhile)));

    let output = places.folder.join("out.pcap");
    let analysis = analysis::analyse(&output, &network, &traffic, run.fed)?;
    paper.servers(&analysis);
    paper.datacenters(&analysis);
    paper.moves(&network, &analysis);
    paper.drops(&run.counters, &traffic.drops(run.fed));
    let difference = replay::first_difference(&places)?;
    let passed = check(&paper, &run, &analysis, &traffic, difference);
    paper.heading(&format!("Why does a packet go there?  $ sluice explain {asked}"));
    paper.quote(&run.explained);
    files(&paper, &places.folder);
    Ok(passed)
}

/// The demo's folder, emptied, lies in the build's target folder beside the programs, unless the user names another.
fn places() -> Result<Places, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut above = program.ancestors().skip(2);
    let (Some(programs), Some(target)) = (above.next(), above.next()) else {
        return Err(format!("{} is not where cargo puts examples; run 'make demo'", program.display()));
    };
    let folder = match std::env::args_os().nth(1) {
        Some(folder) => std::path::absolute(&folder).map_err(|error| error.to_string())?,
        None => {
            let folder = target.join("demo");
            if folder.exists() {
                fs::remove_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
            }
            folder
        }
    };
    Ok(Places { socket: daemon::socket_path(&folder)?, folder, programs: programs.to_owned() })
}

/// Writes the inputs.
fn prepare(places: &Places, network: &Network, traffic: &Traffic, core: usize) -> Result<(), String> {
    let folder = &places.folder;
    fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let write = |name: &str, content: &[u8]| {
        let path = folder.join(name);
        fs::write(&path, content).map_err(|error| format!("{}: {error}", path.display()))
    };
    write("table.json", format!("{:#}\n", network.table(1)).as_bytes())?;
    write("table-next.json", format!("{:#}\n", network.table(2)).as_bytes())?;
    write("config.toml", config(&places.socket, core).as_bytes())?;
    write("in.pcap", &traffic.file)
}

fn config(socket: &Path, core: usize) -> String {
    format!(
        r#"datacenter = "LHR"
table = "table.json"

[underlay]
ipv4 = "{UNDERLAY4}"
ipv6 = "{UNDERLAY6}"
flow_key = "5eed5eed5eed5eed5eed5eed5eed5eed"

[[device]]
name = "wan0"
vdev = "net_pcap0,rx_pcap=traffic.fifo,tx_pcap=out.pcap"
mtu = 1600
mac = "02:00:00:00:00:01"
next_hop_mac = "02:00:00:00:00:02"

[workers]
cores = [{core}]

[eal]
args = ["--no-huge", "-m", "512", "--no-pci", "--no-shconf", "--no-telemetry"]

[control]
socket = {socket:?}
"#
    )
}

/// One run of one daemon: traffic, reload under traffic, more traffic, stop.
fn drive(places: &Places, traffic: &Traffic, asked: &str) -> Result<Run, String> {
    let mut feeder = Feeder::new(&places.folder.join("traffic.fifo"), traffic)?;
    let mut daemon = Daemon::start(places)?;
    feeder.open(&mut daemon)?;
    daemon.wait_ready(&mut feeder)?;

    feeder.feed(PHASE, &mut daemon)?;
    let fed_before = feeder.fed();
    let start = Instant::now();
    let reloaded = daemon.ask(&mut feeder, &["reload", "table-next.json", "--json"])?;
    let reload = start.elapsed();
    let reloaded = serde_json::from_str(&reloaded).map_err(|error| format!("sluice reload --json: {error}"))?;
    let fed_meanwhile = feeder.fed() - fed_before;
    feeder.feed(PHASE, &mut daemon)?;
    let explained = daemon.ask(&mut feeder, &["explain", asked])?;

    feeder.close();
    let counters = daemon.final_counters(&mut feeder)?;
    daemon.stop()?;
    Ok(Run { counters, fed: feeder.fed(), fed_before, fed_meanwhile, reload, reloaded, explained })
}

/// Prints every check; whether all passed.
fn check(paper: &Paper, run: &Run, analysis: &Analysis, traffic: &Traffic, difference: Option<u64>) -> bool {
    let count = |name: &str| run.counters.get(name).and_then(Value::as_u64).unwrap_or(0);
    let dropped = report::drops(&run.counters);
    let due: std::collections::BTreeMap<_, _> =
        traffic.drops(run.fed).into_iter().map(|(reason, count)| (reason.to_owned(), count)).collect();
    let [rx, originated, tx, exception, held] = ["rx", "originated", "tx", "exception", "held"].map(count);
    let drops: u64 = dropped.values().sum();
    let sum = i128::from(rx) + i128::from(originated)
        - [tx, exception, held, drops].into_iter().map(i128::from).sum::<i128>();
    let [before, after] = analysis.totals();

    paper.heading("Checks");
    let conservation = format!(
        "rx {} + originated {} - tx {} - exception {} - held {} - drops {} = {sum}",
        grouped(rx),
        grouped(originated),
        grouped(tx),
        grouped(exception),
        grouped(held),
        grouped(drops)
    );
    let shared = analysis.by_move.iter().all(|[a, b]| *a > 0 && *b > 0 && 10 * a >= a + b && 10 * b >= a + b);
    let shares = format!("{:?}", analysis.by_move);
    [
        paper.check(rx == run.fed, "every packet fed was received", format_args!("{} of {}", rx, run.fed)),
        paper.check(sum == 0, &format!("no packet unaccounted for: {conservation}"), "not 0"),
        paper.check(analysis.frames == tx, "out.pcap holds what was counted as sent", analysis.frames),
        paper.check(dropped == due, "exactly the noise was dropped, each for its reason", format_args!("{dropped:?}")),
        paper.none_of(&analysis.damaged, "every frame is proper GUE around a packet that was fed, byte for byte"),
        paper.none_of(&analysis.miscounted, "every packet came out as often as it went in: none lost, none doubled"),
        paper.none_of(&analysis.astray, "every packet went to its owner in the generation that sent it"),
        paper.none_of(&analysis.disorder, "once generation 2 had sent a packet, generation 1 sent none"),
        paper.none_of(&analysis.unsteady, "every flow kept its UDP source port across the reload"),
        paper.check(
            before >= PHASE / 2 && after >= PHASE / 2,
            "both generations carried their share",
            format_args!("{before} and {after}"),
        ),
        paper.check(
            difference.is_none(),
            "'sluice replay' sends the very same frames, without DPDK",
            format_args!("frame {difference:?} is another"),
        ),
        paper.check(shared, "moved ports: a tenth or more at the old owner and at the new one", shares),
    ]
    .into_iter()
    .all(|passed| passed)
}

fn files(paper: &Paper, folder: &Path) {
    let shown = |name: &str| short(&folder.join(name)).display().to_string();
    paper.heading("Files");
    for (name, what) in [
        ("in.pcap", "what went in, once"),
        ("out.pcap", "what came out; opens in Wireshark and tshark"),
        ("replay.pcap", "what 'sluice replay' made of in.pcap with generation 1"),
        ("table.json", "generation 1"),
        ("table-next.json", "generation 2"),
        ("config.toml", "the daemon's configuration"),
        ("sluiced.log", "what the daemon said"),
    ] {
        println!("  {:<38} {what}", shown(name));
    }
    println!(
        "\n  Wireshark has no GUE dissector: it shows the outer headers, and the rest as data. UDP without a checksum is right\n  \
         here (RFC 6935). To see the IPv4 packets to servers with IPv4 addresses as these do, cut the 32 bytes of outer\n  \
         IPv4, UDP and GUE out behind the Ethernet header:\n\n    \
         tshark -r {out} -o udp.ignore_ipv6_zero_checksum:TRUE\n    \
         tshark -r {out} -Y 'ip && udp.payload[0:4] == 00:04:00:00' -w - | editcap -C 14:32 - - | tshark -r -",
        out = shown("out.pcap")
    );
}

/// Relative to the working directory where that is shorter.
fn short(path: &Path) -> PathBuf {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(here).unwrap_or(path).to_owned()
}
