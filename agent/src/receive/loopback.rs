// SPDX-License-Identifier: MIT OR Apache-2.0
//! The program asks for routes in the name of `lo`, as the host's own packets do. The kernel answers only if that
//! device may forward; nothing is forwarded by it, and the devices of the underlay need not be routers.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::FileExt;

const SWITCHES: [&str; 2] = ["/proc/sys/net/ipv4/conf/lo/forwarding", "/proc/sys/net/ipv6/conf/lo/forwarding"];

/// Forwarding is on, and will be as it was.
pub(super) struct Loopback(Vec<File>);

impl Loopback {
    pub(super) fn open() -> io::Result<Self> {
        let mut switched = Self(Vec::new());
        for path in SWITCHES {
            let told = |error: io::Error| io::Error::new(error.kind(), format!("{path}: {error}"));
            let mut file = match OpenOptions::new().read(true).write(true).open(path) {
                // A host without IPv6 passes none on.
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                file => file.map_err(told)?,
            };
            let mut value = String::new();
            file.read_to_string(&mut value).map_err(told)?;
            if value.trim() == "0" {
                file.write_all_at(b"1", 0).map_err(told)?;
                switched.0.push(file);
            }
        }
        Ok(switched)
    }
}

impl Drop for Loopback {
    fn drop(&mut self) {
        for file in &self.0 {
            // Whatever thread this is, and in whichever network namespace: the file is of the one that it was opened in.
            let _ = file.write_all_at(b"0", 0);
        }
    }
}
