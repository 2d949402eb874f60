#!/usr/bin/env python3
# The HTTP side of 'ff serve', by a client of the standard library alone: the former service's sequence, errors, hostile input,
# events that go on over a restart, and requests that are repeated after a kill -9.
import base64, contextlib, datetime, gzip, hashlib, http.client, io, os, pathlib, pty, re, resource, select, signal, socket, struct, sys, tarfile, threading, time, urllib.parse
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from accept import *

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
TALK = '''
import sys, json, time
req = json.loads(sys.stdin.readline())
def say(**m): print(json.dumps(m), flush=True)
n = req["input"].get("n", 5)
for i in range(n):
    say(type="log", level="info", message="step %d" % i)
    say(type="stats", executions=100 * (i + 1), executions_per_sec=50.5, crashes=i, unique_crashes=min(i, 1), coverage=12.5, corpus_size=i, elapsed_time=i, last_crash_time=None)
    if i == 1:
        say(type="finding", rule_id="crash/overflow", title="heap overflow", severity="high", file="a.py", line=1, evidence={"stack": ["f a.py:1", {"function": "g", "file": "b.py", "line": 2}]})
    time.sleep(req["input"].get("pause", 0.05))
say(type="result", status="success", summary={"n": n})
'''
WORKFLOW = '''return function(input)
  local r = ff.activity("talk", {n = input.parameters.n, pause = input.parameters.pause}, {timeout = "60s", retry = {max = 3}})
  return {summary = r.summary, findings = r.findings}
end'''
WAITS = '''return function(input)
  ff.on_query("mood", function() return "waiting" end)
  local v = ff.wait_signal("go", "60s")
  return {summary = {v = v}}
end'''
NAMES = ["plain.txt", "of two words.txt", ".hidden", "ü.txt", "50%;a=b&c?.txt", "x" * 200]
LEAVE = f'''
import json, sys
sys.stdin.readline()
for i, name in enumerate({NAMES!r}):
    open("/scratch/%d" % i, "w").write("this is " + name)
    print(json.dumps(dict(type="artifact", path="/scratch/%d" % i, name=name)))
print(json.dumps(dict(type="result", status="success", summary=dict())))
'''
LEAVES = '''return function()
  ff.on_query("my mood/ü", function(v) return {v = v} end)
  ff.activity("leave", {}, {timeout = "60s", retry = {max = 1}})
  return {summary = {v = ff.wait_signal("go now/ü?", "60s")}}
end'''
MANY = '''
import json, sys
sys.stdin.readline()
for i in range(5): print(json.dumps(dict(type="finding", rule_id="x/y", title="one", severity="low", file="a.py", line=i + 1)))
print(json.dumps(dict(type="result", status="success", summary=dict())))
'''
PARAMETERS = '''tags: [fuzzing]
parameters:
  type: object
  properties:
    n: {type: integer}
    pause: {type: number}
  required: [n]
default_parameters: {n: 5, pause: 0.05}
'''


class Server:
    def __init__(self, lab, *args, port=0, host="127.0.0.1"):
        self.lab = lab
        self.p = lab.popen("--toolbox", lab.toolbox(), "--json", "serve", "--listen", f"{host}:{port}", *args, stdout=subprocess.PIPE,
                           stderr=open(lab.dir / "serve.log", "ab"))
        text = b""
        while not text.rstrip().endswith(b"}"):
            line = self.p.stdout.readline()
            if not line: fail(f"serve did not start: {(lab.dir / 'serve.log').read_text()[-300:]}")
            text += line
        self.port = int(json.loads(text)["rest"].rsplit(":", 1)[1])
        self.token = (lab.state / "token").read_text().strip()

    def ask(self, method, path, body=None, headers=None, timeout=30):
        """status, headers, body (JSON decoded where it is)"""
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        headers = dict(headers or {})
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
            headers.setdefault("Content-Type", "application/json")
        c.request(method, path, body, headers)
        r = c.getresponse()
        data = r.read()
        c.close()
        if r.getheader("Content-Encoding") == "gzip": data = gzip.decompress(data)
        if (r.getheader("Content-Type") or "").startswith("application/json"): data = json.loads(data) if data else None
        return r.status, r.headers, data

    def get(self, path, want=200, **kw):
        s, h, b = self.ask("GET", path, **kw)
        if s != want: fail(f"GET {path}: {s}, wanted {want}: {str(b)[:200]}")
        return b

    def post(self, path, body=None, want=200, **kw):
        s, h, b = self.ask("POST", path, body, **kw)
        if s != want: fail(f"POST {path}: {s}, wanted {want}: {str(b)[:200]}")
        return b

    def upload(self, workflow, data, fields=None, name="t.tar.gz", want=200, headers=None):
        boundary = "----boundary7"
        b = b""
        for k, v in (fields or {}).items():
            b += f'--{boundary}\r\nContent-Disposition: form-data; name="{k}"\r\n\r\n{v}\r\n'.encode()
        b += f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\nContent-Type: application/gzip\r\n\r\n'.encode()
        b += data + f"\r\n--{boundary}--\r\n".encode()
        return self.post(f"/workflows/{workflow}/upload-and-submit", b, want,
                         headers={"Content-Type": f"multipart/form-data; boundary={boundary}", **(headers or {})})

    def wait(self, run, seconds=60):
        end = time.time() + seconds
        while time.time() < end:
            st = self.get(f"/runs/{run}/status")
            if not st["is_running"]: return st
            time.sleep(0.05)
        fail(f"run {run} does not end")

    def raw(self, data, timeout=20, shut=False):
        s = socket.create_connection(("127.0.0.1", self.port), timeout)
        s.settimeout(timeout)
        out = b""
        try:
            s.sendall(data)
            if shut: s.shutdown(socket.SHUT_WR)
            while True:
                d = s.recv(65536)
                if not d: break
                out += d
                if shut is None and b"\r\n\r\n" in out: break
        except OSError:
            pass
        s.close()
        return out

    def rss_kb(self):
        for line in open(f"/proc/{self.p.pid}/status"):
            if line.startswith("VmRSS"): return int(line.split()[1])

    def stop(self):
        self.p.terminate()
        code = self.p.wait(timeout=60)
        if code != 0: fail(f"serve ended with {code}: {(self.lab.dir / 'serve.log').read_text()[-300:]}")


def tarball(files):
    b = io.BytesIO()
    with tarfile.open(fileobj=b, mode="w:gz") as t:
        for name, text in files.items():
            i = tarfile.TarInfo(name)
            i.size = len(text)
            t.addfile(i, io.BytesIO(text.encode()))
    return b.getvalue()


def events(server, path, last=None, until=None, seconds=30, headers=None):
    """The events of a stream as (id, event, data), to its end or until one fits."""
    c = http.client.HTTPConnection("127.0.0.1", server.port, timeout=seconds)
    c.request("GET", path, headers={**({"Last-Event-ID": str(last)} if last is not None else {}), **(headers or {})})
    r = c.getresponse()
    if r.status != 200 or not r.getheader("Content-Type").startswith("text/event-stream"): fail(f"{path}: {r.status}")
    out, e = [], {}
    try:
        for line in r:
            line = line.decode().rstrip("\n")
            if line.startswith(":"): continue
            if line:
                k, _, v = line.partition(": ")
                e[k] = v
            elif e:
                out.append((int(e.get("id", -1)), e.get("event"), json.loads(e["data"])))
                e = {}
                if until and until(out[-1]): break
    except (OSError, http.client.HTTPException):
        pass
    c.close()
    return out


def former_client(s, T):
    """What the former service's client does, in its order."""
    root = s.get("/")
    if root["status"] != "ready" or root["workflows_loaded"] < 3: fail(f"root: {root}")
    if s.get("/health")["status"] != "healthy": fail("health")
    items = s.get("/workflows/")
    if not isinstance(items, list) or not {"name", "version", "description", "author", "tags"} <= set(items[0]): fail(f"list: {items}")
    if "talk" not in [w["name"] for w in items]: fail("the dropped-in workflow is not listed")
    meta = s.get("/workflows/talk/metadata")
    if meta["required_modules"] != [] or meta["default_parameters"] != {"n": 5, "pause": 0.05}: fail(f"metadata: {meta}")
    par = s.get("/workflows/talk/parameters")
    if par["parameters"]["n"] != {"type": "integer", "default": 5} or par["required_parameters"] != ["n"]: fail(f"parameters: {par}")
    info = s.get("/workflows/talk/worker-info")
    if (info["vertical"], info["task_queue"], info["required"]) != ("python", "python-queue", True): fail(f"worker-info: {info}")
    if s.get("/workflows/metadata/schema")["type"] != "object": fail("metadata schema")
    run = s.upload("talk", tarball({"a.py": "x = 1\n"}), {"parameters": json.dumps({"n": 8, "pause": 0.1}), "timeout": "60"}, headers=T)
    if run["status"] != "RUNNING" or run["workflow"] != "talk" or "submitted successfully" not in run["message"]: fail(f"submit: {run}")
    rid = run["run_id"]
    if s.get(f"/runs/{rid}/findings", 400)["detail"]["error"]["type"] != "RunNotCompleted": fail("findings of a running run")
    ws = websocket(s, f"/fuzzing/{rid}/live", 3)
    stream = events(s, f"/fuzzing/{rid}/stream", last=0, until=lambda e: e[2]["type"] == "crash")
    if [e[2]["type"] for e in stream][0] != "stats" or stream[-1][2]["data"].get("crash_type") != "heap overflow": fail(f"stream: {stream}")
    st = s.wait(rid)
    if (st["status"], st["is_completed"], st["is_failed"], st["workflow"]) != ("COMPLETED", True, False, "talk"): fail(f"status: {st}")
    monitored(s, rid)
    for path in (f"/runs/{rid}/findings", f"/runs/talk/findings/{rid}"):
        f = s.get(path)
        if f["sarif"]["version"] != "2.1.0" or f["run_id"] != rid or f["workflow"] != "talk": fail(f"findings: {str(f)[:200]}")
    if [r["ruleId"] for r in f["sarif"]["runs"][0]["results"]] != ["crash/overflow"]: fail("SARIF of the run")
    stats = s.get(f"/fuzzing/{rid}/stats")
    if (stats["executions"], stats["crashes"], stats["coverage"], stats["workflow"]) != (800, 7, 12.5, "talk"): fail(f"stats: {stats}")
    crashes = s.get(f"/fuzzing/{rid}/crashes")
    if len(crashes) != 1 or crashes[0]["severity"] != "high" or not crashes[0]["crash_id"]: fail(f"crashes: {crashes}")
    if crashes[0]["stack_trace"] != "f a.py:1\ng b.py:2" or stream[-1][2]["data"]["stack_trace"] != crashes[0]["stack_trace"]: fail(f"a stack is a text: {crashes}")
    old = s.post("/workflows/talk/submit", {"target_path": str(s.lab.target()), "volume_mode": "ro", "parameters": {"n": 8}, "timeout": None,
                                            "resource_limits": None, "additional_volumes": []})
    if s.wait(old["run_id"])["status"] != "COMPLETED": fail("what the former client sends, with all that it leaves empty")
    if len(s.get(f"/fuzzing/{rid}/series")["points"]) != 8: fail("series")
    types = [m.get("type") for m in ws if isinstance(m, dict)]
    if types[0] != "stats_update" or "pong" not in ws: fail(f"WebSocket: {ws}")
    s.post(f"/fuzzing/{rid}/stats", {"run_id": rid, "workflow": "talk", "executions": 9000, "executions_per_sec": 1.5})
    s.post(f"/fuzzing/{rid}/crash", {"run_id": rid, "crash_id": "c-2", "signal": "SIGSEGV"})
    if not until(lambda: s.get(f"/fuzzing/{rid}/stats")["executions"] == 9000 and len(s.get(f"/fuzzing/{rid}/crashes")) == 2): fail("posted")
    if s.ask("DELETE", f"/fuzzing/{rid}")[0] != 200: fail("DELETE /fuzzing")
    if not until(lambda: s.get(f"/fuzzing/{rid}/crashes") == [] and s.get(f"/fuzzing/{rid}/stats")["executions"] == 0): fail("cleaned up")
    return rid


def monitored(s, rid):
    """The same events in the terminal."""
    def lines(*a): return [json.loads(x) for x in s.lab.ff("--json", "monitor", *a, check=0).stdout.splitlines()]
    e = lines("live", rid)
    if [x["id"] for x in e] != list(range(1, len(e) + 1)) or e[-1]["data"].get("status") != "COMPLETED": fail(f"monitor live: {e[-3:]}")
    if lines("stats", rid[:-1])[-1]["executions"] != 800: fail("monitor stats")
    c = lines("crashes", rid)
    if [x["crash_type"] for x in c] != ["heap overflow"]: fail(f"monitor crashes: {c}")
    for view in ("live", "stats", "crashes"):
        if not s.lab.ff("monitor", view, rid, check=0).stdout: fail(f"monitor {view}")
    s.lab.ff("monitor", "live", "no-such-run", check=2)
    # On a terminal it is drawn, on a screen of its own, and stays to be read.
    outer, inner = pty.openpty()
    p = s.lab.popen("monitor", "live", rid, stdout=inner, stderr=inner, env={"TERM": "xterm"})
    os.close(inner)
    seen = b""
    with contextlib.suppress(OSError): # it has ended
        while data := os.read(outer, 65536): seen += data
    os.close(outer)
    if p.wait(): fail(f"monitor live on a terminal: exit {p.returncode}")
    screen, _, after = seen.partition(b"\x1b[?1049l")
    if not screen.startswith(b"\x1b[?1049h") or any(b"800 executions" not in x or "█".encode() not in x for x in (screen, after)):
        fail(f"monitor live on a terminal: {seen[-500:]}")


def until(what, seconds=60):
    end = time.time() + seconds
    while time.time() < end:
        v = what()
        if v: return v
        time.sleep(0.02)


def frame(op, data):
    mask = os.urandom(4)
    head = bytes([0x80 | op]) + (bytes([0x80 | len(data)]) if len(data) < 126 else bytes([0xfe]) + struct.pack(">H", len(data)))
    return head + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(data))


def other_websockets(s, path):
    """A handshake of another version is told which one is spoken (RFC 6455, 4.4)."""
    H = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Key": base64.b64encode(bytes(16)).decode()}
    for version, want, name in (("8", 426, "Sec-WebSocket-Version"), ("99", 426, "Sec-WebSocket-Version"), (None, 400, None)):
        st, h, b = s.ask("GET", path, headers={**H, **({"Sec-WebSocket-Version": version} if version else {})})
        if st != want or (name and h[name] != "13"): fail(f"WebSocket {version}: {st} {h} {b}")
    st, h, b = s.ask("GET", path)
    if st != 426 or h["Upgrade"] != "websocket": fail(f"a WebSocket's path without one: {st} {h}")


def websocket(s, path, want, extra=b"", closed=None):
    """Messages of a WebSocket: the first `want` of events and the answer to a ping. closed gets the code of the server's close."""
    c = socket.create_connection(("127.0.0.1", s.port), 20)
    key = base64.b64encode(os.urandom(16)).decode()
    c.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
              f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode())
    buf = b""
    while b"\r\n\r\n" not in buf:
        d = c.recv(4096)
        if not d: fail(f"no handshake: {buf[:100]}")
        buf += d
    head, buf = buf.split(b"\r\n\r\n", 1)
    if not head.startswith(b"HTTP/1.1 101"): fail(f"handshake: {head[:100]}")
    c.sendall(frame(1, b"ping") + extra)
    out = []
    while len(out) < want + 1:
        while len(buf) < 2 or len(buf) < 2 + (2 if buf[1] == 126 else 8 if buf[1] == 127 else 0) + (
                buf[1] if buf[1] < 126 else struct.unpack(">H", buf[2:4])[0] if buf[1] == 126 and len(buf) >= 4 else 0):
            d = c.recv(4096)
            if not d: return out
            buf += d
        n, at = (buf[1], 2) if buf[1] < 126 else (struct.unpack(">H", buf[2:4])[0], 4)
        text = buf[at:at + n]
        op, buf = buf[0] & 15, buf[at + n:]
        if op == 1: out.append(text.decode() if text == b"pong" else json.loads(text))
        elif op == 8:
            if closed is not None: closed.append(struct.unpack(">H", text[:2])[0])
            break
    c.close()
    return out


def pings_without_end(s, run):
    """A client that sends pings and reads no answers is not read either: what it is owed is bounded."""
    c = socket.create_connection(("127.0.0.1", s.port))
    c.settimeout(3)
    c.sendall(f"GET /fuzzing/{run}/live HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
              "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode())
    before = s.rss_kb()
    pings = frame(9, b"p" * 125) * 4000
    try:
        for _ in range(160): c.sendall(pings) # 80 MB
    except OSError:
        pass
    more = s.rss_kb() - before
    if more > 50000: fail(f"pings whose answers nobody reads: {more} KB")
    s.get("/health")
    c.close()


def refused_early(s):
    """An upload that is wrong is answered at once; a client that looks when he has sent all sees it too, and one that never ends is left."""
    begin = b'--B\r\nContent-Disposition: form-data; name="nonsense"\r\n\r\nx\r\n'
    for megabytes, reads in ((2000, True), (30, False), (2000, False)):
        c = socket.create_connection(("127.0.0.1", s.port), 60)
        c.sendall(b"POST /workflows/talk/upload-and-submit HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=B\r\n"
                  b"Content-Length: %d\r\n\r\n" % (megabytes << 20) + begin)
        sent, out = len(begin), b""
        try:
            while sent < megabytes << 20 and not (reads and select.select([c], [], [], 0)[0]):
                sent += c.send(bytes(min(1 << 20, (megabytes << 20) - sent)))
        except OSError:
            if reads or megabytes < 2000: fail(f"an upload of {megabytes} MB that is wrong is broken off after {sent >> 20}")
        if megabytes == 2000 and sent == megabytes << 20: fail(f"all of an upload that is wrong is taken ({reads})")
        while (reads or megabytes < 2000) and (d := c.recv(65536)): out += d
        if (reads or megabytes < 2000) and (b" 422 " not in out[:20] or b'"field":"nonsense"' not in out): fail(f"an upload that is wrong: {out}")
        c.close()


def errors(s):
    for method, path, want, kind in [("GET", "/nowhere", 404, "NotFound"), ("GET", "/runs/none/status", 404, "RunNotFound"),
                                     ("GET", "/workflows/none/metadata", 404, "WorkflowNotFound"), ("PUT", "/runs", 405, "MethodNotAllowed"),
                                     ("GET", "/runs?limit=0", 422, "ValidationError"), ("GET", "/runs?limit=5&limit=6", 422, "ValidationError"),
                                     ("GET", "/runs?x=1", 422, "ValidationError"), ("GET", "/runs?cursor=AAAAAAAAAA", 404, "NotFound"),
                                     ("GET", "/runs/%ff/status", 400, "BadRequest"), ("GET", "/runs/a%00b/status", 400, "BadRequest"),
                                     ("GET", "/" + "a" * 9000, 414, "TooLarge"), ("GET", "/fuzzing/none/live", 426, "UpgradeRequired")]:
        st, h, b = s.ask(method, path)
        e = b["detail"]["error"]
        if st != want or e["type"] != kind or not e["message"] or not e["timestamp"]: fail(f"{method} {path[:40]}: {st} {e}")
        if e["request_id"] != h["X-Request-Id"]: fail("the request's id")
        if want == 405 and h["Allow"] != "GET, HEAD": fail(f"Allow: {h['Allow']}")
    W = "/workflows/talk/submit"
    for body, headers, want, field in [(b"{", {"Content-Type": "application/json"}, 422, "body"), (b"{}", {"Content-Type": "text/plain"}, 415, "Content-Type"),
                                       (b"", {}, 422, "body"), ({}, {}, 422, "target_path"), ({"target_path": "/x", "timeout": 0}, {}, 422, "timeout"),
                                       ({"target_path": "/x", "tiemout": 5}, {}, 422, "tiemout"), ({"target_path": "/nowhere"}, {}, 400, "target_path"),
                                       ({"target_path": "/", "parameters": {"n": "x"}}, {}, 422, "parameters"),
                                       (b'{"target_path": "\xff"}', {"Content-Type": "application/json"}, 422, "body"),
                                       (b'{"a":' * 10000, {"Content-Type": "application/json"}, 422, "body"), ([], {}, 422, "body"),
                                       (b"", {"Content-Type": "application/json"}, 422, "body"), ({"target_path": "/\0x"}, {}, 422, "target_path"),
                                       (b" " * (5 << 20), {"Content-Type": "application/json"}, 413, "body")]:
        st, h, b = s.ask("POST", W, body, headers)
        if st != want or b["detail"]["error"].get("field") != field: fail(f"{str(body)[:40]}: {st} {b}")
    if s.ask("POST", "/workflows/none/submit", {"target_path": "/x"})[0] != 404: fail("submit of no workflow")
    s.post("/runs/none/signal/x", b'{"\\u0000": 1}', 404, headers={"Content-Type": "application/json"})
    # The longest value of a query fits into a body, however it is written; one character more is the value's fault, not the body's.
    longest = s.get("/openapi.json")["components"]["schemas"]["QueryValue"]["properties"]["value"]["maxLength"]
    for n, want in ((longest, 404), (longest + 1, 422)):
        e = s.post("/runs/none/query/x", json.dumps({"value": "\U0001f600" * n}).encode(), want, headers={"Content-Type": "application/json"})
        if want == 422 and e["detail"]["error"]["field"] != "value": fail(f"a value of {n} characters: {e}")
    for fields, field in [({"timeout": "0"}, "timeout"), ({"timeout": "x"}, "timeout"), ({"parameters": "["}, "parameters"),
                          ({"parameters": '{"m": 1}'}, "parameters"), ({"name": "a/b"}, "name"), ({"other": "1"}, "other")]:
        b = s.upload("talk", b"x", fields, want=422)
        if b["detail"]["error"]["field"] != field: fail(f"{fields}: {b}")
    b = s.post("/workflows/talk/upload-and-submit", b"--b\r\nContent-Disposition: form-data; name=\"timeout\"\r\n\r\n5\r\n--b--", 422,
               headers={"Content-Type": "multipart/form-data; boundary=b"})
    if b["detail"]["error"]["field"] != "file": fail(f"no file: {b}")
    for garbage in (b"", b"--b", b"\r\n--b\r\n\r\n", os.urandom(5000), b"--b\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\nx"):
        b = s.post("/workflows/talk/upload-and-submit", garbage, 422, headers={"Content-Type": "multipart/form-data; boundary=b"})
        if b["detail"]["error"]["field"] not in ("body", "file"): fail(f"{garbage[:20]}: {b}")
    for number in ("", "x", "1e2", "+5", "%205", "5%20", "5.0", "0x5", "1001", "-1", "9" * 400):
        if s.get("/runs?limit=" + number, 422)["detail"]["error"]["field"] != "limit": fail(f"limit={number}")
    for headers, field in (({"Content-Type": "image/png"}, "Content-Type"), ({"Content-Type": "application/json", "Content-Encoding": "br"}, "Content-Encoding")):
        b = s.post("/workflows/talk/upload-and-submit", b"x", 415, headers=headers)
        if b["detail"]["error"]["field"] != field: fail(f"{headers}: {b}")
    b = s.upload("talk", b"x", {"parameters": " " * (5 << 20)}, want=413)
    if b["detail"]["error"]["field"] != "parameters": fail(f"a field that is too long: {b}")
    s.post("/workflows/talk/upload-and-submit", b"x", 422, headers={"Content-Type": "multipart/form-data"})
    if b" 411 " not in s.raw(b"POST /workflows/talk/upload-and-submit HTTP/1.1\r\nHost: localhost\r\n\r\n", shut=None)[:20]: fail("411")
    big = f"POST /workflows/talk/upload-and-submit HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/octet-stream\r\nContent-Length: {1 << 60}\r\n\r\n"
    out = s.raw(big.encode(), shut=False)
    if b" 413 " not in out[:20] or b'"field":"file"' not in out: fail(f"413: {out}")


def guards(s):
    for headers, kind in [({"Host": "evil.example"}, "HostNotAllowed"), ({"Host": "127.0.0.1.evil.example"}, "HostNotAllowed"),
                          ({"Host": "localhost:80@evil.example"}, "HostNotAllowed"), ({"Host": "[::1].evil.example"}, "HostNotAllowed"),
                          ({"Origin": "http://localhost:80@evil.example"}, "OriginNotAllowed"),
                          ({"Origin": "https://evil.example"}, "OriginNotAllowed"), ({"Origin": "null"}, "OriginNotAllowed")]:
        st, h, b = s.ask("GET", "/runs", headers=headers)
        if st != 403 or b["detail"]["error"]["type"] != kind: fail(f"{headers}: {st} {b}")
    # Probes come by whatever address the server's machine has, and learn nothing but that it answers.
    for path, want in (("/health/live", 200), ("/health/ready", 200), ("/health", 403), ("/openapi.json", 403), ("/", 403), ("/metrics", 403)):
        for host in ("10.244.1.7:8000", "[fd00::1]:8000", "pod.example"): s.get(path, want, headers={"Host": host})
        if want == 200: s.get(path, 403, headers={"Host": "10.244.1.7:8000", "Origin": "https://evil.example"})
    s.get("/runs", headers={"Host": f"localhost:{s.port}", "Origin": f"http://localhost:{s.port}"})


def names(lab, s):
    """What scripts and modules call their signals, queries and artifacts is theirs, and can be asked for."""
    S = ("--server", f"http://127.0.0.1:{s.port}")
    rid = s.post("/workflows/leaves/submit", {"target_path": str(lab.target()), "name": "named"})["run_id"]
    mood = until(lambda: (lambda r: r[2] if r[0] == 200 else None)(s.ask("GET", f"/runs/{rid}/query/my%20mood%2F%C3%BC")))
    if mood is None or lab.json(*S, "runs", "query", rid, "my mood/ü", "7") != {"v": 7}: fail(f"a query: {mood}")
    if not until(lambda: len(s.get(f"/runs/{rid}/artifacts")["artifacts"]) == len(NAMES)): fail(f"artifacts: {s.get(f'/runs/{rid}/artifacts')}")
    for name in NAMES:
        if s.get(f"/runs/{rid}/artifacts/{urllib.parse.quote(name, safe='')}") != ("this is " + name).encode(): fail(f"the artifact {name}")
    s.get(f"/runs/{rid}/artifacts/none", 404)
    lab.ff(*S, "runs", "signal", rid, "go now/ü?", "7", check=0)
    if s.wait(rid)["status"] != "COMPLETED" or lab.json("runs", "show", rid)["summary"] != {"v": 7}: fail("a signal")


def heads(s):
    """What the head of a request says twice, or in a way that is not known, is not guessed at."""
    def answer(*lines, line=b"GET /runs HTTP/1.1", body=b""):
        return s.raw(b"\r\n".join((line, *lines)) + b"\r\n\r\n" + body, 20)
    H, POST, J = b"Host: localhost", b"POST /workflows/talk/submit HTTP/1.1", b"Content-Type: application/json"
    for name, out in [("two hosts", answer(H, b"Host: evil.example")), ("two hosts, the other way", answer(b"Host: evil.example", H)),
                      ("two lengths", answer(H, J, b"Content-Length: 2", b"Content-Length: 3", line=POST, body=b"{}x")),
                      ("a length and a coding", answer(H, J, b"Content-Length: 4", b"Transfer-Encoding: chunked", line=POST, body=b"2\r\n{}\r\n0\r\n\r\n")),
                      ("a blank before a colon", answer(H, J, b"Content-Length : 2", line=POST, body=b"{}")),
                      ("an unknown coding", answer(H, J, b"Transfer-Encoding: gzip, chunked", line=POST, body=b"0\r\n\r\n"))]:
        if not out.startswith(b"HTTP/1.1 400 ") or out.count(b"HTTP/1.1 ") != 1: fail(f"{name}: {out[:200]}")
    if not answer(H, b"Connection: close", line=b"GET http://localhost/runs?limit=1 HTTP/1.1").startswith(b"HTTP/1.1 200 "): fail("the absolute form")
    if not answer(H, b"Connection: close", line=b"GET http://evil.example/runs HTTP/1.1").startswith(b"HTTP/1.1 403 "): fail("another host's name in the target")
    st, h, b = s.ask("POST", "/workflows/talk/submit", gzip.compress(b"{}"), {"Content-Type": "application/json", "Content-Encoding": "gzip"})
    if st != 415: fail(f"a body with a Content-Encoding: {st} {b}")
    tag = s.ask("GET", "/openapi.json")[1]["ETag"]
    for list, zipped in (("gzip", True), ("br, *", True), ("gzip;q=0", False), ("x-nogzip", False)):
        h = s.ask("GET", "/openapi.json", headers={"Accept-Encoding": list})[1]
        if (h["Content-Encoding"] == "gzip") != zipped or h["Vary"] != "Accept-Encoding": fail(f"Accept-Encoding: {list}: {h}")
        h = s.ask("GET", "/workflows/", headers={"Accept-Encoding": list})[1]
        if h["Vary"] != "Accept-Encoding": fail(f"Vary of what is short as gzip: {h}")
    done = next(r["run_id"] for r in s.get("/runs?status=completed")["runs"])
    tag = s.ask("GET", f"/runs/{done}/findings")[1]["ETag"]
    for list, want in ((tag, 304), ("W/" + tag, 304), ('"other", ' + tag, 304), ("*", 304), ('"other"', 200), ("", 200), (", ".join(['"other"'] * 300 + [tag]), 304)):
        st = s.ask("GET", f"/runs/{done}/findings", headers={"If-None-Match": list})[0]
        if st != want: fail(f"If-None-Match: {list}: {st}, wanted {want}")
    if s.ask("GET", "/openapi.json", headers={"If-None-Match": s.ask("HEAD", "/openapi.json")[1]["ETag"]})[0] != 304: fail("/openapi.json again")
    if s.get("/runs?status=COMPLETED") != s.get("/runs?status=completed"): fail("a status as answers write it")


def unreadable(s):
    """What cannot be read as a request gets an answer of the API's own kind, and the connection ends with it."""
    H, POST = b"Host: localhost\r\n", b"POST /workflows/talk/submit HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    ids, chunked = [], POST + b"Transfer-Encoding: chunked\r\n\r\n"
    for name, want, data in [("a first line without end", 414, b"GET /" + b"a" * 100000 + b" HTTP/1.1\r\n"),
                             ("a method without end", 414, b"G" * 100000),
                             ("a header without end", 431, b"GET / HTTP/1.1\r\n" + H + b"X-A: " + b"b" * 100000 + b"\r\n\r\n"),
                             ("headers without end", 431, b"GET / HTTP/1.1\r\n" + H + b"".join(b"X-%d: y\r\n" % i for i in range(9000)) + b"\r\n"),
                             ("cookies without end", 431, b"GET / HTTP/1.1\r\n" + H + b"Cookie: " + b"a=b; " * 20000 + b"\r\n\r\n"),
                             ("a query of too many fields", 414, b"GET /runs?" + b"&".join(b"f%d=1" % i for i in range(500)) + b" HTTP/1.1\r\n" + H + b"\r\n"),
                             ("no Host", 400, b"GET / HTTP/1.1\r\n\r\n"), ("a path with a blank", 400, b"GET /a b HTTP/1.1\r\nConnection: close\r\n" + H + b"\r\n"),
                             ("no header", 400, b"GET / HTTP/1.1\r\n" + H + b"nonsense\r\n\r\n"),
                             ("no request", 400, b"GARBAGE\r\n\r\n"), ("another protocol", 400, b"SSH-2.0-x\r\n"), ("no method", 400, b" / HTTP/1.1\r\n" + H + b"\r\n"),
                             ("a method alone", 400, b"GET\r\n\r\n"), ("a path alone", 400, b"GET /\r\n\r\n"),
                             ("no version", 400, b"GET / HTTQ/1.1\r\n" + H + b"\r\n"), ("a version to come", 505, b"GET / HTTP/9.9\r\n" + H + b"\r\n"),
                             ("a version that was", 505, b"GET / HTTP/0.9\r\n" + H + b"\r\n"),
                             ("a length that is none", 400, POST + b"Content-Length: x\r\n\r\n{}"),
                             ("a negative length", 400, POST + b"Content-Length: -1\r\n\r\n{}"),
                             ("a length of 2^70", 413, POST + b"Content-Length: 1180591620717411303424\r\n\r\n{}"),
                             ("chunks that are none", 400, chunked + b"nonsense\r\n{}\r\n0\r\n\r\n"),
                             ("a chunk that is longer than it says", 400, chunked + b"2\r\n{}nonsense\r\n0\r\n\r\n"),
                             ("a chunk's line without end", 400, chunked + b"1;" + b"x" * 40000),
                             ("a document without end", 413, chunked + (b"10000\r\n" + b"[" * 0x10000 + b"\r\n") * 1025),
                             ("a chunk of 2^70", 413, chunked + b"400000000000000000\r\n{}\r\n0\r\n\r\n"),
                             ("garbage behind a request", 400, b"GET /health/live HTTP/1.1\r\n" + H + b"\r\nGARBAGE\r\n\r\n"),
                             ("a second request", 505, b"GET /health/live HTTP/1.1\r\n" + H + b"\r\nGET / HTTP/9.9\r\n" + H + b"\r\n")]:
        out = s.raw(data)
        head, _, body = out[max(m.start() for m in re.finditer(rb"HTTP/1.1 \d", out)) if out else 0:].partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        h = dict(x.lower().split(": ", 1) for x in lines[1:])
        try: e = json.loads(body)["detail"]["error"]
        except ValueError: fail(f"{name}: {out[:300]}")
        if f" {want} " not in lines[0] or h.get("content-type") != "application/json" or h.get("connection") != "close": fail(f"{name}, wanted {want}: {head}")
        if e.get("field") != ("body" if want == 413 else None): fail(f"{name}: {e}")
        if not e["message"] or not e["timestamp"] or len(e["request_id"]) != 26 or e["request_id"].lower() != h.get("x-request-id"): fail(f"{name}: {head} {e}")
        ids.append(e["request_id"])
    log = s.lab.dir / "serve.log"
    if re.search(rb"^ff_http_errors_total [1-9]", s.get("/metrics"), re.M): fail("what cannot be read counts as the server's fault")
    if not until(lambda: all(f"request {i}: " in log.read_text() for i in ids)): fail("the ids of refused requests are not in the log")
    # Who has sent all that he has to say is answered too; who says nothing is not.
    if s.raw(b"GARBAGE\n", shut=True).count(b"HTTP/1.1 400 ") != 1: fail("no request, and no more")
    if s.raw(b"", shut=True): fail("an answer to nothing")
    out = s.raw(b"GET /health/live HTTP/1.1\r\n" + H + b"\r\n", shut=True)
    if out.count(b"HTTP/1.1 ") > 1: fail(f"one request, and no more: {out}")
    live = b"GET /health/live HTTP/1.1\r\n" + H
    for first, second, want in ((live + b"\r\n", b"GARBAGE\r\n\r\n", [b"200", b"400"]), (live + b"\r\n", b"", [b"200"]),
                                (live + b"Connection: close\r\n\r\n", b"", [b"200"]), (live + b"\r\n" + live + b"\r\n", b"nothing\n", [b"200", b"200", b"400"])):
        c = socket.create_connection(("127.0.0.1", s.port), 20)
        c.sendall(first)
        out = b""
        while out.count(b"HTTP/1.1 ") < first.count(b"GET "): out += c.recv(65536)
        time.sleep(0.05)
        c.sendall(second) if second else c.shutdown(socket.SHUT_WR)
        while data := c.recv(65536): out += data
        c.close()
        got = re.findall(rb"HTTP/1\.1 (\d+)", out)
        if got != want: fail(f"{first} and then {second}: {got}, wanted {want}")
    # A path with a NUL is not the path before it.
    for path in (b"/health/live\0", b"/health/live\0/x", b"/health/live\0HTTP/1.1", b"/runs?limit=1\0", b"/health/live%00", b"/health%00/live", b"/runs?limit=1%00"):
        out = s.raw(b"GET " + path + b" HTTP/1.1\r\n" + H + b"Connection: close\r\n\r\n")
        if not re.match(rb"HTTP/1\.1 40[04] ", out): fail(f"{path}: {out[:100]}")
    # What was wrong before the body stands.
    out = s.raw(b"POST /nowhere HTTP/1.1\r\n" + H + b"Transfer-Encoding: chunked\r\n\r\nnonsense\r\n")
    if not out.startswith(b"HTTP/1.1 404 "): fail(f"garbage that is sent to nowhere: {out[:200]}")


def stops_sending(s):
    """Clients that end their side behind the request have their answer, also while others keep the server busy."""
    over = threading.Event()
    def others():
        c = http.client.HTTPConnection("127.0.0.1", s.port)
        while not over.is_set():
            c.request("GET", "/runs")
            c.getresponse().read()
    threads = [threading.Thread(target=others, daemon=True) for _ in range(8)]
    for t in threads: t.start()
    got = [s.raw(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n", shut=True) for _ in range(100)]
    over.set()
    for t in threads: t.join()
    answered = sum(g.startswith(b"HTTP/1.1 200") and g.endswith(b'{"status":"ok"}') for g in got)
    if answered < 90: fail(f"of 100 that stop sending early, {answered} are answered: {[g for g in got if b'200' not in g[:12]][:1]}")


def hostile(s):
    before = s.rss_kb()
    if b" 431 " not in s.raw(b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X-A: " + b"b" * 200000 + b"\r\n\r\n")[:20]: fail("a header bomb")
    s.raw(b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"".join(b"X-%d: y\r\n" % i for i in range(20000)) + b"\r\n", 5)
    for path in (b"/../../etc/passwd", b"/%2e%2e/%2e%2e/etc/passwd", b"//etc/passwd", b"/runs/..%2f..%2fetc", b"/workflows/../runs", b"*", b"x"):
        out = s.raw(b"GET " + path + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        if not re.match(rb"HTTP/1\.1 40[04] ", out): fail(f"{path}: {out[:60]}")
    for junk in (b"\x16\x03\x01\x02\x00", b"GET / HTTP/9.9\r\n\r\n", b"\r\n" * 1000, os.urandom(2000), b"GET / HTTP/1.1\r\n\r\n"): s.raw(junk, 1)
    refused_early(s)
    stops_sending(s)
    slow = [socket.create_connection(("127.0.0.1", s.port)) for _ in range(300)]
    for c in slow: c.sendall(b"GET / HTTP/1.1\r\nHos")
    half = [socket.create_connection(("127.0.0.1", s.port)) for _ in range(50)]
    for c in half: c.sendall(b"POST /workflows/talk/upload-and-submit HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/octet-stream\r\n"
                             b"Content-Length: 1000000\r\n\r\nxxxx")
    t = time.time()
    for _ in range(50): s.get("/health/live")
    if time.time() - t > 15: fail("others are affected by slow clients")
    for c in slow + half: c.close()
    c = socket.create_connection(("127.0.0.1", s.port))
    rid = s.get("/runs")["runs"][0]["run_id"]
    other_websockets(s, f"/fuzzing/{rid}/live")
    closed = []
    websocket(s, f"/fuzzing/{rid}/live", 1000, frame(1, b"x" * 20000), closed)
    if closed != [1009]: fail(f"a message that is too big: {closed}")
    # What is refused is refused by its head, before any more of it has come; and what came before it counts.
    for what, head, code in (("2^62 bytes", struct.pack(">BBQI", 0x82, 0xff, 1 << 62, 0), 1009), ("a ping of 200 bytes", struct.pack(">BBH", 0x89, 0xfe, 200), 1002),
                             ("a ping in fragments", b"\x09\x80", 1002), ("a length written too long", struct.pack(">BBHI", 0x81, 0xfe, 4, 0), 1002)):
        closed = []
        got = websocket(s, f"/fuzzing/{rid}/live", 1000, head, closed)
        if closed != [code] or "pong" not in got: fail(f"{what}: closed with {closed}, wanted {code}; {got}")
    told = events(s, f"/fuzzing/{rid}/stream") # of a run that has ended: its statistics, and the end
    if [e[2]["type"] for e in told] != ["stats"] or "executions" not in told[0][2]["data"]: fail(f"the stream of what has ended: {told}")
    websocket(s, f"/fuzzing/{rid}/live", 0, frame(2, b"x" * 10) + bytes([0x01, 0x80]) + b"\0\0\0\0")
    c.sendall(f"GET /fuzzing/{rid}/live HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
              f"Sec-WebSocket-Key: {base64.b64encode(bytes(16)).decode()}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode())
    try:  # a message whose fragments never end
        c.sendall(bytes([0x01, 0x81, 0, 0, 0, 0]) + b"x")
        for _ in range(20000): c.sendall(bytes([0x00, 0x81, 0, 0, 0, 0]) + b"y")
        c.settimeout(5)
        while c.recv(4096): pass
    except OSError:
        pass
    # 350 connections of at most 128 KB each; what was free before has been given back (os/memory.h)
    if s.rss_kb() - before > 80000: fail(f"hostile clients cost {s.rss_kb() - before} KB")
    s.get("/health/live")


class Dribbles(threading.Thread):
    """A client whose body comes in small pieces; seconds: until it was ended, or None."""

    def __init__(self, s, head, piece, first=b""):
        super().__init__(daemon=True)
        self.c = socket.create_connection(("127.0.0.1", s.port))
        self.c.sendall(head.encode() + b"\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n" + first)
        self.piece, self.out, self.seconds, self.begun = piece, b"", None, time.time()
        self.c.settimeout(2)
        self.start()

    def run(self):
        while time.time() - self.begun < 45 and not self.out:
            try:
                self.c.sendall(self.piece)
                self.out = self.c.recv(65536)
                self.seconds = time.time() - self.begun
            except TimeoutError: pass
            except OSError: break
        self.c.close()


def begin_slowly(s):
    J, F, T = "\r\nContent-Type: application/json", "\r\nContent-Type: application/octet-stream", "POST /workflows/talk/"
    return [(408, Dribbles(s, T + "submit HTTP/1.1" + J, b"x")), (408, Dribbles(s, T + "upload-and-submit HTTP/1.1" + F, b"x")),
            (404, Dribbles(s, "POST /nowhere HTTP/1.1" + F, b"x")),
            (None, Dribbles(s, T + "upload-and-submit HTTP/1.1" + F, b"x" * 1000)), (None, Dribbles(s, T + "upload-and-submit HTTP/1.1" + F, b"x", b"y" * 30000))]


def slow_bodies(clients):
    """A body that dribbles holds its connection for half a minute; one that is only slow, or was quick before, may go on."""
    for want, c in clients:
        c.join()
        if (want and not c.out.startswith(b"HTTP/1.1 %d " % want)) or (c.seconds is None) != (want is None): fail(f"wanted {want}: {c.seconds} s, {c.out}")
        if want and not 28 < c.seconds < 40: fail(f"a body that dribbles is ended after {c.seconds} s")
        if want == 408 and json.loads(c.out.partition(b"\r\n\r\n")[2])["detail"]["error"]["type"] != "RequestTimeout": fail(f"{c.out}")


def idle(s):
    """10,000 connections that say nothing, or stop in the middle of a header: memory is bounded, and others are answered."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    n, before, there = min(10000, hard - 1000), s.rss_kb(), []
    for i in range(n):
        there.append(socket.create_connection(("127.0.0.1", s.port), 60))
        if i % 2: there[-1].sendall(b"GET / HTTP/1.1\r\nHost: local")
    t = time.time()
    for _ in range(50): s.get("/health/live")
    s.get("/runs?limit=1")
    # 32 KB of each are for a request, and are touched only where the C library is told to (MALLOC_PERTURB_)
    if time.time() - t > 15: fail("others are affected by idle connections")
    if s.rss_kb() - before > n * 40: fail(f"{n} idle connections cost {s.rss_kb() - before} KB")
    for c in there: c.close()
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    s.get("/health/live")


def bodies(s):
    """Bodies that are begun and not ended have a bound together, and what is ended gives its room back."""
    J, F = "application/json", "multipart/form-data; boundary=b"
    for path, kind, sent, least, most in (("/workflows/talk/upload-and-submit", F, b"--b--", 100, 400), ("/workflows/talk/submit", J, b" " * 3000000, 15, 60)):
        def refused(): return s.ask("POST", path, sent, {"Content-Type": kind})[0] == 429
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\nContent-Length: 4000000\r\n\r\n".encode()
        begun = []
        while len(begun) < most and not refused():
            begun.append(socket.create_connection(("127.0.0.1", s.port)))
            begun[-1].sendall(head + sent)
        if not least < len(begun) < most: fail(f"{len(begun)} bodies at a time: {path}")
        s.get("/runs?limit=1")
        for c in begun: c.close()
        if not until(lambda: not refused()): fail(f"no room is given back: {path}")


def kept_alive(s):
    """The stream of a run that ends, and what comes after it on its connection: a wake-up for the one is not taken for the other's."""
    empty = s.lab.dir / "empty"
    empty.mkdir()
    failed = []
    def go():
        for i in range(40):
            p = s.lab.ff("--server", f"http://127.0.0.1:{s.port}", "-q", "run", "security_assessment", empty)
            if p.returncode: return failed.append(p.stderr)
    threads = [threading.Thread(target=go) for _ in range(3)]
    for t in threads: t.start()
    for t in threads: t.join()
    if failed: fail(f"runs one after the other: {failed[0]}")


def more(s):
    """Beyond the former routes."""
    a = s.post("/workflows/waits/submit", {"target_path": str(s.lab.target()), "name": "waits-1", "timeout": 50})
    rid = a["run_id"]
    if rid != "waits-1": fail("the name of a run")
    if s.ask("POST", "/workflows/waits/submit", {"target_path": str(s.lab.target()), "name": "waits-1"})[0] != 409: fail("a name twice")
    if s.ask("GET", f"/runs/{rid}/query/no-such")[0] != 404: fail("no such query")
    if until(lambda: s.ask("GET", f"/runs/{rid}/query/mood")[2] == "waiting") is None: fail("query")
    if s.ask("DELETE", f"/runs/{rid}")[0] != 409: fail("a running run was deleted")
    if s.get(f"/runs/{rid}/findings", 400)["detail"]["error"]["type"] != "RunNotCompleted": fail("findings")
    pings_without_end(s, rid)
    s.post(f"/runs/{rid}/signal/go", {"v": 7})
    if s.wait(rid)["status"] != "COMPLETED": fail("signal")
    s.post(f"/runs/{rid}/retry")
    if not until(lambda: s.get(f"/runs/{rid}/status")["is_running"]): fail("retry")
    seen = []
    events(s, f"/runs/{rid}/events", until=lambda e: seen.append(e) or sum(x[2]["data"].get("workflow") == "waits" for x in seen) == 2)
    if sum(x[2]["data"].get("workflow") == "waits" for x in seen) != 2: fail(f"events of a run that was started again: {seen}")
    for i in range(3, 40): # also where the end of before has not been told yet
        s.post(f"/runs/{rid}/signal/go", {"v": 7})
        while s.ask("POST", f"/runs/{rid}/retry")[0] != 200: pass
        seen = []
        events(s, f"/runs/{rid}/events", until=lambda e: seen.append(e) or sum(x[2]["data"].get("workflow") == "waits" for x in seen) == i)
        if sum(x[2]["data"].get("workflow") == "waits" for x in seen) != i: fail(f"events of a run that was started again at once: {seen[-3:]}")
    s.post(f"/runs/{rid}/cancel?reason=enough")
    st = s.wait(rid)
    if st["status"] != "CANCELLED" or not st["is_failed"]: fail(f"cancel: {st}")
    s.post(f"/runs/{rid}/retry")
    s.post(f"/runs/{rid}/terminate")
    if s.wait(rid)["status"] != "TERMINATED": fail("terminate")
    if s.post(f"/runs/{rid}/cancel")["message"] != "the run has ended already": fail("a run that has ended was asked to end")
    for verb in ("terminate", "signal/go"):
        if s.post(f"/runs/{rid}/{verb}", want=409)["detail"]["error"]["type"] != "RunEnded": fail(f"{verb} of a run that has ended")
        if s.post(f"/runs/none/{verb}", want=404)["detail"]["error"]["type"] != "RunNotFound": fail(f"{verb} of no run")
    b = s.post("/workflows/waits/submit", {"target_path": str(s.lab.target()), "timeout": 1})
    if s.wait(b["run_id"])["status"] != "TIMED_OUT": fail("the timeout of a submission")
    if s.ask("DELETE", f"/runs/{rid}")[0] != 200 or s.ask("GET", f"/runs/{rid}/status")[0] != 404: fail("delete")
    page = s.get("/runs?limit=1")
    if not page["next_cursor"]: fail("no cursor")
    second = s.get(f"/runs?limit=1&cursor={page['next_cursor']}")
    if second["runs"][0]["run_id"] == page["runs"][0]["run_id"]: fail("the second page is the first")
    done = next(r["run_id"] for r in s.get("/runs?status=completed&workflow=talk")["runs"])
    st, h, f = s.ask("GET", f"/runs/{done}/findings", headers={"Accept-Encoding": "gzip"})
    if h["Content-Encoding"] != "gzip": fail("gzip")
    if s.ask("GET", f"/runs/{done}/findings", headers={"If-None-Match": h["ETag"]})[0] != 304: fail("ETag")
    tags = {s.ask("GET", f"/runs/{done}/findings", headers={"Accept-Encoding": e, **more})[1]["ETag"]
            for e in ("gzip", "identity") for more in ({}, {"If-None-Match": h["ETag"]})}
    if len(tags) != 2: fail(f"the tags of two codings: {tags}")
    if s.get(f"/findings?run={done}&severity=high")["total"] != 1 or s.get(f"/findings?run={done}&severity=critical")["total"] != 0: fail("findings")
    if len(s.get(f"/runs/{done}/log")["events"]) != 8: fail("log")
    hist = s.get(f"/runs/{done}/history?limit=2")
    if len(hist["events"]) != 2 or hist["next_after"] != 2: fail(f"history: {hist}")
    if "findings" in s.get(f"/runs/{done}") or s.get(f"/runs/{done}/summary")["findings_count"]["high"] != 1: fail("run")
    for path in ("/modules", "/workers", "/store?limit=2", f"/runs/{done}/artifacts"): s.get(path)
    text = s.get("/metrics").decode()
    if "ff_http_requests_total" not in text or "# TYPE ff_runs_running gauge" not in text or not re.search(r"^ff_worker_slots [1-9]", text, re.M): fail("metrics")
    for name, least in (("ff_engine_commit_seconds", 10), ('ff_task_schedule_to_start_seconds{task="activity"}', 1),
                        ('ff_task_schedule_to_start_seconds{task="workflow"}', 2), ('ff_http_request_seconds{method="GET",route="/runs/{run_id}/log"}', 1)):
        family, _, label = name.partition("{")
        def values(part, more=""): return [float(v) for v in re.findall(rf"^{re.escape(family + part)}{more} (\S+)$", text, re.M)]
        inner = re.escape(label[:-1] + ",") if label else ""
        buckets, count = values("_bucket", r"\{" + inner + r'le="[^"]*"\}'), values("_count", re.escape("{" + label) if label else "")
        if len(count) != 1 or count[0] < least or len(buckets) != 18 or sorted(buckets) != buckets or buckets[-1] != count[0] or buckets[-1] == 0:
            fail(f"{name}: {buckets} {count}")
    if s.ask("HEAD", "/runs")[0] != 200: fail("HEAD")
    return done


def described(s):
    """The page and the table tell of the same routes."""
    doc = s.get("/openapi.json")
    if doc["openapi"] != "3.1.0": fail("openapi")
    routes = {f"{m.upper()} {p}" for p, ms in doc["paths"].items() for m in ms}
    page = set(re.findall(r"^\| `([A-Z]+ /[^`]*)` \|", (ROOT / "docs/rest.md").read_text(), re.M))
    if routes != page: fail(f"docs/rest.md: lacks {sorted(routes - page)}, has too much {sorted(page - routes)}")


def resumed(lab, s):
    """Events go on where they were, over a kill -9 of the server in the middle of a run."""
    rid = s.upload("talk", b"x = 1\n", {"parameters": json.dumps({"n": 12, "pause": 0.15})}, name="a.py")["run_id"]
    first = events(s, f"/runs/{rid}/events", until=lambda e: e[1] == "stats" and e[2]["data"]["executions"] >= 300)
    if [e[0] for e in first] != list(range(1, len(first) + 1)): fail(f"numbers: {[e[0] for e in first]}")
    s.p.kill()
    s.p.wait()
    s = Server(lab, "--insecure-loopback", port=s.port)
    rest = events(s, f"/runs/{rid}/events", last=first[-1][0])
    numbers = [e[0] for e in rest]
    if numbers[0] != first[-1][0] + 1 or numbers != sorted(set(numbers)): fail(f"after the restart: {first[-1]} then {rest[:2]}")
    if rest[-1][2]["data"].get("status") != "COMPLETED" or rest[-1][1] != "state": fail(f"the last event: {rest[-1]}")
    whole = events(s, f"/runs/{rid}/events")
    if events(s, f"/runs/{rid}/events", last="") != whole: fail("an empty Last-Event-ID")
    if events(s, f"/runs/{rid}/events", last=rest[-2][0]) != rest[-1:]: fail("the last event alone")
    for path in f"/runs/{rid}/events", f"/fuzzing/{rid}/stream":  # a browser would come again and again
        st, _, body = s.ask("GET", path, headers={"Last-Event-ID": str(rest[-1][0])})
        if st != 204 or body: fail(f"{path} by who has seen all: {st} {body}")
    if [e[0] for e in whole[:len(first)]] != [e[0] for e in first] or whole[len(first):] != rest: fail("two readings differ")
    if sum(e[2]["data"].get("status") == "RUNNING" for e in whole) != 1: fail("the history was taken twice")
    return s


def chunked_uploads(s):
    """Chunks that end where a buffer does: the library comes with the next one at once, also when it has been told to wait."""
    data = os.urandom(4 << 20) * 4
    body = b"".join(b"1000\r\n" + data[i:i + 4096] + b"\r\n" for i in range(0, len(data), 4096)) + b"0\r\n\r\n"
    want, got = "sha256:" + hashlib.sha256(data).hexdigest(), []
    def send():
        c = socket.create_connection(("127.0.0.1", s.port), 60)
        c.sendall(b"POST /store HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/octet-stream\r\n"
                  b"Transfer-Encoding: chunked\r\n\r\n" + body)
        got.append(b"".join(iter(lambda: c.recv(65536), b"")))
    for _ in range(3):
        threads = [threading.Thread(target=send) for _ in range(4)]
        for t in threads: t.start()
        for t in threads: t.join(60)
    if len(got) != 12 or any(want.encode() not in g for g in got): fail(f"uploads in chunks: {len(got)} {[g[:80] for g in got][:3]}")


def cut_off(s):
    """Uploads whose clients close in the middle give their room back at once."""
    H = b"POST /store HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/octet-stream\r\nContent-Length: "
    for i in range(300):
        c = socket.create_connection(("127.0.0.1", s.port))
        c.sendall(H + b"1000000\r\n\r\n" + bytes(1000 + 700 * i))
        c.close()
    if not until(lambda: b" 200 " in s.raw(H + b"3\r\n\r\nabc")[:20], 10): fail("uploads that were cut off keep others out")


def elsewhere(lab, s):
    """What a worker of another process does is told too: its stages, statistics and findings, each once."""
    box = lab.dir / "elsewhere"
    (box / "workflows/apart").mkdir(parents=True)
    (box / "workflows/apart/metadata.yaml").write_text('name: apart\nversion: "1"\nvertical: apart\n' + PARAMETERS)
    (box / "workflows/apart/workflow.lua").write_text(WORKFLOW)
    shutil.copytree(lab.toolbox() / "modules", box / "modules")
    p = lab.popen("--toolbox", box, "-q", "run", "apart", lab.target(), "n=30", "pause=0.2", "--name", "apart-1")
    if not until(lambda: s.ask("GET", "/runs/apart-1/status")[0] == 200): fail("the run of another process is not seen")
    e = events(s, "/runs/apart-1/events", seconds=60)
    kinds = [x[1] for x in e]
    if e[-1][2]["data"].get("status") != "COMPLETED" or kinds.count("finding") != 1 or kinds.count("crash") != 1 or "stats" not in kinds:
        fail(f"elsewhere: {kinds}")
    if [x[2]["data"]["state"] for x in e if x[1] == "stage"] != ["scheduled", "started", "completed"]: fail(f"stages: {e}")
    if p.wait(60) != 0: fail("the run of another process")


def many_watchers(s):
    rid = s.post("/workflows/waits/submit", {"target_path": str(s.lab.target())})["run_id"]
    got, seen = [0] * 60, threading.Barrier(61)
    def watch(i):
        c = http.client.HTTPConnection("127.0.0.1", s.port, timeout=60)
        c.request("GET", f"/runs/{rid}/events")
        r = c.getresponse()
        seen.wait()
        for line in r:
            if b'"COMPLETED"' in line: got[i] = 1
        c.close()
    threads = [threading.Thread(target=watch, args=(i,)) for i in range(60)]
    for t in threads: t.start()
    seen.wait(60)
    s.post(f"/runs/{rid}/signal/go", [1])
    for t in threads: t.join(60)
    if sum(got) != 60: fail(f"{sum(got)} of 60 watchers saw the end")


def repeated(lab, s):
    """A client that repeats itself after a kill -9 gets one run."""
    data = tarball({"a.py": "x = 1\n" * 1000})
    for i in range(6):
        key = f"key-{i}"
        def attempt(s): return s.upload("talk", data, {"parameters": '{"n": 1}'}, headers={"Idempotency-Key": key})
        def kill(p): time.sleep(0.004 * i); p.kill()
        t = threading.Thread(target=kill, args=(s.p,))
        t.start()
        try: attempt(s)
        except (OSError, http.client.HTTPException): pass
        t.join()
        s.p.wait()
        s = Server(lab, "--insecure-loopback", port=s.port)
        one, two = attempt(s), attempt(s)
        if one["run_id"] != two["run_id"]: fail(f"two runs of one key: {one} {two}")
        if s.wait(one["run_id"])["status"] != "COMPLETED": fail("the run of a key")
    # A name beside the key: the same submission again is answered, another one of that name is in its way.
    def named(key, want, name="by-name"):
        body = {"target_path": str(lab.target(name="named")), "parameters": {"n": 1}, "name": name}
        st, h, d = s.ask("POST", "/workflows/talk/submit", body, {"Idempotency-Key": key} if key else {})
        if st != want: fail(f"submission {name} with key {key}: {st}, wanted {want}: {d}")
        return h.get("Idempotent-Replayed"), d
    if named("mine", 200)[0]: fail("the first submission is a replay")
    again = named("mine", 200)
    if again[0] != "true" or again[1]["run_id"] != "by-name": fail(f"the same key and name: {again}")
    for key in ("yours", None):
        if named(key, 409)[1]["detail"]["error"]["type"] != "AlreadyExists": fail("another submission of the same name")
        s.upload("talk", data, {"parameters": '{"n": 1}', "name": "by-name"}, headers={"Idempotency-Key": key} if key else {}, want=409)
    named(None, 200, "without")
    named("mine", 409, "without")
    if named("yours", 200, "other")[0]: fail("another name")
    s.wait("by-name"); s.wait("without"); s.wait("other")
    # The same key with another request is a mistake of the client's, and no run of what he did not ask for.
    body = {"target_path": str(lab.target(name="named")), "parameters": {"n": 1}}
    K = {"Idempotency-Key": "one-request"}
    first = s.post("/workflows/talk/submit", body, headers=K)
    if s.post("/workflows/talk/submit", dict(reversed(body.items())), headers=K) != {**first, "status": s.get(f"/runs/{first['run_id']}/status")["status"]}:
        fail("the order of a document's members counts")
    for other in ({"timeout": 50}, {"parameters": {"n": 2}}, {"target_path": str(lab.target())}, {"fail_on": "high"}):
        e = s.post("/workflows/talk/submit", {**body, **other}, 422, headers=K)["detail"]["error"]
        if (e["type"], e["field"]) != ("IdempotencyKeyReused", "Idempotency-Key"): fail(f"the same key with {other}: {e}")
    K = {"Idempotency-Key": '"one-upload"'} # as the draft of the IETF has it
    first = s.upload("talk", data, {"parameters": '{"n": 1}'}, headers=K)
    for args, want in (((data, {"parameters": '{"n": 1}'}), 200), ((data, {"parameters": '{"n": 2}'}), 422), ((data, {"parameters": '{"n": 1}', "timeout": 9}), 422),
                       ((tarball({"a.py": "y = 2\n"}), {"parameters": '{"n": 1}'}), 422)):
        d = s.upload("talk", *args, want=want, headers=K)
        if want == 200 and d["run_id"] != first["run_id"]: fail(f"the same upload: {d}")
    s.wait(first["run_id"])
    folder = {"parameters": '{"n": 1}', "kind": "folder"} # made anew for each attempt
    K = {"Idempotency-Key": "one-folder"}
    if s.upload("talk", data, folder, headers=K)["run_id"] != s.upload("talk", tarball({"a.py": "y = 2\n"}), folder, headers=K)["run_id"]: fail("a folder again")
    runs = [r["run_id"] for r in s.get("/runs?limit=1000")["runs"]]
    if len(runs) != len(set(runs)): fail("a run twice")
    # cut off in the middle of its body: nothing comes of it
    n = len(runs)
    head = f"POST /workflows/talk/upload-and-submit HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/octet-stream\r\nContent-Length: 10000000\r\n\r\n"
    s.raw(head.encode() + b"x" * 3000000, 1, shut=True)
    if len(s.get("/runs?limit=1000")["runs"]) != n: fail("half an upload made a run")
    # A retry that comes again is the same one, also after it has ended and behind another one.
    def again(key):
        st, h, d = s.ask("POST", "/runs/by-name/retry", None, {"Idempotency-Key": key})
        if st != 200: fail(f"retry {key}: {st} {d}")
        return h.get("Idempotent-Replayed"), d["status"]
    for key, want in (("one", (None, "RUNNING")), ("one", ("true", "COMPLETED")), ("two", (None, "RUNNING")), ("one", ("true", "COMPLETED"))):
        got = again(key)
        s.wait("by-name")
        if got != want: fail(f"retry {key}: {got}, wanted {want}")
    once_each(s, "by-name")
    one_key(lab, s, data)
    pages_of_findings(s, data)
    until(lambda: len([e for e in s.get("/runs/by-name/log?events=state")["events"] if "workflow" in e["data"]]) == 3)
    return s


def pages_of_findings(s, data):
    """A page goes on with the run that the one before was of, whatever has ended meanwhile; and where that list is no more, it says so."""
    def run():
        rid = s.upload("many", data)["run_id"]
        s.wait(rid)
        return rid
    first = run()
    page = s.get("/findings?limit=2")
    seen = [f["id"] for f in page["findings"]]
    if run() == first or page["run_id"] != first: fail(f"the latest run: {page['run_id']}")
    cursor = page["next_cursor"]
    while page["next_cursor"]:
        page = s.get("/findings?limit=2&cursor=" + page["next_cursor"])
        if page["run_id"] != first: fail("the next page is of another run")
        seen += [f["id"] for f in page["findings"]]
    if len(seen) != 5 or len(set(seen)) != 5: fail(f"findings by pages: {seen}")
    if s.get(f"/findings?run={first}&limit=3&cursor={cursor}")["findings"][0]["id"] != seen[2]: fail("the run of the cursor, named")
    for query in ("severity=low&", "rule=x/*&", "run=" + run() + "&"): s.get(f"/findings?{query}cursor={cursor}", 404)
    s.post(f"/runs/{first}/retry")
    s.wait(first)
    s.get("/findings?cursor=" + cursor, 404)


def at_once(do):
    threads = [threading.Thread(target=do, args=(n,)) for n in range(16)]
    for t in threads: t.start()
    for t in threads: t.join()


def large_answers(s):
    """Who asks for what is large and does not take it gets so much of it, and then has to take that first."""
    ref = s.post("/store", os.urandom(8 << 20), headers={"Content-Type": "application/octet-stream"})["ref"]
    def begin():
        c = socket.socket()
        c.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        c.settimeout(60)
        c.connect(("127.0.0.1", s.port))
        c.sendall(f"GET /store/{ref}/bytes HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        return c, int(c.recv(12)[9:])
    begun = [begin() for _ in range(20)]
    got = [status for c, status in begun]
    if got != [200] * 16 + [429] * 4: fail(f"20 large answers that nobody takes: {got}")
    for c, status in begun: c.close()
    def again():
        c, status = begin()
        c.close()
        return status == 200
    if not until(again): fail("large answers that their clients have left still count")
    s.ask("DELETE", f"/store/{ref}")
    for end in (b"Connection: close\r\n\r\n", b"\r\n"): # also where the client has said that he sends no more
        head, _, body = s.raw(b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip\r\n" + end, shut=True).partition(b"\r\n\r\n")
        if b"Content-Encoding: gzip" not in head or "paths" not in json.loads(gzip.decompress(body)): fail(f"gzip: {head}")


def ends_in_time(lab, s):
    """What is not worked on yet when the time of those who are answered is over, is told so: the server does not work it off first."""
    rid = s.post("/workflows/endless/submit", {"target_path": str(lab.target(name="named"))})["run_id"]
    got = []
    def ask():
        try: got.append(s.ask("GET", f"/runs/{rid}/query/long")[0])
        except (OSError, http.client.HTTPException): got.append(0)
    threads = [threading.Thread(target=ask) for _ in range(200)]
    for t in threads: t.start()
    def waiting(): return re.search(r"^ff_http_jobs_waiting ([1-9][0-9]{2})", s.ask("GET", "/metrics")[2].decode(), re.M)
    if not until(waiting): fail("queries do not wait")
    s.stop()
    for t in threads: t.join()
    if got.count(503) < 10: fail(f"what waited when the server was to stop: {sorted(got)}")


def one_key(lab, s, data):
    """Of equal requests at the same time each is answered with the one run; the same key means something else where something else is asked."""
    for i in range(10):
        got = []
        def send(n): got.append(s.upload("talk", data, {"parameters": '{"n": 1}'}, headers={"Idempotency-Key": f"at-once-{i}"}).get("run_id"))
        at_once(send)
        if len(got) != 16 or len(set(got)) != 1: fail(f"16 times the same at once: {got}")
        s.wait(got[0])
    # One of them has begun it, and the others are told that it was not they; who asks for something else is not given that run.
    target = str(lab.target(name="named"))
    for i in range(10):
        got = []
        def ask(path, body):
            st, h, d = s.ask("POST", path, body, {"Idempotency-Key": f"told-{i}"})
            got.append((st, h.get("Idempotent-Replayed"), d.get("run_id")))
        at_once(lambda n: ask("/workflows/talk/submit", {"target_path": target, "parameters": {"n": 1}, "name": f"told-{i}"}))
        if sorted(got, key=str) != 15 * [(200, "true", f"told-{i}")] + [(200, None, f"told-{i}")]: fail(f"16 times the same at once: {got}")
        s.wait(f"told-{i}")
        got = []
        at_once(lambda n: ask(f"/runs/told-{i}/retry", None))
        if [g[1] for g in got].count(None) != 1: fail(f"16 times the same retry at once: {got}")
        s.wait(f"told-{i}")
        got = []
        at_once(lambda n: ask("/workflows/talk/submit", {"target_path": target, "parameters": {"n": n % 2}, "name": f"mixed-{i}"}))
        if sorted(g[0] for g in got) != 8 * [200] + 8 * [422]: fail(f"one key for two submissions at once: {got}")
        s.wait(f"mixed-{i}")
    K = {"Idempotency-Key": "for-both"}
    s.post("/workflows/talk/submit", {"target_path": str(lab.target(name="named")), "parameters": {"n": 1}, "name": "key-again"}, headers=K)
    s.wait("key-again")
    before = s.get("/runs/key-again")["execution_id"]
    s.ask("POST", "/runs/key-again/retry", None, K)
    if s.get("/runs/key-again")["execution_id"] == before: fail("a retry with the submission's key began nothing")
    s.wait("key-again")
    s.post("/workflows/waits/submit", {"target_path": str(lab.target(name="named")), "name": "key-signal"})
    for value in ([1], [1], [2], {"a": 1, "b": 2}, {"b": 2, "a": 1}): s.post("/runs/key-signal/signal/other", value, headers=K)
    s.post("/runs/key-signal/signal/go", [1])
    s.wait("key-signal")
    n = sum("SIGNALED" in json.dumps(e) for e in s.get("/runs/key-signal/history?limit=1000")["events"])
    if n != 4: fail(f"{n} signals, of which 3 with one key and 3 values")


def once_each(s, again):
    """A run that was started again is in lists once, as it is now, however they are paged and filtered."""
    now = s.get(f"/runs/{again}")["execution_id"]
    for query in ("limit=1", "limit=200", "limit=2&status=completed", "limit=1&workflow=" + s.get(f"/runs/{again}/status")["workflow"]):
        runs, cursor = [], ""
        while cursor is not None:
            page = s.get(f"/runs?{query}{cursor}")
            runs += page["runs"]
            cursor = page["next_cursor"] and "&cursor=" + page["next_cursor"]
        ids = [r["run_id"] for r in runs]
        if len(ids) != len(set(ids)) or [r["execution_id"] for r in runs if r["run_id"] == again] != [now]: fail(f"runs by {query}: {runs}")


def managed(lab):
    """As systemd starts it: a socket that listens already, notices, a watchdog, JSON logs; and a stop that lets an answer out."""
    listener = socket.create_server(("127.0.0.1", 0))
    two = subprocess.run(["sh", "-c", 'exec 3<&"$1" 4<&"$1"; shift; LISTEN_PID=$$ exec "$@"', "sh", str(listener.fileno()), lab.exe, "--state", str(lab.state), "serve",
                          "--insecure-loopback"], pass_fds=[listener.fileno()], capture_output=True, text=True, cwd=lab.dir, env={**lab.env, "LISTEN_FDS": "2"}, timeout=60)
    if two.returncode != 2 or "2 sockets" not in two.stderr: fail(f"two sockets: {two}") # nobody would answer at the second
    notes = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    notes.bind(str(lab.dir / "notify"))
    notes.settimeout(30)
    log = open(lab.dir / "managed.log", "wb")
    p = subprocess.Popen(["sh", "-c", 'exec 3<&"$1"; shift; LISTEN_PID=$$ exec "$@"', "sh", str(listener.fileno()), lab.exe, "--state", str(lab.state),
                          "--toolbox", str(lab.toolbox()), "serve", "--insecure-loopback", "--log-format", "json"],
                         pass_fds=[listener.fileno()], stdout=subprocess.DEVNULL, stderr=log, cwd=lab.dir,
                         env={**lab.env, "NOTIFY_SOCKET": str(lab.dir / "notify"), "LISTEN_FDS": "1", "WATCHDOG_USEC": "200000"})
    lab.procs.append(p)
    got = [notes.recv(100) for _ in range(4)]
    if b"READY=1" not in got or got.count(b"WATCHDOG=1") < 2: fail(f"notices: {got}")
    s = Server.__new__(Server)
    s.lab, s.p, s.port = lab, p, listener.getsockname()[1]
    run = s.post("/workflows/waits/submit", {"target_path": str(lab.target())})["run_id"]
    stream = socket.create_connection(("127.0.0.1", s.port))
    stream.sendall(f"GET /runs/{run}/events HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    if b"200 OK" not in stream.recv(1000): fail("stream")
    p.terminate()
    if p.wait(timeout=60) != 0: fail(f"stop: {(lab.dir / 'managed.log').read_text()[-200:]}")
    end = b""
    while d := stream.recv(65536): end += d
    if not end.endswith(b"0\r\n\r\n"): fail(f"the stream was not ended in order: {end[-50:]}")
    lines = [json.loads(x) for x in (lab.dir / "managed.log").read_text().splitlines()]
    if not any(x.get("route") == "/workflows/{workflow}/submit" and x["status"] == 200 and x["request_id"] for x in lines): fail(f"log: {lines}")
    lab.ff("runs", "terminate", run, check=0)


def tokens(lab):
    s = Server(lab)
    for path, want in (("/", 401), ("/runs", 401), ("/health", 200), ("/health/live", 200), ("/health/ready", 200), ("/openapi.json", 200)):
        st, h, b = s.ask("GET", path)
        if st != want or (st == 401 and h["WWW-Authenticate"] != "Bearer"): fail(f"without a token, {path}: {st}")
        if s.ask("GET", path, headers={"Authorization": f"Bearer {s.token}"})[0] != 200: fail(f"with the token, {path}")
    if s.ask("GET", "/runs", headers={"Authorization": "Bearer " + "0" * 64})[0] != 401: fail("a wrong token")
    for body, days in (({"role": "viewer"}, 30), ({"role": "viewer", "lifetime_ms": 86400000}, 1), ({"role": "viewer", "lifetime_ms": 0}, None)):
        t = s.post("/tokens", body, headers={"Authorization": f"Bearer {s.token}"})
        made, end = (datetime.datetime.fromisoformat(t[k][:-1]) if t[k] else None for k in ("created_at", "expires_at"))
        if ((end - made).days if end else None) != days: fail(f"a token's end: {t}")
    s.stop()


def of_ipv6(lab):
    """The address that it listens at is a Host that counts; in a URL one of IPv6 has brackets."""
    s = Server(lab, host="[0:0:0:0:0:0:0:1]")
    c = http.client.HTTPConnection("::1", s.port, timeout=30)
    c.request("GET", "/health/live", headers={"Host": f"[0:0:0:0:0:0:0:1]:{s.port}"})
    if c.getresponse().status != 200: fail("a server at an address of IPv6 does not know its own")
    s.stop()


def refused(lab):
    for args in (("--listen", "0.0.0.0:0"), ("--listen", "nonsense"), ("--listen", "127.0.0.1:0", "--tls-cert", "x")):
        lab.ff("serve", *args, check=2)


with Lab() as lab:
    lab.workflow("talk", WORKFLOW, PARAMETERS)
    lab.workflow("waits", WAITS)
    lab.module("talk", TALK)
    lab.module("leave", LEAVE)
    lab.workflow("leaves", LEAVES)
    lab.module("many", MANY)
    lab.workflow("endless", 'return function() ff.on_query("long", function() while true do end end) ff.wait_signal("go", "10m") end')
    lab.workflow("many", 'return function() return {summary = {}, findings = ff.activity("many", {}, {timeout = "60s"}).findings} end')
    refused(lab)
    tokens(lab)
    of_ipv6(lab)
    managed(lab)
    s = Server(lab, "--insecure-loopback", "-v")
    slow = begin_slowly(s)
    former_client(s, {})
    errors(s)
    guards(s)
    heads(s)
    unreadable(s)
    names(lab, s)
    more(s)
    kept_alive(s)
    described(s)
    many_watchers(s)
    chunked_uploads(s)
    cut_off(s)
    elsewhere(lab, s)
    slow_bodies(slow)
    hostile(s)
    idle(s)
    bodies(s)
    s = resumed(lab, s)
    s = repeated(lab, s)
    large_answers(s)
    ends_in_time(lab, s)
    ok("REST: former client, errors, guards, events over a restart, one run of a repeated request")
