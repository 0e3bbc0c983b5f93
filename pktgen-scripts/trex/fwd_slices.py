# SPDX-License-Identifier: MIT OR Apache-2.0
"""Measures forwarding to every slice alike, large or small: a stream each."""

from sluice_slices import load, parser, stream


class Slices:
    def get_streams(self, direction=0, tunables=(), **_):
        options = parser(__doc__)
        options.add_argument("--most", type=int, default=1000, help="streams; what TRex bears depends on its memory")
        options = options.parse_args(list(tunables))
        blocks = load(options.slices)["blocks"]
        blocks = blocks[:: -(-len(blocks) // options.most)]
        return [stream(block, options.size, options.pps / len(blocks), options.mac) for block in blocks]


def register():
    return Slices()
