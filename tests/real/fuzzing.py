"""Fuzzing with the real engines, on the example that ships.

usage: fuzzing.py campaign|printed|kill|ends|pause|waiting|killed|between|stops|leaks|inputs|again|afl|apart|merge|large|bad|slow|stuck|removes|litter|alone|served|atheris|go|builds|seeds|cached|fetch"""
import hashlib
import io
import json
import os
import pathlib
import random
import shlex
import shutil
import signal
import subprocess
import sys
import tarfile
import time
import zipfile

SOURCE = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(SOURCE / "tests" / "integration"))
from accept import Lab, LabIn, World, fail, ok  # noqa: E402
from peers import CACHE, need  # noqa: E402

EXAMPLE = SOURCE / "examples" / "fuzz_target"
BUGS = {"read_name", "touch", "read_table"}


def run(lab, target, *args, timeout=300):
    return lab.ff("run", "native_fuzzing", target, "--json", *args, timeout=timeout)


def document(p):
    try:
        return json.loads(p.stdout)
    except ValueError:
        fail(f"no JSON: {(p.stdout + p.stderr)[-300:]}")


def cmdlines():
    for cmdline in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            yield cmdline.read_bytes()
        except OSError:
            continue


def nothing_left(what):
    """No process of a campaign outlives it: all of them have a path below /scratch."""
    for text in cmdlines():
        if what in text:
            fail(f"left running: {text[:80]}")


def bugs_of(doc):
    found = set()
    for f in doc["findings"]:
        where = f["evidence"]["crash_state"].split("\n")[0]
        found |= {where} & BUGS
    return found


HARNESSES = ("LLVMFuzzerTestOneInput", "TestOneInput", ".fuzzerTestOneInput", "libfuzzer_sys::", "__libfuzzer_sys_run", ".FuzzParse.")


def kept_bytes(lab, doc):
    """Every crash that the result names can be had, and each finding says which one it is of, and has the program's stack alone."""
    for f in doc["findings"]:
        stack = [s["function"] for s in f["evidence"]["stack"]]
        if len(stack) > 1 and any(h in function for function in stack for h in HARNESSES):
            fail(f"{f['title']}: the harness is in its stack: {stack}")
        ref = f["evidence"]["reproducer"]["ref"]
        again = lab.json("finding", f["id"], check=0)["reproduce"].splitlines()
        starts = ["ff fuzz build . --engine ", f"ff store get {ref} -o ", "ff fuzz reproduce "]
        if len(ref) != 71 or len(again) != 3 or not all(line.startswith(s) for line, s in zip(again, starts)):
            fail(f"{f['title']}: {f['evidence']['reproducer']}, {again}")
    for name, ref in doc["result"]["crashes"].items():
        p = subprocess.run([lab.exe, "--state", str(lab.state), "store", "get", ref["ref"]], capture_output=True, env=lab.env)
        if p.returncode or len(p.stdout) != ref["bytes"]:
            fail(f"{name}: not in the store")


def seen_again(lab, tree, finding):
    """The commands of a finding crash the target, typed as they are in the tree."""
    for line in lab.json("finding", finding["id"], check=0)["reproduce"].splitlines():
        p = subprocess.run([lab.exe, "--state", str(lab.state), *shlex.split(line)[1:]], cwd=tree, capture_output=True, text=True, env=lab.env)
        if p.returncode != ("reproduce" in line):
            fail(f"{line}: exit {p.returncode}, {p.stdout}{p.stderr}")


def campaign():
    with Lab() as lab:
        tree = lab.dir / "tree"
        shutil.copytree(EXAMPLE, tree)
        doc = document(run(lab, tree, "duration=250s", "max_executions=300000", "minimize=5s", "memory_mb=1500"))
        if doc["status"] != "COMPLETED":
            fail(doc)
        found, more = distinct(doc)
        if found != BUGS or more > 1:
            fail(f"bugs: {[f['title'] for f in doc['findings']]}")
        for f in doc["findings"]:
            if f["evidence"]["reproduced"] == 0 or f["file"] != "src/tlv.c" or not f["line"]:
                fail(f"a finding without its evidence: {json.dumps(f)[:300]}")
            stack = f["evidence"]["stack"]
            if not all((EXAMPLE / (s.get("file") or "/")).is_file() for s in stack) or stack[-1]["function"] != "tlv_parse":
                fail(f"a stack with other frames than the library's own: {stack}")
            lines = (EXAMPLE / "src/tlv.c").read_text().splitlines()
            if f["snippet"] != lines[f["line"] - 1].strip() or any(s["snippet"] != lines[s["line"] - 1].strip() for s in stack):
                fail(f"code that is not the tree's: {f['snippet']}, {stack}")
            if "src/tlv.c:" not in f["evidence"]["report"] or "/scratch/b/" in f["evidence"]["report"]:
                fail(f"a report with the paths of the build: {f['evidence']['report']}")
        summary = doc["result"]["summary"]
        if summary["executions"] < 1000 or summary["crashes"] < 3:
            fail(summary)
        kept_bytes(lab, doc)
        seen_again(lab, tree, doc["findings"][0])
        nothing_left(b"/libfuzzer/out/tlv")
        ok(f"three bugs, {len(doc['findings'])} findings, {summary['crashes']} crashes")


def printed():
    """The commands of a finding say all that the target needs: the sanitizers that it was built with, its variables and options."""
    text = HARNESS % ("", "const char *e = getenv(\"WANTED\"); if (e && !strcmp(e, \"a = 'b'  c\") && n > 1 && n < 10 && d[0] == 'F') abort();")
    own = "targets: [{name: p, sources: [p_fuzzer.c], env: {WANTED: \"a = 'b'  c\", ASAN_OPTIONS: detect_stack_use_after_return=1}, options: {max_len: 9}}]"
    with Lab() as lab:
        tree = lab.target({"p_fuzzer.c": text, "fuzz.yaml": own}, "tree")
        for engine in ("libfuzzer", "aflplusplus"):
            doc = document(run(lab, tree, f'engines=["{engine}"]', "sanitizers=address", "duration=60s", "stop_at_first_crash=true", "minimize=1s"))
            if len(doc["findings"]) != 1 or doc["findings"][0]["evidence"]["build"] != f"ff fuzz build . --engine {engine} --sanitizers address":
                fail(f"{engine}: {json.dumps(doc)[:2000]}")
            seen_again(lab, tree, doc["findings"][0])
            shutil.rmtree(tree / "fuzz-out")
        ok("typed as they are printed")


def distinct(doc):
    """Of the known bugs: those that are reported; and how many findings there are beyond one for each."""
    found = bugs_of(doc)
    return found, len(doc["findings"]) - len(found)


def kept_crashes(lab, name):
    """Names of the inputs that the campaign under way has kept, and its own time."""
    for a in lab.json("runs", "show", name).get("pending_activities") or []:
        if a["module"] == "fuzz_campaign":
            return {n for n in a.get("kept") or {} if n.startswith("crash-")}, (a.get("stats") or {}).get("elapsed_time", 0)
    return set(), 0


def kills(lab, rounds, after_each=lambda: None):
    """A run that is killed at random moments, goes on, and is stopped then. Of the crashes that were seen at any time those that
    were lost; the most seconds of work that were; and the run's document."""
    seen, gone, most, elapsed = set(), set(), 0.0, 0.0
    p = lab.popen("run", "native_fuzzing", EXAMPLE, "--name", "k", "duration=0", "minimize=2s")
    for _ in range(rounds):
        time.sleep(6 + random.random() * 5)
        before, began = kept_crashes(lab, "k")
        p.kill()
        p.wait()
        time.sleep(0.3)
        after_each()
        after, elapsed = kept_crashes(lab, "k")
        seen |= before
        gone |= seen - after
        seen |= after
        most = max(most, began - elapsed)
        p = lab.popen("runs", "wait", "k", "--json", stdout=subprocess.PIPE)
    while stats_of(lab, "k").get("elapsed_time", 0) <= elapsed + 1:  # the attempt after the last kill is under way
        time.sleep(0.5)
    lab.ff("runs", "signal", "k", "stop", check=0)
    doc = json.loads(p.communicate(timeout=120)[0])
    if doc["status"] != "COMPLETED":
        fail(f"{doc['status']} {doc.get('error')}")
    return seen, gone | seen - {n.split("/", 1)[1] for n in doc["result"]["crashes"]}, most, doc


def kill():
    """kill -9 again and again: no crash that was seen is lost, and no more than 30 s of work."""
    with Lab() as lab:
        random.seed(int(os.environ.get("FF_SEED", "1")))
        rounds = int(os.environ.get("FF_ROUNDS", "4"))
        seen, gone, most, doc = kills(lab, rounds, lambda: nothing_left(b"/libfuzzer/out/tlv"))
        if not seen or gone:
            fail(f"{len(seen)} crashes seen, lost: {gone}")
        if doc["result"]["summary"]["targets"]["tlv"]["stopped_by"] != "signal":
            fail(doc["result"]["summary"])
        kept_bytes(lab, doc)
        if most > 30:
            fail(f"{most} s of work lost")
        ok(f"{rounds} kills, {len(seen)} crashes, none lost")


def ends():
    """The run's own time-out ends a campaign in time, with what it has."""
    with Lab() as lab:
        doc = document(run(lab, EXAMPLE, "-t", "40s", "duration=10m", "minimize=60s"))
        summary = doc["result"]["summary"]["targets"]["tlv"] if doc["status"] == "COMPLETED" else {}
        if not doc["findings"] or summary.get("stopped_by") != "deadline":
            fail(f"{doc['status']}, {len(doc['findings'])} findings, {summary.get('stopped_by')}")
        kept_bytes(lab, doc)
        ok(f"{len(doc['findings'])} findings in {doc['duration_ms'] / 1000:.0f} s")


def state_of(lab, want, seconds=120, name="p"):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if want in lab.ff("runs", "query", name, "state").stdout:
            return
        time.sleep(0.3)
    fail(f"the run {name} never was {want}")


def stats_of(lab, name, seconds=120):
    """The statistics of the campaign that is under way, once there are any."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for a in lab.json("runs", "show", name).get("pending_activities", []):
            if a["module"] == "fuzz_campaign" and (a.get("stats") or {}).get("executions"):
                return a["stats"]
        time.sleep(0.3)
    fail("no statistics")


def pause():
    """pause, resume, stop: the second part goes on with the first one's corpus, counters and crashes."""
    with Lab() as lab:
        p = lab.popen("run", "native_fuzzing", EXAMPLE, "--name", "p", "duration=600s", "minimize=0", "--json", stdout=subprocess.PIPE)
        while stats_of(lab, "p")["unique_crashes"] < 1:
            time.sleep(0.5)
        says = lab.ff("monitor", "crashes", "p", "--once", check=0).stdout
        if not any(b in says for b in BUGS):
            fail(f"what is found is not shown before the end: {says}")
        lab.ff("runs", "signal", "p", "pause", check=0)
        state_of(lab, "paused")
        nothing_left(b"/libfuzzer/out/tlv")
        lab.ff("runs", "signal", "p", "resume", check=0)
        state_of(lab, "fuzzing")
        first = stats_of(lab, "p")
        if first["unique_crashes"] < 1 or first["corpus_size"] < 2:
            fail(f"begun anew: {first}")
        lab.ff("runs", "signal", "p", "pause", check=0)
        state_of(lab, "paused")
        lab.ff("runs", "signal", "p", "stop", check=0)
        doc = json.loads(p.communicate(timeout=120)[0])
        summary = doc["result"]["summary"]["targets"]["tlv"]
        if doc["status"] != "COMPLETED" or not bugs_of(doc) or summary["executions"] < first["executions"]:
            fail(f"{doc['status']} {summary}")
        kept_bytes(lab, doc)
        ok(f"{len(doc['findings'])} findings, {summary['executions']} executions in two parts")


def waiting():
    """Signals while nothing is fuzzed, because a build is waited for: each holds."""
    both = 'engines=["libfuzzer","aflplusplus"]'
    bug = HARNESS % ("", "if (n > 0 && d[0] == 'B') abort();")
    only_afl = "#ifndef __AFL_COMPILER\n#error not for it\n#endif\n"
    with Lab() as lab:
        def begin(name, seconds, engine, *args):
            files = {"a_fuzzer.c": bug, "b_fuzzer.c": only_afl + bug, "lib.c": LIB,
                     "Makefile": f"all:\n\ttest $$FUZZING_ENGINE != {engine} || sleep {seconds}\n\t$(CC) $(CFLAGS) -c lib.c -o lib.o && ar rc lib.a lib.o\n"}
            return lab.popen("run", "native_fuzzing", lab.target(files, name), both, "--name", name, "stop_at_first_crash=true", "minimize=0",
                             "remember=false", "--json", *args, stdout=subprocess.PIPE)

        def runs_now(name, module):
            return any(a["module"] == module for a in lab.json("runs", "show", name).get("pending_activities") or [])

        def until_build(name, want):
            end = time.monotonic() + 100
            while runs_now(name, "fuzz_build") != want:
                if time.monotonic() > end:
                    fail(f"{name}: the build {'never began' if want else 'is not over'}")
                time.sleep(0.2)

        def signal(name, *signals):
            for s in signals:
                lab.ff("runs", "signal", name, s, check=0)

        def ends(p, targets):
            doc = json.loads(p.communicate(timeout=120)[0])
            if doc["status"] != "COMPLETED" or set(doc["result"]["summary"]["targets"]) != set(targets) or len(doc["findings"]) != len(targets):
                fail(f"{doc['status']} {doc.get('error')} {doc['result']['summary']['targets']}")
            return doc
        p = begin("other", 15, "afl")  # the first target is done, and the other one waits for its engine's build
        state_of(lab, "fuzzing", name="other")
        state_of(lab, "working", name="other")
        signal("other", "pause")
        state_of(lab, "paused", 5, "other")
        until_build("other", False)
        time.sleep(3)
        if runs_now("other", "fuzz_campaign") or "paused" not in lab.ff("runs", "query", "other", "state").stdout:
            fail("it goes on, though it was paused")
        signal("other", "resume")
        ends(p, ["a_fuzzer", "b_fuzzer"])
        p = begin("twice", 6, "libfuzzer")  # before anything is there; and what is taken back holds nothing
        until_build("twice", True)
        signal("twice", "pause")
        until_build("twice", False)
        state_of(lab, "paused", 5, "twice")
        signal("twice", "resume", "pause", "resume")
        ends(p, ["a_fuzzer", "b_fuzzer"])
        p = begin("never", 100, "libfuzzer")
        until_build("never", True)
        signal("never", "stop")
        doc = ends(p, [])
        if "before anything was built" not in str(doc["result"]["notifications"]):
            fail(f"stopped while it is built: {doc['result']['notifications']}")
        p = begin("time", 3, "libfuzzer", "-t", "40s")  # a rest has the end of the run
        until_build("time", True)
        signal("time", "pause")
        doc = json.loads(p.communicate(timeout=120)[0])
        if doc["status"] != "COMPLETED" or doc["result"]["summary"]["targets"]:
            fail(f"a rest and the run's own time: {doc['status']} {doc.get('error')}")
        ok("pause, resume and stop hold while builds are waited for")


def kill_builder(engine, mark):
    """The process of ff above a command of the build."""
    until = time.monotonic() + 120
    while time.monotonic() < until:
        for process in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                if mark not in (process / "cmdline").read_bytes() or f"FUZZING_ENGINE={engine}\0".encode() not in (process / "environ").read_bytes():
                    continue
                above = process
                while b"/ff\0" not in (above / "cmdline").read_bytes():
                    above = pathlib.Path("/proc") / (above / "stat").read_text().rsplit(")", 1)[1].split()[1]
                os.kill(int(above.name), 9)
                return
            except OSError:
                continue
        time.sleep(0.1)
    fail(f"no build for {engine}")


def killed():
    """Builds that somebody kills are made once more, the first engine's and that of the others."""
    with Lab() as lab:
        files = {"a_fuzzer.c": HARNESS % ("", ""), "lib.c": LIB, "Makefile": "all:\n\tsleep 4.375\n\t$(CC) $(CFLAGS) -c lib.c -o lib.o && ar rc lib.a lib.o\n"}
        p = lab.popen("run", "native_fuzzing", lab.target(files, "t"), 'engines=["libfuzzer","aflplusplus"]', "jobs=2", "duration=8s", "minimize=0",
                      "remember=false", "--json", stdout=subprocess.PIPE)
        for engine in "libfuzzer", "afl":
            kill_builder(engine, b"sleep\x004.375\0")
        doc = json.loads(p.communicate(timeout=200)[0])
        engines = [e["engine"] for e in doc["result"]["summary"]["targets"]["a_fuzzer"]["engines"]] if doc["status"] == "COMPLETED" else []
        if sorted(engines) != ["aflplusplus", "libfuzzer"] or doc["result"]["notifications"]:
            fail(f"a build was killed: {doc['status']} {doc.get('error')} {engines} {(doc['result'] or {}).get('notifications')}")
        ok("both engines, after two kills")


def campaign_process(pid):
    """Of the processes below pid, the one whose child is the engine."""
    parents, until = {}, time.monotonic() + 120
    while time.monotonic() < until:
        engines = []
        for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
            try:
                parents[int(stat.parent.name)] = int(stat.read_text().rsplit(")", 1)[1].split()[1])
                if b"/libfuzzer/out/tlv\0" in (stat.parent / "cmdline").read_bytes():
                    engines.append(int(stat.parent.name))
            except OSError:
                pass
        for engine in engines:
            above = engine
            while above in parents and above != pid:
                above = parents[above]
            if above == pid:
                return parents[engine]
        time.sleep(0.1)
    fail("no engine is there")


def lose_attempt(lab, pid):
    """Kills the campaign once it has a bug, and waits until the engine waits with the next attempt."""
    kept = {}
    while stats_of(lab, "p")["unique_crashes"] < 1 or "corpus-0.tar" not in kept:
        kept = next((a.get("kept") or {} for a in lab.json("runs", "show", "p")["pending_activities"]), {})
        time.sleep(0.3)
    os.kill(campaign_process(pid), 9)
    until = time.monotonic() + 120
    while not any(a["module"] == "fuzz_campaign" and a["attempt"] == 2 for a in lab.json("runs", "show", "p")["pending_activities"]):
        if time.monotonic() > until:
            fail("no second attempt")
        time.sleep(0.3)


def between():
    """Signals that come while the campaign waits for its next attempt: what the last one had is gone on with, and reported."""
    for steps in (["lose", "stop"], ["lose", "pause", "resume", "lose", "pause", "stop"]):
        with Lab() as lab:
            shutil.copytree(SOURCE / "toolbox/workflows/native_fuzzing", lab.toolbox() / "workflows/native_fuzzing")
            script = lab.toolbox() / "workflows/native_fuzzing/workflow.lua"
            script.write_text(script.read_text().replace('initial = "1s", max_interval = "5s"', 'initial = "1h"'))
            if '"1h"}}' not in script.read_text():
                fail("the campaign's retries are not where they were")
            p = lab.popen("--toolbox", lab.toolbox(), "run", "native_fuzzing", EXAMPLE, "--name", "p", "duration=600s", "minimize=0",
                          "remember=false", "--json", stdout=subprocess.PIPE)
            for step in steps:
                if step == "lose":
                    lose_attempt(lab, p.pid)
                    continue
                lab.ff("runs", "signal", "p", step, check=0)
                if step != "stop":
                    state_of(lab, {"pause": "paused", "resume": "fuzzing"}[step])
            doc = json.loads(p.communicate(timeout=120)[0])
            summary = doc["result"]["summary"]["targets"]["tlv"] if doc["status"] == "COMPLETED" else {}
            if not bugs_of(doc) or summary["stopped_by"] != "signal" or summary["crashes"] < 1 or summary["corpus_size"] < 2:
                fail(f"{steps}: {doc['status']} {doc.get('error')} {summary}")
            if not all(f["evidence"]["reproduced"] for f in doc["findings"]):
                fail(f"{steps}: {[f['title'] for f in doc['findings']]}")
            kept_bytes(lab, doc)
    ok("stopped and paused between two attempts")


def stops():
    """By executions, by the first crash, by a plateau."""
    with Lab() as lab:
        quiet = lab.target({"q_fuzzer.c": HARNESS % ("", "if (n && d[0] == 1) puts(\"\");")}, "quiet")
        for target, name, want, *args in ((EXAMPLE, "tlv", "first crash", "stop_at_first_crash=true"),
                                          (quiet, "q_fuzzer", "executions", "max_executions=3000"),
                                          (quiet, "q_fuzzer", "executions", "max_executions=20000", 'engines=["aflplusplus"]'),
                                          (quiet, "q_fuzzer", "plateau", "plateau=3s")):
            doc = document(run(lab, target, "duration=200s", "minimize=0", *args))
            summary = doc["result"]["summary"]["targets"][name]
            if doc["status"] != "COMPLETED" or summary["stopped_by"] != want or summary["elapsed_time"] > 150:
                fail(f"{want}: {doc['status']} {summary}")
            if want == "executions" and summary["executions"] > 60000:
                fail(f"far more executions than were asked for: {summary}")
        slow = HARNESS % ("", "if (n > 1 && d[0] == 'B') { sleep(5); abort(); }")  # the ten tries take a minute
        p = lab.popen("run", "native_fuzzing", lab.target({"s_fuzzer.c": slow, "seeds/one": "B1",
                          "fuzz.yaml": "targets:\n  - {name: s, sources: [s_fuzzer.c], seeds: seeds}\n"}, "slow"), "--name", "p", "duration=0",
                      "--json", stdout=subprocess.PIPE)
        while stats_of(lab, "p")["unique_crashes"] < 1:
            time.sleep(0.2)
        lab.ff("runs", "signal", "p", "stop", check=0)
        doc = json.loads(p.communicate(timeout=120)[0])
        if doc["status"] != "COMPLETED" or len(doc["findings"]) != 1 or doc["findings"][0]["evidence"]["tries"] == 10:
            fail(f"amid the work on a crash: {doc['status']} {doc['findings']}")
        kept_bytes(lab, doc)
        deep = "__attribute__((noinline)) static int deep(const uint8_t *d, int n) { volatile int x = n; return x + deep(d, n + 1) + d[x & 1]; }"
        doc = document(run(lab, lab.target({"d_fuzzer.c": HARNESS % (deep, "if (n > 1 && d[0] == 'B') return deep(d, 0) & 0;")}, "deep"),
                           "duration=100s", "stop_at_first_crash=true", "minimize=0"))
        got = [(f["title"], f["file"], f["line"]) for f in doc["findings"]]
        if got != [("Stack-overflow in deep", "d_fuzzer.c", 9)] or "stack-overflow" not in doc["findings"][0]["evidence"]["report"]:
            fail(f"a recursion: {got} {doc['findings']}")
        ok("executions, first crash, plateau, a signal amid the work on a crash")


PROJECT = """#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
%s
__attribute__((noinline)) static void first(const uint8_t *d) { if (d[1] == '1') abort(); }
__attribute__((noinline)) static void second(const uint8_t *d) { if (d[1] == '2' && %d) abort(); }
int LLVMFuzzerTestOneInput(const uint8_t *d, size_t n)
{
    if (n > 1 && d[0] == 'A') first(d);
    if (n > 1 && d[0] == 'B') second(d);
    return 0;
}
"""


def again():
    """Runs of one project: they begin with the corpus of those before, and know its bugs: still there, fixed, come back."""
    with Lab() as lab:
        def step(text, want, seconds, *args, seen=1):
            files = {"p_fuzzer.c": text, "fuzz.yaml": "targets:\n  - {name: p, sources: [p_fuzzer.c], seeds: seeds}\n",
                     "seeds/a": "A0", "seeds/b": "B0"}
            doc = document(run(lab, lab.target(files, "project"), f"duration={seconds}s", "minimize=2s", *args))
            summary = doc["result"]["summary"]["targets"]["p"]
            got = {k: summary[k] for k in want}
            if doc["status"] != "COMPLETED" or got != want:
                fail(f"{doc['status']} {got}, wanted {want}: {[f['title'] for f in doc['findings']]}")
            if summary["remembered"] < seen:
                fail(f"begun with nothing: {summary}")
            kept_bytes(lab, doc)
            return {f["title"].rsplit(" ", 1)[-1]: f for f in doc["findings"]}
        whole = PROJECT % ("", 1)
        one = step(whole, {"new": 2, "still_there": 0, "fixed": 0, "remembered": 0}, 10, seen=0)
        if set(one) != {"first", "second"} or any(f["metadata"]["state"] != "new" for f in one.values()):
            fail(list(one))
        two = step(whole, {"new": 0, "still_there": 2, "affected": False}, 2)
        if any(two[k]["fingerprint"] != one[k]["fingerprint"] or two[k]["metadata"]["state"] != "still there" for k in one):
            fail({k: two[k]["metadata"] for k in two})
        if step(whole, {"still_there": 2, "affected": False, "stopped_by": "replayed"}, 600, "mode=regression"):
            fail("a regression run reports what was known")
        mended = PROJECT % ("int moved;", 0)
        if step(mended, {"still_there": 1, "fixed": 1, "new": 0, "affected": True}, 2, "mode=regression"):
            fail("a fixed bug was reported")
        back = step(whole, {"still_there": 1, "came_back": 1, "new": 0, "affected": True}, 2, "mode=regression", "--fail-on", "info")
        if list(back) != ["second"] or back["second"]["fingerprint"] != one["second"]["fingerprint"]:
            fail(list(back))
        p = run(lab, lab.target({"p_fuzzer.c": whole, "fuzz.yaml": "targets:\n  - {name: p, sources: [p_fuzzer.c], seeds: seeds}\n", "seeds/a": "A0",
                                 "seeds/b": "B0"}, "project"), "mode=regression", "-t", "6s", "--fail-on", "info")  # no time for the corpus
        if p.returncode != 3 or "ended before all of the corpus" not in str(document(p)["result"]["notifications"]):
            fail(f"not all was run, and the gate is passed: {p.returncode} {document(p)['result']}")
        other = whole.replace("if (d[1] == '1') abort();", "if (d[1] == '1') *(volatile char *)8 = 1;")
        if list(step(other, {"new": 1, "fixed": 1, "still_there": 1}, 8, "mode=regression")) != ["first"]:
            fail("another fault behind one that is mended is not reported")
        step(whole, {"new": 2, "remembered": 0}, 10, "project=other", seen=0)
        mended = {"p_fuzzer.c": PROJECT.replace("abort();", ";", 1) % ("", 0), "fuzz.yaml": "targets:\n  - {name: p, sources: [p_fuzzer.c]}\n"}
        p = lab.popen("run", "native_fuzzing", lab.target(mended, "mended"), "--name", "q", "duration=600s", "project=other", "--json",
                      stdout=subprocess.PIPE)
        stats_of(lab, "q")
        time.sleep(5)
        lab.ff("runs", "signal", "q", "pause", check=0) # another part of the campaign follows
        state_of(lab, "paused", name="q")
        lab.ff("runs", "signal", "q", "resume", check=0)
        stats_of(lab, "q")
        lab.ff("runs", "signal", "q", "stop", check=0)
        summary = json.loads(p.communicate(timeout=120)[0])["result"]["summary"]["targets"]["p"]
        if (summary["fixed"], summary["still_there"], summary["new"]) != (2, 0, 0):
            fail(f"fixed, as the first of two parts saw: {summary}")
        mended["p_fuzzer.c"] += "int changed;\n"
        p = lab.popen("run", "native_fuzzing", lab.target(mended, "changed"), "--name", "r", "duration=12s", "project=other", "mode=regression",
                      "--json", stdout=subprocess.PIPE)
        stats_of(lab, "r")
        lab.ff("runs", "signal", "r", "pause", check=0)
        state_of(lab, "paused", name="r")
        lab.ff("runs", "signal", "r", "resume", check=0)
        summary = json.loads(p.communicate(timeout=120)[0])["result"]["summary"]["targets"]["p"]
        if not summary["affected"] or summary["stopped_by"] != "duration":
            fail(f"a target that the change affects is not fuzzed on after a pause: {summary}")
        ok("new, still there, fixed, came back")


def leaks():
    """Memory that an input has lost is a bug, with its stack, reproduced and minimised; without ptrace in reach of anybody else."""
    with Lab() as lab:
        lose = "__attribute__((noinline)) static void lose(size_t n) { static void *volatile p; p = malloc(n + 8); p = 0; }"
        target = lab.target({"l_fuzzer.c": HARNESS % (lose, "if (n > 1 && d[0] == 'L') lose(n);"), "l_fuzzer_seed_corpus/a": "L---"}, "l")
        doc = document(run(lab, target, "duration=200s", "stop_at_first_crash=true", "minimize=5s"))
        found = doc["findings"]
        if doc["status"] != "COMPLETED" or len(found) != 1 or found[0]["rule_id"] != "fuzzing/direct-leak":
            fail(f"{doc['status']}: {[(f['rule_id'], f['title']) for f in found]}")
        evidence = found[0]["evidence"]
        if "lose" not in evidence["crash_state"] or evidence["reproduced"] < 8 or found[0]["file"] != "l_fuzzer.c":
            fail(evidence["crash_state"])
        if evidence["reproducer"]["bytes"] > 2:
            fail(evidence["reproducer"])
        lab.ff("fuzz", "build", target, "-o", "out", check=0, timeout=120)
        (lab.dir / "input").write_bytes(b"Lx")
        bugs = lab.json("fuzz", "triage", "-b", lab.dir / "out/b/libfuzzer/out/l_fuzzer", "--minimize", "0", "input")["summary"]["bugs"]
        if [b["crash_type"] for b in bugs] != ["Direct-leak"]:
            fail(f"triage: {bugs}")
        doc = document(run(lab, target, "duration=5s", "leaks=false", "minimize=0", "remember=false"))
        if doc["findings"]:
            fail("leaks=false: " + doc["findings"][0]["title"])
        for section in ("libfuzzer", "asan"):
            (target / "l_fuzzer.options").write_text(f"[{section}]\ndetect_leaks = 0\n")
            doc = document(run(lab, target, "duration=5s", "minimize=0", "remember=false"))
            if doc["status"] != "COMPLETED" or doc["findings"]:
                fail(f"detect_leaks = 0 in [{section}]: {doc['status']} {[f['title'] for f in doc['findings']]}")
        ok(found[0]["title"])


def inputs():
    """Every input that crashes is kept, however many a bug has; kill -9 in between loses none that was counted."""
    with Lab() as lab:
        shallow = "volatile unsigned char x = 0; for (size_t i = 0; i < n; i++) x ^= d[i]; if (n > 1 && d[0] == 'B') abort();"
        target = lab.target({"s_fuzzer.c": HARNESS % ("", shallow), "seeds/one": "A"}, "shallow")
        p = lab.popen("run", "native_fuzzing", target, "--name", "i", "duration=600s", "minimize=0")
        while stats_of(lab, "i")["crash_inputs"] < 40:
            time.sleep(0.5)
        counted = stats_of(lab, "i")["crash_inputs"]
        p.kill()
        p.wait()
        p = lab.popen("runs", "wait", "i", "--json", stdout=subprocess.PIPE)
        while stats_of(lab, "i")["crash_inputs"] < counted + 5:
            time.sleep(0.5)
        lab.ff("runs", "signal", "i", "stop", check=0)
        doc = json.loads(p.communicate(timeout=120)[0])
        names = set()
        for name, ref in doc["result"]["crashes"].items():
            p = subprocess.run([lab.exe, "--state", str(lab.state), "store", "get", ref["ref"]], capture_output=True, env=lab.env)
            if name.endswith(".tar"):
                with tarfile.open(fileobj=io.BytesIO(p.stdout)) as tar:
                    members = {m.name: tar.extractfile(m).read() for m in tar}
            else:
                members = {name.split("/")[1]: p.stdout}
            for member, data in members.items():
                if member != f"crash-{hashlib.sha256(data).hexdigest()[:40]}":
                    fail(f"{member} has other bytes")
            names |= members.keys()
        summary = doc["result"]["summary"]["targets"]["s_fuzzer"]
        if len(names) < summary["crash_inputs"] or len(names) < counted + 5 or summary["crash_inputs_dropped"]:
            fail(f"{len(names)} kept, {summary['crash_inputs']} counted, {counted} before the kill")
        if len(doc["findings"]) != 1 or len(doc["result"]["crashes"]) > 40:
            fail(f"{len(doc['findings'])} findings, {len(doc['result']['crashes'])} files")
        ok(f"{len(names)} inputs of one bug in {len(doc['result']['crashes'])} files")


def afl():
    """Both engines on one corpus."""
    with Lab() as lab:
        doc = document(run(lab, EXAMPLE, "duration=25s", "minimize=3s", 'engines=["libfuzzer","aflplusplus"]'))
        if doc["status"] != "COMPLETED" or bugs_of(doc) != BUGS:
            fail(f"{doc['status']}: {[f['title'] for f in doc['findings']]}")
        engines = {e["engine"]: e for e in doc["result"]["summary"]["targets"]["tlv"]["engines"]}
        for name in ("libfuzzer", "aflplusplus"):
            if engines[name]["executions"] < 100 or engines[name]["finds"] < 1:
                fail(engines)
        # Three cores: the one that is nobody's main goes to the engine that finds more. AFL++ tells its finds once a minute.
        doc = document(run(lab, EXAMPLE, "duration=25s", "minimize=0", 'engines=["aflplusplus","libfuzzer"]', "jobs=3", "rebalance=4s",
                           "remember=false", "seed=1"))
        summary = doc["result"]["summary"]["targets"]["tlv"]
        if doc["status"] != "COMPLETED" or summary["moves"] != 1 or [e["engine"] for e in summary["engines"]][1:] != ["libfuzzer"] * 2:
            fail(f"{doc['status']} {summary}")
        nothing_left(b"/out/tlv")
        nothing_left(b"afl-fuzz\0-i\0/scratch")
        ok(f"{ {k: v['executions'] for k, v in engines.items()} }")


def apart():
    """The first engine works while the others are built, which join it; none of them that cannot be built, or run, is missed."""
    made = "\n\t$(CC) $(CFLAGS) -c lib.c -o lib.o && ar rc lib.a lib.o\n"
    both, short = 'engines=["libfuzzer","aflplusplus"]', ("duration=6s", "minimize=0", "remember=false")
    with Lab() as lab:
        def go(name, recipe, text, *args):
            files = {"t_fuzzer.c": text, "lib.c": LIB, "Makefile": f"all:\n\t{recipe}" + made}
            began = time.monotonic()
            doc = document(run(lab, lab.target(files, name), both, *args, timeout=280))
            if doc["status"] != "COMPLETED":
                fail(f"{name}: {doc['status']} {doc.get('error')}")
            told = " ".join(n["text"] for n in doc["result"]["notifications"])
            return doc, doc["result"]["summary"]["targets"]["t_fuzzer"], told, time.monotonic() - began
        bug = HARNESS % ("", "if (n > 0 && d[0] == 'B') abort();")
        doc, summary, told, took = go("early", "test $$FUZZING_ENGINE != afl || sleep 250", bug, "stop_at_first_crash=true", "minimize=0")
        if len(doc["findings"]) != 1 or "aflplusplus" not in told or took > 200:
            fail(f"the report waits for an engine: {took} s {summary} {told}")
        doc, summary, told, took = go("join", "test $$FUZZING_ENGINE != afl || sleep 4", bug, *short)
        work = {e["engine"]: e["executions"] for e in summary["engines"]}
        if not all(work.get(e, 0) > 100 for e in ("libfuzzer", "aflplusplus")) or summary["stopped_by"] != "duration" or len(doc["findings"]) != 1:
            fail(f"it does not join: {summary} {told}")
        if summary["elapsed_time"] < 9:
            fail(f"time without it counts: {summary['elapsed_time']}")
        for engine, other in (("libfuzzer", "aflplusplus"), ("aflplusplus", "libfuzzer")):
            broken = "defined __AFL_COMPILER" if engine == "aflplusplus" else "!defined __AFL_COMPILER"
            doc, summary, told, took = go(f"no-{engine}", "true", f"#if {broken}\n#error not for it\n#endif\n" + bug, *short)
            if [e["engine"] for e in summary["engines"]] != [other] or len(doc["findings"]) != 1 or f"{engine}: does not build" not in told:
                fail(f"{engine} cannot be built: {summary} {told}")
        files = {"a_fuzzer.c": bug, "b_fuzzer.c": "#ifndef __AFL_COMPILER\n#error not for it\n#endif\n" + bug, "lib.c": LIB,
                 "Makefile": "all:\n\ttest $$FUZZING_ENGINE != afl || sleep 8" + made}
        doc = document(run(lab, lab.target(files, "other"), both, "stop_at_first_crash=true", "minimize=0", timeout=280))
        if doc["status"] != "COMPLETED" or set(doc["result"]["summary"]["targets"]) != {"a_fuzzer", "b_fuzzer"} or len(doc["findings"]) != 2:
            fail(f"what only another engine can build: {doc['status']} {doc['result']['summary']['targets']}")
        ends = HARNESS % ("#ifndef __AFL_COMPILER\n__attribute__((constructor)) static void e(void) { _exit(9); }\n#endif", "if (n > 0 && d[0] == 'B') abort();")
        doc, summary, told, took = go("ends", "test $$FUZZING_ENGINE != afl || sleep 4", ends, *short)
        if summary["executions"] < 100 or len(doc["findings"]) != 1:
            fail(f"one engine cannot run: {summary} {told}")
        ok("begins early, goes on with all")


def merge():
    """Inputs that cover nothing of their own are no part of the corpus that is left, whichever engine is alone."""
    with Lab() as lab:
        seeds = {f"seeds/{i}": f"{'abcd'[i % 4]}{i:06}" for i in range(200)}
        seeds["fuzz.yaml"] = "targets:\n  - {name: m, sources: [m_fuzzer.c], seeds: seeds}\n"
        for engine in ("aflplusplus", "libfuzzer"):
            body = "volatile int x = 0; if (n > 6) switch (d[0]) { case 'a': x = 1; break; case 'b': x = n; break; case 'c': x = d[1]; }"
            doc = document(run(lab, lab.target({"m_fuzzer.c": HARNESS % ("", body), **seeds}, "m"), f'engines=["{engine}"]',
                               "duration=5s", "remember=false"))
            summary = doc["result"]["summary"]["targets"]["m"] if doc["status"] == "COMPLETED" else {}
            if not summary or not 3 < summary["corpus_size"] < 40:
                fail(f"{engine}: {doc['status']} {doc.get('error')} {summary}")
        # Seeds that crash, in a campaign that is over before AFL++ has run them: afl-cmin drops them, but they are bugs.
        bugs = "if (n == 12 && !memcmp(d, \"first-of-bugs\", n)) first(); if (n == 12 && !memcmp(d, \"other-of-bugs\", n)) second();"
        text = HARNESS % ("".join(f"__attribute__((noinline)) static void {f}(void) {{ abort(); }}\n" for f in ("first", "second")), bugs + body)
        doc = document(run(lab, lab.target({"m_fuzzer.c": text, **seeds, "seeds/one": "first-of-bug", "seeds/other": "other-of-bug"}, "m"),
                           'engines=["aflplusplus"]', "duration=1s", "remember=false", "minimize=0"))
        summary = doc["result"]["summary"]["targets"]["m"] if doc["status"] == "COMPLETED" else {}
        found = {f["evidence"]["crash_state"].split("\n")[0] for f in doc["findings"]}
        if not summary or not 3 < summary["corpus_size"] < 40 or found != {"first", "second"} or "corpus_unmerged" in summary:
            fail(f"seeds that crash: {doc['status']} {doc.get('error')} {found} {summary}")
        # The same of libFuzzer: the slow inputs before them, which are shorter, take longer than the campaign.
        slow = {f"seeds/{i}": f"{'abcd'[i % 4]}{i:06}" for i in range(4000)} | {"fuzz.yaml": seeds["fuzz.yaml"]}
        tree = lab.target({"m_fuzzer.c": text.replace("{ if (n == 12", "{ usleep(3000); if (n == 12"), **slow, "seeds/one": "first-of-bug",
                           "seeds/other": "other-of-bug"}, "m")
        doc = document(run(lab, tree, "duration=2s", "remember=false", "minimize=0"))
        summary = doc["result"]["summary"]["targets"]["m"] if doc["status"] == "COMPLETED" else {}
        found = {f["evidence"]["crash_state"].split("\n")[0] for f in doc["findings"]}
        if not summary or found != {"first", "second"} or summary["executions"] > 3000 or summary["crash_inputs"] != 2:
            fail(f"seeds that crash, libFuzzer: {doc['status']} {doc.get('error')} {found} {summary}")
        ok("by afl-cmin, by libFuzzer")


def large():
    """A corpus that is too large to be merged in the time there is: it shrinks by what there was time for, and the result says it."""
    with Lab() as lab:
        files = {f"seeds/{i}": f"{'abcd'[i % 4]}{i:06}" for i in range(20000)}
        files["fuzz.yaml"] = "targets:\n  - {name: m, sources: [m_fuzzer.c], seeds: seeds}\n"
        body = "volatile int x = 0; usleep(4000); if (n > 6) switch (d[0]) { case 'a': x = 1; break; case 'b': x = n; break; case 'c': x = d[1]; }"
        doc = document(run(lab, lab.target({"m_fuzzer.c": HARNESS % ("", body), **files}, "m"), "duration=4s", "minimize=0"))
        summary = doc["result"]["summary"]["targets"]["m"] if doc["status"] == "COMPLETED" else {}
        size, left = summary.get("corpus_size", 0), summary.get("corpus_unmerged", 0)
        if not summary or not 3 < size < 17000 or not left <= size < left + 200:
            fail(f"{doc['status']} {doc.get('error')} {summary}")
        ok(f"{size} inputs left of 20000, {left} of them not looked at")


HARNESS = "#include <stddef.h>\n#include <stdint.h>\n#include <stdlib.h>\n#include <stdio.h>\n#include <string.h>\n" \
          "#include <signal.h>\n#include <unistd.h>\n#include <fcntl.h>\n%s\n" \
          "int LLVMFuzzerTestOneInput(const uint8_t *d, size_t n) { %s return 0; }\n"
# Ignores signals, forks children that outlive it, prints without end, removes all that it can reach, kills all that it can
# reach, fills its folder; and has a bug.
HOSTILE_INIT = """
static int once;
static void be_hostile(void) {
    signal(SIGTERM, SIG_IGN); signal(SIGINT, SIG_IGN); signal(SIGUSR1, SIG_IGN); signal(SIGHUP, SIG_IGN);
    if (fork() == 0) { setsid(); if (fork() == 0) for (;;) sleep(1000); _exit(0); }
    if (system("rm -rf /scratch/corpus /scratch/crashes /scratch/build.tar ../* 2>/dev/null") == 0) { }
    kill(-1, SIGKILL);
    kill(getppid(), SIGKILL);
    int fd = open("fill", O_CREAT | O_WRONLY, 0600);
    static char block[1 << 20];
    for (int i = 0; i < 200 && write(fd, block, sizeof block) > 0; i++) { }
    close(fd);
}
"""
HOSTILE = """if (!once++) be_hostile();
    static char text[4096]; memset(text, 'x', sizeof text - 1); fprintf(stderr, "%s\\n", text); printf("%s\\n", text);
    if (n > 3 && d[0] == 'B' && d[1] == 'U') abort();"""


# Says that it crashes, and that it was run often; lowers its limits and its priority; leaves a file where crashes lie.
FAKE_INIT = """
#include <sys/resource.h>
__attribute__((noinline)) static void real_bug(void) { abort(); }
static int once;
static void fake(void) {
    struct rlimit l = {64, 64};
    if (setrlimit(RLIMIT_NOFILE, &l) || nice(3) == -1) { }
    fprintf(stderr, "==1==ERROR: AddressSanitizer: heap-use-after-free on address 0x60 at pc 0x1\\nWRITE of size 4 at 0x60 thread T0\\n"
        "    #0 0x1 in fake_bug /etc/passwd:36:12\\n    #1 0x3 in LLVMFuzzerTestOneInput /f.c:5:3\\n\\n"
        "SUMMARY: AddressSanitizer: heap-use-after-free\\n#99999999999\\tNEW    cov: 99999999 ft: 9 corp: 9/9b lim: 4 exec/s: 1 rss: 1Mb\\n");
    int fd = open("../crashes/crash-faked", O_CREAT | O_WRONLY, 0600);
    if (fd < 0 || write(fd, "none", 4) < 0) { }
    close(fd);
}
"""
FAKE = "if (!once++) fake(); if (n > 3 && d[0] == 'B' && d[1] == 'U') real_bug();"


def bad_target(lab, name, text, want, *args):
    doc = document(run(lab, lab.target({"t_fuzzer.c": text}, name), "duration=6s", "minimize=0", *args))
    message = (doc.get("error") or {}).get("message", "") if isinstance(doc.get("error"), dict) else str(doc.get("error"))
    if doc["status"] != "FAILED" or want not in message or message.rstrip(": ") != message:
        fail(f"{name}: {doc['status']} {message}")


def bad():
    with Lab() as lab:
        bad_target(lab, "syntax", HARNESS % ("int x = ;", ""), "does not build: t_fuzzer.c:9:9: error: expected expression")
        bad_target(lab, "none", "int main(void) { return 0; }\n", "no harness")
        bad_target(lab, "exits", HARNESS % ("__attribute__((constructor)) static void e(void) { _exit(9); }", ""), "cannot be fuzzed")
        bad_target(lab, "leaves", HARNESS % ("", "exit(0);"), "status 1: PROGRAM ABORT : ", 'engines=["aflplusplus"]', "duration=60s")
        doc = document(run(lab, lab.target({"t_fuzzer.c": HARNESS % (HOSTILE_INIT, HOSTILE)}, "hostile"), "duration=8s", "minimize=0"))
        if doc["status"] != "COMPLETED":
            fail(f"hostile: {doc['status']} {doc.get('error')}")
        summary = doc["result"]["summary"]["targets"]["t_fuzzer"]
        if summary["strays_killed"] < 1 or summary["corpus_size"] < 1 or summary["executions"] < 10:
            fail(f"hostile: {summary}")
        kept_bytes(lab, doc)
        nothing_left(b"t_fuzzer")
        limits = ("#include <sys/resource.h>", "struct rlimit few = {3, 3}; setrlimit(RLIMIT_NOFILE, &few); if (n > 0 && n % 16 == 0) _exit(0);")
        doc = document(run(lab, lab.target({"c_fuzzer.c": HARNESS % limits}, "limits"), "duration=10s", "minimize=0"))
        summary = doc["result"]["summary"]["targets"]["c_fuzzer"] if doc["status"] == "COMPLETED" else {}
        if not summary or "without a crash" not in str(doc["result"]["notifications"]) or summary["engine_ends"] < 10:
            fail(f"it changes its limits: {doc['status']} {doc.get('error')} {summary}")
        loud = "static char text[1 << 20]; memset(text, 'x', sizeof text); fwrite(text, 1, sizeof text, stderr); fwrite(text, 1, sizeof text, stdout);"
        doc = document(run(lab, lab.target({"g_fuzzer.c": HARNESS % ("", loud + "if (n > 1 && d[0] == 'B') abort();")}, "loud"),
                           "duration=15s", "minimize=0"))
        if doc["status"] != "COMPLETED" or len(doc["findings"]) != 1:
            fail(f"gigabytes of output: {doc['status']} {str(doc.get('error'))[:200]} {len(doc['findings'])}")
        doc = document(run(lab, lab.target({"f_fuzzer.c": HARNESS % (FAKE_INIT, FAKE)}, "fake"), "duration=6s", "minimize=0"))
        summary = doc["result"]["summary"]["targets"]["f_fuzzer"]
        states = [f["evidence"]["crash_state"].split("\n")[0] for f in doc["findings"]]
        if doc["status"] != "COMPLETED" or states != ["real_bug"] or not 10 < summary["executions"] < 10**9 or summary["coverage"] > 10**6:
            fail(f"fake: {doc['status']} {states} {summary}")
        slow = HARNESS % ("__attribute__((constructor)) static void wait(void) { sleep(60); }", "")
        doc = document(run(lab, lab.target({"w_fuzzer.c": slow}, "slow"), "duration=3s", "minimize=0"))
        if "before any input was run" not in str((doc["result"] or {}).get("notifications")):
            fail(f"nothing was run: {doc['status']} {doc.get('error')} {doc['result']}")
        handles = ("static void handler(int s) { _exit(0); }\n"
                   "__attribute__((noinline)) static void real_bug(void) { *(volatile char *)8 = 1; }",
                   "static int set; if (!set++) { signal(SIGSEGV, handler); signal(SIGABRT, handler); } "
                   "if (n > 1 && d[0] == 'B' && d[1] == 'U') real_bug();")
        for engine in "libfuzzer", "aflplusplus":
            doc = document(run(lab, lab.target({"h_fuzzer.c": HARNESS % handles}, "handles-" + engine), "duration=20s", "minimize=0",
                               "stop_at_first_crash=true", f'engines=["{engine}"]'))
            states = [f["evidence"]["crash_state"].split("\n")[0] for f in doc["findings"]]
            if doc["status"] != "COMPLETED" or states != ["real_bug"]:
                fail(f"it handles its signals, {engine}: {doc['status']} {states} {doc['result']['notifications']}")
        p = lab.ff("fuzz", "run", "-b", "/bin/true", "-e", "no-such-engine")
        if p.returncode != 2:
            fail(f"an unknown engine: exit {p.returncode}")
        for wrong in "duration=soon", "duration=-5", "minimize=x", "jobs=0", "max_executions=-1":
            if wrong.split("=")[0] not in lab.ff("run", "native_fuzzing", EXAMPLE, wrong, check=2, timeout=60).stderr:
                fail(f"{wrong} is taken")
        (lab.dir / "no-program").write_text("text")
        p = lab.ff("fuzz", "run", "-b", lab.dir / "no-program", "-t", "5s", "-o", "found")
        if p.returncode != 3 or "cannot be fuzzed" not in p.stderr:
            fail(f"a file that is no program: exit {p.returncode} {p.stderr}")
        p = lab.ff("fuzz", "run", "-b", "/bin/true", env={"PATH": "/nonexistent"})
        if p.returncode != 5 or "clang" not in p.stderr:
            fail(f"a missing engine: exit {p.returncode} {p.stderr}")
        ok("each has its own clear end")


# Now and then it removes, renames and empties every file of its session that it can reach. What it can do and should not is a crash
# of its own; where it runs in the engine's process, it can empty files.
DAMAGE_C = """
#include <ftw.h>
__attribute__((noinline)) static void first(void) { abort(); }
__attribute__((noinline)) static void second(void) { abort(); }
__attribute__((noinline)) static void removed(void) { abort(); }
__attribute__((noinline)) static void emptied(void) { abort(); }
static int damage(const char *p, const struct stat *st, int type, struct FTW *f) {
    char other[5000];
    if (!strstr(p, "/run/") || strstr(p, "/tmp/")) return 0;
    snprintf(other, sizeof other, "%s.other", p);
    if (type == FTW_F && truncate(p, 0) == 0) {
#ifdef __AFL_COMPILER
        emptied();
#endif
    }
    if (rename(p, other) == 0 || remove(p) == 0) removed();
    return 0;
}
static int runs;
"""
HARM_C = """if (runs++ % 1000 == 199) { nftw("/scratch", damage, 20, FTW_PHYS); if (system("rm -rf /scratch/* ../* * 2>/dev/null")) { } }
    static volatile int x;
    if (n > 0 && d[0] < 12) x = d[0] * 2;
    if (n > 0) switch (d[0]) { case 'F': x = 2; break; case 'S': x = 3; break; case 'a': x = 1; break; case 'b': x = n; break; case 'c': x = d[n - 1]; break; case 'd': x = 7; break; }
    if (n > 1 && d[0] == 'F' && d[1] == 'R') first();
    if (n > 1 && d[0] == 'S' && d[1] == 'E') second();"""
DAMAGE_GO = {"go.mod": "module example.org/records\n\ngo 1.19\n", "records.go": """package records

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

var runs, sink int

func first()   { panic("first") }
func second()  { panic("second") }
func removed() { panic("removed") }
func emptied() { panic("emptied") }

func damage(p string, e fs.DirEntry, err error) error {
	if err != nil || !strings.Contains(p, "/run/") || strings.Contains(p, "/tmp") {
		return nil
	}
	if !e.IsDir() && os.Truncate(p, 0) == nil {
		emptied()
	}
	if os.Rename(p, p+".other") == nil || os.Remove(p) == nil {
		removed()
	}
	return nil
}

func Parse(b []byte) int {
	if runs++; runs%200 == 199 {
		filepath.WalkDir("/scratch", damage)
		os.RemoveAll("testdata")
		os.RemoveAll("cache")
	}
	if len(b) < 2 {
		return 0
	}
	switch b[0] {
	case 'a':
		return 1
	case 'b':
		return 2
	case 'F':
		if b[1] == 'R' {
			first()
		}
	case 'S':
		if b[1] == 'E' {
			second()
		}
	}
	return 3
}
""", "records_test.go": """package records

import "testing"

func FuzzParse(f *testing.F) {
	f.Add([]byte("F3"))
	f.Add([]byte("S3"))
	f.Fuzz(func(t *testing.T, b []byte) { sink = Parse(b) })
}
"""}


def slow():
    """AFL++ alone: what takes too long is a bug, though it has a folder of its own there."""
    with Lab() as lab:
        hang = HARNESS % ("static volatile unsigned x;", "if (n > 2 && d[0] == 'h') for (;;) x++;")
        doc = document(run(lab, lab.target({"h_fuzzer.c": hang}, "t"), 'engines=["aflplusplus"]', "duration=120s", "stop_at_first_crash=true",
                           "input_timeout=1s", "minimize=0"))
        found = [(f["title"], f["severity"], f["evidence"]["reproduced"] > 0) for f in doc["findings"]]
        if found != [("Timeout in h_fuzzer", "low", True)]:
            fail(f"an input that takes too long: {json.dumps(doc)[-1500:]}")
        print(found)


def stuck():
    """An input that never ends is found, though the target has switched the engine's clock off."""
    with Lab() as lab:
        hang = HARNESS % ("", "signal(SIGALRM, SIG_IGN); if (n > 2 && d[0] == 'h') for (;;) usleep(1000);")
        doc = document(run(lab, lab.target({"h_fuzzer.c": hang}, "t"), "duration=190s", "stop_at_first_crash=true", "input_timeout=2s", "minimize=0"))
        found = [f["title"] for f in doc["findings"]]
        if found != ["Timeout in h_fuzzer"] or not doc["findings"][0]["evidence"]["reproduced"]:
            fail(f"an input that never ends: {json.dumps(doc)[-1500:]}")
        print(found)


def removes():
    """A target that removes, renames and empties what it finds of its engine's corpus and crashes: no crash and no input is lost, and
    the campaign goes on."""
    with Lab() as lab:
        c = lab.target({"r_fuzzer.c": "#define _GNU_SOURCE\n" + HARNESS % (DAMAGE_C, HARM_C), "r_fuzzer_seed_corpus/f": "F3", "r_fuzzer_seed_corpus/s": "S3"}, "c")
        go = lab.target(DAMAGE_GO, "go")
        for engine, workflow, tree, inputs in (("aflplusplus", "native_fuzzing", c, 5), ("go", "go_fuzzing", go, 4), ("libfuzzer", "native_fuzzing", c, 1)):
            doc = document(lab.ff("run", workflow, tree, "--json", "duration=25s", "minimize=0", "remember=false", f'engines=["{engine}"]', timeout=280))
            summary = next(iter(doc["result"]["summary"]["targets"].values())) if doc["status"] == "COMPLETED" else {}
            states = {f["evidence"]["crash_state"].split("\n")[0].rsplit(".", 1)[-1] for f in doc["findings"]}
            if states != {"first", "second"} or summary["engine_ends"] or summary["corpus_size"] < inputs or summary["stopped_by"] != "duration":
                fail(f"{engine}: {doc['status']} {doc.get('error')} {states} {summary}")
            stacks = sorted([s["function"] for s in f["evidence"]["stack"]] for f in doc["findings"])
            if engine != "go" and stacks != [["first"], ["second"]]:
                fail(f"{engine}: frames of the tree are missing: {stacks}")
            kept_bytes(lab, doc)
            print(engine, summary["crashes"], summary["corpus_size"], summary["executions"], flush=True)
        ok("nothing is lost")


LITTER_INIT = """
#include <sys/stat.h>
static unsigned run, made;
__attribute__((noinline)) static void real_bug(void) { abort(); }
static void leave(const char *where, const char *ret, unsigned long bytes) {
    char name[64];
    static char block[1 << 20];
    snprintf(name, sizeof name, "%s/%u-%d-%s", where, made++, (int)getpid(), ret);
    int fd = open(name, O_CREAT | O_WRONLY, 0600);
    while (fd >= 0 && bytes) { unsigned long n = bytes < sizeof block ? bytes : sizeof block; if (write(fd, block, n) < 0) break; bytes -= n; }
    if (fd >= 0) close(fd);
}
"""
# With how many executions it is too much, mostly: a quick machine has them behind it before anybody looks.
LITTER = {"files": ('for (int i = 0; i < 40; i++) leave(".", "f", 1);', 800),
          "folders": ('if (run++ % 3000 == 0) chmod("x", 0700), rename("x", "y"), mkdir("x", 0700); leave("x", "f", 1); if (run % 3000 == 2999) chmod("x", 0);', 40000),
          "crashes": ('for (int i = 0; i < 40; i++) leave("../crashes", "f", 1);', 800),
          "inputs": ('for (int i = 0; i < 40; i++) leave("../corpus", "f", 1);', 800),
          "bytes": ('if (run++ % 4 == 0) leave(".", "f", 64 << 20);', 400)}


def litter():
    """A target that leaves files without end, small or large: its folder is cleaned, and the campaign goes on, and says so."""
    with Lab() as lab:
        for name, (text, executions) in LITTER.items():
            text = HARNESS % (LITTER_INIT, "if (n > 3 && d[0] == 'B' && d[1] == 'U') real_bug();" + text)
            for more in (1, 4, 16):
                doc = document(run(lab, lab.target({"l_fuzzer.c": text}, name), "duration=250s", f"max_executions={executions * more}", "minimize=1s", "seed=3"))
                summary = doc["result"]["summary"]["targets"]["l_fuzzer"] if doc["status"] == "COMPLETED" else {}
                if not summary or summary["folders_cleaned"]:
                    break
            states = [f["evidence"]["crash_state"].split("\n")[0] for f in doc["findings"]]
            if not summary or summary["stopped_by"] != "executions" or summary["folders_cleaned"] < 1 or set(states) - {"real_bug"}:
                fail(f"{name}: {doc['status']} {doc.get('error')} {summary} {states}")
            if summary["corpus_size"] > 100:
                fail(f"{name}: {summary['corpus_size']} files of the target are inputs")
            print(name, summary["folders_cleaned"], summary["executions"], states, flush=True)
        ok("cleaned: " + ", ".join(LITTER))


def each(lab, *where):
    """ff fuzz list, build, run, triage, reproduce, minimize. where: options."""
    names = [h["file"] for h in lab.json(*where, "fuzz", "list", EXAMPLE, check=0)["summary"]["harnesses"]]
    if names != ["fuzz/tlv_fuzzer.c"]:
        fail(names)
    doc = lab.json(*where, "fuzz", "run", EXAMPLE, "-t", "8s", "-o", "tree", "--minimize", "0", check=0, timeout=180)
    if doc["summary"]["unique_crashes"] < 1 or not doc["summary"]["coverage"] or not (lab.dir / "tree/build/b/libfuzzer/out/tlv").exists():
        fail(doc["summary"])
    for args in (["fuzz", "run"], ["fuzz", "run", EXAMPLE, "-b", "tree/build/b/libfuzzer/out/tlv"]):
        if "either TARGET" not in lab.ff(*where, *args, check=2).stderr:
            fail(args)
    two = lab.dir / "two"
    two.mkdir()
    for name in ("one", "other"):
        (two / f"{name}_fuzzer.c").write_text(USE.replace("lib(d, n);", "").replace("int lib(const unsigned char *, unsigned long);\n", ""))
    says = lab.ff(*where, "fuzz", "run", two, check=2, timeout=120).stderr
    if "--target" not in says or "one_fuzzer" not in says or "other_fuzzer" not in says:
        fail(f"two targets and no --target: {says}")
    lab.ff(*where, "fuzz", "run", two, "--target", "other_fuzzer", "-t", "2s", "-o", "again", check=0, timeout=120)
    lab.ff(*where, "fuzz", "build", EXAMPLE, "-o", "out", check=0, timeout=120)
    binary = lab.dir / "out/b/libfuzzer/out/tlv"
    doc = lab.json(*where, "fuzz", "run", "-b", binary, "-t", "8s", "-o", "found", "--minimize", "0", check=0, timeout=120)
    if doc["summary"]["unique_crashes"] < 1 or doc["summary"]["executions"] < 100:
        fail(doc["summary"])
    says = lab.ff(*where, "fuzz", "run", "-b", binary, "-e", "aflplusplus", "-t", "2s", "-o", "none", check=3, timeout=120).stderr
    if "before any input was run" not in says:
        fail(f"a target that another engine was to fuzz: {says}")
    crashes = sorted((lab.dir / "found").glob("crash-*"))
    doc = lab.json(*where, "fuzz", "triage", "-b", binary, "--minimize", "0", "-o", "small", "tree", check=0, timeout=200)
    files = {i["file"] for i in doc["summary"]["inputs"]}
    packed = tarfile.open(lab.dir / "tree/crashes-0.tar").getnames() if (lab.dir / "tree/crashes-0.tar").exists() else []
    if not files or any(f.endswith((".tar", ".json")) for f in files) or not {os.path.basename(p) for p in packed if "-" in p} <= files:
        fail(f"a campaign's folder: {files} {packed}")
    doc = lab.json(*where, "fuzz", "triage", "-b", binary, "--minimize", "2s", "-o", "small", *crashes, check=0, timeout=120)
    bugs = doc["summary"]["bugs"]
    if len(bugs) not in (1, 2, 3) or any(b["reproduced"] != b["tries"] for b in bugs):
        fail(bugs)
    same = [lab.dir / f / "crash" for f in ("first", "second", "empty")]
    for path in same:
        path.parent.mkdir()
    same[0].write_bytes(crashes[0].read_bytes())
    same[1].write_bytes(crashes[0].read_bytes() + b"2")
    files = [i["file"] for i in lab.json(*where, "fuzz", "triage", "-b", binary, "--minimize", "0", "-o", "small", *(p.parent for p in same), check=0, timeout=120)["summary"]["inputs"]]
    if len(files) != 2:
        fail(f"inputs of one name: {files}")
    if "no input in" not in lab.ff(*where, "fuzz", "triage", "-b", binary, same[2].parent, check=2).stderr:
        fail("a folder without inputs")
    lab.ff(*where, "fuzz", "reproduce", "-b", binary, crashes[0], check=1, timeout=60)
    (lab.dir / "fine").write_bytes(b"nothing")
    lab.ff(*where, "fuzz", "reproduce", "-b", binary, "fine", check=0, timeout=60)
    (lab.dir / "long").write_bytes(b"Q\0" * 20 + b"X\3w:9" + b"Q\0" * 20)
    lab.ff(*where, "fuzz", "minimize", "-b", binary, "long", "-o", "min", check=0, timeout=120)
    made = [p.read_bytes() for p in (lab.dir / "min").glob("min-*")]
    if len(made) != 1 or len(made[0]) > 6:
        fail(f"minimised to {made}")
    return len(bugs)


def alone():
    with Lab() as lab:
        bugs = each(lab)
        # The terminal is closed: what it has found is not lost.
        signal.signal(signal.SIGHUP, signal.SIG_DFL) # as a terminal has it, and nohup has not
        p = lab.popen("fuzz", "run", "-b", "out/b/libfuzzer/out/tlv", "-t", "0", "-o", "closed", "--minimize", "0")
        while not any(b"/tlv\0" in c and b"-timeout=" in c for c in cmdlines()) and p.poll() is None:
            time.sleep(0.1)
        p.send_signal(signal.SIGHUP)
        if p.wait(60) or not list((lab.dir / "closed").glob("corpus*")):
            fail(f"SIGHUP: {p.returncode}")
        ok(f"{bugs} bugs")


def served():
    """The same through a server, which has the engines; what comes of it comes here, and nothing stays there."""
    with Lab() as lab:
        def serve(**env):
            p = lab.popen("--json", "serve", "--listen", "127.0.0.1:0", stdout=subprocess.PIPE, env=env)
            text = b""
            while not text.rstrip().endswith(b"}"):
                text += p.stdout.readline() or fail("serve did not start")
            return p, ("--server", json.loads(text)["rest"])

        server, where = serve()
        bugs = each(lab, *where)
        bad = lab.target({"b_fuzzer.c": USE + "error\n"}, "bad")
        for w, out in (((), "b"), (where, "c")):
            p = lab.ff(*w, "fuzz", "build", bad, "-o", out, check=3, timeout=120)
            if "error" not in p.stderr or "error" not in (lab.dir / out / "build.txt").read_text():
                fail(f"a build that fails {w}: {p.stderr}")
        for args, code in ((("build", EXAMPLE, "-e", "nosuch"), 2), (("build", EXAMPLE, "-e", "jazzer"), 5), (("reproduce", "-b", "nowhere", "fine"), 2),
                           (("reproduce", "-b", "out/b/libfuzzer/out/tlv", "-e", "jazzer", "fine"), 5)):
            a, b = (lab.ff(*w, "fuzz", *args, check=code, env={"FF_TOOLS": ""}) for w in ((), where))
            if a.stderr != b.stderr:
                fail(f"{args}: {a.stderr} here, {b.stderr} there")
        # Until Ctrl-C: the campaign ends, and what it has found is reported.
        p = lab.popen(*where, "--json", "fuzz", "run", "-b", "out/b/libfuzzer/out/tlv", "-t", "0", "-o", "ctrl", "--minimize", "0", stdout=subprocess.PIPE)
        end = time.time() + 60
        while not any(r["status"] == "RUNNING" for r in lab.json("runs", "list")["runs"]):
            if time.time() > end or p.poll() is not None:
                fail("no campaign")
            time.sleep(0.1)
        time.sleep(5)
        p.send_signal(signal.SIGINT)
        doc = json.loads(p.communicate(timeout=60)[0])
        if p.returncode or doc["summary"]["executions"] < 100 or not list((lab.dir / "ctrl").glob("corpus*")):
            fail(f"Ctrl-C: {p.returncode} {doc.get('error')} {doc['summary']}")
        if lab.json("runs", "list")["runs"]:
            fail("it leaves runs on the server")
        server.terminate()
        server.wait()
        server, where = serve(FF_SANDBOX_NETWORK="none") # the server's setting counts, not the user's
        p = lab.ff(*where, "fuzz", "build", EXAMPLE, "-o", "out", "--fetch", timeout=120)
        if p.returncode == 0 or "sandbox.network grants none" not in p.stderr:
            fail(f"the server's setting does not count: {p.returncode} {p.stderr}")
        ok(f"{bugs} bugs")


LIB = "int lib(const unsigned char *d, unsigned long n) { return n > 2 && d[0] == 'x' ? d[1] : 0; }\n"
USE = "#include <stddef.h>\n#include <stdint.h>\nint lib(const unsigned char *, unsigned long);\n" \
      "int LLVMFuzzerTestOneInput(const uint8_t *d, size_t n) { lib(d, n); return 0; }\n"
TREES = {
    "single": {"t_fuzzer.c": USE, "lib.c": LIB},
    "make": {"fuzz/t_fuzzer.c": USE, "src/lib.c": LIB,
             "Makefile": "lib.a: src/lib.c\n\t$(CC) $(CFLAGS) -c src/lib.c -o lib.o\n\tar rc lib.a lib.o\n"},
    "cmake": {"fuzz/t_fuzzer.c": USE, "src/lib.c": LIB,
              "CMakeLists.txt": "cmake_minimum_required(VERSION 3.10)\nproject(p C)\nadd_library(lib STATIC src/lib.c)\n"},
    "meson": {"fuzz/t_fuzzer.c": USE, "src/lib.c": LIB, "meson.build": "project('p', 'c')\nstatic_library('lib', 'src/lib.c')\n"},
    # A Makefile with its own compiler and flags, an object and no archive, a program that does not link, a header elsewhere.
    "make-objects": {"fuzz/t_fuzzer.c": '#include "lib.h"\n' + USE, "src/lib.c": '#include "lib.h"\n' + LIB, "inc/api/lib.h": "",
                     "Makefile": "CFLAGS = -Iinc/api -Wall -Werror -O2 -g0\nall: prog lib.o\n"
                                 "lib.o: src/lib.c\n\tgcc $(CFLAGS) -c $< -o $@\nprog:\n\tgcc lib.o -lno-such-library -o prog\n"},
    "make-below": {"t_fuzzer.c": USE, "checkout/lib.c": LIB,
                   "checkout/Makefile": "all:\n\tmkdir -p .libs && $(CC) -c lib.c -o .libs/lib.o && ar rc .libs/lib.a .libs/lib.o\n"},
    # A harness that a program of the tests calls is one target, not two; the other program is not built at all.
    "cmake-shared": {"fuzz/t_fuzzer.c": USE, "src/lib.c": LIB, "src/run.c": "int LLVMFuzzerTestOneInput(const unsigned char *, unsigned long);\n"
                                                                          "int main(void) { return LLVMFuzzerTestOneInput(0, 0); }\n",
                     "CMakeLists.txt": "cmake_minimum_required(VERSION 3.10)\nproject(p C)\nadd_library(lib SHARED src/lib.c)\n"
                                       "add_executable(run src/run.c fuzz/t_fuzzer.c)\ntarget_link_libraries(run lib)\n"
                                       "add_executable(huge src/huge.c)\nfile(WRITE ${CMAKE_SOURCE_DIR}/src/huge.c \"#error never\")\n"},
    "ossfuzz": {"project.yaml": "language: c\n", "src/lib.c": LIB, "fuzz/t_fuzzer.c": USE, "words.dict": 'w="x"\n', "one": "x1\n",
                "src/version.sh": "git describe --tags\n",
                "Dockerfile": "FROM gcr.io/oss-fuzz-base/base-builder\nRUN apt-get update && apt-get install -y no-such-package && \\\n"
                              "    # a comment\n    echo plain > /src/from_run\nRUN git clone --depth 1 https://example.org/a/src.git && cp src/lib.c cloned\n"
                              "RUN cd src && git checkout v1 && echo > at-v1\nRUN git clone https://example.org/b/other && echo never > never\nRUN pip3 install -U ninja 'json>=1' && echo > pip\nRUN pip3 install no-such\nRUN cat <<END > here\ntext\nEND\n"
                              "ENV ONE=1 TWO=\"a b\"\nCOPY build.sh words.dict $SRC/\nWORKDIR /src/src\n",
                "build.sh": "#!/bin/bash -eu\ntest -f $SRC/from_run; test -f $SRC/cloned; test ! -e $SRC/never; test -e $SRC/pip; test -e at-v1; test $(sh version.sh) = 0.0.0; test \"$ONE$TWO\" = '1a b'\n$CC $CFLAGS -c lib.c -o $WORK/lib.o\n"
                            "printf 'install:\\n\\tmkdir -p $(DESTDIR)/usr/local/include && cp ../one $(DESTDIR)/usr/local/include/installed.h\\n"
                            "\\tmkdir -p $(DESTDIR)/usr/local/lib && ar rc $(DESTDIR)/usr/local/lib/libz.a $(WORK)/lib.o\\n' > M\n" # the system has one as well
                            "sed -i 's,^,//,' ../one; make -f M install\nmake no-such\ncp $SRC/no-such-seeds.zip $OUT/\n"
                            "$CC $CFLAGS -include installed.h -c ../fuzz/t_fuzzer.c -o $WORK/t.o\n"
                            "$CXX $CXXFLAGS -stdlib=libc++ $WORK/t.o -lz $LIB_FUZZING_ENGINE -o $OUT/t_fuzzer\n"
                            "cp $SRC/words.dict $OUT/t_fuzzer.dict\nmkdir $OUT/t_fuzzer_seed_corpus && cp ../one $OUT/t_fuzzer_seed_corpus/\n"
                            "printf '[libfuzzer]\\nmax_len = 64\\ntimeout = 3\\n' > $OUT/t_fuzzer.options\n"},
}


CONFIGURED = {"t_fuzzer.c": USE, "lib.c": "#include \"config.h\"\n#if !HAVE_POLL_H || HAVE_NOSUCH_H || SIZEOF_LONG != 8\n#error\n#endif\n" + LIB,
              "configure.ac": "AC_INIT([t],[1])\nAC_CONFIG_HEADERS([config.h])\nAC_PROG_CC\nAC_CHECK_HEADERS([poll.h nosuch.h])\n"
                              "AC_CHECK_SIZEOF([long])\nAC_CONFIG_FILES([Makefile])\nAC_OUTPUT\n",
              "Makefile.in": "lib.a: lib.c\n\t$(CC) $(CFLAGS) -c lib.c -o lib.o\n\tar rc lib.a lib.o\n"}


def builds():
    with Lab() as lab:
        for name, files in TREES.items():
            doc = lab.json("fuzz", "build", lab.target(files, name), "-o", f"out-{name}", timeout=240)
            targets, system = (doc.get("summary") or {}).get("targets") or [], name.split("-")[0]
            if doc.get("status") != "success" or doc["summary"]["build_system"] != system or [t["name"] for t in targets] != ["t_fuzzer"]:
                fail(f"{name}: {doc}")
            t, notes = targets[0], "\n".join(doc["summary"]["notes"])
            if system == "ossfuzz" and (t["options"] != ["max_len=64", "timeout=3"] or not t.get("dict") or not t.get("seeds")):
                fail(f"{name}: {t}")
            if "there is no libc++" in notes.split("\n")[0]: # the first note is told as the cause where nothing is built
                fail(f"{name}: {notes}")
            for said in ("apt-get install no-such-package", "what is not there: pip install no-such;", "git clone https://example.org/b/other", "here-document",
                         "build.sh, line 6: this failed: make no-such\n", "build.sh, line 7: this failed: cp $SRC/no-such-seeds.zip") if system == "ossfuzz" else ():
                if said not in notes or "a/src.git" in notes or "ninja" in notes or notes.count("this failed") != 2:
                    fail(f"{name}: {notes}")
        p = lab.ff("fuzz", "run", "-b", lab.dir / "out-ossfuzz/b/libfuzzer/out/t_fuzzer", "-t", "2s", "-o", "found", timeout=60)
        if p.returncode != 0 or "coverage" not in p.stdout:
            fail(p.stdout + p.stderr)
        # A harness of C++ by another name; where that is not what is wrong, the error is the compiler's of C.
        cxx = "#include <stdint.h>\nextern \"C\" int LLVMFuzzerTestOneInput(const uint8_t *d, unsigned long n) { return 0%s; }\n"
        own = {"fuzz.yaml": "targets: [{name: t_fuzzer, sources: [t_fuzzer.c, lib.c], flags: ['-DTWO=1 + 1']}]\n", "lib.c": LIB}
        for i, more in enumerate(({"lib.c": LIB}, own)):
            doc = lab.json("fuzz", "build", lab.target({"t_fuzzer.c": cxx % "", **more}, f"cxx{i}"), "-o", f"out-cxx{i}", timeout=120)
            if doc.get("status") != "success":
                fail(f"extern \"C\" in a file of C: {doc}")
            for harness, want in ((cxx % " + nowhere", "t_fuzzer.c:2:"), (USE.replace("int lib(", "int lib int("), "t_fuzzer.c:3:8: error: expected ';'")):
                doc = lab.json("fuzz", "build", lab.target({"t_fuzzer.c": harness, **more}, "wrong"), "-o", "out-wrong", timeout=120)
                if want not in str(doc.get("error")):
                    fail(f"{harness}: {doc}")
        # Programs of other names than their harnesses', in order; what cannot get smaller is the reproducer.
        names = {"zeta": "fuzz/one_fuzzer.c", "alpha": "fuzz/two_fuzzer.c", "beta": "fuzz/three_fuzzer.c"}
        rules = "".join(f"\t$(CC) $(CFLAGS) {f} $(LIB_FUZZING_ENGINE) -o {n}\n" for n, f in names.items())
        tree = lab.target({f: HARNESS % ("", "if (n == 1 && d[0] == 'A') abort();") for f in names.values()} | {"Makefile": "all:\n" + rules}, "named")
        doc = lab.json("fuzz", "build", tree, "-o", "out-n", check=0, timeout=240)
        got = [(t["name"], t.get("source")) for t in doc["summary"]["targets"]]
        if got != sorted(names.items()):
            fail(f"sources of targets: {got}")
        (lab.dir / "A").write_text("A")
        says = lab.ff("fuzz", "triage", "-b", "out-n/b/libfuzzer/out/zeta", "A", "-o", "small", check=0, timeout=60).stdout
        if [p.read_text() for p in (lab.dir / "small").glob("crash-*")] != ["A"] or "1 input, 1 bug\n" not in says:
            fail(f"a reproducer that did not get smaller: {says} {list(lab.dir.glob('small*/*'))}")
        # What the target bounds for libFuzzer holds for AFL++, but for what the user says.
        lab.ff("fuzz", "build", lab.dir / "ossfuzz", "-e", "aflplusplus", "-o", "out-afl", check=0, timeout=240)
        for more, want in ((), b"\0-t\x003000\0"), (("--timeout-input", "2s"), b"\0-t\x002000\0"):
            run = lab.popen("fuzz", "run", "-b", lab.dir / "out-afl/b/aflplusplus/out/t_fuzzer", "-e", "aflplusplus", "-t", "1m", *more)
            engine = b""
            while not engine and run.poll() is None:
                engine = next((c for c in cmdlines() if c.startswith(b"afl-fuzz\0") and b"/t_fuzzer" in c), b"")
            run.send_signal(signal.SIGINT)
            run.wait(60)
            if want not in engine or b"\0-G\x0064\0" not in engine:
                fail(f"bounds of the target: {engine}")
        # What a configure script finds out for one engine, the other ones' builds need not find out again.
        doc = lab.json("fuzz", "build", lab.target(CONFIGURED, "configured"), "-e", "libfuzzer,aflplusplus", "-o", "out-c", timeout=240)
        log = (lab.dir / "out-c/build.txt").read_text().split("== aflplusplus")
        if len(doc["summary"]["targets"]) != 2 or "(cached)" in log[0] or "for nosuch.h... (cached) no" not in log[1] or "work/bin/cc" not in log[1]:
            fail(f"configured for two engines: {doc['summary']} {log[-1][-2000:]}")
        # Beside a program from elsewhere: only a seed, in its zip, leads to the fault.
        magic = "{" + ",".join(str(b) for b in b"only-of-the-seeds") + "}"
        text = HARNESS % (f"static const uint8_t magic[] = {magic};", "if (n > 16 && memcmp(d, magic, sizeof magic) == 0) abort();")
        lab.ff("fuzz", "build", lab.target({"z_fuzzer.c": text}, "z"), "-o", "out-z", check=0, timeout=120)
        with zipfile.ZipFile(lab.dir / "out-z/b/libfuzzer/out/z_fuzzer_seed_corpus.zip", "w") as z:
            z.writestr("deep/seed", "only-of-the-seeds, and more")
        doc = lab.json("fuzz", "run", "-b", lab.dir / "out-z/b/libfuzzer/out/z_fuzzer", "-t", "4s", "-o", "found-z", "--minimize", "0",
                       timeout=60)
        if doc["summary"]["unique_crashes"] != 1:
            fail(f"a zip of seeds beside the program: {doc['summary']}")
        ok(" ".join(TREES))


def seeds():
    """What lies beside a harness of a tree that has no fuzz.yaml: seeds as OSS-Fuzz names them and in the folders of many projects."""
    def zipped(name, text):
        data = io.BytesIO()
        with zipfile.ZipFile(data, "w") as z:
            z.writestr(name, text)
        return data.getvalue()
    own, shared = "corpus of its own", "shared by all of the folder"
    places = {"t_fuzzer_seed_corpus/a": own, "corpus/t_fuzzer/deep/a": own, "seeds/t_fuzzer/a": own, "../corpus/t_fuzzer/a": own, "seeds/a": shared,
              "corpus/a": shared, "t_fuzzer_seed_corpus.zip": zipped("deep/a", own)}
    with Lab() as lab:
        for system, base in (("single", {"src/lib.c": LIB}), ("cmake", TREES["cmake"]), ("make", TREES["make"])):
            for i, (place, text) in enumerate(places.items()):
                if system != "single" and i not in (0, 4):
                    continue
                files = {**base, "fuzz/t_fuzzer.c": USE, "fuzz/seeds/other": "", os.path.normpath(f"fuzz/{place}"): "" if isinstance(text, bytes) else text,
                         "fuzz/t_fuzzer.dict": 'w="x"\n', "fuzz/t_fuzzer.options": "[libfuzzer]\nmax_len = 64\n"}
                tree = lab.target(files, f"{system}-{i}")
                if isinstance(text, bytes):
                    (tree / "fuzz" / place).write_bytes(text)
                doc = lab.json("fuzz", "build", tree, "-o", f"out-{system}-{i}", timeout=240)
                t = doc["summary"]["targets"][0] if doc.get("status") == "success" else {}
                found = [p.read_text() for p in (lab.dir / f"out-{system}-{i}" / (t.get("seeds") or "-")).rglob("a")]
                if found != [own if isinstance(text, bytes) else text] or t["options"] != ["max_len=64"] or not t.get("dict"):
                    fail(f"{system}, {place}: {found} {t} {doc.get('error')}")
        (lab.dir / "no-archive").write_text("text")
        ref = lab.json("store", "put", lab.dir / "no-archive", check=0)["ref"]
        doc = document(run(lab, tree, "duration=2s", "minimize=0", "remember=false", "corpus=" + json.dumps({"ref": ref}), timeout=120))
        if doc["status"] != "COMPLETED" or "the corpus that was given cannot be read" not in str(doc["result"]["notifications"]):
            fail(f"a corpus that is no archive: {doc['status']} {doc.get('error')}")
        ok(f"{len(places)} places")


def cached():
    """A tree is built once: what is in the store is taken until a byte of it is another."""
    with Lab() as lab:
        def build(*args):
            return lab.json("fuzz", "build", lab.dir / "t", "-o", "out", *args, timeout=240)
        lab.target(TREES["make"], "t")
        first, again = build(), build()
        if first["cached"] or not again["cached"] or again["summary"] != first["summary"]:
            fail(f"{first} {again}")
        lab.ff("fuzz", "run", "-b", lab.dir / "out/b/libfuzzer/out/t_fuzzer", "-t", "1s", "-o", "found", check=0, timeout=60)
        if "cached" not in lab.ff("fuzz", "build", lab.dir / "t", "-o", "out", check=0).stdout:
            fail("it does not say so")
        if build("--sanitizers", "address")["cached"]:
            fail("other flags, the same program")
        doc = document(run(lab, lab.dir / "t", "duration=1s", "minimize=0", "--name", "c"))
        events = lab.ff("runs", "events", "c", "--json", check=0).stdout
        if doc["status"] != "COMPLETED" or '"cached":true' not in events.replace(" ", ""):
            fail(f"a run builds again what is there: {doc['status']}")
        with open(lab.dir / "t/src/lib.c", "a") as f:
            f.write("\n")
        if build()["cached"] or not build()["cached"]:
            fail("a byte more, the same program")
        ok("built once for each tree and flags")


def fetch():
    """What a Dockerfile clones comes only where that is allowed, and the build itself has no network."""
    if os.geteuid() != 0:
        print("not root: no network namespaces")
        sys.exit(77)
    git = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@example.org", "GIT_COMMITTER_NAME": "a",
           "GIT_COMMITTER_EMAIL": "a@example.org", "PATH": os.environ["PATH"]}
    with World() as world, LabIn(world.host) as lab:
        lib = lab.target({"lib.c": LIB}, "served/lib")
        for args in (["init", "-q"], ["add", "."], ["commit", "-qm", "a"]):
            subprocess.run(["git", "-C", lib, *args], check=True, env=git)
        world.spawn(world.outside, ["git", "daemon", "--export-all", "--listen=10.88.0.1", f"--base-path={lab.dir}/served"],
                    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=git | {"GIT_CONFIG_COUNT": "1",
                    "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*"})
        tree = lab.target({"project.yaml": "language: c\n", "t_fuzzer.c": USE,
                           "Dockerfile": "FROM base\nRUN git clone --depth 1 git://10.88.0.1/lib && cp lib/lib.c $SRC/copied.c\nWORKDIR lib\n",
                           "build.sh": "! git ls-remote git://10.88.0.1/lib 2>/dev/null\n$CC $CFLAGS -c ../copied.c -o lib.o\n"
                                       "$CXX $CXXFLAGS -x c ../t_fuzzer.c -x none lib.o $LIB_FUZZING_ENGINE -o $OUT/t_fuzzer\n"}, "t")
        p = lab.ff("fuzz", "build", tree, "-o", "out", check=3, timeout=120)
        if "git clone git://10.88.0.1/lib" not in p.stderr or "--fetch" not in p.stderr:
            fail(f"it does not say what is missing: {p.stderr}")
        p = lab.ff("fuzz", "build", tree, "-o", "out", "--fetch", timeout=120, env={"FF_SANDBOX_NETWORK": "none"})
        if p.returncode == 0 or "sandbox.network grants none" not in p.stderr:
            fail(f"the user's setting does not count: {p.returncode} {p.stderr}")
        p = lab.ff("run", "ossfuzz_campaign", tree, "duration=1s", "minimize=0", check=3, timeout=120)
        if "fetch=true" not in p.stdout + p.stderr:
            fail(p.stdout + p.stderr)
        for _ in range(50):
            p = lab.ff("fuzz", "build", tree, "-o", "out", "--fetch", timeout=120)
            if p.returncode == 0 or "Connection refused" not in p.stderr:
                break
            time.sleep(0.1)
        if "out/b/libfuzzer/out/t_fuzzer" not in p.stdout:
            fail(f"with --fetch: {p.returncode} {p.stdout} {p.stderr}")
        (tree / "t_fuzzer.c").write_text(USE.replace("lib(d, n);", "if (n > 2 && d[0] == 'F') __builtin_trap(); lib(d, n);"))
        doc = document(lab.ff("run", "ossfuzz_campaign", tree, "--json", "fetch=true", "duration=60s", "stop_at_first_crash=true", "minimize=0", timeout=200))
        if doc["status"] != "COMPLETED" or [f["evidence"]["build"] for f in doc["findings"]] != ["ff fuzz build . --engine libfuzzer --sanitizers address --fetch"]:
            fail(f"the build of a finding: {[f['evidence']['build'] for f in doc['findings']]}")
        seen_again(lab, tree, doc["findings"][0])
        ok("named, refused, fetched, and built without a network")


PYTHON = {
    "records.py": """class Bad(Exception):
    pass


def number(text):
    return int(text)


def field(table, key):
    return table[key]


def parse(data):
    if len(data) < 3:
        raise Bad
    if data[0] == 0x4E:
        return number(data[1:].decode("latin-1"))
    if data[0] == 0x4B:
        return field({1: 2}, data[1])
    return None
""",
    "records_fuzzer.py": """import sys
import atheris

with atheris.instrument_imports():
    import records


def TestOneInput(data):
    try:
        records.parse(data)
    except records.Bad:
        pass


atheris.Setup(sys.argv, TestOneInput)
atheris.Fuzz()
"""}
NATIVE_PY = """import ctypes


class Bad(Exception):
    pass


def first(data):
    return ctypes.string_at(8)


def second(data):
    return ctypes.string_at(16)


def parse(data):
    if data[:1] == b"F":
        first(data)
    if data[:1] == b"S":
        second(data)
"""
GO = {
    "go.mod": "module example.org/records\n\ngo 1.19\n",
    "records.go": """package records

var weights = [8]int{1, 2, 3, 5, 8, 13, 21, 34}

func number(b []byte) int { return weights[b[0]&0xf] }

func ratio(b []byte) int { return 100 / int(b[0]&3) }

func Parse(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	switch b[0] {
	case 'N':
		return number(b[1:])
	case 'D':
		return ratio(b[1:])
	}
	return 0
}
""",
    "records_test.go": """package records

import "testing"

func FuzzParse(f *testing.F) {
	f.Add([]byte("N3"))
	f.Add([]byte("D3"))
	f.Fuzz(func(t *testing.T, b []byte) { Parse(b) })
}
"""}


def scripts(lab, workflow, files, want, env, file):
    target = lab.target(files, workflow)
    doc = document(lab.ff("run", workflow, target, "--json", "duration=15s", "minimize=2s", timeout=280, env=env))
    got = {f["evidence"]["crash_state"].split("\n")[0].rsplit(".", 1)[-1]: f for f in doc["findings"]}
    if doc["status"] != "COMPLETED" or set(got) != want:
        fail(f"{workflow}: {doc['status']} {doc.get('error')} {list(got)}")
    if any(f["file"] != file or f["evidence"]["reproduced"] == 0 for f in got.values()):
        fail(f"{workflow}: {[(f['file'], f['line'], f['evidence']['reproduced']) for f in got.values()]}")
    unmerged = [t["corpus_unmerged"] for t in doc["result"]["summary"]["targets"].values() if "corpus_unmerged" in t]
    if unmerged:
        fail(f"{workflow}: inputs of the corpus were not merged: {unmerged}")
    kept_bytes(lab, doc)
    return doc["result"]["summary"]["executions"]


def atheris():
    tools = CACHE / "atheris"
    need("atheris")
    with Lab() as lab:
        p = lab.ff("run", "atheris_fuzzing", lab.target(PYTHON, "t"), env={"FF_TOOLS": ""})
        if p.returncode != 5 or "atheris" not in p.stderr:
            fail(f"atheris is missing: exit {p.returncode} {p.stderr}")
        n = scripts(lab, "atheris_fuzzing", PYTHON, {"number", "field"}, {"FF_TOOLS": str(tools)}, "records.py")
        for name, text in ("native", NATIVE_PY), ("faulthandler", "import faulthandler\nfaulthandler.enable()\n" + NATIVE_PY):
            target = lab.target(PYTHON | {"records.py": text}, name)
            doc = document(lab.ff("run", "atheris_fuzzing", target, "--json", "duration=15s", "minimize=0", timeout=280, env={"FF_TOOLS": str(tools)}))
            got = {f["evidence"]["crash_state"].split("\n")[1]: f["evidence"]["crash_type"] for f in doc["findings"]}
            if got != {"first": "UNKNOWN", "second": "UNKNOWN"}:
                fail(f"faults of native code, {name}: {doc['status']} {got} {doc['result']['notifications']}")
        ok(f"two bugs, {n} executions")


def go():
    with Lab() as lab:
        n = scripts(lab, "go_fuzzing", GO, {"number", "ratio"}, {}, "records.go")
        exits = {"go.mod": GO["go.mod"], "records_test.go": GO["records_test.go"], "records.go":
                 'package records\n\nimport "os"\n\nfunc Parse(b []byte) {\n\tif len(b) > 0 && b[0] != \'N\' && b[0] != \'D\' {\n\t\tos.Exit(0)\n\t}\n}\n'}
        doc = document(lab.ff("run", "go_fuzzing", lab.target(exits, "exits"), "--json", "duration=10s", "minimize=0", timeout=280))
        got = [(f["file"], f["line"], f["evidence"]["reproduced"]) for f in doc["findings"]]
        if got != [("records.go", 7, 10)]: # the call, not Go's own os.Exit
            fail(f"os.Exit(0): {doc['status']} {got}")
        # Nearly all inputs have one bug, a seed of the harness and one of testdata have it, and another seed ends the process.
        hides = {"go.mod": GO["go.mod"], "testdata/fuzz/FuzzParse/a": 'go test fuzz v1\n[]byte("bb")\n', "records.go": GO["records.go"].replace(
            "var weights", 'import "os"\n\nvar weights').replace("\t}\n\treturn 0\n}\n", """\tcase 'X':
		os.Exit(0)
	case 'O', '0', 'A', 'B', 'C':
		return int(b[0])
	}
	return always(b)
}

func always(b []byte) int { return weights[8+b[0]&7] }
"""), "records_test.go": GO["records_test.go"].replace("\tf.Fuzz(", '\tf.Add([]byte("aa"))\n\tf.Add([]byte("XX"))\n\tf.Fuzz(')}
        doc = document(lab.ff("run", "go_fuzzing", lab.target(hides, "hides"), "--json", "duration=25s", "minimize=0", timeout=280))
        summary = doc["result"]["summary"]
        got = {f["evidence"]["crash_state"].split("\n")[0].rsplit(".", 1)[-1] for f in doc["findings"]}
        if doc["status"] != "COMPLETED" or got != {"always", "number", "ratio", "Exit"} or summary["executions"] < 2 * summary["crashes"]:
            fail(f"a bug of nearly all inputs: {doc['status']} {got} {summary} {doc['result']['notifications']}")
        kept_bytes(lab, doc)
        # Go keeps no input that SIGKILL ended, as a bound that is met has it.
        kills = {"go.mod": GO["go.mod"], "records_test.go": GO["records_test.go"], "records.go": 'package records\n\nimport (\n\t"os"\n\t"syscall"\n)\n\n'
                 'func Parse(b []byte) {\n\tif len(b) > 2 && b[0] == \'K\' {\n\t\tsyscall.Kill(os.Getpid(), syscall.SIGKILL)\n\t}\n}\n'}
        doc = lab.json("fuzz", "run", lab.target(kills, "kills"), "-e", "go", "-t", "8s", "-o", "kills-out", "--minimize", "0", timeout=120)
        tries = [(f["evidence"]["reproduced"], f["evidence"]["tries"]) for f in doc["findings"]]
        if tries != [(10, 10)] or not list((lab.dir / "kills-out").glob("crash-*")) or doc["summary"]["engine_ends"]:
            fail(f"a target that kills itself: {tries} {json.dumps(doc)[:1000]}")
        doc = lab.json("fuzz", "run", lab.target(GO, "again"), "-e", "go-fuzz", "-t", "8s", "-o", "tree", "--minimize", "0", check=0, timeout=120)
        if doc["summary"]["unique_crashes"] < 1 or doc["summary"]["engines"][0]["engine"] != "go":
            fail(doc["summary"])
        ok(f"two bugs and an exit, {n} executions")


if __name__ == "__main__":
    {"campaign": campaign, "printed": printed, "kill": kill, "ends": ends, "pause": pause, "waiting": waiting, "killed": killed, "between": between, "stops": stops, "leaks": leaks, "inputs": inputs, "again": again, "afl": afl, "apart": apart, "merge": merge, "large": large, "bad": bad, "slow": slow, "stuck": stuck, "removes": removes, "litter": litter, "alone": alone, "served": served, "atheris": atheris, "go": go, "builds": builds, "seeds": seeds, "cached": cached, "fetch": fetch}[sys.argv[1]]()
