// SPDX-License-Identifier: MIT OR Apache-2.0
//! `sluice explain`, by the daemon's table or by one in a file.

use std::fs::File;
use std::io::BufReader;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::process::ExitCode;

use forwarder::control::config::{Config, DEFAULT_FLOW_KEY, Purpose};
use forwarder::control::generations::FIRST_GENERATION;
use forwarder::control::methods;
use forwarder::explain::{self, Explanation, Query, Subject, UNKNOWN_MTU};
use forwarder::io::offload::Offloads;
use forwarder::io::pcap::Reader;
use forwarder::settings::{Device, Dscp, Echo, FragmentLimits, Icmp, Settings, Underlay};
use forwarder::state::ForwardingState;
use forwarder::wire::MacAddr;
use serde_json::{Value, json};
use tables::Source;
use tables::table::Viewpoint;

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
    let asked = Asked::new(args)?;
    let document = if args.table.is_some() || args.config.is_some() {
        json!(Offline::load(args)?.explain(&asked)?)
    } else {
        client()?.call("explain", &asked.params(args.at))?
    };
    if output.json() {
        output.document(&document)?;
    } else {
        output.text(client::read::<Explanation>(document)?)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What is asked about.
enum Asked<'a> {
    Flow(Query),
    Frame(Vec<u8>, Option<&'a str>),
}

impl<'a> Asked<'a> {
    fn new(args: &'a ExplainArgs) -> Result<Self, Failure> {
        if let Some((address, port)) = args.destination {
            return Ok(Self::Flow(Query { address, port, protocol: args.proto }));
        }
        let frame = match (&args.frame, &args.pcap) {
            (Some(frame), _) => explain::read_hex(frame).map_err(Failure::new)?,
            (None, Some(pcap)) => frame_of(pcap, args.index)?,
            (None, None) => unreachable!("clap wants one of them"),
        };
        Ok(Self::Frame(frame, args.device.as_deref()))
    }

    /// The parameters of the daemon's method.
    fn params(&self, at: Option<u64>) -> Value {
        let mut params = match self {
            Self::Flow(query) => methods::explain_params(query),
            Self::Frame(frame, device) => {
                let frame: String = frame.iter().map(|byte| format!("{byte:02x}")).collect();
                json!({ "frame": frame, "device": device })
            }
        };
        if let (Some(params), Some(at)) = (params.as_object_mut(), at) {
            params.insert("at".to_owned(), json!(at));
        }
        params
    }
}

/// The `index`-th frame of a capture, from 1.
fn frame_of(path: &Path, index: u64) -> Result<Vec<u8>, Failure> {
    let unreadable = |error: forwarder::io::pcap::Error| Failure::new(format!("{}: {error}", path.display()));
    let file = File::open(path).map_err(|error| unreadable(error.into()))?;
    let mut reader = Reader::new(BufReader::new(file)).map_err(unreadable)?;
    let mut frame = Vec::new();
    for read in 0..index {
        frame.clear();
        if reader.next(&mut frame).map_err(unreadable)?.is_none() {
            return Err(Failure::new(format!("{} has {read} packets, and none of number {index}", path.display())));
        }
    }
    if frame.len() > explain::FRAME_MAX {
        let len = frame.len();
        return Err(Failure::new(format!(
            "packet {index} of {} has {len} bytes, more than any device takes",
            path.display()
        )));
    }
    Ok(frame)
}

/// A forwarder that does not run.
struct Offline {
    source: Source,
    state: ForwardingState,
    settings: Settings,
    is_configured: bool,
}

impl Offline {
    fn load(args: &ExplainArgs) -> Result<Self, Failure> {
        let config = args.config.as_ref().map(|config| Config::load(config, Purpose::Replay)).transpose();
        let config = config.map_err(|error| Failure::config(&error))?;
        let path = match (&args.table, &config) {
            (Some(table), _) => table,
            (None, Some(config)) => &config.table,
            (None, None) => unreachable!("one of them was asked for"),
        };
        let source = table::read(path)?;
        let (viewpoint, settings) = match (&config, &args.datacenter) {
            (Some(config), _) => (config.viewpoint(), configured(config)),
            (None, datacenter) => {
                let viewpoint = viewpoint(&source, path, datacenter.as_deref().unwrap_or_default())?;
                let settings = unconfigured(&viewpoint);
                (viewpoint, settings)
            }
        };
        let generation = source.generation().unwrap_or(FIRST_GENERATION);
        let state = ForwardingState::build(&source, generation, &viewpoint, &settings);
        let state = state.map_err(|faults| Failure::unsuited(path, &faults))?;
        Ok(Self { source, state, settings, is_configured: config.is_some() })
    }

    fn explain(&self, asked: &Asked<'_>) -> Result<Explanation, Failure> {
        let Self { source, state, settings, is_configured } = self;
        let subject = Subject { state, settings, source };
        match asked {
            Asked::Frame(frame, device) => {
                let device = settings.find_device(*device).map_err(Failure::new)?;
                Ok(explain::explain_frame(subject, frame, device))
            }
            Asked::Flow(query) => {
                // The forwarder's own addresses are those of one machine; without a configuration the answer is for any of
                // the data centre's.
                let mut settings = settings.clone();
                if !is_configured {
                    (settings.underlay.ipv4, settings.underlay.ipv6) = (None, None);
                }
                let subject = Subject { settings: &settings, ..subject };
                explain::explain(subject, *query).map_err(|error| Failure::new(error.to_string()))
            }
        }
    }
}

/// What a configuration means without a daemon: that of a replay.
fn configured(config: &Config) -> Settings {
    let mut settings = config.settings(&[]);
    settings.devices.iter_mut().for_each(|device| device.kernel_path = true);
    settings.unknown_next_hop = Some(MacAddr::default());
    settings
}

/// A forwarder of which nothing is known but its addresses: one device, of no known MTU.
fn unconfigured(viewpoint: &Viewpoint) -> Settings {
    let device = Device {
        name: "device".to_owned(),
        mtu: UNKNOWN_MTU,
        mac: MacAddr::default(),
        next_hop: None,
        vlan: None,
        kernel_path: true,
        gue: true,
        offloads: Offloads::default(),
    };
    Settings {
        workers: 1,
        underlay: Underlay { ipv4: viewpoint.ipv4, ipv6: viewpoint.ipv6, gue_port: 6080 },
        flow_key: DEFAULT_FLOW_KEY,
        dscp: Dscp::Copy,
        icmp: Icmp { echo: Echo::Answer, rate: 1000, source4: None, source6: None },
        devices: vec![device],
        fragments: FragmentLimits::default(),
        unknown_next_hop: Some(MacAddr::default()),
    }
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
