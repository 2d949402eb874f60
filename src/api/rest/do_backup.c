/* A backup as an answer: a job makes it while the connection sends it, with one buffer between the two. A client that is slower
 * than the disk makes the job wait; one that leaves ends it. */
#include "api/rest/rest_internal.h"

#include "base/log.h"
#include "base/mem.h"
#include "os/clock.h"

#include <string.h>
#include <time.h>

#define BUFFER ((size_t)128 << 10)
#define LOOK_S 1 /* whether the server stops */

struct transit {
    struct rest *rest;
    struct exchange *x; /* there as long as its answer is read */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    atomic_int refs; /* the job, the answer */
    char *buf;
    size_t len, sent;
    bool waiting; /* the connection is suspended */
    bool gone;    /* nobody reads it any more */
    bool done;
    struct err err; /* then: 0: all of it was made */
};

static void unref(struct transit *t)
{
    if (atomic_fetch_sub(&t->refs, 1) > 1)
        return;
    pthread_mutex_destroy(&t->lock);
    pthread_cond_destroy(&t->changed);
    free(t->buf);
    free(t);
}

/* Under the lock. */
static void wake(struct transit *t)
{
    pthread_cond_broadcast(&t->changed);
    if (t->waiting)
        http.MHD_resume_connection(t->x->conn);
    t->waiting = false;
}

/* Under the lock: until what was there before has been sent. */
static int wait_for_room(struct transit *t, struct err *err)
{
    while (t->sent < t->len && !t->gone && !atomic_load(&t->rest->stopping)) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += LOOK_S;
        pthread_cond_timedwait(&t->changed, &t->lock, &until);
    }
    if (t->gone)
        return err_set(err, ERR_CANCELLED, "the client has gone");
    return atomic_load(&t->rest->stopping) ? err_set(err, ERR_UNAVAILABLE, "the server is stopping") : 0;
}

static int put(void *arg, const void *data, size_t len, struct err *err)
{
    struct transit *t = arg;
    int r = 0;
    pthread_mutex_lock(&t->lock);
    while (len && (r = wait_for_room(t, err)) == 0) {
        size_t n = len < BUFFER ? len : BUFFER;
        memcpy(t->buf, data, n);
        t->len = n;
        t->sent = 0;
        data = (const char *)data + n;
        len -= n;
        wake(t);
    }
    pthread_mutex_unlock(&t->lock);
    return r;
}

static void make(void *arg)
{
    struct transit *t = arg;
    struct err err = {0};
    int r = t->rest->o.backup(t->rest->o.arg, put, t, &err);
    if (r < 0)
        err.code = err.code ? err.code : -r;
    if (r < 0)
        log_warn("a backup was not made: %s", err.msg);
    atomic_store(&t->rest->backing_up, false);
    pthread_mutex_lock(&t->lock);
    t->done = true;
    t->err = err;
    wake(t);
    pthread_mutex_unlock(&t->lock);
    unref(t);
}

/* A client sees by the missing end that it has not got all of it. */
static ssize_t read_transit(void *arg, uint64_t pos, char *buf, size_t max)
{
    struct transit *t = arg;
    ssize_t n = 0;
    (void)pos;
    pthread_mutex_lock(&t->lock);
    if (t->sent < t->len) {
        n = (ssize_t)(t->len - t->sent < max ? t->len - t->sent : max);
        memcpy(buf, t->buf + t->sent, (size_t)n);
        t->sent += (size_t)n;
        t->x->sent += (uint64_t)n;
        if (t->sent == t->len)
            pthread_cond_broadcast(&t->changed);
    } else if (t->done) {
        n = t->err.code ? MHD_CONTENT_READER_END_WITH_ERROR : MHD_CONTENT_READER_END_OF_STREAM;
    } else {
        t->waiting = true;
        http.MHD_suspend_connection(t->x->conn);
    }
    pthread_mutex_unlock(&t->lock);
    return n;
}

static void leave(void *arg)
{
    struct transit *t = arg;
    pthread_mutex_lock(&t->lock);
    t->gone = true;
    t->waiting = false;
    pthread_cond_broadcast(&t->changed);
    pthread_mutex_unlock(&t->lock);
    unref(t);
}

static struct transit *new_transit(struct exchange *x)
{
    pthread_condattr_t a;
    struct transit *t = mem_zalloc(sizeof *t);
    if (!t)
        return NULL;
    t->rest = x->rest;
    t->x = x;
    atomic_init(&t->refs, 1);
    pthread_mutex_init(&t->lock, NULL);
    pthread_condattr_init(&a);
    pthread_condattr_setclock(&a, CLOCK_MONOTONIC);
    pthread_cond_init(&t->changed, &a);
    pthread_condattr_destroy(&a);
    if ((t->buf = mem_alloc(BUFFER)))
        return t;
    unref(t);
    return NULL;
}

/* What is wrong from the beginning is told as an error. */
static int wait_for_first(struct transit *t, struct err *err)
{
    pthread_mutex_lock(&t->lock);
    while (!t->len && !t->done)
        pthread_cond_wait(&t->changed, &t->lock);
    int r = !t->len && t->err.code ? err_copy(err, &t->err) : 0;
    pthread_mutex_unlock(&t->lock);
    return r;
}

static int busy(struct exchange *x, const char *why, struct err *err)
{
    x->error_status = 429;
    x->error_type = "TooManyRequests";
    return err_set(err, ERR_BUSY, "%s", why);
}

static int start(struct exchange *x, struct transit *t, struct err *err)
{
    if (atomic_exchange(&x->rest->backing_up, true))
        return busy(x, "a backup is being made already", err);
    atomic_fetch_add(&t->refs, 1);
    if (jobs_add(x->rest->jobs, x->caller.name_space, make, t))
        return wait_for_first(t, err);
    atomic_store(&x->rest->backing_up, false);
    unref(t);
    return busy(x, "too many requests at a time", err);
}

int do_backup(struct exchange *x, struct err *err)
{
    int r = exchange_has_token(x, "backups", err);
    struct transit *t = r == 0 ? new_transit(x) : NULL;
    if (!t)
        return r < 0 ? r : err_nomem(err);
    r = start(x, t, err);
    if (r == 0 && !(x->answer.ready = http.MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BUFFER, read_transit, t, leave)))
        r = err_nomem(err);
    if (r < 0) {
        leave(t);
        return r;
    }
    x->answer.status = 200;
    http.MHD_add_response_header(x->answer.ready, "Content-Type", "application/zstd");
    strcpy(x->answer.header[0], "Content-Disposition");
    strcpy(x->answer.header[1], "attachment; filename=\"ff.tar.zst\"");
    return 0;
}
