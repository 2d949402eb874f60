#!/usr/bin/env python3
# The command line: exit codes, documents, following, cancelling, detaching, gates that stay with a run.
import os, pathlib, signal, sqlite3, sys, time
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from accept import *

SLEEPER = 'import sys, time\nsys.stdin.readline()\nprint(\'{"type":"progress","done":1,"total":2}\', flush=True)\ntime.sleep(60)\n'
RESULT = 'print(\'{"type":"result","status":"success"}\')\n'
FINDER = '''
import sys, json
req = json.loads(sys.stdin.readline())
for i in range(req["input"].get("n", 2)):
    print(json.dumps({"type": "finding", "rule_id": "bar/f%d" % i, "title": "t%d" % i, "severity": ["high", "low"][i % 2], "file": "a.py", "line": i + 1}))
print(json.dumps({"type": "result", "status": req["input"].get("status", "success"), "summary": {"x": 1}, "error": "why" if req["input"].get("status") else None}))
'''


def expect(cond, what):
    if not cond:
        fail(what)


def spawner_of(pid):
    for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        if pathlib.Path(f"/proc/{child}/comm").read_text().strip() == "ff-spawner":
            return int(child)
    fail(f"{pid} has no spawner")


with Lab() as lab:
    t = lab.target({"a.py": "x = 1\n" * 5})
    lab.module("sleeper", SLEEPER)
    lab.module("napper", SLEEPER.replace("60", "4") + RESULT)
    lab.module("finder", FINDER)
    one = 'return function(i) local r = ff.activity("%s", i.parameters, {retry={max=1}, timeout="%s"}) return {summary=r.summary, findings=r.findings} end'
    params = 'parameters:\n  type: object\n  properties:\n    n: {type: integer}\n    status: {type: string}\n'
    lab.workflow("sleep", one % ("sleeper", "90s"))
    lab.workflow("nap", one % ("napper", "30s"))
    lab.workflow("short", one % ("sleeper", "1s"))
    lab.workflow("find", one % ("finder", "30s"), params)
    lab.module("fails", "import sys\nsys.stdin.readline()\nsys.exit(3)\n")
    lab.workflow("fail_on", (one % ("fails", "30s")).replace("max=1", "max=4, initial='10ms'"))
    lab.workflow("asks", '''
return function(i)
  local got
  ff.on_query("state", function() return {got = got or "nothing"} end)
  got = ff.wait_signal("go")
  return {summary = {got = got}}
end''')
    tb = ["--toolbox", lab.toolbox()]

    # help and usage
    for args in (["--help"], ["run", "--help"], ["runs", "--help"], ["runs", "list", "--help"]):
        p = lab.ff(*args, check=0)
        expect("Usage" in p.stdout or "usage" in p.stdout, f"{args}: no usage")
    expect("did you mean" in lab.ff("rnu", check=2).stderr, "no suggestion for a command")
    expect("did you mean" in lab.ff("run", "--fail-onn", "high", "a", "b", check=2).stderr, "no suggestion for an option")
    expect(lab.json("runs", "show", "nope")["error"]["code"] == "NOT_FOUND", "unknown run as JSON")
    lab.ff("runs", "show", "nope", check=2)
    expect("neither" in lab.ff("--store", "foo", "runs", "list", check=2).stderr, "a store that is none")
    expect("\033" not in lab.ff("--help").stdout, "colour without a terminal")

    # documents and gates
    d = lab.json(*tb, "run", "find", t, "n=3", "--name", "f1")
    for k in ("run_id", "workflow", "status", "target", "started_at", "finished_at", "duration_ms", "summary", "findings_count", "gate", "findings", "result"):
        expect(k in d, f"no {k} in the document")
    expect(d["run_id"] == "f1" and d["status"] == "COMPLETED" and len(d["findings"]) == 3, f"run document: {d}")
    expect(d["findings_count"] == {"critical": 0, "high": 2, "medium": 0, "low": 1, "info": 0}, f"counts {d['findings_count']}")
    expect(all(f["fingerprint"] and f["id"] for f in d["findings"]), "finding without id or fingerprint")
    lab.ff(*tb, "run", "find", t, "--fail-on", "high", check=1)
    lab.ff(*tb, "run", "find", t, "--fail-on", "critical", check=0)
    lab.ff(*tb, "run", "find", t, "status=failed", check=3)
    lab.ff(*tb, "run", "find", t, "n=0", "status=partial", check=0)
    lab.ff(*tb, "run", "find", t, "n=0", "status=partial", "--fail-on", "high", check=3)
    lab.ff(*tb, "run", "find", t, "--name", "f1", check=2)
    lab.ff(*tb, "run", "find", t, "n=x", check=2)
    lab.ff(*tb, "run", "short", t, check=3)
    said = lab.ff(*tb, "run", "fail_on", t, check=3).stderr
    expect("fails, attempt 2: " in said and said.count(", attempt ") == 1, f"what fails again and again: {said}")
    base = lab.dir / "base.sarif"
    lab.ff(*tb, "run", "find", t, "n=2", "--export-sarif", base, check=0)
    s = json.loads(base.read_text())
    expect(s["version"] == "2.1.0" and len(s["runs"][0]["results"]) == 2, "SARIF")
    lab.ff(*tb, "run", "find", t, "n=2", "--baseline", base, "--fail-on", "low", check=0)
    lab.ff(*tb, "run", "find", t, "n=3", "--baseline", base, "--fail-on", "low", check=1)
    lab.ff(*tb, "run", "find", t, "n=3", "--baseline", "f1", "--fail-on", "low", check=0)
    lab.ff(*tb, "runs", "wait", "f1", check=0)

    # refused before anything starts; one document on stdout, whatever happens
    bad = lab.dir / "bad.sarif"
    bad.write_text("{\"version\": 7")
    before = len(lab.json("runs", "list")["runs"])
    for extra in (["--baseline", bad], ["--baseline", lab.dir / "none.sarif"], ["--baseline", "nobody"], ["-t", "0"],
                  ["--fail-on", "dreadful"], ["--export-sarif", lab.dir / "no" / "out.sarif"], ["--name", "f1"], ["--name", "a b"]):
        lab.ff(*tb, "run", "find", t, *extra, check=2)
    expect(len(lab.json("runs", "list")["runs"]) == before, "what was refused ran")
    for args in (["run", "--bogus", "--json"], ["runs", "--json"], ["runs", "show", "nope", "--json"], ["run", "find", "/nowhere\udcff", "--json"]):
        p = lab.ff(*tb, *args, check=2)
        expect(json.loads(p.stdout)["error"]["message"], f"{args}: no error document")
    with open("/dev/full", "w") as full:
        p = lab.popen("--json", "runs", "list", stdout=full, stderr=subprocess.DEVNULL)
        expect(p.wait(60) == 5, f"a full disk behind stdout: exit {p.returncode}, wanted 5")
    base.unlink()
    shown = lab.json("runs", "list")["runs"]
    for r in shown:
        lab.json("runs", "show", r["run_id"])
    expect(not base.exists(), "'runs show' wrote the export again")

    # what ran
    runs = lab.json("runs", "list")["runs"]
    expect(len(runs) >= 8 and runs[-1]["run_id"] == "f1", "runs list")
    failed = lab.json("runs", "list", "--status", "failed")["runs"]
    expect(failed and all(r["status"] == "FAILED" for r in failed), "runs list --status")

    # what makes a run incomplete is named where it is told
    odd = lab.target({"a.py": "x = 1\n", "deep.py": "(" * 200000 + "\n"}, "odd")
    out = lab.ff("run", "security_assessment", odd, "--name", "odd", check=0).stdout
    expect("incomplete" in out and "deep.py: too deep" in out, f"what was not examined: {out}")
    expect("has ended already" in lab.ff("runs", "cancel", "odd", check=0).stdout, "a run that has ended is cancelled")
    p = lab.ff("runs", "events", "f1", check=0)
    expect("ActivityTaskCompleted" in p.stdout and "finder" in p.stdout, "timeline")
    lines = [json.loads(x) for x in lab.ff("--json", "runs", "events", "f1", check=0).stdout.splitlines()]
    expect([int(e["eventId"]) for e in lines] == list(range(1, len(lines) + 1)), "event ids")

    # Ctrl-C cancels
    p = lab.popen(*tb, "run", "sleep", t, "--name", "c1", stderr=subprocess.PIPE)
    time.sleep(1.5)
    p.send_signal(signal.SIGINT)
    expect(p.wait(60) == 4, f"Ctrl-C: exit {p.returncode}, wanted 4")
    expect(lab.json("runs", "show", "c1")["status"] == "CANCELLED", "not cancelled")
    # SIGTERM leaves the run to go on; terminate ends it
    p = lab.popen(*tb, "run", "sleep", t, "--name", "c2")
    time.sleep(1.5)
    p.send_signal(signal.SIGTERM)
    p.wait(60)
    expect(lab.json("runs", "show", "c2")["status"] == "RUNNING", "SIGTERM ended the run")
    lab.ff("runs", "terminate", "c2", check=0)
    expect(lab.json("runs", "show", "c2")["status"] == "TERMINATED", "not terminated")
    lab.ff("runs", "wait", "c2", check=4)

    # signals and queries
    p = lab.popen(*tb, "run", "asks", t, "--name", "q1")
    time.sleep(1.0)
    p.kill(); p.wait()
    expect(lab.json(*tb, "runs", "query", "q1", "state")["got"] == "nothing", "query")
    lab.ff("runs", "signal", "q1", "go", '"now"', check=0)
    d = lab.json(*tb, "runs", "wait", "q")
    expect(d["result"]["summary"]["got"] == "now", f"signal: {d}")
    expect(lab.json(*tb, "runs", "query", "q1", "state")["got"] == "now", "query of a closed run")

    # a run whose workflow task fails, here for want of its script, says why, and goes on once that is mended
    p = lab.popen(*tb, "run", "asks", t, "--name", "b1", stderr=subprocess.PIPE)
    while "EVENT_TYPE_WORKFLOW_TASK_COMPLETED" not in lab.ff("--json", "runs", "events", "b1").stdout:
        expect(p.poll() is None, f"the run ends at its start: {p.returncode} {p.stderr.read() if p.returncode else ''}")
        time.sleep(0.1)
    p.kill(); p.wait()
    with sqlite3.connect(lab.state / "store" / "index.db") as db:
        db.execute("DELETE FROM blob")
    lab.ff("runs", "signal", "b1", "go", "1", check=0)
    q = lab.ff(*tb, "runs", "wait", "b1", check=3)
    expect("blocked" in q.stdout and "the run's script: no object" in q.stdout, f"blocked: {q.stdout}{q.stderr}")
    expect(lab.json("runs", "show", "b1")["blocked"], "the document of a blocked run")
    lab.popen(*tb, "run", "asks", t, "--name", "b2", "-d").wait() # stores the script again
    lab.ff("runs", "signal", "b2", "go", "1", check=0)
    expect(lab.json(*tb, "runs", "wait", "b1")["status"] == "COMPLETED", "a mended run")

    # who holds the state and cannot be reached is named
    p = subprocess.Popen([sys.executable, "-c", "import fcntl, sys, time; f = open(sys.argv[1], 'r+'); fcntl.lockf(f, fcntl.LOCK_EX); print(1, flush=True); time.sleep(60)",
                          str(lab.state / "state.db.lock")], stdout=subprocess.PIPE)
    p.stdout.readline()
    q = lab.ff("runs", "list", check=5, timeout=20)
    expect(str(p.pid) in q.stderr, f"does not name the holder: {q.stderr}")
    p.kill(); p.wait()
    # who waits for a run that another process holds carries it on when that one ends
    p = lab.popen(*tb, "run", "sleep", t, "--name", "h1")
    time.sleep(1.5)
    q = lab.popen(*tb, "runs", "wait", "h1")
    time.sleep(1.5)
    expect(q.poll() is None, f"wait left a held run: exit {q.poll()}")
    p.kill(); p.wait()
    time.sleep(1)
    expect(q.poll() is None, f"wait did not carry the run on: exit {q.poll()}")
    q.send_signal(signal.SIGINT)
    expect(q.wait(60) == 4, f"wait was cancelled: exit {q.returncode}")

    # the sandbox's spawner is killed, as by a kernel that has no memory: what it ran did not fail, and the run goes on elsewhere
    for name, command in (("k1", ("run", "nap", t, "--name", "k1")), ("k2", ("serve", "--listen", "none"))):
        p = lab.popen(*tb, *command, stderr=subprocess.PIPE)
        if name == "k2":
            time.sleep(1.0)
            lab.json(*tb, "run", "nap", t, "-d", "--name", "k2")
        time.sleep(1.5)
        os.kill(spawner_of(p.pid), signal.SIGKILL)
        expect(p.wait(20) == 5 and "spawner is gone" in p.stderr.read().decode(), f"{command[0]} whose spawner is killed: exit {p.returncode}")
        d = lab.json(*tb, "runs", "wait", name)
        expect(d["status"] == "COMPLETED", f"the run whose spawner was killed: {d['status']} {d.get('error')}")

    # detached
    d = lab.json(*tb, "run", "find", t, "-d", "--name", "d1")
    expect(d == {"run_id": "d1", "status": "RUNNING"}, f"detached: {d}")
    expect(lab.json(*tb, "runs", "wait", "d1")["status"] == "COMPLETED", "the detached run")
    def gone():
        for _ in range(200):
            left = children_of_state(lab.state)
            if not left: break
            time.sleep(0.1)
        return left
    gone() # the holder has left
    lab.ff(*tb, "run", "find", t, "-d", "--no-auto-start", check=5)
    left = gone()
    expect(not left, f"processes left: {left}")

    # an installation that was moved finds the toolbox that stands beside it
    import shutil
    (lab.dir / "moved" / "bin").mkdir(parents=True)
    shutil.copy(lab.exe, lab.dir / "moved" / "bin" / "ff")
    shutil.copytree(pathlib.Path(__file__).resolve().parents[2] / "toolbox", lab.dir / "moved/share/fuzzforge/toolbox")
    shutil.copytree(lab.dir / "moved/share/fuzzforge/toolbox/workflows/secret_detection",
                    lab.dir / "moved/share/fuzzforge/toolbox/workflows/only_here")
    q = subprocess.run([lab.dir / "moved" / "bin" / "ff", "workflow", "list"], env=lab.env, cwd=lab.dir, capture_output=True, text=True)
    expect("only_here" in q.stdout and "security_assessment" in q.stdout, f"moved: {q.stdout}{q.stderr}")
    ok("usage, documents, gates, cancel, signals, queries, holders")
