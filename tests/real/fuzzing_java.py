"""Java fuzzed by Jazzer, on the example that ships.

usage: fuzzing_java.py"""
import pathlib

from fuzzing import CACHE, Lab, document, fail, kept_bytes, need, nothing_left, ok

EXAMPLE = pathlib.Path(__file__).resolve().parents[2] / "examples" / "fuzz_target_java"
SOURCE = "src/main/java/records/Records.java"
BUGS = {"records.Records.name", "records.Records.number", "records.Records.make"}
BROKEN = "public class Bad { public static void fuzzerTestOneInput(byte[] b) { nope(b); } }\n"


def java():
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


if __name__ == "__main__":
    java()
