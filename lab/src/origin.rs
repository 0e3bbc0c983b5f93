// SPDX-License-Identifier: MIT OR Apache-2.0
//! The origin: what servers download from and talk to. nginx (HTTP and HTTPS), dnsmasq (the name that all of it has), iperf3,
//! and a service for datagrams.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::netns::Netns;
use crate::plan::{DOMAIN, ORIGIN4, ORIGIN6};
use crate::run::{FOLDER, daemon, run, wait_for, words};

/// Files to download, and the bytes of the smallest; each is as much longer than the one before.
pub(crate) const FILES: u64 = 48;
const STEP: u64 = 2048;
/// One more, by its number, and its bytes.
pub(crate) const LARGE: (u64, u64) = (FILES + 1, 4 << 20);
/// The folder from which downloads take their time, and their bytes a second.
pub(crate) const SLOWLY: &str = "slowly";
const RATE: u64 = 400 << 10;
/// The port of the service that answers datagrams.
pub(crate) const UDP: u16 = 7007;
/// A port where nobody listens.
pub(crate) const CLOSED: u16 = 9;

/// The origin, which serves.
pub(crate) struct Origin {
    netns: Netns,
}

fn folder() -> PathBuf {
    Path::new(FOLDER).join("origin")
}

/// Where the files are that it serves.
fn files() -> PathBuf {
    folder().join("files")
}

/// The certificate that its clients trust.
pub(crate) fn certificate() -> PathBuf {
    folder().join("certificate.pem")
}

/// The name of a file by its number from 1.
pub(crate) fn file(number: u64) -> String {
    format!("{number}.bin")
}

/// The large file.
pub(crate) fn large() -> PathBuf {
    files().join(file(LARGE.0))
}

/// Checksums of its files as `sha256sum` writes them: sum, two spaces, name.
pub(crate) fn checksums() -> Result<String> {
    run(words("sha256sum").current_dir(files()).args((1..=FILES + 1).map(file)))
}

/// An address and a port as socat has them, behind `TCP` or `UDP`.
pub(crate) fn target(address: IpAddr, port: u16) -> String {
    match address {
        IpAddr::V4(address) => format!("4:{address}:{port}"),
        IpAddr::V6(address) => format!("6:[{address}]:{port}"),
    }
}

impl Origin {
    /// Starts all of its daemons and waits until they serve. They run as long as the lab does.
    pub(crate) fn start(netns: &Netns) -> Result<Self> {
        fs::create_dir_all(files())?;
        for (number, size) in (1..=FILES).map(|number| (number, number * STEP)).chain([LARGE]) {
            let mut dd = words("dd status=none if=/dev/urandom count=1 iflag=fullblock");
            run(dd.arg(format!("bs={size}")).arg(format!("of={}", files().join(file(number)).display())))?;
        }
        make_certificate()?;
        // Whoever asks for a name, in the lab and in its shell, asks this DNS.
        let resolver = folder().join("resolv.conf");
        fs::write(&resolver, format!("nameserver {ORIGIN4}\noptions timeout:1 attempts:5\n"))?;
        run(words("mount --bind").arg(&resolver).arg("/etc/resolv.conf"))?;
        for (name, mut command) in daemons(netns)? {
            daemon(&mut command, &format!("origin/{name}.log"))?;
        }
        let ask = format!("curl --silent --fail --max-time 5 --output /dev/null http://{DOMAIN}/{}", file(1));
        wait_for("the origin serves", || netns.run(&ask).is_ok())?;
        Ok(Self { netns: netns.clone() })
    }

    /// What was asked for so far.
    pub(crate) fn requests(&self) -> Result<Vec<Request>> {
        // nginx writes a line when a request has ended, which the client may know a moment earlier.
        std::thread::sleep(Duration::from_millis(200));
        let text = fs::read_to_string(folder().join("access.log")).context("the origin's log")?;
        Ok(text.lines().filter_map(Request::read).collect())
    }

    /// Forgets what it has learnt of paths.
    pub(crate) fn forget_paths(&self) -> Result<()> {
        self.netns.ip("route flush cache")?;
        self.netns.ip("-6 route flush cache").map(drop)
    }

    /// What it has learnt of the path to an address: its MTU.
    pub(crate) fn path_mtu(&self, to: IpAddr) -> Result<Option<u32>> {
        let text = self.netns.ip(&format!("route get {to}"))?;
        let mut words = text.split_whitespace().skip_while(|word| *word != "mtu");
        Ok(words.nth(1).and_then(|word| word.parse().ok()))
    }
}

/// A line of the origin's log: who says that it asked, from where, for what, and what it got.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) server: String,
    pub(crate) address: IpAddr,
    pub(crate) port: u16,
    pub(crate) status: u16,
}

impl Request {
    fn read(line: &str) -> Option<Self> {
        let mut words = line.split_whitespace();
        Some(Self {
            server: words.next()?.to_owned(),
            address: words.next()?.parse().ok()?,
            port: words.next()?.parse().ok()?,
            status: words.next()?.parse().ok()?,
        })
    }
}

fn make_certificate() -> Result<()> {
    let mut openssl = words("openssl req -x509 -nodes -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -days 2");
    openssl.args(["-subj", &format!("/CN={DOMAIN}"), "-addext", &format!("subjectAltName=DNS:{DOMAIN}")]);
    run(openssl.arg("-keyout").arg(folder().join("key.pem")).arg("-out").arg(certificate())).map(drop)
}

/// Their names, and what starts them.
fn daemons(netns: &Netns) -> Result<Vec<(&'static str, Command)>> {
    let config = folder().join("nginx.conf");
    fs::write(&config, nginx()).context("nginx' configuration")?;
    let [mut nginx, mut dnsmasq, mut iperf3] = ["nginx", "dnsmasq", "iperf3"].map(|program| netns.command(program));
    nginx.arg("-c").arg(config);
    dnsmasq.args(["--keep-in-foreground", "--user=root", "--log-facility=-", "--pid-file="]);
    dnsmasq.args(["--conf-file=/dev/null", "--no-resolv", "--no-hosts"]);
    dnsmasq.arg(format!("--address=/{DOMAIN}/{ORIGIN4}")).arg(format!("--address=/{DOMAIN}/{ORIGIN6}"));
    iperf3.arg("--server");
    let mut answer = netns.command(std::env::current_exe()?);
    answer.arg("--answer");
    Ok(vec![("nginx", nginx), ("dnsmasq", dnsmasq), ("iperf3", iperf3), ("answer", answer)])
}

fn nginx() -> String {
    let folder = folder().display().to_string();
    format!(
        r#"daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/nginx.error;
worker_rlimit_nofile 8192;
events {{ worker_connections 4096; }}
http {{
    log_format who '$http_x_server $remote_addr $remote_port $status';
    access_log {folder}/access.log who;
    client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
    uwsgi_temp_path {folder}; scgi_temp_path {folder};
    server {{
        listen 80 backlog=4096; listen [::]:80 backlog=4096;
        listen 443 ssl backlog=4096; listen [::]:443 ssl backlog=4096;
        ssl_certificate {folder}/certificate.pem; ssl_certificate_key {folder}/key.pem;
        root {folder}/files;
        location /{SLOWLY}/ {{
            alias {folder}/files/;
            # By the sender: a client that is behind would take all that has come at once.
            limit_rate {RATE};
        }}
    }}
}}
"#
    )
}
