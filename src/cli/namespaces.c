#include "cli/namespaces.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "cli/engine_open.h"

#include <pthread.h>
#include <string.h>

#define NAMESPACES_MAX 64 /* each costs two threads */

struct namespaces {
    struct app *app;
    pthread_mutex_t lock;
    struct map workers; /* by name */
};

void namespaces_choose(struct app *app)
{
    const char *name = config_get(&app->config, CONFIG_namespace);
    if (!*name && engine_is_temporal(app))
        name = config_get(&app->config, CONFIG_temporal_namespace);
    app->service.name_space = *name ? name : NULL;
}

const char *namespaces_of(const struct app *app, const char *name)
{
    return engine_is_temporal(app) && strcmp(name, "default") == 0 ? service_namespace(&app->service) : name;
}

int namespaces_check(struct app *app, struct err *err)
{
    Pb__DescribeNamespaceRequest q = PB__DESCRIBE_NAMESPACE_REQUEST__INIT;
    q.namespace_ = service_namespace(&app->service);
    if (!app->service.name_space)
        return 0;
    int r = engine_call_sync(app->engine, ENGINE_DESCRIBE_NAMESPACE, &q.base, 0, NULL, err);
    if (r != -ERR_NOT_FOUND)
        return r;
    err_set(err, ERR_UNAVAILABLE, "there is no namespace '%s'", app->service.name_space);
    return err_hint(err, "'ff token create --namespace %s' makes it", app->service.name_space);
}

int namespaces_each(struct app *app, int (*fn)(void *arg, const char *name, struct err *err), void *arg, struct err *err)
{
    Pb__ListNamespacesRequest q = PB__LIST_NAMESPACES_REQUEST__INIT;
    ProtobufCMessage *m = NULL;
    if (engine_is_temporal(app))
        return fn(arg, service_namespace(&app->service), err);
    int r = engine_call_sync(app->engine, ENGINE_LIST_NAMESPACES, &q.base, 0, &m, err);
    const Pb__ListNamespacesResponse *l = (const Pb__ListNamespacesResponse *)m;
    for (size_t i = 0; r == 0 && i < l->n_namespaces; i++)
        r = fn(arg, l->namespaces[i]->namespace_info->name, err);
    engine_free_message(m);
    return r;
}

/* Under the lock. */
static int start(struct namespaces *n, const char *name, struct err *err)
{
    struct worker *w = NULL;
    if (strcmp(name, service_namespace(&n->app->service)) == 0 || map_get(&n->workers, name))
        return 0;
    if (n->workers.len >= NAMESPACES_MAX)
        return err_set(err, ERR_LIMIT, "%d namespaces are served, which is the limit", NAMESPACES_MAX);
    int r = app_start_worker(n->app, name, &w, err);
    if (r == 0 && !map_set(&n->workers, name, w)) {
        worker_stop(w);
        r = err_nomem(err);
    }
    return r < 0 ? err_wrap(err, "namespace '%s'", name) : 0;
}

static int need(void *arg, const char *name, struct err *err)
{
    struct namespaces *n = arg;
    pthread_mutex_lock(&n->lock);
    int r = start(n, name, err);
    pthread_mutex_unlock(&n->lock);
    return r;
}

/* One that cannot be served now is tried again. */
static int need_known(void *arg, const char *name, struct err *err)
{
    struct err why = {0};
    (void)err;
    if (need(arg, name, &why) < 0)
        log_warn("%s", why.msg);
    return 0;
}

void namespaces_look(struct namespaces *n)
{
    struct err err = {0};
    if (n && namespaces_each(n->app, need_known, n, &err) < 0)
        log_warn("namespaces: %s", err.msg);
}

int namespaces_open(struct app *app, struct err *err)
{
    struct namespaces *n = mem_zalloc(sizeof *n);
    if (!n)
        return err_nomem(err);
    n->app = app;
    pthread_mutex_init(&n->lock, NULL);
    int r = namespaces_each(app, need_known, n, err);
    if (r < 0) {
        namespaces_close(n);
        return r;
    }
    app->namespaces = n;
    app->service.need_namespace = need;
    app->service.need_namespace_arg = n;
    return 0;
}

void namespaces_close(struct namespaces *n)
{
    if (!n)
        return;
    n->app->service.need_namespace = NULL;
    MAP_EACH(&n->workers, e)
        worker_stop(e->value);
    map_release(&n->workers);
    pthread_mutex_destroy(&n->lock);
    free(n);
}
