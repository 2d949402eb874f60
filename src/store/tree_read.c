/* Reading a tree. */
#include "store/tree_internal.h"

#include "base/assert.h"
#include "base/cleanup.h"
#include "base/mem.h"
#include "store/blob.h"

#include <string.h>

int tree_open(struct store *s, const char *ref, struct tree **ret, struct err *err)
{
    struct digest d;
    int r = digest_from_ref(ref, &d, err);
    if (r < 0)
        return r;
    struct tree *t = mem_zalloc(sizeof *t);
    if (!t)
        return err_nomem(err);
    t->s = s;
    r = manifest_load(s, &d, &t->m, err);
    if (r == 0) {
        t->chunk_start = mem_calloc(t->m.chunks.len + 1, sizeof *t->chunk_start);
        if (!t->chunk_start)
            r = err_nomem(err);
    }
    if (r < 0) {
        tree_free(t);
        return WRAP(r, err, "tree %.19s", ref);
    }
    for (size_t i = 0; i < t->m.chunks.len; i++)
        t->chunk_start[i + 1] = t->chunk_start[i] + t->m.chunks.v[i].len;
    *ret = t;
    return 0;
}

void tree_free(struct tree *t)
{
    if (!t)
        return;
    manifest_release(&t->m);
    free(t->chunk_start);
    free(t);
}

size_t tree_count(const struct tree *t)
{
    return t->m.count;
}

uint64_t tree_total_bytes(const struct tree *t)
{
    return t->m.total_bytes;
}

const struct tree_entry *tree_entry_at(const struct tree *t, size_t i)
{
    ASSERT(i < t->m.count);
    return &t->m.entries[i].e;
}

size_t tree_find(const struct tree *t, const char *path)
{
    size_t lo = 0, hi = t->m.count;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int c = tree_path_compare(t->m.entries[mid].e.path, path);
        if (c == 0)
            return mid;
        if (c < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return SIZE_MAX;
}

void stream_reader_init(struct stream_reader *r, struct tree *t)
{
    *r = (struct stream_reader){.t = t, .next = SIZE_MAX};
}

void stream_reader_release(struct stream_reader *r)
{
    codec_give(r->t->s, r->codec);
    free(r->data);
    r->codec = NULL;
    r->data = NULL;
}

static size_t chunk_of(const struct tree *t, uint64_t offset)
{
    size_t lo = 0, hi = t->m.chunks.len;
    while (hi - lo > 1) {
        size_t mid = lo + (hi - lo) / 2;
        if (t->chunk_start[mid] <= offset)
            lo = mid;
        else
            hi = mid;
    }
    return lo;
}

int stream_read(struct stream_reader *r, uint64_t offset, uint64_t max, const char **ret,
                size_t *ret_len, struct err *err)
{
    struct tree *t = r->t;
    ASSERT(max && offset < t->m.stream_bytes);
    if (!r->data || offset < r->start || offset >= r->start + r->len) {
        size_t i = chunk_of(t, offset);
        free(TAKE_PTR(r->data));
        if (!r->codec && !(r->codec = codec_take(t->s)))
            return err_nomem(err);
        if (i == r->next)
            chunks_expect(t->s, &t->m.chunks, i);
        r->next = i + 1;
        int e = chunk_read(t->s, r->codec, &t->m.chunks.v[i].digest, t->m.chunks.v[i].len, &r->data,
                           NULL, err);
        if (e < 0)
            return e;
        r->start = t->chunk_start[i];
        r->len = t->m.chunks.v[i].len;
    }
    size_t at = (size_t)(offset - r->start), n = r->len - at;
    *ret = r->data + at;
    *ret_len = n < max ? n : (size_t)max;
    return 0;
}

int tree_read_file(struct tree *t, const char *path, size_t max, char **ret, size_t *ret_len,
                   struct err *err)
{
    size_t i = tree_find(t, path);
    if (i == SIZE_MAX || t->m.entries[i].e.kind != TREE_FILE)
        return err_set(err, ERR_NOT_FOUND, "no file %.200s in the tree", path);
    const struct manifest_entry *x = &t->m.entries[i];
    if (x->e.size_bytes > max || x->e.size_bytes > SIZE_MAX / 2)
        return err_set(err, ERR_LIMIT, "%.200s is over %zu bytes", path, max);
    size_t len = (size_t)x->e.size_bytes;
    _cleanup_free_ char *out = mem_alloc(len + 1);
    if (!out)
        return err_nomem(err);
    struct stream_reader rd;
    stream_reader_init(&rd, t);
    int r = 0;
    for (size_t at = 0; at < len && r == 0;) {
        const char *p;
        size_t n;
        r = stream_read(&rd, x->offset + at, len - at, &p, &n, err);
        if (r == 0) {
            memcpy(out + at, p, n);
            at += n;
        }
    }
    stream_reader_release(&rd);
    if (r < 0)
        return r;
    out[len] = 0;
    *ret = TAKE_PTR(out);
    if (ret_len)
        *ret_len = len;
    return 0;
}
