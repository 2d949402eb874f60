/* Keeping house: what `ff store gc`, `verify`, `init`, `rekey` and `migrate`, `ff clean` and `ff audit` do, as documents;
 * here, or through a server. */
#ifndef FF_CLI_HOUSEKEEPING_H
#define FF_CLI_HOUSEKEEPING_H

#include "cli/app.h"

#include <stdatomic.h>

#define HOUSE_NAMED_MAX 100000 /* objects that are damaged or missing: more are only counted */

/* In the state of app, which has what the verb needs open; svc: whose runs they are about. stop: set, what takes long
 * (but for a collection) ends soon with -ERR_UNAVAILABLE; NULL: it never is, and somebody looks on at a terminal.
 * HOUSE_GC      {dry_run, grace_ms} gives {dry_run, objects_kept, objects_removed, chunks_removed, bytes_freed};
 * HOUSE_VERIFY  {} gives {objects, chunks, bytes, bad_objects, damaged: [{ref, reason}], refs_checked, runs, refs,
 *               missing_objects, missing: [{ref, reason}]};
 * HOUSE_CLEAN   {dry_run, older_than_ms} gives {dry_run, removed: [{run_id, workflow, finished_at}], kept, objects_removed,
 *               bytes_freed}; without older_than_ms, the setting runs.keep counts;
 * HOUSE_AUDIT   {who, action, namespace, limit} gives {entries: [...]} as audit_read() has them, the last ones;
 * HOUSE_INIT    {store} gives {store, where, created}; store: local or s3, without it the setting counts;
 * HOUSE_REKEY   {store} gives {packs};
 * HOUSE_MIGRATE {from, to} gives {from, to, objects, objects_copied, bytes_copied, pins_copied, bad_objects,
 *               damaged: [{ref, reason}]}.
 * Of these three a store that is not open is opened for the time being; the keys are those of the settings. */
int housekeeping_do(struct app *app, const struct service *svc, enum house_verb verb, const json_t *q, const atomic_bool *stop,
                    json_t **ret, struct err *err);
/* Opens those parts, or the way to the server, and has it done there. Takes q (NULL: no memory). */
int housekeeping_ask(struct app *app, unsigned parts, enum house_verb verb, json_t *q, json_t **ret, struct err *err);

#endif
