#!/usr/bin/env python3
# The findings commands: list and filters, one finding, exports, diff, history, suppressions and what they do to the gate.
import csv, io, json, pathlib, sys, xml.etree.ElementTree as ET
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from accept import *

# Findings are lines "severity rule title" of the target's list.txt.
READER = '''
import sys, json
json.loads(sys.stdin.readline())
for i, line in enumerate(open("/workspace/list.txt")):
    severity, rule, title = line.strip().split(" ", 2)
    f = {"type": "finding", "rule_id": rule, "title": title, "severity": severity, "file": "src/list.txt", "line": i + 1,
         "snippet": title, "cwe": [79], "description": "d", "recommendation": "r",
         "evidence": {"flow": [{"file": "src/a.py", "line": 7, "message": "enters here"}], "command": "echo again"}}
    print(json.dumps(f))
print(json.dumps({"type": "result", "status": "success", "summary": {}, "error": None}))
'''


def expect(cond, what):
    if not cond:
        fail(what)


with Lab() as lab:
    lab.module("reader", READER)
    lab.workflow("read", 'return function(i) local r = ff.activity("reader", {}, {retry={max=1}}) '
                         'return {summary=r.summary, findings=r.findings} end')
    tb = ["--toolbox", lab.toolbox()]
    first = lab.target({"list.txt": "critical sql/concat one\nhigh xss/a two\nlow style/x three\nhigh xss/a =2+3|x\n"}, "first")
    second = lab.target({"list.txt": "high xss/a two\ncritical eval/exec four\nlow style/x three\n"}, "second")

    # nothing yet
    d = lab.json("findings", "list")
    expect(d["error"]["code"] == "NOT_FOUND", f"findings of no run: {d}")

    lab.ff(*tb, "run", "read", first, "--name", "r1", check=0)
    base = lab.dir / "base.sarif"
    lab.ff("findings", "export", "-o", base, check=0)
    lab.ff(*tb, "run", "read", second, "--name", "r2", check=0)

    def titles(*args):
        return [f["title"] for f in lab.json("findings", "list", *args)["findings"]]

    # list and filters
    expect(titles("--run", "r1") == ["one", "two", "=2+3|x", "three"], f"order: {titles('--run', 'r1')}")
    expect(titles() == ["four", "two", "three"], f"the last run: {titles()}")
    expect(titles("--run", "r1", "--severity", "high") == ["one", "two", "=2+3|x"], "--severity high")
    expect(titles("--run", "r1", "--severity", "critical,low") == ["one", "three"], "--severity list")
    expect(titles("--run", "r1", "--rule", "xss") == ["two", "=2+3|x"], "--rule category")
    expect(titles("--run", "r1", "--rule", "s*/*") == ["one", "three"], "--rule glob")
    expect(titles("--path", "./src/") == ["four", "two", "three"] and titles("--path", "sr") == [], "--path")
    expect(titles("--status", "suppressed") == [], "--status")
    for bad in (["--severity", "hihg"], ["--status", "odd"], ["--run", "r9"], ["--run", "r"]):
        p = lab.ff("findings", "list", *bad)
        expect(p.returncode == 2 and p.stderr, f"{bad}: exit {p.returncode}")
    p = lab.ff("findings", "list", check=0)
    expect("four" in p.stdout and "CRITICAL" not in p.stdout and "\033" not in p.stdout, "the table")

    # one
    f = lab.json("findings", "list", "--run", "r1")["findings"][0]
    for name in (f["id"], f["id"].lower(), f["fingerprint"], f["fingerprint"][:8]):
        g = lab.json("finding", name)
        expect(g["title"] == "one" and g["run_id"] == "r1" and g["reproduce"] == "echo again", f"finding {name}: {g}")
    p = lab.ff("findings", "show", f["fingerprint"][:8], check=0)
    expect(all(w in p.stdout for w in ("one", "CWE-79", "src/a.py:7", "echo again", f["fingerprint"])), "finding in full")
    expect(lab.ff("finding", "ffffffff", check=2).stderr, "unknown finding")
    lab.ff("finding", f["id"][:10], "--run", "r1", check=2)  # of several
    lab.ff("finding", check=2)

    # exports
    def export(fmt, *args):
        return lab.ff("findings", "export", "--run", "r1", "-f", fmt, *args, check=0).stdout
    rows = list(csv.DictReader(io.StringIO(export("csv"))))
    expect([r["title"] for r in rows] == ["one", "two", "'=2+3|x", "three"], f"csv: {rows}")
    expect(len(ET.fromstring(export("junit").encode()).findall(".//failure")) == 4, "junit")
    expect(len(json.loads(export("gl-sast"))["vulnerabilities"]) == 4, "gl-sast")
    expect(json.loads(export("json"))["findings_count"]["high"] == 2, "json")
    expect("=2+3\\|x" in export("md") and "<html" in export("html"), "md, html")
    expect(len(json.loads(export("sarif"))["runs"][0]["results"]) == 4, "sarif")
    expect(len(json.loads(export("sarif", "--severity", "critical"))["runs"][0]["results"]) == 1, "sarif, filtered")
    lab.ff("findings", "export", "r1", "-o", lab.dir / "x.html", check=0)
    expect((lab.dir / "x.html").read_text().startswith("<!DOCTYPE html>"), "format by suffix")
    expect("'html'" in lab.ff("findings", "export", "-f", "htlm", check=2).stderr, "format suggestion")
    lab.ff("--json", "findings", "export", "-f", "csv", check=2)
    p = lab.ff("findings", "export", "-o", lab.dir / "no" / "x.sarif")
    expect(p.returncode == 2 and "x.sarif" in p.stderr, f"export into no folder: {p.returncode}")

    # diff: runs and files
    for before in ("r1", base):
        d = lab.json("findings", "diff", before, "r2")
        expect([f["title"] for f in d["new"]] == ["four"] and d["unchanged_count"] == 2, f"diff {before}: {d}")
        expect(sorted(f["title"] for f in d["absent"]) == ["=2+3|x", "one"], f"diff {before}: gone")
    p = lab.ff("findings", "diff", base, check=0)
    expect("1 new, 2 gone, 2 unchanged" in p.stdout, f"diff: {p.stdout}")
    lab.ff("findings", "diff", base, "--fail-on", "high", check=1)
    lab.ff("findings", "diff", "r2", base, "--fail-on", "critical", check=1)
    lab.ff("findings", "diff", "r2", "r2", "--fail-on", "info", check=0)
    (lab.dir / "bad.sarif").write_text("{")
    lab.ff("findings", "diff", lab.dir / "bad.sarif", check=2)

    # a baseline in the run itself, then compared with it again: nothing twice
    lab.ff(*tb, "run", "read", second, "--name", "r3", "--baseline", base, "--fail-on", "high", check=1)
    d = lab.json("findings", "list", "--run", "r3", "--status", "new,unchanged,absent")
    expect(sorted((f["title"], f["status"]) for f in d["findings"]) ==
           [("=2+3|x", "absent"), ("four", "new"), ("one", "absent"), ("three", "unchanged"), ("two", "unchanged")], f"baseline: {d}")
    expect(len(lab.json("findings", "diff", base, "r3")["absent"]) == 2, "diff of a run with a baseline")

    (lab.dir / "base.ndjson").write_text("".join(json.dumps(f) + "\n" for f in lab.json("findings", "list", "--run", "r1")["findings"]))
    for name, code in (("base.ndjson", 1), ("bad.sarif", 2), ("none.sarif", 2)):
        lab.ff(*tb, "run", "read", second, "--name", "b-" + name, "--baseline", lab.dir / name, "--fail-on", "high", check=code)
    d = lab.json("findings", "list", "--run", "b-base.ndjson")
    expect([f["status"] for f in d["findings"]] == ["new", "unchanged", "unchanged"], f"NDJSON as baseline: {d}")

    # history
    runs = lab.json("findings", "history")["runs"]
    expect([(r["run_id"], r["findings_count"]["high"]) for r in runs[-2:]] == [("r2", 1), ("r1", 2)], f"history: {runs}")
    one = lab.json("findings", "history", f["fingerprint"])["runs"]
    expect([("finding" in r) for r in one] == [False] * (len(one) - 1) + [True], "history of a finding")
    lab.ff("findings", "history", "-n", "0", check=2)
    expect(len(lab.json("findings", "history", "-n", "1")["runs"]) == 1, "history -n")

    # suppressions
    four = lab.json("findings", "list", "--run", "r2")["findings"][0]["fingerprint"]
    lab.ff("findings", "suppress", four, check=2)  # no reason
    lab.ff("findings", "suppress", "--reason", "x", check=2)  # of what?
    lab.ff("findings", "suppress", four[:10], "--reason", "known | to us", check=0)
    lab.ff("findings", "suppress", "--rule", "xss/*", "--path", "src/*", "--reason", "all of them", check=0)
    expect(len(lab.json("findings", "suppress", "--list")["suppressions"]) == 2, "suppress --list")
    d = lab.json(*tb, "run", "read", second, "--fail-on", "high")
    expect(d["gate"]["passed"] and "2 suppressed" in d["gate"]["reason"], f"gate: {d['gate']}")
    s = {f["title"]: f for f in d["findings"]}
    expect(s["four"]["suppressed"] and s["four"]["suppression_reason"] == "known | to us" and s["two"]["suppressed"], "suppressed")
    results = json.loads(lab.ff("findings", "export", check=0).stdout)["runs"][0]["results"]
    kinds = {r["properties"]["title"]: [x["kind"] for x in r["suppressions"]] for r in results}
    expect(kinds == {"four": ["external"], "two": ["external"], "three": []}, f"suppressions in SARIF: {kinds}")
    expect(titles("--status", "active") == ["three"], "--status active")
    lab.ff("findings", "suppress", "--remove", "ffffffff", check=2)
    lab.ff("findings", "suppress", "--remove", four[:10], check=0)
    lab.ff(*tb, "run", "read", second, "--fail-on", "high", check=1)
    (lab.state / "suppressions.json").write_text("[1]")
    lab.ff(*tb, "run", "read", second, "--fail-on", "high", check=2)  # a broken file never opens the gate

    # a suppression file that came with somebody's project counts for nothing
    project = lab.dir / "project"
    (project / ".fuzzforge").mkdir(parents=True)
    (project / ".fuzzforge" / "suppressions.json").write_text('{"version":1,"suppressions":[{"path":"*","reason":"trust me"}]}')
    import subprocess
    p = subprocess.run([lab.exe, *map(str, tb), "run", "read", str(second), "--fail-on", "high"], cwd=project, env=lab.env,
                       capture_output=True, text=True, stdin=subprocess.DEVNULL)
    expect(p.returncode == 1, f"untrusted suppressions: exit {p.returncode}: {p.stderr}")

    (lab.state / "suppressions.json").unlink()

    # what a filter left out is counted and named, and fails the gate only with --strict
    large = lab.target({"a.js": "var x = 1\n", "data.js": "// " + "x" * (11 << 20) + "\n"}, "large")
    for workflow in ("security_assessment", "secret_detection"):
        p = lab.ff("run", workflow, large, "--fail-on", "low", check=0)
        expect("left out by a filter: 1 file (data.js: over the size limit)" in p.stdout, f"{workflow}: {p.stdout}")
        d = lab.json("run", workflow, large, "--fail-on", "low", "--strict")
        expect(d["status"] == "COMPLETED" and not d["incomplete"] and not d["gate"]["passed"], f"{workflow}: {d['gate']}")
        expect(d["summary"]["files_left_out"] == 1, f"{workflow}: {d['summary']}")
        lab.ff("run", workflow, large, "--fail-on", "low", "--strict", check=3)
        said = [n["message"]["text"] for r in json.loads(lab.ff("findings", "export", check=0).stdout)["runs"]
                for i in r["invocations"] for n in i.get("toolExecutionNotifications", [])]
        expect("data.js: over the size limit" in said, f"{workflow}: notifications {said}")
    # so are other people's code, for the analyzer, and what is no text, for the secrets
    mixed = lab.target({"a.js": "var x = 1\n", "node_modules/dep/b.js": "eval(location.hash)\n"}, "mixed")
    (mixed / "b.bin").write_bytes(b"\0\1\2" * 100)
    p = lab.ff("run", "security_assessment", mixed, "--fail-on", "low", check=0)
    for words in ("node_modules/: a folder of other people's code", "b.bin: binary"): expect(words in p.stdout, f"{words}: {p.stdout}")
    expect(lab.json("run", "security_assessment", mixed)["summary"]["files_left_out"] == 2, "two left out")
    lab.ff("run", "security_assessment", mixed, "--fail-on", "low", "--strict", check=3)
    lab.ff("run", "security_assessment", second, "--fail-on", "low", "--strict", check=0)
    # what a module says of secrets is kept without them, wherever it says so; what names things stays
    token, word = "ghp_" + "a8Kd93jfLs02Lkd8Zmq1PqV7Yt5Rw4Xn3Cb2", "Sup3rS3cretPassw0rd!x"
    lab.module("chatter", f'''
import json, sys
sys.stdin.readline()
line = """os.system("curl -H 'Authorization: token {token}' ")
password = "{word}" """
print(json.dumps(dict(type="log", level="info", message="reading " + line)))
print(json.dumps(dict(type="progress", done=1, total=2, message=line)))
print(json.dumps(dict(type="finding", rule_id="x/said", title="it has " + line, description=line, severity="high", file="{token}.py", line=1, snippet=line,
                      evidence=dict(line=line, stack=[line]), more=dict(line=line))))
print(json.dumps(dict(type="stats", executions=1, note=line)))
print(json.dumps(dict(type="result", status="success", summary=dict(said=line))))
''')
    lab.workflow("chat", 'return function(i) local r = ff.activity("chatter", {}, {retry={max=1}}) return {summary=r.summary, findings=r.findings} end')
    p = lab.ff(*tb, "--json", "run", "chat", lab.target(name="said"), "--name", "said", check=0)
    f = json.loads(p.stdout)["findings"][0]
    expect(f["file"] == token + ".py" and "token ghp_****3Cb2'" in f["snippet"] and "password = " in f["description"], f"{f}")
    shown = p.stdout + p.stderr + "".join(lab.ff(*c, check=0).stdout for c in (["findings", "list", "-v"], ["runs", "events", "said"], ["--json", "runs", "show", "said"],
                                          *(["findings", "export", "said", "--format", x] for x in ("json", "csv", "html", "sarif", "junit", "md"))))
    expect(token not in shown.replace(token + ".py", "") and word not in shown, "a secret that a module says is shown")
    # nor does one stay in what is told of its failure: what it says itself, the end of its stderr, and what it had counted
    for name, end in (("says", 'print(json.dumps(dict(type="result", status="failed", error="no access with " + token)))'),
                      ("dies", 'sys.exit("Traceback\\nno access with " + token)')):
        lab.module(name, f'import json, sys\nsys.stdin.readline()\ntoken = "{token}"\n'
                         f'print(json.dumps(dict(type="stats", executions=1, note=token)), flush=True)\n{end}\n')
        lab.workflow(name, f'return function(i) return ff.activity("{name}", {{}}, {{retry={{max=1}}}}) end')
        p = lab.ff(*tb, "--json", "run", name, lab.target(name=name), "--name", name, check=3)
        shown = p.stdout + p.stderr + "".join(lab.ff(*c, check=0).stdout for c in (["runs", "events", name], ["--json", "runs", "show", name],
                                                                                 ["monitor", "live", "--once", name], ["findings", "export", name, "--format", "sarif"]))
        expect("no access with ghp_****3Cb2" in shown and token not in shown, f"the secret of a module that fails: {shown}")
    ok("list, show, export, diff, history, suppress")
