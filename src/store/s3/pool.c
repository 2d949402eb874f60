#include "store/s3/pool.h"

#include "base/mem.h"

#include <pthread.h>
#include <signal.h>

struct s3_pool {
    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t work;
    struct pool_job *head, **tail;
    size_t threads_max, threads, idle, queued;
    bool stop;
    pthread_t ids[];
};

int pool_new(size_t threads_max, struct s3_pool **ret, struct err *err)
{
    struct s3_pool *p = mem_zalloc(sizeof *p + threads_max * sizeof *p->ids);
    if (!p)
        return err_nomem(err);
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->work, NULL);
    p->tail = &p->head;
    p->threads_max = threads_max;
    *ret = p;
    return 0;
}

static void *serve(void *arg)
{
    struct s3_pool *p = arg;
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL); /* signals are for the program's own threads */
    pthread_mutex_lock(&p->lock);
    for (;;) {
        p->idle++;
        while (!p->head && !p->stop)
            pthread_cond_wait(&p->work, &p->lock);
        p->idle--;
        if (!p->head)
            break;
        struct pool_job *j = p->head;
        p->head = j->next;
        p->queued--;
        if (!p->head)
            p->tail = &p->head;
        pthread_mutex_unlock(&p->lock);
        j->run(j->arg);
        pthread_mutex_lock(&p->lock);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

void pool_submit(struct s3_pool *p, struct pool_job *job)
{
    job->next = NULL;
    pthread_mutex_lock(&p->lock);
    if (p->queued >= p->idle && p->threads < p->threads_max &&
        pthread_create(&p->ids[p->threads], NULL, serve, p) == 0)
        p->threads++;
    bool mine = !p->threads;
    if (!mine) {
        *p->tail = job;
        p->tail = &job->next;
        p->queued++;
        pthread_cond_signal(&p->work);
    }
    pthread_mutex_unlock(&p->lock);
    if (mine)
        job->run(job->arg);
}

void pool_free(struct s3_pool *p)
{
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    p->stop = true;
    pthread_cond_broadcast(&p->work);
    pthread_mutex_unlock(&p->lock);
    for (size_t i = 0; i < p->threads; i++)
        pthread_join(p->ids[i], NULL);
    pthread_cond_destroy(&p->work);
    pthread_mutex_destroy(&p->lock);
    free(p);
}
