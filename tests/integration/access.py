#!/usr/bin/env python3
# Tokens and the audit log, from the command line.
import pathlib, sys, threading
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from accept import *


def expect(cond, what):
    if not cond: fail(what)


def tokens(lab, *options):
    return json.loads(lab.ff("--json", "token", "list", *options, check=0).stdout)["tokens"]


def check_life(lab):
    made = json.loads(lab.ff("--json", "token", "create", "--role", "operator", "--namespace", "team-a", "--name", "ci", "--expires", "90d",
                             check=0).stdout)
    expect(len(made["token"]) == 64 and made["role"] == "operator" and made["namespace"] == "team-a" and made["expires_at"], f"created: {made}")
    plain = lab.ff("token", "create", check=0)
    expect(len(plain.stdout.strip()) == 64 and plain.stdout.strip() not in plain.stderr, "the text alone is on stdout")
    listed = tokens(lab)
    expect([t["role"] for t in listed] == ["operator", "viewer"], f"listed: {listed}")
    expect(all("token" not in t for t in listed) and made["token"] not in lab.ff("token", "list", check=0).stdout, "a list shows no token")
    lab.ff("token", "create", "--name", "ci", check=2)
    lab.ff("token", "revoke", "ci", check=0)
    lab.ff("token", "revoke", "ci", check=2)
    expect(len(tokens(lab)) == 1 and [t["state"] for t in tokens(lab, "--all")].count("revoked") == 1, "revoked is listed by --all alone")
    lab.ff("token", "create", "--name", "ci", "--expires", "never", check=0)


def check_wrong(lab):
    for args in (("--role", "root"), ("--namespace", "A b"), ("--expires", "0"), ("--expires", "soon"), ("--name", "")):
        lab.ff("token", "create", *args, check=2)
    lab.ff("token", "revoke", "nobody", check=2)


def check_secrecy(lab):
    text = lab.ff("-q", "token", "create", check=0).stdout.strip()
    for path in lab.state.rglob("*"):
        if path.is_file():
            expect(text.encode() not in path.read_bytes(), f"{path} has the token")
            if path.name.startswith(("access.db", "audit")): expect(path.stat().st_mode & 0o77 == 0, f"{path} can be read by others")


def check_audit(lab):
    entries = json.loads(lab.ff("--json", "audit", check=0).stdout)["entries"]
    expect([e["action"] for e in entries[:3]] == ["token.create", "token.create", "token.create"], f"audit: {entries[:3]}")
    expect(all(e["who"]["name"] and e["time"] and e["outcome"] in ("allowed", "denied") for e in entries), "who and when")
    only = json.loads(lab.ff("--json", "audit", "--action", "token.revoke", "-n", "1", check=0).stdout)["entries"]
    expect(len(only) == 1 and only[0]["action"] == "token.revoke", f"filtered: {only}")
    expect("token.create" in lab.ff("audit", check=0).stdout, "as a table")
    lab.ff("audit", "-n", "0", check=2)


def check_many(lab):
    """Processes at one time: none is lost, and each is written down."""
    before = len(tokens(lab))
    threads = [threading.Thread(target=lab.ff, args=("-q", "token", "create", "--name", f"t{i}"), kwargs={"check": 0}) for i in range(8)]
    for t in threads: t.start()
    for t in threads: t.join()
    expect(len(tokens(lab)) == before + 8, "tokens of eight processes")
    subjects = [e["subject"] for e in json.loads(lab.ff("--json", "audit", check=0).stdout)["entries"]]
    expect({f"t{i}" for i in range(8)} <= set(subjects), "entries of eight processes")


with Lab() as lab:
    for check in (check_life, check_wrong, check_secrecy, check_audit, check_many):
        check(lab)
        print("ok", check.__name__)
