-- SPDX-License-Identifier: MIT OR Apache-2.0
-- Measures, for each frame size, the greatest rate without loss (RFC 2544, section 26.1): a search by halves, then repeats at the
-- rate found. It goes by what was really sent; a trial that did not send what it was asked to says nothing and is thrown away.

local lib = dofile((debug.getinfo(1, "S").source:match("^@?(.*/)") or "./") .. "lib.lua")

local tolerance, resolution = lib.option("TOLERANCE", 2) / 100, lib.option("RESOLUTION", 2) / 100
local repeats, tries = lib.option("REPEATS", 3), lib.option("TRIES", 3)

local function note(what, size, trial)
  lib.say("#   %-9s %4d bytes: asked %10s/s, sent %10.0f/s, lost %d of %d; forwarder: %s", what, size,
    trial.requested and string.format("%.0f", trial.requested) or "all", trial.achieved, trial.lost, trial.sent, trial.forwarder)
end

-- A trial that sent what it was asked to, within the tolerance; nothing if none did.
local function honest(size, pps)
  for _ = 1, tries do
    local trial = lib.trial(size, pps)
    if math.abs(trial.achieved - pps) <= tolerance * pps then
      note(trial.lost == 0 and "whole" or "lossy", size, trial)
      return trial
    end
    note("discarded", size, trial)
  end
end

local function clean(trial)
  -- More back than out is no success either: something else is on the link, or packets were doubled.
  return trial and trial.lost == 0 and trial.sent > 0 and (trial.dropped or 0) == 0
end

local function search(size)
  local top = lib.trial(size)
  note("at most", size, top)
  local high, low, discarded = top.achieved, 0, 0
  if clean(top) then low = high end
  while high - low > resolution * high do
    local pps = (low + high) / 2
    local trial = honest(size, pps)
    if not trial then
      -- The generator can't do this rate, which is no loss of the forwarder's. Look below, and say so.
      discarded, high = discarded + 1, pps
    elseif clean(trial) then
      low = pps
    else
      high = pps
    end
    if high < resolution * top.achieved then break end
  end
  return low, top, discarded
end

lib.run("rfc2544", function()
  local area = lib.largest(lib.table())
  lib.say("# zero loss, trials of %g s, sizes with FCS, sent within %g %% of what was asked", lib.seconds, tolerance * 100)
  for _, size in ipairs(lib.sizes()) do
    lib.range(area, size)
    local pps, top, discarded = search(size)
    local least, most, held, back = math.huge, 0, 0, resolution
    while pps > 0 and held < repeats do
      local trial = honest(size, pps)
      discarded = discarded + (trial and 0 or 1)
      if clean(trial) then
        held, least, most = held + 1, math.min(least, trial.achieved), math.max(most, trial.achieved)
      else
        -- One lossless trial was luck: a rate counts only if it can be had again. Back off faster each time, or it takes hours.
        pps, held, least, most = pps * (1 - back), 0, math.huge, 0
        back = math.min(0.5, back * 2)
        if pps < resolution * top.achieved then pps = 0 end
      end
    end
    if top.sent == 0 then
      lib.say("%5d bytes: the generator sent nothing", size)
    elseif pps == 0 then
      lib.say("%5d bytes: no rate without loss found down to %.0f/s; generator's most %.0f/s, %d rates discarded", size,
        resolution * top.achieved, top.achieved, discarded)
    else
      lib.say("%5d bytes: %.0f/s without loss, %d trials between %.0f and %.0f/s; generator's most %.0f/s, %d rates discarded",
        size, pps, held, least, most, top.achieved, discarded)
    end
  end
end)
