/* ff fuzz list, build, run, minimize, reproduce, triage: the fuzzing modules alone, outside any workflow. */
#include "base/cleanup.h"
#include "base/mem.h"
#include "base/units.h"
#include "cli/app.h"
#include "cli/args_internal.h"
#include "cli/cmd_fuzz.h"
#include "cli/report.h"
#include "cli/module_run.h"
#include "cli/table.h"
#include "cli/term.h"
#include "codec/crash/advice.h"
#include "codec/json.h"
#include "fuzz/fuzz.h"
#include "os/file.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* The options of 'ff module run' that are given for the user. */
static const struct opt set_opts[] = {{"memory", 0, "SIZE", NULL}, {"disk", 0, "SIZE", NULL}, {"artifacts", 0, "DIR", NULL},
                                     {"network", 0, "KIND", NULL}, {"names", 0, "WORD", NULL}};
enum { SET_MEMORY, SET_DISK, SET_ARTIFACTS, SET_NETWORK, SET_NAMES };

/* A call of 'ff module run', built word by word. */
struct call {
    struct args args;
    VEC(char *) owned;
    bool failed;
};

static void call_word(struct call *c, char *text)
{
    if (!text || !VEC_PUSH(&c->owned, text)) {
        free(text);
        c->failed = true;
        return;
    }
    c->failed |= !VEC_PUSH(&c->args.positional, (const char *)text);
}

static void call_opt(struct call *c, int which, const char *value)
{
    c->failed |= !VEC_PUSH(&c->args.options, ((struct opt_value){&set_opts[which], value}));
}

static void call_begin(struct call *c, const char *module, const char *target, const char *artifacts)
{
    memset(c, 0, sizeof *c);
    call_word(c, mem_strdup(module));
    call_word(c, mem_strdup(target));
    call_opt(c, SET_MEMORY, "6G");
    call_opt(c, SET_DISK, "16G");
    if (artifacts)
        call_opt(c, SET_ARTIFACTS, artifacts);
}

static void call_release(struct call *c)
{
    VEC_EACH(&c->owned, p)
        free(*p);
    VEC_RELEASE(&c->owned);
    args_release(&c->args);
}

/* Runs it. NULL: *ret_status says it all. */
static json_t *call_run(struct app *app, struct call *c, int *ret_status)
{
    struct err err = {0};
    json_t *doc = NULL;
    if (c->failed) {
        err_nomem(&err);
        *ret_status = app_fail(app, &err);
    } else {
        *ret_status = module_run_document(app, &c->args, &doc);
    }
    call_release(c);
    return doc;
}

static void print_text(const char *before, const char *text, const char *after)
{
    fputs(before, stdout);
    term_text(stdout, text);
    fputs(after, stdout);
}

/* The document, or what it says of a failure. Takes doc. */
static int end(struct app *app, json_t *doc, int status)
{
    if (doc && app->json) {
        app_print_json(app, doc);
        return status;
    }
    if (doc && status != EXIT_OK) {
        fflush(stdout);
        fprintf(stderr, "ff: ");
        term_text(stderr, json_str(doc, "error", "it failed"));
        fputc('\n', stderr);
    }
    json_decref(doc);
    return status;
}

static void print_findings(const json_t *doc)
{
    struct findings list = {0};
    size_t i;
    json_t *j;
    json_array_foreach(json_object_get(doc, "findings"), i, j) {
        struct finding f;
        if (finding_from_json(j, &f, NULL) == 0 && findings_add(&list, &f, NULL) < 0)
            break;
    }
    findings_print(&list, false);
    findings_release(&list);
}

/* --- list, build ------------------------------------------------------------------------------------------ */

static int run_list(struct app *app, const struct args *a)
{
    static const char *const heads[] = {"NAME", "LANGUAGE", "FILE", NULL};
    struct call c;
    int status;
    call_begin(&c, "fuzz_targets", args_pos(a, 0), NULL);
    json_t *doc = call_run(app, &c, &status), *h, *summary = json_object_get(doc, "summary");
    size_t i;
    if (doc && !app->json && status == EXIT_OK) {
        struct table t;
        table_init(&t, heads);
        json_array_foreach(json_object_get(summary, "harnesses"), i, h) {
            table_add(&t, NULL, json_str(h, "name", ""));
            table_add(&t, NULL, json_str(h, "language", ""));
            table_add(&t, NULL, json_str(h, "file", ""));
        }
        table_print(&t);
        long long count = json_i64(summary, "count", 0);
        printf("%lld %s, built by: ", count, count == 1 ? "harness" : "harnesses");
        print_text("", json_str(summary, "build_system", ""), "\n");
    }
    return end(app, doc, status);
}

/* Is it one, and is it there? A server looks for it itself. */
static int check_engine(const struct app *app, const char *name, struct err *err)
{
    int r = fuzz_engine_check(name, err);
    if (r != -ERR_MISSING || !app->remote)
        return r;
    err_clear(err);
    return 0;
}

/* "a,b" -> each; the list for the module as JSON. */
static int read_engines(const struct app *app, const char *text, struct strbuf *json, struct err *err)
{
    _cleanup_free_ char *copy = mem_strdup(text);
    char *save = NULL;
    int r = copy ? 0 : err_nomem(err);
    for (char *e = copy ? strtok_r(copy, ",", &save) : NULL; r == 0 && e; e = strtok_r(NULL, ",", &save)) {
        r = check_engine(app, e, err);
        strbuf_printf(json, "%s\"%s\"", json->len ? "," : "engines=[", e);
    }
    strbuf_puts(json, "]");
    return r < 0 ? r : strbuf_check(json, err);
}

/* A program of the system, waited for. about: what the message names. */
static int tool(const char *const *argv, const char *about, struct err *err)
{
    int status = 0;
    pid_t pid = fork();
    if (pid == 0) {
        execvp(argv[0], (char *const *)(uintptr_t)argv);
        _exit(127);
    }
    if (pid < 0 || waitpid(pid, &status, 0) < 0)
        return err_sys(err, errno, "%s %s", argv[0], about);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : err_set(err, ERR_IO, "%s %s failed", argv[0], about);
}

/* The programs themselves, not only their archive, which hostile code may have had its hands on. */
static int unpack(const char *dir, struct err *err)
{
    _cleanup_free_ char *tar = os_path_join(dir, "build.tar");
    if (!tar)
        return err_nomem(err);
    const char *const argv[] = {"tar", "-xf", tar, "--no-same-owner", "--no-same-permissions", "-C", dir, NULL};
    int r = tool(argv, tar, err);
    return r < 0 ? r : os_unlink(tar, true, err);
}

/* The option asks for it, the user's setting bounds it; a server's own does there. */
static int may_fetch(struct app *app, struct err *err)
{
    enum sandbox_network most = SANDBOX_NET_NONE;
    const char *setting = config_get(&app->config, CONFIG_sandbox_network);
    if (app->remote || (sandbox_network_parse(setting, &most) && most == SANDBOX_NET_FULL))
        return 0;
    err_set(err, ERR_PERMISSION, "--fetch wants network full, and your setting sandbox.network grants %s", setting);
    return err_hint(err, "'ff config' says where that comes from");
}

/* What the build needs, by a step that has the network. dir: new; the sources are in it then. 0, or *ret_status says it. */
static int fetch(struct app *app, const char *target, const char *dir, int *ret_status)
{
    struct call c;
    call_begin(&c, "fuzz_fetch", target, dir);
    call_opt(&c, SET_NETWORK, "full");
    json_t *doc = call_run(app, &c, ret_status);
    int r = doc && *ret_status == EXIT_OK ? 0 : -ERR_FAILED;
    if (r < 0)
        end(app, doc, *ret_status);
    else
        json_decref(doc);
    return r;
}

/* What is built of which tree, and where it goes. */
struct wish {
    const char *tree, *engines, *target, *sanitizers, *out; /* NULL: the usual */
};

/* NULL: *ret_status says it all. */
static json_t *build_tree(struct app *app, const struct wish *w, int *ret_status)
{
    struct strbuf json = STRBUF_INIT;
    struct err err = {0};
    struct call c;
    if (read_engines(app, w->engines ? w->engines : "libfuzzer", &json, &err) < 0) {
        strbuf_release(&json);
        *ret_status = app_fail(app, &err);
        return NULL;
    }
    call_begin(&c, "fuzz_build", w->tree, w->out);
    call_word(&c, strbuf_take(&json, NULL));
    if (w->target)
        call_word(&c, mem_printf("target=%s", w->target));
    if (w->sanitizers)
        call_word(&c, mem_printf("sanitizers=%s", w->sanitizers));
    json_t *doc = call_run(app, &c, ret_status);
    if (doc && *ret_status == EXIT_OK && unpack(w->out, &err) < 0) {
        json_decref(doc);
        *ret_status = app_fail(app, &err);
        return NULL;
    }
    return doc;
}

static int build(struct app *app, const struct args *a, const char *tree)
{
    const struct wish w = {tree, args_get(a, "engine"), args_get(a, "target"), args_get(a, "sanitizers"),
                           args_get(a, "out") ? args_get(a, "out") : "fuzz-out"};
    int status;
    json_t *doc = build_tree(app, &w, &status), *t;
    size_t i;
    if (doc && !app->json && status == EXIT_OK) {
        json_array_foreach(json_object_get(json_object_get(doc, "summary"), "targets"), i, t) {
            printf("%s/", w.out);
            print_text("", json_str(t, "program", ""), "  ");
            print_text("", json_str(t, "engine", ""), "\n");
        }
        if (json_flag(doc, "cached", false))
            printf("cached: the same sources were built with the same tools before\n");
    }
    return end(app, doc, status);
}

static int run_build(struct app *app, const struct args *a)
{
    struct err err = {0};
    _cleanup_free_ char *dir = NULL;
    const char *tmp = getenv("TMPDIR");
    if (!args_has(a, "fetch"))
        return build(app, a, args_pos(a, 0));
    if (may_fetch(app, &err) < 0 || os_temp_dir(tmp ? tmp : "/tmp", "ff-fetch-", &dir, &err) < 0)
        return app_fail(app, &err);
    _cleanup_free_ char *sources = os_path_join(dir, "sources.tar");
    int status = EXIT_OK;
    if (!sources)
        err_nomem(&err);
    if (!sources)
        status = app_fail(app, &err);
    else if (fetch(app, args_pos(a, 0), dir, &status) == 0)
        status = build(app, a, sources);
    os_remove_tree(dir, NULL);
    return status;
}

/* --- a target that is built already ----------------------------------------------------------------------- */

/* A folder with what the modules are given: the target, and inputs. */
struct stage {
    char *dir, *binary; /* binary: relative to dir */
};

static void stage_release(struct stage *s)
{
    if (s->dir)
        os_remove_tree(s->dir, NULL);
    free(s->dir);
    free(s->binary);
}

static int copy_to(const char *from, const char *to, struct err *err)
{
    const char *const argv[] = {"cp", "-R", "--preserve=mode", "--", from, to, NULL};
    return tool(argv, from, err);
}

/* An .options file may name any of them. */
static int stage_dicts(const char *parent, const char *to, struct err *err)
{
    DIR *d = opendir(parent);
    int r = 0;
    for (struct dirent *e; d && r == 0 && (e = readdir(d));) {
        size_t n = strlen(e->d_name);
        _cleanup_free_ char *dict = n > 5 && strcmp(e->d_name + n - 5, ".dict") == 0 ? os_path_join(parent, e->d_name) : NULL;
        if (dict)
            r = copy_to(dict, to, err);
    }
    if (d)
        closedir(d);
    return r;
}

/* The target with what lies beside it as OSS-Fuzz has it; for engines that run scripts, its whole folder. */
static int stage_binary(struct stage *s, const char *binary, const char *engine, struct err *err)
{
    static const char *const beside[] = {".options", "_seed_corpus", "_seed_corpus.zip"};
    if (!os_exists(binary))
        return err_set(err, ERR_USAGE, "there is no %s", binary);
    const char *slash = strrchr(binary, '/'), *name = slash ? slash + 1 : binary;
    _cleanup_free_ char *parent = slash ? mem_strndup(binary, (size_t)(slash - binary)) : mem_strdup(".");
    _cleanup_free_ char *to = mem_printf("%s/target", s->dir);
    if (!parent || !to || !(s->binary = mem_printf("target/%s", name)))
        return err_nomem(err);
    if (!fuzz_engine_one_file(engine))
        return copy_to(*parent ? parent : "/", to, err);
    int r = os_mkdirs(to, 0755, err);
    if (r == 0)
        r = copy_to(binary, to, err);
    if (r == 0)
        r = stage_dicts(*parent ? parent : "/", to, err);
    for (size_t i = 0; r == 0 && i < ARRAY_LEN(beside); i++) {
        _cleanup_free_ char *other = mem_printf("%s%s", binary, beside[i]);
        if (other && os_exists(other))
            r = copy_to(other, to, err);
    }
    return r;
}

/* Several folders may have inputs of one name. */
static int stage_input(const char *from, const char *to, struct err *err)
{
    _cleanup_free_ char *all = os_is_dir(from) ? mem_printf("%s/.", from) : mem_strdup(from);
    const char *const argv[] = {"cp", "-R", "--preserve=mode", "--backup=numbered", "--", all, to, NULL};
    if (!os_exists(from))
        return err_set(err, ERR_USAGE, "there is no %s", from);
    return all ? tool(argv, from, err) : err_nomem(err);
}

static int stage_inputs(struct stage *s, const struct args *a, size_t first, struct err *err)
{
    _cleanup_free_ char *to = mem_printf("%s/inputs/", s->dir);
    int r = to ? os_mkdirs(to, 0755, err) : err_nomem(err);
    for (size_t i = first; r == 0 && i < a->positional.len; i++)
        r = stage_input(a->positional.v[i], to, err);
    if (r == 0 && rmdir(to) == 0)
        r = err_set(err, ERR_USAGE, "there is no input in %s", args_pos(a, first));
    return r;
}

static int stage_begin(const struct app *app, struct stage *s, const struct args *a, const char *binary, struct err *err)
{
    const char *engine = args_get(a, "engine"), *tmp = getenv("TMPDIR");
    memset(s, 0, sizeof *s);
    if (!binary)
        return err_set(err, ERR_USAGE, "--binary FILE says which target");
    int r = check_engine(app, engine ? engine : "libfuzzer", err);
    if (r == 0)
        r = os_temp_dir(tmp ? tmp : "/tmp", "ff-fuzz-", &s->dir, err);
    return r < 0 ? r : stage_binary(s, binary, engine ? engine : "libfuzzer", err);
}

/* What is common to all calls on a built target. */
static void call_target(struct call *c, const struct stage *s, const struct args *a)
{
    static const char *const passed[][2] = {
        {"engine", "engine"},     {"function", "function"}, {"timeout-input", "input_timeout"}, {"memory", "memory_mb"},
        {"duration", "duration"}, {"max-len", "max_len"},   {"jobs", "jobs"},                   {"plateau", "plateau"},
        {"minimize", "minimize"}, {"seed", "seed"},         {"executions", "max_executions"},
    };
    call_word(c, mem_printf("binary=%s", s->binary));
    for (size_t i = 0; i < ARRAY_LEN(passed); i++)
        if (args_get(a, passed[i][0]))
            call_word(c, mem_printf("%s=%s", passed[i][1], args_get(a, passed[i][0])));
    if (args_has(a, "first-crash"))
        call_word(c, mem_strdup("stop_at_first_crash=true"));
}

static void print_campaign(const json_t *doc, const char *out)
{
    const json_t *s = json_object_get(doc, "summary");
    print_findings(doc);
    printf("%lld execution%s in %.1f s, coverage %lld, corpus %lld, crashes %lld, unique %lld; ",
           (long long)json_i64(s, "executions", 0), UNITS_S(json_i64(s, "executions", 0)),
           json_num(s, "elapsed_time", 0), (long long)json_i64(s, "coverage", 0),
           (long long)json_i64(s, "corpus_size", 0), (long long)json_i64(s, "crashes", 0),
           (long long)json_i64(s, "unique_crashes", 0));
    print_text("stopped by: ", json_str(s, "stopped_by", ""), "\n");
    print_text("inputs and corpus: ", out, "\n");
}

/* function NULL: as the user says. */
static int run_binary(struct app *app, const struct args *a, const char *binary, const char *function, const char *out)
{
    struct err err = {0};
    struct stage s;
    struct call c;
    int status;
    if (stage_begin(app, &s, a, binary, &err) < 0) {
        stage_release(&s);
        return app_fail(app, &err);
    }
    call_begin(&c, "fuzz_campaign", s.dir, out);
    call_target(&c, &s, a);
    if (function && !args_has(a, "function"))
        call_word(&c, mem_printf("function=%s", function));
    json_t *doc = call_run(app, &c, &status);
    stage_release(&s);
    const json_t *summary = json_object_get(doc, "summary");
    bool ran = json_i64(summary, "executions", 0) || json_i64(summary, "crashes", 0) ||
               strcmp(json_str(summary, "stopped_by", ""), "signal") == 0;
    if (doc && status == EXIT_OK && !ran)
        status = EXIT_RUN_FAILED; /* a warning has said why */
    if (doc && !app->json && status == EXIT_OK)
        print_campaign(doc, out);
    return end(app, doc, status);
}

/* The one that was built of a tree. */
static int only_target(const json_t *targets, const json_t **ret, struct err *err)
{
    struct strbuf names = STRBUF_INIT;
    size_t i, count = json_array_size(targets);
    const json_t *t;
    *ret = json_array_get(targets, 0);
    json_array_foreach(targets, i, t)
        strbuf_printf(&names, "%s%s", i ? ", " : "", json_str(t, "name", ""));
    int r = strbuf_check(&names, err);
    if (r == 0 && !count)
        r = err_set(err, ERR_FAILED, "nothing was built");
    if (r == 0 && count > 1)
        r = err_set(err, ERR_USAGE, "there are %zu targets, of which --target NAME says one: %.400s", count, strbuf_str(&names));
    strbuf_release(&names);
    return r;
}

/* Where the one is that was built. Hostile code has had its hands on the folder: nothing beside it is taken for a target. */
static int find_program(const char *dir, const json_t *target, char **ret, struct err *err)
{
    _cleanup_free_ char *path = os_path_join(dir, json_str(target, "program", "")), *real = NULL, *real_dir = NULL;
    if (!path)
        return err_nomem(err);
    int r = os_real_path(dir, &real_dir, err);
    if (r == 0)
        r = os_real_path(path, &real, err);
    size_t n = r == 0 ? strlen(real_dir) : 0;
    if (r == 0 && (strncmp(real, real_dir, n) != 0 || real[n] != '/'))
        r = err_set(err, ERR_CORRUPT, "%s leads out of the folder of what was built", path);
    *ret = r == 0 ? TAKE_PTR(path) : NULL;
    return r;
}

/* Builds the tree first, into a folder of its own. */
static int run_tree(struct app *app, const struct args *a, const char *out)
{
    struct err err = {0};
    const json_t *t;
    _cleanup_free_ char *dir = os_path_join(out, "build"), *binary = NULL;
    if (!dir || os_mkdirs(out, 0755, &err) < 0) {
        if (!dir)
            err_nomem(&err);
        return app_fail(app, &err);
    }
    const struct wish w = {args_pos(a, 0), args_get(a, "engine"), args_get(a, "target"), NULL, dir};
    int status;
    _cleanup_json_ json_t *doc = build_tree(app, &w, &status);
    if (!doc || status != EXIT_OK)
        return end(app, json_incref(doc), status);
    int r = only_target(json_object_get(json_object_get(doc, "summary"), "targets"), &t, &err);
    if (r == 0)
        r = find_program(dir, t, &binary, &err);
    if (r < 0)
        return app_fail(app, &err);
    if (!app->quiet && !app->json)
        print_text("built ", binary, "\n");
    fflush(stdout);
    return run_binary(app, a, binary, json_str(t, "function", NULL), out);
}

static int run_run(struct app *app, const struct args *a)
{
    struct err err = {0};
    const char *out = args_get(a, "out") ? args_get(a, "out") : "fuzz-out", *binary = args_get(a, "binary");
    if (!binary == !args_pos(a, 0) || (binary && args_has(a, "target"))) {
        err_set(&err, ERR_USAGE, "either TARGET, a tree that is built first, or --binary FILE says what to fuzz");
        return app_fail(app, &err);
    }
    return binary ? run_binary(app, a, binary, NULL, out) : run_tree(app, a, out);
}

/* Inputs on a target; only the smallest of each bug is worked on. minimize NULL: as the user says. */
static json_t *triage(struct app *app, const struct args *a, const char *minimize, const char *out, int *ret_status)
{
    struct err err = {0};
    struct stage s;
    struct call c;
    int r = stage_begin(app, &s, a, args_get(a, "binary"), &err);
    if (r == 0)
        r = stage_inputs(&s, a, 0, &err);
    if (r < 0) {
        stage_release(&s);
        *ret_status = app_fail(app, &err);
        return NULL;
    }
    call_begin(&c, "fuzz_triage", s.dir, out);
    if (!args_get(a, "out")) /* the folder is the working one, where the inputs may be */
        call_opt(&c, SET_NAMES, "min-");
    call_target(&c, &s, a);
    if (minimize)
        call_word(&c, mem_printf("minimize=%s", minimize));
    json_t *doc = call_run(app, &c, ret_status);
    stage_release(&s);
    return doc;
}

static void print_bugs(const json_t *doc, bool inputs)
{
    char said[CRASH_REPRODUCED_MAX];
    const json_t *s = json_object_get(doc, "summary");
    size_t i;
    json_t *j;
    json_array_foreach(json_object_get(s, "bugs"), i, j) {
        print_text("", json_str(j, "severity", ""), "  ");
        print_text("", json_str(j, "title", ""), "");
        printf("  %s, %lld input%s", crash_reproduced(json_i64(j, "reproduced", 0), json_i64(j, "tries", 0), said),
               (long long)json_i64(j, "inputs", 0), UNITS_S(json_i64(j, "inputs", 0)));
        if (json_str(j, "minimised", NULL))
            printf(", minimised from %lld to %lld byte%s", (long long)json_i64(j, "bytes", 0),
                   (long long)json_i64(j, "minimised_bytes", 0), UNITS_S(json_i64(j, "minimised_bytes", 0)));
        putchar('\n');
    }
    json_array_foreach(json_object_get(s, "inputs"), i, j)
        if (inputs && !json_flag(j, "crashes", false) && !json_flag(j, "duplicate", false))
            print_text("no crash: ", json_str(j, "file", ""), "\n");
    long long count = json_i64(s, "inputs_count", 0), bugs = json_i64(s, "unique_crashes", 0);
    printf("%lld input%s, %lld bug%s\n", count, UNITS_S(count), bugs, UNITS_S(bugs));
}

static int run_triage(struct app *app, const struct args *a)
{
    int status;
    json_t *doc = triage(app, a, NULL, args_get(a, "out"), &status);
    if (doc && !app->json && status == EXIT_OK)
        print_bugs(doc, true);
    return end(app, doc, status);
}

static int run_reproduce(struct app *app, const struct args *a)
{
    int status;
    json_t *doc = triage(app, a, "0", NULL, &status);
    if (doc && status == EXIT_OK) {
        if (!app->json)
            print_bugs(doc, true);
        status = json_array_size(json_object_get(json_object_get(doc, "summary"), "bugs")) ? EXIT_GATE : EXIT_OK;
        if (!app->json) {
            json_decref(doc);
            return status;
        }
    }
    return end(app, doc, status);
}

static int run_minimize(struct app *app, const struct args *a)
{
    const char *out = args_get(a, "out") ? args_get(a, "out") : ".";
    int status;
    json_t *doc = triage(app, a, args_get(a, "minimize") ? NULL : "60s", out, &status);
    if (doc && !app->json && status == EXIT_OK)
        print_bugs(doc, true);
    return end(app, doc, status);
}

/* --- the commands ----------------------------------------------------------------------------------------- */

#define OPTS_OF_TARGET \
    {"binary", 'b', "FILE", "the target, built already"}, \
    {"engine", 'e', "NAME", "libfuzzer (the default), aflplusplus, cargo-fuzz, atheris, go, jazzer"}, \
    {"function", 0, "NAME", "of a target with several: the function or class"}, \
    {"timeout-input", 0, "TIME", "time that one input may take (10s)"}, \
    {"memory", 0, "MB", "memory that the target may take (2048)"}

static const struct opt build_opts[] = {
    {"engine", 'e', "NAME,...", "for which: libfuzzer (the default), aflplusplus, cargo-fuzz, atheris, go, jazzer"},
    {"target", 0, "NAME", "only this target"},
    {"sanitizers", 0, "LIST", "as -fsanitize= takes them (address,undefined)"},
    {"fetch", 0, NULL, "let a step before the build use the network, for what the tree names and has not"},
    {"out", 'o', "DIR", "where the targets go (fuzz-out)"},
    {NULL, 0, NULL, NULL},
};
static const struct opt run_opts[] = {
    OPTS_OF_TARGET,
    {"target", 0, "NAME", "of a tree: which of its targets"},
    {"duration", 't', "TIME", "how long (60s); 0: until Ctrl-C"},
    {"executions", 0, "N", "stop after so many"},
    {"plateau", 0, "TIME", "stop when nothing new was found for so long"},
    {"first-crash", 0, NULL, "stop at the first crash"},
    {"jobs", 'j', "N", "engine processes (1)"},
    {"max-len", 0, "BYTES", "largest input"},
    {"minimize", 0, "TIME", "time to minimise the input of each bug (20s); 0: not"},
    {"seed", 0, "N", "of the engine's generator"},
    {"out", 'o', "DIR", "where inputs and corpus go (fuzz-out)"},
    {NULL, 0, NULL, NULL},
};
static const struct opt triage_opts[] = {
    OPTS_OF_TARGET,
    {"minimize", 0, "TIME", "time to minimise the input of each bug; 0: not"},
    {"out", 'o', "DIR", "where minimised inputs go"},
    {NULL, 0, NULL, NULL},
};
static const struct opt reproduce_opts[] = {OPTS_OF_TARGET, {NULL, 0, NULL, NULL}};

const struct command fuzz_list = {
    .remote = true,
    .name = "list", .summary = "Show what there is to fuzz in a tree", .usage = "TARGET",
    .details = "TARGET is what 'ff run' takes. Harnesses are found by what is in the files.",
    .examples = "  ff fuzz list ./project", .min_args = 1, .max_args = 1, .run = run_list,
};
const struct command fuzz_build = {
    .remote = true,
    .name = "build", .summary = "Build the fuzz targets of a tree", .usage = "TARGET [options]",
    .details = "Builds in the sandbox: by fuzz.yaml, as an OSS-Fuzz project, by CMake, Meson or make, or file by file. Exit\n"
               "status 3 if it does not build, with the compiler's first error; 5 if an engine is missing.",
    .examples = "  ff fuzz build ./project -o out\n  ff fuzz build ./project -e libfuzzer,aflplusplus",
    .opts = build_opts, .min_args = 1, .max_args = 1, .run = run_build,
};
const struct command fuzz_run = {
    .remote = true,
    .name = "run", .summary = "Fuzz a target", .usage = "TARGET [options] | --binary FILE [options]",
    .details = "TARGET is a tree, whose target is built first; --binary one that is built already. Nothing is recorded:\n"
               "'ff run native_fuzzing DIR' builds, fuzzes and keeps what it finds, and goes on after a crash of anything.\n"
               "Ctrl-C ends the fuzzing, and what was found is reported.",
    .examples = "  ff fuzz run ./project --target parse -t 10m\n  ff fuzz run -b out/b/libfuzzer/out/parse -t 10m -o found",
    .opts = run_opts, .max_args = 1, .run = run_run,
};
const struct command fuzz_minimize = {
    .remote = true,
    .name = "minimize", .aliases = "minimise", .summary = "Make inputs that crash smaller",
    .usage = "--binary FILE INPUT... [options]",
    .details = "One input of each bug is made smaller, as long as the same fault shows at the same place; min-NAME\n"
               "is written, or the input as it is where nothing can be left out.",
    .examples = "  ff fuzz minimize -b out/parse crash-1 -o small", .opts = triage_opts, .min_args = 1, .max_args = -1,
    .run = run_minimize,
};
const struct command fuzz_reproduce = {
    .remote = true,
    .name = "reproduce", .summary = "Does an input still crash the target?", .usage = "--binary FILE INPUT... [options]",
    .details = "Each bug is tried ten times. Exit status 1 if any input crashes, 0 if none does.",
    .examples = "  ff fuzz reproduce -b out/parse crash-1", .opts = reproduce_opts, .min_args = 1, .max_args = -1,
    .run = run_reproduce,
};
const struct command fuzz_triage = {
    .remote = true,
    .name = "triage", .summary = "Group inputs that crash into bugs, rate and minimise them",
    .usage = "--binary FILE INPUT... [options]",
    .details = "INPUT is a file or a folder of files.", .examples = "  ff fuzz triage -b out/parse crashes/ -o small",
    .opts = triage_opts, .min_args = 1, .max_args = -1, .run = run_triage,
};
