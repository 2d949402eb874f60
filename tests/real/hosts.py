#!/usr/bin/env python3
"""The product on four hosts, each a network namespace: one has Temporal's own server and a MinIO, three have users and an `ff worker`.
300 runs go through while hosts die, a link is down, connections stall, drip and are reset, and both services are killed and
started again. All runs complete, and each has every finding of an undisturbed run once.

usage: hosts.py FF      as root; the rest of it happens in namespaces of its own, which end with it however it ends
"""
import collections
import concurrent.futures
import contextlib
import ctypes
import datetime
import json
import os
import pathlib
import selectors
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import traceback

import peers

RUNS = int(os.environ.get("FF_HOSTS_RUNS", 300))
FF = os.path.abspath(sys.argv[1])
SERVER = "10.78.0.1"
MODULES = ["file_scanner", "sarif_reporter", "secret_detection", "security_analyzer"]
TEMPORAL_PORT, S3_PORT = 7233, 9000
PACE = 0.5  # seconds between starts, beside those that come at once
BEGAN = time.monotonic()


def say(text):
    print(f"{time.monotonic() - BEGAN:6.1f} s  {text}", flush=True)


def fail(text):
    say("FAIL " + text)
    raise SystemExit(1)


def command(*args, check=True, **more):
    p = subprocess.run([str(a) for a in args], capture_output=True, text=True, **more)
    if check and p.returncode:
        fail(f"{' '.join(map(str, args))}: exit {p.returncode}: {p.stderr.strip()} {p.stdout[-500:]}")
    return p


# --- hosts --------------------------------------------------------------------------------------------------------

class Host:
    """A network namespace on the bridge, with a folder of its own for all that `ff` keeps there."""

    def __init__(self, name, address, folder):
        self.name, self.address, self.dir, self.worker, self.started = name, address, folder / name, None, 0
        self.dir.mkdir()
        command("ip", "netns", "add", name)
        command("ip", "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", name)
        command("ip", "link", "set", name, "master", "bridge", "up")
        self.ip("link", "set", "lo", "up")
        self.ip("addr", "add", f"{address}/24", "dev", "eth0")
        self.ip("link", "set", "eth0", "up")

    def ip(self, *args):
        command("ip", "-n", self.name, *args)

    @contextlib.contextmanager
    def inside(self):
        """This thread, and the processes that it starts, are there."""
        with open("/proc/thread-self/ns/net") as home, open(f"/run/netns/{self.name}") as there:
            enter(there)
            try:
                yield
            finally:
                enter(home)

    def link(self, state):
        command("ip", "link", "set", self.name, state)

    def ff(self, *args, **more):
        with self.inside():
            return subprocess.Popen([FF, "--state", self.dir / "state", *map(str, args)], cwd=self.dir, stdin=subprocess.DEVNULL,
                                    env=env | {"HOME": str(self.dir)}, **more)

    def call(self, *args):
        """What it says is wrong comes last: with --json as a document on stdout."""
        p = self.ff(*args, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        out, err = p.communicate(timeout=240)
        err = err.decode() if err or not p.returncode else out.decode()
        return p.returncode, out.decode(), err

    def work(self):
        with open(self.dir / "worker.log", "ab") as log:
            self.worker = self.ff("worker", "--vertical", "python", stderr=log)
        self.started += 1

    def until_ready(self):
        """What could not reach the others is started again, as a service manager does."""
        end = time.monotonic() + 120
        while (self.dir / "worker.log").read_text().count("ready") < self.started:
            if self.worker.poll() == 5:
                self.started -= 1
                self.work()
            if time.monotonic() > end or self.worker.poll() is not None:
                fail(f"the worker of host {self.name} did not start")
            time.sleep(0.1)

    def kill(self):
        """All processes at once."""
        for _ in range(100):
            pids = command("ip", "netns", "pids", self.name).stdout.split()
            if not pids:
                self.worker.wait()
                return
            for p in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(p), signal.SIGKILL)
            time.sleep(0.05)
        fail(f"{self.name} has processes that cannot be killed: {pids}")


libc = ctypes.CDLL(None, use_errno=True)


def enter(namespace):
    if libc.setns(namespace.fileno(), 0):
        raise OSError(ctypes.get_errno(), "setns")


# --- what is between them -----------------------------------------------------------------------------------------

class Relay(threading.Thread):
    """Forwards connections to ports of the server's loopback, and does what a bad network does."""

    def __init__(self, host, ports):
        super().__init__(daemon=True)
        self.host, self.ports, self.mode, self.peers = host, ports, "pass", {}
        self.carried = collections.Counter()
        self.ready = threading.Event()
        self.start()
        self.ready.wait()

    def run(self):
        self.selector = selectors.DefaultSelector()
        with self.host.inside():
            for outer, inner in self.ports.items():
                s = socket.create_server((self.host.address, outer), backlog=256)
                self.selector.register(s, selectors.EVENT_READ, inner)
            self.ready.set()
            while True:
                mode = self.mode
                if mode == "reset":
                    for s in list(self.peers):
                        self.close(s, hard=True)
                if mode == "drip":
                    time.sleep(0.05)
                for key, _ in self.selector.select(0.05):
                    if key.data is not None:
                        self.accept(key.fileobj, key.data)
                    elif mode != "stall" and key.fileobj in self.peers:
                        self.pump(key.fileobj, 200 if mode == "drip" else 1 << 18)
                if mode == "stall":
                    time.sleep(0.05)

    def accept(self, listener, port):
        a, _ = listener.accept()
        b = socket.socket()
        if b.connect_ex(("127.0.0.1", port)):
            a.close()  # nobody there: as a machine says it whose service is gone
            return
        for s, other in ((a, b), (b, a)):
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            s.settimeout(10)  # of a write to who reads no more
            self.peers[s] = other
            self.selector.register(s, selectors.EVENT_READ)

    def pump(self, s, most):
        try:
            data = s.recv(most)
            if not data:
                return self.close(s)
            self.peers[s].sendall(data)
            self.carried[self.mode] += len(data)
        except OSError:
            self.close(s, hard=True)

    def close(self, s, hard=False):
        other = self.peers.pop(s, None)
        if other is None:
            return
        self.peers.pop(other, None)
        for x in (s, other):
            if hard:
                with contextlib.suppress(OSError):
                    x.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.selector.unregister(x)
            x.close()


# --- targets ------------------------------------------------------------------------------------------------------

TARGETS = {
    "shop": {"app/db.py": "import sqlite3\n\ndef find(request):\n    c = sqlite3.connect('x')\n"
                          "    return c.execute('SELECT * FROM t WHERE n = ' + request.args['n'])\n",
             "app/__init__.py": "", "README": "a shop\n"},
    "tool": {"run.py": "import os, sys\nos.system('ls ' + sys.argv[1])\neval(input())\n", ".env": "DB_PASSWORD=hunter2-but-longer\n"},
    "site": {"index.php": "<?php\n$q = \"SELECT * FROM u WHERE id=\" . $_GET['id'];\nmysqli_query($db, $q);\necho $_GET['name'];\n",
             "js/main.js": "function f(x) {\n  document.body.innerHTML = location.hash;\n  eval(x);\n}\n"},
    "keys": {"id_rsa": "-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEA0Z3VS5JJcds3xfn/ygWyF0qJDr9dP5uRkqk6fO3vbQY5iP8e\n"
                       "-----END RSA PRIVATE KEY-----\n",
             "conf.yaml": "aws_access_key_id: AKIAQ7RTZ3XW5LMN2PBK\n"},
    "clean": {"a.py": "def add(a, b):\n    return a + b\n"},
    "many": {f"m{i}.py": f"import subprocess\n\ndef run(c):\n    subprocess.call(c, shell=True)\n\nx{i} = eval(input())\n"
             for i in range(25)},
}


def write_target(folder, kind, serial):
    """One of a kind, so that each run has an upload of its own."""
    for name, text in (TARGETS[kind] | {"serial.txt": f"{serial}\n"}).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def key_of(f):
    return f["rule_id"], f.get("file"), f.get("line"), f["severity"], f["title"], f["fingerprint"]


def expected(folder):
    """The findings of each kind, by this machine alone."""
    local = {k: v for k, v in os.environ.items() if not k.startswith(("FF_", "FUZZFORGE", "S3_", "TEMPORAL"))}
    found = {}
    for kind in TARGETS:
        p = command(FF, "--state", folder / "local", "--json", "run", "security_assessment",
                    write_target(folder / kind, kind, "local"), env=local)
        found[kind] = sorted(map(key_of, json.loads(p.stdout)["findings"]), key=repr)
    if found["clean"] or sum(map(len, found.values())) < 50 or any(not f for k, f in found.items() if k != "clean"):
        fail(f"the targets are not what they were: {({k: len(v) for k, v in found.items()})}")
    return found


def differs(want, findings):
    """What is wrong with a run's findings, or None."""
    got = sorted(map(key_of, findings), key=repr)
    if got == want:
        return None
    missing, extra = [k for k in want if k not in got], [k for k in got if k not in want]
    return f"{len(got)} findings instead of {len(want)}; missing {missing[:2]}, extra {extra[:2]}"


# --- the runs -----------------------------------------------------------------------------------------------------

class Runs:
    def __init__(self, hosts, folder):
        self.hosts, self.folder, self.tries = hosts, folder, collections.Counter()
        self.kinds = {f"run-{i:03}": list(TARGETS)[i % len(TARGETS)] for i in range(RUNS)}
        self.errors, self.seen, self.last = collections.Counter(), collections.Counter(), collections.defaultdict(str)
        self.released = threading.Semaphore(0)

    def pace(self):
        """Half of them, one by one; the others come with the faults, and after the last."""
        for _ in range(RUNS - (len(FAULTS) + 1) * BURST):
            self.released.release()
            time.sleep(PACE)

    def submit(self, name, host):
        """As a person would: again, until it is said that it runs."""
        self.released.acquire()
        target = write_target(self.folder / "targets" / name, self.kinds[name], name)
        end = time.monotonic() + 300
        while time.monotonic() < end:
            self.tries[name] += 1
            code, out, err = self.hosts[host].call("run", "-d", "--name", name, "security_assessment", target)
            if code == 0 or (code == 2 and "there is a run named" in err and self.tries[name] > 1):
                return
            # by what was done to it (a signal), or one line about the environment
            if code not in (5, -signal.SIGKILL) or (code == 5 and len(err.strip().splitlines()) > 3):
                fail(f"{name}: exit {code}: {err.strip()}")
            self.errors[err.strip().splitlines()[0] if code == 5 else "killed"] += 1
            host = (host + 1) % len(self.hosts)
            time.sleep(1)
        fail(f"{name} could not be started: {self.errors}")

    def check(self, name, want):
        wrong = self.check_history(name) or differs(want, self.findings(name))
        return wrong and f"{name} ({self.kinds[name]}): {wrong}"

    def findings(self, name):
        code, out, err = self.hosts[0].call("--json", "findings", "list", "--run", name)
        if code:
            fail(f"ff findings list --run {name}: exit {code}: {err}")
        return json.loads(out)["findings"]

    def check_history(self, name):
        """Each activity is done once, after however many attempts."""
        code, out, err = self.hosts[0].call("--json", "runs", "events", name)
        if code:
            return f"exit {code}: {err}"
        events, done = [json.loads(line) for line in out.splitlines()], []
        names = {e["eventId"]: e["activityTaskScheduledEventAttributes"]["activityType"]["name"] for e in events
                 if "activityTaskScheduledEventAttributes" in e}
        for e in events:
            kind = e["eventType"].removeprefix("EVENT_TYPE_")
            if kind == "ACTIVITY_TASK_STARTED":
                a = e["activityTaskStartedEventAttributes"]
                self.seen["activities again"] += a["attempt"] > 1
                self.last[a["identity"]] = max(self.last[a["identity"]], e["eventTime"])
            elif kind == "ACTIVITY_TASK_COMPLETED":
                done.append(names[e["activityTaskCompletedEventAttributes"]["scheduledEventId"]])
            elif kind == "WORKFLOW_TASK_TIMED_OUT":
                self.seen["workflow tasks again"] += 1
        return None if sorted(done) == MODULES else f"activities done: {done}"


def count(query):
    p = temporal.cli_in("workflow", "count", "-q", query)
    numbers = [w for w in p.stdout.split() if w.isdigit()]
    return int(numbers[0]) if p.returncode == 0 and numbers else None


RUNNING = "ExecutionStatus = 'Running'"


def completed():
    return count("ExecutionStatus = 'Completed'") or 0


class Temporal(peers.TemporalServer):
    def __init__(self, host, **more):
        self.host = host
        with host.inside():
            super().__init__(**more)

    def cli_in(self, *args):
        with self.host.inside():
            return self.cli(*args, check=None)

    def again(self, pause):
        self.stop(signal.SIGKILL)
        time.sleep(pause)
        with self.host.inside():
            self.up()


# --- the faults; each is over when it returns ----------------------------------------------------------------------

def host_killed(hosts, relay, minio):
    """kill -9 of all in it; it comes back."""
    hosts[2].kill()
    time.sleep(5)
    hosts[2].work()


def link_down(hosts, relay, minio):
    hosts[1].link("down")
    time.sleep(20)
    hosts[1].link("up")


def stall(hosts, relay, minio):
    relay.mode = "stall"
    time.sleep(12)
    relay.mode = "pass"


def drip(hosts, relay, minio):
    relay.mode = "drip"
    time.sleep(8)
    relay.mode = "pass"


def resets(hosts, relay, minio):
    for _ in range(6):
        relay.mode = "reset"
        time.sleep(0.3)
        relay.mode = "pass"
        time.sleep(0.5)


def temporal_restarts(hosts, relay, minio):
    temporal.again(3)


def minio_restarts(hosts, relay, minio):
    minio.stop(signal.SIGKILL)
    time.sleep(5)
    with minio.host.inside():
        minio.up()


def power_lost(hosts, relay, minio):
    """The host is gone without a word to anybody."""
    hosts[0].link("down")
    hosts[0].kill()
    time.sleep(3)
    hosts[0].link("up")
    hosts[0].work()


FAULTS = [host_killed, link_down, stall, drip, resets, temporal_restarts, minio_restarts, power_lost]
BURST = RUNS // (len(FAULTS) + 1) // 2


def wait_for(runs):
    """Until so many are completed. Fails if one ends in another way, or after five minutes."""
    end = time.monotonic() + 300
    while (done := completed()) < runs:
        if time.monotonic() > end or count("ExecutionStatus != 'Completed' AND ExecutionStatus != 'Running'"):
            listed = temporal.cli_in("workflow", "list", "-q", "ExecutionStatus != 'Completed'").stdout
            ended = [w[1] for w in map(str.split, listed.splitlines()[1:]) if len(w) > 1 and w[0] != "Running"]
            told = temporal.cli_in("workflow", "show", "-w", ended[0]).stdout if ended else listed
            fail(f"{done} runs are completed; others: {ended[:9]} {told[-2500:]}")
        time.sleep(0.5)


def disturb(runs, hosts, relay, minio):
    """One after the other over the whole, each while many runs begin."""
    for i, fault in enumerate(FAULTS):
        wait_for(RUNS * i // (len(FAULTS) + 1))
        runs.released.release(BURST)
        time.sleep(0.5)
        say(f"{completed()} runs are done and {count(RUNNING)} are going on: {fault.__name__}")
        fault(hosts, relay, minio)
        say("  is over")
    for h in hosts:
        h.until_ready()
    say(f"{completed()} runs are done: quiet from now on")
    runs.released.release(BURST)
    return datetime.datetime.now(datetime.timezone.utc).isoformat()


def check_all(runs, want, pool, quiet):
    wrong = [w for w in pool.map(lambda n: runs.check(n, want[runs.kinds[n]]), runs.kinds) if w]
    if wrong:
        fail(f"{len(wrong)} of {RUNS} runs are not what they should be: {'; '.join(wrong[:3])}")
    if not runs.seen["activities again"]:
        fail("no activity had to be done again: nothing was disturbed")
    for h in runs.hosts:
        last = [t for who, t in runs.last.items() if who.startswith(f"{h.worker.pid}@")]
        if not last or last[0] < quiet:
            fail(f"the worker of host {h.name} did nothing after the last fault: {last}, {quiet}")
    # The comparison sees what it is there for.
    findings = runs.findings("run-000")
    if not differs(want["shop"], findings[1:]) or not differs(want["shop"], findings + findings[:1]) or differs(want["shop"], findings):
        fail("a finding that is missing or doubled is not seen")


def build(folder, relayed):
    """Four hosts with both services, and a store. Gives the three, MinIO, and the relay or None."""
    global env, temporal
    command("ip", "link", "add", "bridge", "type", "bridge")
    command("ip", "link", "set", "bridge", "up")
    command("ip", "link", "set", "lo", "up")
    server, *hosts = [Host(name, f"10.78.0.{i + 1}", folder) for i, name in enumerate(("server", "one", "two", "three"))]
    ip = "127.0.0.1" if relayed else SERVER
    temporal = Temporal(server, ip=ip)
    with server.inside():
        minio = peers.S3Server("minio", ip=ip)
    minio.host = server
    env = minio.settings("hosts") | {"FF_ENGINE": "temporal", "TEMPORAL_ADDRESS": temporal.address}
    relay = Relay(server, {TEMPORAL_PORT: temporal.port, S3_PORT: minio.port}) if relayed else None
    if relay:
        env |= {"S3_ENDPOINT": f"http://{SERVER}:{S3_PORT}", "TEMPORAL_ADDRESS": f"{SERVER}:{TEMPORAL_PORT}"}
    code, _, err = hosts[0].call("store", "init")
    if code:
        fail(f"ff store init: {err}")
    return hosts, minio, relay


def play(folder):
    want = expected(folder)
    say("findings by kind of target: " + ", ".join(f"{k} {len(v)}" for k, v in want.items()))
    hosts, minio, relay = build(folder, relayed=True)
    for h in hosts:
        h.work()
    runs = Runs(hosts, folder)
    say("four hosts")
    pool = concurrent.futures.ThreadPoolExecutor(8)  # not awaited: whatever fails first ends it all
    begin = time.monotonic()
    trouble = pool.submit(disturb, runs, hosts, relay, minio)
    jobs = [trouble, pool.submit(runs.pace), *(pool.submit(runs.submit, name, i % 3) for i, name in enumerate(runs.kinds))]
    for job in concurrent.futures.as_completed(jobs):
        job.result()
    say(f"all are started, with {sum(runs.tries.values()) - RUNS} tries that failed: {dict(runs.errors)}")
    wait_for(RUNS)
    say(f"{RUNS} runs completed in {time.monotonic() - begin:.0f} s; bytes over the relay: {dict(relay.carried)}")
    check_all(runs, want, pool, trouble.result())
    say(f"every finding once; {dict(runs.seen)}")
    for h in hosts:
        h.worker.terminate()
        if h.worker.wait(60):
            fail(f"the worker of {h.name} ended with {h.worker.returncode}: {(h.dir / 'worker.log').read_text()[-500:]}")
        left = command("ip", "netns", "pids", h.name).stdout.split()
        if left:
            fail(f"left on {h.name}: {left}")
    code, out, err = hosts[0].call("--json", "store", "verify")
    if code or json.loads(out)["bad_objects"]:
        fail(f"ff store verify: exit {code}: {out}{err}")
    say("ok")


def go_apart(*again):
    """Goes on as that command: its processes, networks, mounts and files (a tmpfs) end with it, even if it is killed."""
    apart = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    p = command(*apart, "ip", "link", "add", "bridge", "type", "bridge", check=False)
    if p.returncode:
        fail(f"namespaces with networks of their own cannot be made here, and this is about nothing else: {p.stderr.strip()}")
    peers.need("temporal", "minio")
    os.execvp("unshare", [*apart, sys.executable, *again])


def inside(play):
    """What go_apart() was for."""
    folder = pathlib.Path("/mnt")
    for where in ("/run", folder):
        command("mount", "-t", "tmpfs", "none", where)
    tempfile.tempdir = str(folder)
    signal.signal(signal.SIGTERM, lambda *_: os._exit(1))
    code = 1
    try:
        play(folder)
        code = 0
    except BaseException:
        traceback.print_exc()
        for log in folder.glob("*/worker.log"):
            print(f"--- {log}:\n{log.read_text(errors='replace')[-3000:]}", flush=True)
    sys.stdout.flush()
    os._exit(code)  # with this process, the first of its namespace, all others end


if __name__ == "__main__":
    if len(sys.argv) == 2:
        go_apart(__file__, FF, "inside")
    inside(play)
