#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Counts by sequence number what a forwarder lost, doubled and overtook, in a capture of what it sent.

The frames are those of slices.pcap, sent in its order over and over. Exit status 1: something was lost, doubled or foreign."""

import argparse
import collections
import json
import sys

import frames


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("capture", help="pcap of what left the forwarder")
    parser.add_argument("--sent", type=int, help="how many frames the generator's port counted as sent: without it, loss at "
                        "either end of the capture, or of whole rounds, can't be seen")
    parser.add_argument("--gue-port", type=int, default=6080)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    try:
        result = count(frames.read_pcap(options.capture), options)
    except (OSError, ValueError) as error:
        sys.exit(f"sequence.py: {error}")
    if options.json:
        print(json.dumps(result))
    else:
        for key, value in result.items():
            text = "unknown" if value is None else f"{value:,}" if isinstance(value, int) else value
            print(f"{key.replace('_', ' '):12} {text}")
    sys.exit(result["verdict"] != "none lost, none doubled")


def count(capture, options):
    seen, foreign, total, last = collections.Counter(), 0, None, None
    lost = again = late = 0
    for _, data in capture:
        found = frames.number_of(data, options.gue_port)
        if found is None or total is not None and found[1] != total:
            foreign += 1
            continue
        number, total = found
        seen[number] += 1
        if last is None:
            last = number
            continue
        # A step forward of less than half a round has left something out; a step back was overtaken, or is a copy.
        step = (number - last) % total
        if step == 0:
            again += 1
        elif step <= total // 2:
            lost += step - 1
            last = number
        else:
            late += 1  # or a late copy: the counts by round below tell them apart
    received = sum(seen.values())
    result = {"frames": received, "in_file": total, "foreign": foreign, "gaps": lost, "repeated": again, "overtaken": late}
    result |= {"sent": options.sent, "missing": None, "surplus": None}
    if options.sent is not None and total:
        # The generator starts with frame 0, so it is known how often each was sent.
        rounds, rest = divmod(options.sent, total)
        differences = [rounds + (number < rest) - seen[number] for number in range(total)]
        result["missing"] = sum(d for d in differences if d > 0)
        result["surplus"] = -sum(d for d in differences if d < 0)
    clean = not (foreign or lost or again or late) and received > 0
    if clean and options.sent is not None:
        clean = not (result["missing"] or result["surplus"])
    whole = options.sent is not None and received == options.sent and not foreign
    if clean:
        result["verdict"] = "none lost, none doubled"
    elif whole and not (result["missing"] or result["surplus"]):
        result["verdict"] = "none lost, none doubled"
    elif whole and lost + late > received // 10:
        result["verdict"] = "the count is right, the order is not the file's: only the total is proved"
    else:
        result["verdict"] = "FRAMES WERE LOST, DOUBLED OR FOREIGN"
    return result


if __name__ == "__main__":
    main()
