/* The corpus of one target: a folder of inputs, each named by its content, that all its engines share. The folder is the
 * module's: engines read it, and what they find is taken over from their own folders. Also the small things that a campaign does
 * with files that hostile code may have made. */
#ifndef FF_FUZZ_CORPUS_H
#define FF_FUZZ_CORPUS_H

#include "base/err.h"
#include "base/map.h"

#include <stdbool.h>
#include <stdint.h>

#define CORPUS_INPUT_MAX ((uint64_t)1 << 30) /* bytes of one input; a larger one is left where it is */
#define CORPUS_NAME_BYTES 41                 /* 40 hexadecimal digits of its SHA-256 */

struct corpus {
    char *dir;
    struct map names; /* what is in dir; the values tell which of them no archive has yet */
    uint64_t bytes;
    size_t fresh; /* how many those are */
};

int corpus_init(struct corpus *c, const char *dir, struct err *err); /* makes the folder; takes what is in it */
void corpus_release(struct corpus *c);
/* Takes a copy of a regular file. *ret_new: it was not there. name_ret may be NULL. */
int corpus_add(struct corpus *c, const char *path, bool *ret_new, char name_ret[CORPUS_NAME_BYTES], struct err *err);
typedef bool (*corpus_name_fn)(const char *name);
/* Takes all regular files below from, to a depth of 8, or with own only those in it of such a name. seen (may be NULL) are names
 * that were looked at before, and gets the others. *ret_added: how many were new. A folder that is not there is empty. */
int corpus_take(struct corpus *c, const char *from, corpus_name_fn own, struct map *seen, uint64_t *ret_added, struct err *err);
/* Takes it out; nothing there of this name is fine. */
void corpus_remove(struct corpus *c, const char *name);
/* SHA-256 over the sorted names, in hexadecimal: the same set, the same digest. */
int corpus_digest(const struct corpus *c, char ret[65], struct err *err);
/* A tar of all, or of those that are fresh; they are not fresh any more. */
int corpus_pack(struct corpus *c, bool all, const char *tar, struct err *err);
/* Puts what a tar has into the corpus. None of it is fresh. */
int corpus_unpack(struct corpus *c, const char *tar, struct err *err);
/* All of it is fresh: after a merge, when the archives have what it has not any more. */
void corpus_refresh(struct corpus *c);

/* Copies a regular file, following no link at its end. -ERR_LIMIT over max bytes. sha256: 65 bytes, hexadecimal; may be
 * NULL. */
int fuzz_copy_file(const char *from, const char *to, uint64_t max, char *sha256, uint64_t *ret_size, struct err *err);
/* SHA-256 of a text, in hexadecimal; "" when memory is out. */
void fuzz_text_digest(const char *text, char ret[65]);
/* The names of the regular files in a folder; the caller frees each, then *ret. */
int fuzz_list_files(const char *dir, char ***ret, size_t *ret_count, struct err *err);
/* tar -x of a tar into a folder, which is made. */
int fuzz_untar(const char *tar, const char *dir, struct err *err);
/* tar -c of a folder: of all in it, or of the names that the file list has, one a line. */
int fuzz_tar(const char *tar, const char *dir, const char *list, struct err *err);

#endif
