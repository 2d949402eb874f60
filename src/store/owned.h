/* Whose an object is.
 *
 * Objects are found by their content: who has learnt a digest could name an object of another namespace, and have it read.
 * So what a run names is read for it only if its namespace has it, and that is what pins say. What belongs to no
 * namespace is there for all: the toolbox's scripts, and what the store's own user has put. */
#ifndef FF_STORE_OWNED_H
#define FF_STORE_OWNED_H

#include "store/store.h"

/* Whose pins keep what a run needs: "run/<workflow id>", and in a namespace that is not "default" "run@<namespace>/<workflow
 * id>", since the same id may be used in each. The caller frees; NULL when memory is out. */
char *store_run_owner(const char *name_space, const char *workflow_id);
/* Is that a pin of the namespace's, or of all? */
bool store_owner_is_of(const char *owner, const char *name_space);

/* -ERR_NOT_FOUND, in the words of store_get(), if the namespace does not have it. A run that has it pinned (workflow_id; NULL:
 * of no run) makes that one look; else all pins are listed. *ret_pinned (or NULL): the run has. */
int store_owned(struct store *s, const char *name_space, const char *workflow_id, const char *ref, bool *ret_pinned,
                struct err *err);

#endif
