#!/usr/bin/env python3
"""Samples of Temporal's SDKs against Temporal's own server and against `ff serve --grpc`: what is right there is right here.

usage: sdks.py go|ts|beside [temporal|served]
"""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import peers
from served import Served

HERE = pathlib.Path(__file__).resolve().parent

WORKFLOWS = {
    "adds": 'return function(i) ff.sleep("200ms") return {sum = i.parameters.a + i.parameters.b} end',
    "asks": '''
return function()
  local got = {}
  ff.on_query("state", function() return {got = got} end)
  ff.on_signal("put", function(x) got[#got + 1] = x end)
  ff.wait_signal("end")
  return {got = got}
end''',
    "calls_python": '''
return function(i)
  local r = ff.activity("double", {n = i.parameters.n}, {vertical = "snakes", timeout = "20s"})
  return {doubled = r.doubled, by = r.by}
end''',
}


def write_toolbox(folder):
    for name, lua in WORKFLOWS.items():
        d = folder / "workflows" / name
        d.mkdir(parents=True)
        (d / "metadata.yaml").write_text(f'name: {name}\nversion: "1.0.0"\nvertical: python\ndescription: "{name}"\n')
        (d / "workflow.lua").write_text(lua)


def run(what, args, **more):
    p = subprocess.run([str(a) for a in args], timeout=400, **more)
    if p.returncode:
        raise SystemExit(f"FAIL {what}: exit {p.returncode}")
    print("ok", what, flush=True)


def sample(kind, address, where, work):
    if kind == "go":
        run(f"Go SDK, {where}", [peers.GO_SAMPLE, address])
    elif kind == "ts":
        folder = pathlib.Path(tempfile.mkdtemp(dir=work))  # its bundler looks for packages beside the sources
        shutil.copytree(HERE / "ts", folder / "ts")
        (folder / "ts" / "node_modules").symlink_to(peers.NODE_MODULES)
        run(f"TypeScript SDK, {where}", ["node", folder / "ts" / "sample.js", address])
    else:
        run(f"Python SDK beside ff, {where}", [peers.PYTHON, HERE / "beside.py", address])


def main():
    kind, only = sys.argv[1], sys.argv[2:]
    peers.need({"go": "go", "ts": "node", "beside": "python"}[kind], "temporal")
    with tempfile.TemporaryDirectory(prefix="ff-sdks-") as work:
        work = pathlib.Path(work)
        write_toolbox(work / "toolbox")
        os.environ["FF_TOOLBOX"] = str(work / "toolbox")
        if not only or "temporal" in only:
            with peers.TemporalServer() as s, peers.Stopped() as worker:
                if kind == "beside":
                    worker.start([os.environ["FF_EXE"], "--state", work / "state", "worker", "--vertical", "python"],
                                 env={**os.environ, "FF_ENGINE": "temporal", "TEMPORAL_ADDRESS": s.address})
                sample(kind, s.address, "Temporal's server", work)
        if not only or "served" in only:
            with Served("--insecure-loopback") as s:
                sample(kind, s.address, "ff serve", work)


main()
