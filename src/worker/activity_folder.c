/* The folders of activities. Making and removing inodes costs more than all else that a brief activity does, and most leave
 * nothing behind: such a folder serves again. */
#include "base/cleanup.h"
#include "base/log.h"
#include "base/mem.h"
#include "os/file.h"
#include "worker/activity_internal.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define KEPT_MAX 32

static char *take_kept(struct activity_runner *r)
{
    pthread_mutex_lock(&r->lock);
    char *dir = r->folders.len ? VEC_POP(&r->folders) : NULL;
    pthread_mutex_unlock(&r->lock);
    return dir;
}

int worker_folder_take(struct activity *a)
{
    while ((a->dir = take_kept(a->worker->activities)) && !os_is_dir(a->dir))
        free(a->dir); /* somebody has tidied up there */
    if (a->dir)
        return 0;
    a->dir = os_path_join(a->worker->scratch_dir, a->token_id);
    _cleanup_free_ char *scratch = a->dir ? os_path_join(a->dir, "scratch") : NULL;
    if (!scratch)
        return err_nomem(&a->err);
    /* The outer folder is closed to others; what is inside is open to the sandbox's user, whoever that is. */
    int r = os_mkdir(a->dir, 0700, false, &a->err);
    if (r == -ERR_NOT_FOUND) { /* nothing that the run lacks: another worker has such a folder */
        a->err.code = ERR_IO;
        return -ERR_IO;
    }
    if (r == 0)
        r = sandbox_let_in(a->dir, &a->err);
    if (r == 0)
        r = os_mkdir(scratch, 0777, false, &a->err);
    if (r == 0 && chmod(scratch, 0777) < 0)
        r = err_sys(&a->err, errno, "chmod %s", scratch);
    return r;
}

static bool is_empty(int fd)
{
    int copy = dup(fd);
    DIR *d = copy < 0 ? NULL : fdopendir(copy);
    if (!d && copy >= 0)
        close(copy);
    size_t n = 0;
    while (d && readdir(d))
        n++;
    if (d)
        closedir(d);
    return n == 2; /* itself and its parent */
}

/* Nothing that the next activity could read: no file, no attribute, no mode but ours. */
static bool is_as_new(const char *dir)
{
    struct stat outer, st;
    _cleanup_free_ char *scratch = os_path_join(dir, "scratch");
    _cleanup_close_ int fd = scratch ? open(scratch, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
    return fd >= 0 && stat(dir, &outer) == 0 && outer.st_nlink == 3 && fstat(fd, &st) == 0 && st.st_nlink == 2 &&
           st.st_uid == geteuid() && (st.st_mode & 07777) == 0777 && flistxattr(fd, NULL, 0) == 0 && is_empty(fd);
}

void worker_folder_give(struct activity *a)
{
    struct activity_runner *r = a->worker->activities;
    _cleanup_free_ char *dir = TAKE_PTR(a->dir);
    struct err err = {0};
    /* Without all walls something of it may still be alive. */
    bool keep = dir && !a->abandoned && spawner_protection(a->worker->o.spawner)->complete && is_as_new(dir);
    pthread_mutex_lock(&r->lock);
    if (keep && r->folders.len < KEPT_MAX && VEC_PUSH(&r->folders, dir))
        dir = NULL;
    pthread_mutex_unlock(&r->lock);
    if (dir && os_remove_tree(dir, &err) < 0)
        log_warn("%s", err.msg);
}

void worker_folder_release(struct activity_runner *r)
{
    VEC_EACH(&r->folders, dir) {
        os_remove_tree(*dir, NULL);
        free(*dir);
    }
    VEC_RELEASE(&r->folders);
}
