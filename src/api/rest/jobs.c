/* Threads for what may block: as many as are needed, up to a bound; idle ones end. */
#include "api/rest/rest_internal.h"

#include "base/mem.h"

#include <errno.h>
#include <time.h>

#define THREADS_MAX 16
#define WAITING_MAX 4000
#define IDLE_S 10
#define STACK_BYTES ((size_t)512 << 10)

struct job {
    struct job *next;
    void (*run)(void *arg);
    void *arg;
};

struct jobs {
    pthread_mutex_t lock;
    pthread_cond_t more, gone;
    struct job *first, **end;
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
    j->end = &j->first;
    *ret = j;
    return 0;
}

/* Under the lock. NULL: nothing came for a while, or it is over. */
static struct job *wait_for_job(struct jobs *j)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += IDLE_S;
    j->idle++;
    while (!j->first && !j->stopping)
        if (pthread_cond_timedwait(&j->more, &j->lock, &until) == ETIMEDOUT)
            break;
    j->idle--;
    struct job *job = j->first;
    if (job && !(j->first = job->next))
        j->end = &j->first;
    j->waiting -= job != NULL;
    return job;
}

static void *run_thread(void *arg)
{
    struct jobs *j = arg;
    pthread_mutex_lock(&j->lock);
    struct job *job;
    while ((job = wait_for_job(j))) {
        pthread_mutex_unlock(&j->lock);
        job->run(job->arg);
        free(job);
        pthread_mutex_lock(&j->lock);
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

bool jobs_add(struct jobs *j, void (*run)(void *arg), void *arg)
{
    struct job *job = mem_zalloc(sizeof *job);
    if (!job)
        return false;
    *job = (struct job){.run = run, .arg = arg};
    pthread_mutex_lock(&j->lock);
    bool ok = j->waiting < WAITING_MAX && !j->stopping;
    if (ok && (size_t)j->idle <= j->waiting && j->threads < THREADS_MAX && !start_thread(j) && !j->threads)
        ok = false;
    if (ok) {
        *j->end = job;
        j->end = &job->next;
        j->waiting++;
        pthread_cond_signal(&j->more);
    }
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
