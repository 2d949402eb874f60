/* The audit log: who changed what, and when.
 *
 * NDJSON in "<state>/audit", one line an entry, appended and synced before the change is made: a change whose entry cannot
 * be written is refused. Changes by callers of all namespaces are in "audit.ndjson" there, those by callers of one in
 * "namespaces/NAME/audit.ndjson"; what was denied is in "denied.ndjson" beside it. Each is bounded for itself, so that nobody
 * pushes out what others did, nor changes by what is refused: at 8 MiB the file becomes audit.1.ndjson, which becomes
 * audit.2.ndjson ...; the eighth is dropped, of what was denied the second. Any number of processes may append (flock(2) on
 * the folder's "lock"). Never holds a token, a secret or bytes of a target. */
#ifndef FF_API_ACCESS_AUDIT_H
#define FF_API_ACCESS_AUDIT_H

#include "api/access/access.h"

#include <jansson.h>

#define AUDIT_FILE_MAX ((size_t)8 << 20)
#define AUDIT_FILES 8
#define AUDIT_DENIED_FILES 2

struct audit_entry {
    const struct access_caller *who;
    const char *via;        /* "cli" "grpc" "rest" "mcp" */
    const char *peer;       /* address of the caller; NULL: this machine */
    const char *action;     /* "run.submit", "token.create", ... */
    const char *name_space; /* NULL: none */
    const char *subject;    /* id of what is changed; NULL: none; cut at 500 bytes */
    bool denied;            /* it was asked for, and is not allowed */
};

int audit_write(const char *state_dir, const struct audit_entry *e, struct err *err);
/* One log after the other, the oldest of each first: {time, who: {id, name, role}, via, peer, action, namespace, subject,
 * outcome allowed|denied}. A line that is no entry is given as {damaged: true, time: of the entry before}. A negative answer of
 * one ends the walk. No log at all is an empty one. */
int audit_read(const char *state_dir, int (*one)(void *arg, json_t *entry, struct err *err), void *arg, struct err *err);

/* -ERR_PERMISSION as access_allow(); both that and what is allowed is written down. */
int audit_allow(const char *state_dir, struct audit_entry *e, enum access_role needed, struct err *err);

#endif
