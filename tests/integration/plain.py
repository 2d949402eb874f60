#!/usr/bin/env python3
# In a chroot no user namespace can be made and nothing mounted, as in most containers: activities then have no root of their own, and see
# their folders by the host's paths. All still works, is told, and --require-sandbox refuses. This also holds when the home folder, and
# the state in it, are closed to the user that root's activities are.
import json, os, pathlib, shutil, subprocess, sys, tempfile
ROOT = pathlib.Path(__file__).resolve().parents[2]
FF = pathlib.Path(os.environ["FF_EXE"])
BUILD = FF.parent
MODULE = """import json, os, sys
q = json.loads(sys.stdin.readline())
open(q["scratch"] + "/a.txt", "w").write("x")
print(json.dumps({"type": "artifact", "path": q["scratch"] + "/a.txt", "name": "a.txt"}))
print(json.dumps({"type": "result", "status": "success", "error": None,
                  "summary": {"workspace": q["workspace"], "files": sorted(os.listdir(q["workspace"])), "cwd": os.getcwd()}}))
"""

HOGS = {"memory": "a = []\nwhile True: a.append(b'x' * (10 << 20))\n",
        "pids": "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass\n",
        "disk": "import json, sys\nq, i = json.loads(sys.stdin.readline()), 0\n"
                "while True:\n    i += 1\n    open(q['scratch'] + f'/{i}', 'wb').write(b'x' * (10 << 20))\n"}


def fail(text):
    print("FAIL", text)
    sys.exit(1)


def look(prefix):
    env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root"}

    def ff(*args):
        return subprocess.run([*prefix, FF, *map(str, args)], env=env, capture_output=True, text=True, errors="replace", timeout=120)

    def document(*args):
        p = ff(*args, "--json")
        if p.returncode: fail(f"{args}: exit {p.returncode}: {(p.stderr + p.stdout)[-500:]}")
        return json.loads(p.stdout)

    if "mount namespace    missing" not in ff("doctor", "--no-color").stdout: fail("there is a root of its own: this tests nothing")
    example = ROOT / "examples/vulnerable_app"
    found = document("run", "security_assessment", example)
    if found["status"] != "COMPLETED" or sum(found["findings_count"].values()) < 100: fail(f"folder: {found['status']} {found['findings_count']}")
    subprocess.run(["tar", "czf", "/tmp/app.tgz", "-C", example.parent, example.name], check=True)
    packed = document("run", "security_assessment", "/tmp/app.tgz")
    if packed["findings_count"] != found["findings_count"]: fail(f"archive: {packed['findings_count']}")
    alone = document("module", "run", "security_analyzer", example)
    if alone["status"] != "success" or not alone["findings"]: fail("module run")
    probe = document("--toolbox", "/opt/box", "module", "run", "probe", example)
    if probe["status"] != "success" or "labelprinter" not in probe["summary"]["files"]: fail(f"probe: {probe}")
    if probe["summary"]["workspace"] == "/workspace" or probe["summary"]["cwd"] != probe["summary"]["workspace"]: fail(f"probe: {probe['summary']}")
    for limit in HOGS:
        p = ff("--toolbox", "/opt/box", "module", "run", limit, example, "-t", "60s", "--json")
        if f"over its limit of {limit}" not in p.stdout: fail(f"a hog of {limit}: {p.stdout[-500:]} {p.stderr[-500:]}")
    p = ff("--require-sandbox", "run", "security_assessment", example)
    if p.returncode != 5: fail(f"--require-sandbox: exit {p.returncode} {p.stdout[-300:]} {p.stderr[-600:]}")
    for d in pathlib.Path("/var/tmp").glob("fuzzforge-*"):
        if d.stat().st_mode & 0o7: fail(f"{d} is open to all")
    return found["findings_count"]


def inside():
    """Runs in a mount namespace of its own: what is mounted here goes with it."""
    home = pathlib.Path(sys.argv[2])
    for d in ("usr", "bin", "lib", "lib64", "etc", "proc", "dev", str(ROOT)[1:], str(BUILD)[1:]):
        source, place = pathlib.Path("/") / d, home / d
        if source.is_symlink():
            place.symlink_to(os.readlink(source))
        elif source.is_dir():
            place.mkdir(parents=True, exist_ok=True)
            subprocess.run(["mount", "--rbind", source, place], check=True)
    for d, mode in (("tmp", 0o1777), ("var/tmp", 0o1777), ("root", 0o700)):
        (home / d).mkdir(parents=True, exist_ok=True)
        (home / d).chmod(mode)
    for name, text in {"probe": MODULE, **HOGS}.items():
        folder = home / "opt/box/modules" / name
        folder.mkdir(parents=True)
        (folder / "module.yaml").write_text(f'name: {name}\nversion: "1"\ncategory: tool\ndescription: is run\n'
                                            'exec: [/usr/bin/python3, /module/p.py]\n')
        (folder / "p.py").write_text(text)
    os.chroot(home)
    os.chdir("/root")
    look([])  # namespaces that need no user namespace are there, for root
    print("ok", look(["setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin"]))  # none: what a container has


if len(sys.argv) > 1:
    inside()
    sys.exit(0)
home = tempfile.mkdtemp(prefix="ff-plain-")
os.chmod(home, 0o755)
try:
    user = [] if os.geteuid() == 0 else ["--map-root-user"]
    sys.exit(subprocess.run(["unshare", *user, "--mount", "--propagation", "private", sys.executable, __file__, "--inside", home]).returncode)
finally:
    shutil.rmtree(home, ignore_errors=True)
