#!/usr/bin/env python3
# A git repository of another machine as a target: over https, its certificate checked, bounded, and nothing else of the network.
import base64, http.server, os, pathlib, ssl, subprocess, sys, threading
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from accept import *

BACKEND = "/usr/lib/git-core/git-http-backend"


class Git(http.server.BaseHTTPRequestHandler):
    """git http-backend; /moved goes elsewhere, /loop to itself, /private wants a password, /slow says nothing."""
    protocol_version = "HTTP/1.1"
    root, hits, auth = None, [], []

    def log_message(self, *a):
        pass

    def answer(self, body=b""):
        Git.hits.append(self.path)
        Git.auth.append(self.headers.get("Authorization"))
        path, _, query = self.path.partition("?")
        if path.startswith("/moved/"):
            return self.redirect(f"https://localhost:{self.server.server_port}/" + self.path[len("/moved/"):])
        if path.startswith("/away/"):  # to another host, as far as anybody can tell
            return self.redirect(f"https://127.0.0.1:{self.server.server_port}/private/" + self.path[len("/away/"):])
        if path.startswith("/loop/"):
            return self.redirect(self.path)
        if path.startswith("/plain/"):
            return self.redirect("http://localhost:1/" + self.path[len("/plain/"):])
        if path.startswith("/slow/"):
            time.sleep(20)
            return
        if path.startswith("/private/"):
            if self.headers.get("Authorization") != "Basic " + base64.b64encode(b"me:s3cr%t").decode():
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Basic realm="git"')
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            path = path[len("/private"):]
        env = {"GIT_PROJECT_ROOT": str(Git.root), "GIT_HTTP_EXPORT_ALL": "1", "PATH_INFO": path, "QUERY_STRING": query,
               "REQUEST_METHOD": self.command, "CONTENT_TYPE": self.headers.get("Content-Type", ""), "PATH": "/usr/bin:/bin",
               "CONTENT_LENGTH": str(len(body)), "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", "")}
        out = subprocess.run([BACKEND], input=body, env=env, capture_output=True).stdout
        head, _, rest = out.partition(b"\r\n\r\n")
        fields = [l.split(": ", 1) for l in head.decode().split("\r\n")]
        status = [int(v.split()[0]) for k, v in fields if k == "Status"]
        self.send_response(status[0] if status else 200)
        for k, v in fields:
            if k != "Status":
                self.send_header(k, v)
        self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        self.wfile.write(rest)

    def redirect(self, to):
        self.send_response(302)
        self.send_header("Location", to)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = answer

    def do_POST(self):
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b""
            while n := int(self.rfile.readline(), 16):
                body += self.rfile.read(n)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.answer(body)


def git(*args):
    subprocess.run(["git", "-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "init.defaultBranch=main", *map(str, args)],
                   check=True, capture_output=True, env={"PATH": os.environ["PATH"], "HOME": "/nonexistent"})


def certificate(d):
    """One that is its own authority, for localhost."""
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost", "-keyout", d / "key.pem",
                    "-out", d / "ca.pem", "-addext", "subjectAltName=DNS:localhost"], check=True, capture_output=True)


def serve(d):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Git)
    ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ctx.load_cert_chain(d / "ca.pem", d / "key.pem")
    server.socket = ctx.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_port


def refused(p, status, words, what):
    if p.returncode != status or words not in p.stderr:
        fail(f"{what}: exit {p.returncode}, {p.stderr[-300:]}")


with Lab() as lab:
    work = lab.target({"app.py": 'password = "hunter2hunter2"\nimport os\nos.system(input())\n', "lib/util.py": "x = 1\n"}, "work")
    git("init", work); git("-C", work, "add", "."); git("-C", work, "commit", "-m", "first")
    (work / "lib/util.py").write_text("y = 2\n"); git("-C", work, "commit", "-am", "second")
    Git.root = lab.dir / "srv"
    git("clone", "--bare", work, Git.root / "shop.git")
    git("init", "--bare", Git.root / "empty.git")
    big = lab.target({"a": "x"}, "big")
    (big / "random").write_bytes(os.urandom(6 << 20))
    git("init", big); git("-C", big, "add", "."); git("-C", big, "commit", "-m", "big"); git("clone", "--bare", big, Git.root / "big.git")
    certificate(lab.dir)
    port = serve(lab.dir)
    base = f"https://localhost:{port}"
    trusted = {"GIT_SSL_CAINFO": str(lab.dir / "ca.pem")}
    run = lambda url, **kw: lab.ff("run", "security_assessment", url, **{"env": trusted, **kw})

    doc = lab.json("run", "security_assessment", base + "/shop.git", env=trusted)
    if doc.get("status") != "COMPLETED" or not any(f["file"] == "app.py" for f in doc["findings"]): fail(f"not read: {json.dumps(doc)[:400]}")
    if doc["target"]["name"] != "shop" or doc["target"]["kind"] != "git" or doc["target"]["files"] != 2: fail(f"target: {doc['target']}")
    if any(Git.auth): fail("sent credentials that nobody gave")
    if run(base + "/moved/shop.git").returncode != 0: fail("a redirect was not followed")
    if run(base + "/empty.git").returncode != 0: fail("an empty repository is an empty target")
    doc = lab.json("module", "run", "file_scanner", base + "/shop.git", env=trusted)
    if doc.get("status") != "success": fail(f"module run: {doc}")

    # What is not trusted, not there, or does not end.
    refused(run(base + "/shop.git", env={}), 5, "certificate is not trusted", "a certificate of nobody's")
    refused(run(f"https://127.0.0.1:{port}/shop.git"), 5, "certificate is not trusted", "a certificate of another host")
    refused(run(base + "/nowhere.git"), 2, "no such repository", "no repository")
    Git.hits.clear(); refused(run(base + "/loop/shop.git"), 5, "fetch https://localhost", "redirects without end")
    if len(Git.hits) > 30: fail(f"{len(Git.hits)} redirects followed")
    refused(run(base + "/plain/shop.git"), 5, "fetch https://localhost", "a redirect to http")
    refused(run(f"https://localhost:{port + 1 if port < 65535 else 1}/x.git"), 5, "fetch https://localhost", "nobody listens")
    for url in ("ssh://git@example.org/x.git", "git@example.org:x.git", "git://example.org/x", "http://example.org/x.git"):
        refused(run(url), 2, "https:// URLs and paths", url)

    refused(run(base + "/big.git", env={**trusted, "FF_ARCHIVE_MAX_SIZE": "1MB"}), 3, "over 1", "too large")
    if run(base + "/big.git").returncode != 0: fail("not too large")
    lab.ff("run", "security_assessment", work, env={"FF_ARCHIVE_MAX_SIZE": "much"}, check=2)
    doc = lab.json("run", "security_assessment", work, env={"FF_TARGET_MAX_ENTRIES": "2"})
    if not doc["target"]["incomplete"]: fail(f"a bound that was set: {doc['target']}")

    # Private ones: with what the user typed, and nowhere else.
    refused(run(base + "/private/shop.git"), 5, "wants a user and a password", "no password")
    secret = base.replace("://", "://me:s3cr%25t@")
    doc = lab.json("run", "security_assessment", secret + "/private/shop.git", "--name", "private", env=trusted)
    if doc.get("status") != "COMPLETED": fail(f"with a password: {json.dumps(doc)[:300]}")
    wrong = base.replace("://", "://me:wrong@")
    p = run(wrong + "/private/shop.git"); refused(p, 5, "wants another user and password", "a wrong password")
    if "wrong@" in p.stderr: fail("the password is in the message")
    Git.auth.clear(); Git.hits.clear(); p = run(secret + "/away/shop.git")
    if p.returncode != 5 or any(Git.auth) or len(Git.hits) != 1: fail(f"a password went on to where a redirect led: {p.returncode} {p.stderr} {Git.auth} {Git.hits}")
    for f in lab.state.rglob("*"):
        if f.is_file() and b"s3cr%" in f.read_bytes(): fail(f"the password is in {f}")
    shown = lab.ff("runs", "events", "private").stdout + lab.ff("--json", "runs", "show", "private").stdout
    if "s3cr" in shown or "me:" in shown: fail("the password is in the history")

    # Cancelled while the server says nothing.
    p = lab.popen("run", "security_assessment", base + "/slow/shop.git", env=trusted, stderr=subprocess.PIPE)
    Git.hits.clear()
    for _ in range(200):
        if Git.hits: break
        time.sleep(0.05)
    p.send_signal(signal.SIGINT)
    if p.wait(timeout=60) != 4: fail(f"Ctrl-C while fetching: {p.returncode}")
    if os.listdir(lab.state / "fetch"): fail("left behind: what was fetched")
    if left := children_of_state(lab.state): fail(f"left behind: {left}")
ok("a repository over https: trusted, bounded, private")
