/* Requests to a server. */
#include "api/client/client_internal.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "base/units.h"
#include "codec/json.h"
#include "os/clock.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define BEARER "Authorization: Bearer "
#define CONNECT_MS 10000L
#define ASK_MS 10000L
#define STALL_S 600L /* an upload is answered when it was unpacked */
#define STREAM_STALL_S 60L /* a stream says something every 15 seconds */
#define ERROR_MAX ((size_t)1 << 20)
#define BUSY_WAIT_MAX_MS INT64_C(30000) /* of all waiting that servers ask for */
#define RETRY_FIRST_MS 200
#define RETRY_LAST_MS 3000

struct client {
    char *url; /* without a slash at its end */
    char *authorization; /* "Authorization: Bearer ..."; NULL: none */
    char *name_space, *ca_file, *cert_file, *key_file;
    bool insecure, local;
    int64_t patience_ms;
    bool (*interrupted)(void *arg);
    void *arg;
    CURLM *multi; /* keeps connections */
    CURL *easy;
};

/* --- where to -------------------------------------------------------------------------------------------------------- */

static bool host_is_local(const char *host, size_t n)
{
    return (n == 9 && strncasecmp(host, "localhost", 9) == 0) || (n == 5 && strncmp(host, "[::1]", 5) == 0) ||
           (n > 4 && strncmp(host, "127.", 4) == 0 && strspn(host, "0123456789.") == n);
}

/* The host's place in a URL; NULL: it is none of ours. */
static const char *host_of(const char *url, size_t *ret_len)
{
    const char *host = strncasecmp(url, "http://", 7) == 0 ? url + 7 : strncasecmp(url, "https://", 8) == 0 ? url + 8 : NULL;
    if (!host)
        return NULL;
    size_t n = strcspn(host, "/?#");
    if (memchr(host, '@', n))
        return NULL;
    *ret_len = host[0] == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":/?#");
    return *ret_len && *ret_len <= n ? host : NULL;
}

bool client_url_is_local(const char *url)
{
    size_t n;
    const char *host = host_of(url, &n);
    return host && host_is_local(host, n);
}

static int check_url(const struct client_options *o, struct err *err)
{
    size_t n;
    bool odd = strpbrk(o->url, "?#") != NULL;
    for (const char *p = o->url; *p; p++)
        odd = odd || (unsigned char)*p <= ' ' || *p == 0x7f;
    if (odd || !host_of(o->url, &n)) {
        err_set(err, ERR_USAGE, "'%.200s' is no URL of a server", o->url);
        return err_hint(err, "http://127.0.0.1:8000 is one; a token is not part of it");
    }
    if (strncasecmp(o->url, "http://", 7) != 0 || o->plain_http || client_url_is_local(o->url))
        return 0;
    err_set(err, ERR_USAGE, "%.200s is on another machine, and http would send token and target in the clear", o->url);
    return err_hint(err, "use https://; FF_SERVER_PLAIN_HTTP=true allows it all the same");
}

static char *copy(const char *s)
{
    return s && *s ? mem_strdup(s) : NULL;
}

static bool copied(const char *s, const char *c)
{
    return !s || !*s || c;
}

int client_new(const struct client_options *o, struct client **ret, struct err *err)
{
    int r = check_url(o, err);
    if (r == 0 && o->token && o->token[strspn(o->token, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/=")])
        r = err_set(err, ERR_USAGE, "the token has characters that no token has");
    if (r == 0 && o->name_space && o->name_space[strspn(o->name_space, "abcdefghijklmnopqrstuvwxyz0123456789-._")])
        r = err_set(err, ERR_USAGE, "'%.80s' is no name of a namespace", o->name_space);
    if (r == 0)
        r = curl_load(err);
    struct client *c = r == 0 ? mem_zalloc(sizeof *c) : NULL;
    if (!c)
        return r < 0 ? r : err_nomem(err);
    *c = (struct client){.url = copy(o->url), .name_space = copy(o->name_space), .ca_file = copy(o->ca_file),
                         .cert_file = copy(o->cert_file), .key_file = copy(o->key_file), .insecure = o->insecure,
                         .local = client_url_is_local(o->url), .patience_ms = o->patience_ms,
                         .interrupted = o->interrupted, .arg = o->arg};
    c->authorization = o->token && *o->token ? mem_printf(BEARER "%s", o->token) : NULL;
    c->multi = lib.curl_multi_init();
    c->easy = lib.curl_easy_init();
    if (!c->url || !c->multi || !c->easy || !copied(o->ca_file, c->ca_file) || !copied(o->cert_file, c->cert_file) ||
        !copied(o->key_file, c->key_file) || !copied(o->name_space, c->name_space) || !copied(o->token, c->authorization)) {
        client_free(c);
        return err_nomem(err);
    }
    for (size_t n = strlen(c->url); n > 0 && c->url[n - 1] == '/'; n--)
        c->url[n - 1] = 0;
    *ret = c;
    return 0;
}

void client_free(struct client *c)
{
    if (!c)
        return;
    if (c->easy)
        lib.curl_easy_cleanup(c->easy);
    if (c->multi)
        lib.curl_multi_cleanup(c->multi);
    if (c->authorization)
        explicit_bzero(c->authorization, strlen(c->authorization));
    free(c->authorization);
    free(c->url);
    free(c->name_space);
    free(c->ca_file);
    free(c->cert_file);
    free(c->key_file);
    free(c);
}

const char *client_url(const struct client *c)
{
    return c->url;
}

curl_mime *client_form(struct client *c)
{
    return lib.curl_mime_init(c->easy);
}

int client_again(const struct client *c, struct client **ret, struct err *err)
{
    const char *token = c->authorization ? c->authorization + strlen(BEARER) : NULL;
    const struct client_options o = {.url = c->url, .token = token, .name_space = c->name_space, .ca_file = c->ca_file,
                                     .cert_file = c->cert_file, .key_file = c->key_file, .insecure = c->insecure,
                                     .plain_http = true, .patience_ms = c->patience_ms};
    return client_new(&o, ret, err);
}

int64_t client_patience_ms(const struct client *c)
{
    return c->patience_ms;
}

bool client_interrupted(const struct client *c)
{
    return c->interrupted && c->interrupted(c->arg);
}

bool client_wait(const struct client *c, int64_t ms)
{
    for (int64_t end = os_mono_ns() + ms * NS_PER_MS; os_mono_ns() < end && !client_interrupted(c);)
        os_sleep_ms(CLIENT_TICK_MS);
    return !client_interrupted(c);
}

/* --- one attempt ------------------------------------------------------------------------------------------------------ */

struct receiver {
    struct client *c;
    struct transfer *t;
    struct strbuf body;
    struct err err; /* of what takes the bytes */
};

static size_t receive(char *data, size_t size, size_t n, void *arg)
{
    struct receiver *x = arg;
    long status = 0;
    lib.curl_easy_getinfo(x->c->easy, CURLINFO_RESPONSE_CODE, &status);
    n *= size;
    bool good = status >= 200 && status < 300;
    if (good && x->t->call->take)
        return x->t->call->take(x->t->call->arg, data, n, &x->err) < 0 ? 0 : n;
    if (!good && x->body.max > ERROR_MAX)
        x->body.max = ERROR_MAX;
    strbuf_append(&x->body, data, n);
    return strbuf_check(&x->body, &x->err) < 0 ? 0 : n;
}

static size_t receive_header(char *data, size_t size, size_t n, void *arg)
{
    struct receiver *x = arg;
    char line[1024];
    n *= size;
    snprintf(line, sizeof line, "%.*s", (int)(n < sizeof line ? n : sizeof line - 1), data);
    x->t->on_header(x->t->header_arg, line);
    return n;
}

static int add_header(struct curl_slist **list, const char *text, struct err *err)
{
    struct curl_slist *more = text ? lib.curl_slist_append(*list, text) : NULL;
    if (!more)
        return err_nomem(err);
    *list = more;
    return 0;
}

static int make_headers(const struct client *c, const struct transfer *t, bool json, struct curl_slist **ret, struct err *err)
{
    char line[300];
    const char *accept = t->accept ? t->accept : t->last_event_id ? "text/event-stream" : "application/json";
    snprintf(line, sizeof line, "Accept: %.200s", accept);
    int r = add_header(ret, "User-Agent: ff", err);
    if (r == 0 && c->authorization)
        r = add_header(ret, c->authorization, err);
    if (r == 0)
        r = add_header(ret, line, err);
    if (r == 0 && c->name_space) {
        snprintf(line, sizeof line, "X-FF-Namespace: %.200s", c->name_space);
        r = add_header(ret, line, err);
    }
    for (size_t i = 0; r == 0 && t->headers && t->headers[i]; i++)
        r = add_header(ret, t->headers[i], err);
    if (r == 0)
        r = add_header(ret, t->asks ? "Expect: 100-continue" : "Expect:", err);
    if (r == 0 && (json || t->read))
        r = add_header(ret, json ? "Content-Type: application/json" : "Content-Type: application/octet-stream", err);
    if (r == 0 && t->read && t->read_size < 0)
        r = add_header(ret, "Transfer-Encoding: chunked", err);
    if (r == 0 && t->last_event_id && *t->last_event_id) {
        snprintf(line, sizeof line, "Last-Event-ID: %.20s", t->last_event_id);
        r = add_header(ret, line, err);
    }
    if (r == 0 && t->call->key) {
        snprintf(line, sizeof line, "Idempotency-Key: %.200s", t->call->key);
        r = add_header(ret, line, err);
    }
    return r;
}

static void set_security(struct client *c)
{
    CURL *e = c->easy;
    lib.curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
    lib.curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L); /* the token is for this server alone */
    if (c->local)
        lib.curl_easy_setopt(e, CURLOPT_NOPROXY, "*");
    if (c->ca_file)
        lib.curl_easy_setopt(e, CURLOPT_CAINFO, c->ca_file);
    if (c->cert_file)
        lib.curl_easy_setopt(e, CURLOPT_SSLCERT, c->cert_file);
    if (c->key_file)
        lib.curl_easy_setopt(e, CURLOPT_SSLKEY, c->key_file);
    if (c->insecure) {
        lib.curl_easy_setopt(e, CURLOPT_SSL_VERIFYPEER, 0L);
        lib.curl_easy_setopt(e, CURLOPT_SSL_VERIFYHOST, 0L);
    }
}

static void set_request(struct receiver *x, const char *url, const char *body, struct curl_slist *headers)
{
    CURL *e = x->c->easy;
    const struct client_call *q = x->t->call;
    lib.curl_easy_reset(e); /* connections stay */
    set_security(x->c);
    lib.curl_easy_setopt(e, CURLOPT_URL, url);
    lib.curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    lib.curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
    lib.curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS);
    lib.curl_easy_setopt(e, CURLOPT_LOW_SPEED_LIMIT, 1L);
    lib.curl_easy_setopt(e, CURLOPT_LOW_SPEED_TIME, q->lasts ? 0L : x->t->last_event_id ? STREAM_STALL_S : STALL_S);
    lib.curl_easy_setopt(e, CURLOPT_TCP_KEEPALIVE, 1L);
    lib.curl_easy_setopt(e, CURLOPT_UPLOAD_BUFFERSIZE, 256L << 10);
    lib.curl_easy_setopt(e, CURLOPT_HTTPHEADER, headers);
    lib.curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, receive);
    lib.curl_easy_setopt(e, CURLOPT_WRITEDATA, x);
    if (x->t->on_header) {
        lib.curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, receive_header);
        lib.curl_easy_setopt(e, CURLOPT_HEADERDATA, x);
    }
    if (x->t->asks)
        lib.curl_easy_setopt(e, CURLOPT_EXPECT_100_TIMEOUT_MS, ASK_MS);
    if (x->t->read) {
        lib.curl_easy_setopt(e, CURLOPT_POST, 1L);
        lib.curl_easy_setopt(e, CURLOPT_READFUNCTION, x->t->read);
        lib.curl_easy_setopt(e, CURLOPT_READDATA, x->t->read_arg);
        lib.curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE, x->t->read_size);
    } else if (x->t->form)
        lib.curl_easy_setopt(e, CURLOPT_MIMEPOST, x->t->form);
    else if (body || (q->method && strcmp(q->method, "POST") == 0))
        lib.curl_easy_setopt(e, CURLOPT_POSTFIELDS, body ? body : "");
    if (q->method)
        lib.curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, q->method);
}

static int no_answer(const struct client *c, CURLcode code, const char *text, struct err *err)
{
    if (!*text)
        text = lib.curl_easy_strerror(code);
    switch (code) {
    case CURLE_OUT_OF_MEMORY:
        return err_nomem(err);
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_URL_MALFORMAT:
        return err_set(err, ERR_USAGE, "%s: %s", c->url, text);
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_ISSUER_ERROR:
        err_set(err, ERR_UNAUTHENTICATED, "%s does not prove that it is that server: %s", c->url, text);
        return err_hint(err, "--ca-file FILE names the certificates to trust");
    case CURLE_SSL_CONNECT_ERROR:
        err_set(err, ERR_UNAVAILABLE, "%s: %s", c->url, text);
        return err_hint(err, "is it a server with TLS, and does it want a certificate (--client-cert)?");
    case CURLE_PARTIAL_FILE:
        err_set(err, ERR_UNAVAILABLE, "%s broke off its answer: %s", c->url, text);
        return err_hint(err, "the server's log says why");
    case CURLE_RECV_ERROR: /* TLS 1.3: the server looks at the client's certificate when the client has finished already */
    case CURLE_SEND_ERROR:
        err_set(err, ERR_UNAVAILABLE, "no answer from %s: %s", c->url, text);
        return err_hint(err, "is 'ff serve' running there%s?",
                        strncasecmp(c->url, "https:", 6) == 0 ? ", and does it want a certificate (--client-cert)" : "");
    default:
        err_set(err, ERR_UNAVAILABLE, "no answer from %s: %s", c->url, text);
        return err_hint(err, "is 'ff serve' running there?");
    }
}

/* Until it is done, or stopped. */
static CURLcode run_transfer(struct client *c, struct transfer *t)
{
    int running = 1, left;
    CURLcode code = CURLE_OUT_OF_MEMORY;
    if (lib.curl_multi_add_handle(c->multi, c->easy) != CURLM_OK)
        return code;
    while (lib.curl_multi_perform(c->multi, &running) == CURLM_OK && running) {
        lib.curl_multi_poll(c->multi, NULL, 0, CLIENT_TICK_MS, NULL);
        t->stopped = t->stop ? t->stop(t->stop_arg) : client_interrupted(c);
        if (t->stopped)
            break;
    }
    for (CURLMsg *m; (m = lib.curl_multi_info_read(c->multi, &left));)
        if (m->msg == CURLMSG_DONE)
            code = m->data.result;
    lib.curl_multi_remove_handle(c->multi, c->easy);
    return t->stopped ? CURLE_OK : code;
}

static int finish_transfer(struct receiver *x, CURLcode code, const char *text, struct err *err)
{
    curl_off_t after = 0;
    if (x->err.code)
        return err_copy(err, &x->err);
    if (x->t->stopped && !x->t->stop)
        return err_set(err, ERR_CANCELLED, "cancelled");
    lib.curl_easy_getinfo(x->c->easy, CURLINFO_RESPONSE_CODE, &x->t->status);
    lib.curl_easy_getinfo(x->c->easy, CURLINFO_RETRY_AFTER, &after);
    x->t->retry_after_ms = after > 0 && after < 3600 ? after * 1000 : 0;
    bool told = x->t->status >= 400; /* and then closed: it did not want the rest of what was sent */
    if (code != CURLE_OK && !told)
        return no_answer(x->c, code, text, err);
    x->t->len = x->body.len;
    x->t->text = strbuf_take(&x->body, NULL);
    return 0;
}

int client_transfer(struct client *c, struct transfer *t, struct err *err)
{
    const struct client_call *q = t->call;
    struct receiver x = {.c = c, .t = t, .body = STRBUF_INIT_MAX(q->max ? q->max : CLIENT_DOCUMENT_MAX)};
    struct curl_slist *headers = NULL;
    char text[CURL_ERROR_SIZE] = "";
    _cleanup_free_ char *url = mem_printf("%s%s", c->url, q->path);
    _cleanup_free_ char *body = q->body ? json_dumps(q->body, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
    t->status = 0;
    int r = url && (!q->body || body) ? make_headers(c, t, body != NULL, &headers, err) : err_nomem(err);
    if (r == 0) {
        set_request(&x, url, body, headers);
        lib.curl_easy_setopt(c->easy, CURLOPT_ERRORBUFFER, text);
        CURLcode code = run_transfer(c, t);
        lib.curl_easy_setopt(c->easy, CURLOPT_ERRORBUFFER, NULL);
        r = finish_transfer(&x, code, text, err);
    }
    lib.curl_slist_free_all(headers);
    strbuf_release(&x.body);
    return r;
}

void transfer_release(struct transfer *t)
{
    lib.curl_mime_free(t->form);
    free(t->text);
    t->form = NULL;
    t->text = NULL;
}

/* --- what it says ------------------------------------------------------------------------------------------------------ */

static int code_of_status(long status)
{
    static const struct {
        long status;
        int code;
    } table[] = {{400, ERR_USAGE},       {401, ERR_UNAUTHENTICATED}, {403, ERR_PERMISSION}, {404, ERR_NOT_FOUND},
                 {405, ERR_UNIMPLEMENTED}, {409, ERR_STATE},         {413, ERR_LIMIT},      {415, ERR_USAGE},
                 {422, ERR_INVALID},     {429, ERR_BUSY},            {501, ERR_UNIMPLEMENTED}, {502, ERR_UNAVAILABLE},
                 {503, ERR_UNAVAILABLE}, {504, ERR_TIMEOUT},         {507, ERR_NO_SPACE}};
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (table[i].status == status)
            return table[i].code;
    return status >= 500 ? ERR_INTERNAL : ERR_USAGE;
}

/* The code's own name, where the server says it. */
static int code_of(const json_t *error, long status)
{
    const char *name = json_str(error, "code", "");
    for (int code = 1; code < ERR_COUNT_; code++)
        if (strcmp(name, err_name(code)) == 0)
            return code;
    return code_of_status(status);
}

/* What a user can do about it. */
static int add_hint(const struct client *c, const json_t *error, int code, long status, struct err *err)
{
    bool token = code == ERR_UNAUTHENTICATED && status == 401; /* else it is the server that was not let in elsewhere */
    if (token && !c->authorization)
        return err_hint(err, "give a token: --token-file FILE, or FF_SERVER_TOKEN; 'ff token create' on the server makes one");
    if (token)
        return err_hint(err, "the token is not known there, or it has expired: 'ff token create' on the server makes a new one");
    const char *hint = json_str(error, "hint", NULL);
    if (code == ERR_PERMISSION && status == 403 && !hint)
        return err_hint(err, "a token of another role or namespace may: 'ff token create --role ROLE' on the server makes one");
    return hint ? err_hint(err, "%s", hint) : -code;
}

int client_judge(const struct client *c, const struct transfer *t, struct err *err)
{
    _cleanup_json_ json_t *doc = NULL;
    if (t->status >= 200 && t->status < 300)
        return 0;
    if (t->status >= 300 && t->status < 400)
        return err_set(err, ERR_USAGE, "%s sends clients to another address, which is not followed", c->url);
    if (!t->text || json_parse(t->text, t->len, ERROR_MAX, &doc, NULL) < 0)
        doc = NULL;
    const json_t *error = json_object_get(json_object_get(doc, "detail"), "error");
    const char *message = json_str(error, "message", NULL);
    int code = code_of(error, t->status);
    if (message)
        err_set(err, (enum err_code)code, "%s", message);
    else
        err_set(err, (enum err_code)code, "%s answers %ld, and not as a server of FuzzForge does", c->url, t->status);
    return add_hint(c, error, code, t->status, err);
}

/* --- calls -------------------------------------------------------------------------------------------------------------- */

int client_read(const struct client *c, const struct transfer *t, json_t **ret, struct err *err)
{
    int r = json_parse(t->text ? t->text : "", t->len, CLIENT_DOCUMENT_MAX, ret, err);
    return r == -ERR_INVALID ? err_set(err, ERR_CORRUPT, "%s answers with what is no JSON", c->url) : r;
}

int64_t client_next_try(const struct client_call *q, const struct transfer *t, int r, struct client_patience *p)
{
    bool same = q->key || !q->method || strcmp(q->method, "DELETE") == 0; /* doing it again changes nothing more */
    int64_t pause = RETRY_FIRST_MS << (p->tries < 5 ? p->tries : 5);
    pause = pause < RETRY_LAST_MS ? pause : RETRY_LAST_MS;
    if (!p->tries++)
        p->begun_ns = os_mono_ns(); /* that it was there before is not known */
    if (!same || (q->take && t->status >= 200 && t->status < 300)) /* what was taken cannot be given back */
        return -1;
    if (t->status == 429 || t->status == 503) {
        pause = t->retry_after_ms ? t->retry_after_ms : pause;
        p->busy_ms += pause;
        return p->busy_ms <= BUSY_WAIT_MAX_MS ? pause : -1;
    }
    bool gone = r == -ERR_UNAVAILABLE || t->status == 502 || t->status == 504;
    return gone && (os_mono_ns() - p->begun_ns) / NS_PER_MS + pause < q->patience_ms ? pause : -1;
}

int client_call(struct client *c, const struct client_call *q, json_t **ret, struct err *err)
{
    struct client_patience patience = {0};
    for (;;) {
        struct transfer t = {.call = q};
        int r = client_transfer(c, &t, err);
        if (r == 0)
            r = client_judge(c, &t, err);
        if (r == 0 && !q->take)
            r = client_read(c, &t, ret, err);
        int64_t pause = r < 0 ? client_next_try(q, &t, r, &patience) : -1;
        transfer_release(&t);
        if (pause < 0)
            return r;
        if (!client_wait(c, pause))
            return err_set(err, ERR_CANCELLED, "cancelled");
        err_clear(err);
    }
}

int client_get(struct client *c, const char *path, json_t **ret, struct err *err)
{
    return client_call(c, &(struct client_call){.path = path}, ret, err);
}
