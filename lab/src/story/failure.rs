// SPDX-License-Identifier: MIT OR Apache-2.0
//! A forwarder is killed while it carries downloads. Another one goes on with the same connections: nobody kept any state.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::curl::{Checksums, Order, Outcome};
use crate::lab::Lab;
use crate::origin::LARGE;
use crate::plan::{EGRESS, LHR};
use crate::report::Report;
use crate::run::wait_for;
use crate::server::WEB;

/// Who is killed.
const VICTIM: &str = "lhr-f1";

pub(super) fn tell(lab: &mut Lab, report: &mut Report) -> Result<()> {
    let mut downloads = vec![];
    for server in lab.servers.iter().filter(|server| server.place.site == LHR) {
        for family in ['4', '6'] {
            let options = if lab.broken.is_some() { "--max-time 15" } else { "--max-time 60" };
            downloads.push(Order { files: vec![LARGE.0; 4], family, slow: true, options, agent: WEB }.start(server)?);
        }
    }
    let carried =
        |lab: &mut Lab| Ok::<_, anyhow::Error>(lab.forwarder(VICTIM)?.counts()?.targets.values().sum::<u64>());
    std::thread::sleep(Duration::from_secs(2));
    let before = carried(lab)?;
    std::thread::sleep(Duration::from_secs(1));
    let rate = carried(lab)? - before;
    report.check(rate > 0, &format!("{VICTIM} carries them"), format_args!("{rate} packets in a second"));
    let under_way = downloads.iter_mut().filter_map(|downloads| downloads.runs().then_some(())).count();
    let start = Instant::now();
    lab.forwarder(VICTIM)?.kill()?;
    report.say(format_args!("kill -9 of sluiced in {VICTIM}"));
    withdrawn(lab)?;
    let time = start.elapsed().as_secs_f64();
    let figures = format!("after {time:.1} s, from both routers");
    report.check(time < 9.0, "BGP withdraws it before the hold time is over", figures);
    let (checksums, mut outcome) = (Checksums::new()?, Outcome::default());
    for downloads in downloads {
        outcome.add(&downloads.end(&checksums)?);
    }
    let all = outcome.is_right() && under_way == 6;
    report.check(all, "the same connections go on by the other forwarder, to the last byte", outcome);
    lab.forwarder(VICTIM)?.launch()?;
    let time = lab.wait_until_announced()?;
    report.say(format_args!("the next sluiced of {VICTIM} is announced after {time:.1} s"));
    Ok(())
}

/// Waits until nobody sends to the victim any more: neither its own router, nor the other data centre's forwarders.
fn withdrawn(lab: &Lab) -> Result<()> {
    let (own, other) = (lab.network.named(LHR.short)?, lab.network.named(LHR.other().short)?);
    let routes = |netns: &crate::netns::Netns, words: &str| netns.ip(words).unwrap_or_default();
    wait_for("the victim is withdrawn", || {
        let [four, six] = [format!("route show {}", EGRESS[0]), format!("-6 route show {}", EGRESS[1])];
        let gone = [four, six].iter().all(|words| routes(own, words).matches(" via ").count() == 1);
        gone && [format!("route show {}", LHR.underlay4(1)), format!("-6 route show {}", LHR.underlay6(1))]
            .iter()
            .all(|words| routes(other, words).is_empty())
    })?;
    Ok(())
}
