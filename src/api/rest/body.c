/* Bodies of requests. JSON is gathered and parsed; an upload goes into the store while it arrives, or, if it is an object as it
 * is, into a file first: the connection's thread fills one buffer while another thread empties the other, and when both are full
 * the connection waits. */
#include "api/rest/multipart.h"
#include "api/rest/rest_internal.h"

#include "base/cleanup.h"
#include "base/map.h"
#include "base/mem.h"
#include "codec/json.h"
#include "codec/schema.h"
#include "codec/utf8.h"
#include "os/file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>
#include <xxhash.h>

#define BUFFER ((size_t)256 << 10)
#define FIELD_MAX ((size_t)1 << 20)
/* Memory for bodies at a time: a client that begins many and ends none must not take that of the others. */
#define BODIES_MAX ((size_t)256 << 20)
#define BODIES_OF_ONE_MAX ((size_t)64 << 20) /* a namespace's */

struct field {
    char name[64];
    struct strbuf value;
};

struct body_upload {
    struct exchange *x;
    struct multipart *form; /* NULL: the body is the file */
    struct ingest_options options;
    struct ingest_upload *file;
    XXH3_state_t *sum; /* of the file; NULL: none is wanted */
    int bytes; /* where a file goes that is no target; -1: this is none */
    bool file_seen, file_done;
    struct field fields[16]; /* no form has more */
    size_t fields_count;
    struct field *current; /* NULL: the file */
    bool in_file;
    atomic_int error; /* 0: all is well */
    struct err why;
    uint64_t taken;
    /* Between the two threads: */
    pthread_mutex_t lock;
    pthread_cond_t idle;
    char *buffer[2];
    size_t len[2];
    int filling;       /* which one the connection's thread has */
    bool busy;         /* the other one is being emptied */
    bool waiting;      /* the connection waits for a buffer */
    bool ended;        /* all has come */
};

/* --- memory --------------------------------------------------------------------------------------------------------- */

/* The connections' thread. -ERR_BUSY: there are too many bodies at a time. */
static int hold(struct exchange *x, size_t bytes, struct err *err)
{
    struct rest *r = x->rest;
    const char *name_space = service_namespace(&x->svc);
    size_t now = (uintptr_t)map_get(&r->bodies, name_space);
    if (bytes > BODIES_OF_ONE_MAX - now || bytes > BODIES_MAX - r->bodies_bytes) {
        x->error_status = 429;
        x->error_type = "TooManyRequests";
        return err_set(err, ERR_BUSY, "too many bodies are arriving at a time");
    }
    if (!map_set(&r->bodies, name_space, (void *)(uintptr_t)(now + bytes)))
        return err_nomem(err);
    r->bodies_bytes += bytes;
    x->held += bytes;
    return 0;
}

static void give_back(struct exchange *x)
{
    struct rest *r = x->rest;
    const char *name_space = service_namespace(&x->svc);
    if (!x->held)
        return;
    size_t left = (uintptr_t)map_get(&r->bodies, name_space) - x->held;
    if (!left || !map_set(&r->bodies, name_space, (void *)(uintptr_t)left))
        map_remove(&r->bodies, name_space);
    r->bodies_bytes -= x->held;
    x->held = 0;
}

/* --- parts ------------------------------------------------------------------------------------------------------ */

static void name_field(struct exchange *x, const char *field)
{
    snprintf(x->field, sizeof x->field, "%.60s", field);
}

static int invalid(struct body_upload *u, const char *field, struct err *err, const char *what)
{
    name_field(u->x, field);
    return err_set(err, ERR_INVALID, "%.60s: %s", field, what);
}

static int begin_file(struct body_upload *u, const char *name, struct err *err)
{
    const char *kind = upload_field(u->x, "kind");
    u->options.folder = kind && strcmp(kind, "folder") == 0;
    u->options.git = kind && strcmp(kind, "git") == 0;
    u->options.executable = kind && strcmp(kind, "executable") == 0;
    if (kind && !u->options.folder && !u->options.git && !u->options.executable)
        return invalid(u, "kind", err, "folder, git or executable is wanted");
    u->in_file = true;
    u->file_seen = true;
    if (arg_text(u->x, "Idempotency-Key") && !u->options.folder && !u->options.git) {
        if (!(u->sum = XXH3_createState()))
            return err_nomem(err);
        XXH3_128bits_reset(u->sum);
    }
    return ingest_upload_new(u->x->svc.store, name, &u->options, &u->file, err);
}

static int on_part(void *arg, const char *name, const char *file_name, struct err *err)
{
    struct body_upload *u = arg;
    const struct exchange *x = u->x;
    const json_t *form = api_schema(&x->rest->api, json_str(x->route->extra, "form", ""));
    u->in_file = false;
    if (strcmp(name, "file") == 0) {
        if (u->file_seen)
            return invalid(u, name, err, "is given twice");
        if (file_name && !utf8_valid(file_name, strlen(file_name)))
            return invalid(u, name, err, "the name of the file is no UTF-8");
        return begin_file(u, file_name ? file_name : "upload", err);
    }
    for (size_t i = 0; i < u->fields_count; i++)
        if (strcmp(u->fields[i].name, name) == 0)
            return invalid(u, name, err, "is given twice");
    if (!json_object_get(json_object_get(form, "properties"), name) || u->fields_count == ARRAY_LEN(u->fields))
        return invalid(u, name, err, "is no field of this form");
    u->current = &u->fields[u->fields_count++];
    snprintf(u->current->name, sizeof u->current->name, "%s", name);
    u->current->value = (struct strbuf)STRBUF_INIT_MAX(FIELD_MAX);
    return 0;
}

static int on_data(void *arg, const void *data, size_t len, struct err *err)
{
    struct body_upload *u = arg;
    if (u->in_file || u->bytes >= 0)
        atomic_fetch_add(&u->x->rest->counters.upload_bytes, len);
    if (u->bytes >= 0)
        return os_write_full(u->bytes, data, len, err);
    if (u->in_file) {
        if (u->sum)
            XXH3_128bits_update(u->sum, data, len);
        int r = ingest_upload_write(u->file, data, len, err);
        if (r == -ERR_INVALID)
            name_field(u->x, "file");
        return r;
    }
    strbuf_append(&u->current->value, data, len);
    if (!u->current->value.over)
        return strbuf_check(&u->current->value, err);
    name_field(u->x, u->current->name);
    return err_set(err, ERR_LIMIT, "%s has over %zu bytes", u->current->name, FIELD_MAX);
}

static int on_end(void *arg, struct err *err)
{
    struct body_upload *u = arg;
    struct strbuf *v = u->in_file ? NULL : &u->current->value;
    u->file_done = u->file_done || u->in_file;
    if (v && (!utf8_valid(strbuf_str(v), v->len) || memchr(strbuf_str(v), 0, v->len)))
        return invalid(u, u->current->name, err, "no UTF-8 text");
    return 0;
}

/* --- the other thread -------------------------------------------------------------------------------------------- */

/* A backup is as large as its state. */
static uint64_t upload_max(const struct exchange *x)
{
    return json_flag(x->route->extra, "switched", false) ? UINT64_MAX : x->rest->o.upload_max_bytes;
}

static int too_large(struct exchange *x, bool upload, struct err *err)
{
    name_field(x, upload ? "file" : "body");
    return err_set(err, ERR_LIMIT, "the %s has over %llu bytes", upload ? "upload" : "body",
                   (unsigned long long)(upload ? upload_max(x) : JSON_BODY_MAX));
}

static void take(struct body_upload *u, const char *data, size_t len)
{
    int r;
    if (u->error || !len)
        return;
    u->taken += len;
    if (u->taken > upload_max(u->x))
        r = too_large(u->x, true, &u->why);
    else if (u->form)
        r = multipart_feed(u->form, data, len, &u->why);
    else
        r = on_data(u, data, len, &u->why);
    u->error = r < 0 ? r : 0;
}

/* Where of the form's own parts none is to blame. */
static void blame(struct body_upload *u)
{
    if (u->error == -ERR_INVALID && !u->x->field[0])
        name_field(u->x, u->form ? "body" : "file");
}

bool upload_failed(struct exchange *x, struct err *why)
{
    struct body_upload *u = x->upload;
    if (!u || !u->error)
        return false;
    pthread_mutex_lock(&u->lock);
    bool busy = u->busy;
    pthread_mutex_unlock(&u->lock);
    if (busy) /* for a moment more */
        return false;
    ingest_upload_free(TAKE_PTR(u->file)); /* when he is told, nothing is left of it */
    blame(u);
    err_copy(why, &u->why);
    return true;
}

static void finish(struct body_upload *u)
{
    if (!u->error && u->form)
        u->error = multipart_finish(u->form, &u->why);
    blame(u);
    if (!u->error && !u->file_seen && u->bytes < 0) {
        name_field(u->x, "file");
        u->error = err_set(&u->why, ERR_INVALID, "file: is missing");
    }
    if (!u->error) {
        exchange_work(u->x);
        return;
    }
    ingest_upload_free(TAKE_PTR(u->file));
    reply_error(u->x, &u->why);
    atomic_fetch_sub(&u->x->rest->counters.working, 1);
    u->x->phase = PHASE_ANSWERED;
    http.MHD_resume_connection(u->x->conn);
}

/* Empties the buffer that is not being filled, then the other, as long as there is one. */
static void empty(void *arg)
{
    struct body_upload *u = arg;
    for (;;) {
        int mine = !u->filling;
        take(u, u->buffer[mine], u->len[mine]);
        pthread_mutex_lock(&u->lock);
        u->len[mine] = 0;
        bool more = u->len[u->filling] == BUFFER || (u->ended && u->len[u->filling]);
        bool wake = u->waiting;
        if (more)
            u->filling = mine;
        u->busy = more;
        u->waiting = false;
        if (wake)
            http.MHD_resume_connection(u->x->conn);
        bool over = u->ended && !more;
        if (!more && !over) /* the exchange may be gone from here on */
            pthread_cond_signal(&u->idle);
        pthread_mutex_unlock(&u->lock);
        if (over)
            finish(u);
        if (!more)
            return;
    }
}

/* --- the connection's thread --------------------------------------------------------------------------------------- */

/* Hands the full buffer over. Under the lock, and nothing is being emptied. */
static bool hand_over(struct body_upload *u)
{
    u->filling = !u->filling;
    u->busy = true;
    if (jobs_add(u->x->rest->jobs, u->x->caller.name_space, empty, u))
        return true;
    u->busy = false;
    return false;
}

static enum MHD_Result upload_data(struct body_upload *u, const char *data, size_t *io_size)
{
    size_t given = 0;
    bool ok = true, wait = false;
    pthread_mutex_lock(&u->lock);
    if (u->error) /* nothing more is wanted */
        given = *io_size;
    while (ok && given < *io_size) {
        size_t room = BUFFER - u->len[u->filling], n = *io_size - given < room ? *io_size - given : room;
        /* With bytes left only: after a chunk that was taken whole the library comes with the next one, suspended or not. */
        if (!room && u->busy) {
            wait = true;
            break;
        }
        memcpy(u->buffer[u->filling] + u->len[u->filling], data + given, n);
        u->len[u->filling] += n;
        given += n;
        if (u->len[u->filling] == BUFFER && !u->busy)
            ok = hand_over(u);
    }
    if (wait) {
        u->waiting = true;
        http.MHD_suspend_connection(u->x->conn);
    }
    pthread_mutex_unlock(&u->lock);
    *io_size -= given;
    return ok ? MHD_YES : MHD_NO;
}

static int begin_upload(struct exchange *x, bool bytes, bool form, const char *type, struct err *err)
{
    static const struct multipart_ops ops = {on_part, on_data, on_end};
    char boundary[MULTIPART_BOUNDARY_MAX + 1];
    int held = hold(x, 2 * BUFFER, err);
    struct body_upload *u = held == 0 ? mem_zalloc(sizeof *u) : NULL;
    if (!u)
        return held < 0 ? held : err_nomem(err);
    x->upload = u;
    u->x = x;
    u->bytes = -1;
    atomic_fetch_add(&x->rest->counters.uploads, 1);
    pthread_mutex_init(&u->lock, NULL);
    pthread_cond_init(&u->idle, NULL);
    for (int i = 0; i < 2; i++)
        if (!(u->buffer[i] = mem_alloc(BUFFER)))
            return err_nomem(err);
    if (bytes)
        return os_open_nameless(x->rest->o.upload_dir, &u->bytes, err);
    int r = target_ingest_options(&x->svc, "", &u->options, err);
    u->options.tmp_dir = x->rest->o.upload_dir;
    if (r == 0 && form) {
        r = multipart_boundary(type, boundary, err);
        if (r < 0)
            name_field(x, "Content-Type");
        return r < 0 ? r : multipart_new(boundary, &ops, u, &u->form, err);
    }
    const char *name = arg_text(x, "filename");
    return r < 0 ? r : begin_file(u, name ? name : "upload", err);
}

/* --- all kinds ------------------------------------------------------------------------------------------------------ */

static bool is_type(const char *given, const char *wanted)
{
    size_t n = strlen(wanted);
    return strncasecmp(given, wanted, n) == 0 && (!given[n] || given[n] == ';' || given[n] == ' ');
}

static int unsupported(struct exchange *x, const char *field, const char *why, struct err *err)
{
    name_field(x, field);
    x->error_status = 415;
    x->error_type = "UnsupportedMediaType";
    return err_set(err, ERR_USAGE, "%s", why);
}

static int wrong_type(struct exchange *x, const char *wanted, struct err *err)
{
    char why[120];
    snprintf(why, sizeof why, "the Content-Type must be %s", wanted);
    return unsupported(x, "Content-Type", why, err);
}

int body_begin(struct exchange *x, struct err *err)
{
    const char *type = request_header(x, "Content-Type"), *length = request_header(x, "Content-Length");
    bool chunked = request_header(x, "Transfer-Encoding") != NULL;
    unsigned long long bytes = length ? strtoull(length, NULL, 10) : 0;
    bool raw = json_flag(x->route->extra, "bytes", false), upload = raw || json_object_get(x->route->extra, "form") != NULL;
    bool json = json_object_get(x->route->extra, "body") != NULL;
    const char *coding = request_header(x, "Content-Encoding");
    int r = json_flag(x->route->extra, "switched", false) ? restore_begin(x, err) : 0;
    if (r < 0)
        return r;
    if (coding && *coding && strcasecmp(coding, "identity") != 0)
        return unsupported(x, "Content-Encoding", "a body is taken as it is, without a Content-Encoding", err);
    if (bytes > (upload ? upload_max(x) : JSON_BODY_MAX))
        return too_large(x, upload, err);
    if (upload && !length && !chunked) {
        x->error_status = 411;
        x->error_type = "LengthRequired";
        return err_set(err, ERR_USAGE, "a Content-Length is wanted");
    }
    if (upload) {
        bool form = !raw && type && is_type(type, "multipart/form-data");
        if (!form && !(type && is_type(type, "application/octet-stream")))
            return wrong_type(x, raw ? "application/octet-stream" : "multipart/form-data or application/octet-stream", err);
        return begin_upload(x, raw, form, type, err);
    }
    if (json && (bytes || chunked) && !(type && is_type(type, "application/json")))
        return wrong_type(x, "application/json", err);
    return 0;
}

enum MHD_Result body_data(struct exchange *x, const char *data, size_t *io_size)
{
    if (x->upload)
        return upload_data(x->upload, data, io_size);
    size_t n = *io_size;
    struct err err = {0};
    *io_size = 0;
    if (!json_object_get(x->route->extra, "body"))
        return MHD_YES;
    if (x->body.len + n <= JSON_BODY_MAX && hold(x, n, &err) < 0) {
        strbuf_release(&x->body);
        give_back(x);
        reply_error(x, &err);
        x->phase = PHASE_ANSWERED; /* when the rest has come */
        return MHD_YES;
    }
    strbuf_append(&x->body, data, n);
    return MHD_YES; /* what is over the maximum is told at its end */
}

void body_end(struct exchange *x)
{
    struct body_upload *u = x->upload;
    pthread_mutex_lock(&u->lock);
    u->ended = true;
    bool idle = !u->busy;
    if (idle) {
        u->filling = !u->filling;
        u->busy = true;
    }
    pthread_mutex_unlock(&u->lock);
    if (!idle || jobs_add(x->rest->jobs, x->caller.name_space, empty, u))
        return;
    u->error = err_set(&u->why, ERR_BUSY, "too many requests at a time");
    finish(u);
}

void body_free(struct exchange *x)
{
    struct body_upload *u = x->upload;
    give_back(x);
    if (!u)
        return;
    pthread_mutex_lock(&u->lock); /* the client has gone while a buffer is being emptied */
    if (!u->ended && u->busy) {
        u->error = -ERR_CANCELLED;
        while (u->busy)
            pthread_cond_wait(&u->idle, &u->lock);
    }
    pthread_mutex_unlock(&u->lock);
    multipart_free(u->form);
    ingest_upload_free(u->file);
    for (size_t i = 0; i < u->fields_count; i++)
        strbuf_release(&u->fields[i].value);
    if (u->bytes >= 0)
        close(u->bytes);
    XXH3_freeState(u->sum);
    free(u->buffer[0]);
    free(u->buffer[1]);
    pthread_mutex_destroy(&u->lock);
    pthread_cond_destroy(&u->idle);
    free(u);
    x->upload = NULL;
}

const char *upload_field(const struct exchange *x, const char *name)
{
    for (size_t i = 0; i < x->upload->fields_count; i++)
        if (strcmp(x->upload->fields[i].name, name) == 0)
            return strbuf_str(&x->upload->fields[i].value);
    return NULL;
}

json_t *upload_asked(const struct exchange *x)
{
    const struct body_upload *u = x->upload;
    json_t *j = json_object();
    char sum[33] = "";
    for (size_t i = 0; i < u->fields_count; i++)
        if (strcmp(u->fields[i].name, "notices") != 0)
            json_object_set_new(j, u->fields[i].name, json_string(strbuf_str(&u->fields[i].value)));
    XXH128_hash_t h = {0};
    if (u->sum)
        h = XXH3_128bits_digest(u->sum);
    snprintf(sum, sizeof sum, "%016llx%016llx", (unsigned long long)h.high64, (unsigned long long)h.low64);
    if (j && json_object_set_new(j, "file", json_string(sum)) == 0)
        return j;
    json_decref(j);
    return NULL;
}

int upload_take(struct exchange *x, struct ingest_result *ret, struct err *err)
{
    int r = ingest_upload_finish(x->upload->file, ret, err);
    ingest_upload_free(TAKE_PTR(x->upload->file));
    return r;
}

int upload_file(struct exchange *x, int *ret_fd, struct err *err)
{
    *ret_fd = x->upload->bytes;
    return lseek(*ret_fd, 0, SEEK_SET) < 0 ? err_sys(err, errno, "read it again") : 0;
}

/* Whole numbers that 64 bits do not hold are taken as JavaScript takes them; the rest stays whole. */
static json_t *whole_again(json_t *j)
{
    const char *key;
    json_t *v;
    size_t i;
    double d = json_is_real(j) ? json_real_value(j) : 0.5;
    if (d > -9e15 && d < 9e15 && d == (double)(int64_t)d) {
        json_decref(j);
        return json_integer((json_int_t)d);
    }
    json_object_foreach(j, key, v)
        json_object_set_new(j, key, whole_again(json_incref(v)));
    json_array_foreach(j, i, v)
        json_array_set_new(j, i, whole_again(json_incref(v)));
    return j;
}

static int parse(struct exchange *x, struct err *err)
{
    int r = json_parse(x->body.s, x->body.len, JSON_BODY_MAX, &x->json, err);
    if (r != -ERR_INVALID || !strstr(err->msg, "too big integer"))
        return r;
    json_t *j = json_loadb(x->body.s, x->body.len,
                           JSON_DECODE_ANY | JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, NULL);
    x->json = j ? whole_again(j) : NULL;
    return x->json ? 0 : r;
}

int body_json(struct exchange *x, struct err *err)
{
    const char *name = json_string_value(json_object_get(x->route->extra, "body"));
    if (x->body.over)
        return too_large(x, false, err);
    int r = strbuf_check(&x->body, err);
    if (r == 0 && x->body.len == 0) {
        if (name && strcmp(name, "Any") == 0)
            return 0;
        name_field(x, "body");
        return err_set(err, ERR_INVALID, "a JSON body is wanted");
    }
    if (r == 0)
        r = parse(x, err);
    if (r == -ERR_INVALID)
        name_field(x, "body");
    if (r < 0 || !name)
        return r;
    struct err why = {0};
    r = schema_apply(api_schema(&x->rest->api, name), x->json, "field", &why);
    if (r == 0)
        return 0;
    const char *quoted = strchr(why.msg, '\'');
    size_t n = quoted ? strcspn(quoted + 1, "'") : strlen("body");
    snprintf(x->field, sizeof x->field, "%.*s", (int)(n < 60 ? n : 60), quoted ? quoted + 1 : "body");
    return err_copy(err, &why);
}
