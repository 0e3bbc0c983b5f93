# SPDX-License-Identifier: MIT OR Apache-2.0
"""What the headers of a packet may look like: cases of links, addresses, lengths, options, marks, sizes."""

import struct

from .file import Vectors
from .network import (
    CDG,
    LHR_1,
    LHR_2,
    LHR_3,
    OUTSIDE4,
    OUTSIDE6,
    PLAIN,
    RANGES6,
    REMOTE4,
    SLICED4,
    SLICED6,
    TAGGED,
    UNASSIGNED4,
    WHOLE4,
    WHOLE6,
)
from .packets import extended, framed, packet, patched, portless, with_options


def link():
    with Vectors(
        PLAIN, "link", "Ethernet: tags are looked through, padding stays behind, what is not ours is the kernel's."
    ) as v:
        inner = packet(SLICED4, 2048)
        sent = PLAIN.server(inner, LHR_1)
        customer, service = (0x8100, 0x2064), (0x88A8, 0x0005)
        for name, tags in (
            ("customer-tag", [customer]),
            ("service-tag", [service]),
            ("priority-tag", [(0x8100, 0xE000)]),
            ("two-tags", [service, customer]),
            ("two-customer-tags", [customer, customer]),
        ):
            v.sends(name, "looked through", inner, sent, tags=tags)
        v.kernel("three-tags", "too many", inner, tags=[service, customer, customer])
        v.kernel("other-tag", "TPID 0x9100 is not looked through", inner, tags=[(0x9100, 1)])
        short = packet(SLICED4, 2048, "udp", payload=b"")
        v.sends("padding", "28 bytes of packet in a frame of 60", short, PLAIN.server(short, LHR_1), padding=bytes(18))
        short = packet(RANGES6, 2048, "udp", payload=b"")
        v.sends("padding-ipv6", "behind a whole IPv6 packet", short, PLAIN.server(short, LHR_1), padding=b"\xff" * 7)
        v.sends("padding-behind-a-tag", "both go", inner, sent, tags=[customer], padding=b"\xff")
        v.sends("any-unicast-address", "filtering is the NIC's", inner, sent, destination="02:00:00:00:77:77")
        v.kernel("broadcast-frame", "an IP packet for us, but to everybody", inner, destination="ff:ff:ff:ff:ff:ff")
        v.kernel("multicast-frame", "the same to a group", inner, destination="01:00:5e:00:00:01")
        arp = bytes.fromhex("0001080006040001 0200000000ff c0000201 000000000000 0a000001")
        v.kernel("arp-broadcast", "not IP", arp, ethertype=0x0806, destination="ff:ff:ff:ff:ff:ff")
        v.kernel("arp-unicast", "not IP", arp, ethertype=0x0806)
        v.kernel("lldp", "not IP", b"\x02\x07\x04", ethertype=0x88CC, destination="01:80:c2:00:00:0e")
        v.kernel("llc", "a length where the type would be", b"\x42\x42\x03", ethertype=3)
        v.kernel("no-payload", "type unknown, nothing behind it", b"", ethertype=0x1234)
        v.kernel(
            "group-before-malformed",
            "nothing of the packet was looked at",
            patched(inner, 8, b"\0"),
            destination="01:00:5e:00:00:01",
        )
        frame = b"".join(framed(inner, tags=[service, customer]))
        for length in (0, 1, 13, 14, 17, 18, 21):
            v.drops(f"cut-to-{length}", "inside the Ethernet header or a tag", [frame[:length]], "malformed")
        v.drops(
            "cut-tag-to-a-group", "a cut tag comes first", [bytes.fromhex("ffffffffffff") + frame[6:17]], "malformed"
        )


def addresses():
    with Vectors(PLAIN, "addresses", "What addresses alone decide: the kernel's, martians, not in the table.") as v:
        for name, destination in (
            ("outside-ipv4", OUTSIDE4),
            ("outside-ipv6", OUTSIDE6),
            ("multicast-ipv4", "224.0.0.5"),
            ("multicast-ipv6", "ff02::1"),
            ("link-local-ipv4", "169.254.0.1"),
            ("link-local-ipv6", "fe80::1"),
            ("own-ipv4", "10.0.0.1"),
            ("own-ipv6", "2001:db8:a::1"),
        ):
            v.kernel(f"to-{name}", "not for the dataplane", packet(destination, 2048, "udp"))
        v.drops(
            "beside-own-ipv4",
            "the prefix around the own address is in the table",
            packet("10.0.0.2", 2048),
            "unassigned_address",
        )
        v.kernel("from-link-local-ipv6", "means something on its link only", packet(WHOLE6, 1, source="fe80::1"))
        v.kernel("from-link-local-ipv4", "means something on its link only", packet(WHOLE4, 1, source="169.254.7.7"))
        martians = {
            SLICED4: [
                "0.0.0.0",
                "0.1.2.3",
                "127.0.0.1",
                "127.255.255.255",
                "224.0.0.1",
                "239.1.2.3",
                "240.0.0.1",
                "255.255.255.255",
            ],
            SLICED6: ["::", "::1", "ff02::1", "ff0e::1"],
        }
        for destination, sources in martians.items():
            for source in sources:
                v.drops(
                    f"martian-{source}",
                    "nobody can be answered there",
                    packet(destination, 2048, source=source),
                    "martian_source",
                )
        for destination in (WHOLE4, REMOTE4, UNASSIGNED4):
            v.drops(
                f"martian-to-{destination}",
                "whoever's the destination is",
                packet(destination, 1, source="127.0.0.1"),
                "martian_source",
            )
        v.kernel("martian-to-outside", "the table comes first", packet(OUTSIDE4, 1, source="127.0.0.1"))
        for source in (
            "1.0.0.1",
            "10.9.9.9",
            "126.255.255.255",
            "128.0.0.1",
            "192.168.1.1",
            "223.255.255.255",
            SLICED4,
        ):
            inner = packet(SLICED4, 2048, source=source)
            v.sends(f"honest-{source}", "can be answered, if only by some", inner, PLAIN.server(inner, LHR_1))


def malformed():
    with Vectors(PLAIN, "malformed", "IP headers that make no sense, whoever they are for.") as v:
        four, six = packet(SLICED4, 2048), packet(SLICED6, 2048)
        v.drops("ipv4-nothing", "no header at all", b"", "malformed", ethertype=0x0800)
        v.drops("ipv4-19-bytes", "header cut", four.bytes[:19], "malformed")
        v.drops("ipv4-version-6", "under the type of IPv4", patched(four, 0, b"\x65"), "malformed", ethertype=0x0800)
        v.drops("ipv4-version-5", "no such version", patched(four, 0, b"\x55"), "malformed", ethertype=0x0800)
        v.drops("ipv4-header-length-4", "below the fixed part", patched(four, 0, b"\x44"), "malformed")
        v.drops("ipv4-header-length-0", "below the fixed part", patched(four, 0, b"\x40"), "malformed")
        v.drops(
            "ipv4-header-beyond-packet",
            "60 bytes of header in 48 of packet",
            patched(four, 0, b"\x4f", False),
            "malformed",
        )
        v.drops("ipv4-total-length-19", "below the header", patched(four, 2, b"\x00\x13"), "malformed")
        v.drops("ipv4-total-length-0", "below the header", patched(four, 2, b"\x00\x00"), "malformed")
        v.drops(
            "ipv4-total-length-beyond-frame",
            "one byte more than the frame holds",
            patched(four, 2, struct.pack(">H", len(four.bytes) + 1)),
            "malformed",
        )
        v.drops(
            "ipv4-checksum",
            "one bit of it is wrong",
            patched(four, 11, bytes([four.bytes[11] ^ 1]), False),
            "malformed",
        )
        v.drops("ipv4-checksum-0", "zero does not mean none here", patched(four, 10, b"\0\0", False), "malformed")
        v.drops("ipv4-ttl-0", "should not have been sent on", patched(four, 8, b"\0"), "malformed")
        v.drops(
            "ipv4-checksum-over-options",
            "the options count",
            patched(with_options(WHOLE4, 1, bytes.fromhex("01010100")), 20, b"\0", False),
            "malformed",
        )
        inner = patched(four, 8, b"\1")
        v.sends("ipv4-ttl-1", "this is no router hop", inner, PLAIN.server(inner, LHR_1))
        v.drops("ipv6-nothing", "no header at all", b"", "malformed", ethertype=0x86DD)
        v.drops("ipv6-39-bytes", "header cut", six.bytes[:39], "malformed")
        v.drops(
            "ipv6-version-4", "under the type of IPv6", patched(six, 0, b"\x40", False), "malformed", ethertype=0x86DD
        )
        v.drops(
            "ipv6-length-beyond-frame",
            "one byte more than the frame holds",
            patched(six, 4, struct.pack(">H", len(six.bytes) - 39)),
            "malformed",
        )
        v.drops("ipv6-hop-limit-0", "should not have been sent on", patched(six, 7, b"\0"), "malformed")
        inner = patched(six, 7, b"\1")
        v.sends("ipv6-hop-limit-1", "this is no router hop", inner, PLAIN.server(inner, LHR_1))
        for name, destination in (
            ("outside", OUTSIDE4),
            ("multicast", "224.0.0.1"),
            ("own", "10.0.0.1"),
            ("whole", WHOLE4),
            ("remote", REMOTE4),
        ):
            v.drops(f"ttl-0-to-{name}", "before any address is looked at", packet(destination, 1, ttl=0), "malformed")


LOOSE = bytes.fromhex("83070400 00000000")  # a loose source route


def ipv4_options():
    with Vectors(PLAIN, "options", "IPv4 options: looked over, never a reason to read ports at the wrong place.") as v:
        for name, text in (
            ("router-alert", "94040000"),
            ("record-route", "07070400 00000000"),
            ("no-operations", "01010101"),
            ("end-then-anything", "00830304"),
            ("forty-bytes", "01" * 40),
        ):
            inner = with_options(SLICED4, 2048, bytes.fromhex(text))
            v.sends(name, "port 2048 behind the options is lhr-1's", inner, PLAIN.server(inner, LHR_1))
        for name, text in (
            ("loose", "83070400 00000000"),
            ("strict", "01890704 00000000"),
            ("after-others", "94040000 83030400"),
        ):
            v.drops(
                f"source-route-{name}",
                "no packet may choose its way",
                with_options(SLICED4, 2048, bytes.fromhex(text)),
                "ip_options",
            )
        for destination in (WHOLE4, REMOTE4, UNASSIGNED4):
            v.drops(
                f"source-route-to-{destination}",
                "whoever's the destination is",
                with_options(destination, 2048, LOOSE),
                "ip_options",
            )
        for name, text in (
            ("0", "07000000"),
            ("1", "07010000"),
            ("beyond-header", "07050000"),
            ("missing", "01010107"),
        ):
            v.drops(
                f"length-{name}",
                "an option's length makes no sense",
                with_options(SLICED4, 2048, bytes.fromhex(text)),
                "malformed",
            )
            v.drops(
                f"length-{name}-to-whole",
                "an option's length makes no sense",
                with_options(WHOLE4, 2048, bytes.fromhex(text)),
                "malformed",
            )
        v.kernel("source-route-to-outside", "the table comes first", with_options(OUTSIDE4, 2048, LOOSE))
        v.drops(
            "source-route-from-martian",
            "the source comes first",
            with_options(SLICED4, 2048, LOOSE, source="127.0.0.1"),
            "martian_source",
        )
        v.drops("source-route-to-unallocated-port", "options come first", with_options(SLICED4, 1, LOOSE), "ip_options")


def ipv6_extensions():
    hop, destination_options = ((kind, bytes.fromhex("00010400000000")) for kind in (0, 60))
    routing = (43, bytes.fromhex("02000000000000") + bytes(16))
    atomic = (44, bytes.fromhex("00000000000007"))
    tcp = (6, bytes.fromhex("01bb0800") + bytes(16))
    hashed = [6, 443, 2048]
    with Vectors(
        PLAIN, "extensions", "IPv6 extension headers: eight are walked, and an atomic fragment is a whole packet."
    ) as v:
        for name, chain in (
            ("hop-by-hop", [hop]),
            ("routing", [routing]),
            ("destination-options", [destination_options]),
            ("atomic-fragment", [atomic]),
            ("all-four", [hop, routing, atomic, destination_options]),
            ("eight", [hop] + [destination_options] * 6 + [atomic]),
        ):
            inner = extended(SLICED6, chain, tcp, hashed=hashed)
            v.sends(name, "port 2048 behind them is lhr-1's", inner, PLAIN.server(inner, LHR_1))
        inner = extended(SLICED6, [hop] * 9, tcp, hashed=[0])
        v.sends(
            "nine",
            "one too many: a packet without ports, of the ninth header's kind",
            inner,
            PLAIN.server(inner, LHR_2),
        )
        v.drops("nine-without-portless-owner", "one too many", extended(RANGES6, [hop] * 9, tcp, hashed=[0]), "no_port")
        inner = extended(SLICED6, [hop] * 8, (50, bytes(16)), hashed=[50])
        v.sends("esp-behind-eight", "no ports behind them", inner, PLAIN.server(inner, LHR_2))
        inner = extended(SLICED6, [hop], (51, b"\x06\x04" + bytes(26)), hashed=[51])
        v.sends("authentication-header", "is not walked", inner, PLAIN.server(inner, LHR_2))
        inner = extended(
            SLICED6, [(60, bytes.fromhex("00010400000000"))], (17, bytes.fromhex("01bb1000")), hashed=[17, 443, 4096]
        )
        v.sends(
            "previous-owner",
            "UDP behind a header is still whole UDP",
            inner,
            PLAIN.server(inner, LHR_3, previous=LHR_1),
        )
        for name, payload in (
            ("none-of-it", b""),
            ("seven-bytes", bytes(7)),
            ("its-second-half", b"\x06\x01" + bytes(13)),
        ):
            v.drops(f"cut-{name}", "the payload ends inside the header", portless(SLICED6, 60, payload), "malformed")
        v.drops(
            "cut-fragment-header", "the payload ends inside the header", portless(SLICED6, 44, bytes(7)), "malformed"
        )
        v.drops(
            "ports-cut-behind-header",
            "the payload ends inside the ports",
            extended(SLICED6, [hop], (6, b"\x01\xbb\x08"), hashed=[6]),
            "malformed",
        )
        short = extended(SLICED6, [hop], tcp, hashed=hashed)
        v.drops(
            "cut-by-payload-length",
            "bytes behind the payload length do not count",
            patched(short, 4, b"\x00\x08"),
            "malformed",
        )
        v.kernel(
            "router-advertisement-behind-header",
            "neighbour discovery is the kernel's",
            extended(SLICED6, [hop], (58, bytes.fromhex("86000000") + bytes(12)), hashed=[58]),
        )


def marks():
    with Vectors(PLAIN, "marks", "DSCP and ECN are copied; the flow label comes from the flow hash.") as v:
        for traffic_class in (0x00, 0x01, 0x02, 0x03, 0xB8, 0xFF):
            for name, destination, field in (("4", SLICED4, "tos"), ("6", SLICED6, "tc")):
                inner = packet(destination, 2048, **{field: traffic_class})
                v.sends(f"class-{traffic_class:02x}-ipv{name}-over-ipv4", "copied", inner, PLAIN.server(inner, LHR_1))
                inner = packet(destination, 4096 if name == "4" else 3072, **{field: traffic_class})
                v.sends(f"class-{traffic_class:02x}-ipv{name}-over-ipv6", "copied", inner, PLAIN.server(inner, LHR_2))
        inner = packet(SLICED6, 3072, fl=0xABCDE)
        v.sends("inner-flow-label", "does not show outside", inner, PLAIN.server(inner, LHR_2))
    with Vectors(
        TAGGED,
        "all",
        "A tag, a DSCP, a port and a flow key of the forwarder's own; the frame leaves by the second device.",
    ) as v:
        for traffic_class in (0x00, 0x01, 0xB9, 0xFF):
            inner = packet(SLICED4, 2048, tos=traffic_class)
            v.sends(f"class-{traffic_class:02x}", "DSCP 10, ECN copied", inner, TAGGED.server(inner, LHR_1))
            inner = packet(WHOLE6, 2048, tc=traffic_class)
            v.sends(f"class-{traffic_class:02x}-ipv6", "DSCP 10, ECN copied", inner, TAGGED.server(inner, LHR_1))
        inner = packet(SLICED4, 2048)
        v.sends(
            "own-tag-replaces-others",
            "what came in stays behind",
            inner,
            TAGGED.server(inner, LHR_1),
            tags=[(0x88A8, 5), (0x8100, 7)],
        )
        inner = packet(SLICED4, 4096)
        v.sends("previous-owner", "tag, hop and all", inner, TAGGED.server(inner, LHR_3, previous=LHR_1))
        for sport in range(1000, 1004):
            inner = packet(REMOTE4, 1, sport=sport)
            v.sends(
                f"datacenter-{sport}",
                "of two forwarders only the IPv4 one can be used; the generation's low 32 bits are 42",
                inner,
                TAGGED.datacenter(inner, CDG[0]),
            )
        v.drops(
            "no-kernel-path",
            "not for the dataplane, and the kernel wants nothing",
            packet(OUTSIDE4, 1),
            "no_kernel_path",
        )
        v.drops(
            "no-kernel-path-for-arp",
            "not for the dataplane, and the kernel wants nothing",
            bytes(28),
            "no_kernel_path",
            ethertype=0x0806,
        )
