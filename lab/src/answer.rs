// SPDX-License-Identifier: MIT OR Apache-2.0
//! The origin's service for datagrams: one that names a number is answered by as many bytes of the large file.

use std::fs;
use std::net::{Ipv6Addr, UdpSocket};

use anyhow::{Context, Result};

use crate::origin::{UDP, large};

/// Serves until the process ends, by IPv4 and IPv6.
///
/// # Errors
/// It can't begin. An answer that can't be sent is none.
pub(crate) fn serve() -> Result<()> {
    let bytes = fs::read(large()).context("the large file")?;
    let socket = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, UDP)).context("the port of the service")?;
    let mut question = [0; 16];
    loop {
        // An error is the echo of an answer before: of a client that is gone, say.
        let Ok((length, from)) = socket.recv_from(&mut question) else { continue };
        let number = str::from_utf8(&question[..length]).ok().and_then(|text| text.trim().parse::<usize>().ok());
        if let Some(answer) = number.and_then(|number| bytes.get(..number)) {
            let _ = socket.send_to(answer, from);
        }
    }
}
