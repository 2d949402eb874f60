/* The contract of the store: every test runs once for each back end. */
#include "lab.h"

#include "os/clock.h"

#include <fcntl.h>
#include <pthread.h>
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
    *state = f;
    return lab_store(kind, f->dir, &f->s, NULL);
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

static int teardown(void **state)
{
    struct fixture *f = *state;
    store_free(f->s);
    lab_dir_free(&f->dir);
    free(f);
    return 0;
}

/* Opens it again, where that means something. */
static void reopen(struct fixture *f)
{
    if (f->kind == LAB_MEMORY)
        return;
    store_free(f->s);
    assert_int_equal(lab_store(f->kind, f->dir, &f->s, NULL), 0);
}

static void check_object(struct store *s, const char *ref, const void *want, size_t len)
{
    _cleanup_free_ char *got = NULL;
    size_t n = 0;
    assert_ok(store_get(s, ref, len, &got, &n, err));
    assert_int_equal(n, len);
    assert_memory_equal(got, want, len);
    assert_int_equal(got[len], 0);
}

static void test_sizes(void **state)
{
    struct fixture *f = *state;
    static const size_t sizes[] = {0, 1, 100, 4096, 7000, 65535, 65536, 65537, 300000, 3000000};
    struct store_ref refs[ARRAY_LEN(sizes)][2];
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        _cleanup_free_ char *noise = lab_noise(sizes[i], i), *text = lab_text(sizes[i], i);
        assert_ok(store_put(f->s, noise, sizes[i], "a/b", &refs[i][0], err));
        assert_ok(store_put(f->s, text, sizes[i], NULL, &refs[i][1], err));
        assert_true(store_ref_valid(refs[i][0].text));
    }
    reopen(f);
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        _cleanup_free_ char *noise = lab_noise(sizes[i], i), *text = lab_text(sizes[i], i);
        struct store_object_info info;
        check_object(f->s, refs[i][0].text, noise, sizes[i]);
        check_object(f->s, refs[i][1].text, text, sizes[i]);
        assert_ok(store_stat(f->s, refs[i][0].text, &info, err));
        assert_int_equal(info.size_bytes, sizes[i]);
        assert_string_equal(info.ref.text, refs[i][0].text);
        if (sizes[i]) {
            assert_string_equal(info.media_type, "a/b");
            assert_true(info.stored_bytes >= sizes[i]);
        }
        assert_ok(store_stat(f->s, refs[i][1].text, &info, err));
        if (sizes[i] > 1000)
            assert_true(info.stored_bytes < sizes[i] / 2);
    }
}

static void test_known_name(void **state)
{
    struct fixture *f = *state;
    struct store_ref ref;
    assert_ok(store_put(f->s, "abc", 3, NULL, &ref, err));
    assert_string_equal(ref.text,
        "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

static void test_twice(void **state)
{
    struct fixture *f = *state;
    struct store_ref a, b;
    struct store_object_info first, second;
    _cleanup_free_ char *noise = lab_noise(200000, 5);
    assert_ok(store_put(f->s, noise, 200000, "one", &a, err));
    assert_ok(store_stat(f->s, a.text, &first, err));
    assert_ok(store_put(f->s, noise, 200000, "two", &b, err));
    assert_string_equal(a.text, b.text);
    assert_ok(store_stat(f->s, a.text, &second, err));
    assert_memory_equal(&first, &second, sizeof first);
}

static void test_errors(void **state)
{
    struct fixture *f = *state;
    struct store_ref ref;
    struct store_object_info info;
    struct err e = {0};
    char *got = NULL;
    static const char absent[] =
        "sha256:0000000000000000000000000000000000000000000000000000000000000000";
    assert_int_equal(store_get(f->s, absent, 100, &got, NULL, &e), -ERR_NOT_FOUND);
    assert_non_null(strstr(e.msg, "sha256:000"));
    assert_int_equal(store_stat(f->s, absent, &info, NULL), -ERR_NOT_FOUND);
    assert_int_equal(store_remove(f->s, absent, NULL), -ERR_NOT_FOUND);
    assert_int_equal(store_pin(f->s, "x", absent, 0, NULL), -ERR_NOT_FOUND);
    static const char *const wrong[] = {"", "sha256:", "sha256:00", "md5:00", "../../etc/passwd"};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        assert_false(store_ref_valid(wrong[i]));
        assert_int_equal(store_get(f->s, wrong[i], 100, &got, NULL, NULL), -ERR_INVALID);
    }
    assert_false(store_ref_valid(NULL));
    assert_ok(store_put(f->s, "hello", 5, NULL, &ref, err));
    assert_int_equal(store_get(f->s, ref.text, 4, &got, NULL, NULL), -ERR_LIMIT);
    assert_null(got);
}

static void test_descriptors(void **state)
{
    struct fixture *f = *state;
    static const size_t sizes[] = {0, 10, 262143, 262144, 262145, 5000000, 20000000};
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        _cleanup_free_ char *text = lab_text(sizes[i], 7);
        _cleanup_free_ char *in = os_path_join(f->dir, "in"), *out = os_path_join(f->dir, "out");
        struct store_ref ref, direct;
        uint64_t size = 0;
        lab_write(f->dir, "in", text, sizes[i]);
        int fd = open(in, O_RDONLY);
        assert_ok(store_put_fd(f->s, STORE_RESULTS, fd, sizes[i], "t", &ref, &size, err));
        assert_int_equal(size, sizes[i]);
        assert_ok(store_put(f->s, text, sizes[i], "t", &direct, err));
        assert_string_equal(ref.text, direct.text);
        if (sizes[i]) {
            lseek(fd, 0, SEEK_SET);
            assert_int_equal(store_put_fd(f->s, STORE_RESULTS, fd, sizes[i] - 1, "t", &ref, &size, NULL), -ERR_LIMIT);
        }
        close(fd);
        fd = open(out, O_RDWR | O_CREAT | O_TRUNC, 0600);
        assert_ok(store_get_fd(f->s, direct.text, fd, &size, err));
        close(fd);
        _cleanup_free_ char *got = NULL;
        size_t n;
        assert_ok(os_read_file(out, 1 << 30, &got, &n, err));
        assert_int_equal(n, sizes[i]);
        assert_memory_equal(got, text, n);
    }
}

struct listing {
    struct store_object_info last;
    size_t n, stop_at;
};

static bool in_order(void *arg, const struct store_object_info *info)
{
    struct listing *l = arg;
    assert_true(strcmp(l->last.ref.text, info->ref.text) < 0);
    l->last = *info;
    return ++l->n != l->stop_at;
}

static void test_list_remove(void **state)
{
    struct fixture *f = *state;
    struct store_ref refs[400];
    for (int i = 0; i < 400; i++)
        assert_ok(store_put(f->s, &i, sizeof i, "n", &refs[i], err));
    struct listing l = {0};
    assert_ok(store_list(f->s, in_order, &l, err));
    assert_int_equal(l.n, 400);
    l = (struct listing){.stop_at = 3};
    assert_ok(store_list(f->s, in_order, &l, err));
    assert_int_equal(l.n, 3);
    assert_ok(store_remove(f->s, refs[17].text, err));
    char *got;
    assert_int_equal(store_get(f->s, refs[17].text, 10, &got, NULL, NULL), -ERR_NOT_FOUND);
    l = (struct listing){0};
    assert_ok(store_list(f->s, in_order, &l, err));
    assert_int_equal(l.n, 399);
    struct err e = {0};
    assert_ok(store_pin(f->s, "run/7", refs[3].text, 0, err));
    assert_int_equal(store_remove(f->s, refs[3].text, &e), -ERR_STATE);
    assert_non_null(strstr(e.msg, "run/7"));
    assert_ok(store_unpin_owner(f->s, "run/7", err));
    assert_ok(store_remove(f->s, refs[3].text, err));
}

struct thread {
    struct store *s;
    int n;
    pthread_t id;
    struct err err;
};

/* NULL, or what failed. */
static void *put_many(void *arg)
{
    struct thread *t = arg;
    for (int i = 0; i < 100; i++) {
        char text[64];
        struct store_ref ref;
        /* Half of them are put by all threads. */
        int len = snprintf(text, sizeof text, "object %d of %d", i, i % 2 ? t->n : -1);
        if (store_put(t->s, text, (size_t)len, NULL, &ref, &t->err) < 0)
            return (void *)(uintptr_t)"put";
        _cleanup_free_ char *got = NULL;
        size_t n;
        if (store_get(t->s, ref.text, 64, &got, &n, &t->err) < 0 || strcmp(got, text) != 0)
            return (void *)(uintptr_t)"get";
    }
    return NULL;
}

static void test_threads(void **state)
{
    struct fixture *f = *state;
    struct thread t[6];
    for (int i = 0; i < 6; i++) {
        t[i] = (struct thread){.s = f->s, .n = i};
        pthread_create(&t[i].id, NULL, put_many, &t[i]);
    }
    for (int i = 0; i < 6; i++) {
        void *what;
        pthread_join(t[i].id, &what);
        if (what)
            fail_msg("%s: %s", (const char *)what, t[i].err.msg);
    }
    struct listing l = {0};
    assert_ok(store_list(f->s, in_order, &l, err));
    assert_int_equal(l.n, 50 + 6 * 50);
}

#define BOTH(t)                                                                                    \
    {#t "/local", t, setup_local, teardown, NULL}, {#t "/memory", t, setup_memory, teardown, NULL}
#define S3(t) {#t "/s3", t, setup_s3, teardown, NULL}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(test_sizes),       BOTH(test_known_name),  BOTH(test_twice),   BOTH(test_errors),
        BOTH(test_descriptors), BOTH(test_list_remove), BOTH(test_threads),
    };
    const struct CMUnitTest s3[] = {
        S3(test_sizes), S3(test_known_name), S3(test_twice), S3(test_errors), S3(test_descriptors), S3(test_list_remove), S3(test_threads),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    return lab_has_s3() ? failed + cmocka_run_group_tests(s3, NULL, NULL) : failed;
}
