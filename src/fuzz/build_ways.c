/* How a tree of sources is built whose author did not say it for us: CMake, Meson, make with or without configure, or nothing but
 * files. What is built are its static libraries and the programs that have a harness in them; a harness that the build does
 * not know is linked with what it left. */
#include "base/cleanup.h"
#include "base/mem.h"
#include "fuzz/build_internal.h"
#include "os/file.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static const struct fuzz_way ways[] = {
    {"fuzz.yaml", FUZZ_BUILD_FILE, NULL, NULL},
    {"ossfuzz", "build.sh", "project.yaml", NULL},
    {"cmake", "CMakeLists.txt", NULL, "build_cmake"},
    {"meson", "meson.build", NULL, "build_meson"},
    {"make", "GNUmakefile", NULL, "build_make"},
    {"make", "Makefile", NULL, "build_make"},
    {"make", "makefile", NULL, "build_make"},
    {"make", "configure", NULL, "build_make"},
    {"make", "configure.ac", NULL, "build_make"},
    {"make", "configure.in", NULL, "build_make"},
};
static const struct fuzz_way single = {"single", NULL, NULL, NULL};

static bool has(const char *dir, const char *name)
{
    _cleanup_free_ char *p = os_path_join(dir, name);
    return p && os_exists(p);
}

static const struct fuzz_way *way_in(const char *dir)
{
    for (size_t i = 0; i < ARRAY_LEN(ways); i++)
        if (has(dir, ways[i].file) && (!ways[i].file2 || has(dir, ways[i].file2)))
            return &ways[i];
    return NULL;
}

/* A library's sources beside a harness: the only folder of the tree that can be built. */
static const struct fuzz_way *way_below(const char *tree, char *sub, size_t size)
{
    const struct fuzz_way *found = NULL;
    DIR *d = opendir(tree);
    for (struct dirent *e; d && (e = readdir(d));) {
        _cleanup_free_ char *path = os_path_join(tree, e->d_name);
        const struct fuzz_way *w = path && e->d_name[0] != '.' && os_is_dir(path) ? way_in(path) : NULL;
        if (!w || !w->step)
            continue;
        if (found) { /* which one? */
            found = NULL;
            break;
        }
        found = w;
        snprintf(sub, size, "%s", e->d_name);
    }
    if (d)
        closedir(d);
    return found;
}

const struct fuzz_way *fuzz_way_of(const char *tree, char *sub, size_t size)
{
    snprintf(sub, size, ".");
    const struct fuzz_way *w = way_in(tree);
    if (!w)
        w = way_below(tree, sub, size);
    if (!w)
        snprintf(sub, size, ".");
    return w ? w : &single;
}

const char *fuzz_build_system(const char *tree)
{
    char sub[256];
    return fuzz_way_of(tree, sub, sizeof sub)->name;
}

/* --- running them ----------------------------------------------------------------------------------------- */

int fuzz_build_way(struct fuzz_build *b, const struct fuzz_way *w, const char *sub, struct err *err)
{
    struct strbuf list = STRBUF_INIT;
    strbuf_puts(&list, "HARNESSES=");
    VEC_EACH(b->harnesses, h)
        if (fuzz_harness_native(h))
            strbuf_printf(&list, "%s/%s", list.len > 10 ? "\n" : "", h->file);
    _cleanup_free_ char *harnesses = strbuf_take(&list, NULL), *in = mem_printf("SUB=%s", sub);
    const char *const extra[] = {harnesses, in, NULL};
    return harnesses && in ? fuzz_build_step(b, w->step, b->src, extra, err) : err_nomem(err);
}

/* A harness alone is not optimised: what it does not use of a result, the compiler drops, with the fault that is in it. */
static int link_one(struct fuzz_build *b, const struct fuzz_harness *h, struct err *err)
{
    _cleanup_free_ char *file = mem_printf("HARNESS=%s", h->file), *name = mem_printf("NAME=%s", h->name);
    const char *flags = strcmp(b->system, single.name) == 0 ? "HARNESS_FLAGS=-O0" : "HARNESS_FLAGS=";
    const char *const extra[] = {file, name, flags, NULL};
    return file && name ? fuzz_build_step(b, "link_harness", b->src, extra, err) : err_nomem(err);
}

int fuzz_build_link(struct fuzz_build *b, struct err *err)
{
    struct err first = {0};
    size_t native = 0, made = 0;
    VEC_EACH(b->harnesses, h) {
        struct err why = {0};
        if (!fuzz_harness_native(h) || (b->only && strcmp(b->only, h->name) != 0))
            continue;
        native++;
        if (link_one(b, h, &why) == 0) {
            made++;
            continue;
        }
        if (!first.code)
            first = why;
        strbuf_printf(&b->notes, "%s: %s\n", h->file, why.msg);
    }
    if (made)
        return 0;
    strbuf_clear(&b->notes); /* the error says it */
    if (native)
        return err_copy(err, &first);
    return b->only ? err_set(err, ERR_NOT_FOUND, "there is no target '%s'", b->only)
                   : err_set(err, ERR_NOT_FOUND, "there is no harness: no C or C++ file has LLVMFuzzerTestOneInput");
}
