#!/usr/bin/env python3
"""A campaign beside the bare engine: the same program, flags and machine, at the same time.

usage: bench/fuzz/campaign.py FF [SECONDS [ROUNDS]]

Prints executions per second of both and their ratio; the ratio of executions per second of the engines' processor time (the result
where the machine is busy: it does not depend on who gets which core); and the memory that ff takes beside the engine: the
proportional set sizes of its processes, without the target's. Needs clang-14."""
import json
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

FF = pathlib.Path(sys.argv[1]).resolve()
SECONDS = int(sys.argv[2]) if len(sys.argv) > 2 else 30
ROUNDS = int(sys.argv[3]) if len(sys.argv) > 3 else 3
TARGET = """#include <stddef.h>
#include <stdint.h>
/* A small state machine: enough branches that the engine keeps working, and no bug. */
int LLVMFuzzerTestOneInput(const uint8_t *d, size_t n)
{
    unsigned state = 0, depth = 0, sum = 0;
    for (size_t i = 0; i < n; i++) {
        switch (d[i]) {
        case '{': case '[': if (depth < 32) depth++; state = 1; break;
        case '}': case ']': if (depth) depth--; state = 2; break;
        case '"': state = state == 3 ? 4 : 3; break;
        case '\\\\': if (state == 3) i++; break;
        case ',': state = 5; break;
        case ':': if (state == 4) state = 6; break;
        default: sum = sum * 31 + d[i]; if (d[i] >= '0' && d[i] <= '9') state = 7;
        }
    }
    static volatile unsigned sink;
    sink = sum + depth + state;
    return 0;
}
"""


def descendants(pid):
    children = {}
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            text = stat.read_text()
        except OSError:
            continue
        children.setdefault(int(text.rsplit(")", 1)[1].split()[1]), []).append(int(stat.parent.name))
    found, todo = [], [pid]
    while todo:
        p = todo.pop()
        found.append(p)
        todo += children.get(p, [])
    return found


def beside_kb(pid):
    total = 0
    for p in descendants(pid):
        try:
            if b"libfuzzer/out" in pathlib.Path(f"/proc/{p}/cmdline").read_bytes():
                continue
            total += int(re.search(r"Pss:\s+(\d+)", pathlib.Path(f"/proc/{p}/smaps_rollup").read_text()).group(1))
        except (OSError, AttributeError):
            pass
    return total


def cpu_seconds(pid):
    try:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    except OSError:
        return None


def engine_of(pid):
    for p in descendants(pid):
        try:
            if b"libfuzzer/out/states_fuzzer\0" in pathlib.Path(f"/proc/{p}/cmdline").read_bytes():
                return p
        except OSError:
            pass
    return None


class Clock:
    """The processor time of processes while they live: the last value that was seen of each."""

    def __init__(self):
        self.seen = {}

    def look(self, pid):
        seconds = cpu_seconds(pid) if pid else None
        if seconds:
            self.seen[pid] = seconds

    def total(self):
        return sum(self.seen.values())


def bare(program, folder, log):
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    env = dict(os.environ, ASAN_OPTIONS="symbolize=0")
    return subprocess.Popen([program, f"-max_total_time={SECONDS}", "-seed=7", "-print_final_stats=1", "-timeout=10", "-rss_limit_mb=2048",
                             "-detect_leaks=1", folder], cwd=folder, env=env, stdout=subprocess.DEVNULL, stderr=log,
                            start_new_session=True)  # as the engine of a campaign: a scheduler may share by sessions


def main():
    work = pathlib.Path(tempfile.mkdtemp(prefix="ff-bench-"))
    tree = work / "tree"
    tree.mkdir()
    (tree / "states_fuzzer.c").write_text(TARGET)
    ff = [FF, "--state", work / "state"]
    subprocess.run([*ff, "fuzz", "build", tree, "-o", work / "out"], check=True, stdout=subprocess.DEVNULL)
    program = work / "out/b/libfuzzer/out/states_fuzzer"
    ratios, by_time, memory = [], [], []
    for i in range(ROUNDS):
        log = open(work / "log", "w+")
        b = bare(program, work / "bare", log)
        c = subprocess.Popen([*ff, "--json", "run", "native_fuzzing", tree, f"duration={SECONDS}", "seed=7"], stdout=subprocess.PIPE,
                             stderr=subprocess.DEVNULL, text=True)
        inner, outer, began = Clock(), Clock(), time.monotonic()
        while c.poll() is None:
            time.sleep(0.1)
            outer.look(b.pid if b.poll() is None else None)
            inner.look(engine_of(c.pid))
            if len(memory) == i and time.monotonic() - began > SECONDS * 0.7:
                memory.append(beside_kb(c.pid))
        b.wait()
        log.seek(0)
        text = log.read()
        inside = json.loads(c.communicate()[0])["result"]["summary"]["targets"]["states_fuzzer"]
        outside = int(re.search(r"number_of_executed_units: (\d+)", text).group(1)) / SECONDS
        rate = inside["executions"] / inside["elapsed_time"]
        ratios.append(rate / outside)
        by_time.append(inside["executions"] / inner.total() / (outside * SECONDS / outer.total()))
        print(f"round {i + 1}: bare {outside:,.0f}/s, in the campaign {rate:,.0f}/s, ratio {ratios[-1]:.3f}, by processor time {by_time[-1]:.3f}; "
              f"ff beside the engine {memory[-1] / 1024:.1f} MB", flush=True)
    print(f"ratio {statistics.median(ratios):.3f}, by processor time {statistics.median(by_time):.3f} (medians), memory {max(memory) / 1024:.1f} MB (largest)")
    shutil.rmtree(work, ignore_errors=True)


main()
