# SPDX-License-Identifier: MIT OR Apache-2.0
"""Measures what the size of the table costs: every packet goes to another address and port, drawn from all that is owned, in
proportion to its size, so that a large table is not served from the cache."""

import ipaddress

from sluice_slices import load, parser, stream, window


class Scale:
    def get_streams(self, direction=0, tunables=(), **_):
        options = parser(__doc__)
        options.add_argument("--family", type=int, choices=(4, 6), help="only IPv4, or IPv6")
        options = options.parse_args(list(tunables))
        areas = [area for area in load(options.slices)["areas"] if options.family in (None, area["family"])]
        weights = [reach(area) for area in areas]
        return [
            stream(area, options.size, options.pps * weight / sum(weights), options.mac)
            for area, weight in zip(areas, weights)
        ]


def reach(area):
    """How many pairs of address and port the field engine can draw."""
    least, most, _ = window(*(int(ipaddress.ip_address(area[end])) for end in ("first", "last")))
    return (most - least + 1) * (area["hi"] - area["lo"] + 1)


def register():
    return Scale()
