/* Inside the sandbox: reads an archive by libarchive, and tells its members as frames.
 *
 * Only formats and filters that libarchive reads itself are allowed: none that would start a
 * program. Nothing is judged here; whoever takes this process over can say no more than the frames
 * allow. */
#include "base/cleanup.h"
#include "ingest/entry_stream.h"
#include "ingest/readers.h"
#include "os/library.h"

#include <archive.h>
#include <archive_entry.h>
#include <locale.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DATA_MAX ((size_t)128 << 10)

#if ARCHIVE_VERSION_NUMBER / 1000000 != 3
#error "the name of libarchive's shared object is known for version 3"
#endif
#define ARCHIVE_SONAME "libarchive.so.13"

#define ARCHIVE_CALLS(X) \
    X(archive_entry_filetype) X(archive_entry_hardlink) X(archive_entry_hardlink_utf8)            \
    X(archive_entry_is_encrypted) X(archive_entry_pathname) X(archive_entry_pathname_utf8)        \
    X(archive_entry_perm) X(archive_entry_symlink) X(archive_entry_symlink_utf8)                  \
    X(archive_error_string) X(archive_filter_bytes) X(archive_format) X(archive_read_data)        \
    X(archive_read_free) X(archive_read_new) X(archive_read_next_header)                          \
    X(archive_read_open_fd) X(archive_read_support_filter_bzip2)                                  \
    X(archive_read_support_filter_compress) X(archive_read_support_filter_gzip)                   \
    X(archive_read_support_filter_lz4) X(archive_read_support_filter_lzma)                        \
    X(archive_read_support_filter_xz) X(archive_read_support_filter_zstd)                         \
    X(archive_read_support_format_7zip) X(archive_read_support_format_gnutar)                     \
    X(archive_read_support_format_tar) X(archive_read_support_format_zip)
static struct {
    ARCHIVE_CALLS(OS_LIBRARY_FIELD)
} lib;

static int load(struct err *err)
{
    static const struct os_symbol calls[] = {ARCHIVE_CALLS(OS_LIBRARY_ENTRY)};
    return os_library_load(ARCHIVE_SONAME, calls, ARRAY_LEN(calls), err);
}

static int allow(struct archive *a)
{
    int (*const each[])(struct archive *) = {
        lib.archive_read_support_format_tar,     lib.archive_read_support_format_gnutar,
        lib.archive_read_support_format_zip,     lib.archive_read_support_format_7zip,
        lib.archive_read_support_filter_gzip,
        lib.archive_read_support_filter_bzip2,   lib.archive_read_support_filter_xz,
        lib.archive_read_support_filter_lzma,    lib.archive_read_support_filter_zstd,
        lib.archive_read_support_filter_lz4,     lib.archive_read_support_filter_compress,
    };
    for (size_t i = 0; i < sizeof each / sizeof each[0]; i++)
        if (each[i](a) < ARCHIVE_WARN) /* a warning: by an outside program, which there is none of in here */
            return -1;
    return 0;
}

static const char *why(struct archive *a)
{
    const char *s = lib.archive_error_string(a);
    return s && *s ? s : "damaged";
}

/* The bytes of one file. */
static int tell_data(struct archive *a, int out, char *buf)
{
    for (;;) {
        la_ssize_t n = lib.archive_read_data(a, buf, DATA_MAX);
        uint8_t head[8];
        if (n == ARCHIVE_RETRY)
            continue;
        if (n < 0) {
            const char *text = why(a);
            return frame_write(out, FRAME_FILE_END, "\1", 1, text, strlen(text));
        }
        if (n == 0)
            return frame_write(out, FRAME_FILE_END, "\0", 1, NULL, 0);
        la_int64_t read_so_far = lib.archive_filter_bytes(a, -1);
        for (int i = 0; i < 8; i++)
            head[i] = (uint8_t)((uint64_t)read_so_far >> (8 * i));
        int r = frame_write(out, FRAME_DATA, head, 8, buf, (size_t)n);
        if (r < 0)
            return r;
    }
}

static const char *either(const char *a, const char *b)
{
    return a ? a : b;
}

static int tell_member(struct archive *a, struct archive_entry *e, int out, char *buf)
{
    const char *path = either(lib.archive_entry_pathname(e), lib.archive_entry_pathname_utf8(e));
    const char *hard = either(lib.archive_entry_hardlink(e), lib.archive_entry_hardlink_utf8(e));
    const char *link = either(lib.archive_entry_symlink(e), lib.archive_entry_symlink_utf8(e));
    if (!path)
        return frame_write_pair(out, FRAME_UNREADABLE, "", "a member whose name cannot be read");
    if (hard)
        return frame_write_pair(out, FRAME_HARDLINK, path, hard);
    if (lib.archive_entry_is_encrypted(e))
        return frame_write_pair(out, FRAME_UNREADABLE, path, "encrypted");
    uint8_t executable = (lib.archive_entry_perm(e) & 0111) != 0;
    switch (lib.archive_entry_filetype(e)) {
    case AE_IFDIR: return frame_write(out, FRAME_DIR, path, strlen(path), NULL, 0);
    case AE_IFLNK: return frame_write_pair(out, FRAME_SYMLINK, path, link ? link : "");
    case AE_IFREG:
    case 0: break;
    default: return frame_write(out, FRAME_ODD, path, strlen(path), NULL, 0);
    }
    int r = frame_write(out, FRAME_FILE, &executable, 1, path, strlen(path));
    return r < 0 ? r : tell_data(a, out, buf);
}

static int tell_all(struct archive *a, int out, char *buf)
{
    size_t members = 0;
    for (;;) {
        struct archive_entry *e;
        int r = lib.archive_read_next_header(a, &e);
        if (r == ARCHIVE_RETRY)
            continue;
        if (r == ARCHIVE_EOF)
            return members || lib.archive_format(a) ? frame_write(out, FRAME_DONE, NULL, 0, NULL, 0)
                                                : frame_write(out, FRAME_NOT_ONE, NULL, 0, NULL, 0);
        if (r < ARCHIVE_WARN) {
            if (!members && !lib.archive_format(a))
                return frame_write(out, FRAME_NOT_ONE, NULL, 0, NULL, 0);
            return frame_write(out, FRAME_DAMAGED, why(a), strlen(why(a)), NULL, 0);
        }
        members++;
        r = tell_member(a, e, out, buf);
        if (r < 0)
            return r;
    }
}

int archive_reader_main(int in, int out)
{
    signal(SIGPIPE, SIG_IGN);
    /* Names in Unicode are turned into the locale's text; others come as they are. */
    if (!setlocale(LC_CTYPE, "C.UTF-8"))
        setlocale(LC_CTYPE, "en_US.UTF-8");
    struct err err = {0};
    if (load(&err) < 0) {
        fprintf(stderr, "%s\n", err.msg);
        return 1;
    }
    struct archive *a = lib.archive_read_new();
    char *buf = malloc(DATA_MAX);
    int r = -1;
    if (a && buf && allow(a) == 0) {
        if (lib.archive_read_open_fd(a, in, 64 << 10) == ARCHIVE_OK)
            r = tell_all(a, out, buf);
        else
            r = frame_write(out, FRAME_NOT_ONE, NULL, 0, NULL, 0);
    }
    if (a)
        lib.archive_read_free(a);
    free(buf);
    return r < 0 ? 1 : 0;
}
