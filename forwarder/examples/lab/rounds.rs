// SPDX-License-Identifier: MIT OR Apache-2.0
//! Rounds of traffic, and what became of it.

use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::lab::sluiced::Sluiced;
use crate::lab::{PATIENCE, pause};
use crate::network::{Network, UNDERLAY};
use crate::paper::{Paper, grouped};
use crate::servers::Servers;
use crate::traffic;

/// What to send, and for how long.
#[derive(Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) name: &'static str,
    /// Packets a second for the servers; none is as many as it takes.
    pub(crate) rate: Option<u32>,
    pub(crate) flood: bool,
    pub(crate) time: Duration,
}

/// What became of it.
pub(crate) struct Round {
    name: &'static str,
    seconds: f64,
    /// Packets for the servers, and frames for the box's kernel.
    pub(crate) sent: u64,
    flooded: u64,
    /// Pings of the box: answered, sent.
    pings: (u64, u64),
    pub(crate) counted: Counted,
    pub(crate) received: u64,
}

/// Counters, or how they have grown.
pub(crate) struct Counted {
    /// Frames at the box's end of the wire.
    arrived: u64,
    /// Of those, what sluiced got from the packet socket's ring.
    rx: u64,
    pub(crate) tx: u64,
    exception: u64,
    pub(crate) policed: u64,
    /// Drops for any other reason.
    pub(crate) dropped: u64,
}

impl Counted {
    fn read(network: &Network, sluiced: &Sluiced<'_>) -> Self {
        let stats = sluiced.ask(&["stats"]);
        assert_eq!(stats["conservation"]["ok"], true, "every packet is accounted for: {stats}");
        let counters = &stats["counters"];
        let count = |value: &Value| value.as_u64().unwrap();
        let policed = count(&counters["drops"]["kernel_policed"]);
        let drops: u64 = counters["drops"].as_object().unwrap().values().map(count).sum();
        Self {
            arrived: network.arrived(),
            rx: count(&counters["rx"]),
            tx: count(&counters["tx"]),
            exception: count(&counters["exception"]),
            policed,
            dropped: drops - policed,
        }
    }

    /// Of a hundred frames at the box, how many sluiced never got.
    pub(crate) fn lost_in_ring(&self) -> f64 {
        100.0 * self.arrived.saturating_sub(self.rx) as f64 / (self.arrived as f64).max(1.0)
    }

    fn since(&self, before: &Self) -> Self {
        Self {
            arrived: self.arrived - before.arrived,
            rx: self.rx - before.rx,
            tx: self.tx - before.tx,
            exception: self.exception - before.exception,
            policed: self.policed - before.policed,
            dropped: self.dropped - before.dropped,
        }
    }
}

/// Sends as planned, waits until all that was to come has come, and counts.
pub(crate) fn run(plan: Plan, network: &Network, sluiced: &Sluiced<'_>, servers: &Servers) -> Round {
    let received = servers.counter();
    let (before, received_before) = (Counted::read(network, sluiced), received());
    let start = Instant::now();
    let sending = traffic::forwarded(&network.internet, plan.rate, servers.counter());
    let flood = plan.flood.then(|| traffic::flood(&network.internet, servers.probes()));
    let ping = ping(network, plan.time);
    pause(plan.time);
    let (sent, flooded) = (sending.end(), flood.map_or(0, traffic::Sending::end));
    let seconds = start.elapsed().as_secs_f64();
    let pings = answered(&String::from_utf8_lossy(&ping.wait_with_output().unwrap().stdout));
    settle(|| (Counted::read(network, sluiced).tx, received()));
    let counted = Counted::read(network, sluiced).since(&before);
    Round { name: plan.name, seconds, sent, flooded, pings, counted, received: received() - received_before }
}

/// Waits until something stands still for half a second.
fn settle<T: PartialEq>(read: impl Fn() -> T) {
    let (mut last, start) = (read(), Instant::now());
    loop {
        pause(Duration::from_millis(500));
        let next = read();
        if next == last || start.elapsed() > PATIENCE {
            return;
        }
        last = next;
    }
}

/// Five pings a second of the box's underlay address.
fn ping(network: &Network, time: Duration) -> std::process::Child {
    let seconds = time.as_secs().max(1);
    let mut ping = network.internet.command("ping");
    ping.args(["-i", "0.2", "-W", "1", "-c", &(5 * seconds).to_string(), "-w", &(seconds + 1).to_string(), UNDERLAY]);
    ping.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
}

/// What ping says at its end: answered, sent.
fn answered(said: &str) -> (u64, u64) {
    let line = said.lines().find(|line| line.contains(" packets transmitted, ")).unwrap_or_default();
    let mut numbers = line.split(", ").filter_map(|part| part.split(' ').next()?.parse().ok());
    let (sent, answered) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    (answered, sent)
}

impl Round {
    /// Of the packets that were sent, how many of a hundred came to nobody.
    pub(crate) fn loss(&self) -> f64 {
        100.0 * self.sent.saturating_sub(self.received) as f64 / (self.sent as f64).max(1.0)
    }

    /// Frames for the box's kernel a second.
    pub(crate) fn flood_rate(&self) -> u64 {
        (self.flooded as f64 / self.seconds) as u64
    }

    pub(crate) fn pings(&self) -> String {
        format!("{} of {}", self.pings.0, self.pings.1)
    }
}

/// All rounds beside each other.
pub(crate) fn print(paper: &Paper, rounds: &[Round]) {
    paper.heading("Results");
    let names =
        ["sent/s", "received/s", "loss", "flood/s", "lost in ring", "to kernel", "policed", "other drops", "pings"];
    let heading: String = names.iter().map(|name| format!("{name:>13}")).collect();
    println!("{}", paper.paint("2", format_args!("  {:<12}{heading}", "round")));
    for round in rounds {
        let rate = |count: u64| grouped((count as f64 / round.seconds) as u64);
        let counted = &round.counted;
        let cells = [
            rate(round.sent),
            rate(round.received),
            format!("{:.2} %", round.loss()),
            grouped(round.flood_rate()),
            grouped(counted.arrived.saturating_sub(counted.rx)),
            grouped(counted.exception),
            grouped(counted.policed),
            grouped(counted.dropped),
            round.pings(),
        ];
        let line: String = cells.iter().map(|cell| format!("{cell:>13}")).collect();
        println!("  {:<12}{line}", round.name);
    }
    println!(
        "\n  The ring is the packet socket's, between the box's kernel and DPDK: what is lost there never came to sluiced, as with a\n  \
         NIC whose queue is full. Pings share the flood's budget; BGP has one of its own."
    );
}
