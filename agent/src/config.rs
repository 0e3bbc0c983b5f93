// SPDX-License-Identifier: MIT OR Apache-2.0
//! The agent's configuration file: TOML, read and checked as a whole.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use forwarder::control::config::common::{self, DEFAULT_GUE_PORT};
use forwarder::control::config::section::Section;
use forwarder::control::config::{ConfigError, Control, Problem, values};
use forwarder::control::log::Log;
use tables::Prefix;
use tables::prefix::PrefixError;

/// The control socket's path unless the configuration says otherwise.
pub const DEFAULT_SOCKET: &str = "/run/sluice/agent.sock";
/// Where the shared addresses are put unless the configuration says otherwise.
const DEFAULT_DEVICE: &str = "lo";
/// How long ports that were gained wait unless the configuration says otherwise.
const DEFAULT_SETTLE: Duration = Duration::from_secs(2);
/// The longest that they may, in seconds.
const MAX_SETTLE: i64 = 3600;
/// The folder of control groups for `exec` below the mount of cgroup2, unless the configuration names another.
pub const DEFAULT_CGROUP: &str = "sluice";

/// A whole configuration; paths are resolved, every value is valid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The file it was read from.
    pub file: PathBuf,
    /// The server's name in the table.
    pub server: String,
    /// The table, which is followed.
    pub table: PathBuf,
    /// Where GUE arrives and what is sent from shared addresses leaves; at least one.
    pub devices: Vec<String>,
    /// UDP port of GUE.
    pub gue_port: u16,
    /// How GUE is taken in.
    pub receive: Receive,
    /// Where servers send from that pass something on, besides their addresses in the table.
    pub peers: Vec<Prefix>,
    /// The device that has the shared addresses.
    pub address_device: String,
    /// What becomes of the range of ports that the kernel chooses from.
    pub ports: PortsMode,
    /// How long ports that were gained wait until connections begin from them.
    pub settle: Duration,
    /// What becomes of packets that leave from what this server does not own.
    pub guard: GuardAction,
    /// The folder of control groups for `exec`; none for [`DEFAULT_CGROUP`] wherever cgroup2 is mounted.
    pub cgroup: Option<PathBuf>,
    /// The control socket.
    pub control: Control,
    /// Where Prometheus may ask.
    pub metrics: Option<SocketAddr>,
    /// The log.
    pub log: Log,
}

/// The table `receive` of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Receive {
    /// Who takes the outer headers off.
    pub decapsulation: Decapsulation,
    /// How the XDP program is attached.
    pub xdp: XdpMode,
}

/// Who takes the outer headers off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Decapsulation {
    /// The kernel's fou where it has it, else the XDP program.
    #[default]
    Auto,
    /// The kernel's fou.
    Fou,
    /// The XDP program.
    Ebpf,
}

/// How the XDP program is attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum XdpMode {
    /// In the driver where that can, else behind it.
    #[default]
    Auto,
    /// In the driver.
    Native,
    /// Behind the driver, on packets that have a socket buffer.
    Generic,
}

/// What becomes of `ip_local_port_range` and `ip_local_reserved_ports`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PortsMode {
    /// They become what this server owns.
    #[default]
    Set,
    /// They stay, and a warning says where they differ from what this server owns.
    Check,
    /// They stay.
    Leave,
}

/// What becomes of packets that leave from what this server does not own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum GuardAction {
    /// They are dropped, counted and told.
    #[default]
    Drop,
    /// They are counted and told.
    Count,
}

impl GuardAction {
    /// As in the file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Drop => "drop",
            Self::Count => "count",
        }
    }
}

impl Config {
    /// Reads a configuration file.
    pub fn load(file: &Path) -> Result<Self, ConfigError> {
        match std::fs::read(file) {
            Ok(bytes) => Self::parse(&bytes, file),
            Err(error) => Err(ConfigError::Read { file: file.to_owned(), error }),
        }
    }

    /// Reads the content of the configuration file `file`, to whose directory relative paths refer.
    pub fn parse(content: &[u8], file: &Path) -> Result<Self, ConfigError> {
        let read = common::document(content, |section| top(section, file));
        read.map_err(|problems: Vec<Problem>| ConfigError::Content { file: file.to_owned(), problems })
    }
}

fn top(mut top: Section<'_>, file: &Path) -> Option<Config> {
    let directory = file.parent().unwrap_or(Path::new(""));
    let server = top.text("server");
    if !top.has("server") {
        top.missing("server", "give this server's name in the table");
    }
    let table = top.text("table").map(|path| directory.join(path));
    if !top.has("table") {
        top.missing("table", "name the table to follow");
    }
    let (devices, gue_port) = underlay(top.section("underlay"));
    let (receive, peers) = receive(top.section("receive"));
    let address_device = addresses(top.section("addresses"));
    let (ports, settle) = ports(top.section("ports"));
    let guard = guard(top.section("guard"));
    let cgroup = exec(top.section("exec"), directory);
    let control = common::control(top.section("control"), directory, DEFAULT_SOCKET);
    let metrics = metrics(top.section("metrics"));
    let log = common::log(top.section("log"));
    top.finish();
    Some(Config {
        file: file.to_owned(),
        server: server?,
        table: table?,
        devices,
        gue_port,
        receive,
        peers,
        address_device,
        ports,
        settle,
        guard,
        cgroup,
        control,
        metrics,
        log,
    })
}

fn underlay(mut section: Section<'_>) -> (Vec<String>, u16) {
    let devices = section.texts("devices");
    match &devices {
        None if !section.has("devices") => {
            section.missing("devices", "name the devices that GUE arrives at, such as devices = [\"eth0\"]");
        }
        Some(devices) if devices.is_empty() => {
            section.complain("devices", "name at least one device, such as devices = [\"eth0\"]");
        }
        _ => {}
    }
    let devices = devices.unwrap_or_default();
    for (index, device) in devices.iter().enumerate() {
        if let Err(error) = values::interface(device) {
            section.complain("devices", error);
        } else if devices.iter().take(index).any(|other| other == device) {
            section.complain("devices", format!("names {device} twice"));
        }
    }
    let gue_port = section.integer("gue_port", 1..=65_535).unwrap_or(DEFAULT_GUE_PORT);
    section.finish();
    (devices, gue_port)
}

fn receive(mut section: Section<'_>) -> (Receive, Vec<Prefix>) {
    use Decapsulation::{Auto, Ebpf, Fou};
    let decapsulation = choice(&mut section, "decapsulation", &[("auto", Auto), ("fou", Fou), ("ebpf", Ebpf)]);
    let modes = [("auto", XdpMode::Auto), ("native", XdpMode::Native), ("generic", XdpMode::Generic)];
    let xdp = choice(&mut section, "xdp", &modes);
    let peers = prefixes(&mut section, "peers");
    section.finish();
    (Receive { decapsulation, xdp }, peers)
}

fn prefixes(section: &mut Section<'_>, key: &'static str) -> Vec<Prefix> {
    let texts = section.texts(key).unwrap_or_default();
    let read = |text: String| text.parse().map_err(|error: PrefixError| section.complain(key, error.to_string())).ok();
    texts.into_iter().filter_map(read).collect()
}

fn addresses(mut section: Section<'_>) -> String {
    let device = section.parse("device", "an interface name", values::interface);
    section.finish();
    device.unwrap_or_else(|| DEFAULT_DEVICE.to_owned())
}

fn ports(mut section: Section<'_>) -> (PortsMode, Duration) {
    let modes = [("set", PortsMode::Set), ("check", PortsMode::Check), ("leave", PortsMode::Leave)];
    let mode = choice(&mut section, "range", &modes);
    let settle = section.integer("settle", 0..=MAX_SETTLE).map_or(DEFAULT_SETTLE, Duration::from_secs);
    section.finish();
    (mode, settle)
}

fn guard(mut section: Section<'_>) -> GuardAction {
    let action = choice(&mut section, "action", &[("drop", GuardAction::Drop), ("count", GuardAction::Count)]);
    section.finish();
    action
}

fn exec(mut section: Section<'_>, directory: &Path) -> Option<PathBuf> {
    let cgroup = section.text("cgroup").map(|path| directory.join(path));
    section.finish();
    cgroup
}

fn metrics(mut section: Section<'_>) -> Option<SocketAddr> {
    let listen = section.parse("listen", "ADDRESS:PORT", values::listen);
    section.finish();
    listen
}

/// The value whose word stands under `key`; the default without one.
fn choice<T: Copy + Default>(section: &mut Section<'_>, key: &'static str, words: &[(&str, T)]) -> T {
    let all = words.iter().map(|(word, _)| format!("{word:?}")).collect::<Vec<_>>().join(" or ");
    let find = |text: &str| match words.iter().find(|(word, _)| *word == text) {
        Some((_, value)) => Ok(*value),
        None => Err(format!("{text:?} is not {all}")),
    };
    section.parse(key, &all, find).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: &str = "server = \"lhr-1\"\ntable = \"table.json\"\n[underlay]\ndevices = [\"eth0\"]\n";

    fn read(text: &str) -> Result<Config, Vec<String>> {
        Config::parse(text.as_bytes(), Path::new("/etc/sluice/agent.toml")).map_err(|error| error.lines())
    }

    #[test]
    fn what_is_left_out_has_defaults() {
        let config = read(LEAST).unwrap();
        assert_eq!((config.server.as_str(), config.table.as_path()), ("lhr-1", Path::new("/etc/sluice/table.json")));
        assert_eq!((config.devices.as_slice(), config.gue_port), (["eth0".to_owned()].as_slice(), 6080));
        assert_eq!((config.receive, config.address_device.as_str()), (Receive::default(), "lo"));
        assert_eq!((config.ports, config.guard, config.cgroup), (PortsMode::Set, GuardAction::Drop, None));
        assert_eq!(config.settle, Duration::from_secs(2));
        assert_eq!((config.control.socket.as_path(), config.metrics), (Path::new(DEFAULT_SOCKET), None));
    }

    #[test]
    fn every_key_is_read() {
        let more = "gue_port = 6081\n[receive]\ndecapsulation = \"ebpf\"\nxdp = \"generic\"\n\
                    peers = [\"10.9.0.0/16\", \"2001:db8:a::/48\"]\n[addresses]\ndevice = \"d0\"\n\
                    [ports]\nrange = \"check\"\nsettle = 0\n[guard]\naction = \"count\"\n[exec]\ncgroup = \"/sys/fs/cgroup/x\"\n\
                    [control]\nsocket = \"a.sock\"\nchange_uids = [7]\n[metrics]\nlisten = \"[::1]:9466\"\n\
                    [log]\nformat = \"json\"\n";
        let config = read(&[LEAST, more].concat()).unwrap();
        assert_eq!((config.gue_port, config.address_device.as_str()), (6081, "d0"));
        let receive = Receive { decapsulation: Decapsulation::Ebpf, xdp: XdpMode::Generic };
        assert_eq!((config.receive, config.ports, config.guard), (receive, PortsMode::Check, GuardAction::Count));
        assert_eq!(config.settle, Duration::ZERO);
        assert_eq!(config.peers, ["10.9.0.0/16", "2001:db8:a::/48"].map(|text| text.parse().unwrap()));
        assert_eq!(config.cgroup.as_deref(), Some(Path::new("/sys/fs/cgroup/x")));
        assert_eq!(config.control.socket, Path::new("/etc/sluice/a.sock"));
        assert_eq!((config.control.change_uids, config.metrics), (vec![7], "[::1]:9466".parse().ok()));
    }

    #[test]
    fn every_problem_is_told_with_its_line() {
        let text = "sever = \"lhr-1\"\ntable = \"\"\n[underlay]\ndevices = [\"eth0\", \"eth0\"]\n[receive]\nxdp = \"fast\"\n\
             peers = [\"10.9.0.0\"]\n";
        assert_eq!(
            read(text).unwrap_err(),
            [
                "/etc/sluice/agent.toml:1: sever: unknown key; the nearest known one is server",
                "/etc/sluice/agent.toml:2: table: is empty",
                "/etc/sluice/agent.toml:4: underlay.devices: names eth0 twice",
                "/etc/sluice/agent.toml:6: receive.xdp: \"fast\" is not \"auto\" or \"native\" or \"generic\"",
                "/etc/sluice/agent.toml:7: receive.peers: a prefix needs a length, such as 10.9.0.0/32",
                "/etc/sluice/agent.toml:1: server: missing; give this server's name in the table",
            ]
        );
        let empty = read("").unwrap_err();
        assert_eq!(empty.len(), 3, "{empty:?}");
    }
}
