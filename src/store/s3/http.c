#include "store/s3/http.h"

#include "base/assert.h"
#include "base/cleanup.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "base/units.h"
#include "codec/uri.h"
#include "os/clock.h"
#include "os/fault.h"
#include "store/digest.h"
#include "store/s3/credentials.h"
#include "store/s3/curl.h"
#include "store/s3/sign.h"
#include "store/s3/xml.h"
#include "store/store_internal.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>

#define IDLE_MAX 64          /* connections kept */
#define CONNECT_MS 5000L
#define STALL_S 10L          /* so long less than STALL_BYTES a second: another try */
#define STALL_BYTES 2048L
#define ATTEMPT_S 60L        /* an attempt takes at most this, or a second for each SLOW_BYTES */
#define SLOW_BYTES (16 << 10) /* four packs at a time by a line of half a megabit a second */
#define RETRY_MS INT64_C(60000)
#define LAST_MS 1000         /* less is no time for another try, or a quarter of what there was */
#define DENIED_TRIES 4       /* MinIO says "denied" as well where a folder of its disk comes and goes beneath it */
#define DELAY_MIN_MS 50
#define DELAY_MAX_MS 5000
#define SMALL_BODY ((size_t)32 << 10) /* goes out in one piece with its headers; as an answer it needs no large buffer */
#define BUFFER_BYTES (256L << 10)
#define BUFFER_SMALL (16L << 10) /* finding and clearing a large one costs more than a small answer */
#define UNSENT_BYTES (128 << 10) /* goes out within STALL_S where SLOW_BYTES a second do */
#define SKEW_MIN_NS (3 * NS_PER_S)
#define CRC_HEADER "x-amz-checksum-crc32: "
#define ERROR_BODY_MAX ((size_t)64 << 10)

struct s3_http {
    char *base;        /* "https://host[:port]" or "https://bucket.host", then "/bucket" if path style */
    char *host;        /* "Host: ..." */
    const char *path;  /* within base: "" or "/bucket" */
    char *bucket, *region, *ca_file;
    char *credentials_file, *profile;
    pthread_rwlock_t keys_lock; /* guards keys */
    struct s3_keys keys;
    atomic_uint keys_age; /* how often they have changed */
    int64_t retry_ms;
    atomic_llong skew_ns;
    struct s3_http_stats stats;
    pthread_mutex_t lock; /* guards idle */
    CURL *idle[IDLE_MAX];
    size_t idle_len;
};

/* One attempt. */
struct attempt {
    const struct s3_request *q;
    struct s3_response *ret;
    size_t sent, cap;
    bool error_body; /* the status says that the body is an error document */
    bool over, nomem, late; /* late: it went on to the end, too slowly */
    unsigned keys_age; /* of those that it was signed with */
    CURL *c;
};

/* --- where to ------------------------------------------------------------------------------------------- */

static bool virtual_style(const struct s3_options *o, bool aws, bool *ret, struct err *err)
{
    const char *style = o->style && *o->style ? o->style : "auto";
    bool dotted = strchr(o->bucket, '.'); /* no certificate for *.s3.amazonaws.com covers those */
    *ret = strcmp(style, "virtual") == 0 || (strcmp(style, "auto") == 0 && aws && !dotted);
    if (*ret || strcmp(style, "path") == 0 || strcmp(style, "auto") == 0)
        return true;
    err_set(err, ERR_INVALID, "s3.style '%.20s' is none of auto, path, virtual", style);
    return false;
}

static int set_base(struct s3_http *h, const struct s3_options *o, const char *region,
                    struct err *err)
{
    bool aws = !o->endpoint || !*o->endpoint, virtual;
    _cleanup_free_ char *url =
        aws ? mem_printf("https://s3.%s.amazonaws.com", region) : mem_strdup(o->endpoint);
    if (!url)
        return err_nomem(err);
    size_t n = strlen(url);
    while (n && url[n - 1] == '/')
        url[--n] = 0;
    const char *host = strstr(url, "://");
    if (!host || (strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0) || !host[3] ||
        strpbrk(host + 3, "/?#@ "))
        return err_set(err, ERR_INVALID, "'%.100s' is no URL of an S3 service (http[s]://host[:port])", url);
    if (!virtual_style(o, aws, &virtual, err))
        return -ERR_INVALID;
    host += 3;
    h->base = virtual ? mem_printf("%.*s%s.%s", (int)(host - url), url, o->bucket, host)
                      : mem_printf("%s/%s", url, o->bucket);
    if (!h->base)
        return err_nomem(err);
    const char *at = strstr(h->base, "://") + 3;
    h->path = at + strcspn(at, "/");
    h->host = mem_printf("Host: %.*s", (int)(h->path - at), at);
    return h->host ? 0 : err_nomem(err);
}

/* As AWS has it, and nothing that would need encoding. */
static bool bucket_valid(const char *b)
{
    size_t n = b ? strlen(b) : 0;
    return n >= 3 && n <= 63 && strspn(b, "abcdefghijklmnopqrstuvwxyz0123456789.-") == n &&
           !strchr(".-", b[0]) && !strchr(".-", b[n - 1]) && !strstr(b, "..");
}

int s3_http_new(const struct s3_options *o, struct s3_http **ret, struct err *err)
{
    const char *region = o->region && *o->region ? o->region : "us-east-1";
    if (!bucket_valid(o->bucket))
        return err_set(err, ERR_INVALID, "'%.80s' is no name of a bucket", o->bucket ? o->bucket : "");
    if (!o->access_key || !*o->access_key || !o->secret_key || !*o->secret_key)
        return err_set(err, ERR_UNAUTHENTICATED, "no credentials for the S3 store");
    if (strspn(region, "abcdefghijklmnopqrstuvwxyz0123456789-") != strlen(region))
        return err_set(err, ERR_INVALID, "'%.40s' is no region", region);
    int r = curl_load(err);
    if (r < 0)
        return r;
    struct s3_http *h = mem_zalloc(sizeof *h);
    if (!h)
        return err_nomem(err);
    pthread_mutex_init(&h->lock, NULL);
    pthread_rwlock_init(&h->keys_lock, NULL);
    h->retry_ms = o->retry_ms ? o->retry_ms : RETRY_MS;
    h->bucket = mem_strdup(o->bucket);
    h->ca_file = mem_strdup(o->ca_file ? o->ca_file : "");
    h->region = mem_strdup(region);
    h->credentials_file = mem_strdup(o->credentials_file ? o->credentials_file : "");
    h->profile = mem_strdup(o->profile ? o->profile : "default");
    r = h->bucket && h->region && h->ca_file && h->credentials_file && h->profile ? set_base(h, o, region, err) : err_nomem(err);
    if (r == 0)
        r = s3_keys_set(&h->keys, o->access_key, o->secret_key, o->session_token, err);
    if (r < 0) {
        s3_http_free(h);
        return r;
    }
    *ret = h;
    return 0;
}

void s3_http_free(struct s3_http *h)
{
    if (!h)
        return;
    while (h->idle_len)
        lib.curl_easy_cleanup(h->idle[--h->idle_len]);
    pthread_mutex_destroy(&h->lock);
    pthread_rwlock_destroy(&h->keys_lock);
    s3_keys_release(&h->keys);
    free(h->credentials_file);
    free(h->profile);
    free(h->base);
    free(h->bucket);
    free(h->region);
    free(h->host);
    free(h->ca_file);
    free(h);
}

int64_t s3_http_skew_ns(const struct s3_http *h)
{
    return atomic_load(&h->skew_ns);
}

const struct s3_http_stats *s3_http_stats(const struct s3_http *h)
{
    return &h->stats;
}

/* --- one attempt ---------------------------------------------------------------------------------------- */

static CURL *handle_take(struct s3_http *h)
{
    CURL *c = NULL;
    pthread_mutex_lock(&h->lock);
    if (h->idle_len)
        c = h->idle[--h->idle_len];
    pthread_mutex_unlock(&h->lock);
    return c ? c : lib.curl_easy_init();
}

static void handle_give(struct s3_http *h, CURL *c)
{
    lib.curl_easy_reset(c); /* keeps the connection */
    pthread_mutex_lock(&h->lock);
    bool kept = h->idle_len < IDLE_MAX;
    if (kept)
        h->idle[h->idle_len++] = c;
    pthread_mutex_unlock(&h->lock);
    if (!kept)
        lib.curl_easy_cleanup(c);
}

static size_t on_send(char *to, size_t size, size_t n, void *arg)
{
    struct attempt *a = arg;
    size_t left = a->q->body_len - a->sent, m = size * n < left ? size * n : left;
    if (m)
        memcpy(to, (const char *)a->q->body + a->sent, m);
    a->sent += m;
    return m;
}

static int on_seek(void *arg, curl_off_t offset, int origin)
{
    struct attempt *a = arg;
    if (origin != SEEK_SET || offset < 0 || (uint64_t)offset > a->q->body_len)
        return CURL_SEEKFUNC_FAIL;
    a->sent = (size_t)offset;
    return CURL_SEEKFUNC_OK;
}

/* Room for n more bytes in memory of its own. */
static bool grow(struct attempt *a, size_t n)
{
    struct s3_response *r = a->ret;
    if (r->len + n + 1 <= a->cap)
        return true;
    size_t cap = a->cap ? a->cap * 2 : 4096;
    if (a->q->exact && !a->error_body)
        cap = a->q->exact_bytes + 1;
    while (cap < r->len + n + 1)
        cap *= 2;
    char *p = mem_realloc(r->body, cap);
    if (!p) {
        a->nomem = true;
        return false;
    }
    r->body = p;
    a->cap = cap;
    return true;
}

static size_t on_receive(char *data, size_t size, size_t n, void *arg)
{
    struct attempt *a = arg;
    struct s3_response *r = a->ret;
    n *= size;
    if (!r->status) {
        lib.curl_easy_getinfo(a->c, CURLINFO_RESPONSE_CODE, &r->status);
        a->error_body = r->status < 200 || r->status > 299;
    }
    size_t max = a->error_body ? ERROR_BODY_MAX : a->q->exact ? a->q->exact_bytes : a->q->max_bytes;
    if (n > max - r->len) {
        a->over = true;
        return 0;
    }
    if (a->q->into && !a->error_body) {
        memcpy(a->q->into + r->len, data, n);
        r->len += n;
        return n;
    }
    if (!grow(a, n))
        return 0;
    memcpy(r->body + r->len, data, n);
    r->len += n;
    r->body[r->len] = 0;
    return n;
}

/* "Name: value\r\n": gives the value cut to its text, or NULL. */
static bool header_value(const char *line, size_t n, const char *name, char *ret, size_t cap)
{
    size_t m = strlen(name);
    if (n <= m || strncasecmp(line, name, m) != 0 || line[m] != ':')
        return false;
    const char *v = line + m + 1, *end = line + n;
    while (v < end && (*v == ' ' || *v == '\t'))
        v++;
    while (end > v && strchr(" \t\r\n", end[-1]))
        end--;
    if ((size_t)(end - v) >= cap)
        return false;
    memcpy(ret, v, (size_t)(end - v));
    ret[end - v] = 0;
    return true;
}

static size_t on_header(char *line, size_t size, size_t n, void *arg)
{
    struct attempt *a = arg;
    struct s3_response *r = a->ret;
    char v[256];
    n *= size;
    if (n > 5 && strncmp(line, "HTTP/", 5) == 0) { /* another answer begins, after a 100 */
        char *body = r->body;
        size_t len = r->len;
        *r = (struct s3_response){.body = body, .len = len};
    } else if (header_value(line, n, "date", v, sizeof v)) {
        time_t t = lib.curl_getdate(v, NULL);
        r->date_ns = t > 0 ? (int64_t)t * NS_PER_S : 0;
    } else if (header_value(line, n, "last-modified", v, sizeof v)) {
        time_t t = lib.curl_getdate(v, NULL);
        r->modified_ns = t > 0 ? (int64_t)t * NS_PER_S : 0;
    } else if (header_value(line, n, "content-length", v, sizeof v))
        r->length = strtoull(v, NULL, 10);
    else if (header_value(line, n, "x-amz-checksum-crc32", v, sizeof v))
        r->checked = true;
    else if (header_value(line, n, "etag", v, sizeof v))
        snprintf(r->etag, sizeof r->etag, "%.79s", v);
    else if (header_value(line, n, "location", v, sizeof v))
        snprintf(r->location, sizeof r->location, "%.159s", v);
    return n;
}

static bool add_header(struct curl_slist **l, const char *line)
{
    struct curl_slist *next = line ? lib.curl_slist_append(*l, line) : NULL;
    if (next)
        *l = next;
    return next != NULL;
}

/* All that is signed, and the signature. */
static int sign_with(struct s3_http *h, const struct s3_keys *keys, const struct s3_request *q, const char *path,
                     struct curl_slist **l, struct err *err)
{
    char date[64], sha[96];
    _cleanup_free_ char *token = NULL;
    const char *signed_[SIGN_HEADERS_MAX] = {h->host, date, sha};
    size_t n = 3;
    time_t now = (time_t)((os_now_ns() + s3_http_skew_ns(h)) / NS_PER_S);
    struct tm tm;
    strftime(date, sizeof date, "x-amz-date: %Y%m%dT%H%M%SZ", gmtime_r(&now, &tm));
    snprintf(sha, sizeof sha, "x-amz-content-sha256: %.64s", q->body_sha256);
    for (size_t i = 0; i < ARRAY_LEN(q->headers) && q->headers[i]; i++)
        signed_[n++] = q->headers[i];
    if (keys->token && !(token = mem_printf("x-amz-security-token: %s", keys->token)))
        return err_nomem(err);
    if (token)
        signed_[n++] = token;
    struct sign_request s = {.access_key = keys->access, .secret_key = keys->secret, .region = h->region,
                             .method = q->method, .path = path, .query = q->query ? q->query : "",
                             .date = date + strlen("x-amz-date: "), .sha256 = q->body_sha256,
                             .headers = signed_, .headers_len = n};
    struct strbuf authorization = STRBUF_INIT_MAX(16 << 10);
    int r = s3_sign(&s, &authorization, err);
    bool ok = r == 0 && (q->anonymous || add_header(l, authorization.s)) && add_header(l, "Expect:") &&
              add_header(l, "Content-Type:");
    for (size_t i = 0; i < n && ok; i++)
        ok = add_header(l, signed_[i]);
    strbuf_release(&authorization);
    return r == 0 && !ok ? err_nomem(err) : r;
}

static int make_headers(struct s3_http *h, struct attempt *a, const char *path, struct curl_slist **l, struct err *err)
{
    pthread_rwlock_rdlock(&h->keys_lock);
    a->keys_age = atomic_load(&h->keys_age);
    int r = sign_with(h, &h->keys, a->q, path, l, err);
    pthread_rwlock_unlock(&h->keys_lock);
    return r;
}

static bool differ(const char *a, const char *b)
{
    return strcmp(a ? a : "", b ? b : "") != 0;
}

/* The service does not take the keys any more: does the file that they came from have other ones by now? */
static bool renew_keys(struct s3_http *h, unsigned age)
{
    struct s3_keys now = {0};
    bool other = atomic_load(&h->keys_age) != age; /* another thread was faster */
    if (other || !*h->credentials_file)
        return other;
    pthread_rwlock_wrlock(&h->keys_lock);
    other = h->keys_age != age;
    if (!other && s3_keys_read(h->credentials_file, h->profile, &now, NULL) == 0) {
        other = differ(now.access, h->keys.access) || differ(now.secret, h->keys.secret) || differ(now.token, h->keys.token);
        struct s3_keys old = h->keys;
        h->keys = now;
        now = old;
        h->keys_age += other;
    }
    pthread_rwlock_unlock(&h->keys_lock);
    s3_keys_release(&now);
    return other;
}

static bool small_answer(const struct s3_request *q)
{
    return q->exact ? q->exact_bytes <= SMALL_BODY : strcmp(q->method, "GET") != 0;
}

static void set_body(struct attempt *a)
{
    CURL *c = a->c;
    const struct s3_request *q = a->q;
    if (q->body_len && q->body_len <= SMALL_BODY) {
        lib.curl_easy_setopt(c, CURLOPT_POSTFIELDS, q->body);
        lib.curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)q->body_len);
        a->sent = q->body_len;
    } else if (q->body || strcmp(q->method, "PUT") == 0 || strcmp(q->method, "POST") == 0) {
        lib.curl_easy_setopt(c, CURLOPT_UPLOAD, 1L);
        lib.curl_easy_setopt(c, CURLOPT_UPLOAD_BUFFERSIZE, BUFFER_BYTES);
        lib.curl_easy_setopt(c, CURLOPT_INFILESIZE_LARGE, (curl_off_t)q->body_len);
        lib.curl_easy_setopt(c, CURLOPT_READFUNCTION, on_send);
        lib.curl_easy_setopt(c, CURLOPT_READDATA, a);
        lib.curl_easy_setopt(c, CURLOPT_SEEKFUNCTION, on_seek);
        lib.curl_easy_setopt(c, CURLOPT_SEEKDATA, a);
    }
}

/* The kernel takes what a slow line needs longer for than STALL_S: nothing would seem to move then, while it goes out. */
static int on_socket(void *arg, curl_socket_t fd, curlsocktype purpose)
{
    int bytes = UNSENT_BYTES;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &bytes, sizeof bytes);
    return CURL_SOCKOPT_OK;
}

static int64_t due_ms(const struct s3_request *q)
{
    return (int64_t)(q->body_len + (q->exact ? q->exact_bytes : 0)) * 1000 / SLOW_BYTES;
}

/* What goes on, if slowly, is not failing: how long that may take depends on its size alone. */
static void set_bounds(CURL *c, const struct s3_request *q, int64_t left_ms)
{
    int64_t bound_ms = ATTEMPT_S * 1000 < left_ms ? ATTEMPT_S * 1000 : left_ms;
    lib.curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS < left_ms ? CONNECT_MS : (long)left_ms);
    lib.curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)(bound_ms > due_ms(q) ? bound_ms : due_ms(q)));
    lib.curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME, STALL_S);
    lib.curl_easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, STALL_BYTES);
}

static void set_options(struct s3_http *h, struct attempt *a, const char *url,
                        struct curl_slist *headers, int64_t left_ms)
{
    CURL *c = a->c;
    const struct s3_request *q = a->q;
    lib.curl_easy_setopt(c, CURLOPT_URL, url);
    lib.curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
    lib.curl_easy_setopt(c, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    lib.curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    lib.curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
    lib.curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
    lib.curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, q->method);
    lib.curl_easy_setopt(c, CURLOPT_SOCKOPTFUNCTION, on_socket);
    set_bounds(c, q, left_ms);
    lib.curl_easy_setopt(c, CURLOPT_BUFFERSIZE, small_answer(q) ? BUFFER_SMALL : BUFFER_BYTES);
    lib.curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
    lib.curl_easy_setopt(c, CURLOPT_HEADERDATA, a);
    lib.curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_receive);
    lib.curl_easy_setopt(c, CURLOPT_WRITEDATA, a);
    if (*h->ca_file)
        lib.curl_easy_setopt(c, CURLOPT_CAINFO, h->ca_file);
    if (strcmp(q->method, "HEAD") == 0)
        lib.curl_easy_setopt(c, CURLOPT_NOBODY, 1L);
    else
        set_body(a);
}

/* What an attempt came to. */
enum outcome { DONE, AGAIN, OVER };

static enum outcome judge_transport(struct s3_http *h, struct attempt *a, CURLcode code,
                                    const char *text, struct err *err)
{
    if (a->nomem || code == CURLE_OUT_OF_MEMORY)
        return err_nomem(err), OVER;
    if (a->over) {
        err_set(err, ERR_IO, "an answer longer than what was asked for");
        return AGAIN;
    }
    switch (code) {
    case CURLE_PEER_FAILED_VERIFICATION:
        err_set(err, ERR_UNAVAILABLE, "%s: its certificate is not trusted: %s", h->base,
                *text ? text : lib.curl_easy_strerror(code));
        if (strstr(text, "subject name"))
            err_hint(err, "the certificate is of another name: check s3.endpoint, or say s3.style=path");
        else
            err_hint(err, "s3.ca_file names the certificates to trust");
        return OVER;
    case CURLE_SSL_CACERT_BADFILE:
        err_set(err, ERR_UNAVAILABLE, "s3.ca_file %s has no certificates that can be read", h->ca_file);
        return OVER;
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_URL_MALFORMAT:
        err_set(err, ERR_INVALID, "%s: %s", h->base, lib.curl_easy_strerror(code));
        return OVER;
    default:
        err_set(err, ERR_UNAVAILABLE, "%s: %s", h->base, *text ? text : lib.curl_easy_strerror(code));
        return AGAIN;
    }
}

static bool is_one_of(const char *code, const char *const *list)
{
    while (*list && strcmp(*list, code) != 0)
        list++;
    return *list != NULL;
}

static const char *const passing[] = {
    "InternalError", "ServiceUnavailable", "SlowDown", "SlowDownRead", "SlowDownWrite", "RequestTimeout",
    "OperationAborted", "ConditionalRequestConflict", "BadDigest", "IncompleteBody", "XAmzContentSHA256Mismatch",
    "XAmzContentChecksumMismatch", "XMinioServerNotInitialized", "ServerNotInitialized", "Busy",
    "ExistingObjectIsDirectory", /* versitygw, where a folder comes and goes beneath it: no key of ours is another's folder */
    NULL};
static const char *const denied[] = {"AccessDenied", "AllAccessDisabled", "AccountProblem", NULL};
static const char *const unknown_caller[] = {"InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken",
                                             "InvalidToken", "InvalidTokenId", "TokenRefreshRequired", NULL};
static const char *const full[] = {"XMinioStorageFull", "InsufficientStorage", "QuotaExceeded",
                                   "XMinioAdminBucketQuotaExceeded", NULL};

static int64_t distance(int64_t a, int64_t b)
{
    return a > b ? a - b : b - a;
}

/* The server's clock is the one that counts: after this, requests are dated by it. It is told in whole seconds,
 * so a difference of few is none, and small changes are noise. Returns whether it changed. */
static bool adopt_clock(struct s3_http *h, const struct s3_response *r)
{
    if (!r->date_ns)
        return false;
    int64_t skew = r->date_ns + NS_PER_S / 2 - os_now_ns(), old = atomic_load(&h->skew_ns);
    if (distance(skew, 0) < SKEW_MIN_NS)
        skew = 0;
    if (distance(skew, old) < SKEW_MIN_NS)
        return false;
    atomic_store(&h->skew_ns, skew);
    return true;
}

static enum outcome judge_code(struct s3_http *h, const struct s3_response *r,
                               const struct s3_xml_error *e, struct err *err)
{
    const char *say = e->message[0] ? e->message : e->code;
    if (strcmp(e->code, "RequestTimeTooSkewed") == 0) {
        err_set(err, ERR_UNAVAILABLE, "the clock of this host and that of the S3 service differ too much");
        return adopt_clock(h, r) ? AGAIN : OVER;
    }
    if (r->status == 507 || is_one_of(e->code, full)) {
        err_set(err, ERR_NO_SPACE, "the S3 service is full: %s", *say ? say : "no space left");
        return OVER;
    }
    if (is_one_of(e->code, passing) || (r->status >= 500 && r->status != 501) || r->status == 429 || r->status == 408) {
        err_set(err, ERR_UNAVAILABLE, "the S3 service says: %s (%ld)", *say ? say : "an error of its own", r->status);
        return AGAIN;
    }
    if (strcmp(e->code, "NoSuchBucket") == 0) {
        err_set(err, ERR_MISSING, "bucket %s does not exist", h->bucket);
        err_hint(err, "'ff store init' makes it");
    } else if (is_one_of(e->code, unknown_caller) || r->status == 401) {
        err_set(err, ERR_UNAUTHENTICATED, "the S3 service does not accept the credentials: %s", say);
        err_hint(err, "check s3.access_key, s3.secret_key and s3.region");
    } else if (is_one_of(e->code, denied) || r->status == 403)
        err_set(err, ERR_PERMISSION, "the S3 service denies access to bucket %s%s%s", h->bucket,
                *say ? ": " : "", say);
    else if (r->status == 404)
        err_set(err, ERR_NOT_FOUND, "not in bucket %s", h->bucket);
    else if (r->status == 412)
        err_set(err, ERR_EXISTS, "it is there already");
    else if (r->status >= 300 && r->status < 400) {
        err_set(err, ERR_UNAVAILABLE, "the S3 service sends us elsewhere (%ld %s%s), which is not followed",
                r->status, e->region[0] ? "region " : "", e->region[0] ? e->region : r->location);
        err_hint(err, "check s3.endpoint and s3.region");
    } else
        err_set(err, ERR_IO, "the S3 service refuses (%ld): %s", r->status, *say ? say : "no reason given");
    return OVER;
}

/* A refusal that is no document, such as a TLS port's to one who speaks plain HTTP: its first line. */
static void plain_reason(const struct s3_response *r, struct s3_xml_error *e)
{
    size_t n = 0;
    while (n < r->len && n + 1 < sizeof e->message && n < 120 && r->body[n] >= ' ' && r->body[n] <= '~')
        n++;
    if (n && r->body[0] != '<')
        snprintf(e->message, sizeof e->message, "%.*s", (int)n, r->body);
}

static enum outcome judge(struct s3_http *h, struct attempt *a, struct err *err)
{
    struct s3_response *r = a->ret;
    struct s3_xml_error e = {0};
    lib.curl_easy_getinfo(a->c, CURLINFO_RESPONSE_CODE, &r->status);
    bool good = r->status >= 200 && r->status < 300;
    if (good && a->q->exact) {
        if (r->len == a->q->exact_bytes)
            return DONE;
        err_set(err, ERR_IO, "an answer of %zu bytes instead of %zu", r->len, a->q->exact_bytes);
        return AGAIN;
    }
    /* Some calls answer 200 and say what went wrong in the body. */
    if (r->body && r->len && (!good || memmem(r->body, r->len < 512 ? r->len : 512, "<Error", 6)))
        (void)s3_xml_error(r->body, r->len, &e);
    if (!good && r->body && !e.code[0] && !e.message[0])
        plain_reason(r, &e);
    if (good && !e.code[0])
        return DONE;
    snprintf(r->code, sizeof r->code, "%s", e.code);
    enum outcome o = judge_code(h, r, &e, err);
    return good && o == OVER && err && err->code == ERR_IO ? AGAIN : o;
}

static enum outcome attempt(struct s3_http *h, struct attempt *a, const char *url, int64_t left_ms,
                            struct err *err)
{
    struct curl_slist *headers = NULL;
    char text[CURL_ERROR_SIZE] = "";
    enum outcome o = OVER;
    a->sent = 0;
    a->error_body = a->over = a->late = false;
    s3_response_release(a->ret);
    a->cap = 0;
    int e = os_fault("s3");
    a->c = e ? NULL : handle_take(h);
    if (e) {
        err_sys(err, e, "%s", h->base);
        return AGAIN;
    }
    size_t at = strlen(h->base) - strlen(h->path); /* where the path begins */
    _cleanup_free_ char *path = mem_strndup(url + at, strcspn(url + at, "?"));
    int r = a->c && path ? make_headers(h, a, path, &headers, err) : err_nomem(err);
    if (r == 0) {
        set_options(h, a, url, headers, left_ms);
        lib.curl_easy_setopt(a->c, CURLOPT_ERRORBUFFER, text);
        int64_t began_ns = os_mono_ns();
        CURLcode code = lib.curl_easy_perform(a->c);
        int64_t took_ms = (os_mono_ns() - began_ns) / NS_PER_MS;
        a->late = code == CURLE_OPERATION_TIMEDOUT && took_ms >= left_ms && took_ms >= due_ms(a->q);
        atomic_fetch_add(&h->stats.requests, 1);
        atomic_fetch_add(&h->stats.sent_bytes, a->sent);
        atomic_fetch_add(&h->stats.received_bytes, a->ret->len);
        o = code == CURLE_OK ? judge(h, a, err) : judge_transport(h, a, code, text, err);
        if (o == DONE && a->ret->date_ns)
            (void)adopt_clock(h, a->ret);
    }
    lib.curl_slist_free_all(headers);
    if (a->c)
        handle_give(h, a->c);
    return o;
}

/* A random part of a span that doubles, so that many hosts do not come back at the same moment. */
static void wait_before_retry(int tries, int64_t left_ms)
{
    int64_t span = DELAY_MIN_MS;
    uint32_t dice;
    for (int i = 1; i < tries && span < DELAY_MAX_MS; i++)
        span *= 2;
    span = span < DELAY_MAX_MS ? span : DELAY_MAX_MS;
    os_random(&dice, sizeof dice);
    int64_t ms = span / 2 + dice % (span / 2 + 1);
    os_sleep_ms(ms < left_ms ? ms : left_ms);
}

/* Keys have no other characters (layout.h), so nothing needs encoding in a path. */
static char *make_url(const struct s3_http *h, const struct s3_request *q)
{
    ASSERT(!q->key || strspn(q->key, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/-_.") ==
                          strlen(q->key));
    const char *gap = q->query ? "?" : "", *query = q->query ? q->query : "";
    return mem_printf("%s/%s%s%s", h->base, q->key ? q->key : "", gap, query);
}

/* What vouches for the body: its SHA-256 in the signature, or its CRC-32 in a header of its own. */
struct voucher {
    char sha[DIGEST_HEX + 1];
    char crc[sizeof CRC_HEADER + CRC32_BASE64];
};

static void add_to(struct s3_request *q, const char *header)
{
    size_t n = 0;
    while (q->headers[n])
        n++;
    ASSERT(n + 1 < ARRAY_LEN(q->headers));
    q->headers[n] = header;
}

static int vouch(struct s3_request *q, struct voucher *v, struct err *err)
{
    struct digest d;
    if (q->crc32) {
        char crc[CRC32_BASE64];
        crc32_base64(q->body, q->body_len, crc);
        snprintf(v->crc, sizeof v->crc, CRC_HEADER "%s", crc);
        add_to(q, v->crc);
        q->body_sha256 = "UNSIGNED-PAYLOAD";
    }
    if (q->body_sha256)
        return 0;
    int r = digest_of(q->body, q->body_len, &d, err);
    digest_hex(&d, v->sha);
    q->body_sha256 = v->sha;
    return r;
}

int s3_http_call(struct s3_http *h, const struct s3_request *q, struct s3_response *ret,
                 struct err *err)
{
    struct s3_request own = *q;
    struct attempt a = {.q = &own, .ret = ret};
    struct err e = {0};
    struct voucher v;
    *ret = (struct s3_response){0};
    _cleanup_free_ char *url = make_url(h, q);
    if (!url)
        return err_nomem(err);
    int r = vouch(&own, &v, err);
    if (r < 0)
        return r;
    int64_t end = os_mono_ns() + h->retry_ms * NS_PER_MS;
    enum outcome o = AGAIN;
    int tries;
    for (tries = 1; o == AGAIN; tries++) {
        int64_t left = (end - os_mono_ns()) / NS_PER_MS;
        bool anew = tries == 2 && a.late; /* another connection may be a faster one */
        if (tries > 1) {
            if (q->once || (left <= 0 && !anew))
                break;
            atomic_fetch_add(&h->stats.retries, 1);
            wait_before_retry(tries, left > 0 ? left : DELAY_MIN_MS);
            left = (end - os_mono_ns()) / NS_PER_MS;
            if (left < LAST_MS && left < h->retry_ms / 4 && !anew) /* it would run out of time, and hide what went wrong before */
                break;
        }
        if (tries == 2 && own.again)
            add_to(&own, own.again);
        err_clear(&e);
        o = attempt(h, &a, url, left > 100 ? left : anew ? CONNECT_MS : 100, &e);
        if (o == OVER && e.code == ERR_PERMISSION && !q->anonymous && tries < DENIED_TRIES)
            o = AGAIN;
        if (o == OVER && e.code == ERR_UNAUTHENTICATED && renew_keys(h, a.keys_age))
            o = AGAIN;
    }
    ret->repeated = tries > 2;
    if (o == DONE)
        return 0;
    err_copy(err, &e);
    return -e.code;
}

void s3_response_release(struct s3_response *r)
{
    free(r->body);
    *r = (struct s3_response){0};
}
