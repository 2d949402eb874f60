#include "worker/scripts_internal.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/units.h"
#include "codec/json.h"
#include "codec/pbx.h"
#include "os/clock.h"
#include "store/digest.h"
#include "store/owned.h"
#include "worker/claim.h"

#include <stdio.h>
#include <string.h>

#define CACHE_MAX 64
/* A script that other clients' runs are pinned to is kept for so long since one of them was last looked at, which is written
 * down once a day: a pin for each run would cost each a write to the disk. */
#define KEEP_NS (400 * NS_PER_DAY)
#define NS_PER_DAY (86400 * NS_PER_S)

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

static int load(struct scripts *s, struct worker *w, const char *ref, struct script **ret, struct err *err)
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
    snprintf(c->ref.text, sizeof c->ref.text, "%s", ref);
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

static int find_type(struct worker *w, const char *type, bool foreign, const json_t *given, struct worker_script *ret,
                     struct err *err)
{
    *ret = (struct worker_script){0};
    if (!w->o.find_script)
        return err_set(err, ERR_NOT_FOUND, "no workflow '%s' here", type);
    return w->o.find_script(w->o.find_script_arg, type, foreign, given, ret, err);
}

/* Stores what the toolbox has now. */
static int store_type(struct worker *w, const char *type, struct store_ref *ret, struct err *err)
{
    struct worker_script t;
    int r = find_type(w, type, false, NULL, &t, err);
    if (r == 0)
        r = store_put(w->o.store, t.text, t.len, "text/x-lua", ret, err);
    free(t.text);
    return r;
}

static int keep_for_others(struct worker *w, struct script *c, const char *type, struct err *err)
{
    int64_t now = os_now_ns();
    if (c->kept_until_ns > now + KEEP_NS - NS_PER_DAY)
        return 0;
    _cleanup_free_ char *owner = mem_printf("script/%s", type);
    int r = owner ? store_pin(w->o.store, owner, c->ref.text, now + KEEP_NS, err) : err_nomem(err);
    if (r == 0)
        c->kept_until_ns = now + KEEP_NS;
    return r;
}

/* Whoever has started the run may have named a script of another namespace: before it is looked for, so that who guesses a
 * digest does not even learn whether there is such an object. */
static int check_script(const struct scripts *s, struct worker *w, const struct script_wanted *q, const char *text,
                        bool *ret_open, struct err *err)
{
    const struct script *c = map_get(&s->by_ref, text);
    struct worker_script t;
    struct digest d;
    struct store_ref ref;
    *ret_open = c && c->open;
    if (!*ret_open && find_type(w, q->type, false, NULL, &t, NULL) == 0) {
        if (digest_of(t.text, t.len, &d, NULL) == 0) {
            digest_to_ref(&d, &ref);
            *ret_open = strcmp(ref.text, text) == 0;
        }
        free(t.text);
    }
    return *ret_open ? 0 : worker_claim_script(w, q->run, text, err);
}

/* May the pin for other clients' runs be renewed? Of a script of the toolbox, or of one that was: else a tenant would keep there
 * what he likes, for all to read. */
static bool is_for_others(struct worker *w, const struct script *c, const char *type)
{
    _cleanup_free_ char *owner = mem_printf("script/%s", type);
    bool pinned = c->open;
    return pinned || (owner && store_pinned(w->o.store, owner, c->ref.text, &pinned, NULL) == 0 && pinned);
}

/* The one with that text, without storing it again. */
static struct script *cached_text(struct scripts *s, const char *text, size_t len)
{
    MAP_EACH(&s->by_ref, e) {
        struct script *c = e->value;
        if (c->len == len && memcmp(c->text, text, len) == 0)
            return c;
    }
    return NULL;
}

static int memo_json(const Pb__Memo *memo, const char *key, json_t **ret, struct err *err)
{
    const Pb__Payload *p = memo_field(memo, key);
    int r = p ? pbx_payload_json(p, ret, err) : 0;
    return r < 0 ? err_wrap(err, "the run's memo") : 0;
}

static int by_memo(struct scripts *s, struct worker *w, const struct script_wanted *q, struct script_found *ret, struct err *err)
{
    _cleanup_json_ json_t *j = NULL;
    struct store_ref ref;
    struct script *c = NULL;
    bool open;
    int r = memo_json(q->pinned, WORKER_MEMO_DEFAULTS, &ret->defaults, err);
    if (r == 0)
        r = memo_json(q->pinned, WORKER_MEMO_SCRIPT, &j, err);
    if (r < 0)
        return r;
    const char *text = json_is_string(j) ? json_string_value(j) : "";
    if (q->mended && store_type(w, q->type, &ref, err) == 0)
        text = ref.text;
    r = store_ref_valid(text) ? check_script(s, w, q, text, &open, err)
                              : err_set(err, ERR_CORRUPT, "the run's memo names no script");
    if (r == 0)
        r = load(s, w, text, &c, err);
    if (r == 0)
        c->open = open;
    if (r == 0 && ret->defaults && is_for_others(w, c, q->type))
        r = keep_for_others(w, c, q->type, err);
    ret->script = c;
    return r;
}

/* A field that is named so; takes value. */
static int memo_add(Pb__Memo *m, const char *key, json_t *value)
{
    Pb__Memo__FieldsEntry **list = mem_realloc(m->fields, (m->n_fields + 1) * sizeof *list);
    Pb__Memo__FieldsEntry *e = list ? mem_alloc(sizeof *e) : NULL;
    if (list)
        m->fields = list;
    if (e) {
        pb__memo__fields_entry__init(e);
        e->key = mem_strdup(key);
        e->value = value ? pbx_json_payload(value) : NULL;
        list[m->n_fields++] = e;
    }
    json_decref(value);
    return e && e->key && e->value ? 0 : -ERR_NO_MEMORY;
}

/* defaults may be NULL. */
static Pb__Memo *script_memo(const char *ref, json_t *defaults)
{
    Pb__Memo *m = mem_alloc(sizeof *m);
    if (!m)
        return NULL;
    pb__memo__init(m);
    if (memo_add(m, WORKER_MEMO_SCRIPT, json_string(ref)) == 0 &&
        (!defaults || memo_add(m, WORKER_MEMO_DEFAULTS, json_incref(defaults)) == 0))
        return m;
    pb__memo__free_unpacked(m, NULL);
    return NULL;
}

/* Started by another client: the toolbox's script of that name, to which it is pinned from now on. */
static int by_type(struct scripts *s, struct worker *w, const struct script_wanted *q, struct script_found *ret, struct err *err)
{
    struct worker_script t;
    struct store_ref ref;
    int r = find_type(w, q->type, true, q->given, &t, err);
    ret->defaults = t.defaults;
    ret->refused = t.refused;
    if (r < 0 || (t.refused.code && q->check)) {
        free(t.text);
        return r;
    }
    ret->refused.code = 0;
    struct script *c = cached_text(s, t.text, t.len);
    if (!c)
        r = store_put(w->o.store, t.text, t.len, "text/x-lua", &ref, err);
    if (!c && r == 0)
        r = load(s, w, ref.text, &c, err);
    free(t.text);
    if (r == 0)
        r = keep_for_others(w, c, q->type, err);
    if (r == 0 && !(ret->pin = script_memo(c->ref.text, ret->defaults)))
        r = err_nomem(err);
    ret->script = c;
    return r;
}

int scripts_for_run(struct scripts *s, struct worker *w, const struct script_wanted *q, struct script_found *ret, struct err *err)
{
    *ret = (struct script_found){0};
    int r = q->pinned ? by_memo(s, w, q, ret, err) : by_type(s, w, q, ret, err);
    if (r < 0)
        script_found_release(ret);
    return r;
}

void script_found_release(struct script_found *f)
{
    json_decref(f->defaults);
    engine_free_message(f->pin ? &f->pin->base : NULL);
    f->defaults = NULL;
    f->pin = NULL;
}

bool scripts_pinned(const Pb__Memo *memo)
{
    return memo_field(memo, WORKER_MEMO_SCRIPT) != NULL;
}

int scripts_pin_child(struct worker *w, Pb__StartChildWorkflowExecutionCommandAttributes *child, struct err *err)
{
    if (child->memo)
        return 0;
    struct store_ref ref;
    int r = store_type(w, child->workflow_type ? child->workflow_type->name : "", &ref, err);
    if (r == 0) { /* kept as long as the child is */
        _cleanup_free_ char *owner = store_run_owner(w->name_space, child->workflow_id ? child->workflow_id : "");
        r = !owner ? err_nomem(err) : store_pin(w->o.store, owner, ref.text, 0, err);
    }
    if (r < 0)
        return r;
    child->memo = script_memo(ref.text, NULL);
    return child->memo ? 0 : err_nomem(err);
}

/* Adds its fields, which are JSON. */
static int memo_join(Pb__Memo **to, const Pb__Memo *from, struct err *err)
{
    if (!*to) {
        if (!(*to = mem_alloc(sizeof **to)))
            return err_nomem(err);
        pb__memo__init(*to);
    }
    for (size_t i = 0; i < from->n_fields; i++) {
        json_t *j = NULL;
        int r = pbx_payload_json(from->fields[i]->value, &j, err);
        if (r == 0 && memo_add(*to, from->fields[i]->key, j) < 0)
            r = err_nomem(err);
        if (r < 0)
            return r;
    }
    return 0;
}

int scripts_pin_next(struct worker *w, const Pb__WorkflowExecution *current, const Pb__Memo *pin,
                     Pb__ContinueAsNewWorkflowExecutionCommandAttributes *next, struct err *err)
{
    if (scripts_pinned(next->memo))
        return 0;
    if (pin)
        return memo_join(&next->memo, pin, err);
    Pb__DescribeWorkflowExecutionRequest req = PB__DESCRIBE_WORKFLOW_EXECUTION_REQUEST__INIT;
    req.namespace_ = w->name_space;
    req.execution = (Pb__WorkflowExecution *)current;
    ProtobufCMessage *m;
    int r = engine_call_sync(w->o.engine, ENGINE_DESCRIBE, &req.base, 0, &m, err);
    if (r < 0)
        return err_wrap(err, "continue as new");
    Pb__WorkflowExecutionInfo *info = ((Pb__DescribeWorkflowExecutionResponse *)m)->workflow_execution_info;
    if (info && info->memo) {
        engine_free_message(next->memo ? &next->memo->base : NULL);
        next->memo = TAKE_PTR(info->memo);
    }
    engine_free_message(m);
    return 0;
}
