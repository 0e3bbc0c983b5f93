#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Derives from a Sluice table what the generators send, so that ranges always match the table.

Writes slices.lua (Pktgen-DPDK), slices.json (TRex) and slices.pcap (either): see README.md."""

import argparse
import json
import pathlib
import random
import sys

import frames
import sluice_table

IMIX = (64, 64, 64, 64, 64, 64, 64, 594, 594, 594, 594, 1518)
# Sources are what RFC 2544 and RFC 5180 set aside for benchmarks.
SOURCE4, SOURCE6 = 0xC6120000, 0x20010002 << 96


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", type=pathlib.Path)
    parser.add_argument("--datacenter", required=True, help="where the forwarder under test is")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("."), help="folder to write to")
    parser.add_argument("--local", action="store_true", help="leave out what belongs to other data centres")
    parser.add_argument("--blocks", type=int, default=4096, help="at most so many slices, spread evenly; 0 for all")
    parser.add_argument("--frames", type=int, default=8192, help="in slices.pcap")
    parser.add_argument("--size", default="64", help="of a frame, including FCS; or imix, 64, 594 and 1518 in 7:4:1")
    parser.add_argument("--mac", type=frames.mac, default="02:00:00:00:00:01", help="of the forwarder")
    parser.add_argument("--source-mac", type=frames.mac, default="02:00:00:00:00:02")
    options = parser.parse_args()
    try:
        derive(options)
    except (OSError, ValueError) as error:
        sys.exit(f"derive.py: {error}")
    except (KeyError, TypeError, AttributeError):
        sys.exit(f"derive.py: {options.table} is no Sluice table; 'sluice table check {options.table}' says why")


def derive(options):
    table = sluice_table.Table(options.table)
    if options.datacenter not in table.datacenters:
        raise ValueError(f"{options.table} has no data centre {options.datacenter!r}")
    sizes = IMIX if options.size == "imix" else (int(options.size),)
    blocks = [block for block in table.blocks() if not options.local or block.datacenter == options.datacenter]
    if not blocks:
        raise ValueError(f"{options.table}: nobody owns anything")
    areas = sluice_table.areas(blocks)
    chosen = spread(blocks, options.blocks)
    document = {
        "table": options.table.name,
        "generation": table.generation,
        "datacenter": options.datacenter,
        "blocks_in_table": len(blocks),
        "areas": [area(*each) for each in areas],
        "blocks": [
            area(*block[:5]) | {
                "server": block.server,
                "target": block.server if block.datacenter == options.datacenter else block.datacenter,
                # What precedes the packet on the way to the server; None for another data centre, whose forwarder it goes to.
                "outer": table.outer_family(block.server) if block.datacenter == options.datacenter else None,
                "previous": block.previous,
            }
            for block in chosen
        ],
    }
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "slices.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    header = "-- SPDX-License-Identifier: MIT OR Apache-2.0\n-- Written by derive.py; change the table instead.\nreturn "
    (options.out / "slices.lua").write_text(header + lua(document) + "\n", encoding="utf-8")
    frames.write_pcap(options.out / "slices.pcap", numbered(chosen, sizes, options))
    servers = len({block.server for block in blocks})
    print(f"{len(blocks)} slices of {servers} servers in {len(areas)} areas")
    print(f"written: {len(chosen)} slices, {options.frames} frames")
    if options.frames < len(chosen):
        print(f"{len(chosen) - options.frames} slices get no frame: raise --frames")


def spread(blocks, most):
    if not most or len(blocks) <= most:
        return blocks
    return [blocks[i * len(blocks) // most] for i in range(most)]


def area(family, first, last, lo, hi):
    ends = {"first": sluice_table.address(family, first), "last": sluice_table.address(family, last)}
    return {"family": family, **ends, "lo": lo, "hi": hi}


def numbered(blocks, sizes, options):
    """Frames that visit one slice after the other, at random addresses and ports of it; the same ones every time."""
    dice = random.Random(1)
    macs = options.mac + options.source_mac
    for number in range(options.frames):
        block = blocks[number * len(blocks) // options.frames if options.frames < len(blocks) else number % len(blocks)]
        source = SOURCE4 + dice.randrange(1, 1 << 17) if block.family == 4 else SOURCE6 + dice.randrange(1, 1 << 32)
        destination = (block.family, dice.randint(block.first, block.last), dice.randint(max(block.lo, 1), block.hi))
        source = (block.family, source, dice.randrange(1024, 65536))
        yield frames.frame(number, options.frames, macs, source, destination, sizes[number % len(sizes)])


def lua(value):
    if isinstance(value, dict):
        return "{ " + ", ".join(f"[{lua(key)}] = {lua(each)}" for key, each in value.items() if each is not None) + " }"
    if isinstance(value, list):
        return "{\n" + "".join(f"  {lua(each)},\n" for each in value) + "}"
    if isinstance(value, str):
        # Names may hold anything: what could end the string, or is no ASCII, goes by its number.
        plain = (chr(b) if 32 <= b < 127 and b not in b'"\\' else f"\\{b:03}" for b in value.encode())
        return '"' + "".join(plain) + '"'
    return "nil" if value is None else str(value)


if __name__ == "__main__":
    main()
