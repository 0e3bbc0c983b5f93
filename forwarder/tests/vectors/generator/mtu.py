# SPDX-License-Identifier: MIT OR Apache-2.0
"""Packets too big for their way: the word to their sender, or the pieces."""

from .file import Vectors
from .messages import cut, echo, error, sent, too_big
from .model import Inner
from .network import (
    CDG,
    LHR_1,
    LHR_2,
    LHR_3,
    LHR_4,
    MAN,
    MAN4,
    PLAIN,
    RANGES4,
    REMOTE4,
    SLICED4,
    SLICED6,
    SMALL4,
    TAGGED,
    UNASSIGNED4,
    WHOLE4,
    WHOLE6,
)
from .packets import extended, patched, portless, sized, with_options
from .peers import from_peer


def told():
    with Vectors(
        PLAIN, "sizes", "The outer packet never exceeds the MTU of the device or of the path; it may equal it."
    ) as v:
        for name, destination, port, overhead, send in (
            ("ipv4-over-ipv4", SLICED4, 2048, 32, lambda i: PLAIN.server(i, LHR_1)),
            ("ipv4-over-ipv6", SLICED4, 4096, 52, lambda i: PLAIN.server(i, LHR_2)),
            ("ipv6-over-ipv4", SLICED6, 2048, 32, lambda i: PLAIN.server(i, LHR_1)),
            ("ipv6-over-ipv6", SLICED6, 3072, 52, lambda i: PLAIN.server(i, LHR_2)),
        ):
            fields = {} if ":" in destination else {"flags": "DF"}
            inner = sized(1600 - overhead, destination, port, **fields)
            v.sends(f"{name}-fits", "an outer packet of 1600 bytes", inner, send(inner))
            inner = sized(1601 - overhead, destination, port, **fields)
            v.tells(
                f"{name}-one-more", "an outer packet of 1601 bytes", inner, "too_big", too_big(inner, 1600 - overhead)
            )
        inner = sized(1400 - 32, SMALL4, 2048, flags="DF")
        v.sends("server-mtu-fits", "the path to lhr-4 takes 1400", inner, PLAIN.server(inner, LHR_4))
        inner = sized(1401 - 32, SMALL4, 2048, flags="DF")
        v.tells("server-mtu-one-more", "the path to lhr-4 takes 1400", inner, "too_big", too_big(inner, 1400 - 32))
        inner = sized(1500 - 60, MAN4, 2048, flags="DF")
        v.sends(
            "datacenter-mtu-fits",
            "the path to MAN takes 1500, its servers' MTU counts there",
            inner,
            PLAIN.datacenter(inner, *MAN),
        )
        inner = sized(1501 - 60, MAN4, 2048, flags="DF")
        v.tells("datacenter-mtu-one-more", "the path to MAN takes 1500", inner, "too_big", too_big(inner, 1500 - 60))
        inner = sized(1600 - 40, RANGES4, 4096, flags="DF")
        v.sends("hop-fits", "with its hop 1600 bytes", inner, PLAIN.server(inner, LHR_3, previous=LHR_1))
        inner = sized(1601 - 40, RANGES4, 4096, flags="DF")
        v.tells(
            "hop-one-more-with-df",
            "it would fit only without its hop, which the MTU told includes",
            inner,
            "too_big",
            too_big(inner, 1600 - 40),
        )
        inner = sized(1601 - 40, RANGES4, 4096)
        v.sends("hop-one-more-without-df", "goes whole, without the hop", inner, PLAIN.server(inner, LHR_3))
        inner = sized(1600 - 32, RANGES4, 4096)
        v.sends("hop-at-the-edge-without-df", "goes whole, without the hop", inner, PLAIN.server(inner, LHR_3))
        inner = sized(1601 - 40, SLICED6, 4096)
        v.tells("hop-one-more-ipv6", "IPv6 is never cut on its way", inner, "too_big", too_big(inner, 1600 - 40))
        inner = sized(1600 - 32, SLICED4, 2048, flags="DF")
        v.sends(
            "padding-does-not-count",
            "nor do tags",
            inner,
            PLAIN.server(inner, LHR_1),
            tags=[(0x8100, 5)],
            padding=bytes(9),
        )
    with Vectors(
        PLAIN, "too-big", "The sender of a packet that is too big and must not be cut is told what would fit."
    ) as v:
        long = sized(1569, SLICED4, 2048, flags="DF")
        tags = [(0x88A8, 0x2005), (0x8100, 7)]
        v.tells("tags", "the frame's, back to where it came from", long, "too_big", too_big(long, 1568), tags=tags)
        v.tells("padding", "is not quoted", long, "too_big", too_big(long, 1568), padding=bytes(9))
        inner = with_options(SLICED4, 2048, bytes.fromhex("94040000"), flags="DF", payload=bytes(1540))
        v.tells("options", "are quoted", inner, "too_big", too_big(inner, 1568))
        inner = sized(9000, SLICED6, 2048)
        v.tells("jumbo", "quoted up to 1280 bytes of error", inner, "too_big", too_big(inner, 1568))
        inner = sized(1600, WHOLE6, 1)
        v.tells("whole", "too big counts for every address", inner, "too_big", too_big(inner, 1568))
        inner = portless(RANGES4, 47, bytes(1560), flags="DF")
        v.tells("gre", "of any protocol", inner, "too_big", too_big(inner, 1568))
        inner = echo(WHOLE4, 1, 8, payload=bytes(1560), flags="DF")
        v.tells("echo", "an echo is no error", inner, "too_big", too_big(inner, 1568))
        fragment = portless(WHOLE4, 17, bytes(1560), flags="DF+MF")
        v.tells("first-fragment", "may be told of", fragment, "too_big", too_big(fragment, 1568))
        fragment = extended(WHOLE6, [(44, bytes.fromhex("00000900000007"))], (58, b"\1" + bytes(1567)), hashed=[58])
        v.tells("later-fragment-ipv6", "whatever is in it", fragment, "too_big", too_big(fragment, 1568))
        for name, inner in (
            ("error", error(SLICED4, Inner(sent(SLICED4, 2048).bytes + bytes(1540), b""), flags="DF")),
            ("source-quench", portless(WHOLE4, 1, b"\4" + bytes(1559), flags="DF")),
            ("redirect", portless(WHOLE4, 1, b"\5" + bytes(1559), flags="DF")),
            ("error-ipv6", error(SLICED6, Inner(sent(SLICED6, 2048).bytes + bytes(1500), b""))),
            ("unknown-error-ipv6", portless(WHOLE6, 58, b"\x7f" + bytes(1560))),
            (
                "error-fragment-ipv6",
                extended(WHOLE6, [(44, bytes.fromhex("00000100000007"))], (58, b"\1" + bytes(1567)), hashed=[58]),
            ),
            ("later-fragment", portless(WHOLE4, 17, bytes(1560), flags="DF", frag=2)),
        ):
            v.drops(f"about-{name}", "nobody is told", inner, "too_big")
        v.drops(
            "martian", "nobody to tell", sized(1600, SLICED4, 2048, flags="DF", source="127.0.0.1"), "martian_source"
        )
        v.drops("unassigned", "in nobody's hands", sized(1600, UNASSIGNED4, 2048, flags="DF"), "unassigned_address")
        v.drops("unallocated", "in nobody's slice", sized(1600, SLICED4, 1, flags="DF"), "unallocated_port")
        link = bytes.fromhex("020000000002 020000000001 0800")
        v.tells(
            "peer",
            "the sender is told unencapsulated, through the device's next hop",
            from_peer(long),
            "too_big",
            too_big(long, 1568),
            link,
            tags=tags,
        )
    with Vectors(
        TAGGED,
        "sizes",
        "The device that a packet leaves by has the say, and its tag is not in the MTU. Errors have a source.",
    ) as v:
        inner = sized(1500 - 32, SLICED4, 2048, flags="DF")
        v.sends("fits", "1500 bytes behind the tag", inner, TAGGED.server(inner, LHR_1))
        inner = sized(1501 - 32, SLICED4, 2048, flags="DF")
        message = too_big(inner, 1500 - 32, source="192.0.2.99")
        v.tells("one-more", "1501 bytes behind the tag", inner, "too_big", message)
        inner = sized(1600, WHOLE6, 2048)
        message = too_big(inner, 1500 - 32, source="2001:db8:99::99")
        v.tells("one-more-ipv6", "1501 bytes behind the tag", inner, "too_big", message)


def pieces():
    with Vectors(PLAIN, "pieces", "IPv4 without DF is cut before it is encapsulated: as few pieces as can be.") as v:

        def cuts(name, why, inner, lengths, send, copied=b"", **frame):
            v.sends(name, why, inner, [send(piece) for piece in cut(inner, lengths, copied)], **frame)

        def to_lhr_1(piece):
            return PLAIN.server(piece, LHR_1)

        # 1568 bytes fit: 20 of header, 1544 of the 1548 bytes behind it, since all pieces but the last have multiples of 8
        cuts("one-more", "1569 bytes", sized(1569, SLICED4, 2048), [1544, 5], to_lhr_1)
        cuts("two-full", "the last may fill its room", sized(20 + 1544 + 1548, SLICED4, 2048), [1544, 1548], to_lhr_1)
        cuts("three", "one byte more", sized(20 + 1544 + 1549, SLICED4, 2048), [1544, 1544, 5], to_lhr_1)
        cuts("jumbo", "six pieces", sized(9000, SLICED4, 2048), [1544] * 5 + [1260], to_lhr_1)
        cuts("over-ipv6", "1548 bytes fit", sized(1549, SLICED4, 4096), [1528, 1], lambda p: PLAIN.server(p, LHR_2))
        cuts("server-mtu", "1368 bytes fit", sized(1500, SMALL4, 1), [1344, 136], lambda p: PLAIN.server(p, LHR_4))
        cuts("datacenter-mtu", "1440 bytes fit", sized(1441, MAN4, 1), [1416, 5], lambda p: PLAIN.datacenter(p, *MAN))
        cuts("draining", "pieces have no hop", sized(1569, RANGES4, 4096), [1544, 5], lambda p: PLAIN.server(p, LHR_3))
        cuts("class", "in every piece", sized(1569, SLICED4, 2048, tos=0xB9), [1544, 5], to_lhr_1)
        cuts(
            "tags", "stay behind", sized(1569, SLICED4, 2048), [1544, 5], to_lhr_1, tags=[(0x8100, 5)], padding=bytes(7)
        )
        inner = sized(1569, SLICED4, 2048)
        cuts("reserved-bit", "stays", patched(inner, 6, b"\x80\x00"), [1544, 5], to_lhr_1)
        v.sends("peer", "cut as well", from_peer(inner), [to_lhr_1(piece) for piece in cut(inner, [1544, 5])])

        once, always = bytes.fromhex("01070704 00000000"), bytes.fromhex("94040000")
        for name, options, copied, lengths in (
            ("once", once, b"", [1536, 24]),
            ("always", always, always, [1544, 16]),
            ("both", once + always, always, [1536, 24]),
            ("between-no-operations", b"\1\1" + always + b"\1\1", always, [1536, 24]),
            ("padded", b"\x82\x03\x07" + bytes(1), b"\x82\x03\x07\x00", [1544, 16]),
            ("behind-the-end", bytes(4) + always, b"", [1536, 24]),
        ):
            inner = with_options(SLICED4, 2048, options, payload=bytes(sum(lengths) - 20))
            cuts(f"options-{name}", "the copy bit tells which", inner, lengths, to_lhr_1, copied)

        def fragment(destination, payload, **fields):
            return portless(destination, 17, bytes(payload), **fields)

        for name, fields in (
            ("first", {"flags": "MF"}),
            ("middle", {"flags": "MF", "frag": 100}),
            ("last", {"frag": 100}),
            ("highest", {"frag": 7998}),
        ):
            inner = fragment(WHOLE4, 1552, **fields)
            cuts(f"fragment-{name}", "its own offset and flags are kept", inner, [1544, 8], to_lhr_1)
        v.drops(
            "fragment-beyond",
            "a piece of it would start where no datagram has bytes",
            fragment(WHOLE4, 1560, frag=8191),
            "too_big",
        )
        inner = error(SLICED4, Inner(sent(SLICED4, 2048).bytes + bytes(1540), sent(SLICED4, 2048).flow))
        lengths = [1544, len(inner.bytes) - 20 - 1544]
        cuts("icmp-error", "routed by its quote, hashed as fragments", inner, lengths, to_lhr_1)
        inner = portless(WHOLE4, 47, bytes(1600))
        cuts("gre", "of any protocol", inner, [1544, 56], to_lhr_1)
        for sport in (1000, 1001, 1002, 1003):
            inner = sized(1601, REMOTE4, 4242, sport=sport)
            way = PLAIN.choice(inner, CDG)
            lengths = [1536, 45] if ":" not in way else [1520, 61]
            cuts(f"remote-{sport}", "all go where the packet would", inner, lengths, lambda p: PLAIN.datacenter(p, way))
