/* The protocol between the worker and a module's process: one JSON request line in, NDJSON messages out
 * (docs/modules.md has it in full). Both ends are here; bytes from a module are hostile. */
#ifndef FF_MODULE_PROTOCOL_H
#define FF_MODULE_PROTOCOL_H

#include "base/err.h"
#include "base/strbuf.h"
#include "codec/finding.h"

#include <jansson.h>
#include <stdint.h>

#define MODULE_PROTOCOL_VERSION 1
#define MODULE_LINE_MAX ((size_t)1 << 20) /* bytes of one message */
#define MODULE_REQUEST_MAX ((size_t)8 << 20) /* bytes of the request */
#define MODULE_FINDINGS_MAX 1000000       /* of one activity */
#define MODULE_LOOSE_LINES_MAX 250000     /* lines that are no messages, of one activity */
#define MODULE_ARTIFACTS_MAX 256          /* of one activity */
#define MODULE_KEPT_MAX 1000 /* files kept at one time, of one activity */
#define MODULE_TEXT_MAX 8192              /* bytes of a log or progress text; the rest is cut off */

struct module_request {
    const char *module, *run_id;
    int attempt;
    const json_t *input;
    const char *workspace; /* NULL: none */
    const char *scratch;
    const char *objects; /* folder with the input's objects; NULL: none */
    const json_t *checkpoint; /* NULL: none */
    const json_t *kept;       /* name -> REF with path; NULL: none */
    const json_t *remembered; /* array of REFs with paths; NULL: none */
};

/* One line with its newline. */
int module_request_write(const struct module_request *r, struct strbuf *out, struct err *err);

enum module_status { MODULE_SUCCESS, MODULE_PARTIAL, MODULE_FAILED };
const char *module_status_name(enum module_status s); /* "success" ... */

/* The levels that logging libraries have ("warn", "FATAL"), brought to the four: "debug" "info" "warning"
 * "error"; NULL: no level. */
const char *module_log_level(const char *s);

/* Called for each message, in order. JSON is borrowed. Any may be NULL. */
struct module_reader_ops {
    /* level: one of the four; message: valid UTF-8, at most MODULE_TEXT_MAX bytes, may hold control characters. */
    void (*log)(void *arg, const char *level, const char *message);
    void (*progress)(void *arg, uint64_t done, uint64_t total, const char *message);
    void (*finding)(void *arg, struct finding *f); /* validated; released by the reader; may be changed */
    void (*stats)(void *arg, const json_t *stats);
    /* path as the module gave it: not trusted; name: one part of a path, printable */
    void (*artifact)(void *arg, const char *path, const char *name);
    void (*checkpoint)(void *arg, const json_t *data);
    /* to be stored at once; path and name as of artifact; path NULL: not kept any more */
    void (*keep)(void *arg, const char *path, const char *name);
};

struct module_reader;

int module_reader_new(const struct module_reader_ops *ops, void *arg, struct module_reader **ret,
                      struct err *err);
void module_reader_free(struct module_reader *r);
/* Bytes as they come. After a failure (bad message, line too long, message after the result, too many findings) the
 * error stays and further bytes are ignored. */
int module_reader_feed(struct module_reader *r, const void *data, size_t len, struct err *err);
/* End of output. -ERR_INVALID when there was no result, with what was wrong first. summary (an object) and error text are
 * borrowed from the reader. */
int module_reader_finish(struct module_reader *r, enum module_status *ret_status, const json_t **ret_summary,
                         const char **ret_error, struct err *err);

/* Opens an artifact for reading: a regular file below the scratch folder, whatever the module says; no link on the way is
 * followed. path: as the module gave it, "SCRATCH/x" or "x", where
 * scratch is what the request called that folder ("/scratch"). */
int module_artifact_open(int scratch_fd, const char *scratch, const char *path, int *ret_fd, struct err *err);

#endif
