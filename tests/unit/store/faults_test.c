/* What fails in turn: system calls, memory, power (a kill), space. After each failure: nothing acknowledged is lost, nothing
 * wrong is given, no descriptor is left open, and the next try succeeds. */
#include "lab.h"

#include "base/units.h"
#include "os/clock.h"
#include "store/workspace.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

struct fixture {
    bool local;
    char *dir;
    struct store *s;
    struct workspaces *w;
    struct store_ref kept, tree; /* put and pinned before anything fails */
    uint64_t n;                  /* another content each time */
};

static void fill(struct fixture *f)
{
    struct tree_builder *b;
    assert_ok(store_put(f->s, "kept", 4, NULL, &f->kept, err));
    assert_ok(store_pin(f->s, "keeper", f->kept.text, 0, err));
    assert_ok(tree_builder_new(f->s, &b, err));
    assert_ok(tree_file_begin(b, "a/b", false, err));
    assert_ok(tree_file_data(b, "content", 7, err));
    assert_ok(tree_file_end(b, err));
    assert_ok(tree_add_symlink(b, "l", "a/b", err));
    assert_ok(tree_builder_finish(b, &f->tree, err));
    tree_builder_free(b);
    assert_ok(store_pin(f->s, "keeper", f->tree.text, 0, err));
}

static int setup(void **state, bool local)
{
    struct fixture *f = calloc(1, sizeof *f);
    f->local = local;
    f->dir = lab_dir();
    _cleanup_free_ char *store = os_path_join(f->dir, "store"), *cache = os_path_join(f->dir, "cache");
    if (local)
        assert_ok(store_open_local(store, &f->s, err));
    else
        assert_ok(store_open_memory(&f->s, err));
    fill(f);
    struct workspaces_options o = {.dir = cache};
    assert_ok(workspaces_open(f->s, &o, &f->w, err));
    *state = f;
    return 0;
}

static int setup_local(void **state)
{
    return setup(state, true);
}

static int setup_memory(void **state)
{
    return setup(state, false);
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    os_fault_set(0, 0, false, NULL);
    mem_fault_set(0, 0);
    workspaces_free(f->w);
    store_free(f->s);
    lab_dir_free(&f->dir);
    free(f);
    return 0;
}

/* --- what is tried; each gives the error of the one call that may fail --- */

static bool was_hit;

/* No more failures, but remembers whether there was one. */
static void faults_off(void)
{
    was_hit = was_hit || os_fault_hit() || mem_fault_hit();
    os_fault_set(0, 0, false, NULL);
    mem_fault_set(0, 0);
}

static int put_sizes(struct fixture *f, size_t len)
{
    struct store_ref ref;
    _cleanup_free_ char *data = lab_noise(len, f->n++), *got = NULL;
    size_t n;
    struct err e = {0};
    int r = store_put(f->s, data, len, "t", &ref, &e);
    if (r < 0) {
        assert_true(strlen(e.msg) > 5);
        return r;
    }
    faults_off();
    assert_ok(store_get(f->s, ref.text, len, &got, &n, err));
    assert_memory_equal(got, data, len);
    return 0;
}

static int try_put_small(struct fixture *f)
{
    return put_sizes(f, 100);
}

static int try_put_middle(struct fixture *f)
{
    return put_sizes(f, 40000);
}

static int try_put_large(struct fixture *f)
{
    return put_sizes(f, 300000);
}

static int build(struct fixture *f, struct tree_builder *b, const char *data, struct store_ref *ref)
{
    int r = tree_add_dir(b, "z", NULL);
    for (int i = 0; i < 3 && r == 0; i++) {
        char path[16];
        snprintf(path, sizeof path, "d/%d", 2 - i);
        r = tree_file_begin(b, path, false, NULL);
        if (r < 0)
            break;
        r = tree_file_data(b, data + i * 100000, 100000, NULL);
        if (r == 0)
            r = tree_file_end(b, NULL);
        else
            tree_file_abort(b);
    }
    return r < 0 ? r : tree_builder_finish(b, ref, NULL);
}

static int try_tree(struct fixture *f)
{
    struct tree_builder *b = NULL;
    struct store_ref ref;
    struct tree *t = NULL;
    _cleanup_free_ char *data = lab_noise(300000, f->n++), *got = NULL;
    int r = tree_builder_new(f->s, &b, NULL);
    if (r == 0)
        r = build(f, b, data, &ref);
    tree_builder_free(b);
    if (r == 0)
        r = tree_open(f->s, ref.text, &t, NULL);
    if (r == 0)
        r = tree_read_file(t, "d/1", 100000, &got, NULL, NULL);
    if (r == 0)
        assert_memory_equal(got, data + 100000, 100000);
    tree_free(t);
    return r;
}

static int try_get(struct fixture *f)
{
    _cleanup_free_ char *got = NULL;
    int r = store_get(f->s, f->kept.text, 100, &got, NULL, NULL);
    if (r == 0)
        assert_string_equal(got, "kept");
    else
        assert_null(got);
    return r;
}

static int try_pin(struct fixture *f)
{
    char owner[32];
    snprintf(owner, sizeof owner, "run/%llu", (unsigned long long)f->n++);
    int r = store_pin(f->s, owner, f->kept.text, 0, NULL);
    return r < 0 ? r : store_unpin_owner(f->s, owner, NULL);
}

static int try_gc(struct fixture *f)
{
    struct store_gc_result res;
    return store_gc(f->s, 0, false, &res, NULL);
}

static int try_verify(struct fixture *f)
{
    struct store_verify_result res;
    int r = store_verify(f->s, NULL, NULL, NULL, &res, NULL);
    return r;
}

static int use_workspace(struct fixture *f, enum isolation mode)
{
    struct workspace *ws = NULL;
    char key[32];
    snprintf(key, sizeof key, "run/%llu", (unsigned long long)f->n++);
    struct err e = {0};
    int r = workspace_acquire(f->w, f->tree.text, mode, key, &ws, &e);
    if (r == 0) {
        char path[4096];
        snprintf(path, sizeof path, "%s/a/b", workspace_lower(ws));
        assert_true(os_exists(path));
        workspace_release(ws);
        r = workspaces_forget(f->w, key, &e);
    } else {
        assert_null(ws);
    }
    faults_off();
    assert_ok(workspaces_forget(f->w, key, err)); /* what is left of it goes, too */
    return r;
}

static int try_isolated(struct fixture *f)
{
    return use_workspace(f, ISOLATION_ISOLATED);
}

static int try_shared(struct fixture *f)
{
    return use_workspace(f, ISOLATION_SHARED);
}

static int try_open(struct fixture *f)
{
    struct store *s = NULL;
    char *dir = f->dir; /* a new one each time */
    char path[4096];
    snprintf(path, sizeof path, "%s/new%llu", dir, (unsigned long long)f->n++);
    int r = store_open_local(path, &s, NULL);
    store_free(s);
    return r;
}

static const struct {
    const char *name;
    int (*run)(struct fixture *f);
    bool local_only;
} tries[] = {
    {"put small", try_put_small, false}, {"put middle", try_put_middle, false}, {"put large", try_put_large, false},
    {"tree", try_tree, false},           {"get", try_get, false},               {"pin", try_pin, false},
    {"gc", try_gc, false},               {"verify", try_verify, false},         {"isolated", try_isolated, false},
    {"shared", try_shared, false},       {"open", try_open, true},
};

static void check_kept(struct fixture *f, const char *what)
{
    struct tree *t;
    _cleanup_free_ char *got = NULL, *file = NULL;
    if (store_get(f->s, f->kept.text, 100, &got, NULL, NULL) < 0 || strcmp(got, "kept") != 0)
        fail_msg("after a failure in %s the kept object is lost", what);
    assert_ok(tree_open(f->s, f->tree.text, &t, err));
    assert_ok(tree_read_file(t, "a/b", 100, &file, NULL, err));
    assert_string_equal(file, "content");
    tree_free(t);
}

static void each_failure(struct fixture *f, bool memory, int errnum)
{
    for (size_t i = 0; i < ARRAY_LEN(tries); i++) {
        if (tries[i].local_only && !f->local)
            continue;
        assert_int_equal(tries[i].run(f), 0); /* opens what stays open */
        int fds = lab_open_fds();
        long n = 0;
        bool hit = true;
        while (hit) {
            n += 1 + n / 24; /* each of the first, then some of the many that are alike */
            if (n > 20000)
                fail_msg("%s does not come to an end", tries[i].name);
            was_hit = false;
            if (memory)
                mem_fault_set(n, 0);
            else
                os_fault_set(n, errnum, false, NULL);
            int r = tries[i].run(f);
            faults_off();
            hit = was_hit;
            if (!hit && r < 0)
                fail_msg("%s fails without a fault: %s", tries[i].name, err_name(r));
            if (lab_open_fds() != fds)
                fail_msg("%s: failure %ld leaves a descriptor", tries[i].name, n);
            check_kept(f, tries[i].name);
            assert_int_equal(tries[i].run(f), 0); /* and the next one is well */
        }
        if (getenv("FF_TEST_VERBOSE"))
            print_message("%s: %ld steps\n", tries[i].name, n);
        assert_true(n > (f->local || memory ? 1 : 0));
    }
    struct store_verify_result res;
    assert_ok(store_verify(f->s, NULL, NULL, NULL, &res, err));
    assert_int_equal(res.bad_objects, 0);
}

static void test_calls(void **state)
{
    each_failure(*state, false, EIO);
}

static void test_no_space(void **state)
{
    each_failure(*state, false, ENOSPC);
}

static void test_memory(void **state)
{
    each_failure(*state, true, 0);
}

/* --- kill -9 --- */

struct acknowledged {
    char ref[STORE_REF_LEN + 1];
    uint64_t seed;
    uint32_t len;
};

/* Puts and pins for ever, telling each that was acknowledged. */
static void put_for_ever(const char *dir, int fd, uint64_t seed)
{
    struct store *s;
    if (store_open_local(dir, &s, NULL) < 0)
        _exit(1);
    for (;; seed++) {
        struct acknowledged a = {.seed = seed};
        uint64_t x = seed;
        a.len = (uint32_t)(lab_random(&x) % 3 ? lab_random(&x) % 20000 : lab_random(&x) % 600000);
        _cleanup_free_ char *data = lab_noise(a.len, seed);
        struct store_ref ref;
        char owner[32];
        snprintf(owner, sizeof owner, "%llu", (unsigned long long)seed);
        if (store_put(s, data, a.len, NULL, &ref, NULL) < 0 || store_pin(s, owner, ref.text, 0, NULL) < 0)
            _exit(2);
        memcpy(a.ref, ref.text, sizeof a.ref);
        if (write(fd, &a, sizeof a) != (ssize_t)sizeof a)
            _exit(3);
    }
}

static size_t check_acknowledged(const char *dir, int fd)
{
    struct store *s;
    struct acknowledged a;
    struct store_gc_result gc;
    struct store_verify_result res;
    size_t n = 0;
    assert_ok(store_open_local(dir, &s, err));
    assert_ok(store_gc(s, 0, false, &gc, err)); /* takes what the kill left, and no more */
    lseek(fd, 0, SEEK_SET);
    while (read(fd, &a, sizeof a) == (ssize_t)sizeof a) {
        _cleanup_free_ char *data = lab_noise(a.len, a.seed), *got = NULL;
        size_t len;
        assert_ok(store_get(s, a.ref, 1 << 20, &got, &len, err));
        assert_int_equal(len, a.len);
        assert_memory_equal(got, data, len);
        n++;
    }
    assert_ok(store_verify(s, NULL, NULL, NULL, &res, err));
    assert_int_equal(res.bad_objects, 0);
    _cleanup_free_ char *tmp = os_path_join(dir, "tmp");
    DIR *d = opendir(tmp);
    int left = 0;
    while (readdir(d))
        left++;
    closedir(d);
    assert_int_equal(left, 2); /* "." and ".." */
    store_free(s);
    return n;
}

static void test_kill(void **state)
{
    _cleanup_dir_ char *base = lab_dir();
    _cleanup_free_ char *dir = os_path_join(base, "store"), *log = os_path_join(base, "log");
    uint64_t seed = 12345;
    size_t before = 0;
    for (int round = 0; round < 12; round++) {
        int fd = open(log, O_RDWR | O_CREAT | O_APPEND, 0600);
        pid_t pid = fork();
        if (pid == 0)
            put_for_ever(dir, fd, (uint64_t)round * 1000000);
        off_t enough = (off_t)((before + 1 + lab_random(&seed) % 12) * sizeof(struct acknowledged));
        struct stat st;
        for (int i = 0; i < 5000 && fstat(fd, &st) == 0 && st.st_size < enough; i++)
            os_sleep_ms(2);
        usleep((useconds_t)(lab_random(&seed) % 3000)); /* anywhere in the next one */
        kill(pid, SIGKILL);
        int status;
        waitpid(pid, &status, 0);
        assert_true(WIFSIGNALED(status));
        size_t n = check_acknowledged(dir, fd);
        close(fd);
        assert_true(n >= before);
        before = n;
    }
    assert_true(before > 20);
}

/* --- a full disk --- */

static void test_disk_full(void **state)
{
    _cleanup_dir_ char *base = lab_dir();
    if (geteuid() != 0 || mount("tmpfs", base, "tmpfs", 0, "size=1500k") < 0)
        skip();
    struct store *s;
    struct store_ref ref, first;
    struct err e = {0};
    _cleanup_free_ char *dir = os_path_join(base, "store"), *got = NULL;
    int r = store_open_local(dir, &s, &e);
    assert_int_equal(r, 0);
    assert_ok(store_put(s, "first", 5, NULL, &first, err));
    uint64_t i;
    for (i = 0; i < 200 && r == 0; i++) {
        _cleanup_free_ char *noise = lab_noise(i % 2 ? 60000 : 5000, i);
        r = store_put(s, noise, i % 2 ? 60000 : 5000, NULL, &ref, &e);
    }
    assert_int_equal(r, -ERR_NO_SPACE);
    assert_int_equal(err_exit_status(e.code), 5);
    assert_ok(store_get(s, first.text, 100, &got, NULL, err)); /* reading still works */
    for (uint64_t k = 0; k < 20; k++) {
        _cleanup_free_ char *noise = lab_noise(60000, 1000 + k);
        assert_int_equal(store_put(s, noise, 60000, NULL, &ref, &e), -ERR_NO_SPACE);
    }
    store_free(s);
    assert_int_equal(umount(base), 0);
}

#define BOTH(t)                                                                                    \
    {#t "/local", t, setup_local, teardown, NULL}, {#t "/memory", t, setup_memory, teardown, NULL}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kill), cmocka_unit_test(test_disk_full),
        BOTH(test_calls), BOTH(test_no_space), BOTH(test_memory),
    };
    if (argc > 1) /* a name with * in it */
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
