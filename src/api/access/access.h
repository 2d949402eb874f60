/* Who may do what: tokens with a role and a namespace each. Knows nothing of HTTP, gRPC or MCP, which all ask it.
 *
 * A token is 256 random bits as 64 hexadecimal digits, shown once, when it is made. Its SHA-256 is kept (no slow password
 * hash: nobody can guess 256 random bits) in "<state>/access.db", a file of its own: the engine's database belongs to the
 * one process that holds the engine, while tokens are made and revoked by any process, and the store may be a bucket that
 * others can read. A row is found by eight bytes of the hash, and compared whole in constant time.
 *
 * The token in the state's file "token" is one of them, made at first use: admin of all namespaces, id "owner".
 *
 * A namespace is the engine's: runs, histories and task queues of one are not seen from another. */
#ifndef FF_API_ACCESS_ACCESS_H
#define FF_API_ACCESS_ACCESS_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ACCESS_TOKEN_LEN 64
#define ACCESS_ID_LEN 12     /* hexadecimal digits by which a token is named; they say nothing of the token */
#define ACCESS_NAME_MAX 64   /* bytes */
#define ACCESS_TOKENS_MAX 10000
#define ACCESS_SCHEMA 5      /* the newest version of access.db that this program knows */
#define ACCESS_ALL "*"       /* all namespaces */
#define ACCESS_OWNER "owner" /* id and name of the state's own token */
#define ACCESS_OWNER_FILE "token"

/* Each may do what those before it may: a viewer reads, an operator starts and stops runs and works for the engine, an admin
 * looks after namespaces, tokens and the store. */
enum access_role { ACCESS_VIEWER, ACCESS_OPERATOR, ACCESS_ADMIN };
const char *access_role_name(enum access_role role);
int access_role_parse(const char *text, enum access_role *ret, struct err *err);
/* A name of a namespace: [a-z0-9][a-z0-9._-]*, at most ACCESS_NAME_MAX bytes; or ACCESS_ALL, if all is set. */
int access_check_namespace(const char *name, bool all, struct err *err);

struct access_caller {
    char id[ACCESS_ID_LEN + 1], name[ACCESS_NAME_MAX + 1], name_space[ACCESS_NAME_MAX + 1];
    enum access_role role;
};

struct access_token {
    struct access_caller caller;
    int64_t created_ms, expires_ms, used_ms, revoked_ms; /* since 1970; 0: never */
};

struct access;

/* Opens, and makes at first use, the tokens of a state. Any thread may use it. */
int access_open(const char *state_dir, struct access **ret, struct err *err);
void access_close(struct access *a); /* NULL is fine */

struct access_request {
    const char *name;       /* NULL: "token-ID"; unique among the living */
    const char *name_space; /* NULL: "default" */
    enum access_role role;
    int64_t lifetime_ms; /* 0: it does not expire */
};
/* token: ACCESS_TOKEN_LEN + 1 bytes. -ERR_EXISTS: the name is taken. -ERR_LIMIT: ACCESS_TOKENS_MAX. ret may be NULL. */
int access_create(struct access *a, const struct access_request *q, char *token, struct access_token *ret, struct err *err);
/* By id, or by the name of one that lives. Revoked ones are forgotten after 30 days. The owner's is revoked with its file: the
 * next server makes a new one. ret may be NULL. */
int access_revoke(struct access *a, const char *id_or_name, struct access_token *ret, struct err *err);
/* Oldest first. A negative answer of one ends the walk, and is its result. */
int access_list(struct access *a, int (*one)(void *arg, const struct access_token *t, struct err *err), void *arg,
                struct err *err);

/* Whose token that is. -ERR_UNAUTHENTICATED: nobody's, or it has expired or was revoked. Notes the use, to the minute. */
int access_check(struct access *a, const char *token, struct access_caller *ret, struct err *err);
/* The same for "Bearer TOKEN"; NULL: none was sent. */
int access_check_header(struct access *a, const char *authorization, struct access_caller *ret, struct err *err);
/* What a caller who needs no token is: the owner of the state, by a Unix socket or on the command line. via: how he came. */
void access_local_caller(const char *via, struct access_caller *ret);

/* -ERR_PERMISSION, saying what is missing. name_space may be NULL: of no matter. */
int access_allow(const struct access_caller *c, enum access_role needed, const char *name_space, struct err *err);
bool access_sees(const struct access_caller *c, const char *name_space);

/* A browser's session: 256 random bits in a cookie, kept as their hash. It has the rights of the token that it was made of,
 * for as long as that has them, at most ACCESS_SESSION_MS; a new one of the same token beyond ACCESS_SESSIONS_MAX ends the
 * oldest. */
#define ACCESS_SESSION_MS (INT64_C(12) * 3600 * 1000)
#define ACCESS_SESSIONS_MAX 100
/* session: ACCESS_TOKEN_LEN + 1 bytes. */
int access_session_open(struct access *a, const char *token, char *session, struct access_caller *ret, int64_t *ret_expires_ms,
                        struct err *err);
int access_session_check(struct access *a, const char *session, struct access_caller *ret, int64_t *ret_expires_ms,
                         struct err *err);
int access_session_close(struct access *a, const char *session, struct err *err); /* one that is not there is fine */
/* All of a token, by its id or name; the token stays. */
int access_sessions_revoke(struct access *a, const char *id_or_name, int *ret_count, struct err *err);
/* What a session's changes carry beside the cookie, which a page of another site cannot know. csrf: ACCESS_TOKEN_LEN + 1
 * bytes. */
int access_session_csrf(const char *session, char *csrf, struct err *err);
bool access_session_csrf_is(const char *session, const char *csrf);

/* The token in the state's file, which is made if it is not there (0600), and known to a from then on. token:
 * ACCESS_TOKEN_LEN + 1 bytes. -ERR_CORRUPT when what is there is no token; -ERR_PERMISSION when others can read it. */
int access_owner_token(struct access *a, char *token, struct err *err);

/* CPU time that a namespace has used on a day (since 1970): adds to it, gives it. */
int access_usage_add(struct access *a, const char *name_space, int64_t day, int64_t cpu_ms, struct err *err);
int access_usage(struct access *a, const char *name_space, int64_t day, int64_t *ret_cpu_ms, struct err *err);

/* What runs have left in a store that does not tell it cheaply (a bucket), as their histories say: kept for the quota of the
 * namespace, with how far each history was read. The same object of a run again is nothing new. */
struct access_result {
    const char *ref;
    uint64_t bytes;
};
struct access_history {
    const char *run_id, *execution_id;
    int64_t event; /* the last one that was read; INT64_MAX: it has ended */
};
int access_results_add(struct access *a, const char *name_space, const struct access_history *h, const struct access_result *list,
                       size_t n, struct err *err);
/* each must not call back; an error of it ends it. */
int access_results_each(struct access *a, const char *name_space,
                        int (*each)(void *arg, const char *run_id, const struct access_result *x), void *arg, struct err *err);
/* Of a run that is gone, what was told before then (milliseconds since 1970). */
int access_results_forget(struct access *a, const char *name_space, const char *run_id, int64_t before_ms, struct err *err);
int access_histories_each(struct access *a, const char *name_space,
                          int (*each)(void *arg, const struct access_history *h), void *arg, struct err *err);
int access_history_forget(struct access *a, const char *name_space, const char *execution_id, struct err *err);

#endif
