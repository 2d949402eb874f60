/* Objects: put, get, stat, list, remove. */
#include "store/store_internal.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/units.h"
#include "os/clock.h"
#include "os/file.h"
#include "store/blob.h"
#include "store/pin.h"
#include "store/upload.h"

#include <string.h>

/* A record that is put again is touched if its stamp is older: grace times are right to within
 * this. */
#define TOUCH_AFTER_NS NS_PER_S

DEFINE_CLEANUP(struct upload *, upload_free)

struct blob_name blob_name_of(char kind, const struct digest *d)
{
    struct blob_name n = {{kind, '/'}};
    digest_hex(d, n.s + 2);
    return n;
}

int store_new(struct store_backend *be, struct store **ret, struct err *err)
{
    struct store *s = mem_zalloc(sizeof *s);
    if (!s) {
        be->ops->free(be);
        return err_nomem(err);
    }
    s->be = be;
    pthread_mutex_init(&s->lock, NULL);
    *ret = s;
    return 0;
}

int store_open_local(const char *dir, struct store **ret, struct err *err)
{
    struct store_backend *be;
    int r = backend_local_open(dir, &be, err);
    return r < 0 ? WRAP(r, err, "open store %s", dir) : store_new(be, ret, err);
}

int store_open_memory(struct store **ret, struct err *err)
{
    struct store_backend *be;
    int r = backend_memory_open(&be, err);
    return r < 0 ? r : store_new(be, ret, err);
}

void store_free(struct store *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < ARRAY_LEN(s->spare); i++)
        codec_free(s->spare[i]);
    s->be->ops->free(s->be);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

int object_record(struct store *s, const struct digest *d, struct record *ret, char **ret_bytes,
                  struct err *err)
{
    struct blob_name name = blob_name_of('o', d);
    size_t len;
    *ret_bytes = NULL;
    *ret = (struct record){0};
    int r = s->be->ops->get(s->be, name.s, RECORD_MAX, ret_bytes, &len, err);
    if (r == -ERR_NOT_FOUND)
        return err_set(err, ERR_NOT_FOUND, "no object sha256:%s in the store", name.s + 2);
    if (r == 0)
        r = record_decode(*ret_bytes, len, ret, err);
    return r;
}

int object_known(struct store *s, const struct digest *d, bool as_tree, struct err *err)
{
    const struct store_ops *ops = s->be->ops;
    struct record rec;
    _cleanup_free_ char *bytes = NULL;
    struct blob_info info;
    int r = object_record(s, d, &rec, &bytes, err);
    bool known = r == 0 && (rec.tree || !as_tree);
    for (size_t i = 0; i < rec.chunks.len && known && r == 0; i++) {
        r = ops->stat(s->be, blob_name_of('c', &rec.chunks.v[i].digest).s, &info, err);
        if (r == -ERR_NOT_FOUND)
            known = false;
    }
    record_release(&rec);
    if (r < 0 && r != -ERR_NOT_FOUND && r != -ERR_CORRUPT)
        return r;
    if (!known || r < 0)
        return 0; /* to be written (again) */
    struct blob_name name = blob_name_of('o', d);
    r = ops->stat(s->be, name.s, &info, err);
    if (r == 0 && info.stamp_ns < os_now_ns() - TOUCH_AFTER_NS)
        r = ops->touch(s->be, name.s, err);
    return r == 0 ? 1 : r == -ERR_NOT_FOUND ? 0 : r;
}

static void set_media_type(struct record *rec, const char *media_type)
{
    const char *m = media_type ? media_type : "application/octet-stream";
    size_t n = strnlen(m, sizeof rec->media_type - 1);
    memcpy(rec->media_type, m, n);
    rec->media_type[n] = 0;
    rec->created_ns = os_now_ns();
}

/* One block, in its record or as one chunk; the gate is entered, so no session is needed. */
static int put_small(struct store *s, const void *data, size_t len, const struct digest *d,
                     struct record *rec, struct err *err)
{
    const struct store_ops *ops = s->be->ops;
    struct codec *c = codec_take(s);
    struct store_batch *batch = NULL;
    struct chunk_ref chunk = {*d, (uint32_t)len};
    struct strbuf b = STRBUF_INIT_MAX(RECORD_MAX);
    size_t packed = 0;
    int r = c ? block_pack(c, data, len, &packed, err) : err_nomem(err);
    if (r == 0)
        r = ops->batch_new(s->be, &batch, err);
    if (r == 0) {
        rec->size_bytes = len;
        rec->stored_bytes = packed;
        if (packed <= INLINE_PACKED) {
            rec->block = c->buf;
            rec->block_len = packed;
        } else {
            rec->chunks = (struct chunk_list){&chunk, 1, 0};
            r = ops->batch_add(batch, blob_name_of('c', d).s, c->buf, packed, err);
        }
    }
    if (r == 0) {
        record_encode(rec, &b);
        r = strbuf_check(&b, err);
    }
    if (r == 0)
        r = ops->batch_add(batch, blob_name_of('o', d).s, b.s, b.len, err);
    if (r == 0)
        r = ops->batch_commit(s->be, &batch, 1, err);
    strbuf_release(&b);
    ops->batch_free(batch);
    codec_give(s, c);
    return r;
}

static int put_large(struct store *s, const void *data, size_t len, const struct digest *d,
                     struct record *rec, struct err *err)
{
    _cleanup_(upload_free_cleanup_) struct upload *u = NULL;
    int r = upload_begin(s, &u, err);
    if (r == 0)
        r = upload_object(u, data, len, d, rec, err);
    if (r == 0)
        r = upload_commit(u, err);
    record_release(rec);
    return r;
}

int store_put(struct store *s, const void *data, size_t len, const char *media_type,
              struct store_ref *ret, struct err *err)
{
    const struct store_ops *ops = s->be->ops;
    struct digest d;
    struct record rec = {0};
    int r = digest_of(data, len, &d, err);
    if (r < 0)
        return r;
    set_media_type(&rec, media_type);
    r = ops->gate_enter(s->be, false, err);
    if (r < 0)
        return r;
    int known = object_known(s, &d, false, err);
    r = known < 0 ? known : 0;
    if (known == 0 && len <= INLINE_MAX)
        r = put_small(s, data, len, &d, &rec, err);
    ops->gate_leave(s->be, false);
    if (known == 0 && len > INLINE_MAX)
        r = put_large(s, data, len, &d, &rec, err);
    if (r == 0)
        digest_to_ref(&d, ret);
    return r;
}

/* Feeds a descriptor to its end; first bytes are in buf already. */
static int feed_fd(struct upload *u, struct hasher *h, int fd, uint8_t *buf, size_t cap, size_t n,
                   uint64_t max_bytes, uint64_t *ret_size, struct err *err)
{
    uint64_t size = 0;
    while (n) {
        size += n;
        if (size > max_bytes)
            return err_set(err, ERR_LIMIT, "over %llu bytes", (unsigned long long)max_bytes);
        int r = hasher_update(h, buf, n, err);
        if (r == 0)
            r = upload_write(u, buf, n, err);
        if (r == 0)
            r = os_read_full(fd, buf, cap, &n, err);
        if (r < 0)
            return r;
    }
    *ret_size = size;
    return 0;
}

/* Ends an upload whose one stream is the object d, unless that is in the store already. */
static int finish_stream(struct store *s, struct upload *u, const struct digest *d,
                         struct record *rec, struct err *err)
{
    int r = upload_end_stream(u, &rec->chunks, &rec->stored_bytes, err);
    if (r == 0)
        r = s->be->ops->gate_enter(s->be, false, err);
    if (r < 0)
        return r;
    int known = object_known(s, d, false, err);
    s->be->ops->gate_leave(s->be, false);
    r = known < 0 ? known : 0;
    if (known == 0)
        r = upload_record(u, d, rec, err);
    return r < 0 ? r : upload_commit(u, err);
}

int store_put_fd(struct store *s, int fd, uint64_t max_bytes, const char *media_type,
                 struct store_ref *ret, uint64_t *ret_size, struct err *err)
{
    const size_t cap = (size_t)256 << 10;
    _cleanup_free_ uint8_t *buf = mem_alloc(cap);
    size_t n;
    if (!buf)
        return err_nomem(err);
    int r = os_read_full(fd, buf, cap, &n, err);
    if (r < 0)
        return r;
    if (n > max_bytes)
        return err_set(err, ERR_LIMIT, "over %llu bytes", (unsigned long long)max_bytes);
    if (n < cap) { /* that is all of it */
        if (ret_size)
            *ret_size = n;
        return store_put(s, buf, n, media_type, ret, err);
    }
    _cleanup_(upload_free_cleanup_) struct upload *u = NULL;
    _cleanup_(hasher_release) struct hasher h = {0};
    struct record rec = {0};
    struct digest d;
    set_media_type(&rec, media_type);
    r = upload_begin(s, &u, err);
    if (r == 0)
        r = hasher_init(&h, err);
    if (r == 0)
        r = feed_fd(u, &h, fd, buf, cap, n, max_bytes, &rec.size_bytes, err);
    if (r == 0)
        r = hasher_final(&h, &d, err);
    if (r == 0)
        r = finish_stream(s, u, &d, &rec, err);
    if (r == 0) {
        digest_to_ref(&d, ret);
        if (ret_size)
            *ret_size = rec.size_bytes;
    }
    record_release(&rec);
    return r;
}

static int read_chunks(struct store *s, struct codec *c, const struct record *rec, char *out,
                       struct err *err)
{
    size_t at = 0;
    for (size_t i = 0; i < rec->chunks.len; i++) {
        const struct chunk_ref *ch = &rec->chunks.v[i];
        _cleanup_free_ char *data = NULL;
        int r = chunk_read(s, c, &ch->digest, ch->len, &data, NULL, err);
        if (r < 0)
            return r;
        memcpy(out + at, data, ch->len);
        at += ch->len;
    }
    return 0;
}

int object_read(struct store *s, const struct digest *d, const struct record *rec, size_t max,
                char **ret, size_t *ret_len, struct err *err)
{
    if (rec->size_bytes > max || rec->size_bytes > SIZE_MAX / 2)
        return err_set(err, ERR_LIMIT, "an object of %llu bytes is over %zu",
                       (unsigned long long)rec->size_bytes, max);
    size_t len = (size_t)rec->size_bytes;
    struct codec *c = codec_take(s);
    _cleanup_free_ char *out = mem_alloc(len + 1);
    int r = c && out ? 0 : err_nomem(err);
    if (r == 0)
        r = rec->block ? block_unpack(c, rec->block, rec->block_len, out, len, err)
                       : read_chunks(s, c, rec, out, err);
    codec_give(s, c);
    struct digest got;
    if (r == 0)
        r = digest_of(out, len, &got, err);
    if (r == 0 && !digest_equal(&got, d))
        r = err_set(err, ERR_CORRUPT, "the object's bytes have changed");
    if (r < 0)
        return r;
    out[len] = 0;
    *ret = TAKE_PTR(out);
    *ret_len = len;
    return 0;
}

int store_get(struct store *s, const char *ref, size_t max, char **ret, size_t *ret_len,
              struct err *err)
{
    struct digest d;
    struct record rec;
    size_t len;
    _cleanup_free_ char *bytes = NULL;
    int r = digest_from_ref(ref, &d, err);
    if (r < 0)
        return r;
    r = object_record(s, &d, &rec, &bytes, err);
    if (r == 0)
        r = object_read(s, &d, &rec, max, ret, &len, err);
    record_release(&rec);
    if (r == -ERR_CORRUPT)
        return WRAP(r, err, "object %.19s", ref);
    if (r == 0 && ret_len)
        *ret_len = len;
    return r;
}

/* Goes over all chunks: hashes them (fd < 0) or writes them out. */
static int walk_chunks(struct store *s, const struct record *rec, struct hasher *h, int fd,
                       struct err *err)
{
    struct codec *c = codec_take(s);
    int r = c ? 0 : err_nomem(err);
    for (size_t i = 0; i < rec->chunks.len && r == 0; i++) {
        const struct chunk_ref *ch = &rec->chunks.v[i];
        _cleanup_free_ char *data = NULL;
        r = chunk_read(s, c, &ch->digest, ch->len, &data, NULL, err);
        if (r == 0)
            r = fd < 0 ? hasher_update(h, data, ch->len, err)
                       : os_write_full(fd, data, ch->len, err);
    }
    codec_give(s, c);
    return r;
}

int object_hash(struct store *s, const struct digest *d, const struct record *rec,
                struct err *err)
{
    _cleanup_(hasher_release) struct hasher h = {0};
    struct digest got;
    int r = hasher_init(&h, err);
    if (r == 0)
        r = walk_chunks(s, rec, &h, -1, err);
    if (r == 0)
        r = hasher_final(&h, &got, err);
    if (r == 0 && !digest_equal(&got, d))
        r = err_set(err, ERR_CORRUPT, "the object's bytes have changed");
    return r;
}

/* Nothing unverified may get out, and the name tells only at the end whether all is right: so a
 * large object is read twice. */
static int get_large(struct store *s, const struct digest *d, const struct record *rec, int fd,
                     struct err *err)
{
    int r = object_hash(s, d, rec, err);
    return r < 0 ? r : walk_chunks(s, rec, NULL, fd, err);
}

int store_get_fd(struct store *s, const char *ref, int fd, uint64_t *ret_size, struct err *err)
{
    const size_t in_memory = (size_t)16 << 20;
    struct digest d;
    struct record rec;
    _cleanup_free_ char *bytes = NULL, *data = NULL;
    size_t len;
    int r = digest_from_ref(ref, &d, err);
    if (r < 0)
        return r;
    r = object_record(s, &d, &rec, &bytes, err);
    if (r == 0 && rec.size_bytes > in_memory) {
        r = get_large(s, &d, &rec, fd, err);
    } else if (r == 0) {
        r = object_read(s, &d, &rec, in_memory, &data, &len, err);
        if (r == 0)
            r = os_write_full(fd, data, len, err);
    }
    if (r == 0 && ret_size)
        *ret_size = rec.size_bytes;
    record_release(&rec);
    return r == -ERR_CORRUPT ? WRAP(r, err, "object %.19s", ref) : r;
}

static void info_from(const struct digest *d, const struct record *rec,
                      struct store_object_info *ret)
{
    *ret = (struct store_object_info){.size_bytes = rec->size_bytes,
                                      .stored_bytes = rec->stored_bytes,
                                      .created_ns = rec->created_ns};
    digest_to_ref(d, &ret->ref);
    memcpy(ret->media_type, rec->media_type, sizeof ret->media_type);
}

int store_stat(struct store *s, const char *ref, struct store_object_info *ret, struct err *err)
{
    struct digest d;
    struct record rec;
    _cleanup_free_ char *bytes = NULL;
    int r = digest_from_ref(ref, &d, err);
    if (r < 0)
        return r;
    r = object_record(s, &d, &rec, &bytes, err);
    if (r == 0)
        info_from(&d, &rec, ret);
    record_release(&rec);
    return r;
}

struct list_call {
    struct store *s;
    bool (*each)(void *arg, const struct store_object_info *info);
    void *arg;
};

static int list_one(void *arg, const struct blob_info *blob, struct err *err)
{
    struct list_call *call = arg;
    struct digest d;
    struct record rec;
    struct store_object_info info;
    _cleanup_free_ char *bytes = NULL;
    if (strlen(blob->name) != 2 + DIGEST_HEX || !digest_from_hex(blob->name + 2, &d))
        return 0;
    int r = object_record(call->s, &d, &rec, &bytes, err);
    if (r == 0)
        info_from(&d, &rec, &info);
    record_release(&rec);
    if (r == -ERR_NOT_FOUND || r == -ERR_CORRUPT) /* gone meanwhile; damaged: store_verify() tells */
        return 0;
    if (r < 0)
        return r;
    return call->each(call->arg, &info) ? 0 : 1;
}

int store_list(struct store *s, bool (*each)(void *arg, const struct store_object_info *info),
               void *arg, struct err *err)
{
    struct list_call call = {s, each, arg};
    return s->be->ops->list(s->be, "o/", list_one, &call, err);
}

int store_remove(struct store *s, const char *ref, struct err *err)
{
    struct digest d;
    struct blob_info info;
    int r = digest_from_ref(ref, &d, err);
    if (r < 0)
        return r;
    struct blob_name name = blob_name_of('o', &d);
    r = s->be->ops->stat(s->be, name.s, &info, err);
    if (r == -ERR_NOT_FOUND)
        return err_set(err, ERR_NOT_FOUND, "no object %s in the store", ref);
    if (r == 0)
        r = pin_refuse(s, &d, err);
    const char *names[] = {name.s};
    return r < 0 ? r : s->be->ops->remove(s->be, names, 1, err);
}
