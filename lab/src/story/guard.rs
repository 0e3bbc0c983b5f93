// SPDX-License-Identifier: MIT OR Apache-2.0
//! A server sends from a port that is its neighbour's. Without a guard nobody would notice but the neighbour, which gets the
//! answers.

use anyhow::Result;

use crate::lab::Lab;
use crate::origin;
use crate::plan::{CDG, ORIGIN4, ORIGIN6};
use crate::report::Report;
use crate::run::wait_for;

/// Who does it, and whose port it is.
const CULPRIT: &str = "cdg-1";
const VICTIM: &str = "cdg-2";

pub(super) fn tell(lab: &mut Lab, report: &mut Report) -> Result<()> {
    let culprit = lab.server(CULPRIT)?;
    for (address, origin) in CDG.shared().into_iter().zip([format!("{ORIGIN4}"), format!("[{ORIGIN6}]")]) {
        let (asked, caught) = (lab.origin.requests()?.len(), culprit.metric("sluice_agent_guard", "caught")?);
        let port = lab.port_of(address, VICTIM)?;
        // Nothing of the agent's makes it do so: it binds as it likes.
        let mut curl = culprit.netns.command("curl");
        curl.args("--silent --max-time 3 --output /dev/null --interface".split(' ')).arg(address.to_string());
        curl.args(["--local-port", &port.to_string(), &format!("http://{origin}/{}", origin::file(1))]);
        let status = curl.status()?;
        let arrived = lab.origin.requests()?.len() - asked;
        let stopped = !status.success() && arrived == 0;
        let what = format!("what {CULPRIT} sends from {VICTIM}'s port {port} of {address} does not leave");
        report.check(stopped, &what, format_args!("{arrived} requests at the origin, curl says {status}"));
        let mut told = String::new();
        let counted = wait_for("the guard tells", || {
            let now = culprit.metric("sluice_agent_guard", "caught").unwrap_or_default();
            told = culprit.ask(&["status"]).map(|status| status["guard"]["caught"].to_string()).unwrap_or_default();
            now > caught && told.contains(&format!("\"source_port\":{port}"))
        });
        let named = counted.is_ok() && told.contains("curl");
        report.check(named, "it is counted, and the program is named", told);
    }
    Ok(())
}
