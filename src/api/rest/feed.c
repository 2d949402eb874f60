#include "api/rest/feed.h"

#include "base/cleanup.h"
#include "base/mem.h"

#include <pthread.h>

struct rest_feed {
    pthread_mutex_t lock;
    struct strbuf text;
    int refs;
    bool ended, left;
    void (*wake)(void *arg);
    void *wake_arg;
    void (*gone)(void *arg);
    void *gone_arg;
};

struct rest_feed *rest_feed_new(size_t max)
{
    struct rest_feed *f = mem_zalloc(sizeof *f);
    if (!f)
        return NULL;
    pthread_mutex_init(&f->lock, NULL);
    strbuf_init(&f->text, max);
    f->refs = 2;
    return f;
}

/* Under the lock, which it ends. */
static void unref(struct rest_feed *f)
{
    bool last = --f->refs == 0;
    pthread_mutex_unlock(&f->lock);
    if (!last)
        return;
    strbuf_release(&f->text);
    pthread_mutex_destroy(&f->lock);
    free(f);
}

bool rest_feed_push(struct rest_feed *f, const char *text, size_t len)
{
    pthread_mutex_lock(&f->lock);
    if (!f->left)
        strbuf_append(&f->text, text, len);
    bool ok = !f->left && !f->text.failed;
    if (ok && f->wake)
        f->wake(f->wake_arg);
    pthread_mutex_unlock(&f->lock);
    return ok;
}

void rest_feed_on_gone(struct rest_feed *f, void (*gone)(void *arg), void *arg)
{
    pthread_mutex_lock(&f->lock);
    f->gone = gone;
    f->gone_arg = arg;
    if (f->left)
        gone(arg);
    pthread_mutex_unlock(&f->lock);
}

void rest_feed_end(struct rest_feed *f)
{
    pthread_mutex_lock(&f->lock);
    f->ended = true;
    f->gone = NULL;
    if (f->wake)
        f->wake(f->wake_arg);
    unref(f);
}

void feed_take(struct rest_feed *f, struct strbuf *out, bool *ret_ended, void (*wake)(void *arg), void *arg)
{
    pthread_mutex_lock(&f->lock);
    strbuf_append(out, strbuf_str(&f->text), f->text.len);
    *ret_ended = f->ended || f->text.failed;
    strbuf_release(&f->text);
    f->wake = wake;
    f->wake_arg = arg;
    pthread_mutex_unlock(&f->lock);
}

void feed_leave(struct rest_feed *f)
{
    pthread_mutex_lock(&f->lock);
    f->left = true;
    f->wake = NULL;
    if (f->gone)
        f->gone(f->gone_arg);
    f->gone = NULL;
    unref(f);
}
