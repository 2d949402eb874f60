/* Targets from sources: finds out how a tree is built, builds it for an engine, and finds what came out.
 *
 * Ways, first that fits: fuzz.yaml (docs/fuzzing.md), an OSS-Fuzz project (build.sh), CMake, Meson, make, one file alone. All
 * see the environment of OSS-Fuzz: SRC OUT WORK CC CXX CFLAGS CXXFLAGS LIB_FUZZING_ENGINE SANITIZER ARCHITECTURE. What
 * is hostile runs confined to the folders of the build. */
#ifndef FF_FUZZ_BUILD_H
#define FF_FUZZ_BUILD_H

#include "base/err.h"
#include "base/strbuf.h"
#include "fuzz/driver.h"
#include "fuzz/harness.h"

#include <jansson.h>

#define FUZZ_TARGETS_MAX 256
#define FUZZ_BUILD_FILE "fuzz.yaml"
#define FUZZ_TARGETS_FILE "targets.json"

struct fuzz_build {
    const char *tree;   /* the sources, not changed */
    const char *base;   /* a folder of ours: src, work and out are made in it */
    const struct fuzz_driver *driver;
    const char *sanitizers; /* "address,undefined" */
    bool second;            /* with the driver's second_env */
    const char *only;       /* NULL: all targets, else the one of this name */
    const char *probed;     /* what configure scripts found out in another build of the tree: its folder "probed"; NULL: none */
    bool background;        /* with low priority */
    int64_t stop_at_ns;
    const fuzz_harness_list *harnesses;
    char *src, *work, *out;
    const char *system; /* which way was taken */
    bool wrapped;       /* CC and CXX are those of WORK/bin */
    struct strbuf log;  /* what the build printed, its last megabyte */
    struct strbuf notes; /* lines for the user: what was left out, and why */
    json_t *targets;    /* array of {name, engine, program, dict, seeds, options, env, source}, paths relative to out */
};

/* -ERR_FAILED with the first error of the compiler; -ERR_NOT_FOUND: there is no harness; -ERR_MISSING: a tool is
 * missing. */
int fuzz_build_run(struct fuzz_build *b, struct err *err);
void fuzz_build_release(struct fuzz_build *b);
/* The ways' names, for a tree. */
const char *fuzz_build_system(const char *tree);
/* The line of a build's output that tells most; text of its own. */
void fuzz_build_first_error(const char *log, char *ret, size_t size);
/* The targets of folders where something was built: executables with a harness in them, and what lies beside them. */
int fuzz_build_collect(struct fuzz_build *b, struct err *err);
/* What ran in the shell, its output kept: 0, or -ERR_FAILED with the first error. */
int fuzz_build_shell(struct fuzz_build *b, const char *script, const char *cwd, struct err *err);

/* Reads one target of a targets.json; its paths begin with dir. */
int fuzz_target_read(const json_t *j, const char *dir, struct fuzz_target *ret, struct err *err);
/* Of a program that was built elsewhere: what lies beside it as OSS-Fuzz has it, where t has none yet. room: a folder of ours,
 * where a seed corpus that is a zip is unpacked. */
int fuzz_target_beside(struct fuzz_target *t, const char *room, struct err *err);

#endif
