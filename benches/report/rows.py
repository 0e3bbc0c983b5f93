# SPDX-License-Identifier: MIT OR Apache-2.0
"""What is run, and what it is held against."""

import statistics

MILLION = 1_000_000

# By name: the method of `measure.Programs` and its arguments. The order is that of running: testpmd plays the worker's capture.
RUNS = {
    "pipeline 1 k": ("ours", "pipeline"),
    "pipeline 1 M": ("ours", "pipeline", "--addresses", MILLION),
    "pipeline 10 M": ("ours", "pipeline", "--addresses", 10 * MILLION, "--local", 10),
    "pipeline outer IPv6": ("ours", "pipeline", "--outer", 6),
    "pipeline inner IPv6": ("ours", "pipeline", "--inner", 6),
    "pipeline IMIX": ("ours", "pipeline", "--frame", "imix"),
    "worker 1 k": ("worker", 1000, 1),
    "testpmd macswap 1 k": ("testpmd", "macswap", 1000),
    "testpmd io 1 k": ("testpmd", "io", 1000),
    "worker 1 k, 2 queues": ("worker", 1000, 2),
    "worker 1 M": ("worker", MILLION, 1),
    "testpmd macswap 1 M": ("testpmd", "macswap", MILLION),
    "testpmd io 1 M": ("testpmd", "io", MILLION),
    "lookup": ("criterion", "lookup/ipv4/staged"),
    "DPDK lookups 1 k": ("lookups", 1000),
    "DPDK lookups 1 M": ("lookups", MILLION),
    "load 1 M": ("ours", "load"),
    "reloads 1 k": ("ours", "reloads"),
    # A minute with patches, and by turns with it one without.
    "patches 1 M": ("ours", "reloads", "--change", "patch", "--addresses", MILLION, "--every", 1, "--seconds", 120),
}
SLOW = {"pipeline 10 M", "patches 1 M"}
ONCE = {"lookup", "pipeline 10 M", "reloads 1 k", "patches 1 M"}

# What makes a figure doubtful: time that the host gave to others (percent), processors at other work, and runs that differ by
# so much of their median.
MOST_STEAL, MOST_OTHERS, MOST_SPREAD = 1.0, 0.15, 0.10


def judge(results):
    """The report: a list of rows, the machine, and whether it can be believed."""
    runs = {name: Runs(name, found) for name, found in results.items()}
    report = {"rows": [row for row in all_rows(runs) if row], "machine": {}, "runs": results}
    for found in filter(None, results.values()):
        report["machine"] = max(report["machine"], found[-1]["machine"], key=len)  # of a peer less is known
    report["noisy"] = sum(1 for row in report["rows"] if row["doubts"])
    return report


def all_rows(runs):
    """A function a group of rows of the same kind. A row whose runs are missing is left out."""
    return [*pipelines(runs), *workers(runs), *lookups(runs), *tables(runs)]


def pipelines(runs):
    short = "60-byte TCP, bursts of 64, 1,000 addresses"
    yield row(runs, f"{short}, hot buffers", "pipeline 1 k", "ns", 12, path=("hot", "ns_per_packet", "p50"),
              note="first goal 18")
    yield row(runs, short, "pipeline 1 k", "ns", None)
    yield row(runs, "1,000,000 addresses, no two plans alike", "pipeline 1 M", "ns", 32)
    yield row(runs, "10,000,000 addresses, 10 % local", "pipeline 10 M", "ns", 40)
    for name, what in (("outer IPv6", "IPv6 outside"), ("inner IPv6", "IPv6 inside"), ("IMIX", "IMIX")):
        yield row(runs, f"{what}, 1,000 addresses", f"pipeline {name}", "ns", None, peer="pipeline 1 k", most=1.25)


def workers(runs):
    for size, words, most in (("1 k", "1,000", 1.6), ("1 M", "1,000,000", 2.3)):
        yield row(runs, f"worker on net_pcap, {words} addresses", f"worker {size}", "ns", None,
                  peer=f"testpmd macswap {size}", most=most)
        yield row(runs, f"the same beside testpmd io, {words} addresses", f"worker {size}", "ns", None,
                  peer=f"testpmd io {size}")
    yield row(runs, "two workers on two queues, Mpps", "worker 1 k, 2 queues", "Mpps", None, path=("mpps",),
              peer="worker 1 k", least=1.8)


def lookups(runs):
    for size, words, addresses in (("1 k", "1,000", "1000"), ("1 M", "1,000,000", "1000000")):
        for peer in ("rte_fib", "rte_hash"):
            yield row(runs, f"lookup of address and port, {words} addresses", "lookup", "ns", None, path=(addresses, "p50"),
                      peer=f"DPDK lookups {size}", peer_path=(peer, "p50"), note=f"{peer} bulk knows no ports")


def tables(runs):
    loads, reloads, patches = "load 1 M", "reloads 1 k", "patches 1 M"
    yield row(runs, "1,000,000 addresses from JSON to published", loads, "s", 4, path=("seconds",))
    yield row(runs, "bytes an address", loads, "B", 80, path=("bytes_per_address",))
    yield row(runs, "anonymous memory while loading, of the table's", loads, "×", 4, path=("peak_over_table",))
    yield row(runs, "reload at full load: swap, 99 of 100", reloads, "ms", 1, path=("swap_ms", "p99"))
    yield row(runs, "slowest hundredth of 10 ms windows with reloads, of those without", reloads, "%", 95,
              path=("slowest_percent",), at_least=True)
    yield row(runs, "patches of one slice a second, 1,000,000 addresses, for a minute", patches, "", 990, at_least=True,
              path=("changes_per_second",))
    yield row(runs, "throughput with them, of that without", patches, "%", 95, path=("median_percent",), at_least=True)


class Runs:
    """The runs of one program."""

    def __init__(self, name, found):
        self.name, self.found = name, found

    def values(self, path):
        return [value(found, path) for found in self.found]

    def doubts(self, path):
        doubts = set()
        for found in self.found:
            machine = found["machine"]
            if machine["steal"] > MOST_STEAL:
                doubts.add("time was stolen")
            if machine["others"] > MOST_OTHERS:
                doubts.add("others were busy")
        values = self.values(path)
        median = statistics.median(values)
        if median and (max(values) - min(values)) / median > MOST_SPREAD:
            doubts.add(f"runs differ by {100 * (max(values) - min(values)) / median:.0f} %")
        return sorted(doubts)


def value(found, path):
    for key in path:
        found = found[key]
    return found


def row(runs, what, name, unit, goal, path=("ns",), peer=None, peer_path=None, most=None, least=None, at_least=False,
        note=""):
    """One row: the median of the runs, against a goal of its own or of its ratio to a peer's."""
    if name not in runs or (peer and peer not in runs):
        return None
    mine = statistics.median(runs[name].values(path))
    made = {"what": what, "value": mine, "unit": unit, "goal": "", "met": None, "peer": None, "ratio": None, "note": note}
    made["doubts"] = runs[name].doubts(path)
    if goal is not None:
        made["limit"] = goal
        made["goal"] = f"{'≥' if at_least else '≤'} {goal} {unit}"
        made["met"] = mine >= goal if at_least else mine <= goal
    if peer:
        peer_path = peer_path or path
        theirs = statistics.median(runs[peer].values(peer_path))
        made |= {"peer": f"{peer}: {theirs:g} {unit}", "ratio": round(mine / theirs, 2), "peer_value": theirs}
        made["doubts"] = sorted({*made["doubts"], *runs[peer].doubts(peer_path)})
        if most or least:
            made["goal"] = f"≤ {most} ×" if most else f"≥ {least} ×"
            made["met"] = made["ratio"] <= most if most else made["ratio"] >= least
    return made
