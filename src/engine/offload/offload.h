/* Large payloads go into the store, and a reference into history.
 *
 * A layer over an engine whose histories should stay small (a Temporal cluster). On the way out a payload over 256 KiB is put
 * into the store and replaced by
 *     metadata: encoding = "json/plain", ff-object = "sha256:...", ff-kept-by = whose pin keeps it, and, if it was not JSON,
 *               ff-encoding = what encoding was
 *     data:     {"ref": "sha256:...", "bytes": N, "media_type": "application/json"}
 * so that whoever looks at the history in Temporal's tools sees what it is. If a request is over 3.5 MiB all the same, smaller
 * ones follow, down to 4 KiB: gRPC takes no message over 4 MiB. On the way back each such payload is replaced by the bytes;
 * if the store does not have them it stays as it is, and pbx_payload_json() says so to whoever wants its value.
 * The object is pinned as all that a run needs, and read for those of its namespace alone (store/owned.h). */
#ifndef FF_ENGINE_OFFLOAD_H
#define FF_ENGINE_OFFLOAD_H

#include "engine/engine.h"
#include "store/store.h"

#define OFFLOAD_PAYLOAD_MAX ((size_t)256 << 10)
#define OFFLOAD_REQUEST_MAX (((size_t)7 << 20) / 2)
#define OFFLOAD_OBJECT_MAX ((size_t)64 << 20) /* what is read back at most */

/* Takes inner: it is freed with *ret (also when this fails). store is borrowed. Both must bear calls from any thread; the store
 * is used on threads of this layer's alone, so that a caller does not wait for it: large requests on one, in their order, large
 * answers on another. */
int engine_offload_new(struct engine *inner, struct store *store, struct engine **ret, struct err *err);

#endif
