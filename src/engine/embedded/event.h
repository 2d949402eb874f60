/* Making events: the one place where a run's history grows. */
#ifndef FF_ENGINE_EVENT_H
#define FF_ENGINE_EVENT_H

#include "engine/embedded/engine_internal.h"

/* Declares, on the stack, an event ev and its attributes a: EVENT(ev, a, TIMER_FIRED, timer_fired,
 * TimerFired). An event is packed
 * when it is added, so what it points to is borrowed only until then. */
#define EVENT(ev, a, UPPER, lower, Camel)                                                          \
    Pb__##Camel##EventAttributes a = PB__##UPPER##_EVENT_ATTRIBUTES__INIT;                         \
    Pb__HistoryEvent ev = PB__HISTORY_EVENT__INIT;                                                 \
    ev.event_type = PB__EVENT_TYPE__EVENT_TYPE_##UPPER;                                            \
    ev.attributes_case = PB__HISTORY_EVENT__ATTRIBUTES_##UPPER##_EVENT_ATTRIBUTES;                 \
    ev.lower##_event_attributes = &a

#define EVENT_BUFFERED (-1)

/* Appends with the next id, and the engine's time unless the event has one. Gives the id. */
int64_t event_add(struct eng *e, struct run *run, Pb__HistoryEvent *ev);
/* The same, but while a workflow task is started the event waits in the buffer until it has ended
 * (EVENT_BUFFERED is given then). belongs:
 * the scheduled id of the activity or the initiated id of the child it is about, else 0. */
int64_t event_post(struct eng *e, struct run *run, Pb__HistoryEvent *ev, int64_t belongs);
/* Appends what was buffered: first what happened, then what ended, as Temporal orders it. */
void event_flush_buffer(struct eng *e, struct run *run);
/* Is an event of that type for that id in the buffer? Its index, or -1. */
int event_find_buffered(const struct run *run, Pb__EventType type, int64_t belongs,
                        const char *timer_id);
void event_drop_buffered(struct eng *e, struct run *run, int index);

/* Times for events' fields. */
static inline Pb__Timestamp event_timestamp(int64_t ns)
{
    Pb__Timestamp t = PB__TIMESTAMP__INIT;
    t.seconds = ns / 1000000000;
    t.nanos = (int32_t)(ns % 1000000000);
    return t;
}
static inline Pb__Duration event_duration(int64_t ns)
{
    Pb__Duration d = PB__DURATION__INIT;
    d.seconds = ns / 1000000000;
    d.nanos = (int32_t)(ns % 1000000000);
    return d;
}

#endif
