# SPDX-License-Identifier: MIT OR Apache-2.0
"""Numbered frames and the captures that hold them."""

import struct

MAGIC = b"SLQ1"
NUMBER = struct.Struct("!4sII")  # magic, number of the frame, how many frames there are
FCS = 4
MIN, MIN6 = 64, 82  # including FCS: the smallest frame of Ethernet, and the smallest that holds IPv6, UDP and the number


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF


def frame(number, count, macs, source, destination, size):
    """A UDP packet from (family, address, port) to the same, of `size` bytes including the FCS, which is not in it."""
    (family, src, sport), (_, dst, dport) = source, destination
    width, header = (4, 20) if family == 4 else (16, 40)
    src, dst = src.to_bytes(width, "big"), dst.to_bytes(width, "big")
    length = max(size - FCS - 14 - header, 8 + NUMBER.size)
    payload = NUMBER.pack(MAGIC, number, count).ljust(length - 8, b"\0")
    udp = struct.pack("!HHHH", sport, dport, length, 0)
    pseudo = src + dst + struct.pack("!IHBB", length, 0, 0, 17)
    udp = udp[:6] + struct.pack("!H", checksum(pseudo + udp + payload) or 0xFFFF)
    if family == 4:
        fixed = struct.pack("!BBHHHBBH", 0x45, 0, header + length, number & 0xFFFF, 0x4000, 64, 17, 0)
        fixed = fixed[:10] + struct.pack("!H", checksum(fixed + src + dst))
    else:
        fixed = struct.pack("!IHBB", 6 << 28, length, 17, 64)
    ethertype = 0x0800 if family == 4 else 0x86DD
    return macs + struct.pack("!H", ethertype) + fixed + src + dst + udp + payload


def number_of(data, gue_port):
    """(number, count) of a frame, whether forwarded in GUE or not; None of any other."""
    at, ethertype = 14, data[12:14]
    while ethertype in (b"\x81\x00", b"\x88\xa8"):
        at, ethertype = at + 4, data[at + 2 : at + 4]
    for _ in range(2):
        udp = at + (20 if data[at : at + 1] == b"\x45" else 40)
        if data[at : at + 1] not in (b"\x45", b"\x60") or data[udp - 40 + 6 if data[at] == 0x60 else at + 9] != 17:
            return None
        if len(data) >= udp + 8 + NUMBER.size and data[udp + 8 : udp + 12] == MAGIC:
            return NUMBER.unpack_from(data, udp + 8)[1:]
        if len(data) < udp + 12 or struct.unpack_from("!H", data, udp + 2)[0] != gue_port:
            return None
        at = udp + 12 + 4 * (data[udp + 8] & 31)
    return None


def mac(text):
    octets = bytes.fromhex(text.replace(":", ""))
    if len(octets) != 6:
        raise ValueError(f"{text!r} is no MAC address")
    return octets


def write_pcap(path, frames):
    with open(path, "wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        for data in frames:
            file.write(struct.pack("<IIII", 0, 0, len(data), len(data)) + data)


def read_pcap(path):
    """(seconds, frame) of a capture; pcap only, of Ethernet."""
    with open(path, "rb") as file:
        head = file.read(24)
        known = {(0xA1B2C3D4, order): 1e-6 for order in "<>"} | {(0xA1B23C4D, order): 1e-9 for order in "<>"}
        for (magic, order), unit in known.items():
            if len(head) == 24 and struct.unpack_from(order + "I", head)[0] == magic:
                break
        else:
            raise ValueError(f"{path} is no pcap file (pcapng: editcap -F pcap IN OUT)")
        if struct.unpack_from(order + "I", head, 20)[0] != 1:
            raise ValueError(f"{path} is no capture of Ethernet")
        record = struct.Struct(order + "IIII")
        while len(head := file.read(16)) == 16:
            seconds, fraction, length, _ = record.unpack(head)
            yield seconds + fraction * unit, file.read(length)
