-- SPDX-License-Identifier: MIT OR Apache-2.0
-- Measures whether every area of the table is forwarded: ranges over its addresses and ports, one area after the other. What is
-- lost at a low rate has a reason, which the forwarder's counters name.

local lib = dofile((debug.getinfo(1, "S").source:match("^@?(.*/)") or "./") .. "lib.lua")

lib.run("sweep", function()
  local size, pps = lib.option("SIZE", 64), lib.option("PPS", 10000)
  for _, area in ipairs(lib.areas(lib.table())) do
    local pairs, step = lib.range(area, size)
    local trial = lib.trial(size, pps)
    lib.say("%s-%s ports %d-%d, every %d: about %d pairs; sent %d, received %d, lost %d; forwarder: %s%s", area.first, area.last,
      area.lo, area.hi, step, pairs, trial.sent, trial.received, trial.lost, trial.forwarder, lib.mark(trial))
  end
end)
