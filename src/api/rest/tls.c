#include "api/rest/tls.h"

#include "base/assert.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "base/mem.h"

#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <stdatomic.h>
#include <string.h>

#define CHAIN_MAX 16
#define PRIORITIES "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"

#define TLS_CALLS(X)                                                                                                         \
    X(gnutls_certificate_get_peers) X(gnutls_certificate_send_x509_rdn_sequence) X(gnutls_malloc) X(gnutls_pcert_deinit)     \
    X(gnutls_bye) X(gnutls_record_recv) X(gnutls_record_send) X(gnutls_transport_get_int)                                    \
    X(gnutls_pcert_list_import_x509_raw) X(gnutls_privkey_deinit) X(gnutls_privkey_import_x509_raw) X(gnutls_privkey_init)   \
    X(gnutls_x509_crt_deinit) X(gnutls_x509_crt_import) X(gnutls_x509_crt_init) X(gnutls_x509_trust_list_add_trust_mem)      \
    X(gnutls_x509_trust_list_deinit) X(gnutls_x509_trust_list_init) X(gnutls_x509_trust_list_verify_crt)
static struct {
    TLS_CALLS(OS_LIBRARY_FIELD)
} lib;

struct rest_tls {
    struct rpc_tls tls;
    struct rpc_tls_files *files;
    char *cert, *key; /* PEM */
    char *ca;         /* the authority as it was at the start: MHD asks clients for a certificate because of it, and names it */
    gnutls_x509_trust_list_t trust; /* the authority as it is now; NULL: none */
    bool ca_renewed;
};

static _Atomic(struct rest_tls *) served;

static void forget_pair(struct rest_tls *t)
{
    free(TAKE_PTR(t->cert));
    if (t->key)
        explicit_bzero(t->key, strlen(t->key));
    free(TAKE_PTR(t->key));
}

static void forget_trust(gnutls_x509_trust_list_t list)
{
    if (list)
        lib.gnutls_x509_trust_list_deinit(list, 1);
}

static int read_trust(struct rest_tls *t, char *pem, struct err *err)
{
    gnutls_x509_trust_list_t list = NULL;
    gnutls_datum_t d = {(unsigned char *)pem, (unsigned)strlen(pem)};
    if (lib.gnutls_x509_trust_list_init(&list, 0) < 0)
        return err_nomem(err);
    if (lib.gnutls_x509_trust_list_add_trust_mem(list, &d, NULL, GNUTLS_X509_FMT_PEM, 0, 0) < 1) {
        forget_trust(list);
        return err_set(err, ERR_INVALID, "%s: libgnutls does not take it", t->tls.ca_file);
    }
    forget_trust(t->trust);
    t->trust = list;
    return 0;
}

static void look_at_authority(struct rest_tls *t)
{
    struct err err = {0};
    _cleanup_free_ char *pem = NULL;
    if (!t->ca)
        return;
    if (rpc_tls_read_ca(t->tls.ca_file, &pem, &err) < 0 || read_trust(t, pem, &err) < 0)
        log_warn("the authority before stays in use: %s", err.msg);
    else
        t->ca_renewed = t->ca_renewed || strcmp(pem, t->ca) != 0;
}

/* Files that are half replaced keep the old ones in use until they fit again. */
static void look_at_files(struct rest_tls *t)
{
    struct err err = {0};
    char *cert, *key;
    if (!rpc_tls_files_changed(t->files))
        return;
    look_at_authority(t);
    if (rpc_tls_read_pair(&t->tls, &cert, &key, &err) < 0) {
        log_warn("the certificate before stays in use: %s", err.msg);
        return;
    }
    forget_pair(t);
    t->cert = cert;
    t->key = key;
}

static gnutls_datum_t datum(char *text)
{
    return (gnutls_datum_t){(unsigned char *)text, (unsigned)strlen(text)};
}

static int import_chain(const struct rest_tls *t, gnutls_pcert_st **ret, unsigned *ret_n)
{
    gnutls_datum_t pem = datum(t->cert);
    gnutls_pcert_st *list = (*lib.gnutls_malloc)(CHAIN_MAX * sizeof *list); /* the library frees it */
    unsigned n = CHAIN_MAX;
    if (!list)
        return -1;
    if (lib.gnutls_pcert_list_import_x509_raw(list, &n, &pem, GNUTLS_X509_FMT_PEM, 0) < 0)
        n = 0;
    *ret = list;
    *ret_n = n;
    return 0;
}

/* At each handshake, on the server's thread. What it gives is the session's from then on. */
static int give_certificate(gnutls_session_t session, const struct gnutls_cert_retr_st *info, gnutls_pcert_st **certs,
                            unsigned *certs_n, gnutls_ocsp_data_st **ocsp, unsigned *ocsp_n, gnutls_privkey_t *key,
                            unsigned *flags)
{
    struct rest_tls *t = atomic_load(&served);
    (void)info;
    look_at_files(t);
    if (session && t->ca_renewed) /* MHD would name the one before, and clients keep what that has not signed to themselves */
        lib.gnutls_certificate_send_x509_rdn_sequence(session, 1);
    gnutls_datum_t pem = datum(t->key);
    *ocsp = NULL;
    *ocsp_n = 0;
    *flags = GNUTLS_CERT_RETR_DEINIT_ALL;
    if (import_chain(t, certs, certs_n) < 0 || lib.gnutls_privkey_init(key) < 0)
        return -1;
    return *certs_n && lib.gnutls_privkey_import_x509_raw(*key, &pem, GNUTLS_X509_FMT_PEM, NULL, 0) == 0 ? 0 : -1;
}

void rest_tls_options(struct rest_tls *t, struct MHD_OptionItem ret[4])
{
    size_t n = 0;
    ret[n++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)(uintptr_t)PRIORITIES};
    ret[n++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_CERT_CALLBACK2, 0, (void *)(uintptr_t)give_certificate};
    if (t->ca)
        ret[n++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_TRUST, 0, t->ca};
    ret[n] = (struct MHD_OptionItem){MHD_OPTION_END, 0, NULL};
}

/* The chain as the authority of now judges it. */
static bool chain_verified(struct rest_tls *t, const gnutls_datum_t *raw, unsigned n)
{
    gnutls_x509_crt_t chain[CHAIN_MAX];
    unsigned made = 0, status = 0;
    bool ok = n > 0 && n <= CHAIN_MAX;
    while (ok && made < n) {
        ok = lib.gnutls_x509_crt_init(&chain[made]) == 0;
        made += ok;
        ok = ok && lib.gnutls_x509_crt_import(chain[made - 1], &raw[made - 1], GNUTLS_X509_FMT_DER) == 0;
    }
    ok = ok && lib.gnutls_x509_trust_list_verify_crt(t->trust, chain, n, 0, &status, NULL) == 0 && status == 0;
    while (made > 0)
        lib.gnutls_x509_crt_deinit(chain[--made]);
    return ok;
}

static gnutls_session_t session_of(struct MHD_Connection *conn)
{
    const union MHD_ConnectionInfo *i = http.MHD_get_connection_info(conn, MHD_CONNECTION_INFO_GNUTLS_SESSION);
    return i ? i->tls_session : NULL;
}

void rest_tls_send_last(struct MHD_Connection *conn, const char *data, size_t len)
{
    gnutls_session_t session = session_of(conn);
    if (session && lib.gnutls_record_send(session, data, len) > 0)
        (void)lib.gnutls_bye(session, GNUTLS_SHUT_WR);
}

static int load(struct err *err)
{
    static const struct os_symbol calls[] = {TLS_CALLS(OS_LIBRARY_ENTRY)};
    return os_library_load("libgnutls.so.30", calls, ARRAY_LEN(calls), err);
}

/* The linker exports these two, for the library (mhd.h). */
__attribute__((visibility("default"), used)) ssize_t gnutls_record_recv(gnutls_session_t session, void *data, size_t size)
{
    if (!lib.gnutls_record_recv && load(NULL) < 0)
        return GNUTLS_E_INTERNAL_ERROR;
    ssize_t n = lib.gnutls_record_recv(session, data, size);
    if (n != GNUTLS_E_AGAIN && n != GNUTLS_E_INTERRUPTED)
        http_hears(lib.gnutls_transport_get_int(session), n <= 0);
    return n;
}

__attribute__((visibility("default"), used)) int gnutls_bye(gnutls_session_t session, gnutls_close_request_t how)
{
    if (!lib.gnutls_bye && load(NULL) < 0)
        return GNUTLS_E_INTERNAL_ERROR;
    http_ends(lib.gnutls_transport_get_int(session), true);
    return lib.gnutls_bye(session, how);
}

bool rest_tls_verified(struct rest_tls *t, struct MHD_Connection *conn)
{
    unsigned n = 0;
    if (!t->trust)
        return false;
    gnutls_session_t session = session_of(conn);
    const gnutls_datum_t *raw = session ? lib.gnutls_certificate_get_peers(session, &n) : NULL;
    return raw && chain_verified(t, raw, n);
}

/* The library's own parser may be stricter than that which has checked the files. */
static int try_pair(struct rest_tls *t, struct err *err)
{
    gnutls_pcert_st *certs = NULL;
    gnutls_ocsp_data_st *ocsp;
    gnutls_privkey_t key = NULL;
    unsigned n = 0, ocsp_n, flags;
    int r = give_certificate(NULL, NULL, &certs, &n, &ocsp, &ocsp_n, &key, &flags);
    for (unsigned i = 0; i < n; i++)
        lib.gnutls_pcert_deinit(&certs[i]);
    free(certs);
    if (key)
        lib.gnutls_privkey_deinit(key);
    return r < 0 ? err_set(err, ERR_INVALID, "%s: libgnutls does not take it", t->tls.cert_file) : 0;
}

int rest_tls_open(const struct rpc_tls *tls, struct rest_tls **ret, struct err *err)
{
    struct rest_tls *t = mem_zalloc(sizeof *t), *none = NULL;
    if (!t)
        return err_nomem(err);
    int r = load(err);
    if (r == 0)
        r = rpc_tls_files_new(tls, &t->files, err);
    if (r == 0) {
        t->tls = *rpc_tls_files_names(t->files);
        rpc_tls_files_changed(t->files); /* before they are read: what changes from here on is seen */
        r = rpc_tls_read_pair(&t->tls, &t->cert, &t->key, err);
    }
    if (r == 0 && t->tls.ca_file)
        r = rpc_tls_read_ca(t->tls.ca_file, &t->ca, err);
    if (r == 0 && t->ca)
        r = read_trust(t, t->ca, err);
    if (r == 0) {
        ASSERT(atomic_compare_exchange_strong(&served, &none, t));
        r = try_pair(t, err);
    }
    if (r < 0) {
        rest_tls_free(t);
        return r;
    }
    *ret = t;
    return 0;
}

void rest_tls_free(struct rest_tls *t)
{
    if (!t)
        return;
    struct rest_tls *own = t;
    atomic_compare_exchange_strong(&served, &own, NULL);
    forget_pair(t);
    forget_trust(t->trust);
    free(t->ca);
    rpc_tls_files_free(t->files);
    free(t);
}
