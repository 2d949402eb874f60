/* Folders and single files into the store, and out of it as workspaces. */
#include "fixture.h"

#include "store/workspace.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static void make_dir(struct fixture *f, const char *path)
{
    _cleanup_free_ char *p = os_path_join(f->target, path);
    assert_ok(os_mkdirs(p, 0755, err));
}

static void make_link(struct fixture *f, const char *path, const char *target)
{
    _cleanup_free_ char *p = os_path_join(f->target, path);
    assert_int_equal(symlink(target, p), 0);
}

static void test_odd_things(void **state)
{
    struct fixture *f = *state;
    make_dir(f, "src/deep");
    make_dir(f, ".git/objects");
    make_dir(f, "sub/.fuzzforge");
    lab_write(f->target, "src/a.c", "int a;\n", 7);
    lab_write(f->target, "src/deep/b.c", "int b;\n", 7);
    lab_write(f->target, ".git/objects/x", "x", 1);
    lab_write(f->target, "\xff\xfe name", "y", 1);
    lab_write(f->target, "run.sh", "#!/bin/sh\n", 10);
    _cleanup_free_ char *sh = os_path_join(f->target, "run.sh"), *fifo = os_path_join(f->target, "fifo");
    chmod(sh, 0755);
    mkfifo(fifo, 0644);
    lab_write(f->dir, "secret", "secret", 6);
    make_link(f, "in", "src/a.c");
    make_link(f, "src/deep/up", "../../run.sh");
    make_link(f, "loop", ".");
    make_link(f, "abs", "/etc/passwd");
    make_link(f, "out", "../secret");
    make_link(f, "src/out", "../../secret");
    make_link(f, "through", "loop/../../secret");
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    snprintf(addr.sun_path, sizeof addr.sun_path, "%s/socket", f->target);
    int sock = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(sock, (struct sockaddr *)&addr, sizeof addr), 0);
    close(sock);

    take(f, f->target);
    assert_string_equal(f->res.kind, "folder");
    assert_string_equal(f->res.name, "target");
    assert_false(f->res.incomplete);
    assert_int_equal(f->res.files, 4);
    assert_int_equal(f->res.filtered, 2);
    static const char *const skipped[] = {"fifo", "socket", "abs", "out", "src/out", "through"};
    for (size_t i = 0; i < ARRAY_LEN(skipped); i++)
        assert_notice(f, skipped[i], INGEST_SKIPPED);
    assert_notice(f, ".git", INGEST_FILTERED);
    struct tree *t;
    assert_ok(tree_open(f->s, f->res.tree.text, &t, err));
    for (size_t i = 0; i < ARRAY_LEN(skipped); i++)
        assert_null(entry(t, skipped[i]));
    assert_null(entry(t, ".git"));
    assert_non_null(entry(t, "\xff\xfe name"));
    assert_true(entry(t, "run.sh")->executable);
    assert_false(entry(t, "src/a.c")->executable);
    assert_string_equal(entry(t, "loop")->link, ".");
    assert_string_equal(entry(t, "src/deep/up")->link, "../../run.sh");
    assert_int_equal(entry(t, "src/deep/b.c")->size_bytes, 7);
    tree_free(t);
}

static void test_single(void **state)
{
    struct fixture *f = *state;
    lab_write(f->target, "one.py", "eval(x)\n", 8);
    _cleanup_free_ char *p = os_path_join(f->target, "one.py");
    take(f, p);
    assert_string_equal(f->res.kind, "file");
    assert_string_equal(f->res.name, "one.py");
    assert_int_equal(f->res.files, 1);
    struct tree *t;
    _cleanup_free_ char *got = NULL;
    assert_ok(tree_open(f->s, f->res.tree.text, &t, err));
    assert_ok(tree_read_file(t, "one.py", 100, &got, NULL, err));
    assert_string_equal(got, "eval(x)\n");
    tree_free(t);
    struct err e = {0};
    struct ingest_result res;
    assert_int_equal(ingest(f->s, "/nowhere/at/all", &f->o, &res, &e), -ERR_NOT_FOUND);
    assert_non_null(strstr(e.msg, "/nowhere/at/all"));
    assert_true(ingest(f->s, "/dev/null", &f->o, &res, &e) < 0);
}

static void test_deep(void **state)
{
    struct fixture *f = *state;
    int at = open(f->target, O_RDONLY | O_DIRECTORY);
    for (int i = 0; i < 520; i++) {
        if (i == 500) {
            int fd = openat(at, "found", O_WRONLY | O_CREAT, 0644);
            assert_int_equal(write(fd, "deep", 4), 4);
            close(fd);
        }
        assert_int_equal(mkdirat(at, "dddd", 0755), 0);
        int next = openat(at, "dddd", O_RDONLY | O_DIRECTORY);
        close(at);
        at = next;
    }
    int fd = openat(at, "too_deep", O_WRONLY | O_CREAT, 0644);
    close(fd);
    close(at);
    take(f, f->target); /* the first upload opens the session of the process */
    int fds = lab_open_fds();
    take(f, f->target);
    assert_int_equal(lab_open_fds(), fds);
    assert_true(f->res.incomplete);
    assert_int_equal(f->res.files, 1);
    assert_int_equal(f->res.notices[0].kind, INGEST_BOUND);

    struct workspaces *w;
    struct workspace *ws;
    _cleanup_free_ char *cache = os_path_join(f->dir, "cache");
    struct workspaces_options wo = {.dir = cache};
    assert_ok(workspaces_open(f->s, &wo, &w, err));
    assert_ok(workspace_acquire(w, f->res.tree.text, ISOLATION_ISOLATED, "k", &ws, err));
    at = open(workspace_lower(ws), O_RDONLY | O_DIRECTORY);
    for (int i = 0; i < 500; i++) {
        int next = openat(at, "dddd", O_RDONLY | O_DIRECTORY);
        assert_true(next >= 0);
        close(at);
        at = next;
    }
    assert_int_equal(faccessat(at, "found", R_OK, 0), 0);
    close(at);
    workspace_release(ws);
    assert_ok(workspaces_forget(w, "k", err));
    workspaces_free(w);
}

static void test_bounds(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 30; i++) {
        char name[16];
        snprintf(name, sizeof name, "f%02d", i);
        lab_write(f->target, name, "0123456789", 10);
    }
    f->o.limits.entries_max = 12;
    take(f, f->target);
    assert_true(f->res.incomplete);
    assert_int_equal(f->res.files, 12);
    f->o.limits = (struct ingest_limits){.total_bytes_max = 55};
    take(f, f->target);
    assert_true(f->res.incomplete);
    assert_int_equal(f->res.files, 5);
    assert_int_equal(f->res.bytes, 50);
    f->o.limits = (struct ingest_limits){0};
    take(f, f->target);
    assert_false(f->res.incomplete);
    assert_int_equal(f->res.files, 30);
}

static void test_unreadable(void **state)
{
    struct fixture *f = *state;
    make_dir(f, "closed/inner");
    lab_write(f->target, "open.c", "1", 1);
    lab_write(f->target, "secret.c", "2", 1);
    _cleanup_free_ char *file = os_path_join(f->target, "secret.c"), *dir = os_path_join(f->target, "closed");
    chmod(f->dir, 0755);
    chmod(file, 0);
    chmod(dir, 0);
    struct store *s;
    assert_ok(store_open_memory(&s, err));
    bool root = geteuid() == 0; /* who may read everything */
    if (root)
        assert_int_equal(seteuid(65534), 0);
    int r = ingest(s, f->target, &f->o, &f->res, NULL);
    if (root)
        assert_int_equal(seteuid(0), 0);
    chmod(dir, 0755);
    store_free(s);
    assert_int_equal(r, 0);
    assert_true(f->res.incomplete);
    assert_int_equal(f->res.files, 1);
    assert_notice(f, "secret.c", INGEST_UNREADABLE);
    assert_notice(f, "closed", INGEST_UNREADABLE);
}

static bool yes(void *arg)
{
    return true;
}

static void test_cancel(void **state)
{
    struct fixture *f = *state;
    lab_write(f->target, "a", "a", 1);
    struct ingest_result res;
    f->o.cancelled = yes;
    assert_int_equal(ingest(f->s, f->target, &f->o, &res, NULL), -ERR_CANCELLED);
}

/* The same folder gives the same tree, whatever its times and place. */
static void test_stable(void **state)
{
    struct fixture *f = *state;
    make_dir(f, "a/b");
    make_dir(f, "a-b");
    lab_write(f->target, "a/b/c", "1", 1);
    lab_write(f->target, "a-b/c", "2", 1);
    take(f, f->target);
    struct store_ref first = f->res.tree;
    _cleanup_free_ char *moved = os_path_join(f->dir, "moved");
    assert_int_equal(rename(f->target, moved), 0);
    take(f, moved);
    assert_string_equal(first.text, f->res.tree.text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_odd_things), CASE(test_unreadable), CASE(test_single), CASE(test_deep),
        CASE(test_bounds),     CASE(test_cancel), CASE(test_stable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
