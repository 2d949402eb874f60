/* Namespaces: rows of a table, few, all in memory. */
#ifndef FF_ENGINE_NAMESPACE_H
#define FF_ENGINE_NAMESPACE_H

#include "engine/embedded/engine_internal.h"

#define NAMESPACE_ID_SIZE 37
#define NAMESPACE_DEFAULT 1 /* "default", which is there from the beginning */

int namespaces_load(struct eng *e, struct err *err);
void namespaces_release(struct eng *e);

/* By name or, if that is empty, by its UUID; NULL: there is none, or it is being deleted. */
struct namespace_entry *namespace_find(const struct eng *e, const char *name, const char *uuid);
/* NULL: there is none. */
struct namespace_entry *namespace_by_id(const struct eng *e, int64_t id);
/* Ids are numbers here; outside they are UUIDs that follow from them. */
void namespace_uuid(const struct eng *e, int64_t id, char buf[NAMESPACE_ID_SIZE]);
/* A new one; s is copied. Names and sizes were checked. These fault the batch when they fail. */
void namespace_add(struct eng *e, const char *name, const Pb__EmbeddedNamespace *s);
/* From here on it is called name and is as s says; name may be its own. */
void namespace_change(struct eng *e, struct namespace_entry *n, const char *name, const Pb__EmbeddedNamespace *s);
void namespace_remove(struct eng *e, struct namespace_entry *n);

/* retention.c: closed runs are deleted when their namespace's retention is over, and all runs of one that is being deleted;
 * some in each batch, so that nobody waits for it. */
void retention_plan(struct eng *e); /* namespaces have changed */
void retention_sweep(struct eng *e);

#endif
