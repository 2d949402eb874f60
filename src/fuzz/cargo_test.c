/* The module cargo_test: the tests of a tree of Rust, run by cargo in a copy of it, offline. Each test that fails is a
 * finding, and so is a test program that a signal ends. It builds and runs what the target brings, as fuzzing does: it is of
 * that category because such modules get the toolchains and the wall for hostile code. */
#include "base/cleanup.h"
#include "base/mem.h"
#include "base/units.h"
#include "codec/crash/advice.h"
#include "codec/json.h"
#include "fuzz/build_internal.h"
#include "fuzz/child.h"
#include "fuzz/corpus.h"
#include "fuzz/driver_internal.h"
#include "fuzz/fuzz.h"
#include "fuzz/libtest.h"
#include "fuzz/panic.h"
#include "os/clock.h"
#include "os/file.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#define TICK_MS 50
#define LOG_MAX ((size_t)4 << 20)

struct testing {
    struct module_ctx *ctx;
    char *work, *src;
    struct libtest tests;
    struct strbuf log;
    int64_t stop_at_ns;
    bool late, stopped;
};

static const char project[] = "ff: project ./";

static void on_line(void *arg, const char *text, size_t len)
{
    struct testing *t = arg;
    if (len > sizeof project && memcmp(text, project, sizeof project - 1) == 0)
        libtest_project(&t->tests, text + sizeof project - 1, len - (sizeof project - 1));
    else
        libtest_line(&t->tests, text, len);
    if (t->log.len + len < LOG_MAX) {
        strbuf_append(&t->log, text, len);
        strbuf_putc(&t->log, '\n');
    }
}

static int command(struct testing *t, const char *step, struct fuzz_command *c, struct err *err)
{
    const json_t *in = module_input(t->ctx);
    const char *filter = json_str(in, "filter", ""), *features = json_str(in, "features", "");
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-:,/";
    if (filter[strspn(filter, letters)] || features[strspn(features, letters)])
        return err_set(err, ERR_INVALID, "filter is part of a test's name, features are names with commas");
    cargo_build_env("", &c->env);
    fuzz_word(&c->argv, "/bin/sh");
    fuzz_word(&c->argv, "-c");
    fuzz_word(&c->argv, "%s", fuzz_cargo_test_sh);
    fuzz_word(&c->env, "WORK=%s", t->work);
    fuzz_word(&c->env, "HOME=%s", t->work);
    fuzz_word(&c->env, "STEP=%s", step);
    fuzz_word(&c->env, "FILTER=%s", filter);
    fuzz_word(&c->env, "RELEASE=%s", json_flag(in, "release", false) ? "--release" : "");
    fuzz_word(&c->env, "FEATURES=%s%s", strcmp(features, "all") == 0 ? "--all-features" : *features ? "--features=" : "",
              strcmp(features, "all") == 0 ? "" : features);
    fuzz_word(&c->env, "RUST_BACKTRACE=1");
    c->cwd = t->src;
    c->writable[0] = t->work;
    c->writable[1] = "/tmp";
    c->writable[2] = "/dev/shm";
    return 0;
}

/* To its end, or ours. */
static void watch(struct testing *t, struct fuzz_child *child)
{
    int64_t told_ns = 0;
    while (!fuzz_child_ended(child, on_line, t)) {
        struct pollfd p[2];
        poll(p, fuzz_child_poll(child, p), TICK_MS);
        int64_t now = os_mono_ns();
        t->late |= now > t->stop_at_ns;
        t->stopped |= module_stop_asked(t->ctx);
        if (t->late || t->stopped)
            fuzz_child_kill(child, SIGKILL);
        if (now - told_ns > NS_PER_S) {
            told_ns = now;
            module_progress(t->ctx, t->tests.passed + t->tests.failed + t->tests.ignored, t->tests.planned, t->tests.suite);
        }
    }
}

/* -ERR_FAILED when it does not build; failing tests are no error. */
static int step(struct testing *t, const char *name, struct err *err)
{
    struct fuzz_command c = {0};
    struct fuzz_child child;
    char first[300];
    fuzz_child_init(&child);
    int r = command(t, name, &c, err);
    if (r == 0)
        r = fuzz_child_start(&child, &c, err);
    if (r == 0) {
        watch(t, &child);
        fuzz_children_sweep(NULL);
        if (strcmp(name, "build") == 0 && !t->late && !t->stopped && (!WIFEXITED(child.status) || WEXITSTATUS(child.status))) {
            fuzz_build_first_error(strbuf_str(&child.tail), first, sizeof first);
            bool fetch = strstr(first, "no matching package named") != NULL;
            r = err_set(err, ERR_FAILED, "does not build: %s%s", first, fetch ? "; fetch=true lets it be fetched" : "");
        }
    }
    fuzz_child_release(&child);
    fuzz_command_release(&c);
    return r;
}

/* --- findings --------------------------------------------------------------------------------------------- */

/* "src/lib.rs - parse (line 5)": where a documentation's test is; what it says of places is of a file that was made for it. */
static void doc_place(const char *name, struct fuzz_panic *p)
{
    const char *dash = strstr(name, " - "), *paren = strrchr(name, '(');
    p->file[0] = 0;
    p->line = p->column = 0;
    if (dash && paren && sscanf(paren, "(line %9d)", &p->line) == 1)
        snprintf(p->file, sizeof p->file, "%.*s", (int)(dash - name), name);
}

/* Makes a name in the project one in the tree; false: there is no such file. */
static bool in_tree(const struct testing *t, const struct libtest_failure *f, const char *name, char *ret, size_t size)
{
    char path[4096];
    size_t n = strlen(t->src);
    if (strncmp(name, t->src, n) == 0 && name[n] == '/') /* absolute */
        snprintf(ret, size, "%s", name + n + 1);
    else
        snprintf(ret, size, "%s%s%s", f->project, *f->project ? "/" : "", name);
    snprintf(path, sizeof path, "%s/%s", t->src, ret);
    return *name && ret[0] != '/' && !strstr(ret, "..") && os_exists(path) && !os_is_dir(path);
}

/* Where it is in the tree: as the panic says, else the suite's source, else its project. */
static void find_place(const struct testing *t, const struct libtest_failure *f, struct fuzz_panic *p, char *ret, size_t size)
{
    if (in_tree(t, f, p->file, ret, size))
        return;
    p->line = 1;
    p->column = 0;
    if (!in_tree(t, f, f->suite, ret, size))
        in_tree(t, f, "Cargo.toml", ret, size);
}

static void first_line(const char *text, char *ret, size_t size)
{
    if (strncmp(text, "note: ", 6) == 0)
        text += 6;
    text += strspn(text, " \t\r\n");
    snprintf(ret, size, "%.*s", (int)strcspn(text, "\n"), text);
}

static void report(struct testing *t, const struct libtest_failure *f)
{
    struct fuzz_panic p = {.type = "Panic"};
    const char *output = strbuf_str(&f->output);
    bool panics = fuzz_panic_read(output, f->output.len, &p);
    char title[400], message[256], digest[65], identity[1024], file[1024];
    first_line(panics ? p.message : output, message, sizeof message);
    if (f->name && strncmp(f->suite, "Doc-tests ", 10) == 0)
        doc_place(f->name, &p);
    find_place(t, f, &p, file, sizeof file);
    if (f->runs)
        snprintf(title, sizeof title, "Test %s does not end", f->name);
    else if (f->name)
        snprintf(title, sizeof title, "Test %s %s%s%s", f->name, panics ? "panics" : "fails", *message ? ": " : "", message);
    else
        snprintf(title, sizeof title, "The tests of %s end by a %s", f->suite, message);
    const char *rule = !f->name                          ? "testing/crash"
                       : f->runs                         ? "testing/timeout"
                       : !panics                         ? "testing/failure"
                       : strcmp(p.type, "ASSERT") == 0 ? "testing/assertion"
                                                         : "testing/panic";
    snprintf(identity, sizeof identity, "%s|%s|%s|%s", rule, f->project, f->suite, f->name ? f->name : "");
    fuzz_text_digest(identity, digest);
    const char *description = f->runs   ? "It still ran when the time of the tests was over."
                              : f->name ? "cargo test says that it fails."
                                        : "The program of these tests did not end by itself.";
    struct finding found = {
        .rule_id = (char *)(uintptr_t)rule, .title = title, .description = (char *)(uintptr_t)description,
        .severity = f->name ? SEVERITY_MEDIUM : SEVERITY_HIGH, .confidence = CONFIDENCE_HIGH,
        .file = file, .line = p.line, .column = p.column, .context_hash = digest,
        .recommendation = (char *)(uintptr_t)(panics ? crash_advice(p.type) : NULL),
        .evidence = json_pack("{s:o, s:o, s:o}", "suite", json_clean_string(f->suite), "test",
                              f->name ? json_clean_string(f->name) : json_null(), "report", json_clean_string(output)),
    };
    int cwe = panics ? crash_cwe(p.type) : 0;
    if (cwe)
        found.cwe[found.cwe_count++] = cwe;
    module_finding(t->ctx, &found);
    json_decref(found.evidence);
}

/* --- the module ------------------------------------------------------------------------------------------- */

/* Or what fuzz_fetch has made of it. */
static int copy_tree(struct testing *t, struct err *err)
{
    const char *fetched = json_str(json_object_get(module_input(t->ctx), "sources"), "path", NULL);
    int r = os_mkdirs(fetched ? t->work : t->src, 0755, err);
    if (r < 0 || fetched)
        return r < 0 ? r : fuzz_untar(fetched, t->src, err);
    struct fuzz_command c = {.writable = {t->work}};
    struct fuzz_child child;
    fuzz_child_init(&child);
    fuzz_word(&c.argv, "/bin/sh");
    fuzz_word(&c.argv, "-c");
    fuzz_word(&c.argv, "cp -dR --preserve=mode,timestamps,links \"$1\"/. \"$2\" && chmod -R u+rwX \"$2\"");
    fuzz_word(&c.argv, "sh");
    fuzz_word(&c.argv, "%s", module_workspace(t->ctx));
    fuzz_word(&c.argv, "%s", t->src);
    r = fuzz_child_run(&c, t->stop_at_ns, &child, &t->late, err);
    if (r == 0 && (!WIFEXITED(child.status) || WEXITSTATUS(child.status)))
        r = err_set(err, ERR_IO, "copy the tree: %.200s", strbuf_str(&child.tail));
    fuzz_child_release(&child);
    fuzz_command_release(&c);
    return r;
}

static int keep_log(struct testing *t, struct err *err)
{
    _cleanup_free_ char *path = os_path_join(module_scratch(t->ctx), "tests.txt");
    int r = path ? os_write_file_atomic(path, strbuf_str(&t->log), t->log.len, 0644, err) : err_nomem(err);
    if (r == 0)
        module_artifact(t->ctx, path, "tests.txt");
    return r;
}

static int test(struct testing *t, struct err *err)
{
    int64_t allowed = 0;
    struct err ignored = {0};
    int r = units_parse_duration_ms(json_str(module_input(t->ctx), "timeout", "30m"), &allowed, err);
    t->stop_at_ns = os_mono_ns() + allowed * NS_PER_MS;
    if (r == 0)
        r = cargo_missing(err);
    if (r == 0)
        r = copy_tree(t, err);
    if (r == 0)
        r = step(t, "build", err);
    if (r == 0 && !t->late && !t->stopped)
        r = step(t, "run", err);
    keep_log(t, r < 0 ? &ignored : err);
    if (r < 0)
        return r;
    VEC_EACH(&t->tests.failures, f)
        if (!f->passed && (!f->runs || t->late))
            report(t, f);
    const struct libtest *n = &t->tests;
    module_summary(t->ctx, json_pack("{s:I, s:I, s:I, s:I}", "passed", (json_int_t)n->passed, "failed", (json_int_t)n->failed,
                                     "ignored", (json_int_t)n->ignored, "crashed", (json_int_t)n->crashed));
    if (t->late)
        module_partial(t->ctx, "the tests took longer than they may; the last was of %s", *n->suite ? n->suite : "the build");
    if (t->stopped)
        module_partial(t->ctx, "stopped before the tests were done");
    const char *filter = json_str(module_input(t->ctx), "filter", "");
    if (*filter && !t->late && !t->stopped && !n->passed && !n->failed && !n->ignored && !n->crashed)
        module_partial(t->ctx, "no test has '%s' in its name", filter);
    return n->no_memory ? err_nomem(err) : 0;
}

static int run(struct module_ctx *ctx, struct err *err)
{
    struct testing t = {.ctx = ctx};
    strbuf_init(&t.log, LOG_MAX);
    fuzz_children_adopt();
    if (!module_scratch(ctx))
        return err_set(err, ERR_INVALID, "cargo_test needs a scratch folder");
    t.work = os_path_join(module_scratch(ctx), "work");
    t.src = t.work ? os_path_join(t.work, "src") : NULL;
    int r = t.src ? test(&t, err) : err_nomem(err);
    fuzz_children_sweep(NULL);
    libtest_release(&t.tests);
    strbuf_release(&t.log);
    free(t.work);
    free(t.src);
    return r;
}

static const char *const tags[] = {"testing", "rust", NULL};

const struct module cargo_test_module = {
    .name = "cargo_test",
    .version = "1.0.0",
    .description = "Runs the tests of a Rust project (cargo test): each that fails is a finding",
    .category = MODULE_FUZZER,
    .tags = tags,
    .input_schema = "{\"type\":\"object\",\"properties\":{"
                    "\"filter\":{\"type\":\"string\",\"description\":\"only tests with this in their name\"},"
                    "\"features\":{\"type\":\"string\",\"description\":\"names with commas, or all\"},"
                    "\"sources\":{\"type\":\"object\",\"description\":\"REF of fuzz_fetch's sources.tar, for the target\"},"
                    "\"release\":{\"type\":\"boolean\",\"default\":false},"
                    "\"timeout\":{\"type\":\"string\",\"default\":\"30m\"}}}",
    .output_schema = "{\"type\":\"object\",\"properties\":{\"passed\":{\"type\":\"integer\"},\"failed\":{\"type\":\"integer\"},"
                     "\"ignored\":{\"type\":\"integer\"},\"crashed\":{\"type\":\"integer\"}}}",
    .requires_workspace = true,
    .stops = true,
    .run = run,
};
