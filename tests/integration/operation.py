#!/usr/bin/env python3
# A server as its operators have it: the watchdog's signs of life stop where a part hangs, and the log holds up nobody, whatever
# becomes of where it goes.
import concurrent.futures, ctypes, http.client, os, pathlib, signal, socket, sqlite3, sys, time
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from accept import *

WATCHDOG_S = 1.0
SEIZE, INTERRUPT, DETACH, WALL = 0x4206, 0x4207, 17, 0x40000000


class Server:
    def __init__(self, lab, *args, env={}, **kw):
        kw.setdefault("stderr", open(lab.dir / "serve.log", "ab"))
        self.p = lab.popen("--toolbox", lab.toolbox(), "--json", "serve", "--listen", "127.0.0.1:0", "--insecure-loopback", *args,
                           stdout=subprocess.PIPE, env=env, **kw)
        text = b""
        while not text.endswith(b"\n}\n"):
            line = self.p.stdout.readline()
            if not line: fail(f"serve did not start: {text}")
            text += line
        self.doc = json.loads(text)
        self.port = int(self.doc["rest"].rsplit(":", 1)[1])
        self.conn = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)

    def get(self, path, conn=None):
        c = conn or self.conn
        c.request("GET", path)
        r = c.getresponse()
        return r.status, r.read()

    def put(self):
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        c.request("POST", "/store", os.urandom(100), {"Content-Type": "application/octet-stream"})
        return c.getresponse().status

    def comm(self, tid):
        try: return pathlib.Path(f"/proc/{self.p.pid}/task/{tid}/comm").read_text().strip()
        except OSError: return ""  # it has ended

    def thread(self, name):
        for _ in range(200):  # one that has just begun has its creator's name until it runs
            names = {t: self.comm(t) for t in os.listdir(f"/proc/{self.p.pid}/task")}
            for tid, has in names.items():
                if has == name: return int(tid)
            time.sleep(0.05)
        fail(f"no thread '{name}' in {names}")

    def stop(self):
        self.p.terminate()
        if self.p.wait(timeout=60) != 0: fail("serve ended badly")


class Stopped:
    """One thread of a process stands still; the others go on."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]

    def __init__(self, tid): self.tid = tid

    def ptrace(self, what):
        if self.libc.ptrace(what, self.tid, None, None) != 0: fail(f"ptrace {what:#x}: {os.strerror(ctypes.get_errno())}")

    def __enter__(self):
        self.ptrace(SEIZE)
        self.ptrace(INTERRUPT)
        os.waitpid(self.tid, WALL)

    def __exit__(self, *a): self.ptrace(DETACH)


class Signs:
    """What a service manager hears."""

    def __init__(self, lab):
        self.path = lab.dir / "notify"
        self.s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.s.bind(str(self.path))
        self.env = {"NOTIFY_SOCKET": str(self.path), "WATCHDOG_USEC": str(int(WATCHDOG_S * 1e6))}

    def wait(self):
        self.s.settimeout(60)
        while self.s.recv(100) != b"WATCHDOG=1": pass

    def heard(self, seconds):
        end, n = time.monotonic() + seconds, 0
        while (left := end - time.monotonic()) > 0:
            self.s.settimeout(left)
            try: n += self.s.recv(100) == b"WATCHDOG=1"
            except TimeoutError: pass
        return n

    def none_while(self, what, hang):
        with hang:
            self.heard(WATCHDOG_S)  # what it had said before, and until it has noticed
            if n := self.heard(3 * WATCHDOG_S): fail(f"{what} hangs, and there are {n} signs of life")
        self.wait()
        self.wait()


class Held:
    """Another process is in the middle of a write to the store, so that every commit waits; and one is begun."""

    def __init__(self, lab, server, puts):
        self.db, self.server, self.puts = sqlite3.connect(lab.state / "store/index.db", isolation_level=None), server, puts

    def __enter__(self):
        self.db.execute("BEGIN IMMEDIATE")
        self.pool = concurrent.futures.ThreadPoolExecutor(self.puts)
        self.waiting = [self.pool.submit(self.server.put) for _ in range(self.puts)]
        return self

    def __exit__(self, *a):
        self.db.execute("ROLLBACK")
        if {f.result() for f in self.waiting} != {200}: fail(f"put: {[f.result() for f in self.waiting]}")


def watchdog(lab):
    signs = Signs(lab)
    s = Server(lab, env=signs.env)
    if s.put() != 200: fail("put")
    signs.wait()
    signs.none_while("the engine", Stopped(s.thread("engine")))
    signs.none_while("HTTP", Stopped(s.thread("MHD-single")))
    signs.none_while("the store", Held(lab, s, 1))
    s.get("/health/live")
    asked = [l.split()[-1] for l in s.get("/metrics")[1].decode().splitlines() if "/health/live" in l and "_count" in l]
    if asked != ["1"]: fail(f"the server's own questions are counted: {asked}")
    s.stop()
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-keyout", "k.pem", "-out", "c.pem",
                    "-subj", "/CN=localhost"], cwd=lab.dir, check=True, capture_output=True)
    s = Server(lab, "--tls-cert", lab.dir / "c.pem", "--tls-key", lab.dir / "k.pem", env=signs.env)
    signs.wait()
    for thread in ("tls", "MHD-single"): signs.none_while(f"HTTP ({thread})", Stopped(s.thread(thread)))
    s.stop()


def asked_beside_others(lab):
    """Whoever looks after the server is answered also while all its callers wait for something."""
    s = Server(lab)
    if s.put() != 200: fail("put")
    with Held(lab, s, 40) as held:
        while int(next(l for l in s.get("/metrics")[1].decode().splitlines() if l.startswith("ff_http_connections ")).split()[1]) < 41: time.sleep(0.05)
        for path in ("/health/live", "/health/ready", "/metrics"):
            if s.get(path)[0] != 200: fail(path)
        if any(f.done() for f in held.waiting): fail("the health of a busy server is not told before others are served")
    s.stop()


def log_not_read(lab):
    """A pipe that nobody reads; what was lost is told when somebody does; and then its reader goes."""
    r, w = os.pipe()
    s = Server(lab, "--log-format", "json", stderr=w)
    os.close(w)
    for _ in range(8000): s.get("/health/live")
    text = b""
    while b"lines of the log were lost" not in text: text += os.read(r, 65536)
    for line in text.splitlines()[:-1]: json.loads(line)
    os.close(r)
    for _ in range(500): s.get("/health/live")
    s.stop()


def told(file, text):
    for _ in range(600):
        if file.exists() and text in file.read_text(): return
        time.sleep(0.05)
    fail(f"{file.name} does not say '{text}'")


def told_early(lab):
    """A SIGHUP that comes before the settings can be read again does not end the server: they are, when they can."""
    log = lab.dir / "early.log"
    os.mkfifo(log)
    p = subprocess.Popen([lab.exe, "--state", str(lab.state), "serve", "--listen", "none", "--log-file", str(log)], env=lab.env, stdin=subprocess.DEVNULL,
                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    lab.procs.append(p)
    flags = hex(os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOCTTY | os.O_CLOEXEC)
    while flags not in pathlib.Path(f"/proc/{p.pid}/syscall").read_text().split(): # it opens its log, which takes until somebody reads that
        if p.poll() is not None: fail(f"a server with a log that nobody reads: {p.returncode}")
        time.sleep(0.01)
    p.send_signal(signal.SIGHUP)
    with open(log, "rb") as f:
        if not any(b"read again" in line for line in f): fail("a SIGHUP that came early is not obeyed")
        p.terminate()
        f.read()
    if p.wait() != 0: fail(f"a server that was told early: {p.returncode}")


def log_rotated(lab):
    """Both ways of logrotate: the file is moved and the server told; or it is copied and cut. And SIGHUPs at any time, and many."""
    log, old = lab.dir / "ff.log", lab.dir / "ff.log.1"
    s = Server(lab, "--log-format", "json", "--log-file", log)
    s.p.send_signal(signal.SIGHUP)  # it has just begun
    told(log, "read again")
    s.get("/health/live")
    told(log, "/health/live")
    log.rename(old)
    s.get("/health/ready")
    told(old, "/health/ready")
    s.p.send_signal(signal.SIGHUP)
    told(log, "read again")
    before = old.read_text()
    s.get("/workers")
    told(log, "/workers")
    if old.read_text() != before: fail("the old file is still written")
    os.truncate(log, 0)
    s.get("/status")
    told(log, "/status")
    for line in log.read_text().splitlines() + old.read_text().splitlines(): json.loads(line)
    log.unlink()
    log.mkdir()  # it cannot be opened
    s.p.send_signal(signal.SIGHUP)
    time.sleep(0.2)
    log.rmdir()
    s.p.send_signal(signal.SIGHUP)
    told(log, "read again")
    for _ in range(4):
        hups = [os.fork() for _ in range(3)]
        if 0 in hups:
            for _ in range(1000): os.kill(s.p.pid, signal.SIGHUP)
            os._exit(0)
        for pid in hups: os.waitpid(pid, 0)
        s.get("/health/ready")
        while (a := calm(s)) and (time.sleep(1) or calm(s) != a): pass
    s.stop()
    with open(lab.dir / "plain.log", "wb") as f: s = Server(lab, "--log-format", "json", stderr=f)
    s.get("/status")
    told(lab.dir / "plain.log", "/status")
    os.truncate(lab.dir / "plain.log", 0)
    s.get("/workers")
    told(lab.dir / "plain.log", "/workers")
    if b"\0" in (lab.dir / "plain.log").read_bytes(): fail("a log that was cut goes on where it was")
    s.stop()
    lab.ff("server", "start", "--listen", "127.0.0.1:0", "--insecure-loopback", "--log-format", "json", "--log-file", lab.dir / "back.log", "--allow-host", "ff.example", check=0)
    c = http.client.HTTPConnection("127.0.0.1", int(lab.json("server", "status")["rest"].rsplit(":", 1)[1]), timeout=60)
    c.request("GET", "/status", headers={"Host": "ff.example"})
    if (status := c.getresponse().status) != 200: fail(f"a host that 'server start' was told of: {status}")
    told(lab.dir / "back.log", '"route":"/status"')
    lab.ff("server", "stop", check=0)


def calm(s):
    """What the process has used of the processor, in ticks."""
    f = pathlib.Path(f"/proc/{s.p.pid}/stat").read_text().rpartition(")")[2].split()
    return int(f[11]) + int(f[12])


with Lab() as lab:
    lab.workflow("nothing", "return function() return {} end")
    for check in (watchdog, asked_beside_others, log_not_read, told_early, log_rotated): check(lab)
ok("hangs are noticed, and the log holds up nobody")
