/* TLS of the HTTP side, where libmicrohttpd uses libgnutls: a certificate that may be renewed while connections come, and
 * clients that show one, whose authority may be renewed likewise. */
#ifndef FF_API_REST_TLS_H
#define FF_API_REST_TLS_H

#include "api/rest/mhd.h"
#include "rpc/rpc.h"

struct rest_tls;

/* Reads the files once, so that what is wrong with one is said by name. One at a time in a process: libgnutls hands the function
 * that is asked for a certificate nothing of ours. */
int rest_tls_open(const struct rpc_tls *tls, struct rest_tls **ret, struct err *err);
/* What MHD_start_daemon() needs of it, valid as long as t: at most four items, the last one MHD_OPTION_END. */
void rest_tls_options(struct rest_tls *t, struct MHD_OptionItem ret[4]);
/* Has the client shown a certificate of the authority, as it was when the last handshake began? Costs a signature: to be asked
 * once a connection. */
bool rest_tls_verified(struct rest_tls *t, struct MHD_Connection *conn);
/* Sends something short past libmicrohttpd, if there is room, and nothing after it. In the connection's own thread. */
void rest_tls_send_last(struct MHD_Connection *conn, const char *data, size_t len);
void rest_tls_free(struct rest_tls *t); /* after the daemon has ended; NULL is fine */

#endif
