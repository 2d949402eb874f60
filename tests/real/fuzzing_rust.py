"""Rust fuzzed with the real engine, on the example that ships.

usage: fuzzing_rust.py standin|cargofuzz|tests"""
import os
import pathlib
import shutil
import sys

from fuzzing import CACHE, Lab, document, fail, kept_bytes, need, nothing_left, ok

SOURCE = pathlib.Path(__file__).resolve().parents[2]
EXAMPLE = SOURCE / "examples" / "fuzz_target_rust"
BUGS = {("records::name", "Index-out-of-bounds"), ("records::span", "Integer-overflow"), ("records::table", "Heap-buffer-overflow READ 4")}
RUSTUP = os.environ.get("RUSTUP_HOME") or str(pathlib.Path.home() / ".rustup")
HARNESS = "#![no_main]\nuse libfuzzer_sys::fuzz_target;\nfuzz_target!(|data: &[u8]| %s);\n"


def fuzz(lab, target, *args, tools=""):
    env = {"RUSTUP_HOME": RUSTUP, "FF_TOOLS": str(tools)}
    doc = document(lab.ff("run", "cargo_fuzzing", target, "--json", "duration=8s", "minimize=2s", *args, timeout=280, env=env))
    if doc["status"] != "COMPLETED":
        fail(f"{doc['status']}: {doc.get('error')}")
    nothing_left(b"/out/records_fuzzer")
    kept_bytes(lab, doc)
    return doc


def three_bugs(doc):
    got = {(f["evidence"]["crash_state"].split("\n")[0], f["evidence"]["crash_type"]): f for f in doc["findings"]}
    if set(got) != BUGS:
        fail(f"bugs: {list(got)}")
    for f in got.values():
        if any(" in " in line and "BuildId" in line for line in f["evidence"]["report"].splitlines()):  # as no libdw writes it
            fail(f"run again for its names: {f['evidence']['report']}")
        if f["file"] != "src/lib.rs" or not f["line"] or f["evidence"]["reproduced"] != f["evidence"]["tries"]:
            fail(f"{f['title']}: {f['file']}:{f['line']}, {f['evidence']['reproduced']} of {f['evidence']['tries']}")


def standin():
    """No crate is fetched: a crate, a file alone, a harness that does not compile, a machine without Rust."""
    with Lab() as lab:
        three_bugs(fuzz(lab, EXAMPLE))
        doc = fuzz(lab, lab.target({"alone.rs": HARNESS % "{ if data.first() == Some(&b'!') { panic!(\"found\") } }"}, "alone"), "stop_at_first_crash=true")
        found = [(f["title"], [s["function"] for s in f["evidence"]["stack"]]) for f in doc["findings"]]
        if found != [("Panic in alone::_::__libfuzzer_sys_run", ["alone::_::__libfuzzer_sys_run"])]:
            fail(doc["findings"])
        doc = document(lab.ff("run", "cargo_fuzzing", lab.target({"bad.rs": HARNESS % "{ nope(data) }"}, "bad"), "--json", env={"RUSTUP_HOME": RUSTUP}))
        if "bad.rs:3:30: error[E0425]: cannot find function `nope`" not in str(doc["error"]):
            fail(doc["error"])
        if not os.path.exists("/usr/bin/cargo") and not os.path.exists("/usr/local/bin/cargo"):
            for workflow in ("cargo_fuzzing", "rust_test"):
                p = lab.ff("run", workflow, EXAMPLE, env={"FF_TOOLS": "", "RUSTUP_HOME": "/nonexistent"})
                if p.returncode != 5 or "rustup" not in p.stderr:
                    fail(f"{workflow}, cargo is missing: exit {p.returncode} {p.stderr}")
        ok("three bugs, and each end clear")


def cargofuzz():
    """cargo-fuzz itself, on a tree with its crates vendored."""
    need("rust")
    rust = CACHE / "rust"
    if not rust.joinpath("bin/cargo-fuzz").exists():
        print("skipped: this cargo is too old to build cargo-fuzz")
        sys.exit(77)
    with Lab() as lab:
        tree = lab.dir / "vendored"
        shutil.copytree(EXAMPLE, tree)
        shutil.copytree(rust / "vendor", tree / "fuzz/vendor")
        shutil.copy(SOURCE / "tests/real/rust.lock", tree / "fuzz/Cargo.lock")
        tree.joinpath("fuzz/.cargo").mkdir()
        tree.joinpath("fuzz/.cargo/config.toml").write_text('[source.crates-io]\nreplace-with = "vendored-sources"\n'
                                                            '[source.vendored-sources]\ndirectory = "vendor"\n')
        doc = fuzz(lab, tree, tools=rust)
        three_bugs(doc)
        log = lab.ff("store", "get", doc["result"]["build_log"]["ref"], check=0).stdout
        if "cargo fuzz build --sanitizer address" not in log or "Compiling libfuzzer-sys v0.4.12\n" not in log:
            fail(log[-1000:])
        ok(f"{doc['result']['summary']['executions']} executions")


SUMS = {
    "sums/Cargo.toml": '[package]\nname = "sums"\nversion = "0.1.0"\nedition = "2021"\n',
    "sums/src/lib.rs": """/// Adds.
///
/// ```
/// assert_eq!(sums::add(1, 1), 3);
/// ```
pub fn add(a: u8, b: u8) -> u8 {
    a + b
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fine() {
        assert_eq!(add(1, 1), 2);
    }

    #[test]
    fn wrong() {
        assert_eq!(add(1, 1), 3);
    }

    #[test]
    fn overflows() {
        add(200, 100);
    }
}
""",
    "sums/tests/api.rs": "#[test]\nfn dies() {\n    std::process::abort()\n}\n"}
FAILING = {("testing/assertion", "sums/src/lib.rs", 21), ("testing/panic", "sums/src/lib.rs", 7), ("testing/crash", "sums/tests/api.rs", 1),
           ("testing/assertion", "sums/src/lib.rs", 3)}


def tests():
    """cargo test: each failing test at its place; a tree that does not build; one without tests that fail."""
    with Lab() as lab:
        def run(target, *args):
            return document(lab.ff("run", "rust_test", target, "--json", *args, timeout=280, env={"RUSTUP_HOME": RUSTUP}))

        sums = lab.target(SUMS, "t")
        doc = run(sums)
        got = {(f["rule_id"], f["file"], f["line"]) for f in doc["findings"]}
        counts = doc["result"]["summary"]["cargo_test"]
        if doc["status"] != "COMPLETED" or got != FAILING or counts != {"passed": 1, "failed": 3, "ignored": 0, "crashed": 1}:
            fail(f"{doc['status']} {doc.get('error')} {counts} {got}")
        again = run(sums, "filter=overflows")
        first = {f["fingerprint"] for f in doc["findings"] if "overflows" in f["title"]}
        if {f["fingerprint"] for f in again["findings"]} != first:
            fail([f["title"] for f in again["findings"]])
        doc = run(sums, "filter=no_such")
        if doc["findings"] or "no test has 'no_such' in its name" not in str(doc["result"]["notifications"]):
            fail(f"a filter that no test passes: {doc['result']['notifications']}")
        hangs = {**SUMS, "sums/src/lib.rs": "#[cfg(test)]\nmod tests {\n    #[test]\n    fn hangs() {\n        loop {}\n    }\n    #[test]\n"
                                            "    fn fails() {\n        assert_eq!(1, 2)\n    }\n}\n"}
        doc = run(lab.target(hangs, "hangs"), "timeout=100s") # Rust names what runs for more than a minute
        if sorted(f["title"] for f in doc["findings"]) != ["Test tests::fails fails", "Test tests::hangs does not end"] or "took longer" not in str(doc["result"]["notifications"]):
            fail(f"a test that hangs: {[f['title'] for f in doc['findings']]} {doc['result']['notifications']}")
        doc = run(EXAMPLE)
        if doc["findings"] or doc["result"]["summary"]["cargo_test"]["passed"] != 2:
            fail(doc["findings"])
        bad = {**SUMS, "sums/src/lib.rs": "pub fn add(a: u8) -> u8 { b }\n"}
        doc = run(lab.target(bad, "bad"))
        if doc["status"] != "FAILED" or "src/lib.rs:1:27: error[E0425]" not in str(doc["error"]):
            fail(doc["error"])
        nothing_left(b"/target/debug/deps/sums")
        ok(f"{len(FAILING)} findings")


if __name__ == "__main__":
    {"standin": standin, "cargofuzz": cargofuzz, "tests": tests}[sys.argv[1]]()
