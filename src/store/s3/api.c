/* The calls of S3 that are used. */
#include "store/s3/s3_internal.h"
#include "store/s3/xml.h"

#include "base/mem.h"
#include "base/units.h"
#include "base/vec.h"
#include "codec/uri.h"
#include "os/clock.h"

#include <stdio.h>
#include <string.h>

#define PART_BYTES ((size_t)8 << 20)
#define PARTS_FROM ((size_t)24 << 20)
#define PARTS_TRIES 3 /* uploads for one object, if the service loses them */
#define PARTS_MAX ((PACK_MAX + PART_BYTES - 1) / PART_BYTES)
#define PAGES_MAX 100000

static void make_key(const struct s3 *s, const char *key, char out[S3_KEY + PACK_NAME_MAX])
{
    snprintf(out, S3_KEY + PACK_NAME_MAX, "%s%s", s->prefix, key);
}

static int call(struct s3 *s, const char *key, const struct s3_request *q, struct s3_response *ret, struct err *err)
{
    char full[S3_KEY + PACK_NAME_MAX];
    struct s3_request own = *q;
    make_key(s, key, full);
    own.key = full;
    int r = s3_http_call(s->http, &own, ret, err);
    if (r == -ERR_UNAVAILABLE || r == -ERR_IO || r == -ERR_NO_SPACE)
        (void)WRAP(r, err, "bucket %s", s->bucket);
    return r;
}

static int put_whole(struct s3 *s, const char *key, const struct s3_request *q, int64_t *ret_stamp_ns, bool *ret_checked,
                     struct err *err)
{
    struct s3_response res;
    int r = call(s, key, q, &res, err);
    if (ret_stamp_ns)
        *ret_stamp_ns = res.date_ns ? res.date_ns : s3_now_ns(s);
    *ret_checked = res.checked;
    s3_response_release(&res);
    return r;
}

/* A service that does not know checksums, or wants bodies to be signed, gets what it has got once more, signed; and from then on
 * only so. */
static int put_pack(struct s3 *s, const char *key, const void *data, size_t len, int64_t *ret_stamp_ns, struct err *err)
{
    struct s3_request q = {.method = "PUT", .again = "If-None-Match: *", .body = data, .body_len = len, .crc32 = true,
                           .max_bytes = 64 << 10};
    bool checked;
    if (!atomic_load(&s->signs_bodies)) {
        struct err e = {0};
        int r = put_whole(s, key, &q, ret_stamp_ns, &checked, &e);
        bool refused = r == -ERR_PERMISSION || r == -ERR_IO;
        if ((r == 0 && checked) || r == -ERR_EXISTS)
            return 0;
        if (r < 0 && !refused)
            return err_copy(err, &e);
        atomic_store(&s->signs_bodies, true);
        q.again = NULL;
    }
    q.crc32 = false;
    int r = put_whole(s, key, &q, ret_stamp_ns, &checked, err);
    return r == -ERR_EXISTS ? 0 : r;
}

/* --- in parts ------------------------------------------------------------------------------------------- */

struct parts;
struct part {
    struct pool_job job;
    struct parts *all;
    unsigned number; /* from 1 */
    char etag[80];
};
struct parts {
    struct s3 *s;
    const char *key, *upload_id; /* encoded */
    const char *data;
    size_t len, left;
    bool lost;   /* why it failed: another upload may do */
    bool litter; /* there may be uploads of that key whose ids are not known */
    pthread_mutex_t lock; /* guards left, lost and failed while parts are on their way */
    pthread_cond_t done;
    struct err failed;
    struct part v[PARTS_MAX];
};

/* The service does not know the upload any more, or has other parts than it said: another upload may do. */
static bool upload_lost(const struct s3_response *res)
{
    return strcmp(res->code, "NoSuchUpload") == 0 || strcmp(res->code, "InvalidPart") == 0;
}

/* Under the lock. */
static void part_failed(struct parts *a, const struct err *err, bool lost)
{
    if (!a->failed.code) {
        a->failed = *err;
        a->lost = lost;
    }
}

static void put_part(void *arg)
{
    struct part *p = arg;
    struct parts *a = p->all;
    size_t at = (p->number - 1) * PART_BYTES, n = a->len - at < PART_BYTES ? a->len - at : PART_BYTES;
    char query[2 * S3_KEY_MAX];
    struct s3_response res = {0};
    struct err err = {0};
    pthread_mutex_lock(&a->lock);
    bool needless = a->failed.code;
    pthread_mutex_unlock(&a->lock);
    snprintf(query, sizeof query, "partNumber=%u&uploadId=%s", p->number, a->upload_id);
    struct s3_request q = {.method = "PUT", .query = query, .body = a->data + at, .body_len = n, .max_bytes = 64 << 10};
    int r = needless ? 0 : call(a->s, a->key, &q, &res, &err);
    bool lost = r < 0 && upload_lost(&res);
    if (r == 0 && !needless && !res.etag[0]) {
        r = err_set(&err, ERR_IO, "the S3 service took a part and gave no tag for it");
        lost = true;
    }
    snprintf(p->etag, sizeof p->etag, "%s", res.etag);
    s3_response_release(&res);
    pthread_mutex_lock(&a->lock);
    if (r < 0)
        part_failed(a, &err, lost);
    a->left--;
    pthread_cond_signal(&a->done);
    pthread_mutex_unlock(&a->lock);
}

static int put_all_parts(struct parts *a, size_t n, struct err *err)
{
    a->left = n;
    for (size_t i = 0; i < n; i++) {
        a->v[i] = (struct part){.all = a, .number = (unsigned)i + 1, .job = {put_part, &a->v[i], NULL}};
        pool_submit(a->s->pool, &a->v[i].job);
    }
    pthread_mutex_lock(&a->lock);
    while (a->left)
        pthread_cond_wait(&a->done, &a->lock);
    pthread_mutex_unlock(&a->lock);
    return a->failed.code ? err_copy(err, &a->failed) : 0;
}

/* Is it there, though the answer to the request that joined it says otherwise, or nothing? */
static int look_for_joined(struct parts *a, struct err *err)
{
    uint64_t size;
    int r = api_head(a->s, a->key, &size, NULL, err);
    if (r == 0 && size != a->len)
        r = err_set(err, ERR_IO, "an upload in parts came out with %llu bytes", (unsigned long long)size);
    if (r == -ERR_NOT_FOUND)
        a->lost = true;
    return r;
}

static int complete_parts(struct parts *a, size_t n, struct err *err)
{
    struct strbuf b = STRBUF_INIT_MAX(1 << 20);
    char query[2 * S3_KEY_MAX], tag[S3_KEY_MAX];
    struct s3_response res = {0};
    strbuf_puts(&b, "<CompleteMultipartUpload>");
    for (size_t i = 0; i < n; i++)
        strbuf_printf(&b, "<Part><PartNumber>%zu</PartNumber><ETag>%s</ETag></Part>", i + 1, a->v[i].etag);
    strbuf_puts(&b, "</CompleteMultipartUpload>");
    snprintf(query, sizeof query, "uploadId=%s", a->upload_id);
    int r = strbuf_check(&b, err);
    if (r == 0) {
        struct s3_request q = {.method = "POST", .query = query, .body = b.s, .body_len = b.len, .max_bytes = 64 << 10};
        r = call(a->s, a->key, &q, &res, err);
    }
    a->lost = r < 0 && upload_lost(&res);
    /* An earlier try may have gone through and its answer was lost. The status is sent before the parts are joined, so it is the
     * document that counts. */
    static const char joined[] = "CompleteMultipartUploadResult/ETag";
    bool told = r == 0 && s3_xml_text(res.body ? res.body : "", res.len, joined, tag, sizeof tag, NULL) == 0;
    if (r == 0 ? !told : a->lost)
        r = look_for_joined(a, err);
    s3_response_release(&res);
    strbuf_release(&b);
    return r;
}

static void abort_parts(struct s3 *s, const char *key, const char *upload_id)
{
    char query[2 * S3_KEY_MAX];
    struct s3_response res;
    snprintf(query, sizeof query, "uploadId=%s", upload_id);
    struct s3_request q = {.method = "DELETE", .query = query, .max_bytes = 64 << 10, .once = true};
    (void)call(s, key, &q, &res, NULL); /* else sweep does, or the service's rule (bucket.c) */
    s3_response_release(&res);
}

/* Gets an upload's id, encoded. */
static int begin_parts(struct parts *a, struct strbuf *id, struct err *err)
{
    char text[S3_KEY_MAX];
    struct s3_response res;
    struct s3_request q = {.method = "POST", .query = "uploads=", .max_bytes = 64 << 10};
    int r = call(a->s, a->key, &q, &res, err);
    if (r == 0) {
        r = s3_xml_text(res.body ? res.body : "", res.len, "InitiateMultipartUploadResult/UploadId", text, sizeof text, err);
        a->lost = r < 0;
    }
    if (r < 0 || res.repeated)
        a->litter = true; /* uploads may have begun whose ids nobody knows */
    s3_response_release(&res);
    if (r == 0) {
        strbuf_clear(id);
        uri_append_value(id, text);
        r = strbuf_check(id, err);
        a->upload_id = strbuf_str(id);
    }
    return r;
}

static int put_parts_once(struct parts *a, struct err *err)
{
    struct strbuf id = STRBUF_INIT_MAX(S3_KEY_MAX);
    size_t n = (a->len + PART_BYTES - 1) / PART_BYTES;
    a->lost = false;
    err_clear(&a->failed);
    int r = begin_parts(a, &id, err);
    if (r == 0) {
        r = put_all_parts(a, n, err);
        if (r == 0)
            r = complete_parts(a, n, err);
        if (r < 0)
            abort_parts(a->s, a->key, a->upload_id);
    }
    strbuf_release(&id);
    return r;
}

static void abort_parts_of(struct s3 *s, const char *key);

static int put_parts(struct s3 *s, const char *key, const void *data, size_t len, int64_t *ret_stamp_ns, struct err *err)
{
    struct parts *a = mem_zalloc(sizeof *a);
    if (!a)
        return err_nomem(err);
    *a = (struct parts){.s = s, .key = key, .data = data, .len = len};
    pthread_mutex_init(&a->lock, NULL);
    pthread_cond_init(&a->done, NULL);
    int r = put_parts_once(a, err);
    for (int tries = 1; r < 0 && a->lost && tries < PARTS_TRIES; tries++)
        r = put_parts_once(a, err);
    if (r < 0 && a->lost)
        r = err_set(err, ERR_IO, "bucket %s: the S3 service has given up an upload in parts, again and again", s->bucket);
    if (a->litter)
        abort_parts_of(s, key);
    if (ret_stamp_ns)
        *ret_stamp_ns = s3_now_ns(s);
    pthread_cond_destroy(&a->done);
    pthread_mutex_destroy(&a->lock);
    free(a);
    return r;
}

int api_put(struct s3 *s, const char *key, const void *data, size_t len, struct err *err)
{
    struct s3_request q = {.method = "PUT", .body = data, .body_len = len, .max_bytes = 64 << 10};
    bool checked;
    return put_whole(s, key, &q, NULL, &checked, err);
}

int api_put_pack(struct s3 *s, const char *key, const void *data, size_t len, int64_t *ret_stamp_ns, struct err *err)
{
    return len >= PARTS_FROM ? put_parts(s, key, data, len, ret_stamp_ns, err) : put_pack(s, key, data, len, ret_stamp_ns, err);
}

/* --- reading -------------------------------------------------------------------------------------------- */

int api_get(struct s3 *s, const char *key, size_t max, char **ret, size_t *ret_len, struct err *err)
{
    struct s3_response res;
    struct s3_request q = {.method = "GET", .max_bytes = max};
    int r = call(s, key, &q, &res, err);
    if (r == 0 && !res.body && !(res.body = mem_zalloc(1)))
        r = err_nomem(err);
    if (r == 0) {
        *ret = TAKE_PTR(res.body);
        *ret_len = res.len;
    }
    s3_response_release(&res);
    return r;
}

int api_get_range_into(struct s3 *s, const char *key, uint64_t offset, size_t len, char *to, struct err *err)
{
    char range[80];
    struct s3_response res;
    snprintf(range, sizeof range, "Range: bytes=%llu-%llu", (unsigned long long)offset,
             (unsigned long long)(offset + len - 1));
    struct s3_request q = {.method = "GET", .headers = {range}, .exact = true, .exact_bytes = len, .into = to};
    int r = call(s, key, &q, &res, err);
    s3_response_release(&res);
    return r;
}

int api_get_range(struct s3 *s, const char *key, uint64_t offset, size_t len, char **ret, struct err *err)
{
    _cleanup_free_ char *to = mem_alloc(len + 1);
    int r = to ? api_get_range_into(s, key, offset, len, to, err) : err_nomem(err);
    if (r == 0) {
        to[len] = 0;
        *ret = TAKE_PTR(to);
    }
    return r;
}

int api_head(struct s3 *s, const char *key, uint64_t *ret_size, int64_t *ret_stamp_ns, struct err *err)
{
    struct s3_response res;
    struct s3_request q = {.method = "HEAD"};
    int r = call(s, key, &q, &res, err);
    if (ret_size)
        *ret_size = res.length;
    if (ret_stamp_ns)
        *ret_stamp_ns = res.modified_ns;
    s3_response_release(&res);
    return r;
}

static int copy(struct s3 *s, const char *from, const char *to, int64_t *ret_stamp_ns, struct err *err)
{
    char full[S3_KEY + PACK_NAME_MAX], source[S3_KEY + PACK_NAME_MAX + 100], touched[64];
    struct s3_response res;
    make_key(s, from, full);
    snprintf(source, sizeof source, "x-amz-copy-source: /%s/%s", s->bucket, full);
    snprintf(touched, sizeof touched, "x-amz-meta-touched: %lld", (long long)(s3_now_ns(s) / NS_PER_MS));
    struct s3_request q = {.method = "PUT",
                           .headers = {source, "x-amz-metadata-directive: REPLACE", touched},
                           .max_bytes = 64 << 10};
    int r = call(s, to, &q, &res, err);
    if (ret_stamp_ns)
        *ret_stamp_ns = res.date_ns ? res.date_ns : s3_now_ns(s);
    s3_response_release(&res);
    return r;
}

int api_renew(struct s3 *s, const char *key, int64_t *ret_stamp_ns, struct err *err)
{
    return copy(s, key, key, ret_stamp_ns, err);
}

int api_copy(struct s3 *s, const char *from, const char *to, struct err *err)
{
    return copy(s, from, to, NULL, err);
}

int api_delete(struct s3 *s, const char *key, struct err *err)
{
    struct s3_response res;
    struct s3_request q = {.method = "DELETE", .max_bytes = 64 << 10};
    int r = call(s, key, &q, &res, err);
    s3_response_release(&res);
    return r == -ERR_NOT_FOUND ? 0 : r;
}

/* --- listing -------------------------------------------------------------------------------------------- */

struct list_call {
    struct s3 *s;
    int (*each)(void *, const struct api_entry *, struct err *);
    void *arg;
    size_t prefix_len;
};

/* A server may list what it likes: what does not belong here is passed over. */
static int on_entry(void *arg, const struct s3_xml_entry *x, struct err *err)
{
    struct list_call *l = arg;
    if (strncmp(x->key, l->s->prefix, l->prefix_len) != 0 || strlen(x->key) >= S3_KEY)
        return 0;
    struct api_entry e = {x->key + l->prefix_len, x->size, x->modified_ns};
    return l->each(l->arg, &e, err);
}

static int list_page(struct list_call *l, const char *query, struct s3_xml_list *page, struct err *err)
{
    int r = -ERR_CORRUPT;
    for (int tries = 0; tries < 3 && r == -ERR_CORRUPT; tries++) { /* what is no listing may be one the next time */
        struct s3_response res;
        struct s3_request q = {.method = "GET", .query = query, .max_bytes = S3_XML_MAX};
        r = s3_http_call(l->s->http, &q, &res, err);
        if (r == 0)
            r = s3_xml_list(res.body ? res.body : "", res.len, page, on_entry, l, err);
        s3_response_release(&res);
    }
    return r < 0 ? WRAP(r, err, "list bucket %s", l->s->bucket) : 0;
}

int api_list(struct s3 *s, const char *begin, const char *after,
             int (*each)(void *arg, const struct api_entry *e, struct err *err), void *arg, struct err *err)
{
    struct list_call l = {s, each, arg, strlen(s->prefix)};
    struct s3_xml_list *page = mem_zalloc(sizeof *page);
    char full[S3_KEY + PACK_NAME_MAX], token[sizeof page->token] = "";
    int r = page ? 0 : err_nomem(err);
    for (size_t pages = 0; r == 0 && (pages == 0 || page->truncated); pages++) {
        struct strbuf q = STRBUF_INIT_MAX(16 << 10);
        if (pages == PAGES_MAX || (pages && (!page->token[0] || strcmp(token, page->token) == 0))) {
            r = err_set(err, ERR_CORRUPT, "list bucket %s: a listing that does not go on", s->bucket);
            break;
        }
        snprintf(token, sizeof token, "%s", page->token);
        if (pages) { /* sorted, as the signature wants it */
            strbuf_puts(&q, "continuation-token=");
            uri_append_value(&q, token);
            strbuf_puts(&q, "&");
        }
        strbuf_puts(&q, "list-type=2&prefix=");
        make_key(s, begin, full);
        uri_append_value(&q, full);
        if (after && *after && !pages) {
            make_key(s, after, full);
            strbuf_puts(&q, "&start-after=");
            uri_append_value(&q, full);
        }
        r = strbuf_check(&q, err);
        if (r == 0)
            r = list_page(&l, strbuf_str(&q), page, err);
        strbuf_release(&q);
    }
    free(page);
    return r;
}

struct abort_call {
    struct s3 *s;
    const char *only; /* of this key; NULL: of all of the store */
    int64_t before_ns;
};

static int abort_one(void *arg, const struct s3_xml_entry *e, struct err *err)
{
    struct abort_call *a = arg;
    size_t n = strlen(a->s->prefix);
    if (e->modified_ns >= a->before_ns || strncmp(e->key, a->s->prefix, n) != 0 || !*e->upload_id ||
        strlen(e->key) >= S3_KEY || strspn(e->key + n, "abcdefghijklmnopqrstuvwxyz0123456789/-") != strlen(e->key + n) ||
        (a->only && strcmp(e->key + n, a->only) != 0))
        return 0;
    struct strbuf id = STRBUF_INIT_MAX(S3_KEY_MAX);
    uri_append_value(&id, e->upload_id);
    if (strbuf_check(&id, NULL) == 0)
        abort_parts(a->s, e->key + n, strbuf_str(&id));
    strbuf_release(&id);
    return 0;
}

static int abort_listed(struct abort_call *a, bool once, struct err *err)
{
    struct s3_xml_list page; /* one page: what is left waits for the next collection */
    struct s3_response res;
    struct strbuf query = STRBUF_INIT_MAX(4 << 10);
    strbuf_puts(&query, "prefix=");
    uri_append_value(&query, a->s->prefix);
    uri_append_value(&query, a->only ? a->only : "");
    strbuf_puts(&query, "&uploads=");
    struct s3_request q = {.method = "GET", .query = strbuf_str(&query), .max_bytes = S3_XML_MAX, .once = once};
    int r = s3_http_call(a->s->http, &q, &res, err);
    if (r == 0)
        r = s3_xml_list(res.body ? res.body : "", res.len, &page, abort_one, a, err);
    s3_response_release(&res);
    strbuf_release(&query);
    return r;
}

int api_abort_uploads(struct s3 *s, int64_t before_ns, struct err *err)
{
    struct abort_call a = {s, NULL, before_ns};
    return abort_listed(&a, false, err);
}

/* No two uploads have a name in common, so all of it are ours. */
static void abort_parts_of(struct s3 *s, const char *key)
{
    struct abort_call a = {s, key, INT64_MAX};
    (void)abort_listed(&a, true, NULL);
}
