// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is left to devices: with what they do, every frame leaves and is counted as it is without.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may stop at the first surprise"
)]

mod world;

use std::sync::Arc;

use forwarder::counters::Traffic;
use forwarder::hops::{Link, NextHops, Usable, Way};
use forwarder::io::DeviceIndex;
use forwarder::io::offload::Offloads;
use forwarder::settings::Settings;
use forwarder::state::Destination;
use forwarder::wire::MacAddr;
use forwarder::wire::ethernet::Template;
use tables::table::{RemoteId, TargetId};
use world::vectors::cases_of;
use world::{Fate, World};

const NONE: Offloads = Offloads { checksum: false, tag: false };
const ALL: [Offloads; 3] = [
    Offloads { checksum: true, tag: false },
    Offloads { checksum: false, tag: true },
    Offloads { checksum: true, tag: true },
];

/// What becomes of all vectors of `world` by devices that do so much, alternately; what is counted, and how many frames were left unfinished.
fn run(world: &str, offloads: [Offloads; 2], by_hops: bool) -> (Vec<Fate>, Vec<Traffic>, usize) {
    let name = world;
    let mut world = World::load_with(world, |settings| {
        settings.devices.iter_mut().zip(offloads.into_iter().cycle()).for_each(|(device, does)| device.offloads = does);
    });
    if by_hops {
        let hops = hops(&world.settings, world.state.table.targets().len(), world.state.table.remotes().len());
        world.state = world.state.with_hops(Some(Arc::new(hops)));
    }
    let frames: Vec<_> = cases_of(name).into_iter().map(|case| case.frame).collect();
    // Plain packets go another way than others, and alone another way than in such company.
    let alone = frames.iter().map(|frame| world.process(std::slice::from_ref(frame)).remove(0)).collect::<Vec<_>>();
    let together = frames.chunks(64).flat_map(|frames| world.process(frames));
    let fates = alone.into_iter().chain(together).collect();
    let (table, tallies) = (&world.state.table, world.state.tallies());
    let servers = (0..table.targets().len() as u16).map(|id| Destination::Server(TargetId(id)));
    let remotes = (0..table.remotes().len() as u16).map(|id| Destination::Datacenter(RemoteId(id)));
    (fates, servers.chain(remotes).map(|to| tallies.read(to)).collect(), world.unfinished)
}

/// Every destination by two routers, behind one device each, the second one's tagged.
fn hops(settings: &Settings, servers: usize, remotes: usize) -> NextHops {
    let link = |(index, vlan): (u8, _)| Link {
        device: DeviceIndex(index % settings.devices.len() as u8),
        header: Template::new(MacAddr([2, 0, 0, 0, 9, index]), MacAddr([2, 0, 0, 0, 0, 1]), vlan),
    };
    let way = Way { first: 0, count: 2, mtu: 1500 };
    NextHops {
        links: [(0, None), (1, Some(100))].map(link).into(),
        servers: vec![way; servers].into(),
        datacenters: vec![Box::from([Usable { forwarder: 0, way }]); remotes].into(),
        internet: [way; 2],
        ..NextHops::default()
    }
}

fn same(world: &str, offloads: [Offloads; 2], by_hops: bool) -> usize {
    let (without, counted_without, unfinished) = run(world, [NONE; 2], by_hops);
    assert_eq!(unfinished, 0, "nobody does anything");
    let (with, counted, unfinished) = run(world, offloads, by_hops);
    assert_eq!(with.len(), without.len());
    for (with, without) in with.iter().zip(&without) {
        assert_eq!(with, without, "{offloads:?}");
    }
    assert_eq!(counted, counted_without, "{offloads:?}");
    unfinished
}

#[test]
fn the_one_device_of_the_configuration_finishes_what_it_sends() {
    for offloads in ALL {
        assert!(same("tagged", [offloads; 2], false) > 20, "{offloads:?}");
    }
    // No tag, and an underlay of both versions: half of it has no checksum to be filled in.
    assert!(same("plain", [ALL[0]; 2], false) > 100);
    assert_eq!(same("plain", [ALL[1]; 2], false), 0);
}

#[test]
fn only_the_device_that_can_is_asked() {
    assert_eq!(same("tagged", [ALL[2], NONE], false), 0, "what leaves does so by the second device");
    assert!(same("tagged", [NONE, ALL[2]], false) > 20);
}

#[test]
fn devices_that_the_kernel_chooses_finish_what_they_send() {
    for offloads in ALL {
        let each = [[offloads, NONE], [NONE, offloads]].map(|offloads| same("tagged", offloads, true));
        // The first device's packets leave without a tag.
        assert_eq!(each.map(|unfinished| unfinished > 4), [offloads.checksum, true], "{offloads:?}: {each:?}");
        assert_eq!(same("tagged", [offloads; 2], true), each[0] + each[1], "{offloads:?}");
    }
}
