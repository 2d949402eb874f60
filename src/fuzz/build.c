#include "fuzz/build.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "codec/json.h"
#include "fuzz/build_internal.h"
#include "fuzz/corpus.h"
#include "os/clock.h"
#include "os/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define LOG_MAX ((size_t)1 << 20)
#define NOTES_MAX ((size_t)64 << 10)
#define BACKGROUND_NICE 15

/* --- running it ------------------------------------------------------------------------------------------- */

static bool tells(const char *line, size_t n, const char *word)
{
    return memmem(line, n, word, strlen(word)) != NULL;
}

/* Rust's compiler has the place in the line below: "  --> src/lib.rs:3:5". CMake has the error there. */
static void tell(const char *line, size_t n, char *ret, size_t size)
{
    const char *below = line[n] ? line + n + 1 : line + n;
    below += strspn(below, strncmp(line, "CMake Error", 11) == 0 ? " \n" : " ");
    if (n && line[n - 1] == ':' && n < size && strncmp(line, "CMake Error", 11) == 0) {
        snprintf(ret, size, "%.*s %.*s", (int)n, line, (int)strcspn(below, "\n"), below);
        return;
    }
    size_t place = strncmp(below, "--> ", 4) == 0 ? strcspn(below + 4, "\n") : 0;
    size_t at = place && place < size / 2 ? (size_t)snprintf(ret, size, "%.*s: ", (int)place, below + 4) : 0;
    snprintf(ret + at, size - at, "%.*s", (int)(n < size - at ? n : size - at - 1), line);
}

void fuzz_build_first_error(const char *log, char *ret, size_t size)
{
    static const char of_linker[] = "linker command failed"; /* the lines before it say why */
    static const char of_all[] = " error: "; /* what CMake said before it is the cause, and after it the consequence */
    static const char *const words[] = {": cannot find -l", of_all, "error[", "error:", " ERROR: ", "[ERROR] /", "[ERROR] Failed",
                                        "undefined reference", "multiple definition", of_linker, "No such file", "not found",
                                        "Error "};
    const char *last = "";
    size_t last_n = 0;
    for (size_t w = 0; w < ARRAY_LEN(words); w++) {
        for (const char *p = log; *p;) {
            size_t n = strcspn(p, "\n");
            bool is_cause = tells(p, n, words[w]) || (words[w] == of_all && tells(p, n, "CMake Error"));
            if (n && is_cause && (words[w] == of_linker || !tells(p, n, of_linker))) {
                tell(p, n, ret, size);
                return;
            }
            if (n) {
                last = p;
                last_n = n;
            }
            p += n + (p[n] == '\n');
        }
    }
    if (last_n == 0)
        snprintf(ret, size, "it says nothing");
    else
        snprintf(ret, size, "%.*s", (int)(last_n < size ? last_n : size - 1), last);
}

static void build_env(const struct fuzz_build *b, struct fuzz_words *env)
{
    const char *path = getenv("PATH");
    if (b->driver->build_env)
        b->driver->build_env(b->sanitizers, env);
    if (b->second)
        fuzz_word(env, "%s", b->driver->second_env);
    if (b->wrapped) { /* their flags are in the compilers */
        fuzz_word(env, "CC=%s/bin/cc", b->work);
        fuzz_word(env, "CXX=%s/bin/c++", b->work);
        fuzz_word(env, "CFLAGS=-O1 -g");
        fuzz_word(env, "CXXFLAGS=-O1 -g");
        fuzz_word(env, "PATH=%s/bin:%s", b->work, path ? path : "/usr/local/bin:/usr/bin:/bin");
    }
    fuzz_word(env, "SRC=%s", b->src);
    fuzz_word(env, "WORK=%s", b->work);
    fuzz_word(env, "OUT=%s", b->out);
    fuzz_word(env, "ARCHITECTURE=x86_64");
    fuzz_word(env, "HOME=%s", b->work);
    fuzz_word(env, "CCC=clang++");
    fuzz_word(env, "ASAN_OPTIONS=detect_leaks=0"); /* of programs that the build runs */
    fuzz_word(env, "SOURCE_DATE_EPOCH=0");
    if (b->probed) {
        fuzz_word(env, "PROBED=%s", b->probed);
        fuzz_word(env, "CONFIG_SITE=%s/config.site", b->work);
    }
}

/* The user's files, not those of the copy. */
static void of_tree(const struct fuzz_build *b, char *text)
{
    size_t n = strlen(b->src);
    for (char *p = text; (p = strstr(p, b->src));) {
        if (p[n] == '/')
            memmove(p, p + n + 1, strlen(p + n + 1) + 1);
        else
            p += n;
    }
}

static int judge(struct fuzz_build *b, const struct fuzz_child *c, bool late, struct err *err)
{
    char first[300];
    if (b->log.len + c->tail.len <= LOG_MAX)
        strbuf_append(&b->log, strbuf_str(&c->tail), c->tail.len);
    if (late)
        return err_set(err, ERR_FAILED, "the build took longer than it may");
    if (WIFEXITED(c->status) && WEXITSTATUS(c->status) == 0)
        return 0;
    fuzz_build_first_error(strbuf_str(&c->tail), first, sizeof first);
    of_tree(b, first);
    return err_set(err, ERR_FAILED, "does not build: %s", first);
}

int fuzz_build_shell_env(struct fuzz_build *b, const char *script, const char *cwd, const char *const *extra, struct err *err)
{
    struct fuzz_command c = {.cwd = cwd, .writable = {b->base, "/tmp", "/dev/shm"}, .nice = b->background ? BACKGROUND_NICE : 0};
    struct fuzz_child child;
    bool late = false;
    fuzz_child_init(&child);
    fuzz_word(&c.argv, "%s", access("/bin/bash", X_OK) == 0 ? "/bin/bash" : "/bin/sh");
    fuzz_word(&c.argv, "-c");
    fuzz_word(&c.argv, "%s", script);
    build_env(b, &c.env);
    for (; extra && *extra; extra++)
        fuzz_word(&c.env, "%s", *extra);
    int r = fuzz_child_run(&c, b->stop_at_ns, &child, &late, err);
    if (r == 0)
        r = judge(b, &child, late, err);
    fuzz_children_sweep(NULL);
    fuzz_child_release(&child);
    fuzz_command_release(&c);
    return r;
}

int fuzz_build_shell(struct fuzz_build *b, const char *script, const char *cwd, struct err *err)
{
    return fuzz_build_shell_env(b, script, cwd, NULL, err);
}

int fuzz_build_step(struct fuzz_build *b, const char *step, const char *cwd, const char *const *extra, struct err *err)
{
    _cleanup_free_ char *script = mem_printf("%s\n%s\n", fuzz_build_sh, step);
    return script ? fuzz_build_shell_env(b, script, cwd, extra, err) : err_nomem(err);
}

int fuzz_build_make_base(struct fuzz_build *b, struct err *err)
{
    b->src = os_path_join(b->base, "src");
    b->work = os_path_join(b->base, "work");
    b->out = os_path_join(b->base, "out");
    if (!b->src || !b->work || !b->out)
        return err_nomem(err);
    const char *dirs[] = {b->work, b->out, b->src};
    int r = 0;
    for (size_t i = 0; r == 0 && i < ARRAY_LEN(dirs); i++)
        r = os_mkdirs(dirs[i], 0755, err);
    if (r < 0)
        return r;
    _cleanup_free_ char *from = mem_printf("TREE=%s", b->tree);
    const char *const extra[] = {from, NULL};
    return from ? fuzz_build_step(b, "copy_tree", b->base, extra, err) : err_nomem(err);
}

/* Each harness is a target: built by the driver's own script; or there is nothing to compile, and the tree is the program. */
static int build_scripts(struct fuzz_build *b, struct err *err)
{
    const char *script = b->driver->build_script;
    b->system = b->driver->name;
    int r = script ? 0 : fuzz_build_shell(b, "cp -a \"$SRC\"/. \"$OUT\"/", b->src, err);
    VEC_EACH(b->harnesses, h) {
        if (r < 0 || !fuzz_driver_runs(b->driver, h->language) || (b->only && strcmp(b->only, h->name) != 0))
            continue;
        _cleanup_free_ char *file = mem_printf("HARNESS=%s", h->file), *name = mem_printf("NAME=%s", h->name);
        const char *const extra[] = {file, name, NULL};
        if (script)
            r = file && name ? fuzz_build_shell_env(b, script, b->src, extra, err) : err_nomem(err);
        if (r < 0)
            break;
        size_t before = json_array_size(b->targets);
        r = fuzz_build_add(b, h->name, h->file, err);
        json_t *t = json_array_size(b->targets) > before ? json_array_get(b->targets, before) : NULL;
        if (r == 0 && t && (json_object_set_new(t, "program", json_string(script ? h->name : h->file)) < 0 ||
                            json_object_set_new(t, "function", json_string(h->name)) < 0))
            r = err_nomem(err);
    }
    if (r == 0 && !json_array_size(b->targets))
        r = err_set(err, ERR_NOT_FOUND, "there is no harness for %s", b->driver->name);
    return r;
}

/* By the tree's build system, if it has one, and what that leaves. A build that fails may still have made what is wanted: its
 * error counts if there is no target in the end. */
static int build_tree(struct fuzz_build *b, const struct fuzz_way *w, const char *sub, struct err *err)
{
    struct err before = {0};
    int r = w->step ? fuzz_build_way(b, w, sub, &before) : 0;
    if (r < 0 && r != -ERR_FAILED)
        return err_copy(err, &before);
    r = fuzz_build_collect(b, err);
    if (r == 0 && !json_array_size(b->targets)) {
        r = fuzz_build_link(b, err);
        if (r == 0)
            r = fuzz_build_collect(b, err);
    }
    return r == -ERR_FAILED && before.code ? err_copy(err, &before) : r;
}

void fuzz_build_init(struct fuzz_build *b)
{
    strbuf_init(&b->log, LOG_MAX + FUZZ_TAIL_BYTES);
    strbuf_init(&b->notes, NOTES_MAX);
}

static int build_native(struct fuzz_build *b, const struct fuzz_way *w, const char *sub, struct err *err)
{
    int r;
    b->wrapped = strcmp(w->name, "ossfuzz") != 0;
    if (strcmp(w->name, "fuzz.yaml") == 0)
        return fuzz_build_yaml(b, err);
    r = b->wrapped ? build_tree(b, w, sub, err) : fuzz_build_ossfuzz(b, err);
    if (r == 0 && !json_array_size(b->targets))
        r = err_set(err, ERR_NOT_FOUND, "the build (%s) gave no fuzz target", w->name);
    return r;
}

int fuzz_build_run(struct fuzz_build *b, struct err *err)
{
    char sub[256];
    struct err why = {0};
    const struct fuzz_way *w = fuzz_way_of(b->tree, sub, sizeof sub);
    b->system = w->name;
    fuzz_build_init(b);
    b->targets = json_array();
    int r = b->targets ? b->driver->missing(err) : err_nomem(err);
    if (r == 0)
        r = fuzz_build_make_base(b, err);
    if (r < 0)
        return r;
    if (!b->driver->build_env || b->driver->build_script)
        return build_scripts(b, err);
    r = build_native(b, w, sub, err);
    fuzz_build_step(b, "keep_probed", b->base, NULL, &why); /* without it the next build takes longer */
    return r;
}

void fuzz_build_release(struct fuzz_build *b)
{
    free(b->src);
    free(b->work);
    free(b->out);
    strbuf_release(&b->log);
    strbuf_release(&b->notes);
    json_decref(b->targets);
}
