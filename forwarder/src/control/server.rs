// SPDX-License-Identifier: MIT OR Apache-2.0
//! Serves the control socket: a thread for each connection.

use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde_json::Value;

use super::affinity::ControlCores;
use super::config::Control;
use super::limited::Limited;
use super::line::{self, Line, Lines, Room};
use super::load::DOCUMENT_MAX;
use super::peer::{Peer, Right, Rights};
use super::places::{Place, Places};
use super::rpc::{self, Params, RpcError};
use super::socket::ControlSocket;

/// Longest message: the longest document, and as much around it as any question may have. Peers that may only look
/// send none that is longer than a question.
const MESSAGE_MAX: usize = DOCUMENT_MAX + line::SHORT;
/// Peers can cause such lines by connecting.
static TROUBLE: Limited = Limited::new(10, Duration::from_secs(10));

/// A line about a connection that did not come about.
fn warn(what: &str, error: &dyn std::fmt::Display) {
    if let Some(unlogged) = TROUBLE.pass() {
        tracing::warn!(unlogged, "{what}: {error}");
    }
}

/// Rest after a failed `accept`: most of its errors last for a while.
const RETRY: Duration = Duration::from_millis(100);

/// Calls the method of that name for a peer with that right.
pub type Methods = dyn Fn(Peer, Right, &str, Params<'_>) -> Result<Value, RpcError> + Send + Sync;

/// A served socket. Dropped, it ends: the socket's file goes, nobody is let in any more. Connections that are open
/// end with their next message or time limit.
pub struct Server {
    socket: Arc<ControlSocket>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Serves `socket` on a thread of its own, which keeps to `cores`, for those whom `control` lets.
    pub fn start(
        socket: ControlSocket,
        control: &Control,
        methods: Arc<Methods>,
        cores: ControlCores,
    ) -> std::io::Result<Self> {
        let rights = Rights::new(control);
        let socket = Arc::new(socket);
        let serving = Arc::clone(&socket);
        let thread = thread::Builder::new().name("control".to_owned()).spawn(move || {
            cores.apply();
            accept(&serving, &rights, &methods);
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
fn accept(socket: &ControlSocket, rights: &Rights, methods: &Arc<Methods>) {
    let (places, room) = (Arc::new(Places::default()), Arc::new(Room::default()));
    loop {
        let stream = match socket.listener().accept() {
            Ok((stream, _)) => Arc::new(stream),
            // What `accept` says of a socket that was shut.
            Err(error) if error.kind() == std::io::ErrorKind::InvalidInput => return,
            Err(error) => {
                warn("cannot accept on the control socket", &error);
                thread::sleep(RETRY);
                continue;
            }
        };
        let peer = match Peer::of(&*stream) {
            Ok(peer) => peer,
            Err(error) => {
                warn("a connection to the control socket was refused: its peer is unknown", &error);
                continue;
            }
        };
        let Some(right) = rights.of(&peer) else {
            warn("a connection to the control socket was refused: no right to look", &peer);
            let message = format!("{peer} may not look; see control.look_uids and look_gids");
            send_away(&stream, rpc::FORBIDDEN, &message);
            continue;
        };
        let Some(place) = places.take(&stream, right == Right::Change) else {
            warn("a connection to the control socket was refused: too many of them", &peer);
            send_away(&stream, rpc::BUSY, "too many connections; try again later");
            continue;
        };
        let (methods, room) = (Arc::clone(methods), Arc::clone(&room));
        let connection = Connection { stream, peer, right, methods, place, room };
        let spawned = thread::Builder::new().name("connection".to_owned()).spawn(move || connection.serve());
        if let Err(error) = spawned {
            warn("no thread for a connection to the control socket", &error);
        }
    }
}

/// The last words to a peer. Nothing or little is in its buffer, so this doesn't wait.
fn send_away(stream: &UnixStream, code: i32, message: &str) {
    let _ = line::send(stream, rpc::failure_line(&RpcError::new(code, message)));
}

struct Connection {
    stream: Arc<UnixStream>,
    peer: Peer,
    right: Right,
    methods: Arc<Methods>,
    place: Place,
    room: Arc<Room>,
}

impl Connection {
    /// Answers messages until the peer goes, breaks a bound, doesn't read its answers, or loses its place.
    fn serve(self) {
        let limit = if self.right == Right::Change { MESSAGE_MAX } else { line::SHORT };
        let mut lines = Lines::new(&self.stream, &self.room, limit);
        loop {
            let message = match lines.next() {
                Line::Whole(message) => message,
                Line::End => return,
                Line::TooLong => {
                    let message = format!("the message has more than {limit} bytes; give a larger table by path");
                    return send_away(&self.stream, rpc::INVALID_REQUEST, &message);
                }
                Line::NoRoom => {
                    let message = "too many long messages; try again later, or give the document by path";
                    return send_away(&self.stream, rpc::BUSY, message);
                }
            };
            if message.trim_ascii().is_empty() {
                continue;
            }
            let call = |method: &str, params: Params<'_>| (self.methods)(self.peer, self.right, method, params);
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
