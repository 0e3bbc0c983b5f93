// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is no plain answer: packets too big for their way, answers in pieces, pings, and errors of all kinds.

use std::net::IpAddr;
use std::process::{Child, Stdio};

use anyhow::{Context, Result};

use crate::curl::{Checksums, Order};
use crate::forwarder::Counts;
use crate::lab::Lab;
use crate::origin::{CLOSED, LARGE, UDP, target};
use crate::plan::{CDG, LHR, NOBODY4, NOBODY6, ORIGIN4, ORIGIN6};
use crate::report::Report;
use crate::server::{Server, WEB};

/// The origin's addresses, and those of nobody beside it.
const ORIGINS: [IpAddr; 2] = [IpAddr::V4(ORIGIN4), IpAddr::V6(ORIGIN6)];
const NOBODIES: [IpAddr; 2] = [IpAddr::V4(NOBODY4), IpAddr::V6(NOBODY6)];

pub(super) fn tell(lab: &mut Lab, report: &mut Report) -> Result<()> {
    for (server, family, address) in [("lhr-1", '4', LHR.shared4().into()), ("cdg-1", '6', CDG.shared6().into())] {
        path_mtu(lab, report, server, family, address)?;
    }
    pieces(lab, report)?;
    let servers: &[_] = if lab.broken.is_some() { &["lhr-2"] } else { &["lhr-2", "cdg-1"] };
    for server in servers {
        let server = lab.server(server)?;
        pings(lab, report, server)?;
        traceroute(lab, report, server)?;
        for (what, origins, port, words) in [
            ("TCP to a closed port", ORIGINS, CLOSED, "Connection refused"),
            ("a host that is not there", NOBODIES, 80, "No route to host"),
        ] {
            for address in origins {
                let said = socat(server, &format!("TCP{},connect-timeout=8", target(address, port)), "", 8)?.said()?;
                let what = format!("{what} at {address} is an error for {}", server.name);
                report.check(said.contains(words), &what, said);
            }
        }
        for address in ORIGINS {
            let said = socat(server, &format!("UDP{}", target(address, CLOSED)), "x\n", 5)?.said()?;
            let what = format!("UDP to a closed port at {address} is an error for {}", server.name);
            report.check(said.contains("Connection refused"), &what, said);
        }
    }
    Ok(())
}

/// The origin sends as much as its own wire takes, is told, and the download is complete.
fn path_mtu(lab: &Lab, report: &mut Report, server: &str, family: char, address: IpAddr) -> Result<()> {
    lab.origin.forget_paths()?;
    let before = lab.counts()?;
    let options = if lab.broken.is_some() { "--max-time 5" } else { "--max-time 20" };
    let order = Order { files: vec![LARGE.0], family, slow: false, options, agent: WEB };
    let outcome = order.start(lab.server(server)?)?.end(&Checksums::new()?)?;
    let counts = lab.counts()?;
    let told = |count: &dyn Fn(&Counts) -> u64| -> u64 {
        counts.iter().zip(&before).map(|(now, before)| count(now) - count(before)).sum()
    };
    let (too_big, errors) = (told(&|counts| counts.dropped("too_big")), told(&|counts| counts.originated));
    let learnt = lab.origin.path_mtu(address)?;
    let figures = format!("{outcome}; {too_big} too big, {errors} errors sent; the origin's path takes {learnt:?}");
    let fits = learnt.is_some_and(|mtu| (1400..1500).contains(&mtu));
    let what = format!("IPv{family}: the origin learns what the way to {server} takes, and the download completes");
    report.check(outcome.is_right() && too_big > 0 && errors > 0 && fits, &what, figures);
    Ok(())
}

/// Bytes of an answer that no wire takes at once.
const LONG: usize = 4000;

/// Datagrams to all servers that have to be cut.
fn pieces(lab: &Lab, report: &mut Report) -> Result<()> {
    let right = std::fs::read(crate::origin::large())?.get(..LONG).context("a large file")?.to_vec();
    for address in ORIGINS {
        let before = put_together(lab)?;
        let mut missing: Vec<_> = lab.servers.iter().collect();
        let mut asked = 0;
        // Who loses a datagram asks again, and by IPv6 the origin has to learn of the way first.
        for _ in 0..4 {
            asked += missing.len();
            let ask =
                |server: &&Server| socat(server, &format!("UDP{}", target(address, UDP)), &format!("{LONG}\n"), 2);
            let talks = missing.iter().map(ask).collect::<Result<Vec<_>>>()?;
            let mut answers = vec![];
            for talk in talks {
                answers.push(talk.0.wait_with_output()?.stdout == right);
            }
            let mut answered = answers.iter();
            missing.retain(|_| !answered.next().copied().unwrap_or_default());
            if missing.is_empty() {
                break;
            }
        }
        let assembled = put_together(lab)? - before;
        let missing: Vec<_> = missing.iter().map(|server| &*server.name).collect();
        let figures = format!("{asked} asked, {assembled} put together from pieces, without: {missing:?}");
        let what = format!("answers of {LONG} bytes from {address} come to all servers, in pieces");
        report.check(missing.is_empty() && assembled >= 6, &what, figures);
    }
    Ok(())
}

/// Packets that the servers' kernels have put together from fragments.
fn put_together(lab: &Lab) -> Result<u64> {
    lab.servers.iter().map(|server| server.netns.counted(&["IpReasmOKs", "Ip6ReasmOKs"])).sum()
}

/// By a shared address, with an identifier of its own slice: the identifier is the port.
fn pings(lab: &Lab, report: &mut Report, server: &Server) -> Result<()> {
    for (own, origin) in server.place.site.shared().into_iter().zip(ORIGINS) {
        let identifier = lab.port_of(own, &server.name)?;
        let mut ping = server.netns.command("ping");
        ping.args("-n -c 3 -i 0.2 -W 3 -I".split(' ')).arg(own.to_string());
        let said = ping.args(["-e", &identifier.to_string(), &origin.to_string()]).output()?;
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        let figures = said.lines().find(|line| line.contains("received")).unwrap_or("no answer");
        let what = format!("{} pings {origin} from {own}, identifier {identifier}", server.name);
        report.check(figures.contains(" 3 received"), &what, figures);
    }
    Ok(())
}

/// By a shared address, from a port of its own slice: the forwarder is no hop of it.
fn traceroute(lab: &Lab, report: &mut Report, server: &Server) -> Result<()> {
    let wire = server.place.server_wire();
    let transit = server.place.site.transit();
    let ways = [[wire.v4[0].into(), transit.v4[0].into()], [wire.v6[0].into(), transit.v6[0].into()]];
    for ((own, origin), way) in server.place.site.shared().into_iter().zip(ORIGINS).zip(ways) {
        let port = lab.port_of(own, &server.name)?;
        let said = server.netns.run(&format!("traceroute -n -q 1 -w 2 -m 4 -s {own} --sport={port} {origin}"))?;
        let hops: Vec<_> = said.lines().skip(1).filter_map(|line| line.split_whitespace().nth(1)).collect();
        let [first, second]: [IpAddr; 2] = way;
        let expected = [first, second, origin].map(|address| address.to_string());
        let what = format!("{} traces its way to {origin} from {own}", server.name);
        report.check(hops == expected, &what, hops.join(" "));
    }
    Ok(())
}

/// A talk that a server has by socat.
struct Talk(Child);

/// Starts one: says something, and listens for so many seconds.
fn socat(server: &Server, to: &str, say: &str, seconds: u32) -> Result<Talk> {
    use std::io::Write as _;
    let mut command = server.command(WEB, "socat")?;
    command.args(["-b", "65536", "-t", &seconds.to_string(), "-", to]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    // Its end is the end of what there is to say.
    let mut input = child.stdin.take().context("a pipe")?;
    let _ = input.write_all(say.as_bytes());
    Ok(Talk(child))
}

impl Talk {
    /// What socat complains of.
    fn said(self) -> Result<String> {
        let output = self.0.wait_with_output()?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let line = said.lines().find(|line| line.contains(" E ")).unwrap_or("no error");
        Ok(line.split_once(" E ").map_or(line, |(_, words)| words).to_owned())
    }
}
