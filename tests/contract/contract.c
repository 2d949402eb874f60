#include "contract.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "codec/json.h"
#include "codec/pbjson.h"
#include "engine/shared/shared.h"
#include "engine/temporal/temporal.h"
#include "os/clock.h"

#include <unistd.h>

static const char *case_name;

static struct engine *open_engine(void)
{
    struct engine *e = NULL;
    struct err err = {0};
    const char *address = getenv("CONTRACT_ADDR"), *state = getenv("CONTRACT_STATE");
    struct engine_temporal_options t = {.address = address};
    struct engine_shared_options s = {.dir = state, .identity = "contract"};
    struct engine_embedded_options o = {.path = ":memory:"};
    int r = address ? engine_temporal_open(&t, &e, &err) : state ? engine_shared_open(&s, &e, &err) : engine_embedded_open(&o, &e, &err);
    if (r < 0)
        fail_msg("open: %s", err.msg);
    if (state && engine_shared_holds(e))
        fail_msg("nobody held the engine of %s", state);
    return e;
}

const char *contract_namespace(struct lab *l, const char *name)
{
    static int64_t base;
    static int count;
    static char buf[8][160];
    if (!base)
        base = os_now_ns() / 1000000;
    char *ns = buf[count % 8];
    snprintf(ns, sizeof buf[0], "%.100s-%lld-%d", name, (long long)base, count);
    count++;
    Pb__RegisterNamespaceRequest q = PB__REGISTER_NAMESPACE_REQUEST__INIT;
    q.namespace_ = ns;
    q.workflow_execution_retention_period = lab_duration_ms(86400000);
    struct err err = {0};
    if (lab_call(l, ENGINE_REGISTER_NAMESPACE, &q, 0, NULL, &err) < 0)
        fail_msg("namespace %s: %s", ns, err.msg);
    return ns;
}

int contract_set_up(void **state)
{
    static struct lab lab;
    case_name = *state;
    lab = (struct lab){.engine = open_engine(), .remote = getenv("CONTRACT_ADDR") || getenv("CONTRACT_STATE")};
    lab.ns = contract_namespace(&lab, case_name);
    *state = &lab;
    return 0;
}

/* The histories of all the runs that the case has seen, in the order in which it saw them. */
static void dump(struct lab *l, const char *dir)
{
    _cleanup_json_ json_t *runs = json_array();
    for (size_t i = 0; i < lab_seen_count(); i++) {
        const struct lab_run *r = lab_seen(i);
        struct lab in = {.engine = l->engine, .ns = r->ns, .remote = l->remote};
        Pb__History *h = lab_try_history(&in, r->workflow_id, r->run_id);
        json_t *events = json_array();
        for (size_t j = 0; h && j < h->n_events; j++)
            json_array_append_new(events, pbjson_encode(&h->events[j]->base));
        json_array_append_new(runs, json_pack("{s:s, s:s, s:s, s:o}", "namespace", r->ns, "workflow_id", r->workflow_id,
                                              "run_id", r->run_id, "events", events));
    }
    _cleanup_free_ char *path = mem_printf("%s/%s.json", dir, case_name);
    if (!path || json_dump_file(runs, path, JSON_INDENT(1)) < 0)
        fail_msg("write %s/%s.json", dir, case_name);
}

int contract_tear_down(void **state)
{
    struct lab *l = *state;
    const char *dir = getenv("CONTRACT_DUMP");
    if (dir && l->engine)
        dump(l, dir);
    engine_free(l->engine); /* answers what a case that failed has left waiting */
    lab_clean();
    return 0;
}
