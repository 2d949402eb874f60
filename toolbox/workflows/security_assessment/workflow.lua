-- Takes stock of the files, examines them for weaknesses and for secrets side by side, and makes one report of it all.

local function artifact(result, suffix)
  for name, ref in pairs(result.artifacts or {}) do
    if name:sub(-#suffix) == suffix then return ref end
  end
end

-- What the reporter should say was not examined.
local function notices(results)
  local list = {}
  for _, r in ipairs(results) do
    if r.result.status == "partial" then
      list[#list + 1] = {level = "warning", kind = "partial", module = r.module, text = r.result.error or "incomplete"}
    end
  end
  return list
end

-- Files that a filter of size or content kept from a module. Modules name the first hundred and count all; a file that
-- two modules left out counts once, as far as it is named.
local function left_out(results, list)
  local seen, named, unnamed = {}, 0, 0
  for _, r in ipairs(results) do
    local s = r.result.summary
    local n = (s.over_size or 0) + (s.binary or 0) + (s.minified or 0) + (s.passed_over or 0)
    for _, file in ipairs(s.left_out or {}) do
      n = n - 1
      if not seen[file.path] then
        seen[file.path] = true
        named = named + 1
        list[#list + 1] = {level = "note", kind = "left-out", module = r.module, text = file.path .. ": " .. file.reason}
      end
    end
    unnamed = math.max(unnamed, n)
  end
  return named + unnamed
end

return function(input)
  local p = input.parameters
  local analyzer = p.analyzer_config or {}

  ff.progress("taking stock")
  local files = ff.activity("file_scanner", p.scanner_config, {timeout = "1h"})

  ff.progress("examining the code")
  local modules = {"security_analyzer"}
  local futures = {ff.start("security_analyzer", analyzer, {timeout = "2h"})}
  if analyzer.check_secrets ~= false then
    modules[2] = "secret_detection"
    -- credentials in code are the analyzer's, which tells constants from variables
    futures[2] = ff.start("secret_detection", {generic_code = false}, {timeout = "2h"})
  end
  local examined = ff.all(futures)

  local results, refs, readers = {{module = "file_scanner", result = files}}, {files.findings}, {}
  local summary, used = {files = files.summary}, {"file_scanner"}
  for i, module in ipairs(modules) do
    readers[i] = {module = module, result = examined[i]}
    results[#results + 1] = readers[i]
    refs[#refs + 1] = examined[i].findings
    summary[module] = examined[i].summary
    used[#used + 1] = module
  end

  ff.progress("making the report")
  local notes = notices(results)
  summary.files_left_out = left_out(readers, notes)
  local report = ff.activity("sarif_reporter", {
    findings = ff.array(refs),
    config = p.reporter_config,
    run = input.run,
    target = {name = input.target.name},
    notifications = ff.array(notes),
    modules = ff.array(used),
  }, {timeout = "30m"})

  for key, value in pairs(report.summary) do summary[key] = value end
  return {
    summary = summary,
    findings = report.findings,
    sarif = artifact(report, ".sarif"),
    inventory = artifact(files, "inventory.json"),
    modules = ff.array(used),
    notifications = ff.array(notes),
  }
end
