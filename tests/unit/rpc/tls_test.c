/* TLS: who is believed, on both ends, with certificates that are made here; what is wrong with a file is said by name; a
 * server takes up a new certificate without a restart. */
#define ERR_STATE openssl_err_state
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#undef ERR_STATE

#include "lab.h"

#include "os/clock.h"
#include "os/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct identity {
    EVP_PKEY *key;
    X509 *cert;
    char *cert_file, *key_file;
};

static void release(struct identity *id)
{
    EVP_PKEY_free(id->key);
    X509_free(id->cert);
    free(id->cert_file);
    free(id->key_file);
}

static void extend(X509 *x, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    assert_non_null(e);
    X509_add_ext(x, e, -1);
    X509_EXTENSION_free(e);
}

static void write_pem(const struct identity *id)
{
    FILE *f = fopen(id->cert_file, "we");
    assert_true(f && PEM_write_X509(f, id->cert) == 1 && fclose(f) == 0);
    f = fopen(id->key_file, "we");
    assert_true(f && PEM_write_PrivateKey(f, id->key, NULL, NULL, 0, NULL, NULL) == 1 && fclose(f) == 0);
}

/* Signed by ca, or by itself when ca is NULL. names: "DNS:localhost,...". Valid for days from now (it may be negative). */
static void make(struct lab *l, const char *name, const struct identity *ca, const char *names, int days, struct identity *id)
{
    static long serial;
    id->key = EVP_EC_gen("P-256");
    id->cert = X509_new();
    X509 *issuer = ca ? ca->cert : id->cert;
    X509_set_version(id->cert, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(id->cert), ++serial);
    X509_gmtime_adj(X509_getm_notBefore(id->cert), -(long)86400 * 10);
    X509_gmtime_adj(X509_getm_notAfter(id->cert), (long)86400 * days);
    X509_set_pubkey(id->cert, id->key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(id->cert), "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
    X509_set_issuer_name(id->cert, X509_get_subject_name(issuer));
    extend(id->cert, issuer, NID_basic_constraints, ca ? "CA:FALSE" : "critical,CA:TRUE");
    if (names)
        extend(id->cert, issuer, NID_subject_alt_name, names);
    assert_true(X509_sign(id->cert, ca ? ca->key : id->key, EVP_sha256()) > 0);
    assert_true(asprintf(&id->cert_file, "%s/%s.pem", l->dir, name) > 0);
    assert_true(asprintf(&id->key_file, "%s/%s.key", l->dir, name) > 0);
    write_pem(id);
}

struct fixture {
    struct lab lab;
    struct identity ca, server, client, stranger_ca, stranger;
    char target[64];
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    lab_init(&f->lab);
    make(&f->lab, "ca", NULL, NULL, 10, &f->ca);
    make(&f->lab, "server", &f->ca, "DNS:localhost,DNS:ff.example", 10, &f->server);
    make(&f->lab, "client", &f->ca, NULL, 10, &f->client);
    make(&f->lab, "stranger-ca", NULL, NULL, 10, &f->stranger_ca);
    make(&f->lab, "stranger", &f->stranger_ca, NULL, 10, &f->stranger);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    lab_release(&f->lab);
    release(&f->ca);
    release(&f->server);
    release(&f->client);
    release(&f->stranger_ca);
    release(&f->stranger);
    free(f);
    return 0;
}

static void serve(struct fixture *f, const char *ca_file)
{
    const struct rpc_tls tls = {
        .on = true, .ca_file = ca_file, .cert_file = f->server.cert_file, .key_file = f->server.key_file};
    snprintf(f->target, sizeof f->target, "localhost:%d", lab_serve(&f->lab, "127.0.0.1:0", &tls));
}

static void connect_as(struct fixture *f, const struct identity *id, const char *target)
{
    rpc_client_free(f->lab.client);
    f->lab.client_options.tls = (struct rpc_tls){.on = true,
                                                 .ca_file = f->ca.cert_file,
                                                 .cert_file = id ? id->cert_file : NULL,
                                                 .key_file = id ? id->key_file : NULL,
                                                 .server_name = f->lab.client_options.tls.server_name};
    lab_connect(&f->lab, target ? target : f->target);
}

/* Connects and says what came of it. */
static int connected(struct fixture *f, struct err *err)
{
    err_clear(err);
    return rpc_client_connect(f->lab.client, 3000, err);
}

static void test_tls(void **state)
{
    struct fixture *f = *state;
    struct answer a = ANSWER_INIT;
    serve(f, NULL);
    connect_as(f, NULL, NULL);
    assert_int_equal(lab_call_wait(&f->lab, ECHO, "sealed", 5000, 0, &a), 0);
    assert_string_equal(answer_text(&a), "SEALED");
    answer_release(&a);
}

static void test_untrusted(void **state)
{
    struct fixture *f = *state;
    struct err why;
    struct answer a = ANSWER_INIT;
    serve(f, NULL);
    f->lab.client_options.tls = (struct rpc_tls){.on = true, .ca_file = f->stranger_ca.cert_file};
    lab_connect(&f->lab, f->target);
    int64_t start = os_mono_ns();
    assert_int_equal(connected(f, &why), -ERR_UNAUTHENTICATED);
    assert_non_null(strstr(why.msg, "certificate"));
    assert_non_null(strstr(why.msg, f->target));
    assert_true(os_mono_ns() - start < INT64_C(2500000000)); /* no use in trying until the end */
    assert_int_equal(lab_call_wait(&f->lab, ECHO, "", 5000, RPC_REPEATABLE, &a), ERR_UNAUTHENTICATED);
    answer_release(&a);
}

/* The authority is the right one, and the name. */
static void test_expired(void **state)
{
    struct fixture *f = *state;
    struct err why;
    struct answer a = ANSWER_INIT;
    release(&f->server);
    make(&f->lab, "server", &f->ca, "DNS:localhost", -1, &f->server);
    serve(f, NULL);
    connect_as(f, NULL, NULL);
    assert_int_equal(connected(f, &why), -ERR_UNAUTHENTICATED);
    assert_non_null(strstr(why.msg, "has expired"));
    assert_non_null(strstr(why.msg, f->target));
    assert_non_null(strstr(why.hint, "renewed"));
    assert_int_equal(lab_call_wait(&f->lab, ECHO, "", 60000, RPC_REPEATABLE, &a), ERR_UNAUTHENTICATED);
    assert_int_equal(lab_calls(&f->lab), 0);
    answer_release(&a);
}

static void test_wrong_name(void **state)
{
    struct fixture *f = *state;
    struct err why;
    char target[64];
    serve(f, NULL);
    snprintf(target, sizeof target, "127.0.0.1%s", strchr(f->target, ':'));
    connect_as(f, NULL, target);
    int r = connected(f, &why);
    assert_int_equal(r, -ERR_UNAUTHENTICATED);
    assert_non_null(strstr(why.msg, "name"));
    f->lab.client_options.tls.server_name = "ff.example";
    connect_as(f, NULL, target);
    assert_int_equal(connected(f, &why), 0);
}

/* One end speaks TLS and the other does not. */
static void test_half(void **state)
{
    struct fixture *f = *state;
    struct err why;
    serve(f, NULL);
    lab_connect(&f->lab, f->target);
    assert_true(connected(f, &why) < 0);
    lab_serve_stop(&f->lab, 0);
    snprintf(f->target, sizeof f->target, "localhost:%d", lab_serve(&f->lab, "127.0.0.1:0", NULL));
    connect_as(f, NULL, NULL);
    assert_true(connected(f, &why) < 0);
    assert_non_null(strstr(why.msg, "TLS"));
}

static int need_cert(struct lab *l, struct rpc_call *call, struct err *err)
{
    (void)l;
    return rpc_call_client_cert(call) ? 0 : err_set(err, ERR_UNAUTHENTICATED, "a certificate, please");
}

static void test_mutual(void **state)
{
    struct fixture *f = *state;
    struct err why;
    f->lab.authorize = need_cert;
    serve(f, f->ca.cert_file);
    connect_as(f, NULL, NULL); /* asked for, not demanded: the service decides */
    assert_int_equal(connected(f, &why), -ERR_UNAUTHENTICATED);
    assert_string_equal(why.msg, "a certificate, please");
    connect_as(f, &f->stranger, NULL);
    assert_true(connected(f, &why) < 0);
    connect_as(f, &f->client, NULL);
    assert_int_equal(connected(f, &why), 0);
}

/* Without somebody to decide, a certificate is demanded. */
static void test_mutual_required(void **state)
{
    struct fixture *f = *state;
    struct err why;
    f->lab.options.authorize = NULL;
    serve(f, f->ca.cert_file);
    connect_as(f, NULL, NULL);
    assert_true(connected(f, &why) < 0);
    connect_as(f, &f->client, NULL);
    assert_int_equal(connected(f, &why), 0);
}

static void test_reload(void **state)
{
    struct fixture *f = *state;
    struct err why;
    serve(f, NULL);
    connect_as(f, NULL, NULL);
    assert_int_equal(connected(f, &why), 0);
    /* Half of a pair: the old one stays in use. */
    struct identity next = {0};
    make(&f->lab, "next", &f->stranger_ca, "DNS:localhost", 10, &next);
    assert_int_equal(rename(next.cert_file, f->server.cert_file), 0);
    connect_as(f, NULL, NULL);
    assert_int_equal(connected(f, &why), 0);
    assert_int_equal(rename(next.key_file, f->server.key_file), 0);
    connect_as(f, NULL, NULL);
    assert_int_equal(connected(f, &why), -ERR_UNAUTHENTICATED); /* of another authority now */
    f->lab.client_options.tls = (struct rpc_tls){.on = true, .ca_file = f->stranger_ca.cert_file};
    rpc_client_free(f->lab.client);
    lab_connect(&f->lab, f->target);
    assert_int_equal(connected(f, &why), 0);
    release(&next);
}

/* A certificate is renewed while the client runs: it connects anew with the new one. */
static void test_client_reload(void **state)
{
    struct fixture *f = *state;
    struct answer a = ANSWER_INIT, b = ANSWER_INIT, c = ANSWER_INIT;
    struct identity own = {0};
    char address[64];
    make(&f->lab, "own", &f->ca, NULL, 10, &own);
    f->lab.options.authorize = NULL; /* a certificate is demanded */
    serve(f, f->ca.cert_file);
    snprintf(address, sizeof address, "127.0.0.1%s", strchr(f->target, ':'));
    connect_as(f, &own, NULL);
    assert_int_equal(lab_call_wait(&f->lab, ECHO, "one", 5000, RPC_REPEATABLE, &a), 0);
    answer_release(&a);
    /* From now on the server believes another authority, and the old certificate is worth nothing. */
    lab_serve_stop(&f->lab, 0);
    const struct rpc_tls tls = {
        .on = true, .ca_file = f->stranger_ca.cert_file, .cert_file = f->server.cert_file, .key_file = f->server.key_file};
    lab_serve(&f->lab, address, &tls);
    assert_int_equal(rename(f->stranger.cert_file, own.cert_file), 0); /* half of a pair: nothing changes */
    assert_int_not_equal(lab_call_wait(&f->lab, ECHO, "two", 1500, RPC_REPEATABLE, &b), 0);
    answer_release(&b);
    assert_int_equal(rename(f->stranger.key_file, own.key_file), 0);
    int r = 1;
    for (int i = 0; i < 20 && r; i++) { /* a refused certificate may end a call at once */
        c = (struct answer)ANSWER_INIT;
        r = lab_call_wait(&f->lab, ECHO, "three", 5000, RPC_REPEATABLE, &c);
        if (r)
            answer_release(&c);
        os_sleep_ms(r ? 200 : 0);
    }
    assert_int_equal(r, 0);
    assert_string_equal(answer_text(&c), "THREE");
    answer_release(&c);
    release(&own);
}

static void test_files(void **state)
{
    struct fixture *f = *state;
    struct identity old = {0};
    make(&f->lab, "old", &f->ca, NULL, -1, &old);
    const struct {
        struct rpc_tls tls;
        int code;
        const char *text;
    } table[] = {
        {{.ca_file = "/nowhere/ca.pem"}, ERR_MISSING, "/nowhere/ca.pem"},
        {{.ca_file = f->ca.key_file}, ERR_MISSING, "no PEM certificate"},
        {{.ca_file = f->ca.cert_file, .cert_file = f->client.cert_file}, ERR_INVALID, "belong together"},
        {{.ca_file = f->ca.cert_file, .cert_file = f->client.cert_file, .key_file = f->ca.key_file}, ERR_MISSING, "not that of"},
        {{.ca_file = f->ca.cert_file, .cert_file = f->client.key_file, .key_file = f->ca.key_file}, ERR_MISSING, "client.key"},
        {{.ca_file = f->ca.cert_file, .cert_file = old.cert_file, .key_file = old.key_file}, ERR_UNAUTHENTICATED, "expired"},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct rpc_client_options o = {.target = "localhost:1", .tls = table[i].tls};
        struct rpc_client *c = NULL;
        struct err why = {0};
        o.tls.on = true;
        assert_int_equal(rpc_client_new(&o, &c, &why), -table[i].code);
        if (!strstr(why.msg, table[i].text))
            fail_msg("%s", why.msg);
    }
    release(&old);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)
    const struct CMUnitTest tests[] = {T(tls),  T(untrusted), T(expired),         T(wrong_name),
                                       T(half), T(mutual),    T(mutual_required), T(reload),
                                       T(client_reload), T(files)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
