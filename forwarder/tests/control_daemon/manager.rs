// SPDX-License-Identifier: MIT OR Apache-2.0
//! A test of this program run once more, as a service of systemd: what it tells its manager.

use std::env;
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::{TempDir, tempdir};

/// Only a process of its own can have another environment.
const CHILD: &str = "SLUICE_SERVICE_TEST";

/// The service, and the socket on which it is heard.
pub(super) struct Service {
    socket: UnixDatagram,
    child: Child,
    _folder: TempDir,
}

impl Service {
    /// Whether this is the service.
    pub(super) fn is_this() -> bool {
        env::var_os(CHILD).is_some()
    }

    /// Starts `test` as one, with this environment beside.
    pub(super) fn start(test: &str, environment: &[(&str, &str)]) -> Self {
        let folder = tempdir().unwrap();
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let mut command = Command::new(env::current_exe().unwrap());
        command.args([test, "--exact"]).env(CHILD, "1").env("NOTIFY_SOCKET", &path).env_remove("WATCHDOG_PID");
        command.envs(environment.iter().copied()).stdin(Stdio::null()).stdout(Stdio::null());
        Self { socket, child: command.spawn().unwrap(), _folder: folder }
    }

    /// The next message.
    pub(super) fn hear(&self) -> String {
        let mut message = [0; 256];
        let length = self.socket.recv(&mut message).unwrap();
        String::from_utf8(message[..length].to_vec()).unwrap().trim_end().to_owned()
    }

    /// Its end, which must be a good one.
    pub(super) fn ends_well(mut self) {
        assert!(self.child.wait().unwrap().success());
    }
}
