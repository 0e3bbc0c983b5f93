// SPDX-License-Identifier: MIT OR Apache-2.0
//! Patches on real threads: readers look up while later generations are made in memory that earlier ones gave back.
#![cfg(not(loom))]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may stop at the first surprise"
)]

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use serde_json::json;
use static_assertions::assert_impl_all;
use tables::patch::Patch;
use tables::table::{Address, Compiler, Found, TargetId, Viewpoint};
use tables::{Publisher, Reader, Source, Table};

assert_impl_all!(Table: Send, Sync);
assert_impl_all!(Compiler: Send);

const PATCHES: u32 = 2_000;
const READERS: usize = 2;
const ADDRESSES: u32 = 8;
const SERVERS: u32 = 50;
const SLICES: usize = 32;
/// Long enough that only a lost wake-up or a dead lock reaches it.
const FOREVER: Duration = Duration::from_secs(600);

/// Every address belongs to one server wholly, though slice by slice.
fn entry(address: u32, server: u32) -> serde_json::Value {
    let owners = vec![format!("s{server}"); SLICES];
    // Every second plan is a list of bounds: one port in 1,024 is nobody's.
    if server.is_multiple_of(2) {
        json!({ "prefix": format!("198.51.{}.7/32", address), "datacenter": "LHR", "slices": { "ports": 2048, "owners": owners } })
    } else {
        let ranges: Vec<_> = (0..SLICES * 2)
            .map(|n| {
                json!({ "ports": format!("{}-{}", n * 1024 + usize::from(n == 0), n * 1024 + 1022),
                "server": format!("s{server}") })
            })
            .collect();
        json!({ "prefix": format!("198.51.{}.7/32", address), "datacenter": "LHR", "ranges": ranges })
    }
}

fn read(mut reader: Reader<Table>, stop: &AtomicBool) -> u64 {
    let mut looks = 0;
    let keys: Vec<[u8; 4]> = (0..ADDRESSES as u8).map(|address| [198, 51, address, 7]).collect();
    while !stop.load(Relaxed) {
        let table = reader.current();
        let mut found = vec![Found::ABSENT; keys.len()];
        table.address_burst(&keys, |key| *key, |_| 0, &mut found);
        for found in found {
            let Address::Sliced(plan) = found.address() else { panic!("{found:?}: an address was lost") };
            let owners: Vec<Option<TargetId>> =
                (0..SLICES as u16).map(|slice| table.port(plan, slice * 2048 + 2)).collect();
            assert!(owners.iter().all(|owner| *owner == owners[0] && owner.is_some()), "two owners in one look");
            assert!(table.targets().get(owners[0].unwrap().0.into()).is_some());
        }
        looks += 1;
    }
    looks
}

#[test]
fn every_look_sees_one_generation() {
    let servers: serde_json::Map<String, serde_json::Value> = (0..SERVERS)
        .map(|n| (format!("s{n}"), json!({ "datacenter": "LHR", "address": format!("10.0.1.{n}") })))
        .collect();
    let document = json!({
        "version": 1, "datacenters": { "LHR": { "forwarders": ["10.0.0.1"] } }, "servers": servers,
        "egress": (0..ADDRESSES).map(|address| entry(address, address)).collect::<Vec<_>>(),
    });
    let mut source = Source::from_slice(document.to_string().as_bytes()).unwrap();
    let viewpoint = Viewpoint { datacenter: "LHR".into(), ipv4: Some([10, 0, 0, 1].into()), ipv6: None };
    let (mut compiler, table) = Compiler::new(&source, &viewpoint).unwrap();
    let size = table.size();
    let (mut publisher, readers) = Publisher::new(Box::new(table), READERS);
    let stop = AtomicBool::new(false);
    let looks = thread::scope(|scope| {
        let readers: Vec<_> = readers.into_iter().map(|reader| scope.spawn(|| read(reader, &stop))).collect();
        let mut reclaims = Vec::new();
        for round in 0..PATCHES {
            let patch = json!({ "set": { "egress": [entry(round * 7 % ADDRESSES, round * 13 % SERVERS)] } });
            let changes = source.apply(&Patch::from_slice(patch.to_string().as_bytes()).unwrap()).unwrap();
            let (table, reclaim) = compiler.patch(&source, &changes).unwrap();
            let epoch = publisher.publish(Box::new(table));
            reclaims.push(reclaim);
            // Sometimes each, sometimes many at once.
            if round % 512 < 256 || round % 16 == 0 {
                publisher.wait(epoch, FOREVER).unwrap();
                reclaims.drain(..).for_each(|reclaim| compiler.reclaim(reclaim));
            }
        }
        stop.store(true, Relaxed);
        readers.into_iter().map(|reader| reader.join().unwrap()).sum::<u64>()
    });
    assert!(looks > 0);
    assert!(publisher.current().size() < size + (256 << 10), "memory that came back was used again");
}
