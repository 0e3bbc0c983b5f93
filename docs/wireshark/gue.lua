-- SPDX-License-Identifier: MIT OR Apache-2.0
-- Dissects Generic UDP Encapsulation, variant 0 (draft-ietf-intarea-gue-09), as Sluice sends it: the base header, the previous
-- owner or the word between data centres, and the packet inside. How to install it: docs/wireshark.md.

local gue = Proto("gue", "Generic UDP Encapsulation")

local PROTOCOLS = { [4] = "IPv4", [41] = "IPv6" }
local DATACENTER = 0x5301

local fields = {
    variant = ProtoField.uint8("gue.variant", "Variant", base.DEC, nil, 0xc0),
    control = ProtoField.bool("gue.control", "Control", 8, nil, 0x20),
    hlen = ProtoField.uint8("gue.hlen", "Length of what follows the base header, in words", base.DEC, nil, 0x1f),
    protocol = ProtoField.uint8("gue.proto", "Inner protocol", base.DEC, PROTOCOLS),
    flags = ProtoField.uint16("gue.flags", "Flags", base.HEX),
    private = ProtoField.bytes("gue.private", "Private data"),
    type = ProtoField.uint16("gue.previous.type", "Type", base.DEC),
    next_hop = ProtoField.uint8("gue.previous.next_hop", "Next hop", base.DEC),
    hop_count = ProtoField.uint8("gue.previous.hop_count", "Hop count", base.DEC),
    previous = ProtoField.ipv4("gue.previous.address", "Previous owner"),
    mark = ProtoField.uint16("gue.datacenter.mark", "Mark", base.HEX),
    hops = ProtoField.uint8("gue.datacenter.hops", "Hops between data centres", base.DEC),
    zero = ProtoField.uint8("gue.datacenter.zero", "Zero", base.DEC),
    generation = ProtoField.uint32("gue.datacenter.generation", "Sender's generation (low 32 bits)", base.DEC),
}
gue.fields = fields

local experts = {
    short = ProtoExpert.new("gue.short", "Shorter than its header", expert.group.MALFORMED, expert.severity.ERROR),
    unknown = ProtoExpert.new("gue.unknown", "Not a kind that Sluice sends", expert.group.PROTOCOL, expert.severity.WARN),
}
gue.experts = experts

gue.prefs.port = Pref.uint("UDP port", 6080, "gue_port of the forwarders")

local inner = { [4] = Dissector.get("ip"), [41] = Dissector.get("ipv6") }
local data = Dissector.get("data")

-- The hop that GLB's redirector and the kernel's cls_redirect read.
local function previous_owner(private, tree)
    local subtree = tree:add(gue, private, "Previous owner: " .. tostring(private(4, 4):ipv4()))
    subtree:add(fields.type, private(0, 2))
    subtree:add(fields.next_hop, private(2, 1))
    subtree:add(fields.hop_count, private(3, 1))
    subtree:add(fields.previous, private(4, 4))
end

local function datacenter(private, tree)
    local text = string.format("Between data centres: hop %d, generation %d", private(2, 1):uint(), private(4, 4):uint())
    local subtree = tree:add(gue, private, text)
    subtree:add(fields.mark, private(0, 2))
    subtree:add(fields.hops, private(2, 1))
    subtree:add(fields.zero, private(3, 1))
    subtree:add(fields.generation, private(4, 4))
end

function gue.dissector(buffer, pinfo, tree)
    local length = buffer:len()
    if length < 4 then
        tree:add(gue, buffer()):add_proto_expert_info(experts.short)
        return length
    end
    pinfo.cols.protocol = "GUE"
    local first, protocol, flags = buffer(0, 1):uint(), buffer(1, 1):uint(), buffer(2, 2):uint()
    local header = 4 + 4 * (first % 32)
    local subtree = tree:add(gue, buffer(0, math.min(header, length)))
    subtree:add(fields.variant, buffer(0, 1))
    subtree:add(fields.control, buffer(0, 1))
    subtree:add(fields.hlen, buffer(0, 1))
    subtree:add(fields.protocol, buffer(1, 1))
    subtree:add(fields.flags, buffer(2, 2))
    if header > length then
        subtree:add_proto_expert_info(experts.short)
        return length
    end

    if header > 4 then
        local private = buffer(4, header - 4)
        if header == 12 and private(0, 2):uint() == DATACENTER then
            datacenter(private, subtree)
        elseif header == 12 and private(0, 4):uint() == 1 then
            previous_owner(private, subtree)
        else
            subtree:add(fields.private, private)
        end
    end
    local dissector = first < 32 and flags == 0 and inner[protocol]
    if not dissector then
        subtree:add_proto_expert_info(experts.unknown)
        dissector = data
    end
    if length > header then
        -- what is wrong with the inner packet has been shown when this fails
        pcall(dissector.call, dissector, buffer(header):tvb(), pinfo, tree)
    end
    return length
end

local ports = DissectorTable.get("udp.port")
local registered

local function register()
    if registered then
        ports:remove(registered, gue)
    end
    registered = gue.prefs.port
    ports:add(registered, gue)
end

gue.prefs_changed = register
register()
