// SPDX-License-Identifier: MIT OR Apache-2.0
//! The control socket, for what is too fast to start a program for each time.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

/// A connection to a daemon.
pub(crate) struct Connection(BufReader<UnixStream>);

impl Connection {
    pub(crate) fn new(socket: &Path) -> Result<Self> {
        let stream = UnixStream::connect(socket).with_context(|| socket.display().to_string())?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        Ok(Self(BufReader::new(stream)))
    }

    /// Calls a method; its result.
    ///
    /// # Errors
    /// The daemon refuses, or does not answer in time.
    pub(crate) fn call(&mut self, method: &str, parameters: &Value) -> Result<Value> {
        let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": parameters });
        self.0.get_mut().write_all(format!("{request}\n").as_bytes())?;
        let mut line = String::new();
        self.0.read_line(&mut line).with_context(|| format!("no answer to {method}"))?;
        let mut answer: Value = serde_json::from_str(&line)?;
        ensure!(answer["error"].is_null(), "{method}: {}", answer["error"]);
        Ok(answer["result"].take())
    }
}
