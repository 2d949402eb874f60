#!/usr/bin/env python3
# What is missing or damaged is found before somebody needs it: objects that runs refer to, and pages of the two databases.
import pathlib, sqlite3, sys, urllib.error, urllib.request
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


def without_findings(lab, doc):
    """A run whose findings have gone (as they do when their time is over) is shown with all else that is known of it."""
    lab.ff("run", "security_assessment", lab.target({"b.py": "eval(input())\n"}, "gated"), "--name", "gated", "--fail-on", "high", check=1)
    for ref in (doc["result"]["findings"]["ref"], lab.json("runs", "show", "gated")["result"]["findings"]["ref"]):
        if index(lab, "DELETE FROM blob WHERE name = ?", "o/" + ref.split(":")[1]) != 1: fail("no record of the findings")
    for verb in "show", "wait":
        p = lab.ff("runs", verb, "one", check=5)
        for word in ("security_analyzer", "one  security_assessment  COMPLETED", "started " + doc["started_at"]):
            if word not in p.stdout: fail(f"runs {verb} does not tell {word}: {p.stdout[-300:]}")
        if "the findings cannot be read" not in p.stderr: fail(f"runs {verb}: {p.stderr}")
        d = json.loads(lab.ff("--json", "runs", verb, "one", check=5).stdout)
        if (d["status"], d["findings"], d["findings_count"], d["findings_error"]["code"]) != ("COMPLETED", None, None, "NOT_FOUND") or d["summary"] != doc["summary"]:
            fail(f"runs {verb} --json: {d}")
    if lab.json("runs", "show", "gated")["gate"]["passed"] or "gate: failed" not in lab.ff("runs", "show", "gated", check=5).stdout: fail("the gate of what is not known")
    lab.ff("findings", "list", "--run", "one", check=2)
    p = lab.popen("--json", "serve", "--listen", "127.0.0.1:0", "--insecure-loopback", stdout=subprocess.PIPE)
    text = p.stdout.readline()
    while not text.rstrip().endswith(b"}"): text += p.stdout.readline()
    url = json.loads(text)["rest"]
    def get(path):
        try:
            with urllib.request.urlopen(url + path) as r: return r.status, json.load(r)
        except urllib.error.HTTPError as e: return e.code, json.load(e)["detail"]["error"]["type"]
    for path in "/findings?run=one", "/findings?run=on", "/findings", "/runs/one/findings": # the latest is the gated one
        if get(path) != (404, "FindingsNotFound"): fail(f"GET {path}: {get(path)}")
    if get("/findings?run=none") != (404, "RunNotFound"): fail("a run that there is not")
    st, d = get("/runs/gated/summary")
    if st != 200 or d["findings_count"] is not None or d["gate"]["passed"] or not d["findings_error"]["message"]: fail(f"summary: {st} {d}")
    p.terminate()
    if p.wait(60): fail("serve")


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
    without_findings(lab, doc)

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
