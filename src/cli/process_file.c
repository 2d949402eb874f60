#include "cli/process_file.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "codec/json.h"
#include "os/clock.h"
#include "os/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#define WORKERS "workers"
#define BYTES_MAX 32768
#define LOCK_TRIES 20 /* who just looks has it locked for a moment */
#define LOCK_PAUSE_MS 5
#define LEFT_BEHIND_S 60 /* a younger file may be about to be locked */
#define STOP_WAIT_MS 30000
#define STOP_LOOK_MS 20

static int lock_and_write(struct process_file *f, const char *text, struct err *err)
{
    int fd, r = os_open(f->path, O_RDWR | O_CREAT | O_NOFOLLOW, 0600, &fd, err);
    if (r < 0)
        return r;
    for (int i = 0; flock(fd, LOCK_EX | LOCK_NB) < 0; i++) {
        if (i == LOCK_TRIES) {
            close(fd);
            return err_set(err, ERR_EXISTS, "another process has %s", f->path);
        }
        os_sleep_ms(LOCK_PAUSE_MS);
    }
    f->fd = fd;
    if (ftruncate(fd, 0) < 0)
        return err_sys(err, errno, "write %s", f->path);
    return os_write_full(fd, text, strlen(text), err);
}

int process_file_write(struct process_file *f, const char *state_dir, const char *name, json_t *doc, struct err *err)
{
    _cleanup_json_ json_t *j = doc;
    f->path = os_path_join(state_dir, name);
    if (!j || !f->path || json_object_set_new(j, "pid", json_integer(getpid())) < 0)
        return err_nomem(err);
    char *slash = strrchr(f->path, '/');
    *slash = 0;
    int r = os_mkdirs(f->path, 0700, err);
    *slash = '/';
    _cleanup_free_ char *text = json_dumps(j, JSON_COMPACT);
    return r < 0 ? r : text ? lock_and_write(f, text, err) : err_nomem(err);
}

void process_file_remove(struct process_file *f)
{
    if (f->fd >= 0) {
        unlink(f->path);
        close(f->fd);
    }
    f->fd = -1;
    free(f->path);
    f->path = NULL;
}

int process_file_read(const char *path, json_t **ret, struct err *err)
{
    char text[BYTES_MAX];
    size_t n;
    _cleanup_close_ int fd = -1;
    *ret = NULL;
    int r = os_open(path, O_RDONLY | O_NOFOLLOW, 0, &fd, err);
    if (r == -ERR_NOT_FOUND || (r == 0 && flock(fd, LOCK_SH | LOCK_NB) == 0))
        return 0;
    if (r == 0)
        r = os_read_full(fd, text, sizeof text, &n, err);
    if (r < 0)
        return r;
    json_t *j = json_loadb(text, n, 0, NULL);
    if (json_i64(j, "pid", 0) > 1)
        *ret = json_incref(j); /* else it is just being written */
    json_decref(j);
    return 0;
}

int process_server(const char *state_dir, json_t **ret, struct err *err)
{
    _cleanup_free_ char *path = os_path_join(state_dir, PROCESS_SERVER);
    *ret = NULL;
    return path ? process_file_read(path, ret, err) : err_nomem(err);
}

char *process_worker_name(void)
{
    char id[27];
    os_ulid(id);
    return mem_printf(WORKERS "/%s.json", id);
}

static int add_worker(const char *dir, const char *name, json_t *list, struct err *err)
{
    struct stat st;
    json_t *j;
    _cleanup_free_ char *path = os_path_join(dir, name);
    int r = path ? process_file_read(path, &j, err) : err_nomem(err);
    if (r < 0)
        return r;
    if (!j && stat(path, &st) == 0 && st.st_mtime + LEFT_BEHIND_S < time(NULL))
        unlink(path);
    else if (j && (json_object_set_new(j, "file", json_string(path)) < 0 || json_array_append(list, j) < 0))
        r = err_nomem(err);
    json_decref(j);
    return r;
}

int process_workers(const char *state_dir, json_t **ret, struct err *err)
{
    _cleanup_free_ char *dir = os_path_join(state_dir, WORKERS);
    _cleanup_json_ json_t *list = json_array();
    if (!dir || !list)
        return err_nomem(err);
    int r = 0;
    DIR *d = opendir(dir);
    for (struct dirent *e; r == 0 && d && (e = readdir(d));)
        if (e->d_name[0] != '.')
            r = add_worker(dir, e->d_name, list, err);
    if (d)
        closedir(d);
    if (r == 0)
        *ret = json_incref(list);
    return r;
}

void process_end(const json_t *doc)
{
    kill((pid_t)json_i64(doc, "pid", 0), SIGTERM);
}

int process_wait_end(const char *path, const char *what, struct err *err)
{
    json_t *j = NULL;
    long long pid = 0;
    int r = process_file_read(path, &j, err);
    for (int64_t ms = 0; r == 0 && j && ms < STOP_WAIT_MS; ms += STOP_LOOK_MS) {
        pid = json_i64(j, "pid", 0);
        os_sleep_ms(STOP_LOOK_MS);
        json_decref(j);
        r = process_file_read(path, &j, err);
    }
    if (r == 0 && j)
        r = err_set(err, ERR_TIMEOUT, "the %s, pid %lld, does not end", what, pid);
    json_decref(j);
    return r;
}
