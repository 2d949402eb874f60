#!/usr/bin/env python3
# The commands around runs: store, modules, workflows, project folder, settings, cleaning, health, completion.
import os, pathlib, shutil, signal, subprocess, sys, time
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from accept import *

TODO = '''
import json, os, sys
req = json.loads(sys.stdin.readline())
n = 0
for folder, _, names in os.walk(req["workspace"]):
    for name in names:
        for i, line in enumerate(open(os.path.join(folder, name), errors="replace"), 1):
            if req["input"].get("word", "TODO") in line:
                n += 1
                print(json.dumps({"type": "finding", "rule_id": "todo/comment", "title": "left", "severity": "info",
                                  "file": os.path.relpath(os.path.join(folder, name), req["workspace"]), "line": i}))
print("a plain line")
print("on stderr", file=sys.stderr)
open("/scratch/out.txt", "w").write("kept")
os.symlink("/etc/passwd", "/scratch/link")
print(json.dumps({"type": "artifact", "path": "/scratch/out.txt"}))
if req["input"].get("link"): print(json.dumps({"type": "artifact", "path": "/scratch/link"}))
print(json.dumps({"type": "result", "status": req["input"].get("status", "success"), "summary": {"n": n, "input": req["input"]}, "error": "why"}))
'''
SCHEMA = ('input_schema: {type: object, additionalProperties: false, properties: {word: {type: string, default: TODO}, '
          'deep: {type: integer}, link: {type: boolean}, status: {type: string}}}\n')
ENDS = {
    "silent": "pass",
    "twice": "import json\nfor i in (1, 2): print(json.dumps({'type': 'result', 'status': 'success'}))",
    "garbage": "print('{nonsense')",
    "long": "print('x' * (1 << 20) + 'y')",
    "exit7": "import json, sys\nprint(json.dumps({'type': 'result', 'status': 'success'})); sys.exit(7)",
    "crash": "import os\nos.kill(os.getpid(), 11)",
    "sleeps": "import time\ntime.sleep(60)",
}
SO = '''
#include <ff_module.h>
int ff_module_v1(const struct ff_host *h)
{
    struct ff_finding f = {.size = sizeof f, .rule_id = "so/x", .title = "X", .severity = "low"};
    h->finding(h, &f);
    h->summary(h, h->input);
    return 0;
}
'''


def expect(cond, what):
    if not cond:
        fail(what)


def same(got, want, what):
    expect(got == want, f"{what}: got {got!r}, wanted {want!r}")


def commands(lab, words=()):
    """Each command and sub-command, from what completion offers."""
    p = lab.ff("complete", "--", *words, "", check=0)
    for line in p.stdout.splitlines():
        name = line.split("\t")[0]
        yield (*words, name)
        if not words and lab.ff(name, "--help", check=0).stdout.find(" COMMAND ...") > 0:
            yield from commands(lab, (name,))


def check_help(lab):
    names = list(commands(lab))
    for want in (("store", "gc"), ("workflow", "test"), ("module", "run"), ("init",), ("trust",), ("doctor",), ("clean",)):
        expect(want in names, f"completion does not offer {want}")
    for name in names:
        text = lab.ff(*name, "--help", check=0).stdout
        expect("Usage:" in text and "Exit status" in text, f"help of {name}")
        expect("Examples:" in text, f"no example in the help of {name}")
    doc = (pathlib.Path(__file__).resolve().parents[2] / "docs" / "cli.md").read_text()
    for name in names:
        line = next((l for l in doc.splitlines() if f"`ff {name[0]}" in l), "")
        expect(line and (len(name) == 1 or name[1] in line), f"docs/cli.md does not have ff {' '.join(name)}")
    for s in lab.json("config")["settings"]:
        row = f"| `{s['key']}` | `{s['environment']}` |"
        expect(row in doc and s["help"] in doc, f"docs/cli.md does not have the setting {s['key']} as it is")
    p = lab.ff("store", "vrify", check=2)
    expect("did you mean 'verify'" in p.stderr, f"no suggestion: {p.stderr}")
    same(sorted(lab.json("version")), ["build", "version"], "version")


def check_store(lab):
    f = lab.dir / "data.bin"
    f.write_bytes(os.urandom(300000))
    ref = lab.ff("store", "put", f, check=0).stdout.strip()
    expect(ref.startswith("sha256:") and len(ref) == 71, ref)
    same(lab.json("store", "put", "-", inp=f.read_bytes().decode("latin1"))["bytes"] > 0, True, "put -")
    same(lab.json("store", "stat", ref)["bytes"], 300000, "stat")
    lab.ff("store", "get", ref, "-o", lab.dir / "back", check=0)
    same((lab.dir / "back").read_bytes() == f.read_bytes(), True, "what came back")
    expect(ref in [o["ref"] for o in lab.json("store", "ls")["objects"]], "ls")
    same(lab.json("store", "verify")["bad_objects"], 0, "verify")
    same(lab.json("store", "gc", "--grace", "0s")["objects_kept"], 2, "gc keeps what was put")
    lab.ff("store", "get", "sha256:12", check=2)
    before = sorted(os.listdir(lab.dir)), (lab.dir / "back").read_bytes()
    lab.ff("store", "get", "sha256:" + "0" * 64, "-o", lab.dir / "back", check=2)
    expect((sorted(os.listdir(lab.dir)), (lab.dir / "back").read_bytes()) == before, "what cannot be had takes the place of what was there")
    same(lab.json("store", "stat", "sha256:" + "0" * 64)["error"]["code"], "NOT_FOUND", "an unknown object")
    expect("folder" in lab.ff("store", "put", lab.dir, check=2).stderr, "a folder put as an object")
    lab.ff("store", "gc", "--grace", "yesterday", check=2)
    big = max((p for p in (lab.state / "store").rglob("*") if p.is_file() and p.suffix not in (".db",)),
              key=lambda p: p.stat().st_size)
    data = bytearray(big.read_bytes())
    data[len(data) // 2] ^= 0xff
    os.chmod(big, 0o644)
    big.write_bytes(data)
    p = lab.ff("--json", "store", "verify", check=5)
    expect(json.loads(p.stdout)["bad_objects"] >= 1, f"damage was not seen: {p.stdout}")
    codes = [lab.ff("store", "get", o["ref"], "-o", lab.dir / "bad").returncode for o in lab.json("store", "ls")["objects"]]
    expect(5 in codes, f"a damaged object was given: {codes}")
    for o in lab.json("store", "ls")["objects"]:
        lab.ff("store", "rm", o["ref"], check=0)
    same(lab.json("store", "ls")["objects"], [], "rm")
    shutil.rmtree(lab.state)


def check_modules(lab, tb):
    t = lab.target({"a.py": "x = 1 # TODO\n# FIXME\n", "d/b.py": "# TODO\n"})
    lab.module("todo", TODO)
    yaml = lab.toolbox() / "modules" / "todo" / "module.yaml"
    yaml.write_text(yaml.read_text() + SCHEMA)
    for name, body in ENDS.items():
        lab.module(name, body)
    lab.module("bad", "")
    (lab.toolbox() / "modules" / "bad" / "module.yaml").write_text("name: bad\ndescripton: x\n")
    lab.module("file_scanner", "")
    mods = lab.json(*tb, "module", "list")["modules"]
    by = {}
    for m in mods:
        by.setdefault(m["name"], []).append(m)
    expect("module.yaml:2" in by["bad"][0]["broken"] and "description" in by["bad"][0]["broken"], by["bad"])
    same([m["shadowed_by"] for m in by["file_scanner"]], [None, "built in"], "shadowed modules")
    same({m["name"] for m in lab.json(*tb, "module", "list", "--category", "scanner")["modules"]}, {"file_scanner"}, "--category")
    lab.ff(*tb, "module", "list", "--category", "scaner", check=2)
    expect("module.yaml:2" in lab.ff(*tb, "module", "info", "bad", check=2).stderr, "info of a broken one")
    expect("did you mean 'todo'" in lab.ff(*tb, "module", "info", "tod", check=2).stderr, "no suggestion")
    same(lab.json(*tb, "module", "info", "todo")["exec"], ["/module/run"], "exec")
    expect("word" in lab.ff(*tb, "module", "info", "todo", check=0).stdout, "info shows the input")

    d = lab.json(*tb, "module", "run", "todo", t)
    same((d["status"], len(d["findings"]), d["summary"]["n"], d["summary"]["input"]), ("success", 2, 2, {"word": "TODO"}), "module run")
    d = lab.json(*tb, "module", "run", "todo", t, "word=FIXME", "deep=3")
    same((len(d["findings"]), d["findings"][0]["line"], d["summary"]["input"]["deep"]), (1, 2, 3), "typed input")
    p = lab.ff(*tb, "module", "run", "todo", t, "--artifacts", lab.dir / "got", check=0)
    same((lab.dir / "got" / "out.txt").read_text(), "kept", "artifact")
    expect("a plain line" in p.stderr and "on stderr" in p.stderr, f"what it printed: {p.stderr}")
    p = lab.ff(*tb, "module", "run", "todo", t, "link=true", "--artifacts", lab.dir / "got2", check=2)
    expect(not (lab.dir / "got2" / "link").exists(), "a link was followed as an artifact")
    expect("'word'" in lab.ff(*tb, "module", "run", "todo", t, "wrd=1", check=2).stderr, "unknown input")
    lab.ff(*tb, "module", "run", "todo", t, "deep=x", check=2)
    lab.ff(*tb, "module", "run", "todo", lab.dir / "nope", check=2)
    lab.ff(*tb, "module", "run", "todo", "-", check=2)
    lab.ff(*tb, "module", "run", "todo", t, "--network", "everything", check=2)
    same(lab.json(*tb, "module", "run", "todo", t, "status=partial")["status"], "partial", "partial")
    lab.ff(*tb, "module", "run", "todo", t, "status=failed", check=3)
    words = {"silent": "without a result", "twice": "after the result", "garbage": "no valid JSON", "long": "a line of more than",
             "exit7": "exited with status 7", "crash": "signal 11", "sleeps": "limit of time"}
    for name, word in words.items():
        p = lab.ff("--json", *tb, "module", "run", name, t, "-t", "2s", check=3)
        expect(word in (json.loads(p.stdout)["error"] or ""), f"{name}: {p.stdout}")
    p = lab.popen(*tb, "module", "run", "sleeps", t)
    time.sleep(1.5)
    p.send_signal(signal.SIGINT)
    same(p.wait(timeout=60), 4, "Ctrl-C")
    same(list((lab.state / "trials").iterdir()), [], "what trials left")
    same([x for x in (lab.state / "cache" / "private").iterdir()], [], "workspaces that trials left")

    so = lab.toolbox() / "modules" / "sofirst"
    so.mkdir()
    (lab.dir / "so.c").write_text(SO)
    inc = pathlib.Path(__file__).resolve().parents[2] / "src" / "module"
    subprocess.run(["cc", "-shared", "-fPIC", f"-I{inc}", "-o", so / "x.so", lab.dir / "so.c"], check=True)
    (so / "module.yaml").write_text('name: sofirst\nversion: "1"\ncategory: tool\ndescription: d\nrequires_workspace: false\nlibrary: x.so\n')
    d = lab.json(*tb, "module", "run", "sofirst", "-", "a=1", "b=[1, 2]", "c=true")
    same((d["findings"][0]["rule_id"], d["summary"]), ("so/x", {"a": 1, "b": [1, 2], "c": True}), "shared object")


def check_workflows(lab, tb):
    lab.workflow("wait", '''
return function(i)
  ff.sleep("7d")
  local got = ff.wait_signal("go", "1h")
  local ok, e = pcall(ff.activity, "flaky", {x = 1})
  local kid = ff.child("kid", {n = 2})
  return {summary = {got = got, ok = ok, err = e and e.message, kid = kid.summary.n, p = i.parameters.p}}
end''', 'parameters: {type: object, additionalProperties: false, properties: {p: {type: integer, default: 5}}}\nrequired_modules: [flaky]\n')
    lab.workflow("kid", "return function(i) return {summary = {n = i.parameters.n}} end", "parameters: {type: object}\n")
    lab.workflow("broken", "return function(i)\n  local x = = 1\nend")
    lst = {w["name"]: w for w in lab.json(*tb, "workflow", "list")["workflows"]}
    expect("workflow.lua:2" in lst["broken"]["broken"], lst["broken"])
    expect("security_assessment" in lst and "broken" not in lst["wait"], "list")
    same(lab.json(*tb, "workflow", "params", "wait")["parameters"]["properties"]["p"]["type"], "integer", "params")
    p = lab.ff(*tb, "workflow", "validate", "broken", check=2)
    expect("workflow.lua:2" in p.stdout, p.stdout)
    same(lab.json(*tb, "workflow", "validate", "wait")["workflows"][0]["missing_modules"][0]["module"], "flaky", "missing modules")
    lab.ff(*tb, "workflow", "validate", lab.toolbox() / "workflows" / "kid", check=0)
    lab.ff(*tb, "workflow", "validate", check=2)
    expect("security_assessment" in lab.ff(*tb, "workflow", "info", "security_assesment", check=2).stderr, "no suggestion")

    cases = lab.dir / "cases.yaml"
    cases.write_text('''
- name: all is well, after a week
  activities: {flaky: [{error: once}, {summary: {n: 1}}]}
  signals: [{name: go, input: {a: 1}, after: 168h}]
  expect: {summary: {got: {a: 1}, ok: true, kid: 2, p: 5}, activities: [flaky, flaky], inputs: {flaky: {x: 1}}}
- name: it fails for good, nobody signals
  parameters: {p: 6}
  activities: {flaky: {error: {type: T, message: gone, retryable: false}}}
  expect: {summary: {ok: false, err: gone, p: 6}}
''')
    d = lab.json(*tb, "workflow", "test", "wait", cases)
    expect(d["passed"] and d["cases"][0]["time_ms"] >= 7 * 86400 * 1000, d)
    cases.write_text("activities: {flaky: {}}\nexpect: {summary: {p: 7}, activities: [other]}\n")
    p = lab.ff("--json", *tb, "workflow", "test", "wait", cases, check=1)
    expect(len(json.loads(p.stdout)["cases"][0]["problems"]) == 2, f"problems of a failing case: {p.stdout}")
    cases.write_text("activities: {}\n")
    p = lab.ff(*tb, "workflow", "test", "wait", cases, check=1)  # the script catches it, yet the test must say so
    expect("no answer" in p.stdout, f"a module without an answer: {p.stdout}")
    cases.write_text("expct: {}\n")
    expect("expect" in lab.ff(*tb, "workflow", "test", "wait", cases, check=2).stderr, "unknown key in a case")
    lab.ff(*tb, "workflow", "test", "wait", lab.dir / "nope.yaml", check=2)
    for name in ("security_assessment", "secret_detection"):
        lab.ff("workflow", "test", name, check=0)


def check_project(lab):
    proj = lab.dir / "proj"
    proj.mkdir()
    env = {"FF_STATE_DIR": ""}
    ff = lambda *a, **k: subprocess.run([lab.exe, *map(str, a)], cwd=k.get("cwd", proj), capture_output=True, text=True,
                                        env={**lab.env, **k.get("env", {})}, stdin=subprocess.DEVNULL, timeout=60)
    def ok_(p, code=0):
        expect(p.returncode == code, f"{p.args[1:]}: exit {p.returncode}: {p.stderr or p.stdout}")
        return p
    ok_(ff("init"))
    for f in ("config.yaml", ".gitignore", "workflows", "modules"):
        expect((proj / ".fuzzforge" / f).exists(), f"init made no {f}")
    ok_(ff("init"))
    ok_(ff("config"))
    text = (proj / ".fuzzforge" / "config.yaml").read_text()
    (proj / ".fuzzforge" / "config.yaml").write_text("\n".join(l[1:] if l.startswith("#") and i else l for i, l in enumerate(text.splitlines())))
    ok_(ff("config"))  # every line of it is a valid setting
    (proj / ".fuzzforge" / "config.yaml").write_text("cache:\n  max_size: 3G\n")
    same(ok_(ff("config", "cache.max_size")).stdout, "3G\n", "the project's setting")
    same(ok_(ff("config", "cache.max_size", env={"CACHE_MAX_SIZE": "4G"})).stdout, "4G\n", "environment above the project")
    ok_(ff("workflow", "new", "mine"))
    ok_(ff("workflow", "validate", "mine"))
    ok_(ff("workflow", "new", "mine"), 2)
    ok_(ff("workflow", "new", "Bad Name!"), 2)
    (proj / "code").mkdir()
    (proj / "code" / "a.py").write_text("x = 1\n")
    lab.module("security_analyzer", 'print(\'{"type": "result", "status": "success", "summary": {}}\')')  # a built-in one comes first
    d = json.loads(ok_(ff("--json", "--toolbox", lab.toolbox(), "run", "mine", "code")).stdout)
    same(d["status"], "COMPLETED", "the skeleton runs")
    expect((proj / ".fuzzforge" / "state.db").exists(), "the state is in the project")
    sub = proj / "code"
    same(json.loads(ok_(ff("--json", "runs", "list", cwd=sub)).stdout)["runs"][0]["workflow"], "mine", "found upwards")

    # somebody else's: not trusted until told so
    other = lab.dir / "other"
    shutil.copytree(proj, other)
    d = json.loads(ok_(ff("--json", "config", cwd=other)).stdout)
    same((d["project_trusted"], [s["value"] for s in d["settings"] if s["key"] == "cache.max_size"]), (False, ["10GB"]), "untrusted")
    ok_(ff("init", cwd=other), 2)
    ok_(ff("trust", cwd=other))
    same(ok_(ff("config", "cache.max_size", cwd=other)).stdout, "3G\n", "trusted")
    ok_(ff("trust", "--remove", ".", cwd=other))
    same(ok_(ff("config", "cache.max_size", cwd=other)).stdout, "10GB\n", "trust taken back")
    same(ok_(ff("config", "cache.max_size")).stdout, "3G\n", "the other one is still trusted")
    ok_(ff("trust", lab.dir), 2)

    p = ok_(ff("config", "-v", env={"S3_SECRET_KEY": "hunter2"}))
    expect("hunter2" not in p.stdout and "environment S3_SECRET_KEY" in p.stdout, "secret in ff config")
    expect("hunter2" not in ok_(ff("--json", "config", env={"S3_SECRET_KEY": "hunter2"})).stdout, "secret in JSON")
    expect("hunter2" not in ok_(ff("config", "s3.secret_key", env={"S3_SECRET_KEY": "hunter2"})).stdout, "secret alone")
    expect("did you mean 'cache.ttl'" in ok_(ff("config", "cache.tlt"), 2).stderr, "no suggestion")


def holders(lab):
    """pids of what holds the engine of this lab's state"""
    for p in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if str(lab.state).encode() in (p / "cmdline").read_bytes():
                yield int(p.name)
        except OSError:
            pass


def check_clean(lab, tb):
    t = lab.target({"a.py": "# TODO\n"}, name="cleaned")
    lab.workflow("look", 'return function(i) local r = ff.activity("todo", {}) return {summary = r.summary, findings = r.findings} end')
    lab.workflow("asleep", 'return function(i) ff.sleep("5m") return {summary = {}} end')
    for k in range(2):
        lab.ff(*tb, "run", "look", t, "--name", f"c{k}", check=0)
    lab.ff(*tb, "run", "asleep", t, "--name", "alive", "-d", check=0)
    for pid in list(holders(lab)):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    d = lab.json(*tb, "clean", "--dry-run", "--older-than", "0s")
    same((sorted(r["run_id"] for r in d["removed"]), d["kept"], d["dry_run"]), (["c0", "c1"], 1, True), "clean --dry-run")
    same(len(lab.json(*tb, "runs", "list")["runs"]), 3, "a dry run removed something")
    same(lab.json(*tb, "clean")["removed"], [], "young runs stay")
    d = lab.json(*tb, "clean", "--older-than", "0s")
    same(sorted(r["run_id"] for r in d["removed"]), ["c0", "c1"], "clean")
    same([r["run_id"] for r in lab.json(*tb, "runs", "list")["runs"]], ["alive"], "what is left")
    lab.ff("store", "gc", "--grace", "0s", check=0)
    refs = lab.json("store", "ls")["objects"]
    expect(all("ndjson" not in o["media_type"] for o in refs) and refs, f"objects left: {refs}")
    lab.ff("clean", "--older-than", "soon", check=2)
    lab.ff(*tb, "runs", "terminate", "alive", check=0)


def check_doctor(lab):
    p = lab.ff("--json", "doctor")
    d = json.loads(p.stdout)
    expect(p.returncode in (0, 5) and (p.returncode == 0) == d["ok"], f"doctor: {p.stdout}")
    names = {(c["area"], c["name"]): c for c in d["checks"]}
    for want in (("sandbox", "seccomp"), ("sandbox", "landlock"), ("sandbox", "protection"), ("tools", "python3"), ("fuzzing", "cargo-fuzz"), ("fuzzing", "jazzer"), ("state", "disk space"), ("toolbox", "workflows")):
        expect(want in names, f"doctor does not look at {want}")
    expect(all(c["hint"] for c in d["checks"] if c["status"] != "ok"), "something is missing, and nobody says what to do")
    expect("seccomp" in lab.ff("doctor").stdout, "table")
    (lab.dir / "file").write_text("")
    p = subprocess.run([lab.exe, "--json", "--state", lab.dir / "file" / "x", "doctor"], capture_output=True, text=True, env=lab.env, cwd=lab.dir)
    expect(p.returncode in (0, 5), f"state below a file: {p.returncode}")
    db = lab.state / "state.db"
    keep = db.read_bytes()
    for f in lab.state.glob("state.db-*"):
        f.unlink()
    db.write_bytes(b"this is no database" * 1000)
    d = json.loads(lab.ff("--json", "doctor", check=5).stdout)
    same([c["status"] for c in d["checks"] if c["name"] == "runs"], ["failed"], "a damaged database")
    db.write_bytes(keep)


def check_completion(lab, tb):
    offers = lambda *w: [l.split("\t")[0] for l in lab.ff(*tb, "complete", "--", *w, check=0).stdout.splitlines()]
    same(offers("workf"), ["workflow"], "a command")
    expect({"list", "test", "status"} <= set(offers("workflow", "")), "sub-commands")
    expect("look" in offers("run", "") and "todo" in offers("module", "info", "t"), "names")
    same(offers("run", "look", ""), [":files"], "a target")
    same(offers("run", "wait", ".", "p"), ["p="], "parameters")
    same(offers("run", "look", ".", "--fail-on", "h"), ["high"], "a value of an option")
    same(offers("run", "--fail-o"), ["--fail-on"], "an option")
    same(offers("config", "cache.m"), ["cache.max_size"], "a setting")
    same(offers("--state", ""), [":dirs"], "a folder")
    expect("alive" in offers("runs", "show", "a"), "a run")
    plain = lambda *w: lab.ff("complete", "--", *w, check=0).stdout
    expect("look" not in plain("run", "l") and "look" in plain("--toolbox", lab.toolbox(), "run", "l"), "the line's own --toolbox")
    expect("look" in plain(f"--toolbox={lab.toolbox()}", "run", "l") and "alive" not in plain("--state", lab.dir / "x", "runs", "show", "a"),
           "the line's own --state")
    for shell in ("bash", "zsh", "fish"):
        script = lab.ff("completion", shell, check=0).stdout
        expect("complete" in script, shell)
        if shutil.which(shell):
            (lab.dir / f"c.{shell}").write_text(script)
            subprocess.run([shell, "-n", lab.dir / f"c.{shell}"], check=True)
    lab.ff("completion", "tcsh", check=2)
    out = subprocess.run(["bash", "-c", f'ff() {{ "{lab.exe}" "$@"; }}; source {lab.dir}/c.bash; COMP_WORDS=("{lab.exe}" doc); COMP_CWORD=1; _ff; echo "${{COMPREPLY[@]}}"'],
                         capture_output=True, text=True, env=lab.env).stdout.strip()
    same(out, "doctor", "bash completes")


with Lab() as lab:
    tb = ["--toolbox", lab.toolbox()]
    check_help(lab)
    check_store(lab)
    check_modules(lab, tb)
    check_workflows(lab, tb)
    check_project(lab)
    check_clean(lab, tb)
    check_completion(lab, tb)
    check_doctor(lab)
    ok("help, store, modules, workflows, project, clean, completion, doctor")
