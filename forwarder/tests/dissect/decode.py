# SPDX-License-Identifier: MIT OR Apache-2.0
"""Decodes a capture of forwarded frames with scapy and a GUE layer of its own. Prints one JSON object a frame: what the outer headers
show, the private data, the inner packet and whether scapy would have written the same checksums outside."""

import json
import sys

from scapy.all import (
    IP,
    UDP,
    BitField,
    BitFieldLenField,
    ByteEnumField,
    Ether,
    IPv6,
    Packet,
    ShortField,
    StrLenField,
    bind_layers,
    raw,
    rdpcap,
)


class GUE(Packet):
    """The base header of variant 0, and private data."""

    fields_desc = [
        BitField("variant", 0, 2),
        BitField("control", 0, 1),
        BitFieldLenField("hlen", None, 5, length_of="private", adjust=lambda _, length: length // 4),
        ByteEnumField("proto", 4, {4: "IPv4", 41: "IPv6"}),
        ShortField("flags", 0),
        StrLenField("private", b"", length_from=lambda header: 4 * header.hlen),
    ]


bind_layers(UDP, GUE, dport=6080)
bind_layers(GUE, IP, proto=4)
bind_layers(GUE, IPv6, proto=41)


def decoded(frame):
    gue = frame[GUE]
    inner = gue.payload
    outer = frame[1].copy()
    if isinstance(outer, IP):
        outer.chksum = None
    return {
        "outer": type(frame[1]).__name__,
        "source": frame[1].src,
        "destination": frame[1].dst,
        "ports": [frame[UDP].sport, frame[UDP].dport],
        "udp_checksum": frame[UDP].chksum,
        "header": [gue.variant, gue.control, gue.hlen, gue.flags],
        "private": gue.private.hex(),
        "inner": type(inner).__name__,
        "bytes": raw(gue)[4 + 4 * gue.hlen :].hex(),
        "checksum_is_right": raw(outer)[:20] == raw(frame[1])[:20],
    }


for frame in rdpcap(sys.argv[1]):
    print(json.dumps(decoded(Ether(raw(frame)))))
