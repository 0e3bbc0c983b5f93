// SPDX-License-Identifier: MIT OR Apache-2.0
//! The places for connections: a bounded number, some kept for peers with rights. When all are taken, a newcomer gets
//! that of the peer that has kept us waiting longest, so that idle connections keep nobody out.

use std::collections::BTreeMap;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};

use super::generations::lock;

/// Connections at a time.
const PLACES: usize = 256;
/// Of these, for peers that may only look, so that they can't keep the others out.
const LOOKERS: usize = 192;

/// All places.
#[derive(Debug, Default)]
pub(super) struct Places(Mutex<Taken>);

#[derive(Debug, Default)]
struct Taken {
    /// By number of the place.
    guests: BTreeMap<u64, Guest>,
    /// Counts what happens: the order of events, and numbers that come once.
    now: u64,
}

#[derive(Debug)]
struct Guest {
    stream: Arc<UnixStream>,
    may_change: bool,
    /// Since when we wait for it; none while it waits for us.
    waiting: Option<u64>,
}

/// A place; given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    number: u64,
}

impl Places {
    /// A place for the peer behind `stream`. None if it is full of peers that wait for us.
    pub(super) fn take(self: &Arc<Self>, stream: &Arc<UnixStream>, may_change: bool) -> Option<Place> {
        let mut taken = lock(&self.0);
        let lookers = taken.guests.values().filter(|guest| !guest.may_change).count();
        if !may_change && lookers >= LOOKERS {
            taken.send_away(|guest| !guest.may_change)?;
        } else if taken.guests.len() >= PLACES {
            taken.send_away(|_| true)?;
        }
        let number = taken.tick();
        taken.guests.insert(number, Guest { stream: Arc::clone(stream), may_change, waiting: Some(number) });
        Some(Place { places: Arc::clone(self), number })
    }
}

impl Taken {
    fn tick(&mut self) -> u64 {
        self.now += 1;
        self.now
    }

    /// Hangs up on the one among `these` for which we wait longest. None if we wait for none of them.
    fn send_away(&mut self, these: impl Fn(&Guest) -> bool) -> Option<()> {
        let waiting = self.guests.iter().filter(|(_, guest)| these(guest));
        let (_, number) = waiting.filter_map(|(number, guest)| Some((guest.waiting?, *number))).min()?;
        let guest = self.guests.remove(&number)?;
        // Fails only if the peer has gone already, which is as good.
        let _ = guest.stream.shutdown(Shutdown::Both);
        Some(())
    }
}

impl Place {
    /// From now on the peer waits for us, and keeps its place. False if it has lost it: nothing is to be done for it.
    pub(super) fn keep(&self) -> bool {
        lock(&self.places.0).guests.get_mut(&self.number).map(|guest| guest.waiting = None).is_some()
    }

    /// From now on we wait for the peer: to read its answer, or to ask again.
    pub(super) fn wait(&self) {
        let mut taken = lock(&self.places.0);
        let now = taken.tick();
        if let Some(guest) = taken.guests.get_mut(&self.number) {
            guest.waiting = Some(now);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.places.0).guests.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    /// A guest's place and the other end of its connection.
    struct Seat(Place, UnixStream);

    impl Seat {
        fn take(places: &Arc<Places>, may_change: bool) -> Option<Self> {
            let (own, peer) = UnixStream::pair().unwrap();
            peer.set_nonblocking(true).unwrap();
            Some(Self(places.take(&Arc::new(own), may_change)?, peer))
        }

        /// Whether the peer sees an open connection. A place has its stream for as long as it is taken.
        fn is_open(&self) -> bool {
            (&self.1).read(&mut [0]).is_err()
        }
    }

    fn seats(places: &Arc<Places>, count: usize, may_change: bool) -> Vec<Seat> {
        (0..count).map(|_| Seat::take(places, may_change).unwrap()).collect()
    }

    fn open(seats: &[Seat]) -> usize {
        seats.iter().filter(|seat| seat.is_open()).count()
    }

    #[test]
    fn the_longest_idle_makes_room() {
        let places = Arc::default();
        let seats = seats(&places, PLACES, true);
        seats[0].0.wait();
        assert!(seats[1].0.keep());
        assert_eq!(open(&seats), PLACES);
        let newcomer = Seat::take(&places, true).unwrap();
        assert!(seats[0].is_open() && seats[1].is_open() && !seats[2].is_open() && newcomer.is_open());
        assert!(!seats[2].0.keep(), "what it has sent in the last moment is not acted on");
        assert!(seats[1].0.keep());
        assert_eq!(open(&seats), PLACES - 1);
    }

    #[test]
    fn who_waits_for_us_is_not_sent_away() {
        let places = Arc::default();
        let seats = seats(&places, PLACES, true);
        assert!(seats.iter().all(|seat| seat.0.keep()));
        assert!(Seat::take(&places, true).is_none());
        assert_eq!(open(&seats), PLACES);
        seats[7].0.wait();
        let newcomer = Seat::take(&places, true).unwrap();
        assert!(!seats[7].is_open() && newcomer.is_open());
    }

    #[test]
    fn lookers_keep_to_their_places() {
        let places = Arc::default();
        let lookers = seats(&places, LOOKERS, false);
        let changers = seats(&places, PLACES - LOOKERS, true);
        changers.iter().for_each(|seat| assert!(seat.0.keep()));
        let more = seats(&places, LOOKERS, false);
        assert_eq!((open(&lookers), open(&changers), open(&more)), (0, PLACES - LOOKERS, LOOKERS));
        more.iter().for_each(|seat| assert!(seat.0.keep()));
        assert!(Seat::take(&places, false).is_none());
        changers[0].0.wait();
        assert!(Seat::take(&places, false).is_none(), "the place of a peer with rights");
        assert!(Seat::take(&places, true).is_some() && !changers[0].is_open());
    }

    #[test]
    fn a_place_comes_back() {
        let places = Arc::default();
        let mut seats = seats(&places, PLACES, true);
        assert!(seats.iter().all(|seat| seat.0.keep()));
        drop(seats.pop());
        assert!(Seat::take(&places, true).is_some());
        assert_eq!(open(&seats), PLACES - 1);
    }
}
