/* The ways of building that have a file of their own. */
#ifndef FF_FUZZ_BUILD_INTERNAL_H
#define FF_FUZZ_BUILD_INTERNAL_H

#include "fuzz/build.h"

/* As fuzz_build_shell(), with more of the environment: "K=V", NULL-terminated. */
int fuzz_build_shell_env(struct fuzz_build *b, const char *script, const char *cwd, const char *const *extra, struct err *err);
/* One function of sh/build.sh. */
int fuzz_build_step(struct fuzz_build *b, const char *step, const char *cwd, const char *const *extra, struct err *err);
/* Of sh/ */
extern const char fuzz_build_sh[], fuzz_dockerfile_sh[], fuzz_fetch_sh[], fuzz_cargo_fuzz_sh[], fuzz_cargo_test_sh[],
    fuzz_stand_in_rs[], fuzz_go_sh[], fuzz_go_on_go[], fuzz_jazzer_sh[];
void fuzz_build_init(struct fuzz_build *b); /* as fuzz_build_run() does it */
/* The folders src, work and out below base, and the copy of the tree. */
int fuzz_build_make_base(struct fuzz_build *b, struct err *err);
/* Notes what the tree needs and has not, of what fuzz_fetch could get. */
void fuzz_build_tell_needs(struct fuzz_build *b);
/* A build system, known by its file. */
struct fuzz_way {
    const char *name, *file, *file2; /* file2 NULL: file is enough */
    const char *step;                /* a function of sh/build.sh; NULL: there is more to it */
};
/* Never NULL. sub: the folder of the file, relative to the tree. */
const struct fuzz_way *fuzz_way_of(const char *tree, char *sub, size_t size);
int fuzz_build_way(struct fuzz_build *b, const struct fuzz_way *w, const char *sub, struct err *err);
/* Compiles each native harness and links it with what is there. One that fails is noted; 0 if there is one that does not. */
int fuzz_build_link(struct fuzz_build *b, struct err *err);
int fuzz_build_yaml(struct fuzz_build *b, struct err *err);
int fuzz_build_ossfuzz(struct fuzz_build *b, struct err *err); /* as fuzz_build_collect() too */
/* The Dockerfile's steps, and then some more of bash. fetch: those that need a network are done. */
int fuzz_build_docker_steps(struct fuzz_build *b, const char *then, bool fetch, struct err *err);
/* An .options file, which is cut into lines: the keys of a section, each as "key=value". */
int fuzz_build_options(char *text, const char *section, json_t *into, struct err *err);
/* A Dockerfile, which is cut into lines, as a script for bash that ends in the folder where build.sh starts. What is not plain is
 * left out, and noted in WORK/notes. text may be NULL. */
int fuzz_build_dockerfile(char *text, struct strbuf *script, struct err *err);
/* A target whose program lies in out/: with the dictionary, seeds and options that lie beside it as OSS-Fuzz has them.
 * source may be NULL. */
int fuzz_build_add(struct fuzz_build *b, const char *name, const char *source, struct err *err);

#endif
