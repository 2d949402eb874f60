/* MCP over streamable HTTP, as a mount of the REST server (rest/rest.h).
 *
 * Up to 2025-11-25 a client has a session, named by Mcp-Session-Id and bound to his token; since 2026-07-28 each POST stands
 * alone. A POST is answered by a document, or by a stream of events where there is progress to tell. Host and Origin are
 * checked before, by the server. */
#ifndef FF_API_MCP_HTTP_H
#define FF_API_MCP_HTTP_H

#include "api/mcp/mcp.h"
#include "api/rest/rest.h"

#define MCP_SESSIONS_MAX 1000
#define MCP_SESSIONS_SHARE 250 /* of the callers that are bound to one namespace */
#define MCP_SESSION_IDLE_MS (INT64_C(3600) * 1000)
#define MCP_STREAMS_MAX 64 /* calls that answer by a stream, at a time: each has a thread */

struct mcp_http;

int mcp_http_new(struct mcp *m, struct mcp_http **ret, struct err *err);
/* After the REST server has stopped: waits for calls. NULL is fine. */
void mcp_http_free(struct mcp_http *h);
/* Cancels what is under way, so that the server can stop. */
void mcp_http_stop(struct mcp_http *h);
/* The mount's function; arg is the struct mcp_http. */
int mcp_http_handle(void *arg, const struct rest_mount_request *q, struct rest_mount_answer *a, struct err *err);

#endif
