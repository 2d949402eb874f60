/* Java by Jazzer (https://github.com/CodeIntelligenceTesting/jazzer), which is libFuzzer in a Java virtual machine. A target
 * is a jar, whose manifest names the class with fuzzerTestOneInput.
 *
 * Its start takes seconds, so it goes on after what it finds (keep_going); only time-outs and the like end it. Replays go
 * without instrumentation, which takes most of the start, first; the bugs that only its hooks know show in a second run. */
#include "base/cleanup.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "fuzz/build_internal.h"
#include "fuzz/driver_internal.h"
#include "module/tools.h"
#include "os/file.h"

#include <dirent.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#define PACKAGE "com.code-intelligence:jazzer"
#define JARS_MAX 16

/* Exit statuses of libFuzzer. */
enum { EXIT_TIMED_OUT = 70, EXIT_MEMORY = 71, EXIT_CRASHED = 77 };

static bool is_jar(const char *name)
{
    size_t n = strlen(name);
    return strncmp(name, "jazzer", 6) == 0 && n > 10 && strcmp(name + n - 4, ".jar") == 0;
}

/* A class path of the jars called jazzer... in the folders of FF_TOOLS; "": there is none. The caller releases. */
static struct strbuf find_jars(void)
{
    struct strbuf path = STRBUF_INIT_MAX(64 << 10);
    const char *dirs = getenv(MODULE_TOOLS_ENV);
    char dir[4096];
    int jars = 0;
    for (const char *p = dirs ? dirs : ""; *p;) {
        size_t n = strcspn(p, ":");
        snprintf(dir, sizeof dir, "%.*s", (int)n, p);
        DIR *d = opendir(dir);
        for (struct dirent *e; d && jars < JARS_MAX && (e = readdir(d));) {
            if (is_jar(e->d_name)) {
                strbuf_printf(&path, "%s%s/%s", path.len ? ":" : "", dir, e->d_name);
                jars++;
            }
        }
        if (d)
            closedir(d);
        p += n + (p[n] == ':');
    }
    return path;
}

static int missing(struct err *err)
{
    _cleanup_free_ char *javac = fuzz_in_system("bin/javac");
    struct strbuf jars = find_jars();
    bool there = jars.len > 0;
    strbuf_release(&jars);
    if (!javac) {
        err_set(err, ERR_MISSING, "javac is not installed");
        return err_hint(err, "Debian: openjdk-17-jdk-headless, or a JDK in a folder of FF_TOOLS");
    }
    if (there)
        return 0;
    err_set(err, ERR_MISSING, "Jazzer is in none of the folders of fuzz.tools");
    return err_hint(err, "mvn dependency:copy -DoutputDirectory=DIR -Dartifact=" PACKAGE ":0.24.0, the same for " PACKAGE
                         "-api, and FF_TOOLS=DIR");
}

static void build_env(const char *sanitizers, struct fuzz_words *env)
{
    _cleanup_free_ char *javac = fuzz_in_system("bin/javac");
    struct strbuf jars = find_jars();
    (void)sanitizers;
    if (javac)
        *strrchr(javac, '/') = 0;
    fuzz_word(env, "JAVA_BIN=%s", javac ? javac : "/usr/bin");
    fuzz_word(env, "JAZZER=%s", strbuf_str(&jars));
    strbuf_release(&jars);
}

#define JVM "-XX:-OmitStackTraceInFastThrow -XX:+UseSerialGC -XX:-UsePerfData -Xmx\"$HEAP\"m " \
            "-Djava.io.tmpdir=\"$TMPDIR\" -javaagent:\"$JAR\" " \
            "-cp \"$CP:$JAR\" com.code_intelligence.jazzer.Jazzer --reproducer_path=\"$TMPDIR\" \"$@\""

static const char run_script[] = "exec \"$0\" " JVM;
static const char short_script[] = "exec \"$0\" -XX:TieredStopAtLevel=1 " JVM; /* it does not last long enough for more */
static const char replay_script[] = "for hooks in false true; do\n"
                                    "  \"$0\" -XX:TieredStopAtLevel=1 " JVM " --hooks=$hooks || exit\n"
                                    "done";

/* The heap gets half of the memory: the machine itself takes some, and so do libFuzzer's tables. */
static void java(const struct fuzz_target *t, const struct fuzz_bounds *b, const char *script, struct fuzz_command *c)
{
    _cleanup_free_ char *program = fuzz_in_system("bin/java");
    struct strbuf jars = find_jars();
    fuzz_word(&c->argv, "/bin/sh");
    fuzz_word(&c->argv, "-c");
    fuzz_word(&c->argv, "%s", script);
    fuzz_word(&c->argv, "%s", program ? program : "java");
    libfuzzer_bounds(t, b, &c->argv);
    fuzz_word(&c->env, "CP=%s", strbuf_str(&jars));
    fuzz_word(&c->env, "JAR=%s", t->program);
    fuzz_word(&c->env, "HEAP=%llu", (unsigned long long)b->memory_mb / 2);
    strbuf_release(&jars);
}

static void command(const struct fuzz_session *s, struct fuzz_command *c)
{
    java(s->target, s->bounds, run_script, c);
    fuzz_word(&c->argv, "--keep_going=0");
    libfuzzer_session(s, &c->argv);
    libfuzzer_walls(s, c);
    c->quiet = true;
}

static void reproduce(const struct fuzz_target *t, const struct fuzz_bounds *b, const char *input, bool symbolize,
                      struct fuzz_command *c)
{
    (void)symbolize;
    java(t, b, replay_script, c);
    fuzz_word(&c->argv, "-runs=1");
    fuzz_word(&c->argv, "%s", input);
}

static void merge(const struct fuzz_target *t, const struct fuzz_bounds *b, const char *into, const char *from,
                  const char *crashes, struct fuzz_command *c)
{
    java(t, b, short_script, c);
    fuzz_word(&c->argv, "-artifact_prefix=%s/", crashes);
    fuzz_word(&c->argv, "-merge=1");
    fuzz_word(&c->argv, "%s", into);
    fuzz_word(&c->argv, "%s", from);
    c->quiet = true;
}

static void coverage(const struct fuzz_target *t, const struct fuzz_bounds *b, const char *corpus, struct fuzz_command *c)
{
    java(t, b, short_script, c);
    fuzz_word(&c->argv, "-runs=0");
    fuzz_word(&c->argv, "%s", corpus);
    c->quiet = true;
}

/* A machine that does not start ends with 1. */
static bool crashed(int status)
{
    int e = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
    return WIFSIGNALED(status) || e == EXIT_CRASHED || e == EXIT_TIMED_OUT || e == EXIT_MEMORY || e > 128;
}

static const char *const languages[] = {"java", NULL};

const struct fuzz_driver jazzer_driver = {
    .name = "jazzer",
    .vertical = "java",
    .languages = languages,
    .missing = missing,
    .build_env = build_env,
    .build_script = fuzz_jazzer_sh,
    .make_dirs = libfuzzer_make_dirs,
    .command = command,
    .line = libfuzzer_line,
    .corpus_dir = "corpus",
    .input_name = libfuzzer_input_name,
    .crash_dir = "crashes",
    .import_dir = "corpus",
    .talks = true,
    .stop_signal = SIGINT,
    .fault = libfuzzer_fault,
    .reproduce = reproduce,
    .crashed = crashed,
    .merge = merge,
    .coverage = coverage,
};
