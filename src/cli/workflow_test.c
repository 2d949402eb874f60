#include "cli/workflow_test.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "base/suggest.h"
#include "base/units.h"
#include "cli/term.h"
#include "cli/workflow_sim.h"
#include "codec/json.h"
#include "codec/yaml.h"
#include "os/file.h"

#include <stdio.h>
#include <string.h>

#define TEST_FILE "test.yaml"
#define TEST_FILE_MAX ((size_t)4 << 20)

/* One case's outcome. */
struct verdict {
    char *name;
    json_t *problems; /* array of strings; empty: passed */
    struct sim_result sim;
};

/* --- the file --------------------------------------------------------------------------------------------- */

static int check_keys(const json_t *object, const char *const *known, const char *where, struct err *err)
{
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)object, key, v) {
        struct suggest near;
        bool found = false;
        suggest_init(&near, key);
        for (const char *const *k = known; *k; k++) {
            found = found || strcmp(*k, key) == 0;
            suggest_offer(&near, *k);
        }
        if (found)
            continue;
        err_set(err, ERR_INVALID, "%s: unknown key '%.60s'", where, key);
        if (near.best)
            err_hint(err, "did you mean '%s'?", near.best);
        return -ERR_INVALID;
    }
    return 0;
}

static int check_type(const json_t *object, const char *key, json_type want, const char *where, struct err *err)
{
    const json_t *v = json_object_get(object, key);
    if (!v || json_typeof(v) == want)
        return 0;
    return err_set(err, ERR_INVALID, "%s: '%s' must be %s", where, key, want == JSON_ARRAY ? "a list" : "a mapping");
}

static int check_signals(const json_t *signals, const char *where, struct err *err)
{
    static const char *const known[] = {"name", "input", "after", NULL};
    size_t i;
    json_t *s;
    json_array_foreach((json_t *)(uintptr_t)signals, i, s) {
        int64_t ms;
        if (!json_str(s, "name", NULL))
            return err_set(err, ERR_INVALID, "%s: signal %zu has no name", where, i + 1);
        int r = check_keys(s, known, where, err);
        if (r == 0 && json_object_get(s, "after"))
            r = units_parse_duration_ms(json_str(s, "after", ""), &ms, err);
        if (r < 0)
            return r;
    }
    return 0;
}

static int check_case(const json_t *c, const char *where, struct err *err)
{
    static const char *const known[] = {"name", "parameters", "target", "activities", "signals", "expect", NULL};
    static const char *const expected[] = {"status", "result", "summary", "error", "activities", "inputs", NULL};
    if (!json_is_object(c))
        return err_set(err, ERR_INVALID, "%s: a mapping is wanted", where);
    int r = check_keys(c, known, where, err);
    static const char *const objects[] = {"parameters", "target", "activities", "expect"};
    for (size_t i = 0; r == 0 && i < ARRAY_LEN(objects); i++)
        r = check_type(c, objects[i], JSON_OBJECT, where, err);
    if (r == 0)
        r = check_type(c, "signals", JSON_ARRAY, where, err);
    if (r == 0)
        r = check_keys(json_object_get(c, "expect"), expected, where, err);
    return r < 0 ? r : check_signals(json_object_get(c, "signals"), where, err);
}

/* A list of cases; a single one counts as a list of it. */
static int read_cases(const char *file, json_t **ret, struct err *err)
{
    _cleanup_free_ char *text = NULL;
    _cleanup_json_ json_t *doc = NULL;
    size_t len, i;
    json_t *c;
    int r = os_read_file(file, TEST_FILE_MAX, &text, &len, err);
    if (r == 0 && (r = yaml_parse(text, len, NULL, &doc, NULL, err)) < 0)
        return err_wrap(err, "%s", file);
    if (r < 0)
        return r;
    _cleanup_json_ json_t *list = json_is_array(doc) ? json_incref(doc) : json_pack("[O]", doc);
    if (!list)
        return err_nomem(err);
    if (json_array_size(list) == 0)
        return err_set(err, ERR_INVALID, "%s: no cases", file);
    json_array_foreach(list, i, c) {
        _cleanup_free_ char *where = mem_printf("%s: case %zu", file, i + 1);
        if (!where)
            return err_nomem(err);
        if ((r = check_case(c, where, err)) < 0)
            return r;
    }
    *ret = TAKE_PTR(list);
    return 0;
}

/* --- what was expected ------------------------------------------------------------------------------------ */

__attribute__((format(printf, 2, 3))) static void problem(struct verdict *v, const char *fmt, ...)
{
    struct strbuf b = STRBUF_INIT;
    va_list ap;
    va_start(ap, fmt);
    strbuf_vprintf(&b, fmt, ap);
    va_end(ap);
    json_array_append_new(v->problems, json_string(strbuf_str(&b)));
    strbuf_release(&b);
}

static char *text_of(const json_t *j)
{
    struct strbuf b = STRBUF_INIT;
    if (!j || json_write(j, &b, NULL) < 0)
        strbuf_puts(&b, "nothing");
    return strbuf_take(&b, NULL);
}

static void differ(struct verdict *v, const char *at, const json_t *want, const json_t *got)
{
    _cleanup_free_ char *w = text_of(want), *g = text_of(got);
    problem(v, "%s: wanted %s, got %s", at, w ? w : "?", g ? g : "?");
}

/* Objects may have more members than wanted; all else is equal or a problem. */
static void compare(struct verdict *v, const char *at, const json_t *want, const json_t *got)
{
    if (json_is_object(want) && json_is_object(got)) {
        const char *key;
        json_t *w;
        json_object_foreach((json_t *)(uintptr_t)want, key, w) {
            _cleanup_free_ char *here = mem_printf("%s.%s", at, key);
            compare(v, here ? here : at, w, json_object_get(got, key));
        }
    } else if (json_is_number(want) && json_is_number(got)) {
        if (json_number_value(want) < json_number_value(got) || json_number_value(want) > json_number_value(got))
            differ(v, at, want, got);
    } else if (!json_equal(want, got)) {
        differ(v, at, want, got);
    }
}

static void compare_calls(struct verdict *v, const json_t *want)
{
    _cleanup_json_ json_t *got = json_array();
    VEC_EACH(&v->sim.calls, c)
        json_array_append_new(got, json_string(c->module));
    if (!json_equal(want, got))
        differ(v, "activities", want, got);
}

/* expect.inputs: {module: what its first call must have been given}. */
static void compare_inputs(struct verdict *v, const json_t *want)
{
    const char *module;
    json_t *w;
    json_object_foreach((json_t *)(uintptr_t)want, module, w) {
        const json_t *got = NULL;
        for (size_t i = v->sim.calls.len; i-- > 0;)
            if (strcmp(v->sim.calls.v[i].module, module) == 0)
                got = v->sim.calls.v[i].input;
        _cleanup_free_ char *at = mem_printf("input of %s", module);
        compare(v, at ? at : module, w, got);
    }
}

static void judge(struct verdict *v, const json_t *expect)
{
    const json_t *result = json_object_get(expect, "result"), *summary = json_object_get(expect, "summary");
    const json_t *calls = json_object_get(expect, "activities"), *inputs = json_object_get(expect, "inputs");
    const char *error = json_str(expect, "error", NULL);
    const char *status = json_str(expect, "status", error ? "FAILED" : "COMPLETED");
    if (v->sim.unanswered)
        problem(v, "'activities' has no answer for module '%s', which was called", v->sim.unanswered);
    if (strcmp(status, v->sim.status) != 0)
        problem(v, "status: wanted %s, got %s%s%s%s", status, v->sim.status, v->sim.failure ? ": " : "",
                v->sim.failure ? v->sim.failure : "",
                strcmp(v->sim.status, "STUCK") == 0 ? ": it waits for something that never comes; a signal?" : "");
    if (error && (!v->sim.failure || !strstr(v->sim.failure, error)))
        problem(v, "error: wanted '%s', got '%s'", error, v->sim.failure ? v->sim.failure : "none");
    if (result)
        compare(v, "result", result, v->sim.result);
    if (summary)
        compare(v, "summary", summary, json_object_get(v->sim.result, "summary"));
    if (calls)
        compare_calls(v, calls);
    if (inputs)
        compare_inputs(v, inputs);
}

/* --- running ---------------------------------------------------------------------------------------------- */

static void verdict_release(struct verdict *v)
{
    free(v->name);
    json_decref(v->problems);
    sim_result_release(&v->sim);
}

static int run_case(struct app *app, const struct workflow_def *d, const json_t *c, size_t number, struct verdict *v,
                    struct err *err)
{
    _cleanup_json_ json_t *parameters = NULL;
    _cleanup_json_ json_t *target = json_pack("{s:s, s:s, s:n}", "name", "test", "kind", "folder", "ref");
    const json_t *given = json_object_get(c, "parameters"), *more = json_object_get(c, "target");
    *v = (struct verdict){.name = json_str(c, "name", NULL) ? mem_strdup(json_str(c, "name", ""))
                                                            : mem_printf("case %zu", number),
                          .problems = json_array()};
    if (!v->name || !v->problems || !target || (more && json_object_update(target, (json_t *)(uintptr_t)more) < 0))
        return err_nomem(err);
    int r = workflow_def_parameters(d, given, &parameters, err);
    if (r == 0)
        r = sim_play(app, d, parameters, target, json_object_get(c, "activities"), json_object_get(c, "signals"), &v->sim,
                     err);
    if (r < 0)
        return err_wrap(err, "%s", v->name);
    judge(v, json_object_get(c, "expect"));
    return 0;
}

static json_t *verdict_json(struct verdict *v)
{
    json_t *calls = json_array();
    VEC_EACH(&v->sim.calls, c)
        json_array_append_new(calls, json_pack("{s:s, s:i, s:O?}", "module", c->module, "attempt", c->attempt, "input",
                                               c->input));
    return json_pack("{s:s, s:b, s:s, s:O?, s:s?, s:I, s:o, s:O}", "name", v->name, "passed",
                     json_array_size(v->problems) == 0, "status", v->sim.status, "result", v->sim.result, "error",
                     v->sim.failure, "time_ms", (json_int_t)v->sim.time_ms, "activities", calls, "problems", v->problems);
}

static void print_verdict(const struct verdict *v)
{
    bool ok = json_array_size(v->problems) == 0;
    size_t i;
    json_t *p;
    printf("%s%s%s  ", ok ? term_green() : term_red(), ok ? "ok    " : "FAILED", term_off());
    term_text(stdout, v->name);
    putchar('\n');
    json_array_foreach(v->problems, i, p) {
        printf("          ");
        term_text(stdout, json_string_value(p));
        putchar('\n');
    }
}

static int run_all(struct app *app, const struct workflow_def *d, const json_t *cases, size_t *ret_failed, json_t *list,
                   struct err *err)
{
    size_t i;
    json_t *c;
    *ret_failed = 0;
    json_array_foreach((json_t *)(uintptr_t)cases, i, c) {
        struct verdict v;
        int r = run_case(app, d, c, i + 1, &v, err);
        if (r == 0) {
            *ret_failed += json_array_size(v.problems) > 0;
            if (app->json)
                json_array_append_new(list, verdict_json(&v));
            else
                print_verdict(&v);
        }
        verdict_release(&v);
        if (r < 0)
            return r;
    }
    return 0;
}

/* A name, or a path to a folder with a '/'. */
static int find_workflow(struct app *app, const char *what, struct workflow_def **ret, struct err *err)
{
    int r = app_open_toolbox(app, err);
    if (r < 0)
        return r;
    if (!strchr(what, '/'))
        return toolbox_find(app->toolbox, what, ret, err);
    r = toolbox_load_dir(what, ret, err);
    return r < 0 ? r : workflow_def_error(*ret, err);
}

static int test(struct app *app, const struct args *a)
{
    struct err err = {0};
    struct workflow_def *d = NULL;
    _cleanup_json_ json_t *cases = NULL, *list = json_array();
    size_t failed = 0;
    int r = find_workflow(app, args_pos(a, 0), &d, &err);
    _cleanup_free_ char *beside = r == 0 ? os_path_join(d->dir, TEST_FILE) : NULL;
    const char *file = args_pos(a, 1) ? args_pos(a, 1) : beside;
    if (r == 0 && !file)
        r = err_nomem(&err);
    if (r == 0 && (r = read_cases(file, &cases, &err)) == -ERR_NOT_FOUND)
        err_hint(&err, "docs/workflows.md says what a test file looks like");
    if (r == 0)
        r = run_all(app, d, cases, &failed, list, &err);
    if (r == 0 && app->json)
        app_print_json(app, json_pack("{s:s, s:b, s:I, s:O}", "workflow", d->name, "passed", failed == 0, "failed",
                                      (json_int_t)failed, "cases", list));
    workflow_def_free(d);
    if (r < 0)
        return app_fail(app, &err);
    return failed ? EXIT_GATE : EXIT_OK;
}

const struct command cmd_workflow_test = {
    .local = true,
    .name = "test",
    .summary = "Run a workflow with faked activities",
    .usage = "WORKFLOW [FILE]",
    .details = "FILE (default: test.yaml in the workflow's folder) is a list of cases: parameters, what each module answers,\n"
               "signals, and what is expected. No module runs and no time passes: a workflow that sleeps for a week is\n"
               "tested at once. Exit status 1 if a case failed.",
    .examples = "  ff workflow test nightly\n  ff workflow test ./my/workflows/nightly cases.yaml",
    .min_args = 1,
    .max_args = 2,
    .run = test,
};
