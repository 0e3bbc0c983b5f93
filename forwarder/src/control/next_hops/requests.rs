// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which neighbours the kernel is to be asked to look for, and how often; and how without the right to ask.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket};
use std::time::{Duration, Instant};

use super::kernel::Place;

/// Between two requests for one neighbour. The kernel itself asks three times, a second apart, before it gives up.
pub const INTERVAL: Duration = Duration::from_secs(1);

/// Requests a second, all neighbours together.
pub const RATE: usize = 500;

/// Where datagrams do no harm (RFC 863).
const DISCARD: u16 = 9;

/// Requests that were made.
#[derive(Debug, Default)]
pub struct Requests {
    asked: HashMap<Place, Instant>,
    /// When the second began that is running, and what was asked in it.
    second: Option<Instant>,
    made: usize,
}

impl Requests {
    /// Those of `wanted` that are to be asked for now; who has waited longest comes first.
    pub fn due(&mut self, wanted: &BTreeSet<Place>, now: Instant) -> Vec<Place> {
        self.asked.retain(|place, _| wanted.contains(place));
        if self.second.is_none_or(|second| now >= second + Duration::from_secs(1)) {
            (self.second, self.made) = (Some(now), 0);
        }
        let is_due = |place: &&Place| self.asked.get(place).is_none_or(|&asked| now >= asked + INTERVAL);
        let mut due: Vec<Place> = wanted.iter().filter(is_due).copied().collect();
        due.sort_by_key(|place| self.asked.get(place).copied());
        due.truncate(RATE - self.made);
        self.made += due.len();
        self.asked.extend(due.iter().map(|&place| (place, now)));
        due
    }
}

/// Gives the kernel something to send to a neighbour: an empty datagram. It needs no right, but a route that has the neighbour on its
/// interface's link.
pub(super) fn send((interface, address): Place) -> io::Result<()> {
    let (own, to): (IpAddr, SocketAddr) = match address {
        IpAddr::V4(address) => (Ipv4Addr::UNSPECIFIED.into(), (address, DISCARD).into()),
        // The interface counts where the address is link-local.
        IpAddr::V6(address) => (Ipv6Addr::UNSPECIFIED.into(), SocketAddrV6::new(address, DISCARD, 0, interface).into()),
    };
    let socket = UdpSocket::bind((own, 0))?;
    socket.set_nonblocking(true)?;
    socket.send_to(&[], to).map(drop)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn wanted(range: std::ops::Range<u32>) -> BTreeSet<Place> {
        range.map(|n| (7, Ipv4Addr::from_bits(0x0a00_0000 + n).into())).collect()
    }

    #[test]
    fn each_is_asked_for_once_a_second() {
        let (mut requests, start) = (Requests::default(), Instant::now());
        assert_eq!(requests.due(&wanted(0..3), start).len(), 3);
        assert_eq!(requests.due(&wanted(0..3), start + INTERVAL / 2).len(), 0);
        assert_eq!(requests.due(&wanted(0..4), start + INTERVAL / 2).len(), 1, "a new one at once");
        assert_eq!(requests.due(&wanted(0..4), start + INTERVAL).len(), 3);
        assert_eq!(requests.due(&wanted(0..0), start + INTERVAL).len(), 0);
        assert_eq!(requests.due(&wanted(0..1), start + INTERVAL).len(), 1, "what was not wanted is forgotten");
    }

    #[test]
    fn all_get_their_turn_within_the_rate() {
        let (mut requests, start) = (Requests::default(), Instant::now());
        let all = wanted(0..RATE as u32 * 2 + 7);
        let mut asked = BTreeSet::new();
        for second in 0..3 {
            let now = start + Duration::from_secs(second);
            let due = requests.due(&all, now);
            assert!(due.len() <= RATE);
            asked.extend(due);
            assert_eq!(requests.due(&all, now + Duration::from_millis(900)).len(), 0);
        }
        assert_eq!(asked, all);
    }
}
