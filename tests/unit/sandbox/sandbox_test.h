/* What the tests of the sandbox share: one spawner, runs that collect output, and both kinds of
 * user.
 *
 * Started as root, a test program runs its suite as root and then once more, as a program of its
 * own, as an ordinary user. */
#ifndef FF_TESTS_SANDBOX_TEST_H
#define FF_TESTS_SANDBOX_TEST_H

#include "base/err.h"
#include "sandbox/sandbox.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

struct probe {
    const char *name;
    int (*run)(void); /* inside; the exit status. Its standard output is collected. */
};

extern const struct probe probes[]; /* of the test program; ends with a NULL name */
extern struct spawner *spawner;     /* started by test_main() */
extern char test_dir[256];          /* a folder of the user's own on the host, with open rights */

struct run {
    struct sandbox_result result;
    char out[65536]; /* standard output and error together, 0-terminated */
};

/* Runs a plan to its end. */
void run_plan(const struct sandbox_plan *plan, struct run *ret);
/* The same for a probe with no more than a name. */
void run_probe(const char *name, struct run *ret);
/* A shell command. */
void run_shell(const char *script, struct run *ret);
/* Waits until cond is true, at most ms. */
#define WAIT_FOR(cond, ms)                                                                         \
    ({                                                                                             \
        int64_t until_ = os_mono_ns() + (int64_t)(ms)*1000000;                                     \
        bool ok_ = false;                                                                          \
        while (!(ok_ = (cond)) && os_mono_ns() < until_)                                           \
            os_sleep_ms(2);                                                                        \
        ok_;                                                                                       \
    })

int test_main(int argc, char **argv, int (*suite)(void));
/* The builtin that runs probes; for spawners that a test starts itself. */
int probe_main(const char *name, void *arg);

#endif
