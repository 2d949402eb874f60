#!/usr/bin/env python3
# engine: temporal from the command line, without a cluster: `ff serve --grpc` speaks the same protocol, with TLS and tokens. Every
# command works over TCP, and every fault of the connection is one line, exit status 5, that says what and where.
import pathlib, socket, sqlite3, sys, threading, time
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from accept import *

SIGNALLED = '''return function(input)
  ff.on_query("state", function(q) return {waiting = true, asked = q} end)
  local v = ff.wait_signal("go", "60s")
  return {summary = {v = v}}
end'''


def until(what, seconds=60):
    end = time.time() + seconds
    while time.time() < end:
        v = what()
        if v: return v
        time.sleep(0.05)
    return None


def certificates(d):
    """An authority, a server's certificate and a client's; the server's once more, expired a second from now."""
    def openssl(*args):
        r = subprocess.run(["openssl", *args], cwd=d, capture_output=True, text=True)
        if r.returncode: fail(f"openssl {args[0]}: {r.stderr}")
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    for ca in ("ca", "other"):
        openssl("req", "-x509", *key, "-days", "2", "-keyout", ca + ".key", "-out", ca + ".pem", "-subj", "/CN=" + ca)
    (d / "ext").write_text("subjectAltName=DNS:localhost,DNS:ff.example")
    def sign(name, days, out):
        openssl("x509", "-req", "-in", name + ".csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", days,
                "-extfile", "ext", "-out", out)
    for name in ("server", "client"):
        openssl("req", *key, "-keyout", name + ".key", "-out", name + ".csr", "-subj", "/CN=" + name)
        sign(name, "2", name + ".pem")
    sign("server", "0", "old.pem")


def serve(lab, *args):
    """Gives the process and its port."""
    p = lab.popen("--toolbox", lab.toolbox(), "serve", "--grpc", "127.0.0.1:0", *args, stdout=subprocess.PIPE)
    line = p.stdout.readline().decode()
    if "127.0.0.1:" not in line: fail(f"serve: {line}")
    return p, int(line.split("127.0.0.1:")[1].split()[0])


def commands(lab, env, T):
    def ff(*args, **kw): return lab.ff("--engine", "temporal", *T, *args, env=env, **kw)
    p = ff("--json", "run", "secret_detection", lab.t, "--name", "scan", check=0)
    doc = json.loads(p.stdout)
    if doc["status"] != "COMPLETED" or doc["findings_count"]["critical"] + doc["findings_count"]["high"] < 1:
        fail(f"run: {p.stdout[:500]}")
    done = []
    t = threading.Thread(target=lambda: done.append(ff("--json", "run", "signalled", lab.t, "--name", "s1")))
    t.start()
    if not until(lambda: json.loads(ff("--json", "runs", "show", "s1").stdout or "{}").get("status") == "RUNNING"): fail("show")
    q = json.loads(ff("--json", "runs", "query", "s1", "state", '{"a": 1}', check=0).stdout)
    if "waiting" not in json.dumps(q): fail(f"query: {q}")
    ff("runs", "signal", "s1", "go", '"now"', check=0)
    t.join(30)
    if not done or json.loads(done[0].stdout)["summary"]["v"] != "now": fail(f"signal: {done}")
    if "WorkflowExecutionSignaled" not in ff("runs", "events", "s1", check=0).stdout: fail("events")
    ff("runs", "wait", "s1", check=0)
    p = ff("run", "-d", "signalled", lab.t, "--name", "s2", check=0)
    if "worker" not in p.stderr: fail(f"-d does not say who works: {p.stderr}")
    ff("runs", "cancel", "s2", check=0)
    ff("runs", "wait", "s2", check=4)
    names = ff("runs", "list", check=0).stdout
    if not all(n in names for n in ("scan", "s1", "s2", "CANCELLED")): fail(f"list: {names}")
    p = ff("--json", "status", check=0)
    if "temporal at localhost" not in p.stdout: fail(f"status: {p.stdout}")
    ff("run", "signalled", lab.t, "--name", "s1", check=2)
    ff("runs", "show", "nobody", check=2)


def namespaces(lab, env, T):
    """--namespace stands above the setting, and is another world."""
    lab.ff("-q", "token", "create", "--namespace", "space", check=0)
    def ff(*args, **kw): return lab.ff("--engine", "temporal", *T, *args, env={**env, "TEMPORAL_NAMESPACE": "lost"}, **kw)
    doc = json.loads(ff("--namespace", "space", "--json", "run", "secret_detection", lab.t, "--name", "scan", check=0).stdout)
    if doc["status"] != "COMPLETED": fail(f"a run in a namespace: {doc}")
    runs = lambda space: [r["run_id"] for r in json.loads(ff("--namespace", space, "--json", "runs", "list", check=0).stdout)["runs"]]
    if runs("space") != ["scan"] or "s1" not in runs("default"): fail(f"lists: {runs('space')}, {runs('default')}")
    # What it read is kept there, whoever works for it, and nowhere else.
    ff("--namespace", "space", "run", "secret_detection", lab.t, "--name", "spaced", check=0)
    with sqlite3.connect(lab.state / "store/index.db") as db:
        owners = [row[0] for row in db.execute("SELECT data FROM blob WHERE name LIKE 'p/%'")]
    if any(b"run/spaced" in o for o in owners) or not any(b"run@space/spaced" in o for o in owners): fail("kept for another namespace")


def served(lab, env, T):
    """REST of a server on that namespace of the cluster: who has a token for `default` is there too."""
    env = {**env, "TEMPORAL_NAMESPACE": "space"}
    with Lab() as other:
        other.state.mkdir()
        (other.state / "store").symlink_to(lab.state / "store")  # workers of both servers take its tasks
        p = other.popen("--engine", "temporal", *T, "serve", "--listen", "127.0.0.1:0", stdout=subprocess.PIPE, env=env)
        url = p.stdout.readline().decode().split()[-1]
        token = other.ff("-q", "--engine", "temporal", "token", "create", "--role", "operator", env=env, check=0).stdout.strip()
        other.ff("--server", url, "run", "secret_detection", lab.t, "--name", "served", env={"FF_SERVER_TOKEN": token}, check=0)
        if "served" not in other.ff("--engine", "temporal", "runs", "list", env=env, check=0).stdout: fail("it ran elsewhere")


def fault(lab, what, text, env):
    p = lab.ff("--engine", "temporal", "runs", "list", env=env)
    lines = p.stderr.strip().split("\n")
    if p.returncode != 5 or text not in lines[0] or not lines[0].startswith("ff: Temporal at ") or len(lines) > 2:
        fail(f"{what}: exit {p.returncode}, {p.stderr}")


def deaf():
    """A server that accepts and says nothing, one that speaks HTTP/1, one that closes: their ports."""
    def one(bytes_, close):
        s = socket.create_server(("127.0.0.1", 0))
        def loop():
            kept = []
            while True:
                c, _ = s.accept()
                if bytes_: c.sendall(bytes_)
                if close: c.close()
                else: kept.append(c)
        threading.Thread(target=loop, daemon=True).start()
        return s.getsockname()[1]
    return one(b"", False), one(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", False), one(b"", True)


def faults(lab, port, good):
    c = lab.dir
    silent, http, closes = deaf()
    at = lambda p, **kw: {"TEMPORAL_ADDRESS": f"localhost:{p}", **kw}
    fault(lab, "nobody there", "Connection refused", at(1))
    fault(lab, "no such name", "its name is not known", {"TEMPORAL_ADDRESS": "nobody.invalid:7233"})
    fault(lab, "no such socket", "No such file", {"TEMPORAL_ADDRESS": "unix:/nowhere/engine.sock"})
    fault(lab, "no such namespace", "no namespace 'lost'", {**good, "TEMPORAL_NAMESPACE": "lost"})
    fault(lab, "no key", "a token is needed", at(port, TEMPORAL_TLS_CA=str(c / "ca.pem")))
    fault(lab, "wrong key", "the token is wrong", {**good, "TEMPORAL_API_KEY": "0" * 64})
    key = lab.ff("-q", "token", "create", "--role", "admin", "--namespace", "*", "--expires", "1s", check=0).stdout.strip()
    time.sleep(1.1)
    fault(lab, "expired key", "expired", {**good, "TEMPORAL_API_KEY": key})
    (c / "server.pem").rename(c / "valid.pem")
    (c / "old.pem").rename(c / "server.pem")  # the server takes it up
    fault(lab, "expired certificate", f"localhost:{port}: its certificate is not trusted here, or has expired", good)
    (c / "valid.pem").rename(c / "server.pem")
    fault(lab, "another authority", "its certificate is not trusted here", {**good, "TEMPORAL_TLS_CA": str(c / "other.pem")})
    fault(lab, "another name", "its certificate is for another name", {**good, "TEMPORAL_TLS_SERVER_NAME": "somebody.else"})
    fault(lab, "plain to TLS", "it closed the connection", at(port))
    fault(lab, "TLS to HTTP", "it does not speak TLS", at(http, TEMPORAL_TLS="true", TEMPORAL_TLS_CA=str(c / "ca.pem")))
    fault(lab, "no such file", "/nowhere/ca", at(port, TEMPORAL_TLS_CA="/nowhere/ca"))
    (c / "text").write_text("no certificate\n")
    for key in ("TEMPORAL_TLS_CA", "TEMPORAL_TLS_CERT"):
        fault(lab, "a file without a certificate", "text: no PEM certificate", {**good, "TEMPORAL_TLS_KEY": str(c / "client.key"), "TEMPORAL_TLS_CERT": str(c / "client.pem"), key: str(c / "text")})
    fault(lab, "another's key", "is not that of the certificate", {**good, "TEMPORAL_TLS_CERT": str(c / "client.pem"), "TEMPORAL_TLS_KEY": str(c / "server.key")})
    fault(lab, "no port", "the address has no port", {"TEMPORAL_ADDRESS": "localhost"})
    fault(lab, "HTTP/1", "it speaks HTTP/1", at(http))
    fault(lab, "silence", "no answer in time", at(silent))
    fault(lab, "hangs up", "it closed the connection", at(closes))
    p = lab.ff("--engine", "temporal", "runs", "list", env={"TEMPORAL_ADDRESS": "192.0.2.1:7233", "TEMPORAL_API_KEY": "secret-key",
                                                          "TEMPORAL_TLS": "false"}, check=2)
    if "in the clear" not in p.stderr or "secret-key" in p.stderr: fail(f"a key without TLS: {p.stderr}")
    d = json.loads(lab.ff("--engine", "temporal", "--json", "runs", "list", env={**good, "TEMPORAL_NAMESPACE": "lost"}).stdout)
    if "no namespace 'lost'" not in d["error"]["message"]: fail(f"as JSON: {d}")
    p = lab.ff("config", env={"TEMPORAL_API_KEY": "secret-key"}, check=0)
    if "secret-key" in p.stdout: fail("config prints the API key")


def gone(lab, env, T, server):
    """The server goes for good while a run is followed: told soon after its calls' time is over, with 5."""
    p = lab.popen("--engine", "temporal", *T, "run", "signalled", lab.t, "--name", "left", env=env, stderr=subprocess.PIPE)
    if not until(lambda: "left" in lab.ff("--engine", "temporal", "runs", "list", env=env).stdout): fail("no run")
    server.kill()
    err = p.communicate(timeout=90)[1].decode()
    if p.returncode != 5 or "run left" not in err or "runs wait left" not in err: fail(f"gone: {p.returncode} {err}")


with Lab() as lab:
    lab.t = lab.target({"config.py": 'KEY = "AKIAZ5GQ7RXW3NPL4TBC"\n'
                                     'TOKEN = "ghp_R4tZk9QmX2vLs8WcYb3NhJf6PdEa1UoGi5Kx"\n'})
    lab.workflow("signalled", SIGNALLED)
    T = ("--toolbox", lab.toolbox())
    certificates(lab.dir)
    server, port = serve(lab, "--tls-cert", lab.dir / "server.pem", "--tls-key", lab.dir / "server.key",
                         "--tls-client-ca", lab.dir / "ca.pem")
    good = {"TEMPORAL_ADDRESS": f"localhost:{port}", "TEMPORAL_API_KEY": (lab.state / "token").read_text().strip(),
            "TEMPORAL_TLS_CA": str(lab.dir / "ca.pem")}
    commands(lab, good, T)
    print("commands over TLS with a key")
    namespaces(lab, good, T)
    served(lab, good, T)
    print("a namespace beside the default one")
    mutual = {"TEMPORAL_ADDRESS": f"127.0.0.1:{port}", "TEMPORAL_TLS_CA": str(lab.dir / "ca.pem"),
              "TEMPORAL_TLS_CERT": str(lab.dir / "client.pem"), "TEMPORAL_TLS_KEY": str(lab.dir / "client.key"),
              "TEMPORAL_TLS_SERVER_NAME": "ff.example"}
    if "scan" not in lab.ff("--engine", "temporal", "runs", "list", env=mutual, check=0).stdout: fail("mutual TLS")
    print("mutual TLS, another name than the address")
    faults(lab, port, good)
    print("faults of the connection")
    gone(lab, good, T, server)
    ok("commands, faults, and a server that goes")
