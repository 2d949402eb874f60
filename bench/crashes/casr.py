#!/usr/bin/env python3
"""ff fuzz cluster against CASR's published corpora of crash reports.

usage: bench/crashes/casr.py FF CHECKOUT [CASR_CLUSTER]

CHECKOUT is a checkout of github.com/ispras/casr, whose tests publish four corpora and how many clusters each has. With the
path of casr-cluster, that program clusters the same reports here, and pairs of reports in one cluster are compared: F1 over
all reports, and over reports with distinct stacks alone, where no large cluster hides the others; and the times."""
import glob
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

CORPORA = {"test_clustering_small": 9, "test_clustering_python": 2, "test_clustering_san": 12, "test_clustering_gdb": 12}


def f1(truth, ours, files):
    both = only_truth = only_ours = 0
    for i, a in enumerate(files):
        for b in files[:i]:
            t, o = truth[a] == truth[b], ours[a] == ours[b]
            both += t and o
            only_truth += t and not o
            only_ours += o and not t
    return 2 * both / max(1, 2 * both + only_truth + only_ours)


def run_ff(ff, files):
    begin = time.monotonic()
    out = subprocess.run([ff, "fuzz", "cluster", "--json"] + files, capture_output=True, text=True, check=True).stdout
    groups = json.loads(out)["groups"]
    return {r: g["id"] for g in groups for r in g["reports"]}, len(groups), time.monotonic() - begin


def run_casr(program, files):
    with tempfile.TemporaryDirectory() as out:
        shutil.rmtree(out)
        with tempfile.TemporaryDirectory() as inp:
            for f in files:
                shutil.copy(f, inp)
            begin = time.monotonic()
            subprocess.run([program, "-c", inp, out], capture_output=True, check=True)
            seconds = time.monotonic() - begin
        by_name = {os.path.basename(f): f for f in files}
        truth = {by_name[os.path.basename(f)]: re.search(r"/cl(\d+)/", f).group(1)
                 for f in glob.glob(out + "/cl*/*.casrep")}
        shutil.rmtree(out)
        os.mkdir(out)
    return truth, seconds


def distinct(files):
    seen = {}
    for f in files:
        with open(f, encoding="utf-8") as j:
            seen.setdefault("\n".join(re.sub(r"\([^()]*=.*?\) at", "", l) for l in json.load(j)["Stacktrace"]), f)
    return sorted(seen.values())


def main():
    ff, root, casr = sys.argv[1], sys.argv[2], sys.argv[3] if len(sys.argv) > 3 else None
    print(f"{'corpus':24} {'reports':>7} {'clusters':>8} {'published':>9} {'ff s':>6} {'casr s':>6} {'ratio':>6} {'F1':>6} {'distinct':>8}")
    for name, published in CORPORA.items():
        files = sorted(glob.glob(os.path.join(root, "casr/tests/casr_tests/casrep", name, "*.casrep")))
        ours, groups, seconds = run_ff(ff, files)
        line = f"{name:24} {len(files):7} {groups:8} {published:9} {seconds:6.2f}"
        if casr:
            truth, theirs = run_casr(casr, files)
            known = [f for f in files if f in truth]
            few = [f for f in distinct(files) if f in truth]
            line += f" {theirs:6.2f} {theirs / seconds:6.1f} {f1(truth, ours, known):6.3f} {f1(truth, ours, few):8.3f}"
        print(line)


main()
