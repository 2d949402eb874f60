#include "cli/engine_open.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "cli/follow.h"
#include "engine/offload/offload.h"
#include "engine/temporal/temporal.h"
#include "os/clock.h"
#include "os/memory.h"
#include "version.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define CLUSTER_POLLS 5          /* of each queue, as Temporal's SDKs have */
#define CLUSTER_EXTRA 16 /* activities at a time beyond the slots, */
#define BRIEF_MS 250     /* while they take less than this */
#define PATIENCE_MS 30000 /* with a cluster that is just being started, or busy */
#define PAUSE_US 200000
#define HEARTBEAT_MOST_MS 60000 /* theirs too */
/* A worker that was killed is noticed after so long. Heartbeats come every 12 s. */
#define HEARTBEAT_TIMEOUT_MS 15000

bool engine_is_temporal(const struct app *app)
{
    return strcmp(config_get(&app->config, CONFIG_engine), "temporal") == 0;
}

/* NULL for a setting that is empty. */
static const char *setting(const struct app *app, enum config_key k)
{
    const char *v = config_get(&app->config, k);
    return *v ? v : NULL;
}

/* What belongs to TLS switches it on, as with Temporal's own command, unless the setting says no. */
static int tls_wanted(struct app *app, struct engine_temporal_options *o, struct err *err)
{
    if (strcmp(config_get(&app->config, CONFIG_temporal_tls), "auto") != 0)
        return config_bool(&app->config, CONFIG_temporal_tls, &o->tls, err);
    o->tls = o->api_key || o->tls_ca || o->tls_cert || o->tls_key || o->tls_server_name;
    return 0;
}

/* Who stays tries again for a while where something is there that does not answer yet, and says so. */
static int connect(struct app *app, const struct engine_temporal_options *o, struct engine **ret, struct err *err)
{
    int64_t end = os_mono_ns() + PATIENCE_MS * INT64_C(1000000);
    for (bool said = false;; said = true) {
        int r = engine_temporal_open(o, ret, err);
        if (r == 0 || err->sys != ETIMEDOUT || !app->patient || os_mono_ns() > end || follow_interrupted())
            return r;
        if (!said && !app->quiet)
            fprintf(stderr, "ff: %s; trying for another %d s\n", err->msg, PATIENCE_MS / 1000);
        usleep(PAUSE_US);
    }
}

int engine_open_temporal(struct app *app, struct err *err)
{
    char host[256] = "localhost";
    struct engine *inner;
    gethostname(host, sizeof host - 1);
    _cleanup_free_ char *identity = mem_printf("%ld@%s@fuzzforge", (long)getpid(), host);
    struct engine_temporal_options o = {
        .address = config_get(&app->config, CONFIG_temporal_address),
        .name_space = setting(app, *config_get(&app->config, CONFIG_namespace) ? CONFIG_namespace : CONFIG_temporal_namespace),
        .version = FF_VERSION,
        .identity = identity,
        .tls_ca = setting(app, CONFIG_temporal_tls_ca),
        .tls_cert = setting(app, CONFIG_temporal_tls_cert),
        .tls_key = setting(app, CONFIG_temporal_tls_key),
        .tls_server_name = setting(app, CONFIG_temporal_tls_server_name),
        .api_key = setting(app, CONFIG_temporal_api_key),
    };
    os_memory_share_heap(); /* the cluster is what is waited for */
    int r = identity ? tls_wanted(app, &o, err) : err_nomem(err);
    if (r == 0)
        r = connect(app, &o, &inner, err);
    if (r == 0)
        r = engine_offload_new(inner, app->store, &app->engine, err);
    return r;
}

void engine_worker_options(const struct app *app, struct worker_options *o)
{
    static const char *const none[] = {NULL};
    o->workflow_polls = CLUSTER_POLLS;
    o->activity_extra = o->activity_slots ? 0 : CLUSTER_EXTRA; /* a number that was set is one */
    o->brief_ms = BRIEF_MS;
    o->heartbeat_ms = HEARTBEAT_MOST_MS;
    o->heartbeat_timeout_ms = HEARTBEAT_TIMEOUT_MS;
    o->give_back = true;
    o->version = FF_VERSION;
    if (!app->verticals) /* those of the toolbox's workflows follow, others when a workflow asks for one */
        o->verticals = none;
}
