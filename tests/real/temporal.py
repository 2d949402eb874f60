#!/usr/bin/env python3
"""engine: temporal, against Temporal's own server: runs, workers that die, cancellation, queries, other people's programs.

usage: temporal.py FF SOURCE_ROOT
"""
import base64
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration"))
os.environ["FF_EXE"] = os.path.abspath(sys.argv[1])
from accept import Lab, fail, ok  # noqa: E402
from peers import PYTHON, TemporalServer, free_port, need  # noqa: E402

SOURCE = pathlib.Path(sys.argv[2]).resolve()
HERE = pathlib.Path(__file__).resolve().parent

SLEEPER = '''
import sys, json, time
req = json.loads(sys.stdin.readline())
open("/workspace/../scratch/started", "w").close()
print(json.dumps({"type": "checkpoint", "data": {"seen": req["attempt"]}}), flush=True)
time.sleep(req["input"].get("seconds", 60) if req["attempt"] == 1 else 0)
print(json.dumps({"type": "result", "status": "success", "summary": {"attempt": req["attempt"], "checkpoint": req["checkpoint"]}}))
'''
LARGE = '''
import sys, json
req = json.loads(sys.stdin.readline())
print(json.dumps({"type": "result", "status": "success", "summary": {"text": "x" * req["input"]["bytes"]}}))
'''
BROKEN = 'import sys\nsys.stdin.readline()\nprint("no such device", file=sys.stderr)\nsys.exit(3)\n'


def expect(cond, what):
    if not cond:
        fail(what)


def until(f, what, seconds=60):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        v = f()
        if v:
            return v
        time.sleep(0.1)
    fail(f"never: {what}")


def started(lab, run, attempt=1):
    """Waits until the activity of that run is with a worker."""
    def f():
        p = server.cli("workflow", "describe", "-w", run, "-o", "json", check=None)
        pending = json.loads(p.stdout).get("pendingActivities", []) if p.returncode == 0 else []
        return any(p["state"] == "PENDING_ACTIVITY_STATE_STARTED" and p["attempt"] == attempt for p in pending)
    until(f, f"an activity of {run} on its attempt {attempt}")


def event_types(run):
    h = json.loads(server.cli("workflow", "show", "-w", run, "-o", "json").stdout)
    return [e["eventType"].removeprefix("EVENT_TYPE_") for e in h["events"]], h["events"]


# --- the main job ---

def same_findings(lab):
    key = lambda f: (f["rule_id"], f["file"], f["line"], f["title"], f["severity"], f["fingerprint"])
    target = SOURCE / "examples" / "vulnerable_app"
    here = lab.json("run", "security_assessment", target, "--engine", "embedded", env={"FF_ENGINE": "embedded"})
    there = lab.json("run", "security_assessment", target, "--name", "main")
    expect("status" in there, f"{there}")
    expect(there["status"] == "COMPLETED" and len(there["findings"]) > 100, f"the run ended {there['status']}")
    expect(sorted(map(key, here["findings"])) == sorted(map(key, there["findings"])), "not the same findings on both engines")
    expect(here["gate"] == there["gate"] and here["findings_count"] == there["findings_count"], "not the same counts")
    lab.ff("run", "security_assessment", target, "--fail-on", "critical", check=1)
    lab.ff("runs", "wait", "main", check=0)
    expect(len(lab.json("findings", "list", "--run", "main")["findings"]) == len(there["findings"]), "findings list")


def readable(lab):
    """A person who knows Temporal's tools alone understands the run."""
    types, events = event_types("main")
    expect(types[0] == "WORKFLOW_EXECUTION_STARTED" and types[-1] == "WORKFLOW_EXECUTION_COMPLETED", f"history {types}")
    memo = events[0]["workflowExecutionStartedEventAttributes"]["memo"]["fields"]
    expect("vulnerable_app" in json.dumps(memo) or len(memo) >= 4, f"memo {list(memo)}")
    scheduled = [e for e in events if "activityTaskScheduledEventAttributes" in e]
    expect({e["activityTaskScheduledEventAttributes"]["activityType"]["name"] for e in scheduled} >=
           {"file_scanner", "security_analyzer", "secret_detection"}, "activity types are the modules' names")
    expect(all("userMetadata" in e for e in scheduled), "activities have no summary")
    text = server.cli("workflow", "show", "-w", "main").stdout
    expect("ActivityTaskScheduled" in text and "COMPLETED" in text and "ref" in text, "workflow show")
    described = server.cli("workflow", "describe", "-w", "main").stdout
    expect("security_assessment" in described and "python-queue" in described, "workflow describe")
    listed = until(lambda: [w for w in json.loads(server.cli("workflow", "list", "-o", "json").stdout)
                            if w["execution"]["workflowId"] == "main"], "main in the list")
    expect(listed[0]["type"]["name"] == "security_assessment", "listed type")


def failures(lab):
    """Our errors in Temporal's Failure tree."""
    lab.ff("run", "breaks", lab.target(), "--name", "breaks", check=3)
    types, events = event_types("breaks")
    failed = next(e for e in events if "activityTaskFailedEventAttributes" in e)["activityTaskFailedEventAttributes"]
    f = failed["failure"]
    expect(f["applicationFailureInfo"]["type"] == "ModuleFailed" and "no such device" in f["message"], f"activity failure {f}")
    end = events[-1]["workflowExecutionFailedEventAttributes"]["failure"]
    expect("broken" in end["message"] and "workflow.lua" in end.get("stackTrace", ""), f"workflow failure {end}")
    shown = server.cli("workflow", "show", "-w", "breaks").stdout
    expect("no such device" in shown, "the reason is not in 'temporal workflow show'")
    lab.ff("run", "odd", lab.target(), "--name", "odd", check=3)
    end = event_types("odd")[1][-1]["workflowExecutionFailedEventAttributes"]["failure"]
    expect("workflow.lua:2" in end["message"] + end.get("stackTrace", ""), f"a script's error does not name its line: {end}")


# --- faults ---

def killed_worker(lab):
    """kill -9 in the middle: the next one carries the run on, with the checkpoint."""
    p = lab.popen("run", "sleeps", lab.target(), "--name", "k9")
    started(lab, "k9")
    time.sleep(7)  # the checkpoint goes with a heartbeat, which are as rare as those of Temporal's SDKs
    p.kill()
    p.wait()
    begin = time.monotonic()
    d = lab.json("runs", "wait", "k9", timeout=90)
    expect(d["status"] == "COMPLETED" and d["result"]["summary"]["attempt"] == 2, f"after kill -9: {d['result']}")
    expect(d["result"]["summary"]["checkpoint"] == {"seen": 1}, f"the checkpoint is lost: {d['result']}")
    expect(time.monotonic() - begin < 30, "a dead worker was noticed late")


def stopped_worker(lab):
    """One that is stopped gives back what it runs: no timeout passes."""
    worker = lab.popen("worker", "--vertical", "python")
    lab.ff("run", "-d", "sleeps", lab.target(), "--name", "gb", check=0)
    started(lab, "gb")
    worker.terminate()
    expect(worker.wait(60) == 0, "ff worker did not end well")
    begin = time.monotonic()
    d = lab.json("runs", "wait", "gb", timeout=60)
    expect(d["status"] == "COMPLETED" and d["result"]["summary"]["attempt"] == 2, f"after a stop: {d['result']}")
    expect(time.monotonic() - begin < 10, "what a stopped worker had was handed out late")
    pending = [e for e in event_types("gb")[1] if "activityTaskStartedEventAttributes" in e]
    expect("WorkerStopped" in json.dumps(pending[-1]), "the failure of the first attempt does not say why")


def cancelled(lab):
    p = lab.popen("run", "sleeps", lab.target(), "--name", "cn")
    started(lab, "cn")
    begin = time.monotonic()
    p.send_signal(signal.SIGINT)
    expect(p.wait(30) == 4, f"Ctrl-C: exit {p.returncode}, wanted 4")
    expect(time.monotonic() - begin < 8, "cancelling waited for a heartbeat")
    expect(event_types("cn")[0][-1] == "WORKFLOW_EXECUTION_CANCELED", "not cancelled in the history")
    # by Temporal's own command line, with a worker elsewhere
    worker = lab.popen("worker", "--vertical", "python")
    lab.ff("run", "-d", "sleeps", lab.target(), "--name", "cn2", check=0)
    started(lab, "cn2")
    server.cli("workflow", "cancel", "-w", "cn2")
    until(lambda: lab.json("runs", "show", "cn2")["status"] == "CANCELLED", "cancelled from outside")
    lab.ff("run", "-d", "sleeps", lab.target(), "--name", "tm", check=0)
    started(lab, "tm")
    lab.ff("runs", "terminate", "tm", check=0)
    expect(lab.json("runs", "show", "tm")["status"] == "TERMINATED", "not terminated")
    worker.terminate()
    worker.wait(60)


def server_restarts(lab):
    """The cluster goes away for some seconds in the middle of a run, and comes back."""
    p = lab.popen("--json", "run", "sleeps", lab.target(), "seconds=6", "--name", "away", stdout=subprocess.PIPE)
    started(lab, "away")
    server.stop(signal.SIGKILL)
    time.sleep(2)
    server.up()
    out = p.communicate(timeout=90)[0]
    expect(p.returncode == 0 and json.loads(out)["status"] == "COMPLETED", f"after the server's restart: exit {p.returncode}")


def namespaces(lab):
    """Another namespace of the cluster: its runs, and a worker that takes nothing of the default one."""
    server.cli("operator", "namespace", "create", "--namespace", "space", "--retention", "24h")
    space = lambda *a, **kw: lab.ff("--namespace", "space", *a, **kw)
    until(lambda: space("runs", "list").returncode == 0, "the namespace")
    worker = lab.popen("--namespace", "space", "worker", "--vertical", "python")
    lab.ff("run", "-d", "sleeps", lab.target(), "seconds=0", "--name", "apart", check=0)
    until(lambda: space("run", "-d", "sleeps", lab.target(), "seconds=0", "--name", "apart").returncode == 0, "a run there")
    ended = lambda: json.loads(space("--json", "runs", "show", "apart").stdout)["status"] == "COMPLETED"
    until(ended, "the end of the run by that namespace's worker")
    types, _ = event_types("apart")
    expect(types == ["WORKFLOW_EXECUTION_STARTED", "WORKFLOW_TASK_SCHEDULED"], f"taken by a worker of another namespace: {types}")
    worker.terminate()
    expect(worker.wait(60) == 0, "ff worker did not end well")
    lab.ff("runs", "terminate", "apart", check=0)


def cleaned(lab):
    """What `ff clean` says is gone is gone from the lists too, though a cluster's come late, or it says so; what runs stays."""
    lab.ff("run", "sleeps", lab.target(), "seconds=0", "--name", "old", check=0)
    lab.ff("run", "-d", "asks", lab.target(), "--name", "young", check=0)
    names = lambda: [r["run_id"] for r in lab.json("runs", "list")["runs"]]
    until(lambda: {"old", "young"} <= set(names()), "both in the list")
    p = lab.ff("--json", "clean", "--older-than", "0s", check=0)
    removed = [r["run_id"] for r in json.loads(p.stdout)["removed"]]
    expect("old" in removed and "young" not in removed, f"removed: {removed}")
    left = names()
    told = "still in the cluster's lists" in p.stderr
    expect("young" in left and (told or "old" not in left), f"listed after ff clean: {left}, {p.stderr}")
    lab.ff("runs", "terminate", "young", check=0)


def bad_environment(lab):
    """One line that says what and where, exit 5."""
    port = free_port()
    cases = [({"TEMPORAL_ADDRESS": f"127.0.0.1:{port}"}, str(port)),
             ({"TEMPORAL_NAMESPACE": "nowhere"}, "nowhere"),
             ({"TEMPORAL_TLS": "true"}, server.address)]
    for env, says in cases:
        for args in (["run", "sleeps", lab.target()], ["runs", "list"], ["worker", "--vertical", "python"]):
            p = lab.ff(*args, check=5, env=env, timeout=60)
            lines = p.stderr.strip().splitlines()
            expect(says in p.stderr and len(lines) <= 2, f"{env} {args[0]}: {p.stderr!r}")
    missing = lab.dir / "none.pem"
    p = lab.ff("runs", "list", env={"TEMPORAL_TLS_CERT": str(missing), "TEMPORAL_TLS_KEY": str(missing)}, check=5)
    expect("none.pem" in p.stderr, f"a certificate that is not there: {p.stderr!r}")


# --- what workflows do ---

def steps(lab):
    d = lab.json("run", "steps", lab.target(), "--name", "steps")
    expect(d["status"] == "COMPLETED" and d["result"]["n"] == 3 and d["result"]["child"] == 7, f"steps: {d.get('result')}")
    types, _ = event_types("steps")
    expect("TIMER_FIRED" in types and "CHILD_WORKFLOW_EXECUTION_COMPLETED" in types, f"steps: {types}")
    expect(d["run_id"] == "steps", "the run's name after continue-as-new")


def signals_and_queries(lab):
    p = lab.popen("--json", "run", "asks", lab.target(), "--name", "asks", stdout=subprocess.PIPE)
    until(lambda: lab.ff("runs", "query", "asks", "state").returncode == 0, "an answer to a query")
    expect(lab.json("runs", "query", "asks", "state")["got"] in ([], {}), "query")
    lab.ff("runs", "signal", "asks", "put", '"one"', check=0)
    server.cli("workflow", "signal", "-w", "asks", "--name", "put", "--input", '"two"')
    until(lambda: lab.json("runs", "query", "asks", "state")["got"] == ["one", "two"], "both signals")
    answer = server.cli("workflow", "query", "-w", "asks", "--name", "state").stdout
    expect("one" in answer and "two" in answer, f"temporal workflow query: {answer}")
    lab.ff("runs", "signal", "asks", "end", check=0)
    expect(json.loads(p.communicate(timeout=30)[0])["result"]["got"] == ["one", "two"], "result")
    # closed: any process with a worker answers by replay
    expect(lab.json("runs", "query", "asks", "state")["got"] == ["one", "two"], "query of a closed run")


def large(lab):
    """What is large is in the store; whoever reads gets it whole, and Temporal's tools a reference."""
    d = lab.json("run", "large", lab.target(), "bytes=1000000", "--name", "large")
    expect(d["status"] == "COMPLETED" and d["result"]["length"] == 1000000, f"large: {d.get('result')}")
    expect(len(d["result"]["text"]) == 1000000, "the run's result is not whole")
    _, events = event_types("large")
    size = len(json.dumps(events))
    expect(size < 100000, f"the history has {size} bytes")
    done = next(e for e in events if "activityTaskCompletedEventAttributes" in e)
    payload = done["activityTaskCompletedEventAttributes"]["result"]["payloads"][0]
    shown = json.loads(base64.b64decode(payload["data"]))
    expect(shown["ref"].startswith("sha256:") and shown["bytes"] > 1000000, f"no reference in the history: {shown}")
    lines = lab.ff("--json", "runs", "events", "large", check=0).stdout
    expect("x" * 1000 in lines, "runs events shows the reference")


def long_history(lab):
    """6 MB of history in many pages, replayed from its beginning by a process that has never seen it."""
    p = lab.popen("run", "long", lab.target(), "--name", "long")
    described = lambda: server.cli("workflow", "describe", "-w", "long", "-o", "json", check=None).stdout
    until(lambda: int(json.loads(described() or "{}").get("workflowExecutionInfo", {}).get("historyLength", 0)) >= 604,
          "the long run at its place", 120)
    time.sleep(1)
    p.kill()
    p.wait()
    _, events = event_types("long")
    expect(len(json.dumps(events)) > 6 << 20 and len(events) > 600, f"{len(events)} events, {len(json.dumps(events))} bytes")
    expect(lab.json("runs", "query", "long", "state", timeout=120)["n"] == 100, "replayed in another process")
    lab.ff("runs", "signal", "long", "end", check=0)
    d = lab.json("runs", "wait", "long", timeout=120)
    expect(d["status"] == "COMPLETED" and d["result"]["n"] == 100, f"long: {d.get('result')}")


def other_sdks(lab):
    """A Lua workflow calls an activity of a Python SDK worker by its vertical; a Python client starts a Lua workflow."""
    worker = lab.popen("worker", "--vertical", "python")
    p = subprocess.run([str(PYTHON), str(HERE / "beside.py"), server.address], capture_output=True, text=True, timeout=120)
    expect(p.returncode == 0, f"beside.py: {(p.stdout + p.stderr)[-300:]}")
    worker.terminate()
    worker.wait(60)


def set_up(lab):
    lab.module("sleeper", SLEEPER)
    lab.module("broken", BROKEN)
    lab.module("large", LARGE)
    number = "parameters:\n  type: object\n  properties:\n    {}: {{type: integer}}\n"
    lab.workflow("sleeps", 'return function(i) return {summary = ff.activity("sleeper", i.parameters, {timeout = "120s"}).summary} end',
                 number.format("seconds"))
    lab.workflow("breaks", 'return function() return ff.activity("broken", {}, {retry = {max = 1}}) end')
    lab.workflow("odd", 'return function(i)\n  return i.nothing.there\nend')
    lab.workflow("large", 'return function(i) local s = ff.activity("large", i.parameters).summary\n'
                          'return {length = #s.text, text = s.text} end', number.format("bytes"))
    lab.workflow("asks", '''
return function()
  local got = {}
  ff.on_query("state", function() return {got = got} end)
  ff.on_signal("put", function(x) got[#got + 1] = x end)
  ff.wait_signal("end")
  return {got = got}
end''')
    lab.workflow("adds", 'return function(i) ff.sleep("200ms") return {sum = i.parameters.a + i.parameters.b} end')
    lab.workflow("steps", '''
return function(i)
  local n = (i.parameters.n or 0) + 1
  ff.sleep("100ms")
  local c = ff.child("adds", {a = 3, b = 4})
  if n < 3 then return ff.continue_as_new({n = n}) end
  return {n = n, child = c.sum}
end''')
    lab.workflow("long", '''
return function()
  local n = 0
  ff.on_query("state", function() return {n = n} end)
  local text = string.rep("abcdefgh", 8000)
  for k = 1, 100 do
    ff.activity("large", {bytes = 10, text = text})
    n = k
  end
  ff.wait_signal("end")
  return {n = n}
end''')
    lab.workflow("calls_python", 'return function(i)\n'
                 '  local r = ff.activity("double", {n = i.parameters.n}, {vertical = "snakes", timeout = "20s"})\n'
                 '  return {doubled = r.doubled, by = r.by} end', number.format("n"))


def main():
    global server
    need("temporal", "python")
    only = sys.argv[3:]
    cases = [same_findings, readable, failures, steps, signals_and_queries, cancelled, killed_worker, stopped_worker, large,
             long_history, other_sdks, namespaces, cleaned, bad_environment,
             server_restarts]
    with TemporalServer() as server, Lab() as lab:
        lab.env |= {"FF_ENGINE": "temporal", "TEMPORAL_ADDRESS": server.address, "FF_TOOLBOX": str(lab.toolbox())}
        set_up(lab)
        for case in cases:
            if not only or case.__name__ in only:
                begin = time.monotonic()
                case(lab)
                print(f"{case.__name__} ({time.monotonic() - begin:.1f} s)", flush=True)
    ok("engine: temporal against Temporal's own server")


main()
