/* Pins, collection, verification, damage: for each back end where it can be done there. */
#include "lab.h"

#include "base/units.h"
#include "os/clock.h"
#include "store/store_internal.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

struct fixture {
    enum lab_kind kind;
    char *dir;
    struct store *s;
};

static int setup(void **state, enum lab_kind kind)
{
    struct fixture *f = calloc(1, sizeof *f);
    f->kind = kind;
    f->dir = lab_dir();
    assert_ok(lab_store(kind, f->dir, &f->s, err));
    *state = f;
    return 0;
}

static int setup_local(void **state)
{
    return setup(state, LAB_LOCAL);
}

static int setup_memory(void **state)
{
    return setup(state, LAB_MEMORY);
}

static int setup_s3(void **state)
{
    return setup(state, LAB_S3);
}

static int setup_s3_grace(void **state)
{
    return setup(state, LAB_S3_GRACE);
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    store_free(f->s);
    lab_dir_free(&f->dir);
    free(f);
    return 0;
}

static bool there(struct store *s, const char *ref)
{
    struct store_object_info info;
    return store_stat(s, ref, &info, NULL) == 0;
}

static struct store_ref make_tree(struct store *s, uint64_t seed, size_t len)
{
    struct tree_builder *b;
    struct store_ref ref;
    _cleanup_free_ char *data = lab_noise(len, seed), *same = lab_noise(500000, 4711);
    assert_ok(tree_builder_new(s, &b, err));
    assert_ok(tree_file_begin(b, "own", false, err));
    assert_ok(tree_file_data(b, data, len, err));
    assert_ok(tree_file_end(b, err));
    assert_ok(tree_file_begin(b, "same", false, err));
    assert_ok(tree_file_data(b, same, 500000, err));
    assert_ok(tree_file_end(b, err));
    assert_ok(tree_builder_finish(b, &ref, err));
    tree_builder_free(b);
    return ref;
}

static void check_tree(struct store *s, const char *ref, uint64_t seed, size_t len)
{
    struct tree *t;
    _cleanup_free_ char *want = lab_noise(len, seed), *same = lab_noise(500000, 4711), *got = NULL, *got2 = NULL;
    assert_ok(tree_open(s, ref, &t, err));
    assert_ok(tree_read_file(t, "own", len, &got, NULL, err));
    assert_memory_equal(got, want, len);
    assert_ok(tree_read_file(t, "same", 500000, &got2, NULL, err));
    assert_memory_equal(got2, same, 500000);
    tree_free(t);
}

static struct store_gc_result gc(struct store *s, int64_t grace_ms, bool dry)
{
    struct store_gc_result res;
    assert_ok(store_gc(s, grace_ms, dry, &res, err));
    return res;
}

static void test_collect(void **state)
{
    struct fixture *f = *state;
    struct store_ref small, big, a, b;
    _cleanup_free_ char *noise = lab_noise(300000, 1);
    assert_ok(store_put(f->s, "small", 5, NULL, &small, err));
    assert_ok(store_put(f->s, noise, 300000, NULL, &big, err));
    a = make_tree(f->s, 10, 200000);
    b = make_tree(f->s, 11, 200000);
    assert_ok(store_pin(f->s, "run/1", a.text, 0, err));
    assert_ok(store_pin(f->s, "run/2", small.text, os_now_ns() + 3600 * NS_PER_S, err));
    assert_int_equal(gc(f->s, 3600 * 1000, false).objects_removed, 0);

    struct store_gc_result dry = gc(f->s, 0, true);
    assert_int_equal(dry.objects_kept, 2);
    assert_int_equal(dry.objects_removed, 2);
    assert_true(dry.bytes_freed > 400000);
    assert_true(there(f->s, big.text) && there(f->s, b.text));
    struct store_gc_result res = gc(f->s, 0, false);
    assert_memory_equal(&res, &dry, sizeof res);
    assert_false(there(f->s, big.text));
    assert_false(there(f->s, b.text));
    assert_true(there(f->s, small.text));
    check_tree(f->s, a.text, 10, 200000);

    b = make_tree(f->s, 11, 200000); /* comes back whole, sharing what stayed */
    assert_ok(store_pin(f->s, "run/2", b.text, 0, err));
    assert_ok(store_pin(f->s, "run/2", b.text, 0, err)); /* one pin a pair */
    assert_ok(store_unpin_owner(f->s, "run/1", err));
    assert_ok(store_unpin_owner(f->s, "run/1", err));
    gc(f->s, 0, false);
    assert_false(there(f->s, a.text));
    check_tree(f->s, b.text, 11, 200000);
    assert_ok(store_unpin_owner(f->s, "run/2", err));
    assert_int_equal(gc(f->s, 0, false).objects_kept, 0);
    assert_int_equal(gc(f->s, 0, false).chunks_removed, 0);
}

static int count_pin(void *arg, const char *owner, const char *ref, struct err *e)
{
    (void)e;
    assert_string_equal(owner, "memory/x");
    assert_true(store_ref_valid(ref));
    ++*(int *)arg;
    return 0;
}

static void test_pins_of_an_owner(void **state)
{
    struct fixture *f = *state;
    struct store_ref a, b;
    int n = 0;
    assert_ok(store_put(f->s, "a", 1, NULL, &a, err));
    assert_ok(store_put(f->s, "b", 1, NULL, &b, err));
    assert_ok(store_pin(f->s, "memory/x", a.text, 0, err));
    assert_ok(store_pin(f->s, "memory/x", b.text, os_now_ns() + 3600 * NS_PER_S, err));
    assert_ok(store_pin(f->s, "memory/y", a.text, 0, err));
    assert_ok(store_each_pin_of(f->s, "memory/x", count_pin, &n, err));
    assert_int_equal(n, 2);
    assert_ok(store_unpin(f->s, "memory/x", b.text, err));
    assert_ok(store_unpin(f->s, "memory/x", b.text, err));
    gc(f->s, 0, false);
    assert_false(there(f->s, b.text));
    assert_true(there(f->s, a.text));
    n = 0;
    assert_ok(store_each_pin_of(f->s, "memory/x", count_pin, &n, err));
    assert_int_equal(n, 1);
    assert_ok(store_each_pin_of(f->s, "memory/z", count_pin, &n, err));
    assert_int_equal(n, 1);
}

static void test_expiry(void **state)
{
    struct fixture *f = *state;
    struct store_ref ref;
    assert_ok(store_put(f->s, "x", 1, NULL, &ref, err));
    assert_ok(store_pin(f->s, "run/1", ref.text, os_now_ns() + 3600 * NS_PER_S, err));
    gc(f->s, 0, false);
    assert_true(there(f->s, ref.text));
    assert_ok(store_pin(f->s, "run/1", ref.text, os_now_ns() - 1, err));
    gc(f->s, 0, false);
    assert_false(there(f->s, ref.text));
    assert_int_equal(store_pin(f->s, "run/1", ref.text, 0, NULL), -ERR_NOT_FOUND);
    assert_int_equal(store_pin(f->s, "", ref.text, 0, NULL), -ERR_INVALID);
}

/* What was renewed after it was found to be dead stays, even if the index has learnt of it before the removal began. */
static void test_renewed_stays(void **state)
{
    struct fixture *f = *state;
    struct store_ref ref;
    _cleanup_free_ char *noise = lab_noise(200000, 77);
    char record[2 + DIGEST_HEX + 1];
    const char *names[] = {record};
    assert_ok(store_put(f->s, noise, 200000, NULL, &ref, err));
    snprintf(record, sizeof record, "o/%s", ref.text + 7);
    assert_ok(f->s->be->ops->remove(f->s->be, names, 1, os_now_ns() - 60 * NS_PER_S, err));
    assert_true(there(f->s, ref.text));
    assert_ok(f->s->be->ops->remove(f->s->be, names, 1, os_now_ns() + 60 * NS_PER_S, err));
    assert_false(there(f->s, ref.text));
}

static int age_file(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    struct timespec old[2] = {{.tv_sec = st->st_mtim.tv_sec - 86400}, {.tv_sec = st->st_mtim.tv_sec - 86400}};
    if (type == FTW_F)
        utimensat(AT_FDCWD, path, old, 0);
    return 0;
}

static void sql(struct fixture *f, const char *text)
{
    _cleanup_free_ char *path = os_path_join(f->dir, "index.db");
    sqlite3 *db;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

/* As if all had been written a day ago. */
static void age(struct fixture *f)
{
    _cleanup_free_ char *files = os_path_join(f->dir, "files");
    nftw(files, age_file, 16, FTW_PHYS);
    sql(f, "UPDATE blob SET stamp = stamp - 86400000000000; UPDATE packed SET stamp = stamp - 86400000000000");
}

/* What an upload relies on stays while it goes on, also if it was there before and nothing else keeps it. */
static void test_upload_going_on(void **state)
{
    struct fixture *f = *state;
    _cleanup_free_ char *noise = lab_noise(400000, 21), *text = lab_text(3000, 22);
    struct store_ref old, ref;
    assert_ok(store_put(f->s, noise, 400000, NULL, &old, err));
    if (f->kind == LAB_LOCAL)
        age(f);
    struct tree_builder *b;
    assert_ok(tree_builder_new(f->s, &b, err));
    assert_ok(tree_file_begin(b, "f", false, err));
    assert_ok(tree_file_data(b, noise, 400000, err)); /* the same chunks: found there */
    gc(f->s, 0, false);
    assert_ok(tree_file_data(b, text, 3000, err));
    assert_ok(tree_file_end(b, err));
    gc(f->s, 0, false);
    assert_ok(tree_builder_finish(b, &ref, err));
    tree_builder_free(b);
    assert_ok(store_pin(f->s, "x", ref.text, 0, err));
    gc(f->s, 0, false);
    struct tree *t;
    _cleanup_free_ char *got = NULL;
    assert_ok(tree_open(f->s, ref.text, &t, err));
    assert_ok(tree_read_file(t, "f", 1 << 20, &got, NULL, err));
    assert_memory_equal(got, noise, 400000);
    tree_free(t);
}

/* So many descriptors and no more; gives what was allowed before. */
static struct rlimit allow_descriptors(int more)
{
    struct rlimit was, now;
    int next = open("/dev/null", O_RDONLY);
    close(next);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
    now = was;
    now.rlim_cur = (rlim_t)(next + more);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &now), 0);
    return was;
}

/* Another process is uploading: who cannot look at that, for want of descriptors, removes nothing that it may need. */
static void test_out_of_descriptors(void **state)
{
    struct fixture *f = *state;
    size_t len = (size_t)24 << 20;
    _cleanup_free_ char *old = lab_noise(400000, 21), *fresh = lab_noise(len, 27);
    struct store *other;
    struct store_ref ref;
    struct tree_builder *b;
    struct store_gc_result g;
    struct store_verify_result v;
    assert_ok(store_put(f->s, old, 400000, NULL, &ref, err));
    age(f);
    assert_ok(store_open_local(f->dir, &other, err));
    assert_ok(tree_builder_new(other, &b, err));
    assert_ok(tree_file_begin(b, "f", false, err));
    assert_ok(tree_file_data(b, old, 400000, err)); /* the same chunks: found there */
    for (int more = 0; more < 4; more++) {
        struct rlimit was = allow_descriptors(more);
        (void)store_gc(f->s, 0, false, &g, NULL);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
    }
    assert_ok(tree_file_data(b, fresh, len, err));
    for (int more = 0; more < 4; more++) { /* its pack is named by nothing yet */
        struct rlimit was = allow_descriptors(more);
        (void)store_gc(f->s, 0, false, &g, NULL);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
    }
    assert_ok(tree_file_end(b, err));
    assert_ok(tree_builder_finish(b, &ref, err));
    tree_builder_free(b);
    store_free(other);
    assert_ok(store_verify(f->s, NULL, NULL, NULL, &v, err));
    assert_int_equal(v.bad_objects, 0);
}

static size_t pack_files(struct fixture *f)
{
    _cleanup_free_ char *path = os_path_join(f->dir, "files/p");
    DIR *d = opendir(path);
    size_t n = 0;
    struct dirent *e;
    while (d && (e = readdir(d)))
        n += e->d_name[0] != '.';
    if (d)
        closedir(d);
    return n;
}

static size_t chunks_there(struct fixture *f)
{
    struct store_gc_result g;
    assert_ok(store_gc(f->s, 0, true, &g, err));
    return g.chunks_removed;
}

/* Writes so much that some of it is in the store before the end, and stops there. */
static void fail_in_the_middle(struct fixture *f, const char *noise, size_t len)
{
    struct tree_builder *b;
    assert_ok(tree_builder_new(f->s, &b, err));
    assert_ok(tree_file_begin(b, "f", false, err));
    assert_ok(tree_file_data(b, noise, len, err));
    tree_builder_free(b);
}

/* An upload that fails leaves nothing, but what others share with it. */
static void test_failed_upload(void **state)
{
    struct fixture *f = *state;
    size_t len = (size_t)40 << 20;
    _cleanup_free_ char *noise = lab_noise(len, 24), *got = NULL;
    struct store_ref ref;
    fail_in_the_middle(f, noise, len);
    assert_int_equal(chunks_there(f), 0);
    if (f->kind == LAB_LOCAL)
        assert_int_equal(pack_files(f), 0);

    /* Another one has found some of it, and is done sooner. */
    struct tree_builder *b;
    assert_ok(tree_builder_new(f->s, &b, err));
    assert_ok(tree_file_begin(b, "f", false, err));
    assert_ok(tree_file_data(b, noise, len, err));
    assert_ok(store_put(f->s, noise, len / 2, NULL, &ref, err));
    assert_ok(store_pin(f->s, "x", ref.text, 0, err));
    tree_builder_free(b);
    assert_ok(store_get(f->s, ref.text, len, &got, NULL, err));
    assert_memory_equal(got, noise, len / 2);

    /* Another one goes on: what it may have found stays. */
    struct tree_builder *other;
    assert_ok(store_unpin_owner(f->s, "x", err));
    assert_ok(tree_builder_new(f->s, &other, err));
    fail_in_the_middle(f, noise, len);
    assert_ok(tree_file_begin(other, "g", false, err));
    assert_ok(tree_file_data(other, noise, len, err));
    assert_ok(tree_file_end(other, err));
    assert_ok(tree_builder_finish(other, &ref, err));
    tree_builder_free(other);
    struct store_verify_result v;
    assert_ok(store_verify(f->s, NULL, NULL, NULL, &v, err));
    assert_int_equal(v.bad_objects, 0);
}

/* Beside an older one that goes on, for however long. */
static void test_failed_upload_beside(void **state)
{
    struct fixture *f = *state;
    size_t len = (size_t)40 << 20;
    _cleanup_free_ char *noise = lab_noise(len, 25);
    struct tree_builder *other;
    assert_ok(tree_builder_new(f->s, &other, err));
    fail_in_the_middle(f, noise, len);
    assert_int_equal(chunks_there(f), 0);
    assert_int_equal(pack_files(f), 0);
    tree_builder_free(other);
}

/* What the older one has found of it stays for that alone: it goes with it, or becomes part of its tree. */
static void test_failed_upload_found(void **state)
{
    struct fixture *f = *state;
    size_t len = (size_t)40 << 20;
    _cleanup_free_ char *noise = lab_noise(len, 26);
    struct store_verify_result v;
    struct store_ref ref;
    for (int finish = 0; finish < 2; finish++) {
        struct tree_builder *older, *failing;
        assert_ok(tree_builder_new(f->s, &older, err));
        assert_ok(tree_builder_new(f->s, &failing, err));
        assert_ok(tree_file_begin(failing, "f", false, err));
        assert_ok(tree_file_data(failing, noise, len, err));
        size_t all = chunks_there(f);
        assert_ok(tree_file_begin(older, "f", false, err));
        assert_ok(tree_file_data(older, noise, len / 4, err));
        tree_builder_free(failing);
        size_t found = chunks_there(f);
        assert_true(found > 0 && found < all);
        if (finish) {
            assert_ok(tree_file_data(older, noise + len / 4, len - len / 4, err));
            assert_ok(tree_file_end(older, err));
            assert_ok(tree_builder_finish(older, &ref, err));
        }
        tree_builder_free(older);
        if (!finish) {
            assert_int_equal(chunks_there(f), 0);
            assert_int_equal(pack_files(f), 0);
        }
    }
    assert_true(chunks_there(f) > 0);
    assert_ok(store_verify(f->s, NULL, NULL, NULL, &v, err));
    assert_true(v.objects > 0);
    assert_int_equal(v.bad_objects, 0);
}

/* Another process tells nobody what it has found. */
static void test_failed_upload_processes(void **state)
{
    struct fixture *f = *state;
    size_t len = (size_t)40 << 20;
    _cleanup_free_ char *noise = lab_noise(len, 27);
    struct store *theirs;
    struct tree_builder *other;
    assert_ok(store_open_local(f->dir, &theirs, err));
    assert_ok(tree_builder_new(theirs, &other, err));
    fail_in_the_middle(f, noise, len);
    assert_true(chunks_there(f) > 0);
    tree_builder_free(other);
    store_free(theirs);
    assert_ok(tree_builder_new(f->s, &other, err));
    tree_builder_free(other);
    assert_int_equal(chunks_there(f), 0);
}

/* A hold keeps what nothing else does, however old. */
static void test_hold(void **state)
{
    struct fixture *f = *state;
    _cleanup_free_ char *noise = lab_noise(200000, 23);
    struct store_ref ref;
    struct store_object_info info;
    struct store_hold a, b;
    assert_ok(store_put(f->s, noise, 200000, NULL, &ref, err));
    if (f->kind == LAB_LOCAL)
        age(f);
    assert_ok(store_hold(f->s, &a, err));
    assert_ok(store_hold(f->s, &b, err));
    gc(f->s, 0, false);
    store_hold_release(&a);
    gc(f->s, 0, false);
    assert_ok(store_stat(f->s, ref.text, &info, err));
    store_hold_release(&b);
    gc(f->s, 0, false);
    assert_int_equal(store_stat(f->s, ref.text, &info, NULL), -ERR_NOT_FOUND);
}

/* One for what is new keeps what is put, until it is pinned, and nothing else. */
static void test_hold_new(void **state)
{
    struct fixture *f = *state;
    _cleanup_free_ char *before = lab_noise(200000, 25), *after = lab_noise(200000, 26);
    struct store_ref old, ref;
    struct store_object_info info;
    struct store_hold h;
    assert_ok(store_put(f->s, before, 200000, NULL, &old, err));
    if (f->kind == LAB_LOCAL)
        age(f);
    assert_ok(store_hold_new(f->s, &h, err));
    assert_ok(store_put(f->s, after, 200000, NULL, &ref, err));
    os_sleep_ms(2);
    gc(f->s, 0, false);
    assert_ok(store_stat(f->s, ref.text, &info, err));
    if (f->kind == LAB_LOCAL)
        assert_int_equal(store_stat(f->s, old.text, &info, NULL), -ERR_NOT_FOUND);
    store_hold_release(&h);
    os_sleep_ms(2);
    gc(f->s, 0, false);
    assert_int_equal(store_stat(f->s, ref.text, &info, NULL), -ERR_NOT_FOUND);
}

/* Putting again what is old makes it young. */
static void test_put_again_keeps(void **state)
{
    struct fixture *f = *state;
    struct store_ref refs[3];
    _cleanup_free_ char *noise = lab_noise(300000, 31), *mid = lab_noise(30000, 32);
    for (int round = 0; round < 2; round++) {
        assert_ok(store_put(f->s, "tiny", 4, NULL, &refs[0], err));
        assert_ok(store_put(f->s, mid, 30000, NULL, &refs[1], err));
        assert_ok(store_put(f->s, noise, 300000, NULL, &refs[2], err));
        if (round == 0)
            age(f);
    }
    assert_int_equal(gc(f->s, 3600 * 1000, false).objects_removed, 0);
    for (int i = 0; i < 3; i++) {
        _cleanup_free_ char *got = NULL;
        assert_ok(store_get(f->s, refs[i].text, 1 << 20, &got, NULL, err));
    }
    age(f);
    assert_int_equal(gc(f->s, 3600 * 1000, false).objects_removed, 3);
}

/* --- beside readers and writers --- */

struct busy {
    struct store *s;
    int n;
    int contents; /* few: so that what one lets go another finds and relies on */
    atomic_bool *stop;
    pthread_t id;
    atomic_int rounds;
};

static void *put_pin_check(void *arg)
{
    struct busy *b = arg;
    uint64_t seed = (uint64_t)b->n;
    for (; !atomic_load(b->stop); atomic_fetch_add(&b->rounds, 1)) {
        size_t len = 1000 + lab_random(&seed) % 4 * 60000;
        _cleanup_free_ char *data = lab_noise(len, lab_random(&seed) % (uint64_t)b->contents), *got = NULL;
        struct store_ref ref;
        char owner[32];
        snprintf(owner, sizeof owner, "run/%d/%d", b->n, atomic_load(&b->rounds));
        struct err e = {0};
        if (store_put(b->s, data, len, NULL, &ref, &e) < 0)
            return strdup(e.msg);
        int r = store_pin(b->s, owner, ref.text, 0, &e);
        if (r == -ERR_NOT_FOUND) /* grace is 0: collected in between */
            continue;
        size_t n;
        if (r < 0 || store_get(b->s, ref.text, len, &got, &n, &e) < 0 || n != len || memcmp(got, data, len) != 0)
            return strdup(*e.msg ? e.msg : "other bytes");
        if (store_unpin_owner(b->s, owner, &e) < 0)
            return strdup(e.msg);
    }
    return NULL;
}

static int fewest_rounds(struct busy b[3])
{
    int a = atomic_load(&b[0].rounds), c = atomic_load(&b[1].rounds), d = atomic_load(&b[2].rounds);
    int least = a < c ? a : c;
    return least < d ? least : d;
}

static void test_beside_others(void **state)
{
    struct fixture *f = *state;
    struct busy b[3];
    atomic_bool stop = false;
    pid_t child = -1;
    if (f->kind == LAB_LOCAL) /* SQLite must not be open across a fork */
        store_free(f->s);
    if (f->kind == LAB_LOCAL && (child = fork()) == 0) { /* collection of another process */
        struct store *s;
        struct store_gc_result res;
        if (store_open_local(f->dir, &s, NULL) < 0)
            _exit(1);
        for (;; os_sleep_ms(3))
            if (store_gc(s, 0, false, &res, NULL) < 0)
                _exit(2);
    }
    if (f->kind == LAB_LOCAL)
        assert_ok(store_open_local(f->dir, &f->s, err));
    for (int i = 0; i < 3; i++) {
        b[i].s = f->s;
        b[i].n = i;
        b[i].contents = f->kind == LAB_S3_GRACE ? 40 : 6; /* some rest for longer than the grace */
        b[i].stop = &stop;
        atomic_init(&b[i].rounds, 0);
        pthread_create(&b[i].id, NULL, put_pin_check, &b[i]);
    }
    /* Until each has done much, or (where one had no turn for so long) for ever is near. */
    int64_t least = os_mono_ns() + (f->kind == LAB_S3_GRACE ? 2 * LAB_GRACE_MS * NS_PER_MS : 0), most = least + 40 * NS_PER_S;
    while (os_mono_ns() < least || (os_mono_ns() < most && fewest_rounds(b) < 100)) {
        gc(f->s, 0, false);
        os_sleep_ms(2);
    }
    atomic_store(&stop, true);
    void *failed[3];
    for (int i = 0; i < 3; i++) /* all of them, before a failure takes their store away */
        pthread_join(b[i].id, &failed[i]);
    for (int i = 0; i < 3; i++) {
        if (failed[i])
            fail_msg("%s", (char *)failed[i]);
        assert_true(atomic_load(&b[i].rounds) > 0);
    }
    if (child > 0) {
        int status;
        assert_int_equal(waitpid(child, &status, WNOHANG), 0); /* it never failed */
        kill(child, SIGKILL);
        waitpid(child, &status, 0);
    }
}

/* --- packs --- */

static int damage_how, damaged;
static int damage_file(const char *path, const struct stat *st, int type, struct FTW *ftw);

/* How many there are, and what they take on disk. */
static int packs(struct fixture *f, uint64_t *ret_bytes)
{
    _cleanup_free_ char *path = os_path_join(f->dir, "files/p");
    int n = 0;
    *ret_bytes = 0;
    DIR *d = opendir(path);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));) {
        struct stat st;
        if (e->d_name[0] == '.')
            continue;
        assert_int_equal(fstatat(dirfd(d), e->d_name, &st, 0), 0);
        *ret_bytes += (uint64_t)st.st_blocks * 512;
        n++;
    }
    closedir(d);
    return n;
}

static void put_tree(struct fixture *f, const char *x, const char *y, size_t len, const char *pin, struct store_ref *ret)
{
    struct tree_builder *b;
    const char *texts[] = {x, y}, *names[] = {"x", "y"};
    assert_ok(tree_builder_new(f->s, &b, err));
    for (int i = 0; i < 2; i++) {
        if (!texts[i])
            continue;
        assert_ok(tree_file_begin(b, names[i], false, err));
        assert_ok(tree_file_data(b, texts[i], len, err));
        assert_ok(tree_file_end(b, err));
    }
    assert_ok(tree_builder_finish(b, ret, err));
    tree_builder_free(b);
    assert_ok(store_pin(f->s, pin, ret->text, 0, err));
}

/* What is removed from a pack leaves a hole, and the rest can be read; with the last the pack goes. So does one that a process
 * left which died before it could name its chunks. */
static void test_packs(void **state)
{
    enum { LEN = 3000000, ROWS = 600000 }; /* the first chunks are rows */
    struct fixture *f = *state;
    struct store_ref both, one;
    _cleanup_free_ char *x = lab_noise(LEN, 61), *y = lab_noise(LEN, 62), *got = NULL;
    _cleanup_free_ char *left = os_path_join(f->dir, "files/p/00000000000000000000000000-7");
    uint64_t full, holed, none;
    struct tree *t;
    put_tree(f, x, y, LEN, "both", &both);
    put_tree(f, NULL, y, LEN, "one", &one);
    int before = packs(f, &full);
    assert_true(before > 0 && full >= 2 * LEN - ROWS && full < 2 * LEN + 1000000);
    assert_ok(store_unpin_owner(f->s, "both", err));
    gc(f->s, 0, false);
    packs(f, &holed);
    assert_true(holed >= LEN - ROWS && holed < LEN + 1500000);
    assert_ok(tree_open(f->s, one.text, &t, err));
    assert_ok(tree_read_file(t, "y", LEN, &got, NULL, err));
    assert_memory_equal(got, y, LEN);
    tree_free(t);
    assert_ok(store_unpin_owner(f->s, "one", err));
    assert_ok(os_write_file_atomic(left, y, 1000, 0644, err));
    gc(f->s, 0, false);
    assert_int_equal(packs(f, &none), 0);
}

/* The one row of a query as texts. */
static int take_row(void *arg, int n, char **values, char **names)
{
    char *out = arg;
    for (int i = 0; i < n; i++)
        snprintf(out + (size_t)i * 128, 128, "%s", values[i]);
    return 0;
}

/* A store that was made before there were packs: chunks in files, no table for others. */
static void test_older_store(void **state)
{
    struct fixture *f = *state;
    struct store_ref ref;
    _cleanup_free_ char *noise = lab_noise(300000, 71), *got = NULL, *index = os_path_join(f->dir, "index.db");
    assert_ok(store_put(f->s, noise, 300000, NULL, &ref, err));
    assert_ok(store_pin(f->s, "x", ref.text, 0, err));
    for (;;) { /* each packed chunk as it would have been */
        char row[4][128] = {""}, folder[600], path[1200];
        sqlite3 *db;
        size_t len;
        assert_int_equal(sqlite3_open(index, &db), SQLITE_OK);
        sqlite3_exec(db, "SELECT name, pack, at, len FROM packed LIMIT 1", take_row, row, NULL);
        sqlite3_close(db);
        if (!row[0][0])
            break;
        _cleanup_free_ char *bytes = NULL;
        snprintf(path, sizeof path, "%s/files/p/%s", f->dir, row[1]);
        assert_ok(os_read_file(path, 1 << 24, &bytes, &len, err));
        snprintf(folder, sizeof folder, "%s/files/c/%.2s", f->dir, row[0] + 2);
        assert_ok(os_mkdirs(folder, 0755, err));
        snprintf(path, sizeof path, "%s/%s", folder, row[0] + 2);
        assert_ok(os_write_file_atomic(path, bytes + atol(row[2]), (size_t)atol(row[3]), 0644, err));
        snprintf(path, sizeof path, "DELETE FROM packed WHERE name = '%s'", row[0]);
        sql(f, path);
    }
    store_free(f->s);
    sql(f, "DROP TABLE packed; PRAGMA user_version = 1");
    assert_ok(store_open_local(f->dir, &f->s, err));
    assert_ok(store_get(f->s, ref.text, 1 << 20, &got, NULL, err));
    assert_memory_equal(got, noise, 300000);
    _cleanup_free_ char *old = os_path_join(f->dir, "files/c");
    assert_ok(store_unpin_owner(f->s, "x", err));
    gc(f->s, 0, false);
    damaged = 0;
    damage_how = 0;
    nftw(old, damage_file, 16, FTW_PHYS);
    assert_false(damaged); /* there was none left */
}

/* --- damage --- */

struct bad_list {
    int n;
    char refs[16][STORE_REF_LEN + 1];
};

static void note_bad(void *arg, const char *ref, const char *why)
{
    struct bad_list *l = arg;
    assert_true(strlen(why) > 3);
    if (l->n < 16)
        memcpy(l->refs[l->n], ref, STORE_REF_LEN + 1);
    l->n++;
}

static int damage_file(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    if (type != FTW_F || damaged)
        return 0;
    damaged = 1;
    if (damage_how == 0)
        return unlink(path);
    if (damage_how == 1)
        return truncate(path, st->st_size / 2);
    if (damage_how == 2)
        return truncate(path, 0);
    int fd = open(path, O_RDWR);
    uint8_t c;
    off_t at = damage_how == 3 ? st->st_size / 2 : 0;
    do /* not into a hole that something removed has left */
        assert_int_equal(pread(fd, &c, 1, at++), 1);
    while (!c);
    at += damage_how == 3 ? -1 : damage_how - 5;
    assert_int_equal(pread(fd, &c, 1, at), 1);
    c ^= 0x10;
    assert_int_equal(pwrite(fd, &c, 1, at), 1);
    close(fd);
    return 0;
}

static void test_damage(void **state)
{
    struct fixture *f = *state;
    _cleanup_free_ char *files = os_path_join(f->dir, "files"), *noise = lab_noise(2000000, 51);
    _cleanup_free_ char *in = os_path_join(f->dir, "out");
    for (damage_how = 0; damage_how < 9; damage_how++) {
        struct store_ref ref, again, fine;
        struct store_verify_result res;
        struct bad_list bad = {0};
        assert_ok(store_put(f->s, "fine", 4, NULL, &fine, err));
        assert_ok(store_put(f->s, noise, 2000000, NULL, &ref, err));
        assert_ok(store_verify(f->s, note_bad, NULL, &bad, &res, err));
        assert_int_equal(bad.n, 0);
        assert_int_equal(res.objects, 2);
        assert_true(res.bytes >= 2000004);
        damaged = 0;
        nftw(files, damage_file, 16, FTW_PHYS);
        assert_true(damaged);
        char *got = NULL;
        assert_int_equal(store_get(f->s, ref.text, 1 << 22, &got, NULL, NULL), -ERR_CORRUPT);
        assert_null(got);
        int fd = open(in, O_RDWR | O_CREAT | O_TRUNC, 0600);
        assert_int_equal(store_get_fd(f->s, ref.text, fd, NULL, NULL), -ERR_CORRUPT);
        assert_int_equal(lseek(fd, 0, SEEK_END), 0);
        close(fd);
        assert_ok(store_verify(f->s, note_bad, NULL, &bad, &res, err));
        assert_int_equal(bad.n, 1);
        assert_int_equal(res.bad_objects, 1);
        assert_string_equal(bad.refs[0], ref.text);
        assert_ok(store_put(f->s, noise, 2000000, NULL, &again, err)); /* mends it */
        assert_ok(store_get(f->s, ref.text, 1 << 22, &got, NULL, err));
        assert_memory_equal(got, noise, 2000000);
        free(got);
        bad.n = 0;
        assert_ok(store_verify(f->s, note_bad, NULL, &bad, &res, err));
        assert_int_equal(bad.n, 0);
    }
}

static void test_damaged_index(void **state)
{
    struct fixture *f = *state;
    static const char *const damages[] = {
        "UPDATE blob SET data = zeroblob(length(data))",
        "UPDATE blob SET data = substr(data, 1, length(data) / 2)",
        "UPDATE blob SET data = x''",
        "UPDATE blob SET data = CAST(substr(data, 1, 40) || x'ff' || substr(data, 42) AS BLOB)",
    };
    for (size_t i = 0; i < ARRAY_LEN(damages); i++) {
        struct store_ref ref;
        struct store_verify_result res;
        struct bad_list bad = {0};
        _cleanup_free_ char *text = lab_text(5000, 60);
        char *got = NULL;
        assert_ok(store_put(f->s, text, 5000, NULL, &ref, err));
        sql(f, damages[i]);
        assert_int_equal(store_get(f->s, ref.text, 1 << 20, &got, NULL, NULL), -ERR_CORRUPT);
        assert_ok(store_verify(f->s, note_bad, NULL, &bad, &res, err));
        assert_int_equal(bad.n, 1);
        assert_ok(store_put(f->s, text, 5000, NULL, &ref, err));
        assert_ok(store_get(f->s, ref.text, 1 << 20, &got, NULL, err));
        assert_memory_equal(got, text, 5000);
        free(got);
    }
    /* The whole file. */
    store_free(f->s);
    f->s = NULL;
    _cleanup_free_ char *db = os_path_join(f->dir, "index.db");
    FILE *out = fopen(db, "r+");
    for (int i = 0; i < 4096; i++)
        fputc(i * 7, out);
    fclose(out);
    struct err e = {0};
    assert_int_equal(store_open_local(f->dir, &f->s, &e), -ERR_CORRUPT);
    assert_non_null(strstr(e.msg, f->dir));
}

#define BOTH(t)                                                                                    \
    {#t "/local", t, setup_local, teardown, NULL}, {#t "/memory", t, setup_memory, teardown, NULL}
#define S3(t) {#t "/s3", t, setup_s3, teardown, NULL}
#define LOCAL(t) {#t, t, setup_local, teardown, NULL}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(test_collect),  BOTH(test_pins_of_an_owner), BOTH(test_expiry),           BOTH(test_upload_going_on), BOTH(test_hold), BOTH(test_hold_new), BOTH(test_failed_upload), LOCAL(test_failed_upload_beside), LOCAL(test_failed_upload_found), LOCAL(test_failed_upload_processes), LOCAL(test_put_again_keeps),
        LOCAL(test_out_of_descriptors),
        LOCAL(test_packs),   LOCAL(test_older_store),
        LOCAL(test_damage),  LOCAL(test_damaged_index),   BOTH(test_beside_others),
    };
    const struct CMUnitTest s3[] = {
        S3(test_collect), S3(test_pins_of_an_owner), S3(test_expiry), S3(test_renewed_stays), S3(test_upload_going_on), {"test_beside_others/s3", test_beside_others, setup_s3_grace, teardown, NULL},
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    return lab_has_s3() ? failed + cmocka_run_group_tests(s3, NULL, NULL) : failed;
}
