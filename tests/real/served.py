#!/usr/bin/env python3
"""The engine served by `ff serve --grpc`, used by programs that others wrote: the official `temporal` command line and the official
Python SDK as client and worker (temporal_cli.py, temporal_python.py: all of their cases pass on Temporal's own server).

usage: served.py cli|python|access|calls|foreign|operator|lua|tenants
"""
import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

import peers

HERE = pathlib.Path(__file__).resolve().parent
FF = os.environ["FF_EXE"]


class Served(peers.Stopped):
    """`ff serve` on a free port of loopback, with a state of its own."""

    def __init__(self, *options):
        super().__init__()
        self.state = self.dir / "state"
        self.options = options
        self.up("127.0.0.1:0")

    def up(self, address):
        out = open(self.dir / "out", "ab")
        self.process = subprocess.Popen([FF, "--state", self.state, "serve", "--grpc", address, *self.options],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=out, text=True)
        self.log = self.dir / "out"
        line = self.process.stdout.readline()
        if not line.startswith("gRPC at "):
            raise SystemExit("ff serve did not start: " + line + self.log.read_text(errors="replace"))
        self.address = line.split()[-1]

    def rss_kb(self):
        return int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{self.process.pid}/status").read_text())[1])


def check(what, ok):
    if not ok:
        raise SystemExit(f"FAIL {what}")
    print("ok", what, flush=True)


def cases(program, *arguments):
    """Runs one of the two programs of cases against a server of its own."""
    with Served("--insecure-loopback") as s:
        code = subprocess.run([program, *arguments[:1], s.address, *arguments[1:]], timeout=900).returncode
        print(f"RSS after it: {s.rss_kb()} KB", flush=True)
        s.stop()
        check("ff serve ends well", s.process.returncode == 0)
        check("all cases", code == 0)


def rights(s):
    """Roles and namespaces, tried by the official command line."""
    def token(*options):
        return subprocess.run([FF, "--state", s.state, "-q", "token", "create", *options], capture_output=True, text=True, check=True).stdout.strip()

    def go(token, *args, namespace="team-a"):
        return peers.cli(s.address, *args, "--grpc-meta", f"authorization=Bearer {token}", check=None, namespace=namespace)

    start = ("workflow", "start", "--type", "t", "--task-queue", "q", "--workflow-id", "w")
    viewer, operator = (token("--role", r, "--namespace", "team-a") for r in ("viewer", "operator"))
    other = token("--role", "operator", "--namespace", "team-b")
    check("a viewer lists", go(viewer, "workflow", "list").returncode == 0)
    check("a viewer starts nothing", "role operator" in go(viewer, *start).stderr)
    check("an operator starts", go(operator, *start).returncode == 0)
    check("a viewer cancels nothing", go(viewer, "workflow", "cancel", "--workflow-id", "w").returncode != 0)
    for args in (("workflow", "list"), ("workflow", "show", "--workflow-id", "w"), ("workflow", "terminate", "--workflow-id", "w"), start):
        check(f"another namespace's operator: {args[1]} is refused", "for the namespace" in go(other, *args).stderr)
    seen = go(other, "workflow", "list", namespace="team-b")
    check("and sees nothing of it in his own", seen.returncode == 0 and "w" not in seen.stdout.split())
    check("he has a run of the same name", go(other, *start, namespace="team-b").returncode == 0)
    check("which he ends", go(other, "workflow", "terminate", "--workflow-id", "w", namespace="team-b").returncode == 0)
    left = go(viewer, "workflow", "describe", "--workflow-id", "w", "--output", "json")
    check("not the other", "STATUS_RUNNING" in left.stdout)
    revoked = json.loads(subprocess.run([FF, "--state", s.state, "--json", "token", "list"], capture_output=True, text=True).stdout)["tokens"]
    mine = next(t for t in revoked if t["role"] == "viewer")
    subprocess.run([FF, "--state", s.state, "token", "revoke", mine["id"]], check=True, capture_output=True)
    check("a revoked token is worth nothing at once", go(viewer, "workflow", "list").returncode != 0)


def access():
    """Who is let in: over TCP the owner of the token, over TLS too."""
    with Served() as s:
        token = (s.state / "token").read_text().strip()
        listing = lambda *more: peers.cli(s.address, "workflow", "list", *more, check=None)
        check("without a token: refused", listing().returncode != 0 and "token is needed" in listing().stderr)
        check("wrong token: refused", listing("--grpc-meta", "authorization=Bearer " + "0" * 64).returncode != 0)
        check("right token: let in", listing("--grpc-meta", f"authorization=Bearer {token}").returncode == 0)
        rights(s)
    with peers.Stopped() as d:
        key, cert = d.dir / "key.pem", d.dir / "cert.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
                        "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", key, "-out", cert],
                       check=True, capture_output=True)
        with Served("--tls-cert", cert, "--tls-key", key, "--tls-client-ca", cert) as s:
            token = (s.state / "token").read_text().strip()
            listing = lambda *more: peers.cli(s.address, "workflow", "list", *more, check=None)
            tls = ("--tls", "--tls-ca-path", cert)
            check("plain text to a TLS server: refused", listing().returncode != 0)
            check("TLS without a token: refused", listing(*tls).returncode != 0)
            check("TLS and the token: let in", listing(*tls, "--api-key", token).returncode == 0)
            check("a client certificate: let in", listing(*tls, "--tls-cert-path", cert, "--tls-key-path", key).returncode == 0)


def operator():
    """What people who run a cluster ask of it, with the official command line."""
    with Served() as s:
        token = (s.state / "token").read_text().strip()
        run = lambda *a, check=0: peers.cli(s.address, *a, "--grpc-meta", f"authorization=Bearer {token}", check=check).stdout
        check("cluster health", "SERVING" in run("operator", "cluster", "health"))
        check("cluster describe, system, list", all(run("operator", "cluster", c) for c in ("describe", "system", "list")))
        run("operator", "search-attribute", "create", "--name", "Owner", "--type", "Keyword")
        check("search attributes are created and listed", "Owner" in run("operator", "search-attribute", "list"))
        run("operator", "search-attribute", "remove", "--name", "Owner", "--yes")
        check("and removed", "Owner" not in run("operator", "search-attribute", "list"))
        run("operator", "namespace", "create", "--namespace", "team", "--retention", "2d", "--description", "words", "--data", "a=b")
        run("operator", "namespace", "update", "--namespace", "team", "--retention", "3d")
        doc = json.loads(run("operator", "namespace", "describe", "--namespace", "team", "--output", "json"))
        check("a namespace keeps its retention", doc["config"]["workflowExecutionRetentionTtl"] == "259200s" and
              doc["namespaceInfo"]["data"] == {"a": "b"} and doc["namespaceInfo"]["description"] == "words")
        run("operator", "namespace", "delete", "--namespace", "team", "--yes")
        check("a namespace is deleted", "team" not in run("operator", "namespace", "list"))
        peers.cli(s.address, "operator", "nexus", "endpoint", "list", "--grpc-meta", f"authorization=Bearer {token}", check=1)


MODULE = '''import sys, json
req = json.loads(sys.stdin.readline())
print(json.dumps({"type": "result", "status": "success", "summary": {"n": req["input"]["n"] + 1}}))
'''


def foreign():
    """Workflows of the toolbox of `ff serve`, started by the official command line: by name alone; and how one that fails looks there."""
    with peers.Stopped() as d:
        for name, script in (("asks", 'return function(i) return {summary = ff.activity("adds", {n = i.parameters.n}).summary} end'),
                             ("fails", 'return function(i)\n  ff.activity("adds", {}, {retry = {max = 1}})\nend'),
                             ("waits", 'return function(i) ff.wait_signal("go") return {summary = {script = "first", n = i.parameters.n}} end')):
            folder = d.dir / "toolbox" / "workflows" / name
            folder.mkdir(parents=True)
            (folder / "workflow.lua").write_text(script)
            (folder / "metadata.yaml").write_text(META.replace("calls\n", name + "\n", 1).replace("seconds", "n"))
        folder = d.dir / "toolbox" / "modules" / "adds"
        folder.mkdir(parents=True)
        (folder / "main.py").write_text(MODULE)
        (folder / "module.yaml").write_text("name: adds\nversion: 1.0.0\ncategory: tool\ndescription: adds one\n"
                                            "requires_workspace: false\nexec: [/usr/bin/python3, /module/main.py]\n")
        with Served("--insecure-loopback", "--toolbox", d.dir / "toolbox") as s:
            # Another worker of the state, which was started without the toolbox, may take it too.
            subprocess.run([FF, "--state", s.state, "workers", "start"], check=True, capture_output=True)
            start = ("workflow", "execute", "--task-queue", "python-queue", "--output", "json")
            for i in range(6):
                doc = json.loads(peers.cli(s.address, *start, "--type", "asks", "--workflow-id", f"f{i}", "--input", '{"n": %d}' % i).stdout)
                check(f"started by another client ({i})", doc["result"]["summary"] == {"n": i + 1})
            doc = json.loads(peers.cli(s.address, *start, "--type", "asks", "--workflow-id", "default").stdout)
            check("with the toolbox's parameters", doc["result"]["summary"] == {"n": 1})
            peers.cli(s.address, *start, "--type", "fails", "--workflow-id", "bad", check=1)
            history = json.loads(peers.cli(s.address, "workflow", "show", "--workflow-id", "bad", "--output", "json").stdout)
            failure = history["events"][-1]["workflowExecutionFailedEventAttributes"]["failure"]
            cause = failure["cause"]
            check("its failure has what Temporal's tools look for", failure["activityFailureInfo"]["activityType"]["name"] == "adds" and
                  "workflow.lua:2" in failure["stackTrace"] and cause["applicationFailureInfo"]["type"] == "ModuleFailed")
            result = peers.cli(s.address, "workflow", "result", "--workflow-id", "bad", check=1)
            check("and is told to a person", "adds" in result.stdout + result.stderr and "KeyError" in result.stdout + result.stderr)
            for given, says in (('{"n": "many"}', "parameter 'n'"), ('{"parameters": {"m": 1}}', "parameter 'm'"), ("[1]", "parameters must be")):
                result = peers.cli(s.address, *start, "--type", "asks", "--workflow-id", "refused", "--input", given, check=1)
                check(f"parameters that do not fit: {given}", says in result.stdout + result.stderr and "BadInput" in result.stdout + result.stderr)
            peers.cli(s.address, *("workflow", "start", *start[2:]), "--type", "waits", "--workflow-id", "pinned", "--input", '{"n": 3}')
            pinned = lambda: "ff_script" in peers.cli(s.address, "workflow", "describe", "--workflow-id", "pinned", "--output", "json").stdout
            while not pinned():
                time.sleep(0.05)
            subprocess.run([FF, "--state", s.state, "workers", "stop"], check=True, capture_output=True)
            s.process.kill()
            s.process.wait()
            (d.dir / "toolbox" / "workflows" / "waits" / "workflow.lua").write_text('return function() return {summary = {script = "second"}} end')
            s.up(s.address)
            peers.cli(s.address, "workflow", "signal", "--workflow-id", "pinned", "--name", "go")
            result = peers.cli(s.address, "workflow", "result", "--workflow-id", "pinned", "--output", "json").stdout
            check("a run keeps the script that it began with", json.loads(result)["result"]["summary"] == {"script": "first", "n": 3})
            subprocess.run([FF, "--state", s.state, "runs", "retry", "pinned", "-d"], check=True, capture_output=True)
            peers.cli(s.address, "workflow", "signal", "--workflow-id", "pinned", "--name", "go")
            result = peers.cli(s.address, "workflow", "result", "--workflow-id", "pinned", "--output", "json").stdout
            check("and so does its retry", json.loads(result)["result"]["summary"] == {"script": "first", "n": 3})


def calls():
    """The documentation's table of calls beside the server."""
    with Served("--insecure-loopback") as s:
        code = subprocess.run([peers.PYTHON, HERE / "calls.py", s.address, HERE.parent.parent / "docs" / "temporal.md"], timeout=120).returncode
        check("docs/temporal.md says what is there", code == 0)


WORKER = '''
import asyncio, sys
from temporalio import activity
from temporalio.client import Client
from temporalio.exceptions import ApplicationError
from temporalio.worker import Worker

@activity.defn
async def scan(x):
    if x.get("bad"): raise ApplicationError("no such thing", type="Bad", non_retryable=True)
    await asyncio.sleep(x.get("seconds", 0))
    return {"n": x["n"] + 1, "attempt": activity.info().attempt}

async def main():
    async with Worker(await Client.connect(sys.argv[1]), task_queue="mine-queue", activities=[scan]):
        print("ready", flush=True)
        await asyncio.sleep(600)

asyncio.run(main())
'''
CALLS = '''return function(input)
  local r = ff.activity("scan", {n = 41, seconds = input.parameters.seconds}, {vertical = "mine", timeout = "60s", retry = {max = 1}})
  local ok, e = pcall(ff.activity, "scan", {n = 1, bad = true}, {vertical = "mine", timeout = "20s"})
  return {summary = {n = r.n, attempt = r.attempt, ok = ok, type = e.type}}
end'''
META = '''name: calls
version: "1.0.0"
vertical: python
description: calls an activity of an SDK's worker
parameters: {type: object, properties: {seconds: {type: number}}}
default_parameters: {seconds: 0}
'''


def lua():
    """An activity of the Python SDK, called from a Lua workflow; and the server killed and started again meanwhile."""
    with Served("--insecure-loopback") as s:
        folder = s.dir / "toolbox" / "workflows" / "calls"
        folder.mkdir(parents=True)
        (folder / "workflow.lua").write_text(CALLS)
        (folder / "metadata.yaml").write_text(META)
        (s.dir / "worker.py").write_text(WORKER)
        run = [FF, "--state", s.state, "--toolbox", s.dir / "toolbox", "--json", "run", "calls", s.dir / "toolbox"]
        worker = subprocess.Popen([peers.PYTHON, s.dir / "worker.py", s.address], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        try:
            worker.stdout.readline()
            p = subprocess.run(run, capture_output=True, text=True, timeout=60)
            check("a Lua workflow calls it", json.loads(p.stdout)["summary"] == {"n": 42, "attempt": 1, "ok": False, "type": "Bad"})
            p = subprocess.Popen([*run, "--name", "long", "seconds=4"], stdout=subprocess.PIPE, text=True)
            show = lambda: subprocess.run([FF, "--state", s.state, "--json", "runs", "show", "long"], capture_output=True, text=True).stdout
            end = time.monotonic() + 20
            while '"worker"' not in show() and time.monotonic() < end:
                time.sleep(0.1)
            s.process.kill()
            s.process.wait()
            s.up(s.address) # `ff run` may hold the engine by now; then this one serves it as its guest
            doc = json.loads(p.communicate(timeout=60)[0])
            check("it goes on while the engine's process is killed and another takes over",
                  doc["status"] == "COMPLETED" and doc["summary"]["attempt"] == 1)
        finally:
            worker.kill()
            worker.wait()


PLANTED = {"version": "2.1.0", "$schema": "https://json.schemastore.org/sarif-2.1.0.json", "runs": [{"tool": {"driver": {"name": "t"}}, "results": [
    {"ruleId": "planted", "level": "error", "message": {"text": "planted"},
     "locations": [{"physicalLocation": {"artifactLocation": {"uri": "a.py"}, "region": {"startLine": 1}}}]}]}]}
SPY = MODULE.replace('{"n": req["input"]["n"] + 1}', '{"text": "seen by spy"}')
TENANT_SCRIPTS = {"plain": 'return function() ff.log("info", "from plain") return {summary = {}} end',
                  "reads": 'return function() return {summary = ff.activity("sees", {}, {retry = {max = 1}}).summary} end',
                  "calls": 'return function(i) return {summary = ff.activity(i.parameters.module, {}, {retry = {max = 1}}).summary} end'}


def tenants():
    """What one tenant tries to have of another and of the server's machine (tenants.py)."""
    with peers.Stopped() as d:
        for name, script in TENANT_SCRIPTS.items():
            folder = d.dir / "toolbox" / "workflows" / name
            folder.mkdir(parents=True)
            (folder / "workflow.lua").write_text(script)
            (folder / "metadata.yaml").write_text(f'name: {name}\nversion: "1.0.0"\nvertical: python\ndescription: {name}\n'
                                                  "parameters: {type: object, properties: {module: {type: string}}}\n")
        spy = d.dir / "elsewhere" / "modules" / "spy"
        spy.mkdir(parents=True)
        (spy / "main.py").write_text(SPY)
        (spy / "module.yaml").write_text("name: spy\nversion: 1.0.0\ncategory: tool\ndescription: sees\nrequires_workspace: false\n"
                                         "exec: [/usr/bin/python3, /module/main.py]\n")
        shutil.copytree(spy, d.dir / "toolbox" / "modules" / "sees")
        seen = d.dir / "toolbox" / "modules" / "sees" / "module.yaml"
        seen.write_text(seen.read_text().replace("spy", "sees"))
        shutil.copytree(spy, d.dir / "toolbox" / "modules" / "eats")
        eats = d.dir / "toolbox" / "modules" / "eats"
        (eats / "module.yaml").write_text((eats / "module.yaml").read_text().replace("spy", "eats"))
        (eats / "main.py").write_text('a = b"x" * (300 << 20)\n' + SPY)
        os.environ["FF_SANDBOX_MAX_MEMORY"] = "100MB"
        sarif, written = d.dir / "planted.sarif", d.dir / "written.sarif"
        sarif.write_text(json.dumps(PLANTED))
        os.environ["FF_QUOTA_NAMESPACES"] = "small runs=1 storage=100K"
        with Served("--listen", "127.0.0.1:0", "--toolbox", d.dir / "toolbox") as s:
            ff = lambda *a, check=True: subprocess.run([FF, "--state", s.state, "--toolbox", d.dir / "toolbox", *a], capture_output=True,
                                                       text=True, check=check)
            given = {"address": s.address, "rest": s.process.stdout.readline().split()[-1], "sarif": str(sarif), "written": str(written),
                     "modules": str(spy.parent), "state": str(s.state), "toolbox": str(d.dir / "toolbox")}
            for key, name in (("a", "team-a"), ("b", "team-b"), ("s", "small"), ("d", "default")):
                given[key] = ff("-q", "token", "create", "--role", "operator", "--namespace", name).stdout.strip()
            ff("--namespace", "team-a", "run", "plain", d.dir / "toolbox", "--name", "run1")
            given["object"] = json.loads(ff("--namespace", "team-a", "--json", "runs", "show", "run1").stdout)["target"]["ref"]
            given["script"] = "sha256:" + hashlib.sha256(TENANT_SCRIPTS["calls"].encode()).hexdigest()
            code = subprocess.run([peers.PYTHON, HERE / "tenants.py", json.dumps(given)], timeout=600).returncode
            check("all cases", code == 0)
            ff("--namespace", "team-b", "runs", "wait", "reads", check=False)
            check("and whoever waits for such a run writes nothing where it says", not written.exists())


if __name__ == "__main__":
    what = sys.argv[1]
    if what == "cli":
        peers.need("temporal")
        cases(sys.executable, HERE / "temporal_cli.py", peers.TEMPORAL)
    elif what == "python":
        peers.need("python")
        cases(peers.PYTHON, HERE / "temporal_python.py")
    elif what in ("lua", "calls", "tenants"):
        peers.need("python")
        {"lua": lua, "calls": calls, "tenants": tenants}[what]()
    else:
        peers.need("temporal")
        {"access": access, "foreign": foreign, "operator": operator}[what]()
