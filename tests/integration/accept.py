"""Helpers for checks that judge the program from outside, through its public surfaces alone."""
import faulthandler, json, os, pathlib, shutil, signal, subprocess, sys, tempfile, time

faulthandler.register(signal.SIGTERM, chain=True)  # Meson's at the end of the time limit: where it hung


def ff_path():
    return os.environ["FF_EXE"]  # set by meson


def fail(msg):
    print("FAIL " + str(msg).replace("\n", " "))
    sys.exit(1)


def ok(msg):
    print("ok " + str(msg))
    sys.exit(0)


class Lab:
    """A temporary folder with its own state, removed at the end."""

    def __init__(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="accept-"))
        self.state = self.dir / "state"
        self.env = {k: v for k, v in os.environ.items() if not k.startswith(("FF_", "FUZZFORGE", "S3_", "TEMPORAL"))}
        self.env["HOME"] = str(self.dir / "home")
        (self.dir / "home").mkdir()
        self.exe = ff_path()
        self.procs = []

    def __enter__(self):
        return self

    def __exit__(self, *a):
        for p in self.procs:
            if p.poll() is None:
                p.kill()
        shutil.rmtree(self.dir, ignore_errors=True)

    def ff(self, *args, timeout=60, check=None, cwd=None, inp=None, env=None):
        p = subprocess.run([self.exe, "--state", str(self.state), *map(str, args)], capture_output=True, text=True, errors="replace",
                           timeout=timeout, cwd=cwd or self.dir, env={**self.env, **(env or {})}, input=inp,
                           stdin=None if inp is not None else subprocess.DEVNULL)
        if check is not None and p.returncode != check:
            fail(f"ff {' '.join(map(str, args))[:80]}: exit {p.returncode}, wanted {check}: {(p.stderr or p.stdout)[-120:]}")
        return p

    def popen(self, *args, **kw):
        p = subprocess.Popen([self.exe, "--state", str(self.state), *map(str, args)], stdin=subprocess.DEVNULL,
                             stdout=kw.get("stdout", subprocess.DEVNULL), stderr=kw.get("stderr", subprocess.DEVNULL),
                             cwd=self.dir, env={**self.env, **kw.get("env", {})})
        self.procs.append(p)
        return p

    def json(self, *args, **kw):
        p = self.ff("--json", *args, **kw)
        try:
            return json.loads(p.stdout)
        except ValueError:
            fail(f"ff --json {' '.join(map(str, args))[:60]}: no JSON (exit {p.returncode}): {(p.stdout + p.stderr)[-120:]}")

    def target(self, files=None, name="target"):
        t = self.dir / name
        for f, text in (files or {"a.py": "print(1)\n"}).items():
            (t / f).parent.mkdir(parents=True, exist_ok=True)
            (t / f).write_text(text)
        return t

    def toolbox(self):
        return self.dir / "toolbox"

    def workflow(self, name, lua, meta=""):
        d = self.toolbox() / "workflows" / name
        d.mkdir(parents=True, exist_ok=True)
        (d / "metadata.yaml").write_text(
            f'name: {name}\nversion: "1.0.0"\nvertical: python\ndescription: "{name}"\n' + meta)
        (d / "workflow.lua").write_text(lua)

    def module(self, name, script, interp="/usr/bin/python3"):
        d = self.toolbox() / "modules" / name
        d.mkdir(parents=True, exist_ok=True)
        (d / "module.yaml").write_text(f'name: {name}\nversion: "1.0.0"\ncategory: tool\ndescription: "{name}"\nexec: ["./run"]\n')
        (d / "run").write_text(f"#!{interp}\n{script}")
        (d / "run").chmod(0o755)


def namespaced():
    """pids that live in another pid namespace than ours. One that is dead, and whom its new parent has not asked about yet, is
    none: process 1 of a container may never do so."""
    mine, out = os.readlink("/proc/self/ns/pid"), set()
    for p in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if os.readlink(p / "ns" / "pid") != mine and (p / "stat").read_text().rpartition(")")[2].split()[0] != "Z":
                out.add(int(p.name))
        except OSError:
            pass
    return out


BEFORE = namespaced()


def left_now(state):
    out = namespaced() - BEFORE
    for p in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if str(state).encode() in (p / "cmdline").read_bytes():
                out.add(int(p.name))
        except OSError:
            pass
    return out


def children_of_state(state):
    """pids left behind: command line names this state folder, or sandboxed processes that were not there at the start. What is
    left stays: others' sandboxes on this machine come and go."""
    left = left_now(state)
    for _ in range(30):
        if not left:
            break
        time.sleep(0.1)
        left &= left_now(state)
    return sorted(left)


class World:
    """Two network namespaces: `host`, where ff is run, has 10.77.0.2 and its way out over 10.77.0.1 to `outside`, which also
    has 10.88.0.1. Root only. Names are drawn, so that several can be there: in a namespace of its own each test is process 1."""

    def __init__(self):
        mark = os.urandom(6).hex()
        self.host, self.outside = f"ffh{mark}", f"ffo{mark}"
        self.procs = []

    def __enter__(self):
        try:
            for ns in (self.host, self.outside):
                self.ip("netns", "add", ns)
                self.ip("-n", ns, "link", "set", "lo", "up")
            self.ip("link", "add", "veth0", "netns", self.host, "type", "veth", "peer", "name", "veth1", "netns", self.outside)
            self.ip("-n", self.host, "addr", "add", "10.77.0.2/24", "dev", "veth0")
            self.ip("-n", self.outside, "addr", "add", "10.77.0.1/24", "dev", "veth1")
            self.ip("-n", self.outside, "addr", "add", "10.88.0.1/32", "dev", "lo")
            self.ip("-n", self.host, "link", "set", "veth0", "up")
            self.ip("-n", self.outside, "link", "set", "veth1", "up")
            self.ip("-n", self.host, "route", "add", "default", "via", "10.77.0.1")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *a):
        for p in self.procs:
            p.kill()
            p.wait()
        for ns in (self.host, self.outside):
            subprocess.run(["ip", "netns", "del", ns], capture_output=True)

    def ip(self, *args):
        p = subprocess.run(["ip", *args], capture_output=True, text=True)
        if p.returncode:
            fail(f"ip {' '.join(args)}: {p.stderr}")

    def spawn(self, ns, argv, **kw):
        p = subprocess.Popen(["ip", "netns", "exec", ns, *map(str, argv)], **kw)
        self.procs.append(p)
        return p


class LabIn(Lab):
    """A lab whose ff runs in a network namespace."""

    def __init__(self, ns):
        super().__init__()
        wrapper = self.dir / "ff-in-ns"
        wrapper.write_text(f'#!/bin/sh\nexec ip netns exec {ns} {self.exe} "$@"\n')
        wrapper.chmod(0o755)
        self.exe = str(wrapper)
