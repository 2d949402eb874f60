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

  local results, refs = {{module = "file_scanner", result = files}}, {files.findings}
  local summary, used = {files = files.summary}, {"file_scanner"}
  for i, module in ipairs(modules) do
    results[#results + 1] = {module = module, result = examined[i]}
    refs[#refs + 1] = examined[i].findings
    summary[module] = examined[i].summary
    used[#used + 1] = module
  end

  ff.progress("making the report")
  local notes = notices(results)
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
