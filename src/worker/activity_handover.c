/* What an activity hands over to the one that takes its place.
 *
 * The engine gives what was in the last heartbeat to the next attempt, and to nobody else: an activity that is cancelled
 * between two attempts is over at once, and what it had is forgotten. So a module that goes on for long (struct module:
 * stops) may be given a name in its input, "handover". Its checkpoint and the names of the files that it keeps are then in the
 * store as well, before any heartbeat has them, under that name, and the next activity of the run with this name begins with
 * them as another attempt would. One that ends with a result leaves nothing. */
#include "base/cleanup.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/units.h"
#include "codec/json.h"
#include "os/clock.h"
#include "worker/activity_internal.h"

#include <string.h>

#define NAME_MAX_BYTES 300
#define STATE_MAX ((size_t)16 << 20)
#define KEEP_NS (INT64_C(400) * 86400 * NS_PER_S) /* of what nobody has taken over: its run was ended by force */

int worker_handover_about(struct activity *a, struct err *err)
{
    const char *name = json_str(a->input, "handover", NULL);
    const Pb__WorkflowExecution *run = a->task->workflow_execution;
    if (!a->module.builtin || !a->module.builtin->stops || !name || a->handover)
        return 0;
    if (!*name || strlen(name) > NAME_MAX_BYTES)
        return err_set(err, ERR_INVALID, "handover: a name of 1 to %d bytes", NAME_MAX_BYTES);
    a->handover = mem_printf("handover@%s/%s/%s/%s", a->worker->name_space, run->workflow_id, run->run_id, name);
    return a->handover ? 0 : err_nomem(err);
}

struct search {
    struct activity *a;
    json_t *latest;
};

/* Two are there when the process ended between the pin of the one and the end of the other. */
static int note(void *arg, const char *owner, const char *ref, struct err *err)
{
    struct search *s = arg;
    _cleanup_free_ char *text = NULL;
    _cleanup_json_ json_t *j = NULL;
    size_t len;
    (void)owner;
    int r = store_get(s->a->worker->o.store, ref, STATE_MAX, &text, &len, err);
    if (r == 0)
        r = json_parse(text, len, STATE_MAX, &j, err);
    if (r == -ERR_NOT_FOUND || r == -ERR_CORRUPT || r == -ERR_INVALID) { /* to try again would not help */
        log_warn("what was handed over to module '%s': %s", s->a->module.name, err->msg);
        err->code = 0;
        return 0;
    }
    if (r < 0)
        return err_wrap(err, "what was handed over");
    if (!s->latest || json_i64(j, "number", 0) > json_i64(s->latest, "number", 0)) {
        json_decref(s->latest);
        s->latest = json_incref(j);
    }
    return json_array_append_new(s->a->handed, json_string(ref)) < 0 ? err_nomem(err) : 0;
}

int worker_handover_find(struct activity *a, struct err *err)
{
    struct search s = {.a = a};
    if (!a->handover)
        return 0;
    json_decref(a->handed); /* of a try before, that had no room */
    a->handed = json_array();
    int r = a->handed ? store_each_pin_of(a->worker->o.store, a->handover, note, &s, err) : err_nomem(err);
    if (r == 0)
        a->handed_number = json_i64(s.latest, "number", 0);
    json_t *checkpoint = json_object_get(s.latest, "checkpoint"), *kept = json_object_get(s.latest, "kept");
    if (r == 0 && !a->checkpoint && !a->kept) { /* else an attempt before this one has begun with it */
        a->checkpoint = json_is_null(checkpoint) ? NULL : json_incref(checkpoint);
        a->kept = json_is_object(kept) ? json_incref(kept) : NULL;
    }
    json_decref(s.latest);
    return r;
}

static int save(struct activity *a, json_t *checkpoint, json_t *kept, struct err *err)
{
    struct store *s = a->worker->o.store;
    struct store_ref ref;
    struct strbuf text = STRBUF_INIT_MAX(STATE_MAX);
    size_t i;
    json_t *old;
    _cleanup_json_ json_t *j = json_pack("{s:I, s:O?, s:O?}", "number", (json_int_t)++a->handed_number, "checkpoint", checkpoint,
                                         "kept", kept);
    int r = j ? json_write(j, &text, err) : err_nomem(err);
    if (r == 0)
        r = store_put(s, text.s, text.len, "application/json", &ref, err);
    if (r == 0)
        r = store_pin(s, a->handover, ref.text, os_now_ns() + KEEP_NS, err);
    strbuf_release(&text);
    if (r < 0)
        return r;
    json_array_foreach(a->handed, i, old)
        if (store_unpin(s, a->handover, json_string_value(old), NULL) == 0)
            store_remove(s, json_string_value(old), NULL);
    json_array_clear(a->handed);
    return json_array_append_new(a->handed, json_string(ref.text)) < 0 ? err_nomem(err) : 0;
}

void worker_handover_save(struct activity *a, json_t *checkpoint, json_t *kept)
{
    struct err err = {0};
    if (a->handover && save(a, checkpoint, kept, &err) < 0)
        log_warn("what module '%s' hands over: %s", a->module.name, err.msg);
}

void worker_handover_over(struct activity *a)
{
    struct err err = {0};
    if (a->handover && json_array_size(a->handed) && store_unpin_owner(a->worker->o.store, a->handover, &err) < 0)
        log_warn("what module '%s' has handed over: %s", a->module.name, err.msg);
}
