#!/usr/bin/env python3
"""The contract suite of stores in buckets of real S3 services, and ff on one from end to end.
usage: stores.py BUILD_FOLDER"""
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

import peers

BUILD = pathlib.Path(sys.argv[1])
FF = BUILD / "ff"
EXAMPLE = peers.SOURCE / "examples" / "vulnerable_app"


def ff(*args, env, want=0, state=None):
    p = subprocess.run([str(a) for a in (FF, "--state", state, "--json", *args)], env=env, capture_output=True, text=True, timeout=300)
    if p.returncode != want:
        raise SystemExit(f"ff {' '.join(map(str, args))}: exit {p.returncode}, wanted {want}\n{p.stdout[-2000:]}\n{p.stderr[-2000:]}")
    return json.loads(p.stdout) if p.stdout.strip() else None


# boto3 stands for anybody else with the bucket's name: argv is URL, key, secret, then what to do.
BOTO3 = """
import boto3, json, sys
url, key, secret, what, *rest = sys.argv[1:]
of = lambda kind: boto3.client(kind, endpoint_url=url, aws_access_key_id=key, aws_secret_access_key=secret, region_name="us-east-1")
if what == "rules":
    rules = of("s3").get_bucket_lifecycle_configuration(Bucket=rest[0])["Rules"]
    print(json.dumps({r["Filter"]["Prefix"]: r["Expiration"]["Days"] for r in rules if r["Status"] == "Enabled"}))
elif what == "add-rule":
    of("s3").put_bucket_lifecycle_configuration(Bucket=rest[0], LifecycleConfiguration={"Rules": [
        {"ID": "theirs", "Filter": {"Prefix": "logs/"}, "Status": "Enabled", "Expiration": {"Days": 3}}]})
elif what == "copy":
    s3 = of("s3")
    s3.create_bucket(Bucket=rest[1])
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=rest[0]):
        for o in page["Contents"]:
            s3.copy_object(Bucket=rest[1], Key=rest[2] + o["Key"], CopySource={"Bucket": rest[0], "Key": o["Key"]})
elif what == "public":
    of("s3").put_bucket_policy(Bucket=rest[0], Policy=rest[1])
elif what == "private":
    of("s3").delete_bucket_policy(Bucket=rest[0])
elif what == "expires":  # what the service says of each object: by which rule it goes, and after how many days
    s3, found = of("s3"), {}
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=rest[0]):
        for o in page["Contents"]:
            h = s3.head_object(Bucket=rest[0], Key=o["Key"])
            e = h.get("Expiration")
            days = None
            if e:
                import email.utils
                days = round((email.utils.parsedate_to_datetime(e.split('"')[1]) - h["LastModified"]).total_seconds() / 86400)
            found.setdefault("/".join(o["Key"].split("/")[:-1]), []).append(days)
    print(json.dumps(found))
elif what == "age":  # packs become so many days old, as a copy from another MinIO keeps its time
    import datetime
    s3, then = of("s3"), datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=float(rest[1]))
    s3.meta.events.register("before-send.s3.PutObject",
                            lambda request, **_: request.headers.__setitem__("x-minio-source-mtime", then.strftime("%Y-%m-%dT%H:%M:%SZ")))
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=rest[0], Prefix="packs/"):
        for o in page.get("Contents", []):
            s3.put_object(Bucket=rest[0], Key=o["Key"], Body=s3.get_object(Bucket=rest[0], Key=o["Key"])["Body"].read())
elif what == "assume":
    print(json.dumps(of("sts").assume_role(RoleArn="arn:x:ignored:by:minio:", RoleSessionName="ff-test", DurationSeconds=3600,
                                           Policy=rest[0])["Credentials"], default=str))
"""


def boto3(server, what, *rest):
    p = subprocess.run([peers.BOTO3_PYTHON, "-c", BOTO3, server.url, server.key, server.secret, what, *rest], capture_output=True, text=True,
                       timeout=120)
    if p.returncode:
        raise SystemExit(f"boto3, {what}: {p.stderr[-1000:]}")
    return json.loads(p.stdout) if p.stdout.strip() else None


def suites(server, style="auto", key_file=None):
    """Every test of the store that takes a back end."""
    env = server.settings("suite")
    with tempfile.TemporaryDirectory() as state:
        ff("store", "init", env=env | {"FF_S3_STYLE": style}, state=state)
    env |= {"FF_TEST_S3": server.url, "FF_TEST_S3_BUCKET": "suite", "FF_TEST_S3_KEY": server.key, "FF_TEST_S3_SECRET": server.secret,
            "FF_TEST_S3_STYLE": style, **({"FF_TEST_S3_CA": str(server.ca)} if server.ca else {}),
            **({"FF_TEST_S3_KEYFILE": str(key_file)} if key_file else {})}
    for name in ("store", "tree", "gc", "workspace", "migrate"):
        p = subprocess.run([BUILD / "tests" / "unit" / "store" / f"test_store_{name}"], env=env, capture_output=True, text=True, timeout=300)
        ran = p.stdout.count("/s3\n") + p.stderr.count("/s3\n")
        if p.returncode or (name != "workspace" and not ran):
            raise SystemExit(f"{server.kind}, {style}: suite {name}:\n{p.stdout[-3000:]}\n{p.stderr[-3000:]}")
    print(f"ok {server.kind}, {style} style{', encrypted' if key_file else ''}: the store's suites")


def end_to_end(server, folder):
    """Two hosts (two states, two caches) on one bucket."""
    env = server.settings("e2e")
    a, b = folder / "a", folder / "b"
    assert ff("store", "ls", env=env, state=a, want=5)["error"]["hint"] == "'ff store init' makes it"
    assert ff("store", "init", env=env, state=a)["created"]
    assert not ff("store", "init", env=env, state=a)["created"]
    run = ff("run", "security_assessment", EXAMPLE, "--fail-on", "high", env=env, state=a, want=1)
    assert run["status"] == "COMPLETED" and len(run["findings"]) > 100, run["findings_count"]
    # The other host reads what the first wrote.
    objects = ff("store", "ls", env=env, state=b)["objects"]
    assert len(objects) >= 5
    for o in objects:
        out = folder / "out"
        ff("store", "get", o["ref"], "-o", out, env=env, state=b)
        assert out.stat().st_size == o["bytes"]
    assert ff("store", "verify", env=env, state=b)["bad_objects"] == 0
    # The same target again sends next to nothing, from a host that has never seen it.
    again = ff("run", "security_assessment", EXAMPLE, "--fail-on", "high", env=env, state=b, want=1)
    assert {f["fingerprint"] for f in again["findings"]} == {f["fingerprint"] for f in run["findings"]}
    # What nobody keeps goes; what a run keeps stays.
    lonely = ff("store", "put", EXAMPLE / "README.md", env=env, state=a) if (EXAMPLE / "README.md").exists() else None
    if lonely:
        ff("store", "rm", lonely["ref"], env=env, state=b)
        listed = ff("store", "ls", env=env, state=a)["objects"]  # until then the first host may know it from its own cache
        assert lonely["ref"] not in [o["ref"] for o in listed]
        assert ff("store", "get", lonely["ref"], "-o", folder / "out", env=env, state=a, want=2)["error"]["code"] == "NOT_FOUND"
    assert ff("store", "gc", env=env, state=b)["objects_removed"] == 0  # younger than the least grace time
    print(f"ok {server.kind}: a run, read, verified and repeated from another host")


def cut_short(which, env, state, reached):
    """Kills a migration as soon as so much of it is done."""
    p = subprocess.Popen([FF, "--state", state, "store", "migrate", *which], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not reached() and p.poll() is None:
        time.sleep(0.001)
    p.kill()
    assert p.wait() == -signal.SIGKILL, "it was over before it could be killed"


def migration(server, folder):
    """local to s3 and back, cut short by a kill, and gone on with."""
    env = server.settings("moved")
    state, other = folder / "m", folder / "n"
    ff("store", "init", env=env, state=state)
    local = env | {"FF_STORE": "local"}
    refs = []
    for i in range(10):
        big = folder / "big"
        big.write_bytes(os.urandom(6_000_000) + bytes([i]))
        refs.append((ff("store", "put", big, env=local, state=state)["ref"], big.read_bytes()))
    there = lambda: sum(1 for p in (server.data / "moved" / "packs").rglob("xl.meta") if p.stat().st_size)
    cut_short(["local", "s3"], env, state, lambda: there() >= 3)
    assert there() < 15, "it was not cut short"
    done = ff("store", "migrate", "local", "s3", env=env, state=state)
    assert done["objects"] == 10 and done["bad_objects"] == 0 and done["pins_copied"] <= 10
    assert done["bytes_copied"] < 10 * 6_000_000 - 2 * 3_000_000, done  # what had arrived was not sent again
    assert ff("store", "migrate", "local", "s3", env=env, state=state)["objects_copied"] == 0
    packs = other / "store" / "files" / "p"
    arrived = lambda: sum(p.stat().st_size for p in packs.iterdir()) if packs.exists() else 0
    cut_short(["s3", "local"], env, other, lambda: arrived() > 17_000_000)  # of which 16 MB have been committed
    back = ff("store", "migrate", "s3", "local", env=env, state=other)
    assert back["objects_copied"] <= 10 and back["bytes_copied"] < 10 * 6_000_000 - 12_000_000, back
    back = ff("store", "migrate", "s3", "local", env=env, state=other)
    assert back["objects"] == 10 and back["objects_copied"] == back["pins_copied"] == 0, back
    for ref, data in refs:
        ff("store", "get", ref, "-o", folder / "out", env=local, state=other)
        assert (folder / "out").read_bytes() == data
    # A run of before is read from the bucket alone, and from another one that all its keys were copied to.
    ff("run", "security_assessment", EXAMPLE, "--name", "moved", env=local, state=state)
    assert not (server.data / "moved" / "packs" / "targets").exists()
    ff("store", "migrate", "local", "s3", env=env, state=state)
    assert list((server.data / "moved" / "packs" / "targets").iterdir()), "the target is no target any more"
    shutil.rmtree(state / "store")
    boto3(server, "copy", "moved", "copied", "z/")
    for where in (env, env | {"S3_BUCKET": "copied", "FF_S3_PREFIX": "z/"}):
        assert len(ff("findings", "list", "--run", "moved", env=where, state=state)["findings"]) > 100
        assert ff("store", "verify", env=where, state=state)["bad_objects"] == 0
    print(f"ok {server.kind}: migration from local to s3, killed and gone on with, and back")


def rotation(server, folder):
    """A store without a key gets one, then another; then the first is not needed any more."""
    env, state = server.settings("keys"), folder / "k"
    keys = folder / "ring"
    one, two = "11" * 32, "22" * 32

    def ring(*text):
        keys.write_text("\n".join(text) + "\n")
        keys.chmod(0o600)
        return env | {"FF_S3_KEY_FILE": str(keys)}

    ff("store", "init", env=env, state=state)
    files = {}
    for i, size in enumerate((100, 60_000, 6_000_000)):
        path = folder / "plain"
        path.write_bytes(b"MARK-%d-" % i + os.urandom(size))
        files[ff("store", "put", path, env=env, state=state)["ref"]] = path.read_bytes()
    packs = lambda: [p.read_bytes() for p in (server.data / "keys" / "packs").rglob("*") if p.is_file()]
    ff("run", "security_assessment", EXAMPLE, "--name", "kept-by-me", env=env, state=state)
    pins = lambda: [p.read_bytes() for p in (server.data / "keys" / "pins").rglob("*") if p.is_file()]
    assert any(b"MARK-" in p for p in packs()) and any(b"kept-by-me" in p for p in pins())
    assert ff("store", "rekey", env=ring(one), state=state)["packs"] >= 3
    assert not any(b"MARK-" in p for p in packs()) and pins() and not any(b"kept-by-me" in p for p in pins())
    assert ff("store", "rekey", env=ring(one), state=state)["packs"] == 0
    assert ff("store", "rekey", env=ring(two, one), state=folder / "k2")["packs"] >= 3
    for ref, data in files.items():
        ff("store", "get", ref, "-o", folder / "out", env=ring(two), state=folder / "k3")
        assert (folder / "out").read_bytes() == data
    assert len(ff("findings", "list", "--run", "kept-by-me", env=ring(two), state=state)["findings"]) > 100
    for ref in files:  # that of the run is kept, these are not: their pins can still be read
        ff("store", "rm", ref, env=ring(two), state=folder / "k3")
    for args in (("ls",), ("gc",)):  # who lacks the key does not take what is kept for garbage
        e = ff("store", *args, env=ring(one), state=folder / "k4", want=5)["error"]
        assert "s3.key_file" in e["message"], e
    print(f"ok {server.kind}: keys that change")


class Remote:
    """`ff serve` over a state; call() is what a client elsewhere says, who has none of its settings."""

    def __init__(self, env, state):
        self.p = subprocess.Popen([FF, "--state", state, "--json", "serve", "--listen", "127.0.0.1:0"], env=env, stdout=subprocess.PIPE, text=True)
        text = ""
        while not text.rstrip().endswith("}"):
            text += self.p.stdout.readline() or sys.exit("ff serve did not start")
        self.words = [FF, "--json", "--server", json.loads(text)["rest"], "--token-file", pathlib.Path(state) / "token"]

    def popen(self, *args):
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "S3_", "FF_"))}
        return subprocess.Popen([str(a) for a in (*self.words, *args)], env=clean, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def call(self, *args, want=0):
        p = self.popen(*args)
        out, err = p.communicate(timeout=300)
        assert p.returncode == want, (args, p.returncode, out, err)
        return json.loads(out)

    def end(self, how=signal.SIGTERM):
        self.p.send_signal(how)
        assert self.p.wait(timeout=60) == (0 if how == signal.SIGTERM else -how)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.p.poll() is None:
            self.p.kill()
            self.p.wait()


def through_server(server, folder):
    """The same by an admin elsewhere: the server uses its own settings and keys. Cut short at any side, it is said again."""
    keys, state = folder / "serving.ring", folder / "serving"
    one, two = "33" * 32, "44" * 32

    def ring(*text):
        keys.write_text("\n".join(text) + "\n")
        keys.chmod(0o600)

    ring(one)
    env = server.settings("served") | {"FF_STORE": "local", "FF_S3_KEY_FILE": str(keys)}
    packs = lambda: [p.read_bytes() for p in (server.data / "served" / "packs").rglob("*") if p.is_file()]
    arrived = lambda: sum(len(p) for p in packs())
    with Remote(env, state) as s:
        e = s.call("store", "migrate", "local", "s3", want=5)["error"]
        assert e["code"] == "MISSING" and "store init" in e["hint"], e
        assert s.call("--store", "s3", "store", "init") == {"store": "s3", "where": "served", "created": True}
        assert not s.call("--store", "s3", "store", "init")["created"]
        refs = {}
        for i in range(12):
            path = folder / "served.bytes"
            path.write_bytes(b"MARK-%d-" % i + os.urandom(6_000_000))
            refs[s.call("store", "put", path)["ref"]] = path.read_bytes()
        p = s.popen("store", "migrate", "local", "s3")  # whoever asked leaves: nothing is lost by that
        while arrived() < 6_000_000:
            assert p.poll() is None, p.communicate()
        p.kill()
        p.wait()
        s.end(signal.SIGKILL)
        before = arrived()
    with Remote(env, state) as s:
        p = s.popen("store", "migrate", "local", "s3")
        while arrived() < min(before + 6_000_000, 60_000_000):
            assert p.poll() is None, p.communicate()
        s.end()  # does not wait for all of it
        out, err = p.communicate(timeout=60)
        assert p.returncode in (0, 5), (p.returncode, out, err)
        cut = p.returncode == 5
    with Remote(env, state) as s:
        done = s.call("store", "migrate", "local", "s3")
        assert done["objects"] == 12 and done["bad_objects"] == 0 and done["bytes_copied"] < 12 * 6_000_000 - before + 4_000_000, (done, before)
        assert s.call("store", "migrate", "local", "s3")["objects_copied"] == 0
        assert not any(b"MARK-" in p for p in packs())
    # The keys change: not under a server that goes on with the old ones.
    env["FF_STORE"] = "s3"
    with Remote(env, state) as s:
        ring(two, one)
        e = s.call("store", "rekey", want=2)["error"]
        assert e["code"] == "STATE" and "other keys" in e["message"] and "start it again" in e["hint"], e
        keys.chmod(0o644)
        e = s.call("store", "rekey", want=5)["error"]
        assert "chmod 600" in e["message"], e
        keys.chmod(0o600)
        s.end()
    with Remote(env, state) as s:
        p = s.popen("store", "rekey")
        time.sleep(0.05)
        p.kill()
        p.wait()
        s.end(signal.SIGKILL)
    with Remote(env, state) as s:
        s.call("store", "rekey")
        assert s.call("store", "rekey") == {"packs": 0}
        s.end()
    ring(two)
    shutil.rmtree(state / "store")
    with Remote(env, state) as s:
        for ref, data in refs.items():
            s.call("store", "get", ref, "-o", folder / "out")
            assert (folder / "out").read_bytes() == data
        audit = [e["action"] for e in s.call("audit", "--action", "store.", "-n", "1000")["entries"]]
        assert {"store.init", "store.migrate", "store.rekey"} <= set(audit), audit
        assert one not in json.dumps(audit) and two not in json.dumps(audit)
    print(f"ok {server.kind}: stores made, filled and sealed anew through a server{', which was stopped meanwhile' if cut else ''}")


def retention(server, folder):
    """Two stores of one bucket, each with its own times; neither init changes what the other said."""
    env, state = server.settings("expiry"), folder / "x"
    init = lambda prefix, want=0, **keep: ff("store", "init", env=env | {"FF_S3_PREFIX": prefix} | keep, state=state, want=want)
    init("", FF_S3_KEEP_TARGETS="30d", FF_S3_KEEP_RESULTS="1000d")
    init("team/b/", FF_S3_KEEP_CORPORA="2d", FF_S3_KEEP_RESULTS="12h")
    a = {"packs/targets/": 30, "packs/results/": 1000}
    b = {"team/b/packs/results/": 1, "team/b/packs/corpora/": 2}
    assert boto3(server, "rules", "expiry") == a | b
    init("", FF_S3_KEEP_TARGETS="31d")
    assert boto3(server, "rules", "expiry") == b | {"packs/targets/": 31}
    # The service says of each object when it goes: by the rule of its class, which each have their own, or never.
    init("team/d/", FF_S3_KEEP_TARGETS="3d", FF_S3_KEEP_RESULTS="5d", FF_S3_KEEP_CORPORA="7d")
    d = env | {"FF_S3_PREFIX": "team/d/"}
    ff("run", "security_assessment", EXAMPLE, env=d, state=state)
    told = {k.removeprefix("team/d/"): v for k, v in boto3(server, "expires", "expiry").items() if k.startswith("team/d")}
    # A day begins at midnight: what is a day old then goes the next one.
    assert {k: {x and x - (x not in (3, 5)) for x in v} for k, v in told.items()} == {
        "team/d": {None}, "pins": {None}, "packs/targets": {3}, "packs/results": {5}}, told
    init("team/d/")
    init("team/b/")
    assert boto3(server, "rules", "expiry") == {"packs/targets/": 31}
    init("team/c/")
    assert boto3(server, "rules", "expiry") == {"packs/targets/": 31}
    init("")
    boto3(server, "add-rule", "expiry")
    e = init("", want=2, FF_S3_KEEP_TARGETS="30d")["error"]
    assert "somebody else" in e["message"], e
    assert boto3(server, "rules", "expiry") == {"logs/": 3}
    print(f"ok {server.kind}: what expires, each store of a bucket by its own rules")


def leaver(box, module):
    """A toolbox whose one workflow runs that module."""
    (box / "modules/leave").mkdir(parents=True)
    (box / "workflows/leaver").mkdir(parents=True)
    (box / "modules/leave/module.yaml").write_text('name: leave\nversion: "1"\ncategory: tool\ndescription: d\nexec: ["/usr/bin/python3", "/module/m.py"]\n')
    (box / "modules/leave/m.py").write_text(module)
    (box / "workflows/leaver/metadata.yaml").write_text('name: leaver\nversion: "1"\nvertical: python\n')
    (box / "workflows/leaver/workflow.lua").write_text(
        'return function() ff.activity("leave", {}, {timeout = "60s", retry = {max = 1}}) return {summary = {}} end\n')


def expires(server, folder):
    """What has come to the age of its class is removed by the service, that and nothing else; then it is said what is gone, and what
    is put again is there again."""
    box, state, target = folder / "exbox", folder / "ex", folder / "extarget"
    env = server.settings("expires", CACHE_DIR=folder / "ex-cache")
    leaver(box, LEAVE.replace("big.bin", "corpus.tar").replace("300000", "30000"))
    target.mkdir()
    (target / "a.py").write_text("eval(input())\n")
    ff("store", "init", env=env | {"FF_S3_KEEP_TARGETS": "3d", "FF_S3_KEEP_RESULTS": "5d", "FF_S3_KEEP_CORPORA": "7d"}, state=state)
    ff("run", "security_assessment", target, "--name", "assessed", env=env, state=state)
    ff("--toolbox", box, "run", "leaver", target, "--name", "grown", env=env, state=state)
    corpus = next(o["ref"] for o in ff("store", "ls", env=env, state=state)["objects"] if o["bytes"] == 30000)
    tree = ff("runs", "show", "assessed", env=env, state=state)["target"]["ref"]
    packs = lambda: {p.parent.name for p in server.data.glob("expires/packs/*/*")}
    there = {"targets", "results", "corpora"}
    assert packs() == there, packs()
    for age, goes in ((2, None), (4, "targets"), (6, "results"), (8, "corpora")):
        boto3(server, "age", "expires", str(age))
        ff("store", "ls", env=env, state=state)  # this host knows the bucket as it is now
        server.stop()
        server.up(MINIO_SCANNER_SPEED="fastest")
        there.discard(goes)
        end = time.monotonic() + 60
        while packs() != there or (age == 2 and time.monotonic() < end - 55):
            assert time.monotonic() < end and there <= packs(), (age, packs())
            time.sleep(0.1)
        server.stop()
        server.up()
        other = env | {"CACHE_DIR": str(folder / f"ex-cache{age}")}  # a host that has nothing of it
        verified = ff("store", "verify", env=other, state=state, want=5 if goes else 0)
        missing = {m["ref"]: m["reason"] for m in verified["missing"]}
        assert all("has expired or was removed, but run " in x for x in missing.values()) and bool(missing) == bool(goes), (age, missing)
        if goes == "targets":
            assert list(missing) == [tree] and len(ff("findings", "list", "--run", "assessed", env=other, state=state)["findings"]) == 1
        if goes == "results":
            e = ff("findings", "list", "--run", "assessed", env=other, state=state, want=2)["error"]
            assert e["code"] == "NOT_FOUND" and "expired" in e["hint"], e
        e = ff("store", "get", corpus, "-o", folder / "out", env=other, state=state, want=2 if goes == "corpora" else 0)
        assert goes != "corpora" or "expired" in e["error"]["hint"], e
        if age == 8:  # from the host that thinks that it is all there
            ff("run", "security_assessment", target, "--name", "again", env=env, state=state)
            assert packs() == {"targets", "results"} and len(ff("findings", "list", "--run", "again", env=other, state=state)["findings"]) == 1
    ff("runs", "delete", "assessed", env=env, state=state)
    ff("runs", "delete", "grown", env=env, state=state)
    assert ff("store", "verify", env=other, state=state)["missing_objects"] == 0
    print(f"ok {server.kind}: objects that expire, each class at its age")


def shared_bytes(server, folder):
    """What a target and a result have in common stays as long as either: the one whose class has expired takes nothing along."""
    target = folder / "common"
    target.mkdir()
    (target / "same.bin").write_bytes(os.urandom(3_000_000))
    of = lambda kind, env: server.data / "common" / env["FF_S3_PREFIX"] / "packs" / kind
    for first in ("targets", "results"):
        env = server.settings("common", FF_S3_PREFIX=f"{first}/")
        ff("store", "init", env=env, state=folder / first)
        put = lambda: ff("store", "put", target / "same.bin", env=env, state=folder / first)["ref"]
        ref = put() if first == "results" else None
        ff("run", "security_assessment", target, "--name", "common", env=env, state=folder / first)
        ref = ref or put()
        sizes = {k: sum(p.stat().st_size for p in of(k, env).rglob("*") if p.is_file()) for k in ("targets", "results")}
        assert min(sizes.values()) > 3_000_000, sizes
        shutil.rmtree(of("targets", env))  # as the service's rule does
        ff("store", "get", ref, "-o", folder / "out", env=env, state=folder / f"{first}-other")
        assert (folder / "out").read_bytes() == (target / "same.bin").read_bytes()
    print(f"ok {server.kind}: what two classes have in common, when one has expired")


def privacy(server, folder):
    """Nothing is public, and no store of a bucket reads another: not by its name for an object, not by the cache, not with keys
    that are for one prefix."""
    env, state = server.settings("private"), folder / "p"
    a, b = (env | {"FF_S3_PREFIX": p, "CACHE_DIR": str(folder / "shared-cache")} for p in ("a/", "b/"))
    refs = {}
    for who in (a, b):
        ff("store", "init", env=who, state=state)
        path = folder / "secret"
        path.write_bytes(b"secret of " + who["FF_S3_PREFIX"].encode() + os.urandom(2_000_000))
        refs[who["FF_S3_PREFIX"]] = ff("store", "put", path, env=who, state=state)["ref"]
    for who, other in ((a, "b/"), (b, "a/")):
        listed = [o["ref"] for o in ff("store", "ls", env=who, state=state)["objects"]]
        assert listed == [refs[who["FF_S3_PREFIX"]]], listed
        for args in (("get", refs[other], "-o", folder / "never"), ("stat", refs[other]), ("rm", refs[other])):
            assert ff("store", *args, env=who, state=state, want=2)["error"]["code"] == "NOT_FOUND", args
        assert not (folder / "never").exists()
    # Somebody without keys.
    names = [p.parent.relative_to(server.data) for p in (server.data / "private").rglob("xl.meta")]
    assert len(names) >= 6, names
    for name in ["private?list-type=2", "private?policy=", *names]:
        try:
            urllib.request.urlopen(f"{server.url}/{name}", timeout=20)
            raise SystemExit(f"{name} is public")
        except urllib.error.HTTPError as e:
            assert e.code == 403, (name, e.code)
    # Keys for the one prefix: all works there, nothing elsewhere.
    policy = {"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"],
         "Resource": ["arn:aws:s3:::private/a/*"]},
        {"Effect": "Allow", "Action": ["s3:ListBucketMultipartUploads"], "Resource": ["arn:aws:s3:::private"]},
        {"Effect": "Allow", "Action": ["s3:ListBucket"], "Resource": ["arn:aws:s3:::private"],
         "Condition": {"StringLike": {"s3:prefix": ["a/*"]}}}]}
    keys = boto3(server, "assume", json.dumps(policy))
    mine = {"S3_ACCESS_KEY": keys["AccessKeyId"], "S3_SECRET_KEY": keys["SecretAccessKey"], "FF_S3_SESSION_TOKEN": keys["SessionToken"]}
    run = ff("run", "security_assessment", EXAMPLE, env=a | mine, state=folder / "p2")
    assert run["status"] == "COMPLETED" and ff("store", "verify", env=a | mine, state=folder / "p2")["bad_objects"] == 0
    ff("store", "gc", env=a | mine, state=folder / "p2")
    for args in (("ls",), ("get", refs["b/"], "-o", folder / "never"), ("put", EXAMPLE / "README.md")):
        e = ff("store", *args, env=b | mine | {"CACHE_DIR": str(folder / "empty-cache")}, state=folder / "p3", want=5)["error"]
        assert "denies access" in e["message"], e
    # A bucket that was made public is not taken, however little of it.
    all_of_it, packs = "arn:aws:s3:::private", "arn:aws:s3:::private/a/packs/results/*"
    for action, resource, says in (("s3:GetObject", all_of_it + "/*", "read"), ("s3:GetObject", packs, "read"),
                                   ("s3:ListBucket", all_of_it, "list"), ("s3:PutObject", packs, "write")):
        boto3(server, "public", "private", json.dumps({"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Principal": "*", "Action": [action], "Resource": [resource]}]}))
        e = ff("store", "init", env=a, state=state, want=5)["error"]
        assert "anybody can " + says in e["message"], (action, resource, e)
    boto3(server, "private", "private")
    ff("store", "init", env=a, state=state)
    assert not list((server.data / "private" / "a").rglob("probe"))
    print(f"ok {server.kind}: nothing is public, and no store of a bucket reads another")


LEAVE = '''
import os, json, sys
sys.stdin.readline()
open("/scratch/big.bin", "wb").write(os.urandom(300000))
print(json.dumps({"type": "artifact", "path": "/scratch/big.bin", "name": "big.bin"}))
print(json.dumps({"type": "result", "status": "success"}))
'''


class Serving(peers.Stopped):
    """`ff serve` with a store in a bucket, for a namespace that may store 200 KB."""

    def __init__(self, state, toolbox, env):
        super().__init__()
        (state / "server.json").unlink(missing_ok=True)
        self.start([FF, "--state", state, "--toolbox", toolbox, "serve", "--listen", "127.0.0.1:0", "--grpc", "127.0.0.1:0"],
                   env=env | {"FF_QUOTA_NAMESPACES": "small storage=200K"})
        end = time.monotonic() + 60
        while not (state / "server.json").exists() or '"rest"' not in (state / "server.json").read_text():
            if time.monotonic() > end or self.process.poll() is not None:
                raise SystemExit("ff serve did not start: " + self.log.read_text(errors="replace"))
            time.sleep(0.05)
        said = json.loads((state / "server.json").read_text())
        self.url, self.grpc = said["rest"], said["grpc"]

    def ask(self, token, method, path, body=None):
        q = urllib.request.Request(self.url + path, body, {"Authorization": f"Bearer {token}", "Content-Type": "application/octet-stream"}, method=method)
        try:
            with urllib.request.urlopen(q, timeout=60) as r:
                return r.status, json.load(r)
        except urllib.error.HTTPError as e:
            return e.code, json.load(e)

    def upload(self, token, name, target=b"a target\n", workflow="leaver"):
        status, r = self.ask(token, "POST", f"/workflows/{workflow}/upload-and-submit?filename=a.txt&name={name}", target)
        end = time.monotonic() + 60
        while status == 200 and self.ask(token, "GET", f"/runs/{name}/status")[1]["is_running"] and time.monotonic() < end:
            time.sleep(0.1)
        return status, r


# A run whose memo says what its client wants: argv is the address, the token, the target's reference.
LIAR = """
import asyncio, json, os, sys
from temporalio.api.common.v1 import Memo, Payload, WorkflowType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import StartWorkflowExecutionRequest
from temporalio.client import Client
address, token, ref = sys.argv[1:]
said = json.dumps({"name": "x", "ref": ref, "bytes": 1}).encode()
async def main():
    c = await Client.connect(address, namespace="small", rpc_metadata={"authorization": "Bearer " + token})
    await c.workflow_service.start_workflow_execution(StartWorkflowExecutionRequest(namespace="small", workflow_id="liar", request_id="x",
        workflow_type=WorkflowType(name="x"), task_queue=TaskQueue(name="nobody"), identity="x",
        memo=Memo(fields={"ff_target": Payload(metadata={"encoding": b"json/plain"}, data=said)})))
asyncio.run(main())
os._exit(0)  # the SDK's native core may crash while the interpreter ends
"""


def credentials(server, folder):
    """Where keys come from, in which order, and what is said of those that are no good."""
    env, state = server.settings("keyring"), folder / "c"
    ff("store", "init", env=env, state=state)
    for name in ("S3_ACCESS_KEY", "S3_SECRET_KEY"):
        del env[name]
    home, file, other = folder / "home", folder / "home" / ".aws" / "credentials", folder / "elsewhere"
    file.parent.mkdir(parents=True)
    env["HOME"] = str(home)
    temporary = boto3(server, "assume", json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": ["s3:*"], "Resource": ["arn:aws:s3:::keyring", "arn:aws:s3:::keyring/*"]}]}))
    section = lambda name, key, secret, token="": (f"[{name}]\r\naws_access_key_id={key}\r\n  aws_secret_access_key = {secret} \n" +
                                                   (f"aws_session_token = {token}\n" if token else "") + "region = mars\n\n")
    temp = (temporary["AccessKeyId"], temporary["SecretAccessKey"], temporary["SessionToken"])
    file.write_text("# keys\n" + section("default", server.key, server.secret) + section("wrong", server.key, "wrong") +
                    section("short-lived", *temp) + section("of-another", *temp[:2], temp[2][:-9] + "AAAAAAAAA") +
                    "[half]\naws_access_key_id = x\n")
    other.write_text(section("default", "nobody", "x") + section("here", server.key, server.secret))
    aws = {"AWS_ACCESS_KEY_ID": server.key, "AWS_SECRET_ACCESS_KEY": server.secret}
    bad = {"AWS_ACCESS_KEY_ID": "nobody", "AWS_SECRET_ACCESS_KEY": "x"}
    for more in ({}, {"AWS_PROFILE": "short-lived"}, {"FF_S3_PROFILE": "short-lived"}, {"AWS_PROFILE": "wrong", "FF_S3_PROFILE": "default"},
                 {"AWS_SHARED_CREDENTIALS_FILE": str(other), "AWS_PROFILE": "here"}, aws | {"AWS_PROFILE": "wrong"},
                 bad | {"FF_S3_PROFILE": "short-lived"}, bad | {"FF_S3_CREDENTIALS_FILE": str(file)},
                 bad | {"S3_ACCESS_KEY": server.key, "S3_SECRET_KEY": server.secret},
                 {"AWS_ACCESS_KEY_ID": temp[0], "AWS_SECRET_ACCESS_KEY": temp[1], "AWS_SESSION_TOKEN": temp[2]},
                 {"S3_ACCESS_KEY": temp[0], "S3_SECRET_KEY": temp[1], "FF_S3_SESSION_TOKEN": temp[2]}):
        assert ff("store", "ls", env=env | more, state=state)["objects"] == [], more
    refused = "does not accept the credentials"
    for more, says in ((bad, refused), ({"AWS_PROFILE": "wrong"}, refused), ({"AWS_PROFILE": "of-another"}, refused),
                       ({"FF_S3_PROFILE": "nobody"}, f"{file} has no keys for the profile 'nobody'"),
                       ({"AWS_PROFILE": "half"}, "no keys for the profile 'half'"), ({"S3_ACCESS_KEY": server.key}, "no credentials"),
                       ({"HOME": str(folder)}, "no credentials"), ({"FF_S3_CREDENTIALS_FILE": str(folder / "none")}, str(folder / "none")),
                       ({"AWS_ACCESS_KEY_ID": temp[0], "AWS_SECRET_ACCESS_KEY": temp[1]}, refused)):
        e = ff("store", "ls", env=env | more, state=state, want=2 if "none" in says else 5)["error"]
        assert says in e["message"] and server.secret not in str(e), (more, e)
    # A bucket of AWS with dots has no certificate: it is named in the path. Nobody is asked but a proxy that is not there.
    far = env | {"S3_ENDPOINT": "", "FF_S3_RETRY": "1ms", "https_proxy": "http://127.0.0.1:9"}
    for bucket, where in (("a.dotted", "https://s3.us-east-1.amazonaws.com/a.dotted"), ("plain", "https://plain.s3.us-east-1.amazonaws.com")):
        e = ff("store", "ls", env=far | {"S3_BUCKET": bucket}, state=state, want=5)["error"]
        assert where + ":" in e["message"], e
    print(f"ok {server.kind}: keys from settings, the environment and files")


def full(r):
    """Of 293 KB that a run has left, with what else it is."""
    m = re.search(r"stores ([0-9.]+)", str(r))
    return m and 290 < float(m[1]) < 340


def quota(server, folder):
    """What a run has left in the bucket counts, whoever worked for it, also after a restart, until the run is taken away."""
    box, state, env = folder / "box", folder / "quota", server.settings("quota")
    leaver(box, LEAVE)
    (box / "workflows/brief").mkdir()
    (box / "workflows/brief/metadata.yaml").write_text('name: brief\nversion: "1"\nvertical: python\n')
    (box / "workflows/brief/workflow.lua").write_text("return function() return {summary = {}} end\n")
    ff("store", "init", env=env, state=state)
    token = ff("token", "create", "--role", "operator", "--namespace", "small", env=env, state=state)["token"]
    with Serving(state, box, env) as s:
        assert s.upload(token, "first")[0] == 200 and s.ask(token, "GET", "/runs/first/status")[1]["is_completed"]
        time.sleep(2.1)
        status, r = s.upload(token, "second")
        assert status == 429 and full(r), (status, r)
    with Serving(state, box, env) as s:
        status, r = s.upload(token, "third")
        assert status == 429 and full(r), (status, r)
        assert s.ask(token, "DELETE", "/runs/first")[0] == 200
        assert s.upload(token, "fourth")[0] == 200 and s.ask(token, "GET", "/runs/fourth/status")[1]["is_completed"]
        assert s.ask(token, "DELETE", "/runs/fourth")[0] == 200
    target = folder / "target.txt"
    target.write_text("another target\n")
    ff("--namespace", "small", "--toolbox", box, "run", "leaver", target, "--name", "elsewhere", env=env, state=state)  # its own worker
    with Serving(state, box, env) as s:
        status, r = s.upload(token, "fifth")
        assert status == 429 and full(r), (status, r)
        assert s.ask(token, "DELETE", "/runs/elsewhere")[0] == 200
        assert s.upload(token, "sixth")[0] == 200 and s.ask(token, "DELETE", "/runs/sixth")[0] == 200
        for _ in range(2):  # a name that is used again has not left what the run before it left
            assert s.upload(token, "again")[0] == 200
            time.sleep(2.1)
            status, r = s.upload(token, "other")
            assert status == 429 and full(r), (status, r)
            assert s.ask(token, "DELETE", "/runs/again")[0] == 200
        assert s.upload(token, "large", os.urandom(150000), "brief")[0] == 200
        ref = s.ask(token, "GET", "/runs/large")[1]["target"]["ref"]
        p = subprocess.run([peers.PYTHON, "-c", LIAR, s.grpc, token, ref], capture_output=True, text=True, timeout=60)
        assert p.returncode == 0, p.stderr
        assert s.ask(token, "DELETE", "/runs/large")[0] == 200
        status, r = s.upload(token, "more", os.urandom(80000), "brief")
        assert status == 429 and "stores 1" in str(r), (status, r)  # what a memo says of a target's size makes no room
    print(f"ok {server.kind}: a quota of what may be stored")


def untrusted(server, folder):
    """Certificates that nobody vouches for, of another name, out of date; and a service that speaks no TLS."""
    env, state = server.settings("suite"), folder / "untrusted"
    nobody = {k: v for k, v in env.items() if k != "FF_S3_CA_FILE"}
    plain = {"S3_ENDPOINT": server.url.replace("https:", "http:"), "FF_S3_RETRY": "1s"}
    other = env | {"S3_BUCKET": "other", "FF_S3_STYLE": "virtual"}
    for asks, before, says in ((nobody, (), "its certificate is not trusted"), (other, (), "other.localhost"),
                               (env, ("faketime", "-f", "+5d"), "expired"),
                               (env | {"FF_S3_CA_FILE": str(folder / "none")}, (), "none has no certificates"),
                               (env | plain, (), "HTTP")):
        p = subprocess.run([*before, FF, "--state", state, "store", "ls"], env=asks, capture_output=True, text=True, timeout=120)
        assert p.returncode == 5 and says in p.stderr.splitlines()[0] and len(p.stderr.splitlines()) <= 2, (says, p)
        assert (asks is other) == ("s3.style=path" in p.stderr), p.stderr
    print(f"ok {server.kind}: certificates that are not trusted")


def main():
    peers.need("minio", "versitygw", "boto3", "python")
    with tempfile.TemporaryDirectory() as d:
        folder = pathlib.Path(d)
        for name in ("e2e", "tls", "gateway"):
            (folder / name).mkdir()
        keys = folder / "keys"
        keys.write_text("00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\n")
        keys.chmod(0o600)
        with peers.S3Server("minio") as s:
            suites(s, "path")
            suites(s, "virtual", keys)
            end_to_end(s, folder / "e2e")
            migration(s, folder)
            rotation(s, folder)
            through_server(s, folder)
            retention(s, folder)
            expires(s, folder)
            shared_bytes(s, folder)
            privacy(s, folder)
            credentials(s, folder)
            quota(s, folder)
        with peers.S3Server("minio-tls") as s:
            suites(s, "virtual")
            suites(s, "path")
            end_to_end(s, folder / "tls")
            untrusted(s, folder)
        with peers.S3Server("versitygw") as s:
            suites(s, "path")
            end_to_end(s, folder / "gateway")


main()
