#include "cli/admit.h"
#include "cli/bucket_use.h"
#include "cli/follow.h"

#include "api/access/access.h"
#include "api/access/quota.h"
#include "api/live/live.h"
#include "api/service/runs.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/units.h"
#include "base/vec.h"
#include "codec/json.h"
#include "os/clock.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#define DAY_NS (24 * 3600 * NS_PER_S)
#define LOOK_AGAIN_NS (2 * NS_PER_S) /* at what is stored, while activities end */
#define LOOK_ANYWAY_NS (60 * NS_PER_S) /* other processes store too */
#define LOOK_SHARE 20 /* one of so many parts of the time, at most, at runs that go on */
#define WRITE_FROM_MS 10000 /* CPU time of a namespace that is kept back, so that not each activity is a write */

struct use {
    int64_t cpu_ms; /* not written yet */
    int64_t places; /* of runs that are being started */
    uint64_t stored_bytes; /* as they were found then, and what was let in since */
    uint64_t coming_bytes; /* of them, of runs that are being started: not found yet, whenever it is looked */
    int64_t stored_at_ns;  /* 0: not looked at yet */
    bool stores;           /* its runs have gone on since, or may have */
};

/* Of a namespace whose runs go on. */
struct going {
    bool asked; /* since it was last looked at */
    struct err full; /* why they may not; code 0: they may */
};

struct admit {
    struct app *app;
    bool bucket;
    struct access *access;
    struct live *live; /* NULL: no events are kept */
    pthread_mutex_t lock;
    struct map uses; /* by namespace */
    pthread_mutex_t going_lock; /* never held for long */
    struct map going; /* by namespace */
    atomic_llong look_ns; /* when they are looked at next */
    void (*next)(void *arg, const struct worker_event *e);
    void *next_arg;
};

static int64_t today(void)
{
    return os_now_ns() / DAY_NS;
}

/* Under the lock. */
static struct use *use_of(struct admit *a, const char *name_space)
{
    struct use *u = map_get(&a->uses, name_space);
    if (!u && (u = mem_zalloc(sizeof *u)) && !map_set(&a->uses, name_space, u))
        free(TAKE_PTR(u));
    return u;
}

/* Under the lock. */
static void write_use(struct admit *a, const char *name_space, struct use *u)
{
    struct err err = {0};
    int64_t cpu_ms = u->cpu_ms;
    if (!cpu_ms || !a->access)
        return;
    u->cpu_ms = 0;
    if (access_usage_add(a->access, name_space, today(), cpu_ms, &err) == 0)
        return;
    u->cpu_ms = cpu_ms;
    log_warn("CPU time of %s: %s", name_space, err.msg);
}

static void on_event(void *arg, const struct worker_event *e)
{
    struct admit *a = arg;
    if (a->next)
        a->next(a->next_arg, e);
    bool usage = strcmp(e->type, "usage") == 0;
    if (usage)
        pthread_mutex_lock(&a->lock);
    else if (pthread_mutex_trylock(&a->lock) != 0) /* a store is being looked at; there are more events */
        return;
    struct use *u = use_of(a, e->name_space);
    if (u)
        u->stores = true;
    if (u && usage && (u->cpu_ms += json_i64(e->data, "cpu_ms", 0)) >= WRITE_FROM_MS)
        write_use(a, e->name_space, u);
    pthread_mutex_unlock(&a->lock);
}

static int count_running(const struct service *svc, int64_t *ret, struct err *err)
{
    Pb__CountWorkflowExecutionsRequest q = PB__COUNT_WORKFLOW_EXECUTIONS_REQUEST__INIT;
    ProtobufCMessage *m = NULL;
    q.namespace_ = service_namespace(svc);
    q.query = (char *)(uintptr_t) "ExecutionStatus = 'Running'";
    int r = engine_call_sync(svc->engine, ENGINE_COUNT, &q.base, 0, &m, err);
    if (r == 0)
        *ret = ((const Pb__CountWorkflowExecutionsResponse *)m)->count;
    engine_free_message(m);
    return r;
}

/* Under the lock. */
static int look_at_store(struct admit *a, const struct service *svc, struct use *use, struct err *err)
{
    use->stores = false;
    int r = a->bucket ? bucket_use(a->access, svc, &use->stored_bytes, &use->stores, err)
                      : runs_stored_bytes(svc, true, NULL, NULL, &use->stored_bytes, err);
    uint64_t events = 0;
    if (r == 0 && a->live)
        r = live_bytes(a->live, service_namespace(svc), &events, err);
    use->stored_bytes += events + use->coming_bytes;
    use->stored_at_ns = os_mono_ns();
    return r;
}

static bool is_stale(const struct use *use)
{
    int64_t age = os_mono_ns() - use->stored_at_ns;
    return !use->stored_at_ns || age > (use->stores ? LOOK_AGAIN_NS : LOOK_ANYWAY_NS);
}

/* What has a bound is looked at. Under the lock. */
static int read_usage(struct admit *a, const struct service *svc, const struct quota *q, struct quota_usage *u, struct err *err)
{
    struct use *use = use_of(a, service_namespace(svc));
    int r = use ? 0 : err_nomem(err);
    if (r == 0 && q->runs)
        r = count_running(svc, &u->runs, err);
    if (r == 0)
        u->runs += use->places;
    if (r == 0 && q->storage_bytes)
        r = is_stale(use) ? look_at_store(a, svc, use, err) : 0;
    if (r == 0 && q->storage_bytes)
        u->storage_bytes = use->stored_bytes;
    if (r == 0 && q->cpu_ms)
        r = access_usage(a->access, service_namespace(svc), today(), &u->cpu_ms, err);
    if (r == 0)
        u->cpu_ms += use->cpu_ms;
    return r;
}

/* Under the lock. */
static int check(struct admit *a, const struct service *svc, const struct quota *q, int64_t more_runs, uint64_t bytes,
                 struct err *err)
{
    struct quota_usage u = {0};
    const char *name_space = service_namespace(svc);
    int r = read_usage(a, svc, q, &u, err);
    bool full = r == 0 && q->storage_bytes && u.storage_bytes + bytes > q->storage_bytes;
    if (r == 0)
        r = quota_check(q, &u, more_runs, bytes, name_space, err);
    if (r == -ERR_QUOTA && full) { /* runs may have been taken away */
        r = look_at_store(a, svc, use_of(a, name_space), err);
        u.storage_bytes = use_of(a, name_space)->stored_bytes;
        if (r == 0)
            r = quota_check(q, &u, more_runs, bytes, name_space, err);
    }
    return r;
}

static int admit(void *arg, const struct service *svc, uint64_t bytes, struct err *err)
{
    struct admit *a = arg;
    struct quota q;
    const char *name_space = service_namespace(svc);
    pthread_mutex_lock(&a->lock);
    int r = quotas_get(&a->app->quotas, name_space, &q, err);
    if (r == 0)
        r = check(a, svc, &q, 1, bytes, err);
    if (r == 0) {
        use_of(a, name_space)->places++;
        use_of(a, name_space)->stored_bytes += bytes;
        use_of(a, name_space)->coming_bytes += bytes;
    }
    pthread_mutex_unlock(&a->lock);
    return r;
}

static int has_room(void *arg, const struct service *svc, uint64_t bytes, struct err *err)
{
    struct admit *a = arg;
    struct quota q;
    pthread_mutex_lock(&a->lock);
    int r = quotas_get(&a->app->quotas, service_namespace(svc), &q, err);
    q.runs = q.cpu_ms = 0;
    if (r == 0 && q.storage_bytes)
        r = check(a, svc, &q, 0, bytes, err);
    pthread_mutex_unlock(&a->lock);
    return r;
}

static void admitted(void *arg, const struct service *svc, uint64_t bytes)
{
    struct admit *a = arg;
    pthread_mutex_lock(&a->lock);
    struct use *u = use_of(a, service_namespace(svc));
    if (u) {
        u->places--;
        u->coming_bytes -= bytes;
    }
    pthread_mutex_unlock(&a->lock);
}

/* What is counted of a namespace, asked for by no request. All else of the app's may be changing: calls come until the end. */
static struct service counted(const struct admit *a, const char *name_space)
{
    const struct service *s = &a->app->service;
    return (struct service){.engine = s->engine, .store = s->store, .name_space = name_space};
}

/* The engine takes the run right after; two that come at one time may both get the last place. */
int admit_run(void *arg, const char *name_space, struct err *err)
{
    struct admit *a = arg;
    struct service svc = counted(a, name_space);
    int r = admit(a, &svc, 0, err);
    if (r == 0)
        admitted(a, &svc, 0);
    return r;
}

int admit_goes_on(void *arg, const char *name_space, struct err *err)
{
    struct admit *a = arg;
    int r = 0;
    pthread_mutex_lock(&a->going_lock);
    struct going *g = map_get(&a->going, name_space);
    if (!g && (g = mem_zalloc(sizeof *g)) && !map_set(&a->going, name_space, g))
        free(TAKE_PTR(g));
    if (g)
        g->asked = true;
    if (g && g->full.code)
        r = err_copy(err, &g->full);
    pthread_mutex_unlock(&a->going_lock);
    if (os_mono_ns() > atomic_load(&a->look_ns))
        follow_look();
    return r;
}

static void look_at(struct admit *a, const char *name_space)
{
    struct service svc = counted(a, name_space);
    struct err err = {0};
    pthread_mutex_lock(&a->lock);
    struct use *u = use_of(a, name_space);
    if (u)
        u->stores = true;
    pthread_mutex_unlock(&a->lock);
    int r = has_room(a, &svc, 0, &err);
    pthread_mutex_lock(&a->going_lock);
    struct going *g = map_get(&a->going, name_space);
    if (g && (r == 0 || r == -ERR_QUOTA))
        g->full = err;
    pthread_mutex_unlock(&a->going_lock);
}

void admit_look(struct admit *a)
{
    VEC(char *) names = {0};
    int64_t begun = os_mono_ns();
    if (begun < atomic_load(&a->look_ns))
        return;
    pthread_mutex_lock(&a->going_lock);
    MAP_EACH (&a->going, e) {
        struct going *g = e->value;
        char *name = g->asked ? mem_strdup(e->key) : NULL;
        g->asked = false;
        if (name && VEC_PUSH(&names, name))
            continue;
        free(name); /* nobody has asked for it: it is forgotten */
        map_remove(&a->going, e->key);
        free(g);
    }
    pthread_mutex_unlock(&a->going_lock);
    VEC_EACH (&names, name) {
        look_at(a, *name);
        free(*name);
    }
    VEC_RELEASE(&names);
    int64_t now = os_mono_ns(), pause = (now - begun) * LOOK_SHARE;
    atomic_store(&a->look_ns, now + (pause > LOOK_AGAIN_NS ? pause : LOOK_AGAIN_NS));
}

int admit_prepare(struct app *app, struct admit **ret, struct err *err)
{
    struct admit *a = mem_zalloc(sizeof *a);
    if (!a)
        return err_nomem(err);
    a->app = app;
    a->next = app->on_event;
    a->next_arg = app->on_event_arg;
    app->on_event = on_event;
    app->on_event_arg = a;
    pthread_mutex_init(&a->lock, NULL);
    pthread_mutex_init(&a->going_lock, NULL);
    *ret = a;
    return 0;
}

int admit_open(struct admit *a, struct err *err)
{
    struct service *s = &a->app->service;
    pthread_mutex_lock(&a->lock);
    a->bucket = strcmp(config_get(&a->app->config, CONFIG_store), "local") != 0;
    int r = access_open(a->app->state_dir, &a->access, err);
    pthread_mutex_unlock(&a->lock);
    if (r < 0)
        return r;
    s->admit = admit;
    s->admitted = admitted;
    s->has_room = has_room;
    s->admit_arg = a;
    return 0;
}

void admit_count_events(struct admit *a, struct live *live)
{
    pthread_mutex_lock(&a->lock);
    a->live = live;
    pthread_mutex_unlock(&a->lock);
}

void admit_close(struct admit *a)
{
    if (!a)
        return;
    a->app->service.admit = NULL;
    a->app->service.admitted = NULL;
    a->app->service.has_room = NULL;
    MAP_EACH(&a->uses, e) {
        write_use(a, e->key, e->value);
        free(e->value);
    }
    map_release(&a->uses);
    MAP_EACH (&a->going, e)
        free(e->value);
    map_release(&a->going);
    pthread_mutex_destroy(&a->going_lock);
    access_close(a->access);
    pthread_mutex_destroy(&a->lock);
    free(a);
}
