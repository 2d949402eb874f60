#!/usr/bin/env python3
"""ff fuzz parse against ClusterFuzz's own corpus of crash reports.

usage: bench/crashes/clusterfuzz.py FF CHECKOUT [-v]

CHECKOUT is a checkout of github.com/google/clusterfuzz. Its test of the stack analyzer says for each report which type,
state, address and security flag ClusterFuzz gives; this reads those expectations out of the test's text (nothing of it is
run) and prints the share that ff gives too. Tests that switch detection off or set a policy that ff has no word for are
left out, and named with -v."""
import ast
import collections
import json
import os
import subprocess
import sys

TESTS = "src/clusterfuzz/_internal/tests/core/crash_analysis/stack_parsing"
CLASSES = [  # by what is in the report; the first that fits
    ("Go", [".go:"]),
    ("Java", ["== Java Exception:", "wycheproof", "FuzzerSecurityIssue"]),
    ("Python", ["Uncaught Python exception", "PySecSan"]),
    ("JavaScript", ["Jazzer.js"]),
    ("Rust", ["panicked at", "rust_panic", "rust_oom", "rust_begin_unwind"]),
    ("kernel", ["KASAN", "Internal error: Oops", "Kernel panic", "kernel BUG"]),
    ("MSan", ["MemorySanitizer"]),
    ("TSan", ["ThreadSanitizer"]),
    ("HWASan", ["HWAddressSanitizer"]),
    ("UBSan", ["runtime error:", "UndefinedBehaviorSanitizer"]),
    ("LSan", ["LeakSanitizer"]),
    ("libFuzzer", ["libFuzzer"]),
    ("ASan", ["AddressSanitizer"]),
]
MUST = {"ASan", "UBSan", "MSan", "TSan", "libFuzzer", "Go", "Rust", "Java", "Python"}
# what a test may set: with ff it is so always, or it is an option
KNOWN = {"REPORT_OOMS_AND_HANGS", "FUZZ_TARGET", "DETECT_V8_RUNTIME_ERRORS", "TASK_NAME", "UBSAN_OPTIONS",
         "ASSERTS_HAVE_SECURITY_IMPLICATION"}


def evaluate(node, names):
    try:
        return eval(compile(ast.Expression(node), "test", "eval"), {"__builtins__": {}}, dict(names))
    except Exception:
        return None


def expectations(path):
    """Yields (test, file, expected, settings) of the analyzer's test."""
    with open(path, encoding="utf-8") as f:
        tree = ast.parse(f.read())
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef) or not function.name.startswith("test_"):
            continue
        names, settings, files = {}, {}, []
        for node in ast.walk(function):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                if node.func.attr == "_read_test_data" and isinstance(node.args[0], ast.Constant):
                    files.append(node.args[0].value)
                if node.func.attr == "set_value" and len(node.args) == 2:
                    settings[str(evaluate(node.args[0], names))] = str(evaluate(node.args[1], names))
                for k in node.keywords:
                    if node.func.attr == "get_crash_data":
                        settings[k.arg] = str(evaluate(k.value, names))
        for s in function.body:
            if not isinstance(s, ast.Assign):
                continue
            target = s.targets[0]
            if isinstance(target, ast.Name):
                names[target.id] = evaluate(s.value, names)
            elif isinstance(target, ast.Subscript):
                settings[str(evaluate(target.slice, names))] = str(evaluate(s.value, names))
        expected = {k: names.get("expected_" + k) for k in ("type", "state", "address", "security_flag")}
        if len(files) == 1 and (expected["type"] is not None or expected["state"] is not None):
            yield function.name, files[0], expected, settings


def skip_reason(expected, settings):
    if expected["type"] == "" or (expected["type"] is None and expected["state"] == ""):
        return "expects that detection is off, or that nothing is there"
    for name in settings:
        if name not in KNOWN and name != "symbolize_flag":
            return name
    return None


def run(ff, file, settings):
    command = [ff, "fuzz", "parse", file, "--json"]
    if "FUZZ_TARGET" in settings:
        command += ["--target", settings["FUZZ_TARGET"]]
    if settings.get("symbolize_flag") == "False":
        command += ["--unsymbolized"]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return json.loads(out)


def classify(text):
    for name, marks in CLASSES:
        if any(m in text for m in marks):
            return name
    return "other"


def main():
    ff, root, verbose = sys.argv[1], sys.argv[2], "-v" in sys.argv
    folder = os.path.join(root, TESTS, "stack_analyzer_data")
    right = collections.defaultdict(lambda: collections.Counter())
    skipped = []
    for test, name, expected, settings in expectations(os.path.join(root, TESTS, "stack_analyzer_test.py")):
        reason, path = skip_reason(expected, settings), os.path.join(folder, name)
        if reason or not os.path.exists(path):
            skipped.append((test, reason or "no file"))
            continue
        got = run(ff, path, settings)
        state = "".join(line + "\n" for line in got["crash_state"])
        want = expected["state"]
        if "ASSERTS_HAVE_SECURITY_IMPLICATION" in settings:
            expected["security_flag"] = None  # a policy, not a fact of the report
        ok = {"type": expected["type"] in (None, got["crash_type"]),
              "state": want is None or state.rstrip("\n") == want.rstrip("\n"),
              "address": expected["address"] in (None, got["crash_address"]),
              "security": expected["security_flag"] in (None, got["security"])}
        with open(path, encoding="utf-8", errors="replace") as f:
            kind = classify(f.read())
        for group in [kind, "all"] + (["the nine"] if kind in MUST else []):
            c = right[group]
            c["n"] += 1
            c["both"] += ok["type"] and ok["state"]
            for k in ok:
                c[k] += ok[k]
        if verbose and not all(ok.values()):
            print(f"{test} {name}")
            for k, g in (("type", got["crash_type"]), ("state", state), ("address", got["crash_address"]),
                         ("security", got["security"])):
                if not ok[k]:
                    print(f"  {k}: {g!r}\n   not {expected['security_flag' if k == 'security' else k]!r}")
    if verbose:
        for test, reason in skipped:
            print(f"left out: {test}: {reason}")
    print(f"{'':12} {'reports':>7} {'type+state':>10} {'type':>6} {'state':>6} {'address':>7} {'security':>8}")
    for group in sorted(right, key=lambda g: (g == "all", g == "the nine", g)):
        c = right[group]
        share = lambda k: f"{100 * c[k] / c['n']:.1f}"
        print(f"{group:12} {c['n']:7} {share('both'):>10} {share('type'):>6} {share('state'):>6} {share('address'):>7} "
              f"{share('security'):>8}")


main()
