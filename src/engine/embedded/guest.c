/* Guests: processes that take tasks from outside and of whose end the engine is told, so that what they had need
 * not wait for a timeout. */
#include "base/mem.h"
#include "engine/embedded/activity.h"
#include "engine/embedded/match.h"
#include "engine/embedded/run.h"
#include "engine/embedded/wtask.h"

#include <string.h>

struct guest {
    int here;  /* came so often more than it went */
    bool took; /* a task, since this process has the engine */
};

struct news {
    struct call call; /* first: the writer frees it as one */
    bool here;
    char identity[ENGINE_ID_MAX + 1]; /* empty: about all */
};

Pb__EmbeddedTaker guests_taker(struct eng *e, const struct call *c, const char *identity)
{
    if (!c->outside)
        return PB__EMBEDDED_TAKER__EMBEDDED_TAKER_INSIDE;
    struct guest *g = map_get(&e->guests, identity);
    if (!g)
        return PB__EMBEDDED_TAKER__EMBEDDED_TAKER_OUTSIDE;
    g->took = true;
    return PB__EMBEDDED_TAKER__EMBEDDED_TAKER_WATCHED;
}

void guests_release(struct eng *e)
{
    MAP_EACH (&e->guests, entry)
        free(entry->value);
    map_release(&e->guests);
}

/* NULL: any that is not here. */
static bool gone(const struct eng *e, const char *identity, const char *taker)
{
    return identity ? strcmp(identity, taker) == 0 : !map_get(&e->guests, taker);
}

static void take_back(struct eng *e, struct run *run, const char *identity)
{
    Pb__EmbeddedRun *s = run->s;
    for (size_t i = 0; i < s->n_activities;) {
        Pb__EmbeddedActivity *a = s->activities[i];
        if (a->started_ns && a->taker == PB__EMBEDDED_TAKER__EMBEDDED_TAKER_WATCHED &&
            gone(e, identity, a->identity))
            activity_lost(e, run, a);
        if (i < s->n_activities && s->activities[i] == a)
            i++;
    }
    /* Those of before this process had the engine were taken back when the state was opened. */
    if (identity && wtask_state(run) == WTASK_STARTED && strcmp(s->task_identity, identity) == 0)
        wtask_time_out(e, run, PB__TIMEOUT_TYPE__TIMEOUT_TYPE_START_TO_CLOSE, true);
}

/* In all open runs. Their keys first: to read a run may move the map. */
static void take_back_all(struct eng *e, const char *identity)
{
    size_t n = 0;
    int64_t *keys = arena_alloc(&e->arena, (e->runs.len + 1) * sizeof *keys);
    if (!keys) {
        eng_nomem(e);
        return;
    }
    MAP_EACH (&e->runs, entry) {
        const struct run *run = entry->value;
        if (run->open && !run->deleted)
            keys[n++] = run->key;
    }
    for (size_t i = 0; i < n && !e->fault.code; i++) {
        struct run *run;
        struct err err = {0};
        int r = run_get(e, keys[i], &run, &err);
        if (r == 0 && run_is_open(run))
            take_back(e, run, identity);
        else if (r < 0 && r != -ERR_NOT_FOUND)
            eng_fault(e, &err);
    }
}

/* A dead process's polls may still seem to wait: nothing must be handed to them. */
static void drop_polls(struct eng *e, const char *identity)
{
    for (struct call *c = e->parked_head, *next; c; c = next) {
        next = c->next_parked;
        const char *poller = c->method == ENGINE_POLL_ACTIVITY_TASK
                                 ? ((const Pb__PollActivityTaskQueueRequest *)c->req)->identity
                             : c->method == ENGINE_POLL_WORKFLOW_TASK
                                 ? ((const Pb__PollWorkflowTaskQueueRequest *)c->req)->identity
                                 : "";
        if (c->outside && strcmp(poller, identity) == 0)
            call_expire(e, c);
    }
}

static void came(struct eng *e, const char *identity)
{
    struct guest *g = map_get(&e->guests, identity);
    if (!g) {
        g = mem_zalloc(sizeof *g);
        if (!g || !map_set(&e->guests, identity, g)) {
            free(g);
            return; /* it is a guest like those nobody tells of */
        }
    }
    g->here++;
}

static void left(struct eng *e, const char *identity)
{
    struct guest *g = map_get(&e->guests, identity);
    if (!g || --g->here > 0)
        return;
    drop_polls(e, identity);
    match_forget(e, identity);
    if (g->took)
        take_back_all(e, identity);
    map_remove(&e->guests, identity);
    free(g);
}

static void hear(struct eng *e, struct call *c)
{
    const struct news *n = (const struct news *)c;
    if (!*n->identity)
        take_back_all(e, NULL);
    else if (n->here)
        came(e, n->identity);
    else
        left(e, n->identity);
    call_free(c);
}

static void tell(struct engine *base, const char *identity, bool here)
{
    struct news *n = mem_zalloc(sizeof *n);
    if (!n)
        return; /* timeouts do it, later */
    n->here = here;
    n->call.news = hear;
    size_t len = strlen(identity);
    memcpy(n->identity, identity, len < ENGINE_ID_MAX ? len : ENGINE_ID_MAX);
    eng_tell((struct eng *)base, &n->call);
}

void engine_embedded_guest(struct engine *base, const char *identity, bool here)
{
    if (*identity)
        tell(base, identity, here);
}

void engine_embedded_guests_settled(struct engine *base)
{
    tell(base, "", false);
}
