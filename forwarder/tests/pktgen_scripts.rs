// SPDX-License-Identifier: MIT OR Apache-2.0
//! `pktgen-scripts/` as far as it can be checked without the generators: the scripts parse, and what they send is what the
//! table says. Skips what needs a tool that is missing; `make deps` installs all but TRex, which `TREX_SCRIPTS` points to.

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

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use cli_support::{sluice, tool};
use serde_json::{Value, json};
use tempfile::TempDir;

fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// The scripts of a folder with that ending.
fn scripts(folder: &str, ending: &str) -> Vec<PathBuf> {
    let files = fs::read_dir(project("pktgen-scripts").join(folder)).unwrap().map(|entry| entry.unwrap().path());
    let found: Vec<_> = files.filter(|path| path.extension().is_some_and(|extension| extension == ending)).collect();
    assert!(found.len() >= 4, "{found:?}");
    found
}

/// Standard output and success of a command; nothing where there is no such program.
fn run(program: &str, arguments: &[&str]) -> Option<(bool, String)> {
    let mut command = Command::new(program);
    let output = tool(command.args(arguments).env("PYTHONDONTWRITEBYTECODE", "1"))?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        eprintln!("{program} {arguments:?}: {}{said}", String::from_utf8_lossy(&output.stderr));
    }
    Some((output.status.success(), said))
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Tables of the documentation and of the golden vectors, and one whose ports end with the last.
fn tables() -> Vec<String> {
    let pages = ["README.md", "docs/table-format.md"].map(|page| fs::read_to_string(project(page)).unwrap());
    let fences = pages.iter().flat_map(|page| page.split("```json table\n").skip(1));
    let mut tables: Vec<_> = fences.map(|rest| rest.split("\n```").next().unwrap().to_owned()).collect();
    tables.push(fs::read_to_string(project("forwarder/tests/vectors/plain/table.json")).unwrap());
    let owners: Vec<_> = std::iter::once(None).chain((1..32).map(|n| Some(format!("lhr-{n}")))).collect();
    let servers: serde_json::Map<_, _> = (1..32)
        .map(|n| (format!("lhr-{n}"), json!({ "datacenter": "LHR", "address": format!("10.0.1.{n}") })))
        .collect();
    let egress = ["198.51.100.7/32", "198.51.100.12/30"]
        .map(|prefix| json!({ "prefix": prefix, "datacenter": "LHR", "slices": { "ports": 2048, "owners": owners } }));
    let full = json!({ "version": 1, "datacenters": { "LHR": { "forwarders": ["10.0.0.1"] } }, "servers": servers,
        "egress": egress });
    tables.push(full.to_string());
    assert!(tables.len() >= 5);
    tables
}

/// A folder with `table.json` and what `derive.py` makes of it for LHR; nothing where there is no Python.
fn derived(table: &str, arguments: &[&str]) -> Option<TempDir> {
    let folder = TempDir::new().unwrap();
    let (script, file) = (project("pktgen-scripts/derive.py"), folder.path().join("table.json"));
    fs::write(&file, table).unwrap();
    let mut all = vec![text(&script), text(&file), "--datacenter", "LHR", "--out", text(folder.path())];
    all.extend(arguments);
    let (good, _) = run("python3", &all)?;
    assert!(good);
    Some(folder)
}

fn slices(folder: &TempDir) -> Value {
    serde_json::from_slice(&fs::read(folder.path().join("slices.json")).unwrap()).unwrap()
}

/// Addresses as numbers, and ports: first and last of each. IPv4 and IPv6 do not meet: no table owns `::/96`.
type Range = (u128, u128, u16, u16);

fn number(address: &str) -> u128 {
    match address.parse().unwrap() {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    }
}

fn range(value: &Value) -> Range {
    let port = |key: &str| u16::try_from(value[key].as_u64().unwrap()).unwrap();
    let [first, last] = ["first", "last"].map(|key| number(value[key].as_str().unwrap()));
    (first, last, port("lo").max(1), port("hi"))
}

/// A line of `sluice table slices`. Port 0 is left out: of a shared address it is nobody's, whatever the slices say.
fn holding(value: &Value) -> Range {
    let (address, length) = value["prefix"].as_str().unwrap().split_once('/').unwrap();
    let (lo, hi) = value["ports"].as_str().unwrap().split_once('-').unwrap();
    let width: u32 = if address.contains(':') { 128 } else { 32 };
    let host = width - length.parse::<u32>().unwrap();
    let first = number(address);
    (
        first,
        first | (1u128.checked_shl(host).unwrap_or(0).wrapping_sub(1)),
        lo.parse::<u16>().unwrap().max(1),
        hi.parse().unwrap(),
    )
}

/// The same ranges, cut at every bound of addresses that occurs and with neighbouring ports merged.
fn normal(ranges: &[Range]) -> BTreeSet<Range> {
    let cuts: BTreeSet<u128> = ranges.iter().flat_map(|range| [range.0, range.1 + 1]).collect();
    let cuts: Vec<_> = cuts.into_iter().collect();
    let mut result = BTreeSet::new();
    for pair in cuts.windows(2) {
        let mut ports: Vec<_> =
            ranges.iter().filter(|r| r.0 <= pair[0] && pair[0] <= r.1).map(|r| (r.2, r.3)).collect();
        ports.sort_unstable();
        let mut merged: Vec<(u16, u16)> = Vec::new();
        for (lo, hi) in ports {
            match merged.last_mut() {
                Some(last) if u32::from(last.1) + 1 >= u32::from(lo) => last.1 = last.1.max(hi),
                _ => merged.push((lo, hi)),
            }
        }
        result.extend(merged.into_iter().map(|(lo, hi)| (pair[0], pair[1] - 1, lo, hi)));
    }
    result
}

#[test]
fn lua_parses() {
    for path in scripts("lua", "lua") {
        let Some((good, _)) = run("luac5.4", &["-p", text(&path)]) else { return };
        assert!(good, "{}", path.display());
    }
}

#[test]
fn python_compiles() {
    for path in scripts("", "py").into_iter().chain(scripts("trex", "py")) {
        let program = "import sys; compile(open(sys.argv[1]).read(), sys.argv[1], 'exec')";
        let Some((good, _)) = run("python3", &["-c", program, text(&path)]) else { return };
        assert!(good, "{}", path.display());
    }
}

#[test]
fn ranges_are_what_the_table_says() {
    for table in tables() {
        let Some(folder) = derived(&table, &["--blocks", "0"]) else { return };
        let (document, file) = (slices(&folder), folder.path().join("table.json"));
        let source: Value = serde_json::from_str(&table).unwrap();
        let blocks = document["blocks"].as_array().unwrap();
        assert!(!blocks.is_empty());

        for server in source["servers"].as_object().unwrap().keys() {
            let held = sluice(&["table", "slices", text(&file), "--server", server, "--json"]).good_json();
            let held: Vec<_> = held["slices"].as_array().unwrap().iter().map(holding).collect();
            let sent: Vec<_> = blocks.iter().filter(|block| block["server"] == **server).map(range).collect();
            // Cut alike, so that only what is owned can differ
            let bounds: Vec<_> = held.iter().chain(&sent).map(|r| (r.0, r.1, 0, 0)).collect();
            let cut = |ranges: &[Range]| {
                let mut all = normal(&[ranges, &bounds].concat());
                all.retain(|range| range.3 != 0);
                all
            };
            assert_eq!(cut(&held), cut(&sent), "{server}");
        }
        let areas: Vec<_> = document["areas"].as_array().unwrap().iter().map(range).collect();
        let blocks: Vec<_> = blocks.iter().map(range).collect();
        let pairs = |ranges: &[Range]| -> f64 {
            ranges.iter().map(|r| (r.1 - r.0 + 1) as f64 * f64::from(u32::from(r.3 - r.2) + 1)).sum()
        };
        assert!((pairs(&areas) - pairs(&blocks)).abs() < 1.0);
        for block in blocks {
            let inside = |a: &&Range| a.0 <= block.0 && block.1 <= a.1 && a.2 <= block.2 && block.3 <= a.3;
            assert_eq!(areas.iter().filter(inside).count(), 1, "{block:?}");
        }
    }
}

#[test]
fn each_block_goes_where_it_says() {
    for table in tables() {
        let Some(folder) = derived(&table, &["--blocks", "0"]) else { return };
        let file = folder.path().join("table.json");
        for block in slices(&folder)["blocks"].as_array().unwrap() {
            let [first, last] = ["first", "last"].map(|key| block[key].as_str().unwrap());
            for (address, port) in [(first, &block["lo"]), (last, &block["hi"])] {
                let asked =
                    if address.contains(':') { format!("[{address}]:{port}") } else { format!("{address}:{port}") };
                let arguments = ["explain", &asked, "--table", text(&file), "--datacenter", "LHR", "--json"];
                let fate = sluice(&arguments).good_json();
                assert_eq!(fate["target"], block["target"], "{asked}");
                if let Some(family) = block["outer"].as_u64() {
                    assert_eq!(fate["outer_destination"].as_str().unwrap().contains(':'), family == 6, "{asked}");
                    assert_eq!(fate["previous"], block["previous"], "{asked}");
                }
            }
        }
    }
}

/// Pktgen's ranges have ways of their own to leave an area; what Lua reads is what JSON says.
#[test]
fn pktgen_stays_in_the_areas() {
    for table in tables() {
        let Some(folder) = derived(&table, &[]) else { return };
        let walk = project("forwarder/tests/pktgen_scripts/ranges.lua");
        let mut lua = Command::new("lua5.4");
        lua.arg(walk).arg(project("pktgen-scripts/lua/lib.lua")).env("SLUICE_DIR", folder.path());
        lua.env("SLUICE_OUT", folder.path().join("results.txt"));
        let Some(output) = tool(&mut lua) else { return };
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

/// Every frame of `slices.pcap` is forwarded, and `sequence.py` tells a whole capture from one with faults.
#[test]
fn numbered_frames_are_counted() {
    let table = fs::read_to_string(project("forwarder/tests/vectors/plain/table.json")).unwrap();
    for size in ["64", "imix"] {
        let Some(folder) = derived(&table, &["--frames", "1000", "--size", size]) else { return };
        let config = project("forwarder/tests/vectors/plain/config.toml");
        let [input, output, altered] = ["slices.pcap", "out.pcap", "altered.pcap"].map(|name| folder.path().join(name));
        let arguments = ["replay", "--config", text(&config), "--in", text(&input), "--out", text(&output), "--json"];
        let counters = &sluice(&arguments).good_json()["counters"];
        // Some servers of this table take less than 1518 bytes, and their senders are told
        let too_big = counters["drops"]["too_big"].as_u64().unwrap();
        assert_eq!(counters["rx"], 1000);
        assert_eq!(too_big == 0, size == "64", "{counters}");
        if size == "imix" {
            continue;
        }
        assert_eq!(counters["tx"], 1000, "{counters}");

        let frames = capture::read(&output);
        let sequence = |frames: &[&[u8]]| {
            capture::write(&altered, frames.iter().map(|frame| frame.to_vec()));
            let script = project("pktgen-scripts/sequence.py");
            let (good, said) = run("python3", &[text(&script), text(&altered), "--sent", "2000", "--json"]).unwrap();
            let result: Value = serde_json::from_str(&said).unwrap();
            (good, ["gaps", "missing", "surplus", "foreign"].map(|key| result[key].as_u64().unwrap()))
        };
        let twice: Vec<&[u8]> = frames.iter().chain(&frames).map(Vec::as_slice).collect();
        assert_eq!(sequence(&twice), (true, [0, 0, 0, 0]));
        let with_loss = [&twice[..500], &twice[503..]].concat();
        assert_eq!(sequence(&with_loss), (false, [3, 3, 0, 0]));
        let with_copy = [&twice[..500], &twice[499..]].concat();
        assert_eq!(sequence(&with_copy), (false, [0, 0, 1, 0]));
        let one_lost_one_doubled = [&twice[..500], &twice[501..900], &twice[899..]].concat();
        assert_eq!(sequence(&one_lost_one_doubled), (false, [1, 1, 1, 0]));
        let without_a_round = &twice[1000..];
        assert_eq!(sequence(without_a_round), (false, [0, 1000, 0, 0]));
        let with_noise = [&twice[..500], &[&[0; 60][..]], &twice[500..]].concat();
        assert_eq!(sequence(&with_noise), (false, [0, 0, 0, 1]));
        // The order is not the number's business: the count by frame is
        let overtaken = [&twice[..500], &twice[501..502], &twice[500..501], &twice[502..]].concat();
        assert_eq!(sequence(&overtaken), (true, [1, 0, 0, 0]));
    }
}

/// With a TRex checkout: its own library loads the profiles, and their field engines stay in the table.
#[test]
fn trex_loads_the_profiles() {
    let Some(trex) = env::var_os("TREX_SCRIPTS") else {
        return eprintln!("skipped: TREX_SCRIPTS does not name the folder 'scripts' of a TRex checkout");
    };
    let loader = project("forwarder/tests/pktgen_scripts/load_profile.py");
    for table in tables() {
        let Some(folder) = derived(&table, &["--blocks", "0"]) else { return };
        let (document, file) = (slices(&folder), folder.path().join("slices.json"));
        let [areas, blocks] = ["areas", "blocks"].map(|key| document[key].as_array().unwrap().iter().map(range));
        let (areas, blocks): (Vec<_>, Vec<_>) = (areas.collect(), blocks.collect());
        for (name, streams) in [
            ("fwd_slices", blocks.len()),
            ("imix", 3 * areas.len()),
            ("latency_stream", 1 + areas.len()),
            ("table_scale", areas.len()),
        ] {
            let profile = project("pktgen-scripts/trex").join(name).with_extension("py");
            let arguments = [text(&loader), trex.to_str().unwrap(), text(&profile), text(&file)];
            let (good, said) = run("python3", &arguments).unwrap();
            assert!(good, "{name}");
            let loaded: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            assert_eq!(loaded.len(), streams, "{name}");
            for stream in &loaded {
                let (first, last, lo, hi) = range(stream);
                let inside = |a: &&Range| a.0 <= first && last <= a.1 && a.2 <= lo && hi <= a.3;
                assert_eq!(areas.iter().filter(inside).count(), 1, "{name}: {stream}");
                assert!(stream["size"].as_u64().unwrap() >= 64 && stream["pps"].as_f64().unwrap() > 0.0, "{stream}");
            }
            if name == "fwd_slices" {
                let ports = |ranges: &[Range]| ranges.iter().map(|r| (r.0, r.2, r.3)).collect::<BTreeSet<_>>();
                let sent: Vec<_> = loaded.iter().map(range).collect();
                assert_eq!(ports(&sent), ports(&blocks));
            }
        }
    }
}
