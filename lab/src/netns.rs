// SPDX-License-Identifier: MIT OR Apache-2.0
//! Network namespaces and the wires between them. They are named as `ip netns` names them, but in a mount namespace that
//! only the lab sees, and go with it.

use std::ffi::OsStr;
use std::net::IpAddr;
use std::process::Command;

use anyhow::Result;

use crate::plan::Wire;
use crate::run::{run, words};

/// A network namespace.
#[derive(Clone, Debug)]
pub(crate) struct Netns {
    pub(crate) name: String,
}

impl Netns {
    /// A new one; loopback is up, and it forwards packets if it is a router.
    pub(crate) fn new(name: &str, router: bool) -> Result<Self> {
        let netns = Self { name: name.to_owned() };
        run(&mut words(&format!("ip netns add {name}")))?;
        netns.ip("link set lo up")?;
        let forward = u8::from(router).to_string();
        // Answers may come by another way than questions go: nobody is to refuse them for that.
        for (setting, value) in [
            ("ipv4.conf.all.rp_filter", "0"),
            ("ipv4.conf.default.rp_filter", "0"),
            ("ipv4.ip_forward", &*forward),
            ("ipv6.conf.all.forwarding", &*forward),
            ("ipv6.conf.all.accept_dad", "0"),
            ("ipv6.conf.default.accept_dad", "0"),
            // All that comes in the lab comes from one place: its errors are not a flood.
            ("ipv4.icmp_ratelimit", "0"),
            ("ipv6.icmp.ratelimit", "0"),
            // A router is known by the address that a packet came to, as usual.
            ("ipv4.icmp_errors_use_inbound_ifaddr", "1"),
        ] {
            netns.set(setting, value)?;
        }
        Ok(netns)
    }

    /// A command that runs in it, and that finds its interfaces in /sys.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]).arg(program);
        command
    }

    /// The same for what has a core of its own elsewhere, and is to come before those that load it here.
    pub(crate) fn first(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = self.command("nice");
        command.args(["--adjustment", "-10"]).arg(program);
        command
    }

    /// Runs a command given by words in it; what it printed.
    pub(crate) fn run(&self, text: &str) -> Result<String> {
        let mut words = text.split_whitespace();
        run(self.command(words.next().unwrap_or_default()).args(words))
    }

    /// What `ip WORDS` prints in it.
    pub(crate) fn ip(&self, words: &str) -> Result<String> {
        run(Command::new("ip").args(["-n", &self.name]).args(words.split_whitespace()))
    }

    /// Writes a setting of the kernel, by its name below `net.`.
    pub(crate) fn set(&self, name: &str, value: &str) -> Result<()> {
        let path = format!("/proc/sys/net/{}", name.replace('.', "/"));
        run(self.command("sh").args(["-c", &format!("echo '{value}' >{path}")])).map(drop)
    }

    /// The sum of some of the kernel's counters, by the names that `nstat` has for them.
    pub(crate) fn counted(&self, names: &[&str]) -> Result<u64> {
        let text = self.run(&format!("nstat --ignore --zeros --json {}", names.join(" ")))?;
        let counters: serde_json::Value = serde_json::from_str(&text)?;
        Ok(names.iter().filter_map(|name| counters["kernel"][name].as_u64()).sum())
    }

    /// A wire to another one: an interface at each end, up, with the addresses of the wire's ends.
    pub(crate) fn wire(&self, other: &Self, names: [&str; 2], wire: Wire) -> Result<()> {
        self.cable(other, names)?;
        for (netns, name, end) in [(self, names[0], 0), (other, names[1], 1)] {
            netns.add_address(name, wire.v4[end].into(), 31)?;
            netns.add_address(name, wire.v6[end].into(), 127)?;
        }
        Ok(())
    }

    /// The same without addresses.
    pub(crate) fn cable(&self, other: &Self, [one, two]: [&str; 2]) -> Result<()> {
        self.ip(&format!("link add {one} type veth peer name {two} netns {}", other.name))?;
        self.ip(&format!("link set {one} up"))?;
        other.ip(&format!("link set {two} up")).map(drop)
    }

    pub(crate) fn add_address(&self, interface: &str, address: IpAddr, length: u8) -> Result<()> {
        let nodad = if address.is_ipv6() { "nodad" } else { "" };
        self.ip(&format!("address add {address}/{length} dev {interface} {nodad}")).map(drop)
    }

    /// The default routes of both families.
    pub(crate) fn default_routes(&self, wire: Wire, interface: &str) -> Result<()> {
        self.ip(&format!("route add default via {} dev {interface}", wire.v4[0]))?;
        self.ip(&format!("-6 route add default via {} dev {interface}", wire.v6[0])).map(drop)
    }
}
