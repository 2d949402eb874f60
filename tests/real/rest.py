#!/usr/bin/env python3
"""Schemathesis against a server with a run in it: all of its checks, over /openapi.json. usage: rest.py FF"""
import json
import pathlib
import subprocess
import sys
import time
import urllib.request

from peers import CACHE, SOURCE, Stopped, need

EXAMPLES = 25  # of each operation and phase


def get(url, token, data=None, headers=None):
    q = urllib.request.Request(url, data, {"Authorization": f"Bearer {token}", **(headers or {})})
    with urllib.request.urlopen(q, timeout=30) as r:
        return json.load(r)


def check_metrics(url, token):
    q = urllib.request.Request(url + "/metrics", headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(q, timeout=30) as r:
        text = r.read()
    p = subprocess.run([CACHE / "bin/promtool", "check", "metrics"], input=text, capture_output=True)
    if p.returncode or p.stdout or p.stderr:
        raise SystemExit(f"promtool check metrics: {p.returncode}: {(p.stdout + p.stderr).decode()}")
    print("ok promtool check metrics:", text.count(b"# TYPE"), "metrics")


def main():
    ff = pathlib.Path(sys.argv[1]).resolve()
    need("schemathesis", "promtool")
    with Stopped() as s:
        state = s.dir / "state"
        s.start([ff, "--state", state, "--json", "serve", "--listen", "127.0.0.1:0"])
        end = time.time() + 30
        while not (state / "server.json").exists() or '"rest"' not in (state / "server.json").read_text():
            if time.time() > end or s.process.poll() is not None:
                raise SystemExit("ff serve did not start: " + s.log.read_text(errors="replace"))
            time.sleep(0.05)
        url = json.loads((state / "server.json").read_text())["rest"]
        token = (state / "token").read_text().strip()
        body = json.dumps({"target_path": str(SOURCE / "examples/vulnerable_app"), "name": "known"}).encode()
        get(url + "/workflows/security_assessment/submit", token, body, {"Content-Type": "application/json"})
        while get(url + "/runs/known/status", token)["is_running"]:
            time.sleep(0.1)
        # Where it makes up a namespace, nothing but a 404 is seen.
        (s.dir / "schemathesis.toml").write_text('[parameters]\n"header.X-FF-Namespace" = "default"\n')
        # Streams do not end by themselves, and a WebSocket is not HTTP: they have tests of their own.
        p = subprocess.run(
            [CACHE / "schemathesis/bin/schemathesis", "run", url + "/openapi.json", "--checks", "all", "--max-examples", str(EXAMPLES),
             "-H", f"Authorization: Bearer {token}", "--exclude-path-regex", "/(stream|events|live)$", "--seed", "7", "--no-color",
             "--workers", "1", "--continue-on-failure"], cwd=s.dir, timeout=1500)
        check_metrics(url, token)
        if get(url + "/health", token)["status"] != "healthy":
            raise SystemExit("the server is unwell afterwards")
        if p.returncode:
            raise SystemExit(p.returncode)
    print("ok schemathesis: all checks")


main()
