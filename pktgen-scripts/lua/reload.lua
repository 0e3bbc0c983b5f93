-- SPDX-License-Identifier: MIT OR Apache-2.0
-- Measures what a reload under load costs: numbered frames go out, a known number of them, and SLUICE_RELOAD runs meanwhile.
-- Start Pktgen with -s PORT:slices.pcap. The counters here tell how many are missing; which ones, and whether one came twice,
-- tells sequence.py from a capture of the forwarder's output.

local lib = dofile((debug.getinfo(1, "S").source:match("^@?(.*/)") or "./") .. "lib.lua")

lib.run("reload", function()
  local frames, pps = lib.option("FRAMES", 8192), lib.option("PPS", 10000)
  local reloads, command = lib.option("RELOADS", 5), lib.option("RELOAD")
  local rounds = math.max(1, math.floor(pps * lib.seconds / frames))
  pktgen.pcap(lib.tx, "on")
  lib.set_rate(lib.option("SIZE", 64), pps)
  pktgen.set(lib.tx, "count", rounds * frames)
  lib.wait(0.2)
  pktgen.clr()
  lib.wait(1.1)
  local before, at_first = lib.forwarder(), lib.counters()
  local start = lib.now()
  pktgen.start(lib.tx)
  local function sending() return pktgen.isSending(lib.tx)[tonumber(lib.tx)] == "y" end
  local under_load = 0
  for round = 1, reloads do
    lib.wait(lib.seconds / (reloads + 1))
    local from = lib.now()
    local good = os.execute("ROUND=" .. round .. " " .. command)
    local load = sending()
    if good and load then under_load = under_load + 1 end
    lib.say("reload %d: %s in %.2f s, %s", round, good and "done" or "REFUSED", lib.now() - from,
      load and "under load" or "AFTER the load: raise SLUICE_SECONDS")
  end
  while sending() do lib.wait(0.02) end
  local took = lib.now() - start
  lib.settle()
  local counters = lib.counters()
  local sent, received = counters.sent - at_first.sent, counters.received - at_first.received
  lib.say("sent %d of %d frames, %d rounds of %d, in %.1f s, %.0f/s", sent, rounds * frames, rounds, frames, took, sent / took)
  lib.say("received %d, lost %d; %d of %d reloads under load", received, sent - received, under_load, reloads)
  lib.say("forwarder: %s", (lib.between(before, lib.forwarder())))
  lib.say("next: sequence.py CAPTURE --sent %d", sent)
end)
