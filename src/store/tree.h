/* A folder in the store.
 *
 * A tree is built by adding entries in any order; its bytes are chunked as one stream, so that
 * 50,000 small files cost a few hundred chunks and two versions of a project share almost all of
 * them. The manifest is an object of media type application/vnd.fuzzforge.tree. Paths are raw
 * bytes, relative, without ".", ".." or empty parts; the builder refuses others (-ERR_INVALID;
 * -ERR_EXISTS for one that is there), adds folders that were not named, and the reader checks
 * again. A builder or an open tree is used by one thread at a time. */
#ifndef FF_STORE_TREE_H
#define FF_STORE_TREE_H

#include "store/store.h"

#define STORE_TREE_MEDIA_TYPE "application/vnd.fuzzforge.tree" /* of a manifest */

enum tree_kind { TREE_FILE, TREE_DIR, TREE_SYMLINK };

struct tree_entry {
    const char *path; /* raw bytes, 0-terminated */
    enum tree_kind kind;
    bool executable;
    uint64_t size_bytes;
    const char *link; /* of a symlink: as it was; never leads out of the tree (checked by ingest) */
};

struct tree_builder;
int tree_builder_new(struct store *s, struct tree_builder **ret, struct err *err);
void tree_builder_free(struct tree_builder *b); /* an unfinished tree leaves only garbage for gc */
int tree_add_dir(struct tree_builder *b, const char *path, struct err *err);
int tree_add_symlink(struct tree_builder *b, const char *path, const char *target, struct err *err);
/* A file, in pieces. */
int tree_file_begin(struct tree_builder *b, const char *path, bool executable, struct err *err);
int tree_file_data(struct tree_builder *b, const void *data, size_t len, struct err *err);
int tree_file_end(struct tree_builder *b, struct err *err);
/* Instead of the end: the file is not in the tree. */
void tree_file_abort(struct tree_builder *b);
/* A second name for a file that was added: same bytes, stored once. -ERR_NOT_FOUND. */
int tree_add_alias(struct tree_builder *b, const char *path, const char *existing, struct err *err);
/* Takes an entry (and not what lies below it) out again. -ERR_NOT_FOUND. */
int tree_remove(struct tree_builder *b, const char *path, struct err *err);
/* Durable when it returns. */
int tree_builder_finish(struct tree_builder *b, struct store_ref *ret, struct err *err);

struct tree;
int tree_open(struct store *s, const char *ref, struct tree **ret, struct err *err);
void tree_free(struct tree *t);
size_t tree_count(const struct tree *t);
uint64_t tree_total_bytes(const struct tree *t);
const struct tree_entry *tree_entry_at(const struct tree *t, size_t i); /* folder by folder, each before what is in it */
/* One file's bytes, verified. *ret is the caller's. */
int tree_read_file(struct tree *t, const char *path, size_t max, char **ret, size_t *ret_len,
                   struct err *err);

#endif
