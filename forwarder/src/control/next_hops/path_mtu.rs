// SPDX-License-Identifier: MIT OR Apache-2.0
//! What routers of the underlay say that the path to an address takes: believed within bounds, and for a while.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Less than this nobody can make us believe, in bytes: what IPv6 takes everywhere, and IPv4 nearly everywhere.
pub const FLOOR: u16 = 1280;

/// How long what a router said is believed (RFC 1191, section 6.3; RFC 8201, section 5.3).
pub const LIFETIME: Duration = Duration::from_secs(600);

/// Between two steps down to one address. A router tells at once what it takes, and the next one behind it with the next packet;
/// whoever goes down byte by byte must not keep us busy.
pub const STEP: Duration = Duration::from_secs(1);

/// Paths that take less than the device.
#[derive(Debug, Default)]
pub struct PathMtus(HashMap<IpAddr, Lowered>);

#[derive(Debug, Clone, Copy)]
struct Lowered {
    mtu: u16,
    since: Instant,
    until: Instant,
}

impl PathMtus {
    /// Takes note that the path to `to`, which took `now_takes` up to now, takes no more than `mtu`; what it takes from now on, if
    /// that is less. The same again is believed for longer; less again within a [`STEP`] is not.
    pub fn lower(&mut self, to: IpAddr, mtu: u16, now_takes: u16, now: Instant) -> Option<u16> {
        let (mtu, until) = (mtu.max(FLOOR), now + LIFETIME);
        match self.0.get_mut(&to) {
            Some(lowered) if lowered.mtu == mtu => {
                lowered.until = until;
                None
            }
            Some(lowered) if now < lowered.since + STEP => None,
            _ if mtu >= now_takes => None,
            _ => {
                self.0.insert(to, Lowered { mtu, since: now, until });
                Some(mtu)
            }
        }
    }

    /// Forgets what is too old; the addresses whose paths take again what their devices do.
    pub fn expire(&mut self, now: Instant) -> Vec<IpAddr> {
        self.0.extract_if(|_, lowered| lowered.until <= now).map(|(to, _)| to).collect()
    }

    /// What the path to `to` takes, in bytes, if that was lowered.
    pub fn get(&self, to: IpAddr) -> Option<u16> {
        self.0.get(&to).map(|lowered| lowered.mtu)
    }

    /// All that were lowered.
    pub fn iter(&self) -> impl Iterator<Item = (IpAddr, u16)> + '_ {
        self.0.iter().map(|(&to, lowered)| (to, lowered.mtu))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TO: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 1, 1));

    #[test]
    fn it_falls_and_never_rises_by_word() {
        let (mut paths, start) = (PathMtus::default(), Instant::now());
        assert_eq!(paths.lower(TO, 1600, 1600, start), None, "no less than it takes");
        assert_eq!(paths.lower(TO, 1500, 1600, start), Some(1500));
        let now = start + STEP;
        assert_eq!(paths.lower(TO, 1550, 1500, now), None);
        assert_eq!(paths.lower(TO, 1400, 1500, now), Some(1400));
        assert_eq!(paths.get(TO), Some(1400));
        assert_eq!(paths.get([10, 0, 1, 2].into()), None);
    }

    #[test]
    fn it_falls_no_more_than_once_a_second() {
        let (mut paths, start) = (PathMtus::default(), Instant::now());
        // Down byte by byte, each millisecond for three seconds.
        let mut takes = 1600;
        for ms in 0..3000 {
            let told = 1599 - ms / 10;
            takes = paths.lower(TO, told, takes, start + Duration::from_millis(ms.into())).unwrap_or(takes);
        }
        assert_eq!(paths.get(TO), Some(1599 - 200), "at 0, 1 and 2 seconds");
        assert_eq!(paths.lower([10, 0, 1, 2].into(), 1500, 1600, start), Some(1500), "each path by itself");
    }

    #[test]
    fn nobody_gets_below_the_floor() {
        let (mut paths, now) = (PathMtus::default(), Instant::now());
        assert_eq!(paths.lower(TO, 0, 1500, now), Some(FLOOR));
        assert_eq!(paths.lower(TO, 576, FLOOR, now), None);
        assert_eq!(paths.lower([10, 0, 1, 2].into(), 68, 1200, now), None, "a device that takes less still");
    }

    #[test]
    fn it_is_believed_for_ten_minutes_after_it_was_said_last() {
        let (mut paths, start) = (PathMtus::default(), Instant::now());
        paths.lower(TO, 1400, 1500, start);
        assert_eq!(paths.lower(TO, 1400, 1400, start + LIFETIME / 2), None, "nothing new");
        assert!(paths.expire(start + LIFETIME).is_empty());
        assert_eq!(paths.get(TO), Some(1400));
        assert_eq!(paths.expire(start + LIFETIME + LIFETIME / 2), [TO]);
        assert_eq!((paths.get(TO), paths.iter().count()), (None, 0));
    }
}
