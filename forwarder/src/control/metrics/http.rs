// SPDX-License-Identifier: MIT OR Apache-2.0
//! The metrics' HTTP server: one page, a few threads, everything bounded.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use prometheus_client::encoding::prometheus_text::CONTENT_TYPE;
use rustix::net::{Shutdown, shutdown};

use crate::control::affinity::ControlCores;

/// Requests that are answered at a time. Others wait in the kernel's queue.
const THREADS: usize = 4;
/// Longest request, headers included.
const REQUEST_MAX: usize = 8 << 10;
/// Most headers.
const HEADERS_MAX: usize = 64;
/// How long a request may take to arrive as a whole.
const REQUEST_TIME: Duration = Duration::from_secs(2);
/// How long each piece of an answer may wait for the client.
const ANSWER_TIME: Duration = Duration::from_secs(5);
/// Rest after a failed `accept`: most of its errors last for a while.
const RETRY: Duration = Duration::from_millis(100);

/// What is served: the metrics in Prometheus' text format, as they are now.
pub type Page = dyn Fn() -> Result<String, fmt::Error> + Send + Sync;

/// Takes the address.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(address)
}

/// A served address. Dropped, it ends: what is being answered is answered.
pub struct MetricsServer {
    listener: Arc<TcpListener>,
    threads: Vec<JoinHandle<()>>,
}

impl MetricsServer {
    /// Serves `page` on threads that keep to `cores`.
    pub fn start(listener: TcpListener, page: Arc<Page>, cores: &ControlCores) -> io::Result<Self> {
        let listener = Arc::new(listener);
        let mut server = Self { listener: Arc::clone(&listener), threads: Vec::with_capacity(THREADS) };
        for _ in 0..THREADS {
            let (listener, page, cores) = (Arc::clone(&listener), Arc::clone(&page), cores.clone());
            let serve = move || {
                cores.apply();
                accept(&listener, &*page);
            };
            server.threads.push(thread::Builder::new().name("metrics".to_owned()).spawn(serve)?);
        }
        Ok(server)
    }
}

impl Drop for MetricsServer {
    fn drop(&mut self) {
        // Ends every `accept`, now and later.
        if let Err(error) = shutdown(&*self.listener, Shutdown::Both) {
            tracing::warn!("cannot shut the metrics' socket: {error}");
            return;
        }
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn accept(listener: &TcpListener, page: &Page) {
    loop {
        match listener.accept() {
            // A client that goes, or takes too long, has no answer; it knows.
            Ok((stream, _)) => drop(serve(&stream, page)),
            // What `accept` says of a socket that was shut.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => return,
            Err(error) => {
                tracing::warn!("cannot accept a request for metrics: {error}");
                thread::sleep(RETRY);
            }
        }
    }
}

/// Answers one request.
fn serve(mut stream: &TcpStream, page: &Page) -> io::Result<()> {
    stream.set_write_timeout(Some(ANSWER_TIME))?;
    let answer = match read(stream)? {
        Request::Metrics { body } => match page() {
            Ok(text) => Answer { status: "200 OK", kind: CONTENT_TYPE, text, body },
            Err(error) => plain("500 Internal Server Error", format!("the metrics can't be written: {error}\n")),
        },
        Request::Other => plain("404 Not Found", "the metrics are at /metrics\n".to_owned()),
        Request::Method => plain("405 Method Not Allowed", "GET and HEAD only\n".to_owned()),
        Request::Bad => plain("400 Bad Request", "this is no HTTP request\n".to_owned()),
        Request::Gone => return Ok(()),
    };
    let Answer { status, kind, text, body } = answer;
    let length = text.len();
    let allow = if status.starts_with("405") { "Allow: GET, HEAD\r\n" } else { "" };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n{allow}Connection: close\r\n\r\n"
    );
    let rest = if body { text.as_str() } else { "" };
    stream.write_all([head.as_str(), rest].concat().as_bytes())?;
    // So that what the client still sends does not make the kernel throw the answer away.
    shutdown(stream, Shutdown::Write)?;
    stream.read(&mut [0; 512]).map(drop)
}

struct Answer {
    status: &'static str,
    kind: &'static str,
    text: String,
    /// Whether the text is wanted, or only how long it is.
    body: bool,
}

fn plain(status: &'static str, text: String) -> Answer {
    Answer { status, kind: "text/plain; charset=utf-8", text, body: true }
}

enum Request {
    Metrics {
        body: bool,
    },
    Other,
    Method,
    Bad,
    /// The client went before it had asked.
    Gone,
}

/// Reads one request, as much of it as may be.
fn read(mut stream: &TcpStream) -> io::Result<Request> {
    let give_up = Instant::now() + REQUEST_TIME;
    let mut bytes = Vec::with_capacity(REQUEST_MAX);
    let mut part = [0; 1024];
    loop {
        let left = give_up.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        let read = match stream.read(&mut part) {
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        bytes.extend(part.iter().take(read));
        match understand(&bytes) {
            Some(request) => return Ok(request),
            None if read == 0 && bytes.is_empty() => return Ok(Request::Gone),
            None if read == 0 || bytes.len() >= REQUEST_MAX => return Ok(Request::Bad),
            None => {}
        }
    }
}

/// What is asked; none if that is not known yet.
fn understand(bytes: &[u8]) -> Option<Request> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(bytes) {
        Ok(httparse::Status::Partial) => return None,
        Ok(httparse::Status::Complete(_)) => {}
        Err(_) => return Some(Request::Bad),
    }
    let path = request.path.unwrap_or_default();
    let path = path.split_once('?').map_or(path, |(path, _)| path);
    Some(match (request.method, path) {
        (Some("GET"), "/metrics") => Request::Metrics { body: true },
        (Some("HEAD"), "/metrics") => Request::Metrics { body: false },
        (Some("GET" | "HEAD"), _) => Request::Other,
        _ => Request::Method,
    })
}
