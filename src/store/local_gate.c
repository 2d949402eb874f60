#include "store/local_gate.h"

#include "base/assert.h"
#include "base/cleanup.h"
#include "base/mem.h"
#include "os/clock.h"
#include "os/fault.h"
#include "os/file.h"
#include "store/sessions.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>

struct local_gate {
    char *dir;
    bool read_only;
    int gate_fd, turnstile_fd;
    pthread_rwlock_t threads; /* the gate among the threads of this process */
    pthread_mutex_t session_lock; /* held while the session file is made; taken before lock */
    pthread_mutex_t lock;         /* guards all below */
    size_t inside;            /* threads that share gate_fd's shared lock */
    int session_fd;
    char session_name[27];
    struct sessions sessions;
};

static int lock_file(int fd, int how, struct err *err)
{
    int e = os_fault("flock");
    if (e)
        return err_sys(err, e, "lock the store");
    while (flock(fd, how) < 0)
        if (errno != EINTR)
            return err_sys(err, errno, "lock the store");
    return 0;
}

static int open_as(const char *dir, const char *name, int flags, int *ret_fd, struct err *err)
{
    _cleanup_free_ char *path = os_path_join(dir, name);
    return path ? os_open(path, flags, 0644, ret_fd, err) : err_nomem(err);
}

static int open_in(const char *dir, const char *name, int *ret_fd, struct err *err)
{
    return open_as(dir, name, O_RDWR | O_CREAT, ret_fd, err);
}

int local_gate_open(const char *dir, bool read_only, struct local_gate **ret, struct err *err)
{
    struct local_gate *g = mem_zalloc(sizeof *g);
    if (!g)
        return err_nomem(err);
    g->gate_fd = g->turnstile_fd = g->session_fd = -1;
    g->read_only = read_only;
    pthread_mutex_init(&g->lock, NULL);
    pthread_mutex_init(&g->session_lock, NULL);
    pthread_rwlockattr_t attr;
    pthread_rwlockattr_init(&attr);
    /* Else a steady stream of uploads would keep collection out for ever. */
    pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(&g->threads, &attr);
    pthread_rwlockattr_destroy(&attr);
    g->dir = mem_strdup(dir);
    int flags = read_only ? O_RDONLY : O_RDWR | O_CREAT;
    int r = g->dir ? 0 : err_nomem(err);
    if (r == 0)
        r = open_as(dir, "gate", flags, &g->gate_fd, err);
    if (r == 0)
        r = open_as(dir, "turnstile", flags, &g->turnstile_fd, err);
    if (r == 0 && !read_only) /* the time in it can be written on a full disk too: collection must be able to */
        (void)!posix_fallocate(g->gate_fd, 0, sizeof(int64_t));
    if (r < 0) {
        local_gate_close(g);
        return r;
    }
    *ret = g;
    return 0;
}

void local_gate_close(struct local_gate *g)
{
    if (!g)
        return;
    ASSERT(g->inside == 0);
    if (g->session_fd >= 0) {
        char path[4096];
        if (snprintf(path, sizeof path, "%s/sessions/%s", g->dir,
                     g->session_name) < (int)sizeof path)
            (void)unlink(path);
        close(g->session_fd);
    }
    if (g->gate_fd >= 0)
        close(g->gate_fd);
    if (g->turnstile_fd >= 0)
        close(g->turnstile_fd);
    pthread_rwlock_destroy(&g->threads);
    pthread_mutex_destroy(&g->lock);
    pthread_mutex_destroy(&g->session_lock);
    free(g->dir);
    free(g);
}

static int enter_shared(struct local_gate *g, struct err *err)
{
    for (;;) {
        pthread_rwlock_rdlock(&g->threads);
        pthread_mutex_lock(&g->lock);
        /* Collection of another process waits: let those inside drain, so that it gets its turn. */
        bool wanted = g->inside && flock(g->turnstile_fd, LOCK_SH | LOCK_NB) < 0;
        if (!wanted)
            break;
        pthread_mutex_unlock(&g->lock);
        pthread_rwlock_unlock(&g->threads);
        int r = lock_file(g->turnstile_fd, LOCK_SH, err);
        if (r < 0)
            return r;
        (void)flock(g->turnstile_fd, LOCK_UN);
    }
    int r = 0;
    if (!g->inside) {
        r = lock_file(g->turnstile_fd, LOCK_SH, err);
        if (r == 0)
            r = lock_file(g->gate_fd, LOCK_SH, err);
    }
    (void)flock(g->turnstile_fd, LOCK_UN);
    if (r == 0)
        g->inside++;
    pthread_mutex_unlock(&g->lock);
    if (r < 0)
        pthread_rwlock_unlock(&g->threads);
    return r;
}

int local_gate_enter(struct local_gate *g, bool exclusive, struct err *err)
{
    if (!exclusive)
        return enter_shared(g, err);
    pthread_rwlock_wrlock(&g->threads);
    int r = lock_file(g->turnstile_fd, LOCK_EX, err);
    if (r == 0)
        r = lock_file(g->gate_fd, LOCK_EX, err);
    if (r < 0) {
        (void)flock(g->turnstile_fd, LOCK_UN);
        pthread_rwlock_unlock(&g->threads);
    }
    return r;
}

void local_gate_leave(struct local_gate *g, bool exclusive)
{
    pthread_mutex_lock(&g->lock);
    if (exclusive || --g->inside == 0)
        (void)flock(g->gate_fd, LOCK_UN);
    if (exclusive)
        (void)flock(g->turnstile_fd, LOCK_UN);
    pthread_mutex_unlock(&g->lock);
    pthread_rwlock_unlock(&g->threads);
}

/* The time is kept in the gate's file: read and written only with it locked. What a crashed
 * collection leaves there only makes others touch more. */
int local_collecting_set(struct local_gate *g, int64_t before_ns, struct err *err)
{
    if (g->read_only)
        return err_set(err, ERR_PERMISSION, "the store is read-only");
    int e = os_fault("write");
    if (e || pwrite(g->gate_fd, &before_ns, sizeof before_ns, 0) != (ssize_t)sizeof before_ns)
        return err_sys(err, e ? e : errno, "write the gate of the store");
    return 0;
}

int local_collecting_before(struct local_gate *g, int64_t *ret_ns, struct err *err)
{
    size_t n;
    *ret_ns = 0;
    int r = os_pread_full(g->gate_fd, ret_ns, sizeof *ret_ns, 0, &n, err);
    if (r == 0 && n != sizeof *ret_ns)
        *ret_ns = 0;
    return r;
}

/* The file is made under the shared gate, so that collection never sees it unlocked; by a
 * descriptor of its own, because locking gate_fd again would weaken an exclusive lock that this
 * process holds. */
static int make_session_file(const struct local_gate *g, const char *id, int *ret_fd, struct err *err)
{
    _cleanup_close_ int gate = -1, fd = -1;
    char name[64];
    snprintf(name, sizeof name, "sessions/%s", id);
    int r = open_in(g->dir, "gate", &gate, err);
    if (r == 0)
        r = lock_file(gate, LOCK_SH, err);
    if (r == 0)
        r = open_in(g->dir, name, &fd, err);
    if (r == 0)
        r = lock_file(fd, LOCK_EX | LOCK_NB, err);
    if (r == 0)
        *ret_fd = TAKE_FD(fd);
    return r; /* an unlocked file is swept by the next collection */
}

static int make_session(struct local_gate *g, struct err *err)
{
    char id[27];
    int fd = -1;
    if (g->read_only)
        return err_set(err, ERR_PERMISSION, "the store is read-only");
    os_ulid(id);
    int r = make_session_file(g, id, &fd, err);
    if (r < 0)
        return r;
    /* Out of the gate by now: who has this lock may be waiting for a collection, which waits for the gate. */
    pthread_mutex_lock(&g->lock);
    memcpy(g->session_name, id, sizeof id);
    g->session_fd = fd;
    pthread_mutex_unlock(&g->lock);
    return 0;
}

static int need_session(struct local_gate *g, struct err *err)
{
    pthread_mutex_lock(&g->session_lock);
    int r = g->session_fd >= 0 ? 0 : make_session(g, err);
    pthread_mutex_unlock(&g->session_lock);
    return r;
}

/* Other processes read it; a failure to write makes a new session fail, so it is told. */
static int publish_oldest(struct local_gate *g, struct err *err)
{
    int64_t oldest = sessions_oldest(&g->sessions, false);
    int e = os_fault("write");
    if (e || pwrite(g->session_fd, &oldest, sizeof oldest, 0) != (ssize_t)sizeof oldest)
        return err_sys(err, e ? e : errno, "write the session of the store");
    return 0;
}

int local_session_begin(struct local_gate *g, bool all, int64_t *ret_start_ns, struct err *err)
{
    int r = need_session(g, err);
    if (r < 0)
        return r;
    pthread_mutex_lock(&g->lock);
    r = sessions_begin(&g->sessions, all, ret_start_ns, err);
    if (r == 0 && (r = publish_oldest(g, err)) < 0)
        (void)sessions_end(&g->sessions, *ret_start_ns);
    pthread_mutex_unlock(&g->lock);
    return r;
}

void local_session_end(struct local_gate *g, int64_t start_ns)
{
    pthread_mutex_lock(&g->lock);
    if (sessions_end(&g->sessions, start_ns))
        (void)publish_oldest(g, NULL); /* too old a start only makes collection keep more */
    pthread_mutex_unlock(&g->lock);
}

int local_session_name(struct local_gate *g, const char **ret, struct err *err)
{
    int r = need_session(g, err);
    *ret = g->session_name;
    return r;
}

static bool is_own(struct local_gate *g, const char *name)
{
    pthread_mutex_lock(&g->lock);
    bool own = g->session_fd >= 0 && strcmp(name, g->session_name) == 0;
    pthread_mutex_unlock(&g->lock);
    return own;
}

/* Opens the session file. -ERR_NOT_FOUND: its process is gone, and so is the file now. After another error nobody knows. */
static int open_living(struct local_gate *g, const char *name, int *ret_fd, struct err *err)
{
    _cleanup_free_ char *path = mem_printf("%s/sessions/%s", g->dir, name);
    int fd, r = path ? os_open(path, O_RDONLY | O_NOFOLLOW, 0, &fd, err) : err_nomem(err);
    if (r < 0)
        return r;
    if (flock(fd, LOCK_SH | LOCK_NB) < 0) {
        *ret_fd = fd;
        return 0;
    }
    (void)unlink(path);
    close(fd);
    return -ERR_NOT_FOUND;
}

bool local_session_alive(struct local_gate *g, const char *session_name)
{
    if (is_own(g, session_name))
        return true;
    int fd, r = open_living(g, session_name, &fd, NULL);
    if (r == 0)
        close(fd);
    return r != -ERR_NOT_FOUND;
}

/* Lowers *io_oldest to the start of that session, if it goes on. */
static int note_start(struct local_gate *g, const char *name, int64_t *io_oldest, struct err *err)
{
    _cleanup_close_ int fd = -1;
    int64_t start;
    size_t n;
    int r = open_living(g, name, &fd, err);
    if (r == 0)
        r = os_pread_full(fd, &start, sizeof start, 0, &n, err);
    if (r == 0 && n == sizeof start && start < *io_oldest)
        *io_oldest = start;
    return r == -ERR_NOT_FOUND ? 0 : r;
}

int local_session_oldest(struct local_gate *g, bool others, int64_t *ret_ns, struct err *err)
{
    pthread_mutex_lock(&g->lock);
    int64_t oldest = sessions_oldest(&g->sessions, others);
    pthread_mutex_unlock(&g->lock);
    _cleanup_free_ char *path = os_path_join(g->dir, "sessions");
    if (!path)
        return err_nomem(err);
    DIR *d = opendir(path);
    if (!d)
        return err_sys(err, errno, "read %s", path);
    struct dirent *e;
    int r = 0;
    while (r == 0 && (e = readdir(d)))
        if (e->d_name[0] != '.' && !is_own(g, e->d_name))
            r = note_start(g, e->d_name, &oldest, err);
    closedir(d);
    *ret_ns = oldest;
    return r;
}
