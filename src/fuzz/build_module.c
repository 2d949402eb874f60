/* The modules fuzz_targets (what is there to fuzz) and fuzz_build (targets from sources, for one or more engines). */
#include "base/cleanup.h"
#include "base/mem.h"
#include "base/units.h"
#include "codec/json.h"
#include "fuzz/build_internal.h"
#include "fuzz/corpus.h"
#include "fuzz/fuzz.h"
#include "os/clock.h"
#include "os/file.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define HARNESSES_SHOWN 1000
#define SANITIZERS "address,undefined"

static json_t *harnesses_json(const fuzz_harness_list *l)
{
    json_t *list = json_array();
    VEC_EACH(l, h)
        if (json_array_size(list) < HARNESSES_SHOWN)
            json_array_append_new(list, json_pack("{s:o, s:o, s:s}", "name", json_clean_string(h->name), "file",
                                                  json_clean_string(h->file), "language", h->language));
    return list;
}

static bool has_target(const json_t *targets, const struct fuzz_harness *h)
{
    size_t i;
    json_t *t;
    json_array_foreach(targets, i, t)
        if (strcmp(json_str(t, "source", ""), h->file) == 0 || strcmp(json_str(t, "name", ""), h->name) == 0)
            return true;
    return false;
}

/* How many targets are of a harness that nobody knows. */
static size_t without_source(const json_t *targets)
{
    size_t i, n = 0;
    json_t *t;
    json_array_foreach(targets, i, t)
        n += !json_object_get(t, "source");
    return n;
}

/* Names of the harnesses that no engine has, of those that the engines of the list can run. */
static json_t *missed_json(const fuzz_harness_list *l, const json_t *engines, const json_t *targets, const char *only)
{
    json_t *list = json_array(), *e;
    size_t i;
    VEC_EACH(l, h) {
        bool runs = false;
        json_array_foreach(engines, i, e) {
            const struct fuzz_driver *d;
            bool known = json_is_string(e) && fuzz_driver_find(json_string_value(e), &d, NULL) == 0;
            runs |= known && fuzz_driver_runs(d, h->language);
        }
        if (runs && !has_target(targets, h) && (!only || strcmp(only, h->name) == 0) && json_array_size(list) < HARNESSES_SHOWN)
            json_array_append_new(list, json_clean_string(h->name));
    }
    if (json_array_size(list) <= without_source(targets))
        json_array_clear(list);
    return list;
}

/* --- fuzz_targets ----------------------------------------------------------------------------------------- */

static int run_targets(struct module_ctx *ctx, struct err *err)
{
    fuzz_harness_list l = {0};
    int r = fuzz_harness_find(module_workspace(ctx), &l, err);
    if (r == 0)
        module_summary(ctx, json_pack("{s:s, s:I, s:o}", "build_system", fuzz_build_system(module_workspace(ctx)), "count",
                                      (json_int_t)l.len, "harnesses", harnesses_json(&l)));
    fuzz_harness_release(&l);
    return r;
}

/* --- fuzz_build ------------------------------------------------------------------------------------------- */

struct making {
    struct module_ctx *ctx;
    const json_t *in;
    char *sources;    /* what fuzz_fetch has made of the tree, unpacked; NULL: it was not asked */
    const char *tree; /* the one or the other */
    fuzz_harness_list harnesses;
    json_t *targets; /* of all engines; paths relative to scratch */
    json_t *failed;  /* {engine: reason} */
    json_t *notes;   /* what was left out, and why */
    struct strbuf log, list;
    char *probed; /* of the first build: what its configure scripts found out */
    int64_t stop_at_ns;
};

/* Paths of a target as the tar has them. */
static int relocate(json_t *t, const char *engine, struct err *err)
{
    static const char *const keys[] = {"program", "dict", "seeds"};
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        const char *v = json_str(t, keys[i], NULL);
        _cleanup_free_ char *p = v ? mem_printf("b/%s/out/%s", engine, v) : NULL;
        if (v && (!p || json_object_set_new(t, keys[i], json_string(p)) < 0))
            return err_nomem(err);
    }
    return 0;
}

static int take_built(struct making *m, struct fuzz_build *b, struct err *err)
{
    const char *own = json_str(m->in, "sanitizers", SANITIZERS);
    size_t i;
    json_t *t;
    int r = 0;
    json_array_foreach(b->targets, i, t) {
        if (r == 0)
            r = relocate(t, b->driver->name, err);
        if (r == 0 && ((strcmp(own, SANITIZERS) != 0 && json_object_set_new(t, "sanitizers", json_string(own)) < 0) ||
                       (m->sources && json_object_set_new(t, "fetched", json_true()) < 0)))
            r = err_nomem(err);
        if (r == 0 && json_array_append(m->targets, t) < 0)
            r = err_nomem(err);
    }
    strbuf_printf(&m->list, "b/%s/out\n", b->driver->name);
    return r;
}

/* What a build has left for the next one; NULL: nothing. */
static char *probed_in(const char *base)
{
    char *dir = os_path_join(base, "probed");
    if (dir && !os_is_dir(dir))
        free(TAKE_PTR(dir));
    return dir;
}

/* The same once more, for what an engine wants besides. One that fails is no loss but of that. */
static int build_second(struct making *m, const struct fuzz_build *first, struct err *err)
{
    const char *engine = first->driver->name;
    struct err why = {0};
    _cleanup_free_ char *base = mem_printf("%s/b/%s-2", module_scratch(m->ctx), engine);
    struct fuzz_build b = {.tree = first->tree, .base = base, .driver = first->driver, .harnesses = first->harnesses,
                           .sanitizers = first->sanitizers, .only = first->only, .stop_at_ns = first->stop_at_ns,
                           .second = true, .probed = m->probed, .background = first->background};
    int r = base ? os_mkdirs(base, 0755, err) : err_nomem(err);
    if (r == 0 && fuzz_build_run(&b, &why) < 0)
        module_log(m->ctx, "warning", "%s, second build: %s", engine, why.msg);
    size_t i, k;
    json_t *t, *u;
    json_array_foreach(first->targets, i, t) {
        json_array_foreach(b.targets, k, u) {
            _cleanup_free_ char *p = mem_printf("b/%s-2/out/%s", engine, json_str(u, "program", ""));
            if (p && strcmp(json_str(t, "name", ""), json_str(u, "name", "")) == 0)
                json_object_set_new(t, "second", json_string(p));
        }
    }
    if (json_array_size(b.targets))
        strbuf_printf(&m->list, "b/%s-2/out\n", engine);
    fuzz_build_release(&b);
    return r;
}

static void take_notes(struct making *m, struct fuzz_build *b)
{
    _cleanup_free_ char *text = strbuf_take(&b->notes, NULL);
    char *save = NULL;
    for (char *l = text ? strtok_r(text, "\n", &save) : NULL; l; l = strtok_r(NULL, "\n", &save)) {
        module_log(m->ctx, "warning", "%s", l);
        json_array_append_new(m->notes, json_clean_string(l));
    }
}

/* A build without what it needs fails with errors that do not say so. */
static void add_needs(struct fuzz_build *b, struct err *why)
{
    size_t before = b->notes.len;
    struct err old = *why;
    fuzz_build_tell_needs(b);
    const char *needs = strbuf_str(&b->notes) + before;
    if (b->notes.len > before)
        err_set(why, ERR_FAILED, "%.250s; %.*s", old.msg, (int)strcspn(needs, "\n"), needs);
}

/* A build that fails for one engine is no reason not to fuzz with another. */
static int build_for(struct making *m, const char *engine, struct err *first, struct err *err)
{
    const struct fuzz_driver *d;
    struct err why = {0};
    int r = fuzz_driver_find(engine, &d, err);
    if (r < 0)
        return r;
    engine = d->name;
    _cleanup_free_ char *base = mem_printf("%s/b/%s", module_scratch(m->ctx), engine);
    if (!base)
        return err_nomem(err);
    const char *sanitizers = json_str(m->in, "sanitizers", SANITIZERS);
    if (sanitizers[strspn(sanitizers, "abcdefghijklmnopqrstuvwxyz-,")])
        return err_set(err, ERR_INVALID, "sanitizers: a list of names, as address,undefined");
    struct fuzz_build b = {.tree = m->tree, .base = base, .driver = d, .harnesses = &m->harnesses,
                           .sanitizers = sanitizers, .only = json_str(m->in, "target", NULL), .stop_at_ns = m->stop_at_ns,
                           .probed = m->probed, .background = json_flag(m->in, "background", false)};
    module_progress(m->ctx, 0, 0, engine);
    r = os_mkdirs(base, 0755, err);
    if (r == 0)
        r = fuzz_build_run(&b, &why);
    if (!m->probed)
        m->probed = probed_in(base);
    if (r == -ERR_FAILED && !m->sources)
        add_needs(&b, &why);
    strbuf_printf(&m->log, "== %s (%s)\n", engine, b.system ? b.system : "");
    strbuf_append(&m->log, strbuf_str(&b.log), b.log.len);
    take_notes(m, &b);
    if (r == 0) {
        r = take_built(m, &b, err);
        if (r == 0 && d->second_env)
            r = build_second(m, &b, err);
    } else if (r != -ERR_NO_MEMORY && r != -ERR_NO_SPACE) {
        json_object_set_new(m->failed, engine, json_clean_string(why.msg));
        strbuf_printf(&m->log, "%s\n", why.msg);
        if (!first->code)
            *first = why;
        r = 0;
    }
    fuzz_build_release(&b);
    return r;
}

static int put_file(const char *dir, const char *name, const char *text, size_t len, struct err *err)
{
    _cleanup_free_ char *path = os_path_join(dir, name);
    return path ? os_write_file_atomic(path, text, len, 0644, err) : err_nomem(err);
}

static int pack(struct making *m, struct err *err)
{
    const char *scratch = module_scratch(m->ctx);
    _cleanup_free_ char *tar = os_path_join(scratch, "build.tar"), *list = os_path_join(scratch, "list");
    struct strbuf text = STRBUF_INIT;
    int r = tar && list ? json_write_pretty(m->targets, &text, err) : err_nomem(err);
    if (r == 0)
        r = put_file(scratch, FUZZ_TARGETS_FILE, strbuf_str(&text), text.len, err);
    strbuf_release(&text);
    strbuf_puts(&m->list, FUZZ_TARGETS_FILE "\n");
    if (r == 0)
        r = put_file(scratch, "list", strbuf_str(&m->list), m->list.len, err);
    if (r == 0)
        r = fuzz_tar(tar, scratch, list, err);
    if (r == 0)
        module_artifact(m->ctx, tar, "build.tar");
    return r;
}

/* For a build of the same tree that comes after this one. */
static int pack_probed(struct making *m, struct err *err)
{
    _cleanup_free_ char *tar = os_path_join(module_scratch(m->ctx), "probed.tar");
    int r = tar ? fuzz_tar(tar, m->probed, NULL, err) : err_nomem(err);
    if (r == 0)
        module_artifact(m->ctx, tar, "probed.tar");
    return r;
}

static int take_probed(struct making *m, struct err *err)
{
    const char *tar = json_str(json_object_get(m->in, "probed"), "path", NULL);
    if (!tar)
        return 0;
    m->probed = os_path_join(module_scratch(m->ctx), "probed");
    return m->probed ? fuzz_untar(tar, m->probed, err) : err_nomem(err);
}

static int take_sources(struct making *m, struct err *err)
{
    const char *tar = json_str(json_object_get(m->in, "sources"), "path", NULL);
    m->tree = module_workspace(m->ctx);
    if (!tar)
        return m->tree ? 0 : err_set(err, ERR_INVALID, "fuzz_build needs a target");
    m->tree = m->sources = os_path_join(module_scratch(m->ctx), "sources");
    return m->sources ? fuzz_untar(tar, m->sources, err) : err_nomem(err);
}

static int make_all(struct making *m, struct err *err)
{
    struct err first = {0};
    const json_t *engines = json_object_get(m->in, "engines");
    int64_t allowed = 0;
    size_t i;
    json_t *e;
    int r = units_parse_duration_ms(json_str(m->in, "timeout", "30m"), &allowed, err);
    m->stop_at_ns = os_mono_ns() + allowed * NS_PER_MS;
    if (r == 0)
        r = take_sources(m, err);
    if (r == 0)
        r = take_probed(m, err);
    if (r == 0)
        r = fuzz_harness_find(m->tree, &m->harnesses, err);
    if (r == 0 && !json_array_size(engines))
        r = build_for(m, "libfuzzer", &first, err);
    json_array_foreach(engines, i, e)
        if (r == 0)
            r = json_is_string(e) ? build_for(m, json_string_value(e), &first, err)
                                  : err_set(err, ERR_INVALID, "engines is a list of names");
    if (r == 0)
        r = put_file(module_scratch(m->ctx), "build.txt", strbuf_str(&m->log), m->log.len, err);
    if (r < 0)
        return r;
    _cleanup_free_ char *log = os_path_join(module_scratch(m->ctx), "build.txt");
    if (log)
        module_artifact(m->ctx, log, "build.txt");
    const char *system = fuzz_build_system(m->tree);
    module_summary(m->ctx, json_pack("{s:s, s:O, s:O, s:O, s:o, s:o}", "build_system", system, "targets", m->targets, "failed",
                                     m->failed, "notes", m->notes, "harnesses", harnesses_json(&m->harnesses), "missed",
                                     missed_json(&m->harnesses, engines, m->targets, json_str(m->in, "target", NULL))));
    if (!json_array_size(m->targets))
        return err_copy(err, &first);
    if (json_object_size(m->failed))
        module_partial(m->ctx, "%s", first.msg);
    r = m->probed ? pack_probed(m, err) : 0;
    return r < 0 ? r : pack(m, err);
}

static int run_build(struct module_ctx *ctx, struct err *err)
{
    struct making m = {.ctx = ctx, .in = module_input(ctx), .targets = json_array(), .failed = json_object(),
                       .notes = json_array(),
                       .log = STRBUF_INIT, .list = STRBUF_INIT};
    fuzz_children_adopt();
    int r = !m.targets || !m.failed || !m.notes ? err_nomem(err)
            : module_scratch(ctx)   ? make_all(&m, err)
                                    : err_set(err, ERR_INVALID, "fuzz_build needs a scratch folder");
    fuzz_children_sweep(NULL);
    fuzz_harness_release(&m.harnesses);
    json_decref(m.targets);
    json_decref(m.failed);
    json_decref(m.notes);
    free(m.sources);
    free(m.probed);
    strbuf_release(&m.log);
    strbuf_release(&m.list);
    return r;
}

/* --- what a build depends on besides the tree -------------------------------------------------------------- */

/* A program, or a folder or file that changes with what it stands for. */
static void add_stamp(struct strbuf *b, const char *path)
{
    struct stat st;
    if (stat(path, &st) == 0)
        strbuf_printf(b, "%s %lld %lld.%ld\n", path, (long long)st.st_size, (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
}

/* Not what only decides on how long it may take. The scripts are part of the program, and a newer one may have others. */
static int build_identity(const json_t *input, const char *tools, struct strbuf *b, struct err *err)
{
    static const char *const decide[] = {"engines", "target", "sanitizers", "sources"};
    static const char *const programs[] = {"clang-14", "clang", "afl-clang-fast", "gcc",  "cmake", "ninja", "meson",
                                           "make",     "cargo", "rustc",          "javac", "go"};
    for (size_t i = 0; i < ARRAY_LEN(decide); i++) {
        const json_t *v = json_object_get(input, decide[i]);
        _cleanup_free_ char *text = v && !json_is_null(v) ? json_dumps(v, JSON_ENCODE_ANY | JSON_SORT_KEYS | JSON_COMPACT) : NULL;
        strbuf_printf(b, "%s %s\n", decide[i], text ? text : "");
    }
    strbuf_puts(b, fuzz_build_sh);
    strbuf_puts(b, fuzz_dockerfile_sh);
    strbuf_puts(b, fuzz_cargo_fuzz_sh);
    strbuf_puts(b, fuzz_stand_in_rs);
    strbuf_puts(b, fuzz_jazzer_sh);
    strbuf_puts(b, fuzz_go_sh);
    strbuf_puts(b, fuzz_go_on_go);
    for (size_t i = 0; i < ARRAY_LEN(programs); i++) {
        _cleanup_free_ char *path = fuzz_program_path(programs[i]);
        if (path)
            add_stamp(b, path);
    }
    add_stamp(b, "/var/lib/dpkg/status"); /* headers and libraries, where they come by packages */
    add_stamp(b, "/usr/local/go/VERSION");
    _cleanup_free_ char *dirs = mem_strdup(tools ? tools : "");
    char *save = NULL;
    for (char *d = dirs ? strtok_r(dirs, ":", &save) : NULL; d; d = strtok_r(NULL, ":", &save))
        add_stamp(b, d);
    return dirs ? 0 : err_nomem(err);
}

static const char *const tags[] = {"fuzzing", NULL};

const struct module fuzz_targets_module = {
    .name = "fuzz_targets",
    .version = "1.0.0",
    .description = "What there is to fuzz: harnesses, by what is in the files, and how the tree is built",
    .category = MODULE_FUZZER,
    .tags = tags,
    .input_schema = "{\"type\":\"object\",\"properties\":{}}",
    .output_schema = "{\"type\":\"object\",\"properties\":{\"count\":{\"type\":\"integer\"}}}",
    .requires_workspace = true,
    .run = run_targets,
};

const struct module fuzz_build_module = {
    .name = "fuzz_build",
    .version = "1.0.0",
    .description = "Builds fuzz targets: fuzz.yaml, OSS-Fuzz projects, CMake, Meson, make, or a single file",
    .category = MODULE_FUZZER,
    .tags = tags,
    .input_schema =
        "{\"type\":\"object\",\"properties\":{"
        "\"engines\":{\"type\":\"array\",\"items\":{\"type\":\"string\"},"
        "\"description\":\"for which engines (default libfuzzer)\"},"
        "\"target\":{\"type\":\"string\",\"description\":\"only this one\"},"
        "\"sources\":{\"type\":\"object\",\"description\":\"REF of fuzz_fetch's sources.tar, in place of the target\"},"
        "\"probed\":{\"type\":\"object\",\"description\":\"REF of a build's probed.tar: what its configure scripts found out\"},"
        "\"background\":{\"type\":\"boolean\",\"default\":false,\"description\":\"with low priority\"},"
        "\"sanitizers\":{\"type\":\"string\",\"default\":\"" SANITIZERS "\"},"
        "\"timeout\":{\"type\":\"string\",\"default\":\"30m\"}}}",
    .output_schema = "{\"type\":\"object\",\"properties\":{\"targets\":{\"type\":\"array\"}}}",
    .requires_workspace = true,
    .identity = build_identity,
    .run = run_build,
};

const struct module *const fuzz_modules[] = {&fuzz_targets_module, &fuzz_fetch_module, &fuzz_build_module, &fuzz_campaign_module,
                                             &fuzz_triage_module, &cargo_test_module, NULL};
