/* What a handshake needs, made from files that may be renewed at any time; and OpenSSL's functions, loaded when TLS is first
 * asked for (libgrpc brings the library; linked in, each process that is forked for an activity would map it). */
#ifndef FF_API_REST_TLS_CONTEXT_H
#define FF_API_REST_TLS_CONTEXT_H

#include "os/library.h"
#include "rpc/rpc.h"

#define ERR_STATE openssl_err_state /* OpenSSL has a type of a name of ours */
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#undef ERR_STATE

#define SSL_CALLS(X)                                                                                                         \
    X(BIO_free) X(BIO_new_mem_buf) X(ERR_clear_error) X(ERR_peek_last_error) X(ERR_reason_error_string) X(EVP_PKEY_free)     \
    X(PEM_read_bio_PrivateKey) X(PEM_read_bio_X509) X(SSL_CTX_add_client_CA) X(SSL_CTX_check_private_key) X(SSL_CTX_ctrl)    \
    X(SSL_CTX_free) X(SSL_CTX_get_cert_store) X(SSL_CTX_new) X(SSL_CTX_set_alpn_select_cb) X(SSL_CTX_set_cipher_list)        \
    X(SSL_CTX_set_options) X(SSL_CTX_set_session_id_context) X(SSL_CTX_set_verify) X(SSL_CTX_use_PrivateKey)                 \
    X(SSL_CTX_use_certificate) X(SSL_accept) X(SSL_free) X(SSL_get0_peer_certificate) X(SSL_get_error)                       \
    X(SSL_get_verify_result) X(SSL_new) X(SSL_read) X(SSL_select_next_proto) X(SSL_set_fd) X(SSL_shutdown)                   \
    X(SSL_write) X(TLS_server_method) X(X509_STORE_add_cert) X(X509_STORE_set_flags) X(X509_free)

struct ssl_calls {
    SSL_CALLS(OS_LIBRARY_FIELD)
};
extern struct ssl_calls ssl;

struct tls_context;

/* -ERR_MISSING: a file, or the library. */
int tls_context_new(const struct rpc_tls *tls, struct tls_context **ret, struct err *err);
/* A connection that is new, with the files as they are now; where they do not fit each other, as they were. NULL: no memory.
 * By one thread at a time. */
SSL *tls_context_session(struct tls_context *c);
void tls_context_free(struct tls_context *c); /* NULL is fine */

#endif
