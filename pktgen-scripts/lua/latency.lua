-- SPDX-License-Identifier: MIT OR Apache-2.0
-- Measures the time from Pktgen's transmit to its receive, sampled, under a load of SLUICE_PPS. Pktgen looks for its time stamp
-- where it put it, which is not where it is behind outer headers: what comes back must have been decapsulated, or come straight
-- from Pktgen's own port (a baseline). The decapsulator's time is in the figure.

local lib = dofile((debug.getinfo(1, "S").source:match("^@?(.*/)") or "./") .. "lib.lua")

lib.run("latency", function()
  local size, pps, file = lib.option("SIZE", 128), lib.option("PPS", 10000), lib.folder .. "/latency-samples.txt"
  local area = lib.largest(lib.table())
  lib.range(area, size)
  -- The stamped packets are made from the single packet, not from the range: it needs an address and port of the table, too.
  pktgen.set_mac(lib.tx, "dst", lib.option("MAC", "02:00:00:00:00:01"))
  pktgen.set_ipaddr(lib.tx, "dst", area.first)
  pktgen.set_ipaddr(lib.tx, "src", "198.18.0.1/15")
  pktgen.set(lib.tx, "dport", math.max(area.lo, 1))
  os.remove(file)
  pktgen.latsampler_params(lib.rx, "simple", 50000, 1000, file) -- more samples than Pktgen keeps, and it would take none
  pktgen.latency(lib.tx, "on")
  pktgen.latency(lib.rx, "on")
  pktgen.latsampler(lib.rx, "on")
  local trial = lib.trial(size, pps)
  pktgen.latsampler(lib.rx, "off")
  pktgen.latency(lib.rx, "off")
  pktgen.latency(lib.tx, "off")
  local samples = {}
  for line in assert(io.open(file), "Pktgen wrote no samples"):lines() do samples[#samples + 1] = tonumber(line) end
  lib.say("sent %d, %.0f/s; received %d; forwarder: %s", trial.sent, trial.achieved, trial.received, trial.forwarder)
  if #samples == 0 then
    lib.say("no time stamp came back: %s", trial.received > 0 and "packets did, so they are still encapsulated; see README.md"
      or "nothing did")
    return
  end
  table.sort(samples)
  local function at(share) return samples[math.max(1, math.ceil(share * #samples))] / 1000 end
  -- Of the samples: the average that pktStats gives is computed only while its latency page is shown.
  lib.say("%d samples, microseconds: least %.1f, median %.1f, 99 %% %.1f, 99.9 %% %.1f, most %.1f", #samples, samples[1] / 1000,
    at(0.5), at(0.99), at(0.999), samples[#samples] / 1000)
end)
