-- SPDX-License-Identifier: MIT OR Apache-2.0
-- Walks the ranges that lib.lua asks Pktgen for as Pktgen 23.03 does, and checks that no packet leaves its area.
-- Arguments: lib.lua. The environment: SLUICE_DIR, the folder of slices.lua.

local asked = {}
local function keep(name)
  asked[name] = {}
  return function(_, key, value) asked[name][key] = value end
end
local function nothing() end

pktgen = { set = nothing, set_range = nothing, range = { ip_proto = nothing, set_type = nothing } }
for _, name in ipairs { "dst_mac", "src_mac", "dst_ip", "src_ip", "dst_port", "src_port", "pkt_size" } do
  pktgen.range[name] = keep(name)
end

local lib = dofile(arg[1])

-- The next value: Pktgen leaves at the least for the greatest, and at the greatest for the least, after the sum wrapped.
local function next_value(value, range, wrap)
  value = (value + range.inc) % wrap
  if range.inc == 0 then return range.start end
  if value < range.min then return range.max end
  if value > range.max then return range.min end
  return value
end

local function numbers(range)
  local result = {}
  for key, value in pairs(range) do result[key] = lib.number(value) end
  return result
end

for _, area in ipairs(lib.areas(lib.table())) do
  local expected, step = lib.range(area, 64)
  local addresses, ports = numbers(asked.dst_ip), asked.dst_port
  local first, last, lo = lib.number(area.first), lib.number(area.last), math.max(area.lo, 1)
  local address, port, met, pairs_met = addresses.start, ports.start, {}, 0
  local highest, seen = 0, {}
  for _ = 1, 2 * lib.option("POOL", 24576) do
    assert(first <= address and address <= last, "address " .. address)
    assert(lo <= port and port <= area.hi, "port " .. port)
    local pair = address << 16 | port
    if not met[pair] then met[pair], pairs_met = 0, pairs_met + 1 end
    met[pair] = met[pair] + 1
    assert(met[pair] <= 2 * (2 * lib.option("POOL", 24576) // expected + 1), "stays at port " .. port)
    seen[address], highest = true, math.max(highest, port)
    address, port = next_value(address, addresses, 1 << 32), next_value(port, ports, 1 << 16)
  end
  assert(pairs_met >= expected, string.format("%d pairs of %d", pairs_met, expected))
  for each = first, math.min(last, first + 1000) do assert(seen[each], "no packet to " .. lib.address(each)) end
  assert(area.hi - highest <= 2 * step, string.format("nothing above port %d", highest))
end
print("ok")
