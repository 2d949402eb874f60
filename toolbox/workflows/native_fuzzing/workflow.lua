-- Builds the targets, fuzzes one after another, and makes one report of all bugs. With more than one engine, the first one begins when
-- its build is there; the others are built meanwhile, and the campaign goes on with them.
--
-- Signals: "stop" ends the fuzzing, and what was found is reported; "pause" lets the engines rest until "resume". Each holds whatever the
-- run waits for just then.

local function add_names(names, targets)
  for _, t in ipairs(targets) do
    if not names[t.name] then
      names[t.name] = true
      names[#names + 1] = t.name
    end
  end
end

local BUILD_SOON = "1s" -- another build that takes no longer (it is cached, say) is waited for

-- The engine to begin with, and the others; nil: all are built at once.
local function engines_apart(p)
  local others = ff.array{}
  for _, engine in ipairs(p.engines or {}) do
    if engine ~= p.engines[1] then others[#others + 1] = engine end
  end
  if #others == 0 or p.mode == "regression" then return nil end
  return ff.array{p.engines[1]}, others
end

local function reason_of(e) return (e.message:gsub("^module 'fuzz_build' failed: ", "")) end

local function notice(list, module, text)
  list[#list + 1] = {level = "warning", kind = "partial", module = module, text = text}
end

-- A run that its own time-out closes hands over nothing: each of the targets that are left has its share of the time, and the
-- report some of it. Gives the end of the next one, nil if there is none.
local function share_of_time(targets_left)
  local ends = ff.info().deadline
  if not ends then return nil end
  local left = ends - ff.now()
  local for_report = math.max(2, math.min(30, left / 10))
  return ff.now() + (left - for_report) / targets_left
end

-- Waits for a campaign that "stop" and "pause" may cancel. One that is cancelled while it runs gives a result; one that waits for its
-- next attempt just then (its host was lost, say) is over without: nil.
local function end_of(campaign, was_asked)
  local ok, result = pcall(ff.await, campaign)
  if ok then return result end
  if ff.cancelled() or not was_asked() then error(result) end
  return nil
end

return function(input)
  local p = input.parameters
  local notices = ff.array{}
  local running, resting, waiting, stopped, paused
  local interrupted -- the campaign that runs is to end for a pause

  ff.on_signal("stop", function()
    stopped = true
    local future = waiting or running or resting
    if future then future:cancel() end
  end)
  ff.on_signal("pause", function()
    paused = true
    if running then
      interrupted = true
      running:cancel()
    end
  end)
  ff.on_signal("resume", function()
    paused = false
    if resting then resting:cancel() end
  end)
  ff.on_query("state", function()
    return stopped and "stopping" or running and "fuzzing" or paused and "paused" or "working"
  end)

  -- Waits for no longer than this; "stop" ends it.
  local function wait(future, longest)
    if stopped then return end
    waiting = ff.timer(longest)
    pcall(ff.race, {future, waiting})
    waiting:cancel()
    waiting = nil
  end

  -- What a step before the fuzzing gives; nil where "stop" came first.
  local function answer(future)
    wait(future, "365d")
    if future:done() or not stopped then return ff.await(future) end
    future:cancel()
    pcall(ff.await, future)
    if ff.cancelled() then ff.await(future) end
    return nil
  end

  -- How long there is something to wait for, when nothing is fuzzed.
  local function time_left(otherwise)
    local ends = share_of_time(1)
    return ends and math.max(1, math.floor(ends - ff.now())) .. "s" or otherwise, ends
  end

  -- Until "resume" or "stop", or until it is time for the report.
  local function rest()
    while paused and not stopped do
      ff.progress("paused")
      local longest, ends = time_left("365d")
      resting = ff.timer(longest)
      local ok, why = pcall(ff.await, resting)
      resting = nil
      if ff.cancelled() then error(why) end
      stopped = stopped or (ok and ends ~= nil)
    end
  end

  local sources
  if p.fetch then
    ff.progress("fetching what the build needs")
    local fetched = answer(ff.start("fuzz_fetch", {}, {timeout = "1h", retry = {max = 2}, network = "full"}))
    sources = fetched and fetched.artifacts["sources.tar"]
  end

  local function build(engines, before)
    return ff.start("fuzz_build",
      {engines = engines, target = p.target, sanitizers = p.sanitizers, sources = sources, background = before ~= nil,
        probed = before and before.artifacts["probed.tar"]},
      {timeout = "2h", retry = {max = 1}})
  end
  -- Somebody has killed it, as the kernel does where memory is short: no fault of the tree's.
  local function was_killed(e) return not ff.cancelled() and e.message:find("was killed by signal 9", 1, true) end
  local function answer_of_build(engines)
    local ok, result = pcall(answer, build(engines))
    if ok then return result end
    if was_killed(result) then return answer(build(engines)) end
    error(result)
  end
  local function tell_build(b)
    for _, text in ipairs(b.summary.notes or {}) do notice(notices, "fuzz_build", text) end
    for engine, reason in pairs(b.summary.failed or {}) do notice(notices, "fuzz_build", engine .. ": " .. reason) end
  end

  ff.progress("building")
  local first, others = engines_apart(p)
  local built, later, more -- the first engine's build; that of the others while it is under way, and when it is there
  local again -- the others' was killed, and is made once more
  if others then
    local ok, result = pcall(answer_of_build, first)
    if ok and result then
      built, later = result, build(others, result)
      local soon = ff.timer(BUILD_SOON)
      pcall(ff.race, {later, soon})
      soon:cancel()
    elseif ff.cancelled() then
      error(result)
    elseif not ok then
      notice(notices, "fuzz_build", first[1] .. ": " .. reason_of(result))
      local made, second = pcall(answer_of_build, others)
      if not made then error(result) end
      built = second
    end
  else
    built = answer_of_build(p.engines)
  end
  if not built then
    notice(notices, "fuzz_build", "it was stopped before anything was built")
    built = {summary = {targets = {}}, artifacts = {}}
  end
  tell_build(built)
  local names = {}
  add_names(names, built.summary.targets)

  -- The other engines' build is over.
  local function take_later()
    local ok, result = pcall(ff.await, later)
    later = nil
    if ok then
      more = result
      tell_build(more)
      add_names(names, more.summary.targets)
    elseif ff.cancelled() then
      error(result)
    elseif was_killed(result) and not again then
      again = true
      later = build(others, built)
    else
      notice(notices, "fuzz_build", table.concat(others, ", ") .. ": " .. reason_of(result))
    end
  end

  -- For as long as there is time.
  local function wait_for_later()
    ff.progress("building for " .. table.concat(others, ", "))
    repeat
      wait(later, (time_left("2h")))
      local over = later:done()
      if over then take_later() end
    until not (over and later)
  end

  local findings, crashes, targets = {}, {}, {}
  local totals = {executions = 0, crashes = 0, unique_crashes = 0, new = 0, still_there = 0, came_back = 0, fixed = 0}

  local function take(name, result)
    findings[#findings + 1] = result.findings
    for file, ref in pairs(result.artifacts) do
      if file:find("^corpus%-") == nil and file ~= "state.json" and file ~= "memory.tar" then crashes[name .. "/" .. file] = ref end
    end
    targets[name] = result.summary
    for key in pairs(totals) do totals[key] = totals[key] + (result.summary[key] or 0) end
    if result.status == "partial" then notice(notices, "fuzz_campaign", name .. ": " .. (result.error or "incomplete")) end
    if result.summary.stopped_by == "engines" and result.summary.executions == 0 then
      error(ff.error{type = "TargetFailed", message = result.error or "no engine can run the target", retryable = false})
    end
  end

  for i, name in ipairs(names) do
    if stopped then break end
    local result
    local alone = 0 -- seconds without the other engines: no part of the duration
    local function arguments(finish)
      return {
        build = built.artifacts["build.tar"], more = more and more.artifacts["build.tar"], target = name,
        duration = later and 0 or p.duration, not_counted = alone, plateau = p.plateau, jobs = p.jobs,
        max_executions = p.max_executions, stop_at_first_crash = p.stop_at_first_crash, input_timeout = p.input_timeout,
        memory_mb = p.memory_mb, max_len = p.max_len, minimize = p.minimize, leaks = p.leaks, rebalance = p.rebalance,
        seed = p.seed, corpus = p.corpus,
        ends_at = share_of_time(#names - i + 1), resume = result and result.artifacts, handover = name, finish = finish,
        mode = p.mode, memory = p.remember ~= false and (p.project or input.target.name) .. "/" .. name or nil,
      }
    end
    local handed_over -- it has no result, but has left all that it had to the next one of its name
    repeat
      rest()
      if stopped then break end
      ff.progress("fuzzing " .. name)
      if later and later:done() then take_later() end
      local began, waits, joined = ff.now(), later ~= nil, false
      interrupted = false
      running = ff.start("fuzz_campaign", arguments(), {timeout = "365d", heartbeat = "60s",
        retry = {max = 1000, initial = "1s", max_interval = "5s"}})
      if waits then pcall(ff.race, {running, later}) end
      if waits and later:done() and not running:done() then
        take_later()
        joined = true
        running:cancel() -- and on with all engines
      end
      local ended = end_of(running, function() return interrupted or stopped or joined end)
      running = nil
      handed_over = ended == nil
      result = ended or result
      local why = ended and ended.summary.stopped_by
      if waits then alone = alone + ff.now() - began end
      if later and not stopped and why == "engines" then -- the first one cannot run
        wait_for_later()
        joined = later == nil
      end
    until stopped or not (joined or (interrupted and (handed_over or why == "signal")))
    if handed_over then
      ff.progress("taking over what was found")
      ff.scope(function()
        result = ff.activity("fuzz_campaign", arguments(true), {timeout = "1h", heartbeat = "60s", retry = {max = 20}})
      end)
    end
    if result then take(name, result) end
    -- What only the other engines' build may give is no target yet: that is worth waiting for.
    if i == #names and later and not stopped and #(built.summary.missed or {}) > 0 then wait_for_later() end
  end

  if later then
    later:cancel()
    pcall(ff.await, later)
    notice(notices, "fuzz_build", table.concat(others, ", ") .. ": the fuzzing was over before the build")
  end

  ff.progress("making the report")
  local report = ff.activity("sarif_reporter", {
    findings = ff.array(findings),
    run = input.run,
    target = {name = input.target.name},
    notifications = notices,
    modules = {"fuzz_campaign"},
  }, {timeout = "30m"})

  local summary = {targets = targets, build_system = built.summary.build_system}
  for key, value in pairs(report.summary) do summary[key] = value end
  for key, value in pairs(totals) do summary[key] = value end
  local sarif
  for file, ref in pairs(report.artifacts) do
    if file:sub(-6) == ".sarif" then sarif = ref end
  end
  return {summary = summary, findings = report.findings, sarif = sarif, crashes = crashes,
    build_log = built.artifacts["build.txt"], build_log_others = more and more.artifacts["build.txt"],
    modules = {"fuzz_campaign"}, notifications = notices}
end
