/* The manifest of a tree: what an object of type application/vnd.fuzzforge.tree holds.
 *
 *   "FFT1"                       magic
 *   varint chunks; each: 32 bytes SHA-256, varint length     the stream of all files' bytes
 *   varint entries; each, in order:
 *     u8   kind (0 file, 1 folder, 2 link), 128 added if executable
 *     varint shared, varint n, n bytes     path: the first `shared` bytes are those of the path before it
 *     file: varint size, varint where      offset in the stream less the end of the file before it (zigzag)
 *     link: varint n, n bytes              target
 *   u64                          XXH3 of all before it
 *
 * Order: folder by folder, so each folder stands before all that is in it and nothing else stands
 * between: paths are compared by bytes with '/' below every other byte. Every parent is an entry.
 * Paths are relative, without empty, "." and ".." parts, at most TREE_PATH_MAX bytes. The decoder
 * checks all of it, so what uses a tree need not. */
#ifndef FF_STORE_MANIFEST_H
#define FF_STORE_MANIFEST_H

#include "base/strbuf.h"
#include "store/record.h"
#include "store/tree.h"

#define TREE_PATH_MAX 4096
#define MANIFEST_MAX ((size_t)1 << 30)

struct manifest_entry {
    struct tree_entry e;
    uint64_t offset; /* of a file in the stream */
};

struct manifest {
    struct manifest_entry *entries;
    size_t count;
    struct chunk_list chunks;
    char *text; /* holds the paths and targets; NULL if the builder owns them */
    uint64_t total_bytes, stream_bytes;
};

/* Is it a path that a tree may have? */
bool tree_path_valid(const char *path);
/* The order of entries. */
int tree_path_compare(const char *a, const char *b);

void manifest_encode(const struct manifest *m, struct strbuf *out);
/* -ERR_CORRUPT. Release it, also after an error. */
int manifest_decode(const void *data, size_t len, struct manifest *ret, struct err *err);
void manifest_release(struct manifest *m);
/* Parents stand before children, nothing twice, files inside the stream. */
int manifest_check(const struct manifest *m, enum err_code code, struct err *err);

/* Reads and decodes the manifest of a tree object. */
int manifest_load(struct store *s, const struct digest *d, struct manifest *ret, struct err *err);

#endif
