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
ok("a holder and a server forget the private workspaces of its runs")
