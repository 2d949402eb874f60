/* ListWorkflowExecutions and CountWorkflowExecutions, straight from the database: newest first. */
#include "base/mem.h"
#include "codec/pbx.h"
#include "engine/embedded/calls.h"
#include "engine/embedded/filter.h"
#include "engine/embedded/token.h"

#include <string.h>

#define PAGE_DEFAULT 1000
#define PAGE_MAX 1000
#define PAGE_BYTES ((size_t)4 << 20) /* of states read, so that memos do not make an answer too large to send */
#define PARAMETERS 3 /* before the filter's */

static void bind_filter(sqlite3_stmt *s, const struct filter *f)
{
    for (size_t i = 0; i < f->values.len; i++) {
        const struct filter_value *v = &f->values.v[i];
        int n = f->first_parameter + (int)i;
        if (v->text)
            sqlite3_bind_text(s, n, v->text, -1, SQLITE_STATIC);
        else
            sqlite3_bind_int64(s, n, v->number);
    }
}

/* SELECT what FROM execution WHERE the filter holds; parameters 1: namespace, 2: keys below, 3:
 * limit. */
static int prepare(struct eng *e, const char *what, const char *tail, const struct filter *f,
                   sqlite3_stmt **ret, struct err *err)
{
    struct strbuf sql = STRBUF_INIT;
    strbuf_printf(&sql, "SELECT %s FROM execution WHERE ns=?1 AND run_key<?2%s%s%s %s", what,
                  f->sql.len ? " AND (" : "", strbuf_str(&f->sql), f->sql.len ? ")" : "", tail);
    int r = strbuf_check(&sql, err);
    if (r == 0 && sqlite3_prepare_v2(e->db.h, sql.s, (int)sql.len, ret, NULL) != SQLITE_OK)
        r = db_error(&e->db, "list", err);
    strbuf_release(&sql);
    return r;
}

Pb__WorkflowExecutionInfo *visibility_info(struct eng *e, const Pb__EmbeddedRun *s)
{
    Pb__WorkflowExecutionInfo *i = mem_alloc(sizeof *i);
    Pb__WorkflowExecution *x = mem_alloc(sizeof *x), *p = NULL;
    Pb__WorkflowType *t = mem_alloc(sizeof *t);
    if (!i || !x || !t) {
        free(i);
        free(x);
        free(t);
        eng_nomem(e);
        return NULL;
    }
    pb__workflow_execution_info__init(i);
    pb__workflow_execution__init(x);
    pb__workflow_type__init(t);
    i->execution = x;
    i->type = t;
    str_set(e, &x->workflow_id, s->workflow_id);
    str_set(e, &x->run_id, s->run_id);
    str_set(e, &t->name, s->workflow_type);
    i->start_time = pbx_timestamp(s->start_ns);
    i->execution_time = pbx_timestamp(s->first_task_ns ? s->first_task_ns : s->start_ns);
    i->status = s->status;
    i->history_length = s->next_event_id - 1;
    i->history_size_bytes = s->history_bytes;
    i->state_transition_count = s->transitions;
    if (s->close_ns) {
        i->close_time = pbx_timestamp(s->close_ns);
        i->execution_duration = pbx_duration(s->close_ns - s->start_ns);
    }
    if (s->parent && (p = mem_alloc(sizeof *p))) {
        pb__workflow_execution__init(p);
        i->parent_execution = p;
        str_set(e, &p->workflow_id, s->parent->workflow_id);
        str_set(e, &p->run_id, s->parent->run_id);
    }
    msg_set(e, &i->memo, s->memo);
    msg_set(e, &i->search_attributes, s->search_attributes);
    msg_set(e, &i->root_execution, s->root);
    str_set(e, &i->task_queue, s->task_queue);
    str_set(e, &i->first_run_id, s->first_run_id);
    if (!i->start_time || !i->execution_time || (s->close_ns && (!i->close_time || !i->execution_duration)) ||
        (s->parent && !p))
        eng_nomem(e);
    return i;
}

static int add_row(struct eng *e, Pb__ListWorkflowExecutionsResponse *r, sqlite3_stmt *s,
                   struct err *err)
{
    ProtobufCMessage *m;
    int q = pbx_unpack(&pb__embedded_run__descriptor, sqlite3_column_blob(s, 1),
                       (size_t)sqlite3_column_bytes(s, 1), &m, err);
    if (q < 0)
        return q == -ERR_NO_MEMORY ? q
                                   : err_set(err, ERR_CORRUPT, "state of run %lld cannot be read",
                                             (long long)sqlite3_column_int64(s, 0));
    Pb__WorkflowExecutionInfo *info = visibility_info(e, (Pb__EmbeddedRun *)m);
    if (info)
        r->executions[r->n_executions++] = info;
    engine_free_message(m);
    return info ? 0 : err_nomem(err);
}

static int list(struct eng *e, const Pb__ListWorkflowExecutionsRequest *q, int64_t ns, int64_t below,
                int64_t stamp, Pb__ListWorkflowExecutionsResponse *r, struct err *err)
{
    int64_t limit = q->page_size > 0 && q->page_size < PAGE_MAX ? q->page_size : PAGE_DEFAULT;
    struct filter f;
    sqlite3_stmt *s = NULL;
    int rc = SQLITE_DONE, x = filter_parse(q->query, PARAMETERS + 1, &f, err);
    if (x == 0)
        x = prepare(e, "run_key,state", "ORDER BY run_key DESC LIMIT ?3", &f, &s, err);
    if (x == 0 && !(r->executions = mem_calloc((size_t)limit, sizeof *r->executions)))
        x = err_nomem(err);
    if (x == 0) {
        sqlite3_bind_int64(s, 1, ns);
        sqlite3_bind_int64(s, 2, below);
        sqlite3_bind_int64(s, 3, limit + 1); /* one more tells whether there is another page */
        bind_filter(s, &f);
    }
    struct token t = {.kind = TOKEN_LIST, .ns = ns, .stamp = stamp};
    size_t bytes = 0;
    while (x == 0 && (rc = sqlite3_step(s)) == SQLITE_ROW) {
        if ((int64_t)r->n_executions == limit || bytes > PAGE_BYTES) {
            r->next_page_token = token_make(e->db.token_key, &t);
            if (!r->next_page_token.data)
                x = err_nomem(err);
            break;
        }
        t.id = sqlite3_column_int64(s, 0);
        bytes += (size_t)sqlite3_column_bytes(s, 1);
        x = add_row(e, r, s, err);
    }
    if (x == 0 && rc != SQLITE_DONE && rc != SQLITE_ROW)
        x = db_error(&e->db, "list", err);
    sqlite3_finalize(s);
    filter_release(&f);
    return x;
}

void call_list(struct eng *e, struct call *c)
{
    const Pb__ListWorkflowExecutionsRequest *q = (const void *)c->req;
    int64_t below = INT64_MAX;
    int64_t stamp = (int64_t)token_hash(e->db.token_key, q->query, strlen(q->query));
    struct err err = {0};
    if (q->next_page_token.len) {
        struct token t;
        if (token_read(e->db.token_key, &q->next_page_token, &t, &err) < 0 || t.kind != TOKEN_LIST ||
            t.ns != c->ns || t.stamp != stamp) {
            call_fail(e, c, ERR_INVALID, "invalid page token");
            return;
        }
        below = t.id;
    }
    Pb__ListWorkflowExecutionsResponse *r = (void *)call_new_response(c);
    if (r && list(e, q, c->ns, below, stamp, r, &err) < 0) {
        engine_free_message(&r->base);
        call_fail_err(e, c, &err);
        return;
    }
    call_answer(e, c, (ProtobufCMessage *)r);
}

void call_count(struct eng *e, struct call *c)
{
    const Pb__CountWorkflowExecutionsRequest *q = (const void *)c->req;
    struct err err = {0};
    struct filter f;
    sqlite3_stmt *s = NULL;
    Pb__CountWorkflowExecutionsResponse *resp = (void *)call_new_response(c);
    int r = filter_parse(q->query, PARAMETERS, &f, &err);
    if (r == 0)
        r = prepare(e, "count(*)", "", &f, &s, &err);
    if (r == 0) {
        sqlite3_bind_int64(s, 1, c->ns);
        sqlite3_bind_int64(s, 2, INT64_MAX);
        bind_filter(s, &f);
        if (sqlite3_step(s) != SQLITE_ROW)
            r = db_error(&e->db, "count", &err);
        else if (resp)
            resp->count = sqlite3_column_int64(s, 0);
    }
    sqlite3_finalize(s);
    filter_release(&f);
    if (r < 0) {
        engine_free_message((ProtobufCMessage *)resp);
        call_fail_err(e, c, &err);
        return;
    }
    call_answer(e, c, (ProtobufCMessage *)resp);
}
