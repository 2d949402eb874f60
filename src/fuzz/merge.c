/* What the engines found together, by the fewest inputs: the corpus at the end of a campaign.
 *
 * An engine merges all or nothing, and needs memory and time by the number of inputs. So it gets a part of the corpus at a time,
 * whose inputs that cover nothing of their own are taken out at once; parts grow from round to round, and the last one is the
 * whole. When time is over what was done counts, and the next run goes on with it. */
#include "base/cleanup.h"
#include "base/mem.h"
#include "base/units.h"
#include "fuzz/campaign_internal.h"
#include "os/clock.h"
#include "os/file.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PART_LEAST 4000 /* inputs */
#define ROUNDS_MAX 24   /* most often two: the second one finds that nothing is left to do */
#define MANY 200        /* inputs of one run of the target */
#define CRASHES_MAX 100 /* that are looked for in a part */
#define SLOW_MOST 3     /* inputs of one run that may take as long as an input may */

typedef char input_name[CORPUS_NAME_BYTES];

struct merging {
    struct campaign *c;
    int engine;
    int64_t until;
    input_name *names; /* of the part */
    size_t len, size;  /* how many they are; how many there may be */
    char *part, *into, *crashes;
    bool good;   /* the engine could do it so far */
    bool screen; /* inputs that crash are looked for first */
};

/* The engine that merges for all; -1: none does. Of several it is the first of the list: libFuzzer, in one process. */
static int merging_engine(const struct campaign *c)
{
    for (const struct fuzz_driver *const *d = fuzz_drivers; *d; d++)
        for (int i = 0; i < c->engines; i++)
            if (c->drivers[i] == *d && (*d)->merge)
                return i;
    return -1;
}

static bool late(const struct merging *m)
{
    return os_mono_ns() >= m->until;
}

/* The next inputs, from *at on. */
static void take_names(struct merging *m, size_t *at)
{
    const struct map *names = &m->c->corpus.names;
    for (m->len = 0; *at < names->used && m->len < m->size; ++*at)
        if (names->entries[*at].key)
            snprintf(m->names[m->len++], sizeof *m->names, "%s", names->entries[*at].key);
}

static int empty_dir(const char *dir, struct err *err)
{
    int r = os_remove_tree(dir, err);
    return r < 0 ? r : os_mkdirs(dir, 0755, err);
}

/* A folder with the part's inputs. It lies where the target cannot write: they are the corpus's own files. */
static int link_part(struct merging *m, struct err *err)
{
    int r = empty_dir(m->part, err);
    for (size_t i = 0; r == 0 && i < m->len; i++) {
        _cleanup_free_ char *from = os_path_join(m->c->corpus.dir, m->names[i]), *to = os_path_join(m->part, m->names[i]);
        if (!from || !to)
            r = err_nomem(err);
        else if (map_get(&m->c->corpus.names, m->names[i]) && link(from, to) < 0) /* on a file system that has no links */
            r = fuzz_copy_file(from, to, CORPUS_INPUT_MAX, NULL, NULL, err);
    }
    return r;
}

/* Inputs that the engine has dropped because they crash: no engine that fuzzed had the time for them. */
static int take_crashes(struct merging *m, struct err *err)
{
    char **names;
    size_t n;
    int r = fuzz_list_files(m->crashes, &names, &n, err);
    for (size_t i = 0; r == 0 && i < n; i++) {
        enum fuzz_fault fault = m->c->drivers[m->engine]->fault(names[i]);
        _cleanup_free_ char *path = os_path_join(m->crashes, names[i]);
        if (!path)
            r = err_nomem(err);
        else if (fault != FAULT_NONE)
            r = campaign_crash(m->c, m->engine, path, fault, NULL, 0, err);
    }
    for (size_t i = 0; i < n; i++)
        free(names[i]);
    free(names);
    return r;
}

static int run_merge(struct merging *m, bool *ret_good, struct err *err)
{
    struct campaign *c = m->c;
    struct fuzz_command cmd = {0};
    struct fuzz_child child;
    bool is_late = false;
    _cleanup_free_ char *tmp = os_path_join(c->work_dir, "tmp");
    fuzz_child_init(&child);
    int r = tmp ? empty_dir(tmp, err) : err_nomem(err);
    if (r == 0)
        r = empty_dir(m->into, err);
    if (r == 0)
        r = empty_dir(m->crashes, err);
    if (r < 0)
        return r;
    c->drivers[m->engine]->merge(&c->targets[m->engine], &c->bounds, m->into, m->part, m->crashes, &cmd);
    cmd.writable[0] = c->work_dir;
    cmd.cwd = tmp;
    fuzz_word(&cmd.env, "TMPDIR=%s", tmp);
    if (cmd.inner.len)
        fuzz_word(&cmd.inner, "%s", tmp);
    r = fuzz_child_run(&cmd, m->until, &child, &is_late, err);
    *ret_good = r == 0 && !is_late && !c->drivers[m->engine]->crashed(child.status);
    fuzz_child_release(&child);
    fuzz_command_release(&cmd);
    return r < 0 ? r : take_crashes(m, err);
}

/* Engines name what they keep in ways of their own: an input is known by what is in it. */
static int keep_merged(struct merging *m, bool *ret_good, struct err *err)
{
    _cleanup_free_ char *dir = mem_printf("%s/kept", m->c->work_dir);
    struct corpus kept = {0};
    uint64_t n = 0;
    int r = dir ? os_remove_tree(dir, err) : err_nomem(err);
    if (r == 0)
        r = corpus_init(&kept, dir, err);
    if (r == 0)
        r = corpus_take(&kept, m->into, NULL, NULL, &n, err);
    *ret_good = r == 0 && n > 0;
    for (size_t i = 0; *ret_good && i < m->len; i++)
        if (!map_get(&kept.names, m->names[i]))
            corpus_remove(&m->c->corpus, m->names[i]);
    corpus_release(&kept);
    return r;
}

/* --- inputs that crash ------------------------------------------------------------------------------------- */

/* Runs the inputs from first to end of the part, one after another. *ret: one of them is a crash. */
static int try_range(struct merging *m, size_t first, size_t end, bool *ret, struct err *err)
{
    struct campaign *c = m->c;
    struct fuzz_command cmd = {.cwd = c->work_dir, .writable = {c->work_dir}, .quiet = true};
    struct fuzz_child child;
    bool is_late = false;
    int64_t inputs = end - first < SLOW_MOST ? (int64_t)(end - first) : SLOW_MOST;
    int64_t longest = os_mono_ns() + inputs * c->bounds.input_ms * NS_PER_MS + NS_PER_S;
    fuzz_child_init(&child);
    _cleanup_free_ char *one = os_path_join(m->part, m->names[first]);
    if (!one)
        return err_nomem(err);
    c->drivers[m->engine]->reproduce(&c->targets[m->engine], &c->bounds, one, false, &cmd);
    for (size_t i = first + 1; i < end; i++)
        fuzz_word(&cmd.argv, "%s/%s", m->part, m->names[i]);
    int r = fuzz_child_run(&cmd, longest < m->until ? longest : m->until, &child, &is_late, err);
    *ret = r == 0 && (is_late || c->drivers[m->engine]->crashed(child.status));
    fuzz_child_release(&child);
    fuzz_command_release(&cmd);
    return r;
}

/* Halves the range until the input is alone. *first: where the next ones begin. */
static int find_crash(struct merging *m, size_t *first, size_t end, bool *ret_found, struct err *err)
{
    size_t from = *first, to = end;
    bool crashes = false;
    int r = try_range(m, from, to, &crashes, err);
    *ret_found = r == 0 && crashes;
    *first = end;
    while (r == 0 && *ret_found && to - from > 1) {
        size_t middle = from + (to - from) / 2;
        r = try_range(m, from, middle, &crashes, err);
        from = crashes ? from : middle;
        to = crashes ? middle : to;
    }
    if (r == 0 && *ret_found) /* alone: many slow ones together are none */
        r = try_range(m, from, from + 1, ret_found, err);
    if (r < 0 || !*ret_found || late(m))
        return r;
    *first = from + 1;
    _cleanup_free_ char *path = os_path_join(m->part, m->names[from]);
    return path ? campaign_crash(m->c, m->engine, path, FAULT_CRASH, NULL, 0, err) : err_nomem(err);
}

/* afl-cmin drops inputs that crash without keeping them, and fails where one is the last. They are set aside, as the crashes
 * that they are: an engine that had little time has not run all. */
static int set_aside(struct merging *m, bool *ret_any, struct err *err)
{
    int crashes = 0, r = 0;
    bool found;
    for (size_t at = 0; r == 0 && at < m->len && crashes < CRASHES_MAX && !late(m); crashes += found) {
        found = false;
        r = find_crash(m, &at, at + MANY < m->len ? at + MANY : m->len, &found, err);
    }
    *ret_any = crashes > 0;
    return r;
}

/* --- parts ------------------------------------------------------------------------------------------------- */

static int merge_part(struct merging *m, struct err *err)
{
    bool good = false, any = false;
    int r = link_part(m, err);
    if (r == 0 && m->screen)
        r = set_aside(m, &any, err);
    if (r == 0 && any)
        r = link_part(m, err);
    if (r == 0)
        r = run_merge(m, &good, err);
    if (r == 0 && good)
        r = keep_merged(m, &good, err);
    m->good = good;
    litter_clean_work(m->c);
    return r;
}

static int merge_round(struct merging *m, struct err *err)
{
    int r = 0;
    m->c->unmerged = m->c->corpus.names.len;
    for (size_t at = 0; r == 0 && m->good && !late(m);) {
        take_names(m, &at);
        if (m->len == 0)
            break;
        r = merge_part(m, err);
        if (m->good)
            m->c->unmerged -= m->len;
    }
    return r;
}

/* Until it does not shrink any more. */
static int merge_all(struct merging *m, struct err *err)
{
    struct campaign *c = m->c;
    size_t before = 0, unmerged = 0;
    int r = 0;
    for (int i = 0; r == 0 && m->good && i < ROUNDS_MAX && c->corpus.names.len > 1; i++) {
        if (c->corpus.names.len == before && m->size >= before)
            break;
        before = c->corpus.names.len;
        m->size = i == 0 ? PART_LEAST : m->size * 2;
        m->screen = i == 0 && c->drivers[m->engine]->many;
        m->size = m->size < before ? m->size : before;
        free(m->names);
        m->names = mem_calloc(m->size, sizeof *m->names);
        r = m->names ? merge_round(m, err) : err_nomem(err);
        unmerged = i == 0 ? c->unmerged : unmerged; /* what no round has looked at */
    }
    c->unmerged = unmerged;
    return r;
}

int merge_corpus(struct campaign *c, int64_t until, struct err *err)
{
    struct merging m = {.c = c, .engine = merging_engine(c), .until = until, .good = true};
    size_t before = c->corpus.names.len;
    if (m.engine < 0)
        return 0;
    m.part = os_path_join(c->base, "merge");
    m.into = os_path_join(c->work_dir, "merged");
    m.crashes = os_path_join(c->work_dir, "dropped");
    int r = m.part && m.into && m.crashes ? merge_all(&m, err) : err_nomem(err);
    if (c->unmerged)
        module_log(c->ctx, "warning", "the corpus: %zu of %zu input%s not merged: %s", c->unmerged, before, UNITS_S(before),
                   late(&m) ? "there was no more time" : "the engine could not do it");
    if (c->corpus.names.len != before)
        corpus_refresh(&c->corpus);
    os_remove_tree(m.part ? m.part : "", NULL);
    free(m.part);
    free(m.into);
    free(m.crashes);
    free(m.names);
    return r;
}
