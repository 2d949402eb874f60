/* The end of a run, and what follows from it for its parent, its children and its successor. */
#ifndef FF_ENGINE_CLOSE_H
#define FF_ENGINE_CLOSE_H

#include "engine/embedded/engine_internal.h"

/* Ends a started workflow task, so that the closing event may be written (FORCE_CLOSE_COMMAND). */
void close_prepare(struct eng *e, struct run *run);
void close_completed(struct eng *e, struct run *run, const Pb__Payloads *result);
void close_failed(struct eng *e, struct run *run, const Pb__Failure *failure);
/* It fails where everybody sees it: its parent, who may try again, and whoever looks at runs. */
void close_over_quota(struct eng *e, struct run *run, const struct err *why);
void close_canceled(struct eng *e, struct run *run, const Pb__Payloads *details);
void close_terminated(struct eng *e, struct run *run, const char *reason,
                      const Pb__Payloads *details, const char *identity);
void close_timed_out(struct eng *e, struct run *run);
void close_continued_as_new(struct eng *e, struct run *run,
                            const Pb__ContinueAsNewWorkflowExecutionCommandAttributes *a);

#endif
