/* Building a tree: entries in any order, files' bytes as one stream. */
#include "store/manifest.h"

#include "base/arena.h"
#include "base/assert.h"
#include "base/cleanup.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/vec.h"
#include "os/clock.h"
#include "store/upload.h"

#include <string.h>

#define TEXT_MAX ((size_t)4 << 30)

struct tree_builder {
    struct store *s;
    struct upload *u;
    struct arena text;
    VEC(struct manifest_entry) v;
    uint64_t stream_bytes;
    bool in_file, sorted;
    struct map by_path; /* -> index + 1; made once entries come out of order */
};

int tree_builder_new(struct store *s, struct tree_builder **ret, struct err *err)
{
    struct tree_builder *b = mem_zalloc(sizeof *b);
    if (!b)
        return err_nomem(err);
    b->s = s;
    b->sorted = true;
    arena_init(&b->text, TEXT_MAX);
    int r = upload_begin(s, STORE_TARGETS, false, &b->u, err);
    if (r < 0) {
        tree_builder_free(b);
        return r;
    }
    *ret = b;
    return 0;
}

void tree_builder_free(struct tree_builder *b)
{
    if (!b)
        return;
    upload_free(b->u);
    arena_release(&b->text);
    map_release(&b->by_path);
    VEC_RELEASE(&b->v);
    free(b);
}

static int index_path(struct tree_builder *b, size_t i, struct err *err)
{
    return map_set(&b->by_path, b->v.v[i].e.path, (void *)(i + 1)) ? 0 : err_nomem(err);
}

/* From now on entries are found by their path. */
static int need_index(struct tree_builder *b, struct err *err)
{
    int r = 0;
    for (size_t i = 0; b->sorted && i < b->v.len && r == 0; i++)
        r = index_path(b, i, err);
    if (r < 0)
        map_release(&b->by_path);
    else
        b->sorted = false;
    return r;
}

/* Entries that come in order cannot be there already; the first that does not makes the index. */
static int check_new(struct tree_builder *b, const char *path, struct err *err)
{
    if (!tree_path_valid(path))
        return err_set(err, ERR_INVALID, "not a path for a tree: %.200s", path);
    if (b->sorted && (!b->v.len || tree_path_compare(b->v.v[b->v.len - 1].e.path, path) < 0))
        return 0;
    int r = need_index(b, err);
    if (r < 0)
        return r;
    if (map_get(&b->by_path, path))
        return err_set(err, ERR_EXISTS, "%.200s is in the tree already", path);
    return 0;
}

static int add(struct tree_builder *b, const char *path, enum tree_kind kind, const char *link,
               struct err *err)
{
    ASSERT(!b->in_file);
    int r = check_new(b, path, err);
    if (r < 0)
        return r;
    struct manifest_entry x = {.e = {.kind = kind}, .offset = b->stream_bytes};
    x.e.path = arena_strdup(&b->text, path);
    x.e.link = link ? arena_strdup(&b->text, link) : NULL;
    if (!x.e.path || (link && !x.e.link) || !VEC_PUSH(&b->v, x))
        return err_nomem(err);
    r = b->sorted ? 0 : index_path(b, b->v.len - 1, err);
    if (r < 0)
        b->v.len--;
    return r;
}

int tree_add_dir(struct tree_builder *b, const char *path, struct err *err)
{
    return add(b, path, TREE_DIR, NULL, err);
}

int tree_add_symlink(struct tree_builder *b, const char *path, const char *target, struct err *err)
{
    size_t n = strlen(target);
    if (!n || n > TREE_PATH_MAX)
        return err_set(err, ERR_INVALID, "a link of %zu bytes", n);
    return add(b, path, TREE_SYMLINK, target, err);
}

int tree_add_alias(struct tree_builder *b, const char *path, const char *existing, struct err *err)
{
    int r = need_index(b, err);
    if (r < 0)
        return r;
    size_t i = (size_t)map_get(&b->by_path, existing);
    if (!i || b->v.v[i - 1].e.kind != TREE_FILE)
        return err_set(err, ERR_NOT_FOUND, "no file %.200s in the tree", existing);
    struct manifest_entry copy = b->v.v[i - 1];
    r = add(b, path, TREE_FILE, NULL, err);
    if (r < 0)
        return r;
    struct manifest_entry *x = &b->v.v[b->v.len - 1];
    x->offset = copy.offset;
    x->e.size_bytes = copy.e.size_bytes;
    x->e.executable = copy.e.executable;
    return 0;
}

int tree_remove(struct tree_builder *b, const char *path, struct err *err)
{
    ASSERT(!b->in_file);
    int r = need_index(b, err);
    if (r < 0)
        return r;
    size_t i = (size_t)map_get(&b->by_path, path), last = b->v.len;
    if (!i)
        return err_set(err, ERR_NOT_FOUND, "no %.200s in the tree", path);
    if (i != last) { /* the last one takes its place */
        r = map_set(&b->by_path, b->v.v[last - 1].e.path, (void *)i) ? 0 : err_nomem(err);
        if (r < 0)
            return r;
        b->v.v[i - 1] = b->v.v[last - 1];
    }
    (void)map_remove(&b->by_path, path);
    b->v.len--;
    return 0;
}

int tree_file_begin(struct tree_builder *b, const char *path, bool executable, struct err *err)
{
    int r = add(b, path, TREE_FILE, NULL, err);
    if (r < 0)
        return r;
    b->v.v[b->v.len - 1].e.executable = executable;
    b->in_file = true;
    return 0;
}

int tree_file_data(struct tree_builder *b, const void *data, size_t len, struct err *err)
{
    ASSERT(b->in_file);
    int r = upload_write(b->u, data, len, err);
    if (r < 0)
        return r;
    b->stream_bytes += len;
    b->v.v[b->v.len - 1].e.size_bytes += len;
    return 0;
}

int tree_file_end(struct tree_builder *b, struct err *err)
{
    ASSERT(b->in_file);
    b->in_file = false;
    return 0;
}

void tree_file_abort(struct tree_builder *b)
{
    ASSERT(b->in_file);
    b->in_file = false;
    if (!b->sorted)
        (void)map_remove(&b->by_path, b->v.v[b->v.len - 1].e.path);
    b->v.len--; /* its bytes stay in the stream, where nothing refers to them */
}

static int by_path(const void *a, const void *b)
{
    return tree_path_compare(((const struct manifest_entry *)a)->e.path,
                             ((const struct manifest_entry *)b)->e.path);
}

/* Adds the folders of a path that no entry stands for, given the sorted path before it. */
static int add_parents(struct tree_builder *b, const char *before, const char *path,
                       struct err *err)
{
    for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
        size_t n = (size_t)(slash - path);
        /* It stands before us if the path before is it, or lies in it. */
        if (before && strncmp(before, path, n) == 0 && (before[n] == 0 || before[n] == '/'))
            continue;
        struct manifest_entry x = {.e = {.kind = TREE_DIR}};
        x.e.path = arena_strndup(&b->text, path, n);
        if (!x.e.path || !VEC_PUSH(&b->v, x))
            return err_nomem(err);
    }
    return 0;
}

static int complete(struct tree_builder *b, struct err *err)
{
    if (!b->sorted && b->v.len)
        qsort(b->v.v, b->v.len, sizeof *b->v.v, by_path);
    size_t n = b->v.len;
    for (size_t i = 0; i < n; i++) {
        int r = add_parents(b, i ? b->v.v[i - 1].e.path : NULL, b->v.v[i].e.path, err);
        if (r < 0)
            return r;
    }
    if (b->v.len > n)
        qsort(b->v.v, b->v.len, sizeof *b->v.v, by_path);
    return 0;
}

int tree_builder_finish(struct tree_builder *b, struct store_ref *ret, struct err *err)
{
    ASSERT(!b->in_file);
    struct manifest m = {0};
    struct record rec = {.tree = true, .media_type = STORE_TREE_MEDIA_TYPE};
    struct strbuf text = STRBUF_INIT_MAX(MANIFEST_MAX);
    struct digest d;
    rec.created_ns = os_now_ns();
    int r = complete(b, err);
    if (r == 0)
        r = upload_end_stream(b->u, &m.chunks, &rec.stored_bytes, NULL, err);
    if (r == 0) {
        m.entries = b->v.v;
        m.count = b->v.len;
        m.stream_bytes = b->stream_bytes;
        r = manifest_check(&m, ERR_INVALID, err);
    }
    if (r == 0) {
        manifest_encode(&m, &text);
        r = strbuf_check(&text, err);
    }
    if (r == 0)
        r = digest_of(text.s, text.len, &d, err);
    if (r == 0)
        r = upload_new_object(b->u, text.s, text.len, &d, &rec, err);
    if (r == 0)
        digest_to_ref(&d, ret);
    free(m.chunks.v);
    record_release(&rec);
    strbuf_release(&text);
    return r;
}
