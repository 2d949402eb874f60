// The official TypeScript client against `ff mcp` or a server's /mcp: each feature once. Prints one JSON line a check.
// usage: client.mjs SDK_ROOT stdio COMMAND TARGET | client.mjs SDK_ROOT http URL TOKEN TARGET
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import path from "node:path";

const [sdk, kind, ...rest] = process.argv.slice(2);
const require = createRequire(path.join(sdk, "x.js"));
const load = async (name) => import(pathToFileURL(require.resolve("@modelcontextprotocol/sdk/" + name)));
const { Client } = await load("client/index.js");
const check = (what, ok, more) => {
  console.log(`${ok ? "ok" : "FAIL"} ts ${kind}: ${what}${ok ? "" : " " + JSON.stringify(more)}`);
  if (!ok) process.exitCode = 1;
};

const client = new Client({ name: "ff-test", version: "1" }, { capabilities: {} });
let transport;
if (kind === "stdio") {
  const { StdioClientTransport } = await load("client/stdio.js");
  transport = new StdioClientTransport({ command: rest[0] });
} else {
  const { StreamableHTTPClientTransport } = await load("client/streamableHttp.js");
  transport = new StreamableHTTPClientTransport(new URL(rest[0]), { requestInit: { headers: { Authorization: "Bearer " + rest[1] } } });
}
await client.connect(transport);
check("server info", client.getServerVersion().name === "fuzzforge", client.getServerVersion());
check("instructions", client.getInstructions().includes("untrusted"), client.getInstructions());
await client.ping();
const { tools } = await client.listTools();
check("16 tools with schemas", tools.length === 16 && tools.every((t) => t.inputSchema && t.outputSchema), tools.length);
const call = (name, args = {}, options) => client.callTool({ name, arguments: args }, undefined, options);

let seen = [];
const target = rest.at(-1);
const run = (await call("submit_security_scan_mcp", { workflow_name: "security_assessment", target_path: target, wait: true },
  { onprogress: (p) => seen.push(p), timeout: 120000 })).structuredContent;
check("a scan, waited for", run?.status === "COMPLETED" && run.findings_count.total > 100, run);
check("progress grows", seen.length > 1 && seen.every((p, i) => i === 0 || p.progress > seen[i - 1].progress), seen);

const found = await call("get_run_findings_mcp", { run_id: run.run_id, severity: "critical", limit: 5 });
check("structured content fits its schema", found.structuredContent.findings.length === 5, found);
check("untrusted content is marked", found._meta["io.fuzzforge/untrusted"] === true && found.content.length === 3, found._meta);
const bad = await call("get_run_findings_mcp", { run_id: run.run_id, limit: "many" });
check("a bad argument is told in the result", bad.isError === true, bad);
let unknown;
try { unknown = await call("no_such_tool"); } catch (e) { unknown = e; }
check("an unknown tool is an error", unknown?.code === -32602, unknown);

let cursor, count = 0, pages = 0;
do {
  const page = await client.listResources({ cursor });
  count += page.resources.length;
  pages++;
  cursor = page.nextCursor;
} while (cursor && pages < 100);
check("resources", count >= 4, count);
check("templates", (await client.listResourceTemplates()).resourceTemplates.length === 6, null);
const sarif = await client.readResource({ uri: `fuzzforge://runs/${run.run_id}/sarif` });
check("SARIF", JSON.parse(sarif.contents[0].text).version === "2.1.0", sarif.contents[0].mimeType);
let missing;
try { await client.readResource({ uri: "fuzzforge://runs/none/sarif" }); } catch (e) { missing = e; }
check("no such resource", missing?.code === -32002, missing);
const prompt = await client.getPrompt({ name: "triage_run", arguments: { run_id: run.run_id } });
check("prompt", prompt.messages[0].content.text.includes(run.run_id), prompt);
await client.setLoggingLevel("debug");

const abort = new AbortController();
const slow = call("submit_security_scan_mcp", { workflow_name: "sleeper", target_path: target, wait: true, name: `ts-${kind}` },
  { signal: abort.signal, onprogress: () => abort.abort("enough") });
let stopped;
try { await slow; } catch (e) { stopped = e; }
check("a cancelled call ends", stopped !== undefined, stopped);
await client.close();
