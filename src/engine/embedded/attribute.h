/* Search attributes as rows of a table, so that lists can filter by them. The run's state has them too, as they came. */
#ifndef FF_ENGINE_ATTRIBUTE_H
#define FF_ENGINE_ATTRIBUTE_H

#include "engine/embedded/engine_internal.h"

/* A name of what the engine says of every run by itself. */
bool attribute_reserved(const char *name);
/* May a run of that namespace have these? A registered one must have a value of its type (or none); reserved ones
 * are nobody's to set. a NULL: none. -ERR_INVALID. */
int attributes_check(struct eng *e, int64_t ns, const Pb__SearchAttributes *a, struct err *err);
/* Writes those of the run anew. */
int attributes_put(struct eng *e, struct run *run, struct err *err);
int attributes_delete(struct eng *e, struct run *run, struct err *err);
/* Does any run have one of that name? (filter_known; arg is the engine.) */
bool attributes_known(void *arg, const char *name);

#endif
