/* An open tree, and reading its stream: for tree_read.c and layout.c. */
#ifndef FF_STORE_TREE_INTERNAL_H
#define FF_STORE_TREE_INTERNAL_H

#include "store/manifest.h"

struct codec;

struct tree {
    struct store *s;
    struct manifest m;
    uint64_t *chunk_start; /* offset of each chunk in the stream, and the end */
};

/* Index of an entry, SIZE_MAX if there is none. */
size_t tree_find(const struct tree *t, const char *path);

/* Reads the stream at any place, keeping the chunk it is in. One thread. */
struct stream_reader {
    struct tree *t;
    struct codec *codec;
    char *data;
    uint64_t start;
    size_t len;
    size_t next; /* the chunk after the one that is held: who asks for it reads in order */
};
void stream_reader_init(struct stream_reader *r, struct tree *t);
void stream_reader_release(struct stream_reader *r);
/* 1 to max bytes at the offset, borrowed until the next call. */
int stream_read(struct stream_reader *r, uint64_t offset, uint64_t max, const char **ret,
                size_t *ret_len, struct err *err);

#endif
