/* Objects: put, get, stat, list, remove. */
#include "store/store_internal.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/units.h"
#include "os/clock.h"
#include "os/file.h"
#include "store/blob.h"
#include "store/chunker.h"
#include "store/manifest.h"
#include "store/pin.h"
#include "store/upload.h"

#include <string.h>
#include <sys/mman.h>

#define PIECE_BYTES ((size_t)256 << 10) /* of a stream that is fed to an upload */

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
    pthread_mutex_init(&s->lock_uploads, NULL);
    *ret = s;
    return 0;
}

int store_open_local(const char *dir, struct store **ret, struct err *err)
{
    struct store_backend *be;
    int r = backend_local_open(dir, false, &be, err);
    return r < 0 ? WRAP(r, err, "open store %s", dir) : store_new(be, ret, err);
}

int store_open_local_read_only(const char *dir, struct store **ret, struct err *err)
{
    struct store_backend *be;
    int r = backend_local_open(dir, true, &be, err);
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
    chunks_forget_left(s);
    s->be->ops->free(s->be);
    pthread_mutex_destroy(&s->lock);
    pthread_mutex_destroy(&s->lock_uploads);
    free(s);
}

int store_rekey(struct store *s, bool (*stopped)(void *arg), void *arg, uint64_t *ret_packs, struct err *err)
{
    *ret_packs = 0;
    if (!s->be->ops->rekey)
        return err_set(err, ERR_UNIMPLEMENTED, "the store '%s' encrypts nothing", s->be->ops->name);
    return s->be->ops->rekey(s->be, stopped, arg, ret_packs, err);
}

int object_record(struct store *s, const struct digest *d, struct record *ret, char **ret_bytes,
                  struct err *err)
{
    struct blob_name name = blob_name_of('o', d);
    size_t len;
    *ret_bytes = NULL;
    *ret = (struct record){0};
    int r = s->be->ops->get(s->be, name.s, RECORD_MAX, ret_bytes, &len, err);
    if (r == -ERR_NOT_FOUND) {
        err_set(err, ERR_NOT_FOUND, "no object sha256:%s in the store", name.s + 2);
        if (s->be->ops->shared)
            err_hint(err, "if it was there: it has expired (s3.keep_*), or somebody has removed it");
        return -ERR_NOT_FOUND;
    }
    if (r == 0)
        r = record_decode(*ret_bytes, len, ret, err);
    return r;
}

int64_t object_fresh_ns(struct store *s)
{
    const struct store_ops *ops = s->be->ops;
    return os_now_ns() - (ops->renew_after_ns ? ops->renew_after_ns(s->be) : NS_PER_S);
}

/* Is the blob there? Touched if it is not fresh; a chunk only in a shared back end: elsewhere the gate and
 * its record keep it. -ERR_NOT_FOUND. */
static int blob_known(struct store *s, const char *name, enum store_class class, int64_t fresh_ns, struct err *err)
{
    const struct store_ops *ops = s->be->ops;
    struct blob_info info;
    int r = ops->stat(s->be, name, class, &info, err);
    bool renew = r == 0 && info.stamp_ns < fresh_ns && (name[0] == 'o' || ops->shared);
    return renew ? ops->touch(s->be, name, class, err) : r;
}

static int chunks_known(struct store *s, const struct chunk_list *l, enum store_class class, int64_t fresh_ns, struct err *err)
{
    int r = 0;
    for (size_t i = 0; i < l->len && r == 0; i++)
        r = blob_known(s, blob_name_of('c', &l->v[i].digest).s, class, fresh_ns, err);
    return r;
}

int object_known(struct store *s, const struct digest *d, enum store_class class, bool as_tree, struct err *err)
{
    struct record rec;
    _cleanup_free_ char *bytes = NULL;
    struct blob_info info;
    struct blob_name name = blob_name_of('o', d);
    int64_t fresh_ns = object_fresh_ns(s);
    int r = s->be->ops->stat(s->be, name.s, class, &info, err);
    if (r < 0)
        return r == -ERR_NOT_FOUND ? 0 : r;
    r = object_record(s, d, &rec, &bytes, err);
    bool known = r == 0 && (rec.tree || !as_tree);
    if (known)
        r = chunks_known(s, &rec.chunks, class, fresh_ns, err);
    record_release(&rec);
    if (r == 0 && known)
        r = blob_known(s, name.s, class, fresh_ns, err);
    if (r < 0 && r != -ERR_NOT_FOUND && r != -ERR_CORRUPT)
        return r;
    return r == 0 && known; /* else to be written (again) */
}

/* The record last: who finds that renewed may rely on the rest. */
static int renew_in(struct store *s, const struct digest *d, const struct record *rec, const struct manifest *m,
                    enum store_class class, struct err *err)
{
    int64_t fresh_ns = object_fresh_ns(s);
    int r = chunks_known(s, &m->chunks, class, fresh_ns, err);
    if (r == 0)
        r = chunks_known(s, &rec->chunks, class, fresh_ns, err);
    return r == 0 ? blob_known(s, blob_name_of('o', d).s, class, fresh_ns, err) : r;
}

int object_renew(struct store *s, const struct digest *d, struct err *err)
{
    struct record rec;
    struct manifest m = {0};
    struct blob_info info;
    _cleanup_free_ char *bytes = NULL;
    bool renewed = false;
    int r = object_record(s, d, &rec, &bytes, err);
    if (r == 0 && rec.tree)
        r = manifest_load(s, d, &m, err);
    for (int class = 0; class < STORE_ANY && s->be->ops->shared && r == 0; class++) {
        r = s->be->ops->stat(s->be, blob_name_of('o', d).s, (enum store_class)class, &info, err);
        if (r == 0)
            r = renew_in(s, d, &rec, &m, (enum store_class)class, err);
        renewed = renewed || r == 0;
        r = r == -ERR_NOT_FOUND ? 0 : r;
    }
    if (r == 0 && !renewed) /* older objects may lie in several classes */
        r = renew_in(s, d, &rec, &m, STORE_ANY, err);
    manifest_release(&m);
    record_release(&rec);
    return r;
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
static int put_small(struct store *s, enum store_class class, const void *data, size_t len, const struct digest *d,
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
        ops->batch_class(batch, class);
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

/* Ends an upload whose one stream is an object, unless that is in the store already; *d: its name. */
static int finish_stream(struct store *s, enum store_class class, struct upload *u, struct digest *d, struct record *rec,
                         struct err *err)
{
    int r = upload_end_stream(u, &rec->chunks, &rec->stored_bytes, d, err);
    if (r == 0)
        r = s->be->ops->gate_enter(s->be, false, err);
    if (r < 0)
        return r;
    int known = object_known(s, d, class, false, err);
    s->be->ops->gate_leave(s->be, false);
    r = known < 0 ? known : 0;
    if (known == 0)
        r = upload_record(u, d, rec, err);
    return r < 0 ? r : upload_commit(u, err);
}

static int put_large(struct store *s, enum store_class class, const char *data, size_t len, struct digest *d,
                     struct record *rec, struct err *err)
{
    _cleanup_(upload_free_cleanup_) struct upload *u = NULL;
    int r = upload_begin(s, class, true, &u, err);
    if (r == 0)
        r = upload_write(u, data, len, err);
    rec->size_bytes = len;
    if (r == 0)
        r = finish_stream(s, class, u, d, rec, err);
    record_release(rec);
    return r;
}

/* One whose first chunk is not there is not there either: known without a look at the rest. */
static bool begins_new(struct store *s, enum store_class class, const void *data, size_t len)
{
    struct chunker c;
    struct digest d;
    struct blob_info info;
    int cut;
    chunker_init(&c, 0, 0, 0);
    size_t n = chunker_feed(&c, data, len, &cut);
    return cut && digest_of(data, n, &d, NULL) == 0 &&
           s->be->ops->stat(s->be, blob_name_of('c', &d).s, class, &info, NULL) == -ERR_NOT_FOUND;
}

/* Unless it is there: looks, and puts what is small. 1 if it is there now. */
static int put_if_small(struct store *s, enum store_class class, const void *data, size_t len, struct digest *d,
                        struct record *rec, struct err *err)
{
    const struct store_ops *ops = s->be->ops;
    int r = digest_of(data, len, d, err);
    if (r == 0)
        r = ops->gate_enter(s->be, false, err);
    if (r < 0)
        return r;
    int known = object_known(s, d, class, false, err);
    if (known == 0 && len <= INLINE_MAX) {
        r = put_small(s, class, data, len, d, rec, err);
        known = r < 0 ? r : 1;
    }
    ops->gate_leave(s->be, false);
    return known;
}

static int put(struct store *s, enum store_class class, const void *data, size_t len, const char *media_type,
               struct store_ref *ret, struct err *err)
{
    struct digest d;
    struct record rec = {0};
    set_media_type(&rec, media_type);
    int r = len > INLINE_MAX && begins_new(s, class, data, len) ? 0 : put_if_small(s, class, data, len, &d, &rec, err);
    if (r == 0)
        r = put_large(s, class, data, len, &d, &rec, err);
    if (r < 0)
        return r;
    digest_to_ref(&d, ret);
    return 0;
}

int store_put(struct store *s, const void *data, size_t len, const char *media_type, struct store_ref *ret, struct err *err)
{
    return put(s, STORE_RESULTS, data, len, media_type, ret, err);
}

/* Feeds a descriptor to its end; first bytes are in buf already. */
static int feed_fd(struct upload *u, int fd, uint8_t *buf, size_t cap, size_t n, uint64_t max_bytes, uint64_t *ret_size,
                   struct err *err)
{
    uint64_t size = 0;
    while (n) {
        size += n;
        if (size > max_bytes)
            return err_set(err, ERR_LIMIT, "over %llu bytes", (unsigned long long)max_bytes);
        int r = upload_write(u, buf, n, err);
        if (r == 0)
            r = os_read_full(fd, buf, cap, &n, err);
        if (r < 0)
            return r;
    }
    *ret_size = size;
    return 0;
}

int store_put_fd(struct store *s, enum store_class class, int fd, uint64_t max_bytes, const char *media_type,
                 struct store_ref *ret, uint64_t *ret_size, struct err *err)
{
    const size_t cap = PIECE_BYTES;
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
        return put(s, class, buf, n, media_type, ret, err);
    }
    _cleanup_(upload_free_cleanup_) struct upload *u = NULL;
    struct record rec = {0};
    struct digest d;
    set_media_type(&rec, media_type);
    r = upload_begin(s, class, true, &u, err);
    if (r == 0)
        r = feed_fd(u, fd, buf, cap, n, max_bytes, &rec.size_bytes, err);
    if (r == 0)
        r = finish_stream(s, class, u, &d, &rec, err);
    if (r == 0) {
        digest_to_ref(&d, ret);
        if (ret_size)
            *ret_size = rec.size_bytes;
    }
    record_release(&rec);
    return r;
}

/* Straight to where they belong; only the whole is compared with its name, hashed while what follows is on its way. */
static int read_chunks(struct store *s, struct codec *c, const struct record *rec, char *out, struct digest *ret,
                       struct err *err)
{
    _cleanup_(hasher_release) struct hasher h = {0};
    size_t at = 0;
    int r = hasher_init(&h, err);
    for (size_t i = 0; i < rec->chunks.len && r == 0; i++) {
        const struct chunk_ref *ch = &rec->chunks.v[i];
        chunks_expect(s, &rec->chunks, i);
        r = chunk_load(s, c, &ch->digest, ch->len, out + at, NULL, err);
        if (r == 0)
            hasher_update(&h, out + at, ch->len);
        at += ch->len;
    }
    if (r == 0)
        hasher_final(&h, ret);
    return r;
}

/* The whole is wrong: which part is it? */
static int find_damage(struct store *s, struct codec *c, const struct record *rec, struct err *err)
{
    for (size_t i = 0; i < rec->chunks.len; i++) {
        _cleanup_free_ char *data = NULL;
        int r = chunk_read(s, c, &rec->chunks.v[i].digest, rec->chunks.v[i].len, &data, NULL, err);
        if (r < 0)
            return r;
    }
    return err_set(err, ERR_CORRUPT, "the object's bytes have changed");
}

/* What is filled from end to end is better found and cleared in large pages, where the system has such. */
static char *alloc_whole(size_t n)
{
    const size_t page = (size_t)2 << 20;
    char *p = mem_alloc(n);
    size_t skip = p ? (page - (size_t)((uintptr_t)p % page)) % page : 0;
    if (p && n >= 2 * page)
        (void)madvise(p + skip, (n - skip) / page * page, MADV_HUGEPAGE);
    return p;
}

int object_read(struct store *s, const struct digest *d, const struct record *rec, size_t max,
                char **ret, size_t *ret_len, struct err *err)
{
    if (rec->size_bytes > max || rec->size_bytes > SIZE_MAX / 2)
        return err_set(err, ERR_LIMIT, "an object of %llu bytes is over %zu",
                       (unsigned long long)rec->size_bytes, max);
    size_t len = (size_t)rec->size_bytes;
    struct codec *c = codec_take(s);
    _cleanup_free_ char *out = alloc_whole(len + 1);
    struct digest got;
    int r = c && out ? 0 : err_nomem(err);
    if (r == 0 && rec->block) {
        r = block_unpack(c, rec->block, rec->block_len, out, len, err);
        if (r == 0)
            r = digest_of(out, len, &got, err);
    } else if (r == 0) {
        r = read_chunks(s, c, rec, out, &got, err);
    }
    if (r == 0 && !digest_equal(&got, d))
        r = find_damage(s, c, rec, err);
    codec_give(s, c);
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
        chunks_expect(s, &rec->chunks, i);
        r = chunk_read(s, c, &ch->digest, ch->len, &data, NULL, err);
        if (r == 0 && fd < 0)
            hasher_update(h, data, ch->len);
        else if (r == 0)
            r = os_write_full(fd, data, ch->len, err);
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
        hasher_final(&h, &got);
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
    r = s->be->ops->stat(s->be, name.s, STORE_ANY, &info, err);
    if (r == -ERR_NOT_FOUND)
        return err_set(err, ERR_NOT_FOUND, "no object %s in the store", ref);
    if (r == 0)
        r = pin_refuse(s, &d, err);
    const char *names[] = {name.s};
    return r < 0 ? r : s->be->ops->remove(s->be, names, 1, 0, err);
}
