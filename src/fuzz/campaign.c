/* The module fuzz_campaign: one target, one or more engines, until there is a reason to stop.
 *
 * The loop does little and often: read the engines' output, take crashes, take new inputs, do one step of the work on a
 * crash, and every few seconds tell statistics and save what another attempt needs. All that lasts is kept by the worker
 * (module_keep), because this process and the host it is on may end at any time. */
#include "base/cleanup.h"
#include "base/mem.h"
#include "base/units.h"
#include "codec/json.h"
#include "fuzz/build.h"
#include "fuzz/campaign_internal.h"
#include "fuzz/fuzz.h"
#include "os/clock.h"
#include "os/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TICK_MS 50
#define SCAN_NS (NS_PER_S / 2)
#define SYNC_NS (2 * NS_PER_S)
#define BUGS_SHOWN 8
#define ENDS_MANY 16 /* an engine may end now and then */
#define STATS_NS (2 * NS_PER_S)
#define SAVE_NS (10 * NS_PER_S)
#define MEMORY_NS (600 * NS_PER_S) /* what is left to later runs is no older, however this one ends */
#define SYNC_SHARE 50 /* looking for new inputs takes no more than this part of the time */
#define MERGE_LEAST_NS (60 * NS_PER_S)
#define MERGE_MOST_NS (600 * NS_PER_S)
#define PACKS 4 /* times that the packing of the corpus took: for the rest after a merge */
#define AFTER_NS (40 * NS_PER_S)     /* what the end takes at most, besides minimising */
#define AFTER_LEAST_NS (4 * NS_PER_S) /* engines that do not want to stop have three seconds */
#define REPORT_NS NS_PER_S

int64_t campaign_ms(const struct campaign *c)
{
    return c->base_ms + ((c->ended_ns ? c->ended_ns : os_mono_ns()) - c->began_ns) / NS_PER_MS;
}

uint64_t campaign_executions(const struct campaign *c)
{
    uint64_t n = c->base_executions;
    for (int i = 0; i < c->sessions_count; i++)
        n += c->sessions[i].executions + c->sessions[i].s.counts.executions;
    return n;
}

/* --- what is wanted --------------------------------------------------------------------------------------- */

static int read_time(const json_t *in, const char *key, int64_t def_ms, int64_t *ret, struct err *err)
{
    const json_t *v = json_object_get(in, key);
    *ret = def_ms;
    if (json_is_integer(v) && json_integer_value(v) >= 0)
        *ret = json_integer_value(v) * 1000;
    else if (json_is_string(v))
        return units_parse_duration_ms(json_string_value(v), ret, err) < 0 ? err_wrap(err, "%s", key) : 0;
    else if (v && !json_is_null(v))
        return err_set(err, ERR_INVALID, "%s is neither a number of seconds nor a time", key);
    return 0;
}

/* Whoever asked has an end of its own, by which the result must be there: ends_at, in seconds of the clock. */
static void read_end(struct campaign *c)
{
    double at = json_num(c->input, "ends_at", 0), now = (double)os_now_ns() / NS_PER_S, most = 400.0 * 86400;
    if (at <= 0 || at - now > most)
        return;
    int64_t left = at > now ? (int64_t)((at - now) * (double)NS_PER_S) : 1, after = left / 4;
    int64_t longest = AFTER_NS + c->minimise_ms * NS_PER_MS;
    after = after < AFTER_LEAST_NS ? AFTER_LEAST_NS : after > longest ? longest : after;
    c->ends_ns = os_mono_ns() + left;
    c->fuzz_until_ns = c->ends_ns - after;
}

/* The earlier of the two: until, and the campaign's end without the time that the report takes. */
static int64_t within(const struct campaign *c, int64_t until)
{
    return c->ends_ns && c->ends_ns - REPORT_NS < until ? c->ends_ns - REPORT_NS : until;
}

static int read_options(struct campaign *c, struct err *err)
{
    const json_t *in = c->input;
    int r = read_time(in, "duration", 60000, &c->duration_ms, err);
    if (r == 0)
        r = read_time(in, "plateau", 0, &c->plateau_ms, err);
    if (r == 0)
        r = read_time(in, "minimize", 20000, &c->minimise_ms, err);
    if (r == 0)
        r = read_time(in, "rebalance", 120000, &c->assign_every_ns, err);
    c->assign_every_ns *= NS_PER_MS;
    if (c->duration_ms)
        c->duration_ms += (int64_t)(json_num(in, "not_counted", 0) * 1000);
    if (r == 0)
        r = read_time(in, "input_timeout", INPUT_MS_DEFAULT, &c->bounds.input_ms, err);
    read_end(c);
    c->regression = strcmp(json_str(in, "mode", "fuzz"), "regression") == 0;
    c->max_executions = (uint64_t)json_i64(in, "max_executions", 0);
    c->closing = json_flag(in, "finish", false);
    c->stop_at_crash = json_flag(in, "stop_at_first_crash", false);
    c->bounds.memory_mb = (uint64_t)json_i64(in, "memory_mb", MEMORY_MB_DEFAULT);
    c->bounds.input_bytes = (uint64_t)json_i64(in, "max_len", 0);
    c->bounds.seed = (uint64_t)json_i64(in, "seed", 0);
    c->bounds.executions = c->max_executions;
    c->bounds.leaks = json_flag(in, "leaks", true) && fuzz_can_inspect();
    if (json_flag(in, "leaks", true) && !c->bounds.leaks)
        module_log(c->ctx, "warning", "ptrace is not allowed here: leaks are not looked for");
    return r;
}

static int add_target(struct campaign *c, struct fuzz_target *t, struct err *err)
{
    if (c->engines >= CAMPAIGN_ENGINES_MAX)
        return 0;
    int r = fuzz_driver_find(t->engine, &c->drivers[c->engines], err);
    if (r == 0)
        r = c->drivers[c->engines]->missing(err);
    if (r < 0)
        return r;
    c->targets[c->engines++] = *t;
    memset(t, 0, sizeof *t);
    return 0;
}

/* A program that is there already, below the workspace. */
static int binary_target(struct campaign *c, const char *binary, struct err *err)
{
    const json_t *in = c->input;
    const char *slash = strrchr(binary, '/');
    _cleanup_json_ json_t *j = json_pack("{s:s, s:s, s:s, s:s*, s:s*, s:s*}", "name", slash ? slash + 1 : binary, "engine",
                                         json_str(in, "engine", "libfuzzer"), "program", binary, "dict",
                                         json_str(in, "dict", NULL), "seeds", json_str(in, "seeds", NULL), "function",
                                         json_str(in, "function", NULL));
    struct fuzz_target t = {0};
    if (!module_workspace(c->ctx))
        return err_set(err, ERR_INVALID, "a binary is looked for in a target, and there is none");
    int r = fuzz_target_read(j, module_workspace(c->ctx), &t, err);
    if (r == 0 && !os_exists(t.program))
        r = err_set(err, ERR_NOT_FOUND, "there is no %s in the target", binary);
    _cleanup_free_ char *room = os_path_join(module_scratch(c->ctx), "beside");
    if (r == 0)
        r = room ? fuzz_target_beside(&t, room, err) : err_nomem(err);
    if (r == 0)
        r = add_target(c, &t, err);
    fuzz_target_release(&t);
    return r;
}

/* Those of a build (the artifact build.tar of fuzz_build): the one that is named, or the only one, for each engine. */
static int built_targets(struct campaign *c, const char *tar, struct err *err)
{
    _cleanup_free_ char *list = os_path_join(c->base, FUZZ_TARGETS_FILE), *text = NULL;
    _cleanup_json_ json_t *doc = NULL;
    const char *want = json_str(c->input, "target", NULL);
    size_t len, i;
    json_t *j;
    int r = list ? fuzz_untar(tar, c->base, err) : err_nomem(err);
    if (r == 0)
        r = os_read_file(list, (size_t)16 << 20, &text, &len, err);
    if (r == 0)
        r = json_parse(text, len, (size_t)16 << 20, &doc, err);
    if (r < 0)
        return err_wrap(err, "the build");
    json_array_foreach(doc, i, j) {
        struct fuzz_target t = {0};
        const char *name = json_str(j, "name", "");
        if (r < 0 || (want && strcmp(name, want) != 0) || (c->engines && strcmp(name, c->targets[0].name) != 0))
            continue;
        r = fuzz_target_read(j, c->base, &t, err);
        if (r == 0)
            r = add_target(c, &t, err);
        fuzz_target_release(&t);
    }
    return r;
}

static int find_targets(struct campaign *c, struct err *err)
{
    const char *binary = json_str(c->input, "binary", NULL);
    const char *tar = json_str(json_object_get(c->input, "build"), "path", NULL);
    const char *more = json_str(json_object_get(c->input, "more"), "path", NULL);
    if (binary)
        return binary_target(c, binary, err);
    if (!tar)
        return err_set(err, ERR_INVALID, "what is to be fuzzed? 'build' or 'binary' says it");
    int r = built_targets(c, tar, err);
    if (r == 0 && more)
        r = built_targets(c, more, err);
    if (r == 0 && !c->engines)
        r = err_set(err, ERR_NOT_FOUND, "the build has no target '%s'", json_str(c->input, "target", ""));
    return r;
}

/* What the target's own options bound, and the user did not, holds for each engine. It is no option of libFuzzer's any more. */
static void take_bound(struct campaign *c, struct fuzz_target *t, const char *option, const char *key, uint64_t *bound,
                       uint64_t unit)
{
    size_t kept = 0, n = strlen(option);
    unsigned long long value;
    for (size_t i = 0; i < t->options.len; i++) {
        char *o = t->options.v[i];
        bool is_it = strncmp(o, option, n) == 0 && sscanf(o + n, "=%8llu", &value) == 1 && value > 0;
        if (!is_it) {
            t->options.v[kept++] = o;
            continue;
        }
        if (json_is_null(json_object_get(c->input, key)) || !json_object_get(c->input, key))
            *bound = value * unit;
        free(o);
    }
    t->options.len = kept;
    t->options.v[kept] = NULL;
}

static void take_bounds(struct campaign *c)
{
    uint64_t ms = (uint64_t)c->bounds.input_ms;
    for (int i = 0; i < c->engines; i++) {
        take_bound(c, &c->targets[i], "timeout", "input_timeout", &ms, 1000);
        take_bound(c, &c->targets[i], "rss_limit_mb", "memory_mb", &c->bounds.memory_mb, 1);
        take_bound(c, &c->targets[i], "max_len", "max_len", &c->bounds.input_bytes, 1);
    }
    c->bounds.input_ms = (int64_t)ms;
}

/* --- before ----------------------------------------------------------------------------------------------- */

/* An engine that is given nothing cannot tell an empty folder from a missing one. */
static int take_seeds(struct campaign *c, struct err *err)
{
    const char *corpus = json_str(json_object_get(c->input, "corpus"), "path", NULL);
    uint64_t added;
    struct err why = {0};
    int r = 0;
    if (corpus && corpus_unpack(&c->corpus, corpus, &why) < 0) {
        if (why.code == ERR_NO_SPACE || why.code == ERR_NO_MEMORY)
            return err_copy(err, &why);
        /* the next attempt would find the same */
        module_partial(c->ctx, "the corpus that was given cannot be read: %s", why.msg);
    }
    for (int i = 0; r == 0 && i < c->engines; i++)
        if (c->targets[i].seeds)
            r = corpus_take(&c->corpus, c->targets[i].seeds, NULL, NULL, &added, err);
    if (r < 0 || c->corpus.names.len)
        return r;
    _cleanup_free_ char *first = os_path_join(c->work_dir, "first");
    bool is_new;
    r = first ? os_write_file_atomic(first, "\n", 1, 0644, err) : err_nomem(err);
    return r < 0 ? r : corpus_add(&c->corpus, first, &is_new, NULL, err);
}

int campaign_prepare(struct campaign *c, struct module_ctx *ctx, struct err *err)
{
    c->ctx = ctx;
    c->input = module_input(ctx);
    c->began_ns = os_mono_ns();
    fuzz_child_init(&c->triage.child);
    fuzz_children_adopt();
    if (!module_scratch(ctx))
        return err_set(err, ERR_INVALID, "a scratch folder is needed");
    c->base = mem_strdup(module_scratch(c->ctx));
    c->crashes_dir = c->base ? os_path_join(c->base, "crashes") : NULL;
    c->work_dir = c->base ? os_path_join(c->base, "work") : NULL;
    _cleanup_free_ char *corpus = c->base ? os_path_join(c->base, "corpus") : NULL;
    if (!c->crashes_dir || !c->work_dir || !corpus)
        return err_nomem(err);
    packs_init(&c->packs, c->crashes_dir);
    int r = read_options(c, err);
    if (r == 0)
        r = find_targets(c, err);
    take_bounds(c);
    if (r == 0)
        r = os_mkdirs(c->crashes_dir, 0755, err);
    if (r == 0)
        r = os_mkdirs(c->work_dir, 0755, err);
    if (r == 0)
        r = corpus_init(&c->corpus, corpus, err);
    if (r == 0)
        r = checkpoint_restore(c, err);
    if (r == 0)
        r = memory_load(c, err);
    return r;
}

/* --- while it runs ---------------------------------------------------------------------------------------- */

static json_t *engines_json(const struct campaign *c)
{
    json_t *list = json_array();
    for (int i = 0; i < c->sessions_count; i++) {
        const struct session *x = &c->sessions[i];
        json_array_append_new(list, json_pack("{s:s, s:i, s:I, s:f, s:I, s:I, s:I}", "engine", x->s.driver->name, "session", i,
                                              "executions", (json_int_t)(x->executions + x->s.counts.executions),
                                              "executions_per_sec", x->s.counts.rate, "edges", (json_int_t)x->edges,
                                              "finds", (json_int_t)x->finds, "memory_mb", (json_int_t)x->s.counts.memory_mb));
    }
    return list;
}

/* For engines that begin anew too often to tell one of their own: what was counted since the last time. */
static double counted_rate(struct campaign *c)
{
    int64_t now = os_mono_ns();
    uint64_t executions = campaign_executions(c);
    if (now - c->rate_ns >= STATS_NS) {
        if (c->rate_ns && executions >= c->rate_executions)
            c->rate = (double)(executions - c->rate_executions) * NS_PER_S / (double)(now - c->rate_ns);
        c->rate_ns = now;
        c->rate_executions = executions;
    }
    return c->rate;
}

/* The newest of them: for those who look on. */
static json_t *bugs_shown(const struct campaign *c)
{
    json_t *list = json_array();
    for (size_t i = c->bugs.len > BUGS_SHOWN ? c->bugs.len - BUGS_SHOWN : 0; i < c->bugs.len; i++) {
        const struct bug *b = &c->bugs.v[i];
        json_array_append_new(list, json_pack("{s:s, s:s, s:I, s:f, s:f}", "title", b->verdict.title, "severity",
                                              severity_name(b->verdict.severity), "count", (json_int_t)b->count, "first_time",
                                              (double)b->first_ms / 1000, "last_time", (double)b->last_ms / 1000));
    }
    return list;
}

static json_t *stats_json(struct campaign *c)
{
    double rate = 0;
    for (int i = 0; i < c->sessions_count; i++) {
        session_note_coverage(c, &c->sessions[i]);
        rate += c->sessions[i].s.counts.rate;
    }
    double counted = counted_rate(c);
    rate = rate > 0 ? rate : counted;
    json_t *j = json_pack("{s:s, s:I, s:f, s:I, s:I, s:I, s:o}", "target", c->targets[0].name, "executions",
                          (json_int_t)campaign_executions(c), "executions_per_sec", rate, "coverage", (json_int_t)c->edges,
                          "features", (json_int_t)c->features, "corpus_size", (json_int_t)c->corpus.names.len, "engines",
                          engines_json(c));
    _cleanup_json_ json_t *k = json_pack("{s:I, s:I, s:I, s:I, s:f, s:f, s:f, s:o}", "crashes", (json_int_t)c->crashes,
                                         "unique_crashes", (json_int_t)c->bugs.len, "crash_inputs",
                                         (json_int_t)(c->packs.count + (uint64_t)c->kept), "crash_inputs_dropped",
                                         (json_int_t)c->dropped, "elapsed_time", (double)campaign_ms(c) / 1000, "last_find_time",
                                         (double)c->last_find_ms / 1000, "last_crash_time", (double)c->last_crash_ms / 1000,
                                         "bugs", bugs_shown(c));
    json_object_update(j, k);
    return j;
}

static const char *reason_to_stop(struct campaign *c)
{
    int64_t ms = campaign_ms(c);
    if (module_stop_asked(c->ctx))
        return "signal";
    if (c->duration_ms && ms >= c->duration_ms)
        return "duration";
    if (c->ends_ns && os_mono_ns() >= c->fuzz_until_ns)
        return "deadline";
    if (c->max_executions && campaign_executions(c) >= c->max_executions)
        return "executions";
    if (c->stop_at_crash && c->crashes && c->bugs.len)
        return "first crash";
    if (c->plateau_ms && ms - c->last_find_ms >= c->plateau_ms)
        return "plateau";
    if (c->regression && !c->affected && c->triage_idle && sessions_all_ready(c))
        return "replayed";
    return sessions_all_broken(c) ? "engines" : NULL;
}

static int sync_corpora(struct campaign *c, struct err *err)
{
    int64_t began = os_mono_ns();
    int r = sessions_sync(c, err);
    int64_t took = os_mono_ns() - began;
    c->sync_every_ns = took * SYNC_SHARE > SYNC_NS ? took * SYNC_SHARE : SYNC_NS;
    return r;
}

/* Due at *at, and then again after every. */
static bool due(int64_t now, int64_t *at, int64_t every)
{
    if (now < *at)
        return false;
    *at = now + every;
    return true;
}

static int step(struct campaign *c, struct err *err)
{
    int r = 0;
    sessions_step(c);
    c->triage_idle = !triage_step(c);
    int64_t now = os_mono_ns();
    if (due(now, &c->scan_ns, SCAN_NS))
        r = sessions_scan(c, err);
    if (r == 0 && due(now, &c->sync_ns, c->sync_every_ns))
        r = sync_corpora(c, err);
    if (r == 0 && due(now, &c->stats_ns, STATS_NS) && (r = campaign_flush(c, err)) == 0) {
        module_stats(c->ctx, stats_json(c));
        module_progress(c->ctx, (uint64_t)campaign_ms(c) / 1000, (uint64_t)c->duration_ms / 1000, c->targets[0].name);
        sessions_sweep(c);
    }
    if (c->engines > 1 && due(now, &c->assign_ns, c->assign_every_ns))
        sessions_assign(c);
    if (r == 0 && due(now, &c->save_ns, SAVE_NS))
        r = checkpoint_save(c, err);
    if (r == 0 && due(now, &c->memory_ns, MEMORY_NS))
        r = memory_keep(c, err);
    return r;
}

static int fuzz(struct campaign *c, struct err *err)
{
    int r = 0;
    c->began_ns = os_mono_ns();
    c->sync_every_ns = SYNC_NS;
    c->save_ns = c->began_ns + SAVE_NS / 4;
    c->memory_ns = c->began_ns + MEMORY_NS;
    c->assign_ns = c->began_ns + c->assign_every_ns;
    while (r == 0 && !(c->stopped_by = reason_to_stop(c))) {
        r = step(c, err);
        sessions_wait(c, TICK_MS);
    }
    c->ended_ns = os_mono_ns(); /* the work on crashes that is left is no fuzzing */
    sessions_stop(c);
    if (r == 0)
        r = sessions_sync(c, err);
    return r;
}

/* --- after ------------------------------------------------------------------------------------------------ */

/* What has changed since the runs before. */
static json_t *novelties_json(const struct campaign *c)
{
    int of[BUG_BACK + 1] = {0};
    json_t *fixed = json_array();
    VEC_EACH(&c->bugs, b)
        of[memory_novelty(c, b)]++;
    VEC_EACH(&c->known_bugs, k)
        if (!k->fixed && memory_is_fixed(k))
            json_array_append_new(fixed, json_string(k->title));
    return json_pack("{s:i, s:i, s:i, s:I, s:o, s:b, s:I}", "new", of[BUG_NEW], "still_there", of[BUG_STILL], "came_back",
                     of[BUG_BACK], "fixed", (json_int_t)json_array_size(fixed), "fixed_bugs", fixed, "affected", c->affected,
                     "remembered", (json_int_t)c->remembered);
}

static void finish_triage(struct campaign *c, bool asked)
{
    int64_t until = within(c, os_mono_ns() + (c->minimise_ms + 30000) * NS_PER_MS);
    while (!(c->closing ? module_stop_asked(c->ctx) : asked) && triage_step(c) && os_mono_ns() < until)
        sessions_wait(c, TICK_MS);
    triage_end(c);
    sessions_sweep(c);
}

/* A campaign of days may take some minutes for it. What is left is to be packed twice, and stored, before the end. */
static int64_t merge_until(const struct campaign *c)
{
    int64_t share = campaign_ms(c) * NS_PER_MS / 20, now = os_mono_ns();
    int64_t until = now + (share < MERGE_LEAST_NS ? MERGE_LEAST_NS : share < MERGE_MOST_NS ? share : MERGE_MOST_NS);
    int64_t half = c->ends_ns ? now + (c->ends_ns - now) / 2 : until, packed = within(c, until) - PACKS * c->pack_ns;
    return within(c, until) < half ? within(c, until) : packed > half ? packed : half;
}

static int finish(struct campaign *c, struct err *err)
{
    bool asked = strcmp(c->stopped_by ? c->stopped_by : "", "signal") == 0;
    finish_triage(c, asked);
    uint64_t crashes = c->crashes;
    int r = asked ? 0 : merge_corpus(c, merge_until(c), err);
    if (r == 0 && c->crashes > crashes) /* inputs of the corpus that crash, and that no engine has run */
        finish_triage(c, asked);
    if (r == 0)
        r = campaign_flush(c, err);
    if (r == 0)
        r = checkpoint_keep(c, err);
    if (r == 0)
        r = memory_keep(c, err);
    module_stats(c->ctx, stats_json(c));
    campaign_report(c);
    json_t *s = stats_json(c);
    char digest[65] = "";
    if (r == 0)
        r = corpus_digest(&c->corpus, digest, err);
    json_object_set_new(s, "stopped_by", json_string(c->stopped_by ? c->stopped_by : "error"));
    json_object_set_new(s, "corpus_digest", json_string(digest));
    json_object_update_new(s, novelties_json(c));
    if (c->unmerged)
        json_object_set_new(s, "corpus_unmerged", json_integer((json_int_t)c->unmerged));
    json_object_set_new(s, "moves", json_integer((json_int_t)c->moves));
    json_object_set_new(s, "folders_cleaned", json_integer((json_int_t)c->cleaned));
    json_object_set_new(s, "engine_ends", json_integer((json_int_t)c->engine_ends));
    json_object_set_new(s, "strays_killed", json_integer((json_int_t)c->strays));
    module_summary(c->ctx, s);
    if (sessions_all_broken(c))
        module_partial(c->ctx, "the target %s cannot be fuzzed: it ends before it takes an input: %s", c->targets[0].name,
                       c->last_words);
    else if (c->engine_ends > ENDS_MANY && c->engine_ends > c->crashes)
        module_partial(c->ctx, "the engine ended %llu times without a crash, in the target's hands: %s",
                       (unsigned long long)c->engine_ends, c->last_words);
    else if (!c->past_door && c->door_ends > ENDS_MANY)
        module_partial(c->ctx, "each of %llu starts crashed on an input that it was given: no other was made",
                       (unsigned long long)c->door_ends);
    else if (!campaign_executions(c) && !c->crashes && strcmp(c->stopped_by ? c->stopped_by : "", "duration") == 0)
        module_partial(c->ctx, "its time was over before any input was run");
    else if (c->regression && (memory_is_undecided(c) || (!c->past_door && !c->door_ends)))
        module_partial(c->ctx, "it ended before all of the corpus and all known crashes had been run");
    return r;
}

void campaign_release(struct campaign *c)
{
    triage_end(c);
    sessions_release(c);
    fuzz_children_sweep(NULL);
    campaign_bugs_release(c);
    memory_release(c);
    corpus_release(&c->corpus);
    for (int i = 0; i < c->engines; i++)
        fuzz_target_release(&c->targets[i]);
    free(c->base);
    free(c->crashes_dir);
    free(c->work_dir);
}

static int seed_and_fuzz(struct campaign *c, struct err *err)
{
    int r = take_seeds(c, err);
    if (r == 0)
        r = sessions_make(c, (int)json_i64(c->input, "jobs", 1), err);
    return r < 0 ? r : fuzz(c, err);
}

/* Whoever asked it to stop got no result, because no attempt was under way: what the last one had is all that there will be. */
static int take_over(struct campaign *c)
{
    uint64_t inputs = c->packs.count + (uint64_t)c->kept;
    c->crashes = c->crashes > inputs ? c->crashes : inputs; /* those came after its last numbers */
    c->ended_ns = c->began_ns;
    c->stopped_by = "signal";
    return 0;
}

static int run(struct module_ctx *ctx, struct err *err)
{
    struct campaign *c = mem_zalloc(sizeof *c);
    if (!c)
        return err_nomem(err);
    int r = campaign_prepare(c, ctx, err);
    if (r == 0)
        r = c->closing ? take_over(c) : seed_and_fuzz(c, err);
    if (c->stopped_by)
        r = r < 0 ? r : finish(c, err);
    campaign_release(c);
    free(c);
    return r;
}

static const char *const tags[] = {"fuzzing", "libfuzzer", NULL};

const struct module fuzz_campaign_module = {
    .name = "fuzz_campaign",
    .version = "1.0.0",
    .description = "Fuzzes one target: goes on after crashes, merges duplicates, reproduces and minimises each",
    .category = MODULE_FUZZER,
    .tags = tags,
    .stops = true,
    .remembers = true,
    .input_schema =
        "{\"type\":\"object\",\"properties\":{"
        "\"build\":{\"type\":\"object\",\"description\":\"REF of what fuzz_build has made\"},"
        "\"more\":{\"type\":\"object\",\"description\":\"REF of another build, for more engines\"},"
        "\"binary\":{\"type\":\"string\",\"description\":\"a target that is built already: its path in the workspace\"},"
        "\"engine\":{\"type\":\"string\",\"description\":\"the engine that the binary was built for (default libfuzzer)\"},"
        "\"function\":{\"type\":\"string\",\"description\":\"of a binary with several: the function or class\"},"
        "\"target\":{\"type\":\"string\",\"description\":\"which target of the build\"},"
        "\"duration\":{" FUZZ_TIME_SCHEMA ",\"default\":\"60s\",\"description\":\"0: no end\"},"
        "\"not_counted\":{\"type\":\"number\",\"description\":\"seconds of its time that are no part of the duration\"},"
        "\"ends_at\":{\"type\":\"number\",\"description\":\"seconds of the clock: the result is to be there by then\"},"
        "\"plateau\":{" FUZZ_TIME_SCHEMA ",\"description\":\"stop when nothing new was found for so long\"},"
        "\"max_executions\":{\"type\":\"integer\",\"minimum\":0},"
        "\"stop_at_first_crash\":{\"type\":\"boolean\",\"default\":false},"
        "\"jobs\":{\"type\":\"integer\",\"minimum\":1,\"default\":1,\"description\":\"engine processes\"},"
        "\"input_timeout\":{" FUZZ_TIME_SCHEMA ","
        "\"description\":\"of one input (what the target's options say; 10s)\"},"
        "\"memory_mb\":{\"type\":\"integer\",\"minimum\":0,\"description\":\"of the target (what its options say; 2048)\"},"
        "\"max_len\":{\"type\":\"integer\",\"minimum\":0,\"description\":\"largest input, in bytes\"},"
        "\"rebalance\":{" FUZZ_TIME_SCHEMA ",\"default\":\"120s\","
        "\"description\":\"how often engines are compared, and a core goes to the better one\"},"
        "\"leaks\":{\"type\":\"boolean\",\"default\":true,\"description\":\"memory that an input has lost is a bug too\"},"
        "\"seed\":{\"type\":\"integer\",\"description\":\"of the engine's generator\"},"
        "\"minimize\":{" FUZZ_TIME_SCHEMA ",\"default\":\"20s\","
        "\"description\":\"time to minimise each bug's input; 0: not\"},"
        "\"seeds\":{\"type\":\"string\",\"description\":\"of a binary: folder of inputs in the workspace\"},"
        "\"dict\":{\"type\":\"string\",\"description\":\"of a binary: dictionary in the workspace\"},"
        "\"memory\":{\"type\":\"string\",\"description\":\"earlier runs with the same text have left their corpus\"},"
        "\"mode\":{\"type\":\"string\",\"enum\":[\"fuzz\",\"regression\"],\"default\":\"fuzz\"},"
        "\"handover\":{\"type\":\"string\",\"description\":"
        "\"an activity of the run with the same text that has no result hands over to this one\"},"
        "\"finish\":{\"type\":\"boolean\",\"default\":false,\"description\":\"do not fuzz: report what was handed over\"},"
        "\"resume\":{\"type\":\"object\",\"description\":\"artifacts of a campaign that was stopped: it goes on\"},"
        "\"corpus\":{\"type\":\"object\",\"description\":\"REF of a tar with inputs\"}}}",
    .output_schema =
        "{\"type\":\"object\",\"properties\":{\"executions\":{\"type\":\"integer\"},\"crashes\":{\"type\":\"integer\"},"
        "\"unique_crashes\":{\"type\":\"integer\"},\"coverage\":{\"type\":\"integer\"},\"corpus_size\":{\"type\":\"integer\"},"
        "\"stopped_by\":{\"type\":\"string\"}}}",
    .run = run,
};
