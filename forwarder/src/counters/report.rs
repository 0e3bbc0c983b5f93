// SPDX-License-Identifier: MIT OR Apache-2.0
//! Counters as documents show them: `stats`, `replay` (contract section 4).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Counters, DropReason};

/// The JSON form of [`Counters`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CountersReport {
    /// Frames received.
    pub rx: u64,
    /// Packets that the forwarder added.
    pub originated: u64,
    /// Frames that a device took.
    pub tx: u64,
    /// Frames that the kernel path took.
    pub exception: u64,
    /// Packets held at this moment, on their way between workers included. Of one worker alone what it adds to that: less
    /// than nothing if it has taken over more packets than it has handed over.
    pub held: i64,
    /// Fragments handed over to other workers so far.
    pub handed_over: u64,
    /// Bytes received, Ethernet header included, FCS not.
    pub rx_bytes: u64,
    /// Bytes that a device took, counted alike.
    pub tx_bytes: u64,
    /// ICMP errors that were due and not sent; outside the sum.
    pub icmp_errors_suppressed: u64,
    /// Frames of the kernel that a device took; outside the sum.
    pub kernel_tx: u64,
    /// Frames of the kernel that were lost; outside the sum.
    pub kernel_drops: u64,
    /// Drops by the reason's name. Every reason is there, also at 0, so that a script finds what it asks for.
    pub drops: BTreeMap<String, u64>,
}

impl From<&Counters> for CountersReport {
    fn from(counters: &Counters) -> Self {
        let drops = DropReason::ALL.into_iter().map(|r| (r.name().to_owned(), counters.dropped(r))).collect();
        let Counters { rx, originated, tx, exception, handed_over, rx_bytes, tx_bytes, .. } = *counters;
        let Counters { icmp_errors_suppressed, kernel_tx, kernel_drops, .. } = *counters;
        Self {
            rx,
            originated,
            tx,
            exception,
            held: counters.held_net(),
            handed_over,
            rx_bytes,
            tx_bytes,
            icmp_errors_suppressed,
            kernel_tx,
            kernel_drops,
            drops,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_json_has_every_reason() {
        let mut counters = Counters { rx: 7, tx: 4, ..Counters::default() };
        counters.drop(DropReason::NoPort, 3);
        let json = serde_json::to_value(CountersReport::from(&counters)).unwrap();
        assert_eq!(json["rx"], 7);
        assert_eq!(json["originated"], 0);
        assert_eq!(json["tx"], 4);
        assert_eq!(json["exception"], 0);
        assert_eq!(json["held"], 0);
        assert_eq!(json["icmp_errors_suppressed"], 0);
        assert_eq!(json["drops"]["no_port"], 3);
        assert_eq!(json["drops"]["malformed"], 0);
        assert_eq!(json["drops"].as_object().unwrap().len(), DropReason::ALL.len());
    }
}
