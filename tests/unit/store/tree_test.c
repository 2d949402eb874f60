/* Trees: for each back end. */
#include "lab.h"

#include "store/chunker.h"
#include "store/manifest.h"

static void check_file(struct tree *t, const char *path, const void *want, size_t len)
{
    _cleanup_free_ char *got = NULL;
    size_t n;
    assert_ok(tree_read_file(t, path, len, &got, &n, err));
    assert_int_equal(n, len);
    assert_memory_equal(got, want, len);
}

static void add_file(struct tree_builder *b, const char *path, const void *data, size_t len)
{
    assert_ok(tree_file_begin(b, path, false, err));
    for (size_t at = 0; at < len; at += 10000)
        assert_ok(tree_file_data(b, (const char *)data + at, len - at < 10000 ? len - at : 10000, err));
    assert_ok(tree_file_end(b, err));
}

static char *dir;

static int open_store(void **state, enum lab_kind kind)
{
    struct store *s = NULL;
    dir = lab_dir();
    assert_ok(lab_store(kind, dir, &s, err));
    *state = s;
    return 0;
}

static int open_local(void **state)
{
    return open_store(state, LAB_LOCAL);
}

static int open_memory(void **state)
{
    return open_store(state, LAB_MEMORY);
}

static int open_s3(void **state)
{
    return open_store(state, LAB_S3);
}

static int close_store(void **state)
{
    store_free(*state);
    if (dir)
        lab_dir_free(&dir);
    dir = NULL;
    return 0;
}

static void test_round_trip(void **state)
{
    struct store *s = *state;
    struct tree_builder *b;
    struct store_ref ref;
    _cleanup_free_ char *big = lab_noise(1000000, 1), *text = lab_text(70000, 2);
    assert_ok(tree_builder_new(s, &b, err));
    add_file(b, "z/deep/er/file", text, 70000); /* its folders are added */
    add_file(b, "a", "", 0);
    add_file(b, "a-b", big, 1000000);
    assert_ok(tree_add_dir(b, "empty", err));
    assert_ok(tree_add_symlink(b, "z/link", "deep/er", err));
    assert_ok(tree_add_alias(b, "z/same", "a-b", err));
    assert_ok(tree_file_begin(b, "gone", true, err));
    assert_ok(tree_file_data(b, "12345", 5, err));
    tree_file_abort(b);
    assert_ok(tree_file_begin(b, "\xff\x01 odd\n", true, err));
    assert_ok(tree_file_end(b, err));
    assert_int_equal(tree_add_dir(b, "a", NULL), -ERR_EXISTS);
    assert_int_equal(tree_add_dir(b, "a-b", NULL), -ERR_EXISTS);
    assert_int_equal(tree_add_alias(b, "x", "gone", NULL), -ERR_NOT_FOUND);
    assert_ok(tree_builder_finish(b, &ref, err));
    tree_builder_free(b);

    struct tree *t;
    assert_ok(tree_open(s, ref.text, &t, err));
    static const char *const want[] = {"a", "a-b", "empty", "z", "z/deep", "z/deep/er", "z/deep/er/file",
                                       "z/link", "z/same", "\xff\x01 odd\n"};
    assert_int_equal(tree_count(t), ARRAY_LEN(want));
    for (size_t i = 0; i < ARRAY_LEN(want); i++)
        assert_string_equal(tree_entry_at(t, i)->path, want[i]);
    assert_int_equal(tree_total_bytes(t), 2 * 1000000 + 70000);
    assert_string_equal(tree_entry_at(t, 7)->link, "deep/er");
    assert_true(tree_entry_at(t, 9)->executable);
    check_file(t, "a", "", 0);
    check_file(t, "a-b", big, 1000000);
    check_file(t, "z/same", big, 1000000);
    check_file(t, "z/deep/er/file", text, 70000);
    char *got;
    assert_int_equal(tree_read_file(t, "z", 10, &got, NULL, NULL), -ERR_NOT_FOUND);
    assert_int_equal(tree_read_file(t, "a-b", 10, &got, NULL, NULL), -ERR_LIMIT);
    tree_free(t);
}

static void test_bad_paths(void **state)
{
    struct store *s = *state;
    struct tree_builder *b;
    static char dotted[5000];
    memset(dotted, 'x', 4500);
    static const char *const bad[] = {"", "/", "/a", "a/", "a//b", ".", "..", "a/..", "../a", "a/./b", dotted};
    assert_ok(tree_builder_new(s, &b, err));
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(tree_add_dir(b, bad[i], NULL), -ERR_INVALID);
    struct store_ref ref;
    assert_ok(tree_builder_finish(b, &ref, err)); /* the empty tree */
    tree_builder_free(b);
    struct tree *t;
    assert_ok(tree_open(s, ref.text, &t, err));
    assert_int_equal(tree_count(t), 0);
    tree_free(t);

    /* A file cannot be a folder. */
    assert_ok(tree_builder_new(s, &b, err));
    assert_ok(tree_add_symlink(b, "d", "x", err));
    add_file(b, "d/evil", "x", 1);
    struct err e = {0};
    assert_int_equal(tree_builder_finish(b, &ref, &e), -ERR_INVALID);
    tree_builder_free(b);

    assert_ok(store_put(s, "no tree", 7, NULL, &ref, err));
    assert_int_equal(tree_open(s, ref.text, &t, &e), -ERR_INVALID);
}

/* The bytes of a manifest put as a plain object first do not hide that it is a tree. */
static void test_manifest_as_object(void **state)
{
    struct store *s = *state;
    for (int round = 0; round < 2; round++) {
        struct tree_builder *b;
        struct store_ref ref, plain;
        struct tree *t;
        _cleanup_free_ char *bytes = NULL;
        size_t n;
        assert_ok(tree_builder_new(s, &b, err));
        add_file(b, "f", "content", 7);
        assert_ok(tree_builder_finish(b, &ref, err));
        tree_builder_free(b);
        assert_ok(store_get(s, ref.text, 10000, &bytes, &n, err));
        if (round == 0)
            assert_ok(store_remove(s, ref.text, err));
        assert_ok(store_put(s, bytes, n, "text/plain", &plain, err));
        assert_string_equal(ref.text, plain.text);
        if (round == 0) {
            assert_int_equal(tree_open(s, ref.text, &t, NULL), -ERR_INVALID);
            continue;
        }
        assert_ok(tree_open(s, ref.text, &t, err));
        check_file(t, "f", "content", 7);
        tree_free(t);
    }
}

static void test_many_files(void **state)
{
    struct store *s = *state;
    struct tree_builder *b;
    struct store_ref one, two;
    for (int round = 0; round < 2; round++) {
        assert_ok(tree_builder_new(s, &b, err));
        for (int i = 0; i < 20000; i++) {
            char path[64];
            snprintf(path, sizeof path, "d%03d/file%05d.c", i / 100, i);
            _cleanup_free_ char *text = lab_text(300, (uint64_t)i + (round && i == 7777 ? 1000000 : 0));
            add_file(b, path, text, 300);
        }
        assert_ok(tree_builder_finish(b, round ? &two : &one, err));
        tree_builder_free(b);
    }
    struct store_object_info a;
    struct tree *t;
    assert_ok(store_stat(s, one.text, &a, err));
    assert_ok(tree_open(s, one.text, &t, err));
    assert_int_equal(tree_count(t), 20200);
    for (int i = 0; i < 20000; i += 997) {
        char path[64];
        snprintf(path, sizeof path, "d%03d/file%05d.c", i / 100, i);
        _cleanup_free_ char *text = lab_text(300, (uint64_t)i);
        check_file(t, path, text, 300);
    }
    tree_free(t);
    assert_string_not_equal(one.text, two.text);
}

static void test_order(void **state)
{
    static const char *const sorted[] = {"a", "a/b", "a/b/c", "a/b-", "a-", "a.b", "b"};
    for (size_t i = 0; i < ARRAY_LEN(sorted); i++)
        for (size_t j = 0; j < ARRAY_LEN(sorted); j++) {
            int c = tree_path_compare(sorted[i], sorted[j]);
            assert_int_equal((c > 0) - (c < 0), (i > j) - (i < j));
        }
}

struct cuts {
    struct digest v[1000];
    size_t len[1000], n;
};

/* Cuts data as a stream that comes in pieces. */
static void cut_all(const char *data, size_t len, size_t piece, struct cuts *c)
{
    struct chunker ch;
    size_t start = 0, at = 0;
    chunker_init(&ch, 0, 0, 0);
    c->n = 0;
    while (at < len) {
        int cut;
        size_t want = len - at < piece ? len - at : piece;
        at += chunker_feed(&ch, (const uint8_t *)data + at, want, &cut);
        if (!cut && at < len)
            continue;
        c->len[c->n] = at - start;
        assert_ok(digest_of(data + start, at - start, &c->v[c->n++], err));
        start = at;
    }
}

/* The hash of a stream and those of its pieces, taken together, wherever the pieces begin. */
static void test_pieces(void **state)
{
    const size_t total = (size_t)1 << 20;
    _cleanup_free_ char *data = lab_noise(total, 5);
    for (size_t most = 1; most <= total; most *= 3) {
        _cleanup_(hasher_release) struct hasher h = {0};
        struct digest whole, got, want;
        size_t at = total / 2 / most > 3000 ? total - 3000 * most : 0, start = at, i = 0;
        assert_ok(hasher_init(&h, err));
        while (at < total) {
            size_t n = 1 + (i++ * 7919) % most;
            n = n < total - at ? n : total - at;
            hasher_piece(&h, data + at, n, &got);
            assert_ok(digest_of(data + at, n, &want, err));
            assert_memory_equal(&got, &want, sizeof got);
            at += n;
        }
        hasher_final(&h, &got);
        assert_ok(digest_of(data + start, total - start, &whole, err));
        assert_memory_equal(&got, &whole, sizeof got);
    }
}

static void test_cuts(void **state)
{
    const size_t len = 16 << 20;
    _cleanup_free_ char *data = lab_noise(len + 1, 77);
    _cleanup_free_ struct cuts *a = malloc(sizeof *a), *b = malloc(sizeof *b);
    cut_all(data + 1, len, 1 << 20, a);
    assert_in_range(len / a->n, CHUNK_AVG * 3 / 4, CHUNK_AVG * 3 / 2);
    for (size_t i = 0; i < a->n; i++)
        assert_in_range(a->len[i], i + 1 < a->n ? CHUNK_MIN : 1, CHUNK_MAX);
    cut_all(data + 1, len, 777, b); /* the pieces do not matter */
    assert_int_equal(a->n, b->n);
    assert_memory_equal(a->v, b->v, a->n * sizeof *a->v);
    cut_all(data, len + 1, 5000, b); /* a byte in front moves few cuts */
    size_t shared = 0;
    for (size_t i = 0; i < a->n; i++)
        for (size_t k = 0; k < b->n; k++)
            shared += digest_equal(&a->v[i], &b->v[k]);
    assert_true(shared + 4 >= a->n);
    memset(data, 0, len); /* nothing to cut at: the largest size */
    cut_all(data, len, 1 << 20, a);
    assert_int_equal(a->len[0], CHUNK_MAX);
}

#define BOTH(t)                                                                                    \
    {#t "/local", t, open_local, close_store, NULL}, {#t "/memory", t, open_memory, close_store, NULL}
#define S3(t) {#t "/s3", t, open_s3, close_store, NULL}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(test_round_trip), BOTH(test_bad_paths), BOTH(test_manifest_as_object), BOTH(test_many_files),
        cmocka_unit_test(test_order), cmocka_unit_test(test_cuts), cmocka_unit_test(test_pieces),
    };
    const struct CMUnitTest s3[] = {S3(test_round_trip), S3(test_bad_paths), S3(test_manifest_as_object), S3(test_many_files)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    return lab_has_s3() ? failed + cmocka_run_group_tests(s3, NULL, NULL) : failed;
}
