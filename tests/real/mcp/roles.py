"""What tokens may do over HTTP: roles, namespaces, paths of the server's machine, tokens that are none.

usage: roles.py URL VIEWER OPERATOR_OF_TEAM_A OWNER TARGET
"""
import asyncio
import sys

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

URL, VIEWER, OPERATOR, OWNER, TARGET = sys.argv[1:]


def check(what, ok, more=None):
    print(("ok" if ok else "FAIL"), f"roles: {what}" + ("" if ok else f" {str(more)[:1500]}"), flush=True)
    if not ok:
        raise SystemExit(1)


def connect(token, mode="legacy"):
    return Client(streamable_http_client(URL, http_client=httpx2.AsyncClient(headers={"Authorization": "Bearer " + token} if token else {},
                                                                             timeout=120)), mode=mode)


async def refused(token):
    try:
        async with connect(token) as c:
            await c.list_tools()
    except BaseException as e:
        return e
    return None


async def viewer():
    for mode in ("legacy", "2026-07-28"):
        async with connect(VIEWER, mode) as c:
            names = {t.name for t in (await c.list_tools()).tools}
            check("a viewer is not shown what changes", "submit_security_scan_mcp" not in names and len(names) == 13, names)
            for tool, args in (("submit_security_scan_mcp", {"workflow_name": "security_assessment", "target_path": TARGET}),
                               ("cancel_run_mcp", {"run_id": "x"}), ("retry_run_mcp", {"run_id": "x"})):
                r = await c.session.call_tool(tool, args)
                check(f"a viewer is refused {tool}", r.is_error and "PERMISSION" in r.content[0].text, r)


async def namespaces():
    async with connect(OWNER) as owner, connect(OPERATOR) as other:
        run = (await owner.call_tool("submit_security_scan_mcp", {"workflow_name": "security_assessment", "target_path": TARGET, "wait": True})
               ).structured_content["run_id"]
        for tool in ("get_run_status_mcp", "get_run_findings_mcp", "get_comprehensive_scan_summary", "cancel_run_mcp", "retry_run_mcp",
                     "get_artifact_mcp", "get_fuzzing_stats_mcp", "get_fuzzing_crash_reports_mcp"):
            for name in (run, run[:12], "default/" + run):
                r = await other.call_tool(tool, {"run_id": name})
                check(f"another namespace's {tool} {name[:14]}", r.is_error and "NOT_FOUND" in r.content[0].text, r)
        r = await other.call_tool("list_recent_runs_mcp", {})
        check("another namespace's list", r.structured_content["runs"] == [], r)
        check("another namespace's resources", (await other.list_resources()).resources == [])
        for spec in (TARGET, "/etc", "file:///etc", "/etc/shadow", "FILE:///etc", "../..", "."):
            r = await other.call_tool("submit_security_scan_mcp", {"workflow_name": "security_assessment", "target_path": spec})
            check(f"no path of the server's machine: {spec}", r.is_error and ("PERMISSION" in r.content[0].text), r)
        r = await other.call_tool("get_backend_status_mcp", {})
        check("its own namespace", r.structured_content["namespace"] == "team-a" and r.structured_content["runs"]["total"] == 0, r)


async def strangers():
    for token in (None, "0" * 64, OWNER[:-1], ""):
        check(f"refused: {str(token)[:5]}...", await refused(token) is not None)


async def sessions():
    """A session is its token's alone."""
    body = {"jsonrpc": "2.0", "id": 1, "method": "initialize",
            "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}}
    base = {"Accept": "application/json, text/event-stream", "Authorization": "Bearer " + OWNER}
    async with httpx2.AsyncClient(timeout=60) as c:
        r = await c.post(URL, json=body, headers=base)
        session = r.headers["mcp-session-id"]
        check("a session", r.status_code == 200 and len(session) >= 32, r.headers)
        ping = {"jsonrpc": "2.0", "id": 2, "method": "ping"}
        mine = {**base, "Mcp-Session-Id": session}
        for what, headers, status in (
                ("its own", mine, 200), ("none", base, 400), ("an invented one", {**base, "Mcp-Session-Id": "0" * 48}, 404),
                ("another token's", {**mine, "Authorization": "Bearer " + VIEWER}, 404), ("an unknown version", {**mine, "MCP-Protocol-Version": "1999-01-01"}, 400),
                ("a known version", {**mine, "MCP-Protocol-Version": "2025-06-18"}, 200), ("a foreign Origin", {**mine, "Origin": "http://evil.example"}, 403),
                ("an Origin of here", {**mine, "Origin": "http://localhost:3000"}, 200), ("a foreign Host", {**mine, "Host": "evil.example"}, 403),
                ("no JSON wanted", {**mine, "Accept": "text/html"}, 406)):
            r = await c.post(URL, json=ping, headers=headers)
            check(f"session, {what}: {status}", r.status_code == status, (r.status_code, r.text))
        r = await c.post(URL, content=b"x", headers={**mine, "Content-Type": "text/plain"})
        check("another type of body", r.status_code == 415, r.status_code)
        r = await c.post(URL, content=b"{nonsense", headers={**mine, "Content-Type": "application/json"})
        check("broken JSON", r.status_code == 400 and r.json()["error"]["code"] == -32700, r.text)
        r = await c.post(URL, json={"jsonrpc": "2.0", "method": "notifications/initialized"}, headers=mine)
        check("a notification is taken", r.status_code == 202 and not r.content, r.text)
        async with c.stream("GET", URL, headers={**mine, "Accept": "text/event-stream"}) as stream:
            check("a stream to listen to", stream.status_code == 200 and stream.headers["content-type"] == "text/event-stream", stream.headers)
            r = await c.delete(URL, headers={**base, "Authorization": "Bearer " + VIEWER, "Mcp-Session-Id": session})
            check("another token does not end it", r.status_code == 404, r.status_code)
            r = await c.delete(URL, headers=mine)
            check("it is ended", r.status_code == 204, r.status_code)
            async for _ in stream.aiter_bytes():
                pass
        check("and its stream with it", True)
        r = await c.post(URL, json=ping, headers=mine)
        check("an ended session", r.status_code == 404, r.status_code)
        r = await c.put(URL, json=ping, headers=mine)
        check("no other method", r.status_code == 405 and "POST" in r.headers["allow"], r.headers)
        alone = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}}}}
        headers = {**base, "MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/list"}
        r = await c.post(URL, json=alone, headers=headers)
        check("a request that stands alone", r.status_code == 200 and len(r.json()["result"]["tools"]) == 16, r.text)
        r = await c.post(URL, json=alone, headers={**headers, "Mcp-Method": "tools/call"})
        check("headers that say something else", r.status_code == 400 and r.json()["error"]["code"] == -32020, r.text)
        r = await c.post(URL, json={**alone, "method": "nothing"}, headers={**headers, "Mcp-Method": "nothing"})
        check("no such method", r.status_code == 404 and r.json()["error"]["code"] == -32601, r.text)


async def main():
    await strangers()
    await viewer()
    await namespaces()
    await sessions()


asyncio.run(main())
