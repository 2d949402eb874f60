/* Answers: documents, errors, and what goes with each. */
#include "api/rest/rest_internal.h"

#include "api/service/catalog.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/units.h"
#include "codec/json.h"
#include "os/clock.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <xxhash.h>
#include <zlib.h>

#define ANSWER_MAX ((size_t)512 << 20)
#define GZIP_FROM 1024
/* Of answers that are made and not taken yet: who asks for many and reads none must not take the memory, or disk, of others. */
#define FILE_COUNTS ((size_t)16 << 20) /* one that lies in a file */
#define HELD_OF_ONE_MAX ((size_t)256 << 20) /* a namespace's */
#define HELD_MAX ((size_t)1 << 30)

const char *arg_text(const struct exchange *x, const char *name)
{
    return json_str(x->args, name, NULL);
}

int64_t arg_number(const struct exchange *x, const char *name, int64_t def)
{
    return json_i64(x->args, name, def);
}

const char *exchange_key(struct exchange *x, const char *run_id)
{
    return live_key(x->svc.name_space, run_id, x->key);
}

const char *request_header(const struct exchange *x, const char *name)
{
    return http.MHD_lookup_connection_value(x->conn, MHD_HEADER_KIND, name);
}

int reply_text(struct exchange *x, int status, const char *type, char *text, size_t len, struct err *err)
{
    if (!text)
        return err_nomem(err);
    free(x->answer.text);
    x->answer.status = status;
    x->answer.type = type;
    x->answer.text = text;
    x->answer.len = len;
    return 0;
}

int reply_json(struct exchange *x, int status, json_t *j, struct err *err)
{
    struct strbuf b = STRBUF_INIT_MAX(ANSWER_MAX);
    int r = j ? json_write(j, &b, err) : err_nomem(err);
    size_t len = b.len;
    json_decref(j);
    if (r == 0)
        r = reply_text(x, status, "application/json", strbuf_take(&b, NULL), len, err);
    strbuf_release(&b);
    return r;
}

int reply_message(struct exchange *x, const char *run_id, const char *fmt, ...)
{
    char text[300];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return reply_json(x, 200, json_pack("{s:s, s:s*}", "message", text, "run_id", run_id), NULL);
}

int bad_field(struct exchange *x, const char *field, struct err *err)
{
    snprintf(x->field, sizeof x->field, "%s", field);
    return err ? -err->code : -ERR_INVALID;
}

static const char *type_of(int code)
{
    static const struct {
        int code;
        const char *name;
    } table[] = {
        {ERR_INVALID, "ValidationError"}, {ERR_USAGE, "BadRequest"},        {ERR_NOT_FOUND, "NotFound"},
        {ERR_EXISTS, "AlreadyExists"},    {ERR_STATE, "WrongState"},        {ERR_PERMISSION, "Forbidden"},
        {ERR_UNAUTHENTICATED, "Unauthenticated"}, {ERR_LIMIT, "TooLarge"}, {ERR_TIMEOUT, "Timeout"},
        {ERR_UNAVAILABLE, "Unavailable"}, {ERR_BUSY, "Busy"},               {ERR_NO_SPACE, "NoSpace"},
        {ERR_QUOTA, "QuotaExceeded"},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (table[i].code == code)
            return table[i].name;
    return "ServerError";
}

bool reply_is_fault(int status)
{
    return status >= 500 && status != 505;
}

void reply_error(struct exchange *x, const struct err *why)
{
    char now[32];
    const char *full = why->msg[0] ? why->msg : err_text(why->code);
    const char *text = x->caller.name_space[0] ? catalog_short(full) : full;
    int status = x->error_status ? x->error_status : err_http_status(why->code);
    if (status == 499) /* the client's own word for it */
        status = 503;
    const char *type = x->error_type ? x->error_type : type_of(why->code);
    json_t *e = json_pack("{s:s, s:s, s:o, s:s, s:s}", "type", type, "code", err_name(why->code), "message",
                          json_clean_string(text), "timestamp", os_format_time(os_now_ns(), now), "request_id", x->id);
    if (e && x->field[0])
        json_object_set_new(e, "field", json_clean_string(x->field));
    if (e && why->hint[0])
        json_object_set_new(e, "hint", json_clean_string(why->hint));
    const char *run = arg_text(x, "run_id"), *workflow = arg_text(x, "workflow");
    if (e && run)
        json_object_set_new(e, "run_id", json_string(run));
    if (e && workflow)
        json_object_set_new(e, "workflow_name", json_string(workflow));
    if (reply_is_fault(status))
        log_error("request %s: %s", x->id, full);
    if (!e || reply_json(x, status, json_pack("{s:{s:o}}", "detail", "error", e), NULL) < 0)
        x->answer.status = 500; /* with no body */
    if (status == 429 || status == 503)
        snprintf(x->answer.retry_after, sizeof x->answer.retry_after, "1");
}

/* The same text as other bytes has another one. */
static const char *zipped_etag(const char *etag, char ret[ETAG_MAX])
{
    snprintf(ret, ETAG_MAX, "%.*s-gzip\"", (int)strlen(etag) - 1, etag);
    return ret;
}

void reply_etag(struct exchange *x)
{
    struct answer *a = &x->answer;
    char zipped[ETAG_MAX];
    const char *has = arg_text(x, "If-None-Match");
    if (a->status != 200 || !a->text)
        return;
    XXH128_hash_t h = XXH3_128bits(a->text, a->len);
    snprintf(a->etag, sizeof a->etag, "\"%016llx%016llx\"", (unsigned long long)h.high64, (unsigned long long)h.low64);
    if (!has || (strcmp(has, "*") != 0 && !strstr(has, a->etag) && !strstr(has, zipped_etag(a->etag, zipped))))
        return;
    if (strcmp(has, "*") != 0 && !strstr(has, a->etag))
        strcpy(a->etag, zipped);
    a->status = 304;
    free(TAKE_PTR(a->text));
    a->len = 0;
}

/* --- sending ---------------------------------------------------------------------------------------------------- */

/* The text as gzip, if that is shorter. */
static bool compress_text(struct answer *a)
{
    z_stream z = {0};
    if (deflateInit2(&z, 1, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return false;
    uLong bound = deflateBound(&z, a->len);
    char *out = a->len < UINT32_MAX ? mem_alloc(bound) : NULL;
    z.next_in = (Bytef *)(uintptr_t)a->text;
    z.avail_in = (uInt)a->len;
    z.next_out = (Bytef *)out;
    z.avail_out = (uInt)bound;
    bool ok = out && deflate(&z, Z_FINISH) == Z_STREAM_END && z.total_out < a->len;
    if (ok) {
        free(a->text);
        a->text = out;
        a->len = z.total_out;
    } else {
        free(out);
    }
    deflateEnd(&z);
    return ok;
}

/* A namespace's first one has room in any case. */
bool answers_hold(struct rest *r, const char *name_space, size_t bytes)
{
    pthread_mutex_lock(&r->lock);
    size_t own = (uintptr_t)map_get(&r->answers, name_space);
    bool room = !own || (own + bytes <= HELD_OF_ONE_MAX && r->answers_bytes + bytes <= HELD_MAX);
    room = room && map_set(&r->answers, name_space, (void *)(uintptr_t)(own + bytes));
    r->answers_bytes += room ? bytes : 0;
    pthread_mutex_unlock(&r->lock);
    return room;
}

void answers_let_go(struct rest *r, const char *name_space, size_t bytes)
{
    if (!bytes)
        return;
    pthread_mutex_lock(&r->lock);
    size_t left = (uintptr_t)map_get(&r->answers, name_space) - bytes;
    if (!left || !map_set(&r->answers, name_space, (void *)(uintptr_t)left))
        map_remove(&r->answers, name_space);
    r->answers_bytes -= bytes;
    pthread_mutex_unlock(&r->lock);
}

void reply_finish(struct exchange *x)
{
    struct answer *a = &x->answer;
    struct err err = {0};
    char etag[ETAG_MAX];
    a->zipped = !a->ready && x->gzip && a->len >= GZIP_FROM && a->status == 200 && compress_text(a);
    if (a->zipped && a->etag[0])
        strcpy(a->etag, zipped_etag(a->etag, etag));
    size_t counts = a->ready ? (a->in_file ? FILE_COUNTS : 0) : a->len >= ANSWERS_LARGE ? a->len : 0;
    bool room = !counts || answers_hold(x->rest, x->caller.name_space, counts);
    a->held = room ? counts : 0;
    if (room)
        return;
    if (a->ready)
        http.MHD_destroy_response(TAKE_PTR(a->ready));
    a->zipped = false;
    a->etag[0] = a->header[0][0] = 0;
    x->error_status = 429;
    x->error_type = "TooManyRequests";
    err_set(&err, ERR_BUSY, "too many large answers are not taken yet");
    reply_error(x, &err);
}

static void add(void *r, const char *name, const char *value)
{
    if (value && *value)
        http.MHD_add_response_header(r, name, value);
}

static struct MHD_Response *build(struct exchange *x)
{
    struct answer *a = &x->answer;
    if (a->ready)
        return TAKE_PTR(a->ready);
    x->sent = a->len;
    struct MHD_Response *r = http.MHD_create_response_from_buffer(
        a->len, a->text ? a->text : (char *)(uintptr_t) "", a->text ? MHD_RESPMEM_MUST_FREE : MHD_RESPMEM_PERSISTENT);
    if (!r)
        return NULL;
    a->text = NULL; /* the response's */
    if (a->status != 304 && a->status != 204)
        add(r, "Content-Type", a->type);
    return r;
}

static void each_header(const struct exchange *x, void (*one)(void *arg, const char *name, const char *value), void *arg)
{
    const struct answer *a = &x->answer;
    one(arg, "X-Request-Id", x->id);
    one(arg, "X-Content-Type-Options", "nosniff");
    one(arg, "Cache-Control", "no-cache");
    one(arg, "Content-Encoding", a->zipped ? "gzip" : NULL);
    one(arg, "Vary", a->zipped || a->len >= GZIP_FROM || a->status == 304 ? "Accept-Encoding" : NULL);
    one(arg, "ETag", a->etag);
    one(arg, "Allow", a->allow);
    one(arg, "Retry-After", a->retry_after);
    one(arg, "Connection", x->closes ? "close" : NULL);
    one(arg, a->header[0][0] ? a->header[0] : "X-Ff", a->header[1]);
    one(arg, "WWW-Authenticate", a->status == 401 ? "Bearer" : NULL);
    one(arg, "Idempotent-Replayed", a->replayed ? "true" : NULL);
}

static void write_header(void *head, const char *name, const char *value)
{
    if (value && *value)
        strbuf_printf(head, "%s: %s\r\n", name, value);
}

/* No language's names: HTTP has its own. */
static void write_date(struct strbuf *head)
{
    static const char days[] = "SunMonTueWedThuFriSat", months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    time_t now = (time_t)(os_now_ns() / NS_PER_S);
    struct tm t;
    gmtime_r(&now, &t);
    strbuf_printf(head, "Date: %.3s, %02d %.3s %d %02d:%02d:%02d GMT\r\n", days + t.tm_wday * 3, t.tm_mday, months + t.tm_mon * 3,
                  t.tm_year + 1900, t.tm_hour, t.tm_min, t.tm_sec);
}

void reply_past(struct exchange *x, int fd)
{
    struct strbuf b = STRBUF_INIT_MAX((size_t)64 << 10);
    const struct answer *a = &x->answer;
    const char *reason = http.MHD_get_reason_phrase_for((unsigned)a->status);
    x->refused = true;
    x->phase = PHASE_SENT;
    x->sent = a->len;
    strbuf_printf(&b, "HTTP/1.1 %d %s\r\n", a->status, reason ? reason : "");
    write_date(&b);
    each_header(x, write_header, &b);
    write_header(&b, "Content-Type", a->text ? a->type : NULL);
    strbuf_printf(&b, "Content-Length: %zu\r\n\r\n", a->len);
    if (a->text && !x->head)
        strbuf_append(&b, a->text, a->len);
    if (b.len && !b.over)
        (void)!send(fd, strbuf_str(&b), b.len, MSG_DONTWAIT | MSG_NOSIGNAL);
    strbuf_release(&b);
    shutdown(fd, SHUT_WR);
}

enum MHD_Result reply_send(struct exchange *x)
{
    struct answer *a = &x->answer;
    struct MHD_Response *r = build(x);
    x->phase = PHASE_SENT;
    if (!r)
        return MHD_NO;
    each_header(x, add, r);
    enum MHD_Result ok = http.MHD_queue_response(x->conn, (unsigned)a->status, r);
    http.MHD_destroy_response(r);
    return ok;
}
