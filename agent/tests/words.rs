// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the command line, its pages and its package say: as the program has it, and without root.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may stop at the first surprise"
)]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use agent::config::Config;
use agent::methods::METHODS;
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_sluice-agent");
const PAGE: &str = include_str!("../../docs/agent.md");
const UNIT: &str = include_str!("../../packaging/systemd/sluice-agent.service");
/// The worst exposure that `systemd-analyze security` may find, of 100: what docs/agent.md says.
const EXPOSURE: &str = "33";

fn run(words: &[&str]) -> Output {
    Command::new(PROGRAM).args(words).env("SLUICE_AGENT_SOCKET", "/nonexistent/agent.sock").output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn configurations_of_the_page_and_of_the_package_are_valid() {
    let blocks: Vec<_> = PAGE.split("```toml agent\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert_eq!(blocks.len(), 2);
    for block in blocks.into_iter().chain([include_str!("../../packaging/agent.toml")]) {
        let config = Config::parse(block.as_bytes(), Path::new("/etc/sluice/agent.toml"));
        let config = config.unwrap_or_else(|error| panic!("{}", error.lines().join("; ")));
        // Where the unit has its folder.
        assert_eq!(config.control.socket, Path::new("/run/sluice/agent.sock"));
    }
    assert!(UNIT.contains("RuntimeDirectory=sluice\n") && UNIT.contains("/etc/sluice/agent.toml"));
}

#[test]
fn every_method_and_command_is_on_the_page() {
    for method in METHODS {
        assert!(PAGE.contains(&format!("| `{}", method.name)), "{}", method.name);
    }
    let help = text(&run(&["--help"]).stdout);
    let list = help.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    // A line that goes on is further in.
    let lines = list.lines().filter(|line| !line.starts_with("   "));
    let commands = lines.map(|line| line.split_whitespace().next().unwrap());
    for command in commands.filter(|command| !["help", "completions", "man"].contains(command)) {
        assert!(PAGE.contains(&format!("| `{command}")), "{command}");
    }
}

#[test]
fn errors_are_one_line_and_say_what_to_do() {
    let nobody = run(&["status"]);
    assert_eq!(nobody.status.code(), Some(1));
    let said = text(&nobody.stderr);
    assert_eq!(
        said,
        "sluice-agent: no control socket at /nonexistent/agent.sock: is sluice-agent running? (--socket names another)\n"
    );
    assert_eq!(run(&["rum"]).status.code(), Some(2));
    assert_eq!(run(&["exec", "true"]).status.code(), Some(2), "the command comes after --");
    assert_eq!(run(&["exec", "--family", "7", "--", "true"]).status.code(), Some(2));
}

#[test]
fn check_tells_every_fault_of_configuration_and_table() {
    let folder = TempDir::new().unwrap();
    let [config, table] = ["agent.toml", "table.json"].map(|name| folder.path().join(name));
    let check = || run(&["check", "--config", config.to_str().unwrap()]);
    fs::write(&config, "server = \"a\"\ntabel = \"table.json\"\n[underlay]\ndevices = [\"eth0\"]\n").unwrap();
    let output = check();
    assert_eq!((output.status.code(), text(&output.stdout).lines().count()), (Some(1), 2), "{output:?}");
    assert!(text(&output.stderr).contains("agent.toml:2: tabel: unknown key; the nearest known one is table"));

    fs::write(&config, "server = \"a\"\ntable = \"table.json\"\n[underlay]\ndevices = [\"eth0\"]\n").unwrap();
    let missing = check();
    assert!(text(&missing.stderr).contains("table.json: cannot be read: No such file"), "{missing:?}");
    fs::write(
        &table,
        r#"{"version": 1, "datacenters": {"L": {"forwarders": ["10.0.0.1"]}}, "servers": {"b":
        {"datacenter": "L", "address": "10.0.0.2"}}, "egress": []}"#,
    )
    .unwrap();
    let foreign = check();
    assert!(text(&foreign.stderr).contains("servers: has no \"a\""), "{foreign:?}");
    fs::write(&config, "server = \"b\"\ntable = \"table.json\"\n[underlay]\ndevices = [\"eth0\"]\n").unwrap();
    let good = check();
    assert_eq!((good.status.code(), text(&good.stdout).starts_with("OK: ")), (Some(0), true), "{good:?}");
}

#[test]
fn completions_and_manual_pages_are_whole() {
    for shell in ["bash", "fish", "zsh"] {
        assert!(text(&run(&["completions", shell]).stdout).contains("slices"), "{shell}");
    }
    let folder = TempDir::new().unwrap();
    assert!(run(&["man", folder.path().to_str().unwrap()]).status.success());
    let page = |name: &str| fs::read_to_string(folder.path().join("man1").join(name)).unwrap();
    assert!(page("sluice-agent.1").contains("SLUICE_AGENT_SOCKET"));
    assert!(page("sluice-agent-exec.1").contains("country=GB"));
}

#[test]
fn systemd_takes_the_unit_and_finds_little_exposed() {
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        assert!(std::env::var_os("CI").is_none(), "no systemd-analyze");
        eprintln!("skipped: systemd-analyze is missing (apt-get install systemd)");
        return;
    }
    let folder = TempDir::new().unwrap();
    let unit = folder.path().join("sluice-agent.service");
    fs::write(&unit, UNIT.replace("/usr/bin/sluice-agent", PROGRAM)).unwrap();
    let verify = Command::new("systemd-analyze").arg("verify").arg(&unit).output().unwrap();
    let said = text(&verify.stderr);
    // Where there is no man, it can't look for the page.
    let complaints = said.lines().filter(|line| line.contains("sluice-agent.service") && !line.contains("'man "));
    assert_eq!(complaints.count(), 0, "{said}");
    let security = ["security", "--offline=true", "--threshold", EXPOSURE];
    let judged = Command::new("systemd-analyze").args(security).arg(&unit).output().unwrap();
    assert!(judged.status.success(), "{}", text(&judged.stdout));
}
