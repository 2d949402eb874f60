/* The scripts of runs: each run is pinned to the text it started with, kept in the store and named in its memo. */
#ifndef FF_WORKER_SCRIPTS_INTERNAL_H
#define FF_WORKER_SCRIPTS_INTERNAL_H

#include "base/map.h"
#include "worker/worker_internal.h"

#define SCRIPT_MAX ((size_t)1 << 20)

struct script {
    char *text;
    size_t len;
    struct store_ref ref;
    bool open; /* the toolbox has it: it is no run's own */
    int64_t kept_until_ns; /* at least, for runs of other clients; 0: nobody looked */
};

struct scripts {
    struct map by_ref; /* store reference -> struct script */
};

/* Whose script is asked for. All is borrowed. */
struct script_wanted {
    const char *type;
    const Pb__WorkflowExecution *run;
    const Pb__Memo *pinned; /* the memo that names it; NULL: another client started the run, and it is pinned to none yet */
    const json_t *given;    /* such a run's parameters; NULL: none */
    bool check;             /* them */
    bool mended;            /* wanted is what the toolbox has now, if it has it */
};

struct script_found {
    const struct script *script; /* borrowed until the next call; NULL: refused */
    json_t *defaults;            /* see worker_find_script; NULL: none */
    Pb__Memo *pin;               /* what the run's memo should say from now on; NULL: it is pinned */
    struct err refused;
};

int scripts_for_run(struct scripts *s, struct worker *w, const struct script_wanted *q, struct script_found *ret,
                    struct err *err);
void script_found_release(struct script_found *f);
/* Does a memo name a script? */
bool scripts_pinned(const Pb__Memo *memo);
/* Pins the script that a child will run. */
int scripts_pin_child(struct worker *w, Pb__StartChildWorkflowExecutionCommandAttributes *child, struct err *err);
/* Hands the memo of this run to the one that continues it; pin: what is still to be said of it, or NULL. */
int scripts_pin_next(struct worker *w, const Pb__WorkflowExecution *current, const Pb__Memo *pin,
                     Pb__ContinueAsNewWorkflowExecutionCommandAttributes *next, struct err *err);
void scripts_release(struct scripts *s);

#endif
