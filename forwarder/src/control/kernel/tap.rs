// SPDX-License-Identifier: MIT OR Apache-2.0
//! A TAP interface: the kernel's side of one device.

use std::fmt;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use rustix::io::Errno;
use tun_rs::{DeviceBuilder, Layer, SyncDevice};

use super::carrier;
use crate::wire::MacAddr;

/// Where TAP interfaces come from.
const CLONE_DEVICE: &str = "/dev/net/tun";

/// The largest MTU of a TAP interface: `IP_MAX_MTU` less an Ethernet header.
const LARGEST_MTU: u16 = u16::MAX - 14;

/// What a TAP interface is to be.
#[derive(Debug, Clone)]
pub(super) struct TapSpec {
    /// Of the device, in the configuration.
    pub(super) device: String,
    /// Of the interface.
    pub(super) interface: String,
    /// That of the device.
    pub(super) mac: MacAddr,
    /// That of the device.
    pub(super) mtu: u16,
}

/// Why a device has no kernel's side.
#[derive(Debug, thiserror::Error)]
#[error("device {device:?}: cannot {step} the TAP interface {interface}: {source}{hint}")]
pub struct TapError {
    device: String,
    interface: String,
    step: &'static str,
    source: io::Error,
    hint: &'static str,
}

impl TapError {
    /// Whether it takes a right that this process does not have.
    pub(super) fn is_refused(&self) -> bool {
        self.source.kind() == ErrorKind::PermissionDenied
    }
}

/// An open interface. It goes when this is dropped, unless somebody has made it to stay.
pub(super) struct Tap(SyncDevice);

impl Tap {
    /// Opens the interface, an existing one if nobody has it open, and brings it up.
    pub(super) fn open(spec: &TapSpec) -> Result<Self, TapError> {
        let fail = |step, source| spec.failure(step, source);
        if !Path::new(CLONE_DEVICE).exists() {
            return Err(fail("open", io::Error::new(ErrorKind::NotFound, format!("there is no {CLONE_DEVICE}"))));
        }
        let builder = DeviceBuilder::new().name(&spec.interface).layer(Layer::L2).inherit_enable_state();
        let tap = builder.build_sync().map_err(|error| fail("open", error))?;
        tap.set_nonblocking(true).map_err(|error| fail("open", error))?;
        // An interface that was made beforehand may be right, and this process not be allowed to change it.
        if tap.mac_address().ok() != Some(spec.mac.0) {
            tap.set_mac_address(spec.mac.0).map_err(|error| fail("give the device's MAC address to", error))?;
        }
        let mtu = spec.mtu.min(LARGEST_MTU);
        if tap.mtu().ok() != Some(mtu) {
            tap.set_mtu(mtu).map_err(|error| fail("give the device's MTU to", error))?;
        }
        match tap.enabled(true) {
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                tracing::warn!("{}; frames for the kernel are lost until somebody does", fail("bring up", error));
            }
            other => other.map_err(|error| fail("bring up", error))?,
        }
        Ok(Self(tap))
    }

    /// Gives the interface a carrier, as it has when it is opened, or takes it away.
    pub(super) fn set_carrier(&self, carrier: bool) -> io::Result<()> {
        carrier::set(&self.0, carrier)
    }

    /// Gives a frame to the kernel, without waiting.
    pub(super) fn write(&self, frame: &[u8]) -> io::Result<usize> {
        self.0.send(frame)
    }

    /// Takes a frame of the kernel, without waiting; its length. One that is longer than `frame` is cut.
    pub(super) fn read(&self, frame: &mut [u8]) -> io::Result<usize> {
        self.0.recv(frame)
    }
}

impl AsFd for Tap {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl TapSpec {
    /// How somebody else makes it, so that this process may open it.
    pub(super) fn by_hand(&self) -> String {
        let Self { interface, mac, mtu, .. } = self;
        let (user, mtu) = (rustix::process::geteuid().as_raw(), mtu.min(&LARGEST_MTU));
        format!(
            "ip tuntap add dev {interface} mode tap user {user} && ip link set {interface} address {mac} mtu {mtu} up"
        )
    }

    fn failure(&self, step: &'static str, source: io::Error) -> TapError {
        let hint = match (source.kind(), Errno::from_io_error(&source)) {
            (ErrorKind::NotFound, _) => "; load the kernel's module (modprobe tun), or take `kernel` out",
            (ErrorKind::PermissionDenied, _) => "; start sluiced as root or with CAP_NET_ADMIN",
            (_, Some(Errno::BUSY)) => "; another program has it open: stop that, or choose another name",
            (_, Some(Errno::INVAL)) if step == "open" => {
                "; there is an interface of this name that is no TAP interface of one queue: choose another name"
            }
            _ => "",
        };
        TapError { device: self.device.clone(), interface: self.interface.clone(), step, source, hint }
    }
}

impl fmt::Display for TapSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of device {}", self.interface, self.device)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_says_what_to_do() {
        let spec = TapSpec {
            device: "wan0".to_owned(),
            interface: "wan0-k".to_owned(),
            mac: MacAddr([2, 0, 0, 0, 0, 1]),
            mtu: 1500,
        };
        let text = |step, errno: Errno| spec.failure(step, errno.into()).to_string();
        for (step, errno, words) in [
            ("open", Errno::PERM, "CAP_NET_ADMIN"),
            ("open", Errno::BUSY, "another program"),
            ("open", Errno::INVAL, "no TAP interface"),
            ("open", Errno::NOENT, "modprobe tun"),
        ] {
            let text = text(step, errno);
            assert!(text.starts_with("device \"wan0\": cannot open the TAP interface wan0-k: "), "{text}");
            assert!(text.contains(words), "{text}");
        }
        assert!(!text("bring up", Errno::INVAL).contains("no TAP interface"));
        assert!(spec.failure("open", Errno::PERM.into()).is_refused());
        let user = rustix::process::geteuid().as_raw();
        let by_hand = format!(
            "ip tuntap add dev wan0-k mode tap user {user} && ip link set wan0-k address 02:00:00:00:00:01 mtu 1500 up"
        );
        assert_eq!(spec.by_hand(), by_hand);
    }
}
