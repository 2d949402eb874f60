/* The crash inputs that are not kept one by one: in archives, crashes-0.tar, crashes-1.tar ..., each grown to a few
 * megabytes. A bug that is hit a hundred thousand times has its first inputs kept as files of their own, and all others here.
 *
 * An archive is what POSIX calls ustar, whole after each packs_add(): whoever reads it sees complete inputs alone. */
#ifndef FF_FUZZ_PACKS_H
#define FF_FUZZ_PACKS_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PACK_BYTES ((uint64_t)16 << 20) /* from where on another one is begun; one large input may be more */
#define PACKS_MAX 120
#define PACKS_BYTES_MAX ((uint64_t)4 << 30)
#define PACKS_INPUTS_MAX 500000

struct packs {
    const char *dir; /* where they lie; borrowed */
    int number;      /* of the one that grows; -1: none yet */
    uint64_t bytes, all_bytes;
    uint64_t count;  /* inputs in all of them */
    bool dirty;
    uint64_t *seen;  /* hashes of names: open addressing, 0 is empty */
    size_t seen_len, seen_cap;
};

void packs_init(struct packs *p, const char *dir);
void packs_release(struct packs *p);
/* Is an input of this name in one of them? name: "crash-<40 hexadecimal digits>". */
bool packs_has(const struct packs *p, const char *name);
/* -ERR_LIMIT: there is no room for it any more. */
int packs_add(struct packs *p, const char *name, const char *path, uint64_t size, struct err *err);
/* The file name of the one that grows ("crashes-3.tar"). */
void packs_name(const struct packs *p, char *ret, size_t size);
/* One of before: its inputs are known, and the next one has a higher number. What is damaged ends it. */
int packs_restore(struct packs *p, int number, const char *path, struct err *err);
/* Writes one input of an archive to a file; -ERR_NOT_FOUND: it has none of this name, or not all of it. */
int packs_extract(const char *path, const char *name, const char *to, uint64_t *ret_size, struct err *err);

#endif
