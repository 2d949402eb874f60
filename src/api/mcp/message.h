/* JSON-RPC 2.0 (jsonrpc.org/specification) as MCP has it: one message at a time, parameters by name, no batches.
 *
 * The text comes from outside: its size and depth are bounded, and whatever it is, there is an answer to it. */
#ifndef FF_API_MCP_MESSAGE_H
#define FF_API_MCP_MESSAGE_H

#include "base/err.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#define MCP_MESSAGE_MAX ((size_t)4 << 20)
#define MCP_ID_MAX 200 /* bytes of an id that is a string */

/* Codes of the two specifications. */
enum {
    MCP_PARSE_ERROR = -32700,
    MCP_INVALID_REQUEST = -32600,
    MCP_METHOD_NOT_FOUND = -32601,
    MCP_INVALID_PARAMS = -32602,
    MCP_INTERNAL_ERROR = -32603,
    MCP_RESOURCE_NOT_FOUND = -32002, /* up to 2025-11-25 */
    MCP_HEADER_MISMATCH = -32020,    /* since 2026-07-28 */
    MCP_UNSUPPORTED_VERSION = -32022,
};

struct mcp_message {
    enum { MCP_REQUEST, MCP_NOTIFICATION, MCP_RESPONSE } kind;
    json_t *all;        /* owned; the rest is borrowed from it */
    const json_t *id;   /* of a request or response: a string or an integer */
    const char *method; /* of a request or notification */
    const json_t *params, *meta; /* objects, or NULL */
};

/* 0, or a negative number: *ret_error is the whole answer then, a new reference (NULL when memory is out). */
int mcp_message_parse(const char *text, size_t len, struct mcp_message *ret, json_t **ret_error);
void mcp_message_release(struct mcp_message *m);

/* Messages; new references, NULL when memory is out. id NULL: null. result, data (may be NULL): the reference is taken. */
json_t *mcp_answer(const json_t *id, json_t *result);
json_t *mcp_error(const json_t *id, int code, const char *message, json_t *data);
json_t *mcp_notification(const char *method, json_t *params);

#endif
