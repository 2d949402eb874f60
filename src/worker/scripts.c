#include "worker/scripts_internal.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "codec/json.h"
#include "codec/pbx.h"

#include <stdio.h>
#include <string.h>

#define CACHE_MAX 64

static void forget_all(struct scripts *s)
{
    MAP_EACH(&s->by_ref, e) {
        struct script *c = e->value;
        free(c->text);
        free(c);
    }
    map_clear(&s->by_ref);
}

void scripts_release(struct scripts *s)
{
    forget_all(s);
    map_release(&s->by_ref);
}

static int load(struct scripts *s, struct worker *w, const char *ref, const struct script **ret,
                struct err *err)
{
    struct script *c = map_get(&s->by_ref, ref);
    if (c) {
        *ret = c;
        return 0;
    }
    if (s->by_ref.len >= CACHE_MAX)
        forget_all(s);
    c = mem_zalloc(sizeof *c);
    if (!c)
        return err_nomem(err);
    int r = store_get(w->o.store, ref, SCRIPT_MAX, &c->text, &c->len, err);
    if (r == 0 && !map_set(&s->by_ref, ref, c))
        r = err_nomem(err);
    if (r < 0) {
        free(c->text);
        free(c);
        return err_wrap(err, "the run's script");
    }
    *ret = c;
    return 0;
}

static const Pb__Payload *memo_field(const Pb__Memo *memo, const char *key)
{
    for (size_t i = 0; memo && i < memo->n_fields; i++)
        if (strcmp(memo->fields[i]->key, key) == 0)
            return memo->fields[i]->value;
    return NULL;
}

/* Stores the script that the toolbox has for a workflow type now. */
static int pin_type(struct worker *w, const char *type, struct store_ref *ret, struct err *err)
{
    if (!w->o.find_script)
        return err_set(err, ERR_NOT_FOUND, "no workflow '%s' here", type);
    _cleanup_free_ char *text = NULL;
    size_t len;
    int r = w->o.find_script(w->o.find_script_arg, type, &text, &len, err);
    if (r < 0)
        return r;
    return store_put(w->o.store, text, len, "text/x-lua", ret, err);
}

int scripts_for_run(struct scripts *s, struct worker *w,
                    const Pb__WorkflowExecutionStartedEventAttributes *started, bool mended,
                    const struct script **ret, struct err *err)
{
    const Pb__Payload *p = memo_field(started->memo, WORKER_MEMO_SCRIPT);
    const char *type = started->workflow_type ? started->workflow_type->name : "";
    struct store_ref ref;
    if (mended && pin_type(w, type, &ref, err) == 0)
        return load(s, w, ref.text, ret, err);
    if (p) {
        _cleanup_json_ json_t *j = NULL;
        int r = pbx_payload_json(p, &j, err);
        if (r < 0)
            return err_wrap(err, "the run's memo");
        const char *text = json_is_string(j) ? json_string_value(j) : "";
        if (!store_ref_valid(text))
            return err_set(err, ERR_CORRUPT, "the run's memo names no script");
        memcpy(ref.text, text, sizeof ref.text);
    } else { /* started by another client: the toolbox's script of that name */
        int r = pin_type(w, type, &ref, err);
        if (r < 0)
            return r;
    }
    return load(s, w, ref.text, ret, err);
}

static Pb__Memo *script_memo(const char *ref)
{
    _cleanup_json_ json_t *j = json_string(ref);
    Pb__Memo *m = mem_alloc(sizeof *m);
    Pb__Memo__FieldsEntry *e = mem_alloc(sizeof *e), **list = mem_calloc(1, sizeof *list);
    char *key = mem_strdup(WORKER_MEMO_SCRIPT);
    Pb__Payload *p = j ? pbx_json_payload(j) : NULL;
    if (!m || !e || !list || !key || !p) {
        free(m);
        free(e);
        free(list);
        free(key);
        engine_free_message(p ? &p->base : NULL);
        return NULL;
    }
    pb__memo__init(m);
    pb__memo__fields_entry__init(e);
    e->key = key;
    e->value = p;
    list[0] = e;
    m->fields = list;
    m->n_fields = 1;
    return m;
}

int scripts_pin_child(struct scripts *s, struct worker *w,
                      Pb__StartChildWorkflowExecutionCommandAttributes *child, struct err *err)
{
    (void)s;
    if (child->memo)
        return 0;
    struct store_ref ref;
    int r = pin_type(w, child->workflow_type ? child->workflow_type->name : "", &ref, err);
    if (r == 0) { /* kept as long as the child is */
        char owner[ENGINE_ID_MAX + 8];
        snprintf(owner, sizeof owner, "run/%s", child->workflow_id ? child->workflow_id : "");
        r = store_pin(w->o.store, owner, ref.text, 0, err);
    }
    if (r < 0)
        return r;
    child->memo = script_memo(ref.text);
    return child->memo ? 0 : err_nomem(err);
}

int scripts_pin_next(struct scripts *s, struct worker *w, const Pb__WorkflowExecution *current,
                     Pb__ContinueAsNewWorkflowExecutionCommandAttributes *next, struct err *err)
{
    (void)s;
    if (next->memo)
        return 0;
    Pb__DescribeWorkflowExecutionRequest req = PB__DESCRIBE_WORKFLOW_EXECUTION_REQUEST__INIT;
    req.namespace_ = w->name_space;
    req.execution = (Pb__WorkflowExecution *)current;
    ProtobufCMessage *m;
    int r = engine_call_sync(w->o.engine, ENGINE_DESCRIBE, &req.base, 0, &m, err);
    if (r < 0)
        return err_wrap(err, "continue as new");
    Pb__WorkflowExecutionInfo *info = ((Pb__DescribeWorkflowExecutionResponse *)m)->workflow_execution_info;
    if (info)
        next->memo = TAKE_PTR(info->memo);
    engine_free_message(m);
    return 0;
}
