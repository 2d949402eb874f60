#include "api/rest/tls_context.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "base/mem.h"

#include <pthread.h>
#include <string.h>

/* Of TLS 1.2; those of 1.3 are all good. */
#define CIPHERS "ECDHE+AESGCM:ECDHE+CHACHA20"
#define OPTIONS                                                                                                              \
    (SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA |          \
     SSL_OP_IGNORE_UNEXPECTED_EOF) /* HTTP says itself where a message ends */
#define MODES (SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS)

struct ssl_calls ssl;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct err why;

struct tls_context {
    struct rpc_tls_files *files;
    char *cert, *key, *ca; /* PEM, as last taken; ca NULL: clients are not asked for a certificate */
    SSL_CTX *ctx;
};

static void load(void)
{
#define ENTRY(f) {#f, &ssl.f},
    static const struct os_symbol calls[] = {SSL_CALLS(ENTRY)};
#undef ENTRY
    os_library_load("libssl.so.3", calls, ARRAY_LEN(calls), &why);
}

static void forget_pair(struct tls_context *c)
{
    free(TAKE_PTR(c->cert));
    if (c->key)
        explicit_bzero(c->key, strlen(c->key));
    free(TAKE_PTR(c->key));
}

/* Whoever asks for a passphrase would have to be at a terminal. */
static int no_passphrase(char *buf, int size, int rw, void *arg)
{
    (void)buf;
    (void)size;
    (void)rw;
    (void)arg;
    return 0;
}

static BIO *read_from(const char *pem)
{
    return ssl.BIO_new_mem_buf(pem, -1);
}

/* The first is the server's own, the others lead to its authority. */
static bool use_chain(SSL_CTX *ctx, const char *pem)
{
    BIO *b = read_from(pem);
    X509 *x;
    bool ok = b, first = true;
    while (ok && (x = ssl.PEM_read_bio_X509(b, NULL, no_passphrase, NULL))) {
        ok = (first ? ssl.SSL_CTX_use_certificate(ctx, x)
                    : (int)ssl.SSL_CTX_ctrl(ctx, SSL_CTRL_CHAIN_CERT, 1, x)) == 1; /* SSL_CTX_add1_chain_cert() */
        ssl.X509_free(x);
        first = false;
    }
    ssl.BIO_free(b);
    return ok && !first;
}

static bool use_key(SSL_CTX *ctx, const char *pem)
{
    BIO *b = read_from(pem);
    EVP_PKEY *k = b ? ssl.PEM_read_bio_PrivateKey(b, NULL, no_passphrase, NULL) : NULL;
    bool ok = k && ssl.SSL_CTX_use_PrivateKey(ctx, k) == 1 && ssl.SSL_CTX_check_private_key(ctx) == 1;
    ssl.EVP_PKEY_free(k);
    ssl.BIO_free(b);
    return ok;
}

/* Who shows none, or one of another's, is served all the same, as one who has shown none: rights are looked at later. */
static int let_in(int ok, X509_STORE_CTX *store)
{
    (void)ok;
    (void)store;
    return 1;
}

static bool ask_clients(SSL_CTX *ctx, const char *pem)
{
    static const unsigned char name[] = "ff";
    BIO *b = read_from(pem);
    X509_STORE *store = ssl.SSL_CTX_get_cert_store(ctx);
    X509 *x;
    bool ok = b, none = true;
    while (ok && (x = ssl.PEM_read_bio_X509(b, NULL, no_passphrase, NULL))) {
        ok = ssl.X509_STORE_add_cert(store, x) == 1 && ssl.SSL_CTX_add_client_CA(ctx, x) == 1;
        ssl.X509_free(x);
        none = false;
    }
    ssl.BIO_free(b);
    ssl.X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN); /* an authority below another is one as well */
    ssl.SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, let_in);
    return ok && !none && ssl.SSL_CTX_set_session_id_context(ctx, name, sizeof name - 1) == 1;
}

/* Who speaks only other protocols than HTTP/1.1 is told so now. */
static int choose_protocol(SSL *s, const unsigned char **out, unsigned char *out_len, const unsigned char *in, unsigned in_len,
                           void *arg)
{
    static const unsigned char ours[] = "\x08http/1.1";
    (void)s;
    (void)arg;
    return ssl.SSL_select_next_proto((unsigned char **)(uintptr_t)out, out_len, ours, sizeof ours - 1, in, in_len) ==
                   OPENSSL_NPN_NEGOTIATED
               ? SSL_TLSEXT_ERR_OK
               : SSL_TLSEXT_ERR_ALERT_FATAL;
}

static int make(const struct rpc_tls *names, const char *cert, const char *key, const char *ca, SSL_CTX **ret, struct err *err)
{
    SSL_CTX *ctx = ssl.SSL_CTX_new(ssl.TLS_server_method());
    const char *bad = NULL;
    if (!ctx)
        return err_nomem(err);
    ssl.SSL_CTX_set_options(ctx, OPTIONS);
    ssl.SSL_CTX_ctrl(ctx, SSL_CTRL_SET_MIN_PROTO_VERSION, TLS1_2_VERSION, NULL);
    ssl.SSL_CTX_ctrl(ctx, SSL_CTRL_MODE, MODES, NULL);
    ssl.SSL_CTX_ctrl(ctx, SSL_CTRL_SET_SESS_CACHE_MODE, SSL_SESS_CACHE_OFF, NULL); /* the client keeps it: tickets */
    ssl.SSL_CTX_set_alpn_select_cb(ctx, choose_protocol, NULL);
    if (ssl.SSL_CTX_set_cipher_list(ctx, CIPHERS) != 1 || !use_chain(ctx, cert))
        bad = names->cert_file;
    else if (!use_key(ctx, key))
        bad = names->key_file;
    else if (ca && !ask_clients(ctx, ca))
        bad = names->ca_file;
    int r = 0;
    if (bad) {
        const char *says = ssl.ERR_reason_error_string(ssl.ERR_peek_last_error());
        r = err_set(err, ERR_INVALID, "%s: libssl does not take it%s%s", bad, says ? ": " : "", says ? says : "");
        ssl.SSL_CTX_free(ctx);
    } else {
        *ret = ctx;
    }
    ssl.ERR_clear_error();
    return r;
}

static void take_texts(struct tls_context *c, char *cert, char *key, char *ca)
{
    forget_pair(c);
    free(c->ca);
    c->cert = cert;
    c->key = key;
    c->ca = ca;
}

/* Certificate and authority each for itself: one of them that is half replaced does not keep the other from being renewed. What
 * clients have kept of sessions before is of no use with a new context: it knows neither its keys nor its authority. */
static int renew(struct tls_context *c, struct err *err)
{
    const struct rpc_tls *names = rpc_tls_files_names(c->files);
    char *cert = NULL, *key = NULL, *ca = NULL;
    SSL_CTX *ctx = NULL;
    struct err e = {0};
    int r = rpc_tls_read_pair(names, &cert, &key, &e);
    if (r < 0 && c->ctx) {
        log_warn("the certificate before stays in use: %s", e.msg);
        cert = mem_strdup(c->cert);
        key = mem_strdup(c->key);
        r = cert && key ? 0 : err_nomem(&e);
    }
    int a = r == 0 && names->ca_file ? rpc_tls_read_ca(names->ca_file, &ca, &e) : 0;
    if (a < 0 && c->ctx) {
        log_warn("the authority before stays in use: %s", e.msg);
        a = (ca = mem_strdup(c->ca)) ? 0 : err_nomem(&e);
    }
    r = r == 0 ? a : r;
    if (r == 0)
        r = make(names, cert, key, ca, &ctx, &e);
    if (r == 0) {
        ssl.SSL_CTX_free(c->ctx); /* sessions hold it as long as they need it */
        c->ctx = ctx;
        take_texts(c, cert, key, ca);
        return 0;
    }
    if (key)
        explicit_bzero(key, strlen(key));
    free(cert);
    free(key);
    free(ca);
    return err_copy(err, &e);
}

SSL *tls_context_session(struct tls_context *c)
{
    struct err err = {0};
    if (rpc_tls_files_changed(c->files) && renew(c, &err) < 0)
        log_warn("certificate and authority before stay in use: %s", err.msg);
    return ssl.SSL_new(c->ctx);
}

int tls_context_new(const struct rpc_tls *tls, struct tls_context **ret, struct err *err)
{
    struct tls_context *c = mem_zalloc(sizeof *c);
    if (!c)
        return err_nomem(err);
    pthread_once(&once, load);
    int r = why.code ? err_set(err, ERR_MISSING, "TLS cannot be served: %s", why.msg) : rpc_tls_files_new(tls, &c->files, err);
    if (r == 0) {
        rpc_tls_files_changed(c->files); /* before they are read: what changes from here on is seen */
        r = renew(c, err);
    }
    if (r < 0) {
        tls_context_free(c);
        return r;
    }
    *ret = c;
    return 0;
}

void tls_context_free(struct tls_context *c)
{
    if (!c)
        return;
    if (c->ctx)
        ssl.SSL_CTX_free(c->ctx);
    forget_pair(c);
    free(c->ca);
    rpc_tls_files_free(c->files);
    free(c);
}
