"""The official Python client against `ff mcp` or a server's /mcp: each tool, resource and prompt; progress, cancellation, errors.

usage: client.py legacy|auto|2026-07-28 stdio COMMAND TARGET | client.py MODE http URL TOKEN TARGET
"""
import asyncio
import json
import sys

import anyio
from mcp import Client, StdioServerParameters
from mcp.shared.exceptions import MCPError

MODE, KIND, *REST = sys.argv[1:]
TARGET = REST[-1]
UNTRUSTED = "io.fuzzforge/untrusted"


def check(what, ok, more=None):
    print(("ok" if ok else "FAIL"), f"python {MODE} {KIND}: {what}" + ("" if ok else f" {str(more)[:1500]}"), flush=True)
    if not ok:
        raise SystemExit(1)


def server():
    if KIND == "stdio":
        from mcp.client.stdio import stdio_client
        return stdio_client(StdioServerParameters(command=REST[0]))
    import httpx2
    from mcp.client.streamable_http import streamable_http_client
    return streamable_http_client(REST[0], http_client=httpx2.AsyncClient(headers={"Authorization": "Bearer " + REST[1]}, timeout=120))


async def error_of(awaitable):
    try:
        return await awaitable
    except MCPError as e:
        return e


async def tools(client):
    listed = (await client.list_tools()).tools
    check("16 tools, each with both schemas", len(listed) == 16 and all(t.input_schema and t.output_schema for t in listed), listed)
    return {t.name for t in listed}


async def scan(client, **more):
    seen = []

    async def progress(n, total, message):
        seen.append((n, message))

    r = await client.call_tool("submit_security_scan_mcp", {"workflow_name": "security_assessment", "target_path": TARGET, "wait": True, **more},
                               progress_callback=progress)
    check("a scan, waited for", not r.is_error and r.structured_content["status"] == "COMPLETED", r)
    check("progress grows and has words", len(seen) > 1 and [n for n, _ in seen] == sorted({n for n, _ in seen}) and all(m for _, m in seen), seen)
    return r.structured_content


async def each_tool(client, names, run):
    """Each once, with its structured content, which the client checks against the schema."""
    args = {"run_id": run}
    findings = await client.call_tool("get_run_findings_mcp", {**args, "limit": 3})
    finding = findings.structured_content["findings"][0]
    calls = {
        "list_workflows_mcp": {}, "get_workflow_metadata_mcp": {"workflow_name": "security_assessment"},
        "get_workflow_parameters_mcp": {"workflow_name": "security_assessment"}, "get_workflow_metadata_schema_mcp": {},
        "submit_security_scan_mcp": {"workflow_name": "security_assessment", "target_path": TARGET, "fail_on": "high"},
        "get_comprehensive_scan_summary": args, "get_run_status_mcp": args, "get_run_findings_mcp": {**args, "severity": "high,critical"},
        "list_recent_runs_mcp": {"limit": 5}, "get_fuzzing_stats_mcp": args, "get_fuzzing_crash_reports_mcp": args, "get_backend_status_mcp": {},
        "get_artifact_mcp": args, "explain_finding_mcp": {"finding_id": finding["id"], **args}, "retry_run_mcp": args, "cancel_run_mcp": None,
    }
    check("the table has each tool", set(calls) == names, names ^ set(calls))
    got = {}
    for name, a in calls.items():
        if a is None:
            continue
        r = await client.call_tool(name, a)
        check(name, not r.is_error and r.structured_content is not None, r)
        got[name] = r
    check("the summary counts", got["get_comprehensive_scan_summary"].structured_content["total"] == sum(
        got["get_comprehensive_scan_summary"].structured_content["findings_count"].values()), got["get_comprehensive_scan_summary"])
    check("an explanation says how to mend", got["explain_finding_mcp"].structured_content["explanation"]["how_to_mend"],
          got["explain_finding_mcp"])
    r = await client.call_tool("cancel_run_mcp", {"run_id": got["submit_security_scan_mcp"].structured_content["run_id"]})
    check("cancel_run_mcp: the run goes on to an end", r.structured_content is not None or r.is_error, r)
    return got


async def untrusted(client, run):
    """What came out of a target stands alone, between two blocks that say so with the same word."""
    r = await client.call_tool("get_run_findings_mcp", {"run_id": run, "limit": 2})
    begin, middle, end = r.content
    word = begin.text.split("(")[1].split(")")[0]
    check("framed as untrusted", r.meta[UNTRUSTED] and middle.meta[UNTRUSTED] and word in end.text and word not in middle.text, r)
    check("the middle is the structured content", json.loads(middle.text) == r.structured_content, middle)
    r = await client.call_tool("get_backend_status_mcp", {})
    check("what is our own is not", len(r.content) == 1 and not (r.meta or {}).get(UNTRUSTED), r)


async def paging(client, run):
    seen, cursor, pages = [], None, 0
    while True:
        r = await client.call_tool("get_run_findings_mcp", {"run_id": run, "limit": 50, **({"cursor": cursor} if cursor else {})})
        seen += [f["id"] for f in r.structured_content["findings"]]
        cursor, pages = r.structured_content.get("next_cursor"), pages + 1
        if not cursor:
            break
    check("findings come in pages, each once", pages > 2 and len(seen) == len(set(seen)) == r.structured_content["total"], (pages, len(seen)))
    runs, cursor = [], None
    while True:
        r = await client.call_tool("list_recent_runs_mcp", {"limit": 1, **({"cursor": cursor} if cursor else {})})
        runs += [(x["run_id"], x["execution_id"]) for x in r.structured_content["runs"]]
        cursor = r.structured_content.get("next_cursor")
        if not cursor:
            break
    check("runs come in pages", run in dict(runs) and len(runs) == len(set(runs)), runs)
    r = await client.call_tool("get_run_findings_mcp", {"run_id": run, "cursor": "zzz"})
    check("an invented cursor is refused", r.is_error, r)


async def bad_arguments(client, run):
    for name, args, word in (("get_run_status_mcp", {}, "run_id"), ("get_run_status_mcp", {"run_id": 7}, "run_id"),
                             ("get_run_status_mcp", {"run_id": "nothing-like-it"}, "NOT_FOUND"),
                             ("get_run_findings_mcp", {"run_id": run, "limit": 100000}, "limit"),
                             ("get_run_findings_mcp", {"run_id": run, "severty": "high"}, "severity"),
                             ("submit_security_scan_mcp", {"workflow_name": "no_such", "target_path": TARGET}, "no_such"),
                             ("submit_security_scan_mcp", {"workflow_name": "security_assessment", "target_path": "/no/such/place"}, "")):
        r = await client.session.call_tool(name, args)
        check(f"{name} {args}: told in the result", r.is_error and word in r.content[0].text, r)
    e = await error_of(client.call_tool("no_such_tool", {}))
    check("an unknown tool", isinstance(e, MCPError) and e.error.code == -32602, e)


async def resources(client, run):
    listed, cursor = [], None
    while True:
        r = await client.list_resources(cursor=cursor)
        listed += [x.uri for x in r.resources]
        cursor = r.next_cursor
        if not cursor:
            break
    check("resources of the run", {f"fuzzforge://runs/{run}/{k}" for k in ("summary", "findings", "sarif", "log")} <= set(map(str, listed)), listed)
    check("templates", len((await client.list_resource_templates()).resource_templates) == 6)
    for kind, good in (("sarif", lambda t: json.loads(t)["version"] == "2.1.0"), ("findings", lambda t: len(json.loads(t)) > 100),
                       ("summary", lambda t: json.loads(t)["run_id"] == run), ("log", lambda t: t.count("\n") > 3 and all(json.loads(l)["type"] for l in t.splitlines()))):
        c = (await client.read_resource(f"fuzzforge://runs/{run}/{kind}")).contents[0]
        check(f"resource {kind}", good(c.text) and c.meta[UNTRUSTED], c)
    for uri in ("fuzzforge://runs/none/sarif", f"fuzzforge://runs/{run}/nothing", "file:///etc/passwd", f"fuzzforge://runs/{run}/artifacts/..%2f..",
                f"fuzzforge://runs/{run}/sarif/more", "fuzzforge://runs/%00/sarif"):
        e = await error_of(client.read_resource(uri))
        check(f"no resource {uri}", isinstance(e, MCPError) and e.error.code in (-32002, -32602), e)


async def prompts(client, run):
    check("prompts", {p.name for p in (await client.list_prompts()).prompts} == {"triage_run", "explain_finding", "triage_crashes"})
    p = await client.get_prompt("triage_run", {"run_id": run, "severity": "high"})
    check("a prompt is filled in", run in p.messages[0].content.text and "high" in p.messages[0].content.text, p)
    for name, args in (("nothing", {}), ("triage_run", {}), ("triage_run", {"run_id": "a b\nignore all"})):
        e = await error_of(client.get_prompt(name, args))
        check(f"prompt {name} {args}", isinstance(e, MCPError) and e.error.code == -32602, e)


async def cancellation(client):
    """A call that is given up cancels the run that it started."""
    started = anyio.Event()

    async def progress(n, total, message):
        if "started" in message:
            started.set()

    name = f"given-up-{MODE}-{KIND}"
    task = asyncio.ensure_future(client.call_tool("submit_security_scan_mcp", {"workflow_name": "sleeper", "target_path": TARGET, "wait": True, "name": name},
                                                  progress_callback=progress))
    with anyio.fail_after(60):
        await started.wait()
    task.cancel()
    try:
        await task
    except (asyncio.CancelledError, MCPError):
        pass
    with anyio.fail_after(60):
        while True:
            r = await client.call_tool("get_run_status_mcp", {"run_id": name})
            if not r.structured_content["is_running"]:
                break
            await anyio.sleep(0.1)
    check("a call that is given up cancels its run", r.structured_content["status"] == "CANCELLED", r)


async def main():
    async with Client(server(), mode=MODE) as client:
        check("server", client.server_info is None or client.server_info.name == "fuzzforge", client.server_info)
        version = client.protocol_version
        check(f"protocol {version}", version == ("2025-11-25" if MODE == "legacy" else "2026-07-28"), version)
        names = await tools(client)
        run = (await scan(client))["run_id"]
        await each_tool(client, names, (await scan(client))["run_id"])
        await untrusted(client, run)
        await paging(client, run)
        await bad_arguments(client, run)
        await resources(client, run)
        await prompts(client, run)
        await cancellation(client)


asyncio.run(main())
