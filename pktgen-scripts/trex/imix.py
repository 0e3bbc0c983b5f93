# SPDX-License-Identifier: MIT OR Apache-2.0
"""Measures forwarding of a mix of sizes: of 12 frames 7 have 64 bytes, 4 have 594, 1 has 1518, FCS included, over all areas."""

from sluice_slices import load, parser, stream

MIX = {64: 7, 594: 4, 1518: 1}


class Imix:
    def get_streams(self, direction=0, tunables=(), **_):
        options = parser(__doc__).parse_args(list(tunables))
        areas = load(options.slices)["areas"]
        return [
            stream(area, size, options.pps * share / sum(MIX.values()) / len(areas), options.mac)
            for area in areas
            for size, share in MIX.items()
        ]


def register():
    return Imix()
