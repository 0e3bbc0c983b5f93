// SPDX-License-Identifier: MIT OR Apache-2.0
//! The kernel's word on sockets, by sock_diag(7).

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use forwarder::control::netlink::Questions;
use netlink_packet_sock_diag::SockDiagMessage;
use netlink_packet_sock_diag::constants::{AF_INET, AF_INET6, IPPROTO_TCP, IPPROTO_UDP, TCP_LISTEN, TCP_TIME_WAIT};
use netlink_packet_sock_diag::inet::{ExtensionFlags, InetRequest, SocketId, StateFlags};
use netlink_sys::protocols::NETLINK_SOCK_DIAG;

use super::{Protocol, Socket, State, Usage};
use crate::view::View;

/// Whoever asks too soon waits so long rather than hear what was.
const PATIENCE: Duration = Duration::from_millis(250);

/// Asks the kernel, and so often only that it takes a fifth of the time at most.
pub struct Sockets {
    netlink: Questions<SockDiagMessage>,
    not_before: Instant,
}

impl Sockets {
    /// For the namespace of this thread.
    pub fn open() -> io::Result<Self> {
        Ok(Self { netlink: Questions::open(NETLINK_SOCK_DIAG)?, not_before: Instant::now() })
    }

    /// What is in use now. None where there are so many sockets that it was found out just now, by that measure.
    pub fn usage(&mut self, view: &View) -> io::Result<Option<Usage>> {
        let wait = self.not_before.saturating_duration_since(Instant::now());
        if wait > PATIENCE {
            return Ok(None);
        }
        thread::sleep(wait);
        let start = Instant::now();
        let mut sockets = Vec::new();
        for family in [AF_INET, AF_INET6] {
            for protocol in [IPPROTO_TCP, IPPROTO_UDP] {
                sockets.extend(self.all(family, protocol)?);
            }
        }
        let usage = Usage::new(view, sockets);
        self.not_before = Instant::now() + start.elapsed() * 4;
        Ok(Some(usage))
    }

    fn all(&mut self, family: u8, protocol: u8) -> io::Result<Vec<Socket>> {
        let question = InetRequest {
            family,
            protocol,
            extensions: ExtensionFlags::empty(),
            states: StateFlags::all(),
            socket_id: if family == AF_INET { SocketId::new_v4() } else { SocketId::new_v6() },
        };
        self.netlink.dump(SockDiagMessage::InetRequest(question), |answer| match answer {
            SockDiagMessage::InetResponse(response) => {
                let header = response.header;
                Some(Socket {
                    protocol: if protocol == IPPROTO_TCP { Protocol::Tcp } else { Protocol::Udp },
                    address: header.socket_id.source_address.to_canonical(),
                    port: header.socket_id.source_port,
                    state: match header.state {
                        TCP_LISTEN => State::Listening,
                        TCP_TIME_WAIT => State::TimeWait,
                        _ => State::Open,
                    },
                })
            }
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream, UdpSocket};

    use tables::Ports;

    use super::*;
    use crate::view::{Held, Keeper, Run};

    #[test]
    fn the_kernel_tells_of_sockets() {
        let listener = TcpListener::bind("127.0.0.77:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let _client = TcpStream::connect(("127.0.0.77", port)).unwrap();
        let _udp = UdpSocket::bind(("127.0.0.77", port)).unwrap();
        let run = Run { ports: Ports::new(port, port).unwrap(), keeper: Keeper { own: true, other: None } };
        let prefix = "127.0.0.77/32".parse().unwrap();
        let held = Held { prefix, runs: vec![run], portless: Keeper::default(), tags: Vec::new() };
        let view = View { held: vec![held], ..View::default() };
        let mut sockets = Sockets::open().unwrap();
        let usage = sockets.usage(&view).unwrap().unwrap();
        let [slice] = usage.slices.as_slice() else { panic!("{usage:?}") };
        // The accepted side; the client's own address is another.
        assert_eq!((slice.connections, slice.listening, slice.udp), (1, 1, 1));
        assert!(slice.nearly_exhausted);
        drop(listener);
        assert_eq!(sockets.usage(&view).unwrap().unwrap().slices[0].listening, 0, "at once again");
        // Had it taken long, it would not be done again.
        sockets.not_before = Instant::now() + PATIENCE * 100;
        assert_eq!(sockets.usage(&view).unwrap(), None);
    }
}
