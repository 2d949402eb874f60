/* What of a run is due when: all its deadlines follow from its state, so that a run has one
 * entry in the heap. */
#ifndef FF_ENGINE_DUE_H
#define FF_ENGINE_DUE_H

#include "engine/embedded/engine_internal.h"

/* Sets the heap entry to the earliest deadline of the run (none: takes it out). */
void run_set_timer(struct eng *e, struct run *run);
/* Fires all that is due at the engine's time. */
void run_fire_due(struct eng *e, struct run *run);
/* Puts the tasks of a run that was read from the database into the queues, and sets its timer. */
void run_requeue(struct eng *e, struct run *run);
void run_requeue_activities(struct eng *e, struct run *run); /* those alone */

#endif
