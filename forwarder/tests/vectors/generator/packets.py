# SPDX-License-Identifier: MIT OR Apache-2.0
"""Inner packets and the frames that they arrive in."""

import struct

from scapy.all import ICMP, IP, TCP, UDP, Ether, ICMPv6EchoReply, ICMPv6EchoRequest, IPv6, Raw, raw
from scapy.layers.inet import in4_pseudoheader
from scapy.layers.inet6 import in6_pseudoheader
from scapy.utils import checksum

from .model import Inner, flow

CLIENT4, CLIENT6 = "203.0.113.9", "2001:db8:f::9"
ROUTER = "02:00:00:00:ff:01"
OWN = "02:00:00:00:00:01"

PROTOCOLS = {"tcp": 6, "udp": 17, "dccp": 33, "sctp": 132, "udplite": 136}


def client(destination):
    return CLIENT6 if ":" in destination else CLIENT4


def header(source, destination, protocol, **fields):
    if ":" in destination:
        return IPv6(src=source, dst=destination, nh=protocol, hlim=fields.pop("ttl", 57), **fields)
    return IP(src=source, dst=destination, proto=protocol, ttl=fields.pop("ttl", 57), **{"id": 7, **fields})


def transport(protocol, sport, dport, ip, payload):
    """The bytes of a transport header and payload, with right checksums."""
    if protocol == "tcp":
        return raw((ip / TCP(sport=sport, dport=dport, flags="SA", seq=1, ack=2) / Raw(payload)))[len(raw(ip)) :]
    if protocol == "udp":
        return raw((ip / UDP(sport=sport, dport=dport) / Raw(payload)))[len(raw(ip)) :]
    ports = struct.pack(">HH", sport, dport)
    if protocol == "udplite":  # checksum over the header's eight bytes; 0 is none (RFC 3828, section 3.1)
        data = with_checksum(ip, 136, ports + bytes.fromhex("0008 0000"), 6, 8 + len(payload))
        return data + payload
    if protocol == "sctp":  # verification tag, CRC-32C over all (RFC 9260, section 6.8), a COOKIE ACK chunk
        tag, chunk = bytes.fromhex("11223344"), bytes.fromhex("0b000004")
        return ports + tag + struct.pack("<I", castagnoli(ports + tag + bytes(4) + chunk + payload)) + chunk + payload
    if protocol == "dccp":  # data offset 3, checksum over all (RFC 4340, section 9), DCCP-Data with a short sequence number
        return with_checksum(ip, 33, ports + bytes.fromhex("03000000 04000001") + payload, 6)
    raise ValueError(protocol)


def with_checksum(ip, number, data, at, length=None):
    """The data with the right checksum at an offset where it has zeros; `length` is that of the pseudo-header."""
    pseudo = in6_pseudoheader if isinstance(ip, IPv6) else in4_pseudoheader
    pseudo = pseudo(number, ip, len(data) if length is None else length)
    sum_ = checksum(raw(pseudo) + data) or 0xFFFF
    return data[:at] + struct.pack(">H", sum_) + data[at + 2 :]


def castagnoli(data):
    """CRC-32C as RFC 9260 has it, bit by bit."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


assert castagnoli(b"123456789") == 0xE3069283  # the check value of the catalogue of CRCs


def packet(destination, dport, protocol="tcp", sport=443, payload=b"sluice!!", source=None, **fields):
    """A packet of a port protocol."""
    source = source or client(destination)
    number = PROTOCOLS[protocol]
    ip = header(source, destination, number, **fields)
    body = transport(protocol, sport, dport, header(source, destination, number), payload)
    return Inner(joined(ip, body), flow(source, destination, number, sport, dport))


def sized(total, destination, dport, **fields):
    """A UDP packet of `total` bytes."""
    overhead = len(packet(destination, dport, "udp", payload=b"", **fields).bytes)
    return packet(destination, dport, "udp", payload=bytes(total - overhead), **fields)


def with_options(destination, dport, options, **fields):
    """A TCP packet with these bytes as IPv4 options."""
    plain = packet(destination, dport, **fields)
    start = bytes([0x45 + len(options) // 4, 0]) + struct.pack(">H", len(plain.bytes) + len(options))
    return patched(Inner(plain.bytes[:20] + options + plain.bytes[20:], plain.flow), 0, start)


def portless(destination, number, payload=bytes.fromhex("0000080045000000"), source=None, **fields):
    """A packet of a protocol without ports, or one whose ports can't be read."""
    source = source or client(destination)
    return Inner(joined(header(source, destination, number, **fields), payload), flow(source, destination, number))


def echo(destination, identifier=0x1234, reply=False, source=None):
    """An echo request or reply: the identifier stands for both ports."""
    source = source or client(destination)
    if ":" in destination:
        kind = ICMPv6EchoReply if reply else ICMPv6EchoRequest
        message = raw(IPv6(src=source, dst=destination) / kind(id=identifier, seq=1, data=b"sluice"))[40:]
        number = 58
    else:
        message = raw(ICMP(type=0 if reply else 8, id=identifier, seq=1) / Raw(b"sluice"))
        number = 1
    return Inner(
        joined(header(source, destination, number), message), flow(source, destination, number, identifier, identifier)
    )


def extended(destination, chain, body, source=None, hashed=None):
    """An IPv6 packet with extension headers: `chain` is a list of (protocol, bytes behind its next-header byte), `body` the
    protocol and bytes behind them; `hashed` the protocol and ports of the flow hash."""
    source = source or CLIENT6
    protocols = [protocol for protocol, _ in chain] + [body[0]]
    headers = b"".join(bytes([after]) + rest for after, (_, rest) in zip(protocols[1:], chain))
    ip = header(source, destination, protocols[0])
    return Inner(joined(ip, headers + body[1]), flow(source, destination, *hashed))


def joined(ip, body):
    """The bytes of a packet: scapy fills in lengths and the header checksum."""
    ip = ip.copy()
    if isinstance(ip, IPv6):
        ip.plen = len(body)
    else:
        ip.ihl = None
        ip.len = len(raw(ip)) + len(body)
        ip.chksum = None
    return raw(ip) + body


def patched(inner, offset, new, fix_checksum=True):
    """The same packet with some bytes replaced, an IPv4 header checksum put right unless told otherwise."""
    data = bytearray(inner.bytes)
    data[offset : offset + len(new)] = new
    if fix_checksum and inner.is_v4:
        data[10:12] = b"\0\0"
        length = (data[0] & 15) * 4
        total = sum(struct.unpack(f">{length // 2}H", data[:length]))
        while total >> 16:
            total = (total >> 16) + (total & 0xFFFF)
        data[10:12] = struct.pack(">H", total ^ 0xFFFF)
    return Inner(bytes(data), inner.flow)


def framed(inner, tags=(), padding=b"", destination=OWN, ethertype=None):
    """The frame that a packet arrives in; tags are (TPID, TCI) pairs."""
    data = inner.bytes if isinstance(inner, Inner) else inner
    if ethertype is None:
        ethertype = 0x0800 if data[0] >> 4 == 4 else 0x86DD
    ether = raw(Ether(dst=destination, src=ROUTER, type=ethertype))
    link = ether[:12] + b"".join(struct.pack(">HH", *tag) for tag in tags) + ether[12:]
    return [link, data + padding]
