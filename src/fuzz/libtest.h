/* What Rust's test programs print under `cargo test`, read line by line: which test failed, and what it said. */
#ifndef FF_FUZZ_LIBTEST_H
#define FF_FUZZ_LIBTEST_H

#include "base/strbuf.h"
#include "base/vec.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LIBTEST_FAILURES_MAX 1000       /* kept; others are counted */
#define LIBTEST_OUTPUT_MAX ((size_t)16 << 10) /* bytes of one failure's output */

struct libtest_failure {
    char *project; /* as libtest_project() said; "" at the top */
    char *suite; /* "src/lib.rs", "tests/api.rs", "Doc-tests records" */
    char *name;  /* of the test; NULL: the whole program ended by a signal */
    struct strbuf output;
    bool runs;   /* it has not ended after a minute: no failure yet, and none if it then passes */
    bool passed;
};

struct libtest {
    uint64_t passed, failed, ignored, planned; /* planned: what the programs have said until now */
    uint64_t crashed; /* programs that a signal ended */
    VEC(struct libtest_failure) failures;
    char project[512], suite[512];
    size_t suite_first; /* index of its first failure */
    size_t current;     /* index + 1 of the one whose output is read; 0: none */
    bool no_memory;
};

/* What follows is of the project in this folder. */
void libtest_project(struct libtest *t, const char *dir, size_t len);
/* One line, without its end. What a test prints may look like anything: only the bounds above are certain. */
void libtest_line(struct libtest *t, const char *text, size_t len);
void libtest_release(struct libtest *t);

#endif
