/* Tokens as documents: what `ff token` does, here and where a server is asked for it. */
#ifndef FF_CLI_TOKENS_H
#define FF_CLI_TOKENS_H

#include "api/access/access.h"
#include "api/client/remote.h"
#include "cli/app.h"

#define TOKENS_LIFETIME_MS INT64_C(2592000000) /* 30 days, where nothing else is said */

/* q: {all} of a list; {name, role, namespace, lifetime_ms} of a new one, each but role may be missing, 0 is for ever; {token} by
 * its id or name. *ret: {tokens: [...]}, or the token, a new one with its text as "token"; {sessions_revoked}. */
int tokens_do(struct app *app, struct access *access, enum token_verb verb, const json_t *q, json_t **ret, struct err *err);

#endif
