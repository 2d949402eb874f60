#include "engine/embedded/event.h"

#include "base/assert.h"
#include "base/mem.h"
#include "codec/pbx.h"
#include "engine/embedded/run.h"
#include "engine/embedded/wtask.h"

#include <string.h>

/* As field 1 (events) of a History message. */
static void pack(struct eng *e, struct run *run, const Pb__HistoryEvent *ev)
{
    size_t n = pb__history_event__get_packed_size(ev), v = n, k = 0;
    uint8_t head[12];
    head[k++] = 0x0a;
    for (; v >= 0x80; v >>= 7)
        head[k++] = (uint8_t)(v | 0x80);
    head[k++] = (uint8_t)v;
    uint8_t *p = (uint8_t *)strbuf_reserve(&run->tail, n + k);
    if (!p) {
        eng_nomem(e);
        return;
    }
    memcpy(p, head, k);
    pb__history_event__pack(ev, p + k);
    strbuf_commit(&run->tail, n + k);
    run->s->history_bytes += (int64_t)(n + k);
}

static int64_t add(struct eng *e, struct run *run, Pb__HistoryEvent *ev)
{
    run_dirty(e, run);
    if (run->s->task_speculative)
        wtask_write(e, run);
    ev->event_id = run->s->next_event_id++;
    pack(e, run, ev);
    return ev->event_id;
}

int64_t event_add(struct eng *e, struct run *run, Pb__HistoryEvent *ev)
{
    Pb__Timestamp t = event_timestamp(e->now);
    bool now = !ev->event_time;
    if (now)
        ev->event_time = &t;
    int64_t id = add(e, run, ev);
    if (now)
        ev->event_time = NULL;
    return id;
}

int64_t event_post(struct eng *e, struct run *run, Pb__HistoryEvent *ev, int64_t belongs)
{
    Pb__EmbeddedRun *s = run->s;
    if (!s->task_started_id)
        return event_add(e, run, ev);
    run_dirty(e, run);
    if (s->task_speculative)
        wtask_write(e, run);
    Pb__Timestamp t = event_timestamp(e->now);
    bool now = !ev->event_time;
    if (now)
        ev->event_time = &t;
    Pb__EmbeddedBuffered *b = mem_alloc(sizeof *b);
    Pb__EmbeddedBuffered **list = mem_realloc(s->buffered, (s->n_buffered + 1) * sizeof *list);
    if (list)
        s->buffered = list;
    size_t n = 0;
    uint8_t *data = NULL;
    if (b && list && pbx_pack(&ev->base, &data, &n, NULL) == 0) {
        pb__embedded_buffered__init(b);
        b->event = (ProtobufCBinaryData){.data = data, .len = n};
        b->scheduled_id = belongs;
        list[s->n_buffered++] = b;
    } else {
        free(b);
        eng_nomem(e);
    }
    if (now)
        ev->event_time = NULL;
    return EVENT_BUFFERED;
}

/* Where an event that ends an activity or a child keeps the id of the event that started it;
 * NULL for other events. */
static int64_t *started_id_of(Pb__HistoryEvent *ev)
{
    switch (ev->event_type) {
#define ENDS(UPPER, lower)                                                                         \
    case PB__EVENT_TYPE__EVENT_TYPE_##UPPER:                                                       \
        return &ev->lower##_event_attributes->started_event_id;
        ENDS(ACTIVITY_TASK_COMPLETED, activity_task_completed)
        ENDS(ACTIVITY_TASK_FAILED, activity_task_failed)
        ENDS(ACTIVITY_TASK_TIMED_OUT, activity_task_timed_out)
        ENDS(ACTIVITY_TASK_CANCELED, activity_task_canceled)
        ENDS(CHILD_WORKFLOW_EXECUTION_COMPLETED, child_workflow_execution_completed)
        ENDS(CHILD_WORKFLOW_EXECUTION_FAILED, child_workflow_execution_failed)
        ENDS(CHILD_WORKFLOW_EXECUTION_CANCELED, child_workflow_execution_canceled)
        ENDS(CHILD_WORKFLOW_EXECUTION_TIMED_OUT, child_workflow_execution_timed_out)
        ENDS(CHILD_WORKFLOW_EXECUTION_TERMINATED, child_workflow_execution_terminated)
#undef ENDS
    default:
        return NULL;
    }
}

void event_flush_buffer(struct eng *e, struct run *run)
{
    Pb__EmbeddedRun *s = run->s;
    size_t n = s->n_buffered;
    if (!n)
        return;
    ASSERT(!s->task_started_id);
    Pb__EmbeddedBuffered **list = s->buffered;
    s->buffered = NULL;
    s->n_buffered = 0;
    int64_t *assigned = arena_alloc(&e->arena, n * sizeof *assigned);
    for (int pass = 0; assigned && pass < 2; pass++)
        for (size_t i = 0; i < n; i++) {
            Pb__HistoryEvent *ev =
                pb__history_event__unpack(NULL, list[i]->event.len, list[i]->event.data);
            if (!ev) {
                eng_nomem(e);
                continue;
            }
            int64_t *started = started_id_of(ev);
            if (pass == (started != NULL)) {
                for (size_t k = 0; started && *started == EVENT_BUFFERED && k < n; k++)
                    if (assigned[k] && list[k]->scheduled_id == list[i]->scheduled_id)
                        *started = assigned[k];
                assigned[i] = add(e, run, ev);
            }
            pb__history_event__free_unpacked(ev, NULL);
        }
    if (!assigned)
        eng_nomem(e);
    for (size_t i = 0; i < n; i++)
        pb__embedded_buffered__free_unpacked(list[i], NULL);
    free(list);
}

int event_find_buffered(const struct run *run, Pb__EventType type, int64_t belongs,
                        const char *timer_id)
{
    for (size_t i = 0; i < run->s->n_buffered; i++) {
        const Pb__EmbeddedBuffered *b = run->s->buffered[i];
        if (b->scheduled_id != belongs)
            continue;
        Pb__HistoryEvent *ev = pb__history_event__unpack(NULL, b->event.len, b->event.data);
        bool hit = ev && ev->event_type == type &&
                   (!timer_id || strcmp(ev->timer_fired_event_attributes->timer_id, timer_id) == 0);
        if (!hit && ev && !type && started_id_of(ev))
            hit = true;
        if (ev)
            pb__history_event__free_unpacked(ev, NULL);
        if (hit)
            return (int)i;
    }
    return -1;
}

void event_drop_buffered(struct eng *e, struct run *run, int index)
{
    Pb__EmbeddedRun *s = run->s;
    pb__embedded_buffered__free_unpacked(s->buffered[index], NULL);
    s->n_buffered--;
    memmove(&s->buffered[index], &s->buffered[index + 1],
            (s->n_buffered - (size_t)index) * sizeof *s->buffered);
    run_dirty(e, run);
}
