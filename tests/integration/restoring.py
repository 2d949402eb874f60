#!/usr/bin/env python3
# A backup that is sent to a server takes the place of its state: wholly or not at all, where the server was started to allow it.
import hashlib, io, os, pathlib, signal, socket, sqlite3, subprocess, sys, tarfile, threading, time, urllib.error, urllib.request
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from accept import *

STEP = '''
import sys, json, time
req = json.loads(sys.stdin.readline())
if req["input"]["n"] == 2: time.sleep(1)
print(json.dumps({"type": "result", "status": "success", "summary": {"n": req["input"]["n"]}}))
'''
LUA = '''return function(input)
  local sum = 0
  local function step(n) sum = sum + ff.activity("step", {n = n}, {timeout = "60s", retry = {max = 20, initial = "50ms"}}).summary.n end
  step(1) step(2)
  if input.parameters.wait then ff.wait_signal("go") end
  step(3)
  return {summary = {sum = sum}}
end'''
META = "parameters:\n  type: object\n  properties:\n    wait: {type: boolean}\n"
MARKS = ("restoring", "restore.ready", "restore.moving")


class Server:
    """`ff serve`; its socket may be handed to it, as systemd does, and what it tells a service manager is heard."""

    def __init__(self, lab, *args, listen="127.0.0.1:0", env=None, handed=None):
        words = [lab.exe, "--json", "--state", lab.state, "--toolbox", lab.toolbox(), "serve", *(["--listen", listen] if listen else []), *args]
        if handed: # as sd_listen_fds() wants it
            words = ["sh", "-c", f'exec 3<&{handed.fileno()}; LISTEN_FDS=1 LISTEN_PID=$$ exec "$@"', "sh", *words]
        self.log = lab.dir / "serve.log"
        self.p = subprocess.Popen([str(w) for w in words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=open(self.log, "ab"), cwd=lab.dir,
                                  env={**lab.env, **(env or {})}, pass_fds=[handed.fileno()] if handed else [])
        lab.procs.append(self.p)
        text = b""
        while not text.rstrip().endswith(b"}"):
            text += self.p.stdout.readline() or fail(f"ff serve does not start: {self.log.read_text()[-300:]}")
        self.url = json.loads(text)["rest"]
        self.port = int(self.url.rsplit(":", 1)[1])
        self.lab, self.token = lab, (lab.state / "token").read_text().strip()

    def ff(self, *args, token=None, **kw):
        return self.lab.ff("--server", self.url, *args, env={"FF_SERVER_TOKEN": token or self.token}, **kw)

    def json(self, *args, **kw):
        p = self.ff("--json", *args, **kw)
        return json.loads(p.stdout)

    def runs(self):
        return {r["run_id"]: r["status"] for r in self.json("runs", "list")["runs"]}

    def peak_kb(self):
        for line in open(f"/proc/{self.p.pid}/status"):
            if line.startswith("VmHWM"): return int(line.split()[1])

    def end(self, how=signal.SIGTERM):
        self.p.send_signal(how)
        if self.p.wait(timeout=60) != (0 if how == signal.SIGTERM else -how): fail(f"ff serve ends with {self.p.returncode}")


def until(what, f):
    for _ in range(600):
        if f(): return
        time.sleep(0.1)
    fail(f"it does not come to be: {what}")


def left(lab):
    return sorted(m for m in MARKS if (lab.state / m).exists())


def check_off(lab, file):
    """Nobody may, unless the one who starts the server says so; what a file or a variable says does not count."""
    (lab.state / "config.yaml").write_text("server:\n  restore: true\n")
    s = Server(lab, env={"FF_SERVER_RESTORE": "true", "FF_ALLOW_RESTORE": "true"})
    before = set(s.runs())
    e = s.json("restore", file, "--replace")["error"]
    if e["code"] != "PERMISSION" or "--allow-restore" not in e["hint"]: fail(f"switched off: {e}")
    c = socket.create_connection(("127.0.0.1", s.port)) # told before it is sent
    c.sendall(f"POST /restore?replace=true HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {s.token}\r\nContent-Type: application/octet-stream\r\n"
              f"Content-Length: {1 << 40}\r\n\r\n".encode())
    if not c.recv(100).startswith(b"HTTP/1.1 403 "): fail("it is not told before all has been sent")
    c.close()
    if set(s.runs()) != before or left(lab): fail("a refused restore changes something")
    if [x["outcome"] for x in s.json("audit", "--action", "state.restore")["entries"]] != ["denied"] * 2: fail("the audit log")
    s.end()
    (lab.state / "config.yaml").unlink()


def check_who(lab, s, file):
    """Admins of all namespaces, by a token, with --replace."""
    make = lambda *args: lab.ff("token", "create", *args, "-q", check=0).stdout.strip()
    for token in (make("--role", "viewer"), make("--role", "operator"), make("--role", "admin", "--namespace", "team-b")):
        p = s.ff("restore", file, "--replace", token=token)
        if p.returncode != 5 or "token" not in p.stderr: fail(f"{p.returncode} {p.stderr}")
    p = s.ff("restore", file)
    if p.returncode != 2 or "holds a state already" not in p.stderr or "--replace" not in p.stderr: fail(f"without --replace: {p.returncode} {p.stderr}")
    if s.ff("restore", "nosuch", "--replace").returncode != lab.ff("restore", "nosuch", "--replace").returncode: fail("a file that is not there")
    try: fail(urllib.request.urlopen(urllib.request.Request(s.url + "/restore?replace=true", b"x", {"Content-Type": "application/octet-stream"})).status)
    except urllib.error.HTTPError as e:
        if e.code != 401: fail(f"without a token: {e.code}")


def rewritten(lab, good, newer):
    """A whole backup whose database is of a program to come, or none."""
    d = lab.dir / "unpacked"
    d.mkdir()
    subprocess.run(["tar", "--zstd", "-xf", "-"], input=good, cwd=d, check=True)
    names = [line.split("  ", 1)[1] for line in (d / "SHA256SUMS").read_text().splitlines() if "store/files" not in line]
    if newer:
        db = sqlite3.connect(d / newer)
        db.execute("PRAGMA journal_mode = DELETE")
        db.execute("PRAGMA user_version = 99")
        db.close()
    else: (d / "events.db").write_bytes(b"x" * 8192)
    (d / "SHA256SUMS").write_text("".join(f"{hashlib.sha256((d / n).read_bytes()).hexdigest()}  {n}\n" for n in names))
    out = subprocess.run(["tar", "--format=pax", "-cf", "-", *names, "SHA256SUMS"], cwd=d, check=True, capture_output=True).stdout
    shutil.rmtree(d)
    return out


def check_bad(lab, s, good):
    """What is no whole backup changes nothing, in little memory, and is told as it is here."""
    before, peak = set(s.runs()), s.peak_kb()
    flipped = good[:-5000] + bytes([good[-5000] ^ 1]) + good[-4999:]
    link = io.BytesIO()
    with tarfile.open(fileobj=link, mode="w") as t:
        info = tarfile.TarInfo("backup.json")
        about = b'{"kind": "fuzzforge-backup", "format": 1}'
        info.size = len(about)
        t.addfile(info, io.BytesIO(about))
        info = tarfile.TarInfo("token")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
        t.addfile(info)
    for name, data in (("newer", rewritten(lab, good, "state.db")), ("newer tokens", rewritten(lab, good, "access.db")), ("no database", rewritten(lab, good, None)), ("flipped", flipped), ("cut", good[:len(good) // 2]), ("shorter", good[:-1]), ("text", b"hello\n" * 1000), ("none", b""), ("link", link.getvalue()),
                       ("future", link.getvalue().replace(b'"format": 1', b'"format": 9'))):
        (lab.dir / name).write_bytes(data)
        there = s.json("restore", name, "--replace")["error"]
        state, lab.state = lab.state, lab.dir / "elsewhere"
        here = lab.json("restore", name, "--replace")["error"]
        lab.state = state
        if there != here: fail(f"{name}: {there}, and here {here}")
        if name.startswith("newer") and "newer ff" not in here["hint"]: fail(f"{name}: {here}")
    if set(s.runs()) != before or left(lab) or s.p.poll() is not None: fail("a bad backup changes something")
    if s.peak_kb() - peak > 48 << 10: fail(f"{len(good) >> 20} MiB cost the server {s.peak_kb() - peak} KiB")
    # A client that leaves in the middle.
    c = socket.create_connection(("127.0.0.1", s.port))
    c.sendall(f"POST /restore?replace=true HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {s.token}\r\nContent-Type: application/octet-stream\r\n"
              f"Content-Length: {len(good)}\r\n\r\n".encode() + good[:len(good) // 2])
    c.close()
    time.sleep(1)
    if set(s.runs()) != before or left(lab): fail("half a backup changes something")


def check_others(lab, s, file):
    """Who else uses the state would go on with what he knows of the old one."""
    w = lab.popen("--toolbox", lab.toolbox(), "worker", "--vertical", "web")
    until("a worker", lambda: len(lab.json("workers", "list")["workers"]) > 1)
    before = set(s.runs())
    p = s.ff("restore", file, "--replace")
    if p.returncode != 5 or "workers stop" not in p.stderr: fail(f"beside a worker: {p.returncode} {p.stderr}")
    if set(s.runs()) != before or left(lab): fail("it changes something")
    w.terminate()
    w.wait()
    until("no worker", lambda: len(lab.json("workers", "list")["workers"]) == 1)
    # One that comes while the backup is being checked.
    p = subprocess.Popen([lab.exe, "--server", s.url, "restore", file, "--replace"], env={**lab.env, "FF_SERVER_TOKEN": s.token}, stdout=subprocess.DEVNULL,
                         stderr=subprocess.PIPE, text=True)
    while not left(lab) and p.poll() is None: pass
    g = lab.popen("runs", "wait", "waits1")
    err = p.communicate()[1]
    if p.returncode != 5 or "other processes" not in err: fail(f"beside a command: {p.returncode} {err}")
    if set(s.runs()) != before or left(lab): fail("it changes something")
    g.kill()
    g.wait()


def check_restore(lab, s, file, wanted):
    """The same process, at the same socket, which nobody finds closed; runs of the backup go on."""
    s.ff("run", "steps", "shop", "--name", "newer", "-q", check=0)
    newer = lab.ff("token", "create", "--role", "admin", "--namespace", "*", "--name", "newer", "-q", check=0).stdout.strip()
    pid, over, tried, refused = s.p.pid, threading.Event(), [0], []

    def knock():
        while not over.is_set():
            try: socket.create_connection(("127.0.0.1", s.port), timeout=60).close()
            except OSError as e: refused.append(e)
            tried[0] += 1
            time.sleep(0.005)

    t = threading.Thread(target=knock)
    t.start()
    there = s.ff("restore", file, "--replace", token=newer)
    over.set()
    t.join()
    if there.returncode or refused or tried[0] < 20: fail(f"restore: {there.returncode} {there.stderr} {refused[:1]} of {tried[0]}")
    state, lab.state = lab.state, lab.dir / "copy"
    if lab.ff("restore", file, check=0).stdout != there.stdout: fail(f"it says {there.stdout}")
    lab.state = state
    if s.p.poll() is not None or s.p.pid != pid or left(lab): fail(f"the process: {s.p.returncode}, left {left(lab)}")
    runs = s.runs()
    if set(runs) != set(wanted) or "newer" in runs: fail(f"it has {runs}")
    if s.ff("runs", "list", token=newer).returncode != 5: fail("a token that is not in the backup counts")
    if "newer" not in [e["who"]["name"] for e in s.json("audit", "--action", "state.restore")["entries"] if e["outcome"] == "allowed"]:
        fail("who asked is not in the audit log that came")
    for run in [r for r, status in wanted.items() if status == "RUNNING"]:
        s.ff("runs", "signal", run, "go")
        doc = s.json("runs", "wait", run, timeout=120)
        if doc["status"] != "COMPLETED" or doc["result"]["summary"]["sum"] != 6: fail(f"{run}: {doc}")
    if s.json("store", "verify")["missing"]: fail("objects are missing")


def check_killed(lab, file):
    """kill -9 at any moment: what was, or what comes, and the next server goes on with it by itself."""
    seen = set()
    for i, mark in enumerate([*MARKS, *MARKS, *[None] * 8]):
        s = Server(lab, "--allow-restore")
        s.ff("run", "steps", "shop", "--name", f"old{i}", "-q", check=0)
        for k in range(3000): # takes a while to go
            (lab.state / "cache" / f"x{k % 10}").mkdir(exist_ok=True, parents=True)
            (lab.state / "cache" / f"x{k % 10}" / str(k)).touch()
        p = subprocess.Popen([lab.exe, "--server", s.url, "restore", str(file), "--replace"], env={**lab.env, "FF_SERVER_TOKEN": s.token},
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if mark:
            path = str(lab.state / mark)
            while not os.path.exists(path) and p.poll() is None: pass
        else:
            time.sleep(0.25 * (i - 5))
        s.end(signal.SIGKILL)
        seen |= set(left(lab))
        port = s.port
        ready = bool(set(left(lab)) & set(MARKS[1:]))
        if ready and lab.ff("runs", "list").returncode != 2: fail("half a state is opened")
        s = Server(lab, "--allow-restore", listen=f"127.0.0.1:{port}") # the client may be waiting for it
        out, err = p.communicate(timeout=240)
        old = f"old{i}" in s.runs()
        if left(lab) or (ready and old) or (p.returncode == 0 and old): fail(f"{mark} {i}: old {old}, ready {ready}, the client {p.returncode} {err}, left {left(lab)}")
        if p.returncode not in (0, 5): fail(f"the client ends with {p.returncode} {err}")
        if "done" not in s.runs() or s.json("store", "verify")["missing"]: fail("the state is not whole")
        audit = [e["subject"] for e in s.json("audit", "--action", "state.restore")["entries"]]
        if not old and not audit: fail("the audit log does not have it")
        s.end()
    if "restoring" not in seen or "restore.ready" not in seen: fail(f"only {seen} was met")


def check_stopped(lab, file):
    """Who is told to end meanwhile ends."""
    s = Server(lab, "--allow-restore")
    p = subprocess.Popen([lab.exe, "--server", s.url, "restore", str(file), "--replace"], env={**lab.env, "FF_SERVER_TOKEN": s.token}, stderr=subprocess.DEVNULL)
    while not left(lab) and p.poll() is None: pass
    s.end()
    p.kill()
    p.wait()
    s = Server(lab)
    if "done" not in s.runs() or left(lab): fail("the state is not whole")
    s.end()


def check_managed(lab, file):
    """A service manager hears of it, and its socket is used on, with TLS."""
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-keyout", "key.pem", "-out", "cert.pem",
                    "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"], cwd=lab.dir, check=True, capture_output=True)
    told, heard = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM), []
    told.bind(str(lab.dir / "notify"))

    def hear():
        while (text := told.recv(100).decode()) != "over": heard.append(text)

    hears = threading.Thread(target=hear)
    hears.start()
    handed = socket.socket()
    handed.bind(("127.0.0.1", 0))
    handed.listen(100)
    s = Server(lab, "--allow-restore", "--tls-cert", "cert.pem", "--tls-key", "key.pem", "--log-file", "own.log", listen=None, handed=handed,
               env={"NOTIFY_SOCKET": str(lab.dir / "notify"), "WATCHDOG_USEC": "2000000"})
    if s.port != handed.getsockname()[1]: fail("another socket")
    for i in range(2): # and again
        s.ff("run", "steps", "shop", "--name", "gone", "--ca-file", "cert.pem", "-q", check=0)
        s.ff("restore", file, "--replace", "--ca-file", "cert.pem", check=0)
        if "gone" in s.ff("runs", "list", "--ca-file", "cert.pem", check=0).stdout: fail("the state is the old one")
    s.end()
    socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b"over", str(lab.dir / "notify"))
    hears.join()
    if (lab.dir / "own.log").read_text().count("begins again with it") != 2: fail("the log is not gone on with")
    if [h for h in heard if h != "WATCHDOG=1"] != ["READY=1", "RELOADING=1", "READY=1", "RELOADING=1", "READY=1", "STOPPING=1"]: fail(f"it heard {heard}")


with Lab() as lab:
    lab.module("step", STEP)
    lab.workflow("steps", LUA, META)
    lab.target({"a.py": 'import os\npassword = "hunter2secret99"\n'}, "shop")
    lab.env["FF_TOOLBOX"] = str(lab.toolbox())
    s = Server(lab)
    (lab.dir / "bytes").write_bytes(os.urandom(80 << 20))
    s.ff("store", "put", "bytes", check=0)
    s.ff("run", "steps", "shop", "--name", "done", "-q", check=0)
    for n in ("waits1", "waits2"): s.ff("run", "steps", "shop", "wait=true", "-d", "--name", n, check=0)
    s.ff("run", "steps", "shop", "-d", "--name", "under-way", check=0)
    wanted = s.runs()
    file = lab.dir / "backup.tar.zst"
    s.ff("backup", file, check=0)
    if list(wanted.values()).count("RUNNING") != 3: fail(f"under way: {wanted}")
    s.end()
    check_off(lab, file)
    s = Server(lab, "--allow-restore")
    check_who(lab, s, file)
    check_bad(lab, s, file.read_bytes())
    check_others(lab, s, file)
    check_restore(lab, s, file, wanted)
    s.end()
    # Of what is small, so that all moments are short.
    s = Server(lab)
    small = lab.dir / "small.tar.zst"
    s.ff("backup", small, check=0)
    s.end()
    check_killed(lab, small)
    check_stopped(lab, small)
    check_managed(lab, small)
    ok("a state sent to a server: whole or not at all, allowed or not at all, over kill -9; runs of it go on")
