/* The module fuzz_fetch: what a build needs from other machines, as a step of its own that has a network; the build has none. Its
 * artifact is the tree with all of that in it. */
#include "base/cleanup.h"
#include "base/mem.h"
#include "base/units.h"
#include "codec/json.h"
#include "fuzz/build_internal.h"
#include "fuzz/corpus.h"
#include "fuzz/fuzz.h"
#include "module/tools.h"
#include "os/clock.h"
#include "os/file.h"

#include <stdlib.h>
#include <string.h>

void fuzz_build_tell_needs(struct fuzz_build *b)
{
    _cleanup_free_ char *script = mem_printf("%s\ntell_needs >\"$WORK/needs\"\n", fuzz_fetch_sh);
    _cleanup_free_ char *path = os_path_join(b->work, "needs"), *text = NULL;
    if (script && path && fuzz_build_shell(b, script, b->src, NULL) == 0 && os_read_file(path, 1 << 16, &text, NULL, NULL) == 0)
        strbuf_puts(&b->notes, text);
}

static json_t *lines_json(const char *text)
{
    json_t *list = json_array();
    for (const char *p = text; *p; p += strcspn(p, "\n"), p += *p == '\n') {
        _cleanup_free_ char *l = mem_strndup(p, strcspn(p, "\n"));
        if (l && *l)
            json_array_append_new(list, json_clean_string(l));
    }
    return list;
}

static int fetch_error(const struct fuzz_build *b, struct err *err)
{
    char first[300];
    fuzz_build_first_error(strbuf_str(&b->log), first, sizeof first);
    return err_set(err, ERR_FAILED, "cannot be fetched: %s", first);
}

static int fetch(struct module_ctx *ctx, struct fuzz_build *b, struct err *err)
{
    const char *scratch = module_scratch(ctx);
    _cleanup_free_ char *script = mem_printf("%s\nfetch_needs\n", fuzz_fetch_sh), *tar = os_path_join(scratch, "sources.tar");
    _cleanup_free_ char *log = os_path_join(scratch, "fetch.txt"), *tools = NULL;
    const char *dirs = getenv(MODULE_TOOLS_ENV);
    if (!script || !tar || !log || !(tools = mem_printf(MODULE_TOOLS_ENV "=%s", dirs ? dirs : "")))
        return err_nomem(err);
    const char *const extra[] = {tools, NULL};
    int r = fuzz_build_make_base(b, err);
    if (r == 0)
        r = fuzz_build_docker_steps(b, "", true, err);
    if (r == 0)
        r = fuzz_build_shell_env(b, script, b->src, extra, err);
    if (r == -ERR_FAILED)
        fetch_error(b, err);
    if (os_write_file_atomic(log, strbuf_str(&b->log), b->log.len, 0644, NULL) == 0)
        module_artifact(ctx, log, "fetch.txt");
    module_summary(ctx, json_pack("{s:o}", "notes", lines_json(strbuf_str(&b->notes))));
    if (r < 0)
        return r;
    r = fuzz_tar(tar, b->src, NULL, err);
    if (r == 0)
        module_artifact(ctx, tar, "sources.tar");
    return r;
}

static int run_fetch(struct module_ctx *ctx, struct err *err)
{
    int64_t allowed = 0;
    if (!module_scratch(ctx))
        return err_set(err, ERR_INVALID, "fuzz_fetch needs a scratch folder");
    _cleanup_free_ char *base = os_path_join(module_scratch(ctx), "b");
    struct fuzz_build b = {.tree = module_workspace(ctx), .base = base, .driver = &libfuzzer_driver, .sanitizers = "address"};
    int r = base ? units_parse_duration_ms(json_str(module_input(ctx), "timeout", "30m"), &allowed, err) : err_nomem(err);
    b.stop_at_ns = os_mono_ns() + allowed * NS_PER_MS;
    fuzz_build_init(&b);
    fuzz_children_adopt();
    if (r == 0)
        r = os_mkdirs(base, 0755, err);
    if (r == 0)
        r = fetch(ctx, &b, err);
    fuzz_children_sweep(NULL);
    fuzz_build_release(&b);
    return r;
}

static const char *const tags[] = {"fuzzing", NULL};

const struct module fuzz_fetch_module = {
    .name = "fuzz_fetch",
    .version = "1.0.0",
    .description = "Fetches what a build needs: a Dockerfile's clones and downloads, modules of Go, crates, Python packages, "
                   "Maven's artifacts",
    .category = MODULE_FUZZER,
    .tags = tags,
    .input_schema = "{\"type\":\"object\",\"properties\":{\"timeout\":{\"type\":\"string\",\"default\":\"30m\"}}}",
    .output_schema = "{\"type\":\"object\",\"properties\":{\"notes\":{\"type\":\"array\"}}}",
    .requires_workspace = true,
    .run = run_fetch,
};
