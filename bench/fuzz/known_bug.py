#!/usr/bin/env python3
"""A known bug: from `ff run` to the report, beside the bare engine's time to its first crash.

usage: bench/fuzz/known_bug.py FF TREE [ROUNDS [PARAMETER...]]

TREE: sources with a harness and a bug that is found soon. Both use the same program; seeds differ by round, and are the same for both.
Of each round the bare engine's time to the crash, the run's with a state that has the build, and what the run took more, which is the
result: reading the tree, keeping and reproducing the crash, minimising, rating and reporting it. The build is printed apart. A harness
with more than one target: say target=NAME."""
import json
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

FF, TREE = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()
ROUNDS = int(sys.argv[3]) if len(sys.argv) > 3 else 3
PARAMETERS = sys.argv[4:]


def run(ff, seed):
    began = time.monotonic()
    p = subprocess.run([*ff, "run", "native_fuzzing", TREE, "--json", "duration=300s", "stop_at_first_crash=true", f"seed={seed}",
                        *PARAMETERS],
                       capture_output=True, text=True)
    took = time.monotonic() - began
    try:
        doc = json.loads(p.stdout)
    except ValueError:
        sys.exit(p.stdout + p.stderr)
    if not doc["findings"]:
        sys.exit(f"no bug found: {doc.get('error') or doc.get('result')}")
    f = doc["findings"][0]
    return took, f"{f['severity']}: {f['title']} ({f['file']}:{f['line']})"


def bare(program, folder, seed):
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    began = time.monotonic()
    p = subprocess.run([program, f"-seed={seed}", "-max_total_time=300", "-timeout=10", "-rss_limit_mb=2048", "-detect_leaks=0", "."],
                       cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.monotonic() - began if p.returncode else None


def main():
    work = pathlib.Path(tempfile.mkdtemp(prefix="ff-bench-"))
    began = time.monotonic()
    wanted = [p[len("target="):] for p in PARAMETERS if p.startswith("target=")]
    one = ["--target", wanted[0]] if wanted else []  # what is built for one target is not what is built for all
    subprocess.run([FF, "--state", work / "built", "fuzz", "build", TREE, "-o", work / "out", *one], check=True, stdout=subprocess.DEVNULL)
    print(f"build: {time.monotonic() - began:.1f} s", flush=True)
    targets = [t for t in json.loads((work / "out/targets.json").read_text()) if not wanted or t["name"] in wanted]
    if len(targets) != 1:
        sys.exit(f"say target=NAME: {', '.join(t['name'] for t in targets)}")
    more = []
    for seed in range(1, ROUNDS + 1):
        state = work / f"state-{seed}"  # of its own: a later run begins with the corpus and the bugs of the one before
        shutil.copytree(work / "built", state, symlinks=True)
        crash = bare(work / "out" / targets[0]["program"], work / "bare", seed)
        if crash is None:
            sys.exit("the bare engine found nothing")
        took, what = run([FF, "--state", state], seed)
        more.append(took - crash)
        print(f"round {seed}: bare engine {crash:.1f} s, ff run {took:.1f} s: {more[-1]:+.1f} s; {what}", flush=True)
    print(f"{statistics.median(more):+.1f} s (median)")
    shutil.rmtree(work, ignore_errors=True)


main()
