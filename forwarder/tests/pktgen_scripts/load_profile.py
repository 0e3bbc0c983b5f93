# SPDX-License-Identifier: MIT OR Apache-2.0
"""Loads a profile with TRex's own library and prints, one JSON document a stream, what its packets are addressed to.

Arguments: the folder 'scripts' of a TRex checkout, the profile, slices.json."""

import base64
import ipaddress
import json
import sys
import warnings

warnings.simplefilter("ignore")
scripts, profile, slices = sys.argv[1:]
sys.path.insert(0, f"{scripts}/automation/trex_control_plane/interactive")
from trex.stl.api import STLProfile  # noqa: E402

for stream in STLProfile.load_py(profile, direction=0, port_id=0, tunables=["--slices", slices]).get_streams():
    document = stream.to_json()
    packet = base64.b64decode(document["packet"]["binary"])
    start, end = (30, 34) if packet[14] >> 4 == 4 else (38, 54)
    ends = [bytearray(packet), bytearray(packet)]
    variables = {}
    for instruction in document["vm"].get("instructions", []):
        if instruction["type"] == "flow_var":
            variables[instruction["name"]] = instruction
        elif instruction["type"] == "write_flow_var":
            variable, at = variables[instruction["name"]], instruction["pkt_offset"]
            for frame, bound in zip(ends, ("min_value", "max_value")):
                frame[at : at + variable["size"]] = variable[bound].to_bytes(variable["size"], "big")
    addresses = [str(ipaddress.ip_address(bytes(frame[start:end]))) for frame in ends]
    ports = [int.from_bytes(frame[end + 2 : end + 4], "big") for frame in ends]
    print(json.dumps({"first": addresses[0], "last": addresses[1], "lo": ports[0], "hi": ports[1],
                      "size": len(packet) + 4, "pps": document["mode"]["rate"]["value"]}))
