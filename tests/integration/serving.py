#!/usr/bin/env python3
# TLS of the server, certificates that are renewed and settings that change while it runs, and the sessions of browsers.
import base64, contextlib, http.client, os, pathlib, pty, re, signal, socket, ssl, sys, threading, time
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from accept import *

WAITS = '''return function(input) ff.wait_signal("go", "60s") return {summary = {}} end'''


def openssl(d, *args):
    r = subprocess.run(["openssl", *map(str, args)], cwd=d, capture_output=True, text=True)
    if r.returncode: fail(f"openssl {args[0]}: {r.stderr}")


def authority(d, name):
    openssl(d, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-keyout", f"{name}.key",
            "-out", f"{name}.pem", "-subj", f"/CN={name}")


def certificate(d, name, ca="ca", kind=("ec", "-pkeyopt", "ec_paramgen_curve:P-256")):
    (d / "ext").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1")
    openssl(d, "req", "-newkey", *kind, "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
    openssl(d, "x509", "-req", "-in", f"{name}.csr", "-CA", f"{ca}.pem", "-CAkey", f"{ca}.key", "-CAcreateserial", "-days", "2", "-extfile", "ext",
            "-out", f"{name}.pem")


class Server:
    def __init__(self, lab, *args, context=None, **kw):
        self.lab, self.context, self.log = lab, context, lab.dir / f"serve-{len(lab.procs)}.log"
        self.p = lab.popen("--toolbox", lab.toolbox(), "--json", "serve", "--listen", "127.0.0.1:0", *args, stdout=subprocess.PIPE,
                           stderr=open(self.log, "wb"), **kw)
        text = b""
        while not text.endswith(b"\n}\n") or b'"error"' in text:
            line = self.p.stdout.readline()
            if not line: fail(f"serve did not start: {text} {self.log.read_text()[-300:]}")
            text += line
        self.doc = json.loads(text)
        self.port = int(self.doc["rest"].rsplit(":", 1)[1])
        self.token = (lab.state / "token").read_text().strip()
        self.bearer = {"Authorization": f"Bearer {self.token}"}

    def connect(self, context=None):
        context = context or self.context
        return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=30, context=context) if context else \
            http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)

    def ask(self, method, path, headers=None, want=200, context=None, body=None, conn=None):
        c = conn or self.connect(context)
        c.request(method, path, body, headers or {})
        r = c.getresponse()
        data = r.read()
        if not conn: c.close()
        if r.status != want: fail(f"{method} {path}: {r.status}, wanted {want}: {data[:300]}")
        return r.headers, json.loads(data) if data else None

    def logged(self, text):
        for _ in range(200):
            if text in self.log.read_text(): return
            time.sleep(0.05)
        fail(f"the log does not say '{text}': {self.log.read_text()[-500:]}")

    def hup(self, text):
        """Reads the settings again, and waits until the log has this line once more."""
        n = self.log.read_text().count(text)
        self.p.send_signal(signal.SIGHUP)
        for _ in range(200):
            if self.log.read_text().count(text) > n: return
            time.sleep(0.05)
        fail(f"SIGHUP: the log does not say '{text}': {self.log.read_text()[-500:]}")

    def stop(self):
        self.p.terminate()
        if self.p.wait(timeout=60) != 0: fail(f"serve ended badly: {self.log.read_text()[-300:]}")


def refused(what, f):
    try: f()
    except (ssl.SSLError, OSError, http.client.HTTPException): return
    fail(f"{what}: it was let in")


def trusting(d, client=None, ca="ca"):
    c = ssl.create_default_context(cafile=d / f"{ca}.pem")
    if client: c.load_cert_chain(d / f"{client}.pem", d / f"{client}.key")
    return c


def shown(port, context, alpn=None):
    """The certificate that a new connection is shown."""
    if alpn: context.set_alpn_protocols(alpn)
    with socket.create_connection(("127.0.0.1", port), 20) as s, context.wrap_socket(s, server_hostname="localhost") as t:
        return t.getpeercert(True)


def renew(d, *names):
    """As a program that renews certificates does: each file is there whole, one after the other."""
    for src, dst in names:
        tmp = d / "renewing"
        tmp.write_bytes((d / src).read_bytes())
        tmp.rename(d / dst)


def tls(lab):
    d = lab.dir
    for ca in ("ca", "other"): authority(d, ca)
    for name in ("first", "client"): certificate(d, name)
    certificate(d, "second", kind=("rsa:2048",))
    certificate(d, "stranger", "other")
    renew(d, ("first.pem", "server.pem"), ("first.key", "server.key"))
    for cert, key, says in (("first.pem", "second.key", "is not that of the certificate"), ("none.pem", "first.key", "none.pem"), ("ext", "first.key", "no PEM")):
        p = lab.ff("serve", "--listen", "127.0.0.1:0", "--tls-cert", d / cert, "--tls-key", d / key)
        if p.returncode == 0 or says not in p.stderr: fail(f"{cert} and {key}: {p.returncode}: {p.stderr}")
    s = Server(lab, "--grpc", "127.0.0.1:0", "--tls-cert", d / "server.pem", "--tls-key", d / "server.key", "--tls-client-ca", d / "ca.pem", context=trusting(d))
    if not s.doc["rest"].startswith("https://"): fail(s.doc)
    s.ask("GET", "/store", s.bearer)
    s.ask("GET", "/store", want=401)
    s.ask("GET", "/store", context=trusting(d, "client"))
    stranger = trusting(d, "stranger")
    stranger.check_hostname, stranger.verify_mode = False, ssl.CERT_NONE
    s.ask("GET", "/store", want=401, context=stranger)
    s.ask("GET", "/store", s.bearer, context=stranger)
    refused("a client that trusts another authority", lambda: s.ask("GET", "/health/live", context=trusting(d, ca="other")))
    if b"This port speaks TLS" not in plain(s.port): fail("plain HTTP is not told that it is")
    refused("HTTP/2 alone", lambda: shown(s.port, trusting(d), ["h2"]))
    shown(s.port, trusting(d), ["h2", "http/1.1"])
    old = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{s.port}", "-tls1_1", "-cipher", "ALL:@SECLEVEL=0"], capture_output=True,
                         text=True, stdin=subprocess.DEVNULL, timeout=30)
    if "Cipher is (NONE)" not in old.stdout + old.stderr: fail(f"TLS 1.1: {old.stdout[-300:]}")
    unreadable_over_tls(s, d)
    large_over_tls(s)
    halves_over_tls(s)
    crowd_over_tls(s)
    live_over_tls(s)
    certificates_change(s, d)
    s.stop()
    authority_changes(lab, d)
    command_line(lab, d)


def plain(port):
    with socket.create_connection(("127.0.0.1", port), 10) as c:
        c.sendall(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
        return c.makefile("rb").read()


def upgrade(s, path, headers, context=None):
    """The status line of a WebSocket's handshake."""
    c = socket.create_connection(("127.0.0.1", s.port), 20)
    if context: c = context.wrap_socket(c, server_hostname="localhost")
    text = f"GET {path} HTTP/1.1\r\nHost: localhost:{s.port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n" \
           f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}\r\n" + "".join(f"{k}: {v}\r\n" for k, v in headers.items()) + "\r\n"
    c.sendall(text.encode())
    line = c.recv(4096).split(b"\r\n")[0].decode()
    c.close()
    return line


def unreadable_over_tls(s, d):
    """What cannot be read as a request is answered over TLS too; who says nothing is not."""
    for data, status, kind in ((b"GET / HTTP/9.9\r\n\r\n", b"505", "VersionNotSupported"), (b"GARBAGE\r\n\r\n", b"400", "BadRequest")):
        with trusting(d).wrap_socket(socket.create_connection(("127.0.0.1", s.port), 60), server_hostname="localhost") as c:
            c.sendall(data)
            out = b""
            while data := c.recv(65536): out += data
        head, _, body = out.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 " + status + b" ") or json.loads(body)["detail"]["error"]["type"] != kind: fail(f"no HTTP over TLS, {kind}: {out}")
    with trusting(d).wrap_socket(socket.create_connection(("127.0.0.1", s.port), 60), server_hostname="localhost") as c:
        c.unwrap()  # fails if anything comes before the other's own end
    live = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"
    for data, want in ((live + b"GARBAGE\r\n\r\n", [b"200", b"400"]), (live, [b"200"])):
        with trusting(d).wrap_socket(socket.create_connection(("127.0.0.1", s.port), 60), server_hostname="localhost") as c:
            c.sendall(data)
            out = b""
            while out.count(b"HTTP/1.1 ") < len(want) or not out.rstrip().endswith(b"}"): out += c.recv(65536)
            if len(want) == 1: c.unwrap()
        if re.findall(rb"HTTP/1\.1 (\d+)", out) != want: fail(f"{data} over TLS: {out}")


def large_over_tls(s):
    """Many records in both directions, at once and slowly; and who asked is known by where he is."""
    data = os.urandom(5_000_000)
    _, put = s.ask("POST", "/store", {**s.bearer, "Content-Type": "application/octet-stream"}, body=data)
    ref = put["ref"]
    if '"127.0.0.1"' not in json.dumps(s.ask("GET", "/audit", s.bearer)[1]): fail("the audit log does not know where it came from")
    request = f"GET /store/{ref}/bytes HTTP/1.1\r\nHost: localhost\r\nAuthorization: {s.bearer['Authorization']}\r\n\r\n".encode()
    with s.context.wrap_socket(socket.create_connection(("127.0.0.1", s.port), 60), server_hostname="localhost") as c:
        c.sendall(request * 2)
        time.sleep(0.5)  # all that is on the way is full
        f = c.makefile("rb")
        for _ in range(2):
            length = 0
            while (line := f.readline().strip()):
                if line.lower().startswith(b"content-length:"): length = int(line.split(b":")[1])
            if f.read(length) != data: fail(f"an object of {length} bytes over TLS is another")


def halves_over_tls(s):
    """A client that has said all there is to say, and ends its side as TLS has it, gets its answer; that ends the connection."""
    inside, outside = ssl.MemoryBIO(), ssl.MemoryBIO()
    t = s.context.wrap_bio(inside, outside, server_hostname="localhost")
    with socket.create_connection(("127.0.0.1", s.port), 60) as c:
        def step(f, *args):
            """False: it waits for what the other says."""
            try: return f(*args) or True
            except (ssl.SSLWantReadError, ssl.SSLZeroReturnError): return False
            finally:
                if outside.pending: c.sendall(outside.read())
        while not step(t.do_handshake): inside.write(c.recv(65536))
        step(t.write, f"POST /store/verify HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nAuthorization: {s.bearer['Authorization']}\r\n\r\n".encode())
        step(t.unwrap)
        c.shutdown(socket.SHUT_WR)
        out = b""
        while data := c.recv(65536):
            inside.write(data)
            while got := step(t.read, 65536): out += got
    if not out.startswith(b"HTTP/1.1 200 ") or not out.rstrip().endswith(b"}"): fail(f"half a connection over TLS: {out}")


def crowd_over_tls(s):
    """Handshakes that do not go on hold up nobody, and end."""
    crowd = [socket.create_connection(("127.0.0.1", s.port), 60) for _ in range(300)]
    for i, c in enumerate(crowd): c.sendall((b"", b"\x16\x03\x01\x02\x00\x01", b"\x16\x03\x01\x00\x04abcd")[i % 3])
    s.ask("GET", "/health/live")
    for c in crowd:
        with contextlib.suppress(ConnectionResetError):
            while c.recv(4096): pass
        c.close()
    s.ask("GET", "/health/live")


def live_over_tls(s):
    if " 101 " not in upgrade(s, "/fuzzing/first/live", s.bearer, s.context): fail("a WebSocket over TLS")
    if " 401 " not in upgrade(s, "/fuzzing/first/live", {}, s.context): fail("a WebSocket without a token")
    c = s.connect()
    c.request("GET", "/runs/first/events", headers=s.bearer)
    r = c.getresponse()
    if r.status != 200 or not r.readline(): fail("events over TLS")
    c.close()


def told(s, last=None):
    """(id, event, data) of all that a run has been, which no server has seen."""
    c = s.connect()
    c.request("GET", "/runs/first/events", headers={**s.bearer, **({"Last-Event-ID": str(last)} if last else {})})
    out, e = [], {}
    for line in c.getresponse():
        k, _, v = line.decode().rstrip("\n").partition(": ")
        if k: e[k] = v
        elif "id" in e:
            out.append((int(e["id"]), e["event"], json.loads(e["data"])))
            e = {}
    return out


def events_of_before(lab):
    """What was run without a server has its numbered events when there is one, the same ones each time."""
    s = Server(lab)
    all = told(s)
    if [e[0] for e in all] != list(range(1, len(all) + 1)): fail(f"numbers: {[e[0] for e in all]}")
    if all[0][2]["data"]["status"] != "RUNNING" or all[-1][2]["data"]["status"] != "COMPLETED": fail(f"states: {all[0]} {all[-1]}")
    stages = [(e[2]["data"]["module"], e[2]["data"]["state"]) for e in all if e[1] == "stage"]
    if ("file_scanner", "completed") not in stages or not any(e[1] == "finding" for e in all): fail(f"stages: {stages}")
    s.stop()
    s = Server(lab)
    if told(s) != all or told(s, 3) != all[3:]: fail("other events after a restart")
    s.stop()


def certificates_change(s, d):
    grpc = int(s.doc["grpc"].rsplit(":", 1)[1])
    stays = s.connect()
    s.ask("GET", "/health/live", conn=stays)
    def both(): return shown(s.port, trusting(d)), shown(grpc, trusting(d, "client"), ["h2"])
    before = both()
    renew(d, ("second.pem", "server.pem"))  # only half of it
    if both() != before: fail("a certificate without its key was used")
    s.logged("the certificate before stays in use")
    s.hup("the settings stay as they were")
    renew(d, ("second.key", "server.key"))
    after = both()
    if len(set(before)) != 1 or len(set(after)) != 1 or set(before) & set(after): fail("the renewed certificate is not shown")
    s.ask("GET", "/store", s.bearer)
    s.ask("GET", "/health/live", conn=stays)  # the connection from before
    s.hup("the settings were read again")
    stop = []
    def handshakes():
        while not stop: shown(s.port, trusting(d))
    threads = [threading.Thread(target=handshakes) for _ in range(4)]
    for t in threads: t.start()
    for i in range(10):
        k = ("first", "second")[i % 2]
        renew(d, (f"{k}.key", "server.key"), (f"{k}.pem", "server.pem"))
        shown(s.port, trusting(d))
    stop.append(1)
    for t in threads: t.join()
    cookie, csrf = session(s, s.bearer)
    if "; __Host-ff_session=" not in cookie["Cookie"]: fail(f"the cookie under TLS: {cookie}")
    s.ask("GET", "/runs", cookie)


def authority_changes(lab, d):
    """Clients of another authority are let in from the next handshake on, and those of the one before no longer; over gRPC too."""
    renew(d, ("ca.pem", "clients.pem"))
    s = Server(lab, "--grpc", "127.0.0.1:0", "--tls-cert", d / "server.pem", "--tls-key", d / "server.key", "--tls-client-ca", d / "clients.pem",
               context=trusting(d))
    ours, theirs = trusting(d, "client"), trusting(d, "stranger")
    stays = s.connect(ours)
    s.ask("GET", "/store", conn=stays)
    for now, good, bad in (("other.pem", theirs, ours), ("ext", theirs, ours), ("ca.pem", ours, theirs), ("both.pem", ours, None), ("both.pem", theirs, None)):
        (d / "both.pem").write_bytes((d / "ca.pem").read_bytes() + (d / "other.pem").read_bytes())
        renew(d, (now, "clients.pem"))
        s.ask("GET", "/store", context=good)
        if bad: s.ask("GET", "/store", want=401, context=bad)
        s.ask("GET", "/store", want=401)
        s.ask("GET", "/store", s.bearer, context=bad)
        if now == "ext":
            s.logged("the authority before stays in use")
            s.hup("the settings stay as they were")
    # A client that looks at which authorities are named shows its certificate to a new one as well.
    renew(d, ("other.pem", "clients.pem"))
    shows = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{s.port}", "-CAfile", "ca.pem"], cwd=d, capture_output=True, text=True,
                           stdin=subprocess.DEVNULL, timeout=30).stdout
    if "CN = ca" in shows.split("Acceptable client certificate CA names")[-1].split("Requested")[0] and "Acceptable" in shows: fail("the authority before is still named")
    s.hup("the settings were read again")
    s.ask("GET", "/health/live", conn=stays)
    s.stop()


def command_line(lab, d):
    """The options of TLS of `ff --server`: whom it trusts, what it shows, and what it says when that does not do."""
    s = Server(lab, "--tls-cert", d / "first.pem", "--tls-key", d / "first.key", "--tls-client-ca", d / "ca.pem", context=trusting(d))
    alone = {**{k: v for k, v in lab.env.items()}, "FF_STATE_DIR": str(d / "nowhere"), "SSL_CERT_FILE": str(d / "none.pem")}

    def ask(port, *args, code=0, says="", env=None, command=("runs", "list")):
        p = subprocess.run([lab.exe, "--server", f"https://localhost:{port}", *map(str, args), *command], capture_output=True, text=True, cwd=d,
                           env={**alone, **(env or {})}, timeout=60, stdin=subprocess.DEVNULL)
        if p.returncode != code or says not in p.stderr: fail(f"ff --server {args} {env}: exit {p.returncode}, wanted {code} and '{says}': {p.stderr}")
        return p

    token = {"FF_SERVER_TOKEN": s.token}
    ask(s.port, "--ca-file", "ca.pem", env=token)
    ask(s.port, env={**token, "FF_SERVER_CA_FILE": str(d / "ca.pem")})
    ask(s.port, "--ca-file", "other.pem", env=token, code=5, says="--ca-file")
    ask(s.port, env=token, code=5, says="--ca-file")  # the system's authorities
    ask(s.port, "--ca-file", "nosuch.pem", env=token, code=2, says="nosuch.pem")
    ask(s.port, "--ca-file", "ext", env=token, code=2)
    ask(s.port, "--ca-file", "ca.pem", code=5, says="--token-file")
    # A certificate does instead of a token; one of another authority, or a token that is none, does not.
    shows = ("--ca-file", "ca.pem", "--client-cert", "client.pem", "--client-key", "client.key")
    ask(s.port, *shows)
    ask(s.port, *shows, command=("store", "ls"))
    ask(s.port, *shows, env={"FF_SERVER_TOKEN": "x" * 43}, code=5, says="not known")
    ask(s.port, "--ca-file", "ca.pem", "--client-cert", "stranger.pem", "--client-key", "stranger.key", code=5, says="--token-file")
    ask(s.port, "--ca-file", "ca.pem", "--client-cert", "nosuch.pem", "--client-key", "client.key", code=2)
    ask(s.port, "--ca-file", "ca.pem", "--client-cert", "client.pem", "--client-key", "first.key", code=2)
    # Whoever does not look is told so each time.
    ask(s.port, "--insecure", "-q", env=token, says="certificate is not checked")
    ask(s.port, "--ca-file", "other.pem", "--insecure", env=token, says="certificate is not checked")
    (d / "one.txt").write_text("eval(input())\n")
    ask(s.port, *shows, command=("run", "security_assessment", "one.txt", "-q"))
    s.stop()
    demanding(lab, d, ask)


def demanding(lab, d, ask):
    """A server of another kind that hangs up on whoever shows no certificate; and one whose certificate is of another name."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=d / "ca.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(d / "first.pem", d / "first.key")
    elsewhere = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    (d / "ext").write_text("subjectAltName=DNS:elsewhere.example")
    openssl(d, "x509", "-req", "-in", "second.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "ext", "-out", "elsewhere.pem")
    elsewhere.load_cert_chain(d / "elsewhere.pem", d / "second.key")
    listener = socket.create_server(("127.0.0.1", 0))
    use = [context]

    def answer(c):
        with contextlib.suppress(OSError), use[0].wrap_socket(c, server_side=True) as t:
            t.settimeout(30)
            t.recv(65536)
            body = b'{"runs": [], "next_cursor": null}'
            t.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    def serve():
        while True:
            c, _ = listener.accept()
            threading.Thread(target=answer, args=(c,), daemon=True).start()
    threading.Thread(target=serve, daemon=True).start()
    port = listener.getsockname()[1]
    ask(port, "--ca-file", "ca.pem", code=5, says="--client-cert")
    ask(port, "--ca-file", "ca.pem", "--client-cert", "stranger.pem", "--client-key", "stranger.key", code=5, says="--client-cert")
    ask(port, "--ca-file", "ca.pem", "--client-cert", "client.pem", "--client-key", "client.key")
    ask(port, "--insecure", "--client-cert", "client.pem", "--client-key", "client.key")
    use[0] = elsewhere
    ask(port, "--ca-file", "ca.pem", code=5, says="does not prove")
    ask(port, "--ca-file", "ca.pem", "--insecure", says="certificate is not checked")


def session(s, headers):
    h, doc = s.ask("POST", "/session", headers)
    parts = [p.strip() for p in h["Set-Cookie"].split(";")]
    want = {"Path=/", "HttpOnly", "SameSite=Strict"} | ({"Secure"} if s.context else set())
    if not want <= set(parts) or (not s.context and "Secure" in parts): fail(f"the cookie: {h['Set-Cookie']}")
    return {"Cookie": "theme=dark; " + parts[0]}, doc["csrf_token"]


def create(lab, *args):
    return {"Authorization": "Bearer " + lab.json("token", "create", *args, check=0)["token"]}


def sessions(lab):
    s = Server(lab)
    operator = create(lab, "--role", "operator", "--name", "op")
    cookie, csrf = session(s, operator)
    who = s.ask("GET", "/session", cookie)[1]
    if (who["name"], who["role"], who["namespace"], who["csrf_token"]) != ("op", "operator", "default", csrf) or not who["expires_at"]: fail(who)
    if s.ask("GET", "/session", operator)[1]["csrf_token"] is not None: fail("a token has a session's word")
    s.ask("GET", "/runs", cookie)
    s.ask("GET", "/store", cookie, want=403)
    s.ask("POST", "/session", want=401)
    s.ask("POST", "/session", {"Authorization": "Bearer " + "0" * 64}, want=401)
    other, other_csrf = session(s, operator)
    for bad in ({}, {"X-CSRF-Token": ""}, {"X-CSRF-Token": other_csrf}, {"X-CSRF-Token": csrf[:-1]}, {"X-CSRF-Token": cookie["Cookie"].split("=")[-1]}):
        doc = s.ask("POST", "/runs/none/cancel", {**cookie, **bad}, want=403)[1]
        if doc["detail"]["error"]["type"] != "CsrfToken": fail(doc)
        s.ask("DELETE", "/runs/none", {**cookie, **bad}, want=403)
        s.ask("POST", "/mcp", {**cookie, **bad, "Content-Type": "application/json"}, want=403, body="{}")
    s.ask("POST", "/runs/none/cancel", {**cookie, "X-CSRF-Token": csrf}, want=404)
    s.ask("POST", "/session", {**cookie, "X-CSRF-Token": csrf}, want=409)  # only a token makes one
    s.ask("POST", "/runs/none/cancel", {**cookie, "X-CSRF-Token": csrf, "Origin": "https://evil.example"}, want=403)
    here = f"http://localhost:{s.port}"
    for origin, want in ((here, " 101 "), ("https://evil.example", " 403 "), ("null", " 403 ")):
        if want not in upgrade(s, "/fuzzing/first/live", {**cookie, "Origin": origin}): fail(f"a WebSocket from {origin}")
    if " 401 " not in upgrade(s, "/fuzzing/first/live", {"Cookie": "ff_session=" + "0" * 64, "Origin": here}): fail("a made-up session")
    s.ask("GET", "/runs", {**cookie, "Host": "evil.example"}, want=403)
    s.ask("GET", "/store", {**cookie, **s.bearer})  # who sends a token is whom the token says
    s.stop()
    s = Server(lab)  # they outlive the server
    s.ask("GET", "/runs", cookie)
    h = s.ask("DELETE", "/session", {**cookie, "X-CSRF-Token": csrf})[0]
    if "Max-Age=0" not in h["Set-Cookie"]: fail(h["Set-Cookie"])
    s.ask("GET", "/runs", cookie, want=401)
    s.ask("GET", "/runs", other)
    if lab.json("token", "revoke", "op", "--sessions", check=0)["sessions_revoked"] != 1: fail("revoke --sessions")
    s.ask("GET", "/runs", other, want=401)
    s.ask("GET", "/runs", operator)
    other, _ = session(s, operator)  # the same through the server, for owners alone
    s.ask("DELETE", "/tokens/op/sessions", operator, want=403)
    s.ask("DELETE", "/tokens/none/sessions", s.bearer, want=404)
    url = f"http{'s' if s.context else ''}://127.0.0.1:{s.port}"
    if lab.json("--server", url, "token", "revoke", "op", "--sessions", check=0)["sessions_revoked"] != 1: fail("--server revoke --sessions")
    s.ask("GET", "/runs", other, want=401)
    s.ask("GET", "/runs", operator)
    if "0 sessions" not in lab.ff("--server", url, "token", "revoke", "op", "--sessions", check=0).stdout: fail("no session is left")
    cookie, csrf = session(s, s.bearer)
    s.ask("POST", "/backup", {**cookie, "X-CSRF-Token": csrf}, want=403)  # what is stolen from a browser is no key to all
    s.ask("DELETE", "/session", {**cookie, "X-CSRF-Token": csrf})
    last, _ = session(s, operator)
    lab.ff("token", "revoke", "op", check=0)
    s.ask("GET", "/runs", last, want=401)
    owner, _ = session(s, s.bearer)
    brief = create(lab, "--role", "viewer", "--expires", "2s")
    ends, _ = session(s, brief)
    time.sleep(2.2)
    s.ask("GET", "/runs", ends, want=401)
    s.ask("GET", "/runs", owner)
    (lab.state / "token").unlink()
    s.stop()
    s = Server(lab)  # with a new token of the owner's: what was made of the old one is worthless
    s.ask("GET", "/runs", owner, want=401)
    audit = [e["action"] for e in lab.json("audit", "--action", "session.")["entries"]]
    if not {"session.open", "session.close", "session.revoke"} <= set(audit): fail(f"audit: {audit}")
    s.stop()


def listeners(lab):
    """Who listens with what does not count any more hears no more: of events, and over a WebSocket."""
    s = Server(lab)
    viewer = create(lab, "--role", "viewer", "--name", "listener")
    cookie, _ = session(s, viewer)
    run = lab.json("--toolbox", lab.toolbox(), "run", "waits", lab.target(), "-d", check=0)["run_id"]
    there = []
    upgrade = f"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {base64.b64encode(bytes(16)).decode()}\r\n"
    for headers in (viewer, cookie, s.bearer):
        who = "".join(f"{k}: {v}\r\n" for k, v in headers.items())
        for path, more in ((f"/runs/{run}/events", ""), (f"/fuzzing/{run}/live", upgrade)):
            there.append(socket.create_connection(("127.0.0.1", s.port), 30))
            there[-1].sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{who}{more}\r\n".encode())
    for c in there:
        if not c.recv(65536).startswith(b"HTTP/1.1 "): fail("a listener")
    lab.ff("token", "revoke", "listener", check=0)
    for i, c in enumerate(there):
        end = b""
        c.settimeout(25 if i < 4 else 1)
        try:
            while not end.endswith(b"0\r\n\r\n") and (d := c.recv(65536)): end += d
            gone = True
        except TimeoutError: gone = False
        if gone != (i < 4): fail(f"listener {i}: {'ended' if gone else 'still there'}: {end}")
        if gone and not (end.endswith(b"0\r\n\r\n") if i % 2 == 0 else end.endswith(b"\x88\x02\x03\xf0")): fail(f"listener {i} is not ended in order: {end[-40:]}")
        c.close()
    lab.ff("runs", "terminate", run, check=0)
    s.stop()


def settings(lab):
    config = lab.dir / "config.yaml"
    config.write_text("quota:\n  default: runs=1\n")
    rust = lab.dir / "home/.rustup"  # found at the start, and no change of a setting afterwards
    (rust / "toolchains/stable").mkdir(parents=True)
    (rust / "settings.toml").write_text('version = "12"\ndefault_toolchain = "stable"\n')
    s = Server(lab, "--config", config)
    submit = lambda want: s.ask("POST", "/workflows/waits/upload-and-submit", {**s.bearer, "Content-Type": "application/octet-stream"}, want, body=b"x")[1]
    op = create(lab, "--role", "operator")
    s.bearer = op
    runs = [submit(200)["run_id"]]
    submit(429)
    config.write_text("quota:\n  default: runs=2\ncache:\n  max_size: 1GB\n")
    submit(429)  # not before it is told
    s.hup("the settings were read again")
    s.logged("setting cache.max_size has changed: it takes a restart")
    s.ask("POST", f"/runs/{runs[0]}/retry", s.bearer, 409)
    if s.log.read_text().count("has changed") != 1: fail(f"what has not changed takes a restart: {s.log.read_text()[-500:]}")
    runs.append(submit(200)["run_id"])
    submit(429)
    for bad in ("quota:\n  default: runs=many\n", "quota: [\n", "nonsense: 1\n"):
        config.write_text(bad)
        s.hup("the settings stay as they were")
    submit(429)
    for r in runs: s.ask("POST", f"/runs/{r}/cancel", s.bearer)
    s.stop()


def terminal(lab):
    """Where the terminal is closed, SIGHUP means the end."""
    pid, fd = pty.fork()
    if pid == 0:
        os.execve(lab.exe, [lab.exe, "--state", str(lab.state), "serve", "--listen", "none"], lab.env)
    text = b""
    while b"socket at" not in text: text += os.read(fd, 1000)
    os.close(fd)
    if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) != 0: fail("a server whose terminal was closed")


signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests may have been started by nohup, which a server obeys
with Lab() as lab:
    lab.workflow("waits", WAITS)
    lab.ff("run", "security_assessment", lab.target({"a.py": "import os\nos.system(input())\n"}), "--name", "first", check=0)
    events_of_before(lab)
    tls(lab)
    sessions(lab)
    listeners(lab)
    settings(lab)
    terminal(lab)
    ok("TLS, renewed certificates, sessions of browsers, settings that change")
