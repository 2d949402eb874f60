/* walk_tree(), globs and paths. */
#include "base/cleanup.h"
#include "base/mem.h"
#include "os/fault.h"
#include "os/file.h"
#include "scan/walk.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

struct seen {
    struct strbuf log, problems;
    const char *skip; /* do not go into folders of this name */
    size_t bytes_read;
};

static int on_entry(const struct walk_entry *e, void *arg, struct err *err)
{
    struct seen *s = arg;
    if (e->kind != WALK_DIR) {
        walk_show_path(&s->log, e->path);
        if (e->kind != WALK_FILE)
            strbuf_putc(&s->log, e->kind == WALK_SYMLINK ? '@' : '?');
        if (e->ignored_by)
            strbuf_printf(&s->log, "<%s>", e->ignored_by);
        strbuf_putc(&s->log, '\n');
    }
    if (e->kind == WALK_FILE) {
        _cleanup_free_ char *text = NULL;
        size_t n;
        struct err why = {0};
        int r = walk_read(e, 1 << 20, &text, &n, &why);
        if (r == -ERR_NO_MEMORY)
            return err_copy(err, &why);
        if (r == 0)
            s->bytes_read += n;
    }
    return e->kind == WALK_DIR && s->skip && strcmp(e->name, s->skip) == 0 ? WALK_SKIP : 0;
}

static void on_problem(const char *path, const struct err *why, void *arg)
{
    struct seen *s = arg;
    strbuf_printf(&s->problems, "%s: %s\n", path, why->msg);
}

static char *dir;

static int setup(void **state)
{
    return os_temp_dir("/tmp", "ff-walk-", &dir, NULL);
}

static int teardown(void **state)
{
    int r = os_remove_tree(dir, NULL);
    free(dir);
    return r;
}

static void put(const char *path, const char *text)
{
    _cleanup_free_ char *full = mem_printf("%s/%s", dir, path);
    char *slash = strrchr(full, '/');
    *slash = 0;
    assert_int_equal(os_mkdirs(full, 0755, NULL), 0);
    *slash = '/';
    int fd = open(full, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(os_write_full(fd, text, strlen(text), NULL), 0);
    close(fd);
}

static void seen_release(struct seen *s)
{
    strbuf_release(&s->log);
    strbuf_release(&s->problems);
}

static void expect(struct walk_options *o, const char *skip, const char *log, const char *problems)
{
    struct seen s = {.log = STRBUF_INIT, .problems = STRBUF_INIT, .skip = skip};
    struct err err = {0};
    o->entry = on_entry;
    o->problem = on_problem;
    o->arg = &s;
    assert_int_equal(walk_tree(dir, o, NULL, &err), 0);
    assert_string_equal(strbuf_str(&s.log), log);
    assert_string_equal(strbuf_str(&s.problems), problems);
    seen_release(&s);
}

static void visits_in_path_order_and_follows_nothing(void **state)
{
    put("b.c", "x");
    put("a/z", "x");
    put("a.txt", "x");
    put("a/\xff\xc3\xa4", "x");
    _cleanup_free_ char *link = mem_printf("%s/out", dir), *fifo = mem_printf("%s/pipe", dir);
    assert_int_equal(symlink("/etc", link), 0);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    struct walk_options o = {0};
    expect(&o, NULL, "a.txt\na/z\na/%FF\xc3\xa4\nb.c\nout@\npipe?\n", "");
    expect(&o, "a", "a.txt\nb.c\nout@\npipe?\n", "");
}

static void obeys_ignore_files(void **state)
{
    put(".ffignore", "# tests\n*.min.js\n/build/\ndocs/**/*.py\n!keep.min.js\r\n");
    put("sub/.ffignore", "local\n/only\n");
    put("x.min.js", "");
    put("keep.min.js", "");
    put("build/deep/a.c", "");
    put("src/build", "");
    put("docs/a/b/c.py", "");
    put("docs/c.py", "");
    put("sub/local/q", "");
    put("sub/in/only", "");
    put("sub/only", "");
    put("local", "");
    struct walk_options o = {0};
    expect(&o, NULL,
           ".ffignore\nbuild/deep/a.c</build/>\ndocs/a/b/c.py<docs/**/*.py>\n"
           "docs/c.py<docs/**/*.py>\nkeep.min.js\nlocal\nsrc/build\nsub/.ffignore\nsub/in/only\n"
           "sub/local/q<local>\nsub/only</only>\nx.min.js<*.min.js>\n", "");
    o.no_ignore = true;
    expect(&o, "docs",
           ".ffignore\nbuild/deep/a.c\nkeep.min.js\nlocal\nsrc/build\nsub/.ffignore\nsub/in/only\n"
           "sub/local/q\nsub/only\nx.min.js\n", "");
}

static void names_what_is_beyond_its_bounds(void **state)
{
    put("a/b/c/d", "");
    put("a/e", "");
    put("f", "");
    struct walk_options o = {.depth_max = 2};
    expect(&o, NULL, "a/e\nf\n", "a/b/c: more than 2 folders deep\n");
    o = (struct walk_options){.entries_max = 3};
    struct seen s = {.log = STRBUF_INIT, .problems = STRBUF_INIT};
    o.entry = on_entry;
    o.problem = on_problem;
    o.arg = &s;
    struct walk_stats st;
    assert_int_equal(walk_tree(dir, &o, &st, NULL), 0);
    assert_int_equal(st.problems, 1);
    assert_int_equal(st.files + st.dirs, 3);
    assert_non_null(strstr(strbuf_str(&s.problems), "more than 3 entries"));
    seen_release(&s);
    struct err err = {0};
    assert_int_equal(walk_tree("/nonexistent/x", &o, NULL, &err), -ERR_NOT_FOUND);
}

static int count_fds(void)
{
    int n = 0;
    for (int i = 0; i < 256; i++)
        n += fcntl(i, F_GETFD) >= 0;
    return n;
}

struct deep {
    int files, most_fds;
};

static int on_deep(const struct walk_entry *e, void *arg, struct err *err)
{
    struct deep *d = arg;
    int fd;
    if (e->kind == WALK_FILE) {
        assert_int_equal(walk_open(e, &fd, NULL, err), 0);
        close(fd);
        d->files++;
    }
    int fds = count_fds();
    if (fds > d->most_fds)
        d->most_fds = fds;
    return 0;
}

static void goes_500_deep_with_few_descriptors(void **state)
{
    struct strbuf p = STRBUF_INIT;
    for (int i = 0; i < 500; i++) {
        strbuf_puts(&p, "d/");
        if (i % 50 == 49) {
            _cleanup_free_ char *f = mem_printf("%sa", strbuf_str(&p));
            put(f, "");
            _cleanup_free_ char *g = mem_printf("%sz", strbuf_str(&p)); /* after the folder d */
            put(g, "");
        }
    }
    strbuf_release(&p);
    int before = count_fds();
    struct deep d = {0};
    struct walk_stats st;
    struct walk_options o = {.entry = on_deep, .arg = &d};
    assert_int_equal(walk_tree(dir, &o, &st, NULL), 0);
    assert_int_equal(d.files, 20);
    assert_int_equal(st.dirs, 500);
    assert_int_equal(st.problems, 0);
    assert_true(d.most_fds - before < 60);
    assert_int_equal(count_fds(), before);
}

static void survives_each_failing_call(void **state)
{
    put("a/b/f", "text");
    put(".ffignore", "b\n");
    put("g", "text");
    int before = count_fds();
    int hits = 0;
    for (int kind = 0; kind < 2; kind++) {
        for (long n = 1;; n++) {
            struct seen s = {.log = STRBUF_INIT, .problems = STRBUF_INIT};
            struct walk_options o = {.entry = on_entry, .problem = on_problem, .arg = &s};
            struct walk_stats st = {0};
            if (kind)
                mem_fault_set(n, 0);
            else
                os_fault_set(n, EIO, false, NULL);
            int r = walk_tree(dir, &o, &st, NULL);
            bool hit = kind ? mem_fault_hit() : os_fault_hit();
            mem_fault_set(0, 0);
            os_fault_set(0, 0, false, NULL);
            assert_int_equal(count_fds(), before);
            bool complete = r == 0 && st.problems == 0 && st.files == 3 && s.bytes_read == 10;
            seen_release(&s);
            if (!hit) {
                assert_true(complete);
                break;
            }
            /* Nothing is lost silently: an error, a problem, or the file that could not be read. An allocation of the
             * test's own log may fail as well. */
            if (!kind)
                assert_false(complete);
            hits++;
        }
    }
    assert_true(hits > 20);
}

static void globs(void **state)
{
    static const struct {
        const char *glob, *path;
        bool match;
    } cases[] = {
        {"*.py", "a.py", true},       {"*.py", "d/a.py", false},    {"**/*.py", "a.py", true},
        {"**/*.py", "d/e/a.py", true}, {"a/**", "a/b/c", true},     {"a/**/c", "a/c", true},
        {"a/**/c", "a/b/d/c", true},  {"a/**/c", "a/bc", false},    {"?", "/", false},
        {"[a-c]x", "bx", true},       {"[!a-c]x", "bx", false},     {"[]]", "]", true},
        {"[x", "[x", true},           {"\\*", "*", true},           {"\\*", "a", false},
        {"", "", true},               {"*", "", true},              {"a*b*c", "aXbYc", true},
        {"a*b*c", "aXbY", false},     {"*a/b", "xa/b", true},       {"**", "a/b", true},
        {"x**y", "x/a/y", true},      {"a/*/c", "a/b/c", true},     {"a/*/c", "a/b/b/c", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        if (walk_glob(cases[i].glob, cases[i].path) != cases[i].match)
            fail_msg("%s on %s", cases[i].glob, cases[i].path);
    assert_true(walk_glob_any("*.py", "d/a.py"));
    assert_true(walk_glob_any("/d/*.py", "d/a.py"));
    assert_false(walk_glob_any("d/*.py", "x/d/a.py"));
    char glob[200], path[4000];
    memset(path, 'a', sizeof path - 1);
    path[sizeof path - 1] = 0;
    for (size_t i = 0; i < sizeof glob - 3; i += 3)
        memcpy(glob + i, "**a", 3);
    strcpy(glob + 195, "*b");
    assert_false(walk_glob(glob, path));
}

static void shows_paths(void **state)
{
    static const char *const cases[][2] = {
        {"a/\xc3\xa4", "a/\xc3\xa4"},       {"\xff\xfe", "%FF%FE"}, {"\xc3", "%C3"},
        {"\xed\xa0\x80", "%ED%A0%80"},      {"\xc0\xaf", "%C0%AF"}, {"\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80"},
        {"\xf4\x90\x80\x80", "%F4%90%80%80"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct strbuf b = STRBUF_INIT;
        walk_show_path(&b, cases[i][0]);
        assert_string_equal(strbuf_str(&b), cases[i][1]);
        strbuf_release(&b);
    }
}

static void tells_binaries(void **state)
{
    assert_false(walk_is_binary("", 0));
    assert_false(walk_is_binary("int main\n\t\xc3\xa4", 12));
    assert_true(walk_is_binary("ab\0c", 4));
    assert_true(walk_is_binary("\1\2\3\4abc", 7));
    assert_false(walk_is_binary("\xff\xfe" "a\0b\0", 6));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(visits_in_path_order_and_follows_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(obeys_ignore_files, setup, teardown),
        cmocka_unit_test_setup_teardown(names_what_is_beyond_its_bounds, setup, teardown),
        cmocka_unit_test_setup_teardown(goes_500_deep_with_few_descriptors, setup, teardown),
        cmocka_unit_test_setup_teardown(survives_each_failing_call, setup, teardown),
        cmocka_unit_test(globs),
        cmocka_unit_test(shows_paths),
        cmocka_unit_test(tells_binaries),
    };
    return cmocka_run_group_tests_name("walk", tests, NULL, NULL);
}
