/* Moving stores: what an object was put as goes with it. */
#include "lab.h"

#include "store/migrate.h"
#include "store/store_internal.h"

#include <fcntl.h>
#include <sqlite3.h>

enum { AS_RESULT = 1, AS_TARGET = 2, AS_CORPORA = 4 }; /* bits by enum store_class */

static void put_as(struct store *s, enum store_class class, const char *data, size_t len, struct store_ref *ret)
{
    _cleanup_dir_ char *dir = lab_dir();
    lab_write(dir, "f", data, len);
    _cleanup_free_ char *path = os_path_join(dir, "f");
    _cleanup_close_ int fd = -1;
    assert_ok(os_open(path, O_RDONLY, 0, &fd, err));
    assert_ok(store_put_fd(s, class, fd, UINT64_MAX, NULL, ret, NULL, err));
}

static unsigned classes(struct store *s, const char *ref)
{
    struct digest d;
    struct blob_info info;
    unsigned in = 0;
    assert_ok(digest_from_ref(ref, &d, err));
    for (int class = 0; class <= STORE_ANY; class++) {
        int r = s->be->ops->stat(s->be, blob_name_of('o', &d).s, (enum store_class)class, &info, NULL);
        assert_true(r == 0 || r == -ERR_NOT_FOUND);
        in |= r == 0 ? 1U << class : 0;
    }
    assert_true(!(in & 1U << STORE_ANY) == !(in & ~(1U << STORE_ANY)));
    return in & ~(1U << STORE_ANY);
}

/* In memory targets and results are told apart, in a local store they are not. */
static void check(struct store *s, const char *ref, unsigned want)
{
    if (strcmp(s->be->ops->name, "local") == 0 && want & (AS_RESULT | AS_TARGET))
        want |= AS_RESULT | AS_TARGET;
    assert_int_equal(classes(s, ref), want);
}

struct put {
    struct store_ref ref;
    unsigned as;
};

/* Small: in its record; middle: one chunk; large: several; huge: its record is a file in a local store. */
static const size_t sizes[] = {500, 60000, 400000, 24 << 20};
enum { KINDS = 4, PUTS = ARRAY_LEN(sizes) * KINDS + 1 };

static void put_all(struct store *s, struct put put[PUTS])
{
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        _cleanup_free_ char *data = lab_noise(sizes[i], i);
        struct put *p = put + KINDS * i;
        put_as(s, STORE_RESULTS, data, sizes[i], &p[0].ref);
        data[0]++;
        put_as(s, STORE_CORPORA, data, sizes[i], &p[1].ref);
        put_as(s, STORE_CORPORA, data, sizes[i], &p[1].ref);
        data[0]++;
        put_as(s, STORE_CORPORA, data, sizes[i], &p[2].ref);
        put_as(s, STORE_RESULTS, data, sizes[i], &p[2].ref);
        data[0]++;
        put_as(s, STORE_RESULTS, data, sizes[i], &p[3].ref);
        put_as(s, STORE_CORPORA, data, sizes[i], &p[3].ref);
        p[0].as = AS_RESULT;
        p[1].as = AS_CORPORA;
        p[2].as = p[3].as = AS_RESULT | AS_CORPORA;
    }
    struct tree_builder *b;
    assert_ok(tree_builder_new(s, &b, err));
    assert_ok(tree_file_begin(b, "a", false, err));
    assert_ok(tree_file_data(b, "text", 4, err));
    assert_ok(tree_file_end(b, err));
    assert_ok(tree_builder_finish(b, &put[PUTS - 1].ref, err));
    tree_builder_free(b);
    put[PUTS - 1].as = AS_TARGET;
}

static void migrate(struct store *from, struct store *to, uint64_t copied)
{
    struct store_migrate_result res;
    assert_ok(store_migrate(from, to, NULL, NULL, NULL, NULL, &res, err));
    assert_int_equal(res.bad_objects, 0);
    assert_int_equal(res.objects, PUTS);
    assert_int_equal(res.objects_copied, copied);
}

static void check_all(struct store *s, const struct put put[PUTS])
{
    for (size_t i = 0; i < PUTS; i++)
        check(s, put[i].ref.text, put[i].as);
}

/* Through a local store, one that tells all classes apart, and another local one. */
static void through(enum lab_kind kind)
{
    _cleanup_dir_ char *dir = lab_dir(), *middle = lab_dir(), *other = lab_dir();
    struct store *s, *apart, *back;
    struct put put[PUTS];
    assert_ok(store_open_local(dir, &s, err));
    assert_ok(lab_store(kind, middle, &apart, err));
    assert_ok(store_open_local(other, &back, err));
    put_all(s, put);
    store_free(s);
    assert_ok(store_open_local_read_only(dir, &s, err));
    check_all(s, put);
    migrate(s, apart, PUTS);
    check_all(apart, put);
    migrate(apart, back, PUTS);
    check_all(back, put);
    migrate(s, back, 0);
    if (kind == LAB_MEMORY) /* a bucket may have to be sent what cannot be renewed there (collect.c) */
        migrate(back, apart, 0);
    store_free(s);
    store_free(apart);
    store_free(back);
}

static void test_memory(void **state)
{
    through(LAB_MEMORY);
}

static void test_s3(void **state)
{
    if (!lab_has_s3())
        skip();
    through(LAB_S3);
}

/* What went to the other store as something else is completed. */
static void test_completed(void **state)
{
    _cleanup_dir_ char *dir = lab_dir();
    _cleanup_free_ char *data = lab_noise(400000, 1);
    struct store *s, *memory;
    struct store_ref ref;
    struct store_migrate_result res;
    assert_ok(store_open_local(dir, &s, err));
    assert_ok(store_open_memory(&memory, err));
    put_as(memory, STORE_RESULTS, data, 400000, &ref);
    put_as(s, STORE_CORPORA, data, 400000, &ref);
    assert_ok(store_migrate(s, memory, NULL, NULL, NULL, NULL, &res, err));
    assert_int_equal(res.objects_copied, 1);
    check(memory, ref.text, AS_RESULT | AS_CORPORA);
    store_free(s);
    store_free(memory);
}

/* The note goes with the object. */
static void test_removed(void **state)
{
    _cleanup_dir_ char *dir = lab_dir();
    struct store *s;
    struct store_ref ref;
    assert_ok(store_open_local(dir, &s, err));
    put_as(s, STORE_CORPORA, "abc", 3, &ref);
    check(s, ref.text, AS_CORPORA);
    assert_ok(store_remove(s, ref.text, err));
    put_as(s, STORE_RESULTS, "abc", 3, &ref);
    check(s, ref.text, AS_RESULT);
    store_free(s);
}

/* Of a store that was made before classes were noted: all is results, until it is put as corpora too. */
static void test_of_before(void **state)
{
    _cleanup_dir_ char *dir = lab_dir();
    _cleanup_free_ char *index = os_path_join(dir, "index.db"), *huge = lab_noise(24 << 20, 9);
    struct store *s;
    struct store_ref small, file;
    sqlite3 *db;
    assert_ok(store_open_local(dir, &s, err));
    put_as(s, STORE_RESULTS, "abc", 3, &small);
    put_as(s, STORE_RESULTS, huge, 24 << 20, &file);
    store_free(s);
    assert_int_equal(sqlite3_open(index, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "DELETE FROM blob WHERE name LIKE 'r/%'", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_changes(db), 1); /* the record that is a file */
    sqlite3_close(db);
    assert_ok(store_open_local(dir, &s, err));
    check(s, small.text, AS_RESULT);
    check(s, file.text, AS_RESULT);
    put_as(s, STORE_CORPORA, "abc", 3, &small);
    put_as(s, STORE_CORPORA, huge, 24 << 20, &file);
    check(s, small.text, AS_RESULT | AS_CORPORA);
    check(s, file.text, AS_RESULT | AS_CORPORA);
    store_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        {"classes/memory", test_memory, NULL, NULL, NULL},
        {"classes/s3", test_s3, NULL, NULL, NULL},
        cmocka_unit_test(test_completed),
        cmocka_unit_test(test_removed),
        cmocka_unit_test(test_of_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
