#include "store/local_pack.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "os/fault.h"
#include "os/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define START_EVERY ((uint64_t)1 << 20)

int local_pack_begin(struct local_pack *p, const char *dir, const char *name, struct err *err)
{
    *p = (struct local_pack){.fd = -1};
    snprintf(p->name, sizeof p->name, "%s", name);
    p->path = os_path_join(dir, name);
    int r = p->path ? os_open(p->path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0644, &p->fd, err) : err_nomem(err);
    if (r < 0) {
        free(p->path);
        *p = (struct local_pack){0};
    }
    return r;
}

int local_pack_add(struct local_pack *p, const void *data, size_t len, struct db_place *ret, struct err *err)
{
    if (p->broken)
        return err_set(err, ERR_IO, "an earlier write to %s failed", p->path);
    int r = os_write_full(p->fd, data, len, err);
    if (r < 0) {
        p->broken = true;
        return r;
    }
    *ret = (struct db_place){.at = p->len, .len = len};
    snprintf(ret->pack, sizeof ret->pack, "%s", p->name);
    p->len += len;
    if (p->len - p->started >= START_EVERY) { /* a head start only */
        (void)sync_file_range(p->fd, (off_t)p->started, (off_t)(p->len - p->started), SYNC_FILE_RANGE_WRITE);
        p->started = p->len;
    }
    return 0;
}

int local_pack_seal(struct local_pack *p, struct err *err)
{
    if (!p->path)
        return 0;
    int r = p->broken ? err_set(err, ERR_IO, "an earlier write to %s failed", p->path) : os_fsync(p->fd, err);
    if (r < 0)
        return r;
    close(p->fd);
    free(p->path);
    *p = (struct local_pack){0};
    return 0;
}

void local_pack_drop(struct local_pack *p)
{
    if (!p->path)
        return;
    close(p->fd);
    (void)unlink(p->path);
    free(p->path);
    *p = (struct local_pack){0};
}

static int read_place(const char *dir, const struct db_place *place, size_t max, char **ret, size_t *ret_len, struct err *err)
{
    if (place->len > max)
        return err_set(err, ERR_LIMIT, "a blob of %llu bytes is over %zu", (unsigned long long)place->len, max);
    _cleanup_free_ char *path = os_path_join(dir, place->pack), *data = mem_alloc(place->len + 1);
    _cleanup_close_ int fd = -1;
    if (!path || !data)
        return err_nomem(err);
    int r = os_open(path, O_RDONLY | O_NOFOLLOW, 0, &fd, err);
    for (size_t done = 0; r == 0 && done < place->len;) {
        int e = os_fault("read");
        ssize_t n = e ? -1 : pread(fd, data + done, place->len - done, (off_t)(place->at + done));
        if (n < 0 && !e && errno == EINTR)
            continue;
        if (n < 0)
            r = err_sys(err, e ? e : errno, "read %s", path);
        else if (n == 0)
            r = err_set(err, ERR_CORRUPT, "%s is shorter than it was", path);
        else
            done += (size_t)n;
    }
    if (r < 0)
        return r;
    data[place->len] = 0;
    *ret_len = place->len;
    *ret = TAKE_PTR(data);
    return 0;
}

/* What is removed or written anew while it is read may have become a hole: then it is looked for again. */
int local_pack_get(struct local_db *db, const char *dir, const char *name, size_t max, char **ret,
                   size_t *ret_len, struct err *err)
{
    struct db_place place, now;
    int64_t stamp;
    int r = local_db_find(db, name, &place, &stamp, err);
    while (r == 0) {
        char *data = NULL;
        struct err e = {0};
        int got = read_place(dir, &place, max, &data, ret_len, &e);
        r = local_db_find(db, name, &now, &stamp, err);
        if (r == 0 && now.at == place.at && strcmp(now.pack, place.pack) == 0) {
            *ret = data;
            return got < 0 ? err_copy(err, &e) : 0;
        }
        free(data);
        place = now;
    }
    return r;
}

/* Not there if its pack is not, or too short: then it is to be written again. */
int local_pack_stat(struct local_db *db, const char *dir, const char *name, struct blob_info *ret, struct err *err)
{
    struct db_place place;
    int64_t stamp;
    struct stat st;
    int r = local_db_find(db, name, &place, &stamp, err);
    if (r < 0)
        return r;
    _cleanup_free_ char *path = os_path_join(dir, place.pack);
    if (!path)
        return err_nomem(err);
    int e = os_fault("stat");
    if (e || lstat(path, &st) < 0) {
        e = e ? e : errno;
        return e == ENOENT ? -ERR_NOT_FOUND : err_sys(err, e, "stat %s", path);
    }
    if ((uint64_t)st.st_size < place.at + place.len)
        return -ERR_NOT_FOUND;
    *ret = (struct blob_info){name, place.len, stamp};
    return 0;
}

/* Gives the space of a removed blob back to the file system, where that can be done. */
static void punch(const char *dir, const struct db_place *place)
{
    _cleanup_free_ char *path = os_path_join(dir, place->pack);
    _cleanup_close_ int fd = -1;
    if (path && os_open(path, O_WRONLY | O_NOFOLLOW, 0, &fd, NULL) == 0)
        (void)!fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)place->at, (off_t)place->len);
}

/* What operations found in packs leaves a hole; a pack with nothing else in it goes. */
int local_pack_free_places(struct local_db *db, const char *dir, const struct db_op *ops, size_t n, struct err *err)
{
    for (size_t i = 0; i < n; i++) {
        const struct db_place *p = &ops[i].old;
        bool used = true;
        if (!p->pack[0])
            continue;
        int r = local_db_pack_used(db, p->pack, &used, err);
        if (r < 0)
            return r;
        if (used) {
            punch(dir, p);
            continue;
        }
        _cleanup_free_ char *path = os_path_join(dir, p->pack);
        r = path ? os_unlink(path, true, err) : err_nomem(err);
        if (r < 0)
            return r;
    }
    return 0;
}
