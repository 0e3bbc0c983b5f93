# SPDX-License-Identifier: MIT OR Apache-2.0
"""What the TRex profiles share: the ranges that derive.py wrote, and streams over them."""

import argparse
import ipaddress
import json
import os

from trex.stl.api import (
    IP, UDP, CTRexVmInsFixHwCs, Ether, IPv6, STLPktBuilder, STLStream, STLTXCont, STLVM,
)

FCS = 4
# From 64 bytes with FCS on; what holds IPv6, UDP and 16 bytes of payload, which a latency stream needs, is larger.
SMALLEST = {4: 64, 6: 82}


def parser(description):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--slices", default=os.environ.get("SLUICE_SLICES", "slices.json"), help="file that derive.py wrote")
    parser.add_argument("--size", type=int, default=64, help="of a frame, including FCS")
    parser.add_argument("--pps", type=float, default=1000, help="of all streams together; start's -m multiplies it")
    parser.add_argument("--mac", default="02:00:00:00:00:01", help="of the forwarder")
    return parser


def load(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def stream(area, size, pps, mac, **more):
    """UDP to random addresses and ports of an area, all of them equally likely."""
    return STLStream(packet=packet(area, size, mac), mode=STLTXCont(pps=pps), **more)


def packet(area, size, mac, vary=True):
    family, lo = area["family"], max(area["lo"], 1)
    header = IP(src="198.18.0.1", dst=area["first"]) if family == 4 else IPv6(src="2001:2::1", dst=area["first"])
    # Zero: not computed, so nothing to put right when the ports change. Over IPv6 there must be one.
    udp = UDP(sport=1024, dport=lo, chksum=0) if family == 4 else UDP(sport=1024, dport=lo)
    plain = Ether(dst=mac, src="02:00:00:00:00:02") / header / udp
    size = max(size, SMALLEST[family]) - FCS
    return STLPktBuilder(pkt=plain / (b"\0" * (size - len(plain))), vm=engine(area) if vary else None)


def engine(area):
    family, lo = area["family"], max(area["lo"], 1)
    vm = STLVM()
    first, last = (int(ipaddress.ip_address(area[end])) for end in ("first", "last"))
    if last > first:
        least, most, shift = window(first, last)
        vm.var(name="address", min_value=least, max_value=most, size=4, op="random")
        # The last byte of the destination is the last of the header that is 34 bytes from the start, or 54 over IPv6.
        vm.write(fv_name="address", pkt_offset=(34 if family == 4 else 54) - 4 - shift // 8)
    vm.var(name="port", min_value=lo, max_value=area["hi"], size=2, op="random")
    vm.write(fv_name="port", pkt_offset="UDP.dport")
    vm.var(name="source", min_value=1024, max_value=65535, size=2, op="random")
    vm.write(fv_name="source", pkt_offset="UDP.sport")
    if family == 4:
        vm.fix_chksum()
    else:
        vm.fix_chksum_hw(l3_offset="IPv6", l4_offset="UDP", l4_type=CTRexVmInsFixHwCs.L4_TYPE_UDP)
    return vm


def window(first, last):
    """The 32 bits that reach furthest into a range of addresses: (least value, greatest, bits to the right of them). The rest of
    the address stays the first one's."""
    shift = 0
    while (first >> shift + 32) != (last >> shift + 32):
        shift += 8
    mask, rest = 0xFFFFFFFF, (1 << shift) - 1
    least, most = first >> shift & mask, last >> shift & mask
    return least, most - ((first & rest) > (last & rest)), shift
