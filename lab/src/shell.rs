// SPDX-License-Identifier: MIT OR Apache-2.0
//! The lab with a prompt in it.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::{env, fs};

use anyhow::{Context, Result};

use crate::lab::Lab;
use crate::run::{FOLDER, beside};

/// Runs a shell; returns when it ends.
pub(crate) fn run(lab: &Lab) -> Result<()> {
    let bin = Path::new(FOLDER).join("bin");
    fs::create_dir_all(&bin)?;
    for (name, text) in [("ns", NS), ("sluice-of", SLUICE_OF), ("agent-of", AGENT_OF), ("on", ON)] {
        let script = bin.join(name);
        fs::write(&script, text)?;
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
    }
    let programs = beside("sluice")?;
    let programs = programs.parent().context("a folder of programs")?;
    let path = env::var("PATH").unwrap_or_default();
    println!("{}", SUGGESTIONS.replace("NAMES", &lab.network.names().collect::<Vec<_>>().join(" ")));
    let mut shell = Command::new("bash");
    shell.args(["--norc", "--noprofile", "-i"]).current_dir(FOLDER).env("PS1", "lab> ");
    shell.env("PATH", format!("{}:{}:{path}", bin.display(), programs.display()));
    // Its exit status is that of the last command in it.
    shell.status().context("bash")?;
    Ok(())
}

/// A command in a namespace.
const NS: &str = r#"#!/bin/sh
name=${1:?usage: ns NAME COMMAND...}
shift
exec ip netns exec "$name" "$@"
"#;

/// The operator's command of a forwarder.
const SLUICE_OF: &str = r#"#!/bin/sh
name=${1:?usage: sluice-of FORWARDER COMMAND...}
shift
exec sluice "$@" --socket /run/lab/"$name"/control.sock
"#;

/// The agent's command of a server.
const AGENT_OF: &str = r#"#!/bin/sh
name=${1:?usage: agent-of SERVER COMMAND...}
shift
exec ns "$name" sluice-agent "$@" --socket /run/lab/"$name"/agent.sock
"#;

/// A program that uses what a server owns.
const ON: &str = r#"#!/bin/sh
name=${1:?usage: on SERVER COMMAND...}
shift
exec ns "$name" sluice-agent exec --socket /run/lab/"$name"/agent.sock -- "$@"
"#;

const SUGGESTIONS: &str = r#"
The lab is up; `exit` removes it. Namespaces: NAMES

  ns internet ip route show 198.51.100.0/24        both data centres, equally
  ns lhr ip -6 route show 2001:db8:e::/48          both forwarders of LHR
  sluice-of lhr-f1 status                          what a forwarder does
  sluice-of lhr-f1 explain 198.51.100.1:4242       where a packet goes, and why
  sluice-of cdg-f2 drain                           withdrawn; `undrain` puts it back
  on lhr-1 curl -s http://origin.example/1.bin -o /dev/null -w '%{local_ip} %{local_port}\n'
  on lhr-1 iperf3 --client origin.example --reverse --time 3
  agent-of lhr-1 slices                            what a server owns, and what uses it
  birdc -s /run/lab/lhr.bird.ctl show route
  ns lhr-f1 tcpdump -i wan0 -n udp port 6080       GUE on the wire
"#;
