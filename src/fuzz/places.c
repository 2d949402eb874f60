#include "fuzz/places.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "codec/utf8.h"
#include "os/file.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define SOURCE_BYTES_MAX ((size_t)8 << 20)
#define SOURCE_LINE_MAX 240

/* In place: without ".", "..", and empty parts. What leads out of a relative path stays as it is. */
static void resolve(char *path)
{
    char *const start = path + (path[0] == '/');
    char *to = start;
    for (const char *p = start; *p;) {
        size_t n = strcspn(p, "/");
        bool up = n == 2 && p[0] == '.' && p[1] == '.', same = n == 0 || (n == 1 && p[0] == '.');
        char *last = to > start ? memrchr(start, '/', (size_t)(to - start)) : NULL;
        char *before = last ? last + 1 : start;
        bool out = to == start || (to - before == 2 && memcmp(before, "..", 2) == 0);
        if (up && !out) {
            to = last ? last : start;
        } else if (!same && !(up && path[0] == '/')) {
            if (to > start)
                *to++ = '/';
            memmove(to, p, n);
            to += n;
        }
        p += n + (p[n] == '/');
    }
    *to = 0;
}

/* Of a resolved path. */
static const char *below(const struct fuzz_places *p, const char *path)
{
    size_t n = p->workspace ? strlen(p->workspace) : 0, m = strlen(p->scratch);
    if (n && strncmp(path, p->workspace, n) == 0 && path[n] == '/')
        return path + n + 1;
    bool built = strncmp(path, p->scratch, m) == 0 && strncmp(path + m, "/b/", 3) == 0;
    const char *in = built ? strchr(path + m + 3, '/') : NULL; /* behind the engine's name */
    return in && (strncmp(in, "/src/", 5) == 0 || strncmp(in, "/out/", 5) == 0) ? in + 5 : NULL;
}

char *fuzz_place(const struct fuzz_places *p, const char *path)
{
    _cleanup_free_ char *whole = mem_strdup(path);
    if (!whole)
        return NULL;
    resolve(whole);
    const char *in = whole[0] != '/' && strncmp(whole, "..", 2) != 0 ? whole : below(p, whole);
    return in && *in ? mem_strdup(in) : NULL;
}

/* How much of the text is a path: reports have "FILE:LINE", "(FILE+0x12)", "FILE" in quotes. */
static size_t path_length(const char *text)
{
    size_t n = 0;
    while (text[n] && !strchr(" \t\r\n:()\"'`,;<>", text[n]) && strncmp(text + n, "+0x", 3) != 0)
        n++;
    return n;
}

char *fuzz_places_in(const struct fuzz_places *p, const char *report)
{
    struct strbuf out = STRBUF_INIT;
    _cleanup_free_ char *root = mem_printf("%s/b/", p->scratch);
    for (const char *hit = root ? strstr(report, root) : NULL; hit; hit = strstr(report, root)) {
        size_t n = path_length(hit);
        _cleanup_free_ char *path = mem_strndup(hit, n), *in = path ? fuzz_place(p, path) : NULL;
        strbuf_append(&out, report, (size_t)(hit - report));
        strbuf_puts(&out, in ? in : path ? path : "");
        report = hit + n;
    }
    strbuf_puts(&out, report);
    if (root && strbuf_check(&out, NULL) == 0)
        return strbuf_take(&out, NULL);
    strbuf_release(&out);
    return NULL;
}

char *fuzz_source_line(const struct fuzz_places *p, const char *path, int line)
{
    _cleanup_free_ char *file = p->workspace && path && line > 0 ? os_path_join(p->workspace, path) : NULL, *text = NULL;
    size_t len;
    struct err err = {0};
    if (!file || os_read_file(file, SOURCE_BYTES_MAX, &text, &len, &err) < 0)
        return NULL;
    const char *at = text;
    for (int i = 1; i < line && at; i++)
        if ((at = strchr(at, '\n')))
            at++;
    if (!at)
        return NULL;
    at += strspn(at, " \t");
    size_t n = utf8_cut(at, strcspn(at, "\n"), SOURCE_LINE_MAX);
    while (n && strchr(" \t\r", at[n - 1]))
        n--;
    struct strbuf b = STRBUF_INIT_MAX((size_t)4 * SOURCE_LINE_MAX);
    utf8_append_clean(&b, at, n);
    return n && !b.failed ? b.s : (strbuf_release(&b), NULL);
}
