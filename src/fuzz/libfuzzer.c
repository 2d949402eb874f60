/* libFuzzer, as clang brings it (https://llvm.org/docs/LibFuzzer.html), and Atheris, which is libFuzzer in a Python module.
 * It ends at the first crash and is started anew with what it has found; that costs the reading of the corpus, and nothing
 * of its speed between. */
#include "base/cleanup.h"
#include "base/mem.h"
#include "fuzz/driver_internal.h"
#include "module/tools.h"
#include "os/file.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>


static int missing(struct err *err)
{
    if (!fuzz_tool("clang-14", "clang"))
        return fuzz_need_program("clang", "Debian: clang-14 libclang-rt-14-dev llvm-14", err);
    return 0;
}

static void build_env(const char *sanitizers, struct fuzz_words *env)
{
    const char *cc = fuzz_tool("clang-14", "clang"), *cxx = fuzz_tool("clang++-14", "clang++");
    const char *flags = "-O1 -g -gline-tables-only -fno-omit-frame-pointer -DFUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION";
    fuzz_word(env, "CC=%s", cc ? cc : "clang");
    fuzz_word(env, "CXX=%s", cxx ? cxx : "clang++");
    fuzz_word(env, "CFLAGS=%s -fsanitize=%s -fsanitize=fuzzer-no-link", flags, sanitizers);
    fuzz_word(env, "CXXFLAGS=%s -fsanitize=%s -fsanitize=fuzzer-no-link", flags, sanitizers);
    fuzz_word(env, "LIB_FUZZING_ENGINE=-fsanitize=fuzzer");
    fuzz_word(env, "FUZZING_ENGINE=libfuzzer");
    fuzz_word(env, "SANITIZER=address");
}

int libfuzzer_make_dirs(const struct fuzz_session *s, struct err *err)
{
    static const char *const dirs[] = {"corpus", "crashes", "tmp"};
    for (size_t i = 0; i < ARRAY_LEN(dirs); i++) {
        _cleanup_free_ char *d = os_path_join(s->dir, dirs[i]);
        int r = d ? os_mkdirs(d, 0755, err) : err_nomem(err);
        if (r < 0)
            return r;
    }
    return 0;
}

void libfuzzer_bounds(const struct fuzz_target *t, const struct fuzz_bounds *b, struct fuzz_words *argv)
{
    fuzz_word(argv, "-timeout=%lld", (long long)((b->input_ms + 999) / 1000));
    fuzz_word(argv, "-rss_limit_mb=%llu", (unsigned long long)b->memory_mb);
    if (b->input_bytes)
        fuzz_word(argv, "-max_len=%llu", (unsigned long long)b->input_bytes);
    for (size_t i = 0; i < t->options.len; i++)
        fuzz_word(argv, "-%s", t->options.v[i]);
}

static void bounds(const struct fuzz_target *t, const struct fuzz_bounds *b, struct fuzz_words *argv)
{
    if (strcmp(t->engine, atheris_driver.name) == 0)
        fuzz_word(argv, "/usr/bin/python3");
    fuzz_word(argv, "%s", t->program);
    libfuzzer_bounds(t, b, argv);
}

static bool says(const struct fuzz_words *w, const char *word)
{
    for (size_t i = 0; i < w->len; i++)
        if (strstr(w->v[i], word))
            return true;
    return false;
}

/* Of what is run to find or to see faults; a merge is neither. LSAN_OPTIONS come after ASAN_OPTIONS, which say no. */
static void leaks(const struct fuzz_target *t, const struct fuzz_bounds *b, struct fuzz_command *c)
{
    bool wanted = b->leaks && strcmp(t->engine, libfuzzer_driver.name) == 0 && !says(&t->env, "detect_leaks=0") &&
                  !says(&t->options, "detect_leaks=0");
    fuzz_word(&c->argv, "-detect_leaks=%d", wanted);
    if (wanted)
        fuzz_word(&c->env, "LSAN_OPTIONS=detect_leaks=1:print_suppressions=0");
}

/* Where Python finds its packages, and what it runs first in a session; dir: the session's, NULL: there is none. */
static void python_env(const struct fuzz_target *t, const char *dir, struct fuzz_words *env)
{
    const char *tools = getenv(MODULE_TOOLS_ENV);
    if (strcmp(t->engine, atheris_driver.name) != 0)
        return;
    fuzz_word(env, "PYTHONDONTWRITEBYTECODE=1");
    fuzz_word(env, "PYTHONPATH=%s%s%s%s", dir ? dir : "", dir ? "/python" : "", dir && tools ? ":" : "", tools ? tools : "");
}

void libfuzzer_session(const struct fuzz_session *s, struct fuzz_words *a)
{
    fuzz_word(a, "-artifact_prefix=%s/crashes/", s->dir);
    fuzz_word(a, "-print_final_stats=1");
    fuzz_word(a, "-report_slow_units=1000000");
    if (s->bounds->seed)
        fuzz_word(a, "-seed=%llu", (unsigned long long)s->bounds->seed + (unsigned)s->number);
    if (s->bounds->run_seconds)
        fuzz_word(a, "-max_total_time=%lld", (long long)s->bounds->run_seconds);
    if (s->bounds->executions)
        fuzz_word(a, "-runs=%llu", (unsigned long long)s->bounds->executions);
    if (s->target->dict)
        fuzz_word(a, "-dict=%s", s->target->dict);
    if (s->mute) /* libFuzzer's own words stay */
        fuzz_word(a, "-close_fd_mask=3");
    if (s->subset)
        fuzz_word(a, "-seed_inputs=@%s", s->subset);
    fuzz_word(a, "%s/corpus", s->dir);
    if (!s->subset)
        fuzz_word(a, "%s", s->shared);
}

/* The target runs in the engine's process: it may do there what the engine has to, and remove neither corpus nor crashes. */
void libfuzzer_walls(const struct fuzz_session *s, struct fuzz_command *c)
{
    fuzz_word(&c->env, "TMPDIR=%s/tmp", s->dir);
    fuzz_word(&c->growing, "%s/corpus", s->dir);
    fuzz_word(&c->growing, "%s/crashes", s->dir);
    snprintf(c->extra, sizeof c->extra, "%s/tmp", s->dir);
    c->cwd = c->writable[0] = c->extra;
}

void libfuzzer_command(const struct fuzz_session *s, struct fuzz_command *c)
{
    bounds(s->target, s->bounds, &c->argv);
    leaks(s->target, s->bounds, c);
    libfuzzer_session(s, &c->argv);
    fuzz_sanitizer_env(s->target, false, &c->env);
    python_env(s->target, s->dir, &c->env);
    libfuzzer_walls(s, c);
    c->quiet = !s->driver->talks;
}

/* "#2097152\tpulse  cov: 7 ft: 8 corp: 4/7b lim: 4096 exec/s: 699050 rss: 437Mb", and the final "stat::" lines. */
void libfuzzer_line(struct fuzz_session *s, const char *text, size_t len)
{
    unsigned long long n;
    const char *p;
    struct fuzz_counts *c = &s->counts;
    (void)len;
    if (sscanf(text, "stat::number_of_executed_units: %llu", &n) == 1) {
        c->executions = n > c->executions ? n : c->executions;
        return;
    }
    if (sscanf(text, "stat::peak_rss_mb: %llu", &n) == 1) {
        c->memory_mb = n;
        return;
    }
    if (text[0] != '#' || sscanf(text, "#%llu", &n) != 1)
        return;
    if ((p = strstr(text, " cov: ")))
        c->edges = strtoull(p + 6, NULL, 10);
    else if (!strstr(text, "INITED"))
        return;
    c->executions = n > c->executions ? n : c->executions;
    if ((p = strstr(text, " ft: ")))
        c->features = strtoull(p + 5, NULL, 10);
    if ((p = strstr(text, " corp: ")))
        c->corpus = strtoull(p + 7, NULL, 10);
    if ((p = strstr(text, " exec/s: ")))
        c->rate = (double)strtoull(p + 9, NULL, 10);
    if ((p = strstr(text, " rss: ")))
        c->memory_mb = strtoull(p + 6, NULL, 10);
    c->discoveries += strstr(text, "\tNEW ") != NULL;
    s->ready |= strstr(text, "\tINITED") || strstr(text, "\tNEW") || strstr(text, "\tpulse");
}

/* Digests, forty digits; those that it gets from other engines as well. */
bool libfuzzer_input_name(const char *name)
{
    return strspn(name, "0123456789abcdef") == 40 && !name[40];
}

/* The fault and a digest; a target may put files of other names there. */
enum fuzz_fault libfuzzer_fault(const char *name)
{
    static const struct {
        const char *prefix;
        enum fuzz_fault fault;
    } names[] = {{"crash-", FAULT_CRASH}, {"timeout-", FAULT_TIMEOUT}, {"oom-", FAULT_MEMORY}, {"leak-", FAULT_LEAK}};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        size_t n = strlen(names[i].prefix);
        if (strncmp(name, names[i].prefix, n) == 0 && libfuzzer_input_name(name + n))
            return names[i].fault;
    }
    return FAULT_NONE;
}

void libfuzzer_reproduce(const struct fuzz_target *t, const struct fuzz_bounds *b, const char *input, bool symbolize,
                         struct fuzz_command *c)
{
    bounds(t, b, &c->argv);
    leaks(t, b, c);
    fuzz_word(&c->argv, "-runs=1"); /* of this one input */
    fuzz_word(&c->argv, "%s", input);
    fuzz_sanitizer_env(t, symbolize, &c->env);
    python_env(t, NULL, &c->env);
    if (strcmp(t->engine, atheris_driver.name) == 0)
        fuzz_word(&c->env, "PYTHONFAULTHANDLER=1"); /* libFuzzer knows no frames of Python */
}

/* A merge starts the program that argv[0] names anew, over and over, which a harness of Python need not be: this is one. */
static void python_program(const struct fuzz_target *t, struct fuzz_command *c)
{
    fuzz_word(&c->argv, "/bin/sh");
    fuzz_word(&c->argv, "-c");
    fuzz_word(&c->argv, "printf '%%s\\n' \"$0\" >harness && chmod +x harness && exec \"$PWD/harness\" \"$@\"");
    fuzz_word(&c->argv, "#!/usr/bin/python3\nimport os, sys\n__file__ = os.environ['FF_FUZZ_HARNESS']\n"
                        "sys.path[0] = os.path.dirname(__file__)\nexec(compile(open(__file__, 'rb').read(), __file__, 'exec'))");
    fuzz_word(&c->env, "FF_FUZZ_HARNESS=%s", t->program);
}

void libfuzzer_merge(const struct fuzz_target *t, const struct fuzz_bounds *b, const char *into, const char *from,
                     const char *crashes, struct fuzz_command *c)
{
    if (strcmp(t->engine, atheris_driver.name) == 0) {
        python_program(t, c);
        libfuzzer_bounds(t, b, &c->argv);
    } else {
        bounds(t, b, &c->argv);
    }
    fuzz_word(&c->argv, "-detect_leaks=0");
    fuzz_word(&c->argv, "-artifact_prefix=%s/", crashes);
    fuzz_word(&c->argv, "-merge=1");
    fuzz_word(&c->argv, "%s", into);
    fuzz_word(&c->argv, "%s", from);
    fuzz_sanitizer_env(t, false, &c->env);
    python_env(t, NULL, &c->env);
    c->quiet = true;
}

void libfuzzer_coverage(const struct fuzz_target *t, const struct fuzz_bounds *b, const char *corpus, struct fuzz_command *c)
{
    bounds(t, b, &c->argv);
    fuzz_word(&c->argv, "-detect_leaks=0");
    fuzz_word(&c->argv, "-runs=0");
    fuzz_word(&c->argv, "%s", corpus);
    fuzz_sanitizer_env(t, false, &c->env);
    python_env(t, NULL, &c->env);
    c->quiet = true;
}

static const char *const languages[] = {"c", "c++", NULL};

const struct fuzz_driver libfuzzer_driver = {
    .name = "libfuzzer",
    .vertical = "native",
    .languages = languages,
    .missing = missing,
    .build_env = build_env,
    .make_dirs = libfuzzer_make_dirs,
    .command = libfuzzer_command,
    .line = libfuzzer_line,
    .corpus_dir = "corpus",
    .input_name = libfuzzer_input_name,
    .crash_dir = "crashes",
    .import_dir = "corpus",
    .subsets = true,
    .ends_at_crash = true,
    .keep_signal = SIGABRT,
    .stop_signal = SIGUSR1,
    .fault = libfuzzer_fault,
    .reproduce = libfuzzer_reproduce,
    .crashed = fuzz_status_crashed,
    .merge = libfuzzer_merge,
    .coverage = libfuzzer_coverage,
};

static int atheris_missing(struct err *err)
{
    _cleanup_free_ char *there = fuzz_in_tools("atheris/__init__.py");
    if (there || os_exists("/usr/lib/python3/dist-packages/atheris"))
        return 0;
    err_set(err, ERR_MISSING, "the Python package atheris is in none of the folders of fuzz.tools");
    return err_hint(err, "/usr/bin/python3 -m pip install --target DIR atheris, and FF_TOOLS=DIR");
}

/* Python's faulthandler, enabled by a harness, takes from libFuzzer the signals at which it keeps the input. In a session
 * nobody enables it; where an input is run again, it tells the stack. */
static int atheris_make_dirs(const struct fuzz_session *s, struct err *err)
{
    static const char first[] = "import faulthandler\nfaulthandler.enable = lambda *a, **k: None\n";
    _cleanup_free_ char *dir = os_path_join(s->dir, "python"), *file = dir ? os_path_join(dir, "sitecustomize.py") : NULL;
    int r = libfuzzer_make_dirs(s, err);
    if (r == 0)
        r = file ? os_mkdirs(dir, 0755, err) : err_nomem(err);
    return r < 0 ? r : os_write_file_atomic(file, first, sizeof first - 1, 0644, err);
}

static const char *const python[] = {"python", NULL};

const struct fuzz_driver atheris_driver = {
    .name = "atheris",
    .vertical = "python",
    .languages = python,
    .missing = atheris_missing,
    .make_dirs = atheris_make_dirs,
    .command = libfuzzer_command,
    .line = libfuzzer_line,
    .corpus_dir = "corpus",
    .input_name = libfuzzer_input_name,
    .crash_dir = "crashes",
    .import_dir = "corpus",
    .subsets = true,
    .ends_at_crash = true,
    .talks = true,
    .keep_signal = SIGABRT,
    .stop_signal = SIGUSR1,
    .fault = libfuzzer_fault,
    .reproduce = libfuzzer_reproduce,
    .crashed = fuzz_status_crashed,
    .merge = libfuzzer_merge,
    .coverage = libfuzzer_coverage,
};
