/* A copy of the state's file while the engine works: a piece between two batches. */
#include "base/mem.h"
#include "engine/embedded/engine_internal.h"
#include "os/sqlite_copy.h"

#define PAGES 256 /* a piece; with pages of 4 KB it takes about a millisecond */

struct copying {
    struct call call; /* first: it stands in the queue as one */
    struct sqlite_copy *copy;
    char *path;
    engine_copied *done;
    void *arg;
};

static void finish(struct call *c, const struct err *err)
{
    struct copying *k = (struct copying *)c;
    sqlite_copy_free(k->copy);
    k->done(k->arg, err);
    free(k->path);
    call_free(c);
}

static void copy_some(struct eng *e, struct call *c)
{
    struct copying *k = (struct copying *)c;
    struct err err = {0};
    bool done = false;
    pthread_mutex_lock(&e->mutex);
    bool stop = e->stop;
    pthread_mutex_unlock(&e->mutex);
    int r = k->copy ? 0 : sqlite_copy_begin(e->db.h, k->path, &k->copy, &err);
    if (r == 0)
        r = sqlite_copy_step(k->copy, stop ? -1 : PAGES, &done, &err);
    if (r == 0 && !done && eng_tell_again(e, c))
        return;
    if (r == 0 && !done)
        r = sqlite_copy_step(k->copy, -1, &done, &err);
    err.code = -r;
    finish(c, &err);
}

void engine_embedded_copy(struct engine *base, const char *path, engine_copied *done, void *arg)
{
    struct copying *k = mem_zalloc(sizeof *k);
    struct err err = {0};
    if (!k || !(k->path = mem_strdup(path))) {
        err_nomem(&err);
        free(k);
        done(arg, &err);
        return;
    }
    k->call.news = copy_some;
    k->done = done;
    k->arg = arg;
    eng_tell((struct eng *)base, &k->call);
}
