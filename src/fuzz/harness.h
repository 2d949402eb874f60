/* Finds harnesses in a tree of sources, by what is in them. */
#ifndef FF_FUZZ_HARNESS_H
#define FF_FUZZ_HARNESS_H

#include "base/err.h"
#include "base/vec.h"

#include <jansson.h>
#include <stdbool.h>

struct fuzz_harness {
    char *file;           /* relative to the tree */
    char *name;           /* of the target it makes: the file's name without suffix; of Go and Java the function or class */
    const char *language; /* "c" "c++" "rust" "python" "go" "java" */
};
typedef VEC(struct fuzz_harness) fuzz_harness_list;

/* Looks at source files of at most 1 MiB, not in folders whose names begin with a dot, nor node_modules, target, vendor,
 * thirdparty, third_party, 3rdparty; at most 100,000 files, 32 folders deep; sorted by file. */
int fuzz_harness_find(const char *tree, fuzz_harness_list *ret, struct err *err);
void fuzz_harness_release(fuzz_harness_list *l);
bool fuzz_harness_native(const struct fuzz_harness *h); /* C or C++ */

#endif
