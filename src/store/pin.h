/* Pins as blobs "p/<32 hex of the owner's SHA-256>-<64 hex of the object>":
 *   "FFP1", i64 until (ns, 0: no end), varint n, n bytes owner, u64 XXH3. */
#ifndef FF_STORE_PIN_H
#define FF_STORE_PIN_H

#include "store/store_internal.h"

/* Calls back for each pin; one that has run out has expired set, a damaged one counts as a pin
 * without end. */
struct pin {
    const char *name; /* of the blob */
    struct digest object;
    const char *owner; /* "" if damaged */
    bool expired;
};
int pin_each(struct store *s, int (*each)(void *arg, const struct pin *p, struct err *err),
             void *arg, struct err *err);
/* -ERR_STATE, naming the owner, if the object is pinned. */
int pin_refuse(struct store *s, const struct digest *d, struct err *err);

#endif
