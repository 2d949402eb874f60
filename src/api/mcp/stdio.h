/* MCP over a pair of descriptors, one message a line (the specification's stdio transport). */
#ifndef FF_API_MCP_STDIO_H
#define FF_API_MCP_STDIO_H

#include "api/mcp/mcp.h"

/* Until in ends, out takes no more, or stop_fd (-1: none) can be read. What is under way then is cancelled. */
int mcp_stdio(struct mcp *m, const struct mcp_session_options *o, int in, int out, int stop_fd, struct err *err);

#endif
