/* The parts of a client: requests (http.c), streams of events (sse.c, follow.c), documents as structures (documents.c), what the
 * service's functions ask (ask.c), submissions (send.c). */
#ifndef FF_API_CLIENT_CLIENT_INTERNAL_H
#define FF_API_CLIENT_CLIENT_INTERNAL_H

#include "api/client/client.h"
#include "store/s3/curl.h"

#define CLIENT_DOCUMENT_MAX ((size_t)128 << 20)
#define CLIENT_TICK_MS 100

/* One request, on its way. */
struct transfer {
    const struct client_call *call;
    curl_mime *form;           /* taken; NULL: none */
    curl_read_callback read;   /* gives the body, bytes as they are; NULL: none */
    void *read_arg;
    curl_off_t read_size;      /* -1: not known */
    bool asks;                 /* whether the body is wanted, before it is sent; else it is sent at once */
    const char *last_event_id; /* of a stream; NULL: this is none */
    const char *accept;        /* media types; NULL: JSON, of a stream its own */
    char *const *headers;      /* more of them, NULL-terminated; or NULL */
    void (*on_header)(void *arg, const char *line); /* of the answer; NULL: nobody wants them */
    void *header_arg;
    bool (*stop)(void *arg);   /* asked each CLIENT_TICK_MS; true ends it, as if the server had; NULL: never */
    void *stop_arg;
    /* The answer. */
    long status; /* 0: none */
    int64_t retry_after_ms; /* 0: not said */
    bool stopped;
    char *text;
    size_t len;
};

/* A form of this client's, for struct transfer. NULL: no memory. */
curl_mime *client_form(struct client *c);
/* Another one for the same server, for another thread; never interrupted. */
int client_again(const struct client *c, struct client **ret, struct err *err);
int64_t client_patience_ms(const struct client *c);
bool client_interrupted(const struct client *c);
/* Sleeps; false when it was interrupted. */
bool client_wait(const struct client *c, int64_t ms);
/* One attempt. 0 with any answer; -ERR_UNAVAILABLE: there was none, or not all of it. Release it. */
int client_transfer(struct client *c, struct transfer *t, struct err *err);
void transfer_release(struct transfer *t);
/* The document that a 2xx has. */
int client_read(const struct client *c, const struct transfer *t, json_t **ret, struct err *err);
/* How long until the next attempt after one that failed with r, in milliseconds; -1: that was the last. Begins as zeros. */
struct client_patience {
    int64_t begun_ns, busy_ms;
    int tries;
};
int64_t client_next_try(const struct client_call *q, const struct transfer *t, int r, struct client_patience *p);
/* 0 for a 2xx; else the error that the answer tells. */
int client_judge(const struct client *c, const struct transfer *t, struct err *err);

#endif
