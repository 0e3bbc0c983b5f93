# SPDX-License-Identifier: MIT OR Apache-2.0
"""GUE from other forwarders: what is taken, what is not, and what becomes of the packet inside."""

import struct

from scapy.all import IP, TCP, UDP, IPOption_Router_Alert, IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, PadN, Raw, raw

from .file import Vectors
from .model import Inner
from .network import (
    CDG,
    LHR_1,
    LHR_2,
    LHR_3,
    MAN,
    MAN4,
    OUTSIDE4,
    OUTSIDE6,
    PLAIN,
    RANGES4,
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
from .packets import extended, packet, patched, portless, with_options

OWN4, OWN6 = PLAIN.ipv4, PLAIN.ipv6
CDG4, CDG6 = CDG[0], CDG[1]


def word(hops):
    """The private data of a data centre whose table is generation 41."""
    return bytes([0x53, 0x01, hops, 0]) + struct.pack(">I", 41)


def gue(inner, private=word(1), first=None, protocol=None, flags=0):
    """A GUE header and what it carries; `first` overrides variant, control bit and hlen."""
    data = inner.bytes if isinstance(inner, Inner) else inner
    if protocol is None:
        protocol = 4 if data[0] >> 4 == 4 else 41
    first = len(private) // 4 if first is None else first
    return struct.pack(">BBH", first, protocol, flags) + private + data


def outer(source, **fields):
    """The IP header of a peer to the own address of its family."""
    if ":" in source:
        return IPv6(src=source, dst=OWN6, **{"hlim": 61, **fields})
    return IP(src=source, dst=OWN4, **{"ttl": 61, "flags": "DF", "id": 0, **fields})


def datagram(payload, ip=None, checksum=0, port=6080, length=None):
    """The bytes of an outer packet; `checksum` None has scapy fill in the right one."""
    ip = outer(CDG4) if ip is None else ip
    return raw(ip / UDP(sport=50000, dport=port, chksum=checksum, len=length) / Raw(payload))


def from_peer(inner, source=CDG4, ip=None, **header):
    """The packet as a peer sends it."""
    return datagram(gue(inner, **header), outer(source) if ip is None else ip)


def accepted():
    with Vectors(
        PLAIN, "peers", "GUE from other forwarders: opened, and sent to whoever the packet inside is for."
    ) as v:
        inner, inner6 = packet(SLICED4, 2048), packet(SLICED6, 3072)
        here, here6 = PLAIN.server(inner, LHR_1), PLAIN.server(inner6, LHR_2)
        for source in (*CDG, *MAN, OWN4, OWN6):
            v.sends(f"from-{source}", "a forwarder of the table", from_peer(inner, source), here)
            v.sends(f"ipv6-from-{source}", "a forwarder of the table", from_peer(inner6, source), here6)
        for name, private in (
            ("nothing", b""),
            ("previous-owner", bytes.fromhex("00000001 0a000101")),
            ("hops-0", word(0)),
            ("hops-2", word(2)),
            ("hops-255", word(255)),
            ("all-there-can-be", bytes(range(124))),
        ):
            v.sends(
                f"private-{name}", "a local owner is served whatever it says", from_peer(inner, private=private), here
            )
        for name, private, hops in (
            ("no-private-data", b"", 1),
            ("one-word-of-another-kind", bytes.fromhex("53020200"), 1),
            ("previous-owner", bytes.fromhex("00000001 0a000101"), 1),
            ("swapped-mark", bytes.fromhex("01530200 00000000"), 1),
            ("no-hop-yet", word(0), 1),
            ("one-hop", word(1), 2),
            ("one-hop-and-more-data", word(1) + b"\xff" * 116, 2),
        ):
            again, again6 = packet(REMOTE4, 4242), packet(REMOTE6, 4242)
            v.sends(
                f"again-{name}",
                "not ours by this table either: on it goes, counted",
                from_peer(again, MAN[0], private=private),
                PLAIN.datacenter(again, *CDG, hops=hops),
            )
            v.sends(
                f"again-ipv6-{name}",
                "not ours by this table either: on it goes, counted",
                from_peer(again6, private=private),
                PLAIN.datacenter(again6, *CDG, hops=hops),
            )
        for hops in (2, 3, 128, 255):
            for destination, source in ((REMOTE4, CDG4), (REMOTE6, CDG6), (MAN4, CDG4)):
                v.drops(
                    f"loop-{hops}-hops-to-{destination}",
                    "tables that disagree",
                    from_peer(packet(destination, 1), source, private=word(hops)),
                    "redirect_loop",
                )
        v.drops(
            "loop-in-one-word",
            "the count is there, if not the generation",
            from_peer(packet(REMOTE4, 1), private=word(2)[:4]),
            "redirect_loop",
        )
        inner = packet(SLICED4, 2048)
        for name, source in (("ipv4", CDG4), ("ipv6", CDG6)):
            v.sends(
                f"checksum-{name}", "need not be there, may be right", datagram(gue(inner), outer(source), None), here
            )
        option = IPOption_Router_Alert()
        v.sends("outer-options", "the ports are behind them", datagram(gue(inner), outer(CDG4, options=[option])), here)
        destination_options = IPv6ExtHdrDestOpt(options=[PadN(optdata=bytes(4))])
        deep = IPv6ExtHdrDestOpt(options=[PadN(optdata=bytes(244))])
        for name, ip in (
            ("options", outer(CDG6) / destination_options),
            ("atomic-fragment", outer(CDG6) / IPv6ExtHdrFragment(id=7)),
            ("deep", outer(CDG6) / deep / deep / deep),
        ):
            v.sends(f"outer-extension-{name}", "the ports are behind it", datagram(gue(inner), ip), here)
            again = packet(REMOTE6, 1)
            v.sends(
                f"outer-extension-{name}-again",
                "the ports are behind it, and the most private data",
                datagram(gue(again, private=word(1) + bytes(116)), ip),
                PLAIN.datacenter(again, *CDG, hops=2),
            )
        tags = [(0x88A8, 5), (0x8100, 7)]
        v.sends("tags", "looked through", from_peer(inner), here, tags=tags)
        v.sends("padding", "behind the outer packet", from_peer(inner), here, padding=bytes(7))
        v.sends("trailing-bytes", "behind the inner packet", from_peer(Inner(inner.bytes + b"\xaa" * 9, b"")), here)
        v.sends("trailing-bytes-ipv6", "the same", from_peer(Inner(inner6.bytes + b"\xaa" * 9, b"")), here6)
        inner = packet(RANGES4, 4096)
        v.sends(
            "previous-owner", "its hop, as for others", from_peer(inner), PLAIN.server(inner, LHR_3, previous=LHR_1)
        )
        inner = packet(WHOLE4, 1, tos=0xB8)
        v.sends(
            "outer-marks",
            "only congestion counts of the outer class",
            from_peer(inner, ip=outer(CDG4, tos=0x2A)),
            PLAIN.server(inner, LHR_1),
        )
        for ecn in (1, 2, 3):
            for name, ip in (("ipv4", outer(CDG4, tos=3)), ("ipv6", outer(CDG6, tc=0x23))):
                inner = packet(WHOLE4, 1, tos=0xB8 | ecn)
                v.sends(
                    f"congestion-over-ecn-{ecn}-{name}",
                    "told on, outside",
                    from_peer(inner, ip=ip),
                    PLAIN.server(inner, LHR_1, congested=True),
                )
                inner = packet(REMOTE6, 1, tc=ecn)
                v.sends(
                    f"congestion-over-ecn-{ecn}-{name}-again",
                    "told on, outside",
                    from_peer(inner, ip=ip),
                    PLAIN.datacenter(inner, *CDG, hops=2, congested=True),
                )


def refused():
    with Vectors(
        PLAIN, "peers-refused", "GUE that is nobody's we know, or that contradicts itself; and what is no GUE."
    ) as v:
        inner, inner6 = packet(SLICED4, 2048), packet(SLICED6, 2048)
        for source in (LHR_1, "203.0.113.9", "127.0.0.1", "0.0.0.0", "10.1.0.3", LHR_2, "2001:db8:b::2", "::1"):
            v.drops(f"from-{source}", "no forwarder of the table", from_peer(inner, source), "gue_untrusted")
        v.drops("untrusted-first", "malformed as well", datagram(b"", outer(LHR_1)), "gue_untrusted")
        v.drops(
            "untrusted-cut", "half a UDP header", raw(outer(LHR_1, proto=17) / Raw(b"\0\0\x17\xc0")), "gue_untrusted"
        )
        later = outer(CDG6) / IPv6ExtHdrFragment(nh=17, offset=1, id=7) / Raw(bytes(16))
        first = lambda source: outer(source) / IPv6ExtHdrFragment(m=1, id=7)
        for name, ip, source in (
            ("ipv4", outer(CDG4, flags="MF"), CDG4),
            ("ipv6", first(CDG6), CDG6),
            ("ipv6-behind-options", first(CDG6) / IPv6ExtHdrDestOpt(options=[PadN(optdata=bytes(4))]), CDG6),
        ):
            v.drops(f"first-fragment-{name}", "never sent by a forwarder", datagram(gue(inner), ip), "gue_malformed")
        for name, ip in (("ipv4", outer(LHR_1, flags="MF")), ("ipv6", first(LHR_2))):
            v.drops(
                f"first-fragment-untrusted-{name}", "whose it is comes first", datagram(gue(inner), ip), "gue_untrusted"
            )
        v.kernel("later-fragment-ipv4", "shows no port", raw(outer(CDG4, flags=0, frag=1, proto=17) / Raw(bytes(16))))
        v.kernel("later-fragment-ipv6", "shows no port", raw(later))
        v.kernel("first-fragment-without-port", "shows none", raw(outer(CDG4, flags="MF", proto=17) / Raw(b"\0\0\x17")))
        for name, whole in (("ipv4", from_peer(inner)), ("ipv6", from_peer(inner, CDG6))):
            at = 20 if name == "ipv4" else 40
            length = len(whole) - at
            for change in (-1, 1, -length):
                bad = whole[: at + 4] + struct.pack(">H", length + change) + whole[at + 6 :]
                v.drops(f"udp-length-{name}-{change:+}", "other than the IP payload", bad, "gue_malformed")
            right = datagram(gue(inner), outer(CDG4 if name == "ipv4" else CDG6), None)
            bad = right[: at + 7] + bytes([right[at + 7] ^ 1]) + right[at + 8 :]
            v.drops(f"checksum-{name}", "one bit of it is wrong", bad, "gue_malformed")
            bad = right[:-1] + bytes([right[-1] ^ 1])
            v.drops(f"checksum-{name}-payload", "one bit of the payload is wrong", bad, "gue_malformed")
            ip = outer(CDG4, proto=17) if name == "ipv4" else outer(CDG6, nh=17)
            for cut in (4, 7):
                v.drops(f"udp-header-{name}-{cut}", "cut", raw(ip / Raw(right[at : at + cut])), "gue_malformed")
        for first_byte in (0x20, 0x22, 0x40, 0x42, 0x82, 0xC2):
            v.drops(
                f"first-{first_byte:02x}", "control, or a variant", from_peer(inner, first=first_byte), "gue_malformed"
            )
        for bit in range(16):
            v.drops(f"flag-{bit}", "none is ever sent", from_peer(inner, flags=1 << bit), "gue_malformed")
        v.drops("nothing", "no GUE header", datagram(b""), "gue_malformed")
        v.drops("header-cut", "three bytes of it", datagram(b"\0\4\0"), "gue_malformed")
        v.drops("hlen-past-end", "by one word", datagram(struct.pack(">BBH", 2, 4, 0) + bytes(4)), "gue_malformed")
        v.drops("hlen-31-past-end", "over the packet", from_peer(inner, first=31), "gue_malformed")
        for protocol in (0, 1, 6, 17, 47, 59, 255):
            v.drops(f"protocol-{protocol}", "neither 4 nor 41", from_peer(inner, protocol=protocol), "gue_malformed")
        v.drops("protocol-4-over-ipv6", "unlike the version", from_peer(inner6, protocol=4), "gue_malformed")
        v.drops("protocol-41-over-ipv4", "unlike the version", from_peer(inner, protocol=41), "gue_malformed")
        v.drops("version-5", "of no protocol", from_peer(patched(inner, 0, b"\x55"), protocol=4), "gue_malformed")
        for name, data, protocol, header in (("ipv4", inner.bytes, 4, 20), ("ipv6", inner6.bytes, 41, 40)):
            for length in (0, 1, header - 1, header, len(data) - 1):
                v.drops(
                    f"inner-{name}-cut-to-{length}",
                    "the inner packet is beyond what is there",
                    from_peer(data[:length], protocol=protocol),
                    "gue_malformed",
                )
        for name, ip in (("ipv4", outer(CDG4, tos=3)), ("ipv6", outer(CDG6, tc=0xFF))):
            for family, plain in (("ipv4", packet(SLICED4, 2048, tos=0xB8)), ("ipv6", packet(SLICED6, 2048, tc=0xFC))):
                v.drops(
                    f"congestion-{name}-over-{family}",
                    "the sender of the inner packet would not understand",
                    from_peer(plain, ip=ip),
                    "gue_malformed",
                )
        whole = from_peer(inner)
        v.drops(
            "outer-checksum",
            "an IP header like any other",
            whole[:11] + bytes([whole[11] ^ 1]) + whole[12:],
            "malformed",
        )
        v.drops("outer-ttl-0", "an IP header like any other", from_peer(inner, ip=outer(CDG4, ttl=0)), "malformed")
        v.kernel("port", "not the GUE port", datagram(gue(inner), port=6081))
        v.kernel("port-ipv6", "not the GUE port", datagram(gue(inner), outer(CDG6), port=6081))
        v.kernel("tcp", "not UDP", raw(outer(CDG4) / TCP(sport=50000, dport=6080)))
        v.kernel("icmp", "not UDP", raw(outer(CDG4, proto=1) / Raw(bytes.fromhex("0800f7fd 00010001"))))
        v.kernel("three-bytes-of-udp", "no port to see", raw(outer(CDG4, proto=17) / Raw(b"\0\0\x17")))
        v.kernel("nine-extension-headers", "too many to walk", nine_headers(inner))
        v.kernel("link-local-source", "the kernel's, whatever it is", from_peer(inner, "fe80::1"))
        v.kernel("group-frame", "nothing of it is looked at", from_peer(inner), destination="01:00:5e:00:00:01")
    with Vectors(TAGGED, "peers", "A device that faces the Internet only takes no GUE from anybody.") as v:
        for name, ip in (("forwarder", outer(CDG4)), ("own-address", outer(OWN4)), ("stranger", outer("203.0.113.9"))):
            v.drops(name, "gue = false", datagram(gue(inner), ip, port=6081), "gue_untrusted")
        v.drops("malformed", "whose it is comes first", datagram(b"", port=6081), "gue_untrusted")
        v.drops(
            "other-port",
            "6080 is not its GUE port, and there is no kernel path",
            datagram(gue(inner)),
            "no_kernel_path",
        )


def nine_headers(inner):
    chain = outer(CDG6)
    for _ in range(9):
        chain /= IPv6ExtHdrDestOpt(options=[PadN(optdata=bytes(4))])
    return datagram(gue(inner), chain)


def inside():
    with Vectors(
        PLAIN, "peers-inside", "The packet inside GUE: judged as if from the wire, but never the kernel's."
    ) as v:
        neighbour = portless(WHOLE6, 58, bytes.fromhex("87000000 00000000") + bytes(16))
        for name, inner in (
            ("outside-ipv4", packet(OUTSIDE4, 1)),
            ("outside-ipv6", packet(OUTSIDE6, 1)),
            ("own-ipv4", packet(OWN4, 1)),
            ("own-ipv6", packet(OWN6, 1)),
            ("gue-inside", Inner(from_peer(packet(SLICED4, 2048)), b"")),
            ("gue-inside-ipv6", Inner(from_peer(packet(SLICED4, 2048), CDG6), b"")),
            ("multicast-ipv4", packet("224.0.0.5", 1)),
            ("multicast-ipv6", packet("ff02::1", 1)),
            ("link-local-ipv4", packet("169.254.0.1", 1)),
            ("link-local-ipv6", packet("fe80::1", 1)),
            ("from-link-local-ipv4", packet(WHOLE4, 1, source="169.254.7.7")),
            ("from-link-local-ipv6", packet(WHOLE6, 1, source="fe80::1")),
            ("neighbour-discovery", neighbour),
            ("martian-to-outside", packet(OUTSIDE4, 1, source="127.0.0.1")),
            ("options-to-outside", with_options(OUTSIDE4, 1, bytes.fromhex("07010000"))),
            ("broadcast", packet("255.255.255.255", 1)),
        ):
            v.drops(name, "no business of ours", from_peer(inner), "gue_not_ours")
        sliced = packet(SLICED4, 2048)
        for name, inner in (
            ("checksum", patched(sliced, 11, bytes([sliced.bytes[11] ^ 1]), False)),
            ("ttl-0", packet(SLICED4, 2048, ttl=0)),
            ("hop-limit-0", packet(SLICED6, 2048, ttl=0)),
            ("ttl-0-to-outside", packet(OUTSIDE4, 1, ttl=0)),
            ("header-length-4", patched(sliced, 0, b"\x44", False)),
            ("total-length-19", patched(sliced, 2, b"\0\x13")),
            ("total-length-0", patched(sliced, 2, b"\0\0")),
            ("header-beyond-packet", patched(sliced, 0, b"\x4f", False)),
            ("option-length-0", with_options(SLICED4, 2048, bytes.fromhex("07000000"))),
            ("three-bytes-of-tcp", portless(SLICED4, 6, b"\1\xbb\x08")),
        ):
            v.drops(f"malformed-{name}", "as if from the wire", from_peer(inner), "malformed")
        for name, inner, reason in (
            ("martian-ipv4", packet(SLICED4, 2048, source="127.0.0.1"), "martian_source"),
            ("martian-ipv6", packet(REMOTE6, 2048, source="::1"), "martian_source"),
            ("source-route", with_options(SLICED4, 2048, bytes.fromhex("83070400 00000000")), "ip_options"),
            ("unassigned", packet(UNASSIGNED4, 2048), "unassigned_address"),
            ("unallocated", packet(SLICED4, 1), "unallocated_port"),
            ("port-0", packet(SLICED6, 0), "unallocated_port"),
            ("gre-without-owner", portless(SLICED4, 47), "no_port"),
        ):
            v.drops(name, "as if from the wire", from_peer(inner), reason)
            v.drops(
                f"{name}-after-two-hops",
                "hops count between data centres only",
                from_peer(inner, CDG6, private=word(2)),
                reason,
            )
        for name, inner, sent in (
            ("gre", portless(RANGES4, 47), lambda i: PLAIN.server(i, LHR_3)),
            ("whole", packet(WHOLE6, 0), lambda i: PLAIN.server(i, LHR_1)),
            ("whole-fragment", portless(WHOLE4, 17, bytes(16), frag=2), lambda i: PLAIN.server(i, LHR_1)),
            ("options", with_options(SLICED4, 2048, bytes.fromhex("94040000")), lambda i: PLAIN.server(i, LHR_1)),
            (
                "extension-headers",
                extended(
                    SLICED6,
                    [(60, bytes.fromhex("00010400000000"))],
                    (6, bytes.fromhex("01bb0800") + bytes(16)),
                    hashed=[6, 443, 2048],
                ),
                lambda i: PLAIN.server(i, LHR_1),
            ),
            ("unallocated-elsewhere", packet(REMOTE_SLICED4, 1), lambda i: PLAIN.datacenter(i, *CDG, hops=2)),
        ):
            inner_sent = sent(inner)
            v.sends(name, "as if from the wire", from_peer(inner), inner_sent)
            v.sends(f"{name}-over-ipv6", "as if from the wire", from_peer(inner, CDG6), inner_sent)
