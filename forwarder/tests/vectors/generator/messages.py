# SPDX-License-Identifier: MIT OR Apache-2.0
"""ICMP messages, and what the forwarder sends by itself."""

import struct

from scapy.all import ICMP, IP, IPv6, Raw, raw
from scapy.layers.inet6 import in6_chksum
from scapy.utils import checksum

from .model import Inner, flow
from .packets import client, header, joined, packet

ROUTER4, ROUTER6 = "192.0.2.200", "2001:db8:99::1"


def hop(destination):
    """A router on the way, which sends errors."""
    return ROUTER6 if ":" in destination else ROUTER4


def summed(source, destination, message):
    """The message with the right checksum."""
    message = message[:2] + bytes(2) + message[4:]
    if ":" in destination:
        sum_ = in6_chksum(58, IPv6(src=source, dst=destination), message)
    else:
        sum_ = checksum(message)
    return message[:2] + struct.pack(">H", sum_) + message[4:]


def message(
    destination, kind, code=0, rest=bytes(4), body=b"", source=None, hashed=None, wrong_checksum=False, **fields
):
    """An ICMP packet; `rest` is the second word of its header, `hashed` the input of its flow hash where that is not its own
    addresses and protocol."""
    source = source or client(destination)
    number = 58 if ":" in destination else 1
    data = summed(source, destination, struct.pack(">BBH", kind, code, 0) + rest + body)
    if wrong_checksum:
        data = data[:3] + bytes([data[3] ^ 1]) + data[4:]
    ip = header(source, destination, number, **fields)
    return Inner(joined(ip, data), hashed or flow(source, destination, number))


def echo(destination, identifier, kind, payload=b"sluice", source=None, **fields):
    """An echo message: the identifier stands for both ports."""
    source = source or client(destination)
    hashed = flow(source, destination, 58 if ":" in destination else 1, identifier, identifier)
    rest = struct.pack(">HH", identifier, 1)
    return message(destination, kind, rest=rest, body=payload, source=source, hashed=hashed, **fields)


def sent(owner, port, protocol="udp", **fields):
    """A packet that the server with this port of the address `owner` has sent to its client; the flow is that of the packets
    that come back."""
    inner = packet(client(owner), 443, protocol, sport=port, source=owner, payload=b"question", **fields)
    number = {"tcp": 6, "udp": 17, "dccp": 33, "sctp": 132, "udplite": 136}[protocol]
    return Inner(inner.bytes, flow(client(owner), owner, number, 443, port))


def error(destination, quote, kind=None, **fields):
    """An error from a router on the way about `quote`, whose flow it travels with; bytes have none."""
    kind = kind or (1 if ":" in destination else 3)
    data, hashed = (quote.bytes, quote.flow) if isinstance(quote, Inner) else (quote, None)
    return message(destination, kind, body=data, hashed=hashed, **{"source": hop(destination), **fields})


def reply(request, payload=b"sluice", identifier=2048, traffic_class=0):
    """The answer to an echo request, built afresh."""
    ip = IP(request.bytes) if request.is_v4 else IPv6(request.bytes)
    rest = struct.pack(">HH", identifier, 1)
    if request.is_v4:
        answer = IP(src=ip.dst, dst=ip.src, id=0, flags="DF", ttl=64, tos=traffic_class, proto=1)
        kind = 0
    else:
        answer = IPv6(src=ip.dst, dst=ip.src, hlim=64, tc=traffic_class, nh=58)
        kind = 129
    data = summed(ip.dst, ip.src, struct.pack(">BBH", kind, 0, 0) + rest + payload)
    return joined(answer, data)


def too_big(inner, mtu, source=None, at_most=None):
    """The error about a packet that does not fit: what would, and as much of the packet as may be quoted."""
    if inner.is_v4:
        ip = IP(inner.bytes)
        source = source or ip.dst
        answer = IP(src=source, dst=ip.src, id=0, flags="DF", ttl=64) / ICMP(type=3, code=4, nexthopmtu=mtu)
        quote = inner.bytes[: (at_most or 576) - 28]
        return raw(answer / Raw(quote))
    ip = IPv6(inner.bytes)
    source = source or ip.dst
    quote = inner.bytes[: (at_most or 1280) - 48]
    data = summed(source, ip.src, struct.pack(">BBHI", 2, 0, 0, mtu) + quote)
    return joined(IPv6(src=source, dst=ip.src, hlim=64, nh=58), data)


def cut(inner, lengths, copied=b""):
    """The pieces of an IPv4 packet, by the bytes of payload that each has; `copied` are the options that all have."""
    whole = inner.bytes
    header_len = (whole[0] & 15) * 4
    payload, options = whole[header_len:], whole[20:header_len]
    (word,) = struct.unpack(">H", whole[6:8])
    assert sum(lengths) == len(payload)
    pieces, at = [], 0
    source, destination = IP(whole).src, IP(whole).dst
    for number, length in enumerate(lengths):
        own = copied if number else options
        more = 0x2000 if number + 1 < len(lengths) else word & 0x2000
        fragmentation = word & 0x8000 | more | (word & 0x1FFF) + at // 8
        head = bytearray(whole[:20])
        head[0] = 0x45 + len(own) // 4
        head[2:4] = struct.pack(">H", 20 + len(own) + length)
        head[6:8] = struct.pack(">H", fragmentation)
        head[10:12] = bytes(2)
        head[10:12] = struct.pack(">H", checksum(bytes(head) + own))
        data = bytes(head) + own + payload[at : at + length]
        pieces.append(Inner(data, flow(source, destination, whole[9])))
        at += length
    return pieces
