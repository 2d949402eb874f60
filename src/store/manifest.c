#include "store/manifest.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "store/blob.h"
#include "store/upload.h"

#include <string.h>

static const char magic[4] = {'F', 'F', 'T', '1'};
#define EXECUTABLE 128
#define ENTRY_MIN 3 /* bytes: kind, shared, n */

bool tree_path_valid(const char *path)
{
    size_t n = strnlen(path, TREE_PATH_MAX + 1);
    if (n == 0 || n > TREE_PATH_MAX)
        return false;
    for (const char *p = path;;) {
        const char *end = strchrnul(p, '/');
        size_t len = (size_t)(end - p);
        if (len == 0 || len > 255 || (len == 1 && p[0] == '.') ||
            (len == 2 && p[0] == '.' && p[1] == '.'))
            return false;
        if (!*end)
            return true;
        p = end + 1;
    }
}

int tree_path_compare(const char *a, const char *b)
{
    while (*a && *a == *b) {
        a++;
        b++;
    }
    int x = *a == '/' ? 1 : *a ? (unsigned char)*a + 1 : 0;
    int y = *b == '/' ? 1 : *b ? (unsigned char)*b + 1 : 0;
    return x - y;
}

static uint64_t zigzag(int64_t v)
{
    return (uint64_t)v << 1 ^ (v < 0 ? UINT64_MAX : 0);
}

static int64_t unzigzag(uint64_t v)
{
    return (int64_t)(v >> 1 ^ (v & 1 ? UINT64_MAX : 0));
}

static size_t common_prefix(const char *a, const char *b)
{
    size_t n = 0;
    while (a[n] && a[n] == b[n])
        n++;
    return n;
}

void manifest_encode(const struct manifest *m, struct strbuf *out)
{
    size_t start = out->len;
    strbuf_append(out, magic, sizeof magic);
    put_varint(out, m->chunks.len);
    for (size_t i = 0; i < m->chunks.len; i++) {
        strbuf_append(out, m->chunks.v[i].digest.b, DIGEST_LEN);
        put_varint(out, m->chunks.v[i].len);
    }
    put_varint(out, m->count);
    const char *before = "";
    uint64_t end = 0;
    for (size_t i = 0; i < m->count; i++) {
        const struct manifest_entry *x = &m->entries[i];
        size_t shared = common_prefix(before, x->e.path), n = strlen(x->e.path) - shared;
        strbuf_putc(out, (char)((int)x->e.kind | (x->e.executable ? EXECUTABLE : 0)));
        put_varint(out, shared);
        put_varint(out, n);
        strbuf_append(out, x->e.path + shared, n);
        if (x->e.kind == TREE_FILE) {
            put_varint(out, x->e.size_bytes);
            put_varint(out, zigzag((int64_t)(x->offset - end)));
            end = x->offset + x->e.size_bytes;
        } else if (x->e.kind == TREE_SYMLINK) {
            put_varint(out, strlen(x->e.link));
            strbuf_puts(out, x->e.link);
        }
        before = x->e.path;
    }
    put_checksum(out, start);
}

void manifest_release(struct manifest *m)
{
    free(m->entries);
    free(m->chunks.v);
    free(m->text);
    *m = (struct manifest){0};
}

static int corrupt(struct err *err, const char *what)
{
    return err_set(err, ERR_CORRUPT, "a tree with %s", what);
}

static int decode_chunks(struct cursor *c, struct manifest *m, struct err *err)
{
    uint64_t n = get_varint(c);
    if (n > (size_t)(c->end - c->p) / (DIGEST_LEN + 1))
        return corrupt(err, "a wrong list of chunks");
    m->chunks.v = mem_calloc((size_t)n, sizeof *m->chunks.v);
    if (!m->chunks.v)
        return err_nomem(err);
    m->chunks.len = m->chunks.cap = (size_t)n;
    for (size_t i = 0; i < n; i++) {
        const uint8_t *p = get_bytes(c, DIGEST_LEN);
        uint64_t len = get_varint(c);
        if (!p || c->bad || len == 0 || len > BLOCK_MAX)
            return corrupt(err, "a wrong chunk");
        memcpy(m->chunks.v[i].digest.b, p, DIGEST_LEN);
        m->chunks.v[i].len = (uint32_t)len;
        m->stream_bytes += len;
    }
    return 0;
}

/* The text of all paths could be far longer than the manifest (a long path shared by many): so they
 * are measured in a first pass, bounded, and copied in a second. */
#define TEXT_MAX ((size_t)4 << 30)

static int decode_entry(struct cursor *c, struct manifest_entry *x, char path[TREE_PATH_MAX + 1],
                        size_t *path_len, const uint8_t **ret_link, size_t *ret_link_len,
                        uint64_t *end, struct err *err)
{
    uint8_t kind = get_u8(c);
    uint64_t shared = get_varint(c), n = get_varint(c);
    *x = (struct manifest_entry){.e = {.kind = kind & ~EXECUTABLE, .executable = kind & EXECUTABLE}};
    *ret_link = NULL;
    *ret_link_len = 0;
    if (c->bad || shared > *path_len || n > TREE_PATH_MAX - shared || x->e.kind > TREE_SYMLINK)
        return corrupt(err, "a wrong entry");
    const uint8_t *p = get_bytes(c, (size_t)n);
    if (!p || memchr(p, 0, (size_t)n))
        return corrupt(err, "a wrong path");
    memcpy(path + shared, p, (size_t)n);
    *path_len = (size_t)(shared + n);
    path[*path_len] = 0;
    if (x->e.kind == TREE_FILE) {
        x->e.size_bytes = get_varint(c);
        x->offset = *end + (uint64_t)unzigzag(get_varint(c));
        *end = x->offset + x->e.size_bytes;
    } else if (x->e.kind == TREE_SYMLINK) {
        uint64_t len = get_varint(c);
        *ret_link = len && len <= TREE_PATH_MAX ? get_bytes(c, (size_t)len) : NULL;
        *ret_link_len = (size_t)len;
        if (!*ret_link || memchr(*ret_link, 0, (size_t)len))
            return corrupt(err, "a wrong link");
    }
    return c->bad ? corrupt(err, "a wrong end") : 0;
}

/* fill false: only the length of the text. */
static int decode_entries(struct cursor c, struct manifest *m, bool fill, size_t *ret_text,
                          struct err *err)
{
    char path[TREE_PATH_MAX + 1] = "";
    size_t path_len = 0, at = 0;
    uint64_t end = 0;
    for (size_t i = 0; i < m->count; i++) {
        struct manifest_entry x;
        const uint8_t *link;
        size_t link_len;
        int r = decode_entry(&c, &x, path, &path_len, &link, &link_len, &end, err);
        if (r < 0)
            return r;
        if (fill) {
            x.e.path = memcpy(m->text + at, path, path_len + 1);
            if (link) {
                x.e.link = memcpy(m->text + at + path_len + 1, link, link_len);
                m->text[at + path_len + 1 + link_len] = 0;
            }
            m->entries[i] = x;
        }
        at += path_len + 1 + (link ? link_len + 1 : 0);
        if (at > TEXT_MAX)
            return corrupt(err, "too much text");
    }
    *ret_text = at;
    return c.p == c.end ? 0 : corrupt(err, "bytes at its end");
}

/* Does path lie directly in the folder of the entry parent (or at the top, if NULL)? */
static bool directly_in(const char *path, const char *parent)
{
    size_t n = parent ? strlen(parent) : 0;
    if (parent && (strncmp(path, parent, n) != 0 || path[n++] != '/'))
        return false;
    return !strchr(path + n, '/');
}

int manifest_check(const struct manifest *m, enum err_code code, struct err *err)
{
    /* The chain of folders that the last entry lies in; a path has at most so many parts. */
    _cleanup_free_ const char **chain = mem_calloc(TREE_PATH_MAX / 2 + 2, sizeof *chain);
    size_t depth = 0;
    if (!chain)
        return err_nomem(err);
    for (size_t i = 0; i < m->count; i++) {
        const struct manifest_entry *x = &m->entries[i];
        if (!tree_path_valid(x->e.path))
            return err_set(err, code, "a tree with the path %.100s", x->e.path);
        if (i && tree_path_compare(m->entries[i - 1].e.path, x->e.path) >= 0)
            return err_set(err, code, "a tree with %.100s twice or out of order", x->e.path);
        while (depth && !directly_in(x->e.path, chain[depth - 1]))
            depth--;
        if (!depth && !directly_in(x->e.path, NULL))
            return err_set(err, code, "a tree without the folder of %.100s", x->e.path);
        if (x->e.kind == TREE_DIR)
            chain[depth++] = x->e.path;
        if (x->e.kind == TREE_FILE && (x->e.size_bytes > m->stream_bytes ||
                                       x->offset > m->stream_bytes - x->e.size_bytes))
            return err_set(err, code, "a tree without the bytes of %.100s", x->e.path);
    }
    return 0;
}

int manifest_decode(const void *data, size_t len, struct manifest *ret, struct err *err)
{
    *ret = (struct manifest){0};
    struct cursor c;
    if (!cursor_checked(&c, data, len))
        return corrupt(err, "changed bytes");
    const uint8_t *mg = get_bytes(&c, sizeof magic);
    if (!mg || memcmp(mg, magic, sizeof magic) != 0)
        return err_set(err, ERR_CORRUPT, "not a tree");
    int r = decode_chunks(&c, ret, err);
    if (r < 0)
        return r;
    uint64_t n = get_varint(&c);
    if (c.bad || n > (size_t)(c.end - c.p) / ENTRY_MIN)
        return corrupt(err, "a wrong number of entries");
    ret->count = (size_t)n;
    size_t text;
    r = decode_entries(c, ret, false, &text, err);
    if (r < 0)
        return r;
    ret->entries = mem_calloc(ret->count, sizeof *ret->entries);
    ret->text = mem_alloc(text);
    if (!ret->entries || !ret->text)
        return err_nomem(err);
    r = decode_entries(c, ret, true, &text, err);
    if (r == 0)
        r = manifest_check(ret, ERR_CORRUPT, err);
    for (size_t i = 0; r == 0 && i < ret->count; i++)
        ret->total_bytes += ret->entries[i].e.size_bytes;
    return r;
}

int manifest_load(struct store *s, const struct digest *d, struct manifest *ret, struct err *err)
{
    struct record rec;
    _cleanup_free_ char *bytes = NULL, *data = NULL;
    size_t len;
    *ret = (struct manifest){0};
    int r = object_record(s, d, &rec, &bytes, err);
    if (r == 0 && !rec.tree)
        r = err_set(err, ERR_INVALID, "the object is not a tree");
    if (r == 0)
        r = object_read(s, d, &rec, MANIFEST_MAX, &data, &len, err);
    if (r == 0)
        r = manifest_decode(data, len, ret, err);
    record_release(&rec);
    return r;
}
