#include "api/mcp/message.h"

#include "codec/json.h"

#include <math.h>
#include <string.h>

json_t *mcp_answer(const json_t *id, json_t *result)
{
    return json_pack("{s:s, s:O, s:o}", "jsonrpc", "2.0", "id", id, "result", result);
}

json_t *mcp_error(const json_t *id, int code, const char *message, json_t *data)
{
    json_t *error = json_pack("{s:i, s:o, s:o*}", "code", code, "message", json_clean_string(message), "data", data);
    return error ? json_pack("{s:s, s:O?, s:o}", "jsonrpc", "2.0", "id", id, "error", error) : NULL;
}

json_t *mcp_notification(const char *method, json_t *params)
{
    return json_pack("{s:s, s:s, s:o}", "jsonrpc", "2.0", "method", method, "params", params);
}

void mcp_message_release(struct mcp_message *m)
{
    json_decref(m->all);
    *m = (struct mcp_message){0};
}

/* A response to nothing: only its id could be of interest, and nothing was asked. */
static bool is_response(const json_t *j)
{
    return !json_object_get(j, "method") && (json_object_get(j, "result") || json_object_get(j, "error"));
}

/* 1.0 is an integer too, as in a schema. */
static bool is_id(const json_t *id)
{
    double d = json_real_value(id); /* 0 if it is none */
    return json_is_integer(id) || (json_is_string(id) && json_string_length(id) <= MCP_ID_MAX) ||
           (json_is_real(id) && d == floor(d) && fabs(d) < 0x1p63);
}

static const char *take(const json_t *j, struct mcp_message *m, int *ret_code)
{
    const json_t *id = json_object_get(j, "id"), *method = json_object_get(j, "method");
    *ret_code = MCP_INVALID_REQUEST;
    if (json_is_array(j))
        return "batches are not part of this protocol";
    if (!json_is_object(j))
        return "a message is an object";
    if (id && !is_id(id))
        return "an id is a string or an integer";
    m->id = id;
    if (strcmp(json_str(j, "jsonrpc", ""), "2.0") != 0)
        return "jsonrpc is \"2.0\"";
    m->kind = is_response(j) ? MCP_RESPONSE : id ? MCP_REQUEST : MCP_NOTIFICATION;
    if (m->kind == MCP_RESPONSE)
        return NULL;
    if (!json_is_string(method))
        return "method is missing";
    m->method = json_string_value(method);
    m->params = json_object_get(j, "params");
    *ret_code = MCP_INVALID_PARAMS;
    if (m->params && !json_is_object(m->params))
        return "params is an object";
    m->meta = json_object_get(m->params, "_meta");
    return m->meta && !json_is_object(m->meta) ? "params._meta is an object" : NULL;
}

int mcp_message_parse(const char *text, size_t len, struct mcp_message *ret, json_t **ret_error)
{
    struct err err = {0};
    int code;
    *ret = (struct mcp_message){0};
    *ret_error = NULL;
    int r = json_parse_foreign(text, len, MCP_MESSAGE_MAX, &ret->all, &err);
    if (r < 0) {
        *ret_error = mcp_error(NULL, r == -ERR_LIMIT ? MCP_INVALID_REQUEST : MCP_PARSE_ERROR, err.msg, NULL);
        return -1;
    }
    const char *wrong = take(ret->all, ret, &code);
    if (!wrong)
        return 0;
    *ret_error = mcp_error(ret->id, code, wrong, NULL);
    mcp_message_release(ret);
    return -1;
}
