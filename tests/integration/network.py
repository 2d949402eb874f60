#!/usr/bin/env python3
# What a module reaches is what its workflow's metadata grants and the user allows, and never the host.
import pathlib, sys
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from accept import *
from sharing import until, holder

PROBE = r'''
import sys, json, socket
req = json.loads(sys.stdin.readline()); got = {}
for name, address in req["input"]["to"].items():
    try:
        s = socket.create_connection((address, req["input"]["port"]), 2); s.settimeout(2)
        got[name] = s.recv(5).decode() or "nothing"
    except OSError as e:
        got[name] = "no"
l = socket.socket(); own = "no"
try:
    l.bind(("127.0.0.1", 0)); l.listen(); socket.create_connection(l.getsockname(), 2); own = "yes"
except OSError: pass
got["own"] = own
print(json.dumps({"type": "result", "status": "success", "summary": got}))
'''
SERVER = "import socket,sys\ns=socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.bind((sys.argv[1], int(sys.argv[2]))); s.listen()\n" \
         "print('up', flush=True)\nwhile True:\n c,_=s.accept(); c.sendall(b'hello'); c.close()\n"
PORT = 7171
WF = 'return function(i) local r = ff.activity("probe", {to=i.parameters.to, port=%d}, {timeout="30s", retry=false%%s}) return {summary=r.summary} end' % PORT
META = "parameters:\n  type: object\n  properties:\n    to: {type: object}\n"


def workflows(lab):
    lab.module("probe", PROBE)
    for name, network, asked in (("silent", None, ""), ("looping", "loopback", ""), ("open", "full", ""),
                                 ("greedy", None, ', network="full"'), ("modest", "full", ', network="none"')):
        lab.workflow(name, WF % asked, META + (f"network: {network}\n" if network else ""))
    for name, asked in (("maybe", ', network="full"'), ("maybe-not", "")):
        lab.workflow(name, WF % asked, META + "    go: {type: boolean, default: false}\nnetwork: full\nnetwork_if: go\n")
    lab.workflow("wrong", WF % "", META + "network: full\nnetwork_if: to\n")
    lab.p = lab.dir / "p.json"
    lab.p.write_text(json.dumps({"to": {"outside": "10.88.0.1", "loopback": "127.0.0.1", "host": "10.77.0.2", "router": "10.0.2.2"}}))


def reached(lab, name, *args, **kw):
    doc = lab.json("--toolbox", lab.toolbox(), "run", name, lab.target(), "-f", lab.p, *args, **kw)
    return doc["result"]["summary"] if doc.get("result") else fail(f"{name}: {json.dumps(doc)[:300]}")


NOTHING = {"outside": "no", "loopback": "no", "host": "no", "router": "no", "own": "no"}
with Lab() as lab:
    workflows(lab)
    if (got := reached(lab, "silent")) != NOTHING: fail(f"without a network: {got}")
    if (got := reached(lab, "looping")) != {**NOTHING, "own": "yes"}: fail(f"loopback: {got}")
    p = lab.ff("--toolbox", lab.toolbox(), "run", "greedy", lab.target(), "-f", lab.p, check=3)
    if "network full is not granted" not in p.stdout + p.stderr: fail(f"a script took more than was granted: {p.stdout} {p.stderr}")
    p = lab.ff("--toolbox", lab.toolbox(), "run", "maybe", lab.target(), "-f", lab.p, check=3)
    if "network full is not granted" not in p.stdout + p.stderr: fail(f"without its parameter: {p.stdout} {p.stderr}")
    if (got := reached(lab, "maybe-not", env={"FF_SANDBOX_NETWORK": "none"})) != NOTHING: fail(f"a parameter that was not given: {got}")
    p = lab.ff("--toolbox", lab.toolbox(), "run", "maybe", lab.target(), "-f", lab.p, "go=true", check=5, env={"FF_SANDBOX_NETWORK": "none"})
    if "sandbox.network grants none" not in p.stderr: fail(p.stderr)
    p = lab.ff("--toolbox", lab.toolbox(), "run", "wrong", lab.target(), "-f", lab.p)
    if p.returncode == 0 or "no parameter of type boolean" not in p.stdout + p.stderr: fail(f"network_if: {p.stdout} {p.stderr}")
    p = lab.ff("--toolbox", lab.toolbox(), "run", "open", lab.target(), "-f", lab.p, check=5, env={"FF_SANDBOX_NETWORK": "loopback"})
    if "sandbox.network grants loopback" not in p.stderr: fail(p.stderr)
    lab.ff("--toolbox", lab.toolbox(), "run", "open", lab.target(), "-f", lab.p, check=2, env={"FF_SANDBOX_NETWORK": "some"})

    # Whoever may start runs may say what they are granted; a worker gives no more than its own setting.
    w = lab.popen("--toolbox", lab.toolbox(), "worker", env={"FF_SANDBOX_NETWORK": "loopback"})
    if not until(lambda: holder(lab) == w.pid): fail("the worker does not hold the engine")
    if not until(lambda: f"{w.pid}@" in lab.ff("workers", "list").stdout): fail("the worker is not there yet") # else the run's own takes it
    for name, want in (("open", 3), ("looping", 0)):
        p = lab.ff("--toolbox", lab.toolbox(), "run", name, lab.target(), "-f", lab.p, "--no-auto-start", check=want)
        if want and "this worker's setting sandbox.network grants loopback" not in p.stdout + p.stderr: fail(f"{name}: {p.stdout} {p.stderr}")
    w.terminate()
    if w.wait(30) != 0: fail("exit status of the worker")

if os.geteuid() != 0:
    print("not root: no network namespaces for the rest")
    sys.exit(77)

with World() as world, LabIn(world.host) as lab:
    workflows(lab)
    for ns, address in ((world.outside, "10.88.0.1"), (world.host, "127.0.0.1"), (world.host, "10.77.0.2")):
        if world.spawn(ns, [sys.executable, "-c", SERVER, address, PORT], stdout=subprocess.PIPE).stdout.readline() != b"up\n": fail("server")
    if (got := reached(lab, "open")) != {**NOTHING, "outside": "hello", "own": "yes"}: fail(f"full: {got}")
    if (got := reached(lab, "modest")) != NOTHING: fail(f"none, of a workflow that may more: {got}")
    if (got := reached(lab, "maybe", "go=true"))["outside"] != "hello": fail(f"granted by a parameter: {got}")
    if (got := reached(lab, "maybe-not", "go=true")) != NOTHING: fail(f"granted, but not asked for: {got}")
    # Without pasta: before anything starts, with what to do.
    hidden = lab.dir / "ff-without"
    hidden.write_text(f'#!/bin/sh\nmount --bind /dev/null /usr/bin/pasta && exec {lab.exe} "$@"\n'); hidden.chmod(0o755)
    p = subprocess.run(["unshare", "-m", hidden, "--state", lab.state, "--toolbox", lab.toolbox(), "run", "open", lab.target(), "-f", lab.p],
                       capture_output=True, text=True, env=lab.env, timeout=60)
    if p.returncode != 5 or "apt-get install passt" not in p.stderr: fail(f"without pasta: {p.returncode} {p.stderr}")
    if len(lab.json("runs", "list")["runs"]) != 4: fail("a run was begun without pasta")
    if left := children_of_state(lab.state): fail(f"left behind: {left}")
ok("network none, loopback and full: what is granted, never the host")
