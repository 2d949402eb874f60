/* Which engine works on which core. Each engine has one session for good, its main one; the others go, one at a time, from the
 * engine that finds the least to the one that finds the most: inputs of its own with new coverage, for each of its cores. */
#include "base/cleanup.h"
#include "base/mem.h"
#include "base/units.h"
#include "fuzz/campaign_internal.h"
#include "os/clock.h"
#include "os/file.h"

#include <signal.h>

#define CLEARLY 2.0 /* the better one must find so many times as much */
#define END_NS (5 * NS_PER_S)

bool ensemble_pick(const double *gain, const int *movable, int engines, int *ret_from, int *ret_to)
{
    int best = 0, worst = -1;
    for (int i = 0; i < engines; i++) {
        if (gain[i] > gain[best])
            best = i;
        if (movable[i] > 0 && (worst < 0 || gain[i] < gain[worst]))
            worst = i;
    }
    *ret_from = worst;
    *ret_to = best;
    return worst >= 0 && worst != best && gain[best] > 0 && gain[best] >= CLEARLY * gain[worst];
}

static uint64_t found_by(const struct session *x)
{
    return x->discoveries + x->s.counts.discoveries;
}

void sessions_assign(struct campaign *c)
{
    double gain[CAMPAIGN_ENGINES_MAX] = {0};
    int cores[CAMPAIGN_ENGINES_MAX] = {0}, movable[CAMPAIGN_ENGINES_MAX] = {0}, from, to;
    struct session *last[CAMPAIGN_ENGINES_MAX] = {NULL};
    for (int i = 0; i < c->sessions_count; i++) {
        struct session *x = &c->sessions[i];
        gain[x->engine] += (double)(found_by(x) - x->judged);
        x->judged = found_by(x);
        cores[x->engine]++;
        if (x->move_to >= 0)
            return; /* one at a time */
        if (!x->s.is_main && !x->broken) {
            movable[x->engine]++;
            last[x->engine] = x;
        }
    }
    for (int i = 0; i < c->engines; i++)
        gain[i] = cores[i] ? gain[i] / cores[i] : 0;
    if (!ensemble_pick(gain, movable, c->engines, &from, &to))
        return;
    struct session *x = last[from];
    x->move_to = to;
    x->move_by_ns = os_mono_ns() + END_NS;
    module_log(c->ctx, "info", "%s finds %.0f inputs a core where %s finds %.0f: it gets one more", c->drivers[to]->name,
               gain[to], c->drivers[from]->name, gain[from]);
    fuzz_child_kill(&x->s.child, x->s.driver->stop_signal ? x->s.driver->stop_signal : SIGTERM);
}

void session_move(struct campaign *c, struct session *x)
{
    struct err err = {0};
    x->engine = x->move_to;
    x->edges = 0;
    x->move_to = -1;
    x->s.driver = c->drivers[x->engine];
    x->s.target = &c->targets[x->engine];
    x->s.subset = NULL;
    map_clear(&x->seen_corpus);
    map_clear(&x->seen_crashes);
    map_clear(&x->seen_import);
    c->moves++;
    if (os_remove_tree(x->s.dir, &err) < 0 || os_mkdirs(x->s.dir, 0755, &err) < 0 || x->s.driver->make_dirs(&x->s, &err) < 0)
        module_log(c->ctx, "warning", "%s", err.msg);
}
