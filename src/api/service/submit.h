/* The submission of a run: what is asked for is checked, the target is read into the store, the run is started.
 *
 * In that order, and each step by a function of its own, so that a usage error costs nothing. A submission that was refused
 * leaves no pins behind; one whose answer was lost does, since there may be a run that needs them, and so does one with a name:
 * another submission of that name, or the same one asked again, may be about to start. */
#ifndef FF_API_SERVICE_SUBMIT_H
#define FF_API_SERVICE_SUBMIT_H

#include "api/service/run.h"

#define MODULE_WORKFLOW "module_run" /* what runs of one module alone are called */

/* What bounds a module that runs alone. */
struct module_bounds {
    const char *isolation, *network;   /* NULL: shared, none */
    int64_t timeout_ms;                /* 0: none; the same of those below: the usual */
    uint64_t memory_bytes, disk_bytes;
};

struct submission {
    struct workflow_def *def; /* NULL: a module's that a server is asked for */
    struct {
        char *name; /* NULL: a workflow is run, not a module alone */
        bool needs_target, fuzzes;
        const struct module_bounds *bounds; /* for a server that is asked; parameters are the module's input then */
    } module;
    json_t *parameters;       /* checked, with their defaults */
    struct gate_options gate; /* set by the caller; owned */
    int64_t timeout_ms;       /* 0: none */
    char id[ENGINE_ID_MAX + 1];
    bool fresh; /* the id: no other submission has it */
    char key[37]; /* what the engine is given as the id of the request, and the run keeps: the same one again starts nothing new;
                     "": a fresh one, which is not kept */
    char asked[33]; /* a sum of what was asked for with the key, kept with it; "": none */
    char *spec;               /* of a target with a URL, without user and password; NULL: no URL */
    struct ingest_result ingested;
    struct store_hold hold;   /* of what is read for it, until the run has it pinned */
    struct store_ref script;
    struct store_ref module_dirs; /* name of what was said of them (store/said.h); "": nothing */
};

#define SUBMISSION_INIT {.gate.fail_on = -1}

bool target_is_url(const char *spec);
/* May somebody who is not the owner of this machine have it read? Repositories of other machines alone. -ERR_PERMISSION. */
int target_allowed(const char *spec, struct err *err);

/* Finds the workflow, and asks whether the network that it wants is granted. Sets def, the workflow's own timeout, and a
 * new id. */
int submission_init(const struct service *svc, const char *workflow, struct submission *ret, struct err *err);
void submission_release(struct submission *s);
/* A name of the user's choice instead of the id: printable, no blanks, no slash. -ERR_INVALID. */
int submission_name(struct submission *s, const char *name, struct err *err);
/* The same for one module alone, as a run of its own; -ERR_INVALID: it is broken. */
int submission_init_module(const struct service *svc, const char *module, struct submission *ret, struct err *err);
/* What it is given, before submission_check(); -ERR_INVALID: the input does not fit. Without an ingested target it has none. */
int submission_module(struct submission *s, const json_t *input, const struct module_bounds *b, struct err *err);
/* Is there, on this machine, what a fuzzing module needs for that input? -ERR_MISSING. */
int module_engines_check(const char *module, const json_t *input, struct err *err);
/* given: the parameters that differ from the defaults; NULL: none. */
int submission_parameters(struct submission *s, const json_t *given, struct err *err);
/* Before the target is read: -ERR_EXISTS, there is a run of that name (whose pins are not ours to touch); -ERR_MISSING, the
 * machine lacks something. Needs engine and spawner. */
int submission_check(const struct service *svc, const struct submission *s, struct err *err);
/* 1: the same submission, by its key, has made that run before. One of that name which another has made is not it. An error:
 * nobody knows; who asks is not to be told of a run that may be its own. */
int submission_made(const struct service *svc, const struct submission *s, struct run_info *ret, struct err *err);
/* A baseline that is a run, by its whole name: another that begins so may come meanwhile. */
int submission_baseline_run(const struct service *svc, struct gate_options *g, struct err *err);

/* How targets are read: bounds and certificates. Strings are borrowed from svc; what is the caller's own (progress,
 * cancellation) it sets itself. */
int target_ingest_options(const struct service *svc, const char *spec, struct ingest_options *ret, struct err *err);
/* Reads the target. o: as above. */
int submission_read_target(const struct service *svc, struct submission *s, const char *spec, const struct ingest_options *o,
                           struct err *err);
/* "skipped", "unreadable", "bound", "filtered", "changed" */
const char *target_notice_kind(enum ingest_notice_kind kind);
/* {notices: [{kind, path, text}], dropped, incomplete}: what was noticed where the target came from. -ERR_INVALID. */
int submission_notices(struct submission *s, const json_t *j, struct err *err);
/* After submission_check(): starts it, with the target that ingested tells of. -ERR_EXISTS: there is a run of that name. */
int submission_start(const struct service *svc, struct submission *s, struct err *err);

/* What a run of that workflow which another client started did not bring along: {context, parameters}; see struct
 * worker_script. A network that the user does not grant is none. given: its parameters, or NULL; those that do not fit the
 * workflow's schema are told of in ret_refused. -ERR_NO_MEMORY. */
int submission_defaults(const struct service *svc, const struct workflow_def *def, const json_t *given, json_t **ret,
                        struct err *ret_refused, struct err *err);

#endif
