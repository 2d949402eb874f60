/* TLS credentials out of PEM files. What is wrong with a file is found here, where it can be named: the library only says
 * that it could not make a handshaker. */
#define ERR_STATE openssl_err_state /* OpenSSL has a type of a name of ours */
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#undef ERR_STATE

#include "rpc_internal.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "os/file.h"

#include <string.h>
#include <sys/stat.h>

#define PEM_MAX ((size_t)4 << 20)

/* Where systems keep the certificates that they trust. */
static const char *const system_ca[] = {
    "/etc/ssl/certs/ca-certificates.crt", /* Debian, Alpine, Arch */
    "/etc/pki/tls/certs/ca-bundle.crt",   /* Fedora, RHEL */
    "/etc/ssl/ca-bundle.pem",             /* openSUSE */
    "/etc/ssl/cert.pem",                  /* BSD, macOS */
};

struct pair {
    char *cert, *key;
};

static void pair_release(struct pair *p)
{
    free(p->cert);
    if (p->key)
        explicit_bzero(p->key, strlen(p->key));
    free(p->key);
    *p = (struct pair){0};
}

static int no_passphrase(char *buf, int size, int rwflag, void *arg)
{
    (void)buf, (void)size, (void)rwflag, (void)arg;
    return -1;
}

static X509 *parse_cert(const char *pem)
{
    BIO *b = BIO_new_mem_buf(pem, -1);
    X509 *x = b ? PEM_read_bio_X509(b, NULL, no_passphrase, NULL) : NULL;
    BIO_free(b);
    return x;
}

static EVP_PKEY *parse_key(const char *pem)
{
    BIO *b = BIO_new_mem_buf(pem, -1);
    EVP_PKEY *k = b ? PEM_read_bio_PrivateKey(b, NULL, no_passphrase, NULL) : NULL;
    BIO_free(b);
    return k;
}

static int read_pem(const char *what, const char *path, char **ret, struct err *err)
{
    struct err why = {0};
    if (os_read_file(path, PEM_MAX, ret, NULL, &why) < 0)
        return err_set(err, ERR_MISSING, "%s: %s", what, why.msg);
    return 0;
}

int rpc_tls_read_ca(const char *path, char **ret, struct err *err)
{
    int r = read_pem("certificates of the authority", path, ret, err);
    if (r < 0)
        return r;
    X509 *x = parse_cert(*ret);
    ERR_clear_error();
    if (!x) {
        free(TAKE_PTR(*ret));
        return err_set(err, ERR_MISSING, "%s: no PEM certificate in it", path);
    }
    X509_free(x);
    return 0;
}

/* expired: an error too (a client's own; a server's clients will say so). */
static int check_pair(const struct rpc_tls *tls, const struct pair *p, bool expired, struct err *err)
{
    X509 *x = parse_cert(p->cert);
    EVP_PKEY *k = parse_key(p->key);
    int r = 0;
    if (!x)
        r = err_set(err, ERR_MISSING, "%s: no PEM certificate in it", tls->cert_file);
    else if (!k)
        r = err_set(err, ERR_MISSING, "%s: no PEM private key in it, or one with a passphrase", tls->key_file);
    else if (X509_check_private_key(x, k) != 1)
        r = err_set(err, ERR_MISSING, "the key in %s is not that of the certificate in %s", tls->key_file, tls->cert_file);
    else if (expired && X509_cmp_current_time(X509_get0_notAfter(x)) < 0)
        r = err_set(err, ERR_UNAUTHENTICATED, "the certificate in %s has expired", tls->cert_file);
    X509_free(x);
    EVP_PKEY_free(k);
    ERR_clear_error();
    return r;
}

static int read_pair(const struct rpc_tls *tls, bool expired, struct pair *ret, struct err *err)
{
    if (!tls->cert_file || !tls->key_file)
        return err_set(err, ERR_INVALID, "a certificate and its key belong together: one of them is not set");
    int r = read_pem("certificate", tls->cert_file, &ret->cert, err);
    if (r == 0)
        r = read_pem("private key", tls->key_file, &ret->key, err);
    if (r == 0)
        r = check_pair(tls, ret, expired, err);
    if (r < 0)
        pair_release(ret);
    return r;
}

int rpc_tls_read_pair(const struct rpc_tls *tls, char **ret_cert, char **ret_key, struct err *err)
{
    struct pair p = {0};
    int r = read_pair(tls, false, &p, err);
    if (r == 0) {
        *ret_cert = p.cert;
        *ret_key = p.key;
    }
    return r;
}

static int read_system_ca(char **ret, struct err *err)
{
    const char *own = getenv("SSL_CERT_FILE");
    if (own && *own)
        return rpc_tls_read_ca(own, ret, err);
    for (size_t i = 0; i < ARRAY_LEN(system_ca); i++)
        if (os_exists(system_ca[i]))
            return rpc_tls_read_ca(system_ca[i], ret, err);
    return err_set(err, ERR_MISSING, "this system has no certificates of authorities (%s): name a file of them", system_ca[0]);
}

int rpc_creds_client(const struct rpc_tls *tls, grpc_channel_credentials **ret, struct err *err)
{
    if (!tls->on) {
        *ret = core.grpc_insecure_credentials_create();
        return 0;
    }
    _cleanup_free_ char *ca = NULL;
    _cleanup_(pair_release) struct pair own = {0};
    int r = tls->ca_file ? rpc_tls_read_ca(tls->ca_file, &ca, err) : read_system_ca(&ca, err);
    if (r == 0 && (tls->cert_file || tls->key_file))
        r = read_pair(tls, true, &own, err);
    if (r < 0)
        return r;
    grpc_ssl_pem_key_cert_pair pair = {.private_key = own.key, .cert_chain = own.cert};
    *ret = core.grpc_ssl_credentials_create_ex(ca, own.key ? &pair : NULL, NULL, NULL);
    return *ret ? 0 : err_set(err, ERR_INTERNAL, "the TLS credentials cannot be made");
}

/* --- files that change ---------------------------------------------------------------------------------------- */

/* What tells that a file is another one than it was. */
struct seen {
    struct timespec mtime;
    ino_t ino;
    off_t size;
};

struct rpc_tls_files {
    struct rpc_tls tls; /* with names of its own */
    struct seen seen[3];
};

static void look(const struct rpc_tls *tls, struct seen ret[3])
{
    const char *files[] = {tls->ca_file, tls->cert_file, tls->key_file};
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        struct stat st;
        memset(&ret[i], 0, sizeof ret[i]);
        if (files[i] && stat(files[i], &st) == 0) {
            ret[i].mtime = st.st_mtim;
            ret[i].ino = st.st_ino;
            ret[i].size = st.st_size;
        }
    }
}

int rpc_tls_files_new(const struct rpc_tls *tls, struct rpc_tls_files **ret, struct err *err)
{
    struct rpc_tls_files *f = mem_zalloc(sizeof *f);
    if (!f)
        return err_nomem(err);
    f->tls = (struct rpc_tls){tls->on, mem_strdup(tls->ca_file), mem_strdup(tls->cert_file), mem_strdup(tls->key_file),
                              mem_strdup(tls->server_name)};
    if ((tls->ca_file && !f->tls.ca_file) || (tls->cert_file && !f->tls.cert_file) || (tls->key_file && !f->tls.key_file) ||
        (tls->server_name && !f->tls.server_name)) {
        rpc_tls_files_free(f);
        return err_nomem(err);
    }
    *ret = f;
    return 0;
}

void rpc_tls_files_free(struct rpc_tls_files *f)
{
    if (!f)
        return;
    free((char *)f->tls.ca_file);
    free((char *)f->tls.cert_file);
    free((char *)f->tls.key_file);
    free((char *)f->tls.server_name);
    free(f);
}

const struct rpc_tls *rpc_tls_files_names(const struct rpc_tls_files *f)
{
    return &f->tls;
}

bool rpc_tls_files_changed(struct rpc_tls_files *f)
{
    struct seen now[3];
    look(&f->tls, now);
    if (memcmp(now, f->seen, sizeof now) == 0)
        return false;
    memcpy(f->seen, now, sizeof now);
    return true;
}

/* --- server ------------------------------------------------------------------------------------------------- */

struct rpc_server_creds {
    pthread_mutex_t lock;
    struct rpc_tls_files *files;
};

static int read_config(const struct rpc_server_creds *c, grpc_ssl_server_certificate_config **ret, struct err *err)
{
    const struct rpc_tls *tls = rpc_tls_files_names(c->files);
    _cleanup_free_ char *ca = NULL;
    _cleanup_(pair_release) struct pair own = {0};
    int r = read_pair(tls, false, &own, err);
    if (r == 0 && tls->ca_file)
        r = rpc_tls_read_ca(tls->ca_file, &ca, err);
    if (r < 0)
        return r;
    const grpc_ssl_pem_key_cert_pair pair = {.private_key = own.key, .cert_chain = own.cert};
    /* The library asserts that there are authorities, also where no client is asked for a certificate. */
    *ret = core.grpc_ssl_server_certificate_config_create(ca ? ca : own.cert, &pair, 1);
    return *ret ? 0 : err_set(err, ERR_INTERNAL, "the TLS credentials cannot be made");
}

/* At each handshake. Files that are half replaced keep the old pair in use until they fit again. */
static grpc_ssl_certificate_config_reload_status fetch(void *arg, grpc_ssl_server_certificate_config **ret)
{
    struct rpc_server_creds *c = arg;
    grpc_ssl_certificate_config_reload_status status = GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_UNCHANGED;
    pthread_mutex_lock(&c->lock);
    if (rpc_tls_files_changed(c->files))
        status = read_config(c, ret, NULL) == 0 ? GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_NEW
                                                : GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_FAIL;
    pthread_mutex_unlock(&c->lock);
    return status;
}

static int make_server(struct rpc_server_creds *c, bool require, grpc_server_credentials **ret, struct err *err)
{
    grpc_ssl_server_certificate_config *probe = NULL;
    int r = read_config(c, &probe, err);
    if (r < 0)
        return r;
    core.grpc_ssl_server_certificate_config_destroy(probe);
    bool asks = rpc_tls_files_names(c->files)->ca_file;
    grpc_ssl_client_certificate_request_type ask = !asks     ? GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE
                                                   : require ? GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY
                                                             : GRPC_SSL_REQUEST_CLIENT_CERTIFICATE_AND_VERIFY;
    grpc_ssl_server_credentials_options *o = core.grpc_ssl_server_credentials_create_options_using_config_fetcher(ask, fetch, c);
    *ret = core.grpc_ssl_server_credentials_create_with_options(o);
    return *ret ? 0 : err_set(err, ERR_INTERNAL, "the TLS credentials cannot be made");
}

int rpc_creds_server(const struct rpc_tls *tls, bool require, struct rpc_server_creds **ret, grpc_server_credentials **ret_creds,
                     struct err *err)
{
    *ret = NULL;
    if (!tls || !tls->on) {
        *ret_creds = core.grpc_insecure_server_credentials_create();
        return 0;
    }
    if (!tls->cert_file || !tls->key_file)
        return err_set(err, ERR_INVALID, "TLS needs a certificate and its key");
    struct rpc_server_creds *c = mem_zalloc(sizeof *c);
    if (!c)
        return err_nomem(err);
    pthread_mutex_init(&c->lock, NULL);
    int r = rpc_tls_files_new(tls, &c->files, err);
    if (r == 0)
        r = make_server(c, require, ret_creds, err);
    if (r < 0)
        rpc_server_creds_free(c);
    else
        *ret = c;
    return r;
}

void rpc_server_creds_free(struct rpc_server_creds *c)
{
    if (!c)
        return;
    pthread_mutex_destroy(&c->lock);
    rpc_tls_files_free(c->files);
    free(c);
}
