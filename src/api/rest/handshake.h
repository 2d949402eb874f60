/* The one thing of WebSocket's handshake that is computed (RFC 6455, section 4.2.2). A file of its own: OpenSSL's names and
 * those of base/err.h do not go together. */
#ifndef FF_API_REST_HANDSHAKE_H
#define FF_API_REST_HANDSHAKE_H

#include <stdbool.h>

#define HANDSHAKE_ACCEPT_MAX 32

/* Sec-WebSocket-Accept of a key. */
bool handshake_accept(const char *key, char ret[HANDSHAKE_ACCEPT_MAX]);

#endif
