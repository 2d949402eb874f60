#include "fuzz/harness.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "os/file.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define FILE_MAX ((size_t)1 << 20)
#define FILES_MAX 100000
#define DEPTH_MAX 32

static const struct kind {
    const char *suffix, *mark, *language;
} kinds[] = {
    {".c", "LLVMFuzzerTestOneInput", "c"},      {".cc", "LLVMFuzzerTestOneInput", "c++"},
    {".cpp", "LLVMFuzzerTestOneInput", "c++"},  {".cxx", "LLVMFuzzerTestOneInput", "c++"},
    {".rs", "fuzz_target!", "rust"},            {".py", "TestOneInput", "python"},
    {".java", "fuzzerTestOneInput", "java"},    {"_test.go", "func Fuzz", "go"},
};

struct finder {
    fuzz_harness_list *list;
    size_t files;
};

void fuzz_harness_release(fuzz_harness_list *l)
{
    VEC_EACH(l, h) {
        free(h->file);
        free(h->name);
    }
    VEC_RELEASE(l);
}

bool fuzz_harness_native(const struct fuzz_harness *h)
{
    return h->language[0] == 'c';
}

static bool ends(const char *s, const char *suffix)
{
    size_t n = strlen(s), m = strlen(suffix);
    return n > m && strcmp(s + n - m, suffix) == 0;
}

static bool add(struct finder *f, const struct kind *k, const char *rel, const char *name, size_t n)
{
    struct fuzz_harness h = {.file = mem_strdup(rel), .name = mem_strndup(name, n), .language = k->language};
    if (h.file && h.name && VEC_PUSH(f->list, h))
        return true;
    free(h.file);
    free(h.name);
    return false;
}

/* Each "func FuzzXxx(f *testing.F)". */
static bool add_go(struct finder *f, const struct kind *k, const char *rel, const char *text)
{
    for (const char *p = text; (p = strstr(p, "func Fuzz")); p += 9) {
        size_t n = strcspn(p + 5, "( \t\n");
        if (p[5 + n] == '(' && strstr(p, "testing.F") && !add(f, k, rel, p + 5, n))
            return false;
    }
    return true;
}

/* "fuzz_target!" or "libfuzzer_sys::fuzz_target!". */
static bool begins_line(const char *text, const char *mark)
{
    for (const char *at = strstr(text, mark); at; at = strstr(at + 1, mark)) {
        const char *line = at;
        while (line > text && (isalnum(line[-1] & 255) || (line[-1] && strchr(" \t:_", line[-1]))))
            line--;
        if (line == text || line[-1] == '\n')
            return true;
    }
    return false;
}

/* "NAME(...) {": the body follows the parameters; after a call or a declaration it does not. */
static bool defines(const char *text, const char *name)
{
    for (const char *p = text; (p = strstr(p, name));) {
        p += strlen(name);
        p += strspn(p, " \t\r\n");
        if (*p != '(')
            continue;
        p += strcspn(p, ");{");
        if (*p == ')' && p[1 + strspn(p + 1, " \t\r\n")] == '{')
            return true;
    }
    return false;
}

/* A definition, not a mention: Python's has to be set up for atheris, Rust's begins its line. */
static bool is_harness(const struct kind *k, const char *text)
{
    if (strcmp(k->language, "rust") == 0)
        return begins_line(text, k->mark);
    if (k->language[0] == 'c')
        return defines(text, k->mark);
    return strstr(text, k->mark) && (strcmp(k->language, "python") != 0 || strstr(text, "atheris"));
}

static bool look(struct finder *f, const char *path, const char *rel)
{
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if (!ends(rel, kinds[i].suffix) || f->files++ >= FILES_MAX) /* a corpus is no source, and may be large */
            continue;
        _cleanup_free_ char *text = NULL;
        if (os_read_file(path, FILE_MAX, &text, NULL, NULL) < 0 || !is_harness(&kinds[i], text))
            continue;
        if (strcmp(kinds[i].language, "go") == 0)
            return add_go(f, &kinds[i], rel, text);
        const char *slash = strrchr(rel, '/'), *base = slash ? slash + 1 : rel;
        return add(f, &kinds[i], rel, base, strlen(base) - strlen(kinds[i].suffix));
    }
    return true;
}

static bool passed_over(const char *name)
{
    static const char *const others[] = {"node_modules", "target", "vendor", "thirdparty", "third_party", "3rdparty"};
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        if (strcmp(name, others[i]) == 0)
            return true;
    return name[0] == '.';
}

static int walk(struct finder *f, const char *dir, const char *rel, int depth, struct err *err)
{
    DIR *d = depth < DEPTH_MAX ? opendir(dir) : NULL;
    int r = 0;
    for (struct dirent *e; d && r == 0 && (e = readdir(d));) {
        struct stat st;
        if (passed_over(e->d_name) || fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
            continue;
        _cleanup_free_ char *path = os_path_join(dir, e->d_name);
        _cleanup_free_ char *below = *rel ? os_path_join(rel, e->d_name) : mem_strdup(e->d_name);
        if (!path || !below)
            r = err_nomem(err);
        else if (S_ISDIR(st.st_mode))
            r = walk(f, path, below, depth + 1, err);
        else if (S_ISREG(st.st_mode) && !look(f, path, below))
            r = err_nomem(err);
    }
    if (d)
        closedir(d);
    return r;
}

static int by_file(const void *pa, const void *pb)
{
    const struct fuzz_harness *a = pa, *b = pb;
    int c = strcmp(a->file, b->file);
    return c ? c : strcmp(a->name, b->name);
}

int fuzz_harness_find(const char *tree, fuzz_harness_list *ret, struct err *err)
{
    struct finder f = {.list = ret};
    int r = walk(&f, tree, "", 0, err);
    if (r == 0 && ret->len)
        qsort(ret->v, ret->len, sizeof *ret->v, by_file);
    return r;
}
