/* Git repositories: bare ones on this machine, by path or file:// URL. A work tree is a folder like
 * any other. */
#include "ingest/readers.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "os/file.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define READER_CPU_MS (10 * 60 * 1000)
#define READER_WALL_MS (20 * 60 * 1000)
#define READER_MEMORY ((uint64_t)1 << 30)

bool looks_like_url(const char *spec)
{
    static const char *const schemes[] = {"https://", "http://", "ssh://", "git://", "git@",
                                          "file://"};
    for (size_t i = 0; i < ARRAY_LEN(schemes); i++)
        if (strncmp(spec, schemes[i], strlen(schemes[i])) == 0)
            return true;
    return false;
}

static bool has(int dirfd, const char *name, mode_t type)
{
    struct stat st;
    return fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && (st.st_mode & S_IFMT) == type;
}

bool looks_like_bare_repository(int dirfd)
{
    return has(dirfd, "HEAD", S_IFREG) && has(dirfd, "objects", S_IFDIR) &&
           has(dirfd, "refs", S_IFDIR);
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
}

int git_url_path(const char *url, char **ret, struct err *err)
{
    static const char scheme[] = "file://", local[] = "localhost/";
    if (strncmp(url, scheme, sizeof scheme - 1) != 0)
        return -ERR_UNIMPLEMENTED;
    const char *p = url + sizeof scheme - 1;
    if (strncmp(p, local, sizeof local - 1) == 0)
        p += sizeof local - 2;
    if (*p != '/')
        return err_set(err, ERR_INVALID, "not a path on this machine: %.200s", url);
    char *out = mem_alloc(strlen(p) + 1), *o = out;
    if (!out)
        return err_nomem(err);
    for (; *p; p++) {
        int hi = *p == '%' ? hex_digit(p[1]) : -1, lo = hi < 0 ? -1 : hex_digit(p[2]);
        if (lo >= 0 && (hi || lo)) {
            *o++ = (char)(hi << 4 | lo);
            p += 2;
        } else {
            *o++ = *p;
        }
    }
    *o = 0;
    *ret = out;
    return 0;
}

int ingest_git(struct ingest_job *j, const char *path, struct err *err)
{
    struct members_options o = {.entries_max = j->limits.entries_max,
                                .bytes_max = j->limits.total_bytes_max};
    struct sandbox_mount mount = {.kind = MOUNT_BIND, .source = path, .target = "/workspace"};
    struct sandbox_plan plan = {
        .own_code = true,
        .name = "ingest-git",
        .builtin = "ingest-git",
        .mounts = &mount,
        .mounts_count = 1,
        .limits = {.memory_bytes = READER_MEMORY, .cpu_ms = READER_CPU_MS,
                   .wall_ms = READER_WALL_MS,
                   .disk_bytes = 1 << 20, .pids = 16, .files = 256},
    };
    enum members_end end;
    int r = reader_run(j, &plan, -1, &o, &end, err);
    if (r == 0 && end == MEMBERS_NOT_ONE)
        return err_set(err, ERR_INVALID, "%s is not a git repository", path);
    return r;
}
