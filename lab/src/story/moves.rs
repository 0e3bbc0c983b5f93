// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is owned changes hands while its old owner has connections open: a slice to a neighbour, then whole addresses to the
//! other data centre. The table names the old owner as `previous` until its last connection is over.

use std::net::{IpAddr, SocketAddr};
use std::process::{Child, Stdio};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::breakage::DRAIN;
use crate::curl::{Checksums, Downloads, Order, Outcome};
use crate::lab::Lab;
use crate::origin::{FILES, LARGE, UDP, target};
use crate::plan::{LHR, MOVING4, MOVING6, ORIGIN4, ORIGIN6, SLICE};
use crate::report::Report;
use crate::run::wait_for;
use crate::server::Server;

/// A change of hands.
struct Move {
    what: &'static str,
    from: &'static str,
    to: &'static str,
    /// What `sluice-agent exec` is to use.
    agent: &'static [&'static str],
    /// Whether something is moving: an address, and a port.
    is_moving: fn(IpAddr, u16) -> bool,
    /// Gives it in the table to a server, with a previous one or none.
    give: fn(&mut Value, &str, Option<&str>) -> Result<()>,
}

pub(super) fn tell(lab: &mut Lab, report: &mut Report) -> Result<()> {
    let slice = Move {
        what: "ports 2048-4095 of what LHR shares",
        from: "lhr-1",
        to: "lhr-2",
        agent: &["--tag", "use=web"],
        is_moving: |address, port| LHR.shared().contains(&address) && u32::from(port) / SLICE == 1,
        give: give_slice,
    };
    slice.tell(lab, report)?;
    if lab.broken.is_some() {
        return Ok(());
    }
    // The other steps want it where it was, and nothing uses it now.
    lab.change(|table| give_slice(table, slice.from, None))?;
    let addresses = Move {
        what: "a whole address of each family, with its data centre",
        from: "lhr-1",
        to: "cdg-1",
        agent: &["--tag", "use=mail"],
        is_moving: |address, _| [IpAddr::V4(MOVING4), IpAddr::V6(MOVING6)].contains(&address),
        give: give_addresses,
    };
    addresses.tell(lab, report)
}

fn entries(table: &mut Value) -> Result<&mut Vec<Value>> {
    table["egress"].as_array_mut().context("entries")
}

fn give_slice(table: &mut Value, to: &str, previous: Option<&str>) -> Result<()> {
    for entry in entries(table)?.iter_mut().filter(|entry| entry["tags"]["country"] == "GB") {
        entry["slices"]["owners"][1] = json!(to);
        entry["slices"]["previous"] = json!([null, previous]);
    }
    Ok(())
}

fn give_addresses(table: &mut Value, to: &str, previous: Option<&str>) -> Result<()> {
    let site = table["servers"][to]["datacenter"].clone();
    for entry in entries(table)?.iter_mut().filter(|entry| entry["tags"]["use"] == "mail") {
        entry["server"] = json!(to);
        entry["datacenter"] = site.clone();
        let entry = entry.as_object_mut().context("an entry")?;
        entry.remove("previous");
        if let Some(previous) = previous {
            entry.insert("previous".to_owned(), json!(previous));
        }
    }
    Ok(())
}

/// What the old owner has open.
struct Old {
    downloads: Vec<Downloads>,
    talks: Vec<Child>,
}

impl Move {
    fn tell(&self, lab: &mut Lab, report: &mut Report) -> Result<()> {
        let &Self { what, from, to, give, .. } = self;
        let checksums = Checksums::new()?;
        let old = self.open_old(lab)?;
        let (passed_before, asked_before) = (passed_on(lab, to)?, lab.origin.requests()?.len());
        report.say(format_args!("{what}: from {from}, which has {} connections, to {to}", self.open(lab, from)));
        let previous = (!lab.is_broken(DRAIN)).then_some(from);
        lab.change(|table| give(table, to, previous))?;
        self.begin_new(lab, report, &checksums, asked_before)?;
        self.end_old(report, old, &checksums)?;
        let passed = passed_on(lab, to)? - passed_before;
        report.check(passed > 0, &format!("{to} passed on what had no socket there"), format_args!("{passed} packets"));
        self.drain(lab, report);
        lab.change(|table| give(table, to, None))?;
        let order = self.order(vec![1; 10], '4', false, "--max-time 20");
        let outcome = order.start(lab.server(to)?)?.end(&checksums)?;
        report.check(outcome.is_right(), "all is well when the table has forgotten the old owner", outcome);
        Ok(())
    }

    fn order(&self, files: Vec<u64>, family: char, slow: bool, options: &'static str) -> Order {
        Order { files, family, slow, options, agent: self.agent }
    }

    /// Connections and conversations of the old owner, by both address families; returns when all are open.
    fn open_old(&self, lab: &Lab) -> Result<Old> {
        let server = lab.server(self.from)?;
        let time = if lab.broken.is_some() { "--max-time 15" } else { "--max-time 60" };
        let mut old = Old { downloads: vec![], talks: vec![] };
        for (family, origin) in [('4', ORIGIN4.into()), ('6', ORIGIN6.into())] {
            old.downloads.push(self.order(vec![LARGE.0; 6], family, true, time).start(server)?);
            old.talks.push(talk(server, self.agent, origin)?);
        }
        wait_for("the old owner's connections are open", || self.open(lab, self.from) >= 12)?;
        Ok(old)
    }

    /// The new owner uses what it has got while the old one still does.
    fn begin_new(&self, lab: &Lab, report: &mut Report, checksums: &Checksums, before: usize) -> Result<()> {
        let &Self { from, to, .. } = self;
        let mut new = Outcome::default();
        for family in ['4', '6'] {
            let files = (0..100).map(|index| 1 + index % FILES).collect();
            let options = "--parallel-max 16 --connect-timeout 20 --max-time 60";
            new.add(&self.order(files, family, false, options).start(lab.server(to)?)?.end(checksums)?);
        }
        let draining = draining(lab, from)?;
        let [four, six] = self.requests(lab, before, to)?;
        let figures = format!("{new}; {four} of them by IPv4 and {six} by IPv6 use what has moved");
        let all = new.is_right() && four > 0 && six > 0;
        report.check(all, &format!("new connections of {to} work beside the old ones"), figures);
        report.check(draining > 0, &format!("{from} tells what drains meanwhile"), format_args!("{draining} sockets"));
        Ok(())
    }

    /// What the old owner had open goes on to its end.
    fn end_old(&self, report: &mut Report, old: Old, checksums: &Checksums) -> Result<()> {
        let mut outcome = Outcome::default();
        for downloads in old.downloads {
            outcome.add(&downloads.end(checksums)?);
        }
        report.check(outcome.is_right(), &format!("the old connections of {} go on to their end", self.from), outcome);
        let (mut answers, questions) = (0, QUESTIONS * old.talks.len());
        for talk in old.talks {
            answers += talk.wait_with_output()?.stdout.len() / ANSWER;
        }
        let what = format!("so do the conversations over UDP of {}", self.from);
        report.check(answers == questions, &what, format_args!("{answers} answers to {questions} questions"));
        Ok(())
    }

    /// The old owner says when it has nothing open any more.
    fn drain(&self, lab: &Lab, report: &mut Report) {
        let over = wait_for("the drain is over", || draining(lab, self.from).is_ok_and(|left| left == 0));
        let what = format!("the end of the drain shows in the metrics of {}", self.from);
        match over {
            Ok(time) => report.check(true, &what, format_args!("0 sockets, {:.1} s later", time.as_secs_f64())),
            Err(error) => report.check(false, &what, format_args!("{error}: {:?}", self.sockets(lab, self.from))),
        }
    }

    /// Sockets that a server has with what moves: their states, local and remote addresses.
    fn sockets(&self, lab: &Lab, server: &str) -> Vec<String> {
        let list = || lab.server(server)?.netns.run("ss -Htuan");
        let moves = |line: &&str| {
            let local = line.split_whitespace().nth(4).and_then(|word| word.parse::<SocketAddr>().ok());
            local.is_some_and(|local| (self.is_moving)(local.ip(), local.port()))
        };
        list().unwrap_or_default().lines().filter(moves).map(str::to_owned).collect()
    }

    /// How many of them are TCP connections.
    fn open(&self, lab: &Lab, server: &str) -> usize {
        self.sockets(lab, server).iter().filter(|line| line.starts_with("tcp") && line.contains("ESTAB")).count()
    }

    /// What a server has asked for since from what moves, by IPv4 and by IPv6.
    fn requests(&self, lab: &Lab, before: usize, server: &str) -> Result<[usize; 2]> {
        let requests = lab.origin.requests()?.split_off(before);
        let of_it = requests.iter().filter(|r| r.server == server && (self.is_moving)(r.address, r.port));
        let (four, six): (Vec<_>, Vec<_>) = of_it.partition(|request| request.address.is_ipv4());
        Ok([four.len(), six.len()])
    }
}

/// Datagrams of a conversation, one a second, and the bytes of each answer.
const QUESTIONS: usize = 10;
const ANSWER: usize = 100;

/// Begins to ask the origin again and again from one socket.
fn talk(server: &Server, agent: &[&str], origin: IpAddr) -> Result<Child> {
    let to = target(origin, UDP);
    let ask = format!("for n in $(seq {QUESTIONS}); do echo {ANSWER}; sleep 1; done | socat -t 2 - UDP{to}");
    server.command(agent, "sh")?.args(["-c", &ask]).stdout(Stdio::piped()).spawn().context("a conversation")
}

/// Sockets that a server has with what it does not own any more.
fn draining(lab: &Lab, server: &str) -> Result<u64> {
    lab.server(server)?.metric("sluice_agent_draining_sockets", "")
}

/// Packets without a socket that a server has passed on.
fn passed_on(lab: &Lab, server: &str) -> Result<u64> {
    lab.server(server)?.metric("sluice_agent_receive_passed_on_packets_total", "")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
mod tests {
    use super::*;

    #[test]
    fn what_moves_leaves_a_table_that_names_the_old_owner() {
        let mut table = crate::plan::table();
        give_slice(&mut table, "lhr-2", Some("lhr-1")).unwrap();
        give_addresses(&mut table, "cdg-1", Some("lhr-1")).unwrap();
        let text = table.to_string();
        assert!(tables::Source::from_slice(text.as_bytes()).is_ok(), "{text}");
        // Of each family a slice and an address.
        assert_eq!(
            (text.matches(r#""previous":[null,"lhr-1"]"#).count(), text.matches(r#""previous":"lhr-1""#).count()),
            (2, 2)
        );
        give_slice(&mut table, "lhr-2", None).unwrap();
        give_addresses(&mut table, "cdg-1", None).unwrap();
        assert!(!table.to_string().contains(r#"previous":"lhr"#));
        assert!(tables::Source::from_slice(table.to_string().as_bytes()).is_ok());
    }
}
