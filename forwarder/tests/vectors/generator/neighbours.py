# SPDX-License-Identifier: MIT OR Apache-2.0
"""Neighbour discovery, whole and in fragments. A later fragment stands behind its first, so that none waits."""

import struct

from .file import Vectors
from .network import CDG, LHR_1, OUTSIDE6, PLAIN, RANGES6, REMOTE6, SLICED6, UNASSIGNED6, WHOLE6
from .packets import extended, portless
from .peers import from_peer, word

KINDS = (133, 134, 135, 136, 137)


def message(kind):
    """A solicitation for, or word of, some address; nobody looks at more than its type."""
    return struct.pack(">BBH", kind, 0, 0) + bytes(20)


def fragment(destination, identification, body, offset=0, more=True, source=None, behind=()):
    """A fragment of ICMPv6, with the extension headers of `behind` between its own header and `body`."""
    header = struct.pack(">BHI", 0, offset << 3 | more, identification)
    first = behind[0][0] if behind else 58
    return extended(destination, [(44, header), *behind], (58, body), source=source, hashed=[first])


def pair(destination, identification, kind, **fields):
    """A first fragment, and the rest."""
    body = message(kind)
    first = fragment(destination, identification, body[:16], **fields)
    return first, fragment(destination, identification, body[16:], offset=2, more=False, **fields)


def fragments():
    with Vectors(
        PLAIN,
        "neighbours",
        "Neighbour discovery: the kernel's in one piece; its fragments meet what others do, all of a datagram the same.",
    ) as v:
        atomic = [(44, bytes.fromhex("00 0000 00000007"))]
        for kind in KINDS:
            for address in (SLICED6, WHOLE6, REMOTE6, UNASSIGNED6):
                inner = portless(address, 58, message(kind))
                v.kernel(f"{kind}-to-{address}", "whoever it is for", inner)
                v.drops(f"{kind}-to-{address}-peer", "no business of ours", from_peer(inner), "gue_not_ours")
            v.kernel(f"{kind}-atomic", "a whole packet", extended(WHOLE6, atomic, (58, message(kind)), hashed=[58]))

        for n, kind in enumerate(KINDS):
            for name, inner in zip(("first", "later"), pair(SLICED6, 0x100 + n, kind)):
                v.kernel(f"{kind}-{name}", "the kernel gets all of it", inner)
            for name, inner in zip(("first", "later"), pair(SLICED6, 0x110 + n, kind)):
                v.drops(f"{kind}-{name}-peer", "no business of ours", from_peer(inner), "gue_not_ours")
        first, later = pair(SLICED6, 0x120, 135)
        v.kernel("first-from-the-wire", "the kernel's", first)
        v.drops("its-later-from-a-peer", "who sent this one here counts", from_peer(later), "gue_not_ours")
        first, later = pair(SLICED6, 0x121, 135)
        v.drops("first-from-a-peer", "no business of ours", from_peer(first), "gue_not_ours")
        v.kernel("its-later-from-the-wire", "who sent this one here counts", later)
        options = (60, bytes.fromhex("00010400000000"))
        v.kernel("first-behind-options", "walked", fragment(SLICED6, 0x122, message(135)[:16], behind=[options]))
        later = extended(SLICED6, [(44, struct.pack(">BHI", 0, 3 << 3, 0x122))], (60, bytes(8)), hashed=[60])
        v.kernel("later-behind-options", "follows", later)
        v.kernel("first-of-eight-bytes", "enough to see what it is", fragment(SLICED6, 0x123, message(135)[:8]))
        v.kernel("later-of-sixteen", "follows", fragment(SLICED6, 0x123, message(135)[8:], 1, False))
        v.drops("later-inside-first", "overlaps", fragment(SLICED6, 0x100, bytes(8), 1), "fragment_malformed")
        v.drops("first-of-none", "nothing to see", fragment(SLICED6, 0x124, b""), "fragment_malformed")
        v.drops("its-later", "shares that", fragment(SLICED6, 0x124, message(135)[8:], 1, False), "fragment_malformed")
        for name, inner in zip(("first", "later"), pair(SLICED6, 0x125, 135, source="::1")):
            v.drops(f"{name}-martian", "before whose it is", inner, "martian_source")
        for name, inner in zip(("first", "later"), pair(RANGES6, 0x126, 135)):
            v.kernel(f"{name}-without-portless-owner", "nobody is asked for", inner)

        for name, inner in zip(("first", "later"), pair(WHOLE6, 0x130, 135)):
            v.sends(f"{name}-to-whole", "every packet travels", inner, PLAIN.server(inner, LHR_1))
            v.sends(f"{name}-to-whole-peer", "the same", from_peer(inner), PLAIN.server(inner, LHR_1))
        for name, inner in zip(("first", "later"), pair(REMOTE6, 0x131, 135)):
            v.sends(f"{name}-elsewhere", "every packet travels", inner, PLAIN.datacenter(inner, *CDG))
            again = PLAIN.datacenter(inner, *CDG, hops=2)
            v.sends(f"{name}-elsewhere-peer", "on it goes, counted", from_peer(inner), again)
            v.drops(f"{name}-loop", "a third hop", from_peer(inner, private=word(2)), "redirect_loop")
        for name, inner in zip(("first", "later"), pair(UNASSIGNED6, 0x132, 135)):
            v.drops(f"{name}-unassigned", "in nobody's hands", inner, "unassigned_address")
        for name, inner in zip(("first", "later"), pair(OUTSIDE6, 0x133, 135)):
            v.kernel(f"{name}-outside", "not in the table", inner)
            v.drops(f"{name}-outside-peer", "no business of ours", from_peer(inner), "gue_not_ours")
