// SPDX-License-Identifier: MIT OR Apache-2.0
//! The near end of the control socket.

use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use forwarder::control::config::DEFAULT_SOCKET;
use forwarder::control::rpc::{self, RpcError};
use serde::Deserialize;
use serde_json::Value;

use crate::failure::Failure;

/// The largest table takes less than this to load.
const PATIENCE: Duration = Duration::from_secs(600);

/// A connection to the daemon.
#[derive(Debug)]
pub(crate) struct Client {
    path: PathBuf,
    stream: BufReader<UnixStream>,
}

#[derive(Deserialize)]
struct Answer {
    result: Option<Value>,
    error: Option<RpcError>,
}

impl Client {
    /// Connects to `socket`, or where the environment or the default says.
    pub(crate) fn connect(socket: Option<&Path>) -> Result<Self, Failure> {
        let environment = || std::env::var_os("SLUICE_SOCKET").filter(|path| !path.is_empty()).map(PathBuf::from);
        let path = socket.map(Path::to_owned).or_else(environment).unwrap_or_else(|| DEFAULT_SOCKET.into());
        let place = path.display();
        let stream = UnixStream::connect(&path).map_err(|error| {
            Failure::new(match error.kind() {
                ErrorKind::NotFound => {
                    format!("no control socket at {place}: is sluiced running? (--socket names another)")
                }
                ErrorKind::ConnectionRefused => {
                    format!(
                        "nobody answers on {place}: sluiced is not running; start it, or name another with --socket"
                    )
                }
                ErrorKind::PermissionDenied => {
                    format!("no permission for {place}: only its owner and group may ask; become one of them")
                }
                _ => format!("cannot connect to {place}: {error}; --socket names another"),
            })
        })?;
        let limited = stream.set_read_timeout(Some(PATIENCE)).and_then(|()| stream.set_write_timeout(Some(PATIENCE)));
        limited.map_err(|error| Failure::new(format!("cannot set a time limit on {place}: {error}")))?;
        Ok(Self { path, stream: BufReader::new(stream) })
    }

    /// The same connection, which waits for an answer no longer than this.
    pub(crate) fn impatient(self, patience: Duration) -> Result<Self, Failure> {
        let limited = self.stream.get_ref().set_read_timeout(Some(patience));
        limited.map_err(|error| Failure::new(format!("cannot set a time limit: {error}")))?;
        Ok(self)
    }

    /// Where the daemon is.
    pub(crate) fn socket(&self) -> &Path {
        &self.path
    }

    /// Calls a method and waits for its result.
    pub(crate) fn call(&mut self, method: &str, params: &Value) -> Result<Value, Failure> {
        let mut request = rpc::request(method, params);
        request.push('\n');
        // A daemon that refuses the connection answers without reading: its answer counts more than this error.
        let sent = self.stream.get_mut().write_all(request.as_bytes());
        let mut line = Vec::new();
        let read = self.stream.read_until(b'\n', &mut line);
        let place = self.path.display();
        match (sent, read) {
            (_, Ok(1..)) => {}
            (Err(error), _) | (_, Err(error)) => {
                return Err(Failure::new(format!("sluiced at {place} did not answer: {error}; see its log")));
            }
            (Ok(()), Ok(0)) => {
                return Err(Failure::new(format!("sluiced at {place} hung up without an answer; see its log")));
            }
        }
        let strange = |error| Failure::new(format!("whoever is at {place} is no sluiced: {error}"));
        match serde_json::from_slice(&line).map_err(|error| strange(error.to_string()))? {
            Answer { error: Some(error), .. } => Err(Failure::rpc(&error)),
            Answer { result: Some(result), .. } => Ok(result),
            Answer { .. } => Err(strange("neither result nor error".to_owned())),
        }
    }
}

/// A document of the daemon, to be shown to people.
pub(crate) fn read<T: serde::de::DeserializeOwned>(result: Value) -> Result<T, Failure> {
    serde_json::from_value(result)
        .map_err(|error| Failure::new(format!("sluiced is of another version: {error}; use --json to see its answer")))
}
