// SPDX-License-Identifier: MIT OR Apache-2.0
//! The command line's words.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use forwarder::explain::{self, Protocol};

const EXAMPLES: &str = "\
Examples:
  sluice table check table.json                what is wrong with a table, if anything
  sluice reload table.json                     forward by it; nothing is dropped meanwhile
  sluice patch change.json                     change some of it
  sluice shadow table.json                     hold it against live packets first
  sluice rollback                              back to what ran before the last reload
  sluice explain 198.51.100.1:4242             where such a packet goes, and why
  sluice explain [2001:db8::1]:53 --proto udp --table table.json --datacenter LHR
  sluice stats --watch                         counters and rates, each second
  sluice capture --out drops.pcapng --drops any  packets that are dropped, and why
  sluice top                                   a live view
  sluice drain                                 out of service, and forwarding on
  sluice replay --config sluice.toml --in in.pcap --out out.pcap

The daemon's socket is taken from --socket, SLUICE_SOCKET, or is /run/sluice/control.sock.
Exit status: 0 done, 1 failed or refused, 2 wrong usage.";

/// Talks to sluiced, works on tables, replays captures.
#[derive(Debug, Parser)]
#[command(name = "sluice", version, after_help = EXAMPLES, max_term_width = 100)]
pub(crate) struct Cli {
    /// Print one JSON document instead of text
    #[arg(long, global = true)]
    pub(crate) json: bool,

    /// The daemon's control socket
    #[arg(long, global = true, value_name = "PATH")]
    pub(crate) socket: Option<PathBuf>,

    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make the daemon forward by another table; returns when every worker does
    Reload(ReloadArgs),
    /// Change a part of the table that the daemon runs; returns when every worker forwards by it
    Patch(PatchArgs),
    /// Publish a kept earlier generation again, with the patches that it had
    Rollback(RollbackArgs),
    /// The generations that the daemon keeps
    Generations,
    /// Hold another table against live packets before it is published, and see whose fate would be another
    Shadow(ShadowArgs),
    /// What the daemon runs, and whether all is well
    Status {
        /// Exit with status 1 if not all is well
        #[arg(long)]
        exit_code: bool,
    },
    /// Whether the daemon is in service: exit status 0 if it should attract traffic, 1 if not
    Health,
    /// Take the daemon out of service: it is no longer announced, and keeps forwarding
    Drain,
    /// Put the daemon back into service
    Undrain,
    /// The daemon's counters
    Stats {
        /// Repeat each second, with rates
        #[arg(long)]
        watch: bool,
    },
    /// A live view: rates, cores, devices, targets by traffic, drops, latency, reloads
    Top,
    /// Whether this machine is fit to forward: what is wrong, why it matters, the command that mends it
    Doctor(DoctorArgs),
    /// Where a packet would go, and why; by the daemon's table, or offline by --table
    Explain(ExplainArgs),
    /// Write packets to a file as the daemon handles them, each with its fate
    Capture(CaptureArgs),
    /// Run a capture through a worker: no DPDK, no root, no daemon
    Replay(ReplayArgs),
    /// Work on table files
    #[command(subcommand)]
    Table(TableCommand),
    /// Print the completions for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Write the manual pages of sluice and sluiced
    Man {
        /// The folder for man1 and man8, such as /usr/local/share/man
        folder: PathBuf,
    },
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sluice doctor --config sluice.toml
  sluice doctor                                only what matters to any forwarder

Exit status: 0 unless something fails; warnings don't count.")]
pub(crate) struct DoctorArgs {
    /// The forwarder's configuration: its cores, its devices, the memory that it needs
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Look at the sys and proc in this folder, such as a copy of another machine's
    #[arg(long, value_name = "FOLDER", default_value = "/")]
    pub(crate) root: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct ReloadArgs {
    /// The table
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Validate, build and tell what would move, but don't publish
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Take a table whose generation is not greater than the running one, that a guard refuses, or that can't be kept;
    /// the daemon logs it
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sluice generations
  sluice rollback --dry-run                    what would move
  sluice rollback 41")]
pub(crate) struct RollbackArgs {
    /// Its generation; without one, what was accepted before
    #[arg(value_name = "GENERATION")]
    pub(crate) generation: Option<u64>,
    /// Tell what would move, but don't publish
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Go back even if a guard refuses it, or it can't be kept; the daemon logs it
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sluice shadow new.json                       compile it beside what runs; every worker looks at one packet in 64
  sluice shadow --watch                        what was seen, each second
  sluice explain 198.51.100.1:4242             says what the shadow would do, too
  sluice shadow --commit                       publish it
  sluice shadow --discard                      forget it")]
#[command(group(ArgGroup::new("end").args(["file", "commit", "discard", "watch"])))]
pub(crate) struct ShadowArgs {
    /// The table; without one, what was seen so far
    #[arg(value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// Look at one packet in N only
    #[arg(long, value_name = "1/N", requires = "file", value_parser = sample)]
    pub(crate) sample: Option<u64>,
    /// Repeat each second
    #[arg(long)]
    pub(crate) watch: bool,
    /// Publish it; returns when every worker forwards by it
    #[arg(long)]
    pub(crate) commit: bool,
    /// Publish it whatever its generation is, even if a guard refuses it, or it can't be kept; the daemon logs it
    #[arg(long, requires = "commit")]
    pub(crate) force: bool,
    /// Forget it
    #[arg(long)]
    pub(crate) discard: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sluice patch change.json
  echo '{\"ports\": [{\"prefix\": \"198.51.100.1/32\", \"ports\": \"2048-4095\", \"server\": null}]}' | sluice patch -")]
pub(crate) struct PatchArgs {
    /// The patch; - reads it from standard input
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Validate, build and tell what would move, but don't publish
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Apply it even if a guard refuses it, or it can't be kept; the daemon logs it
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sluice explain 198.51.100.1:4242
  sluice explain [2001:db8::1]:443 --proto udp
  sluice explain 198.51.100.1 --proto 47 --table table.json --datacenter LHR
  sluice explain 198.51.100.1:4242 --at 41         who owned it then
  sluice explain --pcap in.pcap --index 7          the seventh packet, as Wireshark counts
  sluice explain --frame $HEX --config sluice.toml")]
#[command(group(ArgGroup::new("what").required(true).args(["destination", "frame", "pcap"])))]
pub(crate) struct ExplainArgs {
    /// Destination; a port where the protocol has one, an IPv6 address before a port in brackets.
    /// For icmp the port is the identifier of an echo reply
    #[arg(value_name = "ADDR:PORT", value_parser = explain::destination)]
    pub(crate) destination: Option<(IpAddr, Option<u16>)>,
    /// tcp, udp, icmp, or an IP protocol number
    #[arg(long, default_value = "tcp", value_name = "PROTOCOL", conflicts_with_all = ["frame", "pcap"])]
    pub(crate) proto: Protocol,
    /// A whole frame in hexadecimal, from its Ethernet header on; colons and spaces between bytes don't matter
    #[arg(long, value_name = "HEX")]
    pub(crate) frame: Option<String>,
    /// A frame of a capture, pcap or pcapng
    #[arg(long, value_name = "FILE")]
    pub(crate) pcap: Option<PathBuf>,
    /// Which one, from 1
    #[arg(long, value_name = "N", default_value = "1", conflicts_with_all = ["destination", "frame"], value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) index: u64,
    /// The device that the frame arrives at; the first one if not given
    #[arg(long, value_name = "NAME", conflicts_with = "destination")]
    pub(crate) device: Option<String>,
    /// Answer by this generation, which the daemon keeps, instead of what it runs
    #[arg(long, value_name = "GENERATION", conflicts_with_all = ["table", "config"])]
    pub(crate) at: Option<u64>,
    /// Answer by this table instead of the daemon's
    #[arg(long, value_name = "FILE", requires = "viewpoint")]
    pub(crate) table: Option<PathBuf>,
    /// Where the forwarder stands that --table is compiled for
    #[arg(long, value_name = "NAME", requires = "table", group = "viewpoint")]
    pub(crate) datacenter: Option<String>,
    /// Answer for a forwarder of this configuration instead of the daemon; by its table if --table gives none
    #[arg(long, value_name = "FILE", group = "viewpoint")]
    pub(crate) config: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sluice capture --out all.pcapng --count 1000
  sluice capture --out mine.pcapng --filter 'host 203.0.113.9 and tcp port 443'
  sluice capture --out drops.pcapng --drops unallocated_port,no_port --sample 1/100
  sluice capture --out - | tshark -r - -T fields -e frame.comment

Ctrl-C ends it. Each packet is there as it came and as it left, with a comment on what became of it.")]
pub(crate) struct CaptureArgs {
    /// Where the packets go, as pcapng; - is standard output
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// Only packets that pass this filter as they arrive; the language is that of tcpdump, pcap-filter(7)
    #[arg(long, value_name = "EXPR")]
    pub(crate) filter: Option<String>,
    /// Only packets that are dropped for one of these reasons; with "any" for all reasons
    #[arg(long, value_name = "REASON", value_delimiter = ',')]
    pub(crate) drops: Vec<String>,
    /// Look at one packet in N only
    #[arg(long, value_name = "1/N", default_value = "1/1", value_parser = sample)]
    pub(crate) sample: u64,
    /// End after so many packets
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) count: Option<u64>,
    /// Keep so many bytes of each frame at most
    #[arg(long, value_name = "BYTES", default_value_t = forwarder::capture::SNAP_LENGTH,
          value_parser = clap::value_parser!(u16).range(96..))]
    pub(crate) snap_length: u16,
}

/// Reads `1/N`.
fn sample(text: &str) -> Result<u64, String> {
    let number = text.strip_prefix("1/").and_then(|number| number.parse().ok()).filter(|number| *number > 0);
    number.ok_or_else(|| "a sample is 1/N, such as 1/64 for one packet in 64".to_owned())
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  sluice replay --config sluice.toml --in in.pcap --out out.pcap --exceptions kernel.pcap")]
pub(crate) struct ReplayArgs {
    /// The forwarder's configuration; workers, eal, control and device addresses are not needed
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// The capture that arrives at the first device, pcap or pcapng
    #[arg(long = "in", value_name = "IN.pcap")]
    pub(crate) input: PathBuf,
    /// Where the transmitted frames go, in order
    #[arg(long = "out", value_name = "OUT.pcap")]
    pub(crate) output: PathBuf,
    /// Use this table instead of the configuration's
    #[arg(long, value_name = "FILE")]
    pub(crate) table: Option<PathBuf>,
    /// Where frames for the kernel go; nowhere if not given
    #[arg(long, value_name = "EXC.pcap")]
    pub(crate) exceptions: Option<PathBuf>,
}

const ANNOUNCE_EXAMPLES: &str = "\
Examples:
  sluice table announce table.json
  sluice table announce table.json --daemon bird > /etc/bird/sluice.conf && birdc configure
  sluice table announce table.json --daemon frr > sluice.frr && vtysh -f sluice.frr
  sluice table announce table.json --daemon bird --underlay 10.0.0.1 --underlay 2001:db8:a::1";

/// Who announces.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum RoutingDaemon {
    /// A prefix a line
    Plain,
    /// Protocols for BIRD 2
    Bird,
    /// Static routes for FRR
    Frr,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TableCommand {
    /// Validate a table: every fault, by its place in the document
    Check {
        /// The table
        file: PathBuf,
    },
    /// What a server owns: addresses and port ranges
    Slices {
        /// The table
        file: PathBuf,
        /// The server's name
        #[arg(long, value_name = "NAME")]
        server: String,
    },
    /// What would move between two tables, in addresses and ports
    Diff {
        /// The table before
        a: PathBuf,
        /// The table after
        b: PathBuf,
        /// The data centre to look from
        #[arg(long, value_name = "NAME")]
        datacenter: String,
        /// Exit with status 1 if anything moves
        #[arg(long)]
        exit_code: bool,
    },
    /// What to announce for a table: the fewest prefixes that hold exactly its addresses
    #[command(after_help = ANNOUNCE_EXAMPLES)]
    Announce {
        /// The table
        file: PathBuf,
        /// For whom to write it: as a list, or as a part of a configuration
        #[arg(long, value_name = "DAEMON", default_value = "plain")]
        daemon: RoutingDaemon,
        /// The interface that has a carrier while a forwarder is in service: readiness.interface
        #[arg(long, value_name = "NAME", default_value = "sluice-ready")]
        interface: String,
        /// This forwarder's own address, to be announced as a host route while it is in service; may be repeated
        #[arg(long, value_name = "ADDRESS")]
        underlay: Vec<IpAddr>,
    },
    /// The RFC 8805 geofeed of a table
    Geofeed {
        /// The table
        file: PathBuf,
    },
}
