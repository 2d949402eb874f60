#!/usr/bin/env python3
# The private workspace of a run goes with the run, also where nobody follows it.
import pathlib, subprocess, sys, time
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from accept import *

TOUCH = r'''
import sys, json
json.loads(sys.stdin.readline())
open("/workspace/mine", "w").write("x")
print(json.dumps({"type": "result", "status": "success", "summary": {}}))
'''


def private(lab):
    return [p.name for p in lab.state.rglob("private/*")]


with Lab() as lab:
    lab.module("touch", TOUCH)
    lab.workflow("touches", 'return function() ff.activity("touch", {}, {timeout="30s"}) ff.sleep("2s") end', "workspace_isolation: isolated\n")
    t = lab.target()
    lab.ff("--toolbox", lab.toolbox(), "run", "-d", "touches", t, "--name", "one", check=0)
    seen = False
    for _ in range(300):
        seen = seen or bool(private(lab))
        if seen and not private(lab): break
        time.sleep(0.05)
    if not seen: fail("there was no private workspace to begin with")
    if private(lab): fail(f"left by the holder: {private(lab)}")
    if lab.json("runs", "show", "one")["status"] != "COMPLETED": fail("the run")
    server = subprocess.Popen([ff_path(), "--state", lab.state, "--toolbox", lab.toolbox(), "serve", "--listen", "none"], stdout=subprocess.PIPE)
    server.stdout.readline()
    lab.ff("--toolbox", lab.toolbox(), "run", "touches", t, "--name", "two", check=0)
    for _ in range(600):
        if not private(lab): break
        time.sleep(0.05)
    server.terminate()
    server.wait()
    if private(lab): fail(f"left by the server: {private(lab)}")

# Each process takes away what others have left in the folder of scratch: never what one is just making for itself.
TIDY = """
import fcntl, os, shutil, sys
print("began", flush=True)
while True:
    for name in os.listdir(sys.argv[1]):
        try:
            fd = os.open(os.path.join(sys.argv[1], name), os.O_RDONLY)
        except OSError:
            continue
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(os.path.join(sys.argv[1], name), ignore_errors=True)
        except OSError:
            pass
        os.close(fd)
"""
with Lab() as lab:
    t = lab.target({"a.py": "x=1\n"})
    lab.ff("run", "security_assessment", t, check=0)
    (lab.state / "tmp").mkdir(exist_ok=True)
    others = [subprocess.Popen([sys.executable, "-c", TIDY, lab.state / "tmp"], stdout=subprocess.PIPE) for _ in range(2)]
    for o in others: o.stdout.readline()
    try:
        for i in range(30):
            lab.ff("run", "security_assessment", t, check=0)
    finally:
        for o in others: o.kill()
        for o in others: o.wait()
ok("a holder and a server forget the private workspaces of its runs; others tidy up while one begins")
