// SPDX-License-Identifier: MIT OR Apache-2.0
//! What DPDK says once it runs. Drivers log from the thread that polls, some of them for every packet that they don't like:
//! on standard error that would wait for whoever reads it. So the log goes through a pipe that never makes its writer wait;
//! what does not fit is lost.

use std::io::{self, PipeReader};
use std::os::fd::IntoRawFd;

use rustix::fs::{OFlags, fcntl_setfl};

/// Turns DPDK's log away from standard error for the rest of the process's life; the other end of the pipe.
pub(super) fn divert() -> io::Result<PipeReader> {
    let (reader, writer) = io::pipe()?;
    fcntl_setfl(&writer, OFlags::NONBLOCK)?;
    // SAFETY: the descriptor is open for writing and given away for good; the mode is a C string.
    let stream = unsafe { dpdk_sys::fdopen(writer.into_raw_fd(), c"w".as_ptr()) };
    if stream.is_null() {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the stream was just made and is never closed, so DPDK may keep it.
    let code = unsafe { dpdk_sys::rte_openlog_stream(stream) };
    if code == 0 { Ok(reader) } else { Err(io::Error::other("DPDK does not take the stream")) }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    /// RTE_LOG_ERR, and RTE_LOGTYPE_EAL.
    const ERROR: (u32, u32) = (4, 0);

    #[test]
    fn a_full_pipe_holds_nobody_up() {
        let mut reader = divert().unwrap();
        let line = [[b'x'; 999].as_slice(), b"\n\0"].concat();
        for _ in 0..1_000 {
            // SAFETY: the format is a C string without directives, so there is nothing else to read.
            unsafe { dpdk_sys::rte_log(ERROR.0, ERROR.1, line.as_ptr().cast()) };
        }
        let mut first = [0; 1_000];
        reader.read_exact(&mut first).unwrap();
        assert_eq!(first, line[..1_000]);
    }
}
