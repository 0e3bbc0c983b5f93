# SPDX-License-Identifier: MIT OR Apache-2.0
"""ICMP: replies by identifier, errors by what they quote, requests answered."""

import struct

from .file import Vectors
from .messages import echo, error, hop, message, reply, sent
from .model import Inner, flow
from .network import (
    CDG,
    DRAINING4,
    LHR_1,
    LHR_2,
    LHR_3,
    OUTSIDE4,
    PLAIN,
    RANGES4,
    RANGES6,
    REMOTE4,
    REMOTE6,
    REMOTE_SLICED4,
    SLICED4,
    SLICED6,
    TAGGED,
    UNASSIGNED4,
    WHOLE4,
    WHOLE6,
)
from .packets import CLIENT4, CLIENT6, extended, header, joined, patched, portless
from .peers import from_peer

PORT_PROTOCOLS = ("tcp", "udp", "udplite", "sctp", "dccp")
HOP_BY_HOP = (0, bytes.fromhex("00010400000000"))
DESTINATION_OPTIONS = (60, bytes.fromhex("00010400000000"))
ROUTING = (43, bytes.fromhex("02000000000000") + bytes(16))


def sent_echo(owner, identifier, kind):
    """An echo message that a server has sent, with the flow of what comes back."""
    inner = echo(CLIENT6 if ":" in owner else CLIENT4, identifier, kind, source=owner)
    back = flow(CLIENT6 if ":" in owner else CLIENT4, owner, 58 if ":" in owner else 1, identifier, identifier)
    return Inner(inner.bytes, back)


def sent_behind(owner, chain, last, hashed):
    """An IPv6 packet with extension headers that a server has sent; `hashed` are protocol and ports of what comes back."""
    inner = extended(CLIENT6, chain, last, source=owner, hashed=hashed)
    return Inner(inner.bytes, flow(CLIENT6, owner, *hashed))


def first(inner, length):
    """The first bytes of a packet, for a quote that is cut."""
    return Inner(inner.bytes[:length], inner.flow)


def replies():
    with Vectors(PLAIN, "echo-replies", "Echo replies: the identifier is the port.") as v:
        for address, kind, family in ((SLICED4, 0, "4"), (SLICED6, 129, "6")):
            for identifier, server in ((2048, LHR_1), (3071, LHR_1), (4096, LHR_2 if family == "4" else LHR_3)):
                inner = echo(address, identifier, kind)
                v.sends(f"{identifier}-ipv{family}", "owned like a port", inner, PLAIN.server(inner, server))
            for identifier in (0, 1, 65535):
                v.drops(f"{identifier}-ipv{family}", "nobody's", echo(address, identifier, kind), "unallocated_port")
            inner = echo(address, 2048, kind, payload=b"")
            v.sends(f"empty-ipv{family}", "eight bytes are enough", inner, PLAIN.server(inner, LHR_1))
            inner = echo(address, 2048, kind, wrong_checksum=True)
            v.sends(f"checksum-ipv{family}", "the receiver's to check", inner, PLAIN.server(inner, LHR_1))
        inner = echo(RANGES4, 4096, 0)
        v.sends("draining", "ICMP has no previous owner", inner, PLAIN.server(inner, LHR_3))
        inner = echo(SLICED4, 2048, 0)
        v.sends("peer", "as from the wire", from_peer(inner), PLAIN.server(inner, LHR_1))
        v.drops("martian", "whoever's it is", echo(SLICED4, 2048, 0, source="127.0.0.1"), "martian_source")
        v.drops("unassigned", "in nobody's hands", echo(UNASSIGNED4, 2048, 0), "unassigned_address")
        v.kernel("outside", "not in the table", echo(OUTSIDE4, 2048, 0))
        v.kernel("own-address", "the kernel answers and asks for itself", echo("10.0.0.1", 2048, 0))


def requests():
    with Vectors(PLAIN, "echo-requests", "Echo requests to shared addresses are answered; to others they travel.") as v:
        for address, kind, family in ((SLICED4, 8, "4"), (SLICED6, 128, "6")):
            inner = echo(address, 2048, kind)
            v.answers(f"ipv{family}", "from the address, TTL 64, ID 0, DF", inner, reply(inner))
            for name, payload in (("empty", b""), ("odd", b"odd"), ("long", bytes(range(256)) * 5)):
                inner = echo(address, 2048, kind, payload=payload)
                v.answers(f"{name}-ipv{family}", "the same payload", inner, reply(inner, payload))
            for identifier in (0, 1, 65535):
                inner = echo(address, identifier, kind)
                v.answers(f"{identifier}-ipv{family}", "any identifier", inner, reply(inner, identifier=identifier))
            field = "tos" if family == "4" else "tc"
            for traffic_class in (0x01, 0x02, 0x03, 0xB8, 0xFF):
                inner = echo(address, 2048, kind, **{field: traffic_class})
                v.answers(
                    f"class-{traffic_class:02x}-ipv{family}",
                    "the same DSCP, not ECN-capable",
                    inner,
                    reply(inner, traffic_class=traffic_class & 0xFC),
                )
            inner = echo(address, 2048, kind)
            tags = [(0x88A8, 0x2005), (0x8100, 7)]
            v.answers(f"tags-ipv{family}", "the frame's", inner, reply(inner), tags=tags)
            v.answers(f"padding-ipv{family}", "stays behind", inner, reply(inner), padding=bytes(9))
            v.drops(f"checksum-ipv{family}", "wrong", echo(address, 2048, kind, wrong_checksum=True), "malformed")
            overhead = 28 if family == "4" else 48
            inner = echo(address, 2048, kind, payload=bytes(1600 - overhead))
            v.answers(f"largest-ipv{family}", "what the device can send", inner, reply(inner, bytes(1600 - overhead)))
            v.drops(
                f"larger-ipv{family}",
                "a reply of 1601 bytes, and no error about it",
                echo(address, 2048, kind, payload=bytes(1601 - overhead)),
                "too_big",
            )
        inner = echo(SLICED4, 2048, 8, flags="", ttl=1)
        v.answers("flags-and-ttl", "nothing of them is taken over", inner, reply(inner))
        plain = echo(SLICED4, 2048, 8)
        start = bytes([0x47, 0]) + struct.pack(">H", len(plain.bytes) + 8)
        inner = Inner(plain.bytes[:20] + bytes.fromhex("94040000 07040400") + plain.bytes[20:], plain.flow)
        inner = patched(inner, 0, start)
        v.answers("options", "none come back", inner, reply(plain))
        plain = echo(SLICED6, 2048, 128)
        for name, chain in (
            ("extensions", [HOP_BY_HOP, ROUTING, DESTINATION_OPTIONS]),
            ("atomic-fragment", [(44, bytes.fromhex("00000000000007"))]),
        ):
            inner = extended(SLICED6, chain, (58, plain.bytes[40:]), hashed=[58])
            v.answers(name, "none come back", inner, reply(plain))
        v.drops("martian", "nobody to answer", echo(SLICED4, 1, 8, source="127.0.0.1"), "martian_source")
        v.drops("unassigned", "in nobody's hands", echo(UNASSIGNED4, 1, 8), "unassigned_address")
        v.kernel("link-local", "the kernel's", echo(SLICED6, 1, 128, source="fe80::1"))
        for address, kind in ((SLICED4, 8), (SLICED6, 128)):
            inner = echo(address, 2048, kind)
            link = bytes.fromhex("020000000002 020000000001") + (b"\x08\x00" if kind == 8 else b"\x86\xdd")
            v.answers(
                f"peer-{address}",
                "the answer leaves unencapsulated to the device's next hop, not in the peer's tags",
                from_peer(inner),
                reply(inner),
                link,
                tags=[(0x8100, 5)],
            )
    with Vectors(TAGGED, "echo-requests", "Echo requests where the forwarder is told to answer none.") as v:
        v.drops("ipv4", "not answered", echo(SLICED4, 2048, 8), "icmp_unwanted")
        v.drops("checksum", "not looked at", echo(SLICED4, 2048, 8, wrong_checksum=True), "icmp_unwanted")
        inner = echo(WHOLE6, 2048, 128)
        v.sends("whole", "its owner may answer", inner, TAGGED.server(inner, LHR_1))


def errors4():
    with Vectors(PLAIN, "icmp4", "ICMP errors go where the packet came from that they quote, and in its flow.") as v:
        for kind in (3, 11, 12):
            for protocol in PORT_PROTOCOLS:
                inner = error(SLICED4, sent(SLICED4, 2048, protocol), kind)
                v.sends(f"type-{kind}-{protocol}", "port 2048 is lhr-1's", inner, PLAIN.server(inner, LHR_1))
        inner = error(SLICED4, sent(SLICED4, 4096))
        v.sends("over-ipv6", "port 4096 is lhr-2's", inner, PLAIN.server(inner, LHR_2))
        inner = error(RANGES4, sent(RANGES4, 4096, "tcp"))
        v.sends("draining", "ICMP has no previous owner", inner, PLAIN.server(inner, LHR_3))
        inner = error(SLICED4, sent(SLICED4, 2048, "tcp"), source=CLIENT4)
        v.sends("from-the-client", "in the same flow as from a router", inner, PLAIN.server(inner, LHR_1))

        question = sent(SLICED4, 2048)
        for length in (24, 27, 28):
            inner = error(SLICED4, first(question, length))
            v.sends(f"quote-of-{length}", "the ports are there", inner, PLAIN.server(inner, LHR_1))
        for length in (0, 1, 19, 20, 23):
            v.drops(
                f"quote-of-{length}",
                "the ports are not there",
                error(SLICED4, question.bytes[:length]),
                "icmp_unroutable",
            )
        optioned = patched(
            Inner(question.bytes[:20] + bytes.fromhex("94040000") + question.bytes[20:], question.flow), 0, b"\x46"
        )
        for length in (28, 32):
            inner = error(SLICED4, first(optioned, length))
            v.sends(f"quoted-options-{length}", "the ports are behind them", inner, PLAIN.server(inner, LHR_1))
        for length in (20, 23, 24, 27):
            v.drops(
                f"quoted-options-{length}",
                "the ports are behind them",
                error(SLICED4, optioned.bytes[:length]),
                "icmp_unroutable",
            )
        for name, offset, new in (
            ("checksum", 10, b"\xff\xff"),
            ("ttl-0", 8, b"\x00"),
            ("total-length", 2, b"\x00\x00"),
            ("first-fragment", 6, b"\x20\x00"),
            ("dont-fragment", 6, b"\x40\x00"),
        ):
            inner = error(SLICED4, patched(question, offset, new, False))
            v.sends(f"quoted-{name}", "says nothing about the owner", inner, PLAIN.server(inner, LHR_1))
        for name, offset, new in (
            ("later-fragment", 6, b"\x00\x01"),
            ("version-6", 0, b"\x65"),
            ("version-0", 0, b"\x05"),
            ("header-length-4", 0, b"\x44"),
            ("header-length-0", 0, b"\x40"),
            ("header-length-beyond", 0, b"\x4f"),
            ("other-source", 12, bytes([198, 51, 100, 2])),
        ):
            v.drops(
                f"quoted-{name}",
                "names no owner",
                error(SLICED4, patched(question, offset, new, False).bytes),
                "icmp_unroutable",
            )
        v.drops("quoted-ipv6", "another IP version", error(SLICED4, sent(SLICED6, 2048).bytes), "icmp_unroutable")

        inner = error(SLICED4, sent_echo(SLICED4, 2048, 8))
        v.sends("quoted-echo-request", "its identifier", inner, PLAIN.server(inner, LHR_1))
        inner = error(SLICED4, first(sent_echo(SLICED4, 2048, 8), 28))
        v.sends("quoted-echo-request-of-8", "its identifier", inner, PLAIN.server(inner, LHR_1))
        v.drops(
            "quoted-echo-request-of-7", "cut", error(SLICED4, sent_echo(SLICED4, 2048, 8).bytes[:27]), "icmp_unroutable"
        )
        for kind in (0, 3, 13):
            v.drops(
                f"quoted-icmp-{kind}",
                "nobody can tell whose",
                error(SLICED4, sent_echo(SLICED4, 2048, kind).bytes),
                "icmp_unroutable",
            )
        for number in (47, 50, 58):
            quote = portless(CLIENT4, number, source=RANGES4)
            quote.flow = flow(CLIENT4, RANGES4, number)
            inner = error(RANGES4, quote)
            v.sends(f"quoted-protocol-{number}", "the owner of those", inner, PLAIN.server(inner, LHR_3))
            v.drops(
                f"quoted-protocol-{number}-without-owner",
                "the entry names nobody for these",
                error(SLICED4, portless(CLIENT4, number, source=SLICED4).bytes),
                "no_port",
            )
        for port in (0, 1, 2047, 8192):
            v.drops(f"quoted-port-{port}", "nobody's", error(SLICED4, sent(SLICED4, port)), "unallocated_port")

        v.drops("checksum", "wrong", error(SLICED4, question, wrong_checksum=True), "malformed")
        v.drops("checksum-before-quote", "it is not read", error(SLICED4, b"", wrong_checksum=True), "malformed")
        v.drops("martian", "whatever it quotes", error(SLICED4, question, source="127.0.0.1"), "martian_source")
        inner = error(SLICED4, question)
        v.sends("peer", "as from the wire", from_peer(inner), PLAIN.server(inner, LHR_1))
        for kind in (1, 2, 4, 5, 6, 9, 10, 13, 14, 15, 16, 17, 18, 30, 42, 255):
            v.drops(
                f"type-{kind}",
                "no sliced address wants it",
                message(SLICED4, kind, body=question.bytes),
                "icmp_unwanted",
            )


def errors6():
    with Vectors(PLAIN, "icmp6", "The same of ICMPv6, with extension headers outside and in the quote.") as v:
        for kind in (1, 2, 3, 4):
            for protocol in PORT_PROTOCOLS:
                inner = error(SLICED6, sent(SLICED6, 2048, protocol), kind)
                v.sends(f"type-{kind}-{protocol}", "port 2048 is lhr-1's", inner, PLAIN.server(inner, LHR_1))
        question = sent(SLICED6, 2048)
        for length in (44, 48):
            inner = error(SLICED6, first(question, length))
            v.sends(f"quote-of-{length}", "the ports are there", inner, PLAIN.server(inner, LHR_1))
        for length in (0, 39, 40, 43):
            v.drops(
                f"quote-of-{length}",
                "the ports are not there",
                error(SLICED6, question.bytes[:length]),
                "icmp_unroutable",
            )
        ports = (17, struct.pack(">HHHH", 2048, 443, 8, 0))
        whole, fragment, later = (
            bytes.fromhex(text) for text in ("00000000000007", "00000100000007", "00000900000007")
        )
        for name, chain in (
            ("hop-by-hop", [HOP_BY_HOP]),
            ("routing", [ROUTING]),
            ("atomic-fragment", [(44, whole)]),
            ("first-fragment", [(44, fragment)]),
            ("first-fragment-and-options", [HOP_BY_HOP, (44, fragment), DESTINATION_OPTIONS]),
            ("eight", [HOP_BY_HOP] + [DESTINATION_OPTIONS] * 7),
        ):
            inner = error(SLICED6, sent_behind(SLICED6, chain, ports, [17, 443, 2048]))
            v.sends(f"quoted-{name}", "the ports are behind it", inner, PLAIN.server(inner, LHR_1))
        inner = error(SLICED6, sent_behind(SLICED6, [DESTINATION_OPTIONS] * 9, ports, [60]))
        v.sends("quoted-nine", "a packet without ports", inner, PLAIN.server(inner, LHR_2))
        quote = sent_behind(SLICED6, [HOP_BY_HOP, (44, later)], ports, [17, 443, 2048])
        v.drops("quoted-later-fragment", "no ports in it", error(SLICED6, quote.bytes), "icmp_unroutable")
        quote = sent_behind(SLICED6, [HOP_BY_HOP, ROUTING], ports, [17, 443, 2048])
        for length in (40, 47, 48, 71, 72, 75):
            v.drops(
                f"quoted-extension-cut-at-{length}",
                "names no owner",
                error(SLICED6, quote.bytes[:length]),
                "icmp_unroutable",
            )
        for name, offset, new in (
            ("version-4", 0, b"\x45"),
            ("other-source", 8, b"\x20\x02"),
        ):
            v.drops(
                f"quoted-{name}",
                "names no owner",
                error(SLICED6, patched(question, offset, new, False).bytes),
                "icmp_unroutable",
            )
        v.drops("quoted-ipv4", "another IP version", error(SLICED6, sent(SLICED4, 2048).bytes), "icmp_unroutable")

        inner = error(SLICED6, sent_echo(SLICED6, 2048, 128))
        v.sends("quoted-echo-request", "its identifier", inner, PLAIN.server(inner, LHR_1))
        for kind in (129, 1, 135):
            v.drops(
                f"quoted-icmp-{kind}",
                "nobody can tell whose",
                error(SLICED6, sent_echo(SLICED6, 2048, kind).bytes),
                "icmp_unroutable",
            )
        quote = portless(CLIENT6, 50, source=SLICED6)
        quote.flow = flow(CLIENT6, SLICED6, 50)
        inner = error(SLICED6, quote)
        v.sends("quoted-esp", "the owner of those", inner, PLAIN.server(inner, LHR_2))
        v.drops(
            "quoted-esp-without-owner", "nobody", error(RANGES6, portless(CLIENT6, 50, source=RANGES6).bytes), "no_port"
        )
        v.drops("quoted-port-1", "nobody's", error(SLICED6, sent(SLICED6, 1)), "unallocated_port")
        v.drops("checksum", "wrong", error(SLICED6, question, wrong_checksum=True), "malformed")
        plain = error(SLICED6, question)
        for name, chain in (("options", [DESTINATION_OPTIONS]), ("atomic-fragment", [(44, whole)])):
            inner = extended(SLICED6, chain, (58, plain.bytes[40:]), source=hop(SLICED6), hashed=[58])
            inner.flow = question.flow
            v.sends(f"behind-{name}", "walked", inner, PLAIN.server(inner, LHR_1))
        for kind in (0, 5, 100, 127, 130, 131, 132, 138, 139, 143, 160, 200, 255):
            v.drops(
                f"type-{kind}",
                "no sliced address wants it",
                message(SLICED6, kind, body=question.bytes),
                "icmp_unwanted",
            )


def errors_elsewhere():
    with Vectors(
        PLAIN,
        "icmp-whole",
        "ICMP to whole addresses and other data centres: everything travels, errors in the quoted flow.",
    ) as v:
        for address, send in (
            (WHOLE4, lambda i: PLAIN.server(i, LHR_1)),
            (DRAINING4, lambda i: PLAIN.server(i, LHR_3)),
            (WHOLE6, lambda i: PLAIN.server(i, LHR_1)),
            (REMOTE4, lambda i: PLAIN.datacenter(i, *CDG)),
            (REMOTE_SLICED4, lambda i: PLAIN.datacenter(i, *CDG)),
            (REMOTE6, lambda i: PLAIN.datacenter(i, *CDG)),
        ):
            question = sent(address, 1)
            length = 28 if question.is_v4 else 48
            for name, inner in (
                ("error", error(address, question)),
                ("quote-of-8", error(address, first(question, length))),
                ("checksum", error(address, question, wrong_checksum=True)),
                ("no-quote", error(address, b"")),
                ("quote-cut", error(address, question.bytes[: length - 5])),
                ("foreign-quote", error(address, sent(SLICED4 if question.is_v4 else SLICED6, 2048))),
                ("timestamp", message(address, 13 if question.is_v4 else 200)),
            ):
                v.sends(f"{name}-to-{address}", "not ours to judge", inner, send(inner))
        later = joined(header(WHOLE4, CLIENT4, 17, frag=2), bytes(16))
        inner = error(WHOLE4, later)
        v.sends("quoted-later-fragment", "a flow of its own", inner, PLAIN.server(inner, LHR_1))
