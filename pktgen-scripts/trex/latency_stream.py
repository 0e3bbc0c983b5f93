# SPDX-License-Identifier: MIT OR Apache-2.0
"""Measures latency under load: a stream with time stamps and numbers to one slice, and load over all areas.

TRex knows its stamped packets by their IP header: they must come back decapsulated, see README.md."""

from trex.stl.api import STLFlowLatencyStats, STLStream, STLTXCont

from sluice_slices import load, packet, parser, stream


class Latency:
    def get_streams(self, direction=0, port_id=0, tunables=(), **_):
        options = parser(__doc__)
        options.add_argument("--stamps", type=float, default=1000, help="stamped packets a second, whatever the load")
        options = options.parse_args(list(tunables))
        document = load(options.slices)
        stamped = STLStream(
            packet=packet(document["blocks"][0], options.size, options.mac, vary=False),
            mode=STLTXCont(pps=options.stamps),
            flow_stats=STLFlowLatencyStats(pg_id=port_id + 1),
        )
        areas = document["areas"]
        return [stamped] + [stream(area, options.size, options.pps / len(areas), options.mac) for area in areas]


def register():
    return Latency()
