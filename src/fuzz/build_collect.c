/* What a build has made: which executables are targets, and the files that belong to each: NAME.dict, NAME.options,
 * NAME_seed_corpus.zip or a folder NAME_seed_corpus (google.github.io/oss-fuzz/getting-started/new-project-guide). */
#include "base/cleanup.h"
#include "base/mem.h"
#include "base/units.h"
#include "codec/json.h"
#include "fuzz/build_internal.h"
#include "fuzz/corpus.h"
#include "os/clock.h"
#include "os/file.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEPTH_MAX 16
#define OPTIONS_MAX ((size_t)64 << 10)
#define UNZIP_NS (60 * NS_PER_S)
#define PROGRAM_MAX ((uint64_t)2 << 30)

/* An engine, linked into a program: a harness is also linked with a main() of its own, for tests. */
static bool has_engine(const char *map, size_t n)
{
    static const char libfuzzer[] = "ERROR: libFuzzer: ", afl[] = "##SIG_AFL_PERSISTENT##";
    return memmem(map, n, libfuzzer, sizeof libfuzzer - 1) || memmem(map, n, afl, sizeof afl - 1);
}

/* An ELF program with the harness's function in its symbols or strings. */
static bool is_target(int dirfd, const char *name)
{
    _cleanup_close_ int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || !(st.st_mode & 0100) || st.st_size < 1024 ||
        (uint64_t)st.st_size > PROGRAM_MAX)
        return false;
    size_t n = (size_t)st.st_size;
    char *map = mmap(NULL, n, PROT_READ, MAP_PRIVATE, fd, 0);
    if (map == MAP_FAILED)
        return false;
    /* type 2 or 3 is a program; a library, which is 3 too, has no interpreter */
    bool yes = memcmp(map, "\177ELF", 4) == 0 && (map[16] == 2 || map[16] == 3) && memmem(map, 4096, "/ld-", 4) &&
               memmem(map, n, "LLVMFuzzerTestOneInput", 22) && has_engine(map, n);
    munmap(map, n);
    return yes;
}

int fuzz_build_options(char *text, const char *section, json_t *into, struct err *err)
{
    bool in = false;
    char *save = NULL, key[64], value[1024];
    for (char *l = strtok_r(text, "\r\n", &save); l; l = strtok_r(NULL, "\r\n", &save)) {
        l += strspn(l, " \t");
        if (*l == '[')
            in = strncmp(l + 1, section, strlen(section)) == 0 && l[1 + strlen(section)] == ']';
        else if (in && sscanf(l, "%63[A-Za-z0-9_] = %1023[^\n]", key, value) == 2) {
            size_t n = strlen(value);
            while (n && value[n - 1] == ' ')
                value[--n] = 0;
            _cleanup_free_ char *both = mem_printf("%s=%s", key, value);
            if (!both || json_array_append_new(into, json_string(both)) < 0)
                return err_nomem(err);
        }
    }
    return 0;
}

static int read_options(const char *path, const char *section, json_t *into, struct err *err)
{
    _cleanup_free_ char *text = NULL;
    if (os_read_file(path, OPTIONS_MAX, &text, NULL, NULL) < 0)
        return 0;
    return fuzz_build_options(text, section, into, err);
}

/* The sanitizers' sections, as the variables that they read, and that of other variables. */
static int read_env(const char *path, json_t *env, struct err *err)
{
    static const char *const sections[][2] = {{"asan", "ASAN_OPTIONS"}, {"ubsan", "UBSAN_OPTIONS"}};
    int r = 0;
    for (size_t s = 0; r == 0 && s < ARRAY_LEN(sections); s++) {
        _cleanup_json_ json_t *options = json_array();
        struct strbuf b = STRBUF_INIT;
        size_t i;
        json_t *o;
        r = options ? read_options(path, sections[s][0], options, err) : err_nomem(err);
        json_array_foreach(options, i, o)
            strbuf_printf(&b, "%s%c%s", i ? "" : sections[s][1], i ? ':' : '=', json_string_value(o));
        if (r == 0 && b.len && json_array_append_new(env, json_string(strbuf_str(&b))) < 0)
            r = err_nomem(err);
        strbuf_release(&b);
    }
    return r < 0 ? r : read_options(path, "env", env, err);
}

/* ZIP into DIR, with whatever can. */
static const char unzip_script[] =
    "[ -f \"$ZIP\" ] && [ ! -d \"$DIR\" ] || exit 0; mkdir \"$DIR\"\n"
    "if command -v unzip >/dev/null; then unzip -qo \"$ZIP\" -d \"$DIR\"\n"
    "elif command -v bsdtar >/dev/null; then bsdtar -xf \"$ZIP\" -C \"$DIR\"\n"
    "else python3 -m zipfile -e \"$ZIP\" \"$DIR\"; fi || true\n";

static int unpack_seeds(struct fuzz_build *b, const char *name, struct err *err)
{
    _cleanup_free_ char *d = mem_printf("DIR=%s/%s_seed_corpus", b->out, name);
    _cleanup_free_ char *z = d ? mem_printf("ZIP=%s.zip", d + 4) : NULL;
    const char *const extra[] = {d, z, NULL};
    int r = z ? fuzz_build_shell_env(b, unzip_script, b->out, extra, err) : err_nomem(err);
    if (r == 0 && os_exists(z + 4))
        r = os_unlink(z + 4, true, err);
    return r;
}

/* Sets key to a name relative to out/ if there is such a file. */
static bool beside(struct fuzz_build *b, json_t *t, const char *key, const char *fmt, const char *name)
{
    char rel[512];
    snprintf(rel, sizeof rel, fmt, name);
    _cleanup_free_ char *path = os_path_join(b->out, rel);
    return path && (!os_exists(path) || json_object_set_new(t, key, json_string(rel)) == 0);
}

/* Nobody has said what belongs to the harness: what lies beside it. An OSS-Fuzz project, fuzz.yaml and a language's own
 * script say it. */
static int take_beside(struct fuzz_build *b, const char *name, const char *source, struct err *err)
{
    if (!source || b->driver->build_script || strcmp(b->system, "ossfuzz") == 0 || strcmp(b->system, FUZZ_BUILD_FILE) == 0)
        return 0;
    _cleanup_free_ char *file = mem_printf("HARNESS=%s", source), *n = mem_printf("NAME=%s", name);
    const char *const extra[] = {file, n, NULL};
    return file && n ? fuzz_build_step(b, "beside_harness", b->src, extra, err) : err_nomem(err);
}

int fuzz_build_add(struct fuzz_build *b, const char *name, const char *source, struct err *err)
{
    if (b->only && strcmp(b->only, name) != 0)
        return 0;
    if (json_array_size(b->targets) >= FUZZ_TARGETS_MAX)
        return err_set(err, ERR_LIMIT, "more than %d targets", FUZZ_TARGETS_MAX);
    json_t *options = json_array(), *env = json_array();
    json_t *t = json_pack("{s:s, s:s, s:s, s:s*, s:o, s:o}", "name", name, "engine", b->driver->name, "program", name, "source",
                          source, "options", options, "env", env);
    _cleanup_free_ char *file = mem_printf("%s/%s.options", b->out, name);
    if (!t || !file || json_array_append_new(b->targets, t) < 0)
        return err_nomem(err);
    int r = take_beside(b, name, source, err);
    if (r == 0)
        r = unpack_seeds(b, name, err);
    if (r == 0)
        r = read_options(file, "libfuzzer", options, err);
    if (r == 0)
        r = read_env(file, env, err);
    if (r == 0 && !(beside(b, t, "dict", "%s.dict", name) && beside(b, t, "seeds", "%s_seed_corpus", name)))
        r = err_nomem(err);
    /* "dict = other.dict" is a name beside the program, not an option */
    for (size_t i = json_array_size(options); r == 0 && i-- > 0;) {
        const char *o = json_string_value(json_array_get(options, i));
        if (strncmp(o, "dict=", 5) == 0) {
            _cleanup_free_ char *dict = os_path_join(b->out, o + 5);
            if (dict && os_exists(dict) && !strchr(o + 5, '/'))
                json_object_set_new(t, "dict", json_string(o + 5));
            json_array_remove(options, i);
        }
    }
    return r;
}

static bool added(const struct fuzz_build *b, const char *name)
{
    size_t i;
    json_t *t;
    json_array_foreach(b->targets, i, t)
        if (strcmp(json_str(t, "name", ""), name) == 0)
            return true;
    return false;
}

/* The only harness whose file, by its path or its name alone, the program's debug information has; NULL: none, or several. */
static const char *source_named(const struct fuzz_build *b, const char *map, size_t n, bool whole)
{
    char text[512];
    const char *found = NULL;
    VEC_EACH(b->harnesses, h) {
        const char *slash = strrchr(h->file, '/'), *file = whole || !slash ? h->file : slash + 1;
        int len = snprintf(text, sizeof text, "/%s", file);
        bool there = fuzz_driver_runs(b->driver, h->language) && len < (int)sizeof text &&
                     (memmem(map, n, text, (size_t)len + 1) || (text[0] = 0, memmem(map, n, text, (size_t)len + 1)));
        if (there && found)
            return NULL;
        found = there ? h->file : found;
    }
    return found;
}

static const char *source_in(const struct fuzz_build *b, const char *program)
{
    _cleanup_close_ int fd = open(program, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0 || st.st_size == 0)
        return NULL;
    char *map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (map == MAP_FAILED)
        return NULL;
    const char *found = source_named(b, map, (size_t)st.st_size, true);
    found = found ? found : source_named(b, map, (size_t)st.st_size, false);
    munmap(map, (size_t)st.st_size);
    return found;
}

static const char *source_of(const struct fuzz_build *b, const char *name, const char *program)
{
    VEC_EACH(b->harnesses, h)
        if (strcmp(h->name, name) == 0)
            return h->file;
    return b->harnesses->len == 1 ? b->harnesses->v[0].file : source_in(b, program);
}

static int collect(struct fuzz_build *b, const char *dir, int depth, struct err *err)
{
    DIR *d = depth < DEPTH_MAX ? opendir(dir) : NULL;
    int r = 0;
    for (struct dirent *e; d && r == 0 && (e = readdir(d));) {
        struct stat st;
        if (e->d_name[0] == '.' || fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
            continue;
        _cleanup_free_ char *path = os_path_join(dir, e->d_name), *to = os_path_join(b->out, e->d_name);
        if (!path || !to) {
            r = err_nomem(err);
        } else if (S_ISDIR(st.st_mode)) {
            r = collect(b, path, depth + 1, err);
        } else if (!added(b, e->d_name) && is_target(dirfd(d), e->d_name)) {
            if (strcmp(path, to) != 0)
                r = fuzz_copy_file(path, to, PROGRAM_MAX, NULL, NULL, err);
            if (r == 0 && chmod(to, 0755) == 0)
                r = fuzz_build_add(b, e->d_name, source_of(b, e->d_name, to), err);
        }
    }
    if (d)
        closedir(d);
    return r;
}

static int by_name(const void *pa, const void *pb)
{
    return strcmp(json_str(*(json_t *const *)pa, "name", ""), json_str(*(json_t *const *)pb, "name", ""));
}

/* Folders have no order. */
static int sort_targets(struct fuzz_build *b, struct err *err)
{
    size_t i, n = json_array_size(b->targets);
    json_t *t, *sorted = json_array();
    _cleanup_free_ json_t **list = mem_calloc(n + 1, sizeof *list);
    json_array_foreach(b->targets, i, t)
        if (list)
            list[i] = t;
    if (list)
        qsort(list, n, sizeof *list, by_name);
    for (i = 0; list && sorted && i < n; i++)
        json_array_append(sorted, list[i]);
    if (json_array_size(sorted) != n) {
        json_decref(sorted);
        return err_nomem(err);
    }
    json_decref(b->targets);
    b->targets = sorted;
    return 0;
}

int fuzz_build_collect(struct fuzz_build *b, struct err *err)
{
    int r = collect(b, b->out, 0, err);
    if (r == 0 && strcmp(b->system, "ossfuzz") != 0) {
        r = collect(b, b->work, 0, err);
        if (r == 0)
            r = collect(b, b->src, 0, err);
    }
    return r < 0 ? r : sort_targets(b, err);
}

static int words_of(const json_t *list, struct fuzz_words *ret, struct err *err)
{
    size_t i;
    json_t *v;
    json_array_foreach(list, i, v)
        if (json_is_string(v))
            fuzz_word(ret, "%s", json_string_value(v));
    return ret->failed ? err_set(err, ERR_LIMIT, "too many options") : 0;
}

int fuzz_target_read(const json_t *j, const char *dir, struct fuzz_target *t, struct err *err)
{
    static const char *const keys[] = {"name", "engine", "program", "second", "function", "source", "dict", "seeds",
                                       "sanitizers"};
    char **const members[] = {&t->name,   &t->engine, &t->program, &t->second,    &t->function,
                              &t->source, &t->dict,   &t->seeds,   &t->sanitizers};
    memset(t, 0, sizeof *t);
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        const char *v = json_str(j, keys[i], NULL);
        bool is_path = members[i] == &t->program || members[i] == &t->second || members[i] == &t->dict || members[i] == &t->seeds;
        if (v && (is_path ? strstr(v, "..") != NULL : strchr(v, '\n') != NULL))
            return err_set(err, ERR_INVALID, "target: '%s' is not a name", keys[i]);
        if (v && !(*members[i] = is_path ? os_path_join(dir, v) : mem_strdup(v)))
            return err_nomem(err);
    }
    if (!t->name || !t->engine || !t->program)
        return err_set(err, ERR_INVALID, "a target without name, engine or program");
    t->fetched = json_flag(j, "fetched", false);
    int r = words_of(json_object_get(j, "options"), &t->options, err);
    return r < 0 ? r : words_of(json_object_get(j, "env"), &t->env, err);
}

/* --- a program that was built elsewhere ------------------------------------------------------------------- */

static int unpack_beside(struct fuzz_target *t, const char *zip, const char *room, struct err *err)
{
    struct fuzz_command c = {.cwd = room, .writable = {room, "/tmp"}};
    struct fuzz_child child;
    _cleanup_free_ char *dir = os_path_join(room, "seeds");
    int r = dir ? os_mkdirs(room, 0755, err) : err_nomem(err);
    if (r < 0)
        return r;
    fuzz_child_init(&child);
    fuzz_word(&c.argv, "/bin/sh");
    fuzz_word(&c.argv, "-c");
    fuzz_word(&c.argv, "%s", unzip_script);
    fuzz_word(&c.env, "ZIP=%s", zip);
    fuzz_word(&c.env, "DIR=%s", dir);
    r = fuzz_child_run(&c, os_mono_ns() + UNZIP_NS, &child, NULL, err);
    fuzz_child_release(&child);
    fuzz_command_release(&c);
    if (r == 0 && os_is_dir(dir))
        t->seeds = TAKE_PTR(dir);
    return r;
}

static int take_option(struct fuzz_target *t, const char *option, struct err *err)
{
    const char *slash = strrchr(t->program, '/');
    if (strncmp(option, "dict=", 5) != 0) {
        fuzz_word(&t->options, "%s", option);
        return t->options.failed ? err_set(err, ERR_LIMIT, "too many options") : 0;
    }
    _cleanup_free_ char *dict = mem_printf("%.*s/%s", (int)(slash - t->program), t->program, option + 5);
    if (!t->dict && dict && !strchr(option + 5, '/') && os_exists(dict))
        t->dict = TAKE_PTR(dict);
    return 0;
}

int fuzz_target_beside(struct fuzz_target *t, const char *room, struct err *err)
{
    _cleanup_free_ char *file = mem_printf("%s.options", t->program), *dict = mem_printf("%s.dict", t->program);
    _cleanup_free_ char *seeds = mem_printf("%s_seed_corpus", t->program), *zip = mem_printf("%s_seed_corpus.zip", t->program);
    _cleanup_json_ json_t *options = json_array(), *env = json_array();
    size_t i;
    json_t *o;
    if (!file || !dict || !seeds || !zip || !options || !env)
        return err_nomem(err);
    if (!t->dict && os_exists(dict))
        t->dict = TAKE_PTR(dict);
    int r = read_options(file, "libfuzzer", options, err);
    json_array_foreach(options, i, o)
        if (r == 0)
            r = take_option(t, json_string_value(o), err);
    if (r == 0)
        r = read_env(file, env, err);
    if (r == 0)
        r = words_of(env, &t->env, err);
    if (r < 0 || t->seeds)
        return r;
    if (os_is_dir(seeds))
        t->seeds = TAKE_PTR(seeds);
    return t->seeds || !os_exists(zip) ? 0 : unpack_beside(t, zip, room, err);
}
