#!/usr/bin/env python3
# Tenants of one server over HTTP: what a token does not open stays shut, however it is asked for; each change is written down; and
# nobody takes more than his quota.
import http.client, io, pathlib, re, resource, socket, struct, sys, tarfile, threading, time, urllib.parse
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from accept import *

SLEEPER = 'return function() ff.sleep("10m") return {summary = {}} end'
BUSY = '''return function(input)
  local r = ff.activity("burn", {seconds = 1.5}, {timeout = "60s", retry = {max = 1}})
  return {summary = {}}
end'''
PARENT = '''return function()
  local a, b = ff.start_child("sleeper", {}), ff.start_child("sleeper", {})
  local ok, e = pcall(ff.await, b)
  a:cancel()
  pcall(ff.await, a)
  local again = ff.child("brief", {})
  return {summary = {ok = ok, type = e.type, message = e.message, again = again.summary.done}}
end'''
ENDLESS = '''return function(input)
  ff.sleep(0.1)
  ff.continue_as_new({text = string.rep("x", 20000)})
end'''
CHATTY = '''return function(input)
  for i = 1, 1500 do ff.log("info", string.rep("x", 400)) if i % 100 == 0 then ff.sleep(0.01) end end
  return {summary = {}}
end'''
WORDY = '''return function(input)
  pcall(ff.activity, "absent", {text = string.rep("x", 600000)}, {timeout = "60s", retry = false})
  return {summary = {}}
end'''
LEAVER = 'return function(input) ff.activity("leave", {}, {timeout = "60s", retry = {max = 1}}) return {summary = {}} end'
LEAVE = '''
import os, json, sys
sys.stdin.readline()
open("/scratch/big.bin", "wb").write(os.urandom(600000))
print(json.dumps({"type": "artifact", "path": "/scratch/big.bin", "name": "big.bin"}))
print(json.dumps({"type": "result", "status": "success"}))
'''
BURN = '''
import sys, json, time
req = json.loads(sys.stdin.readline())
end = time.process_time() + req["input"]["seconds"]
while time.process_time() < end: pass
print(json.dumps({"type": "finding", "rule_id": "team/secret", "title": "only for team a", "severity": "high", "file": "a.py", "line": 1}))
open("/scratch/own.txt", "w").write("team a's own")
print(json.dumps({"type": "artifact", "path": "/scratch/own.txt", "name": "own.txt"}))
print(json.dumps({"type": "result", "status": "success"}))
'''


# Reads an object that its caller names, in a parameter as it is or put together by the script; or says that it found it.
NAMER = '''return function(input)
  local p = input.parameters
  if p.how == "found" then return {summary = {}, findings = {ref = p.digest, bytes = 1}} end
  local object = p.how == "put together" and {ref = p.digest} or p.object
  return {summary = ff.activity("peek", {object = object}, {timeout = "60s", retry = {max = 1}}).summary}
end'''
NAMER_META = '''parameters:
  type: object
  properties:
    how: {type: string}
    digest: {type: string}
    object: {type: object}
'''
PEEK = '''
import sys, json
o = json.loads(sys.stdin.readline())["input"].get("object")
print(json.dumps({"type": "result", "status": "success", "summary": {"text": open(o["path"]).read() if o else ""}}))
'''


def expect(cond, what):
    if not cond: fail(what)


class Server:
    def __init__(self, lab, *args, **env):
        self.lab = lab
        self.p = lab.popen("--toolbox", lab.toolbox(), "--json", "serve", "--listen", "127.0.0.1:0", *args, stdout=subprocess.PIPE,
                           stderr=open(lab.dir / "serve.log", "ab"), env=env)
        text = b""
        while not text.rstrip().endswith(b"}"):
            line = self.p.stdout.readline()
            if not line: fail(f"serve did not start: {(lab.dir / 'serve.log').read_text()[-300:]}")
            text += line
        self.port = int(json.loads(text)["rest"].rsplit(":", 1)[1])
        self.owner = (lab.state / "token").read_text().strip()

    def token(self, *options):
        return self.lab.ff("-q", "token", "create", *options, check=0).stdout.strip()

    def ask(self, token, method, path, body=None, type="application/json", space=None):
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        headers = {"Authorization": "Bearer " + token} if token else {}
        if space: headers["X-FF-Namespace"] = space
        if body is not None:
            headers["Content-Type"] = type
            body = json.dumps(body) if isinstance(body, dict) else body
        c.request(method, path, body, headers)
        r = c.getresponse()
        data = r.read()
        c.close()
        try: return r.status, json.loads(data)
        except ValueError: return r.status, data

    def upload(self, token, workflow, name, size=10, parameters=None):
        b = io.BytesIO()
        with tarfile.open(fileobj=b, mode="w") as t:
            info = tarfile.TarInfo("a.py")
            data = (name * size).encode()[:size].ljust(size, b"x")
            info.size = len(data)
            t.addfile(info, io.BytesIO(data))
        more = "&parameters=" + urllib.parse.quote(json.dumps(parameters)) if parameters else ""
        return self.ask(token, "POST", f"/workflows/{workflow}/upload-and-submit?filename=t.tar&name={name}{more}", b.getvalue(),
                        "application/octet-stream")

    def wait(self, token, run):
        end = time.time() + 60
        while time.time() < end:
            status, s = self.ask(token, "GET", f"/runs/{run}/status")
            if status == 200 and not s["is_running"]: return s
            time.sleep(0.05)
        fail(f"run {run} does not end: {status} {s}")

    def stop(self):
        self.p.send_signal(signal.SIGTERM)
        expect(self.p.wait(60) == 0, "the server ends well")


def check_walls(s):
    a = s.token("--role", "operator", "--namespace", "team-a", "--name", "a")
    b = s.token("--role", "operator", "--namespace", "team-b", "--name", "b")
    boss = s.token("--role", "admin", "--namespace", "team-b", "--name", "boss")
    viewer = s.token("--role", "viewer", "--namespace", "team-a", "--name", "v")
    status, r = s.upload(a, "busy", "run1")
    expect(status == 200, f"an operator uploads: {status} {r}")
    expect(s.wait(a, "run1")["status"] == "COMPLETED", "a worker serves the namespace")
    expect(s.ask(a, "GET", "/runs/run1/findings")[0] == 200 and s.ask(viewer, "GET", "/runs/run1/findings")[0] == 200, "its own sees it")
    expect(s.ask(a, "GET", "/runs/run1/artifacts/own.txt")[1] == b"team a's own", "its artifact")
    for token, who in ((b, "operator"), (boss, "admin"), (s.token("--namespace", "default"), "default's viewer")):
        for method, path in (("GET", "/runs/run1"), ("GET", "/runs/run1/status"), ("GET", "/runs/run1/findings"), ("GET", "/runs/busy/findings/run1"),
                             ("GET", "/runs/run1/summary"), ("GET", "/runs/run1/artifacts"), ("GET", "/runs/run1/artifacts/own.txt"),
                             ("GET", "/runs/run1/history"), ("GET", "/runs/run1/events"), ("GET", "/runs/run1/log"), ("GET", "/runs/run1/query/__stack"),
                             ("GET", "/fuzzing/run1/stats"), ("GET", "/fuzzing/run1/crashes"), ("GET", "/fuzzing/run1/stream"),
                             ("POST", "/runs/run1/cancel"), ("POST", "/runs/run1/terminate"), ("POST", "/runs/run1/retry"), ("DELETE", "/runs/run1"),
                             ("DELETE", "/fuzzing/run1"), ("GET", "/runs/team-a%2Frun1"), ("GET", "/runs/team-a@run1"), ("GET", "/runs/%2E%2E%2Fteam-a%2Frun1")):
            status, r = s.ask(token, method, path)
            expect(status in (403, 404), f"{who} of another namespace: {method} {path}: {status} {str(r)[:200]}")
            expect("team a" not in str(r) and "team/secret" not in str(r), f"{path} tells {who}")
        for path in ("/runs", "/findings", "/runs?limit=100"):
            status, r = s.ask(token, "GET", path)
            expect("run1" not in str(r) and "team/secret" not in str(r), f"{path} tells {who}: {r}")
        for path in ("/store", "/metrics"):
            expect(s.ask(token, "GET", path)[0] == 403, f"{path} is for who sees all")
    # Each sees the workers that take its tasks, and nothing of the house that they live in.
    def workers(token): return {w["identity"] for w in s.ask(token, "GET", "/workers")[1]["workers"]}
    own = s.lab.popen("--namespace", "team-a", "worker", "--vertical", "python")
    def apart(): return len(workers(a)) == 2 and len(workers(b)) == 1 and workers(b) == workers(s.owner)
    end = time.time() + 60
    while not apart() and time.time() < end: time.sleep(0.05)  # the server's begins some time after a namespace was made
    expect(apart(), f"a worker of one namespace: {workers(a)} {workers(b)} {workers(s.owner)}")
    status, r = s.ask(a, "GET", "/status")
    expect(status == 200 and len(r["workers"]) == 2 and str(s.lab.state) not in str(r) and r["runs"]["completed"] == 1, f"status for a tenant: {r}")
    own.terminate()
    own.wait(60)
    expect(s.ask(s.owner, "GET", "/status")[1]["state"] == str(s.lab.state), "status for the owner")
    expect(s.ask(s.owner, "GET", "/store")[0] == 200 and s.ask(s.owner, "GET", "/metrics")[0] == 200, "the owner sees all")
    expect(s.ask(viewer, "GET", "/store")[0] == 403, "a viewer does not see the store")
    # the same name is another run
    status, r = s.upload(b, "busy", "run1")
    expect(status == 200, f"the same name in another namespace: {status} {r}")
    s.wait(b, "run1")
    expect(s.ask(b, "DELETE", "/runs/run1")[0] == 200, "which is deleted")
    expect(s.ask(a, "GET", "/runs/run1/artifacts/own.txt")[1] == b"team a's own", "and the other is still there")
    s.lab.ff("store", "gc", check=0)
    expect(s.ask(a, "GET", "/runs/run1/artifacts/own.txt")[1] == b"team a's own", "also after what nobody needs was removed")
    return a, b, boss, viewer


def check_choice(s, a):
    """Who has a token of all namespaces says which one it is about; to another token that says nothing new."""
    def ids(token, space=None): return {r["run_id"] for r in s.ask(token, "GET", "/runs", space=space)[1]["runs"]}
    expect(ids(s.owner, "team-a") == ids(a) == ids(a, "team-a") != set() and not ids(s.owner) & ids(a), "the runs of a namespace that is named")
    for path in ("/runs/run1/status", "/runs/run1/status", "/runs/run1/events", "/runs/run1/log", "/runs/run1/artifacts/own.txt", "/status", "/workers"):
        status, r = s.ask(s.owner, "GET", path, space="team-a")
        expect(status == 200, f"{path} of a namespace that is named: {status} {r}")
        if "run1" in path: expect(s.ask(s.owner, "GET", path)[0] == 404, f"{path} of no namespace that is named")
    denied = [s.ask(a, "GET", "/runs", space=other) for other in ("team-b", "nosuch", "default", "*")]
    expect({(st, r["detail"]["error"]["message"]) for st, r in denied} == {(403, "the token is for another namespace than X-FF-Namespace names")}, f"another namespace: {denied}")
    for _ in range(2):
        for none in ("nosuch", "*", "A b", "x" * 300):
            status, r = s.ask(s.owner, "POST", "/workflows/brief/submit", {"target_path": str(s.lab.target({"a.py": "x"}, "chosen"))}, space=none)
            expect(status == 404 and r["detail"]["error"]["type"] == "NamespaceNotFound", f"the namespace {none[:9]}: {status} {r}")
    def remote(*args, **kw): return s.lab.ff("--server", f"http://127.0.0.1:{s.port}", "--token-file", s.lab.state / "token", *args, **kw)
    remote("--namespace", "team-a", "run", "brief", s.lab.target({"a.py": "x"}, "chosen"), "--name", "chosen", check=0)
    expect("chosen" in ids(a) and "chosen" not in ids(s.owner), "a run in a namespace that is named")
    expect(remote("runs", "show", "chosen").returncode == 2, "a run of a namespace that is not named")
    remote("--namespace", "team-a", "runs", "delete", "chosen", check=0)
    for none in ("nosuch", "A b\r\nX: y"): expect(remote("--namespace", none, "runs", "list").returncode == 2, f"ff --namespace {none}")


def check_digests(s, a, b):
    """Who knows the digest of another namespace's object has nothing by that; in a namespace, one run reads what another has left."""
    ref = next(x["ref"] for x in s.ask(a, "GET", "/runs/run1/artifacts")[1]["artifacts"] if x["name"] == "own.txt")
    expect(s.ask(a, "GET", f"/store/{ref}")[1]["bytes"] == 12 and s.ask(a, "GET", f"/store/{ref}/bytes")[1] == b"team a's own", "its own by name")
    for path in (f"/store/{ref}", f"/store/{ref}/bytes"):
        status, r = s.ask(b, "GET", path)
        expect(status == 404 and "no object" in str(r), f"another's by name: {status} {r}")
        expect(s.ask(a, "DELETE", f"/store/{ref}")[0] == 403, "nobody takes it away")
    status, r = s.upload(a, "namer", "run1", parameters={"object": {"ref": "sha256:" + "0" * 64}})
    expect(status in (404, 409), f"a name that is taken, with an object that is not there: {status} {r}")
    expect(s.ask(a, "GET", "/runs/run1/artifacts/own.txt")[1] == b"team a's own", "the run of that name keeps what it has")
    for how in ("as it is", "put together"):
        name = how.replace(" ", "-")
        given = {"how": how, **({"object": {"ref": ref}} if how == "as it is" else {"digest": ref})}
        status, r = s.upload(a, "namer", name, parameters=given)
        expect(status == 200 and s.wait(a, name)["status"] == "COMPLETED", f"its own, {how}: {status} {r}")
        expect("team a's own" in str(s.ask(a, "GET", f"/runs/{name}")[1]), f"what its own run has left, {how}")
        status, r = s.upload(b, "namer", name, parameters=given)
        if how == "as it is":
            expect(status == 404 and "no object" in str(r) and s.ask(b, "GET", f"/runs/{name}")[0] == 404, f"another's: {status} {r}")
            continue
        expect(status == 200 and s.wait(b, name)["status"] == "FAILED", f"another's, {how}: {status}")
        r = s.ask(b, "GET", f"/runs/{name}")[1]
        expect("no object" in str(r) and "team a's own" not in str(r), f"another's, {how}: {r}")
    digest = re.search(r'"findings": *{[^{}]*"ref": *"(sha256:[0-9a-f]+)"', json.dumps(s.ask(a, "GET", "/runs/run1/history")[1])).group(1)
    for token, want in ((a, 200), (b, 404)):
        expect(s.upload(token, "namer", "found", parameters={"how": "found", "digest": digest})[0] == 200, "says that it found it")
        s.wait(token, "found")
        status, r = s.ask(token, "GET", "/runs/found/findings")
        expect(status == want and ("team/secret" in str(r)) == (want == 200), f"findings of a digest: {status} {r}")


def check_folders(s, b):
    """Where the toolbox lies on the server's machine is not told to those who are bound to a namespace."""
    here = str(s.lab.dir)
    for path in ("/workflows?all=true", "/workflows/busy/metadata", "/workflows/torn/metadata", "/modules", "/modules/burn", "/modules/torn"):
        status, r = s.ask(b, "GET", path)
        expect(here not in str(r) and ("torn" in path or status == 200), f"{path} tells a tenant: {status} {r}")
        expect(here in str(s.ask(s.owner, "GET", path)[1]), f"{path} tells the owner")
    expect("workflows/busy" in str(s.ask(b, "GET", "/workflows/busy/metadata")[1]["folder"]), "the folder in the toolbox")


def check_sessions(s, a, b):
    """Who makes sessions without end takes none of another's away."""
    c = http.client.HTTPConnection("127.0.0.1", s.port, timeout=60)
    def mcp(token, method, session=None, space=None):
        head = {"Authorization": "Bearer " + token, "Content-Type": "application/json", "Accept": "application/json, text/event-stream",
                "MCP-Protocol-Version": "2025-06-18", **({"Mcp-Session-Id": session} if session else {}), **({"X-FF-Namespace": space} if space else {})}
        given = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}} if method == "initialize" else {"name": "list_recent_runs_mcp", "arguments": {}}
        c.request("POST", "/mcp", json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": given}), head)
        r = c.getresponse()
        seen.append(r.read())
        return r.status, r.getheader("Mcp-Session-Id")
    seen = []
    status, mine = mcp(s.owner, "initialize", space="team-a")
    expect(mcp(s.owner, "tools/call", mine, "team-a")[0] == 200 and b"run1" in seen[-1], f"a session for a namespace that is named: {status} {seen[-1]}")
    expect(mcp(s.owner, "tools/call", mine)[0] == 404, "that session for another one")
    status, mine = mcp(a, "initialize")
    expect(status == 200 and mcp(a, "ping", mine)[0] == 200, f"a session: {status}")
    made = [mcp(b, "initialize")[1] for _ in range(1100)]
    expect(mcp(a, "ping", mine)[0] == 200, "it is still there after 1,100 of another namespace")
    expect(mcp(b, "ping", made[-1])[0] == 200 and mcp(b, "ping", made[0])[0] == 404, "of which the oldest have gone")
    c.close()


def check_watchers(s, a, b):
    """Who watches without end keeps no other from watching, and may watch again once he has let go."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1]),) * 2)
    began = time.time()
    def open_now():
        metrics = s.ask(s.owner, "GET", "/metrics")[1]
        return int(re.search(r"^ff_http_connections (\d+)", metrics.decode() if isinstance(metrics, bytes) else metrics, re.M)[1]) > 5
    def request(token, i):
        path, more = ("/runs/watched/events", "") if i % 2 else ("/fuzzing/watched/live", "Connection: Upgrade\r\nUpgrade: websocket\r\n"
                      "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n")
        return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{s.port}\r\nAuthorization: Bearer {token}\r\n{more}\r\n".encode()
    def open_one(token, i):
        k = socket.create_connection(("127.0.0.1", s.port), 60)
        k.sendall(request(token, i))
        return k, k.recv(12)[9:].decode()
    for token in (a, b):
        status, r = s.upload(token, "sleeper", "watched")
        expect(status == 200, f"a run to watch: {status} {r}")
    for i in range(600):  # gone before they were sockets
        k = socket.create_connection(("127.0.0.1", s.port), 60)
        k.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        k.sendall(request(b, 0))
        time.sleep(i % 3 * 0.0005)
        k.close()
    while open_now() and time.time() < began + 30: time.sleep(0.2)
    many = [open_one(b, i) for i in range(520)]
    got = {c: sum(x[1] == c for x in many) for c in ("101", "200", "429", "503")}
    expect(got["101"] + got["200"] == 500 and got["429"] + got["503"] == 20, f"500 watch, and no more: {got}")
    for i in range(2):
        k, code = open_one(a, i)
        expect(code in ("101", "200"), f"another's watch: {code}")
        k.close()
    for k, _ in many: k.close()
    end = time.time() + 60
    while True:
        k, code = open_one(b, 1)
        k.close()
        if code == "200": break
        expect(time.time() < end, "they have gone, and one may watch again")
        time.sleep(0.5)
    for token in (a, b): s.ask(token, "POST", "/runs/watched/terminate")


def check_roles(s, a, viewer, boss):
    for method, path, body in (("POST", "/workflows/busy/submit", {"target_path": "https://example.org/x"}), ("POST", "/runs/run1/cancel", None),
                               ("POST", "/runs/run1/terminate", None), ("POST", "/runs/run1/retry", None), ("POST", "/runs/run1/signal/x", None),
                               ("DELETE", "/runs/run1", None), ("POST", "/fuzzing/run1/stats", {}), ("POST", "/fuzzing/run1/crash", {}),
                               ("DELETE", "/fuzzing/run1", None)):
        expect(s.ask(viewer, method, path, body)[0] == 403, f"a viewer: {method} {path}")
    expect(s.upload(viewer, "busy", "nothing")[0] == 403, "a viewer uploads nothing")
    here = str(s.lab.target())
    for spec in (here, "/etc", "file:///etc", "FILE:///etc/", "/proc/self/root/etc", "https://127.0.0.1:1/x", "https://localhost/x", "https://u:p@127.1.2.3/x",
                 "https://[::1]/x", "https://a.localhost:99/x", "ssh://example.org/x", "git@example.org:x", "http://127.0.0.1/x"):
        for token in (a, boss):
            status, r = s.ask(token, "POST", "/workflows/busy/submit", {"target_path": spec})
            expect(status == 403, f"no reading of the server's machine: {spec}: {status} {r}")
    status, r = s.ask(s.owner, "POST", "/workflows/busy/submit", {"target_path": here, "name": "owners"})
    expect(status == 200, f"the owner may: {status} {r}")
    s.wait(s.owner, "owners")
    for token in ("", "0" * 64, a[:-1], a + "0", s.owner.upper()):
        expect(s.ask(token, "GET", "/runs")[0] == 401, "what is no token opens nothing")
    s.lab.ff("token", "revoke", "v", check=0)
    expect(s.ask(viewer, "GET", "/runs")[0] == 401, "a revoked token is worth nothing at once")


def check_audit(s):
    entries = json.loads(s.lab.ff("--json", "audit", "-n", "1000", check=0).stdout)["entries"]
    rest = [e for e in entries if e["via"] == "rest"]
    got = {(e["who"]["name"], e["action"], e["outcome"]) for e in rest}
    for want in (("a", "run.submit", "allowed"), ("b", "run.delete", "allowed"), ("v", "run.submit", "denied"), ("v", "run.delete", "denied"),
                 ("v", "run.crash", "denied"), ("owner", "run.submit", "allowed")):
        expect(want in got, f"{want} was not written down: {sorted(got)}")
    expect(all(e["peer"] == "127.0.0.1" and e["namespace"] for e in rest), f"from where, and about what: {rest[:2]}")
    expect([e["time"] for e in entries] == sorted(e["time"] for e in entries), "one log, in the order of time")
    def by(path): return {json.loads(l)["who"]["name"] for l in open(s.lab.state / "audit" / path)}
    expect("owner" in by("audit.ndjson") and not {"a", "b", "v", "boss"} & by("audit.ndjson"), f"who sees all: {by('audit.ndjson')}")
    expect("a" in by("namespaces/team-a/audit.ndjson") and by("namespaces/team-a/denied.ndjson") >= {"v"}, "each namespace has its own")


def with_results(s, small):
    """What a run has left counts, until the run is taken away."""
    expect(s.upload(small, "leaver", "l1")[0] == 200, "a run that leaves something")
    s.wait(small, "l1")
    time.sleep(2.1)
    status, r = s.upload(small, "sleeper", "l2")
    expect(status == 429 and "stores" in str(r), f"its results are too much: {status} {r}")
    expect(s.ask(small, "DELETE", "/runs/l1")[0] == 200, "it is taken away")
    expect(s.upload(small, "sleeper", "l3")[0] == 200, "and there is room again")
    s.ask(small, "POST", "/runs/l3/terminate")
    s.wait(small, "l3")
    s.ask(small, "DELETE", "/runs/l3")


def with_words(s, small):
    """So do its history and its events."""
    for workflow in ("wordy", "chatty"):
        expect(s.upload(small, workflow, workflow)[0] == 200, "a run of many words")
        s.wait(small, workflow)
        end = time.time() + 20
        while (got := s.upload(small, "brief", "more"))[0] == 200 and time.time() < end:
            s.wait(small, "more")
            s.ask(small, "DELETE", "/runs/more")
            time.sleep(0.5)
        expect(got[0] == 429 and "stores" in str(got[1]), f"what it said is too much: {workflow}: {got}")
        expect(s.ask(small, "POST", f"/runs/{workflow}/retry")[0] == 429, "also for one that brings nothing")
        expect(s.ask(small, "DELETE", f"/runs/{workflow}")[0] == 200, "it is taken away")
        while (got := s.upload(small, "brief", "more"))[0] == 429 and time.time() < end + 20: time.sleep(0.2)
        expect(got[0] == 200, f"and there is room again: {got}")
        s.wait(small, "more")
        s.ask(small, "DELETE", "/runs/more")


def without_end(s, small):
    """Nor does a run without end fill the disk: where there is no room any more, it does not begin anew."""
    expect(s.upload(small, "endless", "e1")[0] == 200, "a run without end")
    end = time.time() + 60
    while (r := s.ask(small, "GET", "/runs/e1")[1])["status"] != "FAILED" and time.time() < end: time.sleep(0.3)
    expect(r["status"] == "FAILED" and "stores" in str(r) and "may store" in str(r), f"it fails: {r}")
    status, r = s.ask(small, "DELETE", "/runs/e1")
    expect(status == 200, f"it is taken away: {status} {r}")


def stored(lab):
    return sum(f.stat().st_size for f in (lab.state / "store").rglob("*") if f.is_file())


def refused(s, token):
    """What a tenant has no room for takes none: neither while it comes, nor afterwards."""
    before = stored(s.lab)
    b = io.BytesIO()
    with tarfile.open(fileobj=b, mode="w:gz", compresslevel=1) as t:
        for i in range(40):
            info = tarfile.TarInfo(f"{i}.bin")
            info.size = 500000
            t.addfile(info, io.BytesIO(os.urandom(info.size)))
    for name, data in (("one.bin", os.urandom(20 << 20)), ("many.tar.gz", b.getvalue())):
        status, r = s.ask(token, "POST", f"/workflows/sleeper/upload-and-submit?filename={name}", data, "application/octet-stream")
        expect(status == 429 and r["detail"]["error"]["type"] == "QuotaExceeded", f"{name}: {status} {r}")
        expect(stored(s.lab) - before < 2 << 20, f"{name} was refused, and left {stored(s.lab) - before} bytes")


def at_once(s, room):
    """What is being started counts, though nobody finds it stored yet."""
    asked = []
    for i in range(16):
        c = http.client.HTTPConnection("127.0.0.1", s.port, timeout=60)
        c.putrequest("POST", f"/workflows/sleeper/upload-and-submit?filename=r{i}")
        for header in ("Authorization", "Bearer " + room), ("Content-Type", "application/octet-stream"), ("Content-Length", "700000"):
            c.putheader(*header)
        c.endheaders(os.urandom(699999))
        asked.append(c)
    for c in asked: c.send(b"x")
    results = sorted(c.getresponse().status for c in asked)
    expect(results == [200] + [429] * 15, f"there is room for one: {results}")


def with_children(s, small, other):
    """A child is a run too: beyond the quota it fails at once, where its parent sees it; when there is a place, it begins."""
    expect(s.upload(small, "parent", "p1")[0] == 200 and s.wait(small, "p1")["status"] == "COMPLETED", "a parent goes on")
    r = s.ask(small, "GET", "/runs/p1/summary")[1]["summary"]
    expect(r == {"ok": False, "type": "QuotaExceeded", "message": "namespace 'small' has 2 runs under way, and may have 2", "again": True},
           f"what the parent saw: {r}")
    runs = {x["run_id"]: x["status"] for x in s.ask(small, "GET", "/runs")[1]["runs"]}
    expect(sorted(v for k, v in runs.items() if k.startswith("p1")) == ["CANCELLED", "COMPLETED", "COMPLETED", "FAILED"], f"the children: {runs}")
    stages = [e["data"] for e in s.ask(small, "GET", "/runs/p1/log?events=stage")[1]["events"]]
    expect(sorted((e["workflow"], e["state"]) for e in stages) == [("brief", "completed"), ("brief", "started"), ("sleeper", "cancelled"), ("sleeper", "failed"),
           ("sleeper", "started"), ("sleeper", "started")] and {e["run_id"] for e in stages} < set(runs), f"what the parent's events say of them: {stages}")
    for r in runs:
        if r.startswith("p1"): s.ask(small, "DELETE", f"/runs/{r}")
    expect(s.upload(other, "parent", "p2")[0] == 200, "a parent of others")
    end = time.time() + 20
    def running(): return sum(x["status"] == "RUNNING" for x in s.ask(other, "GET", "/runs")[1]["runs"] if x["run_id"].startswith("p2"))
    while running() != 3 and time.time() < end: time.sleep(0.05)
    expect(running() == 3, "has two children, as nothing bounds it")
    s.ask(other, "POST", "/runs/p2/terminate")


def check_quotas(lab):
    """Runs at a time, bytes, CPU time: bounded for one, free for the other."""
    s = Server(lab, FF_QUOTA_NAMESPACES="small runs=2 storage=500K cpu=2s; room storage=1M")
    small = s.token("--role", "operator", "--namespace", "small")
    other = s.token("--role", "operator", "--namespace", "team-a")
    results = []
    threads = [threading.Thread(target=lambda i=i: results.append(s.upload(small, "sleeper", f"s{i}")[0])) for i in range(6)]
    for t in threads: t.start()
    for t in threads: t.join()
    expect(sorted(results) == [200, 200, 429, 429, 429, 429], f"two at a time, and no more: {results}")
    expect(s.upload(other, "sleeper", "o1")[0] == 200 and s.upload(other, "sleeper", "o2")[0] == 200 and s.upload(other, "sleeper", "o3")[0] == 200,
           "others are not bound")
    runs = [r["run_id"] for r in s.ask(small, "GET", "/runs")[1]["runs"]]
    for r in runs:
        s.ask(small, "POST", f"/runs/{r}/terminate")
        s.wait(small, r)
    status, r = s.upload(small, "sleeper", "large", 600000)
    expect(status == 429 and r["detail"]["error"]["type"] == "QuotaExceeded", f"too many bytes: {status} {r}")
    refused(s, small)
    at_once(s, s.token("--role", "operator", "--namespace", "room"))
    with_children(s, small, other)
    expect(s.upload(small, "busy", "b1")[0] == 200, "within all")
    s.wait(small, "b1")
    time.sleep(2.1)
    with_results(s, small)
    with_words(s, small)
    without_end(s, small)
    status, r = s.upload(small, "busy", "b2")
    expect(status == 200, f"there is some CPU time left: {status} {r}")
    s.wait(small, "b2")
    status, r = s.upload(small, "busy", "b3")
    expect(status == 429 and "CPU" in str(r), f"no CPU time is left: {status} {r}")
    expect(s.ask(small, "POST", "/runs/b1/retry")[0] == 429, "nor for a retry")
    s.stop()
    s = Server(lab, FF_QUOTA_NAMESPACES="small cpu=2s")
    expect(s.upload(small, "busy", "b4")[0] == 429, "a restart does not forget what was used")
    s.stop()
    expect(lab.ff("serve", "--listen", "127.0.0.1:0", env={"FF_QUOTA_DEFAULT": "runs=many"}).returncode == 2, "a quota that is none")


with Lab() as lab:
    lab.workflow("sleeper", SLEEPER)
    lab.workflow("brief", "return function() return {summary = {done = true}} end")
    lab.workflow("parent", PARENT)
    lab.workflow("busy", BUSY)
    lab.module("burn", BURN)
    lab.workflow("namer", NAMER, NAMER_META)
    lab.module("peek", PEEK)
    lab.workflow("leaver", LEAVER)
    lab.workflow("wordy", WORDY)
    lab.workflow("chatty", CHATTY)
    lab.workflow("endless", ENDLESS, "parameters:\n  type: object\n  properties:\n    text: {type: string}\n")
    lab.module("leave", LEAVE)
    lab.workflow("torn", "return function() end", "tags: [\n")
    lab.module("torn", "")
    (lab.toolbox() / "modules" / "torn" / "module.yaml").write_text("name: [")
    s = Server(lab)
    a, b, boss, viewer = check_walls(s)
    check_choice(s, a)
    check_digests(s, a, b)
    check_folders(s, b)
    check_sessions(s, a, b)
    check_watchers(s, a, b)
    check_roles(s, a, viewer, boss)
    check_audit(s)
    s.stop()
    check_quotas(lab)
    ok("walls, roles, audit, quotas")
