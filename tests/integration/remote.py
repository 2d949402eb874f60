#!/usr/bin/env python3
# The same commands on a state and through its server: what they print and how they end must be the same. And a server that is slow,
# hostile, or gone in the middle.
import hashlib, http.server, io, pathlib, re, shutil, socket, sqlite3, struct, sys, tarfile, threading, urllib.error, urllib.request
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from accept import *

TALK = '''
import sys, json, time
req = json.loads(sys.stdin.readline())
def say(**m): print(json.dumps(m), flush=True)
n = req["input"].get("n", 3)
for i in range(n):
    say(type="progress", done=i, total=n)
    say(type="stats", executions=100 * (i + 1), executions_per_sec=50.5, crashes=i, unique_crashes=min(i, 1), coverage=12.5, corpus_size=i, elapsed_time=i, last_crash_time=None)
    say(type="finding", rule_id="crash/overflow", title="heap overflow %d" % i, severity="high", file="a.py", line=1 + i, evidence={"stack": ["f a.py:1"]})
    time.sleep(req["input"].get("pause", 0))
say(type="result", status="success", summary={"n": n})
'''
# What a module can do, and how it can end.
TRIES = '''
import json, os, sys, time
req = json.loads(sys.stdin.readline())
i, scratch = req["input"], req["scratch"]
def say(**m): print(json.dumps(m), flush=True)
say(type="log", level="warning", message="it begins")
say(type="stats", executions=i.get("n", 0))
say(type="finding", rule_id="a/b", title="before", severity="high", file="a.py", line=1)
print("on stderr", file=sys.stderr, flush=True)
time.sleep(i.get("pause", 0))
if i.get("die"): os._exit(i["die"])
files = sorted(os.path.relpath(os.path.join(d, f), req["workspace"]) for d, _, fs in os.walk(req["workspace"] or "/nowhere") for f in fs)
for name in ("b.txt", "a.bin", "none"):
    with open(os.path.join(scratch, name), "wb") as f: f.write(bytes(range(256)) * (0 if name == "none" else 5000))
    say(type="artifact", path=os.path.join(scratch, name))
say(type="result", status="failed" if i.get("fail") else i.get("status", "success"), error="no luck" if i.get("fail") or i.get("status") else None,
    summary={} if i.get("fail") else {"z": 1, "files": files, "a": i, "target": req["workspace"] is not None, "net": os.path.exists("/sys/class/net/lo") and len(os.listdir("/sys/class/net"))})
'''
WORKFLOW = '''return function(input)
  local r = ff.activity("talk", {n = input.parameters.n, pause = input.parameters.pause}, {timeout = "60s", retry = {max = 3}})
  return {summary = r.summary, findings = r.findings}
end'''
WAITS = '''return function(input)
  ff.on_query("mood", function(v) return {mood = "waiting", v = v} end)
  local v = ff.wait_signal("go", "1h")
  return {summary = {v = v}}
end'''
PARAMETERS = '''tags: [fuzzing]
parameters:
  type: object
  properties:
    n: {type: integer, description: how many}
    pause: {type: number}
default_parameters: {n: 3}
'''
SHOP = {"a.py": 'import os\npassword = "hunter2secret99"\nos.system("x" + input())\n', "lib/b.py": "eval(input())\n", "c.txt": "text\n"}
READ = ["runs list", "runs list --status completed", "runs list --status COMPLETED", "runs list -n 1", "runs list --workflow talks", "runs list --status nonsense",
        "runs list --query 'WorkflowId = \"first\"'", "runs show first", "runs show fir", "runs show nosuch", "runs show",
        "runs events first", "runs export first", "runs query open mood", "runs query open nosuch", "runs show open", "workflow status first",
        "findings list", "findings list --run first --severity high", "findings list --run first --rule secrets --path lib",
        "findings list --run nosuch", "findings export -f csv", "findings export -f sarif first", "findings export -f html first",
        "findings export -f gl-sast first", "findings diff first second", "findings diff first second --fail-on high", "findings history",
        "finding FINGERPRINT", "finding FINGERPRINT -f md", "findings show nosuchid", "findings history FINGERPRINT",
        "workflow list", "workflow info talks", "workflow info security_assessment", "workflow params talks", "workflow info nosuch",
        "workflow info broken", "workflow validate", "workflow validate talks", "workflow validate broken nosuch", "workflow validate box/workflows/needs",
        "workflow test ./box/workflows/tested", "fuzz parse report.txt", "fuzz cluster report.txt", "module list", "module list --category fuzzer", "module info talk", "module info nosuch", "workers list",
        "status", "runs cancel first", "runs terminate first --reason why", "runs signal first go 1", "workflow history -n 2"]
REPORT = """==1==ERROR: AddressSanitizer: heap-buffer-overflow on address 0x602000000015 at pc 0x1 bp 0x2 sp 0x3
READ of size 1 at 0x602000000015 thread T0
    #0 0x4f1 in parse /src/parse.c:7:3
    #1 0x4f2 in main /src/main.c:9:3
"""
REFUSED = {"worker": "cluster", "serve": "asks none", "init": "this machine", "config": "this machine",
           "server stop": "server's machine",
           "workers start": "server's machine"}


class Server:
    def __init__(self, lab, port=0):
        self.log = lab.dir / "serve.log"
        self.p = lab.popen("--json", "serve", "--listen", f"127.0.0.1:{port}", stdout=subprocess.PIPE, stderr=open(self.log, "ab"),
                           env={"ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=16"}) # what is freed counts as gone
        text = b""
        while not text.rstrip().endswith(b"}"):
            line = self.p.stdout.readline()
            if not line: fail(f"serve did not start: {self.log.read_text()[-300:]}")
            text += line
        self.url = json.loads(text)["rest"]
        self.port = int(self.url.rsplit(":", 1)[1])
        self.token = (lab.state / "token").read_text().strip()

    def peak_kb(self):
        for line in open(f"/proc/{self.p.pid}/status"):
            if line.startswith("VmHWM"): return int(line.split()[1])


def words(command):
    return [w.strip("'") for w in re.findall(r"'[^']*'|\S+", command)]


def plain(text):
    """Without what differs between any two calls."""
    text = re.sub(r"20\d\d-\d\d-\d\dT[\d:.]+Z", "TIME", text)
    text = re.sub(r'"duration_ms": \d+', '"duration_ms": 0', text)
    return re.sub(r"(RUNNING[^\n]*?)\b[\d.]+ ?(ms|s)\b *", r"\1TIME ", text)


def compare(lab, server, command, what=("stdout", "stderr", "returncode"), env=None):
    here = lab.ff(*words(command), env=env)
    there = lab.ff("--server", server.url, *words(command), env=env)
    for w in what:
        a, b = getattr(here, w), getattr(there, w)
        a, b = (plain(a), plain(b)) if isinstance(a, str) else (a, b)
        if a != b: fail(f"{command}: {w} differs: {a[:300]!r} here, {b[:300]!r} there" if isinstance(a, str) else f"{command}: {a} here, {b} there: {there.stderr}")
    return there


def check_reading(lab, server):
    lab.ff("run", "security_assessment", "shop", "--name", "first", "-q", check=0)
    lab.ff("run", "security_assessment", "shop", "--name", "second", "-q", "--fail-on", "high", "--baseline", "first")
    lab.ff("run", "waits", "shop", "-d", "--name", "open", check=0)
    lab.workflow("broken", "return 1 +")
    fingerprint = lab.json("findings", "list", "--run", "first")["findings"][0]["fingerprint"]
    for command in READ:
        command = command.replace("FINGERPRINT", fingerprint[:12])
        compare(lab, server, command)
        if "export" not in command and "-f md" not in command: compare(lab, server, "--json " + command, ("stdout", "returncode"))
    p = compare(lab, server, "workflow validate box/workflows/needs")
    if "needs module 'nosuch'" not in p.stdout or "'talk'" in p.stdout: fail(f"which modules the server has: {p.stdout}")
    # Asks nothing of a server: one that is not there is not missed.
    nobody = ("--server", "http://127.0.0.1:1")
    for command in ("workflow new fresh made", "workflow test ./box/workflows/tested", "fuzz parse report.txt", "fuzz cluster report.txt"):
        lab.ff(*nobody, *words(command), check=0)
    lab.ff(*nobody, "workflow", "validate", "made/fresh", check=0)
    if lab.ff(*nobody, "workflow", "validate", "talks").returncode != 5: fail("validate does not ask the server")
    for command, instead in REFUSED.items():
        p = lab.ff("--server", server.url, *words(command))
        if p.returncode != 2 or "not through a server" not in p.stderr or instead not in p.stderr: fail(f"{command}: {p.returncode} {p.stderr}")
    if "server" not in lab.ff("--server", server.url, "version", check=0).stdout: fail("version")


def check_tokens(lab, server):
    """Where the token comes from, and what is said without one that counts."""
    other = {"FF_STATE_DIR": str(lab.dir / "elsewhere")}

    def ask(*args, env=None, code=0):
        p = subprocess.run([lab.exe, "--server", server.url, *args, "runs", "list"], capture_output=True, text=True, cwd=lab.dir,
                           env={**lab.env, **other, **(env or {})}, timeout=60)
        if p.returncode != code: fail(f"{args} {env}: exit {p.returncode}, wanted {code}: {p.stderr}")
        return p

    (lab.dir / "t").write_text(server.token + "\n")
    if "--token-file" not in ask(code=5).stderr: fail("without a token nothing is said of --token-file")
    ask("--token-file", "t")
    ask(env={"FF_SERVER_TOKEN": server.token})
    ask(env={"FF_SERVER_TOKEN_FILE": str(lab.dir / "t")})
    if "expired" not in ask(env={"FF_SERVER_TOKEN": "x" * 43}, code=5).stderr: fail("a token that is none")
    ask(env={"FF_SERVER_TOKEN": "a\r\nHost: b"}, code=2)
    ask("--token-file", "nosuch", code=2)
    # A server that is only set is asked too; a state that is named stands above it, and so do commands that work here alone.
    env = {**lab.env, "FUZZFORGE_API_URL": server.url, "FF_SERVER_TOKEN": server.token}
    p = subprocess.run([lab.exe, "runs", "show", "first"], capture_output=True, text=True, env=env, cwd=lab.dir)
    if p.returncode: fail(f"FUZZFORGE_API_URL: {p.stderr}")
    p = subprocess.run([lab.exe, "--state", "empty", "runs", "list"], capture_output=True, text=True, env=env, cwd=lab.dir)
    if p.returncode or "first" in p.stdout: fail(f"--state beside FUZZFORGE_API_URL: {p.stdout}")
    viewer = lab.ff("token", "create", "--role", "viewer", "-q", check=0).stdout.strip()
    p = lab.ff("--server", server.url, "runs", "cancel", "open", env={"FF_SERVER_TOKEN": viewer})
    if p.returncode != 5 or "role" not in p.stderr: fail(f"a viewer cancels: {p.returncode} {p.stderr}")
    for url, code in (("http://192.0.2.1:8000", 2), ("ftp://127.0.0.1", 2), ("http://u:p@127.0.0.1", 2), ("http://127.0.0.1:1", 5)):
        p = lab.ff("--server", url, "runs", "list")
        if p.returncode != code: fail(f"{url}: {p.returncode} {p.stderr}")
    if len(p.stderr.strip().splitlines()) > 2: fail(f"a server that is gone takes {p.stderr!r}")


class Hostile(http.server.BaseHTTPRequestHandler):
    """Answers each path as the test says."""
    answers, asked, named = {}, [], []

    def do_GET(self):
        Hostile.asked.append((self.path, dict(self.headers)))
        path = self.path.split("?")[0]
        if path.startswith("/runs/0"): path = "RUN" + path[6 + 26:] # of an id that a client has chosen
        if path.endswith(("/run", "/upload-and-run")): # which id it has chosen
            body = self.body()
            Hostile.named[:] = [json.loads(body)["name"] if body[:1] == b"{" else re.search(rb'name="name"\r\n\r\n(\w+)', body)[1].decode()]
        status, headers, body = Hostile.answers.get(path, (404, {}, b"{}"))
        if callable(body): status, headers, body = body()
        self.send_response(status)
        for k, v in {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}.items(): self.send_header(k, v)
        self.end_headers()
        try: self.wfile.write(body)
        except OSError: pass

    do_POST = do_GET

    def body(self):
        if "Content-Length" in self.headers: return self.rfile.read(int(self.headers["Content-Length"]))
        text = b""
        while n := int(self.rfile.readline(), 16): text += self.rfile.read(n + 2)[:n]
        self.rfile.readline()
        return text

    def log_message(self, *a): pass


def check_hostile(lab):
    httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hostile)
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{httpd.server_port}"

    def ask(answer, code, *args):
        Hostile.answers = {a: x if isinstance(x, tuple) else (200, {}, json.dumps(x).encode()) for a, x in answer.items()}
        Hostile.asked = []
        p = lab.ff("--server", url, *(args or ("runs", "list")))
        if p.returncode != code: fail(f"{answer}: exit {p.returncode}, wanted {code}: {p.stderr[-300:]}")
        if re.search(r"[\x00-\x08\x0b-\x1f\x7f]", p.stdout + p.stderr): fail(f"{answer}: control characters came through: {p.stdout!r} {p.stderr!r}")
        return p

    run = {"run_id": "r", "execution_id": "e", "workflow": "w", "status": "COMPLETED", "started_at": "2026-01-01T00:00:00.000Z",
           "finished_at": "2026-01-01T00:00:01.000Z", "duration_ms": 1000, "target": "t"}
    ask({"/runs": {"runs": [run], "next_cursor": None}}, 0)
    ask({"/runs": {"runs": [{**run, "target": "t\x1b]0;x\x07"}], "next_cursor": None}}, 0)
    for bad in ({"run_id": "\x1b[2J"}, {"status": "\x1b[2J"}, {"workflow": "a\nb"}, {"run_id": 7}, {"execution_id": "\u009b2J"}):
        ask({"/runs": {"runs": [{**run, **bad}], "next_cursor": None}}, 5)
    ask({"/runs": (200, {}, b"<html>")}, 5)
    ask({"/runs": (200, {}, b"[" * 100000)}, 5)
    ask({"/runs": (200, {"Content-Length": "1000"}, b"{}")}, 5)
    ask({"/runs": (302, {"Location": "http://127.0.0.1:1/"}, b"")}, 2)
    ask({"/runs": (404, {}, b"no")}, 2)
    ask({"/runs": (500, {}, json.dumps({"detail": {"error": {"type": "x", "message": "\x1b[2Jboom", "timestamp": ""}}}).encode())}, 5)
    ask({"/runs": {"runs": [run] * 500, "next_cursor": "same"}}, 0, "runs", "list", "-n", "500")
    ask({"/runs": {"runs": [run] * 500, "next_cursor": "same"}}, 5, "runs", "list", "-n", "100000")
    shown = {**run, "target": {"name": "t\x1b[2J"}, "result": {"summary": {}}, "incomplete": False, "error": "\x1b[2J",
             "options": {"fail_on": None, "export_sarif": str(lab.dir / "written"), "baseline": "/etc/passwd"}}
    found = {"rule_id": "a/\x1b[2J", "title": "\x1b[2J", "severity": "high", "file": "x\x1b", "fingerprint": "\x1b[2J", "snippet": "\x1b[2J"}
    pages = {"/runs/r/id": {"run_id": "r"}, "/runs/r": shown, "/findings": {"findings": [found], "next_cursor": None}}
    ask(pages, 0, "runs", "show", "r")
    ask(pages, 0, "findings", "list", "--run", "r")
    ask(pages, 0, "findings", "show", "--run", "r", "?[2J")
    if (lab.dir / "written").exists(): fail("a server has a file of this machine written")
    # The answer of a module that it was to run.
    def submitted(): return 200, {}, json.dumps({"run_id": Hostile.named[0], "status": "RUNNING", "workflow": "w", "message": ""}).encode()

    def trial_of(name, verb, **answer):
        said = "".join(f'event: {t}\ndata: {json.dumps({"data": {"module": name, **d}})}\n\n' for t, d in (
            ("log", {"level": "\x1b[2J", "message": "\x1b[2J"}), ("progress", {"done": "x", "message": "\x1b[2J"}), ("stats", {"executions": "\x1b[2J"}),
            ("finding", {"rule_id": "\x1b[2J", "title": 7})))
        event = {"eventId": "1", "activityTaskCompletedEventAttributes": {"result": {"payloads": [{"status": "\x1b[2J", "summary": {"\x1b[2J": "\x1b[2J"}, "error": "\x1b[2J", **answer}]}}}
        return {f"/modules/{name}": {"name": name, "requires_workspace": False, "input_schema": None}, f"/modules/{name}/{verb}": (0, {}, submitted),
                "RUN/events": (200, {"Content-Type": "text/event-stream"}, said.encode()), "RUN": {**shown, "run_id": "RUN"}, "RUN/history": {"events": [event], "next_after": None}}
    ask(trial_of("m", "run", artifacts={"\x1b[2J": {}}), 0, "module", "run", "m", "-")
    for bad in ({"RUN/history": {"events": [], "next_after": None}}, {"/modules/m": {"name": "\x1b[2J"}}):
        ask({**trial_of("m", "run"), **bad}, 5, "module", "run", "m", "-")
    ask({"/modules/m": {"name": "\x1b[2J"}}, 5, "module", "info", "m")
    # A target that it has built, which leads to a file of this machine: nothing of that is sent.
    (lab.dir / "secret").write_text("secret")
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as t:
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, str(lab.dir)
        t.addfile(link)
    ref = "sha256:" + hashlib.sha256(tar.getvalue()).hexdigest()
    for program, code in (("../../secret", 5), ("link/secret", 5), (str(lab.dir / "secret"), 2)):
        answers = trial_of("fuzz_build", "upload-and-run", artifacts={"build.tar": {"ref": ref, "bytes": len(tar.getvalue())}},
                           summary={"targets": [{"name": "t", "program": program}]})
        p = ask({**answers, f"/store/{ref.replace(':', '%3A')}/bytes": (200, {"Content-Type": "application/octet-stream"}, tar.getvalue())}, code,
                "fuzz", "run", "shop", "-o", "hostile")
        if "leads out" not in p.stderr and "No such file" not in p.stderr: fail(f"{program}: {p.stderr}")
        if [x for x, _ in Hostile.asked if "fuzz_campaign" in x]: fail(f"{program}: it is sent")
    for name in ("../written", "/tmp/written", ".written", "a/../../written"):
        (lab.dir / "got").mkdir(exist_ok=True)
        ask(trial_of("m", "run", artifacts={name: {"ref": "sha256:" + "0" * 64, "bytes": 1}}), 5, "module", "run", "m", "-", "--artifacts", "got")
        if (lab.dir / "written").exists() or list((lab.dir / "got").iterdir()): fail(f"a server has {name} written")
    # What keeps house, and what was put: answers that are others, and texts that are more than text.
    counted = {"bad_objects": 0, "missing_objects": 0, "missing": [], "damaged": []}
    ask({"/store/gc": {"removed": 1}}, 5, "store", "gc")
    ask({"/store/verify": {**counted, "damaged": [{"ref": "\x1b[2J", "reason": "x"}]}}, 5, "store", "verify")
    ask({"/store/verify": {**counted, "bad_objects": "0"}}, 5, "store", "verify")
    ask({"/store/verify": {**counted, "bad_objects": 1, "damaged": [{"ref": "r", "reason": "\x1b[2J"}]}}, 5, "store", "verify")
    ask({"/clean": {"removed": [{"run_id": "\x1b[2J", "workflow": "w"}]}}, 5, "clean")
    ask({"/clean": {"removed": [{"run_id": "r", "workflow": "w", "finished_at": "\x1b[2J"}]}}, 0, "clean")
    ask({"/audit": {"entries": {}}}, 5, "audit")
    ask({"/audit": {"entries": [7, {"time": "\x1b[2J", "who": {"name": "\x1b[2J"}, "subject": "\x1b[2J"}]}}, 0, "audit")
    p = ask({"/store": {"ref": "sha256:" + "0" * 64, "bytes": 5}}, 5, "store", "put", "shop/c.txt")
    if "other bytes" not in p.stderr: fail(f"a server that takes other bytes: {p.stderr}")
    # A busy server is asked again when it says, and not for ever.
    times = [0]

    def busy():
        times[0] += 1
        return (200, {}, json.dumps({"runs": [run], "next_cursor": None}).encode()) if times[0] == 3 else (503, {"Retry-After": "1"}, b"{}")
    before = time.monotonic()
    ask({"/runs": (0, {}, busy)}, 0)
    if times[0] != 3 or time.monotonic() - before < 1.9: fail(f"Retry-After is not waited for: {times} {time.monotonic() - before}")
    ask({"/runs": (503, {"Retry-After": "3000"}, b"{}")}, 5)
    if len(Hostile.asked) != 1: fail("an hour's Retry-After is waited for")
    # A stream that has left something out is asked for again from there.
    heard = []

    def event(n, type="log", **data): return f'id: {n}\nevent: {type}\ndata: {json.dumps({"at": "2026-01-01T00:00:00Z", "type": type, "data": data})}\n\n'

    def stream():
        heard.append(n := len(heard))
        text = event(3) + event(4) + event(5) if n else event(1) + event(2) + 'event: skipped\ndata: {"count": 2}\n\n' + event(5)
        return 200, {"Content-Type": "text/event-stream"}, text.encode()

    def going(): return 200, {}, json.dumps(shown if len(heard) > 1 else {**shown, "status": "RUNNING", "finished_at": None}).encode()
    p = ask({"/runs/r/id": {"run_id": "r"}, "/runs/r": (0, {}, going), "/runs/r/log": {"events": [], "next_after": None}, "/runs/r/events": (0, {}, stream)}, 0,
            "--json", "monitor", "live", "r")
    if [json.loads(x)["id"] for x in p.stdout.splitlines()] != [1, 2, 3, 4, 5]: fail(f"a stream with a gap: {p.stdout}")
    httpd.shutdown()


def same_run(lab, server, args, code, name, drop=()):
    """The same run here and there, as a document; times and what is made of them are left aside."""
    docs = []
    for where in ((), ("--server", server.url)):
        id = f"{name}-{'there' if where else 'here'}"
        p = lab.ff(*where, "--json", "run", *args, "--name", id, timeout=120)
        if p.returncode != code: fail(f"run {args}: exit {p.returncode} {where}, wanted {code}: {p.stderr[-300:]} {p.stdout[-300:]}")
        d = json.loads(p.stdout)
        for k in ("run_id", "execution_id", "started_at", "finished_at", "duration_ms", "result", *drop): d.pop(k, None)
        for f in d.get("findings", []): f.pop("id", None)
        docs.append(json.loads(json.dumps(d).replace(id, "ID")))
    if docs[0] != docs[1]: fail(f"run {args}: {[(k, docs[0].get(k), docs[1].get(k)) for k in docs[0] if docs[0].get(k) != docs[1].get(k)]}")
    return docs[1]


def check_runs(lab, server):
    shop = lab.target({**SHOP, ".git/config": "x", "deep/" + "d" * 200 + "/" + "e" * 200 + "/f.py": "eval(input())\n"}, "odd")
    (shop / "out").symlink_to("/etc")
    (shop / "in").symlink_to("a.py")
    os.mkfifo(shop / "fifo")
    (shop / "a.py").chmod(0o755)
    (shop / "empty").mkdir()
    (shop / "caf\u00e9.py").write_text("eval(input())\n")
    open(os.fsencode(shop) + b"/\xff.py", "w").write("eval(input())\n")
    subprocess.run(["tar", "czf", lab.dir / "odd.tgz", "-C", shop, "a.py", "lib"], check=True)
    (lab.dir / "nothing").mkdir()
    found = same_run(lab, server, ("security_assessment", "odd"), 0, "odd")
    if found["target"]["kind"] != "folder" or found["target"]["notices_total"] != 3 or len(found["findings"]) < 5: fail(f"odd: {found['target']}")
    same_run(lab, server, ("security_assessment", "odd.tgz"), 0, "archive")
    same_run(lab, server, ("secret_detection", "odd/a.py"), 0, "file")
    # Repositories: what is committed, not the work tree; with what git alone knows of (a pointer of LFS, a submodule).
    work = lab.target({**SHOP, "lfs.bin": "version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "deep/er/x.py": "eval(input())\n", "none.py": ""}, "work")
    (work / "run.sh").write_text("#!/bin/sh\n")
    (work / "run.sh").chmod(0o755)
    (work / "in").symlink_to("a.py")
    (work / "out").symlink_to("/etc/passwd")
    (work / "big.bin").write_bytes(os.urandom(5 << 20))
    git = ("git", "-C", work, "-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
    for args in (("init", "-q"), ("add", "-A"), ("update-index", "--add", "--cacheinfo", "160000," + "1" * 40 + ",module"), ("commit", "-qm", "all")):
        subprocess.run([*git, *args], check=True)
    subprocess.run(["git", "clone", "-q", "--bare", work, lab.dir / "bare.git"], check=True)
    (work / "later.py").write_text("eval(input())\n")
    found = same_run(lab, server, ("security_assessment", "bare.git"), 0, "bare")
    if found["target"]["kind"] != "git" or found["target"]["notices_total"] != 3 or not found["findings"]: fail(f"a bare repository: {found['target']}")
    for url in (f"file://{lab.dir}/bare.git", f"file://{work}"):
        d = lab.json("--server", server.url, "run", "security_assessment", url)
        same = {"ref", "kind", "files", "bytes", "notices_total", "incomplete"}
        if any(d["target"][k] != found["target"][k] for k in same) or len(d["findings"]) != len(found["findings"]): fail(f"{url}: {d['target']}")
    for command in ("run security_assessment file:///nowhere", "run security_assessment ssh://x/y"):
        a, b = lab.ff(*command.split()), lab.ff("--server", server.url, *command.split())
        if not a.returncode or not b.returncode: fail(f"{command}: {a.returncode} {b.returncode}")
    same_run(lab, server, ("security_assessment", "nothing"), 0, "nothing")
    same_run(lab, server, ("security_assessment", "odd", "--fail-on", "high", "--strict"), 1, "gate")
    same_run(lab, server, ("security_assessment", "odd", "--fail-on", "low", "--baseline", "odd-here", "--no-inline-suppressions"), 0, "base")
    lab.ff("findings", "export", "-f", "sarif", "-o", "base.sarif", "odd-here", check=0)
    (lab.dir / "base.sarif").rename(lab.dir / "b.sarif")
    same_run(lab, server, ("security_assessment", "odd", "--fail-on", "low", "--baseline", "b.sarif"), 0, "basefile")
    same_run(lab, server, ("talks", "odd", "n=2", "-l"), 0, "talks")
    same_run(lab, server, ("waits", "odd", "-t", "1s"), 3, "timeout")
    for where in ((), ("--server", server.url)):
        lab.ff(*where, "run", "security_assessment", "odd", "-q", "--export-sarif", f"s{len(where)}.sarif", check=0)
    s = [json.loads((lab.dir / f"s{n}.sarif").read_text())["runs"][0]["results"] for n in (0, 2)]
    if [x["ruleId"] for x in s[0]] != [x["ruleId"] for x in s[1]]: fail("--export-sarif")
    for command in ("run nosuch odd", "run talks odd n=x", "run talks odd m=1", "run talks nosuch", "run talks odd --fail-on worst", "run talks odd --name odd-here",
                    "run talks odd --baseline nosuch", "run talks odd --timeout never", "run talks", "run talks odd --name a/b", "run talks fifo"):
        compare(lab, server, command)
        compare(lab, server, "--json " + command, ("stdout", "returncode"))
    # Detached, waited for, asked, signalled, retried.
    S = ("--server", server.url)
    id = lab.ff(*S, "run", "waits", "odd", "-d", check=0).stdout.strip()
    if lab.json(*S, "runs", "query", id, "mood", '{"a": 1}') != {"mood": "waiting", "v": {"a": 1}}: fail("query with a value")
    wait = lab.popen(*S, "--json", "runs", "wait", id, stdout=subprocess.PIPE)
    lab.ff(*S, "runs", "signal", id, "go", '"now"', check=0)
    d = json.loads(wait.communicate(timeout=60)[0])
    if wait.returncode or d["summary"] != {"v": "now"}: fail(f"wait: {wait.returncode} {d}")
    lab.ff(*S, "runs", "retry", id, "-d", check=0)
    lab.ff(*S, "runs", "signal", id, "go", "2", check=0)
    if lab.json(*S, "runs", "wait", id)["summary"] != {"v": 2}: fail("retry")
    d = lab.json(*S, "run", "waits", "odd", "-d")
    if sorted(d) != ["run_id", "status"] or d["status"] != "RUNNING": fail(f"-d: {d}")
    lab.ff(*S, "runs", "terminate", d["run_id"], check=0)
    lab.ff(*S, "runs", "wait", d["run_id"], check=4)
    lab.ff(*S, "runs", "wait", id, "-q", check=0)


def check_doctor(lab, server):
    S = ("--server", server.url)
    d = lab.json(*S, "doctor")
    checks = {c["name"]: (c["area"], c["status"], c["detail"]) for c in d["checks"]}
    if not d["ok"] or {c["area"] for c in d["checks"]} != {"server"} or checks["engine"][1:] != ("ok", "ok"): fail(f"doctor: {d}")
    if server.url not in checks["answers"][2] or checks["token"][2] != "owner, admin of all namespaces" or checks["workers"][1] != "ok": fail(f"doctor: {d}")
    if "owner, admin" not in lab.ff(*S, "doctor", check=0).stdout: fail("doctor's table")
    viewer = lab.ff("token", "create", "--namespace", "team-a", "-q", check=0).stdout.strip()
    if "viewer of team-a" not in lab.ff(*S, "doctor", env={"FF_SERVER_TOKEN": viewer}, check=0).stdout: fail("doctor of a viewer")
    d = json.loads(lab.ff(*S, "--json", "doctor", env={"FF_SERVER_TOKEN": "0" * 64}, check=5).stdout)
    if [c["status"] for c in d["checks"] if c["name"] == "token"] != ["failed"] or "token create" not in d["checks"][-1]["hint"]: fail(f"doctor without a token: {d}")
    d = json.loads(lab.ff("--server", "http://127.0.0.1:1", "--json", "doctor", check=5).stdout)
    if [(c["name"], c["status"]) for c in d["checks"]] != [("answers", "failed")]: fail(f"doctor of a server that is not there: {d}")
    if "spawner" not in (p := lab.ff("doctor", env={"FUZZFORGE_API_URL": "http://127.0.0.1:1"}).stdout) and "kernel" not in p: fail(f"doctor of this machine: {p}")


def check_monitor(lab, server):
    same = ("stdout", "returncode")
    lab.ff("--server", server.url, "run", "talks", "shop", "n=3", "--name", "watched", "-q", check=0)
    for what in ("stats", "crashes", "live"):
        text = compare(lab, server, f"monitor {what} watched", same).stdout
        compare(lab, server, f"--json monitor {what} watched", same)
        compare(lab, server, f"monitor {what} watched --once", same)
    if text.count("heap overflow") < 6: fail(f"monitor live: {text}")
    compare(lab, server, "monitor stats nosuch")


def check_listening(lab, server):
    """A monitor asks for the stream of events, goes on where it broke, and ends with its run, by Ctrl-C, or when the server does not come back."""
    between, asked, cuts = Between(server.port), [], [2]
    S = ("--server", between.url)
    between.up = lambda d: asked.extend(re.findall(rb"^(?:GET \S+|Last-Event-ID: \d+)", d, re.M))
    def down(d):
        if b"event: finding" in d and cuts[0]:
            cuts[0] -= 1
            raise OSError
    between.down = down
    lab.ff("--server", server.url, "run", "talks", "shop", "n=8", "pause=0.3", "--name", "heard", "-d", check=0)
    e = [json.loads(x) for x in lab.ff(*S, "--json", "monitor", "live", "heard", check=0, timeout=120).stdout.splitlines()]
    if [x["id"] for x in e] != list(range(1, len(e) + 1)) or e[-1]["data"].get("status") != "COMPLETED": fail(f"monitor live: {e}")
    if cuts[0] or sum(a.endswith(b"/events") for a in asked) < 3 or sum(a.startswith(b"Last-Event-ID") for a in asked) < 2: fail(f"a stream that breaks: {asked}")
    if sum(b"/log?" in a for a in asked) > 2: fail(f"monitor live asks again and again: {asked}")
    between.down = lambda d: None
    for view in ("stats", "crashes"):
        lab.ff("--server", server.url, "run", "talks", "shop", "n=5", "pause=0.3", "--name", "heard-" + view, "-d", check=0)
        d = [json.loads(x) for x in lab.ff(*S, "--json", "monitor", view, "heard-" + view, check=0, timeout=120).stdout.splitlines()]
        if d[-1:] != [json.loads(x) for x in lab.ff("--json", "monitor", view, "heard-" + view, "--once", check=0).stdout.splitlines()][-1:]: fail(f"monitor {view}: {d}")
        if view == "stats" and (len(d) < 2 or sorted(x["executions"] for x in d) != [x["executions"] for x in d]): fail(f"monitor stats: {d}")
    lab.ff("--server", server.url, "run", "waits", "shop", "--name", "quiet", "-d", check=0)
    for end in ("by Ctrl-C", "by a server that has gone"):
        p = lab.popen(*S, "monitor", "live", "quiet", stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={"FF_SERVER_RETRY": "1s"})
        if b"RUNNING" not in p.stdout.readline(): fail("monitor live says nothing")
        if end == "by Ctrl-C": p.send_signal(signal.SIGINT)
        else: between.to = 1
        err = p.communicate(timeout=60)[1]
        if (p.returncode, bool(err)) != ((0, False) if end == "by Ctrl-C" else (5, True)): fail(f"monitor ended {end}: {p.returncode} {err}")
    lab.ff("runs", "terminate", "quiet", check=0)


def check_admin(lab, server):
    S = ("--server", server.url)
    token = lab.ff(*S, "token", "create", "--role", "operator", "--name", "made", "-q", check=0).stdout.strip()
    lab.ff(*S, "token", "create", "--namespace", "team-a", "--expires", "never", "--name", "other", check=0)
    d = lab.json(*S, "token", "create", "--expires", "1h")
    if len(d["token"]) != 64 or d["role"] != "viewer" or not d["expires_at"]: fail(f"token create: {d}")
    for command in ("token list", "token list --all", "token create --name made", "token create --role none", "token create --namespace A", "token revoke nosuch"):
        compare(lab, server, command)
        compare(lab, server, "--json " + command, ("stdout", "returncode"))
    if token in lab.ff(*S, "--json", "token", "list", "--all", check=0).stdout: fail("a list has a token's text")
    lab.ff(*S, "runs", "list", env={"FF_SERVER_TOKEN": token}, check=0)
    for command in ("token list", "token create", "token revoke other", "store ls"):
        p = lab.ff(*S, *command.split(), env={"FF_SERVER_TOKEN": token})
        if p.returncode != 5: fail(f"an operator: {command}: {p.returncode} {p.stderr}")
    lab.ff(*S, "token", "revoke", "made", check=0)
    lab.ff(*S, "runs", "list", env={"FF_SERVER_TOKEN": token}, check=5)
    log = [(e["action"], e.get("subject"), e["outcome"] if "outcome" in e else None) for e in lab.json("audit", "-n", "50", "--action", "token.")["entries"]]
    if ("token.revoke", "made") not in [x[:2] for x in log]: fail(f"audit: {log}")


def check_suppress(lab, server):
    S = ("--server", server.url)
    finding = lab.json("findings", "list", "--run", "first")["findings"][0]
    lab.ff(*S, "findings", "suppress", finding["fingerprint"][:12], "--reason", "known", check=0)
    lab.ff(*S, "findings", "suppress", "--rule", "none/*", "--path", "x", "--reason", "other", check=0)
    for command in ("findings suppress --list", "findings suppress --remove nosuch", "findings suppress nosuch --reason x", "findings suppress", "findings list --run first",
                    "findings list --run first --status suppressed", "runs show first"):
        compare(lab, server, command)
        compare(lab, server, "--json " + command, ("stdout", "returncode"))
    if len(lab.json("findings", "suppress", "--list")["suppressions"]) != 2: fail("suppress")
    lab.ff(*S, "findings", "suppress", "--remove", finding["fingerprint"][:12], check=0)
    lab.ff(*S, "findings", "suppress", "--remove", "none/*", check=0)
    if lab.json("findings", "suppress", "--list")["suppressions"]: fail("suppress --remove")


def check_store(lab, server):
    (lab.dir / "bytes").write_bytes(os.urandom(3 << 20))
    ref = lab.ff("store", "put", "bytes", check=0).stdout.strip()
    S = ("--server", server.url)
    for command in ("store ls", "store stat " + ref, "store stat sha256:" + "0" * 64, "store stat nonsense", "store get sha256:" + "0" * 64 + " -o x"):
        compare(lab, server, command)
        compare(lab, server, "--json " + command, ("stdout", "returncode"))
    lab.ff(*S, "store", "get", ref, "-o", "back", check=0)
    if (lab.dir / "back").read_bytes() != (lab.dir / "bytes").read_bytes(): fail("store get")
    tree = lab.json("runs", "show", "first")["target"]["ref"]
    if lab.ff(*S, "store", "rm", tree).returncode != lab.ff("store", "rm", tree).returncode: fail("store rm of a run's target")
    lab.ff(*S, "store", "rm", ref, check=0)
    lab.ff("store", "stat", ref, check=2)
    # Put through the server: the same name as here, kept from then on; of a pipe, whose length nobody knows, too.
    for name, size in (("bytes", 3 << 20), ("small", 100), ("none", 0)):
        (lab.dir / name).write_bytes(os.urandom(size))
        p = compare(lab, server, "store put " + name)
        compare(lab, server, "--json store put " + name, ("stdout", "returncode"))
        if not size: continue # of which there is one in any store
        lab.ff(*S, "store", "rm", p.stdout.strip(), check=0)
        d = lab.json(*S, "store", "put", name, "--type", "text/x-own; a=b")
        if d != {"ref": p.stdout.strip(), "bytes": size}: fail(f"store put: {d}")
        if lab.json("store", "stat", d["ref"])["media_type"] != "text/x-own; a=b": fail("store put --type")
        if lab.ff(*S, "store", "put", "-", inp="x" * size, check=0).stdout != lab.ff("store", "put", "-", inp="x" * size, check=0).stdout: fail("store put -")
    lab.ff("store", "gc", "--grace", "0s", check=0)
    lab.ff(*S, "store", "stat", d["ref"], check=0)
    for command in ("store put nosuch", "store put shop"): compare(lab, server, command)
    operator = lab.ff("token", "create", "--role", "operator", "-q", check=0).stdout.strip()
    p = lab.ff(*S, "store", "put", "bytes", env={"FF_SERVER_TOKEN": operator})
    if p.returncode != 5 or "role" not in p.stderr: fail(f"an operator puts: {p.returncode} {p.stderr}")
    # One that is far larger than what either side may hold in memory.
    with open(lab.dir / "huge", "wb") as f:
        for i in range(400): f.write(b"%03d" % i + b"x" * ((1 << 20) - 3))
    before = server.peak_kb()
    ref = lab.ff(*S, "store", "put", "huge", check=0).stdout.strip()
    lab.ff(*S, "store", "get", ref, "-o", "back", check=0)
    if (lab.dir / "back").stat().st_size != 400 << 20 or subprocess.run(["cmp", "back", "huge"], cwd=lab.dir).returncode: fail("store get of a large object")
    if server.peak_kb() - before > 200 << 10: fail(f"400 MiB there and back cost the server {server.peak_kb() - before} KiB")
    (lab.dir / "huge").unlink()
    (lab.dir / "back").unlink()
    lab.ff("store", "rm", ref, check=0)
    lab.ff(*S, "runs", "delete", "second", check=0)
    lab.ff("runs", "show", "second", check=2)
    compare(lab, server, "runs delete open")
    compare(lab, server, "runs delete nosuch")


def check_backup(lab, server):
    """All of the state through the server: whole, or not there; for owners alone; without memory."""
    S = ("--server", server.url)
    (lab.dir / "bytes").write_bytes(os.urandom(150 << 20))
    ref = lab.ff("store", "put", "bytes", check=0).stdout.strip()
    into = lab.dir / "backups"
    into.mkdir()
    before = server.peak_kb()
    d = lab.json(*S, "backup", "backups/a.tar.zst", check=0, timeout=120)
    grown = server.peak_kb() - before
    size, mode = (into / "a.tar.zst").stat().st_size, (into / "a.tar.zst").stat().st_mode & 0o777
    if d["server"] != server.url or d["files"] < 5 or d["bytes"] < 150 << 20 or mode != 0o600 or size < 150 << 20: fail(f"backup: {d}, {size} bytes, mode {mode:o}")
    if grown > 32 << 10: fail(f"a backup of {size >> 20} MiB costs the server {grown} KiB")
    with open(into / "b", "wb") as out: # through a pipe it is passed on as it comes
        if subprocess.run([lab.exe, *S, "backup", "-"], env={**lab.env, "FF_SERVER_TOKEN": server.token}, cwd=lab.dir, stdout=out).returncode: fail("backup -")
    wanted = {r["run_id"] for r in lab.json("runs", "list")["runs"]}
    state = lab.state
    for name in ("a.tar.zst", "b"):
        lab.state = lab.dir / ("copy-" + name)
        lab.ff("restore", into / name, check=0, timeout=120)
        if {r["run_id"] for r in lab.json("runs", "list")["runs"]} != wanted: fail(f"{name}: other runs")
        lab.ff("store", "get", ref, "-o", "back", check=0)
        if (lab.dir / "back").read_bytes() != (lab.dir / "bytes").read_bytes(): fail(f"{name}: other bytes")
        shutil.rmtree(lab.state)
    lab.state = state
    # A connection that breaks leaves nothing, and what was there before stays.
    between, seen = Between(server.port), [0]
    old = (into / "b").read_bytes()[:100]
    def down(d):
        seen[0] += len(d)
        if seen[0] > 20 << 20: raise OSError
    between.down = down
    for name in ("b", "c"):
        seen[0] = 0
        p = lab.ff("--server", between.url, "backup", "backups/" + name, env={"FF_SERVER_TOKEN": server.token}, timeout=60)
        if p.returncode != 5: fail(f"a backup that breaks off: {p.returncode} {p.stderr}")
    if {f.name for f in into.iterdir()} != {"a.tar.zst", "b"} or (into / "b").read_bytes()[:100] != old: fail(f"it leaves {list(into.iterdir())}")
    # One at a time; whoever leaves makes room.
    c = socket.create_connection(("127.0.0.1", server.port))
    c.sendall(f"POST /backup HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {server.token}\r\nContent-Length: 0\r\n\r\n".encode())
    if not c.recv(100).startswith(b"HTTP/1.1 200 "): fail("POST /backup")
    p = lab.ff(*S, "backup", "backups/c")
    if p.returncode != 5 or "already" not in p.stderr: fail(f"two backups at a time: {p.returncode} {p.stderr}")
    c.close()
    between.down = lambda d: None
    until("room for another backup", lambda: lab.ff("--server", between.url, "backup", "backups/c", env={"FF_SERVER_TOKEN": server.token}).returncode == 0)
    for args, env in (((), {"role": "operator"}), (("--namespace", "team-b"), {"role": "admin"})):
        token = lab.ff("token", "create", "--role", env["role"], *args, "-q", check=0).stdout.strip()
        p = lab.ff(*S, "backup", "backups/d", env={"FF_SERVER_TOKEN": token})
        if p.returncode != 5 or (into / "d").exists(): fail(f"{env} {args}: {p.returncode} {p.stderr}")
    log = [(e["who"]["name"], e["outcome"]) for e in lab.json("audit", "--action", "state.backup")["entries"]]
    if ("owner", "allowed") not in log or not [x for x in log if x[1] == "denied"]: fail(f"audit: {log}")
    lab.ff("store", "rm", ref, check=0)
    shutil.rmtree(into)


def check_places(lab, server):
    """Other stores are the server's to reach, with its own settings; on buckets: tests/real/stores.py."""
    S = ("--server", server.url)
    for command in ("store init", "--store local store init", "store rekey", "store migrate local local", "store migrate local nosuch", "store migrate local"):
        compare(lab, server, command)
        compare(lab, server, "--json " + command, ("stdout", "returncode"))
    if lab.json(*S, "store", "init") != {"store": "local", "where": str(lab.state), "created": False}: fail("store init")
    for command in ("store migrate local s3", "store migrate s3 local", "--store s3 store init", "--store s3 store rekey"): # without settings for one
        here, there = (lab.ff(*s, "--json", *command.split()) for s in ((), S))
        own, its = (json.loads(p.stdout)["error"] for p in (here, there))
        if here.returncode != 5 or there.returncode != 5 or not own["message"].endswith(its["message"]) or own["code"] != its["code"]: fail(f"{command}: {own} {its}")
        if own["hint"] not in its["hint"] or "server's machine" not in its["hint"]: fail(f"{command}: {its}")
    operator = lab.ff("token", "create", "--role", "operator", "-q", check=0).stdout.strip()
    admin = lab.ff("token", "create", "--role", "admin", "--namespace", "team-b", "-q", check=0).stdout.strip()
    for what in ("init", "rekey", "migrate local s3"):
        for token in (operator, admin):
            p = lab.ff(*S, "store", *what.split(), env={"FF_SERVER_TOKEN": token})
            if p.returncode != 5 or "token" not in p.stderr: fail(f"store {what}: {p.returncode} {p.stderr}")
        seen = [(e["who"]["name"], e["outcome"]) for e in lab.json("audit", "--action", "store." + what.split()[0])["entries"]]
        if ("owner", "allowed") not in seen or len([x for x in seen if x[1] == "denied"]) != 2: fail(f"store {what}: audit: {seen}")
    for path, body, status, field in (("init", {"store": "tape"}, 422, "store"), ("migrate", {"from": "s3"}, 422, "to"), ("migrate", {"from": "s3", "to": "s3"}, 409, None),
                                      ("rekey", {"key": "11" * 32}, 422, "key")): # which never travels
        q = urllib.request.Request(f"{server.url}/store/{path}", json.dumps(body).encode(),
                                   {"Authorization": "Bearer " + server.token, "Content-Type": "application/json"})
        try: fail(f"{path} {body}: {urllib.request.urlopen(q, timeout=30).status}")
        except urllib.error.HTTPError as e:
            if e.code != status or json.loads(e.read())["detail"]["error"].get("field") != field: fail(f"{path} {body}: {e.code}")


def check_house(lab, server):
    """Garbage, damage, old runs and the audit log; each change by an admin alone, and written down."""
    S = ("--server", server.url)
    for i in range(3): lab.ff(*S, "run", "talks", "shop", "n=%d" % i, "--name", "old%d" % i, "-q", check=0)
    for command in ("store gc --dry-run --grace 0s", "store gc --dry-run", "store gc --grace never", "store verify", "clean --dry-run --older-than 0s", "clean --dry-run",
                    "clean --older-than never"):
        compare(lab, server, command)
        compare(lab, server, "--json " + command, ("stdout", "returncode"))
    (lab.dir / "bytes").write_bytes(os.urandom(1 << 20))
    kept, lost = [lab.ff("store", "put", f, check=0).stdout.strip() for f in ("bytes", "shop/a.py")]
    lab.ff("store", "rm", lost, check=0)
    d = lab.json(*S, "store", "gc", "--grace", "0s")
    if d["dry_run"] or not d["objects_kept"]: fail(f"store gc: {d}")
    if lab.json("store", "gc", "--dry-run", "--grace", "0s")["objects_removed"]: fail("store gc through the server has left something")
    lab.ff("store", "stat", kept, check=0)
    # What a pin names is gone: that is found, and ends as it does here.
    index = sqlite3.connect(lab.state / "store" / "index.db")
    index.execute("DELETE FROM blob WHERE name = ?", ("o/" + kept.split(":")[1],))
    index.commit()
    if compare(lab, server, "store verify").returncode != 5 or "missing" not in lab.ff(*S, "store", "verify").stdout: fail("store verify of what is missing")
    if [m["ref"] for m in json.loads(compare(lab, server, "--json store verify").stdout)["missing"]] != [kept]: fail("store verify names something else")
    lab.ff("store", "put", "bytes", check=0)
    # Old runs, with what a server keeps of them.
    if not lab.ff(*S, "monitor", "stats", "old2", "--once", check=0).stdout: fail("old2 has no statistics")
    d = lab.json(*S, "clean", "--older-than", "0s")
    if not {"old0", "old1", "old2"} <= {r["run_id"] for r in d["removed"]}: fail(f"clean: {d}")
    if {r["status"] for r in lab.json("runs", "list")["runs"]} != {"RUNNING"} or not runs_of(lab, "open"): fail("clean: what is left")
    lab.ff(*S, "run", "talks", "shop", "n=0", "--name", "old2", "-q", check=0)
    if lab.ff(*S, "monitor", "stats", "old2", "--once", check=0).stdout: fail("the events of a run that was removed are those of the next of its name")
    lab.ff(*S, "runs", "delete", "old2", check=0)
    lab.ff(*S, "run", "talks", "shop", "n=0", "--name", "stays", "-q", check=0)
    lab.ff(*S, "store", "verify", check=0)
    for args in ((), ("--action", "store."), ("--action", "run.clean", "-n", "1"), ("--who", "owner"), ("--who", "nobody"), ("--namespace", "default")):
        compare(lab, server, " ".join(("audit", *args)))
        compare(lab, server, " ".join(("--json audit", *args)), ("stdout", "returncode"))
    seen = {e["action"] for e in lab.json("audit", "--who", "owner", "-n", "1000")["entries"]}
    if not {"store.gc", "store.verify", "run.clean"} <= seen: fail(f"audit: {seen}")
    operator = lab.ff("token", "create", "--role", "operator", "-q", check=0).stdout.strip()
    admin = lab.ff("token", "create", "--role", "admin", "--namespace", "team-b", "-q", check=0).stdout.strip()
    for command, codes in (("store gc", (5, 5)), ("store verify", (5, 5)), ("audit", (5, 5)), ("clean --older-than 0s", (5, 0))):
        for token, code in zip((operator, admin), codes):
            p = lab.ff(*S, *command.split(), env={"FF_SERVER_TOKEN": token})
            if p.returncode != code: fail(f"{command}: {p.returncode}, wanted {code}: {p.stderr}")
    if not runs_of(lab, "stays"): fail("an admin of another namespace removes runs of this one")
    if not [e for e in lab.json("audit", "--action", "store.gc")["entries"] if e["outcome"] == "denied"]: fail("what was refused is not in the audit log")


def until(what, test, seconds=60):
    end = time.time() + seconds
    while not (x := test()):
        if time.time() > end: fail(f"{what} does not come")
        time.sleep(0.05)
    return x


def runs_of(lab, name=None):
    return [r for r in lab.json("runs", "list", "-n", "1000")["runs"] if not name or r["run_id"] == name]


def check_signals(lab, server):
    for sig, code, status in ((signal.SIGINT, 4, "CANCELLED"), (signal.SIGTERM, 143, "RUNNING")):
        name = f"left-{code}"
        p = lab.popen("--server", server.url, "run", "waits", "shop", "--name", name, "-q")
        until(name, lambda: runs_of(lab, name))
        p.send_signal(sig)
        if p.wait(60) != code: fail(f"{sig}: exit {p.returncode}")
        if runs_of(lab, name)[0]["status"] != status: fail(f"{sig}: {runs_of(lab, name)}")


class Between(threading.Thread):
    """Passes bytes on between clients and a server, until something is done to them: each connection's bytes to the server go
    through up(), those back through down(), which may raise OSError to cut it off."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.to, self.up, self.down = port, lambda d: None, lambda d: None
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.start()

    def run(self):
        while True:
            a, _ = self.listener.accept()
            try: b = socket.create_connection(("127.0.0.1", self.to), 5)
            except OSError:
                a.close()
                continue
            for x, y, which in ((a, b, "up"), (b, a, "down")):
                threading.Thread(target=self.carry, args=(x, y, which), daemon=True).start()

    def carry(self, x, y, which):
        try:
            while d := x.recv(65536):
                getattr(self, which)(d)
                y.sendall(d)
        except OSError: pass
        for s in (x, y):
            try:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)) # as the kernel does for a process that is killed
                s.shutdown(socket.SHUT_RDWR)
                s.close()
            except OSError: pass


def check_faults(lab, server):
    big = lab.target({"a.py": "eval(input())\n"}, "big")
    (big / "b.bin").write_bytes(os.urandom(12 << 20))
    between = Between(server.port)
    S = ("--server", between.url)
    state = {"bytes": 0, "servers": 1}

    def again():
        state["server"].p.kill()
        state["server"].p.wait()
        for attempt in range(20): # its port may be taken for a moment, by a connection from here
            try:
                state["server"] = Server(lab, state["server"].port)
                return
            except SystemExit: time.sleep(0.5)
        os._exit(1)

    state["server"] = server

    def up(d):  # in the middle of the upload
        state["bytes"] += len(d)
        if state["bytes"] > 4 << 20 and between.up is up:
            between.up = lambda d: None
            again()
            raise OSError
    between.up = up
    lab.ff(*S, "run", "security_assessment", "big", "--name", "upload", "-q", check=0, timeout=120)
    if between.up is up or len(runs_of(lab, "upload")) != 1: fail(f"a server that is killed during an upload: {runs_of(lab, 'upload')}")

    state["bytes"] = 0
    between.up = up
    ref = lab.ff(*S, "store", "put", "big/b.bin", check=0, timeout=120).stdout.strip()
    lab.ff("store", "get", ref, "-o", "back", check=0)
    if between.up is up or (lab.dir / "back").read_bytes() != (big / "b.bin").read_bytes(): fail("a server that is killed while an object is put")
    state["bytes"] = 0
    between.up = up
    last = state["server"]
    lab.ff(*S, "store", "put", "-", inp="x" * (12 << 20), check=5, timeout=60) # what a pipe gave is gone
    until("the server", lambda: state["server"] is not last) # which is not waited for

    def down(d):  # the run was started, and nobody was told
        if b"submitted successfully" in d and between.down is down:
            between.down = lambda d: None
            again()
            raise OSError
    between.down = down
    lab.ff(*S, "run", "security_assessment", "shop", "--name", "answer", "-q", check=0, timeout=120)
    if between.down is down or len(runs_of(lab, "answer")) != 1: fail(f"a server that is killed before it answers: {runs_of(lab, 'answer')}")

    seen = []

    def events(d):  # while it is followed
        seen.append(d)
        if b"event: finding" in d and len(seen) and between.down is events:
            between.down = lambda d: None
            again()
            raise OSError
    between.down = events
    p = lab.ff(*S, "run", "talks", "shop", "n=4", "pause=0.2", "--name", "follow", "-l", check=0, timeout=120)
    if between.down is events or len(runs_of(lab, "follow")) != 1: fail(f"a server that is killed while a run is followed: {runs_of(lab, 'follow')}")
    for i in range(4):
        if f"heap overflow {i}" not in p.stdout + p.stderr: fail(f"finding {i} was not told: {p.stderr}")

    # Gone for good.
    p = lab.popen(*S, "run", "waits", "shop", "--name", "gone", stderr=subprocess.PIPE, env={"FF_SERVER_RETRY": "1s"})
    until("the run", lambda: runs_of(lab, "gone"))
    server = state["server"]
    server.p.kill()
    server.p.wait()
    text = p.communicate(timeout=60)[1].decode()
    if p.returncode != 5 or "runs wait gone" not in text or len(text.strip().splitlines()) > 3: fail(f"gone: {p.returncode} {text}")
    before = time.monotonic()
    lab.ff(*S, "run", "waits", "shop", check=5)
    if time.monotonic() - before > 20: fail("a server that is not there is waited for")


def get(server, path):
    q = urllib.request.Request(server.url + path, headers={"Authorization": "Bearer " + server.token})
    with urllib.request.urlopen(q, timeout=30) as r: return json.load(r)


def trial(lab, *words, env=None, code=None):
    """What a trial says, without how long it took and how much memory."""
    p = lab.ff(*words, env=env, timeout=120)
    out = re.sub(r"(success|partial|failed)(, cached)?  [\d.]+ m?s", r"\1\2  TIME", p.stdout)
    out = re.sub(r'"(duration_ms|memory_peak_bytes)": \d+', r'"\1": N', out)
    err = "\n".join(sorted(x for x in p.stderr.splitlines() if "(stderr)" not in x)) # which comes when it does, or at the end if it failed
    if code is not None and p.returncode != code: fail(f"{words}: exit {p.returncode}, wanted {code}: {p.stderr}")
    return out, err, p.returncode


def check_modules(lab, server):
    """One module alone: the same here and there, and nothing stays."""
    S = ("--server", server.url)
    before = len(runs_of(lab))
    for command in ("tries shop n=4", "tries shop/a.py", "tries odd.tgz", "tries bare.git", "tries shop fail=true", "tries shop die=3", "tries shop status=partial", "tries - n=1",
                    "tries shop pause=20 -t 1s", "tries shop --isolation isolated -t 30s --memory 512M --disk 1G", "tries shop --network loopback", "tries shop --isolation none",
                    "tries shop --network everything", "tries shop -t never", "tries nowhere", "tries shop x", "nosuch shop", "security_analyzer shop", "security_analyzer -",
                    "security_analyzer shop check_secret=true", "security_analyzer shop check_secrets=5", "secret_detection odd", "fuzz_targets shop", "nomodule shop"):
        for json_flag in ((), ("--json",)):
            a, b = (trial(lab, *json_flag, *where, "module", "run", *words(command)) for where in ((), S))
            if a != b: fail(f"module run {command}: {a} here, {b} there")
    lab.target({"x_fuzzer.c": "int LLVMFuzzerTestOneInput(const unsigned char *d, unsigned long n) { return 0; }\n"}, "harness")
    for command in ("fuzz list harness", "fuzz list nowhere", "fuzz list shop", "fuzz run", "fuzz reproduce shop/a.py", "fuzz triage -b nowhere shop/a.py", "fuzz build harness -e nosuch"):
        compare(lab, server, command)
    if len(runs_of(lab)) != before: fail("module run leaves runs on the server")
    for where in ((), S):
        lab.ff(*where, "module", "run", "tries", "shop", "--artifacts", f"files{len(where)}", check=0)
        lab.ff(*where, "module", "run", "tries", "shop", "fail=true", "--artifacts", f"files{len(where)}/failed", check=3)
    if subprocess.run(["diff", "-r", "files0", "files2"], cwd=lab.dir).returncode or not (lab.dir / "files2" / "b.txt").stat().st_size: fail("artifacts of a module")
    p = lab.popen(*S, "module", "run", "tries", "shop", "pause=60", stdout=subprocess.PIPE)
    until("the module", lambda: runs_of(lab)[0]["status"] == "RUNNING" and runs_of(lab)[0]["workflow"] == "module_run")
    p.send_signal(signal.SIGINT)
    out = p.communicate(timeout=60)[0].decode()
    if p.returncode != 4 or "interrupted" not in out or len(runs_of(lab)) != before: fail(f"Ctrl-C: {p.returncode} {out}")
    # What a module has left that failed is of the run, as what others have left.
    lab.ff(*S, "run", "fails", "shop", "--name", "fails", "-q", check=3)
    left = get(server, "/runs/fails/artifacts")["artifacts"]
    if [(x["name"], x["module"], x["bytes"]) for x in left] != [("b.txt", "tries", 1280000), ("a.bin", "tries", 1280000), ("none", "tries", 0)]: fail(f"artifacts of a failed run: {left}")
    lab.ff(*S, "store", "get", left[0]["ref"], "-o", "back", check=0)
    q = urllib.request.Request(server.url + "/runs/fails?wait=false", method="DELETE", headers={"Authorization": "Bearer " + server.token})
    urllib.request.urlopen(q, timeout=30).read()
    if runs_of(lab, "fails"): fail("DELETE with wait=false")
    # Who may, and what: a tenant has modules of the server run over what he sends, and names no path of it.
    viewer, operator = (lab.ff("token", "create", "--role", r, "--namespace", "team-m", "-q", check=0).stdout.strip() for r in ("viewer", "operator"))
    if "rights" not in trial(lab, *S, "module", "run", "tries", "shop", env={"FF_SERVER_TOKEN": viewer}, code=5)[1]: fail("a viewer runs a module")
    if trial(lab, *S, "module", "run", "tries", "shop", env={"FF_SERVER_TOKEN": operator}, code=0)[0] != trial(lab, "module", "run", "tries", "shop", code=0)[0]:
        fail("a tenant's module")

    def post(token, body):
        q = urllib.request.Request(server.url + "/modules/tries/run", json.dumps(body).encode(),
                                   {"Authorization": "Bearer " + token, "Content-Type": "application/json"})
        try: return urllib.request.urlopen(q, timeout=30).status
        except urllib.error.HTTPError as e: return e.code

    kept = lab.json("run", "security_assessment", "shop", "-q")
    ref = kept["result"]["sarif"]["ref"]
    for body, code in (({"target_path": "/etc"}, 403), ({"target_path": f"file://{lab.dir}/bare.git"}, 403), ({"input": {"x": {"ref": ref}}}, 404), ({"input": []}, 422), ({"x": 1}, 422)):
        if (got := post(operator, body)) != code: fail(f"a tenant's {body}: {got}, wanted {code}")
    if post(server.token, {"input": {"x": {"ref": ref}}, "name": "kept"}) != 200: fail("the own object")
    lab.ff("runs", "wait", "kept", "-q", check=0)
    lab.ff("runs", "delete", "kept", check=0)
    audit = [(e["subject"], e["outcome"]) for e in lab.json("audit", "--action", "run.submit", "-n", "200")["entries"]]
    if ("tries", "allowed") not in audit or "denied" not in [x[1] for x in audit]: fail(f"audit: {audit}")


def make_local(lab):
    """What commands look at that need nothing of a server."""
    (lab.dir / "report.txt").write_text(REPORT)
    for name, more in (("needs", "required_modules: [talk, nosuch]\n"), ("tested", "")):
        d = lab.dir / "box" / "workflows" / name
        d.mkdir(parents=True)
        (d / "metadata.yaml").write_text(f'name: {name}\nversion: "1.0.0"\nvertical: python\ndescription: "{name}"\n' + more)
        (d / "workflow.lua").write_text("return function(input) return {summary = {n = 1}} end")
        (d / "test.yaml").write_text("- name: it ends\n  expect: {status: COMPLETED, summary: {n: 1}}\n")


def main():
    with Lab() as lab:
        lab.module("talk", TALK)
        lab.module("tries", TRIES)
        with open(lab.toolbox() / "modules" / "tries" / "module.yaml", "a") as f: f.write("requires_workspace: false\n")
        (lab.toolbox() / "modules" / "nomodule").mkdir()
        (lab.toolbox() / "modules" / "nomodule" / "module.yaml").write_text("name: nomodule\n")
        lab.workflow("talks", WORKFLOW, PARAMETERS)
        lab.workflow("waits", WAITS)
        lab.workflow("fails", 'return function(input) return ff.activity("tries", {fail = true}, {retry = {max = 2, initial = "10ms"}}) end')
        lab.target(SHOP, "shop")
        make_local(lab)
        lab.env["FF_TOOLBOX"] = str(lab.toolbox())
        server = Server(lab)
        check_reading(lab, server)
        check_tokens(lab, server)
        check_doctor(lab, server)
        check_monitor(lab, server)
        check_listening(lab, server)
        check_suppress(lab, server)
        check_store(lab, server)
        check_admin(lab, server)
        check_runs(lab, server)
        check_modules(lab, server)
        check_signals(lab, server)
        check_house(lab, server)
        check_places(lab, server)
        check_backup(lab, server)
        check_faults(lab, server)
        check_hostile(lab)
    ok("the same through a server")


main()
