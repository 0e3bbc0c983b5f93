// SPDX-License-Identifier: MIT OR Apache-2.0
//! A server sends from a port that is its neighbour's. Without a guard nobody would notice but the neighbour, which gets the
//! answers.

use std::net::IpAddr;

use anyhow::Result;
use serde_json::{Value, json};

use crate::lab::Lab;
use crate::origin::{UDP, target};
use crate::plan::{CDG, ORIGIN, ORIGIN4, ORIGIN6};
use crate::report::Report;
use crate::run::wait_for;
use crate::server::Server;

/// Who does it, and whose port it is.
const CULPRIT: &str = "cdg-1";
const VICTIM: &str = "cdg-2";

pub(super) fn tell(lab: &mut Lab, report: &mut Report) -> Result<()> {
    for (address, origin) in CDG.shared().into_iter().zip([ORIGIN4.into(), ORIGIN6.into()]) {
        let (own, foreign) = (lab.port_of(address, CULPRIT)?, lab.port_of(address, VICTIM)?);
        let (arrived, answered) = ask(lab, address, own, origin)?;
        let figures = format!("{arrived} datagrams at the origin, {answered} bytes of answers");
        report.check(
            arrived == 1 && answered == 1,
            &format!("{CULPRIT} may send from its port {own} of {address}"),
            figures,
        );

        let before = caught(lab)?;
        let (arrived, _) = ask(lab, address, foreign, origin)?;
        let what = format!("what it sends from {VICTIM}'s port {foreign} does not leave");
        report.check(arrived == 0, &what, format_args!("{arrived} datagrams at the origin"));
        let mut told = Value::Null;
        let counted = wait_for("the guard tells", || {
            told = lab.server(CULPRIT).and_then(|server| event(server, address, foreign)).unwrap_or_default();
            caught(lab).is_ok_and(|now| now > before) && !told.is_null()
        });
        let named = counted.is_ok() && told["process"]["name"] == "socat";
        let figures = format!("{} by {} of user {}", told["verdict"], told["process"], told["uid"]);
        report.check(named, "it is counted, and the program is named", figures);
    }
    Ok(())
}

/// Asks the origin for a byte, from an address and a port, and no agent chooses them. How many datagrams came there, and
/// how many bytes came back.
fn ask(lab: &Lab, address: IpAddr, port: u16, origin: IpAddr) -> Result<(u64, usize)> {
    let arrived = || lab.network.named(ORIGIN)?.counted(&["UdpInDatagrams", "Udp6InDatagrams"]);
    let before = arrived()?;
    let bind = target(address, port);
    let bind = bind.split_once(':').map_or(&*bind, |(_, bind)| bind);
    let to = format!("UDP{},bind={bind}", target(origin, UDP));
    let said =
        lab.server(CULPRIT)?.netns.command("sh").args(["-c", &format!("echo 1 | socat -t 1 - '{to}'")]).output()?;
    Ok((arrived()? - before, said.stdout.len()))
}

/// Packets that the guard has caught.
fn caught(lab: &Lab) -> Result<u64> {
    lab.server(CULPRIT)?.metric("sluice_agent_guard_caught_packets_total", "")
}

/// What the agent says of a packet that the guard has caught; null if nothing.
fn event(server: &Server, address: IpAddr, port: u16) -> Result<Value> {
    let status = server.ask(&["status"])?;
    let events = status["guard"]["caught"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut of_it = events.iter().filter(|event| event["source"] == json!(address) && event["source_port"] == port);
    Ok(of_it.next().cloned().unwrap_or_default())
}
