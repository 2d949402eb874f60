/* The parsers of the HTTP server: form data, targets, cursors; and its table of routes. */
#include "api/rest/multipart.h"
#include "api/rest/rest_internal.h"
#include "base/cleanup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

/* --- form data ------------------------------------------------------------------------------------------------- */

static int on_begin(void *arg, const char *name, const char *file, struct err *err)
{
    (void)err;
    strbuf_printf(arg, "[%s|%s|", name, file ? file : "-");
    return strcmp(name, "refused") == 0 ? err_set(err, ERR_LIMIT, "no") : 0;
}

static int on_data(void *arg, const void *data, size_t n, struct err *err)
{
    (void)err;
    strbuf_append(arg, data, n);
    return 0;
}

static int on_end(void *arg, struct err *err)
{
    (void)err;
    strbuf_puts(arg, "]");
    return 0;
}

static void form(const char *type, const char *body, size_t len, int want, const char *parts)
{
    static const struct multipart_ops ops = {on_begin, on_data, on_end};
    char boundary[MULTIPART_BOUNDARY_MAX + 1];
    for (size_t step = 1; step <= len + 1; step += 1 + step / 3) {
        struct strbuf out = STRBUF_INIT;
        struct multipart *m;
        assert_int_equal(multipart_boundary(type, boundary, NULL), 0);
        assert_int_equal(multipart_new(boundary, &ops, &out, &m, NULL), 0);
        int r = 0;
        for (size_t i = 0; r == 0 && i < len; i += step)
            r = multipart_feed(m, body + i, step < len - i ? step : len - i, NULL);
        if (r == 0)
            r = multipart_finish(m, NULL);
        assert_int_equal(r, want);
        if (parts)
            assert_string_equal(strbuf_str(&out), parts);
        multipart_free(m);
        strbuf_release(&out);
    }
}

#define FORM(type, body, want, parts) form("multipart/form-data; boundary=" type, body, sizeof(body) - 1, want, parts)
#define PART "Content-Disposition: form-data; name="

static void forms(void **state)
{
    (void)state;
    FORM("b", "--b\r\n" PART "\"x\"\r\n\r\none\r\n--b--\r\n", 0, "[x|-|one]");
    FORM("b", "--b\r\n" PART "x; filename=\"a \\\"q\\\".py\"\r\nA: b\r\n\r\n\r\n--b--", 0, "[x|a \"q\".py|]");
    FORM("b", "before\r\n--b \r\n" PART "x\r\n\r\n\r\n--\r\n--c\r\r\n--b\r\n" PART "y\r\n\r\n2\r\n--b--after", 0,
         "[x|-|\r\n--\r\n--c\r][y|-|2]");
    FORM("\"a b\"", "--a b\r\n" PART "x\r\n\r\n1\r\n--a b--", 0, "[x|-|1]");
    FORM("b", "", -ERR_INVALID, "");
    FORM("b", "--b\r\n" PART "x\r\n\r\ncut", -ERR_INVALID, NULL);
    FORM("b", "--b\r\n\r\nno name\r\n--b--", -ERR_INVALID, NULL);
    FORM("b", "--b\r\nContent-Disposition: attachment; name=x\r\n\r\n1\r\n--b--", -ERR_INVALID, NULL);
    FORM("b", "--bx\r\n" PART "x\r\n\r\n1\r\n--b--", -ERR_INVALID, NULL);
    FORM("b", "--b\r\n" PART "refused\r\n\r\n1\r\n--b--", -ERR_LIMIT, NULL);
    char long_one[3 * MULTIPART_HEADERS_MAX];
    int n = snprintf(long_one, sizeof long_one, "--b\r\nX: %0*d\r\n\r\n", MULTIPART_HEADERS_MAX, 1);
    form("multipart/form-data; boundary=b", long_one, (size_t)n, -ERR_INVALID, "");
    char b[MULTIPART_BOUNDARY_MAX + 1];
    assert_int_equal(multipart_boundary("multipart/form-data", b, NULL), -ERR_INVALID);
    assert_int_equal(multipart_boundary("multipart/form-data; boundary=", b, NULL), -ERR_INVALID);
    assert_int_equal(multipart_boundary("multipart/form-data; boundary=a\x01", b, NULL), -ERR_INVALID);
}

/* --- targets ---------------------------------------------------------------------------------------------------- */

static int parse(const char *text, struct target *t)
{
    return target_parse(text, strlen(text), t, NULL);
}

static void encodings(void **state)
{
    static const char *const yes[] = {"gzip", "GZIP", "br, gzip", "x-gzip", "*", "gzip;q=0.1", "gzip ; q=1", "*;q=0, gzip", "identity;q=0.5,gzip;q=1.0"};
    static const char *const no[] = {NULL, "", "identity", "x-nogzip", "gzipped", "gzip;q=0", "gzip; q=0.000", "*;q=0", "*, gzip;q=0", "gzip;q=0, *",
                                     ",,;", "br;q=1"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(yes); i++)
        assert_true(head_accepts_gzip(yes[i]));
    for (size_t i = 0; i < ARRAY_LEN(no); i++)
        assert_false(head_accepts_gzip(no[i]));
}

static void targets(void **state)
{
    struct target t;
    (void)state;
    assert_int_equal(parse("/runs/a%2Fb/status/?limit=5&q=a+b%26c&e&f=#x", &t), 0);
    assert_int_equal(t.parts_count, 3);
    assert_string_equal(t.parts[1], "a/b");
    assert_true(t.slash);
    assert_int_equal(t.fields_count, 4);
    assert_string_equal(target_field(&t, "q"), "a b&c");
    assert_string_equal(target_field(&t, "e"), "");
    assert_string_equal(target_field(&t, "f"), "");
    assert_null(target_field(&t, "none"));
    target_release(&t);
    static const char *const bad[] = {"", "runs", "*", "/%", "/%1", "/%zz", "/%00", "/a%0a", "/%ff", "/x?a=%c0%80", "http://", "https:///x", "http:/x", "ftp://x/"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(parse(bad[i], &t), -ERR_USAGE);
    static const char *const absolute[] = {"http://host:80/runs?limit=5", "HTTPS://host:80/runs?limit=5#x"};
    for (size_t i = 0; i < ARRAY_LEN(absolute); i++) {
        assert_int_equal(parse(absolute[i], &t), 0);
        assert_string_equal(t.authority, "host:80");
        assert_int_equal(t.parts_count, 1);
        assert_string_equal(t.parts[0], "runs");
        assert_string_equal(target_field(&t, "limit"), "5");
        target_release(&t);
    }
    assert_int_equal(parse("http://h?limit=5", &t), 0);
    assert_int_equal(t.parts_count, 0);
    assert_string_equal(target_field(&t, "limit"), "5");
    target_release(&t);
    assert_int_equal(parse("/1/2/3/4/5/6/7/8/9", &t), 0);
    assert_true(t.too_deep);
    target_release(&t);
    char text[TARGET_BYTES_MAX + 2];
    memset(text, '/', sizeof text);
    assert_int_equal(target_parse(text, sizeof text, &t, NULL), -ERR_LIMIT);
}

static void cursors(void **state)
{
    (void)state;
    for (size_t n = 0; n < 40; n++) {
        _cleanup_free_ uint8_t *back = NULL;
        size_t len = 99;
        _cleanup_free_ char *text = cursor_write(1, "0123456789012345678901234567890123456789", n);
        assert_int_equal(cursor_read(1, text, &back, &len, NULL), 0);
        assert_int_equal(len, n);
        assert_int_equal(cursor_read(2, text, &back, &len, NULL), -ERR_NOT_FOUND);
        text[0] = text[0] == 'A' ? 'B' : 'A';
        assert_int_equal(cursor_read(1, text, &back, &len, NULL), -ERR_NOT_FOUND);
    }
}

/* --- the table ---------------------------------------------------------------------------------------------------- */

static const struct route *find(const struct api *a, const char *method, const char *path, char *allow)
{
    struct target t;
    assert_int_equal(parse(path, &t), 0);
    const struct route *r = api_find(a, method, &t, allow);
    target_release(&t);
    return r;
}

static void table(void **state)
{
    struct api a = {0};
    struct err err = {0};
    char allow[64];
    (void)state;
    if (api_load(&a, NULL, false, &err) < 0)
        fail_msg("%s", err.msg);
    assert_string_equal(find(&a, "GET", "/runs/x/status", allow)->op, "run_status");
    assert_string_equal(find(&a, "HEAD", "/workflows", allow)->op, "list_workflows");
    assert_string_equal(find(&a, "GET", "/workflows/metadata/schema", allow)->op, "metadata_schema");
    assert_string_equal(find(&a, "GET", "/workflows/x/metadata", allow)->op, "workflow_metadata");
    assert_string_equal(find(&a, "GET", "/runs/x/findings", allow)->op, "run_findings");
    assert_string_equal(find(&a, "GET", "/runs/w/findings/x", allow)->op, "workflow_findings");
    assert_null(find(&a, "POST", "/runs", allow));
    assert_string_equal(allow, "GET, HEAD");
    assert_null(find(&a, "PATCH", "/fuzzing/x/stats", allow));
    assert_string_equal(allow, "GET, HEAD, POST");
    assert_string_equal(find(&a, "DELETE", "/mcp", allow)->op, "mcp_end");
    assert_null(find(&a, "HEAD", "/mcp", allow));
    assert_string_equal(allow, "POST, GET, DELETE");
    assert_null(find(&a, "GET", "/none", allow));
    assert_string_equal(allow, "");
    for (size_t i = 0; i < a.count; i++) { /* what a route names is there */
        static const char *const kinds[] = {"body", "form", "answer", "error"};
        for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
            const char *name = json_string_value(json_object_get(a.routes[i].extra, kinds[k]));
            assert_true(!name || api_schema(&a, name));
        }
        size_t q;
        json_t *p;
        json_array_foreach(json_object_get(a.routes[i].extra, "query"), q, p)
            assert_non_null(api_parameter(&a, json_string_value(p)));
        json_array_foreach(json_object_get(a.routes[i].extra, "header"), q, p)
            assert_non_null(api_parameter(&a, json_string_value(p)));
    }
    assert_non_null(strstr(a.openapi, "\"openapi\":\"3.1.0\""));
    api_release(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(forms), cmocka_unit_test(encodings), cmocka_unit_test(targets), cmocka_unit_test(cursors),
                                       cmocka_unit_test(table)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
