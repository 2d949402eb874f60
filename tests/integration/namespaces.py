#!/usr/bin/env python3
# Namespaces on the command line: runs, lists and workers are about the one that is set, and about no other.
import pathlib, sys, time
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from accept import *
from sharing import until, holder, who_runs, STEP, ONE, SIGNALLED, PARAMETERS


def expect(cond, what):
    if not cond: fail(what)


def status(lab, space, run):
    p = lab.ff("--json", "--namespace", space, "runs", "show", run)
    return json.loads(p.stdout)["status"] if p.returncode == 0 else None


def ids(lab, *args, **env):
    return sorted(r["run_id"] for r in lab.json(*args, "runs", "list", env=env)["runs"])


def make(lab, *names):
    for n in names: lab.ff("-q", "token", "create", "--namespace", n, check=0)


def alone(lab, T):
    """One process at a time."""
    p = lab.ff(*T, "--namespace", "team-a", "run", "one", lab.t, check=5)
    expect("no namespace 'team-a'" in p.stderr and "token create" in p.stderr, f"an unknown namespace: {p.stderr}")
    lab.ff(*T, "--namespace", "team-a", "worker", check=5)
    make(lab, "team-a", "team-b", "team-c")
    doc = lab.json(*T, "--namespace", "team-a", "run", "one", lab.t, "--name", "same", "seconds=0.1")
    expect(doc["status"] == "COMPLETED" and doc["summary"]["n"] == 7, f"a run in a namespace: {doc}")
    doc = lab.json(*T, "run", "one", lab.t, "--name", "same", "seconds=0.1")
    expect(doc["status"] == "COMPLETED", f"one of the same name beside it: {doc}")
    expect(ids(lab) == ["same"] and ids(lab, FF_NAMESPACE="team-a") == ["same"] and ids(lab, "--namespace", "team-b") == [], "lists")
    expect("ACTIVITY_TASK_COMPLETED" in lab.ff("--namespace", "team-a", "--json", "runs", "events", "same", check=0).stdout, "events")
    expect(lab.ff("--namespace", "team-b", "runs", "show", "same").returncode == 2, "shown in another namespace")
    lab.ff("--namespace", "team-a", "clean", "--older-than", "0s", check=0)
    expect(ids(lab, FF_NAMESPACE="team-a") == [] and ids(lab) == ["same"], "ff clean of one namespace")
    expect(lab.ff("store", "verify").returncode == 0, "the store")


def workers(lab, T):
    """A worker takes what is its namespace's, of an engine that another process holds."""
    a = lab.popen(*T, "worker", "--vertical", "rust")  # holds, and takes nothing of these runs
    expect(until(lambda: holder(lab) == a.pid), "the worker does not hold the engine")
    b = lab.popen(*T, "--namespace", "team-b", "worker", "--vertical", "python")
    expect(until(lambda: f"{b.pid}@" in lab.ff("--namespace", "team-b", "workers", "list").stdout), "the worker is not listed")
    expect(f"{b.pid}@" not in lab.ff("workers", "list").stdout, "a worker of another namespace is listed")
    lab.ff(*T, "run", "one", lab.t, "-d", "--no-auto-start", "--name", "waits", "seconds=0.1", check=0)
    for run in ("mine", "mine-too"):
        lab.ff(*T, "--namespace", "team-b", "run", "one", lab.t, "-d", "--no-auto-start", "--name", run, "seconds=0.1", check=0)
        expect(until(lambda: status(lab, "team-b", run) == "COMPLETED", 60), f"{run}: {status(lab, 'team-b', run)}")
    events = lab.ff("--json", "runs", "events", "waits", check=0).stdout
    expect("TASK_STARTED" not in events, "a worker of team-b took what is of the default namespace")
    lab.ff("runs", "terminate", "waits", check=0)
    lab.ff(*T, "--namespace", "team-b", "run", "signalled", lab.t, "-d", "--no-auto-start", "--name", "asked", check=0)
    lab.ff("--namespace", "team-b", "runs", "signal", "asked", "go", "5", check=0)
    expect(json.loads(lab.ff("--json", "--namespace", "team-b", "runs", "wait", "asked", check=0).stdout)["summary"]["v"] == 5, "a signal")
    for p in (b, a):
        p.terminate()
        expect(p.wait(timeout=30) == 0, "exit status of a worker")
    doc = lab.json(*T, "--namespace", "team-b", "workers", "start", "--vertical", "python")
    expect(f"{doc['pid']}@" in lab.ff("--namespace", "team-b", "workers", "list").stdout, "a worker in the background")
    lab.ff("workers", "stop", check=0)


def holders(lab, T):
    """What stays behind works for all namespaces, also for those that come later."""
    lab.ff(*T, "--namespace", "team-a", "run", "signalled", lab.t, "-d", "--name", "long", check=0)
    lab.ff(*T, "--namespace", "team-b", "run", "one", lab.t, "-d", "--name", "other", "seconds=0.1", check=0)
    make(lab, "late")
    lab.ff(*T, "--namespace", "late", "run", "one", lab.t, "-d", "--name", "late", "seconds=0.1", check=0)
    for space, run in (("team-b", "other"), ("late", "late")):
        expect(until(lambda: status(lab, space, run) == "COMPLETED", 60), f"{run} is left alone: {status(lab, space, run)}")
    expect(status(lab, "team-a", "long") == "RUNNING", "the first run")
    lab.ff("--namespace", "team-a", "runs", "signal", "long", "go", "1", check=0)
    expect(until(lambda: status(lab, "team-a", "long") == "COMPLETED", 60), "the first run's end")
    expect(until(lambda: "held by nobody" in lab.ff("status").stdout), "the holder stays")
    a = lab.popen(*T, "--namespace", "team-a", "serve", "--listen", "none")
    expect(until(lambda: holder(lab) == a.pid), "serve does not hold the engine")
    make(lab, "later")
    for space in ("later", "default", "team-a"):
        lab.ff(*T, "--namespace", space, "run", "one", lab.t, "-d", "--no-auto-start", "--name", "served", "seconds=0.1", check=0)
        expect(until(lambda: status(lab, space, "served") == "COMPLETED", 60), f"ff serve leaves {space} alone")
    a.terminate()
    expect(a.wait(timeout=30) == 0, "exit status of ff serve")


with Lab() as lab:
    lab.module("step", STEP)
    lab.workflow("one", ONE, PARAMETERS); lab.workflow("signalled", SIGNALLED)
    lab.t = lab.target()
    T = ("--toolbox", lab.toolbox())
    alone(lab, T)
    workers(lab, T)
    holders(lab, T)
    ok("runs, lists, workers and holders of namespaces")
