/* What a campaign needs to go on elsewhere: counters and bugs in the checkpoint, crash inputs and the corpus as kept files. At
 * its end the checkpoint is a kept file too, so that the result of one campaign is all that another needs to go on with it
 * ("resume").
 *
 * The corpus is kept as archives: corpus-0.tar has all of it, corpus-1.tar ... what was found after. When the later ones grow
 * too many, or too large beside the first, one archive of all takes their place. */
#include "base/cleanup.h"
#include "base/mem.h"
#include "base/units.h"
#include "codec/json.h"
#include "fuzz/campaign_internal.h"
#include "os/clock.h"
#include "os/file.h"

#include <stdio.h>
#include <string.h>

#define DELTAS_MAX 24
#define STATE_MAX ((size_t)4 << 20)
#define STATE_FILE "state.json"

static int keep_corpus(struct campaign *c, struct err *err)
{
    if (!c->corpus.fresh && (c->deltas >= 0 || !c->corpus.names.len))
        return 0;
    bool all = c->deltas < 0 || c->deltas >= DELTAS_MAX || c->corpus.fresh * 2 > c->corpus.names.len;
    int number = all ? 0 : c->deltas + 1;
    char name[32];
    snprintf(name, sizeof name, "corpus-%d.tar", number);
    _cleanup_free_ char *path = os_path_join(c->base, name);
    int64_t began = os_mono_ns();
    int r = path ? corpus_pack(&c->corpus, all, path, err) : err_nomem(err);
    if (r < 0)
        return r;
    c->pack_ns = all ? os_mono_ns() - began : c->pack_ns;
    module_keep(c->ctx, path, name);
    for (int i = 1; all && i <= c->deltas; i++) {
        snprintf(name, sizeof name, "corpus-%d.tar", i);
        module_keep(c->ctx, NULL, name);
    }
    c->deltas = number;
    return 0;
}

static int state_json(struct campaign *c, json_t **ret, struct err *err)
{
    char digest[65] = "";
    int r = keep_corpus(c, err);
    if (r == 0)
        r = corpus_digest(&c->corpus, digest, err);
    if (r < 0)
        return r;
    *ret = json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:i, s:o, s:o}", "corpus_digest", digest, "corpus",
                          (json_int_t)c->corpus.names.len, "elapsed_ms", (json_int_t)campaign_ms(c), "executions",
                          (json_int_t)campaign_executions(c), "crashes", (json_int_t)c->crashes, "edges", (json_int_t)c->edges,
                          "features", (json_int_t)c->features, "last_find_ms", (json_int_t)c->last_find_ms, "last_crash_ms",
                          (json_int_t)c->last_crash_ms, "deltas", c->deltas, "bugs", campaign_bugs_json(c), "open",
                          campaign_open_json(c));
    return *ret ? 0 : err_nomem(err);
}

int checkpoint_save(struct campaign *c, struct err *err)
{
    json_t *j;
    int r = state_json(c, &j, err);
    if (r < 0)
        return r;
    module_checkpoint(c->ctx, j);
    c->changed = false;
    return 0;
}

int checkpoint_keep(struct campaign *c, struct err *err)
{
    _cleanup_free_ char *path = os_path_join(c->base, STATE_FILE);
    _cleanup_json_ json_t *j = NULL;
    struct strbuf text = STRBUF_INIT_MAX(STATE_MAX);
    int r = path ? state_json(c, &j, err) : err_nomem(err);
    if (r == 0)
        r = json_write(j, &text, err);
    if (r == 0)
        r = os_write_file_atomic(path, text.s, text.len, 0644, err);
    strbuf_release(&text);
    if (r == 0)
        module_keep(c->ctx, path, STATE_FILE);
    return r;
}

/* Of the files that an attempt, or a campaign before this one, has kept; earlier: the latter, whose files are to be kept anew. */
static int restore_files(struct campaign *c, const json_t *kept, const json_t *open, bool earlier, struct err *err)
{
    const char *name;
    json_t *ref;
    int r = 0;
    json_object_foreach((json_t *)(uintptr_t)kept, name, ref) {
        const char *path = json_str(ref, "path", NULL);
        if (!path || r < 0)
            continue;
        if (strncmp(name, "corpus-", 7) == 0) {
            int number = atoi(name + 7);
            r = corpus_unpack(&c->corpus, path, err);
            c->deltas = number > c->deltas && !earlier ? number : c->deltas;
        } else if (strncmp(name, "min-", 4) == 0) {
            _cleanup_free_ char *to = os_path_join(c->crashes_dir, name);
            r = to ? fuzz_copy_file(path, to, CORPUS_INPUT_MAX, NULL, NULL, err) : err_nomem(err);
            if (r == 0 && earlier)
                module_keep(c->ctx, to, name);
        } else {
            r = strncmp(name, "crashes-", 8) == 0 ? campaign_restore_pack(c, name, path, open, earlier, err)
                                                 : campaign_restore_input(c, name, path, earlier, err);
        }
    }
    return r;
}

static int read_state(const json_t *kept, json_t **ret, struct err *err)
{
    const char *path = json_str(json_object_get(kept, STATE_FILE), "path", NULL);
    _cleanup_free_ char *text = NULL;
    size_t len;
    int r = path ? os_read_file(path, STATE_MAX, &text, &len, err) : 0;
    return r < 0 || !path ? r : json_parse(text, len, STATE_MAX, ret, err);
}

int checkpoint_restore(struct campaign *c, struct err *err)
{
    const json_t *resume = json_object_get(c->input, "resume"), *p = module_checkpoint_in(c->ctx);
    _cleanup_json_ json_t *state = NULL;
    c->deltas = -1;
    int r = p ? 0 : read_state(resume, &state, err);
    p = p ? p : state;
    if (r == 0)
        r = restore_files(c, resume, json_object_get(p, "open"), true, err);
    if (r == 0)
        r = restore_files(c, module_kept(c->ctx), json_object_get(p, "open"), false, err);
    if (r < 0 || !p)
        return r;
    c->base_ms = json_i64(p, "elapsed_ms", 0);
    c->base_executions = (uint64_t)json_i64(p, "executions", 0);
    c->crashes = (uint64_t)json_i64(p, "crashes", 0);
    c->edges = (uint64_t)json_i64(p, "edges", 0);
    c->features = (uint64_t)json_i64(p, "features", 0);
    c->last_find_ms = json_i64(p, "last_find_ms", 0);
    c->last_crash_ms = json_i64(p, "last_crash_ms", 0);
    module_log(c->ctx, "info", "going on after %lld s with %zu input%s and %zu crash%s", (long long)c->base_ms / 1000,
               c->corpus.names.len, UNITS_S(c->corpus.names.len), c->inputs.len, c->inputs.len == 1 ? "" : "es");
    return campaign_restore_bugs(c, json_object_get(p, "bugs"), err);
}
