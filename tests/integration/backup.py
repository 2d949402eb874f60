#!/usr/bin/env python3
# A state in one file, made while runs go on, and back: the runs of the copy come to the end that those of the original do.
import io, os, pathlib, subprocess, sys, tempfile, tarfile, hashlib, urllib.request
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from accept import *

STEP = '''
import sys, json, time
req = json.loads(sys.stdin.readline())
n = req["input"]["n"]
if n == 2: time.sleep(1)
print(json.dumps({"type": "finding", "rule_id": "bar/step", "title": "step %d" % n, "severity": "low", "file": "a.py", "line": n}))
print(json.dumps({"type": "result", "status": "success", "summary": {"n": n}}))
'''
LUA = '''
return function(input)
  local refs, sum = {}, 0
  local function step(n)
    local r = ff.activity("step", {n = n}, {timeout = "60s", retry = {max = 20, initial = "50ms"}})
    refs[#refs + 1] = r.findings
    sum = sum + r.summary.n
  end
  step(1) step(2)
  if input.parameters.wait then ff.wait_signal("go") end
  step(3)
  return {summary = {sum = sum}, findings = refs}
end
'''
META = 'parameters:\n  type: object\n  properties:\n    wait: {type: boolean}\n'


def serve(lab):
    p = lab.popen("--json", "--toolbox", lab.toolbox(), "serve", "--listen", "127.0.0.1:0", "--insecure-loopback", stdout=subprocess.PIPE)
    doc = b""
    while not doc.rstrip().endswith(b"}"):
        doc += p.stdout.readline() or fail("ff serve does not start")
    return p, json.loads(doc)["rest"]


def get(url):
    with urllib.request.urlopen(url, timeout=30) as r:
        return r.read()


def until(what, f):
    for _ in range(600):
        if f():
            return
        time.sleep(0.1)
    fail(f"it does not come to be: {what}")


def outcome(lab, run):
    doc = lab.json("runs", "wait", run, timeout=120)
    if doc.get("status") != "COMPLETED":
        fail(f"{run} in {lab.state.name}: {doc.get('status')} {doc.get('error')}")
    return doc["result"]["summary"]["sum"], sorted((f["title"], f["line"], f["fingerprint"]) for f in doc["findings"])


def tar(members, sums=True):
    out, lines = io.BytesIO(), ""
    with tarfile.open(fileobj=out, mode="w") as t:
        for name, data in members:
            info = tarfile.TarInfo(name)
            if data is None:
                info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
                t.addfile(info)
                continue
            info.size = len(data)
            t.addfile(info, io.BytesIO(data))
            lines += hashlib.sha256(data).hexdigest() + "  " + name + "\n"
        if sums:
            info = tarfile.TarInfo("SHA256SUMS")
            info.size = len(lines)
            t.addfile(info, io.BytesIO(lines.encode()))
    return out.getvalue()


def refuse(lab, name, data, why):
    """Nothing is changed by a file that is no whole backup."""
    bad = lab.dir / "bad"
    bad.write_bytes(data)
    state = lab.dir / "refused"
    p = subprocess.run([lab.exe, "--state", str(state), "restore", str(bad)], capture_output=True, text=True, env=lab.env)
    if p.returncode == 0 or why not in p.stderr:
        fail(f"{name}: exit {p.returncode}: {p.stderr}")
    left = {f.name for f in state.iterdir()} - {"state.db.lock"}
    if left or (lab.dir / "evil").exists():
        fail(f"{name}: leaves {left}")


def check_refusals(lab, good):
    about = ("backup.json", b'{"kind": "fuzzforge-backup", "format": 1}')
    refuse(lab, "a flipped byte", good[:len(good) // 2] + bytes([good[len(good) // 2] ^ 1]) + good[len(good) // 2 + 1:], "damaged")
    for n in (len(good) - 1, len(good) // 2):
        refuse(lab, f"cut to {n}", good[:n], "backup")
    refuse(lab, "nothing", b"", "no backup")
    refuse(lab, "text", b"hello\n" * 1000, "no backup")
    refuse(lab, "a way out", tar([about, ("../evil", b"x")]), "no part of a state")
    refuse(lab, "a way out below", tar([about, ("workflows/../../evil", b"x")]), "no part of a state")
    refuse(lab, "another name", tar([about, ("server.json", b"x")]), "no part of a state")
    refuse(lab, "a link", tar([about, ("token", None)]), "no file")
    refuse(lab, "twice the same", tar([about, ("token", b"x"), ("token", b"y")]), "exist")
    refuse(lab, "no sums", tar([about, ("token", b"x")], sums=False), "cut short")
    refuse(lab, "other bytes", tar([about, ("token", b"abcdef")]).replace(b"abcdef", b"abcdeF"), "damaged")
    refuse(lab, "no description", tar([("token", b"x")]), "no backup")
    refuse(lab, "of the future", tar([(about[0], about[1].replace(b"1", b"9")), ("token", b"x")]), "format 9")


def check_cut_short(lab, file):
    """Each moment at which a restore can be killed: the state is not opened, and the next restore ends it."""
    for mark in ("restore.ready", "restore.moving"):
        state = lab.dir / mark.replace(".", "-")
        lab.state = state
        lab.ff("restore", file, check=0)
        (state / mark).mkdir()
        (state / "state.db").rename(state / mark / "state.db")
        if mark == "restore.ready":
            (state / "store").rename(state / mark / "store")
        lab.ff("runs", "list", check=2)
        lab.ff("restore", file, "--replace", check=0)
        if len(lab.json("runs", "list")["runs"]) != 5 or any("restor" in f.name for f in state.iterdir()):
            fail(f"a restore was not ended from {mark}")


def check_unreadable(lab):
    """What cannot be looked at is not left out in silence. Root can look at all: it is somebody else who does."""
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if os.geteuid() == 0 else []
    with tempfile.TemporaryDirectory() as d:
        state, own = pathlib.Path(d) / "state", pathlib.Path(d) / "state" / "workflows"
        (own / "mine").mkdir(parents=True)
        (own / "mine" / "workflow.lua").write_text("return function() return {} end\n")
        for p in (pathlib.Path(d), state, own):
            os.chown(p, *([65534] * 2 if nobody else [-1] * 2))
        ff = lambda *args: subprocess.run([*nobody, lab.exe, "--state", str(state), *args], capture_output=True, text=True,
                                          env=lab.env | {"HOME": d})
        backup = lambda: ff("backup", f"{d}/file")
        ff("run", "security_assessment", str(own))
        own.chmod(0o444)  # its names can be read, and nothing else
        p = backup()
        own.chmod(0o755)
        if p.returncode != 5 or "workflows/mine" not in p.stderr or pathlib.Path(d, "file").exists():
            fail(f"a folder was left out: exit {p.returncode} {p.stdout} {p.stderr}")
        p = backup()
        if p.returncode:
            fail(f"backup: exit {p.returncode} {p.stderr}")


with Lab() as lab:
    check_unreadable(lab)
    lab.module("step", STEP)
    lab.workflow("steps", LUA, META)
    t = lab.target({"a.py": "x=1\n" * 20})
    original, copy = lab.state, lab.dir / "copy"
    server, url = serve(lab)
    lab.ff("token", "create", "--role", "viewer", "--name", "kept", check=0)
    lab.ff("--toolbox", lab.toolbox(), "run", "steps", t, "--name", "done", check=0)
    names = [f"run-{i}" for i in range(3)]
    for n in names:
        lab.ff("--toolbox", lab.toolbox(), "run", "steps", t, "wait=true", "-d", "--name", n, check=0)
    lab.ff("--toolbox", lab.toolbox(), "run", "steps", t, "-d", "--name", "under-way", check=0)
    until("an activity that runs", lambda: "ACTIVITY_TASK_STARTED" in lab.ff("runs", "events", "under-way").stdout
          or "activity" in lab.ff("runs", "events", "under-way").stdout.lower())
    file = lab.dir / "backup.tar.zst"
    n = lab.json("backup", file, check=0)
    if n["files"] < 4 or file.stat().st_mode & 0o077:
        fail(f"backup: {n}, mode {file.stat().st_mode:o}")
    events = get(f"{url}/runs/done/log")
    server.kill()
    server.wait()

    lab.state = copy
    lab.ff("restore", file, check=0)
    lab.ff("restore", file, check=2)  # it is not empty now
    runs = {r["run_id"]: r["status"] for r in lab.json("runs", "list")["runs"]}
    if runs["done"] != "COMPLETED" or any(runs[n] != "RUNNING" for n in names + ["under-way"]):
        fail(f"the copy has {runs}")
    if "kept" not in lab.ff("token", "list").stdout or (copy / "token").read_bytes() != (original / "token").read_bytes():
        fail("the tokens are not those of the original")
    results = {}
    for state in (copy, original):
        lab.state = state
        server, url = serve(lab)
        lab.ff("restore", file, "--replace", check=5)  # it is held
        for n in names:
            lab.ff("runs", "signal", n, "go", check=0)
        results[state] = [outcome(lab, n) for n in names + ["under-way", "done"]]
        if get(f"{url}/runs/done/log") != events:
            fail(f"{state.name}: other events than before")
        if lab.json("store", "verify")["missing"]:
            fail("objects are missing")
        server.terminate()
        server.wait()
    if results[copy] != results[original] or any(s != 6 or len(f) != 3 for s, f in results[copy]):
        fail(f"the copy came to another end: {results}")

    # Without a server, through a pipe, and over what is there.
    lab.state = copy
    good = subprocess.run([lab.exe, "--state", str(copy), "backup", "-"], capture_output=True, env=lab.env, check=True).stdout
    lab.state = original
    lab.ff("run", "security_assessment", t, "--name", "newer", check=0)
    subprocess.run([lab.exe, "--state", str(original), "restore", "-", "--replace"], input=good, env=lab.env, check=True,
                   stdout=subprocess.DEVNULL)
    runs = {r["run_id"]: r["status"] for r in lab.json("runs", "list")["runs"]}
    if len(runs) != 5 or set(runs.values()) != {"COMPLETED"}:
        fail(f"after --replace: {runs}")
    lab.state = lab.dir / "empty"
    lab.ff("backup", lab.dir / "none", check=2)
    if (lab.dir / "none").exists():
        fail("a backup of nothing")
    check_refusals(lab, good)
    check_cut_short(lab, file)
    ok("five runs went on from a copy made meanwhile; bad files change nothing; a restore that was cut short is ended")
