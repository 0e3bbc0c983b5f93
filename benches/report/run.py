#!/usr/bin/python3 -B
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Measures the stated rows, DPDK's own programs by turns with ours, and holds them against the goals.

`make bench` builds the programs and runs this; tables and a chart are left in target/bench/.
"""

import argparse
import os
import pathlib
import sys
import tempfile

import measure
import output
import rows

ROOT = pathlib.Path(__file__).resolve().parents[2]


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--rounds", type=int, default=3, help="how often each program runs, all of them by turns")
    arguments.add_argument("--seconds", type=float, default=2, help="how long each program measures")
    arguments.add_argument("--quick", action="store_true", help="leave out what takes long: ten million addresses")
    arguments.add_argument("--only", metavar="WORD", default="", help="only programs with this word in their name")
    given = arguments.parse_args()

    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    with tempfile.TemporaryDirectory(prefix="sluice-bench-") as folder:
        programs = measure.Programs(target / "release", target / "bench", pathlib.Path(folder), given.seconds)
        names = [name for name in rows.RUNS if given.only in name and not (given.quick and name in rows.SLOW)]
        results = run_all(programs, names, given.rounds)
    report = rows.judge(results)
    print("\n" + output.text(report))
    output.write(report, target / "bench")
    print(f"\nwritten to {target / 'bench'}: report.json, report.md, report.svg")
    return 0 if results else 1


def run_all(programs, names, rounds):
    """By name the results of all its runs. One run of each, then again: what the machine does hits all alike."""
    results = {name: [] for name in names}
    for turn in range(rounds):
        for name in names:
            if turn > 0 and name in rows.ONCE:
                continue
            print(f"round {turn + 1} of {rounds}: {name} …", file=sys.stderr, flush=True)
            try:
                results[name].append(programs.run(*rows.RUNS[name]))
            except measure.Failed as error:
                print(f"  {error}", file=sys.stderr)
    return {name: runs for name, runs in results.items() if runs}


if __name__ == "__main__":
    sys.exit(main())
