/* MCP: lines of messages to a session that has nothing to serve. Each request is answered once, with its id, or as an error; each
 * answer is valid JSON-RPC. */
#include "fuzz.h"

#include "api/mcp/mcp.h"
#include "api/mcp/replay.h"
#include "api/mcp/visible.h"
#include "base/assert.h"
#include "base/mem.h"
#include "base/cleanup.h"
#include "codec/json.h"
#include "codec/utf8.h"

#include <string.h>

static int answers;

static void answered(void *arg, const json_t *m)
{
    (void)arg;
    ASSERT(strcmp(json_str(m, "jsonrpc", ""), "2.0") == 0);
    if (json_object_get(m, "method"))
        return;
    ASSERT(json_object_get(m, "id") && !json_object_get(m, "result") != !json_object_get(m, "error"));
    answers++;
}

static void one(struct mcp_session *s, const char *text, size_t len)
{
    struct mcp_message m;
    json_t *error;
    const struct mcp_sink sink = {answered, NULL};
    answers = 0;
    if (mcp_message_parse(text, len, &m, &error) < 0) {
        answered(NULL, error);
        json_decref(error);
        ASSERT(answers == 1);
        return;
    }
    bool request = m.kind == MCP_REQUEST;
    struct mcp_call *c = mcp_call_new(s, &m, &sink);
    if (c)
        mcp_call_run(c);
    ASSERT(answers == request);
}

/* The input as the id of an event, of streams that have one each: who goes on gets what came after, or nothing. */
static void go_back(const uint8_t *data, size_t size)
{
    struct replay *r = replay_new();
    struct rest_feed *first = rest_feed_new(1 << 16);
    _cleanup_free_ char *id = mem_zalloc(size + 1);
    ASSERT(r && first && id && replay_begin(r, first) == 1);
    memcpy(id, data, size);
    replay_push(r, 1, "{}");
    replay_end(r, 1);
    feed_leave(first);
    struct rest_feed *feed = replay_resume(r, id);
    ASSERT(!feed || strncmp(id, "1-", 2) == 0 || id[0] == '0');
    if (feed)
        feed_leave(feed);
    replay_free(r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct mcp *mcp;
    struct mcp_session *s;
    struct err err = {0};
    if (!mcp) {
        static const struct mcp_options o = {.version = "1"};
        ASSERT(mcp_new(&o, &mcp, &err) == 0);
    }
    struct mcp_session_options so = {0};
    access_local_caller("fuzz", &so.caller);
    ASSERT(mcp_session_new(mcp, &so, &s, &err) == 0);
    for (size_t at = 0; at < size;) {
        const uint8_t *end = memchr(data + at, '\n', size - at);
        size_t n = end ? (size_t)(end - (data + at)) : size - at;
        one(s, (const char *)data + at, n);
        at += n + 1;
    }
    mcp_session_free(s);
    go_back(data, size);
    struct strbuf b = STRBUF_INIT, again = STRBUF_INIT;
    visible_append(&b, (const char *)data, size);
    visible_append(&again, strbuf_str(&b), b.len);
    ASSERT(utf8_valid(strbuf_str(&b), b.len) && b.len == again.len);
    strbuf_release(&b);
    strbuf_release(&again);
    return 0;
}
