#!/usr/bin/python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Writes candidates for the seed corpus into a folder: the frames of the golden vectors, the examples of the documentation, and
some sequences and messages by hand. To keep those that reach something new, give a target `-merge=1 seeds/TARGET FOLDER/TARGET`."""

import hashlib
import json
import pathlib
import re
import sys

HERE = pathlib.Path(__file__).parent
VECTORS = HERE.parent / "tests/vectors"
DOCS = HERE.parent.parent / "docs"


def frames(path):
    """The frames that arrive in a vector file."""
    for case in re.findall(r"^in\n((?:  .*\n|\n)*)", path.read_text(), re.MULTILINE):
        yield bytes.fromhex("".join(case.split()))


def peer(frame):
    """What the target `peer` takes of a frame that carries GUE: the outer family, and what is behind UDP's header."""
    is_v6 = frame[12:14] == b"\x86\xdd"
    start = 14 + (40 if is_v6 else 4 * (frame[14] & 15)) + 8
    return bytes([is_v6]) + frame[start:]


def fragment(kind, offset, length, more, protocol=0, port=8, identification=1, time=1):
    """A step of the target `fragments`."""
    return bytes([kind, identification, offset, length, protocol, port, more, time])


def sequences():
    for kind in (4, 5, 6, 7):  # IPv4 and IPv6, to a sliced address and to a whole one; lengths in units of eight
        first, second, last = (fragment(kind, offset, 4, more) for offset, more in ((0, 1), (4, 1), (8, 0)))
        yield first + second + last
        yield last + second + first
        yield second + last + fragment(kind, 99, 4, 1, identification=2, time=200)
        yield first + fragment(kind, 2, 4, 1) + last
        yield fragment(kind, 2, 4, 1) + first
        yield fragment(kind & 3, 0, 4, 1) + second
        yield fragment(kind, 0xFF, 0xFF, 1)
        yield first + first + second + last + last
        for protocol in range(8):
            yield first[:4] + bytes([protocol]) + first[5:] + last[:4] + bytes([protocol]) + last[5:]
    yield fragment(0xF4, 0, 250, 0)
    yield b"".join(fragment(4 + n % 2, n, 1, 1, identification=n % 8, time=n % 3) for n in range(1, 60))


def requests():
    table = json.loads((VECTORS / "tagged/table.json").read_text())
    for method, params in (
        ("status", {}),
        ("stats", None),
        ("explain", {"address": "198.51.100.1", "port": 2048, "protocol": "tcp"}),
        ("explain", {"address": "2001:db8:e:1::7", "protocol": 58}),
        ("reload", {"table": table, "dry_run": True}),
        ("reload", {"table": {"version": 1, "generation": 2**53, "datacenters": {}, "egress": []}, "force": True}),
        ("reload", {"path": "relative"}),
        ("rollback", {"generation": 1}),
    ):
        yield json.dumps(
            {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
            if params is not None
            else {"jsonrpc": "2.0", "id": "a", "method": method}
        )
    yield '[{"jsonrpc":"2.0","method":"status","id":null},1,{"jsonrpc":"2.0","method":"stats"}]'
    for text in ("", "{", "[]", "null", '{"jsonrpc":"1.0","method":"x","id":{}}', '{"id":1,"id":2}'):
        yield text


def examples(kind, files):
    """The code blocks of a language in the documentation."""
    for path in files:
        yield from re.findall(rf"^```{kind}.*?\n(.*?)^```", path.read_text(), re.MULTILINE | re.DOTALL)


def candidates():
    for path in sorted(VECTORS.glob("*/*.txt")):
        for frame in frames(path):
            yield "packet", frame
            if path.stem.startswith("peers") and len(frame) > 42:
                yield "peer", peer(frame)
    for sequence in sequences():
        yield "fragments", sequence
    pages = sorted(DOCS.glob("*.md"))
    for text in [path.read_text() for path in VECTORS.glob("*/table.json")] + list(examples("json", pages)):
        yield "table", text.encode()
    for text in [path.read_text() for path in VECTORS.glob("*/config.toml")] + list(examples("toml", pages)):
        yield "config", text.encode()
    for text in requests():
        yield "rpc", text.encode()


for target, data in candidates():
    folder = pathlib.Path(sys.argv[1]) / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / hashlib.sha1(data).hexdigest()).write_bytes(data)
