/* What a caller may ask of the engine: a role for each method, and a namespace for each token. */
#ifndef FF_API_GRPC_RIGHTS_H
#define FF_API_GRPC_RIGHTS_H

#include "api/access/access.h"
#include "engine/engine.h"

/* -ERR_PERMISSION. A change that comes over the network (peer is not NULL) is written into the audit log first, allowed or
 * not; what workers do for a run is none. */
int rights_check(const char *state_dir, const struct access_caller *who, enum engine_method m, const ProtobufCMessage *req,
                 const char *peer, struct err *err);

/* Does it begin a run? In which namespace? (The request's own; "": it names none.) */
bool rights_starts_run(enum engine_method m);
const char *rights_namespace(const ProtobufCMessage *req);

#endif
