/* A module that is tried out: here (module_run.c), or by a server (module_remote.c). */
#ifndef FF_CLI_MODULE_RUN_INTERNAL_H
#define FF_CLI_MODULE_RUN_INTERNAL_H

#include "cli/app.h"
#include "codec/findings.h"
#include "ingest/ingest.h"
#include "module/cache.h"
#include "module/protocol.h"

struct artifact {
    char *name, *path; /* path as the module gave it */
};

struct trial {
    struct app *app;
    const struct args *args;
    struct module_def module; /* of a server: name, requires_workspace and input_schema alone */
    json_t *input;
    char id[27];
    enum isolation isolation;
    enum sandbox_network network;
    struct sandbox_limits limits;
    struct ingest_result target;
    struct workspace *workspace;
    char *dir; /* host folder with scratch/ */
    /* While it runs. */
    int in_fd, out_fd, err_fd;
    struct sandbox_proc *proc;
    bool ended, asked; /* asked: to stop */
    struct sandbox_result end;
    struct module_reader *reader;
    uint64_t output_bytes;
    struct strbuf err_line;
    char last_line[300]; /* of stderr, behind ": "; "": there was none */
    /* What came out. */
    struct findings findings;
    VEC(struct artifact) artifacts;
    json_t *stats;
    const char *status; /* success, partial, failed */
    const json_t *summary;
    const char *error;
    struct err failure;
    char cache_key[MODULE_CACHE_KEY_SIZE]; /* "": its result is not kept */
    json_t *cached;                        /* its answer, if the store had it */
    json_t *answer;                        /* a server's */
};

/* What a module says while it runs; arg is a struct trial. */
void trial_log(void *arg, const char *level, const char *message);
void trial_progress(void *arg, uint64_t done, uint64_t total, const char *message);
void trial_finding(void *arg, struct finding *f);
void trial_stats(void *arg, const json_t *stats);
void trial_artifact(void *arg, const char *path, const char *name);
/* Is it one that the caller has room for? */
bool trial_wants(const struct trial *t, const char *artifact);
/* What was noticed in the target. */
void trial_notices(const struct trial *t, const struct ingest_result *target);

/* The server has the module run, whose def and input are there. target NULL: none. Then all that came out is there. */
int trial_remote(struct trial *t, const char *target, struct err *err);
/* What the server knows of the module. */
int trial_remote_find(struct trial *t, const char *name, struct err *err);

#endif
