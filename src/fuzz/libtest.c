#include "fuzz/libtest.h"

#include "base/cleanup.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool begins(const char *text, size_t len, const char *with)
{
    size_t n = strlen(with);
    return len >= n && memcmp(text, with, n) == 0;
}

static bool ends(const char *text, size_t len, const char *with)
{
    size_t n = strlen(with);
    return len >= n && memcmp(text + len - n, with, n) == 0;
}

void libtest_release(struct libtest *t)
{
    VEC_EACH(&t->failures, f) {
        free(f->project);
        free(f->suite);
        free(f->name);
        strbuf_release(&f->output);
    }
    VEC_RELEASE(&t->failures);
}

void libtest_project(struct libtest *t, const char *dir, size_t len)
{
    snprintf(t->project, sizeof t->project, "%.*s", (int)len, dir);
    t->suite_first = t->failures.len;
    t->current = 0;
}

/* Of this suite: its index + 1; 0: it is not there. */
static size_t known(const struct libtest *t, const char *name, size_t len)
{
    for (size_t i = t->suite_first; i < t->failures.len; i++) {
        const char *other = t->failures.v[i].name;
        if (other && strlen(other) == len && memcmp(other, name, len) == 0)
            return i + 1;
    }
    return 0;
}

/* Its index + 1; 0: there is no room for more. name may be NULL. */
static size_t failure(struct libtest *t, const char *name, size_t len)
{
    size_t there = name ? known(t, name, len) : 0;
    if (there)
        return there;
    if (t->failures.len >= LIBTEST_FAILURES_MAX)
        return 0;
    struct libtest_failure f = {.project = mem_strdup(t->project), .suite = mem_strdup(t->suite),
                                .name = name ? mem_strndup(name, len) : NULL};
    strbuf_init(&f.output, LIBTEST_OUTPUT_MAX);
    if (f.project && f.suite && (f.name || !name) && VEC_PUSH(&t->failures, f))
        return t->failures.len;
    t->no_memory = true;
    free(f.project);
    free(f.suite);
    free(f.name);
    return 0;
}

/* "     Running unittests src/lib.rs (target/debug/deps/x-1)", "     Running tests/api.rs (...)", "   Doc-tests x" */
static bool read_suite(struct libtest *t, const char *text, size_t len)
{
    const char *p = text;
    while (len && *p == ' ') {
        p++;
        len--;
    }
    if (p == text)
        return false;
    if (begins(p, len, "Running ")) {
        const char *paren = memmem(p, len, " (", 2);
        p += 8;
        len = paren ? (size_t)(paren - p) : len - 8;
        if (begins(p, len, "unittests ")) {
            p += 10;
            len -= 10;
        }
    } else if (!begins(p, len, "Doc-tests ")) {
        return false;
    }
    snprintf(t->suite, sizeof t->suite, "%.*s", (int)len, p);
    t->suite_first = t->failures.len;
    t->current = 0;
    return true;
}

/* "test a::b ... FAILED", "test a::b - should panic ... FAILED"; something may be printed between. */
static bool read_test(struct libtest *t, const char *text, size_t len)
{
    const char *dots = begins(text, len, "test ") ? memmem(text, len, " ... ", 5) : NULL;
    if (!dots)
        return false;
    size_t n = (size_t)(dots - text - 5);
    if (ends(text + 5, n, " - should panic"))
        n -= 15;
    bool failed = ends(text, len, "FAILED");
    size_t i = failed ? failure(t, text + 5, n) : known(t, text + 5, n);
    if (i) {
        t->failures.v[i - 1].runs = false;
        t->failures.v[i - 1].passed = !failed;
    }
    return true;
}

/* "test a::b has been running for over 60 seconds" */
static bool read_long(struct libtest *t, const char *text, size_t len)
{
    const char *says = begins(text, len, "test ") ? memmem(text, len, " has been running for over ", 27) : NULL;
    if (!says || !ends(text, len, " seconds"))
        return false;
    size_t i = failure(t, text + 5, (size_t)(says - text - 5));
    if (i)
        t->failures.v[i - 1].runs = true;
    return true;
}

/* "test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s" */
static bool read_result(struct libtest *t, const char *text, size_t len)
{
    static const char begin[] = "test result: ";
    unsigned passed, failed, ignored;
    char line[200];
    if (!begins(text, len, begin))
        return false;
    snprintf(line, sizeof line, "%.*s", (int)len, text);
    const char *numbers = strstr(line, ". ");
    if (numbers && sscanf(numbers, ". %9u passed; %9u failed; %9u ignored", &passed, &failed, &ignored) == 3) {
        t->passed += passed;
        t->failed += failed;
        t->ignored += ignored;
    }
    t->current = 0;
    return true;
}

/* "  process didn't exit successfully: `/x/deps/records-1` (signal: 6, SIGABRT: process abort signal)", in cargo's words. */
static bool read_end(struct libtest *t, const char *text, size_t len)
{
    const char *sig = begins(text, len, "  process didn't exit successfully: `") ? memmem(text, len, "(signal: ", 9) : NULL;
    if (!sig)
        return false;
    t->crashed++;
    size_t i = failure(t, NULL, 0);
    if (i)
        strbuf_append(&t->failures.v[i - 1].output, sig + 1, len - (size_t)(sig + 1 - text) - (text[len - 1] == ')'));
    t->current = 0;
    return true;
}

/* "---- a::b stdout ----" */
static bool read_head(struct libtest *t, const char *text, size_t len)
{
    static const char tail[] = " stdout ----";
    if (!begins(text, len, "---- ") || !ends(text, len, tail) || len < 5 + sizeof tail)
        return false;
    t->current = failure(t, text + 5, len - 5 - (sizeof tail - 1));
    return true;
}

void libtest_line(struct libtest *t, const char *text, size_t len)
{
    unsigned n;
    char line[40];
    if (read_suite(t, text, len) || read_head(t, text, len) || read_result(t, text, len) || read_end(t, text, len))
        return;
    if (len == 9 && memcmp(text, "failures:", 9) == 0) {
        t->current = 0;
        return;
    }
    if (t->current) {
        struct strbuf *out = &t->failures.v[t->current - 1].output;
        size_t room = LIBTEST_OUTPUT_MAX - out->len;
        if (len < room) { /* what does not fit is left out */
            strbuf_append(out, text, len);
            strbuf_putc(out, '\n');
        }
        return;
    }
    if (read_test(t, text, len) || read_long(t, text, len))
        return;
    snprintf(line, sizeof line, "%.*s", (int)(len < sizeof line ? len : sizeof line - 1), text);
    if (sscanf(line, "running %9u test", &n) == 1)
        t->planned += n;
}
