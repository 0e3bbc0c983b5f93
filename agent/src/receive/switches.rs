// SPDX-License-Identifier: MIT OR Apache-2.0
//! Settings of the kernel (sysctl) that are as they were when this is dropped.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::FileExt;

/// The program asks for routes in the name of `lo`, as the host's own packets do. The kernel answers only if that
/// device may forward; nothing is forwarded by it, and the devices of the underlay need not be routers.
pub(super) const FORWARDING: [&str; 2] = ["ipv4/conf/lo/forwarding", "ipv6/conf/lo/forwarding"];

/// What was there before, where it was something else.
#[derive(Default)]
pub(super) struct Switches(Vec<(File, String)>);

impl Switches {
    /// Sets `/proc/sys/net/…` to `value`. One that is not there stays away: a host without IPv6 needs none of it.
    pub(super) fn set(&mut self, name: &str, value: &str) -> io::Result<()> {
        let path = format!("/proc/sys/net/{name}");
        let told = |error: io::Error| io::Error::new(error.kind(), format!("{path}: {error}"));
        let mut file = match OpenOptions::new().read(true).write(true).open(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            file => file.map_err(told)?,
        };
        let mut before = String::new();
        file.read_to_string(&mut before).map_err(told)?;
        if before.trim() != value {
            file.write_all_at(value.as_bytes(), 0).map_err(told)?;
            self.0.push((file, before));
        }
        Ok(())
    }
}

impl Drop for Switches {
    fn drop(&mut self) {
        for (file, before) in &self.0 {
            // Whatever thread this is, and in whichever network namespace: the file is of the one that it was opened in.
            let _ = file.write_all_at(before.as_bytes(), 0);
        }
    }
}
