/* MCP on stdin and stdout for an agent, over a server's /mcp (docs/mcp.md): lines there, requests here. What messages say is the
 * two ends' own affair; of them only what HTTP's headers repeat is looked at. */
#ifndef FF_API_CLIENT_BRIDGE_H
#define FF_API_CLIENT_BRIDGE_H

#include "api/client/client.h"

/* Until in ends, or stop_fd can be read; then what is under way is waited for a little, and the session is ended. A server that
 * does not answer is told of as an error of JSON-RPC. */
int client_mcp_bridge(struct client *c, int in, int out, int stop_fd, struct err *err);

#endif
