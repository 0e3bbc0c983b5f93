-- SPDX-License-Identifier: MIT OR Apache-2.0
-- Measures what arrives of a capture, slices.pcap as a rule, sent over and over at one rate. Start Pktgen with -s PORT:FILE.
-- The capture visits every slice, of IPv6 too.

local lib = dofile((debug.getinfo(1, "S").source:match("^@?(.*/)") or "./") .. "lib.lua")

lib.run("replay", function()
  pktgen.pcap(lib.tx, "on")
  -- Pktgen reckons with the average size of the capture's frames.
  local size, pps = lib.option("SIZE", 64), lib.option("PPS", 10000)
  local trial = lib.trial(size, pps)
  lib.say("asked for %.0f/s; sent %d, %.0f/s; received %d, lost %d; forwarder: %s%s", pps, trial.sent, trial.achieved,
    trial.received, trial.lost, trial.forwarder, lib.mark(trial))
end)
