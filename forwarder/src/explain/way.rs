// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where a packet leaves to: who gets it, by which outer headers, and what fits behind them.

use std::net::IpAddr;

use super::{Explanation, Mtu, MtuVerdict, NextHop, Outer, PrivateKind, Verdict};
use crate::hops::{NextHops, Unresolved};
use crate::io::DeviceIndex;
use crate::pipeline::upper::Upper;
use crate::settings::Settings;
use crate::state::{Destination, ForwardingState, choose};
use crate::wire::MacAddr;
use crate::wire::outer::{OuterHeaders, Private};

/// A device's MTU that says it is not known: a table alone has no devices.
pub const UNKNOWN_MTU: u16 = u16::MAX;

impl Explanation {
    /// Tells of the way to `destination`; of several forwarders that one which `flow` chooses, 0 the first. `upper` is what the
    /// packet is above IP.
    pub(super) fn tell_way(
        &mut self,
        state: &ForwardingState,
        settings: &Settings,
        destination: Destination,
        upper: &Upper,
        flow: u64,
    ) {
        match destination {
            Destination::Server(id) => {
                let Some(target) = state.table.targets().get(usize::from(id.0)) else { return };
                self.verdict = Verdict::Server;
                self.target = Some(target.name.to_string());
                self.outer_destination = Some(target.address);
                self.previous = target.previous.as_ref().map(|(name, _)| name.to_string());
            }
            Destination::Datacenter(id) => {
                let Some(remote) = state.table.remotes().get(usize::from(id.0)) else { return };
                self.verdict = Verdict::Datacenter;
                self.target = Some(remote.name.to_string());
                self.outer_destination = remote.forwarders.first().copied();
                self.forwarders.clone_from(&remote.forwarders);
            }
        }
        let (headers, next_hop) = match state.hops() {
            None => match state.headers(destination, flow) {
                Some(headers) => (*headers, configured(settings)),
                None => return,
            },
            Some(hops) => {
                self.tell_usable(hops, destination, flow);
                let Some(hop) = state.hop(hops, destination, flow) else { return self.tell_unresolved(hops) };
                (
                    hop.headers.narrowed(hop.mtu),
                    Some(NextHop::of(settings, hop.link.device, hop.link.header.destination())),
                )
            }
        };
        let Some(to) = self.outer_destination else { return };
        let private = match headers.private() {
            Private::PreviousOwner if !upper.can_be_redirected() => Private::None,
            private => private,
        };
        self.outer = Some(Outer {
            source: own_address(settings, to),
            destination: to,
            gue_port: settings.underlay.gue_port,
            source_port: None,
            overhead: headers.len(private),
            private: private.into(),
            next_hop,
        });
        self.mtu = Some(Mtu::of(&headers, private));
    }

    /// Of a data centre's forwarders only those count that can be reached.
    fn tell_usable(&mut self, hops: &NextHops, destination: Destination, flow: u64) {
        let Destination::Datacenter(id) = destination else { return };
        let usable = hops.datacenters.get(usize::from(id.0)).map(|usable| &**usable).unwrap_or_default();
        if usable.is_empty() {
            return;
        }
        let address = |forwarder: u16| self.forwarders.get(usize::from(forwarder)).copied();
        let forwarders: Vec<_> = usable.iter().filter_map(|usable| address(usable.forwarder)).collect();
        self.outer_destination = choose(&forwarders, flow).copied();
        self.forwarders = forwarders;
    }

    /// Says why the packet has no way.
    fn tell_unresolved(&mut self, hops: &NextHops) {
        let Some(to) = self.outer_destination else { return };
        let why = hops.unresolved.get(&to).map_or_else(|| "not resolved".to_owned(), Unresolved::to_string);
        self.step("outer", format!("no next hop to {to}: {why}"));
    }

    /// The address of the previous owner that the headers name, if they do.
    pub(super) fn tell_previous_hop(&mut self, state: &ForwardingState, destination: Destination) {
        let names = self.outer.as_ref().is_some_and(|outer| outer.private == PrivateKind::PreviousOwner);
        let Destination::Server(id) = destination else { return };
        let target = state.table.targets().get(usize::from(id.0));
        let previous = target.and_then(|target| target.previous.as_ref());
        self.previous_hop = previous.filter(|_| names).map(|(_, address)| *address);
    }

    /// What to add to a sentence about the owner: what becomes of the last one's connections.
    pub(super) fn draining(&self) -> String {
        match (&self.previous, self.previous_hop) {
            (None, _) => String::new(),
            (Some(previous), Some(_)) => {
                format!("; connections of {previous}, the previous owner, drain, and the header names it")
            }
            (Some(previous), None) => format!(
                "; connections of {previous}, the previous owner, drain, though no header names it: only that of whole TCP and \
                 UDP packets between IPv4 servers does"
            ),
        }
    }
}

impl Mtu {
    fn of(headers: &OuterHeaders, private: Private) -> Self {
        let overhead = headers.len(private);
        let limit = u16::try_from(headers.mtu()).ok().filter(|limit| *limit != UNKNOWN_MTU);
        let mut mtu = Self { limit, overhead, largest: None, packet: None, verdict: None };
        mtu.refit(overhead, true);
        mtu
    }

    /// Makes it that of headers of so many bytes, and judges the packet again.
    pub(super) fn refit(&mut self, overhead: usize, dont_fragment: bool) {
        self.overhead = overhead;
        self.largest = self.limit.map(|limit| usize::from(limit).saturating_sub(overhead));
        if let Some(len) = self.packet {
            self.judge(len, dont_fragment);
        }
    }

    /// Judges a packet of `len` bytes that may be cut or not.
    pub(super) fn judge(&mut self, len: usize, dont_fragment: bool) {
        self.packet = Some(len);
        self.verdict = self.largest.map(|largest| match len <= largest {
            true => MtuVerdict::Fits,
            false if dont_fragment => MtuVerdict::TooBig,
            false => MtuVerdict::Cut,
        });
    }
}

impl From<Private> for PrivateKind {
    fn from(private: Private) -> Self {
        match private {
            Private::None => Self::None,
            Private::PreviousOwner => Self::PreviousOwner,
            Private::Datacenter => Self::Datacenter,
        }
    }
}

impl NextHop {
    pub(super) fn of(settings: &Settings, device: DeviceIndex, mac: MacAddr) -> Self {
        let device = settings.device(device).map_or_else(String::new, |device| device.name.clone());
        Self { device, mac: mac.to_string() }
    }
}

/// The next hop of the configuration.
fn configured(settings: &Settings) -> Option<NextHop> {
    let (index, device, _) = settings.egress()?;
    Some(NextHop::of(settings, index, device.next_hop?))
}

/// The own address that packets to `to` come from.
fn own_address(settings: &Settings, to: IpAddr) -> Option<IpAddr> {
    let own = &settings.underlay;
    if to.is_ipv4() { own.ipv4.map(IpAddr::V4) } else { own.ipv6.map(IpAddr::V6) }
}
