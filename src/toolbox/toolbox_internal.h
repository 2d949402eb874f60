/* The private half of the toolbox. */
#ifndef FF_TOOLBOX_TOOLBOX_INTERNAL_H
#define FF_TOOLBOX_TOOLBOX_INTERNAL_H

#include "toolbox/toolbox.h"

#include "base/map.h"

#include <pthread.h>
#include <sys/stat.h>

/* Notes why a definition cannot be used; the first reason stays. -ERR_NO_MEMORY if even that fails.
 * */
int def_broken(struct workflow_def *d, const char *file, int line, const char *reason, struct err *err);
/* Fills in what metadata.yaml says; what is wrong with it makes the definition broken. Negative:
 * out of memory. */
int metadata_read(struct workflow_def *d, const char *path, const char *text, size_t len, struct err *err);

/* --- cache.c: folders that were read before; any thread ------------------------------------------------- */

struct def_cache {
    pthread_mutex_t lock;
    struct map folders;
};

/* How the two files of a folder stand. */
struct def_cache_stamp {
    struct stat metadata, script;
};

void def_cache_release(struct def_cache *c);
/* Taken before they are read. False: one is missing, or so new that nothing may be concluded from its times. */
bool def_cache_stamp(const char *dir, struct def_cache_stamp *ret);
/* A copy of its own. NULL: it is not there as it stands now, or memory is out. */
struct workflow_def *def_cache_get(struct def_cache *c, const char *dir, const struct def_cache_stamp *stamp);
void def_cache_put(struct def_cache *c, const char *dir, const struct def_cache_stamp *stamp, const struct workflow_def *def);

#endif
