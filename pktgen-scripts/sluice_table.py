# SPDX-License-Identifier: MIT OR Apache-2.0
"""Reads a Sluice table and says which addresses and ports are whose. Expects a table that 'sluice table check' accepts."""

import ipaddress
import json
from typing import NamedTuple


class Block(NamedTuple):
    """Consecutive addresses that all give the same consecutive ports to one server."""

    family: int
    first: int
    last: int
    lo: int
    hi: int
    server: str
    datacenter: str
    previous: object  # the last owner's name, or None

    @property
    def pairs(self):
        return (self.last - self.first + 1) * (self.hi - self.lo + 1)


class Table:
    def __init__(self, path):
        with open(path, encoding="utf-8") as file:
            document = json.load(file)
        if document.get("version") != 1:
            raise ValueError(f"{path}: version {document.get('version')!r}; this reads version 1")
        self.generation = document.get("generation")
        self.datacenters = document.get("datacenters", {})
        self.servers = document.get("servers", {})
        self._entries = document.get("egress", [])

    def blocks(self):
        """Everything that somebody owns, in order of address and port. What is nobody's is left out, port 0 of a shared address
        included: it belongs to nobody whatever the slices say."""
        return [
            Block(family, first, last, lo, hi, server, entry["datacenter"], previous)
            for family, first, last, entry in _flattened(self._entries)
            for lo, hi, server, previous in _runs(entry)
        ]

    def outer_family(self, server):
        """The IP version of what is sent to a server."""
        return ipaddress.ip_address(self.servers[server]["address"]).version


def _flattened(entries):
    """Ranges of addresses with the entry that speaks for them: the longest prefix around an address does."""
    networks = [(ipaddress.ip_network(entry["prefix"]), entry) for entry in entries]
    spans = [(n.version, int(n.network_address), int(n.broadcast_address), entry) for n, entry in networks]
    # Prefixes nest or are apart; of those that start together the widest comes first, so that a stack has the one around it.
    spans.sort(key=lambda span: (span[0], span[1], -span[2]))
    ranges, around, at = [], [], 0

    def speak(until):
        nonlocal at
        family, _, last, entry = around[-1]
        if at <= min(until, last):
            ranges.append((family, at, min(until, last), entry))
            at = min(until, last) + 1

    for span in spans:
        family, first, _, _ = span
        while around and (around[-1][0] != family or around[-1][2] < first):
            speak(around[-1][2])
            around.pop()
        if around:
            speak(first - 1)
        around.append(span)
        at = first
    while around:
        speak(around[-1][2])
        around.pop()
    return ranges


def _runs(entry):
    """(first port, last port, server, previous owner) of an entry, by port; neighbours that agree become one."""
    if "server" in entry:
        return [(0, 65535, entry["server"], entry.get("previous"))]
    if "slices" in entry:
        size, owners = entry["slices"]["ports"], entry["slices"]["owners"]
        previous = entry["slices"].get("previous", [])
        previous = previous + [None] * (len(owners) - len(previous))
        shares = [(i * size, i * size + size - 1, *pair) for i, pair in enumerate(zip(owners, previous))]
    else:
        shares = [
            (*(int(port) for port in share["ports"].split("-")), share["server"], share.get("previous"))
            for share in entry.get("ranges", [])
        ]
    runs = []
    for lo, hi, server, before in sorted(share for share in shares if share[2] is not None):
        lo = max(lo, 1)
        if hi < lo:
            continue
        if runs and runs[-1][1] + 1 == lo and runs[-1][2:] == (server, before):
            lo = runs.pop()[0]
        runs.append((lo, hi, server, before))
    return runs


def areas(blocks):
    """(family, first, last, lo, hi) of everything owned, whoever owns it: as few rectangles of addresses and ports as neighbours
    make."""
    ports = {}
    for block in blocks:
        runs = ports.setdefault((block.family, block.first, block.last), [])
        if runs and runs[-1][1] + 1 == block.lo:
            runs[-1] = (runs[-1][0], block.hi)
        else:
            runs.append((block.lo, block.hi))
    merged = []
    for (family, first, last), runs in ports.items():
        if merged and merged[-1][0] == family and merged[-1][2] + 1 == first and merged[-1][3] == runs:
            first = merged.pop()[1]
        merged.append((family, first, last, runs))
    return [(family, first, last, lo, hi) for family, first, last, runs in merged for lo, hi in runs]


def address(family, number):
    return str(ipaddress.IPv4Address(number) if family == 4 else ipaddress.IPv6Address(number))
