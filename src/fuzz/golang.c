/* Go's own fuzzing (https://go.dev/doc/security/fuzz): the test binary, built with coverage, is the engine.
 *
 * It keeps its corpus in CACHE/FuzzXxx and its crashes in testdata/fuzz/FuzzXxx below where it runs; links make the session's
 * own folders of both. Its inputs have a form of their own ("go test fuzz v1"), and others in its corpus are an error to it. */
#include "base/cleanup.h"
#include "base/mem.h"
#include "fuzz/build_internal.h"
#include "fuzz/corpus.h"
#include "fuzz/driver.h"
#include "os/file.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define INPUT_MAX ((size_t)16 << 20)
static const char header[] = "go test fuzz v1\n";

/* Where Go is; the caller frees. */
static char *find_go(void)
{
    static const char *const places[] = {"/usr/local/go/bin/go", "/usr/lib/go/bin/go", "/usr/bin/go"};
    char *own = fuzz_in_tools("bin/go");
    for (size_t i = 0; !own && i < ARRAY_LEN(places); i++)
        if (access(places[i], X_OK) == 0)
            own = mem_strdup(places[i]);
    return own;
}

static int missing(struct err *err)
{
    _cleanup_free_ char *go = find_go();
    if (go)
        return 0;
    err_set(err, ERR_MISSING, "Go is not installed");
    return err_hint(err, "https://go.dev/dl in /usr/local/go, or apt-get install golang (1.18 or later)");
}

static void build_env(const char *sanitizers, struct fuzz_words *env)
{
    _cleanup_free_ char *go = find_go();
    (void)sanitizers;
    fuzz_word(env, "GO=%s", go ? go : "go");
    fuzz_word(env, "GOPROXY=off"); /* what is needed lies in the tree (vendor) or in fuzz.tools */
    fuzz_word(env, "GOFLAGS=-buildvcs=false");
    fuzz_word(env, "GOTOOLCHAIN=local");
    fuzz_word(env, "GO_ON=%s", fuzz_go_on_go);
}

static int link_to(const char *to, const char *link, struct err *err)
{
    return symlink(to, link) < 0 && errno != EEXIST ? err_sys(err, errno, "make %s", link) : 0;
}

/* Those of the shared corpus that are Go's. */
static int copy_corpus(const struct fuzz_session *s, struct err *err)
{
    char **names;
    size_t n;
    int r = fuzz_list_files(s->shared, &names, &n, err);
    for (size_t i = 0; i < n; i++) {
        _cleanup_free_ char *from = os_path_join(s->shared, names[i]), *to = mem_printf("%s/corpus/%s", s->dir, names[i]);
        _cleanup_free_ char *text = NULL;
        size_t len = 0;
        if (r == 0 && from && to && !os_exists(to) && os_read_file(from, INPUT_MAX, &text, &len, NULL) == 0 &&
            len >= sizeof header - 1 && memcmp(text, header, sizeof header - 1) == 0)
            r = os_write_file_atomic(to, text, len, 0644, err);
        free(names[i]);
    }
    free(names);
    return r;
}

/* Where it writes its crashes it looks for seeds as well: those that were taken are none. */
static int clean_crashes(const struct fuzz_session *s, struct err *err)
{
    _cleanup_free_ char *dir = os_path_join(s->dir, "crashes");
    return !s->goes_on ? 0 : dir ? os_remove_tree(dir, err) : err_nomem(err);
}

static int make_dirs(const struct fuzz_session *s, struct err *err)
{
    static const char *const dirs[] = {"corpus", "crashes", "tmp", "cache", "testdata/fuzz"};
    int r = clean_crashes(s, err);
    for (size_t i = 0; r == 0 && i < ARRAY_LEN(dirs); i++) {
        _cleanup_free_ char *d = os_path_join(s->dir, dirs[i]);
        r = d ? os_mkdirs(d, 0755, err) : err_nomem(err);
    }
    _cleanup_free_ char *cache = mem_printf("%s/cache/%s", s->dir, s->target->function);
    _cleanup_free_ char *data = mem_printf("%s/testdata/fuzz/%s", s->dir, s->target->function);
    if (r == 0)
        r = cache && data ? link_to("../corpus", cache, err) : err_nomem(err);
    if (r == 0)
        r = link_to("../../crashes", data, err);
    return r < 0 ? r : copy_corpus(s, err);
}

static void command(const struct fuzz_session *s, struct fuzz_command *c)
{
    struct fuzz_words *a = &c->argv;
    fuzz_word(a, "%s", s->target->program);
    fuzz_word(a, "-test.run=^$");
    fuzz_word(a, "-test.paniconexit0"); /* as go test has it */
    fuzz_word(a, "-test.fuzz=^%s$", s->target->function);
    fuzz_word(a, "-test.fuzzcachedir=%s/cache", s->dir);
    fuzz_word(a, "-test.fuzzminimizetime=2s");
    fuzz_word(a, "-test.parallel=1");
    fuzz_word(&c->env, "TMPDIR=%s/tmp", s->dir);
    fuzz_word(&c->env, "HOME=%s/tmp", s->dir);
    fuzz_word(&c->env, "FF_FUZZ_CRASHES=%s/crashes", s->dir);
    fuzz_word(&c->env, "FF_FUZZ_MEMORY=%llu", (unsigned long long)s->bounds->memory_mb);
    fuzz_word(&c->growing, "%s/corpus", s->dir);
    fuzz_word(&c->growing, "%s/crashes", s->dir);
    snprintf(c->extra, sizeof c->extra, "%s/tmp", s->dir);
    c->writable[0] = c->extra;
    c->cwd = s->dir;
    /* its workers run the inputs: they are the same program */
    fuzz_word(&c->inner, "%s", c->extra);
    c->inner_by_name = true;
}

/* A seed that the harness adds has no file, so Go keeps none of one that crashes: its name stands for it. */
static void keep_seed(const struct fuzz_session *s, const char *name)
{
    unsigned number;
    char text[32];
    if (sscanf(name, "seed#%8u", &number) != 1)
        return;
    _cleanup_free_ char *to = mem_printf("%s/crashes/5eed%012x", s->dir, number);
    int n = snprintf(text, sizeof text, "seed#%u\n", number);
    if (to)
        os_write_file_atomic(to, text, (size_t)n, 0644, NULL);
}

/* "fuzz: elapsed: 0s, gathering baseline coverage: 1/2 completed"
 * "fuzz: elapsed: 3s, execs: 102 (34/sec), new interesting: 1 (total: 5)"
 * A start that crashes before it has told its executions has run what it was given, as far as it says, and the crash. */
static void line(struct fuzz_session *s, const char *text, size_t len)
{
    static const char seed[] = "failure while testing seed corpus entry: ", given[] = ", gathering baseline coverage: ";
    unsigned long long n, rate, total;
    const char *p, *name;
    (void)len;
    if (strcmp(text, "fuzz: goes on after crashes") == 0)
        s->goes_on = true;
    if (strncmp(text, seed, sizeof seed - 1) == 0 && (name = strrchr(text, '/')))
        keep_seed(s, name + 1);
    if (strncmp(text, "--- FAIL: ", 10) == 0 && !s->counts.corpus)
        s->counts.executions++;
    if (strncmp(text, "fuzz: elapsed: ", 15) != 0)
        return;
    if ((p = strstr(text, given)) && sscanf(p + sizeof given - 1, "%llu/", &n) == 1) {
        s->counts.executions = n > s->counts.executions ? n : s->counts.executions;
        s->ready = s->ready || strstr(p, ", now fuzzing");
    }
    if (!(p = strstr(text, ", execs: ")) || sscanf(p, ", execs: %llu (%llu/sec)", &n, &rate) != 2)
        return;
    s->ready = true;
    s->counts.executions = n > s->counts.executions ? n : s->counts.executions;
    s->counts.rate = (double)rate;
    if ((p = strstr(text, "(total: ")) && sscanf(p, "(total: %llu)", &total) == 1)
        s->counts.corpus = total;
}

/* Named after their content, sixteen digits; those of the shared corpus have forty. */
static bool input_name(const char *name)
{
    size_t n = strspn(name, "0123456789abcdef");
    return n >= 8 && !name[n];
}

static enum fuzz_fault fault(const char *name)
{
    return input_name(name) ? FAULT_CRASH : FAULT_NONE;
}

static void reproduce(const struct fuzz_target *t, const struct fuzz_bounds *b, const char *input, bool symbolize,
                      struct fuzz_command *c)
{
    (void)symbolize;
    fuzz_word(&c->argv, "/bin/sh");
    fuzz_word(&c->argv, "-c");
    fuzz_word(&c->argv, "i=$(head -c 16 \"$2\"); case $i in seed#*[!0-9]*) i= ;; seed#?*) ;; *) i= ;; esac; "
                        "mkdir -p \"testdata/fuzz/$1\" && { [ \"$i\" ] || cp \"$2\" \"testdata/fuzz/$1/input\"; } && "
                        "exec \"$0\" -test.paniconexit0 -test.run=\"^$1\\$/^${i:-input}\\$\" -test.timeout=\"$3\"");
    fuzz_word(&c->argv, "%s", t->program);
    fuzz_word(&c->argv, "%s", t->function);
    fuzz_word(&c->argv, "%s", input);
    fuzz_word(&c->argv, "%lldms", (long long)b->input_ms);
    fuzz_word(&c->env, "FF_FUZZ_MEMORY=%llu", (unsigned long long)b->memory_mb);
}

static const char *const languages[] = {"go", NULL};

const struct fuzz_driver go_driver = {
    .name = "go",
    .vertical = "go",
    .languages = languages,
    .missing = missing,
    .build_env = build_env,
    .build_script = fuzz_go_sh,
    .make_dirs = make_dirs,
    .command = command,
    .line = line,
    .corpus_dir = "corpus",
    .input_name = input_name,
    .crash_dir = "crashes",
    .ends_at_crash = true,
    .talks = true,
    .stop_signal = SIGINT,
    .fault = fault,
    .reproduce = reproduce,
    .crashed = fuzz_status_crashed,
};
