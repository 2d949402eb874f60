/* The client's parsers: streams of events, and documents that become structures; and the URLs it takes. */
#include "api/client/client.h"
#include "api/client/documents.h"
#include "api/client/sse.h"
#include "base/cleanup.h"
#include "base/units.h"
#include "codec/json.h"
#include "os/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

static int on_event(void *arg, const struct sse_event *e, struct err *err)
{
    strbuf_printf(arg, "%s %s %s;", e->id, e->type, e->data);
    return strcmp(e->type, "refused") == 0 ? err_set(err, ERR_CORRUPT, "no") : 0;
}

static void stream(const char *text, int want, const char *events)
{
    for (size_t step = 1; step <= strlen(text); step++) {
        struct strbuf seen = STRBUF_INIT;
        struct sse s;
        int r = 0;
        sse_init(&s, on_event, &seen);
        for (size_t i = 0; r == 0 && i < strlen(text); i += step)
            r = sse_feed(&s, text + i, strlen(text) - i < step ? strlen(text) - i : step, NULL);
        assert_int_equal(r, want);
        assert_string_equal(strbuf_str(&seen), events);
        sse_release(&s);
        strbuf_release(&seen);
    }
}

static void test_streams(void **state)
{
    (void)state;
    stream(": hello\n\nid: 1\nevent: log\ndata: a\n\nid:2\ndata:b\ndata: c\n\n", 0, "1 log a;2 message b\nc;");
    stream("id: 1\r\ndata: a\r\n\r\ndata: b\r\rdata: c\n\n", 0, "1 message a;1 message b;1 message c;");
    stream("id: 1x\nid: 99999999999999999999999999\ndata\n\n", 0, " message ;");
    stream("event: log\n\ndata: a\n\ndata: never whole\n", 0, " message a;");
    stream("event: refused\ndata: a\n\ndata: b\n\n", -ERR_CORRUPT, " refused a;");
}

static void test_stream_bounds(void **state)
{
    struct sse s;
    struct strbuf seen = STRBUF_INIT;
    char block[4096];
    int r = 0;
    (void)state;
    memset(block, 'x', sizeof block);
    sse_init(&s, on_event, &seen);
    for (int i = 0; r == 0 && i < 1000; i++)
        r = sse_feed(&s, block, sizeof block, NULL);
    assert_int_equal(r, -ERR_LIMIT);
    sse_reset(&s);
    assert_int_equal(sse_feed(&s, "data: a\n\n", 9, NULL), 0);
    assert_string_equal(strbuf_str(&seen), " message a;");
    for (int i = r = 0; r == 0 && i < 1000; i++) {
        r = sse_feed(&s, "data: ", 6, NULL);
        r = r == 0 ? sse_feed(&s, block, sizeof block, NULL) : r;
        r = r == 0 ? sse_feed(&s, "\n", 1, NULL) : r;
    }
    assert_int_equal(r, -ERR_LIMIT);
    sse_release(&s);
    strbuf_release(&seen);
}

/* The times that a server tells are cut to milliseconds, its durations are not made of these. */
static void test_times(void **state)
{
    (void)state;
    for (int i = 0; i < 4000; i++) {
        int64_t started = INT64_C(1700000000) * NS_PER_S + i * INT64_C(137911), finished = started + i * INT64_C(777773);
        char a[32], b[32], c[32];
        _cleanup_json_ json_t *j =
            json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:I}", "run_id", "r", "execution_id", "e", "workflow", "w", "status",
                      "COMPLETED", "started_at", os_format_time(started, a), "finished_at", os_format_time(finished, b),
                      "duration_ms", (json_int_t)((finished - started) / NS_PER_MS));
        struct run_item item;
        assert_int_equal(document_item(j, &item, NULL), 0);
        assert_int_equal((item.finished_ns - item.started_ns) / NS_PER_MS, (finished - started) / NS_PER_MS);
        assert_string_equal(os_format_time(item.started_ns, c), a);
        assert_string_equal(os_format_time(item.finished_ns, c), b);
    }
}

static void url(const char *text, bool plain_http, int want)
{
    struct client *c = NULL;
    struct err err = {0};
    assert_int_equal(client_new(&(struct client_options){.url = text, .plain_http = plain_http}, &c, &err), want);
    client_free(c);
}

static void test_urls(void **state)
{
    (void)state;
    url("http://127.0.0.1:8000", false, 0);
    url("http://localhost:8000/", false, 0);
    url("HTTP://[::1]:8000", false, 0);
    url("https://ff.example.org/below/", false, 0);
    url("http://ff.example.org", true, 0);
    url("http://ff.example.org", false, -ERR_USAGE);
    url("http://127.0.0.1.example.org", false, -ERR_USAGE);
    url("http://localhost.example.org", false, -ERR_USAGE);
    url("http://127.0.0.1@example.org", false, -ERR_USAGE);
    url("http://user:password@127.0.0.1", true, -ERR_USAGE);
    url("https://", false, -ERR_USAGE);
    url("https://a/?x=1", false, -ERR_USAGE);
    url("https://a\r\nHost: b", false, -ERR_USAGE);
    url("file:///etc/passwd", true, -ERR_USAGE);
    url("", true, -ERR_USAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_streams),
        cmocka_unit_test(test_stream_bounds),
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_urls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
