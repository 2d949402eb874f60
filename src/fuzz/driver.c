#include "fuzz/driver_internal.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/suggest.h"
#include "fuzz/fuzz.h"
#include "module/tools.h"
#include "os/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define SOURCES_MAX ((size_t)16 << 20)

const struct fuzz_driver *const fuzz_drivers[] = {&libfuzzer_driver, &aflplusplus_driver, &atheris_driver, &go_driver,
                                                  &cargo_fuzz_driver, &jazzer_driver, NULL};

const char *fuzz_fault_name(enum fuzz_fault f)
{
    static const char *const names[] = {"crash", "timeout", "oom", "leak", "none"};
    return names[f];
}

/* Other names that people know engines by. */
static const char *usual_name(const char *name)
{
    static const char *const others[][2] = {{"go-fuzz", "go"}, {"afl", "aflplusplus"}, {"afl++", "aflplusplus"}};
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        if (strcmp(others[i][0], name) == 0)
            return others[i][1];
    return name;
}

int fuzz_driver_find(const char *name, const struct fuzz_driver **ret, struct err *err)
{
    struct suggest near;
    name = usual_name(name);
    suggest_init(&near, name);
    for (const struct fuzz_driver *const *d = fuzz_drivers; *d; d++) {
        if (strcmp((*d)->name, name) == 0) {
            *ret = *d;
            return 0;
        }
        suggest_offer(&near, (*d)->name);
    }
    err_set(err, ERR_INVALID, "unknown engine '%.40s'", name);
    if (near.best)
        err_hint(err, "did you mean '%s'?", near.best);
    return -ERR_INVALID;
}

bool fuzz_engine_at(size_t i, const char **name, const char **vertical)
{
    const struct fuzz_driver *d = i < ARRAY_LEN(fuzz_drivers) ? fuzz_drivers[i] : NULL;
    *name = d ? d->name : NULL;
    *vertical = d ? d->vertical : NULL;
    return d != NULL;
}

int fuzz_engine_check(const char *name, struct err *err)
{
    const struct fuzz_driver *d;
    int r = fuzz_driver_find(name, &d, err);
    return r < 0 ? r : d->missing(err);
}

int fuzz_module_check(const char *name, struct err *err)
{
    return strcmp(name, cargo_test_module.name) == 0 ? cargo_missing(err) : 0;
}

bool fuzz_engine_one_file(const char *name)
{
    const struct fuzz_driver *d;
    return fuzz_driver_find(name, &d, NULL) == 0 && d->build_env;
}

void fuzz_target_release(struct fuzz_target *t)
{
    char *texts[] = {t->name, t->engine, t->program, t->second, t->function, t->source, t->dict, t->seeds, t->sanitizers};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        free(texts[i]);
    fuzz_words_release(&t->options);
    fuzz_words_release(&t->env);
    memset(t, 0, sizeof *t);
}

char *fuzz_in_tools(const char *name)
{
    const char *dirs = getenv(MODULE_TOOLS_ENV);
    char path[4096];
    for (const char *p = dirs ? dirs : ""; *p;) {
        size_t n = strcspn(p, ":");
        snprintf(path, sizeof path, "%.*s/%s", (int)n, p, name);
        if (os_exists(path))
            return mem_strdup(path);
        p += n + (p[n] == ':');
    }
    return NULL;
}

char *fuzz_in_system(const char *name)
{
    static const char *const dirs[] = {"/usr/local", "/usr"};
    char *path = fuzz_in_tools(name);
    for (size_t i = 0; !path && i < ARRAY_LEN(dirs); i++) {
        path = os_path_join(dirs[i], name);
        if (path && !os_exists(path))
            free(TAKE_PTR(path));
    }
    return path;
}

bool fuzz_status_crashed(int status)
{
    if (WIFSIGNALED(status))
        return true;
    int e = WEXITSTATUS(status);
    return e != 0 && e != 126 && e != 127;
}

bool fuzz_driver_runs(const struct fuzz_driver *d, const char *language)
{
    for (const char *const *l = d->languages; *l; l++)
        if (strcmp(*l, language) == 0)
            return true;
    return false;
}

char *fuzz_program_path(const char *program)
{
    char path[4096];
    const char *dirs = getenv("PATH");
    for (const char *p = dirs ? dirs : "/usr/bin:/bin"; *p;) {
        size_t n = strcspn(p, ":");
        snprintf(path, sizeof path, "%.*s/%s", (int)n, p, program);
        if (access(path, X_OK) == 0)
            return mem_strdup(path);
        p += n + (p[n] == ':');
    }
    return NULL;
}

static bool in_path(const char *program)
{
    _cleanup_free_ char *path = fuzz_program_path(program);
    return path != NULL;
}

const char *fuzz_tool(const char *first, const char *second)
{
    return in_path(first) ? first : in_path(second) ? second : NULL;
}

char *fuzz_listed_source(const struct fuzz_target *t, const char *name)
{
    _cleanup_free_ char *list = mem_printf("%s.sources", t->program), *text = NULL;
    size_t n = strlen(name);
    if (!n || !list || os_read_file(list, SOURCES_MAX, &text, NULL, NULL) < 0)
        return NULL;
    for (const char *p = text; *p;) {
        size_t len = strcspn(p, "\n");
        if (len >= n && memcmp(p + len - n, name, n) == 0 && (len == n || p[len - n - 1] == '/'))
            return mem_strndup(p, len);
        p += len + (p[len] == '\n');
    }
    return NULL;
}

int fuzz_need_program(const char *program, const char *brought_by, struct err *err)
{
    if (in_path(program))
        return 0;
    err_set(err, ERR_MISSING, "%s is not installed", program);
    err_hint(err, "%s", brought_by);
    return -ERR_MISSING;
}

const char *fuzz_target_env(const struct fuzz_target *t, const char *key)
{
    size_t n = strlen(key);
    for (size_t i = 0; t && i < t->env.len; i++)
        if (strncmp(t->env.v[i], key, n) == 0 && t->env.v[i][n] == '=')
            return t->env.v[i] + n + 1;
    return NULL;
}

/* detect_leaks=0: who can look for leaks says so. */
void fuzz_sanitizer_env(const struct fuzz_target *t, bool symbolize, struct fuzz_words *env)
{
    static const char common[] = "abort_on_error=0:allocator_may_return_null=1:detect_leaks=0:" FUZZ_SIGNALS;
    const char *asan = fuzz_target_env(t, "ASAN_OPTIONS"), *ubsan = fuzz_target_env(t, "UBSAN_OPTIONS");
    const char *symbolizer = symbolize ? fuzz_tool("llvm-symbolizer-14", "llvm-symbolizer") : NULL;
    fuzz_word(env, "ASAN_OPTIONS=%s:symbolize=%d%s%s", common, symbolize, asan ? ":" : "", asan ? asan : "");
    fuzz_word(env, "UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1:" FUZZ_SIGNALS ":symbolize=%d%s%s", symbolize,
              ubsan ? ":" : "", ubsan ? ubsan : "");
    fuzz_word(env, "MSAN_OPTIONS=" FUZZ_SIGNALS ":symbolize=%d", symbolize);
    if (symbolizer)
        fuzz_word(env, "ASAN_SYMBOLIZER_PATH=/usr/bin/%s", symbolizer);
    for (size_t i = 0; t && i < t->env.len; i++)
        if (strncmp(t->env.v[i], "ASAN_OPTIONS=", 13) != 0 && strncmp(t->env.v[i], "UBSAN_OPTIONS=", 14) != 0)
            fuzz_word(env, "%s", t->env.v[i]);
}
