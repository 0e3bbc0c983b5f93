// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where on the way into the host the program runs.

use aya::programs::{ProgramError, Xdp, XdpMode as Mode};
use rustix::io::Errno;

use super::surroundings::Device;
use crate::config::XdpMode;

/// How it is attached to a device.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Attached {
    /// The device.
    pub device: String,
    /// In the driver, before the kernel makes a packet of the frame.
    pub is_native: bool,
    /// Why it is not, if it is not and nobody asked for that.
    pub why: Option<String>,
}

/// Why it can't be.
#[derive(Debug, thiserror::Error)]
#[error("cannot attach the XDP program to {device}: {error}{advice}")]
pub struct AttachError {
    device: String,
    error: ProgramError,
    advice: &'static str,
}

/// `auto` means native wherever that works by itself. On a virtual cable (veth) it does not: what is sent back by the
/// driver vanishes unless the other end has an XDP program or GRO, which cannot be seen from here.
pub(super) fn attach(program: &mut Xdp, device: &Device, mode: XdpMode) -> Result<Attached, AttachError> {
    let generic = |program: &mut Xdp, why| {
        attach_as(program, device, Mode::Skb)?;
        Ok(Attached { device: device.name.clone(), is_native: false, why })
    };
    match mode {
        XdpMode::Generic => generic(program, None),
        XdpMode::Auto if device.is_veth => {
            generic(program, Some("a veth may lose natively what it passes on; see receive.xdp".to_owned()))
        }
        XdpMode::Auto | XdpMode::Native => match attach_as(program, device, Mode::Driver) {
            Ok(()) => Ok(Attached { device: device.name.clone(), is_native: true, why: None }),
            Err(error) if mode == XdpMode::Auto && !is_busy(&error.error) => generic(program, Some(error.to_string())),
            Err(error) => Err(error),
        },
    }
}

fn attach_as(program: &mut Xdp, device: &Device, mode: Mode) -> Result<(), AttachError> {
    program.attach_to_if_index(device.index, mode).map(drop).map_err(|error| AttachError {
        device: device.name.clone(),
        advice: advice(&error, device, mode),
        error,
    })
}

fn advice(error: &ProgramError, device: &Device, mode: Mode) -> &'static str {
    match (is_busy(error), mode) {
        (true, _) => "; it has one already: see `ip link show`, and take that off (`ip link set dev DEVICE xdp off`)",
        (false, Mode::Driver) if device.mtu > 3500 => {
            "; many drivers want an MTU of at most about 3500 for native XDP: lower it, or set receive.xdp = \"generic\""
        }
        (false, Mode::Driver) => "; its driver may have no native XDP: set receive.xdp = \"generic\"",
        _ => "",
    }
}

fn is_busy(error: &ProgramError) -> bool {
    match error {
        ProgramError::SyscallError(error) => {
            matches!(Errno::from_io_error(&error.io_error), Some(Errno::BUSY | Errno::EXIST))
        }
        _ => false,
    }
}
