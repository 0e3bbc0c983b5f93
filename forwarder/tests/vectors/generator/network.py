# SPDX-License-Identifier: MIT OR Apache-2.0
"""The names of what config.toml and table.json of each world hold."""

from .model import World

PLAIN = World("plain", generation=42)
TAGGED = World(
    "tagged",
    generation=2**32 + 42,
    device="core0",
    mac="02:00:00:00:00:11",
    next_hop="02:00:00:00:00:12",
    vlan=100,
    gue_port=6081,
    flow_key=bytes(range(15, -1, -1)),
    dscp=10,
)

LHR_1, LHR_2, LHR_3, LHR_4, CDG_1 = "10.0.1.1", "2001:db8:a:1::2", "10.0.1.3", "10.0.1.4", "10.1.1.1"
CDG, MAN = ["10.1.0.1", "2001:db8:b::1", "10.1.0.2"], ["2001:db8:c::1"]

SLICED4, RANGES4, REMOTE4, WHOLE4 = "198.51.100.1", "198.51.100.2", "198.51.100.3", "198.51.100.4"
DRAINING4, WHOLE4_TO_V6, MAN4, SMALL4, REMOTE_SLICED4 = (f"198.51.100.{n}" for n in range(5, 10))
UNASSIGNED4, OUTSIDE4 = "198.51.100.200", "192.0.2.1"
WHOLE6, SLICED6, REMOTE6, RANGES6 = "2001:db8:e::7", "2001:db8:e:1::7", "2001:db8:e:2::7", "2001:db8:e:3::1"
UNASSIGNED6, OUTSIDE6 = "2001:db8:e:ffff::1", "2001:db8:d::1"
