-- Runs the tests of a Rust project and makes a report of those that fail.

return function(input)
  local p = input.parameters
  local sources
  if p.fetch then
    ff.progress("fetching what the tests need")
    sources = ff.activity("fuzz_fetch", {}, {timeout = "1h", retry = {max = 2}, network = "full"}).artifacts["sources.tar"]
  end

  ff.progress("testing")
  local tested = ff.activity("cargo_test",
    {filter = p.filter, features = p.features, release = p.release, timeout = p.timeout, sources = sources},
    {timeout = "4h", retry = {max = 1}})

  ff.progress("making the report")
  local notices = ff.array{}
  if tested.status == "partial" then
    notices[1] = {level = "warning", kind = "partial", module = "cargo_test", text = tested.error or "incomplete"}
  end
  local report = ff.activity("sarif_reporter", {
    findings = ff.array{tested.findings},
    run = input.run,
    target = {name = input.target.name},
    notifications = notices,
    modules = {"cargo_test"},
  }, {timeout = "30m"})

  local summary = {cargo_test = tested.summary}
  for key, value in pairs(report.summary) do summary[key] = value end
  local sarif
  for name, ref in pairs(report.artifacts) do
    if name:sub(-6) == ".sarif" then sarif = ref end
  end
  return {summary = summary, findings = report.findings, sarif = sarif, log = tested.artifacts["tests.txt"],
    modules = {"cargo_test"}, notifications = notices}
end
