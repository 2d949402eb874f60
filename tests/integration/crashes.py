#!/usr/bin/env python3
# Crash reports from the command line: what is read, how it is grouped, and what must not happen with reports of any size.
import os, pathlib, resource, subprocess, sys
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from accept import *


def report(function, line, size=4, kind="heap-buffer-overflow"):
    return (f"==7==ERROR: AddressSanitizer: {kind} on address 0x602000000014 at pc 0x51 bp 0x7f sp 0x7e\n"
            f"WRITE of size {size} at 0x602000000014 thread T0\n"
            f"    #0 0x1 in __asan_memcpy /llvm/asan.cpp:22:3\n    #1 0x2 in {function}(char*) /src/box.c:{line}:7\n"
            f"    #2 0x3 in box_open /src/box.c:90:3\n    #3 0x4 in LLVMFuzzerTestOneInput /src/fuzz.c:5:3\n")


with Lab() as lab:
    d = lab.target({"b.txt": report("box_put", 12), "a.txt": report("box_get", 31, kind="heap-use-after-free"),
                    "c.txt": report("box_put", 12, size=64), "d.txt": "all is well\n", ".hidden": report("box_put", 12)})
    out = lab.ff("fuzz", "parse", "--json", d, check=0).stdout
    got = {pathlib.Path(j["file"]).name: j for j in map(json.loads, out.splitlines())}
    if sorted(got) != ["a.txt", "b.txt", "c.txt", "d.txt"]: fail(f"the files of a folder: {sorted(got)}")
    b = got["b.txt"]
    if b["crash_type"] != "Heap-buffer-overflow\nWRITE 4" or b["crash_state"] != ["box_put", "box_open", "fuzz.c"]: fail(f"{b}")
    if (b["kind"], b["access"], b["access_size"], b["security"], b["severity"]) != ("asan", "write", 4, True, "high"): fail(f"{b}")
    if b["frames"][1]["file"] != "/src/box.c" or b["frames"][1]["line"] != 12 or [f["ignored"] for f in b["frames"]] != [True, False, False, True]: fail(f"{b['frames']}")
    if got["d.txt"]["kind"] != "none" or got["d.txt"]["crash_state"] != []: fail(f"{got['d.txt']}")

    text = lab.ff("fuzz", "parse", d / "b.txt", check=0).stdout
    if "Heap-buffer-overflow" not in text or "box_put" not in text or "high" not in text: fail(text)

    groups = lab.json("fuzz", "cluster", d)["groups"]
    if [sorted(pathlib.Path(r).name for r in g["reports"]) for g in groups] != [["a.txt"], ["b.txt", "c.txt"], ["d.txt"]]:
        fail(f"groups: {groups}")
    if "box_put" not in lab.ff("fuzz", "cluster", d, check=0).stdout: fail("the table of groups")

    # a log of four programs; what one of them said is one report, whoever spoke in it, and whatever it ended by
    ends = [report("box_put", 12).replace("==7==", f"=====\n==1{i}==", 1) + f"SUMMARY: AddressSanitizer: x\n==1{i}==ABORTING\n" for i in range(2)]
    abort = "==9==ERROR: AddressSanitizer: ABRT on unknown address 0x1 (pc 0x1 bp 0x2 sp 0x3 T0)\n    #0 0x1 in raise /r.c:1\n"
    (d / "log").write_text("a: /src/a.c:3: int f(int): Assertion `x > 1' failed.\n" + abort + "==9==ABORTING\n" + abort
                           + "/src/a.c:3:1: runtime error: division by zero\n    #0 0x1 in first_voice /src/a.c:3:1\n" + ends[0]
                           + ends[1].replace("box_put", "box_log") + "==12== ERROR: libFuzzer: timeout after 25 seconds\n")
    got = [json.loads(line) for line in lab.ff("fuzz", "parse", "--json", d / "log", check=0).stdout.splitlines()]
    if [(pathlib.Path(j["file"]).name, j["crash_type"].split("\n")[0], j["crash_state"][0]) for j in got] != [
            ("log", "ASSERT", "x > 1"), ("log", "Heap-buffer-overflow", "box_put"), ("log", "Heap-buffer-overflow", "box_log"),
            ("log", "Timeout", "NULL")]: fail(f"{got}")
    if not got[1]["security"]: fail(f"what the one before said of its end: {got[1]}")
    doc = lab.json("fuzz", "cluster", d / "log")
    if doc["reports"] != 4 or [len(g["reports"]) for g in doc["groups"]] != [1, 2, 1]: fail(f"{doc}")
    (d / "log").unlink()

    # standard input; a target's name; what is not there
    env = dict(os.environ, HOME=str(d), XDG_STATE_HOME=str(d))
    p = subprocess.run([os.environ["FF_EXE"], "fuzz", "parse", "--json", "--target", "box_fuzzer", "-"], env=env, text=True,
                       input="==7== ERROR: libFuzzer: timeout after 25 seconds\n", capture_output=True)
    if json.loads(p.stdout)["crash_state"] != ["box_fuzzer"]: fail(p.stdout + p.stderr)
    if lab.ff("fuzz", "parse", d / "missing").returncode == 0: fail("a report that is not there")
    (d / "none").mkdir()
    if "no report in" not in lab.ff("fuzz", "parse", d / "none", check=0).stderr: fail("a folder without reports")
    if lab.ff("fuzz", "parse", "/dev/null").returncode == 0: fail("a device is no report")

    # 1 GB, most of it one line, the report at its end: bounded memory
    big = d / "big"
    with open(big, "wb") as f:
        f.write(b"noise\n" + b"x" * 3000000)
        f.truncate(1 << 30)
        f.seek(0, 2)
        f.write(b"\n" + report("box_last", 1).encode())
    p = lab.ff("fuzz", "parse", "--json", big, check=0)
    j = json.loads(p.stdout)
    if j["crash_state"][0] != "box_last" or not j["truncated"]: fail(f"{j}")
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
    if "asan" not in str(os.environ["FF_EXE"]) and peak > 100: fail(f"{peak} MB for a report of 1 GB")
    # the same through a pipe
    p = subprocess.Popen([os.environ["FF_EXE"], "fuzz", "parse", "--json", "-"], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    for _ in range(37): p.stdin.write(b"noise and noise\n" * 65536)
    p.stdin.write(report("box_pipe", 2).encode() + b"after it\n" * 1000)
    p.stdin.close()
    j = json.loads(p.stdout.read())
    if p.wait() != 0 or j["crash_state"][0] != "box_pipe" or not j["truncated"]: fail(f"a pipe: {j}")

    # one finding as a document for an issue
    doc = lab.json("run", "security_assessment", lab.target({"a.py": "import os\nos.system(input())\n"}))
    f = doc["findings"][0]
    text = lab.ff("finding", f["fingerprint"], "-f", "md", check=0).stdout
    if not text.startswith("## ") or f["fingerprint"] not in text or "```" not in text: fail(text)
    page = lab.ff("finding", f["fingerprint"], "--format", "html", check=0).stdout
    if "<!DOCTYPE html>" not in page or f["fingerprint"] not in page: fail(page)
    if lab.ff("finding", f["fingerprint"], "-f", "csv").returncode != 2: fail("one finding as csv")
    if lab.ff("--json", "finding", f["fingerprint"], "-f", "md").returncode != 2: fail("two documents at once")
print("ok")
