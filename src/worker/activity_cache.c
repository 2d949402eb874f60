/* Activities whose module says that its result follows from what it is given: what the store has of one before is the answer. */
#include "base/cleanup.h"
#include "base/log.h"
#include "codec/json.h"
#include "module/cache.h"
#include "worker/activity_internal.h"

/* The run keeps what it names, as if it had been made by it. */
static int keep_all(struct activity *a, const json_t *answer, struct err *err)
{
    const char *name, *findings = json_str(json_object_get(answer, "findings"), "ref", NULL);
    json_t *f;
    int r = findings ? worker_pin(a, findings, err) : 0;
    json_object_foreach(json_object_get(answer, "artifacts"), name, f)
        if (r == 0)
            r = worker_pin(a, json_str(f, "ref", ""), err);
    return r;
}

void worker_cache_look(struct activity *a)
{
    struct worker *w = a->worker;
    const char *tree = json_str(json_object_get(a->context, "target"), "ref", NULL);
    _cleanup_json_ json_t *answer = NULL;
    a->cache_key[0] = 0;
    if (module_cache_key(a->module.builtin, w->name_space, tree, a->input, w->o.tools, a->cache_key, NULL) < 0) {
        a->cache_key[0] = 0;
        return;
    }
    if (module_cache_get(w->o.store, a->cache_key, &answer, NULL) < 0 || keep_all(a, answer, NULL) < 0 ||
        json_object_set_new(answer, "cached", json_true()) < 0)
        return;
    a->answer = json_incref(answer);
}

void worker_cache_put(struct activity *a)
{
    struct err err = {0};
    if (a->cache_key[0] && a->answer && a->status == MODULE_SUCCESS &&
        module_cache_put(a->worker->o.store, a->cache_key, a->answer, &err) < 0)
        log_warn("module '%s': its result is not kept for the next time: %s", a->module.name, err.msg);
}
