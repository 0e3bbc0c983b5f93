// SPDX-License-Identifier: MIT OR Apache-2.0
//! The top of a table document, its data centres and its servers.

use std::collections::HashSet;
use std::net::IpAddr;

use serde::de::{MapAccess, SeqAccess};

use super::egress::Egress;
use super::object::{Member, Members, Object, Seen, each_element, each_member};
use super::scalar::{DatacenterName, Integer, Mtu, UnderlayAddress};
use super::want::{At, Want};
use super::window::Window;
use crate::source::draft::{DatacenterDraft, ServerDraft};

/// The document itself.
#[derive(Default)]
pub(super) struct Document<'a> {
    /// How many members came before.
    rank: u8,
    /// What it is read from, if that is a stream.
    window: Option<&'a Window<'a>>,
}

impl<'a> Document<'a> {
    /// One that is read from there.
    pub(super) fn new(window: &'a Window<'a>) -> Self {
        Self { rank: 0, window: Some(window) }
    }
}

impl Members for Document<'_> {
    const KEYS: &'static [&'static str] = &["version", "generation", "datacenters", "servers", "egress"];
    const REQUIRED: &'static [&'static str] = &["version", "datacenters", "servers", "egress"];

    fn member<'de, A: MapAccess<'de>>(&mut self, key: &'static str, mut value: Member<'_, A>) -> Result<(), A::Error> {
        let rank = self.rank;
        self.rank += 1;
        let draft = &mut *value.at.draft;
        draft.faults.position = (rank, 0);
        match key {
            "version" => {
                value.want(Integer(1..=1))?;
            }
            "generation" => value.at.draft.generation = value.want(Integer(0..=i64::MAX as u64))?,
            "datacenters" => {
                draft.ranks.datacenters = rank;
                value.want(Datacenters)?;
            }
            "servers" => {
                draft.ranks.servers = rank;
                value.want(Servers)?;
            }
            _ => {
                draft.ranks.egress = rank;
                value.want(Egress { window: self.window })?;
            }
        }
        Ok(())
    }
}

/// Wants all data centres.
pub(super) struct Datacenters;

impl<'de> Want<'de> for Datacenters {
    type Value = ();

    fn wanted(&self) -> String {
        "an object of data centres by name".into()
    }

    fn object<A: MapAccess<'de>>(self, mut at: At<'_>, object: A) -> Result<Option<()>, A::Error> {
        at.draft.names.datacenters.known = true;
        each_member(&mut at, object, |name, mut value| {
            let mut datacenter = DatacenterDraft::default();
            value.at.draft.faults.position.1 = value.at.draft.names.datacenters.defined();
            name_is_not_empty(name, &mut value.at);
            let before = value.at.draft.faults.count();
            value.want(Object(&mut datacenter))?;
            datacenter.faulty = value.at.draft.faults.count() > before;
            let datacenters = &mut value.at.draft.names.datacenters;
            if !datacenters.refer(name).is_some_and(|id| datacenters.define(id, datacenter)) {
                value.at.fault("this data centre stands here twice");
            }
            Ok(())
        })?;
        Ok(Some(()))
    }
}

impl Members for DatacenterDraft {
    const KEYS: &'static [&'static str] = &["forwarders", "mtu"];
    // Only one that gets packets from others needs forwarders: see the checks across the document.
    const REQUIRED: &'static [&'static str] = &[];

    fn member<'de, A: MapAccess<'de>>(&mut self, key: &'static str, mut value: Member<'_, A>) -> Result<(), A::Error> {
        match key {
            "forwarders" => {
                value.want(Forwarders(&mut self.forwarders))?;
            }
            _ => self.mtu = value.want(Mtu)?,
        }
        Ok(())
    }
}

struct Forwarders<'a>(&'a mut Vec<IpAddr>);

impl<'de> Want<'de> for Forwarders<'_> {
    type Value = ();

    fn wanted(&self) -> String {
        "an array of IP addresses".into()
    }

    fn array<A: SeqAccess<'de>>(self, mut at: At<'_>, array: A) -> Result<Option<()>, A::Error> {
        let mut distinct = HashSet::new();
        each_element(
            &mut at,
            array,
            || UnderlayAddress,
            |mut at, address| {
                let Some(address) = address else { return };
                if !distinct.insert(address) {
                    at.fault(format!("{address} stands here twice, which would double its share of the packets"));
                }
                self.0.push(address);
            },
        )?;
        Ok(Some(()))
    }
}

/// Wants all servers.
pub(super) struct Servers;

impl<'de> Want<'de> for Servers {
    type Value = ();

    fn wanted(&self) -> String {
        "an object of servers by name".into()
    }

    fn object<A: MapAccess<'de>>(self, mut at: At<'_>, object: A) -> Result<Option<()>, A::Error> {
        at.draft.names.servers.known = true;
        each_member(&mut at, object, |name, mut value| {
            let mut server = ServerDraft::default();
            value.at.draft.faults.position.1 = value.at.draft.names.servers.defined();
            name_is_not_empty(name, &mut value.at);
            value.want(Object(&mut server))?;
            let servers = &mut value.at.draft.names.servers;
            if !servers.refer(name).is_some_and(|id| servers.define(id, server)) {
                value.at.fault("this server stands here twice");
            }
            Ok(())
        })?;
        Ok(Some(()))
    }
}

impl Members for ServerDraft {
    const KEYS: &'static [&'static str] = &["datacenter", "address", "mtu"];
    const REQUIRED: &'static [&'static str] = &["datacenter", "address"];

    fn member<'de, A: MapAccess<'de>>(&mut self, key: &'static str, mut value: Member<'_, A>) -> Result<(), A::Error> {
        match key {
            "datacenter" => self.datacenter = value.want(DatacenterName)?,
            "address" => self.address = value.want(UnderlayAddress)?,
            _ => self.mtu = value.want(Mtu)?,
        }
        Ok(())
    }

    fn end(&mut self, at: At<'_>, _: &Seen) {
        if let (Some(IpAddr::V6(_)), Some(mtu @ ..1280)) = (self.address, self.mtu) {
            let message = format!("must be at least 1280, not {mtu}: every IPv6 path takes that much (RFC 8200)");
            at.draft.faults.add(&at.path.key("mtu"), message);
        }
    }
}

fn name_is_not_empty(name: &str, at: &mut At<'_>) {
    if name.is_empty() {
        at.fault("a name must not be empty");
    }
}
