/* TLS of the HTTP side, by OpenSSL: it stands before libmicrohttpd, whose own would be another library's.
 *
 *   client --TLS--> link --pair of sockets--> libmicrohttpd
 *
 * One thread has all links. A connection is given on when its handshake is done; bytes then go both ways, each way with at most
 * one piece of them held here, so that whoever is slow slows the other. An end goes on as an end (shutdown), in each direction
 * for itself. Certificate and authority are read anew when their files change. */
#ifndef FF_API_REST_TLS_H
#define FF_API_REST_TLS_H

#include "rpc/rpc.h"

#include <sys/socket.h>

struct rest_tls;
struct tls_link;

/* Reads the files once, so that what is wrong with one is said by name. -ERR_MISSING: a file, or the library. */
int rest_tls_open(const struct rpc_tls *tls, struct rest_tls **ret, struct err *err);
/* Takes up to max connections at fd, which is its own from here on. take: is given one end of a pair, its own. */
int rest_tls_start(struct rest_tls *t, int fd, unsigned max, void (*take)(void *arg, int fd), void *arg, struct err *err);
/* What rest_pulse() is for all of it, for its thread. */
int64_t rest_tls_pulse(struct rest_tls *t);
/* No more connections; those that there are go on. */
void rest_tls_quiesce(struct rest_tls *t);
/* After all of take's ends have been closed. What they have written is sent, for a second. NULL is fine. */
void rest_tls_free(struct rest_tls *t);

/* The link behind an end that was taken; NULL: none. Each to be released, before rest_tls_free(). Any thread may ask it. */
struct tls_link *tls_link_at(struct rest_tls *t, int fd);
void tls_link_release(struct tls_link *l); /* NULL is fine */
/* Has the client shown a certificate of the authority, as it was when the handshake began? */
bool tls_link_certified(const struct tls_link *l);
const struct sockaddr *tls_link_peer(const struct tls_link *l);
uint64_t tls_link_received(const struct tls_link *l);  /* bytes, without TLS's own */
int64_t tls_link_received_ns(const struct tls_link *l); /* monotonic time of the last of them; 0: none came */
bool tls_link_left(const struct tls_link *l);           /* the client says no more, and all that it said was passed on */
/* Ends it: what was written is sent, nothing more comes. */
void tls_link_end(struct tls_link *l);
/* Has whoever waits at the taken end look at it again. */
void tls_link_nudge(struct tls_link *l);

#endif
