#!/usr/bin/env python3
"""The contract suite against another process: Temporal's own server, or the embedded engine behind `ff serve`; and the histories
that it leaves there beside those of the embedded engine in the test's own process.

Every case runs on both. What they leave is compared event by event: types, order, and every attribute but those that name a
moment, a machine or a database row. A difference is a failure, unless KNOWN below says why it may be: docs/temporal.md has
the same list in words.

usage: contract.py temporal PROGRAM...      the suite's programs
       contract.py served FF PROGRAM...    as any client, over gRPC
       contract.py guest FF PROGRAM...     as another process of the state
"""
import json
import pathlib
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from peers import *

# Attributes that are no part of the behaviour: (the last part of a path).
NOT_COMPARED = {
    "eventTime", "taskId", "version",          # when, and where in a database
    "requestId", "namespaceId", "parentWorkflowNamespaceId",
    "historySizeBytes", "buildIdRedirectCounter", "stateTransitionCount",
    "message", "reason",                       # words
    "workflowExecutionExpirationTime", "retryExpirationInterval",
    "searchAttributes", "prevAutoResetPoints", # bookkeeping of versions: 1.29 adds BuildIds
    "workerVersion", "links", "priority",
}

# Cases that are not compared, and why.
UNCOMPARED = {
    "external_signals_and_cancels": "what reaches other runs comes in any order on a cluster",
    "parent_close_policies": "children start, and hear of their parent's end, in any order on a cluster",
    "an_abandoned_child_starts_though_its_parent_closes": "a cluster may drop the child; the embedded engine starts it",
    "too_long_a_history_ends_the_run": "a cluster refuses the task that is too much; the embedded engine ends the run after it",
    "lists_in_pages": "no task is polled",
    "deletes": "what was deleted has no history",
    "a_namespace_is_deleted": "the same",
    "many_callers_may_go": "a cluster may hand a task to a caller that is just leaving",
    "a_poll_whose_caller_has_gone_gets_no_task": "the same",
    "older_lists": "another id: a cluster's filter stumbles over a quote",
    "signals_to_others_keep_their_mark": "what reaches other runs comes in any order on a cluster",
    "many_updates_at_a_time_are_refused": "nobody polls: how long it takes decides what is written",
    "a_worker_that_shuts_down_leaves_its_sticky_queue": "a cluster lets a task that waits there time out",
    "an_update_goes_to_the_run_that_continues": "a cluster tries the update again after a while, the embedded engine at once",
    "an_update_rides_on_the_first_task": "two updates come over connections of their own: with one task or with two",
}

# (case or None, event type, path) -> why the values may differ.
KNOWN = {
    (None, "WORKFLOW_EXECUTION_STARTED", "firstWorkflowTaskBackoff"):
        "a cluster lets a second pass between the runs of a continue-as-new; the embedded engine goes on at once",
    (None, "WORKFLOW_TASK_STARTED", "identity"):
        "a cluster forgets who took a speculative task when it has to write it",
    ("conflict_policies", "WORKFLOW_EXECUTION_TERMINATED", "details.payloads[0]"): "which run took its place: words",
}


def expected_difference(case, event, path):
    return KNOWN.get((case, event, path)) or KNOWN.get((None, event, path))


class Normal:
    """Names of one side, made those of both: run ids by the order in which they are met, namespaces likewise."""

    def __init__(self):
        self.names = {}

    def text(self, s):
        s = re.sub(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
                   lambda m: self.names.setdefault(m[0], f"run-{len(self.names)}"), s)
        return re.sub(r"\b(\w+)-\d{13}-\d+", r"\1", s)

    def value(self, v):
        if isinstance(v, dict):
            return {k: self.value(x) for k, x in sorted(v.items()) if k not in NOT_COMPARED}
        if isinstance(v, list):
            return [self.value(x) for x in v]
        return self.text(v) if isinstance(v, str) else v


def flat(v, path=""):
    if isinstance(v, dict):
        for k, x in v.items():
            yield from flat(x, f"{path}.{k}" if path else k)
    elif isinstance(v, list):
        for i, x in enumerate(v):
            yield from flat(x, f"{path}[{i}]")
    elif v not in ("0s", "", 0, False, None):
        yield path, v


def runs_of(file):
    normal = Normal()
    runs = json.loads(file.read_text())
    for r in runs:  # the order of starts is the order of names
        normal.text(r["run_id"])
    return {(r["workflow_id"], normal.text(r["run_id"])): [normal.value(e) for e in r["events"]] for r in runs}


def short(event):
    return event["eventType"].removeprefix("EVENT_TYPE_")


def compare_events(case, run, i, ours, theirs, out):
    if short(ours) != short(theirs):
        out.append(f"{case} {run} event {i + 1}: {short(ours)}, there it is {short(theirs)}")
        return False
    a, b = dict(flat(ours)), dict(flat(theirs))
    for path in sorted(a.keys() | b.keys()):
        key = re.sub(r"^\w+EventAttributes\.", "", path)
        if a.get(path) != b.get(path) and not expected_difference(case, short(ours), key):
            out.append(f"{case} {run} event {i + 1} {short(ours)}: {key} is {a.get(path)!r}, there it is {b.get(path)!r}")
    return True


def compare(case, ours, theirs, out):
    a, b = runs_of(ours), runs_of(theirs)
    if a.keys() != b.keys():
        out.append(f"{case}: runs {sorted(a)}, there it is {sorted(b)}")
        return 0
    events = 0
    for run in a:
        if len(a[run]) != len(b[run]):
            out.append(f"{case} {run[0]}: {[short(e) for e in a[run]]}, there it is {[short(e) for e in b[run]]}")
            continue
        events += len(a[run])
        for i, (x, y) in enumerate(zip(a[run], b[run])):
            if not compare_events(case, run[0], i, x, y, out):
                break
    return events


def run_suite(programs, folder, where):
    folder.mkdir()
    env = {**os.environ, "CONTRACT_DUMP": str(folder), **where}
    failed = 0
    for p in programs:
        r = subprocess.run([p], env=env, capture_output=True, text=True)
        if r.returncode:
            failed += 1
            print("\n".join(l for l in (r.stdout + r.stderr).splitlines() if "[ RUN" not in l and "  OK" not in l))
    return failed


class Served(Stopped):
    """The embedded engine behind `ff serve`."""

    def __init__(self, ff):
        super().__init__()
        out, env = self.dir / "out", {**os.environ, "HOME": str(self.dir), "FF_ENGINE": "embedded"}
        with open(out, "wb") as f:
            self.process = subprocess.Popen([ff, "--state", self.dir / "state", "serve", "--grpc", "127.0.0.1:0", "--insecure-loopback"],
                                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=f, text=True, env=env)
        line = self.process.stdout.readline()
        if not line.startswith("gRPC at "):
            raise SystemExit("ff serve did not start: " + out.read_text(errors="replace"))
        self.address = line.split()[-1]


def compare_all(ours, theirs):
    """The differences, and how much was compared."""
    cases = sorted(p.stem for p in ours.iterdir())
    out, events, compared = [], 0, 0
    if cases != sorted(p.stem for p in theirs.iterdir()):
        out.append("not the same cases on both sides")
    for case in cases:
        if case not in UNCOMPARED and (theirs / f"{case}.json").exists():
            compared += 1
            events += compare(case, ours / f"{case}.json", theirs / f"{case}.json", out)
    print("\n".join(out))
    print(f"{len(cases)} cases on both engines; {events} events of {compared} cases compared, {len(out)} differences")
    return len(out), compared, events


def main():
    temporal = sys.argv[1] == "temporal"
    programs = sys.argv[2:] if temporal else sys.argv[3:]
    # A cluster hands a task to a caller that has just left when it is a second behind, as on a busy machine: it gets another try.
    tries = 2 if temporal else 1
    if temporal:
        need("temporal")
    while tries:
        tries -= 1
        with TemporalServer() if temporal else Served(sys.argv[2]) as server:
            ours, theirs = server.dir / "here", server.dir / "there"
            guest = sys.argv[1] == "guest"
            where = {"CONTRACT_STATE": str(server.dir / "state")} if guest else {"CONTRACT_ADDR": server.address}
            if run_suite(programs, ours, {}):
                sys.exit(1)
            failed = run_suite(programs, theirs, where)
            differences, compared, events = compare_all(ours, theirs)
        if not failed and not differences and compared >= 30 and events >= 300:
            return
    sys.exit(1)


if __name__ == "__main__":
    main()
