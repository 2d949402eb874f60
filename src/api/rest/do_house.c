/* Keeping house: garbage, damage, old runs, and the audit log. */
#include "api/rest/rest_internal.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "codec/json.h"

/* Takes q. */
static int ask(struct exchange *x, enum house_verb verb, json_t *q, json_t **ret, struct err *err)
{
    _cleanup_json_ json_t *request = q;
    return request ? x->rest->o.house(x->rest->o.arg, &x->svc, verb, request, ret, err) : err_nomem(err);
}

int do_collect_garbage(struct exchange *x, struct err *err)
{
    json_t *answer = NULL;
    int r = body_json(x, err);
    if (r == 0)
        r = ask(x, HOUSE_GC, json_incref(x->json), &answer, err);
    return r < 0 ? r : reply_json(x, 200, answer, err);
}

int do_verify_store(struct exchange *x, struct err *err)
{
    json_t *answer = NULL;
    int r = ask(x, HOUSE_VERIFY, json_object(), &answer, err);
    return r < 0 ? r : reply_json(x, 200, answer, err);
}

/* What is at fault is the server's store, or its settings: neither the caller's token nor the server itself. */
static int ask_store(struct exchange *x, enum house_verb verb, struct err *err)
{
    json_t *answer = NULL;
    int r = body_json(x, err);
    if (r < 0)
        return r;
    r = ask(x, verb, json_incref(x->json), &answer, err);
    if (r == 0)
        return reply_json(x, 200, answer, err);
    int status = err_http_status(r);
    if (status != 503 && status != 504 && status != 507) {
        x->error_status = 409;
        x->error_type = "StoreRefused";
    }
    return r;
}

int do_init_store(struct exchange *x, struct err *err)
{
    return ask_store(x, HOUSE_INIT, err);
}

int do_rekey_store(struct exchange *x, struct err *err)
{
    return ask_store(x, HOUSE_REKEY, err);
}

int do_migrate_store(struct exchange *x, struct err *err)
{
    return ask_store(x, HOUSE_MIGRATE, err);
}

/* What a run's watchers saw goes with it. */
static void forget(struct exchange *x, const char *run_id)
{
    struct err err = {0};
    if (live_forget(x->rest->o.live, exchange_key(x, run_id), true, &err) < 0)
        log_warn("events of run %s: %s", run_id, err.msg);
    status_forget(x->rest, exchange_key(x, run_id));
}

int do_clean_runs(struct exchange *x, struct err *err)
{
    json_t *answer = NULL, *run;
    size_t i;
    int r = body_json(x, err);
    if (r == 0)
        r = ask(x, HOUSE_CLEAN, json_incref(x->json), &answer, err);
    if (r < 0)
        return r;
    if (!json_flag(answer, "dry_run", false))
        json_array_foreach(json_object_get(answer, "removed"), i, run)
            forget(x, json_str(run, "run_id", ""));
    return reply_json(x, 200, answer, err);
}

int do_read_audit(struct exchange *x, struct err *err)
{
    json_t *answer = NULL;
    int r = ask(x, HOUSE_AUDIT,
                json_pack("{s:s*, s:s*, s:s*, s:I}", "who", arg_text(x, "who"), "action", arg_text(x, "action"), "namespace",
                          arg_text(x, "namespace"), "limit", (json_int_t)arg_number(x, "audit_limit", 50)),
                &answer, err);
    return r < 0 ? r : reply_json(x, 200, answer, err);
}
