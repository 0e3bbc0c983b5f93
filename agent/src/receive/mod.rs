// SPDX-License-Identifier: MIT OR Apache-2.0
//! Takes in the GUE that this server gets: an XDP program on each device of the underlay, and what it has to be told.
//!
//! The program decides by itself; nothing here is on a packet's way. `bpf/receive.bpf.c` is the start of it.

mod attach;
mod counters;
mod follower;
mod fou;
mod surroundings;
mod switches;

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;
use std::time::Duration;

use aya::maps::{Map, MapData, MapError, PerCpuArray};
use aya::programs::{ProgramError, TestRun, TestRunOptions, Xdp};
use aya::{Ebpf, EbpfError, EbpfLoader};

pub use self::attach::{AttachError, Attached};
pub use self::counters::{Figures, ReceiveCounters};
use self::follower::{AddressMaps, Follower};
use self::fou::Fou;
use self::surroundings::{Device, Surroundings};
use self::switches::{FORWARDING, Switches};
use crate::config::{self, Decapsulation};
use crate::maps::{self, Conversations, ViewMap};
use crate::view::View;

static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/receive.o"));
const PROGRAM: &str = "receive";

/// Why nothing is received.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not one of this host's, or this network namespace's.
    #[error("underlay.devices: there is no device {0}; `ip link` shows those that there are")]
    NoDevice(String),
    /// The kernel refuses the program or its maps.
    #[error(
        "the kernel does not take the program that receives: {0}; it needs Linux 6.1 and root, or CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON"
    )]
    Load(#[from] EbpfError),
    /// The same, later.
    #[error("the kernel does not take the program that receives: {0}")]
    Program(#[from] ProgramError),
    /// A device refuses it.
    #[error(transparent)]
    Attach(#[from] AttachError),
    /// It does not take the view.
    #[error(transparent)]
    View(#[from] maps::Error),
    /// A map is not as it was compiled, or can't be read.
    #[error("cannot use the map {name} of the program that receives: {error}")]
    Map {
        /// Its name.
        name: &'static str,
        /// What is wrong.
        error: MapError,
    },
    /// The kernel does not tell of the host.
    #[error("cannot learn of devices and addresses: {0}")]
    Surroundings(io::Error),
    /// The routes can't be asked.
    #[error("cannot let the program look up routes: {0}")]
    Routes(io::Error),
    /// The kernel does not take the headers off.
    #[error("the kernel's fou does not work here: {0}; set receive.decapsulation = \"ebpf\"")]
    Fou(io::Error),
}

/// The receiver. When it is dropped, its programs are gone and the host is as it was.
pub struct Receive {
    devices: Vec<Device>,
    /// Goes first: nothing is to come to it that the program has not seen.
    fou: Result<Fou, String>,
    object: Ebpf,
    view: ViewMap,
    figures: PerCpuArray<MapData, [u8; 16]>,
    elsewhere: Conversations,
    follower: Follower,
    attached: Vec<Attached>,
    _forwarding: Switches,
}

impl Receive {
    /// Receives on `devices`, UDP port `gue_port`, by `view`: from the first packet on.
    ///
    /// # Errors
    ///
    /// The first thing that is refused; then nothing is attached.
    pub fn start(devices: &[String], gue_port: u16, how: config::Receive, view: &View) -> Result<Self, Error> {
        let devices = find(devices)?;
        let mut object = EbpfLoader::new().override_global("gue_port", &gue_port.to_be(), true).load(OBJECT)?;
        let mut view_map = ViewMap::take(&mut object)?;
        view_map.publish(view)?;
        let figures = map(&mut object, "figures")?;
        let elsewhere = map(&mut object, "elsewhere")?;
        let maps = AddressMaps { local: map(&mut object, "local_addresses")?, own: map(&mut object, "own_addresses")? };
        let indices = devices.iter().map(|device| device.index).collect();
        let follower = Follower::start(indices, maps, targets(view)).map_err(Error::Surroundings)?;
        let mut forwarding = Switches::default();
        FORWARDING.iter().try_for_each(|name| forwarding.set(name, "1")).map_err(Error::Routes)?;
        let program = program(&mut object)?;
        program.load()?;
        let attached =
            devices.iter().map(|device| attach::attach(program, device, how.xdp)).collect::<Result<_, _>>()?;
        let fou = decapsulator(&devices, gue_port, how.decapsulation)?;
        if let Ok(fou) = &fou {
            follower.leave_to_fou(fou.addresses());
        }
        Ok(Self {
            devices,
            object,
            view: view_map,
            figures,
            elsewhere,
            follower,
            attached,
            fou,
            _forwarding: forwarding,
        })
    }

    /// Goes by another view, for each packet that begins after this.
    ///
    /// # Errors
    ///
    /// The kernel does not take it, and the one before stays.
    pub fn publish(&mut self, view: &View) -> Result<(), Error> {
        self.view.publish(view)?;
        self.follower.publish(targets(view));
        Ok(())
    }

    /// What became of packets so far.
    ///
    /// # Errors
    ///
    /// The kernel does not tell.
    pub fn counters(&self) -> Result<ReceiveCounters, Error> {
        ReceiveCounters::read(&self.figures).map_err(|error| Error::Map { name: "figures", error })
    }

    /// Whether its devices are still those of these names: programs hang on a device, and go with it.
    pub fn has_its_devices(&self) -> bool {
        let names: Vec<String> = self.devices.iter().map(|device| device.name.clone()).collect();
        let indices = |devices: &[Device]| devices.iter().map(|device| device.index).collect::<Vec<_>>();
        match find(&names) {
            Ok(now) => indices(&now) == indices(&self.devices),
            Err(Error::NoDevice(_)) => false,
            // The kernel was busy, which says nothing of a device.
            Err(_) => true,
        }
    }

    /// Conversations of previous owners that something was passed on of, lately.
    pub fn elsewhere(&self) -> &Conversations {
        &self.elsewhere
    }

    /// How it is attached, device by device.
    pub fn attached(&self) -> &[Attached] {
        &self.attached
    }

    /// Why the program takes the outer headers off; none where the kernel's fou does.
    pub fn why_not_fou(&self) -> Option<&str> {
        self.fou.as_ref().err().map(String::as_str)
    }

    /// What the program makes of a frame, without its going anywhere: it is counted, and sockets, routes and neighbours
    /// are asked, as for one that came. `repeat` times, for the time that it takes.
    ///
    /// # Errors
    ///
    /// Such a frame can't be tried: it is shorter than an Ethernet header, or longer than the kernel takes.
    pub fn try_frame(&mut self, frame: &[u8], repeat: u32) -> Result<Tried, Error> {
        let mut out = vec![0; frame.len() + 256];
        let mut options = TestRunOptions::default();
        (options.data_in, options.data_out, options.repeat) = (Some(frame), Some(out.as_mut_slice()), repeat);
        let result = program(&mut self.object)?.test_run(options)?;
        out.truncate(result.data_size_out as usize);
        Ok(Tried { action: Action::from(result.return_value), frame: out, each: result.duration })
    }
}

/// What the program does with a frame.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Action {
    /// It is gone.
    Drop,
    /// Up to the stack.
    Pass,
    /// Out by the device that it came by.
    SendBack,
    /// Out by another.
    Redirect,
}

impl From<u32> for Action {
    fn from(returned: u32) -> Self {
        match returned {
            2 => Self::Pass,
            3 => Self::SendBack,
            4 => Self::Redirect,
            _ => Self::Drop,
        }
    }
}

/// What came of [`Receive::try_frame`].
#[derive(Clone, Debug)]
pub struct Tried {
    /// What is done with it.
    pub action: Action,
    /// What has become of it.
    pub frame: Vec<u8>,
    /// How long one took.
    pub each: Duration,
}

fn find(names: &[String]) -> Result<Vec<Device>, Error> {
    let all = Surroundings::open().and_then(|mut host| host.devices()).map_err(Error::Surroundings)?;
    let find = |name: &String| all.iter().find(|device| device.name == *name).cloned();
    names.iter().map(|name| find(name).ok_or_else(|| Error::NoDevice(name.clone()))).collect()
}

/// An error, in words, is why the program does it.
fn decapsulator(devices: &[Device], gue_port: u16, how: Decapsulation) -> Result<Result<Fou, String>, Error> {
    match how {
        Decapsulation::Ebpf => Ok(Err("receive.decapsulation says so".to_owned())),
        Decapsulation::Fou => Fou::start(devices, gue_port).map(Ok).map_err(Error::Fou),
        Decapsulation::Auto => Ok(Fou::start(devices, gue_port).map_err(|error| error.to_string())),
    }
}

fn program(object: &mut Ebpf) -> Result<&mut Xdp, Error> {
    let program = object.program_mut(PROGRAM).ok_or(ProgramError::UnexpectedProgramType)?;
    Ok(program.try_into()?)
}

fn map<M: TryFrom<Map, Error = MapError>>(object: &mut Ebpf, name: &'static str) -> Result<M, Error> {
    let wrong = |error| Error::Map { name, error };
    object.take_map(name).ok_or(wrong(MapError::KeyNotFound))?.try_into().map_err(wrong)
}

/// Whoever a packet may be passed on to by the table.
fn targets(view: &View) -> Vec<IpAddr> {
    let keepers = view.held.iter().flat_map(|held| held.runs.iter().map(|run| run.keeper).chain([held.portless]));
    keepers.filter_map(|keeper| keeper.other).collect::<BTreeSet<_>>().into_iter().collect()
}
