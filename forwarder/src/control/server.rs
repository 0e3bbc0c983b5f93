// SPDX-License-Identifier: MIT OR Apache-2.0
//! Serves the control socket: a thread for each connection.

use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::affinity::ControlCores;
use super::forwarder::Forwarder;
use super::line::{self, Line, Lines};
use super::methods;
use super::peer::{Peer, Rights};
use super::places::{Place, Places};
use super::rpc::{self, RpcError};
use super::socket::ControlSocket;

/// Longest message of a peer that may only look; no question is longer. Bounds what all of them can make us hold.
const QUESTION_MAX: usize = 64 << 10;
/// Longest message: the longest document, and as much around it as any question may have.
const MESSAGE_MAX: usize = methods::DOCUMENT_MAX + QUESTION_MAX;
/// Rest after a failed `accept`: most of its errors last for a while.
const RETRY: Duration = Duration::from_millis(100);

/// A served socket. Dropped, it ends: the socket's file goes, nobody is let in any more. Connections that are open
/// end with their next message or time limit.
pub(super) struct Server {
    socket: Arc<ControlSocket>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Serves `socket` on a thread of its own, which keeps to `cores`.
    pub(super) fn start(
        socket: ControlSocket,
        forwarder: Arc<Forwarder>,
        cores: ControlCores,
    ) -> std::io::Result<Self> {
        let socket = Arc::new(socket);
        let serving = Arc::clone(&socket);
        let thread = thread::Builder::new().name("control".to_owned()).spawn(move || {
            cores.apply();
            accept(&serving, &forwarder);
        })?;
        Ok(Self { socket, thread: Some(thread) })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Err(error) = self.socket.shut() {
            tracing::warn!("cannot shut the control socket: {error}");
        } else if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Lets peers in until the socket is shut.
fn accept(socket: &ControlSocket, forwarder: &Arc<Forwarder>) {
    let rights = Arc::new(Rights::new(&forwarder.config().control));
    let places = Arc::new(Places::default());
    loop {
        let stream = match socket.listener().accept() {
            Ok((stream, _)) => Arc::new(stream),
            // What `accept` says of a socket that was shut.
            Err(error) if error.kind() == std::io::ErrorKind::InvalidInput => return,
            Err(error) => {
                tracing::warn!("cannot accept on the control socket: {error}");
                thread::sleep(RETRY);
                continue;
            }
        };
        let peer = match Peer::of(&*stream) {
            Ok(peer) => peer,
            Err(error) => {
                tracing::warn!("a connection to the control socket was refused: its peer is unknown: {error}");
                continue;
            }
        };
        let may_change = rights.may_change(&peer);
        let Some(place) = places.take(&stream, may_change) else {
            let error = RpcError::new(rpc::BUSY, "too many connections; try again later");
            // The peer's buffer is empty, so this doesn't wait.
            let _ = line::send(&stream, rpc::failure_line(&error));
            continue;
        };
        let connection = Connection { stream, peer, may_change, forwarder: Arc::clone(forwarder), place };
        let spawned = thread::Builder::new().name("connection".to_owned()).spawn(move || connection.serve());
        if let Err(error) = spawned {
            tracing::warn!("no thread for a connection to the control socket: {error}");
        }
    }
}

struct Connection {
    stream: Arc<UnixStream>,
    peer: Peer,
    may_change: bool,
    forwarder: Arc<Forwarder>,
    place: Place,
}

impl Connection {
    /// Answers messages until the peer goes, breaks a bound, doesn't read its answers, or loses its place.
    fn serve(self) {
        let limit = if self.may_change { MESSAGE_MAX } else { QUESTION_MAX };
        let mut lines = Lines::new(&self.stream, limit);
        loop {
            let message = match lines.next() {
                Line::Whole(message) => message,
                Line::End => return,
                Line::TooLong => {
                    let text = format!("the message has more than {limit} bytes; give a larger table by path");
                    let _ = line::send(&self.stream, rpc::failure_line(&RpcError::invalid_request(text)));
                    return;
                }
            };
            if message.trim_ascii().is_empty() {
                continue;
            }
            let call = |method: &str, params: rpc::Params<'_>| {
                methods::call(&self.forwarder, self.peer, self.may_change, method, params)
            };
            if !self.place.keep() {
                return;
            }
            let answer = rpc::answer(&message, call);
            self.place.wait();
            if answer.is_some_and(|answer| line::send(&self.stream, answer).is_err()) {
                return;
            }
        }
    }
}
