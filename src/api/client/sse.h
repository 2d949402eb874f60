/* Server-sent events (html.spec.whatwg.org/multipage/server-sent-events.html) as they arrive, in pieces of any size. */
#ifndef FF_API_CLIENT_SSE_H
#define FF_API_CLIENT_SSE_H

#include "base/strbuf.h"

#define SSE_LINE_MAX ((size_t)256 << 10)
#define SSE_DATA_MAX ((size_t)256 << 10)

struct sse_event {
    const char *id;   /* digits, as this server gives them: the last that was seen; "" before */
    const char *type; /* "message" where none was given */
    const char *data; /* 0-terminated */
    size_t len;
};

struct sse {
    struct strbuf line, data;
    char id[24], type[32];
    bool has_data, after_cr;
    int (*one)(void *arg, const struct sse_event *e, struct err *err); /* negative ends it */
    void *arg;
};

void sse_init(struct sse *s, int (*one)(void *arg, const struct sse_event *e, struct err *err), void *arg);
/* -ERR_LIMIT: a line or an event over its maximum. */
int sse_feed(struct sse *s, const void *data, size_t len, struct err *err);
/* The stream broke off: what is not a whole event is forgotten, the id stays. */
void sse_reset(struct sse *s);
void sse_release(struct sse *s);

#endif
