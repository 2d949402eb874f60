/* MCP: messages, sessions, versions, cancellation, roles; what is invisible. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/mcp/mcp.h"
#include "api/mcp/visible.h"
#include "base/cleanup.h"
#include "codec/json.h"

#include <stdio.h>
#include <string.h>

static struct {
    struct mcp *mcp;
    struct mcp_session *s;
    json_t *answers; /* array */
} f;

static int set_up_as(enum access_role role)
{
    struct err err = {0};
    static const struct mcp_options o = {.version = "1"};
    struct mcp_session_options so = {.caller = {.id = "1", .name = "t", .name_space = "default", .role = role}};
    f.answers = json_array();
    return mcp_new(&o, &f.mcp, &err) < 0 || mcp_session_new(f.mcp, &so, &f.s, &err) < 0 ? -1 : 0;
}

static int set_up(void **state)
{
    (void)state;
    return set_up_as(ACCESS_ADMIN);
}

static int tear_down(void **state)
{
    (void)state;
    mcp_session_free(f.s);
    mcp_free(f.mcp);
    json_decref(f.answers);
    return 0;
}

static void keep(void *arg, const json_t *message)
{
    (void)arg;
    json_array_append_new(f.answers, json_deep_copy(message));
}

static struct mcp_call *begin(const char *text)
{
    struct mcp_message m;
    json_t *error;
    const struct mcp_sink sink = {keep, NULL};
    if (mcp_message_parse(text, strlen(text), &m, &error) == 0)
        return mcp_call_new(f.s, &m, &sink);
    json_array_append_new(f.answers, error);
    return NULL;
}

/* Its answer; NULL: none. */
static const json_t *say(const char *text)
{
    size_t before = json_array_size(f.answers);
    struct mcp_call *c = begin(text);
    if (c)
        mcp_call_run(c);
    size_t now = json_array_size(f.answers);
    return now > before ? json_array_get(f.answers, now - 1) : NULL;
}

static int code(const json_t *answer)
{
    return (int)json_i64(json_object_get(answer, "error"), "code", 0);
}

#define INITIALIZE(version)                                                                                             \
    "{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"initialize\",\"params\":{\"protocolVersion\":\"" version                \
    "\",\"capabilities\":{},\"clientInfo\":{\"name\":\"t\",\"version\":\"1\"}}}"
#define META(version)                                                                                                   \
    "\"_meta\":{\"io.modelcontextprotocol/protocolVersion\":\"" version                                                 \
    "\",\"io.modelcontextprotocol/clientCapabilities\":{}}"

static void what_is_no_message_is_answered(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int code;
    } table[] = {
        {"", MCP_PARSE_ERROR}, {"{", MCP_PARSE_ERROR}, {"\xff", MCP_PARSE_ERROR}, {"{\"a\":1,\"a\":2}", MCP_PARSE_ERROR},
        {"[]", MCP_INVALID_REQUEST}, {"7", MCP_INVALID_REQUEST}, {"{}", MCP_INVALID_REQUEST},
        {"{\"jsonrpc\":\"1.0\",\"id\":1,\"method\":\"ping\"}", MCP_INVALID_REQUEST},
        {"{\"jsonrpc\":\"2.0\",\"id\":null,\"method\":\"ping\"}", MCP_INVALID_REQUEST},
        {"{\"jsonrpc\":\"2.0\",\"id\":1.5,\"method\":\"ping\"}", MCP_INVALID_REQUEST},
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":7}", MCP_INVALID_REQUEST},
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\",\"params\":[]}", MCP_INVALID_PARAMS},
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\",\"params\":{\"_meta\":1}}", MCP_INVALID_PARAMS},
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"nothing\"}", MCP_METHOD_NOT_FOUND},
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\"}", MCP_INVALID_REQUEST},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (code(say(table[i].text)) != table[i].code)
            fail_msg("'%s': %d, wanted %d", table[i].text, code(say(table[i].text)), table[i].code);
    assert_null(say("{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}"));
    assert_null(say("{\"jsonrpc\":\"2.0\",\"method\":\"notifications/whatever\"}"));
}

static void depth_is_bounded(void **state)
{
    (void)state;
    char text[20001];
    memset(text, '[', 10000);
    memset(text + 10000, ']', 10000);
    text[20000] = 0;
    assert_true(code(say(text)) < 0);
}

static void versions_are_negotiated(void **state)
{
    static const char *const table[][2] = {{INITIALIZE("2025-06-18"), "2025-06-18"}, {INITIALIZE("2025-11-25"), "2025-11-25"},
                                           {INITIALIZE("2024-11-05"), "2025-11-25"}, {INITIALIZE("2099-01-01"), "2025-11-25"},
                                           {INITIALIZE("2026-07-28"), "2025-11-25"}};
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        const json_t *r = json_object_get(say(table[i][0]), "result");
        assert_string_equal(json_str(r, "protocolVersion", ""), table[i][1]);
        assert_int_equal(code(say(table[i][0])), MCP_INVALID_REQUEST); /* once */
        tear_down(state);
        set_up(state);
    }
    assert_int_equal(code(say("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"initialize\",\"params\":{}}")), MCP_INVALID_PARAMS);
}

static void requests_that_stand_alone(void **state)
{
    (void)state;
    const json_t *r =
        json_object_get(say("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\",\"params\":{" META("2026-07-28") "}}"),
                        "result");
    assert_int_equal(json_array_size(json_object_get(r, "tools")), 16);
    assert_string_equal(json_str(r, "resultType", ""), "complete");
    assert_string_equal(json_str(r, "cacheScope", ""), "private");
    assert_non_null(json_object_get(json_object_get(r, "_meta"), "io.modelcontextprotocol/serverInfo"));
    const json_t *e = say("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\",\"params\":{" META("2099-01-01") "}}");
    assert_int_equal(code(e), MCP_UNSUPPORTED_VERSION);
    assert_int_equal(json_array_size(json_object_get(json_object_get(json_object_get(e, "error"), "data"), "supported")), 3);
    assert_int_equal(code(say("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\",\"params\":{" META("2026-07-28") "}}")),
                     MCP_METHOD_NOT_FOUND);
    assert_int_equal(code(say("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\",\"params\":{\"_meta\":{"
                              "\"io.modelcontextprotocol/protocolVersion\":\"2026-07-28\"}}}")),
                     MCP_INVALID_PARAMS);
}

static void a_cancelled_request_is_not_answered(void **state)
{
    (void)state;
    say(INITIALIZE("2025-06-18"));
    struct mcp_call *c = begin("{\"jsonrpc\":\"2.0\",\"id\":\"x\",\"method\":\"tools/call\",\"params\":{\"name\":\"get_backend_status_mcp\"}}");
    assert_non_null(c);
    assert_true(mcp_call_slow(c));
    assert_int_equal(code(say("{\"jsonrpc\":\"2.0\",\"id\":\"x\",\"method\":\"ping\"}")),
                     MCP_INVALID_REQUEST); /* the id is taken */
    assert_null(say("{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{\"requestId\":\"y\"}}"));
    assert_null(say("{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{\"requestId\":\"x\"}}"));
    size_t before = json_array_size(f.answers);
    assert_false(mcp_call_run(c));
    assert_int_equal(json_array_size(f.answers), before);
    assert_int_equal(code(say("{\"jsonrpc\":\"2.0\",\"id\":\"x\",\"method\":\"ping\"}")), 0);
}

static void so_many_calls_and_no_more(void **state)
{
    (void)state;
    struct mcp_call *calls[MCP_CALLS_MAX];
    char text[200];
    say(INITIALIZE("2025-06-18"));
    for (int i = 0; i <= MCP_CALLS_MAX; i++) {
        snprintf(text, sizeof text, "{\"jsonrpc\":\"2.0\",\"id\":%d,\"method\":\"tools/call\",\"params\":{\"name\":\"x\"}}",
                 i + 1);
        struct mcp_call *c = begin(text);
        assert_true((c != NULL) == (i < MCP_CALLS_MAX));
        if (c)
            calls[i] = c;
    }
    assert_int_equal(code(say("{\"jsonrpc\":\"2.0\",\"id\":99,\"method\":\"ping\"}")), 0); /* still answered */
    for (int i = 0; i < MCP_CALLS_MAX; i++)
        mcp_call_run(calls[i]);
}

static void a_viewer_is_shown_what_he_may(void **state)
{
    tear_down(state);
    set_up_as(ACCESS_VIEWER);
    say(INITIALIZE("2025-06-18"));
    const json_t *tools =
        json_object_get(json_object_get(say("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\"}"), "result"), "tools");
    assert_int_equal(json_array_size(tools), 13);
    const json_t *r = json_object_get(
        say("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":\"cancel_run_mcp\",\"arguments\":{\"run_id\":\"x\"}}}"),
        "result");
    assert_true(json_flag(r, "isError", false));
    assert_non_null(strstr(json_str(json_array_get(json_object_get(r, "content"), 0), "text", ""), "PERMISSION"));
}

static void arguments_are_checked(void **state)
{
    (void)state;
    static const char *const wrong[] = {"{}", "{\"run_id\":7}", "{\"run_id\":\"\"}", "{\"run_id\":\"x\",\"limit\":0}",
                                        "{\"run_id\":\"x\",\"limit\":501}", "{\"run_id\":\"x\",\"more\":1}"};
    say(INITIALIZE("2025-06-18"));
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        char text[300];
        snprintf(text, sizeof text,
                 "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":\"get_run_findings_mcp\",\"arguments\":%s}}",
                 wrong[i]);
        const json_t *r = json_object_get(say(text), "result");
        assert_true(json_flag(r, "isError", false));
        assert_non_null(strstr(json_str(json_array_get(json_object_get(r, "content"), 0), "text", ""), "INVALID"));
    }
    assert_int_equal(code(say("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":\"none\"}}")),
                     MCP_INVALID_PARAMS);
    assert_int_equal(code(say("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\",\"params\":{\"cursor\":\"x\"}}")),
                     MCP_INVALID_PARAMS);
    assert_int_equal(code(say("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\",\"params\":{\"cursor\":5}}")),
                     MCP_INVALID_PARAMS);
    const json_t *page = json_object_get(
        say("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\",\"params\":{\"cursor\":\"t10\"}}"), "result");
    assert_int_equal(json_array_size(json_object_get(page, "tools")), 6);
}

static void nothing_is_invisible(void **state)
{
    (void)state;
    static const char *const table[][2] = {
        {"plain \xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80\n\tx", "plain \xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80\n\tx"},
        {"\x1b[31m", "\\u{1B}[31m"}, {"a\xe2\x80\xae" "b", "a\\u{202E}b"}, {"\xe2\x80\x8b", "\\u{200B}"},
        {"\xf3\xa0\x81\x81", "\\u{E0041}"}, {"\xff", "\xef\xbf\xbd"}, {"\xc2\x85", "\\u{85}"}, {"", ""},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct strbuf b = STRBUF_INIT;
        visible_append(&b, table[i][0], strlen(table[i][0]));
        assert_string_equal(strbuf_str(&b), table[i][1]);
        strbuf_release(&b);
    }
    struct err err = {0};
    _cleanup_json_ json_t *j = json_pack("{s:[s, {s:s}], s:i}", "k\xe2\x80\xae", "\x1b", "x", "\xe2\x80\x8b", "n", 1);
    _cleanup_json_ json_t *want = json_pack("{s:[s, {s:s}], s:i}", "k\\u{202E}", "\\u{1B}", "x", "\\u{200B}", "n", 1);
    assert_int_equal(visible_json(j, &err), 0);
    assert_true(json_equal(j, want));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(what_is_no_message_is_answered), TEST(depth_is_bounded), TEST(versions_are_negotiated),
            TEST(requests_that_stand_alone),
        TEST(a_cancelled_request_is_not_answered), TEST(so_many_calls_and_no_more), TEST(a_viewer_is_shown_what_he_may),
        TEST(arguments_are_checked), TEST(nothing_is_invisible),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
