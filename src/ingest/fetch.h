/* Git repositories of other machines: fetched in one sandbox, which has a network, and read in
 * another, which has none. Not a way to work with them: only HEAD comes. */
#ifndef FF_INGEST_FETCH_H
#define FF_INGEST_FETCH_H

#include "ingest/ingest_internal.h"

#define FETCH_USER_MAX 256
#define FETCH_URL_MAX 4096

/* The parts of an https URL that matter here. */
struct fetch_url {
    char url[FETCH_URL_MAX]; /* without user and password */
    char user[FETCH_USER_MAX], password[FETCH_USER_MAX]; /* decoded; empty: none were given */
    char name[256];                                      /* the repository's, for people */
    uint32_t loopback_port; /* not 0: it names this machine's loopback, at that port */
};

/* -ERR_UNIMPLEMENTED for what is not fetched, -ERR_INVALID for what is no such URL. */
int fetch_parse_url(const char *spec, struct fetch_url *ret, struct err *err);
/* Fetches HEAD as a bare repository into <dir>/repository, where dir is a new folder of the
 * caller's. */
int fetch_repository(struct ingest_job *j, const struct fetch_url *u, const char *dir,
                     struct err *err);

/* Inside the sandbox. What it says on its standard output, a line each:
 *   P OBJECTS BYTES   progress, a few times a second
 *   E WHAT TEXT       the end: why not; WHAT is a letter of enum fetch_failure
 *   D                 the end: it is there
 * Its standard input gives, a line each: URL, user, password, most bytes. While that is open the
 * caller waits. */
enum fetch_failure {
    FETCH_FAILED = 'F',
    FETCH_NOT_FOUND = 'N',
    FETCH_DENIED = 'U',      /* wants other credentials, or any */
    FETCH_CERTIFICATE = 'C', /* the server's is not trusted */
    FETCH_TOO_LARGE = 'L',
    FETCH_STALLED = 'S',
};
int git_fetcher_main(void);

#endif
