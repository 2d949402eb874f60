/* Archives, honest and hostile, read in the real sandbox. */
#include "fixture.h"

#include "ingest/readers.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <locale.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>

struct member {
    const char *path;
    mode_t type; /* AE_IFx; 0: a hard link */
    const char *data; /* or the target */
    mode_t perm;
};

static struct archive *open_archive(const char *path, bool zip, const char *filter)
{
    struct archive *a = archive_write_new();
    int r = strstr(strrchr(path, '/'), "7z") ? archive_write_set_format_7zip(a)
            : zip              ? archive_write_set_format_zip(a)
                               : archive_write_set_format_pax_restricted(a);
    assert_int_equal(r, ARCHIVE_OK);
    if (filter)
        assert_int_equal(archive_write_add_filter_by_name(a, filter), ARCHIVE_OK);
    assert_int_equal(archive_write_open_filename(a, path), ARCHIVE_OK);
    return a;
}

static void add_member(struct archive *a, const struct member *m)
{
    struct archive_entry *e = archive_entry_new();
    archive_entry_copy_pathname(e, m->path);
    archive_entry_set_perm(e, m->perm ? m->perm : 0644);
    archive_entry_set_filetype(e, m->type ? m->type : AE_IFREG);
    bool data = m->type == AE_IFREG;
    if (data)
        archive_entry_set_size(e, (la_int64_t)strlen(m->data));
    else if (m->type == AE_IFLNK)
        archive_entry_copy_symlink(e, m->data);
    else if (m->type == 0)
        archive_entry_copy_hardlink(e, m->data);
    assert_true(archive_write_header(a, e) >= ARCHIVE_WARN);
    if (data)
        assert_int_equal(archive_write_data(a, m->data, strlen(m->data)), strlen(m->data));
    archive_entry_free(e);
}

static char *make(struct fixture *f, const char *name, bool zip, const char *filter, const struct member *m,
                  size_t n)
{
    char *path = os_path_join(f->dir, name);
    struct archive *a = open_archive(path, zip, filter);
    for (size_t i = 0; i < n; i++)
        add_member(a, &m[i]);
    assert_int_equal(archive_write_close(a), ARCHIVE_OK);
    archive_write_free(a);
    return path;
}

#define MAKE(f, name, zip, filter, ...)                                                            \
    make(f, name, zip, filter, (const struct member[]){__VA_ARGS__},                               \
         ARRAY_LEN(((const struct member[]){__VA_ARGS__})))

#define FILE_(p, d) {p, AE_IFREG, d, 0}

static void test_kinds(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *name, *filter;
        bool zip;
    } kinds[] = {{"a.tar", NULL, false}, {"a.tar.gz", "gzip", false}, {"a.tgz", "gzip", false},
                 {"a.tar.bz2", "bzip2", false}, {"a.tar.xz", "xz", false}, {"a.tar.zst", "zstd", false},
                 {"a.zip", NULL, true}, {"noname", "gzip", false}, {"noname2", NULL, true}, {"noname3", NULL, false},
                 {"a.7z", NULL, false}, {"noname7z", NULL, false}};
    struct store_ref first = {""};
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        _cleanup_free_ char *p = MAKE(f, kinds[i].name, kinds[i].zip, kinds[i].filter, {"dir", AE_IFDIR, NULL, 0755},
            FILE_("dir/a.py", "import os\n"), {"run", AE_IFREG, "#!/bin/sh\n", 0755}, FILE_("./x//y/./z", "deep"),
            {"link", AE_IFLNK, "dir/a.py", 0}, FILE_("gr\xc3\xbc\xc3\x9f.txt", "utf-8"));
        take(f, p);
        assert_string_equal(f->res.kind, "archive");
        assert_false(f->res.incomplete);
        assert_int_equal(f->res.files, 4);
        assert_int_equal(f->res.notices_count, 0);
        assert_content(f, "dir/a.py", "import os\n");
        assert_content(f, "x/y/z", "deep");
        assert_content(f, "gr\xc3\xbc\xc3\x9f.txt", "utf-8");
        assert_true(has_entry(f, "link"));
        if (i == 0)
            first = f->res.tree;
        assert_string_equal(first.text, f->res.tree.text); /* the same tree, however it came */
    }
}

static void test_hostile_members(void **state)
{
    struct fixture *f = *state;
    _cleanup_free_ char *p = MAKE(f, "evil.tar", false, NULL, FILE_("ok.py", "eval(input())\n"),
        FILE_("../evil.txt", "x"), FILE_("/abs/evil.txt", "x"), FILE_("a/../../evil", "x"), FILE_("a/..", "x"),
        {"d", AE_IFLNK, "/etc", 0}, FILE_("d/evil.txt", "below a skipped link is a folder"),
        {"e", AE_IFLNK, "ok.py", 0}, FILE_("e/evil.txt", "below a link"), FILE_("ok.py/evil", "below a file"),
        {"h", 0, "/etc/passwd", 0}, {"h2", 0, "../x", 0}, {"h3", 0, "ok.py", 0}, {"h4", 0, "nothing", 0},
        {"up", AE_IFLNK, "../up", 0}, {"dev", AE_IFCHR, NULL, 0}, {"fifo", AE_IFIFO, NULL, 0},
        {"deep/in", AE_IFLNK, "../ok.py", 0}, {"deep/out", AE_IFLNK, "../../ok.py", 0});
    take(f, p);
    assert_false(f->res.incomplete);
    assert_false(f->res.refused);
    static const char *const skipped[] = {"../evil.txt", "/abs/evil.txt", "a/../../evil", "a/..", "d", "e/evil.txt",
        "ok.py/evil", "h4", "up", "dev", "fifo", "deep/out", "/etc/passwd", "../x"};
    for (size_t i = 0; i < ARRAY_LEN(skipped); i++)
        assert_notice(f, skipped[i], INGEST_SKIPPED);
    assert_content(f, "ok.py", "eval(input())\n");
    assert_content(f, "h3", "eval(input())\n");
    assert_content(f, "d/evil.txt", "below a skipped link is a folder");
    assert_true(has_entry(f, "deep/in"));
    static const char *const absent[] = {"h", "h2", "h4", "up", "dev", "fifo", "deep/out", "e/evil.txt"};
    for (size_t i = 0; i < ARRAY_LEN(absent); i++)
        assert_false(has_entry(f, absent[i]));
}

static void test_duplicates(void **state)
{
    struct fixture *f = *state;
    _cleanup_free_ char *p = MAKE(f, "twice.tar", false, NULL, FILE_("a", "first"), {"b", 0, "a", 0},
        FILE_("a", "second"), FILE_("c", "c"), {"c", AE_IFLNK, "a", 0}, {"d", AE_IFDIR, NULL, 0755}, FILE_("d", "no"));
    take(f, p);
    assert_content(f, "a", "second");
    assert_content(f, "b", "first");
    assert_notice(f, "a", INGEST_SKIPPED);
    assert_notice(f, "c", INGEST_SKIPPED);
    assert_notice(f, "d", INGEST_SKIPPED);
    assert_int_equal(f->res.files, 2);
}

static void write_zeros(struct archive *a, const char *name, uint64_t size)
{
    static char zeros[1 << 20];
    struct archive_entry *e = archive_entry_new();
    archive_entry_copy_pathname(e, name);
    archive_entry_set_perm(e, 0644);
    archive_entry_set_filetype(e, AE_IFREG);
    archive_entry_set_size(e, (la_int64_t)size);
    assert_true(archive_write_header(a, e) >= ARCHIVE_WARN);
    for (uint64_t at = 0; at < size; at += sizeof zeros)
        assert_true(archive_write_data(a, zeros, sizeof zeros) > 0);
    archive_entry_free(e);
}

static void test_bomb(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *name, *filter;
        bool zip;
        int pieces;
    } kinds[] = {{"bomb.tar.gz", "gzip", false, 4}, {"bomb.zip", NULL, true, 4}, {"bomb.7z", NULL, false, 1}};
    for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
        _cleanup_free_ char *p = os_path_join(f->dir, kinds[k].name);
        struct archive *a = open_archive(p, kinds[k].zip, kinds[k].filter);
        add_member(a, &(struct member)FILE_("first.py", "x = 1\n"));
        for (int i = 0; i < kinds[k].pieces; i++)
            write_zeros(a, "zeros", 100 << 20);
        archive_write_close(a);
        archive_write_free(a);
        take(f, p);
        assert_true(f->res.refused);
        assert_true(f->res.incomplete);
        assert_true(f->res.bytes < 100 << 20);
        assert_content(f, "first.py", "x = 1\n");
        assert_int_equal(f->res.files, 1);
    }
}

static void test_bounds(void **state)
{
    struct fixture *f = *state;
    _cleanup_free_ char *p = MAKE(f, "b.tar", false, NULL, FILE_("1", "11111"), FILE_("2", "22222"),
                                  FILE_("3/3/3", "33333"), FILE_("4", "44444"));
    f->o.limits.archive_entries_max = 4;
    take(f, p);
    assert_true(f->res.refused && f->res.incomplete);
    assert_int_equal(f->res.files, 2);
    f->o.limits = (struct ingest_limits){.archive_bytes_max = 12};
    take(f, p);
    assert_true(f->res.refused && f->res.incomplete);
    f->o.limits = (struct ingest_limits){.total_bytes_max = 12};
    take(f, p);
    assert_true(f->res.incomplete);
    f->o.limits = (struct ingest_limits){.depth_max = 1};
    take(f, p);
    assert_true(f->res.incomplete);
    assert_false(f->res.refused);
    assert_int_equal(f->res.files, 3);
    assert_notice(f, "3/3/3", INGEST_BOUND);
}

/* The index of a 7z stands at its end: without it nothing can be read. */
static void test_truncated_7z(void **state)
{
    struct fixture *f = *state;
    _cleanup_free_ char *p = MAKE(f, "t.7z", false, NULL, FILE_("a", "whole"), FILE_("b", "lost"));
    struct stat st;
    assert_int_equal(stat(p, &st), 0);
    for (off_t size = st.st_size - 1; size > 32; size /= 2) {
        assert_int_equal(truncate(p, size), 0);
        take(f, p);
        assert_true(f->res.incomplete);
        assert_false(has_entry(f, "a"));
    }
}

static void test_hostile_7z(void **state)
{
    struct fixture *f = *state;
    _cleanup_free_ char *p = MAKE(f, "evil.7z", false, NULL, FILE_("ok.py", "x = 1\n"), FILE_("../evil.txt", "x"),
                                  FILE_("/abs/evil.txt", "x"), {"d", AE_IFLNK, "/etc", 0}, FILE_("d/evil.txt", "x"));
    take(f, p);
    assert_false(f->res.incomplete);
    assert_content(f, "ok.py", "x = 1\n");
    assert_notice(f, "../evil.txt", INGEST_SKIPPED);
    assert_notice(f, "/abs/evil.txt", INGEST_SKIPPED);
    assert_notice(f, "d", INGEST_SKIPPED);
    f->o.limits.archive_entries_max = 2;
    take(f, p);
    assert_true(f->res.refused && f->res.incomplete);
}

static void test_truncated(void **state)
{
    struct fixture *f = *state;
    _cleanup_free_ char *noise = lab_noise(400000, 3);
    for (size_t i = 0; i < 400000; i++)
        noise[i] = (char)('0' + (unsigned char)noise[i] % 64);
    noise[400000 - 1] = 0;
    static const struct {
        const char *name, *filter;
        bool zip;
    } kinds[] = {{"t.tar", NULL, false}, {"t.tar.gz", "gzip", false}, {"t.zip", NULL, true}};
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        _cleanup_free_ char *p = MAKE(f, kinds[i].name, kinds[i].zip, kinds[i].filter, FILE_("a", "whole"),
                                      FILE_("b", noise), FILE_("c", "lost"));
        struct stat st;
        assert_int_equal(stat(p, &st), 0);
        assert_int_equal(truncate(p, st.st_size / 2), 0);
        take(f, p);
        assert_true(f->res.incomplete);
        assert_false(f->res.refused);
        assert_content(f, "a", "whole");
        assert_false(has_entry(f, "b"));
    }
}

static void test_not_an_archive(void **state)
{
    struct fixture *f = *state;
    lab_write(f->dir, "plain.gz", "\x1f\x8b\x08 nothing of the kind", 23);
    _cleanup_free_ char *p = os_path_join(f->dir, "plain.gz");
    take(f, p);
    assert_string_equal(f->res.kind, "file");
    assert_false(f->res.incomplete);
    assert_int_equal(f->res.files, 1);
    lab_write(f->dir, "broken.zip", "this is no zip at all", 21);
    _cleanup_free_ char *q = os_path_join(f->dir, "broken.zip");
    take(f, q);
    assert_true(f->res.incomplete);
    assert_int_equal(f->res.files, 1);
    struct ingest_result res;
    f->o.spawner = NULL;
    assert_int_equal(ingest(f->s, q, &f->o, &res, NULL), -ERR_STATE);
}

static void test_encrypted(void **state)
{
    struct fixture *f = *state;
    _cleanup_free_ char *p = os_path_join(f->dir, "secret.zip");
    struct archive *a = archive_write_new();
    archive_write_set_format_zip(a);
    assert_int_equal(archive_write_set_options(a, "zip:encryption=traditional"), ARCHIVE_OK);
    archive_write_set_passphrase(a, "open sesame");
    assert_int_equal(archive_write_open_filename(a, p), ARCHIVE_OK);
    add_member(a, &(struct member)FILE_("hidden", "secret"));
    archive_write_close(a);
    archive_write_free(a);
    take(f, p);
    assert_true(f->res.incomplete);
    assert_notice(f, "hidden", INGEST_UNREADABLE);
    assert_int_equal(f->res.files, 0);
}

static bool now(void *arg)
{
    return true;
}

static void test_cancel(void **state)
{
    struct fixture *f = *state;
    _cleanup_free_ char *p = MAKE(f, "c.tar", false, NULL, FILE_("a", "b"));
    struct ingest_result res;
    f->o.cancelled = now;
    assert_int_equal(ingest(f->s, p, &f->o, &res, NULL), -ERR_CANCELLED);
}

/* --- a reader in somebody's hands: any bytes on its output --- */

struct script {
    int fd;
    const uint8_t *data;
    size_t len;
};

static void *play(void *arg)
{
    struct script *s = arg;
    for (size_t at = 0; at < s->len;) {
        ssize_t n = write(s->fd, s->data + at, s->len - at);
        if (n <= 0)
            break;
        at += (size_t)n;
    }
    close(s->fd);
    return NULL;
}

/* Gives the result's tree, or fails if the parent does. */
static void take_frames(struct fixture *f, const uint8_t *data, size_t len)
{
    int p[2];
    pthread_t t;
    enum members_end end;
    struct tree_builder *b;
    struct store_ref ref;
    struct ingest_job j = {.s = f->s, .o = &f->o, .res = &f->res};
    struct members_options o = {.input_bytes = 1000, .entries_max = 100, .bytes_max = 100000, .ratio_max = 100};
    j.limits = (struct ingest_limits){.entries_max = 1000, .total_bytes_max = 1000000, .path_bytes_max = 4096, .depth_max = 512};
    ingest_result_release(&f->res);
    assert_ok(tree_builder_new(f->s, &b, err));
    j.b = b;
    assert_int_equal(pipe(p), 0);
    struct script s = {p[1], data, len};
    pthread_create(&t, NULL, play, &s);
    assert_ok(members_take(&j, p[0], &o, &end, err));
    close(p[0]);
    pthread_join(t, NULL);
    assert_ok(tree_builder_finish(b, &ref, err));
    tree_builder_free(b);
}

static void test_hostile_reader(void **state)
{
    struct fixture *f = *state;
    uint64_t seed = 99;
    static const char types[] = "DFBELHOUNXQZ?";
    signal(SIGPIPE, SIG_IGN);
    for (int round = 0; round < 3000; round++) {
        uint8_t buf[2000];
        size_t n = 0;
        for (int i = 0; i < 12 && n < 1800; i++) { /* frames that are nearly right */
            size_t len = lab_random(&seed) % 40;
            buf[n++] = (uint8_t)types[lab_random(&seed) % (sizeof types - 1)];
            buf[n++] = (uint8_t)len;
            buf[n++] = 0;
            buf[n++] = lab_random(&seed) % 50 == 0;
            buf[n++] = lab_random(&seed) % 50 == 0 ? 0xff : 0;
            for (size_t k = 0; k < len; k++)
                buf[n++] = (uint8_t)"\0\1\2\4ab./"[lab_random(&seed) % 8];
        }
        take_frames(f, buf, n);
    }
    take_frames(f, (const uint8_t *)"", 0);
    assert_true(f->res.incomplete);
    /* Data that belongs to no file. */
    take_frames(f, (const uint8_t *)"B\x09\0\0\0" "12345678x", 14);
    assert_true(f->res.incomplete);
}

static int builtin(const char *name, void *arg)
{
    return ingest_builtin(name);
}

int main(void)
{
    setlocale(LC_CTYPE, "C.UTF-8"); /* names of 7z are Unicode */
    const struct CMUnitTest tests[] = {
        CASE(test_kinds), CASE(test_hostile_members), CASE(test_duplicates), CASE(test_bomb), CASE(test_bounds),
        CASE(test_truncated), CASE(test_truncated_7z), CASE(test_hostile_7z), CASE(test_not_an_archive), CASE(test_encrypted), CASE(test_cancel),
        CASE(test_hostile_reader),
    };
    struct spawner_options o = {.builtin = builtin};
    struct err err = {0};
    if (spawner_start(&o, &fixture_spawner, &err) < 0) {
        fprintf(stderr, "%s\n", err.msg);
        return 1;
    }
    int r = cmocka_run_group_tests(tests, NULL, NULL);
    spawner_free(fixture_spawner);
    return r;
}
