#!/usr/bin/env python3
# What is missing or damaged is found before somebody needs it: objects that runs refer to, and pages of the two databases.
import pathlib, sqlite3, sys
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from accept import *


def index(lab, sql, *args):
    c = sqlite3.connect(lab.state / "store" / "index.db"); c.execute(sql, args); c.commit(); n = c.total_changes; c.close()
    return n


def grades(lab):
    p = lab.ff("--json", "doctor")
    return p.returncode, {c["name"]: (c["status"], c["detail"]) for c in json.loads(p.stdout)["checks"] if c["area"] == "state"}


def damage(file, needle):
    """Overwrites the pages of a database that have needle, but for the first."""
    data = bytearray(file.read_bytes()); n = 0
    for at in range(4096, len(data), 4096):
        if needle in data[at:at + 4096]:
            data[at:at + 8] = b"\xff" * 8; n += 1
    file.write_bytes(data)
    return n


with Lab() as lab:
    t = lab.target({"a.py": 'import os\nos.system(input())\n'})
    doc = lab.json("run", "security_assessment", t, "--name", "one")
    lab.json("run", "security_assessment", t, "--name", "two")
    v = lab.json("store", "verify")
    if v["runs"] != 2 or v["refs"] < 4 or v["missing"] or v["damaged"]: fail(f"a sound state: {v}")
    good = grades(lab)
    if any(good[1][n][0] != "ok" for n in ("runs", "objects")): fail(f"doctor: {good}")

    # The target's record, which both runs and their pins name.
    tree = doc["target"]["ref"]
    hexa = tree.split(":")[1]
    if index(lab, "DELETE FROM blob WHERE name = ?", "o/" + hexa) != 1: fail("no record of the target")
    p = lab.ff("store", "verify", check=5)
    if tree not in p.stdout or "run " not in p.stdout or "missing" not in p.stdout: fail(f"not told: {p.stdout}")
    v = lab.json("store", "verify")
    if [m["ref"] for m in v["missing"]] != [tree]: fail(f"missing: {v['missing']}")
    # Its pins too: the history still names it.
    index(lab, "DELETE FROM blob WHERE name LIKE ?", f"p/%-{hexa}")
    v = lab.json("store", "verify")
    if [m["ref"] for m in v["missing"]] != [tree] or "run " not in v["missing"][0]["reason"]: fail(f"without pins: {v['missing']}")
    # Only a pin names it.
    ref = lab.ff("store", "put", t / "a.py", check=0).stdout.split()[0]
    index(lab, "DELETE FROM blob WHERE name = ?", "o/" + ref.split(":")[1])
    if not any(m["ref"] == ref and "pin of user/" in m["reason"] for m in lab.json("store", "verify")["missing"]): fail("a pin of nothing")
    # Put again, it is whole.
    lab.ff("store", "put", t / "a.py", check=0); lab.json("run", "security_assessment", t)
    v = lab.json("store", "verify")
    if v["missing"]: fail(f"after it came back: {v['missing']}")

    if not damage(lab.state / "store" / "index.db", hexa.encode()): fail("no page to damage")
    code, g = grades(lab)
    if g["objects"][0] == "ok" or code == 0 or g["runs"][0] != "ok": fail(f"a damaged index: {code} {g}")

with Lab() as lab:
    t = lab.target({f"f{i}.py": 'import os\nos.system(input())\n' for i in range(5)})
    for i in range(5): lab.ff("run", "security_assessment", t, check=0)
    if not damage(lab.state / "state.db", b"security_analyzer"): fail("no page to damage")
    code, g = grades(lab)
    if g["runs"][0] == "ok" or code == 0: fail(f"a damaged state: {code} {g}")
ok("missing objects and damaged pages are named")
