/* The module's end: requests good and bad, messages, failures of memory and of the pipe, shared objects. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "codec/json.h"
#include "module/module_internal.h"
#include "module/protocol.h"
#include "os/fault.h"
#include "os/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *so_sample_path, *so_empty_path;

/* --- the module under test: what it does is told by its input --- */

static char *filled(size_t n, char c)
{
    char *s = malloc(n + 1);
    assert_non_null(s);
    memset(s, c, n);
    s[n] = 0;
    return s;
}

static void do_finding(struct module_ctx *ctx, int line)
{
    struct finding f = {.rule_id = (char *)(uintptr_t) "t/x", .title = (char *)(uintptr_t) "T",
                        .severity = SEVERITY_LOW, .file = (char *)(uintptr_t) "a\xff.c", .line = line};
    module_finding(ctx, &f);
}

static void do_huge(struct module_ctx *ctx)
{
    char *text = filled(3 << 20, 'x');
    struct finding f = {.rule_id = (char *)(uintptr_t) "t/huge", .title = text, .description = text,
                        .snippet = text, .severity = SEVERITY_LOW, .line = 1,
                        .evidence = json_pack("{s:s}", "a", text)};
    module_finding(ctx, &f);
    json_decref(f.evidence);
    module_log(ctx, "info", "%s", text);
    free(text);
}

static int run(struct module_ctx *ctx, struct err *err)
{
    const char *what = json_str(module_input(ctx), "do", "");
    if (strcmp(what, "all") == 0) {
        module_log(ctx, "warn", "log \xff %d", 1);
        module_progress(ctx, 1, 2, NULL);
        do_finding(ctx, 3);
        module_stats(ctx, json_pack("{s:i}", "n", 1));
        module_artifact(ctx, "/scratch/a", "a");
        module_checkpoint(ctx, json_pack("{s:O}", "before", module_checkpoint_in(ctx)));
        module_summary(ctx, json_pack("{s:s, s:s}", "ws", module_workspace(ctx), "scratch", module_scratch(ctx)));
    } else if (strcmp(what, "many") == 0) {
        for (int i = 1; i <= 20000; i++)
            do_finding(ctx, i);
    } else if (strcmp(what, "huge") == 0) {
        do_huge(ctx);
    } else if (strcmp(what, "fat") == 0) {
        char *text = filled(2 << 20, 'y');
        module_summary(ctx, json_pack("{s:s}", "x", text));
        free(text);
    } else if (strcmp(what, "partial") == 0) {
        module_partial(ctx, "first");
        module_partial(ctx, "then %s", "second");
    } else if (strcmp(what, "artifact") == 0) {
        module_artifact(ctx, "/scratch/\xff", "x");
    } else if (strcmp(what, "fail") == 0) {
        err_set(err, ERR_IO, "no luck");
        return err_hint(err, "try again");
    } else if (strcmp(what, "mute") == 0) {
        return -ERR_TIMEOUT;
    }
    return 0;
}

static const struct module sample = {.name = "sample", .version = "1", .description = "d",
                                     .requires_workspace = true, .run = run};

/* --- one service --- */

struct outcome {
    int exit_status;
    size_t findings, logs, checkpoints, others;
    int last_line;
    char last_log[256], checkpoint[64];
    size_t longest_title;
    bool ended;
    enum module_status status;
    char error[256];
    char summary[256];
};

static void on_log(void *arg, const char *level, const char *message)
{
    struct outcome *o = arg;
    o->logs++;
    snprintf(o->last_log, sizeof o->last_log, "%s: %s", level, message);
}

static void on_finding(void *arg, struct finding *f)
{
    struct outcome *o = arg;
    o->findings++;
    if (f->file)
        assert_string_equal(f->file, strncmp(f->rule_id, "so/", 3) ? "a%FF.c" : "a.c");
    if (strcmp(f->rule_id, "so/one") == 0) {
        assert_int_equal(f->cwe[0], 89);
        assert_int_equal(json_i64(f->metadata, "k", 0), 1);
    }
    o->last_line = f->line;
    if (strlen(f->title) > o->longest_title)
        o->longest_title = strlen(f->title);
}

static void on_progress(void *arg, uint64_t done, uint64_t total, const char *message)
{
    assert_int_equal(done * 10 + total, 12);
    ((struct outcome *)arg)->others++;
}

static void on_stats(void *arg, const json_t *stats)
{
    assert_int_equal(json_i64(stats, "n", 0), 1);
    ((struct outcome *)arg)->others++;
}

static void on_artifact(void *arg, const char *path, const char *name)
{
    ((struct outcome *)arg)->others++;
}

static void on_checkpoint(void *arg, const json_t *data)
{
    struct outcome *o = arg;
    o->checkpoints++;
    struct strbuf b = STRBUF_INIT;
    json_write(data, &b, NULL);
    snprintf(o->checkpoint, sizeof o->checkpoint, "%s", strbuf_str(&b));
    strbuf_release(&b);
}

static int temp_file(void)
{
    char path[] = "/tmp/ff-test-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    unlink(path);
    return fd;
}

/* What came out, read as the worker does; false if it is no valid output. */
static bool read_output(int fd, struct outcome *o)
{
    const struct module_reader_ops ops = {on_log, on_progress, on_finding, on_stats, on_artifact, on_checkpoint};
    struct module_reader *r = NULL;
    assert_int_equal(module_reader_new(&ops, o, &r, NULL), 0);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    static char buf[65536];
    ssize_t n;
    while ((n = read(fd, buf, sizeof buf)) > 0)
        module_reader_feed(r, buf, (size_t)n, NULL);
    const json_t *summary;
    const char *error;
    o->ended = module_reader_finish(r, &o->status, &summary, &error, NULL) == 0;
    if (o->ended) {
        struct strbuf b = STRBUF_INIT;
        json_write(summary, &b, NULL);
        snprintf(o->summary, sizeof o->summary, "%s", strbuf_str(&b));
        snprintf(o->error, sizeof o->error, "%s", error ? error : "");
        strbuf_release(&b);
    }
    module_reader_free(r);
    return o->ended;
}

static struct outcome serve_text(const char *request, const char *so)
{
    struct outcome o = {0};
    int in = temp_file(), out = temp_file();
    assert_int_equal(write(in, request, strlen(request)), strlen(request));
    lseek(in, 0, SEEK_SET);
    o.exit_status = so ? so_module_serve(so, in, out) : module_serve(&sample, in, out);
    read_output(out, &o);
    close(in);
    close(out);
    return o;
}

static struct outcome serve(const char *what)
{
    char request[512];
    snprintf(request, sizeof request,
             "{\"protocol\":1,\"module\":\"sample\",\"run_id\":\"r\",\"attempt\":1,\"input\":{\"do\":\"%s\"},"
             "\"workspace\":\"/w\",\"scratch\":\"/s\",\"checkpoint\":[5]}\n",
             what);
    return serve_text(request, NULL);
}

static void test_messages(void **state)
{
    struct outcome o = serve("all");
    assert_int_equal(o.exit_status, 0);
    assert_int_equal(o.status, MODULE_SUCCESS);
    assert_string_equal(o.error, "");
    assert_string_equal(o.last_log, "warning: log \xef\xbf\xbd 1");
    assert_int_equal(o.findings, 1);
    assert_int_equal(o.others, 3);
    assert_string_equal(o.checkpoint, "{\"before\":[5]}");
    assert_string_equal(o.summary, "{\"ws\":\"/w\",\"scratch\":\"/s\"}");
    o = serve("");
    assert_int_equal(o.status, MODULE_SUCCESS);
    assert_string_equal(o.summary, "{}");
}

static void test_many(void **state)
{
    struct outcome o = serve("many");
    assert_int_equal(o.findings, 20000);
    assert_int_equal(o.last_line, 20000);
    assert_int_equal(o.status, MODULE_SUCCESS);
}

static void test_too_long(void **state)
{
    struct outcome o = serve("huge");
    assert_int_equal(o.exit_status, 0);
    assert_int_equal(o.status, MODULE_SUCCESS);
    assert_int_equal(o.findings, 1);
    assert_true(o.longest_title <= FINDING_TITLE_MAX);
    assert_int_equal(o.logs, 1);
    o = serve("fat");
    assert_int_equal(o.exit_status, 0);
    assert_int_equal(o.status, MODULE_FAILED);
    assert_non_null(strstr(o.error, "summary: a message of"));
}

static void test_ends(void **state)
{
    struct outcome o = serve("partial");
    assert_int_equal(o.status, MODULE_PARTIAL);
    assert_string_equal(o.error, "then second");
    assert_int_equal(o.logs, 2);
    o = serve("fail");
    assert_int_equal(o.exit_status, 0);
    assert_int_equal(o.status, MODULE_FAILED);
    assert_string_equal(o.error, "no luck (try again)");
    o = serve("mute");
    assert_int_equal(o.status, MODULE_FAILED);
    assert_string_equal(o.error, "timed out");
    o = serve("artifact");
    assert_int_equal(o.status, MODULE_FAILED);
    assert_non_null(strstr(o.error, "UTF-8"));
}

static void expect_refused(const char *request, const char *words)
{
    struct outcome o = serve_text(request, NULL);
    assert_int_equal(o.exit_status, 0);
    assert_int_equal(o.status, MODULE_FAILED);
    if (!strstr(o.error, words))
        fail_msg("'%s' does not say '%s'", o.error, words);
}

static void test_bad_requests(void **state)
{
    expect_refused("", "no valid JSON");
    expect_refused("hello\n", "no valid JSON");
    expect_refused("[]\n", "no object");
    expect_refused("{}\n", "protocol 0");
    expect_refused("{\"protocol\":2}\n", "protocol 2");
    expect_refused("{\"protocol\":1,\"module\":\"other\"}\n", "for module 'other'");
    expect_refused("{\"protocol\":1,\"module\":\"sample\"}\n", "'input'");
    expect_refused("{\"protocol\":1,\"module\":\"sample\",\"input\":{}}\n", "needs a workspace");
    char *long_line = filled(MODULE_REQUEST_MAX + (1 << 20), ' ');
    expect_refused(long_line, "over");
    free(long_line);
}

/* Bytes after the request's line do not matter, nor does a missing newline. */
static void test_request_in_pieces(void **state)
{
    static const char request[] = "{\"protocol\":1,\"module\":\"sample\",\"input\":{},\"workspace\":\"/w\"}";
    for (int end = 0; end < 2; end++) {
        int p[2];
        assert_int_equal(pipe(p), 0);
        int out = temp_file();
        pid_t child = fork();
        if (child == 0) {
            for (size_t i = 0; i < sizeof request - 1; i++)
                if (write(p[1], request + i, 1) != 1)
                    _exit(1);
            if (end && write(p[1], "\n{garbage", 9) != 9)
                _exit(1);
            _exit(0);
        }
        close(p[1]);
        struct outcome o = {.exit_status = module_serve(&sample, p[0], out)};
        assert_true(read_output(out, &o));
        assert_int_equal(o.status, MODULE_SUCCESS);
        close(p[0]);
        close(out);
    }
}

static void test_write_fails(void **state)
{
    os_fault_set(1, ENOSPC, false, "write");
    struct outcome o = serve("many");
    os_fault_set(0, 0, false, NULL);
    assert_int_equal(o.exit_status, 1);
    assert_false(o.ended);
    os_fault_set(1, EIO, false, "read");
    o = serve("many");
    os_fault_set(0, 0, false, NULL);
    assert_int_equal(o.status, MODULE_FAILED);
    assert_non_null(strstr(o.error, "read the request"));
}

/* Each allocation fails in turn: either the whole result is there, or the run is failed, or the exit status tells. */
static void test_memory_faults(void **state)
{
    static const char *const whats[] = {"all", "partial", "fail"};
    for (size_t i = 0; i < 3; i++) {
        for (long n = 1;; n++) {
            mem_fault_set(n, 0);
            char request[256];
            snprintf(request, sizeof request,
                     "{\"protocol\":1,\"module\":\"sample\",\"input\":{\"do\":\"%s\"},\"workspace\":\"/w\","
                     "\"scratch\":\"/s\",\"checkpoint\":[5]}\n", whats[i]);
            int in = temp_file(), out = temp_file();
            assert_int_equal(write(in, request, strlen(request)), strlen(request));
            lseek(in, 0, SEEK_SET);
            struct outcome o = {.exit_status = module_serve(&sample, in, out)};
            int hit = mem_fault_hit();
            mem_fault_set(0, 0);
            read_output(out, &o);
            close(in);
            close(out);
            assert_true(o.exit_status == 1 ? hit : o.ended);
            if (i == 0 && o.ended && o.status == MODULE_SUCCESS)
                assert_int_equal(o.findings + o.others + o.logs + o.checkpoints, 6);
            if (!hit)
                break;
            assert_true(n < 5000);
        }
    }
}

static void test_shared_object(void **state)
{
    struct outcome o = serve_text("{\"protocol\":1,\"module\":\"any\",\"input\":{\"a\":1},\"checkpoint\":[1]}\n",
                                  so_sample_path);
    assert_int_equal(o.exit_status, 0);
    assert_string_equal(o.error, "");
    assert_int_equal(o.status, MODULE_SUCCESS);
    assert_string_equal(o.summary, "{\"two\":2}");
    assert_string_equal(o.checkpoint, "[7]");
    assert_int_equal(o.findings, 2);
    assert_int_equal(o.others, 3);
    o = serve_text("{\"protocol\":1,\"module\":\"any\",\"input\":{\"do\":\"partial\"}}\n", so_sample_path);
    assert_int_equal(o.status, MODULE_PARTIAL);
    assert_string_equal(o.error, "half of it");
    o = serve_text("{\"protocol\":1,\"module\":\"any\",\"input\":{\"do\":\"fail\"}}\n", so_sample_path);
    assert_int_equal(o.status, MODULE_FAILED);
    assert_string_equal(o.error, "told to");
    o = serve_text("{\"protocol\":1,\"module\":\"any\",\"input\":{\"do\":\"seven\"}}\n", so_sample_path);
    assert_string_equal(o.error, "ff_module_v1 gave 7");
    o = serve_text("{\"protocol\":1,\"module\":\"any\",\"input\":{}}\n", so_empty_path);
    assert_int_equal(o.status, MODULE_FAILED);
    assert_non_null(strstr(o.error, "exports no ff_module_v1"));
    o = serve_text("{\"protocol\":1,\"module\":\"any\",\"input\":{}}\n", "/nonexistent.so");
    assert_int_equal(o.status, MODULE_FAILED);
    assert_non_null(strstr(o.error, "nonexistent.so"));
}

/* What an object prints goes to stderr when the messages go to stdout. */
static void test_shared_object_prints(void **state)
{
    static const char request[] = "{\"protocol\":1,\"module\":\"any\",\"input\":{}}\n";
    int in = temp_file(), out = temp_file(), err = temp_file(), status;
    assert_int_equal(write(in, request, strlen(request)), strlen(request));
    lseek(in, 0, SEEK_SET);
    pid_t child = fork();
    if (child == 0) {
        dup2(in, 0);
        dup2(out, 1);
        dup2(err, 2);
        _exit(so_module_serve(so_sample_path, 0, 1));
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    struct outcome o = {0};
    assert_true(read_output(out, &o));
    assert_int_equal(o.findings, 2);
    char text[64] = "";
    lseek(err, 0, SEEK_SET);
    assert_true(read(err, text, sizeof text - 1) > 0);
    assert_string_equal(text, "printed by the object\n");
    close(in);
    close(out);
    close(err);
}

static void test_entries(void **state)
{
    const struct module *builtins[] = {&sample, NULL};
    int in = temp_file(), out = temp_file();
    assert_int_equal(module_entry_run(builtins, "sample", in, out), 0);
    struct outcome o = {0};
    assert_true(read_output(out, &o));
    assert_int_equal(module_entry_run(builtins, "nothing", in, out), 1);
    assert_int_equal(module_entry_run(builtins, "so:absent.so", in, out), 0); /* says so in its result */
    close(in);
    close(out);
}

int main(int argc, char **argv)
{
    so_sample_path = argv[1];
    so_empty_path = argv[2];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_messages),      cmocka_unit_test(test_many),
        cmocka_unit_test(test_too_long),      cmocka_unit_test(test_ends),
        cmocka_unit_test(test_bad_requests),  cmocka_unit_test(test_request_in_pieces),
        cmocka_unit_test(test_write_fails),   cmocka_unit_test(test_memory_faults),
        cmocka_unit_test(test_shared_object), cmocka_unit_test(test_shared_object_prints),
        cmocka_unit_test(test_entries),
    };
    return argc == 3 ? cmocka_run_group_tests(tests, NULL, NULL) : 2;
}
