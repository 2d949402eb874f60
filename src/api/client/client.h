/* A server's REST API as a client uses it (docs/rest.md): what the functions of api/service ask when they have a client
 * instead of an engine and a store.
 *
 * Whatever a server answers is judged like any other bytes from outside: bounded in size and depth, checked before it becomes a
 * structure. One thread uses a client. */
#ifndef FF_API_CLIENT_CLIENT_H
#define FF_API_CLIENT_CLIENT_H

#include "base/err.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct client_options {
    const char *url;       /* "http://127.0.0.1:8000", "https://host/below" */
    const char *token;     /* NULL: none */
    const char *name_space; /* which it is about, for a token of all of them; NULL: the server's default */
    const char *ca_file;   /* certificates to trust instead of the system's (PEM); NULL or "": the system's */
    const char *cert_file, *key_file; /* of the client (PEM); NULL or "": none */
    bool insecure;         /* the server's certificate is not checked */
    bool plain_http;       /* http also to other machines */
    int64_t patience_ms;   /* how long a server that goes away during a run is waited for */
    bool (*interrupted)(void *arg); /* asked ten times a second while it waits; true: -ERR_CANCELLED. NULL: never */
    void *arg;
};

struct client;

/* Nothing is asked yet. -ERR_USAGE for a URL that is none, or that would send a token in the clear. Strings are copied. */
int client_new(const struct client_options *o, struct client **ret, struct err *err);
void client_free(struct client *c); /* NULL is fine */
const char *client_url(const struct client *c);
/* Is it this machine's own address? False for what is no URL. */
bool client_url_is_local(const char *url);

struct client_call {
    const char *method; /* NULL: GET */
    const char *path;   /* with its query, encoded */
    const json_t *body; /* NULL: none */
    const char *key;    /* the same one again does nothing new; NULL: none */
    int64_t patience_ms; /* a server that is gone is asked again for so long */
    size_t max;         /* bytes of the answer; 0: the default */
    bool lasts;         /* it answers when its work is done, however long that takes */
    /* Where the bytes of an answer go that is no document; NULL: it is one. A negative answer is the result. */
    int (*take)(void *arg, const void *data, size_t len, struct err *err);
    void *arg;
};
/* *ret: the document, a new reference; NULL with take. What may be asked again is, when the server says that it is busy
 * (429, 503), after the time it names, within bounds. Errors are the server's own, with its code, message and hint;
 * -ERR_UNAVAILABLE: none answers. */
int client_call(struct client *c, const struct client_call *q, json_t **ret, struct err *err);
int client_get(struct client *c, const char *path, json_t **ret, struct err *err);

#endif
