# SPDX-License-Identifier: MIT OR Apache-2.0
"""A program with connections: does what it is told, a line each, and says where the other end sees it come from."""
import errno
import socket
import sys

kept = []


def new(kind, far, *bound):
    family = socket.AF_INET6 if ":" in (far or bound[0]) else socket.AF_INET
    made = socket.socket(family, kind)
    made.settimeout(3)
    if bound:
        made.bind((bound[0], int(bound[1])))
    return made


def kept_answer(made):
    answer = made.recv(100).decode().strip()
    kept.append(made)
    return answer


def tcp(far, *bound):
    made = new(socket.SOCK_STREAM, far, *bound)
    made.connect((far, 80))
    return kept_answer(made)


def many(count, *fars):
    return ",".join(attempt(tcp, far) for _ in range(int(count)) for far in fars)


def udp(far, *bound):
    made = new(socket.SOCK_DGRAM, far, *bound)
    made.connect((far, 53))
    made.send(b"?")
    return kept_answer(made)


def udps(count, far):
    return ",".join(attempt(udp, far) for _ in range(int(count)))


def send(far, *bound):
    made = new(socket.SOCK_DGRAM, far, *bound)
    made.sendto(b"?", (far, 53))
    return kept_answer(made)


def told(far, source):
    """A datagram of a connected socket, with the address that it is to leave from beside it."""
    made = new(socket.SOCK_DGRAM, far)
    made.connect((far, 53))
    if ":" in far:
        beside = (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, socket.inet_pton(socket.AF_INET6, source) + bytes(4))
    else:
        beside = (socket.IPPROTO_IP, 8, bytes(4) + socket.inet_aton(source) + bytes(4))  # IP_PKTINFO
    made.sendmsg([b"?"], [beside])
    return kept_answer(made)


def marked():
    """A datagram of a connected socket that is there already, with a mark for congestion control."""
    made = next(made for made in kept if made.type == socket.SOCK_DGRAM)
    made.sendmsg([b"?"], [(socket.IPPROTO_IP, socket.IP_TOS, b"\1")])
    return made.recv(100).decode().strip()


def again(far):
    """A datagram from a socket that is there already."""
    made = next(made for made in kept if made.type == socket.SOCK_DGRAM)
    made.sendto(b"?", (far, 53))
    return made.recvfrom(100)[0].decode().strip()


def bind(kind, *bound):
    made = new({"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}[kind], None, *bound)
    kept.append(made)
    if kind == "tcp":
        made.listen()
    return "{} {}".format(*made.getsockname())


def port():
    """Of the connection that was made last."""
    return str(kept[-1].getsockname()[1])


def large(far, *bound):
    """A datagram in several pieces."""
    made = new(socket.SOCK_DGRAM, far, *bound)
    made.connect((far, 53))
    made.send(bytes(4000))
    return kept_answer(made)


def knock(far, port):
    """A connection to where nobody listens."""
    new(socket.SOCK_STREAM, far).connect((far, int(port)))
    return "open"


def poke(far, port):
    """A datagram to where nobody listens."""
    made = new(socket.SOCK_DGRAM, far)
    made.connect((far, int(port)))
    made.send(b"?")
    return made.recv(100).decode()


def frame(octets):
    """An Ethernet frame as it is."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as made:
        made.bind(("eth0", 0))
        try:
            made.send(bytes.fromhex(octets))
        except OSError as error:
            # What is dropped on its way out is an error like a full queue's.
            if error.errno != errno.ENOBUFS:
                raise
    return "sent"


def local():
    """A connection that has nothing to do with the network."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as made:
        return made.getsockname()[0]


def alive():
    """Whether every TCP connection still carries data."""
    for made in kept:
        if made.type == socket.SOCK_STREAM:
            made.sendall(b"still there?")
            try:
                if made.recv(100) != b"still there?":
                    return "broken or silent"
            except TimeoutError:
                return "broken or silent"
    return "alive"


def close():
    while kept:
        kept.pop().close()
    return "closed"


def attempt(do, *words):
    try:
        return do(*words)
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error))


for line in sys.stdin:
    command, *words = line.split()
    print(attempt(globals()[command], *words), flush=True)
