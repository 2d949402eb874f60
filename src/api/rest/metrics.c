/* /metrics: the text format of Prometheus (prometheus.io/docs/instrumenting/exposition_formats). */
#include "api/rest/rest_internal.h"

#include "base/cleanup.h"
#include "base/units.h"
#include "codec/pbx.h"
#include "engine/embedded/embedded.h"
#include "os/clock.h"
#include "worker/worker.h"

#include <stdio.h>
#include <unistd.h>

/* What the engine has. */
struct engine_facts {
    int64_t running, waiting;
    double oldest, seconds, store_seconds;
    int slots, slots_busy;
};

static double resident_bytes(void)
{
    long total, resident = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    if (f && fscanf(f, "%ld %ld", &total, &resident) != 2)
        resident = 0;
    if (f)
        fclose(f);
    return (double)resident * (double)sysconf(_SC_PAGESIZE);
}

static void ask_queue(const struct service *svc, const char *vertical, struct engine_facts *e)
{
    Pb__DescribeTaskQueueRequest req = PB__DESCRIBE_TASK_QUEUE_REQUEST__INIT;
    Pb__TaskQueue queue = PB__TASK_QUEUE__INIT;
    ProtobufCMessage *m = NULL;
    _cleanup_free_ char *name = worker_queue_name(vertical);
    req.namespace_ = (char *)(uintptr_t) "default";
    req.task_queue = &queue;
    req.task_queue_type = PB__TASK_QUEUE_TYPE__TASK_QUEUE_TYPE_ACTIVITY;
    req.report_stats = true;
    queue.name = name;
    if (!name || engine_call_sync(svc->engine, ENGINE_DESCRIBE_TASK_QUEUE, &req.base, 1000, &m, NULL) < 0)
        return;
    const Pb__TaskQueueStats *s = ((Pb__DescribeTaskQueueResponse *)m)->stats;
    double age = s ? (double)pbx_duration_ns(s->approximate_backlog_age) / (double)NS_PER_S : 0;
    e->waiting += s ? s->approximate_backlog_count : 0;
    e->oldest = age > e->oldest ? age : e->oldest;
    engine_free_message(m);
}

static void look(struct rest *r, struct engine_facts *e)
{
    const struct service *svc = r->o.service;
    Pb__CountWorkflowExecutionsRequest req = PB__COUNT_WORKFLOW_EXECUTIONS_REQUEST__INIT;
    ProtobufCMessage *m = NULL;
    struct store_object_info info;
    int64_t begin = os_mono_ns();
    req.namespace_ = (char *)(uintptr_t) "default";
    req.query = (char *)(uintptr_t) "ExecutionStatus = 'Running'";
    if (engine_call_sync(svc->engine, ENGINE_COUNT, &req.base, 1000, &m, NULL) == 0)
        e->running = ((Pb__CountWorkflowExecutionsResponse *)m)->count;
    engine_free_message(m);
    e->seconds = (double)(os_mono_ns() - begin) / (double)NS_PER_S;
    for (const char *const *v = r->o.verticals; v && *v; v++)
        ask_queue(svc, *v, e);
    if (r->o.slots)
        r->o.slots(r->o.arg, &e->slots, &e->slots_busy);
    begin = os_mono_ns();
    (void)store_stat(svc->store, "sha256:0000000000000000000000000000000000000000000000000000000000000000", &info, NULL);
    e->store_seconds = (double)(os_mono_ns() - begin) / (double)NS_PER_S;
}

/* One of a family. label: name="value", or "". */
static void write_histogram(const char *name, const char *label, const struct histogram *h, struct strbuf *out)
{
    uint64_t t[HISTOGRAM_RANGES + 1];
    const char *comma = *label ? "," : "";
    histogram_totals(h, t);
    for (int i = 0; i < HISTOGRAM_RANGES; i++)
        strbuf_printf(out, "%s_bucket{%s%sle=\"%g\"} %llu\n", name, label, comma, (double)histogram_ends_us[i] / 1e6,
                      (unsigned long long)t[i]);
    strbuf_printf(out, "%s_bucket{%s%sle=\"+Inf\"} %llu\n", name, label, comma, (unsigned long long)t[HISTOGRAM_RANGES]);
    strbuf_printf(out, "%s_sum%s%s%s %.17g\n%s_count%s%s%s %llu\n", name, *label ? "{" : "", label, *label ? "}" : "",
                  (double)atomic_load(&h->sum_us) / 1e6, name, *label ? "{" : "", label, *label ? "}" : "",
                  (unsigned long long)t[HISTOGRAM_RANGES]);
}

static void begin_histogram(const char *name, const char *help, struct strbuf *out)
{
    strbuf_printf(out, "# HELP %s %s\n# TYPE %s histogram\n", name, help, name);
}

static void write_engine_times(const struct engine_times *t, struct strbuf *out)
{
    begin_histogram("ff_engine_commit_seconds", "How long the engine's transactions took to be on disk.", out);
    write_histogram("ff_engine_commit_seconds", "", &t->commit, out);
    begin_histogram("ff_task_schedule_to_start_seconds", "How long tasks waited for a worker.", out);
    write_histogram("ff_task_schedule_to_start_seconds", "task=\"workflow\"", &t->workflow_wait, out);
    write_histogram("ff_task_schedule_to_start_seconds", "task=\"activity\"", &t->activity_wait, out);
}

/* Routes that nobody has asked for are left out. */
static void write_routes(const struct api *a, struct strbuf *out)
{
    char label[200];
    begin_histogram("ff_http_request_seconds", "How long requests took, by route; streams are not counted.", out);
    for (size_t i = 0; i < a->count; i++) {
        const struct route *r = &a->routes[i];
        uint64_t t[HISTOGRAM_RANGES + 1];
        histogram_totals(&r->took, t);
        snprintf(label, sizeof label, "method=\"%s\",route=\"%s\"", r->method, r->path);
        if (t[HISTOGRAM_RANGES])
            write_histogram("ff_http_request_seconds", label, &r->took, out);
    }
}

void metrics_write(struct rest *r, struct strbuf *out)
{
    struct live_counts live;
    struct engine_facts e = {0};
    live_count(r->o.live, &live);
    look(r, &e);
#define X(name, kind, help, value)                                                                                     \
    strbuf_printf(out, "# HELP %s %s\n# TYPE %s %s\n%s %.17g\n", name, help, name, kind, name, (double)(value));
#include "api/rest/metrics.h"
#undef X
    const struct engine_times *times = r->o.times ? r->o.times(r->o.arg) : NULL;
    if (times)
        write_engine_times(times, out);
    write_routes(&r->api, out);
}
