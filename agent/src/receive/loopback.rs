// SPDX-License-Identifier: MIT OR Apache-2.0
//! The program asks for routes in the name of `lo`, as the host's own packets do. The kernel answers only if that
//! device may forward; nothing is forwarded by it, and the devices of the underlay need not be routers.

use std::fs;
use std::io::{self, ErrorKind};

const SWITCHES: [&str; 2] = ["/proc/sys/net/ipv4/conf/lo/forwarding", "/proc/sys/net/ipv6/conf/lo/forwarding"];

/// Forwarding is on, and will be as it was.
pub(super) struct Loopback(Vec<&'static str>);

impl Loopback {
    pub(super) fn open() -> io::Result<Self> {
        let mut switched = Self(Vec::new());
        for path in SWITCHES {
            match fs::read_to_string(path) {
                Ok(value) if value.trim() == "0" => {
                    let told =
                        |error: io::Error| io::Error::new(error.kind(), format!("{path}: {error}; write 1 to it"));
                    fs::write(path, "1").map_err(told)?;
                    switched.0.push(path);
                }
                Ok(_) => {}
                // A host without IPv6 passes none on.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(io::Error::new(error.kind(), format!("{path}: {error}"))),
            }
        }
        Ok(switched)
    }
}

impl Drop for Loopback {
    fn drop(&mut self) {
        for path in &self.0 {
            let _ = fs::write(path, "0");
        }
    }
}
