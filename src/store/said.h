/* What a process of this state has said, as against what stands in a run's memo or context.
 *
 * Those come from whoever may start runs, over the network too. Where they name paths of this machine they count only if the
 * same was said here as well: callers can have objects made, but none pinned as these are. */
#ifndef FF_STORE_SAID_H
#define FF_STORE_SAID_H

#include "store/store.h"

#include <jansson.h>

#define STORE_SAID_OWNER "said/" /* of the pins: no run's, and no namespace's */

/* For 400 days; said again it counts for longer. *ret (or NULL) names it: who reads that name does not learn what was said. */
int store_say(struct store *s, const json_t *what, struct store_ref *ret, struct err *err);
int store_said(struct store *s, const json_t *what, bool *ret, struct err *err);
/* What has that name; NULL, if it was not said. */
int store_said_as(struct store *s, const char *ref, json_t **ret, struct err *err);

#endif
