/* Files: whole reads and writes, atomic replacement under every fault, removal of hostile trees. */
#include "base/cleanup.h"
#include "base/mem.h"
#include "os/fault.h"
#include "os/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int setup(void **state)
{
    char *dir = NULL;
    if (os_temp_dir("/tmp", "ff-test-os-", &dir, NULL) < 0)
        return -1;
    *state = dir;
    return 0;
}

static int teardown(void **state)
{
    os_fault_set(0, 0, false, NULL);
    mem_fault_set(0, 0);
    int r = os_remove_tree(*state, NULL);
    free(*state);
    return r;
}

static size_t count_entries(const char *dir)
{
    size_t n = 0;
    DIR *d = opendir(dir);
    assert_non_null(d);
    while (readdir(d))
        n++;
    closedir(d);
    return n - 2;
}

static size_t count_descriptors(void)
{
    return count_entries("/proc/self/fd");
}

static void assert_content(const char *path, const char *want)
{
    char *text;
    size_t len;
    struct err err = {0};
    if (os_read_file(path, 1 << 20, &text, &len, &err) < 0)
        fail_msg("%s", err.msg);
    assert_int_equal(len, strlen(want));
    assert_string_equal(text, want);
    free(text);
}

/* Every step of replacing a file fails in turn: the old or the new content is there, whole, and nothing else. */
static void replace_under_faults(const char *dir, int errnum, bool memory)
{
    char path[300];
    snprintf(path, sizeof path, "%s/config", dir);
    for (long n = 1;; n++) {
        struct err err = {0};
        assert_int_equal(os_write_file_atomic(path, "old", 3, 0600, NULL), 0);
        size_t descriptors = count_descriptors();
        if (memory)
            mem_fault_set(n, 0);
        else
            os_fault_set(n, errnum, false, NULL);
        int r = os_write_file_atomic(path, "the new content", 15, 0644, &err);
        bool hit = memory ? mem_fault_hit() : os_fault_hit();
        mem_fault_set(0, 0);
        os_fault_set(0, 0, false, NULL);
        assert_int_equal(count_descriptors(), descriptors);
        assert_int_equal(count_entries(dir), 1);
        if (r == 0) {
            assert_content(path, "the new content");
        } else {
            assert_true(err.code == -r && err.msg[0]);
            char *text;
            assert_int_equal(os_read_file(path, 100, &text, NULL, NULL), 0);
            assert_true(strcmp(text, "old") == 0 || strcmp(text, "the new content") == 0);
            free(text);
        }
        if (!hit) {
            assert_int_equal(r, 0);
            assert_true(n > (memory ? 2 : 4)); /* open, write, fsync, rename at least */
            break;
        }
        if (errnum != EINTR)
            assert_true(r < 0);
    }
}

static void test_write_atomic_faults(void **state)
{
    replace_under_faults(*state, ENOSPC, false);
    replace_under_faults(*state, EIO, false);
    replace_under_faults(*state, 0, true);
}

static void test_interrupted_calls(void **state)
{
    char path[300], buf[16];
    size_t n;
    int fd;
    snprintf(path, sizeof path, "%s/f", (char *)*state);
    static const char *const calls[] = {"open", "write", "read"};
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        os_fault_set(1, EINTR, false, calls[i]);
        assert_int_equal(os_open(path, O_RDWR | O_CREAT | O_TRUNC, 0600, &fd, NULL), 0);
        assert_int_equal(os_write_full(fd, "hello", 5, NULL), 0);
        assert_int_equal(os_pread_full(fd, buf, sizeof buf, 0, &n, NULL), 0);
        assert_int_equal(n, 5);
        assert_true(os_fault_hit());
        close(fd);
    }
}

static void test_read_file(void **state)
{
    char path[300], *text = NULL;
    size_t len;
    struct err err = {0};
    snprintf(path, sizeof path, "%s/f", (char *)*state);
    assert_int_equal(os_read_file(path, 10, &text, &len, &err), -ERR_NOT_FOUND);
    assert_non_null(strstr(err.msg, path));
    assert_int_equal(os_write_file_atomic(path, "0123456789", 10, 0600, NULL), 0);
    assert_int_equal(os_read_file(path, 10, &text, &len, &err), 0);
    assert_int_equal(len, 10);
    free(text);
    assert_int_equal(os_read_file(path, 9, &text, &len, &err), -ERR_LIMIT);
    assert_int_equal(os_read_file(*state, 9, &text, &len, &err), -ERR_INVALID);
    assert_int_equal(os_read_file("/dev/zero", 9, &text, &len, &err), -ERR_INVALID);
    assert_int_equal(os_read_file("/proc/self/status", 1 << 20, &text, &len, &err), 0); /* says its size is 0 */
    assert_true(len > 100);
    free(text);
    char fifo[320];
    snprintf(fifo, sizeof fifo, "%s/fifo", (char *)*state);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    assert_int_equal(os_read_file(fifo, 9, &text, &len, &err), -ERR_INVALID); /* and does not hang */
    assert_int_equal(os_write_file_atomic(path, "", 0, 0600, NULL), 0);
    assert_content(path, "");
}

static void test_mode(void **state)
{
    char path[300];
    struct stat st;
    snprintf(path, sizeof path, "%s/f", (char *)*state);
    assert_int_equal(os_write_file_atomic(path, "x", 1, 0640, NULL), 0);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
}

static void test_mkdirs(void **state)
{
    char path[300];
    struct err err = {0};
    snprintf(path, sizeof path, "%s/a/b/c//d/", (char *)*state);
    assert_int_equal(os_mkdirs(path, 0700, &err), 0);
    assert_true(os_is_dir(path));
    assert_int_equal(os_mkdirs(path, 0700, &err), 0);
    snprintf(path, sizeof path, "%s/a", (char *)*state);
    assert_int_equal(os_mkdir(path, 0700, true, &err), 0);
    assert_int_equal(os_mkdir(path, 0700, false, &err), -ERR_EXISTS);
    snprintf(path, sizeof path, "%s/file", (char *)*state);
    assert_int_equal(os_write_file_atomic(path, "x", 1, 0600, NULL), 0);
    assert_int_equal(os_mkdir(path, 0700, true, &err), -ERR_EXISTS); /* there, but no folder */
    strcat(path, "/below");
    assert_true(os_mkdirs(path, 0700, &err) < 0);
}

/* A folder 2,000 deep, made with relative paths because its own is over PATH_MAX. */
static void make_deep(const char *dir, int levels)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY);
    assert_true(fd >= 0);
    for (int i = 0; i < levels; i++) {
        assert_int_equal(mkdirat(fd, "deep", 0700), 0);
        int file = openat(fd, "file", O_WRONLY | O_CREAT, 0600);
        assert_true(file >= 0);
        close(file);
        int next = openat(fd, "deep", O_RDONLY | O_DIRECTORY);
        assert_true(next >= 0);
        close(fd);
        fd = next;
    }
    close(fd);
}

static void test_remove_deep(void **state)
{
    char path[300];
    snprintf(path, sizeof path, "%s/t", (char *)*state);
    assert_int_equal(os_mkdir(path, 0700, false, NULL), 0);
    make_deep(path, 2000);
    size_t descriptors = count_descriptors();
    struct err err = {0};
    if (os_remove_tree(path, &err) < 0)
        fail_msg("%s", err.msg);
    assert_false(os_exists(path));
    assert_int_equal(count_descriptors(), descriptors);
    assert_int_equal(count_entries(*state), 0);
}

static void test_remove_odd(void **state)
{
    char path[300], other[300], name[320];
    snprintf(path, sizeof path, "%s/t", (char *)*state);
    snprintf(other, sizeof other, "%s/other", (char *)*state);
    assert_int_equal(os_remove_tree(path, NULL), 0); /* nothing there */
    assert_int_equal(os_mkdir(other, 0700, false, NULL), 0);
    snprintf(name, sizeof name, "%s/kept", other);
    assert_int_equal(os_write_file_atomic(name, "x", 1, 0600, NULL), 0);
    assert_int_equal(os_mkdir(path, 0700, false, NULL), 0);
    snprintf(name, sizeof name, "%s/link", path);
    assert_int_equal(symlink(other, name), 0);
    snprintf(name, sizeof name, "%s/dangling", path);
    assert_int_equal(symlink("/nowhere", name), 0);
    snprintf(name, sizeof name, "%s/fifo", path);
    assert_int_equal(mkfifo(name, 0600), 0);
    snprintf(name, sizeof name, "%s/locked", path);
    assert_int_equal(mkdir(name, 0700), 0);
    strcat(name, "/f");
    assert_int_equal(os_write_file_atomic(name, "x", 1, 0400, NULL), 0);
    *strrchr(name, '/') = 0;
    assert_int_equal(chmod(name, 0), 0);
    struct err err = {0};
    if (os_remove_tree(path, &err) < 0)
        fail_msg("%s", err.msg);
    assert_false(os_exists(path));
    snprintf(name, sizeof name, "%s/kept", other); /* links were not followed */
    assert_true(os_exists(name));
    snprintf(path, sizeof path, "%s/tolink", (char *)*state);
    assert_int_equal(symlink(other, path), 0);
    assert_int_equal(os_remove_tree(path, NULL), 0); /* removes the link itself */
    assert_true(os_exists(name));
    assert_false(os_exists(path));
}

static void test_remove_wide(void **state)
{
    char path[300], name[320];
    snprintf(path, sizeof path, "%s/t", (char *)*state);
    assert_int_equal(os_mkdir(path, 0700, false, NULL), 0);
    for (int i = 0; i < 3000; i++) {
        snprintf(name, sizeof name, "%s/%d", path, i);
        if (i % 10 == 0)
            assert_int_equal(mkdir(name, 0700), 0);
        else
            close(open(name, O_WRONLY | O_CREAT, 0600));
    }
    assert_int_equal(os_remove_tree(path, NULL), 0);
    assert_false(os_exists(path));
}

static void test_remove_faults(void **state)
{
    char path[300], name[320];
    snprintf(path, sizeof path, "%s/t", (char *)*state);
    for (long n = 1;; n++) {
        assert_int_equal(os_mkdir(path, 0700, true, NULL), 0);
        for (int i = 0; i < 3; i++) {
            snprintf(name, sizeof name, "%s/%d", path, i);
            if (!os_exists(name))
                assert_int_equal(mkdir(name, 0700), 0);
        }
        size_t descriptors = count_descriptors();
        struct err err = {0};
        os_fault_set(n, EIO, false, NULL);
        int r = os_remove_tree(path, &err);
        bool hit = os_fault_hit();
        os_fault_set(0, 0, false, NULL);
        assert_int_equal(count_descriptors(), descriptors);
        assert_int_equal(r < 0, hit);
        assert_int_equal(os_exists(path), hit);
        if (!hit)
            break;
    }
}

static void test_paths(void **state)
{
    static const char *const table[][3] = {{"a", "b", "a/b"}, {"a/", "b", "a/b"}, {"/", "b", "/b"}, {"", "b", "/b"}};
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        char *p = os_path_join(table[i][0], table[i][1]);
        assert_string_equal(p, table[i][2]);
        free(p);
    }
    char *real;
    assert_int_equal(os_real_path("/proc/self/../self/", &real, NULL), 0);
    assert_memory_equal(real, "/proc/", 6);
    free(real);
    assert_int_equal(os_real_path("/nowhere/x", &real, NULL), -ERR_NOT_FOUND);
    assert_int_equal(os_unlink("/nowhere/x", true, NULL), 0);
    assert_int_equal(os_unlink("/nowhere/x", false, NULL), -ERR_NOT_FOUND);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_write_atomic_faults), T(test_interrupted_calls), T(test_read_file),   T(test_mode),
        T(test_mkdirs),              T(test_remove_deep),       T(test_remove_odd),  T(test_remove_wide),
        T(test_remove_faults),       T(test_paths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
