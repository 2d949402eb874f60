#!/usr/bin/env python3
# The disk is full in the middle of a run: no fault of the run. It stays open, who follows it is told with 5, and it goes on when
# there is room.
import http.client, pathlib, sys
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from accept import *

SLOW = r'''
import sys, json, os, time
req = json.loads(sys.stdin.readline()); inp = req["input"]
print(json.dumps({"type": "progress", "done": 1, "total": 2}), flush=True)
time.sleep(inp["seconds"])
with open("/scratch/out.bin", "wb") as f: f.write(os.urandom(inp["bytes"]))
print(json.dumps({"type": "artifact", "path": "/scratch/out.bin", "name": "out.bin"}))
print(json.dumps({"type": "result", "status": "success", "summary": {"attempt": req["attempt"]}}))
'''
WF = 'return function(i) local r = ff.activity("slow", i.parameters, {timeout="5m", retry={max=2}}) return {summary=r.summary, artifacts=r.artifacts} end'
META = "parameters:\n  type: object\n  properties:\n    seconds: {type: number}\n    bytes: {type: integer}\n"

if os.geteuid() != 0:
    print("not root: no small file system can be mounted")
    sys.exit(77)


def free(lab):
    v = os.statvfs(lab.state); return v.f_bavail * v.f_frsize


def fill(lab, left):
    try:
        with open(lab.state / "ballast", "wb", buffering=0) as f:
            f.write(b"\0" * max(0, free(lab) - left))
    except OSError:
        pass  # somebody else took the rest meanwhile


def leave(lab):
    for _ in range(600):
        if not left_now(lab.state): break
        time.sleep(0.1)


def wait_for_rest(lab):
    for _ in range(300):
        if (lab.state / "server.json").exists() and '"rest"' in (lab.state / "server.json").read_text(): break
        time.sleep(0.1)
    return int(json.loads((lab.state / "server.json").read_text())["rest"].rsplit(":", 1)[1])


def upload_without_room(lab):
    """An upload for which there is no room is refused, and leaves nothing behind."""
    p = lab.popen("--toolbox", lab.toolbox(), "serve", "--listen", "127.0.0.1:0", "--insecure-loopback")
    port = wait_for_rest(lab)
    before = free(lab)
    pieces = before // (1 << 20) + 20
    for _ in range(2):
        c = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        c.putrequest("POST", "/workflows/slowly/upload-and-submit")
        c.putheader("Content-Type", "application/octet-stream")
        c.putheader("Content-Length", str(pieces << 20))
        c.endheaders()
        try:
            for _ in range(pieces): c.send(os.urandom(1 << 20))
            status = c.getresponse().status
        except OSError:
            status = 507  # it was told while the rest was on its way, and has ended
        if status != 507: fail(f"an upload without room: {status}")
        c.close()
        for _ in range(200):
            if free(lab) > before - (3 << 20): break  # the log of the index keeps a little
            time.sleep(0.1)
        else: fail(f"an upload without room leaves {before - free(lab)} bytes")
    p.terminate()
    p.wait()


def served_without_room(lab):
    """A backup that cannot be made is told as that, and leaves nothing; the log goes on by itself, whole lines alone."""
    log, tmp = lab.state / "serve.log", lab.state / "tmp"
    p = lab.popen("--toolbox", lab.toolbox(), "serve", "--listen", "127.0.0.1:0", "--insecure-loopback", "--log-format", "json", "--log-file", log)
    url = f"http://127.0.0.1:{wait_for_rest(lab)}"
    def ask(path):
        c = http.client.HTTPConnection(url[7:], timeout=60)
        c.request("GET", path)
        if c.getresponse().status != 200: fail(path)
    ask("/health/live")
    before = sorted(tmp.rglob("*"))
    fill(lab, 0)
    for args in (["backup", lab.dir / "b"], ["--server", url, "--token-file", lab.state / "token", "backup", lab.dir / "b"]):
        r = lab.ff(*args)
        if r.returncode != 5 or "No space left" not in r.stderr or "no answer" in r.stderr: fail(f"{args[0]} without room: {r.returncode} {r.stderr}")
    for _ in range(60): ask("/health/live")
    if (lab.dir / "b").exists() or sorted(tmp.rglob("*")) != before: fail("a backup without room leaves something")
    (lab.state / "ballast").unlink()
    ask("/workers")
    for _ in range(600):
        if "/workers" in log.read_text(): break
        time.sleep(0.05)
    lines = [json.loads(l) for l in log.read_text().splitlines()]
    if [l.get("route") for l in lines].count("/health/live") != 61 or not any(l.get("route") == "/workers" for l in lines): fail(f"a log over a full disk: {lines}")
    lab.ff("--server", url, "--token-file", lab.state / "token", "backup", lab.dir / "b", check=0)
    p.terminate()
    p.wait()


def room_is_made(lab, t, served):
    """What takes something away works where nothing else can be written, and what it needs for that is kept again."""
    for id in ("a", "b", "c"): lab.ff("--toolbox", lab.toolbox(), "run", "slowly", t, "seconds=0", "bytes=3000000", "--name", id, check=0)
    leave(lab)
    p = lab.popen("--toolbox", lab.toolbox(), "serve", "--listen", "127.0.0.1:0", "--insecure-loopback") if served else None
    port = wait_for_rest(lab) if served else 0
    def ask(method, path, body=None):
        c = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        c.request(method, path, json.dumps(body) if body else None, {"Content-Type": "application/json"} if body else {})
        r = c.getresponse()
        text = r.read()
        if r.status != 200: fail(f"{method} {path} on a full disk: {r.status} {text}")
    fill(lab, 0)
    if free(lab): fail(f"{free(lab)} bytes are free")
    if served:
        ask("DELETE", "/runs/a")
    else:
        lab.ff("runs", "delete", "a", check=0)
    if (lab.state / "reserve").stat().st_size < 4 << 20: fail(f"nothing is kept for the next who makes room, of {free(lab)}")
    lab.ff("runs", "delete", "b", check=0)
    if served:
        ask("POST", "/clean", {"older_than_ms": 0})
        ask("POST", "/store/gc", {"grace_ms": 0})
    else:
        lab.ff("clean", "--older-than", "0s", check=0)
        lab.ff("store", "gc", "--grace", "0s", check=0)
    if free(lab) < 1 << 20 or (lab.state / "reserve").stat().st_blocks * 512 < 8 << 20: fail(f"room that was made: {free(lab)}")
    (lab.state / "ballast").unlink()
    if p:
        p.terminate()
        p.wait()
        leave(lab)
    lab.ff("store", "verify", check=0)


def events_without_room(lab):
    """What happens while nothing can be written is told when it can be: no number is missing, and none is there twice."""
    say = r'''
import json, sys, time
sys.stdin.readline()
for i in range(300):
    print(json.dumps({"type": "log", "level": "info", "message": "step %d" % i}), flush=True)
    time.sleep(0.02)
print(json.dumps({"type": "result", "status": "success", "summary": {}}))
'''
    lab.module("say", say); lab.workflow("says", 'return function() ff.activity("say", {}, {timeout="5m", retry={max=1}}) return {} end')
    p = lab.popen("--toolbox", lab.toolbox(), "serve", "--listen", "127.0.0.1:0", "--insecure-loopback")
    port = wait_for_rest(lab)
    def ask(method, path, body=None):
        c = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        c.request(method, path, json.dumps(body) if body else None, {"Content-Type": "application/json"})
        r = c.getresponse()
        return r.status, r.read().decode()
    ask("POST", "/workflows/says/submit", {"target_path": str(lab.dir / "target"), "name": "told"})
    time.sleep(1)
    fill(lab, 0)
    posted = [ask("POST", "/fuzzing/told/crash", {"crash_id": f"c{i}"})[0] for i in range(5)]
    if set(posted) - {200, 507} or 507 not in posted: fail(f"posted without room: {posted}")
    time.sleep(1)
    (lab.state / "ballast").unlink()
    status, text = ask("GET", "/runs/told/events") # to the run's end
    ids = [int(l[4:]) for l in text.splitlines() if l.startswith("id: ")]
    steps = [l for l in text.splitlines() if '"message":"step ' in l]
    if ids != list(range(1, len(ids) + 1)): fail(f"events over a full disk: {ids}")
    if len(steps) != 300 or '"COMPLETED"' not in text: fail(f"events over a full disk: {len(steps)} of 300; {text[-200:]}")
    if text.count("event: crash") != posted.count(200): fail(f"{posted.count(200)} crashes were taken, {text.count('event: crash')} are there")
    p.terminate()
    p.wait()


with Lab() as lab:
    lab.state.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48m", "none", lab.state], check=True)
    try:
        lab.module("slow", SLOW); lab.workflow("slowly", WF, META)
        t = lab.target({"a.py": "x = 1\n"})
        go = ["--toolbox", lab.toolbox(), "run", "slowly", t]
        wait = ["--toolbox", lab.toolbox(), "--json", "runs", "wait"]
        sizes = ["seconds=3", "bytes=3000000"]

        # What happens, how much room is left: none for the result, none for the module's own files, none for the engine itself.
        for id, left in (("result", 4 << 20), ("module", 1 << 20), ("engine", 0)):
            p = lab.popen(*go, *sizes, "--name", id, stderr=subprocess.PIPE)
            time.sleep(1.5)
            fill(lab, left)
            _, err = p.communicate(timeout=60)
            err = err.decode()
            if p.returncode != 5 or "stays open" not in err or f"ff runs wait {id}" not in err: fail(f"{id}: exit {p.returncode}: {err}")
            (lab.state / "ballast").unlink()
            if lab.json("runs", "show", id)["status"] != "RUNNING": fail(f"{id}: not open any more")
            doc = json.loads(lab.ff(*wait, id, check=0).stdout)
            if doc["status"] != "COMPLETED" or doc["result"]["artifacts"]["out.bin"]["bytes"] != 3000000: fail(f"{id}: {json.dumps(doc)[:300]}")
            if "ActivityTaskFailed" in lab.ff("runs", "events", id, check=0).stdout: fail(f"{id}: an attempt was counted as failed")
        # In the background nobody is told: it waits, and goes on by itself, with the same attempt.
        lab.ff("--toolbox", lab.toolbox(), "run", "-d", "slowly", t, *sizes, "--name", "held", check=0)
        time.sleep(1.5)
        fill(lab, 1 << 20)
        time.sleep(6)
        (lab.state / "ballast").unlink()
        doc = json.loads(lab.ff(*wait, "held", check=0).stdout)
        if doc["status"] != "COMPLETED" or doc["result"]["summary"]["attempt"] != 1: fail(f"held: {json.dumps(doc)[:300]}")
        lab.ff("store", "verify", check=0)
        upload_without_room(lab)
        leave(lab)
        served_without_room(lab)
        leave(lab)
        events_without_room(lab)
        for served in (False, True):
            leave(lab)
            room_is_made(lab, t, served)
        # And on a full disk nothing is done. First all are to leave: the databases' logs, which go with the last, are room too.
        leave(lab)
        fill(lab, 0)
        p = lab.ff(*go, *sizes)
        if p.returncode != 5 or ("disk is full" not in p.stderr and "No space left" not in p.stderr and "stays open" not in p.stderr): fail(f"begun on a full disk: {p.returncode} {p.stderr}")
        leave(lab)
    finally:
        (lab.state / "ballast").unlink(missing_ok=True)
        for p in lab.procs: p.kill()
        subprocess.run(["umount", "-l", lab.state])
ok("a full disk is waited for")
