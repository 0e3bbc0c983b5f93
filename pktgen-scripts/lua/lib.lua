-- SPDX-License-Identifier: MIT OR Apache-2.0
-- What the Pktgen-DPDK scripts share: options from the environment, counters, one trial at one rate.

local lib = {}

function lib.option(name, default)
  local value = os.getenv("SLUICE_" .. name)
  if value == nil or value == "" then
    if default == nil then error("set SLUICE_" .. name .. "; see README.md", 0) end
    return default
  end
  return type(default) == "number" and assert(tonumber(value), "SLUICE_" .. name .. " is no number") or value
end

-- Pktgen takes ports as strings, and answers by number.
lib.tx = tostring(lib.option("TX", 0))
lib.rx = tostring(lib.option("RX", tonumber(lib.tx)))
lib.folder = lib.option("DIR", ".")
lib.seconds = lib.option("SECONDS", 10)

-- Pktgen draws over its own terminal, so what was found goes to a file as well.
local out = assert(io.open(lib.option("OUT", "pktgen-results.txt"), "a"))
function lib.say(form, ...)
  local line = string.format(form, ...)
  print(line)
  out:write(line, "\n")
  out:flush()
end

function lib.table()
  local path = lib.folder .. "/slices.lua"
  local derived = assert(loadfile(path), path .. " is missing or no Lua: run derive.py")()
  lib.say("# table %s, generation %s, seen from %s", derived.table, derived.generation or "of no number", derived.datacenter)
  return derived
end

-- The areas that Pktgen's ranges can express. Those of IPv6 are in slices.pcap.
function lib.areas(derived)
  local areas = {}
  for _, area in ipairs(derived.areas) do
    if area.family == 4 then areas[#areas + 1] = area end
  end
  if #areas < #derived.areas then lib.say("# %d areas of IPv6 left out: replay.lua has them", #derived.areas - #areas) end
  if #areas == 0 then error("the table has no IPv4", 0) end
  return areas
end

local function pairs_of(area)
  return (lib.number(area.last) - lib.number(area.first) + 1) * (area.hi - area.lo + 1)
end

-- The area to measure with where one must do: the one with the most pairs of address and port.
function lib.largest(derived)
  local areas = lib.areas(derived)
  local largest = areas[1]
  for _, area in ipairs(areas) do
    if pairs_of(area) > pairs_of(largest) then largest = area end
  end
  lib.say("# ports %d-%d of %s to %s", largest.lo, largest.hi, largest.first, largest.last)
  return largest
end

function lib.number(address)
  local a, b, c, d = address:match("^(%d+)%.(%d+)%.(%d+)%.(%d+)$")
  return ((a * 256 + b) * 256 + c) * 256 + d | 0
end

function lib.address(number)
  return string.format("%d.%d.%d.%d", number >> 24 & 255, number >> 16 & 255, number >> 8 & 255, number & 255)
end

local function gcd(a, b)
  while b ~= 0 do a, b = b, a % b end
  return a
end

-- Pktgen builds the packets of a range once, a pool full, and steps address and port together. So the port's step is chosen such
-- that they get out of step: then each address meets ports all over its range. Returns how many pairs it meets, and the step.
function lib.range(area, size)
  local pool = lib.option("POOL", 24576)
  local addresses = lib.number(area.last) - lib.number(area.first) + 1
  local lo = math.max(area.lo, 1)
  local ports = area.hi - lo + 1
  local wanted = math.max(1, math.min(ports, pool // addresses))
  local step = (ports + wanted - 1) // wanted -- rounded up: one pool full reaches the end of the range
  local hi, stops = area.hi, nil
  repeat
    -- A sum above 65535 wraps to a port below the range, and from there Pktgen goes to the last port and stays: end before.
    hi = math.min(area.hi, 65535 - step)
    stops = math.max(0, hi - lo) // step + 1
    step = step + 1
  until gcd(stops, addresses) == 1 or stops < 2
  step = step - 1
  local port, range = lib.tx, pktgen.range
  local function set(what, start, min, max, inc)
    range[what](port, "start", start)
    range[what](port, "min", min)
    range[what](port, "max", max)
    range[what](port, "inc", inc)
  end
  range.ip_proto(port, "udp")
  range.set_type(port, "ipv4")
  local mac, own = lib.option("MAC", "02:00:00:00:00:01"), lib.option("SOURCE_MAC", "02:00:00:00:00:02")
  local still = "00:00:00:00:00:00"
  set("dst_mac", mac, mac, mac, still)
  set("src_mac", own, own, own, still)
  set("dst_ip", area.first, area.first, area.last, addresses > 1 and "0.0.0.1" or "0.0.0.0")
  set("dst_port", lo, lo, math.max(lo, hi), stops > 1 and step or 0)
  -- The addresses of RFC 2544, so that nobody is hit by what escapes.
  set("src_ip", "198.18.0.1", "198.18.0.1", "198.19.255.254", "0.0.0.1")
  set("src_port", 1024, 1024, 65000, 1)
  set("pkt_size", size, size, size, 0)
  pktgen.set(port, "size", size) -- from this, not from the range's, Pktgen reckons the rate
  pktgen.set_range(port, "on")
  return math.min(pool, addresses * stops), step
end

-- portStats took a port and a kind until 25.x, and takes a port only from 26.02 on.
local function port_stats(port)
  local good, stats = pcall(pktgen.portStats, port, "port")
  if not good then stats = pktgen.portStats(port) end
  stats = stats[tonumber(port)]
  return stats.curr or stats
end

function lib.counters()
  return { sent = port_stats(lib.tx).opackets, received = port_stats(lib.rx).ipackets }
end

-- What the forwarder itself counted, where SLUICE_STATS is a command that prints 'sluice stats --json'. The first counters of the
-- document are the sums over all workers.
function lib.forwarder()
  local command = lib.option("STATS", "")
  if command == "" then return nil end
  local pipe = assert(io.popen(command))
  local text = pipe:read("a")
  pipe:close()
  local sums = assert(text:match('"counters":(%b{})'), "SLUICE_STATS printed no counters: " .. text:sub(1, 200))
  local counters = { drops = {} }
  for name, value in sums:match('"drops":(%b{})'):gmatch('"([%w_]+)":(%d+)') do counters.drops[name] = tonumber(value) end
  for _, name in ipairs { "rx", "tx", "originated", "exception", "held" } do
    counters[name] = tonumber(sums:match('"' .. name .. '":(%d+)'))
  end
  return counters
end

-- "rx 5, tx 4, drops: 1 unallocated_port", of what came between two looks; and how many the forwarder dropped.
function lib.between(before, after)
  if not before then return "not asked (SLUICE_STATS)", nil end
  local drops, dropped = {}, 0
  for name, value in pairs(after.drops) do
    local more = value - (before.drops[name] or 0)
    if more > 0 then drops[#drops + 1], dropped = string.format("%d %s", more, name), dropped + more end
  end
  table.sort(drops)
  local text = string.format("rx %d, tx %d, drops: ", after.rx - before.rx, after.tx - before.tx)
  return text .. (#drops > 0 and table.concat(drops, ", ") or "none"), dropped
end

-- Lua has no clock of fractions of a second that counts real time; Linux has this one, of 10 ms.
function lib.now()
  local file = assert(io.open("/proc/uptime"))
  local now = file:read("n")
  file:close()
  return now
end

-- Pktgen's own delay has been seen to take twice as long as it was told to.
function lib.wait(seconds)
  local until_then = lib.now() + seconds
  while lib.now() < until_then do pktgen.delay(20) end
end

function lib.link_mbit()
  local state = pktgen.linkState(lib.tx)[tonumber(lib.tx)]
  return lib.option("LINK_MBIT", tonumber(state:match("UP%-(%d+)")) or 0)
end

function lib.wait_for_link()
  for _ = 1, 60 do
    local up = true
    for _, port in ipairs { lib.tx, lib.rx } do
      up = up and pktgen.linkState(port)[tonumber(port)]:find("UP", 1, true)
    end
    -- A link may be up for a moment before its speed is known.
    if up and lib.link_mbit() > 0 then return end
    lib.wait(0.5)
  end
  local state = pktgen.linkState(lib.tx)[tonumber(lib.tx)]
  error("no link on port " .. lib.tx .. " or " .. lib.rx .. ", or of no known speed (SLUICE_LINK_MBIT): " .. state, 0)
end

-- Packets a second that fill the link with frames of that size, FCS included; preamble and gap are 20 bytes more.
function lib.line_pps(size)
  return lib.link_mbit() * 1e6 / ((size + 20) * 8)
end

-- Pktgen's rate is a percentage of the link.
function lib.set_rate(size, pps)
  local percent = math.min(100, pps / lib.line_pps(size) * 100)
  if not (percent > 0) then error(string.format("%s/s of %d bytes is no rate", pps, size), 0) end
  pktgen.set(lib.tx, "rate", string.format("%.6f", percent))
end

-- Until the counters rest: Pktgen reads them once a second, and the last packets are still on their way.
function lib.settle()
  lib.wait(2.5)
end

-- Sends for a while at `pps` (or as fast as it goes) and counts. `achieved` is what was really sent: the rate asked for is only a
-- wish, rounded to a whole number of cycles between bursts.
function lib.trial(size, pps, seconds)
  local tx = lib.tx
  pktgen.set(tx, "count", 0)
  lib.set_rate(size, pps or math.huge)
  lib.wait(0.2)
  pktgen.clr()
  lib.wait(1.1)
  local before, sent_before = lib.forwarder(), lib.counters()
  local start = lib.now()
  pktgen.start(tx)
  lib.wait(seconds or lib.seconds)
  pktgen.stop(tx)
  local took = lib.now() - start
  lib.settle()
  local counters = lib.counters()
  local said, dropped = lib.between(before, lib.forwarder())
  local sent, received = counters.sent - sent_before.sent, counters.received - sent_before.received
  return {
    sent = sent, received = received, lost = sent - received, seconds = took,
    requested = pps, achieved = sent / took, forwarded = received / took,
    forwarder = said, dropped = dropped,
  }
end

-- Marks a trial whose rate was not what it should have been: it measured something else.
function lib.mark(trial)
  local off = math.abs(trial.achieved - trial.requested) / trial.requested
  return off > 0.1 and string.format("; NOT AT THE RATE ASKED FOR, %.0f/s", trial.requested) or ""
end

function lib.sizes()
  local sizes = {}
  for size in lib.option("SIZES", "64 128 256 512 1024 1280 1518"):gmatch("%d+") do sizes[#sizes + 1] = tonumber(size) end
  return sizes
end

-- Runs a script's body and ends Pktgen, also after an error: nobody may be at the terminal.
function lib.run(name, body)
  pktgen.screen("off")
  lib.say("# %s, %s", name, os.date("!%Y-%m-%dT%H:%M:%SZ"))
  local good, message = pcall(function()
    lib.wait_for_link()
    lib.say("# link %d Mbit/s", lib.link_mbit())
    body()
  end)
  pktgen.stop("all")
  if not good then lib.say("FAILED: %s", message) end
  lib.say("# end of %s", name)
  pktgen.quit()
end

return lib
