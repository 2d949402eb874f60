/* AFL++ (https://aflplus.plus), as Debian has it: persistent mode by libAFLDriver.a, CmpLog. A session is one instance; all of a
 * target share a folder for their output, so that they find one another, and the main one also takes what other engines
 * found (-F). AFL++ says nothing of a crash but its input: what it is comes from a replay. */
#include "base/cleanup.h"
#include "base/mem.h"
#include "fuzz/driver_internal.h"
#include "os/file.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define STATS_MAX ((size_t)64 << 10)
#define PLOT_MAX ((size_t)64 << 20)
#define DRIVER "/usr/lib/afl/libAFLDriver.a"

static int missing(struct err *err)
{
    int r = fuzz_need_program("afl-fuzz", "apt-get install afl++", err);
    if (r == 0 && !os_exists(DRIVER))
        r = err_set(err, ERR_MISSING, "there is no " DRIVER);
    return r;
}

static void build_env(const char *sanitizers, struct fuzz_words *env)
{
    const char *flags = "-O1 -g -gline-tables-only -fno-omit-frame-pointer -DFUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION";
    fuzz_word(env, "CC=afl-clang-fast");
    fuzz_word(env, "CXX=afl-clang-fast++");
    fuzz_word(env, "AFL_QUIET=1");
    fuzz_word(env, "CFLAGS=%s -fsanitize=%s", flags, sanitizers);
    fuzz_word(env, "CXXFLAGS=%s -fsanitize=%s", flags, sanitizers);
    fuzz_word(env, "LIB_FUZZING_ENGINE=" DRIVER);
    fuzz_word(env, "FUZZING_ENGINE=afl");
    fuzz_word(env, "SANITIZER=address");
}

/* The folder of all instances: beside those of the sessions. */
static char *common_dir(const struct fuzz_session *s)
{
    return mem_printf("%.*s/afl", (int)(strrchr(s->dir, '/') - s->dir), s->dir);
}

/* "q" is the instance's part of it. */
static int make_dirs(const struct fuzz_session *s, struct err *err)
{
    _cleanup_free_ char *common = common_dir(s), *tmp = os_path_join(s->dir, "tmp"), *import = os_path_join(s->dir, "import");
    _cleanup_free_ char *link = os_path_join(s->dir, "q"), *to = mem_printf("../afl/s%d", s->number);
    if (!common || !tmp || !import || !link || !to)
        return err_nomem(err);
    int r = os_mkdirs(common, 0755, err);
    if (r == 0)
        r = os_mkdirs(tmp, 0755, err);
    if (r == 0)
        r = os_mkdirs(import, 0755, err);
    if (r == 0 && symlink(to, link) < 0 && errno != EEXIST)
        r = err_sys(err, errno, "make %s", link);
    return r;
}

static void flag(struct fuzz_words *a, const char *name, const char *value)
{
    fuzz_word(a, "%s", name);
    fuzz_word(a, "%s", value);
}

static void number(struct fuzz_words *a, const char *name, uint64_t value)
{
    fuzz_word(a, "%s", name);
    fuzz_word(a, "%llu", (unsigned long long)value);
}

static void environment(const struct fuzz_target *t, struct fuzz_words *env)
{
    static const char *const fixed[] = {
        "AFL_NO_UI=1", "AFL_SKIP_CPUFREQ=1", "AFL_NO_AFFINITY=1",
        "AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES=1", "AFL_IGNORE_SEED_PROBLEMS=1", "AFL_AUTORESUME=1",
        "AFL_FORKSRV_INIT_TMOUT=60000",
        "AFL_FAST_CAL=1"};
    const char *asan = fuzz_target_env(t, "ASAN_OPTIONS"), *ubsan = fuzz_target_env(t, "UBSAN_OPTIONS");
    /* what the target says does not stand against what comes last: without it afl-fuzz refuses to start, or sees no crash */
    fuzz_word(env, "ASAN_OPTIONS=allocator_may_return_null=1:detect_odr_violation=0:" FUZZ_SIGNALS
              "%s%s:abort_on_error=1:symbolize=0:detect_leaks=0", asan ? ":" : "", asan ? asan : "");
    fuzz_word(env, "UBSAN_OPTIONS=" FUZZ_SIGNALS "%s%s:halt_on_error=1:abort_on_error=1:symbolize=0", ubsan ? ":" : "",
              ubsan ? ubsan : "");
    for (size_t i = 0; i < ARRAY_LEN(fixed); i++)
        fuzz_word(env, "%s", fixed[i]);
    for (size_t i = 0; i < t->env.len; i++) {
        if (strncmp(t->env.v[i], "LD_PRELOAD=", 11) == 0) /* into the target, not into the engine */
            fuzz_word(env, "AFL_PRELOAD=%s", t->env.v[i] + 11);
        else if (!strstr(t->env.v[i], "SAN_OPTIONS="))
            fuzz_word(env, "%s", t->env.v[i]);
    }
}

static void command(const struct fuzz_session *s, struct fuzz_command *c)
{
    struct fuzz_words *a = &c->argv;
    _cleanup_free_ char *common = common_dir(s);
    fuzz_word(a, "afl-fuzz");
    flag(a, "-i", s->shared);
    flag(a, "-o", common ? common : "");
    fuzz_word(a, "%s", s->is_main ? "-M" : "-S");
    fuzz_word(a, "s%d", s->number);
    flag(a, "-m", "none");
    number(a, "-t", (uint64_t)s->bounds->input_ms);
    if (s->is_main) {
        fuzz_word(a, "-F");
        fuzz_word(a, "%s/import", s->dir);
    }
    if (s->is_main && s->target->second) /* CmpLog: one instance is enough */
        flag(a, "-c", s->target->second);
    if (s->target->dict)
        flag(a, "-x", s->target->dict);
    if (s->bounds->input_bytes)
        number(a, "-G", s->bounds->input_bytes);
    if (s->bounds->seed)
        number(a, "-s", s->bounds->seed + (unsigned)s->number);
    if (s->bounds->executions)
        number(a, "-E", s->bounds->executions);
    fuzz_word(a, "--");
    fuzz_word(a, "%s", s->target->program);
    environment(s->target, &c->env);
    fuzz_word(&c->env, "TMPDIR=%s/tmp", s->dir);
    fuzz_word(&c->inner, "%s/tmp", s->dir);
    fuzz_word(&c->inner, "/dev/shm");
    c->cwd = c->inner.v[0];
    c->writable[0] = s->dir;
    c->writable[1] = "/dev/shm";
    /* the folder of all instances lies beside this one's: what one finds, the others read */
    _cleanup_free_ char *up = common ? os_path_join(s->dir, "../afl") : NULL;
    if (up)
        snprintf(c->extra, sizeof c->extra, "%s", up);
    c->writable[2] = up ? c->extra : NULL;
}

static uint64_t more(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* "execs_done        : 12345" of fuzzer_stats, which is written once a minute and at the end. */
void aflplusplus_read_stats(struct fuzz_counts *c, char *text)
{
    unsigned long long n;
    double d;
    char *save = NULL;
    for (char *l = strtok_r(text, "\n", &save); l; l = strtok_r(NULL, "\n", &save)) {
        if (sscanf(l, "execs_done : %llu", &n) == 1)
            c->executions = more(c->executions, n);
        else if (sscanf(l, "execs_per_sec : %lf", &d) == 1 && c->rate == 0 && isfinite(d))
            c->rate = d;
        else if (sscanf(l, "corpus_found : %llu", &n) == 1)
            c->discoveries = more(c->discoveries, n);
        else if (sscanf(l, "edges_found : %llu", &n) == 1)
            c->edges = more(c->edges, n);
        else if (sscanf(l, "corpus_count : %llu", &n) == 1)
            c->corpus = more(c->corpus, n);
        else if (sscanf(l, "peak_rss_mb : %llu", &n) == 1)
            c->memory_mb = more(c->memory_mb, n);
    }
}

/* The last line of plot_data, which is written every five seconds when there is news: the corpus is the fourth number, the
 * rate the eleventh, then the executions and the edges. */
void aflplusplus_read_plot(struct fuzz_counts *c, const char *text)
{
    const char *last = text;
    for (const char *p = text; (p = strchr(p, '\n')); p++)
        if (p[1])
            last = p + 1;
    unsigned long long corpus, executions, edges;
    double rate;
    if (sscanf(last, "%*[^,], %*[^,], %*[^,], %llu, %*[^,], %*[^,], %*[^,], %*[^,], %*[^,], %*[^,], %lf, %llu, %llu", &corpus,
               &rate, &executions, &edges) != 4)
        return;
    c->corpus = corpus;
    c->executions = more(c->executions, executions);
    c->edges = more(c->edges, edges);
    if (isfinite(rate))
        c->rate = rate;
}

static void poll_stats(struct fuzz_session *s)
{
    _cleanup_free_ char *stats = os_path_join(s->dir, "q/fuzzer_stats"), *plot = os_path_join(s->dir, "q/plot_data");
    _cleanup_free_ char *stats_text = NULL, *plot_text = NULL;
    if (stats && os_read_file(stats, STATS_MAX, &stats_text, NULL, NULL) == 0)
        aflplusplus_read_stats(&s->counts, stats_text);
    if (plot && os_read_file(plot, PLOT_MAX, &plot_text, NULL, NULL) == 0)
        aflplusplus_read_plot(&s->counts, plot_text);
    s->ready |= s->counts.executions > 0;
}

static bool input_name(const char *name)
{
    return strncmp(name, "id:", 3) == 0;
}

static enum fuzz_fault fault(const char *name)
{
    return strncmp(name, "id:", 3) == 0 ? FAULT_CRASH : FAULT_NONE;
}

/* libAFLDriver runs the files that it is given. */
static void reproduce(const struct fuzz_target *t, const struct fuzz_bounds *b, const char *input, bool symbolize,
                      struct fuzz_command *c)
{
    (void)b;
    fuzz_word(&c->argv, "%s", t->program);
    fuzz_word(&c->argv, "%s", input);
    fuzz_sanitizer_env(t, symbolize, &c->env);
}

/* By the map of the instrumented program: for each tuple of an edge and how often it is taken, one of the smallest inputs. An
 * input that crashes or takes too long ends it with an error: it cannot be told from a program that ended before all inputs
 * were run. */
static void merge(const struct fuzz_target *t, const struct fuzz_bounds *b, const char *into, const char *from,
                  const char *crashes, struct fuzz_command *c)
{
    (void)crashes;
    struct fuzz_words *a = &c->argv;
    fuzz_word(a, "afl-cmin");
    flag(a, "-i", from);
    flag(a, "-o", into);
    flag(a, "-m", "none");
    number(a, "-t", (uint64_t)b->input_ms);
    fuzz_word(a, "--");
    fuzz_word(a, "%s", t->program);
    environment(t, &c->env);
    fuzz_word(&c->env, "AFL_ALLOW_TMP=1"); /* our folder may be below any other */
    fuzz_word(&c->inner, "/dev/shm");
    c->writable[1] = "/dev/shm";
    c->quiet = true;
}

static const char *const languages[] = {"c", "c++", NULL};

const struct fuzz_driver aflplusplus_driver = {
    .name = "aflplusplus",
    .vertical = "native",
    .languages = languages,
    .missing = missing,
    .build_env = build_env,
    .second_env = "AFL_LLVM_CMPLOG=1",
    .make_dirs = make_dirs,
    .command = command,
    .poll = poll_stats,
    .corpus_dir = "q/queue",
    .input_name = input_name,
    .crash_dir = "q/crashes",
    .slow_dir = "q/hangs",
    .import_dir = "import",
    .stop_signal = SIGINT,
    .fault = fault,
    .reproduce = reproduce,
    .crashed = fuzz_status_crashed,
    .many = true,
    .merge = merge,
};
