-- SPDX-License-Identifier: MIT OR Apache-2.0
-- Measures, for each frame size, what arrives when the generator sends as fast as it can. This is the rate under overload, losses
-- included; the rate without loss is rfc2544.lua's.

local lib = dofile((debug.getinfo(1, "S").source:match("^@?(.*/)") or "./") .. "lib.lua")

lib.run("frame_sizes", function()
  local area = lib.largest(lib.table())
  lib.say("%6s %12s %12s %10s %8s  %s", "size", "sent/s", "received/s", "Gbit/s in", "lost", "forwarder")
  for _, size in ipairs(lib.sizes()) do
    lib.range(area, size)
    local trial = lib.trial(size)
    local gbit = trial.forwarded * (size + 20) * 8 / 1e9
    local share = trial.sent > 0 and trial.lost / trial.sent * 100 or 0
    lib.say("%6d %12.0f %12.0f %10.3f %7.2f%%  %s", size, trial.achieved, trial.forwarded, gbit, share, trial.forwarder)
  end
end)
