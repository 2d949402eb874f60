/* The worker's reader of module output against hostile bytes, and the request. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "codec/json.h"
#include "codec/utf8.h"
#include "module/protocol.h"

#include <string.h>

/* What was seen, as one line a message. */
struct seen {
    struct strbuf text;
    size_t messages;
};

static void on_log(void *arg, const char *level, const char *message)
{
    struct seen *s = arg;
    assert_true(utf8_valid(message, strlen(message)));
    assert_true(strlen(message) <= MODULE_TEXT_MAX);
    strbuf_printf(&s->text, "log %s %.60s\n", level, message);
    s->messages++;
}

static void on_progress(void *arg, uint64_t done, uint64_t total, const char *message)
{
    struct seen *s = arg;
    strbuf_printf(&s->text, "progress %llu/%llu %s\n", (unsigned long long)done,
                  (unsigned long long)total, message);
    s->messages++;
}

static void on_finding(void *arg, struct finding *f)
{
    struct seen *s = arg;
    strbuf_printf(&s->text, "finding %s %s:%d\n", f->rule_id, f->file ? f->file : "-", f->line);
    s->messages++;
}

static void on_json(struct seen *s, const char *what, const json_t *j)
{
    strbuf_printf(&s->text, "%s ", what);
    json_write(j, &s->text, NULL);
    strbuf_putc(&s->text, '\n');
    s->messages++;
}

static void on_stats(void *arg, const json_t *stats)
{
    on_json(arg, "stats", stats);
}

static void on_artifact(void *arg, const char *path, const char *name)
{
    struct seen *s = arg;
    strbuf_printf(&s->text, "artifact %s as %s\n", path, name);
    s->messages++;
}

static void on_keep(void *arg, const char *path, const char *name)
{
    struct seen *s = arg;
    strbuf_printf(&s->text, "keep %s %s\n", path ? path : "-", name);
    s->messages++;
}

static void on_checkpoint(void *arg, const json_t *data)
{
    on_json(arg, "checkpoint", data);
}

static const struct module_reader_ops all_ops = {on_log,      on_progress,   on_finding, on_stats,
                                                 on_artifact, on_checkpoint, on_keep};

/* Feeds text in pieces of `step` bytes (0: at once), then ends. The result is appended to seen. */
static int read_all(const char *text, size_t len, size_t step, struct seen *seen, struct err *err)
{
    struct module_reader *r = NULL;
    int e = module_reader_new(&all_ops, seen, &r, err);
    if (e < 0)
        return e;
    int fed = 0;
    for (size_t i = 0; i < len && fed == 0;) {
        size_t n = step && step < len - i ? step : len - i;
        fed = module_reader_feed(r, text + i, n, err);
        i += n;
    }
    enum module_status status;
    const json_t *summary;
    const char *error;
    e = module_reader_finish(r, &status, &summary, &error, err);
    if (fed < 0)
        assert_int_equal(e, fed); /* a failure stays */
    if (e == 0) {
        assert_true(json_is_object(summary));
        strbuf_printf(&seen->text, "result %s %s ", module_status_name(status), error ? error : "-");
        json_write(summary, &seen->text, NULL);
    }
    module_reader_free(r);
    return e;
}

static void expect(const char *in, const char *out)
{
    struct seen s = {.text = STRBUF_INIT};
    struct err err = {0};
    if (read_all(in, strlen(in), 0, &s, &err) < 0)
        fail_msg("%s: %s", in, err.msg);
    assert_string_equal(strbuf_str(&s.text), out);
    strbuf_release(&s.text);
}

static void refuse_bytes(const char *in, size_t len, int code, const char *words)
{
    struct seen s = {.text = STRBUF_INIT};
    struct err err = {0};
    assert_int_equal(read_all(in, len, 0, &s, &err), -code);
    if (!strstr(err.msg, words))
        fail_msg("'%s' does not say '%s'", err.msg, words);
    strbuf_release(&s.text);
}

static void refuse(const char *in, const char *words)
{
    refuse_bytes(in, strlen(in), ERR_INVALID, words);
}

#define OK "{\"type\":\"result\",\"status\":\"success\",\"summary\":{\"n\":1}}\n"

static const char everything[] =
    "starting é\r\n"
    "\n"
    "{\"type\":\"log\",\"level\":\"WARN\",\"message\":\"careful\"}\n"
    "{\"type\":\"progress\",\"done\":3,\"total\":10.0,\"message\":\"x\"}\n"
    "{\"type\":\"finding\",\"rule_id\":\"a/b\",\"title\":\"T\",\"severity\":\"high\",\"file\":\"./a//b.py\",\"line\":7}\n"
    "{\"type\":\"stats\",\"executions\":5}\r\n"
    "{\"type\":\"artifact\",\"path\":\"/scratch/r.txt\"}\n"
    "{\"type\":\"artifact\",\"path\":\"/scratch/r.txt\",\"name\":\"report.txt\"}\n"
    "{\"type\":\"checkpoint\",\"data\":{\"at\":[1,2]}}\n"
    "{\"type\":\"keep\",\"path\":\"/scratch/c\",\"name\":\"crash-1\"}\n"
    "{\"type\":\"keep\",\"path\":null,\"name\":\"crash-1\"}\n"
    "{\"type\":\"result\",\"status\":\"partial\",\"summary\":{\"n\":1},\"error\":\"half\"}\n"
    "bye";
static const char everything_seen[] = "log info starting é\n"
                                      "log warning careful\n"
                                      "progress 3/10 x\n"
                                      "finding a/b a/b.py:7\n"
                                      "stats {\"executions\":5}\n"
                                      "artifact /scratch/r.txt as r.txt\n"
                                      "artifact /scratch/r.txt as report.txt\n"
                                      "checkpoint {\"at\":[1,2]}\n"
                                      "keep /scratch/c crash-1\n"
                                      "keep - crash-1\n"
                                      "log info bye\n"
                                      "result partial half {\"n\":1}";

static void test_messages(void **state)
{
    expect(everything, everything_seen);
    expect("{\"type\":\"result\",\"status\":\"failed\",\"error\":null,\"summary\":null}",
           "result failed - {}");
    expect("{\"type\":\"result\",\"status\":\"success\",\"new\":[1]}", "result success - {}");
    expect(" {not json\n[1]\n" OK, "log info  {not json\nlog info [1]\nresult success - {\"n\":1}");
    expect("{\"type\":\"progress\"}\n" OK, "progress 0/0 \nresult success - {\"n\":1}");
}

/* The same comes out wherever the bytes are cut. */
static void test_every_split(void **state)
{
    size_t len = sizeof everything - 1;
    for (size_t step = 1; step <= 64; step++) {
        struct seen s = {.text = STRBUF_INIT};
        struct err err = {0};
        assert_int_equal(read_all(everything, len, step, &s, &err), 0);
        assert_string_equal(strbuf_str(&s.text), everything_seen);
        strbuf_release(&s.text);
    }
    for (size_t cut = 0; cut <= len; cut++) {
        struct seen s = {.text = STRBUF_INIT};
        struct err err = {0};
        struct module_reader *r = NULL;
        assert_int_equal(module_reader_new(&all_ops, &s, &r, &err), 0);
        assert_int_equal(module_reader_feed(r, everything, cut, &err), 0);
        assert_int_equal(module_reader_feed(r, everything + cut, len - cut, &err), 0);
        enum module_status status;
        const json_t *summary;
        const char *error;
        assert_int_equal(module_reader_finish(r, &status, &summary, &error, &err), 0);
        assert_int_equal(s.messages, 11);
        module_reader_free(r);
        strbuf_release(&s.text);
    }
}

static void test_refused(void **state)
{
    refuse("", "without a result");
    refuse("just talk\n", "without a result");
    refuse("{\n" OK, "line 1 of the module's output: no valid JSON");
    refuse("x\n{\"type\":\"log\"\n" OK, "line 2");
    refuse("{}\n" OK, "without 'type'");
    refuse("{\"type\":7}\n" OK, "without 'type'");
    refuse("{\"type\":\"findings\"}\n" OK, "unknown message type 'findings'");
    refuse(OK OK, "line 2 of the module's output: result after the result");
    refuse(OK "{\"type\":\"log\",\"message\":\"x\"}\n", "log after the result");
    refuse("{\"type\":\"log\",\"level\":\"loud\",\"message\":\"x\"}\n" OK, "'level'");
    refuse("{\"type\":\"log\",\"level\":\"info\"}\n" OK, "'message'");
    refuse("{\"type\":\"progress\",\"done\":-1}\n" OK, "'done'");
    refuse("{\"type\":\"progress\",\"total\":\"10\"}\n" OK, "'total'");
    refuse("{\"type\":\"progress\",\"total\":1e300}\n" OK, "'total'");
    refuse("{\"type\":\"finding\",\"title\":\"T\",\"severity\":\"high\"}\n" OK, "rule_id");
    refuse("{\"type\":\"finding\",\"rule_id\":\"a/b\",\"title\":\"T\",\"severity\":\"high\",\"file\":\"../x\"}\n" OK,
           "climbs out");
    refuse("{\"type\":\"finding\",\"rule_id\":\"a/b\",\"title\":\"T\",\"severity\":\"dire\"}\n" OK, "dire");
    refuse("{\"type\":\"artifact\"}\n" OK, "'path'");
    refuse("{\"type\":\"artifact\",\"path\":\"a\\u0000b\"}\n" OK, "'path'");
    refuse("{\"type\":\"artifact\",\"path\":\"/scratch/\"}\n" OK, "'name'");
    refuse("{\"type\":\"artifact\",\"path\":\"x\",\"name\":\"../x\"}\n" OK, "'name'");
    refuse("{\"type\":\"artifact\",\"path\":\"x\",\"name\":\"..\"}\n" OK, "'name'");
    refuse("{\"type\":\"artifact\",\"path\":\"x\",\"name\":\"a\\u001bb\"}\n" OK, "'name'");
    refuse("{\"type\":\"checkpoint\"}\n" OK, "'data'");
    refuse("{\"type\":\"keep\",\"name\":\"x\"}\n" OK, "keep: 'path'");
    refuse("{\"type\":\"keep\",\"path\":null}\n" OK, "keep: 'path'");
    refuse("{\"type\":\"keep\",\"path\":null,\"name\":\"a/b\"}\n" OK, "keep: 'name'");
    refuse("{\"type\":\"result\"}\n", "'status'");
    refuse("{\"type\":\"result\",\"status\":\"done\"}\n", "'status'");
    refuse("{\"type\":\"result\",\"status\":\"success\",\"summary\":[]}\n", "'summary'");
    refuse("{\"type\":\"result\",\"status\":\"failed\",\"error\":{}}\n", "'error'");
    refuse("{\"type\":\"log\",\"type\":\"log\",\"message\":\"x\"}\n" OK, "duplicate");
}

static void test_bad_bytes(void **state)
{
    refuse("{\"type\":\"log\",\"message\":\"\xff\xfe\"}\n" OK, "no valid JSON");
    static const char nuls[] = "\0\0a\0\n" OK;
    struct seen s = {.text = STRBUF_INIT};
    struct err err = {0};
    assert_int_equal(read_all(nuls, sizeof nuls - 1, 0, &s, &err), 0);
    assert_true(strncmp(s.text.s, "log info \xef\xbf\xbd\xef\xbf\xbd" "a\xef\xbf\xbd\n", 16) == 0);
    strbuf_release(&s.text);
    static const char nul_in_json[] = "{\"type\":\0\"log\"}\n" OK;
    refuse_bytes(nul_in_json, sizeof nul_in_json - 1, ERR_INVALID, "no valid JSON");
    expect("a\xff\xc0z\n" OK, "log info a\xef\xbf\xbd\xef\xbf\xbdz\nresult success - {\"n\":1}");
}

/* The parser's excerpt may hold what a module found: it must not get into an error. */
static void test_error_quotes_nothing(void **state)
{
    struct seen s = {.text = STRBUF_INIT};
    struct err err = {0};
    const char *in = "{\"type\":\"log\",\"message\":hunter2-s3cret}\n";
    assert_true(read_all(in, strlen(in), 0, &s, &err) < 0);
    assert_null(strstr(err.msg, "hunter2"));
    strbuf_release(&s.text);
}

static void test_depth(void **state)
{
    for (int depth = 64; depth <= 200000; depth = depth == 64 ? 200000 : depth + 1) {
        struct strbuf b = STRBUF_INIT;
        strbuf_puts(&b, "{\"type\":\"stats\",\"x\":");
        for (int i = 0; i < depth; i++)
            strbuf_putc(&b, '[');
        for (int i = 0; i < depth; i++)
            strbuf_putc(&b, ']');
        strbuf_puts(&b, "}\n" OK);
        struct seen s = {.text = STRBUF_INIT};
        struct err err = {0};
        int r = read_all(b.s, b.len, 0, &s, &err);
        if (depth == 64)
            assert_int_equal(r, 0);
        else
            assert_int_equal(r, -ERR_INVALID);
        strbuf_release(&s.text);
        strbuf_release(&b);
    }
}

/* A line of exactly the maximum passes, one byte more does not, in whatever pieces it comes. */
static void test_line_max(void **state)
{
    static const char head[] = "{\"type\":\"stats\",\"x\":\"", tail[] = "\"}";
    for (int json = 0; json < 2; json++) {
        for (size_t over = 0; over < 2; over++) {
            for (int newline = 0; newline < 2; newline++) {
                struct strbuf b = STRBUF_INIT;
                size_t fill = MODULE_LINE_MAX + over - (json ? sizeof head + sizeof tail - 2 : 0);
                if (json)
                    strbuf_puts(&b, head);
                memset(strbuf_reserve(&b, fill), 'x', fill);
                strbuf_commit(&b, fill);
                if (json)
                    strbuf_puts(&b, tail);
                assert_int_equal(b.len, MODULE_LINE_MAX + over);
                strbuf_puts(&b, newline ? "\n" OK : "");
                for (size_t step = 0; step <= 65536; step += 32768) {
                    struct seen s = {.text = STRBUF_INIT};
                    struct err err = {0};
                    int want = over ? ERR_LIMIT : newline ? 0 : ERR_INVALID;
                    assert_int_equal(read_all(b.s, b.len, step, &s, &err), -want);
                    assert_int_equal(s.messages, over ? 0 : 1);
                    strbuf_release(&s.text);
                }
                strbuf_release(&b);
            }
        }
    }
}

static void test_text_cut(void **state)
{
    struct strbuf b = STRBUF_INIT;
    for (int i = 0; i < 20000; i++)
        strbuf_puts(&b, i % 2 ? "é" : "\xff");
    strbuf_puts(&b, "\n" OK);
    struct seen s = {.text = STRBUF_INIT};
    struct err err = {0};
    assert_int_equal(read_all(b.s, b.len, 0, &s, &err), 0); /* on_log checks the maximum and the encoding */
    assert_int_equal(s.messages, 1);
    strbuf_release(&s.text);
    strbuf_release(&b);
}

static void test_too_many_artifacts(void **state)
{
    struct strbuf b = STRBUF_INIT;
    for (int i = 0; i <= MODULE_ARTIFACTS_MAX; i++)
        strbuf_printf(&b, "{\"type\":\"artifact\",\"path\":\"/scratch/%d\"}\n", i);
    strbuf_puts(&b, OK);
    refuse_bytes(b.s, b.len, ERR_LIMIT, "more than 256 artifacts");
    strbuf_release(&b);
}

/* Nobody has to listen. */
static void test_no_ops(void **state)
{
    struct module_reader *r = NULL;
    struct module_reader_ops none = {0};
    assert_int_equal(module_reader_new(&none, NULL, &r, NULL), 0);
    assert_int_equal(module_reader_feed(r, everything, sizeof everything - 1, NULL), 0);
    enum module_status status;
    const json_t *summary;
    const char *error;
    assert_int_equal(module_reader_finish(r, &status, &summary, &error, NULL), 0);
    assert_int_equal(status, MODULE_PARTIAL);
    module_reader_free(r);
    assert_int_equal(module_reader_new(&none, NULL, &r, NULL), 0);
    assert_int_equal(module_reader_feed(r, "{\n", 2, NULL), -ERR_INVALID);
    assert_int_equal(module_reader_feed(r, OK, strlen(OK), NULL), -ERR_INVALID);
    assert_int_equal(module_reader_finish(r, &status, &summary, &error, NULL), -ERR_INVALID);
    module_reader_free(r);
}

static void test_request(void **state)
{
    struct strbuf b = STRBUF_INIT;
    struct err err = {0};
    json_t *input = json_pack("{s:i}", "x", 1);
    struct module_request q = {.module = "probe", .run_id = "r1", .attempt = 2, .input = input,
                               .workspace = "/workspace", .scratch = "/scratch"};
    assert_int_equal(module_request_write(&q, &b, &err), 0);
    assert_string_equal(b.s, "{\"protocol\":1,\"module\":\"probe\",\"run_id\":\"r1\",\"attempt\":2,\"input\":{\"x\":1},"
                             "\"workspace\":\"/workspace\",\"scratch\":\"/scratch\",\"objects\":null,"
                             "\"checkpoint\":null}\n");
    strbuf_release(&b);
    size_t n = MODULE_REQUEST_MAX;
    char *big = mem_alloc(n);
    assert_non_null(big);
    memset(big, 'a', n);
    json_object_set_new(input, "big", json_stringn(big, n));
    free(big);
    assert_int_equal(module_request_write(&q, &b, &err), -ERR_LIMIT);
    json_decref(input);
    strbuf_release(&b);
}

/* Each allocation fails in turn: an error comes out, never a crash, a leak or a message that was made up. jansson's
 * allocations fail too where it writes; its parser (2.14) does not survive that itself. */
static void test_memory_faults(void **state)
{
    json_t *input = json_pack("{s:i}", "x", 1);
    for (int what = 0; what < 2; what++) {
        json_set_alloc_funcs(what ? malloc : mem_alloc, free);
        for (long n = 1;; n++) {
            struct seen s = {.text = STRBUF_INIT};
            struct strbuf b = STRBUF_INIT;
            struct err err = {0};
            strbuf_reserve(&s.text, 4096); /* the test's own memory is no part of it */
            struct module_request q = {.module = "probe", .input = input};
            mem_fault_set(n, 0);
            int r = what ? read_all(everything, sizeof everything - 1, 0, &s, &err)
                         : module_request_write(&q, &b, &err);
            int hit = mem_fault_hit();
            mem_fault_set(0, 0);
            assert_true(r == 0 || hit);
            if (r == 0 && what)
                assert_true(hit || strcmp(s.text.s, everything_seen) == 0);
            strbuf_release(&s.text);
            strbuf_release(&b);
            if (!hit)
                break;
            assert_true(n < 10000);
        }
    }
    json_decref(input);
    json_set_alloc_funcs(malloc, free);
}

static void count_log(void *arg, const char *level, const char *message)
{
    (void)level;
    (void)message;
    ++*(size_t *)arg;
}

/* Lines that are no messages are logs, up to a number: garbage without end is not. */
static void test_garbage(void **state)
{
    static const struct module_reader_ops ops = {.log = count_log};
    struct module_reader *r;
    struct err e = {0};
    size_t logs = 0;
    char block[4096];
    for (size_t i = 0; i < sizeof block; i++)
        block[i] = i % 2 ? '\n' : 'y';
    assert_int_equal(module_reader_new(&ops, &logs, &r, &e), 0);
    int n = 0;
    for (size_t blocks = 0; n == 0 && blocks < 1000; blocks++)
        n = module_reader_feed(r, block, sizeof block, &e);
    assert_int_equal(n, -ERR_LIMIT);
    assert_non_null(strstr(e.msg, "no messages"));
    assert_int_equal(logs, MODULE_LOOSE_LINES_MAX);
    module_reader_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_messages),      cmocka_unit_test(test_every_split),
        cmocka_unit_test(test_refused),       cmocka_unit_test(test_bad_bytes),
        cmocka_unit_test(test_error_quotes_nothing), cmocka_unit_test(test_garbage),
        cmocka_unit_test(test_depth),         cmocka_unit_test(test_line_max),
        cmocka_unit_test(test_text_cut),      cmocka_unit_test(test_too_many_artifacts),
        cmocka_unit_test(test_no_ops),        cmocka_unit_test(test_request),
        cmocka_unit_test(test_memory_faults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
