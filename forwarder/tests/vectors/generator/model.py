# SPDX-License-Identifier: MIT OR Apache-2.0
"""What the contract's wire format (section 5) makes of a packet, written from its text with scapy and a SipHash of its own.
Nothing here is shared with the forwarder."""

import ipaddress
import struct
from dataclasses import dataclass

from scapy.all import IP, UDP, Dot1Q, Ether, IPv6, raw

MASK = (1 << 64) - 1


def rotate(value, bits):
    return (value << bits | value >> (64 - bits)) & MASK


def siphash13(key, message):
    """SipHash-1-3 after Aumasson and Bernstein's paper: 64-bit result as an integer."""
    k0, k1 = struct.unpack("<QQ", key)
    v = [k0 ^ 0x736F6D6570736575, k1 ^ 0x646F72616E646F6D, k0 ^ 0x6C7967656E657261, k1 ^ 0x7465646279746573]

    def rounds(n):
        for _ in range(n):
            v[0] = (v[0] + v[1]) & MASK
            v[1] = rotate(v[1], 13) ^ v[0]
            v[0] = rotate(v[0], 32)
            v[2] = (v[2] + v[3]) & MASK
            v[3] = rotate(v[3], 16) ^ v[2]
            v[0] = (v[0] + v[3]) & MASK
            v[3] = rotate(v[3], 21) ^ v[0]
            v[2] = (v[2] + v[1]) & MASK
            v[1] = rotate(v[1], 17) ^ v[2]
            v[2] = rotate(v[2], 32)

    padded = message + bytes(7 - len(message) % 8) + bytes([len(message) & 0xFF])
    for (word,) in struct.iter_unpack("<Q", padded):
        v[3] ^= word
        rounds(1)
        v[0] ^= word
    v[2] ^= 0xFF
    rounds(3)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


# The first, ninth and fourteenth vector that come with the Rust standard library's SipHasher13.
_KEY = bytes(range(16))
assert siphash13(_KEY, b"") == int.from_bytes(bytes.fromhex("dcc40f055801acab"), "little")
assert siphash13(_KEY, bytes(range(8))) == int.from_bytes(bytes.fromhex("8e9a298d11959036"), "little")
assert siphash13(_KEY, bytes(range(13))) == int.from_bytes(bytes.fromhex("a7ff29120c766f30"), "little")


def packed(address):
    return ipaddress.ip_address(address).packed


@dataclass
class Inner:
    """An IP packet, and what its flow hash is taken over."""

    bytes: bytes
    flow: bytes

    @property
    def is_v4(self):
        return self.bytes[0] >> 4 == 4

    @property
    def traffic_class(self):
        return self.bytes[1] if self.is_v4 else (self.bytes[0] & 15) << 4 | self.bytes[1] >> 4


def flow(source, destination, protocol, *ports):
    """The flow hash's input: ports are a pair of numbers, or absent."""
    return packed(source) + packed(destination) + bytes([protocol]) + b"".join(struct.pack(">H", p) for p in ports)


@dataclass
class World:
    """A forwarder's configuration, as far as the outer headers show it."""

    name: str
    generation: int
    device: str = "wan0"
    mac: str = "02:00:00:00:00:01"
    next_hop: str = "02:00:00:00:00:02"
    vlan: int | None = None
    ipv4: str = "10.0.0.1"
    ipv6: str = "2001:db8:a::1"
    gue_port: int = 6080
    flow_key: bytes = bytes.fromhex("00112233445566778899aabbccddeeff")
    dscp: int | None = None

    def server(self, inner, address, previous=None, congested=False):
        """The frame to a server at `address`, with the hop of a previous owner or without."""
        private = b"" if previous is None else bytes.fromhex("00000001") + packed(previous)
        return self._frame(inner, address, private, congested)

    def datacenter(self, inner, *forwarders, hops=1, congested=False):
        """The frame to a data centre with these usable forwarders."""
        word = bytes([0x53, 0x01, hops, 0]) + struct.pack(">I", self.generation % 2**32)
        return self._frame(inner, self.choice(inner, forwarders), word, congested)

    def choice(self, inner, forwarders):
        """The one that the packet's flow hash chooses."""
        return forwarders[(self._hash(inner) >> 32) * len(forwarders) >> 32]

    def _hash(self, inner):
        return siphash13(self.flow_key, inner.flow)

    def _frame(self, inner, address, private, congested):
        """Parts of a frame, outermost first. `congested` if it was so on its way here."""
        hashed = self._hash(inner)
        traffic_class = inner.traffic_class
        if self.dscp is not None:
            traffic_class = self.dscp << 2 | traffic_class & 3
        if congested:
            traffic_class |= 3
        gue = bytes([len(private) // 4, 4 if inner.is_v4 else 41, 0, 0]) + private
        udp = UDP(sport=49152 + hashed % 2**14, dport=self.gue_port, chksum=0)
        if ":" in address:
            label = (hashed >> 14) % 2**20
            ip = IPv6(src=self.ipv6, dst=address, tc=traffic_class, fl=label, hlim=64, nh=17)
        else:
            ip = IP(src=self.ipv4, dst=address, tos=traffic_class, id=0, flags="DF", ttl=64, proto=17)
        ether = Ether(dst=self.next_hop, src=self.mac)
        if self.vlan is not None:
            ether /= Dot1Q(vlan=self.vlan)
        payload = gue + inner.bytes
        frame = raw(ether / ip / udp / payload)
        lengths = [14 if self.vlan is None else 18, 40 if ":" in address else 20, 8, len(gue), len(inner.bytes)]
        assert sum(lengths) == len(frame)
        parts = []
        for length in lengths:
            parts.append(frame[:length])
            frame = frame[length:]
        return self.device, parts
