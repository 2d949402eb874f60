/* The state of a run from its events: what a reset has to know of the history that it keeps. */
#ifndef FF_ENGINE_REPLAY_H
#define FF_ENGINE_REPLAY_H

#include "engine/embedded/engine_internal.h"

/* Does to run->s what ev did when it happened; the event itself is not added. Events come in order from the first.
 * Activities are not put into queues and timers are not set: run_requeue() does that at the end. An activity that was
 * started and has not ended keeps its started time. */
void replay_event(struct eng *e, struct run *run, const Pb__HistoryEvent *ev);

#endif
