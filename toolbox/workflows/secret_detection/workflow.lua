-- Looks for secrets and makes a report of them.

return function(input)
  ff.progress("looking for secrets")
  local found = ff.activity("secret_detection", input.parameters.secrets_config, {timeout = "2h"})

  ff.progress("making the report")
  local notices = {}
  if found.status == "partial" then
    notices[1] = {level = "warning", kind = "partial", module = "secret_detection", text = found.error or "incomplete"}
  end
  for _, file in ipairs(found.summary.left_out or {}) do
    notices[#notices + 1] = {level = "note", kind = "left-out", module = "secret_detection",
      text = file.path .. ": " .. file.reason}
  end
  local report = ff.activity("sarif_reporter", {
    findings = ff.array{found.findings},
    config = input.parameters.reporter_config,
    run = input.run,
    target = {name = input.target.name},
    notifications = ff.array(notices),
    modules = {"secret_detection"},
  }, {timeout = "30m"})

  local left_out = (found.summary.over_size or 0) + (found.summary.binary or 0)
  local summary = {secret_detection = found.summary, files_left_out = left_out}
  for key, value in pairs(report.summary) do summary[key] = value end
  local sarif
  for name, ref in pairs(report.artifacts) do
    if name:sub(-6) == ".sarif" then sarif = ref end
  end
  return {summary = summary, findings = report.findings, sarif = sarif, modules = {"secret_detection"},
    notifications = ff.array(notices)}
end
