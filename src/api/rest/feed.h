/* A stream of text from a thread to a client, as its answer: bounded, and each side learns when the other has gone. */
#ifndef FF_API_REST_FEED_H
#define FF_API_REST_FEED_H

#include "base/strbuf.h"

#include <stdbool.h>

struct rest_feed;

/* For two: who pushes, and the connection. max: bytes that may wait. NULL when memory is out. */
struct rest_feed *rest_feed_new(size_t max);
/* False: nobody reads any more, or he is too slow: what comes now is lost. */
bool rest_feed_push(struct rest_feed *f, const char *text, size_t len);
/* Called at most once, on another thread, when the client has gone; at once, if he has. Never after rest_feed_end(). */
void rest_feed_on_gone(struct rest_feed *f, void (*gone)(void *arg), void *arg);
/* The last one of who pushes. */
void rest_feed_end(struct rest_feed *f);

/* The other side. Appends what has come. *ret_ended: nothing will come. From then on wake() is called when there is more: never
 * before the first time, nor after feed_leave(). */
void feed_take(struct rest_feed *f, struct strbuf *out, bool *ret_ended, void (*wake)(void *arg), void *arg);
void feed_leave(struct rest_feed *f);

#endif
