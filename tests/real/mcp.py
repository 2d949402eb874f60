#!/usr/bin/env python3
"""MCP as other people's clients speak it: `mcp` of PyPI (both eras of the protocol), the TypeScript SDK, and the inspector's command line,
on a real assessment of examples/vulnerable_app.

usage: mcp.py stdio|http FF SOURCE_ROOT
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import peers

HERE = pathlib.Path(__file__).resolve().parent
ROOT = peers.CACHE / "mcp"
PYTHON = ROOT / "bin" / "python"


def run(command, timeout=300):
    p = subprocess.run([str(c) for c in command], timeout=timeout)
    if p.returncode:
        raise SystemExit(f"FAIL {command[1]}: exit {p.returncode}")


def inspector(*args):
    """One question by the inspector's command line."""
    p = subprocess.run(["node", str(ROOT / "node_modules" / ".bin" / "mcp-inspector"), "--cli", *map(str, args)], capture_output=True, text=True,
                       timeout=120, env={**os.environ, "NO_COLOR": "1"})
    if p.returncode:
        raise SystemExit(f"FAIL inspector {args}: exit {p.returncode}\n{p.stdout[-2000:]}\n{p.stderr[-2000:]}")
    return json.loads(p.stdout)


def check(what, ok):
    if not ok:
        raise SystemExit(f"FAIL {what}")
    print("ok", what, flush=True)


def inspect(*server):
    tools = inspector(*server, "--method", "tools/list")["tools"]
    check("inspector: 16 tools", len(tools) == 16)
    answer = inspector(*server, "--method", "tools/call", "--tool-name", "get_workflow_parameters_mcp", "--tool-arg",
                       "workflow_name=security_assessment")
    check("inspector: a call", answer["structuredContent"]["workflow"] == "security_assessment" and not answer["isError"])
    check("inspector: resources", len(inspector(*server, "--method", "resources/list")["resources"]) >= 4)
    check("inspector: prompts", len(inspector(*server, "--method", "prompts/list")["prompts"]) == 3)


def sleeper(folder, ff):
    """A toolbox with a workflow that takes its time, and a command that serves it."""
    workflow = folder / "toolbox" / "workflows" / "sleeper"
    workflow.mkdir(parents=True)
    (workflow / "metadata.yaml").write_text('name: sleeper\nversion: "1"\nvertical: python\n')
    (workflow / "workflow.lua").write_text('return function() ff.sleep("10m") return {summary = {}} end\n')
    command = folder / "ff-mcp"
    command.write_text(f'#!/bin/sh\nexec "{ff}" --toolbox "{folder}/toolbox" --state "{folder}/state" mcp\n')
    command.chmod(0o755)
    return command


def stdio(ff, source):
    target = source / "examples" / "vulnerable_app"
    with tempfile.TemporaryDirectory(prefix="ff-mcp-") as state:
        command = sleeper(pathlib.Path(state), ff)
        for mode in ("legacy", "2026-07-28", "auto"):
            run([PYTHON, HERE / "mcp" / "client.py", mode, "stdio", command, target])
        run(["node", HERE / "mcp" / "client.mjs", ROOT, "stdio", command, target])
        inspect(command)


class Served(peers.Stopped):
    """`ff serve` on a free port of loopback."""

    def __init__(self, ff, toolbox):
        super().__init__()
        self.ff, self.state = ff, self.dir / "state"
        self.log = self.dir / "log"
        with open(self.log, "ab") as out:
            self.process = subprocess.Popen([ff, "--toolbox", toolbox, "--state", self.state, "serve", "--listen", "127.0.0.1:0"],
                                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=out, text=True)
        line = self.process.stdout.readline()
        if not line.startswith("REST at "):
            raise SystemExit("ff serve did not start: " + line + self.log.read_text(errors="replace"))
        self.url = line.split()[-1] + "/mcp"
        self.owner = (self.state / "token").read_text().strip()

    def token(self, *options):
        return subprocess.run([self.ff, "--state", self.state, "-q", "token", "create", *options], capture_output=True, text=True,
                              check=True).stdout.strip()


def http(ff, source):
    target = source / "examples" / "vulnerable_app"
    with tempfile.TemporaryDirectory(prefix="ff-mcp-") as folder:
        sleeper(pathlib.Path(folder), ff)
        with Served(ff, f"{folder}/toolbox") as s:
            for mode in ("legacy", "2026-07-28", "auto"):
                run([PYTHON, HERE / "mcp" / "client.py", mode, "http", s.url, s.owner, target])
            run(["node", HERE / "mcp" / "client.mjs", ROOT, "http", s.url, s.owner, target])
            bridge = pathlib.Path(folder) / "ff-bridge"
            bridge.write_text(f'#!/bin/sh\nexec "{ff}" --state "{s.state}" --server "{s.url.removesuffix("/mcp")}" mcp\n')
            bridge.chmod(0o755)
            for mode in ("legacy", "2026-07-28", "auto"):
                run([PYTHON, HERE / "mcp" / "client.py", mode, "stdio", bridge, target])
            run(["node", HERE / "mcp" / "client.mjs", ROOT, "stdio", bridge, target])
            inspect(s.url, "--transport", "http", "--header", f"Authorization: Bearer {s.owner}")
            run([PYTHON, HERE / "mcp" / "roles.py", s.url, s.token("--role", "viewer"), s.token("--role", "operator", "--namespace", "team-a"),
                 s.owner, target])
            s.stop()
            check("the server ends well", s.process.returncode == 0)


if __name__ == "__main__":
    peers.need("mcp")
    {"stdio": stdio, "http": http}[sys.argv[1]](pathlib.Path(sys.argv[2]).resolve(), pathlib.Path(sys.argv[3]).resolve())
