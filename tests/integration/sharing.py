#!/usr/bin/env python3
# Several processes, one state: the first holds the engine, the others are its guests, and when it is gone, cleanly or by
# kill -9, another takes its place; what guests were doing goes on undisturbed.
import concurrent.futures, pathlib, socket, stat, sys, threading, time
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from accept import *

STEP = '''
import sys, json, time
req = json.loads(sys.stdin.readline())
i = req["input"]
with open("/scratch/began", "w") as f: f.write("1")
time.sleep(i.get("seconds", 0.1))
print(json.dumps({"type": "result", "status": "success", "summary": {"n": i.get("n", 0), "attempt": req["attempt"]}}))
'''
ONE = '''return function(input)
  local r = ff.activity("step", {n = 7, seconds = input.parameters.seconds}, {timeout = "60s", retry = {max = 1}})
  return {summary = r.summary}
end'''
NOISY = '''
import sys, json, time
sys.stdin.readline()
print(json.dumps({"type": "progress", "done": 1, "total": 2, "message": ""}), flush=True)
time.sleep(3)
print(json.dumps({"type": "finding", "rule_id": "test/far", "title": "seen from afar", "severity": "low", "file": "a.txt", "line": 7}))
print(json.dumps({"type": "result", "status": "success", "summary": {}}))
'''
TALKS = '''
import sys, json, time
sys.stdin.readline()
say = lambda **m: print(json.dumps(m), flush=True)
for i in range(200): say(type="log", level="info", message="line %d" % i)
say(type="log", level="info", message="y" * 10000)
for i in (1, 2): say(type="finding", rule_id="test/early", title="seen early %d" % i, severity="low", file="a.txt", line=i)
time.sleep(6)
say(type="finding", rule_id="test/late", title="seen late", severity="low", file="a.txt", line=9)
say(type="result", status="success", summary={})
'''
NOISE = '''return function(input)
  local r = ff.activity("noisy", {}, {timeout = "60s"})
  ff.wait_signal("go", "60s")
  return {summary = {}, findings = r.findings}
end'''
TALK = 'return function() return {summary = {}, findings = ff.activity("talks", {}, {timeout = "60s"}).findings} end'
RUSTY = '''return function(input)
  return {summary = ff.activity("step", {seconds = 600}, {timeout = "900s", vertical = "rust"}).summary}
end'''
MANY = '''return function(input)
  local sum, fs = 0, {}
  for i = 1, 12 do fs[i] = ff.start("step", {n = i, seconds = 0.3}, {timeout = "60s", retry = {max = 1}}) end
  for _, r in ipairs(ff.all(fs)) do sum = sum + r.summary.n end
  return {summary = {sum = sum}}
end'''
SIGNALLED = '''return function(input)
  local v = ff.wait_signal("go", "60s")
  return {summary = {v = v}}
end'''
PARAMETERS = 'parameters:\n  type: object\n  properties:\n    seconds: {type: number}\ndefault_parameters: {seconds: 1.5}\n'


count = 0


def until(what, seconds=60, every=0.02):
    end = time.time() + seconds
    while time.time() < end:
        v = what()
        if v: return v
        time.sleep(every)
    return None


def status(lab, run):
    p = lab.ff("--json", "runs", "show", run)
    return json.loads(p.stdout)["status"] if p.returncode == 0 else None


def holder(lab):
    """The pid in the lock file: who holds the engine."""
    try: return int((lab.state / "state.db.lock").read_text().split()[0])
    except (OSError, ValueError, IndexError): return None


def guests(lab, T):
    """All that can be done with a run can be done while another process holds it."""
    a = lab.popen(*T, "run", "signalled", lab.t, "--name", "held")
    if not until(lambda: status(lab, "held") == "RUNNING"): fail("the run of the first process is not seen")
    pid = holder(lab)
    if pid != a.pid: fail(f"held by {pid}, not by the first process {a.pid}")
    for name in ("engine.sock", "calls.sock", "presence.sock"):
        st = os.lstat(lab.state / name)
        if not stat.S_ISSOCK(st.st_mode) or stat.S_IMODE(st.st_mode) != 0o600: fail(f"{name}: mode {oct(st.st_mode)}")
    if "held" not in lab.ff("runs", "list").stdout: fail("runs list of a guest")
    b = lab.json(*T, "run", "one", lab.t, "--name", "guest", "seconds=0.1")
    if b["status"] != "COMPLETED" or b["summary"]["n"] != 7: fail(f"run of a guest: {b}")
    if not isinstance(lab.json(*T, "runs", "query", "held", "__stack"), (list, dict, str)): fail("query of a guest")
    w = lab.popen(*T, "--json", "runs", "wait", "held", stdout=subprocess.PIPE)
    lab.ff("runs", "signal", "held", "go", "5", check=0)
    out = w.communicate(timeout=20)[0]
    if json.loads(out)["summary"]["v"] != 5: fail(f"wait of a guest: {out}")
    if a.wait(timeout=60) != 0: fail("the holder's own run")
    c = lab.popen(*T, "run", "signalled", lab.t, "--name", "cancelled")
    if not until(lambda: status(lab, "cancelled") == "RUNNING"): fail("a second holder")
    lab.ff("runs", "cancel", "cancelled", check=0)
    if c.wait(timeout=60) != 4: fail("cancelled by a guest")


def who_runs(lab, run):
    p = lab.ff("--json", "runs", "show", run)
    if p.returncode: return None
    for a in json.loads(p.stdout).get("pending_activities") or []:
        if a.get("worker"): return a["worker"]
    return None


def unheld(lab):
    """A holder of the step before may still be leaving."""
    if not until(lambda: "held by nobody" in lab.ff("status").stdout): fail(f"still held: {lab.ff('status').stdout}")


def takeover(lab, T, how):
    """The holder goes while a guest runs an activity that must not be run twice."""
    global count
    count += 1
    name = f"over-{count}"
    a = lab.popen(*T, "worker", "--vertical", "rust")  # holds, but takes nothing of the run
    if not until(lambda: holder(lab) == a.pid): fail("the worker does not hold the engine")
    b = lab.popen(*T, "--json", "run", "one", lab.t, "--name", name, stdout=subprocess.PIPE)
    took = until(lambda: who_runs(lab, name))
    if not took or not took.startswith(f"{b.pid}@"): fail(f"the activity is run by {took}")
    begin = time.time()
    a.kill() if how == "kill" else a.terminate()
    if not until(lambda: holder(lab) == b.pid, 10, 0.001): fail(f"nobody took over ({how}): {holder(lab)}, guest {b.pid}")
    over = time.time() - begin
    code = a.wait(timeout=60)
    if how != "kill" and code != 0: fail(f"the holder's exit: {code}")
    doc = json.loads(b.communicate(timeout=40)[0])
    if doc["status"] != "COMPLETED": fail(f"{name}: {doc}")
    if doc["summary"]["attempt"] != 1: fail(f"the guest's activity was run again: {doc['summary']}")
    events = [json.loads(x) for x in lab.ff("--json", "runs", "events", name, check=0).stdout.splitlines()]
    if sum("ACTIVITY_TASK_STARTED" in json.dumps(e) for e in events) != 1: fail("more than one start of the activity")
    return over


def guest_dies(lab, T):
    """What a guest was doing when it was killed is done again at once, long before its timeout."""
    unheld(lab)
    a = lab.popen(*T, "serve")
    if not until(lambda: holder(lab) == a.pid): fail("serve does not hold the engine")
    b = lab.popen(*T, "worker", "--vertical", "python")
    if not until(lambda: "@" in lab.ff("workers", "list").stdout and f"{b.pid}@" in lab.ff("workers", "list").stdout):
        fail(f"the worker is not listed: {lab.ff('workers', 'list').stdout}")
    runs = [f"dies-{i}" for i in range(8)]
    for r in runs: lab.ff(*T, "run", "one", lab.t, "-d", "--name", r, "seconds=8", check=0)
    with concurrent.futures.ThreadPoolExecutor(len(runs)) as pool: # one after the other takes too long on a busy machine
        of_b = lambda: [r for r, w in zip(runs, pool.map(lambda r: who_runs(lab, r), runs)) if (w or "").startswith(f"{b.pid}@")]
        mine = until(of_b, 60)
    if not mine: fail("the worker gets nothing to do")
    b.kill()
    begin = time.time()
    if not until(lambda: not any((who_runs(lab, r) or "").startswith(f"{b.pid}@") for r in mine), 10, 0.01):
        fail("what the dead worker did still counts as its own")
    back = time.time() - begin
    for r in runs: lab.ff(*T, "runs", "wait", r, check=0, timeout=60)
    a.terminate()
    if a.wait(timeout=60) != 0: fail("serve: exit status")
    return back


def workers(lab, T):
    """Workers in the background: started, listed, stopped; the last one holds the engine meanwhile."""
    a = lab.json(*T, "workers", "start", "--vertical", "python")
    b = lab.json(*T, "workers", "start", "--vertical", "rust", "--vertical", "go")
    if b["verticals"] != ["rust", "go"] or b["identity"].split("@")[0] != str(b["pid"]): fail(f"workers start: {b}")
    seen = lambda: {w["pid"]: sorted(w["queues"]) for w in lab.json("workers", "list")["workers"]}
    if not until(lambda: seen() == {a["pid"]: ["python-queue"], b["pid"]: ["go-queue", "rust-queue"]}): fail(f"listed: {seen()}")
    doc = lab.json(*T, "run", "one", lab.t, "--name", "background", "seconds=0.1")
    if doc["status"] != "COMPLETED": fail(f"a run with background workers: {doc}")
    lab.ff("workers", "stop", str(b["pid"]), "no-such", check=2)
    if b["pid"] not in seen(): fail("a mistaken stop stopped somebody")
    stopped = lab.json("workers", "stop", "--vertical", "rust")["stopped"]
    if [w["pid"] for w in stopped] != [b["pid"]]: fail(f"stopped: {stopped}")
    if not until(lambda: list(seen()) == [a["pid"]]): fail(f"listed after the stop: {seen()}")
    p = lab.ff("--engine", "temporal", "workers", "start", check=5, env={"TEMPORAL_ADDRESS": "127.0.0.1:1"})
    if "the worker did not start: Temporal at 127.0.0.1:1" not in p.stderr: fail(f"a start in vain: {p.stderr}")
    if len(lab.json("workers", "stop")["stopped"]) != 1 or lab.json("workers", "stop")["stopped"]: fail("stop of all")


def terminated(lab, T):
    """The module of a run that is terminated is killed, whether the holder or a guest runs it."""
    unheld(lab)
    a = lab.popen(*T, "serve")
    if not until(lambda: holder(lab) == a.pid): fail("serve does not hold the engine")
    lab.ff(*T, "run", "one", lab.t, "-d", "--name", "ends-0", "seconds=600", check=0)
    if not until(lambda: (who_runs(lab, "ends-0") or "").startswith(f"{a.pid}@")): fail("the holder's worker gets nothing to do")
    b = lab.popen(*T, "worker", "--vertical", "rust")
    lab.ff(*T, "run", "rusty", lab.t, "-d", "--name", "ends-1", check=0)
    if not until(lambda: (who_runs(lab, "ends-1") or "").startswith(("%d@" % a.pid, "%d@" % b.pid))): fail("nobody takes it")
    took = 0
    for run in ("ends-0", "ends-1"):
        if not until(lambda: len(modules(a, b)) == 2 - took): fail(f"modules that run: {modules(a, b)}")
        lab.ff("runs", "terminate", run, check=0)
        took += 1
        if not until(lambda: len(modules(a, b)) == 2 - took): fail(f"{run} was terminated, its module lives")
    for p in (b, a):
        p.terminate()
        if p.wait(timeout=60) != 0: fail("exit status")


def modules(*workers):
    """Processes of the test's module that descend from these."""
    parent, runs = {}, []
    for p in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            parent[int(p.name)] = int((p / "stat").read_text().rsplit(")", 1)[1].split()[1])
            if b"/module/" in (p / "cmdline").read_bytes(): runs.append(int(p.name))
        except (OSError, IndexError): pass

    def above(p):
        while p in parent:
            p = parent[p]
            yield p
    return [p for p in runs if any(w.pid in above(p) for w in workers)]


def watched(lab, T):
    """Who follows a run sees what workers of other processes do for it."""
    unheld(lab)
    a = lab.popen(*T, "worker", "--vertical", "python")
    if not until(lambda: holder(lab) == a.pid): fail("the worker does not hold the engine")
    lab.ff(*T, "run", "noisy", lab.t, "-d", "--no-auto-start", "--name", "seen", check=0) # a holder might take its work
    if not until(lambda: (who_runs(lab, "seen") or "").startswith(f"{a.pid}@")): fail("the worker gets nothing to do")
    b = lab.popen(*T, "runs", "wait", "seen", "--live", stderr=subprocess.PIPE)
    lab.ff("runs", "signal", "seen", "go", check=0)
    text = b.communicate(timeout=60)[1].decode(errors="replace")
    if b.returncode != 0 or "noisy: low a.txt:7 seen from afar" not in text: fail(f"followed from another process: {text}")
    early(lab, T, a)
    a.terminate(); a.wait(timeout=60)


def early(lab, T, worker):
    """Findings and the log's last lines are seen while the activity runs, and each finding once."""
    lab.ff(*T, "run", "talks", lab.t, "-d", "--no-auto-start", "--name", "early", check=0)
    b = lab.popen("-v", "runs", "wait", "early", "--live", stderr=subprocess.PIPE)
    seen, running = "", None
    for line in b.stderr:
        line = line.decode(errors="replace")
        seen += line
        if running is None and "seen early 2" in line:
            running = who_runs(lab, "early")
            items = lab.json("runs", "show", "early")["pending_activities"][0]["recent"]["items"]
            if len(items) > 32 or max(len(json.dumps(i)) for i in items) > 2100: fail(f"{len(items)} items in a heartbeat: {items}")
    if b.wait(timeout=60) != 0: fail(f"followed from another process: {seen}")
    if not (running or "").startswith(f"{worker.pid}@"): fail(f"the findings came with the activity's end: {running} {seen}")
    for text in ("seen early 1", "seen early 2", "seen late"):
        if seen.count(text) != 1: fail(f"{text}: {seen.count(text)} times: {seen}")
    if "line 199" not in seen or "line 100\n" in seen: fail(f"not the last lines of the log: {seen[-2000:]}")


def other_toolbox(lab, T):
    """A holder that was started without the toolbox carries on what was started with it."""
    unheld(lab)
    a = lab.popen("serve")
    if not until(lambda: holder(lab) == a.pid): fail("serve does not hold the engine")
    lab.ff(*T, "run", "one", lab.t, "-d", "--name", "elsewhere", "seconds=0.1", check=0)
    doc = json.loads(lab.ff("--json", "runs", "wait", "elsewhere", timeout=30).stdout)
    if doc["status"] != "COMPLETED" or doc["summary"]["n"] != 7: fail(f"a run of another toolbox: {doc}")
    a.terminate(); a.wait(timeout=60)


def storm(lab, T):
    """Many start at one time, and the holder is killed again and again."""
    names = [f"storm-{i}" for i in range(6)]
    ps = {n: lab.popen(*T, "--json", "run", "many", lab.t, "--name", n, stdout=subprocess.PIPE) for n in names}
    kills = 0
    for _ in range(3):
        time.sleep(0.7)
        pid = holder(lab)
        for n, p in list(ps.items()):
            if p.pid == pid and p.poll() is None:
                p.kill(); p.wait(); kills += 1
                ps[n] = lab.popen(*T, "--json", "runs", "wait", n, stdout=subprocess.PIPE)
    done = 0
    for n, p in ps.items():
        out = p.communicate(timeout=120)[0]
        if p.returncode == 2: continue  # killed before its start was acknowledged
        doc = json.loads(out)
        if doc.get("status") != "COMPLETED" or doc["summary"]["sum"] != 78: fail(f"{n}: {str(doc)[:200]}")
        done += 1
    if done < 3 or not kills: fail(f"only {done} runs, {kills} kills")
    return done, kills


def refusals(lab):
    """Where the engine may be served, and to whom."""
    for args, word in ((("--grpc", "0.0.0.0:0"), "TLS"), (("--grpc", "0.0.0.0:0", "--insecure-loopback"), "TLS"),
                       (("--grpc", "nowhere"), "address"), (("--listen", "0.0.0.0:0"), "TLS"),
                       (("--grpc", "127.0.0.1:0", "--tls-cert", "x"), "--tls-key")):
        p = lab.ff("serve", *args, check=2, timeout=60)
        if word not in p.stderr: fail(f"serve {args}: {p.stderr}")
    p = lab.json("server", "start", "--grpc", "127.0.0.1:0")
    if not p.get("running") or not p.get("grpc"): fail(f"server start: {p}")
    lab.ff("server", "start", check=2)
    token = lab.state / "token"
    if stat.S_IMODE(token.stat().st_mode) != 0o600 or len(token.read_text().strip()) != 64: fail("the token's file")
    if lab.json("server", "status").get("grpc") != p["grpc"]: fail("server status")
    if lab.json("status")["grpc"] != p["grpc"]: fail("status")
    lab.ff("server", "stop", check=0)
    if lab.json("server", "status")["running"]: fail("the server still runs")


if __name__ == "__main__":
    with Lab() as lab:
        lab.module("step", STEP)
        lab.module("noisy", NOISY); lab.module("talks", TALKS)
        lab.workflow("talks", TALK); lab.workflow("noisy", NOISE)
        lab.workflow("one", ONE, PARAMETERS); lab.workflow("rusty", RUSTY); lab.workflow("many", MANY); lab.workflow("signalled", SIGNALLED)
        lab.t = lab.target()
        T = ("--toolbox", lab.toolbox())
        guests(lab, T)
        over = [f"{how} {takeover(lab, T, how) * 1000:.0f} ms" for how in ("kill", "leave", "kill")]
        back = guest_dies(lab, T)
        workers(lab, T)
        terminated(lab, T)
        watched(lab, T)
        other_toolbox(lab, T)
        done, kills = storm(lab, T)
        refusals(lab)
        time.sleep(0.5)
        left = children_of_state(lab.state)
        if left: fail("left behind: " + "; ".join(pathlib.Path(f"/proc/{p}/cmdline").read_text().replace("\0", " ") for p in left))
        ok(f"guests; taken over after {', '.join(over)}; a dead worker's tasks given back after {back * 1000:.0f} ms; "
           f"{done} runs and {kills} kills of the holder; refusals")
