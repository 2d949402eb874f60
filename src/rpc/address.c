/* Where a client goes and a server listens. The library takes socket paths of at most 107 bytes, as URIs: a longer path, or
 * one with characters that mean something there, is reached through its open folder as /proc/self/fd/N/name. */
#include "rpc_internal.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "os/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PLAIN_PATH_MAX 100
#define BOUND_NAME "s"

static bool plain(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || (c && strchr("._~-/", c));
}

static bool all_plain(const char *s)
{
    while (plain(*s))
        s++;
    return !*s;
}

/* "unix:/proc/self/fd/N/name", the name percent-encoded. */
static char *through_folder(int fd, const char *name)
{
    struct strbuf b = STRBUF_INIT_MAX(4096);
    strbuf_printf(&b, RPC_UNIX_PREFIX "/proc/self/fd/%d/", fd);
    for (; *name; name++) {
        if (plain(*name))
            strbuf_putc(&b, *name);
        else
            strbuf_printf(&b, "%%%02X", (unsigned char)*name);
    }
    return strbuf_take(&b, NULL);
}

/* The path in "unix:/path" or "unix:///path"; NULL: something else. */
static const char *unix_path(const char *target)
{
    if (strncmp(target, RPC_UNIX_PREFIX, strlen(RPC_UNIX_PREFIX)) != 0)
        return NULL;
    const char *p = target + strlen(RPC_UNIX_PREFIX);
    return strncmp(p, "///", 3) == 0 ? p + 2 : p;
}

static int open_folder(const char *path, int *ret_fd, struct err *err)
{
    const char *slash = strrchr(path, '/');
    _cleanup_free_ char *dir = slash ? mem_strndup(path, (size_t)(slash - path) + 1) : mem_strdup(".");
    return dir ? os_open(dir, O_PATH | O_DIRECTORY, 0, ret_fd, err) : err_nomem(err);
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static int begin(const char *target, struct rpc_address *a, struct err *err)
{
    *a = (struct rpc_address)RPC_ADDRESS_INIT;
    const char *path = unix_path(target);
    if (!*target || (path && !*base_name(path)) || (path && strlen(base_name(path)) > 100))
        return err_set(err, ERR_INVALID, "'%s' is no address: host:port or unix:/path", target);
    a->shown = mem_strdup(target);
    a->path = path ? mem_strdup(path) : NULL;
    return a->shown && (a->path || !path) ? 0 : err_nomem(err);
}

int rpc_address_client(const char *target, struct rpc_address *a, struct err *err)
{
    int r = begin(target, a, err);
    if (r == 0 && a->path && (strlen(a->path) > PLAIN_PATH_MAX || !all_plain(a->path))) {
        r = open_folder(a->path, &a->dir_fd, err);
        a->target = r == 0 ? through_folder(a->dir_fd, base_name(a->path)) : NULL;
    } else if (r == 0) {
        a->target = a->path ? mem_printf(RPC_UNIX_PREFIX "%s", a->path) : mem_strdup(target);
    }
    if (r == 0 && !a->target)
        r = err_nomem(err);
    if (r < 0)
        rpc_address_release(a);
    return r;
}

int rpc_address_listen(const char *address, struct rpc_address *a, struct err *err)
{
    int r = begin(address, a, err);
    if (r == 0 && a->path) {
        _cleanup_free_ char *dir = mem_strdup(a->path);
        if (dir)
            dir[base_name(a->path) - a->path] = 0;
        r = !dir ? err_nomem(err) : os_temp_dir(*dir ? dir : ".", ".ff-socket-", &a->temp_dir, err);
        if (r == 0)
            r = os_open(a->temp_dir, O_PATH | O_DIRECTORY, 0, &a->dir_fd, err);
        a->target = r == 0 ? through_folder(a->dir_fd, BOUND_NAME) : NULL;
    } else if (r == 0) {
        a->target = mem_strdup(address);
    }
    if (r == 0 && !a->target)
        r = err_nomem(err);
    if (r < 0)
        rpc_address_release(a);
    return r;
}

/* Until here the socket was in a folder that only we may enter, so nobody ever saw it with another mode; and the rename
 * replaces a stale one at once. */
int rpc_address_place(struct rpc_address *a, struct err *err)
{
    struct stat st;
    if (!a->path)
        return 0;
    if (fchmodat(a->dir_fd, BOUND_NAME, 0600, 0) < 0 || fstatat(a->dir_fd, BOUND_NAME, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return err_sys(err, errno, "set the mode of the socket %s", a->path);
    if (renameat(a->dir_fd, BOUND_NAME, AT_FDCWD, a->path) < 0)
        return err_sys(err, errno, "make the socket %s", a->path);
    a->dev = st.st_dev;
    a->ino = st.st_ino;
    a->placed = true;
    rmdir(a->temp_dir);
    return 0;
}

void rpc_address_unplace(struct rpc_address *a)
{
    struct stat st;
    if (a->placed && lstat(a->path, &st) == 0 && st.st_dev == a->dev && st.st_ino == a->ino)
        unlink(a->path);
    a->placed = false;
}

void rpc_address_release(struct rpc_address *a)
{
    rpc_address_unplace(a);
    if (a->temp_dir) {
        if (a->dir_fd >= 0)
            unlinkat(a->dir_fd, BOUND_NAME, 0);
        rmdir(a->temp_dir);
    }
    if (a->dir_fd >= 0)
        close(a->dir_fd);
    free(a->target);
    free(a->shown);
    free(a->path);
    free(a->temp_dir);
    *a = (struct rpc_address)RPC_ADDRESS_INIT;
}

bool rpc_target_local(const char *target)
{
    if (unix_path(target))
        return true;
    const char *host = strstr(target, ":///");
    host = host ? host + 4 : target;
    return strncmp(host, "localhost", 9) == 0 || strncmp(host, "127.", 4) == 0 || strncmp(host, "[::1]", 5) == 0;
}
