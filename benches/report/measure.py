# SPDX-License-Identifier: MIT OR Apache-2.0
"""Runs one program, and says what it found: a dictionary with `ns` at least."""

import json
import os
import pathlib
import re
import resource
import shlex
import signal
import statistics
import subprocess

PEER = pathlib.Path(__file__).resolve().parents[1] / "peers" / "lookups.c"

# Whatever takes longer has hung.
PATIENCE = 600


class Failed(Exception):
    """A program did not do what it should; the text says what it said."""


class Programs:
    """The built programs, and where captures go."""

    def __init__(self, binaries, built, folder, seconds):
        self.binaries, self.built, self.folder, self.seconds = binaries, built, folder, seconds

    def run(self, kind, *arguments):
        """What `kind` found; our own programs say themselves how the machine went meanwhile."""
        watch = Watch()
        found = getattr(self, kind)(*arguments)
        found.setdefault("machine", watch.machine())
        return found

    def ours(self, program, *arguments):
        """A program of this crate."""
        command = [self.binaries / program, "--json", *arguments]
        if program != "load" and "--seconds" not in arguments:
            command += ["--seconds", self.seconds * (5 if program == "reloads" else 1)]
        found = json.loads(call(command))
        if "ns_per_packet" in found:
            found["ns"] = found["ns_per_packet"]["p50"]
        return found

    def worker(self, addresses, queues):
        """The real worker on a capture, which testpmd gets after it."""
        capture = ["--capture", self.capture(addresses)]
        return self.ours("worker", "--addresses", addresses, "--queues", queues, *capture)

    def capture(self, addresses):
        return self.folder / f"{addresses}.pcap"

    def testpmd(self, mode, addresses):
        """testpmd on the capture that the worker has left."""
        capture = self.capture(addresses)
        if not capture.exists():
            raise Failed("no capture: the worker has to run before")
        # Beside the capture's own buffers; without huge pages each takes a page.
        buffers = addresses + 70_000
        eal = f"{self.memory(buffers)} --no-pci --no-telemetry --lcores 0@0,1@1"
        device = f"--vdev net_pcap0,rx_pcap={capture},infinite_rx=1"
        mine = f"--forward-mode={mode} --burst=64 --nb-cores=1 --stats-period 1 --total-num-mbufs={buffers}"
        rates = self.rates(shlex.split(f"stdbuf -oL dpdk-testpmd {eal} {device} -- {mine}"))
        return {"ns": round(1e9 / statistics.median(rates), 2), "pps": rates}

    def rates(self, command):
        """Packets a second, once a second. The first may be of less than a second."""
        wanted = max(2, round(self.seconds))
        rates, said = [], []
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
            for line in process.stdout:
                said.append(line)
                rate = re.search(r"Rx-pps:\s+(\d+)", line)
                if rate and int(rate[1]) > 0:
                    rates.append(int(rate[1]))
                if len(rates) > wanted or len(said) > 10_000:
                    break
            process.send_signal(signal.SIGINT)
            process.stdout.read()
        if len(rates) <= wanted:
            raise Failed(f"{command[2]} ended early:\n{''.join(said[-10:])}")
        return rates[1:]

    def criterion(self, group):
        """The medians of a group of the lookup benchmark, by the number of addresses."""
        call(["cargo", "bench", "--locked", "-p", "benches", "--bench", "lookup", "--", group])
        found = {}
        for file in (self.built.parent / "criterion" / group.replace("/", "_", 1)).glob("*/new/estimates.json"):
            found[file.parts[-3]] = {"p50": round(json.loads(file.read_text())["median"]["point_estimate"], 2)}
        return found

    def lookups(self, addresses):
        """DPDK's own lookups, compiled when first asked for."""
        program = self.built / "lookups"
        if not program.exists() or program.stat().st_mtime < PEER.stat().st_mtime:
            self.built.mkdir(parents=True, exist_ok=True)
            flags = [call(["pkg-config", f"--{what}", "libdpdk"]).split() for what in ("cflags", "libs")]
            call(["cc", "-O3", "-std=gnu11", *flags[0], PEER, "-o", program, *flags[1]])
        eal = self.memory(addresses // 4 + 100_000).split()
        line = call([program, addresses, self.seconds, *eal, "--no-pci", "--no-telemetry", "-l", "1"])
        found = json.loads(line[line.index("{"):])
        return found | {"ns": found["rte_fib"]["p50"]}

    def memory(self, buffers):
        """EAL's options for so many buffers: huge pages if there are enough, as our own programs do it."""
        info = dict(re.findall(r"^(\w+):\s+(\d+)", pathlib.Path("/proc/meminfo").read_text(), re.M))
        free = int(info.get("HugePages_Free", 0)) * int(info.get("Hugepagesize", 0)) // 1024
        megabytes = 512 + buffers * 4200 // 1_000_000
        kind = "--in-memory" if free >= megabytes else "--no-huge --no-shconf"
        return f"-m {megabytes} {kind}"


class Watch:
    """Processor time of others, as `machine.rs` counts it."""

    def __init__(self):
        self.began = self.ticks()

    @staticmethod
    def ticks():
        words = pathlib.Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
        *used, steal = (int(word) for word in words)
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        own = (children.ru_utime + children.ru_stime) * os.sysconf("SC_CLK_TCK")
        return sum(used) + steal, used[3] + used[4] + own, steal

    def machine(self):
        total, expected, steal = (now - then for now, then in zip(self.ticks(), self.began))
        others = max(0, total - expected - steal)
        return {"steal": round(100 * steal / total, 2), "others": round(os.cpu_count() * others / total, 2)}


def call(command):
    command = [str(word) for word in command]
    try:
        done = subprocess.run(command, cwd=PEER.parent, capture_output=True, text=True, timeout=PATIENCE, check=False)
    except subprocess.TimeoutExpired as late:
        raise Failed(f"{command[0]} has not ended after {PATIENCE} s") from late
    if done.returncode != 0:
        raise Failed(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout
