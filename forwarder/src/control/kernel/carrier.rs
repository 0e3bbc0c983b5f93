// SPDX-License-Identifier: MIT OR Apache-2.0
//! The carrier of an open TAP interface.
//!
//! By rtnetlink it takes CAP_NET_ADMIN, which the daemon has given up by the time that a link is lost. Whoever holds the interface
//! needs no right.

#![allow(unsafe_code, reason = "the one call of the tun driver that no crate wraps")]

use std::ffi::c_int;
use std::io;
use std::os::fd::AsFd;

use rustix::ioctl::{Opcode, Setter, ioctl, opcode};

/// `TUNSETCARRIER`, since Linux 5.0.
const TUNSETCARRIER: Opcode = opcode::write::<c_int>(b'T', 226);

/// Gives the interface a carrier, or takes it away: without one the kernel sends nothing there, and routing daemons hear at once.
pub(super) fn set(tap: impl AsFd, carrier: bool) -> io::Result<()> {
    // SAFETY: the number is the driver's, which reads an `int`.
    let request = unsafe { Setter::<TUNSETCARRIER, c_int>::new(carrier.into()) };
    // SAFETY: the request reads its own `int` and writes nothing; a file that is no TAP interface refuses the number.
    unsafe { ioctl(tap, request) }.map_err(Into::into)
}
