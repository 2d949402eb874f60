/* The places that objects may be in: what `ff store init`, `rekey` and `migrate` do, as documents (housekeeping.h). */
#ifndef FF_CLI_STORE_PLACES_H
#define FF_CLI_STORE_PLACES_H

#include "cli/app.h"

#include <stdatomic.h>

/* svc->store, where it is open, is the store that the settings name. stop: as in housekeeping_do(). */
int store_places_do(struct app *app, const struct service *svc, enum house_verb verb, const json_t *q, const atomic_bool *stop,
                    json_t **ret, struct err *err);

#endif
