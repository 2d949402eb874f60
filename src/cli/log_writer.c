#include "cli/log_writer.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/units.h"
#include "codec/json.h"
#include "os/clock.h"
#include "os/file.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define WAITING_MAX ((size_t)1 << 20) /* bytes */
#define PIECE 4096                    /* of what a pipe takes at once, if it takes anything */
#define LOOK_MS 200
#define NO_SPACE_MS 500
#define CLOSE_MS 1000
#define STACK_BYTES ((size_t)128 << 10)

struct line {
    struct line *next;
    size_t len;
    char text[];
};

static struct {
    pthread_mutex_t lock;
    pthread_cond_t more, gone;
    struct line *first, **end;
    size_t waiting;
    uint64_t lost;
    char *file;
    int fd;
    bool json, running;
    _Atomic(int64_t) until_ns; /* what waits may be written until then; 0: it goes on */
} writer = {.lock = PTHREAD_MUTEX_INITIALIZER, .end = &writer.first, .fd = STDERR_FILENO};

/* --- lines --------------------------------------------------------------------------------------------------------- */

static char *as_line(enum log_level level, const char *message)
{
    static const char *const names[] = {"error", "warning", "info", "debug"};
    char at[32];
    if (!writer.json)
        return mem_printf("ff: %s: %s", names[level], message);
    _cleanup_json_ json_t *j = json_pack("{s:s, s:s, s:o}", "time", os_format_time(os_now_ns(), at), "level", names[level],
                                         "message", json_clean_string(message));
    return j ? json_dumps(j, JSON_COMPACT) : NULL;
}

/* Under the lock. */
static void append(const char *text)
{
    size_t n = strlen(text);
    struct line *l = writer.waiting + n > WAITING_MAX ? NULL : mem_alloc(sizeof *l + n + 1);
    if (!l) {
        writer.lost++;
        return;
    }
    l->next = NULL;
    l->len = n + 1;
    memcpy(l->text, text, n);
    l->text[n] = '\n';
    *writer.end = l;
    writer.end = &l->next;
    writer.waiting += sizeof *l + l->len;
    pthread_cond_signal(&writer.more);
}

void log_writer_put(const char *text)
{
    pthread_mutex_lock(&writer.lock);
    if (writer.running && !atomic_load(&writer.until_ns))
        append(text);
    else
        dprintf(writer.fd, "%s\n", text);
    pthread_mutex_unlock(&writer.lock);
}

static void take(enum log_level level, const char *message, void *arg)
{
    (void)arg;
    _cleanup_free_ char *text = as_line(level, message);
    if (text)
        log_writer_put(text);
}

/* --- the thread ---------------------------------------------------------------------------------------------------- */

static bool is_late(void)
{
    int64_t until = atomic_load(&writer.until_ns);
    return until && os_mono_ns() > until;
}

/* A line is not left half written where there was no space: it goes on when there is. */
static void write_line(const struct line *l)
{
    for (size_t done = 0; done < l->len && !is_late();) {
        struct pollfd p = {.fd = writer.fd, .events = POLLOUT};
        size_t left = l->len - done;
        if (poll(&p, 1, LOOK_MS) == 0)
            continue;
        ssize_t n = write(writer.fd, l->text + done, left < PIECE ? left : PIECE);
        if (n > 0)
            done += (size_t)n;
        else if (n < 0 && (errno == ENOSPC || errno == EDQUOT))
            os_sleep_ms(NO_SPACE_MS);
        else if (n < 0 && errno != EINTR && errno != EAGAIN)
            return; /* nobody reads it */
    }
}

/* Under the lock. */
static void tell_lost(void)
{
    _cleanup_free_ char *why = mem_printf("%llu line%s of the log %s lost, not taken in time",
                                          (unsigned long long)writer.lost, UNITS_S(writer.lost),
                                          writer.lost == 1 ? "was" : "were");
    _cleanup_free_ char *text = why ? as_line(LOG_WARN, why) : NULL;
    writer.lost = 0;
    if (text)
        append(text);
}

static void *run(void *arg)
{
    (void)arg;
    pthread_mutex_lock(&writer.lock);
    while (writer.first || !atomic_load(&writer.until_ns)) {
        struct line *l = writer.first;
        if (!l) {
            pthread_cond_wait(&writer.more, &writer.lock);
            continue;
        }
        if (!(writer.first = l->next))
            writer.end = &writer.first;
        pthread_mutex_unlock(&writer.lock);
        write_line(l);
        pthread_mutex_lock(&writer.lock);
        writer.waiting -= sizeof *l + l->len;
        free(l);
        if (writer.lost && writer.waiting < WAITING_MAX / 2)
            tell_lost();
    }
    writer.running = false;
    pthread_cond_signal(&writer.gone);
    pthread_mutex_unlock(&writer.lock);
    return NULL;
}

/* --- open and close ------------------------------------------------------------------------------------------------ */

static int open_file(int *ret, struct err *err)
{
    return os_open(writer.file, O_WRONLY | O_APPEND | O_CREAT | O_NOCTTY, 0640, ret, err);
}

/* Where a file is cut to nothing while it is written, as by logrotate's copytruncate, one that is appended to begins anew. */
static void append_always(int fd)
{
    struct stat st;
    int flags = fcntl(fd, F_GETFL);
    if (flags >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
        (void)fcntl(fd, F_SETFL, flags | O_APPEND);
}

int log_writer_open(const char *file, bool json, struct err *err)
{
    int fd = -1;
    if (file && !(writer.file = mem_strdup(file)))
        return err_nomem(err);
    int r = file ? open_file(&fd, err) : 0;
    if (r < 0)
        return err_wrap(err, "the log");
    if (file)
        writer.fd = fd;
    append_always(writer.fd);
    writer.json = json;
    log_set_sink(take, NULL);
    return 0;
}

int log_writer_start(struct err *err)
{
    pthread_condattr_t a;
    pthread_attr_t attr;
    pthread_t t;
    pthread_condattr_init(&a);
    pthread_condattr_setclock(&a, CLOCK_MONOTONIC);
    pthread_cond_init(&writer.more, &a);
    pthread_cond_init(&writer.gone, &a);
    pthread_condattr_destroy(&a);
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK_BYTES);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED); /* it may hang in a disk for ever */
    pthread_mutex_lock(&writer.lock);
    int e = pthread_create(&t, &attr, run, NULL);
    writer.running = e == 0;
    pthread_mutex_unlock(&writer.lock);
    pthread_attr_destroy(&attr);
    return e ? err_sys(err, e, "start a thread") : 0;
}

int log_writer_reopen(struct err *err)
{
    _cleanup_close_ int fd = -1;
    int r = writer.file ? open_file(&fd, err) : 0;
    if (r == 0 && writer.file && dup3(fd, writer.fd, O_CLOEXEC) < 0)
        r = err_sys(err, errno, "open %s", writer.file);
    return r < 0 ? err_wrap(err, "the log") : 0;
}

void log_writer_close(void)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += CLOSE_MS / 1000 + 1;
    pthread_mutex_lock(&writer.lock);
    atomic_store(&writer.until_ns, os_mono_ns() + CLOSE_MS * NS_PER_MS);
    if (writer.running)
        pthread_cond_signal(&writer.more);
    while (writer.running && pthread_cond_timedwait(&writer.gone, &writer.lock, &until) == 0)
        ;
    pthread_mutex_unlock(&writer.lock);
    log_set_sink(NULL, NULL);
}
