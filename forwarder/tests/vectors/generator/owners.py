# SPDX-License-Identifier: MIT OR Apache-2.0
"""Who gets a packet: cases of ports, protocols without ports, whole addresses, data centres, draining slices."""

import struct

from .file import Vectors
from .network import (
    CDG,
    CDG_1,
    DRAINING4,
    LHR_1,
    LHR_2,
    LHR_3,
    MAN,
    MAN4,
    PLAIN,
    RANGES4,
    RANGES6,
    REMOTE4,
    REMOTE6,
    REMOTE_SLICED4,
    SLICED4,
    SLICED6,
    UNASSIGNED4,
    UNASSIGNED6,
    WHOLE4,
    WHOLE4_TO_V6,
    WHOLE6,
)
from .packets import echo, extended, packet, patched, portless


def ports():
    with Vectors(
        PLAIN, "ports", "Port protocols to sliced addresses: the owner of the destination port gets them."
    ) as v:
        for protocol in ("tcp", "udp", "udplite", "sctp", "dccp"):
            for family, address, first in (("4", SLICED4, 2048), ("6", SLICED6, 2048)):
                inner = packet(address, first, protocol)
                v.sends(
                    f"{protocol}{family}-to-ipv4-server", "first port of lhr-1's", inner, PLAIN.server(inner, LHR_1)
                )
                inner = packet(address, first + (2048 if family == "4" else 1024), protocol)
                v.sends(
                    f"{protocol}{family}-to-ipv6-server", "first port of lhr-2's", inner, PLAIN.server(inner, LHR_2)
                )
        for port, server in ((4095, LHR_1), (6143, LHR_2), (6144, LHR_3), (8191, LHR_3)):
            inner = packet(SLICED4, port, "udp", sport=53)
            v.sends(
                f"slice-edge-{port}",
                "ports of a slice count from its first to its last",
                inner,
                PLAIN.server(inner, server),
            )
        for port in (0, 1, 2047, 8192, 65535):
            v.drops(
                f"unallocated-{port}",
                "in no allocated slice, or no port at all",
                packet(SLICED4, port),
                "unallocated_port",
            )
        inner = packet(RANGES4, 65535)
        v.sends("last-port", "a range of one port, the last one", inner, PLAIN.server(inner, LHR_2))
        v.drops("before-the-last-port", "a gap between ranges", packet(RANGES4, 65534), "unallocated_port")
        inner = packet(RANGES6, 1, "udp")
        v.sends("ipv6-range", "first port of a range on IPv6", inner, PLAIN.server(inner, LHR_1))
        v.drops("ipv6-port-0", "port 0 has no owner", packet(RANGES6, 0, "udp"), "unallocated_port")
        inner = packet(SLICED4, 2048, "udp", payload=b"")
        inner = patched(inner, 2, struct.pack(">H", 24))
        inner.bytes = inner.bytes[:24]
        v.sends(
            "four-bytes-of-udp", "both ports are there, and nothing more is asked", inner, PLAIN.server(inner, LHR_1)
        )
        for protocol, number in (("tcp", 6), ("udp", 17), ("dccp", 33), ("sctp", 132), ("udplite", 136)):
            v.drops(
                f"three-bytes-of-{protocol}",
                "the destination port is cut",
                portless(SLICED4, number, b"\x01\xbb\x08"),
                "malformed",
            )
        v.drops(
            "three-bytes-of-udp-ipv6",
            "the destination port is cut",
            portless(SLICED6, 17, b"\x01\xbb\x08"),
            "malformed",
        )
        v.drops("unassigned-ipv4", "announced, in nobody's hands", packet(UNASSIGNED4, 2048), "unassigned_address")
        v.drops("unassigned-ipv6", "announced, in nobody's hands", packet(UNASSIGNED6, 2048), "unassigned_address")


def portless_protocols():
    with Vectors(PLAIN, "portless", "Protocols without ports, and ICMP and fragments, to sliced addresses.") as v:
        for name, number in (
            ("gre", 47),
            ("esp", 50),
            ("ah", 51),
            ("ipip", 4),
            ("icmpv6-in-ipv4", 58),
            ("none", 59),
            ("reserved", 255),
        ):
            inner = portless(RANGES4, number)
            v.sends(f"{name}-to-portless-owner", "the entry names lhr-3 for these", inner, PLAIN.server(inner, LHR_3))
            v.drops(
                f"{name}-without-portless-owner",
                "the entry names nobody for these",
                portless(SLICED4, number),
                "no_port",
            )
        for name, number in (
            ("icmp-in-ipv6", 1),
            ("esp", 50),
            ("ah", 51),
            ("no-next-header", 59),
            ("mobility", 135),
            ("hip", 139),
        ):
            inner = portless(SLICED6, number)
            v.sends(
                f"{name}-ipv6-to-portless-owner", "the entry names lhr-2 for these", inner, PLAIN.server(inner, LHR_2)
            )
            v.drops(
                f"{name}-ipv6-without-portless-owner", "the entry names nobody", portless(RANGES6, number), "no_port"
            )
        v.drops(
            "timestamp-request",
            "ICMP that no sliced address wants",
            portless(RANGES4, 1, bytes.fromhex("0d00f2ff00000000")),
            "icmp_unwanted",
        )
        v.drops("icmp-cut", "seven bytes of ICMP", portless(RANGES4, 1, bytes(7)), "malformed")
        v.drops("icmpv6-cut", "seven bytes of ICMPv6", portless(SLICED6, 58, bytes([128]) + bytes(6)), "malformed")


def whole():
    with Vectors(
        PLAIN, "whole", "Addresses that belong to one server: every packet travels, whatever is above IP."
    ) as v:
        for name, inner in (
            ("tcp", packet(WHOLE4, 1)),
            ("port-0", packet(WHOLE4, 0, "udp")),
            ("gre", portless(WHOLE4, 47)),
            ("empty", portless(WHOLE4, 6, b"")),
            ("three-bytes-of-tcp", portless(WHOLE4, 6, b"\x01\xbb\x08")),
            ("four-bytes-of-icmp", portless(WHOLE4, 1, b"\x08\x00\xf7\xff")),
            ("echo-request", echo(WHOLE4)),
            ("echo-reply", echo(WHOLE4, reply=True)),
            ("first-fragment", portless(WHOLE4, 17, bytes(16), flags="MF")),
            ("first-fragment-with-ports", portless(WHOLE4, 6, bytes.fromhex("01bb100000000000"), flags="MF")),
            ("later-fragment", portless(WHOLE4, 17, bytes(16), frag=2)),
            ("tcp-ipv6", packet(WHOLE6, 1)),
            ("echo-request-ipv6", echo(WHOLE6)),
            ("echo-reply-ipv6", echo(WHOLE6, reply=True)),
            ("esp-ipv6", portless(WHOLE6, 50)),
            ("three-bytes-of-tcp-ipv6", portless(WHOLE6, 6, b"\x01\xbb\x08")),
            ("extension-header-cut", portless(WHOLE6, 60, b"\x06\x01" + bytes(6))),
            ("fragment-ipv6", extended(WHOLE6, [(44, bytes.fromhex("00000100000007"))], (17, bytes(8)), hashed=[17])),
            (
                "ports-behind-extension-headers",
                extended(
                    WHOLE6,
                    [(0, bytes.fromhex("00010400000000"))],
                    (6, bytes.fromhex("01bb1092") + bytes(16)),
                    hashed=[6, 443, 4242],
                ),
            ),
        ):
            v.sends(name, "all of it is lhr-1's", inner, PLAIN.server(inner, LHR_1))
        inner = packet(WHOLE4_TO_V6, 2048)
        v.sends("ipv4-over-ipv6", "lhr-2 is reached over IPv6", inner, PLAIN.server(inner, LHR_2))
        v.kernel(
            "neighbour-solicitation",
            "neighbour discovery from the wire is the kernel's, whoever it is for",
            portless(WHOLE6, 58, bytes.fromhex("87000000 00000000") + bytes(16)),
        )


def remote():
    with Vectors(
        PLAIN, "remote", "Addresses of other data centres: the flow hash chooses among their forwarders."
    ) as v:
        for sport in range(1000, 1012):
            inner = packet(REMOTE4, 4242, "udp", sport=sport)
            v.sends(f"flow-{sport}", "one of three forwarders", inner, PLAIN.datacenter(inner, *CDG))
        inner = packet(REMOTE6, 4242)
        v.sends("ipv6", "one of three forwarders", inner, PLAIN.datacenter(inner, *CDG))
        inner = packet(MAN4, 4242)
        v.sends("one-forwarder", "there is no choice", inner, PLAIN.datacenter(inner, *MAN))
        for name, inner in (
            ("unallocated-there", packet(REMOTE_SLICED4, 60000)),
            ("port-0", packet(REMOTE_SLICED4, 0)),
            ("gre", portless(REMOTE_SLICED4, 47)),
            ("echo-request", echo(REMOTE_SLICED4)),
            ("fragment", portless(REMOTE_SLICED4, 17, bytes(16), frag=2)),
            ("cut", portless(REMOTE_SLICED4, 6, b"\x01")),
        ):
            v.sends(name, "not ours to judge: it travels", inner, PLAIN.datacenter(inner, *CDG))


def previous():
    with Vectors(
        PLAIN, "previous", "Slices that drain: the previous owner's hop, in front of whole TCP and UDP over IPv4."
    ) as v:
        for protocol in ("tcp", "udp"):
            inner = packet(RANGES4, 4096, protocol)
            v.sends(f"{protocol}", "lhr-3, before it lhr-1", inner, PLAIN.server(inner, LHR_3, previous=LHR_1))
            inner = packet(SLICED6, 4096, protocol)
            v.sends(
                f"{protocol}-ipv6-inside",
                "the owners' family counts",
                inner,
                PLAIN.server(inner, LHR_3, previous=LHR_1),
            )
        for protocol in ("udplite", "sctp", "dccp"):
            inner = packet(RANGES4, 4096, protocol)
            v.sends(protocol, "redirectors know TCP and UDP only", inner, PLAIN.server(inner, LHR_3))
        inner = packet(RANGES4, 6144)
        v.sends("owner-over-ipv6", "the hop's words need IPv4 owners", inner, PLAIN.server(inner, LHR_2))
        inner = packet(RANGES4, 7000)
        v.sends("previous-owner-over-ipv6", "the hop's words need IPv4 owners", inner, PLAIN.server(inner, LHR_1))
        inner = packet(RANGES4, 8999)
        v.sends(
            "previous-owner-elsewhere",
            "it may be a server of another data centre",
            inner,
            PLAIN.server(inner, LHR_3, previous=CDG_1),
        )
        inner = packet(DRAINING4, 1)
        v.sends("whole-address", "lhr-3, before it lhr-1", inner, PLAIN.server(inner, LHR_3, previous=LHR_1))
        for name, inner in (
            ("whole-address-gre", portless(DRAINING4, 47)),
            ("whole-address-first-fragment", portless(DRAINING4, 17, bytes(16), flags="MF")),
            ("whole-address-later-fragment", portless(DRAINING4, 6, bytes(16), frag=2)),
            ("whole-address-echo", echo(DRAINING4)),
        ):
            v.sends(name, "no hop in front of this", inner, PLAIN.server(inner, LHR_3))
        inner = portless(RANGES4, 47)
        v.sends("portless", "no hop in front of this", inner, PLAIN.server(inner, LHR_3))
