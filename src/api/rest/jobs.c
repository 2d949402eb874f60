/* Threads for what may block: as many as are needed, up to a bound; idle ones end. Callers of one namespace have a share of them:
 * what they keep busy, with queries that nobody answers say, keeps no others out. */
#include "api/rest/rest_internal.h"

#include "base/mem.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#define THREADS_MAX 64
#define SHARE_MAX 16
#define WAITING_MAX 4000 /* of a share */
#define IDLE_S 10
#define STACK_BYTES ((size_t)512 << 10)

struct job {
    struct job *next;
    void (*run)(void *arg);
    void *arg;
};

/* There as long as it has jobs. */
struct share {
    struct share *next;
    char *of;
    struct job *first, **end;
    int running;
    size_t waiting;
};

struct jobs {
    pthread_mutex_t lock;
    pthread_cond_t more, gone;
    struct share *shares; /* whose turn it is first */
    size_t waiting;
    int threads, idle;
    bool stopping;
};

int jobs_new(struct jobs **ret, struct err *err)
{
    struct jobs *j = mem_zalloc(sizeof *j);
    pthread_condattr_t a;
    if (!j)
        return err_nomem(err);
    pthread_mutex_init(&j->lock, NULL);
    pthread_condattr_init(&a);
    pthread_condattr_setclock(&a, CLOCK_MONOTONIC);
    pthread_cond_init(&j->more, &a);
    pthread_cond_init(&j->gone, &a);
    pthread_condattr_destroy(&a);
    *ret = j;
    return 0;
}

/* --- shares, under the lock ------------------------------------------------------------------------------------------- */

static struct share *share_of(struct jobs *j, const char *of)
{
    struct share **p = &j->shares;
    while (*p && strcmp((*p)->of, of) != 0)
        p = &(*p)->next;
    if (*p)
        return *p;
    struct share *s = mem_zalloc(sizeof *s);
    if (!s || !(s->of = mem_strdup(of))) {
        free(s);
        return NULL;
    }
    s->end = &s->first;
    return *p = s;
}

static void drop_if_empty(struct jobs *j, struct share *s)
{
    struct share **p = &j->shares;
    if (s->running || s->first)
        return;
    while (*p != s)
        p = &(*p)->next;
    *p = s->next;
    free(s->of);
    free(s);
}

/* How many jobs could begin. */
static size_t ready(const struct jobs *j)
{
    size_t n = 0;
    for (const struct share *s = j->shares; s; s = s->next) {
        size_t room = s->running < SHARE_MAX ? (size_t)(SHARE_MAX - s->running) : 0;
        n += s->waiting < room ? s->waiting : room;
    }
    return n;
}

static void move_to_end(struct share **at)
{
    struct share *s = *at, **end = at;
    *at = s->next;
    s->next = NULL;
    while (*end)
        end = &(*end)->next;
    *end = s;
}

/* One after the other, those that have room. */
static struct job *take(struct jobs *j, struct share **ret)
{
    struct share **p = &j->shares;
    while (*p && (!(*p)->first || (*p)->running >= SHARE_MAX))
        p = &(*p)->next;
    struct share *s = *ret = *p;
    if (!s)
        return NULL;
    struct job *job = s->first;
    if (!(s->first = job->next))
        s->end = &s->first;
    s->waiting--;
    j->waiting--;
    s->running++;
    move_to_end(p);
    return job;
}

/* --- threads ---------------------------------------------------------------------------------------------------------- */

/* Under the lock. NULL: nothing came for a while, or it is over. */
static struct job *wait_for_job(struct jobs *j, struct share **ret)
{
    struct timespec until;
    struct job *job;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += IDLE_S;
    j->idle++;
    while (!(job = take(j, ret)) && !j->stopping)
        if (pthread_cond_timedwait(&j->more, &j->lock, &until) == ETIMEDOUT) {
            job = take(j, ret);
            break;
        }
    j->idle--;
    return job;
}

static void *run_thread(void *arg)
{
    struct jobs *j = arg;
    struct share *s;
    pthread_mutex_lock(&j->lock);
    struct job *job;
    while ((job = wait_for_job(j, &s))) {
        pthread_mutex_unlock(&j->lock);
        job->run(job->arg);
        free(job);
        pthread_mutex_lock(&j->lock);
        s->running--;
        drop_if_empty(j, s);
    }
    j->threads--;
    pthread_cond_broadcast(&j->gone);
    pthread_mutex_unlock(&j->lock);
    return NULL;
}

static bool start_thread(struct jobs *j)
{
    pthread_attr_t a;
    pthread_t t;
    pthread_attr_init(&a);
    pthread_attr_setdetachstate(&a, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&a, STACK_BYTES);
    bool ok = pthread_create(&t, &a, run_thread, j) == 0;
    pthread_attr_destroy(&a);
    j->threads += ok;
    return ok;
}

/* The one that was added last: without threads there is none before it. */
static void take_back(struct jobs *j, struct share *s)
{
    s->first = NULL;
    s->end = &s->first;
    s->waiting--;
    j->waiting--;
    drop_if_empty(j, s);
}

bool jobs_add(struct jobs *j, const char *of, void (*run)(void *arg), void *arg)
{
    struct job *job = mem_zalloc(sizeof *job);
    if (!job)
        return false;
    *job = (struct job){.run = run, .arg = arg};
    pthread_mutex_lock(&j->lock);
    struct share *s = j->stopping ? NULL : share_of(j, of);
    bool ok = s && s->waiting < WAITING_MAX;
    if (ok) {
        *s->end = job;
        s->end = &job->next;
        s->waiting++;
        j->waiting++;
    }
    if (ok && (size_t)j->idle < ready(j) && j->threads < THREADS_MAX && !start_thread(j) && !j->threads) {
        take_back(j, s); /* nobody would ever take it */
        ok = false;
    }
    if (ok)
        pthread_cond_signal(&j->more);
    pthread_mutex_unlock(&j->lock);
    if (!ok)
        free(job);
    return ok;
}

size_t jobs_waiting(struct jobs *j)
{
    pthread_mutex_lock(&j->lock);
    size_t n = j->waiting;
    pthread_mutex_unlock(&j->lock);
    return n;
}

void jobs_drain(struct jobs *j)
{
    if (!j)
        return;
    pthread_mutex_lock(&j->lock);
    j->stopping = true;
    pthread_cond_broadcast(&j->more);
    while (j->threads)
        pthread_cond_wait(&j->gone, &j->lock);
    pthread_mutex_unlock(&j->lock);
}

void jobs_free(struct jobs *j)
{
    if (!j)
        return;
    pthread_mutex_destroy(&j->lock);
    pthread_cond_destroy(&j->more);
    pthread_cond_destroy(&j->gone);
    free(j);
}
