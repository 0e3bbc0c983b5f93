// SPDX-License-Identifier: MIT OR Apache-2.0
//! The near end of the control socket.

use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::control::rpc::{self, RpcError};
use serde::Deserialize;
use serde_json::Value;

use super::failure::Failure;

/// The largest table takes less than this to load.
const PATIENCE: Duration = Duration::from_secs(600);

/// Whom a command line talks to.
#[derive(Debug)]
pub struct Daemon {
    /// The program.
    pub name: &'static str,
    /// The environment's variable that names its socket.
    pub variable: &'static str,
    /// Its socket if nothing names another.
    pub socket: &'static str,
}

/// A connection to the daemon.
#[derive(Debug)]
pub struct Client {
    daemon: &'static Daemon,
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
    pub fn connect(daemon: &'static Daemon, socket: Option<&Path>) -> Result<Self, Failure> {
        let environment = || std::env::var_os(daemon.variable).filter(|path| !path.is_empty()).map(PathBuf::from);
        let path = socket.map(Path::to_owned).or_else(environment).unwrap_or_else(|| daemon.socket.into());
        let (name, place) = (daemon.name, path.display());
        let stream = UnixStream::connect(&path).map_err(|error| {
            Failure::new(match error.kind() {
                ErrorKind::NotFound => {
                    format!("no control socket at {place}: is {name} running? (--socket names another)")
                }
                ErrorKind::ConnectionRefused => {
                    format!("nobody answers on {place}: {name} is not running; start it, or name another with --socket")
                }
                ErrorKind::PermissionDenied => {
                    format!("no permission for {place}: only its owner and group may ask; become one of them")
                }
                _ => format!("cannot connect to {place}: {error}; --socket names another"),
            })
        })?;
        let limited = stream.set_read_timeout(Some(PATIENCE)).and_then(|()| stream.set_write_timeout(Some(PATIENCE)));
        limited.map_err(|error| Failure::new(format!("cannot set a time limit on {place}: {error}")))?;
        Ok(Self { daemon, path, stream: BufReader::new(stream) })
    }

    /// The same connection, which waits for an answer no longer than this.
    pub fn impatient(self, patience: Duration) -> Result<Self, Failure> {
        let limited = self.stream.get_ref().set_read_timeout(Some(patience));
        limited.map_err(|error| Failure::new(format!("cannot set a time limit: {error}")))?;
        Ok(self)
    }

    /// Where the daemon is.
    pub fn socket(&self) -> &Path {
        &self.path
    }

    /// Calls a method and waits for its result.
    pub fn call(&mut self, method: &str, params: &Value) -> Result<Value, Failure> {
        let mut request = rpc::request(method, params);
        request.push('\n');
        // A daemon that refuses the connection answers without reading: its answer counts more than this error.
        let sent = self.stream.get_mut().write_all(request.as_bytes());
        let mut line = Vec::new();
        let read = self.stream.read_until(b'\n', &mut line);
        let (name, place) = (self.daemon.name, self.path.display());
        match (sent, read) {
            (_, Ok(1..)) => {}
            (Err(error), _) | (_, Err(error)) => {
                return Err(Failure::new(format!("{name} at {place} did not answer: {error}; see its log")));
            }
            (Ok(()), Ok(0)) => {
                return Err(Failure::new(format!("{name} at {place} hung up without an answer; see its log")));
            }
        }
        let strange = |error| Failure::new(format!("whoever is at {place} is no {name}: {error}"));
        match serde_json::from_slice(&line).map_err(|error| strange(error.to_string()))? {
            Answer { error: Some(error), .. } => Err(Failure::rpc(&error)),
            Answer { result: Some(result), .. } => Ok(result),
            Answer { .. } => Err(strange("neither result nor error".to_owned())),
        }
    }
}

/// A document of the daemon, to be shown to people.
pub fn read<T: serde::de::DeserializeOwned>(result: Value) -> Result<T, Failure> {
    serde_json::from_value(result).map_err(|error| {
        Failure::new(format!("the daemon is of another version: {error}; use --json to see its answer"))
    })
}
