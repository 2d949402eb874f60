#!/usr/bin/env python3
"""A lying and failing S3: a proxy of ours spoils what a real MinIO says, and ff must try again within bounds or end with one clear
line and exit status 5; it never gives a wrong byte.
usage: s3_faults.py BUILD_FOLDER"""
import concurrent.futures
import contextlib
import copy
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

import peers

FF = pathlib.Path(sys.argv[1]) / "ff"
PACK = pathlib.Path(sys.argv[1]) / "tests" / "real" / "s3_pack"


def read_head(f):
    """Request or status line and headers, or None at the end."""
    lines = []
    while True:
        line = f.readline(65536)
        if not line:
            return None
        if line in (b"\r\n", b"\n"):
            if lines:
                return lines
            continue
        lines.append(line)


def header(lines, name):
    for line in lines[1:]:
        k, _, v = line.partition(b":")
        if k.strip().lower() == name:
            return v.strip()
    return None


class Proxy:
    """Forwards whole requests; fault(method, path, head, body) may answer in the service's place."""

    def __init__(self, port, own_port=0, window=0):
        self.target = port
        self.rule = self.rate = None  # rate(method, path): how many bytes a second of that request's body are read; None: all of it
        self.left = 0
        self.hits = self.requests = 0
        self.lock = threading.Lock()
        self.now = threading.local()  # .head: of the request that a rule is asked about
        self.socket = socket.create_server(("127.0.0.1", own_port))
        if window:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def spoil(self, rule, times=1):
        """rule(proxy, client, method, path, answer) is asked for the next `times` requests that it takes (returns true)."""
        with self.lock:
            self.rule, self.left, self.hits, self.requests = rule, times, 0, 0

    def accept(self):
        while True:
            c, _ = self.socket.accept()
            threading.Thread(target=self.serve, args=(c,), daemon=True).start()

    def forward(self, head, body):
        with socket.create_connection(("127.0.0.1", self.target)) as s:
            s.sendall(b"".join(head) + b"Connection: close\r\n\r\n" + body)
            f = s.makefile("rb")
            answer = read_head(f)
            while answer and answer[0].split()[1] == b"100":
                answer = read_head(f)
            n = header(answer, b"content-length")
            data = b"" if head[0].startswith(b"HEAD") else f.read(int(n)) if n else f.read()
            return answer, data

    def read_body(self, f, n, rate):
        if not rate:
            return f.read(n)
        body = b""
        while len(body) < n:
            time.sleep(0.1)
            more = f.read(min(n - len(body), max(1, rate // 10)))
            if not more:
                raise OSError("cut")
            body += more
        return body

    def serve(self, c):
        with contextlib.suppress(OSError, AttributeError, TypeError), c:
            f = c.makefile("rb")
            while True:
                head = read_head(f)
                if not head:
                    return
                method, path, _ = head[0].decode().split()
                body = self.read_body(f, int(header(head, b"content-length") or 0), self.rate and self.rate(method, path))
                with self.lock:
                    self.requests += 1
                    rule = self.rule if self.left > 0 else None
                    self.left -= rule is not None
                    self.hits += rule is not None
                self.now.head = head
                if rule and rule(self, c, method, path, lambda change=bytes: self.forward(head, change(body))):
                    return  # the connection ends with it
                with self.lock:  # not meant
                    self.left += rule is not None
                    self.hits -= rule is not None
                answer, data = self.forward(head, body)
                c.sendall(b"".join(answer) + b"\r\n" + data)


# --- what can go wrong; each takes what it is meant for -----------------------------------------------------------

def is_data(method, path):
    return method == "GET" and "/packs/" in path


def is_put(method, path):
    return method == "PUT" and "/packs/" in path


def truncated(p, c, method, path, answer):
    if not is_data(method, path):
        return False
    head, data = answer()
    c.sendall(b"".join(head) + b"\r\n" + data[:len(data) // 2])
    return True


def changed(p, c, method, path, answer):
    """One bit in the middle, with every length right."""
    if not is_data(method, path):
        return False
    head, data = answer()
    at = len(data) // 3
    data = data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1:]
    c.sendall(b"".join(head) + b"\r\n" + data)
    return True


def other_bytes(p, c, method, path, answer):
    if not is_data(method, path):
        return False
    head, data = answer()
    c.sendall(b"".join(head) + b"\r\n" + b"\0" * len(data))
    return True


def changed_upload(p, c, method, path, answer):
    """One bit of what is sent: the service must see it."""
    if not is_put(method, path):
        return False
    head, data = answer(lambda b: b[:len(b) // 3] + bytes([b[len(b) // 3] ^ 4]) + b[len(b) // 3 + 1:])
    assert b" 400 " in head[0], head[0]
    c.sendall(b"".join(head) + b"\r\n" + data)
    return True


def storm(p, c, method, path, answer):
    c.sendall(b"HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\n\r\n")
    return True


def error_500_after(p, c, method, path, answer):
    """The service did it, and says that it did not."""
    if not is_put(method, path):
        return False
    answer()
    c.sendall(b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n")
    return True


def fine_but_error(p, c, method, path, answer):
    text = b"<?xml version=\"1.0\"?><Error><Code>InternalError</Code><Message>it did not work</Message></Error>"
    c.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(text) + text)
    return True


def reset(p, c, method, path, answer):
    head, data = answer()
    c.sendall(b"".join(head)[:20])
    c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return True


def drip(p, c, method, path, answer):
    if not is_data(method, path):
        return False
    head, data = answer()
    c.sendall(b"".join(head) + b"\r\n")
    for i in range(0, 400):
        c.sendall(data[i:i + 1])
        time.sleep(0.1)
    return True


def silence(p, c, method, path, answer):
    time.sleep(40)
    return True


def elsewhere(port):
    def rule(p, c, method, path, answer):
        c.sendall(b"HTTP/1.1 307 Temporary Redirect\r\nLocation: http://127.0.0.1:%d/x\r\nContent-Length: 0\r\n\r\n" % port)
        return True
    return rule


def disorder(p, c, method, path, answer):
    """A page back to front, one entry twice, and one that is none of ours."""
    if "list-type=2" not in path:
        return False
    head, data = answer()
    entries = re.findall(rb"<Contents>.*?</Contents>", data)
    start, end = (data.find(b"<Contents>"), data.rfind(b"</Contents>") + len(b"</Contents>")) if entries else (0, 0)
    strange = b"<Contents><Key>packs/results/../../etc/passwd</Key><Size>1</Size><LastModified>x</LastModified></Contents>"
    if entries:
        data = data[:start] + strange + b"".join(reversed(entries)) + entries[0] + data[end:]
    head = [x for x in head if not x.lower().startswith(b"content-length")] + [b"Content-Length: %d\r\n" % len(data)]
    c.sendall(b"".join(head) + b"\r\n" + data)
    return True


def pages_in_disorder():
    """Each listing in pages of two, the last ones first."""
    told = {}

    def rule(p, c, method, path, answer):
        if "list-type=2" not in path:
            return False
        token = re.search(r"continuation-token=of(\d+)at(\d+)", path)
        if token:
            number, at = int(token[1]), int(token[2])
        else:
            data = answer()[1]
            entries = re.findall(rb"<Contents>.*?</Contents>", data)
            number, at = len(told), 0
            told[number] = [b"".join(entries[i:i + 2]) for i in range(0, len(entries), 2)][::-1]
        pages = told[number]
        more = at + 1 < len(pages)
        text = (b"<ListBucketResult><IsTruncated>%s</IsTruncated>%s%s</ListBucketResult>" %
                (b"true" if more else b"false", b"<NextContinuationToken>of%dat%d</NextContinuationToken>" % (number, at + 1) if more else b"",
                 pages[at] if pages else b""))
        c.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(text) + text)
        return True
    return rule, told


def endless_listing(p, c, method, path, answer):
    if "list-type=2" not in path:
        return False
    text = (b"<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>again</NextContinuationToken></ListBucketResult>")
    c.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(text) + text)
    return True


def bomb(p, c, method, path, answer):
    if "list-type=2" not in path:
        return False
    text = b"<!DOCTYPE x [<!ENTITY a \"" + b"a" * 1000 + b"\"><!ENTITY b \"" + b"&a;" * 1000 + b"\">]><ListBucketResult>&b;</ListBucketResult>"
    c.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(text) + text)
    return True


def too_long(p, c, method, path, answer):
    """More than was asked for."""
    if not is_data(method, path):
        return False
    head, data = answer()
    head = [x for x in head if not x.lower().startswith(b"content-length")] + [b"Content-Length: %d\r\n" % (len(data) + 1000)]
    c.sendall(b"".join(head) + b"\r\n" + data + b"x" * 1000)
    return True


def denied(p, c, method, path, answer):
    text = b"<Error><Code>AccessDenied</Code><Message>Access Denied.</Message></Error>"
    c.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: %d\r\n\r\n" % len(text) + text)
    return True


def no_space(p, c, method, path, answer):
    return is_put(method, path) and no_space_at_all(p, c, method, path, answer)


def no_space_at_all(p, c, method, path, answer):
    text = b"<Error><Code>XMinioStorageFull</Code><Message>Storage backend has reached its minimum free drive threshold.</Message></Error>"
    c.sendall(b"HTTP/1.1 507 Insufficient Storage\r\nContent-Length: %d\r\n\r\n" % len(text) + text)
    return True


# --- the cases ----------------------------------------------------------------------------------------------------

class Lab:
    def __init__(self, server, proxy, folder):
        self.server, self.proxy, self.folder = server, proxy, folder
        self.n = 0
        self.env = server.settings("faults") | {"S3_ENDPOINT": f"http://localhost:{proxy.port}", "FF_S3_RETRY": "25s"}
        self.ff("store", "init")

    def state(self):
        self.n += 1
        return self.folder / f"state{self.n}"

    def ff(self, *args, want=0, state=None, before=(), **env):
        p = subprocess.run([str(a) for a in (*before, FF, "--state", state or self.state(), *args)], env=self.env | env, capture_output=True,
                           timeout=240)
        if p.returncode != want:
            raise SystemExit(f"ff {' '.join(map(str, args))}: exit {p.returncode}, wanted {want}\n{p.stdout[-1000:]}\n{p.stderr[-2000:].decode()}")
        return p

    def failed(self, p, word):
        """One line (and at most a hint below it) that says it."""
        lines = p.stderr.decode().splitlines()
        assert 1 <= len(lines) <= 2 and lines[0].startswith("ff: ") and word in lines[0], lines
        assert not p.stdout, p.stdout[:100]

    def file(self, size):
        self.n += 1
        path = self.folder / f"file{self.n}"
        path.write_bytes(os.urandom(size))
        return path

    def put(self, path, **more):
        return self.ff("store", "put", path, **more).stdout.decode().strip()

    def get(self, ref, data, want=0, **more):
        """From a host that has never seen it: the right bytes or none."""
        out = self.folder / "out"
        out.unlink(missing_ok=True)
        p = self.ff("store", "get", ref, "-o", out, want=want, **more)
        got = out.read_bytes() if out.exists() else b""
        assert got == (data if want == 0 else b""), f"{len(got)} bytes, other ones than {len(data)}"
        return p


def passing(lab):
    """What goes over: a few failures, and the command succeeds."""
    small, large = lab.file(3000), lab.file(9_000_000)
    refs = {p: lab.put(p) for p in (small, large)}
    for rule in (truncated, changed, other_bytes, storm, fine_but_error, reset, too_long, disorder):
        for path in (small, large):
            lab.proxy.spoil(rule, 50 if rule is disorder else 2)
            lab.get(refs[path], path.read_bytes())
            assert lab.proxy.hits >= 1, rule.__name__
        print(f"ok reading over {rule.__name__}")
    lab.proxy.spoil(drip, 1)
    start = time.monotonic()
    lab.get(refs[large], large.read_bytes())
    assert lab.proxy.hits == 1 and time.monotonic() - start < 30
    print("ok reading over drip")
    for _ in range(6):  # packs enough for some pages
        lab.put(lab.file(1000))
    names = lambda: [o["ref"] for o in json.loads(lab.ff("--json", "store", "ls").stdout)["objects"]]
    want = names()
    rule, told = pages_in_disorder()
    lab.proxy.spoil(rule, 10**6)
    assert names() == want and max(map(len, told.values())) >= 4, told
    for path in (small, large):
        lab.get(refs[path], path.read_bytes())
    lab.proxy.spoil(None, 0)
    print("ok reading over pages in disorder")
    for rule in (storm, error_500_after, fine_but_error, reset, changed_upload):
        for size in (3000, 9_000_000):
            path = lab.file(size)
            lab.proxy.spoil(rule, 2)
            ref = lab.put(path)
            assert lab.proxy.hits >= 1, rule.__name__
            lab.proxy.spoil(None, 0)
            lab.get(ref, path.read_bytes())
        print(f"ok writing over {rule.__name__}")


def lost_answers(lab):
    """A pack that went through, though nobody heard so, is there for the next try, and not stored again."""
    told = []

    def rule(p, c, method, path, answer):
        if not is_put(method, path):
            return False
        head, data = answer()
        told.append(int(head[0].split()[1]))
        lost = len(told) == 1
        c.sendall(b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n" if lost else b"".join(head) + b"\r\n" + data)
        return True
    path = lab.file(3000)
    lab.proxy.spoil(rule, 10**6)
    ref = lab.put(path)
    assert told == [200, 412], told
    lab.proxy.spoil(None, 0)
    lab.get(ref, path.read_bytes())
    print("ok a pack whose answer was lost is not stored twice")


def moved(lab):
    """What is written anew is what was there, though it came over the network changed at first."""
    files, keys, state = [lab.file(3000), lab.file(900_000)], lab.folder / "ring", lab.state()
    own = {"S3_BUCKET": "moved"}  # who has no key can do nothing there afterwards
    lab.ff("store", "init", **own)
    refs = {p: lab.put(p, **own) for p in files}
    keys.write_text("1" * 64 + "\n")
    keys.chmod(0o600)
    own["FF_S3_KEY_FILE"] = str(keys)
    lab.ff("store", "ls", state=state, **own)
    lab.proxy.spoil(changed, 3)
    lab.ff("store", "rekey", state=state, **own)
    assert lab.proxy.hits == 3, lab.proxy.hits
    lab.proxy.spoil(None, 0)
    for path in files:
        lab.get(refs[path], path.read_bytes(), **own)
    print("ok writing anew over changed")


def backoff(lab):
    """Tries of one request come at pauses that grow."""
    times = []

    def rule(p, c, method, path, answer):
        times.append(time.monotonic())
        return storm(p, c, method, path, answer)
    lab.proxy.spoil(rule, 10**6)
    lab.failed(lab.ff("store", "ls", want=5, FF_S3_RETRY="6s"), "503")
    pauses = [b - a for a, b in zip(times, times[1:])]
    assert 5 <= len(times) <= 14 and max(pauses) > 0.7, pauses  # 25 ms at first, then twice as long, and a part of it random
    print(f"ok {len(times)} tries in 6 s")


def at_a_time(lab):
    """Parts of one object go and come several at a time, and no more than the settings say."""
    path = lab.file(60_000_000)
    for most, least in ((8, 3), (2, 2), (1, 1)):
        busy, peak, lock = [0], [0], threading.Lock()

        def rule(p, c, method, path, answer):
            if not is_put(method, path) and not is_data(method, path):
                return False
            with lock:
                busy[0] += 1
                peak[0] = max(peak[0], busy[0])
            head, data = answer()
            time.sleep(0.2)
            with lock:
                busy[0] -= 1
            c.sendall(b"".join(head) + b"\r\n" + data)
            return True
        own = {"FF_S3_PREFIX": f"parallel{most}/", "FF_S3_PARALLEL": str(most)}
        lab.ff("store", "init", **own)
        lab.proxy.spoil(rule, 10**6)
        ref = lab.put(path, **own)
        put, peak[0] = peak[0], 0
        lab.get(ref, path.read_bytes(), **own)
        lab.proxy.spoil(None, 0)
        assert least <= put <= most + 1 and least <= peak[0] <= most + 1, (most, put, peak[0])  # one more: by the caller itself
        print(f"ok up to {most} transfers at a time: {put} and {peak[0]}")


def fresh_keys(lab):
    """Temporary keys run out while an upload goes on: it goes on with those that the file has by then, or says so in one line."""
    keys = lab.folder / "temporary"
    section = lambda k: f"[default]\naws_access_key_id = {k[0]}\naws_secret_access_key = {k[1]}\naws_session_token = {k[2]}\n"
    first, second = lab.server.temporary_keys(), lab.server.temporary_keys()
    text = b"<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error>"
    expired = []

    def rule(p, c, method, path, answer):
        if not expired or not any(first[0].encode() in line for line in p.now.head):
            return False
        expired.append(path)
        c.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: %d\r\n\r\n" % len(text) + text)
        return True
    data = os.urandom(20_000_000)
    for others in (True, False):
        keys.write_text(section(first))
        env = {k: v for k, v in lab.env.items() if k not in ("S3_ACCESS_KEY", "S3_SECRET_KEY")} | {"FF_S3_CREDENTIALS_FILE": str(keys)}
        expired.clear()
        lab.proxy.spoil(rule, 10**6)
        p = subprocess.Popen([FF, "--state", lab.state(), "store", "put", "-"], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE)
        p.stdin.write(data[:10_000_000])  # keys are taken by now
        if others:
            keys.write_text(section(second))
        expired.append("from now on")
        out, said = p.communicate(data[10_000_000:], timeout=120)
        lab.proxy.spoil(None, 0)
        assert len(expired) >= 2, "the keys were not used"
        if others:
            assert p.returncode == 0, said
            lab.get(out.decode().strip(), data)
        else:
            assert p.returncode == 5 and b"does not accept the credentials: The provided token has expired" in said and not out, said
    print("ok keys that run out")


def slow_upload(lab, size, rates, retry, uploads, said, least, most):
    """One by a line of that many bytes a second, the last rate for all tries from then on; 0: as fast as it goes."""
    lab, asked = copy.copy(lab), []
    lab.folder = pathlib.Path(tempfile.mkdtemp(dir=lab.folder))
    lab.proxy = proxy = Proxy(lab.server.port, window=4096)
    lab.env = lab.env | {"S3_ENDPOINT": f"http://localhost:{proxy.port}", "FF_S3_RETRY": retry}
    proxy.rate = lambda method, path: is_put(method, path) and (asked.append(path) or rates[min(len(asked), len(rates)) - 1])
    path, began = lab.file(size), time.monotonic()
    p = lab.ff("store", "put", path, want=5 if said else 0)
    took = time.monotonic() - began
    case = (size, rates, retry, len(asked), took, p.stderr)
    assert least <= took <= most and len(asked) == uploads, case
    proxy.rate = None
    if said:
        lab.failed(p, said)
    else:
        lab.get(p.stdout.decode().strip(), path.read_bytes())


def slow_uploads(lab):
    """A service that reads in drips is given up after a while, and tried anew. One that goes on is waited for, however short s3.retry
    is, and another time by another connection, at last."""
    cases = ((400_000, (1000, 0), "25s", 2, "", 9, 25), (400_000, (1000,), "12s", 1, "too slow", 9, 25), (400_000, (22_000,), "3s", 1, "", 15, 30),
             (400_000, (5000, 0), "3s", 2, "", 20, 40), (400_000, (5000,), "3s", 2, "timed out", 40, 80))
    with concurrent.futures.ThreadPoolExecutor() as pool:
        for case in [pool.submit(slow_upload, lab, *case) for case in cases]:
            case.result()
    print(f"ok {len(cases)} uploads by slow lines")


def lasting(lab):
    """What stays: one line, exit status 5, soon."""
    path = lab.file(6_000_000)
    ref = lab.put(path)
    with socket.create_server(("127.0.0.1", 0)) as trap:
        trap.setblocking(False)
        cases = [(truncated, "", None), (changed, "changed", None), (other_bytes, "", None), (storm, "503", "503"), (fine_but_error, "it did not work", "it did not work"),
                 (reset, "", ""), (elsewhere(trap.getsockname()[1]), "elsewhere", "elsewhere"), (denied, "denies", "denies"), (silence, "", ""), (drip, "", None),
                 (endless_listing, "does not go on", "does not go on"), (bomb, "document type", "document type"), (no_space, None, "full")]
        for rule, read, write in cases:
            start = time.monotonic()
            if read is not None:
                lab.proxy.spoil(rule, 10**6)
                lab.failed(lab.get(ref, path.read_bytes(), want=5, FF_S3_RETRY="3s"), read)
            if write is not None:
                lab.proxy.spoil(rule, 10**6)
                lab.failed(lab.ff("store", "put", path if write != "full" else lab.file(10000), want=5, FF_S3_RETRY="3s"), write)
            assert lab.proxy.hits >= 1, rule.__name__
            took = time.monotonic() - start
            assert took < 60, f"{rule.__name__}: {took:.0f} s"
            print(f"ok one line for {rule.__name__}, after {took:.1f} s")
        try:
            trap.accept()
            raise SystemExit("a redirect was followed")
        except BlockingIOError:
            pass
    lab.proxy.spoil(None, 0)
    lab.get(ref, path.read_bytes())


def clock(lab):
    """A host whose clock is hours off works, by the service's clock."""
    path = lab.file(300_000)
    for shift in ("+3 hours", "-2 days"):
        ref = lab.put(path, before=("faketime", "-f", shift.replace(" hours", "h").replace(" days", "d")))
        lab.get(ref, path.read_bytes())
    print("ok a clock that is off")


def cache_disk(lab):
    """A full disk under the cache: reading and writing go on without it, or say that there is no space."""
    lab = copy.copy(lab)
    lab.env = lab.env | {"FF_S3_PREFIX": "disk/"}  # so that the index has room there
    lab.ff("store", "init")
    small = lab.folder / "small-disk"
    small.mkdir()
    path = lab.file(5_000_000)
    ref = lab.put(path)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1M", "none", small], capture_output=True).returncode:
        raise SystemExit("a small disk cannot be mounted here: this test needs root")
    try:
        lab.get(ref, path.read_bytes(), CACHE_DIR=str(small))
        other = lab.file(5_000_000)
        lab.get(lab.put(other, CACHE_DIR=str(small)), other.read_bytes())
        shutil.rmtree(next(small.iterdir()), ignore_errors=True)
        with contextlib.suppress(OSError):
            (small / "filler").write_bytes(b"x" * 2_000_000)
        p = lab.ff("store", "get", ref, "-o", lab.folder / "out", want=5, CACHE_DIR=str(small))
        lab.failed(p, "")
    finally:
        subprocess.run(["umount", small], check=True)
    # One on which some of it has room: that is kept, the rest is done without, and what others need of the disk is left.
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=45M", "none", small], capture_output=True).returncode:
        raise SystemExit("a small disk cannot be mounted here: this test needs root")
    try:
        for _ in range(3):
            path = lab.file(30_000_000)
            ref = lab.put(path, CACHE_DIR=str(small))
            lab.get(ref, path.read_bytes(), CACHE_DIR=str(small))
        disk = os.statvfs(small)
        kept = sum(p.stat().st_size for p in small.rglob("packs/*/*"))
        assert kept > 1_000_000 and disk.f_bavail * disk.f_frsize > 20_000_000, (kept, disk)
    finally:
        subprocess.run(["umount", small], check=True)
    # One whose index cannot be opened is named.
    bad = {"CACHE_DIR": str(lab.folder / "bad")}
    lab.ff("store", "ls", **bad)
    for index in (lab.folder / "bad").rglob("index.db*"):
        index.unlink()
    (index.parent / "index.db").mkdir()
    lab.failed(lab.ff("store", "ls", want=5, **bad), f"cache folder {index.parent}: ")
    # And a bound: the files that were used last stay within it.
    bounded = {"CACHE_DIR": str(lab.folder / "bounded"), "CACHE_MAX_SIZE": "40MB"}
    last = None
    for _ in range(4):
        path = lab.file(20_000_000)
        last = lab.put(path, **bounded)
        lab.get(last, path.read_bytes(), **bounded)
    assert sum(p.stat().st_size for p in (lab.folder / "bounded").rglob("packs/*/*")) <= 40_000_000
    asked = []
    for _ in range(5):  # where the disk is slow not all is kept the first time
        asked.clear()
        lab.proxy.spoil(lambda p, c, method, path, answer: is_data(method, path) and asked.append(path), 10**6)
        lab.get(last, path.read_bytes(), **bounded)
        lab.proxy.spoil(None, 0)
        if len(asked) <= 2:  # of five packs
            break
    else:
        raise SystemExit(f"what was used last is not kept: {asked}")
    print("ok a full disk under the cache")


def writers(lab):
    """Two hosts that put the same object at the same time, again and again."""
    for size in (2000, 70_000, 5_000_000):
        path = lab.file(size)
        both = [subprocess.Popen([FF, "--state", lab.state(), "store", "put", path], env=lab.env, stdout=subprocess.PIPE) for _ in range(3)]
        refs = {p.communicate()[0] for p in both}
        assert len(refs) == 1 and all(p.returncode == 0 for p in both)
        lab.get(refs.pop().decode().strip(), path.read_bytes())
    print("ok writers of one object")


def killed(lab):
    """An upload that is killed leaves nothing that counts, and the next one succeeds."""
    path = lab.file(40_000_000)
    state = lab.state()
    for after in (0.05, 0.1, 0.2, 0.4):
        p = subprocess.Popen([FF, "--state", state, "store", "put", path], env=lab.env, stdout=subprocess.DEVNULL)
        time.sleep(after)
        p.send_signal(signal.SIGKILL)
        p.wait()
    ref = lab.put(path, state=state)
    lab.get(ref, path.read_bytes())
    lab.ff("store", "verify")
    print("ok uploads that were killed")


def resumed(lab):
    """What a killed upload has sent is not sent again, from whatever host."""
    sent = []

    def count(p, c, method, path, answer):
        if is_put(method, path):
            sent.append(path)
        return False

    lab.proxy.spoil(count, 10**6)
    lab.put(lab.file(40_000_000))
    all_of_it = len(sent)
    path = lab.file(40_000_000)
    sent.clear()
    p = subprocess.Popen([FF, "--state", lab.state(), "store", "put", path], env=lab.env, stdout=subprocess.DEVNULL)
    while len(sent) < 5 and p.poll() is None:
        time.sleep(0.002)
    p.kill()
    p.wait()
    time.sleep(1)  # what has arrived is on its way through the proxy
    arrived = len(sent)
    sent.clear()
    ref = lab.put(path)
    assert arrived >= 5 and len(sent) <= all_of_it - 4, (all_of_it, arrived, len(sent))
    lab.proxy.spoil(None, 0)
    lab.get(ref, path.read_bytes())
    print(f"ok an upload that was killed goes on: {all_of_it} packs, {arrived} before it was killed, {len(sent)} after")


def first_look(lab):
    """A host that has never seen a store asks for a few packs' directories, not for each one's."""
    asked, sent = [], []

    def count(p, c, method, path, answer):
        if is_data(method, path):
            asked.append(path)
        if is_put(method, path):
            sent.append(path)
        return False

    own = {"FF_S3_PREFIX": "first/"}
    lab.ff("store", "init", **own)
    lab.proxy.spoil(count, 10**6)
    for _ in range(3):
        lab.put(lab.file(30_000_000), **own)
    asked.clear()
    lab.ff("store", "ls", **own)
    lab.proxy.spoil(None, 0)
    # How many of them others tell of depends on what was under way when those were written.
    assert len(sent) >= 21 and len(asked) < len(sent), (len(sent), len(asked))
    print(f"ok a first look at {len(sent)} packs: {len(asked)} requests")


# --- uploads in parts -------------------------------------------------------------------------------------------------

def step(method, path):
    """Which of the four requests of an upload in parts it is."""
    query = path.partition("?")[2]
    return {("POST", "uploads"): "begin", ("PUT", "partNumber"): "part", ("POST", "uploadId"): "complete",
            ("DELETE", "uploadId"): "abort"}.get((method, query.partition("=")[0]))


def at(which, rule):
    """The rule, for that step alone."""
    return lambda p, c, method, path, answer: step(method, path) == which and rule(p, c, method, path, answer)


def done_but_500(p, c, method, path, answer):
    answer()
    c.sendall(b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n")
    return True


def changed_part(p, c, method, path, answer):
    """The service gets other bytes, and says so."""
    head, data = answer(lambda b: b[:5000] + bytes([b[5000] ^ 1]) + b[5001:])
    assert b" 400 " in head[0], head[0]
    c.sendall(b"".join(head) + b"\r\n" + data)
    return True


def other_tag(p, c, method, path, answer):
    head, data = answer()
    head = [b"ETag: \"00000000000000000000000000000000\"\r\n" if x.lower().startswith(b"etag:") else x for x in head]
    c.sendall(b"".join(head) + b"\r\n" + data)
    return True


def upload_gone(p, c, method, path, answer):
    """Somebody has given up the upload: what an expiry rule does."""
    text = b"<Error><Code>NoSuchUpload</Code><Message>The specified multipart upload does not exist.</Message></Error>"
    c.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: %d\r\n\r\n" % len(text) + text)
    return True


def late_error(p, c, method, path, answer):
    """As AWS keeps a connection awake while it joins parts: blanks, and an error in the end."""
    text = b" " * 3000 + b"<?xml version=\"1.0\"?>\n<Error><Code>InternalError</Code><Message>not joined</Message></Error>"
    c.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(text) + text)
    return True


def nothing_said(p, c, method, path, answer):
    c.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    return True


def at_lifecycle(rule):
    return lambda p, c, method, path, answer: "lifecycle=" in path and method == "PUT" and rule(p, c, method, path, answer)


class Parts:
    """Packs of four parts, put one after the other."""

    def __init__(self, lab):
        self.lab, self.n = lab, 0
        self.file = lab.file(30_000_000)
        self.name = self.file.name
        multipart = {"minio": ".minio.sys/multipart/*/*/xl.meta", "versitygw": "faults/.sgwtmp/multipart/*/*"}
        self.uploads = lambda: len(list(lab.server.data.glob(multipart[lab.server.kind])))  # of how many the service has parts

    def start(self, retry_s=25):
        self.n += 1
        self.key = f"parts/{self.name}-{self.n}"
        env = self.lab.env | {"S3_RETRY_MS": str(retry_s * 1000)}
        return subprocess.Popen([PACK, self.key, self.file, self.lab.folder / "parts-cache"], env=env, stderr=subprocess.PIPE, text=True)

    def put(self, want=0, **more):
        began = time.monotonic()
        p = self.start(**more)
        said = p.communicate(timeout=240)[1]
        if p.returncode != want:
            raise SystemExit(f"a pack in parts: exit {p.returncode}, wanted {want}: {said}")
        return said, time.monotonic() - began

    def stored(self):
        """What the service has, without the proxy."""
        source = ("import boto3, sys\nurl, key, secret, name = sys.argv[1:]\n"
                  "c = boto3.client('s3', endpoint_url=url, aws_access_key_id=key, aws_secret_access_key=secret, region_name='us-east-1')\n"
                  "sys.stdout.buffer.write(c.get_object(Bucket='faults', Key=name)['Body'].read())")
        s = self.lab.server
        p = subprocess.run([peers.BOTO3_PYTHON, "-c", source, s.url, s.key, s.secret, self.key], capture_output=True, timeout=120)
        assert p.returncode == 0 or b"NoSuchKey" in p.stderr, p.stderr[-500:]
        return p.stdout if p.returncode == 0 else None

    def kill(self):
        """Kills one of which two parts have arrived."""
        arrived = []

        def late(p, c, method, path, answer):
            answered = answer()
            arrived.append(path)
            while len(arrived) < 4 and self.process.poll() is None:
                time.sleep(0.01)
            return answered and False
        self.lab.proxy.spoil(at("part", late), 10**6)
        self.process = self.start()
        while len(arrived) < 2 and self.process.poll() is None:
            time.sleep(0.01)
        self.process.kill()
        assert self.process.wait() == -signal.SIGKILL
        self.lab.proxy.spoil(None, 0)


def parts(lab):
    """An upload in parts ends whole, or with one line; either way the service keeps no parts of it."""
    parts = Parts(lab)
    data, before = parts.file.read_bytes(), parts.uploads()
    everywhere = (storm, reset, done_but_500, fine_but_error, nothing_said)
    passing = [at(which, rule) for which in ("begin", "part", "complete") for rule in everywhere]
    passing += [at("part", rule) for rule in (changed_part, other_tag, upload_gone)] + [at("complete", rule) for rule in (upload_gone, late_error)]
    for rule in passing:
        lab.proxy.spoil(rule, 2)
        parts.put()
        case = tuple(getattr(x.cell_contents, "__name__", x.cell_contents) for x in rule.__closure__)
        assert lab.proxy.hits == 2 and parts.stored() == data and parts.uploads() == before, (case, lab.proxy.hits, parts.uploads())
    print(f"ok {len(passing)} ways in which an upload in parts may stumble")
    for which in ("begin", "part", "complete"):
        for rule, says in ((storm, "503"), (reset, ""), (denied, "denies access"), (no_space_at_all, "full"), (fine_but_error, "did not work"),
                           (silence, "")) + (((upload_gone, "given up"),) if which != "begin" else ()):
            lab.proxy.spoil(at(which, rule), 10**6)
            said, took = parts.put(want=5, retry_s=3)
            assert lab.proxy.hits and took < 25, (which, rule.__name__, took)
            assert said.startswith("ff: ") and len(said.splitlines()) == 1 and says in said, (which, rule.__name__, said)
            lab.proxy.spoil(None, 0)
            assert parts.stored() in ((None, data) if (which, rule) == ("complete", reset) else (None,)), (which, rule.__name__)
            assert parts.uploads() == before, (which, rule.__name__, parts.uploads())
    print("ok one line for an upload in parts that cannot be")


def abandoned(lab):
    """What an uploader that was killed leaves is given up: by MinIO itself, elsewhere by a rule and by ff store gc."""
    parts = Parts(lab)
    parts.kill()
    assert parts.uploads() == 1 and parts.stored() is None, parts.uploads()
    parts.put()
    assert parts.stored() == parts.file.read_bytes() and parts.uploads() == 1
    lab.server.stop()
    lab.server.up(MINIO_API_STALE_UPLOADS_EXPIRY="1s", MINIO_API_STALE_UPLOADS_CLEANUP_INTERVAL="1s")
    end = time.monotonic() + 60
    while parts.uploads():
        assert time.monotonic() < end, "MinIO keeps it"
        time.sleep(0.2)
    print("ok MinIO gives up an upload that was killed")
    with peers.S3Server("versitygw") as server, tempfile.TemporaryDirectory() as d:
        other = Lab(server, Proxy(server.port), pathlib.Path(d))
        parts = Parts(other)
        parts.kill()
        assert parts.uploads() == 1, parts.uploads()
        other.ff("store", "gc")
        assert parts.uploads() == 1, "it may still be going on"

        def two_days_ago(p, c, method, path, answer):
            if "uploads=" not in path or method != "GET":
                return False
            head, data = answer()
            day = time.strftime("%Y-%m-%d", time.gmtime(time.time() - 2 * 86400)).encode()
            c.sendall(b"".join(head) + b"\r\n" + re.sub(rb"<Initiated>....-..-..", b"<Initiated>" + day, data))
            return True
        other.proxy.spoil(two_days_ago, 1)
        other.ff("store", "gc")
        assert other.proxy.hits == 1 and parts.uploads() == 0, parts.uploads()
        for rule in (at("part", done_but_500), at("begin", reset), at("complete", upload_gone)):
            other.proxy.spoil(rule, 2)
            parts.put()
            assert other.proxy.hits == 2 and parts.stored() == parts.file.read_bytes() and parts.uploads() == 0, parts.uploads()
    print("ok ff store gc gives up an upload that was killed")


def rule_about_uploads(lab):
    """A service that knows such rules, as AWS does, is told to give up uploads of a day ago, by a rule of each store of the bucket."""
    rules = []

    def aws(p, c, method, path, answer):
        if "lifecycle=" not in path:
            return False
        if method == "PUT":
            answer(lambda body: rules.append(body) or body)
        status, said = ("200 OK", rules[-1] if method == "GET" else b"") if rules else (
            "404 Not Found", b"<Error><Code>NoSuchLifecycleConfiguration</Code></Error>")
        c.sendall(b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n" % (status.encode(), len(said)) + said)
        return True

    def told():
        """Days until objects, and until uploads, of each prefix."""
        days = lambda what, rule: (lambda m: m and int(m[1]))(re.search(rb"<%s>(\d+)<" % what, rule))
        return {re.search(rb"<Prefix>(.*?)</Prefix>", x)[1].decode(): (days(b"Days", x), days(b"DaysAfterInitiation", x))
                for x in rules[-1].split(b"<Rule>")[1:]}
    lab.proxy.spoil(aws, 10**6)
    lab.ff("store", "init", FF_S3_PREFIX="one/")
    assert told() == {"one/packs/": (None, 1)}, told()
    lab.ff("store", "init", FF_S3_PREFIX="two/", FF_S3_KEEP_RESULTS="9d")
    both = {"one/packs/": (None, 1), "two/packs/": (None, 1), "two/packs/results/": (9, None)}
    assert told() == both, told()
    lab.ff("store", "init", FF_S3_PREFIX="one/")
    assert told() == both, told()
    lab.ff("store", "init", FF_S3_PREFIX="two/")
    assert told() == {"one/packs/": (None, 1), "two/packs/": (None, 1)}, told()
    # Rules of others stay, and are no obstacle where nothing was asked for.
    rules.append(b"<LifecycleConfiguration><Rule><ID>theirs</ID><Filter><Prefix>x/</Prefix></Filter></Rule></LifecycleConfiguration>")
    lab.ff("store", "init", FF_S3_PREFIX="one/")
    assert b"theirs" in rules[-1] and len(rules) == 5, rules
    lab.proxy.spoil(at_lifecycle(denied), 10**6)
    lab.ff("store", "init", FF_S3_PREFIX="three/")
    lab.failed(lab.ff("store", "init", want=5, FF_S3_PREFIX="three/", FF_S3_KEEP_RESULTS="9d"), "denies access")
    lab.proxy.spoil(None, 0)
    print("ok a rule about uploads that nobody finishes")


SLOW = """#!/bin/sh
read -r request
sleep 4
echo '{"type": "result", "status": "success", "summary": {}}'
"""


def away_from_a_run(lab):
    """The service is away, longer than s3.retry, while the last attempt of an activity has something to put there: it waits."""
    workflow, module = lab.folder / "toolbox/workflows/slow", lab.folder / "toolbox/modules/slowly"
    workflow.mkdir(parents=True)
    module.mkdir(parents=True)
    (workflow / "metadata.yaml").write_text('name: slow\nversion: "1"\nvertical: python\ndescription: "slow"\n')
    (workflow / "workflow.lua").write_text('return function() return {summary = ff.activity("slowly", {}, {retry = false}).summary} end\n')
    (module / "module.yaml").write_text('name: slowly\nversion: "1"\ncategory: tool\ndescription: "slow"\nexec: ["./run"]\n')
    (module / "run").write_text(SLOW)
    (module / "run").chmod(0o755)
    state = lab.state()
    p = subprocess.Popen([FF, "--state", state, "--toolbox", lab.folder / "toolbox", "--json", "run", "slow", lab.file(10), "--name", "slow"],
                         env=lab.env | {"FF_S3_RETRY": "1s"}, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    end = time.monotonic() + 60
    pending = []
    while not any(a["worker"] for a in pending):
        assert time.monotonic() < end and p.poll() is None, pending
        shown = subprocess.run([FF, "--state", state, "--json", "runs", "show", "slow"], env=lab.env, capture_output=True)
        pending = (json.loads(shown.stdout).get("pending_activities") or []) if shown.returncode == 0 else []
    lab.proxy.spoil(storm, 10**6)
    time.sleep(8)
    assert lab.proxy.hits and p.poll() is None, "it did not wait"
    lab.proxy.spoil(None, 0)
    out = json.loads(p.communicate(timeout=120)[0])
    assert p.returncode == 0 and out["status"] == "COMPLETED", out
    print("ok a run that waits for the store")


def strangers(lab):
    """Keys that are not known or not right, and a bucket that is not there."""
    for env, says in (({"S3_ACCESS_KEY": "nobody"}, "does not accept the credentials"),
                      ({"S3_SECRET_KEY": "wrong"}, "does not accept the credentials"),
                      ({"S3_BUCKET": "nowhere"}, "bucket nowhere does not exist")):
        for args in (("ls",), ("put", lab.file(10)), ("get", "sha256:" + "0" * 64, "-o", lab.folder / "out"), ("gc",), ("verify",)):
            lab.failed(lab.ff("store", *args, want=5, **env), says)
    print("ok one line for strangers")


def service_goes(lab):
    """MinIO is stopped and started while a put tries; then its bucket vanishes."""
    path = lab.file(2_000_000)
    lab.server.stop()
    p = subprocess.Popen([FF, "--state", lab.state(), "store", "put", path], env=lab.env, stdout=subprocess.PIPE)
    time.sleep(1.5)
    lab.server.up()
    out = p.communicate(timeout=120)[0].decode().strip()
    assert p.returncode == 0
    lab.get(out, path.read_bytes())
    print("ok a service that is started again")
    state = lab.state()
    ref = lab.put(path, state=state)
    lab.server.stop()
    shutil.rmtree(lab.server.data / "faults")
    lab.server.up()
    lab.failed(lab.ff("store", "put", lab.file(1000), state=state, want=5), "does not exist")
    lab.failed(lab.get(ref, path.read_bytes(), want=5), "does not exist")
    lab.ff("store", "init")
    again = lab.put(path, state=state)  # its index says that all is there
    lab.get(again, path.read_bytes())
    print("ok a bucket that vanished")


def wait_for_service(lab, proxy, late, patient, path):
    """The cases, and then the service comes that one waits for meanwhile."""
    began = time.monotonic()
    for case in (passing, lost_answers, moved, backoff, at_a_time, fresh_keys, slow_uploads, lasting, clock, cache_disk, writers, killed, resumed, first_look,
                 away_from_a_run, parts, rule_about_uploads, strangers):
        proxy.spoil(None, 0)
        case(lab)
    time.sleep(max(0, 40 - (time.monotonic() - began)))
    assert patient.poll() is None, "it did not wait"
    Proxy(lab.server.port, late)
    ref = patient.communicate(timeout=60)[0].decode().strip()
    assert patient.returncode == 0
    lab.get(ref, path.read_bytes())
    print(f"ok a service that comes after {time.monotonic() - began:.0f} s")


def main():
    peers.need("minio", "boto3")
    with tempfile.TemporaryDirectory() as d, peers.S3Server("minio") as server:
        proxy = Proxy(server.port)
        lab = Lab(server, proxy, pathlib.Path(d))
        # One that waits as long as it is told to, for a service that only comes at the end.
        late, path = peers.free_port(), lab.file(3_000_000)
        patient = subprocess.Popen([FF, "--state", lab.state(), "store", "put", path], stdout=subprocess.PIPE,
                                   env=lab.env | {"S3_ENDPOINT": f"http://localhost:{late}", "FF_S3_RETRY": "1h"})
        try:
            wait_for_service(lab, proxy, late, patient, path)
        finally:
            patient.kill()
        abandoned(lab)
        service_goes(lab)


main()
