/* The module fuzz_triage: inputs that somebody says crash a target. Each is tried; those that do are grouped into bugs,
 * reproduced, and one of each bug is made smaller: what a campaign does with its own. */
#include "base/cleanup.h"
#include "base/mem.h"
#include "codec/json.h"
#include "fuzz/campaign_internal.h"
#include "fuzz/fuzz.h"
#include "os/file.h"

#include <stdio.h>
#include <string.h>

#define WAIT_MS 20
#define INPUTS_SHOWN 2000

struct given {
    char *file;
    int input; /* index; -1: its content was there before, or it cannot be read */
};
typedef VEC(struct given) given_list;

static enum fuzz_fault fault_of(const char *name)
{
    return strncmp(name, "timeout-", 8) == 0 ? FAULT_TIMEOUT : strncmp(name, "oom-", 4) == 0 ? FAULT_MEMORY : FAULT_CRASH;
}

/* Is a name, or what is left of it, this one? Also of a second folder's file: 'ff fuzz' stages it as NAME.~1~. */
static bool is_named(const char *name, const char *want)
{
    size_t n = strlen(want);
    return strncmp(name, want, n) == 0 && (!name[n] || strncmp(name + n, ".~", 2) == 0);
}

static bool is_archive(const char *name, const char *kind)
{
    size_t n = strlen(kind), digits = strncmp(name, kind, n) == 0 ? strspn(name + n, "0123456789") : 0;
    return digits && is_named(name + n + digits, ".tar");
}

/* What a campaign leaves beside its crashes. */
static bool is_no_input(const char *name)
{
    return is_named(name, "state.json") || is_named(name, "memory.tar") || is_archive(name, "corpus-");
}

static int take_file(struct campaign *c, const char *dir, char *name, given_list *l, struct err *err)
{
    _cleanup_free_ char *path = os_path_join(dir, name);
    size_t before = c->inputs.len;
    int r = path ? campaign_crash(c, 0, path, fault_of(name), NULL, 0, err) : err_nomem(err);
    struct given g = {name, c->inputs.len > before ? (int)before : -1};
    if (!VEC_PUSH(l, g))
        free(name);
    return r;
}

/* ours: a campaign has left the folder. */
static int take_folder(struct campaign *c, const char *dir, bool ours, given_list *l, struct err *err)
{
    char **names;
    size_t n;
    int r = fuzz_list_files(dir, &names, &n, err);
    for (size_t i = 0; i < n; i++) {
        if (r == 0 && !(ours && (is_no_input(names[i]) || is_archive(names[i], "crashes-")))) {
            r = take_file(c, dir, names[i], l, err);
            continue;
        }
        _cleanup_free_ char *tar = os_path_join(dir, names[i]), *to = mem_printf("%s/packed/%s", c->base, names[i]);
        if (r == 0 && is_archive(names[i], "crashes-")) /* those that had no place as files of their own */
            r = tar && to ? fuzz_untar(tar, to, err) : err_nomem(err);
        if (r == 0 && is_archive(names[i], "crashes-"))
            r = take_folder(c, to, false, l, err);
        free(names[i]);
    }
    free(names);
    return r;
}

static int take_inputs(struct campaign *c, given_list *l, struct err *err)
{
    const char *folder = json_str(c->input, "inputs", "inputs");
    _cleanup_free_ char *dir = module_workspace(c->ctx) ? os_path_join(module_workspace(c->ctx), folder) : NULL;
    if (!dir || strstr(folder, ".."))
        return err_set(err, ERR_INVALID, "inputs is a folder in the workspace");
    _cleanup_free_ char *state = os_path_join(dir, "state.json"), *corpus = os_path_join(dir, "corpus-0.tar");
    if (!state || !corpus)
        return err_nomem(err);
    int r = take_folder(c, dir, os_exists(state) && os_exists(corpus), l, err);
    if (r == 0 && !l->len)
        r = err_set(err, ERR_NOT_FOUND, "there is no input in %s", folder);
    return r;
}

static json_t *inputs_json(const struct campaign *c, const given_list *l)
{
    json_t *list = json_array();
    VEC_EACH(l, g) {
        const struct crash_input *in = g->input >= 0 ? &c->inputs.v[g->input] : NULL;
        const struct bug *b = in && in->bug >= 0 ? &c->bugs.v[in->bug] : NULL;
        if (json_array_size(list) < INPUTS_SHOWN)
            json_array_append_new(list, json_pack("{s:o, s:b, s:b, s:s?, s:s?}", "file", json_clean_string(g->file), "crashes",
                                                  b != NULL, "duplicate", in == NULL, "bug", b ? b->verdict.title : NULL,
                                                  "kept_as", in ? in->name : NULL));
    }
    return list;
}

static json_t *bugs_json(const struct campaign *c)
{
    json_t *list = json_array();
    VEC_EACH(&c->bugs, b) {
        _cleanup_free_ char *min = b->minimised ? mem_printf("min-%s", b->input) : NULL;
        const struct fuzz_verdict *v = &b->verdict;
        json_t *j = json_pack("{s:s, s:s, s:s, s:s, s:I, s:i, s:i, s:I, s:s?, s:I}", "title", v->title, "crash_type", v->type,
                              "crash_state", v->state, "severity", severity_name(v->severity), "inputs", (json_int_t)b->count,
                              "tries", b->tries, "reproduced", b->hits, "bytes", (json_int_t)b->size, "minimised", min,
                              "minimised_bytes", (json_int_t)b->min_size);
        json_array_append_new(list, j);
    }
    return list;
}

/* One that did not get smaller is the reproducer as it is. */
static void keep_reproducers(const struct campaign *c)
{
    VEC_EACH(&c->bugs, b) {
        _cleanup_free_ char *path = b->minimised ? NULL : os_path_join(c->crashes_dir, b->input);
        if (path)
            module_keep(c->ctx, path, b->input);
    }
}

static int run(struct module_ctx *ctx, struct err *err)
{
    struct campaign *c = mem_zalloc(sizeof *c);
    given_list l = {0};
    if (!c)
        return err_nomem(err);
    int r = campaign_prepare(c, ctx, err);
    c->given = true;
    if (r == 0)
        r = take_inputs(c, &l, err);
    while (r == 0 && !module_stop_asked(ctx) && triage_step(c)) {
        sessions_wait(c, WAIT_MS);
        module_progress(ctx, c->bugs.len, c->inputs.len, c->targets[0].name);
    }
    if (r == 0) {
        keep_reproducers(c);
        campaign_report(c);
        module_summary(ctx, json_pack("{s:I, s:I, s:o, s:o}", "inputs_count", (json_int_t)l.len, "unique_crashes",
                                      (json_int_t)c->bugs.len, "bugs", bugs_json(c), "inputs", inputs_json(c, &l)));
    }
    VEC_EACH(&l, g)
        free(g->file);
    VEC_RELEASE(&l);
    campaign_release(c);
    free(c);
    return r;
}

static const char *const tags[] = {"fuzzing", NULL};

const struct module fuzz_triage_module = {
    .name = "fuzz_triage",
    .version = "1.0.0",
    .description = "Inputs that are said to crash a target: tried, grouped into bugs, reproduced, minimised",
    .category = MODULE_FUZZER,
    .tags = tags,
    .stops = true,
    .input_schema =
        "{\"type\":\"object\",\"properties\":{"
        "\"binary\":{\"type\":\"string\",\"description\":\"the target: its path in the workspace\"},"
        "\"engine\":{\"type\":\"string\",\"description\":\"the engine that it was built for (default libfuzzer)\"},"
        "\"function\":{\"type\":\"string\"},"
        "\"inputs\":{\"type\":\"string\",\"default\":\"inputs\",\"description\":\"folder of inputs in the workspace\"},"
        "\"minimize\":{" FUZZ_TIME_SCHEMA ",\"default\":\"20s\",\"description\":\"for each bug; 0: not\"},"
        "\"input_timeout\":{" FUZZ_TIME_SCHEMA "},\"memory_mb\":{\"type\":\"integer\",\"minimum\":0}}}",
    .output_schema = "{\"type\":\"object\",\"properties\":{\"bugs\":{\"type\":\"array\"}}}",
    .requires_workspace = true,
    .run = run,
};
