/* Workspaces: each isolation mode against what tries to break it. */
#include "lab.h"

#include "base/units.h"
#include "os/clock.h"
#include "store/layout.h"
#include "store/workspace.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

struct fixture {
    char *dir, *cache;
    struct store *s;
    struct workspaces *w;
    struct workspaces_options o;
    struct store_ref tree;
};

static struct store_ref make_tree(struct store *s, const char *content)
{
    struct tree_builder *b;
    struct store_ref ref;
    assert_ok(tree_builder_new(s, &b, err));
    assert_ok(tree_file_begin(b, "src/main.c", false, err));
    assert_ok(tree_file_data(b, content, strlen(content), err));
    assert_ok(tree_file_end(b, err));
    assert_ok(tree_file_begin(b, "run.sh", true, err));
    assert_ok(tree_file_data(b, "#!/bin/sh\n", 10, err));
    assert_ok(tree_file_end(b, err));
    assert_ok(tree_add_dir(b, "empty", err));
    assert_ok(tree_add_symlink(b, "link", "src/main.c", err));
    assert_ok(tree_builder_finish(b, &ref, err));
    tree_builder_free(b);
    return ref;
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    f->dir = lab_dir();
    chmod(f->dir, 0755);
    _cleanup_free_ char *store = os_path_join(f->dir, "store");
    f->cache = os_path_join(f->dir, "cache");
    if (lab_has_s3())
        assert_ok(lab_store(LAB_S3, f->dir, &f->s, err));
    else
        assert_ok(store_open_local(store, &f->s, err));
    f->tree = make_tree(f->s, "int main;\n");
    f->o.dir = f->cache;
    *state = f;
    return 0;
}

static void open_cache(struct fixture *f)
{
    assert_ok(workspaces_open(f->s, &f->o, &f->w, err));
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    workspaces_free(f->w);
    store_free(f->s);
    lab_dir_free(&f->dir);
    free(f->cache);
    free(f);
    return 0;
}

static struct workspace *acquire(struct fixture *f, enum isolation mode, const char *key)
{
    struct workspace *ws = NULL;
    assert_ok(workspace_acquire(f->w, f->tree.text, mode, key, &ws, err));
    return ws;
}

static char *read_at(const char *dir, const char *name)
{
    _cleanup_free_ char *p = os_path_join(dir, name);
    char *text = NULL;
    assert_ok(os_read_file(p, 1 << 20, &text, NULL, err));
    return text;
}

#define assert_at(dir, name, want)                                                                 \
    do {                                                                                           \
        _cleanup_free_ char *text_ = read_at(dir, name);                                           \
        assert_string_equal(text_, want);                                                          \
    } while (0)

static struct stat stat_at(const char *dir, const char *name)
{
    _cleanup_free_ char *p = os_path_join(dir, name);
    struct stat st;
    assert_int_equal(lstat(p, &st), 0);
    return st;
}

static void check_layout(const char *root)
{
    assert_at(root, "src/main.c", "int main;\n");
    assert_at(root, "link", "int main;\n");
    assert_int_equal(stat_at(root, "src/main.c").st_mode & 07777, 0644);
    assert_int_equal(stat_at(root, "run.sh").st_mode & 07777, 0755);
    assert_int_equal(stat_at(root, "src").st_mode & 07777, 0755);
    assert_int_equal(stat_at(root, "").st_mode & 07777, 0755);
    static const char *const all[] = {"", "src", "src/main.c", "run.sh", "empty"};
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        assert_int_equal(stat_at(root, all[i]).st_mtim.tv_sec, LAYOUT_TIME_S);
    assert_int_equal(stat_at(root, "src/main.c").st_nlink, 1);
}

/* Does everything to a folder that its owner may. */
static void vandalise(const char *root)
{
    _cleanup_free_ char *file = os_path_join(root, "src/main.c"), *dir = os_path_join(root, "empty"),
                        *sh = os_path_join(root, "run.sh"), *link = os_path_join(root, "link");
    int fd = open(file, O_WRONLY | O_APPEND);
    assert_int_equal(write(fd, "evil", 4), 4);
    close(fd);
    assert_int_equal(rmdir(dir), 0);
    assert_int_equal(truncate(sh, 0), 0);
    assert_int_equal(chmod(sh, 04777), 0);
    assert_int_equal(unlink(link), 0);
    lab_write(root, "new", "new", 3);
}

static void test_isolated(void **state)
{
    struct fixture *f = *state;
    open_cache(f);
    struct workspace *shared = acquire(f, ISOLATION_SHARED, "a"), *a = acquire(f, ISOLATION_ISOLATED, "a"),
                     *b = acquire(f, ISOLATION_ISOLATED, "b");
    assert_true(workspace_read_only(shared));
    assert_false(workspace_read_only(a));
    assert_null(workspace_upper(a));
    check_layout(workspace_lower(a));
    vandalise(workspace_lower(a));
    check_layout(workspace_lower(b));
    check_layout(workspace_lower(shared));
    struct workspace *again = acquire(f, ISOLATION_ISOLATED, "a"); /* the next activity of the run */
    assert_string_equal(workspace_lower(again), workspace_lower(a));
    assert_at(workspace_lower(again), "new", "new");
    struct workspace *fresh = acquire(f, ISOLATION_ISOLATED, "c");
    check_layout(workspace_lower(fresh));
    /* The private one goes with its run, not before. */
    _cleanup_free_ char *path = strdup(workspace_lower(a));
    workspace_release(again);
    assert_int_equal(workspaces_forget(f->w, "a", NULL), -ERR_BUSY);
    assert_true(os_is_dir(path));
    workspace_release(a);
    assert_ok(workspaces_forget(f->w, "a", err));
    assert_false(os_exists(path));
    assert_ok(workspaces_forget(f->w, "a", err));
    check_layout(workspace_lower(b));
    workspace_release(b);
    workspace_release(fresh);
    workspace_release(shared);
}

/* 0 if some write succeeded, as uid. */
static int try_to_write(const char *root, uid_t uid)
{
    pid_t pid = fork();
    if (pid == 0) {
        if (setgid(uid) || setuid(uid))
            _exit(1);
        if (chdir(root) == 0 &&
            (open("src/main.c", O_WRONLY) >= 0 || open("new", O_WRONLY | O_CREAT, 0600) >= 0 ||
             unlink("run.sh") == 0 || rename("src", "x") == 0 || chmod("run.sh", 0777) == 0 ||
             mkdir("src/x", 0755) == 0 || open("src/main.c", O_WRONLY | O_TRUNC) >= 0 || symlink("x", "y") == 0 ||
             utimensat(AT_FDCWD, "run.sh", NULL, 0) == 0 || truncate("run.sh", 0) == 0))
            _exit(0);
        _exit(2);
    }
    int status;
    waitpid(pid, &status, 0);
    return WEXITSTATUS(status) == 2 ? -1 : 0;
}

static void test_shared(void **state)
{
    struct fixture *f = *state;
    open_cache(f);
    struct workspace *a = acquire(f, ISOLATION_SHARED, "a"), *b = acquire(f, ISOLATION_SHARED, "b");
    assert_string_equal(workspace_lower(a), workspace_lower(b));
    check_layout(workspace_lower(a));
    if (geteuid() == 0) /* else the read-only mount of the sandbox stands alone */
        assert_int_equal(try_to_write(workspace_lower(a), 123456), -1);
    check_layout(workspace_lower(a));
    workspace_release(a);
    workspace_release(b);
}

static void test_owner(void **state)
{
    struct fixture *f = *state;
    if (geteuid() != 0)
        skip();
    f->o.set_owner = true;
    f->o.owner_uid = f->o.owner_gid = 123456;
    open_cache(f);
    struct workspace *a = acquire(f, ISOLATION_ISOLATED, "a"), *s = acquire(f, ISOLATION_SHARED, "a");
    assert_int_equal(try_to_write(workspace_lower(a), 123456), 0);
    assert_int_equal(try_to_write(workspace_lower(s), 123456), -1);
    check_layout(workspace_lower(s));
    workspace_release(a);
    workspace_release(s);
}

static int overlay_child(const char *lower, const char *upper, const char *work, const char *at)
{
    char options[8192];
    snprintf(options, sizeof options, "lowerdir=%s,upperdir=%s,workdir=%s", lower, upper, work);
    if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
        mount("overlay", at, "overlay", 0, options))
        return 77;
    vandalise(at);
    return 0;
}

static void test_copy_on_write(void **state)
{
    struct fixture *f = *state;
    for (int overlay = 0; overlay < 2; overlay++) {
        f->o.overlay = overlay;
        workspaces_free(f->w);
        open_cache(f);
        struct workspace *shared = acquire(f, ISOLATION_SHARED, "a"), *a = acquire(f, ISOLATION_COPY_ON_WRITE, "a"),
                         *b = acquire(f, ISOLATION_COPY_ON_WRITE, "b");
        assert_false(workspace_read_only(a));
        if (!overlay) {
            assert_null(workspace_upper(a));
            vandalise(workspace_lower(a));
            check_layout(workspace_lower(b));
        } else {
            assert_string_equal(workspace_lower(a), workspace_lower(shared));
            assert_string_not_equal(workspace_upper(a), workspace_upper(b));
            _cleanup_free_ char *at = os_path_join(f->dir, "mnt");
            mkdir(at, 0755);
            pid_t pid = geteuid() == 0 ? fork() : -1;
            if (pid == 0)
                _exit(overlay_child(workspace_lower(a), workspace_upper(a), workspace_work(a), at));
            int status = 0;
            if (pid > 0)
                waitpid(pid, &status, 0);
            if (pid > 0 && WEXITSTATUS(status) != 77) {
                assert_int_equal(status, 0);
                assert_at(workspace_upper(a), "new", "new"); /* it went there */
                assert_at(workspace_upper(a), "src/main.c", "int main;\nevil");
            }
            check_layout(workspace_lower(b));
        }
        check_layout(workspace_lower(shared));
        workspace_release(shared);
        workspace_release(a);
        workspace_release(b);
        assert_ok(workspaces_forget(f->w, "a", err));
        assert_ok(workspaces_forget(f->w, "b", err));
    }
}

/* A crash while a layout is made: what is there is not taken for one. */
static void test_incomplete(void **state)
{
    struct fixture *f = *state;
    open_cache(f);
    struct workspace *a = acquire(f, ISOLATION_SHARED, "a");
    _cleanup_free_ char *root = strdup(workspace_lower(a)), *ready = mem_printf("%s/../ready", root);
    workspace_release(a);
    vandalise(root);
    assert_int_equal(unlink(ready), 0);
    a = acquire(f, ISOLATION_SHARED, "a");
    check_layout(workspace_lower(a));
    workspace_release(a);
}

static int count_dirs(const char *cache, const char *which)
{
    _cleanup_free_ char *p = os_path_join(cache, which);
    DIR *d = opendir(p);
    struct dirent *e;
    int n = 0;
    while ((e = readdir(d)))
        n += e->d_name[0] != '.' && !strstr(e->d_name, ".lock");
    closedir(d);
    return n;
}

static void test_eviction(void **state)
{
    struct fixture *f = *state;
    f->o.max_bytes = 400000;
    open_cache(f);
    struct store_ref trees[6];
    for (uint64_t i = 0; i < 6; i++) {
        _cleanup_free_ char *t = lab_text(100000, i);
        trees[i] = make_tree(f->s, t);
    }
    /* The first stays in use, here and in another process. */
    struct workspace *first, *ws;
    assert_ok(workspace_acquire(f->w, trees[0].text, ISOLATION_SHARED, "k", &first, err));
    int p[2];
    assert_int_equal(pipe(p), 0);
    pid_t pid = fork();
    if (pid == 0) {
        struct workspaces *w;
        struct workspace *mine;
        if (workspaces_open(f->s, &f->o, &w, NULL) < 0 ||
            workspace_acquire(w, trees[1].text, ISOLATION_SHARED, "k", &mine, NULL) < 0 || write(p[1], "x", 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    char c;
    assert_int_equal(read(p[0], &c, 1), 1);
    for (int i = 2; i < 6; i++) {
        assert_ok(workspace_acquire(f->w, trees[i].text, ISOLATION_SHARED, "k", &ws, err));
        workspace_release(ws);
        os_sleep_ms(2);
    }
    int n = count_dirs(f->cache, "shared");
    assert_true(n <= 4);
    assert_true(os_is_dir(workspace_lower(first)));
    _cleanup_free_ char *second = mem_printf("%s/shared/%s/tree", f->cache, trees[1].text + 7);
    _cleanup_free_ char *last = mem_printf("%s/shared/%s/tree", f->cache, trees[5].text + 7);
    _cleanup_free_ char *third = mem_printf("%s/shared/%s/tree", f->cache, trees[2].text + 7);
    assert_true(os_is_dir(second));
    assert_true(os_is_dir(last));
    assert_false(os_is_dir(third));
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    workspace_release(first);
    close(p[0]);
    close(p[1]);
}

static void test_time_to_live(void **state)
{
    struct fixture *f = *state;
    f->o.ttl_ms = 1;
    open_cache(f);
    struct workspace *a = acquire(f, ISOLATION_ISOLATED, "a"), *b = acquire(f, ISOLATION_ISOLATED, "b");
    workspace_release(a);
    os_sleep_ms(20);
    workspaces_free(f->w);
    open_cache(f);
    struct workspace *c = acquire(f, ISOLATION_SHARED, "c"); /* the first layout made looks at the cache */
    workspace_release(c);
    assert_int_equal(count_dirs(f->cache, "private"), 1); /* b's, which is in use */
    check_layout(workspace_lower(b));
    workspace_release(b);
}

static void test_cache_emptied(void **state)
{
    struct fixture *f = *state;
    open_cache(f);
    workspace_release(acquire(f, ISOLATION_ISOLATED, "a"));
    assert_ok(os_remove_tree(f->cache, err));
    struct workspace *ws = acquire(f, ISOLATION_ISOLATED, "a");
    check_layout(workspace_lower(ws));
    workspace_release(ws);
}

/* Whatever fails while the cache is looked at, the folder of a run that goes on is not taken for one that nobody has used. */
static void test_look_that_fails(void **state)
{
    struct fixture *f = *state;
    bool hit = true;
    for (long n = 1; hit; n++) {
        open_cache(f);
        struct workspace *ws = acquire(f, ISOLATION_ISOLATED, "run"), *c = NULL;
        _cleanup_free_ char *made = os_path_join(workspace_lower(ws), "made");
        lab_write(workspace_lower(ws), "made", "x", 1);
        workspace_release(ws); /* between two activities */
        workspaces_free(f->w);
        open_cache(f); /* the first layout made looks at the cache */
        os_fault_set(n, EMFILE, false, "open");
        if (workspace_acquire(f->w, f->tree.text, ISOLATION_SHARED, "c", &c, NULL) == 0)
            workspace_release(c);
        hit = os_fault_hit();
        os_fault_set(0, 0, false, NULL);
        assert_true(os_exists(made));
        workspaces_free(f->w);
        f->w = NULL;
        assert_ok(os_remove_tree(f->cache, err));
    }
}

struct racer {
    struct fixture *f;
    pthread_t id;
};

static void *race(void *arg)
{
    struct racer *r = arg;
    for (int i = 0; i < 30; i++) {
        struct workspace *ws;
        char key[16];
        snprintf(key, sizeof key, "k%d", i % 3);
        enum isolation mode = i % 2 ? ISOLATION_SHARED : ISOLATION_ISOLATED;
        if (workspace_acquire(r->f->w, r->f->tree.text, mode, key, &ws, NULL) < 0)
            return r;
        _cleanup_free_ char *p = os_path_join(workspace_lower(ws), "src/main.c");
        bool ok = os_exists(p);
        workspace_release(ws);
        if (!ok)
            return r;
        (void)workspaces_forget(r->f->w, key, NULL);
    }
    return NULL;
}

static void test_threads(void **state)
{
    struct fixture *f = *state;
    struct racer r[4];
    f->o.max_bytes = 1; /* everything goes as soon as it may */
    open_cache(f);
    for (int i = 0; i < 4; i++) {
        r[i].f = f;
        pthread_create(&r[i].id, NULL, race, &r[i]);
    }
    for (int i = 0; i < 4; i++) {
        void *failed;
        pthread_join(r[i].id, &failed);
        assert_null(failed);
    }
}

static void test_errors(void **state)
{
    struct fixture *f = *state;
    open_cache(f);
    struct workspace *ws = NULL;
    struct store_ref plain;
    struct err e = {0};
    assert_ok(store_put(f->s, "plain", 5, NULL, &plain, err));
    assert_int_equal(workspace_acquire(f->w, "rubbish", ISOLATION_SHARED, "k", &ws, &e), -ERR_INVALID);
    assert_int_equal(workspace_acquire(f->w, plain.text, ISOLATION_SHARED, "k", &ws, &e), -ERR_INVALID);
    assert_int_equal(workspace_acquire(f->w, f->tree.text, ISOLATION_SHARED, "", &ws, &e), -ERR_INVALID);
    static const char absent[] = "sha256:0000000000000000000000000000000000000000000000000000000000000000";
    assert_int_equal(workspace_acquire(f->w, absent, ISOLATION_ISOLATED, "k", &ws, &e), -ERR_NOT_FOUND);
    assert_int_equal(count_dirs(f->cache, "shared") + count_dirs(f->cache, "private"), 0);
    enum isolation i;
    assert_ok(isolation_parse("copy-on-write", &i, err));
    assert_int_equal(i, ISOLATION_COPY_ON_WRITE);
    assert_int_equal(isolation_parse("cow", &i, &e), -ERR_INVALID);
}

#define CASE(t) {#t, t, setup, teardown, NULL}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_isolated), CASE(test_shared),       CASE(test_owner),   CASE(test_copy_on_write), CASE(test_incomplete),
        CASE(test_eviction), CASE(test_time_to_live), CASE(test_threads), CASE(test_errors), CASE(test_look_that_fails),
        CASE(test_cache_emptied),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
