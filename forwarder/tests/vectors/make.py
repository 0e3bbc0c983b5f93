#!/usr/bin/python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Writes the golden vectors: frames, what becomes of each, and the bytes that leave. Needs scapy (Debian: python3-scapy); the
tests read the text files and do not.

Each case names its fate by hand, from the contract; generator/model.py makes the bytes."""

import sys

sys.dont_write_bytecode = True

from generator import headers, icmp, mtu, neighbours, owners, peers

for subject in (
    owners.ports,
    owners.portless_protocols,
    owners.whole,
    owners.remote,
    owners.previous,
    headers.link,
    headers.addresses,
    headers.malformed,
    headers.ipv4_options,
    headers.ipv6_extensions,
    headers.marks,
    peers.accepted,
    peers.refused,
    peers.inside,
    neighbours.fragments,
    icmp.replies,
    icmp.requests,
    icmp.errors4,
    icmp.errors6,
    icmp.errors_elsewhere,
    mtu.told,
    mtu.pieces,
):
    subject()
