#!/usr/bin/env python3
"""A known bug: from `ff run` to the report, beside the bare engine's time to its first crash.

usage: bench/fuzz/known_bug.py FF TREE [ROUNDS [PARAMETER...]]

TREE: sources with a harness and a bug that is found soon. Both use the same program; seeds differ by round, and are the same for both.
Of each round the bare engine's time to the crash, the run's with a state that has the build, and what the run took more: reading the
tree, keeping and reproducing the crash, minimising, rating and reporting it. A harness with more than one target: say target=NAME.

by_hand=SCRIPT: how somebody without ff builds the tree: a shell script, in a copy of it, with CC CXX CFLAGS CXXFLAGS
LIB_FUZZING_ENGINE, that makes $OUT/fuzzer. Then there is a round from nothing: that and the bare engine until it crashes, and at the same
time `ff run` with an empty state. What it took more is printed in both readings: than all of that, where both build, and
than the bare engine's time to the crash alone; and the processor time of both."""
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

FF, TREE = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()
ROUNDS = int(sys.argv[3]) if len(sys.argv) > 3 else 3
PARAMETERS = [p for p in sys.argv[4:] if not p.startswith("by_hand=")]
BY_HAND = [p[len("by_hand="):] for p in sys.argv[4:] if p.startswith("by_hand=")]
FLAGS = "-O1 -g -fsanitize=address,undefined -fsanitize=fuzzer-no-link"


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


def by_hand(work):
    """Builds as one would without ff, then runs the engine until it crashes. In a process of its own, whose processor time is told."""
    env = dict(os.environ, CC="clang-14", CXX="clang++-14", CFLAGS=FLAGS, CXXFLAGS=FLAGS, LIB_FUZZING_ENGINE="-fsanitize=fuzzer",
               OUT=str(work), ASAN_OPTIONS="detect_leaks=0")
    began = time.monotonic()
    subprocess.run(["bash", "-eu", "-c", BY_HAND[0]], cwd=work / "tree", env=env, check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)
    crash = bare(work / "fuzzer", work / "bare", 1)
    if crash is None:
        sys.exit("the bare engine found nothing")
    return time.monotonic() - began, crash


def cpu_of_children():
    t = os.times()
    return t.children_user + t.children_system


def from_nothing(work):
    hand = work / "hand"
    hand.mkdir()
    shutil.copytree(TREE, hand / "tree", symlinks=True)
    told, tell = os.pipe()
    child = os.fork()
    if child == 0:
        took, crash = by_hand(hand)
        os.write(tell, json.dumps([took, crash, cpu_of_children()]).encode())
        os._exit(0)
    os.close(tell)
    before = cpu_of_children()
    took, what = run([FF, "--state", work / "empty"], 1)
    cpu = cpu_of_children() - before
    hand_took, crash, hand_cpu = json.loads(os.read(told, 4096) or b'"the build by hand failed"')
    os.waitpid(child, 0)
    print(f"from nothing: by hand {hand_took:.1f} s to the crash (processor {hand_cpu:.1f} s), "
          f"ff run {took:.1f} s to the report (processor {cpu:.1f} s); {what}\n  both build: {took - hand_took:+.1f} s (processor {cpu - hand_cpu:+.1f} s); "
          f"beside the engine's {crash:.1f} s alone, whoever built that: {took - crash:+.1f} s", flush=True)


def main():
    work = pathlib.Path(tempfile.mkdtemp(prefix="ff-bench-"))
    if BY_HAND:
        from_nothing(work)
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
