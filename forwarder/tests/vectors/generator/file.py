# SPDX-License-Identifier: MIT OR Apache-2.0
"""A file of cases, as the tests read it."""

import pathlib

from .packets import OWN, framed

HERE = pathlib.Path(__file__).parent.parent


class Vectors:
    """One file of cases."""

    def __init__(self, world, name, title):
        self.path = HERE / world.name / f"{name}.txt"
        self.lines = [f"# {title}", "# Made by make.py: do not edit."]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.path.write_text("\n".join(self.lines) + "\n")

    def sends(self, name, why, inner, sent, **frame):
        """The packet arrives in a frame and leaves as `sent`, or in pieces."""
        self._case(name, why, arriving(inner, **frame), None, sent if isinstance(sent, list) else [sent])

    def answers(self, name, why, inner, message, link=None, **frame):
        """The packet arrives in a frame, and `message` goes back where that came from."""
        arrives = arriving(inner, **frame)
        self._case(name, why, arrives, None, [back(arrives, message, link)])

    def tells(self, name, why, inner, reason, message, link=None, **frame):
        """The packet is dropped, and `message` about it goes back."""
        arrives = arriving(inner, **frame)
        self._case(name, why, arrives, f"drop {reason}", [back(arrives, message, link)])

    def drops(self, name, why, inner, reason, **frame):
        self._case(name, why, arriving(inner, **frame), f"drop {reason}", [])

    def kernel(self, name, why, inner, **frame):
        self._case(name, why, arriving(inner, **frame), "kernel", [])

    def _case(self, name, why, arrives, fate, sent):
        self.lines += ["", f"case {name}", f"# {why}", "in"]
        self.lines += hexed(arrives)
        self.lines += [fate] if fate else []
        for device, parts in sent:
            self.lines.append(f"tx {device}")
            self.lines += hexed(parts)


def arriving(inner, **frame):
    """The parts of a frame: as given, or with a packet in it."""
    return inner if isinstance(inner, list) else framed(inner, **frame)


def back(arrived, message, link):
    """The frame that goes back by the device where one came from: to its sender, in its tags, or with another `link` header."""
    received = arrived[0]
    answer = received[6:12] + bytes.fromhex(OWN.replace(":", "")) + received[12:]
    return "wan0", [answer if link is None else link, message]


def hexed(parts):
    """The lines of a frame: its Ethernet header by fields, the rest in groups of four bytes."""
    if not parts:
        return []
    link, *rest = parts
    cuts = [0, 6, 12, *range(14, len(link) + 2, 2)]
    lines = [" ".join(link[a:b].hex() for a, b in zip(cuts, cuts[1:]))]
    for part in rest:
        lines += [part[i : i + 48].hex(" ", -4) for i in range(0, len(part), 48)]
    return [f"  {line}".rstrip() for line in lines]
