/* The scripts of runs: each run is pinned to the text it started with, kept in the store and named in its memo. */
#ifndef FF_WORKER_SCRIPTS_INTERNAL_H
#define FF_WORKER_SCRIPTS_INTERNAL_H

#include "base/map.h"
#include "worker/worker_internal.h"

#define SCRIPT_MAX ((size_t)1 << 20)

struct script {
    char *text;
    size_t len;
};

struct scripts {
    struct map by_ref; /* store reference -> struct script */
};

/* The script that a run was started with, or with mended the one that the toolbox has now, if it has one; borrowed until the
 * next call. */
int scripts_for_run(struct scripts *s, struct worker *w,
                    const Pb__WorkflowExecutionStartedEventAttributes *started, bool mended,
                    const struct script **ret, struct err *err);
/* Pins the script that a child will run. */
int scripts_pin_child(struct scripts *s, struct worker *w,
                      Pb__StartChildWorkflowExecutionCommandAttributes *child, struct err *err);
/* Hands the memo of this run to the one that continues it. */
int scripts_pin_next(struct scripts *s, struct worker *w, const Pb__WorkflowExecution *current,
                     Pb__ContinueAsNewWorkflowExecutionCommandAttributes *next, struct err *err);
void scripts_release(struct scripts *s);

#endif
