#!/usr/bin/env python3
"""A thousand inputs that crash a target, triaged by `ff fuzz triage` and by casr-libfuzzer, one after the other.

usage: bench/fuzz/triage.py FF [CASR_LIBFUZZER [INPUTS [ROUNDS]]]

The target is examples/fuzz_target, with its three bugs. Prints the time and the number of bugs of both and their ratio (the result), and
of ff also how many of the inputs it put to the right bug. CASR_LIBFUZZER: by `tools/peers casr`; casr-san must lie beside it."""
import json
import os
import pathlib
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

SOURCE = pathlib.Path(__file__).resolve().parents[2]
FF = pathlib.Path(sys.argv[1]).resolve()
CASR = pathlib.Path(sys.argv[2]).resolve() if len(sys.argv) > 2 else None
INPUTS = int(sys.argv[3]) if len(sys.argv) > 3 else 1000
ROUNDS = int(sys.argv[4]) if len(sys.argv) > 4 else 3


def record(kind, value):
    return kind + bytes([len(value)]) + value


def crash(bug):
    """Harmless records, then one of the three mistakes."""
    noise = b"".join(record(b"Q", random.randbytes(random.randrange(20))) for _ in range(random.randrange(1, 12)))
    if bug == "read_name":
        return noise + record(b"O", b"") + record(b"N", b"#" + random.randbytes(random.randrange(20, 200)))
    if bug == "touch":
        return noise + record(b"O", b"") + record(b"C", random.randbytes(3)) + record(b"T", b"")
    return noise + record(b"X", b"w:" + random.choice((b"8", b"9")) + random.randbytes(random.randrange(9)))


def ours(ff, program, folder):
    began = time.monotonic()
    p = subprocess.run([*ff, "--json", "fuzz", "triage", "-b", program, "--minimize", "0", "-o", folder.parent / "out-ff", folder],
                       stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    took = time.monotonic() - began
    shutil.rmtree(folder.parent / "out-ff", ignore_errors=True)
    return took, json.loads(p.stdout)["summary"]


def theirs(program, folder):
    out = folder.parent / "out-casr"
    env = dict(os.environ, PATH=f"{CASR.parent}:{os.environ['PATH']}", ASAN_OPTIONS="detect_leaks=0")
    began = time.monotonic()
    p = subprocess.run([CASR, "-f", "-i", folder, "-o", out, "--", program], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=env,
                       text=True, timeout=3600)
    took = time.monotonic() - began
    if p.returncode:
        sys.exit(f"casr-libfuzzer: {p.stdout[-500:]}")
    return took, sum(1 for c in out.iterdir() if c.name.startswith("cl") and c.name[2:].isdigit())


def main():
    random.seed(1)
    work = pathlib.Path(tempfile.mkdtemp(prefix="ff-bench-"))
    ff = [FF, "--state", work / "state"]
    subprocess.run([*ff, "fuzz", "build", SOURCE / "examples/fuzz_target", "-o", work / "out"], check=True, stdout=subprocess.DEVNULL)
    program = work / "out/b/libfuzzer/out/tlv"
    folder, truth = work / "crashes", {}
    folder.mkdir()
    for i in range(INPUTS):
        bug = ("read_name", "touch", "read_table")[i % 3]
        truth[f"crash-{i:040x}"] = bug
        (folder / f"crash-{i:040x}").write_bytes(crash(bug))
    ratios = []
    for i in range(ROUNDS):
        took, summary = ours(ff, program, folder)
        right = sum(1 for x in summary["inputs"] if x["crashes"] and truth[x["file"]] in x["bug"])
        text = f"round {i + 1}: ff {took:.1f} s, {summary['unique_crashes']} bugs, {right} of {INPUTS} inputs right"
        if CASR:
            other, clusters = theirs(program, folder)
            ratios.append(other / took)
            text += f"; casr-libfuzzer {other:.1f} s, {clusters} clusters; {ratios[-1]:.2f} times as fast"
        print(text, flush=True)
    if ratios:
        print(f"{statistics.median(ratios):.2f} times as fast (median)")
    shutil.rmtree(work, ignore_errors=True)


main()
