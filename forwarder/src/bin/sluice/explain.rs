// SPDX-License-Identifier: MIT OR Apache-2.0
//! `sluice explain`, by the daemon's table or by one in a file.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::process::ExitCode;

use forwarder::control::generations::FIRST_GENERATION;
use forwarder::control::methods;
use forwarder::explain::{self, Explanation, Query};
use forwarder::settings::Underlay;
use serde_json::json;
use tables::table::Viewpoint;
use tables::{Source, Table};

use crate::args::ExplainArgs;
use crate::client::{self, Client};
use crate::failure::Failure;
use crate::output::Output;
use crate::table;

pub(crate) fn explain(
    client: impl FnOnce() -> Result<Client, Failure>,
    args: &ExplainArgs,
    output: &Output,
) -> Result<ExitCode, Failure> {
    let (address, port) = args.destination;
    let query = Query { address, port, protocol: args.proto };
    let document = match (&args.table, &args.datacenter) {
        (Some(table), Some(datacenter)) => json!(offline(table, datacenter, query)?),
        _ => client()?.call("explain", &methods::explain_params(&query))?,
    };
    if output.json() {
        output.document(&document)?;
    } else {
        output.text(client::read::<Explanation>(document)?)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn offline(path: &Path, datacenter: &str, query: Query) -> Result<Explanation, Failure> {
    let source = table::read(path)?;
    let viewpoint = viewpoint(&source, path, datacenter)?;
    let table = Table::compile(&source, &viewpoint).map_err(|faults| Failure::unsuited(path, &faults))?;
    // The forwarder's own addresses are those of one machine, and this answer is for any of the data centre's.
    let own = Underlay { ipv4: None, ipv6: None, gue_port: 0 };
    let generation = source.generation().unwrap_or(FIRST_GENERATION);
    explain::explain(&table, source.prefix_around(query.address), generation, &own, query)
        .map_err(|error| Failure::new(error.to_string()))
}

/// Any forwarder of `datacenter`, with every address family that one there can have.
fn viewpoint(source: &Source, path: &Path, datacenter: &str) -> Result<Viewpoint, Failure> {
    let names = source.datacenters().iter().map(|datacenter| &*datacenter.name);
    let id = source
        .find_datacenter(datacenter)
        .ok_or_else(|| Failure::new(table::unknown("data centre", datacenter, path, names)))?;
    let forwarders = &source.datacenter(id).forwarders;
    let v4 = |address: &IpAddr| if let IpAddr::V4(address) = address { Some(*address) } else { None };
    let v6 = |address: &IpAddr| if let IpAddr::V6(address) = address { Some(*address) } else { None };
    // Alone in its table, a data centre need not name its forwarders.
    let alone = source.datacenters().len() == 1;
    Ok(Viewpoint {
        datacenter: datacenter.to_owned(),
        ipv4: forwarders.iter().find_map(v4).or(alone.then_some(Ipv4Addr::UNSPECIFIED)),
        ipv6: forwarders.iter().find_map(v6).or(alone.then_some(Ipv6Addr::UNSPECIFIED)),
    })
}
