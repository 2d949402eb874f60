"""Java fuzzed by Jazzer, on the example that ships.

usage: fuzzing_java.py example|removes|maven"""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time
import urllib.request

from fuzzing import CACHE, Lab, document, fail, kept_bytes, need, nothing_left, ok, stats_of

EXAMPLE = pathlib.Path(__file__).resolve().parents[2] / "examples" / "fuzz_target_java"
SOURCE = "src/main/java/records/Records.java"
BUGS = {"records.Records.name", "records.Records.number", "records.Records.make"}
BROKEN = "public class Bad { public static void fuzzerTestOneInput(byte[] b) { nope(b); } }\n"


def example():
    """Three bugs, one of which only Jazzer's hooks know; and the same again from one built target."""
    need("jazzer")
    env = {"FF_TOOLS": str(CACHE / "jazzer")}
    with Lab() as lab:
        p = lab.ff("run", "java_fuzzing", EXAMPLE, env={"FF_TOOLS": ""})
        if p.returncode != 5 or "jazzer" not in p.stderr:
            fail(f"Jazzer is missing: exit {p.returncode} {p.stderr}")
        doc = document(lab.ff("run", "java_fuzzing", lab.target({"Bad.java": BROKEN}, "bad"), "--json", env=env))
        if doc["status"] != "FAILED" or "Bad.java:1: error: cannot find symbol" not in str(doc["error"]):
            fail(f"{doc['status']} {doc.get('error')}")
        doc = document(lab.ff("run", "java_fuzzing", EXAMPLE, "--json", "duration=120s", "max_executions=400000", "minimize=1s", timeout=500, env=env))
        got = {f["evidence"]["crash_state"].split("\n")[0]: f for f in doc["findings"]}
        if doc["status"] != "COMPLETED" or set(got) != BUGS:
            fail(f"{doc['status']}: {doc.get('error')} {list(got)}")
        for f in got.values():
            if f["file"] != SOURCE or not f["line"] or f["evidence"]["reproduced"] != f["evidence"]["tries"]:
                fail(f"{f['title']}: {f['file']}:{f['line']}, {f['evidence']['reproduced']} of {f['evidence']['tries']}")
        if got["records.Records.make"]["severity"] != "high" or "ArrayIndexOutOfBounds" not in got["records.Records.name"]["description"]:
            fail([(f["title"], f["severity"], f["description"]) for f in got.values()])
        kept_bytes(lab, doc)
        nothing_left(b"/out/RecordsFuzzer")
        ok(f"three bugs, {doc['result']['summary']['executions']} executions")


# A quarter of a second after each bug it removes, renames and empties every file of its session that it can reach; until then it has no other.
REMOVES = """import java.io.*;
import java.nio.file.*;
public class RemovesFuzzer {
    static volatile boolean busy;
    static void damage(File dir) {
        File[] all = dir.listFiles();
        for (File f : all == null ? new File[0] : all) {
            String p = f.getPath();
            if (f.isDirectory() && !Files.isSymbolicLink(f.toPath())) {
                damage(f);
            } else if (p.contains("/run/") && !p.contains("/tmp/")) {
                try { new FileOutputStream(f).close(); } catch (IOException e) { }
                if (f.renameTo(new File(p + ".other")) || f.delete()) throw new IllegalStateException("removed");
            }
        }
    }
    static void later() {
        busy = true;
        Thread t = new Thread(() -> {
            try { Thread.sleep(250); } catch (InterruptedException e) { }
            damage(new File("/scratch"));
            busy = false;
        });
        t.setDaemon(true);
        t.start();
    }
    static void one() { throw new IllegalStateException(); }
    static void two() { throw new IllegalStateException(); }
    static void three() { throw new IllegalStateException(); }
    static void four() { throw new IllegalStateException(); }
    static void five() { throw new IllegalStateException(); }
    public static void fuzzerTestOneInput(byte[] b) {
        if (busy || b.length < 2 || b[0] != 'X' || b[1] < '1' || b[1] > '5') return;
        later();
        switch (b[1]) {
            case '1': one();
            case '2': two();
            case '3': three();
            case '4': four();
            case '5': five();
        }
    }
}
"""


def removes():
    """No crash is lost to a target that empties the files of its engine, which goes on."""
    need("jazzer")
    env = {"FF_TOOLS": str(CACHE / "jazzer")}
    with Lab() as lab:
        p = lab.popen("run", "java_fuzzing", lab.target({"RemovesFuzzer.java": REMOVES}, "removes"), "--json", "--name", "r", "duration=250s", "minimize=0",
                      stdout=subprocess.PIPE, env=env)
        while p.poll() is None and stats_of(lab, "r")["unique_crashes"] < 5:
            time.sleep(0.3)
        lab.ff("runs", "signal", "r", "stop")
        doc = json.loads(p.communicate(timeout=120)[0])
        summary = doc["result"]["summary"]["targets"]["RemovesFuzzer"] if doc["status"] == "COMPLETED" else {}
        states = {f["evidence"]["crash_state"].split("\n")[0].rsplit(".", 1)[-1] for f in doc["findings"]}
        if states != {"one", "two", "three", "four", "five"} or summary["stopped_by"] != "signal":
            fail(f"{doc['status']} {doc.get('error')} {states} {summary}")
        kept_bytes(lab, doc)
        ok(f"{summary['crashes']} crashes, {summary['executions']} executions")


POM = """<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>%s
<groupId>org.demo</groupId><artifactId>%s</artifactId><version>1</version>%s
<properties><maven.compiler.source>11</maven.compiler.source><maven.compiler.target>11</maven.compiler.target><project.build.sourceEncoding>UTF-8</project.build.sourceEncoding></properties>
</project>
"""
PARENT = "<parent><groupId>org.demo</groupId><artifactId>all</artifactId><version>1</version></parent>"
NEEDS = "<dependencies><dependency><groupId>%s</groupId><artifactId>%s</artifactId><version>%s</version></dependency></dependencies>"
MAVEN = {
    "pom.xml": POM % ("", "all", "<packaging>pom</packaging><modules><module>core</module><module>app</module></modules>"),
    "core/pom.xml": POM % (PARENT, "core", NEEDS % ("com.google.code.gson", "gson", "2.10.1")),
    "core/src/main/java/demo/Conf.java": "package demo;\nimport com.google.gson.*;\npublic class Conf {\n    public static int read(String s) {\n"
                                         "        return s.startsWith(\"[]\") ? 7 / JsonParser.parseString(\"[]\").getAsJsonArray().size() : 0;\n    }\n}\n",
    "app/pom.xml": POM % (PARENT, "app", NEEDS % ("org.demo", "core", "1")),
    "app/src/test/java/demo/ConfFuzzer.java": "package demo;\npublic class ConfFuzzer {\n    public static void fuzzerTestOneInput(byte[] b) "
                                              "{ Conf.read(new String(b)); }\n}\n"}
GRADLE = {"build.gradle": "dependencies {\n    implementation 'com.google.code.gson:gson:2.10.1'\n}\n",
          "src/main/java/demo/Conf.java": MAVEN["core/src/main/java/demo/Conf.java"],
          "src/test/java/demo/ConfFuzzer.java": MAVEN["app/src/test/java/demo/ConfFuzzer.java"]}


def maven():
    """What a pom.xml names comes only where that is allowed; without, and with Gradle, the error says what to do."""
    need("jazzer")
    env = {"FF_TOOLS": str(CACHE / "jazzer")}
    with Lab() as lab:
        tree = lab.target(MAVEN, "maven")
        for files, word in ((MAVEN, "--fetch"), (GRADLE, "Gradle is not run")):
            says = lab.ff("fuzz", "build", lab.target(files, "t" + word[0]), "-e", "jazzer", "-o", "out", check=3, env=env).stderr
            if "names artifacts that are not there" not in says or word not in says:
                fail(says)
        try:
            urllib.request.urlopen("https://repo.maven.apache.org/maven2/com/google/code/gson/gson/2.10.1/gson-2.10.1.pom", timeout=10).close()
        except OSError as e:
            print(f"no Maven Central: {e}")
            sys.exit(77)
        if os.geteuid() != 0 or not shutil.which("mvn"):
            print("not root, or no Maven")
            sys.exit(77)
        doc = document(lab.ff("run", "java_fuzzing", tree, "--json", "fetch=true", "duration=60s", "stop_at_first_crash=true", "minimize=0", timeout=280, env=env))
        got = [(f["file"], f["line"], [s["file"] for s in f["evidence"]["stack"]]) for f in doc["findings"]]
        core = "core/src/main/java/demo/Conf.java"
        if doc["status"] != "COMPLETED" or got != [(core, 5, [core])]:
            fail(f"{doc['status']} {doc.get('error')} {got}")
        ok("named, and with fetch built and fuzzed")


if __name__ == "__main__":
    {"example": example, "removes": removes, "maven": maven}[sys.argv[1]]()
