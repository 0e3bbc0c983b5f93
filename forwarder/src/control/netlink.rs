// SPDX-License-Identifier: MIT OR Apache-2.0
//! Questions and orders for the kernel by netlink(7), whatever protocol: one at a time, each answered before the next.

use std::fmt::Debug;
use std::io::{self, ErrorKind};
use std::marker::PhantomData;
use std::time::Duration;

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NetlinkBuffer, NetlinkDeserializable, NetlinkHeader,
    NetlinkMessage, NetlinkPayload, NetlinkSerializable,
};
use netlink_sys::{Socket, SocketAddr};
use rustix::net::sockopt;

/// Bytes of the longest datagram that the kernel answers with.
pub(super) const LONGEST: usize = 64 << 10;
/// How long the kernel may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// A socket for them, with messages of type `I`.
pub struct Questions<I> {
    socket: Socket,
    buffer: Vec<u8>,
    sequence: u32,
    messages: PhantomData<I>,
}

impl<I: NetlinkSerializable + NetlinkDeserializable + Debug> Questions<I> {
    /// Opens one of that protocol (`NETLINK_…`).
    pub fn open(protocol: isize) -> io::Result<Self> {
        let mut socket = Socket::new(protocol)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, Some(PATIENCE))?;
        Ok(Self { socket, buffer: Vec::with_capacity(LONGEST), sequence: 0, messages: PhantomData })
    }

    /// What `read` makes of all that `question` asks for. An error if the kernel refuses it, or if what it tells of has
    /// changed meanwhile ([`ErrorKind::ResourceBusy`]).
    pub fn dump<T>(&mut self, question: I, read: impl FnMut(I) -> Option<T>) -> io::Result<Vec<T>> {
        self.ask(question, NLM_F_DUMP)?;
        self.answers(read)
    }

    /// What `read` makes of the answer to a question for one thing.
    pub fn get<T>(&mut self, question: I, read: impl FnMut(I) -> Option<T>) -> io::Result<Vec<T>> {
        self.ask(question, NLM_F_ACK)?;
        self.answers(read)
    }

    /// Has the kernel do something, with the `flags` of a netlink message.
    pub fn tell(&mut self, order: I, flags: u16) -> io::Result<()> {
        self.ask(order, NLM_F_ACK | flags)?;
        self.answers(|_| None::<()>).map(drop)
    }

    fn ask(&mut self, question: I, flags: u16) -> io::Result<()> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut header = NetlinkHeader::default();
        (header.flags, header.sequence_number) = (NLM_F_REQUEST | flags, self.sequence);
        let mut message = NetlinkMessage::new(header, NetlinkPayload::InnerMessage(question));
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        self.socket.send(&bytes, 0).map(drop)
    }

    /// All answers to the last question.
    fn answers<T>(&mut self, mut read: impl FnMut(I) -> Option<T>) -> io::Result<Vec<T>> {
        let (mut answers, mut end, mut is_whole) = (Vec::new(), None, true);
        while end.is_none() {
            self.buffer.clear();
            match self.socket.recv(&mut self.buffer, 0) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                received => received?,
            };
            let sequence = self.sequence;
            each(&self.buffer, |header, message| {
                if header.sequence_number != sequence {
                    return; // the rest of an answer that came too late
                }
                is_whole &= header.flags & NLM_F_DUMP_INTR == 0;
                // One that can't be read is not worth all the others.
                let Ok(message) = NetlinkMessage::<I>::deserialize(message) else { return };
                match message.into_parts().1 {
                    NetlinkPayload::InnerMessage(message) => answers.extend(read(message)),
                    NetlinkPayload::Error(error) if error.code.is_some() => end = Some(Err(error.to_io())),
                    NetlinkPayload::Error(_) | NetlinkPayload::Done(_) => end = Some(Ok(())),
                    _ => {}
                }
            });
        }
        match end {
            Some(Err(error)) => Err(error),
            _ if is_whole => Ok(answers),
            _ => Err(ErrorKind::ResourceBusy.into()),
        }
    }
}

/// Takes a datagram apart.
pub(super) fn each(mut datagram: &[u8], mut message: impl FnMut(NetlinkHeader, &[u8])) {
    while let Ok(buffer) = NetlinkBuffer::new_checked(datagram) {
        let length = buffer.length() as usize;
        let Some(bytes) = datagram.get(..length) else { return };
        let mut header = NetlinkHeader::default();
        header.message_type = buffer.message_type();
        (header.flags, header.sequence_number) = (buffer.flags(), buffer.sequence_number());
        message(header, bytes);
        datagram = datagram.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
}
