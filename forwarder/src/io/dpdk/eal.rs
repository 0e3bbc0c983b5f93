// SPDX-License-Identifier: MIT OR Apache-2.0
//! EAL, DPDK's run time: started once, and ended when nothing points into its memory any more.
//!
//! Enumerate cores *before* [`Eal::start`]: with `-l`, `-c` or `--lcores` in `eal.args` EAL pins the thread that starts it,
//! threads started later inherit that, and the process then seems to have one core.

use std::ffi::{CStr, CString, c_char, c_int};
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};

use super::arguments::arguments;
use super::capture::captured;
use super::error::{errno, reason};
use super::{DeviceSpec, Error};

/// DPDK can't be started twice in a process, not even after it was ended.
static STARTED: AtomicBool = AtomicBool::new(false);

/// Set when somebody still owns a buffer in memory that EAL would unmap.
static MEMORY_IN_USE: AtomicBool = AtomicBool::new(false);

/// The running EAL. It must outlive everything that was made with it.
pub(super) struct Eal(());

impl Eal {
    /// Starts EAL with the user's arguments and the devices; returns what it logged, too.
    ///
    /// Success does not mean that the devices are there: EAL passes over those that no driver took.
    pub(super) fn start(user: &[String], devices: &[DeviceSpec]) -> Result<(Self, Vec<String>), Error> {
        let cpus: Vec<usize> = core_affinity::get_core_ids().unwrap_or_default().iter().map(|core| core.id).collect();
        let arguments = arguments(user, devices, &cpus)?;
        if STARTED.swap(true, Ordering::AcqRel) {
            return Err(Error::AlreadyStarted);
        }
        let (outcome, log) = captured(|| init(arguments));
        match outcome {
            Ok(None) => Ok((Self(()), log)),
            Ok(Some(unread)) => {
                drop(Self(()));
                Err(Error::Unread(unread))
            }
            Err(code) => Err(failure(devices, &log, code)),
        }
    }

    /// Whether the machine has memory at several nodes.
    pub(super) fn has_several_nodes(&self) -> bool {
        // SAFETY: EAL runs.
        unsafe { dpdk_sys::rte_socket_count() > 1 }
    }

    /// Keeps EAL's memory mapped until the process ends, because somebody still owns a buffer in it.
    pub(super) fn keep_memory() {
        MEMORY_IN_USE.store(true, Ordering::Release);
    }
}

impl Drop for Eal {
    fn drop(&mut self) {
        if !MEMORY_IN_USE.load(Ordering::Acquire) {
            // SAFETY: EAL runs; what was made with it is gone, since whoever holds `Eal` drops it last, and pools that
            // are still in use have said so.
            unsafe { dpdk_sys::rte_eal_cleanup() };
        }
    }
}

/// Calls `rte_eal_init`; returns the first argument that it did not understand as an option, or its errno.
fn init(arguments: Vec<CString>) -> Result<Option<String>, c_int> {
    // EAL and its drivers may write to the strings and keep pointers into them, so they are given away for good.
    let mut argv: Vec<*mut c_char> = arguments.into_iter().map(CString::into_raw).collect();
    let argc = c_int::try_from(argv.len()).unwrap_or(c_int::MAX);
    argv.push(ptr::null_mut());
    // SAFETY: `argv` holds `argc` writable NUL-terminated strings and a null pointer, and STARTED makes this the only call.
    let read = unsafe { dpdk_sys::rte_eal_init(argc, argv.as_mut_ptr()) };
    let Ok(read) = usize::try_from(read) else { return Err(errno()) };
    // getopt sorts what is neither an option nor an option's value behind the rest, and EAL passes over it.
    Ok(argv.get(read + 1).filter(|argument| !argument.is_null()).map(|argument| {
        // SAFETY: one of the strings given away above; nothing else runs that could write to it.
        unsafe { CStr::from_ptr(*argument) }.to_string_lossy().into_owned()
    }))
}

/// A vdev of an unknown driver, or a malformed one, makes all of EAL fail; the log then names it.
fn failure(devices: &[DeviceSpec], log: &[String], code: c_int) -> Error {
    let reason = reason(log, code);
    for device in devices {
        if device.dpdk_name().is_ok_and(|name| reason.contains(&name)) {
            return device.not_probed(reason);
        }
    }
    let hint = if reason.contains("hugepage") {
        "reserve huge pages, or put --no-huge and -m MEGABYTES into eal.args"
    } else {
        "check eal.args"
    };
    Error::Eal { reason, hint }
}
