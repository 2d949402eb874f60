/* Entries as a tar file (GNU's form: names of any bytes and any length), written as they come. */
#ifndef FF_INGEST_PACK_H
#define FF_INGEST_PACK_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pack {
    int (*write)(void *arg, const void *data, size_t len, struct err *err);
    void *arg;
    uint64_t size, done; /* of the file that is open */
};

int pack_dir(struct pack *p, const char *path, struct err *err);
int pack_symlink(struct pack *p, const char *path, const char *target, struct err *err);
int pack_file_begin(struct pack *p, const char *path, bool executable, uint64_t size, struct err *err);
/* What is over the size is left out. */
int pack_file_data(struct pack *p, const void *data, size_t len, struct err *err);
/* What is missing of the size is zeros. */
int pack_file_end(struct pack *p, struct err *err);
int pack_end(struct pack *p, struct err *err);

#endif
