/* A panic of Rust, in what a program printed. */
#ifndef FF_FUZZ_PANIC_H
#define FF_FUZZ_PANIC_H

#include <stdbool.h>
#include <stddef.h>

struct fuzz_panic {
    char file[400];  /* as the compiler had it; "": unknown */
    int line, column;
    char thread[200]; /* of the tests of cargo the test's name */
    char message[200]; /* its first line */
    const char *type;  /* in a crash type's words: "Index-out-of-bounds"; text of its own */
};

/* The last panic of a text; false: there is none. Both forms: "thread 'NAME' (ID) panicked at FILE:LINE:COLUMN:", the message in
 * the next line, and until 1.72 "thread 'NAME' panicked at 'MESSAGE', FILE:LINE:COLUMN". */
bool fuzz_panic_read(const char *text, size_t len, struct fuzz_panic *ret);

#endif
