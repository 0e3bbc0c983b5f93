// SPDX-License-Identifier: MIT OR Apache-2.0
//! A table document of any bytes: refused with faults, or compiled and asked.
#![no_main]

use std::net::IpAddr;

use fuzz::config;
use libfuzzer_sys::fuzz_target;
use tables::Source;
use tables::table::{Address, Table};

fuzz_target!(|document: &[u8]| {
    let source = match Source::from_slice(document) {
        Ok(source) => source,
        Err(faults) => return assert!(!faults.0.is_empty(), "refused without a reason"),
    };
    let table = match Table::compile(&source, &config().viewpoint()) {
        Ok(table) => table,
        Err(faults) => return assert!(!faults.0.is_empty(), "refused without a reason"),
    };
    for address in ["198.51.100.1", "198.51.100.2", "255.255.255.255", "2001:db8:e::7", "::"] {
        let address: IpAddr = address.parse().expect("an address");
        let found = table.address(address);
        assert_eq!(source.prefix_around(address).is_some(), found != Address::Absent, "{address}");
        if let Address::Sliced(plan) = found {
            let owner = table.port(plan, 2048);
            let (first, last) = table.run_around(plan, 2048);
            assert!([first, last].iter().all(|&port| table.port(plan, port) == owner), "{address}: {first}-{last}");
        }
    }
});
