#include "fuzz/verdict.h"

#include "base/cleanup.h"
#include "base/strbuf.h"
#include "codec/crash/crash.h"
#include "codec/json.h"
#include "codec/utf8.h"
#include "fuzz/panic.h"

#include <stdio.h>
#include <string.h>

#define FRAMES_SHOWN 32

void fuzz_verdict_release(struct fuzz_verdict *v)
{
    json_decref(v->frames);
    v->frames = NULL;
}

/* Without the size of the access: "Heap-buffer-overflow WRITE 4". */
static size_t bare_length(const char *type)
{
    const char *last = strrchr(type, ' ');
    return last && (strchr("0123456789{", last[1])) ? (size_t)(last - type) : strlen(type);
}

bool fuzz_type_same(const char *a, const char *b)
{
    size_t n = bare_length(a);
    return n == bare_length(b) && memcmp(a, b, n) == 0;
}

bool fuzz_verdict_same(const struct fuzz_verdict *a, const struct fuzz_verdict *b)
{
    return fuzz_type_same(a->type, b->type) && strcmp(a->state, b->state) == 0 && strcmp(a->thrown, b->thrown) == 0;
}

/* A target may print anything for a name: in place, as UTF-8. */
static void clean(char *text, size_t size)
{
    struct strbuf b = STRBUF_INIT_MAX(4 * size);
    utf8_append_clean(&b, text, strlen(text));
    snprintf(text, size, "%.*s", (int)utf8_cut(strbuf_str(&b), b.len, size - 1), strbuf_str(&b));
    strbuf_release(&b);
}

/* Rust's own library, wherever its source was. */
static bool of_library(const struct crash_frame *f)
{
    static const char *const parts[] = {"/library/core/src/", "/library/std/src/", "/library/alloc/src/"};
    for (size_t i = 0; f->file && i < ARRAY_LEN(parts); i++)
        if (strstr(f->file, parts[i]))
            return true;
    return false;
}

/* Java's own classes, and Jazzer's: "java.base/java.lang.Integer.parseInt". */
static bool of_machine(const struct crash_frame *f)
{
    static const char *const packages[] = {"java.", "javax.", "jdk.", "sun.", "com.sun.", "jaz.",
                                           "com.code_intelligence.jazzer."};
    for (size_t i = 0; f->function && i < ARRAY_LEN(packages); i++)
        if (strncmp(f->function, packages[i], strlen(packages[i])) == 0)
            return true;
    return false;
}

/* AFL++'s libAFLDriver, where libFuzzer has frames that every parser knows. */
static const char *const drivers[] = {"ExecuteFilesOnyByOne", "LLVMFuzzerRunDriver"};

static bool of_driver(const char *function, size_t n)
{
    for (size_t i = 0; i < ARRAY_LEN(drivers); i++)
        if (strlen(drivers[i]) == n && memcmp(drivers[i], function, n) == 0)
            return true;
    return false;
}

/* One bug has one state, whichever engine finds it. */
static void drop_drivers(char *state)
{
    for (char *p = state; *p;) {
        size_t n = strcspn(p, "\n"), all = n + (p[n] == '\n');
        if (p != state && of_driver(p, n))
            memmove(p, p + all, strlen(p + all) + 1);
        else
            p += all;
    }
}

static bool of_runtime(const struct crash *c, const struct crash_frame *f)
{
    bool driver = f->function && of_driver(f->function, strlen(f->function));
    return f->ignored || driver || of_library(f) || (c->kind == CRASH_JAVA && of_machine(f));
}

/* Java's reports name no folder, but the package: "a.b.C.method" in "C.java" is "a/b/C.java". */
static void add_package(const char *function, char *file, size_t size)
{
    char path[512];
    const char *name = strrchr(function, '/'); /* of a module */
    name = name ? name + 1 : function;
    const char *method = strrchr(name, '.'), *class = method ? memrchr(name, '.', (size_t)(method - name)) : NULL;
    if (!class || strchr(file, '/'))
        return;
    int n = snprintf(path, sizeof path, "%.*s/%.200s", (int)(class - name < 200 ? class - name : 200), name, file);
    for (int i = 0; i < n && path[i] != '/'; i++)
        if (path[i] == '.')
            path[i] = '/';
    snprintf(file, size, "%s", path);
}

static json_t *frame_json(const struct crash *c, const struct crash_frame *f)
{
    char file[512] = "";
    if (f->file)
        snprintf(file, sizeof file, "%s", f->file);
    if (f->file && f->function && c->kind == CRASH_JAVA)
        add_package(f->function, file, sizeof file);
    json_t *j = json_pack("{s:o}", "function", json_clean_string(f->function ? f->function : ""));
    if (j && file[0])
        json_object_set_new(j, "file", json_clean_string(file));
    if (j && f->line)
        json_object_set_new(j, "line", json_integer(f->line));
    if (j && f->column)
        json_object_set_new(j, "column", json_integer(f->column));
    if (j && of_runtime(c, f))
        json_object_set_new(j, "ignored", json_true());
    if (j && f->harness)
        json_object_set_new(j, "harness", json_true());
    return j;
}

/* Where the fault is: the first frame of the program's own that has a source. */
static void find_place(const struct crash *c, struct fuzz_verdict *v)
{
    for (size_t i = 0; i < c->frame_count; i++) {
        const struct crash_frame *f = &c->frames[i];
        if (!f->file || !f->line || of_runtime(c, f))
            continue;
        snprintf(v->file, sizeof v->file, "%s", f->file);
        if (c->kind == CRASH_JAVA && f->function)
            add_package(f->function, v->file, sizeof v->file);
        v->line = f->line;
        v->column = f->column;
        return;
    }
}

/* The program's own: not of a runtime or of the language's library. */
static bool is_own(const struct crash *c, const struct crash_frame *f)
{
    return f->function && !of_runtime(c, f);
}

/* A state by the program's own functions. Go's compiler is not sure of many arguments ("0x1?"), and ClusterFuzz takes no such
 * frame into a state; a panic of Rust and an exception of Java begin in the library: two bugs would be one. Here they are not.
 * Go's names have a path before them, those of older Rust compilers a hash behind. */
static void own_state(const struct crash *c, struct fuzz_verdict *v)
{
    char state[sizeof v->state] = "";
    size_t n = 0;
    int frames = 0;
    for (size_t i = 0; i < c->frame_count && frames < CRASH_STATE_FRAMES && n < sizeof state; i++) {
        if (!is_own(c, &c->frames[i]))
            continue;
        const char *f = c->frames[i].function, *slash = c->kind == CRASH_GO ? strrchr(f, '/') : NULL, *hash = strstr(f, "::h");
        while (hash && strspn(hash + 3, "0123456789abcdef") != 16)
            hash = strstr(hash + 3, "::h");
        f = slash ? slash + 1 : f;
        n += (size_t)snprintf(state + n, sizeof state - n, "%.*s\n", (int)(hash && hash - f < 150 ? hash - f : 150), f);
        frames++;
    }
    if (frames)
        snprintf(v->state, sizeof v->state, "%s", state);
}

/* A time-out, and memory that ran out, is the target's, wherever it was: as with other engines. */
static void go_state(const struct crash *c, const char *report, size_t len, struct fuzz_verdict *v)
{
    static const char *const spent[] = {"fatal error: runtime: out of memory", "fatal error: out of memory",
                                        "fatal error: runtime: cannot allocate memory"};
    for (size_t i = 0; i < ARRAY_LEN(spent); i++)
        if (memmem(report, len, spent[i], strlen(spent[i])))
            snprintf(v->type, sizeof v->type, "Out-of-memory");
    if (c->frame_count && strcmp(v->type, "Test failure") != 0 && strcmp(v->type, "Timeout") != 0)
        own_state(c, v);
}

/* What was thrown: "== Java Exception: java.lang.NumberFormatException: For input string", and Python's in the next line. Two
 * exceptions of one function are two bugs. */
static void read_thrown(const struct crash *c, const char *report, size_t len, struct fuzz_verdict *v)
{
    const char *head = c->kind == CRASH_JAVA ? "== Java Exception: " : "Uncaught Python exception: ===\n";
    const char *p = memmem(report, len, head, strlen(head)), *last = report + len;
    if (!p)
        return;
    p += strlen(head);
    const char *end = memchr(p, '\n', (size_t)(last - p));
    size_t n = (size_t)((end ? end : last) - p), class = strcspn(p, ": \r\n");
    class = class < n ? class : n;
    snprintf(v->reason, sizeof v->reason, "%.*s", (int)n, p);
    const char *dot = memrchr(p, '.', class);
    class -= dot ? (size_t)(dot + 1 - p) : 0;
    snprintf(v->thrown, sizeof v->thrown, "%.*s", (int)class, dot ? dot + 1 : p);
    clean(v->thrown, sizeof v->thrown);
}

/* A panic of Rust ends in abort(): how it began says more. */
static void panic_type(const struct crash *c, const struct fuzz_panic *p, struct fuzz_verdict *v)
{
    if (c->kind != CRASH_RUST && strcmp(c->type, "Abrt") != 0 && strcmp(c->type, "Fatal-signal") != 0)
        return;
    snprintf(v->type, sizeof v->type, "%s", p->type);
    snprintf(v->reason, sizeof v->reason, "a panic ends the program: %s", p->message);
    own_state(c, v);
    if (!v->line) {
        snprintf(v->file, sizeof v->file, "%s", p->file);
        v->line = p->line;
        v->column = p->column;
    }
}

static void take_type(struct fuzz_verdict *v, const char *type)
{
    snprintf(v->type, sizeof v->type, "%s", type);
    for (char *p = v->type; *p; p++)
        if (*p == '\n')
            *p = ' ';
}

/* A report may hold bytes of the target: names are cut to what is shown. */
int fuzz_verdict_read(const char *report, size_t len, const char *target, const char *fallback, struct fuzz_verdict *v,
                      struct err *err)
{
    struct crash_options o = {.target = target, .unsymbolized = len && !memmem(report, len, " in ", 4)};
    struct crash c;
    memset(v, 0, sizeof *v);
    int r = crash_parse(report, len, &o, &c, err);
    v->severity = SEVERITY_MEDIUM;
    if (r == 0 && c.kind != CRASH_NONE && c.type[0]) {
        take_type(v, c.type);
        snprintf(v->state, sizeof v->state, "%s", c.state);
        drop_drivers(v->state);
        snprintf(v->reason, sizeof v->reason, "%s", c.severity_reason);
        v->severity = c.severity;
        v->security = c.security;
        v->frames = json_array();
        for (size_t i = 0; i < c.frame_count && i < FRAMES_SHOWN; i++)
            json_array_append_new(v->frames, frame_json(&c, &c.frames[i]));
        find_place(&c, v);
        if (c.kind == CRASH_GO)
            go_state(&c, report, len, v);
        if (c.kind == CRASH_JAVA)
            own_state(&c, v);
        if ((c.kind == CRASH_JAVA || c.kind == CRASH_PYTHON) && strcmp(v->type, "Uncaught exception") == 0)
            read_thrown(&c, report, len, v);
        struct fuzz_panic panic;
        if (fuzz_panic_read(report, len, &panic))
            panic_type(&c, &panic, v);
    } else if (r == 0 && fallback) {
        take_type(v, fallback);
        if (strcmp(fallback, "Timeout") == 0 || strcmp(fallback, "Out-of-memory") == 0) { /* as those have it that tell it */
            v->severity = SEVERITY_LOW;
            snprintf(v->state, sizeof v->state, "%s\n", target ? target : "NULL");
        }
        snprintf(v->reason, sizeof v->reason, "the engine says so; the target printed no report");
    }
    crash_release(&c);
    clean(v->type, sizeof v->type);
    clean(v->state, sizeof v->state);
    clean(v->file, sizeof v->file);
    clean(v->reason, sizeof v->reason);
    const char *nl = strchr(v->state, '\n');
    bool named = nl && strncmp(v->state, "NULL", 4) != 0;
    snprintf(v->title, sizeof v->title, "%.80s%s%.50s%s%.*s", v->type, v->thrown[0] ? " " : "", v->thrown, named ? " in " : "",
             named ? (int)(nl - v->state) : 0, v->state);
    clean(v->title, sizeof v->title);
    return r;
}
