#!/usr/bin/env python3
# A state on a read-only file system: all that reads works, all that writes ends with 5 and says why. Also after a kill -9, when
# what was written last is in the write-ahead logs only.
import pathlib, sys
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from accept import *


def tree(d):
    return {str(p.relative_to(d)): (p.stat().st_size, p.stat().st_mtime_ns) for p in d.rglob("*")}


def look(lab, state, before):
    """What reads, against what it said when the state could be written to."""
    lab.state = state
    doc = lab.json("runs", "list")
    if "runs" not in doc: fail(f"runs list: {doc}")
    runs = [r["run_id"] for r in doc["runs"]]
    if set(before) - set(runs): fail(f"runs list: {runs}")
    for id, findings in before.items():
        if lab.json("runs", "show", id)["run_id"] != id: fail("runs show")
        if "Workflow" not in lab.ff("runs", "events", id, check=0).stdout: fail("runs events")
        if len(lab.json("findings", "list", "--run", id)["findings"]) != findings: fail("findings list")
    lab.ff("findings", "export", "--run", id, "--format", "sarif", check=0)
    refs = [o["ref"] for o in lab.json("store", "ls")["objects"]]
    if not refs: fail("store ls")
    for ref in refs: lab.ff("store", "get", ref, "-o", lab.dir / "out", check=0)
    lab.ff("store", "verify", check=0)
    lab.ff("doctor", check=None)


def refuse(lab, target, id, open=True):
    """open: is the run of that name? One that has ended has nothing to cancel, here or elsewhere."""
    cancel = [["runs", "cancel", "open"]] if open else []
    for args in (*cancel, ["run", "security_assessment", target], ["run", "-d", "security_assessment", target], ["runs", "wait", "open"],
                 ["runs", "terminate", "open"], ["runs", "signal", "open", "go"], ["runs", "retry", id],
                 ["store", "put", target / "a.py"], ["store", "gc"], ["module", "run", "file_scanner", target]):
        p = lab.ff("--toolbox", lab.toolbox(), *args)
        if p.returncode != 5 or "read-only" not in (p.stderr + p.stdout).lower(): fail(f"{args}: exit {p.returncode}: {p.stderr}")
        if len(p.stderr.strip().splitlines()) > 2: fail(f"{args}: more than a line and a hint: {p.stderr}")


with Lab() as lab:
    lab.workflow("waits", 'return function() ff.wait_signal("go") end')
    t = lab.target({"a.py": 'import os\nos.system(input())\npassword = "hunter2hunter2"\n'})
    one = lab.json("run", "security_assessment", t, "--name", "one")
    two = lab.json("run", "security_assessment", t, "--name", "two")
    p = lab.popen("--toolbox", lab.toolbox(), "run", "waits", t, "--name", "open")
    for _ in range(100):
        if (lab.state / "state.db-wal").exists() and (lab.state / "state.db-wal").stat().st_size > 20000: break
        time.sleep(0.05)
    time.sleep(0.5)
    p.kill(); p.wait()
    before = {"one": len(one["findings"]), "two": len(two["findings"]), "open": 0}
    if not before["one"] or not (lab.state / "state.db-wal").stat().st_size: fail("nothing to look at")

    if os.geteuid() != 0:
        # An ordinary user: by the rights of the files.
        for f in [lab.state, *lab.state.rglob("*")]: f.chmod(0o500 if f.is_dir() else 0o400)
        was = tree(lab.state)
        try:
            look(lab, lab.state, before); refuse(lab, t, "one")
            if tree(lab.state) != was: fail("something was written")
        finally:
            for f in [lab.state, *lab.state.rglob("*")]: f.chmod(0o700)
        ok("read-only by its rights")

    ro = lab.dir / "ro"; ro.mkdir()
    def mounted(source):
        subprocess.run(["mount", "--bind", source, ro], check=True)
        subprocess.run(["mount", "-o", "remount,bind,ro", ro], check=True)
    state = lab.state
    for what in ("killed", "closed"):
        if what == "closed":
            lab.state = state
            lab.ff("runs", "terminate", "open", check=0)
            if (state / "state.db-wal").exists(): fail("a log is left after a clean end")
        mounted(state)
        try:
            was = tree(state)
            look(lab, ro, before); refuse(lab, t, "one", what == "killed")
            if tree(state) != was: fail(f"{what}: something was written")
        finally:
            subprocess.run(["umount", ro], check=True)
    # Held by somebody: told so, as everywhere.
    lab.state = state
    p = lab.popen("--toolbox", lab.toolbox(), "run", "waits", t, "--name", "held")
    for _ in range(100):
        if (state / "state.db-wal").exists(): break
        time.sleep(0.05)
    mounted(state)
    try:
        lab.state = ro
        q = lab.ff("runs", "list")
        if q.returncode != 0 and ("held by pid" not in q.stderr or q.returncode != 5): fail(f"held: {q.returncode} {q.stderr}")
    finally:
        p.kill(); p.wait()
        subprocess.run(["umount", ro], check=True)
ok("a read-only state is read, and not written to")
