/* ListWorkflowExecutions and CountWorkflowExecutions, straight from the database: newest first. */
#include "base/mem.h"
#include "codec/json.h"
#include "codec/pbx.h"
#include "engine/embedded/attribute.h"
#include "engine/embedded/calls.h"
#include "engine/embedded/filter.h"
#include "engine/embedded/token.h"

#include <stdio.h>
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
        else if (v->is_real)
            sqlite3_bind_double(s, n, v->real);
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
    i->execution_time = pbx_timestamp(s->execution_ns ? s->execution_ns : s->start_ns);
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
    static const Pb__SearchAttributes no_attributes = PB__SEARCH_ATTRIBUTES__INIT;
    msg_set(e, &i->search_attributes, s->search_attributes ? s->search_attributes : &no_attributes);
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

/* What is asked for, whichever of the four calls does. */
struct page {
    const char *query;
    int32_t size;
    const ProtobufCBinaryData *token;
};

static int list(struct eng *e, const struct page *q, int64_t ns, int64_t below, int64_t stamp,
                Pb__ListWorkflowExecutionsResponse *r, struct err *err)
{
    int64_t limit = q->size > 0 && q->size < PAGE_MAX ? q->size : PAGE_DEFAULT;
    struct filter f;
    sqlite3_stmt *s = NULL;
    int rc = SQLITE_DONE, x = filter_parse(q->query, PARAMETERS + 1, attributes_known, e, &f, err);
    if (x == 0 && f.group_by_status)
        x = err_set(err, ERR_INVALID, "filter: GROUP BY is for counts");
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

/* The page as an answer of List; NULL: the call is answered with an error. */
static Pb__ListWorkflowExecutionsResponse *page(struct eng *e, struct call *c, const struct page *q)
{
    int64_t below = INT64_MAX;
    int64_t stamp = (int64_t)token_hash(e->db.token_key, q->query, strlen(q->query));
    struct err err = {0};
    if (q->token->len) {
        struct token t;
        if (token_read(e->db.token_key, q->token, &t, &err) < 0 || t.kind != TOKEN_LIST || t.ns != c->ns ||
            t.stamp != stamp) {
            call_fail(e, c, ERR_INVALID, "invalid page token");
            return NULL;
        }
        below = t.id;
    }
    Pb__ListWorkflowExecutionsResponse *r = mem_alloc(sizeof *r);
    if (!r) {
        call_answer(e, c, NULL);
        return NULL;
    }
    pb__list_workflow_executions_response__init(r);
    if (list(e, q, c->ns, below, stamp, r, &err) < 0) {
        engine_free_message(&r->base);
        call_fail_err(e, c, &err);
        return NULL;
    }
    return r;
}

void call_list(struct eng *e, struct call *c)
{
    const Pb__ListWorkflowExecutionsRequest *q = (const void *)c->req;
    Pb__ListWorkflowExecutionsResponse *r = page(e, c, &(struct page){q->query, q->page_size, &q->next_page_token});
    if (r)
        call_answer(e, c, &r->base);
}

/* The other calls' answers have the same fields. */
#define ANSWER_AS(Type, e, c, list_response)                                                                           \
    do {                                                                                                               \
        Pb__ListWorkflowExecutionsResponse *from_ = list_response;                                                     \
        Type *to_ = from_ ? (Type *)call_new_response(c) : NULL;                                                       \
        if (to_) {                                                                                                     \
            to_->n_executions = from_->n_executions;                                                                   \
            to_->executions = from_->executions;                                                                       \
            to_->next_page_token = from_->next_page_token;                                                             \
            free(from_);                                                                                               \
        } else {                                                                                                       \
            engine_free_message((ProtobufCMessage *)from_);                                                            \
        }                                                                                                              \
        if (from_)                                                                                                     \
            call_answer(e, c, (ProtobufCMessage *)to_);                                                                \
    } while (0)

void call_scan(struct eng *e, struct call *c)
{
    const Pb__ScanWorkflowExecutionsRequest *q = (const void *)c->req;
    ANSWER_AS(Pb__ScanWorkflowExecutionsResponse, e, c,
              page(e, c, &(struct page){q->query, q->page_size, &q->next_page_token}));
}

static void quote(struct strbuf *b, const char *field, const char *value)
{
    strbuf_printf(b, " AND %s='", field);
    for (; *value; value++) {
        if (*value == '\'' || *value == '\\')
            strbuf_putc(b, *value);
        strbuf_putc(b, *value);
    }
    strbuf_putc(b, '\'');
}

/* The old calls' filters as a query; it lives in the arena. NULL: the call is answered. */
static const char *query_of(struct eng *e, struct call *c, const char *status, const Pb__StartTimeFilter *start,
                            const Pb__WorkflowExecutionFilter *x, const Pb__WorkflowTypeFilter *type)
{
    struct strbuf b = STRBUF_INIT_MAX(2 * FILTER_TEXT_MAX);
    struct err err = {0};
    strbuf_puts(&b, status);
    if (start && start->earliest_time)
        strbuf_printf(&b, " AND StartTime>=%lld", (long long)pbx_timestamp_ns(start->earliest_time));
    if (start && start->latest_time)
        strbuf_printf(&b, " AND StartTime<=%lld", (long long)pbx_timestamp_ns(start->latest_time));
    if (x && *x->workflow_id)
        quote(&b, "WorkflowId", x->workflow_id);
    if (x && *x->run_id)
        quote(&b, "RunId", x->run_id);
    if (type && *type->name)
        quote(&b, "WorkflowType", type->name);
    char *text = strbuf_check(&b, &err) == 0 ? arena_strdup(&e->arena, strbuf_str(&b)) : NULL;
    strbuf_release(&b);
    if (err.code)
        call_fail_err(e, c, &err);
    else if (!text)
        call_answer(e, c, NULL);
    return text;
}

void call_list_open(struct eng *e, struct call *c)
{
    const Pb__ListOpenWorkflowExecutionsRequest *q = (const void *)c->req;
    const char *query = query_of(
        e, c, "ExecutionStatus='Running'", q->start_time_filter,
        q->filters_case == PB__LIST_OPEN_WORKFLOW_EXECUTIONS_REQUEST__FILTERS_EXECUTION_FILTER ? q->execution_filter : NULL,
        q->filters_case == PB__LIST_OPEN_WORKFLOW_EXECUTIONS_REQUEST__FILTERS_TYPE_FILTER ? q->type_filter : NULL);
    if (query)
        ANSWER_AS(Pb__ListOpenWorkflowExecutionsResponse, e, c,
                  page(e, c, &(struct page){query, q->maximum_page_size, &q->next_page_token}));
}

void call_list_closed(struct eng *e, struct call *c)
{
    const Pb__ListClosedWorkflowExecutionsRequest *q = (const void *)c->req;
    typedef Pb__ListClosedWorkflowExecutionsRequest__FiltersCase filter_case;
    filter_case which = q->filters_case;
    char status[48] = "ExecutionStatus!='Running'";
    if (which == PB__LIST_CLOSED_WORKFLOW_EXECUTIONS_REQUEST__FILTERS_STATUS_FILTER)
        snprintf(status, sizeof status, "ExecutionStatus=%d", (int)q->status_filter->status);
    const char *query = query_of(
        e, c, status, q->start_time_filter,
        which == PB__LIST_CLOSED_WORKFLOW_EXECUTIONS_REQUEST__FILTERS_EXECUTION_FILTER ? q->execution_filter : NULL,
        which == PB__LIST_CLOSED_WORKFLOW_EXECUTIONS_REQUEST__FILTERS_TYPE_FILTER ? q->type_filter : NULL);
    if (query)
        ANSWER_AS(Pb__ListClosedWorkflowExecutionsResponse, e, c,
                  page(e, c, &(struct page){query, q->maximum_page_size, &q->next_page_token}));
}

static const char *status_name(int status)
{
    static const char *const names[] = {"Unspecified", "Running",    "Completed",      "Failed",
                                        "Canceled",    "Terminated", "ContinuedAsNew", "TimedOut"};
    return status >= 0 && (size_t)status < sizeof names / sizeof *names ? names[status] : names[0];
}

/* A keyword, as Temporal's servers give it: JSON with its type beside it. */
static Pb__Payload *keyword(struct eng *e, const char *text)
{
    _cleanup_json_ json_t *j = json_string(text);
    Pb__Payload *p = j ? pbx_json_payload(j) : NULL;
    Pb__Payload__MetadataEntry **list = p ? mem_realloc(p->metadata, (p->n_metadata + 1) * sizeof *list) : NULL;
    Pb__Payload__MetadataEntry *type = mem_alloc(sizeof *type);
    if (list)
        p->metadata = list;
    if (!list || !type) {
        free(type);
        eng_nomem(e);
        return p;
    }
    pb__payload__metadata_entry__init(type);
    str_set(e, &type->key, "type");
    type->value.data = mem_dup("Keyword", 7);
    type->value.len = type->value.data ? 7 : 0;
    list[p->n_metadata++] = type;
    return p;
}

static void add_group(struct eng *e, Pb__CountWorkflowExecutionsResponse *r, int status, int64_t count)
{
    Pb__CountWorkflowExecutionsResponseAggregationGroup *g = mem_alloc(sizeof *g);
    Pb__CountWorkflowExecutionsResponseAggregationGroup **list =
        mem_realloc(r->groups, (r->n_groups + 1) * sizeof *list);
    if (list)
        r->groups = list;
    if (!g || !list) {
        free(g);
        eng_nomem(e);
        return;
    }
    pb__count_workflow_executions_response_aggregation_group__init(g);
    list[r->n_groups++] = g;
    r->count += count;
    g->count = count;
    g->group_values = mem_calloc(1, sizeof *g->group_values);
    if (g->group_values && (g->group_values[0] = keyword(e, status_name(status))))
        g->n_group_values = 1;
}

static int count(struct eng *e, const struct filter *f, int64_t ns, Pb__CountWorkflowExecutionsResponse *resp,
                 struct err *err)
{
    sqlite3_stmt *s = NULL;
    int rc, r = f->group_by_status ? prepare(e, "status,count(*)", "GROUP BY status ORDER BY status", f, &s, err)
                                   : prepare(e, "0,count(*)", "", f, &s, err);
    if (r < 0)
        return r;
    sqlite3_bind_int64(s, 1, ns);
    sqlite3_bind_int64(s, 2, INT64_MAX);
    bind_filter(s, f);
    while ((rc = sqlite3_step(s)) == SQLITE_ROW) {
        if (f->group_by_status)
            add_group(e, resp, sqlite3_column_int(s, 0), sqlite3_column_int64(s, 1));
        else
            resp->count = sqlite3_column_int64(s, 1);
    }
    if (rc != SQLITE_DONE)
        r = db_error(&e->db, "count", err);
    sqlite3_finalize(s);
    return r;
}

void call_count(struct eng *e, struct call *c)
{
    const Pb__CountWorkflowExecutionsRequest *q = (const void *)c->req;
    struct err err = {0};
    struct filter f;
    Pb__CountWorkflowExecutionsResponse *resp = (void *)call_new_response(c);
    int r = filter_parse(q->query, PARAMETERS, attributes_known, e, &f, &err);
    if (r == 0 && resp)
        r = count(e, &f, c->ns, resp, &err);
    filter_release(&f);
    if (r < 0) {
        engine_free_message((ProtobufCMessage *)resp);
        call_fail_err(e, c, &err);
        return;
    }
    call_answer(e, c, (ProtobufCMessage *)resp);
}
