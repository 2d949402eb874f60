/* What one run does to another: done after the call that asks for it has changed its own run, in
 * the same batch, so that both are committed together and nothing has to be sent twice. */
#ifndef FF_ENGINE_EFFECT_H
#define FF_ENGINE_EFFECT_H

#include "engine/embedded/engine_internal.h"

void effect_start_child(struct eng *e, struct run *run, int64_t initiated_id,
                        const Pb__StartChildWorkflowExecutionCommandAttributes *a);
void effect_signal(struct eng *e, struct run *run, int64_t initiated_id,
                   const Pb__SignalExternalWorkflowExecutionCommandAttributes *a);
void effect_cancel(struct eng *e, struct run *run, int64_t initiated_id,
                   const Pb__RequestCancelExternalWorkflowExecutionCommandAttributes *a);
/* The parent is closed: does to the child what its policy says. */
void effect_parent_closed(struct eng *e, struct run *run, const Pb__EmbeddedChild *child);
/* Does what has been asked for, and what follows from that, until nothing is left. */
void effects_run(struct eng *e);

#endif
